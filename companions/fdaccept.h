/* See LICENSE for copyright and license details. */
#ifndef FDACCEPT_H
#define FDACCEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/*
 * What libfdaccept does inside a server that knows nothing of it.  The server
 * may have threads, fork, and be interrupted anywhere, so nothing here
 * allocates or locks.
 *
 * The launcher tells the library by these variables:
 */
#define FDACCEPT_KEEP	"FDACCEPT_KEEP"	/* set: requests stay as they are */
#define FDACCEPT_PORT	"FDACCEPT_PORT"	/* "port descriptor inode" */

/*
 * ---- head: the one request of a connection ----
 *
 * What a server reads of a client begins with the head as fdproxy has found
 * it, but for this: empty lines in front, each Connection field line and each
 * Upgrade field line are left out, and "Connection: close" stands right behind
 * the request line.  The head is edited while it is read and stored nowhere:
 * it lies in the kernel, whole, since fdproxy hands over no other, and its last
 * byte is taken last, so the socket is readable as long as there is something
 * to read.
 *
 * A body in chunks is not touched, but for trailers, which are left out: some
 * servers take a Connection field from there, too.
 *
 * A request for a WebSocket (a GET without a body, whose one Upgrade field
 * says "websocket") stays as it is; behind its head the server finds the end
 * of the file until it has answered "HTTP/1.1 101".
 *
 * Each descriptor below FDACCEPT_HEADS has a state of 16 bytes with the inode
 * number of its socket.  So a number that was closed and used again, a copy in
 * a child process and a client that is closed unread need no care.
 */
#define FDACCEPT_HEADS	(1 << 20)

/* The edited head's additional line, and how much is looked at at once. */
#define FDACCEPT_CLOSE	"Connection: close\r\n"
#define FDACCEPT_EXTRA	(sizeof(FDACCEPT_CLOSE) - 1)
#define FDACCEPT_WINDOW	16384

struct fdaccept_head {
	uint32_t inode;		/* the low half of the socket's */
	uint8_t stage;		/* 0: nothing is to be done any more */
	uint8_t matched;	/* bytes of CLOSE delivered, of "101" seen */
	uint16_t left;		/* of a WebSocket's head: bytes not yet read */
	uint64_t chunk : 56;	/* of a chunk: bytes not yet read; its size */
	bool chunked : 1;	/* the body comes in chunks */
	bool in_body : 1;	/* the head has been read */
};

/* recvmsg(2), as the library finds it below itself. */
typedef ssize_t	fdaccept_recvmsg(int fd, struct msghdr *msg, int flags);

/*
 * From now on the client fd is read as above.  0, or -1 with EMFILE for a
 * number that has no state; fd stays open.
 */
int	fdaccept_head_begin(int fd);

/* Whether fd is such a client, and something is left to be done for it. */
bool	fdaccept_head_pending(int fd);

/*
 * recvmsg(2) for such a client, also with MSG_PEEK.  A head that ends before
 * it is whole ends there, with 0: no sender may hand one over.
 */
ssize_t	fdaccept_head_receive(fdaccept_recvmsg *receive, int fd,
	    struct msghdr *msg, int flags);

/*
 * The server is about to send the n buffers to such a client, and has sent the
 * first sent bytes of them: 101 counts from before it is out, since the client
 * may be quicker than the return from the call.
 */
void	fdaccept_head_sending(int fd, const struct iovec *iov, size_t n);
void	fdaccept_head_sent(int fd, const struct iovec *iov, size_t n,
	    ssize_t sent);

/* Start with the first byte of a head. */
void	fdaccept_head_start(struct fdaccept_head *head);

/*
 * Edit the n bytes at in, of which the first has not been taken before, into at
 * most room bytes at out.  Returns how many there are then, and in *taken how
 * many bytes of in they stand for.  It stops early for a WebSocket's head,
 * which is not to be edited, and for a field name that is cut.  out may be
 * FDACCEPT_EXTRA bytes before in, in the same buffer.
 */
size_t	fdaccept_head_edit(struct fdaccept_head *head, char *out,
	    const char *in, size_t n, size_t room, size_t *taken);

/*
 * ---- port: a listening socket of TCP that is one of AF_UNIX ----
 *
 * The launcher has made the socket and leaves it open, at a number that this
 * program cannot close.  A server that binds a stream socket to the port gets
 * a duplicate of it.  So several processes and both families of addresses
 * share one queue, which lives through their restarts.
 *
 * Each of these returns whether the call was about that port and has its
 * result in *result, with errno if it is -1; if not, the caller makes the
 * system's call.
 */
bool	fdaccept_port_bind(int fd, const struct sockaddr *addr, socklen_t len,
	    int *result);
bool	fdaccept_port_name(int fd, struct sockaddr *addr, socklen_t *len,
	    int *result);
bool	fdaccept_port_get(int fd, int level, int name, void *value,
	    socklen_t *len, int *result);
bool	fdaccept_port_set(int fd, int level, int name);

/* Take the launcher's text; false if it is none of its making. */
bool	fdaccept_port_begin(const char *text);

/*
 * Put a client's address where a server has room for size bytes, and its length
 * into *len, as accept(2) does.  One who has bound an IPv4 address has room for
 * no IPv6 one, and would read on behind it: with a port, its clients by IPv6
 * are 0.0.0.0.
 */
void	fdaccept_port_put(const struct sockaddr *addr, socklen_t addr_len,
	    struct sockaddr *dst, socklen_t *len, socklen_t size);

/*
 * The server listens on fd: if that is another TCP port, and it has not bound
 * this one so far, one line on standard error says so, once.
 */
void	fdaccept_port_other(int fd);

/* Whether there is such a port; whether fd is its socket, by any number. */
bool	fdaccept_port_used(void);
bool	fdaccept_port_is(int fd);

/* Whether fd is the number that stays open; which one it is, or -1. */
bool	fdaccept_port_keeps(int fd);
int	fdaccept_port_kept(void);

#endif
