// See LICENSE for copyright and license details.
//
// A server like any other, for Dockerfile.server: it knows nothing of fdproxy.
// On SIGTERM it serves whom it has, and ends.
const server = require("http").createServer((req, res) =>
    res.end(`Hello ${req.socket.remoteAddress}\n`));

server.listen(3000);
process.on("SIGTERM", () => server.close());
