/* See LICENSE for copyright and license details. */

/*
 * libfdaccept in a server that knows nothing of it (ACCEPTER names that, which
 * is tests/accepter.c): preloaded by the real fdaccept, which LAUNCHER names,
 * or linked to it, if there is no LAUNCHER.
 */

#include <arpa/inet.h>
#ifdef __linux__
#include <elf.h>
#endif
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

static char launcher[4096], accepter[4096], said[65536];
static pid_t server = -1;
static int out = -1;

/* Run argv with its output in a pipe, its group's id being its own. */
static void
spawn(const char *file, char **argv, int error)
{
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	fcntl(fd[0], F_SETFD, FD_CLOEXEC);
	fflush(NULL);
	server = fork();
	ck_assert_int_ne(server, -1);
	if (server == 0) {
		setpgid(0, 0);
		dup2(fd[1], STDOUT_FILENO);
		if (error)
			dup2(fd[1], STDERR_FILENO);
		close(fd[1]);
		execv(file, argv);
		_exit(99);
	}
	setpgid(server, server);
	close(fd[1]);
	out = fd[0];
}

/* The accepter with that option and perhaps the option's argument. */
static void
start_on(const char *socket_name, const char *option, const char *value)
{
	char *argv[7], keep[] = "-k";
	int n = 0;

	if (*launcher != '\0') {
		argv[n++] = launcher;
		if (getenv("FDACCEPT_KEEP") != NULL)
			argv[n++] = keep;
	}
	argv[n++] = accepter;
	if (option != NULL)
		argv[n++] = (char *)(size_t)option;
	if (value != NULL)
		argv[n++] = (char *)(size_t)value;
	argv[n++] = (char *)(size_t)socket_name;
	argv[n] = NULL;
	spawn(argv[0], argv, 0);
}

static void
start(const char *option, const char *value)
{
	start_on("s", option, value);
}

/* Its next line. */
static const char *
line(void)
{
	size_t len = 0;

	do {
		ck_assert(readable(out, WORLD_PATIENCE));
		ck_assert_int_eq(read(out, said + len, 1), 1);
	} while (said[len++] != '\n' && len < sizeof(said));
	said[len - 1] = '\0';
	return said;
}

static void
stop(void)
{
	if (server != -1) {
		kill(-server, SIGKILL);
		waitpid(server, NULL, 0);
		close(out);
	}
	server = -1;
	unlink("s");
	unlink("serve");
}

static void
begin(void)
{
	const char *name = getenv("LAUNCHER");

	if (name != NULL)
		ck_assert_ptr_nonnull(realpath(name, launcher));
	name = getenv("ACCEPTER");
	ck_assert_ptr_nonnull(realpath(name == NULL ? "build/accepter" : name,
	    accepter));
	unsetenv("FDACCEPT");
	unsetenv("FDACCEPT_ADDRESS");
	unsetenv("FDACCEPT_KEEP");
	world_begin();
}

static void
end(void)
{
	stop();
	world_end();
}

