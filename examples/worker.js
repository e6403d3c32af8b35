// Node's own HTTP server as a worker: it asks for clients, and gives those that
// stay connected back, so that fdproxy routes their next request anew:
//
//	fdproxy -l 127.0.0.1:8080 -r /=workers:/tmp/app.workers,flusher=none
//	node worker.js /tmp/app.workers [name]
//
// Node has no public way to send and receive a descriptor on a socket that is
// not its parent's; what is used here is internal, and worked with Node 18, 20
// and 22.
'use strict';
const crypto = require('crypto'), http = require('http'), net = require('net');
const path = require('path');
const { HTTPParser } = process.binding('http_parser');
const { Pipe, PipeConnectWrap, constants } = process.binding('pipe_wrap');
const { kReadBytesOrError, ShutdownWrap, streamBaseState, WriteWrap } =
  process.binding('stream_wrap');

const CLIENTS = 64;     // at once
let channel, leaving = false, timer;

// One more client may come, if the channel is still there.
function promise(where, clients = 1) {
  where.writeLatin1String(new WriteWrap(), '\0'.repeat(clients));
}

function end(socket) {
  socket.end();
  setTimeout(() => socket.destroy(), 3000).unref();
}

// All is written; the NUL promises to take another one.
function giveBack(where, socket) {
  const write = new WriteWrap();

  socket.given = true;
  socket._handle.readStop();
  write.oncomplete = (status) => {
    socket.given = status === 0;
    if (socket.given)
      socket.destroy();         // which is no shutdown
    else                        // we are leaving, or fdproxy has left
      end(socket);
  };
  if (where.writeLatin1String(write, '\x01\0', socket._handle) !== 0)
    write.oncomplete(-1);
}

function serve(server, where, handle) {
  const socket = new net.Socket({ handle, allowHalfOpen: true });

  handle.setBlocking(false);            // as Node expects it to be
  socket.where = where;
  socket.requests = 0;
  socket.on('close', () => socket.given || promise(where));
  server.emit('connection', socket);
  // Even half a head that was read ahead is counted.
  socket.parser[HTTPParser.kOnMessageBegin] = () => { socket.requests++; };
}

function createServer(handler) {
  const server = http.createServer((req, res) => {
    const socket = req.socket;

    if (socket.answering)       // read ahead, and perhaps another worker's
      return;
    socket.answering = true;
    if (leaving)
      res.setHeader('Connection', 'close');
    res.on('finish', () => {
      if (res._last)            // Node closes it
        return;
      if (socket.requests === 1 && req.complete && socket._handle &&
          socket._handle.writeQueueSize === 0)
        giveBack(socket.where, socket);
      else
        end(socket);
    });
    handler(req, res);
  });
  server.timeout = 30000;       // of a client that says nothing
  return server;
}

// Connect to fdproxy, and again after each end.
function work(file, server, delay = 100) {
  const request = new PipeConnectWrap(), pipe = new Pipe(constants.IPC);
  const again = () => {
    pipe.close();
    channel = undefined;
    if (!leaving)
      timer = setTimeout(work, delay * (0.5 + Math.random()), file, server,
        Math.min(2 * delay, 5000));
  };

  // Once fdproxy has closed, libuv takes a read that does not fill its buffer
  // for the last one, but there is a client in each byte.
  pipe.buffer = Buffer.alloc(1);
  pipe.useUserBuffer(pipe.buffer);
  pipe.onread = () => {
    const handle = pipe.pendingHandle, n = streamBaseState[kReadBytesOrError];

    pipe.pendingHandle = null;
    if (handle) {
      delay = 100;
      serve(server, pipe, handle);
    } else if (n > 0) {
      console.error('a client was lost');
      promise(pipe);
    } else if (n < 0) {         // the end, or an error
      again();
    }
  };
  request.oncomplete = (status) => {
    if (status !== 0)
      return again();
    channel = pipe;
    pipe.readStart();
    promise(pipe, CLIENTS);
    if (leaving)
      leave();
  };
  pipe.connect(request, file);
}

function leave() {
  leaving = true;
  clearTimeout(timer);
  if (channel)                  // no more; what was sent is served
    channel.shutdown(new ShutdownWrap());
}

function main(file, handler) {
  process.on('SIGTERM', leave);
  process.on('SIGINT', leave);
  work(file, createServer(handler));
}

module.exports = main;
if (require.main === module) {
  const name = process.argv[3] || path.basename(process.argv[1]);

  main(process.argv[2], (req, res) => {
    const hash = crypto.createHash('md5');
    let length = 0;

    req.on('data', (part) => {
      length += part.length;
      hash.update(part);
    });
    req.on('end', () => {
      const address = req.socket.remoteAddress || 'local';
      const text = `${name} ${req.method} ${req.url} ${address}` +
        (req.method === 'POST' ? ` ${length} ${hash.digest('hex')}\n` : '\n');

      // Without it, Node does not keep a connection of HTTP/1.0.
      res.setHeader('Content-Length', Buffer.byteLength(text));
      res.end(text);
    });
  });
}
