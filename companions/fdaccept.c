/* See LICENSE for copyright and license details. */

/*
 * libfdaccept: loaded into a server that knows nothing of it, its accept(2) and
 * accept4(2) return, on AF_UNIX listeners, the client whose descriptor comes
 * over the connection, in place of the connection; what the server reads of
 * that client is edited (head), and a TCP port of its choice is such a listener
 * (port).
 *
 * The program around it may have threads, fork and be interrupted anywhere:
 * nothing is allocated or locked, and what is kept here is written before
 * main() and only read from then on.
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "fdaccept.h"
#include "fdpass.h"
#include "sock.h"

/*
 * From a connection to its message: most often it is there already, since the
 * sender connects when it has something to send.  A server with an event loop
 * stands still meanwhile, so it is not long; a sender that was stopped in
 * between for longer is told so, and connects again.
 */
#ifndef WAIT_MS
#define WAIT_MS	20
#endif

/* No string that is longer comes through execve(2) on Linux. */
#define NAMES_SIZE	(128 * 1024)

/* All that other files of this library define stays inside it. */
#define EXPORT	__attribute__((visibility("default")))

/*
 * The environment as it was at the start: some servers write their title over
 * it.  The starter is whoever has started the program, and no part of it.
 */
static struct {
	char names[NAMES_SIZE];		/* FDACCEPT */
	bool unix_addresses;		/* FDACCEPT_ADDRESS */
	bool keep;
	pid_t starter;
} given;

/* What a connection to a listener has brought. */
enum brought {
	BROUGHT_CLIENT,
	BROUGHT_NOBODY,		/* a probe, or a client that has left */
	BROUGHT_OTHER,		/* it is somebody's connection to the server */
	BROUGHT_LOST		/* errno: no descriptor for the client */
};

/* Processes that have given clients away: one, and its successors. */
#define SENDERS	4
static pid_t senders[SENDERS];

static void
read_environment(void)
{
	const char *text = getenv("FDACCEPT");

	if (text != NULL && *given.names == '\0')
		strncpy(given.names, text, sizeof(given.names) - 1);
	text = getenv("FDACCEPT_ADDRESS");
	given.unix_addresses = text != NULL && strcmp(text, "unix") == 0;
	given.keep = getenv(FDACCEPT_KEEP) != NULL;
	given.starter = getppid();
#ifdef __linux__
	text = getenv(FDACCEPT_PORT);
	if (text != NULL)
		fdaccept_port_begin(text);
#endif
}

/* Whether there is a port; whether the listener is its socket. */
static bool
has_port(void)
{
#ifdef __linux__
	return fdaccept_port_used();
#else
	return false;
#endif
}

static bool
is_port(int listener)
{
#ifdef __linux__
	return fdaccept_port_is(listener);
#else
	(void)listener;
	return false;
#endif
}

/* Whether FDACCEPT names the socket of that address. */
static bool
is_named(const struct sock_addr *addr)
{
	char path[sizeof(addr->u.un.sun_path) + 2];
	const char *name = given.names;
	size_t n, len;

	len = strlen(sock_path(addr, path, sizeof(path)));
	for (;;) {
		n = strcspn(name, ":");
		if (n > 0 && n == len && memcmp(name, path, n) == 0)
			return true;
		if (name[n] == '\0')
			return false;
		name += n + 1;
	}
}

/*
 * Whether clients come over connections to the listener that conn is from;
 * *named, which says that it is the port's, becomes whether nothing else does.
 */
static bool
is_expected(int conn, bool *named)
{
	struct sock_addr addr;

	if (*named)
		return true;
	if ((has_port() && *given.names == '\0') ||
	    sock_name(conn, &addr) == -1 || addr.u.sa.sa_family != AF_UNIX)
		return false;
	*named = is_named(&addr);
	return *named || *given.names == '\0';
}

