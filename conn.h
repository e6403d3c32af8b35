/* See LICENSE for copyright and license details. */
#ifndef CONN_H
#define CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "slot.h"

/*
 * One client, from accept to hand-off.  conn_advance() moves a client on until
 * it would block and says what to wait for; who waits, and how, is not known
 * here.  A client begins on the caller's stack and takes a slot only if it
 * must wait, by slot_keep().
 *
 * In every state that waits, the request head is still unread in the kernel:
 * it is peeked at into one scratch buffer for all, and read again by whoever
 * resumes the client, so that a slot holds no bytes of it.
 */

/* What conn_advance() and conn_pass() want done. */
enum conn_want {
	CONN_CLOSE,		/* stop watching it, then conn_close() */
	CONN_PASS,		/* stop watching it, then conn_pass() */
	CONN_READ,		/* more must come: watch for arrivals */
	CONN_WRITE,		/* watch for room to write */
	CONN_PARK,		/* only the clock, or its hang-up, counts */
	CONN_SAME		/* go on as before */
};

/* Why it is moved on, or'ed together; 0: there is something to do. */
enum {
	CONN_END = 1,		/* it sends no more */
	CONN_GONE = 2,		/* error or hang-up */
	CONN_MORE = 4,		/* more than was seen, or else its end */
	CONN_WAKE = 8,		/* a rest is over */
	CONN_PROBE = 16,	/* look whether its backend is back */
	CONN_LATE = 32,		/* its time is over */
	CONN_ANEW = 64		/* the routes have changed */
};

/*
 * Allocate for config: slots for max clients that wait, lists, scratch.  At
 * most arrivals new clients come in one turn of the loop.  Deadlines are made:
 * those of ids below first_id are the caller's.  config must stay.  False
 * without memory.
 */
bool		 conn_open(struct config *config, uint32_t max,
		    uint32_t arrivals, uint32_t first_id);
void		 conn_release(void);

/*
 * Go by another configuration from now on.  Clients that have been written to
 * keep the one before, which must stay until conn_outdated() is 0; not before
 * that may it be called again.  Those that wait for a backend must be routed
 * anew: conn_unrouted() names them one by one, in order, until it is NULL.
 * False without memory: then nothing has changed.
 */
bool		 conn_reload(struct config *config);
struct conn	*conn_unrouted(void);
uint32_t	 conn_outdated(void);

/*
 * Look whether the sockets of the routes accept connections, from target *at
 * on, which moves past those that do.  True when all have.
 */
bool		 conn_probe(uint32_t *at);

/* From now on, or not any more, the service is to be called ready. */
void		 conn_set_ready(bool ready);

/*
 * How many clients cannot be left to another program yet: what they wait for
 * is not in the kernel.
 */
uint32_t	 conn_unfinished(void);

/* A turn of the loop begins: slots freed in the last one may be used again. */
void		 conn_turn(void);

/* A client that has just been accepted; fd is its own from now on. */
void		 conn_start(struct conn *c, int fd, bool local);

/* One that has been answered by another program before us. */
void		 conn_start_linger(struct conn *c, int fd, bool local);

enum conn_want	 conn_advance(struct conn *c, unsigned int why);

/*
 * Hand the client off; nothing may be watching it any more.  Never CONN_SAME.
 */
enum conn_want	 conn_pass(struct conn *c);

/* Close what is open, free the slot if it has one. */
void		 conn_close(struct conn *c);

/*
 * Without a free slot, conn_victim() names the client that should make room
 * (the oldest that lingers, else the one that has waited longest for its head),
 * or NULL; conn_evict() tells it so.  The caller closes it.
 */
struct conn	*conn_victim(void);
void		 conn_evict(struct conn *c);

/* There is no slot: the client is told 503, if it can be; the caller closes. */
void		 conn_refuse(struct conn *c);

/* It waits now: put it into the list of its state, with its deadline. */
void		 conn_settle(struct conn *c);

/*
 * Let it rest: after many looks for one head, or because the poller cannot
 * tell arrivals (blind).
 */
void		 conn_rest(struct conn *c, bool blind);

/* How many bytes of it have been seen and left unread. */
uint32_t	 conn_seen(const struct conn *c);

/* Whether this look was one of so many that it should rest. */
bool		 conn_tired(struct conn *c);

/*
 * The deadline of id has passed: which client to move on, and in *why with
 * what; or NULL.
 */
struct conn	*conn_due(uint32_t id, unsigned int *why);

/* How many of those that wait have had their answer. */
uint32_t	 conn_lingering(void);

/* It has ms milliseconds from its accept on, no more, to say something. */
void		 conn_hurry(struct conn *c, uint32_t ms);

#endif
