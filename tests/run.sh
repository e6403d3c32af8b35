#!/bin/sh
# See LICENSE for copyright and license details.
#
# Runs what "make check" has built, and counts.  Each end-to-end program runs
# against each build of fdproxy that it is meant for.  One process a program:
# under sanitizers a fork for each test would hide what leaks.

CK_FORK=no
export CK_FORK
UBSAN_OPTIONS=print_stacktrace=1
export UBSAN_OPTIONS
passed=0
failed=0
log=build/run.log

# run NAME COMMAND ...: its output only if it fails
run() {
	name=$1
	shift
	if "$@" >$log 2>&1; then
		n=$(sed -n 's/^[0-9]*%: Checks: \([0-9]*\),.*/\1/p' $log)
		passed=$((passed + ${n:-1}))
		echo "ok    $name: ${n:-1}"
	else
		n=$(sed -n 's/.*Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2/p' \
		    $log)
		all=$(sed -n 's/^[0-9]*%: Checks: \([0-9]*\),.*/\1/p' $log)
		set -- ${n:-1 0}
		# A sanitizer's report at the end is a failure of no check.
		test $(($1 + $2)) -gt 0 || set -- 1 0
		failed=$((failed + $1 + $2))
		passed=$((passed + ${all:-$(($1 + $2))} - $1 - $2))
		echo "FAIL  $name"
		sed 's/^/      /' $log
	fi
}

for unit in http_parse route clock log sock flush fdpass config status text; do
	run unit_$unit build/unit_$unit
done
for fuzz in http_parse route config; do
	run replay_$fuzz build/replay_$fuzz tests/corpus/$fuzz
done
run synopsis sh tests/synopsis.sh
for build in fdproxy-test fdproxy-test-poll fdproxy-torture; do
	for e2e in pass reply backend limits process service reload log \
	    child fault harness; do
		run "e2e_$e2e ($build)" env FDPROXY=build/$build \
		    build/e2e_$e2e
	done
done
for e2e in pass reply backend limits fault harness; do
	run "e2e_$e2e (no allocation)" env FDPROXY=build/fdproxy-noalloc \
	    build/e2e_$e2e
done
run e2e_fdexec env FDPROXY=build/fdproxy-test FDEXEC=build/fdexec-test \
    build/e2e_fdexec
run e2e_fdaccept env FDPROXY=build/fdproxy-test LAUNCHER=build/fdaccept-test \
    ACCEPTER=build/accepter build/e2e_fdaccept
run "e2e_fdaccept (sanitizers)" env FDPROXY=build/fdproxy-test \
    ACCEPTER=build/accepter-test build/e2e_fdaccept

echo "$passed passed, $failed failed"
test $failed -eq 0
