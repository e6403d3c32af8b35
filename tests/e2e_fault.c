/* See LICENSE for copyright and license details. */

/*
 * fdfault behind the real fdproxy: hand-offs that go wrong, as the backend and
 * as the client see them; and compat=apache.  The environment's FDFAULT names
 * it.  With FAULTLESS in the environment, and CK_FORK=yes, the tests of faults
 * run without any kind and without compat=, and each of them must fail.
 */

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

#include "fdpass.h"
#include "world.h"

#define GET	"GET /app HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST	"POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n"
#define MANY	"two two two two two two two two two two two two two two " \
		"two two two"	/* one too many */
#define HEAD_MAX	65535
#define APACHE	8000	/* bytes of a connection that it takes at once */
#define DELAY	300	/* ms, as in "300ms" */
#define HELD	5000	/* ms that nobyte takes */
#define FDS	256	/* descriptors of a test are below */

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
static bool faultless;
static int listener;		/* the backend's */
static bool was_open[FDS];	/* before the test */
static pid_t fdfault = -1;
static int to_fault, from_fault;	/* its standard input and output */
static const char *fault_says;	/* what it must say; NULL: nothing */

/* What one recvmsg gives a backend. */
struct message {
	ssize_t len;
	char data[4096];
	int fd[4];
	int fds;
	int flags;
};

/* ---- fdfault ---- */

