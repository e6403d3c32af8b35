/* See LICENSE for copyright and license details. */
#include <stdbool.h>

#include "clock.h"
#include "unit.h"

#define IDS	200

static const struct {
	uint32_t wall;
	const char *date;
} dates[] = {
	{ 0, "Thu, 01 Jan 1970 00:00:00 GMT" },
	{ 86399, "Thu, 01 Jan 1970 23:59:59 GMT" },
	{ 86400, "Fri, 02 Jan 1970 00:00:00 GMT" },
	{ 784111777, "Sun, 06 Nov 1994 08:49:37 GMT" },
	{ 946684799, "Fri, 31 Dec 1999 23:59:59 GMT" },
	{ 946684800, "Sat, 01 Jan 2000 00:00:00 GMT" },
	{ 951782400, "Tue, 29 Feb 2000 00:00:00 GMT" },
	{ 951868799, "Tue, 29 Feb 2000 23:59:59 GMT" },
	{ 951868800, "Wed, 01 Mar 2000 00:00:00 GMT" },
	{ 1677628799, "Tue, 28 Feb 2023 23:59:59 GMT" },
	{ 1677628800, "Wed, 01 Mar 2023 00:00:00 GMT" },
	{ 1709209845, "Thu, 29 Feb 2024 12:30:45 GMT" },
	{ 1735689599, "Tue, 31 Dec 2024 23:59:59 GMT" },
	{ 2147483647, "Tue, 19 Jan 2038 03:14:07 GMT" },
	{ 2147483648u, "Tue, 19 Jan 2038 03:14:08 GMT" },
	{ 4107542399u, "Sun, 28 Feb 2100 23:59:59 GMT" },
	{ 4107542400u, "Mon, 01 Mar 2100 00:00:00 GMT" },
	{ 4294967295u, "Sun, 07 Feb 2106 06:28:15 GMT" }
};

TEST(date_known)
{
	int i;

	for (i = 0; i < COUNT(dates); i++) {
		ck_assert_str_eq(clock_date(dates[i].wall), dates[i].date);
		ck_assert_str_eq(clock_date(dates[i].wall), dates[i].date);
	}
	for (i = COUNT(dates); i-- > 0;)
		ck_assert_str_eq(clock_date(dates[i].wall), dates[i].date);
	ck_assert_uint_eq(strlen(clock_date(1)), CLOCK_DATE_LEN);
	ck_assert_str_eq(clock_log(784111777), "06/Nov/1994:08:49:37 +0000");
	ck_assert_str_eq(clock_log(1709209845), "29/Feb/2024:12:30:45 +0000");
}

/* Every day until 2106, at some second of it, as the library has it. */
TEST(date_every_day)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu",
	    "Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr",
	    "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	uint32_t day, seed = 3, wall;
	char text[64];
	struct tm tm;
	time_t t;

	for (day = 0; day < UINT32_MAX / 86400; day++) {
		wall = day * 86400 + unit_random(&seed) % 86400;
		t = (time_t)wall;
		if (t < 0)
			break;
		MUST(gmtime_r(&t, &tm) != NULL);
		snprintf(text, sizeof(text),
		    "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
		    tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
		    tm.tm_hour, tm.tm_min, tm.tm_sec);
		MUST_MSG(strcmp(text, clock_date(wall)) == 0,
		    "%s, not %s", clock_date(wall), text);
	}
}

TEST(time_goes_on)
{
	uint32_t ms, wall;

	clock_update();
	ms = clock_ms();
	wall = clock_wall();
	ck_assert(time(NULL) - (time_t)wall <= 1);
	usleep(20000);
	/* Time stands still within a turn. */
	ck_assert_uint_eq(clock_ms(), ms);
	clock_update();
	ck_assert_uint_ge(clock_ms() - ms, 19);
	ck_assert_uint_ge(clock_wall(), wall);
}

/* Of the first reading, whichever tests came before. */
TEST(start_stays)
{
	uint32_t start;

	clock_update();
	start = clock_start();
	ck_assert_uint_gt(start, 0);
	ck_assert_uint_le(start, clock_wall());
	/* The clocks agree on how long ago it was, to the second. */
	ck_assert_uint_le(clock_wall() - start, clock_ms() / 1000 + 1);
	ck_assert_uint_ge(clock_wall() - start + 1, clock_ms() / 1000);
	usleep(1100000);
	ck_assert_uint_eq(clock_start(), start);
	clock_update();
	ck_assert_uint_eq(clock_start(), start);
	ck_assert_uint_gt(clock_wall(), start);
}

TEST(before)
{
	ck_assert(clock_before(1, 2));
	ck_assert(!clock_before(2, 1));
	ck_assert(!clock_before(7, 7));
	ck_assert(clock_before(UINT32_MAX, 0));
	ck_assert(clock_before(UINT32_MAX - 5, 5));
	ck_assert(!clock_before(5, UINT32_MAX - 5));
	/* 24 days either way, from anywhere. */
	ck_assert(clock_before(4000000000u, 4000000000u + 2073600000u));
	ck_assert(!clock_before(4000000000u + 2073600000u, 4000000000u));
}

