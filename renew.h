/* See LICENSE for copyright and license details. */
#ifndef RENEW_H
#define RENEW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "conn.h"

/*
 * Another configuration, or another program, in our place.  This process
 * executes the program that is in its file, which reads the configuration that
 * is in its files, and goes on with the listening sockets, the logs, the pid
 * file and the clients whose heads are unread.  A child keeps the clients that
 * have been written to, and ends with the last of them.  What is left to the
 * next program is a list of descriptors in its environment.
 */

/* What goes on counting in the next program. */
struct renew_counts {
	uint64_t handoffs;	/* of -n that are left; 0: no end */
	uint64_t renewals;	/* so far */
	uint32_t run_ms;	/* of -T that are left; 0: no end */
	uint32_t accepted;	/* the last client's id */
};

/*
 * Whether another program has left us something: we take its place, or with
 * -t only see whether we could, and then exit with RENEW_GOOD.  Listening
 * sockets are given to listen_adopt(), the pid file and the supervisor to
 * super, logs are in use, none of which is waited for any more, and the
 * processes that keep old clients begin.  The environment is cleared.  Exits
 * with a message if there is a kind of thing that is not known here.
 */
bool		 renew_open(void);

/* Any program may exit 0 on -t; only one that understood what was left to it
   says 10. */
#define RENEW_GOOD	10

/*
 * The configuration is bad, or there is no memory, which was not so at the
 * trial: after a pause, in which SIGTERM ends us, execute the program once more
 * with all that was left, of which nothing may have been closed.  Signals are
 * held back still.  Returns if it cannot be executed.
 */
void		 renew_again(char **argv, int adopted);

/* What was left of the counts, unchanged if nothing was. */
void		 renew_counts(struct renew_counts *counts);

/* The next worker that was left to us, the caller's, or -1: at first. */
struct renew_worker {
	int listener;		/* that it has come to */
	uint32_t promises;
	uint32_t most;
};
int		 renew_worker(struct renew_worker *left);

/* The next client that was left to us, the caller's, or -1. */
int		 renew_client(struct conn_left *left);

/*
 * Try the program that argv[0] names: it is started with -t, to see whether it
 * would be content here, and its messages go where ours go.  adopted is the
 * number of sockets from LISTEN_FDS.
 */
enum renew_tried {
	RENEW_NOT,		/* it cannot be started; there was a message */
	RENEW_TRYING,
	RENEW_LATER		/* a trial is under way: one more comes later */
};
enum renew_tried renew_try(int argc, char **argv, int adopted);

/*
 * Some process has ended.  True if it was the trial and this is over: see
 * renew_due(), which says whether it consented; after a message, if not.
 */
bool		 renew_ended(pid_t pid, int status);
bool		 renew_due(void);

/* End the trial: it takes too long; or nothing is to be renewed any more
   (forget). */
void		 renew_cancel(bool forget);

/*
 * Execute the program in our place.  Returns false with all as it was, after a
 * message, or true in the child: then all clients that are marked as left must
 * be closed, and the end of renew_parent() means that the process which has
 * taken our place is gone.  Signals must be held back; they still are.
 */
bool		 renew_go(char **argv, const struct renew_counts *counts);
int		 renew_parent(void);

/*
 * The processes that keep old clients: how many there are; and tell them to
 * end, by their GracefulShutdownTimeout, or at once with resets, and if they
 * have been told that already, kill them.
 */
int		 renew_children(void);
void		 renew_stop(bool now);

#endif
