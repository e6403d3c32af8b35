/* See LICENSE for copyright and license details. */
#include "poller.h"

#ifdef POLLER_KQUEUE

#include <sys/types.h>
#include <sys/event.h>
#include <sys/time.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>
#if defined(__NetBSD__)
#include <sys/param.h>
#endif

#define BATCH	256

/* Before NetBSD 10, udata was a number. */
#if defined(__NetBSD__) && __NetBSD_Version__ < 1000000000
typedef intptr_t udata_type;
#else
typedef void *udata_type;
#endif

static int kq = -1;

int
poller_open(uint32_t n)
{
	(void)n;
	kq = kqueue();
	if (kq == -1)
		return -1;
	return fcntl(kq, F_SETFD, FD_CLOEXEC) == -1 ? -1 : 0;
}

void
poller_close(void)
{
	close(kq);
	kq = -1;
}

/*
 * Each want takes one filter, so a descriptor never has two: that makes one
 * report a descriptor, and a change of direction is one delete and one add.
 * The write filter's EV_EOF is a hang-up; that of the read filter would be a
 * half-close as well, which is legal.
 */
static short
filter(enum poller_want want)
{
	if (want == POLLER_WRITE || want == POLLER_HANGUP)
		return EVFILT_WRITE;
	return EVFILT_READ;
}

static int
change(int fd, uint32_t id, short what, unsigned short flags,
    unsigned int fflags, long data)
{
	struct kevent kev;

	EV_SET(&kev, (uintptr_t)fd, what, flags, fflags, data,
	    (udata_type)(uintptr_t)id);
	return kevent(kq, &kev, 1, NULL, 0, NULL);
}

int
poller_set(int fd, uint32_t id, enum poller_want old, enum poller_want want)
{
	unsigned short flags = EV_ADD;
	unsigned int fflags = 0;
	long data = 0;

	if (old == want || (old == POLLER_READ && want == POLLER_DOZE) ||
	    (old == POLLER_DOZE && want == POLLER_READ))
		return 0;
	if (old != POLLER_NONE &&
	    (want == POLLER_NONE || filter(old) != filter(want)))
		change(fd, id, filter(old), EV_DELETE, 0, 0);
	if (want == POLLER_NONE)
		return 0;
	if (want != POLLER_ACCEPT)	/* each arrival once */
		flags |= EV_CLEAR;
#ifdef NOTE_LOWAT
	/* A low-water mark that no socket reaches keeps "there is room" away;
	   on other systems that is reported once and does no harm. */
	if (want == POLLER_HANGUP) {
		fflags = NOTE_LOWAT;
		data = INT_MAX;
	}
#endif
	return change(fd, id, filter(want), flags, fflags, data);
}

/*
 * EV_EOF on the read filter is the end of input, with fflags the socket's
 * error; on the write filter the other side reads no more.
 */
int
poller_wait(struct poller_event *events, int n, int ms)
{
	struct kevent kev[BATCH];
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };
	uint32_t id;
	int i, j, out = 0;
	bool ended;

	n = kevent(kq, NULL, 0, kev, n < BATCH ? n : BATCH,
	    ms < 0 ? NULL : &ts);
	if (n == -1)
		return errno == EINTR ? 0 : -1;
	for (i = 0; i < n; i++) {
		id = (uint32_t)(uintptr_t)kev[i].udata;
		/* Should there be two filters after all: one report. */
		for (j = out; j > 0 && events[j - 1].id != id; j--)
			;
		if (j == 0) {
			j = ++out;
			events[j - 1].id = id;
			events[j - 1].what = 0;
		}
		ended = (kev[i].flags & EV_EOF) != 0;
		if (ended)
			events[j - 1].what |= POLLER_END;
		if ((kev[i].flags & EV_ERROR) || (ended &&
		    (kev[i].fflags != 0 || kev[i].filter == EVFILT_WRITE)))
			events[j - 1].what |= POLLER_END | POLLER_GONE;
	}
	return out;
}

const char *
poller_name(void)
{
	return "kqueue";
}

#endif
