/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "fdaccept.h"
#include "text.h"

#ifndef MSG_ERRQUEUE
#define MSG_ERRQUEUE	0	/* Linux's */
#endif

enum stage {
	STAGE_NONE,		/* the head has been read */
	STAGE_FRONT,		/* before the request line */
	STAGE_REQUEST,		/* in the request line */
	STAGE_CLOSE,		/* behind it, in what is put in */
	STAGE_LINE,		/* at the start of a field line, or a trailer */
	STAGE_FIELD,		/* in a field line that stays */
	STAGE_DROPPED,		/* in one that is left out, as all trailers */
	STAGE_LAST,		/* between CR and LF of the empty line */
	STAGE_WEBSOCKET,	/* in a head that stays, or behind it */
	STAGE_SIZE,		/* in the digits of a chunk's size */
	STAGE_EXTENSION,	/* behind them, in the same line */
	STAGE_DATA,		/* in a chunk */
	STAGE_DATA_END,		/* behind it */
	STAGE_BROKEN		/* no chunk: there is nothing more to be read */
};

/* A chunk that is larger is none. */
#define CHUNK_MAX	(UINT64_C(1) << 48)

/* What the server must answer before a WebSocket is one. */
#define SWITCHED	"HTTP/1.1 101 "
#define REFUSED		0xff	/* in matched: it has answered otherwise */

/* Segments of a caller's buffer that one system call fills. */
#define SEGMENTS	8

/*
 * Written by accept before the server has the number, and by whoever reads and
 * writes that client, which is the server's own care.  Pages that are never
 * touched cost nothing.
 */
static struct fdaccept_head heads[FDACCEPT_HEADS];

/* ---- editing ---- */

/* Whether the line has that field name: 1, 0, or -1 if that is not in sight. */
static int
is_field(const char *line, size_t n, const char *name)
{
	size_t len = strlen(name);

	if (n <= len)
		return strncasecmp(line, name, n) == 0 ? -1 : 0;
	return strncasecmp(line, name, len) == 0 && (line[len] == ':' ||
	    line[len] == ' ' || line[len] == '\t');
}

/* Whether the line, which holds a field, has that value. */
static bool
is_value(const char *line, size_t n, const char *value)
{
	const char *p = memchr(line, ':', n), *end = line + n;

	if (p == NULL)
		return false;
	for (p++; p < end && (*p == ' ' || *p == '\t'); p++)
		;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return (size_t)(end - p) == strlen(value) &&
	    strncasecmp(p, value, strlen(value)) == 0;
}

/* The length of a head that asks for a WebSocket and nothing else, or 0. */
static size_t
websocket(const char *in, size_t n)
{
	static const char version[] = " HTTP/1.1";
	const char *line = in, *lf;
	bool asked = false;
	size_t len, left = n;

	if (n < 4 || memcmp(in, "GET ", 4) != 0)
		return 0;
	while ((lf = memchr(line, '\n', left)) != NULL) {
		len = (size_t)(lf - line);
		if (len > 0 && line[len - 1] == '\r')
			len--;
		if (len == 0)
			return asked ? (size_t)(lf + 1 - in) : 0;
		if (line == in && (len < sizeof(version) ||
		    memcmp(line + len + 1 - sizeof(version), version,
		    sizeof(version) - 1) != 0))
			return 0;
		if (is_field(line, len, "upgrade") == 1) {
			if (asked || !is_value(line, len, "websocket"))
				return 0;
			asked = true;
		}
		if (is_field(line, len, "content-length") == 1 ||
		    is_field(line, len, "transfer-encoding") == 1)
			return 0;
		left -= (size_t)(lf + 1 - line);
		line = lf + 1;
	}
	return 0;
}

/* What is left to be read, and to be written into. */
struct cursor {
	const char *in, *in_end;
	char *out, *out_end;
};

/* How much is in sight and has room. */
static size_t
ahead(const struct cursor *c)
{
	size_t sight = (size_t)(c->in_end - c->in);
	size_t room = (size_t)(c->out_end - c->out);

	return sight < room ? sight : room;
}

/* Hand out len bytes as they are, of which out may be in front. */
static void
put(struct cursor *c, size_t len)
{
	memmove(c->out, c->in, len);
	c->in += len;
	c->out += len;
}

/* Before the request line: pass over an empty line; false if it is cut. */
static bool
pass_empty(struct fdaccept_head *head, struct cursor *c)
{
	size_t n = (size_t)(c->in_end - c->in), len;

	if (*c->in == '\r' && n == 1)
		return false;
	if (*c->in == '\n' || (*c->in == '\r' && c->in[1] == '\n')) {
		c->in += *c->in == '\n' ? 1 : 2;
		return true;
	}
	len = websocket(c->in, n);
	head->stage = len > 0 ? STAGE_WEBSOCKET : STAGE_REQUEST;
	head->left = (uint16_t)len;
	return true;
}

