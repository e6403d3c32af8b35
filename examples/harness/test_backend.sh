#!/bin/sh
# See LICENSE for copyright and license details.
#
# A test of a backend, for a shell with curl: behind the real front end, and
# fdfault, which does one thing wrong on purpose.
#
#	FDPROXY=./fdproxy FDFAULT=./fdfault sh test_backend.sh [command ...]
#
# The command is the backend; it gets the path of its socket as one argument
# more.  Default: the example in Python.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || set -- python3 "$here/../backend.py"
dir=$(mktemp -d)
pids=
trap 'kill $pids 2>/dev/null || :; wait; rm -rf "$dir"' EXIT

fail() {
	echo "FAIL  $*"
	exit 1
}

get() {		# status and length of what the client gets
	curl -sS -m 10 -o "$dir/body" -w '%{http_code} %{size_download}' \
	    "http://$address/"
}

# What comes between: the second hand-off loses its descriptor.  The backend
# need not be there yet.
"${FDFAULT:-fdfault}" nofd@2 "$dir/f" "$dir/s" >"$dir/lines" \
    2>"$dir/fault" </dev/null &
pids=$!

# The front end, on a free port, which is all that it prints.  After the third
# hand-off it ends, or after 20 seconds.
mkfifo "$dir/port"
"${FDPROXY:-fdproxy}" -1 -l 127.0.0.1:0 -n 3 -T 20 \
    -c "CustomLog $dir/events json" \
    -r "/=$dir/f,wait=10s" >"$dir/port" 2>"$dir/front" &
front=$!
pids="$pids $front"
read -r address <"$dir/port" || fail "fdproxy: $(cat "$dir/front")"
"$@" "$dir/s" 2>"$dir/backend" &
pids="$pids $!"

# The client's side.
case $(get) in
	"200 0") fail "the first client gets nothing" ;;
	"200 "*) ;;
	*) fail "the first client is not served" ;;
esac
test "$(get)" = "200 0" || fail "a client is served without its descriptor"
case $(get) in
	"200 0") fail "after the fault clients get nothing" ;;
	"200 "*) ;;
	*) fail "after the fault nobody is served" ;;
esac

# The backend's side: it has noticed, and says so.
grep -q "a client was lost" "$dir/backend" || fail "the fault went unnoticed"

# The front end's: it has ended by itself, with three hand-offs.
wait $front || fail "fdproxy: status $?: $(cat "$dir/front")"
test "$(grep -c '"event":"passed"' "$dir/events")" -eq 3 ||
    fail "events: $(cat "$dir/events")"
echo "ok"
