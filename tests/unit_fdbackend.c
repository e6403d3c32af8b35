/* See LICENSE for copyright and license details. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fdbackend.h"
#include "fdpass.h"
#include "unit.h"

static char dir[] = "/tmp/unit_fdbackend.XXXXXX";
static int near_end, far_end;	/* of a channel, or of a client */

static void
begin(void)
{
	int fd[2];

	strcpy(dir, "/tmp/unit_fdbackend.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert(chdir(dir) == 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	near_end = fd[0];
	far_end = fd[1];
}

static void
end(void)
{
	close(near_end);
	close(far_end);
	unlink("s");
	ck_assert(chdir("/") == 0 && rmdir(dir) == 0);
}

static bool
is_cloexec(int fd)
{
	return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

TEST(connects)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM, 0), fd;
	char text[256];

	ck_assert_int_eq(fdbackend_connect("s"), -1);
	ck_assert_int_eq(errno, ENOENT);
	memset(text, 'a', sizeof(text));
	text[sizeof(addr.sun_path)] = '\0';
	ck_assert_int_eq(fdbackend_connect(text), -1);
	ck_assert_int_eq(errno, ENAMETOOLONG);
	ck_assert_int_eq(fdbackend_connect(""), -1);
	strcpy(addr.sun_path, "s");
	ck_assert_int_eq(bind(s, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(s, 4), 0);
	fd = fdbackend_connect("s");
	ck_assert_int_ne(fd, -1);
	ck_assert(is_cloexec(fd));
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	close(fd);
	close(s);
}

#ifdef __linux__
TEST(connects_to_name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM, 0), n, fd;
	socklen_t len;
	char name[64];

	n = snprintf(name, sizeof(name), "@unit_fdbackend.%ld",
	    (long)getpid());
	memcpy(addr.sun_path + 1, name + 1, (size_t)n - 1);
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n);
	ck_assert_int_eq(bind(s, (struct sockaddr *)&addr, len), 0);
	ck_assert_int_eq(listen(s, 4), 0);
	fd = fdbackend_connect(name);
	ck_assert_int_ne(fd, -1);
	close(fd);
	close(s);
}
#endif

static const char *const numbers[] = { NULL, "", "x", "-1", "999999" };

/* What fdproxy has left to its command, or has not. */
TEST(left_by_parent)
{
	char text[16];

	errno = 0;
	if (_i < COUNT(numbers)) {
		unsetenv("FDPROXY_WORKERS");
		if (numbers[_i] != NULL)
			setenv("FDPROXY_WORKERS", numbers[_i], 1);
		/* "" and "x" are 0, which is open. */
		if (_i == 1 || _i == 2)
			return;
		ck_assert_int_eq(fdbackend_connect(NULL), -1);
		ck_assert_int_eq(errno, ENOTCONN);
		return;
	}
	snprintf(text, sizeof(text), "%d", near_end);
	setenv("FDPROXY_WORKERS", text, 1);
	errno = ENOTCONN;
	ck_assert_int_eq(fdbackend_connect(NULL), near_end);
	ck_assert(is_cloexec(near_end));
}

/* Growing, random, bounded; begun anew. */
TEST(delays)
{
	unsigned int step = 0, ms, most = 50;
	int i;

	for (i = 0; i < 20; i++) {
		ms = fdbackend_delay(&step);
		ck_assert_uint_eq(step, most);
		ck_assert_uint_ge(ms, most / 2);
		ck_assert_uint_lt(ms, most);
		most = most * 2 > 5000 ? 5000 : most * 2;
	}
	step = 0;
	ck_assert_uint_lt(fdbackend_delay(&step), 50);
}

TEST(asks)
{
	static char bytes[70000];
	static const unsigned int counts[] = { 0, 1, 1023, 1024, 1025, 65535 };
	ssize_t n;
	int i, asked;

	for (i = 0; i < COUNT(counts); i++) {
		ck_assert_int_eq(fdbackend_ask(near_end, counts[i]),
		    (int)counts[i]);
		if (counts[i] == 0)
			continue;
		memset(bytes, 1, sizeof(bytes));
		n = recv(far_end, bytes, counts[i], MSG_WAITALL);
		ck_assert_int_eq(n, (ssize_t)counts[i]);
		ck_assert_ptr_null(memchr(bytes, 1, counts[i]));
	}
	/* In part, then not at all; then nobody is there. */
	fcntl(near_end, F_SETFL, O_NONBLOCK);
	while ((asked = fdbackend_ask(near_end, 65535)) == 65535)
		;
	ck_assert_int_eq(fdbackend_ask(near_end, 1024), -1);
	ck_assert(errno == EAGAIN || errno == EWOULDBLOCK);
	close(far_end);
	far_end = -1;
	ck_assert_int_eq(fdbackend_ask(near_end, 1), -1);
	ck_assert_int_eq(errno, EPIPE);
}

