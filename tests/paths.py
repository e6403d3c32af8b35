# See LICENSE for copyright and license details.
"""Whether fdproxy and nginx read the same path, where fdproxy takes it at all.

    paths.py build/normal SOCKET [how many]

nginx, at that unix socket, answers with its $uri.
"""
import random
import socket
import subprocess
import sys

PIECES = ["/", "/", "/", "//", "a", "b", "admin", ".", "..", "/./", "/../",
          "%2e", "%2E%2e", "%2f", "%2F", "%00", "%61", "%41", "%7e", "%20",
          "%25", "%3f", "%5c", "%C3%A9", "%80", "%", "%4", "%zz", "x", "-",
          "~", ";", "=", "+", "@", ":", "\\"]


def targets(n):
    rnd = random.Random(1)
    for _ in range(n):
        yield "/" + "".join(rnd.choice(PIECES)
                            for _ in range(rnd.randrange(12)))


def ask(where, paths):
    """nginx's answers, over connections that it keeps: $uri, or None."""
    conn = None
    for path in paths:
        while True:
            if conn is None:
                conn = socket.socket(socket.AF_UNIX)
                conn.settimeout(60)
                conn.connect(where)
                stream = conn.makefile("rb")
            try:
                conn.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" %
                             path.encode())
                status = stream.readline().split()
            except ConnectionError:
                status = []
            if status:
                break
            conn = None
        length, keep = 0, True
        while True:
            line = stream.readline().strip().lower()
            if not line:
                break
            if line.startswith(b"content-length:"):
                length = int(line[15:])
            if line == b"connection: close":
                keep = False
        body = stream.read(length)
        yield body if status[1] == b"200" else None
        if not keep:
            conn.close()
            conn = None


def main():
    paths = list(targets(int(sys.argv[3]) if len(sys.argv) > 3 else 20000))
    out = subprocess.run([sys.argv[1]], input="\n".join(paths) + "\n",
                         stdout=subprocess.PIPE, check=True, text=True)
    equal = refused = 0
    for path, ours, theirs in zip(paths, out.stdout.split(),
                                  ask(sys.argv[2], paths)):
        if len(ours) == 3:          # a status; hexadecimal digits are even
            refused += 1
        elif theirs is not None and bytes.fromhex(ours) == theirs:
            equal += 1
        else:
            sys.exit("%s: %s here, %s there" % (path, bytes.fromhex(ours),
                                                theirs))
    if equal < len(paths) / 10:
        sys.exit("only %d were equal" % equal)
    print("%d paths as nginx reads them, %d refused" % (equal, refused))


main()
