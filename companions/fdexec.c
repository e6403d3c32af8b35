/* See LICENSE for copyright and license details. */

/*
 * fdexec: receives clients on a socket and runs a program for each, as
 * inetd(8) does: the client is the program's standard input and output.
 *
 * With -w it is a worker: it connects and asks for as many clients as it may
 * have children.
 *
 * One process, one poll(2) loop, and a child for each client: it is started
 * once all that the program is to know has come, so that nobody who lets it
 * wait takes up more than a slot.  With -C the child goes on as fdexec_relay(),
 * and the program is the child's.
 *
 * Nothing else waits: senders' sockets are ours and O_NONBLOCK, clients are
 * read with MSG_DONTWAIT, a time in SO_LINGER is switched off before close(2),
 * waitpid(2) has WNOHANG, messages do not wait for their reader (log.c).  But
 * descriptors that come inside of others, or from a client itself, are closed
 * by the system, in here, and one with SO_LINGER can wait.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fdbackend.h"
#include "fdexec_cgi.h"
#include "fdexec_relay.h"
#include "fdpass.h"
#include "http_parse.h"
#include "log.h"
#include "proc.h"
#include "sock.h"
#include "text.h"

#define BACKLOG		128
#define CHILDREN	40
#define CHILDREN_MAX	10000
#define SPARE		64	/* slots beyond those of the children */
#define RESERVE		16	/* descriptors beyond those of the slots */
#define COUNTED		65536	/* numbers that may be taken at the start */
#define ACCEPTS		64	/* in one turn */
#define QUEUE_MAX	4096	/* of a listener that others go on filling */
#define READS		16	/* of one lingering client in one turn */

#ifndef POLLRDHUP
#define POLLRDHUP	0
#endif

/* Milliseconds. */
#define PAUSE_MS	100	/* without descriptors or processes */
#define SILENT_MS	5000	/* from a connection to its message */
#define HEAD_MS		5000	/* from a head's first byte to its last */
#define ALONE_MS	1000	/* for a head's first byte, or the end */
#define QUIET_MS	2000	/* of a client that is to close */
#define LINGER_MS	30000	/* for a client to close, however busy */
#define MESSAGE_MS	1000	/* from one message to the next of its kind */

enum state {
	FREE,
	SILENT,			/* a sender, no message from it yet */
	HEAD,			/* its client; the head may still come */
	RUNNING,		/* our copy of the client of a program */
	LINGERING		/* a client whose program has ended */
};

struct slot {
	enum state state;
	int sender;		/* SILENT, HEAD; else -1 */
	int client;		/* HEAD, RUNNING, LINGERING; else -1 */
	pid_t pid;
	char *head;		/* what has come of a head, or NULL */
	size_t len;
	struct http_scan scan;
	int64_t since;		/* begin of the state, or of the head */
	int64_t heard;		/* LINGERING: when the last bytes came */
};

/* Messages that a sender or a client can cause. */
enum kind {
	PAUSE,
	LOST,
	NO_DESCRIPTOR,
	NO_SOCKET,
	NO_HEAD,
	CUT,
	CROWD,
	NO_CHANNEL,
	NOT_RUN,
	KILLED,
	NO_ANSWER,
	NO_REQUEST,
	KINDS
};

/* What stands before the slots in the table for poll(2). */
enum {
	POLL_SIGNALS,
	POLL_LISTENER,
	POLL_SLOTS
};

static struct {
	struct sock_addr addr;
	struct sock_file file;	/* the socket's, to unlink no other's */
	char **argv;		/* the program's */
	int inherited;		/* the socket's number at the start, or -1 */
	int backlog;
	int mode;		/* of the socket's file, or -1 */
	const char *owner;	/* of it, or NULL */
	const char *group;
	uid_t uid;
	gid_t gid;
	unsigned int children;	/* at most */
	unsigned int running;
	unsigned int senders;	/* connected: SPARE at most */
	unsigned int slots;
	struct slot *slot;
	struct pollfd *poll;
	int signals;		/* readable when one came */
	int failed[2];		/* errno of children that are no program */
	int listener;
	bool cgi;		/* the program is for fdexec_relay() */
	bool worker;		/* it is no listener, but a channel */
	unsigned int asked;	/* clients, over it, that have not come */
	unsigned int step;	/* fdbackend_delay()'s */
	int64_t again;		/* when to connect again, without it */
	int next;		/* accepted, without a slot yet; or -1 */
	int late;		/* accepted since the stop */
	int64_t pause;		/* until then nothing is taken; or 0 */
	bool stopping;
	bool done;
} server = { .inherited = -1, .backlog = BACKLOG, .mode = -1,
    .children = CHILDREN, .listener = -1, .next = -1 };

