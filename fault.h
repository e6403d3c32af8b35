/* See LICENSE for copyright and license details. */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What can go wrong at a hand-off, on purpose: for tests of backends and of
 * clients.
 */

enum fault_kind {
	FAULT_BODY,		/* the start of the body is read, too */
	FAULT_BYTE,		/* the byte is no NUL */
	FAULT_CONTROL,		/* the descriptor without a byte */
	FAULT_CUT,		/* the response head ends after n bytes */
	FAULT_DELAY_CLOSE,	/* the connection stays open after it all */
	FAULT_DELAY_FLUSH,	/* time between connection and head */
	FAULT_DELAY_PASS,	/* time between head and descriptor */
	FAULT_DROP,		/* no message; the client is closed */
	FAULT_FULL,		/* the backend seems to have no room */
	FAULT_MISSING,		/* the backend seems not to be there */
	FAULT_NOBYTE,		/* no message; all stays open */
	FAULT_NOFD,		/* the byte without a descriptor */
	FAULT_NONBLOCK,		/* the descriptor has O_NONBLOCK set */
	FAULT_RESET,		/* the client's connection is reset before */
	FAULT_TWO		/* the descriptor twice */
};

/* What follows the name. */
enum fault_takes {
	FAULT_TAKES_NOTHING,
	FAULT_TAKES_BYTES,
	FAULT_TAKES_TIME
};

struct fault {
	enum fault_kind kind;
	uint32_t arg;		/* bytes or milliseconds */
	uint32_t first;		/* hand-off, from 1 on; then every .. */
	uint32_t every;		/* 0: never again */
};

/* Look up the name of len bytes; false if there is none such. */
bool	fault_find(const char *name, size_t len, enum fault_kind *kind,
	    enum fault_takes *takes);

/* Whether it happens at hand-off n. */
bool	fault_due(const struct fault *fault, uint32_t n);

/*
 * In the place of fdpass_send(), with the same results, for the kinds that
 * change the message.
 */
ssize_t	fault_send(enum fault_kind kind, int sock, int fd, const void *data,
	    size_t len);

#endif
