/* See LICENSE for copyright and license details. */

/*
 * fdproxy: accepts HTTP connections, looks at the head of the request, and
 * gives the client's socket to the backend that its path belongs to.
 *
 * This file is the options, the order of the start, and the loop: what conn
 * wants becomes calls of the poller.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "conn.h"
#include "log.h"
#include "poller.h"
#include "proc.h"
#include "reply.h"
#include "sock.h"
#include "stats.h"

#ifndef VERSION
#define VERSION	"unknown"
#endif

#define EVENTS		256	/* in one turn */
#define ACCEPTS		64	/* of one listener in one turn */
#define TIMERS		256	/* in one turn */
#define PAUSE_MS	100	/* without descriptors */
#define RESERVE		32	/* descriptors that are not for clients */

/* Names for the poller: listeners, the signals, then the slots. */
enum {
	ID_SIGNALS = CONFIG_LISTENERS,
	ID_SLOTS
};

/* Names of deadlines: two of our own, then those of conn. */
enum {
	TIMER_PAUSE,		/* descriptors may be free again */
	TIMER_STOP,		/* GracefulShutdownTimeout */
	TIMER_CONN
};

static struct {
	struct config *config;
	int listeners[CONFIG_LISTENERS];
	bool local[CONFIG_LISTENERS];
	enum poller_want watched[CONFIG_LISTENERS];
	bool stopping;
	bool done;
} server;

static const char usage[] =
    "usage: fdproxy [-1htVv] [-c directive] [-f file] [-l address] "
    "[-N fd]\n"
    "               [-r route] [-u user[:group]]\n";

static void
help(void)
{
	printf("%s\n"
	    "Gives HTTP connections to backends, by path, as descriptors.\n\n"
	    "  -1            print each bound address on standard output\n"
	    "  -c directive  one line of configuration\n"
	    "  -f file       configuration file (-: standard input)\n"
	    "  -h            this help\n"
	    "  -l address    listen on [address:]port, unix:/path or fd:N\n"
	    "  -N fd         write a newline to fd when ready, and close it\n"
	    "  -r route      PATH=SOCKET[,key=value ...], or PATH=!\n"
	    "  -t            test the configuration and exit\n"
	    "  -u user       become user[:group] once listening\n"
	    "  -V            print the version and exit\n"
	    "  -v            more messages; twice for still more\n\n"
	    "Example: fdproxy -l 8080 -r /app=/run/app.sock\n", usage);
}

/* ---- the loop: what conn wants, and the poller does ---- */

static bool
watch(struct conn *c, enum poller_want want)
{
	uint32_t id;

	if (want == POLLER_NONE && c->watched == POLLER_NONE)
		return true;
	id = ID_SLOTS + (uint32_t)conn_index(c);
	if (poller_set(c->fd, id, c->watched, want) == -1 &&
	    want != POLLER_NONE) {
		log_error("%s: %s", poller_name(), strerror(errno));
		c->watched = POLLER_NONE;
		return false;
	}
	c->watched = (uint8_t)want;
	return true;
}

static void
end(struct conn *c)
{
	watch(c, POLLER_NONE);
	conn_close(c);
}

/* A client on the stack must wait: into a slot, if need be another's. */
static struct conn *
keep(struct conn *c)
{
	struct conn *kept = conn_keep(c), *victim;

	if (kept != NULL)
		return kept;
	victim = conn_victim();
	if (victim != NULL) {
		conn_evict(victim);
		end(victim);
		kept = conn_keep(c);
	}
	if (kept == NULL) {
		conn_refuse(c);
		conn_close(c);
	}
	return kept;
}

