/* See LICENSE for copyright and license details. */
#ifndef FDPASS_H
#define FDPASS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "sock.h"

/*
 * Giving a descriptor to another process, and taking one (SCM_RIGHTS, see
 * unix(7), recvmsg(2)); and reaching the process that will take it.  The one
 * file with control messages.
 */

/* The state of a backend, by the errno of fdpass_connect(). */
enum fdpass_state {
	FDPASS_FULL,		/* it is there and has no room: later */
	FDPASS_ABSENT,		/* it is not there: perhaps later */
	FDPASS_BROKEN		/* it will not come by waiting */
};

/*
 * Connect to a backend without blocking.  Returns the descriptor, connected or
 * in the listener's queue, or -1 with errno: EPERM if it is not the user peer
 * who listens there (SO_PEERCRED, see unix(7); getpeereid(3)).
 */
#define FDPASS_ANYBODY	((uid_t)-1)
int	fdpass_connect(const struct sock_addr *addr, uid_t peer);

/*
 * The user and the process at the other end of a connected AF_UNIX socket; pid
 * is 0 where the system does not tell.  0, or -1 with errno.
 */
int	fdpass_peer(int fd, uid_t *uid, pid_t *pid);

/*
 * The state that error, of a connect to addr, stands for.  On Linux a full
 * backlog is EAGAIN and there is nothing to poll for; elsewhere ECONNREFUSED
 * may mean full, and is taken so.  Looks at the file when it is refused:
 * another kind of file will not become a socket.
 */
enum fdpass_state	fdpass_state(int error, const struct sock_addr *addr);

/* The same in words. */
const char	*fdpass_error(int error);

/*
 * Send over sock, in one message and without blocking, the len bytes at data
 * (1 at least; the first is what receivers read, a NUL byte by custom) and fd.
 *
 * Returns how many bytes went, at least 1: then the other side has or will
 * have a copy of fd, ours must be closed by the caller, never shut down, and
 * bytes left over are sent by plain send(2), never with fd again.  Or -1 with
 * errno, fd untouched: EPIPE or ECONNRESET, nobody there any more; EAGAIN or
 * ETOOMANYREFS, later.
 */
ssize_t	fdpass_send(int sock, int fd, const void *data, size_t len);

/*
 * Whether a client must stay open here, with the connection that it was sent
 * over, until the other side ends that: macOS shuts down the receiving side of
 * a socket that nothing but messages refers to (unp_gc() in XNU's
 * uipc_usrreq.c), whenever it closes any AF_UNIX socket.
 */
bool	fdpass_keeps(void);

/*
 * fdpass_send() with n descriptors, 0 to FDPASS_MAX, and perhaps no data: for
 * tests of those who receive.
 */
#define FDPASS_MAX	2
ssize_t	fdpass_send_fds(int sock, const int *fds, size_t n, const void *data,
	    size_t len);

/*
 * Receive from sock at most size bytes and one descriptor, which becomes
 * close-on-exec.  Blocks unless sock is non-blocking.  Returns the number of
 * bytes, 0 at the end (a connection that ends without a message is a probe),
 * -1 with errno.  *fd is the descriptor, the caller's from then on, or -1 if
 * none came; EMFILE says that it was lost on the way for want of descriptors
 * here.  Surplus descriptors are closed.
 */
ssize_t	fdpass_recv(int sock, void *data, size_t size, int *fd);

/*
 * The same without waiting (EAGAIN), from one who may send anything: *n is how
 * many descriptors came.  One that was lost here is not told of.
 */
ssize_t	fdpass_take(int sock, void *data, size_t size, int *fd, size_t *n);

/*
 * The same without waiting (EAGAIN), and without taking: the message stays as
 * it is, and *fd is a copy of its descriptor, the caller's as well.  Only Linux
 * copies descriptors; elsewhere a message that begins with a NUL is taken.
 */
ssize_t	fdpass_peek(int sock, void *data, size_t size, int *fd);

#endif
