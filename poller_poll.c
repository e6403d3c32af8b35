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
 * fds and ids are dense, so that a turn costs what is watched, and poll(2) is
 * never given more entries than there can be descriptors (it refuses that);
 * place tells where an id is in them, plus one.
 */
static struct pollfd *fds;
static uint32_t *ids;
static uint32_t *place;
static uint32_t count;

/* Never too many for poll(2). */
#define FEW	4

/* In ids: SO_RCVLOWAT was changed, and would travel to the backend. */
#define LOWAT	0x80000000u

int
poller_open(uint32_t n)
{
	fds = calloc(n, sizeof(*fds));
	ids = calloc(n, sizeof(*ids));
	place = calloc(n, sizeof(*place));
	if (fds == NULL || ids == NULL || place == NULL) {
		poller_close();
		errno = ENOMEM;
		return -1;
	}
	return 0;
}

void
poller_close(void)
{
	free(fds);
	free(ids);
	free(place);
	fds = NULL;
	ids = place = NULL;
	count = 0;
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

/* The last entry takes the place of the one that goes. */
static void
drop(uint32_t i)
{
	uint32_t last = --count;

	place[ids[i] & ~LOWAT] = 0;
	if (i != last) {
		fds[i] = fds[last];
		ids[i] = ids[last];
		place[ids[i] & ~LOWAT] = i + 1;
	}
}

int
poller_set(int fd, uint32_t id, enum poller_want old, enum poller_want want)
{
	uint32_t i;

	(void)old;
	if (place[id] == 0) {
		if (want == POLLER_NONE)
			return 0;
		ids[count] = id;
		place[id] = ++count;
	}
	i = place[id] - 1;
	if (want != POLLER_READ && (ids[i] & LOWAT)) {
		set_lowat(fd, 1);
		ids[i] &= ~LOWAT;
	}
	fds[i].fd = fd;
	fds[i].events = interest(want);
	fds[i].revents = 0;
	if (want == POLLER_NONE)
		drop(i);
	return 0;
}

/*
 * TCP can be asked to stay silent until there is more than was seen.  AF_UNIX
 * sockets take the option and ignore it.
 */
bool
poller_seen(int fd, uint32_t id, size_t n, bool local)
{
	uint32_t i = place[id] - 1;

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
	(void)fd;
	fds[place[id] - 1].events = POLLRDHUP;
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
	uint32_t i, at;
	int ready, out = 0;

	ready = poll(fds, count, ms);
	if (ready == -1 && errno == EINVAL) {
		/* Somebody has lowered our limit of descriptors below what
		   is open.  Those that came first are the most important. */
		ready = poll(fds, count < FEW ? count : FEW, 100);
	}
	if (ready == -1)
		return errno == EINTR ? 0 : -1;
	/* Begin where the last turn ended, so that nobody is starved. */
	for (i = 0; i < count && out < n && ready > 0; i++) {
		at = (first + i) % count;
		if (fds[at].revents == 0)
			continue;
		ready--;
		events[out].id = ids[at] & ~LOWAT;
		events[out++].what = report(at);
	}
	if (count > 0)
		first = (first + i) % count;
	return out;
}

const char *
poller_name(void)
{
	return "poll";
}

#endif
