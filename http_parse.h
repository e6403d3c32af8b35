/* See LICENSE for copyright and license details. */
#ifndef HTTP_PARSE_H
#define HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The request head of HTTP/1 (RFC 9112), read strictly: whatever two readers
 * could understand in two ways is refused, since with some flushers a backend
 * reads the same bytes again.  Pure: no allocation, no system call, no state
 * but the caller's.
 */

/* The largest head that can be read: positions in it fit in 16 bits. */
#define HTTP_HEAD_MAX	65535

/* Bytes of the caller's buffer; not terminated; dies with the buffer. */
struct http_slice {
	const char *p;
	size_t len;
};

/* All in bytes, without the line's end, but for fields: a count. */
struct http_limits {
	uint32_t line;		/* request line; above: 414 */
	uint32_t field;		/* one field line; above: 431 */
	uint32_t fields;		/* number of field lines; above: 431 */
	uint32_t head;		/* whole head with its ends; above: 431 */
};

/* How far a head has been read: zero it before a connection's first look. */
struct http_scan {
	uint16_t at;		/* every byte before has been looked at */
	uint16_t line;		/* start of the line that is not yet whole */
	uint16_t lines;		/* request line and field lines before it */
};

struct http_head {
	struct http_slice method;	/* before it, empty lines alone */
	struct http_slice target;	/* as sent */
	struct http_slice path;		/* of the target, no query; or "/" */
	struct http_slice fields;	/* the field lines, each with CRLF */
	int minor;			/* of HTTP/1.x */
	bool asterisk;			/* OPTIONS of all, "*" */
	bool no_host;			/* Host is there, and empty */
	bool expect;			/* 100 (Continue) is waited for */
	int status;			/* with HTTP_BAD: the answer */
};

enum {
	HTTP_BAD = -2,
	HTTP_PARTIAL = -1
};

/*
 * Read the head that begins at buf, of which len bytes are there.  scan tells
 * where the last look at the same, shorter bytes ended, and is moved on: of
 * what it has passed, only the method is read again before the head is whole.
 *
 * Returns the length of the head (its empty line included), with all of *head
 * set; HTTP_PARTIAL, when nothing is wrong so far and more must come; HTTP_BAD
 * with head->status 400, 405, 414, 417, 431 or 505.  Unless whole, nothing of
 * *head is set but status and, once it has been read, method; the rest is
 * zero.  RFC 9112 sections 2 to 6, RFC 9110 sections 4.2, 7.2, 8.6 and 10.1.1.
 */
int	http_parse_head(const char *buf, size_t len, struct http_scan *scan,
	    const struct http_limits *limits, struct http_head *head);

/*
 * Take the next field line off *fields (first: a head's fields).  Returns
 * false at the end.  The value has no white space around it.
 */
bool	http_parse_field(struct http_slice *fields, struct http_slice *name,
	    struct http_slice *value);

/* Whether s is word, letters of either case being alike (RFC 9110 5.1); or to
   the letter. */
bool	http_parse_is(struct http_slice s, const char *word);
bool	http_parse_equal(struct http_slice s, const char *word);

/*
 * Whether s can stand as a field name (a token, RFC 9110 5.1), or as a field
 * value (no control byte but HTAB, RFC 9110 5.5).
 */
bool	http_parse_is_token(struct http_slice s);
bool	http_parse_is_value(struct http_slice s);

#endif
