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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "world.h"

#define GET	"GET /app HTTP/1.1\r\nHost: x\r\n\r\n"
#define NEW	"GET /new HTTP/1.1\r\nHost: x\r\n\r\n"
#define HALF	"GET /app HTTP/1.1\r\nHo"
#define REST	"st: x\r\n\r\n"

#define RENEWED		"has been read again"
#define REFUSED		"the configuration stays as it was"

/* More than any send buffer takes. */
#define FILE_MAX	((size_t)8 * 1024 * 1024)
#define FILE_LEN	(world_torture() ? (size_t)60000 : FILE_MAX)

static char buf[FILE_MAX + 1024];

/* ---- helpers ---- */

/* Send a signal; what comes of it is said once more. */
static void
signal_says(int sig, const char *text)
{
	int n = world_says(text);

	world_signal(sig);
	world_until_says(text, n + 1);
}

static void
reload(const char *conf)
{
	write_file("conf", conf);
	signal_says(SIGHUP, RENEWED);
}

static void
refused(const char *conf)
{
	write_file("conf", conf);
	signal_says(SIGHUP, REFUSED);
}

static void
upgrade(void)
{
	signal_says(SIGUSR2, RENEWED);
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

/* An address that is free: the host is ours alone. */
static void
free_address(struct sockaddr_in *addr, char text[32])
{
	uint32_t host = 0x7f000000u | ((uint32_t)getpid() & 0xffffff);
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	memset(addr, 0, sizeof(*addr));
	addr->sin_family = AF_INET;
	addr->sin_addr.s_addr = htonl(host);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)addr, len), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)addr, &len), 0);
	close(fd);
	snprintf(text, 32, "127.%u.%u.%u:%u", host >> 16 & 255,
	    host >> 8 & 255, host & 255, ntohs(addr->sin_port));
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

/* A listening socket of a supervisor's. */
static int
supervisor_listen(struct sockaddr_in *addr)
{
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(addr, 0, sizeof(*addr));
	addr->sin_family = AF_INET;
	addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)addr, len), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)addr, &len), 0);
	return fd;
}

