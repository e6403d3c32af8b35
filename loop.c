/* See LICENSE for copyright and license details. */

/*
 * Nothing waits but poller_wait().  The calls that could, and why they do not:
 *
 *	accept		listeners are O_NONBLOCK; who shares one leaves it so
 *	recv, send	of clients: MSG_DONTWAIT, whatever their sockets are
 *	connect,	to backends: sockets of our own with O_NONBLOCK; a full
 *	sendmsg		backlog or buffer is EAGAIN
 *	close		of clients: a time in SO_LINGER is switched off before
 *			(sock_close), {1,0} does not wait
 *	write		to logs: see enum sink_kind in log.c; NOTIFY_SOCKET and
 *			the system's log: MSG_DONTWAIT; before anybody is
 *			served, what -1 and -N say waits for who asked for it
 *	open		of logs, pid file, configuration: O_NONBLOCK, so that no
 *			FIFO or device is waited for
 *	read		of configurations: no FIFO, 1000 files and 16 MiB at
 *			most; of pipes: O_NONBLOCK, but for a child before it
 *			serves, and for the command's execve(2) at the start
 *	flock		of the folders of new listeners: LOCK_NB, for a second
 *	waitpid		WNOHANG
 *
 * The system itself is trusted: plain files on its disks, execve(2), and the
 * files that users' names are looked up in, which is done at a renewal.  So are
 * those who may connect to an AF_UNIX listener: descriptors that they send are
 * closed by the system, in here, and one with SO_LINGER can wait.
 */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accept.h"
#include "backend.h"
#include "child.h"
#include "clock.h"
#include "conn.h"
#include "event.h"
#include "listen.h"
#include "log.h"
#include "loop.h"
#include "poller.h"
#include "proc.h"
#include "renew.h"
#include "serve.h"
#include "stats.h"
#include "status.h"
#include "super.h"

#define EVENTS		256	/* in one turn */
#define TIMERS		256	/* in one turn */
#define RESERVE		32	/* descriptors that are not for clients */
#define WORKERS_SHARE	8	/* of all, if there may be workers */
#define FD_NUMBERS_MIN	1048576	/* of the poller: costs address space only */
#define TRIAL_MS	30000	/* for a new program's trial */
#define TICK_MS		10	/* between looks for a command's sockets */
#define STOPPING_MS	3000	/* for clients, if a command is to end, too */
#define SILENT_MS	1000	/* for a client's first word, when stopping */
#define LAST_MS		1000	/* behind StopTimeout, for what is told then */

/* Names of deadlines: those of the loop, then those of conn. */
enum {
	TIMER_PAUSE,		/* descriptors may be free again */
	TIMER_STOP,		/* GracefulShutdownTimeout */
	TIMER_TRIAL,		/* a new program's trial takes too long */
	TIMER_TICK,		/* look for the command's sockets, or its end */
	TIMER_START,		/* StartTimeout */
	TIMER_RUN,		/* -T */
	TIMER_CONN
};

/* What goes on, in this order. */
enum phase {
	STARTING,		/* the command's sockets do not accept yet */
	SERVING,
	LEAVING,		/* StopDelay: not ready, but serving */
	STOPPING,		/* no new clients */
	ENDING,			/* no clients; the command has been told */
	DONE
};

static struct config *config;
static struct loop_plan plan;
static enum phase phase;
static bool old;		/* this process only ends what was begun */
static bool told;		/* and has been told to hurry */
static bool by_terminal;	/* the signal to stop: the command has it */
static bool asked;		/* to stop */
static uint32_t probed;		/* how far the targets accept */
static uint32_t run_end;	/* TIMER_RUN's, if there is one */
static uint32_t fd_numbers;	/* for poller_open() */
static int status;		/* to exit with */

static const int caught[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2,
    SIGALRM, SIGCHLD,
#ifdef SIGINFO
    SIGINFO,
#endif
    0 };
