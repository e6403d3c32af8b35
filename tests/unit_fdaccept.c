/* See LICENSE for copyright and license details. */

/*
 * libfdaccept inside a program: read(2), write(2) and their kin are the
 * library's here.
 */

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#ifdef __linux__
#include <sys/epoll.h>
#endif

#include "edited.h"
#include "fdaccept.h"
#include "fdpass.h"
#include "unit.h"

#define FDS_MAX	512
#define MESSAGE_MAX	(1200 * 1024)

static int open_before;
static char *self;		/* our own program */
static char message[MESSAGE_MAX], want[MESSAGE_MAX], got[MESSAGE_MAX];

static void
setup(void)
{
	open_before = unit_count_open(FDS_MAX);
}

static void
teardown(void)
{
	ck_assert_int_eq(unit_count_open(FDS_MAX), open_before);
}

/* Heads, and what comes behind them at once. */
static const char *const heads[] = {
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nX: y\r\n\r\n",
	"GET / HTTP/1.1\r\nConnection: close, TE\r\nHost: a\r\nTE: x\r\n\r\n",
	"GET / HTTP/1.0\r\nCONNECTION:Keep-Alive\r\n\r\n",
	"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nconnection:\tkeep-alive\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnections: 1\r\nConnectio: 2\r\n"
	    "Proxy-Connection: keep-alive\r\nC: 3\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 48\r\n\r\n"
	    "Connection: keep-alive\r\n\r\nGET / HTTP/1.1\r\nHost:\r\n",
	"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n"
	    "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: A\r\n\r\n"
	    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"POST / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nHost: a\r\n\r\n"
	    "4\r\nabcd\r\n1A;x=y\r\nConnection: x\r\n\r\n0\r\n\r\nabcd\r\n"
	    "0\r\nConnection: x\r\nX: y\r\n\r\nGET /2 HTTP/1.1\r\n\r\n",
	"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "000\r\n\r\nGET /2 HTTP/1.1\r\n\r\n",
	"GET / HTTP/1.1\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n\r\n",
	"GET / HTTP/1.1\r\nUpgrade: websocket, h2c\r\nConnection: Upgrade\r\n"
	    "\r\n",
	"GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
	"GET / HTTP/1.1\r\nConnection: keep-alive\r\nUpgrade: x\r\n"
	    "Connection:\r\nConnection: a\r\n\r\n"
};

/* One that asks for a WebSocket. */
#define ASKS	"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-"	\
		"alive, Upgrade\r\nupgrade: \tWebSocket \r\nX: y\r\n\r\n"

/* How a server reads. */
enum call { READ, RECV, RECVFROM, READV, RECVMSG, CALLS };

static ssize_t
take(enum call call, int fd, char *buf, size_t size, int flags)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	struct iovec iov[3];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3,
	    .msg_controllen = 0 };
	size_t third = size / 3;
	ssize_t n;

	iov[0] = (struct iovec){ buf, third };
	iov[1] = (struct iovec){ buf + third, third };
	iov[2] = (struct iovec){ buf + 2 * third, size - 2 * third };
	switch (call) {
	case READ:
		return read(fd, buf, size);
	case RECV:
		return recv(fd, buf, size, flags);
	case RECVFROM:
		n = recvfrom(fd, buf, size, flags, (struct sockaddr *)&addr,
		    &len);
		MUST(n == -1 || len == 0);
		return n;
	case READV:
		return readv(fd, iov, 3);
	case RECVMSG:
	case CALLS:
		break;
	}
	return recvmsg(fd, &msg, flags);
}

static void
pair_of(int pair[2], bool tcp)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
	    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct linger reset = { 1, 0 };
	socklen_t len = sizeof(addr);
	int listener;

	if (!tcp) {
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
		return;
	}
	listener = socket(AF_INET, SOCK_STREAM, 0);
	MUST(bind(listener, (struct sockaddr *)&addr, len) == 0);
	MUST(listen(listener, 1) == 0);
	MUST(getsockname(listener, (struct sockaddr *)&addr, &len) == 0);
	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	MUST(connect(pair[0], (struct sockaddr *)&addr, len) == 0);
	pair[1] = accept(listener, NULL, NULL);
	MUST(pair[1] != -1);
	close(listener);
	/* Thousands of connections leave no port in TIME-WAIT. */
	setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

static void
close_pair(int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

/* A client who has sent the text; pair[1] is what accept has returned. */
static void
client(int pair[2], bool tcp, const char *text, size_t len)
{
	pair_of(pair, tcp);
	MUST(send(pair[0], text, len, 0) == (ssize_t)len);
	MUST(fdaccept_head_begin(pair[1]) == 0);
}

static bool
readable(int fd, int ms)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, ms) == 1;
}

