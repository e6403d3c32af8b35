/* See LICENSE for copyright and license details. */
#ifndef ROUTE_H
#define ROUTE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * From a request path to the index of a route.  Pure but for the table, which
 * is allocated while the configuration is read and only looked at afterwards.
 */

#define ROUTE_NONE	(-1)

struct route_table;

/* An empty table, or NULL without memory.  route_free() takes NULL as well. */
struct route_table	*route_new(void);
void			 route_free(struct route_table *table);

/*
 * Add a route; the table keeps a copy of path, which must begin with '/', or is
 * empty: nothing matches it.  Returns the index of the new route, counting from
 * 0, or -1 without memory.
 */
int	route_add(struct route_table *table, const char *path);

/*
 * The first route, in order of configuration, whose path holds the given
 * normal path: "/app" holds /app and /app/x, not /apple; "/app/" holds /app/
 * and /app/x; "/" holds all.  Returns its index and in *rest where the part
 * below it begins (behind its slash), or ROUTE_NONE.  The cost grows with the
 * length of path, not with the number of routes.
 */
int	route_match(const struct route_table *table, const char *path,
	    size_t len, size_t *rest);

/*
 * The normal form of the path of a request target (no query), once, in
 * Apache's order: escapes of unreserved bytes are undone (RFC 3986 2.3),
 * slashes are merged and dot segments resolved, then all other escapes are
 * undone.  out holds outsize bytes, of which len are enough.
 *
 * Returns 0 with *outlen set; or the status of the answer: 400 for a broken
 * escape, a backslash (in no URI, and a slash to some) or a path that leads
 * above the root; 404 for an escaped slash or NUL, wherever it stands, or when
 * out is too small.
 */
int	route_normalize(const char *path, size_t len, char *out,
	    size_t outsize, size_t *outlen);

/*
 * Whether the path, which has a normal form that led to that route, leads there
 * by every other way in which a backend may read its bytes again: with escapes
 * undone and nothing more; with dot segments resolved, but empty segments kept
 * (RFC 3986); with slashes merged; and by each of these with what is behind
 * "//" taken for a host.  If segment is not NULL, the next segment behind the
 * route's path must be that as well.  buf has room for len bytes and one.
 *
 * Not covered are backends for whom case does not matter, or what follows a
 * semicolon.
 */
bool	route_agrees(const struct route_table *table, int route,
	    const char *segment, const char *path, size_t len, char *buf);

#endif