/* A supervisor that is notified. */
static int
notified(void)
{
	static char path[108];
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(path, sizeof(path), "%s/notify", world_dir());
	strcpy(addr.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(chmod(path, 0777), 0);
	world_environment("NOTIFY_SOCKET", path);
	return fd;
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
	static char text[2][128];
	static int i;

	i = !i;
	snprintf(text[i], sizeof(text[i]), "unix:%s/%s", world_dir(), name);
	return text[i];
}

static void
large_flusher(const char *name, char fill)
{
	memset(buf, fill, FILE_LEN);
	memcpy(buf, "HTTP/1.1 200 OK\r\n\r\n", 19);
	buf[FILE_LEN] = '\0';
	write_file(name, buf);
}

/* The first bytes of it have been read; those that follow are such. */
static void
large_rest(int client, size_t from, char fill)
{
	size_t i, n = FILE_LEN - from;

	read_exact(client, buf, n);
	for (i = 0; i < n && buf[i] == fill; i++)
		;
	ck_assert_uint_eq(i, n);
}

/* ---- another configuration ---- */

/*
 * A new route is served, an old one gone, and all of it can be repeated; by
 * either signal.
 */
START_TEST(routes)
{
	int s = backend_listen("s", 4), t = backend_listen("t", 4), i;

	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-f", "conf", NULL);
	for (i = 0; i < 3; i++) {
		check_served(client_open(), s, GET);
		ck_assert_int_eq(status_of(exchange(NEW)), 404);
		reload("ProxyPass /new fd://t\n");
		check_served(client_open(), t, NEW);
		ck_assert_int_eq(status_of(exchange(GET)), 404);
		write_file("conf", "ProxyPass /app fd://s\n");
		upgrade();
	}
	close(s);
	close(t);
	world_stop("");
}
END_TEST

/* What is wrong is named, and changes nothing. */
START_TEST(broken)
{
	int s = backend_listen("s", 4);
	static const struct {
		const char *conf;
		const char *says;
	} cases[] = {
		{ "ProxyPass /new fd://s\nLisen 80\n",
		    "error: conf:2: unknown directive" },
		{ "ProxyPass /new fd://s flusher=file:none\n",
		    "error: conf:1: ProxyPass: the flusher's file" },
		{ "ProxyPass /new fd://s\nInclude none\n",
		    "error: conf:2: cannot read" },
		{ "ProxyPass /new fd://s\nErrorLog none/log\n",
		    "error: cannot open " },
		{ "ProxyPass /new fd://s\nCustomLog none/log\n",
		    "error: cannot open " },
		{ "ProxyPass /new fd://s\nListen unix:/none/u\n",
		    "error: cannot listen on unix:/none/u" }
	};

	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-f", "conf", NULL);
	refused(cases[_i].conf);
	ck_contains(world_errors(), cases[_i].says);
	check_served(client_open(), s, GET);
	ck_assert_int_eq(status_of(exchange(NEW)), 404);
	ck_assert_int_eq(unlink("conf"), 0);
	signal_says(SIGHUP, REFUSED);
	ck_contains(world_errors(), "error: -f: cannot read conf");
	check_served(client_open(), s, GET);
	ck_assert_int_eq(world_says(RENEWED), 0);
	reload("ProxyPass /new fd://s\n");
	check_served(client_open(), s, NEW);
	close(s);
	world_stop("");
}
END_TEST

/*
 * Listeners that stay do so with the connections that they hold; new ones are
 * open, and the others closed.
 */
START_TEST(listeners)
{
	struct sockaddr_in stays, goes, comes;
	char a[32], b[32], c[32], text[1024];
	int s = backend_listen("s", 4), held[3];

	free_address(&stays, a);
	free_address(&goes, b);
	free_address(&comes, c);
	snprintf(text, sizeof(text), "ProxyPass /app fd://s\nListen %s\n"
	    "Listen %s\nListen %s\nListen %s\n", b, a, local("u1"),
	    local("u2"));
	write_file("conf", text);
	world_proxy("-f", "conf", NULL);
	/* These have said nothing: they are the system's, or fdproxy's. */
	held[0] = client_open();
	held[1] = client_at(&stays);
	held[2] = client_unix("u2");
	check_served(client_unix("u1"), s, GET);
	check_served(client_at(&goes), s, GET);
	ck_assert_int_eq(client_at(&comes), -1);

	snprintf(text, sizeof(text), "ProxyPass /app fd://s\nListen %s\n"
	    "Listen %s\nListen %s\nListen %s\n", local("u3"), local("u2"), a,
	    c);
	reload(text);
	check_served(held[0], s, GET);
	check_served(held[1], s, GET);
	check_served(held[2], s, GET);
	check_served(client_open(), s, GET);
	check_served(client_at(&stays), s, GET);
	check_served(client_at(&comes), s, GET);
	check_served(client_unix("u2"), s, GET);
	check_served(client_unix("u3"), s, GET);
	ck_assert_int_eq(client_at(&goes), -1);
	ck_assert_int_eq(access("u1", F_OK), -1);
	ck_assert_int_eq(access("u2", F_OK), 0);
	close(s);
	world_stop("");
	ck_assert_int_eq(access("u2", F_OK), -1);
	ck_assert_int_eq(access("u3", F_OK), -1);
}
END_TEST

/* One address is in use: those that could be opened are closed again. */
START_TEST(listener_in_use)
{
	int s = backend_listen("s", 4), used, held;
	struct sockaddr_in addr, taken;
	char a[32], text[1024];

	free_address(&addr, a);
	used = supervisor_listen(&taken);
	snprintf(text, sizeof(text), "ProxyPass /app fd://s\nListen %s\n",
	    local("stays"));
	write_file("conf", text);
	world_proxy("-f", "conf", NULL);
	held = client_open();
	snprintf(text, sizeof(text), "ProxyPass /new fd://s\nListen %s\n"
	    "Listen %s\nListen 127.0.0.1:%u\n", local("u"), a,
	    ntohs(taken.sin_port));
	refused(text);
	ck_contains(world_errors(), "error: cannot listen on 127.0.0.1:");
	ck_assert_int_eq(client_at(&addr), -1);
	ck_assert_int_eq(access("u", F_OK), -1);
	check_served(held, s, GET);
	check_served(client_unix("stays"), s, GET);
	close(used);
	reload(text);
	check_served(client_at(&addr), s, NEW);
	check_served(client_unix("u"), s, NEW);
	ck_assert_int_eq(access("stays", F_OK), -1);
	close(s);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
}
END_TEST

/* More connections than are accepted in one turn, at that moment: all are
   served, by the one or the other. */
START_TEST(backlog)
{
	enum { N = 200 };
	int s = backend_listen("s", 256), t = backend_listen("t", 256);
	long end = now_ms() + WORLD_PATIENCE;
	int client[N], i, fd;

	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-f", "conf", NULL);
	world_signal(SIGSTOP);
	for (i = 0; i < N; i++) {
		client[i] = client_open();
		send_text(client[i], GET);
	}
	write_file("conf", "ProxyPass /app fd://t\n");
	world_signal(SIGHUP);
	world_signal(SIGCONT);
	world_until_says(RENEWED, 1);
	for (i = 0; i < N; i++) {
		while (!readable(s, 0) && !readable(t, 2))
			ck_assert_int_lt(now_ms(), end);
		fd = backend_take(readable(s, 0) ? s : t);
		shutdown(fd, SHUT_WR);
		close(fd);
	}
	for (i = 0; i < N; i++)
		check_status(client[i], 200);
	close(s);
	close(t);
	world_stop("");
}
END_TEST

/* Who has sent half a head is routed by what is in force when it is whole. */
START_TEST(half_head)
{
	int s = backend_listen("s", 4), t = backend_listen("t", 4);
	int client, fds;

	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-f", "conf", "-l", local("front"), NULL);
	fds = world_fds();
	client = _i == 0 ? client_open() : client_unix("front");
	send_text(client, HALF);
	world_until_fds(fds + 1);
	reload("ProxyPass /app fd://t\n");
	check_served(client, t, REST);
	close(s);
	close(t);
	world_stop("");
}
END_TEST

/* n clients that wait, in order, for a backend. */
static void
wait_in_line(int *client, int n)
{
	int fds = world_fds(), i;
	char text[64];

	for (i = 0; i < n; i++) {
		client[i] = client_open();
		snprintf(text, sizeof(text), "GET /app/%d HTTP/1.0\r\n\r\n", i);
		send_text(client[i], text);
		world_until_fds(fds + i + 1);
	}
}

/* They are handed off in that order. */
static void
check_in_line(int listener, int *client, int n)
{
	char text[64], got[64];
	int i, fd;

	for (i = 0; i < n; i++) {
		fd = backend_take(listener);
		snprintf(text, sizeof(text), "GET /app/%d HTTP/1.0\r\n\r\n", i);
		read_exact(fd, got, strlen(text));
		ck_assert_int_eq(memcmp(got, text, strlen(text)), 0);
		close(fd);
		close(client[i]);
	}
}

/*
 * Who waits for a backend goes to another one, that is there, or will be; the
 * order stays.
 */
START_TEST(rerouted)
{
	enum { N = 8 };
	int client[N], t = -1;

	if (_i == 0)
		t = backend_listen("t", 64);
	write_file("conf", "ProxyPass /x fd://s wait=1min\n"
	    "ProxyPass /app fd://s wait=1min flusher=none\n");
	world_proxy("-f", "conf", NULL);
	wait_in_line(client, N);
	if (_i == 2)
		reload("# the same place, under another number\n"
		    "ProxyPass /a fd://a\n"
		    "ProxyPass /app fd://t wait=1min flusher=none\n"
		    "ProxyPass /z fd://z\n");
	else
		reload("ProxyPass /app fd://t wait=1min flusher=none\n");
	if (_i == 2)
		reload("ProxyPass /app fd://t wait=1min flusher=none\n");
	if (_i != 0)
		t = backend_listen("t", 64);
	check_in_line(t, client, N);
	close(t);
	world_stop("");
}
END_TEST

/* Their route is gone, or excluded, or is answered here, or is not waited. */
START_TEST(rerouted_nowhere)
{
	enum { N = 4 };
	static const struct {
		const char *conf;
		int status;
	} cases[] = {
		{ "ProxyPass /new fd://s\n", 404 },
		{ "ProxyPass /app !\n", 404 },
		{ "ProxyPass /app status:\n", 200 },
		{ "ProxyPass /app fd://s\n", 503 },
		{ "ProxyPass /app fd://conf wait=1min\n", 500 },
		{ "ProxyPass /app fd://./\n", 404 }
	};
	int client[N], i;

	write_file("conf", "ProxyPass /app fd://s wait=1min\n");
	world_proxy("-f", "conf", NULL);
	wait_in_line(client, N);
	reload(cases[_i].conf);
	for (i = 0; i < N; i++)
		check_status(client[i], cases[_i].status);
	world_stop("");
}
END_TEST

/* Refused before it is routed anew: the route that it had is not looked up. */
START_TEST(rerouted_refused)
{
	int client, i;
	char text[4096];
	size_t n = 0;

	for (i = 0; i < 40; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "ProxyPass /%d fd://none\n", i);
	snprintf(text + n, sizeof(text) - n, "ProxyPass /app fd://s wait=1min"
	    "\nCustomLog x\n");
	write_file("conf", text);
	world_proxy("-f", "conf", NULL);
	wait_in_line(&client, 1);
	reload("ProxyPass /new fd://s\nLimitRequestLine 16\nCustomLog x\n");
	check_status(client, 414);
	world_stop("");
	ck_contains(read_file("x"), " 414 30 route=\"-\" ");
}
END_TEST

/*
 * An unchanged route: they wait on, in order, in their own time, which a
 * reload does not begin again; and who leaves is noticed.
 */
START_TEST(waits_on)
{
	enum { N = 8 };
	static const char *const confs[] = {
		"ProxyPass /app fd://s wait=1min flusher=none\n",
		/* Another number for the socket; one in a folder. */
		"ProxyPass /a fd://a\nProxyPass /z fd://z\n"
		    "ProxyPass /app fd://s wait=1min flusher=none\n"
	};
	int client[N + 1], s, i, fds;

	write_file("conf", confs[0]);
	world_proxy("-f", "conf", NULL);
	fds = world_fds();
	wait_in_line(client, N + 1);
	for (i = 0; i < 4; i++) {
		reload(confs[!(i % 2)]);
		ck_assert(!readable(client[0], 20));
	}
	abandon(client[N]);
	world_until_fds(fds + N);
	s = backend_listen("s", 64);
	check_in_line(s, client, N);
	close(s);
	world_stop("");
}
END_TEST

/* A wait, and the time for a head, go on as they began. */
START_TEST(time_goes_on)
{
	static const char *const conf[] = {
		"ProxyPass /app fd://s wait=400ms\n",
		"RequestReadTimeout header=400ms\nProxyPass /app fd://s\n"
	};
	long begin;
	int client;

	write_file("conf", conf[_i]);
	world_proxy("-f", "conf", NULL);
	begin = now_ms();
	client = client_open();
	send_text(client, _i == 0 ? GET : HALF);
	while (!readable(client, 0)) {
		ck_assert_int_lt(now_ms() - begin, WORLD_PATIENCE);
		reload(conf[_i]);
	}
	ck_assert_int_ge(now_ms() - begin, 390);
	ck_assert_int_ge(world_says(RENEWED), 1);
	check_status(client, _i == 0 ? 503 : 408);
	world_stop("");
}
END_TEST

/* A limit that is lowered counts for who has sent more than that already. */
START_TEST(lower_limit)
{
	char head[600];
	int client, fds;

	memset(head, 'x', sizeof(head));
	memcpy(head, "GET /app HTTP/1.1\r\nHost: x\r\nX: ", 31);
	memcpy(head + sizeof(head) - 5, "\r\n\r\n", 5);
	write_file("conf", "ProxyPass /app fd://s wait=1min\n");
	world_proxy("-f", "conf", NULL);
	fds = world_fds();
	client = client_open();
	if (_i == 0)
		send_bytes(client, head, 500);
	else
		send_text(client, head);
	world_until_fds(fds + 1);
	reload("ProxyPass /app fd://s wait=1min\nLimitRequestHead 100\n");
	if (_i == 0)
		send_text(client, "x");
	check_status(client, 431);
	world_stop("");
}
END_TEST

/* And one that is raised. */
START_TEST(raise_limit)
{
	static char head[60000];
	int s = backend_listen("s", 4), client, fds;

	memset(head, 'x', sizeof(head));
	memcpy(head, "GET /app HTTP/1.1\r\nHost: x\r\nX: ", 31);
	memcpy(head + sizeof(head) - 5, "\r\n\r\n", 5);
	write_file("conf", "ProxyPass /app fd://s payload=head\n");
	world_proxy("-f", "conf", NULL);
	fds = world_fds();
	client = client_open();
	send_bytes(client, head, 5000);
	world_until_fds(fds + 1);
	reload("ProxyPass /app fd://s payload=head\nLimitRequestHead 65535\n"
	    "LimitRequestFieldSize 65535\n");
	send_text(client, head + 5000);
	close(backend_take_payload(s, buf, 65536));
	ck_assert_str_eq(buf, head);
	close(client);
	close(s);
	world_stop("");
}
END_TEST

/* Other log files; one that cannot be opened changes nothing. */
START_TEST(logs)
{
	size_t a, x;

	write_file("conf", "ErrorLog a\nCustomLog x\nProxyPass /app fd://s\n");
	world_proxy("-f", "conf", NULL);
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	until_file("a", "cannot connect to ");
	until_file("x", "\"GET /app HTTP/1.1\" 503");
	write_file("conf", "ErrorLog b\nCustomLog y\nLogLevel info\n"
	    "ProxyPass /app fd://s\n");
	world_signal(SIGHUP);
	until_file("b", RENEWED);
	a = strlen(read_file("a"));
	x = strlen(read_file("x"));
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	ck_assert_int_eq(status_of(exchange(NEW)), 404);
	until_file("b", "cannot connect to ");
	until_file("b", "info: 127.0.0.1:");
	until_file("y", "\"GET /app HTTP/1.1\" 503");
	write_file("conf", "ErrorLog c\nCustomLog none/z\n"
	    "ProxyPass /new fd://s\n");
	world_signal(SIGHUP);
	until_file("b", REFUSED);
	until_file("b", "none/z: No such file");
	ck_assert_int_eq(status_of(exchange(NEW)), 404);
	until_file("y", "\"GET /new HTTP/1.1\" 404");
	ck_assert_uint_eq(strlen(read_file("a")), a);
	ck_assert_uint_eq(strlen(read_file("x")), x);
	ck_assert_str_eq(read_file("c"), "");
	/* No access log, and messages where they were at the start. */
	reload("ProxyPass /app fd://s\n");
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	world_until_says("cannot connect to ", 1);
	ck_assert_ptr_null(strstr(strstr(read_file("y"), "/new"), "/app"));
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
}
END_TEST

/* Fifty of them leave nothing behind, good or not. */
START_TEST(many)
{
	enum { N = 50 };
	int s = backend_listen("s", 4), fds, i, client;
	char text[1024];
	long kb = 0, end;

	large_flusher("f", 'x');
	snprintf(text, sizeof(text), "ErrorLog stderr\nCustomLog x\nListen %s "
	    "mode=0600\nProxyPass /file fd://s flusher=file:f\n"
	    "ProxyPass /app fd://s header=\"A: b\" wait=1min\n"
	    "ProxyPass /none fd://none wait=1min\n", local("u"));
	write_file("conf", text);
	world_proxy("-f", "conf", NULL);
	fds = world_fds() + 1;
	client = client_open();
	send_text(client, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
	check_served(client_open(), s, GET);
	world_until_fds(fds);
	for (i = 0; i < N; i++) {
		refused("ProxyPass /app fd://s flusher=file:f\nNot this\n");
		reload(text);
		check_served(client_open(), s, GET);
		if (i == N / 4)
			kb = world_memory();
	}
	world_until_fds(fds);
	/* Of sanitizers, memory is not fdproxy's; they look for leaks. */
	end = now_ms() + WORLD_PATIENCE;
	while (!world_sanitized() && world_memory() - kb > 1024) {
		ck_assert_int_lt(now_ms(), end);
		ck_assert(!readable(s, 5));
	}
	abandon(client);
	close(s);
	world_stop("");
}
END_TEST

/* A storm of them, while clients come: nobody is forgotten. */
START_TEST(storm)
{
	int s = backend_listen("s", 64), i, j;

	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-f", "conf", NULL);
	for (i = 0; i < 40; i++) {
		for (j = 0; j < 50; j++)
			world_signal(SIGHUP);
		check_served(client_open(), s, GET);
	}
	reload("ProxyPass /new fd://s\n");
	world_signal(SIGSTOP);
	write_file("conf", "ProxyPass /app fd://s\n");
	world_signal(SIGHUP);
	world_signal(SIGALRM);
	i = world_says(RENEWED);
	world_signal(SIGCONT);
	world_until_says(RENEWED, i + 1);
	check_served(client_open(), s, GET);
	close(s);
	/* What may still come of the others is no error. */
	world_stop("");
}
END_TEST

/* Standard input has been read: what it said stays. */
START_TEST(standard_input)
{
	int s = backend_listen("s", 4), fd;

	write_file("conf", "ProxyPass /app fd://s\n");
	fd = open("conf", O_RDONLY | O_CLOEXEC);
	world_inherit(fd, STDIN_FILENO);
	close(fd);
	world_proxy("-f", "-", NULL);
	check_served(client_open(), s, GET);
	signal_says(_i == 0 ? SIGHUP : SIGUSR2, REFUSED);
	check_served(client_open(), s, GET);
	close(s);
	world_stop("");
}
END_TEST

/* Nor is a FIFO waited for that nobody may write to. */
START_TEST(fifo)
{
	int s = backend_listen("s", 4);

	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-f", "conf", NULL);
	ck_assert_int_eq(mkfifo("pipe", 0600), 0);
	refused("Include pipe\n");
	ck_contains(world_errors(), "cannot read ");
	check_served(client_open(), s, GET);
	ck_contains(world_errors(), "-t exits with status 2");
	close(s);
	world_stop("");
}
END_TEST

START_TEST(reload_notifies)
{
	int s = backend_listen("s", 4), fd = notified();
	long begin;

	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-f", "conf", NULL);
	ck_assert_str_eq(notice(fd), "READY=1");
	begin = now_ms();
	reload("ProxyPass /new fd://s\n");
	check_reloading(fd, begin);
	ck_assert_str_eq(notice(fd), "READY=1");
	begin = now_ms();
	upgrade();
	check_reloading(fd, begin);
	ck_assert_str_eq(notice(fd), "READY=1");
	refused("Not this\n");
	check_reloading(fd, begin);
	ck_assert_str_eq(notice(fd), "READY=1");
	close(s);
	world_stop("");
	ck_assert_str_eq(notice(fd), "STOPPING=1");
	ck_assert(!readable(fd, 0));
	close(fd);
}
END_TEST

/* The first port that needs no privileges. */
static int
first_port(void)
{
	return atoi(read_file("/proc/sys/net/ipv4/ip_unprivileged_port_start"));
}

/* What an ordinary user may not do is not done, and the old stays. */
START_TEST(privileges)
{
	int s = backend_listen("s", 4);
	struct sockaddr_in addr;
	char text[256], a[32];

	free_address(&addr, a);
	snprintf(strchr(a, ':'), 8, ":%d", 1 + (int)getpid() % 1000);
	snprintf(text, sizeof(text), "User 65534\nProxyPass /app fd://s\n"
	    "ProxyPass /new !\n");
	write_file("conf", text);
	world_proxy("-f", "conf", NULL);
	check_served(client_open(), s, GET);
	snprintf(text, sizeof(text), "User 65534\nProxyPass /new fd://s\n"
	    "Listen %s\n", a);
	if (first_port() >= 1024) {
		refused(text);
		ck_contains(world_errors(), ": Permission denied");
		check_served(client_open(), s, GET);
	}
	/* A file that is not for that user. */
	write_file("conf", "User 65534\nProxyPass /new fd://s\n");
	ck_assert_int_eq(chmod("conf", 0600), 0);
	signal_says(SIGHUP, REFUSED);
	check_served(client_open(), s, GET);
	ck_assert_int_eq(chmod("conf", 0644), 0);
	signal_says(SIGHUP, RENEWED);
	check_served(client_open(), s, NEW);
	close(s);
	world_stop("");
}
END_TEST

/* Who is stopping is not renewed. */
START_TEST(stopping)
{
	int s = backend_listen("s", 4), client, fds;

	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-f", "conf", NULL);
	fds = world_fds();
	client = client_open();
	send_text(client, HALF);
	world_until_fds(fds + 1);
	signal_says(SIGTERM, "stopping");
	write_file("conf", "ProxyPass /new fd://s\n");
	world_signal(SIGHUP);
	world_signal(SIGUSR2);
	signal_says(SIGALRM, "accepted ");
	check_served(client, s, REST);
	ck_assert_int_eq(world_exit(), 0);
	ck_assert_int_eq(world_says(RENEWED), 0);
	ck_assert_int_eq(world_says("renewed"), 0);
	close(s);
}
END_TEST

/* ---- what stays ---- */

/* systemd's sockets, descriptor 0, and those that have a name. */
START_TEST(inherited)
{
	int s = backend_listen("s", 4), t = backend_listen("t", 4), fd, i;
	struct sockaddr_in addr;

	fd = supervisor_listen(&addr);
	write_file("conf", "ProxyPass /app fd://s\n");
	switch (_i) {
	case 0:
		world_environment("LISTEN_FDS", "1");
		world_environment("LISTEN_PID", "self");
		world_inherit(fd, 3);
		world_spawn("-f", "conf", NULL);
		break;
	case 1:
		world_inherit(fd, 0);
		world_spawn("-f", "conf", NULL);
		break;
	default:
		world_inherit(fd, 7);
		world_spawn("-f", "conf", "-l", "fd:7", NULL);
		break;
	}
	close(fd);
	check_served(client_at(&addr), s, GET);
	for (i = 0; i < 3; i++) {
		fd = client_at(&addr);
		reload("ProxyPass /app fd://t\n");
		check_served(fd, t, GET);
		check_served(client_at(&addr), t, GET);
		write_file("conf", "ProxyPass /app fd://s\n");
		fd = client_at(&addr);
		upgrade();
		check_served(fd, s, GET);
		check_served(client_at(&addr), s, GET);
	}
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
	close(s);
	close(t);
}
END_TEST

/* A download that goes on meanwhile is whole. */
START_TEST(download)
{
	enum { PIECES = 64 };
	static char piece[65536], got[65536];
	int s = backend_listen("s", 4), client, fd, i;
	size_t len;

	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-f", "conf", NULL);
	client = client_open();
	send_text(client, GET);
	fd = backend_take(s);
	for (len = 0; len < 4 || memcmp(buf + len - 4, "\r\n\r\n", 4) != 0;
	    len++)
		read_exact(client, buf + len, 1);
	for (i = 0; i < PIECES; i++) {
		memset(piece, i, sizeof(piece));
		send_bytes(fd, piece, sizeof(piece));
		if (i == PIECES / 2 && _i == 0) {
			world_stop(NULL);
		} else if (i == PIECES / 2 && _i == 1) {
			write_file("conf", "ProxyPass /new fd://s\n");
			signal_says(SIGHUP, RENEWED);
		} else if (i == PIECES / 2) {
			upgrade();
		}
		read_exact(client, got, sizeof(got));
		ck_assert_int_eq(memcmp(piece, got, sizeof(got)), 0);
	}
	shutdown(fd, SHUT_WR);
	close(fd);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_uint_eq(len, 0);
	close(client);
	close(s);
	if (_i != 0)
		world_stop("");
}
END_TEST

/* Many times, while clients come and go. */
START_TEST(mixed)
{
	int s = backend_listen("s", 64), i, fds, client, fd;
	size_t len;

	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-f", "conf", NULL);
	fds = world_fds();
	for (i = 0; i < 200; i++) {
		if (i % 10 == 3)
			world_signal(SIGHUP);
		if (i % 40 == 7)
			upgrade();
		if (i % 40 == 30)
			world_signal(SIGUSR2);
		check_served(client_open(), s, GET);
	}
	ck_assert_int_ge(world_says(RENEWED), 5);
	write_file("conf", "ProxyPass /new fd://s\n");
	world_signal(SIGHUP);
	/* The last of them is not the last that was asked for. */
	do {
		client = client_open();
		send_text(client, GET);
		while (!readable(client, 0) && !readable(s, 5))
			;
		if (readable(s, 0)) {
			fd = backend_take(s);
			shutdown(fd, SHUT_WR);
			close(fd);
		}
		ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len),
		    END_FIN);
		close(client);
	} while (status_of(buf) != 404);
	check_served(client_open(), s, NEW);
	world_until_fds(fds);
	close(s);
	world_stop("");
}
END_TEST

