/* See LICENSE for copyright and license details. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "fdbackend.h"
#include "fdpass.h"
#include "unit.h"

#define FDS_MAX	512
#define MANY	253		/* what Linux sends at once */

static char dir[64], path[128];
static struct sock_addr addr;
static int pair[2];
static int open_before;

static void
setup(void)
{
	open_before = unit_count_open(FDS_MAX);
	strcpy(dir, "/tmp/unit_fdpass.XXXXXX");
	ck_assert(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/s", dir);
	ck_assert(sock_unix(&addr, path, strlen(path)));
	ck_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ==
	    0);
}

/* Whatever happens in a test, no descriptor is left over. */
static void
teardown(void)
{
	unlink(path);
	rmdir(dir);
	if (pair[0] != -1)
		close(pair[0]);
	if (pair[1] != -1)
		close(pair[1]);
	ck_assert_int_eq(unit_count_open(FDS_MAX), open_before);
}

/* Bytes and n descriptors in one message, as any program may send them. */
static void
send_many(int sock, const void *data, size_t len, const int *fds, size_t n)
{
	union {
		struct cmsghdr align;
		unsigned char bytes[CMSG_SPACE(MANY * sizeof(int))];
	} control;
	struct iovec iov = { (void *)(size_t)data, len };
	struct msghdr msg;
	struct cmsghdr *cmsg;

	ck_assert(n <= MANY);
	memset(&msg, 0, sizeof(msg));
	memset(&control, 0, sizeof(control));
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	msg.msg_control = control.bytes;
	msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
	cmsg = CMSG_FIRSTHDR(&msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
	ck_assert(sendmsg(sock, &msg, 0) == (ssize_t)len);
}

static bool
same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 &&
	    x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static size_t room;	/* for descriptors, if it is not what a receiver has */

/*
 * recvmsg(2), for all that is in this program: as macOS cuts a message, whose
 * cmsg_len says what has been sent.  What lies beyond is no descriptor there.
 */
ssize_t
recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t n = syscall(SYS_recvmsg, fd, msg, flags);

	if (n > 0 && room > 0) {
		msg->msg_flags |= MSG_CTRUNC;
		msg->msg_controllen = CMSG_LEN(room * sizeof(int));
	}
	return n;
}

/* A NUL byte and a descriptor, of the same open file. */
TEST(one_byte)
{
	char byte = 'x', data[4];
	int client[2], fd = -7;

	ck_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, client) == 0);
	ck_assert_int_eq(fdpass_send(pair[0], client[0], "", 1), 1);
	/* Ours may be closed; theirs lives. */
	close(client[0]);
	ck_assert_int_eq(fdpass_recv(pair[1], data, sizeof(data), &fd), 1);
	ck_assert_int_eq(data[0], '\0');
	ck_assert_int_ne(fd, -1);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	/* O_NONBLOCK is not set on the way. */
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert(write(client[1], &byte, 1) == 1);
	byte = '\0';
	ck_assert(read(fd, &byte, 1) == 1);
	ck_assert_int_eq(byte, 'x');
	close(fd);
	close(client[1]);

	/* Then the sender closes: a clean end. */
	close(pair[0]);
	pair[0] = -1;
	ck_assert_int_eq(fdpass_recv(pair[1], data, sizeof(data), &fd), 0);
	ck_assert_int_eq(fd, -1);
}

/* The bytes behind the first one arrive in order, however they are sent. */
TEST(payload)
{
	static const char text[] = "\0GET / HTTP/1.1\r\nHost: h\r\n\r\n";
	char data[64];
	size_t len = sizeof(text) - 1, got = 0;
	ssize_t n, sent;
	int fd, first = -1;

	sent = fdpass_send(pair[0], pair[0], text, len);
	ck_assert(sent >= 1 && sent <= (ssize_t)len);
	ck_assert(send(pair[0], text + sent, len - (size_t)sent, 0) ==
	    (ssize_t)len - sent);
	while (got < len) {
		n = fdpass_recv(pair[1], data + got, sizeof(data) - got, &fd);
		ck_assert_int_gt(n, 0);
		if (got == 0) {
			ck_assert_int_ne(fd, -1);
			first = fd;
		} else {
			ck_assert_int_eq(fd, -1);
		}
		got += (size_t)n;
	}
	ck_assert_uint_eq(got, len);
	ck_assert(memcmp(data, text, len) == 0);
	ck_assert(same_file(first, pair[0]));
	close(first);
}

