/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "fdpass.h"
#include "log.h"
#include "poller.h"
#include "text.h"
#include "worker.h"

#define READ_BYTES	1024
#define PROMISES_MAX	65535
#define BLOCKED_MS	10	/* until one is tried again */
#define REPEAT_MS	1000	/* between messages */
#define CLIENT		0x01	/* the byte of one that is given back */

static struct worker *workers;
static uint32_t room;
static uint32_t touched;	/* places below were taken at least once */
static uint32_t first_id;
static uint32_t choices;	/* so far */
static bool paused;		/* none is read from */
static bool old;		/* another process goes on with them */

bool
worker_open(uint32_t max, uint32_t id)
{
	room = max;
	first_id = id;
	touched = 0;
	paused = old = false;
	workers = calloc(max + 1, sizeof(*workers));
	return workers != NULL;
}

static uint32_t
id_of(const struct worker *w)
{
	return first_id + (uint32_t)(w - workers);
}

/* Its end is told by shutdown(2): another process may have the connection. */
static void
leave(struct worker *w)
{
	poller_watch(w->fd, id_of(w), &w->watched, POLLER_NONE);
	shutdown(w->fd, SHUT_RDWR);
	close(w->fd);
	w->fd = -1;
	w->serial++;
}

/* One that cannot be watched may come again. */
static void
watch(struct worker *w, enum poller_want want)
{
	if (!poller_watch(w->fd, id_of(w), &w->watched, want))
		leave(w);
}

void
worker_release(void)
{
	struct worker *w;

	for (w = workers; w != NULL && w < workers + touched; w++)
		if (w->fd != -1)
			leave(w);
	free(workers);
	workers = NULL;
}

/* What is wrong with a worker, and who it is. */
static void
complain(int fd, const struct sock_addr *addr, const char *what)
{
	static uint32_t said;
	char text[SOCK_TEXT], process[40] = "";
	uid_t uid = 0;
	pid_t pid = 0;

	if (!clock_again(&said, REPEAT_MS))
		return;
	fdpass_peer(fd, &uid, &pid);
	if (pid != 0)
		text_format(process, sizeof(process), "process %ld of ",
		    (long)pid);
	log_error("%s: a worker, %suser %lu, %s: its connection is closed",
	    sock_path(addr, text, sizeof(text)), process, (unsigned long)uid,
	    what);
}

void
worker_end(uint32_t i, const char *what)
{
	struct worker *w = &workers[i];

	if (w->fd == -1)
		return;
	complain(w->fd, w->addr, what);
	leave(w);
}

int
worker_add(int fd, uint32_t queue, const struct sock_addr *addr, uid_t peer,
    uint32_t promises, uint32_t most)
{
	struct worker *w = workers;
	const char *wrong = NULL;
	socklen_t len = sizeof(int);
	int room_for_head = 2 * WORKER_HEAD, size;
	uid_t uid;
	pid_t pid;

	while (w < workers + touched && w->fd != -1)
		w++;
	if (w == workers + room)
		wrong = "is one too many";
	else if (peer != FDPASS_ANYBODY && (fdpass_peer(fd, &uid, &pid) == -1 ||
	    uid != peer))
		wrong = "is not of the user that peer= names";
	if (wrong != NULL) {
		complain(fd, addr, wrong);
		shutdown(fd, SHUT_RDWR);
		close(fd);
		return -1;
	}
	if (w == workers + touched)
		touched++;
	*w = (struct worker){ .fd = fd, .queue = queue, .addr = addr,
	    .promises = promises, .most = most, .serial = w->serial,
	    .watched = POLLER_NONE, .chosen = ++choices };
	/* So that a head goes in one message. */
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &len) == 0 &&
	    size < 2 * room_for_head)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room_for_head, len);
	watch(w, paused ? POLLER_NONE : POLLER_ACCEPT);
	return w->fd == -1 ? -1 : (int)(w - workers);
}

