/* See LICENSE for copyright and license details. */

/*
 * fdexec: programs as backends, behind the real fdproxy or with the test itself
 * as the sender.  The environment's FDEXEC names it.
 */

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdpass.h"
#include "world.h"

#define SPARE	64		/* fdexec's slots beyond its children's */
#define ANSWER	150000		/* bytes */
#define WRITE	"head -c 150000 /dev/zero"
#define LINE	"GET /x?a=b HTTP/1.1\r\n"
#define HEAD	LINE "Host: x\r\n\r\n"

static char binary[4096];
static char buf[1024 * 1024];
static pid_t fdexec = -1;
static struct rlimit nofile;	/* what the next one starts with, if not 0 */
static int kept, kept_as;	/* left open for the next one, if not 0 */
static int copies;		/* and so many more */
static char path[128];		/* of its socket */

/* ---- fdexec ---- */

static void
become_fdexec(char **argv)
{
	int err = open("fdexec.err", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	int i;

	dup2(err, STDERR_FILENO);
	for (i = 3; i < 256; i++)
		if (i != kept)
			close(i);
	if (kept != 0 && kept != kept_as) {
		dup2(kept, kept_as);
		close(kept);
	}
	for (i = 0; i < copies; i++)
		dup(STDIN_FILENO);
	if (nofile.rlim_max != 0)
		setrlimit(RLIMIT_NOFILE, &nofile);
	/* None of these may reach a program. */
	setenv("HTTP_PROXY", "inherited", 1);
	setenv("REQUEST_METHOD", "inherited", 1);
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTEN_PID", "1", 1);
	setenv("LISTEN_FDNAMES", "x", 1);
	setenv("LISTEN_PIDFDID", "1", 1);
	setenv("NOTIFY_SOCKET", "/nowhere", 1);
	setenv("WATCHDOG_PID", "1", 1);
	setenv("WATCHDOG_USEC", "1", 1);
	execv(binary, argv);
	_exit(111);
}

/* Start it with a list of arguments, the last of them NULL. */
static void
start_with(char **argv)
{
	fflush(NULL);
	fdexec = fork();
	ck_assert_int_ne(fdexec, -1);
	if (fdexec == 0)
		become_fdexec(argv);
	nofile.rlim_max = 0;
	copies = kept = 0;
}

/* On a socket, with a shell script; fdproxy waits for it. */
static void
start(const char *name, const char *option, const char *script)
{
	const char *argv[8] = { "fdexec" };
	int n = 1;

	if (*option != '\0')
		argv[n++] = option;
	argv[n++] = name;
	argv[n++] = "sh";
	argv[n++] = "-c";
	argv[n] = script;
	start_with((char **)(size_t)argv);
}

static void
begin(void)
{
	const char *name = getenv("FDEXEC");

	ck_assert_ptr_nonnull(realpath(name == NULL ? "./fdexec" : name,
	    binary));
	nofile.rlim_max = 0;
	copies = kept = 0;
	strcpy(path, "s");
	world_begin();
}

/* Its end by itself, or after a signal: the exit status. */
static int
ended(void)
{
	long patient = now_ms() + WORLD_PATIENCE;
	int status;
	pid_t pid;

	while ((pid = waitpid(fdexec, &status, WNOHANG)) == 0) {
		ck_assert_msg(now_ms() < patient, "fdexec does not end: %s",
		    read_file("fdexec.err"));
		poll(NULL, 0, 2);
	}
	ck_assert_int_eq(pid, fdexec);
	fdexec = -1;
	ck_assert_msg(WIFEXITED(status), "fdexec ended with %x: %s", status,
	    read_file("fdexec.err"));
	return WEXITSTATUS(status);
}

/* It must end on SIGTERM, with status 0, and take its socket away. */
static void
end(void)
{
	int status = 0;
	bool left;

	if (fdexec != -1) {
		kill(fdexec, runner_at_end ? SIGTERM : SIGKILL);
		waitpid(fdexec, &status, 0);
		fdexec = -1;
	}
	left = access("s", F_OK) == 0;
	world_end();
	if (!runner_at_end)
		return;
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert(!left);
}

/* How many sockets it has open, its listener being one. */
static int
sockets(void)
{
	char name[64], link[64];
	struct dirent *entry;
	int n = 0;
	ssize_t len;
	DIR *d;

	snprintf(name, sizeof(name), "/proc/%d/fd", (int)fdexec);
	d = opendir(name);
	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d)) != NULL) {
		len = readlinkat(dirfd(d), entry->d_name, link, sizeof(link));
		n += len > 7 && memcmp(link, "socket:", 7) == 0;
	}
	closedir(d);
	return n;
}

static void
until_sockets(int n)
{
	long patient = now_ms() + WORLD_PATIENCE;

	while (sockets() != n) {
		ck_assert_msg(now_ms() < patient, "%d sockets, not %d: %s",
		    sockets(), n, read_file("fdexec.err"));
		poll(NULL, 0, 2);
	}
}

/* How many processes it has that have not been waited for. */
static int
children(void)
{
	char name[64], line[4096], *p;
	int fd, count = 0;
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/%d/task/%d/children", (int)fdexec,
	    (int)fdexec);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ne(fd, -1);
	n = read(fd, line, sizeof(line));
	close(fd);
	for (p = line; p < line + n; p++)
		count += *p == ' ';
	return count;
}

/* ---- the test as a sender ---- */

