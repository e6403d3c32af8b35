/* See LICENSE for copyright and license details. */

/*
 * fdproxy under a supervisor: listening sockets that it inherits, and how it
 * says that it is ready.
 */

#include <arpa/inet.h>
#include <fcntl.h>
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

#include "world.h"

#define GET	"GET /app HTTP/1.1\r\nHost: x\r\n\r\n"

static char buf[65536];

/* A listening socket of the supervisor's. */
static int
supervisor_listen(struct sockaddr_in *addr)
{
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	memset(addr, 0, sizeof(*addr));
	addr->sin_family = AF_INET;
	addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)addr, len), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)addr, &len), 0);
	return fd;
}

/* A client of the supervisor's listener. */
static int
supervisor_client(const struct sockaddr_in *addr)
{
	int client = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(connect(client, (const struct sockaddr *)addr,
	    sizeof(*addr)), 0);
	return client;
}

/* systemd's way, s6's way, and by name. */
TEST(inherits)
{
	int backend = backend_listen("s", 4), fd;
	struct sockaddr_in addr;

	fd = supervisor_listen(&addr);
	switch (_i) {
	case 0:
		world_environment("LISTEN_FDS", "1");
		world_environment("LISTEN_PID", "self");
		world_environment("LISTEN_FDNAMES", "web");
		world_inherit(fd, 3);
		world_spawn("-r", "/app=s", NULL);
		break;
	case 1:
		world_inherit(fd, 0);
		world_spawn("-r", "/app=s", NULL);
		break;
	default:
		world_inherit(fd, 7);
		world_spawn("-r", "/app=s", "-l", "fd:7", NULL);
		break;
	}
	check_served(supervisor_client(&addr), backend, GET);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
	close(fd);
}

/* Variables that were meant for another process are not ours. */
TEST(not_ours)
{
	struct sockaddr_in addr;
	int fd = supervisor_listen(&addr);

	world_environment("LISTEN_FDS", "1");
	world_environment("LISTEN_PID", "1");
	world_inherit(fd, 3);
	world_spawn("-r", "/app=s", NULL);
	ck_assert_int_eq(world_exit(), 2);
	ck_contains(world_errors(), "nothing to listen on");
	close(fd);
}

/* Whoever shares a listener may shut it down: no spinning, and others live. */
TEST(shut_down)
{
	int backend = backend_listen("s", 4), fd;
	struct sockaddr_in addr;
	long sleeps;

	fd = supervisor_listen(&addr);
	world_inherit(fd, 7);
	world_proxy("-r", "/app=s", "-l", "fd:7", NULL);
	check_served(supervisor_client(&addr), backend, GET);
	ck_assert_int_eq(shutdown(fd, SHUT_RDWR), 0);
	while (strstr(world_errors(), "cannot accept") == NULL)
		ck_assert(!readable(backend, 5));
	sleeps = world_sleeps();
	ck_assert(!readable(backend, 300));
	ck_assert_int_le(world_sleeps() - sleeps, 30);
	check_served(client_open(), backend, GET);
	close(fd);
	world_stop("cannot accept");
}

/* Nor does it matter which of them comes first. */
TEST(first_shut_down)
{
	int backend = backend_listen("s", 4), fd, i;
	struct sockaddr_in addr;
	char front[128];
	long start;

	fd = supervisor_listen(&addr);
	world_inherit(fd, 7);
	snprintf(front, sizeof(front), "unix:%s/front", world_dir());
	world_spawn("-r", "/app=s", "-l", "fd:7", "-l", front, NULL);
	check_served(client_unix("front"), backend, GET);
	start = now_ms();
	ck_assert_int_eq(shutdown(fd, SHUT_RDWR), 0);
	while (strstr(world_errors(), "cannot accept") == NULL)
		ck_assert(!readable(backend, 5));
	for (i = 0; i < 3; i++)
		check_served(client_unix("front"), backend, GET);
	close(fd);
	close(backend);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
	/* Told, but once a second. */
	ck_assert_int_le(world_says("cannot accept"), 1 + (now_ms() - start) /
	    1000);
}

