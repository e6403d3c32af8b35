/* See LICENSE for copyright and license details. */

/*
 * Another configuration, or another program, in the place of the one that
 * runs: what its clients see of it.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "world.h"

#define GET	"GET /app HTTP/1.1\r\nHost: x\r\n\r\n"
#define NEW	"GET /new HTTP/1.1\r\nHost: x\r\n\r\n"
#define HALF	"GET /app HTTP/1.1\r\nHo"
#define REST	"st: x\r\n\r\n"

#define APP	"ProxyPass /app fd://s\n"
#define ADDED	"ProxyPass /new fd://s\n"
#define SLOW	"ProxyPass /app fd://s flusher=file:f\n"

#define RENEWED		"has been read again"
#define REFUSED		"the configuration stays as it was"
#define OVER		"the time of -T is over"

/* More than any send buffer takes. */
#define FILE_MAX	((size_t)8 * 1024 * 1024)
#define FILE_LEN	(world_torture() ? (size_t)60000 : FILE_MAX)

static char buf[FILE_MAX + 1024];

/* ---- helpers ---- */

/* Each renewal is said; tests are about what else is seen of it. */
static void
begin(void)
{
	world_begin();
	world_expect("");
}

/* Send a signal; what comes of it is said once more. */
static void
signal_says(int sig, const char *text)
{
	int n = world_says(text);

	world_signal(sig);
	world_until_says(text, n + 1);
}

/* The text of a configuration, or a request. */
static const char *	format(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

static const char *
format(const char *fmt, ...)
{
	static char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return text;
}

/* At once: a renewal may be reading it. */
static void
configure(const char *conf)
{
	write_file("conf.new", conf);
	ck_assert_int_eq(rename("conf.new", "conf"), 0);
}

static void
start(const char *conf)
{
	write_file("conf", conf);
	world_proxy("-f", "conf", NULL);
}

/* It is renewed, or not; with this configuration, or what is there (NULL). */
static void
renew(const char *conf)
{
	if (conf != NULL)
		configure(conf);
	signal_says(SIGHUP, RENEWED);
}

static void
refused(const char *conf)
{
	if (conf != NULL)
		configure(conf);
	signal_says(SIGHUP, REFUSED);
}

/* It ends, with other listeners or logs than it had at the start. */
static void
stop_changed(void)
{
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
}

/* A program in the place of the one that runs. */
static void
replace(const char *text)
{
	write_file("new", text);
	ck_assert_int_eq(chmod("new", 0755), 0);
	ck_assert_int_eq(rename("new", "fdproxy"), 0);
}

/* Start a copy, which can be replaced. */
static void
use_copy(void)
{
	world_copy("real");
	world_copy("fdproxy");
	world_program("fdproxy");
}

/*
 * Its successor stops on the way, as a shell, until it is let go: what happens
 * in between happens while nobody is there.
 */
static void
stage(void)
{
	ck_assert_int_eq(mkfifo("go", 0600), 0);
	replace("#!/bin/sh\n"
	    "test \"$1\" = -t && exec ./real \"$@\"\n"
	    "echo staged >&2\n"
	    "read -r line <go\n"
	    "exec ./real \"$@\"\n");
	signal_says(SIGUSR2, "staged");
}

static int
let_go(void)
{
	int fd = open("go", O_RDWR | O_CLOEXEC);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, "\n", 1), 1);
	return fd;
}

static int
bind_to(struct sockaddr_in *addr, uint32_t host)
{
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(addr, 0, sizeof(*addr));
	addr->sin_family = AF_INET;
	addr->sin_addr.s_addr = htonl(host);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)addr, len), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)addr, &len), 0);
	return fd;
}

/* An address that is free: the host is ours alone. */
static void
free_address(struct sockaddr_in *addr, char text[32])
{
	uint32_t host = 0x7f000000u | ((uint32_t)getpid() & 0xffffff);

	close(bind_to(addr, host));
	snprintf(text, 32, "127.%u.%u.%u:%u", host >> 16 & 255,
	    host >> 8 & 255, host & 255, ntohs(addr->sin_port));
}

/* A listening socket of a supervisor's. */
static int
supervisor_listen(struct sockaddr_in *addr)
{
	int fd = bind_to(addr, INADDR_LOOPBACK);

	ck_assert_int_eq(listen(fd, 16), 0);
	return fd;
}

/* A client there; -1 if it is refused. */
static int
client_at(const struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0)
		return fd;
	ck_assert_int_eq(errno, ECONNREFUSED);
	close(fd);
	return -1;
}

static const char *
notice(int fd)
{
	static char text[256];
	ssize_t n;

	ck_assert_msg(readable(fd, WORLD_PATIENCE), "nothing notified; %s",
	    world_errors());
	n = recv(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* The microsecond is now. */
static void
check_reloading(int fd, long since_ms)
{
	long long usec = -1;

	ck_assert_int_eq(sscanf(notice(fd), "RELOADING=1\nMONOTONIC_USEC=%lld",
	    &usec), 1);
	ck_assert_int_ge(usec / 1000, since_ms);
	ck_assert_int_le(usec / 1000, now_ms());
}

/* A client that has said this. */
static int
with(int client, const char *text)
{
	send_text(client, text);
	return client;
}

/* A client must read this status and a FIN. */
static void
check_status(int client, int status)
{
	size_t len;

	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), status);
	close(client);
}

/* The backend of a route without a flusher takes a client and answers. */
static void
take_and_answer(int listener)
{
	int fd = backend_take(listener), lowat = 0;
	socklen_t size = sizeof(lowat);
	size_t len = 0;

	/* As of a fresh socket. */
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &lowat,
	    &size), 0);
	ck_assert_int_eq(lowat, 1);
	while (len < 4 || memcmp(buf + len - 4, "\r\n\r\n", 4) != 0)
		read_exact(fd, buf + len++, 1);
	send_text(fd, "HTTP/1.1 200 OK\r\n\r\n");
	shutdown(fd, SHUT_WR);
	close(fd);
}

