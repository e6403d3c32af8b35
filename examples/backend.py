"""A backend in Python 3.9 or later.  It answers every client with one line:

    python3 backend.py /tmp/app.sock
    fdproxy -l 127.0.0.1:8080 -r /=/tmp/app.sock
"""
import contextlib, os, socket, sys, time

with contextlib.suppress(FileNotFoundError):
    os.unlink(sys.argv[1])
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(128)
while True:
    conn, _ = listener.accept()
    with conn:
        message, fds, _, _ = socket.recv_fds(conn, 1, 1)
    if message and not fds:     # MSG_CTRUNC: no descriptor was free in here
        print("a client was lost", file=sys.stderr)
    if not fds:                 # without a message as well, it was a probe
        continue
    with socket.socket(fileno=fds[0]) as client, contextlib.suppress(OSError):
        client.settimeout(2)
        client.sendall(b"Hello from Python.\n")     # the body alone
        client.shutdown(socket.SHUT_WR)             # its end
        last = time.monotonic() + 3                 # what nobody has read
        while client.recv(4096) and time.monotonic() < last:
            pass