/* A child of it, or 0. */
static int
fault_child(void)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d/task/%d/children",
	    (int)fdfault, (int)fdfault);
	return (int)strtol(read_file(name), NULL, 10);
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
	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	fflush(NULL);
	fdfault = fork();
	ck_assert_int_ne(fdfault, -1);
	if (fdfault == 0) {
		err = open("fdfault.err", O_WRONLY | O_CREAT | O_TRUNC, 0644);
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(err, STDERR_FILENO);
		for (n = 3; n < FDS; n++)
			close(n);
		execv(binary, argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	to_fault = in[1];
	from_fault = out[0];
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

/* Start it on that socket, for the backend s, and wait until it listens. */
static void
start_fault(const char *faults, const char *name)
{
	const char *list = faultless ? "" : faults;
	char words[512];

	snprintf(words, sizeof(words), "%s%s%s s", list,
	    *list == '\0' ? "" : " ", name);
	spawn_fault(words);
	expect_line("ready");
}

static void
send_line(const char *text)
{
	ck_assert_int_eq(write(to_fault, text, strlen(text)),
	    (ssize_t)strlen(text));
}

/* Its status, or -1; the end of its output is that of its children, too. */
static int
fault_status(void)
{
	bool ended = readable(from_fault, WORLD_PATIENCE);
	int status;
	char c;

	if (!ended)
		kill(fdfault, SIGKILL);
	else
		ended = read(from_fault, &c, 1) == 0;
	waitpid(fdfault, &status, 0);
	fdfault = -1;
	return ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* It gets idle, and ends on a signal; what is wrong with that, or NULL. */
static const char *
end_fault(void)
{
	static char wrong[1024];
	long end = now_ms() + WORLD_PATIENCE;
	const char *said;
	int child, status;

	while ((child = fault_child()) != 0 && now_ms() < end)
		sched_yield();
	kill(fdfault, SIGTERM);
	status = fault_status();
	said = read_file("fdfault.err");
	if (child == 0 && status == 0 && access("f", F_OK) == -1 &&
	    (fault_says == NULL ? *said == '\0' :
	    strstr(said, fault_says) != NULL))
		return NULL;
	snprintf(wrong, sizeof(wrong), "fdfault had a child %d, ended with %d, "
	    "and says: %s", child, status, said);
	return wrong;
}

static void
begin(void)
{
	const char *name = getenv("FDFAULT");
	int fd;

	ck_assert_ptr_nonnull(realpath(name == NULL ? "./fdfault" : name,
	    binary));
	world_begin();
	for (fd = 0; fd < FDS; fd++)
		was_open[fd] = fcntl(fd, F_GETFD) != -1;
	to_fault = from_fault = listener = -1;
	fault_says = NULL;
}

/* Whatever the test has open is closed; then fdfault ends, then fdproxy. */
static void
end(void)
{
	const char *wrong = NULL;
	int fd;

	for (fd = 0; fd < FDS; fd++)
		if (!was_open[fd] && fd != to_fault && fd != from_fault)
			close(fd);
	if (fdfault != -1 && runner_at_end)
		wrong = end_fault();
	if (fdfault != -1) {
		kill(fdfault, SIGKILL);
		waitpid(fdfault, NULL, 0);
		fdfault = -1;
	}
	close(to_fault);
	close(from_fault);
	world_end();
	if (wrong != NULL)
		ck_abort_msg("%s", wrong);
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

/* Both, and the backend. */
static void
start(int flusher, const char *faults, const char *more)
{
	listener = backend_listen("s", 16);
	start_fault(faults, "f");
	start_proxy("f", flusher, more);
}

static int
client_send(const char *request)
{
	int fd = client_open();

	send_text(fd, request);
	return fd;
}

/* The next connection to the backend. */
static int
accept_next(void)
{
	int fd;

	ck_assert_msg(readable(listener, WORLD_PATIENCE),
	    "nobody connects to the backend");
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ne(fd, -1);
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
}

/* Whether something has come; without faults it will, and is waited for. */
static bool
heard(int conn)
{
	return readable(conn, faultless ? WORLD_PATIENCE : 0);
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

static void
expect_head(int client, int flusher)
{
	const char *head = flushers[flusher].head;

	read_exact(client, buf, strlen(head));
	ck_assert_int_eq(strncmp(buf, head, strlen(head)), 0);
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
}

static void
serve_all(int client, int fd, int flusher)
{
	serve(fd, flusher);
	expect_head(client, flusher);
	expect_text(client, END_FIN, "body");
}

/* The next hand-off is as ever. */
static void
check_next(int flusher, bool nonblock)
{
	int client = client_send(GET), fd = backend_take(listener);

	ck_assert_int_eq(nonblocking(fd), nonblock);
	serve_all(client, fd, flusher);
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
	LATE_END,		/* the end comes late */
	/* Neither message nor end comes, while others are served, until .. */
	BACKEND_LEAVES,
	CLIENT_LEAVES,
	STAYS			/* the same, behind the message */
};

#define ALL	(1 << FLUSH | 1 << FROM_FILE | 1 << NONE)
#define EATING	(1 << FLUSH | 1 << FROM_FILE)
#define HEAD	",payload=head"
#define COMPAT	",compat=apache"
#define LONG	"\0" GET, sizeof(GET)

static const struct hand_off {
	const char *faults;	/* what fdfault is started with */
	const char *more;	/* parameters of the route */
	int flushers;
	/* The request, if it is no GET: a head as long as that, and a body. */
	size_t head;
	size_t body;
	/* The backend's side: the message, none being the end. */
	const char *data;
	size_t len;
	int fds;
	int special;
	size_t lost;		/* of the body */
	/* The client's side. */
	enum view view;
} hand_offs[] = {
	{ "body@1", "", EATING, 0, 20000, "", 1, 1, PLAIN, APACHE, SERVED },
	{ "body@1", "", EATING, 0, APACHE, "", 1, 1, PLAIN, APACHE, SERVED },
	{ "body@1", "", EATING, 0, 5, "", 1, 1, PLAIN, 5, SERVED },
	{ "byte@1", "", ALL, 0, 0, "X", 1, 1, PLAIN, 0, SERVED },
	{ "byte@1", HEAD, EATING, 0, 0, "X" GET, sizeof(GET), 1, PLAIN, 0,
	    SERVED },
	/* On Linux a stream carries no control data without data. */
	{ "control@1", "", ALL, 0, 0, "", 0, 0, PLAIN, 0, UNSERVED },
	{ "control@1", HEAD, EATING, 0, 0, "", 0, 0, PLAIN, 0, UNSERVED },
	{ "delay-close:300ms@1", "", ALL, 0, 0, "", 1, 1, LATE_END, 0, SERVED },
	{ "delay-close:300ms@1", HEAD, EATING, 0, 0, LONG, 1, LATE_END, 0,
	    SERVED },
	{ "delay-close:1min@1", "", ALL, 0, 0, "", 1, 1, STAYS, 0, SERVED },
	{ "delay-pass:300ms@1", "", ALL, 0, 0, "", 1, 1, LATE, 0, SERVED },
	{ "delay-pass:300ms@1", HEAD, EATING, 0, 0, LONG, 1, LATE, 0, SERVED },
	{ "delay-pass:1min@1", "", ALL, 0, 0, "", 0, 0, CLIENT_LEAVES, 0,
	    UNSERVED },
	{ "drop@1", "", ALL, 0, 0, "", 0, 0, PLAIN, 0, UNSERVED },
	{ "drop@1", HEAD, EATING, 0, 0, "", 0, 0, PLAIN, 0, UNSERVED },
	{ "nobyte@1", "", ALL, 0, 0, "", 0, 0, BACKEND_LEAVES, 0, UNSERVED },
	{ "nobyte@1", "", ALL, 0, 0, "", 0, 0, CLIENT_LEAVES, 0, UNSERVED },
	{ "nofd@1", "", ALL, 0, 0, "", 1, 0, PLAIN, 0, UNSERVED },
	{ "nofd@1", HEAD, EATING, 0, 0, LONG, 0, PLAIN, 0, UNSERVED },
	{ "nonblock@1", "", ALL, 0, 0, "", 1, 1, UNBLOCKED, 0, SERVED },
	{ "reset@1", "", ALL, 0, 0, "", 1, 1, DEAD, 0, BROKEN },
	{ "two@1", "", ALL, 0, 0, "", 1, 2, PLAIN, 0, SERVED },
	{ "two@1", "", ALL, 0, 0, "", 1, 1, TRUNCATED, 0, SERVED },
	{ "two@1", HEAD, EATING, 0, 0, LONG, 2, PLAIN, 0, SERVED },
	/* As Apache: head and body up to 8000 bytes are taken, of a long head
	   nothing more; who leaves the head to the backend leaves it all. */
	{ "", COMPAT, ALL, 0, 0, "", 1, 1, UNBLOCKED, 0, SERVED },
	{ "", COMPAT, EATING, 0, 20000, "", 1, 1, UNBLOCKED,
	    APACHE - sizeof(POST) + 1, SERVED },
	{ "", COMPAT, EATING, 0, 7900, "", 1, 1, UNBLOCKED, 7900, SERVED },
	{ "", COMPAT, EATING, 0, 5, "", 1, 1, UNBLOCKED, 5, SERVED },
	{ "", COMPAT, EATING, 7000, 2000, "", 1, 1, UNBLOCKED, 1000, SERVED },
	{ "", COMPAT, 1 << NONE, 0, 5, "", 1, 1, UNBLOCKED, 0, SERVED },
	{ "byte@1", COMPAT, ALL, 0, 0, "X", 1, 1, UNBLOCKED, 0, SERVED }
};

/* The i-th row and flusher of those that go together; NULL behind the last. */
static const struct hand_off *
find_row(int i, int *flusher)
{
	const struct hand_off *h;

	for (h = hand_offs; h < hand_offs + COUNT(hand_offs); h++)
		for (*flusher = 0; *flusher < FLUSHERS; ++*flusher)
			if ((h->flushers & 1 << *flusher) != 0 && i-- == 0)
				return h;
	return NULL;
}

/* A descriptor is what it should be. */
static void
check_descriptor(int fd, bool unblocked, bool dead)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer), on_len = sizeof(int);
	int nodelay = 0, keepalive = 0;

	ck_assert_int_eq(nonblocking(fd), unblocked);
	getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &on_len);
	getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keepalive, &on_len);
	ck_assert(nodelay != 0 && keepalive != 0);
	ck_assert_int_eq(getpeername(fd, (struct sockaddr *)&peer, &len),
	    dead ? -1 : 0);
	if (dead) {
		ck_assert_int_eq(errno, ENOTCONN);
		ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	}
}

/* The backend's side: the client's descriptor. */
static int
check_message(const struct hand_off *h, int flusher, int client, int conn)
{
	size_t all = flusher == NONE ? strlen(POST) + h->body : h->body;
	struct message m;
	struct stat a, b;

	receive(conn, &m, h->special == TRUNCATED ? 1 : 4);
	ck_assert_int_eq(m.len, (ssize_t)h->len);
	ck_assert_int_eq(memcmp(m.data, h->data, h->len), 0);
	ck_assert_int_eq(m.fds, h->fds);
	ck_assert_int_eq((m.flags & MSG_CTRUNC) != 0, h->special == TRUNCATED);
	if (m.fds == 2) {
		ck_assert_int_eq(fstat(m.fd[0], &a), 0);
		ck_assert_int_eq(fstat(m.fd[1], &b), 0);
		ck_assert(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
		close(m.fd[1]);
	}
	if (m.fds == 0)
		return -1;
	check_descriptor(m.fd[0], h->special == UNBLOCKED, h->special == DEAD);
	if (h->body > 0)
		expect_left(client, m.fd[0], all - h->lost);
	return m.fd[0];
}

/* The client's side. */
static void
check_view(const struct hand_off *h, int flusher, int client, int fd)
{
	const char *head = flushers[flusher].head;
	size_t len;

	if (h->view == BROKEN) {
		ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len),
		    END_RESET);
		/* What was on its way is lost; byte by byte, that is some. */
		if (!world_torture())
			ck_assert_uint_eq(len, strlen(head));
		ck_assert_int_eq(strncmp(buf, head, len), 0);
		return;
	}
	expect_head(client, flusher);
	if (h->view == SERVED)
		serve(fd, h->body > 0 ? FLUSH : flusher);
	expect_text(client, h->view == UNSERVED && flusher == NONE ?
	    END_RESET : END_FIN, h->view == SERVED ? "body" : "");
}

