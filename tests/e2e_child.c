/* See LICENSE for copyright and license details. */

/*
 * fdproxy as the parent of its backend: the command's start, what it is given,
 * its signals and its end; and the health of both.
 *
 * Most commands are this program itself, with a word that says what to do.
 * Where it does not matter who serves, the test is the backend.
 */

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "world.h"

#define GET	"GET /app HTTP/1.1\r\nHost: x\r\n\r\n"
#define HALF	"GET /app HTTP/1.1\r\n"
#define REST	"Host: x\r\n\r\n"
#define READY	"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"

#define HELPER_STATUS	7	/* of one that ends by SIGTERM */

static char self[PATH_MAX];
static char buf[65536];

/* ---- the commands: no assertion works in there ---- */

static int report_fd;
static const char *report_name;
static bool stays;

static void
say(const char *text)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%s %s\n", report_name, text);

	if (write(report_fd, line, (size_t)n) != n)
		_exit(1);
}

static void
on_signal(int sig)
{
	static const struct {
		int number;
		const char *name;
	} all[] = {
		{ SIGHUP, "HUP" }, { SIGQUIT, "QUIT" }, { SIGUSR1, "USR1" },
		{ SIGUSR2, "USR2" }, { SIGWINCH, "WINCH" }, { SIGINT, "INT" },
		{ SIGTERM, "TERM" }
	};
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (all[i].number == sig)
			say(all[i].name);
	if (sig == SIGTERM && !stays)
		_exit(HELPER_STATUS);
}

/* No test leaves one behind, however it ends. */
static void
die_with_parent(void)
{
#ifdef PR_SET_PDEATHSIG
	prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
}

/* In a file: standard output has fdproxy's addresses. */
static void
write_pid(void)
{
	FILE *f = fopen("pid", "w");

	fprintf(f, "%d\n", (int)getpid());
	fclose(f);
}

/* Write down each signal; with a child that does so, too, after it. */
static _Noreturn void
helper_watch(bool two)
{
	static const int all[] = { SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2,
	    SIGWINCH, SIGINT, SIGTERM };
	size_t i;

	write_pid();
	report_fd = open("said", O_WRONLY | O_CREAT | O_APPEND, 0666);
	for (i = 0; i < sizeof(all) / sizeof(*all); i++)
		signal(all[i], on_signal);
	report_name = "child";
	say("is there");
	if (two && fork() == 0) {
		report_name = "grandchild";
		alarm(60);
		say("is there");
	}
	for (;;)
		pause();
}

/* What is open, but for the folder that says so. */
static int
helper_fds(void)
{
	struct dirent *entry;
	DIR *d = opendir("/proc/self/fd");
	FILE *f;
	bool open[1024] = { false };
	int i;

	while ((entry = readdir(d)) != NULL)
		if (*entry->d_name != '.' && atoi(entry->d_name) != dirfd(d))
			open[atoi(entry->d_name)] = true;
	closedir(d);
	f = fopen("fds", "w");
	for (i = 0; i < 1024; i++)
		if (open[i])
			fprintf(f, " %d", i);
	fprintf(f, "\n");
	if (open[3])
		fprintf(f, "%s%s\n", fcntl(3, F_GETFL) & O_NONBLOCK ?
		    " nonblocking" : "", fcntl(3, F_GETFD) & FD_CLOEXEC ?
		    " to be closed" : "");
	fclose(f);
	return 0;
}

/* The descriptor that comes over a connection; -1: it was a probe. */
static int
receive(int conn)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char nul;
	struct iovec iov = { &nul, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes) };
	int fd = -1;

	if (recvmsg(conn, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg) != NULL)
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static void
serve_one(int listener, const char *body)
{
	int conn = accept(listener, NULL, NULL), fd;

	if (conn == -1)
		_exit(1);
	fd = receive(conn);
	close(conn);
	if (fd == -1)
		return;
	if (write(fd, body, strlen(body)) > 0)
		shutdown(fd, SHUT_WR);
	close(fd);
}

/* fd 3, as we are told; or a socket of our own, once somebody says "go". */
static int
helper_listen(bool own)
{
	const char *fds = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int listener = 3, go;
	char c;

	if (!own)
		return fds != NULL && strcmp(fds, "1") == 0 && pid != NULL &&
		    atoi(pid) == (int)getpid() ? listener : -1;
	go = open("go", O_RDONLY);
	if (read(go, &c, 1) != 1)
		return -1;
	close(go);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(addr.sun_path, "s");
	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) == -1 ||
	    listen(listener, 16) == -1)
		return -1;
	return listener;
}

/* Without a handler. */
static _Noreturn void
helper_idle(void)
{
	write_pid();
	for (;;)
		pause();
}

/* One that takes no more, once somebody opens "go", but lives on. */
static _Noreturn void
helper_deaf(void)
{
	close(accept(3, NULL, NULL));
	close(open("go", O_RDONLY));
	close(3);
	helper_idle();
}

/* What the commands are asked to do; no test has such a name. */
static bool
is_word(const char *what)
{
	static const char *const words[] = { "deaf", "idle", "take", "stay",
	    "watch", "watch-two", "fds", "own", "serve" };
	int i;

	for (i = 0; i < COUNT(words); i++)
		if (strcmp(words[i], what) == 0)
			return true;
	return false;
}

