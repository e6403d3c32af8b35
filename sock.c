/* See LICENSE for copyright and license details. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__NetBSD__)
#include <sys/param.h>
#endif

#include "sock.h"
#include "text.h"

/* Linux 5.14's, which C libraries do not all have yet. */
#if defined(__linux__) && !defined(SO_NETNS_COOKIE) && \
    !defined(__sparc__) && !defined(__hppa__)
#define SO_NETNS_COOKIE	71
#endif

/* Linux's, which dietlibc does not have. */
#if defined(__linux__) && !defined(IPV6_V6ONLY)
#define IPV6_V6ONLY	26
#endif

/* NetBSD before 8. */
#if defined(__NetBSD__) && __NetBSD_Version__ < 800000000
#define accept4(fd, addr, len, flags)	paccept(fd, addr, len, NULL, flags)
#endif

int
sock_cloexec(int fd)
{
	return fcntl(fd, F_SETFD, FD_CLOEXEC);
}

int
sock_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1)
		return -1;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags);
}

int
sock_drop(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
	return -1;
}

/* A new stream socket; macOS cannot set the flags in the same call. */
static int
new_socket(int family, bool nonblock)
{
#ifdef SOCK_CLOEXEC
	return socket(family, SOCK_STREAM | SOCK_CLOEXEC |
	    (nonblock ? SOCK_NONBLOCK : 0), 0);
#else
	int fd = socket(family, SOCK_STREAM, 0);

	if (fd != -1 && (sock_cloexec(fd) == -1 ||
	    (nonblock && sock_nonblock(fd, true) == -1)))
		return sock_drop(fd);
	return fd;
#endif
}

int
sock_stream(void)
{
	return new_socket(AF_UNIX, true);
}

int
sock_connect(const struct sock_addr *addr)
{
	int fd = new_socket(addr->u.sa.sa_family, true);

	if (fd == -1 || connect(fd, &addr->u.sa, addr->len) == 0 ||
	    errno == EINPROGRESS)
		return fd;
	return sock_drop(fd);
}

int
sock_accept(int listener, struct sock_addr *peer)
{
#ifdef SOCK_CLOEXEC
	memset(peer, 0, sizeof(*peer));
	peer->len = sizeof(peer->u);
	return accept4(listener, &peer->u.sa, &peer->len, SOCK_CLOEXEC);
#else
	int fd;

	memset(peer, 0, sizeof(*peer));
	peer->len = sizeof(peer->u);
	/* Here the connection takes O_NONBLOCK from the listener. */
	fd = accept(listener, &peer->u.sa, &peer->len);

	if (fd != -1 && (sock_cloexec(fd) == -1 ||
	    sock_nonblock(fd, false) == -1))
		return sock_drop(fd);
	return fd;
#endif
}

int
sock_name(int fd, struct sock_addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	addr->len = sizeof(addr->u);
	return getsockname(fd, &addr->u.sa, &addr->len);
}

int
sock_peer(int fd, struct sock_addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	addr->len = sizeof(addr->u);
	return getpeername(fd, &addr->u.sa, &addr->len);
}

static int
set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

/* What is set at TCP alone says that it is. */
static bool
is_stream(int fd, int family)
{
	int type = 0;
	socklen_t len = sizeof(type);

	if (family != AF_UNIX)
		return set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1) == 0;
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	    type == SOCK_STREAM;
}

int
sock_reclaim(int fd, struct sock_addr *peer)
{
	const struct linger no_linger = { 0, 0 };
	const struct timeval no_time = { 0, 0 };
	struct sock_addr own;
	bool left = sock_peer(fd, peer) == -1;

	/* The BSDs know more words for one that has left. */
	if (left && sock_name(fd, &own) == 0 && !sock_listens(fd) &&
	    is_stream(fd, own.u.sa.sa_family)) {
		errno = ENOTCONN;
		return -1;
	}
#if defined(TCP_CORK)
	set_int(fd, IPPROTO_TCP, TCP_CORK, 0);
#elif defined(TCP_NOPUSH)
	set_int(fd, IPPROTO_TCP, TCP_NOPUSH, 0);
#endif
	if (left || !is_stream(fd, peer->u.sa.sa_family)) {
		errno = EINVAL;
		return -1;
	}
	fcntl(fd, F_SETFL, 0);	/* O_NONBLOCK and O_ASYNC */
	set_int(fd, SOL_SOCKET, SO_RCVLOWAT, 1);
#ifdef SO_PEEK_OFF
	set_int(fd, SOL_SOCKET, SO_PEEK_OFF, -1);
#endif
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &no_linger, sizeof(no_linger));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &no_time, sizeof(no_time));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &no_time, sizeof(no_time));
	return 0;
}

