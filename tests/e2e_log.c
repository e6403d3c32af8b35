/* See LICENSE for copyright and license details. */

/*
 * What a daemon leaves behind for others to see: the access log, the status
 * page, the pid file, the sockets it listens on.
 */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

#define GET	"GET /app HTTP/1.1\r\nHost: x\r\n\r\n"
#define NONE	"GET /none HTTP/1.1\r\nHost: x\r\n\r\n"
#define STATUS	"GET /status HTTP/1.1\r\nHost: x\r\n\r\n"
#define HALF	"GET /app HTTP/1.1\r\nHo"

/* As in e2e_backend: more than any send buffer takes. */
#define FILE_MAX	((size_t)8 * 1024 * 1024)
#define FILE_LEN	(world_torture() ? (size_t)60000 : FILE_MAX)

static char buf[FILE_MAX + 4096 * 1024];

/* ---- helpers ---- */

static int
count_lines(const char *text)
{
	int n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

static void
until_lines(const char *name, int n)
{
	long end = now_ms() + WORLD_PATIENCE;

	while (count_lines(read_file(name)) < n && now_ms() < end)
		poll(NULL, 0, 2);
	ck_assert_msg(count_lines(read_file(name)) >= n,
	    "there are not %d lines: %s", n, read_file(name));
}

/* fdproxy ends as in world_stop(); the access log "x" has n lines then. */
static void
stop_with_lines(const char *text, int n)
{
	world_stop(text);
	ck_assert_int_eq(count_lines(read_file("x")), n);
}

/* Line n (from 0) of it, once it is there. */
static const char *
log_line(int n)
{
	static char line[2048];
	const char *p;
	int i;

	until_lines("x", n + 1);
	p = read_file("x");
	for (i = 0; i < n; i++)
		p = strchr(p, '\n') + 1;
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(p, "\n"), p);
	return line;
}

static int
month(const char *name)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	const char *p = strstr(names, name);

	ck_assert_msg(p != NULL && strlen(name) == 3, "month \"%s\"", name);
	return (int)(p - names) / 3;
}

/*
 * Line n is from host, of the last minute, and goes on as rest does, where ms=
 * stands without its number: that is returned.
 */
static long
check_line(int n, const char *host, const char *rest)
{
	char line[2048], from[128], name[4], text[2048];
	struct tm tm = { .tm_isdst = 0 };
	const char *p;
	time_t when;
	int at = -1;
	char *end;
	long ms;

	snprintf(line, sizeof(line), "%s", log_line(n));
	ck_assert_msg(sscanf(line, "%127s - - [%2d/%3[A-Za-z]/%4d:%2d:%2d:%2d "
	    "+0000] %n", from, &tm.tm_mday, name, &tm.tm_year, &tm.tm_hour,
	    &tm.tm_min, &tm.tm_sec, &at) == 7 && at > 0, "\"%s\"", line);
	ck_assert_str_eq(from, host);
	tm.tm_mon = month(name);
	tm.tm_year -= 1900;
	when = timegm(&tm);
	ck_assert_int_le(when, now_wall());
	ck_assert_int_ge(when, now_wall() - 60);
	p = strstr(line + at, " ms=");
	ck_assert_msg(p != NULL, "\"%s\"", line);
	ms = strtol(p + 4, &end, 10);
	ck_assert_ptr_ne(end, p + 4);
	ck_assert_int_ge(ms, 0);
	ck_assert_int_le(ms, 60000);
	snprintf(text, sizeof(text), "%.*s%s", (int)(p + 4 - (line + at)),
	    line + at, end);
	ck_assert_str_eq(text, rest);
	return ms;
}

/* The same of a client over TCP, with fields that the folder is part of. */
static long
check_backend(int n, const char *line, const char *status, const char *route,
    const char *backend, const char *error)
{
	char rest[2048];

	snprintf(rest, sizeof(rest), "\"%s\" %s route=\"%s\" "
	    "backend=\"%s/%s\" ms= errno=%s", line, status, route, world_dir(),
	    backend, error);
	return check_line(n, "127.0.0.1", rest);
}

static const char *
local(const char *name)
{
	static char text[128];

	snprintf(text, sizeof(text), "unix:%s/%s", world_dir(), name);
	return text;
}

static void
abandon(int client)
{
	struct linger off = { 1, 0 };

	setsockopt(client, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	close(client);
}

/* A client is handed off and gets nothing. */
static void
pass(int client, int listener, const char *request)
{
	send_text(client, request);
	close(backend_take(listener));
	close(client);
}

/* ---- the access log ---- */

TEST(passed)
{
	int s = backend_listen("s", 4);

	mkdir("d", 0755);
	ck_assert_int_eq(symlink("../s", "d/q\"t"), 0);
	write_file("f", "HTTP/1.1 200 OK\r\n\r\n");
	world_proxy("-c", "CustomLog x common", "-l", local("front"),
	    "-r", "/app=s", "-r", "/raw=s,flusher=none",
	    "-r", "/file=s,flusher=file:f", "-c", "ProxyPass /d fd://d/",
	    "-c", "ProxyPass /a\"b fd://s", NULL);
	check_served(client_open(), s, GET);
	check_backend(0, "GET /app HTTP/1.1", "200 -", "/app", "s", "-");
	pass(client_open(), s, "POST /raw/x?y HTTP/1.0\r\nHost: x\r\n\r\nbody");
	check_backend(1, "POST /raw/x?y HTTP/1.0", "- -", "/raw", "s", "-");
	check_served(client_open(), s, "HEAD /file HTTP/1.1\r\nHost: x\r\n"
	    "\r\n");
	check_backend(2, "HEAD /file HTTP/1.1", "- -", "/file", "s", "-");
	pass(client_open(), s, "GET /d/q%22t/s HTTP/1.1\r\nHost: x\r\n\r\n");
	check_backend(3, "GET /d/q%22t/s HTTP/1.1", "200 -", "/d",
	    "d/q\\x22t", "-");
	pass(client_open(), s, "GET /a%22b HTTP/1.1\r\nHost: x\r\n\r\n");
	check_backend(4, "GET /a%22b HTTP/1.1", "200 -", "/a\\x22b", "s", "-");
	pass(client_unix("front"), s, "GET /raw HTTP/1.1\r\nHost: x\r\n\r\n");
	snprintf(buf, sizeof(buf), "\"GET /raw HTTP/1.1\" - - route=\"/raw\" "
	    "backend=\"%s/s\" ms= errno=-", world_dir());
	check_line(5, "unix", buf);
	stop_with_lines(NULL, 6);
	unlink("d/q\"t");
}

/* Who has waited is told apart from who has come meanwhile. */
TEST(passed_later)
{
	int s = backend_listen("s", 4), first, fds;

	world_proxy("-c", "CustomLog x", "-l", local("front"), "-r",
	    "/app=s,flusher=none", NULL);
	fds = world_fds();
	first = client_open();
	send_text(first, HALF);
	world_until_fds(fds + 1);
	pass(client_unix("front"), s, GET);
	ck_assert_int_eq(strncmp(log_line(0), "unix - - ", 9), 0);
	pass(first, s, "st: x\r\n\r\n");
	check_backend(1, "GET /app HTTP/1.1", "- -", "/app", "s", "-");
	stop_with_lines(NULL, 2);
}

/* An IPv4 client of a socket that was left to us, and is for IPv6 as well. */
TEST(ipv4_of_both)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6 };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET6, SOCK_STREAM, 0), off = 0, client;

	if (fd == -1 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off,
	    sizeof(off)) == -1 || bind(fd, (struct sockaddr *)&addr, len) == -1)
		return;		/* there is no IPv6 here */
	ck_assert_int_eq(listen(fd, 4), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	world_inherit(fd, 7);
	close(fd);
	world_proxy("-c", "CustomLog x", "-l", "fd:7", "-r", "/app=s", NULL);
	client = client_port(ntohs(addr.sin6_port));
	send_text(client, NONE);
	ck_assert(readable(client, WORLD_PATIENCE));
	check_line(0, "127.0.0.1", "\"GET /none HTTP/1.1\" 404 31 "
	    "route=\"-\" backend=\"-\" ms= errno=-");
	close(client);
	stop_with_lines(NULL, 1);
}

