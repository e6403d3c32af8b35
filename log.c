/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "text.h"

#ifndef _PATH_LOG		/* where it is elsewhere, <syslog.h> says so */
#define _PATH_LOG	"/dev/log"
#endif

static const char *const names[LOG_L_COUNT] = {
	[LOG_L_ERROR] = "error",
	[LOG_L_WARN] = "warn",
	[LOG_L_NOTICE] = "notice",
	[LOG_L_INFO] = "info",
	[LOG_L_DEBUG] = "debug"
};

static const char *program = "fdproxy";
static enum log_level threshold = LOG_L_NOTICE;
static bool nonblocking;
static unsigned long dropped;		/* lines, not reported yet */
static unsigned long dropped_ever;

struct sink {
	const char *name;
	int fd;				/* -1: lines go nowhere */
};

static struct sink sinks[LOG_KINDS] = {
	[LOG_MESSAGES] = { "stderr", STDERR_FILENO },
	[LOG_ACCESS] = { NULL, -1 }
};

void
log_name(const char *name)
{
	program = name;
}

void
log_level(enum log_level level)
{
	threshold = level;
}

int
log_level_named(const char *name)
{
	int i;

	for (i = 0; i < LOG_L_COUNT; i++)
		if (strcasecmp(name, names[i]) == 0)
			return i;
	return -1;
}

void
log_nonblocking(bool on)
{
	nonblocking = on;
}

bool
log_wanted(enum log_level level)
{
	return level <= threshold;
}

bool
log_access_wanted(void)
{
	return sinks[LOG_ACCESS].fd != -1;
}

unsigned long
log_dropped(void)
{
	return dropped_ever;
}

static bool
plain(char c)
{
	return c >= 0x20 && c < 0x7f;
}

/* how: the text before the two hexadecimal digits of an escaped byte. */
static const char *
quote(char *dst, size_t size, const char *src, size_t len, const char *how)
{
	size_t i, n = 0;

	for (i = 0; i < len && n + strlen(how) + 3 <= size; i++) {
		if (plain(src[i]) && src[i] != '"' && src[i] != '\\')
			dst[n++] = src[i];
		else
			n += text_format(dst + n, size - n, "%s%02x", how,
			    (unsigned char)src[i]);
	}
	dst[n] = '\0';
	return dst;
}

const char *
log_quote(char *dst, size_t size, const char *src, size_t len)
{
	return quote(dst, size, src, len, "\\x");
}

const char *
log_quote_json(char *dst, size_t size, const char *src, size_t len)
{
	return quote(dst, size, src, len, "\\u00");
}

int
log_file(const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX,
	    .sun_path = _PATH_LOG };
	int fd;

	if (strcmp(name, "stderr") == 0)
		return STDERR_FILENO;
	if (strncmp(name, "fd:", 3) == 0)
		return fcntl(atoi(name + 3), F_DUPFD_CLOEXEC, 3);
	if (strcmp(name, "syslog") == 0) {
		/* By hand: syslog(3) blocks when its reader does. */
		fd = socket(AF_UNIX, SOCK_DGRAM, 0);
		if (fd != -1 && connect(fd, (struct sockaddr *)&addr,
		    sizeof(addr)) == -1) {
			close(fd);
			fd = -1;
		}
	} else {
		fd = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC |
		    O_NOCTTY | O_NONBLOCK, 0644);
	}
	if (fd != -1)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

void
log_use(enum log_kind kind, const char *name, int fd)
{
	struct sink *s = &sinks[kind];

	if (s->fd != -1 && s->fd != STDERR_FILENO && s->fd != fd)
		close(s->fd);
	s->fd = fd;
	s->name = name;
}

const char *
log_where(enum log_kind kind)
{
	return sinks[kind].name;
}

int
log_fd(enum log_kind kind)
{
	return sinks[kind].fd;
}

void
log_reopen(void)
{
	int i, fd;

	for (i = 0; i < LOG_KINDS; i++) {
		/* A descriptor that was given has no file's name. */
		if (sinks[i].fd == -1 || strncmp(sinks[i].name, "fd:", 3) == 0)
			continue;
		fd = log_file(sinks[i].name);
		if (fd != -1)
			log_use((enum log_kind)i, sinks[i].name, fd);
		else
			log_error("cannot open %s again: %s", sinks[i].name,
			    strerror(errno));
	}
}

/*
 * Never set O_NONBLOCK on descriptor 2: it is shared with whoever started us.
 * A pipe that is writable takes PIPE_BUF bytes whole, and LOG_LINE is less.
 */