static void
abandon(int client)
{
	struct linger off = { 1, 0 };

	setsockopt(client, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	close(client);
}

/* Where the address of a unix: listener in the folder is wanted. */
static const char *
local(const char *name)
{
	static char text[3][128];
	static int i;

	i = (i + 1) % 3;
	snprintf(text[i], sizeof(text[i]), "unix:%s/%s", world_dir(), name);
	return text[i];
}

/* A head of len - 1 bytes with much in it. */
static void
long_head(char *head, size_t len)
{
	memset(head, 'x', len);
	memcpy(head, "GET /app HTTP/1.1\r\nHost: x\r\nX: ", 31);
	memcpy(head + len - 5, "\r\n\r\n", 5);
}

/* The file of SLOW. */
static void
large_flusher(char fill)
{
	memset(buf, fill, FILE_LEN);
	memcpy(buf, "HTTP/1.1 200 OK\r\n\r\n", 19);
	buf[FILE_LEN] = '\0';
	write_file("f", buf);
}

/* ---- another configuration ---- */

/*
 * A new route is served, an old one gone, again and again; by either signal.
 * A client that was handed off is not touched.
 */
TEST(routes)
{
	int s = backend_listen("s", 4), t = backend_listen("t", 4), i;
	int client, fd;

	start(APP "ProxyPass /raw fd://s flusher=none\n");
	client = with(client_open(), "GET /raw HTTP/1.0\r\n\r\n");
	fd = backend_take(s);
	for (i = 0; i < 2; i++) {
		send_text(fd, "part");
		check_served(client_open(), s, GET);
		ck_assert_int_eq(status_of(exchange(NEW)), 404);
		renew("ProxyPass /new fd://t\n");
		check_served(client_open(), t, NEW);
		ck_assert_int_eq(status_of(exchange(GET)), 404);
		write_file("conf", APP);
		signal_says(SIGUSR2, RENEWED);
		send_text(fd, "part");
		read_exact(client, buf, 8);
		ck_assert(!readable(client, 0));
	}
}

static const struct {
	const char *conf;
	const char *says;
} mistakes[] = {
	{ ADDED "Lisen 80\n", "error: conf:2: unknown directive" },
	{ "ProxyPass /new fd://s flusher=file:none\n",
	    "error: conf:1: ProxyPass: the flusher's file" },
	{ ADDED "Include none\n", "error: conf:2: cannot read" },
	/* Not waited for until somebody writes to it. */
	{ ADDED "Include fifo\n", "error: conf:2: cannot read" },
	{ ADDED "ErrorLog none/log\n", "error: cannot open " },
	{ ADDED "CustomLog none/log\n", "error: cannot open " },
	{ ADDED "Listen unix:/none/u\n",
	    "error: cannot listen on unix:/none/u" }
};

/* What is wrong is named, and changes nothing. */
TEST(broken)
{
	int s = backend_listen("s", 4);

	ck_assert_int_eq(mkfifo("fifo", 0600), 0);
	start(APP);
	refused(mistakes[_i].conf);
	ck_contains(world_errors(), mistakes[_i].says);
	check_served(client_open(), s, GET);
	ck_assert_int_eq(status_of(exchange(NEW)), 404);
	ck_assert_int_eq(unlink("conf"), 0);
	refused(NULL);
	ck_contains(world_errors(), "error: -f: cannot read conf");
	check_served(client_open(), s, GET);
	ck_assert_int_eq(world_says(RENEWED), 0);
	renew(ADDED);
	check_served(client_open(), s, NEW);
}

/*
 * Listeners that stay do so with the connections that they hold; new ones are
 * open, and the others closed.  A file that has become somebody else's is his.
 */
TEST(listeners)
{
	struct sockaddr_in stays, goes, comes;
	char a[32], b[32], c[32];
	int s = backend_listen("s", 4), held[3], i;

	free_address(&stays, a);
	free_address(&goes, b);
	free_address(&comes, c);
	write_file("conf", format(APP "Listen %s\nListen %s\nListen %s\n"
	    "Listen %s\nListen %s\n", b, a, local("u1"), local("u2"),
	    local("his")));
	world_proxy("-f", "conf", NULL);
	ck_assert_int_eq(unlink("his"), 0);
	backend_listen("his", 4);
	/* These have said nothing: they are the system's, or fdproxy's. */
	held[0] = client_open();
	held[1] = client_at(&stays);
	held[2] = client_unix("u2");
	check_served(client_unix("u1"), s, GET);
	check_served(client_at(&goes), s, GET);
	ck_assert_int_eq(client_at(&comes), -1);
	renew(format(APP "Listen %s\nListen %s\nListen %s\nListen %s\n",
	    local("u3"), local("u2"), a, c));
	for (i = 0; i < 3; i++)
		check_served(held[i], s, GET);
	check_served(client_open(), s, GET);
	check_served(client_at(&stays), s, GET);
	check_served(client_at(&comes), s, GET);
	check_served(client_unix("u2"), s, GET);
	check_served(client_unix("u3"), s, GET);
	ck_assert_int_eq(client_at(&goes), -1);
	ck_assert_int_eq(access("u1", F_OK), -1);
	ck_assert_int_eq(access("u2", F_OK), 0);
	stop_changed();
	ck_assert_int_eq(access("u2", F_OK), -1);
	ck_assert_int_eq(access("u3", F_OK), -1);
	ck_assert_int_eq(access("his", F_OK), 0);
}

/* The port is somebody else's, or (1) our own: in use by what would go. */
static const char *const unopened[] = {
	"Listen 127.0.0.1:%u\n", "Listen 0.0.0.0:%u\n", "Listen fd:99\n",
	"ChrootDir /nowhere\n"
};

/*
 * What the next program could not open, or be, is found out before: nothing is
 * lost, and nothing of the trial is left.
 */
TEST(cannot_follow)
{
	int s = backend_listen("s", 4), used, held;
	struct sockaddr_in stays, comes, taken;
	char a[32], b[32], line[64];

	free_address(&stays, a);
	free_address(&comes, b);
	used = supervisor_listen(&taken);
	start(format(APP "Listen %s\nListen %s\n", a, local("u1")));
	held = with(client_at(&stays), HALF);
	snprintf(line, sizeof(line), unopened[_i], ntohs(_i == 1 ?
	    stays.sin_port : taken.sin_port));
	refused(format(ADDED "Listen %s\nListen %s\n%s", local("u2"), b,
	    line));
	ck_contains(world_errors(), "-t exits with status 1");
	ck_assert_int_eq(client_at(&comes), -1);
	ck_assert_int_eq(access("u2", F_OK), -1);
	check_served(held, s, REST);
	check_served(client_at(&stays), s, GET);
	check_served(client_open(), s, GET);
	check_served(client_unix("u1"), s, GET);
	close(used);
	if (_i != 0)
		return;
	ck_contains(world_errors(), "error: cannot listen on 127.0.0.1:");
	renew(NULL);
	check_served(client_at(&comes), s, NEW);
	check_served(client_unix("u2"), s, NEW);
	ck_assert_int_eq(access("u1", F_OK), -1);
	stop_changed();
}

/*
 * More connections than are accepted in one turn, at that moment: all are
 * served, by the one or the other.
 */
TEST(backlog)
{
	enum { N = 200 };
	int s = backend_listen("s", 256), t = backend_listen("t", 256);
	long end;
	int client[N], i;

	start(APP);
	world_signal(SIGSTOP);
	for (i = 0; i < N; i++)
		client[i] = with(client_open(), GET);
	write_file("conf", "ProxyPass /app fd://t\n");
	world_signal(SIGHUP);
	world_signal(SIGCONT);
	world_until_says(RENEWED, 1);
	end = now_ms() + WORLD_PATIENCE;
	for (i = 0; i < N; i++) {
		while (!readable(s, 0) && !readable(t, 2))
			ck_assert_int_lt(now_ms(), end);
		close(backend_take(readable(s, 0) ? s : t));
	}
	for (i = 0; i < N; i++)
		check_status(client[i], 200);
}

#define GET_NUMBER	"GET /app/%d HTTP/1.0\r\n\r\n"

/* n clients that wait, in order, for a backend. */
static void
wait_in_line(int *client, int n)
{
	int fds = world_fds(), i;

	/* Where clients are accepted before they speak, too. */
	for (i = 0; i < n; i++) {
		world_signal(SIGSTOP);
		client[i] = with(client_open(), format(GET_NUMBER, i));
		world_signal(SIGCONT);
		world_until_fds(fds + i + 1);
	}
}

/* They are handed off in that order. */
static void
check_in_line(int listener, int *client, int n)
{
	const char *text;
	int i, fd;

	for (i = 0; i < n; i++) {
		fd = backend_take(listener);
		text = format(GET_NUMBER, i);
		read_exact(fd, buf, strlen(text));
		ck_assert_int_eq(memcmp(buf, text, strlen(text)), 0);
		close(fd);
		close(client[i]);
	}
}

#define WAIT(name)	"ProxyPass /app fd://" name " wait=1min flusher=none\n"

static const struct {
	const char *conf;
	const char *backend;
	bool early;
} queues[] = {
	{ WAIT("s"), "s", false },
	/* The same place, under another number. */
	{ "ProxyPass /a fd://a\n" WAIT("s") "ProxyPass /z fd://z\n", "s",
	    false },
	{ WAIT("t"), "t", true },
	{ WAIT("t"), "t", false }
};

/*
 * Who waits for a backend goes on to do so, or goes to another one, that is
 * there, or will be; the order stays, and who leaves is noticed.
 */
TEST(in_line)
{
	enum { N = 8 };
	int client[N + 1], listener = -1, fds, i;

	if (queues[_i].early)
		listener = backend_listen(queues[_i].backend, 64);
	start("ProxyPass /x fd://s wait=1min\n" WAIT("s"));
	fds = world_fds();
	wait_in_line(client, N + 1);
	for (i = 0; i < 3; i++)
		renew(queues[_i].conf);
	if (queues[_i].early) {
		check_in_line(listener, client, N + 1);
		return;
	}
	ck_assert(!readable(client[0], 20));
	abandon(client[N]);
	world_until_fds(fds + N);
	listener = backend_listen(queues[_i].backend, 64);
	check_in_line(listener, client, N);
}

static const struct {
	const char *conf;
	int status;
	const char *route;
} endings[] = {
	{ ADDED, 404, "-" },
	{ "ProxyPass /app !\n", 404, "/app" },
	{ "ProxyPass /app status:\n", 200, "/app" },
	{ APP, 503, "/app" },
	{ "ProxyPass /app fd://conf wait=1min\n", 500, "/app" },
	{ "ProxyPass /app fd://./\n", 404, "/app" },
	{ APP "LimitRequestLine 16\n", 414, "-" }
};

/*
 * Their route is gone, or excluded, or is answered here, or is not waited for;
 * or they are refused before they are routed.
 */
TEST(in_line_for_nothing)
{
	enum { N = 4 };
	int client[N], i;

	start("ProxyPass /a fd://a\nProxyPass /app fd://s wait=1min\n"
	    "CustomLog x\n");
	wait_in_line(client, N);
	renew(format("%sCustomLog x\n", endings[_i].conf));
	for (i = 0; i < N; i++)
		check_status(client[i], endings[_i].status);
	until_file("x", format(" route=\"%s\" ", endings[_i].route));
}

static const char *const times[] = {
	"ProxyPass /app fd://s wait=%dms\n",
	"RequestReadTimeout header=%dms\n" APP
};

/*
 * A wait, and the time for a head, go on as they began.  With more time, if
 * there was not one renewal in it.
 */
TEST(time_goes_on)
{
	int client, ms, n = 0;
	long since;

	start(APP);
	for (ms = 400; ms <= 3200 && n == 0; ms *= 2) {
		renew(format(times[_i], ms));
		since = now_ms();
		client = with(client_open(), _i == 0 ? GET : HALF);
		for (; !readable(client, 0); n++) {
			ck_assert_int_lt(now_ms() - since, WORLD_PATIENCE);
			renew(NULL);
		}
		ck_assert_int_ge(now_ms() - since, ms - 10);
		check_status(client, _i == 0 ? 503 : 408);
	}
	ck_assert_int_ge(n, 1);
}

/*
 * A limit that is raised, or lowered, counts for who has sent half a head, or
 * all of it, already.
 */
TEST(limits)
{
	static char head[60000];
	int s = backend_listen("s", 4), client[2], fds;

	start("ProxyPass /app fd://s payload=head\n");
	fds = world_fds();
	long_head(head, sizeof(head));
	client[0] = client_open();
	send_bytes(client[0], head, 5000);
	world_until_fds(fds + 1);
	renew("LimitRequestHead 65535\nLimitRequestFieldSize 65535\n"
	    "ProxyPass /app fd://s payload=head\n");
	send_text(client[0], head + 5000);
	close(backend_take_payload(s, buf, 65536));
	ck_assert_str_eq(buf, head);
	close(client[0]);
	renew("ProxyPass /app fd://t wait=1min\n");
	long_head(head, 600);
	client[0] = client_open();
	send_bytes(client[0], head, 500);
	client[1] = with(client_open(), head);
	world_until_fds(fds + 2);
	renew("LimitRequestHead 100\nProxyPass /app fd://t wait=1min\n");
	send_text(client[0], "x");
	check_status(client[0], 431);
	check_status(client[1], 431);
}

/* Other log files; one that cannot be opened changes nothing. */
TEST(logs)
{
	size_t a, x;

	start("ErrorLog a\nCustomLog x\nProxyPass /app fd://s\n");
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	until_file("a", "cannot connect to ");
	until_file("x", "\"GET /app HTTP/1.1\" 503");
	write_file("conf", "ErrorLog b\nCustomLog y\nLogLevel info\n" APP);
	world_signal(SIGHUP);
	until_file("b", RENEWED);
	a = strlen(read_file("a"));
	x = strlen(read_file("x"));
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	ck_assert_int_eq(status_of(exchange(NEW)), 404);
	until_file("b", "cannot connect to ");
	until_file("b", "info: 127.0.0.1:");
	until_file("y", "\"GET /app HTTP/1.1\" 503");
	write_file("conf", "ErrorLog c\nCustomLog none/z\n" ADDED);
	world_signal(SIGHUP);
	until_file("b", REFUSED);
	until_file("b", "none/z: No such file");
	ck_assert_int_eq(status_of(exchange(NEW)), 404);
	until_file("y", "\"GET /new HTTP/1.1\" 404");
	ck_assert_uint_eq(strlen(read_file("a")), a);
	ck_assert_uint_eq(strlen(read_file("x")), x);
	ck_assert_str_eq(read_file("c"), "");
	/* No access log, and messages where they were at the start. */
	renew(APP);
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	world_until_says("cannot connect to ", 1);
	ck_assert_ptr_null(strstr(strstr(read_file("y"), "/new"), "/app"));
	stop_changed();
}

/*
 * Many of them, good and bad, and a storm, while clients come, go and wait:
 * nothing is left behind, nobody is forgotten, and the last that was asked for
 * is the last that is done.
 */
TEST(storm)
{
	int s = backend_listen("s", 64), i, j, fds, half, line;
	char good[512];
	long end;

	write_file("f", "HTTP/1.1 200 OK\r\n\r\n");
	snprintf(good, sizeof(good), "ErrorLog stderr\nCustomLog x\n"
	    "PidFile p\nListen %s mode=0600\n" SLOW
	    "ProxyPass /none fd://none wait=1min header=\"A: b\"\n",
	    local("u"));
	start(good);
	fds = world_fds();
	half = with(client_open(), HALF);
	line = with(client_open(), "GET /none HTTP/1.0\r\n\r\n");
	world_until_fds(fds + 2);
	for (i = 0; i < 5; i++) {
		refused(SLOW "Not this\n");
		renew(good);
		world_until_fds(fds + 2);
	}
	for (i = 0; i < 100; i++) {
		for (j = 0; j < i % 20; j++)
			world_signal(j % 2 == 0 ? SIGHUP : SIGUSR2);
		if (i % 25 == 24)
			renew(NULL);
		check_served(client_open(), s, GET);
	}
	configure(format("%sProxyPass /new status:\n", good));
	world_signal(SIGSTOP);
	world_signal(SIGHUP);
	world_signal(SIGALRM);
	world_signal(SIGCONT);
	end = now_ms() + WORLD_PATIENCE;
	while (status_of(exchange(NEW)) != 200)
		ck_assert_int_lt(now_ms(), end);
	world_until_says("accepted ", 1);
	check_served(half, s, REST);
	world_until_fds(fds + 1);
	abandon(line);
}

/* Standard input has been read: what it said stays. */
TEST(standard_input)
{
	int s = backend_listen("s", 4), fd;

	write_file("conf", APP);
	fd = open("conf", O_RDONLY | O_CLOEXEC);
	world_inherit(fd, STDIN_FILENO);
	close(fd);
	world_proxy("-f", "-", NULL);
	check_served(client_open(), s, GET);
	refused(NULL);
	check_served(client_open(), s, GET);
}

/* A supervisor knows when it is busy; that it is ready is told once by -N. */
TEST(notifies)
{
	int fd = world_notified(), pair[2];
	long since;

	ck_assert_int_eq(pipe(pair), 0);
	fcntl(pair[0], F_SETFD, FD_CLOEXEC);
	world_inherit(pair[1], 6);
	write_file("conf", APP);
	world_proxy("-N", "6", "-f", "conf", NULL);
	ck_assert_str_eq(notice(fd), "READY=1");
	ck_assert(readable(pair[0], WORLD_PATIENCE));
	ck_assert_int_eq(read(pair[0], buf, sizeof(buf)), 1);
	since = now_ms();
	renew(NULL);
	check_reloading(fd, since);
	ck_assert_str_eq(notice(fd), "READY=1");
	since = now_ms();
	refused("Not this\n");
	check_reloading(fd, since);
	ck_assert_str_eq(notice(fd), "READY=1");
	ck_assert(!readable(pair[0], 0));
	world_stop("");
	ck_assert_str_eq(notice(fd), "STOPPING=1");
	ck_assert(!readable(fd, 0));
	close_all(pair, 2);
	close(fd);
}

/* What an ordinary user may not do is not done, and the old stays. */
TEST(privileges)
{
	int s = backend_listen("s", 4);
	struct sockaddr_in addr;
	char a[32];

	free_address(&addr, a);
	snprintf(strchr(a, ':'), 8, ":%d", 1 + (int)getpid() % 1000);
	start("User 65534\n" APP);
	check_served(client_open(), s, GET);
	if (atoi(read_file("/proc/sys/net/ipv4/ip_unprivileged_port_start")) >=
	    1024) {
		refused(format("User 65534\n" ADDED "Listen %s\n", a));
		ck_contains(world_errors(), ": Permission denied");
		check_served(client_open(), s, GET);
	}
	/* A file that is not for that user. */
	write_file("conf", "User 65534\n" ADDED);
	ck_assert_int_eq(chmod("conf", 0600), 0);
	refused(NULL);
	check_served(client_open(), s, GET);
	ck_assert_int_eq(chmod("conf", 0644), 0);
	renew(NULL);
	check_served(client_open(), s, NEW);
}

/* ---- what stays ---- */

/* systemd's sockets, descriptor 0, and those that have a name. */
TEST(inherited)
{
	static const int as[] = { 3, 0, 7 };
	int s = backend_listen("s", 4), t = backend_listen("t", 4), fd, i;
	struct sockaddr_in addr;

	fd = supervisor_listen(&addr);
	world_inherit(fd, as[_i]);
	close(fd);
	write_file("conf", APP);
	if (_i == 0) {
		world_environment("LISTEN_FDS", "1");
		world_environment("LISTEN_PID", "self");
	}
	world_spawn("-f", "conf", _i == 2 ? "-l" : NULL, "fd:7", NULL);
	check_served(client_at(&addr), s, GET);
	for (i = 0; i < 2; i++) {
		fd = client_at(&addr);
		renew(i == 0 ? "ProxyPass /app fd://t\n" : APP);
		check_served(fd, i == 0 ? t : s, GET);
		check_served(client_at(&addr), i == 0 ? t : s, GET);
	}
}

/* ---- old processes ---- */

/* The list of processes that fdproxy has started has a blank behind each. */
static void
until_children(int n)
{
	long end = now_ms() + WORLD_PATIENCE;
	const char *p;
	int got;

	do {
		p = read_file(format("/proc/%d/task/%d/children",
		    (int)world_pid(), (int)world_pid()));
		for (got = 0; *p != '\0'; p++)
			got += *p == ' ';
		ck_assert_msg(now_ms() < end, "%d are not %d", got, n);
	} while (got != n);
}

/* A client that has read the start of what it gets, and waits with the rest. */
static int
slow_client(void)
{
	int client = client_open_small();

	send_text(client, GET "body");
	read_exact(client, buf, 100);
	return client;
}

/* It reads the rest; its backend has it then, with what it had sent besides. */
static void
serve_slow(int client, int listener)
{
	size_t len = FILE_LEN - 100;
	int fd;

	read_exact(client, buf, len);
	ck_assert(buf[0] == 'x' && memcmp(buf, buf + 1, len - 1) == 0);
	fd = backend_take(listener);
	read_exact(fd, buf, 4);
	ck_assert_int_eq(memcmp(buf, "body", 4), 0);
	send_text(fd, "end");
	shutdown(fd, SHUT_WR);
	close(fd);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_str_eq(buf, "end");
	close(client);
}

/*
 * Its backend gets no message, and the client a reset.  Nothing more is read
 * before the connections are closed.
 */
static void
check_reset(int client, int listener)
{
	int conn = accept(listener, NULL, NULL);
	size_t len;

	ck_assert_int_eq(read(conn, buf, 1), 0);
	close(conn);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_RESET);
}

