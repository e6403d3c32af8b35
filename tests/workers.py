# See LICENSE for copyright and license details.
"""A client of the example workers, which checks each answer.

    workers.py mixed HOST:PORT PIPELINED NAME NAME

asks the workers behind /NAME in turn, up to so many requests at once, and
prints how many connections it took.

    workers.py digest NAME

prints what the worker of that name calls its standard input.

    workers.py ends HOST:PORT NAME

sees that a connection that is not to be kept ends behind the response.

    workers.py behind HOST:PORT NAME

asks again in one packet with the end of a large body.

    workers.py alone HOST:PORT NAME SOCKET COMMAND ...

is fdproxy itself for a worker: its first client has left by then, and behind
the last ones it closes.

    workers.py leave HOST:PORT NAME SOCKET COMMAND ...

runs two workers, and ends one while both are asked.
"""
import hashlib, random, select, signal, socket, struct, subprocess, sys
import threading, zlib

PATIENCE = 60


class Ended(Exception):
    """The connection has ended before the first byte of a response."""


class Client:
    def __init__(self, where):
        self.socket = socket.create_connection(where, PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")
        self.fresh = True

    def send(self, data, cut=0):
        try:
            for part in data[:cut], data[cut:]:
                self.socket.sendall(part)
        except ConnectionError:
            pass                # there may be something to read

    def receive(self, method):
        """The body, and whether the connection is kept."""
        try:
            line = self.stream.readline()
        except ConnectionError:
            line = b""
        if not line:
            raise Ended
        assert line.startswith(b"HTTP/1.") and b" 200 " in line, line
        fields, is_1_1 = {}, line.startswith(b"HTTP/1.1")
        while (line := self.stream.readline()) not in (b"\r\n", b""):
            key, _, value = line.decode().partition(":")
            fields[key.lower()] = value.strip().lower()
        self.fresh = False
        length = int(fields["content-length"])
        keep = "keep-alive" == fields.get(
            "connection", "keep-alive" if is_1_1 else "close")
        if method == "HEAD":
            return length, keep
        body = self.stream.read(length)
        assert len(body) == length, "a part of %d bytes" % length
        return body.decode(), keep

    def end(self):
        try:
            assert not self.stream.read(1), "more than was asked for"
        except ConnectionError:
            pass
        self.close()

    def close(self):
        self.stream.close()
        self.socket.close()


def digest(name, body):
    """libc has no MD5."""
    if name in ("fork", "epoll", "stress"):
        return "%08x" % zlib.adler32(body)
    return hashlib.md5(body).hexdigest()


def make(name, i, fields=b"", chance=random, sizes=(0, 10, 5000, 100000)):
    """A request, its method, and how the worker's answer goes on."""
    method = ("GET", "POST", "HEAD")[i % 3]
    target, body = "/%s/%d?n" % (name, i), b""
    text = " %s %s 127.0.0.1" % (method, target)
    if method == "POST":
        body = chance.randbytes(chance.choice(sizes))
        text += " %d %s" % (len(body), digest(name.partition("-")[0], body))
        fields += b"Content-Length: %d\r\n" % len(body)
    head = "%s %s HTTP/1.1\r\nHost: a\r\n" % (method, target)
    return head.encode() + fields + b"\r\n" + body, method, text + "\n"


def check(got, method, want):
    assert got == (len(want) if method == "HEAD" else want), (got, want)


def mixed(where, pipelined, *names):
    random.seed(1)
    wanted = []
    for i in range(300):
        data, method, text = make(names[i % len(names)], i)
        wanted.append((data, method, names[i % len(names)] + text))
    connections, client, keep = 0, None, False
    while wanted:
        if not keep:
            client, keep = Client(where), True
            connections += 1
        group = wanted[:random.randint(1, int(pipelined))]
        data = b"".join(data for data, _, _ in group)
        client.send(data, random.randrange(len(data)))
        for _, method, text in group:
            try:
                got, keep = client.receive(method)
            except Ended:               # the rest is asked again
                assert not client.fresh, "a request was lost"
                keep = False
            else:
                check(got, method, text)
                del wanted[0]
            if not keep:
                client.end()
                break
    print(connections)


def ends(where, name):
    for request in (b"GET /%s/1 HTTP/1.0\r\n\r\n",
                    b"GET /%s/1 HTTP/1.1\r\nHost: a\r\n"
                    b"Connection: close\r\n\r\n"):
        client = Client(where)
        client.send(request % name.encode())
        got, keep = client.receive("GET")
        check(got, "GET", "%s GET /%s/1 127.0.0.1\n" % (name, name))
        assert not keep, "the response says nothing of the end"
        client.end()


def behind(where, name):
    """Heads in one packet with the end of a body that the worker reads."""
    for i in range(12):
        client = Client(where)
        body = b"b" * 1048576
        thread = threading.Thread(target=client.send, args=(
            b"POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
            b"GET /%s/2 HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n" % (
                name.encode(), len(body), body, name.encode(),
                b"x" * (600 * i)),))
        thread.start()
        check(client.receive("POST")[0], "POST", "%s POST /%s 127.0.0.1 %d %s\n"
              % (name, name, len(body), digest(name, body)))
        check(client.receive("GET")[0], "GET", "%s GET /%s/2 127.0.0.1\n" %
              (name, name))
        thread.join()
        client.close()


class Load:
    """Clients, half of which keep their connections."""
    def __init__(self, where, name, path):
        self.where, self.path = where, path
        self.names = name + "-1", name + "-2"
        self.answers = dict.fromkeys(self.names, 0)
        self.again, self.failed, self.over = 0, [], False
        self.changed = threading.Condition()
        self.threads = [threading.Thread(target=self.run, args=(i % 2 == 0,))
                        for i in range(8)]
        for thread in self.threads:
            thread.start()

    def run(self, keep):
        try:
            self.ask(keep)
        except Exception as e:
            with self.changed:
                self.failed.append(repr(e))
                self.changed.notify()

    def ask(self, keeps):
        client, i = None, 0
        while not self.over:
            client = client or Client(self.where)
            data, method, want = make(
                self.path, i, b"" if keeps else b"Connection: close\r\n")
            client.send(data)
            try:
                got, keep = client.receive(method)
            except Ended:
                # As its next request comes the other end may close any kept
                # connection; but what a new one brings must be served.
                assert keeps and not client.fresh, "a request was lost"
                client.close()
                client = None
                with self.changed:
                    self.again += 1
                continue
            assert keeps or not keep
            if method != "HEAD":
                check(got, method, got[:got.index(" ")] + want)
                with self.changed:
                    self.answers[got[:got.index(" ")]] += 1
                    self.changed.notify()
            if not keep:
                client.end()
                client = None
            i += 1

    def until(self, names, count):
        """That many more answers of each of these."""
        with self.changed:
            before = dict(self.answers)
            assert self.changed.wait_for(
                lambda: self.failed or all(
                    self.answers[name] >= before[name] + count
                    for name in names), PATIENCE), self.answers

    def end(self):
        self.over = True
        for thread in self.threads:
            thread.join()
        assert not self.failed, self.failed
        print("%d requests, %d again, 0 failed" %
              (sum(self.answers.values()), self.again))


def hand_over(channel, request):
    """A client is sent to the worker; the client's end, if it has one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = Client(listener.getsockname())
        theirs, _ = listener.accept()
    with theirs:
        if request is None:
            ours.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                   struct.pack("ii", 1, 0))
            ours.close()
            left = select.poll()
            left.register(theirs, 0)
            assert left.poll(PATIENCE * 1000)
        else:
            ours.send(request)
        socket.send_fds(channel, [b"\0"], [theirs.fileno()])
    return ours


def alone(_, name, path, *command):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    listener.settimeout(PATIENCE)
    worker = subprocess.Popen([*command, path, name])
    try:
        channel, _ = listener.accept()
        channel.settimeout(PATIENCE)
        promises = channel.recv(65536)
        hand_over(channel, None)
        got = channel.recv(1)
        assert got == b"\0", "%s in place of one that has left" % got
        all = []
        for i in range(min(len(promises), 5)):
            data, method, text = make(name, i)
            all.append((hand_over(channel, data), method, name + text))
        channel.close()
        for client, method, text in all:
            got, _ = client.receive(method)
            check(got, method, text)
            client.end()
        channel, _ = listener.accept()
        channel.settimeout(PATIENCE)
        assert channel.recv(1) == b"\0"
    finally:
        worker.kill()
        worker.wait()


def leave(where, name, path, *command):
    workers = [subprocess.Popen([*command, path, "%s-%d" % (name, i)])
               for i in (1, 2)]
    load = None
    try:
        load = Load(where, name, name)
        load.until(load.names, 100)
        workers[0].send_signal(signal.SIGTERM)
        status = workers[0].wait(PATIENCE)
        assert status == 0, "status %d" % status
        load.until(load.names[1:], 100)
        load.end()
        workers[1].send_signal(signal.SIGTERM)
        status = workers[1].wait(PATIENCE)
        assert status == 0, "status %d, without load" % status
    finally:
        if load:
            load.over = True
        for worker in workers:
            worker.kill()


def main():
    if sys.argv[1] == "digest":
        print(digest(sys.argv[2], sys.stdin.buffer.read()))
        return
    host, port = sys.argv[2].split(":")
    globals()[sys.argv[1]]((host, int(port)), *sys.argv[3:])


if __name__ == "__main__":      # stress.py has clients of this kind, too
    main()