static int
helper(const char *what)
{
	int listener;

	die_with_parent();
	if (strcmp(what, "deaf") == 0)
		helper_deaf();
	if (strcmp(what, "take") == 0)
		close(accept(3, NULL, NULL));
	if (strcmp(what, "idle") == 0 || strcmp(what, "take") == 0)
		helper_idle();
	stays = strcmp(what, "stay") == 0;
	if (stays || strcmp(what, "watch") == 0)
		helper_watch(false);
	if (strcmp(what, "watch-two") == 0)
		helper_watch(true);
	if (strcmp(what, "fds") == 0)
		return helper_fds();
	listener = helper_listen(strcmp(what, "own") == 0);
	if (listener == -1)
		return 1;
	snprintf(buf, sizeof(buf), "served by %d\n", (int)getpid());
	for (;;)
		serve_one(listener, buf);
}

/* ---- what the tests share ---- */

/* What a command wrote to standard output, before or after addresses. */
static const char *
output(void)
{
	snprintf(buf, sizeof(buf), "%s", read_file("out"));
	return buf;
}

/* fdproxy with a command that watches, and the test as its backend. */
static int
watched(const char *helper_word, const char *directive)
{
	int listener = backend_listen("s", 16), probe;

	world_launch("-r", "/app=s,wait=60s", "-r", "/ready=ready:", "-c",
	    "AcceptFilter http none", "-c", directive, self, helper_word,
	    NULL);
	world_announced();
	/* It was looked for, once. */
	ck_assert(readable(listener, WORLD_PATIENCE));
	probe = accept(listener, NULL, NULL);
	ck_assert(readable(probe, WORLD_PATIENCE));
	ck_assert_int_eq(read(probe, buf, 1), 0);
	close(probe);
	ck_assert(!readable(listener, 0));
	until_file("said", "child is there");
	if (strcmp(helper_word, "watch-two") == 0)
		until_file("said", "grandchild is there");
	return listener;
}

/* The next client of a backend that may have been probed before. */
static int
take(int listener)
{
	int conn, fd = -1;

	while (fd == -1) {
		ck_assert(readable(listener, WORLD_PATIENCE));
		conn = accept(listener, NULL, NULL);
		ck_assert(readable(conn, WORLD_PATIENCE));
		fd = receive(conn);
		close(conn);
	}
	return fd;
}

/* What the command has written down. */
static pid_t
child_pid(void)
{
	pid_t pid = atoi(read_file("pid"));

	ck_assert_int_gt(pid, 1);
	return pid;
}

/* It runs no more; who waits for it, or does not, is not our matter. */
static void
until_gone(pid_t pid)
{
	long end = now_ms() + WORLD_PATIENCE;
	char name[64];
	const char *stat;

	snprintf(name, sizeof(name), "/proc/%d/stat", (int)pid);
	do {
		ck_assert_int_lt(now_ms(), end);
		stat = read_file(name);
	} while (*stat != '\0' && strstr(stat, ") Z ") == NULL);
}

/* Whether somebody listens where fdproxy did. */
static bool
connects(void)
{
	struct sockaddr_in addr;
	int fd = socket(AF_INET, SOCK_STREAM, 0), result;

	memset(&addr, 0, sizeof(addr));
	addr.sin_family = AF_INET;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	addr.sin_port = htons((uint16_t)world_port());
	result = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	close(fd);
	return result == 0;
}

/* A client with half a head, of which fdproxy knows. */
static int
half_a_client(const char *half)
{
	int fds = world_fds(), client = client_open();

	send_text(client, half);
	world_until_fds(fds + 1);
	return client;
}

static int
answer_of(int client)
{
	size_t len;

	read_all(client, buf, sizeof(buf), &len);
	return status_of(buf);
}

static int
tcp_socket(bool listens, int *port)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(&addr, 0, sizeof(addr));
	addr.sin_family = AF_INET;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, len), 0);
	if (listens)
		ck_assert_int_eq(listen(fd, 16), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*port = ntohs(addr.sin_port);
	return fd;
}

/* ---- the end, and how it is told ---- */

static const struct {
	const char *command[4];
	int status;
	const char *message;
} ends[] = {
	/* Its options are its own. */
	{ { "sh", "-c", "exit 3" }, 3, "sh has ended with status 3" },
	{ { "--", "sh", "-c", "exit 0" }, 0, "" },
	{ { "sh", "-c", "exit 255" }, 255, "" },
	{ { "sh", "-c", "kill -9 $$" }, 137, "" },
	{ { "sh", "-c", "kill -15 $$" }, 143, "" },
	{ { "no-such-command" }, 127, "cannot execute no-such-command: " },
	{ { "/nowhere/command", "-x" }, 127, "/nowhere/command" },
	{ { "" }, 127, "cannot execute " },
	{ { "./plain" }, 126, "cannot execute ./plain: " },
	{ { "." }, 126, "cannot execute .: " }
};

TEST(exit_statuses)
{
	const char *const *c = ends[_i].command;

	write_file("plain", "no program\n");
	/* A folder there that cannot be searched would make it a 126. */
	world_environment("PATH", "/usr/bin:/bin");
	world_spawn("-l", "127.0.0.1:0", "-r", "/app=s", c[0], c[1],
	    c[1] == NULL ? NULL : c[2], c[1] == NULL || c[2] == NULL ? NULL :
	    c[3], NULL);
	ck_assert_int_eq(world_exit(), ends[_i].status);
	ck_contains(world_errors(), ends[_i].message);
}

