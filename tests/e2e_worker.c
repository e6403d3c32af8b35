/* See LICENSE for copyright and license details. */

/*
 * Workers: programs that ask for clients, and give them back.  The test is the
 * workers as well as the clients.
 */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdpass.h"
#include "world.h"

#define ONE	"GET /one HTTP/1.1\r\nHost: x\r\n\r\n"
#define TWO	"GET /two HTTP/1.1\r\nHost: x\r\n\r\n"
#define ROUTES	"-r", "/one=workers:one,flusher=none,wait=10s", \
	"-r", "/two=workers:two,flusher=none,wait=10s"

/* More than any send buffer takes; byte by byte, less takes long enough. */
#define FILE_MAX	((size_t)8 * 1024 * 1024)
#define FILE_LEN	(world_torture() ? (size_t)60000 : FILE_MAX)

static char buf[FILE_MAX + 1024];

/* ---- a worker ---- */

static void
ask(int w, size_t n)
{
	static const char nuls[70000];

	send_bytes(w, nuls, n);
}

/* One that connects to the socket, and asks for n clients. */
static int
worker(const char *name, size_t n)
{
	int w = client_unix(name);

	ask(w, n);
	return w;
}

/* Wait for the next client. */
static int
take(int w)
{
	char byte = 1;
	int fd;

	ck_assert_msg(readable(w, WORLD_PATIENCE), "no client; fdproxy says: "
	    "%s", world_errors());
	ck_assert_int_eq(fdpass_recv(w, &byte, 1, &fd), 1);
	ck_assert_int_eq(byte, '\0');
	ck_assert_int_ne(fd, -1);
	return fd;
}

/* Whether the connection has ended. */
static bool
ended(int w)
{
	struct pollfd p = { .fd = w, .events = POLLIN };
	char byte;
	ssize_t n;

	ck_assert_int_eq(poll(&p, 1, WORLD_PATIENCE), 1);
	n = recv(w, &byte, 1, MSG_DONTWAIT);
	return n == 0 || (n == -1 && errno == ECONNRESET);
}

/* With one more promise behind it. */
static void
give_back(int w, int client)
{
	ck_assert_int_eq(fdpass_send_fds(w, &client, 1, "\1", 2), 2);
	close(client);
}

/* Read exactly a head, and the body that it announces. */
static void
read_request(int client, char *head, size_t size)
{
	size_t n = 0, body = 0;
	char *p;

	memset(head, 0, size);
	while (strstr(head, "\r\n\r\n") == NULL) {
		ck_assert_uint_lt(n, size - 1);
		read_exact(client, head + n++, 1);
	}
	p = strstr(head, "Content-Length: ");
	if (p != NULL)
		body = strtoul(p + 16, NULL, 10);
	for (; body > 0; body -= n) {
		n = body < 65536 ? body : 65536;
		read_exact(client, buf, n);
	}
}

/* Serve one request; the answer is the worker's name and the target's end. */
static int
serve(int w, const char *name)
{
	char head[16384], text[256], *end;
	int client = take(w);

	read_request(client, head, sizeof(head));
	end = strchr(strchr(head, ' ') + 1, ' ');
	*end = '\0';
	snprintf(text, sizeof(text), "%s of %s\n", strchr(head, '/'), name);
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu"
	    "\r\n\r\n%s", strlen(text), text);
	send_text(client, head);
	return client;
}

/* The next answer on a connection that stays must be that text. */
static void
expect(int client, const char *text)
{
	char head[256];

	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu"
	    "\r\n\r\n%s", strlen(text), text);
	read_exact(client, buf, strlen(head));
	buf[strlen(head)] = '\0';
	ck_assert_str_eq(buf, head);
}

/* ---- requests of one connection ---- */

/* Each goes to its route, in order, however many are sent ahead. */
TEST(alternate)
{
	int w[2], client, i, sent = 0, n = world_torture() ? 100 : 1000;
	const char *const names[] = { "one", "two" };
	char text[64];

	world_proxy(ROUTES, NULL);
	w[0] = worker("one", 1);
	w[1] = worker("two", 1);
	client = client_open();
	for (i = 0; i < n; i++) {
		for (; sent <= i + _i && sent < n; sent++) {
			snprintf(text, sizeof(text), "GET /%s/%d HTTP/1.1\r\n"
			    "Host: x\r\n\r\n", names[sent % 2], sent);
			send_text(client, text);
		}
		give_back(w[i % 2], serve(w[i % 2], names[i % 2]));
		snprintf(text, sizeof(text), "/%s/%d of %s\n", names[i % 2], i,
		    names[i % 2]);
		expect(client, text);
	}
}