void
sock_make_room(int fd)
{
#ifdef __linux__
	/* The buffer grows by this, and its size is not fixed by it. */
	set_int(fd, SOL_SOCKET, SO_RCVLOWAT, 256 * 1024);
	set_int(fd, SOL_SOCKET, SO_RCVLOWAT, 1);
#else
	(void)fd;
#endif
}

uint64_t
sock_network(int fd)
{
	uint64_t number = 0;
#ifdef SO_NETNS_COOKIE
	socklen_t len = sizeof(number);

	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &number, &len) == -1)
		return 0;
#else
	(void)fd;
#endif
	return number;
}

void
sock_close(int fd)
{
	struct linger option;
	socklen_t len = sizeof(option);

	/* One of 0 seconds is a wish for a reset, and takes none. */
	if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &option, &len) == 0 &&
	    option.l_onoff != 0 && option.l_linger != 0) {
		option.l_onoff = 0;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &option, sizeof(option));
	}
	close(fd);
}

void
sock_reset(int fd)
{
	struct linger off = { 1, 0 };
#ifdef __linux__
	struct sockaddr nobody = { .sa_family = AF_UNSPEC };
#endif

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
#ifdef __linux__
	/* Though another process has it, too (tcp(7)). */
	(void)connect(fd, &nobody, sizeof(nobody));
#endif
	close(fd);
}

bool
sock_unix(struct sock_addr *addr, const char *path, size_t len)
{
	memset(addr, 0, sizeof(*addr));
	if (len == 0 || len >= sizeof(addr->u.un.sun_path) ||
	    memchr(path, '\0', len) != NULL)
		return false;
	addr->u.un.sun_family = AF_UNIX;
	memcpy(addr->u.un.sun_path, path, len);
	addr->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len +
	    1);
	if (*path == '@') {
#ifdef __linux__
		/* Every byte up to the length is part of such a name. */
		addr->u.un.sun_path[0] = '\0';
		addr->len--;
		return len > 1;
#else
		return false;
#endif
	}
	return true;
}

bool
sock_same(const struct sock_addr *a, const struct sock_addr *b)
{
	const struct sockaddr_in6 *x = &a->u.in6, *y = &b->u.in6;

	if (a->u.sa.sa_family != b->u.sa.sa_family ||
	    sock_port(a) != sock_port(b))
		return false;
	if (a->u.sa.sa_family == AF_INET)
		return a->u.in.sin_addr.s_addr == b->u.in.sin_addr.s_addr;
	if (a->u.sa.sa_family == AF_INET6)
		return memcmp(&x->sin6_addr, &y->sin6_addr,
		    sizeof(x->sin6_addr)) == 0 &&
		    x->sin6_scope_id == y->sin6_scope_id;
	/* A file's name ends at its NUL, whatever length the system says. */
	if (sock_is_file(a) && sock_is_file(b))
		return strcmp(a->u.un.sun_path, b->u.un.sun_path) == 0;
	return a->len == b->len && memcmp(&a->u.un, &b->u.un, a->len) == 0;
}

bool
sock_is_file(const struct sock_addr *addr)
{
	return addr->u.sa.sa_family == AF_UNIX &&
	    addr->len > offsetof(struct sockaddr_un, sun_path) &&
	    addr->u.un.sun_path[0] != '\0';
}

const char *
sock_path(const struct sock_addr *addr, char *dst, size_t size)
{
	size_t len = addr->len, skip = offsetof(struct sockaddr_un, sun_path);

	if (sock_is_file(addr))
		text_format(dst, size, "%.*s", (int)(len - skip),
		    addr->u.un.sun_path);
#ifdef __linux__
	else if (len > skip)
		text_format(dst, size, "@%.*s", (int)(len - skip - 1),
		    addr->u.un.sun_path + 1);
#endif
	else	/* the BSDs' has a length, and NUL bytes */
		text_format(dst, size, "%s", "");
	return dst;
}