/* ---- old processes ---- */

/* The processes that fdproxy has started, each with a blank behind it. */
static const char *
children(void)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d/task/%d/children",
	    (int)world_pid(), (int)world_pid());
	return read_file(name);
}

static int
count_children(void)
{
	const char *p;
	int n = 0;

	for (p = children(); *p != '\0'; p++)
		n += *p == ' ';
	return n;
}

static void
until_children(int n)
{
	long end = now_ms() + WORLD_PATIENCE;

	while (count_children() != n)
		ck_assert_msg(now_ms() < end, "\"%s\" are not %d", children(),
		    n);
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
	size_t len;
	int fd;

	large_rest(client, 100, 'x');
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

#define SLOW	"ProxyPass /app fd://s flusher=file:f\n"

static void
start_slow(const char *more)
{
	char text[512];

	large_flusher("f", 'x');
	snprintf(text, sizeof(text), "%s" SLOW, more);
	write_file("conf", text);
	world_proxy("-f", "conf", NULL);
}

/*
 * Clients in the middle of their head get all of it, and the backend of their
 * time; the new configuration serves meanwhile.
 */
START_TEST(flushing)
{
	int s = backend_listen("s", 4), t = backend_listen("t", 4), old;

	start_slow("");
	old = slow_client();
	large_flusher("f", 'y');
	reload("ProxyPass /new fd://t\n");
	check_served(client_open(), t, NEW);
	upgrade();
	check_served(client_open(), t, NEW);
	ck_assert_int_eq(status_of(exchange(GET)), 404);
	until_children(1);
	serve_slow(old, s);
	until_children(0);
	close(s);
	close(t);
	world_stop("");
}
END_TEST

/* A client that is about to have its answer gets it, and no reset. */
START_TEST(lingers)
{
	static char body[100000];
	int client, fds;
	size_t len;

	memset(body, 'x', sizeof(body));
	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-f", "conf", "-l", local("front"), NULL);
	fds = world_fds();
	client = _i == 0 ? client_open() : client_unix("front");
	send_text(client, "POST /none HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 200000\r\n\r\n");
	send_bytes(client, body, sizeof(body));
	ck_assert(readable(client, WORLD_PATIENCE));
	world_until_fds(fds + 1);
	upgrade();
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
	world_stop("");
}
END_TEST

/*
 * An old process ends with the one that has its place: by SIGTERM once its
 * clients are served, or GracefulShutdownTimeout is over; at once if that is
 * killed.
 */
START_TEST(ends_with_us)
{
	int s = backend_listen("s", 4), client, conn;
	size_t len;

	start_slow(_i == 1 ? "GracefulShutdownTimeout 1ms\n" : "");
	client = slow_client();
	reload("GracefulShutdownTimeout 1min\n" SLOW);
	until_children(1);
	world_signal(_i == 2 ? SIGKILL : SIGTERM);
	if (_i == 0) {
		world_until_says("stopping", 1);
		world_signal(SIGALRM);
		world_until_says("accepted ", 1);
		serve_slow(client, s);
	} else {
		/* Nothing more is read before the connections are closed. */
		conn = accept(s, NULL, NULL);
		ck_assert_int_eq(read(conn, buf, 1), 0);
		close(conn);
		ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len),
		    END_RESET);
		close(client);
	}
	if (_i == 2)
		world_wait();
	else
		ck_assert_int_eq(world_exit(), 0);
	close(s);
}
END_TEST

