#!/bin/sh
# See LICENSE for copyright and license details.
#
# Runs what "make check" has built, and counts.  Each end-to-end program runs
# against each build of fdproxy that it is meant for.  One process a program:
# under sanitizers a fork for each test would hide what leaks.  Builds are
# tested at the same time, since most of a test is waiting.

CK_FORK=no
export CK_FORK
UBSAN_OPTIONS=print_stacktrace=1
export UBSAN_OPTIONS
counts=build/run.counts

# run NAME COMMAND ...: its output only if it fails
run() {
	name=$1
	shift
	if "$@" >"$log" 2>&1; then
		n=$(sed -n 's/^[0-9]*%: Checks: \([0-9]*\),.*/\1/p' "$log")
		echo "${n:-1} 0" >>$counts
		echo "ok    $name: ${n:-1}"
	else
		n=$(sed -n 's/.*Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2/p' \
		    "$log")
		all=$(sed -n 's/^[0-9]*%: Checks: \([0-9]*\),.*/\1/p' "$log")
		set -- ${n:-1 0}
		# A sanitizer's report at the end is a failure of no check.
		test $(($1 + $2)) -gt 0 || set -- 1 0
		echo "$((${all:-$(($1 + $2))} - $1 - $2)) $(($1 + $2))" \
		    >>$counts
		echo "FAIL  $name"
		sed 's/^/      /' "$log"
	fi
}

units() {
	log=build/run.units
	for unit in http_parse route clock log sock flush fdpass config \
	    status text listen poller poller_poll conn fdaccept; do
		run unit_$unit build/unit_$unit
	done
	for fuzz in http_parse route config fdaccept_head; do
		run replay_$fuzz build/replay_$fuzz tests/corpus/$fuzz
	done
	run synopsis sh tests/synopsis.sh
}

# end_to_end BUILD WHAT PROGRAM ...
end_to_end() {
	build=$1
	what=$2
	log=build/run.$1
	shift 2
	for e2e; do
		run "e2e_$e2e ($what)" env FDPROXY=build/$build \
		    FDFAULT=build/fdfault-test build/e2e_$e2e
	done
}

others() {
	log=build/run.others
	run e2e_fdexec env FDPROXY=build/fdproxy-test \
	    FDEXEC=build/fdexec-test build/e2e_fdexec
	run e2e_fdaccept env FDPROXY=build/fdproxy-test \
	    LAUNCHER=build/fdaccept-test ACCEPTER=build/accepter \
	    build/e2e_fdaccept
	run "e2e_fdaccept (sanitizers)" env FDPROXY=build/fdproxy-test \
	    ACCEPTER=build/accepter-test build/e2e_fdaccept
}

: >$counts
units
pids=
for build in fdproxy-test fdproxy-test-poll fdproxy-torture; do
	end_to_end $build $build pass reply backend limits process service \
	    reload log child fault harness &
	pids="$pids $!"
done
{
	end_to_end fdproxy-noalloc "no allocation" pass reply backend limits \
	    fault harness
	others
} &
pids="$pids $!"

passed=0
failed=0
for pid in $pids; do
	wait $pid || failed=$((failed + 1))	# not to its end
done
while read -r good bad; do
	passed=$((passed + good))
	failed=$((failed + bad))
done <$counts
echo "$passed passed, $failed failed"
test $failed -eq 0 && test $passed -gt 0
