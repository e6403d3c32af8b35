/* See LICENSE for copyright and license details. */
#ifndef BACKEND_H
#define BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "fdpass.h"
#include "slot.h"

/*
 * The backends, by the path of their sockets, which they listen on or, as
 * workers, connect to: who waits for each in line, what it failed with last,
 * when it is tried again; and whether all of them accept.  The line of a
 * backend is a list of slots, which is its number here.
 */

/* Lists for the backends of a configuration, and for FOUND more that directory
   targets find at run time. */
#define BACKEND_FOUND	32
uint32_t	 backend_lists(const struct config *config);

/* Allocate for config, which must stay.  False without memory. */
bool		 backend_open(const struct config *config);
void		 backend_release(void);

/*
 * The list of the socket at addr, to which target leads.  SLOT_NO_LIST: all
 * lists for found sockets are in use.
 */
uint32_t	 backend_list(const struct config_target *target,
		    const struct sock_addr *addr);

/*
 * Reach the backend of target at addr, without waiting: a number by which it is
 * known here, or -1 with an errno for fdpass_state().  A connection, or the
 * promise of a worker.
 */
int		 backend_connect(const struct config_target *target,
		    const struct sock_addr *addr);

/*
 * Send a client to it, in one message with the len bytes at data.  Returns how
 * many bytes went: then a promise is used up, and a connection is still to be
 * given up; or -1 with errno.
 */
ssize_t		 backend_send(const struct config_target *target, int backend,
		    int client, const void *data, size_t len);

/* Give it up, with errno as it was. */
void		 backend_drop(const struct config_target *target, int backend);

/* Some worker of that queue has promised to take clients, perhaps. */
void		 backend_asked(uint32_t queue);

/* Whether one more client of target may wait in the list. */
bool		 backend_has_room(uint32_t list,
		    const struct config_target *target);

/*
 * A client waits in the list now: if it is the first, its backend is tried; one
 * that is not there is told of, by a message a second at most.
 */
void		 backend_wait(uint32_t list);

/* The backend took a client, or the one in front is gone: try it at once. */
void		 backend_try_now(uint32_t list);

/*
 * A client that is not in line found the backend in that state, with an errno
 * of fdpass_connect().  When those in line are tried next stays as it is.
 */
void		 backend_learn(uint32_t list, enum fdpass_state state,
		    int error);

/* As backend_learn(), but those in line are tried later, with growing delays:
   for the probe of the list and for a client that it had connected. */
void		 backend_failed(uint32_t list, enum fdpass_state state,
		    int error);

/*
 * Reach the backend of the list, as backend_connect() does.  On failure
 * backend_state() and backend_error() say why.  It is tried again after a while
 * in any case.
 */
int		 backend_probe(uint32_t list);
enum fdpass_state	backend_state(uint32_t list);
int		 backend_error(uint32_t list);
const struct sock_addr	*backend_addr(uint32_t list);

/*
 * Until when a client of target, which has waited since then, may wait for the
 * backend in the state that its last failure stands for.  A backend that comes
 * and is busy at once has connectiontimeout from then on: those who waited for
 * it to come are not sent away.
 */
uint32_t	 backend_deadline(uint32_t list,
		    const struct config_target *target, uint32_t since);

/*
 * Look whether the sockets of the routes accept connections, from target *at
 * on, which moves past those that do.  True when all have.
 */
bool		 backend_all(uint32_t *at);

/* What such a target fails to do, for a message. */
const char	*backend_lacks(const struct config_target *target);

/*
 * Whether the service is to be called ready: the loop has said so, and all
 * sockets accept.  No socket is looked at more than once a second; and none if
 * there are so many that clients would have to wait.
 */
void		 backend_set_ready(bool ready);
bool		 backend_ready(void);

#endif