/* Eight of them; the client of a ninth is reset. */
START_TEST(eight)
{
	enum { N = 9 };
	int s = backend_listen("s", 16), client[N], i;
	size_t len;

	start_slow("");
	for (i = 0; i < N; i++) {
		client[i] = slow_client();
		reload(SLOW);
	}
	/* Its connection ends without a message. */
	i = accept(s, NULL, NULL);
	ck_assert_int_eq(read(i, buf, 1), 0);
	close(i);
	ck_assert_int_eq(read_all(client[0], buf, sizeof(buf), &len),
	    END_RESET);
	close(client[0]);
	until_children(N - 1);
	for (i = 1; i < N; i++)
		serve_slow(client[i], s);
	until_children(0);
	close(s);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
	ck_assert_int_eq(world_says("the oldest one ends"), 1);
}
END_TEST

/* -n goes on, with what an old process hands off; and ids of clients. */
START_TEST(counts_on)
{
	int s = backend_listen("s", 16), t = backend_listen("t", 4), client;
	const char *log;

	large_flusher("f", 'x');
	write_file("conf", "CustomLog x json\nProxyPass /new fd://t\n" SLOW);
	world_proxy("-n", "5", "-f", "conf", NULL);
	check_served(client_open(), t, NEW);
	client = slow_client();
	upgrade();
	check_served(client_open(), t, NEW);
	upgrade();
	check_served(client_open(), t, NEW);
	serve_slow(client, s);
	check_served(client_open(), t, NEW);
	ck_assert_int_eq(world_exit(), 0);
	log = read_file("x");
	ck_contains(log, "{\"id\":2,");
	ck_contains(log, "{\"id\":5,");
	ck_assert_ptr_null(strstr(log, "{\"id\":6,"));
	close(s);
	close(t);
}
END_TEST

