/* See LICENSE for copyright and license details. */
#include <stdbool.h>

#include "route.h"
#include "unit.h"

#define PATH_MAX_LEN	256

/* A path and its normal form, or the status of the answer. */
struct normal {
	const char *path;
	size_t len;
	int status;
	const char *out;
};

static const struct normal normals[] = {
	/* Normal already. */
	{ TEXT("/"), 0, "/" },
	{ TEXT("/app"), 0, "/app" },
	{ TEXT("/app/"), 0, "/app/" },
	{ TEXT("/a.b/c..d/e."), 0, "/a.b/c..d/e." },
	{ TEXT("/~a-b_c;d=e,f:g@h!$&'()*+"), 0,
	    "/~a-b_c;d=e,f:g@h!$&'()*+" },
	{ TEXT("/\xc3\xa9"), 0, "/\xc3\xa9" },
	/* Slashes. */
	{ TEXT("//"), 0, "/" },
	{ TEXT("//app"), 0, "/app" },
	{ TEXT("/app//"), 0, "/app/" },
	{ TEXT("/a////b///c"), 0, "/a/b/c" },
	/* Dot segments, RFC 3986 5.2.4. */
	{ TEXT("/."), 0, "/" },
	{ TEXT("/./"), 0, "/" },
	{ TEXT("/./app"), 0, "/app" },
	{ TEXT("/app/."), 0, "/app/" },
	{ TEXT("/app/./././b"), 0, "/app/b" },
	{ TEXT("/a/.."), 0, "/" },
	{ TEXT("/a/../"), 0, "/" },
	{ TEXT("/a/b/.."), 0, "/a/" },
	{ TEXT("/a/b/../c"), 0, "/a/c" },
	{ TEXT("/a/b/c/../../d"), 0, "/a/d" },
	{ TEXT("/a//../b"), 0, "/b" },
	{ TEXT("/a/.//../b"), 0, "/b" },
	{ TEXT("/.../..a/a../.a/a."), 0, "/.../..a/a../.a/a." },
	{ TEXT("/.a"), 0, "/.a" },
	{ TEXT("/..a"), 0, "/..a" },
	/* Above the root. */
	{ TEXT("/.."), 400, NULL },
	{ TEXT("/../"), 400, NULL },
	{ TEXT("/../app"), 400, NULL },
	{ TEXT("//../app"), 400, NULL },
	{ TEXT("/./../app"), 400, NULL },
	{ TEXT("/a/../../app"), 400, NULL },
	{ TEXT("/a/../../"), 400, NULL },
	{ TEXT("/%2e%2e/app"), 400, NULL },
	{ TEXT("/.%2E/app"), 400, NULL },
	/* Unreserved bytes, before dot segments are resolved. */
	{ TEXT("/%61pp"), 0, "/app" },
	{ TEXT("/%41%5a%7A%30%39"), 0, "/AZz09" },
	{ TEXT("/%2d%2E%5f%7E"), 0, "/-._~" },
	{ TEXT("/a/%2e%2e/b"), 0, "/b" },
	{ TEXT("/a/.%2e/b"), 0, "/b" },
	{ TEXT("/a/%2E/b"), 0, "/a/b" },
	{ TEXT("/a/%2e"), 0, "/a/" },
	/* All others afterwards, and once. */
	{ TEXT("/%20%3f%23%3B%5c"), 0, "/ ?#;\\" },
	{ TEXT("/%0a%7f%80%ff"), 0, "/\n\x7f\x80\xff" },
	{ TEXT("/%C3%A9"), 0, "/\xc3\xa9" },
	{ TEXT("/%25"), 0, "/%" },
	{ TEXT("/%252f"), 0, "/%2f" },
	{ TEXT("/%2561"), 0, "/%61" },
	{ TEXT("/%252e%252e/a"), 0, "/%2e%2e/a" },
	{ TEXT("/%25%32%66"), 0, "/%2f" },
	/* Escapes that are none. */
	{ TEXT("/%"), 400, NULL },
	{ TEXT("/%4"), 400, NULL },
	{ TEXT("/%zz"), 400, NULL },
	{ TEXT("/%4g"), 400, NULL },
	{ TEXT("/%g4"), 400, NULL },
	{ TEXT("/%u0061"), 400, NULL },
	{ TEXT("/%%20"), 400, NULL },
	{ TEXT("/a%/b"), 400, NULL },
	{ TEXT("/% 41"), 400, NULL },
	{ TEXT("/%+4"), 400, NULL },
	{ TEXT("/%4\0"), 400, NULL },
	{ TEXT("/%2f%"), 400, NULL },
	{ TEXT("/a/../%zz"), 400, NULL },
	/* What has no place in a path at all. */
	{ TEXT("/%2f"), 404, NULL },
	{ TEXT("/%2F"), 404, NULL },
	{ TEXT("/app%2fx"), 404, NULL },
	{ TEXT("/a%2f..%2fb"), 404, NULL },
	{ TEXT("/%00"), 404, NULL },
	{ TEXT("/app%00"), 404, NULL },
	{ TEXT("/app%00/../x"), 404, NULL },
	{ TEXT("/admin/x%2fy/../../secret"), 404, NULL },
	{ TEXT("/%2f/../x"), 404, NULL },
	{ TEXT("/x%2fy/../../.."), 400, NULL },
	{ TEXT("/%2f/../.."), 400, NULL },
	/* A slash to some, and in no URI. */
	{ TEXT("/a\\b"), 400, NULL },
	{ TEXT("/\\x/admin/secret"), 400, NULL },
	{ TEXT("/x\\..\\admin"), 400, NULL },
	{ TEXT("/%2f\\"), 400, NULL }
};

