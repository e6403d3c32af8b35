/* See LICENSE for copyright and license details. */
#ifndef FLUSH_H
#define FLUSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The flushers: what is written to the client before its socket is given
 * away.  One is an entry in a table in flush.c.  All text is made when the
 * configuration is read; at run time only the date in it changes.
 */

enum flush_result {
	FLUSH_DONE,		/* all is written: give the socket away */
	FLUSH_AGAIN,		/* wait until the client can be written to */
	FLUSH_FAILED		/* the client is gone; errno */
};

struct flush;

/* The fields that fdproxy writes by itself. */
struct flush_own {
	const char *server;	/* "" for none */
	const char *date;	/* "" for none, NULL for the time */
};

/*
 * Write those fields, the Date first, as field lines to dst, which has
 * FLUSH_FIELDS bytes.  Returns dst.
 */
#define FLUSH_FIELDS	512
const char	*flush_fields(char dst[FLUSH_FIELDS],
		    const struct flush_own *own, uint32_t wall);

/*
 * Make the flusher called name ("flush", "none", "file:PATH").  headers are
 * further response fields, each with its CRLF, for "flush" alone, as is own.
 * No argument is kept.  Returns NULL, with a static text in *error, if the
 * flusher cannot be made; errno is 0 then, or says why a file is not readable.
 */
struct flush	*flush_new(const char *name, const char *headers,
		    const struct flush_own *own, const char **error);
void		 flush_free(struct flush *flush);

/*
 * Whether the request head is to be taken from the connection, since the
 * flusher answers it.  If not, the flusher never writes anything.
 */
bool		 flush_consumes(const struct flush *flush);

/* The status that the flusher writes, or 0 if that is not known. */
int		 flush_status(const struct flush *flush);

/* The offset in the text to begin at: with expect, that of 100 (Continue). */
uint32_t	 flush_start(const struct flush *flush, bool expect);

/*
 * Write the text from *offset on, and move *offset, so that the text goes out
 * in order however many calls it takes.  wall, the second since 1970 in its
 * Date, must be the same in each call for one client.  With hold, and no 100
 * (Continue), the kernel keeps the text until the backend writes or closes, so
 * that both share a segment (MSG_MORE in send(2), which leaves no trace at the
 * socket); if the backend does neither, for one retransmission timeout: 200 ms,
 * or up to 3 s if the connection was held back until its request came
 * (TCP_DEFER_ACCEPT).  Never blocks; owns nothing.
 */
enum flush_result	flush_write(struct flush *flush, int fd,
			    uint32_t wall, uint32_t *offset, bool hold);

/*
 * The same for any text of len bytes: write it from *offset on, and move
 * *offset.  flags are for send(2), besides those that are needed.
 */
enum flush_result	flush_bytes(int fd, const char *text, size_t len,
			    uint32_t *offset, int flags);

/*
 * Leave the client's socket as Apache does, a head of so many bytes having been
 * taken if the flusher consumes it: O_NONBLOCK is on, and the first 8000 bytes
 * are read.
 */
void			 flush_as_apache(const struct flush *flush, int fd,
			    size_t head);

#endif
