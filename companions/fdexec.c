/* See LICENSE for copyright and license details. */

/*
 * fdexec: receives clients on a socket and runs a program for each, as
 * inetd(8) does: the client is the program's standard input and output.
 *
 * One process, one poll(2) loop.  What may take time for one client, the rest
 * of a head that did not come with the descriptor, is left to its child.
 */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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
#define ACCEPTS		64	/* in one turn */
#define READS		16	/* of one lingering client in one turn */
#define FIELDS		1000	/* of a head: joining them is quadratic */
#define NAME_SIZE	256	/* of a variable's name, terminated */

/* Milliseconds. */
#define PAUSE_MS	100	/* without descriptors or processes */
#define SILENT_MS	5000	/* from a connection to its message */
#define HEAD_MS		5000	/* from a head's first byte to its last */
#define ALONE_MS	1000	/* for a head's first byte, or the end */
#define QUIET_MS	2000	/* of a client that is to close */
#define LINGER_MS	30000	/* for a client to close, however busy */

extern char **environ;

enum state {
	FREE,
	SILENT,			/* fd: a sender, no message from it yet */
	RUNNING,		/* fd: our copy of the client */
	LINGERING		/* fd: a client whose program has ended */
};

struct slot {
	enum state state;
	int fd;
	pid_t pid;
	int64_t since;		/* begin of SILENT or LINGERING */
	int64_t heard;		/* LINGERING: when the last bytes came */
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
	int backlog;
	int mode;		/* of the socket's file, or -1 */
	unsigned int children;	/* at most */
	unsigned int running;
	unsigned int slots;
	struct slot *slot;
	struct pollfd *poll;
	int signals;		/* readable when one came */
	int listener;
	int64_t pause;		/* until then nothing is taken; or 0 */
	bool stopping;
	bool done;
} server = { .backlog = BACKLOG, .mode = -1, .children = CHILDREN,
    .listener = -1 };

static const int signals[] = { SIGCHLD, SIGINT, SIGTERM, 0 };

/* A message and what follows it; a lingering client's bytes, to be dropped. */
static char buffer[1 + HTTP_HEAD_MAX];

static const char usage[] =
    "usage: fdexec [-hV] [-b backlog] [-c children] [-m mode] socket program\n"
    "              [arg ...]\n";

