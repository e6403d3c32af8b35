#!/bin/sh
# See LICENSE for copyright and license details.
#
# The life of a server, with public tools: load across renewals,
# supervisors, many connections from one address, several processes at one
# listener, the counters.  Needs ab, curl, python3 and promtool;
# systemd-socket-activate where there is one.
set -eu
top=$(pwd)
: "${REQUESTS:=200000}"
dir=$(mktemp -d)
pids=
trap 'kill -KILL $pids 2>/dev/null || :; wait; rm -rf "$dir"' EXIT
cd "$dir"

ok() { echo "ok    $*"; }
die() {
	echo "FAIL  $*"
	cat err* 2>/dev/null || :
	exit 1
}

# await WHAT COMMAND ...: until it succeeds, 20 s at most
await() {
	what=$1
	shift
	n=0
	until "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		test $n -lt 2000 || die "$what does not happen"
		sleep 0.01
	done
}

# start NAME COMMAND ...: sets $proxy and $port
start() {
	name=$1
	shift
	rm -f port
	"$@" >port 2>err.$name &
	proxy=$!
	pids="$pids $proxy"
	await "the start of $name" test -s port
	port=$(sed 's/.*://' port)
}

cc -O2 -o backend "$top/examples/backend.c"
./backend be & pids="$pids $!"
cat >answers.py <<'E'
"""The backend serves one client at a time, waits for the end of each, and gets
them in an order that nobody can know: they are read all at once."""
import selectors

def served(clients):
    """How many of them get what the backend says."""
    answers, waiting, served = dict.fromkeys(clients, b""), len(clients), 0
    with selectors.DefaultSelector() as selector:
        for c in clients:
            selector.register(c, selectors.EVENT_READ)
        while waiting:
            ready = selector.select(300)
            assert ready, "%d have no answer" % waiting
            for c in (key.fileobj for key, _ in ready):
                part = c.recv(65536)
                answers[c] += part
                if not part:
                    selector.unregister(c)
                    c.close()
                    waiting -= 1
                    served += answers[c].startswith(b"HTTP/1.1 200 ") and \
                        answers[c].endswith(b"\r\n\r\nHello from C.\n")
    return served
E
cat >slow.py <<'E'
"""1 MiB a second, for 8 seconds."""
import os, socket, sys, threading, time
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(128)
def serve(client):
    for i in range(32):
        client.sendall(b"x" * (1 << 18))
        time.sleep(.25)
    client.shutdown(socket.SHUT_WR)
    client.close()
while True:
    conn, _ = listener.accept()
    fds = socket.recv_fds(conn, 1, 1)[1]
    conn.close()
    if fds:
        client = socket.socket(fileno=fds[0])
        threading.Thread(target=serve, args=(client,)).start()
E
python3 slow.py slow & pids="$pids $!"
await "a backend" test -S slow

# ---- load, 25 renewals, 5 of them with another file; who must not notice ----

cat >clients.py <<'E'
"""PORT PID: clients of all kinds, through 20 SIGHUPs and 5 SIGUSR2s."""
import os, shutil, signal, socket, sys, threading, time
from answers import served
port, pid = map(int, sys.argv[1:])
FILE = 16 * 1024 * 1024

def client(text, small=False):
    c = socket.socket()
    if small:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    c.settimeout(300)
    c.connect(("127.0.0.1", port))
    c.sendall(text)
    return c

def read_slowly(c, n):
    """1 MiB a second, so that it is written to all the while."""
    while part := c.recv(65536):
        n[0] += len(part)
        time.sleep(.0625)

