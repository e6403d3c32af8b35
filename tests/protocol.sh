#!/bin/sh
# See LICENSE for copyright and license details.
#
# The programs of fdproxy-protocol(7), as they stand there: compiled, and run
# behind fdproxy.  Needs curl.  FDPROXY names fdproxy, default
# build/fdproxy-test.
set -eu
FDPROXY=$(realpath "${FDPROXY:-build/fdproxy-test}")
page=$(realpath man/fdproxy-protocol.7)
dir=$(mktemp -d)
cd "$dir"
pids=
trap 'kill $pids 2>/dev/null || :; wait; rm -rf "$dir"' EXIT

die() {
	echo "FAIL  $*"
	exit 1
}

# same WHAT WANT HAVE
same() {
	test "$2" = "$3" || die "$1: want \"$2\", have \"$3\""
}

# A display that begins with an #include is a program.
awk '/^\.Bd/ { shown = 1; next }
    /^\.Ed/ { shown = 0 }
    shown == 1 { shown = /^#include/ ? 2 : 0; n += shown == 2 }
    shown == 2 { gsub(/\\e/, "\\"); print >("program" n ".c") }' "$page"
for n in 1 2; do
	${CC:-cc} -Wall -Wextra -Wpedantic -Werror -O2 -o program$n program$n.c
done
test ! -e program3.c || die "a program that is not tried here"

# front ARG ...: start fdproxy; where it listens, in $url
mkfifo port
front() {
	"$FDPROXY" -1 -l 127.0.0.1:0 -c "LogLevel error" "$@" >port &
	front=$!
	pids="$pids $front"
	read -r url <port
	url=http://$url
}

# stop NAME PID: it ends well
stop() {
	kill "$2"
	wait "$2" || die "$1 ends with status $?"
}

# For each URL: the body, how many connections were made, and the status.
ask() {
	curl -sS -m 300 -w '%{num_connects} %{http_code}\n' "$@"
}

waits=wait=5min,connectiontimeout=5min
behind="-r /plain=plain,$waits -r /=workers:workers,flusher=none,$waits"
front $behind
./program1 plain &
pids="$pids $!"
same "plain" "Hello.
1 200" "$(ask $url/plain)"

# Who comes first waits for a worker.
ask $url/first >first &
asks=$!
./program2 workers &
worker=$!
pids="$pids $worker"
wait $asks || die "nobody has waited for the worker"
same "waiting" "Hello.
1 200" "$(cat first)"

# A connection that is kept alive, and each request of it where it belongs.
same "kept" "Hello.
1 200
Hello.
0 200
Hello.
0 200" "$(ask $url/one $url/two $url/plain)"
same "kept, by its header" "Hello.
1 200
Hello.
0 200" "$(ask -H 'Connection: keep-alive' $url/one $url/two)"

# What the worker does not keep.
same "closed" "Hello.
1 200
Hello.
1 200" "$(ask -H 'Connection: close' $url/one $url/two)"
same "a body" "Hello.
1 200
Hello.
1 200" "$(ask -d text $url/one $url/two)"
same "HTTP/1.0" "Hello.
1 200
Hello.
1 200" "$(ask -0 $url/one $url/two)"
same "HEAD" "1 200" "$(ask -I -o /dev/null $url/)"

# One that leaves, and one that comes again to another fdproxy.
stop "the worker" $worker
./program2 workers &
worker=$!
pids="$pids $worker"
same "another worker" "Hello.
1 200" "$(ask $url/)"
stop fdproxy $front
front $behind
same "another fdproxy" "Hello.
1 200
Hello.
0 200" "$(ask $url/one $url/two)"
stop fdproxy $front
stop "the worker" $worker

# As a command.
front -r /=:workers,flusher=none ./program2
same "a command" "Hello.
1 200
Hello.
0 200" "$(ask $url/one $url/two)"
stop "fdproxy with a command" $front
