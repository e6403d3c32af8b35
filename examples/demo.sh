#!/bin/sh
# See LICENSE for copyright and license details.
#
# fdproxy on 127.0.0.1:8080 (or PORT), and behind it: a page, a script, a stream
# of events, and, where Python is, its http.server as it is.
port=${PORT:-8080}
dir=$(mktemp -d) || exit 1
pids=
trap 'kill $pids 2>/dev/null; wait; rm -rf "$dir"' EXIT
trap 'exit 0' INT TERM

start() {
	"$@" &
	pids="$pids $!"
}

start ./fdexec "$dir/page.sock" sh examples/demo_page.sh
start ./fdexec "$dir/hello.sock" sh examples/hello.sh
start ./fdexec "$dir/events.sock" sh -c 'i=0; while echo "data: $((i += 1))
"; do sleep 1; done'
files='/files=!'
if command -v python3 >/dev/null; then
	mkdir -p "$dir/www/files"
	echo "This file came from Python's http.server." >"$dir/www/files/a.txt"
	start ./fdaccept -p 3000="$dir/files.sock" python3 -m http.server \
	    -d "$dir/www" 3000 >"$dir/log" 2>&1
	files="/files=$dir/files.sock,flusher=none,wait=5s"
fi
./fdproxy -1 -l 127.0.0.1:"$port" -r "$files" \
    -r /hello="$dir/hello.sock",payload=head,wait=5s \
    -r "/events=$dir/events.sock,wait=5s,header=Content-Type: text/event-stream" \
    -r /nothing=! \
    -r "/=$dir/page.sock,payload=head,wait=5s,header=Content-Type: text/html; charset=utf-8" \
    >"$dir/address" &
proxy=$!
pids="$pids $proxy"
until [ -s "$dir/address" ]; do
	kill -0 $proxy 2>/dev/null || {
		echo "With another port: PORT=8081 make demo" >&2
		exit 1
	}
	sleep 0.1
done

cat <<EOF
Open http://127.0.0.1:$port/ in a browser, or type, elsewhere:

	curl -i http://127.0.0.1:$port/hello
	curl -i 'http://127.0.0.1:$port/hello/there?who=you' -d 'some data'
	curl -N http://127.0.0.1:$port/events
	curl -i http://127.0.0.1:$port/nothing

Ctrl-C ends it.
EOF
wait $proxy
