/* See LICENSE for copyright and license details. */
#ifndef STATUS_H
#define STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

/*
 * The counters as a page in the Prometheus text exposition format 0.0.4, with
 * the HTTP head before it.
 */

/* What only the caller knows. */
struct status_view {
	const struct config *config;
	uint32_t waiting_head;		/* clients, by what they wait for */
	uint32_t waiting_backend;
	uint32_t waiting_client;
	uint32_t max_connections;
	uint32_t descriptors;
};

/* A buffer of this size holds any piece of the page. */
#define STATUS_PIECE	4096

/* Whether any piece from this one on has the numbers of a view in it. */
bool	status_needs_view(uint32_t piece);

/*
 * Fill dst with the next pieces of the page, from *piece on (0: the head,
 * alone), as many as fit, and move it.  Returns their length, 0 at the end.
 */
size_t	status_text(const struct status_view *view, char *dst, size_t size,
	    uint32_t *piece);

#endif