/*
 * Clients in the middle of their head get all of it, and the backend of their
 * time; the new configuration serves meanwhile.  -n and the ids of clients go
 * on, with what an old process hands off.
 */
TEST(flushing)
{
	int s = backend_listen("s", 16), t = backend_listen("t", 4), client;
	const char *log;

	large_flusher('x');
	write_file("conf", "CustomLog x json\nProxyPass /new fd://t\n" SLOW);
	world_proxy("-n", "5", "-f", "conf", NULL);
	check_served(client_open(), t, NEW);
	client = slow_client();
	large_flusher('y');
	renew("CustomLog x json\nProxyPass /new fd://t\n");
	check_served(client_open(), t, NEW);
	renew(NULL);
	check_served(client_open(), t, NEW);
	until_children(1);
	serve_slow(client, s);
	until_children(0);
	check_served(client_open(), t, NEW);
	ck_assert_int_eq(world_exit(), 0);
	log = read_file("x");
	ck_contains(log, "{\"id\":2,");
	ck_contains(log, "{\"id\":5,");
	ck_assert_ptr_null(strstr(log, "{\"id\":6,"));
}

/* A client that is about to have its answer gets it, and no reset. */
TEST(lingers)
{
	static char body[100000];
	int client, fds;
	size_t len;

	memset(body, 'x', sizeof(body));
	write_file("conf", APP);
	world_proxy("-f", "conf", "-l", local("front"), NULL);
	fds = world_fds();
	client = _i == 0 ? client_open() : client_unix("front");
	send_text(client, "POST /none HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 200000\r\n\r\n");
	send_bytes(client, body, sizeof(body));
	ck_assert(readable(client, WORLD_PATIENCE));
	world_until_fds(fds + 1);
	renew(NULL);
	send_bytes(client, body, sizeof(body));
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), 404);
	ck_contains(buf, "There is nothing at this path.\n");
	ck_assert_uint_lt(len, 400);
	close(client);
	until_children(0);
	/* It was no request once more. */
	world_signal(SIGALRM);
	world_until_says("accepted 0, passed 0, answered 0, resets 0, gone 0,",
	    1);
}

