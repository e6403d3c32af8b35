/* See LICENSE for copyright and license details. */

/*
 * fdfault behind the real fdproxy: hand-offs that go wrong, as the backend and
 * as the client see them; and compat=apache.  The environment's FDFAULT names
 * it.  With FAULTLESS in the environment, CK_RUN_CASE=wrong and CK_FORK=yes,
 * the same tests run without any kind and without compat=, and each of them
 * must fail.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

#define GET	"GET /app HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST	"POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n"
#define MANY	"two two two two two two two two two two two two two two " \
		"two two two"	/* one too many */
#define HEAD_MAX	65535
#define APACHE	8000	/* bytes of a connection that it takes at once */
#define DELAY	300	/* ms, as in "300ms" */
#define HELD	5000	/* ms that nobyte takes */
#define LEN(a)	(sizeof(a) / sizeof(*(a)))

/* Most tests run with each of them. */
enum { FLUSH, FROM_FILE, NONE, FLUSHERS };

static const struct {
	const char *name;
	const char *head;	/* what the client gets by it */
} flushers[FLUSHERS] = {
	{ "flush", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" },
	{ "file:f.txt", "HTTP/1.1 202 Yes\r\n\r\nab" },
	{ "none", "" }
};

static char buf[2 * HEAD_MAX];
static char binary[4096];
static pid_t fdfault = -1;
static int to_fault, from_fault;	/* its standard input and output */
static int fds_at_start;

/* What one recvmsg gives a backend. */
struct message {
	ssize_t len;
	char data[4096];
	int fd[4];
	int fds;
	int flags;
};

/* ---- fdfault ---- */

static bool
faultless(void)
{
	return getenv("FAULTLESS") != NULL;
}

static int
fault_fds(void)
{
	char name[64];
	int n = 0;
	DIR *d;

	snprintf(name, sizeof(name), "/proc/%d/fd", (int)fdfault);
	d = opendir(name);
	ck_assert_ptr_nonnull(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* A child of it, or 0. */
static int
fault_child(void)
{
	char name[64];
	int child = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/task/%d/children",
	    (int)fdfault, (int)fdfault);
	f = fopen(name, "r");
	ck_assert_ptr_nonnull(f);
	if (fscanf(f, "%d", &child) != 1)
		child = 0;
	fclose(f);
	return child;
}

/* Until its child was put to sleep so often: it looks again and again. */
static void
until_child_sleeps(int times)
{
	long end = now_ms() + WORLD_PATIENCE;
	char name[64], *p;
	int slept = 0;

	for (; slept < times; sched_yield()) {
		ck_assert_int_lt(now_ms(), end);
		snprintf(name, sizeof(name), "/proc/%d/status", fault_child());
		p = strstr(read_file(name), "\nvoluntary_ctxt_switches:");
		if (p != NULL)
			slept = (int)strtol(strchr(p, ':') + 1, NULL, 10);
	}
}

/* Start it with these words, separated by single blanks. */
static void
spawn_fault(const char *words)
{
	char copy[512], name[] = "fdfault", *argv[32] = { name }, *rest;
	int in[2], out[2], err, n = 1;

	snprintf(copy, sizeof(copy), "%s", words);
	for (rest = copy; n < 31 && rest != NULL; n++)
		argv[n] = strsep(&rest, " ");
	ck_assert_int_eq(pipe(in), 0);
	ck_assert_int_eq(pipe(out), 0);
	fflush(NULL);
	fdfault = fork();
	ck_assert_int_ne(fdfault, -1);
	if (fdfault == 0) {
		err = open("fdfault.err", O_WRONLY | O_CREAT | O_TRUNC, 0644);
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(err, STDERR_FILENO);
		for (n = 3; n < 256; n++)
			close(n);
		execv(binary, argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	to_fault = in[1];
	from_fault = out[0];
	fcntl(to_fault, F_SETFD, FD_CLOEXEC);
	fcntl(from_fault, F_SETFD, FD_CLOEXEC);
}

/* Wait until it says so. */
static void
expect_line(const char *text)
{
	char line[64];
	size_t n = 0;

	do {
		ck_assert_uint_lt(n, sizeof(line));
		read_exact(from_fault, line + n, 1);
	} while (line[n++] != '\n');
	line[n - 1] = '\0';
	ck_assert_str_eq(line, text);
}

/* Start it on socket f, for the backend s, and wait until it listens. */
static void
start_fault(const char *faults)
{
	char words[512];

	snprintf(words, sizeof(words), "%s%sf s", faultless() ? "" : faults,
	    *faults == '\0' || faultless() ? "" : " ");
	spawn_fault(words);
	expect_line("ready");
	fds_at_start = fault_fds();
}

static void
write_text(const char *text)
{
	ck_assert_int_eq(write(to_fault, text, strlen(text)),
	    (ssize_t)strlen(text));
}

/* A line, and its answer. */
static void
tell(const char *line, const char *answer)
{
	write_text(faultless() ? "" : line);
	write_text("\n");
	expect_line(answer);
}

/* After the end of it and of its children: its status. */
static int
fault_status(void)
{
	int status;
	char c;

	ck_assert_msg(readable(from_fault, WORLD_PATIENCE), "no end of it");
	ck_assert_int_eq(read(from_fault, &c, 1), 0);
	ck_assert_int_eq(waitpid(fdfault, &status, 0), fdfault);
	fdfault = -1;
	close(to_fault);
	close(from_fault);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Until it has no descriptor more than at the start, and no child. */
static void
until_idle(void)
{
	long end = now_ms() + WORLD_PATIENCE;

	while (fault_fds() > fds_at_start || fault_child() != 0) {
		ck_assert_int_lt(now_ms(), end);
		sched_yield();
	}
}

/*
 * It must end on a signal, with status 0; what it wrote to standard error must
 * hold the text, or be empty.
 */
static void
stop_fault(int sig, const char *text)
{
	const char *said;

	ck_assert_int_eq(kill(fdfault, sig), 0);
	ck_assert_int_eq(fault_status(), 0);
	said = read_file("fdfault.err");
	if (text == NULL)
		ck_assert_str_eq(said, "");
	else
		ck_contains(said, text);
}

/* fdproxy and fdfault must end as they should. */
static void
stop(int listener, const char *text)
{
	close(listener);
	until_idle();
	stop_fault(SIGTERM, text);
	ck_assert_int_eq(access("f", F_OK), -1);
	world_stop(NULL);
}

static void
begin(void)
{
	const char *name = getenv("FDFAULT");

	ck_assert_ptr_nonnull(realpath(name == NULL ? "./fdfault" : name,
	    binary));
	world_begin();
}

static void
end(void)
{
	if (fdfault != -1) {
		kill(fdfault, SIGKILL);
		waitpid(fdfault, NULL, 0);
		fdfault = -1;
	}
	world_end();
}

/* ---- fdproxy, clients and backends ---- */

/* fdproxy with /app on that socket; more has parameters, and their commas. */
static void
start_proxy(const char *name, int flusher, const char *more)
{
	char route[512];

	write_file("f.txt", flushers[FROM_FILE].head);
	snprintf(route, sizeof(route), "/app=%s,flusher=%s%s", name,
	    flushers[flusher].name, more);
	world_proxy("-c", "Date off", "-c", "ServerTokens None", "-c",
	    "LimitRequestHead 65535", "-r", route, NULL);
}

/* Both, and the backend's listener. */
static int
start(int flusher, const char *faults, const char *more)
{
	int listener = backend_listen("s", 16);

	start_fault(faults);
	start_proxy("f", flusher, more);
	return listener;
}

static int
client_send(const char *request)
{
	int fd = client_open();

	send_text(fd, request);
	return fd;
}

/* The next connection to a backend. */
static int
accept_next(int listener)
{
	int fd;

	ck_assert_msg(readable(listener, WORLD_PATIENCE),
	    "nobody connects to the backend");
	fd = accept(listener, NULL, NULL);
	ck_assert_int_ne(fd, -1);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

/* One message, with room for so many descriptors. */
static void
receive(int conn, struct message *m, size_t room)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec iov = { m->data, sizeof(m->data) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = CMSG_LEN(room * sizeof(int)) };
	struct cmsghdr *cmsg;

	ck_assert_msg(readable(conn, WORLD_PATIENCE), "no message, no end");
	m->len = recvmsg(conn, &msg, MSG_CMSG_CLOEXEC);
	m->flags = msg.msg_flags;
	m->fds = 0;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg == NULL)
		return;
	ck_assert_int_eq(cmsg->cmsg_level, SOL_SOCKET);
	ck_assert_int_eq(cmsg->cmsg_type, SCM_RIGHTS);
	m->fds = (int)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(m->fd, CMSG_DATA(cmsg), (size_t)m->fds * sizeof(int));
	ck_assert_ptr_null(CMSG_NXTHDR(&msg, cmsg));
}

/* The other side has closed it, and sent nothing more. */
static void
expect_end(int conn)
{
	struct message m;

	receive(conn, &m, 4);
	ck_assert_int_eq(m.len, 0);
	ck_assert_int_eq(m.fds, 0);
	close(conn);
}

/* Whether something has come; without faults it will, and is waited for. */
static bool
heard(int conn)
{
	return readable(conn, faultless() ? WORLD_PATIENCE : 0);
}

static bool
nonblocking(int fd)
{
	return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

/* A backend's part; with NONE the request is its to read. */
static void
serve(int fd, int flusher)
{
	if (flusher == NONE)
		read_exact(fd, buf, strlen(GET));
	send_text(fd, "body");
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	close(fd);
}

/* All that the client sees, and how it ends; a reset may take away what has not
   been read. */
static void
expect_text(int client, enum ending ending, const char *text)
{
	size_t len;

	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), ending);
	if (ending == END_RESET)
		ck_assert_int_eq(strncmp(buf, text, len), 0);
	else
		ck_assert_str_eq(buf, text);
	close(client);
}

/* The next hand-off is as ever. */
static void
check_next(int listener, int flusher)
{
	int client = client_send(GET), fd = backend_take(listener);
	char text[128];

	ck_assert(!nonblocking(fd));
	serve(fd, flusher);
	snprintf(text, sizeof(text), "%sbody", flushers[flusher].head);
	expect_text(client, END_FIN, text);
}

static void
reset_client(int client)
{
	struct linger off = { 1, 0 };

	setsockopt(client, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	close(client);
}

/* A head of that length, if it has to be longer, and a body behind it. */
static size_t
send_post(int client, size_t head_len, size_t body_len)
{
	static char text[65536];
	size_t len = strlen(POST);

	strcpy(text, POST);
	if (head_len > len) {
		strcpy(text + len - 2, "A: ");
		memset(text + len + 1, 'a', head_len - len - 5);
		strcpy(text + head_len - 4, "\r\n\r\n");
		len = head_len;
	}
	memset(text + len, 'b', body_len);
	send_bytes(client, text, len + body_len);
	return len + body_len;
}

/* Exactly so much is left, and the end of it is the body's; then comes more. */
static void
expect_left(int client, int fd, size_t len)
{
	static const char later[] = "later";

	read_exact(fd, buf, len);
	ck_assert(len == 0 || buf[len - 1] == 'b');
	ck_assert_msg(!readable(fd, 0), "more than %zu bytes are left", len);
	send_text(client, later);
	read_exact(fd, buf, strlen(later));
	ck_assert_int_eq(memcmp(buf, later, strlen(later)), 0);
}

/* ---- one hand-off that goes wrong ---- */

/* What the client sees behind the head. */
enum view {
	SERVED,			/* what the backend writes, and the end */
	UNSERVED,		/* the end; a reset over an unread request */
	BROKEN			/* a reset */
};

/* What is special about the descriptor, or the time. */
enum {
	PLAIN,
	TRUNCATED,		/* the backend has room for one alone */
	UNBLOCKED,		/* O_NONBLOCK is set */
	DEAD,			/* it is connected no more */
	LATE,			/* the message comes late */
	LATE_END		/* the end comes late */
};

#define ALL	(1 << FLUSH | 1 << FROM_FILE | 1 << NONE)
#define EATING	(1 << FLUSH | 1 << FROM_FILE)
#define HEAD	",payload=head"

static const struct hand_off {
	const char *faults;	/* what fdfault is started with */
	const char *more;	/* parameters of the route */
	int flushers;
	size_t body;		/* of the request */
	/* The backend's side: the message, none being the end. */
	const char *data;
	size_t len;
	int fds;
	int special;
	size_t lost;		/* of the body */
	/* The client's side. */
	enum view view;
} hand_offs[] = {
	{ "body@1", "", EATING, 20000, "", 1, 1, PLAIN, APACHE, SERVED },
	{ "body@1", "", EATING, APACHE, "", 1, 1, PLAIN, APACHE, SERVED },
	{ "body@1", "", EATING, 5, "", 1, 1, PLAIN, 5, SERVED },
	{ "byte@1", "", ALL, 0, "X", 1, 1, PLAIN, 0, SERVED },
	{ "byte@1", HEAD, EATING, 0, "X" GET, sizeof(GET), 1, PLAIN, 0,
	    SERVED },
	/* On Linux a stream carries no control data without data. */
	{ "control@1", "", ALL, 0, "", 0, 0, PLAIN, 0, UNSERVED },
	{ "control@1", HEAD, EATING, 0, "", 0, 0, PLAIN, 0, UNSERVED },
	{ "delay-close:300ms@1", "", ALL, 0, "", 1, 1, LATE_END, 0, SERVED },
	{ "delay-close:300ms@1", HEAD, EATING, 0, "\0" GET, sizeof(GET), 1,
	    LATE_END, 0, SERVED },
	{ "delay-pass:300ms@1", "", ALL, 0, "", 1, 1, LATE, 0, SERVED },
	{ "delay-pass:300ms@1", HEAD, EATING, 0, "\0" GET, sizeof(GET), 1,
	    LATE, 0, SERVED },
	{ "drop@1", "", ALL, 0, "", 0, 0, PLAIN, 0, UNSERVED },
	{ "drop@1", HEAD, EATING, 0, "", 0, 0, PLAIN, 0, UNSERVED },
	{ "nofd@1", "", ALL, 0, "", 1, 0, PLAIN, 0, UNSERVED },
	{ "nofd@1", HEAD, EATING, 0, "\0" GET, sizeof(GET), 0, PLAIN, 0,
	    UNSERVED },
	{ "nonblock@1", "", ALL, 0, "", 1, 1, UNBLOCKED, 0, SERVED },
	{ "reset@1", "", ALL, 0, "", 1, 1, DEAD, 0, BROKEN },
	{ "two@1", "", ALL, 0, "", 1, 2, PLAIN, 0, SERVED },
	{ "two@1", "", ALL, 0, "", 1, 1, TRUNCATED, 0, SERVED },
	{ "two@1", HEAD, EATING, 0, "\0" GET, sizeof(GET), 2, PLAIN, 0,
	    SERVED }
};

/* The descriptors of a message are what they should be; the last is left. */
static int
check_descriptors(const struct hand_off *h, struct message *m)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	struct stat a, b;
	int fd = m->fd[0];

	ck_assert_int_eq(m->fds, h->fds);
	ck_assert_int_eq((m->flags & MSG_CTRUNC) != 0,
	    h->special == TRUNCATED);
	if (m->fds == 0)
		return -1;
	if (m->fds == 2) {
		ck_assert_int_eq(fstat(m->fd[0], &a), 0);
		ck_assert_int_eq(fstat(m->fd[1], &b), 0);
		ck_assert(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
		close(m->fd[1]);
	}
	ck_assert_int_eq(nonblocking(fd), h->special == UNBLOCKED);
	ck_assert_int_eq(getpeername(fd, (struct sockaddr *)&peer, &len),
	    h->special == DEAD ? -1 : 0);
	if (h->special == DEAD) {
		ck_assert_int_eq(errno, ENOTCONN);
		ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	}
	return fd;
}

START_TEST(hand_off)
{
	const struct hand_off *h = &hand_offs[_i / FLUSHERS];
	int flusher = _i % FLUSHERS, client, conn, fd;
	int listener = start(flusher, h->faults, h->more);
	const char *head = flushers[flusher].head;
	struct message m;
	long begun = now_ms();
	size_t len;

	client = client_open();
	if (h->body > 0)
		send_post(client, 0, h->body);
	else
		send_text(client, GET);
	conn = accept_next(listener);
	receive(conn, &m, h->special == TRUNCATED ? 1 : 4);
	if (h->special == LATE)
		ck_assert_int_ge(now_ms() - begun, DELAY);
	ck_assert_int_eq(m.len, (ssize_t)h->len);
	ck_assert_int_eq(memcmp(m.data, h->data, h->len), 0);
	fd = check_descriptors(h, &m);
	if (h->body > 0)
		expect_left(client, fd, h->body - h->lost);
	if (h->view == BROKEN) {
		ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len),
		    END_RESET);
		/* What was on its way is lost; byte by byte, that is some. */
		if (!world_torture())
			ck_assert_uint_eq(len, strlen(head));
		ck_assert_int_eq(strncmp(buf, head, len), 0);
		close(fd);
		close(client);
	} else {
		read_exact(client, buf, strlen(head));
		ck_assert_int_eq(strncmp(buf, head, strlen(head)), 0);
		if (h->view == SERVED)
			serve(fd, flusher);
		expect_text(client, h->view == UNSERVED && flusher == NONE ?
		    END_RESET : END_FIN, h->view == SERVED ? "body" : "");
	}
	if (h->len > 0)
		expect_end(conn);
	else
		close(conn);
	if (h->special == LATE_END)
		ck_assert_int_ge(now_ms() - begun, DELAY);
	if (*h->more == '\0')
		check_next(listener, flusher);
	stop(listener, NULL);
}
END_TEST

/*
 * Neither a message nor an end, for neither side, until one of them leaves;
 * others are served meanwhile.
 */
START_TEST(nobyte)
{
	int flusher = _i % FLUSHERS, client, conn;
	int listener = start(flusher, "nobyte@1", "");
	long begun = now_ms();
	bool early;

	client = client_send(GET);
	conn = accept_next(listener);
	read_exact(client, buf, strlen(flushers[flusher].head));
	check_next(listener, flusher);
	early = heard(conn) || readable(client, 0);
	ck_assert(!early || now_ms() - begun >= HELD);
	if (_i < FLUSHERS) {
		close(conn);
		expect_text(client, flusher == NONE ? END_RESET : END_FIN, "");
	} else {
		reset_client(client);
		expect_end(conn);
	}
	stop(listener, NULL);
}
END_TEST

/* It ends even if the backend waits for ever. */
START_TEST(nobyte_ends)
{
	int listener = start(FLUSH, "nobyte@1", ""), client, conn;
	long begun = now_ms();

	client = client_send(GET);
	conn = accept_next(listener);
	expect_end(conn);
	ck_assert_int_ge(now_ms() - begun, HELD);
	expect_text(client, END_FIN, flushers[FLUSH].head);
	stop(listener, NULL);
}
END_TEST

/* While one waits, others are served; a client that goes is noticed. */
START_TEST(delay_pass_alone)
{
	int listener = start(_i, "delay-pass:1min@1", ""), client, conn;

	client = client_send(GET);
	conn = accept_next(listener);
	read_exact(client, buf, strlen(flushers[_i].head));
	check_next(listener, _i);
	ck_assert(!heard(conn) && !readable(client, 0));
	reset_client(client);
	expect_end(conn);
	stop(listener, NULL);
}
END_TEST

/* The client is the backend's all the same; who closes first ends it. */
START_TEST(delay_close_alone)
{
	int listener = start(_i, "delay-close:1min@1", ""), client, conn;
	struct message m;

	client = client_send(GET);
	conn = accept_next(listener);
	receive(conn, &m, 1);
	ck_assert_int_eq(m.fds, 1);
	serve(m.fd[0], _i);
	read_exact(client, buf, strlen(flushers[_i].head));
	expect_text(client, END_FIN, "body");
	check_next(listener, _i);
	ck_assert(!heard(conn));
	close(conn);
	stop(listener, NULL);
}
END_TEST

/* Where there is no reset it is the end. */
START_TEST(reset_of_unix)
{
	int listener = backend_listen("s", 16), client, fd;
	char address[128];

	start_fault("reset@1");
	snprintf(address, sizeof(address), "unix:%s/front", world_dir());
	world_proxy("-l", address, "-r", "/app=f,flusher=none", NULL);
	client = client_unix("front");
	send_text(client, GET);
	fd = backend_take(listener);
	ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	expect_text(client, END_FIN, "");
	close(fd);
	stop(listener, NULL);
}
END_TEST

/* ---- which hand-off ---- */

/* One request, and what came of it as a letter. */
static char
what_comes(int listener)
{
	int client = client_send(GET), conn = accept_next(listener), i;
	struct message m;
	char c = '-';
	size_t len;

	receive(conn, &m, 4);
	if (m.len == 0)
		c = 'd';
	else if (m.data[0] != '\0')
		c = 'b';
	else if (m.fds != 1)
		c = m.fds == 0 ? 'n' : 't';
	else if (nonblocking(m.fd[0]))
		c = 'o';
	for (i = 0; i < m.fds; i++)
		close(m.fd[i]);
	close(conn);
	read_all(client, buf, sizeof(buf), &len);
	close(client);
	return c;
}

static void
expect_letters(int listener, const char *want)
{
	char got[32] = "";
	size_t i;

	for (i = 0; i < strlen(want); i++)
		got[i] = what_comes(listener);
	ck_assert_str_eq(got, want);
}

/* Of several the first that is due counts; what is no hand-off does not. */
START_TEST(numbers)
{
	static const struct {
		const char *faults;
		const char *want;
	} cases[] = {
		{ "drop", "dddddd" },
		{ "drop@1", "d-----" },
		{ "drop@3", "--d---" },
		{ "byte@1+1", "bbbbbb" },
		{ "byte@2+3", "-b--b--b" },
		{ "nofd@1 two@2 byte@3 drop@4", "ntbd---" },
		{ "nofd@2+2 byte@3+3 drop@5", "-nbndn-nbn" },
		{ "drop@2+4 byte", "bdbbbdbb" },
		{ "nonblock@1+2", "o-o-o-" },
		{ "drop@1000000000 nofd@4+1000000000", "---n-" }
	};
	int listener = start(FLUSH, cases[_i].faults, "");
	char got[32] = "";
	size_t i;

	for (i = 0; i < strlen(cases[_i].want); i++) {
		close(client_unix("f"));
		ck_assert_int_eq(status_of(exchange("GET /app\r\n\r\n")), 400);
		got[i] = what_comes(listener);
	}
	ck_assert_str_eq(got, cases[_i].want);
	stop(listener, NULL);
}
END_TEST

/* Clients that have waited for fdfault have their numbers as they come. */
START_TEST(waiting_clients)
{
	int listener = backend_listen("s", 16), client[3], i, conn;
	char seen[256] = "";
	struct message m;

	start_proxy("f", FLUSH, ",wait=1min");
	for (i = 0; i < 3; i++)
		client[i] = client_send(GET);
	start_fault("drop@2 byte@3");
	for (i = 0; i < 3; i++) {
		conn = accept_next(listener);
		receive(conn, &m, 4);
		seen[m.len == 0 ? 'd' : m.data[0] == 'X' ? 'b' : '-']++;
		if (m.fds == 1)
			serve(m.fd[0], FLUSH);
		close(conn);
	}
	ck_assert(seen['d'] == 1 && seen['b'] == 1 && seen['-'] == 1);
	close_all(client, 3);
	stop(listener, NULL);
}
END_TEST

/* ---- lines ---- */

/* Each is in the place of the list that was, and counting begins again. */
START_TEST(lines_replace)
{
	int listener = start(FLUSH, "drop", "");

	expect_letters(listener, "dd");
	tell("byte@1 nofd@2", "ok");
	expect_letters(listener, "bn-");
	tell("  two@2\t ", "ok");
	expect_letters(listener, "-t");
	tell("two@2", "ok");
	expect_letters(listener, "-t-");
	tell("", "ok");
	expect_letters(listener, "--");
	tell("drop\nnofd@2", "ok");
	expect_line("ok");
	expect_letters(listener, "-n");
	stop(listener, NULL);
}
END_TEST

/* A bad one is answered, and changes nothing, the count included. */
START_TEST(bad_lines)
{
	static const char *const lines[] = { "nofd drap", "drop@0", "cut:5",
	    "byte:1", "delay-pass", MANY };
	int listener = start(FLUSH, "drop@2 byte@4+2", "");
	size_t i;

	expect_letters(listener, "-d");
	for (i = 0; i < LEN(lines); i++)
		tell(lines[i], "bad");
	expect_letters(listener, "-b-b");
	tell("nofd@1", "ok");
	expect_letters(listener, "n-");
	stop(listener, "drap: unknown kind");
}
END_TEST

/* After the end of input the list stays: of a last line without an end, too. */
START_TEST(end_of_lines)
{
	static const struct {
		const char *text;
		const char *answer;	/* or NULL */
		const char *want;
	} cases[] = { { "", NULL, "d-d" }, { "nofd@2", "ok", "-n-" },
	    { "nofd@0", "bad", "d-d" } };
	int listener = start(FLUSH, "drop@1+2", "");

	write_text(faultless() ? "" : cases[_i].text);
	close(to_fault);
	to_fault = -1;
	if (cases[_i].answer != NULL)
		expect_line(cases[_i].answer);
	expect_letters(listener, cases[_i].want);
	stop(listener, _i == 2 ? "nofd@0: " : NULL);
}
END_TEST

/* A line without end is the last; what there is stays. */
START_TEST(long_line)
{
	int listener = start(FLUSH, "drop", "");
	char line[1024] = "";

	memset(line, ' ', sizeof(line) - 1);
	write_text(line);
	until_file("fdfault.err", "a line is too long");
	expect_letters(listener, "dd");
	stop(listener, "a line is too long");
}
END_TEST

/* ---- as Apache ---- */

static const char *
apache(void)
{
	return faultless() ? "" : ",compat=apache";
}

/* Head and body up to 8000 bytes are taken; of a long head nothing more. */
START_TEST(apache_body)
{
	static const struct {
		size_t head;
		size_t body;
	} cases[] = {
		{ 0, 20000 }, { 0, 7900 }, { 0, 5 }, { 7000, 2000 }
	};
	int listener = backend_listen("s", 16), client, fd;
	size_t all, i;

	start_proxy("s", _i, apache());
	for (i = 0; i < LEN(cases); i++) {
		client = client_open();
		all = send_post(client, cases[i].head, cases[i].body);
		fd = backend_take(listener);
		expect_left(client, fd, all > APACHE ? all - APACHE : 0);
		serve(fd, FLUSH);
		read_exact(client, buf, strlen(flushers[_i].head));
		expect_text(client, END_FIN, "body");
	}
	close(listener);
	world_stop(NULL);
}
END_TEST

/* More than any send buffer takes; byte by byte, less takes long enough. */
static size_t
write_large_file(const char *name)
{
	size_t len = world_torture() ? 60000 : 8 * 1024 * 1024, n;
	FILE *f = fopen(name, "w");

	ck_assert_ptr_nonnull(f);
	n = (size_t)fprintf(f, "HTTP/1.1 200 OK\r\n\r\n");
	for (; n < len; n++)
		putc('f', f);
	ck_assert_int_eq(fclose(f), 0);
	return len;
}

/* Once, although the hand-off has to be repeated over another connection. */
START_TEST(apache_body_once)
{
	int listener = backend_listen("s", 16), client, fd;
	char route[128];
	size_t all, len = write_large_file("large"), n;

	snprintf(route, sizeof(route), "/app=s,flusher=file:large%s",
	    apache());
	world_proxy("-r", route, NULL);
	client = client_open_small();
	all = send_post(client, 0, 30000);
	read_exact(client, buf, 100);
	close(accept_next(listener));
	for (len -= 100; len > 0; len -= n) {
		n = len < sizeof(buf) ? len : sizeof(buf);
		read_exact(client, buf, n);
	}
	fd = backend_take(listener);
	expect_left(client, fd, all - APACHE);
	serve(fd, FLUSH);
	expect_text(client, END_FIN, "body");
	close(listener);
	world_stop(NULL);
}
END_TEST

/* Who leaves the head to the backend leaves it all; all else is as ever. */
START_TEST(apache_of_all)
{
	int listener = backend_listen("s", 16), client, fd, on = 0;
	socklen_t len = sizeof(on);

	start_proxy("s", _i, apache());
	client = client_send(GET);
	fd = backend_take(listener);
	ck_assert(nonblocking(fd));
	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len),
	    0);
	ck_assert_int_ne(on, 0);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len),
	    0);
	ck_assert_int_ne(on, 0);
	serve(fd, _i);
	read_exact(client, buf, strlen(flushers[_i].head));
	expect_text(client, END_FIN, "body");
	if (_i == NONE) {
		client = client_open();
		len = (socklen_t)send_post(client, 0, 5);
		fd = backend_take(listener);
		expect_left(client, fd, len);
		close(fd);
		close(client);
	}
	close(listener);
	world_stop(NULL);
}
END_TEST

