/* See LICENSE for copyright and license details. */

/*
 * fdproxy as a part of other programs' tests: its events as JSON, output that
 * is the same every time, an end by itself, many instances at once.
 */

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

#define GET	"GET /app HTTP/1.1\r\nHost: x\r\n\r\n"
#define EPOCH	"Thu, 01 Jan 1970 00:00:00 GMT"
#define EVENTS	9		/* its descriptor of them */
#define PARALLEL 50

static char buf[65536];
static char binary[4096];

static void
begin(void)
{
	const char *name = getenv("FDPROXY");

	ck_assert_ptr_nonnull(realpath(name == NULL ? "./fdproxy" : name,
	    binary));
	world_begin();
}

/* ---- JSON (RFC 8259), strict; each returns what follows, or NULL ---- */

static const char *
digits(const char *p)
{
	if (!isdigit((unsigned char)*p))
		return NULL;
	while (isdigit((unsigned char)*p))
		p++;
	return p;
}

static const char *
json_number(const char *p)
{
	p += *p == '-';
	p = *p == '0' ? p + 1 : digits(p);
	if (p != NULL && *p == '.')
		p = digits(p + 1);
	if (p != NULL && (*p == 'e' || *p == 'E')) {
		p++;
		p = digits(p + (*p == '+' || *p == '-'));
	}
	return p;
}

/* Ours has no byte beyond ASCII. */
static const char *
json_string(const char *p)
{
	int i;

	if (*p++ != '"')
		return NULL;
	for (; *p != '"'; p++) {
		if (*p < 0x20 || *p > 0x7e)
			return NULL;
		if (*p != '\\')
			continue;
		p++;
		if (*p == '\0' || strchr("\"\\/bfnrtu", *p) == NULL)
			return NULL;
		for (i = *p == 'u' ? 4 : 0; i > 0; i--)
			if (!isxdigit((unsigned char)*++p))
				return NULL;
	}
	return p + 1;
}

/* An object of strings and numbers, no name twice, and then the end. */
static bool
is_json(const char *p)
{
	char names[512] = ",", name[64];
	const char *end;

	if (*p++ != '{')
		return false;
	for (;; p++) {
		end = json_string(p);
		if (end == NULL || *end != ':')
			return false;
		snprintf(name, sizeof(name), ",%.*s,", (int)(end - p), p);
		if (strstr(names, name) != NULL)
			return false;
		strcat(names, name + 1);
		p = end[1] == '"' ? json_string(end + 1) :
		    json_number(end + 1);
		if (p == NULL)
			return false;
		if (*p != ',')
			return strcmp(p, "}") == 0;
	}
}

static const char *const good[] = { "{\"a\":1}",
    "{\"a\":-0.5e+7,\"b\":\"\\u00ff\\\"\\\\\"}", "{\"a\":\"\"}" };
static const char *const bad[] = { "", "{}x", "{\"a\":1",
    "{\"a\":1,}", "{\"a\":01}", "{\"a\":1}\n", "{'a':1}",
    "{\"a\":\"\\x41\"}", "{\"a\":\"\x80\"}", "{\"a\":\"\t\"}",
    "{\"a\":\"\\u00f\"}", "{\"a\":1,\"a\":2}", "{\"a\":.5}",
    "{\"a\"=1}", "{\"a\":\"}", "{\"a\":1}}", "{\"a\":nan}" };

/* The checker itself. */
TEST(json)
{
	int i;

	for (i = 0; i < COUNT(good); i++)
		ck_assert_msg(is_json(good[i]), "%s", good[i]);
	for (i = 0; i < COUNT(bad); i++)
		ck_assert_msg(!is_json(bad[i]), "%s", bad[i]);
}

/* ---- events ---- */

static int events = -1;

/* The next fdproxy writes its events to us. */
static void
listen_to_events(void)
{
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	fcntl(fd[0], F_SETFD, FD_CLOEXEC);
	world_inherit(fd[1], EVENTS);
	close(fd[1]);
	events = fd[0];
}

static const char *
next_line(void)
{
	static char line[4096];
	size_t len = 0;

	do {
		ck_assert_uint_lt(len, sizeof(line) - 1);
		read_exact(events, line + len, 1);
	} while (line[len++] != '\n');
	line[len - 1] = '\0';
	ck_assert_msg(is_json(line), "not JSON: %s", line);
	return line;
}

