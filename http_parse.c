/* See LICENSE for copyright and license details. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "http_parse.h"

/* Empty lines that may stand before a request line (RFC 9112 2.2). */
#define EMPTY_LINES	10

enum {
	TCHAR = 1,		/* RFC 9110 5.6.2 */
	VCHAR = 2,		/* in a field value: no control byte but HTAB */
	UCHAR = 4,		/* in a request target: no space, control, # */
	DIGIT = 8,
	ALPHA = 16,
	HOSTC = 32,		/* in a host name, as Apache's strict check */
	HEX = 64
};

#define V	VCHAR
#define U	(VCHAR | UCHAR)
#define T	(VCHAR | UCHAR | TCHAR)
#define D	(VCHAR | UCHAR | TCHAR | DIGIT | HOSTC | HEX)
#define A	(VCHAR | UCHAR | TCHAR | ALPHA | HOSTC)
#define X	(A | HEX)
#define H	(VCHAR | UCHAR | TCHAR | HOSTC)
#define P	(VCHAR | UCHAR | HOSTC)
#define N	(VCHAR | TCHAR)

static const unsigned char class[256] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, V, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	V, T, U, N, T, T, T, T, U, U, T, T, U, H, P | TCHAR, U,
	D, D, D, D, D, D, D, D, D, D, U, U, U, U, U, U,
	U, X, X, X, X, X, X, A, A, A, A, A, A, A, A, A,
	A, A, A, A, A, A, A, A, A, A, A, U, U, U, T, H,
	T, X, X, X, X, X, X, A, A, A, A, A, A, A, A, A,
	A, A, A, A, A, A, A, A, A, A, A, U, T, U, T, 0,
	U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U,
	U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U,
	U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U,
	U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U,
	U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U,
	U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U,
	U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U,
	U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U,
};

#undef V
#undef U
#undef T
#undef D
#undef A
#undef X
#undef H
#undef P
#undef N

/*
 * How often each field that matters was there.  What several lines decide
 * together is judged when all are there, so that the answer does not depend
 * on how the head was cut into segments.
 */
struct tally {
	unsigned int host;
	unsigned int length;
	unsigned int coding;
	bool no_host;		/* and empty */
	bool expect;		/* 100-continue */
	bool strange;		/* an expectation of any other kind */
};

static bool
is(char c, int what)
{
	return (class[(unsigned char)c] & what) != 0;
}

/* The first byte of [p, end) that is not of the class, or end. */
static const char *
span(const char *p, const char *end, int what)
{
	while (p < end && (class[(unsigned char)*p] & what) != 0)
		p++;
	return p;
}

static bool
all(struct http_slice s, int what)
{
	return span(s.p, s.p + s.len, what) == s.p + s.len;
}

static struct http_slice
slice(const char *p, const char *end)
{
	struct http_slice s = { p, (size_t)(end - p) };

	return s;
}

