"""Python's own HTTP server as a backend, keep-alive included:

    python3 http_server.py /tmp/http.sock
    fdproxy -l 127.0.0.1:8080 -r /=/tmp/http.sock,flusher=none

Only the accepting differs from any other http.server: what is accepted is a
connection of fdproxy's, and the client comes out of it.
"""
import contextlib, http.server, os, socket, socketserver, sys, time


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def get_request(self):
        conn, _ = self.socket.accept()
        with conn:
            message, fds, _, _ = socket.recv_fds(conn, 1, 1)
        if message and not fds:         # MSG_CTRUNC: no descriptor was free
            print("a client was lost", file=sys.stderr)
        if not fds:                     # else a probe; the caller goes on
            raise ConnectionError
        client = socket.socket(fileno=fds[0])
        return client, client.getpeername() or ("local", 0)

    def shutdown_request(self, client):
        with client, contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_WR)
            client.settimeout(2)
            last = time.monotonic() + 3
            while client.recv(4096) and time.monotonic() < last:
                pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"       # keep-alive
    timeout = 30                        # of a client that says nothing

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        if not self.close_connection:   # HTTP/1.0 must be told
            self.send_header("Connection", "keep-alive")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(f"{self.client_address[0]} asks for {self.path}\n".encode())

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"] or 0)))


if __name__ == "__main__":
    with contextlib.suppress(FileNotFoundError):
        os.unlink(sys.argv[1])
    Server(sys.argv[1], Handler).serve_forever()
