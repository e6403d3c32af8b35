/* See LICENSE for copyright and license details. */

/*
 * Backends that are missing, full, wrong, or fail half-way.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "world.h"

#define GET	"GET /app HTTP/1.1\r\nHost: x\r\n\r\n"
#define OTHER	"GET /other HTTP/1.1\r\nHost: x\r\n\r\n"

/*
 * More than any send buffer takes (tcp_wmem), so that a flush must wait; byte
 * by byte, less takes long enough.
 */
#define FILE_MAX	((size_t)8 * 1024 * 1024)
#define FILE_LEN	(world_torture() ? (size_t)60000 : FILE_MAX)

static char buf[FILE_MAX + 1024];

/* Fill the backlog of 1 of "s", so that the next connect finds no room. */
static void
fill(void)
{
	client_unix("s");
	client_unix("s");
}

static void
abandon(int client)
{
	struct linger off = { 1, 0 };

	setsockopt(client, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	close(client);
}

/* Another route is served meanwhile. */
static void
check_other(int listener)
{
	check_served(client_open(), listener, OTHER);
}

static const struct {
	const char *socket;
	int status;
} absent[] = {
	{ "missing", 503 }, { "nodir/x", 503 }, { "stale", 503 },
	{ "file", 500 }, { "dir", 500 }, { "dgram", 500 },
	{ "file/x", 500 }, { "loop", 500 }
};

TEST(not_there)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char route[64];
	const char *answer;
	int fd;

	close(backend_listen("stale", 1));
	write_file("file", "");
	mkdir("dir", 0755);
	ck_assert_int_eq(symlink("loop", "loop"), 0);
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	strcpy(addr.sun_path, "dgram");
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	/* To wait would be in vain for what is no socket. */
	snprintf(route, sizeof(route), "/app=%s%s", absent[_i].socket,
	    absent[_i].status == 500 ? ",wait=1min" : "");
	world_proxy("-r", route, NULL);
	answer = exchange(GET);
	ck_assert_int_eq(status_of(answer), absent[_i].status);
	if (absent[_i].status == 503)
		ck_contains(answer, "\r\nRetry-After: 1\r\n");
	close(fd);
	world_expect("cannot connect to ");
}

/* As an ordinary user: root may connect to anything. */
TEST(forbidden)
{
	backend_listen("s", 1);
	ck_assert_int_eq(chmod("s", 0), 0);
	if (geteuid() == 0)
		world_proxy("-u", "65534:65534", "-r", "/app=s", NULL);
	else
		world_proxy("-r", "/app=s", NULL);
	ck_assert_int_eq(status_of(exchange(GET)), 500);
	world_expect("cannot connect to ");
}

/* A socket that another user listens on gets nobody; the right one may come. */
TEST(of_another_user)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int wrong = backend_listen("s", 4), right, client;

	world_proxy("-r", "/app=s,peer=nobody", "-r",
	    "/wait=w,peer=65534,wait=1min", NULL);
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	world_until_says("another user listens there", 1);
	ck_assert(readable(wrong, WORLD_PATIENCE));
	backend_listen("w", 4);
	client = client_open();
	send_text(client, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
	world_until_says("clients wait", 1);
	ck_assert_int_eq(unlink("w"), 0);
	right = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(addr.sun_path, "w");
	ck_assert_int_eq(bind(right, (struct sockaddr *)&addr, sizeof(addr)),
	    0);
	ck_assert_int_eq(seteuid(65534), 0);
	ck_assert_int_eq(listen(right, 4), 0);
	ck_assert_int_eq(seteuid(0), 0);
	close(backend_take(right));
	close(right);
	world_expect("another user listens there");
}

/* wait= spans a backend's start. */
TEST(comes_later)
{
	int listener, client, other = backend_listen("other", 16);

	world_proxy("-r", "/app=s,wait=1min", "-r", "/other=other", NULL);
	client = client_open();
	send_text(client, GET);
	ck_assert(!readable(client, 100));
	check_other(other);
	listener = backend_listen("s", 16);
	close(backend_take(listener));
}

/*
 * That somebody waits for one that is not there is said, once for all that come
 * in a second; not that somebody waits for one that is busy.
 */
TEST(told_of_waiting)
{
	enum { N = 4 };
	int full, client[N], i, fds;
	long start;

	full = backend_listen("s", 1);
	fill();
	world_proxy("-r", "/app=s,connectiontimeout=1min", "-r",
	    "/0=missing,wait=1min", "-r", "/1=nodir/s,wait=1min", NULL);
	fds = world_fds();
	client[0] = client_open();
	send_text(client[0], GET);
	world_until_fds(fds + 1);
	start = now_ms();
	for (i = 1; i < N; i++) {
		client[i] = client_open();
		send_text(client[i], i == N - 1 ? "GET /1 HTTP/1.0\r\n\r\n" :
		    "GET /0 HTTP/1.0\r\n\r\n");
		world_until_fds(fds + 1 + i);
	}
	world_until_says("/missing: No such file or directory; clients wait\n",
	    1);
	ck_assert_int_le(world_says("clients wait"), 1 + (int)((now_ms() -
	    start) / 1000));
	for (i = 0; i < N; i++)
		abandon(client[i]);
	world_until_fds(fds);
	close(full);
	world_stop(NULL);
}

