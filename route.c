/* See LICENSE for copyright and license details. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "route.h"
#include "text.h"

/*
 * Every route lies in one hash table under its path as it was written.  A
 * request path is looked up once at each of its segment borders, with and
 * without the slash, while the hash is carried along; the smallest index
 * that is found is the first match.
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

/* Twice the room, with all routes put into the new buckets. */
static bool
grow(struct route_table *table)
{
	size_t size = table->size == 0 ? 16 : table->size * 2, i;
	struct route *routes;
	int *buckets, *bucket;

	routes = realloc(table->routes, size * sizeof(*routes));
	if (routes == NULL)
		return false;
	table->routes = routes;
	buckets = realloc(table->buckets, size * sizeof(*buckets));
	if (buckets == NULL)
		return false;
	table->buckets = buckets;
	table->size = size;
	for (i = 0; i < size; i++)
		buckets[i] = ROUTE_NONE;
	for (i = 0; i < table->n; i++) {
		bucket = &buckets[routes[i].hash & (size - 1)];
		routes[i].next = *bucket;
		*bucket = (int)i;
	}
	return true;
}

int
route_add(struct route_table *table, const char *path)
{
	struct route *route;
	size_t i;

	if (table->n == table->size && !grow(table))
		return -1;
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
		if (*rest < len && path[*rest - 1] != '/')
			(*rest)++;
	}
	return best;
}

static bool
unreserved(int c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' ||
	    c == '~';
}

/*
 * Undo the escapes in [in, in + len), which out may be: those of unreserved
 * bytes alone, or all.  Returns 0 or a status: 400 for a broken escape,
 * wherever it stands; else 404 for a slash or a NUL, and *outlen is set all the
 * same.
 */
static int
decode(const char *in, size_t len, char *out, size_t *outlen, bool all)
{
	size_t i, n = 0;
	int c, status = 0;

	for (i = 0; i < len; i++) {
		out[n++] = in[i];
		if (in[i] != '%')
			continue;
		if (i + 2 >= len || text_hex(in[i + 1]) < 0 ||
		    text_hex(in[i + 2]) < 0)
			return 400;
		c = text_hex(in[i + 1]) * 16 + text_hex(in[i + 2]);
		if (c == '/' || c == '\0')
			status = 404;
		if (all || unreserved(c)) {
			out[n - 1] = (char)c;
		} else {
			out[n++] = in[i + 1];
			out[n++] = in[i + 2];
		}
		i += 2;
	}
	*outlen = n;
	return status;
}

/* Slashes that follow one another become one. */
static void
merge_slashes(char *path, size_t *len)
{
	size_t i, n = 0;

	for (i = 0; i < *len; i++)
		if (i == 0 || path[i] != '/' || path[i - 1] != '/')
			path[n++] = path[i];
	*len = n;
}

/*
 * Dot segments are resolved in place as RFC 3986 5.2.4 has it: an empty segment
 * is one as well.  Returns whether the path stays within the root.
 */
static bool
resolve_dots(char *path, size_t *len)
{
	size_t in, out = 1, end;
	bool within = true;

	for (in = 1; in <= *len; in = end + 1) {
		/* At the start of a segment: out stands behind a slash. */
		for (end = in; end < *len && path[end] != '/'; end++)
			;
		if (end - in == 1 && path[in] == '.')
			continue;
		if (end - in == 2 && path[in] == '.' && path[in + 1] == '.') {
			within = within && out > 1;
			if (out > 1)
				for (out--; path[out - 1] != '/'; out--)
					;
			continue;
		}
		memmove(path + out, path + in, end - in);
		out += end - in;
		if (end < *len)
			path[out++] = '/';
	}
	*len = out;
	return within;
}

/* Whether the path is in its normal form already, as most are. */
static bool
is_normal(const char *path, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (path[i] == '%' || path[i] == '\\')
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
	if (memchr(path, '\\', len) != NULL)
		return 400;
	status = decode(path, len, out, outlen, false);
	if (status == 400)
		return 400;
	merge_slashes(out, outlen);
	if (!resolve_dots(out, outlen))
		return 400;
	return status != 0 ? status : decode(out, *outlen, out, outlen, true);
}

/*
 * Steps of a reader besides undoing escapes, in this order; any of them
 * together are a reading.
 */
enum reading {
	READ_MERGED = 1,	/* slashes merged */
	READ_DOTS = 2,		/* dot segments resolved */
	READ_MERGED_LAST = 4,	/* slashes merged only now */
	READ_AUTHORITY = 8,	/* before all: "//host/path", as in a URL */
	READINGS = 16
};

bool
route_agrees(const struct route_table *table, int route, const char *segment,
    const char *path, size_t len, char *buf)
{
	const char *from, *end = path + len;
	size_t n, rest, want = segment == NULL ? 0 : strlen(segment);
	int how, readings = READINGS;

	if (is_normal(path, len))
		return true;
	if (len < 2 || path[1] != '/')
		readings = READ_AUTHORITY;
	for (how = 0; how < readings; how++) {
		from = path;
		if (how & READ_AUTHORITY) {
			while (from < end && *from == '/')
				from++;
			while (from < end && *from != '/')
				from++;
		}
		n = 0;
		decode(from, (size_t)(end - from), buf, &n, true);
		if (n == 0)
			buf[n++] = '/';
		if (how & READ_MERGED)
			merge_slashes(buf, &n);
		if (how & READ_DOTS)
			resolve_dots(buf, &n);
		if (how & READ_MERGED_LAST)
			merge_slashes(buf, &n);
		if (route_match(table, buf, n, &rest) != route)
			return false;
		if (want > 0 && (n - rest < want ||
		    memcmp(buf + rest, segment, want) != 0 ||
		    (n - rest > want && buf[rest + want] != '/')))
			return false;
	}
	return true;
}