/* Any host at that port.  Returns where the host is to be put. */
static void *
any_host(struct sock_addr *addr, int family, unsigned int port)
{
	memset(addr, 0, sizeof(*addr));
	addr->u.sa.sa_family = (sa_family_t)family;
	sock_set_port(addr, port);
	if (family == AF_INET) {
		addr->len = sizeof(addr->u.in);
		return &addr->u.in.sin_addr;
	}
	addr->len = sizeof(addr->u.in6);
	return &addr->u.in6.sin6_addr;
}

/*
 * An address in brackets, taken apart in place: "fe80::1%eth0" has a zone, an
 * interface by its name or number.  Systems ignore that of an address which is
 * not link-local, so it would not be found again.
 */
static const char *
parse_in6(char *host, struct sockaddr_in6 *in6)
{
	char *zone = strchr(host, '%');
	unsigned long id = 0;

	if (zone != NULL)
		*zone++ = '\0';
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) != 1)
		return "not a numeric address (IPv6 goes in brackets)";
	if (zone == NULL)
		return NULL;
	if (!IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
		return "only a link-local address (fe80::) has a zone";
	if (!text_number(zone, 10, UINT32_MAX, &id) || id == 0)
		id = if_nametoindex(zone);
	in6->sin6_scope_id = (uint32_t)id;
	return id == 0 ? "there is no such network interface" : NULL;
}

const char *
sock_parse(const char *text, struct sock_addr addr[2], int *n)
{
	char host[INET6_ADDRSTRLEN + IF_NAMESIZE];
	const char *colon;
	unsigned long port;
	size_t len;
	bool local;

	*n = 1;
	if (strncmp(text, "unix:", 5) == 0) {
		if (text[5] != '/' && text[5] != '@')
			return "the path of a unix: address must be absolute";
		if (!sock_unix(&addr[0], text + 5, strlen(text + 5)))
			return text[5] == '/' ?
			    "the path of the socket is too long" :
			    "no such abstract name is possible here";
		return NULL;
	}
	colon = strrchr(text, ':');
	if (!text_number(colon == NULL ? text : colon + 1, 10, 65535, &port))
		return "not an [address:]port with a port from 0 to 65535";
	len = colon == NULL ? 0 : (size_t)(colon - text);
	local = len == 9 && strncmp(text, "localhost", 9) == 0;
	if (local || len == 0 || (len == 1 && *text == '*')) {
		any_host(&addr[0], AF_INET6, (unsigned int)port);
		any_host(&addr[1], AF_INET, (unsigned int)port);
		if (local) {
			addr[0].u.in6.sin6_addr = in6addr_loopback;
			addr[1].u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		}
		*n = 2;
		return NULL;
	}
	if (len >= sizeof(host))
		return "not a numeric address";
	memcpy(host, text, len);
	host[len] = '\0';
	if (*host == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		any_host(&addr[0], AF_INET6, (unsigned int)port);
		return parse_in6(host + 1, &addr[0].u.in6);
	}
	if (inet_pton(AF_INET, host, any_host(&addr[0], AF_INET,
	    (unsigned int)port)) != 1)
		return "not a numeric address (IPv6 goes in brackets)";
	return NULL;
}

const char *
sock_host(const struct sock_addr *addr, char *dst, size_t size)
{
	unsigned char a[16];
	size_t n;

	if (addr->u.sa.sa_family == AF_INET) {
		memcpy(a, &addr->u.in.sin_addr, 4);
		return text_in4(a, dst, size);
	}
	if (addr->u.sa.sa_family == AF_INET6) {
		memcpy(a, &addr->u.in6.sin6_addr, 16);
		text_in6(a, dst, size);
		n = strlen(dst);
		/* Its number: a name takes a descriptor, and may change. */
		if (addr->u.in6.sin6_scope_id != 0)
			text_format(dst + n, size - n, "%%%u",
			    (unsigned int)addr->u.in6.sin6_scope_id);
		return dst;
	}
	text_format(dst, size, "unix");
	return dst;
}

unsigned int
sock_port(const struct sock_addr *addr)
{
	if (addr->u.sa.sa_family == AF_INET)
		return ntohs(addr->u.in.sin_port);
	if (addr->u.sa.sa_family == AF_INET6)
		return ntohs(addr->u.in6.sin6_port);
	return 0;
}

void
sock_set_port(struct sock_addr *addr, unsigned int port)
{
	if (addr->u.sa.sa_family == AF_INET)
		addr->u.in.sin_port = htons((uint16_t)port);
	else if (addr->u.sa.sa_family == AF_INET6)
		addr->u.in6.sin6_port = htons((uint16_t)port);
}