static void
put_close(struct fdaccept_head *head, struct cursor *c)
{
	size_t len = FDACCEPT_EXTRA - head->matched;

	if (len > (size_t)(c->out_end - c->out))
		len = (size_t)(c->out_end - c->out);
	memcpy(c->out, &FDACCEPT_CLOSE[head->matched], len);
	c->out += len;
	head->matched = (uint8_t)(head->matched + len);
	if (head->matched == FDACCEPT_EXTRA)
		head->stage = STAGE_LINE;
}

/* At the start of a line behind the request line; false if its name is cut. */
static bool
begin_line(struct fdaccept_head *head, struct cursor *c)
{
	size_t n = (size_t)(c->in_end - c->in);
	int connection, upgrade, coding;

	if (*c->in == '\r' || *c->in == '\n') {
		head->stage = STAGE_LAST;
		if (*c->in == '\r')
			put(c, 1);
		return true;
	}
	if (head->in_body) {
		head->stage = STAGE_DROPPED;
		return true;
	}
	coding = is_field(c->in, n, "transfer-encoding");
	head->chunked = head->chunked || coding == 1;
	connection = is_field(c->in, n, "connection");
	upgrade = is_field(c->in, n, "upgrade");
	if (connection == 1 || upgrade == 1)
		head->stage = STAGE_DROPPED;
	else if (connection == 0 && upgrade == 0 && coding != -1)
		head->stage = STAGE_FIELD;
	return head->stage != STAGE_LINE;
}

/* As much of a line as is in sight and has room, with its end. */
static void
put_line(struct fdaccept_head *head, struct cursor *c)
{
	bool drops = head->stage == STAGE_DROPPED;
	size_t len = drops ? (size_t)(c->in_end - c->in) : ahead(c);
	const char *lf = memchr(c->in, '\n', len);

	if (lf != NULL) {
		len = (size_t)(lf + 1 - c->in);
		if (head->stage == STAGE_REQUEST)
			head->stage = STAGE_CLOSE;
		else if (head->stage == STAGE_EXTENSION && head->chunk > 0)
			head->stage = STAGE_DATA;
		else
			head->stage = STAGE_LINE;
	}
	if (drops)
		c->in += len;
	else
		put(c, len);
}

/* The LF of the empty line: of the head, or of the trailers behind chunks. */
static void
put_last(struct fdaccept_head *head, struct cursor *c)
{
	if (*c->in != '\n') {
		head->stage = head->in_body ? STAGE_BROKEN : STAGE_FIELD;
		return;
	}
	put(c, 1);
	head->stage = head->chunked && !head->in_body ? STAGE_SIZE :
	    STAGE_NONE;
	head->in_body = true;
	head->matched = 0;
}

/* A chunk's size (RFC 9112 7.1); matched says that there was a digit. */
static void
put_size(struct fdaccept_head *head, struct cursor *c)
{
	int value = text_hex(*c->in);

	if (value >= 0 && head->chunk < CHUNK_MAX) {
		head->chunk = head->chunk * 16 + (uint64_t)value;
		head->matched = 1;
		put(c, 1);
	} else {
		head->stage = value < 0 && head->matched ? STAGE_EXTENSION :
		    STAGE_BROKEN;
	}
}

static void
put_data(struct fdaccept_head *head, struct cursor *c)
{
	size_t len = ahead(c);

	if (len > head->chunk)
		len = (size_t)head->chunk;
	put(c, len);
	head->chunk -= len;
	if (head->chunk == 0) {
		head->stage = STAGE_DATA_END;
		head->matched = 0;
	}
}

/* CRLF behind a chunk, or LF; matched says that the CR has been read. */
static void
put_data_end(struct fdaccept_head *head, struct cursor *c)
{
	if (*c->in == '\n') {
		head->stage = STAGE_SIZE;
		head->matched = 0;
	} else if (*c->in == '\r' && !head->matched) {
		head->matched = 1;
	} else {
		head->stage = STAGE_BROKEN;
		return;
	}
	put(c, 1);
}

void
fdaccept_head_start(struct fdaccept_head *head)
{
	memset(head, 0, sizeof(*head));
	head->stage = STAGE_FRONT;
}

