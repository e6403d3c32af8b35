#!/bin/sh
# See LICENSE for copyright and license details.
#
# What is in contrib, as far as the tools for it are here; those that are not
# are named, and counted as skipped.  From the top folder, after make all.  No
# service is started but in a folder of our own.
set -eu
top=$(pwd)
dir=$(mktemp -d)
pids=
export PATH="$top:$PATH"
trap 'kill $pids 2>/dev/null || :; over; wait; rm -rf "$dir"' EXIT
passed=0
failed=0
skipped=0

# check WHAT COMMAND ...
check() {
	what=$1
	shift
	if "$@" >"$dir/out" 2>&1; then
		echo "ok    $what"
		passed=$((passed + 1))
	else
		echo "FAIL  $what"
		sed 's/^/      /' "$dir/out"
		failed=$((failed + 1))
	fi
}

# have WHAT TOOL ...: are they all here?
have() {
	what=$1
	shift
	for tool; do
		command -v "$tool" >/dev/null && continue
		echo "skip  $what: no $tool"
		skipped=$((skipped + 1))
		return 1
	done
}

# await COMMAND ...: until it succeeds, at most 20 s
await() {
	n=0
	until "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		if [ $n -gt 2000 ]; then
			echo "no end of waiting: $*"
			cat "$dir"/logs/*
			return 1
		fi
		sleep 0.01
	done
}

same() { [ "$1" = "$2" ] || { printf '%s\n' "$1" not "$2"; return 1; }; }

# ---- a service, by whatever starts it ----

mkdir "$dir/logs"
cat >"$dir/conf" <<E
Listen 127.0.0.1:0
PidFile $dir/pid
ErrorLog $dir/logs/error.log
ProxyPass /app fd://$dir/app.sock wait=5min
ProxyPass /work workers://$dir/work wait=5min
E
fdexec "$dir/app.sock" echo hello &
pids="$pids $!"
fdexec -w "$dir/work" echo hello 2>/dev/null &
pids="$pids $!"

# copy FILE TO EDIT ...: with this folder's program and configuration
copy() {
	from=$1
	to=$2
	shift 2
	sed -e "s|/usr/\(local/\)*sbin|$top|; s|/etc/fdproxy.conf|$dir/conf|" \
	    "$@" "$from" >"$to"
	chmod +x "$to"
}

log=$dir/logs/error.log
ask() {
	url=http://$(sed -n 's/.*listening on \(127.*\)/\1/p' "$log")
	fdproxy -T 60 -H "$url/app" && fdproxy -T 60 -H "$url/work"
}
renewed() { grep -q ' renewed' "$log"; }
ended() { ! kill -0 "$1"; }

# over: nobody is left of one that went wrong.
over() { [ ! -s "$dir/pid" ] || kill -KILL "$(cat "$dir/pid")" || :; }

# life START RENEW STOP: it serves, goes on with the same process, and ends.
life() {
	over
	rm -f "$log" "$dir/pid"
	$1 && await test -s "$dir/pid" && ask && pid=$(cat "$dir/pid") || return
	$2 && await renewed && ask && same "$pid" "$(cat "$dir/pid")" &&
	    $3 && await ended "$pid" && same "$(ls "$dir/pid" 2>&-)" ""
}

# ---- the configuration, and shell ----

sed 's/^#\([A-Z]\)/\1/' contrib/fdproxy.conf >"$dir/all.conf"
check "fdproxy.conf" fdproxy -t -f contrib/fdproxy.conf
check "fdproxy.conf, all that is in it" fdproxy -t -f "$dir/all.conf"
if have shellcheck shellcheck; then
	check shellcheck shellcheck -s sh contrib/*/run \
	    contrib/openrc/fdproxy contrib/openwrt/files/fdproxy.init
	check "shellcheck, bash" shellcheck contrib/completion/fdproxy.bash
fi

# ---- what an image is made of ----

copied() {
	make DESTDIR="$dir/image/out" install || return
	set -- $(sed -n 's|^COPY --from=build \([^ ]*\) .*|\1|p' \
	    contrib/Dockerfile.server)
	test $# -gt 0 || return
	for file; do
		test -e "$dir/image$file" || { echo "no $file"; return 1; }
	done
}
check "Dockerfile.server: what it copies is there" copied

# ---- completion: the options are those of the manual ----

manual() {
	sed -n 's/^\.It Fl \([A-Za-z0-9]\)\( .*\)*$/-\1/p' man/"$1".[18] |
	    LC_ALL=C sort
}
cat >"$dir/complete.bash" <<'E'
. contrib/completion/fdproxy.bash
COMP_WORDS=("./$1" -)
COMP_CWORD=1
_fdproxy "./$1"
printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort
E
cat >"$dir/complete.zsh" <<'E'
_call_program() { shift; "$@" }
_arguments() {
	print -l -- $@ | sed -n 's/^\*\{0,1\}\(-[^-]\)+\{0,1\}\[.*/\1/p' |
	    LC_ALL=C sort
}
service=$1
words=(./$1 -)
. contrib/completion/_fdproxy
E
for shell in bash zsh; do
	have "completion, $shell" $shell || continue
	for program in fdproxy fdexec fdaccept fdfault; do
		check "completion, $shell: $program" same "$($shell \
		    "$dir/complete.$shell" $program 2>&1)" "$(manual \
		    $program)"
	done
done

# ---- systemd ----

# The names of system calls that the unit allows.
allowed() {
	systemd-analyze syscall-filter --no-pager | awk -v unit="$1" '
	/^@/		{ set = $1 }
	/^    [a-z_@]/	{ members[set] = members[set] " " $1 }
	function put(name, value, n, part) {
		for (n = split(members[name], part); n > 0; n--)
			put(part[n], value)
		allow[name] = value
	}
	END {
		put("@default", 1)
		while ((getline line <unit) > 0)
			if (sub(/^SystemCallFilter=/, "", line)) {
				value = !sub(/^~/, "", line)
				for (k = split(line, w); k > 0; k--)
					put(w[k], value)
			}
		for (name in allow)
			if (allow[name])
				print name
	}' | LC_ALL=C sort
}

calls_start() {
	strace -f -qq -o "$dir/trace" fdproxy -f "$dir/conf" &
	pids="$pids $!"
}
plain_renew() { kill -HUP "$(cat "$dir/pid")"; }
plain_stop() { kill "$(cat "$dir/pid")"; }
calls() {
	life calls_start plain_renew plain_stop || return
	# setresuid is of root, who opens a log with another's rights.
	sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' "$dir/trace" |
	    LC_ALL=C sort -u | sed '/^setres[ug]id$/d' >"$dir/calls"
	grep -q '^execve$' "$dir/calls" || return
	allowed "$1" >"$dir/allowed"
	same "$(LC_ALL=C comm -23 "$dir/calls" "$dir/allowed")" ""
}

if have systemd systemd-analyze; then
	version=$(systemd-analyze --version |
	    sed -n 's/^systemd \([0-9]*\).*/\1/p')
	edit=
	[ "$version" -ge 253 ] || edit="-f contrib/systemd/252.sed"
	mkdir "$dir/units"
	unit=$dir/units/fdproxy.service
	copy contrib/systemd/fdproxy.service "$unit" \
	    $edit
	copy contrib/systemd/fdproxy.socket "$dir/units/fdproxy.socket"
	chmod 644 "$dir"/units/*
	said=$(systemd-analyze verify --man=no "$unit" \
	    "$dir/units/fdproxy.socket" 2>&1 | grep fdproxy || :)
	check "systemd $version: verify" same "$said" ""
	check "systemd $version: exposure 1.0 at most" \
	    systemd-analyze security --offline=true --threshold=10 "$unit"
	if have "systemd: system calls" strace; then
		check "systemd: all system calls are allowed" calls "$unit"
	fi
	if [ "$version" -lt 253 ]; then
		echo "skip  systemd: notify-reload: systemd is $version"
		skipped=$((skipped + 1))
	fi
fi

# ---- other supervisors ----

mkdir "$dir/s6" "$dir/runit"
copy contrib/s6/run "$dir/s6/run"
cp contrib/s6/notification-fd "$dir/s6"
copy contrib/runit/run "$dir/runit/run"

s6_start() {
	s6-supervise "$dir/s6" &
	pids="$pids $!"
	await s6-svok "$dir/s6" && s6-svwait -U -t 20000 "$dir/s6"
}
s6_renew() { s6-svc -h "$dir/s6"; }
s6_stop() { s6-svc -dx "$dir/s6"; }
if have s6 s6-supervise; then
	check "s6: ready, renewed, stopped" life s6_start s6_renew s6_stop
fi

runit_start() {
	runsv "$dir/runit" &
	pids="$pids $!"
	await sv check "$dir/runit"
}
runit_renew() { sv reload "$dir/runit"; }
runit_stop() { sv exit "$dir/runit"; }
if have runit runsv; then
	check "runit: started, renewed, stopped" life runit_start runit_renew \
	    runit_stop
fi

# What OpenWrt's rc.common has, as far as the script needs it.
copy contrib/openwrt/files/fdproxy.init "$dir/procd"
procd_start() {
	(
		procd_open_instance() { :; }
		procd_set_param() {
			case $1 in
			command)
				shift
				"$@" &
				echo $! >"$dir/child" ;;
			esac
		}
		procd_close_instance() { :; }
		. "$dir/procd"
		same "$USE_PROCD" 1 && start_service
	) && pids="$pids $(cat "$dir/child")"
}
procd_renew() {
	(
		procd_send_signal() {
			same "$*" fdproxy && kill -HUP "$(cat "$dir/child")"
		}
		. "$dir/procd"
		reload_service
	)
}
check "procd: started, renewed, stopped" life procd_start procd_renew \
    plain_stop

# ---- logs ----

rotate() {
	copy contrib/logrotate/fdproxy "$dir/logrotate" -e '/^	su /d' \
	    -e "s|/var/log/fdproxy|$dir/logs|" \
	    -e "s|/run/fdproxy/fdproxy.pid|$dir/pid|"
	chmod 644 "$dir/logrotate"
	logrotate -f -s "$dir/state" "$dir/logrotate" || return
	await test -e "$log" && test -s "$log.1" || return
	cp "$log.1" "$log"	# where ask finds the port
	plain_renew
}
if have logrotate logrotate; then
	check "logrotate: the files are opened again" life procd_start rotate \
	    plain_stop
fi

echo "$passed passed, $failed failed, $skipped skipped"
test $failed -eq 0
