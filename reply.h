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
 * Write the answer with that status (500 for one that is not in the table) from
 * *offset on, and move *offset; without body if head_only.  own and wall are
 * the same in each call for one client.  Results as for flush_write().
 */
enum flush_result	reply_write(int fd, int status, bool head_only,
			    const struct flush_own *own, uint32_t wall,
			    uint32_t *offset);

/* The length of the body of the answer with that status. */
size_t			reply_length(int status);

/*
 * Read and forget what the client still sends, *drained counting up to bound
 * bytes: a socket that is closed with unread bytes sends a reset, which can
 * overtake the answer (RFC 9112 9.6).  buf is scratch.  True when more may
 * come: the client has not sent its end, and the bound is not reached.
 */
bool			reply_drain(int fd, char *buf, size_t size,
			    uint32_t *drained, uint32_t bound);

#endif
