"""A worker by asyncio, with an HTTP of its own, that serves many clients:

    fdproxy -l 127.0.0.1:8080 -r /=workers:/tmp/app.workers,flusher=none
    python3 worker_asyncio.py /tmp/app.workers [name]

It asks fdproxy for clients, and gives those that stay connected back, so that
their next request is routed anew.  One that has sent more than its request,
which may be another worker's, is closed after the response and asks again.
"""
import asyncio, contextlib, hashlib, os, random, re, signal, socket, sys
import traceback

CLIENTS = 64            # at once; as many messages have room in a channel
PATIENCE = 30           # seconds, for one request


def respond(method, target, address, body):
    """The response's body."""
    text = f"{name} {method} {target} {address}"
    if method == "POST":
        text += f" {len(body)} {hashlib.md5(body).hexdigest()}"
    return f"{text}\n".encode()


async def receive(client, data):
    part = await loop.sock_recv(client, 65536)
    if not part:
        raise ConnectionError
    return data + part


async def request(client):
    """Serve one request.  Whether the connection may be given back."""
    data = bytearray()
    while b"\r\n\r\n" not in data and len(data) < 65536:
        data = await receive(client, data)
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    match = re.fullmatch(r"([!-~]+) ([!-~]+) HTTP/1\.([01])", line)
    if not match:
        raise ConnectionError
    method, target, minor = match.groups()
    fields = {}
    for line in lines:
        key, _, value = line.partition(":")
        fields.setdefault(key.lower(), []).append(value.strip())
    length = fields.get("content-length", ["0"])
    if "transfer-encoding" in fields or len(length) > 1 or (
            not length[0].isdecimal()):
        await loop.sock_sendall(client, b"HTTP/1.1 411 Length Required\r\n"
                                b"Content-Length: 0\r\n"
                                b"Connection: close\r\n\r\n")
        return False
    length = int(length[0])
    if len(body) < length and "expect" in fields and minor == "1":
        await loop.sock_sendall(client, b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray(body)
    while len(body) < length:
        body = await receive(client, body)
    options = ",".join(fields.get("connection", [])).lower()
    keep = not leaving.is_set() and len(body) == length and (
        "close" not in options if minor == "1" else "keep-alive" in options)
    address = (client.getpeername() or ["local"])[0]
    answer = respond(method, target, address, body[:length])
    head = (f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
            f"Content-Length: {len(answer)}\r\n"
            f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n")
    await loop.sock_sendall(
        client, head.encode() + (b"" if method == "HEAD" else answer))
    return keep


async def end(client):
    client.shutdown(socket.SHUT_WR)
    while await loop.sock_recv(client, 4096):
        pass


async def serve(client):
    where = channel
    with client:
        client.setblocking(False)
        try:
            if await asyncio.wait_for(request(client), PATIENCE):
                with contextlib.suppress(OSError):  # we are leaving, perhaps
                    socket.send_fds(where, [b"\1\0"], [client.fileno()])
                    return      # closed, not shut down; the NUL promises
            await asyncio.wait_for(end(client), 3)
        except (OSError, asyncio.TimeoutError):
            pass                # it has left, or says nothing
        except Exception:
            traceback.print_exc()
    promise(where, 1)


def promise(where, clients):
    with contextlib.suppress(OSError):  # of its end, reading from it tells
        where.send(bytes(clients))


def take(ended):
    """What fdproxy has sent: a client, or the end."""
    try:
        byte, fds, _, _ = socket.recv_fds(channel, 1, 1)
    except BlockingIOError:
        return
    except OSError:
        byte, fds = b"", []
    if fds:
        client = socket.socket(fileno=fds[0])
        client.set_inheritable(False)
        task = loop.create_task(serve(client))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    elif byte:                  # MSG_CTRUNC: no descriptor was free in here
        print("a client was lost", file=sys.stderr)
        promise(channel, 1)
    else:
        loop.remove_reader(channel)
        ended.set_result(None)


def leave():
    leaving.set()
    with contextlib.suppress(OSError):  # no more; what was sent is served
        channel.shutdown(socket.SHUT_WR)


async def main():
    global channel, leaving, loop, name, tasks
    leaving, loop, tasks = asyncio.Event(), asyncio.get_running_loop(), set()
    path, name = (sys.argv[1:] + [os.path.basename(sys.argv[0])])[:2]
    channel = socket.socket(socket.AF_UNIX)
    for number in signal.SIGTERM, signal.SIGINT:
        loop.add_signal_handler(number, leave)
    delay = 0.1
    while not leaving.is_set():
        channel.setblocking(False)
        with channel, contextlib.suppress(OSError):
            channel.connect(path)
            promise(channel, CLIENTS)
            ended = loop.create_future()
            loop.add_reader(channel, take, ended)
            since = loop.time()
            await ended
            if loop.time() - since > 1:
                delay = 0.1
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(leaving.wait(),
                                   delay * random.uniform(0.5, 1.5))
        delay = min(2 * delay, 5)
        channel = socket.socket(socket.AF_UNIX)
    await asyncio.gather(*tasks)


asyncio.run(main())
