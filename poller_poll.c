/* See LICENSE for copyright and license details. */
#include "poller.h"

#ifdef POLLER_POLL

#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

/* Not in POSIX; without it an unchanged count of bytes tells the end. */
#ifndef POLLRDHUP
#define POLLRDHUP	0
#endif

/*
 * One entry an id, so that no search is needed; top is behind the highest that
 * is watched.  An entry without a descriptor is skipped by the system.
 */
static struct pollfd *fds;
static unsigned char *lowat;	/* SO_RCVLOWAT was changed */
static uint32_t size;
static uint32_t top;

int
poller_open(uint32_t n)
{
	fds = calloc(n, sizeof(*fds));
	lowat = calloc(n, sizeof(*lowat));
	if (fds == NULL || lowat == NULL) {
		poller_close();
		errno = ENOMEM;
		return -1;
	}
	size = n;
	top = 0;
	return 0;
}

void
poller_close(void)
{
	free(fds);
	free(lowat);
	fds = NULL;
	lowat = NULL;
	size = top = 0;
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
	(void)old;
	if (want != POLLER_READ && lowat[id]) {
		/* Left behind, the option would travel to the backend. */
		set_lowat(fd, 1);
		lowat[id] = 0;
	}
	if (want == POLLER_NONE) {
		fds[id].fd = -1;
		while (top > 0 && fds[top - 1].fd == -1)
			top--;
		return 0;
	}
	for (; top <= id; top++)
		fds[top].fd = -1;
	fds[id].fd = fd;
	fds[id].events = interest(want);
	fds[id].revents = 0;
	return 0;
}

/*
 * TCP can be asked to stay silent until there is more than was seen.  AF_UNIX
 * sockets take the option and ignore it.
 */
bool
poller_seen(int fd, uint32_t id, size_t n, bool local)
{
	fds[id].events = interest(POLLER_READ);
	if (local)
		return n == 0;
	if (n > 0 || lowat[id]) {
		set_lowat(fd, (int)n + 1);
		lowat[id] = n > 0;
	}
	return true;
}

void
poller_rest(int fd, uint32_t id)
{
	(void)fd;
	fds[id].events = 0;
}

static unsigned int
report(uint32_t id)
{
	short r = fds[id].revents;
	unsigned int what = 0;

	if (r & POLLIN)
		what |= POLLER_IN | (lowat[id] ? POLLER_MORE : 0);
	if (r & POLLOUT)
		what |= POLLER_OUT;
	if (POLLRDHUP != 0 && (r & POLLRDHUP))
		what |= POLLER_IN | POLLER_END;
	if (r & (POLLHUP | POLLERR | POLLNVAL))
		what |= POLLER_IN | POLLER_OUT | POLLER_END | POLLER_GONE;
	return what;
}

int
poller_wait(struct poller_event *events, int n, int ms)
{
	static uint32_t first;
	uint32_t i, id;
	int ready, out = 0;

	ready = poll(fds, top, ms);
	if (ready == -1)
		return errno == EINTR ? 0 : -1;
	/* Begin where the last turn ended: nobody is starved by low ids. */
	for (i = 0; i < top && out < n && ready > 0; i++) {
		id = (first + i) % top;
		if (fds[id].fd == -1 || fds[id].revents == 0)
			continue;
		ready--;
		events[out].id = id;
		events[out++].what = report(id);
	}
	if (top > 0)
		first = (first + i) % top;
	return out;
}

const char *
poller_name(void)
{
	return "poll";
}

#endif