static const struct {
	const char *request;
	const char *rest;
	int status;
	int len;
} answers[] = {
	{ NONE, "\"GET /none HTTP/1.1\" 404 31 route=\"-\" "
	    "backend=\"-\" ms= errno=-", 404, 31 },
	{ "HEAD /none HTTP/1.1\r\nHost: x\r\n\r\n",
	    "\"HEAD /none HTTP/1.1\" 404 0 route=\"-\" "
	    "backend=\"-\" ms= errno=-", 404, 0 },
	{ "GET /x/y HTTP/1.1\r\nHost: x\r\n\r\n",
	    "\"GET /x/y HTTP/1.1\" 404 31 route=\"/x\" "
	    "backend=\"-\" ms= errno=-", 404, 31 },
	{ "GET /a\001\"\\b\377\033[m HTTP/1.1\r\nHost: x\r\n\r\n",
	    "\"GET /a\\x01\\x22\\x5cb\\xff\\x1b[m HTTP/1.1\" 400 26 "
	    "route=\"-\" backend=\"-\" ms= errno=-", 400, 26 },
	{ "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
	    "\"GET /%zz HTTP/1.1\" 400 26 "
	    "route=\"-\" backend=\"-\" ms= errno=-", 400, 26 },
	{ "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n",
	    "\"CONNECT x:1 HTTP/1.1\" 405 32 "
	    "route=\"-\" backend=\"-\" ms= errno=-", 405, 32 },
	{ "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
	    "\"OPTIONS * HTTP/1.1\" 200 0 "
	    "route=\"-\" backend=\"-\" ms= errno=-", 200, 0 },
	{ "GET /app HTTP/2.0\r\nHost: x\r\n\r\n",
	    "\"GET /app HTTP/2.0\" 505 29 "
	    "route=\"-\" backend=\"-\" ms= errno=-", 505, 29 }
};

/* Answers of our own: the length is that of the body. */
TEST(answered)
{
	const char *answer, *body;

	world_proxy("-c", "CustomLog x", "-r", "/x=!", "-r", "/app=s", NULL);
	answer = exchange(answers[_i].request);
	ck_assert_int_eq(status_of(answer), answers[_i].status);
	body = strstr(answer, "\r\n\r\n");
	ck_assert_ptr_nonnull(body);
	ck_assert_int_eq((int)strlen(body + 4), answers[_i].len);
	check_line(0, "127.0.0.1", answers[_i].rest);
	stop_with_lines(NULL, 1);
}

static const struct {
	const char *socket;
	int status;
	const char *error;
} missing[] = {
	{ "missing", 503, "ENOENT" }, { "stale", 503, "ECONNREFUSED" },
	{ "file/x", 500, "ENOTDIR" }, { "file", 500, "ENOTSOCK" }
};

/* With the name of the error that the backend's socket gave. */
TEST(no_backend)
{
	char route[64], status[16];
	const char *answer;

	close(backend_listen("stale", 1));
	write_file("file", "");
	snprintf(route, sizeof(route), "/app=%s%s", missing[_i].socket,
	    _i == 0 ? ",wait=200ms" : "");
	world_proxy("-c", "CustomLog x", "-r", route, NULL);
	answer = exchange(GET);
	ck_assert_int_eq(status_of(answer), missing[_i].status);
	snprintf(status, sizeof(status), "%d %d", missing[_i].status,
	    (int)strlen(strstr(answer, "\r\n\r\n") + 4));
	ck_assert_int_ge(check_backend(0, "GET /app HTTP/1.1", status, "/app",
	    missing[_i].socket, missing[_i].error), _i == 0 ? 190 : 0);
	stop_with_lines("", 1);
}

/* A head that does not come in time; silence has no line at all. */
TEST(late)
{
	int silent, half;
	size_t len;

	world_proxy("-c", "CustomLog x", "-r", "/app=s", "-c",
	    "RequestReadTimeout header=200ms", "-c", "AcceptFilter http none",
	    NULL);
	/* It is accepted with what it has said, however slow we are. */
	world_signal(SIGSTOP);
	silent = client_open();
	half = client_open();
	send_text(half, HALF);
	world_signal(SIGCONT);
	ck_assert_int_eq(read_all(silent, buf, sizeof(buf), &len), END_FIN);
	ck_assert_uint_eq(len, 0);
	ck_assert_int_eq(read_all(half, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), 408);
	ck_assert_int_ge(check_line(0, "127.0.0.1", "\"GET /app HTTP/1.1\" "
	    "408 27 route=\"-\" backend=\"-\" ms= errno=-"), 190);
	close(silent);
	close(half);
	stop_with_lines(NULL, 1);
}

