/* See LICENSE for copyright and license details. */

/*
 * fdproxy as a process: options, configuration errors, signals, privileges.
 */

#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

#define GET	"GET /app HTTP/1.1\r\nHost: x\r\n\r\n"

static char buf[65536];

static const char *
output(void)
{
	size_t n;
	FILE *f = fopen("out", "r");

	ck_assert_ptr_nonnull(f);
	n = fread(buf, 1, sizeof(buf) - 1, f);
	fclose(f);
	buf[n] = '\0';
	return buf;
}

TEST(version_and_help)
{
	world_spawn(_i == 0 ? "-V" : "--version", NULL);
	ck_assert_int_eq(world_exit(), 0);
	ck_assert_str_eq(world_errors(), "");
	ck_assert_int_eq(strncmp(output(), "fdproxy ", 8), 0);
	ck_assert(strstr(buf, "(epoll)") || strstr(buf, "(kqueue)") ||
	    strstr(buf, "(poll)"));
	world_spawn(_i == 0 ? "-h" : "--help", NULL);
	ck_assert_int_eq(world_exit(), 0);
	ck_assert_str_eq(world_errors(), "");
	ck_assert_int_eq(strncmp(output(), "usage: fdproxy [-1", 18), 0);
	/* Behind other options, and not for what is their argument. */
	world_spawn("-v", "-t", _i == 0 ? "-V" : "--version", "-x", NULL);
	ck_assert_int_eq(world_exit(), 0);
	world_spawn("-c", _i == 0 ? "-V" : "--version", NULL);
	ck_assert_int_eq(world_exit(), 2);
	ck_contains(world_errors(), "-c: unknown directive");
}

#define HINT	"\nfdproxy -h explains the options\n"

TEST(usage_errors)
{
	static const char *const wrong[] = { "-x", "--x", "--helper",
	    "--version=1", "-r" };
	int i;

	for (i = 0; i < COUNT(wrong); i++) {
		world_spawn(wrong[i], NULL);
		ck_assert_int_eq(world_exit(), 2);
		ck_contains(world_errors(), "usage: fdproxy ");
		ck_contains(world_errors(), HINT);
		ck_assert_str_eq(output(), "");
	}
	world_spawn("-n", "0", NULL);
	ck_assert_int_eq(world_exit(), 2);
	ck_contains(world_errors(), "-n: a number from 1");
	world_spawn("-T", "1s", NULL);
	ck_assert_int_eq(world_exit(), 2);
	ck_contains(world_errors(), "-T: a number from 1");
	/* What a terminal would obey stays in no message. */
	world_spawn("-n", "\x1b[2J", NULL);
	ck_assert_int_eq(world_exit(), 2);
	ck_contains(world_errors(), "near \"\\x1b[2J\"\n");
	world_spawn("-l", "127.0.0.1:0", "-N", "\x1b[2J", NULL);
	ck_assert_int_eq(world_exit(), 2);
	ck_contains(world_errors(), "\"\\x1b[2J\" is not an open");
	world_spawn(NULL);
	ck_assert_int_eq(world_exit(), 2);
	ck_contains(world_errors(), "nothing to listen on");
	ck_contains(world_errors(), "\nusage: fdproxy ");
	ck_contains(world_errors(), HINT);
	/* Who gives something to do is told what is wrong with it alone. */
	world_spawn("-r", "/=s", NULL);
	ck_assert_int_eq(world_exit(), 2);
	ck_contains(world_errors(), "nothing to listen on");
	ck_assert(strstr(world_errors(), "usage") == NULL);
}

/* Every error in one run, each with its place, and nothing is started. */
TEST(configuration_errors)
{
	write_file("conf",
	    "Listen 127.0.0.1:0\n"
	    "Lisen 80\n"
	    "# a comment that \\\n"
	    "  goes on\n"
	    "ProxyPass /app fd://s timeout=5\n"
	    "ProxyPass app fd://s\n"
	    "ProxyPassMatch ^/x$ fd://s\n"
	    "RequestReadTimeout header=20-40,MinRate=500\n");
	world_spawn("-1", "-f", "conf", "-l", "nowhere:80", NULL);
	ck_assert_int_eq(world_exit(), 2);
	ck_assert_str_eq(output(), "");
	ck_contains(world_errors(), "conf:2: unknown directive");
	ck_contains(world_errors(), "\nconf:5: ProxyPass: timeout");
	ck_contains(world_errors(), "\nconf:6: ProxyPass: the path");
	ck_contains(world_errors(), "\nconf:7: ProxyPassMatch");
	ck_contains(world_errors(), "\nconf:8: RequestReadTimeout");
	ck_contains(world_errors(), "\n-l: Listen: ");
}

