/* See LICENSE for copyright and license details. */
#ifndef LISTEN_H
#define LISTEN_H

#include <stdbool.h>

#include "config.h"

/*
 * The listening sockets, from the start to the end, and from one program to
 * the next in its place.  Listener i is config->listen[i].
 */

struct listener {
	int fd;			/* -1: the other half of a pair serves alone */
	bool local;		/* AF_UNIX */
	bool adopted;		/* the program before us has opened it */
	uint8_t watched;	/* the caller's, 0 at first */
	struct sock_addr bound;	/* where it listens */
	struct sock_file file;	/* of that */
};

/* What another program must know of a listener that it is left. */
enum listen_kind {
	LISTEN_PLAIN,
	LISTEN_ANY_PORT,	/* the system chose its port */
	LISTEN_NO_FILE,		/* AF_UNIX; its file is gone, or another's */
	LISTEN_ANY_TWIN		/* the IPv4 half of every address, ANY_PORT */
};

/*
 * A listening socket that the program before us has left: fd is ours from now
 * on.  listen_open() takes it if it is configured.
 */
void			 listen_adopt(int fd, enum listen_kind kind);

/*
 * Open the listeners of config, which must stay.  False after messages: then
 * all is closed but the sockets that were left to us.
 */
enum listen_how {
	LISTEN_STRICT,		/* all or nothing */
	LISTEN_LENIENT,		/* all that can be, unless none can */
	LISTEN_TRIAL		/* as strict; but nobody can connect to them */
};
bool			 listen_open(const struct config *config,
			    enum listen_how how);

/* Close what listen_open() has opened, and no socket that was left to us. */
void			 listen_abort(void);

/*
 * The i-th socket that was left to us and is not configured, or -1 behind the
 * last one.  Its queue is to be accepted before listen_take_over(), which
 * closes them all, removes their files, and tunes the sockets that stay.
 */
int			 listen_unwanted(int i);
void			 listen_take_over(void);

/* Close all, and remove the files that are our own. */
void			 listen_close(void);

/* Close all without their files: another process goes on with them. */
void			 listen_forget(void);

int			 listen_count(void);
struct listener		*listen_at(int i);

/*
 * Listener i's descriptor as it was given to us, or -1 if fdproxy has made it,
 * here or in the program before.
 */
int			 listen_number(int i);

/* The kind of listener i, if fdproxy has made it. */
enum listen_kind	 listen_kind(int i);

#endif