/* One that made room for another. */
TEST(evicted)
{
	int first, second, fds;
	size_t len;

	world_proxy("-c", "CustomLog x", "-r", "/app=s", "-c",
	    "MaxConnections 1", NULL);
	fds = world_fds();
	first = client_open();
	send_text(first, HALF);
	world_until_fds(fds + 1);
	second = client_open();
	send_text(second, HALF);
	ck_assert_int_eq(read_all(first, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), 408);
	check_line(0, "127.0.0.1", "\"GET /app HTTP/1.1\" 408 27 route=\"-\" "
	    "backend=\"-\" ms= errno=-");
	abandon(second);
	world_until_fds(fds);
	/* Who it was, and what it wanted, is gone with it, or is not. */
	ck_contains(log_line(1), "\" - - route=\"-\" backend=\"-\" ms=");
	close(first);
	stop_with_lines(NULL, 2);
}

static void
large_flusher(void)
{
	memset(buf, 'x', FILE_LEN);
	memcpy(buf, "HTTP/1.1 200 OK\r\n\r\n", 19);
	buf[FILE_LEN] = '\0';
	write_file("f", buf);
}

/* The backend leaves after the head is out: the client's line is a reset's. */
TEST(reset_line)
{
	int s = backend_listen("s", 16), client;
	size_t len;

	large_flusher();
	world_proxy("-c", "CustomLog x", "-r", "/app=s,flusher=file:f", NULL);
	client = client_open_small();
	send_text(client, GET);
	read_exact(client, buf, 100);
	ck_assert(readable(s, WORLD_PATIENCE));
	close(s);
	unlink("s");
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_RESET);
	close(client);
	check_backend(0, "GET /app HTTP/1.1", "- -", "/app", "s", "ENOENT");
	stop_with_lines("reset after its head was sent", 1);
}

/* Request lines are cut, lines are whole. */
TEST(cut)
{
	char request[3000] = "GET /";
	const char *line, *end;

	memset(request + 5, _i == 0 ? 'a' : '"', 2000);
	strcpy(request + 2005, " HTTP/1.1\r\nHost: x\r\n\r\n");
	world_proxy("-r", "/s=s", "-c", "CustomLog x", NULL);
	ck_assert_int_eq(status_of(exchange(request)), 404);
	line = strchr(log_line(0), '"');
	ck_assert_ptr_nonnull(line);
	end = strchr(line + 1, '"');
	ck_assert_ptr_nonnull(end);
	ck_assert_int_le(end - line - 1, 512);
	ck_assert_int_ge(end - line - 1, 500);
	ck_assert_int_eq(strncmp(line, _i == 0 ? "\"GET /aaa" :
	    "\"GET /\\x22\\x22", 9), 0);
	ck_contains(end, "\" 404 31 route=\"-\" ");
	ck_contains(end, " errno=-");
}

/* A renamed file is written to until SIGUSR1, then another of its name. */
TEST(rotated)
{
	long end;

	world_proxy("-r", "/s=s", "-c", "CustomLog x", NULL);
	ck_assert_int_eq(status_of(exchange(NONE)), 404);
	until_lines("x", 1);
	ck_assert_int_eq(rename("x", "x.0"), 0);
	ck_assert_int_eq(status_of(exchange(NONE)), 404);
	until_lines("x.0", 2);
	ck_assert_int_eq(access("x", F_OK), -1);
	world_signal(SIGUSR1);
	end = now_ms() + WORLD_PATIENCE;
	while (access("x", F_OK) == -1)
		ck_assert_int_lt(now_ms(), end);
	ck_assert_int_eq(status_of(exchange(GET)), 404);
	ck_contains(log_line(0), "\"GET /app HTTP/1.1\" 404");
	ck_assert_int_eq(count_lines(read_file("x.0")), 2);
}

/* ---- the status page ---- */

/* A sample of the page; -1: there is none. */
static long
value(const char *page, const char *name)
{
	char text[128];
	const char *p;

	snprintf(text, sizeof(text), "\n%s ", name);
	p = strstr(page, text);
	return p == NULL ? -1 : atol(p + strlen(text));
}

/* All samples of one name. */
static long
sum(const char *page, const char *name)
{
	char text[128];
	long n = 0;

	snprintf(text, sizeof(text), "\n%s{", name);
	while ((page = strstr(page, text)) != NULL) {
		page = strchr(page, '}');
		ck_assert_ptr_nonnull(page);
		n += atol(page + 1);
	}
	return n;
}

static const char *
status_page(void)
{
	const char *page = exchange(STATUS);

	ck_assert_int_eq(status_of(page), 200);
	ck_contains(page, "\r\nContent-Type: text/plain; version=0.0.4");
	ck_contains(page, "\r\nConnection: close\r\n");
	return page;
}

/* A disk that is full loses lines, and no client. */
TEST(full_disk)
{
	int s = backend_listen("s", 4), i;
	const char *page;

	world_proxy("-c", "CustomLog /dev/full", "-r", "/app=s", "-r",
	    "/status=status:", NULL);
	for (i = 0; i < 3; i++)
		check_served(client_open(), s, GET);
	page = status_page();
	ck_assert_int_eq(value(page, "fdproxy_log_lines_dropped_total"), 4);
	world_expect("warn: 4 log lines dropped");
}

/* A FIFO that holds little, and whose other end is us. */
static int
open_pipe(const char *name)
{
	int fd;

	ck_assert_int_eq(mkfifo(name, 0600), 0);
	fd = open(name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_ne(fcntl(fd, F_SETPIPE_SZ, 4096), -1);
	return fd;
}

/* The side of a new terminal that nobody reads; name leads to the other. */
static int
open_terminal(const char *name)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	ck_assert_int_ne(master, -1);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	ck_assert_int_eq(symlink(ptsname(master), name), 0);
	return master;
}

/* What is in a pipe, without waiting. */
static int
drain(int fd)
{
	int n = 0;
	ssize_t got;

	while ((got = read(fd, buf, 65536)) > 0) {
		buf[got] = '\0';
		n += count_lines(buf);
	}
	return n;
}

