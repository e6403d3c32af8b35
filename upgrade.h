/* See LICENSE for copyright and license details. */
#ifndef UPGRADE_H
#define UPGRADE_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Another program in our place: the same process, with the same listening
 * sockets and waiting clients.  What is left to it is a list of descriptors
 * in its environment, since everything else is in the kernel.
 */

enum upgrade_left {
	UPGRADE_NOTHING,
	UPGRADE_OURS,
	UPGRADE_FOREIGN		/* by a version that we do not understand */
};

/*
 * Whether another program has left us something: we take its place, or with
 * -t only see whether we could, and then exit with UPGRADE_GOOD.  Its listening
 * sockets are given to listen_adopt(); the environment is cleared.
 */
enum upgrade_left upgrade_open(void);

/* Not 0, which any program says to a -t that does not know what is meant. */
#define UPGRADE_GOOD	10

/*
 * The next client that was left to us, or -1.  *lingers: it has been answered
 * and is to be closed when it has its answer.
 */
int		 upgrade_client(bool *lingers);

/*
 * Start the program with argv, which has a -t, to see whether it would be
 * content here, with the listening sockets that are there; what it has to say
 * goes where our messages go.  adopted is the number of sockets from
 * LISTEN_FDS.  Its process id, or -1 with errno; UPGRADE_GOOD is its consent.
 */
pid_t		 upgrade_try(const char *program, char **argv, int adopted);

/*
 * Execute the program in our place, with all that conn and listen have;
 * nothing may be watching it, and signals must be held back.  Returns only if
 * that fails: with errno, and all is as before.
 */
void		 upgrade_exec(const char *program, char **argv, int adopted);

#endif
