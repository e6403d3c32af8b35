/* See LICENSE for copyright and license details. */
#ifndef STATUS_H
#define STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

/*
 * The counters as a page in the Prometheus text exposition format 0.0.4, with
 * the HTTP head before it.  One snapshot is kept; whoever reads slowly reads
 * that one to its end, or loses it to a newer one.
 */

/* What only the caller knows. */
struct status_view {
	const struct config *config;
	uint32_t waiting_head;		/* clients, by what they wait for */
	uint32_t waiting_next;
	uint32_t waiting_backend;
	uint32_t waiting_client;
	uint32_t max_connections;
	uint32_t descriptors;
	bool reading;			/* some client reads the snapshot */
};

/* Take the memory for the page of config.  False without memory. */
bool		 status_open(const struct config *config);
void		 status_release(void);

/*
 * Make a snapshot, or keep the one that is being read if it is less than a
 * second old.  Returns its number.
 */
uint32_t	 status_snapshot(const struct status_view *view);

/*
 * The snapshot of that number, with its head, and in *len its length, or that
 * of its head alone; NULL if there is a newer one.
 */
const char	*status_page(uint32_t number, bool head_only, size_t *len);

/* Log the counters, and how many clients wait, as one notice. */
void		 status_message(uint32_t waiting);

#endif
