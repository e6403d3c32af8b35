/* See LICENSE for copyright and license details. */
#ifndef EDITED_H
#define EDITED_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/*
 * What a server must read of a head that libfdaccept edits, once more: from the
 * whole text at once, line by line, with no thought of speed.
 */

#define EDITED_EXTRA	"Connection: close\r\n"

/* The length of the line at p, with its LF; of what there is, without one. */
static inline size_t
edited_line(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] == '\n')
			return i + 1;
	return n;
}

static inline bool
edited_empty(const char *p, size_t len)
{
	return (len == 1 && *p == '\n') ||
	    (len == 2 && p[0] == '\r' && p[1] == '\n');
}

static inline bool
edited_named(const char *p, size_t len, const char *name)
{
	size_t n = strlen(name);

	return len > n && strncasecmp(p, name, n) == 0 &&
	    (p[n] == ':' || p[n] == ' ' || p[n] == '\t');
}

/*
 * Whether the head at p, without empty lines in front, asks for a WebSocket and
 * nothing else; its length is in *end then.
 */
static inline bool
edited_websocket(const char *p, size_t n, size_t *end)
{
	size_t at, len, i, end_of, upgrades = 0;

	for (at = 0; at < n; at += len) {
		len = edited_line(p + at, n - at);
		if (p[at + len - 1] != '\n')
			return false;
		if (at > 0 && edited_empty(p + at, len)) {
			*end = at + len;
			return upgrades == 1;
		}
		if (at == 0) {
			if (len < 4 || memcmp(p, "GET ", 4) != 0)
				return false;
			i = len - 1;
			if (i > 0 && p[i - 1] == '\r')
				i--;
			if (i < 9 || memcmp(p + i - 9, " HTTP/1.1", 9) != 0)
				return false;
			continue;
		}
		if (edited_named(p + at, len, "content-length") ||
		    edited_named(p + at, len, "transfer-encoding"))
			return false;
		if (!edited_named(p + at, len, "upgrade"))
			continue;
		upgrades++;
		/* Its value without blanks around it. */
		for (i = at + 7; i < at + len && p[i] != ':'; i++)
			;
		if (i == at + len)
			return false;
		for (i++; p[i] == ' ' || p[i] == '\t'; i++)
			;
		end_of = at + len - 1;
		if (end_of > i && p[end_of - 1] == '\r')
			end_of--;
		while (end_of > i &&
		    (p[end_of - 1] == ' ' || p[end_of - 1] == '\t'))
			end_of--;
		if (end_of - i != 9 || strncasecmp(p + i, "websocket", 9) != 0)
			return false;
	}
	return false;
}

static inline int
edited_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *p = c == '\0' ? NULL : strchr(digits, c >= 'A' &&
	    c <= 'Z' ? c | 0x20 : c);

	return p == NULL ? -1 : (int)(p - digits);
}

/*
 * A body in chunks, without trailers, into out; *used is how much of in that
 * is, 0 if it does not end there.
 */
static inline size_t
edited_chunks(const char *in, size_t n, char *out, size_t *used)
{
	size_t at = 0, o = 0, len;
	unsigned long long size;

	*used = 0;
	for (;;) {
		size = 0;
		if (at == n || edited_digit(in[at]) < 0)
			return o;
		while (at < n && edited_digit(in[at]) >= 0) {
			if (size >= 1ull << 48)
				return o;
			size = size * 16 + (unsigned)edited_digit(in[at]);
			out[o++] = in[at++];
		}
		len = edited_line(in + at, n - at);
		memcpy(out + o, in + at, len);
		o += len;
		at += len;
		if (len == 0 || in[at - 1] != '\n')
			return o;
		if (size == 0)
			break;
		len = size < n - at ? (size_t)size : n - at;
		memcpy(out + o, in + at, len);
		o += len;
		at += len;
		if (at < n && in[at] == '\r')
			out[o++] = in[at++];
		if (at == n || in[at] != '\n')
			return o;
		out[o++] = in[at++];
	}
	for (; at < n; at += len) {
		len = edited_line(in + at, n - at);
		if (in[at] != '\r' && in[at] != '\n')
			continue;
		if (edited_empty(in + at, len)) {
			memcpy(out + o, in + at, len);
			*used = at + len;
			return o + len;
		}
		/* A CR alone: there is nothing more. */
		out[o++] = in[at];
		return o;
	}
	return o;
}

/*
 * The text as the server reads it, into out, which has room for n bytes and
 * EDITED_EXTRA.  Returns its length; *head is how much of it is the head, with
 * the body if that comes in chunks, 0 if that is not whole, and *socket whether
 * it is a WebSocket's.
 */
static inline size_t
edited(const char *in, size_t n, char *out, size_t *head, bool *socket)
{
	size_t at = 0, len, o = 0;
	bool chunked = false;

	*head = 0;
	*socket = false;
	while (at < n && edited_empty(in + at, edited_line(in + at, n - at)))
		at += edited_line(in + at, n - at);
	if (edited_websocket(in + at, n - at, &len)) {
		memcpy(out, in + at, n - at);
		*head = len;
		*socket = true;
		return n - at;
	}
	len = edited_line(in + at, n - at);
	memcpy(out, in + at, len);
	o = len;
	at += len;
	if (at == n)
		return o;	/* without a field line nothing is added */
	memcpy(out + o, EDITED_EXTRA, strlen(EDITED_EXTRA));
	o += strlen(EDITED_EXTRA);
	for (; at < n; at += len) {
		len = edited_line(in + at, n - at);
		if (edited_named(in + at, len, "connection") ||
		    edited_named(in + at, len, "upgrade"))
			continue;
		chunked = chunked || edited_named(in + at, len,
		    "transfer-encoding");
		memcpy(out + o, in + at, len);
		o += len;
		if (!edited_empty(in + at, len))
			continue;
		at += len;
		if (chunked) {
			o += edited_chunks(in + at, n - at, out + o, &len);
			if (len == 0)
				return o;
			at += len;
		}
		*head = o;
		memcpy(out + o, in + at, n - at);
		return o + n - at;
	}
	return o;
}

#endif
