/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"
#include "clock.h"
#include "log.h"
#include "stats.h"
#include "worker.h"

#define PROBE_MAX_MS	50	/* delay between two, for up to 50 queues */
#define PROBE_MOST_MS	1000	/* the same for 1000 and more */
#define REPEAT_MS	1000	/* between messages about those that wait */
#define PROBE_ALL_MS	1000
#define PROBE_ALL_MAX	500	/* sockets, about 10 ms */

struct backend {
	const struct sock_addr *addr;
	const struct config_target *target;	/* one that leads there */
	uint32_t delay;		/* until the next probe */
	enum fdpass_state state;	/* what the last failure stands for */
	bool turned;		/* it stood for another, for those in line */
	uint32_t changed;	/* when it did last */
	int error;		/* of the last failure */
};

static const struct config *config;
static struct backend *backends;	/* by list, from LIST_BACKENDS on */
static struct sock_addr found[BACKEND_FOUND];
static bool serving;		/* the loop accepts clients */

static struct backend *
backend_at(uint32_t list)
{
	return &backends[list - LIST_BACKENDS];
}

uint32_t
backend_lists(const struct config *c)
{
	return LIST_BACKENDS + c->nqueues + BACKEND_FOUND;
}

bool
backend_open(const struct config *c)
{
	const struct config_target *t;
	uint32_t i;

	config = c;
	backends = calloc(c->nqueues + BACKEND_FOUND, sizeof(*backends));
	if (backends == NULL)
		return false;
	for (i = 0; i < c->ntargets; i++) {
		t = &c->targets[i];
		if (t->first) {
			backends[t->queue].addr = &t->addr;
			backends[t->queue].target = t;
		}
	}
	for (i = 0; i < BACKEND_FOUND; i++)
		backends[c->nqueues + i].addr = &found[i];
	return true;
}

void
backend_release(void)
{
	free(backends);
	backends = NULL;
}

uint32_t
backend_list(const struct config_target *t, const struct sock_addr *addr)
{
	uint32_t first = LIST_BACKENDS + config->nqueues, i;
	uint32_t empty = BACKEND_FOUND;

	if (t->kind == CONFIG_SOCKET)
		return LIST_BACKENDS + t->queue;
	for (i = 0; i < BACKEND_FOUND; i++) {
		if (slot_count(first + i) == 0)
			empty = i;
		else if (sock_same(&found[i], addr))
			return first + i;
	}
	if (empty == BACKEND_FOUND)
		return SLOT_NO_LIST;
	found[empty] = *addr;
	backend_at(first + empty)->target = t;
	return first + empty;
}

int
backend_connect(const struct config_target *t, const struct sock_addr *addr)
{
	return t->workers ? worker_take(t->queue) :
	    fdpass_connect(addr, t->peer);
}

