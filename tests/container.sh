#!/bin/sh
# See LICENSE for copyright and license details.
#
# fdproxy as the entrypoint of a container, in namespaces: as process 1, in a
# rolling deploy, beside a backend without a network, and in an image that
# holds nothing else.  Run by root, from the top folder, after make; needs
# unshare, nsenter, setpriv, ip, ps, python3, ab, curl, cc and musl-gcc; Node
# and npm where they are.
set -eu
if [ -z "${CONTAINER_SH-}" ]; then
	CONTAINER_SH=1 exec unshare --mount timeout 1200 sh "$0" "$@"
fi
top=$(pwd)
fdproxy=$(realpath "${FDPROXY:-./fdproxy}")
dir=$(mktemp -d)
chmod 755 "$dir"
pids=
trap 'kill $pids 2>/dev/null || :; wait; cd /; umount "$dir/root" \
    2>/dev/null || :; rm -rf "$dir"' EXIT
failed=0
cd "$dir"

ok() { echo "ok    $*"; }
bad() {
	echo "FAIL  $*"
	failed=1
}
die() {
	bad "$*"
	exit 1
}
ms() { echo $(($(date +%s%N) / 1000000)); }

# wait_for COMMAND: until it succeeds, five minutes at most
wait_for() {
	end=$(($(ms) + 300000))
	until "$@"; do
		[ "$(ms)" -lt $end ] || die "no end of waiting: $*"
	done
}

# started PID; reap PID: its status is $got
started() { pids="$pids $1 "; }
reap() {
	got=0
	wait $1 || got=$?
	pids="${pids%% $1 *} ${pids#* $1 }"
}

# A process, seen from here, by the one that has cloned it.
child_of() { ps -o pid= --ppid "$1" | tr -d ' '; }
ended() { ! kill -0 "$1" 2>/dev/null; }

[ "$(id -u)" -eq 0 ] || die "needs root"
for tool in unshare nsenter setpriv ip ps python3 ab curl cc musl-gcc; do
	command -v $tool >/dev/null || die "needs $tool"
done
cc -O2 -o child "$top/contrib/child.c"

# ---- process 1 ----

pid1() { timeout 120 unshare --pid --fork --mount-proc "$@"; }

# status WANT WHAT COMMAND ...
status() {
	want=$1 what=$2 got=0
	shift 2
	pid1 "$@" >out 2>err || got=$?
	if [ $got -eq $want ]; then
		ok "process 1: $what: status $got"
	else
		bad "process 1: $what: status $got, not $want: $(cat err)"
	fi
}
printf 'no program\n' >plain
set -- "$fdproxy" -l 127.0.0.1:0 -r /=s
status 9 "its command ends at once" "$@" sh -c 'echo $PPID; exit 9'
[ "$(cat out)" = 1 ] || bad "process 1: it is $(cat out)"
status 137 "its command ends by SIGKILL" "$@" sh -c 'kill -9 $$'
status 125 "no socket in time" "$@" -c "StartTimeout 200ms" sleep 60
status 125 "a bad directive" "$@" -c "Bad 1" sleep 60
status 126 "not executable" "$@" ./plain
status 127 "not found" "$@" ./nothing

