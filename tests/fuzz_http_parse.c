/* See LICENSE for copyright and license details. */
#include <stdbool.h>
#include <string.h>

#include "fuzz.h"
#include "http_parse.h"

/*
 * The first byte picks the limits, the second where the head is cut; the head
 * is all that follows.
 */

static const struct http_limits all_limits[] = {
	{ 8190, 8190, 100, 16384 },
	{ 8190, 8190, 100, 16384 },
	{ 64, 48, 4, 256 },
	{ 16, 16, 1, 64 },
	{ 200, 16, 8, 128 }
};

static bool
within(struct http_slice s, const char *buf, size_t len)
{
	return s.p >= buf && s.p <= buf + len &&
	    s.len <= (size_t)(buf + len - s.p);
}

static bool
same(struct http_slice a, struct http_slice b)
{
	return a.p == b.p && a.len == b.len;
}

static bool
same_head(const struct http_head *a, const struct http_head *b)
{
	return same(a->method, b->method) && same(a->target, b->target) &&
	    (same(a->path, b->path)) && same(a->fields, b->fields) &&
	    a->minor == b->minor && a->asterisk == b->asterisk &&
	    a->no_host == b->no_host && a->expect == b->expect &&
	    a->status == b->status;
}

static bool
is_clean(const char *p, size_t len)
{
	return memchr(p, '\0', len) == NULL && memchr(p, '\r', len) == NULL &&
	    memchr(p, '\n', len) == NULL;
}

static void
check_whole(const char *buf, size_t n, const struct http_head *h,
    const struct http_limits *limits)
{
	struct http_slice fields = h->fields, name, value;
	size_t count = 0, target_end;

	MUST(n >= 16 && n <= limits->head);
	MUST(memcmp(buf + n - 4, "\r\n\r\n", 4) == 0);
	MUST(h->status == 0);
	MUST(h->minor >= 0 && h->minor <= 9);
	MUST(within(h->method, buf, n) && http_parse_is_token(h->method));
	MUST(within(h->target, buf, n) && h->target.len > 0);
	MUST(is_clean(h->target.p, h->target.len));
	MUST(memchr(h->target.p, ' ', h->target.len) == NULL);
	MUST(memchr(h->target.p, '#', h->target.len) == NULL);
	MUST(h->method.p + h->method.len + 1 == h->target.p);
	MUST(strspn(buf, "\r\n") == (size_t)(h->method.p - buf));
	if (h->asterisk) {
		MUST(h->method.len == 7 && memcmp(h->method.p, "OPTIONS",
		    7) == 0);
		MUST(h->path.len == 0);
	} else {
		MUST(h->path.len > 0 && *h->path.p == '/');
		MUST(memchr(h->path.p, '?', h->path.len) == NULL);
		MUST(within(h->path, h->target.p, h->target.len) ||
		    h->path.len == 1);
	}
	MUST(within(h->fields, buf, n));
	MUST(h->fields.p + h->fields.len == buf + n - 2);
	target_end = (size_t)(h->target.p + h->target.len - buf);
	MUST(h->fields.p == buf + target_end + sizeof(" HTTP/1.1\r\n") - 1);
	while (http_parse_field(&fields, &name, &value)) {
		count++;
		MUST(within(name, buf, n) && within(value, buf, n));
		MUST(http_parse_is_token(name));
		MUST(http_parse_is_value(value));
		MUST(is_clean(value.p, value.len));
		MUST(value.len == 0 || (value.p[0] != ' ' &&
		    value.p[0] != '\t' && value.p[value.len - 1] != ' ' &&
		    value.p[value.len - 1] != '\t'));
	}
	MUST(fields.len == 0);
	MUST(count <= limits->fields);
}

static void
check_blank(const char *buf, size_t len, int n, const struct http_head *h)
{
	MUST(n == HTTP_BAD || n == HTTP_PARTIAL);
	MUST(h->target.p == NULL && h->target.len == 0);
	MUST(h->path.p == NULL && h->path.len == 0);
	MUST(h->fields.p == NULL && h->fields.len == 0);
	MUST(h->minor == 0 && !h->asterisk && !h->no_host && !h->expect);
	MUST(h->method.len == 0 || (within(h->method, buf, len) &&
	    http_parse_is_token(h->method)));
	if (n == HTTP_PARTIAL)
		MUST(h->status == 0);
	else
		MUST(h->status == 400 || h->status == 405 ||
		    h->status == 414 || h->status == 417 ||
		    h->status == 431 || h->status == 505);
}

static int
look(const char *buf, size_t len, struct http_scan *scan,
    const struct http_limits *limits, struct http_head *head)
{
	int n = http_parse_head(buf, len, scan, limits, head);

	if (n > 0) {
		MUST((size_t)n <= len);
		check_whole(buf, (size_t)n, head, limits);
	} else {
		check_blank(buf, len, n, head);
		MUST(scan->line <= scan->at && scan->at <= len);
	}
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct http_limits *limits;
	struct http_head whole, head;
	struct http_scan scan = { 0, 0, 0 };
	const char *buf;
	char *own;
	size_t len, cut, i;
	int n, m;

	if (size < 2)
		return 0;
	limits = &all_limits[data[0] % (sizeof(all_limits) /
	    sizeof(*all_limits))];
	len = size - 2;
	own = malloc(len > 0 ? len : 1);
	if (own == NULL)
		return 0;
	memcpy(own, data + 2, len);
	buf = own;
	n = look(buf, len, &scan, limits, &whole);

	/* In two pieces, and in single bytes: the same. */
	memset(&scan, 0, sizeof(scan));
	cut = len * data[1] / 255;
	m = look(buf, cut, &scan, limits, &head);
	if (m == HTTP_PARTIAL)
		m = look(buf, len, &scan, limits, &head);
	MUST(m == n);
	MUST(head.status == whole.status);
	MUST(n <= 0 || same_head(&head, &whole));

	memset(&scan, 0, sizeof(scan));
	m = HTTP_PARTIAL;
	for (i = 0; i <= len && i < 600 && m == HTTP_PARTIAL; i++)
		m = look(buf, i, &scan, limits, &head);
	if (m == HTTP_PARTIAL)
		m = look(buf, len, &scan, limits, &head);
	MUST(m == n);
	MUST(head.status == whole.status);
	MUST(n <= 0 || same_head(&head, &whole));

	/* What follows a head does not matter to it. */
	if (n > 0) {
		memset(&scan, 0, sizeof(scan));
		MUST(look(buf, (size_t)n, &scan, limits, &head) == n);
		MUST(same_head(&head, &whole));
		memset(&scan, 0, sizeof(scan));
		MUST(look(buf, (size_t)n - 1, &scan, limits, &head) ==
		    HTTP_PARTIAL);
	}
	free(own);
	return 0;
}
