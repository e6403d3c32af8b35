/* See LICENSE for copyright and license details. */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

/*
 * Messages, on standard error unless told otherwise, and the access log, which
 * is nowhere unless told.  One line each, never longer than LOG_LINE bytes,
 * control bytes escaped; messages in a file begin with the time.  errno is kept
 * by the functions that write.
 */

#define LOG_LINE	1024

/* Apache's names and order (LogLevel), less what is not used. */
enum log_level {
	LOG_L_ERROR,
	LOG_L_WARN,
	LOG_L_NOTICE,
	LOG_L_INFO,
	LOG_L_DEBUG,
	LOG_L_COUNT
};

/* The name the lines begin with; default "fdproxy".  It is not copied. */
void	log_name(const char *name);

/* Messages above level are left out; the default is LOG_L_NOTICE. */
void	log_level(enum log_level level);

/* The level of that name (letters of either case), or -1. */
int	log_level_named(const char *name);

enum log_kind {
	LOG_MESSAGES,
	LOG_ACCESS,
	LOG_KINDS
};

/*
 * A descriptor to write lines to: of a file ("/path", appended to, made if it
 * is not there), the system's log ("syslog"), one that we were started with
 * ("fd:3"), or of standard error ("stderr").  Where it can be, a terminal or
 * FIFO is opened anew, else 3 is copied and 2 itself returned.  The caller's;
 * or -1 with errno: EBADF also for one that nothing can be written to.
 */
int	log_file(const char *name);

/*
 * Write lines of that kind to fd from now on, which is log_file(name)'s and no
 * longer the caller's.  name must stay; NULL with -1: write none.  "syslog"
 * with -1: once it is there.
 */
void	log_use(enum log_kind kind, const char *name, int fd);

/* The name and the descriptor of that kind of lines; NULL, -1: none. */
const char *log_where(enum log_kind kind);
int	log_fd(enum log_kind kind);

/* Open the files again, by their names, since they may have been renamed. */
void	log_reopen(void);

/*
 * From now on a line that could block, for want of room or of a terminal that
 * can be opened anew, is dropped and counted; the count is reported once the
 * reader is back.
 */
void	log_nonblocking(bool on);

void	log_error(const char *fmt, ...) TEXT_PRINTF(1, 2);
void	log_warn(const char *fmt, ...) TEXT_PRINTF(1, 2);
void	log_notice(const char *fmt, ...) TEXT_PRINTF(1, 2);
void	log_info(const char *fmt, ...) TEXT_PRINTF(1, 2);
void	log_debug(const char *fmt, ...) TEXT_PRINTF(1, 2);

/* Whether a message of that level, or a line of access, would be written. */
bool	log_wanted(enum log_level level);
bool	log_access_wanted(void);

/* A line of the access log, with nothing before or behind it. */
void	log_access(const char *fmt, ...) TEXT_PRINTF(1, 2);

/* The number of lines dropped since the start. */
unsigned long	log_dropped(void);

/*
 * Copy bytes of a client for use inside double quotes: control and 8-bit
 * bytes, '"' and '\' become \xHH.  Cut to fit; always terminated.  Returns
 * dst.
 */
const char	*log_quote(char *dst, size_t size, const char *src,
		    size_t len);

/* The same for JSON: \u00HH, each byte being taken for a character. */
const char	*log_quote_json(char *dst, size_t size, const char *src,
		    size_t len);

#endif
