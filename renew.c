/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "listen.h"
#include "log.h"
#include "proc.h"
#include "renew.h"
#include "slot.h"
#include "super.h"
#include "text.h"
#include "worker.h"

/*
 * The process id that the list is meant for, then its lines: a letter for the
 * kind, a number, and what else belongs to it.
 *
 *	l FD KIND	a listening socket, an enum listen_kind
 *	p FD		the pid file, locked
 *	m FD NAME	the log of messages, a FD NAME the access log
 *	o FD PID	a process that keeps old clients: its end of the pipe
 *	s FD		the supervisor's socket, NOTIFY_SOCKET
 *	w FD LISTENER PROMISES MOST
 *			a worker: the listening socket that it has come to, the
 *			clients that it may still be sent, and the most of them
 *			that there were
 *	c FD AGE KEPT WAIT ID
 *			a client with an unread head: milliseconds since it was
 *			accepted, or given back; 1 if a worker has done that;
 *			how long it has waited for a backend, 0: not yet; its
 *			id
 *	n COUNT, t MS	what is left of -n and -T
 *	i ID, r COUNT	the last client's id, and how many renewals there were
 */
#define VARIABLE	"FDPROXY_LEFT"
#define DESCRIPTORS	"lpmaos"	/* the kinds that a trial may lack */

/* One variable may have 128 KiB on Linux; clients without room stay here. */
#define LIST_MAX	((size_t)120 * 1024)
#define CLIENTS_MAX	((size_t)72 * 1024)	/* of it */
#define CHILDREN_MAX	8
#define AGAIN_MS	500	/* to the next look at a configuration */

static const char *original;	/* the variable */
static char text[LIST_MAX];	/* the same, taken apart */
static const char *clients;	/* the next line in it, of workers, clients */
static struct renew_counts left_counts;

/* One more than there may be, until the next program has taken them over. */
static struct {
	pid_t pid;
	int fd;			/* a pipe: "go on", and its end says "end" */
} children[CHILDREN_MAX + 1];
static int nchildren;

static char program[1024];
static pid_t trial;		/* 0: none */
static bool again;		/* one more was asked for meanwhile */
static bool due;
static int inherited;		/* sockets from LISTEN_FDS */
static int parent = -1;

/* ---- what was left ---- */

/* Take a process out of the table: the end of its pipe ends it. */
static void
forget_child(int i)
{
	if (children[i].fd != -1)
		close(children[i].fd);
	memmove(&children[i], &children[i + 1],
	    (size_t)(--nchildren - i) * sizeof(*children));
}

/* The process begins once it hears of us. */
static void
adopt_child(int fd, pid_t pid)
{
	sock_cloexec(fd);
	if (write(fd, "", 1) != 1) {
		close(fd);
		return;
	}
	if (nchildren == CHILDREN_MAX) {
		log_warn("too many old processes: the oldest one ends");
		forget_child(0);
	}
	children[nchildren].pid = pid;
	children[nchildren++].fd = fd;
}

/* The next number of a line, which has a blank before it; *p is moved. */
static uint64_t
next_number(const char **p)
{
	uint64_t n;

	*p = text_digits(*p + (**p == ' '), 10, &n);
	return n;
}

/* One line without its newline.  False if its kind is not known. */
static bool
take_line(const char *line)
{
	const char *rest = line + 1;
	uint64_t n = next_number(&rest);
	int fd = (int)n;

	if (*line != '\0' && strchr(DESCRIPTORS, *line) != NULL &&
	    fcntl(fd, F_GETFD) == -1)
		return true;	/* it is not for a trial */
	switch (*line) {
	case 'l':
		listen_adopt(fd, (int)next_number(&rest));
		return true;
	case 'p':
		super_pid_adopt(fd);
		return true;
	case 's':
		super_notify_adopt(fd);
		return true;
	case 'm':
	case 'a':
		sock_cloexec(fd);
		log_use(*line == 'm' ? LOG_MESSAGES : LOG_ACCESS,
		    rest + (*rest == ' '), fd);
		return true;
	case 'o':
		adopt_child(fd, (pid_t)next_number(&rest));
		return true;
	case 'n':
		left_counts.handoffs = n;
		return true;
	case 't':
		left_counts.run_ms = (uint32_t)n;
		return true;
	case 'i':
		left_counts.accepted = (uint32_t)n;
		return true;
	case 'r':
		left_counts.renewals = n;
		return true;
	default:
		return false;
	}
}

