/* See LICENSE for copyright and license details. */

/*
 * Faults on purpose: each as the backend and as the client see it.  With
 * FAULTLESS in the environment (and CK_FORK=yes) the same tests run without
 * any fault= or compat=, and each of them must fail.
 */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "world.h"

#define GET	"GET /app HTTP/1.1\r\nHost: x\r\n\r\n"
#define OTHER	"GET /other HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST	"POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n"
#define EXPECT	"PUT /app HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"	\
		"Expect: 100-continue\r\n\r\n"
#define APACHE	8000	/* bytes of a connection that it takes at once */
#define DELAY	300	/* ms, as in "300ms" */

/* Most tests run with each of them. */
enum { FLUSH, FROM_FILE, NONE, FLUSHERS };

static const struct {
	const char *name;
	const char *head;	/* what the client gets by it */
} flushers[FLUSHERS] = {
	{ "flush", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" },
	{ "file:f", "HTTP/1.1 202 Yes\r\n\r\nab" },
	{ "none", "" }
};

static char buf[65536];

/* What one recvmsg gives a backend. */
struct message {
	ssize_t len;
	char data[4096];
	int fd[4];
	int fds;
	int flags;
};

/* Parameters, each with its comma; the faults only if there are to be any. */
static const char *
parameters(char *dst, size_t size, const char *text)
{
	bool faultless = getenv("FAULTLESS") != NULL;
	size_t len, n = 0;

	dst[0] = '\0';
	for (; *text == ','; text += len) {
		len = 1 + strcspn(text + 1, ",");
		if (faultless && (strncmp(text, ",fault=", 7) == 0 ||
		    strncmp(text, ",compat=", 8) == 0))
			continue;
		ck_assert_uint_lt(n + len, size);
		memcpy(dst + n, text, len);
		n += len;
		dst[n] = '\0';
	}
	return dst;
}

/* fdproxy with /app on socket s, and /other on other. */
static void
start(int flusher, const char *text)
{
	char more[256], route[512];

	write_file("f", flushers[FROM_FILE].head);
	snprintf(route, sizeof(route), "/app=s,flusher=%s%s",
	    flushers[flusher].name, parameters(more, sizeof(more), text));
	world_proxy("-c", "Date off", "-c", "ServerTokens None", "-r", route,
	    "-r", "/other=other", NULL);
}

static int
client_send(const char *request)
{
	int fd = client_open();

	send_text(fd, request);
	return fd;
}

/* The next connection to a backend. */
static int
accept_next(int listener)
{
	int fd;

	ck_assert_msg(readable(listener, WORLD_PATIENCE),
	    "nobody connects to the backend");
	fd = accept(listener, NULL, NULL);
	ck_assert_int_ne(fd, -1);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

/* Whether the backend is connected to, before the client gets an answer. */
static bool
connects(int listener, int client)
{
	struct pollfd p[2] = { { client, POLLIN, 0 },
	    { listener, POLLIN, 0 } };

	ck_assert_int_ge(poll(p, 2, WORLD_PATIENCE), 1);
	return readable(listener, 0);
}

/* One message; room is for control data. */
static void
receive_into(int conn, struct message *m, size_t room)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec iov = { m->data, sizeof(m->data) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.bytes, .msg_controllen = room };
	struct cmsghdr *cmsg;

	ck_assert_uint_le(room, sizeof(control));
	ck_assert_msg(readable(conn, WORLD_PATIENCE), "no message, no end");
	m->len = recvmsg(conn, &msg, MSG_CMSG_CLOEXEC);
	m->flags = msg.msg_flags;
	m->fds = 0;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg == NULL)
		return;
	ck_assert_int_eq(cmsg->cmsg_level, SOL_SOCKET);
	ck_assert_int_eq(cmsg->cmsg_type, SCM_RIGHTS);
	m->fds = (int)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(m->fd, CMSG_DATA(cmsg), (size_t)m->fds * sizeof(int));
	ck_assert_ptr_null(CMSG_NXTHDR(&msg, cmsg));
}

static void
receive(int conn, struct message *m)
{
	receive_into(conn, m, CMSG_SPACE(4 * sizeof(int)));
}

/* The other side has closed it, and sent nothing more. */
static void
expect_end(int conn)
{
	struct message m;

	receive(conn, &m);
	ck_assert_int_eq(m.len, 0);
	ck_assert_int_eq(m.fds, 0);
	close(conn);
}