/* A connection: the client's end; what is to be given away in *server. */
static int
connection(int *server)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int size = 4096, client, room = 262144;
	socklen_t len = sizeof(addr);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, len), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&addr, &len),
	    0);
	client = client_port(ntohs(addr.sin_port));
	/* It takes little, and so ANSWER stays in the server's buffer. */
	setsockopt(client, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	*server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ne(*server, -1);
	setsockopt(*server, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	close(listener);
	return client;
}

/* As connection(), given away: the client's end; *sender stays open. */
static int
give_away(const char *data, size_t len, int *sender)
{
	int server, client = connection(&server);

	*sender = client_unix(path);
	ck_assert_int_eq(fdpass_send(*sender, server, data, len), len);
	close(server);
	return client;
}

/* The same, with a text behind the NUL byte, and the end of the message. */
static int
give_text(const char *text)
{
	int sender, client;

	snprintf(buf, sizeof(buf), "%c%s", '\0', text);
	client = give_away(buf, 1 + strlen(text), &sender);
	close(sender);
	return client;
}

static void
must_get(int client, const char *want)
{
	size_t len;

	ck_assert_msg(read_all(client, buf, sizeof(buf), &len) == END_FIN,
	    "a reset after \"%s\": %s", buf, read_file("fdexec.err"));
	ck_assert_msg(strcmp(buf, want) == 0, "\"%s\": %s", buf,
	    read_file("fdexec.err"));
	close(client);
}

static void
must_be_reset(int client)
{
	size_t len;

	ck_assert_msg(read_all(client, buf, sizeof(buf), &len) == END_RESET,
	    "an end: %s", read_file("fdexec.err"));
	ck_assert_uint_eq(len, 0);
	close(client);
}

static int
times(const char *text, const char *part)
{
	int n = 0;

	for (; (text = strstr(text, part)) != NULL; text += strlen(part))
		n++;
	return n;
}

/* Until a file of the test's has the text so often. */
static void
until_times(const char *name, const char *text, int n)
{
	long patient = now_ms() + WORLD_PATIENCE;

	while (times(read_file(name), text) < n) {
		ck_assert_msg(now_ms() < patient, "%s: %s; %s", name,
		    read_file(name), read_file("fdexec.err"));
		poll(NULL, 0, 2);
	}
}

/* A FIFO that programs wait for, and nobody finds closed. */
static int
fifo(const char *name)
{
	ck_assert_int_eq(mkfifo(name, 0600), 0);
	return open(name, O_RDWR | O_CLOEXEC);
}

/* ---- tests ---- */

TEST(ucspi)
{
	const char *answer;

	start("s", "", "echo \"$PROTO $TCPREMOTEIP $TCPLOCALIP $TCPLOCALPORT "
	    "${REQUEST_METHOD-none} ${HTTP_PROXY-none}\"");
	world_proxy("-r", "/app=s,wait=1min", NULL);
	answer = exchange("GET /app HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_int_eq(status_of(answer), 200);
	snprintf(buf, sizeof(buf), "\r\n\r\nTCP 127.0.0.1 127.0.0.1 %d none "
	    "none\n", world_port());
	ck_contains(answer, buf);
}

TEST(cgi)
{
	start("s", "", "echo \"$REQUEST_METHOD $REQUEST_URI $SERVER_PROTOCOL "
	    "$QUERY_STRING $HTTP_HOST $HTTP_A_B ${HTTP_PROXY-none} "
	    "${HTTP_C_D-none} $CONTENT_LENGTH $(head -c 4)\"");
	world_proxy("-r", "/app=s,wait=1min,payload=head", NULL);
	ck_contains(exchange("POST /app/x?y=z HTTP/1.1\r\nHost: h\r\n"
	    "A-b: 1\r\na-B: 2\r\nProxy: evil\r\nC_D: evil\r\n"
	    "Content-Length: 4\r\n\r\nbody"), "\r\n\r\nPOST /app/x?y=z "
	    "HTTP/1.1 y=z h 1, 2 none none 4 body\n");
}

/* Linux's names without a file. */
TEST(abstract_name)
{
	char name[96], route[128];

	snprintf(name, sizeof(name), "@%s/s", world_dir());
	snprintf(route, sizeof(route), "/app=%s,wait=1min", name);
	start(name, "", "echo answer");
	world_proxy("-r", route, NULL);
	ck_contains(exchange("GET /app HTTP/1.1\r\nHost: x\r\n\r\n"),
	    "\r\n\r\nanswer\n");
}

/*
 * Its end: who is in the queue is served, but nobody new gets in, although the
 * name is there as long as the socket.
 */
TEST(abstract_end)
{
	static const char get[] = "GET /app HTTP/1.1\r\nHost: x\r\n\r\n";
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char name[96], route[128];
	int client[2], go, fd, i, status;
	long patient;
	socklen_t size;
	size_t len;

	snprintf(name, sizeof(name), "@%s/s", world_dir());
	snprintf(route, sizeof(route), "/app=%s,wait=1min", name);
	size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
	    strlen(name));
	memcpy(addr.sun_path + 1, name + 1, strlen(name) - 1);
	ck_assert_int_eq(mkfifo("go", 0600), 0);
	go = open("go", O_RDWR | O_CLOEXEC);
	start(name, "-c1", "echo begun >>begun; read -r x <go; echo answer");
	world_proxy("-r", route, NULL);
	client[0] = client_open();
	send_text(client[0], get);
	until_file("begun", "begun\n");
	/* Its head comes when its connection is in the queue. */
	client[1] = client_open();
	send_text(client[1], get);
	ck_assert(readable(client[1], WORLD_PATIENCE));
	ck_assert_int_eq(kill(fdexec, SIGTERM), 0);
	patient = now_ms() + WORLD_PATIENCE;
	do {
		ck_assert_int_lt(now_ms(), patient);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
		    SOCK_CLOEXEC, 0);
		status = connect(fd, (struct sockaddr *)&addr, size);
		close(fd);
	} while (status == 0 || errno != ECONNREFUSED);
	ck_assert_int_eq(write(go, "\n\n", 2), 2);
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(read_all(client[i], buf, sizeof(buf), &len),
		    END_FIN);
		ck_contains(buf, "\r\n\r\nanswer\n");
	}
	close(go);
	ck_assert_int_eq(waitpid(fdexec, &status, 0), fdexec);
	fdexec = -1;
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A script that ignores a body does not reset its own answer. */
TEST(ignored_body)
{
	static char body[512 * 1024];
	int client, i;
	size_t len;

	start("s", "", "echo answer");
	world_proxy("-r", "/app=s,wait=1min", NULL);
	for (i = 0; i < 10; i++) {
		client = client_open();
		send_text(client, "POST /app HTTP/1.1\r\nHost: x\r\n"
		    "Content-Length: 524288\r\n\r\n");
		send_bytes(client, body, sizeof(body));
		shutdown(client, SHUT_WR);
		ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len),
		    END_FIN);
		ck_contains(buf, "\r\n\r\nanswer\n");
		close(client);
	}
}

