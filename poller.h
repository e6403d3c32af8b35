/* See LICENSE for copyright and license details. */
#ifndef POLLER_H
#define POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Waiting for descriptors.  One contract, three implementations of it:
 * poller_epoll.c, poller_kqueue.c, poller_poll.c.  All are compiled
 * everywhere; the platform, or make POLLER=name, picks the one whose file is
 * not empty.
 */

#if defined(POLLER_USE_epoll)
#define POLLER_EPOLL	1
#elif defined(POLLER_USE_kqueue)
#define POLLER_KQUEUE	1
#elif defined(POLLER_USE_poll)
#define POLLER_POLL	1
#elif !defined(POLLER_USE_platform)
#error "POLLER is platform, epoll, kqueue or poll"
#elif defined(__linux__)
#define POLLER_EPOLL	1
#elif defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__) || \
    defined(__DragonFly__) || defined(__APPLE__)
#define POLLER_KQUEUE	1
#else
#define POLLER_POLL	1
#endif

/* What a descriptor is watched for: one direction at a time. */
enum poller_want {
	POLLER_NONE,		/* not watched */
	POLLER_ACCEPT,		/* readable, reported as long as it is */
	POLLER_READ,		/* an arrival or the end of input */
	POLLER_WRITE,		/* room to write, after there was none */
	POLLER_HANGUP		/* nothing but the end of the connection */
};

/* What is reported, or'ed together; 0: it can be read from, or written to. */
enum {
	POLLER_END = 1,		/* the other side sends no more */
	POLLER_GONE = 2,	/* error, or shut down both ways */
	POLLER_MORE = 4		/* more than was seen, or else the end */
};

struct poller_event {
	uint32_t id;
	unsigned int what;
};

/*
 * POLLER_READ is for sockets whose bytes are peeked at and stay: what has been
 * seen must not be reported again.  Where the system cannot tell arrivals
 * apart (poll), it is told how much was seen, by poller_seen().
 */

/*
 * Make room for descriptors 0 to n - 1, and ids below 2^31; all memory is
 * taken here.  0, or -1 with errno.
 */
int	poller_open(uint32_t n);
void	poller_close(void);

/*
 * Change what fd, known as id, is watched for, from old (which the caller
 * keeps) to want, which may be equal.  Returns 0, or -1 with errno: then it is
 * not watched at all; EMFILE is a number that there is no room for.
 * poller_set(.., POLLER_NONE) cannot fail, and must come before the descriptor
 * is closed, or given to another process: epoll would go on to report a socket
 * that lives there.
 */
int	poller_set(int fd, uint32_t id, enum poller_want old,
	    enum poller_want want);

/*
 * After a peek at n unread bytes, for a descriptor under POLLER_READ; local
 * says that it is an AF_UNIX socket.  True: the next arrival will be reported.
 * False: this poller cannot tell; let it rest, and look again after a while.
 */
bool	poller_seen(int fd, uint32_t id, size_t n, bool local);

/*
 * Let a descriptor under POLLER_READ rest until the next poller_seen(): what
 * arrives may be reported, but not over and over.
 */
void	poller_rest(int fd, uint32_t id);

/*
 * Wait at most ms milliseconds (-1: without end) and fill in at most n
 * reports, one an id.  Returns how many; 0 also after a signal; -1 with errno
 * if the poller itself is broken.
 */
int	poller_wait(struct poller_event *events, int n, int ms);

const char	*poller_name(void);

#endif
