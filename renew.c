/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "listen.h"
#include "proc.h"
#include "renew.h"
#include "slot.h"
#include "super.h"
#include "text.h"

/*
 * The process id that the list is meant for, then its lines: a letter for the
 * kind, a number, and what else belongs to it.
 *
 *	l FD KIND	a listening socket, an enum listen_kind
 *	p FD		the pid file, locked
 *	m FD NAME	the file of messages, a FD NAME that of the access log
 *	o FD PID	a process that keeps old clients: its end of the pipe
 *	c FD AGE KEPT	a client with an unread head: milliseconds since it was
 *			accepted; 1 if its connection was kept alive
 *	n COUNT, t MS	what is left of -n and -T
 *	i ID, r COUNT	the last client's id, and how many renewals there were
 */
#define VARIABLE	"FDPROXY_LEFT"

/* One variable may have 128 KiB on Linux; who has no room stays here. */
#define HEAD_MAX	((size_t)16 * 1024)
#define CLIENTS_MAX	((size_t)96 * 1024)
#define LINE_MAX_BYTES	64	/* of a client's line, and more */
#define CHILDREN_MAX	8

extern char **environ;

static char *text;		/* of the variable, a copy */
static char *clients;		/* where the clients' lines go on in it */
static struct renew_counts left_counts;

static struct {
	pid_t pid;
	int fd;			/* a pipe: "go on", and its end says "end" */
} children[CHILDREN_MAX];
static int nchildren;

static char program[1024];
static pid_t trial;		/* 0: none */
static bool again;		/* one more was asked for meanwhile */
static bool due;
static int inherited;		/* sockets from LISTEN_FDS */
static int parent = -1;

/* ---- what was left ---- */

static void
adopt_child(int fd, pid_t pid)
{
	sock_cloexec(fd);
	if (nchildren == CHILDREN_MAX || write(fd, "", 1) != 1) {
		close(fd);
		return;
	}
	children[nchildren].pid = pid;
	children[nchildren++].fd = fd;
}

/* One line without its newline.  False if its kind is not known. */
static bool
take_line(char *line)
{
	char *rest;
	long n = strtol(line + 1, &rest, 10);
	int fd = (int)n;
	bool open = strchr("lpmao", *line) != NULL &&
	    fcntl(fd, F_GETFD) != -1;

	switch (*line) {
	case 'l':
		if (open)
			listen_adopt(fd, (enum listen_kind)strtol(rest, NULL,
			    10));
		return true;
	case 'p':
		if (open)
			super_pid_adopt(fd);
		return true;
	case 'm':
	case 'a':
		if (open && sock_cloexec(fd) == 0)
			log_use(*line == 'm' ? LOG_MESSAGES : LOG_ACCESS,
			    rest + (*rest == ' '), fd);
		return true;
	case 'o':
		if (open)
			adopt_child(fd, (pid_t)strtol(rest, NULL, 10));
		return true;
	case 'n':
		left_counts.handoffs = strtoull(line + 1, NULL, 10);
		return true;
	case 't':
		left_counts.run_ms = (uint32_t)n;
		return true;
	case 'i':
		left_counts.accepted = (uint32_t)strtoul(line + 1, NULL, 10);
		return true;
	case 'r':
		left_counts.renewals = strtoull(line + 1, NULL, 10);
		return true;
	default:
		return false;
	}
}

enum renew_left
renew_open(void)
{
	const char *given = getenv(VARIABLE);
	char *line, *end;

	text = given == NULL ? NULL : strdup(given);
	unsetenv(VARIABLE);
	/* Another process's variable has come by inheritance. */
	if (text == NULL || strtol(text, &line, 10) != (long)getpid())
		return RENEW_NOTHING;
	if (*line++ != '\n')
		return RENEW_FOREIGN;
	for (; *line != '\0' && *line != 'c'; line = end + 1) {
		end = strchr(line, '\n');
		if (end == NULL)
			return RENEW_FOREIGN;
		*end = '\0';
		if (!take_line(line))
			return RENEW_FOREIGN;
	}
	clients = line;
	return RENEW_OURS;
}

void
renew_close(void)
{
	free(text);
	text = clients = NULL;
}