/*
 * Normalisation once more, step by step as it is described, with no thought of
 * speed.  Returns a status; out is large enough.
 */
static int
naive_normalize(const char *path, size_t len, char *out, size_t *outlen)
{
	char first[PATH_MAX_LEN], *to;
	struct {
		size_t start;
		size_t len;
	} part[PATH_MAX_LEN];
	const char *set = "0123456789abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ-._~";
	char digits[3] = "", *end;
	size_t i, j, n, parts = 0;
	bool folder = false, found = false;
	long c;

	if (memchr(path, '\\', len) != NULL)
		return 400;
	for (i = n = 0; i < len; i++) {
		first[n++] = path[i];
		if (path[i] != '%')
			continue;
		if (len - i < 3 || strspn(memcpy(digits, path + i + 1, 2),
		    "0123456789abcdefABCDEF") != 2)
			return 400;
		c = strtol(digits, &end, 16);
		found = found || c == 0 || c == '/';
		if (c != 0 && strchr(set, (int)c) != NULL) {
			first[n - 1] = (char)c;
			i += 2;
		}
	}

	for (i = 0; i < n; i = j) {
		for (j = i + 1; j < n && first[j] != '/'; j++)
			;
		/* A slash, then a segment. */
		folder = true;
		if (j - i == 1 || (j - i == 2 && first[i + 1] == '.'))
			continue;
		if (j - i == 3 && memcmp(first + i, "/..", 3) == 0) {
			if (parts-- == 0)
				return 400;
			continue;
		}
		part[parts].start = i;
		part[parts++].len = j - i;
		folder = false;
	}

	to = out;
	for (i = 0; i < parts; i++) {
		for (j = 0; j < part[i].len; j++) {
			const char *p = first + part[i].start + j;

			*to = *p;
			if (*p == '%') {
				memcpy(digits, p + 1, 2);
				*to = (char)strtol(digits, &end, 16);
				j += 2;
			}
			to++;
		}
	}
	if (folder || parts == 0)
		*to++ = '/';
	*outlen = (size_t)(to - out);
	return found ? 404 : 0;
}

/* Both ends of the work touch memory that is not there. */
static int
normalize(const char *path, size_t len, size_t outsize, char *out,
    size_t *outlen)
{
	static char *in;
	size_t i;
	int status;

	if (in == NULL)
		in = malloc(PATH_MAX_LEN);
	MUST(in != NULL && len <= PATH_MAX_LEN && outsize <= PATH_MAX_LEN);
	/* The input at the end of its memory, where the sanitizer sees it. */
	memcpy(in + PATH_MAX_LEN - len, path, len);
	memset(unit_fence() - PATH_MAX_LEN, '#', PATH_MAX_LEN);
	status = route_normalize(in + PATH_MAX_LEN - len, len,
	    unit_fence() - outsize, outsize, outlen);
	for (i = outsize + 1; i <= PATH_MAX_LEN; i++)
		MUST(unit_fence()[-(long)i] == '#');
	if (status == 0) {
		MUST(*outlen <= outsize);
		memcpy(out, unit_fence() - outsize, *outlen);
	}
	return status;
}

