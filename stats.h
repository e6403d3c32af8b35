/* See LICENSE for copyright and license details. */
#ifndef STATS_H
#define STATS_H

#include <stdint.h>

/*
 * What has happened since the start.  Counters only go up.  A client that is
 * accepted, or returned, becomes one of passed, answered, resets and gone.
 */
struct stats {
	uint64_t accepted;	/* connections taken from a listener */
	uint64_t returned;	/* given back by a worker */
	uint64_t passed;	/* handed off to a backend */
	uint64_t resets;	/* failed after a byte of the head was out */
	uint64_t gone;		/* went away, or were silent till the end */
	uint64_t timeouts;	/* heads that did not come in time */
	uint64_t evicted;	/* waiting clients that made room */
	uint64_t retries;	/* looks whether a backend is back */
	uint64_t paused;	/* times that descriptors ran out */
	uint64_t reloads;	/* renewals, also of the programs before us */
	uint64_t refused;	/* that did not come about */
};

/* The counters themselves: count by adding to them. */
struct stats	*stats_get(void);

/* An answer of fdproxy's own with that status. */
void		 stats_answered(int status);

/*
 * The i-th status that can be answered, and in *n how often it was; 0 behind
 * the last one.
 */
int		 stats_answer(unsigned int i, uint64_t *n);

#endif
