/* See LICENSE for copyright and license details. */
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "text.h"

static uint64_t start;
static uint32_t now_ms;
static uint32_t now_wall;
static uint32_t start_wall;

void
clock_update(void)
{
	struct timespec ts;
	uint64_t ms;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	now_wall = (uint32_t)time(NULL);
	if (start == 0) {
		start = ms;
		start_wall = now_wall;
	}
	now_ms = (uint32_t)(ms - start);
}

uint32_t
clock_ms(void)
{
	return now_ms;
}

uint32_t
clock_wall(void)
{
	return now_wall;
}

uint32_t
clock_start(void)
{
	return start_wall;
}

bool
clock_again(uint32_t *last, uint32_t ms)
{
	uint32_t now = clock_ms() + 1;	/* 0 is never */

	if (*last != 0 && now - *last < ms)
		return false;
	*last = now;
	return true;
}

bool
clock_before(uint32_t a, uint32_t b)
{
	return a - b > UINT32_MAX / 2;
}

/* The last two digits. */
static void
two(char *dst, uint32_t n)
{
	dst[0] = (char)('0' + n / 10 % 10);
	dst[1] = (char)('0' + n % 10);
}

/*
 * By hand: strftime(3) with its locales is half as large as the rest of a
 * small static binary.  The calendar is counted in years that begin in March,
 * so that the leap day is the last one; an era is 400 of them.
 */
const char *
clock_date(uint32_t wall)
{
	static const char days[] = "ThuFriSatSunMonTueWed";
	static const char months[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";
	static char text[] = "Thu, 01 Jan 1970 00:00:00 GMT";
	static uint32_t last;
	uint32_t day = wall / 86400, second = wall % 86400;
	uint32_t era, of_era, year, of_year, month;

	if (wall == last)
		return text;
	last = wall;
	memcpy(text, &days[(size_t)(day % 7) * 3], 3);
	day += 719468;
	era = day / 146097;
	of_era = day % 146097;
	year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) /
	    365;
	of_year = of_era - (365 * year + year / 4 - year / 100);
	month = (5 * of_year + 2) / 153;
	year += era * 400 + (month >= 10 ? 1 : 0);
	two(text + 5, of_year - (153 * month + 2) / 5 + 1);
	memcpy(text + 8, &months[(size_t)month * 3], 3);
	two(text + 12, year / 100);
	two(text + 14, year % 100);
	two(text + 17, second / 3600);
	two(text + 20, second / 60 % 60);
	two(text + 23, second % 60);
	return text;
}

const char *
clock_log(uint32_t wall)
{
	static char text[sizeof("23/Nov/2026:08:00:00 +0000")];
	const char *date = clock_date(wall);

	text_format(text, sizeof(text), "%.2s/%.3s/%.4s:%.8s +0000", date + 5,
	    date + 8, date + 12, date + 17);
	return text;
}

/*
 * A binary heap of ids, the earliest deadline first; place[] tells where each
 * id stands in it, plus one, so that fresh memory means "nowhere".
 */
static uint32_t *heap;
static uint32_t *place;
static uint32_t *when;
static uint32_t heap_len;
static uint32_t heap_cap;

bool
deadline_open(uint32_t n)
{
	deadline_close();
	heap = calloc(n, sizeof(*heap));
	place = calloc(n, sizeof(*place));
	when = calloc(n, sizeof(*when));
	if (heap == NULL || place == NULL || when == NULL) {
		deadline_close();
		return false;
	}
	heap_cap = n;
	return true;
}

void
deadline_close(void)
{
	free(heap);
	free(place);
	free(when);
	heap = place = when = NULL;
	heap_len = heap_cap = 0;
}

static void
put(uint32_t i, uint32_t id)
{
	heap[i] = id;
	place[id] = i + 1;
}

/* Move the id that stands at i up or down to its place. */
static void
sift(uint32_t i)
{
	uint32_t id = heap[i], other;

	for (; i > 0; i = other) {
		other = (i - 1) / 2;
		if (!clock_before(when[id], when[heap[other]]))
			break;
		put(i, heap[other]);
	}
	for (; (other = 2 * i + 1) < heap_len; i = other) {
		if (other + 1 < heap_len &&
		    clock_before(when[heap[other + 1]], when[heap[other]]))
			other++;
		if (!clock_before(when[heap[other]], when[id]))
			break;
		put(i, heap[other]);
	}
	put(i, id);
}

void
deadline_set(uint32_t id, uint32_t at)
{
	assert(id < heap_cap);
	when[id] = at;
	if (place[id] == 0)
		put(heap_len++, id);
	sift(place[id] - 1);
}

void
deadline_clear(uint32_t id)
{
	uint32_t i, last;

	assert(id < heap_cap);
	if (place[id] == 0)
		return;
	i = place[id] - 1;
	place[id] = 0;
	last = heap[--heap_len];
	if (last != id) {
		put(i, last);
		sift(i);
	}
}

int
deadline_wait(void)
{
	uint32_t ms;

	if (heap_len == 0)
		return -1;
	ms = when[heap[0]] - now_ms;
	if (ms == 0 || clock_before(when[heap[0]], now_ms))
		return 0;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

int64_t
deadline_expired(void)
{
	uint32_t id;

	if (heap_len == 0 || clock_before(now_ms, when[heap[0]]))
		return -1;
	id = heap[0];
	deadline_clear(id);
	return id;
}
