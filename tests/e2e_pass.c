/* See LICENSE for copyright and license details. */

/*
 * Hand-offs that work: what the client and the backend see of them.
 */

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

#define GET	"GET /app HTTP/1.1\r\nHost: x\r\n\r\n"
#define CONTINUE	"HTTP/1.1 100 Continue\r\n\r\n"
#define MIB	(1024 * 1024)

static char buf[2 * MIB];

/* Read what is there of the flushed head, up to its empty line. */
static size_t
read_head(int client, char *head, size_t size)
{
	size_t len = 0;

	do {
		ck_assert_uint_lt(len, size - 1);
		read_exact(client, head + len, 1);
		head[++len] = '\0';
	} while (len < 4 || strcmp(head + len - 4, "\r\n\r\n") != 0);
	return len;
}

/* A backend's part, whole: write text, end. */
static void
serve(int fd, const char *text)
{
	send_text(fd, text);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	close(fd);
}

TEST(flush_head)
{
	int listener = backend_listen("s", 16), client;
	char date[64];
	size_t len;

	world_proxy("-r", "/app=s", "-c", "ServerTokens Prod", NULL);
	client = client_open();
	send_text(client, GET);
	serve(backend_take(listener), "body");
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(sscanf(buf, "HTTP/1.1 200 OK\r\nDate: %30[^\r]", date),
	    1);
	ck_assert_uint_eq(strlen(date), 29);
	ck_assert_str_eq(strstr(buf, date) + 29, "\r\nServer: fdproxy\r\n"
	    "Connection: close\r\n\r\nbody");
}

static const char *const methods[] = {
	"HEAD /app HTTP/1.1\r\nHost: x\r\n\r\n",
	"POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
	"GET /app HTTP/1.0\r\n\r\n",
	"TRACE /app HTTP/1.1\r\nHost: x\r\n\r\n",
	"get /app HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET http://y:80/app?q HTTP/1.1\r\nHost: x\r\n\r\n",
	"\r\nGET /./x/..//%61pp/below?%zz HTTP/1.1\r\nHost: x\r\n\r\n"
};

/* HEAD, POST, HTTP/1.0, TRACE and unknown methods all get the same head. */
TEST(every_method)
{
	int listener = backend_listen("s", 16), client;
	size_t len;

	world_proxy("-r", "/app=s", NULL);
	client = client_open();
	send_text(client, methods[_i]);
	serve(backend_take(listener), "body");
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), 200);
	ck_contains(buf, "\r\nConnection: close\r\n\r\nbody");
}

static int
option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	ck_assert_int_eq(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

/* The client waited before, so that the poller had its hands on the socket. */
TEST(descriptor_state)
{
	int listener = backend_listen("s", 16), client, fd;
	struct sockaddr_in peer, own;
	socklen_t len = sizeof(peer);
	struct linger linger = { -1, -1 };

	world_proxy("-r", _i == 0 ? "/app=s" : "/app=s,flusher=none", NULL);
	client = client_open();
	send_text(client, "GET /app HTTP/1.1\r\n");
	ck_assert(!readable(listener, 50));
	send_text(client, "Host: x\r\n\r\n");
	fd = backend_take(listener);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_ne(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_RCVLOWAT), 1);
	ck_assert_int_eq(option(fd, SOL_SOCKET, SO_ERROR), 0);
	ck_assert_int_eq(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
	ck_assert_int_eq(getsockname(client, (struct sockaddr *)&own, &len), 0);
	ck_assert_uint_eq(peer.sin_port, own.sin_port);
	len = sizeof(linger);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len),
	    0);
	ck_assert_int_eq(linger.l_onoff, 0);
}

/*
 * Invariant: the backend's end is the end.  fdproxy keeps no copy, and does
 * not shut the connection down.
 */