void
renew_counts(struct renew_counts *counts)
{
	if (clients != NULL)
		*counts = left_counts;
}

int
renew_client(uint32_t *age)
{
	long fd;

	while (clients != NULL && *clients == 'c') {
		fd = strtol(clients + 1, &clients, 10);
		*age = (uint32_t)strtoul(clients, &clients, 10);
		clients += strcspn(clients, "\n");
		clients += *clients == '\n';
		if (fd > STDERR_FILENO && fd <= INT_MAX &&
		    sock_cloexec((int)fd) == 0)
			return (int)fd;
	}
	return -1;
}

/* ---- what is left to the next program ---- */

/*
 * The lines of clients whose heads are unread, in the order of their queues,
 * and mark those clients.
 */
static size_t
write_clients(char *dst)
{
	struct conn *c;
	size_t n = 0;

	for (c = slot_next(NULL); c != NULL; c = slot_next(c))
		c->left = false;
	for (c = slot_unread(NULL); c != NULL &&
	    n < CLIENTS_MAX - LINE_MAX_BYTES; c = slot_unread(c)) {
		c->left = true;
		n += text_format(dst + n, LINE_MAX_BYTES, "c %d %" PRIu32
		    " 0\n", c->fd, clock_ms() - c->begun);
	}
	dst[n] = '\0';
	return n;
}

static size_t
write_head(char *dst, const struct renew_counts *counts)
{
	const char *name;
	size_t n;
	int i;

	n = text_format(dst, HEAD_MAX, "%ld\nn %" PRIu64 "\nt %" PRIu32
	    "\ni %" PRIu32 "\nr %" PRIu64 "\n", (long)getpid(),
	    counts->handoffs, counts->run_ms, counts->accepted,
	    counts->renewals);
	if (super_pid_fd() != -1)
		n += text_format(dst + n, HEAD_MAX - n, "p %d\n",
		    super_pid_fd());
	for (i = 0; i < listen_count(); i++)
		if (listen_number(i) == -1 && listen_at(i)->fd != -1)
			n += text_format(dst + n, HEAD_MAX - n, "l %d %d\n",
			    listen_at(i)->fd, listen_kind(i));
	for (i = 0; i < LOG_KINDS; i++) {
		name = log_where((enum log_kind)i);
		if (name != NULL && *name == '/' && strchr(name, '\n') == NULL)
			n += text_format(dst + n, HEAD_MAX - n, "%c %d %s\n",
			    i == LOG_MESSAGES ? 'm' : 'a',
			    log_fd((enum log_kind)i), name);
	}
	for (i = 0; i < nchildren; i++)
		n += text_format(dst + n, HEAD_MAX - n, "o %d %ld\n",
		    children[i].fd, (long)children[i].pid);
	return n;
}

/* Whether the next program gets these: FD_CLOEXEC, or 0.  A trial gets what it
   has to look at. */
static void
mark_descriptors(int flags, bool all)
{
	const struct conn *c;
	int i;

	for (i = 0; i < listen_count(); i++)
		if (listen_number(i) == -1 && listen_at(i)->fd != -1)
			fcntl(listen_at(i)->fd, F_SETFD, flags);
	for (i = 0; i < LOG_KINDS; i++)
		if (log_fd((enum log_kind)i) > STDERR_FILENO)
			fcntl(log_fd((enum log_kind)i), F_SETFD, flags);
	if (!all)
		return;
	if (super_pid_fd() != -1)
		fcntl(super_pid_fd(), F_SETFD, flags);
	for (i = 0; i < nchildren; i++)
		fcntl(children[i].fd, F_SETFD, flags);
	for (c = slot_next(NULL); c != NULL; c = slot_next(c))
		if (c->left)
			fcntl(c->fd, F_SETFD, flags);
}

/* LISTEN_FDS, and what was descriptor 0: as when we were started. */
static bool
leave_inherited(void)
{
	int i;

	if (inherited > 0 && !super_leave_listen_fds(inherited))
		return false;
	for (i = 0; i < listen_count(); i++)
		if (listen_number(i) != -1)
			super_leave_fd(listen_at(i)->fd, listen_number(i));
	return true;
}

