// Node's own HTTP server as a backend, keep-alive included:
//
//	node http_server.js /tmp/http.sock
//	fdproxy -l 127.0.0.1:8080 -r /=/tmp/http.sock,flusher=none
//
// Node has no public way to receive a descriptor on a socket that is not its
// parent's; the pipe_wrap binding is internal, and worked with Node 20.
'use strict';
const fs = require('fs'), http = require('http'), net = require('net');
const { Pipe, constants } = process.binding('pipe_wrap');

const server = http.createServer((req, res) => {
  if (req.method === 'POST')
    req.pipe(res);
  else
    res.end(`${req.socket.remoteAddress || 'local'} asks for ${req.url}\n`);
});

// One reader for each descriptor number, never closed: it shares the number
// with conn, which closes it.
const readers = [];

function receive(conn) {
  const fd = conn._handle.fd;
  const reader = readers[fd] = readers[fd] || new Pipe(constants.IPC);

  reader.onread = (message) => {
    const handle = reader.pendingHandle;

    reader.pendingHandle = null;
    reader.readStop();
    conn.destroy();
    if (handle) {
      handle.setBlocking(false);        // as Node expects it to be
      server.emit('connection', new net.Socket({ handle }));
    } else if (message) {               // without a message, it was a probe
      console.error('a client was lost');
    }
  };
  reader.open(fd);
  reader.readStart();
}

fs.rmSync(process.argv[2], { force: true });
net.createServer({ pauseOnConnect: true }, receive).listen(process.argv[2]);
