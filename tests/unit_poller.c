/* See LICENSE for copyright and license details. */

/*
 * The contract of poller.h, for whichever poller this was built with: over TCP
 * and over AF_UNIX, with real sockets and no clock.
 */

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "poller.h"
#include "unit.h"

#define IDS		1000	/* the first id: not the descriptor's number */
#define NUMBERS		256
#define PATIENCE	10000	/* ms, for what must come */

static int pair[2], listener;
static bool local;
static enum poller_want watched;
static char buf[65536];

static void
tcp_listen(struct sockaddr_in *addr)
{
	socklen_t len = sizeof(*addr);

	memset(addr, 0, sizeof(*addr));
	addr->sin_family = AF_INET;
	addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert(bind(listener, (struct sockaddr *)addr, len) == 0);
	ck_assert(listen(listener, 8) == 0);
	ck_assert(getsockname(listener, (struct sockaddr *)addr, &len) == 0);
}

/* pair[1] is ours to watch, pair[0] the other side. */
static void
begin(bool unix_pair)
{
	struct sockaddr_in addr;

	local = unix_pair;
	watched = POLLER_NONE;
	tcp_listen(&addr);
	if (local) {
		ck_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	} else {
		pair[0] = socket(AF_INET, SOCK_STREAM, 0);
		ck_assert(connect(pair[0], (struct sockaddr *)&addr,
		    sizeof(addr)) == 0);
		pair[1] = accept(listener, NULL, NULL);
		ck_assert_int_ne(pair[1], -1);
	}
	ck_assert(poller_open(NUMBERS) == 0);
}

static void
end(void)
{
	poller_close();
	close(pair[0]);
	close(pair[1]);
	close(listener);
}

static void
watch(enum poller_want want)
{
	ck_assert(poller_set(pair[1], IDS, watched, want) == 0);
	watched = want;
}

/* The one report that comes, or 0 with *n 0 if there is none now. */
static unsigned int
next(int ms, int *n)
{
	struct poller_event events[4];

	*n = poller_wait(events, 4, ms);
	ck_assert_int_ge(*n, 0);
	ck_assert_int_le(*n, 1);
	if (*n == 0)
		return 0;
	ck_assert_uint_eq(events[0].id, IDS);
	return events[0].what;
}

static unsigned int
must_come(void)
{
	unsigned int what;
	int n;

	what = next(PATIENCE, &n);
	ck_assert_int_eq(n, 1);
	return what;
}

static void
nothing_comes(void)
{
	int n;

	next(20, &n);
	ck_assert_int_eq(n, 0);
}

/* Look at the bytes that are there, and leave them. */
static void
look(size_t want)
{
	ssize_t n = recv(pair[1], buf, sizeof(buf), MSG_PEEK | MSG_DONTWAIT);

	ck_assert_int_eq(n > 0 ? n : 0, want);
}

static void
say(const char *text)
{
	ck_assert(send(pair[0], text, strlen(text), 0) ==
	    (ssize_t)strlen(text));
}

/* A listener is reported as long as somebody waits. */
TEST(accepts)
{
	struct poller_event e;
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	int client[2], i;

	begin(false);
	ck_assert(fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
	getsockname(listener, (struct sockaddr *)&addr, &len);
	ck_assert(poller_set(listener, 3, POLLER_NONE, POLLER_ACCEPT) == 0);
	for (i = 0; i < 2; i++) {
		client[i] = socket(AF_INET, SOCK_STREAM, 0);
		ck_assert(connect(client[i], (struct sockaddr *)&addr, len) ==
		    0);
	}
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(poller_wait(&e, 1, PATIENCE), 1);
		ck_assert_int_eq(poller_wait(&e, 1, PATIENCE), 1);
		ck_assert_uint_eq(e.id, 3);
		ck_assert_uint_eq(e.what, 0);
		close(accept(listener, NULL, NULL));
		close(client[i]);
	}
	ck_assert_int_eq(poller_wait(&e, 1, 0), 0);
	ck_assert(poller_set(listener, 3, POLLER_ACCEPT, POLLER_NONE) == 0);
}

/*
 * One arrival, one report, although nothing is read.  Without edges there are
 * reports over and over; so the client rests, and is looked at again.
 */
TEST(arrivals)
{
	size_t len = 0;
	int i;

	begin(_i == 1);
	watch(POLLER_READ);
	look(0);
	nothing_comes();
	for (i = 0; i < 5; i++) {
		say("part");
		len += 4;
		ck_assert_uint_eq(must_come(), 0);
		look(len);
		if (!POLLER_EDGES) {
			ck_assert_uint_eq(must_come(), 0);
			watch(POLLER_HANGUP);
			nothing_comes();
			watch(POLLER_READ);
		} else {
			nothing_comes();
		}
	}
	watch(POLLER_NONE);
	say("more");
	nothing_comes();
}

/* What is there already when watching begins is reported, too. */
TEST(arrived_before)
{
	begin(_i == 1);
	say("early");
	watch(POLLER_READ);
	must_come();
	ck_assert_int_eq(recv(pair[1], buf, 5, 0), 5);
}

