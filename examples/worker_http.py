"""Python's own HTTP server as a worker: it asks for clients and gives those
that stay connected back, so that fdproxy routes their next request anew:

    fdproxy -l 127.0.0.1:8080 -r /=workers:/tmp/app.workers,flusher=none
    python3 worker_http.py /tmp/app.workers [name]

Each thread serves one client at a time, has a connection of its own to
fdproxy, and promises to take one client on it.
"""
import contextlib, hashlib, http.server, os, random, signal, socket, sys
import threading, time, traceback

THREADS = 4
leaving = threading.Event()
channels = set()


def respond(name, method, target, address, body):
    """The response's fields and its body."""
    text = f"{name} {method} {target} {address}"
    if method == "POST":
        text += f" {len(body)} {hashlib.md5(body).hexdigest()}"
    return {"Content-Type": "text/plain"}, f"{text}\n".encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"       # keep-alive
    timeout = 30                        # of a client that says nothing
    rbufsize = 0                        # reads its own request, no byte more

    def handle(self):
        self.handle_one_request()       # the next may be another worker's

    def read_body(self):
        lengths = self.headers.get_all("Content-Length", ["0"])
        if "Transfer-Encoding" in self.headers or len(lengths) > 1 or (
                not lengths[0].isdecimal()):
            return None
        body, left = [], int(lengths[0])
        while left > 0:
            body.append(self.rfile.read(min(left, 65536)))
            if not body[-1]:
                raise ConnectionError
            left -= len(body[-1])
        return b"".join(body)

    def answer(self):
        body = self.read_body()
        if body is None:                # its end is not known
            return self.send_error(411)     # closes
        fields, body = respond(self.server, self.command, self.path,
                               self.client_address[0], body)
        if leaving.is_set():
            self.close_connection = True
        self.send_response(200)
        for field in fields.items():
            self.send_header(*field)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection",  # HTTP/1.0 must be told either
                         "close" if self.close_connection else "keep-alive")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = answer

    def log_request(self, *_):
        pass


def serve(channel, client, name):
    """Whether it was given back, and another one promised."""
    address = client.getpeername() or ("local", 0)
    if not Handler(client, address, name).close_connection:
        with contextlib.suppress(OSError):  # we are leaving, or fdproxy is
            socket.send_fds(channel, [b"\1\0"], [client.fileno()])
            return True                     # it is closed, not shut down
    client.shutdown(socket.SHUT_WR)
    client.settimeout(2)
    last = time.monotonic() + 3
    while client.recv(4096) and time.monotonic() < last:
        pass
    return False


def promise(channel):
    with contextlib.suppress(OSError):  # of its end, reading from it tells
        channel.send(b"\0")


def work(channel, path, name):
    """Until the end of the connection; whether there was any client."""
    served = False
    channel.connect(path)
    if leaving.is_set():
        return served
    promise(channel)
    while True:
        byte, fds, _, _ = socket.recv_fds(channel, 1, 1)
        if not byte:
            return served
        if fds:
            client = socket.socket(fileno=fds[0])
            client.set_inheritable(False)
            served, again = True, True
            with client:
                try:
                    again = not serve(channel, client, name)
                except OSError:
                    pass        # it has left, or says nothing
                except Exception:
                    traceback.print_exc()
        else:                   # MSG_CTRUNC: no descriptor was free in here
            print("a client was lost", file=sys.stderr)
            again = True
        if again:
            promise(channel)


def run(path, name):
    delay = 0.1
    while not leaving.is_set():
        with socket.socket(socket.AF_UNIX) as channel:
            channels.add(channel)
            with contextlib.suppress(OSError):
                if work(channel, path, name):
                    delay = 0.1
            channels.remove(channel)
        leaving.wait(delay * random.uniform(0.5, 1.5))
        delay = min(2 * delay, 5)


def main():
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    path, name = (sys.argv[1:] + [os.path.basename(sys.argv[0])])[:2]
    threads = [threading.Thread(target=run, args=(path, name))
               for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    signal.sigwait(signals)
    leaving.set()
    for channel in list(channels):      # no more; what was sent is served
        with contextlib.suppress(OSError):
            channel.shutdown(socket.SHUT_WR)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
