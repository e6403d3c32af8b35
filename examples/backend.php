<?php
/*
 * A backend in PHP 8 with ext-sockets.  It answers every client with one line:
 *
 *	php backend.php /tmp/app.sock
 *	fdproxy -l 127.0.0.1:8080 -r /=/tmp/app.sock
 */
@unlink($argv[1]);
$listener = socket_create(AF_UNIX, SOCK_STREAM, 0);
socket_bind($listener, $argv[1]) && socket_listen($listener, 128) || exit(1);
$room = socket_cmsg_space(SOL_SOCKET, SCM_RIGHTS, 1);
for (;;) {
	if (($conn = socket_accept($listener)) === false)
		continue;
	$message = ['buffer_size' => 1, 'controllen' => $room];
	$n = @socket_recvmsg($conn, $message, MSG_CMSG_CLOEXEC);
	socket_close($conn);
	if ((int)$n < 1)		// a probe: the end without a message
		continue;
	$client = $message['control'][0]['data'][0] ?? null;
	if ($client === null) {		// no descriptor was free in here
		fwrite(STDERR, "a client was lost\n");
		continue;
	}
	socket_set_option($client, SOL_SOCKET, SO_RCVTIMEO,
	    ['sec' => 2, 'usec' => 0]);
	@socket_write($client, "Hello from PHP.\n");	// the body alone
	@socket_shutdown($client, 1);			// its end
	$last = time() + 3;				// what nobody has read
	while (@socket_recv($client, $unread, 4096, 0) > 0 && time() < $last)
		;
	socket_close($client);
}