/* However soon it ends, and although all that was waited for is there. */
TEST(ends_at_once)
{
	int i;

	for (i = 0; i < 40; i++) {
		world_spawn("-l", "127.0.0.1:0", "-r", "/s=status:", "true",
		    NULL);
		ck_assert_int_eq(world_exit(), 0);
	}
}

/* Own failures are 125, and the command has not been started, or is no more. */
TEST(own_failures)
{
	char address[64];
	int fd, port;

	fd = tcp_socket(true, &port);
	snprintf(address, sizeof(address), "127.0.0.1:%d", port);
	switch (_i) {
	case 0:
		world_spawn("-l", address, self, "watch", NULL);
		break;
	case 1:
		world_spawn("-c", "Lisen 80", self, "watch", NULL);
		break;
	case 2:
		world_spawn("-l", "127.0.0.1:0", "-u", "no-such-user", self,
		    "watch", NULL);
		break;
	default:
		world_spawn("-l", "127.0.0.1:0", "-N", "99", self, "watch",
		    NULL);
		break;
	}
	ck_assert_int_eq(world_exit(), 125);
	ck_assert_str_ne(world_errors(), "");
	ck_assert_str_eq(read_file("said"), "");
	close(fd);
}

TEST(child_needs_a_command)
{
	world_spawn("-l", "127.0.0.1:0", "-r", "/=:child", NULL);
	ck_assert_int_eq(world_exit(), 2);
	ck_contains(world_errors(), "\":child\"");
}

/* ---- the start ---- */

/*
 * The address is printed, and READY=1 is said, once the command's socket
 * accepts; who has connected before has waited.
 */
TEST(waits_for_sockets)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), early, go;
	char front[128], path[128];
	ssize_t n;

	snprintf(front, sizeof(front), "unix:%s/front", world_dir());
	snprintf(path, sizeof(path), "%s/notify", world_dir());
	memcpy(addr.sun_path, path, strlen(path) + 1);
	ck_assert_int_eq(bind(notify, (struct sockaddr *)&addr, sizeof(addr)),
	    0);
	ck_assert_int_eq(mkfifo("go", 0600), 0);
	world_environment("NOTIFY_SOCKET", path);
	world_launch("-l", front, "-r", "/app=s", self, "own", NULL);
	early = client_unix("front");
	send_text(early, GET);
	ck_assert(!world_wrote(200));
	ck_assert(!readable(notify, 0));
	ck_assert(!readable(early, 0));
	go = open("go", O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(write(go, "\n", 1), 1);
	world_announced();
	ck_assert(readable(notify, WORLD_PATIENCE));
	n = recv(notify, buf, sizeof(buf), 0);
	ck_assert_int_eq(n, 7);
	ck_assert_int_eq(strncmp(buf, "READY=1", 7), 0);
	ck_assert_int_eq(answer_of(early), 200);
	ck_contains(buf, "\r\n\r\nserved by ");
	ck_contains(exchange(GET), "\r\n\r\nserved by ");
	close(early);
	close(go);
	close(notify);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 128 + SIGTERM);
}

/* With more time, if the command has not even begun. */
TEST(start_timeout)
{
	char directive[32];
	long begin;
	int s;

	for (s = 1; s < 9 && *read_file("pid") == '\0'; s *= 2) {
		snprintf(directive, sizeof(directive), "StartTimeout %ds", s);
		begin = now_ms();
		world_spawn("-l", "127.0.0.1:0", "-r", "/app=s", "-c",
		    directive, self, "idle", NULL);
		ck_assert_int_eq(world_exit(), 125);
		ck_assert_int_ge(now_ms() - begin, 1000 * s);
		ck_contains(world_errors(), " does not accept connections in "
		    "time");
	}
	until_gone(child_pid());
}

/* To stop while it waits is no failure: the command ends as it likes. */
TEST(stop_while_starting)
{
	world_spawn("-l", "127.0.0.1:0", "-r", "/app=s", self, "watch", NULL);
	until_file("said", "child is there");
	world_signal(_i == 0 ? SIGTERM : SIGINT);
	ck_assert_int_eq(world_exit(), HELPER_STATUS);
	ck_assert_str_eq(read_file("said"), "child is there\nchild TERM\n");
}

/* ---- signals ---- */

/* Five are the child's alone: neither ours, nor the group's. */
TEST(signals_are_forwarded)
{
	static const struct {
		int number;
		const char *said;
	} all[] = {
		{ SIGHUP, "child HUP\n" }, { SIGQUIT, "child QUIT\n" },
		{ SIGUSR1, "child USR1\n" }, { SIGUSR2, "child USR2\n" },
		{ SIGWINCH, "child WINCH\n" }
	};
	int listener = watched("watch-two", "LogLevel notice"), fd;
	size_t i;

	write_file("said", "");
	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		world_signal(all[i].number);
		until_file("said", all[i].said);
	}
	ck_assert_str_eq(read_file("said"), "child HUP\nchild QUIT\n"
	    "child USR1\nchild USR2\nchild WINCH\n");
	ck_assert_str_eq(world_errors(), "");
	fd = client_open();
	send_text(fd, GET);
	close(take(listener));
	close(fd);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), HELPER_STATUS);
}

/* Also while it has yet to listen. */
TEST(signals_while_starting)
{
	world_spawn("-l", "127.0.0.1:0", "-r", "/app=s", self, "watch", NULL);
	until_file("said", "child is there");
	world_signal(SIGHUP);
	until_file("said", "child HUP");
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), HELPER_STATUS);
}

