"""A client of one example backend, and what is no client; see languages.sh.

    languages.py ready SOCKET
    languages.py odd SOCKET PATTERN
    languages.py asks HOST:PORT PATH PATTERN
    languages.py drips HOST:PORT PATH ...

It says what was wrong, and fails.  PATTERN is what the whole body must match.
"""
import re, socket, struct, sys, time

PATIENCE = 60
PAIR = socket.AF_UNIX, socket.SOCK_STREAM


def connect(path, patience_us=PATIENCE * 1000000):
    """A full backlog is waited for, which Python's own timeout does not."""
    conn = socket.socket(socket.AF_UNIX)
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO,
                    struct.pack("ll", *divmod(patience_us, 1000000)))
    conn.connect(path)
    return conn


def give(path, fds):
    """As fdproxy does."""
    with connect(path) as conn:
        socket.send_fds(conn, [b"\0"], fds)


def rest(client):
    """All that comes until the end: a reset is an error."""
    return b"".join(iter(lambda: client.recv(65536), b"")).decode()


def gone(path, half_closed_before):
    """A client that was reset before it comes.

    Had it half-closed, writing to it raises SIGPIPE at once.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server = listener.accept()[0]
    if half_closed_before:
        client.shutdown(socket.SHUT_WR)
        server.recv(1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                      struct.pack("ii", 1, 0))
    client.close()
    with server:
        give(path, [server.fileno()])


def silent(path):
    """Connections without a message, more than there is room for."""
    conns = []
    try:
        while len(conns) < 330:     # 200 descriptors, and a backlog of 128
            conns.append(connect(path, 300000))
    except BlockingIOError:
        pass
    for conn in conns:
        conn.close()


def odd(path, pattern):
    connect(path).close()
    silent(path)
    give(path, [])
    for half_closed_before in False, True:
        gone(path, half_closed_before)
    connected, other = socket.socketpair(*PAIR)
    with connected, other:          # by a Listen unix:, which has no name
        give(path, [other.fileno()])
        other.close()
        connected.settimeout(PATIENCE)
        body = rest(connected)
        assert re.fullmatch(pattern, body), f"a unix client: {body!r}"


def post(at, path, size):
    """The answer, most of whose request is sent when some of it is there.

    So much finds no room in buffers: that all is sent says that it was read.
    """
    with socket.socket() as client:
        client.settimeout(PATIENCE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        client.connect(at)
        client.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n"
                       f"Content-Length: {size}\r\n\r\n".encode())
        client.sendall(b"x" * 4096)
        answer = client.recv(65536)
        client.sendall(b"x" * (size - 4096))
        return (answer.decode() + rest(client)).split("\r\n\r\n", 1)


def get(at, path):
    with socket.create_connection(at, PATIENCE) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return rest(client).split("\r\n\r\n", 1)


def asks(at, path, pattern):
    host, port = at.split(":")
    head, body = post((host, int(port)), path, 1 << 20)
    assert re.fullmatch(pattern, body), f"POST: {head!r} {body!r}"
    # More than it may have descriptors: none stays open.
    for n in range(300):
        head, body = get((host, int(port)), path)
        assert re.fullmatch(pattern, body), f"GET {n}: {head!r} {body!r}"


def drips(at, *paths):
    """Clients that send without end, one for each: all are left some time."""
    host, port = at.split(":")
    clients = {}
    for path in paths:
        client = socket.create_connection((host, int(port)), PATIENCE)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        clients[path] = client
    last = time.monotonic() + PATIENCE
    while clients:
        assert time.monotonic() < last, f"not left: {list(clients)}"
        time.sleep(0.2)
        for path, client in list(clients.items()):
            try:
                client.send(b"x")
            except OSError:
                del clients[path]


def ready(path):
    """A probe, and whether somebody listens."""
    try:
        connect(path).close()
    except OSError:
        sys.exit(1)


{"ready": ready, "odd": odd, "asks": asks,
 "drips": drips}[sys.argv[1]](*sys.argv[2:])