TEST(configuration_test)
{
	write_file("conf", "Listen 127.0.0.1:0\nProxyPass /app fd://s\n");
	world_spawn("-t", "-f", "conf", NULL);
	ck_assert_int_eq(world_exit(), 0);
	ck_assert_str_eq(world_errors(), "configuration is good\n");
	write_file("conf", "Listen 127.0.0.1:0\nProxyPass /app fd://s x=y\n");
	world_spawn("-t", "-f", "conf", NULL);
	ck_assert_int_eq(world_exit(), 2);
	ck_contains(world_errors(), "conf:2: ");
}

/* Relative sockets of a file are under the file's folder. */
TEST(configuration_file)
{
	int listener = backend_listen("s", 4), client;
	char path[128];

	snprintf(path, sizeof(path), "%s/conf", world_dir());
	write_file("conf", "ProxyPass \"/app\" \\\n  'fd://s' flusher=none\n"
	    "Include more\n");
	write_file("more", "LogLevel debug\n");
	world_proxy("-f", path, NULL);
	client = client_open();
	send_text(client, GET);
	close(backend_take(listener));
	world_stop("passed to");
}

/* A busy address: the message names it, the exit status is 1. */
TEST(address_in_use)
{
	char address[64];
	int live;

	world_proxy("-r", "/app=s", NULL);
	snprintf(address, sizeof(address), "127.0.0.1:%d", world_port());
	world_stop(NULL);
	live = backend_listen("live", 4);
	snprintf(address, sizeof(address), "unix:%s/live", world_dir());
	world_spawn("-l", address, NULL);
	ck_assert_int_eq(world_exit(), 1);
	ck_contains(world_errors(), "cannot listen on unix:/");
	close(live);
	/* Nobody listens any more: it is replaced. */
	world_proxy("-l", address, "-r", "/app=s", NULL);
	close(client_unix("live"));
}

/* Each Listen gets its line; a bare port is every address. */
TEST(addresses)
{
	int a, b, n;

	world_proxy("-l", "0", "-r", "/app=s", NULL);
	n = sscanf(world_line(1), "[::]:%d", &a);
	if (n == 1) {
		ck_assert_int_eq(sscanf(world_line(2), "0.0.0.0:%d", &b), 1);
		ck_assert_int_eq(a, b);
	} else {
		ck_assert_int_eq(sscanf(world_line(1), "0.0.0.0:%d", &b), 1);
	}
}

/* The name of a listener is another's by now: it is not taken away. */
TEST(file_of_another)
{
	char address[128];

	snprintf(address, sizeof(address), "unix:%s/front", world_dir());
	world_proxy("-r", "/app=s", "-l", address, NULL);
	ck_assert_int_eq(unlink("front"), 0);
	backend_listen("front", 4);
	world_stop(NULL);
	ck_assert_int_eq(access("front", F_OK), 0);
}

/* SIGTERM: who has begun a head may end it, who is silent is closed. */
TEST(graceful_stop)
{
	int listener = backend_listen("s", 4), silent, begun, fds;
	size_t len;

	world_proxy("-r", "/app=s", "-c", "AcceptFilter http none", NULL);
	fds = world_fds();
	silent = client_open();
	begun = client_open();
	send_text(begun, "GET /app HTTP/1.1\r\n");
	world_until_fds(fds + 2);
	world_signal(_i == 0 ? SIGTERM : SIGINT);
	ck_assert_int_eq(read_all(silent, buf, sizeof(buf), &len), END_FIN);
	ck_assert_uint_eq(len, 0);
	/* Longer than one has that is silent. */
	ck_assert(!readable(begun, _i == 0 ? 1200 : 0));
	send_text(begun, "Host: x\r\n\r\n");
	close(backend_take(listener));
	ck_assert_int_eq(world_exit(), 0);
}

/*
 * What has come while nobody looked at it, after too many pieces, is served in
 * the end, however sudden that is.
 */