/* The whole of a hand-off as it should be, but for the byte. */
static int
receive_one(int conn, const char *data, size_t len)
{
	struct message m;

	receive(conn, &m);
	ck_assert_int_eq(m.len, (ssize_t)len);
	ck_assert_int_eq(memcmp(m.data, data, len), 0);
	ck_assert_int_eq(m.fds, 1);
	ck_assert_int_eq(m.flags & MSG_CTRUNC, 0);
	return m.fd[0];
}

static bool
nonblocking(int fd)
{
	return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

/* A backend's part; with NONE the request is its to read. */
static void
serve(int fd, int flusher)
{
	if (flusher == NONE)
		read_exact(fd, buf, strlen(GET));
	send_text(fd, "body");
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	close(fd);
}

/* All that the client sees, and how it ends. */
static void
expect_text(int client, enum ending ending, const char *text)
{
	size_t len;

	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), ending);
	ck_assert_str_eq(buf, text);
	close(client);
}

static void
expect_answer(int client, int flusher)
{
	char text[128];

	snprintf(text, sizeof(text), "%sbody", flushers[flusher].head);
	expect_text(client, END_FIN, text);
}

/*
 * Nobody serves it: the head and its end, which is a reset if the request was
 * left unread.
 */
static void
expect_head_alone(int client, int flusher)
{
	expect_text(client, flusher == NONE ? END_RESET : END_FIN,
	    flushers[flusher].head);
}

/* The backend, which is there, sees nothing; the client an answer. */
static void
expect_refused(int listener, int status)
{
	int client = client_send(GET);
	size_t len;

	ck_assert(!connects(listener, client));
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), status);
	ck_assert(!readable(listener, 0));
	close(client);
}

/* The next hand-off is as ever. */
static void
check_next(int listener, int flusher)
{
	int client = client_send(GET), fd = backend_take(listener);

	ck_assert(!nonblocking(fd));
	serve(fd, flusher);
	expect_answer(client, flusher);
}