/* One message of one byte with n descriptors, over conn. */
static void
hand(int conn, const int *fds, size_t n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(16 * sizeof(int))];
	} control;
	char nul = '\0';
	struct iovec iov = { &nul, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *cmsg;

	memset(&control, 0, sizeof(control));
	cmsg = CMSG_FIRSTHDR(&msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
	/* The one who was to take it may have had enough of waiting. */
	if (sendmsg(conn, &msg, MSG_NOSIGNAL) == -1)
		ck_assert(errno == EPIPE || errno == ECONNRESET);
}

/* A connection over loopback: pair[0] is the client's end. */
static void
tcp_pair(int pair[2], bool six)
{
	struct sockaddr_storage addr;
	struct sockaddr_in *in = (struct sockaddr_in *)&addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&addr;
	socklen_t len = six ? sizeof(*in6) : sizeof(*in);
	int listener;

	memset(&addr, 0, sizeof(addr));
	addr.ss_family = six ? AF_INET6 : AF_INET;
	if (six)
		in6->sin6_addr = in6addr_loopback;
	else
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(addr.ss_family, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, len), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	getsockname(listener, (struct sockaddr *)&addr, &len);
	pair[0] = socket(addr.ss_family, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(pair[0], (struct sockaddr *)&addr, len), 0);
	pair[1] = accept(listener, NULL, NULL);
	ck_assert_int_ne(pair[1], -1);
	close(listener);
}

/* Give fd away; what the accepter says then. */
static const char *
offer(int fd)
{
	int conn = client_unix("s");

	hand(conn, &fd, 1);
	close(conn);
	return line();
}

/* The line of an accept that went well, for a client's end. */
static const char *
expected(int client, bool nonblock, bool cloexec, size_t size)
{
	static char text[1024];
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	size_t i;
	int n;

	getsockname(client, (struct sockaddr *)&addr, &len);
	n = snprintf(text, sizeof(text), "errno 77 nonblock %d cloexec %d len "
	    "%d addr ", nonblock, cloexec, size == 0 ? 0 : (int)len);
	for (i = 0; i < len && i < size; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%02x",
		    ((unsigned char *)&addr)[i]);
	snprintf(text + n, sizeof(text) - (size_t)n, " fds 1");
	return text;
}

/* The accepter has answered this client; closes it. */
static void
answered(int client)
{
	char buf[64];
	size_t len;

	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_str_eq(buf, "hello");
	close(client);
}

/* Another client is served as if nothing had been. */
static void
still_serves(void)
{
	int pair[2];

	tcp_pair(pair, false);
	ck_assert_str_eq(offer(pair[1]), expected(pair[0], false, false, 128));
	close(pair[1]);
	answered(pair[0]);
}

TEST(behind_fdproxy)
{
	static const char *const options[] = { NULL, "-4nc", "-n", "-F" };
	size_t i;
	int client, n;

	world_proxy("-r", "/app=s,wait=1min,flusher=none", NULL);
	for (i = 0; i < sizeof(options) / sizeof(*options); i++) {
		start(options[i], NULL);
		for (n = 0; n < 20; n++) {
			client = client_open();
			send_text(client, "GET /app HTTP/1.1\r\nHost: x\r\n"
			    "\r\n");
			ck_assert_str_eq(line(), expected(client, i == 1,
			    i == 1, 128));
			answered(client);
		}
		stop();
	}
}

/* As the call says, whatever the sender and the listener have. */
TEST(flags)
{
	static const char *const with[] = { NULL, "-4", "-4n", "-4c", "-4nc",
	    "-n" };
	int i, set, pair[2];

	for (i = 0; i < (int)(sizeof(with) / sizeof(*with)); i++) {
		start(with[i], i == 1 ? "0" : NULL);
		for (set = 0; set < 2; set++) {
			tcp_pair(pair, false);
			fcntl(pair[1], F_SETFL, set ? O_NONBLOCK : 0);
			fcntl(pair[1], F_SETFD, set ? FD_CLOEXEC : 0);
			ck_assert_str_eq(offer(pair[1]), expected(pair[0],
			    i == 2 || i == 4, i == 3 || i == 4, 128));
			close(pair[1]);
			answered(pair[0]);
		}
		stop();
	}
}

/* Cut to the room there was, with its length as it is. */
TEST(address)
{
	static const char *const room[] = { "0", "1", "2", "7", "16", "110" };
	int i, pair[2], size;
	char text[256];

	for (i = 0; i < (int)(sizeof(room) / sizeof(*room)); i++) {
		start("-s", room[i]);
		tcp_pair(pair, false);
		snprintf(text, sizeof(text), "%s", offer(pair[1]));
		ck_contains(text, " len 16 addr ");
		size = atoi(room[i]);
		if (size > 0)
			ck_assert_str_eq(text, expected(pair[0], false, false,
			    (size_t)size));
		else
			ck_contains(text, " addr  fds 1");
		close(pair[1]);
		answered(pair[0]);
		stop();
	}
	start("-z", NULL);
	tcp_pair(pair, false);
	ck_assert_str_eq(offer(pair[1]), expected(pair[0], false, false, 0));
	close(pair[1]);
	answered(pair[0]);
}

TEST(address_of_ipv6)
{
	int pair[2], fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6,
	    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	bool have = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;

	close(fd);
	if (!have)
		return;
	start(NULL, NULL);
	tcp_pair(pair, true);
	ck_assert_str_eq(offer(pair[1]), expected(pair[0], false, false, 128));
	close(pair[1]);
	answered(pair[0]);
	stop();
	start("-s", "16");
	tcp_pair(pair, true);
	ck_assert_str_eq(offer(pair[1]), expected(pair[0], false, false, 16));
	ck_contains(said, " len 28 ");
	close(pair[1]);
	answered(pair[0]);
}

/* Clients of "Listen unix:" have no address but their family. */
TEST(address_of_unix)
{
	int pair[2];

	start(NULL, NULL);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_str_eq(offer(pair[1]), expected(pair[0], false, false, 128));
	ck_contains(said, " len 2 ");
	close(pair[1]);
	answered(pair[0]);
}

/* The line of a connection that accept has given back as it was. */
#define GIVEN_BACK	"errno 77 nonblock 0 cloexec 0 len 2 addr 0100 fds 1"

/*
 * Connections without a client are as if they had never been, however many
 * they are, for a listener that blocks and for one that does not.
 */
static void
probe(void)
{
	int i;

	for (i = 0; i < 50; i++)
		close(client_unix("s"));
}

TEST(probes)
{
	static const char *const with[] = { NULL, "-n", "-4", "-i" };
	int i;

	for (i = 0; i < (int)(sizeof(with) / sizeof(*with)); i++) {
		start(with[i], i == 2 ? "0" : NULL);
		probe();
		still_serves();
		stop();
	}
}

/* A client that has reset its connection. */
static void
give_reset(void)
{
	struct linger off = { 1, 0 };
	int pair[2], conn;

	tcp_pair(pair, false);
	setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	close(pair[0]);
	ck_assert(readable(pair[1], WORLD_PATIENCE));
	conn = client_unix("s");
	hand(conn, &pair[1], 1);
	close(conn);
	close(pair[1]);
}

TEST(resets)
{
	int i;

	start(NULL, NULL);
	for (i = 0; i < 50; i++)
		give_reset();
	still_serves();
}

/* A server that stops at the first error has had all by then. */
TEST(edge_triggered)
{
	int pair[2], conn, i, served = 0, all = 0;

	start("-e", NULL);
	for (i = 0; i < 20; i++) {
		close(client_unix("s"));
		give_reset();
		tcp_pair(pair, false);
		conn = client_unix("s");
		hand(conn, &pair[1], 1);
		close(conn);
		close(pair[1]);
		answered(pair[0]);
	}
	/* Many edges may be one. */
	while (served < 20) {
		ck_assert_int_eq(sscanf(line(), "%d clients", &all), 1);
		ck_contains(said, ", then Resource temporarily unavailable");
		served += all;
	}
	ck_assert_int_eq(served, 20);
}

/* What is no client is somebody's connection to this server. */
TEST(no_client)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), conn, i;
	int datagram = socket(AF_INET, SOCK_DGRAM, 0);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int fresh = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(listen(listener, 1), 0);
	start(NULL, NULL);
	for (i = 0; i < 10; i++) {
		conn = client_unix("s");
		send_text(conn, "GET / HTTP/1.0\r\n\r\n");
		ck_assert_str_eq(line(), GIVEN_BACK " bytes 18");
		answered(conn);
	}
	ck_assert_str_eq(offer(null), GIVEN_BACK " bytes 1");
	ck_assert_str_eq(offer(datagram), GIVEN_BACK " bytes 1");
	ck_assert_str_eq(offer(listener), GIVEN_BACK " bytes 1");
	/* One that is not connected is a client that has left. */
	conn = client_unix("s");
	hand(conn, &fresh, 1);
	close(conn);
	close(fresh);
	close(listener);
	close(datagram);
	close(null);
	still_serves();
}

