/* See LICENSE for copyright and license details. */

/*
 * Answers of fdproxy's own, and clients that never finish their head.
 */

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "world.h"

static char buf[1024 * 1024];

static const struct {
	const char *request;
	int status;
} statuses[] = {
	{ "GET /none HTTP/1.1\r\nHost: x\r\n\r\n", 404 },
	{ "GET /app%2f HTTP/1.1\r\nHost: x\r\n\r\n", 404 },
	{ "GET /../app HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
	{ "GET /app HTTP/1.1\r\n\r\n", 400 },
	{ "GET /app HTTP/1.1\nHost: x\n\n", 400 },
	{ "GET /app\r\n", 400 },
	{ "\x16\x03\x01", 400 },
	{ "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 405 },
	{ "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 200 },
	{ "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", 200 },
	{ "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n", 200 },
	{ "HEAD /ready HTTP/1.1\r\nHost: x\r\n\r\n", 200 },
	{ "OPTIONS /ready HTTP/1.1\r\nHost: x\r\n\r\n", 405 },
	{ "get /ready HTTP/1.1\r\nHost: x\r\n\r\n", 405 },
	{ "POST /status HTTP/1.1\r\nHost: x\r\n\r\n", 405 },
	{ "HEADS /status HTTP/1.1\r\nHost: x\r\n\r\n", 405 },
	{ "GET /none HTTP/1.1\r\nHost:\r\n\r\n", 400 },
	{ "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", 400 },
	{ "GET /none HTTP/1.1\r\nHost: %2Ftmp%2Fx.sock\r\n\r\n", 404 },
	{ "POST /none HTTP/1.2\r\nHost: x\r\n\r\n", 404 },
	{ "POST /none HTTP/1.2\r\nHost: x\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n", 400 },
	{ "PUT /app HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n", 417 },
	{ "GET /app HTTP/2.0\r\nHost: x\r\n\r\n", 505 },
	{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505 },
	{ "POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n", 400 }
};

TEST(status)
{
	const char *answer, *body;
	size_t length;

	backend_listen("s", 4);
	world_proxy("-r", "/app=s", "-r", "/ready=ready:", "-r",
	    "/status=status:", NULL);
	answer = exchange(statuses[_i].request);
	ck_assert_int_eq(status_of(answer), statuses[_i].status);
	ck_contains(answer, "\r\nConnection: close\r\n");
	ck_contains(answer, "\r\nDate: ");
	body = strstr(answer, "\r\n\r\n");
	ck_assert_ptr_nonnull(body);
	ck_assert_int_eq(sscanf(strstr(answer, "Content-Length: "),
	    "Content-Length: %zu", &length), 1);
	ck_assert_uint_eq(strlen(body + 4), length);
	if (statuses[_i].status == 405)
		ck_contains(answer, "\r\nAllow: GET, HEAD\r\n");
	else
		ck_assert_ptr_null(strstr(answer, "Allow: "));
}

/* A client of a unix socket has no host to name; more than one is too many. */
TEST(empty_host)
{
	static const char *const requests[] = {
		"GET /none HTTP/1.1\r\nHost:\r\n\r\n",
		"GET /none HTTP/1.0\r\nHost: \r\n\r\n",
		"GET /none HTTP/1.1\r\nHost:\r\nHost:\r\n\r\n",
		"GET /none HTTP/1.1\r\n\r\n"
	};
	char address[128];
	size_t len;
	int client;

	snprintf(address, sizeof(address), "unix:%s/front", world_dir());
	world_proxy("-l", address, "-r", "/app=s", NULL);
	client = client_unix("front");
	send_text(client, requests[_i]);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), _i < 2 ? 404 : 400);
	ck_assert_int_eq(status_of(exchange(requests[_i])), 400);
}

static const char *const heads[] = {
	"HEAD /none HTTP/1.1\r\nHost: x\r\n\r\n",
	"HEAD /app HTTP/1.1\r\nHost x\r\n\r\n",
	"HEAD /app HTTP/1.1\r\n\r\n"
};

/* Also when the head is bad, if the method was read. */
TEST(head_has_no_body)
{
	const char *answer;

	world_proxy("-r", "/app=s", NULL);
	answer = exchange(heads[_i]);
	ck_assert_str_eq(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
	ck_assert_ptr_null(strstr(answer, "Content-Length: 0"));
}

static const struct {
	const char *start;
	size_t more;
	int status;
} too_long[] = {
	{ "GET /", 8190 - 5 + 1, 414 },
	{ "GET / HTTP/1.1\r\nX: ", 8190 - 3 + 1, 431 }
};

/* Lines without end are answered when they pass their limit. */
TEST(limits)
{
	size_t len;
	int client;

	world_proxy("-r", "/app=s", NULL);
	client = client_open();
	send_text(client, too_long[_i].start);
	memset(buf, 'a', too_long[_i].more);
	send_bytes(client, buf, too_long[_i].more - 1);
	ck_assert(!readable(client, 50));
	send_bytes(client, buf, 1);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), too_long[_i].status);
}