TEST(not_a_listener)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	world_inherit(pair[0], 5);
	world_spawn("-l", "fd:5", NULL);
	ck_assert_int_eq(world_exit(), 1);
	ck_contains(world_errors(), "descriptor 5: it is no listening");
	close(pair[0]);
	close(pair[1]);
}

/* READY=1 comes when clients can connect, STOPPING=1 with the signal. */
TEST(notify)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	char path[128];
	ssize_t n;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/notify",
	    world_dir());
	snprintf(path, sizeof(path), "%s", addr.sun_path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	world_environment("NOTIFY_SOCKET", path);
	snprintf(buf, sizeof(buf), "unix:%s/front", world_dir());
	world_spawn("-l", buf, "-r", "/app=s", NULL);
	ck_assert(readable(fd, WORLD_PATIENCE));
	n = recv(fd, buf, sizeof(buf) - 1, 0);
	buf[n > 0 ? n : 0] = '\0';
	ck_assert_str_eq(buf, "READY=1");
	memset(&addr, 0, sizeof(addr));
	addr.sun_family = AF_UNIX;
	strcpy(addr.sun_path, "front");
	n = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(connect((int)n, (struct sockaddr *)&addr,
	    sizeof(addr)), 0);
	close((int)n);
	world_signal(SIGTERM);
	ck_assert(readable(fd, WORLD_PATIENCE));
	n = recv(fd, buf, sizeof(buf) - 1, 0);
	buf[n > 0 ? n : 0] = '\0';
	ck_assert_str_eq(buf, "STOPPING=1");
	ck_assert_int_eq(world_exit(), 0);
	close(fd);
}

/* s6's way: a newline on a descriptor, then its end. */
TEST(ready_descriptor)
{
	int pair[2];
	ssize_t n;

	ck_assert_int_eq(pipe(pair), 0);
	world_inherit(pair[1], 6);
	close(pair[1]);
	world_spawn("-N", "6", "-l", "127.0.0.1:0", NULL);
	ck_assert(readable(pair[0], WORLD_PATIENCE));
	n = read(pair[0], buf, sizeof(buf));
	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(buf[0], '\n');
	ck_assert(readable(pair[0], WORLD_PATIENCE));
	ck_assert_int_eq(read(pair[0], buf, 1), 0);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
	close(pair[0]);
	world_spawn("-N", "9", "-l", "127.0.0.1:0", NULL);
	ck_assert_int_eq(world_exit(), 2);
	ck_contains(world_errors(), "\"9\" is not an open descriptor");
}

/* Nor one that is something else already. */
TEST(ready_descriptor_listens)
{
	struct sockaddr_in addr;
	int fd = supervisor_listen(&addr);

	world_environment("LISTEN_FDS", "1");
	world_environment("LISTEN_PID", "self");
	world_inherit(fd, 3);
	if (_i == 0)
		world_spawn("-N", "3", "-r", "/app=s", NULL);
	else
		world_spawn("-c", "CustomLog fd:3", "-r", "/app=s", NULL);
	ck_assert_int_eq(world_exit(), _i == 0 ? 2 : 1);
	ck_contains(world_errors(), _i == 0 ? "\"3\" is not" :
	    "cannot open fd:3: ");
	close(fd);
}

/* What cannot be written to is no log. */
TEST(log_to_be_read)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	world_inherit(fd, 7);
	close(fd);
	world_spawn("-c", _i == 0 ? "CustomLog fd:7" : "ErrorLog fd:7", "-l",
	    "127.0.0.1:0", "-r", "/app=s", "-T", "1", NULL);
	ck_assert_int_eq(world_exit(), 1);
	ck_contains(world_errors(), "cannot open fd:7: Bad file descriptor");
}

/* One that cannot be reached is told, with its reason. */
TEST(notify_too_long)
{
	char path[256];

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	world_environment("NOTIFY_SOCKET", path);
	world_proxy("-r", "/app=s", NULL);
	world_stop("name too long");
}

