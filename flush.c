/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "flush.h"
#include "sock.h"
#include "text.h"

/* A file is kept in memory; it is meant to be a head and the body's start. */
#define FILE_MAX_BYTES	(16L * 1024 * 1024)

#define APACHE_READ	8000	/* bytes that Apache takes at once */
#define CONTINUE	"HTTP/1.1 100 Continue\r\n\r\n"
#define CONTINUE_LEN	(sizeof(CONTINUE) - 1)

struct flush {
	const struct flusher *type;
	char *text;		/* begins with CONTINUE */
	uint32_t len;
	uint32_t date;		/* where the time is in text, or 0 */
	int status;		/* in text, or 0 */
	uint32_t stamp;		/* the second that is written there */
};

struct flusher {
	const char *name;	/* with a ':' if an argument follows */
	/* Returns NULL, or what is wrong. */
	const char *(*make)(struct flush *flush, const char *arg,
	    const char *headers, const struct flush_own *own);
	bool writes;		/* if not, no head is consumed either */
};

/* Room for a text of n bytes behind CONTINUE. */
static char *
reserve(struct flush *flush, size_t n)
{
	flush->text = malloc(CONTINUE_LEN + n + 1);
	if (flush->text == NULL)
		return NULL;
	memcpy(flush->text, CONTINUE, CONTINUE_LEN);
	return flush->text + CONTINUE_LEN;
}

const char *
flush_fields(char dst[FLUSH_FIELDS], const struct flush_own *own,
    uint32_t wall)
{
	const char *date = own->date != NULL ? own->date : clock_date(wall);
	bool dated = *date != '\0', named = *own->server != '\0';

	text_format(dst, FLUSH_FIELDS, "%s%.200s%s%s%.200s%s",
	    dated ? "Date: " : "", date, dated ? "\r\n" : "",
	    named ? "Server: " : "", own->server, named ? "\r\n" : "");
	return dst;
}

/* As mod_proxy_fdpass writes it: no length, no chunks, the end is a close. */
static const char *
make_flush(struct flush *flush, const char *arg, const char *headers,
    const struct flush_own *own)
{
	static const char first[] = "HTTP/1.1 200 OK\r\n";
	char fields[FLUSH_FIELDS];
	size_t max = strlen(headers) + sizeof(fields) + 64, n;
	char *text = reserve(flush, max);

	(void)arg;
	if (text == NULL)
		return "out of memory";
	n = text_format(text, max, "%s%s%sConnection: close\r\n\r\n", first,
	    flush_fields(fields, own, 0), headers);
	if (own->date == NULL)
		flush->date = CONTINUE_LEN + sizeof(first) - 1 + 6;
	flush->status = 200;
	flush->len = CONTINUE_LEN + (uint32_t)n;
	return NULL;
}

static const char *
make_none(struct flush *flush, const char *arg, const char *headers,
    const struct flush_own *own)
{
	(void)flush;
	(void)arg;
	(void)own;
	return *headers == '\0' ? NULL :
	    "header= has no effect with this flusher";
}

/* A response head: HTTP/1.1, every line of it with CRLF, an empty line. */
static bool
is_head(const char *text)
{
	const char *lf = text;

	if (strncmp(text, "HTTP/1.1 ", 9) != 0)
		return false;
	while ((lf = strchr(lf, '\n')) != NULL && lf[-1] == '\r') {
		lf++;
		if (lf[0] == '\r' && lf[1] == '\n')
			return true;
	}
	return false;
}