const char *
sock_text(const struct sock_addr *addr, char *dst, size_t size)
{
	char host[INET6_ADDRSTRLEN + 12] = "", path[SOCK_TEXT];

	sock_host(addr, host, sizeof(host));
	if (addr->u.sa.sa_family == AF_INET)
		text_format(dst, size, "%s:%u", host, sock_port(addr));
	else if (addr->u.sa.sa_family == AF_INET6)
		text_format(dst, size, "[%s]:%u", host, sock_port(addr));
	else
		text_format(dst, size, "unix:%s", sock_path(addr, path,
		    sizeof(path)));
	return dst;
}

#define LOCK_TRIES	100	/* in all */
#define LOCK_MS		10

#ifdef __linux__
#define TRIES	1
#else
#define TRIES	5
#endif

/*
 * Between bind(2) and listen(2) a socket looks dead, and of two who find a dead
 * one, the second would take away what the first has made of it: so only one at
 * a time is in a folder.  Who cannot have it, or not soon, goes on without:
 * anybody who may read the folder can lock it.  The descriptor, or -1.
 */
static int
lock_folder(const struct sock_addr *addr)
{
	const char *path = addr->u.un.sun_path, *slash = strrchr(path, '/');
	char folder[sizeof(addr->u.un.sun_path)];
	static int tries;
	int fd;

	text_format(folder, sizeof(folder), "%.*s", slash == NULL ? 1 :
	    slash == path ? 1 : (int)(slash - path),
	    slash == NULL ? "." : path);
	fd = open(folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
	while (fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == -1 &&
	    tries++ < LOCK_TRIES)
		poll(NULL, 0, LOCK_MS);
	return fd;
}

/*
 * A socket file that is left over from a dead process is taken away.  The
 * probe does not block: on a full backlog somebody is listening.
 */
static int
clear_stale(const struct sock_addr *addr)
{
	struct stat st;
	int fd, error = 0, tries;

	if (!sock_is_file(addr))
		return 0;
	if (lstat(addr->u.un.sun_path, &st) == -1)
		return errno == ENOENT ? 0 : -1;
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		return -1;
	}
	/* Off Linux, refused may also mean that its backlog is full now. */
	for (tries = 0; tries < TRIES; tries++) {
		fd = sock_stream();
		if (fd == -1)
			return -1;
		error = connect(fd, &addr->u.sa, addr->len) == -1 ? errno : 0;
		close(fd);
		if (error != ECONNREFUSED)
			break;
		if (TRIES > 1)
			poll(NULL, 0, 20);
	}
	if (error == ECONNREFUSED)
		return unlink(addr->u.un.sun_path);
	errno = EADDRINUSE;
	return -1;
}

/*
 * Connections without data are held back, or are not any more.  FreeBSD's
 * counterpart can be set on a listening socket alone, and its module may not
 * be loaded.
 */
static void
set_defer(int fd, int family, bool defer)
{
#if defined(TCP_DEFER_ACCEPT)
	int on = defer;

	if (family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof(on));
#elif defined(SO_ACCEPTFILTER)
	struct accept_filter_arg arg;

	if (family == AF_UNIX)
		return;
	memset(&arg, 0, sizeof(arg));
	memcpy(arg.af_name, "dataready", 9);
	setsockopt(fd, SOL_SOCKET, SO_ACCEPTFILTER, defer ? &arg : NULL,
	    defer ? sizeof(arg) : 0);
#else
	(void)fd;
	(void)family;
	(void)defer;
#endif
}

/* Options that connections take over from a TCP listener. */
static int
inherit_options(int fd)
{
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == -1)
		return -1;
	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void
sock_remember(const struct sock_addr *addr, struct sock_file *file)
{
	struct stat st;

	memset(file, 0, sizeof(*file));
	if (sock_is_file(addr) && lstat(addr->u.un.sun_path, &st) == 0 &&
	    S_ISSOCK(st.st_mode)) {
		file->dev = st.st_dev;
		file->ino = st.st_ino;
	}
}

bool
sock_owns(const struct sock_addr *addr, const struct sock_file *file)
{
	struct sock_file there;

	sock_remember(addr, &there);
	return there.ino != 0 && there.ino == file->ino &&
	    there.dev == file->dev;
}