/* What -T leaves is not begun anew. */
START_TEST(time_runs_on)
{
	long begin = now_ms();

	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-T", "1", "-f", "conf", NULL);
	while (now_ms() - begin < 800 && world_says("-T is over") == 0)
		world_signal(SIGHUP);
	ck_assert_int_eq(world_exit(), 1);
	ck_assert_int_ge(now_ms() - begin, 1000);
	ck_contains(world_errors(), "the time of -T is over");
}
END_TEST

/* ---- another program ---- */

/* The file that a process executes. */
static ino_t
executes(void)
{
	char name[64];
	struct stat st;

	snprintf(name, sizeof(name), "/proc/%d/exe", (int)world_pid());
	ck_assert_int_eq(stat(name, &st), 0);
	return st.st_ino;
}

/* Another file, the same process, the same listeners; the newest rules. */
START_TEST(another_program)
{
	int s = backend_listen("s", 4), t = backend_listen("t", 4), held;
	struct stat st;

	use_copy();
	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-f", "conf", NULL);
	ck_assert_int_eq(rename("real", "fdproxy"), 0);
	ck_assert_int_eq(stat("fdproxy", &st), 0);
	ck_assert_uint_ne(executes(), st.st_ino);
	held = client_open();
	write_file("conf", "ProxyPass /app fd://t\n");
	check_served(client_open(), s, GET);
	upgrade();
	ck_assert_uint_eq(executes(), st.st_ino);
	check_served(held, t, GET);
	check_served(client_open(), t, GET);
	upgrade();
	check_served(client_open(), t, GET);
	close(s);
	close(t);
	world_stop("");
}
END_TEST

/* Clients with half a head, and clients that wait, are the new program's. */
START_TEST(takes_clients)
{
	enum { N = 100 };
	int client[N], line[N / 10], s = backend_listen("s", 4), t, i, fds;

	write_file("conf", "ProxyPass /app fd://s\n"
	    "ProxyPass /wait fd://t wait=1min flusher=none\n");
	world_proxy("-f", "conf", "-l", local("front"), NULL);
	fds = world_fds();
	for (i = 0; i < N; i++) {
		client[i] = i % 2 == 0 ? client_open() : client_unix("front");
		send_text(client[i], HALF);
	}
	for (i = 0; i < N / 10; i++) {
		line[i] = i % 2 == 0 ? client_open() : client_unix("front");
		send_text(line[i], "GET /wait HTTP/1.0\r\n\r\n");
	}
	world_until_fds(fds + N + N / 10);
	upgrade();
	for (i = 0; i < N; i++)
		check_served(client[i], s, REST);
	t = backend_listen("t", 64);
	for (i = 0; i < N / 10; i++)
		take_and_answer(t);
	for (i = 0; i < N / 10; i++)
		check_status(line[i], 200);
	close(s);
	close(t);
	world_stop("");
}
END_TEST