/* Whether there is a message, or the end, in time; signals take none of it. */
static bool
arrived(int conn)
{
	struct pollfd p = { conn, POLLIN, 0 };
	struct timespec ts;
	int64_t end = 0, now;
	int n;

	do {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		now = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
		if (end == 0)
			end = now + WAIT_MS;
		n = poll(&p, 1, now > end ? 0 : (int)(end - now));
	} while (n == -1 && errno == EINTR);
	return n == 1;
}

/* Who has made the connection; -1 or, in another pid namespace, 0. */
static pid_t
peer_of(int conn)
{
#ifdef SO_PEERCRED
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		return peer.pid;
#else
	(void)conn;
#endif
	return -1;
}

/* Whether this program itself has, to wake itself up. */
static bool
is_own(int conn)
{
	pid_t peer = peer_of(conn);

	return peer > 0 && (peer == getpid() ||
	    (peer == getppid() && peer != given.starter));
}

/* Whoever has given a client away gives nothing but clients. */
static bool
is_sender(int conn)
{
	pid_t peer = peer_of(conn);
	int i;

	for (i = 0; i < SENDERS; i++)
		if (peer > 0 && senders[i] == peer)
			return true;
	return false;
}

/* Not for each client, since they all come from one. */
static void
remember_sender(int conn)
{
	static unsigned int clients, at;

	if (clients++ % 64 == 0 && !is_sender(conn))
		senders[at++ % SENDERS] = peer_of(conn);
}

/*
 * Look at what conn has brought, and take nothing of it.  A client is close-on-
 * exec until it is known what it should be, and its address is in *addr.
 */
static enum brought
look(int conn, bool named, int *client, struct sock_addr *addr)
{
	int type = 0;
	socklen_t len = sizeof(type);
	char first = 'x';
	ssize_t n;

	n = fdpass_peek(conn, &first, 1, client);
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
		if (!arrived(conn)) {
			if (!named && !is_sender(conn))
				return BROUGHT_OTHER;
			/* Too late is an error for the sender from now on. */
			shutdown(conn, SHUT_RD);
		}
		n = fdpass_peek(conn, &first, 1, client);
	}
	if (n == -1)
		return errno == EMFILE ? BROUGHT_LOST : BROUGHT_NOBODY;
	if (n == 0)
		return is_own(conn) ? BROUGHT_OTHER : BROUGHT_NOBODY;
	if (*client == -1)
		return BROUGHT_OTHER;
	if (first == '\0' && getsockopt(*client, SOL_SOCKET, SO_TYPE, &type,
	    &len) == 0 && type == SOCK_STREAM) {
		if (sock_peer(*client, addr) == 0) {
			remember_sender(conn);
			return BROUGHT_CLIENT;
		}
		if (!sock_listens(*client)) {
			sock_drop(*client);
			return BROUGHT_NOBODY;
		}
	}
	sock_drop(*client);
	return BROUGHT_OTHER;
}

/*
 * O_NONBLOCK and close-on-exec as accept4() was asked for them, whatever the
 * sender has set; elsewhere than on Linux also what conn has by itself from
 * the listener.
 */
static bool
set_flags(int client, int conn, int flags)
{
#ifdef __linux__
	int asked = flags == -1 ? 0 : flags;
	int on = (asked & SOCK_NONBLOCK) != 0;

	(void)conn;
	return ioctl(client, FIONBIO, &on) != -1 &&
	    ((asked & SOCK_CLOEXEC) != 0 || fcntl(client, F_SETFD, 0) != -1);
#else
	int status = fcntl(conn, F_GETFL), own = fcntl(conn, F_GETFD);

	(void)flags;
	return status != -1 && own != -1 &&
	    sock_nonblock(client, (status & O_NONBLOCK) != 0) != -1 &&
	    fcntl(client, F_SETFD, own) != -1;
#endif
}

/* Make the client what accept returns.  0, or -1 with errno. */
static int
begin(int client, int conn, int flags)
{
	if (!set_flags(client, conn, flags))
		return -1;
#ifdef __linux__
	if (!given.keep)
		return fdaccept_head_begin(client);
#endif
	return 0;
}