TEST(resting_at_the_end)
{
	int listener = backend_listen("s", 4), client, i, unsent = 1;
	long sleeps, end = 0;

	world_proxy("-r", "/app=s,flusher=none", NULL);
	client = client_open();
	send_text(client, "GET /app HTTP/1.1\r\nHost: x\r\nX: ");
	for (i = 0; i < 100; i++) {
		sleeps = world_sleeps();
		end = now_ms() + WORLD_PATIENCE;
		send_text(client, "a");
		while (world_sleeps() == sleeps)
			ck_assert_int_lt(now_ms(), end);
	}
	world_signal(SIGSTOP);
	send_text(client, "\r\n\r\n");
	while (unsent > 0 && ioctl(client, TIOCOUTQ, &unsent) == 0)
		ck_assert_int_lt(now_ms(), end);
	world_signal(SIGTERM);
	world_signal(SIGINT);
	world_signal(SIGCONT);
	close(backend_take(listener));
	ck_assert_int_eq(world_exit(), 0);
}

/* What was passed is no longer its business. */
TEST(stop_leaves_passed)
{
	int listener = backend_listen("s", 4), client, fd;
	size_t len;

	world_proxy("-r", "/app=s", NULL);
	client = client_open();
	send_text(client, GET);
	fd = backend_take(listener);
	world_stop(NULL);
	send_text(fd, "late");
	close(fd);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_contains(buf, "\r\n\r\nlate");
}

/* GracefulShutdownTimeout, or a second signal, ends the waiting. */
TEST(stop_is_bounded)
{
	int client, fds;
	size_t len;

	world_proxy("-r", "/app=s", "-c", _i == 0 ?
	    "GracefulShutdownTimeout 100ms" : "GracefulShutdownTimeout 0",
	    NULL);
	fds = world_fds();
	client = client_open();
	send_text(client, "GET /app HTTP/1.1\r\n");
	world_until_fds(fds + 1);
	world_signal(SIGTERM);
	if (_i == 1) {
		while (strstr(world_errors(), "stopping") == NULL)
			ck_assert(!readable(client, 2));
		world_signal(SIGTERM);
	}
	ck_assert_int_eq(world_exit(), 0);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(status_of(buf), 503);
}

/* Descriptors 0 to 2 closed at the start: no client gets their numbers. */
TEST(closed_descriptors)
{
	int listener = backend_listen("s", 4), client, i;
	char address[128], name[64], target[64];
	ssize_t n;

	snprintf(address, sizeof(address), "unix:%s/front", world_dir());
	world_closed();
	world_spawn("-l", address, "-r", "/app=s,flusher=none", NULL);
	client = client_unix("front");
	send_text(client, GET);
	close(backend_take(listener));
	for (i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "/proc/%d/fd/%d",
		    (int)world_pid(), i);
		n = readlink(name, target, sizeof(target) - 1);
		ck_assert_int_gt(n, 0);
		target[n] = '\0';
		ck_assert_str_eq(target, "/dev/null");
	}
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
}

/* The worker's ids, all of them, and its groups. */
TEST(privileges)
{
	char name[64], line[256], uids[64] = "", gids[64] = "";
	char groups[64] = "";
	FILE *f;

	world_proxy("-u", "65534:65533", "-r", "/app=s", NULL);
	snprintf(name, sizeof(name), "/proc/%d/status", (int)world_pid());
	f = fopen(name, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		sscanf(line, "Uid:\t%63[^\n]", uids);
		sscanf(line, "Gid:\t%63[^\n]", gids);
		sscanf(line, "Groups:\t%63[^\n]", groups);
	}
	fclose(f);
	ck_assert_str_eq(uids, "65534\t65534\t65534\t65534");
	ck_assert_str_eq(gids, "65533\t65533\t65533\t65533");
	ck_assert_int_eq(atoi(groups), 65533);
}

/* A number's group is that of the user who has it; one that nobody has needs
   another. */
TEST(user_by_number)
{
	char number[32], name[64], gid[32];
	struct passwd *pw;

	if (_i == 1) {
		world_spawn("-l", "127.0.0.1:0", "-u", "4123456", NULL);
		ck_assert_int_eq(world_exit(), 1);
		ck_contains(world_errors(), "Group is needed");
		return;
	}
	while ((pw = getpwent()) != NULL && pw->pw_uid == pw->pw_gid)
		;
	ck_assert_ptr_nonnull(pw);
	snprintf(number, sizeof(number), "%ld", (long)pw->pw_uid);
	snprintf(gid, sizeof(gid), "\nGid:\t%ld\t", (long)pw->pw_gid);
	endpwent();
	world_proxy("-u", number, "-r", "/app=s", NULL);
	snprintf(name, sizeof(name), "/proc/%d/status", (int)world_pid());
	ck_contains(read_file(name), gid);
}