static const int signals[] = { SIGCHLD, SIGINT, SIGTERM, 0 };

/* A message and what follows it; a lingering client's bytes, to be dropped. */
static char buffer[1 + HTTP_HEAD_MAX];

static const char usage[] =
    "usage: fdexec [-ChVw] [-b backlog] [-c children] [-g group] [-m mode]\n"
    "              [-o owner] socket program [arg ...]\n";

static void
help(void)
{
	text_write(STDOUT_FILENO, "%s\n"
	    "Receives clients on a socket and runs a program for each.\n\n"
	    "  -b backlog    connections that may wait (default %d)\n"
	    "  -C            the program is a CGI program\n"
	    "  -c children   programs that run at a time (default %d)\n"
	    "  -g group      group of the socket's file\n"
	    "  -h            this help\n"
	    "  -m mode       permissions of the socket's file, octal\n"
	    "  -o owner      owner of the socket's file\n"
	    "  -V            print the version and exit\n"
	    "  -w            connect to the socket as a worker, and ask\n\n"
	    "socket: a path, @name (abstract), or fd:N, which listens already\n"
	    "Example: fdexec -m 660 /run/hello.sock cat /etc/motd\n",
	    usage, BACKLOG, CHILDREN);
}

static int64_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- messages ---- */

/* At most one of a kind a second; the next tells how many were left out. */
static TEXT_PRINTF(2, 3) void
complain(enum kind kind, const char *fmt, ...)
{
	static struct {
		int64_t next;
		unsigned long left_out;
	} kinds[KINDS];
	char text[LOG_LINE], more[48] = "";
	int64_t t = now();
	va_list ap;

	if (t < kinds[kind].next) {
		kinds[kind].left_out++;
		return;
	}
	va_start(ap, fmt);
	text_vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (kinds[kind].left_out > 0)
		text_format(more, sizeof(more), " (and %lu like it before)",
		    kinds[kind].left_out);
	log_warn("%.*s%s", LOG_LINE / 2, text, more);
	kinds[kind].next = t + MESSAGE_MS;
	kinds[kind].left_out = 0;
}

/* ---- the child, until it is the program ---- */

/*
 * What is meant for execvp(3) to close would stay open, and others' connections
 * with it, as long as the program of this client runs.
 */
static void
close_others(int client)
{
	struct slot *s;

	for (s = server.slot; s < server.slot + server.slots; s++) {
		if (s->sender != -1)
			close(s->sender);
		if (s->client != -1 && s->client != client)
			sock_close(s->client);
	}
	if (server.listener != -1)
		close(server.listener);
	if (server.next != -1)
		close(server.next);
}

/*
 * Whatever else is open is closed by execvp(3).  An end without a program is no
 * clean end, which a client could take for an empty answer; the option is the
 * open file's, so it is our parent's close(2) that resets.
 */
static _Noreturn void
run_child(int client, const struct sock_addr *local,
    const struct sock_addr *remote, const struct http_head *head)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	struct linger off = { 1, 0 };
	int sig, error;

	sigemptyset(&sa.sa_mask);
	for (sig = 1; sig < NSIG; sig++)
		sigaction(sig, &sa, NULL);
	sigprocmask(SIG_SETMASK, &sa.sa_mask, NULL);
	proc_restore_nofile();
	/* Some senders leave it set; programs do not expect it. */
	sock_nonblock(client, false);
	if (server.cgi) {
		close_others(client);
		fdexec_relay(client, local, remote, server.argv,
		    server.failed[1]);
	}
	if (fdexec_cgi_connection(local, remote) &&
	    (head == NULL || fdexec_cgi_request(head)) &&
	    dup2(client, STDIN_FILENO) != -1 &&
	    dup2(client, STDOUT_FILENO) != -1)
		execvp(server.argv[0], server.argv);
	error = errno;
	setsockopt(client, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	_exit(write(server.failed[1], &error, sizeof(error)) == -1 ? 126 : 127);
}

/* ---- slots ---- */