/* Bodies are the worker's to read, and the next head stands behind. */
TEST(bodies)
{
	static const size_t lengths[] = { 0, 1, 1000, 100000, 1048576 };
	static char body[1048576];
	int w[2], client, i;
	char head[128];
	pid_t pid;

	world_proxy(ROUTES, NULL);
	w[0] = worker("one", 1);
	w[1] = worker("two", 1);
	client = client_open();
	pid = fork();		/* else both would wait for each other */
	ck_assert_int_ge(pid, 0);
	for (i = 0; i < 2 * COUNT(lengths); i++) {
		snprintf(head, sizeof(head), "POST /%s HTTP/1.1\r\nHost: x\r\n"
		    "Content-Length: %zu\r\n\r\n", i % 2 == 0 ? "one" : "two",
		    lengths[i / 2]);
		if (pid == 0) {
			send_text(client, head);
			send_bytes(client, body, lengths[i / 2]);
			continue;
		}
		give_back(w[i % 2], serve(w[i % 2], i % 2 == 0 ? "1" : "2"));
		expect(client, i % 2 == 0 ? "/one of 1\n" : "/two of 2\n");
	}
	if (pid == 0)
		_exit(0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static const struct {
	const char *request;
	const char *answer;
} last[] = {
	{ "GET /no HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 " },
	{ "GET /none HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 " },
	{ "GET / HTTP/3.0\r\n\r\n", "HTTP/1.1 505 " },
	{ "GET /flush HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\nplain" },
	{ "GET /plain HTTP/1.1\r\nHost: x\r\n\r\n", "plain" },
	{ "GET /status HTTP/1.1\r\nHost: x\r\n\r\n", "\nfdproxy_returned_total "
	    "1\n" }
};

/* What does not keep connections ends this one, with its own answer. */
TEST(last_request)
{
	int w, listener = backend_listen("plain", 4), client, fd;
	size_t len;

	world_proxy(ROUTES, "-r", "/no=!", "-r", "/flush=plain", "-r",
	    "/plain=plain,flusher=none", "-r", "/status=status:", NULL);
	w = worker("one", 1);
	client = client_open();
	send_text(client, ONE);
	send_text(client, last[_i].request);
	give_back(w, serve(w, "one"));
	expect(client, "/one of one\n");
	if (strcmp(last[_i].answer + strlen(last[_i].answer) - 5, "plain") ==
	    0) {
		fd = backend_take(listener);
		send_text(fd, "plain");
		shutdown(fd, SHUT_WR);
		shutdown(client, SHUT_WR);
		read_all(fd, buf, sizeof(buf), &len);
		close(fd);
	}
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_contains(buf, last[_i].answer);
}

/* The client sends no more, but its last request is answered. */
TEST(half_closed)
{
	int w, client;
	size_t len;

	world_proxy(ROUTES, NULL);
	w = worker("one", 1);
	client = client_open();
	send_text(client, ONE);
	client = dup(client);
	give_back(w, serve(w, "first"));
	expect(client, "/one of first\n");
	send_text(client, ONE);
	shutdown(client, SHUT_WR);
	give_back(w, serve(w, "one"));
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_contains(buf, "/one of one\n");
	close(client);
}

/*
 * A head that comes in pieces after the hand-back has its own time.  The first
 * piece is there before: it cannot be late.
 */
TEST(pieces)
{
	int w, client, i;

	world_proxy(ROUTES, "-c", "KeepAliveTimeout 300ms", NULL);
	w = worker("one", 1);
	client = client_open();
	send_text(client, ONE "G");
	give_back(w, serve(w, "first"));
	expect(client, "/one of first\n");
	for (i = 1; i < (int)sizeof(ONE) - 1; i++) {
		ck_assert(!readable(client, 20));
		send_bytes(client, ONE + i, 1);
	}
	give_back(w, serve(w, "one"));
	expect(client, "/one of one\n");
}

/* ---- promises ---- */

/* Clients wait for somebody who asks, and are served in their order. */
TEST(clients_wait)
{
	int clients[5], w, i, fds;
	char text[64];

	world_proxy(ROUTES, NULL);
	fds = world_fds();
	for (i = 0; i < COUNT(clients); i++) {
		clients[i] = client_open();
		snprintf(text, sizeof(text), "GET /one/%d HTTP/1.1\r\nHost: "
		    "x\r\n\r\n", i);
		send_text(clients[i], text);
		world_until_fds(fds + i + 1);
	}
	world_expect("clients wait");
	world_until_says("one: no worker is connected; clients wait", 1);
	w = client_unix("one");
	for (i = 0; i < COUNT(clients); i++) {
		ask(w, 1);
		close(serve(w, "w"));
		snprintf(text, sizeof(text), "/one/%d of w\n", i);
		expect(clients[i], text);
		ck_assert(!readable(w, 0));
	}
}

static const struct {
	const char *route;
	int promises;		/* -1: no worker */
	int status;
	const char *says;
} refused[] = {
	{ "/one=workers:one,flusher=none", -1, 503, "no worker is connected" },
	{ "/one=workers:one", -1, 503, "no worker is connected" },
	{ "/one=workers:one,compat=apache", -1, 500, "no worker is connected" },
	{ "/one=workers:one,connectiontimeout=0", 0, 503,
	    "no worker is connected" },
	{ "/one=workers:one,connectiontimeout=10ms,wait=10s", 1, 503,
	    "all workers are busy" }
};

/* Nobody asks, or not in time. */
TEST(unanswered)
{
	int w = -1, client = -1;

	world_proxy("-r", refused[_i].route, NULL);
	if (refused[_i].promises >= 0)
		w = worker("one", (size_t)refused[_i].promises);
	if (refused[_i].promises > 0) {
		client = client_open();
		send_text(client, ONE);
		close(take(w));
	}
	ck_assert_int_eq(status_of(exchange(ONE)), refused[_i].status);
	world_expect(refused[_i].says);
}

/* A worker that comes, or asks, in the same moment as a client is seen. */
TEST(same_moment)
{
	int w = -1, client, i;

	world_proxy("-r", "/one=workers:one,flusher=none", NULL);
	for (i = 0; i < 5; i++) {
		world_signal(SIGSTOP);
		if (_i == 0 && i == 0)
			w = client_unix("one");
		client = client_open();
		send_text(client, ONE);
		if (_i == 1 && i == 0)
			w = client_unix("one");
		ask(w, 1);
		world_signal(SIGCONT);
		close(serve(w, "w"));
		expect(client, "/one of w\n");
	}
}

/*
 * Nor is a client refused for a time that is over while fdproxy stood still, if
 * somebody has come, or asks, by then.  A try in which it is refused before, on
 * a machine that is slower, says nothing.
 */
TEST(asked_in_time)
{
	int w = -1, client, fds, i;
	bool served = false;
	long end;

	world_proxy("-r", "/one=workers:one,flusher=none,wait=1s,"
	    "connectiontimeout=1s", NULL);
	fds = world_fds();
	for (i = 0; i < 5 && !served; i++) {
		if (_i == 1)
			w = client_unix("one");
		world_until_fds(fds + _i);
		client = client_open();
		send_text(client, ONE);
		poll(NULL, 0, 100);	/* it has been looked at, and waits */
		world_signal(SIGSTOP);
		poll(NULL, 0, 1100);
		if (_i == 0)
			w = client_unix("one");
		ask(w, 1);
		world_signal(SIGCONT);
		end = now_ms() + WORLD_PATIENCE;
		while (!(served = readable(w, 0)) && !readable(client, 10))
			ck_assert_int_lt(now_ms(), end);
		if (served) {
			close(serve(w, "w"));
			expect(client, "/one of w\n");
		}
		close(client);
		close(w);
		world_until_fds(fds);
	}
	ck_assert(served);
	world_expect("");
}

/* Until fdproxy has heard that n clients are asked for at /one. */
static void
until_promised(int n)
{
	long patient = now_ms() + WORLD_PATIENCE;
	char text[64];

	snprintf(text, sizeof(text), "\nfdproxy_promises{route=\"/one\"} %d\n",
	    n);
	while (strstr(exchange("GET /s HTTP/1.1\r\nHost: x\r\n\r\n"), text) ==
	    NULL)
		ck_assert_int_lt(now_ms(), patient);
}

/* The next client goes where the fewest are; among equals, in turn. */
TEST(fewest)
{
	int w[3], clients[9], taken[9], i;

	world_proxy(ROUTES, "-r", "/s=status:", NULL);
	for (i = 0; i < 3; i++) {
		w[i] = worker("one", 3);
		until_promised(3 * (i + 1));
	}
	for (i = 0; i < 9; i++) {
		clients[i] = client_open();
		send_text(clients[i], ONE);
		taken[i] = take(w[i % 3]);
	}
	/* The first has done all, the second one of them. */
	ask(w[1], 1);
	ask(w[0], 3);
	until_promised(4);
	for (i = 0; i < 3; i++) {
		send_text(client_open(), ONE);
		close(take(w[i == 2 ? 1 : 0]));
	}
	close_all(taken, 9);
}

/* A worker that is gone has lost what it was sent, and nothing else. */
TEST(leaves)
{
	int w[2], clients[4], i, fd;
	size_t len;

	world_proxy(ROUTES, NULL);
	w[0] = worker("one", 4);
	for (i = 0; i < 4; i++) {
		clients[i] = client_open();
		send_text(clients[i], ONE);
		if (i == 1) {
			/* Both sent; no more, and what comes is served. */
			if (_i == 0)
				ck_assert(readable(w[0], WORLD_PATIENCE));
			shutdown(w[0], SHUT_WR);
		}
	}
	/* Each of the four is there, or still waits: none is lost. */
	w[1] = client_unix("one");
	for (i = 0; i < 4; i++) {
		struct pollfd p[] = { { .fd = w[0], .events = POLLIN },
		    { .fd = w[1], .events = POLLIN } };

		if (w[0] == -1)
			p[0].fd = -1;
		ck_assert_int_ge(poll(p, 2, WORLD_PATIENCE), 1);
		if (p[0].revents != 0 && recv(w[0], buf, 1, MSG_PEEK) <= 0) {
			ask(w[1], 4);
			w[0] = -1;
			i--;
			continue;
		}
		fd = serve(p[0].revents != 0 ? w[0] : w[1], "w");
		shutdown(fd, SHUT_WR);
		close(fd);
	}
	for (i = 0; i < 4; i++) {
		read_all(clients[i], buf, sizeof(buf), &len);
		ck_contains(buf, "/one of w\n");
	}
}

/* Killed: what it has not taken is reset or ended, the rest goes on. */
TEST(dies)
{
	int w[2], clients[3], i;
	size_t len;

	world_proxy(ROUTES, NULL);
	w[0] = worker("one", 2);
	for (i = 0; i < 3; i++) {
		clients[i] = client_open();
		send_text(clients[i], ONE);
	}
	ck_assert(readable(w[0], WORLD_PATIENCE));
	close(take(w[0]));
	ck_assert(readable(w[0], WORLD_PATIENCE));
	close(w[0]);
	w[1] = worker("one", 1);
	close(serve(w[1], "w"));
	expect(clients[2], "/one of w\n");
	for (i = 0; i < 2; i++) {
		read_all(clients[i], buf, sizeof(buf), &len);
		ck_assert_uint_eq(len, 0);
	}
}

/* 65,535 at a time; one that never reads takes no other's clients. */
TEST(many_promises)
{
	static char process[40], text[160];
	int stuck, good, i;

	world_proxy(ROUTES, NULL);
	stuck = worker("one", 65535);
	good = worker("one", 1);
	for (i = 0; i < 50; i++) {
		struct pollfd p[] = { { .fd = stuck, .events = POLLIN },
		    { .fd = good, .events = POLLIN } };
		int client = client_open();

		send_text(client, ONE);
		ck_assert_int_eq(poll(p, 2, WORLD_PATIENCE), 1);
		if (p[0].revents != 0) {
			close(take(stuck));	/* its turn */
			continue;
		}
		close(serve(good, "good"));
		ask(good, 1);
		expect(client, "/one of good\n");
	}
	ask(stuck, 65535);
	ck_assert(ended(stuck));
	if (!world_bsd())
		snprintf(process, sizeof(process), "process %ld of ",
		    (long)getpid());
	snprintf(text, sizeof(text), "one: a worker, %suser %lu, promises to "
	    "take more clients than 65535: ", process,
	    (unsigned long)geteuid());
	world_expect(text);
}

/* One who is given back is lost without a descriptor; no other is. */
TEST(no_descriptors)
{
	int w, before, client[2], taken[2], i;
	struct rlimit all, low;

	world_proxy(ROUTES, NULL);
	before = world_fds();
	w = worker("one", 2);
	for (i = 0; i < 2; i++) {
		client[i] = client_open();
		send_text(client[i], ONE);
		taken[i] = serve(w, "one");
		expect(client[i], "/one of one\n");
	}
	world_until_fds(before + 1);
	ck_assert_int_eq(prlimit(world_pid(), RLIMIT_NOFILE, NULL, &all), 0);
	low = all;
	low.rlim_cur = (rlim_t)before + 1;
	ck_assert_int_eq(prlimit(world_pid(), RLIMIT_NOFILE, &low, NULL), 0);
	give_back(w, taken[0]);
	ck_assert(ended(client[0]));
	world_until_says("cannot accept", 1);
	give_back(w, taken[1]);
	ck_assert_int_eq(prlimit(world_pid(), RLIMIT_NOFILE, &all, NULL), 0);
	send_text(client[1], ONE);
	close(serve(w, "again"));
	expect(client[1], "/one of again\n");
	world_expect("cannot accept");
}

/* ---- who breaks the protocol ---- */

static int
tcp_listener(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

static int
udp_connected(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
	    .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static int
one_of_pair(void)
{
	int fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	close(fd[1]);
	return fd[0];
}

static int
file(void)
{
	return open("/dev/null", O_RDWR);
}

static const struct {
	int (*make)(void);
	const char *bytes;
	size_t len;
	size_t fds;
	const char *says;
} wrongs[] = {
	{ NULL, "\2", 1, 0, "a byte that means nothing" },
	{ NULL, "\0\0\377", 3, 0, "a byte that means nothing" },
	{ NULL, "GET / HTTP/1.1\r\n\r\n", 18, 0, "a byte that means nothing" },
	{ file, "\0", 1, 1, "a descriptor that does not belong there" },
	{ file, "\1", 1, 2, "a descriptor that does not belong there" },
	{ file, "\1\1", 2, 1, "a descriptor that does not belong there" },
	{ file, "\3", 1, 1, "a byte that means nothing" },
	{ file, "\1", 1, 1, "given back what is no client" },
	{ tcp_listener, "\1", 1, 1, "given back what is no client" },
	{ udp_connected, "\1", 1, 1, "given back what is no client" },
	{ one_of_pair, "\1", 1, 1, "given back what is no client" }
};

/* Its connection ends, after one message; nobody else notices. */
TEST(wrong)
{
	int bad, good, fds[2] = { -1, -1 }, client;

	world_proxy(ROUTES, NULL);
	good = worker("one", 1);
	bad = client_unix("one");
	if (wrongs[_i].make != NULL) {
		fds[0] = wrongs[_i].make();
		fds[1] = wrongs[_i].make();
	}
	ck_assert_int_eq(fdpass_send_fds(bad, fds, wrongs[_i].fds,
	    wrongs[_i].bytes, wrongs[_i].len), (ssize_t)wrongs[_i].len);
	if (wrongs[_i].make != NULL)
		close_all(fds, 2);
	ck_assert(ended(bad));
	world_until_says(wrongs[_i].says, 1);
	client = client_open();
	send_text(client, ONE);
	close(serve(good, "good"));
	expect(client, "/one of good\n");
	world_expect("its connection is closed");
}

/* Each byte alone, and a message about them once a second. */
TEST(every_byte)
{
	int w, i;
	long begun = now_ms();
	char byte;

	world_proxy(ROUTES, NULL);
	for (i = 2; i < 256; i++) {
		w = client_unix("one");
		byte = (char)i;
		send_bytes(w, &byte, 1);
		ck_assert(ended(w));
	}
	ck_assert_int_le(world_says("means nothing"),
	    (int)((now_ms() - begun) / 1000) + 1);
	world_expect("means nothing");
}

/* A hand-back whose descriptor did not come is a lost client, no error. */
TEST(lost)
{
	int w, client;

	world_proxy(ROUTES, NULL);
	w = client_unix("one");
	send_bytes(w, "\1\1\0", 3);
	client = client_open();
	send_text(client, ONE);
	close(serve(w, "one"));
	expect(client, "/one of one\n");
}

/* Clients that have left meanwhile end nothing. */
TEST(client_has_left)
{
	struct linger off = { 1, 0 };
	int w, client, fd;

	world_proxy(ROUTES, NULL);
	w = worker("one", 1);
	client = client_open();
	send_text(client, ONE);
	fd = serve(w, "one");
	if (_i == 0)
		setsockopt(client, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	close(client);
	ck_assert(readable(fd, WORLD_PATIENCE));
	give_back(w, fd);
	client = client_open();
	send_text(client, ONE);
	close(serve(w, "one"));
	expect(client, "/one of one\n");
}

/* More connections than there is room for are closed, the others stay. */
TEST(too_many_workers)
{
	int w, i, client, last_one = -1;

	world_nofile(256);	/* an eighth of them are for workers */
	world_proxy(ROUTES, NULL);
	w = worker("one", 1);
	for (i = 0; i < 32; i++)
		last_one = client_unix("two");
	ck_assert(ended(last_one));
	client = client_open();
	send_text(client, ONE);
	close(serve(w, "one"));
	expect(client, "/one of one\n");
	world_expect("is one too many");
}

/* ---- what is left at the socket ---- */

static const struct {
	int level;
	int option;
	int value;
} options[] = {
	{ SOL_SOCKET, SO_RCVLOWAT, 5000 },
#ifdef SO_PEEK_OFF
	{ SOL_SOCKET, SO_PEEK_OFF, 20 }, { SOL_SOCKET, SO_PEEK_OFF, 0 },
#endif
#ifdef TCP_CORK
	{ IPPROTO_TCP, TCP_CORK, 1 },
#endif
	{ IPPROTO_TCP, TCP_NODELAY, 0 },
	{ 0, SO_RCVTIMEO, 0 }, { 0, SO_SNDTIMEO, 0 }, { 0, SO_LINGER, 0 },
	{ 0, O_NONBLOCK, 0 }
};

static void
leave_on(int fd, int i)
{
	struct linger linger = { 1, 30 };
	struct timeval tv = { 1, 1000 };

	if (options[i].level != 0) {
		setsockopt(fd, options[i].level, options[i].option,
		    &options[i].value, sizeof(int));
		return;
	}
	switch (options[i].option) {
	case SO_LINGER:
		ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger,
		    sizeof(linger)), 0);
		break;
	case O_NONBLOCK:
		ck_assert_int_eq(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK |
		    O_ASYNC), 0);
		break;
	default:
		ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, options[i].option,
		    &tv, sizeof(tv)), 0);
		break;
	}
}