/*
 * The next event has exactly this behind its number and its time, which only
 * grows, and at least is min.
 */
static void	expect_event(int id, long min, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
expect_event(int id, long min, const char *fmt, ...)
{
	static long last;
	static int last_id;
	const char *line = next_line();
	char want[2048];
	va_list ap;
	int got = -1, n = -1;
	long ms = -1;

	va_start(ap, fmt);
	vsnprintf(want, sizeof(want), fmt, ap);
	va_end(ap);
	ck_assert_msg(sscanf(line, "{\"id\":%d,\"ms\":%ld,\"event\":\"%n", &got,
	    &ms, &n) == 2 && n > 0, "%s", line);
	ck_assert_str_eq(line + n, want);
	ck_assert_int_eq(got, id);
	if (id != last_id || strncmp(want, "accepted", 8) == 0)
		last = 0;
	ck_assert_int_ge(ms, last > min ? last : min);
	ck_assert_int_lt(ms, 60000);
	last_id = id;
	last = ms;
}

static void
expect_accepted(int id, int client)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	ck_assert_int_eq(getsockname(client, (struct sockaddr *)&addr, &len),
	    0);
	expect_event(id, 0, "accepted\",\"client\":\"127.0.0.1:%d\"}",
	    ntohs(addr.sin_port));
}

static void
expect_head(int id, const char *method, const char *target)
{
	expect_event(id, 0, "head\",\"method\":\"%s\",\"target\":\"%s\"}",
	    method, target);
}

static void
expect_route(int id, const char *route, const char *socket)
{
	expect_event(id, 0, "route\",\"route\":\"%s\",\"backend\":\"%s/%s\"}",
	    route, world_dir(), socket);
}

/* fdproxy ends, and there was nothing more; it may have said the text. */
static void
expect_no_event(const char *text)
{
	char c;

	world_stop(text);
	ck_assert(readable(events, WORLD_PATIENCE));
	ck_assert_int_eq(read(events, &c, 1), 0);
	close(events);
}

/* Client and backend of a hand-off that works. */
static void
hand_off(int client, int listener)
{
	size_t len;
	int fd;

	send_text(client, GET);
	fd = backend_take(listener);
	shutdown(fd, SHUT_WR);
	close(fd);
	read_all(client, buf, sizeof(buf), &len);
}

static const struct {
	const char *flusher;
	int status;
} flushers[] = { { "flush", 200 }, { "none", 0 } };

TEST(events_of_hand_off)
{
	int listener = backend_listen("s", 16), client, id;
	char route[64];

	snprintf(route, sizeof(route), "/app=s,flusher=%s",
	    flushers[_i].flusher);
	listen_to_events();
	world_proxy("-c", "CustomLog fd:9 json", "-r", route, NULL);
	for (id = 1; id <= 2; id++) {
		client = client_open();
		hand_off(client, listener);
		expect_accepted(id, client);
		expect_head(id, "GET", "/app");
		expect_route(id, "/app", "s");
		expect_event(id, 0, "connected\"}");
		expect_event(id, 0, "flushed\"}");
		expect_event(id, 0, "passed\",\"status\":%d,\"errno\":0}",
		    flushers[_i].status);
		close(client);
	}
	expect_no_event(NULL);
}

static const struct {
	const char *request;
	const char *method;	/* or NULL */
	const char *target;
	const char *route;	/* or NULL */
	int status;
} answers[] = {
	{ "GET /none?q HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/none?q",
	    NULL, 404 },
	{ "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS", "*",
	    NULL, 200 },
	{ "GET /status HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/status",
	    "/status", 200 },
	{ "HEAD /ready HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD", "/ready",
	    "/ready", 200 },
	{ "GET / HTTP/2.0\r\nHost: x\r\n\r\n", NULL, "", NULL, 505 },
	{ "GET /\x01\x1f HTTP/1.1\r\nHost: x\r\n\r\n", NULL, "", NULL,
	    400 }
};

