#!/bin/sh
# See LICENSE for copyright and license details.
#
# The getopt string, the usage text, SYNOPSIS and the option list of the manual
# page say the same, in the same order; so do the table of directives and its
# page.
status=0

differ() {
	echo "$1:"
	echo "  $2"
	echo "  $3"
	status=1
}

# letters of "-1c:f:" style, in order, without colons
for program in fdproxy fdexec fdfault fdaccept; do
	page=man/$program.1
	source=$program.c
	case $program in
	fdproxy) page=man/fdproxy.8 ;;
	fdexec | fdfault) source=companions/$program.c ;;
	fdaccept) source=companions/fdaccept_run.c ;;
	esac
	getopt=$(tr '\n' ' ' <$source |
	    sed -n 's/.*getopt([^"]*"+*\([^"]*\)").*/\1/p' | tr -d ':')
	usage=$(build/$program-test -h | sed -n '1,/^$/p' | tr '\n' ' ')
	# [-1htVv] [-c x] ...: flags first, then options with arguments
	flags=$(printf '%s' "$usage" | sed 's/^[^[]*\[-\([^]]*\)\].*/\1/')
	options=$(printf '%s' "$usage" | grep -o '\[-[A-Za-z0-9] ' |
	    tr -d '[ -' | tr -d '\n')
	want=$(printf '%s' "$flags$options" | grep -o . | LC_ALL=C sort |
	    tr -d '\n')
	have=$(printf '%s' "$getopt" | grep -o . | LC_ALL=C sort | tr -d '\n')
	test -n "$have" || differ "$program: no getopt string" "" ""
	test "$have" = "$want" ||
	    differ "$program: getopt and usage" "$have" "$want"
	synopsis=$(sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESCRIPTION/p' $page)
	sflags=$(printf '%s\n' "$synopsis" |
	    sed -n 's/^\.Op Fl \([A-Za-z0-9]*\)$/\1/p' | tr -d '\n')
	soptions=$(printf '%s\n' "$synopsis" |
	    sed -n 's/^\.Op Fl \([A-Za-z0-9]\) Ar.*/\1/p' | tr -d '\n')
	test "$flags$options" = "$sflags$soptions" ||
	    differ "$program: usage and SYNOPSIS" "$flags$options" \
	        "$sflags$soptions"
	list=$(sed -n 's/^\.It Fl \([A-Za-z0-9]\)\( .*\)*$/\1/p' $page |
	    tr -d '\n')
	test "$(printf '%s' "$getopt")" = "$list" ||
	    differ "$program: getopt and the page's list" "$getopt" "$list"
done

table=$(sed -n '/^static const struct directive directives/,/^};/p' config.c |
    sed -n 's/^	{ "\([A-Za-z]*\)".*/\1/p')
page=$(sed -n 's/^\.It Ic \([A-Za-z]*\).*/\1/p' man/fdproxy.conf.5)
test "$table" = "$page" ||
    differ "directives: table and page" "$(echo $table)" "$(echo $page)"
test "$table" = "$(printf '%s\n' "$table" | LC_ALL=C sort -f)" ||
    differ "directives are not in order" "" ""
exit $status
