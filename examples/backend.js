// A backend in Node.  It answers every client with one line:
//
//	node backend.js /tmp/app.sock
//	fdproxy -l 127.0.0.1:8080 -r /=/tmp/app.sock
//
// Node has no public way to receive a descriptor on a socket that is not its
// parent's; the pipe_wrap binding is internal, and worked with Node 20.
'use strict';
const fs = require('fs'), net = require('net');
const { Pipe, constants } = process.binding('pipe_wrap');

function serve(handle) {
  handle.setBlocking(false);            // as Node expects it to be
  const client = new net.Socket({ handle, allowHalfOpen: true });

  client.on('error', () => {});         // it has gone
  client.end('Hello from Node.\n');     // the body alone, and its end
  client.resume();                      // what nobody has read
  setTimeout(() => client.destroy(), 5000).unref();
}

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
    if (handle)
      serve(handle);
    else if (message)                   // without a message, it was a probe
      console.error('a client was lost');
  };
  reader.open(fd);
  reader.readStart();
}

fs.rmSync(process.argv[2], { force: true });
net.createServer({ pauseOnConnect: true }, receive).listen(process.argv[2]);