void
sock_remove(const struct sock_addr *addr, const struct sock_file *file)
{
	if (sock_owns(addr, file))
		unlink(addr->u.un.sun_path);
}

#ifdef __linux__
static int
set_owner(int fd, const char *path, uid_t uid, gid_t gid)
{
	(void)path;
	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH);
}

static int
set_mode(int fd, const char *path, mode_t mode)
{
	char by_number[32];

	(void)path;
	text_format(by_number, sizeof(by_number), "/proc/self/fd/%d", fd);
	return chmod(by_number, mode);
}
#else
static int
set_owner(int fd, const char *path, uid_t uid, gid_t gid)
{
	(void)fd;
	return lchown(path, uid, gid);
}

static int
set_mode(int fd, const char *path, mode_t mode)
{
	(void)fd;
	return fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW);
}
#endif

int
sock_set_rights(const struct sock_addr *addr, const struct sock_file *file,
    int mode, uid_t uid, gid_t gid)
{
	const char *path = addr->u.un.sun_path;
	struct stat st;
	int fd = -1, result;

#ifdef __linux__
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	result = fd == -1 ? -1 : fstat(fd, &st);
#else
	result = lstat(path, &st);
#endif
	if (result == 0 && (!S_ISSOCK(st.st_mode) ||
	    st.st_ino != file->ino || st.st_dev != file->dev)) {
		errno = ENOENT;
		result = -1;
	}
	if (result == 0 && mode != -1 && (st.st_mode & 0777) != (mode_t)mode)
		result = set_mode(fd, path, (mode_t)mode);
	if (result == 0 && ((uid != (uid_t)-1 && uid != st.st_uid) ||
	    (gid != (gid_t)-1 && gid != st.st_gid)))
		result = set_owner(fd, path, uid, gid);
	if (fd != -1)
		sock_drop(fd);
	return result;
}

void
sock_tune(int fd, const struct sock_addr *addr, int backlog, bool defer)
{
	listen(fd, backlog);
	set_defer(fd, addr->u.sa.sa_family, defer);
}

bool
sock_listens(int fd)
{
	int listens = 0;
	socklen_t len = sizeof(listens);
	char c;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0)
		return listens != 0;
	/* macOS and OpenBSD do not say; who has been connected has an end. */
	return errno == ENOPROTOOPT &&
	    recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == -1 &&
	    errno == ENOTCONN;
}

int
sock_inherit(int fd, struct sock_addr *addr)
{
	int type = 0;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == -1)
		return -1;
	if (type != SOCK_STREAM || !sock_listens(fd)) {
		errno = EINVAL;
		return -1;
	}
	if (sock_name(fd, addr) == -1 || sock_cloexec(fd) == -1 ||
	    sock_nonblock(fd, true) == -1)
		return -1;
	if (addr->u.sa.sa_family != AF_UNIX)
		inherit_options(fd);
	return 0;
}

static int
listen_at(const struct sock_addr *addr, int backlog, bool defer, int mode)
{
	int family = addr->u.sa.sa_family, fd, bound, saved, on = 1;
	mode_t mask = 0;

	if (clear_stale(addr) == -1)
		return -1;
	fd = new_socket(family, true);
	if (fd == -1)
		return -1;
	if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
	    &on, sizeof(on)) == -1)
		return sock_drop(fd);
	if (family != AF_UNIX && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
	    sizeof(on)) == -1 || inherit_options(fd) == -1))
		return sock_drop(fd);
	/* The file has its permissions from the first moment on. */
	if (mode != -1)
		mask = umask(~(mode_t)mode & 0777);
	bound = bind(fd, &addr->u.sa, addr->len);
	if (mode != -1)
		umask(mask);
	if (bound == -1)
		return sock_drop(fd);
	if (backlog >= 0 && listen(fd, backlog) == -1) {
		saved = errno;
		if (sock_is_file(addr))
			unlink(addr->u.un.sun_path);
		errno = saved;
		return sock_drop(fd);
	}
	set_defer(fd, family, defer);
	return fd;
}

int
sock_listen(const struct sock_addr *addr, int backlog, bool defer, int mode)
{
	int lock = sock_is_file(addr) ? lock_folder(addr) : -1;
	int fd = listen_at(addr, backlog, defer, mode);

	if (lock != -1)
		sock_drop(lock);
	return fd;
}
