#!/bin/sh
# See LICENSE for copyright and license details.
#
# The example workers, all behind one fdproxy: the client's address, 1 MiB, 16
# at once, connections that go from one worker to the other, and fdproxy's end
# and a worker's own.  Those whose language is not installed are left out.
# Needs curl, ab and Python.
#
#	workers.sh [how many at least]
set -eu
minimum=${1:-0}
. tests/scratch.sh
cd "$dir"
ln -s "$top/examples" "$top/tests" .

# As a client that no worker can have invented.
from=127.0.0.7
fetch() { curl -sSf -m 300 --interface $from -H Expect: "$@"; }
client() { /usr/bin/python3 tests/workers.py "$@"; }

# How each is run; it fails if that is not possible here.
command_of() {
	case $1 in
	http)
		echo /usr/bin/python3 examples/worker_http.py ;;
	asyncio)
		echo /usr/bin/python3 examples/worker_asyncio.py ;;
	node)
		have node && echo node --no-deprecation examples/worker.js ;;
	go)
		have go && GO111MODULE=off go build -o worker.go.out \
		    examples/worker.go && echo ./worker.go.out ;;
	ruby)
		have ruby && echo ruby examples/worker.rb ;;
	php)
		have php && php -r 'exit((int)!extension_loaded("sockets"));' &&
		    echo php examples/worker.php ;;
	fork | epoll)
		have cc && cc -I"$top/companions" -o worker_$1 \
		    examples/worker_$1.c "$top/companions/fdbackend.c" &&
		    echo ./worker_$1 ;;
	esac
}

# These never read more than a request, and so keep what is pipelined.
exact() {
	case $1 in
	http | go | ruby | php | fork | epoll) ;;
	*) return 1 ;;
	esac
}

# proxy: fdproxy with a route for each, and $url.
proxy() {
	rm -f port
	"$top/fdproxy" -1 -l 127.0.0.1:0 -f conf >port 2>fdproxy.err &
	proxy=$!
	pids="$pids $proxy"
	until [ -s port ]; do
		kill -0 $proxy || die "fdproxy"
	done
	at=$(cat port)
	url=http://$at
}

echo "KeepAliveTimeout 5min" >conf
names=
for name in http asyncio node go ruby php fork epoll; do
	if command=$(command_of $name) && [ -n "$command" ]; then
		names="$names $name"
		echo "$command" >$name.command
		printf "ProxyPass /%s workers://%s flusher=none $waits\n" \
		    $name-l $name-l.sock $name $name.sock >>conf
	else
		echo "skip  $name: is not installed"
	fi
done
proxy
for name in $names; do
	$(cat $name.command) $name.sock $name >$name.err 2>&1 &
	echo $! >$name.pid
	pids="$pids $!"
done

# ---- each ----

head -c 1048576 /dev/urandom >body
for name in $names; do
	digest=$(client digest $name <body)
	said=$(fetch "$url/$name/a?b=c") || die "$name: GET"
	test "$said" = "$name GET /$name/a?b=c $from" || die "$name: $said"
	said=$(fetch --data-binary @body $url/$name/p) || die "$name: POST"
	test "$said" = "$name POST /$name/p $from 1048576 $digest" ||
	    die "$name: $said"
	fetch -I $url/$name/h >said || die "$name: HEAD"
	client ends $at $name || die "$name: the end of a connection"
	if exact $name; then
		client behind $at $name || die "$name: a head behind a body"
	fi
	ab -q -k -n 1000 -c 16 $url/$name/ab >ab 2>&1 || die "$name: $(cat ab)"
	grep -q '^Failed requests: *0$' ab || die "$name: $(cat ab)"
	grep -q '^Keep-Alive requests: *1000$' ab || die "$name: $(cat ab)"
	! grep '^Non-2xx' ab || die "$name: $(cat ab)"
	echo "ok    $name: $from, 1 MiB, HEAD, HTTP/1.0, 16 at once"
done

# ---- one connection, two workers in turn ----

other=${names##* }
for name in $names; do
	for pipelined in 1 3; do
		n=$(client mixed $at $pipelined $name $other) ||
		    die "$name and $other, $pipelined at once"
		if [ $pipelined = 1 ] || { exact $name && exact $other; }; then
			test "$n" = 1 || die "$name and $other: $n connections"
		fi
		echo "ok    $name and $other, $pipelined at once:" \
		    "300 on $n connections"
	done
	other=$name
done

# ---- another fdproxy ----

kill $proxy
wait $proxy || die "fdproxy's end"
proxy
for name in $names; do
	said=$(fetch $url/$name/) || die "$name: another fdproxy"
	test "$said" = "$name GET /$name/ $from" || die "$name: $said"
	echo "ok    $name: another fdproxy"
done

# ---- each with a test in place of fdproxy ----

for name in $names; do
	client alone $at $name $name-a.sock $(cat $name.command) ||
	    die "$name: a client that has left, or the end behind others"
	echo "ok    $name: a client that has left, and the end behind others"
done

# ---- the end, idle and under load ----

passed=0
for name in $names; do
	kill $(cat $name.pid)
	wait $(cat $name.pid) || die "$name: ended with $?"
	said=$(client leave $at $name-l $name-l.sock $(cat $name.command)) ||
	    die "$name: one of two ends"
	echo "ok    $name: one of two ends: $said"
	passed=$((passed + 1))
done
echo "$passed example workers with everything; $minimum were wanted"
test $passed -ge $minimum