/* Every failure is a 500. */
START_TEST(apache_failures)
{
	static const struct {
		const char *target;
		long ms;
	} cases[] = {
		{ "missing", 0 }, { "stale", 0 }, { "full", DELAY },
		{ "./", 0 }, { "missing,wait=300ms", DELAY }
	};
	int busy = backend_listen("full", 1), fill[2];
	char route[128];
	long begun;

	close(backend_listen("stale", 1));
	fill[0] = client_unix("full");
	fill[1] = client_unix("full");
	snprintf(route, sizeof(route), "/%s=%s,connectiontimeout=300ms%s",
	    strcmp(cases[_i].target, "./") == 0 ? "" : "app",
	    cases[_i].target, apache());
	world_proxy("-r", route, NULL);
	begun = now_ms();
	ck_assert_int_eq(status_of(exchange(GET)), 500);
	ck_assert_int_ge(now_ms() - begun, cases[_i].ms);
	close_all(fill, 2);
	close(busy);
	world_stop("cannot connect to ");
}
END_TEST

START_TEST(apache_queue)
{
	int busy = backend_listen("s", 1), fill[2], client;
	char more[128];

	fill[0] = client_unix("s");
	fill[1] = client_unix("s");
	snprintf(more, sizeof(more), ",queue=1,connectiontimeout=1min%s",
	    apache());
	start_proxy("s", FLUSH, more);
	client = client_send(GET);
	ck_assert_int_eq(status_of(exchange(GET)), 500);
	ck_assert(!readable(client, 0));
	reset_client(client);
	close_all(fill, 2);
	close(busy);
	world_stop("too many wait");
}
END_TEST