/*
 * An old process ends with the one that has its place: by SIGTERM once its
 * clients are served, or GracefulShutdownTimeout is over; at once if that is
 * killed.
 */
TEST(ends_with_us)
{
	int s = backend_listen("s", 4), client;

	large_flusher('x');
	start(_i == 1 ? "GracefulShutdownTimeout 1ms\n" SLOW : SLOW);
	client = slow_client();
	renew("GracefulShutdownTimeout 1min\n" SLOW);
	until_children(1);
	world_signal(_i == 2 ? SIGKILL : SIGTERM);
	if (_i == 0) {
		world_until_says("stopping", 1);
		/* Who is stopping is not renewed. */
		world_signal(SIGHUP);
		world_signal(SIGUSR2);
		signal_says(SIGALRM, "accepted ");
		serve_slow(client, s);
	} else {
		check_reset(client, s);
	}
	if (_i == 2)
		world_wait();
	else
		ck_assert_int_eq(world_exit(), 0);
	ck_assert_int_eq(world_says("renewed"), 1);
}

/* Eight of them; the client of a ninth is reset. */
TEST(eight)
{
	enum { N = 9 };
	int s = backend_listen("s", 16), client[N], i;

	large_flusher('x');
	start(SLOW);
	for (i = 0; i < N; i++) {
		client[i] = slow_client();
		renew(SLOW);
	}
	check_reset(client[0], s);
	until_children(N - 1);
	for (i = 1; i < N; i++)
		serve_slow(client[i], s);
	until_children(0);
	stop_changed();
	ck_assert_int_eq(world_says("the oldest one ends"), 1);
}