waiting = [client(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
    for i in range(100)]
size = [0]
slow = client(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n", True)
reader = threading.Thread(target=read_slowly, args=(slow, size))
reader.start()
halves = [client(b"GET /app HTTP/1.1\r\n") for i in range(100)]
answered = 0
for i in range(25):
    if i % 5 == 4:
        shutil.copy("fdproxy", "new")
        os.rename("new", "fdproxy")
        before = os.stat("/proc/%d/exe" % pid).st_ino
        os.kill(pid, signal.SIGUSR2)
        while os.stat("/proc/%d/exe" % pid).st_ino == before:
            time.sleep(.01)
        for c in halves:
            c.sendall(b"Host: x\r\n\r\n")
            answered += served([c])
        halves = [client(b"GET /app HTTP/1.1\r\n") for i in range(100)]
    else:
        os.kill(pid, signal.SIGHUP)
    while open("log").read().count("notice: renewed: ") <= i:
        time.sleep(.01)
    time.sleep(.5)
assert answered == 500, answered
os.symlink("be", "late")
answered = served(waiting)
assert answered == 100, answered
reader.join()
assert size[0] > FILE, size
E
cp "$top/fdproxy" .
{ printf 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n'; head -c 16777216 \
    /dev/zero; } >file
# With its head it is more than a file may have.
truncate -s 16777216 file
cat >conf <<'E'
AcceptFilter http none
ErrorLog log
CustomLog access
PidFile pid
RequestReadTimeout header=5min
ProxyPass /app fd://be wait=10min connectiontimeout=10min
ProxyPass /late fd://late wait=10min connectiontimeout=10min
ProxyPass /file fd://be flusher=file:file
ProxyPass /slow fd://slow
E
start load ./fdproxy -1 -l 127.0.0.1:0 -f conf
curl -sS http://127.0.0.1:$port/slow >one & one=$!
ab -q -n "$REQUESTS" -c 100 http://127.0.0.1:$port/app >ab 2>&1 & load=$!
python3 clients.py $port $proxy || die "clients: $(cat log)"
wait $load || die "ab: $(cat ab)"
grep -q '^Failed requests: *0$' ab || die "ab: $(cat ab)"
grep -q "^Complete requests: *$REQUESTS\$" ab || die "ab: $(cat ab)"
ok "25 renewals, 5 by another file, under $REQUESTS requests: 0 failed"
ok "500 half heads, 100 that wait and a slow reader: all served"
n=$(grep -c "notice: renewed: " log)
test "$n" = 25 || die "$n renewals: $(cat log)"
test "$(cat pid)" = $proxy || die "the process id has changed"
test -z "$(grep -v '^\[.*\] fdproxy: ' log)" || die "a message is cut"
n=$(grep -c '"GET /app HTTP/1.[01]" 200 - ' access)
test "$n" = $((REQUESTS + 500)) || die "$n lines of the access log"
ok "the process id is the same, and the logs are whole"
await "the end of old processes" sh -c \
    "test -z \"\$(cat /proc/$proxy/task/$proxy/children)\""
curl -sS http://127.0.0.1:$port/slow >two & two=$!
await "the second download" test -s two
kill $proxy
wait $proxy || die "stop: status $?"
wait $one $two
for f in one two; do
	test "$(wc -c <$f)" = 8388608 || die "a download was cut"
done
ok "downloads in progress survive renewals and the stop"

# ---- supervisors ----

free_port() {
	python3 -c 'import socket; s = socket.socket()
s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

if command -v systemd-socket-activate >/dev/null; then
	port=$(free_port)
	systemd-socket-activate -l 127.0.0.1:$port "$top/fdproxy" \
	    -r /app="$dir/be" 2>err.systemd & pids="$pids $!"
	await "socket activation" grep -q Listening err.systemd
	test "$(curl -sS http://127.0.0.1:$port/app)" = "Hello from C." ||
	    die "socket activation"
	ok "systemd-socket-activate"
else
	ok "systemd-socket-activate: not on this machine"
fi
cat >s6.py <<'E'
"""s6 fashion: the listener is descriptor 0, readiness comes on another."""
import os, socket, subprocess, sys
from answers import served
s = socket.create_server(("127.0.0.1", 0))
r, w = os.pipe()
p = subprocess.Popen(sys.argv[1:] + ["-N", str(w)], stdin=s, pass_fds=[w])
os.close(w)
assert os.read(r, 9) == b"\n" and os.read(r, 9) == b""
c = socket.create_connection(s.getsockname())
c.sendall(b"GET /app HTTP/1.1\r\nHost: x\r\n\r\n")
assert served([c]) == 1
p.terminate()
assert p.wait() == 0
E
python3 s6.py "$top/fdproxy" -r /app="$dir/be" 2>err.s6 || die "s6"
ok "a listener as descriptor 0 and a newline when ready, as with s6"

# ---- 20,000 connections, no descriptors, a full disk ----

cat >flood.py <<'E'
"""PORT: 20,000 connections from one address, then a client that speaks."""
import resource, socket, sys
from answers import served
port = int(sys.argv[1])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
held, opened = [], 0
while opened < 20000:
    try:
        held.append(socket.create_connection(("127.0.0.1", port), 60))
        opened += 1
    except OSError as e:
        assert held, e          # our own limit: begin to let go
        for s in held:
            s.close()
        held = []
c = socket.create_connection(("127.0.0.1", port), 60)
c.sendall(b"GET /app HTTP/1.1\r\nHost: x\r\n\r\n")
assert served([c]) == 1
print(opened)
E
start flood "$top/fdproxy" -1 -l 127.0.0.1:0 -r /app=be -c 'LogLevel error' \
    -c 'AcceptFilter http none'
test "$(python3 flood.py $port)" = 20000 || die "flood"
ok "20,000 silent connections from one address, the next client is served"
(ulimit -n 64; exec "$top/fdproxy" -1 -l 127.0.0.1:0 -r /app=be \
    -c 'AcceptFilter http none' -c 'MaxConnections 1000') >port2 2>err.few &
pids="$pids $!"
await "a start" test -s port2
few=$(sed 's/.*://' port2)
test "$(python3 flood.py $few)" = 20000 || die "flood with 64 descriptors"
ok "the same with 64 descriptors"
if [ -w /dev/full ]; then
	start full "$top/fdproxy" -1 -l 127.0.0.1:0 -r /app=be \
	    -c 'ErrorLog /dev/full' -c 'CustomLog /dev/full' -v
	ab -q -n 2000 -c 20 http://127.0.0.1:$port/app >ab 2>&1
	grep -q '^Failed requests: *0$' ab || die "full disk: $(cat ab)"
	ok "a full disk under the logs: 0 of 2000 failed"
fi

# ---- three processes at one listener ----

cat >shared.py <<'E'
"""Three of them, load, one killed: all hand off, the others go on."""
import atexit, os, re, signal, socket, subprocess, sys, time
from answers import served
top, n = sys.argv[1], sys.argv[2]
s = socket.create_server(("127.0.0.1", 0), backlog=511)
port = s.getsockname()[1]
procs = []
# Else whoever reads our output waits for them, if this fails.
atexit.register(lambda: [p.kill() for p in procs])
for i in range(3):
    procs.append(subprocess.Popen([top + "/fdproxy", "-l",
        "fd:%d" % s.fileno(), "-r", "/app=be", "-c", "ErrorLog log%d" % i,
        "-c", "PidFile pid%d" % i], pass_fds=[s.fileno()]))
for i in range(3):
    while not os.path.exists("pid%d" % i) or not open("pid%d" % i).read():
        time.sleep(.01)
def ab():
    out = subprocess.run(["ab", "-q", "-n", n, "-c", "100",
        "http://127.0.0.1:%d/app" % port], capture_output=True, text=True)
    assert re.search("Failed requests: *0\n", out.stdout), out
def client():
    c = socket.create_connection(("127.0.0.1", port), 60)
    c.sendall(b"GET /app HTTP/1.1\r\nHost: x\r\n\r\n")
    return c
ab()
# Who accepts is whoever wakes up first: each once alone.
for p in procs:
    for q in procs:
        q.send_signal(signal.SIGCONT if q is p else signal.SIGSTOP)
    assert served([client() for i in range(10)]) == 10
for p in procs:
    p.send_signal(signal.SIGCONT)
    p.send_signal(signal.SIGALRM)
passed = []
for i in range(3):
    while not (m := re.search(r"passed (\d+)", open("log%d" % i).read())):
        time.sleep(.01)
    passed.append(int(m[1]))
assert sum(passed) == int(n) + 30 and min(passed) >= 10, passed
# All stopped: connections queue.  One dies, the others wake up.
for p in procs:
    p.send_signal(signal.SIGSTOP)
clients = [client() for i in range(100)]
procs[0].send_signal(signal.SIGKILL)
procs[0].wait()
for p in procs[1:]:
    p.send_signal(signal.SIGCONT)
assert served(clients) == 100
ab()
for p in procs[1:]:
    p.terminate()
    assert p.wait() == 0
print("handed off " + ", ".join(map(str, passed)))
E
shared=$(python3 shared.py "$top" 20000 2>err.shared) || die "shared listener"
ok "three processes at one listener: $shared; one killed: 0 failed"

# ---- the counters ----

start status "$top/fdproxy" -1 -l 127.0.0.1:0 -r /app=be -r /missing=nothing \
    -r /status=status: -c 'RequestReadTimeout header=3s' \
    -c 'AcceptFilter http none' -c 'LogLevel error'
url=http://127.0.0.1:$port
for i in 1 2 3 4 5; do curl -sS $url/app >/dev/null; done
for i in 1 2 3; do curl -sS $url/nothing >/dev/null; done
for i in 1 2; do curl -sS $url/missing >/dev/null; done
curl -sS -X CONNECT --request-target x:1 $url >/dev/null
curl -sS -H 'Expect: more' $url/app >/dev/null
curl -sS --http1.0 -H 'Host: a b' $url/app >/dev/null
python3 - $port <<'E'
import socket, sys
def raw(text, end=False):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60)
    s.sendall(text)
    if end:
        return s.close()
    while s.recv(4096):
        pass
raw(b"GET / HTTP/1.1\r\n")                      # 408
raw(b"")                                        # silent till the end
raw(b"GET /%s HTTP/1.1\r\n\r\n" % (b"a" * 9000))        # 414
raw(b"GET / HTTP/1.1\r\nHost: x\r\nA: %s\r\n\r\n" % (b"a" * 9000))
raw(b"GET / HTTP/3.1\r\nHost: x\r\n\r\n")       # 505
raw(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")   # 200
raw(b"", True)                                  # gone
E
curl -sS $url/status >page
promtool check metrics <page || die "promtool"
ok "promtool check metrics"
python3 - <<'E' || die "counters: $(cat page)"
values = dict(line.rsplit(" ", 1) for line in open("page").read().splitlines()
    if not line.startswith("#"))
def n(name):
    return int(values["fdproxy_" + name])
want = {"200": 2, "400": 1, "404": 3, "405": 1, "408": 1, "414": 1, "417": 1,
    "431": 1, "500": 0, "503": 2, "505": 1}
have = {s: n('answered_total{status="%s"}' % s) for s in want}
assert have == want, have
assert n('handoffs_total{route="/app"}') == 5
assert n('handoffs_total{route="/missing"}') == 0
assert n("gone_total") == 2 and n("head_timeouts_total") == 2
assert n("accepted_total") == sum(have.values()) + 5 + 2
E
ok "the counters are what the clients counted"