/* Answers of its own, with and without a head that could be read. */
TEST(events_of_answers)
{
	int client;
	size_t len;

	listen_to_events();
	world_proxy("-c", "CustomLog fd:9 json", "-r", "/status=status:",
	    "-r", "/ready=ready:", NULL);
	client = client_open();
	send_text(client, answers[_i].request);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), answers[_i].status);
	expect_accepted(1, client);
	close(client);
	if (answers[_i].method != NULL)
		expect_head(1, answers[_i].method, answers[_i].target);
	if (answers[_i].route != NULL)
		expect_event(1, 0, "route\",\"route\":\"%s\",\"backend\":\"\"}",
		    answers[_i].route);
	expect_event(1, 0, "answered\",\"status\":%d,\"errno\":0}",
	    answers[_i].status);
	expect_no_event(NULL);
}

static const struct {
	const char *socket;
	int status;
	const char *error;
	long ms;
} failing[] = {
	{ "missing", 503, "ENOENT", 0 },
	{ "stale", 503, "ECONNREFUSED", 0 },
	{ "dir", 500, "ENOTSOCK", 0 },
	{ "full", 503, "EAGAIN", 190 }
};

TEST(events_of_failing_backend)
{
	int client;
	char route[64];
	size_t len;

	close(backend_listen("stale", 1));
	mkdir("dir", 0755);
	backend_listen("full", 1);
	client_unix("full");
	client_unix("full");
	snprintf(route, sizeof(route), "/app=%s,connectiontimeout=200ms",
	    failing[_i].socket);
	listen_to_events();
	world_proxy("-c", "CustomLog fd:9 json", "-r", route, NULL);
	client = client_open();
	send_text(client, GET);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	expect_accepted(1, client);
	expect_head(1, "GET", "/app");
	expect_route(1, "/app", failing[_i].socket);
	expect_event(1, failing[_i].ms,
	    "answered\",\"status\":%d,\"errno\":\"%s\"}", failing[_i].status,
	    failing[_i].error);
	close(client);
	expect_no_event("cannot connect to ");
}

/*
 * The backend goes away between connection and message: for good, or only from
 * this connection.
 */
TEST(events_of_lost_backend)
{
	static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
	size_t left = world_torture() ? 60000 : 8 * 1024 * 1024, len;
	int listener = backend_listen("s", 16), client;
	FILE *f = fopen("large", "w");
	bool stays = _i == 1;
	ssize_t n;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fprintf(f, "%s%*s", head, (int)(left - strlen(head)),
	    ""), (int)left);
	ck_assert_int_eq(fclose(f), 0);
	listen_to_events();
	world_proxy("-c", "CustomLog fd:9 json", "-r",
	    "/app=s,flusher=file:large", NULL);
	client = client_open_small();
	send_text(client, GET);
	ck_assert(readable(listener, WORLD_PATIENCE));
	close(accept(listener, NULL, NULL));
	if (!stays)
		close(listener);
	expect_accepted(1, client);
	expect_head(1, "GET", "/app");
	expect_route(1, "/app", "s");
	expect_event(1, 0, "connected\"}");
	if (stays) {
		for (; left > 0; left -= len) {
			len = left < sizeof(buf) ? left : sizeof(buf);
			read_exact(client, buf, len);
		}
		expect_event(1, 0, "flushed\"}");
		backend_take(listener);
		/* Of a file's status nothing is known. */
		expect_event(1, 0, "passed\",\"status\":0,\"errno\":0}");
	} else {
		do {
			n = recv(client, buf, sizeof(buf), 0);
		} while (n > 0);
		ck_assert_int_eq(n, -1);
		ck_assert_int_eq(errno, ECONNRESET);
		expect_event(1, 0, "flushed\"}");
		expect_event(1, 0, "error\",\"errno\":\"ECONNREFUSED\"}");
		expect_event(1, 0, "reset\",\"status\":0,"
		    "\"errno\":\"ECONNREFUSED\"}");
	}
	close(client);
	expect_no_event(stays ? NULL : "reset after its head was sent");
}

/* A client that goes away in the middle of its head. */
TEST(events_of_gone_client)
{
	int client;
	size_t len;

	listen_to_events();
	world_proxy("-c", "CustomLog fd:9 json", "-r", "/app=s", NULL);
	client = client_open();
	send_text(client, "GET /ap");
	shutdown(client, SHUT_WR);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_uint_eq(len, 0);
	expect_accepted(1, client);
	expect_event(1, 0, "gone\",\"status\":0,\"errno\":0}");
	close(client);
	expect_no_event(NULL);
}

