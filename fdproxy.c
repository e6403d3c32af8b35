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
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "config.h"
#include "config_route.h"
#include "conn.h"
#include "health.h"
#include "listen.h"
#include "log.h"
#include "poller.h"
#include "proc.h"
#include "sock.h"
#include "stats.h"
#include "super.h"
#include "text.h"
#include "upgrade.h"

#define EVENTS		256	/* in one turn */
#define ACCEPTS		64	/* of one listener in one turn */
#define TIMERS		256	/* in one turn */
#define PAUSE_MS	100	/* without descriptors */
#define REPEAT_MS	1000	/* between messages about that */
#define RESERVE		32	/* descriptors that are not for clients */
#define FEW_FDS		1048576	/* numbers that may be used in any case */
#define TRIAL_MS	30000	/* for a new program's trial, and its turn */
#define START_TICK_MS	10	/* between looks for the command's sockets */
#define STOPPING_MS	3000	/* for clients, if a command is to end, too */
#define SILENT_MS	1000	/* for a client's first word, when stopping */
#define HEALTH_MS	5000

/* Names for the poller: listeners, the signals, then the slots. */
enum {
	ID_SIGNALS = CONFIG_LISTENERS,
	ID_SLOTS
};

/* Names of deadlines: those of our own, then those of conn. */
enum {
	TIMER_PAUSE,		/* descriptors may be free again */
	TIMER_STOP,		/* GracefulShutdownTimeout */
	TIMER_TRIAL,		/* a new program, or its turn, takes too long */
	TIMER_TICK,		/* look whether the command's sockets accept */
	TIMER_START,		/* StartTimeout */
	TIMER_RUN,		/* -T */
	TIMER_CONN
};

struct options {
	bool print;
	bool daemon;
	bool test;
	int verbose;
	const char *ready;	/* descriptor, or NULL */
	const char *health;	/* URL, or NULL */
	uint64_t count;		/* of hand-offs, then the end; 0: none */
	uint32_t run_ms;	/* then the end; 0: none */
	char **command;		/* or NULL */
};

/* What goes on, in this order. */
enum phase {
	STARTING,		/* the command's sockets do not accept yet */
	SERVING,
	STOPPING,		/* no new clients */
	KILLING,		/* no clients; the command has been told */
	DONE
};

static struct {
	struct config *config;
	struct config *previous;	/* until no client goes by it */
	int argc;
	char **argv;
	struct options options;
	bool heir;		/* in the place of another program */
	int adopted;		/* listening sockets from LISTEN_FDS */
	bool adopted_input;	/* one as descriptor 0 */
	bool rooted;		/* in ChrootDir */
	bool paused;		/* listeners are not watched */
	bool reload;		/* to be done when the turn is over */
	bool upgrade;		/* the same */
	pid_t trial;		/* of the new program; 0: none */
	char program[1024];	/* its path */
	enum phase phase;
	uint32_t probed;	/* how far the targets accept */
	int status;		/* to exit with */
} server;

static const char usage[] =
    "usage: fdproxy [-1dhtVv] [-c directive] [-f file] [-H url] "
    "[-l address]\n"
    "               [-N fd] [-n count] [-r route] [-T seconds] "
    "[-u user[:group]]\n"
    "               [command [arg ...]]\n";

static void
help(void)
{
	text_write(STDOUT_FILENO, "%s\n"
	    "Gives HTTP connections to backends, by path, as descriptors.\n\n"
	    "  -1            print each bound address on standard output\n"
	    "  -c directive  one line of configuration\n"
	    "  -d            become a daemon once clients can connect\n"
	    "  -f file       configuration file (-: standard input)\n"
	    "  -h            this help\n"
	    "  -H url        ask url, exit 0 if it answers 2xx or 3xx\n"
	    "  -l address    listen on [address:]port, unix:/path or fd:N\n"
	    "  -N fd         write a newline to fd when ready, and close it\n"
	    "  -n count      exit after so many hand-offs\n"
	    "  -r route      PATH=SOCKET[,key=value ...], or PATH=!\n"
	    "  -T seconds    exit with status 1 after this time\n"
	    "  -t            test the configuration and exit\n"
	    "  -u user       become user[:group] once listening\n"
	    "  -V            print the version and exit\n"
	    "  -v            more messages; twice for still more\n\n"
	    "A command is started, waited for, and ended together with it."
	    "\n\n"
	    "Example: fdproxy -l 8080 -r /app=/run/app.sock\n", usage);
}

/* ---- the loop: what conn wants, and the poller does ---- */

