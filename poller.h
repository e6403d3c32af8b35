/* See LICENSE for copyright and license details. */
#ifndef POLLER_H
#define POLLER_H

#include <stdbool.h>
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

/*
 * Whether POLLER_READ reports each arrival once.  If not, bytes that are left
 * unread are reported over and over, so the caller watches for POLLER_DOZE
 * between two looks; with edges, that is the same as POLLER_READ, and a change
 * from one to the other changes nothing.
 */
#ifdef POLLER_POLL
#define POLLER_EDGES	0
#else
#define POLLER_EDGES	1
#endif

/* The want of a descriptor: it is watched for one direction at a time. */
enum poller_want {
	POLLER_NONE,		/* not watched */
	POLLER_ACCEPT,		/* readable, reported as long as it is */
	POLLER_READ,		/* an arrival or the end of input */
	POLLER_DOZE,		/* the end of input, but no arrival */
	POLLER_WRITE,		/* room to write, after there was none */
	POLLER_HANGUP		/* an error, or shut down both ways */
};

/* Reasons of a report, or'ed together; 0: there are bytes, or there is room. */
enum {
	POLLER_END = 1,		/* the other side sends no more */
	POLLER_GONE = 2		/* error, or shut down both ways */
};

struct poller_event {
	uint32_t id;
	unsigned int what;
};

/*
 * POLLER_READ is for sockets whose bytes are peeked at and stay.  Their end,
 * behind unread bytes, is POLLER_END; only a system whose poll(2) has no
 * POLLRDHUP cannot tell it from the bytes.
 */

/*
 * Make room for descriptors 0 to n - 1, for any ids; all memory is taken here.
 * 0, or -1 with errno.
 */
int	poller_open(uint32_t n);
void	poller_close(void);

/*
 * Watch fd, known as id, for want; old, which the caller keeps, is the want
 * before, and may be equal.  Returns 0, or -1 with errno: then fd is not
 * watched at all; EMFILE is a number that there is no room for.  POLLER_NONE
 * cannot fail, and must come before fd is closed, or given to another process:
 * epoll would go on to report a socket that lives there.
 */
int	poller_set(int fd, uint32_t id, enum poller_want old,
	    enum poller_want want);

/*
 * The same with the want before in *watched, which is changed.  If that fails,
 * after a message: false, and fd is not watched any more.
 */
bool	poller_watch(int fd, uint32_t id, uint8_t *watched,
	    enum poller_want want);

/*
 * Wait at most ms milliseconds (-1: without end) and fill in at most n reports,
 * one an id.  A later one may be of a descriptor that the caller has closed at
 * an earlier one.  Returns their number; 0 also after a signal; -1 with errno
 * if the poller itself is broken.
 */
int	poller_wait(struct poller_event *events, int n, int ms);

/* "epoll", "kqueue" or "poll". */
const char	*poller_name(void);

#endif