static void
reset_client(int client)
{
	struct linger off = { 1, 0 };

	setsockopt(client, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	close(client);
}

/* ---- the message ---- */

/*
 * The connection, and no message.  That is all that comes of control data
 * without a byte, too: on Linux a stream carries none without data.
 */
START_TEST(no_message)
{
	int listener = backend_listen("s", 16), client, flusher = _i % FLUSHERS;

	start(flusher, _i < FLUSHERS ? ",fault=drop@1" : ",fault=control@1");
	client = client_send(GET);
	expect_end(accept_next(listener));
	expect_head_alone(client, flusher);
	check_next(listener, flusher);
	close(listener);
	world_stop(NULL);
}
END_TEST

/* Neither a message nor an end, for neither side, until the backend goes. */
START_TEST(nobyte)
{
	int listener = backend_listen("s", 16), client, conn;
	char head[64];

	start(_i, ",fault=nobyte@1");
	client = client_send(GET);
	conn = accept_next(listener);
	read_exact(client, head, strlen(flushers[_i].head));
	ck_assert(!readable(conn, 100));
	ck_assert(!readable(client, 100));
	check_next(listener, _i);
	close(conn);
	expect_text(client, _i == NONE ? END_RESET : END_FIN, "");
	close(listener);
	world_stop(NULL);
}
END_TEST

/* It ends even if the backend waits for ever. */
START_TEST(nobyte_ends)
{
	int listener = backend_listen("s", 16), client, conn;
	long begun = now_ms();

	start(FLUSH, ",fault=nobyte@1");
	client = client_send(GET);
	conn = accept_next(listener);
	expect_end(conn);
	ck_assert_int_ge(now_ms() - begun, 1000);
	expect_head_alone(client, FLUSH);
	close(listener);
	world_stop(NULL);
}
END_TEST

START_TEST(nofd)
{
	int listener = backend_listen("s", 16), client, conn;
	struct message m;

	start(_i, ",fault=nofd@1");
	client = client_send(GET);
	conn = accept_next(listener);
	receive(conn, &m);
	ck_assert_int_eq(m.len, 1);
	ck_assert_int_eq(m.data[0], '\0');
	ck_assert_int_eq(m.fds, 0);
	ck_assert_int_eq(m.flags & MSG_CTRUNC, 0);
	expect_end(conn);
	expect_head_alone(client, _i);
	check_next(listener, _i);
	close(listener);
	world_stop(NULL);
}
END_TEST

/* The same socket twice: the client's end comes when both are closed. */
START_TEST(two)
{
	int listener = backend_listen("s", 16), client, conn;
	char text[128];
	struct message m;
	struct stat a, b;

	start(_i, ",fault=two@1");
	client = client_send(GET);
	conn = accept_next(listener);
	receive(conn, &m);
	ck_assert_int_eq(m.len, 1);
	ck_assert_int_eq(m.data[0], '\0');
	ck_assert_int_eq(m.fds, 2);
	ck_assert_int_eq(m.flags & MSG_CTRUNC, 0);
	expect_end(conn);
	ck_assert_int_eq(fstat(m.fd[0], &a), 0);
	ck_assert_int_eq(fstat(m.fd[1], &b), 0);
	ck_assert(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	read_exact(client, text, strlen(flushers[_i].head));
	close(m.fd[0]);
	ck_assert(!readable(client, 50));
	serve(m.fd[1], _i);
	expect_text(client, END_FIN, "body");
	check_next(listener, _i);
	close(listener);
	world_stop(NULL);
}
END_TEST

/* A backend with room for one only is told that something is missing. */
START_TEST(two_into_one)
{
	int listener = backend_listen("s", 16), client, conn;
	struct message m;

	start(_i, ",fault=two@1");
	client = client_send(GET);
	conn = accept_next(listener);
	receive_into(conn, &m, CMSG_LEN(sizeof(int)));
	ck_assert_int_eq(m.len, 1);
	ck_assert_int_eq(m.fds, 1);
	ck_assert_int_ne(m.flags & MSG_CTRUNC, 0);
	close(conn);
	serve(m.fd[0], _i);
	expect_answer(client, _i);
	close(listener);
	world_stop(NULL);
}
END_TEST

START_TEST(byte)
{
	int listener = backend_listen("s", 16), client, conn;

	start(_i, ",fault=byte@1");
	client = client_send(GET);
	conn = accept_next(listener);
	serve(receive_one(conn, "X", 1), _i);
	expect_end(conn);
	expect_answer(client, _i);
	check_next(listener, _i);
	close(listener);
	world_stop(NULL);
}
END_TEST

/* All there is to read until the end, and how many descriptors came. */
static size_t
receive_all(int conn, char *dst, size_t size, int *fds, int *fd)
{
	struct message m;
	size_t len = 0;

	*fds = 0;
	do {
		receive(conn, &m);
		ck_assert_int_ge(m.len, 0);
		ck_assert_uint_le(len + (size_t)m.len, size);
		memcpy(dst + len, m.data, (size_t)m.len);
		len += (size_t)m.len;
		while (m.fds-- > 0) {
			*fd = m.fd[m.fds];
			if (++*fds > 1)
				close(*fd);
		}
	} while (m.len > 0);
	close(conn);
	return len;
}

/* What follows the byte is as without the fault, or not there either. */
START_TEST(payload)
{
	static const struct {
		const char *fault;
		const char *data;
		size_t len;
		int fds;
		long ms;
	} cases[] = {
		{ "byte", "X" GET, sizeof(GET), 1, 0 },
		{ "nofd", "\0" GET, sizeof(GET), 0, 0 },
		{ "two", "\0" GET, sizeof(GET), 2, 0 },
		{ "drop", "", 0, 0, 0 },
		{ "control", "", 0, 0, 0 },
		{ "delay-pass:300ms", "\0" GET, sizeof(GET), 1, DELAY },
		{ "delay-close:300ms", "\0" GET, sizeof(GET), 1, DELAY }
	};
	int listener = backend_listen("s", 16), client, fds, fd = -1;
	long begun;
	size_t len;
	char text[64];

	snprintf(text, sizeof(text), ",payload=head,fault=%s@1",
	    cases[_i].fault);
	start(FLUSH, text);
	begun = now_ms();
	client = client_send(GET);
	len = receive_all(accept_next(listener), buf, sizeof(buf), &fds, &fd);
	ck_assert_uint_eq(len, cases[_i].len);
	ck_assert_int_eq(memcmp(buf, cases[_i].data, len), 0);
	ck_assert_int_eq(fds, cases[_i].fds);
	ck_assert_int_ge(now_ms() - begun, cases[_i].ms - 10);
	if (fds == 2)
		close(fd - 1);
	if (fd != -1)
		close(fd);
	close(client);
	close(listener);
	world_stop(NULL);
}
END_TEST

/* ---- the client's socket ---- */

START_TEST(nonblock)
{
	int listener = backend_listen("s", 16), client, conn, fd;
	char c;

	start(_i, ",fault=nonblock@1");
	client = client_send(GET);
	conn = accept_next(listener);
	fd = receive_one(conn, "", 1);
	expect_end(conn);
	ck_assert(nonblocking(fd));
	if (_i != NONE) {
		ck_assert_int_eq(read(fd, &c, 1), -1);
		ck_assert(errno == EAGAIN || errno == EWOULDBLOCK);
	}
	serve(fd, _i);
	expect_answer(client, _i);
	check_next(listener, _i);
	close(listener);
	world_stop(NULL);
}
END_TEST

/* The connection is reset behind the head; the backend gets what is left. */
START_TEST(reset)
{
	int listener = backend_listen("s", 16), client, conn, fd;
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	size_t n;

	start(_i, ",fault=reset@1");
	client = client_send(GET);
	conn = accept_next(listener);
	fd = receive_one(conn, "", 1);
	expect_end(conn);
	ck_assert_int_eq(getpeername(fd, (struct sockaddr *)&peer, &len), -1);
	ck_assert_int_eq(errno, ENOTCONN);
	ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &n), END_RESET);
	/* What was on its way is lost; byte by byte, that is some. */
	if (!world_torture())
		ck_assert_str_eq(buf, flushers[_i].head);
	ck_assert_int_eq(strncmp(buf, flushers[_i].head, n), 0);
	close(client);
	close(fd);
	check_next(listener, _i);
	close(listener);
	world_stop(NULL);
}
END_TEST

