# See LICENSE for copyright and license details.
"""Whether a server that was given a client answers a second request of it.

    second.py HOST:PORT PATH

Each kind of first request comes with a second one, in the same segment, after
the answer, and in one segment with the first one's last byte.  The server may
answer what it likes, but once.  Prints how many connections were made.
"""
import re
import socket
import sys
import threading

SECOND = b"GET %s/second HTTP/1.1\r\nHost: a\r\n\r\n"
ALIVE = b"Connection: keep-alive\r\n"
BODY = (b"Connection: keep-alive\r\n\r\nGET %s/second HTTP/1.1\r\n"
        b"Host: a\r\n\r\n")
WEBSOCKET = (b"Host: a\r\nConnection: keep-alive, Upgrade\r\n"
             b"Upgrade: websocket\r\nSec-WebSocket-Version: 77\r\n"
             b"Sec-WebSocket-Key: x\r\n\r\n")


# What any server answers.
ALWAYS = "plain", "keep-alive", "body"


def get(fields, method=b"GET", version=b"1.1"):
    return (method + b" %s/first HTTP/" + version + b"\r\nHost: a\r\n" +
            fields + b"\r\n")


def length(body):
    return b"Content-Length: %d\r\n" % len(body)


# name: the first request, and what comes behind it before the second one
def kinds(path):
    body = BODY % path
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    many = b"".join(b"X-%d: y\r\n" % i for i in range(80))
    return {
        "plain": (get(b""), b""),
        "keep-alive": (get(ALIVE), b""),
        "1.0": (get(b"", version=b"1.0"), b""),
        "1.0 keep-alive": (get(ALIVE, version=b"1.0"), b""),
        "40 fields": (get(ALIVE * 40), b""),
        "close, TE": (get(b"Connection: close, TE\r\nTE: trailers\r\n"),
                      b""),
        "close, keep-alive": (get(b"Connection: close, keep-alive\r\n"), b""),
        "odd": (get(b"cOnNeCtIoN:\tKeep-Alive \r\nKeep-Alive: 99\r\n"), b""),
        "80 fields before": (get(many + ALIVE), b""),
        "80 fields around": (get(many[:300] + ALIVE + many[300:]), b""),
        "empty lines": (b"\r\n\r\n" + get(ALIVE), b""),
        "Proxy-Connection": (get(b"Proxy-Connection: keep-alive\r\n"), b""),
        "Expect": (get(b"Expect: 100-continue\r\n" + ALIVE + length(body),
                       b"POST"), body),
        "body": (get(ALIVE + length(body), b"POST"), body),
        "chunked": (get(ALIVE + b"Transfer-Encoding: chunked\r\n", b"POST"),
                    chunks),
        "trailers": (get(b"Transfer-Encoding: chunked\r\n", b"POST"),
                     b"3\r\nabc\r\n0\r\nConnection: keep-alive\r\n" +
                     ALIVE * 2 + b"\r\n"),
        "GET with body": (get(ALIVE + length(body)), body),
        "GET chunked": (get(b"Transfer-Encoding: chunked\r\n"), chunks),
        "HEAD": (get(ALIVE, b"HEAD"), b""),
        "OPTIONS": (get(ALIVE, b"OPTIONS"), b""),
        "Upgrade of nothing": (get(b"Connection: Upgrade\r\n"), b""),
        "Upgrade": (get(b"Connection: Upgrade\r\nUpgrade: foo\r\n"), b""),
        "Upgrade twice": (get(b"Connection: keep-alive, Upgrade\r\n"
                              b"Upgrade: websocket\r\nUpgrade: h2c\r\n"), b""),
        "h2c": (get(b"Connection: Upgrade, HTTP2-Settings\r\n"
                    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"), b""),
        "WebSocket": (b"GET %s/first HTTP/1.1\r\n" + WEBSOCKET, b""),
        "WebSocket, frame": (b"GET %s/first HTTP/1.1\r\n" + WEBSOCKET,
                             b"\x81\x85"),
        "WebSocket by POST": (b"POST %s/first HTTP/1.1\r\n" +
                              length(body) + WEBSOCKET, body),
    }


def until(client, pattern, received, seconds=2):
    """Read until that is there, or the end, or nothing for so long."""
    client.settimeout(seconds)
    try:
        while not re.search(pattern, received, re.S):
            part = client.recv(65536)
            if not part:
                return received, True
            received += part
    except ConnectionError:
        return received, True
    except TimeoutError:
        pass
    return received, False


def ask(where, path, kind, how):
    """One connection; what is wrong with it, or None."""
    first, behind = kinds(path)[kind]
    first = first.replace(b"%s", path)
    second = SECOND % path
    received = b""
    with socket.create_connection(where, timeout=60) as client:
        try:
            if how == "at once":
                client.sendall(first + behind + second)
            elif how == "held back":
                whole = first + behind
                client.sendall(whole[:-1])
                client.sendall(whole[-1:] + second)
            else:
                client.sendall(first + behind)
                received, ended = until(client, rb"\r\n\r\n", b"",
                                        60 if kind in ALWAYS else 2)
                if not ended:
                    client.sendall(second)
        except ConnectionError:
            pass
        received, ended = until(client, rb"(?!)", received)
    answers = re.findall(rb"HTTP/1\.[01] (?!1[0-9][0-9])[0-9]{3} ", received)
    if len(answers) > 1:
        return "answered twice"
    # Some drop the first one of two that come together.
    if kind in ALWAYS and not answers and how == "afterwards":
        return "not answered at all"
    return None


def main():
    host, port = sys.argv[1].split(":")
    path = sys.argv[2].encode()
    wrong, threads, gate = [], [], threading.Semaphore(16)

    def run(kind, how):
        with gate:
            problem = ask((host, int(port)), path, kind, how)
            if problem:
                wrong.append("%s, %s: %s" % (kind, how, problem))

    for kind in kinds(path):
        for how in "at once", "afterwards", "held back":
            threads.append(threading.Thread(target=run, args=(kind, how)))
            threads[-1].start()
    for thread in threads:
        thread.join()
    if wrong:
        sys.exit("\n".join(wrong))
    print(len(threads))


main()
