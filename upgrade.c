/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn.h"
#include "listen.h"
#include "log.h"
#include "proc.h"
#include "super.h"
#include "text.h"
#include "upgrade.h"

/*
 * "PID;4;5,6;;;9-20,33;": the process it is meant for, then the descriptors of
 * the pid file, of listening sockets of each kind, of clients with an unread
 * head, of clients that linger.  Another form must have another name.
 */
#define FAMILY		"FDPROXY_UPGRADE_"
#define VARIABLE	FAMILY "3"

#define NUMBER	12		/* room for one, with what stands before it */

extern char **environ;

static char *value;		/* of the variable, a copy */
static char *left;		/* what upgrade_client() has yet to name */
static bool lingering;		/* it stands in the last list */
static int first, last = -1;	/* of the range it is in */

/* The next number of *text, which is moved on; -1 at the end of the list. */
static int
next_number(char **text)
{
	while (first > last) {
		if (**text == ',')
			++*text;
		if (**text < '0' || **text > '9')
			return -1;
		first = last = (int)strtol(*text, text, 10);
		if (**text == '-')
			last = (int)strtol(*text + 1, text, 10);
		if (first < 0 || last == INT_MAX)
			return -1;
	}
	/* None of ours has ever been missing. */
	if (fcntl(first, F_GETFD) == -1)
		last = first;
	return first++;
}

/* Of whatever version, meant for this process. */
static bool
left_by_another(void)
{
	const char *number;
	char **p;

	for (p = environ; *p != NULL; p++) {
		number = strchr(*p, '=');
		if (strncmp(*p, FAMILY, strlen(FAMILY)) == 0 &&
		    number != NULL &&
		    strtol(number + 1, NULL, 10) == (long)getpid())
			return true;
	}
	return false;
}

enum upgrade_left
upgrade_open(void)
{
	const char *given = getenv(VARIABLE);
	int fd, kind;

	if (given == NULL)
		return left_by_another() ? UPGRADE_FOREIGN : UPGRADE_NOTHING;
	value = strdup(given);
	unsetenv(VARIABLE);
	if (value == NULL)
		return UPGRADE_NOTHING;
	if (strtol(value, &left, 10) != (long)getpid() || *left != ';') {
		left = NULL;
		return UPGRADE_NOTHING;	/* meant for somebody else */
	}
	left++;
	while ((fd = next_number(&left)) != -1)
		super_pid_adopt(fd);
	left += *left == ';';
	for (kind = 0; kind < LISTEN_KINDS; kind++) {
		while ((fd = next_number(&left)) != -1)
			listen_adopt(fd, (enum listen_kind)kind);
		left += *left == ';';
	}
	return UPGRADE_OURS;
}

int
upgrade_client(bool *lingers)
{
	int fd;

	if (left == NULL)
		return -1;
	fd = next_number(&left);
	if (fd == -1 && !lingering) {
		lingering = true;
		left += *left == ';';
		fd = next_number(&left);
	}
	*lingers = lingering;
	return fd;
}

struct list {
	int *fds;
	size_t n;
};

enum {
	PID_FILE,
	LISTENERS,
	CLIENTS = LISTENERS + LISTEN_KINDS,
	LINGERING,
	LISTS
};

static int
by_number(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* As "9-20,33;".  Returns its length. */
static size_t
write_list(char *dst, struct list *l)
{
	size_t i, j, n = 0;

	qsort(l->fds, l->n, sizeof(*l->fds), by_number);
	for (i = 0; i < l->n; i = j) {
		for (j = i + 1; j < l->n && l->fds[j] == l->fds[j - 1] + 1; j++)
			;
		n += text_format(dst + n, NUMBER, "%s%d", i > 0 ? "," : "",
		    l->fds[i]);
		if (j > i + 1)
			n += text_format(dst + n, NUMBER, "-%d",
			    l->fds[j - 1]);
	}
	dst[n++] = ';';
	dst[n] = '\0';
	return n;
}

static void
keep_open(const struct list *l, int flags)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		fcntl(l->fds[i], F_SETFD, flags);
}

/* Listening sockets; and with all, the rest. */
static void
fill(struct list lists[LISTS], bool all)
{
	const struct conn *c = all ? slot_next(NULL) : NULL;
	struct list *l;
	int i;

	if (all && super_pid_fd() != -1)
		lists[PID_FILE].fds[lists[PID_FILE].n++] = super_pid_fd();
	for (i = 0; i < listen_count(); i++) {
		l = &lists[LISTENERS + listen_kind(i)];
		if (listen_number(i) == -1 && listen_at(i)->fd != -1)
			l->fds[l->n++] = listen_at(i)->fd;
	}
	for (; c != NULL; c = slot_next(c)) {
		l = &lists[c->state == CONN_LINGER ? LINGERING : CLIENTS];
		l->fds[l->n++] = c->fd;
	}
}

/* LISTEN_FDS, and what was descriptor 0: as when we were started. */
static bool
leave_inherited(int adopted)
{
	int i;

	if (adopted > 0 && !super_leave_listen_fds(adopted))
		return false;
	for (i = 0; i < listen_count(); i++)
		if (listen_number(i) != -1)
			super_leave_fd(listen_at(i)->fd, listen_number(i));
	return true;
}

/*
 * Make the next program, in this process, find all that is left to it: which
 * is in the lists then, whose first one's fds are to be freed.  False with
 * errno; take_back() undoes as much of it as was done.
 */
static bool
leave(struct list lists[LISTS], bool all, int adopted)
{
	size_t i, n, room = CONFIG_LISTENERS + (all ? slot_used() : 0);
	int *fds = calloc(LISTS * room, sizeof(*fds));
	char *text = malloc(LISTS * 2 + 32 + LISTS * room * NUMBER);
	bool done = false;

	for (i = 0; i < LISTS; i++)
		lists[i] = (struct list){ fds == NULL ? NULL :
		    fds + i * room, 0 };
	if (fds != NULL && text != NULL) {
		fill(lists, all);
		n = text_format(text, 32, "%ld;", (long)getpid());
		for (i = 0; i < LISTS; i++) {
			n += write_list(text + n, &lists[i]);
			keep_open(&lists[i], 0);
		}
		done = setenv(VARIABLE, text, 1) == 0 &&
		    leave_inherited(adopted);
	}
	free(text);
	return done;
}

static void
take_back(struct list lists[LISTS])
{
	int i, number;

	for (i = 0; i < LISTS; i++)
		keep_open(&lists[i], FD_CLOEXEC);
	free(lists[0].fds);
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

pid_t
upgrade_try(const char *program, char **argv, int adopted)
{
	struct list lists[LISTS];
	pid_t pid;

	/* Until it has its own, our handlers would tell us of its signals. */
	proc_hold_signals(true);
	pid = fork();
	if (pid != 0) {
		proc_hold_signals(false);
		return pid;
	}
	proc_default_signals();
	proc_restore_nofile();
	if (log_fd(LOG_MESSAGES) != -1)
		dup2(log_fd(LOG_MESSAGES), STDERR_FILENO);
	/* Not execvp(3): it would make a shell script of an empty file. */
	if (leave(lists, false, adopted))
		execv(program, argv);
	log_error("cannot execute %s: %s", program, strerror(errno));
	_exit(126);
}

void
upgrade_exec(const char *program, char **argv, int adopted)
{
	struct list lists[LISTS];
	int saved;

	if (leave(lists, true, adopted) && super_notify_leave())
		execv(program, argv);
	saved = errno;
	take_back(lists);
	errno = saved;
}