/* More clients than children: they wait, all are served. */
TEST(children_are_limited)
{
	enum { N = 30 };
	int client[N], i;
	size_t len;

	start("s", "-c2", "echo $$");
	world_proxy("-r", "/app=s,wait=1min", NULL);
	for (i = 0; i < N; i++) {
		client[i] = client_open();
		send_text(client[i], "GET /app HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	for (i = 0; i < N; i++) {
		ck_assert_int_eq(read_all(client[i], buf, sizeof(buf), &len),
		    END_FIN);
		ck_assert_int_eq(status_of(buf), 200);
	}
}

/* Whoever connects and says nothing, or leaves, is a probe. */
TEST(probes)
{
	int silent, i;

	start("s", "", "echo served");
	world_proxy("-r", "/app=s,wait=1min", NULL);
	ck_contains(exchange("GET /app HTTP/1.0\r\n\r\n"), "served");
	silent = client_unix("s");
	for (i = 0; i < 20; i++)
		close(client_unix("s"));
	ck_contains(exchange("GET /app HTTP/1.0\r\n\r\n"), "served");
	close(silent);
}

/* A program that cannot be run: the client never sees an empty 200. */
TEST(no_program)
{
	int client;
	size_t len;

	start("s", "", "exec /nowhere/program");
	world_proxy("-r", "/app=s,wait=1min,flusher=none", NULL);
	client = client_open();
	send_text(client, "GET /app HTTP/1.0\r\n\r\n");
	read_all(client, buf, sizeof(buf), &len);
	ck_assert_uint_eq(len, 0);
}

/* ---- what a sender sends ---- */

/* A name's values are one list. */
TEST(fields_are_joined)
{
	start("s", "", "echo \"$HTTP_COOKIE|$HTTP_X|$HTTP_HOST|$CONTENT_TYPE|"
	    "$QUERY_STRING|$REQUEST_URI\"");
	must_get(give_text("GET /y HTTP/1.0\r\nCookie: a=1\r\ncookie: b=2\r\n"
	    "X: 1\r\nContent-Type: t\r\nx: 2\r\nCookie: c=3\r\nHost: h\r\n"
	    "X: 3\r\n\r\n"), "a=1; b=2; c=3|1, 2, 3|h|t||/y\n");
}

static const char *const inherited[] = { "HTTP_", "REQUEST_METHOD", "LISTEN_",
    "NOTIFY_SOCKET", "WATCHDOG_" };

TEST(environment_is_clean)
{
	char script[128];

	snprintf(script, sizeof(script), "env | grep -c ^%s", inherited[_i]);
	start("s", "", script);
	must_get(give_text(""), "0\n");
}

/* Its descriptors, and a client that blocks. */
TEST(program_starts_clean)
{
	int server, client = connection(&server), sender;

	start("s", "", "ls /proc/self/fd | grep -c . ; "
	    "grep flags: /proc/self/fdinfo/0");
	sender = client_unix("s");
	ck_assert_int_eq(fcntl(server, F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(fdpass_send(sender, server, "", 1), 1);
	close(server);
	close(sender);
	/* 0 to 2, and the folder that is read. */
	must_get(client, "4\nflags:\t02\n");
}

/* Not through a shell, which may set them as well. */
TEST(signals_are_default)
{
	/* Those above 31 are the C library's own, or its starter's. */
	const char *argv[] = { "fdexec", "s", "sed", "-n",
	    "/^Sig[BI]/s/.*:\t........//p", "/proc/self/status", NULL };
	unsigned int blocked, ignored;
	int client;
	size_t len;

	start_with((char **)(size_t)argv);
	client = give_text("");
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_int_eq(sscanf(buf, "%x\n%x\n", &blocked, &ignored), 2);
	ck_assert_uint_eq((blocked | ignored) & 0x7fffffff, 0);
}

#define ADDRESSES	"echo \"$PROTO $TCPLOCALIP $TCPLOCALPORT "	\
	    "$TCPREMOTEIP $TCPREMOTEPORT\""

static const struct {
	int family;
	const char *bound, *local, *remote, *text;
} addresses[] = {
	{ AF_INET, "127.0.0.1", "127.0.0.2", "127.0.0.3",
	    "TCP 127.0.0.2 %d 127.0.0.3 %d\n" },
	{ AF_INET6, "::1", "::1", "::1", "TCP ::1 %d ::1 %d\n" },
	{ AF_INET6, "::", "::ffff:127.0.0.2", "::ffff:127.0.0.3",
	    "TCP 127.0.0.2 %d 127.0.0.3 %d\n" }
};

static void
address(struct sock_addr *a, const char *host, unsigned int number)
{
	memset(a, 0, sizeof(*a));
	a->u.sa.sa_family = *host == ':' ? AF_INET6 : AF_INET;
	ck_assert_int_eq(inet_pton(a->u.sa.sa_family, host,
	    a->u.sa.sa_family == AF_INET ? (void *)&a->u.in.sin_addr :
	    (void *)&a->u.in6.sin6_addr), 1);
	sock_set_port(a, number);
}

/* Which side is which; IPv4 stays IPv4. */
TEST(addresses_are_told)
{
	struct sock_addr a;
	int listener, client, server, sender, number;
	char want[128];

	start("s", "", ADDRESSES);
	listener = socket(addresses[_i].family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address(&a, addresses[_i].family == AF_INET ? "0.0.0.0" :
	    addresses[_i].bound, 0);
	ck_assert_int_eq(bind(listener, &a.u.sa, sizeof(a.u)), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(sock_name(listener, &a), 0);
	number = (int)sock_port(&a);
	client = socket(addresses[_i].family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address(&a, addresses[_i].remote, 0);
	ck_assert_int_eq(bind(client, &a.u.sa, sizeof(a.u)), 0);
	address(&a, addresses[_i].local, (unsigned int)number);
	ck_assert_int_eq(connect(client, &a.u.sa, sizeof(a.u)), 0);
	ck_assert_int_eq(sock_name(client, &a), 0);
	snprintf(want, sizeof(want), addresses[_i].text, number,
	    (int)sock_port(&a));
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	sender = client_unix("s");
	ck_assert_int_eq(fdpass_send(sender, server, "", 1), 1);
	close(server);
	close(sender);
	close(listener);
	must_get(client, want);
}

TEST(local_client)
{
	int pair[2], sender;

	start("s", "", ADDRESSES);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    pair), 0);
	sender = client_unix("s");
	ck_assert_int_eq(fdpass_send(sender, pair[0], "", 1), 1);
	close(pair[0]);
	close(sender);
	must_get(pair[1], "UNIX    \n");
}

/* Piece by piece, the first of them alone with the descriptor. */
TEST(head_in_pieces)
{
	const char *p = HEAD;
	int sender, client;
	long begun;

	start("s", "", "echo \"$REQUEST_URI $HTTP_HOST\"");
	/* Once more, if it has been taken for certain that none follows. */
	do {
		begun = now_ms();
		client = give_away("", 1, &sender);
		send_bytes(sender, p, 1);
	} while (now_ms() - begun >= 1000);
	for (p++; *p != '\0'; p++) {
		ck_assert(!readable(client, 1));
		send_bytes(sender, p, 1);
	}
	must_get(client, "/x?a=b x\n");
}

/* That none follows is taken for certain after a time. */
TEST(no_head_and_no_end)
{
	int sender, client;

	start("s", "", "echo \"${REQUEST_URI-none}\"");
	client = give_away("", 1, &sender);
	must_get(client, "none\n");
	/* Its connection is closed then. */
	ck_assert(readable(sender, WORLD_PATIENCE));
	close(sender);
}

static const struct {
	const char *text;
	bool split;		/* its last byte comes by itself */
	bool closes;		/* its sender, behind it */
	const char *message;
} bad_heads[] = {
	{ LINE, true, true, "a head was cut short after 21 bytes" },
	{ LINE, false, false, "a head was cut short after 21 bytes" },
	{ "G", false, true, "a head was cut short after 1 bytes" },
	{ HEAD "x", false, true, "not the head of a request" },
	{ HEAD HEAD, false, false, "not the head of a request" },
	{ "hello\r\n\r\n", true, false, "not the head of a request" },
	{ "GET / HTTP/1.1\r\n\r\n", true, false, "not the head of a request" }
};

/* No program runs without the variables that it may rely on. */
TEST(bad_head)
{
	size_t len = 1 + strlen(bad_heads[_i].text);
	int sender, client;

	start("s", "", ">ran; echo ran");
	snprintf(buf, sizeof(buf), "%c%s", '\0', bad_heads[_i].text);
	client = give_away(buf, len - bad_heads[_i].split, &sender);
	if (bad_heads[_i].split)
		send(sender, bad_heads[_i].text + len - 2, 1, MSG_NOSIGNAL);
	if (bad_heads[_i].closes)
		close(sender);
	must_be_reset(client);
	ck_assert_int_eq(access("ran", F_OK), -1);
	until_file("fdexec.err", bad_heads[_i].message);
}

/* Also if it is still coming when its time is over, or never ends. */
TEST(endless_head)
{
	int sender, client;
	ssize_t n = 1;

	start("s", "", "echo ran");
	client = give_away("\0" LINE "X: ", sizeof(LINE "X: "), &sender);
	while (n > 0) {
		n = send(sender, "yyyyyyyyyyyyyyyyy", _i == 0 ? 1 : 17,
		    MSG_NOSIGNAL);
		if (_i == 0)
			poll(NULL, 0, 1);
	}
	must_be_reset(client);
	ck_contains(read_file("fdexec.err"), _i == 0 ? "cut short" :
	    "not the head");
}

/* The longest, which is more than a message holds at once, is one. */
TEST(long_head)
{
	static char head[65535 + 1] = "\0GET / HTTP/1.1\r\nHost: x\r\nX: ";
	size_t at = 1 + strlen(head + 1);
	int sender, client;
	char want[32];

	memset(head + at, 'y', sizeof(head) - at);
	memcpy(head + sizeof(head) - 4, "\r\n\r\n", 4);
	start("s", "", "echo ${#HTTP_X} $HTTP_HOST");
	client = give_away(head, 10, &sender);
	send_bytes(sender, head + 10, sizeof(head) - 10);
	snprintf(want, sizeof(want), "%zu x\n", sizeof(head) - at - 4);
	must_get(client, want);
}

TEST(silent_sender)
{
	size_t len;
	int sender;

	start("s", "", "echo served");
	sender = client_unix("s");
	ck_assert_int_eq(read_all(sender, buf, sizeof(buf), &len), END_FIN);
	must_get(give_text(""), "served\n");
}

/* What is no client is put away, and told. */
TEST(no_client)
{
	size_t len;
	int sender, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	start("s", "", "echo ran");
	sender = client_unix("s");
	if (_i == 0)
		send_bytes(sender, "", 1);
	else
		ck_assert_int_eq(fdpass_send(sender, null, "\0" HEAD,
		    sizeof(HEAD)), sizeof(HEAD));
	read_all(sender, buf, sizeof(buf), &len);
	until_file("fdexec.err", _i == 0 ? "without a descriptor" :
	    "a descriptor came that is no socket");
	close(null);
}

/* The first of several is the client; the others are closed. */
TEST(several_descriptors)
{
	int server[2], client[2], sender;
	size_t len;

	start("s", "", "echo answer");
	sender = client_unix("s");
	client[0] = connection(&server[0]);
	client[1] = connection(&server[1]);
	ck_assert_int_eq(fdpass_send_fds(sender, server, 2, "", 1), 1);
	close_all(server, 2);
	close(sender);
	ck_assert_int_eq(read_all(client[1], buf, sizeof(buf), &len), END_FIN);
	ck_assert_uint_eq(len, 0);
	must_get(client[0], "answer\n");
	until_sockets(1);
}

/* ---- who is in whose way ---- */

/* Heads that do not end cost no process, and no program its turn. */
TEST(half_heads_wait_aside)
{
	enum { N = 10 };
	int client[N], sender[N], i;

	start("s", "-c2", "echo \"$REQUEST_METHOD\"");
	for (i = 0; i < N; i++)
		client[i] = give_away("\0" LINE, sizeof(LINE), &sender[i]);
	until_sockets(1 + 2 * N);
	ck_assert_int_eq(children(), 0);
	must_get(give_text(HEAD), "GET\n");
	for (i = 0; i < N; i++)
		close(sender[i]);
	for (i = 0; i < N; i++)
		must_be_reset(client[i]);
}

/* Send a byte; *gap: the longest time since we have done so before. */
static bool
keep_alive(int client, long *last, long *gap)
{
	long since = now_ms() - *last;

	*gap = since > *gap ? since : *gap;
	*last += since;
	return send(client, "x", 1, MSG_NOSIGNAL) == 1;
}

/*
 * The oldest is pushed out, and its client sees that.  A client that is being
 * closed has nothing to do with it; unless we let it be silent for a second.
 */
TEST(half_heads_make_room)
{
	enum { N = SPARE + 10, BUSY = 8 };
	int client[N], busy[BUSY], sender, i;
	long last = 0, gap = 0;
	bool alive = true;
	size_t len;

	start("s", _i == 0 ? "" : "-c1", "echo answer");
	for (i = 0; i < BUSY; i++) {
		busy[i] = give_text("");
		ck_assert_int_eq(read_all(busy[i], buf, sizeof(buf), &len),
		    END_FIN);
		last = now_ms();
	}
	for (i = 0; i < N; i++) {
		client[i] = give_away("\0" LINE, sizeof(LINE), &sender);
		alive = keep_alive(busy[0], &last, &gap) && alive;
	}
	must_be_reset(client[0]);
	until_file("fdexec.err", "too many heads");
	must_get(give_text(HEAD), "answer\n");
	/* What answers the first is seen by the second. */
	for (i = 0; i < 2; i++)
		alive = keep_alive(busy[0], &last, &gap) && alive;
	ck_assert(alive || gap >= 1000);
}

/* Clients that do not close push out one another, and no sender. */
TEST(clients_make_room)
{
	enum { N = SPARE + 10 };
	int client[N], sender, i;
	size_t len;

	start("s", "-c1", "echo answer");
	give_away("\0" LINE, sizeof(LINE), &sender);
	for (i = 0; i < N; i++) {
		client[i] = give_text(HEAD);
		ck_assert_int_eq(read_all(client[i], buf, sizeof(buf), &len),
		    END_FIN);
		ck_assert_str_eq(buf, "answer\n");
		ck_assert_int_le(sockets(), 1 + SPARE + 2);
	}
	ck_assert_int_eq(times(read_file("fdexec.err"), "too many"), 0);
}

enum { CLIENTS, SURPLUS, LATER, QUEUED };

/* Full of what its other side does not read, and closed by nobody else. */
static int
slow_to_close(int *client)
{
	struct linger option = { 1, 60 };
	static char body[ANSWER];
	int server;

	*client = connection(&server);
	send_bytes(server, body, sizeof(body));
	ck_assert_int_eq(setsockopt(server, SOL_SOCKET, SO_LINGER, &option,
	    sizeof(option)), 0);
	return server;
}

/* SO_LINGER makes nobody wait, whoever has set it. */
TEST(linger_with_a_time)
{
	int first, slow, served, fds[2], sender, go = fifo("go");

	start("s", "-c1", "echo run >>log; read -r x <go; echo answer");
	first = give_text("");
	until_times("log", "run", 1);
	/* All is sent before fdexec looks at any of it. */
	sender = client_unix("s");
	fds[1] = slow_to_close(&slow);
	served = connection(&fds[0]);
	if (_i == CLIENTS) {
		ck_assert_int_eq(fdpass_send(sender, fds[1], "", 1), 1);
		/* Its end is soon, in both directions. */
		shutdown(slow, SHUT_WR);
	} else if (_i == SURPLUS) {
		ck_assert_int_eq(fdpass_send_fds(sender, fds, 2, "", 1), 1);
	} else {
		ck_assert_int_eq(fdpass_send(sender, fds[0], "\0" HEAD, _i ==
		    LATER ? 10 : sizeof(HEAD)), _i == LATER ? 10 :
		    sizeof(HEAD));
		ck_assert_int_eq(fdpass_send(sender, fds[1], &HEAD[9],
		    sizeof(HEAD) - 10), sizeof(HEAD) - 10);
	}
	close_all(fds, 2);
	close(sender);
	ck_assert_int_eq(write(go, "\n\n\n\n", 4), 4);
	must_get(first, "answer\n");
	if (_i != CLIENTS)
		must_get(served, "answer\n");
	must_get(give_text(""), "answer\n");
	must_get(give_text(""), "answer\n");
	close(go);
}

/* The option with no time is the wish for a reset. */
TEST(linger_without_time)
{
	struct linger option = { 1, 0 };
	int server, client = connection(&server), sender;
	char byte[2];

	start("s", "", "echo; read x; exit 0");
	ck_assert_int_eq(setsockopt(server, SOL_SOCKET, SO_LINGER, &option,
	    sizeof(option)), 0);
	sender = client_unix("s");
	ck_assert_int_eq(fdpass_send(sender, server, "", 1), 1);
	close(sender);
	read_exact(client, byte, 1);
	/* As if the program had set it. */
	if (_i == 1)
		ck_assert_int_eq(setsockopt(server, SOL_SOCKET, SO_LINGER,
		    &option, sizeof(option)), 0);
	close(server);
	send_text(client, "\n");
	if (_i == 1)
		must_be_reset(client);
	else
		ck_assert_int_eq(read(client, byte, 1), 0);
}

/*
 * The answer is larger than what the client takes, and there is a body that
 * nobody has read: it is all there, also when fdexec has closed.
 */
TEST(unread_body)
{
	static char body[32768];
	int client, other, sender;
	size_t len;

	start("s", "-c1", WRITE);
	client = give_away("\0" LINE, sizeof(LINE), &sender);
	send_bytes(client, body, sizeof(body));
	send_text(sender, "Host: x\r\n\r\n");
	close(sender);
	/* The program has ended when another's turn has come. */
	other = give_text("");
	read_all(other, buf, sizeof(buf), &len);
	close(other);
	if (_i == 1)
		until_sockets(1);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_assert_uint_eq(len, ANSWER);
}

/* No more than -c at a time. */
TEST(children_at_a_time)
{
	enum { N = 6 };
	int client[N], i, go = fifo("go"), running = 0;
	const char *p;

	start("s", "-c2", "echo + >>log; read -r x <go; echo - >>log; echo ok");
	for (i = 0; i < N; i++)
		client[i] = give_text("");
	for (i = 0; i < N; i++) {
		until_times("log", "+", i + 2 < N ? i + 2 : N);
		ck_assert_int_eq(write(go, "\n", 1), 1);
		until_times("log", "-", i + 1);
	}
	for (p = read_file("log"); *p != '\0'; p++) {
		running += *p == '+' ? 1 : *p == '-' ? -1 : 0;
		ck_assert_int_le(running, 2);
	}
	for (i = 0; i < N; i++)
		must_get(client[i], "ok\n");
	close(go);
}

static void
stand_still(void)
{
	kill(fdexec, SIGSTOP);
	ck_assert_int_eq(waitpid(fdexec, NULL, WUNTRACED), fdexec);
}

/* Who was silent until then has to wait for a turn, also at the same time. */
TEST(full_for_all)
{
	enum { N = 4 };
	int server, client[N], sender[N], i, go = fifo("go");

	start("s", "-c1", "echo run >>log; read -r x <go; echo ok");
	for (i = 0; i < N; i++)
		sender[i] = client_unix("s");
	until_sockets(1 + N);
	stand_still();
	for (i = 0; i < N; i++) {
		client[i] = connection(&server);
		ck_assert_int_eq(fdpass_send(sender[i], server, "", 1), 1);
		close(server);
		close(sender[i]);
	}
	kill(fdexec, SIGCONT);
	until_times("log", "run", 1);
	ck_assert(!readable(client[N - 1], 100));
	ck_assert_int_eq(times(read_file("log"), "run"), 1);
	ck_assert_int_eq(write(go, "\n\n\n\n", N), N);
	for (i = 0; i < N; i++)
		must_get(client[i], "ok\n");
	close(go);
}

/* As many as -b says wait to be accepted, or one more. */
TEST(backlog)
{
	const char *argv[] = { "fdexec", "-b", "3", "-c", "1", "s", "sh", "-c",
	    "echo run >>log; read -r x <go", NULL };
	struct sock_addr addr;
	int client, fd[16], n = 0, go = fifo("go");

	ck_assert(sock_unix(&addr, "s", 1));
	start_with((char **)(size_t)argv);
	client = give_text("");
	until_times("log", "run", 1);
	while (n < 16 && (fd[n] = sock_connect(&addr)) != -1)
		n++;
	ck_assert_int_ge(n, 3);
	ck_assert_int_le(n, 4);
	close_all(fd, n);
	ck_assert_int_eq(write(go, "\n", 1), 1);
	must_get(client, "");
	close(go);
}

/* Who still sends is not closed for silence; unless we were silent. */
TEST(busy_client)
{
	long begun, last, gap;
	bool alive = true;
	int client;
	size_t len;

	start("s", "", "echo answer");
	do {
		client = give_text("");
		ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len),
		    END_FIN);
		last = begun = now_ms();
		gap = 0;
		do {
			alive = keep_alive(client, &last, &gap);
			poll(NULL, 0, 20);
		} while (alive && last < begun + 3000);
		close(client);
	} while (!alive && gap >= 1000);
	ck_assert(alive);
}

/* A program has its own client, and no other's. */
TEST(programs_are_apart)
{
	int waits, client[2], sender, i, go = fifo("go"), status;
	size_t len;

	start("s", "", "echo run >>log; read -r x <go");
	waits = give_away("\0" LINE, sizeof(LINE), &sender);
	until_sockets(3);
	for (i = 0; i < 2; i++) {
		client[i] = give_text("");
		until_times("log", "run", i + 1);
	}
	/* Now nobody has a client but the program that it is for. */
	kill(fdexec, SIGKILL);
	waitpid(fdexec, &status, 0);
	fdexec = -1;
	unlink("s");
	read_all(waits, buf, sizeof(buf), &len);
	ck_assert_int_eq(write(go, "\n", 1), 1);
	while (!readable(client[0], 0) && !readable(client[1], 0))
		poll(NULL, 0, 2);
	i = readable(client[0], 0) ? 0 : 1;
	ck_assert(!readable(client[1 - i], 0));
	must_get(client[i], "");
	ck_assert_int_eq(write(go, "\n", 1), 1);
	must_get(client[1 - i], "");
	close(go);
}

/* ---- messages ---- */

/* Who sends nonsense does not fill a disk; what is left out is counted. */
TEST(messages_are_few)
{
	long begun = now_ms();
	int sent = 0, told, lines, n, sender;
	const char *text;
	size_t len;

	start("s", "", "exit 0");
	do {
		ck_assert_int_lt(now_ms(), begun + WORLD_PATIENCE);
		sender = client_unix("s");
		send_bytes(sender, "x", 1);
		read_all(sender, buf, sizeof(buf), &len);
		close(sender);
		sent++;
		text = read_file("fdexec.err");
		told = lines = times(text, "without a descriptor");
	} while (times(text, "(and ") < 2);
	ck_assert_int_le(lines, 2 + (now_ms() - begun) / 1000);
	while ((text = strstr(text, "(and ")) != NULL) {
		ck_assert_int_eq(sscanf(text, "(and %d like it before)", &n),
		    1);
		told += n;
		text++;
	}
	ck_assert_int_eq(told, sent);
}

/* ---- its start ---- */

static const struct {
	const char *arg[3];
	int status;
	const char *message;
} refused[] = {
	{ { "-m600", "@x" }, 2, "-m and -o are for a file, and @x has none" },
	{ { "-oroot", "@x" }, 2, "-g, -m and -o are for a file" },
	{ { "-g0", "@x" }, 2, "-g, -m and -o are for a file" },
	{ { "-m600", "fd:9" }, 2, "are for a file, and fd:9 has none" },
	{ { "-ono-such-user", "s" }, 2, "unknown user no-such-user" },
	{ { "-gno-such-group", "s" }, 2, "unknown group no-such-group" },
	{ { "-m678", "s" }, 2, "not an octal number from 0 to 777: \"678\"" },
	{ { "-c0", "s" }, 2, "not a number from 1 to 10000" },
	{ { "-b65536", "s" }, 2, "not a number from 1 to 65535" },
	{ { "-x", "s" }, 2, "usage: fdexec" },
	{ { "-c1", "" }, 2, "the path of the socket is empty" },
	{ { "-c1", "fd:" }, 2, "not the number of a descriptor: \"fd:\"" },
	{ { "-c1", "fd:x" }, 2, "not the number of a descriptor" },
	{ { "-c1", "fd:99" }, 1, "cannot listen on descriptor 99: Bad file" },
	{ { "-c1", "fd:2" }, 1, "2: it is no listening unix stream socket" },
	{ { "-c1", "s", "no/such" }, 127, "no/such: No such file" },
	{ { "-c1", "s", "no-such" }, 127, "no-such: No such file" },
	{ { "-c1", "s", "./plain" }, 126, "./plain: Permission denied" },
	{ { "-c1", "s", "/" }, 126, "/: Permission denied" },
	{ { "-c1", "s", "plain/x" }, 127, "plain/x: Not a directory" },
	{ { "-c1", "no/s" }, 1, "cannot listen on no/s: No such file" }
};

/* Nothing is bound then. */
TEST(start_is_refused)
{
	const char *const *arg = refused[_i].arg;
	const char *argv[] = { "fdexec", arg[0], arg[1], arg[2] != NULL ?
	    arg[2] : "cat", NULL };

	write_file("plain", "#!/bin/sh\n");
	start_with((char **)(size_t)argv);
	ck_assert_int_eq(ended(), refused[_i].status);
	ck_contains(read_file("fdexec.err"), refused[_i].message);
	ck_assert_int_eq(access("s", F_OK), -1);
}

/* A socket file is its owner's before anybody is served. */
TEST(owner_of_the_file)
{
	bool root = geteuid() == 0;
	uid_t uid = root ? 12345 : geteuid();
	gid_t gid = root ? 23456 : getegid();
	char owner[32], group[32];
	const char *argv[] = { "fdexec", owner, group, "-m", "620", "s", "echo",
	    "answer", NULL };
	struct stat st;

	snprintf(owner, sizeof(owner), "-o%u", (unsigned int)uid);
	snprintf(group, sizeof(group), "-g%u", (unsigned int)gid);
	start_with((char **)(size_t)argv);
	must_get(give_text(""), "answer\n");
	ck_assert_int_eq(lstat("s", &st), 0);
	ck_assert_uint_eq(st.st_uid, uid);
	ck_assert_uint_eq(st.st_gid, gid);
	ck_assert_uint_eq(st.st_mode & 0777, 0620);
}

/* More children than the soft limit has room for; it is the program's again. */
TEST(limit_is_raised)
{
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &nofile), 0);
	ck_assert_int_ge(nofile.rlim_max, 1200);
	nofile.rlim_cur = 1024;
	start("s", "-c1000", "ulimit -Sn");
	must_get(give_text(""), "1024\n");
}

