/* See LICENSE for copyright and license details. */
#ifndef LISTEN_H
#define LISTEN_H

#include <stdbool.h>

#include "config.h"

/*
 * The listening sockets, from the start to the end, across changes of the
 * configuration and of the program.  Listener i is config->listen[i].
 */

struct listener {
	int fd;			/* -1: the other half of a pair serves alone */
	bool local;		/* AF_UNIX */
	uint8_t watched;	/* for the caller, 0 after listen_commit() */
	struct sock_addr bound;	/* where it listens */
	struct sock_file file;	/* of that */
};

/* What another program must know of a listener that it is left. */
enum listen_kind {
	LISTEN_PLAIN,
	LISTEN_ANY_PORT,	/* the system chose its port */
	LISTEN_NO_FILE,		/* AF_UNIX; its file is gone, or another's */
	LISTEN_KINDS
};

/*
 * A listening socket that the program before us has left; listen_prepare()
 * takes it if it is configured, listen_commit() closes it if it is not.
 */
void			 listen_adopt(int fd, enum listen_kind kind);

/*
 * Get ready for config: what is listened on already stays open, what is new is
 * opened.  False after messages; then nothing has changed.  If lenient, what
 * cannot be opened is left out, unless nothing is left.
 */
bool			 listen_prepare(const struct config *config,
			    bool lenient);

/* Make it so: what is not in it is closed.  Nothing may watch any of them. */
void			 listen_commit(void);

/* Forget what listen_prepare() has opened. */
void			 listen_abort(void);

/* Close all, and remove the files of those that are our own. */
void			 listen_close(void);

int			 listen_count(void);
struct listener		*listen_at(int i);

/*
 * The number of descriptor i when we were started with it; -1: we have opened
 * it, here or in the program before.
 */
int			 listen_number(int i);

/* Of listener i, if we have opened it. */
enum listen_kind	 listen_kind(int i);

#endif
