#!/bin/sh
# See LICENSE for copyright and license details.
#
# Each fuzzer for the given number of seconds, from the seeds in the tree; what
# it finds on the way is kept under build/.
set -e
seconds=$1
for name in http_parse route config fdaccept_head fdexec; do
	mkdir -p build/corpus/$name
	dict=tests/http.dict
	test $name = config && dict=tests/config.dict
	build/fuzz_$name -max_total_time="$seconds" -dict=$dict -timeout=10 \
	    -artifact_prefix=build/ -print_final_stats=1 -verbosity=0 \
	    build/corpus/$name tests/corpus/$name
done