/* More than fits: a count, and never a wait. */
TEST(payload_long)
{
	static char text[4 * 1024 * 1024], data[sizeof(text)];
	size_t got = 0;
	ssize_t n, sent;
	int fd, fds = 0;

	memset(text, 'a', sizeof(text));
	sent = fdpass_send(pair[0], pair[1], text, sizeof(text));
	ck_assert(sent >= 1 && sent < (ssize_t)sizeof(text));
	close(pair[0]);
	pair[0] = -1;
	while ((n = fdpass_recv(pair[1], data, sizeof(data), &fd)) > 0) {
		got += (size_t)n;
		if (fd != -1) {
			fds++;
			close(fd);
		}
	}
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(got, (size_t)sent);
	ck_assert_int_eq(fds, 1);
}

/* A message without a descriptor, and one byte of one that has more. */
TEST(without)
{
	char data[2];
	int fd = 5;

	ck_assert(send(pair[0], "ab", 2, 0) == 2);
	ck_assert_int_eq(fdpass_recv(pair[1], data, 1, &fd), 1);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(data[0], 'a');
	ck_assert_int_eq(fdpass_recv(pair[1], data, 2, &fd), 1);
	ck_assert_int_eq(data[0], 'b');

	ck_assert(sock_nonblock(pair[1], true) == 0);
	ck_assert_int_eq(fdpass_recv(pair[1], data, 1, &fd), -1);
	ck_assert(errno == EAGAIN || errno == EWOULDBLOCK);
	ck_assert_int_eq(fd, -1);
}

/* Of several, the first is taken and the others are closed. */
TEST(surplus)
{
	int fds[16], fd, i, n = _i + 1, before;
	char byte;

	for (i = 0; i < n; i++) {
		fds[i] = open("/dev/null", O_RDONLY);
		ck_assert(fds[i] != -1);
	}
	close(fds[0]);
	fds[0] = dup(pair[0]);
	before = unit_count_open(FDS_MAX);
	send_many(pair[0], "", 1, fds, (size_t)n);
	ck_assert_int_eq(fdpass_recv(pair[1], &byte, 1, &fd), 1);
	ck_assert_int_ne(fd, -1);
	ck_assert(same_file(fd, pair[0]));
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq(unit_count_open(FDS_MAX), before + 1);
	close(fd);
	for (i = 0; i < n; i++)
		close(fds[i]);
}

/* Of a message that was cut, nothing is read beyond its end. */
TEST(cut)
{
	int fds[4], fd, i, first = open("/dev/null", O_RDONLY);
	char byte;

	for (i = 0; i < 4; i++)
		fds[i] = STDIN_FILENO;
	close(first);
	send_many(pair[0], "", 1, fds, 4);
	room = 2;
	if (_i == 0)
		ck_assert_int_eq(fdpass_recv(pair[1], &byte, 1, &fd), 1);
	else
		ck_assert_int_eq(fdbackend_take(pair[1], &fd), 1);
	room = 0;
	ck_assert_int_eq(fd, first);
	close(fd);
	ck_assert_int_eq(fcntl(first + 1, F_GETFD), -1);
	for (i = 2; i < 4; i++) {
		ck_assert_int_ne(fcntl(first + i, F_GETFD), -1);
		close(first + i);
	}
}

/* However many they are, none makes the receiver wait for its client. */
TEST(surplus_lingers)
{
	static char piece[65536];
	struct linger option = { 1, 60 };
	struct sockaddr_in name = { .sin_family = AF_INET };
	socklen_t size = sizeof(name);
	int fds[MANY], fd, i, client, listener = socket(AF_INET, SOCK_STREAM,
	    0);
	time_t begun = time(NULL);
	char byte;

	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert(bind(listener, (struct sockaddr *)&name, size) == 0);
	ck_assert(listen(listener, 1) == 0);
	ck_assert(getsockname(listener, (struct sockaddr *)&name, &size) == 0);
	client = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert(connect(client, (struct sockaddr *)&name, size) == 0);
	for (i = 0; i < MANY - 1; i++)
		fds[i] = pair[0];
	fds[i] = accept(listener, NULL, NULL);
	ck_assert_int_ne(fds[i], -1);
	ck_assert(sock_nonblock(fds[i], true) == 0);
	while (send(fds[i], piece, sizeof(piece), MSG_NOSIGNAL) > 0)
		;
	ck_assert(sock_nonblock(fds[i], false) == 0);
	ck_assert(setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &option,
	    sizeof(option)) == 0);
	send_many(pair[0], "", 1, fds, MANY);
	close(fds[i]);
	ck_assert_int_eq(fdpass_recv(pair[1], &byte, 1, &fd), 1);
	ck_assert_int_lt(time(NULL), begun + 30);
	close(fd);
	close(client);
	close(listener);
}

