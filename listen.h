/* See LICENSE for copyright and license details. */
#ifndef LISTEN_H
#define LISTEN_H

#include <stdbool.h>

#include "config.h"

/*
 * The listening sockets, for clients and for workers, from the start to the
 * end, and from one program to the next in its place.  Listener i is
 * config->listen[i].
 */

struct listener {
	int fd;			/* -1: the other half of a pair serves alone */
	bool local;		/* AF_UNIX */
	bool workers;		/* not for clients */
	bool adopted;		/* the program before us has opened it */
	uint8_t watched;	/* the caller's, 0 at first */
	uint64_t network;	/* sock_network() */
	struct sock_addr bound;	/* where it listens */
	struct sock_file file;	/* of that */
};

/* What another program must know of a listener that it is left. */
enum listen_kind {
	LISTEN_PLAIN,
	LISTEN_ANY_PORT,	/* the system chose its port */
	LISTEN_NO_FILE,		/* AF_UNIX; its file is gone, or another's */
	LISTEN_ANY_TWIN,	/* the IPv4 half of every address, ANY_PORT */
	LISTEN_WORKERS = 8	/* or'ed to one of these: for workers */
};

/*
 * A listening socket that the program before us has left: fd is ours from now
 * on.  listen_open() takes it if it is configured.
 */
void			 listen_adopt(int fd, int kind);

/*
 * Open the listeners of config, which must stay.  False after messages: then
 * all is closed but the sockets that were left to us and, with lenience, what
 * workers can connect to.
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
 * The i-th socket for clients that was left to us and is not configured, or -1
 * behind the last one.  Its queue is to be accepted before listen_take_over(),
 * which closes all that are not configured, removes their files, and tunes the
 * sockets that stay.
 */
int			 listen_unwanted(int i);
void			 listen_take_over(void);

/* Close those for clients, or all, and remove the files that are our own. */
void			 listen_close(bool all);

/* Close all without their files: another process goes on with them. */
void			 listen_forget(void);

/*
 * Whether fd, whose other end is at peer, can be a connection to one of the
 * sockets for clients, of ours or of the program before, which may be closed by
 * now.
 */
bool			 listen_knows(int fd, const struct sock_addr *peer);

/* The descriptor that workers for queue come to, or -1. */
int			 listen_for(uint32_t queue);

int			 listen_count(void);
struct listener		*listen_at(int i);

/*
 * Listener i's descriptor as it was given to us, or -1 if fdproxy has made it,
 * here or in the program before.
 */
int			 listen_number(int i);

/* The kind of listener i, if fdproxy has made it, with LISTEN_WORKERS. */
int			 listen_kind(int i);

#endif