/* The system's accept(2), or accept4(2) with flags that are not -1. */
static int	system_accept(int listener, struct sockaddr *addr,
		    socklen_t *len, int flags);

/*
 * Accept until somebody has come: a client, with its address in the place of
 * the connection's, or a connection that is none of fdproxy's, as it is.  No
 * errno that accept(2) does not have on AF_UNIX, ECONNABORTED above all: plain
 * loops end at it.
 */
static int
accept_client(int listener, struct sockaddr *dst, socklen_t *len, int flags)
{
	socklen_t size = dst == NULL || len == NULL ? 0 : *len;
	int saved = errno, conn, client;
	struct sock_addr addr;
	enum brought brought;
	bool named;

	do {
		if (dst != NULL && len != NULL)
			*len = size;
		/* Before: a signal handler may close it meanwhile. */
		named = is_port(listener);
		conn = system_accept(listener, dst, len, flags);
		if (conn == -1)
			return -1;
		brought = is_expected(conn, &named) ?
		    look(conn, named, &client, &addr) : BROUGHT_OTHER;
		if (brought == BROUGHT_OTHER) {
			errno = saved;
			return conn;
		}
		if (brought == BROUGHT_CLIENT &&
		    begin(client, conn, flags) == -1) {
			sock_drop(client);
			brought = BROUGHT_LOST;
		}
		sock_drop(conn);
		if (brought == BROUGHT_LOST)
			return -1;
	} while (brought != BROUGHT_CLIENT);
	if (!given.unix_addresses && dst != NULL && len != NULL) {
#ifdef __linux__
		fdaccept_port_put(&addr.u.sa, addr.len, dst, len, size);
#else
		memcpy(dst, &addr.u, addr.len < size ? addr.len : size);
		*len = addr.len;
#endif
	}
	errno = saved;
	return client;
}

/* ---- in place of the system's ---- */

#ifdef __APPLE__

__attribute__((constructor)) static void
prepare(void)
{
	read_environment();
}

static int
system_accept(int listener, struct sockaddr *addr, socklen_t *len, int flags)
{
	(void)flags;
	return accept(listener, addr, len);
}

static int
own_accept(int listener, struct sockaddr *addr, socklen_t *len)
{
	return accept_client(listener, addr, len, -1);
}

/* dyld(1) replaces what this table names everywhere but in here. */
__attribute__((used, section("__DATA,__interpose"))) static const struct {
	int (*by)(int, struct sockaddr *, socklen_t *);
	int (*what)(int, struct sockaddr *, socklen_t *);
} interpose[] = { { own_accept, accept } };

#else

/*
 * Each function of the C library that is replaced: what it returns, its name
 * and what it takes.
 */
#define ACCEPTS(X)							\
	X(int, accept, (int, struct sockaddr *, socklen_t *))		\
	X(int, accept4, (int, struct sockaddr *, socklen_t *, int))
#ifdef __linux__
#define READS_AND_WRITES(X)						\
	X(ssize_t, read, (int, void *, size_t))				\
	X(ssize_t, readv, (int, const struct iovec *, int))		\
	X(ssize_t, recv, (int, void *, size_t, int))			\
	X(ssize_t, recvfrom, (int, void *, size_t, int,			\
	    struct sockaddr *, socklen_t *))				\
	X(ssize_t, recvmsg, (int, struct msghdr *, int))		\
	X(ssize_t, write, (int, const void *, size_t))			\
	X(ssize_t, writev, (int, const struct iovec *, int))		\
	X(ssize_t, send, (int, const void *, size_t, int))		\
	X(ssize_t, sendto, (int, const void *, size_t, int,		\
	    const struct sockaddr *, socklen_t))			\
	X(ssize_t, sendmsg, (int, const struct msghdr *, int))
#define PORTS(X)							\
	X(int, bind, (int, const struct sockaddr *, socklen_t))		\
	X(int, listen, (int, int))					\
	X(int, getsockname, (int, struct sockaddr *, socklen_t *))	\
	X(int, getpeername, (int, struct sockaddr *, socklen_t *))	\
	X(int, getsockopt, (int, int, int, void *, socklen_t *))	\
	X(int, setsockopt, (int, int, int, const void *, socklen_t))	\
	X(int, shutdown, (int, int))					\
	X(int, close, (int))						\
	X(int, close_range, (unsigned int, unsigned int, int))		\
	X(void, closefrom, (int))