/* A receiver without room: the descriptor is lost, and that is told. */
TEST(no_room)
{
	struct rlimit limit, saved;
	int fds[FDS_MAX], n = 0, fd;
	char byte = 'x';

	ck_assert_int_eq(fdpass_send(pair[0], pair[0], "", 1), 1);
	ck_assert(getrlimit(RLIMIT_NOFILE, &saved) == 0);
	limit = saved;
	limit.rlim_cur = 64;
	ck_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	while ((fd = dup(pair[0])) != -1)
		fds[n++] = fd;
	errno = 0;
	ck_assert_int_eq(fdpass_recv(pair[1], &byte, 1, &fd), -1);
	ck_assert_int_eq(errno, EMFILE);
	ck_assert_int_eq(fd, -1);
	while (n > 0)
		close(fds[--n]);
	ck_assert(setrlimit(RLIMIT_NOFILE, &saved) == 0);
}

TEST(nobody)
{
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	ck_assert_int_eq(fdpass_send(s, STDIN_FILENO, "", 1), -1);
	ck_assert_int_eq(errno, EPIPE);
	close(s);
	close(pair[1]);
	pair[1] = -1;
	ck_assert_int_eq(fdpass_send(pair[0], STDIN_FILENO, "", 1), -1);
	ck_assert(errno == EPIPE || errno == ECONNRESET);
	ck_assert(fcntl(pair[0], F_GETFD) != -1);
}

/* A full socket says so at once, also when it is a blocking one. */
TEST(full)
{
	static char dots[65536];
	ssize_t n;

	while ((n = send(pair[0], dots, sizeof(dots), MSG_DONTWAIT)) > 0)
		;
	while ((n = send(pair[0], dots, 1, MSG_DONTWAIT)) > 0)
		;
	ck_assert_int_eq(fdpass_send(pair[0], pair[0], "", 1), -1);
	ck_assert(errno == EAGAIN || errno == EWOULDBLOCK);
}

TEST(bad_descriptor)
{
	int fd = dup(pair[0]);

	close(fd);
	ck_assert_int_eq(fdpass_send(pair[0], fd, "", 1), -1);
	ck_assert_int_eq(errno, EBADF);
}

/* Connecting, for a whole hand-off. */
TEST(handoff)
{
	struct sock_addr from;
	int listener, sock, peer, fd;
	char byte = 'x';

	listener = sock_listen(&addr, 5, false, -1);
	ck_assert(listener != -1);
	sock = fdpass_connect(&addr, FDPASS_ANYBODY);
	ck_assert(sock != -1);
	ck_assert(fcntl(sock, F_GETFD) & FD_CLOEXEC);
	ck_assert(fcntl(sock, F_GETFL) & O_NONBLOCK);
	/* All of it before the backend has even accepted. */
	ck_assert_int_eq(fdpass_send(sock, pair[0], "", 1), 1);
	close(sock);
	peer = sock_accept(listener, &from);
	ck_assert(peer != -1);
	ck_assert_int_eq(fdpass_recv(peer, &byte, 1, &fd), 1);
	ck_assert_int_eq(byte, '\0');
	ck_assert(same_file(fd, pair[0]));
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	close(fd);

	/* A connection that ends without a message is a probe. */
	sock = fdpass_connect(&addr, FDPASS_ANYBODY);
	ck_assert(sock != -1);
	close(sock);
	close(peer);
	peer = sock_accept(listener, &from);
	ck_assert_int_eq(fdpass_recv(peer, &byte, 1, &fd), 0);
	ck_assert_int_eq(fd, -1);
	close(peer);
	close(listener);
}

#ifdef __linux__
TEST(backlog)
{
	int fds[8], listener, n, before;

	listener = sock_listen(&addr, 1, false, -1);
	ck_assert(listener != -1);
	before = unit_count_open(FDS_MAX);
	for (n = 0; n < COUNT(fds); n++) {
		fds[n] = fdpass_connect(&addr, FDPASS_ANYBODY);
		if (fds[n] == -1)
			break;
	}
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(fdpass_state(errno, &addr), FDPASS_FULL);
	ck_assert(n > 0 && n < COUNT(fds));
	/* A refused try leaves no descriptor. */
	ck_assert_int_eq(unit_count_open(FDS_MAX), before + n);
	while (n > 0)
		close(fds[--n]);
	close(listener);
}
#endif