/* It starts with what it needs, and no less; with that, nobody is lost. */
TEST(limit_is_enough)
{
	enum { N = SPARE, INHERITED = 60 };
	int client[N], sender, i, need = 0;
	const char *text;

	for (i = 0; i < 3; i++) {
		nofile.rlim_cur = nofile.rlim_max = i == 0 ? 120 :
		    (rlim_t)(need - 2 + i);
		copies = INHERITED;
		start("s", "", "echo answer");
		if (i == 2)
			break;
		ck_assert_int_eq(ended(), 1);
		ck_assert_int_eq(access("s", F_OK), -1);
		text = strstr(read_file("fdexec.err"), "40 children need ");
		ck_assert_ptr_nonnull(text);
		ck_assert_int_eq(sscanf(text, "40 children need %d", &need), 1);
		ck_assert_int_gt(need, 120);
	}
	/* Each of these waits for its sender's end, with two descriptors. */
	for (i = 0; i < N; i++)
		client[i] = give_away("", 1, &sender);
	for (i = 0; i < N; i++)
		must_get(client[i], "answer\n");
	ck_assert_str_eq(read_file("fdexec.err"), "");
}

/* A program that has vanished: its client never sees an empty answer. */
TEST(vanished_program)
{
	const char *argv[] = { "fdexec", "s", "./program", NULL };

	write_file("program", "#!/bin/sh\necho answer\n");
	ck_assert_int_eq(chmod("program", 0755), 0);
	start_with((char **)(size_t)argv);
	must_get(give_text(""), "answer\n");
	ck_assert_int_eq(unlink("program"), 0);
	must_be_reset(give_text(""));
	until_file("fdexec.err", "./program: No such file or directory");
}

