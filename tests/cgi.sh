#!/bin/sh
# See LICENSE for copyright and license details.
#
# CGI programs as they are, in four languages: behind fdproxy and fdexec -C, and
# below lighttpd's mod_cgi and Apache's mod_cgid.  Status, body, and every field
# that a program wrote are the same.  What is not installed is left out; needs
# curl.
#
#	cgi.sh [how many comparisons at least]
set -eu
minimum=${1:-0}
. tests/scratch.sh
chmod 755 "$dir"
mkdir "$dir/cgi-bin"
cd "$dir/cgi-bin"

# program NAME: an executable, of standard input
program() {
	cat >"$1"
	chmod 755 "$1"
}

# ---- the programs ----

program env <<'S'
#!/bin/sh
cat >/dev/null
echo 'Content-Type: text/plain'
echo
# Some say that a request without a body has one of 0 bytes.
echo "CONTENT_LENGTH=${CONTENT_LENGTH-0}"
for name in CONTENT_TYPE GATEWAY_INTERFACE HTTP_ACCEPT \
    HTTP_COOKIE HTTP_PROXY HTTP_X_Y PATH_INFO QUERY_STRING REMOTE_ADDR \
    REQUEST_METHOD REQUEST_URI SCRIPT_NAME SERVER_ADDR SERVER_NAME \
    SERVER_PROTOCOL
do
	eval "echo \"$name=\${$name-unset}\""
done
S
program echo <<'S'
#!/bin/sh
printf 'Content-Type: %s\r\nX-Length: %s\r\n\r\n' "$CONTENT_TYPE" \
    "$CONTENT_LENGTH"
cat
S
program status <<'S'
#!/bin/sh
echo 'Status: 404 Not Found'
echo 'Content-Type: text/html'
echo 'X-Odd:  two  words '
echo
echo '<h1>no</h1>'
S
program location <<'S'
#!/bin/sh
echo 'Location: http://example.org/a?b#c'
echo 'Content-Type: text/plain'
echo
echo there
S
program cookies <<'S'
#!/bin/sh
echo 'Set-Cookie: a=1; Path=/'
echo 'Set-Cookie: b=2'
echo 'Content-type: text/plain; charset=utf-8'
echo 'Cache-Control: no-store'
echo
echo cookies
S
program notmodified <<'S'
#!/bin/sh
echo 'Status: 304 Not Modified'
echo 'ETag: "x"'
echo
S
program large <<'S'
#!/bin/sh
echo 'Content-Type: application/octet-stream'
echo
awk 'BEGIN { for (i = 0; i < 400000; i++) print i, "large" }'
S
program length <<'S'
#!/bin/sh
printf 'Content-Length: 5\nContent-Type: text/plain\n\nfive\n'
S
program slow <<'S'
#!/bin/sh
printf 'Content-'
sleep 1
printf 'Type: text/plain\n\nfirst\n'
sleep 1
echo second
S
program unread <<'S'
#!/bin/sh
echo 'Content-Type: text/plain'
echo
echo "$CONTENT_LENGTH not read"
S
program empty <<'S'
#!/bin/sh
exit 0
S
program dies <<'S'
#!/bin/sh
echo 'Content-Type: text/plain'
kill -9 $$
S
if perl -MCGI -e 1 2>/dev/null; then
	program form.pl <<'S'
#!/usr/bin/perl
use CGI;
my $q = CGI->new;
print $q->header(-type => 'text/plain', -charset => 'utf-8',
    -cookie => $q->cookie(-name => 'c', -value => 'v w'));
print map { "$_=" . join(',', $q->multi_param($_)) . "\n" }
    sort $q->multi_param;
print $q->url(-absolute => 1, -path_info => 1, -query => 1), "\n";
print $q->cookie('a') || 'none', "\n";
S
	program upload.pl <<'S'
#!/usr/bin/perl
use CGI;
use Digest::MD5;
my $q = CGI->new;
my $file = $q->upload('file');
binmode $file;
print $q->header(-status => '201 Created', -type => 'text/plain'),
    Digest::MD5->new->addfile($file)->hexdigest, "\n";
S
	program redirect.pl <<'S'
#!/usr/bin/perl
use CGI;
print CGI->new->redirect(-uri => 'http://example.org/', -status => 303);
S
fi
if python3 -c 'import wsgiref.handlers' 2>/dev/null; then
	program wsgi.py <<'S'
#!/usr/bin/env python3
from wsgiref.handlers import CGIHandler

def app(environ, start):
    body = environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
    text = '%s|%s|%d' % (environ['SCRIPT_NAME'], environ.get('PATH_INFO', ''),
        len(body))
    start('202 Accepted', [('Content-Type', 'text/plain'), ('X-A', 'b'),
        ('Content-Length', str(len(text)))])
    return [text.encode()]

CGIHandler().run(app)
S
fi
if command -v cc >/dev/null; then
	cc -x c -o c - <<'S'
#include <stdio.h>
#include <stdlib.h>

int
main(void)
{
	int c, sum = 0;

	while ((c = getchar()) != EOF)
		sum = (sum + c) % 65536;
	printf("Status: 200 Fine\r\nContent-Type: text/plain\r\n\r\n");
	printf("%s %d\n", getenv("REQUEST_METHOD"), sum);
	return 3;
}
S
fi
programs=$(ls)

# ---- the servers ----

# until_up NAME PID: it is there, or it is not
until_up() {
	until curl -s -o "$dir/up" "$url/" 2>/dev/null; do
		kill -0 "$2" 2>/dev/null || return 1
		sleep 0.1
	done
	servers="$servers $1=$url"
}