TEST(no_copy_kept)
{
	int listener = backend_listen("s", 16), client, fd;
	size_t len;

	world_proxy("-r", "/app=s", NULL);
	client = client_open();
	send_text(client, GET);
	fd = backend_take(listener);
	read_head(client, buf, sizeof(buf));
	send_text(client, "more");
	read_exact(fd, buf, 4);
	send_text(fd, "answer");
	read_exact(client, buf, 6);
	ck_assert(!readable(client, 50));
	close(fd);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
}

/* What is left for the backend to read of message, which the client sent. */
static void
expect_unread(int fd, const char *message, size_t len)
{
	read_exact(fd, buf, len);
	ck_assert_int_eq(memcmp(buf, message, len), 0);
	ck_assert(!readable(fd, 0));
}

/*
 * No byte is lost: the message is sent in two segments, cut at every offset,
 * the second after fdproxy has seen the first.
 */
TEST(every_split)
{
	static const char head[] = "POST /app HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 11\r\n\r\n";
	static const char message[] = "POST /app HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 11\r\n\r\nhello worldGET /next HTTP/1.1\r\n\r\n";
	size_t all = sizeof(message) - 1, cut, skip;
	int listener = backend_listen("s", 16), client, fd;
	bool none = _i == 1;
	long sleeps;

	world_proxy("-r", none ? "/app=s,flusher=none" : "/app=s", NULL);
	skip = none ? 0 : sizeof(head) - 1;
	for (cut = 0; cut <= all; cut++) {
		client = client_open();
		sleeps = world_sleeps();
		send_bytes(client, message, cut);
		/* Until it has looked and gone back to sleep. */
		while (cut > 0 && cut < sizeof(head) - 1 &&
		    world_sleeps() == sleeps)
			ck_assert(!readable(listener, 0));
		send_bytes(client, message + cut, all - cut);
		fd = backend_take(listener);
		expect_unread(fd, message + skip, all - skip);
		close(fd);
		close(client);
	}
}

/* A large body, part of it in the head's own segment. */
TEST(large_body)
{
	static const char head[] = "POST /app HTTP/1.1\r\nHost: x\r\n"
	    "Content-Length: 1048576\r\n\r\n";
	static char body[MIB], got[MIB];
	int listener = backend_listen("s", 16), client, fd;
	size_t i, n = 60000;

	for (i = 0; i < MIB; i++)
		body[i] = (char)(i * 2654435761u >> 13);
	world_proxy("-r", "/app=s", NULL);
	client = client_open();
	memcpy(buf, head, sizeof(head) - 1);
	memcpy(buf + sizeof(head) - 1, body, n);
	send_bytes(client, buf, sizeof(head) - 1 + n);
	fd = backend_take(listener);
	if (fork() == 0) {
		send_bytes(client, body + n, MIB - n);
		_exit(0);
	}
	read_exact(fd, got, MIB);
	ck_assert_int_eq(memcmp(got, body, MIB), 0);
	wait(NULL);
	serve(fd, "thanks");
}

/* The head goes behind the NUL byte, whole, however the sends are cut. */
TEST(payload_head)
{
	static char request[16000], payload[20000];
	int listener = backend_listen("s", 16), client, fd;
	size_t len;

	strcpy(request, "GET /app HTTP/1.1\r\nHost: x\r\nA: ");
	len = strlen(request);
	memset(request + len, 'a', 7000);
	strcpy(request + len + 7000, "\r\nB: b\r\n\r\nbody");
	world_proxy("-r", _i == 0 ? "/app=s,payload=head" :
	    "/app=s,payload=head,flusher=none", NULL);
	client = client_open();
	send_text(client, request);
	fd = backend_take_payload(listener, payload, sizeof(payload) - 1);
	len = strlen(request) - 4;
	ck_assert_uint_eq(strlen(payload), len);
	ck_assert_int_eq(memcmp(payload, request, len), 0);
	if (_i == 0)
		expect_unread(fd, "body", 4);
	else
		expect_unread(fd, request, strlen(request));
}