TEST(killed_program)
{
	start("s", "", _i == 0 ? "kill -9 $$" : "kill -PIPE $$");
	must_get(give_text(""), "");
	must_get(give_text(""), "");
	if (_i == 0)
		until_file("fdexec.err", "] ended by signal 9");
	else
		ck_assert_str_eq(read_file("fdexec.err"), "");
}

/* ---- sockets from its starter ---- */

static const struct {
	int number;
	bool abstract;
} kinds[] = { { 3, false }, { 0, false }, { 4, true } };

/* Served like its own; not its to remove, or to end for others. */
TEST(inherited_socket)
{
	int listener, client[3], i, go = fifo("go");
	struct sock_addr addr;
	char number[] = "fd:0";

	if (kinds[_i].abstract)
		snprintf(path, sizeof(path), "@%s/s", world_dir());
	ck_assert(sock_unix(&addr, path, strlen(path)));
	listener = sock_listen(&addr, 16, false, -1);
	ck_assert_int_ne(listener, -1);
	kept = listener;
	kept_as = kinds[_i].number;
	number[3] = (char)('0' + kept_as);
	start(number, "-c1", "echo run >>log; read -r x <go; echo answer");
	for (i = 0; i < 2; i++)
		client[i] = give_text("");
	until_times("log", "run", 1);
	/* One is served at its end still: it is in the queue. */
	kill(fdexec, SIGTERM);
	ck_assert_int_eq(write(go, "\n\n", 2), 2);
	for (i = 0; i < 2; i++)
		must_get(client[i], "answer\n");
	ck_assert_int_eq(ended(), 0);
	/* Another's turn, of the same queue. */
	client[2] = give_text("");
	kept = listener;
	kept_as = 3;
	start("fd:3", "", "echo again");
	must_get(client[2], "again\n");
	kill(fdexec, SIGTERM);
	ck_assert_int_eq(ended(), 0);
	close(client_unix(path));
	close(listener);
	unlink("s");
	close(go);
}