cat >orphans.sh <<'S'
i=0
while [ $i -lt 1000 ]; do
	(sh -c 'while read pid name state parent rest </proc/$$/stat &&
	    [ $parent != 1 ]; do :; done; echo $parent >>orphans' &)
	i=$((i + 1))
done
exec ./child
S
unshare --pid --fork --kill-child --mount-proc "$fdproxy" -1 \
    -l 127.0.0.1:0 -c "StartTimeout 5min" -c "StopTimeout 60s" -r /=:child \
    sh orphans.sh >port 2>err &
outer=$!
started $outer
all_orphans() { [ -f orphans ] && [ "$(grep -c '^1$' orphans)" = 1000 ]; }
wait_for all_orphans
one=$(child_of $outer)
inside() { nsenter -t "$one" -p -m "$@"; }
alone() { [ "$(inside ps -e -o comm= | sort | tr '\n' ' ')" = "$1" ]; }
wait_for alone "child fdproxy ps "
url=http://$(cat port)
curl -sSf "$url/" >/dev/null || bad "process 1: it does not serve"
# What is no child of the child's goes, too.
{ inside setsid sleep 1000; } 2>/dev/null &
wait_for alone "child fdproxy ps sleep "
before=$(ms)
# With process 1, the system kills whoever is in there, this shell's child too.
inside sh -c 'kill -TERM 1' || :
reap $outer
after=$(ms)
[ $got -eq 0 ] || bad "process 1: status $got, not the child's"
[ $((after - before)) -lt 50000 ] || bad "process 1: $((after - before)) ms"
wait_for ended "$one"
ok "process 1: 1000 orphans reaped; kill -TERM 1: $((after - before)) ms," \
    "status $got"

unshare --pid --fork --kill-child --mount-proc "$fdproxy" -l 127.0.0.1:0 \
    -c "StopTimeout 60s" -r /=s sh -c \
    'trap "exit 42" TERM; while :; do sleep 0.1; done' 2>err &
outer=$!
started $outer
has_child() { [ -n "$(child_of $outer)" ]; }
wait_for has_child
one=$(child_of $outer)
shell_is_there() { inside ps -e -o args= | grep -q '^sleep'; }
wait_for shell_is_there
before=$(ms)
inside sh -c 'kill -TERM 1' || :
reap $outer
after=$(ms)
if [ $got -eq 42 ] && [ $((after - before)) -lt 50000 ]; then
	ok "process 1: the child's own status after SIGTERM: $got"
else
	bad "process 1: status $got, not 42, after $((after - before)) ms"
fi

# ---- a rolling deploy ----

cat >rolling.py <<'S'
import os, re, signal, socket, subprocess, sys, threading, time
fdproxy, rounds, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
listener = socket.create_server(("127.0.0.1", 0), backlog=511)
port = listener.getsockname()[1]

def start():
    r, w = os.pipe()
    p = subprocess.Popen([fdproxy, "-l", f"fd:{listener.fileno()}", "-N",
        str(w), "-c", "GracefulShutdownTimeout 60s", "-r", "/=:child",
        "./child"], stderr=subprocess.PIPE,
        pass_fds=(listener.fileno(), w))
    os.close(w)
    if os.read(r, 1) != b"\n":
        sys.exit(f"not ready: {p.stderr.read()}")
    os.close(r)
    return p

done = threading.Event()
served, errors = {}, []

def client():
    """One that takes its time between connection and request."""
    while not done.is_set():
        try:
            begin = time.monotonic()
            with socket.create_connection(("127.0.0.1", port), 60) as s:
                time.sleep(pause)
                s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                text = b"".join(iter(lambda: s.recv(4096), b""))
            m = re.fullmatch(rb"HTTP/1.1 200.*\r\n\r\n\S+ \d+ is served by "
                rb"(\d+)\n", text, re.S)
            if m:
                served[m[1]] = served.get(m[1], 0) + 1
            # Who says nothing for a second is not waited for at the end.
            elif text or time.monotonic() - begin < 1:
                errors.append(text)
        except OSError as e:
            errors.append(e)

both = [start(), start()]
if pause:
    load = [threading.Thread(target=client) for _ in range(16)]
    for t in load:
        t.start()
else:
    load = subprocess.Popen(["ab", "-q", "-t", "120", "-n", "100000000", "-c",
        "16", f"http://127.0.0.1:{port}/"], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
for n in range(rounds):
    for i in range(2):
        both[i].terminate()
        if both[i].wait(120) != 0:
            sys.exit(f"status {both[i].returncode}: {both[i].stderr.read()}")
        both[i] = start()
        time.sleep(0.2)
if pause:
    done.set()
    for t in load:
        t.join()
    good, failures = sum(served.values()), len(errors)
else:
    load.send_signal(signal.SIGINT)
    text = load.communicate()[0]
    try:
        good = int(re.search(r"Complete requests: *(\d+)", text)[1])
        failures = int(re.search(r"Failed requests: *(\d+)", text)[1])
    except TypeError:
        sys.exit(text)
for p in both:
    p.terminate()
    if p.wait(120) != 0:
        sys.exit(f"status {p.returncode}: {p.stderr.read()}")
print(f"{good} served, {failures} failed, {rounds * 2} stops",
    *map(repr, errors[:3]))
sys.exit(failures != 0 or good < 100)
S
for pause in 0 0.01; do
	if text=$(timeout 600 python3 rolling.py "$fdproxy" 10 $pause 2>&1); then
		ok "rolling deploy, $pause s from connection to request: $text"
	else
		bad "rolling deploy, $pause s from connection to request: $text"
	fi
done

# ---- a backend without a network ----

cat >client.py <<'S'
import socket, sys
host, port = sys.argv[1].rsplit(":", 1)
for last in range(2, 12):
    with socket.create_connection((host, int(port)), 60,
        (f"127.0.0.{last}", 0)) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        own = "%s %d is served by " % s.getsockname()
        text = b"".join(iter(lambda: s.recv(4096), b"")).decode()
    if own not in text:
        sys.exit(f"not {own}: {text}")
S
cat >launch.py <<'S'
"""A listener as descriptor 9, its address in a file, then a command."""
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
with open(sys.argv[1] + ".new", "w") as f:
    print("127.0.0.1:%d" % listener.getsockname()[1], file=f)
os.dup2(listener.fileno(), 9)
os.rename(sys.argv[1] + ".new", sys.argv[1])
os.execvp(sys.argv[2], sys.argv[2:])
S
cat >down.py <<'S'
"""What network there is, in the file links, then the backend."""
import fcntl, os, socket, struct
names = [name for _, name in socket.if_nameindex()]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    flags = struct.unpack("16xH22x", fcntl.ioctl(s, 0x8913,   # SIOCGIFFLAGS
        struct.pack("16s24x", b"lo")))[0]
with open("links.new", "w") as f:
    print(*names, "up" if flags & 1 else "down", file=f)
os.rename("links.new", "links")
os.execv("./child", ["./child"])
S
isolated() {	# isolated WHAT: its address is in the file port
	wait_for [ -s port ]
	timeout 120 python3 client.py "$(cat port)" ||
	    bad "network: $1: wrong addresses"
	[ "$(cat links)" = "lo down" ] || bad "network: $1: $(cat links)"
	kill $last
	reap $last
	if [ $got -eq 0 ]; then
		ok "network: $1: 10 clients by their own addresses"
	else
		bad "network: $1: status $got"
	fi
}
rm -f port links
"$fdproxy" -1 -l 127.0.0.1:0 -r /=:child unshare --net python3 down.py \
    >port 2>err &
last=$!
started $last
isolated "the backend alone has none"
rm -f port links
python3 launch.py port unshare --net "$fdproxy" -l fd:9 -r /=:child \
    python3 down.py 2>err &
last=$!
started $last
wait_for [ -s links ]
isolated "neither has one, the listener is inherited"

# ---- a server as it is ----

# The port it listens on is nobody's: the one command is all there is.
cat >server.js <<'S'
require('http').createServer((req, res) => {
  res.end(`${req.socket.remoteAddress} ${req.url} ` +
    req.headers.connection);
}).listen(3000);
S
echo '{ "scripts": { "start": "node server.js" } }' >package.json

# server WHAT OPTIONS ...: fdproxy as process 1, and what it starts
server() {
	what=$1
	shift
	rm -f ports
	unshare --pid --net --fork --kill-child --mount-proc sh -c \
	    'ip link set lo up && exec "$@"' sh "$fdproxy" -1 -l 8080 \
	    -c "StartTimeout 5min" "$@" >ports 2>err &
	outer=$!
	started $outer
	wait_for [ -s ports ]
	one=$(child_of $outer)
	out=$(nsenter -t $one -n curl -sS -m 300 --interface 127.0.0.7 \
	    -H 'Connection: keep-alive' http://127.0.0.1:8080/x) ||
	    bad "$what: $(cat err)"
	[ "$out" = "127.0.0.7 /x close" ] || bad "$what: \"$out\""
	kill $one
	reap $outer
	case $got in
	0 | 143) ok "process 1: $what: $out; status $got" ;;
	*) bad "process 1: $what: status $got: $(cat err)" ;;
	esac
}

if command -v node >/dev/null; then
	server "node server.js as :child" -r /=:child,flusher=none \
	    "$top/fdaccept" -p 3000 node server.js
else
	echo "(no node: left out)"
fi
if command -v npm >/dev/null; then
	server "npm start by a path" \
	    -r "/=$dir/app.sock,flusher=none,wait=5min" \
	    "$top/fdaccept" -p "3000=$dir/app.sock" npm start
else
	echo "(no npm: left out)"
fi

# ---- an answer that is under way at the end ----

# drains WHAT STATUS OPTIONS ...: fdproxy as process 1 is told to stop when the
# answer has begun; it must come whole, and the status be the command's.
drains() {
	what=$1 want=$2
	shift 2
	rm -f port
	: >slow
	unshare --pid --fork --kill-child --mount-proc "$fdproxy" -1 \
	    -l 127.0.0.1:0 -c "StartTimeout 5min" \
	    -c "StopTimeout 60s" "$@" >port 2>err &
	outer=$!
	started $outer
	wait_for [ -s port ]
	curl -sSN -m 300 "http://$(head -n 1 port)/slow" >slow 2>curl.err &
	curl=$!
	wait_for grep -q begin slow
	before=$(ms)
	kill $(child_of $outer)
	rc=0
	wait $curl || rc=$?
	reap $outer
	if [ $rc -eq 0 ] && tail -n 1 slow | grep -q end &&
	    [ $got -eq $want ] && ! grep -q "is killed" err; then
		ok "process 1: $what: whole at SIGTERM, after" \
		    "$(($(ms) - before)) ms; status $got"
	else
		bad "process 1: $what: curl $rc, $(wc -c <slow) bytes," \
		    "status $got, not $want: $(cat err curl.err)"
	fi
}

cat >slow.sh <<'S'
trap '' TERM
echo begin
sleep 2
echo end
S
cat >slow.js <<'S'
const server = require('http').createServer((req, res) => {
  res.write('begin\n');
  setTimeout(() => res.end('end\n'), 2000);
}).listen(3000);
process.on('SIGTERM', () => server.close(() => process.exit(0)));
S
# Workers of the cluster module have SIGTERM's default action.
cat >cluster.js <<'S'
const cluster = require('cluster');
if (cluster.isPrimary) {
  cluster.fork();
  cluster.fork();
  process.on('SIGTERM', () => cluster.disconnect(() => process.exit(0)));
} else {
  require('http').createServer((req, res) => {
    res.write('begin\n');
    setTimeout(() => res.end('end\n'), 2000);
  }).listen(3000);
}
S
cat >slow.py <<'S'
import time
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begin\n"
    time.sleep(2)
    yield b"end\n"
S
mkdir -p www
{
	echo begin
	head -c 300000 /dev/zero | tr '\0' x
	echo
	echo end
} >www/slow
chmod -R a+rX www
cat >nginx.conf <<S
daemon off;
pid $dir/nginx.pid;
error_log stderr;
events { }
http {
	access_log off;
	server {
		listen 127.0.0.1:3000;
		root $dir/www;
		limit_rate 100k;
	}
}
S
echo '{ "scripts": { "start": "node slow.js" } }' >package.json

drains fdexec 0 -r /=x.sock "$top/fdexec" x.sock sh slow.sh
drains "sh -c 'fdexec & wait'" 143 -r /=x.sock sh -c \
    "'$top/fdexec' x.sock sh slow.sh & wait"
if command -v node >/dev/null; then
	drains "Node's cluster" 0 -r /=:child,flusher=none \
	    "$top/fdaccept" -p 3000 node cluster.js
fi
if command -v npm >/dev/null; then
	drains "npm start" 143 -r "/=$dir/npm.sock,flusher=none" \
	    "$top/fdaccept" -p "3000=$dir/npm.sock" npm start
fi
if command -v gunicorn >/dev/null; then
	drains gunicorn 0 -r /=:child,flusher=none \
	    "$top/fdaccept" -p 3000 gunicorn -w 2 -b 127.0.0.1:3000 slow:app
fi
if command -v nginx >/dev/null; then
	drains "nginx, StopSignal QUIT" 0 -c "StopSignal QUIT" \
	    -r /=:child,flusher=none \
	    "$top/fdaccept" -p 3000 nginx -c "$dir/nginx.conf"
fi

# ---- an image ----

mkdir build image root
cp -R "$top"/*.c "$top"/*.h "$top"/companions "$top"/Makefile \
    "$top"/config.mk build
make -s -C build static >make.log 2>&1 || die "make static: $(cat make.log)"
musl-gcc -Os -static -s -o image/child "$top/contrib/child.c"
cp build/fdproxy image
mount --bind image root
mount -o remount,bind,ro root
if touch root/file 2>/dev/null; then die "the root is not read-only"; fi

for uid in 12345 65534; do
	rm -f port
	python3 launch.py port setpriv --reuid $uid --regid $uid \
	    --clear-groups unshare -pmnU --fork --kill-child --root=root \
	    --wd=/ /fdproxy -l fd:9 -r /ready=ready: -r /=:child /child 2>err &
	outer=$!
	started $outer
	wait_for [ -s port ]
	if ! curl -sSf --retry 3 "http://$(cat port)/" >out 2>curl.err; then
		reap $outer
		bad "image: uid $uid: status $got: $(cat err curl.err)"
		continue
	fi
	one=$(child_of $outer)
	[ "$(awk '/^NSpid/ { print $NF }' /proc/$one/status)" = 1 ] ||
	    bad "image: it is not process 1"
	for pid in $one $(child_of $one); do
		[ "$(awk '/^Uid/ { print $2, $3, $4 }' /proc/$pid/status)" = \
		    "$uid $uid $uid" ] || bad "image: not uid $uid"
		[ "$(ls /proc/$pid/root/)" = "$(printf 'child\nfdproxy')" ] ||
		    bad "image: there is more in the root"
	done
	setpriv --reuid $uid --regid $uid --clear-groups \
	    unshare -U --root=root /fdproxy -H "http://$(cat port)/ready" ||
	    bad "image: -H"
	got=0
	timeout 60 setpriv --reuid $uid --regid $uid --clear-groups \
	    unshare -U --root=root /fdproxy -H "http://127.0.0.1:1/" \
	    2>/dev/null || got=$?
	[ $got -eq 1 ] || bad "image: -H of nobody: status $got"
	kill $one
	reap $outer
	if [ $got -eq 0 ]; then
		ok "image: process 1 as uid $uid, read-only, without a" \
		    "network, -H: $(cat out)"
	else
		bad "image: status $got"
	fi
done
ls -l image | awk 'NR > 1 { print "      " $NF ": " $5 " bytes" }'
exit $failed