static const int of_old[] = { SIGTERM, SIGINT, SIGALRM, 0 };

/* ---- stopping ---- */

/*
 * Clients that have said nothing, unless they have just come: their request is
 * under way.  Or all, with an answer if they can.
 */
static void
end_clients(bool all)
{
	unsigned int why;
	struct conn *c;

	for (c = slot_next(NULL); c != NULL; c = slot_next(c)) {
		/* What came in this moment, from a client or as a backend, is
		   not overlooked. */
		why = all && c->state == CONN_QUEUED ? CONN_LATE : CONN_LOOK;
		serve_client(c, conn_advance(c, why));
		if (c->state == CONN_FREE)
			continue;
		if (all) {
			conn_refuse(c);
			serve_close(c);
		} else {
			conn_hurry(c, SILENT_MS);
		}
	}
}

static void
clear_timers(void)
{
	uint32_t id;

	for (id = 0; id < TIMER_CONN; id++)
		if (id != TIMER_RUN)
			deadline_clear(id);
}

/* No client is left: the command's turn, if there is one. */
static void
end_command(void)
{
	if (!child_runs()) {
		phase = DONE;
		return;
	}
	phase = ENDING;
	child_stop(config->stop_signal, by_terminal);
	deadline_set(TIMER_STOP, clock_ms() + config->stop_ms);
}

/* The command has ended; what it has left behind has StopTimeout, too. */
static void
end_rest(bool children)
{
	if (phase < STOPPING)
		accept_stop(true);
	if (!child_rest(config->stop_signal, children)) {
		phase = DONE;
		return;
	}
	if (phase != ENDING) {
		end_clients(true);
		clear_timers();
		deadline_set(TIMER_STOP, clock_ms() + config->stop_ms);
	}
	phase = ENDING;
	deadline_set(TIMER_TICK, clock_ms() + TICK_MS);
}

/* Once more: end the clients, then the command; kill it. */
static void
stop_now(void)
{
	if (phase == STOPPING) {
		renew_stop(true);
		end_clients(true);
		if (renew_children() == 0)
			end_command();
		return;
	}
	/* A last chance for what the command has left, and told nothing. */
	if (child_tell_rest(config->stop_signal)) {
		deadline_set(TIMER_STOP, clock_ms() + LAST_MS);
		return;
	}
	log_notice("%s is killed", plan.command[0]);
	child_kill();
	if (!child_runs())
		phase = DONE;
}

/*
 * First call: close the ports, at once or after StopDelay, and let clients
 * finish.  An old process has been told by the first.
 */
static void
stop(void)
{
	uint32_t ms = config->graceful_ms;
	bool starting = phase == STARTING;

	if (old) {
		end_clients(false);
		if (ms > 0 && !told)
			deadline_set(TIMER_STOP, clock_ms() + ms);
		told = true;
		return;
	}
	/* The command may have ended by itself: nobody is in a hurry yet. */
	if (phase >= STOPPING && (asked || phase != ENDING)) {
		stop_now();
		return;
	}
	asked = true;
	if (phase == ENDING) {
		log_notice("stopping");
		return;
	}
	if (phase != LEAVING) {
		backend_set_ready(false);
		super_notify("STOPPING=1");
		log_notice("stopping; %u clients wait", slot_used());
		renew_cancel(true);
	}
	if (phase == SERVING && config->stop_delay_ms > 0 &&
	    !accept_is_over()) {
		phase = LEAVING;
		deadline_set(TIMER_STOP, clock_ms() + config->stop_delay_ms);
		return;
	}
	phase = STOPPING;
	accept_stop(starting);
	clear_timers();
	renew_stop(false);
	end_clients(false);
	if (ms == 0 && plan.command != NULL)
		ms = STOPPING_MS;
	if (ms > 0)
		deadline_set(TIMER_STOP, clock_ms() + ms);
}

/* ---- another configuration, or program ---- */