#else
#define READS_AND_WRITES(X)
#define PORTS(X)
#endif
/* What some become in programs that are built with _FORTIFY_SOURCE. */
#if defined(__linux__) && defined(__GLIBC__)
#define CHECKED(X)							\
	X(ssize_t, __read_chk, (int, void *, size_t, size_t))		\
	X(ssize_t, __recv_chk, (int, void *, size_t, size_t, int))	\
	X(ssize_t, __recvfrom_chk, (int, void *, size_t, size_t, int,	\
	    struct sockaddr *, socklen_t *))
#else
#define CHECKED(X)
#endif
/* What some become in programs of 32 bits that are built with _TIME_BITS=64. */
#if defined(__linux__) && defined(__TIMESIZE) && __TIMESIZE == 32
#define FDACCEPT_TIMED
#define TIMED(X)							\
	X(ssize_t, __recvmsg64, (int, struct msghdr *, int))		\
	X(ssize_t, __sendmsg64, (int, const struct msghdr *, int))	\
	X(int, __getsockopt64, (int, int, int, void *, socklen_t *))	\
	X(int, __setsockopt64, (int, int, int, const void *, socklen_t))
#else
#define TIMED(X)
#endif
#define ALL(X)	ACCEPTS(X) READS_AND_WRITES(X) PORTS(X) CHECKED(X) TIMED(X)

/*
 * Ours have these names for the linker alone: glibc declares some with a union
 * of pointers, which ISO C has no way to define them with.
 */
#define DECLARE(type, name, arguments)					\
	EXPORT type own_##name arguments __asm__(#name);
ALL(DECLARE)

/*
 * Those of the C library, or of another preloaded library behind this one.
 * Not the bare system calls: threads can be cancelled in the C library's.
 */
/* NOLINTNEXTLINE(bugprone-macro-parentheses): these are declarations */
#define MEMBER(type, name, arguments)	type (*name) arguments;
static struct {
	ALL(MEMBER)
} next;

/* C has no cast from the one kind of pointer to the other. */
#define FIND(type, name, arguments)					\
	function = dlsym(RTLD_NEXT, #name);				\
	memcpy(&next.name, &function, sizeof(function));

/* Also called by another library's constructor, before ours, or by dlsym(3). */
__attribute__((constructor)) static void
prepare(void)
{
	static bool prepared;
	void *function;

	if (prepared)
		return;
	ALL(FIND)
	prepared = true;
	read_environment();
}

static int
system_accept(int listener, struct sockaddr *addr, socklen_t *len, int flags)
{
	if (flags == -1)
		return next.accept(listener, addr, len);
	if (next.accept4 != NULL)
		return next.accept4(listener, addr, len, flags);
	errno = ENOSYS;
	return -1;
}

int
own_accept(int listener, struct sockaddr *addr, socklen_t *len)
{
	prepare();
	return accept_client(listener, addr, len, -1);
}

int
own_accept4(int listener, struct sockaddr *addr, socklen_t *len, int flags)
{
	prepare();
	/* -1 would be every flag there is, which is EINVAL, as -2 is. */
	return accept_client(listener, addr, len, flags == -1 ? -2 : flags);
}

#ifdef __linux__

static struct msghdr
messages(const struct iovec *iov, int n)
{
	struct msghdr msg;

	memset(&msg, 0, sizeof(msg));
	msg.msg_iov = (struct iovec *)iov;
	msg.msg_iovlen = (unsigned int)n;
	return msg;
}

/* A message of one buffer. */
static struct msghdr
message(struct iovec *iov, const void *buf, size_t n)
{
	iov->iov_base = (void *)buf;
	iov->iov_len = n;
	return messages(iov, 1);
}

static ssize_t
receive(int fd, void *buf, size_t n, int flags)
{
	struct iovec iov;
	struct msghdr msg = message(&iov, buf, n);

	return fdaccept_head_receive(next.recvmsg, fd, &msg, flags);
}

ssize_t
own_read(int fd, void *buf, size_t n)
{
	prepare();
	return fdaccept_head_pending(fd) ? receive(fd, buf, n, 0) :
	    next.read(fd, buf, n);
}

ssize_t
own_readv(int fd, const struct iovec *iov, int n)
{
	struct msghdr msg = messages(iov, n);

	prepare();
	return n > 0 && fdaccept_head_pending(fd) ?
	    fdaccept_head_receive(next.recvmsg, fd, &msg, 0) :
	    next.readv(fd, iov, n);
}

ssize_t
own_recv(int fd, void *buf, size_t n, int flags)
{
	prepare();
	return fdaccept_head_pending(fd) ? receive(fd, buf, n, flags) :
	    next.recv(fd, buf, n, flags);
}

ssize_t
own_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *addr,
    socklen_t *len)
{
	prepare();
	if (!fdaccept_head_pending(fd))
		return next.recvfrom(fd, buf, n, flags, addr, len);
	if (addr != NULL && len != NULL)
		*len = 0;
	return receive(fd, buf, n, flags);
}