/* By pieces of that size: the right text, and readable until its end. */
static void
read_all(enum call call, int fd, size_t size, size_t total, bool peek)
{
	size_t n = 0;
	char look[4096];
	ssize_t seen = 0, len;

	while (n < total) {
		MUST_MSG(readable(fd, 10000), "%zu of %zu", n, total);
		if (peek) {
			seen = take(call == READ || call == READV ? RECV :
			    call, fd, look, size, MSG_PEEK);
			MUST(seen > 0);
		}
		len = take(call, fd, got + n, size, 0);
		MUST_MSG(len > 0 && (size_t)len <= size, "%zd: %s", len,
		    strerror(errno));
		MUST(!peek || (len >= seen && memcmp(look, got + n,
		    (size_t)seen) == 0));
		n += (size_t)len;
	}
	MUST(n == total);
	MUST_MSG(memcmp(got, want, total) == 0, "\"%.*s\"", (int)total, got);
	MUST(!readable(fd, 0));
	MUST(recv(fd, got, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
}

/* Each head, by each call, in pieces of each size. */
TEST(splits)
{
	size_t size, n, total, head;
	enum call call;
	bool websocket;
	int pair[2], tcp, peek;

	n = strlen(heads[_i]);
	total = edited(heads[_i], n, want, &head, &websocket);
	ck_assert(head > 0 && !websocket);
	for (size = 1; size <= 4096; size = size < 64 ? size + 1 :
	    size == 64 ? 100 : size == 100 ? 1000 : size + 3096) {
		for (call = READ; call < CALLS; call++) {
			tcp = size % 8 == 1 || size > 64;
			for (peek = 0; peek < 2; peek++) {
				client(pair, tcp, heads[_i], n);
				read_all(call, pair[1], size, total, peek);
				close_pair(pair);
			}
		}
	}
}

#ifdef __linux__
/*
 * A server that is told once, and reads until it gets less than it has room
 * for, has all of it then.
 */
TEST(edge_triggered)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	size_t size, n = strlen(heads[_i]), total, len, head;
	bool websocket;
	int pair[2], ep;
	ssize_t more;

	total = edited(heads[_i], n, want, &head, &websocket);
	for (size = 1; size < 1000; size += size < 64 ? 1 : 97) {
		client(pair, size % 4 == 0, heads[_i], n);
		ep = epoll_create1(0);
		ck_assert(epoll_ctl(ep, EPOLL_CTL_ADD, pair[1], &event) == 0);
		MUST(epoll_wait(ep, &event, 1, 1000) == 1);
		len = 0;
		do {
			more = recv(pair[1], got + len, size, MSG_DONTWAIT);
			MUST(more > 0 || (more == -1 && errno == EAGAIN));
			len += more > 0 ? (size_t)more : 0;
		} while (more == (ssize_t)size);
		MUST(len == total && memcmp(got, want, total) == 0);
		/* And again when there is more. */
		MUST(send(pair[0], "x", 1, 0) == 1);
		event.events = EPOLLIN | EPOLLET;
		MUST(epoll_wait(ep, &event, 1, 1000) == 1);
		MUST(read(pair[1], got, 2) == 1 && *got == 'x');
		close(ep);
		close_pair(pair);
	}
}
#endif

/* Heads longer than what is looked at at once, with many fields left out. */
TEST(large)
{
	static const size_t sizes[] = { 1, 1000, 8192, 100000 };
	size_t n, total, head;
	bool websocket;
	int pair[2], i;

	n = (size_t)snprintf(message, sizeof(message),
	    "GET /%0*d HTTP/1.1\r\nHost: a\r\n", _i * 1000, 0);
	for (i = 0; i < 1000; i++)
		n += (size_t)snprintf(message + n, sizeof(message) - n,
		    "%s: keep-alive%0*d\r\n", i % 3 == 0 ? "X" : "Connection",
		    i % 40, 0);
	n += (size_t)snprintf(message + n, sizeof(message) - n, "\r\n");
	total = edited(message, n, want, &head, &websocket);
	ck_assert_uint_eq(head, total);
	for (i = 0; i < COUNT(sizes); i++) {
		client(pair, false, message, n);
		read_all((enum call)(i % CALLS), pair[1], sizes[i], total,
		    false);
		close_pair(pair);
	}
}

/* A body of 1 MiB that is full of heads is not touched. */
static void *
send_message(void *arg)
{
	size_t n = 0;
	ssize_t sent;

	while (n < strlen(message)) {
		sent = send(*(int *)arg, message + n, strlen(message) - n, 0);
		MUST(sent > 0);
		n += (size_t)sent;
	}
	shutdown(*(int *)arg, SHUT_WR);
	return NULL;
}

static const size_t body_sizes[] = { 1, 7, 63, 100, 1000, 4096, 65536,
    262144 };

TEST(body)
{
	const char part[] = "Connection: keep-alive\r\nUpgrade: x\r\n\r\n"
	    "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	size_t n, total, len = 0, head;
	bool websocket;
	pthread_t thread;
	int pair[2];
	ssize_t more;

	n = (size_t)snprintf(message, sizeof(message), "POST / HTTP/1.1\r\n"
	    "Host: a\r\nConnection: keep-alive\r\n\r\n");
	while (n < (body_sizes[_i] < 63 ? 65536u : 1024 * 1024u))
		n += (size_t)snprintf(message + n, sizeof(message) - n, "%s",
		    part);
	total = edited(message, n, want, &head, &websocket);
	pair_of(pair, true);
	ck_assert(pthread_create(&thread, NULL, send_message, &pair[0]) == 0);
	/* The sender of descriptors waits for the whole head. */
	while (recv(pair[1], got, 200, MSG_PEEK) < 200)
		;
	ck_assert(fdaccept_head_begin(pair[1]) == 0);
	do {
		more = take((enum call)(_i % CALLS), pair[1], got + len,
		    body_sizes[_i], 0);
		MUST(more >= 0);
		len += (size_t)more;
	} while (more > 0);
	ck_assert(pthread_join(thread, NULL) == 0);
	ck_assert_uint_eq(len, total);
	ck_assert(memcmp(got, want, total) == 0);
	close_pair(pair);
}

/* A head that is not whole, which nobody may send, ends where it is cut. */
TEST(cut_short)
{
	char buf[256];
	int pair[2];

	client(pair, false, "GET / HTTP/1.1\r\nHost: a\r\nConn", 29);
	ck_assert_int_eq(read(pair[1], buf, sizeof(buf)), 25 + 19);
	ck_assert_int_eq(read(pair[1], buf, sizeof(buf)), 0);
	close_pair(pair);
	client(pair, false, "\r\n\r", 3);
	ck_assert_int_eq(read(pair[1], buf, sizeof(buf)), 0);
	close_pair(pair);
	client(pair, false, "GET / HTTP/1.1\r\n", 16);
	close(pair[0]);
	ck_assert_int_eq(read(pair[1], buf, sizeof(buf)), 16);
	ck_assert_int_eq(read(pair[1], buf, sizeof(buf)), 0);
	close(pair[1]);
}

/* A buffer may be said to end anywhere in memory, or beyond. */
TEST(any_size)
{
	volatile size_t size = SIZE_MAX - 1;
	char buf[256];
	int pair[2];

	client(pair, false, "GET / HTTP/1.1\r\n\r\n", 18);
	ck_assert_int_eq(recv(pair[1], buf, size, 0), 18 + 19);
	close_pair(pair);
}

/* A body in chunks that come one by one, and one that is none. */
TEST(chunks)
{
	static const char head[] = "POST / HTTP/1.1\r\nTransfer-Encoding: "
	    "chunked\r\n\r\n";
	static const char *const parts[] = { "5", "\r\n", "ab", "cde\r", "\n",
	    "0\r\nConn", "ection: x\r\n", "Y: z\r\n", "\r" };
	static const char *const broken[] = { "x\r\n", "\r\n", " 5\r\n",
	    "1\r\nab\r\n", "1000000000000000\r\n" };
	int pair[2], i;
	ssize_t n;

	client(pair, true, head, strlen(head));
	ck_assert(read(pair[1], got, sizeof(got)) == (ssize_t)strlen(head) +
	    19);
	for (i = 0; i < COUNT(parts); i++) {
		ck_assert(recv(pair[1], got, 99, MSG_DONTWAIT) == -1);
		ck_assert_int_eq(errno, EAGAIN);
		ck_assert(send(pair[0], parts[i], strlen(parts[i]), 0) > 0);
		ck_assert(readable(pair[1], 10000));
		n = recv(pair[1], got, 99, MSG_DONTWAIT);
		got[n > 0 ? n : 0] = '\0';
		ck_assert_str_eq(got, i == 5 ? "0\r\n" : i == 6 || i == 7 ?
		    "" : parts[i]);
	}
	ck_assert(send(pair[0], "\nGET", 4, 0) == 4);
	ck_assert_int_eq(read(pair[1], got, 99), 4);
	close_pair(pair);

	for (i = 0; i < COUNT(broken); i++) {
		client(pair, false, head, strlen(head));
		ck_assert(send(pair[0], broken[i], strlen(broken[i]), 0) > 0);
		ck_assert(send(pair[0], "0\r\n\r\nGET /2", 11, 0) == 11);
		while ((n = recv(pair[1], got, sizeof(got), 0)) > 0)
			ck_assert_ptr_null(memmem(got, (size_t)n, "GET /2",
			    6));
		ck_assert_int_eq(n, 0);
		close_pair(pair);
	}
}

/* What is thrown away unread, and buffers in many pieces. */
TEST(discarded)
{
	struct iovec iov[40];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = COUNT(iov) };
	const char *text = heads[1];
	size_t i, total, head, n = strlen(text);
	bool websocket;
	int pair[2];

	client(pair, true, text, n);
	ck_assert_int_eq(recv(pair[1], NULL, 10, MSG_TRUNC), 10);
	ck_assert_int_eq(recv(pair[1], NULL, 1000, MSG_DONTWAIT | MSG_TRUNC),
	    edited(text, n, want, &head, &websocket) - 10);
	ck_assert(recv(pair[1], got, 1, MSG_DONTWAIT) == -1);
	close_pair(pair);

	/* Looked at without a buffer: how much there is, with its body. */
	client(pair, true, heads[6], strlen(heads[6]));
	total = edited(heads[6], strlen(heads[6]), want, &head, &websocket);
	ck_assert_int_eq(recv(pair[1], NULL, 1000, MSG_PEEK | MSG_TRUNC),
	    total);
	ck_assert_int_eq(read(pair[1], got, sizeof(got)), total);
	ck_assert(memcmp(got, want, total) == 0);
	close_pair(pair);
	client(pair, true, ASKS "\x81", strlen(ASKS) + 1);
	ck_assert_int_eq(recv(pair[1], NULL, 10, MSG_TRUNC), 10);
	ck_assert_int_eq(recv(pair[1], NULL, 1000, MSG_TRUNC),
	    strlen(ASKS) - 10);
	ck_assert_int_eq(read(pair[1], got, 9), 0);
	close_pair(pair);

	n = (size_t)snprintf(message, sizeof(message), "%s%0400d", text, 0);
	total = edited(message, n, want, &head, &websocket);
	for (i = 0; i < 40; i++)
		iov[i] = (struct iovec){ got + i * 20, 20 };
	client(pair, true, message, n);
	ck_assert_int_eq(recvmsg(pair[1], &msg, 0), total);
	ck_assert(memcmp(got, want, total) == 0);
	close_pair(pair);
}

