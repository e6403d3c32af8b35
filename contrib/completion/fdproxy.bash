# See LICENSE for copyright and license details.
#
# Completion for bash: source it, or put it into
# /usr/share/bash-completion/completions as fdproxy, fdexec, fdaccept and
# fdfault.  The options are those of the usage that the program itself prints.

_fdproxy() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local usage letters what=

	COMPREPLY=()
	usage=$("$1" -h 2>/dev/null | sed '/^$/q')
	# What the option before takes: user, of [-u user[:group]].
	case $prev in
	-?) what=$(sed -n "s/.*\[$prev \([a-z]*\).*/\1/p" <<<"$usage") ;;
	esac
	case $what in
	user | owner) mapfile -t COMPREPLY < <(compgen -u -- "$cur") ;;
	group) mapfile -t COMPREPLY < <(compgen -g -- "$cur") ;;
	file) ;;		# the default
	?*) compopt +o default ;;
	'')	[[ $cur == -* ]] || return 0
		letters=$(grep -o '\[-[[:alnum:]]*' <<<"$usage" |
		    tr -d '[\n-' | sed 's/./-& /g')
		mapfile -t COMPREPLY < <(compgen -W "$letters" -- "$cur") ;;
	esac
}

complete -o default -F _fdproxy fdproxy fdexec fdaccept fdfault
