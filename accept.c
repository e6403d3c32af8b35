/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "accept.h"
#include "backend.h"
#include "clock.h"
#include "conn.h"
#include "listen.h"
#include "log.h"
#include "renew.h"
#include "serve.h"
#include "stats.h"

#define ACCEPTS		64	/* of one listener in one turn */
#define READS		64	/* of one worker in one turn */
#define QUEUE_MAX	8192	/* clients of a listener that is closed */
#define PAUSE_MS	100	/* without descriptors */
#define REPEAT_MS	1000	/* between messages about that */

static const struct config *config;
static uint32_t timer;
static uint64_t handoffs;
static bool for_clients;	/* the sockets for these are watched, too */
static bool paused;		/* none is, nor any worker */
static bool stopping;
static bool nobody_serves;	/* the command does not, yet or any more */

void
accept_open(const struct config *c, uint32_t id, uint64_t most)
{
	config = c;
	timer = id;
	handoffs = most;
}

bool
accept_is_over(void)
{
	return handoffs > 0 && stats_get()->passed >= handoffs;
}

static void
watch(int i, enum poller_want want)
{
	struct listener *l = listen_at(i);

	if (l->fd == -1 || l->watched == want)
		return;
	if (!poller_watch(l->fd, (uint32_t)i, &l->watched, want))
		deadline_set(timer, clock_ms() + PAUSE_MS);
}

static void
watch_all(enum poller_want want)
{
	int i;

	for (i = 0; i < listen_count(); i++)
		if (for_clients || listen_at(i)->workers)
			watch(i, want);
}

void
accept_watch(bool all)
{
	for_clients = all;
	watch_all(POLLER_ACCEPT);
}

static bool
wants_descriptors(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS ||
	    error == ENOMEM;
}

/*
 * accept(2) fails at once, for ever: for want of descriptors, so that nobody
 * can come, and what a worker gives back would be lost; or because somebody
 * shut listener i down.  Come back later.
 */
static void
pause_accepting(int i)
{
	static uint32_t said;
	int error = errno;

	stats_get()->paused++;
	if (clock_again(&said, REPEAT_MS))
		log_warn("cannot accept: %s; again in %d ms", strerror(error),
		    PAUSE_MS);
	paused = wants_descriptors(error);
	if (paused) {
		watch_all(POLLER_NONE);
		worker_pause(true);
	} else {
		watch(i, POLLER_NONE);
	}
	deadline_set(timer, clock_ms() + PAUSE_MS);
}

void
accept_resume(void)
{
	int fd = sock_stream();

	if (fd == -1) {
		deadline_set(timer, clock_ms() + PAUSE_MS);
		return;
	}
	close(fd);
	paused = false;
	watch_all(POLLER_ACCEPT);
	worker_pause(false);
}

/* ---- workers ---- */

/* A worker has given a connection back, for its next request. */
static void
take_back(uint32_t worker, int fd)
{
	struct sock_addr peer;
	struct conn c;
	bool left = sock_reclaim(fd, &peer) == -1;

	if (left && errno == ENOTCONN) {
		sock_close(fd);		/* by itself */
		return;
	}
	if (left || !listen_knows(fd, &peer)) {
		worker_end(worker, "has given back what is no client of ours");
		sock_close(fd);
		return;
	}
	if (accept_is_over()) {
		shutdown(fd, SHUT_RDWR);
		sock_close(fd);
		return;
	}
	conn_start(&c, fd, &peer, true, NULL);
	serve_client(&c, conn_advance(&c, stopping ? CONN_LATE : 0));
}

static void
take_worker(uint32_t i)
{
	enum worker_said said = WORKER_MORE;
	int client, reads;

	for (reads = 0; said == WORKER_MORE && reads < READS; reads++) {
		said = worker_read(i, &client);
		backend_asked(worker_queue(i));
		if (client != -1)
			take_back(i, client);
	}
	/* What is given back next would be lost as well? */
	if (said != WORKER_LOST)
		return;
	client = sock_stream();
	if (client == -1)
		pause_accepting(0);
	else
		close(client);
}

