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
 * A connection to the command, which has its other end from child_start() on:
 * the caller's, or -1 with errno.
 */
int	child_channel(void);

/*
 * Start argv with the signals and limits that we were started with, and no
 * descriptors but 0 to 2; and child_listen()'s, if there is one, as descriptor
 * 3 with LISTEN_FDS=1; and child_channel()'s as the next one, whose number is
 * FDPROXY_WORKERS.  It has a process group of its own, unless there is a
 * terminal, whose keys and job control are for both of us then.  Where the
 * system can (Linux), it gets stop_signal when we end, however we do.  Returns
 * 0 once argv is executed, or an exit status after a message.
 */
int	child_start(char **argv, int stop_signal);

/*
 * Whether the command has taken a connection from child_listen()'s socket, if
 * there is one: it accepts one that brings nobody, and closes it.  The socket
 * is ours, so that it could be connected to before.
 */
bool	child_accepts(void);

/* Whether the command runs, and whether it is in our process group. */
bool	child_runs(void);
bool	child_in_our_group(void);

/* Send a signal to the command. */
void	child_signal(int sig);

/*
 * Ask the command to end by that signal, stopped or not; unless it has it
 * already.  It alone: it has workers to end in its own way, and for many
 * programs a second signal means "at once".
 */
void	child_stop(int sig, bool has_it);

/*
 * A process has ended, with a status of waitpid(2).  If it was the command:
 * true, and *exit_status is the exit status that should become ours.
 */
bool	child_ended(pid_t pid, int status, int *exit_status);

/*
 * The command has ended: whether something that it has started is to be waited
 * for.  That is its process group; if that is ours (Linux), or as process 1,
 * all our children: waitpid(2) says whether there are any.  These get the
 * signal once, if the command has died of it, or of another: then it cannot
 * have told them to end, or to finish what they do.
 */
bool	child_rest(int sig, bool children);

/* The same in any case.  False if they have it, or the command runs. */
bool	child_tell_rest(int sig);

/* Kill the command, and what it has started; child_rest() is false then. */
void	child_kill(void);

/* At the end: kill the command if it runs; whatever was killed is gone then, or
   has had a second. */
void	child_finish(void);

/* Remove the folder that child_listen() may have made, with its socket. */
void	child_remove(void);

#endif