/* A reader that does not read loses lines, which are counted, and no client. */
TEST(blocked_reader)
{
	enum { N = 200 };
	int s = backend_listen("s", 4), pipe_end = open_pipe("pipe"), i;
	int lines, dropped;
	const char *page;

	world_proxy("-c", "CustomLog pipe", "-r", "/app=s", "-r",
	    "/status=status:", NULL);
	for (i = 0; i < N; i++)
		check_served(client_open(), s, GET);
	page = status_page();
	dropped = (int)value(page, "fdproxy_log_lines_dropped_total");
	lines = drain(pipe_end);
	ck_assert_int_gt(dropped, N / 2);
	ck_assert_int_gt(lines, 0);
	ck_assert_int_eq(lines + dropped, N + 1);
	/* It reads again: none is lost any more. */
	check_served(client_open(), s, GET);
	ck_assert(readable(pipe_end, WORLD_PATIENCE));
	ck_assert_int_eq(drain(pipe_end), 1);
	page = status_page();
	ck_assert_int_eq(value(page, "fdproxy_log_lines_dropped_total"),
	    dropped);
	snprintf(buf, sizeof(buf), "warn: %d log lines dropped", dropped);
	world_stop(buf);
	close(pipe_end);
}

/*
 * Messages, the same; on standard error too, whose O_NONBLOCK is not fdproxy's
 * to set.
 */
TEST(blocked_messages)
{
	enum { N = 200 };
	const char *name = _i == 0 ? "pipe" : "err";
	int pipe_end = open_pipe(name), i, lines;
	const char *line;
	char text[64];
	ssize_t n;

	world_proxy("-c", _i == 0 ? "ErrorLog pipe" :
	    "ErrorLog stderr", "-r", "/app=missing", NULL);
	for (i = 0; i < N; i++)
		ck_assert_int_eq(status_of(exchange(GET)), 503);
	lines = drain(pipe_end);
	ck_assert_int_gt(lines, 0);
	ck_assert_int_lt(lines, N / 2);
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	ck_assert(readable(pipe_end, WORLD_PATIENCE));
	n = read(pipe_end, buf, sizeof(buf) - 1);
	ck_assert_int_gt(n, 0);
	buf[n] = '\0';
	snprintf(text, sizeof(text), "fdproxy: warn: %d log lines dropped\n",
	    N - lines);
	/* In what is named like a file, behind the time. */
	line = _i == 0 ? strchr(buf, ']') : NULL;
	line = line == NULL ? buf : line + 2;
	ck_assert_int_eq(strncmp(line, text, strlen(text)), 0);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
	close(pipe_end);
}

/* Nor is it waited for when clients can connect, and its reader has stood still
   since before: it is a pipe, a terminal, or a socket. */
TEST(blocked_at_the_start)
{
	int s = backend_listen("s", 4), pair[2];

	if (_i < 2) {
		pair[0] = _i == 0 ? open_pipe("err") : open_terminal("err");
		pair[1] = open("err", O_WRONLY | O_NONBLOCK | O_NOCTTY |
		    O_CLOEXEC);
	} else {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		world_inherit(pair[1], STDERR_FILENO);
		fcntl(pair[1], F_SETFL, O_NONBLOCK);
	}
	while (write(pair[1], buf, 1024) > 0)
		;
	ck_assert(errno == EAGAIN);
	fcntl(pair[1], F_SETFL, 0);
	world_proxy("-v", "-r", "/app=s", NULL);
	check_served(client_open(), s, GET);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
	close(pair[0]);
	close(pair[1]);
}

/* A descriptor is what it is, however it is called. */
TEST(log_to_descriptor_2)
{
	world_proxy("-c", "CustomLog fd:2", NULL);
	ck_assert_int_eq(status_of(exchange(NONE)), 404);
	world_until_says("\" 404 ", 1);
	world_stop("");
}

