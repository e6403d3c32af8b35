/* See LICENSE for copyright and license details. */
#ifndef REQUEST_H
#define REQUEST_H

#include <stddef.h>

#include "config.h"

/* A request whose head is whole, and where it leads. */

struct request {
	struct http_head head;
	size_t len;		/* of the head, with its ends */
	const struct config_target *target;	/* NULL: nowhere */
	struct sock_addr addr;	/* of the backend's socket, if it has one */
};

/*
 * Find the target that r->head's path belongs to: sets r->target, and r->addr
 * if that has a socket.  normal has room for size bytes, as many as a head can
 * have.  Returns 0, or the status to answer with; r->target is then NULL, or
 * the route that has the path all the same.
 */
int	request_route(const struct config *config, struct request *r,
	    char *normal, size_t size);

#endif
