/* See LICENSE for copyright and license details. */

/*
 * A build in which any one call of the system's fails (failing.h): at the
 * start, during a renewal, while a client is served.  The first, the second,
 * and so on, until there are no more.
 */

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdpass.h"
#include "failing.h"
#include "world.h"

#define ANSWER	"HTTP/1.1 200 OK\r\n\r\nhello"
#define FILE_LEN	((size_t)600000)	/* more than a socket takes */

static struct failing *failing_call;
static char buf[1024 * 1024];

static void
begin(void)
{
	static char path[128];
	int fd;

	world_begin();
	snprintf(path, sizeof(path), "%s/failing", world_dir());
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	ck_assert_int_eq(fchmod(fd, 0666), 0);
	ck_assert_int_eq(ftruncate(fd, sizeof(*failing_call)), 0);
	failing_call = mmap(NULL, sizeof(*failing_call), PROT_READ |
	    PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert(failing_call != MAP_FAILED);
	close(fd);
	world_environment("FAILING", path);
	world_environment("ASAN_OPTIONS", "exitcode=99");
	world_expect("");
}

static void
end(void)
{
	failing_call->at = 0;
	world_end();
	munmap(failing_call, sizeof(*failing_call));
}

/* From now on the n-th call fails. */
static void
let_fail(int n)
{
	failing_call->count = 0;
	failing_call->call[0] = '\0';
	failing_call->at = n;
}

/* No other; whether one has failed. */
static bool
failed(void)
{
	failing_call->at = 0;
	return failing_call->call[0] != '\0';
}

#define check(n, condition)						\
	ck_assert_msg(condition, "call %d, %s: %s; it says: %.4000s",	\
	    n, failing_call->call, #condition, world_errors())

/* ---- a backend, a worker and a client ---- */

/* Answer one that is passed over a connection; a probe has none. */
static void
take(int conn)
{
	char bytes[4096];
	int fd = -1;

	fdpass_recv(conn, bytes, sizeof(bytes), &fd);
	if (fd == -1)
		return;
	/* The head, where there is no flusher: unread, it would be a reset. */
	recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	send(fd, ANSWER, strlen(ANSWER), MSG_NOSIGNAL);
	close(fd);
}

/*
 * Take clients at the backend's listener and a worker's connection (-1: none)
 * until this one has read its end: what it has read; whether that is no reset.
 */
static bool
serve(int client, int listener, int worker)
{
	struct pollfd p[16] = { { client, POLLIN, 0 },
	    { listener, POLLIN, 0 }, { worker, POLLIN, 0 } };
	long until = now_ms() + WORLD_PATIENCE;
	size_t len = 0;
	ssize_t n = 1;
	int i, open = 3;

	while (n > 0) {
		ck_assert_msg(now_ms() < until, "%s: no end; it says: %s",
		    failing_call->call, world_errors());
		poll(p, (nfds_t)open, 1000);
		for (i = 2; i < open; i++) {
			if (p[i].revents == 0)
				continue;
			take(p[i].fd);
			if (i > 2)
				close(p[i].fd);
			else
				send(worker, "", 1, MSG_NOSIGNAL);
			p[i].fd = i > 2 ? -1 : worker;
		}
		if (p[1].revents != 0 && open < COUNT(p))
			p[open++] = (struct pollfd){ accept(listener, NULL,
			    NULL), POLLIN, 0 };
		if (p[0].revents != 0) {
			n = recv(client, buf + len, sizeof(buf) - 1 - len, 0);
			len += n > 0 ? (size_t)n : 0;
		}
	}
	while (open-- > 3)
		close(p[open].fd);
	buf[len] = '\0';
	close(client);
	return n == 0;
}

static int
ask(const char *path)
{
	int client = client_unix("front");
	char text[128];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n",
	    path);
	/* It may be refused by now. */
	send(client, text, strlen(text), MSG_NOSIGNAL);
	return client;
}

/* ---- the start ---- */

static const struct {
	const char *more;	/* of the configuration */
	const char *flag;
	const char *command;
} starts[] = {
	{ "PidFile pid\nProxyPass /w workers://w mode=600 group=65533\n"
	    "RequestReadTimeout header=10\n", "-v", NULL },
	{ "User 65534\nGroup 65533\nPidFile pid\nCustomLog access\n", "-v",
	    NULL },
	{ "PidFile pid\nProxyPass /c :workers\n", "-v",
	    "exec 5>alive; eval \"printf '\\\\0' >&$FDPROXY_WORKERS\"; "
	    "exec sleep 1000" }
};

/* Whether clients can connect; else it has ended. */
static bool
comes_up(void)
{
	long until = now_ms() + WORLD_PATIENCE;
	siginfo_t info = { .si_pid = 0 };

	while (info.si_pid == 0 && now_ms() < until) {
		if (strchr(read_file("out"), '\n') != NULL)
			return true;
		poll(NULL, 0, 1);
		ck_assert_int_eq(waitid(P_PID, (id_t)world_pid(), &info,
		    WEXITED | WNOHANG | WNOWAIT), 0);
	}
	ck_assert_msg(info.si_pid != 0, "%s: it hangs; it says: %s",
	    failing_call->call, world_errors());
	return false;
}

/* It says why not, or serves; it leaves nothing behind. */
static bool
check_start(int n, int listener)
{
	int status;
	bool up = comes_up();

	if (up) {
		failing_call->at = 0;
		check(n, serve(ask("/app"), listener, -1) &&
		    strcmp(buf, ANSWER) == 0);
		world_signal(SIGTERM);
	}
	status = world_exit();
	/* The command's own is passed on: SIGTERM has ended it. */
	check(n, up ? status == 0 || status == 143 : status == 1 ||
	    status == 2 || (status >= 125 && status <= 127));
	check(n, up || strchr(world_errors(), '\n') != NULL);
	check(n, access("front", F_OK) == -1 && access("w", F_OK) == -1);
	check(n, *read_file("pid") == '\0');
	check(n, strstr(world_errors(), "16 MiB") == NULL);
	return up;
}

TEST(start)
{
	const char *command = starts[_i].command;
	int alive = -1, listener = backend_listen("s", 16), n = 0;
	char byte;
	bool up;

	/* It needs our rights. */
	if (_i == 1)
		world_environment("ASAN_OPTIONS", "detect_leaks=0");
	/* Also a user who is not us can remove what it has made. */
	ck_assert_int_eq(chmod(world_dir(), 0777), 0);
	ck_assert_int_eq(mkfifo("alive", 0600), 0);
	alive = open("alive", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	write_file("f", "HTTP/1.1 200 OK\r\n\r\n");
	write_file("access", "");
	ck_assert_int_eq(chmod("access", 0666), 0);
	do {
		snprintf(buf, sizeof(buf), "Listen unix:%s/front\nProxyPass "
		    "/app fd://s flusher=none\nProxyPass /f fd://s "
		    "flusher=file:f\nProxyPass /h fd://s "
		    "header=\"A: b\"\n%s", world_dir(), starts[_i].more);
		write_file("conf", buf);
		let_fail(++n);
		world_spawn("-1", "-l", "127.0.0.1:0", "-f", "conf",
		    starts[_i].flag, command == NULL ? NULL : "sh", "-c",
		    command, NULL);
		up = check_start(n, listener);
		while (command != NULL && read(alive, &byte, 1) != 0)
			poll(NULL, 0, 1);
	} while (failed());
	check(n, up);
	close(alive);
}

/* ---- requests ---- */

#define ROUTES	"-r", "/none=s,flusher=none", "-r", "/flush=s", \
	"-r", "/head=s,payload=head,flusher=none", \
	"-r", "/file=s,flusher=file:f", "-r", "/w=workers:w,flusher=none", \
	"-r", "/status=status:", "-r", "/missing=m,wait=10ms"

static const struct {
	const char *path;
	int status;
} requests[] = {
	{ "/none", 200 }, { "/flush", 200 }, { "/head", 200 },
	{ "/file", 200 }, { "/w", 200 }, { "/status", 200 },
	{ "/missing", 503 }, { "/nowhere", 404 }
};

/* An answer or a reset, and the next one is right. */
TEST(request)
{
	int listener = backend_listen("s", 16), worker, n = 0, client;
	char address[128];

	snprintf(address, sizeof(address), "unix:%s/front", world_dir());
	write_file("f", "HTTP/1.1 200 OK\r\n\r\n");
	world_proxy("-l", address, ROUTES, "-c", "CustomLog access", NULL);
	worker = client_unix("w");
	do {
		/* What has failed may have ended its connection. */
		if (send(worker, "", 1, MSG_NOSIGNAL) == -1) {
			worker = client_unix("w");
			send_bytes(worker, "", 1);
		}
		/* It is all there when it is accepted. */
		world_signal(SIGSTOP);
		client = ask(requests[_i].path);
		let_fail(++n);
		world_signal(SIGCONT);
		check(n, !serve(client, listener, worker) ||
		    strncmp(buf, "HTTP/1.1 ", 9) == 0);
		failing_call->at = 0;
		check(n, serve(ask(requests[_i].path), listener, worker) &&
		    status_of(buf) == requests[_i].status);
	} while (failed());
	world_expect("stopping");
}

/* ---- renewals ---- */

static void
until_ready(int n, int supervisor)
{
	char text[256] = "";
	ssize_t len;

	while (strcmp(text, "READY=1") != 0) {
		check(n, readable(supervisor, WORLD_PATIENCE));
		len = recv(supervisor, text, sizeof(text) - 1, 0);
		text[len > 0 ? len : 0] = '\0';
	}
}

/*
 * The configuration stays, or is read again.  Who has sent half a head is
 * served, who is slow is so or is reset, and so is who comes then.
 */
TEST(renewal)
{
	int listener = backend_listen("s", 16), other = backend_listen("t", 16);
	int supervisor = world_notified(), half, slow, n = 0;
	bool good;

	memset(buf, 'x', FILE_LEN);
	memcpy(buf, "HTTP/1.1 200 OK\r\n\r\n", 19);
	buf[FILE_LEN] = '\0';
	write_file("f", buf);
	snprintf(buf, sizeof(buf), "Listen unix:%s/front\nPidFile pid\n"
	    "CustomLog access\nProxyPass /app fd://s flusher=none\n"
	    "ProxyPass /slow fd://t flusher=file:f\n"
	    "ProxyPass /w workers://w\n", world_dir());
	write_file("conf", buf);
	world_proxy("-f", "conf", NULL);
	client_unix("w");
	until_ready(n, supervisor);
	do {
		half = client_unix("front");
		send_text(half, "GET /app HTTP/1.1\r\nHo");
		slow = ask("/slow");
		ck_assert(readable(slow, WORLD_PATIENCE));
		let_fail(++n);
		world_signal(SIGHUP);
		until_ready(n, supervisor);
		failing_call->at = 0;
		send(half, "st: x\r\n\r\n", 9, MSG_NOSIGNAL);
		good = serve(half, listener, -1) && strcmp(buf, ANSWER) == 0;
		/* Who cannot be watched cannot wait: 503. */
		check(n, good || strcmp(failing_call->call, "epoll_ctl") == 0);
		check(n, !serve(slow, other, -1) ||
		    strlen(buf) == FILE_LEN + strlen(ANSWER));
		check(n, serve(ask("/app"), listener, -1) &&
		    strcmp(buf, ANSWER) == 0);
	} while (failed());
	close(supervisor);
	world_expect("stopping");
}

int
main(int argc, char **argv)
{
	static const struct test tests[] = {
		TIMES(start, COUNT(starts)),
		TIMES(request, COUNT(requests)),
		ONCE(renewal)
	};

	return runner_run(argc, argv, tests, COUNT(tests), begin, end);
}