/* Nobody is there for a while: clients of that time are served after it. */
START_TEST(meanwhile)
{
	int s = backend_listen("s", 64), fds, go, i, begun[2], new[3];

	use_copy();
	write_file("conf", "ProxyPass /app fd://s flusher=none\n");
	world_proxy("-f", "conf", "-l", local("front"), NULL);
	fds = world_fds();
	begun[0] = client_open();
	begun[1] = client_unix("front");
	send_text(begun[0], HALF);
	send_text(begun[1], HALF);
	world_until_fds(fds + 2);
	stage();
	send_text(begun[0], REST);
	send_text(begun[1], REST);
	new[0] = client_open();
	new[1] = client_unix("front");
	send_text(new[0], GET);
	send_text(new[1], GET);
	new[2] = client_open();
	ck_assert(!readable(s, 20));
	go = let_go();
	for (i = 0; i < 4; i++)
		take_and_answer(s);
	send_text(new[2], GET);
	take_and_answer(s);
	for (i = 0; i < 2; i++)
		check_status(begun[i], 200);
	for (i = 0; i < 3; i++)
		check_status(new[i], 200);
	world_until_fds(fds);
	close(go);
	close(s);
	world_stop("");
}
END_TEST

/* Signals of that time are not lost, and do not kill. */
START_TEST(signals_meanwhile)
{
	static const struct {
		int sig;
		const char *says;
	} cases[] = {
		{ SIGHUP, RENEWED }, { SIGALRM, "accepted " },
		{ SIGTERM, "stopping" }, { SIGINT, "stopping" },
		{ SIGUSR1, RENEWED }, { SIGUSR2, RENEWED }
	};
	int s = backend_listen("s", 64), go;

	use_copy();
	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-f", "conf", NULL);
	stage();
	world_signal(cases[_i].sig);
	go = let_go();
	/* One more renewal, by the program that has come. */
	world_until_says(cases[_i].says, cases[_i].sig == SIGUSR2 ||
	    cases[_i].sig == SIGHUP ? 2 : 1);
	close(go);
	if (cases[_i].sig == SIGTERM || cases[_i].sig == SIGINT) {
		ck_assert_int_eq(world_exit(), 0);
	} else {
		check_served(client_open(), s, GET);
		world_stop("");
	}
	close(s);
}
END_TEST

/* Nor is one that comes in the moment before it. */
START_TEST(signal_before)
{
	enum { N = 1000 };
	static int client[N];
	int fd = notified(), i, fds;

	write_file("conf", "ProxyPass /app fd://s\n"
	    "GracefulShutdownTimeout 1ms\n");
	world_proxy("-f", "conf", NULL);
	ck_assert_str_eq(notice(fd), "READY=1");
	fds = world_fds();
	for (i = 0; i < N; i++) {
		client[i] = client_open();
		send_text(client[i], HALF);
	}
	world_until_fds(fds + N);
	world_signal(SIGUSR2);
	ck_assert(readable(fd, WORLD_PATIENCE));
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
	close_all(client, N);
	close(fd);
}
END_TEST

/*
 * What the next program could not open, or be, is found out before: nothing is
 * lost, and nothing of the trial is left.
 */
START_TEST(cannot_follow)
{
	int s = backend_listen("s", 4), used, held;
	struct sockaddr_in stays, taken;
	char a[32], text[1024];

	free_address(&stays, a);
	used = supervisor_listen(&taken);
	snprintf(text, sizeof(text), "ProxyPass /app fd://s\nListen %s\n"
	    "Listen %s\n", a, local("u1"));
	write_file("conf", text);
	world_proxy("-f", "conf", NULL);
	held = client_at(&stays);
	send_text(held, HALF);
	snprintf(text, sizeof(text), "ProxyPass /app fd://s\nListen %s\n",
	    local("u2"));
	snprintf(text + strlen(text), sizeof(text) - strlen(text),
	    _i == 0 ? "Listen 127.0.0.1:%u\n" : _i == 1 ?
	    /* Refused only because of our own, which would go. */
	    "Listen 0.0.0.0:%u\n" : _i == 2 ? "Listen fd:99\n" :
	    "ChrootDir /nowhere\n", ntohs(_i == 0 ? taken.sin_port :
	    stays.sin_port));
	write_file("conf", text);
	signal_says(SIGUSR2, "not renewed: ");
	ck_contains(world_errors(), "-t exits with status 1");
	check_served(held, s, REST);
	check_served(client_at(&stays), s, GET);
	check_served(client_open(), s, GET);
	check_served(client_unix("u1"), s, GET);
	ck_assert_int_eq(access("u2", F_OK), -1);
	close(used);
	close(s);
	world_stop("");
	ck_assert_int_eq(access("u1", F_OK), -1);
}
END_TEST

/*
 * The port that the system chose for port 0 is that of port 0 still, when the
 * one that goes is of the same host and has a lower descriptor.
 */
START_TEST(any_port)
{
	int s = backend_listen("s", 4);
	struct sockaddr_in stays, goes;
	char a[32], any[32], text[256];
	unsigned int port;

	free_address(&goes, a);
	snprintf(any, sizeof(any), "%.*s:0", (int)strcspn(a, ":"), a);
	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-l", any, "-f", "conf", NULL);
	stays = goes;
	ck_assert_int_eq(sscanf(world_line(1), "%*[0-9.]:%u", &port), 1);
	stays.sin_port = htons((uint16_t)port);
	snprintf(text, sizeof(text), "ProxyPass /app fd://s\nListen %s\n", a);
	reload(text);
	check_served(client_at(&goes), s, GET);
	check_served(client_at(&stays), s, GET);
	write_file("conf", "ProxyPass /app fd://s\n");
	upgrade();
	ck_assert_int_eq(client_at(&goes), -1);
	check_served(client_at(&stays), s, GET);
	check_served(client_open(), s, GET);
	close(s);
	world_stop("");
}
END_TEST

/*
 * The IPv4 half of "every address", with the port of the other half, is taken
 * for nothing else.
 */
START_TEST(any_port_of_every_address)
{
	int s = backend_listen("s", 4);

	write_file("conf", "ProxyPass /app fd://s\nListen 0\n");
	world_proxy("-f", "conf", NULL);
	/* One of two gets a descriptor above that half's. */
	reload("ProxyPass /app fd://s\nListen 0.0.0.0:0\nListen 0.0.0.0:0\n"
	    "Listen 0\n");
	upgrade();
	check_served(client_open(), s, GET);
	reload("ProxyPass /app fd://s\nListen 0\n");
	close(s);
	world_stop("");
}
END_TEST