/* What it does to a client stays done behind fdfault. */
START_TEST(apache_and_fault)
{
	int listener = start(FLUSH, "byte@1", apache()), client, conn, i;
	struct message m;

	for (i = 0; i < 2; i++) {
		client = client_send(GET "body");
		conn = accept_next(listener);
		receive(conn, &m, 4);
		ck_assert_int_eq(m.len, 1);
		ck_assert_int_eq(m.data[0], i == 0 ? 'X' : '\0');
		ck_assert_int_eq(m.fds, 1);
		ck_assert(nonblocking(m.fd[0]));
		expect_end(conn);
		expect_left(client, m.fd[0], 0);
		serve(m.fd[0], FLUSH);
		read_exact(client, buf, strlen(flushers[FLUSH].head));
		expect_text(client, END_FIN, "body");
	}
	stop(listener, NULL);
}
END_TEST

/* ---- fdfault itself: these are no faults ---- */

/* Without any kind, all is passed on; heads whole, however long. */
START_TEST(nothing_wrong)
{
	static const size_t lens[] = { sizeof(GET) - 1, 48 * 1024, HEAD_MAX };
	static char head[HEAD_MAX + 1];
	int listener = start(FLUSH, "", HEAD), client, fd;
	size_t i, n, len;

	for (i = 0; i < LEN(lens); i++) {
		strcpy(head, GET);
		n = strlen(head) - 2;
		while (n + 2 < lens[i]) {
			len = lens[i] - 2 - n;
			len = len > 2 * 4096 ? 4096 : len > 4096 ? len / 2 :
			    len;
			memset(head + n, 'a', len);
			memcpy(head + n + 1, ": ", 2);
			memcpy(head + n + len - 2, "\r\n", 2);
			n += len;
		}
		strcpy(head + n, "\r\n");
		client = client_send(head);
		fd = backend_take_payload(listener, buf, sizeof(buf));
		ck_assert(strcmp(buf, head) == 0);	/* too long to show */
		serve(fd, FLUSH);
		read_exact(client, buf, strlen(flushers[FLUSH].head));
		expect_text(client, END_FIN, "body");
	}
	stop(listener, NULL);
}
END_TEST