static const struct {
	const char *route;
	bool none, payload;
} empty[] = {
	{ "/app=s,flusher=none", true, false },
	{ "/app=s,flusher=none,payload=head", true, true },
	{ "/app=s,payload=head", false, true }
};

/*
 * Empty lines before the request line are for nobody; what is behind them is
 * left as it was, also if the first look finds a part of them.
 */
TEST(empty_lines)
{
	int listener = backend_listen("s", 16), client, fd, before;
	static const char lines[] = "\r\n\r\n\r\n", rest[] = GET "\r\nbody";
	const char *left = empty[_i].none ? rest : rest + sizeof(GET) - 1;
	size_t cut;

	world_proxy("-r", empty[_i].route, "-c", "AcceptFilter http none",
	    NULL);
	before = world_fds();
	for (cut = 0; cut < sizeof(lines); cut++) {
		client = client_open();
		send_bytes(client, lines, cut);
		world_until_fds(before + 1);
		send_text(client, lines + cut);
		send_text(client, rest);
		fd = backend_take_payload(listener, buf, empty[_i].payload ?
		    sizeof(buf) : 0);
		if (empty[_i].payload)
			ck_assert_str_eq(buf, GET);
		read_exact(fd, buf, strlen(left));
		buf[strlen(left)] = '\0';
		ck_assert_str_eq(buf, left);
		ck_assert(!readable(fd, 0));
		close(fd);
		close(client);
		world_until_fds(before);
	}
}

static const struct {
	const char *version;
	const char *flusher;
	const char *first;
} expectations[] = {
	{ "HTTP/1.1", "flush",
	    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" },
	{ "HTTP/1.1", "file:f",
	    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Yes\r\n\r\nab" },
	{ "HTTP/1.0", "flush", "HTTP/1.1 200 OK\r\n" },
	{ "HTTP/1.1", "none", "" }
};

/* 100 (Continue) comes before the head, and only where it is understood. */
TEST(expect_continue)
{
	char route[64], request[128];
	int listener = backend_listen("s", 16), client;
	size_t len;

	write_file("f", "HTTP/1.1 202 Yes\r\n\r\nab");
	snprintf(route, sizeof(route), "/app=s,flusher=%s",
	    expectations[_i].flusher);
	snprintf(request, sizeof(request), "PUT /app %s\r\nHost: x\r\n"
	    "Expect: 100-Continue\r\nContent-Length: 3\r\n\r\n",
	    expectations[_i].version);
	world_proxy("-r", route, NULL);
	client = client_open();
	send_text(client, request);
	serve(backend_take(listener), "");
	/* With none the unread request makes this end a reset. */
	read_all(client, buf, sizeof(buf), &len);
	ck_assert_int_eq(strncmp(buf, expectations[_i].first,
	    strlen(expectations[_i].first)), 0);
	if (*expectations[_i].first == '\0')
		ck_assert_uint_eq(len, 0);
}

#ifdef MSG_MORE
static const struct {
	const char *parameters;
	const char *more;
	bool held;
} holds[] = {
	{ "flushpackets=off", "", true },
	{ "flushpackets=off,flusher=file:f", "", true },
	{ "flushpackets=on", "", false },
	{ "flushpackets=off", "Expect: 100-continue\r\n", false },
	{ "flushpackets=off,compat=apache", "", false }
};

/*
 * With flushpackets=off the head waits for the body, unless somebody waits for
 * the head.  What is true of one client in twenty is true: a machine that
 * stands still for 200 ms between two steps is no failure.
 */
TEST(held_head)
{
	const char *body = _i % 2 == 0 ? "body" : "";
	char route[128], request[128];
	int listener = backend_listen("s", 16), client, fd, i, n = _i / 2;
	bool seen = false;
	size_t len;

	write_file("f", "HTTP/1.1 200 OK\r\n\r\n");
	snprintf(route, sizeof(route), "/app=s,%s", holds[n].parameters);
	snprintf(request, sizeof(request), "PUT /app HTTP/1.1\r\nHost: x\r\n"
	    "%s\r\n", holds[n].more);
	world_proxy("-r", route, NULL);
	for (i = 0; i < 20 && !seen; i++) {
		client = client_open();
		send_text(client, request);
		fd = backend_take(listener);
		if (*holds[n].more != '\0' && readable(client, 0))
			read_exact(client, buf, strlen(CONTINUE));
		seen = readable(client, 0) != holds[n].held;
		serve(fd, body);
		ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len),
		    END_FIN);
		ck_assert_str_eq(strstr(buf, "\r\n\r\n") + 4, body);
		close(client);
	}
	ck_assert(seen);
}