/* A server that wakes itself up gets that connection. */
TEST(own)
{
	int pair[2], conn;

	start("-w", NULL);
	ck_assert_str_eq(line(), GIVEN_BACK);
	ck_assert_str_eq(line(), GIVEN_BACK);
	tcp_pair(pair, false);
	conn = client_unix("s");
	hand(conn, &pair[1], 1);
	close(conn);
	close(pair[1]);
	while (strncmp(line(), "errno 77 nonblock 0 cloexec 0 len 2 ", 36) ==
	    0)
		;
	ck_assert_str_eq(said, expected(pair[0], false, false, 128));
	answered(pair[0]);
}

/* With a listener of either kind, and signals meanwhile; (1) the server stands
   still for longer than it would wait. */
TEST(late)
{
	static const char *const with[] = { NULL, "-n", "-i" };
	int i, pair[2], conn, tries;

	for (i = 0; i < 3; i++) {
		start(with[i], NULL);
		/* Too late is no error, if this machine is slow. */
		for (tries = 0; tries < (_i == 0 ? 200 : 3); tries++) {
			tcp_pair(pair, false);
			conn = client_unix("s");
			if (!readable(out, 5) && _i == 1) {
				kill(-server, SIGSTOP);
				poll(NULL, 0, WAIT_MS + 100);
			}
			if (!readable(out, 0))
				hand(conn, &pair[1], 1);
			kill(-server, SIGCONT);
			close(conn);
			close(pair[1]);
			if (strncmp(line(), GIVEN_BACK, 47) != 0)
				break;
			close(pair[0]);
		}
		ck_assert_str_eq(said, expected(pair[0], false, false, 128));
		answered(pair[0]);
		stop();
	}
}