/* Bytes that JSON, or a line, could not have. */
TEST(events_are_quoted)
{
	int listener = backend_listen("s", 16), client;
	char route[64];

	listen_to_events();
	snprintf(route, sizeof(route),
	    "ProxyPass '/a\"b\\\xc3\xa4\x01' fd://s");
	world_proxy("-c", "CustomLog fd:9 json", "-c", route, NULL);
	client = client_open();
	send_text(client, "G%\"T /a\"b HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_accepted(1, client);
	expect_event(1, 0, "answered\",\"status\":400,\"errno\":0}");
	close(client);
	client = client_open();
	send_text(client, "G%'T /a\"b%5c\xc3\xa4%01?\\u00\x80\xff HTTP/1.1\r\n"
	    "Host: x\r\n\r\n");
	close(backend_take(listener));
	expect_accepted(2, client);
	expect_head(2, "G%'T", "/a\\u0022b%5c\\u00c3\\u00a4%01?"
	    "\\u005cu00\\u0080\\u00ff");
	expect_route(2, "/a\\u0022b\\u005c\\u00c3\\u00a4\\u0001", "s");
	close(events);
	world_expect("");
}

/* What is too long for a line is cut; the line is whole. */
TEST(events_are_cut)
{
	int client;
	size_t len, i;
	char c[] = { 'a', '"', '\xff' };

	listen_to_events();
	world_proxy("-c", "CustomLog fd:9 json", "-r", "/app=s", NULL);
	for (i = 0; i < 3; i++) {
		len = (size_t)sprintf(buf, "%064d /", 0);
		memset(buf + len, c[i], 7000);
		strcpy(buf + len + 7000, " HTTP/1.1\r\nHost: x\r\n\r\n");
		client = client_open();
		send_text(client, buf);
		expect_accepted((int)i + 1, client);
		ck_contains(next_line(), "\"event\":\"head\"");
		expect_event((int)i + 1, 0,
		    "answered\",\"status\":404,\"errno\":0}");
		close(client);
	}
	expect_no_event("");
}

/* In a file: as many lines as ever, each whole, whoever was served between. */
TEST(events_in_file)
{
	enum { N = 30 };
	int listener = backend_listen("s", N), client[N], i, lines = 0;
	char line[4096];
	FILE *f;

	world_proxy("-c", "CustomLog log json", "-r", "/app=s", NULL);
	for (i = 0; i < N; i++) {
		client[i] = client_open();
		send_text(client[i], "GET /app");
	}
	for (i = 0; i < N; i++)
		send_text(client[i], " HTTP/1.0\r\n\r\n");
	for (i = 0; i < N; i++)
		close(backend_take(listener));
	close_all(client, N);
	world_stop(NULL);
	f = fopen("log", "r");
	ck_assert_ptr_nonnull(f);
	for (; fgets(line, sizeof(line), f) != NULL; lines++) {
		line[strcspn(line, "\n")] = '\0';
		ck_assert_msg(is_json(line), "%s", line);
	}
	fclose(f);
	ck_assert_int_eq(lines, 6 * N);
}

TEST(events_to_nowhere)
{
	world_spawn("-l", "127.0.0.1:0", "-r", "/app=s", "-c",
	    "CustomLog fd:9 json", NULL);
	ck_assert_int_eq(world_exit(), 1);
	ck_contains(world_errors(), "fd:9");
}

/* ---- the same output every time ---- */

static const struct {
	const char *date;
	const char *tokens;
	const char *fields;
} outputs[] = {
	{ "Date off", "ServerTokens None", "" },
	{ "Date \"" EPOCH "\"", "ServerTokens None",
	    "Date: " EPOCH "\r\n" },
	{ "Date off", "ServerTokens Prod", "Server: fdproxy\r\n" },
	{ "Date \"" EPOCH "\"", "ServerTokens Prod",
	    "Date: " EPOCH "\r\nServer: fdproxy\r\n" }
};

/* All answers whole, with a Date field or none, a Server field or none. */
TEST(fixed_output)
{
	int listener = backend_listen("s", 16), client;
	char want[512];

	world_proxy("-c", outputs[_i].date, "-c", outputs[_i].tokens, "-r",
	    "/app=s", "-c", "ProxyPass /x fd://s header=\"Server: y\"",
	    "-r", "/status=status:", NULL);
	client = client_open();
	hand_off(client, listener);
	snprintf(want, sizeof(want), "HTTP/1.1 200 OK\r\n%s"
	    "Connection: close\r\n\r\n", outputs[_i].fields);
	ck_assert_str_eq(buf, want);
	close(client);
	snprintf(want, sizeof(want), "HTTP/1.1 404 Not Found\r\n%s"
	    "Content-Type: text/plain\r\nContent-Length: 31\r\n"
	    "Connection: close\r\n\r\nThere is nothing at this path.\n",
	    outputs[_i].fields);
	ck_assert_str_eq(exchange("GET /y HTTP/1.0\r\n\r\n"), want);
	ck_assert_str_eq(exchange("GET /y HTTP/1.0\r\n\r\n"), want);
	snprintf(want, sizeof(want), "HTTP/1.1 200 OK\r\n%s"
	    "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
	    "Content-Length: ", outputs[_i].fields);
	ck_assert_int_eq(strncmp(exchange("GET /status HTTP/1.0\r\n\r\n"),
	    want, strlen(want)), 0);
	/* A route's own Server. */
	client = client_open();
	send_text(client, "GET /x HTTP/1.0\r\n\r\n");
	close(backend_take(listener));
	snprintf(want, sizeof(want), "HTTP/1.1 200 OK\r\n%sServer: y\r\n"
	    "Connection: close\r\n\r\n", _i % 2 == 0 ? "" :
	    "Date: " EPOCH "\r\n");
	read_exact(client, buf, strlen(want));
	ck_assert_int_eq(memcmp(buf, want, strlen(want)), 0);
}

static const char *const dates[] = { "Date", "Date now", "Date \"\"",
    "Date off on", "Date \"Thu, 01 Jan 1970 00:00:00 GM\x01\"" };

TEST(wrong_date)
{
	world_spawn("-l", "127.0.0.1:0", "-r", "/app=s", "-c", dates[_i],
	    NULL);
	ck_assert_int_eq(world_exit(), 2);
	ck_contains(world_errors(), "Date: ");
}

/* ---- the end ---- */

/* Only hand-offs count, and no answers. */
TEST(ends_by_count)
{
	int listener = backend_listen("s", 16), client, i;

	world_proxy("-n", "3", "-r", "/app=s", "-r", "/gone=gone", NULL);
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(status_of(exchange("GET / HTTP/1.0\r\n\r\n")),
		    404);
		ck_assert_int_eq(status_of(exchange("GET /gone HTTP/1.0\r\n"
		    "\r\n")), 503);
		client = client_open();
		hand_off(client, listener);
		close(client);
	}
	ck_assert_int_eq(world_exit(), 0);
	ck_contains(world_errors(), "stopping; ");
}

