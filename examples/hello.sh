#!/bin/sh
# See LICENSE for copyright and license details.
#
# A backend in shell: the client is standard input and output.  fdproxy has sent
# the response head already; what is printed here is the body.
#
#	fdexec /tmp/app.sock sh hello.sh
#	fdproxy -l 127.0.0.1:8080 -r /=/tmp/app.sock,payload=head
echo "Hello, $TCPREMOTEIP port $TCPREMOTEPORT."
echo "You said $REQUEST_METHOD $REQUEST_URI with $HTTP_USER_AGENT."
if [ "${CONTENT_LENGTH:-0}" -gt 0 ]; then
	echo "And these $CONTENT_LENGTH bytes:"
	head -c "$CONTENT_LENGTH"
	echo
fi