/*
 * What -T leaves is not begun anew.  With more time, if there was not one
 * renewal in it.
 */
TEST(time_runs_on)
{
	int seconds, n = 0;
	long since, end;

	write_file("conf", APP);
	for (seconds = 1; seconds <= 8 && n == 0; seconds *= 2) {
		since = now_ms();
		end = since + 1000 * seconds + WORLD_PATIENCE;
		world_spawn("-1", "-T", format("%d", seconds), "-l",
		    "127.0.0.1:0", "-f", "conf", NULL);
		until_file("out", "\n");
		while (world_says(OVER) == 0) {
			ck_assert_int_lt(now_ms(), end);
			world_signal(SIGHUP);
			poll(NULL, 0, 2);
		}
		ck_assert_int_eq(world_exit(), 1);
		ck_assert_int_ge(now_ms() - since, 1000 * seconds);
		n = world_says(RENEWED);
	}
	ck_assert_int_ge(n, 1);
}

/* ---- another program ---- */

/*
 * Clients with half a head, and clients that wait, are the new program's, and
 * are routed as it has it.
 */
TEST(takes_clients)
{
	enum { N = 100 };
	int client[N], line[N / 10], s = backend_listen("s", 4), t, i, fds;

	backend_listen("old", 4);
	write_file("conf", "ProxyPass /app fd://old\n"
	    "ProxyPass /wait fd://t wait=1min flusher=none\n");
	world_proxy("-f", "conf", "-l", local("front"), NULL);
	fds = world_fds();
	for (i = 0; i < N; i++)
		client[i] = with(i % 2 == 0 ? client_open() :
		    client_unix("front"), HALF);
	for (i = 0; i < N / 10; i++)
		line[i] = with(i % 2 == 0 ? client_open() :
		    client_unix("front"), "GET /wait HTTP/1.0\r\n\r\n");
	world_until_fds(fds + N + N / 10);
	renew(APP "ProxyPass /wait fd://t wait=1min flusher=none\n");
	for (i = 0; i < N; i++)
		check_served(client[i], s, REST);
	t = backend_listen("t", 64);
	for (i = 0; i < N / 10; i++)
		take_and_answer(t);
	for (i = 0; i < N / 10; i++)
		check_status(line[i], 200);
}

/*
 * Nobody is there for a while: clients of that time are served after it, also
 * those in the queue of a listener that is not configured any more.
 */
TEST(meanwhile)
{
	int s = backend_listen("s", 64), go, i, client[6];
	struct sockaddr_in goes;
	char a[32];

	free_address(&goes, a);
	use_copy();
	write_file("conf", format("ProxyPass /app fd://s flusher=none\n"
	    "Listen %s\n", a));
	world_proxy("-f", "conf", "-l", local("front"), NULL);
	i = world_fds();
	client[0] = with(client_open(), HALF);
	client[1] = with(client_unix("front"), HALF);
	world_until_fds(i + 2);
	write_file("conf", "ProxyPass /app fd://s flusher=none\n");
	stage();
	send_text(client[0], REST);
	send_text(client[1], REST);
	client[2] = with(client_open(), GET);
	client[3] = with(client_unix("front"), GET);
	client[4] = with(client_at(&goes), GET);
	client[5] = client_open();
	ck_assert(!readable(s, 20));
	go = let_go();
	for (i = 0; i < 5; i++)
		take_and_answer(s);
	send_text(client[5], GET);
	take_and_answer(s);
	for (i = 0; i < 6; i++)
		check_status(client[i], 200);
	ck_assert_int_eq(client_at(&goes), -1);
	close(go);
	stop_changed();
}

static const struct {
	int sig;
	const char *says;
} signals[] = {
	{ SIGHUP, RENEWED }, { SIGALRM, "accepted " },
	{ SIGTERM, "stopping" }, { SIGINT, "stopping" },
	{ SIGUSR1, RENEWED }, { SIGUSR2, RENEWED }
};

/* Signals of that time are not lost, and do not kill. */
TEST(signals_meanwhile)
{
	int s = backend_listen("s", 64), go;

	use_copy();
	start(APP);
	stage();
	world_signal(signals[_i].sig);
	go = let_go();
	/* One more renewal, by the program that has come. */
	world_until_says(signals[_i].says, signals[_i].sig == SIGUSR2 ||
	    signals[_i].sig == SIGHUP ? 2 : 1);
	close(go);
	if (signals[_i].sig == SIGTERM || signals[_i].sig == SIGINT)
		ck_assert_int_eq(world_exit(), 0);
	else
		check_served(client_open(), s, GET);
}

/* Nor is one that comes in the moment before it. */
TEST(signal_before)
{
	enum { N = 1000 };
	int fd = world_notified(), i, fds;

	start("GracefulShutdownTimeout 1ms\n" APP);
	ck_assert_str_eq(notice(fd), "READY=1");
	fds = world_fds();
	for (i = 0; i < N; i++)
		with(client_open(), HALF);
	world_until_fds(fds + N);
	world_signal(SIGUSR2);
	ck_assert(readable(fd, WORLD_PATIENCE));
	stop_changed();
	close(fd);
}

/*
 * The port that the system chose for port 0 is that of port 0 still, when the
 * one that goes is of the same host and has a lower descriptor.
 */
TEST(any_port)
{
	int s = backend_listen("s", 4);
	struct sockaddr_in stays, goes;
	char a[32];
	unsigned int port;

	free_address(&goes, a);
	write_file("conf", APP);
	world_proxy("-l", format("%.*s:0", (int)strcspn(a, ":"), a), "-f",
	    "conf", NULL);
	stays = goes;
	ck_assert_int_eq(sscanf(world_line(1), "%*[0-9.]:%u", &port), 1);
	stays.sin_port = htons((uint16_t)port);
	renew(format(APP "Listen %s\n", a));
	check_served(client_at(&goes), s, GET);
	check_served(client_at(&stays), s, GET);
	renew(APP);
	ck_assert_int_eq(client_at(&goes), -1);
	check_served(client_at(&stays), s, GET);
	check_served(client_open(), s, GET);
}