size_t
fdaccept_head_edit(struct fdaccept_head *head, char *out, const char *in,
    size_t n, size_t room, size_t *taken)
{
	struct cursor c = { in, in + n, out, out + room };
	bool more = true;

	while (more && c.in < c.in_end && c.out < c.out_end) {
		switch ((enum stage)head->stage) {
		case STAGE_FRONT:
			more = pass_empty(head, &c);
			break;
		case STAGE_CLOSE:
			put_close(head, &c);
			break;
		case STAGE_LINE:
			more = begin_line(head, &c);
			break;
		case STAGE_LAST:
			put_last(head, &c);
			break;
		case STAGE_SIZE:
			put_size(head, &c);
			break;
		case STAGE_DATA:
			put_data(head, &c);
			break;
		case STAGE_DATA_END:
			put_data_end(head, &c);
			break;
		case STAGE_REQUEST:
		case STAGE_FIELD:
		case STAGE_DROPPED:
		case STAGE_EXTENSION:
			put_line(head, &c);
			break;
		case STAGE_NONE:
		case STAGE_WEBSOCKET:
		case STAGE_BROKEN:
			more = false;
			break;
		}
	}
	*taken = (size_t)(c.in - in);
	return (size_t)(c.out - out);
}

/* ---- receiving ---- */

static size_t
size_of(const struct msghdr *msg)
{
	size_t i, size = 0;

	for (i = 0; i < (size_t)msg->msg_iovlen; i++)
		size += msg->msg_iov[i].iov_len;
	return size;
}

/* The buffers of msg from byte at on, size bytes of them; their number. */
static size_t
slice(const struct msghdr *msg, size_t at, size_t size, struct iovec *dst,
    size_t max)
{
	size_t i, len, n = 0;

	for (i = 0; i < (size_t)msg->msg_iovlen && n < max && size > 0; i++) {
		len = msg->msg_iov[i].iov_len;
		if (at >= len) {
			at -= len;
			continue;
		}
		len -= at;
		if (len > size)
			len = size;
		dst[n].iov_base = (char *)msg->msg_iov[i].iov_base + at;
		dst[n++].iov_len = len;
		size -= len;
		at = 0;
	}
	return n;
}

/* Put the bytes into the buffers of msg, from byte at on. */
static void
scatter(const struct msghdr *msg, size_t at, const char *data, size_t len)
{
	struct iovec part;

	while (len > 0 && slice(msg, at, len, &part, 1) == 1) {
		memcpy(part.iov_base, data, part.iov_len);
		data += part.iov_len;
		len -= part.iov_len;
		at += part.iov_len;
	}
}

static ssize_t
receive_into(fdaccept_recvmsg *receive, int fd, struct iovec *iov, size_t n,
    int flags)
{
	struct msghdr msg;

	memset(&msg, 0, sizeof(msg));
	msg.msg_iov = iov;
	msg.msg_iovlen = (int)n;
	return receive(fd, &msg, flags);
}

/* A head that stays as it is, and then nothing, until the answer is known. */
static ssize_t
receive_websocket(fdaccept_recvmsg *receive, int fd, struct msghdr *msg,
    int flags)
{
	struct fdaccept_head *head = &heads[fd];
	struct iovec iov[SEGMENTS];
	char byte;
	ssize_t n;

	if (head->left > 0) {
		n = receive_into(receive, fd, iov, slice(msg, 0, head->left,
		    iov, SEGMENTS), flags & ~MSG_WAITALL);
		if (n > 0 && (flags & MSG_PEEK) == 0)
			head->left = (uint16_t)(head->left - n);
		return n;
	}
	iov[0] = (struct iovec){ &byte, 1 };
	n = receive_into(receive, fd, iov, 1, (flags & ~MSG_WAITALL) |
	    MSG_PEEK);
	/* Another thread may have answered while this one was waiting. */
	if (n > 0 && fdaccept_head_pending(fd))
		return 0;
	return n > 0 ? receive(fd, msg, flags) : n;
}

