/* See LICENSE for copyright and license details. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "route.h"

/*
 * Every route lies in one hash table under its path as it was written.  A
 * request path is looked up once at each of its segment borders, with and
 * without the slash, while the hash is carried along; the smallest index
 * found is the first match.
 */
struct route {
	char *path;
	size_t len;
	uint32_t hash;
	int next;		/* in the same bucket, or ROUTE_NONE */
};

struct route_table {
	struct route *routes;
	int *buckets;
	size_t n;
	size_t size;		/* of both arrays; a power of two, or 0 */
	size_t longest;
};

/* FNV-1a; routes come from the configuration, nobody can flood a bucket. */
#define HASH_START	2166136261u

static uint32_t
hash_byte(uint32_t hash, char c)
{
	return (hash ^ (unsigned char)c) * 16777619u;
}

struct route_table *
route_new(void)
{
	return calloc(1, sizeof(struct route_table));
}

void
route_free(struct route_table *table)
{
	size_t i;

	if (table == NULL)
		return;
	for (i = 0; i < table->n; i++)
		free(table->routes[i].path);
	free(table->routes);
	free(table->buckets);
	free(table);
}

/* Put routes [0, n) into buckets. */
static void
rehash(struct route_table *table)
{
	size_t i;
	int *bucket;

	for (i = 0; i < table->size; i++)
		table->buckets[i] = ROUTE_NONE;
	for (i = 0; i < table->n; i++) {
		bucket = &table->buckets[table->routes[i].hash &
		    (table->size - 1)];
		table->routes[i].next = *bucket;
		*bucket = (int)i;
	}
}

static bool
grow(struct route_table *table)
{
	size_t size = table->size == 0 ? 16 : table->size * 2;
	struct route *routes;
	int *buckets;

	routes = realloc(table->routes, size * sizeof(*routes));
	if (routes == NULL)
		return false;
	table->routes = routes;
	buckets = realloc(table->buckets, size * sizeof(*buckets));
	if (buckets == NULL)
		return false;
	table->buckets = buckets;
	table->size = size;
	return true;
}

int
route_add(struct route_table *table, const char *path)
{
	struct route *route;
	size_t i;

	if (table->n == table->size) {
		if (!grow(table))
			return -1;
		rehash(table);
	}
	route = &table->routes[table->n];
	route->len = strlen(path);
	route->path = strdup(path);
	if (route->path == NULL)
		return -1;
	route->hash = HASH_START;
	for (i = 0; i < route->len; i++)
		route->hash = hash_byte(route->hash, path[i]);
	if (route->len > table->longest)
		table->longest = route->len;
	route->next = table->buckets[route->hash & (table->size - 1)];
	table->buckets[route->hash & (table->size - 1)] = (int)table->n;
	return (int)table->n++;
}

/* The first route whose path is exactly the given one, if before best. */
static int
lookup(const struct route_table *table, const char *path, size_t len,
    uint32_t hash, int best)
{
	const struct route *route;
	int i;

	i = table->buckets[hash & (table->size - 1)];
	for (; i != ROUTE_NONE; i = route->next) {
		route = &table->routes[i];
		if (route->hash == hash && route->len == len &&
		    (best == ROUTE_NONE || i < best) &&
		    memcmp(route->path, path, len) == 0)
			best = i;
	}
	return best;
}

int
route_match(const struct route_table *table, const char *path, size_t len,
    size_t *rest)
{
	uint32_t hash = HASH_START;
	int best = ROUTE_NONE;
	size_t i;

	*rest = 0;
	if (table->n == 0)
		return ROUTE_NONE;
	for (i = 0; i < len && i <= table->longest; i++) {
		if (path[i] == '/' && i > 0)
			best = lookup(table, path, i, hash, best);
		hash = hash_byte(hash, path[i]);
		if (path[i] == '/')
			best = lookup(table, path, i + 1, hash, best);
	}
	if (i == len && len > 0)
		best = lookup(table, path, len, hash, best);
	if (best != ROUTE_NONE) {
		*rest = table->routes[best].len;
		if (*rest < len && path[*rest] == '/')
			(*rest)++;
	}
	return best;
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool
unreserved(int c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' ||
	    c == '~';
}

/*
 * Undo escapes in [in, in + len), which out may be: those of unreserved bytes
 * alone, or all that are left.  Returns 0 or a status.
 */
static int
decode(const char *in, size_t len, char *out, size_t *outlen, bool all)
{
	size_t i, n = 0;
	int c;

	for (i = 0; i < len; i++) {
		out[n++] = in[i];
		if (in[i] != '%')
			continue;
		if (i + 2 >= len || hex(in[i + 1]) < 0 || hex(in[i + 2]) < 0)
			return 400;
		c = hex(in[i + 1]) * 16 + hex(in[i + 2]);
		if (!all && !unreserved(c)) {
			out[n++] = in[i + 1];
			out[n++] = in[i + 2];
		} else if (c == '/' || c == '\0') {
			return 404;
		} else {
			out[n - 1] = (char)c;
		}
		i += 2;
	}
	*outlen = n;
	return 0;
}

/* Merge slashes and resolve dot segments in place.  Returns 0 or 400. */
static int
resolve(char *path, size_t *len)
{
	size_t in = 0, out = 0, end;

	while (in < *len) {
		/* At the start of a segment: out stands behind a slash. */
		for (end = in; end < *len && path[end] != '/'; end++)
			;
		if (end - in == 2 && path[in] == '.' && path[in + 1] == '.') {
			if (out <= 1)
				return 400;
			for (out--; path[out - 1] != '/'; out--)
				;
		} else if (!(end - in == 1 && path[in] == '.') &&
		    !(end == in && out > 0)) {
			memmove(path + out, path + in, end - in);
			out += end - in;
			if (end < *len)
				path[out++] = '/';
		}
		in = end + 1;
	}
	*len = out;
	return 0;
}

/* Whether the path is in its normal form already, as most are. */
static bool
is_normal(const char *path, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (path[i] == '%')
			return false;
		if (path[i] == '/' && i + 1 < len &&
		    (path[i + 1] == '/' || path[i + 1] == '.'))
			return false;
	}
	return true;
}

int
route_normalize(const char *path, size_t len, char *out, size_t outsize,
    size_t *outlen)
{
	int status;

	*outlen = 0;
	if (len > outsize)
		return 404;
	if (is_normal(path, len)) {
		memcpy(out, path, len);
		*outlen = len;
		return 0;
	}
	status = decode(path, len, out, outlen, false);
	if (status == 0)
		status = resolve(out, outlen);
	if (status == 0)
		status = decode(out, *outlen, out, outlen, true);
	return status;
}
