<?php
/*
 * A worker for fdproxy(8) in PHP 8 with ext-sockets: it serves one client at
 * a time, keeps connections alive, and gives them back for the next request;
 * see fdproxy-protocol(7).  Several can run at once.
 *
 *	fdproxy -l 8080 -r /=workers:/tmp/app.workers,flusher=none,wait=5s &
 *	php worker.php /tmp/app.workers
 * or
 *	fdproxy -l 8080 -r /=:workers,flusher=none php worker.php
 *
 * A second argument is its name in its answers.  SIGTERM ends it gracefully if
 * PHP has pcntl.  If not, the client that it has is lost; so give it a file as
 * the third argument: once that is there, it ends gracefully within a second.
 */
declare(strict_types=1);

$channel = null;			// to fdproxy
$leaving = false;

/* No more promises; what has been sent is served. */
function leave(): void
{
	global $channel, $leaving;
	$leaving = true;
	$channel === null || @socket_shutdown($channel, 1);
}

/* The next client; null if it was lost since no descriptor was free; false at
   the end.  A signal right before select() is seen a second later. */
function take(): Socket|null|false
{
	global $channel, $argv;
	$room = socket_cmsg_space(SOL_SOCKET, SCM_RIGHTS, 1);
	do {
		isset($argv[3]) && file_exists($argv[3]) && leave();
		[$r, $w, $e] = [[$channel], null, null];
		@socket_select($r, $w, $e, 1);
		$m = ['buffer_size' => 1, 'controllen' => $room];
		$n = @socket_recvmsg($channel, $m,
		    MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while ($n === false && socket_last_error() === SOCKET_EAGAIN);
	return $n === 1 ? $m['control'][0]['data'][0] ?? null : false;
}

/* A 0x01 with the client gives it back, a NUL promises to take one.  The
   client must be a stream here: PHP sends descriptor 0 for a Socket. */
function say(string $bytes, ?Socket $client = null): bool
{
	global $channel;
	$m = ['iov' => [$bytes]];
	if ($client !== null)
		$m['control'] = [['level' => SOL_SOCKET, 'type' => SCM_RIGHTS,
		    'data' => [socket_export_stream($client)]]];
	return @socket_sendmsg($channel, $m, MSG_NOSIGNAL) === strlen($bytes);
}

/* Exactly so many bytes, in pieces. */
function pieces(Socket $client, int $left, float $seconds): Generator
{
	$until = microtime(true) + $seconds;
	while ($left > 0) {
		$n = @socket_recv($client, $piece, min($left, 65536), 0);
		if ($n > 0) {
			$left -= $n;
			yield $piece;
		} else if ($n === 0 ||
		    socket_last_error($client) !== SOCKET_EINTR)
			throw new Exception('no more input');
		if (microtime(true) > $until)
			throw new Exception('too slow');
	}
}

/* Answer a request; whether the connection stays: not if its body is chunked,
   which is not read. */
function serve(Socket $client): bool
{
	global $argv, $leaving;
	foreach ([SO_RCVTIMEO, SO_SNDTIMEO] as $option)	// fdproxy undoes them
		socket_set_option($client, SOL_SOCKET, $option,
		    ['sec' => 2, 'usec' => 0]);
	// The head is there, and whole: fdproxy has looked.  Not a byte more.
	@socket_recv($client, $head, 65535, MSG_PEEK);
	if (!preg_match('~^(\S+) (\S+) HTTP/1\.(.)\r\n(.*?\r\n)??\r\n~s',
	    (string)$head, $m))
		return false;
	@socket_recv($client, $head, strlen($m[0]), 0);
	[, $method, $target, $minor] = $m;
	preg_match_all('/^([^:\r\n]+):[ \t]*(.*?)[ \t]*\r$/m',
	    strtolower($head), $m);
	foreach ($m[1] as $i => $name)
		$field[$name] = ($field[$name] ?? '') . $m[2][$i] . ',';
	$known = !isset($field['transfer-encoding']);
	if ($known && $minor > 0 && isset($field['expect']))
		@socket_send($client, "HTTP/1.1 100 Continue\r\n\r\n", 25,
		    MSG_NOSIGNAL);
	$length = (int)($field['content-length'] ?? 0);
	$digest = hash_init('md5');
	foreach (pieces($client, $length, 60) as $piece)
		hash_update($digest, $piece);
	@socket_getpeername($client, $address);
	$text = ($argv[2] ?? 'php') . " $method $target " .
	    ($address ?: 'unix') . ($method === 'POST' ?
	    " $length " . hash_final($digest) : '') . "\n";
	preg_match_all('/[^, \t]+/', $field['connection'] ?? '', $says);
	$stays = $known && !$leaving && !in_array('close', $says[0]) &&
	    ($minor > 0 || in_array('keep-alive', $says[0]));
	$out = 'HTTP/1.1 ' . ($known ? '200 OK' : '411 Length Required') .
	    "\r\nContent-Length: " . strlen($text) . "\r\nConnection: " .
	    ($stays ? 'keep-alive' : 'close') . "\r\n\r\n" .
	    ($method === 'HEAD' ? '' : $text);
	do
		$n = @socket_send($client, $out, strlen($out), MSG_NOSIGNAL);
	while ($n === false && socket_last_error($client) === SOCKET_EINTR);
	return $n === strlen($out) && $stays;
}

/* Take clients one by one, until the channel ends. */
function work(): void
{
	for (say("\0"); ($c = take()) !== false; $given || say("\0")) {
		try {
			$given = $c && serve($c) && say("\1\0", $c);
			if ($c && !$given && @socket_shutdown($c, 1))
				foreach (pieces($c, PHP_INT_MAX, 2) as $unread);
		} catch (Exception) {			// it has left
			$given = false;
		}
		$c && socket_close($c);			// and no shutdown
	}
}

if (function_exists('pcntl_signal')) {
	pcntl_async_signals(true);
	pcntl_signal(SIGTERM, leave(...));
}
if (($number = getenv('FDPROXY_WORKERS')) !== false) {
	$channel = socket_import_stream(fopen("php://fd/$number", 'r+'));
	exit(work());
}
for ($delay = 50; !$leaving; $delay = min(2 * $delay, 5000)) {
	$channel = socket_create(AF_UNIX, SOCK_STREAM, 0);
	if (@socket_connect($channel, $argv[1]) && !$leaving) {
		work();
		$delay = 50;
	}
	$channel = null;
	$leaving || usleep(1000 * random_int(1, $delay));
}