/*
 * Not ready, no new clients, those under way are handed off, and only then
 * SIGTERM for the command.
 */
TEST(order_of_the_end)
{
	int listener = watched("watch", "GracefulShutdownTimeout 60s");
	int begun, asks, client;

	begun = half_a_client(HALF);
	asks = half_a_client("GET /ready HTTP/1.1\r\n");
	client = client_open();
	send_text(client, READY);
	ck_assert_int_eq(answer_of(client), 200);
	close(client);
	world_signal(SIGTERM);
	until_file("err", "stopping; ");
	send_text(asks, REST);
	ck_assert_int_eq(answer_of(asks), 503);
	close(asks);
	ck_assert(!connects());
	ck_assert(!readable(begun, 200));
	ck_assert_ptr_null(strstr(read_file("said"), "TERM"));
	send_text(begun, REST);
	client = take(listener);
	send_text(client, "late");
	close(client);
	until_file("said", "child TERM");
	ck_assert_int_eq(answer_of(begun), 200);
	ck_contains(buf, "\r\n\r\nlate");
	ck_assert_int_eq(world_exit(), HELPER_STATUS);
}

/*
 * A client whose connection was taken a moment before, and whose request comes
 * a moment after, as it does from another machine: no deploy may lose it.
 */
TEST(requests_on_the_way)
{
	int listener = watched("watch", "LogLevel notice"), client, fd;

	client = half_a_client("");
	world_signal(SIGTERM);
	until_file("err", "stopping; 1 clients wait");
	send_text(client, GET);
	ck_assert_msg(readable(listener, WORLD_PATIENCE), "it was not handed "
	    "off");
	fd = take(listener);
	send_text(fd, "served");
	close(fd);
	ck_assert_int_eq(answer_of(client), 200);
	ck_contains(buf, "\r\n\r\nserved");
	ck_assert_int_eq(world_exit(), HELPER_STATUS);
}

/* It ignores SIGTERM: SIGKILL after StopTimeout, or for a second SIGTERM. */
TEST(kill_in_the_end)
{
	long begin;

	watched("stay", _i == 0 ? "StopTimeout 500ms" : "StopTimeout 60s");
	begin = now_ms();
	world_signal(SIGTERM);
	if (_i == 1) {
		until_file("said", "child TERM");
		world_signal(SIGTERM);
	}
	ck_assert_int_eq(world_exit(), 128 + SIGKILL);
	if (_i == 0)
		ck_assert_int_ge(now_ms() - begin, 500);
}

/* A client under way: it waits, then is refused, then SIGKILL. */
TEST(signals_hurry_it)
{
	int begun;

	watched("stay", "StopTimeout 60s");
	begun = half_a_client(HALF);
	world_signal(SIGTERM);
	until_file("err", "stopping; 1 clients wait");
	ck_assert_ptr_null(strstr(read_file("said"), "TERM"));
	world_signal(SIGTERM);
	ck_assert_int_eq(answer_of(begun), 503);
	until_file("said", "child TERM");
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 128 + SIGKILL);
}

/* One with half a request keeps it from its end, but not for long. */
TEST(half_a_request_at_the_end)
{
	int client;

	close(watched("watch", "RequestReadTimeout header=60s"));
	client = client_open();
	send_text(client, HALF);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), HELPER_STATUS);
	close(client);
}

/*
 * Who was only answered and does not close delays nobody's end: it is not
 * waited for, two seconds long.  Once in five times is enough.
 */
