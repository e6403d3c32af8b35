#!/bin/sh
# See LICENSE for copyright and license details.
#
# A CGI program (RFC 3875): its fields and an empty line, then the body.
#
#	SCRIPT_NAME=/form fdexec -C /tmp/form.sock examples/form.cgi
#	fdproxy -l 127.0.0.1:8080 -r /form=/tmp/form.sock,flusher=none
if [ "$REQUEST_METHOD" = POST ]; then
	echo 'Content-Type: text/plain; charset=utf-8'
	echo
	echo "You sent $CONTENT_LENGTH bytes:"
	cat
	exit
fi
cat <<E
Content-Type: text/html; charset=utf-8

<!doctype html>
<form method=post>
<label>Your text <input name=text></label> <button>Send</button>
</form>
E