bool
renew_open(void)
{
	const char *given = getenv(VARIABLE);
	const char *begin;
	char *line, *end;
	uint64_t pid;
	bool known;

	if (given == NULL || text_format(text, sizeof(text), "%s", given) >=
	    sizeof(text))
		return false;
	/* It outlives its name, as all that execve(2) has given us. */
	original = given;
	unsetenv(VARIABLE);
	/* Another process's variable has come by inheritance. */
	begin = text_digits(text, 10, &pid);
	if (pid != (uint64_t)getpid())
		return false;
	/* A reader of messages that stands still holds up clients by now. */
	log_nonblocking(true);
	known = *begin == '\n';
	line = text + (begin - text) + known;
	while (known && *line != '\0' && *line != 'w' && *line != 'c') {
		end = line + strcspn(line, "\n");
		known = *end == '\n';
		*end = '\0';
		known = known && take_line(line);
		line = end + 1;
	}
	if (!known) {
		log_error("version %s cannot go on where another one is",
		    VERSION);
		exit(1);
	}
	clients = line;
	/* Nor may a number be taken for one that we were started with. */
	for (line = text + (clients - text); *line == 'w' || *line == 'c';
	    line = end + 1) {
		begin = line + 1;
		sock_cloexec((int)next_number(&begin));
		end = line + strcspn(line, "\n");
		if (*end == '\0')
			break;
	}
	return true;
}

void
renew_again(char **argv, int adopted)
{
	const char *line = original, *p;
	sigset_t came;

	log_error("not as at the trial: the configuration is read again until "
	    "it is good");
	fcntl(STDIN_FILENO, F_SETFD, 0);	/* it may be a listener */
	while ((line = strchr(line, '\n')) != NULL) {
		p = ++line + 1;
		if (*line == 'w' || *line == 'c' ||
		    (*line != '\0' && strchr(DESCRIPTORS, *line) != NULL))
			fcntl((int)next_number(&p), F_SETFD, 0);
	}
	poll(NULL, 0, AGAIN_MS);
	sigpending(&came);
	if (sigismember(&came, SIGTERM) == 1 ||
	    sigismember(&came, SIGINT) == 1) {
		listen_take_over();	/* what no listener has is closed */
		listen_close(true);
		super_pid_remove();
		exit(0);
	}
	if (setenv(VARIABLE, original, 1) == 0 &&
	    (adopted == 0 || super_leave_listen_fds(adopted)) &&
	    proc_find_program(argv[0], program, sizeof(program)))
		execv(program, argv);
	log_error("cannot execute %s: %s", program, strerror(errno));
}

void
renew_counts(struct renew_counts *counts)
{
	if (clients != NULL)
		*counts = left_counts;
}

/* The line of a worker or client has been read: its descriptor, or -1. */
static int
take_over(int fd)
{
	clients += strcspn(clients, "\n");
	clients += *clients == '\n';
	return fd > STDERR_FILENO && sock_cloexec(fd) == 0 ? fd : -1;
}

int
renew_worker(struct renew_worker *w)
{
	int fd = -1;

	while (fd == -1 && clients != NULL && *clients == 'w') {
		clients++;
		fd = (int)next_number(&clients);
		w->listener = (int)next_number(&clients);
		w->promises = (uint32_t)next_number(&clients);
		w->most = (uint32_t)next_number(&clients);
		fd = take_over(fd);
	}
	return fd;
}

int
renew_client(struct conn_left *c)
{
	int fd = -1;

	while (fd == -1 && clients != NULL && *clients == 'c') {
		clients++;
		fd = (int)next_number(&clients);
		c->age = (uint32_t)next_number(&clients);
		c->returned = next_number(&clients) == 1;
		c->waited = (uint32_t)next_number(&clients);
		c->id = (uint32_t)next_number(&clients);
		fd = take_over(fd);
	}
	return fd;
}

/* ---- what is left to the next program ---- */

/* The list, while it is written; and FD_CLOEXEC, or 0, for its descriptors. */
struct list {
	char *text;
	size_t len;
	int flags;
};

static void	put(struct list *l, int fd, const char *fmt, ...)
    TEXT_PRINTF(3, 4);

/* A line, and what happens to its descriptor (-1: none). */
static void
put(struct list *l, int fd, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	l->len += text_vformat(l->text + l->len, LIST_MAX - l->len, fmt, ap);
	va_end(ap);
	if (fd > STDERR_FILENO)
		fcntl(fd, F_SETFD, l->flags);
}

/*
 * All that is left: listening sockets and logs, which a trial looks at, and
 * what it does not.  Clients whose heads are unread come last, in the order of
 * their queues, as many as there is room for, and are marked.
 */