/* It comes by itself if the backend takes its time; no trace is left. */
TEST(held_head_comes)
{
	int listener = backend_listen("s", 16), client, fd;

	world_proxy("-r", "/app=s,flushpackets=off", NULL);
	client = client_open();
	send_text(client, GET);
	fd = backend_take(listener);
	ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_CORK), 0);
	read_head(client, buf, sizeof(buf));
	send_text(fd, "1");
	read_exact(client, buf, 1);
}
#endif

TEST(headers)
{
	int listener = backend_listen("s", 16), client;
	size_t len;

	world_proxy("-c", "ProxyPass /app fd://s "
	    "header=\"Content-Type: text/event-stream\" "
	    "header=\"Server: mine\"", NULL);
	client = client_open();
	send_text(client, GET);
	serve(backend_take(listener), "x");
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_contains(buf, "GMT\r\nContent-Type: text/event-stream\r\n"
	    "Server: mine\r\nConnection: close\r\n\r\nx");
}

/* A half-close behind a whole head is legal. */
TEST(half_close)
{
	int listener = backend_listen("s", 16), client, fd;
	size_t len;

	world_proxy("-r", "/app=s", NULL);
	client = client_open();
	if (_i == 1) {
		send_text(client, "GET /app HTT");
		ck_assert(!readable(listener, 30));
		send_text(client, &GET[12]);
	} else {
		send_text(client, GET);
	}
	shutdown(client, SHUT_WR);
	fd = backend_take(listener);
	ck_assert_int_eq(read(fd, buf, 1), 0);
	serve(fd, "body");
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_contains(buf, "\r\n\r\nbody");
}

/* A listener in the file system: its clients are handed off as well. */
TEST(unix_listener)
{
	int listener = backend_listen("s", 16), client, fd, i;
	char address[128], want[140];

	snprintf(address, sizeof(address), "unix:%s/front", world_dir());
	world_proxy("-l", address, "-r", "/app=s,flusher=none", NULL);
	snprintf(want, sizeof(want), "%s", address);
	ck_assert_str_eq(world_line(1), want);
	for (i = 0; i < 2; i++) {
		client = client_unix("front");
		if (i == 1) {
			send_text(client, "GET /ap");
			ck_assert(!readable(listener, 30));
			send_text(client, &GET[7]);
		} else {
			send_text(client, GET);
		}
		fd = backend_take(listener);
		expect_unread(fd, GET, strlen(GET));
		close(fd);
		close(client);
	}
	close(listener);
	world_stop(NULL);
	ck_assert_int_eq(access("front", F_OK), -1);
}