ssize_t
own_recvmsg(int fd, struct msghdr *msg, int flags)
{
	prepare();
	return fdaccept_head_pending(fd) ? fdaccept_head_receive(next.recvmsg,
	    fd, msg, flags) : next.recvmsg(fd, msg, flags);
}

#ifdef __GLIBC__

ssize_t
own___read_chk(int fd, void *buf, size_t n, size_t size)
{
	prepare();
	return n <= size ? own_read(fd, buf, n) :
	    next.__read_chk(fd, buf, n, size);
}

ssize_t
own___recv_chk(int fd, void *buf, size_t n, size_t size, int flags)
{
	prepare();
	return n <= size ? own_recv(fd, buf, n, flags) :
	    next.__recv_chk(fd, buf, n, size, flags);
}

ssize_t
own___recvfrom_chk(int fd, void *buf, size_t n, size_t size, int flags,
    struct sockaddr *addr, socklen_t *len)
{
	prepare();
	return n <= size ? own_recvfrom(fd, buf, n, flags, addr, len) :
	    next.__recvfrom_chk(fd, buf, n, size, flags, addr, len);
}

#endif

/* To a client who has asked for a WebSocket: it may be the answer to that. */
static ssize_t
transmit(int fd, const struct msghdr *msg, int flags)
{
	ssize_t sent;

	fdaccept_head_sending(fd, msg->msg_iov, (size_t)msg->msg_iovlen);
	sent = next.sendmsg(fd, msg, flags);
	fdaccept_head_sent(fd, msg->msg_iov, (size_t)msg->msg_iovlen, sent);
	return sent;
}

ssize_t
own_write(int fd, const void *buf, size_t n)
{
	struct iovec iov;
	struct msghdr msg = message(&iov, buf, n);

	prepare();
	return fdaccept_head_pending(fd) ? transmit(fd, &msg, 0) :
	    next.write(fd, buf, n);
}

ssize_t
own_writev(int fd, const struct iovec *iov, int n)
{
	struct msghdr msg = messages(iov, n);

	prepare();
	return n > 0 && fdaccept_head_pending(fd) ? transmit(fd, &msg, 0) :
	    next.writev(fd, iov, n);
}

ssize_t
own_send(int fd, const void *buf, size_t n, int flags)
{
	struct iovec iov;
	struct msghdr msg = message(&iov, buf, n);

	prepare();
	return fdaccept_head_pending(fd) ? transmit(fd, &msg, flags) :
	    next.send(fd, buf, n, flags);
}

ssize_t
own_sendto(int fd, const void *buf, size_t n, int flags,
    const struct sockaddr *addr, socklen_t len)
{
	struct iovec iov;
	struct msghdr msg = message(&iov, buf, n);

	prepare();
	return fdaccept_head_pending(fd) ? transmit(fd, &msg, flags) :
	    next.sendto(fd, buf, n, flags, addr, len);
}