TEST(does_not_come)
{
	long start;

	world_proxy("-r", "/app=s,wait=200ms", NULL);
	start = now_ms();
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	ck_assert_int_ge(now_ms() - start, 190);
	world_expect("cannot connect to ");
}

/* A full backlog: nobody blocks, who waits is served in order. */
TEST(full_then_served)
{
	enum { N = 8 };
	int listener = backend_listen("s", 1), client[N], i;
	int other = backend_listen("other", 16), fd;
	char text[64], got[64];

	world_proxy("-r", "/app=s,flusher=none,connectiontimeout=1min", "-r",
	    "/other=other", NULL);
	fill();
	for (i = 0; i < N; i++) {
		client[i] = client_open();
		snprintf(text, sizeof(text), "GET /app/%d HTTP/1.0\r\n\r\n",
		    i);
		send_text(client[i], text);
		/* It is in line before the next one comes. */
		check_other(other);
	}
	for (i = 0; i < 2; i++) {
		fd = accept(listener, NULL, NULL);
		ck_assert_int_ne(fd, -1);
		close(fd);
	}
	for (i = 0; i < N; i++) {
		fd = backend_take(listener);
		snprintf(text, sizeof(text), "GET /app/%d HTTP/1.0\r\n\r\n",
		    i);
		read_exact(fd, got, strlen(text));
		ck_assert_int_eq(memcmp(got, text, strlen(text)), 0);
		close(fd);
		close(client[i]);
	}
}

/* Past connectiontimeout: 503; the deadline is one for all that wait. */
TEST(full_for_good)
{
	enum { N = 20 };
	int other = backend_listen("other", 16), client[N], i;
	long start;
	size_t len;

	backend_listen("s", 1);
	world_proxy("-r", "/app=s,connectiontimeout=300ms", "-r",
	    "/other=other", NULL);
	fill();
	start = now_ms();
	for (i = 0; i < N; i++) {
		client[i] = client_open();
		send_text(client[i], GET);
	}
	check_other(other);
	for (i = 0; i < N; i++) {
		ck_assert_int_eq(read_all(client[i], buf, sizeof(buf), &len),
		    END_FIN);
		ck_assert_int_eq(status_of(buf), 503);
		ck_assert_int_ge(now_ms() - start, 290);
		close(client[i]);
	}
	world_expect("Resource temporarily unavailable");
}

/*
 * A full backend dies, or becomes something else: those that wait are told at
 * once, one after the other, and not when each could be probed for.
 */
TEST(full_then_gone)
{
	enum { N = 300 };
	int listener = backend_listen("s", 1), client[N], i;
	int other = backend_listen("other", 16);
	long start;
	size_t len;

	world_proxy("-r", "/app=s,connectiontimeout=1min,queue=1000", "-r",
	    "/other=other", NULL);
	fill();
	for (i = 0; i < N; i++) {
		client[i] = client_open();
		send_text(client[i], GET);
	}
	check_other(other);
	start = now_ms();
	/* At once: a probe finds the one or the other. */
	if (_i == 1) {
		write_file("t", "");
		ck_assert_int_eq(rename("t", "s"), 0);
	}
	close(listener);
	for (i = 0; i < N; i++) {
		ck_assert_int_eq(read_all(client[i], buf, sizeof(buf), &len),
		    END_FIN);
		ck_assert_int_eq(status_of(buf), _i == 0 ? 503 : 500);
		close(client[i]);
	}
	/* Probes would take 15 seconds; byte by byte, answers alone do. */
	ck_assert(world_torture() || now_ms() - start < 10000);
	world_expect("cannot connect to ");
}

/* queue=N bounds those that wait; they hold one descriptor each. */
TEST(queue_is_bounded)
{
	enum { N = 5 };
	int client[N], i, fds;

	backend_listen("s", 1);
	world_proxy("-r", "/app=s,queue=5,connectiontimeout=1min", NULL);
	fill();
	fds = world_fds();
	for (i = 0; i < N; i++) {
		client[i] = client_open();
		send_text(client[i], GET);
	}
	world_until_fds(fds + N);
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	/* Hang-ups of those that are parked free them. */
	for (i = 0; i < N; i++)
		abandon(client[i]);
	world_expect("too many wait");
}

/* A parked client that resets is noticed; one that half-closes still waits. */
TEST(parked_client)
{
	int client, half, fds, listener;

	world_proxy("-r", "/app=s,wait=1min", NULL);
	fds = world_fds();
	client = client_open();
	send_text(client, GET "body that stays");
	world_until_fds(fds + 1);
	abandon(client);
	world_until_fds(fds);
	half = client_open();
	send_text(half, GET);
	shutdown(half, SHUT_WR);
	world_until_fds(fds + 1);
	ck_assert(!readable(half, 100));
	listener = backend_listen("s", 4);
	close(backend_take(listener));
}

