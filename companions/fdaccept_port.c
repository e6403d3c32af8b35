/* See LICENSE for copyright and license details. */
#include "fdaccept.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sock.h"
#include "text.h"

/* Addresses that are remembered; a server binds one or two. */
#define BOUND_MAX	16

/* Numbers among which a listening socket is that a program has inherited. */
#define INHERITED_MAX	1024

/* As the launcher says; written before main() and only read from then on. */
static struct {
	unsigned int number;	/* 0: there is none */
	int fd;
	ino_t inode;
} port;

/* What each descriptor was bound to, by the server's account. */
static struct {
	int fd;
	struct sock_addr addr;
} bound[BOUND_MAX];
static unsigned int bound_next;

bool
fdaccept_port_begin(const char *text)
{
	unsigned long long inode;
	char *end;
	unsigned long number = strtoul(text, &end, 10);
	long fd = strtol(end, &end, 10);

	inode = strtoull(end, &end, 10);
	if (*end != '\0' || number == 0 || number > 65535 || fd < 0 ||
	    inode == 0)
		return false;
	port.fd = (int)fd;
	port.inode = (ino_t)inode;
	port.number = (unsigned int)number;
	return true;
}

bool
fdaccept_port_used(void)
{
	return port.number != 0;
}

bool
fdaccept_port_is(int fd)
{
	struct stat st;

	return port.number != 0 && fstat(fd, &st) == 0 &&
	    S_ISSOCK(st.st_mode) && st.st_ino == port.inode;
}

bool
fdaccept_port_keeps(int fd)
{
	return fd == port.fd && fdaccept_port_is(fd);
}

int
fdaccept_port_kept(void)
{
	return fdaccept_port_is(port.fd) ? port.fd : -1;
}

static void
remember(int fd, const struct sockaddr *addr, socklen_t len)
{
	unsigned int i;

	for (i = 0; i < BOUND_MAX; i++)
		if (bound[i].fd == fd)
			break;
	if (i == BOUND_MAX)
		i = bound_next++ % BOUND_MAX;
	memset(&bound[i].addr, 0, sizeof(bound[i].addr));
	if (len > sizeof(bound[i].addr.u))
		len = sizeof(bound[i].addr.u);
	memcpy(&bound[i].addr.u, addr, len);
	bound[i].addr.len = len;
	bound[i].fd = fd;
}

/*
 * The address that fd was bound to; else one that another number was, of which
 * it may be a duplicate; all hosts, if another process has bound it.
 */
static const struct sock_addr *
address_of(int fd, struct sock_addr *any)
{
	unsigned int i;

	for (i = 0; i < BOUND_MAX; i++)
		if (bound[i].addr.len > 0 && bound[i].fd == fd)
			return &bound[i].addr;
	if (bound[0].addr.len > 0)
		return &bound[0].addr;
	memset(any, 0, sizeof(*any));
	any->u.in.sin_family = AF_INET;
	any->len = sizeof(any->u.in);
	sock_set_port(any, port.number);
	return any;
}

/*
 * The socket, to be duplicated.  Its own number may have been closed when this
 * program was executed by one that marks all numbers so; then it is whatever
 * else has been inherited of it, and that number again from now on.
 */
static int
find_socket(void)
{
	int fd;

	if (fdaccept_port_kept() != -1)
		return port.fd;
	for (fd = 0; fd < INHERITED_MAX; fd++)
		if (fdaccept_port_is(fd))
			return fcntl(port.fd, F_GETFD) == -1 &&
			    dup2(fd, port.fd) != -1 ? port.fd : fd;
	return -1;
}

bool
fdaccept_port_bind(int fd, const struct sockaddr *addr, socklen_t len,
    int *result)
{
	struct sock_addr to = { .len = 0 };
	socklen_t size = sizeof(int);
	int type, cloexec, status, from;

	if (port.number == 0 || addr == NULL || len > sizeof(to.u))
		return false;
	memcpy(&to.u, addr, len);
	if (sock_port(&to) != port.number || getsockopt(fd, SOL_SOCKET, SO_TYPE,
	    &type, &size) == -1 || type != SOCK_STREAM)
		return false;
	*result = -1;
	from = find_socket();
	if (from == -1) {
		errno = EADDRNOTAVAIL;
		return true;
	}
	cloexec = fcntl(fd, F_GETFD);
	status = fcntl(fd, F_GETFL);
	if (cloexec == -1 || status == -1 || dup3(from, fd,
	    cloexec & FD_CLOEXEC ? O_CLOEXEC : 0) == -1)
		return true;
	/*
	 * O_NONBLOCK belongs to the open file, which other processes accept
	 * from as well: it is never cleared here.
	 */
	if ((status & O_NONBLOCK) != 0)
		sock_nonblock(fd, true);
	remember(fd, addr, len);
	*result = 0;
	return true;
}

void
fdaccept_port_put(const struct sockaddr *addr, socklen_t addr_len,
    struct sockaddr *dst, socklen_t *len, socklen_t size)
{
	struct sock_addr any;

	if (port.number != 0 && addr->sa_family == AF_INET6 &&
	    size >= sizeof(any.u.in) && size < sizeof(any.u.in6)) {
		memset(&any, 0, sizeof(any));
		any.u.in.sin_family = AF_INET;
		any.u.in.sin_port = ((const struct sockaddr_in6 *)(const void *)
		    addr)->sin6_port;
		addr = &any.u.sa;
		addr_len = sizeof(any.u.in);
	}
	memcpy(dst, addr, addr_len < size ? addr_len : size);
	*len = addr_len;
}

void
fdaccept_port_other(int fd)
{
	static bool said;
	struct sock_addr addr;
	int saved = errno;

	if (port.number != 0 && !said && bound[0].addr.len == 0 &&
	    sock_name(fd, &addr) == 0 && sock_port(&addr) != 0) {
		said = true;
		text_write(STDERR_FILENO, "fdaccept: the server listens on "
		    "port %u, and not on %u (-p)\n", sock_port(&addr),
		    port.number);
	}
	errno = saved;
}

bool
fdaccept_port_name(int fd, struct sockaddr *addr, socklen_t *len, int *result)
{
	const struct sock_addr *from;
	struct sock_addr any;

	if (addr == NULL || len == NULL || !fdaccept_port_is(fd))
		return false;
	from = address_of(fd, &any);
	memcpy(addr, &from->u, from->len < *len ? from->len : *len);
	*len = from->len;
	*result = 0;
	return true;
}

/* Levels that a socket of AF_UNIX does not have. */
static bool
of_internet(int level)
{
	return level == IPPROTO_TCP || level == IPPROTO_IP ||
	    level == IPPROTO_IPV6;
}

bool
fdaccept_port_get(int fd, int level, int name, void *value, socklen_t *len,
    int *result)
{
	struct sock_addr any;
	int fresh;

	if (!of_internet(level) && !(level == SOL_SOCKET &&
	    (name == SO_DOMAIN || name == SO_PROTOCOL)))
		return false;
	if (!fdaccept_port_is(fd))
		return false;
	/* Servers copy what they are told here to their clients. */
	fresh = socket(address_of(fd, &any)->u.sa.sa_family, SOCK_STREAM |
	    SOCK_CLOEXEC, 0);
	*result = fresh == -1 ? -1 : getsockopt(fresh, level, name, value, len);
	if (fresh != -1)
		sock_drop(fresh);
	return true;
}

bool
fdaccept_port_set(int fd, int level, int name)
{
	return (of_internet(level) || (level == SOL_SOCKET &&
	    name == SO_REUSEPORT)) && fdaccept_port_is(fd);
}

#endif