/* A pipe that is shared is opened anew, with the rights of the start. */
TEST(pipe_opened_anew)
{
	int pipe_end = open_pipe("err"), fd;
	char name[64], target[256], own[256];
	bool found = false;
	ssize_t n;

	world_proxy("-u", "nobody", "-r", "/app=s", NULL);
	snprintf(own, sizeof(own), "%s/err", world_dir());
	for (fd = 3; fd < 32; fd++) {
		snprintf(name, sizeof(name), "/proc/%d/fd/%d",
		    (int)world_pid(), fd);
		n = readlink(name, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		found = found || strcmp(target, own) == 0;
	}
	ck_assert(found);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
	close(pipe_end);
}

/* A terminal that nobody reads holds up nobody. */
TEST(blocked_terminal)
{
	int master = open_terminal("err"), i;

	world_proxy("-r", "/app=missing", NULL);
	for (i = 0; i < 1000; i++)
		ck_assert_int_eq(status_of(exchange(GET)), 503);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
	close(master);
}

/* Every outcome: the page says what the clients have seen. */
TEST(counters)
{
	enum { SERVED = 3, ABSENT = 2, NOWHERE = 4 };
	int s = backend_listen("s", 16), r, fds, i, half, queued, client;
	const char *page;
	size_t len;

	large_flusher();
	world_proxy("-r", "/app/deep=s", "-r", "/app=s", "-r", "/no=missing",
	    "-r", "/wait=missing,wait=1min", "-r",
	    "/reset=r,flusher=file:f", "-r", "/x=!",
	    "-r", "/status=status:", "-c", "AcceptFilter http none", "-c",
	    "MaxConnections 10", "-r", "/app=s", NULL);
	fds = world_fds();
	for (i = 0; i < SERVED; i++)
		check_served(client_open(), s, GET);
	check_served(client_open(), s, "GET /app/deep/x HTTP/1.1\r\nHost: x"
	    "\r\n\r\n");
	for (i = 0; i < NOWHERE; i++)
		ck_assert_int_eq(status_of(exchange(NONE)), 404);
	for (i = 0; i < ABSENT; i++)
		ck_assert_int_eq(status_of(exchange("GET /no HTTP/1.1\r\n"
		    "Host: x\r\n\r\n")), 503);
	ck_assert_int_eq(status_of(exchange("GET\r\n\r\n")), 400);
	client = client_open();		/* gone, having said nothing */
	world_until_fds(fds + 1);
	close(client);
	world_until_fds(fds);
	r = backend_listen("r", 4);
	client = client_open_small();
	send_text(client, "GET /reset HTTP/1.1\r\nHost: x\r\n\r\n");
	read_exact(client, buf, 100);
	ck_assert(readable(r, WORLD_PATIENCE));
	close(r);
	unlink("r");
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_RESET);
	close(client);
	world_until_fds(fds);
	half = client_open();
	send_text(half, HALF);
	queued = client_open();
	send_text(queued, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
	world_until_fds(fds + 2);
	/* It has been read, and its backend tried. */
	for (i = 1; world_says("retries 0,") == i - 1; i++) {
		world_signal(SIGALRM);
		world_until_says("retries ", i);
	}

	page = status_page();
	ck_assert_int_eq(value(page, "fdproxy_accepted_total"), SERVED + 1 +
	    NOWHERE + ABSENT + 1 + 1 + 1 + 2 + 1);
	ck_assert_int_eq(value(page,
	    "fdproxy_handoffs_total{route=\"/app\"}"), SERVED);
	ck_assert_int_eq(value(page,
	    "fdproxy_handoffs_total{route=\"/app/deep\"}"), 1);
	ck_assert_int_eq(value(page,
	    "fdproxy_handoffs_total{route=\"/no\"}"), 0);
	ck_assert_int_eq(value(page, "fdproxy_handoffs_total{route=\"/x\"}"),
	    -1);
	ck_assert_int_eq(value(page,
	    "fdproxy_handoffs_total{route=\"/status\"}"), -1);
	/* The one that is never reached is no double. */
	ck_assert_ptr_null(strstr(strstr(page, "{route=\"/app\"}") + 1,
	    "{route=\"/app\"}"));
	ck_assert_int_eq(value(page,
	    "fdproxy_answered_total{status=\"404\"}"), NOWHERE);
	ck_assert_int_eq(value(page,
	    "fdproxy_answered_total{status=\"503\"}"), ABSENT);
	ck_assert_int_eq(value(page,
	    "fdproxy_answered_total{status=\"400\"}"), 1);
	ck_assert_int_eq(value(page,
	    "fdproxy_answered_total{status=\"200\"}"), 1);
	ck_assert_int_eq(value(page, "fdproxy_gone_total"), 1);
	ck_assert_int_eq(value(page, "fdproxy_reset_total"), 1);
	ck_assert_int_eq(value(page, "fdproxy_head_timeouts_total"), 0);
	ck_assert_int_eq(value(page, "fdproxy_evicted_total"), 0);
	ck_assert_int_ge(value(page, "fdproxy_backend_retries_total"), 1);
	ck_assert_int_eq(value(page, "fdproxy_accept_pauses_total"), 0);
	ck_assert_int_eq(value(page, "fdproxy_log_lines_dropped_total"), 0);
	ck_assert_int_eq(value(page, "fdproxy_waiting{for=\"head\"}"), 1);
	ck_assert_int_eq(value(page, "fdproxy_waiting{for=\"backend\"}"), 1);
	ck_assert_int_eq(value(page, "fdproxy_max_connections"), 10);
	ck_assert_int_eq(value(page, "fdproxy_open_descriptors"), fds + 3);
	ck_assert_int_le(value(page, "process_start_time_seconds"),
	    now_wall());
	ck_assert_int_ge(value(page, "process_start_time_seconds"),
	    now_wall() - 120);
	ck_contains(page, "\nfdproxy_build_info{version=\"");
	ck_assert_int_eq(value(page, "fdproxy_accepted_total"),
	    sum(page, "fdproxy_handoffs_total") +
	    sum(page, "fdproxy_answered_total") +
	    value(page, "fdproxy_gone_total") +
	    value(page, "fdproxy_reset_total") +
	    value(page, "fdproxy_waiting{for=\"head\"}") +
	    value(page, "fdproxy_waiting{for=\"backend\"}"));

	world_until_fds(fds + 2);
	world_signal(SIGALRM);
	snprintf(buf, sizeof(buf), "notice: accepted %d, passed %d, answered "
	    "%d, resets 1, gone 1, head timeouts 0, evicted 0, retries ",
	    SERVED + 1 + NOWHERE + ABSENT + 6, SERVED + 1,
	    NOWHERE + ABSENT + 2);
	world_until_says(buf, 1);
	world_until_says(", pauses 0, returned 0, waiting 2\n", 1);
	abandon(half);
	abandon(queued);
	world_expect("");
}

TEST(page_head)
{
	const char *answer;

	world_proxy("-r", "/status=status:", "-c", "ServerTokens Prod", NULL);
	answer = exchange("HEAD /status HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_int_eq(status_of(answer), 200);
	ck_contains(answer, "\r\nServer: fdproxy\r\n");
	ck_assert_str_eq(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
	ck_assert_int_eq(value(status_page(),
	    "fdproxy_answered_total{status=\"200\"}"), 2);
}

/* Counters begin anew with a renewal, but for that of renewals. */
TEST(page_renewed)
{
	int s = backend_listen("s", 4), t = backend_listen("t", 4);
	const char *page;

	write_file("conf", "ProxyPass /app fd://s\nProxyPass /old fd://s\n"
	    "ProxyPass /status status:\n");
	world_proxy("-f", "conf", NULL);
	check_served(client_open(), s, GET);
	check_served(client_open(), s, GET);
	write_file("conf", "ProxyPass /new fd://s\nProxyPass /app fd://t\n"
	    "ProxyPass /status status:\n");
	world_signal(SIGHUP);
	world_until_says("has been read again", 1);
	check_served(client_open(), t, GET);
	write_file("conf", "Not this\n");
	world_signal(SIGHUP);
	world_until_says("stays as it was", 1);
	page = status_page();
	ck_assert_int_eq(value(page,
	    "fdproxy_handoffs_total{route=\"/app\"}"), 1);
	ck_assert_int_eq(value(page,
	    "fdproxy_handoffs_total{route=\"/new\"}"), 0);
	ck_assert_int_eq(value(page,
	    "fdproxy_handoffs_total{route=\"/old\"}"), -1);
	ck_assert_int_eq(value(page, "fdproxy_reloads_total{result=\"ok\"}"),
	    1);
	ck_assert_int_eq(value(page,
	    "fdproxy_reloads_total{result=\"failed\"}"), 1);
	ck_assert_int_eq(value(page, "fdproxy_accepted_total"), 2);
	world_expect("");
}

/* Processor time it has used, in clock ticks. */
static long
ticks(void)
{
	char name[64], text[1024] = "";
	unsigned long user = 0, sys = 0;
	const char *p;

	snprintf(name, sizeof(name), "/proc/%d/stat", (int)world_pid());
	snprintf(text, sizeof(text), "%.1000s", read_file(name));
	p = strrchr(text, ')');
	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u "
	    "%*u %lu %lu", &user, &sys), 2);
	return (long)(user + sys);
}

/* So many routes that the page is longer than buffers are. */
static int
many_routes(void)
{
	int n = world_torture() ? 300 : 3000, i;
	char path[2048];
	FILE *f = fopen("conf", "w");

	ck_assert_ptr_nonnull(f);
	memset(path, 'x', sizeof(path));
	path[world_torture() ? 10 : 2000] = '\0';
	fprintf(f, "ProxyPass /status status:\n");
	for (i = 0; i < n; i++)
		fprintf(f, "ProxyPass /%d-%s fd://s\n", i, path);
	ck_assert_int_eq(fclose(f), 0);
	return n;
}

/* A client that reads slowly gets all of it; nobody spins for it. */
TEST(page_whole)
{
	int n = many_routes(), client, i;
	long end = now_ms() + WORLD_PATIENCE, sleeps, used;
	char text[32];
	const char *p;
	size_t len;

	world_proxy("-f", "conf", "-l", local("front"), NULL);
	client = _i == 0 ? client_open_small() : client_unix("front");
	send_text(client, STATUS);
	read_exact(client, buf, 100);
	if (!world_torture()) {
		/* As far as it can be, it rests. */
		do {
			ck_assert_int_lt(now_ms(), end);
			used = ticks();
			sleeps = world_sleeps();
			poll(NULL, 0, 300);
		} while (ticks() - used > 5 || world_sleeps() - sleeps > 20);
		ck_assert_int_eq(status_of(exchange(NONE)), 404);
	}
	ck_assert_int_eq(read_all(client, buf + 100, sizeof(buf) - 100, &len),
	    END_FIN);
	ck_assert_int_eq(status_of(buf), 200);
	for (p = buf, i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "{route=\"/%d-", i);
		p = strstr(p, text);
		ck_assert_msg(p != NULL, "no %s", text);
	}
	p = strchr(p, '}');
	ck_assert_ptr_nonnull(p);
	ck_assert_str_eq(p, "} 0\n");
}

