/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <string.h>

#include "event.h"
#include "log.h"
#include "serve.h"

static bool
watch(struct conn *c, enum poller_want want)
{
	uint8_t watched = c->watched;
	bool good = poller_watch(c->state == CONN_PASSED ? c->backend : c->fd,
	    SERVE_CLIENTS + (uint32_t)slot_index(c), &watched, want);

	c->watched = watched;
	return good;
}

void
serve_close(struct conn *c)
{
	if (c->watched != POLLER_NONE)
		watch(c, POLLER_NONE);
	conn_close(c);
}

/* A client on the stack must wait: into a slot, if need be another's. */
static struct conn *
take_slot(struct conn *c)
{
	struct conn *kept = slot_keep(c), *victim;
	int tries;

	/* The first may have an answer to get by now, then it can go. */
	for (tries = 0; kept == NULL && tries < 2; tries++) {
		victim = slot_victim();
		if (victim != NULL)
			serve_client(victim, conn_advance(victim, CONN_EVICT));
		kept = slot_keep(c);
	}
	if (kept == NULL) {
		conn_refuse(c);
		conn_close(c);
		return NULL;
	}
	event_peer_keep((uint32_t)slot_index(kept));
	return kept;
}

void
serve_client(struct conn *c, enum conn_want want)
{
	static const enum poller_want watches[] = {
		[CONN_READ] = POLLER_READ,
		[CONN_DOZE] = POLLER_DOZE,
		[CONN_WRITE] = POLLER_WRITE,
		[CONN_PARK] = POLLER_HANGUP
	};

	if (want == CONN_PASS) {
		/* The backend's process will hold the same open file, and
		   the poller would go on to report it here. */
		if (c->watched != POLLER_NONE)
			watch(c, POLLER_NONE);
		want = conn_pass(c);
	}
	if (want == CONN_SAME)
		return;
	if (want == CONN_CLOSE) {
		serve_close(c);
		return;
	}
	if (slot_index(c) == -1 && (c = take_slot(c)) == NULL)
		return;
	/* A short write need not mean that there is no room: once more from
	   the start, so that no edge is missed. */
	if ((want != CONN_WRITE || watch(c, POLLER_HANGUP)) &&
	    watch(c, watches[want])) {
		conn_settle(c);
		return;
	}
	conn_refuse(c);
	serve_close(c);
}