static void
begin_renewal(void)
{
	if (config->chroot != NULL) {
		log_error("not renewed: within ChrootDir its files are out of "
		    "reach");
		return;
	}
	super_notify_reloading();
	switch (renew_try(plan.argc, plan.argv, plan.adopted)) {
	case RENEW_TRYING:
		deadline_set(TIMER_TRIAL, clock_ms() + TRIAL_MS);
		break;
	case RENEW_NOT:
		super_notify("READY=1");
		break;
	case RENEW_LATER:
		break;
	}
}

/* From now on this process ends what was begun, and nothing else. */
static void
become_old(void)
{
	struct conn *c;
	int fd;

	for (c = slot_next(NULL); c != NULL; c = slot_next(c))
		if (c->left) {
			c->returned = false;	/* not to be shut down */
			conn_close(c);
		}
	old = true;
	phase = STOPPING;
	clear_timers();
	deadline_clear(TIMER_RUN);
	listen_forget();
	worker_forget();
	super_pid_forget();
	super_notify_forget();
	poller_close();
	fd = proc_signals(of_old, false);
	if (fd == -1 || poller_open(fd_numbers) == -1 ||
	    poller_set(fd, SERVE_SIGNALS, POLLER_NONE, POLLER_ACCEPT) == -1 ||
	    poller_set(renew_parent(), SERVE_PARENT, POLLER_NONE,
	    POLLER_ACCEPT) == -1) {
		log_error("%s: %s", poller_name(), strerror(errno));
		phase = DONE;
		return;
	}
	proc_hold_signals(false);
	for (c = slot_next(NULL); c != NULL; c = slot_next(c)) {
		c->watched = POLLER_NONE;
		serve_client(c, c->state == CONN_QUEUED ? CONN_PARK :
		    conn_advance(c, 0));
	}
}

/* ---- signals ---- */

static void
take_children(void)
{
	pid_t pid;
	int ended, exit_status;

	/* As process 1, also those that nobody else waits for. */
	while ((pid = waitpid(-1, &ended, WNOHANG)) > 0) {
		if (renew_ended(pid, ended)) {
			deadline_clear(TIMER_TRIAL);
			if (renew_due() || phase != SERVING)
				continue;
			log_error("the configuration stays as it was");
			stats_get()->refused++;
			super_notify("READY=1");
		} else if (child_ended(pid, ended, &exit_status)) {
			log_notice("%s has ended with status %d",
			    plan.command[0], exit_status);
			if (!accept_is_over())
				status = exit_status;
		}
	}
	if (plan.command != NULL && !child_runs())
		end_rest(pid == 0);
}

static void
take_signal(int sig, bool has_all)
{
	switch (sig) {
	case SIGTERM:
	case SIGINT:
		by_terminal = has_all && child_in_our_group();
		stop();
		break;
	case SIGALRM:
#ifdef SIGINFO
	case SIGINFO:
#endif
		status_message(slot_used());
		break;
	case SIGCHLD:
		take_children();
		break;
	default:
		/* With a command, all others are its own. */
		if (plan.command != NULL && (!has_all || !child_in_our_group()))
			child_signal(sig);
		else if (plan.command != NULL)
			break;
		else if (sig == SIGUSR1)
			log_reopen();
		else if (phase == SERVING)
			begin_renewal();
		break;
	}
}

static void
take_signals(void)
{
	bool has_all;
	int sig;

	while ((sig = proc_signal(&has_all)) != -1)
		take_signal(sig, has_all);
}