/* Neither another family nor another type is one. */
TEST(inherited_other)
{
	int fd = socket(_i == 0 ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC,
	    0);

	ck_assert_int_ne(fd, -1);
	if (_i == 0)
		ck_assert_int_eq(listen(fd, 1), 0);
	kept = fd;
	kept_as = 3;
	start("fd:3", "", "exit 0");
	ck_assert_int_eq(ended(), 1);
	ck_contains(read_file("fdexec.err"), "cannot listen on descriptor 3: "
	    "it is no listening unix stream socket");
	close(fd);
}

/* One that its other owner has shut down is looked at now and then. */
TEST(inherited_shut_down)
{
	int fd = backend_listen("l", 4);

	kept = fd;
	kept_as = 3;
	start("fd:3", "", "echo answer");
	ck_assert_int_eq(shutdown(fd, SHUT_RD), 0);
	until_file("fdexec.err", "cannot accept: ");
	ck_assert_int_eq(kill(fdexec, SIGTERM), 0);
	ck_assert_int_eq(ended(), 0);
}

/* As fdproxy's command, on the socket that it leaves. */
TEST(child_of_fdproxy)
{
	world_launch("-r", "/=:child,payload=head", binary, "fd:3", "sh", "-c",
	    "echo \"$REQUEST_URI\"; env | grep ^LISTEN_", NULL);
	world_announced();
	ck_contains(exchange("GET /app HTTP/1.1\r\nHost: x\r\n\r\n"),
	    "\r\n\r\n/app\n");
	ck_assert_ptr_null(strstr(exchange(HEAD), "LISTEN_"));
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
}

