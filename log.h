/* See LICENSE for copyright and license details. */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Messages on standard error, or elsewhere, one line each, never longer than LOG_LINE
 * bytes, control bytes escaped.  errno is kept by every function here.
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

#if defined(__GNUC__)
#define LOG_PRINTF(fmt, args)	__attribute__((format(printf, fmt, args)))
#else
#define LOG_PRINTF(fmt, args)
#endif

/* The name the lines begin with; default "fdproxy".  It is not copied. */
void	log_name(const char *name);

/* Messages above level are left out; the default is LOG_L_NOTICE. */
void	log_level(enum log_level level);

/* The level of that name (letters of either case), or -1. */
int	log_level_named(const char *name);

/*
 * Write messages to a file from now on ("/path", appended to, made if it is
 * not there), to the system's log ("syslog"), or again to standard error
 * ("stderr").  The name must stay.  False with errno; then all is as before.
 */
bool	log_open(const char *name);

/* Open the file of log_open() anew, since it may have been renamed. */
void	log_reopen(void);

/*
 * From now on a line that could block is dropped and counted; the count is
 * reported once the reader is back.
 */
void	log_nonblocking(bool on);

void	log_error(const char *fmt, ...) LOG_PRINTF(1, 2);
void	log_warn(const char *fmt, ...) LOG_PRINTF(1, 2);
void	log_notice(const char *fmt, ...) LOG_PRINTF(1, 2);
void	log_info(const char *fmt, ...) LOG_PRINTF(1, 2);
void	log_debug(const char *fmt, ...) LOG_PRINTF(1, 2);

/* Whether a message of that level would be written. */
bool	log_wanted(enum log_level level);

/*
 * Copy bytes of a client for use inside double quotes: control and 8-bit
 * bytes, '"' and '\' become \xHH.  Cut to fit; always terminated.  Returns
 * dst.
 */
const char	*log_quote(char *dst, size_t size, const char *src,
		    size_t len);

#endif