/*
 * Whoever says nothing is waited for, but not long: then it may be that the
 * server speaks first, but for a socket that is named for clients, and for who
 * has given one away.
 */
TEST(silent)
{
	static const char *const with[] = { NULL, "-n", "-i" };
	char buf[8];
	size_t len;
	int i, conn;

	for (i = 0; i < 3; i++) {
		start(with[i], NULL);
		conn = client_unix("s");
		ck_assert_str_eq(line(), GIVEN_BACK);
		answered(conn);
		still_serves();
		/* Now it is known what this process sends. */
		conn = client_unix("s");
		ck_assert_int_eq(read_all(conn, buf, sizeof(buf), &len),
		    END_FIN);
		close(conn);
		still_serves();
		stop();
		setenv("FDACCEPT", "s", 1);
		start(with[i], NULL);
		conn = client_unix("s");
		ck_assert_int_eq(read_all(conn, buf, sizeof(buf), &len),
		    END_FIN);
		ck_assert_uint_eq(len, 0);
		close(conn);
		still_serves();
		stop();
		unsetenv("FDACCEPT");
	}
}

/* Credentials before the descriptor leave room for it. */
TEST(credentials)
{
	start("-c", NULL);
	still_serves();
	still_serves();
}

/* ---- what is read ---- */

/* The request comes in these pieces, and what a server that echoes it reads. */
TEST(edited)
{
	char listener[256];
	int client, i;

	for (i = 0; i < 2; i++) {
		if (i == 1)
			setenv("FDACCEPT_KEEP", "1", 1);
		start(NULL, NULL);
		snprintf(listener, sizeof(listener), "unix:%s/clients",
		    world_dir());
		world_proxy("-r", "/app=s,wait=1min,flusher=none", "-l",
		    listener, NULL);
		client = client_unix("clients");
		send_text(client, "GET /app HTTP/1.1\r\nHost: x\r\n");
		send_text(client, "Connection: keep-alive\r\n\r\n");
		/* 22 + 2 bytes left out, 19 put in. */
		ck_contains(line(), i == 0 ? " bytes 49" : " bytes 54");
		answered(client);
		world_stop(NULL);
		stop();
	}
	unsetenv("FDACCEPT_KEEP");
}

TEST(surplus)
{
	int pair[2], fds[10], conn;
	size_t i, n;

	start(NULL, NULL);
	for (n = 2; n <= 10; n += 4) {
		tcp_pair(pair, false);
		for (i = 0; i < n; i++)
			fds[i] = pair[1];
		conn = client_unix("s");
		hand(conn, fds, n);
		close(conn);
		ck_assert_str_eq(line(), expected(pair[0], false, false, 128));
		close(pair[1]);
		answered(pair[0]);
	}
}

TEST(no_descriptors)
{
	int pair[2];

	start("-l", NULL);
	tcp_pair(pair, false);
	ck_assert_str_eq(offer(pair[1]), "error EMFILE fds 0");
	close(pair[0]);
	close(pair[1]);
}