/* ---- its end ---- */

/* The first signal waits for all, the second for nobody. */
TEST(second_signal)
{
	int client, waits, sender, go = fifo("go");

	start("s", "", "trap '' TERM; echo run >>log; read -r x <go; echo ok");
	client = give_text("");
	waits = give_away("\0" LINE, sizeof(LINE), &sender);
	until_times("log", "run", 1);
	until_sockets(4);
	kill(fdexec, SIGTERM);
	until_file("fdexec.err", "stopping; 1 programs run");
	ck_assert_int_eq(access("s", F_OK), -1);
	if (_i == 0) {
		send_text(sender, "Host: x\r\n\r\n");
		until_times("log", "run", 2);
		ck_assert_int_eq(write(go, "\n\n", 2), 2);
		must_get(waits, "ok\n");
		close(sender);
		must_get(client, "ok\n");
	} else {
		kill(fdexec, SIGTERM);
		must_be_reset(waits);
	}
	ck_assert_int_eq(ended(), 0);
	if (_i == 1) {
		ck_assert(!readable(client, 0));
		ck_assert_int_eq(write(go, "\n", 1), 1);
		must_get(client, "ok\n");
	}
	close(go);
}

/* ---- load ---- */

/* Whatever it sends, over a connection of its own, nobody else is to notice. */
static void
be_hostile(int i)
{
	int sender = client_unix("s"), slow, fd;

	switch (i % 5) {
	case 0:			/* no descriptor */
		send(sender, "x", 1, MSG_NOSIGNAL);
		break;
	case 1:			/* a half head, and no end */
		close(connection(&fd));
		fdpass_send(sender, fd, "\0" LINE, sizeof(LINE));
		close(fd);
		return;
	case 2:			/* a head without end */
		close(connection(&fd));
		fdpass_send(sender, fd, "\0" LINE "X: ", sizeof(LINE "X: "));
		close(fd);
		memset(buf, 'y', sizeof(buf));
		send(sender, buf, 100000, MSG_NOSIGNAL | MSG_DONTWAIT);
		return;
	case 3:			/* it would be slow to close */
		fd = slow_to_close(&slow);
		fdpass_send(sender, fd, "", 1);
		close(fd);
		shutdown(slow, SHUT_WR);
		break;
	default:		/* a program that will not end */
		if (i < 20)
			close(give_text("GET /?wait HTTP/1.0\r\n\r\n"));
	}
	close(sender);
}

/* Half of them hostile; the others are all served. */
TEST(load)
{
	enum { N = 100 };
	int client[N / 2], i, go = fifo("go");
	long patient;
	char text[64];

	start("s", "-c8", "test \"$QUERY_STRING\" = wait && { trap '' TERM; "
	    "read -r x <go; exit; }; echo \"$QUERY_STRING\"");
	for (i = 0; i < N / 2; i++) {
		be_hostile(i);
		snprintf(text, sizeof(text), "GET /?%d HTTP/1.0\r\n\r\n", i);
		client[i] = give_text(text);
	}
	for (i = 0; i < N / 2; i++) {
		snprintf(text, sizeof(text), "%d\n", i);
		must_get(client[i], text);
	}
	/* Those that do not end are waited for, but not for ever. */
	patient = now_ms() + WORLD_PATIENCE;
	while (children() != 4) {
		ck_assert_int_lt(now_ms(), patient);
		poll(NULL, 0, 2);
	}
	kill(fdexec, SIGTERM);
	until_file("fdexec.err", "stopping; 4 programs run");
	kill(fdexec, SIGTERM);
	ck_assert_int_eq(ended(), 0);
	close(go);
}

/* ---- as a worker ---- */

#define WORKERS	"/=workers:w,payload=head,wait=10s"

/* Behind the head that fdproxy writes. */
static void
must_get_body(int client, const char *want)
{
	size_t len;

	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_FIN);
	ck_contains(buf, want);
	close(client);
}