/* Where there is no reset it is the end. */
START_TEST(reset_of_unix)
{
	int listener = backend_listen("s", 16), client, fd;
	char address[128], route[128], more[64];
	size_t n;

	snprintf(address, sizeof(address), "unix:%s/front", world_dir());
	snprintf(route, sizeof(route), "/app=s,flusher=none%s",
	    parameters(more, sizeof(more), ",fault=reset@1"));
	world_proxy("-l", address, "-r", route, NULL);
	client = client_unix("front");
	send_text(client, GET);
	fd = backend_take(listener);
	ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &n), END_FIN);
	ck_assert_uint_eq(n, 0);
	close(client);
	close(fd);
	close(listener);
	world_stop(NULL);
}
END_TEST

/* A message of head and body in one segment; the length of all of it. */
static size_t
send_post(int client, size_t head_len, size_t body_len)
{
	static char message[65536];
	size_t len = strlen(POST);

	strcpy(message, POST);
	if (head_len > len) {
		strcpy(message + len - 2, "A: ");
		memset(message + len + 1, 'a', head_len - len - 5);
		strcpy(message + head_len - 4, "\r\n\r\n");
		len = head_len;
	}
	memset(message + len, 'b', body_len);
	send_bytes(client, message, len + body_len);
	return len + body_len;
}

/* Exactly so much is left, and the end of it is the body's. */
static void
expect_left(int fd, size_t len)
{
	read_exact(fd, buf, len);
	ck_assert(len == 0 || buf[len - 1] == 'b');
	ck_assert_msg(!readable(fd, 50), "more than %zu bytes are left", len);
}

/* Head and body up to 8000 bytes are taken; of a long head nothing more. */
START_TEST(body)
{
	static const struct {
		size_t head;
		size_t body;
	} cases[] = {
		{ 0, 20000 }, { 0, 7900 }, { 0, 5 }, { 7000, 2000 }
	};
	int listener = backend_listen("s", 16), client, fd, i;
	bool compat = _i % 4 >= 2;
	size_t all;

	start(_i / 4, compat ? ",compat=apache" : ",fault=body");
	i = _i % 2 == 0 ? 0 : 2;
	for (; i < (_i % 2 == 0 ? 2 : 4); i++) {
		client = client_open();
		all = send_post(client, cases[i].head, cases[i].body);
		fd = backend_take(listener);
		ck_assert_int_eq(nonblocking(fd), compat);
		fcntl(fd, F_SETFL, 0);
		expect_left(fd, all > APACHE ? all - APACHE : 0);
		/* What comes later is the backend's. */
		send_text(client, "later");
		read_exact(fd, buf, 5);
		ck_assert_int_eq(memcmp(buf, "later", 5), 0);
		serve(fd, FLUSH);
		expect_answer(client, _i / 4);
	}
	close(listener);
	world_stop(NULL);
}
END_TEST

/* Once, although the hand-off has to be repeated. */
START_TEST(body_once)
{
	int listener = backend_listen("s", 16), client, conn, fd;
	char head[64];
	size_t all;

	start(_i, ",compat=apache,connectiontimeout=1min,"
	    "fault=delay-pass:300ms@1");
	client = client_open();
	all = send_post(client, 0, 30000);
	conn = accept_next(listener);
	read_exact(client, head, strlen(flushers[_i].head));
	close(listener);
	unlink("s");
	close(conn);
	ck_assert(!readable(client, DELAY + 100));
	listener = backend_listen("s", 16);
	fd = backend_take(listener);
	ck_assert(nonblocking(fd));
	fcntl(fd, F_SETFL, 0);
	expect_left(fd, all - APACHE);
	serve(fd, FLUSH);
	expect_text(client, END_FIN, "body");
	close(listener);
	world_stop(NULL);
}
END_TEST