static void
wait_for(struct conn *c, enum conn_want want)
{
	uint32_t id = ID_SLOTS + (uint32_t)conn_index(c);
	bool watched;

	switch (want) {
	case CONN_READ:
		watched = watch(c, POLLER_READ);
		if (!watched)
			break;
		if (!poller_seen(c->fd, id, conn_seen(c), c->local)) {
			conn_rest(c, true);
			poller_rest(c->fd, id);
		} else if (conn_tired(c)) {
			conn_rest(c, false);
			poller_rest(c->fd, id);
		}
		break;
	case CONN_WRITE:
		/* A short write need not mean that there is no room: once
		   more from the start, so that no edge is missed. */
		watched = watch(c, POLLER_HANGUP) && watch(c, POLLER_WRITE);
		break;
	default:
		watched = watch(c, POLLER_HANGUP);
		break;
	}
	if (watched)
		conn_settle(c);
	else
		end(c);
}

static void
serve(struct conn *c, enum conn_want want)
{
	if (want == CONN_PASS) {
		/* The backend's process will hold the same open file, and
		   the poller would go on to report it here. */
		watch(c, POLLER_NONE);
		want = conn_pass(c);
	}
	if (want == CONN_SAME)
		return;
	if (want == CONN_CLOSE) {
		end(c);
		return;
	}
	if (conn_index(c) == -1) {
		c = keep(c);
		if (c == NULL)
			return;
	}
	wait_for(c, want);
}

static unsigned int
reasons(unsigned int what)
{
	unsigned int why = 0;

	if (what & POLLER_END)
		why |= CONN_END;
	if (what & POLLER_GONE)
		why |= CONN_GONE;
	if (what & POLLER_MORE)
		why |= CONN_MORE;
	return why;
}

/* ---- listeners ---- */

static void
watch_listeners(enum poller_want want)
{
	int i;

	for (i = 0; i < server.config->listeners; i++) {
		if (server.listeners[i] == -1 || server.watched[i] == want)
			continue;
		if (poller_set(server.listeners[i], (uint32_t)i,
		    server.watched[i], want) == -1 && want != POLLER_NONE) {
			log_error("%s: %s", poller_name(), strerror(errno));
			server.watched[i] = POLLER_NONE;
			deadline_set(TIMER_PAUSE, clock_ms() + PAUSE_MS);
			continue;
		}
		server.watched[i] = want;
	}
}

/*
 * Without descriptors, or with a listener that somebody shut down, accept(2)
 * fails at once, for ever: come back later.
 */
static void
pause_listeners(void)
{
	log_warn("cannot accept: %s; again in %d ms", strerror(errno),
	    PAUSE_MS);
	stats_get()->paused++;
	watch_listeners(POLLER_NONE);
	deadline_set(TIMER_PAUSE, clock_ms() + PAUSE_MS);
}

static void
accept_clients(uint32_t i)
{
	struct conn c;
	int fd, n;

	for (n = 0; n < ACCEPTS && server.watched[i] != POLLER_NONE; n++) {
		fd = sock_accept(server.listeners[i]);
		if (fd != -1) {
			conn_start(&c, fd, server.local[i]);
			serve(&c, conn_advance(&c, 0));
			continue;
		}
		switch (errno) {
		case EAGAIN:
#if EWOULDBLOCK != EAGAIN
		case EWOULDBLOCK:
#endif
			return;
		case EINTR:
		case EPERM:		/* a firewall */
		case EPROTO:
		case ECONNABORTED:
		case ECONNRESET:
		case ENETDOWN:
		case ENETUNREACH:
		case EHOSTUNREACH:
		case ENOPROTOOPT:
		case EOPNOTSUPP:
		case ETIMEDOUT:
			/* The connection's own trouble, not the listener's
			   (accept(2): treat network errors like EAGAIN). */
			break;
		default:
			pause_listeners();
			return;
		}
	}
}

/* ---- stopping ---- */

static void
close_listeners(void)
{
	const struct sock_addr *addr;
	int i;

	watch_listeners(POLLER_NONE);
	for (i = 0; i < server.config->listeners; i++) {
		addr = &server.config->listen[i];
		if (server.listeners[i] == -1)
			continue;
		if (addr->u.sa.sa_family == AF_UNIX &&
		    server.config->inherited[i] == -1)
			unlink(addr->u.un.sun_path);
		close(server.listeners[i]);
		server.listeners[i] = -1;
	}
}

