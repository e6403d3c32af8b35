/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <string.h>

#include "reply.h"
#include "sock.h"
#include "text.h"

struct answer {
	int status;
	const char *reason;	/* RFC 9110 section 15 */
	const char *field;	/* one more field line, or "" */
	const char *text;
};

static const struct answer answers[] = {
	{ 200, "OK", "", "" },
	{ 400, "Bad Request", "", "The request is malformed.\n" },
	{ 404, "Not Found", "", "There is nothing at this path.\n" },
	{ 405, "Method Not Allowed", "Allow: GET, HEAD\r\n",
	    "The method is not allowed here.\n" },
	{ 408, "Request Timeout", "", "The request took too long.\n" },
	{ 414, "URI Too Long", "", "The request line is too long.\n" },
	{ 417, "Expectation Failed", "",
	    "The expectation is unknown here.\n" },
	{ 431, "Request Header Fields Too Large", "",
	    "The request head is too large.\n" },
	{ 500, "Internal Server Error", "",
	    "The backend of this path is misconfigured.\n" },
	{ 503, "Service Unavailable", "Retry-After: 1\r\n",
	    "The service is not available now.\n" },
	{ 505, "HTTP Version Not Supported", "",
	    "This server speaks HTTP/1.1.\n" }
};

static const struct answer *
find(int status)
{
	size_t i;

	for (i = 0; i < sizeof(answers) / sizeof(*answers); i++)
		if (answers[i].status == status)
			return &answers[i];
	return find(500);
}

size_t
reply_length(int status)
{
	return strlen(find(status)->text);
}

enum flush_result
reply_write(int fd, int status, bool head_only, const struct flush_own *own,
    uint32_t wall, uint32_t *offset)
{
	const struct answer *a = find(status);
	char text[FLUSH_FIELDS + 512], fields[FLUSH_FIELDS];
	size_t len;

	len = text_format(text, sizeof(text),
	    "HTTP/1.1 %d %s\r\n%s%s"
	    "Content-Type: text/plain\r\nContent-Length: %zu\r\n"
	    "Connection: close\r\n\r\n%s", a->status, a->reason,
	    flush_fields(fields, own, wall), a->field, strlen(a->text),
	    head_only ? "" : a->text);
	return flush_bytes(fd, text, len, offset, 0);
}

bool
reply_drain(int fd, char *buf, size_t size, uint32_t *drained, uint32_t bound)
{
	ssize_t n;

	while (*drained < bound) {
		n = recv(fd, buf, size, MSG_DONTWAIT);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return true;
		if (n <= 0)
			return false;
		*drained += (uint32_t)n;
	}
	return false;
}
