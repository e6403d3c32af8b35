/* See LICENSE for copyright and license details. */
#ifndef CHILD_H
#define CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "sock.h"

/*
 * The backend's command, if fdproxy is its parent: started, sent signals,
 * reaped, and its end made an exit status.
 */

/* Exit statuses, as env(1) and its like have them; 128+n: signal n. */
enum {
	CHILD_FAILED = 125,	/* ours, before or beside the command */
	CHILD_NOT_EXECUTABLE = 126,
	CHILD_NOT_FOUND = 127
};

/*
 * Make a listening socket for the command: abstract, with a name that the
 * system chooses, where there are such names, else in a folder of its own.
 * True with its address in *addr, or false with errno.  The descriptor stays
 * here until child_start().
 */
bool	child_listen(struct sock_addr *addr, int backlog);

/*
 * Start argv in a process group of its own, with the signals and limits that
 * we were started with, and no descriptors but 0 to 2; and child_listen()'s, if
 * there is one, as descriptor 3 with LISTEN_FDS=1.  Returns 0 once argv is
 * executed, or an exit status after a message.
 */
int	child_start(char **argv);

/* Whether the command runs. */
bool	child_runs(void);

/* Send a signal to the command; or to all its process group, stopped or not. */
void	child_signal(int sig);
void	child_signal_group(int sig);

/*
 * A process has ended, with a status of waitpid(2).  If it was the command:
 * true, and *exit_status is the exit status that should become ours.
 */
bool	child_ended(pid_t pid, int status, int *exit_status);

/* Remove the folder that child_listen() may have made, with its socket. */
void	child_remove(void);

#endif