/*
 * The IPv4 half of "every address", with the port of the other half, is taken
 * for nothing else.
 */
TEST(any_port_of_every_address)
{
	int s = backend_listen("s", 4);

	start("ProxyPass /app fd://s\nListen 0\n");
	/* One of two gets a descriptor above that half's. */
	renew("ProxyPass /app fd://s\nListen 0.0.0.0:0\nListen 0.0.0.0:0\n"
	    "Listen 0\n");
	renew(NULL);
	check_served(client_open(), s, GET);
	renew("ProxyPass /app fd://s\nListen 0\n");
}

static const struct {
	const char *conf;
	const char *program;
	const char *says;
} obstacles[] = {
	{ "Not this\n", NULL, "-t exits with status 2" },
	{ NULL, "#!/bin/sh\nexit 3\n", "-t exits with status 3" },
	/* An older one, say: it only finds its configuration good. */
	{ NULL, "#!/bin/sh\nexit 0\n", "does not know how to go on" },
	{ NULL, "#!/bin/sh\nkill -9 $$\n", "-t ends by signal 9" },
	{ NULL, "#!/nowhere\n", "not renewed: " },
	{ NULL, "", "not renewed: " },
	/* Content, and gone. */
	{ NULL, "#!/bin/sh\nrm -f \"$0\"\nexit 10\n",
	    "cannot execute " },
	{ NULL, NULL, "cannot execute " },
	/* Root, but not allowed to become somebody else. */
	{ APP "User 65534\n", "#!/bin/sh\nexec setpriv "
	    "--bounding-set=-setuid,-setgid ./real \"$@\"\n",
	    "cannot become user 65534" }
};

/* Whatever stands in the way, the old program goes on, with its clients. */
TEST(no_upgrade)
{
	int s = backend_listen("s", 16), half[2], answered, fds;
	int fd = world_notified();
	struct stat file, now;
	char exe[32];

	use_copy();
	write_file("conf", APP);
	world_proxy("-f", "conf", "-l", local("front"), NULL);
	ck_assert_str_eq(notice(fd), "READY=1");
	fds = world_fds();
	half[0] = with(client_open(), HALF);
	half[1] = with(client_unix("front"), HALF);
	answered = with(client_open(), "GET /none HTTP/1.0\r\n\r\n");
	ck_assert(readable(answered, WORLD_PATIENCE));
	world_until_fds(fds + 3);
	if (obstacles[_i].conf != NULL)
		write_file("conf", obstacles[_i].conf);
	if (obstacles[_i].program != NULL)
		replace(obstacles[_i].program);
	else if (obstacles[_i].conf == NULL)
		ck_assert_int_eq(unlink("fdproxy"), 0);
	signal_says(SIGUSR2, "not renewed: ");
	ck_contains(world_errors(), obstacles[_i].says);
	/* What it had made ready for the other is not there any more: a trial
	   has the two listeners, and no client. */
	replace("#!/bin/sh\nls -l /proc/self/fd | grep -c socket: >fds\n"
	    "env >env\nexit 4\n");
	signal_says(SIGUSR2, "-t exits with status 4");
	ck_assert_str_eq(read_file("fds"), "2\n");
	ck_contains(read_file("env"), "\nFDPROXY_LEFT=");
	ck_assert_ptr_null(strstr(read_file("env"), "NOTIFY_SOCKET="));
	ck_assert_ptr_null(strstr(read_file("env"), "LISTEN_"));
	check_status(answered, 404);
	check_served(half[0], s, REST);
	check_served(half[1], s, REST);
	check_served(client_open(), s, GET);
	world_until_fds(fds);
	/* Once it can, it does, as the file that is there now. */
	snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)world_pid());
	ck_assert_int_eq(rename("real", "fdproxy"), 0);
	ck_assert_int_eq(stat("fdproxy", &file), 0);
	ck_assert_int_eq(stat(exe, &now), 0);
	ck_assert_uint_ne(now.st_ino, file.st_ino);
	renew(ADDED);
	ck_assert_int_eq(stat(exe, &now), 0);
	ck_assert_uint_eq(now.st_ino, file.st_ino);
	check_served(client_open(), s, NEW);
	world_stop("");
	/* Its supervisor was never left in the belief that it is busy. */
	while (strncmp(notice(fd), "RELOADING=1", 11) == 0)
		ck_assert_str_eq(notice(fd), "READY=1");
	close(fd);
}

/* A signal that comes during a trial is remembered: one more renewal. */
TEST(remembered)
{
	int s = backend_listen("s", 16), go;

	use_copy();
	start(APP);
	ck_assert_int_eq(mkfifo("go", 0600), 0);
	replace("#!/bin/sh\n"
	    "test -p go && echo staged >&2 && read -r line <go && rm go\n"
	    "exec ./real \"$@\"\n");
	signal_says(SIGUSR2, "staged");
	check_served(client_open(), s, GET);
	write_file("conf", ADDED);
	world_signal(SIGHUP);
	world_signal(SIGHUP);
	check_served(client_open(), s, GET);
	if (_i == 0) {
		go = let_go();
		world_until_says(RENEWED, 2);
		check_served(client_open(), s, NEW);
		close(go);
		world_stop("");
		ck_assert_int_eq(world_says(RENEWED), 2);
	} else {
		/* The trial is not waited for at the end, nor left behind:
		   nobody would open this for reading. */
		stop_changed();
		do {
			go = open("go", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
			if (go != -1)
				close(go);
		} while (go != -1);
		ck_assert_int_eq(errno, ENXIO);
	}
}

/* The lock of a pid file, and what is in it. */
static void
check_pid_file(const char *name)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(name, O_RDWR);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(fcntl(fd, F_GETLK, &lock), 0);
	close(fd);
	ck_assert_int_eq(lock.l_type, F_WRLCK);
	ck_assert_int_eq(lock.l_pid, world_pid());
	ck_assert_int_eq(atoi(read_file(name)), world_pid());
}

/* Also of an ordinary user, whose file it is not. */
TEST(pid_file)
{
	int s = backend_listen("s", 4);

	start(_i == 0 ? "PidFile p\n" APP : "PidFile p\nUser 65534\n" APP);
	check_pid_file("p");
	renew(NULL);
	check_served(client_open(), s, GET);
	check_pid_file("p");
	if (_i == 0) {
		/* Another one: the old one holds no process id any more. */
		renew("PidFile q\n" APP);
		check_pid_file("q");
		ck_assert_str_eq(read_file("p"), "");
		/* One that cannot be had leaves that of before. */
		renew("PidFile none/p\n" APP);
		world_until_says("cannot open ", 1);
		check_pid_file("q");
		renew(APP);
		ck_assert_str_eq(read_file("q"), "");
		stop_changed();
	} else {
		world_stop("");
		ck_assert_str_eq(read_file("p"), "");
	}
}

/*
 * With User, and logs in a folder of that user's: opened anew, so that a file
 * may have been renamed; in root's folder lines go on to the file of before.
 */
/*
 * A socket whose file somebody has removed, or taken, is opened anew, unless
 * another listens there.
 */
TEST(lost_file)
{
	int s = backend_listen("s", 4), fd;

	write_file("conf", APP);
	world_proxy("-f", "conf", "-l", format("unix:%s/front", world_dir()),
	    NULL);
	check_served(client_unix("front"), s, GET);
	ck_assert_int_eq(unlink("front"), 0);
	if (_i == 1) {
		fd = backend_listen("front", 4);
		refused(NULL);
		world_until_says("cannot listen on ", 1);
		close(fd);
		renew(NULL);
	} else {
		signal_says(_i == 0 ? SIGHUP : SIGUSR2, RENEWED);
	}
	check_served(client_unix("front"), s, GET);
	stop_changed();
	ck_assert_int_eq(access("front", F_OK), -1);
}