/* Whatever stands in the way, the old program goes on, with its clients. */
START_TEST(no_upgrade)
{
	static const struct {
		const char *conf;
		const char *program;
		const char *says;
	} cases[] = {
		{ "Not this\n", NULL, "conf:1: unknown directive" },
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
		{ NULL, NULL, "cannot execute " }
	};
	int s = backend_listen("s", 16), t, half[2], line, fds, fd, answered;
	size_t len;

	fd = notified();
	use_copy();
	write_file("conf", "ProxyPass /app fd://s\n"
	    "ProxyPass /wait fd://t wait=1min\n");
	world_proxy("-f", "conf", "-l", local("front"), NULL);
	ck_assert_str_eq(notice(fd), "READY=1");
	fds = world_fds();
	half[0] = client_open();
	half[1] = client_unix("front");
	send_text(half[0], HALF);
	send_text(half[1], HALF);
	line = client_open();
	send_text(line, "GET /wait HTTP/1.0\r\n\r\n");
	answered = client_open();
	send_text(answered, "GET /none HTTP/1.0\r\n\r\n");
	ck_assert(readable(answered, WORLD_PATIENCE));
	world_until_fds(fds + 4);
	if (cases[_i].conf != NULL)
		write_file("conf", cases[_i].conf);
	else if (cases[_i].program != NULL)
		replace(cases[_i].program);
	else
		ck_assert_int_eq(unlink("fdproxy"), 0);
	signal_says(SIGUSR2, "not renewed: ");
	ck_contains(world_errors(), cases[_i].says);
	/* What it had made ready for the other is not there any more: a trial
	   has the two listeners, and no client. */
	replace("#!/bin/sh\nls -l /proc/self/fd | grep -c socket: >fds\n"
	    "env >env\nexit 4\n");
	signal_says(SIGUSR2, "-t exits with status 4");
	ck_assert_str_eq(read_file("fds"), "2\n");
	ck_contains(read_file("env"), "\nFDPROXY_LEFT=");
	ck_assert_ptr_null(strstr(read_file("env"), "NOTIFY_SOCKET="));
	ck_assert_ptr_null(strstr(read_file("env"), "LISTEN_"));
	ck_assert_int_eq(read_all(answered, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), 404);
	close(answered);
	check_served(half[0], s, REST);
	check_served(half[1], s, REST);
	check_served(client_open(), s, GET);
	t = backend_listen("t", 4);
	close(backend_take(t));
	check_status(line, 200);
	world_until_fds(fds);
	/* Once it can, it does. */
	ck_assert_int_eq(rename("real", "fdproxy"), 0);
	write_file("conf", "ProxyPass /new fd://s\n");
	upgrade();
	check_served(client_open(), s, NEW);
	close(s);
	close(t);
	world_stop("");
	/* Its supervisor was never left in the belief that it is busy. */
	while (strncmp(notice(fd), "RELOADING=1", 11) == 0)
		ck_assert_str_eq(notice(fd), "READY=1");
	close(fd);
}
END_TEST

/* A signal that comes during a trial is remembered: one more renewal. */
START_TEST(remembered)
{
	int s = backend_listen("s", 16), go;

	use_copy();
	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-f", "conf", NULL);
	ck_assert_int_eq(mkfifo("go", 0600), 0);
	replace("#!/bin/sh\n"
	    "test -p go && echo staged >&2 && read -r line <go && rm go\n"
	    "exec ./real \"$@\"\n");
	signal_says(SIGUSR2, "staged");
	check_served(client_open(), s, GET);
	write_file("conf", "ProxyPass /new fd://s\n");
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
		world_signal(SIGTERM);
		ck_assert_int_eq(world_exit(), 0);
		do {
			go = open("go", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
			if (go != -1)
				close(go);
		} while (go != -1);
		ck_assert_int_eq(errno, ENXIO);
	}
	close(s);
}
END_TEST

/* The queue of a listener that is not configured any more is served. */
START_TEST(queue_of_closed)
{
	int s = backend_listen("s", 16), go, client;
	struct sockaddr_in goes;
	char a[32], text[256];

	free_address(&goes, a);
	use_copy();
	snprintf(text, sizeof(text), "ProxyPass /app fd://s\nListen %s\n", a);
	write_file("conf", text);
	world_proxy("-f", "conf", NULL);
	write_file("conf", "ProxyPass /app fd://s\n");
	stage();
	client = client_at(&goes);
	send_text(client, HALF);
	go = let_go();
	world_until_says(RENEWED, 1);
	check_served(client, s, REST);
	ck_assert_int_eq(client_at(&goes), -1);
	close(go);
	close(s);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
}
END_TEST

/* What was told once is not told again. */
START_TEST(ready_once)
{
	int s = backend_listen("s", 64), pair[2];

	ck_assert_int_eq(pipe(pair), 0);
	fcntl(pair[0], F_SETFD, FD_CLOEXEC);
	world_inherit(pair[1], 6);
	world_proxy("-N", "6", "-r", "/app=s", NULL);
	ck_assert(readable(pair[0], WORLD_PATIENCE));
	ck_assert_int_eq(read(pair[0], buf, sizeof(buf)), 1);
	upgrade();
	check_served(client_open(), s, GET);
	ck_assert(!readable(pair[0], 0));
	ck_assert_ptr_null(strchr(world_line(0), '\n'));
	close(pair[0]);
	close(pair[1]);
	close(s);
	world_stop("");
}
END_TEST

/* Nothing is left open, however often. */
START_TEST(many_upgrades)
{
	int s = backend_listen("s", 16), i, fds, half, numbers;
	char text[512];

	snprintf(text, sizeof(text), "ErrorLog stderr\nCustomLog x\n"
	    "PidFile p\nListen %s\nProxyPass /app fd://s\n", local("u"));
	write_file("conf", text);
	world_proxy("-f", "conf", NULL);
	fds = world_fds();
	half = client_open();
	send_text(half, HALF);
	world_until_fds(numbers = fds + 1);
	for (i = 0; i < 8; i++) {
		upgrade();
		world_until_fds(numbers);
		check_served(client_open(), s, GET);
	}
	check_served(half, s, REST);
	close(s);
	world_stop("");
}
END_TEST

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

/* As an ordinary user too, whose file it is not. */
START_TEST(pid_file)
{
	int s = backend_listen("s", 4);

	write_file("conf", _i == 0 ? "PidFile p\nProxyPass /app fd://s\n" :
	    "PidFile p\nUser 65534\nProxyPass /app fd://s\n");
	world_proxy("-f", "conf", NULL);
	check_pid_file("p");
	signal_says(SIGHUP, RENEWED);
	check_pid_file("p");
	upgrade();
	check_served(client_open(), s, GET);
	check_pid_file("p");
	close(s);
	world_stop("");
	ck_assert_str_eq(read_file("p"), "");
}
END_TEST

/* Another one: the old one holds no process id any more. */
START_TEST(other_pid_file)
{
	write_file("conf", "PidFile p\nProxyPass /app fd://s\n");
	world_proxy("-f", "conf", NULL);
	check_pid_file("p");
	reload("PidFile q\nProxyPass /app fd://s\n");
	check_pid_file("q");
	ck_assert_str_eq(read_file("p"), "");
	reload("ProxyPass /app fd://s\n");
	ck_assert_str_eq(read_file("q"), "");
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
}
END_TEST

/*
 * With User, and logs in a folder of that user's: opened anew, so that a file
 * may have been renamed; in root's folder lines go on to the file of before.
 */