/*
 * A body that nobody reads must not turn the answer into a reset: all of it
 * can be sent, the answer is whole and ends in a FIN.
 */
TEST(unread_body)
{
	static char body[200 * 1024];
	size_t len;
	int client, i;

	world_proxy("-r", "/app=s", NULL);
	for (i = 0; i < 50; i++) {
		client = client_open();
		send_text(client, "POST /none HTTP/1.1\r\nHost: x\r\n"
		    "Content-Length: 204800\r\n\r\n");
		send_bytes(client, body, sizeof(body));
		ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len),
		    END_FIN);
		ck_assert_int_eq(status_of(buf), 404);
		close(client);
	}
}

/* But not for ever: who goes on sending is cut off. */
TEST(linger_is_bounded)
{
	static char body[64 * 1024];
	long start = now_ms();
	int client;

	world_proxy("-r", "/app=s", NULL);
	client = client_open();
	send_text(client, "POST /none HTTP/1.1\r\nHost: x\r\n\r\n");
	while (send(client, body, _i == 0 ? sizeof(body) : 1, MSG_NOSIGNAL) > 0)
		if (_i == 1)
			poll(NULL, 0, 100);
	ck_assert_int_lt(now_ms() - start, WORLD_PATIENCE);
}

/* A head that does not come in time: 408 once something has arrived. */
TEST(head_timeout)
{
	int client;
	size_t len;

	/* One that speaks is accepted with what it says: the time begins then,
	   and not while we have yet to send it. */
	world_proxy("-r", "/app=s", "-c", "RequestReadTimeout header=200ms",
	    "-c", _i == 0 ? "AcceptFilter http none" :
	    "AcceptFilter http data", NULL);
	client = client_open();
	if (_i == 1)
		send_text(client, "GET /app HTT");
	if (_i == 2)
		send_text(client, "HEAD /app HTTP/1.1\r\n");
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	if (_i == 0)
		ck_assert_uint_eq(len, 0);
	else
		ck_assert_int_eq(status_of(buf), 408);
	if (_i == 2)
		ck_assert_str_eq(strstr(buf, "\r\n\r\n"), "\r\n\r\n");
}

/* The deadline is one for the whole head: no byte moves it. */
TEST(drip_does_not_extend)
{
	long start = now_ms();
	int client;

	world_proxy("-r", "/app=s", "-c", "RequestReadTimeout header=300ms",
	    NULL);
	client = client_open();
	send_text(client, "GET /app HTTP/1.1\r\nX: ");
	while (!readable(client, 20))
		send_text(client, "a");
	ck_assert_int_ge(now_ms() - start, 250);
	read_exact(client, buf, 13);
	ck_assert_int_eq(memcmp(buf, "HTTP/1.1 408 ", 13), 0);
}

/*
 * The deadline comes while the client is given a rest, after very many pieces:
 * it is answered, lingers, and is gone like any other.
 */
TEST(late_while_resting)
{
	int client, before;
	size_t len;

	world_proxy("-r", "/app=s", "-c", "RequestReadTimeout header=400ms",
	    NULL);
	before = world_fds();
	client = client_open();
	send_text(client, "GET /app HTTP/1.1\r\nX: ");
	while (!readable(client, 2))
		send_text(client, "a");
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), 408);
	world_until_fds(before);
}

/* The end of an AF_UNIX client is seen at once as well, and so its deadline. */
TEST(unix_cut_short)
{
	int client, before;
	char address[128];
	long start;
	size_t len;

	snprintf(address, sizeof(address), "unix:%s/front", world_dir());
	world_proxy("-l", address, "-r", "/app=s", "-c", _i == 0 ?
	    "RequestReadTimeout header=1min" :
	    "RequestReadTimeout header=300ms", NULL);
	before = world_fds();
	/* It is accepted with what it has said, however slow we are. */
	world_signal(SIGSTOP);
	client = client_unix("front");
	send_text(client, "GET /app HTTP/1.1\r\nHos");
	world_signal(SIGCONT);
	if (_i == 0) {
		world_until_fds(before + 1);
		shutdown(client, SHUT_WR);
	}
	start = now_ms();
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), _i == 0 ? 400 : 408);
	ck_assert_int_lt(now_ms() - start, WORLD_PATIENCE);
	world_until_fds(before);
}

