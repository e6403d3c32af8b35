/* See LICENSE for copyright and license details. */
#ifndef LOOP_H
#define LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

/*
 * The loop: accepting, signals, timers, and the way from the start to the end.
 */

/* What is served, and how long. */
struct loop_plan {
	struct config *config;
	int argc;		/* of our own command line, to renew by */
	char **argv;
	int adopted;		/* sockets from LISTEN_FDS */
	char **command;		/* to start beside us, or NULL */
	uint64_t handoffs;	/* then the end; 0: none */
	uint32_t run_ms;	/* then the end with status 1; 0: none */
	void (*ready)(void);	/* called once clients can connect */
};

/*
 * Take all memory for running by config, open the poller, and catch signals:
 * with a command also those that are its own.  Ids of clients are above
 * last_id.  False after a message.
 */
bool	loop_open(struct config *config, uint32_t last_id, bool command);

/*
 * Go on until the end, with the clients that another program has left.  Returns
 * the status to exit with.
 */
int	loop_run(const struct loop_plan *plan);

void	loop_close(void);

#endif