static const char *
make_file(struct flush *flush, const char *arg, const char *headers,
    const struct flush_own *own)
{
	const char *error = make_none(flush, arg, headers, own);
	struct stat st;
	char *text;
	long n = -1;
	int fd;

	if (error != NULL)
		return error;
	fd = open(arg, O_RDONLY | O_CLOEXEC | O_NONBLOCK);	/* no FIFO */
	if (fd != -1 && fstat(fd, &st) == 0) {
		if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES)
			errno = S_ISREG(st.st_mode) ? EFBIG : EINVAL;
		else if ((text = reserve(flush, (size_t)st.st_size)) != NULL)
			n = (long)read(fd, text, (size_t)st.st_size);
	}
	if (fd != -1)
		sock_drop(fd);
	if (n == -1)
		return "the flusher's file cannot be read";
	errno = 0;
	text = flush->text + CONTINUE_LEN;
	text[n] = '\0';
	if (!is_head(text))
		return "the flusher's file is not a response head: HTTP/1.1, "
		    "lines that end in CRLF, an empty line";
	flush->len = (uint32_t)(CONTINUE_LEN + (size_t)n);
	return NULL;
}

static const struct flusher flushers[] = {
	{ "flush", make_flush, true },
	{ "none", make_none, false },
	{ "file:", make_file, true }
};

struct flush *
flush_new(const char *name, const char *headers, const struct flush_own *own,
    const char **error)
{
	const struct flusher *type = NULL;
	struct flush *flush;
	size_t i, n;

	errno = 0;
	/* An argument stands behind a name that ends in a colon. */
	for (i = 0; i < sizeof(flushers) / sizeof(*flushers); i++) {
		n = strlen(flushers[i].name);
		if (strncmp(name, flushers[i].name, n) == 0 &&
		    (name[n - 1] == ':') == (name[n] != '\0')) {
			type = &flushers[i];
			break;
		}
	}
	if (type == NULL) {
		*error = "unknown flusher; there are flush, none, file:PATH";
		return NULL;
	}
	flush = calloc(1, sizeof(*flush));
	if (flush == NULL) {
		*error = "out of memory";
		return NULL;
	}
	flush->type = type;
	*error = type->make(flush, name + n, headers, own);
	if (*error != NULL) {
		flush_free(flush);
		return NULL;
	}
	return flush;
}

void
flush_free(struct flush *flush)
{
	int saved = errno;

	if (flush != NULL)
		free(flush->text);
	free(flush);
	errno = saved;
}

bool
flush_consumes(const struct flush *flush)
{
	return flush->type->writes;
}

int
flush_status(const struct flush *flush)
{
	return flush->status;
}

uint32_t
flush_start(const struct flush *flush, bool expect)
{
	(void)flush;
	return expect ? 0 : CONTINUE_LEN;
}

enum flush_result
flush_bytes(int fd, const char *text, size_t len, uint32_t *offset, int flags)
{
	size_t left = len - *offset;
	ssize_t n;

#ifdef TORTURE
	if (left > 1)		/* as if the send buffer held a single byte */
		left = 1;
#endif
	do {
		n = send(fd, text + *offset, left,
		    flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n == -1 && errno == EINTR);
	if (n == -1 && errno != EAGAIN && errno != EWOULDBLOCK &&
	    errno != ENOBUFS)
		return FLUSH_FAILED;
	if (n > 0)
		*offset += (uint32_t)n;
	return *offset == len ? FLUSH_DONE : FLUSH_AGAIN;
}

enum flush_result
flush_write(struct flush *flush, int fd, uint32_t wall, uint32_t *offset,
    bool hold)
{
	if (!flush->type->writes)
		return FLUSH_DONE;
	if (flush->date != 0 && flush->stamp != wall) {
		memcpy(flush->text + flush->date, clock_date(wall),
		    CLOCK_DATE_LEN);
		flush->stamp = wall;
	}
	/* A client that waits for a 100 sends nothing before that. */
	return flush_bytes(fd, flush->text, flush->len, offset,
	    hold && *offset >= CONTINUE_LEN ? SOCK_MORE : 0);
}

void
flush_as_apache(const struct flush *f, int fd, size_t head)
{
	static char spare[APACHE_READ];

	sock_nonblock(fd, true);
	if (flush_consumes(f) && head < sizeof(spare))
		recv(fd, spare, sizeof(spare) - head, MSG_DONTWAIT);
}