/* What has come until now is for us, the rest for the next program. */
static void
renew(void)
{
	struct renew_counts counts = { .handoffs = 0,
	    .accepted = event_last_id(),
	    .renewals = stats_get()->reloads };
	const struct conn *c;

	if (plan.handoffs > 0) {
		counts.handoffs = plan.handoffs - stats_get()->passed;
		/* These are handed off by the process that keeps them; if they
		   are the last ones, they are waited for. */
		for (c = slot_next(NULL); c != NULL; c = slot_next(c))
			if (c->state == CONN_FLUSH && --counts.handoffs == 0)
				return;
	}
	proc_hold_signals(true);
	take_signals();
	if (phase != SERVING) {
		proc_hold_signals(false);
		return;
	}
	if (plan.run_ms > 0)
		counts.run_ms = clock_before(clock_ms(), run_end) ?
		    run_end - clock_ms() : 1;
	if (renew_go(plan.argv, &counts)) {
		become_old();
		return;
	}
	proc_hold_signals(false);
	stats_get()->refused++;
	super_notify("READY=1");
}

/* ---- turns ---- */

static void
take_event(const struct poller_event *event)
{
	unsigned int why = (event->what & POLLER_END ? CONN_END : 0) |
	    (event->what & POLLER_GONE ? CONN_GONE : 0);
	struct conn *c;
	char byte;

	if (event->id >= SERVE_CLIENTS) {
		c = slot_at(event->id - SERVE_CLIENTS);
		if (!slot_is_new(c))
			serve_client(c, conn_advance(c, why));
	} else if (event->id == SERVE_SIGNALS) {
		take_signals();
	} else if (event->id == SERVE_PARENT) {
		/* The process in our place says nothing; its end is ours. */
		if (read(renew_parent(), &byte, 1) == 0) {
			end_clients(true);
			phase = DONE;
		}
	} else {
		accept_event(event->id);
	}
}

/* Clients can connect: whoever waits for that is told. */
static void
ready(void)
{
	deadline_clear(TIMER_START);
	phase = SERVING;
	accept_watch(true);
	backend_set_ready(true);
	plan.ready();
	super_notify("READY=1");
}

/* A timer of the loop. */
static void
take_own_timer(uint32_t id)
{
	char text[SOCK_TEXT];
	bool accepts;

	switch (id) {
	case TIMER_PAUSE:
		accept_resume();
		break;
	case TIMER_STOP:
		if (old)
			end_clients(true);
		else if (phase >= STOPPING)
			stop_now();
		else
			stop();		/* StopDelay is over */
		break;
	case TIMER_TRIAL:
		log_error("not renewed: the trial takes too long");
		renew_cancel(false);
		break;
	case TIMER_TICK:
		accepts = phase == STARTING && child_accepts();
		if (phase != STARTING)
			take_children();	/* is something left? */
		else if (backend_all(&probed) && accepts)
			ready();
		else
			deadline_set(TIMER_TICK, clock_ms() + TICK_MS);
		break;
	case TIMER_START:
		if (phase != STARTING)
			break;
		if (probed == config->ntargets)
			log_error("%s does not accept connections in time",
			    plan.command[0]);
		else
			log_error("%s %s in time", sock_path(
			    &config->targets[probed].addr, text, sizeof(text)),
			    backend_lacks(&config->targets[probed]));
		status = CHILD_FAILED;
		phase = DONE;
		break;
	default:
		log_error("the time of -T is over");
		if (plan.command != NULL)
			child_kill();
		status = 1;
		phase = DONE;
		break;
	}
}