static int
get(int fd, int level, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	getsockopt(fd, level, option, &value, &len);
	return value;
}

/* The next worker finds the connection as if it had just been accepted. */
TEST(options_left_on)
{
	struct linger linger;
	struct timeval tv[2];
	socklen_t len = sizeof(linger), tv_len = sizeof(*tv);
	int w[2], client, fd;

	world_proxy(ROUTES, NULL);
	w[0] = worker("one", 1);
	w[1] = worker("two", 1);
	client = client_open();
	send_text(client, ONE);
	fd = serve(w[0], "one");
	leave_on(fd, _i);
	give_back(w[0], fd);
	expect(client, "/one of one\n");
	send_text(client, TWO);
	fd = take(w[1]);
	ck_assert_int_eq(get(fd, SOL_SOCKET, SO_RCVLOWAT), 1);
#ifdef SO_PEEK_OFF
	ck_assert_int_le(get(fd, SOL_SOCKET, SO_PEEK_OFF), 0);
#endif
#ifdef TCP_CORK
	ck_assert_int_eq(get(fd, IPPROTO_TCP, TCP_CORK), 0);
#endif
	ck_assert_int_ne(get(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len),
	    0);
	ck_assert_int_eq(linger.l_onoff, 0);
	getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv[0], &tv_len);
	getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv[1], &tv_len);
	ck_assert(tv[0].tv_sec == 0 && tv[0].tv_usec == 0 &&
	    tv[1].tv_sec == 0 && tv[1].tv_usec == 0);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ASYNC), 0);
	send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nend");
	close(fd);
	expect(client, "end");
}