TEST(idle_clients_delay_nothing)
{
	long begin, took = 2000;
	int idle, i;

	for (i = 0; i < 5 && took >= 1000; i++) {
		write_file("said", "");
		close(watched("watch", "LogLevel notice"));
		idle = client_open();
		send_text(idle, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
		ck_assert(readable(idle, WORLD_PATIENCE));
		begin = now_ms();
		world_signal(SIGTERM);
		until_file("said", "child TERM");
		took = now_ms() - begin;
		ck_assert_int_eq(world_exit(), HELPER_STATUS);
	}
	ck_assert_int_lt(took, 1000);
}

/* All that the command has started: when we stop, and when it ends itself. */
TEST(group_is_ended)
{
	watched("watch-two", _i == 0 ? "StopTimeout 2s" : "StopTimeout 60s");
	if (_i == 0) {
		world_signal(SIGTERM);
		ck_assert_int_eq(world_exit(), HELPER_STATUS);
		ck_contains(read_file("said"), "child TERM");
	} else {
		ck_assert_int_eq(kill(child_pid(), SIGKILL), 0);
		ck_assert_int_eq(world_exit(), 128 + SIGKILL);
	}
	until_file("said", "grandchild TERM");
}

/* No half of a container: its end is ours, and clients are told. */
TEST(its_end_is_ours)
{
	int listener = watched("watch", "LogLevel notice"), waiting, fds;

	close(listener);
	ck_assert_int_eq(unlink("s"), 0);
	fds = world_fds();
	waiting = client_open();
	send_text(waiting, GET);
	world_until_fds(fds + 1);
	ck_assert_int_eq(kill(child_pid(), SIGTERM), 0);
	ck_assert_int_eq(answer_of(waiting), 503);
	ck_assert_int_eq(world_exit(), HELPER_STATUS);
	ck_contains(world_errors(), "has ended with status 7");
}

/* ---- what it is given ---- */

/* 0 to 2 and nothing else, whatever our parent has left open; 3 if meant. */
TEST(descriptors)
{
	int port, fd = tcp_socket(true, &port), leak;
	char front[128];

	leak = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(fcntl(leak, F_DUPFD, 300), 300);
	snprintf(front, sizeof(front), "unix:%s/front", world_dir());
	switch (_i) {
	case 0:
	case 1:
		world_inherit(leak, _i == 0 ? 3 : 77);
		world_spawn("-1", "-l", front, "-c", "PidFile lock", "-c",
		    "CustomLog access", "-c", "ErrorLog log", "-r", "/app=s",
		    self, "fds", NULL);
		break;
	case 2:
		world_inherit(leak, 3);
		world_spawn("-1", "-l", front, "-r", "/app=:child", self,
		    "fds", NULL);
		break;
	case 3:
		world_closed();
		world_spawn("-l", front, "-r", "/app=:child", self, "fds",
		    NULL);
		break;
	default:
		/* A listener of our parent's is ours. */
		world_inherit(fd, 0);
		world_spawn("-r", "/app=:child", self, "fds", NULL);
		break;
	}
	ck_assert_int_eq(world_exit(), 0);
	ck_assert_str_eq(read_file("fds"), _i < 2 ? " 0 1 2\n" :
	    " 0 1 2 3\n\n");
	close(300);
	close(leak);
	close(fd);
}

/* As many as we were started with, although we may open more. */
TEST(limits)
{
	struct rlimit before, lower;
	char name[64];

	backend_listen("s", 4);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	lower = before;
	lower.rlim_cur = 333;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &lower), 0);
	world_launch("-r", "/app=s", "sh", "-c", "ulimit -S -n >soft; "
	    "ulimit -H -n >hard; exec sleep 60", NULL);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	world_announced();
	until_file("hard", "\n");
	ck_assert_int_eq(atoi(read_file("soft")), 333);
	ck_assert_uint_eq(strtoul(read_file("hard"), NULL, 10),
	    before.rlim_max);
	snprintf(name, sizeof(name), "/proc/%d/limits", (int)world_pid());
	snprintf(buf, sizeof(buf), "Max open files            %lu ",
	    (unsigned long)before.rlim_max);
	ck_contains(read_file(name), buf);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 128 + SIGTERM);
}

/* What fdproxy ignores is not ignored, nothing is blocked. */
TEST(signal_state)
{
	static const char *const fields[] = { "SigBlk", "SigIgn", "SigCgt" };
	struct sigaction action;
	sigset_t all, before;
	const char *at;
	size_t i;
	int sig;

	/* What whoever runs us ignores is not meant. */
	for (sig = 1; sig < 32; sig++)
		if (sigaction(sig, NULL, &action) == 0 &&
		    action.sa_handler == SIG_IGN)
			signal(sig, SIG_DFL);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, _i == 0 ? NULL : &all, &before);
	world_spawn("-l", "127.0.0.1:0", "-r", "/app=s", "cat",
	    "/proc/self/status", NULL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(world_exit(), 0);
	output();
	for (i = 0; i < 3; i++) {
		at = strstr(buf, fields[i]);
		ck_assert_ptr_nonnull(at);
		/* Those above 31 are the C library's own. */
		ck_assert_msg((strtoull(at + strlen(fields[i]) + 1, NULL, 16) &
		    0x7fffffff) == 0, "%.30s", at);
	}
}

/* What was said to us is not said to it. */
TEST(environment)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), fd, port;
	char path[128];

	snprintf(path, sizeof(path), "%s/notify", world_dir());
	memcpy(addr.sun_path, path, strlen(path) + 1);
	ck_assert_int_eq(bind(notify, (struct sockaddr *)&addr, sizeof(addr)),
	    0);
	fd = tcp_socket(true, &port);
	world_inherit(fd, 3);
	world_environment("NOTIFY_SOCKET", path);
	world_environment("LISTEN_FDS", "1");
	world_environment("LISTEN_PID", "self");
	world_environment("LISTEN_FDNAMES", "web");
	world_spawn("-r", _i == 0 ? "/app=s" : "/app=:child", "sh", "-c",
	    "echo \"$$ ${LISTEN_PID-none} ${LISTEN_FDS-none} "
	    "${LISTEN_FDNAMES-none} ${NOTIFY_SOCKET-none}\"", NULL);
	ck_assert_int_eq(world_exit(), 0);
	output();
	if (_i == 0)
		snprintf(path, sizeof(path), "%d none none none none\n",
		    atoi(buf));
	else
		snprintf(path, sizeof(path), "%d %d 1 none none\n", atoi(buf),
		    atoi(buf));
	ck_assert_str_eq(buf, path);
	close(notify);
	close(fd);
}

TEST(user)
{
	world_spawn("-l", "127.0.0.1:0", "-r", "/app=s", "-u", "65534:65533",
	    "cat", "/proc/self/status", NULL);
	ck_assert_int_eq(world_exit(), 0);
	output();
	ck_contains(buf, "\nUid:\t65534\t65534\t65534\t65534\n");
	ck_contains(buf, "\nGid:\t65533\t65533\t65533\t65533\n");
	ck_contains(buf, "\nGroups:\t65533");
}

/* ---- its socket ---- */

