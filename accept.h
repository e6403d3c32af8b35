/* See LICENSE for copyright and license details. */
#ifndef ACCEPT_H
#define ACCEPT_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

/*
 * Who comes: clients and workers, to the listening sockets; what workers say
 * and give back; and those that the program before has left.
 */

/*
 * Begin.  timer is a deadline for accept_resume().  No client is taken any more
 * once so many have been handed off, unless that is 0.
 */
void	accept_open(const struct config *config, uint32_t timer,
	    uint64_t handoffs);
bool	accept_is_over(void);	/* they have */

/*
 * Take over what was left to us: workers, clients, and the queues of sockets
 * that are not configured any more.
 */
void	accept_left(void);

/* Watch the sockets for workers alone, or all. */
void	accept_watch(bool all);

/* Whether an id of the poller is that of a socket for workers, or of one; and
   its report, or that of any other listening socket. */
bool	accept_is_of_workers(uint32_t id);
void	accept_event(uint32_t id);

/* The deadline has passed: descriptors may be free again. */
void	accept_resume(void);

/*
 * Close the sockets for clients, after their queues, with 503 if nobody serves
 * these.  Workers can come still; what they give back is closed unless it has
 * its next request already.
 */
void	accept_stop(bool nobody_serves);

#endif