static void
put_all(struct list *l, const struct renew_counts *counts, bool for_trial)
{
	const struct worker *w;
	const char *name;
	struct conn *c;
	uint32_t waited;
	size_t end;
	int i, fd;

	put(l, -1, "%ld\nn %" PRIu64 "\nt %" PRIu32 "\ni %" PRIu32 "\nr %"
	    PRIu64 "\n", (long)getpid(), counts->handoffs, counts->run_ms,
	    counts->accepted, counts->renewals);
	for (i = 0; i < listen_count(); i++) {
		fd = listen_at(i)->fd;
		if (listen_number(i) == -1 && fd != -1)
			put(l, fd, "l %d %d\n", fd, listen_kind(i));
	}
	for (i = 0; i < LOG_KINDS; i++) {
		name = log_where((enum log_kind)i);
		fd = log_fd((enum log_kind)i);
		if (name != NULL && fd > STDERR_FILENO &&
		    strchr(name, '\n') == NULL)
			put(l, fd, "%c %d %s\n", i == LOG_MESSAGES ? 'm' : 'a',
			    fd, name);
	}
	fd = super_pid_fd();
	if (fd != -1)
		put(l, for_trial ? -1 : fd, "p %d\n", fd);
	fd = super_notify_fd();
	if (fd != -1)
		put(l, for_trial ? -1 : fd, "s %d\n", fd);
	for (i = 0; i < nchildren; i++)
		put(l, for_trial ? -1 : children[i].fd, "o %d %ld\n",
		    children[i].fd, (long)children[i].pid);
	for (w = worker_next(NULL); w != NULL; w = worker_next(w))
		put(l, for_trial ? -1 : w->fd, "w %d %d %" PRIu32 " %" PRIu32
		    "\n", w->fd, listen_for(w->queue), w->promises, w->most);
	for (c = slot_next(NULL); c != NULL; c = slot_next(c))
		c->left = false;
	/* The same ones each time, however long the rest is by then. */
	end = l->len + CLIENTS_MAX;
	for (c = slot_unread(NULL); c != NULL && l->len < end;
	    c = slot_unread(c)) {
		c->left = true;
		waited = !c->waited ? 0 : clock_ms() - c->since;
		put(l, for_trial ? -1 : c->fd, "c %d %" PRIu32 " %d %" PRIu32
		    " %" PRIu32 "\n", c->fd, clock_ms() - c->begun,
		    c->returned, c->waited && waited == 0 ? 1 : waited, c->id);
	}
}

/*
 * Make the program that is executed next find all that is left to it;
 * LISTEN_FDS and what was descriptor 0 are as when we were started.  False with
 * errno; take_back() undoes it.
 */
static bool
leave(char *room, const struct renew_counts *counts, bool for_trial)
{
	struct list l = { room, 0, 0 };
	int i;

	put_all(&l, counts, for_trial);
	for (i = 0; i < listen_count(); i++)
		if (listen_number(i) != -1)
			super_leave_fd(listen_at(i)->fd, listen_number(i));
	return setenv(VARIABLE, room, 1) == 0 &&
	    (inherited == 0 || super_leave_listen_fds(inherited));
}

static void
take_back(char *room, const struct renew_counts *counts)
{
	struct list l = { room, 0, FD_CLOEXEC };
	int i, number;

	put_all(&l, counts, false);
	for (i = 0; i < listen_count(); i++) {
		number = listen_number(i);
		if (number == listen_at(i)->fd)
			fcntl(number, F_SETFD, FD_CLOEXEC);
		else if (number != -1)
			proc_null(number, proc_open_null());
	}
	unsetenv(VARIABLE);
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
}

/* ---- the trial ---- */