/* What there is of the body now, behind the first got bytes of the buffers. */
static size_t
receive_rest(fdaccept_recvmsg *receive, int fd, const struct msghdr *msg,
    size_t got, size_t room, int flags)
{
	struct iovec iov[SEGMENTS];
	ssize_t n;

	while (got < room) {
		n = receive_into(receive, fd, iov, slice(msg, got, room - got,
		    iov, SEGMENTS), flags | MSG_DONTWAIT);
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	return got;
}

/*
 * Look, edit, hand out, and only then take what was handed out; in the same
 * call, as much as there is and has room: an edge-triggered server takes a
 * short read for the last.
 */
static ssize_t
receive_edited(fdaccept_recvmsg *receive, int fd, struct msghdr *msg,
    int asked)
{
	char buf[FDACCEPT_EXTRA + FDACCEPT_WINDOW], *raw = buf + FDACCEPT_EXTRA;
	bool peeks = (asked & MSG_PEEK) != 0, drops = (asked & MSG_TRUNC) != 0;
	int flags = asked & ~(MSG_WAITALL | MSG_PEEK | MSG_TRUNC);
	struct iovec iov;
	struct fdaccept_head head;
	size_t room = size_of(msg), got = 0, len, taken;
	ssize_t n;

	for (;;) {
		iov = (struct iovec){ raw, FDACCEPT_WINDOW };
		n = receive_into(receive, fd, &iov, 1, flags | MSG_PEEK);
		if (n <= 0)
			return got > 0 ? (ssize_t)got : n;
		head = heads[fd];
		len = room - got < sizeof(buf) ? room - got : sizeof(buf);
		len = fdaccept_head_edit(&head, buf, raw, (size_t)n, len,
		    &taken);
		if (!drops)
			scatter(msg, got, buf, len);
		got += len;
		if (head.stage == STAGE_WEBSOCKET && taken == 0) {
			heads[fd] = head;
			return receive_websocket(receive, fd, msg, asked);
		}
		if (peeks && (got > 0 || taken == 0)) {
			len = head.stage == STAGE_NONE ? (size_t)n - taken : 0;
			if (len > room - got)
				len = room - got;
			if (!drops)
				scatter(msg, got, raw + taken, len);
			return (ssize_t)(got + len);
		}
		iov.iov_len = taken;
		n = taken == 0 ? 0 : receive_into(receive, fd, &iov, 1, flags |
		    MSG_DONTWAIT);
		if (n != (ssize_t)taken) {
			errno = n == -1 ? errno : EAGAIN;
			return -1;
		}
		heads[fd] = head;
		if (head.stage == STAGE_NONE && !drops)
			got = receive_rest(receive, fd, msg, got, room, flags);
		if (head.stage == STAGE_NONE || got == room || taken == 0)
			return (ssize_t)got;
		if (got > 0)
			flags |= MSG_DONTWAIT;
	}
}

int
fdaccept_head_begin(int fd)
{
	struct stat st;

	if (fd >= FDACCEPT_HEADS || fstat(fd, &st) == -1) {
		errno = EMFILE;
		return -1;
	}
	fdaccept_head_start(&heads[fd]);
	heads[fd].inode = (uint32_t)st.st_ino;
	return 0;
}

bool
fdaccept_head_pending(int fd)
{
	struct stat st;

	if (fd < 0 || fd >= FDACCEPT_HEADS || heads[fd].stage == STAGE_NONE)
		return false;
	if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    (uint32_t)st.st_ino == heads[fd].inode)
		return true;
	heads[fd].stage = STAGE_NONE;
	return false;
}

ssize_t
fdaccept_head_receive(fdaccept_recvmsg *receive, int fd, struct msghdr *msg,
    int flags)
{
	ssize_t n;

	if ((flags & (MSG_OOB | MSG_ERRQUEUE)) != 0)
		return receive(fd, msg, flags);
	if (size_of(msg) == 0)
		return 0;
	if (heads[fd].stage == STAGE_WEBSOCKET)
		n = receive_websocket(receive, fd, msg, flags);
	else
		n = receive_edited(receive, fd, msg, flags);
	if (n != -1) {
		msg->msg_namelen = 0;
		msg->msg_controllen = 0;
		msg->msg_flags = 0;
	}
	return n;
}

/* What the answer's next sent bytes, or all of them, make of the head. */
static void
match(struct fdaccept_head *head, const struct iovec *iov, size_t n,
    size_t sent)
{
	const char *p;
	size_t i, j;

	for (i = 0; i < n; i++) {
		p = iov[i].iov_base;
		for (j = 0; j < iov[i].iov_len; j++) {
			if (sent-- == 0 || head->matched == REFUSED ||
			    head->stage != STAGE_WEBSOCKET)
				return;
			if (p[j] != SWITCHED[head->matched++])
				head->matched = REFUSED;
			else if (head->matched == sizeof(SWITCHED) - 1)
				head->stage = STAGE_NONE;
		}
	}
}

void
fdaccept_head_sending(int fd, const struct iovec *iov, size_t n)
{
	struct fdaccept_head head = heads[fd];

	match(&head, iov, n, SIZE_MAX);
	if (head.stage == STAGE_NONE)
		heads[fd] = head;
}

void
fdaccept_head_sent(int fd, const struct iovec *iov, size_t n, ssize_t sent)
{
	if (sent > 0)
		match(&heads[fd], iov, n, (size_t)sent);
}