/* Who leaves the head to the backend leaves it all. */
START_TEST(body_of_none)
{
	int listener = backend_listen("s", 16), client, fd;
	size_t len;

	start(NONE, _i == 0 ? ",fault=body@1,fault=nonblock@2" :
	    ",compat=apache");
	client = client_open();
	len = send_post(client, 0, 5);
	fd = backend_take(listener);
	expect_left(fd, len);
	close(fd);
	close(client);
	client = client_send(GET);
	fd = backend_take(listener);
	ck_assert(nonblocking(fd));
	close(fd);
	close(client);
	close(listener);
	world_stop(NULL);
}
END_TEST

/* ---- the head ---- */

START_TEST(cut)
{
	static const struct {
		int flusher;
		unsigned int bytes;
		const char *request;
		const char *first;	/* before the head */
	} cases[] = {
		{ FLUSH, 0, GET, "" },
		{ FLUSH, 1, GET, "" },
		{ FLUSH, 37, GET, "" },
		{ FROM_FILE, 0, GET, "" },
		{ FROM_FILE, 9, GET, "" },
		{ FROM_FILE, 21, GET, "" },
		{ FLUSH, 0, EXPECT, "HTTP/1.1 100 Continue\r\n\r\n" },
		{ FLUSH, 5, EXPECT, "HTTP/1.1 100 Continue\r\n\r\n" }
	};
	int listener = backend_listen("s", 16), client;
	char text[128];

	snprintf(text, sizeof(text), ",fault=cut:%u@1", cases[_i].bytes);
	start(cases[_i].flusher, text);
	client = client_send(cases[_i].request);
	/* The backend does not see it. */
	serve(backend_take(listener), FLUSH);
	snprintf(text, sizeof(text), "%s%.*sbody", cases[_i].first,
	    (int)cases[_i].bytes, flushers[cases[_i].flusher].head);
	expect_text(client, END_FIN, text);
	check_next(listener, cases[_i].flusher);
	close(listener);
	world_stop(NULL);
}
END_TEST

/* ---- delays ---- */

/* What comes late does not come before its time. */
START_TEST(delays)
{
	static const char *const faults[] = { ",fault=delay-flush:300ms@1",
	    ",fault=delay-pass:300ms@1", ",fault=delay-close:300ms@1" };
	int listener = backend_listen("s", 16), client, conn, fd;
	int flusher = _i % FLUSHERS, kind = _i / FLUSHERS;
	long begun;
	char head[64];

	start(flusher, faults[kind]);
	begun = now_ms();
	client = client_send(GET);
	conn = accept_next(listener);
	read_exact(client, head, strlen(flushers[flusher].head));
	if (kind == 0 && flusher != NONE)
		ck_assert_int_ge(now_ms() - begun, DELAY - 10);
	fd = receive_one(conn, "", 1);
	if (kind <= 1)
		ck_assert_int_ge(now_ms() - begun, DELAY - 10);
	serve(fd, flusher);
	expect_text(client, END_FIN, "body");
	expect_end(conn);
	ck_assert_int_ge(now_ms() - begun, DELAY - 10);
	check_next(listener, flusher);
	close(listener);
	world_stop(NULL);
}
END_TEST

/* Meanwhile nothing else waits, and a client that goes is noticed. */
static void
check_delay_alone(int flusher, const char *fault, bool flushed)
{
	int listener = backend_listen("s", 16), client, conn;
	int other = backend_listen("other", 16);
	char head[64];

	start(flusher, fault);
	client = client_send(GET);
	conn = accept_next(listener);
	if (flushed)
		read_exact(client, head, strlen(flushers[flusher].head));
	ck_assert(!readable(client, 100) && !readable(conn, 0));
	check_served(client_open(), other, OTHER);
	check_next(listener, flusher);
	ck_assert(!readable(client, 0) && !readable(conn, 0));
	reset_client(client);
	expect_end(conn);
	close(other);
	close(listener);
	world_stop(NULL);
}

START_TEST(delay_flush_alone)
{
	check_delay_alone(_i, ",fault=delay-flush:1min@1", false);
}
END_TEST

START_TEST(delay_pass_alone)
{
	check_delay_alone(_i, ",fault=delay-pass:1min@1", true);
}
END_TEST