/* Nobody holds its socket but the command itself: without it, none is there. */
TEST(child_socket_closed)
{
	ck_assert_int_eq(mkfifo("go", 0600), 0);
	world_launch("-r", "/app=:child", self, "deaf", NULL);
	world_announced();
	close(open("go", O_WRONLY));
	until_file("pid", "\n");
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 128 + SIGTERM);
}

/* Nobody has to agree on a path. */
TEST(child_socket)
{
	int i;

	world_launch("-r", "/app=:child", "-r", "/ready=ready:", self, "serve",
	    NULL);
	world_announced();
	for (i = 0; i < 100; i++)
		ck_contains(exchange(GET), "\r\n\r\nserved by ");
	ck_assert_int_eq(status_of(exchange(READY)), 200);
	ck_assert_int_eq(access("s", F_OK), -1);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 128 + SIGTERM);
}

/* ---- health ---- */

/* Accept a connection, and read a head into the buffer: the connection. */
static int
take_request(int listener)
{
	int fd = accept(listener, NULL, NULL);
	size_t len = 0;

	do {
		read_exact(fd, buf + len, 1);
		buf[++len] = '\0';
	} while (strstr(buf, "\r\n\r\n") == NULL);
	return fd;
}

/* Answers of a server that is written down here. */
static const struct {
	const char *answer;
	int status;
} healths[] = {
	{ "HTTP/1.1 200 OK\r\n\r\n", 0 },
	{ "HTTP/1.0 204 No Content\r\n\r\n", 0 },
	{ "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", 0 },
	{ "HTTP/1.1 399 X\r\n\r\n", 0 },
	{ "HTTP/1.1 200\r\n\r\n", 0 },
	{ "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
	    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 0 },
	{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 X\r\n\r\n", 1 },
	{ "HTTP/1.1 100 Continue\r\n\r\n", 1 },
	{ "HTTP/1.1 100 Continue\r\nHTTP/1.1 200 OK\r\n", 1 },
	{ "HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
	    1 },
	{ "HTTP/1.1 199 X\r\n\r\n", 1 },
	{ "HTTP/1.1 400 Bad Request\r\n\r\n", 1 },
	{ "HTTP/1.1 404 Not Found\r\n\r\n", 1 },
	{ "HTTP/1.1 503 Service Unavailable\r\n\r\n", 1 },
	{ "HTTP/1.1 2000 X\r\n\r\n", 1 },
	{ "HTTP/1.1 +250 X\r\n\r\n", 1 },
	{ "HTTP/1.1 +20 OK\r\n\r\n", 1 },
	{ "HTTP/1.1  200 OK\r\n\r\n", 1 },
	{ "HTTP/1.1 200OK\r\n\r\n", 1 },
	{ "HTTP/1.x 200 OK\r\n\r\n", 1 },
	{ "HTTP/1.1 20", 1 },
	{ "HTTP/2 200 OK\r\n\r\n", 1 },
	{ "hello", 1 },
	{ "", 1 }
};

TEST(health_answers)
{
	int port, fd = tcp_socket(true, &port), client;
	char url[64], host[64];
	size_t i;

	snprintf(url, sizeof(url), "http://%s:%d/x?y=z#part",
	    _i % 2 == 0 ? "127.0.0.1" : "localhost", port);
	snprintf(host, sizeof(host), "\r\nHost: %s:%d\r\n",
	    _i % 2 == 0 ? "127.0.0.1" : "localhost", port);
	world_also("-H", url, NULL);
	ck_assert(readable(fd, WORLD_PATIENCE));
	client = take_request(fd);
	ck_assert_int_eq(strncmp(buf, "GET /x?y=z HTTP/1.1\r\n", 21), 0);
	ck_contains(buf, host);
	/* In pieces: an answer is whole when it is. */
	for (i = 0; healths[_i].answer[i] != '\0'; i++)
		if (send(client, healths[_i].answer + i, 1,
		    MSG_NOSIGNAL) != 1)
			break;
	shutdown(client, SHUT_WR);
	ck_assert_int_eq(world_also_exit(), healths[_i].status);
	if (healths[_i].status == 0)
		ck_assert_str_eq(world_also_errors(), "");
	else
		ck_contains(world_also_errors(), url);
	close(client);
	close(fd);
}

/* Ours, as an image would ask it. */
TEST(health_of_fdproxy)
{
	static const struct {
		const char *path;
		int status;
	} all[] = {
		{ "/ready", 0 }, { "/nothing", 1 }, { "/app", 1 }, { "", 1 }
	};
	int listener = backend_listen("s", 4);
	char url[64];
	size_t i;

	world_proxy("-r", "/ready=ready:", "-r", "/app=s", NULL);
	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (i == 2) {
			close(listener);
			ck_assert_int_eq(unlink("s"), 0);
		}
		snprintf(url, sizeof(url), "http://127.0.0.1:%d%s",
		    world_port(), all[i].path);
		world_also("-H", url, NULL);
		ck_assert_int_eq(world_also_exit(), all[i].status);
	}
	world_stop("cannot connect to ");
}