static void
refused(int error, enum fdpass_state state)
{
	int before = unit_count_open(FDS_MAX);

	ck_assert_int_eq(fdpass_connect(&addr, FDPASS_ANYBODY), -1);
	ck_assert_int_eq(errno, error);
	ck_assert_int_eq(fdpass_state(error, &addr), state);
	ck_assert_int_eq(unit_count_open(FDS_MAX), before);
}

TEST(absent)
{
	int fd;

	refused(ENOENT, FDPASS_ABSENT);

	/* Left over from a process that is gone. */
	fd = sock_listen(&addr, 1, false, -1);
	ck_assert(fd != -1);
	close(fd);
#ifdef __linux__
	refused(ECONNREFUSED, FDPASS_ABSENT);
#else
	refused(ECONNREFUSED, FDPASS_FULL);
#endif
}

TEST(broken)
{
	struct sock_addr below;
	char name[160];
	int fd;

	/* What is no socket will not become one by waiting. */
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	ck_assert(fd != -1);
	close(fd);
	ck_assert_int_eq(fdpass_connect(&addr, FDPASS_ANYBODY), -1);
	ck_assert_int_eq(fdpass_state(errno, &addr), FDPASS_BROKEN);

	snprintf(name, sizeof(name), "%s/below", path);
	ck_assert(sock_unix(&below, name, strlen(name)));
	ck_assert_int_eq(fdpass_connect(&below, FDPASS_ANYBODY), -1);
	ck_assert_int_eq(errno, ENOTDIR);
	ck_assert_int_eq(fdpass_state(errno, &below), FDPASS_BROKEN);

	unlink(path);
	ck_assert(symlink(path, path) == 0);
	refused(ELOOP, FDPASS_BROKEN);

	unlink(path);
	ck_assert(mkdir(path, 0700) == 0);
	ck_assert_int_eq(fdpass_connect(&addr, FDPASS_ANYBODY), -1);
	ck_assert_int_eq(fdpass_state(errno, &addr), FDPASS_BROKEN);
	rmdir(path);
}

/* A socket of another type. */
TEST(datagram)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	ck_assert(fd != -1);
	ck_assert(bind(fd, &addr.u.sa, addr.len) == 0);
	refused(EPROTOTYPE, FDPASS_BROKEN);
	close(fd);
}

TEST(forbidden)
{
	int fd;

	if (geteuid() == 0)
		return;
	fd = sock_listen(&addr, 1, false, -1);
	ck_assert(fd != -1);
	ck_assert(chmod(path, 0) == 0);
	refused(EACCES, FDPASS_BROKEN);
	close(fd);
}

TEST(states)
{
	static const struct {
		int error;
		enum fdpass_state state;
	} rows[] = {
		{ EAGAIN, FDPASS_FULL }, { EMFILE, FDPASS_FULL },
		{ ENFILE, FDPASS_FULL }, { ENOBUFS, FDPASS_FULL },
		{ ENOMEM, FDPASS_FULL }, { EINTR, FDPASS_FULL },
		{ ENOENT, FDPASS_ABSENT }, { EACCES, FDPASS_BROKEN },
		{ EPROTOTYPE, FDPASS_BROKEN }, { ENOTDIR, FDPASS_BROKEN },
		{ ELOOP, FDPASS_BROKEN }, { ENOTSOCK, FDPASS_BROKEN },
		{ EINVAL, FDPASS_BROKEN }
	};
	int i;

	for (i = 0; i < COUNT(rows); i++)
		ck_assert_int_eq(fdpass_state(rows[i].error, &addr),
		    rows[i].state);
}

static const struct test tests[] = {
	ONCE(one_byte),
	ONCE(payload),
	ONCE(payload_long),
	ONCE(without),
	TIMES(surplus, 16),
	TIMES(cut, 2),
	ONCE(surplus_lingers),
	ONCE(no_room),
	ONCE(nobody),
	ONCE(full),
	ONCE(bad_descriptor),
	ONCE(handoff),
#ifdef __linux__
	ONCE(backlog),
#endif
	ONCE(absent),
	ONCE(broken),
	ONCE(datagram),
	ONCE(forbidden),
	ONCE(states)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), setup, teardown);
}
