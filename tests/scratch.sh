# See LICENSE for copyright and license details.
#
# For scripts in this folder, which source it from the top folder: that is $top,
# and $dir is a folder of their own, gone at the end with the processes in $pids.
top=$(pwd)
dir=$(mktemp -d)
pids=
trap 'kill $pids 2>/dev/null || :; wait; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

# Of a route whose backend may be slow to come, or busy, as all may be where many
# tests run at the same time.
waits="wait=5min connectiontimeout=5min"

ok() { echo "ok    $*"; }

# With what the processes have said, if that is in a file NAME.err.
die() {
	echo "FAIL  $*"
	cat "$dir"/*.err 2>/dev/null || :
	exit 1
} >&2

have() { command -v "$1" >/dev/null; }