enum renew_tried
renew_try(int argc, char **argv, int adopted)
{
	static char test[] = "-t";
	static const struct renew_counts none;
	char **args, *room;

	if (trial != 0 || due) {
		again = true;
		return RENEW_LATER;
	}
	inherited = adopted;
	if (!proc_find_program(argv[0], program, sizeof(program))) {
		log_error("not renewed: %s is not to be found", argv[0]);
		return RENEW_NOT;
	}
	args = calloc((size_t)argc + 2, sizeof(*args));
	room = malloc(LIST_MAX);
	if (args != NULL && room != NULL) {
		args[0] = argv[0];
		args[1] = test;
		memcpy(args + 2, argv + 1, (size_t)argc * sizeof(*args));
		/* Until it has its own, our handlers would tell us of its
		   signals. */
		proc_hold_signals(true);
		trial = fork();
		if (trial == 0) {
			proc_default_signals();
			signal(SIGPIPE, SIG_IGN);	/* a log's reader */
			proc_restore_nofile();
			if (log_fd(LOG_MESSAGES) != -1)
				dup2(log_fd(LOG_MESSAGES), STDERR_FILENO);
			/* Not execvp(3), which makes a shell script of an
			   empty file. */
			if (leave(room, &none, true))
				execv(program, args);
			log_error("cannot execute %s: %s", program,
			    strerror(errno));
			_exit(126);
		}
		proc_hold_signals(false);
	}
	if (args == NULL || room == NULL || trial == -1) {
		log_error("not renewed: %s", strerror(errno));
		trial = 0;
	}
	free(args);
	free(room);
	return trial == 0 ? RENEW_NOT : RENEW_TRYING;
}

/* A signal that came while nothing could be done about it comes once more. */
static void
repeat_signal(void)
{
	if (again)
		kill(getpid(), SIGHUP);
	again = false;
}

bool
renew_ended(pid_t pid, int status)
{
	int i;

	for (i = 0; i < nchildren; i++) {
		if (children[i].pid == pid) {
			forget_child(i);
			return false;
		}
	}
	if (trial == 0 || pid != trial)
		return false;
	trial = 0;
	due = WIFEXITED(status) && WEXITSTATUS(status) == RENEW_GOOD;
	if (due)
		return true;
	if (!WIFEXITED(status))
		log_error("not renewed: %s -t ends by signal %d", program,
		    WTERMSIG(status));
	else if (WEXITSTATUS(status) == 0)
		log_error("not renewed: %s does not know how to go on",
		    program);
	else
		log_error("not renewed: %s -t exits with status %d", program,
		    WEXITSTATUS(status));
	repeat_signal();
	return true;
}

bool
renew_due(void)
{
	return due;
}

void
renew_cancel(bool forget)
{
	if (trial != 0)
		kill(trial, SIGKILL);
	if (forget)
		due = again = false;
}

/* ---- in our place ---- */

/*
 * In the child.  A byte says that the next program runs; the end of the pipe
 * alone, that it does not, and that all clients are the parent's still.
 */
static void
become_child(int fd)
{
	char byte;

	while (nchildren > 0)
		close(children[--nchildren].fd);
	if (read(fd, &byte, 1) != 1)
		_exit(0);
	parent = fd;
	sock_nonblock(parent, true);
	due = again = false;
}

/* The child for clients that have been written to.  -1 with errno, 0 in it. */
static pid_t
start_child(void)
{
	pid_t pid;
	int fd[2];

	if (pipe(fd) == -1)
		return -1;
	sock_cloexec(fd[0]);
	sock_cloexec(fd[1]);
	pid = fork();
	if (pid == 0) {
		close(fd[1]);
		become_child(fd[0]);
		return 0;
	}
	close(fd[0]);
	if (pid == -1) {
		sock_drop(fd[1]);
		return -1;
	}
	children[nchildren].pid = pid;
	children[nchildren++].fd = fd[1];
	return pid;
}

bool
renew_go(char **argv, const struct renew_counts *counts)
{
	char *room = malloc(LIST_MAX);
	struct list l = { room, 0, FD_CLOEXEC };
	const struct conn *c = NULL;
	pid_t pid = 0;

	due = false;
	if (room != NULL) {
		put_all(&l, counts, true);	/* who stays? */
		c = slot_next(NULL);
		while (c != NULL && c->left)
			c = slot_next(c);
	}
	if (c != NULL) {
		pid = start_child();
		if (pid == 0) {
			free(room);
			return true;
		}
	}
	repeat_signal();
	if (room != NULL && pid != -1 && leave(room, counts, false)) {
		execv(program, argv);
		log_error("not renewed: cannot execute %s: %s", program,
		    strerror(errno));
	} else {
		log_error("not renewed: %s", strerror(errno));
	}
	if (pid > 0)
		forget_child(nchildren - 1);
	if (room != NULL)
		take_back(room, counts);
	free(room);
	return false;
}

int
renew_parent(void)
{
	return parent;
}

int
renew_children(void)
{
	return nchildren;
}

void
renew_stop(bool now)
{
	int i;

	for (i = 0; i < nchildren; i++) {
		if (!now) {
			kill(children[i].pid, SIGTERM);
		} else if (children[i].fd != -1) {
			close(children[i].fd);
			children[i].fd = -1;
		} else {
			kill(children[i].pid, SIGKILL);
		}
	}
}
