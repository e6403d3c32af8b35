/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "listen.h"
#include "log.h"
#include "proc.h"

#define PORT_TRIES	16

/* One configuration's listeners. */
struct table {
	const struct config *config;
	struct listener all[CONFIG_LISTENERS];
	bool taken[CONFIG_LISTENERS];	/* from the table before, or the
					   program before */
	int n;
};

static struct table tables[2];
static struct table *current = &tables[0];
static struct table *next = &tables[1];

/* What the program before us has left. */
static struct {
	struct sock_addr addr;
	struct sock_file file;
	int fd;			/* -1: taken */
	enum listen_kind kind;
} left[CONFIG_LISTENERS];
static int nleft;

void
listen_adopt(int fd, enum listen_kind kind)
{
	if (nleft == CONFIG_LISTENERS ||
	    sock_inherit(fd, &left[nleft].addr) == -1) {
		close(fd);
		return;
	}
	if (kind != LISTEN_NO_FILE)
		sock_remember(&left[nleft].addr, &left[nleft].file);
	left[nleft].fd = fd;
	left[nleft++].kind = kind;
}

int
listen_count(void)
{
	return current->n;
}

struct listener *
listen_at(int i)
{
	return &current->all[i];
}

int
listen_number(int i)
{
	return current->config->listen[i].inherited;
}

enum listen_kind
listen_kind(int i)
{
	const struct listener *l = &current->all[i];

	if (sock_is_file(&l->bound))
		return sock_owns(&l->bound, &l->file) ? LISTEN_PLAIN :
		    LISTEN_NO_FILE;
	return !l->local && sock_port(&current->config->listen[i].addr) == 0 ?
	    LISTEN_ANY_PORT : LISTEN_PLAIN;
}

static void
cannot_listen(const struct sock_addr *addr)
{
	char text[SOCK_TEXT];
	int error = errno;

	log_error("cannot listen on %s: %s", sock_text(addr, text,
	    sizeof(text)), strerror(error));
}