/* No more are taken, however many have come at the same time. */
TEST(count_of_a_batch)
{
	enum { N = 8 };
	int listener = backend_listen("s", 16), client[N], i;

	world_proxy("-n", "3", "-r", "/app=s,flusher=none", NULL);
	world_signal(SIGSTOP);
	for (i = 0; i < N; i++) {
		client[i] = client_open();
		send_text(client[i], GET);
	}
	world_signal(SIGCONT);
	for (i = 0; i < 3; i++)
		close(backend_take(listener));
	ck_assert_int_eq(world_exit(), 0);
	ck_assert(!readable(listener, 0));
	close_all(client, N);
}

/* A client that has begun its request is served still; what is beyond -n. */
TEST(ends_when_all_are_served)
{
	int listener = backend_listen("s", 16), first, second;

	world_proxy("-n", "1", "-r", "/app=s,flusher=none", NULL);
	first = client_open();
	send_text(first, "GET /app HTT");
	ck_assert(!readable(listener, 50));
	second = client_open();
	send_text(second, GET);
	close(backend_take(listener));
	ck_assert(!readable(first, 50));
	send_text(first, "P/1.0\r\n\r\n");
	close(backend_take(listener));
	ck_assert_int_eq(world_exit(), 0);
}

#define OVER	"the time of -T is over"

