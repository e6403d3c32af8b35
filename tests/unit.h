/* See LICENSE for copyright and license details. */
#ifndef UNIT_H
#define UNIT_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runner.h"

/*
 * What the unit tests share.  Each program tests one module, with nothing
 * linked but what lies below it.
 */

/* A literal with its length, NUL bytes in it and all. */
#define TEXT(s)		(s), sizeof(s) - 1

/* As ck_assert(), but cheap while it holds: for the inside of long loops. */
#define MUST(cond)	MUST_MSG(cond, "%s", #cond)
#define MUST_MSG(cond, ...)						\
	do {								\
		if (!(cond))						\
			ck_abort_msg(__VA_ARGS__);			\
	} while (0)

#define UNIT_FENCE	((size_t)256 * 1024)

/* The end of writable memory: the byte there faults. */
static inline char *
unit_fence(void)
{
	static char *fence;
	char *p;

	if (fence == NULL) {
		p = mmap(NULL, 2 * UNIT_FENCE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANON, -1, 0);
		ck_assert(p != MAP_FAILED);
		ck_assert(mprotect(p + UNIT_FENCE, UNIT_FENCE, PROT_NONE) ==
		    0);
		fence = p + UNIT_FENCE;
	}
	return fence;
}

/* A copy of [p, p + len) that ends at the fence. */
static inline char *
unit_fenced(const char *p, size_t len)
{
	MUST(len <= UNIT_FENCE);
	return len == 0 ? unit_fence() :
	    memcpy(unit_fence() - len, p, len);
}

/*
 * How many descriptors below n are open: after each test as many as before,
 * whatever has happened in it.
 */
static inline int
unit_count_open(unsigned int n)
{
	unsigned int fd;
	int open = 0;

	for (fd = 0; fd < n; fd++)
		open += fcntl((int)fd, F_GETFD) != -1;
	return open;
}

/* The same numbers on every machine and in every run. */
static inline uint32_t
unit_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

#endif