/* The first time, and then when so long has passed since it was true. */
TEST(again)
{
	uint32_t last = 0, other = 0, begin;

	clock_update();
	begin = clock_ms();
	ck_assert(clock_again(&last, 20));
	ck_assert(!clock_again(&last, 20));
	ck_assert(clock_again(&last, 0));
	ck_assert(clock_again(&other, 1000000));
	while (clock_ms() - begin < 20) {
		ck_assert(!clock_again(&last, 20));
		clock_update();
	}
	ck_assert(clock_again(&last, 20));
	ck_assert(!clock_again(&last, 20));
	ck_assert(!clock_again(&other, 1000000));
}

TEST(deadline_simple)
{
	uint32_t now;

	clock_update();
	now = clock_ms();
	ck_assert(deadline_open(3));
	ck_assert_int_eq(deadline_wait(), -1);
	ck_assert_int_eq(deadline_expired(), -1);
	deadline_clear(0);

	deadline_set(0, now + 100);
	deadline_set(1, now + 50);
	ck_assert_int_eq(deadline_wait(), 50);
	ck_assert_int_eq(deadline_expired(), -1);
	deadline_set(1, now + 200);
	ck_assert_int_eq(deadline_wait(), 100);
	deadline_set(2, now);
	ck_assert_int_eq(deadline_wait(), 0);
	ck_assert_int_eq(deadline_expired(), 2);
	ck_assert_int_eq(deadline_expired(), -1);
	deadline_clear(0);
	deadline_clear(0);
	ck_assert_int_eq(deadline_wait(), 200);
	deadline_clear(1);
	ck_assert_int_eq(deadline_wait(), -1);

	/* As far ahead as is allowed. */
	deadline_set(1, now + 24u * 86400 * 1000);
	ck_assert_int_eq(deadline_wait(), 24 * 86400 * 1000);
	deadline_close();
	deadline_close();
}

/* Fresh memory holds nothing, also when it is opened again. */
TEST(deadline_reopened)
{
	clock_update();
	ck_assert(deadline_open(4));
	deadline_set(3, clock_ms());
	ck_assert(deadline_open(2));
	ck_assert_int_eq(deadline_expired(), -1);
	deadline_set(1, clock_ms() - 1);
	ck_assert_int_eq(deadline_expired(), 1);
	deadline_close();
}

/* The model: a flag and a time for each, signed and relative to now. */
static struct {
	bool on;
	int32_t when;
} model[IDS];

static int
model_first(void)
{
	int i, best = -1;

	for (i = 0; i < IDS; i++)
		if (model[i].on &&
		    (best == -1 || model[i].when < model[best].when))
			best = i;
	return best;
}

/* How far from now, as a power of two; one tick has many ties. */
static const int spans[] = { 3, 8, 16, 29 };

/*
 * Against the model.  Times lie on both sides of now, which is close to where
 * 32 bits begin: half of them have wrapped.
 */
TEST(deadline_random)
{
	uint32_t seed = 11, now, id;
	int i, first, wait;
	int32_t when, half = (int32_t)1 << spans[_i];
	int64_t got;

	clock_update();
	now = clock_ms();
	memset(model, 0, sizeof(model));
	ck_assert(deadline_open(IDS));
	for (i = 0; i < 50000; i++) {
		id = unit_random(&seed) % IDS;
		switch (unit_random(&seed) % 8) {
		case 0:
		case 1:
		case 2:
		case 3:
			when = (int32_t)(((unit_random(&seed) << 12) ^
			    unit_random(&seed)) % ((uint32_t)half * 2)) -
			    half;
			deadline_set(id, now + (uint32_t)when);
			model[id].on = true;
			model[id].when = when;
			break;
		case 4:
		case 5:
			deadline_clear(id);
			model[id].on = false;
			break;
		default:
			got = deadline_expired();
			first = model_first();
			if (first == -1 || model[first].when > 0) {
				MUST(got == -1);
				break;
			}
			/* Of several at one time, any may come. */
			MUST(got >= 0 && got < IDS && model[got].on);
			MUST(model[got].when == model[first].when);
			model[got].on = false;
		}
		wait = deadline_wait();
		first = model_first();
		if (first == -1)
			MUST(wait == -1);
		else
			MUST(wait == (model[first].when > 0 ?
			    model[first].when : 0));
	}
	while ((got = deadline_expired()) != -1) {
		MUST(model[got].on && model[got].when ==
		    model[model_first()].when);
		model[got].on = false;
	}
	first = model_first();
	MUST(first == -1 || model[first].when > 0);
	deadline_close();
}

static const struct test tests[] = {
	ONCE(date_known),
	ONCE(date_every_day),
	ONCE(time_goes_on),
	ONCE(start_stays),
	ONCE(before),
	ONCE(again),
	ONCE(deadline_simple),
	ONCE(deadline_reopened),
	TIMES(deadline_random, COUNT(spans))
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), NULL, NULL);
}