TEST(normal_table)
{
	const struct normal *row = &normals[_i];
	char out[PATH_MAX_LEN], again[PATH_MAX_LEN];
	size_t n, m;

	ck_assert_int_eq(normalize(row->path, row->len, row->len, out, &n),
	    row->status);
	if (row->status != 0)
		return;
	ck_assert_uint_eq(n, strlen(row->out));
	ck_assert(memcmp(out, row->out, n) == 0);
	/* With room to spare it is the same. */
	ck_assert_int_eq(normalize(row->path, row->len, PATH_MAX_LEN, again,
	    &m), 0);
	ck_assert(n == m && memcmp(out, again, n) == 0);
	/* The second implementation is held to the table, too. */
	ck_assert_int_eq(naive_normalize(row->path, row->len, again, &m), 0);
	ck_assert(n == m && memcmp(out, again, n) == 0);
}

/* The input at the fence. */
TEST(normal_input_fenced)
{
	const struct normal *row = &normals[_i];
	char out[PATH_MAX_LEN];
	size_t n;

	ck_assert_int_eq(route_normalize(unit_fenced(row->path, row->len),
	    row->len, out, sizeof(out), &n), row->status);
}

TEST(normal_too_small)
{
	char out[PATH_MAX_LEN];
	size_t n, size;

	for (size = 0; size < 5; size++) {
		ck_assert_int_eq(normalize("/abcd", 5, size, out, &n), 404);
		ck_assert_int_eq(normalize("/a//b", 5, size, out, &n), 404);
		ck_assert_int_eq(normalize("/a%41", 5, size, out, &n), 404);
	}
	ck_assert_int_eq(normalize("/abcd", 5, 5, out, &n), 0);
}

/* A path of up to 20 pieces that are likely to mean something. */
static size_t
make_path(char *dst, uint32_t *seed)
{
	static const char *const pieces[] = {
		"/", "/", "/", "/", "a", "b", "app", ".", "..", "/.", "/..",
		"/../", "//", "/./", "%2e", "%2E", "%61", "%41", "%7e", "%20",
		"%25", "%3f", "%c3", "\x80", "x", "-", "c", "d"
	};
	static const char *const rare[] = { "%2f", "%2F", "%00", "%", "%4",
	    "%zz", "%5", "%u0", "%%" };
	size_t n = 1, count = unit_random(seed) % 20;
	const char *piece;

	dst[0] = '/';
	while (count-- > 0) {
		if (unit_random(seed) % 40 == 0)
			piece = rare[unit_random(seed) % COUNT(rare)];
		else
			piece = pieces[unit_random(seed) % COUNT(pieces)];
		memcpy(dst + n, piece, strlen(piece));
		n += strlen(piece);
	}
	return n;
}

TEST(normal_random)
{
	char path[PATH_MAX_LEN], a[PATH_MAX_LEN], b[PATH_MAX_LEN];
	size_t len, n, m;
	uint32_t seed = 1;
	int i, status, seen[2] = { 0, 0 };

	for (i = 0; i < 20000; i++) {
		len = make_path(path, &seed);
		status = normalize(path, len, len, a, &n);
		MUST_MSG(status == naive_normalize(path, len, b, &m),
		    "%d for \"%.*s\"", status, (int)len, path);
		seen[status != 0]++;
		if (status != 0)
			continue;
		MUST_MSG(n == m && memcmp(a, b, n) == 0,
		    "\"%.*s\" and not \"%.*s\" for \"%.*s\"", (int)n, a,
		    (int)m, b, (int)len, path);
		/* What has no escape in it is normal for good. */
		if (memchr(a, '%', n) == NULL && memchr(a, '\\', n) == NULL) {
			MUST(normalize(a, n, n, b, &m) == 0);
			MUST(n == m && memcmp(a, b, n) == 0);
		}
	}
	/* Neither side is a rare case. */
	ck_assert_int_gt(seen[0], 4000);
	ck_assert_int_gt(seen[1], 4000);
}

/* A path and the route that it must find among these. */
static const char *const routes[] = {
	"/app", "/dir/", "/first", "/first/long", "/first", "/b/c", "/b",
	"/t/", "/t", "/apple/x", "/A", "/sp ace", "/odd//", "/x/y/z/"
};

