/* See LICENSE for copyright and license details. */
#include <stdbool.h>
#include <string.h>

#include "fuzz.h"
#include "route.h"

/*
 * The first line is a path; each further line is a route.  The path is made
 * normal and looked up, and so is it as it stands, if it is normal.
 */

#define ROUTES_MAX	64

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

/* ---- readings, by lists of segments ---- */

struct segment {
	const char *p;
	size_t len;
};

/* Without empty segments, but for the last, which is a slash at the end. */
static size_t
naive_merge(struct segment *list, size_t n)
{
	size_t i, kept = 0;

	for (i = 0; i < n; i++)
		if (list[i].len > 0 || i == n - 1)
			list[kept++] = list[i];
	return kept;
}

static bool
is_dots(const struct segment *s, const char *dots)
{
	return s->len == strlen(dots) && memcmp(s->p, dots, s->len) == 0;
}

static size_t
naive_dots(struct segment *list, size_t n)
{
	size_t i, kept = 0;

	for (i = 0; i < n; i++) {
		if (is_dots(&list[i], "..") && kept > 0)
			kept--;
		if (!is_dots(&list[i], "..") && !is_dots(&list[i], "."))
			list[kept++] = list[i];
		else if (i == n - 1)
			list[kept++] = (struct segment){ "", 0 };
	}
	return kept;
}

/* The path with these steps in this order; out has room for one byte more. */
static size_t
naive_reading(const char *path, size_t len, bool host, const char *steps,
    char *out)
{
	struct segment *list = calloc(len + 2, sizeof(*list));
	char *text = malloc(len + 1), digits[3] = "";
	size_t i, n = 0, parts = 0, o = 0;

	MUST(list != NULL && text != NULL);
	for (; host && len > 0 && *path == '/'; len--)
		path++;
	for (; host && len > 0 && *path != '/'; len--)
		path++;
	for (i = 0; i < len; i++) {
		text[n] = path[i];
		if (path[i] == '%') {
			memcpy(digits, path + i + 1, 2);
			text[n] = (char)strtol(digits, NULL, 16);
			i += 2;
		}
		n++;
	}
	for (i = 1; i <= n || parts == 0; i += list[parts++].len + 1) {
		list[parts].p = text + i;
		while (i + list[parts].len < n &&
		    text[i + list[parts].len] != '/')
			list[parts].len++;
	}
	for (; *steps != '\0'; steps++)
		parts = *steps == 'm' ? naive_merge(list, parts) :
		    naive_dots(list, parts);
	for (i = 0; i < parts; i++) {
		out[o++] = '/';
		memcpy(out + o, list[i].p, list[i].len);
		o += list[i].len;
	}
	free(list);
	free(text);
	return o;
}

/* What agrees leads to that route by whatever way it is read, and only that. */
static void
check_readings(const struct route_table *table, const char *path, size_t len,
    int route, const char *normal, size_t rest)
{
	static const char *const steps[] = { "", "m", "d", "md", "dm", "mdm" };
	char *buf = malloc(len + 1), *segment = malloc(len + 1);
	size_t i, n, at, want;
	int host, other;
	bool agrees[2] = { true, true };

	MUST(buf != NULL && segment != NULL);
	strcpy(segment, normal + rest);
	segment[strcspn(segment, "/")] = '\0';
	want = strlen(segment);
	for (host = 0; host < 2 && (host == 0 || (len > 1 && path[1] == '/'));
	    host++) {
		for (i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
			n = naive_reading(path, len, host == 1, steps[i], buf);
			other = naive_match(buf, n, &at);
			agrees[0] = agrees[0] && other == route;
			agrees[1] = agrees[1] && other == route &&
			    n - at >= want &&
			    memcmp(buf + at, segment, want) == 0 &&
			    (n - at == want || buf[at + want] == '/');
		}
	}
	MUST(route_agrees(table, route, NULL, path, len, buf) == agrees[0]);
	if (want > 0)
		MUST(route_agrees(table, route, segment, path, len, buf) ==
		    agrees[1]);
	free(buf);
	free(segment);
}

static void
check_path(const struct route_table *table, const char *path, size_t len)
{
	char *out = malloc(len + 1), *again = malloc(len + 1);
	size_t n = 0, m = 0, room;
	int status, i;

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
		out[n] = '\0';
		i = naive_match(out, n, &room);
		if (i != ROUTE_NONE && memchr(path, '\0', len) == NULL)
			check_readings(table, path, len, i, out, room);
		if (memchr(out, '%', n) == NULL &&
		    memchr(out, '\\', n) == NULL) {
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