/* A waiting client does not keep the process awake for more than probes. */
TEST(parked_does_not_spin)
{
	long sleeps, start;
	int client;

	world_proxy("-r", "/app=s,wait=1min", NULL);
	client = client_open();
	send_text(client, GET "more");
	shutdown(client, SHUT_WR);
	start = now_ms();
	sleeps = world_sleeps();
	ck_assert(!readable(client, 500));
	ck_assert_int_le(world_sleeps() - sleeps, 15 +
	    (now_ms() - start) / 20);
	abandon(client);
}

/* A flusher's file so large that a client can be half-way through it. */
static void
large_flusher(void)
{
	memset(buf, 'x', FILE_LEN);
	memcpy(buf, "HTTP/1.1 200 OK\r\n\r\n", 19);
	buf[FILE_LEN] = '\0';
	write_file("f", buf);
}

/* 100 bytes of it have been read. */
static void
file_rest(int client)
{
	read_exact(client, buf, FILE_LEN - 100);
}

/*
 * The backend goes away after the first byte of the head is out: the client
 * is reset, and never sees an end that is clean.
 */
TEST(fails_after_the_head)
{
	int listener = backend_listen("s", 16), client, conn;
	size_t len;

	large_flusher();
	world_proxy("-c", "ProxyPass /d fd://./ flusher=file:f", "-r",
	    _i != 1 ? "/app=s,flusher=file:f" :
	    "/app=s,flusher=file:f,payload=head", "-c", "LogLevel info", NULL);
	client = client_open_small();
	send_text(client, _i == 2 ? "GET /d/s HTTP/1.1\r\nHost: x\r\n\r\n" :
	    GET);
	/* Without one nothing is unread, and closing would be no reset. */
	if (_i != 0)
		send_text(client, "body");
	read_exact(client, buf, 100);
	ck_assert(readable(listener, WORLD_PATIENCE));
	close(listener);
	unlink("s");
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_RESET);
	close(client);
	world_until_says("info: cannot pass to /", 1);
	/* The next one is told before anything is written to it. */
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	/* A backend that drops one connection gets the client by another. */
	listener = backend_listen("s", 16);
	client = client_open_small();
	send_text(client, GET);
	read_exact(client, buf, 100);
	conn = accept(listener, NULL, NULL);
	close(conn);
	file_rest(client);
	close(_i == 1 ? backend_take_payload(listener, buf, sizeof(buf)) :
	    backend_take(listener));
	world_expect("reset after its head was sent");
}

/* A client that does not take its head in time is reset, and so is its slot. */
TEST(client_does_not_read)
{
	int listener = backend_listen("s", 16), client, fds, conn;
	size_t len;

	large_flusher();
	world_proxy("-r", "/app=s,flusher=file:f", "-c", "Timeout 200ms",
	    NULL);
	fds = world_fds();
	client = client_open_small();
	send_text(client, GET);
	ck_assert(readable(listener, WORLD_PATIENCE));
	conn = accept(listener, NULL, NULL);
	/* A connection that ends without a message is a probe. */
	ck_assert_int_eq(read(conn, buf, 1), 0);
	close(conn);
	world_until_fds(fds);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_RESET);
	world_expect("the client does not read");
}

/* A client that goes away half-way through its head. */
TEST(client_gone_while_flushing)
{
	int client, fds;

	backend_listen("s", 16);
	large_flusher();
	world_proxy("-r", "/app=s,flusher=file:f", NULL);
	fds = world_fds();
	client = client_open_small();
	send_text(client, GET);
	read_exact(client, buf, 100);
	abandon(client);
	world_until_fds(fds);
}

/* It accepts and closes at once: sent again, or lost with it, never fatal. */
TEST(closes_at_once)
{
	int listener = backend_listen("s", 64), client, conn, i;
	int other = backend_listen("other", 16);

	world_proxy("-r", "/app=s,connectiontimeout=300ms", "-r",
	    "/other=other", NULL);
	for (i = 0; i < 300; i++) {
		client = client_open();
		send_text(client, GET);
		/* Whatever became of those before. */
		ck_assert(readable(listener, WORLD_PATIENCE));
		conn = accept(listener, NULL, NULL);
		ck_assert_int_ne(conn, -1);
		close(conn);
		close(client);
	}
	check_other(other);
	world_expect("");
}

int
main(int argc, char **argv)
{
	/* Megabytes, byte by byte, would take minutes. */
	int quick = !world_torture();
	const struct test tests[] = {
		TIMES(not_there, COUNT(absent)),
		ONCE(forbidden),
		TIMES(of_another_user, geteuid() == 0),
		ONCE(comes_later),
		ONCE(told_of_waiting),
		ONCE(does_not_come),
		ONCE(full_then_served),
		ONCE(full_for_good),
		TIMES(full_then_gone, 2),
		ONCE(queue_is_bounded),
		ONCE(parked_client),
		ONCE(parked_does_not_spin),
		ONCE(closes_at_once),
		TIMES(fails_after_the_head, 3),
		TIMES(client_does_not_read, quick),
		TIMES(client_gone_while_flushing, quick)
	};

	return runner_run(argc, argv, tests, COUNT(tests), world_begin,
	    world_end);
}
