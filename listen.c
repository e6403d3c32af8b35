/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "listen.h"
#include "log.h"
#include "proc.h"

#define PORT_TRIES	16

static const struct config *config;
#define SOCKETS	(CONFIG_LISTENERS + CONFIG_WORKERS)

static struct listener listeners[SOCKETS];
static int count;
static int backlog;		/* -1: none, they are only bound */

/* What the program before us has left. */
static struct {
	struct sock_file file;
	uint64_t network;
	int fd;			/* -1: taken, or closed */
	enum listen_kind kind;
	struct sock_addr addr;
	bool workers;
} left[SOCKETS];
static int nleft;

void
listen_adopt(int fd, int kind)
{
	if (nleft == SOCKETS ||
	    sock_inherit(fd, &left[nleft].addr) == -1) {
		close(fd);
		return;
	}
	left[nleft].network = sock_network(fd);
	left[nleft].workers = (kind & LISTEN_WORKERS) != 0;
	left[nleft].kind = (enum listen_kind)(kind & ~LISTEN_WORKERS);
	if (left[nleft].kind != LISTEN_NO_FILE)
		sock_remember(&left[nleft].addr, &left[nleft].file);
	left[nleft++].fd = fd;
}

int
listen_for(uint32_t queue)
{
	int i;

	for (i = 0; i < count; i++)
		if (listeners[i].workers && config->listen[i].queue == queue)
			return listeners[i].fd;
	return -1;
}

int
listen_count(void)
{
	return count;
}

struct listener *
listen_at(int i)
{
	return &listeners[i];
}

int
listen_number(int i)
{
	return config->listen[i].inherited;
}

int
listen_kind(int i)
{
	const struct listener *l = &listeners[i];
	int workers = l->workers ? LISTEN_WORKERS : 0;

	if (sock_is_file(&l->bound))
		return workers | (sock_owns(&l->bound, &l->file) ?
		    LISTEN_PLAIN : LISTEN_NO_FILE);
	if (l->local || sock_port(&config->listen[i].addr) != 0)
		return workers | LISTEN_PLAIN;
	return config->listen[i].twin ? LISTEN_ANY_TWIN : LISTEN_ANY_PORT;
}

static void
cannot_listen(const struct sock_addr *addr)
{
	char text[SOCK_TEXT];
	int error = errno;

	log_error("cannot listen on %s: %s", sock_text(addr, text,
	    sizeof(text)), strerror(error));
}

/* A configured number may be that of a socket which was left to us, or which we
   have opened. */
static bool
is_ours(int fd)
{
	int i;

	for (i = 0; i < nleft; i++)
		if (left[i].fd == fd)
			return true;
	for (i = 0; i < count; i++)
		if (listeners[i].fd == fd)
			return true;
	return false;
}

/*
 * A socket as descriptor 0 is moved away, so that 0 is never a listener nor
 * a client.
 */
static bool
inherit(struct listener *l, int fd)
{
	if (is_ours(fd)) {
		log_error("descriptor %d is not one that we were started with",
		    fd);
		return false;
	}
	if (sock_inherit(fd, &l->bound) == -1) {
		log_error("cannot listen on descriptor %d: %s", fd,
		    errno == EINVAL ? "it is no listening stream socket" :
		    strerror(errno));
		return false;
	}
	if (fd <= STDERR_FILENO) {
		l->fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		proc_null(fd, proc_open_null());
	} else {
		l->fd = fd;
	}
	return l->fd != -1;
}

static bool
is_configured(const struct sock_addr *addr)
{
	int i;

	for (i = 0; i < config->listeners; i++)
		if (config->listen[i].inherited == -1 &&
		    sock_same(&config->listen[i].addr, addr))
			return true;
	return false;
}

/*
 * A listener that the program before us has left.  What had port 0 has it
 * again, unless the port it got is asked for by now.
 */
static bool
take_left(struct listener *l, const struct sock_addr *want)
{
	struct sock_addr addr;
	int i;

	for (i = 0; i < nleft; i++) {
		/* One that nobody can find any more is opened anew. */
		if (left[i].fd == -1 || left[i].kind == LISTEN_NO_FILE ||
		    left[i].workers != l->workers)
			continue;
		addr = *want;
		if (sock_port(want) == 0 && left[i].kind == LISTEN_ANY_PORT &&
		    !is_configured(&left[i].addr))
			sock_set_port(&addr, sock_port(&left[i].addr));
		if (!sock_same(&left[i].addr, &addr))
			continue;
		l->fd = left[i].fd;
		l->bound = left[i].addr;
		l->file = left[i].file;
		l->adopted = true;
		left[i].fd = -1;
		return true;
	}
	return false;
}

static bool
has_rights(const struct config_listen *want)
{
	return want->mode != -1 || want->owner != NULL || want->group != NULL;
}

/* Give the file of listener i its owner and mode.  False with errno, or 0 after
   a message. */
static bool
set_rights(int i)
{
	const struct config_listen *want = &config->listen[i];
	const struct listener *l = &listeners[i];
	uid_t uid;
	gid_t gid;

	if (proc_find_owner(want->owner, want->group, &uid, &gid))
		return sock_set_rights(&l->bound, &l->file, want->mode, uid,
		    gid) == 0;
	errno = 0;
	return false;
}