static const struct {
	const char *path;
	int status;	/* 0: handed off */
} in_folder[] = {
	{ "/d/one", 0 }, { "/d/one/", 0 }, { "/d/one/two?x", 0 },
	{ "/d/x/../one", 0 }, { "/d/%6fne", 0 },
	{ "/d", 404 }, { "/d/", 404 }, { "/d/none", 404 },
	{ "/d/.hidden", 404 }, { "/d/one%2ftwo", 404 },
	{ "/d/sub%2f..%2fone", 404 },
	{ "/d/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    404 }
};

/* In a folder the next segment names the socket, whatever follows. */
TEST(directory_target)
{
	int one = backend_listen("one", 16), client;
	int hidden = backend_listen(".hidden", 16);
	char request[512];
	size_t len;

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n",
	    in_folder[_i].path);
	world_proxy("-r", "/d/=./", NULL);
	client = client_open();
	send_text(client, request);
	if (in_folder[_i].status == 0)
		serve(backend_take(one), "");
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), in_folder[_i].status == 0 ? 200 :
	    in_folder[_i].status);
	ck_assert(!readable(one, 0) && !readable(hidden, 0));
}

/* Each route's own backend; the first match in order; exclusions. */
TEST(routes)
{
	int a = backend_listen("a", 16), b = backend_listen("b", 16), client;

	world_proxy("-r", "/x/no=!", "-r", "/x=a", "-r", "/=b", NULL);
	ck_assert_int_eq(status_of(exchange(
	    "GET /x/no/y HTTP/1.1\r\nHost: x\r\n\r\n")), 404);
	client = client_open();
	send_text(client, "GET /x/nothing HTTP/1.1\r\nHost: x\r\n\r\n");
	close(backend_take(a));
	close(client);
	client = client_open();
	send_text(client, "GET /xx HTTP/1.1\r\nHost: x\r\n\r\n");
	close(backend_take(b));
}

/*
 * A path that a backend may read otherwise than fdproxy has: the answer where
 * the backend reads it again, and where it does not; 0: it is handed over.
 */
static const struct {
	const char *target;
	int again, flushed;
} paths[] = {
	{ "/x/y", 0, 0 },
	{ "/a//b/../c", 0, 0 },
	{ "//x/y", 0, 0 },
	{ "/%61/..//x?/admin//../", 0, 0 },
	{ "//x/admin/secret", 400, 0 },
	{ "/x\\..\\admin\\secret", 400, 400 },
	{ "/\\x/admin/secret", 400, 400 },
	{ "/admin//../secret", 400, 0 },
	{ "/admin/../x", 400, 0 },
	{ "http://x/admin/../x", 400, 0 },
	{ "/admin/x%2fy/../../secret", 404, 404 },
	{ "/x%00/../y", 404, 404 },
	{ "/dir/s/../other/x", 400, 404 },
	{ "/admin", 404, 404 }
};

static const char *const last[] = { "/=s,flusher=none",
    "/=s,payload=head", "/=s" };

TEST(read_again)
{
	static const char *const folder[] = { "/dir=./,flusher=none",
	    "/dir=./,payload=head", "/dir=./" };
	int listener = backend_listen("s", 16), client, want;
	char request[256];
	size_t i, len;

	world_proxy("-r", "/admin=!", "-r", folder[_i], "-r", last[_i], NULL);
	for (i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n"
		    "Host: x\r\n\r\n", paths[i].target);
		want = _i == 2 ? paths[i].flushed : paths[i].again;
		client = client_open();
		send_text(client, request);
		if (want == 0)
			close(_i == 1 ? backend_take_payload(listener, buf,
			    sizeof(buf)) : backend_take(listener));
		read_all(client, buf, sizeof(buf), &len);
		if (want != 0)
			ck_assert_msg(status_of(buf) == want, "%s: %s",
			    paths[i].target, buf);
		close(client);
	}
	/* Nobody else has come. */
	ck_assert(!readable(listener, 0));
}

/*
 * A head that the client takes slowly: written in order, the descriptor only
 * behind the last byte of it.
 */