static const struct {
	const char *path;
	int index;
	const char *rest;
} matches[] = {
	{ "/app", 0, "" },
	{ "/app/", 0, "" },
	{ "/app/x", 0, "x" },
	{ "/app/x/y/", 0, "x/y/" },
	{ "/apple", ROUTE_NONE, "" },
	{ "/apple/x", 9, "" },
	{ "/apple/xy", ROUTE_NONE, "" },
	{ "/ap", ROUTE_NONE, "" },
	{ "/app.", ROUTE_NONE, "" },
	{ "/app;x", ROUTE_NONE, "" },
	{ "/app?x", ROUTE_NONE, "" },
	{ "/x/app", ROUTE_NONE, "" },
	{ "/APP", ROUTE_NONE, "" },
	{ "/dir", ROUTE_NONE, "" },
	{ "/dir/", 1, "" },
	{ "/dir/a", 1, "a" },
	{ "/dir/a/b", 1, "a/b" },
	{ "/dirs", ROUTE_NONE, "" },
	/* The first line that matches wins, not the longest. */
	{ "/first", 2, "" },
	{ "/first/long", 2, "long" },
	{ "/first/long/x", 2, "long/x" },
	{ "/b/c", 5, "" },
	{ "/b/c/d", 5, "d" },
	{ "/b/cd", 6, "cd" },
	{ "/b", 6, "" },
	{ "/t", 8, "" },
	{ "/t/", 7, "" },
	{ "/t/x", 7, "x" },
	{ "/a", ROUTE_NONE, "" },
	{ "/A", 10, "" },
	{ "/sp ace/x", 11, "x" },
	{ "/odd", ROUTE_NONE, "" },
	{ "/odd/x", ROUTE_NONE, "" },
	{ "/x/y/z/1", 13, "1" },
	{ "/x/y/z", ROUTE_NONE, "" },
	{ "/x/y", ROUTE_NONE, "" },
	{ "/", ROUTE_NONE, "" },
	{ "", ROUTE_NONE, "" }
};

static int
match(const struct route_table *table, const char *path, size_t len,
    size_t *rest)
{
	*rest = 12345;
	return route_match(table, unit_fenced(path, len), len, rest);
}

TEST(match_table)
{
	struct route_table *table = route_new();
	const char *path;
	size_t rest;
	int i;

	for (i = 0; i < COUNT(routes); i++)
		ck_assert_int_eq(route_add(table, routes[i]), i);
	for (i = 0; i < COUNT(matches); i++) {
		path = matches[i].path;
		ck_assert_msg(match(table, path, strlen(path), &rest) ==
		    matches[i].index, "\"%s\"", path);
		if (matches[i].index != ROUTE_NONE)
			ck_assert_str_eq(path + rest, matches[i].rest);
	}
	/* A root behind them takes what is left, and nothing else. */
	ck_assert_int_eq(route_add(table, "/"), COUNT(routes));
	for (i = 0; i < COUNT(matches) - 1; i++) {
		path = matches[i].path;
		ck_assert_msg(match(table, path, strlen(path), &rest) ==
		    (matches[i].index == ROUTE_NONE ? COUNT(routes) :
		    matches[i].index), "\"%s\"", path);
		if (matches[i].index == ROUTE_NONE)
			ck_assert_uint_eq(rest, 1);
	}
	route_free(table);
}

TEST(match_root_first)
{
	struct route_table *table = route_new();
	size_t rest;

	ck_assert_int_eq(match(table, "/", 1, &rest), ROUTE_NONE);
	ck_assert_int_eq(route_add(table, "/"), 0);
	ck_assert_int_eq(route_add(table, "/app"), 1);
	ck_assert_int_eq(match(table, "/", 1, &rest), 0);
	ck_assert_uint_eq(rest, 1);
	ck_assert_int_eq(match(table, "/app", 4, &rest), 0);
	ck_assert_uint_eq(rest, 1);
	ck_assert_int_eq(match(table, "/app/x", 6, &rest), 0);
	route_free(table);
	route_free(NULL);
}

/* Letters at random behind the first one, 14 bytes in all. */
static void
random_path(char path[16], char first, uint32_t *state)
{
	int i;

	path[0] = '/';
	path[1] = first;
	for (i = 2; i < 14; i++)
		path[i] = (char)('a' + unit_random(state) % 26);
	path[14] = '\0';
}

/*
 * Paths of one length and one hash are not one path.  Whatever hash of 32 bits
 * it is: among so many pairs it is the same for some.
 */