static const char *const worse[] = {
	"Not this", "User no.such.user\n" APP, "Listen fd:99\n" APP
};

/* Between the trial and what follows it, the configuration becomes that one. */
static void
turn_to(const char *text)
{
	/* Other commands than the shell's own let signals come. */
	replace(format("#!/bin/sh\n"
	    "test \"$1\" = -t || test -e once || echo '%s' >conf\n"
	    "test \"$1\" = -t || : >once\n"
	    "exec ./real \"$@\"\n", text));
}

/* Nor is a socket as descriptor 0 lost when the configuration is read again,
   for whatever reason. */
TEST(turns_bad_inherited)
{
	int s = backend_listen("s", 16), fd;
	struct sockaddr_in addr;

	use_copy();
	fd = supervisor_listen(&addr);
	world_inherit(fd, STDIN_FILENO);
	close(fd);
	write_file("conf", APP);
	world_spawn("-f", "conf", NULL);
	check_served(client_at(&addr), s, GET);
	turn_to(worse[_i]);
	signal_says(SIGHUP, "read again until it is good");
	configure(APP);
	world_until_says(RENEWED, 1);
	check_served(client_at(&addr), s, GET);
	stop_changed();
}

/* What was given as a descriptor is the same one, whatever the number is by
   now: standard output is closed once the addresses are printed. */
TEST(log_of_descriptor)
{
	int s = backend_listen("s", 4);

	write_file("conf", "CustomLog fd:1\n" APP);
	world_spawn("-1", "-f", "conf", "-l", format("unix:%s/front",
	    world_dir()), NULL);
	check_served(client_unix("front"), s, GET);
	until_file("out", "GET /app");
	renew(NULL);
	check_served(client_unix("front"), s, "GET /app/2 HTTP/1.1\r\n"
	    "Host: x\r\n\r\n");
	until_file("out", "GET /app/2");
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
}

/* No number is a log's that is a client's, or anything else of ours. */
TEST(log_of_a_client)
{
	int client, i, fds;

	start("ProxyPass /app fd://s wait=60s\n");
	fds = world_fds();
	client = client_open();
	send_text(client, GET);
	world_until_fds(fds + 1);
	for (i = 3; i < 12; i++) {
		refused(format("ProxyPass /app fd://s wait=60s\n"
		    "CustomLog fd:%d\n", i));
		world_until_says("cannot open fd:", i - 2);
	}
	ck_assert(!readable(client, 0));
	world_signal(SIGTERM);
	world_until_says("stopping; ", 1);
	stop_changed();
}

TEST(logs_of_user)
{
	int s = backend_listen("s", 4);

	ck_assert_int_eq(mkdir("logs", 0755), 0);
	if (_i == 0) {
		ck_assert_int_eq(chown("logs", 65534, 65534), 0);
	} else {
		write_file("logs/e", "");
		write_file("logs/x", "");
		ck_assert_int_eq(chown("logs/e", 65534, 65534), 0);
		ck_assert_int_eq(chown("logs/x", 65534, 65534), 0);
	}
	start("User 65534\nErrorLog logs/e\nCustomLog logs/x\n" APP);
	check_served(client_open(), s, GET);
	until_file("logs/x", "GET /app");
	ck_assert_int_eq(rename("logs/x", "logs/x.1"), 0);
	world_signal(SIGHUP);
	until_file("logs/e", RENEWED);
	check_served(client_open(), s, "GET /app/2 HTTP/1.1\r\n"
	    "Host: x\r\n\r\n");
	if (_i == 0) {
		until_file("logs/x", "GET /app/2");
	} else {
		until_file("logs/e", "it stays open as it was");
		until_file("logs/x.1", "GET /app/2");
	}
}

/* In a root of its own there is no program to go on as. */
TEST(in_root)
{
	int s = backend_listen("s", 4);

	world_environment("ASAN_OPTIONS", "detect_leaks=0");
	world_proxy("-c", format("ChrootDir %s", world_dir()), "-c",
	    "ProxyPass /app fd:///s", NULL);
	signal_says(SIGUSR2, "not renewed: within ChrootDir");
	check_served(client_open(), s, GET);
}

/*
 * An address is tried before it is listened on: whoever connects to it as soon
 * as that can be done is served.
 */
TEST(new_address)
{
	int s = backend_listen("s", 16), client, i;
	long end = now_ms() + WORLD_PATIENCE;
	struct sockaddr_in addr;
	char a[32];

	start(APP);
	for (i = 0; i < 5; i++) {
		free_address(&addr, a);
		configure(format(APP "Listen %s\n", a));
		world_signal(SIGHUP);
		while ((client = client_at(&addr)) == -1)
			ck_assert_int_lt(now_ms(), end);
		check_served(client, s, GET);
	}
	stop_changed();
}

/* Messages are not waited for, before all else is ready either. */
TEST(full_log)
{
	static const char junk[4096];
	long end = now_ms() + WORLD_PATIENCE;
	int pair[2];

	ck_assert_int_eq(pipe(pair), 0);
	fcntl(pair[0], F_SETFD, FD_CLOEXEC);
	world_inherit(pair[1], 9);
	start("ErrorLog fd:9\n" APP);
	fcntl(pair[1], F_SETFL, O_NONBLOCK);
	while (write(pair[1], junk, sizeof(junk)) > 0 ||
	    write(pair[1], junk, 1) > 0)
		;
	fcntl(pair[1], F_SETFL, 0);
	/* With a warning: the second one is never reached. */
	configure("ErrorLog fd:9\nProxyPass /r ready:\n"
	    "ProxyPass /r/x ready:\n");
	world_signal(SIGHUP);
	while (status_of(exchange("GET /r HTTP/1.0\r\n\r\n")) == 404)
		ck_assert_int_lt(now_ms(), end);
	close(pair[0]);
	close(pair[1]);
}

/* The trial starts with the limit that we had ourselves. */
TEST(limit_of_trial)
{
	struct rlimit ours, less;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &ours), 0);
	less = ours;
	less.rlim_cur = 500;
	use_copy();
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &less), 0);
	start(APP);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &ours), 0);
	replace("#!/bin/sh\n"
	    "test \"$1\" != -t || ulimit -Sn >limit\n"
	    "exec ./real \"$@\"\n");
	renew(NULL);
	ck_assert_str_eq(read_file("limit"), "500\n");
}

/*
 * A configuration that turns bad behind its trial is read again until it is
 * good: clients that come meanwhile wait, and are served.
 */
TEST(turns_bad)
{
	int s = backend_listen("s", 16), half, new;

	use_copy();
	start(format(APP "Listen %s\n", local("front")));
	half = client_open();
	send_text(half, HALF);
	turn_to(worse[_i % 2]);
	signal_says(SIGHUP, "read again until it is good");
	new = client_open();
	send_text(new, NEW);
	if (_i > 1) {
		world_signal(SIGTERM);
		ck_assert_int_eq(world_exit(), 0);
		ck_assert_int_eq(access("front", F_OK), -1);
		return;
	}
	configure(format("ProxyPass /new fd://s\nProxyPass /app fd://s\n"
	    "Listen %s\n", local("front")));
	world_until_says(RENEWED, 1);
	check_served(new, s, "");
	check_served(half, s, REST);
}

