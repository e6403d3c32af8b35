#!/bin/sh
# See LICENSE for copyright and license details.
#
# fdproxy on 127.0.0.1:8080 (or PORT), and a shell script as its backend.
port=${PORT:-8080}
dir=$(mktemp -d) || exit 1
backend= proxy=
trap 'kill $backend $proxy 2>/dev/null; wait; rm -rf "$dir"' EXIT
trap 'exit 0' INT TERM

./fdexec "$dir/hello.sock" sh examples/hello.sh &
backend=$!
./fdproxy -1 -l 127.0.0.1:"$port" \
    -r /hello="$dir/hello.sock",payload=head,wait=5s >"$dir/address" &
proxy=$!
until [ -s "$dir/address" ]; do
	kill -0 $proxy 2>/dev/null || {
		echo "With another port: PORT=8081 make demo" >&2
		exit 1
	}
	sleep 0.1
done

cat <<EOF
fdproxy listens on $(cat "$dir/address"); examples/hello.sh answers.
Type, elsewhere:

	curl -i http://127.0.0.1:$port/hello
	curl -i 'http://127.0.0.1:$port/hello/there?who=you' -d 'some data'
	curl -i http://127.0.0.1:$port/nothing

Ctrl-C ends it.
EOF
wait $proxy