/* A page that is cut does not look whole. */
TEST(page_cut)
{
	int client, fds;
	size_t len;

	many_routes();
	world_proxy("-f", "conf", "-c", "Timeout 200ms", NULL);
	fds = world_fds();
	client = client_open_small();
	send_text(client, STATUS);
	ck_assert(readable(client, WORLD_PATIENCE));
	world_until_fds(fds);
	read_all(client, buf, sizeof(buf), &len);
	ck_assert_ptr_nonnull(strstr(buf, "\r\n\r\n"));
	ck_assert_uint_lt(len, (size_t)(strstr(buf, "\r\n\r\n") + 4 - buf) +
	    strtoul(strstr(buf, "Content-Length: ") + 16, NULL, 10));
}

/* ---- the pid file ---- */

static void
check_pid_file(pid_t pid)
{
	snprintf(buf, sizeof(buf), "%d\n", (int)pid);
	ck_assert_str_eq(read_file("p"), buf);
}

/* It names the process, as soon as clients can connect, and goes with it. */
TEST(pid_file)
{
	pid_t first;

	write_file("p", "99999999999\n");
	world_proxy("-r", "/app=s", "-c", "PidFile p", NULL);
	first = world_pid();
	check_pid_file(first);
	world_spawn("-c", "PidFile p", "-l", "127.0.0.1:0", NULL);
	ck_assert_int_eq(world_exit(), 1);
	snprintf(buf, sizeof(buf), "it runs already, as process %d\n",
	    (int)first);
	ck_contains(world_errors(), buf);
	check_pid_file(first);
	world_adopt(first);
	ck_assert_int_eq(status_of(exchange(NONE)), 404);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
	ck_assert_int_eq(access("p", F_OK), -1);
	/* After a crash it is there, and nobody's. */
	world_proxy("-r", "/app=s", "-c", "PidFile p", NULL);
	world_signal(SIGKILL);
	world_wait();
	ck_assert_int_eq(access("p", F_OK), 0);
	world_proxy("-r", "/app=s", "-c", "PidFile p", NULL);
	check_pid_file(world_pid());
	world_stop(NULL);
	ck_assert_int_eq(access("p", F_OK), -1);
}

/* Who does not get ready does not say so. */
TEST(pid_file_not_ready)
{
	backend_listen("live", 4);
	world_spawn("-c", "PidFile p", "-l", local("live"), NULL);
	ck_assert_int_eq(world_exit(), 1);
	ck_contains(world_errors(), "cannot listen on ");
	ck_assert_int_eq(access("p", F_OK), -1);
	world_spawn("-c", "PidFile none/p", "-l", "127.0.0.1:0", NULL);
	ck_assert_int_eq(world_exit(), 1);
	ck_contains(world_errors(), "cannot open ");
	world_spawn("-t", "-c", "PidFile p", "-l", "127.0.0.1:0", NULL);
	ck_assert_int_eq(world_exit(), 0);
	ck_assert_int_eq(access("p", F_OK), -1);
}

/* The rights to remove it are gone: it is emptied. */
TEST(pid_file_emptied)
{
	world_proxy("-r", "/app=s", "-c", "PidFile p", "-u", "65534",
	    NULL);
	check_pid_file(world_pid());
	world_stop(NULL);
	ck_assert_int_eq(access("p", F_OK), 0);
	ck_assert_str_eq(read_file("p"), "");
}

/* ---- the daemon ---- */

static void
check_link(pid_t pid, const char *what, const char *target)
{
	char name[64], got[256];
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/%d/%s", (int)pid, what);
	n = readlink(name, got, sizeof(got) - 1);
	got[n > 0 ? n : 0] = '\0';
	ck_assert_str_eq(got, target);
}

static void
check_daemon(pid_t pid)
{
	ck_assert_int_eq(getsid(pid), pid);
	ck_assert_int_ne(getsid(0), pid);
	check_link(pid, "fd/0", "/dev/null");
	check_link(pid, "fd/1", "/dev/null");
	check_link(pid, "fd/2", "/dev/null");
	check_link(pid, "cwd", world_dir());
}