enum worker_said
worker_read(uint32_t i, int *client)
{
	unsigned char data[READ_BYTES];
	struct worker *w = &workers[i];
	uint32_t promises = 0, back = 0;
	const char *wrong = NULL;
	size_t fds;
	ssize_t at, n;

	*client = -1;
	if (w->fd == -1)	/* in this turn */
		return WORKER_LEFT;
	n = fdpass_take(w->fd, data, sizeof(data), client, &fds);
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return WORKER_SILENT;
	if (n <= 0) {
		leave(w);
		return WORKER_LEFT;
	}
	for (at = 0; at < n; at++) {
		promises += data[at] == '\0';
		back += data[at] == CLIENT;
	}
	/* A client's descriptor may have been lost here, for want of any. */
	if (promises + back < (uint32_t)n)
		wrong = "has sent a byte that means nothing";
	else if (fds > 1 || (fds == 1 && back != 1))
		wrong = "has sent a descriptor that does not belong there";
	else if (promises > PROMISES_MAX - w->promises - w->held)
		wrong = "promises to take more clients than 65535";
	if (wrong != NULL) {
		if (*client != -1)
			sock_close(*client);
		*client = -1;
		worker_end(i, wrong);
		return WORKER_LEFT;
	}
	w->blocked = false;
	w->promises += promises;
	if (w->most < w->promises + w->held)
		w->most = w->promises + w->held;
	if (back > fds)
		return WORKER_LOST;
	return n == sizeof(data) || *client != -1 ? WORKER_MORE :
	    WORKER_SILENT;
}

uint32_t
worker_queue(uint32_t i)
{
	return workers[i].queue;
}

/* ---- promises ---- */

static bool
takes_clients(const struct worker *w, uint32_t queue)
{
	return w->fd != -1 && w->queue == queue && w->most > 0 && !w->over;
}

int
worker_take(uint32_t queue)
{
	struct worker *w, *best = NULL;
	uint32_t busy, least = 0;

	errno = ENOTCONN;
	/* In an old process, those that are left are the next program's. */
	for (w = workers; !old && w < workers + touched; w++) {
		if (!takes_clients(w, queue))
			continue;
		if (w->promises == 0) {
			errno = errno == EAGAIN ? EAGAIN : EBUSY;
			continue;
		}
		errno = EAGAIN;
		if (w->blocked && clock_before(clock_ms(), w->until))
			continue;
		busy = w->most - w->promises;
		if (best == NULL || busy < least || (busy == least &&
		    clock_before(w->chosen, best->chosen))) {
			best = w;
			least = busy;
		}
	}
	if (best == NULL)
		return -1;
	best->promises--;
	best->held++;
	best->chosen = ++choices;
	return (int)(best->serial % (1U << 20) * WORKER_TABLE +
	    (uint32_t)(best - workers));
}

/* Whose promise it is; NULL if that one has gone. */
static struct worker *
find(int promise)
{
	struct worker *w = &workers[promise % WORKER_TABLE];

	return w->fd != -1 && w->serial % (1U << 20) ==
	    (uint32_t)promise / WORKER_TABLE ? w : NULL;
}

/* In an old process, a connection is closed behind its last promise. */
static void
settle(struct worker *w)
{
	w->held--;
	if (!old || w->held > 0)
		return;
	close(w->fd);
	w->fd = -1;
}

ssize_t
worker_send(int promise, int client, const void *data, size_t len)
{
	struct worker *w = find(promise);
	ssize_t n;

	if (w == NULL) {
		errno = EPIPE;
		return -1;
	}
	n = fdpass_send(w->fd, client, data, len);
	if (n == -1) {
		w->over = errno == EPIPE || errno == ECONNRESET;
		w->blocked = !w->over;
		w->until = clock_ms() + BLOCKED_MS;
		return -1;
	}
	if ((size_t)n < len)	/* where the next message begins is unknown */
		worker_end((uint32_t)(w - workers), "has no room for a head");
	else
		settle(w);
	return n;
}

void
worker_drop(int promise)
{
	struct worker *w = find(promise);

	if (w == NULL)
		return;
	w->promises++;
	if (old)
		shutdown(w->fd, SHUT_WR);
	settle(w);
}

uint32_t
worker_count(uint32_t queue, uint32_t *promises)
{
	const struct worker *w;
	uint32_t n = 0, all = 0;

	for (w = workers; w < workers + touched; w++) {
		if (!takes_clients(w, queue))
			continue;
		n++;
		all += w->promises;
	}
	if (promises != NULL)
		*promises = all;
	return n;
}

const struct worker *
worker_next(const struct worker *w)
{
	w = w == NULL ? workers : w + 1;
	while (w < workers + touched && w->fd == -1)
		w++;
	return w < workers + touched ? w : NULL;
}

void
worker_pause(bool pause)
{
	struct worker *w;

	paused = pause;
	for (w = workers; w < workers + touched; w++)
		if (w->fd != -1)
			watch(w, pause ? POLLER_NONE : POLLER_ACCEPT);
}

void
worker_forget(void)
{
	struct worker *w;

	old = true;
	for (w = workers; w < workers + touched; w++) {
		w->watched = POLLER_NONE;	/* by a poller of our own */
		if (w->fd == -1 || w->held > 0)
			continue;
		close(w->fd);
		w->fd = -1;
	}
}