ssize_t
own_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	prepare();
	return fdaccept_head_pending(fd) ? transmit(fd, msg, flags) :
	    next.sendmsg(fd, msg, flags);
}

int
own_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	int result;

	prepare();
	return fdaccept_port_bind(fd, addr, len, &result) ? result :
	    next.bind(fd, addr, len);
}

/* It listens already; how long its queue may be is the launcher's. */
int
own_listen(int fd, int backlog)
{
	int result;

	prepare();
	if (fdaccept_port_is(fd))
		return 0;
	result = next.listen(fd, backlog);
	if (result == 0)
		fdaccept_port_other(fd);
	return result;
}

int
own_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	int result;

	prepare();
	return fdaccept_port_name(fd, addr, len, &result) ? result :
	    next.getsockname(fd, addr, len);
}

int
own_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct sock_addr peer;
	socklen_t size;
	int result;

	prepare();
	if (!fdaccept_port_used() || addr == NULL || len == NULL)
		return next.getpeername(fd, addr, len);
	size = *len;
	peer.len = sizeof(peer.u);
	result = next.getpeername(fd, &peer.u.sa, &peer.len);
	if (result == 0)
		fdaccept_port_put(&peer.u.sa, peer.len, addr, len, size);
	return result;
}

int
own_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	int result;

	prepare();
	return fdaccept_port_get(fd, level, name, value, len, &result) ?
	    result : next.getsockopt(fd, level, name, value, len);
}

int
own_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	prepare();
	return fdaccept_port_set(fd, level, name) ? 0 :
	    next.setsockopt(fd, level, name, value, len);
}

#ifdef FDACCEPT_TIMED

/* With a head under way nothing comes or goes that has a time in it. */
ssize_t
own___recvmsg64(int fd, struct msghdr *msg, int flags)
{
	prepare();
	return fdaccept_head_pending(fd) ? own_recvmsg(fd, msg, flags) :
	    next.__recvmsg64(fd, msg, flags);
}

ssize_t
own___sendmsg64(int fd, const struct msghdr *msg, int flags)
{
	prepare();
	return fdaccept_head_pending(fd) ? own_sendmsg(fd, msg, flags) :
	    next.__sendmsg64(fd, msg, flags);
}

int
own___getsockopt64(int fd, int level, int name, void *value, socklen_t *len)
{
	int result;

	prepare();
	return fdaccept_port_get(fd, level, name, value, len, &result) ?
	    result : next.__getsockopt64(fd, level, name, value, len);
}

int
own___setsockopt64(int fd, int level, int name, const void *value,
    socklen_t len)
{
	prepare();
	return fdaccept_port_set(fd, level, name) ? 0 :
	    next.__setsockopt64(fd, level, name, value, len);
}

#endif

/* Of the socket that all share; it would be the end of it. */
int
own_shutdown(int fd, int how)
{
	prepare();
	return fdaccept_port_is(fd) ? 0 : next.shutdown(fd, how);
}

int
own_close(int fd)
{
	prepare();
	return fdaccept_port_keeps(fd) ? 0 : next.close(fd);
}

int
own_close_range(unsigned int first, unsigned int last, int flags)
{
	unsigned int kept;

	prepare();
	if (next.close_range == NULL) {
		errno = ENOSYS;
		return -1;
	}
	kept = (unsigned int)fdaccept_port_kept();
	if (kept < first || kept > last)
		return next.close_range(first, last, flags);
	if (kept > first && next.close_range(first, kept - 1, flags) == -1)
		return -1;
	return kept < last ? next.close_range(kept + 1, last, flags) : 0;
}

void
own_closefrom(int first)
{
	int kept;

	prepare();
	kept = fdaccept_port_kept();
	for (; first <= kept; first++)
		own_close(first);
	if (next.closefrom != NULL)
		next.closefrom(first);
}

#endif

#endif
