/* See LICENSE for copyright and license details. */
#include "poller.h"

#ifdef POLLER_EPOLL

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#ifndef EPOLLEXCLUSIVE
#define EPOLLEXCLUSIVE	0	/* before Linux 4.5 */
#endif

#define BATCH	256

static int epfd = -1;

int
poller_open(uint32_t n)
{
	(void)n;
	epfd = epoll_create1(EPOLL_CLOEXEC);
	return epfd == -1 ? -1 : 0;
}

void
poller_close(void)
{
	close(epfd);
	epfd = -1;
}

/* EPOLLHUP and EPOLLERR are always reported; with EPOLLET, an arrival once. */
static uint32_t
interest(enum poller_want want)
{
	switch (want) {
	case POLLER_ACCEPT:
		/* Of several processes with this listener, one is woken. */
		return EPOLLIN | EPOLLEXCLUSIVE;
	case POLLER_READ:
	case POLLER_DOZE:
		return EPOLLIN | EPOLLRDHUP | EPOLLET;
	case POLLER_WRITE:
		return EPOLLOUT | EPOLLET;
	case POLLER_HANGUP:
	case POLLER_NONE:
		break;
	}
	return EPOLLET;
}

int
poller_set(int fd, uint32_t id, enum poller_want old, enum poller_want want)
{
	struct epoll_event ev = { .events = interest(want),
	    .data = { .u32 = id } };
	int op;

	if (old == want || (old == POLLER_READ && want == POLLER_DOZE) ||
	    (old == POLLER_DOZE && want == POLLER_READ))
		return 0;
	if (want == POLLER_NONE)
		op = EPOLL_CTL_DEL;
	else
		op = old == POLLER_NONE ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
	return epoll_ctl(epfd, op, fd, &ev);
}

int
poller_wait(struct poller_event *events, int n, int ms)
{
	struct epoll_event ev[BATCH];
	int i;

	n = epoll_wait(epfd, ev, n < BATCH ? n : BATCH, ms);
	if (n == -1)
		return errno == EINTR ? 0 : -1;
	for (i = 0; i < n; i++) {
		events[i].id = ev[i].data.u32;
		events[i].what = 0;
		if (ev[i].events & (EPOLLHUP | EPOLLERR))
			events[i].what = POLLER_END | POLLER_GONE;
		else if (ev[i].events & EPOLLRDHUP)
			events[i].what = POLLER_END;
	}
	return n;
}

const char *
poller_name(void)
{
	return "epoll";
}

#endif