/* ---- connections that are kept ---- */

/* A client that was given back; the worker keeps a copy if that is wanted. */
static int
kept(int w, int *copy)
{
	int client = client_open(), fd;

	send_text(client, ONE);
	fd = serve(w, "one");
	if (copy != NULL)
		*copy = dup(fd);
	give_back(w, fd);
	expect(client, "/one of one\n");
	return client;
}

/* A copy that the worker forgot keeps no client waiting. */
TEST(kept_copy)
{
	int w, client, copy;
	size_t len;

	world_proxy(ROUTES, "-c", "KeepAliveTimeout 50ms", NULL);
	w = worker("one", 1);
	client = kept(w, &copy);
	/* Its time is over; or it has an answer of fdproxy's own. */
	if (_i == 1)
		send_text(client, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert(_i == 1 ? strstr(buf, " 404 ") != NULL : len == 0);
	close(copy);
}

/* Nor does one behind a renewal. */
TEST(kept_copy_renewed)
{
	int w, client, copy;
	size_t len;

	world_proxy(ROUTES, "-c", "KeepAliveTimeout 1h", NULL);
	w = worker("one", 1);
	client = kept(w, &copy);
	world_signal(SIGHUP);
	world_until_says("notice: renewed", 1);
	world_signal(SIGTERM);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_uint_eq(len, 0);
	close(copy);
	world_expect("stopping");
	ck_assert_int_eq(world_exit(), 0);
}

/*
 * A client that is given back while somebody else keeps fdproxy from its end.
 * It is closed, whatever it has sent if -n is reached, and if it is silent.
 */
TEST(given_back_late)
{
	int w, slow, client, fd;
	size_t len;

	world_proxy("-n", _i == 0 ? "1" : "3", ROUTES, "-c",
	    "KeepAliveTimeout 1h", "-c", "GracefulShutdownTimeout 1h", NULL);
	slow = client_open();
	send_text(slow, "GET ");
	w = worker("one", 1);
	client = client_open();
	send_text(client, _i == 0 ? ONE ONE : ONE);
	fd = serve(w, "one");
	if (_i == 1)
		world_signal(SIGTERM);
	world_until_says("stopping", 1);
	give_back(w, fd);
	expect(client, "/one of one\n");
	read_all(client, buf, sizeof(buf), &len);
	ck_assert_uint_eq(len, 0);
	send_text(slow, "/no HTTP/1.1\r\nHost: x\r\n\r\n");
	read_exact(slow, buf, 12);
	shutdown(slow, SHUT_WR);
	ck_assert(ended(w));
	world_expect("stopping");
	ck_assert_int_eq(world_exit(), 0);
}

/* Silence, at the end of its time and at the end of fdproxy. */
TEST(closed_silently)
{
	int w, client;
	size_t len;

	world_proxy(ROUTES, "-c", _i == 0 ? "KeepAliveTimeout 10ms" :
	    "KeepAliveTimeout 1h", "-c", "GracefulShutdownTimeout 1h", NULL);
	w = worker("one", 1);
	client = kept(w, NULL);
	if (_i == 1)
		world_signal(SIGTERM);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_uint_eq(len, 0);
	if (_i == 0)
		return;
	world_expect("stopping");
	ck_assert(ended(w));
	ck_assert_int_eq(world_exit(), 0);
}

/* It is told nothing, whoever ends it: it has asked for nothing. */
TEST(no_word_at_the_end)
{
	int w, client, other;
	size_t len;

	world_proxy(ROUTES, "-c", "KeepAliveTimeout 1h", NULL);
	w = worker("one", 1);
	client = kept(w, NULL);
	other = client_open();
	send_text(other, TWO);
	world_until_says("clients wait", 1);
	world_signal(SIGTERM);
	world_signal(SIGINT);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_uint_eq(len, 0);
	ck_assert_int_eq(read_all(other, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), 503);
	world_expect("stopping");
	ck_assert_int_eq(world_exit(), 0);
}

/* Who waits for its next request makes room for who has one. */
TEST(makes_room)
{
	int w, first, second, head;
	size_t len;

	world_proxy(ROUTES, "-c", "MaxConnections 2", "-c",
	    "CustomLog log json", NULL);
	w = worker("one", 1);
	head = client_open();
	send_text(head, "GET ");
	first = kept(w, NULL);
	until_file("log", "\"returned\"");
	second = kept(w, NULL);
	ck_assert_int_eq(read_all(first, buf, sizeof(buf), &len), END_FIN);
	ck_assert_uint_eq(len, 0);
	send_text(second, ONE);
	close(serve(w, "one"));
	expect(second, "/one of one\n");
	send_text(head, ONE + 4);
	ask(w, 1);
	close(serve(w, "one"));
	expect(head, "/one of one\n");
}

/* Requests count, not connections. */
TEST(count)
{
	int w, client, i;

	world_proxy("-n", "3", ROUTES, NULL);
	w = worker("one", 1);
	client = client_open();
	for (i = 0; i < 3; i++) {
		send_text(client, ONE);
		if (i < 2)
			give_back(w, serve(w, "one"));
		else
			close(serve(w, "one"));
		expect(client, "/one of one\n");
	}
	ck_assert(ended(w));
	world_expect("stopping");
	ck_assert_int_eq(world_exit(), 0);
}

/* A worker that comes then is no reason to spin, while one client is slow. */
TEST(count_is_reached)
{
	int w, slow, client;
	long sleeps;

	world_proxy("-n", "1", ROUTES, NULL);
	slow = client_open();
	send_text(slow, "GET ");
	w = worker("one", 1);
	client = client_open();
	send_text(client, ONE);
	close(serve(w, "one"));
	expect(client, "/one of one\n");
	world_until_says("stopping", 1);
	client_unix("one");
	send_text(slow, "/");
	sleeps = world_sleeps();
	ck_assert(!readable(slow, 200));
	ck_assert_int_le(world_sleeps() - sleeps, 20);
	send_text(slow, "no HTTP/1.1\r\nHost: x\r\n\r\n");
	read_exact(slow, buf, 12);
	ck_assert_int_eq(memcmp(buf, "HTTP/1.1 404", 12), 0);
	shutdown(slow, SHUT_WR);
	world_expect("stopping");
	ck_assert_int_eq(world_exit(), 0);
}

/* ---- the command ---- */

/* As a worker from the start, or at a path, the command is waited for. */
TEST(command)
{
	static const char *const routes[] = { "/one=:workers,flusher=none",
	    "/one=workers:one,flusher=none" };
	static const char *const scripts[] = {
	    "import os, signal, socket\n"
	    "w = socket.socket(fileno=int(os.environ['FDPROXY_WORKERS']))\n",
	    "import os, signal, socket\n"
	    "assert 'FDPROXY_WORKERS' not in os.environ\n"
	    "w = socket.socket(socket.AF_UNIX)\nw.connect('one')\n" };
	static const char rest[] = "signal.pthread_sigmask(signal.SIG_BLOCK, "
	    "[signal.SIGTERM])\nw.send(b'\\0')\n"
	    "byte, fds, flags, name = socket.recv_fds(w, 1, 1)\n"
	    "c = socket.socket(fileno=fds[0])\n"
	    "c.recv(30, socket.MSG_WAITALL)\n"
	    "c.send(b'HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\n"
	    "body')\n"
	    "socket.send_fds(w, [b'\\1'], [c.fileno()])\nc.close()\n"
	    "signal.sigwait([signal.SIGTERM])\n";
	char script[2048];
	int client;

	snprintf(script, sizeof(script), "%s%s", scripts[_i], rest);
	write_file("worker.py", script);
	world_launch("-r", routes[_i], "python3", "worker.py", NULL);
	world_announced();
	client = client_open();
	send_text(client, ONE);
	expect(client, "body");
	send_text(client, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
	read_exact(client, buf, 13);
	ck_assert_int_eq(memcmp(buf, "HTTP/1.1 404 ", 13), 0);
	world_expect("has ended with status 0");
}

/* ---- what is told ---- */

TEST(readiness)
{
	const char *request = "GET /r HTTP/1.1\r\nHost: x\r\n\r\n";
	long end = now_ms() + WORLD_PATIENCE;
	int w;

	world_proxy("-r", "/r=ready:", "-r", "/one=workers:one", NULL);
	w = client_unix("one");
	ck_assert_int_eq(status_of(exchange(request)), 503);
	ask(w, 1);
	while (status_of(exchange(request)) != 200)
		ck_assert_int_lt(now_ms(), end);
	shutdown(w, SHUT_WR);
	ck_assert(ended(w));
	while (status_of(exchange(request)) != 503)
		ck_assert_int_lt(now_ms(), end);
}

TEST(metrics)
{
	const char *request = "GET /s HTTP/1.1\r\nHost: x\r\n\r\n";
	const char *page;
	int w[2];

	world_proxy(ROUTES, "-r", "/one/two=workers:two,flusher=none", "-r",
	    "/s=status:", NULL);
	w[0] = worker("one", 3);
	w[1] = worker("one", 4);
	kept(w[0], NULL);
	client_unix("two");
	until_promised(7);
	page = exchange(request);
	ck_contains(page, "\nfdproxy_returned_total 1\n");
	ck_contains(page, "\nfdproxy_workers{route=\"/one\"} 2\n");
	ck_contains(page, "\nfdproxy_promises{route=\"/one\"} 7\n");
	ck_contains(page, "\nfdproxy_workers{route=\"/two\"} 0\n");
	ck_contains(page, "\nfdproxy_waiting{for=\"next\"} 1\n");
	ck_contains(page, "\nfdproxy_waiting{for=\"head\"} 0\n");
	world_expect("never reached");
	(void)w[1];
}

/* A line for each request. */
TEST(access_log)
{
	int w;

	world_proxy(ROUTES, "-c", _i == 0 ? "CustomLog log" :
	    "CustomLog log json", "-c", "KeepAliveTimeout 10ms", NULL);
	w = worker("one", 1);
	kept(w, NULL);
	if (_i == 0) {
		until_file("log", "\"GET /one HTTP/1.1\" - - route=\"/one\"");
		return;
	}
	until_file("log", "{\"id\":1,\"ms\":0,\"event\":\"accepted\"");
	until_file("log", "{\"id\":2,\"ms\":0,\"event\":\"returned\","
	    "\"client\":\"127.0.0.1:");
}

/* ---- the socket ---- */

TEST(rights)
{
	static const char *const routes[] = { "/one=workers:one",
	    "/one=workers:one,mode=600", "/one=workers:one,mode=666" };
	static const mode_t modes[] = { 0660, 0600, 0666 };
	char path[256];
	struct stat st;

	umask(077);
	world_proxy("-r", routes[_i], NULL);
	snprintf(path, sizeof(path), "%s/one", world_dir());
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, modes[_i]);
	world_stop(NULL);
	ck_assert_int_eq(stat(path, &st), -1);
}

/* Only who runs as that user is given clients. */
TEST(peer)
{
	char route[64];
	int w;

	snprintf(route, sizeof(route), "/one=workers:one,flusher=none,"
	    "wait=10s,peer=%ld", (long)getuid() + _i);
	world_proxy("-r", route, NULL);
	w = client_unix("one");
	if (_i == 0) {
		ask(w, 1);
		kept(w, NULL);
		return;
	}
	ck_assert(ended(w));
	world_expect("is not of the user that peer= names");
}

static const struct {
	size_t length;		/* of the head */
	int status;
} heads[] = { { 100, 0 }, { 32768, 0 }, { 32769, 431 } };

/* The head behind the client goes in one message. */
TEST(payload)
{
	int w, client, fd;
	size_t len, n;
	char *head = malloc(40000);

	ck_assert_ptr_nonnull(head);
	world_proxy("-c", "LimitRequestHead 40000", "-c",
	    "LimitRequestFieldSize 40000", "-r",
	    "/one=workers:one,payload=head,wait=10s", NULL);
	w = worker("one", 1);
	n = (size_t)snprintf(head, 40000, "GET /one HTTP/1.1\r\nHost: x\r\n"
	    "X: ");
	memset(head + n, 'a', heads[_i].length - n - 4);
	memcpy(head + heads[_i].length - 4, "\r\n\r\n", 5);
	client = client_open();
	send_text(client, head);
	if (heads[_i].status != 0) {
		read_all(client, buf, sizeof(buf), &len);
		ck_assert_int_eq(status_of(buf), heads[_i].status);
	} else {
		fd = take(w);
		read_exact(w, buf, heads[_i].length);
		ck_assert_int_eq(memcmp(buf, head, heads[_i].length), 0);
		send_text(fd, "body");
		close(fd);
		read_all(client, buf, sizeof(buf), &len);
		ck_contains(buf, "\r\n\r\nbody");
	}
	free(head);
}

/* ---- the next program ---- */

/* Workers stay connected, with their promises; so do who is kept and waits. */
TEST(renewed)
{
	int w[2], client, waiting, i;

	world_proxy(ROUTES, NULL);
	w[0] = worker("one", 2);
	w[1] = client_unix("two");
	client = kept(w[0], NULL);
	waiting = client_open();
	send_text(waiting, TWO);
	world_until_says("clients wait", 1);
	for (i = 1; i <= 3; i++) {
		world_signal(SIGHUP);
		world_until_says("notice: renewed", i);
		send_text(client, ONE);
		give_back(w[0], serve(w[0], "one"));
		expect(client, "/one of one\n");
	}
	ask(w[1], 1);
	close(serve(w[1], "two"));
	expect(waiting, "/two of two\n");
	/* Two are still asked for, no more. */
	send_text(client_open(), ONE);
	close(take(w[0]));
	send_text(client_open(), ONE);
	close(take(w[0]));
	send_text(client_open(), ONE);
	ck_assert(!readable(w[0], 100));
	ask(w[0], 1);
	close(take(w[0]));
	world_expect("notice: renewed");
}

/* Its socket is not configured any more. */
TEST(renewed_without)
{
	int w;

	write_file("conf", "ProxyPass /one workers://one\n");
	world_proxy("-f", "conf", NULL);
	w = worker("one", 1);
	write_file("conf", "ProxyPass /two workers://two\n");
	world_signal(SIGHUP);
	ck_assert(ended(w));
	w = client_unix("two");
	world_expect("notice: renewed");
}

/* A client to whom a large text is written, at a renewal. */
static int
start_flush(int *w)
{
	char *text = malloc(FILE_LEN + 1);
	int client;

	ck_assert_ptr_nonnull(text);
	memset(text, 'x', FILE_LEN);
	text[FILE_LEN] = '\0';
	memcpy(text, "HTTP/1.1 200 OK\r\n\r\n", 19);
	write_file("text", text);
	free(text);
	world_proxy("-r", "/one=workers:one,flusher=file:text,wait=10s", NULL);
	*w = worker("one", 1);
	client = client_open_small();
	send_text(client, ONE);
	ck_assert(readable(client, WORLD_PATIENCE));
	world_signal(SIGHUP);
	world_until_says("notice: renewed", 1);
	world_expect("notice: renewed");
	return client;
}

/* The old process sends it to the worker that had promised to take it. */
TEST(flushed_by_old)
{
	int w, client = start_flush(&w), fd;
	size_t len;

	read_exact(client, buf, FILE_LEN);
	fd = take(w);
	send_text(fd, "end");
	close(fd);
	read_all(client, buf, sizeof(buf), &len);
	ck_assert_str_eq(buf, "end");
	ask(w, 1);
	client = client_open();
	send_text(client, ONE);
	read_exact(client, buf, FILE_LEN);
	close(take(w));
}

/* Its worker dies: another one's promises are the new program's. */
TEST(promises_of_new)
{
	int w[2], client = start_flush(&w[0]), i;
	size_t len;

	w[1] = worker("one", 1);
	close(w[0]);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_RESET);
	for (i = 0; i < 2; i++) {
		client = client_open();
		send_text(client, ONE);
		read_exact(client, buf, FILE_LEN);
		close(take(w[1]));
		ck_assert(!readable(w[1], 20));
		ask(w[1], 1);
	}
	world_expect("reset after its head was sent");
}

