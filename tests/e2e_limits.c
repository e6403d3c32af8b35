/* See LICENSE for copyright and license details. */

/*
 * Slots, descriptors and memory when there are too many clients.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

#define GET	"GET /app HTTP/1.1\r\nHost: x\r\n\r\n"
#define HALF	"GET /app HTTP/1.1\r\nHo"
#define PAUSED	"fdproxy_accept_pauses_total"

static char buf[65536];

/* n clients with half a head, which fdproxy has all accepted. */
static void
waiting(int *client, int n)
{
	int i, before = world_fds();

	for (i = 0; i < n; i++) {
		client[i] = client_open();
		send_text(client[i], HALF);
	}
	world_until_fds(before + n);
}

/* By a reset: the end of its input alone does not tell that it is gone. */
static void
abandon(int client)
{
	struct linger off = { 1, 0 };

	setsockopt(client, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	close(client);
}

/*
 * All slots are taken: one that speaks is served at once, one more that waits
 * takes the place of the one that has waited longest, which is told 408.
 */
TEST(oldest_head_makes_room)
{
	enum { N = 8 };
	int listener = backend_listen("s", 64), client[N], more, i;
	size_t len;

	world_proxy("-r", "/app=s", "-c", "MaxConnections 8", NULL);
	waiting(client, N);
	check_served(client_open(), listener, GET);
	more = client_open();
	send_text(more, HALF);
	ck_assert_int_eq(read_all(client[0], buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), 408);
	for (i = 1; i < N; i++)
		ck_assert(!readable(client[i], 0));
	send_text(more, "st: x\r\n\r\n");
	close(backend_take(listener));
}

/*
 * One that has been silent speaks in the moment in which it is to make room:
 * it is answered, not reset over bytes that nobody has looked at.
 */
TEST(speaks_too_late)
{
	int silent, more, fds;
	size_t len;

	world_proxy("-r", "/app=!", "-c", "MaxConnections 1", "-c",
	    "AcceptFilter http none", NULL);
	fds = world_fds();
	silent = client_open();
	world_until_fds(fds + 1);
	world_signal(SIGSTOP);
	more = client_open();
	send_text(more, HALF);
	send_text(silent, GET);
	world_signal(SIGCONT);
	ck_assert_int_eq(read_all(silent, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), 404);
	if (world_torture())
		return;		/* the answer is still being written */
	/* Who only has to close makes room at once. */
	send_text(more, "st: x\r\n\r\n");
	ck_assert_int_eq(read_all(more, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), 404);
}

/* One that lingers goes first. */
TEST(lingering_makes_room)
{
	enum { N = 4 };
	int client[N], lingering, listener = backend_listen("s", 16), i;
	size_t len;

	world_proxy("-r", "/app=s", "-c", "MaxConnections 4", NULL);
	waiting(client, N - 1);
	lingering = client_open();
	send_text(lingering, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_int_eq(read_all(lingering, buf, sizeof(buf), &len), END_FIN);
	client[N - 1] = client_open();
	send_text(client[N - 1], HALF);
	for (i = 0; i < N; i++) {
		send_text(client[i], "st: x\r\n\r\n");
		close(backend_take(listener));
	}
}

/*
 * Those that wait for a backend are not sent away for others; and they leave a
 * quarter of all places to those who need one for an instant.
 */
TEST(no_room_at_all)
{
	enum { N = 3 };
	int client[N], half, i, before;

	world_proxy("-r", "/app=s,wait=1min,queue=100", "-r",
	    "/other=t,wait=1min,queue=100", "-c", "MaxConnections 4", NULL);
	before = world_fds();
	for (i = 0; i < N; i++) {
		client[i] = client_open();
		send_text(client[i], GET);
	}
	world_until_fds(before + N);
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	ck_assert_int_eq(status_of(exchange("GET /other HTTP/1.1\r\n"
	    "Host: x\r\n\r\n")), 503);
	half = client_open();
	send_text(half, "GET /none HTTP/1.1\r\nHo");
	world_until_fds(before + N + 1);
	send_text(half, "st: x\r\n\r\n");
	ck_assert(readable(half, WORLD_PATIENCE));
	for (i = 0; i < N; i++) {
		ck_assert(!readable(client[i], 0));
		abandon(client[i]);
	}
	world_stop("too many wait for it");
}

/* A line that nobody bounds may have a quarter of all places, or one. */
static const struct {
	const char *directive;
	int places;
} lines[] = { { "MaxConnections 16", 4 }, { "MaxConnections 3", 1 } };

TEST(line_of_a_quarter)
{
	int client[4], i, before;

	world_proxy("-r", "/app=missing,wait=1min", "-c", lines[_i].directive,
	    NULL);
	before = world_fds();
	for (i = 0; i < lines[_i].places; i++) {
		client[i] = client_open();
		send_text(client[i], GET);
	}
	world_until_fds(before + lines[_i].places);
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	for (i = 0; i < lines[_i].places; i++) {
		ck_assert(!readable(client[i], 0));
		abandon(client[i]);
	}
	world_stop("too many wait for it");
}

/*
 * Four backends that are missing, each with a line as long as may be: together
 * they leave room for those who come by another door, and wait for an instant.
 */
TEST(four_lines)
{
	enum { SLOTS = 16, WAITERS = SLOTS * 3 / 4, EACH = 5 };
	int listener = backend_listen("s", 64), client[4 * EACH], half, i;
	int before, answered = 0;
	char address[128], text[64];
	enum ending end;
	size_t len;

	snprintf(address, sizeof(address), "unix:%s/front", world_dir());
	world_proxy("-l", address, "-r", "/app=s", "-r", "/0=a,wait=1min",
	    "-r", "/1=b,wait=1min", "-r", "/2=c,wait=1min", "-r",
	    "/3=d,wait=1min", "-c", "MaxConnections 16", NULL);
	before = world_fds();
	for (i = 0; i < 4 * EACH; i++) {
		client[i] = client_open();
		snprintf(text, sizeof(text), "GET /%d HTTP/1.0\r\n\r\n",
		    i % 4);
		send_text(client[i], text);
	}
	/* All others are told so, and make room as well. */
	for (i = 0; answered < 4 * EACH - WAITERS; i = (i + 1) % (4 * EACH)) {
		if (client[i] == -1 || !readable(client[i], 1))
			continue;
		end = read_all(client[i], buf, sizeof(buf), &len);
		/* Byte by byte, who is told needs a place for it as well. */
		ck_assert(world_torture() || (end == END_FIN &&
		    status_of(buf) == 503));
		close(client[i]);
		client[i] = -1;
		answered++;
	}
	world_until_fds(before + WAITERS);
	for (i = 0; i < 2 * SLOTS; i++) {
		half = client_unix("front");
		send_text(half, HALF);
		world_until_fds(before + WAITERS + 1);
		check_served(half, listener, "st: x\r\n\r\n");
	}
	for (i = 0; i < 4 * EACH; i++) {
		if (client[i] == -1)
			continue;
		ck_assert(!readable(client[i], 0));
		abandon(client[i]);
	}
	world_expect("too many wait for it");
}

/*
 * Who has connected when it is told to stop is served, also if nobody has
 * looked at the listener since.
 */
TEST(queue_at_the_end)
{
	enum { N = 200 };
	int listener = backend_listen("s", 2 * N), client[N], i;

	world_proxy("-r", "/app=s", NULL);
	world_signal(SIGSTOP);
	for (i = 0; i < N; i++) {
		client[i] = client_open();
		send_text(client[i], GET);
	}
	world_signal(SIGTERM);
	world_signal(SIGCONT);
	for (i = 0; i < N; i++)
		close(backend_take(listener));
	ck_assert_int_eq(world_exit(), 0);
	close_all(client, N);
}

/*
 * Everything in one turn: fdproxy is stopped while clients leave and others
 * come, so that slots are freed and wanted in the same batch of events.
 */
TEST(one_batch)
{
	enum { N = 40 };
	int listener = backend_listen("s", 256), old[N], new[N], round, i;
	char text[64], got[64];
	int fd, count, fds;

	/* Byte by byte, who is answered 400 needs a slot for it. */
	world_proxy("-r", "/app=s,flusher=none", "-c", world_torture() ?
	    "MaxConnections 60" : "MaxConnections 40", NULL);
	fds = world_fds();
	for (round = 0; round < 10; round++) {
		waiting(old, N);
		world_signal(SIGSTOP);
		for (i = 0; i < N; i++) {
			if (i % 2 == 0)
				close(old[i]);
			else
				send_text(old[i], "st: x\r\n\r\n");
			new[i] = client_open();
			snprintf(text, sizeof(text), "GET /app/%02d HTTP",
			    i);
			send_text(new[i], text);
		}
		world_signal(SIGCONT);
		for (i = 0; i < N; i++)
			send_text(new[i], "/1.0\r\n\r\n");
		/* Each new client is handed off once, each old at most. */
		for (count = 0; count < N;) {
			fd = backend_take(listener);
			read_exact(fd, got, 16);
			if (memcmp(got, "GET /app/", 9) == 0)
				count++;
			close(fd);
		}
		for (i = 1; i < N; i += 2)
			close(old[i]);
		close_all(new, N);
		world_until_fds(fds);
		while (readable(listener, 0))
			close(backend_take(listener));
	}
}

/*
 * Two listeners bring twice as many clients in one turn: all that there is
 * room for wait, the others are told, and nobody is sent away for nothing.
 */
TEST(two_listeners)
{
	enum { N = 100, NEW = 64 };
	int old[N], new[2 * NEW], i, port = 0, answered = 0, first;

	world_proxy("-l", "127.0.0.1:0", "-r", "/app=s", "-c",
	    "MaxConnections 100", NULL);
	ck_assert_int_eq(sscanf(world_line(1), "127.0.0.1:%d", &port), 1);
	waiting(old, N);
	first = world_fds();
	world_signal(SIGSTOP);
	for (i = 0; i < 2 * NEW; i++) {
		new[i] = i < NEW ? client_open() : client_port(port);
		send_text(new[i], HALF);
	}
	world_signal(SIGCONT);
	for (i = 0; i < N; i++)
		ck_assert(readable(old[i], WORLD_PATIENCE));
	/* 100 of 128 have the slots now. */
	while (answered < 2 * NEW - N)
		for (answered = i = 0; i < 2 * NEW; i++)
			answered += readable(new[i], 0);
	ck_assert(!readable(new[2 * NEW - 1], 50));
	for (answered = i = 0; i < 2 * NEW; i++)
		answered += readable(new[i], 0);
	ck_assert_int_eq(answered, 2 * NEW - N);
	world_until_fds(first);
}

/*
 * As many silent clients as there are descriptors: who speaks is served, and
 * when they are gone nothing is missing.
 */
TEST(few_descriptors)
{
	enum { N = 100 };
	int listener = backend_listen("s", 64), client[N], i, before;

	world_nofile(64);
	world_proxy("-r", "/app=s", NULL);
	before = world_fds();
	for (i = 0; i < N; i++) {
		client[i] = client_open();
		send_text(client[i], HALF);
	}
	check_served(client_open(), listener, GET);
	close_all(client, N);
	world_until_fds(before);
	check_served(client_open(), listener, GET);
}

/* Descriptors run out altogether: it pauses, says so, and comes back. */
TEST(no_descriptors)
{
	enum { N = 64 };
	int listener = backend_listen("s", 64), client[N], i;
	struct rlimit low = { 12, 12 };
	long start = now_ms(), pauses;
	const char *page;

	world_proxy("-r", "/app=s", "-r", "/status=status:", NULL);
	ck_assert_int_eq(prlimit(world_pid(), RLIMIT_NOFILE, &low, NULL), 0);
	for (i = 0; i < N; i++) {
		client[i] = client_open();
		send_text(client[i], HALF);
	}
	while (strstr(world_errors(), "cannot accept") == NULL)
		ck_assert(!readable(client[0], 5));
	close_all(client, N);
	check_served(client_open(), listener, GET);
	/* Without spinning: it comes back ten times a second. */
	page = strstr(exchange("GET /status HTTP/1.0\r\n\r\n"),
	    "\n" PAUSED " ");
	ck_assert_ptr_nonnull(page);
	pauses = strtol(page + sizeof(PAUSED) + 1, NULL, 10);
	ck_assert_int_ge(pauses, 1);
	ck_assert_int_le(pauses, 1 + (now_ms() - start) / 100);
	world_stop("cannot accept");
}

/*
 * The limit is lowered below what is open: those that are watched still are
 * served, and all are when it is raised again.
 */
TEST(limit_below_open)
{
	enum { N = 32 };
	int listener = backend_listen("s", 64), client[N], i, before;
	struct rlimit all, low;

	world_proxy("-r", "/app=s", NULL);
	before = world_fds();
	waiting(client, N);
	ck_assert_int_eq(prlimit(world_pid(), RLIMIT_NOFILE, NULL, &all), 0);
	low = all;
	low.rlim_cur = (rlim_t)before + N / 2;
	ck_assert_int_eq(prlimit(world_pid(), RLIMIT_NOFILE, &low, NULL), 0);
	for (i = 0; i < N / 4; i++) {
		close(client[i]);
		world_until_fds(before + N - 1 - i);
	}
	check_served(client_open(), listener, GET);
	ck_assert_int_eq(prlimit(world_pid(), RLIMIT_NOFILE, &all, NULL), 0);
	for (; i < N; i++)
		check_served(client[i], listener, "st: x\r\n\r\n");
}

/* A waiting client costs a slot, not a buffer. */
TEST(memory_of_waiting)
{
	enum { MAX = 5000 };
	static int client[MAX];
	int listener = backend_listen("s", 64), n = MAX, fds;
	struct rlimit all;
	long before;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	all.rlim_cur = all.rlim_max;
	setrlimit(RLIMIT_NOFILE, &all);
	/* Fewer where descriptors are: a slot takes two of fdproxy's. */
	if (all.rlim_cur < 3 * MAX)
		n = (int)(all.rlim_cur - 100) / 3;
	ck_assert_int_gt(n, 50);
	world_proxy("-r", "/app=s", NULL);
	fds = world_fds();
	check_served(client_open(), listener, GET);
	/* Its descriptor may be open for a moment still. */
	world_until_fds(fds);
	before = world_memory();
	waiting(client, n);
	check_served(client_open(), listener, GET);
	/* Pages are counted, of five tables. */
	if (!world_sanitized())
		ck_assert_int_le((world_memory() - before) * 1024,
		    n * 72 + 5 * sysconf(_SC_PAGESIZE));
}

static const struct test tests[] = {
	ONCE(oldest_head_makes_room),
	ONCE(speaks_too_late),
	ONCE(lingering_makes_room),
	ONCE(no_room_at_all),
	TIMES(line_of_a_quarter, COUNT(lines)),
	ONCE(four_lines),
	ONCE(queue_at_the_end),
	ONCE(one_batch),
	ONCE(two_listeners),
	ONCE(few_descriptors),
	ONCE(no_descriptors),
	ONCE(limit_below_open),
	ONCE(memory_of_waiting)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), world_begin,
	    world_end);
}
