/* See LICENSE for copyright and license details. */
#ifndef WORKER_H
#define WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sock.h"

/*
 * The programs that come and ask for clients: each has one connection to us,
 * on which it promises to take clients, is sent them, and may give them back
 * (fdproxy-protocol(7)).  Those that work for the same targets have one queue.
 */

#define WORKER_TABLE	1024	/* connections */
#define WORKER_HEAD	32768	/* bytes behind a client go in one message */

struct worker {
	int fd;			/* -1: free */
	uint32_t queue;		/* of the targets that it works for */
	uint32_t promises;	/* clients that it may still be sent */
	uint32_t most;		/* of these there were; 0: it only gives back */
	uint32_t held;		/* more, taken by worker_take() */
	uint32_t chosen;	/* when it had its turn last */
	uint32_t until;		/* when it is tried again, */
	bool blocked;		/* which it is not before */
	bool over;		/* it will take no client any more */
	uint8_t watched;	/* an enum poller_want */
	uint32_t serial;	/* of those that had this place */
	const struct sock_addr *addr;	/* of its socket, for messages */
};

/*
 * Room for max connections, known to the poller by ids from first_id on.  False
 * without memory.
 */
bool		 worker_open(uint32_t max, uint32_t first_id);

/* Close all, as at the end. */
void		 worker_release(void);

/*
 * A worker has connected to the socket at addr, which stays; or was left to us
 * with promises, and the most there were.  fd is ours from now on.  Returns its
 * number; or -1: it is closed, after a message, since there is no room, or its
 * user is not peer (unless FDPASS_ANYBODY).
 */
int		 worker_add(int fd, uint32_t queue,
		    const struct sock_addr *addr, uid_t peer,
		    uint32_t promises, uint32_t most);

/*
 * Read some of what a worker has sent, without waiting: promises are counted.
 * *client is a client that it gives back, the caller's, or -1.  Whoever breaks
 * the protocol is closed, after a message.
 */
enum worker_said {
	WORKER_MORE,		/* there may be more to read */
	WORKER_SILENT,		/* that was all */
	WORKER_LOST,		/* a client, perhaps for want of descriptors */
	WORKER_LEFT		/* it has gone */
};
enum worker_said worker_read(uint32_t index, int *client);

/* Whose queue it works for. */
uint32_t	 worker_queue(uint32_t index);

/* It breaks the protocol in a way that only the caller can see. */
void		 worker_end(uint32_t index, const char *what);

/*
 * Take a promise of those that work for queue, of the one with the fewest
 * outstanding.  A number to use it by; or -1 with errno: EBUSY, all are busy;
 * ENOTCONN, there is none; EAGAIN, what was sent to those who are not busy has
 * not been read, so they are to be tried again.
 */
int		 worker_take(uint32_t queue);

/*
 * Send a client by a promise, as fdpass_send() does, which uses it up.  On
 * failure it is still to be used or given up.
 */
ssize_t		 worker_send(int promise, int client, const void *data,
		    size_t len);
void		 worker_drop(int promise);

/*
 * Of those that work for queue: how many there are, without those that only
 * give back; and how many promises, unless that is NULL.
 */
uint32_t	 worker_count(uint32_t queue, uint32_t *promises);

/* All of them, from NULL on, or NULL behind the last one. */
const struct worker	*worker_next(const struct worker *w);

/* Read from none, since there are no descriptors; or from all again. */
void		 worker_pause(bool pause);

/*
 * Another process goes on with them.  Here clients are sent by the promises
 * that were taken, and nothing else is done; a promise that is not used ends
 * the connection, since the other process cannot know of it.
 */
void		 worker_forget(void);

#endif