/* A client that is left keeps its number: its story is one. */
TEST(one_story)
{
	int s = backend_listen("s", 16), client, fds;
	const char *log;

	start("CustomLog x json\n" APP);
	fds = world_fds();
	client = client_open();
	send_text(client, HALF);
	world_until_fds(fds + 1);
	renew(NULL);
	renew(NULL);
	check_served(client, s, REST);
	check_served(client_open(), s, GET);
	until_file("x", "{\"id\":2,\"ms\":0,\"event\":\"accepted\"");
	log = read_file("x");
	log = strstr(log, "\"event\":\"accepted\"");
	ck_assert_ptr_nonnull(log);
	/* The second one is the second client's. */
	log = strstr(log + 1, "\"event\":\"accepted\"");
	ck_assert_ptr_nonnull(log);
	ck_assert_ptr_null(strstr(log + 1, "\"event\":\"accepted\""));
	ck_assert_ptr_nonnull(strstr(read_file("x"), "{\"id\":1,"));
	ck_assert_ptr_null(strstr(read_file("x"), "{\"id\":3,"));
	ck_assert_ptr_null(strstr(read_file("x"), "{\"id\":0,"));
}

/* An old process that does not end is killed when the third signal comes. */
TEST(stopped_child)
{
	pid_t old;
	int i;

	backend_listen("s", 4);
	large_flusher('x');
	start(SLOW);
	slow_client();
	renew(NULL);
	until_children(1);
	old = (pid_t)atol(read_file(format("/proc/%d/task/%d/children",
	    (int)world_pid(), (int)world_pid())));
	ck_assert_int_eq(kill(old, SIGSTOP), 0);
	for (i = 0; i < 2; i++) {
		world_signal(SIGTERM);
		world_signal(SIGALRM);
		if (i == 0)
			world_until_says("stopping", 1);
		world_until_says("accepted ", i + 1);
	}
	/* The last one ends it, at once. */
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
}

/* A supervisor's socket that the user cannot reach any more is heard still. */
TEST(supervisor_out_of_reach)
{
	int fd;

	fd = world_notified();
	start("User 65534\n" APP);
	ck_assert_str_eq(notice(fd), "READY=1");
	ck_assert_int_eq(chmod("notify", 0700), 0);
	renew(NULL);
	ck_assert_int_eq(strncmp(notice(fd), "RELOADING=1\n", 12), 0);
	ck_assert_str_eq(notice(fd), "READY=1");
	close(fd);
}

/* What is meant for another process is not taken, nor what we do not know. */
TEST(not_ours)
{
	int s = backend_listen("s", 4);

	world_environment("FDPROXY_LEFT", _i == 0 ? "1\nl 3 0\nc 4 0 0\n" :
	    _i == 1 ? "trial" : "self");
	if (_i == 2) {
		world_spawn("-t", "-l", "0", NULL);
		ck_assert_int_eq(world_exit(), 1);
		ck_contains(world_errors(), "cannot go on where another");
		return;
	}
	world_proxy("-r", "/app=s", NULL);
	check_served(client_open(), s, GET);
	world_stop(NULL);
}

/* A signal that came while a trial failed is for the next one. */
TEST(remembered_after_failure)
{
	int go;

	use_copy();
	start(APP);
	ck_assert_int_eq(mkfifo("go", 0600), 0);
	replace("#!/bin/sh\n"
	    "if test -p go; then\n"
	    "echo staged >&2; read -r line <go; rm go; exit 1\n"
	    "fi\n"
	    "exec ./real \"$@\"\n");
	signal_says(SIGUSR2, "staged");
	world_signal(SIGHUP);
	world_signal(SIGALRM);
	world_until_says("accepted ", 1);
	go = let_go();
	world_until_says(RENEWED, 1);
	ck_assert_int_eq(world_says(REFUSED), 1);
	close(go);
}

/* A trial may have something to say of which nobody takes notice. */
TEST(reader_is_gone)
{
	long end = now_ms() + WORLD_PATIENCE;
	int pair[2];

	ck_assert_int_eq(pipe(pair), 0);
	fcntl(pair[0], F_SETFD, FD_CLOEXEC);
	fcntl(pair[1], F_SETFD, FD_CLOEXEC);
	world_inherit(pair[1], 7);
	signal(SIGPIPE, SIG_DFL);
	start("ErrorLog fd:7\nMaxConnections 1000000\n" APP);
	signal(SIGPIPE, SIG_IGN);
	close_all(pair, 2);
	configure("ErrorLog fd:7\nMaxConnections 1000000\n"
	    "ProxyPass /new status:\n");
	world_signal(SIGHUP);
	while (status_of(exchange(NEW)) != 200)
		ck_assert_int_lt(now_ms(), end);
}

/*
 * More clients than there is room for in the list of what is left: the others
 * stay with the process that has them, and are served by that.
 */
#define MANY	6500

TEST(more_than_fit)
{
	static int client[MANY];
	int s = backend_listen("s", 16), fds, i;

	start(APP "MaxConnections 7000\n");
	fds = world_fds();
	for (i = 0; i < MANY; i++)
		client[i] = with(client_open(), HALF);
	world_until_fds(fds + MANY);
	renew(NULL);
	until_children(1);
	check_served(client[0], s, REST);
	check_served(client[MANY - 1], s, REST);
	for (i = 1; i < MANY - 1; i++)
		abandon(client[i]);
	until_children(0);
	world_until_fds(fds);
}

/* Descriptors for so many, here and in fdproxy. */
static bool
has_room(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return false;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur >= 2 * 7000 + 100;
}

int
main(int argc, char **argv)
{
	int root = geteuid() == 0;
	/* Byte by byte, nobody writes so much that a client could be slow, and
	   a local socket has no room for an answer. */
	int quick = !world_torture();
	const struct test tests[] = {
		ONCE(routes),
		TIMES(broken, COUNT(mistakes)),
		ONCE(listeners),
		TIMES(cannot_follow, COUNT(unopened)),
		ONCE(backlog),
		TIMES(in_line, COUNT(queues)),
		TIMES(in_line_for_nothing, COUNT(endings)),
		TIMES(time_goes_on, COUNT(times)),
		ONCE(limits),
		ONCE(logs),
		ONCE(storm),
		ONCE(standard_input),
		ONCE(notifies),
		TIMES(privileges, root),
		TIMES(inherited, 3),
		TIMES(lost_file, 3),
		TIMES(turns_bad_inherited, COUNT(worse)),
		ONCE(log_of_descriptor),
		ONCE(log_of_a_client),
		TIMES(flushing, quick),
		TIMES(lingers, 1 + quick),
		TIMES(ends_with_us, 3 * quick),
		TIMES(eight, quick),
		ONCE(time_runs_on),
		ONCE(takes_clients),
		TIMES(more_than_fit, has_room()),
		ONCE(remembered_after_failure),
		ONCE(reader_is_gone),
		ONCE(meanwhile),
		TIMES(signals_meanwhile, COUNT(signals)),
		ONCE(signal_before),
		ONCE(any_port),
		ONCE(any_port_of_every_address),
		TIMES(no_upgrade, COUNT(obstacles) - !root),
		TIMES(remembered, 2),
		TIMES(pid_file, 1 + root),
		TIMES(logs_of_user, 2 * root),
		TIMES(in_root, root),
		ONCE(new_address),
		ONCE(full_log),
		ONCE(limit_of_trial),
		TIMES(turns_bad, 4),
		ONCE(one_story),
		TIMES(stopped_child, quick),
		TIMES(supervisor_out_of_reach, root),
		TIMES(not_ours, 3)
	};

	return runner_run(argc, argv, tests, COUNT(tests), begin, world_end);
}
