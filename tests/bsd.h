/* See LICENSE for copyright and license details. */
#ifndef BSD_H
#define BSD_H

/*
 * What the BSDs and macOS do otherwise, put before each file of fdproxy on
 * Linux, so that the code for them is built and run there:
 *
 *	cc -include tests/bsd.h -Itests/kqueue -DPOLLER_USE_kqueue ...
 *
 * Each difference is one of at least one of these systems, with its source;
 * the worst of all is taken.  Headers of Linux come first: they ask for
 * __linux__, too.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What is not there: all of it on macOS, some of it on the others. */
#undef __linux__
#undef MSG_CMSG_CLOEXEC
#undef MSG_MORE
#undef MSG_NOSIGNAL
#undef POLLRDHUP
#undef SOCK_CLOEXEC
#undef SOCK_NONBLOCK
#undef SO_NETNS_COOKIE
#undef SO_PEEK_OFF
#undef TCP_DEFER_ACCEPT

/* The same by another name (tcp(4)). */
#define TCP_NOPUSH	3
#undef TCP_CORK

/* getpeereid(3) */
static inline int
getpeereid(int fd, uid_t *uid, gid_t *gid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1)
		return -1;
	*uid = cred.uid;
	*gid = cred.gid;
	return 0;
}

/* An unnamed socket has an address with an empty path (FreeBSD's sun_noname,
   XNU's unp_connect). */
static inline void
bsd_noname(const struct sockaddr *addr, socklen_t *len)
{
	if (addr != NULL && *len == sizeof(addr->sa_family) &&
	    addr->sa_family == AF_UNIX)
		*len = 16;
}

static inline int
bsd_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	int result = getpeername(fd, addr, len);

	if (result == 0)
		bsd_noname(addr, len);
	return result;
}

/* The connection has the listener's O_NONBLOCK (accept(2)). */
static inline int
bsd_accept(int listener, struct sockaddr *addr, socklen_t *len)
{
	int fd = accept(listener, addr, len);

	if (fd == -1)
		return -1;
	fcntl(fd, F_SETFL, fcntl(listener, F_GETFL) & O_NONBLOCK);
	bsd_noname(addr, len);
	return fd;
}

/* A full backlog refuses (unix(4), uipc_usrreq.c: sonewconn). */
static inline int
bsd_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int result = connect(fd, addr, len);

	if (result == -1 && errno == EAGAIN)
		errno = ECONNREFUSED;
	return result;
}

/* A backend that has left (FreeBSD's uipc_send, XNU's). */
static inline ssize_t
bsd_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	ssize_t n = sendmsg(fd, msg, flags);

	if (n == -1 && errno == EPIPE)
		errno = ENOTCONN;
	return n;
}

/* A listener has no peer (recv(2)); Linux says EINVAL of one with a path. */
static inline ssize_t
bsd_recv(int fd, void *buf, size_t n, int flags)
{
	ssize_t got = recv(fd, buf, n, flags);

	if (got == -1 && errno == EINVAL)
		errno = ENOTCONN;
	return got;
}

/* SO_ACCEPTCONN is not known (XNU's sogetoptlock, OpenBSD's sogetopt). */
static inline int
bsd_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	if (level == SOL_SOCKET && name == SO_ACCEPTCONN) {
		errno = ENOPROTOOPT;
		return -1;
	}
	return getsockopt(fd, level, name, value, len);
}

#define accept		bsd_accept
#define connect		bsd_connect
#define getpeername	bsd_getpeername
#define getsockopt	bsd_getsockopt
#define recv		bsd_recv
#define sendmsg		bsd_sendmsg

#endif