/* The client is the backend's all the same; who closes first ends it. */
START_TEST(delay_close_alone)
{
	int listener = backend_listen("s", 16), client, conn;
	int other = backend_listen("other", 16);

	start(_i, ",fault=delay-close:1min@1");
	client = client_send(GET);
	conn = accept_next(listener);
	serve(receive_one(conn, "", 1), _i);
	expect_answer(client, _i);
	check_served(client_open(), other, OTHER);
	check_next(listener, _i);
	ck_assert(!readable(conn, 100));
	close(conn);
	close(other);
	close(listener);
	world_stop(NULL);
}
END_TEST

/* ---- the backend ---- */

/* 503 at once, or after wait=. */
START_TEST(missing)
{
	int listener = backend_listen("s", 16), flusher = _i % FLUSHERS;
	bool waits = _i / FLUSHERS == 1;
	long begun;

	start(flusher, waits ? ",wait=300ms,fault=missing@1" :
	    ",fault=missing@1");
	begun = now_ms();
	expect_refused(listener, 503);
	ck_assert_int_ge(now_ms() - begun, waits ? DELAY - 10 : 0);
	check_next(listener, flusher);
	close(listener);
	world_stop("Connection refused");
}
END_TEST

START_TEST(full)
{
	int listener = backend_listen("s", 16);
	long begun;

	start(_i, ",connectiontimeout=300ms,fault=full@1");
	begun = now_ms();
	expect_refused(listener, 503);
	ck_assert_int_ge(now_ms() - begun, DELAY - 10);
	check_next(listener, _i);
	close(listener);
	world_stop("Resource temporarily unavailable");
}
END_TEST

/* One client waits in vain, in nobody's way. */
START_TEST(pretence_alone)
{
	int listener = backend_listen("s", 16), client, i;
	char route[128], more[128];

	snprintf(route, sizeof(route), "/app=s%s", parameters(more,
	    sizeof(more), _i == 0 ?
	    ",connectiontimeout=1min,fault=full@1" :
	    ",wait=1min,fault=missing@1"));
	world_proxy("-c", "Date off", "-c", "ServerTokens None", "-r", route,
	    "-r", "/other=s", NULL);
	client = client_send(GET);
	ck_assert(!readable(client, 100) && !readable(listener, 0));
	for (i = 0; i < 2; i++) {
		check_served(client_open(), listener, OTHER);
		check_next(listener, FLUSH);
	}
	ck_assert(!readable(client, 0));
	reset_client(client);
	close(listener);
	world_stop(NULL);
}
END_TEST

/* ---- which hand-off ---- */

/* One request, and what came of it as a letter. */
static char
what_comes(int listener)
{
	int client = client_send(GET), conn, i;
	struct message m;
	char c = '-';
	size_t len;

	if (!connects(listener, client)) {
		read_all(client, buf, sizeof(buf), &len);
		c = status_of(buf) == 503 ? 'm' : '?';
		close(client);
		return c;
	}
	conn = accept_next(listener);
	receive(conn, &m);
	if (m.len == 0)
		c = 'd';
	else if (m.data[0] != '\0')
		c = 'b';
	else if (m.fds != 1)
		c = m.fds == 0 ? 'n' : 't';
	else if (nonblocking(m.fd[0]))
		c = 'o';
	for (i = 0; i < m.fds; i++)
		close(m.fd[i]);
	close(conn);
	read_all(client, buf, sizeof(buf), &len);
	close(client);
	return c;
}

/* Of several the first that is due counts; another route never has any. */
START_TEST(numbers)
{
	static const struct {
		const char *faults;
		const char *want;
	} cases[] = {
		{ ",fault=drop", "dddddd" },
		{ ",fault=drop@1", "d-----" },
		{ ",fault=drop@3", "--d---" },
		{ ",fault=byte@1+1", "bbbbbb" },
		{ ",fault=byte@2+3", "-b--b--b" },
		{ ",fault=nofd@1,fault=two@2,fault=byte@3,fault=drop@4",
		    "ntbd---" },
		{ ",fault=nofd@2+2,fault=byte@3+3,fault=drop@5",
		    "-nbndn-nbn" },
		{ ",fault=drop@2+4,fault=byte", "bdbbbdbb" },
		{ ",fault=missing@1,fault=missing@3", "m-m---" },
		{ ",fault=nonblock@1+2", "o-o-o-" },
		{ ",fault=drop@1000000000,fault=nofd@4", "---n-" }
	};
	int listener = backend_listen("s", 16);
	int other = backend_listen("other", 16);
	char got[32] = "";
	size_t i;

	start(FLUSH, cases[_i].faults);
	for (i = 0; i < strlen(cases[_i].want); i++) {
		got[i] = what_comes(listener);
		check_served(client_open(), other, OTHER);
		/* No hand-off. */
		ck_assert_int_eq(status_of(exchange("GET /app\r\n\r\n")), 400);
	}
	ck_assert_str_eq(got, cases[_i].want);
	close(other);
	close(listener);
	world_stop(strchr(got, 'm') == NULL ? NULL : "cannot connect");
}
END_TEST

