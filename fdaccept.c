/* See LICENSE for copyright and license details. */

/*
 * libfdaccept: loaded into a server that knows nothing of it, its accept(2) and
 * accept4(2) return, on AF_UNIX listeners, the client whose descriptor comes
 * over the connection, in place of the connection.
 *
 * The program around it may have threads, fork and be interrupted anywhere:
 * nothing is allocated or locked, and what is kept is written before main()
 * and only read from then on.
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fdpass.h"
#include "sock.h"

/*
 * From a connection to its message: most often it is there already, since the
 * sender connects when it has something to send.  A server with an event loop
 * stands still meanwhile; a sender that came too late will connect again.
 */
#define WAIT_MS	250

/* No string that is longer comes through execve(2) on Linux. */
#define NAMES_SIZE	(128 * 1024)

/* All that other files of this library define stays inside it. */
#define EXPORT	__attribute__((visibility("default")))

/*
 * FDACCEPT and FDACCEPT_ADDRESS as they were at the start: some servers write
 * their title over the environment.
 */
static char names[NAMES_SIZE];
static bool unix_addresses;

static int64_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Whether clients come over connections to the listener of that address. */
static bool
expected(const struct sock_addr *listener)
{
	const char *path = listener->u.un.sun_path, *name = names;
	size_t len = strnlen(path, sizeof(listener->u.un.sun_path)), n;

	if (listener->u.sa.sa_family != AF_UNIX)
		return false;
	if (*names == '\0')
		return true;
	for (;;) {
		n = strcspn(name, ":");
		if (n > 0 && n == len && memcmp(name, path, n) == 0)
			return true;
		if (name[n] == '\0')
			return false;
		name += n + 1;
	}
}

/* Whether there is a message, or the end, in time; signals take none of it. */
static bool
arrived(int conn)
{
	struct pollfd p = { conn, POLLIN, 0 };
	int64_t end = now() + WAIT_MS, left = WAIT_MS;
	int n;

	do {
		n = poll(&p, 1, (int)left);
		left = end - now();
	} while (n == -1 && errno == EINTR && left > 0);
	return n == 1;
}

/*
 * What accept4() was asked for, and what systems do by themselves that let a
 * connection take O_NONBLOCK from its listener, conn has already.
 */
static bool
copy_flags(int client, int conn)
{
	int status = fcntl(conn, F_GETFL), flags = fcntl(conn, F_GETFD);

	return status != -1 && flags != -1 &&
	    sock_nonblock(client, (status & O_NONBLOCK) != 0) != -1 &&
	    fcntl(client, F_SETFD, flags) != -1;
}

/*
 * Take a client from conn.  It is close-on-exec until it is known what it
 * should be.  Returns the descriptor and its address, or -1 with an errno that
 * servers expect of accept(2): ECONNABORTED, they go on; EMFILE, they pause.
 */
static int
take(int conn, struct sock_addr *addr)
{
	int client = -1;
	char nul;

	if (arrived(conn) && fdpass_recv(conn, &nul, 1, &client) == -1 &&
	    errno == EMFILE)
		return -1;
	/* One without an address has left, or is no connection at all. */
	if (client != -1 && sock_peer(client, addr) == 0 &&
	    copy_flags(client, conn))
		return client;
	if (client != -1)
		close(client);
	errno = ECONNABORTED;
	return -1;
}

/*
 * What the server gets for conn, which the system's accept has returned: conn
 * itself, or its client, whose address goes where the one of conn is now.
 * Room for it were size bytes; what the system has made of *len is not that.
 */
static int
exchange(int conn, struct sockaddr *dst, socklen_t *len, socklen_t size)
{
	int saved = errno, client;
	struct sock_addr addr;

	if (conn == -1)
		return -1;
	if (sock_name(conn, &addr) == -1 || !expected(&addr)) {
		errno = saved;
		return conn;
	}
	client = take(conn, &addr);
	if (client == -1)
		saved = errno;
	close(conn);
	if (client != -1 && !unix_addresses && dst != NULL && len != NULL) {
		memcpy(dst, &addr.u, addr.len < size ? addr.len : size);
		*len = addr.len;
	}
	errno = saved;
	return client;
}

static void
read_environment(void)
{
	const char *text = getenv("FDACCEPT");

	if (text != NULL && *names == '\0')
		strncpy(names, text, sizeof(names) - 1);
	text = getenv("FDACCEPT_ADDRESS");
	unix_addresses = text != NULL && strcmp(text, "unix") == 0;
}

/* ---- in place of the system's ---- */

#ifdef __APPLE__

__attribute__((constructor)) static void
prepare(void)
{
	read_environment();
}

static int
client_accept(int listener, struct sockaddr *addr, socklen_t *len)
{
	socklen_t size = addr == NULL || len == NULL ? 0 : *len;

	return exchange(accept(listener, addr, len), addr, len, size);
}

/* dyld(1) replaces what this table names everywhere but in here. */
__attribute__((used, section("__DATA,__interpose"))) static const struct {
	int (*by)(int, struct sockaddr *, socklen_t *);
	int (*what)(int, struct sockaddr *, socklen_t *);
} interpose[] = { { client_accept, accept } };

#else

/*
 * Named for the linker alone: glibc declares accept(2) with a union of
 * pointers, which ISO C has no way to define it with.
 */
EXPORT int	client_accept(int listener, struct sockaddr *addr,
		    socklen_t *len) __asm__("accept");
EXPORT int	client_accept4(int listener, struct sockaddr *addr,
		    socklen_t *len, int flags) __asm__("accept4");

static int (*next_accept)(int, struct sockaddr *, socklen_t *);
static int (*next_accept4)(int, struct sockaddr *, socklen_t *, int);

/*
 * Not the bare system calls: those of the C library are where threads can be
 * cancelled, and another preloaded library may come in between.
 */
__attribute__((constructor)) static void
prepare(void)
{
	void *function;

	read_environment();
	/* C has no cast from the one kind of pointer to the other. */
	function = dlsym(RTLD_NEXT, "accept4");
	memcpy(&next_accept4, &function, sizeof(function));
	function = dlsym(RTLD_NEXT, "accept");
	memcpy(&next_accept, &function, sizeof(function));
}

int
client_accept(int listener, struct sockaddr *addr, socklen_t *len)
{
	socklen_t size = addr == NULL || len == NULL ? 0 : *len;

	/* Called by another library's constructor, before ours. */
	if (next_accept == NULL)
		prepare();
	return exchange(next_accept(listener, addr, len), addr, len, size);
}

int
client_accept4(int listener, struct sockaddr *addr, socklen_t *len, int flags)
{
	socklen_t size = addr == NULL || len == NULL ? 0 : *len;

	if (next_accept == NULL)
		prepare();
	if (next_accept4 == NULL) {
		errno = ENOSYS;
		return -1;
	}
	return exchange(next_accept4(listener, addr, len, flags), addr, len,
	    size);
}

#endif
