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
 * Its address, and true; false with errno.
 */
bool	child_listen(struct sock_addr *addr, int backlog);

/*
 * Start argv in a process group of its own, with the signals and limits that
 * we were started with, and no descriptors but 0 to 2; with child_listen()'s
 * as descriptor 3 and LISTEN_FDS=1.  0, or an exit status after a message.
 */
int	child_start(char **argv);

/* Whether it runs. */
bool	child_runs(void);

/* Send it a signal; or to all of its process group, stopped or not. */
void	child_signal(int sig);
void	child_signal_group(int sig);

/*
 * Some process has ended: if it was the command, true and in *exit_status
 * what should become ours.
 */
bool	child_ended(pid_t pid, int status, int *exit_status);

/* Remove what child_listen() may have left in the file system. */
void	child_remove(void);

#endif
