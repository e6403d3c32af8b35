#!/bin/sh
# See LICENSE for copyright and license details.
#
# Runs what "make check" has built, and counts.  Each end-to-end program runs
# against each build of fdproxy that it is meant for.  One process a program:
# under sanitizers a fork for each test would hide what leaks.  Tests wait most
# of the time: four programs a processor run at once, the longest first.

CK_FORK=no
export CK_FORK
UBSAN_OPTIONS=print_stacktrace=1
export UBSAN_OPTIONS
counts=build/run.counts
slots=build/run.slots

# run SLOT NAME COMMAND ...: its output only if it fails
run() {
	log=build/run.$1
	name=$2
	shift 2
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

# start NAME COMMAND ...: run it beside others, once there is a slot
start() {
	read -r slot <&3
	{
		run "$slot" "$@" 3>&-
		echo "$slot" >&3
	} &
	pids="$pids $!"
}

# end_to_end PROGRAM BUILD ...
end_to_end() {
	e2e=$1
	shift
	for build; do
		start "e2e_$e2e ($build)" env FDPROXY=build/fdproxy-$build \
		    FDFAULT=build/fdfault-test build/e2e_$e2e
	done
}

begun=$(date +%s)
: >$counts
rm -f $slots
mkfifo $slots
exec 3<>$slots
n=$((4 * $(getconf _NPROCESSORS_ONLN || echo 2)))
while [ $n -gt 0 ]; do
	echo $n >&3
	n=$((n - 1))
done

pids=
for e2e in child log renew signals; do
	end_to_end $e2e test test-poll torture
done
for e2e in fault reply backend worker harness pass limits; do
	end_to_end $e2e test test-poll torture noalloc
done
for e2e in process service; do
	end_to_end $e2e test test-poll torture
done
end_to_end pass keeps
end_to_end failing failing
start e2e_fdexec env FDPROXY=build/fdproxy-test FDEXEC=build/fdexec-test \
    build/e2e_fdexec
start e2e_cgi env FDPROXY=build/fdproxy-test FDEXEC=build/fdexec-test \
    build/e2e_cgi
start e2e_fdaccept env FDPROXY=build/fdproxy-test \
    LAUNCHER=build/fdaccept-test ACCEPTER=build/accepter build/e2e_fdaccept
start "e2e_fdaccept (sanitizers)" env FDPROXY=build/fdproxy-test \
    ACCEPTER=build/accepter-test build/e2e_fdaccept
for unit in http_parse route clock log sock flush fdpass config status text \
    listen proc poller poller_poll worker conn fdaccept fdbackend; do
	start unit_$unit build/unit_$unit
done
for fuzz in http_parse route config fdaccept_head fdexec; do
	start replay_$fuzz build/replay_$fuzz tests/corpus/$fuzz
done
start synopsis sh tests/synopsis.sh
if command -v curl >/dev/null; then
	start protocol sh tests/protocol.sh
else
	echo "(no curl: protocol.sh is left out)"
fi

passed=0
failed=0
for pid in $pids; do
	wait $pid || failed=$((failed + 1))	# not to its end
done
while read -r good bad; do
	passed=$((passed + good))
	failed=$((failed + bad))
done <$counts
echo "in $(($(date +%s) - begun)) s"
echo "$passed passed, $failed failed"
test $failed -eq 0 && test $passed -gt 0