/* The most seconds that a run gets in which little has to happen. */
#define SECONDS_MAX	8

/*
 * Who was there before fdproxy was is handed off, or waits, and is told; with
 * more time, if it has not looked at both by then.
 */
TEST(ends_by_time)
{
	int s = backend_listen("s", 16), front, waits, seconds;
	char text[16];
	size_t len = 0;
	long begun;

	for (seconds = 1; seconds <= SECONDS_MAX && (len == 0 ||
	    !readable(s, 0)); seconds *= 2) {
		front = backend_listen("front", 4);
		send_text(client_unix("front"), GET);
		waits = client_unix("front");
		send_text(waits, "GET /wait HTTP/1.0\r\n\r\n");
		world_inherit(front, 7);
		close(front);
		snprintf(text, sizeof(text), "%d", seconds);
		begun = now_ms();
		world_spawn("-T", text, "-n", "2", "-l", "fd:7", "-r",
		    "/app=s", "-r", "/wait=missing,wait=1min", "-c",
		    "Date off", "-c", "ServerTokens None", NULL);
		ck_assert_int_eq(world_exit(), 1);
		ck_assert_int_ge(now_ms() - begun, 1000 * seconds - 10);
		ck_contains(world_errors(), OVER);
		read_all(waits, buf, sizeof(buf), &len);
	}
	ck_assert_int_eq(status_of(buf), 503);
	backend_take(s);
}

/* Also before a command is ready, and while it stops: once it has begun. */
TEST(ends_by_time_with_command)
{
	char text[16];
	long begun;
	int seconds;

	ck_assert_int_eq(mkfifo("fifo", 0600), 0);
	for (seconds = 1; seconds <= SECONDS_MAX && access("begun", F_OK) ==
	    -1; seconds *= 2) {
		snprintf(text, sizeof(text), "%d", seconds);
		begun = now_ms();
		world_spawn("-T", text, "-l", "127.0.0.1:0", "-r", _i == 0 ?
		    "/app=s" : "/=!", "sh", "-c", _i == 0 ?
		    ">begun; read x <fifo" :
		    "trap '' TERM; kill $PPID; >begun; read x <fifo", NULL);
		ck_assert_int_eq(world_exit(), 1);
		ck_assert_int_ge(now_ms() - begun, 1000 * seconds - 10);
		ck_contains(world_errors(), OVER);
	}
	ck_assert_int_eq(access("begun", F_OK), 0);
}

TEST(ends_in_time)
{
	int listener = backend_listen("s", 16), client;

	world_proxy("-T", "60", "-n", "1", "-r", "/app=s", NULL);
	client = client_open();
	hand_off(client, listener);
	ck_assert_int_eq(world_exit(), 0);
}

static const char *const numbers[][2] = { { "-n", "0" }, { "-n", "" },
    { "-n", "x" }, { "-n", "-1" }, { "-n", "1000000001" },
    { "-T", "0" }, { "-T", "1s" }, { "-T", "864001" } };

TEST(wrong_numbers)
{
	world_spawn("-l", "127.0.0.1:0", "-r", "/app=s", numbers[_i][0],
	    numbers[_i][1], NULL);
	ck_assert_int_eq(world_exit(), 2);
	ck_contains(world_errors(), "a number from 1 to ");
}

/* ---- many at once ---- */

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/*
 * A run of its own folder and port.  In microseconds, from exec to the end of
 * its answer; when that began is the child's to say.
 */