static bool
would_block(const struct sink *s)
{
	struct pollfd p = { s->fd, POLLOUT, 0 };

	return nonblocking && (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT));
}

/* Write a line.  False if it is lost, as on a full disk: it is counted. */
static bool
put(enum log_kind kind, enum log_level level, const char *line, size_t len)
{
	/* Facility 3 (daemon), RFC 3164 4.1.1. */
	static const char *const priorities[LOG_L_COUNT] = {
		"<27>", "<28>", "<29>", "<30>", "<31>"
	};
	struct sink *s = &sinks[kind];
	char packet[LOG_LINE + 4];
	ssize_t n;
	int fd;

	if (strcmp(s->name, "syslog") != 0) {
		n = would_block(s) ? -1 : write(s->fd, line, len);
	} else {
		memcpy(packet, priorities[level], 4);
		memcpy(packet + 4, line, len - 1);
		n = send(s->fd, packet, len + 3, MSG_DONTWAIT);
		/* The system's log may have been started anew. */
		if (n == -1 && (errno == ECONNREFUSED || errno == ENOTCONN ||
		    errno == ECONNRESET) && (fd = log_file(s->name)) != -1) {
			close(s->fd);
			s->fd = fd;
			n = send(fd, packet, len + 3, MSG_DONTWAIT);
		}
	}
	if (n != -1)
		return true;
	dropped++;
	dropped_ever++;
	return false;
}

/* The start of a message; with the time in a file, which nobody else dates. */
static size_t
begin(char line[LOG_LINE], enum log_level level)
{
	bool dated = *sinks[LOG_MESSAGES].name == '/';

	return text_format(line, LOG_LINE, "%s%s%s%.64s: %s: ",
	    dated ? "[" : "", dated ? clock_log(clock_wall()) : "",
	    dated ? "] " : "", program, names[level]);
}

static void
report_dropped(void)
{
	unsigned long n = dropped;
	char line[LOG_LINE];
	size_t len;

	if (n == 0 || sinks[LOG_MESSAGES].fd == -1 ||
	    would_block(&sinks[LOG_MESSAGES]))
		return;
	dropped = 0;
	len = begin(line, LOG_L_WARN);
	len += text_format(line + len, sizeof(line) - len,
	    "%lu log lines dropped\n", n);
	/* The report itself is not counted as dropped. */
	if (!put(LOG_MESSAGES, LOG_L_WARN, line, len)) {
		dropped = n;
		dropped_ever--;
	}
}

/*
 * Append the text to a line of n bytes, escaped, with a newline.  Returns the
 * line's length.
 */
static size_t
finish(char line[LOG_LINE], size_t n, const char *text)
{
	for (; *text != '\0' && n + 5 < LOG_LINE; text++) {
		if (plain(*text))
			line[n++] = *text;
		else
			n += text_format(line + n, LOG_LINE - n, "\\x%02x",
			    (unsigned char)*text);
	}
	line[n++] = '\n';
	return n;
}

void
log_access(const char *fmt, ...)
{
	char text[LOG_LINE], line[LOG_LINE];
	int saved = errno;
	va_list ap;

	if (log_access_wanted()) {
		va_start(ap, fmt);
		text_vformat(text, sizeof(text), fmt, ap);
		va_end(ap);
		/* The access log is read again, perhaps, so its losses can be
		   told; those on a full disk are, with the next message. */
		if (put(LOG_ACCESS, LOG_L_INFO, line, finish(line, 0, text)))
			report_dropped();
	}
	errno = saved;
}

static void
vmessage(enum log_level level, const char *fmt, va_list ap)
{
	char text[LOG_LINE], line[LOG_LINE];
	int saved = errno;
	size_t n;

	if (level > threshold || sinks[LOG_MESSAGES].fd == -1)
		return;
	text_vformat(text, sizeof(text), fmt, ap);
	n = begin(line, level);
	report_dropped();
	put(LOG_MESSAGES, level, line, finish(line, n, text));
	errno = saved;
}

#define LOG_FUNCTION(name, level)			\
void							\
name(const char *fmt, ...)				\
{							\
	va_list ap;					\
							\
	va_start(ap, fmt);				\
	vmessage(level, fmt, ap);			\
	va_end(ap);					\
}

LOG_FUNCTION(log_error, LOG_L_ERROR)
LOG_FUNCTION(log_warn, LOG_L_WARN)
LOG_FUNCTION(log_notice, LOG_L_NOTICE)
LOG_FUNCTION(log_info, LOG_L_INFO)
LOG_FUNCTION(log_debug, LOG_L_DEBUG)