static const struct {
	const char *part;
	int status;	/* 0: silence, and no reset */
} parts[] = {
	{ "", 0 }, { "GET /ap", 0 },
	{ "GET /app HTTP/1.1\r\nHos", 400 }
};

/* An end inside the head is seen at once, also behind unread bytes. */
TEST(cut_short)
{
	int client, before;
	size_t len;

	world_proxy("-r", "/app=s", NULL);
	before = world_fds();
	client = client_open();
	send_text(client, parts[_i].part);
	shutdown(client, SHUT_WR);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	if (parts[_i].status == 0)
		ck_assert_uint_eq(len, 0);
	else
		ck_assert_int_eq(status_of(buf), parts[_i].status);
	world_until_fds(before);
}

/* One that just goes away frees its descriptor at once. */
TEST(client_vanishes)
{
	struct linger off = { 1, 0 };
	int client, before;

	world_proxy("-r", "/app=s", NULL);
	before = world_fds();
	client = client_open();
	send_text(client, "GET /ap");
	world_until_fds(before + 1);
	if (_i == 1)
		setsockopt(client, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	close(client);
	world_until_fds(before);
}

/*
 * A peeked head stays readable; whoever waits for more of it must not spin.
 * 21 pieces over a second: about one wake-up each; with poll(), which reports
 * what stays over and over, a few.
 */
TEST(drip_costs_nothing)
{
	static const char head[] = "GET /app HTTP/1.1\r\nHost: x\r\n\r\n";
	int listener = backend_listen("s", 16), client, i;
	size_t len = sizeof(head) - 1, from, to;
	long sleeps;

	world_proxy("-r", "/app=s", NULL);
	client = client_open();
	sleeps = world_sleeps();
	for (i = 0; i < 21; i++) {
		from = len * (size_t)i / 21;
		to = len * (size_t)(i + 1) / 21;
		send_bytes(client, head + from, to - from);
		poll(NULL, 0, 50);
	}
	close(backend_take(listener));
	/* What it has to fetch from a disk is a sleep as well. */
	ck_assert_int_le(world_sleeps() - sleeps, world_polls() ? 84 : 40);
}

/* Over AF_UNIX poll(2) cannot tell; it looks now and then, as time goes by. */
TEST(unix_drip)
{
	static const char head[] = "GET /app HTTP/1.1\r\nHost: x\r\n\r\n";
	int listener = backend_listen("s", 16), client;
	char address[128];
	long sleeps, start;
	size_t i;

	snprintf(address, sizeof(address), "unix:%s/front", world_dir());
	world_proxy("-l", address, "-r", "/app=s,flusher=none", NULL);
	client = client_unix("front");
	start = now_ms();
	sleeps = world_sleeps();
	for (i = 0; i < sizeof(head) - 1; i++) {
		send_bytes(client, head + i, 1);
		poll(NULL, 0, 30);
	}
	close(backend_take(listener));
	ck_assert_int_le(world_sleeps() - sleeps, (long)sizeof(head) +
	    (now_ms() - start) / 10);
}

/* After very many looks for one head, at most one in 10 ms. */
TEST(many_pieces)
{
	int listener = backend_listen("s", 16), client, i;

	world_proxy("-r", "/app=s", NULL);
	client = client_open();
	send_text(client, "GET /app HTTP/1.1\r\nHost: x\r\nX: ");
	for (i = 0; i < 4000; i++)
		send_text(client, "y");
	send_text(client, "\r\n\r\n");
	close(backend_take(listener));
}

/* Bytes of a client in a message are escaped. */
TEST(log_is_escaped)
{
	world_proxy("-r", "/app=s", "-v", NULL);
	ck_assert_int_eq(status_of(exchange(
	    "GET /\x01\"\\ HTTP/1.1\r\nHost: x\r\n\r\n")), 400);
	world_stop("\"GET /\\x01\\x22\\x5c HTTP/1.1\": 400\n");
}

static const struct test tests[] = {
	TIMES(status, COUNT(statuses)),
	TIMES(empty_host, 4),
	TIMES(head_has_no_body, COUNT(heads)),
	TIMES(limits, COUNT(too_long)),
	ONCE(unread_body),
	TIMES(linger_is_bounded, 2),
	TIMES(head_timeout, 3),
	ONCE(drip_does_not_extend),
	ONCE(late_while_resting),
	TIMES(cut_short, COUNT(parts)),
	TIMES(unix_cut_short, 2),
	TIMES(client_vanishes, 2),
	ONCE(drip_costs_nothing),
	ONCE(unix_drip),
	ONCE(many_pieces),
	ONCE(log_is_escaped)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), world_begin,
	    world_end);
}