#if POLLER_EDGES || defined(POLLRDHUP)
/*
 * The other side sends no more: that is told behind unread bytes, and behind a
 * rest, in which it is no hang-up.
 */
TEST(ends)
{
	unsigned int what;
	bool rests = _i > 1;

	begin(_i % 2 == 1);
	say("head");
	watch(POLLER_READ);
	must_come();
	look(4);
	if (rests)
		watch(POLLER_HANGUP);
	ck_assert(shutdown(pair[0], SHUT_WR) == 0);
	if (rests) {
		nothing_comes();
		watch(POLLER_READ);
	}
	do {
		what = must_come();
	} while (!POLLER_EDGES && what == 0);
	ck_assert_uint_eq(what, POLLER_END);
}
#endif

/* While it rests, arrivals are not reported; after that, all at once. */
TEST(rests)
{
	int i;

	begin(_i == 1);
	say("head");
	watch(POLLER_READ);
	must_come();
	look(4);
	watch(POLLER_HANGUP);
	for (i = 0; i < 10; i++) {
		say("x");
		nothing_comes();
	}
	watch(POLLER_READ);
	ck_assert_uint_eq(must_come(), 0);
	look(14);
	if (POLLER_EDGES)
		nothing_comes();
}

/* Nothing but its end: arrivals are not reported. */
TEST(hang_ups)
{
	struct linger reset = { 1, 0 };

	begin(_i == 1);
	watch(POLLER_HANGUP);
	say("text");
	nothing_comes();
	if (!local)
		setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &reset,
		    sizeof(reset));
	close(pair[0]);
	pair[0] = -1;
	ck_assert_uint_ne(must_come() & POLLER_GONE, 0);
}

/* Room to write, after there was none. */
TEST(room)
{
	begin(_i == 1);
	ck_assert(fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0);
	ck_assert(fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);
	watch(POLLER_HANGUP);
	while (send(pair[1], buf, sizeof(buf), 0) > 0 ||
	    send(pair[1], buf, 1, 0) > 0)
		;
	watch(POLLER_WRITE);
	nothing_comes();
	do {
		while (recv(pair[0], buf, sizeof(buf), 0) > 0)
			;
	} while (send(pair[1], buf, 1, 0) == -1 && errno == EAGAIN);
	watch(POLLER_HANGUP);
	watch(POLLER_WRITE);
	ck_assert_uint_eq(must_come(), 0);
}

/* From one want to another: each time, only what is wanted. */
TEST(changes)
{
	begin(_i == 1);
	watch(POLLER_HANGUP);
	watch(POLLER_READ);
	look(0);
	say("x");
	must_come();
	look(1);
	watch(POLLER_HANGUP);
	say("y");
	nothing_comes();
	watch(POLLER_READ);
	must_come();
	watch(POLLER_WRITE);
	ck_assert_uint_eq(must_come(), 0);
	watch(POLLER_NONE);
	watch(POLLER_NONE);
	nothing_comes();
}

/* Another process has the socket: what happens there is not reported here. */
TEST(given_away)
{
	int other;

	begin(_i == 1);
	say("head");
	watch(POLLER_READ);
	must_come();
	look(4);
	watch(POLLER_NONE);
	other = dup(pair[1]);
	close(pair[1]);
	say("more");
	nothing_comes();
	/* Nor is what has its number now. */
	pair[1] = dup(other);
	say("again");
	nothing_comes();
	ck_assert_int_eq(recv(other, buf, sizeof(buf), 0), 13);
	close(other);
}

/* Many at a time, each by its id; no more than there is room for. */
TEST(many)
{
	struct poller_event events[16];
	int fd[40][2], seen[40] = { 0 }, i, n, left = 40;

	begin(true);
	for (i = 0; i < 40; i++) {
		ck_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, fd[i]) == 0);
		ck_assert(poller_set(fd[i][1], (uint32_t)i, POLLER_NONE,
		    POLLER_READ) == 0);
	}
	for (i = 0; i < 40; i++)
		ck_assert(send(fd[i][0], "x", 1, 0) == 1);
	while (left > 0) {
		n = poller_wait(events, 16, PATIENCE);
		ck_assert_int_gt(n, 0);
		ck_assert_int_le(n, 16);
		for (i = 0; i < n; i++) {
			ck_assert_uint_lt(events[i].id, 40);
			ck_assert(poller_set(fd[events[i].id][1],
			    events[i].id, POLLER_READ, POLLER_NONE) == 0);
			left -= seen[events[i].id]++ == 0;
		}
	}
	for (i = 0; i < 40; i++) {
		close(fd[i][0]);
		close(fd[i][1]);
	}
}

static const struct test tests[] = {
	ONCE(accepts),
	TIMES(arrivals, 2),
	TIMES(arrived_before, 2),
#if POLLER_EDGES || defined(POLLRDHUP)
	TIMES(ends, 4),
#endif
	TIMES(rests, 2),
	TIMES(hang_ups, 2),
	TIMES(room, 2),
	TIMES(changes, 2),
	TIMES(given_away, 2),
	ONCE(many)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), NULL, end);
}