/* Nothing is accepted and no message is read. */
static bool
full(void)
{
	return server.running == server.children || server.pause != 0;
}

static void
pause_taking(const char *what)
{
	complain(PAUSE, "%s: %s; going on in %d ms", what, strerror(errno),
	    PAUSE_MS);
	server.pause = now() + PAUSE_MS;
}

/*
 * From a sender: bytes, 0 at the end, or -1 with errno.  Descriptors but the
 * first message's are no use, but they must be taken: the last close(2) of a
 * socket that lingers would wait here, also one of the system's.
 */
static ssize_t
receive(int sender, char *to, size_t size)
{
	int surplus;
	ssize_t n = fdpass_recv(sender, to, size, &surplus);

	if (surplus != -1)
		sock_close(surplus);
	return n;
}

static void
close_sender(struct slot *s)
{
	char rest[4096];

	shutdown(s->sender, SHUT_RD);
	while (receive(s->sender, rest, sizeof(rest)) > 0)
		;
	close(s->sender);
	s->sender = -1;
	server.senders--;
	free(s->head);
	s->head = NULL;
}

static void
release(struct slot *s)
{
	if (s->sender != -1)
		close_sender(s);
	if (s->client != -1)
		sock_close(s->client);
	*s = (struct slot){ .state = FREE, .sender = -1, .client = -1 };
}

/* Its client sees no end, which it could take for an empty answer. */
static void
reject(struct slot *s)
{
	sock_reset(s->client);
	s->client = -1;
	release(s);
}

/* What a client sends that nobody reads any more. */
static void
drain(struct slot *s)
{
	ssize_t n;
	int i;

	for (i = 0; i < READS; i++) {
		n = recv(s->client, buffer, sizeof(buffer), MSG_DONTWAIT);
		if (n > 0) {
			s->heard = now();
		} else if (n == 0 || (errno != EINTR && errno != EAGAIN &&
		    errno != EWOULDBLOCK)) {
			release(s);
			return;
		} else if (errno != EINTR) {
			return;
		}
	}
}

/*
 * The program has ended.  To close over bytes that were not read would be a
 * reset, and could take its answer away from the client: end our side, then
 * wait for the client's.  Unless a reset is what the child wanted.
 */
static void
begin_linger(struct slot *s)
{
	struct linger option = { 0, 0 };
	socklen_t len = sizeof(option);

	if ((getsockopt(s->client, SOL_SOCKET, SO_LINGER, &option, &len) == 0 &&
	    option.l_onoff != 0 && option.l_linger == 0) ||
	    shutdown(s->client, SHUT_WR) == -1) {
		release(s);
		return;
	}
	s->state = LINGERING;
	s->since = s->heard = now();
}