/* Nothing there, nothing asked for, and what is not for reading at all. */
TEST(errors)
{
	char buf[64];
	int pair[2];

	pair_of(pair, true);
	ck_assert(fdaccept_head_begin(pair[1]) == 0);
	ck_assert(recv(pair[1], buf, 1, MSG_DONTWAIT) == -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(read(pair[1], buf, 0), 0);
	ck_assert(recv(pair[1], buf, 1, MSG_OOB) == -1);
	ck_assert(send(pair[0], "GET / HTTP/1.1\r\n\r\n", 18, 0) == 18);
	ck_assert_int_eq(read(pair[1], buf, sizeof(buf)), 18 + 19);
	close_pair(pair);
	ck_assert(read(-1, buf, 1) == -1);
	ck_assert_int_eq(errno, EBADF);
	ck_assert(read(FDACCEPT_HEADS + 1, buf, 1) == -1);
	ck_assert_int_eq(errno, EBADF);
	ck_assert(fdaccept_head_begin(FDACCEPT_HEADS) == -1);
	ck_assert_int_eq(errno, EMFILE);
}

/* A number that is used again is not the client that it was. */
TEST(number_again)
{
	char text[] = "GET / HTTP/1.1\r\nConnection: x\r\n\r\n", buf[64];
	char name[] = "/tmp/unit_fdaccept.XXXXXX";
	int pair[2], file, again;

	client(pair, false, text, strlen(text));
	file = mkstemp(name);
	ck_assert_int_ne(file, -1);
	unlink(name);
	ck_assert(write(file, text, strlen(text)) == (ssize_t)strlen(text));
	ck_assert_int_eq(lseek(file, 0, SEEK_SET), 0);
	again = dup2(file, pair[1]);
	ck_assert(read(again, buf, sizeof(buf)) == (ssize_t)strlen(text));
	ck_assert(memcmp(buf, text, strlen(text)) == 0);
	close(file);
	close_pair(pair);

	client(pair, false, text, strlen(text));
	close_pair(pair);
	pair_of(pair, false);
	ck_assert(send(pair[0], text, strlen(text), 0) > 0);
	ck_assert(read(pair[1], buf, sizeof(buf)) == (ssize_t)strlen(text));
	close_pair(pair);
}

/* A child goes on where its parent was. */
TEST(in_a_child)
{
	const char *text = heads[1];
	size_t n = strlen(text), total, head;
	bool websocket;
	int pair[2], status;
	pid_t pid;

	total = edited(text, n, want, &head, &websocket);
	client(pair, false, text, n);
	ck_assert_int_eq(read(pair[1], got, 20), 20);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		n = 20;
		while (n < total)
			n += (size_t)read(pair[1], got + n, 3);
		_exit(memcmp(got, want, total) == 0 ? 7 : 8);
	}
	ck_assert(waitpid(pid, &status, 0) == pid);
	ck_assert_int_eq(WEXITSTATUS(status), 7);
	close_pair(pair);
}