TEST(match_same_hash)
{
	enum { EACH = 200000 };
	struct route_table *table = route_new();
	uint32_t state = 1;
	char path[16];
	size_t rest;
	int i;

	for (i = 0; i < EACH; i++) {
		random_path(path, 'a', &state);
		MUST(route_add(table, path) == i);
	}
	for (i = 0; i < EACH; i++) {
		random_path(path, 'b', &state);
		MUST_MSG(route_match(table, path, strlen(path), &rest) ==
		    ROUTE_NONE, "%s", path);
	}
	route_free(table);
}

/* The table keeps a copy. */
TEST(match_copy)
{
	struct route_table *table = route_new();
	char path[] = "/app";
	size_t rest;

	ck_assert_int_eq(route_add(table, path), 0);
	memset(path, 'x', 4);
	ck_assert_int_eq(match(table, "/app", 4, &rest), 0);
	route_free(table);
}

/* The first route in order, by looking at all of them. */
static int
naive_match(char (*all)[32], int n, const char *path, size_t len,
    size_t *rest)
{
	size_t m;
	int i;

	for (i = 0; i < n; i++) {
		m = strlen(all[i]);
		if (m > len || memcmp(all[i], path, m) != 0)
			continue;
		*rest = m;
		if (all[i][m - 1] == '/' || m == len)
			return i;
		if (path[m] == '/') {
			*rest = m + 1;
			return i;
		}
	}
	return ROUTE_NONE;
}

/* Normal paths have no empty segment. */
static void
join(char *path, const char *part)
{
	if (path[strlen(path) - 1] == '/' && *part == '/')
		part++;
	strcat(path, part);
}

TEST(match_random)
{
	static const char *const parts[] = { "/a", "/b", "/ab", "/a", "/abc",
	    "/b", "/c", "a", "/" };
	static char all[200][32];
	struct route_table *table;
	char path[64];
	uint32_t seed = 7;
	size_t rest, naive_rest = 0;
	int i, k, n, want, found = 0;

	for (k = 0; k < 100; k++) {
		table = route_new();
		ck_assert(table != NULL);
		n = (int)(unit_random(&seed) % COUNT(all));
		for (i = 0; i < n; i++) {
			uint32_t left = unit_random(&seed) % 6;

			strcpy(all[i], i == 150 ? "/" :
			    parts[unit_random(&seed) % 7]);
			while (left-- > 0)
				strcat(all[i], parts[unit_random(&seed) % 9]);
			MUST(route_add(table, all[i]) == i);
		}
		for (i = 0; i < 200; i++) {
			uint32_t left = unit_random(&seed) % 8;

			strcpy(path, parts[unit_random(&seed) % 7]);
			while (left-- > 0)
				join(path, parts[unit_random(&seed) % 9]);
			want = naive_match(all, n, path, strlen(path),
			    &naive_rest);
			MUST_MSG(match(table, path, strlen(path), &rest) ==
			    want, "\"%s\"", path);
			MUST_MSG(want == ROUTE_NONE || rest == naive_rest,
			    "\"%s\"", path);
			found += want != ROUTE_NONE;
		}
		route_free(table);
	}
	ck_assert_int_gt(found, 5000);
	ck_assert_int_lt(found, 19000);
}

/*
 * A path, among which routes, and whether every reading of it leads where its
 * normal form does; with a folder, its segment counts.
 */