/* A unix socket, in a folder or by an abstract name. */
TEST(health_unix)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), client;
	char name[64], url[128];

	snprintf(name, sizeof(name), "%s%s/s", _i == 0 ? "" : "@",
	    world_dir());
	memcpy(addr.sun_path + _i, name + _i, strlen(name + _i));
	snprintf(url, sizeof(url), "unix:%s:/ready?a:/b", name);
	world_also("-H", url, NULL);
	ck_assert_int_eq(world_also_exit(), 1);
	ck_contains(world_also_errors(), url);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr,
	    (socklen_t)(sizeof(sa_family_t) + strlen(name))), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	world_also("-H", url, NULL);
	ck_assert(readable(fd, WORLD_PATIENCE));
	client = take_request(fd);
	ck_assert_int_eq(strncmp(buf, "GET /ready?a:/b HTTP/1.1\r\n", 26), 0);
	ck_contains(buf, "\r\nHost: localhost\r\n");
	send_text(client, "HTTP/1.1 200 OK\r\n\r\n");
	ck_assert_int_eq(world_also_exit(), 0);
	ck_assert_str_eq(world_also_errors(), "");
	close(client);
	close(fd);
}

/* One that listens on [::1] alone is localhost as well. */
TEST(health_localhost)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6,
	    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM, 0), client;
	socklen_t len = sizeof(addr);
	char url[64];

	if (fd == -1 || bind(fd, (struct sockaddr *)&addr, len) == -1) {
		close(fd);
		return;		/* there is no IPv6 here */
	}
	ck_assert_int_eq(listen(fd, 4), 0);
	getsockname(fd, (struct sockaddr *)&addr, &len);
	snprintf(url, sizeof(url), "http://localhost:%d/",
	    ntohs(addr.sin6_port));
	world_also("-H", url, NULL);
	ck_assert_msg(readable(fd, WORLD_PATIENCE), "%s", world_also_errors());
	client = accept(fd, NULL, NULL);
	send_text(client, "HTTP/1.1 200 OK\r\n\r\n");
	ck_assert_int_eq(world_also_exit(), 0);
	close(client);
	close(fd);
	world_also("-H", url, NULL);
	ck_assert_int_eq(world_also_exit(), 1);
	ck_contains(world_also_errors(), "refused");
}

/* However long it talks without saying anything, it comes to an end. */
TEST(health_endless)
{
	int port, fd = tcp_socket(true, &port), client;
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", port);
	world_also("-H", url, NULL);
	ck_assert(readable(fd, WORLD_PATIENCE));
	client = accept(fd, NULL, NULL);
	while (send(client, "HTTP/1.1 100 Continue\r\n\r\n", 25,
	    MSG_NOSIGNAL) > 0)
		;
	ck_assert_int_eq(world_also_exit(), 1);
	ck_contains(world_also_errors(), "interim");
	close(client);
	close(fd);
}

/* Nobody there; and somebody who says nothing, or not enough. */
TEST(health_failures)
{
	int port, fd = tcp_socket(_i > 0, &port), client = -1;
	long begin = now_ms();
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", port);
	world_also("-T", "1", "-H", url, NULL);
	if (_i == 2) {
		ck_assert(readable(fd, WORLD_PATIENCE));
		client = accept(fd, NULL, NULL);
		send_text(client, "HTTP/1.1 ");
	}
	ck_assert_int_eq(world_also_exit(), 1);
	ck_contains(world_also_errors(), _i == 0 ? "refused" : "timed out");
	if (_i > 0)
		ck_assert_int_ge(now_ms() - begin, 1000);
	if (client != -1)
		close(client);
	close(fd);
}

TEST(health_urls)
{
	static const char *const urls[] = { "", "x", "127.0.0.1:80",
	    "https://127.0.0.1/", "http://", "http:///", "http://:80/",
	    "http://*:80/", "http://example.org/", "http://127.0.0.1:/",
	    "http://127.0.0.1:65536/", "http://127.0.0.1:80x/",
	    "http://u@127.0.0.1/", "http://unix:/s", "http://[::1/",
	    "http://localhosts:80/", "http://unix:@x/", "unix:", "unix::/x",
	    "unix:s:/x", "unix:/nonexistent/s", "unix:@nonexistent:/x" };
	size_t i;

	for (i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
		world_also("-H", urls[i], NULL);
		ck_assert_msg(world_also_exit() == 1, "%s: good", urls[i]);
		ck_contains(world_also_errors(), urls[i]);
		if (strcmp(urls[i], "http://:80/") == 0 ||
		    strcmp(urls[i], "http://*:80/") == 0)
			ck_contains(world_also_errors(), "no host");
	}
}

/* 200 when each socket accepts; one that many routes share is one. */
TEST(ready_target)
{
	int a = backend_listen("a", 64), b, n = 0, status = 0, fd;
	long begin, end;

	world_proxy("-r", "/ready=ready:", "-r", "/a=a", "-r", "/b=b", "-r",
	    "/c=a", "-r", "/d=!", "-r", "/s=status:", NULL);
	ck_assert_int_eq(status_of(exchange(READY)), 503);
	ck_contains(exchange("HEAD /ready HTTP/1.1\r\nHost: x\r\n\r\n"),
	    " 503 ");
	b = backend_listen("b", 64);
	end = now_ms() + WORLD_PATIENCE;
	while (status != 200 && now_ms() < end)
		status = status_of(exchange(READY));
	ck_assert_int_eq(status, 200);
	/* However often it is asked. */
	while (readable(a, 0))
		close(accept(a, NULL, NULL));
	begin = end = now_ms();
	while (end - begin < 2500 || (n < 2 && end - begin < WORLD_PATIENCE)) {
		ck_assert_int_eq(status_of(exchange(READY)), 200);
		end = now_ms();
		for (; readable(a, 0); n++) {
			fd = accept(a, NULL, NULL);
			/* A connection, and its end. */
			ck_assert_int_eq(read(fd, buf, 1), 0);
			close(fd);
		}
	}
	ck_assert_int_ge(n, 2);
	ck_assert_int_le(n, (int)((end - begin) / 1000 + 1));
	close(b);
	end = now_ms() + WORLD_PATIENCE;
	while (status != 503 && now_ms() < end)
		status = status_of(exchange(READY));
	ck_assert_int_eq(status, 503);
}