/* The slot has a client, and its head if there is one. */
static void
start_child(struct slot *s, const struct http_head *head)
{
	const struct linger none = { 0, 0 };
	struct sock_addr local, remote;
	sigset_t all, old;
	pid_t pid;

	/* One that is gone by now is nobody to be served. */
	if (sock_name(s->client, &local) == -1 ||
	    sock_peer(s->client, &remote) == -1) {
		if (errno == ENOTSOCK)
			complain(NO_SOCKET,
			    "a descriptor came that is no socket");
		reject(s);
		return;
	}
	/* What a sender has set is not the program's wish. */
	setsockopt(s->client, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	/* Else a signal to the child would reach our pipe. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0)
		run_child(s->client, &local, &remote, head);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid == -1) {
		pause_taking("cannot start a process");
		reject(s);
		return;
	}
	if (s->sender != -1)
		close_sender(s);
	s->pid = pid;
	s->state = RUNNING;
	server.running++;
}

/* ---- messages of senders ---- */

/*
 * A head, or what has come of it, has len bytes at p: the slot's memory, or
 * the buffer, while nothing of it is kept.
 */
static void
parse_head(struct slot *s, const char *p, size_t len)
{
	struct http_head head;
	int n = http_parse_head(p, len, &s->scan, &fdexec_cgi_limits, &head);

	if (n >= 0 && (size_t)n == len) {
		start_child(s, &head);
		return;
	}
	if (n == HTTP_PARTIAL && s->head == NULL) {
		s->since = now();
		s->head = malloc(HTTP_HEAD_MAX);
		if (s->head != NULL)
			memcpy(s->head, p, len);
	}
	if (n == HTTP_PARTIAL && s->head != NULL) {
		s->len = len;
		return;
	}
	complain(NO_HEAD, n == HTTP_PARTIAL ? "out of memory" :
	    "a payload is not the head of a request");
	reject(s);
}

/*
 * No more comes of a head.  Since the descriptor came with the first byte, all
 * others may follow by themselves: that there are none is certain once the
 * sender has closed, and taken for certain after a time.
 */
static void
end_head(struct slot *s, bool lost)
{
	if (s->head == NULL && !lost) {
		start_child(s, NULL);
		return;
	}
	complain(CUT, "a head was cut short after %zu bytes", s->len);
	reject(s);
}

static void
take_head(struct slot *s)
{
	char *p = s->head != NULL ? s->head : buffer;
	ssize_t n = receive(s->sender, p + s->len, HTTP_HEAD_MAX - s->len);

	if (n > 0)
		parse_head(s, p, s->len + (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
		end_head(s, n == -1);
}

static void
take_message(struct slot *s)
{
	ssize_t n = fdpass_recv(s->sender, buffer, sizeof(buffer), &s->client);

	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	if (n > 0 && s->client != -1) {
		s->state = HEAD;
		s->since = now();
		if (n > 1)
			parse_head(s, buffer + 1, (size_t)n - 1);
		else
			take_head(s);
		return;
	}
	if (n > 0)
		complain(NO_DESCRIPTOR, "a message came without a descriptor");
	else if (n == -1 && errno == EMFILE)
		complain(LOST, "a client is lost: no descriptors left");
	/* The end without a message is somebody's probe. */
	release(s);
}

/* Take what is there for a slot. */
static void
look(struct slot *s)
{
	if (s->state == LINGERING)
		drain(s);
	else if (s->state == SILENT && !full())
		take_message(s);
	else if (s->state == HEAD && !full())
		take_head(s);
}

/* The one that has been longest in one of these states, or NULL. */
static struct slot *
oldest(enum state a, enum state b)
{
	struct slot *s, *found = NULL;
	unsigned int i;

	for (i = 0; i < server.slots; i++) {
		s = &server.slot[i];
		if ((s->state == a || s->state == b) &&
		    (found == NULL || s->since < found->since))
			found = s;
	}
	return found;
}

/*
 * There is one always: the children never have all slots.  For a sender beyond
 * SPARE, or without a free slot, the oldest makes room after a last look: a
 * sender or a client that lingers, but neither have less than half of SPARE
 * because of the others.  NULL: programs have started by then, as many as may.
 */
static struct slot *
vacant(void)
{
	enum state state;
	struct slot *s;

	while ((s = oldest(FREE, FREE)) == NULL || server.senders == SPARE) {
		/* Nobody is looked at any more. */
		if (full())
			return NULL;
		s = server.senders > SPARE / 2 ? oldest(SILENT, HEAD) :
		    oldest(LINGERING, LINGERING);
		state = s->state;
		look(s);
		if (s->state != state)
			continue;
		if (state == HEAD && s->head == NULL) {
			end_head(s, false);
		} else if (state == HEAD) {
			complain(CROWD, "too many heads are not whole");
			reject(s);
		} else {
			release(s);
		}
	}
	return s;
}

/* When the slot's time is over. */
static int64_t
deadline(const struct slot *s)
{
	int64_t quiet = s->heard + QUIET_MS, busy = s->since + LINGER_MS;

	if (s->state == LINGERING)
		return quiet < busy ? quiet : busy;
	/* What we do not read is nobody's silence. */
	if (s->state == SILENT && !full())
		return s->since + SILENT_MS;
	if (s->state == HEAD && !full())
		return s->since + (s->head == NULL ? ALONE_MS : HEAD_MS);
	return INT64_MAX;
}

/* ---- as a worker ---- */

static void
connect_channel(void)
{
	char path[SOCK_TEXT];

	if (server.inherited == -1)
		server.listener = fdbackend_connect(sock_path(&server.addr,
		    path, sizeof(path)));
	if (server.listener == -1) {
		complain(NO_CHANNEL, "cannot connect to %s: %s; it is tried "
		    "again", path, strerror(errno));
		server.again = now() + fdbackend_delay(&server.step);
		return;
	}
	sock_nonblock(server.listener, true);
	server.asked = 0;
}

/* One client for each program that may be started; none when it is over. */
static void
ask(void)
{
	unsigned int n;
	int asked;

	if (server.listener == -1 && !server.stopping && now() >= server.again)
		connect_channel();
	n = server.children - server.running - server.asked;
	if (server.listener == -1 || server.stopping || full() || n == 0)
		return;
	asked = fdbackend_ask(server.listener, n);
	if (asked > 0)
		server.asked += (unsigned int)asked;
}

/*
 * The head of a client stands behind it, or not: the next byte is no NUL then.
 * It is peeked at, since another client may stand behind it, and whole, since
 * it came in the same message.  False if its end is not to be found.
 */
static bool
start_with_head(struct slot *s)
{
	struct http_head head;
	ssize_t n = recv(server.listener, buffer, sizeof(buffer) - 1,
	    MSG_PEEK);
	char *end;
	int len;

	if (n <= 0 || buffer[0] == '\0') {
		start_child(s, NULL);
		return true;
	}
	len = http_parse_head(buffer, (size_t)n, &s->scan, &fdexec_cgi_limits,
	    &head);
	if (len > 0 && recv(server.listener, buffer, (size_t)len, 0) == len) {
		start_child(s, &head);
		return true;
	}
	complain(NO_HEAD, "a payload is not the head of a request");
	reject(s);
	buffer[n] = '\0';
	end = strstr(buffer, "\r\n\r\n");
	return end != NULL && recv(server.listener, buffer,
	    (size_t)(end + 4 - buffer), 0) > 0;
}

/* The end of the channel; fdproxy may come back, unless it is our parent. */
static void
lose_channel(void)
{
	close(server.listener);
	server.listener = -1;
	server.again = now() + fdbackend_delay(&server.step);
	server.stopping = server.stopping || server.inherited != -1;
}

static void
take_clients(void)
{
	struct slot *s;
	int client, n, took;

	for (n = 0; n < ACCEPTS && !full() && server.listener != -1; n++) {
		took = fdbackend_take(server.listener, &client);
		if (took == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (took == -1 && errno == EBADMSG)
			continue;	/* the head of one that was lost */
		if (took == 0 || (took == -1 && errno != EMFILE)) {
			lose_channel();
			return;
		}
		server.step = 0;
		server.asked -= server.asked > 0;
		if (took == -1) {
			complain(LOST, "a client is lost: no descriptors left");
			continue;
		}
		s = vacant();
		s->client = client;
		if (!start_with_head(s))
			lose_channel();
	}
}

/* ---- the loop ---- */

static void
close_listener(void)
{
	if (server.listener != -1)
		close(server.listener);
	server.listener = -1;
}

/* Whether to go on accepting. */
static bool
accept_failed(void)
{
	switch (errno) {
	case EAGAIN:
#if EWOULDBLOCK != EAGAIN
	case EWOULDBLOCK:
#endif
		if (server.stopping)
			close_listener();
		/* Somebody who has it, too, has shut it down. */
		else if (server.poll[POLL_LISTENER].revents & ~POLLIN)
			pause_taking("cannot accept");
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		pause_taking("cannot accept");
		return false;
	default:
		return true;
	}
}

static void
accept_senders(void)
{
	struct sock_addr peer;	/* a sender has no name */
	struct slot *s;
	int n;

	for (n = 0; n < ACCEPTS && !full() &&
	    (server.listener != -1 || server.next != -1); n++) {
		if (server.next == -1)
			server.next = sock_accept(server.listener, &peer);
		if (server.next == -1) {
			if (!accept_failed())
				return;
			continue;
		}
		if (sock_nonblock(server.next, true) == -1) {
			close(server.next);
			server.next = -1;
			continue;
		}
		s = vacant();
		if (s == NULL)
			return;
		if (server.stopping && server.inherited != -1 &&
		    ++server.late >= QUEUE_MAX)
			close_listener();
		s->state = SILENT;
		s->sender = server.next;
		server.next = -1;
		server.senders++;
		s->since = now();
		look(s);
	}
}

/* Clients wait in the listener's queue: they are served, then it is closed. */
static void
stop(void)
{
	if (server.stopping) {
		server.done = true;
		return;
	}
	server.stopping = true;
	if (server.running > 0)
		log_notice("stopping; %u programs run", server.running);
	if (server.worker) {
		if (server.listener != -1)
			fdbackend_leave(server.listener);
		return;
	}
	/* Others may have what is not ours, and go on. */
	if (server.inherited != -1)
		return;
	sock_remove(&server.addr, &server.file);
	/* A name without a file, which Linux alone has, stays as long as the
	   socket: no more of them, but those that are in the queue. */
	if (!sock_is_file(&server.addr))
		shutdown(server.listener, SHUT_RD);
}

/* How a program has ended, or fdexec_relay() with it. */
static void
report(pid_t pid, int status)
{
	int code = server.cgi && WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	int sig = code > 128 ? code - 128 : 0;

	if (WIFSIGNALED(status))
		sig = WTERMSIG(status);
	/* SIGPIPE is a client that did not wait. */
	if (sig != 0 && sig != SIGPIPE && !server.stopping)
		complain(KILLED, "%s[%ld] ended by signal %d", server.argv[0],
		    (long)pid, sig);
	if (code == FDEXEC_RELAY_BAD)
		complain(NO_ANSWER, "%s[%ld] did not begin with the head of "
		    "a response", server.argv[0], (long)pid);
	if (code == FDEXEC_RELAY_SILENT)
		complain(NO_REQUEST, "a client came without its request: the "
		    "route must have flusher=none");
}

/* Whether there is no relay any more, or was none: no answer is whole. */
static bool
cut_off(int status)
{
	return server.cgi && (WIFSIGNALED(status) ||
	    WEXITSTATUS(status) == FDEXEC_RELAY_SILENT);
}

static void
reap(void)
{
	struct slot *s;
	unsigned int i;
	int status, error;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (i = 0; i < server.slots; i++) {
			s = &server.slot[i];
			if (s->state != RUNNING || s->pid != pid)
				continue;
			server.running--;
			if (cut_off(status))
				reject(s);
			else
				begin_linger(s);
			report(pid, status);
			break;
		}
	}
	while (read(server.failed[0], &error, sizeof(error)) > 0)
		complain(NOT_RUN, "%s: %s", server.argv[0], strerror(error));
}

static void
take_signals(void)
{
	bool by_terminal;
	int sig;

	while ((sig = proc_signal(&by_terminal)) != -1) {
		if (sig == SIGCHLD)
			reap();
		else
			stop();
	}
}

static void
take_slots(void)
{
	unsigned int i;

	for (i = 0; i < server.slots; i++)
		if (server.poll[POLL_SLOTS + i].revents != 0)
			look(&server.slot[i]);
}

/* A sender may have spoken while we did not read: one look before the end. */
static void
take_deadlines(void)
{
	int64_t t = now();
	struct slot *s;
	unsigned int i;

	for (i = 0; i < server.slots; i++) {
		s = &server.slot[i];
		if (t < deadline(s))
			continue;
		look(s);
		if (t < deadline(s))
			continue;
		if (s->state == HEAD)
			end_head(s, false);
		else
			release(s);
	}
	if (server.pause != 0 && t >= server.pause)
		server.pause = 0;
}

/* Fill in the table for poll(2).  Returns how long to wait, or -1. */
static int
prepare(void)
{
	int64_t t = now(), first = INT64_MAX, due;
	struct slot *s;
	unsigned int i;

	server.poll[POLL_SIGNALS].fd = server.signals;
	server.poll[POLL_LISTENER].fd = full() ? -1 : server.listener;
	for (i = 0; i < server.slots; i++) {
		s = &server.slot[i];
		server.poll[POLL_SLOTS + i].fd = s->state == LINGERING ?
		    s->client : full() ? -1 : s->sender;
		due = deadline(s);
		if (due < first)
			first = due;
	}
	if (server.pause != 0 && server.pause < first)
		first = server.pause;
	if (server.worker && server.listener == -1 && server.again < first)
		first = server.again;
	if (first == INT64_MAX)
		return -1;
	return first <= t ? 0 : (int)(first - t);
}

static bool
busy(void)
{
	unsigned int i;

	for (i = 0; i < server.slots; i++)
		if (server.slot[i].state != FREE)
			return true;
	return server.listener != -1 || server.next != -1 ||
	    (server.worker && !server.stopping);
}

static int
loop(void)
{
	int n;

	log_nonblocking(true);
	while (!server.done && busy()) {
		if (server.worker)
			ask();
		n = prepare();
		n = poll(server.poll, POLL_SLOTS + server.slots, n);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			log_error("poll: %s", strerror(errno));
			return 1;
		}
		if (server.poll[POLL_SIGNALS].revents != 0)
			take_signals();
		take_slots();
		take_deadlines();
		if (server.worker) {
			if (server.poll[POLL_LISTENER].revents != 0)
				take_clients();
		} else if (server.poll[POLL_LISTENER].revents != 0 ||
		    server.stopping || server.next != -1) {
			accept_senders();
		}
	}
	return 0;
}

/* ---- start ---- */

/* -1, or the exit status of a shell that cannot execute the program. */
static int
find_program(const char *name)
{
	char path[PATH_MAX];
	struct stat st;
	int error = ENOENT;

	if (proc_find_program(name, path, sizeof(path))) {
		if (stat(path, &st) == -1)
			error = errno;
		else if (S_ISREG(st.st_mode) && access(path, X_OK) == 0)
			return -1;
		else
			error = EACCES;
	}
	log_error("cannot execute %s: %s", name, strerror(error));
	return error == EACCES ? 126 : 127;
}

/* The limit counts what our starter has left open as well. */
static bool
enough_descriptors(void)
{
	unsigned int limit = proc_raise_nofile(), need;

	need = server.children + 2 * SPARE + RESERVE +
	    proc_count_fds(limit < COUNTED ? limit : COUNTED);
	if (limit < need)
		log_error("%u children need %u descriptors, the limit is %u",
		    server.children, need, limit);
	return limit >= need;
}

/* As descriptor 0 to 2 it would be in the way of a client. */
static bool
inherit_listener(void)
{
	int fd = server.inherited;
	struct sock_addr addr;

	if (sock_inherit(fd, &addr) == -1 || addr.u.sa.sa_family != AF_UNIX) {
		log_error("cannot listen on descriptor %d: %s", fd,
		    errno == EBADF ? strerror(errno) :
		    "it is no listening unix stream socket");
		return false;
	}
	server.listener = fd;
	if (fd <= STDERR_FILENO) {
		server.listener = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		proc_null(fd, proc_open_null());
	}
	return server.listener != -1;
}

/* fdproxy may come later, if it is not our parent. */
static bool
open_channel(void)
{
	int fd = server.inherited;
	struct sock_addr peer;

	server.listener = fd;
	if (fd != -1 && (fd <= STDERR_FILENO || sock_cloexec(fd) == -1 ||
	    sock_peer(fd, &peer) == -1)) {
		log_error("descriptor %d is no connection of a worker", fd);
		return false;
	}
	connect_channel();
	return true;
}

/* The mode by umask(2): after bind(2) it could be too late.  An owner who is to
   have it alone needs a mode without "others", too. */
static bool
open_listener(void)
{
	bool owned = server.owner != NULL || server.group != NULL;
	char path[SOCK_TEXT];

	if (server.worker)
		return open_channel();
	if (server.inherited != -1)
		return inherit_listener();
	server.listener = sock_listen(&server.addr, server.backlog, false,
	    server.mode);
	if (server.listener != -1) {
		sock_remember(&server.addr, &server.file);
		if (!owned || sock_set_rights(&server.addr, &server.file,
		    server.mode, server.uid, server.gid) == 0)
			return true;
	}
	log_error("cannot listen on %s: %s", sock_path(&server.addr, path,
	    sizeof(path)), strerror(errno));
	return false;
}

static bool
start(void)
{
	if (!enough_descriptors())
		return false;
	server.signals = proc_signals(signals, false);
	if (server.signals == -1) {
		log_error("cannot catch signals: %s", strerror(errno));
		return false;
	}
	proc_hold_signals(false);
	if (pipe(server.failed) == -1 || sock_cloexec(server.failed[0]) == -1 ||
	    sock_cloexec(server.failed[1]) == -1 ||
	    sock_nonblock(server.failed[0], true) == -1) {
		log_error("pipe: %s", strerror(errno));
		return false;
	}
	fdexec_cgi_clean();
	return open_listener();
}

static bool
allocate(void)
{
	unsigned int i;

	server.slots = server.children + SPARE;
	server.slot = calloc((size_t)server.children + SPARE,
	    sizeof(*server.slot));
	server.poll = calloc(POLL_SLOTS + server.slots, sizeof(*server.poll));
	if (server.slot == NULL || server.poll == NULL) {
		log_error("out of memory");
		return false;
	}
	for (i = 0; i < server.slots; i++)
		server.slot[i].sender = server.slot[i].client = -1;
	for (i = 0; i < POLL_SLOTS + server.slots; i++)
		server.poll[i].events = POLLIN;
	server.poll[POLL_LISTENER].events = POLLIN | POLLRDHUP;
	return true;
}

/* A number in that base from min to max, or -1 after a message. */
static int
number(char option, const char *text, int base, int min, int max)
{
	unsigned long n;

	if (text_number(text, base, (unsigned long)max, &n) && (int)n >= min)
		return (int)n;
	text_write(STDERR_FILENO, base == 8 ?
	    "fdexec: -%c: not an octal number from %o to %o: \"%s\"\n" :
	    "fdexec: -%c: not a number from %d to %d: \"%s\"\n", option, min,
	    max, text);
	return -1;
}

/* Where to listen, and whose that is to be.  False after a message. */
static bool
where(const char *name)
{
	unsigned long fd;

	if (strncmp(name, "fd:", 3) == 0) {
		if (!text_number(name + 3, 10, INT_MAX, &fd)) {
			text_write(STDERR_FILENO, "fdexec: not the number of "
			    "a descriptor: \"%s\"\n", name);
			return false;
		}
		server.inherited = (int)fd;
	} else if (!sock_unix(&server.addr, name, strlen(name))) {
		text_write(STDERR_FILENO, "fdexec: the path of the socket is "
		    "empty, too long or no name: \"%s\"\n", name);
		return false;
	}
	if (server.worker && server.backlog != BACKLOG) {
		text_write(STDERR_FILENO, "fdexec: -b is for a socket of our "
		    "own\n");
		return false;
	}
	if ((server.mode != -1 || server.owner != NULL ||
	    server.group != NULL) && (server.worker ||
	    !sock_is_file(&server.addr))) {
		text_write(STDERR_FILENO, "fdexec: -g, -m and -o are for a "
		    "file, and %s has none\n", name);
		return false;
	}
	return proc_find_owner(server.owner, server.group, &server.uid,
	    &server.gid);
}

/* Returns -1 to go on, or an exit status. */
static int
options(int argc, char **argv)
{
	int ch, n;

	/* glibc would look for options behind the operands, but for "+". */
	while ((ch = getopt(argc, argv, "+b:Cc:g:hm:o:Vw")) != -1) {
		switch (ch) {
		case 'b':
			n = number('b', optarg, 10, 1, 65535);
			if (n == -1)
				return 2;
			server.backlog = n;
			break;
		case 'C':
			server.cgi = true;
			break;
		case 'c':
			n = number('c', optarg, 10, 1, CHILDREN_MAX);
			if (n == -1)
				return 2;
			server.children = (unsigned int)n;
			break;
		case 'g':
			server.group = optarg;
			break;
		case 'h':
			help();
			return 0;
		case 'm':
			server.mode = number('m', optarg, 8, 0, 0777);
			if (server.mode == -1)
				return 2;
			break;
		case 'o':
			server.owner = optarg;
			break;
		case 'V':
			text_write(STDOUT_FILENO, "fdexec %s\n", VERSION);
			return 0;
		case 'w':
			server.worker = true;
			break;
		default:
			text_write(STDERR_FILENO, "%s", usage);
			return 2;
		}
	}
	if (argc - optind < 2) {
		text_write(STDERR_FILENO, "%s", usage);
		return 2;
	}
	if (!where(argv[optind]))
		return 2;
	server.argv = argv + optind + 1;
	return find_program(argv[optind + 1]);
}

/* What is there at an end at once: no client may see it as its own. */
static void
finish(void)
{
	unsigned int i;

	for (i = 0; server.slot != NULL && i < server.slots; i++)
		if (server.slot[i].state == HEAD)
			reject(&server.slot[i]);
	if (!server.stopping && !server.worker)
		sock_remove(&server.addr, &server.file);
	/* The listener ends with the process, which waits for no client. */
	free(server.slot);
	free(server.poll);
}

int
main(int argc, char **argv)
{
	int status;

	log_name("fdexec");
	if (!proc_sane_fds())
		return 1;
	status = options(argc, argv);
	if (status != -1)
		return status;
	status = 1;
	if (start() && allocate())
		status = loop();
	finish();
	return status;
}