/* A message of our own, with the one descriptor or none. */
static int
send_message(const void *data, size_t len, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { (void *)(size_t)data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int conn = client_unix("f");
	struct cmsghdr *cmsg;

	memset(&control, 0, sizeof(control));
	if (fd != -1) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	ck_assert_int_eq(sendmsg(conn, &msg, 0), (ssize_t)len);
	return conn;
}

/* What senders should not do keeps nobody waiting, and has no number. */
START_TEST(bad_senders)
{
	static char much[HEAD_MAX + 2];
	int listener = start(FLUSH, "", ""), silent = client_unix("f"), pair[2];
	int slow;

	if (!faultless())
		tell("drop@3", "ok");
	close(send_message("", 1, -1));
	until_file("fdfault.err", "a message came without a descriptor");
	/* The first: its message has no end. */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	slow = send_message("", 1, pair[0]);
	close(pair[0]);
	expect_letters(listener, "-");
	ck_assert(!readable(pair[1], 0));
	close(slow);
	close(backend_take(listener));
	expect_text(pair[1], END_FIN, "");
	expect_letters(listener, "d-");
	/* Too much. */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	close(send_message(much, sizeof(much), pair[0]));
	close(pair[0]);
	expect_text(pair[1], END_FIN, "");
	ck_assert(!readable(listener, 0));
	close(silent);
	stop(listener, "cannot pass to s: Message too");
}
END_TEST

/* The client is reset, but for a backend that is waited for. */
START_TEST(missing_backend)
{
	static const struct {
		const char *option;
		bool file;
		const char *text;
	} cases[] = {
		{ "", false, "cannot connect to s: No such file" },
		{ "-w 300ms", false, "cannot connect to s: No such file" },
		{ "-w 10min", true, "cannot connect to s: Connection refused" }
	};
	long begun = now_ms();
	int client, i;

	if (cases[_i].file)
		write_file("s", "");
	start_fault(cases[_i].option);
	start_proxy("f", FLUSH, "");
	for (i = 0; i < 2; i++) {
		client = client_send(GET);
		expect_text(client, END_RESET, flushers[FLUSH].head);
	}
	ck_assert_int_ge(now_ms() - begun, _i == 1 ? DELAY : 0);
	until_idle();
	stop_fault(SIGTERM, cases[_i].text);
	world_stop(NULL);
}
END_TEST

/* A backend that comes late, or has no room for a while. */
START_TEST(late_backend)
{
	int listener = -1, client, fill[2], i;

	if (_i == 1) {
		listener = backend_listen("s", 1);
		fill[0] = client_unix("s");
		fill[1] = client_unix("s");
	}
	start_fault(_i == 1 ? "" : "-w 10min");
	start_proxy("f", FLUSH, "");
	client = client_send(GET);
	read_exact(client, buf, strlen(flushers[FLUSH].head));
	until_child_sleeps(5);
	if (_i == 0)
		listener = backend_listen("s", 16);
	for (i = 0; i < 2 && _i == 1; i++) {
		close(accept_next(listener));
		close(fill[i]);
	}
	serve(backend_take(listener), FLUSH);
	expect_text(client, END_FIN, "body");
	stop(listener, NULL);
}
END_TEST

/* A signal ends it with all that waits; a file that is not its own stays. */
START_TEST(ends)
{
	int listener = start(FLUSH, "delay-pass:1min", ""), client, conn;
	int silent = client_unix("f");

	client = client_send(GET);
	conn = accept_next(listener);
	read_exact(client, buf, strlen(flushers[FLUSH].head));
	if (_i == 1) {
		ck_assert_int_eq(rename("f", "g"), 0);
		write_file("f", "");
	}
	stop_fault(_i == 0 ? SIGTERM : SIGINT, NULL);
	ck_assert_int_eq(access("f", F_OK), _i == 0 ? -1 : 0);
	expect_end(conn);
	expect_text(client, END_FIN, "");
	close(silent);
	close(listener);
	world_stop(NULL);
}
END_TEST

/* On Linux, a name without a file. */
START_TEST(abstract_name)
{
	int listener = backend_listen("s", 16);
	char name[96], words[128];

	snprintf(name, sizeof(name), "@%s/f", world_dir());
	snprintf(words, sizeof(words), "byte@2 %s s", name);
	spawn_fault(words);
	expect_line("ready");
	fds_at_start = fault_fds();
	start_proxy(name, FLUSH, "");
	expect_letters(listener, "-b-");
	stop(listener, NULL);
}
END_TEST

/* Kinds that are refused, and other mistakes. */
START_TEST(mistakes)
{
	static const struct {
		const char *words;
		int status;
		const char *text;
	} cases[] = {
		{ "full f s", 2, "full: fill the backlog" },
		{ "missing@2 f s", 2, "missing@2: do not start the backend" },
		{ "cut:5 f s", 2, "cut:5: let a backend" },
		{ "delay-flush:1s f s", 2, "delay-flush:1s: let a backend" },
		{ "drap f s", 2, "drap: unknown kind" },
		{ " f s", 2, ": unknown kind" },
		{ "drop:1 f s", 2, "drop:1: this kind takes no argument" },
		{ "delay-pass f s", 2, "this kind takes a time" },
		{ "delay-pass: f s", 2, "this kind takes a time" },
		{ "delay-pass:1x f s", 2, "this kind takes a time" },
		{ "delay-pass:865000s f s", 2, "this kind takes a time" },
		{ "drop@ f s", 2, "@ takes a number" },
		{ "drop@0 f s", 2, "@ takes a number" },
		{ "drop@1x f s", 2, "@ takes a number" },
		{ "drop@1000000001 f s", 2, "@ takes a number" },
		{ "drop@1+ f s", 2, "+ takes a number" },
		{ "drop@1+0 f s", 2, "+ takes a number" },
		{ MANY " f s", 2, "two: too many faults" },
		{ "f", 2, "usage: fdfault" },
		{ "-x f s", 2, "usage: fdfault" },
		{ "-w 1x f s", 2, "-w takes a time" },
		{ " s", 2, "the path of a socket is empty" },
		{ "there s", 1, "cannot listen on there: " }
	};
	int there = backend_listen("there", 1);

	spawn_fault(cases[_i].words);
	ck_assert_int_eq(fault_status(), cases[_i].status);
	ck_contains(read_file("fdfault.err"), cases[_i].text);
	ck_assert_int_eq(access("f", F_OK), -1);
	close(there);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("e2e_fault");
	TCase *tc = tcase_create("wrong");
	int i;

	tcase_add_checked_fixture(tc, begin, end);
	tcase_set_timeout(tc, 60);
	for (i = 0; i < (int)LEN(hand_offs) * FLUSHERS; i++)
		if (hand_offs[i / FLUSHERS].flushers & 1 << i % FLUSHERS)
			tcase_add_loop_test(tc, hand_off, i, i + 1);
	tcase_add_loop_test(tc, nobyte, 0, 2 * FLUSHERS);
	tcase_add_test(tc, nobyte_ends);
	tcase_add_loop_test(tc, delay_pass_alone, 0, FLUSHERS);
	tcase_add_loop_test(tc, delay_close_alone, 0, FLUSHERS);
	tcase_add_test(tc, reset_of_unix);
	tcase_add_loop_test(tc, numbers, 0, 10);
	tcase_add_test(tc, waiting_clients);
	tcase_add_test(tc, lines_replace);
	tcase_add_test(tc, bad_lines);
	tcase_add_loop_test(tc, end_of_lines, 0, 3);
	tcase_add_test(tc, long_line);
	tcase_add_loop_test(tc, apache_body, 0, NONE);
	tcase_add_test(tc, apache_body_once);
	tcase_add_loop_test(tc, apache_of_all, 0, FLUSHERS);
	tcase_add_loop_test(tc, apache_failures, 0, 5);
	tcase_add_test(tc, apache_queue);
	tcase_add_test(tc, apache_and_fault);
	suite_add_tcase(suite, tc);
	tc = tcase_create("fdfault");
	tcase_add_checked_fixture(tc, begin, end);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, nothing_wrong);
	tcase_add_test(tc, bad_senders);
	tcase_add_loop_test(tc, missing_backend, 0, 3);
	tcase_add_loop_test(tc, late_backend, 0, 2);
	tcase_add_loop_test(tc, ends, 0, 2);
	tcase_add_test(tc, abstract_name);
	tcase_add_loop_test(tc, mistakes, 0, 23);
	suite_add_tcase(suite, tc);
	return world_run(suite);
}