/* Clients that have said nothing; or all, with an answer if they can. */
static void
end_clients(bool all)
{
	struct conn *c;
	uint32_t i;

	for (i = 0; i < conn_used(); i++) {
		c = conn_at(i);
		if (c->state == CONN_FREE)
			continue;
		if (all) {
			conn_refuse(c);
			end(c);
			continue;
		}
		/* What came in this moment is not overlooked. */
		serve(c, conn_advance(c, 0));
		if (c->state == CONN_HEAD && conn_seen(c) == 0)
			end(c);
	}
}

static void
stop(void)
{
	if (server.stopping) {
		server.done = true;
		return;
	}
	server.stopping = true;
	proc_notify("STOPPING=1");
	log_notice("stopping; %u clients wait", conn_count());
	close_listeners();
	deadline_clear(TIMER_PAUSE);
	end_clients(false);
	if (server.config->graceful_ms > 0)
		deadline_set(TIMER_STOP,
		    clock_ms() + server.config->graceful_ms);
}

static void
log_stats(void)
{
	const struct stats *s = stats_get();

	log_notice("accepted %" PRIu64 ", passed %" PRIu64 ", answered %"
	    PRIu64 ", head timeouts %" PRIu64 ", evicted %" PRIu64
	    ", retries %" PRIu64 ", resets %" PRIu64 ", gone %" PRIu64
	    ", pauses %" PRIu64 ", waiting %u", s->accepted, s->passed,
	    s->answered, s->timeouts, s->evicted, s->retries, s->resets,
	    s->gone, s->paused, conn_count());
}

static void
take_signals(void)
{
	int sig;

	while ((sig = proc_signal()) != -1) {
		if (sig == PROC_TERM)
			stop();
		else if (sig == PROC_REOPEN)
			log_reopen();
		else if (sig == PROC_STATS)
			log_stats();
	}
}

/* ---- turns ---- */

static void
take_event(const struct poller_event *event)
{
	struct conn *c;

	if (event->id < CONFIG_LISTENERS) {
		accept_clients(event->id);
	} else if (event->id == ID_SIGNALS) {
		take_signals();
	} else {
		c = conn_at(event->id - ID_SLOTS);
		serve(c, conn_advance(c, reasons(event->what)));
	}
}

static void
take_timer(uint32_t id)
{
	struct conn *c;
	unsigned int why;

	if (id == TIMER_PAUSE) {
		watch_listeners(POLLER_ACCEPT);
	} else if (id == TIMER_STOP) {
		server.done = true;
	} else {
		c = conn_due(id, &why);
		if (c != NULL)
			serve(c, conn_advance(c, why));
	}
}

static int
loop(void)
{
	struct poller_event events[EVENTS];
	int64_t id;
	int i, n;

	while (!server.done && !(server.stopping && conn_count() == 0)) {
		n = poller_wait(events, EVENTS, deadline_wait());
		if (n == -1) {
			log_error("%s: %s", poller_name(), strerror(errno));
			return 1;
		}
		clock_update();
		conn_turn();
		for (i = 0; i < n; i++)
			take_event(&events[i]);
		for (i = 0; i < TIMERS; i++) {
			id = deadline_expired();
			if (id == -1)
				break;
			take_timer((uint32_t)id);
		}
	}
	return 0;
}

/* ---- start ---- */

static void
report(const char *line)
{
	fprintf(stderr, "%s\n", line);
}

static void
cannot_listen(const struct sock_addr *addr)
{
	char text[SOCK_TEXT];
	int error = errno;

	log_error("cannot listen on %s: %s", sock_text(addr, text,
	    sizeof(text)), strerror(error));
}

