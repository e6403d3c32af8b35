/* See LICENSE for copyright and license details. */
#include <stdlib.h>

#include "clock.h"
#include "slot.h"

struct list {
	uint32_t first;		/* or SLOT_NONE */
	uint32_t last;
	uint32_t count;
};

static struct conn *slots;
static uint32_t total;
static uint32_t touched;	/* slots below were taken at least once */
static uint32_t free_slots;	/* the first of them, linked by next */
static uint32_t used;
static uint16_t turn;		/* of the loop */
static struct list *lists;
static uint32_t nlists;
static uint32_t first_id;
static uint32_t queued;
static uint32_t queues;		/* lists of backends that are not empty */

bool
slot_open(uint32_t max, uint32_t n, uint32_t id)
{
	uint32_t i;

	total = max;
	touched = used = queued = queues = 0;
	free_slots = SLOT_NONE;
	slots = calloc(total, sizeof(*slots));
	lists = calloc(n, sizeof(*lists));
	nlists = n;
	first_id = id;
	for (i = 0; lists != NULL && i < n; i++)
		lists[i] = (struct list){ SLOT_NONE, SLOT_NONE, 0 };
	return slots != NULL && lists != NULL && deadline_open(first_id +
	    total + nlists);
}

void
slot_release(void)
{
	free(slots);
	free(lists);
	slots = NULL;
	lists = NULL;
}

void
slot_turn(void)
{
	turn++;
}

uint32_t
slot_total(void)
{
	return total;
}

uint32_t
slot_used(void)
{
	return used;
}

int64_t
slot_index(const struct conn *c)
{
	uintptr_t p = (uintptr_t)c, base = (uintptr_t)slots;

	if (p < base || p >= base + total * sizeof(*slots))
		return -1;
	return c - slots;
}

struct conn *
slot_at(uint32_t index)
{
	return &slots[index];
}

struct conn *
slot_next(const struct conn *c)
{
	uint32_t i = c == NULL ? 0 : (uint32_t)(c - slots) + 1;

	while (i < touched && slots[i].state == CONN_FREE)
		i++;
	return i < touched ? &slots[i] : NULL;
}

struct conn *
slot_keep(const struct conn *c)
{
	uint32_t i = free_slots;

	if (used == total)
		return NULL;
	if (i != SLOT_NONE)
		free_slots = slots[i].next;
	else
		i = touched++;
	slots[i] = *c;
	slots[i].taken = turn;
	used++;
	return &slots[i];
}

bool
slot_is_new(const struct conn *c)
{
	/* So many turns are not in a millisecond that two are the same. */
	return c->taken == turn && c->begun == clock_ms();
}

void
slot_free(struct conn *c)
{
	slot_leave(c);
	deadline_clear(first_id + (uint32_t)slot_index(c));
	c->state = CONN_FREE;
	c->next = free_slots;
	free_slots = (uint32_t)slot_index(c);
	used--;
}

void
slot_deadline(const struct conn *c, uint32_t when)
{
	deadline_set(first_id + (uint32_t)slot_index(c), when);
}

void
slot_enter(struct conn *c, uint32_t list)
{
	struct list *l = &lists[list];
	uint32_t i = (uint32_t)slot_index(c);

	c->list = (uint16_t)list;
	c->next = SLOT_NONE;
	c->prev = l->last;
	if (c->prev == SLOT_NONE)
		l->first = i;
	else
		slots[c->prev].next = i;
	l->last = i;
	l->count++;
	queued += list >= LIST_BACKENDS;
	queues += list >= LIST_BACKENDS && l->count == 1;
}

void
slot_leave(struct conn *c)
{
	struct list *l;

	if (c->list == SLOT_NO_LIST)
		return;
	l = &lists[c->list];
	if (c->prev == SLOT_NONE)
		l->first = c->next;
	else
		slots[c->prev].next = c->next;
	if (c->next == SLOT_NONE)
		l->last = c->prev;
	else
		slots[c->next].prev = c->prev;
	l->count--;
	queued -= c->list >= LIST_BACKENDS;
	queues -= c->list >= LIST_BACKENDS && l->count == 0;
	c->list = SLOT_NO_LIST;
}

struct conn *
slot_first(uint32_t list)
{
	uint32_t i = lists[list].first;

	return i == SLOT_NONE ? NULL : &slots[i];
}

struct conn *
slot_victim(void)
{
	struct conn *c = slot_first(LIST_KEPT);

	if (c == NULL)
		c = slot_first(LIST_LINGER);
	return c == NULL ? slot_first(LIST_HEAD) : c;
}

uint32_t
slot_count(uint32_t list)
{
	return lists[list].count;
}

uint32_t
slot_queued(void)
{
	return queued;
}

uint32_t
slot_queues(void)
{
	return queues;
}

uint32_t
slot_list_id(uint32_t list)
{
	return first_id + total + list;
}

bool
slot_of_id(uint32_t id, uint32_t *index)
{
	bool of_list = id >= first_id + total;

	*index = id - first_id - (of_list ? total : 0);
	return of_list;
}

void
slot_census(uint32_t *head, uint32_t *backend, uint32_t *client, bool *page)
{
	const struct conn *c;

	*head = *backend = *client = 0;
	*page = false;
	for (c = slot_next(NULL); c != NULL; c = slot_next(c)) {
		if (c->state == CONN_HEAD || c->state == CONN_REST)
			*head += c->list == LIST_HEAD;
		else if (c->state == CONN_QUEUED)
			++*backend;
		else
			++*client;
		*page = *page || (c->state == CONN_REPLY && c->page);
	}
}

struct conn *
slot_unread(const struct conn *c)
{
	uint32_t list = c == NULL ? LIST_BACKENDS : c->list;

	if (c != NULL && c->next != SLOT_NONE)
		return &slots[c->next];
	for (list += c != NULL; (list %= nlists) != LIST_LINGER; list++)
		if (lists[list].count > 0)
			return slot_first(list);
	return NULL;
}
