/* See LICENSE for copyright and license details. */
#ifndef EVENT_H
#define EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "slot.h"

/*
 * What happens to a client, said once: it is counted, and becomes a line of the
 * access log, in the common format or as JSON, and a message.
 */

enum event_kind {
	EVENT_ACCEPTED,
	EVENT_RETURNED,		/* by a worker, for its next request */
	EVENT_HEAD,		/* the head is whole */
	EVENT_ROUTE,		/* and where it leads */
	EVENT_CONNECTED,	/* to the backend */
	EVENT_FLUSHED,		/* the client has all that it is to get */
	EVENT_FAILED,		/* the backend did not take the client */
	/* One of these is the last, of each that is accepted or returned: */
	EVENT_PASSED,		/* handed off */
	EVENT_ANSWERED,		/* by fdproxy itself */
	EVENT_RESET,		/* since nothing else may look like an answer */
	EVENT_GONE,		/* it went away */
	EVENT_SILENT		/* the same, without having said a word */
};

/* What is known when something happens; all but the client may be missing. */
struct event {
	const struct conn *client;
	const struct config_target *target;
	const struct sock_addr *backend;	/* if it is not target's own */
	const struct http_head *head;
	const char *line;	/* of the head, from its start on */
	size_t len;		/* of all that is there of it */
	const char *why;	/* for the message, in place of error's text */
	int status;
	int error;		/* an errno, or 0 */
};

/*
 * Begin: ids of clients are above first_id.  Addresses of clients are kept if
 * lines of the log are to have them.  False without memory.
 */
bool		 event_open(const struct config *config, uint32_t first_id);
void		 event_release(void);

/* The id of the client that came last; and one for the next. */
uint32_t	 event_last_id(void);
uint32_t	 event_next_id(void);

/*
 * The client on the stack comes from that address; it has been moved into the
 * slot of that number.
 */
void		 event_peer(const struct sock_addr *peer);
void		 event_peer_keep(uint32_t slot);

/* Whether a line will need the head's first one. */
bool		 event_wants_line(void);

void		 event(enum event_kind kind, const struct event *e);

#endif
