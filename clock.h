/* See LICENSE for copyright and license details. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/*
 * Time is read once a turn of the loop.  Deadlines are milliseconds of the
 * monotonic clock since the first reading; they wrap after 49 days, so they
 * are compared by clock_before() only, and none lies over 24 days ahead.
 */

/* Read both clocks, for all functions below. */
void		clock_update(void);

/* The time of the last clock_update(): monotonic, and seconds since 1970. */
uint32_t	clock_ms(void);
uint32_t	clock_wall(void);

/* Seconds since 1970 of the first clock_update(). */
uint32_t	clock_start(void);

/* Whether the deadline a is before b. */
bool		clock_before(uint32_t a, uint32_t b);

/*
 * Whether ms have passed since this was true last, with the same *last, which
 * is 0 at first: for what is not to be done, or said, more often.
 */
bool		clock_again(uint32_t *last, uint32_t ms);

/* Length of the text that clock_date() gives. */
#define CLOCK_DATE_LEN	29

/*
 * The Date field's value for a second since 1970 (IMF-fixdate, RFC 9110
 * 5.6.7), CLOCK_DATE_LEN bytes, terminated, valid until the next call.  It is
 * formatted anew only when the second differs from the last call's.
 */
const char	*clock_date(uint32_t wall);

/*
 * The same as logs have it, "23/Nov/2026:08:00:00 +0000" (the common log
 * format's), terminated, valid until the next call.
 */
const char	*clock_log(uint32_t wall);

/*
 * One deadline for each of n ids, 0 to n - 1, in milliseconds as clock_ms().
 * deadline_open() allocates for n of them, with none set; false without memory.
 */
bool		deadline_open(uint32_t n);
void		deadline_close(void);

/* Set or move the deadline of id; take it away, if there is one. */
void		deadline_set(uint32_t id, uint32_t when);
void		deadline_clear(uint32_t id);

/* Milliseconds until the first deadline, 0 if it has passed, -1 if none. */
int		deadline_wait(void);

/* Take away the earliest deadline that has passed.  Returns its id, or -1. */
int64_t		deadline_expired(void);

#endif
