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
 * In every state that waits, before the hand-off, the request head is still
 * unread in the kernel: it is peeked at into one scratch buffer for all, and
 * read again by whoever resumes the client, so that a slot holds no bytes.
 */

/* What conn_advance() and conn_pass() want done. */
enum conn_want {
	CONN_CLOSE,		/* stop watching it, then conn_close() */
	CONN_PASS,		/* stop watching it, then conn_pass() */
	CONN_READ,		/* watch for arrivals */
	CONN_WRITE,		/* watch for room to write */
	CONN_DOZE,		/* watch for its end, and for no arrivals */
	CONN_PARK,		/* watch for its hang-up alone */
	CONN_SAME		/* leave its watch and its list as they are */
};

/* Why it is moved on, or'ed together; 0: there is something to do. */
enum {
	CONN_END = 1,		/* the client sends no more */
	CONN_GONE = 2,		/* error or hang-up */
	CONN_WAKE = 4,		/* a rest is over */
	CONN_PROBE = 8,		/* the backend of its list is connected */
	CONN_LATE = 16,		/* its time is over */
	CONN_EVICT = 32,	/* its slot is wanted */
	CONN_LOOK = 64		/* it may be for the last time */
};

/*
 * Allocate for config, which must stay: slots for max clients that wait, their
 * lists, and deadlines, those of ids below first_id being the caller's.  Ids of
 * clients are above last_id.  edges: an arrival is reported once, to whoever
 * watches for it; if not, clients rest after each look.  False without memory.
 */
bool		 conn_open(struct config *config, uint32_t max,
		    uint32_t first_id, uint32_t last_id, bool edges);
void		 conn_release(void);

/* What another program knew of a client that it has left. */
struct conn_left {
	uint32_t age;		/* ms since it was accepted */
	uint32_t waited;	/* ms that it has waited for a backend, or 0 */
	uint32_t id;
	bool returned;		/* by a worker, at some time */
};

/*
 * A client from that address that has just been accepted, or returned by a
 * worker for its next request, or (left is not NULL) was left to us.  fd is its
 * own from now on.
 */
void		 conn_start(struct conn *c, int fd,
		    const struct sock_addr *peer, bool returned,
		    const struct conn_left *left);

enum conn_want	 conn_advance(struct conn *c, unsigned int why);

/*
 * Hand the client off; nothing may be watching it any more.  Returns
 * CONN_CLOSE; or CONN_READ, of its backend, where it must be kept
 * (fdpass_keeps()); or, if the backend does not take it after all, CONN_PARK,
 * or what an answer waits for.
 */
enum conn_want	 conn_pass(struct conn *c);

/* Close what is open, free the slot if it has one. */
void		 conn_close(struct conn *c);

/*
 * There is no slot, or the process ends: the client is told 503, if it can be.
 * The caller closes it.
 */
void		 conn_refuse(struct conn *c);

/*
 * After each conn_advance() that asked to wait, once the client is in a slot
 * and watched: put it into the list of its state, with its deadline.
 */
void		 conn_settle(struct conn *c);

/*
 * The deadline of id, a slot's or a backend's, has passed: which client to move
 * on, and in *why with what; or NULL.
 */
struct conn	*conn_due(uint32_t id, unsigned int *why);

/*
 * The process is to end.  A client that has said nothing yet has ms
 * milliseconds from its accept on, no more; and none if it was given back.
 */
void		 conn_hurry(const struct conn *c, uint32_t ms);

#endif