/*
 * Make the program that is executed next find all that is left to it, in the
 * room of HEAD_MAX + CLIENTS_MAX bytes at room, where the clients' lines stand
 * at HEAD_MAX already.  False with errno; take_back() undoes it.
 */
static bool
leave(char *room, const struct renew_counts *counts, bool all)
{
	size_t n = write_head(room, counts);

	memmove(room + n, room + HEAD_MAX, strlen(room + HEAD_MAX) + 1);
	mark_descriptors(0, all);
	return setenv(VARIABLE, room, 1) == 0 && leave_inherited();
}

static void
take_back(void)
{
	int i, number;

	mark_descriptors(FD_CLOEXEC, true);
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
	unsetenv("NOTIFY_SOCKET");
}

/* ---- the trial ---- */

/* In the child: execute the program with -t before all else. */
static void
run_trial(char *room, char **argv)
{
	const struct renew_counts none = { .handoffs = 0 };

	proc_default_signals();
	proc_restore_nofile();
	if (log_fd(LOG_MESSAGES) != -1)
		dup2(log_fd(LOG_MESSAGES), STDERR_FILENO);
	write_clients(room + HEAD_MAX);
	/* Not execvp(3): it would make a shell script of an empty file. */
	if (leave(room, &none, false))
		execv(program, argv);
	log_error("cannot execute %s: %s", program, strerror(errno));
	_exit(126);
}

bool
renew_try(int argc, char **argv, int adopted)
{
	static char test[] = "-t";
	char **args, *room;

	if (trial != 0 || due) {
		again = true;
		return true;
	}
	inherited = adopted;
	if (!proc_find_program(argv[0], program, sizeof(program))) {
		log_error("not renewed: %s is not to be found", argv[0]);
		return false;
	}
	args = calloc((size_t)argc + 2, sizeof(*args));
	room = malloc(HEAD_MAX + CLIENTS_MAX);
	if (args != NULL && room != NULL) {
		args[0] = argv[0];
		args[1] = test;
		memcpy(args + 2, argv + 1, (size_t)argc * sizeof(*args));
		/* Until it has its own, our handlers would tell us of its
		   signals. */
		proc_hold_signals(true);
		trial = fork();
		if (trial == 0)
			run_trial(room, args);
		proc_hold_signals(false);
	}
	if (args == NULL || room == NULL || trial == -1) {
		log_error("not renewed: %s", strerror(errno));
		trial = 0;
	}
	free(args);
	free(room);
	return trial != 0;
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
		if (children[i].pid != pid)
			continue;
		close(children[i].fd);
		memmove(&children[i], &children[i + 1],
		    (size_t)(--nchildren - i) * sizeof(*children));
		return false;
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
renew_cancel(void)
{
	if (trial != 0)
		kill(trial, SIGKILL);
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
	if (nchildren == CHILDREN_MAX) {
		log_warn("too many old processes: the oldest one ends");
		close(children[0].fd);
		memmove(&children[0], &children[1],
		    --nchildren * sizeof(*children));
	}
	children[nchildren].pid = pid;
	children[nchildren++].fd = fd[1];
	return pid;
}

static bool
somebody_stays(void)
{
	const struct conn *c = slot_next(NULL);

	while (c != NULL && c->left)
		c = slot_next(c);
	return c != NULL;
}

bool
renew_go(char **argv, const struct renew_counts *counts)
{
	char *room = malloc(HEAD_MAX + CLIENTS_MAX);
	bool stay = false, good = room != NULL;
	pid_t pid = 0;

	due = false;
	if (good) {
		write_clients(room + HEAD_MAX);
		stay = somebody_stays();
	}
	if (stay) {
		pid = start_child();
		good = pid != -1;
	}
	if (good && stay && pid == 0) {
		free(room);
		return true;
	}
	repeat_signal();
	if (good && leave(room, counts, true) && super_notify_leave())
		execv(program, argv);
	log_error("not renewed: cannot execute %s: %s", program,
	    strerror(errno));
	if (pid > 0)
		close(children[--nchildren].fd);
	take_back();
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
		if (now && children[i].fd != -1)
			close(children[i].fd);
		else
			kill(children[i].pid, SIGTERM);
		if (now)
			children[i].fd = -1;
	}
}
