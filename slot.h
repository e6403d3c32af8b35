/* See LICENSE for copyright and license details. */
#ifndef SLOT_H
#define SLOT_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"

/*
 * Slots: a client that must wait has one, by which it is known to the poller
 * and to its deadline; and lists of them.  All memory is taken at the start.
 */

enum conn_state {
	CONN_FREE,
	CONN_HEAD,		/* waits for the rest of its head */
	CONN_QUEUED,		/* waits for a backend; nothing is written */
	CONN_FLUSH,		/* connected; waits to take its head */
	CONN_COMMITTED,		/* has its head; the backend failed after */
	CONN_TAIL,		/* is gone; the backend takes its payload */
	CONN_REPLY,		/* waits to take an answer of our own */
	CONN_STATUS,		/* waits to take more of the status page */
	CONN_LINGER		/* has it; what it still sends is dropped */
};

struct conn {
	int fd;			/* -1: free */
	int other;		/* FLUSH: the backend; COMMITTED, TAIL,
				   STATUS: bytes that wait, in a socket;
				   else -1 */
	uint32_t next;		/* in a list, or of the free slots */
	uint32_t prev;
	uint32_t deadline;
	uint32_t route;
	uint32_t begun;		/* when it was accepted */
	uint32_t number;	/* as which, for the log */
	union {
		struct {
			struct http_scan scan;
			uint8_t looks;
			uint8_t naps;
		} head;		/* HEAD */
		struct {
			uint32_t queue;
			uint32_t since;
		} wait;		/* QUEUED, COMMITTED; since when, if waited */
		struct {
			uint32_t offset;
			uint32_t wall;
		} out;		/* FLUSH, REPLY, STATUS */
		struct {
			uint32_t drained;
			uint32_t end;
		} linger;	/* LINGER */
	} u;
	uint16_t list;		/* that it is in, or UINT16_MAX */
	uint16_t status;	/* of its answer */
	uint8_t state;
	uint8_t watched;	/* for the caller: how it is watched now */
	bool local : 1;		/* an AF_UNIX client */
	bool head_only : 1;	/* an answer has no body (HEAD) */
	bool resting : 1;
	bool arrived : 1;	/* something did, while resting */
	bool tired : 1;		/* looked at very often for one head */
	bool waited : 1;	/* for a backend */
	bool routed : 1;	/* route is set */
	bool old : 1;		/* goes by the previous configuration */
	bool reset : 1;		/* close it with a reset */
	unsigned int fault : 4;	/* which of its route's, from 1 on; one behind
				   the last: none; 0: not asked yet */
};

static_assert(CONFIG_FAULTS + 1 < 16, "fault has four bits");
static_assert(sizeof(struct conn) <= 64, "a waiting client costs a slot");

#define SLOT_NONE	UINT32_MAX	/* no slot's number */
#define SLOT_NO_LIST	UINT16_MAX	/* in conn.list: it is in none */

/* Slots in order. */
struct slot_list {
	uint32_t first;		/* or SLOT_NONE */
	uint32_t last;
	uint32_t count;
};

/*
 * Allocate for max clients that wait, of which at most arrivals are new in one
 * turn of the loop.  False without memory.
 */
bool		 slot_open(uint32_t max, uint32_t arrivals);
void		 slot_release(void);

/* A turn of the loop begins: slots freed in the last one may be used again. */
void		 slot_turn(void);

/* How many slots there are, how many may be used, and how many are. */
uint32_t	 slot_total(void);
uint32_t	 slot_max(void);
uint32_t	 slot_used(void);

/* A slot's number, or -1 for a client on the stack; and back. */
int64_t		 slot_index(const struct conn *c);
struct conn	*slot_at(uint32_t index);

/* The client in the next slot behind that of c (NULL: the first), or NULL. */
struct conn	*slot_next(const struct conn *c);

/*
 * Move a client from the stack into a free slot: the slot, or NULL if there is
 * none; slot_spare() says whether one that is freed now would be of use to it
 * in this turn.
 */
struct conn	*slot_keep(const struct conn *c);
bool		 slot_spare(void);

/* The client in that slot, which is in no list, is gone. */
void		 slot_free(struct conn *c);

/* Put a client into a list, before another's slot, or at the end (SLOT_NONE);
   take it out again. */
void		 slot_link(struct slot_list *list, struct conn *c,
		    uint32_t before);
void		 slot_unlink(struct slot_list *list, struct conn *c);

#endif
