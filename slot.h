/* See LICENSE for copyright and license details. */
#ifndef SLOT_H
#define SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

/*
 * Slots: a client that must wait has one, by which it is known to the poller
 * and to its deadline, and is in the list of what it waits for.  All memory is
 * taken at the start.
 */

/* The lists: of all heads, of all whose connection is kept alive until their
   next one, of all that linger or are passed, then one for each backend. */
enum {
	LIST_HEAD,
	LIST_KEPT,
	LIST_LINGER,
	LIST_BACKENDS
};

enum conn_state {
	CONN_FREE,
	CONN_HEAD,		/* waits for the rest of its head */
	CONN_REST,		/* the same, but is not looked at for a while */
	CONN_QUEUED,		/* waits for a backend; nothing is written */
	CONN_FLUSH,		/* has a backend; waits to take its head */
	CONN_REPLY,		/* waits to take an answer of our own */
	CONN_LINGER,		/* has it; what still comes is dropped */
	CONN_PASSED		/* handed off, but fdpass_keeps() */
};

struct conn {
	int fd;			/* -1: free */
	int backend;		/* backend_connect()'s; or -1 */
	uint32_t next;		/* in a list, or of the free slots */
	uint32_t prev;
	uint32_t begun;		/* clock_ms() when it was accepted */
	uint32_t since;		/* when it began to wait for a backend */
	uint32_t route;
	uint32_t id;		/* of accepted clients, the how-manieth */
	union {
		struct {
			struct http_scan scan;
			uint8_t looks;	/* at this head, at most LOOKS_MAX */
			uint8_t naps;	/* rests so far without arrivals */
		} head;		/* HEAD, REST */
		struct {
			uint32_t list;
		} wait;		/* QUEUED */
		struct {
			uint32_t offset;
			uint32_t wall;	/* the second in its Date field */
		} out;		/* FLUSH, REPLY */
		struct {
			uint32_t drained;
			uint32_t end;
		} linger;	/* LINGER, PASSED */
	} u;
	uint16_t list;		/* that it is in, or SLOT_NO_LIST */
	uint16_t taken;		/* in which turn, when it took its slot */
	union {
		uint16_t head;	/* FLUSH: length of the head, which is unread */
		uint16_t status;	/* REPLY: of the answer */
	};
	unsigned int state : 4;		/* an enum conn_state */
	unsigned int watched : 3;	/* the loop's: an enum poller_want */
	unsigned int head_only : 1;	/* an answer has no body (HEAD) */
	unsigned int page : 1;		/* REPLY: the status page */
	unsigned int arrived : 1;	/* REST: something did */
	unsigned int waited : 1;	/* since is set */
	unsigned int reset : 1;		/* close it with a reset */
	unsigned int returned : 1;	/* by a worker, which may have a copy */
	unsigned int left : 1;		/* by a program, until a look at it */
};

_Static_assert(sizeof(struct conn) <= 64, "a waiting client costs a slot");

#define SLOT_NONE	UINT32_MAX	/* no slot's number */
#define SLOT_NO_LIST	UINT16_MAX	/* in conn.list: it is in none */

/*
 * Allocate for max clients that wait, and for that many lists.  Deadlines are
 * made: those of ids below first_id are the caller's, then come the slots' and
 * the lists'.  False without memory.
 */
bool		 slot_open(uint32_t max, uint32_t lists, uint32_t first_id);
void		 slot_release(void);

/* A turn of the loop begins. */
void		 slot_turn(void);

/* How many slots there are, and how many of them are in use. */
uint32_t	 slot_total(void);
uint32_t	 slot_used(void);

/* A slot's number, or -1 for a client on the stack; and back. */
int64_t		 slot_index(const struct conn *c);
struct conn	*slot_at(uint32_t index);

/* The client in the next slot behind that of c (NULL: the first), or NULL. */
struct conn	*slot_next(const struct conn *c);

/* Move a client from the stack into a free slot: the slot, or NULL. */
struct conn	*slot_keep(const struct conn *c);

/* Whether the slot was taken in this turn: a report of the poller that names it
   is about the client before. */
bool		 slot_is_new(const struct conn *c);

/* Free the slot of a client that is gone; its list and deadline, too. */
void		 slot_free(struct conn *c);

/* Set the client's deadline in the clock, at most when. */
void		 slot_deadline(const struct conn *c, uint32_t when);

/*
 * Put the client at the end of a list; or take it out of the one that it is in,
 * if any.
 */
void		 slot_enter(struct conn *c, uint32_t list);
void		 slot_leave(struct conn *c);

/* The first client of a list, or NULL; how many there are, and in the lists of
   all backends; and how many of those lists have any. */
struct conn	*slot_first(uint32_t list);
uint32_t	 slot_count(uint32_t list);
uint32_t	 slot_queued(void);
uint32_t	 slot_queues(void);

/*
 * Without a free slot, the client that should make room, or NULL: the one that
 * was given back first and has said nothing since; else the oldest that lingers
 * or is passed; else the one that has waited longest for its head.
 */
struct conn	*slot_victim(void);

/* The id of a list's deadline, and the thing that an id is of: a slot, or
   (true) a list. */
uint32_t	 slot_list_id(uint32_t list);
bool		 slot_of_id(uint32_t id, uint32_t *index);

/* How many clients wait for their head (but for those of LIST_KEPT), for a
   backend, or to take something; and whether one reads the status page. */
void		 slot_census(uint32_t *head, uint32_t *backend,
		    uint32_t *client, bool *page);

/*
 * The client behind c (NULL: the first) among those that wait with an unread
 * head: in each list in its order, one list after the other, those of backends
 * first, and last those who are silent since they were given back.
 */
struct conn	*slot_unread(const struct conn *c);

#endif
