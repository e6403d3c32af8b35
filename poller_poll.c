/* See LICENSE for copyright and license details. */
#include "poller.h"

#ifdef POLLER_POLL

#include <sys/resource.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

/* Not in POSIX; without it the end is not told from bytes. */
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

/* POLLHUP and POLLERR are always reported. */
static short
interest(enum poller_want want)
{
	switch (want) {
	case POLLER_ACCEPT:
		return POLLIN;
	case POLLER_DOZE:
		return POLLRDHUP;
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
		events[out].id = ids[at];
		events[out].what = 0;
		if (fds[at].revents & (POLLHUP | POLLERR | POLLNVAL))
			events[out].what = POLLER_END | POLLER_GONE;
		else if (fds[at].revents & POLLRDHUP)
			events[out].what = POLLER_END;
		out++;
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
