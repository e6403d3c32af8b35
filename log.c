/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "sock.h"
#include "text.h"

#define SYSLOG_MS	1000	/* between looks for the system's log */

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

/*
 * Why a line does not wait for its reader, once none may.  Descriptor 2 is
 * shared with whoever started us, so O_NONBLOCK is never set on it.
 */
enum sink_kind {
	SINK_PLAIN,			/* a file, or O_NONBLOCK is set */
	SINK_SOCKET,			/* MSG_DONTWAIT */
	SINK_SYSLOG,			/* the same, from the start */
	SINK_PIPE,			/* what poll(2) calls writable takes
					   PIPE_BUF bytes; LOG_LINE is less */
	SINK_TERMINAL			/* nothing: it gets none */
};

struct sink {
	const char *name;		/* NULL: lines go nowhere */
	int fd;				/* -1: the system's log is not there */
	enum sink_kind kind;
	bool torn;			/* it has the begin of a line */
};

static struct sink sinks[LOG_KINDS] = {
	[LOG_MESSAGES] = { "stderr", STDERR_FILENO, SINK_PLAIN, false },
	[LOG_ACCESS] = { NULL, -1, SINK_PLAIN, false }
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
	struct sink *s = &sinks[LOG_MESSAGES];

	nonblocking = on;
	if (on && s->fd == STDERR_FILENO)
		log_use(LOG_MESSAGES, s->name, log_file(s->name));
}

bool
log_wanted(enum log_level level)
{
	return level <= threshold;
}

bool
log_access_wanted(void)
{
	return sinks[LOG_ACCESS].name != NULL;
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

#define LOG_FLAGS	(O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | \
			O_NONBLOCK)

/*
 * A pipe or terminal that is shared is opened anew, so that O_NONBLOCK is for
 * ourselves.  Others are copied, if that cannot be done or is not needed.
 */
static int
open_anew(int fd)
{
	char path[32];
	struct stat st;
	int own = -1;

	if (fstat(fd, &st) == -1)
		return -1;
	if (S_ISFIFO(st.st_mode) || isatty(fd)) {
#ifdef __linux__
		text_format(path, sizeof(path), "/proc/self/fd/%d", fd);
#else
		text_format(path, sizeof(path), "%s", isatty(fd) ?
		    ttyname(fd) : "");
#endif
		own = open(path, LOG_FLAGS);
		/* Another user's terminal is still ours to write to. */
		if (own == -1 && tcgetpgrp(fd) != -1)
			own = open("/dev/tty", LOG_FLAGS);
	}
	return own == -1 && fd != STDERR_FILENO ?
	    fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) : own;
}

/* The same of a descriptor that we were started with: none that we or a program
   before us have opened is left open by execve(2). */
static int
open_given(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	if (flags == -1)
		return -1;
	if ((flags & FD_CLOEXEC) || sock_listens(fd) ||
	    (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) {
		errno = EBADF;
		return -1;
	}
	return open_anew(fd);
}

int
log_file(const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX,
	    .sun_path = _PATH_LOG };
	int fd;

	if (strcmp(name, "stderr") == 0 || strcmp(name, "fd:2") == 0) {
		fd = open_anew(STDERR_FILENO);
		return fd == -1 ? STDERR_FILENO : fd;
	}
	if (strncmp(name, "fd:", 3) == 0)
		return open_given(atoi(name + 3));
	if (strcmp(name, "syslog") != 0)
		return open(name, LOG_FLAGS | O_CREAT, 0644);
	/* By hand: syslog(3) blocks when its reader does. */
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (fd != -1 && connect(fd, (struct sockaddr *)&addr,
	    sizeof(addr)) == -1) {
		close(fd);
		fd = -1;
	}
	if (fd != -1)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

static enum sink_kind
kind_of(const char *name, int fd)
{
	struct stat st;

	if (name != NULL && strcmp(name, "syslog") == 0)
		return SINK_SYSLOG;
	if (fd == -1 || fstat(fd, &st) == -1)
		return SINK_PLAIN;
	if (S_ISSOCK(st.st_mode))
		return SINK_SOCKET;
	if (fcntl(fd, F_GETFL) & O_NONBLOCK)
		return SINK_PLAIN;
	if (S_ISFIFO(st.st_mode))
		return SINK_PIPE;
	return isatty(fd) ? SINK_TERMINAL : SINK_PLAIN;
}

void
log_use(enum log_kind kind, const char *name, int fd)
{
	struct sink *s = &sinks[kind];

	if (s->fd != -1 && s->fd != STDERR_FILENO && s->fd != fd)
		close(s->fd);
	s->fd = fd;
	s->name = name;
	s->kind = kind_of(name, fd);
	s->torn = false;
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
		if (sinks[i].name == NULL ||
		    strncmp(sinks[i].name, "fd:", 3) == 0 ||
		    strcmp(sinks[i].name, "stderr") == 0)
			continue;
		fd = log_file(sinks[i].name);
		if (fd != -1)
			log_use((enum log_kind)i, sinks[i].name, fd);
		else
			log_error("cannot open %s again: %s", sinks[i].name,
			    strerror(errno));
	}
}