ssize_t
backend_send(const struct config_target *t, int backend, int client,
    const void *data, size_t len)
{
	int room = (int)len * 2;

	if (t->workers)
		return worker_send(backend, client, data, len);
	/* So that a payload goes in one message. */
	if (len > 1)
		setsockopt(backend, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	return fdpass_send(backend, client, data, len);
}

void
backend_drop(const struct config_target *t, int backend)
{
	if (t->workers)
		worker_drop(backend);
	else
		sock_drop(backend);
}

bool
backend_has_room(uint32_t list, const struct config_target *t)
{
	uint32_t max = t->queue_max;

	if (max == 0)
		max = slot_total() / 4 > 0 ? slot_total() / 4 : 1;
	/* Who needs a slot for an instant finds one. */
	return slot_count(list) < max &&
	    slot_queued() < slot_total() - slot_total() / 4;
}

void
backend_wait(uint32_t list)
{
	static uint32_t said;
	struct backend *b = backend_at(list);
	char text[SOCK_TEXT];

	if (slot_count(list) > 1)
		return;
	b->delay = 1;
	deadline_set(slot_list_id(list), clock_ms() + 1);
	if (b->state == FDPASS_ABSENT && clock_again(&said, REPEAT_MS))
		log_notice("%s: %s; clients wait", sock_path(b->addr, text,
		    sizeof(text)), fdpass_error(b->error));
}

void
backend_try_now(uint32_t list)
{
	backend_at(list)->delay = 1;
	deadline_set(slot_list_id(list), clock_ms());
}

void
backend_asked(uint32_t queue)
{
	if (slot_count(LIST_BACKENDS + queue) > 0)
		backend_try_now(LIST_BACKENDS + queue);
}

void
backend_learn(uint32_t list, enum fdpass_state state, int error)
{
	struct backend *b = backend_at(list);

	if (slot_count(list) == 0) {
		b->turned = false;
	} else if (state != b->state) {
		b->turned = true;
		b->changed = clock_ms();
	}
	b->state = state;
	b->error = error;
}

void
backend_failed(uint32_t list, enum fdpass_state state, int error)
{
	struct backend *b = backend_at(list);
	uint32_t most = slot_queues();

	backend_learn(list, state, error);
	if (slot_count(list) == 0)
		return;
	/* All together have one probe a millisecond, or few more. */
	if (most < PROBE_MAX_MS)
		most = PROBE_MAX_MS;
	if (most > PROBE_MOST_MS)
		most = PROBE_MOST_MS;
	b->delay = b->delay * 2 < most ? b->delay * 2 : most;
	if (error == EBUSY || error == ENOTCONN)	/* who asks tells us */
		b->delay = PROBE_MOST_MS;
	deadline_set(slot_list_id(list), clock_ms() + b->delay);
}

int
backend_probe(uint32_t list)
{
	struct backend *b = backend_at(list);
	int fd = backend_connect(b->target, b->addr);

	stats_get()->retries += !b->target->workers;
	if (fd == -1)
		backend_failed(list, fdpass_state(errno, b->addr), errno);
	else if (slot_count(list) > 1)
		backend_try_now(list);	/* for the one behind */
	return fd;
}

enum fdpass_state
backend_state(uint32_t list)
{
	return backend_at(list)->state;
}

int
backend_error(uint32_t list)
{
	return backend_at(list)->error;
}

const struct sock_addr *
backend_addr(uint32_t list)
{
	return backend_at(list)->addr;
}

uint32_t
backend_deadline(uint32_t list, const struct config_target *t, uint32_t since)
{
	const struct backend *b = backend_at(list);
	uint32_t from = b->turned && clock_before(since, b->changed) ?
	    b->changed : since;

	if (b->state == FDPASS_BROKEN)
		return from;
	return from + (b->state == FDPASS_FULL ? t->connect_ms : t->wait_ms);
}

bool
backend_all(uint32_t *at)
{
	const struct config_target *t;
	int fd;

	for (; *at < config->ntargets; ++*at) {
		t = &config->targets[*at];
		if (!t->first)
			continue;
		if (t->workers) {
			if (worker_count(t->queue, NULL) == 0)
				return false;
			continue;
		}
		fd = fdpass_connect(&t->addr, t->peer);
		if (fd == -1)
			return false;
		close(fd);
	}
	return true;
}

const char *
backend_lacks(const struct config_target *t)
{
	return t->workers ? "has no worker that asks for clients" :
	    "does not accept connections";
}

void
backend_set_ready(bool ready)
{
	serving = ready;
}

bool
backend_ready(void)
{
	static uint32_t looked;
	static bool all;
	char text[SOCK_TEXT];
	uint32_t at = 0;

	if (config->nqueues > PROBE_ALL_MAX)
		return serving;
	if (clock_again(&looked, PROBE_ALL_MS)) {
		all = backend_all(&at);
		if (!all)
			log_info("not ready: %s %s", sock_path(
			    &config->targets[at].addr, text, sizeof(text)),
			    backend_lacks(&config->targets[at]));
	}
	return serving && all;
}