static const struct {
	const char *path;
	int among;
	bool agrees;
} readings[] = {
	/* "/admin" before "/". */
	{ "/admin/secret", 0, true },
	{ "/x", 0, true },
	{ "/x%41//y/../z", 0, true },
	{ "//", 0, true },
	{ "//x", 0, true },
	{ "//x/y", 0, true },
	{ "/..x/../y//.", 0, true },
	{ "//x/admin/secret", 0, false },
	{ "///x/admin", 0, false },
	{ "//x//admin", 0, false },
	{ "//x/y/../admin", 0, false },
	{ "//x/y//../admin", 0, false },
	{ "//admin", 0, false },
	{ "/admin//../secret", 0, false },
	{ "/admin/../x", 0, false },
	{ "/x/../admin", 0, false },
	{ "/%61dmin/../x", 0, false },
	{ "/admin/%2e%2e/x", 0, false },
	{ "/x//../admin", 0, false },
	{ "/admin/x/../y", 0, true },
	{ "/admin//x", 0, true },
	{ "/%61dmin/x", 0, true },
	{ "/adminx/..", 0, true },
	/* "/public" alone. */
	{ "/public/x", 1, true },
	{ "/public//x", 1, true },
	{ "/public/x/../y", 1, true },
	{ "/%70ublic", 1, true },
	{ "//public/admin", 1, false },
	{ "/admin/../public/x", 1, false },
	{ "/./public/x", 1, false },
	{ "/public/../public/x", 1, true },
	{ "/public/../public/../public", 1, true },
	/* As they are written, and as they are sent. */
	{ "/a%20b/c", 2, true },
	{ "/%7Euser/", 2, true },
	{ "/a%2520b", 2, true },
	{ "/~user/../~user/x", 2, true },
	{ "/~user/../a%20b", 2, false },
	/* "/dir" with a folder of sockets, "/" else. */
	{ "/dir/one/x", 3, true },
	{ "/dir/o%6Ee/x", 3, true },
	{ "/dir/one//x", 3, true },
	{ "/dir/one/../two/x", 3, false },
	{ "/dir/./one", 3, false },
	{ "/dir//one", 3, false },
	{ "/dir/one/../one/x", 3, true },
	{ "/dir/one/./x", 3, true },
	{ "/dir/one/x/..", 3, true },
	{ "/dir/one/../onetwo", 3, false },
	/* "/a/b/c" before "/a"; a slash more may be what ".." takes away. */
	{ "/a/b/../c", 4, true },
	{ "/a/b//../c", 4, false },
	{ "/a/b///../c", 4, false }
};

TEST(readings_table)
{
	static const char *const tables[][3] = { { "/admin", "/", NULL },
	    { "/public", NULL, NULL }, { "/a b", "/~user", "/" },
	    { "/dir", "/", NULL }, { "/a/b/c", "/a", NULL } };
	const char *path = readings[_i].path;
	struct route_table *table = route_new();
	char normal[PATH_MAX_LEN], *segment = NULL, *copy;
	size_t n, rest, len = strlen(path);
	int i, route;

	ck_assert(table != NULL);
	for (i = 0; i < 3 && tables[readings[_i].among][i] != NULL; i++)
		ck_assert(route_add(table, tables[readings[_i].among][i]) == i);
	ck_assert_int_eq(route_normalize(path, len, normal, sizeof(normal),
	    &n), 0);
	route = route_match(table, normal, n, &rest);
	ck_assert_int_ne(route, ROUTE_NONE);
	if (readings[_i].among == 3 && route == 0) {
		normal[n] = '\0';
		segment = normal + rest;
		segment[strcspn(segment, "/")] = '\0';
	}
	/* It writes no more than it may. */
	copy = unit_fence() - len - 1;
	ck_assert_int_eq(route_agrees(table, route, segment, path, len, copy),
	    readings[_i].agrees);
	route_free(table);
}

TEST(match_many)
{
	struct route_table *table = route_new();
	char path[64];
	size_t rest;
	int i, n;

	ck_assert(table != NULL);
	for (i = 0; i < 10000; i++) {
		snprintf(path, sizeof(path), "/r%d%s", i,
		    i % 3 == 0 ? "/" : "");
		MUST(route_add(table, path) == i);
	}
	for (i = 0; i < 10000; i++) {
		n = snprintf(path, sizeof(path), "/r%d", i);
		MUST(match(table, path, (size_t)n, &rest) ==
		    (i % 3 == 0 ? ROUTE_NONE : i));
		n = snprintf(path, sizeof(path), "/r%d/x/y", i);
		MUST(match(table, path, (size_t)n, &rest) == i);
		MUST(strcmp(path + rest, "x/y") == 0);
		n = snprintf(path, sizeof(path), "/r%d.", i);
		MUST(match(table, path, (size_t)n, &rest) == ROUTE_NONE);
	}
	route_free(table);
}

static const struct test tests[] = {
	TIMES(normal_table, COUNT(normals)),
	TIMES(normal_input_fenced, COUNT(normals)),
	ONCE(normal_too_small),
	ONCE(normal_random),
	ONCE(match_table),
	ONCE(match_root_first),
	ONCE(match_same_hash),
	ONCE(match_copy),
	ONCE(match_random),
	ONCE(match_many),
	TIMES(readings_table, COUNT(readings))
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), NULL, NULL);
}
