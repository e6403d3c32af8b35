/* See LICENSE for copyright and license details. */

/*
 * fdproxy under a supervisor: listening sockets that it inherits, and how it
 * says that it is ready.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static const struct test tests[] = {
	TIMES(inherits, 3),
	ONCE(not_ours),
	ONCE(shut_down),
	ONCE(first_shut_down),
	ONCE(not_a_listener),
	ONCE(notify),
	ONCE(ready_descriptor),
	ONCE(error_log),
	ONCE(full_log)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), world_begin,
	    world_end);
}