/* Change how fd is watched; if that fails, it is not any more. */
static bool
change_watch(int fd, uint32_t id, uint8_t *watched, enum poller_want want)
{
	if (poller_set(fd, id, (enum poller_want)*watched, want) == -1 &&
	    want != POLLER_NONE) {
		log_error("%s: %s", poller_name(), strerror(errno));
		*watched = POLLER_NONE;
		return false;
	}
	*watched = (uint8_t)want;
	return true;
}

static bool
watch(struct conn *c, enum poller_want want)
{
	if (want == POLLER_NONE && c->watched == POLLER_NONE)
		return true;
	return change_watch(c->fd, ID_SLOTS + (uint32_t)slot_index(c),
	    &c->watched, want);
}

static void
end(struct conn *c)
{
	watch(c, POLLER_NONE);
	conn_close(c);
}

/* A client on the stack must wait: into a slot, if need be another's. */
static struct conn *
take_slot(struct conn *c)
{
	struct conn *kept = slot_keep(c), *victim;

	if (kept != NULL)
		return kept;
	victim = conn_victim();
	if (victim != NULL) {
		conn_evict(victim);
		end(victim);
		kept = slot_keep(c);
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
	uint32_t id = ID_SLOTS + (uint32_t)slot_index(c);
	bool watched, blind;

	switch (want) {
	case CONN_READ:
		watched = watch(c, POLLER_READ);
		if (!watched)
			break;
		blind = !poller_seen(c->fd, id, conn_seen(c), c->local);
		if (blind || conn_tired(c)) {
			conn_rest(c, blind);
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
	if (watched) {
		conn_settle(c);
	} else {
		conn_refuse(c);
		end(c);
	}
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
	if (slot_index(c) == -1) {
		c = take_slot(c);
		if (c == NULL)
			return;
	}
	wait_for(c, want);
}

static unsigned int
reasons(unsigned int what)
{
	return (what & POLLER_END ? CONN_END : 0) |
	    (what & POLLER_GONE ? CONN_GONE : 0) |
	    (what & POLLER_MORE ? CONN_MORE : 0);
}

/* ---- listeners ---- */

static void
watch_listeners(enum poller_want want)
{
	struct listener *l;
	int i;

	for (i = 0; i < listen_count(); i++) {
		l = listen_at(i);
		if (l->fd == -1 || l->watched == want)
			continue;
		if (!change_watch(l->fd, (uint32_t)i, &l->watched, want))
			deadline_set(TIMER_PAUSE, clock_ms() + PAUSE_MS);
	}
}

/*
 * accept(2) fails at once, for ever: for want of descriptors, so that none of
 * the listeners can be served, or because somebody shut this one down.  Come
 * back later.
 */
static void
pause_accepting(struct listener *l)
{
	static uint32_t said;
	bool all = errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
	    errno == ENOMEM;

	if (stats_get()->paused++ == 0 || clock_ms() - said >= REPEAT_MS) {
		log_warn("cannot accept: %s; again in %d ms", strerror(errno),
		    PAUSE_MS);
		said = clock_ms();
	}
	if (all) {
		server.paused = true;
		watch_listeners(POLLER_NONE);
	} else {
		change_watch(l->fd, (uint32_t)(l - listen_at(0)), &l->watched,
		    POLLER_NONE);
	}
	deadline_set(TIMER_PAUSE, clock_ms() + PAUSE_MS);
}

/* -n is reached. */
static bool
counted(void)
{
	return server.options.count > 0 &&
	    stats_get()->passed >= server.options.count;
}

/* The connection's own trouble, not the listener's (accept(2)). */
static bool
is_passing(int error)
{
	switch (error) {
	case EINTR:
	case EPERM:		/* a firewall */
	case EPROTO:
	case ECONNABORTED:
	case ECONNRESET:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENOPROTOOPT:
	case EOPNOTSUPP:
	case ETIMEDOUT:
#ifdef ENONET
	case ENONET:
#endif
		return true;
	default:
		return false;
	}
}

static void
accept_clients(struct listener *l)
{
	struct conn c;
	int fd, n, failed = 0;

	for (n = 0; n < ACCEPTS && l->watched != POLLER_NONE &&
	    !counted(); n++) {
		fd = sock_accept(l->fd);
		if (fd != -1) {
			conn_start(&c, fd, l->local);
			serve(&c, conn_advance(&c, 0));
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		/* If it never passes, it is the listener's after all. */
		if (!is_passing(errno) || ++failed == ACCEPTS) {
			pause_accepting(l);
			return;
		}
	}
}

/* ---- stopping ---- */

/*
 * Clients that have said nothing, unless they have just come: their request is
 * under way.  Or all, with an answer if they can.
 */
static void
end_clients(bool all)
{
	struct conn *c;

	for (c = slot_next(NULL); c != NULL; c = slot_next(c)) {
		if (all) {
			conn_refuse(c);
			end(c);
			continue;
		}
		if (c->state == CONN_TAIL && c->resting) {
			end(c);		/* held by a fault */
			continue;
		}
		/* What came in this moment is not overlooked. */
		serve(c, conn_advance(c, 0));
		if (c->state == CONN_HEAD && conn_seen(c) == 0)
			conn_hurry(c, SILENT_MS);
	}
}

/* No client is left: the command's turn, if there is one. */
static void
end_command(void)
{
	if (!child_runs()) {
		server.phase = DONE;
		return;
	}
	server.phase = KILLING;
	child_signal_group(SIGTERM);
	deadline_set(TIMER_STOP, clock_ms() + server.config->stop_ms);
}

/* An upgrade that was to come, or comes now. */
static void
forget_upgrade(void)
{
	server.upgrade = false;
	deadline_clear(TIMER_TRIAL);
}

/* Each of them does not wait any longer for what the one before began. */
static void
stop(void)
{
	uint32_t ms = server.config->graceful_ms;

	switch (server.phase) {
	case STARTING:
	case SERVING:
		break;
	case STOPPING:
		end_clients(true);
		end_command();
		return;
	default:
		if (child_runs())
			log_notice("%s is killed", server.options.command[0]);
		child_signal_group(SIGKILL);
		return;
	}
	server.phase = STOPPING;
	conn_set_ready(false);
	super_notify("STOPPING=1");
	log_notice("stopping; %u clients wait", slot_used());
	watch_listeners(POLLER_NONE);
	listen_close();
	deadline_clear(TIMER_PAUSE);
	deadline_clear(TIMER_TICK);
	deadline_clear(TIMER_START);
	forget_upgrade();
	if (server.trial != 0)
		kill(server.trial, SIGKILL);
	end_clients(false);
	if (ms == 0 && server.options.command != NULL)
		ms = STOPPING_MS;
	if (ms > 0)
		deadline_set(TIMER_STOP, clock_ms() + ms);
}

static void
log_stats(void)
{
	const struct stats *s = stats_get();
	uint64_t answered = 0, n;
	unsigned int i;

	for (i = 0; stats_answer(i, &n) != 0; i++)
		answered += n;
	log_notice("accepted %" PRIu64 ", passed %" PRIu64 ", answered %"
	    PRIu64 ", resets %" PRIu64 ", gone %" PRIu64 ", head timeouts %"
	    PRIu64 ", evicted %" PRIu64 ", retries %" PRIu64 ", pauses %"
	    PRIu64 ", waiting %u", s->accepted, s->passed, answered, s->resets,
	    s->gone, s->timeouts, s->evicted, s->retries, s->paused,
	    slot_used());
}

/* ---- another configuration ---- */

static void	report_log(const char *line);
static void	take_signals(void);
static bool	read_config(struct config *c);

/* What the logs are to be, until it is certain that they will. */
struct logs {
	const char *name[LOG_KINDS];
	int fd[LOG_KINDS];
};

/* Those that are not in use. */
static void
close_logs(const struct logs *logs)
{
	int i;

	for (i = 0; i < LOG_KINDS; i++)
		if (logs->fd[i] > STDERR_FILENO &&
		    logs->fd[i] != log_fd((enum log_kind)i))
			close(logs->fd[i]);
}

static void
use_logs(const struct logs *logs)
{
	int i;

	for (i = 0; i < LOG_KINDS; i++)
		log_use((enum log_kind)i, logs->name[i], logs->fd[i]);
}

/* What lines go to already stays open. */
static bool
open_logs(struct logs *logs, const struct config *c)
{
	const char *name, *before;
	int i;

	logs->name[LOG_MESSAGES] = c->error_log;
	if (c->error_log == NULL)
		logs->name[LOG_MESSAGES] = server.options.daemon ? "syslog" :
		    "stderr";
	logs->name[LOG_ACCESS] = c->access_log;
	logs->fd[LOG_MESSAGES] = logs->fd[LOG_ACCESS] = -1;
	for (i = 0; i < LOG_KINDS; i++) {
		name = logs->name[i];
		if (name == NULL)
			continue;
		before = log_where((enum log_kind)i);
		if (before != NULL && strcmp(before, name) == 0)
			logs->fd[i] = log_fd((enum log_kind)i);
		else
			logs->fd[i] = log_file(name);
		if (logs->fd[i] == -1 && (i == LOG_ACCESS ||
		    c->error_log != NULL)) {
			log_error("cannot open %s: %s", name, strerror(errno));
			close_logs(logs);
			return false;
		}
	}
	if (logs->fd[LOG_MESSAGES] == -1)
		log_warn("there is no system log: messages will be lost");
	return true;
}

static void
set_level(const struct config *c)
{
	int level = c->log_level + server.options.verbose;

	log_level(level < LOG_L_DEBUG ? (enum log_level)level : LOG_L_DEBUG);
}

/* What has been done once and for all stays as it is. */
static void
keep(const char *name, char **old, char **new)
{
	char *swap = *new;

	if ((*old == NULL) != (*new == NULL) ||
	    (*old != NULL && strcmp(*old, *new) != 0))
		log_warn("%s cannot be changed by a reload", name);
	*new = *old;
	*old = swap;
}

static void
keep_fixed(struct config *old, struct config *new)
{
	keep("User", &old->user, &new->user);
	keep("Group", &old->group, &new->group);
	keep("ChrootDir", &old->chroot, &new->chroot);
	keep("PidFile", &old->pid_file, &new->pid_file);
	if (old->max_connections != new->max_connections)
		log_warn("MaxConnections cannot be changed by a reload");
	new->max_connections = old->max_connections;
}

/* All that can fail comes before the first thing that cannot be undone. */
static bool
change_config(struct config *new)
{
	struct logs logs;

	if (!open_logs(&logs, new))
		return false;
	if (!listen_prepare(new, false)) {
		close_logs(&logs);
		return false;
	}
	if (!conn_reload(new)) {
		log_error("out of memory");
		listen_abort();
		close_logs(&logs);
		return false;
	}
	keep_fixed(server.config, new);
	watch_listeners(POLLER_NONE);
	listen_commit();
	if (!server.paused)
		watch_listeners(POLLER_ACCEPT);
	use_logs(&logs);
	set_level(new);
	return true;
}

static void
reload(void)
{
	struct config *new = config_new(report_log);
	struct conn *c;

	server.reload = false;
	super_notify_reloading();
	if (new != NULL)
		new->again = true;
	if (new == NULL || !read_config(new) || !change_config(new)) {
		log_error("the configuration stays as it was");
		stats_get()->refused++;
		config_free(new);
		if (server.upgrade) {
			log_error("no upgrade: its configuration is bad");
			forget_upgrade();
		}
	} else {
		server.previous = server.config;
		server.config = new;
		stats_get()->reloads++;
		while ((c = conn_unrouted()) != NULL)
			serve(c, conn_advance(c, CONN_ANEW));
		log_notice("the configuration has been read again");
	}
	super_notify("READY=1");
}

/* ---- another program ---- */

/* With -t before all else. */
static void
try_upgrade(void)
{
	static char test[] = "-t";
	char **argv;

	if (server.rooted) {
		log_error("no upgrade within ChrootDir");
		return;
	}
	if (server.trial != 0 || server.upgrade) {
		log_warn("an upgrade is under way already");
		return;
	}
	if (!proc_find_program(server.argv[0], server.program,
	    sizeof(server.program))) {
		log_error("no upgrade: %s is not to be found",
		    server.argv[0]);
		return;
	}
	argv = calloc((size_t)server.argc + 2, sizeof(*argv));
	if (argv != NULL) {
		argv[0] = server.argv[0];
		argv[1] = test;
		memcpy(argv + 2, server.argv + 1, (size_t)server.argc *
		    sizeof(*argv));
		server.trial = upgrade_try(server.program, argv,
		    server.adopted);
		free(argv);
	}
	if (argv == NULL || server.trial == -1) {
		log_error("no upgrade: %s", strerror(errno));
		server.trial = 0;
		return;
	}
	deadline_set(TIMER_TRIAL, clock_ms() + TRIAL_MS);
}

static void
end_trial(int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	server.trial = 0;
	if (server.phase != SERVING)
		return;		/* it was killed then */
	if (code == UPGRADE_GOOD) {
		server.upgrade = true;	/* as soon as it can be */
		deadline_set(TIMER_TRIAL, clock_ms() + TRIAL_MS);
		return;
	}
	deadline_clear(TIMER_TRIAL);
	if (code == 0)
		log_error("no upgrade: %s does not know how to go on",
		    server.argv[0]);
	else if (code != -1)
		log_error("no upgrade: %s -t exits with status %d",
		    server.argv[0], code);
	else
		log_error("no upgrade: %s -t ends by signal %d",
		    server.argv[0], WTERMSIG(status));
}

/* If it returns, nothing has happened. */
static void
upgrade(void)
{
	struct conn *c;

	/* What has come until now is for us, the rest for the next program. */
	proc_hold_signals(true);
	take_signals();
	forget_upgrade();
	if (server.phase != SERVING) {
		proc_hold_signals(false);
		return;
	}
	super_notify_reloading();
	/* A watch may have changed what the next program gets (poll). */
	for (c = slot_next(NULL); c != NULL; c = slot_next(c))
		watch(c, POLLER_NONE);
	upgrade_exec(server.program, server.argv, server.adopted);
	log_error("no upgrade: cannot execute %s: %s", server.program,
	    strerror(errno));
	proc_hold_signals(false);
	for (c = slot_next(NULL); c != NULL; c = slot_next(c))
		serve(c, conn_advance(c, CONN_ANEW));
	super_notify("READY=1");
}

/* The clients that were left to us. */
static void
inherit_clients(void)
{
	struct sock_addr addr;
	struct conn c;
	bool lingers, local;
	int fd;

	while ((fd = upgrade_client(&lingers)) != -1) {
		sock_cloexec(fd);
		local = sock_name(fd, &addr) == 0 &&
		    addr.u.sa.sa_family == AF_UNIX;
		if (lingers)
			conn_start_linger(&c, fd, local);
		else
			conn_start(&c, fd, local);
		serve(&c, conn_advance(&c, 0));
	}
}

/* ---- signals ---- */

static void
take_children(void)
{
	pid_t pid;
	int status, exit_status;

	/* As process 1, also those that nobody else waits for. */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == server.trial) {
			end_trial(status);
		} else if (child_ended(pid, status, &exit_status)) {
			log_notice("%s has ended with status %d",
			    server.options.command[0], exit_status);
			if (!counted())
				server.status = exit_status;
			server.phase = DONE;
		}
	}
}

static void
take_signal(int sig)
{
	switch (sig) {
	case SIGTERM:
	case SIGINT:
		stop();
		break;
	case SIGALRM:
#ifdef SIGINFO
	case SIGINFO:
#endif
		log_stats();
		break;
	case SIGCHLD:
		take_children();
		break;
	default:
		/* With a command, all others are its own. */
		if (server.options.command != NULL)
			child_signal(sig);
		else if (sig == SIGHUP)
			server.reload = true;
		else if (sig == SIGUSR1)
			log_reopen();
		else if (sig == SIGUSR2 && server.phase == SERVING)
			try_upgrade();
		break;
	}
}

static void
take_signals(void)
{
	int sig;

	while ((sig = proc_signal()) != -1)
		take_signal(sig);
}

/* ---- turns ---- */

static void
take_event(const struct poller_event *event)
{
	struct conn *c;

	if (event->id < CONFIG_LISTENERS) {
		accept_clients(listen_at((int)event->id));
	} else if (event->id == ID_SIGNALS) {
		take_signals();
	} else {
		c = slot_at(event->id - ID_SLOTS);
		serve(c, conn_advance(c, reasons(event->what)));
	}
}

static void	ready(void);

/* A timer of our own. */
static void
take_own_timer(uint32_t id)
{
	char text[SOCK_TEXT];

	switch (id) {
	case TIMER_PAUSE:
		server.paused = false;
		watch_listeners(POLLER_ACCEPT);
		break;
	case TIMER_STOP:
		stop();		/* as if it had been said once more */
		break;
	case TIMER_TRIAL:
		if (server.trial != 0)
			kill(server.trial, SIGKILL);
		else
			log_error("no upgrade: there is always a client that "
			    "is just being written to");
		server.upgrade = false;
		break;
	case TIMER_TICK:
		if (server.phase != STARTING)
			break;	/* the command has ended in this turn */
		if (conn_probe(&server.probed))
			ready();
		else
			deadline_set(TIMER_TICK, clock_ms() + START_TICK_MS);
		break;
	case TIMER_START:
		if (server.phase != STARTING)
			break;
		log_error("%s does not accept connections in time", sock_path(
		    &server.config->targets[server.probed].addr, text,
		    sizeof(text)));
		server.status = CHILD_FAILED;
		server.phase = DONE;
		break;
	default:
		log_error("the time of -T is over");
		server.status = 1;
		server.phase = DONE;
		break;
	}
}

static void
take_timer(uint32_t id)
{
	struct conn *c;
	unsigned int why;

	if (id < TIMER_CONN) {
		take_own_timer(id);
		return;
	}
	c = conn_due(id, &why);
	if (c != NULL)
		serve(c, conn_advance(c, why));
}

/* What must not happen while reports of this turn are about. */
static void
between_turns(void)
{
	uint32_t busy;

	if (server.previous != NULL && conn_outdated() == 0) {
		config_free(server.previous);
		server.previous = NULL;
	}
	if (server.phase == SERVING && server.reload &&
	    server.previous == NULL)
		reload();
	if (server.phase == SERVING && server.upgrade &&
	    conn_unfinished() == 0)
		upgrade();
	if (server.phase == SERVING && counted())
		stop();
	/* Who has had an answer need not keep a command from its end. */
	busy = slot_used();
	if (child_runs())
		busy -= conn_lingering();
	if (server.phase == STOPPING && busy == 0)
		end_command();
}

/* Own failures, beside a command, have a status of their own. */
static int
failure(int status)
{
	return server.options.command != NULL ? CHILD_FAILED : status;
}

static void
loop(void)
{
	struct poller_event events[EVENTS];
	int64_t id;
	int i, n;

	while (server.phase != DONE) {
		n = poller_wait(events, EVENTS, deadline_wait());
		if (n == -1) {
			log_error("%s: %s", poller_name(), strerror(errno));
			server.status = failure(1);
			return;
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
		between_turns();
	}
}

/* ---- start ---- */

static void
report(const char *line)
{
	text_write(STDERR_FILENO, "%s\n", line);
}

static void
report_log(const char *line)
{
	log_error("%s", line);
}

/*
 * What the one who started us left for us: by LISTEN_FDS, or, if nothing else
 * is configured, descriptor 0 if it listens.
 */
static void
adopt_listeners(struct config *c)
{
	struct sock_addr addr;
	int i;

	for (i = 0; i < server.adopted; i++)
		config_inherit(c, SUPER_LISTEN_FD + i);
	if (c->listeners == 0 && (server.adopted_input ||
	    sock_inherit(STDIN_FILENO, &addr) == 0)) {
		server.adopted_input = true;
		config_inherit(c, STDIN_FILENO);
	}
}

static void
announce(bool print)
{
	char text[SOCK_TEXT];
	int i;

	for (i = 0; i < listen_count(); i++) {
		if (listen_at(i)->fd == -1)
			continue;
		sock_text(&listen_at(i)->bound, text, sizeof(text));
		log_info("listening on %s", text);
		if (print)
			text_write(STDOUT_FILENO, "%s\n", text);
	}
}

/* All memory for running is taken here. */
static bool
allocate(void)
{
	struct config *c = server.config;
	unsigned int limit = proc_raise_nofile();
	uint32_t max = c->max_connections, room;
	/* A reload may add listeners; memory that is not used costs nothing. */
	uint32_t arrivals = ACCEPTS * CONFIG_LISTENERS;

	room = limit > RESERVE + 2 ? (limit - RESERVE) / 2 : 1;
	if (max == 0)
		max = room < 10000 ? room : 10000;
	if (max > room) {
		log_warn("MaxConnections %u needs %u descriptors, the limit "
		    "is %u: using %u", max, 2 * max + RESERVE, limit, room);
		max = room;
	}
	if (!conn_open(c, max, arrivals, TIMER_CONN)) {
		log_error("out of memory");
		return false;
	}
	/* The system gives the lowest free number, but those that we were
	   started with may be any. */
	room = RESERVE + 2 * slot_total();
	if (room < FEW_FDS)
		room = FEW_FDS;
	if (poller_open(room < limit ? room : limit) == -1) {
		log_error("%s: %s", poller_name(), strerror(errno));
		return false;
	}
	return true;
}

/* The first two are only there to be forwarded. */
static const int signals[] = { SIGQUIT, SIGWINCH, SIGTERM, SIGINT, SIGHUP,
    SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD,
#ifdef SIGINFO
    SIGINFO,
#endif
    0 };

static bool
start(void)
{
	struct config *c = server.config;
	struct sock_addr addr;
	int fd;

	/* It has clients already: what is not vital must not end it. */
	if (c->pid_file == NULL)
		super_pid_forget();
	else if (!super_pid_open(c->pid_file) && !server.heir)
		return false;
	if (!listen_prepare(c, server.heir))
		return false;
	listen_commit();
	if (!proc_drop(c->user, c->group, c->chroot) || !allocate())
		return false;
	if (c->child && !child_listen(&addr, c->backlog)) {
		log_error("no socket for the command: %s", strerror(errno));
		return false;
	}
	if (c->child)
		config_child(c, &addr);
	server.rooted = c->chroot != NULL;
	fd = proc_signals(server.options.command != NULL ? signals :
	    signals + 2);
	if (fd == -1 || poller_set(fd, ID_SIGNALS, POLLER_NONE,
	    POLLER_ACCEPT) == -1) {
		log_error("cannot catch signals: %s", strerror(errno));
		return false;
	}
	return true;
}

/* What is prepared while it can still be reached. */
static struct {
	struct logs logs;	/* a daemon's, once it is ready */
	int out;		/* for descriptor 1 after -1, or -1 */
	int null;		/* for a daemon's 0 to 2, or -1 */
} later = { .out = -1, .null = -1 };

/* An heir of a daemon is one already. */
static bool
becomes_daemon(void)
{
	return server.options.daemon && !server.heir;
}

/* Clients can connect: whoever waits for that is told. */
static void
ready(void)
{
	struct options *opt = &server.options;

	deadline_clear(TIMER_START);
	server.phase = SERVING;
	watch_listeners(POLLER_ACCEPT);
	conn_set_ready(true);
	super_pid_write();
	announce(opt->print);
	if (opt->print)
		proc_null(STDOUT_FILENO, later.out);
	if (opt->ready != NULL)
		super_ready(atoi(opt->ready));
	super_notify("READY=1");
	if (becomes_daemon()) {
		use_logs(&later.logs);
		super_daemon_ready(later.null);
	}
	log_nonblocking(true);
}

/* Returns 0, or an exit status. */
static int
start_command(void)
{
	int status = child_start(server.options.command);

	deadline_set(TIMER_TICK, clock_ms());
	deadline_set(TIMER_START, clock_ms() + server.config->start_ms);
	return status;
}

static void
serve_all(void)
{
	if (server.options.run_ms > 0)
		deadline_set(TIMER_RUN, clock_ms() + server.options.run_ms);
	if (server.options.command != NULL)
		server.status = start_command();
	else
		ready();
	if (server.status != 0)
		return;
	if (server.heir)
		log_notice("upgraded to version %s", VERSION);
	inherit_clients();
	loop();
	end_clients(true);
	child_signal_group(SIGKILL);
}

static int
start_and_serve(void)
{
	if (!open_logs(&later.logs, server.config)) {
		if (!server.heir)
			return failure(1);
		later.logs.name[LOG_MESSAGES] = "stderr";
		later.logs.fd[LOG_MESSAGES] = STDERR_FILENO;
	}
	/* A daemon's parent has its messages until it is ready. */
	if (!becomes_daemon())
		use_logs(&later.logs);
	super_notify_open();
	if (server.options.print)
		later.out = proc_open_null();
	if (becomes_daemon())
		later.null = proc_open_null();
	if (!start() || !proc_confine())
		server.status = failure(1);
	else
		serve_all();
	listen_close();
	child_remove();
	super_pid_remove();
	poller_close();
	return server.status;
}

static void
version(void)
{
	text_write(STDOUT_FILENO, "fdproxy %s (%s)\n", VERSION, poller_name());
}

/* Whether it is the number of an open descriptor; a message if not. */
static bool
is_descriptor(const char *text)
{
	unsigned long n;

	/* 0 to 2 would be closed, and become a client's. */
	if (text_number(text, 10, INT_MAX, &n) && n > STDERR_FILENO &&
	    fcntl((int)n, F_GETFD) != -1)
		return true;
	text_write(STDERR_FILENO, "fdproxy: \"%s\" is not an open "
	    "descriptor above 2\n", text);
	return false;
}

/* An option's number from 1 to max, or 0 after a message. */
static uint32_t
number(int option, const char *text, unsigned long max)
{
	unsigned long n;

	if (text_number(text, 10, max, &n) && n > 0)
		return (uint32_t)n;
	text_write(STDERR_FILENO, "fdproxy: -%c: a number from 1 to %lu "
	    "expected, near \"%s\"\n", option, max, text);
	return 0;
}

/*
 * Read the command line, and the files that it names.  Returns -1 to go on, or
 * an exit status.
 */
static int
read_options(struct config *c, struct options *opt)
{
	bool first = opt == &server.options && !server.heir;
	int ch;

	optind = 1;
#if defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || \
    defined(__DragonFly__) || defined(__APPLE__)
	optreset = 1;
#endif
	while ((ch = getopt(server.argc, server.argv,
	    "+1c:df:hH:l:N:n:r:T:tu:Vv")) != -1) {
		switch (ch) {
		case '1':
			opt->print = true;
			break;
		case 'c':
			config_directive(c, optarg);
			break;
		case 'd':
			opt->daemon = true;
			break;
		case 'f':
			/* A second reading would find nothing there. */
			if (strcmp(optarg, "-") == 0 && !first) {
				c->report("-f: standard input cannot be read "
				    "again");
				c->errors++;
			} else {
				config_file(c, optarg);
			}
			break;
		case 'h':
			help();
			return 0;
		case 'H':
			opt->health = optarg;
			break;
		case 'l':
			config_listen(c, optarg);
			break;
		case 'N':
			opt->ready = optarg;
			break;
		case 'n':
			opt->count = number('n', optarg, 1000000000);
			if (opt->count == 0)
				return 2;
			break;
		case 'r':
			config_route(c, optarg);
			break;
		case 'T':
			opt->run_ms = 1000 * number('T', optarg, 864000);
			if (opt->run_ms == 0)
				return 2;
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
			text_write(STDERR_FILENO, "%s", usage);
			return 2;
		}
	}
	if (optind < server.argc)
		opt->command = server.argv + optind;
	return -1;
}

/* There is a command if a route needs one; else false after a message. */
static bool
child_fits(const struct config *c)
{
	char line[LOG_LINE];
	uint32_t i;

	if (!c->child || server.options.command != NULL)
		return true;
	for (i = 0; !c->targets[i].child; i++)
		;
	text_format(line, sizeof(line), "%s: \":child\" is the socket of a "
	    "command, and none is given", c->targets[i].where);
	c->report(line);
	return false;
}

/* Everything anew, for a reload. */
static bool
read_config(struct config *c)
{
	struct options again = { .print = false };

	read_options(c, &again);
	adopt_listeners(c);
	return config_finish(c) && child_fits(c);
}

/*
 * The trial before an upgrade: whether we could go on here, in the place of
 * the program that asks.  All that could fail is done as in the place itself,
 * and ends with this process.
 */
static bool
may_follow(const struct config *c)
{
	if (!open_logs(&later.logs, c) || !listen_prepare(c, false))
		return false;
	listen_abort();
	return proc_drop(c->user, c->group, c->chroot) && allocate();
}

/* -t, by a user or as a trial.  An exit status. */
static int
test(const struct config *c, enum upgrade_left left)
{
	switch (left) {
	case UPGRADE_OURS:
		return may_follow(c) ? UPGRADE_GOOD : 1;
	case UPGRADE_FOREIGN:
		log_error("version %s cannot go on where another one is",
		    VERSION);
		return 1;
	case UPGRADE_NOTHING:
		break;
	}
	config_route_notes(c);
	text_write(STDERR_FILENO, "configuration is good\n");
	return 0;
}

static int
run(void)
{
	struct config *c = server.config;
	struct options *opt = &server.options;
	enum upgrade_left left = upgrade_open();
	int status;

	server.heir = left == UPGRADE_OURS;
	c->again = server.heir;
	server.adopted = super_listen_fds();
	status = read_options(c, opt);
	if (status != -1)
		return status;
	if (opt->health != NULL)
		return health_check(opt->health, opt->run_ms > 0 ?
		    opt->run_ms : HEALTH_MS);
	adopt_listeners(c);
	if (!config_finish(c))
		return opt->test ? 2 : failure(2);
	if (!child_fits(c))
		return 2;
	set_level(c);
	if (opt->test)
		return test(c, left);
	if (server.heir) {
		opt->print = false;	/* done long ago */
		opt->ready = NULL;
	}
	if (opt->ready != NULL && !is_descriptor(opt->ready))
		return failure(2);
	if (becomes_daemon() && !super_daemon())
		return failure(1);
	return start_and_serve();
}

int
main(int argc, char **argv)
{
	int status = 1;

	if (!proc_sane_fds())
		return 1;
	clock_update();
	server.argc = argc;
	server.argv = argv;
	server.config = config_new(report);
	if (server.config == NULL)
		log_error("out of memory");
	else
		status = run();
	/* The names of their files go now. */
	log_use(LOG_MESSAGES, "stderr", STDERR_FILENO);
	log_use(LOG_ACCESS, NULL, -1);
	conn_release();
	deadline_close();
	config_free(server.previous);
	config_free(server.config);
	return status;
}