/* Two routes to one socket: each has its own numbers. */
START_TEST(two_routes)
{
	int listener = backend_listen("s", 16), client;
	char a[64], b[64], more[64];

	snprintf(a, sizeof(a), "/other=s%s", parameters(more, sizeof(more),
	    ",fault=byte@2"));
	snprintf(b, sizeof(b), "/app=s%s", parameters(more, sizeof(more),
	    ",fault=drop@2"));
	world_proxy("-r", a, "-r", b, NULL);
	ck_assert_int_eq(what_comes(listener), '-');
	client = client_send(OTHER);
	close(backend_take(listener));
	close(client);
	ck_assert_int_eq(what_comes(listener), 'd');
	ck_assert_int_eq(what_comes(listener), '-');
	client = client_send(OTHER);
	close(receive_one(accept_next(listener), "X", 1));
	close(client);
	close(listener);
	world_stop(NULL);
}
END_TEST

/* Who waits for its backend has its number, however often it is tried. */
START_TEST(number_while_waiting)
{
	int listener, client[3], i, conn, fd;
	struct message m;

	start(FLUSH, ",wait=1min,fault=drop@2,fault=byte@3");
	for (i = 0; i < 3; i++) {
		client[i] = client_send(GET);
		ck_assert(!readable(client[i], 50));
	}
	listener = backend_listen("s", 16);
	for (i = 0; i < 3; i++) {
		conn = accept_next(listener);
		receive(conn, &m);
		ck_assert_int_eq(m.len, i == 1 ? 0 : 1);
		ck_assert_int_eq(m.fds, i == 1 ? 0 : 1);
		ck_assert(i == 1 || m.data[0] == (i == 0 ? '\0' : 'X'));
		close(conn);
		fd = m.fd[0];
		if (i == 1)
			expect_head_alone(client[i], FLUSH);
		else {
			serve(fd, FLUSH);
			expect_answer(client[i], FLUSH);
		}
	}
	close(listener);
	world_stop(NULL);
}
END_TEST

/* A hand-off that fails on the way is the same one when it comes again. */
START_TEST(same_when_repeated)
{
	int listener = backend_listen("s", 16), client, conn;
	char head[64];

	start(_i, ",connectiontimeout=1min,wait=1min,"
	    "fault=delay-pass:300ms@1,fault=byte@2");
	client = client_send(GET);
	conn = accept_next(listener);
	read_exact(client, head, strlen(flushers[_i].head));
	close(listener);
	unlink("s");
	close(conn);
	ck_assert(!readable(client, DELAY + 100));
	listener = backend_listen("s", 16);
	conn = accept_next(listener);
	serve(receive_one(conn, "", 1), _i);
	close(conn);
	expect_text(client, END_FIN, "body");
	client = client_send(GET);
	conn = accept_next(listener);
	serve(receive_one(conn, "X", 1), _i);
	close(conn);
	expect_answer(client, _i);
	close(listener);
	world_stop(NULL);
}
END_TEST

/* ---- as Apache ---- */

/* All else is as without it. */
START_TEST(apache)
{
	int listener = backend_listen("s", 16), client, conn, fd, on = 0;
	socklen_t len = sizeof(on);

	start(_i, ",compat=apache");
	client = client_send(GET);
	conn = accept_next(listener);
	fd = receive_one(conn, "", 1);
	expect_end(conn);
	ck_assert(nonblocking(fd));
	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len),
	    0);
	ck_assert_int_ne(on, 0);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len),
	    0);
	ck_assert_int_ne(on, 0);
	serve(fd, _i);
	expect_answer(client, _i);
	close(listener);
	world_stop(NULL);
}
END_TEST