START_TEST(logs_of_user)
{
	int s = backend_listen("s", 4);

	ck_assert_int_eq(mkdir("logs", 0755), 0);
	if (_i == 0)
		ck_assert_int_eq(chown("logs", 65534, 65534), 0);
	write_file("conf", "User 65534\nErrorLog logs/e\nCustomLog logs/x\n"
	    "ProxyPass /app fd://s\n");
	world_proxy("-f", "conf", NULL);
	if (_i == 0) {
		/* Root has made them; logrotate's "create" gives them away. */
		ck_assert_int_eq(chown("logs/e", 65534, 65534), 0);
		ck_assert_int_eq(chown("logs/x", 65534, 65534), 0);
	}
	check_served(client_open(), s, GET);
	until_file("logs/x", "GET /app");
	ck_assert_int_eq(rename("logs/x", "logs/x.1"), 0);
	world_signal(SIGHUP);
	until_file("logs/e", RENEWED);
	check_served(client_open(), s, GET);
	if (_i == 0) {
		until_file("logs/x", "GET /app");
	} else {
		until_file("logs/e", "it stays open as it was");
		until_file("logs/x.1", "200 -");
		ck_contains(strchr(read_file("logs/x.1"), '\n') + 1,
		    "GET /app");
	}
	close(s);
	world_stop("");
}
END_TEST

/* In a root of its own there is no program to go on as. */
START_TEST(in_root)
{
	int s = backend_listen("s", 4);
	char text[256];

	world_environment("ASAN_OPTIONS", "detect_leaks=0");
	snprintf(text, sizeof(text), "ChrootDir %s", world_dir());
	world_proxy("-c", text, "-c", "ProxyPass /app fd:///s", NULL);
	signal_says(SIGUSR2, "not renewed: within ChrootDir");
	check_served(client_open(), s, GET);
	close(s);
	world_stop("");
}
END_TEST

/* What was meant for another process is not taken. */
START_TEST(not_ours)
{
	int s = backend_listen("s", 4);

	world_environment("FDPROXY_LEFT", _i == 0 ? "1\nl 3 0\nc 4 0 0\n" :
	    "trial");
	world_proxy("-r", "/app=s", NULL);
	check_served(client_open(), s, GET);
	ck_assert_int_eq(world_says(RENEWED), 0);
	close(s);
	world_stop(NULL);
}
END_TEST

/* A list that is not understood means that we cannot go on. */
START_TEST(not_our_version)
{
	world_environment("FDPROXY_LEFT", _i == 0 ? "self" : "1");
	world_spawn("-t", "-l", "0", NULL);
	ck_assert_int_eq(world_exit(), _i == 0 ? 1 : 0);
	ck_contains(world_errors(), _i == 0 ? "cannot go on where another" :
	    "configuration is good");
}
END_TEST

/* A user that the next program could not become, although it is root. */
START_TEST(cannot_become)
{
	int s = backend_listen("s", 4);

	use_copy();
	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-f", "conf", NULL);
	write_file("conf", "ProxyPass /app fd://s\nUser 65534\n");
	replace("#!/bin/sh\nexec setpriv --bounding-set=-setuid,-setgid "
	    "./real \"$@\"\n");
	signal_says(SIGUSR2, "not renewed: ");
	ck_contains(world_errors(), "cannot become user 65534");
	check_served(client_open(), s, GET);
	close(s);
	world_stop("");
}
END_TEST

/*
 * A socket's file that has become somebody else's stays his, also across an
 * upgrade.
 */
START_TEST(not_our_file)
{
	int s = backend_listen("s", 4), his;

	write_file("conf", "ProxyPass /app fd://s\n");
	world_proxy("-f", "conf", "-l", local("u1"), "-l", local("u2"), NULL);
	ck_assert_int_eq(unlink("u1"), 0);
	his = backend_listen("u1", 4);
	upgrade();
	upgrade();
	check_served(client_open(), s, GET);
	close(s);
	world_stop("");
	ck_assert_int_eq(access("u1", F_OK), 0);
	ck_assert_int_eq(access("u2", F_OK), -1);
	close(his);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("e2e_reload");
	TCase *tc = tcase_create("reload");

	tcase_add_checked_fixture(tc, world_begin, world_end);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, routes);
	tcase_add_loop_test(tc, broken, 0, 6);
	tcase_add_test(tc, listeners);
	tcase_add_test(tc, listener_in_use);
	tcase_add_test(tc, backlog);
	tcase_add_loop_test(tc, half_head, 0, 2);
	tcase_add_loop_test(tc, rerouted, 0, 3);
	tcase_add_loop_test(tc, rerouted_nowhere, 0, 6);
	tcase_add_test(tc, rerouted_refused);
	tcase_add_test(tc, waits_on);
	tcase_add_loop_test(tc, time_goes_on, 0, 2);
	tcase_add_loop_test(tc, lower_limit, 0, 2);
	tcase_add_test(tc, raise_limit);
	tcase_add_test(tc, logs);
	tcase_add_test(tc, many);
	tcase_add_test(tc, storm);
	tcase_add_loop_test(tc, standard_input, 0, 2);
	tcase_add_test(tc, fifo);
	tcase_add_test(tc, reload_notifies);
	if (geteuid() == 0)
		tcase_add_test(tc, privileges);
	tcase_add_test(tc, stopping);
	tcase_add_loop_test(tc, inherited, 0, 3);
	tcase_add_loop_test(tc, download, 0, 3);
	tcase_add_test(tc, mixed);
	suite_add_tcase(suite, tc);

	tc = tcase_create("upgrade");
	tcase_add_checked_fixture(tc, world_begin, world_end);
	tcase_set_timeout(tc, 120);
	/* Byte by byte, nobody writes so much that a client could be slow, and
	   a local socket has no room for an answer. */
	tcase_add_loop_test(tc, lingers, 0, world_torture() ? 1 : 2);
	if (!world_torture()) {
		tcase_add_test(tc, flushing);
		tcase_add_loop_test(tc, ends_with_us, 0, 3);
		tcase_add_test(tc, eight);
		tcase_add_test(tc, counts_on);
	}
	tcase_add_test(tc, time_runs_on);
	tcase_add_loop_test(tc, remembered, 0, 2);
	tcase_add_test(tc, queue_of_closed);
	tcase_add_test(tc, ready_once);
	tcase_add_test(tc, other_pid_file);
	tcase_add_loop_test(tc, not_ours, 0, 2);
	tcase_add_loop_test(tc, not_our_version, 0, 2);
	if (geteuid() == 0)
		tcase_add_loop_test(tc, logs_of_user, 0, 2);
	tcase_add_test(tc, another_program);
	tcase_add_test(tc, takes_clients);
	/* Byte by byte, a local socket has no room for an answer. */
	tcase_add_test(tc, meanwhile);
	tcase_add_loop_test(tc, signals_meanwhile, 0, 6);
	tcase_add_test(tc, signal_before);
	tcase_add_loop_test(tc, cannot_follow, 0, 4);
	tcase_add_test(tc, any_port);
	tcase_add_test(tc, any_port_of_every_address);
	tcase_add_loop_test(tc, no_upgrade, 0, 9);
	tcase_add_test(tc, many_upgrades);
	tcase_add_loop_test(tc, pid_file, 0, geteuid() == 0 ? 2 : 1);
	if (geteuid() == 0)
		tcase_add_test(tc, in_root);
	if (geteuid() == 0)
		tcase_add_test(tc, cannot_become);
	tcase_add_test(tc, not_our_file);
	suite_add_tcase(suite, tc);
	return world_run(suite);
}