/* One that takes nobody any more, wherever its route stands. */
TEST(ready_of_the_child)
{
	enum { N = 16 };
	int client[N], i, status = 200;
	long end;

	world_launch("-c", "ListenBacklog 4", "-r", _i == 0 ?
	    "/ready=ready:" : "/app=:child,connectiontimeout=60s", "-r",
	    _i == 0 ? "/app=:child,connectiontimeout=60s" : "/ready=ready:",
	    self, "take", NULL);
	world_announced();
	ck_assert_int_eq(status_of(exchange(READY)), 200);
	for (i = 0; i < N; i++) {
		client[i] = client_open();
		send_text(client[i], GET);
	}
	end = now_ms() + WORLD_PATIENCE;
	while (status != 503 && now_ms() < end)
		status = status_of(exchange(READY));
	ck_assert_int_eq(status, 503);
	world_signal(SIGTERM);
	until_file("err", "stopping; ");
	world_signal(SIGTERM);
	close_all(client, N);
	ck_assert_int_eq(world_exit(), 128 + SIGTERM);
}

/* ---- -n and -T ---- */

TEST(count)
{
	int listener = backend_listen("s", 16), client, i;

	world_launch("-n", "2", "-r", "/app=s", _i == 0 ? NULL : self,
	    "watch", NULL);
	world_announced();
	if (_i == 1)
		until_file("said", "child is there");
	/* What is answered does not count. */
	ck_assert_int_eq(status_of(exchange("GET / HTTP/1.0\r\n\r\n")), 404);
	for (i = 0; i < 2; i++) {
		client = client_open();
		send_text(client, GET);
		close(take(listener));
		close(client);
	}
	ck_assert_int_eq(world_exit(), 0);
	if (_i == 1)
		ck_contains(read_file("said"), "child TERM");
}

/* With more time, if the command has not even begun. */
TEST(run_time)
{
	char seconds[16];
	long begin;
	int s;

	for (s = 1; s < 9 && *read_file("pid") == '\0'; s *= 2) {
		snprintf(seconds, sizeof(seconds), "%d", s);
		begin = now_ms();
		if (_i == 0)
			world_spawn("-T", seconds, "-l", "127.0.0.1:0", NULL);
		else
			world_spawn("-T", seconds, "-l", "127.0.0.1:0", "-r",
			    _i == 1 ? "/s=status:" : "/app=s", self, "idle",
			    NULL);
		ck_assert_int_eq(world_exit(), 1);
		ck_assert_int_ge(now_ms() - begin, 1000 * s);
		ck_contains(world_errors(), "the time of -T is over");
		if (_i == 0)
			break;
	}
	if (_i > 0)
		until_gone(child_pid());
}

TEST(option_values)
{
	static const char *const all[][2] = { { "-n", "0" }, { "-n", "x" },
	    { "-n", "" }, { "-n", "-1" }, { "-T", "0" }, { "-T", "864001" },
	    { "-T", "99999999999" }, { "-H", NULL } };
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		world_spawn(all[i][0], all[i][1], NULL);
		ck_assert_int_eq(world_exit(), 2);
		ck_assert_str_ne(world_errors(), "");
	}
}

int
main(int argc, char **argv)
{
	const struct test tests[] = {
		TIMES(exit_statuses, COUNT(ends)),
		ONCE(ends_at_once),
		TIMES(own_failures, 4),
		ONCE(child_needs_a_command),
		ONCE(waits_for_sockets),
		ONCE(start_timeout),
		TIMES(stop_while_starting, 2),
		ONCE(signals_are_forwarded),
		ONCE(signals_while_starting),
		ONCE(order_of_the_end),
		ONCE(requests_on_the_way),
		TIMES(kill_in_the_end, 2),
		ONCE(signals_hurry_it),
		ONCE(idle_clients_delay_nothing),
		ONCE(half_a_request_at_the_end),
		TIMES(group_is_ended, 2),
		ONCE(its_end_is_ours),
		TIMES(descriptors, 5),
		ONCE(limits),
		TIMES(signal_state, 2),
		TIMES(environment, 2),
		TIMES(user, geteuid() == 0),
		ONCE(child_socket),
		ONCE(child_socket_closed),
		TIMES(health_answers, COUNT(healths)),
		ONCE(health_of_fdproxy),
		TIMES(health_unix, 2),
		ONCE(health_localhost),
		ONCE(health_endless),
		TIMES(health_failures, 3),
		ONCE(health_urls),
		ONCE(ready_target),
		TIMES(ready_of_the_child, 2),
		TIMES(count, 2),
		TIMES(run_time, 3),
		ONCE(option_values)
	};

	if (argc > 1 && is_word(argv[1]))
		return helper(argv[1]);
	if (realpath(argv[0], self) == NULL)
		return 1;
	return runner_run(argc, argv, tests, COUNT(tests), world_begin,
	    world_end);
}