/* It asks for as many as it may have programs; the others wait in fdproxy. */
TEST(worker)
{
	int client[4], i, go = fifo("go");
	long patient = now_ms() + WORLD_PATIENCE;
	char text[64];

	world_proxy("-r", WORKERS, NULL);
	start("w", "-wc2", "read -r x <go; echo \"$QUERY_STRING\"");
	for (i = 0; i < 4; i++) {
		client[i] = client_open();
		snprintf(text, sizeof(text), "GET /?%d HTTP/1.0\r\n\r\n", i);
		send_text(client[i], text);
		if (i > 1)
			continue;
		while (children() != i + 1) {
			ck_assert_int_lt(now_ms(), patient);
			poll(NULL, 0, 2);
		}
	}
	/* Its end, ours of fdproxy, and of two programs. */
	until_sockets(3);
	ck_assert_int_eq(write(go, "\n\n\n\n", 4), 4);
	for (i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "\r\n\r\n%d\n", i);
		must_get_body(client[i], text);
	}
	close(go);
}

/* Without heads behind the clients, many in a row. */
TEST(worker_without_heads)
{
	int i;

	world_proxy("-r", "/=workers:w,wait=10s", NULL);
	start("w", "-wc1", "test -z \"$QUERY_STRING\" && echo hello");
	for (i = 0; i < 20; i++)
		ck_contains(exchange("GET /?x HTTP/1.1\r\nHost: x\r\n\r\n"),
		    "\r\n\r\nhello\n");
}

/* fdproxy comes later. */
TEST(worker_comes_first)
{
	start("w", "-w", "echo hello");
	until_file("fdexec.err", "cannot connect to w: ");
	/* Until the descriptors at the start are counted. */
	stand_still();
	world_proxy("-r", WORKERS, NULL);
	kill(fdexec, SIGCONT);
	ck_contains(exchange(HEAD), "\r\n\r\nhello\n");
}

/* Who is under way is served before the end. */
TEST(worker_leaves)
{
	int client, go = fifo("go");
	long patient = now_ms() + WORLD_PATIENCE;

	world_proxy("-r", WORKERS, NULL);
	start("w", "-wc2", "trap '' TERM; read -r x <go; echo hello");
	client = client_open();
	send_text(client, HEAD);
	while (children() != 1) {
		ck_assert_int_lt(now_ms(), patient);
		poll(NULL, 0, 2);
	}
	kill(fdexec, SIGTERM);
	until_file("fdexec.err", "stopping; 1 programs run");
	ck_assert_int_eq(write(go, "\n", 1), 1);
	must_get_body(client, "\r\n\r\nhello\n");
	ck_assert_int_eq(ended(), 0);
	close(go);
}

/* As fdproxy's command, by the connection that it finds. */
TEST(worker_command)
{
	world_launch("-r", "/=:workers,payload=head", binary, "-w", "fd:3",
	    "sh", "-c", "echo \"$REQUEST_METHOD\"", NULL);
	world_announced();
	ck_contains(exchange(HEAD), "\r\n\r\nGET\n");
	world_expect("has ended with status 0");
}

/* Take what it asks for: n clients. */
static void
must_ask(int channel, int n)
{
	char bytes[64];

	ck_assert_int_le(n, (int)sizeof(bytes));
	read_exact(channel, bytes, (size_t)n);
	ck_assert_ptr_null(memchr(bytes, 1, (size_t)n));
}

/* The test is fdproxy: what is lost, and what is no head. */
TEST(worker_of_another)
{
	int listener = backend_listen("w", 4), channel, fd, pair[2];
	size_t len;

	start("w", "-wc3", "echo hello");
	channel = accept(listener, NULL, NULL);
	must_ask(channel, 3);
	/* A descriptor was lost there, and a head stands behind it: it asks
	   for another client, there as well. */
	send_bytes(channel, "\0GET / HTTP/1.0\r\n\r\n", 19);
	must_ask(channel, 1);
	until_file("fdexec.err", "a client is lost");
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(fdpass_send(channel, pair[1], "", 1), 1);
	close(pair[1]);
	read_all(pair[0], buf, sizeof(buf), &len);
	ck_assert_str_eq(buf, "hello\n");
	close(pair[0]);
	must_ask(channel, 1);
	/* No head: that one alone is lost, if its end is to be found. */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(fdpass_send(channel, pair[1], "\0junk\r\n\r\n", 9),
	    9);
	close(pair[1]);
	must_ask(channel, 1);
	close(pair[0]);
	until_file("fdexec.err", "is not the head of a request");
	/* Else where the next message begins is not known. */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(fdpass_send(channel, pair[1], "\0junk", 5), 5);
	close(pair[1]);
	close(pair[0]);
	fd = accept(listener, NULL, NULL);
	must_ask(fd, 3);
	close(channel);
	close(fd);
}

/* What it was given is not to be had again: its end is ours. */
TEST(worker_is_over)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    pair), 0);
	kept = pair[1];
	kept_as = 3;
	start("fd:3", "-wc3", "echo hello");
	must_ask(pair[0], 3);
	close(pair[0]);
	ck_assert_int_eq(ended(), 0);
	close(pair[1]);
}

static const struct test tests[] = {
	ONCE(worker),
	ONCE(worker_without_heads),
	ONCE(worker_comes_first),
	ONCE(worker_leaves),
	ONCE(worker_command),
	ONCE(worker_of_another),
	ONCE(worker_is_over),
	ONCE(ucspi),
	ONCE(cgi),
	ONCE(abstract_name),
	ONCE(abstract_end),
	ONCE(ignored_body),
	ONCE(children_are_limited),
	ONCE(probes),
	ONCE(no_program),
	ONCE(fields_are_joined),
	TIMES(environment_is_clean, COUNT(inherited)),
	ONCE(program_starts_clean),
	ONCE(signals_are_default),
	TIMES(addresses_are_told, COUNT(addresses)),
	ONCE(local_client),
	ONCE(head_in_pieces),
	ONCE(no_head_and_no_end),
	TIMES(bad_head, COUNT(bad_heads)),
	TIMES(endless_head, 2),
	ONCE(long_head),
	ONCE(silent_sender),
	TIMES(no_client, 2),
	ONCE(several_descriptors),
	ONCE(half_heads_wait_aside),
	TIMES(half_heads_make_room, 2),
	ONCE(clients_make_room),
	TIMES(linger_with_a_time, 4),
	TIMES(linger_without_time, 2),
	TIMES(unread_body, 2),
	ONCE(children_at_a_time),
	ONCE(full_for_all),
	ONCE(backlog),
	ONCE(busy_client),
	ONCE(programs_are_apart),
	ONCE(messages_are_few),
	TIMES(start_is_refused, COUNT(refused)),
	ONCE(owner_of_the_file),
	ONCE(limit_is_raised),
	ONCE(limit_is_enough),
	ONCE(vanished_program),
	TIMES(killed_program, 2),
	TIMES(inherited_socket, COUNT(kinds)),
	TIMES(inherited_other, 2),
	ONCE(inherited_shut_down),
	ONCE(child_of_fdproxy),
	TIMES(second_signal, 2),
	ONCE(load)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), begin, end);
}
