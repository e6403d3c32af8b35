/* See LICENSE for copyright and license details. */
#ifndef STATS_H
#define STATS_H

#include <stdint.h>

/* What has happened since the start.  Counters only go up. */
struct stats {
	uint64_t accepted;	/* connections taken from a listener */
	uint64_t passed;	/* handed off to a backend */
	uint64_t answered;	/* answers of fdproxy's own */
	uint64_t timeouts;	/* heads that did not come in time */
	uint64_t evicted;	/* waiting clients that made room */
	uint64_t retries;	/* looks whether a backend is back */
	uint64_t resets;	/* failed after a byte of the head was out */
	uint64_t gone;		/* clients that went away before hand-off */
	uint64_t paused;	/* times that descriptors ran out */
};

/* The counters themselves: count by adding to them. */
struct stats	*stats_get(void);

#endif