/*
 * A socket as descriptor 0 is moved away, so that 0 is never a listener nor
 * a client.
 */
static int
inherit(int i)
{
	struct sock_addr *addr = &server.config->listen[i];
	int fd = server.config->inherited[i];

	if (sock_inherit(fd, addr) == -1) {
		log_error("cannot listen on descriptor %d: %s", fd,
		    errno == EINVAL ? "it is no listening stream socket" :
		    strerror(errno));
		return -1;
	}
	if (fd <= STDERR_FILENO) {
		server.listeners[i] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		proc_null(fd, proc_open_null());
	} else {
		server.listeners[i] = fd;
	}
	server.local[i] = addr->u.sa.sa_family == AF_UNIX;
	return server.listeners[i] == -1 ? -1 : 0;
}

/*
 * What the one who started us left for us: by LISTEN_FDS, or, if nothing else
 * is configured, descriptor 0 if it listens.
 */
static void
adopt_listeners(void)
{
	struct sock_addr addr;
	int i, n = proc_listen_fds();

	for (i = 0; i < n; i++)
		config_inherit(server.config, PROC_LISTEN_FD + i);
	if (server.config->listeners == 0 &&
	    sock_inherit(STDIN_FILENO, &addr) == 0)
		config_inherit(server.config, STDIN_FILENO);
}

/*
 * The IPv4 half of "every address" gets the port of the IPv6 half, also when
 * the system chose it.  A machine without IPv6 has the IPv4 half alone.
 */