/* Every failure is a 500. */
START_TEST(apache_failures)
{
	static const struct {
		const char *target;
		long ms;
	} cases[] = {
		{ "missing", 0 }, { "stale", 0 }, { "full", DELAY },
		{ "./", 0 }, { "missing,wait=300ms", DELAY },
		{ "s,fault=missing@1", 0 }, { "s,fault=full@1", DELAY }
	};
	int listener = backend_listen("s", 16), fill[2];
	int busy = backend_listen("full", 1);
	char text[128], more[128], target[64];
	size_t len = strcspn(cases[_i].target, ",");
	long begun;

	close(backend_listen("stale", 1));
	fill[0] = client_unix("full");
	fill[1] = client_unix("full");
	snprintf(more, sizeof(more), "%s,connectiontimeout=300ms,"
	    "compat=apache", cases[_i].target + len);
	parameters(target, sizeof(target), more);
	snprintf(text, sizeof(text), "/%s=%.*s%s", strcmp(cases[_i].target,
	    "./") == 0 ? "" : "app", (int)len, cases[_i].target, target);
	world_proxy("-r", text, NULL);
	begun = now_ms();
	expect_refused(listener, 500);
	ck_assert_int_ge(now_ms() - begun, cases[_i].ms - 10);
	close_all(fill, 2);
	close(busy);
	close(listener);
	world_stop("cannot connect to ");
}
END_TEST

START_TEST(apache_queue)
{
	int busy = backend_listen("s", 1), fill[2], client;

	fill[0] = client_unix("s");
	fill[1] = client_unix("s");
	start(FLUSH, ",compat=apache,queue=1,connectiontimeout=1min");
	client = client_send(GET);
	ck_assert(!readable(client, 100));
	ck_assert_int_eq(status_of(exchange(GET)), 500);
	reset_client(client);
	close_all(fill, 2);
	close(busy);
	world_stop("too many wait");
}
END_TEST

/* With a fault as well. */
START_TEST(apache_and_fault)
{
	int listener = backend_listen("s", 16), client, conn, fd;
	char text[64];

	start(FLUSH, ",compat=apache,fault=byte@1,fault=cut:5@2");
	client = client_send(GET "body");
	conn = accept_next(listener);
	fd = receive_one(conn, "X", 1);
	ck_assert(nonblocking(fd));
	expect_left(fd, 0);
	close(conn);
	serve(fd, FLUSH);
	expect_answer(client, FLUSH);
	client = client_send(GET "body");
	conn = accept_next(listener);
	fd = receive_one(conn, "", 1);
	ck_assert(nonblocking(fd));
	expect_left(fd, 0);
	close(conn);
	serve(fd, FLUSH);
	snprintf(text, sizeof(text), "%.5sbody", flushers[FLUSH].head);
	expect_text(client, END_FIN, text);
	close(listener);
	world_stop(NULL);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("e2e_fault");
	TCase *tc = tcase_create("fault");

	tcase_add_checked_fixture(tc, world_begin, world_end);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, no_message, 0, 2 * FLUSHERS);
	tcase_add_loop_test(tc, nobyte, 0, FLUSHERS);
	tcase_add_test(tc, nobyte_ends);
	tcase_add_loop_test(tc, nofd, 0, FLUSHERS);
	tcase_add_loop_test(tc, two, 0, FLUSHERS);
	tcase_add_loop_test(tc, two_into_one, 0, FLUSHERS);
	tcase_add_loop_test(tc, byte, 0, FLUSHERS);
	tcase_add_loop_test(tc, payload, 0, 7);
	tcase_add_loop_test(tc, nonblock, 0, FLUSHERS);
	tcase_add_loop_test(tc, reset, 0, FLUSHERS);
	tcase_add_test(tc, reset_of_unix);
	tcase_add_loop_test(tc, body, 0, 8);
	tcase_add_loop_test(tc, body_once, 0, NONE);
	tcase_add_loop_test(tc, body_of_none, 0, 2);
	tcase_add_loop_test(tc, cut, 0, 8);
	tcase_add_loop_test(tc, delays, 0, 3 * FLUSHERS);
	tcase_add_loop_test(tc, delay_flush_alone, 0, FLUSHERS);
	tcase_add_loop_test(tc, delay_pass_alone, 0, FLUSHERS);
	tcase_add_loop_test(tc, delay_close_alone, 0, FLUSHERS);
	tcase_add_loop_test(tc, missing, 0, 2 * FLUSHERS);
	tcase_add_loop_test(tc, full, 0, FLUSHERS);
	tcase_add_loop_test(tc, pretence_alone, 0, 2);
	tcase_add_loop_test(tc, numbers, 0, 11);
	tcase_add_test(tc, two_routes);
	tcase_add_test(tc, number_while_waiting);
	tcase_add_loop_test(tc, same_when_repeated, 0, FLUSHERS);
	tcase_add_loop_test(tc, apache, 0, FLUSHERS);
	tcase_add_loop_test(tc, apache_failures, 0, 7);
	tcase_add_test(tc, apache_queue);
	tcase_add_test(tc, apache_and_fault);
	suite_add_tcase(suite, tc);
	return world_run(suite);
}
