/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "log.h"

static const char *const names[LOG_L_COUNT] = {
	[LOG_L_ERROR] = "error",
	[LOG_L_WARN] = "warn",
	[LOG_L_NOTICE] = "notice",
	[LOG_L_INFO] = "info",
	[LOG_L_DEBUG] = "debug"
};

static const char *program = "fdproxy";
static enum log_level threshold = LOG_L_NOTICE;
static bool careful;
static unsigned long dropped;

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
	careful = on;
}

bool
log_wanted(enum log_level level)
{
	return level <= threshold;
}

static bool
plain(char c)
{
	return c >= 0x20 && c < 0x7f;
}

static size_t
escape(char *dst, char c)
{
	static const char digits[] = "0123456789abcdef";

	dst[0] = '\\';
	dst[1] = 'x';
	dst[2] = digits[(unsigned char)c >> 4];
	dst[3] = digits[(unsigned char)c & 15];
	return 4;
}

const char *
log_quote(char *dst, size_t size, const char *src, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len && n + 5 <= size; i++) {
		if (plain(src[i]) && src[i] != '"' && src[i] != '\\')
			dst[n++] = src[i];
		else
			n += escape(dst + n, src[i]);
	}
	dst[n] = '\0';
	return dst;
}

/*
 * Never set O_NONBLOCK on descriptor 2: it is shared with whoever started us.
 * A pipe that is writable takes PIPE_BUF bytes whole, and LOG_LINE is less.
 */
static void
put(const char *line, size_t len)
{
	struct pollfd p = { STDERR_FILENO, POLLOUT, 0 };

	if ((careful && (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT))) ||
	    write(STDERR_FILENO, line, len) == -1)
		dropped++;
}

static void
report_dropped(void)
{
	struct pollfd p = { STDERR_FILENO, POLLOUT, 0 };
	char line[80];
	int n;

	if (dropped == 0 || poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT))
		return;
	n = snprintf(line, sizeof(line), "%.32s: warn: %lu log lines dropped\n",
	    program, dropped);
	dropped = 0;
	put(line, (size_t)n);
}

static void
vmessage(enum log_level level, const char *fmt, va_list ap)
{
	char text[LOG_LINE], line[LOG_LINE];
	int saved = errno;
	size_t i, n;

	if (level > threshold)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	n = (size_t)snprintf(line, sizeof(line), "%.64s: %s: ", program,
	    names[level]);
	for (i = 0; text[i] != '\0' && n + 5 < sizeof(line); i++) {
		if (plain(text[i]))
			line[n++] = text[i];
		else
			n += escape(line + n, text[i]);
	}
	line[n++] = '\n';
	report_dropped();
	put(line, n);
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
