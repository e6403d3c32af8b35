#!/bin/sh
# See LICENSE for copyright and license details.
#
# depcheck.sh module ...: none includes the header of, or calls into, one that
# stands after it.
status=0
below=" "
for m; do
	shift
	for h in $(sed -n 's/^#include "\(.*\)\.h"$/\1/p' $m.c $m.h \
	    2>/dev/null | sort -u); do
		case $m in $h | ${h}_*) continue ;; esac
		case "$below" in *" $h "*) continue ;; esac
		echo "$m includes $h.h"
		status=1
	done
	for symbol in $(nm -u $m.o | awk '{ print $NF }'); do
		for other; do
			nm -g --defined-only $other.o 2>/dev/null |
			    awk '{ print $NF }' | grep -qx "$symbol" ||
			    continue
			echo "$m calls $symbol of $other"
			status=1
		done
	done
	below="$below$m "
	case $m in poller_*) below="${below}poller " ;; esac
done
test $status -eq 0 && echo "one way:$below"
exit $status
