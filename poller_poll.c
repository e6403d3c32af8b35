/* See LICENSE for copyright and license details. */
#include "poller.h"

#ifdef POLLER_POLL

#include <sys/resource.h>
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

/* Not in POSIX; without it an unchanged count of bytes tells the end. */
#ifndef POLLRDHUP
#define POLLRDHUP	0
#endif

/*
 * Both tables go by descriptor.  The system gives the lowest free number, so
 * they have few holes; poll(2) passes over these, their fd being -1.  They are
 * one allocation: of a large one, pages that are never used cost nothing.
 */
static struct pollfd *fds;
static uint32_t *ids;
static uint32_t size;
static uint32_t count;		/* up to the highest one that is watched */

#define RETRY_MS	100

/* In ids: SO_RCVLOWAT was changed, and would travel to the backend. */
#define LOWAT	0x80000000u

int
poller_open(uint32_t n)
{
	fds = calloc(n, sizeof(*fds) + sizeof(*ids));
	if (fds == NULL) {
		errno = ENOMEM;
		return -1;
	}
	ids = (uint32_t *)(void *)(fds + n);
	size = n;
	return 0;
}

void
poller_close(void)
{
	free(fds);
	fds = NULL;
	ids = NULL;
	size = count = 0;
}

static short
interest(enum poller_want want)
{
	switch (want) {
	case POLLER_ACCEPT:
		return POLLIN;
	case POLLER_READ:
		return POLLIN | POLLRDHUP;
	case POLLER_WRITE:
		return POLLOUT;
	case POLLER_HANGUP:
	case POLLER_NONE:
		break;
	}
	return 0;
}

static void
set_lowat(int fd, int n)
{
	setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &n, sizeof(n));
}

int
poller_set(int fd, uint32_t id, enum poller_want old, enum poller_want want)
{
	uint32_t i = (uint32_t)fd;

	if (want == POLLER_NONE && old == POLLER_NONE)
		return 0;
	if (i >= size) {
		errno = EMFILE;
		return -1;
	}
	if (want == POLLER_READ)
		id |= ids[i] & LOWAT;
	else if (ids[i] & LOWAT)
		set_lowat(fd, 1);
	while (count <= i)
		fds[count++].fd = -1;
	fds[i].fd = want == POLLER_NONE ? -1 : fd;
	fds[i].events = interest(want);
	fds[i].revents = 0;
	ids[i] = id;
	while (count > 0 && fds[count - 1].fd == -1)
		count--;
	return 0;
}

/*
 * TCP can be asked to stay silent until there is more than was seen.  AF_UNIX
 * sockets take the option and ignore it.
 */
bool
poller_seen(int fd, uint32_t id, size_t n, bool local)
{
	uint32_t i = (uint32_t)fd;

	fds[i].events = interest(POLLER_READ);
	if (local)
		return n == 0;
	if (n > 0 || (ids[i] & LOWAT)) {
		set_lowat(fd, (int)n + 1);
		ids[i] = n > 0 ? id | LOWAT : id;
	}
	return true;
}

void
poller_rest(int fd, uint32_t id)
{
	(void)id;
	fds[fd].events = POLLRDHUP;
}

static unsigned int
report(uint32_t i)
{
	short r = fds[i].revents;
	unsigned int what = 0;

	/* Where POLLRDHUP tells the end it need not be guessed at: Linux
	   reports POLLIN below the mark when its buffer is full. */
	if (POLLRDHUP == 0 && (r & POLLIN) && (ids[i] & LOWAT))
		what |= POLLER_MORE;
	if (r & POLLRDHUP)
		what |= POLLER_END;
	if (r & (POLLHUP | POLLERR | POLLNVAL))
		what |= POLLER_END | POLLER_GONE;
	return what;
}

int
poller_wait(struct poller_event *events, int n, int ms)
{
	static uint32_t first;
	struct rlimit limit;
	uint32_t i, at, polled = count;
	int ready, out = 0;

	ready = poll(fds, polled, ms);
	if (ready == -1 && errno == EINVAL) {
		/* poll(2) takes no more entries than the limit allows, which
		   somebody has lowered below what is open.  The others must
		   wait until there are fewer, or it is raised. */
		if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
		    limit.rlim_cur < count)
			polled = (uint32_t)limit.rlim_cur;
		ready = poll(fds, polled, RETRY_MS);
	}
	if (ready == -1 && (errno == EAGAIN || errno == ENOMEM))
		ready = poll(NULL, 0, RETRY_MS);	/* it may pass */
	if (ready == -1)
		return errno == EINTR ? 0 : -1;
	/* Begin where the last turn ended, so that nobody is starved. */
	for (i = 0; i < polled && out < n && ready > 0; i++) {
		at = (first + i) % polled;
		if (fds[at].revents == 0)
			continue;
		ready--;
		events[out].id = ids[at] & ~LOWAT;
		events[out++].what = report(at);
	}
	if (polled > 0)
		first = (first + i) % polled;
	return out;
}

const char *
poller_name(void)
{
	return "poll";
}

#endif