/* What is held ends with whom it is held for; nobyte ends by itself, too. */
static void
check_held(const struct hand_off *h, int flusher, int client, int conn,
    long begun)
{
	bool early;

	if (h->special == STAYS)
		check_view(h, flusher, client,
		    check_message(h, flusher, client, conn));
	else
		expect_head(client, flusher);
	check_next(flusher, false);
	early = heard(conn) || (h->special != STAYS && readable(client, 0));
	ck_assert(!early || now_ms() - begun >= HELD);
	if (h->special == CLIENT_LEAVES) {
		reset_client(client);
		expect_end(conn);
		return;
	}
	close(conn);
	if (h->special == BACKEND_LEAVES)
		expect_text(client, flusher == NONE ? END_RESET : END_FIN, "");
}

TEST(hand_off)
{
	int flusher, client, conn, fd;
	const struct hand_off *h = find_row(_i, &flusher);
	bool compat = strcmp(h->more, COMPAT) == 0;
	long begun;

	start(flusher, h->faults, faultless && compat ? "" : h->more);
	begun = now_ms();
	client = client_open();
	if (h->body > 0)
		send_post(client, h->head, h->body);
	else
		send_text(client, GET);
	conn = accept_next();
	if (h->special >= BACKEND_LEAVES) {
		check_held(h, flusher, client, conn, begun);
		return;
	}
	fd = check_message(h, flusher, client, conn);
	if (h->special == LATE)
		ck_assert_int_ge(now_ms() - begun, DELAY);
	check_view(h, flusher, client, fd);
	if (h->len > 0)
		expect_end(conn);
	if (h->special == LATE_END)
		ck_assert_int_ge(now_ms() - begun, DELAY);
	if (strcmp(h->more, HEAD) != 0)
		check_next(flusher, compat);
}

