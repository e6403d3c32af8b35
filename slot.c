/* See LICENSE for copyright and license details. */
#include <stdlib.h>

#include "slot.h"

static struct conn *slots;
static uint32_t total;
static uint32_t touched;	/* slots below were taken at least once */
static uint32_t free_slots;	/* the first of them, linked by next */
static uint32_t freed_slots;	/* in this turn */
static uint32_t used;
static uint32_t used_max;

bool
slot_open(uint32_t max, uint32_t arrivals)
{
	used_max = max;
	/* The spare ones let a client be evicted and another kept in the same
	   turn, although a slot that was freed is not used again before the
	   next one: events of the turn may still name it. */
	total = max + arrivals;
	touched = used = 0;
	free_slots = freed_slots = SLOT_NONE;
	slots = calloc(total, sizeof(*slots));
	return slots != NULL;
}

void
slot_release(void)
{
	free(slots);
	slots = NULL;
}

void
slot_turn(void)
{
	uint32_t i, next;

	for (i = freed_slots; i != SLOT_NONE; i = next) {
		next = slots[i].next;
		slots[i].next = free_slots;
		free_slots = i;
	}
	freed_slots = SLOT_NONE;
}

uint32_t
slot_total(void)
{
	return total;
}

uint32_t
slot_max(void)
{
	return used_max;
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
	uint32_t i;

	if (used == used_max)
		return NULL;
	if (free_slots != SLOT_NONE) {
		i = free_slots;
		free_slots = slots[i].next;
	} else if (touched < total) {
		i = touched++;
	} else {
		return NULL;
	}
	slots[i] = *c;
	used++;
	return &slots[i];
}

bool
slot_spare(void)
{
	return free_slots != SLOT_NONE || touched < total;
}

void
slot_free(struct conn *c)
{
	c->state = CONN_FREE;
	c->next = freed_slots;
	freed_slots = (uint32_t)slot_index(c);
	used--;
}

void
slot_link(struct slot_list *l, struct conn *c, uint32_t before)
{
	uint32_t i = (uint32_t)slot_index(c);

	c->next = before;
	c->prev = before == SLOT_NONE ? l->last : slots[before].prev;
	if (c->prev == SLOT_NONE)
		l->first = i;
	else
		slots[c->prev].next = i;
	if (c->next == SLOT_NONE)
		l->last = i;
	else
		slots[c->next].prev = i;
	l->count++;
}

void
slot_unlink(struct slot_list *l, struct conn *c)
{
	if (c->prev == SLOT_NONE)
		l->first = c->next;
	else
		slots[c->prev].next = c->next;
	if (c->next == SLOT_NONE)
		l->last = c->prev;
	else
		slots[c->next].prev = c->prev;
	l->count--;
}