static void
turn(void)
{
	struct poller_event events[EVENTS];
	unsigned int why;
	struct conn *c;
	uint32_t busy;
	int64_t id;
	int i, n;

	n = poller_wait(events, EVENTS, deadline_wait());
	/* A signal ends the wait without a look at what has come, and what has
	   come is seen before a time is over. */
	if (n == 0)
		n = poller_wait(events, EVENTS, 0);
	if (n == -1) {
		log_error("%s: %s", poller_name(), strerror(errno));
		status = plan.command != NULL ? CHILD_FAILED : 1;
		phase = DONE;
		return;
	}
	clock_update();
	slot_turn();
	/* No client is refused for want of a worker who is there by now. */
	for (i = 0; i < n; i++)
		if (accept_is_of_workers(events[i].id))
			take_event(&events[i]);
	for (i = 0; i < n; i++)
		if (!accept_is_of_workers(events[i].id))
			take_event(&events[i]);
	/* Once it is over, nothing else that is due changes the status. */
	for (i = 0; i < TIMERS && phase != DONE && (phase != SERVING ||
	    !accept_is_over()) && (id = deadline_expired()) != -1; i++) {
		if (id < TIMER_CONN) {
			take_own_timer((uint32_t)id);
			continue;
		}
		c = conn_due((uint32_t)id, &why);
		if (c != NULL)
			serve_client(c, conn_advance(c, why));
	}
	/* No report of the poller refers to a client any more: only now may
	   the program change. */
	if ((phase == SERVING || phase == LEAVING) && accept_is_over())
		stop();
	else if (phase == SERVING && renew_due())
		renew();
	/* Who has had an answer need not keep a command from its end. */
	busy = slot_used() + (uint32_t)renew_children();
	if (child_runs())
		busy -= slot_count(LIST_LINGER);
	if (phase == STOPPING && busy == 0)
		end_command();
}

/* ---- start ---- */

bool
loop_open(struct config *c, uint32_t last_id, bool command)
{
	unsigned int limit = proc_raise_nofile();
	uint32_t max = c->max_connections, room, workers = 0;
	int fd;

	config = c;
	if (c->has_workers)
		workers = limit / WORKERS_SHARE < WORKER_TABLE ?
		    limit / WORKERS_SHARE : WORKER_TABLE;
	room = RESERVE + workers;
	room = limit > room + 2 ? (limit - room) / 2 : 1;
	if (max == 0)
		max = room < 10000 ? room : 10000;
	if (max > room) {
		log_warn("MaxConnections %u needs %u descriptors, the limit "
		    "is %u: using %u", max, 2 * max + RESERVE + workers, limit,
		    room);
		max = room;
	}
	if (!worker_open(workers, SERVE_WORKERS) ||
	    !conn_open(c, max, TIMER_CONN, last_id, POLLER_EDGES)) {
		log_error("out of memory");
		return false;
	}
	/* The system gives the lowest free number, but those that we were
	   started with may be any. */
	room = RESERVE + 2 * slot_total();
	if (room < FD_NUMBERS_MIN)
		room = FD_NUMBERS_MIN;
	fd_numbers = room < limit ? room : limit;
	if (poller_open(fd_numbers) == -1) {
		log_error("%s: %s", poller_name(), strerror(errno));
		return false;
	}
	fd = proc_signals(caught, command);
	if (fd != -1 && poller_set(fd, SERVE_SIGNALS, POLLER_NONE,
	    POLLER_ACCEPT) != -1)
		return true;
	log_error("cannot catch signals: %s", strerror(errno));
	return false;
}

void
loop_close(void)
{
	worker_release();
	poller_close();
	conn_release();
	deadline_close();
}

int
loop_run(const struct loop_plan *p)
{
	plan = *p;
	proc_hold_signals(false);
	accept_open(config, TIMER_PAUSE, plan.handoffs);
	if (plan.run_ms > 0) {
		run_end = clock_ms() + plan.run_ms;
		deadline_set(TIMER_RUN, run_end);
	}
	/* The clients, and the queues, that were left to us: who is told that
	   we are ready finds nothing of the program before. */
	backend_set_ready(plan.command == NULL);
	accept_left();
	if (plan.command != NULL) {
		status = child_start(plan.command, config->stop_signal);
		if (status != 0)
			return status;
		/* It is ready when it has asked there for clients. */
		accept_watch(false);
		deadline_set(TIMER_TICK, clock_ms());
		deadline_set(TIMER_START, clock_ms() + config->start_ms);
	} else {
		ready();
	}
	take_children();
	while (phase != DONE)
		turn();
	end_clients(true);
	child_finish();
	return status;
}
