#!/bin/sh
# See LICENSE for copyright and license details.
#
# The tests of examples/harness, once and many at a time; each must fail if its
# fault is left out.  Needs curl, python3 and check; pytest and strace where
# they are.  FDPROXY and FDFAULT name the programs, default ./fdproxy and
# ./fdfault, and PYTEST pytest.
set -eu
top=$(pwd)
many=50
FDPROXY=$(realpath "${FDPROXY:-./fdproxy}")
FDFAULT=$(realpath "${FDFAULT:-./fdfault}")
export FDPROXY FDFAULT
dir=$(mktemp -d)
backend=
trap 'kill $backend 2>/dev/null || :; wait; rm -rf "$dir"' EXIT

ok() { echo "ok    $*"; }
die() {
	echo "FAIL  $*"
	exit 1
}

# Copies of the examples, so that nothing is left in the tree; in a second
# folder the same without the fault.
mkdir "$dir/with" "$dir/without" "$dir/out"
for copy in with without; do
	cp -R examples/backend.c examples/backend.py examples/harness \
	    "$dir/$copy"
	if [ $copy = without ]; then
		sed -i.bak 's/ nofd@2//; s/ "nofd@2",//' \
		    "$dir/$copy/harness"/test_*
		rm "$dir/$copy/harness"/*.bak
	fi
	${CC:-cc} -o "$dir/$copy/backend" "$dir/$copy/backend.c"
	${CC:-cc} -o "$dir/$copy/test_backend" \
	    "$dir/$copy/harness/test_backend.c" -lcheck -lsubunit -lm -lrt \
	    -lpthread
done

# Debian's goes with its own Python, which need not be the first one.
languages="sh c"
for pytest in "${PYTEST:-python3 -m pytest}" "${PYTEST:-pytest-3}"; do
	if $pytest --version >/dev/null 2>&1; then
		languages="sh python c"
		break
	fi
done
[ "$languages" != "sh c" ] || echo "(no pytest: left out)"

# one LANGUAGE with|without [command of a backend]
one() {
	language=$1
	copy=$2
	shift 2
	cd "$dir/$copy"
	case $language in
	sh)	exec timeout 300 sh harness/test_backend.sh "$@" ;;
	python)	export PYTHONDONTWRITEBYTECODE=1 BACKEND="$*"
		exec timeout 300 $pytest -q -p no:cacheprovider --basetemp \
		    "$(mktemp -d -p "$dir")" harness/test_backend.py ;;
	c)	export BACKEND="${1:-$dir/$copy/backend}"
		exec timeout 300 ./test_backend ;;
	esac
}

for language in $languages; do
	(one $language with) >"$dir/out/one" 2>&1 ||
	    die "$language: $(cat "$dir/out/one")"
	(one $language with "$dir/with/backend") >"$dir/out/one" 2>&1 ||
	    die "$language, a backend in C: $(cat "$dir/out/one")"
	! (one $language without) >"$dir/out/one" 2>&1 ||
	    die "$language: passes without its fault"
	ok "$language: passes, and fails without its fault"
done

# The backend in C: it is the harness that is to start at once, and not many
# interpreters in the time that one client has.
for language in $languages; do
	pids=
	i=0
	while [ $i -lt $many ]; do
		(one $language with "$dir/with/backend") >"$dir/out/$i" 2>&1 &
		pids="$pids $!"
		i=$((i + 1))
	done
	failed=0
	i=0
	for pid in $pids; do
		wait $pid || {
			failed=$((failed + 1))
			sed "s/^/      /" "$dir/out/$i"
		}
		i=$((i + 1))
	done
	[ $failed -eq 0 ] || die "$language: $failed of $many in parallel"
	ok "$language: $many in parallel"
done

# The program itself writes nowhere but into its folder.
if command -v strace >/dev/null; then
	mkdir "$dir/own"
	cd "$dir/own"
	"$dir/with/backend" s 2>/dev/null &
	backend=$!
	mkfifo port
	strace -f -o trace -e trace=open,openat,creat,mkdir,mkdirat,rename,\
renameat,renameat2,unlink,unlinkat,link,linkat,symlink,symlinkat,truncate,\
mknod,mknodat,chmod,fchmodat,chown,fchownat,bind \
	    "$FDPROXY" -1 -l 127.0.0.1:0 -n 1 -T 60 \
	    -c "CustomLog events json" -c "PidFile pid" -r /=s,wait=60s \
	    >port 2>err &
	front=$!
	read -r address <port
	curl -sS -m 60 "http://$address/" >/dev/null
	wait $front || die "fdproxy: $(cat err)"
	kill $backend
	wait $backend 2>/dev/null || :
	backend=
	# What only reads, fails, is in the folder, or is no file.
	sed -e '/ O_RDONLY/d; /, O_RDONLY/d; / = -1 /d; /^[0-9]* *[-+]/d' \
	    -e "\\:\"$dir/own/:d; /\"\\/dev\\/null\"/d; /AF_INET/d" trace \
	    >outside
	test ! -s outside || die "outside of its folder: $(cat outside)"
	grep -q "$dir/own/events" trace || die "the trace has nothing"
	cd "$top"
	ok "strace: nothing is written outside of its folder"
fi

${CC:-cc} -D_GNU_SOURCE -O2 -Itests -o "$dir/e2e" tests/e2e_harness.c \
    tests/runner.c tests/world.c -lcheck -lsubunit -lm -lrt -lpthread
timeout 300 "$dir/e2e" parallel >"$dir/out/e2e" ||
    die "$(cat "$dir/out/e2e")"
ok "$(grep '^exec to' "$dir/out/e2e")"
