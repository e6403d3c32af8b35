#!/bin/sh
# See LICENSE for copyright and license details.
#
# fdproxy between public clients (curl, ab) and ordinary servers (Python's
# http.server, Node's http, shell scripts): what users put there.  Needs curl,
# ab and python3; strace, valgrind and node where they are.
set -eu
. tests/scratch.sh
cd "$dir"

start() {	# prints nothing; the caller gets $port and $proxy
	rm -f port
	"$@" -1 -l 127.0.0.1:0 -f conf >port 2>err &
	proxy=$!
	pids="$pids $proxy"
	until [ -s port ]; do
		kill -0 $proxy || die "fdproxy: $(cat err)"
	done
	port=$(sed 's/.*://' port)
}

fds() { ls /proc/$proxy/fd | wc -l; }

head -c 1048576 /dev/urandom >body
digest=$(md5sum <body)
cat >md5.sh <<'S'
head -c "$CONTENT_LENGTH" | md5sum
S
cat >text.sh <<'S'
echo text
S
"$top/fdexec" md5 sh md5.sh & pids="$pids $!"
"$top/fdexec" text sh text.sh & pids="$pids $!"
python3 "$top/examples/http_server.py" py & pids="$pids $!"
python3 "$top/examples/backend.py" bepy & pids="$pids $!"
cc -o becc "$top/examples/backend.c"
./becc bec & pids="$pids $!"
cat >conf <<S
ProxyPass /md5 fd://md5 payload=head $waits
ProxyPass /text fd://text $waits
ProxyPass /py fd://py flusher=none $waits
ProxyPass /bepy fd://bepy $waits
ProxyPass /bec fd://bec $waits
ProxyPass /node fd://node flusher=none $waits
S
start "$top/fdproxy"
url=http://127.0.0.1:$port

test "$(curl -sS $url/text)" = text || die "GET"
test -n "$(curl -sSI $url/text)" || die "HEAD"
test "$(curl -sS0 $url/text)" = text || die "HTTP/1.0"
curl -sSf $url/bepy >/dev/null || die "examples/backend.py"
curl -sSf $url/bec >/dev/null || die "examples/backend.c"
ok "curl: GET, HEAD, HTTP/1.0, the example backends"

cat >drip.py <<'S'
import socket, sys, time
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
client.send(f"GET /{sys.argv[2]} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
while b"Hello" not in (part := client.recv(4096)):
    assert part, "no answer"
open("dripping", "w")
while True:
    client.send(b"x")
    time.sleep(0.5)
S
for backend in bepy bec; do	# they serve one client at a time
	rm -f dripping
	python3 drip.py $port $backend 2>/dev/null & dripper=$!
	pids="$pids $dripper"
	until [ -e dripping ]; do
		kill -0 $dripper || die "$backend: no answer"
	done
	curl -sSf -m 60 $url/$backend >/dev/null ||
	    die "$backend: a slow client keeps the next one waiting"
	wait $dripper && die "$backend: the slow client is not closed"
done
ok "the example backends: a client that sends without end is left soon"

test "$(curl -sS -H Expect: --data-binary @body $url/md5)" = "$digest" ||
    die "POST of 1 MiB"
ok "curl: POST of 1 MiB, the digest is equal"

slow=0
i=0
while [ $i -lt 100 ]; do
	out=$(curl -sS -H 'Expect: 100-continue' --data-binary @body \
	    -w '%{time_total}' $url/md5)
	case $out in "$digest"*) ;; *) die "Expect: $out" ;; esac
	case ${out##*-} in *0.[01]*) ;; *) slow=$((slow + 1)) ;; esac
	i=$((i + 1))
done
ok "curl: Expect: 100-continue with 1 MiB, 100 times; $slow over 200 ms"

keep() {	# two requests over one connection
	out=$(curl -sS -w '%{num_connects} ' -o /dev/null $url/$1/a \
	    -o /dev/null $url/$1/b)
	test "$out" = "1 0 " || die "$1: keep-alive: $out"
	curl -sS --data-binary @body $url/$1/ >/dev/null || die "$1: POST"
}
keep py
ok "Python's http.server with flusher=none: GET, POST, keep-alive"
if command -v node >/dev/null; then
	node "$top/examples/http_server.js" node 2>/dev/null & pids="$pids $!"
	keep node
	ok "Node's http with flusher=none: GET, POST, keep-alive"
else
	echo "(no node: left out)"
fi

before=$(fds)
ab -q -n 20000 -c 200 $url/bec >ab.out 2>&1 || die "ab: $(cat ab.out)"
grep -q '^Failed requests: *0$' ab.out || die "ab: $(cat ab.out)"
i=0		# what ab left half-open
until [ "$(fds)" -le "$before" ] || [ $i -eq 600 ]; do
	sleep 0.1
	i=$((i + 1))
done
test "$(fds)" -le "$before" || die "descriptors: $before, then $(fds)"
ok "ab -n 20000 -c 200: 0 failed, not a descriptor more"

if command -v strace >/dev/null; then
	strace -c -o calls -p $proxy 2>/dev/null & tracer=$!
	until grep -q "TracerPid:.*[1-9]" /proc/$proxy/status; do
		kill -0 $tracer || die "strace cannot attach"
	done
	ab -q -n 3000 -c 32 $url/bec >/dev/null 2>&1
	kill -INT $tracer
	wait $tracer || :
	n=$(awk '$NF == "total" { print int($4) } ' calls)
	loop=$(awk '$NF ~ /epoll_wait|poll/ { s += $4 } END { print s + 0 }' \
	    calls)
	test $(((n - loop) / 3000)) -le 10 || die "$n calls for 3000 requests"
	ok "ab -c 32: $n system calls for 3000 hand-offs, $loop of the loop"
fi
kill $proxy
wait $proxy || die "fdproxy ended with $?"

if command -v valgrind >/dev/null; then
	start valgrind -q --error-exitcode=9 --leak-check=full \
	    --track-fds=no "$top/fdproxy"
	url=http://127.0.0.1:$port
	ab -q -n 2000 -c 50 $url/bec >ab.out 2>&1 || die "ab: $(cat ab.out)"
	curl -sS $url/none >/dev/null
	kill $proxy
	wait $proxy || die "valgrind: $(cat err)"
	ok "valgrind: no error, no leak"
fi

if command -v nginx >/dev/null; then
	cc -I"$top" -o normal "$top/tests/normal.c" "$top/route.c"
	cat >nginx.conf <<S
daemon off;
pid $dir/nginx.pid;
error_log stderr;
events { }
http {
	access_log off;
	server { listen unix:$dir/nginx; location / { return 200 \$uri; } }
}
S
	nginx -c "$dir/nginx.conf" 2>nginx.err & pids="$pids $!"
	until [ -S nginx ]; do
		kill -0 $! || die "nginx: $(cat nginx.err)"
	done
	said=$(python3 "$top/tests/paths.py" ./normal nginx 20000) ||
	    die "nginx's \$uri"
	ok "$said"
else
	echo "(no nginx: left out)"
fi