/* Our own from its birth on: its first parent ends at once. */
static pid_t
adopt_daemon(void)
{
	pid_t pid = atoi(read_file("p"));

	ck_assert_int_gt(pid, 1);
	world_adopt(pid);
	ck_assert_int_eq(kill(pid, 0), 0);
	return pid;
}

/* At once, unlike client_unix(). */
static int
connect_once(const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, name);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
	    0);
	return fd;
}

/* The parent ends when clients can connect; the child is on its own. */
TEST(daemon_starts)
{
	int s = backend_listen("s", 4), pair[2];
	long end;
	pid_t parent, pid;

	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	ck_assert_int_eq(pipe(pair), 0);
	fcntl(pair[0], F_SETFD, FD_CLOEXEC);
	world_inherit(pair[1], 6);
	close(pair[1]);
	write_file("conf", "ProxyPass /app fd://s\nPidFile p\nErrorLog log\n");
	world_spawn("-d", "-1", "-N", "6", "-f", "conf", "-l", local("front"),
	    NULL);
	parent = world_pid();
	ck_assert_int_eq(world_exit(), 0);
	check_served(connect_once("front"), s, GET);
	snprintf(buf, sizeof(buf), "%s\n", local("front"));
	ck_assert_str_eq(read_file("out"), buf);
	ck_assert_int_eq(read(pair[0], buf, 2), 1);
	ck_assert_int_eq(read(pair[0], buf, 1), 0);
	ck_assert_str_eq(world_errors(), "");
	pid = adopt_daemon();
	ck_assert_int_ne(pid, parent);
	check_daemon(pid);
	/* And stays so. */
	write_file("conf", "PidFile p\nErrorLog log\nProxyPass /app !\n"
	    "ProxyPass /new fd://s\n");
	world_signal(SIGHUP);
	until_file("log", "the configuration has been read again");
	check_served(client_unix("front"), s, "GET /new HTTP/1.1\r\nHost: x"
	    "\r\n\r\n");
	world_signal(SIGUSR2);
	end = now_ms() + WORLD_PATIENCE;
	while (strstr(strstr(read_file("log"), "renewed: ") + 1,
	    "renewed: ") == NULL)
		ck_assert_int_lt(now_ms(), end);
	check_daemon(pid);
	ck_assert_int_eq(atoi(read_file("p")), pid);
	check_served(client_unix("front"), s, "GET /new HTTP/1.1\r\nHost: x"
	    "\r\n\r\n");
	write_file("conf", "Not this\n");
	world_signal(SIGHUP);
	until_file("log", "error: conf:1: unknown directive");
	until_file("log", "error: the configuration stays as it was");
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
	until_file("log", "notice: stopping");
	ck_assert_int_eq(access("p", F_OK), -1);
	ck_assert_int_eq(access("front", F_OK), -1);
	ck_assert_str_eq(world_errors(), "");
	close(pair[0]);
}

static const struct {
	const char *directive;
	int status;
	const char *says;
} failures[] = {
	{ "ErrorLog log", 1, "error: cannot listen on unix:/" },
	{ "ErrorLog none/log", 1, "error: cannot open " },
	{ "CustomLog none/log", 1, "error: cannot open " },
	{ "User no-such-user", 1, "" },
	{ "Not this", 2, "unknown directive" }
};

/* The parent's status is that of who could not start, after its messages. */
/* A daemon's descriptor 2 is another's; its log is not. */
TEST(daemon_logs_to_stderr)
{
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	world_spawn("-d", "-l", local("front"), "-c", "ErrorLog stderr", "-c",
	    "PidFile p", "-r", "/app=missing", NULL);
	ck_assert_int_eq(world_exit(), 0);
	until_file("p", "\n");
	world_adopt(adopt_daemon());
	world_signal(SIGTERM);
	until_file("err", "stopping; ");
	ck_assert_int_eq(world_exit(), 0);
}

/* Who starts it gets its status, and can give it up. */
TEST(daemon_given_up)
{
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	if (_i == 0) {
		signal(SIGCHLD, SIG_IGN);
		world_spawn("-d", "-l", local("front"), "no-such-command",
		    NULL);
		signal(SIGCHLD, SIG_DFL);
		ck_assert_int_eq(world_exit(), 127);
		return;
	}
	world_spawn("-d", "-l", local("front"), "-r", "/app=s", "sh", "-c",
	    "echo >up; exec sleep 60", NULL);
	until_file("up", "\n");
	world_signal(SIGINT);
	ck_assert_int_eq(world_exit(), 128 + SIGTERM);
	ck_assert_int_eq(access("front", F_OK), -1);
}

TEST(daemon_fails)
{
	backend_listen("live", 4);
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	world_spawn("-d", "-l", local("live"), "-c", "PidFile p", "-c",
	    failures[_i].directive, NULL);
	ck_assert_int_eq(world_exit(), failures[_i].status);
	ck_contains(world_errors(), failures[_i].says);
	ck_assert_int_eq(access("p", F_OK), -1);
	ck_assert_str_eq(read_file("out"), "");
}

/* ---- listeners ---- */

static struct stat
file_status(const char *name)
{
	struct stat st;

	ck_assert_int_eq(stat(name, &st), 0);
	return st;
}

TEST(listener_mode)
{
	mode_t old = umask(027);
	char text[512];

	snprintf(text, sizeof(text), "Listen %s mode=0601\n", local("a"));
	write_file("conf", text);
	world_proxy("-f", "conf", "-l", local("b"), NULL);
	umask(old);
	ck_assert_uint_eq(file_status("a").st_mode & 07777, 0601);
	ck_assert_uint_eq(file_status("b").st_mode & 07777, 0750);
	/* One that stays gets another. */
	snprintf(text, sizeof(text), "Listen %s mode=0666\n", local("a"));
	write_file("conf", text);
	world_signal(SIGHUP);
	world_until_says("has been read again", 1);
	ck_assert_uint_eq(file_status("a").st_mode & 07777, 0666);
	world_stop("");
	world_spawn("-c", "Listen unix:/tmp/x mode=9", NULL);
	ck_assert_int_eq(world_exit(), 2);
	world_spawn("-c", "Listen unix:/tmp/x mode=1777", NULL);
	ck_assert_int_eq(world_exit(), 2);
}