static int
listen_one(int i)
{
	struct config *c = server.config;
	struct sock_addr *addr = &c->listen[i], bound;
	int fd;

	if (c->inherited[i] != -1)
		return inherit(i);
	if (c->twin[i] && server.listeners[i - 1] != -1)
		addr->u.in.sin_port = htons((uint16_t)
		    sock_port(&c->listen[i - 1]));
	fd = sock_listen(addr, c->backlog, c->defer);
	if (fd == -1) {
		if (i + 1 < c->listeners && c->twin[i + 1] &&
		    (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
			return 0;
		cannot_listen(addr);
		return -1;
	}
	server.listeners[i] = fd;
	server.local[i] = addr->u.sa.sa_family == AF_UNIX;
	if (!server.local[i] && sock_name(fd, &bound) == 0)
		*addr = bound;
	return 0;
}

static bool
open_listeners(void)
{
	int i;

	for (i = 0; i < server.config->listeners; i++)
		server.listeners[i] = -1;
	for (i = 0; i < server.config->listeners; i++)
		if (listen_one(i) == -1)
			return false;
	return true;
}

static void
announce(int null)
{
	char text[SOCK_TEXT];
	int i;

	for (i = 0; i < server.config->listeners; i++)
		if (server.listeners[i] != -1)
			printf("%s\n", sock_text(&server.config->listen[i],
			    text, sizeof(text)));
	fflush(stdout);
	proc_null(STDOUT_FILENO, null);
}

/* All memory for running is taken here. */
static bool
allocate(void)
{
	struct config *c = server.config;
	unsigned int limit = proc_raise_nofile();
	uint32_t max = c->max_connections, room;
	uint32_t arrivals = ACCEPTS * (uint32_t)c->listeners;

	room = limit > RESERVE + 2 ? (limit - RESERVE) / 2 : 1;
	if (max == 0)
		max = room < 10000 ? room : 10000;
	if (max > room) {
		log_warn("MaxConnections %u needs %u descriptors, the limit "
		    "is %u: using %u", max, 2 * max + RESERVE, limit, room);
		max = room;
	}
	if (!deadline_open(TIMER_CONN + conn_deadlines(c, max, arrivals)) ||
	    !conn_open(c, max, arrivals, TIMER_CONN)) {
		log_error("out of memory");
		return false;
	}
	if (poller_open(ID_SLOTS + conn_slots(max, arrivals)) == -1) {
		log_error("%s: %s", poller_name(), strerror(errno));
		return false;
	}
	return true;
}

static bool
start(void)
{
	int signals;

	if (!open_listeners())
		return false;
	if (!proc_drop(server.config->user, server.config->group,
	    server.config->chroot))
		return false;
	if (!allocate())
		return false;
	signals = proc_signals();
	if (signals == -1 || poller_set(signals, ID_SIGNALS, POLLER_NONE,
	    POLLER_ACCEPT) == -1) {
		log_error("cannot catch signals: %s", strerror(errno));
		return false;
	}
	watch_listeners(POLLER_ACCEPT);
	return true;
}

static void
version(void)
{
	printf("fdproxy %s (%s)\n", VERSION, poller_name());
}

struct options {
	bool print;
	bool test;
	int verbose;
	int ready_fd;		/* or -1 */
};

/* The number of an open descriptor, or -1 after a message. */
static int
descriptor(const char *text)
{
	char *rest;
	long fd = strtol(text, &rest, 10);

	if (*text >= '0' && *text <= '9' && *rest == '\0' && fd <= INT_MAX &&
	    fcntl((int)fd, F_GETFD) != -1)
		return (int)fd;
	fprintf(stderr, "fdproxy: \"%s\" is not an open descriptor\n", text);
	return -1;
}

/* Returns -1 to go on, or an exit status. */
static int
options(int argc, char **argv, struct options *opt)
{
	struct config *c = server.config;
	int ch;

	while ((ch = getopt(argc, argv, "1c:f:hl:N:r:tu:Vv")) != -1) {
		switch (ch) {
		case '1':
			opt->print = true;
			break;
		case 'c':
			config_directive(c, optarg);
			break;
		case 'f':
			config_file(c, optarg);
			break;
		case 'h':
			help();
			return 0;
		case 'l':
			config_listen(c, optarg);
			break;
		case 'N':
			opt->ready_fd = descriptor(optarg);
			if (opt->ready_fd == -1)
				return 2;
			break;
		case 'r':
			config_route(c, optarg);
			break;
		case 't':
			opt->test = true;
			break;
		case 'u':
			config_user(c, optarg);
			break;
		case 'V':
			version();
			return 0;
		case 'v':
			opt->verbose++;
			break;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "fdproxy: unexpected argument \"%s\"\n%s",
	    argv[optind], usage);
	return 2;
}

static int
run(int argc, char **argv)
{
	struct options opt = { .ready_fd = -1 };
	int status, level, null = -1;

	status = options(argc, argv, &opt);
	if (status != -1)
		return status;
	adopt_listeners();
	if (!config_finish(server.config))
		return 2;
	level = server.config->log_level + opt.verbose;
	log_level(level < LOG_L_DEBUG ? (enum log_level)level : LOG_L_DEBUG);
	reply_server(server.config->server);
	if (opt.test) {
		fprintf(stderr, "configuration is good\n");
		return 0;
	}
	if (server.config->error_log != NULL &&
	    !log_open(server.config->error_log)) {
		log_error("cannot open %s: %s", server.config->error_log,
		    strerror(errno));
		return 1;
	}
	proc_notify_open();
	if (opt.print)
		null = proc_open_null();
	if (!start()) {
		close_listeners();
		return 1;
	}
	if (opt.print)
		announce(null);
	if (opt.ready_fd != -1)
		proc_ready(opt.ready_fd);
	proc_notify("READY=1");
	log_nonblocking(true);
	status = loop();
	end_clients(true);
	close_listeners();
	poller_close();
	return status;
}

int
main(int argc, char **argv)
{
	int status = 1;

	if (!proc_sane_fds())
		return 1;
	clock_update();
	server.config = config_new(report);
	if (server.config == NULL)
		log_error("out of memory");
	else
		status = run(argc, argv);
	log_open("stderr");	/* the name of its file goes now */
	conn_release();
	deadline_close();
	config_free(server.config);
	return status;
}
