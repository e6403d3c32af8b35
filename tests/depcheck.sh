#!/bin/sh
# See LICENSE for copyright and license details.
#
# depcheck.sh "modules of level 0" "of level 1" ...: no module includes the
# header of, or calls into, a module of its own level or of one above it.
status=0
level=0
below=" "
for modules; do
	for m in $modules; do
		for h in $(sed -n 's/^#include "\(.*\)\.h"$/\1/p' $m.c $m.h \
		    2>/dev/null | sort -u); do
			case $m in $h | ${h}_*) continue ;; esac
			case "$below" in *" $h "*) continue ;; esac
			echo "$m (level $level) includes $h.h"
			status=1
		done
		for symbol in $(nm -u $m.o | awk '{ print $NF }'); do
			for other in $*; do
				case "$below $m " in
				*" $other "*) continue ;;
				esac
				nm -g --defined-only $other.o 2>/dev/null |
				    awk '{ print $NF }' |
				    grep -qx "$symbol" || continue
				echo "$m (level $level) calls $symbol of $other"
				status=1
			done
		done
	done
	below="$below$modules "
	case " $modules " in *" poller_epoll "*) below="$below poller " ;; esac
	level=$((level + 1))
	shift
done
test $status -eq 0 && echo "one way: $below"
exit $status