TEST(takes)
{
	int client, fd = open("/dev/null", O_RDWR), on = 1, i;

	fcntl(near_end, F_SETFL, O_NONBLOCK);
	ck_assert_int_eq(fdbackend_take(near_end, &client), -1);
	ck_assert(errno == EAGAIN || errno == EWOULDBLOCK);
	ck_assert_int_eq(client, -1);
#ifdef SO_PASSCRED
	/* Credentials stand in front. */
	if (_i == 1)
		setsockopt(near_end, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
#endif
	(void)on;
	ck_assert_int_eq(fdpass_send(far_end, fd, "\0head", 5), 5);
	ck_assert_int_eq(fdbackend_take(near_end, &client), 1);
	ck_assert_int_gt(client, 2);
	ck_assert(is_cloexec(client));
	close(client);
	/* The rest is the caller's to read; a NUL alone is a lost client. */
	ck_assert_int_eq(fdbackend_take(near_end, &client), -1);
	ck_assert_int_eq(errno, EBADMSG);
	ck_assert_int_eq(send(far_end, "", 1, 0), 1);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(fdbackend_take(near_end, &client), -1);
	ck_assert_int_eq(errno, EMFILE);
	ck_assert_int_eq(fdpass_send(far_end, fd, "", 1), 1);
	close(far_end);
	far_end = -1;
	while (fdbackend_take(near_end, &client) == -1)
		ck_assert_int_eq(errno, EMFILE);
	ck_assert_int_ne(client, -1);
	close(client);
	ck_assert_int_eq(fdbackend_take(near_end, &client), 0);
	close(fd);
}

TEST(surplus_is_closed)
{
	int fds[2], client, next;

	fds[0] = fds[1] = open("/dev/null", O_RDWR);
	ck_assert_int_eq(fdpass_send_fds(far_end, fds, 2, "", 1), 1);
	ck_assert_int_eq(fdbackend_take(near_end, &client), 1);
	next = dup(client);
	ck_assert_int_eq(next, client + 1);
	close(next);
	close(client);
	close(fds[0]);
}

/* The other side has closed over what it has not read. */
TEST(reset_is_an_end)
{
	int client;

	fdbackend_ask(near_end, 1);
	close(far_end);
	far_end = -1;
	ck_assert_int_eq(fdbackend_take(near_end, &client), 0);
}

TEST(gives_back)
{
	static const unsigned int more[] = { 0, 1, 15, 16, 1023, 1024 };
	int fd = open("/dev/null", O_RDWR), got;
	char bytes[1024] = "";
	ssize_t n;

	if (more[_i] == 1024) {
		ck_assert_int_eq(fdbackend_give_back(near_end, fd, 1024), -1);
		ck_assert_int_eq(errno, EINVAL);
		close(fd);
		return;
	}
	ck_assert_int_eq(fdbackend_give_back(near_end, fd, more[_i]), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	n = fdpass_recv(far_end, bytes, sizeof(bytes), &got);
	if (n < 1 + (ssize_t)more[_i])
		n += recv(far_end, bytes + n, sizeof(bytes) - (size_t)n, 0);
	ck_assert_int_eq(n, 1 + (ssize_t)more[_i]);
	ck_assert_int_eq(bytes[0], 1);
	ck_assert_int_ne(got, -1);
	close(got);
	for (n = 1; n <= (ssize_t)more[_i]; n++)
		ck_assert_int_eq(bytes[n], 0);
}

TEST(gives_back_to_nobody)
{
	int fd = open("/dev/null", O_RDWR);

	close(far_end);
	far_end = -1;
	ck_assert_int_eq(fdbackend_give_back(near_end, fd, 1), -1);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert_int_ne(fcntl(fd, F_GETFD), -1);
	close(fd);
}

/* What is written arrives, and what comes meanwhile is dropped. */
TEST(finishes)
{
	static char bytes[100000];
	struct pollfd p = { .fd = far_end, .events = POLLIN };
	int fd = near_end;

	ck_assert_int_eq(send(near_end, "answer", 6, 0), 6);
	ck_assert_int_eq(send(far_end, bytes, sizeof(bytes), 0),
	    (ssize_t)sizeof(bytes));
	if (_i == 0) {
		/* The client closes; or does not, within that time. */
		shutdown(far_end, SHUT_WR);
		fdbackend_finish(fd, 60000);
	} else if (_i == 1) {
		fdbackend_finish(fd, 20);
	} else {
		fdbackend_end(fd);
		while (fdbackend_drain(fd) == 0 && bytes[0] == 0)
			bytes[0] = recv(fd, bytes, 1, MSG_PEEK |
			    MSG_DONTWAIT) == -1;
		ck_assert_int_eq(fdbackend_drain(fd), 0);
		shutdown(far_end, SHUT_WR);
		ck_assert_int_eq(fdbackend_drain(fd), 1);
	}
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	near_end = -1;
	ck_assert_int_eq(poll(&p, 1, 10000), 1);
	ck_assert_int_eq(recv(far_end, bytes, sizeof(bytes), 0), 6);
	ck_assert_int_eq(recv(far_end, bytes, sizeof(bytes), 0), 0);
}

TEST(leaves)
{
	int client, fd = open("/dev/null", O_RDWR);
	char byte;

	fdbackend_leave(near_end);
	ck_assert_int_eq(recv(far_end, &byte, 1, 0), 0);
	ck_assert_int_eq(fdpass_send(far_end, fd, "", 1), 1);
	close(fd);
	ck_assert_int_eq(fdbackend_take(near_end, &client), 1);
	close(client);
}

int
main(int argc, char **argv)
{
	static const struct test tests[] = {
		ONCE(connects),
#ifdef __linux__
		ONCE(connects_to_name),
#endif
		TIMES(left_by_parent, COUNT(numbers) + 1),
		ONCE(delays),
		ONCE(asks),
		TIMES(takes, 2),
		ONCE(reset_is_an_end),
		TIMES(gives_back, 6),
		ONCE(surplus_is_closed),
		ONCE(gives_back_to_nobody),
		TIMES(finishes, 3),
		ONCE(leaves)
	};

	return runner_run(argc, argv, tests, COUNT(tests), begin, end);
}
