/* See LICENSE for copyright and license details. */
#ifndef SYS_EVENT_H
#define SYS_EVENT_H

/*
 * As much of kqueue(2) as poller_kqueue.c uses, by epoll(7), so that it can be
 * built and tested where there is none:
 *
 *	make POLLER=kqueue CPPFLAGS=-Itests/kqueue
 *
 * For one file, one queue and sockets.  A descriptor with two filters ends the
 * program, as does one that is deleted without having been added, or a queue
 * that came by fork(2), where no kqueue does: that file promises none happens.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define EVFILT_READ	(-1)
#define EVFILT_WRITE	(-2)

#define EV_ADD		0x0001
#define EV_DELETE	0x0002
#define EV_CLEAR	0x0020
#define EV_ERROR	0x4000
#define EV_EOF		0x8000

#define NOTE_LOWAT	0x0001

struct kevent {
	uintptr_t ident;
	short filter;
	unsigned short flags;
	unsigned int fflags;
	int64_t data;
	void *udata;
};

#define EV_SET(kev, i, f, fl, ff, d, u) \
	(*(kev) = (struct kevent){ (i), (f), (fl), (ff), (d), (u) })

#define KQUEUE_FDS	65536
#define KQUEUE_EVENTS	256

static short kqueue_filter[KQUEUE_FDS];		/* what each one has, or 0 */
static ino_t kqueue_file[KQUEUE_FDS];
static pid_t kqueue_owner;

static int
kqueue(void)
{
	kqueue_owner = getpid();
	return epoll_create1(0);
}

static ino_t
kqueue_inode(int fd)
{
	struct stat st;

	return fstat(fd, &st) == -1 ? 0 : st.st_ino;
}

/* Known by its number, with its udata, below 2^32, above. */
static int
kqueue_add(int kq, const struct kevent *kev)
{
	int fd = (int)kev->ident;
	struct epoll_event ev = { .events = 0, .data = { .u64 =
	    (uint64_t)(uint32_t)(uintptr_t)kev->udata << 32 |
	    (uint32_t)fd } };

	if (fd >= KQUEUE_FDS) {
		errno = ENOMEM;
		return -1;
	}
	if (kev->filter == EVFILT_READ)
		ev.events = EPOLLIN | EPOLLRDHUP;
	else if (!(kev->fflags & NOTE_LOWAT))
		ev.events = EPOLLOUT;
	if (kev->flags & EV_CLEAR)
		ev.events |= EPOLLET;
	if (epoll_ctl(kq, EPOLL_CTL_ADD, fd, &ev) == -1) {
		if (errno != EEXIST)
			return -1;
		if (kqueue_filter[fd] != kev->filter)
			abort();
		return epoll_ctl(kq, EPOLL_CTL_MOD, fd, &ev);
	}
	kqueue_filter[fd] = kev->filter;
	kqueue_file[fd] = kqueue_inode(fd);
	return 0;
}

static int
kqueue_delete(int kq, const struct kevent *kev)
{
	int fd = (int)kev->ident;

	if (kqueue_filter[fd] != kev->filter ||
	    epoll_ctl(kq, EPOLL_CTL_DEL, fd, NULL) == -1)
		abort();
	kqueue_filter[fd] = 0;
	return 0;
}

/* The end of input, or of output; with an error, of which the number is lost. */
static void
kqueue_report(struct kevent *kev, const struct epoll_event *ev)
{
	uint32_t end = EPOLLHUP | EPOLLERR;

	memset(kev, 0, sizeof(*kev));
	kev->ident = (uint32_t)ev->data.u64;
	kev->filter = kqueue_filter[kev->ident];
	kev->udata = (void *)(uintptr_t)(ev->data.u64 >> 32);
	if (kev->filter == EVFILT_READ)
		end |= EPOLLRDHUP;
	if (ev->events & end)
		kev->flags = EV_EOF;
	if (ev->events & EPOLLERR)
		kev->fflags = ECONNRESET;
}

static int
kevent(int kq, const struct kevent *changes, int nchanges,
    struct kevent *events, int nevents, const struct timespec *timeout)
{
	struct epoll_event ev[KQUEUE_EVENTS];
	int i, n, out = 0;

	if (getpid() != kqueue_owner)
		abort();
	for (i = 0; i < nchanges; i++) {
		if ((changes[i].flags & EV_DELETE ?
		    kqueue_delete(kq, &changes[i]) :
		    kqueue_add(kq, &changes[i])) == -1)
			return -1;
	}
	if (nevents == 0)
		return 0;
	n = epoll_wait(kq, ev, nevents < KQUEUE_EVENTS ? nevents :
	    KQUEUE_EVENTS, timeout == NULL ? -1 :
	    (int)(timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) /
	    1000000));
	/* close(2) has taken a descriptor out, though epoll goes on to report
	   the socket if another process has it. */
	for (i = 0; i < n; i++) {
		kqueue_report(&events[out], &ev[i]);
		out += kqueue_inode((int)events[out].ident) ==
		    kqueue_file[events[out].ident];
	}
	return n == -1 ? -1 : out;
}

#endif