/* A connection to another socket is a connection. */
TEST(names)
{
	static const char *const others[] = { "x", "server", "serv:/serve",
	    "serve/", "SERVE", "@serve" };
	char abstract[64], both[80];
	size_t i;
	int conn;

	for (i = 0; i < sizeof(others) / sizeof(*others); i++) {
		setenv("FDACCEPT", others[i], 1);
		start_on("serve", NULL, NULL);
		conn = client_unix("serve");
		ck_contains(line(), " len 2 addr 0100 fds 1");
		answered(conn);
		stop();
	}
	setenv("FDACCEPT", "serve::s", 1);
	start(NULL, NULL);
	still_serves();
	stop();
	setenv("FDACCEPT", "", 1);
	start(NULL, NULL);
	still_serves();
	stop();
	/* By an abstract name: silent ones are not given back. */
	snprintf(abstract, sizeof(abstract), "@e2e_fdaccept.%ld",
	    (long)getpid());
	snprintf(both, sizeof(both), "x:%s", abstract);
	setenv("FDACCEPT", both, 1);
	start_on(abstract, NULL, NULL);
	conn = client_unix(abstract);
	ck_assert(readable(conn, WORLD_PATIENCE));
	ck_assert_int_eq(recv(conn, both, 1, 0), 0);
	close(conn);
	unsetenv("FDACCEPT");
}

/* For those who take no other, the address that the system has given. */
TEST(unix_addresses)
{
	int pair[2];

	setenv("FDACCEPT_ADDRESS", "unix", 1);
	start("-4", "c");
	tcp_pair(pair, false);
	ck_assert_str_eq(offer(pair[1]), "errno 77 nonblock 0 cloexec 1 len 2 "
	    "addr 0100 fds 1");
	close(pair[1]);
	answered(pair[0]);
	unsetenv("FDACCEPT_ADDRESS");
}

TEST(tcp_listener)
{
	static const char *const with[] = { NULL, "-4nc" };
	int i, client;

	for (i = 0; i < 2; i++) {
		start_on("tcp", with[i], NULL);
		client = client_port(atoi(line()));
		ck_assert_str_eq(line(), expected(client, i == 1, i == 1,
		    128));
		answered(client);
		stop();
	}
}

/* ---- the launcher ---- */