/* ---- WebSockets ---- */

enum sending { WRITE, SEND, SENDTO, WRITEV, SENDMSG, SENDINGS };

static void
put(enum sending call, int fd, const char *text, size_t len)
{
	struct iovec iov[2];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n = -1;

	iov[0] = (struct iovec){ (void *)(uintptr_t)text, len / 2 };
	iov[1] = (struct iovec){ (void *)(uintptr_t)(text + len / 2),
	    len - len / 2 };
	if (call == WRITE)
		n = write(fd, text, len);
	else if (call == SEND)
		n = send(fd, text, len, 0);
	else if (call == SENDTO)
		n = sendto(fd, text, len, 0, NULL, 0);
	else if (call == WRITEV)
		n = writev(fd, iov, 2);
	else if (call == SENDMSG)
		n = sendmsg(fd, &msg, 0);
	MUST(n == (ssize_t)len);
}

/* Asks, and sends more at once: the head as it is, and then the end. */
static void
ask(int pair[2], size_t size, bool peek)
{
	const char text[] = ASKS "\x81\x85GET /2 HTTP/1.1\r\n\r\n";
	size_t len, n = 0;
	char buf[512];
	ssize_t more;

	client(pair, false, text, sizeof(text) - 1);
	len = strlen(ASKS);
	while (n < len) {
		if (peek)
			MUST(recv(pair[1], buf, size, MSG_PEEK) > 0);
		more = read(pair[1], got + n, size);
		MUST(more > 0);
		MUST(!peek || memcmp(buf, got + n, 1) == 0);
		n += (size_t)more;
	}
	MUST(n == len && memcmp(got, ASKS, len) == 0);
	MUST(read(pair[1], got, size) == 0);
	MUST(recv(pair[1], got, size, MSG_PEEK | MSG_DONTWAIT) == 0);
}