TEST(slow_reader)
{
	/* More than any send buffer; byte by byte, less will do. */
	size_t len, size = world_torture() ? 20000 : 8 * MIB;
	int listener = backend_listen("s", 16), client, fd;
	char *file = malloc(size + 1), *got = malloc(size);

	strcpy(file, "HTTP/1.1 200 OK\r\n\r\n");
	for (len = strlen(file); len < size; len++)
		file[len] = (char)('a' + len % 23);
	file[size] = '\0';
	write_file("f", file);
	world_proxy("-r", "/app=s,flusher=file:f", NULL);
	client = client_open_small();
	send_text(client, GET);
	/* Connected before a byte is written, and nothing passed yet. */
	ck_assert(readable(listener, WORLD_PATIENCE));
	read_exact(client, got, 1000);
	read_exact(client, got + 1000, size - 1000);
	ck_assert_int_eq(memcmp(got, file, size), 0);
	free(got);
	free(file);
	fd = backend_take(listener);
	serve(fd, "end");
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_str_eq(buf, "end");
}

/* Many at once: each client gets what was meant for it. */
TEST(many)
{
	enum { N = 200 };
	int listener = backend_listen("s", 512), client[N], fd, i;
	char text[40];
	size_t len;

	world_proxy("-r", "/app=s,flusher=none", NULL);
	for (i = 0; i < N; i++)
		client[i] = client_open();
	for (i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "GET /app/%04d HTTP/1.0\r\n\r\n",
		    i);
		send_text(client[i], text);
	}
	for (i = 0; i < N; i++) {
		fd = backend_take(listener);
		read_exact(fd, buf, 26);
		buf[26] = '\0';
		serve(fd, buf);
	}
	for (i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "GET /app/%04d HTTP/1.0\r\n\r\n",
		    i);
		ck_assert_int_eq(read_all(client[i], buf, sizeof(buf), &len),
		    END_FIN);
		ck_assert_str_eq(buf, text);
		close(client[i]);
	}
}

/*
 * Where it must be, a client stays open here until the backend has taken it,
 * and no longer; the oldest one makes room, and is not lost.
 */
TEST(kept_until_taken)
{
	enum { N = 9, SLOTS = 4 };
	int listener = backend_listen("s", 16), client[N], fds, fd, i;
	size_t len;

	world_proxy("-r", "/app=s", "-c", "MaxConnections 4", NULL);
	fds = world_fds();
	for (i = 0; i < N; i++) {
		client[i] = client_open();
		send_text(client[i], GET);
		read_exact(client[i], buf, 15);
		world_until_fds(fds + 2 * (i < SLOTS ? i + 1 : SLOTS));
	}
	for (i = 0; i < N; i++) {
		fd = backend_take(listener);
		world_until_fds(fds + 2 * (i < N - SLOTS ? SLOTS :
		    N - i - 1));
		send_text(fd, "end");
		close(fd);
		ck_assert_int_eq(read_all(client[i], buf, sizeof(buf), &len),
		    END_FIN);
		ck_assert_ptr_nonnull(strstr(buf, "\r\n\r\nend"));
		close(client[i]);
	}
}

int
main(int argc, char **argv)
{
	const struct test tests[] = {
		ONCE(flush_head),
		TIMES(read_again, COUNT(last)),
		TIMES(every_method, COUNT(methods)),
		TIMES(descriptor_state, 2),
		ONCE(no_copy_kept),
		TIMES(every_split, 2),
		ONCE(large_body),
		TIMES(payload_head, 2),
		TIMES(empty_lines, COUNT(empty)),
		TIMES(expect_continue, COUNT(expectations)),
#ifdef MSG_MORE
		TIMES(held_head, 2 * COUNT(holds)),
		ONCE(held_head_comes),
#endif
		ONCE(headers),
		TIMES(half_close, 2),
		ONCE(unix_listener),
		TIMES(directory_target, COUNT(in_folder)),
		ONCE(routes),
		ONCE(slow_reader),
		ONCE(many),
		TIMES(kept_until_taken, world_keeps())
	};

	return runner_run(argc, argv, tests, COUNT(tests), world_begin,
	    world_end);
}
