/* See LICENSE for copyright and license details. */
#ifndef SOCK_H
#define SOCK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

/*
 * Sockets: addresses, listening, accepting.  The one file with the platforms'
 * differences.  All descriptors made here are close-on-exec.
 */

/* SIGPIPE is ignored anyway, where this flag is missing. */
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL	0
#endif

/* For send(2): more will follow soon, the last segment may wait for it. */
#ifdef MSG_MORE
#define SOCK_MORE	MSG_MORE
#else
#define SOCK_MORE	0
#endif

struct sock_addr {
	socklen_t len;
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} u;
};

/* Room for the text of any address, terminated. */
#define SOCK_TEXT	(sizeof(struct sockaddr_un) + 16)

/*
 * Read "[address:]port" with a numeric address ("127.0.0.1:80", "[::1]:80",
 * "[fe80::1%eth0]:80", "*:80"), "unix:/path", or "unix:@name" (abstract,
 * Linux).  A port without an address is every address, and "localhost" both of
 * the loopback's: two entries, IPv6 first.  Sets *n to the number of entries.
 * Returns NULL, or what is wrong.
 */
const char	*sock_parse(const char *text, struct sock_addr addr[2],
		    int *n);

/*
 * Fill in the address of a socket in the file system; or, if path begins with
 * '@', one in the abstract namespace (Linux, see unix(7)).  False if the path
 * is empty, or too long for sun_path with its NUL, or abstract names are not
 * known here.
 */
bool		 sock_unix(struct sock_addr *addr, const char *path,
		    size_t len);

/* Whether two addresses are the same; whether one has a file. */
bool		 sock_same(const struct sock_addr *a,
		    const struct sock_addr *b);
bool		 sock_is_file(const struct sock_addr *addr);

/* The path of an AF_UNIX address as sock_unix() takes it.  Returns dst. */
const char	*sock_path(const struct sock_addr *addr, char *dst,
		    size_t size);

/* The address in the form that sock_parse() reads.  Returns dst. */
const char	*sock_text(const struct sock_addr *addr, char *dst,
		    size_t size);

/*
 * The numeric host alone, with a zone as "fe80::1%2", and the port (0 for
 * AF_UNIX: "unix").
 */
const char	*sock_host(const struct sock_addr *addr, char *dst,
		    size_t size);
unsigned int	 sock_port(const struct sock_addr *addr);
void		 sock_set_port(struct sock_addr *addr, unsigned int port);

/*
 * A non-blocking listening socket, whose options connections inherit:
 * TCP_NODELAY and SO_KEEPALIVE.  With defer, TCP connections without data are
 * held back where the system can (TCP_DEFER_ACCEPT, accept filters).  A socket
 * file that nobody listens on is replaced, a live one never: EADDRINUSE; it
 * gets the permissions mode, or with -1 those of the umask.  With a negative
 * backlog it is bound, and does not listen.  Returns the descriptor, or -1 with
 * errno.
 */
int		 sock_listen(const struct sock_addr *addr, int backlog,
		    bool defer, int mode);

/*
 * The file of a listening socket, if it has one.  sock_remember() is called
 * once the socket is bound; sock_owns() says whether its path still leads to
 * that file; sock_remove() removes that file, and not another process's that
 * has taken the name.
 */
struct sock_file {
	dev_t dev;
	ino_t ino;
};

void		 sock_remember(const struct sock_addr *addr,
		    struct sock_file *file);
bool		 sock_owns(const struct sock_addr *addr,
		    const struct sock_file *file);
void		 sock_remove(const struct sock_addr *addr,
		    const struct sock_file *file);

/*
 * Give that file these permissions, and these owners, -1 each leaving it, if it
 * has others.  In another user's folder its path may lead elsewhere by now: it
 * is opened first where it can be (Linux).  0, or -1 with errno: ENOENT if it
 * is not there any more.
 */
int		 sock_set_rights(const struct sock_addr *addr,
		    const struct sock_file *file, int mode, uid_t uid,
		    gid_t gid);

/* Change backlog and defer of a socket that listens. */
void		 sock_tune(int fd, const struct sock_addr *addr, int backlog,
		    bool defer);

/* Whether fd is a listening socket; on systems that do not know SO_ACCEPTCONN,
   one that was never connected is taken for one. */
bool		 sock_listens(int fd);

/*
 * Make a listening stream socket that we were started with like one of
 * sock_listen(), and find its address.  0, or -1 with errno: EINVAL if it does
 * not listen.
 */
int		 sock_inherit(int fd, struct sock_addr *addr);

/*
 * Take a connection.  The new descriptor is blocking whatever the listener is:
 * O_NONBLOCK belongs to the open file and would travel with it to a backend.
 * Returns it, and in *peer the address of the other side; or -1 with errno.
 */
int		 sock_accept(int listener, struct sock_addr *peer);

/* Own and remote address.  0, or -1 with errno. */
int		 sock_name(int fd, struct sock_addr *addr);
int		 sock_peer(int fd, struct sock_addr *addr);

/*
 * Make a connection that another process has had like one of sock_accept(),
 * whatever was set at it, and find its address.  0, or -1 with errno: ENOTCONN
 * if it is not connected any more; EINVAL, it is no stream socket, or listens.
 */
int		 sock_reclaim(int fd, struct sock_addr *peer);

/*
 * The rest of a head is to come to a connection that is only peeked at, of
 * which another process has read: give it room.  What was read of a packet
 * counts as long as a byte of it is unread, and Linux offers no window for less
 * than a packet, of which those over loopback have 64 KiB.
 */
void		 sock_make_room(int fd);

/* The network that a socket is in (Linux's namespaces), as a number; 0 if that
   is not known. */
uint64_t	 sock_network(int fd);

/*
 * A non-blocking connection to addr, perhaps still being made.  Returns the
 * descriptor, or -1 with errno.
 */
int		 sock_connect(const struct sock_addr *addr);

/* A new non-blocking AF_UNIX stream socket, or -1 with errno. */
int		 sock_stream(void);

/* Close fd and keep errno.  Returns -1, for those who fail with that errno. */
int		 sock_drop(int fd);

/*
 * Close fd, which another process may have, too, without waiting for what was
 * sent: the time of SO_LINGER, which belongs to the open file, is switched off.
 * A reset that was wished for (time 0) stays.
 */
void		 sock_close(int fd);

/* Close fd so that the other side sees a reset and no end. */
void		 sock_reset(int fd);

/* Set or clear O_NONBLOCK, set FD_CLOEXEC.  0, or -1 with errno. */
int		 sock_nonblock(int fd, bool on);
int		 sock_cloexec(int fd);

#endif
