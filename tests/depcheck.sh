#!/bin/sh
# See LICENSE for copyright and license details.
#
# depcheck.sh module ...: none, named with its folder if it has one, includes
# the header of, or calls into, one that stands after it.
status=0
below=" "
for file; do
	m=${file##*/}
	for h in $(sed -n 's/^#include "\(.*\)\.h"$/\1/p' $file.c $file.h \
	    2>/dev/null | sort -u); do
		case $m in $h | ${h}_*) continue ;; esac
		case "$below" in *" $h "*) continue ;; esac
		echo "$m includes $h.h"
		status=1
	done
	below="$below$m "
	case $m in poller_*) below="${below}poller " ;; esac
done

# "defines" and "needs" lines, in the order of the modules.
for m; do
	nm -g --defined-only $m.o | awk -v m=$m 'NF { print "defines", $NF, m }'
	nm -u $m.o | awk -v m=$m 'NF { print "needs", $NF, m }'
done | awk '
$1 == "defines" { place[$2] = NR; module[$2] = $3 }
$1 == "needs" { need[++n] = $2; by[n] = $3; at[n] = NR }
END {
	for (i = 1; i <= n; i++)
		if (place[need[i]] > at[i]) {
			print by[i] " calls " need[i] " of " module[need[i]]
			bad = 1
		}
	exit bad
}' || status=1
test $status -eq 0 && echo "one way:$below"
exit $status