TEST(listener_owner)
{
	char text[512];

	snprintf(text, sizeof(text), "Listen unix:%s/a owner=65534 "
	    "group=65533 mode=0660\nListen unix:%s/b group=65532\n",
	    world_dir(), world_dir());
	write_file("conf", text);
	world_proxy("-f", "conf", "-r", "/app=s", "-u", "65534", NULL);
	ck_assert_uint_eq(file_status("a").st_uid, 65534);
	ck_assert_uint_eq(file_status("a").st_gid, 65533);
	ck_assert_uint_eq(file_status("a").st_mode & 07777, 0660);
	ck_assert_uint_eq(file_status("b").st_uid, 0);
	ck_assert_uint_eq(file_status("b").st_gid, 65532);
	close(client_unix("a"));
	/* Nothing changes for an owner whom nobody knows. */
	snprintf(text, sizeof(text), "Listen %s owner=no-such-user\n"
	    "Listen %s\n", local("a"), local("b"));
	write_file("conf", text);
	world_signal(SIGHUP);
	world_until_says("unknown user no-such-user", 1);
	world_until_says("the configuration stays as it was", 1);
	/* What is not the user's to change stays, and is told. */
	snprintf(text, sizeof(text), "Listen unix:%s/a mode=0600\n"
	    "Listen unix:%s/b mode=0600\n", world_dir(), world_dir());
	write_file("conf", text);
	world_signal(SIGHUP);
	world_until_says("has been read again", 1);
	ck_assert_uint_eq(file_status("a").st_mode & 07777, 0600);
	ck_assert_uint_eq(file_status("b").st_mode & 07777, 0755);
	snprintf(text, sizeof(text), "%s/b keeps its owner and mode: ",
	    world_dir());
	world_stop(text);
	/* A name that nobody has: nothing is left behind. */
	snprintf(text, sizeof(text), "Listen %s owner=no-such-user",
	    local("c"));
	world_spawn("-c", text, NULL);
	ck_assert_int_eq(world_exit(), 1);
	ck_contains(world_errors(), "unknown user no-such-user");
	ck_assert_int_eq(access("c", F_OK), -1);
}

/* A name that is ours alone, with what stands in front of it. */
static const char *
abstract(const char *scheme, const char *name)
{
	static char text[2][128];
	static int i;

	i = !i;
	snprintf(text[i], sizeof(text[i]), "%s@%s/%s", scheme, world_dir(),
	    name);
	return text[i];
}

static int
abstract_listen(const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *full = abstract("", name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(addr.sun_path + 1, full + 1, strlen(full) - 1);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, (socklen_t)
	    (offsetof(struct sockaddr_un, sun_path) + strlen(full))), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	return fd;
}

TEST(unnamed_client)
{
	int client;
	char front[128];
	size_t len;

	snprintf(front, sizeof(front), "unix:%s/front", world_dir());
	world_proxy("-r", "/app=missing", "-l", front, NULL);
	client = client_unix("front");
	send_text(client, GET);
	read_all(client, buf, sizeof(buf), &len);
	world_expect("error: unix:: cannot connect to ");
}

/* No file, neither in front nor behind. */
TEST(abstract_names)
{
	int s, client, other;
	char text[512], expected[256];

	snprintf(text, sizeof(text), "ProxyPass /app fd://%s\n"
	    "ProxyPass /wait fd://%s wait=1min flusher=none\nCustomLog x\n",
	    abstract("", "s"), abstract("", "w"));
	write_file("conf", text);
	world_proxy("-f", "conf", "-l", abstract("unix:", "front"), NULL);
	ck_assert_str_eq(world_line(1), abstract("unix:", "front"));
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	snprintf(expected, sizeof(expected), "\"GET /app HTTP/1.1\" 503 34 "
	    "route=\"/app\" backend=\"%s\" ms= errno=ECONNREFUSED",
	    abstract("", "s"));
	check_line(0, "127.0.0.1", expected);
	s = abstract_listen("s");
	check_served(client_open(), s, GET);
	check_served(client_unix(abstract("", "front")), s, GET);
	snprintf(expected, sizeof(expected), "\"GET /app HTTP/1.1\" 200 - "
	    "route=\"/app\" backend=\"%s\" ms= errno=-", abstract("", "s"));
	check_line(1, "127.0.0.1", expected);
	check_line(2, "unix", expected);
	/* One that comes later; and one whose name is only its beginning. */
	client = client_open();
	send_text(client, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
	other = abstract_listen("wx");
	ck_assert(!readable(other, 100));
	close(other);
	other = abstract_listen("w");
	close(backend_take(other));
	close(client);
	close(other);
	/* Taken: said so, and nothing changes. */
	other = abstract_listen("taken");
	snprintf(text, sizeof(text), "Listen %s\n", abstract("unix:",
	    "taken"));
	write_file("conf", text);
	world_signal(SIGHUP);
	world_until_says("stays as it was", 1);
	close(other);
	world_signal(SIGHUP);
	world_until_says("has been read again", 1);
	close(client_unix(abstract("", "taken")));
	close(client_unix(abstract("", "front")));
	close(s);
	world_expect("");
}

int
main(int argc, char **argv)
{
	int root = geteuid() == 0;
	const struct test tests[] = {
		ONCE(passed),
		ONCE(passed_later),
		ONCE(ipv4_of_both),
		TIMES(answered, COUNT(answers)),
		TIMES(no_backend, COUNT(missing)),
		ONCE(late),
		ONCE(evicted),
		ONCE(reset_line),
		TIMES(cut, 2),
		ONCE(rotated),
		ONCE(full_disk),
		ONCE(blocked_reader),
		TIMES(blocked_messages, 2),
		TIMES(blocked_at_the_start, 3),
		ONCE(blocked_terminal),
		ONCE(log_to_descriptor_2),
		TIMES(pipe_opened_anew, root),
		ONCE(daemon_logs_to_stderr),
		ONCE(counters),
		ONCE(page_head),
		ONCE(page_renewed),
		TIMES(page_whole, 2),
		TIMES(page_cut, !world_torture()),
		ONCE(pid_file),
		ONCE(pid_file_not_ready),
		TIMES(pid_file_emptied, root),
		ONCE(daemon_starts),
		TIMES(daemon_fails, COUNT(failures)),
		TIMES(daemon_given_up, 2),
		ONCE(listener_mode),
		TIMES(listener_owner, root),
		ONCE(unnamed_client),
		ONCE(abstract_names)
	};

	return runner_run(argc, argv, tests, COUNT(tests), world_begin,
	    world_end);
}
