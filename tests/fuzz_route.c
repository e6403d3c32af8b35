/* See LICENSE for copyright and license details. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "route.h"

/*
 * The first line is a path; each further line is a route.  The path is made
 * normal and looked up, and so is it as it stands, if it is normal.
 */

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROUTES_MAX	64

#define MUST(cond)							\
	do {								\
		if (!(cond)) {						\
			fprintf(stderr, "%d: %s\n", __LINE__, #cond);	\
			abort();					\
		}							\
	} while (0)

static char *routes[ROUTES_MAX];
static int nroutes;

/* The first route in order, by looking at all of them. */
static int
naive_match(const char *path, size_t len, size_t *rest)
{
	size_t n;
	int i;

	for (i = 0; i < nroutes; i++) {
		n = strlen(routes[i]);
		if (n > len || memcmp(routes[i], path, n) != 0)
			continue;
		*rest = n;
		if (n == len || routes[i][n - 1] == '/')
			return i;
		if (path[n] == '/') {
			*rest = n + 1;
			return i;
		}
	}
	return ROUTE_NONE;
}

static bool
is_normal(const char *p, size_t len)
{
	size_t i, end;

	if (len == 0 || *p != '/')
		return false;
	for (i = 1; i < len; i = end + 1) {
		for (end = i; end < len && p[end] != '/'; end++)
			;
		if (end == i)
			return false;
		if (end - i == 1 && p[i] == '.')
			return false;
		if (end - i == 2 && p[i] == '.' && p[i + 1] == '.')
			return false;
	}
	return memchr(p, '\0', len) == NULL;
}

static void
check_match(const struct route_table *table, const char *path, size_t len)
{
	size_t rest, naive_rest = 0;
	int n = route_match(table, path, len, &rest);

	MUST(n == naive_match(path, len, &naive_rest));
	MUST(n == ROUTE_NONE || (rest == naive_rest && rest <= len));
}

static void
check_path(const struct route_table *table, const char *path, size_t len)
{
	char *out = malloc(len + 1), *again = malloc(len + 1);
	size_t n = 0, m = 0, room;
	int status;

	MUST(out != NULL && again != NULL);
	out[len] = '#';
	status = route_normalize(path, len, out, len, &n);
	MUST(out[len] == '#');
	MUST(status == 0 || status == 400 || status == 404);
	/* It needs no more room than this, and with less it says so. */
	MUST(route_normalize(path, len, again, len + 1, &m) == status);
	room = len / 2;
	again[room] = '#';
	MUST(route_normalize(path, len, again, room, &m) == 404 ||
	    room >= len);
	MUST(room == len || again[room] == '#');
	if (status == 0) {
		MUST(n <= len);
		if (memchr(path, '\0', len) == NULL)
			MUST(is_normal(out, n));
		check_match(table, out, n);
		if (memchr(out, '%', n) == NULL) {
			MUST(route_normalize(out, n, again, n, &m) == 0);
			MUST(m == n && memcmp(out, again, n) == 0);
		}
	}
	free(out);
	free(again);
}

static void
add(struct route_table *table, const char *p, size_t len)
{
	char *own;

	if (len == 0 || *p != '/' || nroutes == ROUTES_MAX ||
	    memchr(p, '\0', len) != NULL)
		return;
	own = malloc(len + 1);
	MUST(own != NULL);
	memcpy(own, p, len);
	own[len] = '\0';
	MUST(route_add(table, own) == nroutes);
	routes[nroutes++] = own;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *end = p + size, *lf;
	struct route_table *table = route_new();
	char *path;
	size_t len;

	MUST(table != NULL);
	lf = size == 0 ? NULL : memchr(p, '\n', size);
	len = lf == NULL ? size : (size_t)(lf - p);
	path = malloc(len > 0 ? len : 1);
	MUST(path != NULL);
	if (len > 0)
		memcpy(path, p, len);
	while (lf != NULL) {
		p = lf + 1;
		lf = memchr(p, '\n', (size_t)(end - p));
		add(table, p, (size_t)((lf == NULL ? end : lf) - p));
	}
	/* A request path begins with a slash; the parser sees to that. */
	if (len > 0 && *path == '/')
		check_path(table, path, len);
	if (is_normal(path, len))
		check_match(table, path, len);
	while (nroutes > 0)
		free(routes[--nroutes]);
	route_free(table);
	free(path);
	return 0;
}