/* Take one in, and what it has asked for so far. */
static void
add_worker(int fd, const struct config_listen *l, uint32_t promises,
    uint32_t most)
{
	int i = worker_add(fd, l->queue, &l->addr, l->peer, promises, most);

	if (i != -1)
		take_worker((uint32_t)i);
}

/* ---- clients ---- */

static void
add_client(int fd, const struct sock_addr *peer)
{
	struct conn c;

	conn_start(&c, fd, peer, false, NULL);
	if (nobody_serves)
		conn_refuse(&c);
	serve_client(&c, nobody_serves ? CONN_CLOSE : conn_advance(&c, 0));
}

/*
 * Accept some of a listening socket: workers, or clients if that is NULL.  How
 * many; -1 with errno if that fails, but for want of them.
 */
static int
accept_some(int listener, const struct config_listen *workers)
{
	struct sock_addr peer;
	int fd, n, failed = 0;

	for (n = 0; n < ACCEPTS && !paused &&
	    (workers != NULL || !accept_is_over()); n++) {
		fd = sock_accept(listener, &peer);
		if (fd != -1) {
			if (workers != NULL)
				add_worker(fd, workers, 0, 0);
			else
				add_client(fd, &peer);
			continue;
		}
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			break;
		/* Any other is the connection's own (accept(2)); if it never
		   passes, it is the listener's after all. */
		if (wants_descriptors(errno) || errno == EINVAL ||
		    ++failed == ACCEPTS)
			return -1;
	}
	return n;
}

/* The queue of a socket that is to be closed; more may come all the time. */
static void
accept_rest(int fd)
{
	int turns;

	for (turns = 0; turns < QUEUE_MAX / ACCEPTS &&
	    accept_some(fd, NULL) == ACCEPTS; turns++)
		;
}

/* ---- from one end to the other ---- */

bool
accept_is_of_workers(uint32_t id)
{
	return id < SERVE_SIGNALS ? listen_at((int)id)->workers :
	    id >= SERVE_WORKERS && id < SERVE_CLIENTS;
}

void
accept_event(uint32_t id)
{
	struct listener *l;

	if (id >= SERVE_WORKERS) {
		if (!paused)
			take_worker(id - SERVE_WORKERS);
		return;
	}
	l = listen_at((int)id);
	if (l->watched != POLLER_NONE && accept_some(l->fd, l->workers ?
	    &config->listen[id] : NULL) == -1)
		pause_accepting((int)id);
}

void
accept_left(void)
{
	struct renew_worker worker;
	struct conn_left left;
	struct sock_addr peer;
	struct conn c;
	int fd, i;

	while ((fd = renew_worker(&worker)) != -1) {
		for (i = 0; i < listen_count(); i++)
			if (listen_at(i)->workers &&
			    listen_at(i)->fd == worker.listener)
				break;
		if (i < listen_count()) {
			add_worker(fd, &config->listen[i], worker.promises,
			    worker.most);
			continue;
		}
		shutdown(fd, SHUT_RDWR);
		close(fd);
	}
	while ((fd = renew_client(&left)) != -1) {
		if (sock_peer(fd, &peer) == -1)
			memset(&peer, 0, sizeof(peer));
		conn_start(&c, fd, &peer, left.returned, &left);
		serve_client(&c, conn_advance(&c, 0));
	}
	for (i = 0; (fd = listen_unwanted(i)) != -1; i++)
		accept_rest(fd);
	listen_take_over();
}

void
accept_stop(bool refuse)
{
	struct listener *l;
	int i;

	nobody_serves = refuse;
	stopping = true;
	paused = false;
	for (i = 0; i < listen_count(); i++) {
		l = listen_at(i);
		if (l->fd == -1 || l->workers)
			continue;
		watch(i, POLLER_NONE);
		accept_rest(l->fd);
	}
	listen_close(false);
	watch_all(POLLER_ACCEPT);
	worker_pause(false);
}