TEST(websocket)
{
	const char yes[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
	size_t size, piece, at, len;
	int pair[2];

	for (size = 1; size < 300; size += size < 20 ? 1 : 250) {
		for (piece = 1; piece < 60; piece += piece < 15 ? 1 : 20) {
			ask(pair, size, piece % 2 == 0);
			for (at = 0; at < sizeof(yes) - 1; at += len) {
				len = sizeof(yes) - 1 - at;
				len = len < piece ? len : piece;
				put((enum sending)_i, pair[1], yes + at, len);
			}
			MUST(read(pair[1], got, 2) == 2);
			MUST(memcmp(got, "\x81\x85", 2) == 0);
			MUST(read(pair[1], got, 512) == 19);
			MUST(memcmp(got, "GET /2", 6) == 0);
			close_pair(pair);
		}
	}
}

/* Any other answer: nothing more is read of this client. */
TEST(websocket_refused)
{
	static const char *const no[] = { "HTTP/1.1 400 Bad Request\r\n\r\n",
	    "HTTP/1.1 1010", "HTTP/1.0 101 Switching Protocols\r\n\r\n", "x",
	    "http/1.1 101 a", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 " };
	size_t piece, at, len;
	int i, pair[2];

	for (i = 0; i < COUNT(no); i++) {
		for (piece = 1; piece < 50; piece++) {
			ask(pair, 100, false);
			for (at = 0; at < strlen(no[i]); at += len) {
				len = strlen(no[i]) - at;
				len = len < piece ? len : piece;
				put((enum sending)_i, pair[1], no[i] + at,
				    len);
			}
			put((enum sending)_i, pair[1], "HTTP/1.1 101 ", 13);
			MUST(read(pair[1], got, 100) == 0);
			close_pair(pair);
		}
	}
}

/* The answer before the whole head was read; and one who only waits. */
TEST(websocket_early)
{
	int pair[2];

	client(pair, false, ASKS "\x81", strlen(ASKS) + 1);
	ck_assert_int_eq(read(pair[1], got, 10), 10);
	put(SEND, pair[1], "HTTP/1.1 101 Switching", 22);
	ck_assert_int_eq(read(pair[1], got + 10, 512), strlen(ASKS) - 10 + 1);
	ck_assert_int_eq(memcmp(got, ASKS, strlen(ASKS)), 0);
	close_pair(pair);

	client(pair, false, ASKS, strlen(ASKS));
	ck_assert_int_eq(read(pair[1], got, 512), strlen(ASKS));
	ck_assert(recv(pair[1], got, 9, MSG_DONTWAIT) == -1);
	ck_assert_int_eq(errno, EAGAIN);
	close(pair[0]);
	ck_assert_int_eq(read(pair[1], got, 9), 0);
	close(pair[1]);
}

/* One thread reads while another answers. */
static void *
answer(void *arg)
{
	int *pair = arg;
	char buf[64];

	put(SEND, pair[1], "HTTP/1.1 101 Switching", 22);
	/* As a client: what comes now is in answer to that. */
	MUST(read(pair[0], buf, 22) == 22);
	MUST(send(pair[0], "\x82", 1, 0) == 1);
	return NULL;
}

TEST(websocket_threads)
{
	pthread_t thread;
	int i, pair[2];

	for (i = 0; i < 200; i++) {
		client(pair, true, ASKS, strlen(ASKS));
		MUST(read(pair[1], got, 512) == (ssize_t)strlen(ASKS));
		MUST(pthread_create(&thread, NULL, answer, pair) == 0);
		MUST(read(pair[1], got, 512) == 1 && *got == '\x82');
		pthread_join(thread, NULL);
		close_pair(pair);
	}
}

/* ---- many at once ---- */

#define THREADS		16
#define REQUESTS	20000

static int listener;

/* Serve until a client asks for the end. */
static void *
serve(void *arg)
{
	char buf[512];
	size_t n;
	ssize_t more;
	int fd;

	for (;;) {
		fd = accept(listener, NULL, NULL);
		MUST(fd != -1);
		n = 0;
		do {
			more = read(fd, buf + n, 7);
			MUST(more > 0);
			n += (size_t)more;
			buf[n] = '\0';
		} while (strstr(buf, "\r\n\r\n") == NULL);
		MUST(strstr(buf, "\r\nConnection: close\r\nHost: a\r\n\r\n") !=
		    NULL);
		MUST(strstr(buf, "keep") == NULL);
		MUST(write(fd, buf, 12) == 12);
		close(fd);
		if (strstr(buf, "GET /end") != NULL)
			return arg;
	}
}

/* Give a client away that asks; our end. */
static int
request(const struct sock_addr *addr, const char *what)
{
	char text[128];
	int pair[2], conn, n;

	n = snprintf(text, sizeof(text), "GET /%s HTTP/1.1\r\nConnection: "
	    "keep-alive\r\nHost: a\r\n\r\n", what);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	MUST(send(pair[0], text, (size_t)n, 0) == n);
	conn = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(connect(conn, &addr->u.sa, addr->len) == 0);
	MUST(fdpass_send(conn, pair[1], "", 1) == 1);
	close(conn);
	close(pair[1]);
	return pair[0];
}

TEST(threads_and_forks)
{
	pthread_t threads[THREADS];
	struct sock_addr addr;
	char name[64], buf[64];
	int i, client_fds[64], n = 0;
	pid_t pid;

	snprintf(name, sizeof(name), "@unit_fdaccept.%ld", (long)getpid());
	ck_assert(sock_unix(&addr, name, strlen(name)));
	listener = sock_listen(&addr, 128, false, -1);
	ck_assert_int_ne(listener, -1);
	ck_assert(sock_nonblock(listener, false) == 0);
	for (i = 0; i < THREADS; i++)
		ck_assert(pthread_create(&threads[i], NULL, serve, NULL) == 0);
	for (i = 0; i < REQUESTS; i++) {
		client_fds[n++] = request(&addr, "x");
		if (i % 1000 == 0) {
			pid = fork();
			if (pid == 0)
				_exit(0);
			MUST(waitpid(pid, NULL, 0) == pid);
		}
		for (; n == COUNT(client_fds) || (i == REQUESTS - 1 && n > 0);
		    n--) {
			MUST(read(client_fds[n - 1], buf, sizeof(buf)) == 12);
			MUST(memcmp(buf, "GET /x HTTP/", 12) == 0);
			MUST(read(client_fds[n - 1], buf, sizeof(buf)) == 0);
			close(client_fds[n - 1]);
		}
	}
	for (i = 0; i < THREADS; i++) {
		client_fds[0] = request(&addr, "end");
		MUST(read(client_fds[0], buf, sizeof(buf)) == 12);
		close(client_fds[0]);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	close(listener);
}

/* ---- a port ---- */

static const struct {
	const char *text;
	bool good;
} descriptions[] = {
	{ "", false }, { "3000", false }, { "3000 4", false },
	{ "0 4 5", false }, { "65536 4 5", false }, { "x 4 5", false },
	{ "3000 -1 5", false }, { "3000 4 0", false }, { "3000 4 5x", false },
	{ "3000 4 5", true }, { "65535 1023 18446744073709551615", true }
};

TEST(port_described)
{
	ck_assert_int_eq(fdaccept_port_begin(descriptions[_i].text),
	    descriptions[_i].good);
}

#define PORT		4321
#define KEPT		300

/* A socket in the place of that port, as the launcher leaves it. */
static void
begin_port(struct sock_addr *addr)
{
	char name[64], text[64];
	struct stat st;
	int fd;

	snprintf(name, sizeof(name), "@unit_fdaccept_port.%ld", (long)getpid());
	ck_assert(sock_unix(addr, name, strlen(name)));
	fd = sock_listen(addr, 128, false, -1);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(dup2(fd, KEPT), KEPT);
	ck_assert(sock_nonblock(KEPT, false) == 0);
	close(fd);
	ck_assert(fstat(KEPT, &st) == 0);
	snprintf(text, sizeof(text), "%d %d %llu", PORT, KEPT,
	    (unsigned long long)st.st_ino);
	ck_assert(fdaccept_port_begin(text));
	ck_assert(fdaccept_port_is(KEPT));
}

static void
end_port(void)
{
	/* Only as another number can it be closed. */
	ck_assert(fdaccept_port_begin("1 1 1"));
	close(KEPT);
}

static int
bind_port(int fd, int family, int port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
	    .sin6_port = htons((uint16_t)port),
	    .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	return family == AF_INET ?
	    bind(fd, (struct sockaddr *)&in, sizeof(in)) :
	    bind(fd, (struct sockaddr *)&in6, sizeof(in6));
}

/* A client comes to that listener, by way of the unix socket. */
static void
serves(const struct sock_addr *addr, int fd)
{
	int ours = request(addr, "port"), theirs;
	char buf[64];

	ck_assert(readable(fd, 10000));
	theirs = accept(fd, NULL, NULL);
	ck_assert_int_ne(theirs, -1);
	ck_assert_int_eq(read(theirs, buf, 9), 9);
	ck_assert_int_eq(memcmp(buf, "GET /port", 9), 0);
	close(theirs);
	close(ours);
}

TEST(port_bound)
{
	static const int families[] = { AF_INET, AF_INET6, AF_INET };
	struct sock_addr addr, name;
	int fd[3], i, on = 1, low = 2, value, null;
	socklen_t len;

	begin_port(&addr);
	for (i = 0; i < 3; i++) {
		fd[i] = socket(families[i], SOCK_STREAM | (i == 1 ?
		    SOCK_CLOEXEC : 0) | (i == 2 ? SOCK_NONBLOCK : 0), 0);
		ck_assert(setsockopt(fd[i], SOL_SOCKET, SO_REUSEPORT, &on,
		    sizeof(on)) == 0);
		ck_assert(bind_port(fd[i], families[i], PORT) == 0);
		ck_assert(listen(fd[i], 5) == 0);
		ck_assert(fdaccept_port_is(fd[i]));
		ck_assert_int_eq(fcntl(fd[i], F_GETFD) & FD_CLOEXEC,
		    i == 1 ? FD_CLOEXEC : 0);
		/* Shared by all: set by the third, and never cleared. */
		ck_assert_int_eq((fcntl(fd[i], F_GETFL) & O_NONBLOCK) != 0,
		    i == 2);
		ck_assert(sock_name(fd[i], &name) == 0);
		ck_assert_int_eq(name.u.sa.sa_family, families[i]);
		ck_assert_int_eq(sock_port(&name), PORT);
		ck_assert(setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &on,
		    sizeof(on)) == 0);
		ck_assert(setsockopt(fd[i], SOL_SOCKET, SO_REUSEPORT, &on,
		    sizeof(on)) == 0);
		/* What a local socket has as well is set there. */
		ck_assert(setsockopt(fd[i], SOL_SOCKET, SO_RCVLOWAT, &low,
		    sizeof(low)) == 0);
		len = sizeof(value);
		ck_assert(getsockopt(fd[i], SOL_SOCKET, SO_RCVLOWAT, &value,
		    &len) == 0);
		ck_assert_int_eq(value, low);
		len = sizeof(value);
		ck_assert(getsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &value,
		    &len) == 0);
		len = sizeof(value);
		ck_assert(getsockopt(fd[i], SOL_SOCKET, SO_DOMAIN, &value,
		    &len) == 0);
		ck_assert_int_eq(value, families[i]);
		len = sizeof(value);
		ck_assert(getsockopt(fd[i], SOL_SOCKET, SO_ACCEPTCONN, &value,
		    &len) == 0);
		ck_assert_int_eq(value, 1);
	}
	serves(&addr, fd[0]);
	/* One cannot end it for all. */
	ck_assert_int_eq(shutdown(fd[1], SHUT_RDWR), 0);
	serves(&addr, fd[0]);
	/* The number that is kept may be lost at an exec: another does. */
	null = open("/dev/null", O_RDONLY);
	ck_assert_int_eq(dup2(null, KEPT), KEPT);
	close(KEPT);
	close(null);
	ck_assert(!fdaccept_port_is(KEPT));
	null = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert(bind_port(null, AF_INET, PORT) == 0);
	ck_assert(fdaccept_port_is(null) && fdaccept_port_is(KEPT));
	close(null);
	for (i = 0; i < 3; i++)
		close(fd[i]);
	/* Closed by all, it is bound again. */
	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert(bind_port(fd[0], AF_INET, PORT) == 0);
	serves(&addr, fd[0]);
	/* By a number that was never bound, as it was by another. */
	fd[1] = dup2(fd[0], KEPT - 1);
	close(fd[0]);
	ck_assert(sock_name(fd[1], &name) == 0);
	ck_assert_int_eq(name.u.sa.sa_family, AF_INET);
	ck_assert_int_eq(sock_port(&name), PORT);
	close(fd[1]);
	end_port();
}

/*
 * A signal handler, here a thread, that closes the listener while accept waits,
 * as Apache's does: who comes then is a client all the same.
 */
static _Atomic pid_t accepting;

static void *
accept_one(void *arg)
{
	accepting = gettid();
	*(int *)arg = accept(*(int *)arg, NULL, NULL);
	return NULL;
}

static void
until_asleep(void)
{
	char path[64], state = 'R';
	FILE *f;

	while (state != 'S') {
		poll(NULL, 0, 1);
		snprintf(path, sizeof(path), "/proc/self/task/%ld/stat",
		    (long)accepting);
		f = fopen(path, "r");
		if (f == NULL)
			continue;
		ck_assert_int_eq(fscanf(f, "%*d (%*[^)]) %c", &state), 1);
		fclose(f);
	}
}

TEST(port_closed_meanwhile)
{
	struct sock_addr addr;
	int fd, null = open("/dev/null", O_RDONLY), client, result;
	pthread_t thread;
	char buf[8];

	begin_port(&addr);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert(bind_port(fd, AF_INET, PORT) == 0);
	result = fd;
	ck_assert(pthread_create(&thread, NULL, accept_one, &result) == 0);
	until_asleep();
	ck_assert_int_eq(dup2(null, fd), fd);
	client = request(&addr, "port");
	pthread_join(thread, NULL);
	ck_assert_int_ne(result, -1);
	ck_assert_int_eq(read(result, buf, 4), 4);
	ck_assert_int_eq(memcmp(buf, "GET ", 4), 0);
	close(result);
	close(client);
	close(fd);
	close(null);
	end_port();
}

/* Who has room for an IPv4 address gets no part of another. */
static const struct {
	int family;
	socklen_t size, len;
	int put;
} rooms[] = {
	{ AF_INET, 16, 16, AF_INET }, { AF_INET, 110, 16, AF_INET },
	{ AF_INET6, 16, 16, AF_INET }, { AF_INET6, 27, 16, AF_INET },
	{ AF_INET6, 28, 28, AF_INET6 }, { AF_INET6, 110, 28, AF_INET6 },
	{ AF_INET6, 2, 28, AF_INET6 }
};

TEST(port_addresses)
{
	struct sockaddr_in6 from = { .sin6_family = AF_INET6,
	    .sin6_port = htons(77), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in six = { .sin_family = AF_INET,
	    .sin_port = htons(77), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_storage all;
	} to;
	bool v6 = rooms[_i].family == AF_INET6;
	socklen_t len = 0;

	ck_assert(fdaccept_port_begin("3000 4 5"));
	memset(&to, 0, sizeof(to));
	fdaccept_port_put(v6 ? (struct sockaddr *)&from :
	    (struct sockaddr *)&six, v6 ? sizeof(from) : sizeof(six), &to.sa,
	    &len, rooms[_i].size);
	ck_assert_uint_eq(len, rooms[_i].len);
	ck_assert_int_eq(to.sa.sa_family, rooms[_i].put);
	if (rooms[_i].size >= 16)
		ck_assert_int_eq(ntohs(to.in.sin_port), 77);
	if (v6 && rooms[_i].put == AF_INET)
		ck_assert_uint_eq(to.in.sin_addr.s_addr, 0);
}

/* Other ports, other kinds of sockets, and addresses that are none. */
TEST(port_not_meant)
{
	struct sock_addr addr, name;
	int fd;

	begin_port(&addr);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert(bind_port(fd, AF_INET, 0) == 0);
	ck_assert(listen(fd, 5) == 0);
	ck_assert(sock_name(fd, &name) == 0);
	ck_assert_int_ne(sock_port(&name), 0);
	ck_assert(!fdaccept_port_is(fd));
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	bind_port(fd, AF_INET, PORT);
	ck_assert(!fdaccept_port_is(fd));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert(bind(fd, &addr.u.sa, addr.len) == -1);
	ck_assert(bind(fd, NULL, 0) == -1);
	ck_assert(!fdaccept_port_is(fd));
	close(fd);
	ck_assert(bind_port(-1, AF_INET, PORT) == -1);
	ck_assert_int_eq(errno, EBADF);
	end_port();
}

/* The number stays open, whatever is closed; nothing else does. */
TEST(port_kept)
{
	struct sock_addr addr;
	int fd, low, high;

	begin_port(&addr);
	low = fcntl(0, F_DUPFD, KEPT - 1);
	high = fcntl(0, F_DUPFD, KEPT + 1);
	ck_assert_int_eq(close(KEPT), 0);
	ck_assert(fdaccept_port_is(KEPT));
	ck_assert_int_eq(close_range(KEPT - 1, KEPT + 1, 0), 0);
	ck_assert(fdaccept_port_is(KEPT));
	ck_assert(fcntl(low, F_GETFD) == -1 && fcntl(high, F_GETFD) == -1);
	ck_assert_int_eq(close_range(KEPT, KEPT, 0), 0);
	low = fcntl(0, F_DUPFD, KEPT - 1);
	high = fcntl(0, F_DUPFD, KEPT + 1);
	ck_assert_int_eq(close_range(KEPT, ~0u, 0), 0);
	ck_assert(fcntl(low, F_GETFD) != -1 && fcntl(high, F_GETFD) == -1);
	high = fcntl(0, F_DUPFD, KEPT + 1);
	closefrom(KEPT - 1);
	ck_assert(fcntl(low, F_GETFD) == -1 && fcntl(high, F_GETFD) == -1);
	ck_assert(fdaccept_port_is(KEPT));
	/* Somebody else's by that number is closed as ever. */
	fd = open("/dev/null", O_RDONLY);
	ck_assert_int_eq(dup2(fd, KEPT), KEPT);
	ck_assert_int_eq(close(KEPT), 0);
	ck_assert_int_eq(fcntl(KEPT, F_GETFD), -1);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert(bind_port(fd, AF_INET, PORT) == -1);
	ck_assert_int_eq(errno, EADDRNOTAVAIL);
	close(fd);
}

/* A call by a constructor that runs before the library's. */
#define EARLY		"EARLY"
#define EARLY_CALLS	21

static long
early_call(int i)
{
	struct sockaddr addr = { .sa_family = AF_INET };
	socklen_t len = sizeof(addr);
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return i == 0 ? accept(-1, NULL, NULL) :
	    i == 1 ? accept4(-1, NULL, NULL, 0) :
	    i == 2 ? read(-1, &byte, 1) :
	    i == 3 ? readv(-1, &iov, 1) :
	    i == 4 ? recv(-1, &byte, 1, 0) :
	    i == 5 ? recvfrom(-1, &byte, 1, 0, NULL, NULL) :
	    i == 6 ? recvmsg(-1, &msg, 0) :
	    i == 7 ? write(-1, &byte, 1) :
	    i == 8 ? writev(-1, &iov, 1) :
	    i == 9 ? send(-1, &byte, 1, 0) :
	    i == 10 ? sendto(-1, &byte, 1, 0, NULL, 0) :
	    i == 11 ? sendmsg(-1, &msg, 0) :
	    i == 12 ? bind(-1, &addr, len) :
	    i == 13 ? listen(-1, 1) :
	    i == 14 ? getsockname(-1, &addr, &len) :
	    i == 15 ? getpeername(-1, &addr, &len) :
	    i == 16 ? getsockopt(-1, SOL_SOCKET, SO_TYPE, &byte, &len) :
	    i == 17 ? setsockopt(-1, SOL_SOCKET, SO_TYPE, &byte, len) :
	    i == 18 ? shutdown(-1, SHUT_WR) :
	    i == 19 ? close(-1) : close_range(~0u, ~0u, 0) - 1;
}

__attribute__((constructor(101))) static void
be_early(void)
{
	const char *i = getenv(EARLY);

	if (i != NULL)
		_exit(early_call(atoi(i)) == -1 ? 0 : 1);
}

TEST(called_early)
{
	char text[8], *argv[] = { self, NULL };
	int status;
	pid_t pid;

	snprintf(text, sizeof(text), "%d", _i);
	pid = fork();
	if (pid == 0) {
		setenv(EARLY, text, 1);
		execv(self, argv);
		_exit(126);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

static const struct test tests[] = {
	TIMES(splits, COUNT(heads)),
#ifdef __linux__
	TIMES(edge_triggered, COUNT(heads)),
#endif
	TIMES(large, 3),
	TIMES(body, COUNT(body_sizes)),
	ONCE(cut_short),
	ONCE(any_size),
	ONCE(chunks),
	ONCE(discarded),
	ONCE(errors),
	ONCE(number_again),
	ONCE(in_a_child),
	TIMES(websocket, SENDINGS),
	TIMES(websocket_refused, SENDINGS),
	ONCE(websocket_early),
	ONCE(websocket_threads),
	ONCE(threads_and_forks),
	TIMES(port_described, COUNT(descriptions)),
	ONCE(port_bound),
	TIMES(port_addresses, COUNT(rooms)),
	ONCE(port_closed_meanwhile),
	ONCE(port_not_meant),
	ONCE(port_kept),
	TIMES(called_early, EARLY_CALLS)
};

int
main(int argc, char **argv)
{
	self = argv[0];
	return runner_run(argc, argv, tests, COUNT(tests), setup, teardown);
}