static int64_t
one_run(int n, int64_t *begun)
{
	char folder[16], number[16], request[64], want[64], line[64] = "";
	char events_of[] = "CustomLog log json", date[] = "Date off";
	char *argv[] = { binary, "-1", "-n", "1", "-T", "60", "-l",
	    "127.0.0.1:0", "-r", "/=s,payload=head", "-c", date, "-c",
	    events_of, NULL };
	int listener, client, fd, out[2], status, port;
	int64_t taken;
	size_t len;
	pid_t pid;

	snprintf(folder, sizeof(folder), "run%d", n);
	snprintf(number, sizeof(number), "/%d", n);
	ck_assert_int_eq(mkdir(folder, 0755), 0);
	ck_assert_int_eq(chdir(folder), 0);
	listener = backend_listen("s", 1);
	ck_assert_int_eq(pipe(out), 0);
	pid = fork();
	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		fd = open("err", O_WRONLY | O_CREAT | O_TRUNC, 0644);
		dup2(fd, STDERR_FILENO);
		for (fd = 3; fd < 64; fd++)
			close(fd);
		*begun = now_us();
		execv(binary, argv);
		_exit(127);
	}
	close(out[1]);
	ck_assert_int_gt(read(out[0], line, sizeof(line) - 1), 0);
	close(out[0]);
	ck_assert_int_eq(sscanf(line, "127.0.0.1:%d\n", &port), 1);
	client = client_port(port);
	snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\n\r\n", number);
	send_text(client, request);
	fd = backend_take_payload(listener, buf, sizeof(buf) - 1);
	ck_assert_str_eq(buf, request);
	send_text(fd, number);
	shutdown(fd, SHUT_WR);
	close(fd);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	taken = now_us() - *begun;
	snprintf(want, sizeof(want), "\r\n\r\n%s", number);
	ck_contains(buf, want);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	/* It has left nothing but its log behind. */
	ck_assert_int_eq(unlink("log"), 0);
	unlink("err");
	unlink("s");
	ck_assert_int_eq(chdir(".."), 0);
	ck_assert_int_eq(rmdir(folder), 0);
	close(client);
	close(listener);
	return taken;
}

static int
by_size(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/*
 * All are let go at the same moment.  How long each took is printed, not
 * asserted: it is the machine's affair, too.
 */
TEST(parallel)
{
	int64_t *taken = mmap(NULL, (PARALLEL + 1) * sizeof(*taken), PROT_READ |
	    PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int go[2], i, status, failed = 0, below = 0;
	int64_t alone;
	pid_t pid;
	char c;

	ck_assert_ptr_ne(taken, MAP_FAILED);
	alone = one_run(PARALLEL, &taken[PARALLEL]);
	ck_assert_int_eq(pipe(go), 0);
	fflush(NULL);
	for (i = 0; i < PARALLEL; i++) {
		pid = fork();
		ck_assert_int_ne(pid, -1);
		if (pid != 0)
			continue;
		close(go[1]);
		ck_assert_int_eq(read(go[0], &c, 1), 0);
		taken[i] = one_run(i, &taken[i]);
		_exit(0);
	}
	close(go[0]);
	close(go[1]);
	for (i = 0; i < PARALLEL; i++) {
		ck_assert_int_ne(wait(&status), -1);
		failed += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	}
	ck_assert_int_eq(failed, 0);
	qsort(taken, PARALLEL, sizeof(*taken), by_size);
	for (i = 0; i < PARALLEL; i++)
		below += taken[i] < 50000;
	printf("exec to the end of the first answer, ms: alone %ld.%ld; "
	    "%d at once %ld to %ld, half of them up to %ld, %d below 50\n",
	    (long)alone / 1000, (long)alone % 1000 / 100, PARALLEL,
	    (long)taken[0] / 1000, (long)taken[PARALLEL - 1] / 1000,
	    (long)taken[PARALLEL / 2] / 1000, below);
	munmap(taken, (PARALLEL + 1) * sizeof(*taken));
}

static const struct test tests[] = {
	ONCE(json),
	TIMES(events_of_hand_off, COUNT(flushers)),
	TIMES(events_of_answers, COUNT(answers)),
	TIMES(events_of_failing_backend, COUNT(failing)),
	TIMES(events_of_lost_backend, 2),
	ONCE(events_of_gone_client),
	ONCE(events_are_quoted),
	ONCE(events_are_cut),
	ONCE(events_in_file),
	ONCE(events_to_nowhere),
	TIMES(fixed_output, COUNT(outputs)),
	TIMES(wrong_date, COUNT(dates)),
	ONCE(ends_by_count),
	ONCE(count_of_a_batch),
	ONCE(ends_when_all_are_served),
	ONCE(ends_by_time),
	TIMES(ends_by_time_with_command, 2),
	ONCE(ends_in_time),
	TIMES(wrong_numbers, COUNT(numbers)),
	ONCE(parallel)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), begin, world_end);
}