/* A supervisor that has made its socket anew hears of the end. */
TEST(notify_made_anew)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char path[128];
	int fd, i;

	snprintf(path, sizeof(path), "%s/notify", world_dir());
	memcpy(addr.sun_path, path, strlen(path) + 1);
	world_environment("NOTIFY_SOCKET", path);
	for (i = 0; i < 2; i++) {
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr,
		    sizeof(addr)), 0);
		if (i == 0)
			world_proxy("-r", "/app=s", NULL);
		else
			world_signal(SIGTERM);
		ck_assert(readable(fd, WORLD_PATIENCE));
		ck_assert_int_gt(recv(fd, buf, sizeof(buf), 0), 0);
		ck_assert_int_eq(strncmp(buf, i == 0 ? "READY=1" :
		    "STOPPING=1", i == 0 ? 7 : 10), 0);
		close(fd);
		ck_assert_int_eq(unlink("notify"), 0);
	}
	ck_assert_int_eq(world_exit(), 0);
	ck_assert_ptr_null(strstr(world_errors(), "NOTIFY_SOCKET"));
}

/* ---- files that may be another's ---- */

/* A pid file is a plain file with nothing or a number in it. */
static const struct {
	const char *text;
	const char *says;
} others[] = {
	{ "precious\n", "it is a symbolic link" },
	{ "12\n", "is no pid file" },	/* a hard link */
	{ NULL, "is no pid file" },	/* a FIFO */
	{ "Listen 80\n", "is no pid file" },
	{ "1234567890123456\n", "is no pid file" }
};

TEST(pid_file_of_another)
{
	struct stat st;

	if (_i == 2)
		ck_assert_int_eq(mkfifo("p", 0600), 0);
	else
		write_file(_i < 2 ? "precious" : "p", others[_i].text);
	if (_i == 0)
		ck_assert_int_eq(symlink("precious", "p"), 0);
	if (_i == 1)
		ck_assert_int_eq(link("precious", "p"), 0);
	world_spawn("-l", "127.0.0.1:0", "-c", "PidFile p", "-T", "1", NULL);
	ck_assert_int_eq(world_exit(), 1);
	ck_contains(world_errors(), others[_i].says);
	ck_assert_int_eq(lstat("p", &st), 0);
	if (_i != 2)
		ck_assert_str_eq(read_file("p"), others[_i].text);
}

/* One that is another's by the end is not taken away. */
TEST(pid_file_replaced)
{
	world_proxy("-c", "PidFile p", "-r", "/app=s", NULL);
	ck_assert_int_eq(unlink("p"), 0);
	write_file("p", "12345\n");
	world_stop(NULL);
	ck_assert_str_eq(read_file("p"), "12345\n");
}

/* On a machine whose clock was wrong once: beyond 2^31 seconds. */
TEST(files_of_the_future)
{
	const struct timespec times[2] = { { .tv_sec = 2208988800 },
	    { .tv_sec = 2208988800 } };	/* 2040 */
	int s = backend_listen("s", 1), stale = backend_listen("front", 1);

	close(stale);
	write_file("p", "");
	ck_assert_int_eq(utimensat(AT_FDCWD, "p", times, 0), 0);
	ck_assert_int_eq(utimensat(AT_FDCWD, "front", times, 0), 0);
	snprintf(buf, sizeof(buf), "unix:%s/front", world_dir());
	world_spawn("-l", buf, "-c", "PidFile p", "-r", "/app=s", NULL);
	snprintf(buf, sizeof(buf), "%d\n", (int)world_pid());
	until_file("p", buf);
	check_served(client_unix("front"), s, "GET /app HTTP/1.1\r\n"
	    "Host: x\r\n\r\n");
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
}

/* What is left of a crash names nobody, from the start on. */
TEST(pid_file_of_the_dead)
{
	pid_t first;

	snprintf(buf, sizeof(buf), "%d\n", (int)getpid());
	write_file("p", buf);
	world_spawn("-l", "127.0.0.1:0", "-c", "PidFile p", "-r", "/app=s",
	    "sh", "-c", "echo >up; exec sleep 60", NULL);
	until_file("up", "\n");
	ck_assert_str_eq(read_file("p"), "");
	first = world_pid();
	world_also("-l", "127.0.0.1:0", "-c", "PidFile p", NULL);
	ck_assert_int_eq(world_also_exit(), 1);
	snprintf(buf, sizeof(buf), "it runs already, as process %d\n",
	    (int)first);
	ck_contains(world_also_errors(), buf);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 128 + SIGTERM);
}