servers=
routes=
for name in $programs; do
	SCRIPT_NAME=/cgi-bin/$name "$top/fdexec" -C "$dir/$name" "./$name" \
	    2>>"$dir/log" &
	pids="$pids $!"
	routes="$routes -r /cgi-bin/$name=$dir/$name,flusher=none,wait=1min"
done
"$top/fdproxy" -1 -l 127.0.0.1:0 $routes >"$dir/port" 2>>"$dir/log" &
proxy=$!
pids="$pids $proxy"
until [ -s "$dir/port" ]; do
	kill -0 $proxy || die "fdproxy: $(cat "$dir/log")"
done
ours=http://$(cat "$dir/port")

port=$(($$ % 12000 + 20000))	# below those that clients get
if command -v lighttpd >/dev/null; then
	url=http://127.0.0.1:$port
	cat >"$dir/lighttpd.conf" <<S
server.document-root = "$dir"
server.bind = "127.0.0.1"
server.port = $port
server.modules = ( "mod_cgi" )
cgi.assign = ( "" => "" )
S
	lighttpd -D -f "$dir/lighttpd.conf" 2>>"$dir/log" &
	pids="$pids $!"
	until_up lighttpd $! || echo "(lighttpd does not start)"
fi
modules=/usr/lib/apache2/modules
if [ -e $modules/mod_cgid.so ]; then
	port=$((port + 1))
	url=http://127.0.0.1:$port
	cat >"$dir/apache.conf" <<S
ServerRoot $dir
ServerName 127.0.0.1
Listen 127.0.0.1:$port
PidFile $dir/apache.pid
ErrorLog $dir/log
User nobody
Group nogroup
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule alias_module $modules/mod_alias.so
LoadModule cgid_module $modules/mod_cgid.so
ScriptSock $dir/cgid.sock
ScriptAlias /cgi-bin/ $dir/cgi-bin/
S
	apache2 -DFOREGROUND -f "$dir/apache.conf" 2>>"$dir/log" &
	pids="$pids $!"
	until_up apache $! || echo "(apache2 does not start)"
fi

# ---- the comparison ----

# answer URL CURL'S ARGUMENTS ...: the status and the fields, but for those that
# are the server's own; the body in the file body, but not of a 500
answer() {
	: >body
	curl -sS -m 300 -D raw -o body "$@" || echo "curl: $?"
	# The first head may be that of 100 (Continue).
	tr -d '\r' <raw | sed -n 's,^HTTP/1.. \([2-5]..\).*,\1,p'
	case "$*" in *--head*) : >body ;; esac
	grep -q '^HTTP/1.. 500' raw && : >body && return
	tr -d '\r' <raw | grep -iEv '^(HTTP/|Date:|Server:|$)' |
	    grep -iEv '^(Connection|Transfer-Encoding|Accept-Ranges):' |
	    sed 's/: */: /' | LC_ALL=C sort -f
}

done=0
different=0

# Some servers count the body, and some do not believe a program's number.
counted() {
	grep -qi '^Content-Length:' ours.head &&
	    grep -qi '^Content-Length:' theirs.head && return
	for side in ours theirs; do
		grep -vi '^Content-Length:' $side.head >counted || :
		mv counted $side.head
	done
}

# compare PROGRAM[/PATH] CURL'S ARGUMENTS ...
compare() {
	name=${1%%[/?]*}
	path=cgi-bin/$1
	shift
	test -e "$dir/cgi-bin/$name" || return 0
	for server in $servers; do
		case " $differ " in
		*" ${server%%=*}:$name "*) continue ;;
		esac
		answer "$ours/$path" "$@" >ours.head 2>&1
		mv body ours.body
		answer "${server#*=}/$path" "$@" >theirs.head 2>&1
		counted
		done=$((done + 1))
		if diff -i ours.head theirs.head >why &&
		    cmp ours.body body >>why; then
			echo "ok    ${server%%=*}: $path $*:" $(head -1 \
			    ours.head) $(wc -c <body)
			continue
		fi
		different=$((different + 1))
		echo "FAIL  ${server%%=*}: $path $*"
		sed 's/^/      /' why
	done
}

# Apache reads no answer before all of a body is sent, and writes the text with
# a Location itself; lighttpd takes what is no head for a body.
differ="apache:echo apache:unread apache:location lighttpd:dies"
cd "$dir"
head -c 3000000 /dev/urandom >"$dir/upload"
x='X-y: 1'
type='Content-Type: application/octet-stream'
compare env
compare 'env/a%20b/c?d=e&f=%20g' -H "$x" -H 'Cookie: a=b; c=d' -H 'Proxy: p'
compare env -d 'a=b'
compare env -0
compare echo -H "$type" --data-binary "@$dir/upload"
compare echo -H "$type" -H Expect: --data-binary "@$dir/upload"
compare echo -H "$type" --data-binary ''
compare status
compare status --head
compare location
compare cookies
compare notmodified
compare large
compare length
compare length --head
compare slow
compare unread --data-binary "@$dir/upload"
compare unread -H Expect: --data-binary "@$dir/upload"
compare empty
compare dies
compare 'form.pl/p?x=1&x=2&y=%C3%BC' -H 'Cookie: a=b'
compare form.pl -d 'x=1&z=two+words'
compare form.pl --head
compare upload.pl -F "file=@$dir/upload"
compare redirect.pl
compare 'wsgi.py/a%2Cb' -d 12345
compare wsgi.py -0
compare c --data-binary abc
compare c
echo "$done comparisons, $different differ"
test $different -eq 0 || exit 1
test $done -ge "$minimum" || die "fewer than $minimum"
