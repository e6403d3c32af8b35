/*
 * A worker in C that serves many clients at a time (Linux):
 *
 *	cc -Icompanions -o worker examples/worker_epoll.c companions/fdbackend.c
 *	./worker /tmp/app.workers C
 *	fdproxy -l 8080 -r /=workers:/tmp/app.workers,flusher=none,wait=5s
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "fdbackend.h"
#include "worker_request.h"

#define MANY	64		/* clients at a time, lingering ones apart */
#define FDS	1024

static struct client {
	bool watched;
	time_t ends;		/* it lingers until then; 0: it is served */
	struct request r;
} clients[FDS];			/* by their descriptors */
static int busy;

static volatile sig_atomic_t leaving;
static int poller, channel = -1;
static unsigned int step;	/* of the delay before connecting again */
static const char *name = "C";

static void
leave(int sig)
{
	leaving = sig;
}

static void
watch(int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
}

/* It is served: back to fdproxy, or closed in stages.  One more may come. */
static void
done(int fd, bool keep)
{
	struct client *c = &clients[fd];

	busy--;
	if (keep && c->watched)	/* else its next request is reported here */
		epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL);
	c->watched = c->watched && !keep;
	if (keep && fdbackend_give_back(channel, fd, 1) == 0)
		return;
	fdbackend_ask(channel, 1);
	fdbackend_end(fd);
	c->ends = time(NULL) + 3;
	if (!c->watched)
		watch(fd);
}

/* Read what there is of its body. */
static void
serve(int fd)
{
	static unsigned char bytes[65536];
	struct client *c = &clients[fd];
	ssize_t n = 0;

	while (c->r.left > 0 && !c->r.chunked && (n = recv(fd, bytes,
	    c->r.left < sizeof(bytes) ? c->r.left : sizeof(bytes), 0)) > 0)
		add_body(&c->r, bytes, (size_t)n);
	if (n == -1 && errno == EAGAIN) {
		if (!c->watched)
			watch(fd);
		c->watched = true;
		return;
	}
	done(fd, (c->r.left == 0 || c->r.chunked) &&
	    answer(fd, &c->r, name, leaving));
}

/* Take all that have come.  False at the end. */
static bool
take(void)
{
	int fd, took;

	while ((took = fdbackend_take(channel, &fd)) != 0) {
		if (took == -1 && errno != EMFILE)
			return errno == EAGAIN;
		step = 0;
		if (took == -1 || fd >= FDS) {
			if (took == 1)
				close(fd);
			fdbackend_ask(channel, 1);
			continue;
		}
		clients[fd] = (struct client){ .watched = false };
		busy++;
		fcntl(fd, F_SETFL, O_NONBLOCK);
		if (read_head(fd, &clients[fd].r))
			serve(fd);
		else
			done(fd, false);
	}
	return false;
}

/* Those that have not closed in time. */
static void
close_late(void)
{
	time_t now = time(NULL);
	int fd;

	for (fd = 0; fd < FDS; fd++) {
		if (clients[fd].ends == 0 || clients[fd].ends > now)
			continue;
		clients[fd].ends = 0;
		close(fd);
	}
}

static void
turn(int wait_ms)
{
	struct epoll_event events[64];
	int i, fd, n = epoll_wait(poller, events, 64, wait_ms);

	for (i = 0; i < n; i++) {
		fd = events[i].data.fd;
		if (fd == channel) {
			if (!take()) {
				close(channel);
				channel = -1;
			}
		} else if (clients[fd].ends == 0) {
			serve(fd);
		} else if (fdbackend_drain(fd) == 1) {
			clients[fd].ends = 0;
		}
	}
	close_late();
}

int
main(int argc, char **argv)
{
	bool told = false;

	if (argc < 2)
		return 2;
	if (argc > 2)
		name = argv[2];
	signal(SIGTERM, leave);
	poller = epoll_create1(EPOLL_CLOEXEC);
	while (!leaving || channel != -1 || busy > 0) {
		if (leaving && !told && channel != -1)
			fdbackend_leave(channel);
		told = leaving;
		if (channel == -1 && !leaving) {
			channel = fdbackend_connect(argv[1]);
			if (channel != -1) {
				fcntl(channel, F_SETFL, O_NONBLOCK);
				watch(channel);
				fdbackend_ask(channel, (unsigned int)(MANY -
				    busy));
			}
		}
		turn(channel == -1 && !leaving ? (int)fdbackend_delay(&step) :
		    500);
	}
	while (busy > 0)
		turn(100);
	return 0;
}