static bool
would_block(const struct sink *s)
{
	struct pollfd p = { s->fd, POLLOUT, 0 };

	return nonblocking && (s->kind == SINK_TERMINAL ||
	    (s->kind == SINK_PIPE &&
	    (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT))));
}

/* What a reader cannot take now is waited for only while nobody is served. */
static ssize_t
write_bytes(const struct sink *s, const char *bytes, size_t len)
{
	struct pollfd p = { s->fd, POLLOUT, 0 };
	bool waits = !nonblocking && s->kind != SINK_SYSLOG;
	ssize_t n;

	if (would_block(s))
		return -1;
	do {
		if (s->kind == SINK_SOCKET || s->kind == SINK_SYSLOG)
			n = send(s->fd, bytes, len, waits ? 0 : MSG_DONTWAIT);
		else
			n = write(s->fd, bytes, len);
	} while (n == -1 && waits && (errno == EAGAIN ||
	    errno == EWOULDBLOCK) && poll(&p, 1, -1) == 1);
	return n;
}

/* The system's log may be started later than we are, or anew. */
static bool
find_syslog(struct sink *s)
{
	static uint32_t tried;

	if (!clock_again(&tried, SYSLOG_MS))
		return false;
	if (s->fd != -1)
		close(s->fd);
	s->fd = log_file(s->name);
	return s->fd != -1;
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
	bool syslog = s->kind == SINK_SYSLOG;
	const char *first = syslog ? priorities[level] : s->torn ? "\n" : "";
	char bytes[LOG_LINE + 5];
	size_t all = text_format(bytes, sizeof(bytes), "%s", first);
	ssize_t n = -1;

	if (syslog)
		len--;		/* no newline there */
	memcpy(bytes + all, line, len);
	all += len;
	errno = ENOTCONN;
	if (s->fd != -1)
		n = write_bytes(s, bytes, all);
	if (n == -1 && syslog && (errno == ECONNREFUSED ||
	    errno == ENOTCONN || errno == ECONNRESET) && find_syslog(s))
		n = write_bytes(s, bytes, all);
	if (n != -1)
		s->torn = (size_t)n < all;
	if (n != -1 && !s->torn)
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

	if (n == 0 || sinks[LOG_MESSAGES].name == NULL ||
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
	size_t len;

	if (log_access_wanted()) {
		va_start(ap, fmt);
		text_vformat(text, sizeof(text), fmt, ap);
		va_end(ap);
		/* The access log is read again, perhaps, so its losses can be
		   told; those on a full disk are, with the next message. */
		len = finish(line, 0, text);
		if (put(LOG_ACCESS, LOG_L_INFO, line, len))
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

	if (level > threshold || sinks[LOG_MESSAGES].name == NULL)
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