/*
 * In the user's own folder a link leads to no file that the user could not
 * write to; in another's, the user needs a file.
 */
TEST(log_of_user)
{
	ck_assert_int_eq(mkdir("logs", 0755), 0);
	if (_i == 0) {
		write_file("precious", "root's\n");
		ck_assert_int_eq(symlink("../precious", "logs/x"), 0);
		ck_assert_int_eq(lchown("logs/x", 65534, 65534), 0);
		ck_assert_int_eq(chown("logs", 65534, 65534), 0);
	}
	world_spawn("-u", "nobody", "-l", "127.0.0.1:0", "-c", _i < 2 ?
	    "CustomLog logs/x" : "ErrorLog logs/x", "-T", "1", NULL);
	ck_assert_int_eq(world_exit(), 1);
	snprintf(buf, sizeof(buf), _i == 0 ? "cannot open %s/logs/x" :
	    "install -m 644 -o nobody /dev/null %s/logs/x", world_dir());
	ck_contains(world_errors(), buf);
	if (_i == 0)
		ck_assert_str_eq(read_file("precious"), "root's\n");
	else
		ck_assert_int_eq(access("logs/x", F_OK), -1);
}

/* A file that may not grow any more loses lines, and no client. */
TEST(file_size)
{
	struct rlimit limit, small;
	int i;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = 1024;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	signal(SIGXFSZ, SIG_DFL);
	world_proxy("-c", "CustomLog x", NULL);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (i = 0; i < 30; i++)
		ck_assert_int_eq(status_of(exchange("GET / HTTP/1.0\r\n\r\n")),
		    404);
	world_stop("");
}

/* A log file is appended to, and after SIGUSR1 another of the same name. */
TEST(error_log)
{
	int day, year, end = -1;
	char month[4];
	struct stat st;

	world_proxy("-r", "/app=missing", "-c", "ErrorLog log", NULL);
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	ck_assert_int_eq(stat("log", &st), 0);
	ck_assert_int_gt(st.st_size, 0);
	sscanf(read_file("log"), "[%2d/%3[A-Za-z]/%4d:%*2d:%*2d:%*2d +0000] "
	    "fdproxy: error: %n", &day, month, &year, &end);
	ck_assert_msg(end > 0 && year > 2025, "%s", read_file("log"));
	ck_assert_int_eq(rename("log", "log.0"), 0);
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	ck_assert_int_eq(access("log", F_OK), -1);
	world_signal(SIGUSR1);
	do {
		ck_assert_int_eq(status_of(exchange(GET)), 503);
	} while (stat("log", &st) == -1 || st.st_size == 0);
	world_stop("");
	ck_assert_str_eq(world_errors(), "");
}

/* A disk that is full loses lines, and no client. */
TEST(full_log)
{
	world_proxy("-r", "/app=missing", "-c", "ErrorLog /dev/full", NULL);
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	ck_assert_int_eq(status_of(exchange(GET)), 503);
	world_stop("");
}

int
main(int argc, char **argv)
{
	int root = geteuid() == 0;
	const struct test tests[] = {
		TIMES(inherits, 3),
		ONCE(not_ours),
		ONCE(shut_down),
		ONCE(first_shut_down),
		ONCE(not_a_listener),
		ONCE(notify),
		ONCE(ready_descriptor),
		TIMES(ready_descriptor_listens, 2),
		TIMES(log_to_be_read, 2),
		ONCE(notify_too_long),
		ONCE(notify_made_anew),
		TIMES(pid_file_of_another, COUNT(others)),
		ONCE(pid_file_replaced),
		ONCE(files_of_the_future),
		ONCE(pid_file_of_the_dead),
		ONCE(file_size),
		ONCE(error_log),
		ONCE(full_log),
		TIMES(log_of_user, 3 * root)
	};

	return runner_run(argc, argv, tests, COUNT(tests), world_begin,
	    world_end);
}