/* It ends even if the backend waits for ever. */
TEST(nobyte_ends)
{
	int client, conn;
	long begun = now_ms();

	start(FLUSH, "nobyte@1", "");
	client = client_send(GET);
	conn = accept_next();
	expect_end(conn);
	ck_assert_int_ge(now_ms() - begun, HELD);
	expect_text(client, END_FIN, flushers[FLUSH].head);
}

/* Where there is no reset it is the end. */
TEST(reset_of_unix)
{
	char address[128];
	int client;

	listener = backend_listen("s", 16);
	start_fault("reset@1", "f");
	snprintf(address, sizeof(address), "unix:%s/front", world_dir());
	world_proxy("-l", address, "-r", "/app=f,flusher=none", NULL);
	client = client_unix("front");
	send_text(client, GET);
	ck_assert_int_eq(send(backend_take(listener), "x", 1, MSG_NOSIGNAL),
	    -1);
	expect_text(client, END_FIN, "");
}

/* ---- which hand-off ---- */

/* One request, and what came of it as a letter. */
static char
what_comes(void)
{
	int client = client_send(GET), conn = accept_next(), i;
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
expect_letters(const char *want)
{
	char got[32] = "";
	size_t i;

	for (i = 0; i < strlen(want); i++)
		got[i] = what_comes();
	ck_assert_str_eq(got, want);
}

static const struct {
	const char *faults;	/* what fdfault is started with */
	const char *want;
	const char *lines;	/* or NULL; without a newline they end */
	const char *answers[2];
	const char *then;
	const char *says;
} lists[] = {
	{ "drop", "dddddd", NULL, { NULL }, "", NULL },
	{ "drop@1", "d-----", NULL, { NULL }, "", NULL },
	{ "drop@3", "--d---", NULL, { NULL }, "", NULL },
	{ "byte@1+1", "bbbbbb", NULL, { NULL }, "", NULL },
	{ "byte@2+3", "-b--b--b", NULL, { NULL }, "", NULL },
	{ "nofd@1 two@2 byte@3 drop@4", "ntbd---", NULL, { NULL }, "", NULL },
	{ "nofd@2+2 byte@3+3 drop@5", "-nbndn-nbn", NULL, { NULL }, "", NULL },
	{ "drop@2+4 byte", "bdbbbdbb", NULL, { NULL }, "", NULL },
	{ "nonblock@1+2", "o-o-o-", NULL, { NULL }, "", NULL },
	{ "drop@1000000000 nofd@4+1000000000", "---n-", NULL, { NULL }, "",
	    NULL },
	/* A line is in the place of what was, and counting begins again. */
	{ "drop", "dd", "byte@1 nofd@2\n", { "ok" }, "bn-", NULL },
	{ "two@2", "-t", "  two@2\t \n", { "ok" }, "-t-", NULL },
	{ "drop", "d", "\n", { "ok" }, "--", NULL },
	{ "drop", "d", "drop\nnofd@2\n", { "ok", "ok" }, "-n", NULL },
	/* A bad one changes nothing, the count included. */
	{ "drop@2 byte@4+2", "-d", "nofd drap\n", { "bad" }, "-b-b",
	    "drap: unknown kind" },
	{ "drop@2", "-d", "drop@0\ncut:5\n", { "bad", "bad" }, "-", "cut: " },
	{ "drop@2", "-d", "byte:1\n" MANY "\n", { "bad", "bad" }, "-",
	    "two: too many" },
	{ "drop", "d", "delay-pass\ntwo\n", { "bad", "ok" }, "t",
	    "delay-pass: takes" },
	/* After the end the list stays: of a last line without one, too. */
	{ "drop@1+2", "d-", "", { NULL }, "d-", NULL },
	{ "drop@1+2", "d", "nofd@2", { "ok" }, "-n-", NULL },
	{ "drop@1+2", "d", "nofd@0", { "bad" }, "-d", "nofd: @" }
};

/* Each hand-off, with a probe and a wrong request before it. */
static void
expect_counted(const char *want)
{
	char letter[2] = "";

	for (; *want != '\0'; want++) {
		close(client_unix("f"));
		ck_assert_int_eq(status_of(exchange("GET /app\r\n\r\n")), 400);
		*letter = *want;
		expect_letters(letter);
	}
}

/* Of several the first that is due counts; what is no hand-off does not. */
TEST(counted)
{
	const char *text = lists[_i].lines;
	int i;

	start(FLUSH, lists[_i].faults, "");
	expect_counted(lists[_i].want);
	if (text != NULL)
		send_line(text);
	if (text != NULL && strchr(text, '\n') == NULL) {
		close(to_fault);
		to_fault = -1;
	}
	for (i = 0; i < 2 && lists[_i].answers[i] != NULL; i++)
		expect_line(lists[_i].answers[i]);
	expect_counted(lists[_i].then);
	fault_says = lists[_i].says;
}

/* Also in the place of a list whose count is used again, after 63 others. */
TEST(counted_anew)
{
	int i;

	start(FLUSH, "drop@2", "");
	expect_counted("-");
	for (i = 0; i < 64; i++) {
		send_line("drop@2\n");
		expect_line("ok");
	}
	expect_counted("-d");
}

/* Clients that have waited for fdfault have a number each. */
TEST(waiting_clients)
{
	char seen[256] = "";
	struct message m;
	int i;

	listener = backend_listen("s", 16);
	start_proxy("f", FLUSH, ",wait=1min");
	for (i = 0; i < 3; i++)
		client_send(GET);
	start_fault("drop@2 byte@3", "f");
	for (i = 0; i < 3; i++) {
		receive(accept_next(), &m, 4);
		seen[m.len == 0 ? 'd' : m.data[0] == 'X' ? 'b' : '-']++;
	}
	ck_assert(seen['d'] == 1 && seen['b'] == 1 && seen['-'] == 1);
}

/* ---- as Apache, and without fdfault ---- */

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

/* What of the body is taken is taken once, although the hand-off has to be
   repeated over another connection. */
TEST(apache_body_once)
{
	size_t all, len = write_large_file("large"), n;
	int client, fd;

	listener = backend_listen("s", 16);
	world_proxy("-r", faultless ? "/app=s,flusher=file:large" :
	    "/app=s,flusher=file:large" COMPAT, NULL);
	client = client_open_small();
	all = send_post(client, 0, 30000);
	read_exact(client, buf, 100);
	close(accept_next());
	for (len -= 100; len > 0; len -= n) {
		n = len < sizeof(buf) ? len : sizeof(buf);
		read_exact(client, buf, n);
	}
	fd = backend_take(listener);
	expect_left(client, fd, all - APACHE);
	serve(fd, FLUSH);
	expect_text(client, END_FIN, "body");
}

static const struct {
	const char *route;
	long ms;
} failures[] = {
	{ "/app=missing", 0 },
	{ "/app=stale", 0 },
	{ "/app=full,connectiontimeout=300ms", DELAY },
	{ "/=./", 0 },
	{ "/app=missing,wait=300ms", DELAY }
};

/* Every failure is a 500. */
TEST(apache_failures)
{
	char route[128];
	long begun;

	backend_listen("full", 1);
	close(backend_listen("stale", 1));
	client_unix("full");
	client_unix("full");
	snprintf(route, sizeof(route), "%s%s", failures[_i].route, faultless ?
	    "" : COMPAT);
	world_proxy("-r", route, NULL);
	begun = now_ms();
	ck_assert_int_eq(status_of(exchange(GET)), 500);
	ck_assert_int_ge(now_ms() - begun, failures[_i].ms);
	world_stop("cannot connect to ");
}

TEST(apache_queue)
{
	int client;

	backend_listen("s", 1);
	client_unix("s");
	client_unix("s");
	start_proxy("s", FLUSH, faultless ? ",queue=1,connectiontimeout=1min" :
	    ",queue=1,connectiontimeout=1min" COMPAT);
	client = client_send(GET);
	ck_assert_int_eq(status_of(exchange(GET)), 500);
	ck_assert(!readable(client, 0));
	reset_client(client);
	world_stop("too many wait");
}

/* ---- fdfault itself: these are no faults ---- */

/* What is too much of a line is lost; the next one is as ever. */
TEST(long_line)
{
	char line[1023 + 8];

	start(FLUSH, "", "");
	memset(line, ' ', 1023);
	memcpy(line, "drop@2", 6);
	strcpy(line + 1023, " nofd\n");
	send_line(line);
	expect_line("ok");
	expect_letters("-d-");
	send_line("nofd\n");
	expect_line("ok");
	expect_letters("nn");
}

static const size_t head_lens[] = { sizeof(GET) - 1, 48 * 1024, HEAD_MAX };

/* Without any kind, all is passed on; heads whole, however long. */
TEST(nothing_wrong)
{
	static char head[HEAD_MAX + 1];
	size_t n = sizeof(GET) - 3, len;
	int client, fd;

	start(FLUSH, "", HEAD);
	/* Lines of 4096 bytes, and what is left over: never too few. */
	for (strcpy(head, GET); n + 2 < head_lens[_i]; n += len) {
		len = head_lens[_i] - 2 - n;
		len = len > 2 * 4096 ? 4096 : len > 4096 ? len / 2 : len;
		memset(head + n, 'a', len);
		memcpy(head + n + 1, ": ", 2);
		memcpy(head + n + len - 2, "\r\n", 2);
	}
	strcpy(head + n, "\r\n");
	client = client_send(head);
	fd = backend_take_payload(listener, buf, sizeof(buf));
	ck_assert(strcmp(buf, head) == 0);	/* too long to show */
	serve_all(client, fd, FLUSH);
}

/* A message of our own: its connection. */
static int
send_message(const void *data, size_t len, const int *fds, size_t n)
{
	int conn = client_unix("f");

	ck_assert_int_eq(fdpass_send_fds(conn, fds, n, data, len),
	    (ssize_t)len);
	return conn;
}

/* What senders should not do keeps nobody waiting, and has no number. */
TEST(bad_senders)
{
	static char much[HEAD_MAX + 2];
	int pair[2], slow;

	start(FLUSH, "drop@3", "");
	client_unix("f");
	close(send_message("", 1, NULL, 0));
	until_file("fdfault.err", "a message came without a descriptor");
	/* One whose end is late comes to be the second, or the first. */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	slow = send_message("", 1, pair, 1);
	close(pair[0]);
	expect_letters("-");
	ck_assert(!readable(pair[1], 0));
	close(slow);
	close(backend_take(listener));
	expect_text(pair[1], END_FIN, "");
	expect_letters("d-");
	/* Too much. */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	close(send_message(much, sizeof(much), pair, 1));
	close(pair[0]);
	expect_text(pair[1], END_FIN, "");
	ck_assert(!readable(listener, 0));
	fault_says = "cannot pass to s: Message too";
}

/* What is no socket will not be one: the client is reset. */
TEST(broken_backend)
{
	int i;

	write_file("s", "");
	start_fault("", "f");
	start_proxy("f", FLUSH, "");
	for (i = 0; i < 2; i++)
		expect_text(client_send(GET), END_RESET, flushers[FLUSH].head);
	fault_says = "cannot connect to s: Connection refused";
}

enum { MISSING, STALE, FULL, LATE_BACKENDS };

/* A backend that comes late, or has no room for a while. */
TEST(late_backend)
{
	int client, i;

	if (_i != MISSING)
		listener = backend_listen("s", 1);
	if (_i == STALE)
		close(listener);
	for (i = 0; i < 2 && _i == FULL; i++)
		client_unix("s");
	start_fault("", "f");
	start_proxy("f", FLUSH, "");
	client = client_send(GET);
	expect_head(client, FLUSH);
	until_child_sleeps(5);
	if (_i != FULL)
		listener = backend_listen("s", 16);
	for (i = 0; i < 2 && _i == FULL; i++)
		close(accept_next());
	serve(backend_take(listener), FLUSH);
	expect_text(client, END_FIN, "body");
}

/* A client that no longer waits for the backend is noticed. */
TEST(client_leaves)
{
	int client;

	start_fault("", "f");
	start_proxy("f", FLUSH, "");
	client = client_send(GET);
	expect_head(client, FLUSH);
	until_child_sleeps(5);
	reset_client(client);
}

/* A signal ends it with all that waits; a file that is not its own stays. */
TEST(ends)
{
	int client, conn;

	start(FLUSH, "delay-pass:1min", "");
	client_unix("f");
	client = client_send(GET);
	conn = accept_next();
	expect_head(client, FLUSH);
	if (_i == 1) {
		ck_assert_int_eq(rename("f", "g"), 0);
		write_file("f", "");
	}
	ck_assert_int_eq(kill(fdfault, _i == 0 ? SIGTERM : SIGINT), 0);
	ck_assert_int_eq(fault_status(), 0);
	ck_assert_str_eq(read_file("fdfault.err"), "");
	ck_assert_int_eq(access("f", F_OK), _i == 0 ? -1 : 0);
	expect_end(conn);
	expect_text(client, END_FIN, "");
}

/* On Linux, a name without a file. */
/*
 * Its socket is gone when a client's head is out at last: fdproxy itself resets
 * the client, of which nothing is unread by then.
 */
TEST(ends_before_its_turn)
{
	size_t left = world_torture() ? 60000 : (size_t)8 * 1024 * 1024;
	int client;
	ssize_t n;
	FILE *f;

	f = fopen("f.txt", "w");
	ck_assert_ptr_nonnull(f);
	fputs("HTTP/1.1 200 OK\r\n\r\n", f);
	while (left-- > 0)
		putc('x', f);
	ck_assert_int_eq(fclose(f), 0);
	listener = backend_listen("s", 16);
	start_fault("", "f");
	world_proxy("-r", "/app=f,flusher=file:f.txt", NULL);
	client = client_open_small();
	send_text(client, GET);
	read_exact(client, buf, 100);
	until_child_sleeps(1);
	ck_assert_int_eq(kill(fdfault, SIGTERM), 0);
	ck_assert_int_eq(fault_status(), 0);
	do {
		ck_assert(readable(client, WORLD_PATIENCE));
		n = read(client, buf, sizeof(buf));
	} while (n > 0);
	ck_assert_int_eq(n, -1);
	ck_assert_int_eq(errno, ECONNRESET);
	world_expect("reset after its head was sent");
}

TEST(abstract_name)
{
	char name[96];

	listener = backend_listen("s", 16);
	snprintf(name, sizeof(name), "@%s/f", world_dir());
	start_fault("byte@2", name);
	start_proxy(name, FLUSH, "");
	expect_letters("-b-");
}

static const struct {
	const char *words;
	int status;
	const char *text;
} wrongs[] = {
	{ "full f s", 2, "full: comes before fdfault: leave" },
	{ "missing@2 f s", 2, "missing: comes before fdfault: leave" },
	{ "cut:5 f s", 2, "cut: comes before fdfault: let" },
	{ " f s", 2, ": unknown kind" },
	{ "drop+2 f s", 2, "drop+2: unknown kind" },
	{ "drop:1 f s", 2, "drop: takes no time" },
	{ "delay-pass f s", 2, "delay-pass: takes a time" },
	{ "delay-pass: f s", 2, "takes a time" },
	{ "delay-pass:1x f s", 2, "takes a time" },
	{ "delay-pass:865000s f s", 2, "takes a time" },
	{ "drop@ f s", 2, "drop: @ and + take a number" },
	{ "drop@0 f s", 2, "@ and + take a number" },
	{ "drop@1x f s", 2, "@ and + take a number" },
	{ "drop@1000000001 f s", 2, "@ and + take a number" },
	{ "drop@1+ f s", 2, "@ and + take a number" },
	{ "drop@1+0 f s", 2, "@ and + take a number" },
	{ MANY " f s", 2, "two: too many faults" },
	{ "f", 2, "usage: fdfault" },
	{ "-x f s", 2, "usage: fdfault" },
	{ " s", 2, "the path of a socket is empty" },
	{ "there s", 1, "cannot listen on there: " }
};

/* Options and operands that are refused. */
TEST(mistakes)
{
	backend_listen("there", 1);
	spawn_fault(wrongs[_i].words);
	ck_assert_int_eq(fault_status(), wrongs[_i].status);
	ck_contains(read_file("fdfault.err"), wrongs[_i].text);
	ck_assert_int_eq(access("f", F_OK), -1);
}

int
main(int argc, char **argv)
{
	int rows = 0, others = getenv("FAULTLESS") == NULL ? 1 : 0, flusher;

	while (find_row(rows, &flusher) != NULL)
		rows++;
	faultless = others == 0;
	const struct test tests[] = {
		TIMES(hand_off, rows),
		ONCE(nobyte_ends),
		ONCE(reset_of_unix),
		TIMES(counted, COUNT(lists)),
		ONCE(counted_anew),
		ONCE(waiting_clients),
		ONCE(apache_body_once),
		TIMES(apache_failures, COUNT(failures)),
		ONCE(apache_queue),
		/* No faults. */
		TIMES(long_line, others),
		TIMES(nothing_wrong, others * COUNT(head_lens)),
		TIMES(bad_senders, others),
		TIMES(broken_backend, others),
		TIMES(late_backend, others * LATE_BACKENDS),
		TIMES(client_leaves, others),
		TIMES(ends, others * 2),
		TIMES(ends_before_its_turn, others),
		TIMES(abstract_name, others),
		TIMES(mistakes, others * COUNT(wrongs))
	};

	return runner_run(argc, argv, tests, COUNT(tests), begin, end);
}
