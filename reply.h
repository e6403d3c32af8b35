/* See LICENSE for copyright and license details. */
#ifndef REPLY_H
#define REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flush.h"

/*
 * The answers that fdproxy gives itself.  Each is a short text with its length
 * and Connection: close; no byte of a request is ever in one.
 */

/*
 * Write the answer with that status, from *offset on; without body if
 * head_only.  own and wall are the same in each call for one client.  Results
 * as for flush_write().
 */
enum flush_result	reply_write(int fd, int status, bool head_only,
			    const struct flush_own *own, uint32_t wall,
			    uint32_t *offset);

/*
 * Write Date and Server field lines to dst, which has REPLY_OWN_MAX bytes.
 * Returns dst.
 */
#define REPLY_OWN_MAX	512
const char		*reply_own(char dst[REPLY_OWN_MAX],
			    const struct flush_own *own, uint32_t wall);

/* The length of that answer's body. */
size_t			reply_length(int status);

enum reply_drain {
	REPLY_WAIT,		/* nothing there now */
	REPLY_END,		/* the client has sent its end, or is gone */
	REPLY_MUCH		/* the bound is reached */
};

/*
 * Read and forget what the client still sends, *drained counting up to bound
 * bytes: a socket that is closed with unread bytes sends a reset, which can
 * overtake the answer (RFC 9112 9.6).  buf is scratch.
 */
enum reply_drain	reply_drain(int fd, char *buf, size_t size,
			    uint32_t *drained, uint32_t bound);

#endif