/* Run that; all that it and its command say, and its status. */
static int
run(const char *file, char **argv)
{
	size_t len;
	int status;

	/* A sanitizer's own library would have to be the first. */
	setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
	spawn(file, argv, 1);
	unsetenv("ASAN_OPTIONS");
	read_all(out, said, sizeof(said), &len);
	ck_assert_int_eq(waitpid(server, &status, 0), server);
	server = -1;
	close(out);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The launcher, under that name. */
static int
launch(const char *as, const char *arg1, const char *arg2, const char *arg3)
{
	char *argv[5] = { (char *)(size_t)as, (char *)(size_t)arg1,
	    (char *)(size_t)arg2, (char *)(size_t)arg3, NULL };

	return run(launcher, argv);
}

TEST(statuses)
{
	write_file("file", "text");
	ck_assert_int_eq(launch(launcher, "sh", "-c", "exit 7"), 7);
	ck_assert_int_eq(launch(launcher, "sh", "-c", "exit $#"), 0);
	ck_assert_int_eq(launch(launcher, "/nowhere/server", NULL, NULL), 127);
	ck_contains(said, "fdaccept: /nowhere/server: ");
	ck_assert_int_eq(launch(launcher, "./file", NULL, NULL), 126);
	ck_contains(said, "fdaccept: ./file: ");
	ck_assert_int_eq(launch(launcher, NULL, NULL, NULL), 125);
	ck_assert_int_eq(launch(launcher, "-x", "true", NULL), 125);
	ck_contains(said, "usage: ");
	/* From PATH, it is not beside its library; this build has no other. */
	ck_assert_int_eq(launch("fdaccept", "true", NULL, NULL), 125);
	ck_contains(said, "fdaccept: /nonexistent/libfdaccept.so: ");
}

/* Options behind the command are the command's. */
TEST(arguments)
{
	ck_assert_int_eq(launch(launcher, "echo", "-V", "-h"), 0);
	ck_assert_str_eq(said, "-V -h\n");
	ck_assert_int_eq(launch(launcher, "--", "echo", "a b"), 0);
	ck_assert_str_eq(said, "a b\n");
}

/* What is preloaded already stays so, behind it. */
TEST(preload)
{
	char library[8192], other[] = "libc.so.6", two[2 * sizeof(library)];

	snprintf(library, sizeof(library), "%.*s/libfdaccept.so",
	    (int)(strrchr(launcher, '/') - launcher), launcher);
	ck_assert_int_eq(launch(launcher, "sh", "-c", "printf %s "
	    "\"$LD_PRELOAD\""), 0);
	ck_assert_str_eq(said, library);
	setenv("LD_PRELOAD", other, 1);
	ck_assert_int_eq(launch(launcher, "sh", "-c", "printf %s "
	    "\"$LD_PRELOAD\""), 0);
	unsetenv("LD_PRELOAD");
	snprintf(two, sizeof(two), "%s:%s", library, other);
	ck_assert_str_eq(said, two);
	/* The loader takes the same one once, however often it is there. */
	setenv("LD_PRELOAD", library, 1);
	ck_assert_int_eq(launch(launcher, "sh", "-c",
	    "grep -c \"r-xp .*/libfdaccept\" /proc/self/maps"), 0);
	unsetenv("LD_PRELOAD");
	ck_assert_str_eq(said, "1\n");
	ck_assert_int_eq(launch(launcher, "sh", "-c", "printf %s "
	    "\"$NODE_CLUSTER_SCHED_POLICY,${FDACCEPT_KEEP-no}\""), 0);
	ck_assert_str_eq(said, "none,no");
	setenv("NODE_CLUSTER_SCHED_POLICY", "rr", 1);
	setenv("FDACCEPT_KEEP", "1", 1);
	setenv("FDACCEPT_PORT", "1 2 3", 1);
	ck_assert_int_eq(launch(launcher, "sh", "-c", "printf %s "
	    "\"$NODE_CLUSTER_SCHED_POLICY,${FDACCEPT_KEEP-no},"
	    "${FDACCEPT_PORT-no}\""), 0);
	unsetenv("NODE_CLUSTER_SCHED_POLICY");
	unsetenv("FDACCEPT_KEEP");
	unsetenv("FDACCEPT_PORT");
	ck_assert_str_eq(said, "rr,no,no");
}

/* A path that the loader would read otherwise. */
TEST(library_path)
{
	static const char *const folders[] = { "a$LIB", "a b", "a:b" };
	char from[8192], file[64], command[2 * sizeof(from)];
	size_t i;

	for (i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		snprintf(from, sizeof(from), "%.*s",
		    (int)(strrchr(launcher, '/') - launcher), launcher);
		snprintf(command, sizeof(command), "mkdir '%s' && cp '%s' "
		    "'%s/libfdaccept.so' '%s'", folders[i], launcher, from,
		    folders[i]);
		ck_assert_int_eq(system(command), 0);
		snprintf(file, sizeof(file), "%s/%s", folders[i],
		    strrchr(launcher, '/') + 1);
		ck_assert_int_eq(launch(file, "true", NULL, NULL), 125);
		ck_contains(said, "cannot be preloaded: ");
		snprintf(command, sizeof(command), "rm -r '%s'", folders[i]);
		ck_assert_int_eq(system(command), 0);
	}
}

#ifdef __linux__

/*
 * A program's file as far as it is looked at: one segment, an interpreter or a
 * note, or none.  It cannot be run.
 */
static void
make_program(const char *name, int class, uint32_t type, const char *data,
    size_t len)
{
	FILE *f = fopen(name, "wb");
	Elf64_Ehdr e64 = { .e_phoff = sizeof(e64), .e_phnum = type != 0 };
	Elf64_Phdr p64 = { .p_type = type, .p_filesz = len,
	    .p_offset = sizeof(e64) + sizeof(p64) };
	Elf32_Ehdr e32 = { .e_phoff = sizeof(e32), .e_phnum = type != 0 };
	Elf32_Phdr p32 = { .p_type = type, .p_filesz = (Elf32_Word)len,
	    .p_offset = sizeof(e32) + sizeof(p32) };

	memcpy(e64.e_ident, ELFMAG, SELFMAG);
	memcpy(e32.e_ident, ELFMAG, SELFMAG);
	e64.e_ident[EI_CLASS] = e32.e_ident[EI_CLASS] = (unsigned char)class;
	if (class == ELFCLASS64) {
		fwrite(&e64, sizeof(e64), 1, f);
		fwrite(&p64, sizeof(p64), 1, f);
	} else {
		fwrite(&e32, sizeof(e32), 1, f);
		fwrite(&p32, sizeof(p32), 1, f);
	}
	fwrite(data, 1, len, f);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(chmod(name, 0755), 0);
}

/* What would run without the library is not run. */
TEST(refused)
{
	static const char loader[] = "/lib/ld-other.so.1";
	static const char notes[] = "\4\0\0\0\6\0\0\0\3\0\0\0GNU\0abcdef\0\0"
	    "\4\0\0\0\2\0\0\0\4\0\0\0Go\0\0xx\0\0";
	static const char gnu[] = "\4\0\0\0\2\0\0\0\3\0\0\0GNU\0ab\0\0";
	char path[4096], copy[sizeof(launcher) + 64];
	int class;

	for (class = ELFCLASS32; class <= ELFCLASS64; class++) {
		make_program("p", class, PT_INTERP, loader, sizeof(loader));
		ck_assert_int_eq(launch(launcher, "./p", NULL, NULL), 125);
		ck_contains(said, "./p: loaded by /lib/ld-other.so.1, ");
		make_program("p", class, 0, "", 0);
		ck_assert_int_eq(launch(launcher, "./p", NULL, NULL), 125);
		ck_contains(said, "./p: linked statically");
		make_program("p", class, PT_NOTE, gnu, sizeof(gnu) - 1);
		ck_assert_int_eq(launch(launcher, "./p", NULL, NULL), 125);
		ck_contains(said, "./p: linked statically");
		make_program("p", class, PT_NOTE, notes, sizeof(notes) - 1);
		ck_assert_int_eq(launch(launcher, "./p", NULL, NULL), 125);
		ck_contains(said, "./p: written in Go");
	}
	/* Found in PATH, where nothing is the current folder, and as the
	   interpreter of a script. */
	snprintf(path, sizeof(path), "%s", getenv("PATH"));
	snprintf(copy, sizeof(copy), ":%s", path);
	setenv("PATH", copy, 1);
	ck_assert_int_eq(launch(launcher, "p", NULL, NULL), 125);
	setenv("PATH", path, 1);
	ck_contains(said, "p: written in Go");
	/* A folder of that name is no program. */
	ck_assert_int_eq(system("mkdir -p first/p"), 0);
	snprintf(copy, sizeof(copy), "%s/first:%s", world_dir(), world_dir());
	setenv("PATH", copy, 1);
	ck_assert_int_eq(launch(launcher, "p", NULL, NULL), 125);
	setenv("PATH", path, 1);
	ck_contains(said, "p: written in Go");
	snprintf(copy, sizeof(copy), "#! %s/p -x\n", world_dir());
	write_file("script", copy);
	ck_assert_int_eq(chmod("script", 0755), 0);
	ck_assert_int_eq(launch(launcher, "./script", NULL, NULL), 125);
	ck_contains(said, "/p: written in Go");
	write_file("script", "#!/bin/sh\necho $0\n");
	ck_assert_int_eq(launch(launcher, "./script", NULL, NULL), 0);
	ck_assert_str_eq(said, "./script\n");
	/* A script of a script of ... of itself. */
	write_file("script", "#! ./script\n");
	ck_assert_int_eq(launch(launcher, "./script", NULL, NULL), 126);
}

/* Rights that the caller does not have; only root can make such a file. */
TEST(more_rights)
{
	if (getuid() != 0)
		return;
	ck_assert_int_eq(system("cp /bin/true p && chown 1:1 p && "
	    "chmod 4755 p"), 0);
	ck_assert_int_eq(launch(launcher, "./p", NULL, NULL), 125);
	ck_contains(said, "./p: it is given more rights than ours");
	ck_assert_int_eq(chmod("p", 02755), 0);
	ck_assert_int_eq(launch(launcher, "./p", NULL, NULL), 125);
	ck_assert_int_eq(chmod("p", 0755), 0);
	ck_assert_int_eq(launch(launcher, "./p", NULL, NULL), 0);
}

static const struct {
	const char *value, *error;
} ports[] = {
	{ "0=p", "not a port from 1 to 65535: 0" },
	{ "65536=p", "not a port from 1 to 65535: 65536" },
	{ "http=p", "not a port from 1 to 65535: http" },
	{ "3000=", "path is missing" },
	{ "3000", "our starter has left none (LISTEN_FDS)" },
	{ "3000=nowhere/p", "cannot listen on nowhere/p: No such file" },
	{ "3000=@", "a socket's path has 1 to 107 bytes: @" },
	{ "3000=file", "cannot listen on file: " }
};

TEST(port_errors)
{
	size_t i;

	write_file("file", "");
	for (i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
		ck_assert_int_eq(launch(launcher, "-p", ports[i].value,
		    "true"), 125);
		ck_contains(said, ports[i].error);
	}
	/* A command that is refused leaves no socket behind. */
	make_program("p", ELFCLASS64, 0, "", 0);
	ck_assert_int_eq(launch(launcher, "-p", "3000=left", "./p"), 125);
	ck_assert_int_eq(access("left", F_OK), -1);
}

/* Started with a socket, as descriptor 3, as fdproxy and systemd do it. */
static int
launch_with_socket(int fd, const char *args)
{
	char command[2 * sizeof(launcher)], sh[] = "sh", option[] = "-c";
	char *argv[] = { sh, option, command, NULL };
	int status;

	snprintf(command, sizeof(command), "LISTEN_PID=$$ LISTEN_FDS=1 exec "
	    "'%s' %s 3<&9", launcher, args);
	ck_assert_int_eq(dup2(fd, 9), 9);
	status = run("/bin/sh", argv);
	close(9);
	return status;
}

TEST(port_inherited)
{
	int fd = backend_listen("left", 1);
	int tcp = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(launch_with_socket(fd, "-p 4000 sh -c 'echo "
	    "$FDACCEPT_PORT; echo ${LISTEN_FDS-none}; readlink "
	    "/proc/self/fd/1023'"), 0);
	ck_assert_int_eq(strncmp(said, "4000 1023 ", 10), 0);
	ck_contains(said, "\nnone\nsocket:[");
	/* Two sockets, of which one would be served by nobody. */
	ck_assert_int_eq(launch_with_socket(fd, "-p 4000=other true"), 125);
	ck_contains(said, "our starter has left a socket");
	ck_assert_int_eq(launch_with_socket(tcp, "-p 4000 true"), 125);
	ck_contains(said, "descriptor 3 (LISTEN_FDS) is no unix socket");
	ck_assert_int_eq(launch(launcher, "-p1=a", "-p2=b", "true"), 125);
	ck_contains(said, "only one port");
	close(tcp);
}

/* What the command finds: a listening socket, at a high number. */
TEST(port_given)
{
	char want[] = "3000 1023 ";

	ck_assert_int_eq(launch(launcher, "-p3000=port", "sh", "-c"), 2);
	write_file("script", "#!/bin/sh\necho $FDACCEPT_PORT\n"
	    "readlink /proc/self/fd/1023\n"
	    "exec sh -c 'readlink /proc/self/fd/1023'\n");
	ck_assert_int_eq(chmod("script", 0755), 0);
	ck_assert_int_eq(launch(launcher, "-p", "3000=port", "./script"), 0);
	ck_assert_int_eq(strncmp(said, want, strlen(want)), 0);
	/* The same socket for the children of what was executed. */
	ck_contains(said, "\nsocket:[");
	ck_contains(strstr(said, "\nsocket:[") + 1, "\nsocket:[");
	ck_assert_int_eq(access("port", F_OK), 0);
}

#endif

int
main(int argc, char **argv)
{
	/* What the launcher's own tests run are programs of the system's C
	   library, as the launcher has to be. */
	int launched = getenv("LAUNCHER") != NULL &&
	    getenv("LIBRARY_ALONE") == NULL;
	const struct test tests[] = {
		ONCE(behind_fdproxy),
		ONCE(flags),
		ONCE(address),
		ONCE(address_of_ipv6),
		ONCE(address_of_unix),
		ONCE(probes),
		ONCE(resets),
		ONCE(edge_triggered),
		ONCE(no_client),
		ONCE(own),
		TIMES(late, 2),
		ONCE(silent),
		ONCE(credentials),
		ONCE(edited),
		ONCE(surplus),
		ONCE(no_descriptors),
		ONCE(names),
		ONCE(unix_addresses),
		ONCE(tcp_listener),
		TIMES(statuses, launched),
		TIMES(arguments, launched),
		TIMES(preload, launched),
		TIMES(library_path, launched),
#ifdef __linux__
		TIMES(refused, launched),
		TIMES(more_rights, launched),
		TIMES(port_errors, launched),
		TIMES(port_inherited, launched),
		TIMES(port_given, launched),
#endif
	};

	return runner_run(argc, argv, tests, COUNT(tests), begin, end);
}