/* s without spaces and tabs around it (OWS, RFC 9110 5.6.3). */
static struct http_slice
trim(struct http_slice s)
{
	while (s.len > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.len--;
	}
	while (s.len > 0 &&
	    (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

bool
http_parse_is(struct http_slice s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

bool
http_parse_is_token(struct http_slice s)
{
	return s.len > 0 && all(s, TCHAR);
}

bool
http_parse_is_value(struct http_slice s)
{
	return all(s, VCHAR);
}

bool
http_parse_equal(struct http_slice s, const char *word)
{
	return s.len == strlen(word) && memcmp(s.p, word, s.len) == 0;
}

/*
 * A number from min to max, digits alone.  Leading zeros are fine; the sum
 * cannot overflow, being compared at each step.
 */
static bool
is_number(struct http_slice s, uint64_t min, uint64_t max)
{
	uint64_t n = 0;
	unsigned int digit;
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (!is(s.p[i], DIGIT))
			return false;
		digit = (unsigned int)(s.p[i] - '0');
		if (digit > max || n > (max - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	return s.len > 0 && n >= min;
}

/*
 * A host name as Apache's strict check takes it: letters, digits, '-', '_'
 * and single dots; its last label begins with no digit (RFC 1123 2.1).  Or an
 * address: four numbers without leading zeros (RFC 3986 7.4); whether each fits
 * a byte is left open, as Apache does: it names nothing here.  A dot at the end
 * is taken off first.  A name with escapes (RFC 3986 3.2.2), which clients make
 * of the path of a unix socket, has no labels.
 */
static bool
is_name(struct http_slice s)
{
	const char *p, *dot;
	size_t i, last = 0;
	int parts = 0;
	bool letters = false, escapes = false;

	if (s.len > 0 && s.p[s.len - 1] == '.')
		s.len--;
	for (i = 0; i < s.len; i++) {
		if (s.p[i] == '%' && s.len - i > 2 && is(s.p[i + 1], HEX) &&
		    is(s.p[i + 2], HEX))
			escapes = true;
		else if (!is(s.p[i], HOSTC))
			return false;
		if (s.p[i] != '.') {
			letters = letters || !is(s.p[i], DIGIT);
			continue;
		}
		if (i + 1 < s.len && s.p[i + 1] == '.')
			return false;
		last = i + 1;
	}
	if (letters)
		return escapes || last == 0 || is(s.p[last], ALPHA);
	for (p = s.p; p < s.p + s.len; p = dot + 1) {
		dot = span(p, s.p + s.len, DIGIT);
		if (dot == p || (dot - p > 1 && *p == '0'))
			return false;
		parts++;
	}
	return parts == 4;
}

/* host [ ":" port ], RFC 9110 7.2; an empty port is legal (RFC 3986 3.2.3). */
static bool
is_authority(struct http_slice s)
{
	const char *end = s.p + s.len, *colon;
	char text[INET6_ADDRSTRLEN];
	struct in6_addr addr;
	size_t len;

	if (s.len > 0 && s.p[0] == '[') {
		/* In brackets: what inet_pton(3) takes, without zone. */
		colon = memchr(s.p, ']', s.len);
		if (colon == NULL)
			return false;
		len = (size_t)(colon - s.p) - 1;
		if (len >= sizeof(text) || memchr(s.p + 1, '\0', len) != NULL)
			return false;
		memcpy(text, s.p + 1, len);
		text[len] = '\0';
		if (inet_pton(AF_INET6, text, &addr) != 1)
			return false;
		colon++;
		if (colon < end && *colon != ':')
			return false;
	} else {
		colon = s.len > 0 ? memchr(s.p, ':', s.len) : NULL;
		if (colon == NULL)
			colon = end;
		if (!is_name(slice(s.p, colon)))
			return false;
	}
	return colon >= end - 1 || is_number(slice(colon + 1, end), 1, 65535);
}

/*
 * The form of the request target (RFC 9112 3.2).  Sets path and asterisk,
 * which an absolute form without path and query means as well (3.2.4).  Its
 * authority is checked, and takes no part.
 */
static int
parse_target(struct http_head *head)
{
	static const struct http_slice root = { "/", 1 };
	struct http_slice t = head->target;
	const char *end = t.p + t.len, *p = t.p, *slash, *query;

	if (http_parse_equal(t, "*")) {
		head->asterisk = true;
		return http_parse_equal(head->method, "OPTIONS") ? 0 : 400;
	}
	if (t.len > 7 && strncasecmp(p, "http://", 7) == 0)
		p += 7;
	else if (t.len > 8 && strncasecmp(p, "https://", 8) == 0)
		p += 8;
	else if (*p != '/')
		return 400;

	query = memchr(p, '?', (size_t)(end - p));
	if (query == NULL)
		query = end;
	slash = memchr(p, '/', (size_t)(query - p));
	if (slash == NULL)
		slash = query;
	if (p != t.p && !is_authority(slice(p, slash)))
		return 400;
	if (slash < query)
		head->path = slice(slash, query);
	else if (query == end && http_parse_equal(head->method, "OPTIONS"))
		head->asterisk = true;
	else
		head->path = root;
	return 0;
}

static int
parse_request_line(const char *p, const char *end, struct http_head *head)
{
	const char *sp;

	sp = span(p, end, TCHAR);
	if (sp == p || sp == end || *sp != ' ')
		return 400;
	head->method = slice(p, sp);

	p = sp + 1;
	sp = span(p, end, UCHAR);
	if (sp == p || sp == end || *sp != ' ')
		return 400;
	head->target = slice(p, sp);

	/* HTTP-version (RFC 9112 2.3): eight bytes, a digit on either side. */
	p = sp + 1;
	if (end - p != 8 || memcmp(p, "HTTP/", 5) != 0 || !is(p[5], DIGIT) ||
	    p[6] != '.' || !is(p[7], DIGIT) || p[5] == '0')
		return 400;
	head->minor = p[7] - '0';
	if (p[5] != '1')
		return 505;
	if (http_parse_equal(head->method, "CONNECT"))
		return 405;
	return parse_target(head);
}

/*
 * Transfer-Encoding (RFC 9112 6.1): "chunked" is there, last and once; no
 * element is empty; what stands before it is somebody else's to understand.
 */
static bool
is_coding(struct http_slice list)
{
	const char *end = list.p + list.len, *p = list.p, *comma;
	struct http_slice item;
	bool chunked = false;

	do {
		if (chunked)
			return false;
		comma = memchr(p, ',', (size_t)(end - p));
		if (comma == NULL)
			comma = end;
		item = trim(slice(p, comma));
		chunked = http_parse_is(item, "chunked");
		if (!http_parse_is_token(item))
			return false;
		p = comma + 1;
	} while (comma < end);
	return chunked;
}

/*
 * field-name ":" OWS field-value OWS; no folding (RFC 9112 5.1 and 5.2).  Only
 * four fields are fdproxy's to understand; all others are the backend's.
 */
static int
parse_field_line(const char *p, const char *end, struct tally *tally)
{
	const char *colon = span(p, end, TCHAR);
	struct http_slice name = slice(p, colon), value;

	if (colon == p || colon == end || *colon != ':')
		return 400;
	value = trim(slice(colon + 1, end));
	if (!all(value, VCHAR))
		return 400;
	switch (name.len) {
	case 4:
		if (!http_parse_is(name, "host"))
			break;
		tally->host++;
		tally->no_host = value.len == 0;
		return tally->no_host || is_authority(value) ? 0 : 400;
	case 6:
		if (!http_parse_is(name, "expect") || value.len == 0)
			break;
		if (http_parse_is(value, "100-continue"))
			tally->expect = true;
		else
			tally->strange = true;
		break;
	case 14:
		if (!http_parse_is(name, "content-length"))
			break;
		tally->length++;
		return is_number(value, 0, INT64_MAX) ? 0 : 400;
	case 17:
		if (!http_parse_is(name, "transfer-encoding"))
			break;
		tally->coding++;
		return is_coding(value) ? 0 : 400;
	}
	return 0;
}

static int
judge(const struct tally *tally, struct http_head *head)
{
	if (tally->host > 1 || (tally->host == 0 && head->minor > 0))
		return 400;
	if (tally->length > 1 || tally->coding > 1)
		return 400;
	/* A later HTTP/1.x is as good as 1.1, but not all servers agree about
	   the end of its body. */
	if (tally->coding > 0 && (tally->length > 0 || head->minor != 1))
		return 400;
	if (tally->strange)
		return 417;
	head->no_host = tally->no_host;
	head->expect = tally->expect && head->minor > 0;
	return 0;
}

/*
 * A line that is too long, or no HTTP at all, is refused before its end is
 * there: what talks TLS or SSH to this port may never send an LF.  [p, end) is
 * without CRLF; bytes behind the limit do not matter, so that the answer is the
 * same for any cut.
 */
static int
check_start(const char *p, const char *end, bool request,
    const struct http_limits *limits)
{
	size_t max = request ? limits->line : limits->field;
	bool fits = (size_t)(end - p) <= max;
	const char *stop;

	if (request) {
		if (!fits)
			end = p + max + 1;
		stop = span(p, end, TCHAR);
		if (stop < end && (stop == p || *stop != ' '))
			return 400;
	}
	return fits ? 0 : request ? 414 : 431;
}

/*
 * Line by line from where scan stands.  Returns the length of a whole head, 0
 * when more must come, or the negative of a status.
 */
static int
parse_lines(const char *buf, size_t len, struct http_scan *scan,
    const struct http_limits *limits, struct http_head *head,
    struct tally *tally)
{
	const char *lf, *line, *end;
	bool request;
	int status;

	for (;;) {
		line = buf + scan->line;
		request = scan->lines == 0;
		lf = memchr(buf + scan->at, '\n', len - scan->at);
		end = lf == NULL ? buf + len : lf;
		if (end > line && end[-1] == '\r')
			end--;
		status = check_start(line, end, request, limits);
		if (lf == NULL) {
			scan->at = (uint16_t)len;
			if (status == 0 && len >= limits->head)
				status = request ? 414 : 431;
			return -status;
		}
		if (status != 0)
			return -status;
		if (end == lf)
			return -400;
		scan->at = (uint16_t)(lf + 1 - buf);
		if (end == line && !request) {
			if (head->fields.p != NULL)
				head->fields.len =
				    (size_t)(line - head->fields.p);
			return scan->at;
		}
		if (request && end == line) {
			status = scan->line >= 2 * EMPTY_LINES ? 400 : 0;
		} else if (request) {
			scan->lines++;
			status = parse_request_line(line, end, head);
		} else if (scan->lines > limits->fields) {
			status = 431;
		} else {
			scan->lines++;
			status = parse_field_line(line, end, tally);
		}
		if (status != 0)
			return -status;
		scan->line = scan->at;
		if (scan->lines == 1)
			head->fields.p = buf + scan->line;
	}
}

int
http_parse_head(const char *buf, size_t len, struct http_scan *scan,
    const struct http_limits *limits, struct http_head *head)
{
	static const struct http_head none;
	struct tally tally = { 0, 0, 0, false, false, false };
	const char *end, *sp;
	bool resumed = scan->line > 0;
	int n, status;

	*head = none;
	if (len > limits->head)
		len = limits->head;
	n = parse_lines(buf, len, scan, limits, head, &tally);
	if (n > 0 && resumed) {
		/* Lines that came earlier left nothing behind but "good". */
		memset(scan, 0, sizeof(*scan));
		memset(&tally, 0, sizeof(tally));
		n = parse_lines(buf, len, scan, limits, head, &tally);
	}
	status = n > 0 ? judge(&tally, head) : -n;
	if (status == 0 && n > 0)
		return n;
	*head = none;
	head->status = status;
	/* The method, so that even the answer to a bad HEAD has no body. */
	end = buf + len;
	while (end - buf >= 2 && buf[0] == '\r' && buf[1] == '\n')
		buf += 2;
	sp = span(buf, end, TCHAR);
	head->method = slice(buf, sp < end && *sp == ' ' ? sp : buf);
	return status == 0 ? HTTP_PARTIAL : HTTP_BAD;
}

bool
http_parse_field(struct http_slice *fields, struct http_slice *name,
    struct http_slice *value)
{
	const char *lf, *colon;

	if (fields->len == 0)
		return false;
	lf = memchr(fields->p, '\n', fields->len);
	colon = memchr(fields->p, ':', fields->len);
	*name = slice(fields->p, colon);
	*value = trim(slice(colon + 1, lf - 1));
	fields->len -= (size_t)(lf + 1 - fields->p);
	fields->p = lf + 1;
	return true;
}