/* A promise is there for who waits at once: none of so many is too late. */
TEST(promise_wakes)
{
	int client[40], w, i;

	world_proxy("-r", "/one=workers:one,flusher=none,connectiontimeout=10s",
	    NULL);
	w = worker("one", 1);
	for (i = 0; i < COUNT(client); i++) {
		client[i] = client_open();
		send_text(client[i], ONE);
	}
	for (i = 0; i < COUNT(client); i++) {
		close(take(w));
		ask(w, 1);
	}
	close_all(client, COUNT(client));
}

/* The new program ends its worker's connection, which the old one has, too. */
TEST(ended_by_new)
{
	int w, client = start_flush(&w);
	size_t len;

	send_text(w, "x");
	ck_assert(ended(w));
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_RESET);
	world_expect("has sent a byte that means nothing");
}

/* It goes away there: the worker's promise is as good as lost. */
TEST(gone_in_old)
{
	struct linger off = { 1, 0 };
	int w, client = start_flush(&w);

	setsockopt(client, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	close(client);
	ck_assert(ended(w));
	w = worker("one", 1);
	client = client_open();
	send_text(client, ONE);
	read_exact(client, buf, FILE_LEN);
	close(take(w));
}

/* While fdproxy stops, those who wait are served, by new workers too. */
TEST(stopping)
{
	int w, client;

	world_proxy(ROUTES, NULL);
	client = client_open();
	send_text(client, ONE);
	world_until_says("clients wait", 1);
	world_signal(SIGTERM);
	world_until_says("stopping", 1);
	w = worker("one", 1);
	close(serve(w, "one"));
	expect(client, "/one of one\n");
	ck_assert(ended(w));
	world_expect("stopping");
	ck_assert_int_eq(world_exit(), 0);
}

int
main(int argc, char **argv)
{
	/* A renewal allocates, between turns. */
	const char *program = getenv("FDPROXY");
	int renews = program == NULL || strstr(program, "noalloc") == NULL;
	/* What is short enough to go byte by byte may find room at once. */
	int stalls = renews && !world_torture();
	bool python = system("command -v python3 >/dev/null") == 0;
	const struct test tests[] = {
		TIMES(alternate, 4),
		ONCE(bodies),
		TIMES(last_request, COUNT(last)),
		ONCE(half_closed),
		ONCE(pieces),
		ONCE(clients_wait),
		TIMES(unanswered, COUNT(refused)),
		TIMES(same_moment, 2),
		TIMES(asked_in_time, 2),
		ONCE(fewest),
		TIMES(leaves, 2),
		ONCE(dies),
		ONCE(many_promises),
		ONCE(no_descriptors),
		TIMES(wrong, COUNT(wrongs)),
		ONCE(every_byte),
		ONCE(lost),
		TIMES(client_has_left, 2),
		ONCE(too_many_workers),
		TIMES(options_left_on, COUNT(options)),
		TIMES(kept_copy, 2),
		TIMES(kept_copy_renewed, renews),
		TIMES(given_back_late, 2),
		TIMES(closed_silently, 2),
		ONCE(no_word_at_the_end),
		ONCE(makes_room),
		ONCE(count_is_reached),
		ONCE(count),
		TIMES(command, python ? 2 : 0),
		ONCE(readiness),
		ONCE(metrics),
		TIMES(access_log, 2),
		TIMES(rights, 3),
		TIMES(peer, 2),
		TIMES(payload, COUNT(heads)),
		TIMES(renewed, renews),
		TIMES(renewed_without, renews),
		TIMES(flushed_by_old, renews),
		TIMES(promises_of_new, stalls),
		ONCE(promise_wakes),
		TIMES(ended_by_new, stalls),
		TIMES(gone_in_old, stalls),
		ONCE(stopping)
	};

	return runner_run(argc, argv, tests, COUNT(tests), world_begin,
	    world_end);
}