/*
 * The IPv4 half of "every address" gets the port of the IPv6 half, also when
 * the system chose it.  A machine without IPv6 has the IPv4 half alone.
 */
static bool
open_one(int i)
{
	const struct config_listen *want = &config->listen[i];
	struct listener *l = &listeners[i];
	struct sock_addr addr = want->addr;
	uid_t uid;
	gid_t gid;
	int tries;

	if (want->twin && (l - 1)->fd != -1)
		sock_set_port(&addr, sock_port(&(l - 1)->bound));
	if (take_left(l, &addr))
		return proc_find_owner(want->owner, want->group, &uid, &gid);
	l->fd = sock_listen(&addr, backlog, config->defer, want->mode);
	for (tries = 0; l->fd == -1 && errno == EADDRINUSE && want->twin &&
	    sock_port(&want->addr) == 0 && !(l - 1)->adopted &&
	    tries < PORT_TRIES; tries++) {
		/* The system chose a port that is taken for IPv4. */
		close((l - 1)->fd);
		if (!open_one(i - 1))
			return false;
		sock_set_port(&addr, sock_port(&(l - 1)->bound));
		l->fd = sock_listen(&addr, backlog, config->defer, -1);
	}
	if (l->fd == -1) {
		if (i + 1 < config->listeners && config->listen[i + 1].twin &&
		    (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
			return true;
		cannot_listen(&addr);
		return false;
	}
	l->bound = addr;
	sock_remember(&addr, &l->file);
	if (sock_is_file(&addr) ? !has_rights(want) || set_rights(i) :
	    sock_name(l->fd, &l->bound) == 0)
		return true;
	if (errno != 0)
		cannot_listen(&addr);
	return false;
}

/* Close listener i, and remove its file if that is our own. */
static void
close_one(int i)
{
	struct listener *l = &listeners[i];

	if (l->fd == -1)
		return;
	if (config->listen[i].inherited == -1)
		sock_remove(&l->bound, &l->file);
	close(l->fd);
	l->fd = -1;
}

bool
listen_open(const struct config *c, enum listen_how how)
{
	struct listener *l;
	int open = 0;
	bool good;

	config = c;
	backlog = how == LISTEN_TRIAL ? -1 : c->backlog;
	for (count = 0; count < c->listeners; count++) {
		l = &listeners[count];
		*l = (struct listener){ .fd = -1,
		    .workers = c->listen[count].workers };
		if (c->listen[count].inherited != -1)
			good = inherit(l, c->listen[count].inherited);
		else
			good = open_one(count);
		l->local = l->bound.u.sa.sa_family == AF_UNIX;
		l->network = l->fd == -1 ? 0 : sock_network(l->fd);
		open += l->fd != -1 && !l->workers;
		if (!good && how != LISTEN_LENIENT) {
			count++;
			listen_abort();
			return false;
		}
	}
	return open > 0;
}

void
listen_abort(void)
{
	int i;

	for (i = 0; i < count; i++)
		if (!listeners[i].adopted &&
		    config->listen[i].inherited == -1)
			close_one(i);
	count = 0;
}

int
listen_unwanted(int i)
{
	int at;

	for (at = 0; at < nleft; at++)
		if (left[at].fd != -1 && !left[at].workers && i-- == 0)
			return left[at].fd;
	return -1;
}

void
listen_take_over(void)
{
	char text[SOCK_TEXT];
	struct listener *l;
	int i;

	for (i = 0; i < count; i++) {
		l = &listeners[i];
		if (!l->adopted)
			continue;
		sock_tune(l->fd, &l->bound, config->backlog, config->defer);
		if (has_rights(&config->listen[i]) && !set_rights(i) &&
		    errno != 0)
			log_warn("%s keeps its owner and mode: %s",
			    sock_path(&l->bound, text, sizeof(text)),
			    strerror(errno));
	}
	for (i = 0; i < nleft; i++) {
		if (left[i].fd == -1)
			continue;
		sock_remove(&left[i].addr, &left[i].file);
		close(left[i].fd);
		left[i].fd = -1;
	}
}

void
listen_close(bool all)
{
	int i;

	for (i = 0; i < count; i++)
		if (all || !listeners[i].workers)
			close_one(i);
}

bool
listen_knows(int fd, const struct sock_addr *peer)
{
	uint64_t network = sock_network(fd);
	sa_family_t family = peer->u.sa.sa_family;
	int i;

	for (i = 0; i < count; i++)
		if (!listeners[i].workers && listeners[i].network == network &&
		    listeners[i].bound.u.sa.sa_family == family)
			return true;
	for (i = 0; i < nleft; i++)
		if (!left[i].workers && left[i].network == network &&
		    left[i].addr.u.sa.sa_family == family)
			return true;
	return false;
}

void
listen_forget(void)
{
	int i;

	for (i = 0; i < count; i++)
		if (listeners[i].fd != -1)
			close(listeners[i].fd);
	count = 0;
}