static void
help(void)
{
	text_write(STDOUT_FILENO, "%s\n"
	    "Receives clients on a socket and runs a program for each.\n\n"
	    "  -b backlog    connections that may wait (default %d)\n"
	    "  -c children   programs that run at a time (default %d)\n"
	    "  -h            this help\n"
	    "  -m mode       permissions of the socket's file, octal\n"
	    "  -V            print the version and exit\n\n"
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

/* ---- the child, until it is the program ---- */

/* Without what is others', which would outlive its end in the parent. */
static void
become_child(int peer)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	unsigned int i;
	int sig;

	for (i = 0; i < server.slots; i++)
		if (server.slot[i].state != FREE &&
		    server.slot[i].fd != peer)
			close(server.slot[i].fd);
	if (server.listener != -1)
		close(server.listener);

	sigemptyset(&sa.sa_mask);
	for (sig = 1; sig < NSIG; sig++)
		sigaction(sig, &sa, NULL);
	sigprocmask(SIG_SETMASK, &sa.sa_mask, NULL);
}

/*
 * An end without a program is no clean end, which a client could take for an
 * empty answer.  The option is the open file's: our parent sees it.
 */
static _Noreturn void
give_up(int client, int status)
{
	struct linger off = { 1, 0 };

	setsockopt(client, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	_exit(status);
}

static bool
set(const char *name, const char *value)
{
	if (setenv(name, value, 1) == 0)
		return true;
	log_error("%s: %s", name, strerror(errno));
	return false;
}

/* What is there already, with "and" behind it, comes first. */
static bool
set_slice(const char *name, const char *and, struct http_slice s)
{
	static char value[2 * sizeof(buffer)];
	const char *old = and == NULL ? NULL : getenv(name);
	size_t len = 0;

	if (old != NULL)
		len = text_format(value, sizeof(buffer), "%s%s", old,
		    and);
	memcpy(value + len, s.p, s.len);
	value[len + s.len] = '\0';
	return set(name, value);
}

/* As IPv4 if it is IPv4 in an IPv6 socket. */
static bool
set_address(const struct sock_addr *addr, const char *host_name,
    const char *port_name)
{
	char host[INET6_ADDRSTRLEN] = "", port[16];
	const char *text = host;

	sock_host(addr, host, sizeof(host));
	if (addr->u.sa.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_V4MAPPED(&addr->u.in6.sin6_addr))
		text = strrchr(host, ':') + 1;
	text_format(port, sizeof(port), "%u", sock_port(addr));
	return set(host_name, text) && set(port_name, port);
}

/* False also when the client is gone, and nobody to be served: silently. */
static bool
set_addresses(int client)
{
	struct sock_addr local, remote;

	if (sock_name(client, &local) == -1 ||
	    sock_peer(client, &remote) == -1) {
		if (errno == ENOTSOCK)
			log_warn("a descriptor came that is no socket");
		return false;
	}
	if (local.u.sa.sa_family == AF_UNIX)
		return set("PROTO", "UNIX");
	if (local.u.sa.sa_family != AF_INET &&
	    local.u.sa.sa_family != AF_INET6)
		return true;
	return set("PROTO", "TCP") &&
	    set_address(&remote, "TCPREMOTEIP", "TCPREMOTEPORT") &&
	    set_address(&local, "TCPLOCALIP", "TCPLOCALPORT");
}

/*
 * The variable of a field (RFC 3875 4.1.18), or false if it has none:
 * HTTP_PROXY means something else to many programs, and "X_Y" must not be
 * taken for "X-Y", which a front end may have checked.
 */
static bool
variable(struct http_slice name, char *dst)
{
	size_t i, n = 0;
	char c;

	if (http_parse_is(name, "Proxy"))
		return false;
	if (!http_parse_is(name, "Content-Length") &&
	    !http_parse_is(name, "Content-Type")) {
		memcpy(dst, "HTTP_", 5);
		n = 5;
	}
	if (name.len >= NAME_SIZE - n)
		return false;
	for (i = 0; i < name.len; i++) {
		c = name.p[i];
		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		else if (c == '-')
			c = '_';
		else if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9'))
			return false;
		dst[n++] = c;
	}
	dst[n] = '\0';
	return true;
}

static bool
set_head(const struct http_head *head)
{
	struct http_slice fields = head->fields, query = { "", 0 }, name, value;
	char var[NAME_SIZE], version[16];
	const char *mark;

	mark = memchr(head->target.p, '?', head->target.len);
	if (mark != NULL) {
		query.p = mark + 1;
		query.len = head->target.len -
		    (size_t)(query.p - head->target.p);
	}
	text_format(version, sizeof(version), "HTTP/1.%d", head->minor);
	if (!set_slice("REQUEST_METHOD", NULL, head->method) ||
	    !set_slice("REQUEST_URI", NULL, head->target) ||
	    !set_slice("QUERY_STRING", NULL, query) ||
	    !set("SERVER_PROTOCOL", version))
		return false;
	while (http_parse_field(&fields, &name, &value))
		if (variable(name, var) && !set_slice(var,
		    http_parse_is(name, "Cookie") ? "; " : ", ", value))
			return false;
	return true;
}

/* Returns bytes, 0 at the end, -1 when nothing came in time. */
static ssize_t
read_more(int peer, size_t at, int64_t until)
{
	struct pollfd p = { peer, POLLIN, 0 };
	int64_t left;
	ssize_t n;

	for (;;) {
		left = until - now();
		if (left <= 0)
			return -1;
		if (poll(&p, 1, (int)left) == 0)
			return -1;
		n = recv(peer, buffer + at, sizeof(buffer) - at, 0);
		if (n >= 0)
			return n;
		if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK)
			return 0;
	}
}

/*
 * The buffer holds len bytes: the one that every message has, and perhaps a
 * head.  Since the descriptor came with the first byte, all others may follow
 * by themselves; that there are none is certain once the sender has closed.
 */
static bool
receive_head(int peer, size_t len)
{
	static const struct http_limits limits = { HTTP_HEAD_MAX,
	    HTTP_HEAD_MAX, FIELDS, HTTP_HEAD_MAX };
	int64_t until = now() + (len > 1 ? HEAD_MS : ALONE_MS);
	struct http_scan scan = { 0, 0, 0 };
	struct http_head head;
	int n = HTTP_PARTIAL;
	ssize_t got;

	for (;;) {
		if (len > 1)
			n = http_parse_head(buffer + 1, len - 1, &scan,
			    &limits, &head);
		if (n != HTTP_PARTIAL)
			break;
		got = read_more(peer, len, until);
		if (got <= 0 && len == 1)
			return true;
		if (got <= 0) {
			log_warn("a head was cut short after %zu bytes",
			    len - 1);
			return false;
		}
		if (len == 1)
			until = now() + HEAD_MS;
		len += (size_t)got;
	}
	if (n == HTTP_BAD || (size_t)n != len - 1) {
		log_warn("a payload is not the head of a request");
		return false;
	}
	return set_head(&head);
}

static _Noreturn void
run_child(int peer, int client, size_t len)
{
	int error;

	become_child(peer);
	if (!set_addresses(client) || !receive_head(peer, len))
		give_up(client, 1);
	/* Some senders leave it set; programs do not expect it. */
	sock_nonblock(client, false);
	if (dup2(client, STDIN_FILENO) != -1 &&
	    dup2(client, STDOUT_FILENO) != -1)
		execvp(server.argv[0], server.argv);
	error = errno;
	log_error("%s: %s", server.argv[0], strerror(error));
	give_up(client, error == ENOENT ? 127 : 126);
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
	log_warn("%s: %s; going on in %d ms", what, strerror(errno),
	    PAUSE_MS);
	server.pause = now() + PAUSE_MS;
}

static void
release(struct slot *s)
{
	close(s->fd);
	s->fd = -1;
	s->state = FREE;
}

static struct slot *
oldest(enum state state)
{
	struct slot *s, *found = NULL;
	unsigned int i;

	for (i = 0; i < server.slots; i++) {
		s = &server.slot[i];
		if (s->state == state &&
		    (found == NULL || s->since < found->since))
			found = s;
	}
	return found;
}

/*
 * There is one always: the children never have all slots.  A sender that is
 * shut out will try again, a client that lingers has had its time.
 */
static struct slot *
vacant(void)
{
	struct slot *s = oldest(FREE);

	if (s != NULL)
		return s;
	s = oldest(LINGERING);
	if (s == NULL)
		s = oldest(SILENT);
	release(s);
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
	return INT64_MAX;
}

/* What a client sends that nobody reads any more. */
static void
drain(struct slot *s)
{
	ssize_t n;
	int i;

	for (i = 0; i < READS; i++) {
		n = recv(s->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
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

	if ((getsockopt(s->fd, SOL_SOCKET, SO_LINGER, &option, &len) == 0 &&
	    option.l_onoff != 0 && option.l_linger == 0) ||
	    shutdown(s->fd, SHUT_WR) == -1) {
		release(s);
		return;
	}
	s->state = LINGERING;
	s->since = s->heard = now();
	drain(s);
}

/* The slot's sender has given a client away: run the program for it. */
static void
start_child(struct slot *s, int client, size_t len)
{
	sigset_t all, old;
	pid_t pid;

	/* Else a signal to the child would reach our pipe. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0)
		run_child(s->fd, client, len);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid == -1) {
		pause_taking("cannot start a process");
		release(s);
		sock_reset(client);
		return;
	}
	close(s->fd);
	s->fd = client;
	s->pid = pid;
	s->state = RUNNING;
	server.running++;
}

static void
take_message(struct slot *s)
{
	ssize_t n;
	int client;

	n = fdpass_recv(s->fd, buffer, sizeof(buffer), &client);
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	if (n == -1 && errno == EMFILE)
		log_error("a client is lost: no descriptors left");
	if (n > 0 && client != -1) {
		start_child(s, client, (size_t)n);
		return;
	}
	if (n > 0)
		log_warn("a message came without a descriptor");
	if (client != -1)
		close(client);
	/* The end without a message is somebody's probe. */
	release(s);
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
	int fd, n;

	for (n = 0; n < ACCEPTS && !full() && server.listener != -1; n++) {
		fd = sock_accept(server.listener, &peer);
		if (fd == -1) {
			if (!accept_failed())
				return;
			continue;
		}
		if (sock_nonblock(fd, true) == -1) {
			close(fd);
			continue;
		}
		s = vacant();
		s->state = SILENT;
		s->fd = fd;
		s->since = now();
		take_message(s);
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
	sock_remove(&server.addr, &server.file);
	/* A name without a file, which Linux alone has, stays as long as the
	   socket: no more of them, but those that are in the queue. */
	if (!sock_is_file(&server.addr))
		shutdown(server.listener, SHUT_RD);
}

static void
reap(void)
{
	struct slot *s;
	unsigned int i;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (i = 0; i < server.slots; i++) {
			s = &server.slot[i];
			if (s->state != RUNNING || s->pid != pid)
				continue;
			server.running--;
			begin_linger(s);
			/* SIGPIPE is a client that did not wait. */
			if (WIFSIGNALED(status) && !server.stopping &&
			    WTERMSIG(status) != SIGPIPE)
				log_warn("%s[%ld] ended by signal %d",
				    server.argv[0], (long)pid,
				    WTERMSIG(status));
			break;
		}
	}
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
	struct slot *s;
	unsigned int i;

	for (i = 0; i < server.slots; i++) {
		s = &server.slot[i];
		if (server.poll[POLL_SLOTS + i].revents == 0)
			continue;
		if (s->state == LINGERING)
			drain(s);
		else if (s->state == SILENT && !full())
			take_message(s);
	}
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
		if (s->state == SILENT)
			take_message(s);
		if (s->state == SILENT || s->state == LINGERING)
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
		server.poll[POLL_SLOTS + i].fd = s->state == LINGERING ||
		    (s->state == SILENT && !full()) ? s->fd : -1;
		due = deadline(s);
		if (due < first)
			first = due;
	}
	if (server.pause != 0 && server.pause < first)
		first = server.pause;
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
	return server.listener != -1;
}

static int
loop(void)
{
	int n;

	while (!server.done && busy()) {
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
		if (server.poll[POLL_LISTENER].revents != 0 ||
		    server.stopping)
			accept_senders();
	}
	return 0;
}

/* ---- start ---- */

static bool
stale(const char *variable_and_value)
{
	static const char *const names[] = { "CONTENT_LENGTH=",
	    "CONTENT_TYPE=", "HTTP_", "PROTO=", "QUERY_STRING=",
	    "REQUEST_METHOD=", "REQUEST_URI=", "SERVER_PROTOCOL=",
	    "TCPLOCALHOST=", "TCPLOCALIP=", "TCPLOCALPORT=", "TCPREMOTEHOST=",
	    "TCPREMOTEINFO=", "TCPREMOTEIP=", "TCPREMOTEPORT=" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strncmp(variable_and_value, names[i],
		    strlen(names[i])) == 0)
			return true;
	return false;
}

/*
 * What programs believe to be about their client must not be about ours.
 * Done with the table itself: unsetenv(3) moves the rest of it, and cannot
 * take every name that can stand there.
 */
static void
clean_environment(void)
{
	char **from, **to = environ;

	if (to == NULL)
		return;
	for (from = environ; *from != NULL; from++)
		if (!stale(*from))
			*to++ = *from;
	*to = NULL;
}

static bool
allocate(void)
{
	struct rlimit limit;
	unsigned int i;

	server.slots = server.children + SPARE;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur != RLIM_INFINITY &&
	    limit.rlim_cur < server.slots + RESERVE) {
		log_error("%u children need %u descriptors, the limit is %lu",
		    server.children, server.slots + RESERVE,
		    (unsigned long)limit.rlim_cur);
		return false;
	}
	server.slot = calloc(server.slots, sizeof(*server.slot));
	server.poll = calloc(POLL_SLOTS + server.slots, sizeof(*server.poll));
	if (server.slot == NULL || server.poll == NULL) {
		log_error("out of memory");
		return false;
	}
	for (i = 0; i < server.slots; i++)
		server.slot[i].fd = -1;
	for (i = 0; i < POLL_SLOTS + server.slots; i++)
		server.poll[i].events = POLLIN;
	return true;
}

/* The mode by umask(2): after bind(2) it could be too late. */
static bool
open_listener(void)
{
	char path[SOCK_TEXT];

	server.listener = sock_listen(&server.addr, server.backlog, false,
	    server.mode);
	if (server.listener != -1) {
		sock_remember(&server.addr, &server.file);
		return true;
	}
	log_error("cannot listen on %s: %s", sock_path(&server.addr, path,
	    sizeof(path)), strerror(errno));
	return false;
}

static bool
start(void)
{
	if (!allocate())
		return false;
	server.signals = proc_signals(signals, false);
	if (server.signals == -1) {
		log_error("cannot catch signals: %s", strerror(errno));
		return false;
	}
	clean_environment();
	return open_listener();
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

/* Returns -1 to go on, or an exit status. */
static int
options(int argc, char **argv)
{
	int ch, n;

	/* glibc would look for options behind the operands, but for "+". */
	while ((ch = getopt(argc, argv, "+b:c:hm:V")) != -1) {
		switch (ch) {
		case 'b':
			n = number('b', optarg, 10, 1, 65535);
			if (n == -1)
				return 2;
			server.backlog = n;
			break;
		case 'c':
			n = number('c', optarg, 10, 1, CHILDREN_MAX);
			if (n == -1)
				return 2;
			server.children = (unsigned int)n;
			break;
		case 'h':
			help();
			return 0;
		case 'm':
			server.mode = number('m', optarg, 8, 0, 0777);
			if (server.mode == -1)
				return 2;
			break;
		case 'V':
			text_write(STDOUT_FILENO, "fdexec %s\n", VERSION);
			return 0;
		default:
			text_write(STDERR_FILENO, "%s", usage);
			return 2;
		}
	}
	if (argc - optind < 2) {
		text_write(STDERR_FILENO, "%s", usage);
		return 2;
	}
	if (!sock_unix(&server.addr, argv[optind], strlen(argv[optind]))) {
		text_write(STDERR_FILENO, "fdexec: the path of the socket is "
		    "empty, too long or no name: \"%s\"\n", argv[optind]);
		return 2;
	}
	server.argv = argv + optind + 1;
	return -1;
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
	if (start()) {
		log_nonblocking(true);
		status = loop();
		if (!server.stopping)
			sock_remove(&server.addr, &server.file);
	}
	close_listener();
	free(server.slot);
	free(server.poll);
	return status;
}
