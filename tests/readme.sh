#!/bin/sh
# See LICENSE for copyright and license details.
#
# README's blocks as they stand there, but for the port and the folder.  Behind
# "# -> " is what a command says, or a part of that.  Needs curl and python3;
# what "make all" makes.
set -u
here=$(pwd)
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
ln -s "$here"/* "$dir"
port=$(python3 -c 'import socket; s = socket.socket()
s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

# block LANGUAGE N: the n-th one in that language
block() {
	awk -v language='```'"$1" -v n="$2" '
		$0 == "```" { inside = 0 }
		inside { print }
		$0 == language && ++seen == n { inside = 1 }' README.md |
	    sed -e "s|/tmp/|$dir/|g" -e "s|8080|$port|g"
}

die() {
	echo "FAIL  $*" >&2
	exit 1
}

# The commands of a shell block: what each says is looked at, if it must.
script() {
	cat <<-'EOF'
		expect() {
			eval "$1" >said 2>&1
			grep -q -- "$2" said && return
			echo "$1"
			cat said
			exit 1
		}
		EOF
	block sh "$1" | sed -e ':a' -e '/\\$/N; s/\\\n *//; ta' \
	    -e "s/^\(.*[^ ]\) *# -> \(.*\)\$/expect '\1' '\2'/"
}

# run N: with all that it has started, it ends
run() {
	script "$1" >"$dir/block.$1"
	(cd "$dir" && setsid timeout -k 5 120 sh -c '
		sh "$1"
		status=$?
		trap "" TERM
		kill 0
		exit $status' sh "block.$1" >"out.$1" 2>&1 </dev/null) || {
		cat "$dir/block.$1" "$dir/out.$1"
		die "block $1"
	}
	echo "ok    README, block $1"
}

n=1
while [ -n "$(block sh $n)" ]; do
	run $n
	n=$((n + 1))
done
test $n -gt 1 || die "there is no block"

PORT=$port sh examples/demo.sh >"$dir/demo" 2>&1 & demo=$!
get() {
	curl -s --retry-connrefused --retry 9 "http://127.0.0.1:$port$1"
}
get / | grep -q 'asked for' && get /hello | grep -q 'You said GET /hello' &&
    get /files/a.txt | grep -q http.server || { cat "$dir/demo"; die demo; }
kill $demo
wait $demo
echo "ok    README, make demo"

block apache 1 >"$dir/fdproxy.conf"
"$here/fdproxy" -t -f "$dir/fdproxy.conf" || die "the configuration"
echo "ok    README, the configuration"

block python 1 >"$dir/own.py"
python3 "$dir/own.py" & backend=$!
"$here/fdproxy" -l "127.0.0.1:$port" -r "/=$dir/own.sock,wait=10s" -T 60 &
proxy=$!
said=$(get /)
kill $backend $proxy
wait 2>/dev/null
test "$said" = "Hello from twelve lines." || die "a program of your own: $said"
echo "ok    README, a program of your own"
echo "$((n + 2)) passed, 0 failed"