/* A number in a new configuration may be that of a socket of our own. */
static bool
is_ours(int fd)
{
	int i;

	for (i = 0; i < current->n; i++)
		if (current->all[i].fd == fd)
			return true;
	for (i = 0; i < nleft; i++)
		if (left[i].fd == fd)
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
same(const struct config_listen *a, const struct config_listen *b)
{
	if (a->inherited != -1 || b->inherited != -1)
		return a->inherited == b->inherited;
	/* With port 0, the IPv4 half has the other half's port. */
	return sock_same(&a->addr, &b->addr) &&
	    (a->twin == b->twin || sock_port(&a->addr) != 0);
}

/* A listener of the table before that stays. */
static bool
take(struct listener *l, const struct config_listen *want)
{
	int i;

	for (i = 0; i < current->n; i++) {
		if (current->taken[i] || current->all[i].fd == -1 ||
		    !same(&current->config->listen[i], want))
			continue;
		current->taken[i] = true;
		*l = current->all[i];
		l->watched = 0;
		return true;
	}
	return false;
}

static bool
is_configured(const struct config *c, const struct sock_addr *addr)
{
	int i;

	for (i = 0; i < c->listeners; i++)
		if (c->listen[i].inherited == -1 &&
		    sock_same(&c->listen[i].addr, addr))
			return true;
	return false;
}

/* Whether what was left is the IPv4 half of "every address". */
static bool
was_twin(int twin)
{
	int i;

	if (left[twin].addr.u.sa.sa_family != AF_INET)
		return false;
	for (i = 0; i < nleft; i++)
		if (left[i].kind == LISTEN_ANY_PORT &&
		    left[i].addr.u.sa.sa_family == AF_INET6 &&
		    sock_port(&left[i].addr) == sock_port(&left[twin].addr))
			return true;
	return false;
}

/*
 * The same, of what the program before has left.  What had port 0 has it
 * again, unless the port it got is asked for by now.
 */
static bool
take_left(struct listener *l, const struct config *c,
    const struct sock_addr *want)
{
	struct sock_addr addr;
	int i;

	for (i = 0; i < nleft; i++) {
		if (left[i].fd == -1)
			continue;
		addr = *want;
		if (sock_port(want) == 0 && left[i].kind == LISTEN_ANY_PORT &&
		    !is_configured(c, &left[i].addr) && !was_twin(i))
			sock_set_port(&addr, sock_port(&left[i].addr));
		if (!sock_same(&left[i].addr, &addr))
			continue;
		l->fd = left[i].fd;
		l->bound = left[i].addr;
		l->file = left[i].file;
		left[i].fd = -1;
		return true;
	}
	return false;
}

static bool
set_owner(const struct config_listen *want)
{
	uid_t uid;
	gid_t gid;

	if (want->owner == NULL && want->group == NULL)
		return true;
	if (!sock_is_file(&want->addr) ||
	    !proc_find_owner(want->owner, want->group, &uid, &gid))
		return false;
	if (lchown(want->addr.u.un.sun_path, uid, gid) == 0)
		return true;
	cannot_listen(&want->addr);
	return false;
}

/*
 * The IPv4 half of "every address" gets the port of the IPv6 half, also when
 * the system chose it.  A machine without IPv6 has the IPv4 half alone.
 */
static bool
open_one(struct listener *l, const struct config *c, int i)
{
	const struct config_listen *want = &c->listen[i];
	struct sock_addr addr = want->addr;
	int tries;

	if (want->twin && (l - 1)->fd != -1)
		sock_set_port(&addr, sock_port(&(l - 1)->bound));
	next->taken[i] = take_left(l, c, &addr);
	if (next->taken[i])
		return true;
	l->fd = sock_listen(&addr, c->backlog, c->defer, want->mode);
	for (tries = 0; l->fd == -1 && errno == EADDRINUSE && want->twin &&
	    sock_port(&want->addr) == 0 && !next->taken[i - 1] &&
	    tries < PORT_TRIES; tries++) {
		/* The system chose a port that is taken for IPv4. */
		close((l - 1)->fd);
		if (!open_one(l - 1, c, i - 1))
			return false;
		sock_set_port(&addr, sock_port(&(l - 1)->bound));
		l->fd = sock_listen(&addr, c->backlog, c->defer, -1);
	}
	if (l->fd == -1) {
		if (i + 1 < c->listeners && c->listen[i + 1].twin &&
		    (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL))
			return true;
		cannot_listen(&addr);
		return false;
	}
	l->bound = addr;
	sock_remember(&addr, &l->file);
	if (!sock_is_file(&addr))
		return sock_name(l->fd, &l->bound) == 0;
	return set_owner(want);
}

bool
listen_prepare(const struct config *c, bool lenient)
{
	struct listener *l;
	int i, open = 0;
	bool good;

	memset(next, 0, sizeof(*next));
	memset(current->taken, 0, sizeof(current->taken));
	next->config = c;
	for (i = 0; i < c->listeners; i++) {
		l = &next->all[next->n++];
		l->fd = -1;
		next->taken[i] = good = take(l, &c->listen[i]);
		if (!good && c->listen[i].inherited != -1)
			good = inherit(l, c->listen[i].inherited);
		else if (!good)
			good = open_one(l, c, i);
		l->local = l->bound.u.sa.sa_family == AF_UNIX;
		open += l->fd != -1;
		if (!good && !lenient) {
			listen_abort();
			return false;
		}
	}
	return open > 0;
}

/* Close listener i of a table, with its file if it is our own. */
static void
close_one(const struct table *t, int i)
{
	const struct listener *l = &t->all[i];

	if (l->fd == -1)
		return;
	if (t->config->listen[i].inherited == -1)
		sock_remove(&l->bound, &l->file);
	close(l->fd);
}

void
listen_abort(void)
{
	int i;

	for (i = 0; i < next->n; i++)
		if (!next->taken[i] && next->config->listen[i].inherited == -1)
			close_one(next, i);
	next->n = 0;
}

void
listen_commit(void)
{
	struct table *before = current;
	struct listener *l;
	int i;

	for (i = 0; i < before->n; i++)
		if (!before->taken[i])
			close_one(before, i);
	current = next;
	next = before;
	for (i = 0; i < current->n; i++) {
		l = &current->all[i];
		if (current->taken[i] && l->fd != -1 &&
		    listen_number(i) == -1)
			sock_tune(l->fd, &l->bound, current->config->backlog,
			    current->config->defer);
	}
	for (i = 0; i < nleft; i++) {
		if (left[i].fd == -1)
			continue;
		sock_remove(&left[i].addr, &left[i].file);
		close(left[i].fd);
	}
	nleft = 0;
}

void
listen_close(void)
{
	int i;

	for (i = 0; i < current->n; i++) {
		close_one(current, i);
		current->all[i].fd = -1;
	}
}
