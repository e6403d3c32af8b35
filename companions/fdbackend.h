/* See LICENSE for copyright and license details. */
#ifndef FDBACKEND_H
#define FDBACKEND_H

/*
 * What a backend of fdproxy in C needs, on both wires (fdproxy-protocol(7)).
 * It starts no thread, allocates nothing and keeps nothing, and needs nothing
 * but libc: fdbackend.c can be copied into a program.
 *
 * A call waits if its descriptor is blocking, and not if that is O_NONBLOCK;
 * none raises SIGPIPE where the system can avoid it (MSG_NOSIGNAL).  What
 * returns -1 sets errno.
 */

/*
 * Connect to the socket of workers at path, or at @name (Linux); with NULL it
 * is the connection that fdproxy has left to its command (FDPROXY_WORKERS).
 * The channel, blocking, close-on-exec; or -1: ENOTCONN if path is NULL and
 * there is no such connection; EAGAIN if too many wait to be let in.
 */
int		fdbackend_connect(const char *path);

/*
 * How many milliseconds to wait before connecting again: growing, random, 5
 * seconds at most.  *step is the caller's, 0 at first and once a client has
 * come.
 */
unsigned int	fdbackend_delay(unsigned int *step);

/*
 * Ask for n more clients, at most 65535 at a time and no more than can be
 * served.  How many were asked for, which is n unless the channel is full and
 * O_NONBLOCK; or -1.
 */
int		fdbackend_ask(int channel, unsigned int n);

/*
 * Take a client, from a channel or, on the plain wire, from a connection that
 * was accepted.  1, and *client is the caller's, close-on-exec, blocking.  0 is
 * the end: of a channel, connect again; of a connection that has brought
 * nobody, a probe.  -1 with EAGAIN: nobody yet; EMFILE: a client was lost since
 * this process had no descriptor free: ask for another one; EBADMSG: a byte
 * that means nothing, but for the head of a client that was lost.
 *
 * With payload=head its head stands behind the byte that this has read: in
 * one piece on a channel, and up to the end on the plain wire.
 */
int		fdbackend_take(int from, int *client);

/*
 * Give a client back, for its next request to be routed: exactly one request
 * was read of it, its response says that the connection stays, and all of it
 * has been written.  more clients, 1023 at most, are asked for in the same
 * message, for which an O_NONBLOCK channel has to have room.  0: the
 * client is closed here.  -1: it is the caller's still, to be closed, or on
 * EAGAIN and ETOOMANYREFS to be given back a little later.
 */
int		fdbackend_give_back(int channel, int client, unsigned int more);

/*
 * Close a client so that its response arrives: end our side, then read what it
 * still sends, till its end or for ms milliseconds in all.
 */
void		fdbackend_finish(int client, unsigned int ms);

/*
 * The same in steps, for an event loop: fdbackend_end() once, then
 * fdbackend_drain() whenever it is readable, until that returns 1: the client
 * has ended, and is closed.  The caller closes it when it lets itself wait for
 * too long.
 */
void		fdbackend_end(int client);
int		fdbackend_drain(int client);

/*
 * Ask for nobody any more.  Clients that are under way already can be taken
 * until the end.
 */
void		fdbackend_leave(int channel);

#endif