/*
 * The groups of the user, as the files have them, and none of ours.  The files
 * are others only for what is started by that shell.
 */
TEST(groups_of_user)
{
	char name[64];

	world_copy("real");
	write_file("passwd", "root:x:0:0::/:/bin/sh\n"
	    "front:x:65530:65531::/:/bin/sh\n");
	write_file("group", "root:x:0:front\nfront:x:65531:\n"
	    "more:x:65532:root,front\nothers:x:65533:root\n");
	write_file("start", "#!/bin/sh\n"
	    "exec unshare -m sh -c '\n"
	    "mount --bind passwd /etc/passwd &&\n"
	    "mount --bind group /etc/group && exec ./real \"$@\"' sh \"$@\"\n");
	ck_assert_int_eq(chmod("start", 0755), 0);
	world_program("start");
	world_proxy("-u", _i == 0 ? "front" : "front:others", "-r", "/app=s",
	    NULL);
	snprintf(name, sizeof(name), "/proc/%d/status", (int)world_pid());
	ck_contains(read_file(name), _i == 0 ?
	    "\nGroups:\t0 65531 65532 \n" : "\nGroups:\t0 65532 65533 \n");
}

/* In a root of its own; the backend's socket is found in there. */
TEST(new_root)
{
	static const char *const links[] = { "root", "cwd" };
	char name[64], root[128] = "", directive[128], line[256], privs[8] = "";
	char place[96];
	int listener = backend_listen("s", 4), client, i;
	ssize_t n;
	FILE *f;

	/* Not the folder that it is started in. */
	snprintf(place, sizeof(place), "%s/new", world_dir());
	ck_assert_int_eq(mkdir(place, 0755), 0);
	ck_assert_int_eq(rename("s", "new/s"), 0);

	/* The leak checker needs /proc at its end. */
	world_environment("ASAN_OPTIONS", "detect_leaks=0");
	snprintf(directive, sizeof(directive), "ChrootDir %s", place);
	world_proxy("-u", "65534", "-c", directive, "-c",
	    "ProxyPass /app fd:///s", NULL);
	client = client_open();
	send_text(client, GET);
	close(backend_take(listener));
	unlink("new/s");
	for (i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "/proc/%d/%s", (int)world_pid(),
		    links[i]);
		n = readlink(name, root, sizeof(root) - 1);
		root[n > 0 ? n : 0] = '\0';
		ck_assert_str_eq(root, place);
	}
	snprintf(name, sizeof(name), "/proc/%d/status", (int)world_pid());
	f = fopen(name, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f) != NULL)
		sscanf(line, "NoNewPrivs:\t%7s", privs);
	fclose(f);
	ck_assert_str_eq(privs, "1");
}

TEST(unknown_user)
{
	world_spawn("-l", "127.0.0.1:0", "-u", "no-such-user", NULL);
	ck_assert_int_eq(world_exit(), 1);
	ck_contains(world_errors(), "unknown user no-such-user");
}

int
main(int argc, char **argv)
{
	int root = geteuid() == 0;
	int mounts = root && system("unshare -m true 2>/dev/null") == 0;
	const struct test tests[] = {
		TIMES(version_and_help, 2),
		ONCE(usage_errors),
		ONCE(configuration_errors),
		ONCE(configuration_test),
		ONCE(configuration_file),
		ONCE(address_in_use),
		ONCE(addresses),
		ONCE(file_of_another),
		TIMES(graceful_stop, 2),
		ONCE(resting_at_the_end),
		ONCE(stop_leaves_passed),
		TIMES(stop_is_bounded, 2),
		ONCE(closed_descriptors),
		TIMES(privileges, root),
		TIMES(user_by_number, 2 * root),
		TIMES(groups_of_user, 2 * mounts),
		TIMES(new_root, root),
		ONCE(unknown_user)
	};

	return runner_run(argc, argv, tests, COUNT(tests), world_begin,
	    world_end);
}
