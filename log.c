/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
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
static const char *sink = "stderr";
static int out = STDERR_FILENO;
static bool datagrams;		/* out is the system's log */
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

/* By hand: syslog(3) blocks when its reader does. */
static int
open_syslog(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX,
	    .sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (fd != -1 && connect(fd, (struct sockaddr *)&addr,
	    sizeof(addr)) == -1) {
		close(fd);
		fd = -1;
	}
	return fd;
}

bool
log_open(const char *name)
{
	bool syslog = strcmp(name, "syslog") == 0;
	int fd;

	if (strcmp(name, "stderr") == 0)
		fd = STDERR_FILENO;
	else if (syslog)
		fd = open_syslog();
	else
		fd = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC |
		    O_NOCTTY | O_NONBLOCK, 0644);
	if (fd == -1)
		return false;
	fcntl(fd, F_SETFD, fd == STDERR_FILENO ? 0 : FD_CLOEXEC);
	if (out != STDERR_FILENO)
		close(out);
	out = fd;
	sink = name;
	datagrams = syslog;
	return true;
}

void
log_reopen(void)
{
	if (!log_open(sink))
		log_error("cannot open %s again: %s", sink, strerror(errno));
}

/*
 * Never set O_NONBLOCK on descriptor 2: it is shared with whoever started us.
 * A pipe that is writable takes PIPE_BUF bytes whole, and LOG_LINE is less.
 */
static bool
would_block(void)
{
	struct pollfd p = { out, POLLOUT, 0 };

	return careful && (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT));
}

/* One line; a disk that is full loses it, and it is counted. */
static void
put(enum log_level level, const char *line, size_t len)
{
	/* Facility 3 (daemon), RFC 3164 4.1.1. */
	static const char *const priorities[LOG_L_COUNT] = {
		"<27>", "<28>", "<29>", "<30>", "<31>"
	};
	char packet[LOG_LINE + 4];
	ssize_t n;

	if (would_block()) {
		dropped++;
		return;
	}
	if (datagrams) {
		memcpy(packet, priorities[level], 4);
		memcpy(packet + 4, line, len - 1);
		n = send(out, packet, len + 3, MSG_DONTWAIT);
	} else {
		n = write(out, line, len);
	}
	if (n == -1)
		dropped++;
}

static void
report_dropped(void)
{
	unsigned long n = dropped;
	char line[80];

	if (n == 0 || would_block())
		return;
	dropped = 0;
	put(LOG_L_WARN, line, (size_t)snprintf(line, sizeof(line),
	    "%.32s: warn: %lu log lines dropped\n", program, n));
	if (dropped > 0)
		dropped += n;
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
	put(level, line, n);
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
