#!/bin/sh
# See LICENSE for copyright and license details.
#
# The example backends, one of each language, all behind one fdproxy: a probe,
# more silent connections than it may have descriptors, a byte without one,
# clients that are gone when they come, a POST of 1 MiB that is not read, more
# requests than descriptors, and a client that sends without end.  Those whose
# language is not installed are left out.  Needs curl and Python.
#
#	languages.sh [how many at least]
set -eu
minimum=${1:-0}
. tests/scratch.sh
cd "$dir"
ln -s "$top/examples" "$top/tests" .

fetch() { curl -sSf -m 300 "$@"; }
client() { /usr/bin/python3 tests/languages.py "$@"; }

# run COMMAND ...: as the backend $name, with few descriptors
run() {
	(ulimit -n 200; exec "$@") >$name.err 2>&1 &
	backend=$!
	pids="$pids $backend"
}

# How $name is started; what it needs must be there for it.
jar=/usr/share/java/junixsocket-common.jar
start() {
	case $name in
	c)
		have cc || return
		cc -o c.out examples/backend.c || die "$name: cc"
		run ./c.out c.sock ;;
	erlang)
		have escript && run escript examples/backend.erl $name.sock ;;
	go)
		have go || return
		GO111MODULE=off go build -o go.out examples/backend.go ||
		    die "$name: go build"
		run ./go.out $name.sock ;;
	haskell)
		have ghc && ghc-pkg field network version >/dev/null 2>&1 ||
		    return
		ghc -v0 -outputdir ghc -o haskell.out examples/backend.hs ||
		    die "$name: ghc"
		run ./haskell.out $name.sock ;;
	java)
		have javac && test -f $jar && CLASSPATH=$jar \
		    run java -Xmx128m examples/backend.java $name.sock ;;
	node)
		have node && run node examples/backend.js $name.sock ;;
	perl)
		perl -MIO::FDPass -e 1 2>/dev/null &&
		    run perl examples/backend.pl $name.sock ;;
	php)
		have php && php -r 'exit((int)!extension_loaded("sockets"));' &&
		    run php examples/backend.php $name.sock ;;
	python)
		run /usr/bin/python3 examples/backend.py $name.sock ;;
	ruby)
		have ruby && run ruby examples/backend.rb $name.sock ;;
	rust)
		have rustc || return
		rustc -o rust.out examples/backend.rs || die "$name: rustc"
		run ./rust.out $name.sock ;;
	shell)
		run "$top/fdexec" $name.sock sh examples/hello.sh ;;
	esac
}

# What the body must be.
pattern() {
	case $name in
	shell) echo 'Hello, .* port .*\.\sYou said .* with .*\.\s' ;;
	*) echo 'Hello from \w+\.\s' ;;
	esac
}

all="c erlang go haskell java node perl php python ruby rust shell"
all=${LANGUAGES:-$all}
for name in $all; do
	echo "ProxyPass /$name fd://$name.sock $waits"
done >conf
"$top/fdproxy" -1 -l 127.0.0.1:0 -f conf >port 2>fdproxy.err &
pids="$pids $!"
until [ -s port ]; do
	kill -0 $! || die "fdproxy"
done
at=$(cat port)

passed=0
paths=
skipped=0
for name in $all; do
	if ! start; then
		echo "skip  $name: is not installed"
		skipped=$((skipped + 1))
		continue
	fi
	until client ready $name.sock; do
		kill -0 $backend || die "$name: has ended"
	done
	fetch http://$at/$name >$name.said && grep -q ^Hello $name.said ||
	    die "$name: behind a probe"
	client odd $name.sock "$(pattern)" || die "$name: what is no client"
	client asks $at /$name "$(pattern)" || die "$name"
	kill -0 $backend || die "$name: has ended"
	echo "ok    $name: $(head -n 1 $name.said)"
	passed=$((passed + 1))
	# fdexec waits for half a minute, and has tests of its own.
	test $name = shell || paths="$paths /$name"
done
client drips $at $paths || die "a client that sends without end"
echo "$passed passed, $skipped skipped; $minimum were wanted"
test $passed -ge $minimum
