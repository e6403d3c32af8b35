/* See LICENSE for copyright and license details. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config_route.h"
#include "fdpass.h"
#include "log.h"

#define SHARED	64	/* routes back */

/* A ProxyPass line, until all its words are read. */
struct pass {
	struct config_target t;
	const char *flusher;
	char headers[4096];
	bool own_server;	/* header="Server: ..." */
	struct config_listen listener;	/* for workers: the file's rights */
};

/* A parameter; or several that are refused for the same reason. */
struct parameter {
	const char *names;	/* with blanks between them */
	/* Called with the value, which a parameter must have; NULL: refused. */
	void (*set)(struct config_reader *r, struct pass *p,
	    const struct parameter *which, const char *value);
	size_t offset;		/* of the member of struct pass that is set */
	const char *yes;	/* the value for true; or why it is refused */
	const char *no;		/* the value for false, or NULL */
};

static void
set_flusher(struct config_reader *r, struct pass *p,
    const struct parameter *which, const char *value)
{
	(void)r;
	(void)which;
	p->flusher = value;
}

static void
set_time(struct config_reader *r, struct pass *p,
    const struct parameter *which, const char *value)
{
	config_read_time(r, which->names, value,
	    (void *)((char *)p + which->offset));
}

static void
set_number(struct config_reader *r, struct pass *p,
    const struct parameter *which, const char *value)
{
	config_read_number(r, which->names, value, 1, 1000000,
	    (void *)((char *)p + which->offset));
}

static void
set_choice(struct config_reader *r, struct pass *p,
    const struct parameter *which, const char *value)
{
	bool *dst = (void *)((char *)p + which->offset);

	*dst = strcasecmp(value, which->yes) == 0;
	if (*dst)
		return;
	if (which->no == NULL)
		config_read_error(r, "%s: only \"%s\" is known, near \"%s\"",
		    which->names, which->yes, value);
	else if (strcasecmp(value, which->no) != 0)
		config_read_error(r, "%s: %s or %s, near \"%s\"", which->names,
		    which->yes, which->no, value);
}

static void
set_header(struct config_reader *r, struct pass *p,
    const struct parameter *which, const char *text)
{
	static const char *const own[] = { "Connection", "Content-Length",
	    "Transfer-Encoding", "Date" };
	const char *colon = strchr(text, ':');
	struct http_slice name, value;
	size_t i, n = strlen(p->headers);

	(void)which;
	if (colon == NULL) {
		config_read_error(r, "header: \"Name: value\" expected, near "
		    "\"%s\"", text);
		return;
	}
	name.p = text;
	name.len = (size_t)(colon - text);
	colon += 1 + strspn(colon + 1, " \t");
	value.p = colon;
	value.len = strlen(colon);
	if (!http_parse_is_token(name) || !http_parse_is_value(value)) {
		config_read_error(r, "header: the name must be a token, the "
		    "value without control bytes, near \"%s\"", text);
		return;
	}
	for (i = 0; i < sizeof(own) / sizeof(*own); i++) {
		if (http_parse_is(name, own[i])) {
			config_read_error(r, "header: %s is fdproxy's own, "
			    "near \"%s\"", own[i], text);
			return;
		}
	}
	p->own_server = p->own_server || http_parse_is(name, "Server");
	if (n + name.len + value.len + 5 > sizeof(p->headers))
		config_read_error(r, "header: more than %zu bytes of headers",
		    sizeof(p->headers));
	else
		text_format(p->headers + n, sizeof(p->headers) - n,
		    "%.*s: %s\r\n", (int)name.len, name.p, colon);
}

/* A name, or a number that need not be anybody's. */
static void
set_peer(struct config_reader *r, struct pass *p,
    const struct parameter *which, const char *value)
{
	struct passwd *pw;
	unsigned long id;

	(void)which;
	if (text_number(value, 10, UINT_MAX - 1, &id))
		p->t.peer = (uid_t)id;
	else if ((pw = getpwnam(value)) != NULL)
		p->t.peer = pw->pw_uid;
	else
		config_read_error(r, "peer: unknown user, near \"%s\"",
		    value);
}

/* mode=, owner= and group=, of the socket that workers connect to. */
static void
set_right(struct config_reader *r, struct pass *p,
    const struct parameter *which, const char *value)
{
	if (*value == '\0')
		config_read_error(r, "%s: a name expected", which->names);
	else
		config_read_right(r, "ProxyPass", value - strlen(which->names) -
		    1, &p->listener);
}

#define AT(member)	offsetof(struct pass, member)

/* Ours, then Apache's that would mean nothing here, with the reason. */
static const struct parameter parameters[] = {
	{ "compat", set_choice, AT(t.compat), "apache", NULL },
	{ "connectiontimeout", set_time, AT(t.connect_ms), NULL, NULL },
	{ "flusher", set_flusher, 0, NULL, NULL },
	{ "flushpackets", set_choice, AT(t.hold), "off", "on" },
	{ "group", set_right, 0, NULL, NULL },
	{ "header", set_header, 0, NULL, NULL },
	{ "mode", set_right, 0, NULL, NULL },
	{ "owner", set_right, 0, NULL, NULL },
	{ "payload", set_choice, AT(t.payload_head), "head", NULL },
	{ "peer", set_peer, 0, NULL, NULL },
	{ "queue", set_number, AT(t.queue_max), NULL, NULL },
	{ "wait", set_time, AT(t.wait_ms), NULL, NULL },

	{ "acquire min smax ttl", NULL, 0,
	    "there is no pool of connections", NULL },
	{ "addressttl", NULL, 0, "there is no name to resolve", NULL },
	{ "disablereuse", NULL, 0,
	    "every request has a connection of its own", NULL },
	{ "enablereuse ready track", NULL, 0, "not built yet", NULL },
	{ "fault", NULL, 0,
	    "put fdfault(1) between fdproxy and the backend", NULL },
	{ "flushwait iobuffersize receivebuffersize", NULL, 0,
	    "no body passes through fdproxy", NULL },
	{ "interpolate", NULL, 0, "there are no variables", NULL },
	{ "keepalive", NULL, 0, "the backend is on this machine", NULL },
	{ "lbmethod lbset loadfactor redirect route status stickysession",
	    NULL, 0, "there is no balancer", NULL },
	{ "mapping nocanon noquery", NULL, 0,
	    "nothing of the URL is appended to the socket", NULL },
	{ "max", NULL, 0, "bound those that wait with queue=N", NULL },
	{ "ping", NULL, 0, "use wait=TIME", NULL },
	{ "responsefieldsize", NULL, 0,
	    "no response passes through fdproxy", NULL },
	{ "retry", NULL, 0, "no state is kept, each request tries afresh; use "
	    "wait=TIME", NULL },
	{ "secret", NULL, 0, "this is not AJP", NULL },
	{ "timeout", NULL, 0, "use connectiontimeout=TIME", NULL },
	{ "upgrade", NULL, 0,
	    "the backend has the connection and may upgrade it", NULL }
};

#undef AT

static void
pass_parameter(struct config_reader *r, struct pass *p, const char *word)
{
	const struct parameter *which;
	const char *name;
	size_t i, n, len = strcspn(word, "=");

	for (i = 0; i < sizeof(parameters) / sizeof(*parameters); i++) {
		which = &parameters[i];
		for (name = which->names; *name != '\0';
		    name += n + strspn(name + n, " ")) {
			n = strcspn(name, " ");
			if (n != len || strncasecmp(name, word, n) != 0)
				continue;
			if (which->set == NULL)
				config_read_error(r, "ProxyPass: %.*s is not "
				    "supported: %s", (int)n, name, which->yes);
			else if (word[len] != '=')
				break;
			else
				which->set(r, p, which, word + len + 1);
			return;
		}
	}
	config_read_error(r, "ProxyPass: unknown parameter, near \"%s\"%s",
	    word, r->from_option_r ?
	    " (a value with a comma in it needs -c)" : "");
}

/*
 * Whether a target without fd:// is one of -r, where the path of the socket
 * stands alone.  False after a message: it is the address of a server, a name
 * that is hardly meant as a file's, or anything, if the target is a file's.
 */
static bool
is_path(struct config_reader *r, const char *target)
{
	const char *colon = strrchr(target, ':'), *error = NULL;
	const char *port = colon == NULL ? target : colon + 1;
	size_t scheme = strspn(target, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

	if ((strncasecmp(target, "http", 4) == 0 &&
	    strstr(target, "://") != NULL) ||
	    (strchr(target, '/') == NULL && *port != '\0' &&
	    port[strspn(port, "0123456789")] == '\0'))
		error = "a backend has a unix socket, and no address: run the "
		    "server by fdaccept -p PORT=SOCKET, and name SOCKET here";
	else if (!r->from_option_r || strncasecmp(target, "fd:", 3) == 0)
		error = "the target must be fd://PATH, workers://PATH, "
		    ":child, :workers, status:, ready: or !";
	else if (strpbrk(target, " \t") != NULL && strchr(target, '=') != NULL)
		error = "parameters stand behind commas here";
	else if (strncasecmp(target, "unix:", 5) == 0)
		error = "the path of the socket stands alone, without unix:";
	else if (strcmp(target, "status") == 0 || strcmp(target, "ready") == 0)
		error = "it ends in a colon; a socket of that name is ./NAME";
	else if (strcmp(target, "child") == 0 || strcmp(target, "workers") == 0)
		error = "it begins with a colon; a socket of that name is "
		    "./NAME";
	else if (*target == ':' ||
	    (isalpha((unsigned char)*target) && target[scheme] == ':'))
		error = "no such target is known; a socket of that name is "
		    "./NAME";
	if (error != NULL)
		config_read_error(r, "ProxyPass: %s, near \"%s\"", error,
		    target);
	return error == NULL;
}

/* "fd:///absolute" or "fd://relative"; a '/' at the end means a folder. */
static bool
pass_target(struct config_reader *r, struct pass *p, const char *target)
{
	char path[4096];

	if (strcmp(target, "!") == 0) {
		p->t.kind = CONFIG_EXCLUDED;
		return true;
	}
	if (strcmp(target, "status:") == 0 || strcmp(target, "ready:") == 0) {
		p->t.kind = *target == 's' ? CONFIG_STATUS : CONFIG_READY;
		return true;
	}
	if (strcmp(target, ":child") == 0) {
		p->t.kind = CONFIG_SOCKET;
		p->t.child = r->config->child = true;
		return true;
	}
	if (strcmp(target, ":workers") == 0) {
		p->t.kind = CONFIG_SOCKET;
		p->t.child = r->config->channel = p->t.workers = true;
		r->config->has_workers = true;
		/* No file has it: paths are absolute. */
		return sock_unix(&p->t.addr, target, strlen(target));
	}
	p->t.workers = strncasecmp(target, "workers:", 8) == 0;
	r->config->has_workers |= p->t.workers;
	if (p->t.workers)
		target += strncmp(target + 8, "//", 2) == 0 ? 10 : 8;
	else if (strncasecmp(target, "fd://", 5) == 0)
		target += 5;
	else if (!is_path(r, target))
		return false;
	if (*target == '@')	/* no file: an abstract name */
		text_format(path, sizeof(path), "%s", target);
	else if (!config_read_path(r, target, path, sizeof(path)))
		return false;
	if (*target == '\0' || strcmp(target, "/") == 0) {
		config_read_error(r, "ProxyPass: the target names no socket");
		return false;
	}
	p->t.path_len = strlen(path);
	if (!sock_unix(&p->t.addr, path, p->t.path_len)) {
		config_read_error(r, "ProxyPass: the path of the socket is "
		    "longer than %zu bytes, or no name, near \"%s\"",
		    sizeof(p->t.addr.u.un.sun_path) - 1, path);
		return false;
	}
	p->t.kind = *path == '/' && path[p->t.path_len - 1] == '/' ?
	    CONFIG_DIRECTORY : CONFIG_SOCKET;
	if (p->t.kind == CONFIG_SOCKET || !p->t.workers)
		return true;
	config_read_error(r, "ProxyPass: workers come to one socket, not to a "
	    "folder, near \"%s\"", path);
	return false;
}

static void
free_flush(struct config_flush *f)
{
	flush_free(f->flush);
	free(f->name);
	free(f->headers);
	free(f->where);
	free(f);
}

/*
 * The flusher is made at the end, when ServerTokens is known.  One is shared
 * with the routes just before: where each has its own, looking at all of them
 * would take its time.
 */
static void
pass_flusher(struct config_reader *r, struct pass *p)
{
	struct config *c = r->config;
	struct config_flush *f;
	const char *name = p->flusher;
	char path[4096];
	uint32_t i;

	if (strncmp(name, "file:", 5) == 0 && name[5] != '/') {
		text_format(path, sizeof(path), "file:%s/%s", r->dir, name + 5);
		name = path;
	}
	for (i = c->ntargets; i > 0 && i + SHARED > c->ntargets; i--) {
		f = c->targets[i - 1].flush_spec;
		if (f != NULL && strcmp(f->name, name) == 0 &&
		    strcmp(f->headers, p->headers) == 0) {
			p->t.flush_spec = f;
			return;
		}
	}
	f = calloc(1, sizeof(*f));
	if (f == NULL) {
		config_read_error(r, "out of memory");
		return;
	}
	f->name = config_read_copy(r, name);
	f->headers = config_read_copy(r, p->headers);
	f->where = config_read_place(r);
	f->own_server = p->own_server;
	if (f->name == NULL || f->headers == NULL || f->where == NULL) {
		free_flush(f);
		return;
	}
	*c->flush_end = p->t.flush_spec = f;
	c->flush_end = &f->next;
}

static void
add_target(struct config_reader *r, const char *path, struct config_target *t)
{
	struct config *c = r->config;
	struct config_target *all = c->targets;
	size_t rest;
	int before;

	/* Room is doubled at each power of two. */
	if ((c->ntargets & (c->ntargets - 1)) == 0) {
		all = realloc(all, (c->ntargets == 0 ? 1 : c->ntargets * 2) *
		    sizeof(*all));
		if (all == NULL) {
			config_read_error(r, "out of memory");
			return;
		}
		c->targets = all;
	}
	t->path = config_read_copy(r, path);
	t->where = config_read_place(r);
	all[c->ntargets] = *t;
	/* One that is never reached is not in the way, by any number. */
	before = route_match(c->routes, path, strlen(path), &rest);
	if (route_add(c->routes, before == ROUTE_NONE ? path : "") !=
	    (int)c->ntargets)
		config_read_error(r, "out of memory");
	c->ntargets++;
}

/*
 * The socket of a target's workers: several routes may name one, and its rights
 * are those that one of them has.
 */
static bool
add_workers(struct config_reader *r, struct pass *p)
{
	struct config *c = r->config;
	struct config_listen *l = &p->listener;
	bool rights = l->mode != -1 || l->owner != NULL || l->group != NULL;
	const char *error = NULL;
	int i = 0;

	if (!p->t.workers && !rights)
		return true;
	l->addr = p->t.addr;
	while (i < c->nworkers && !sock_same(&c->workers[i].addr, &l->addr))
		i++;
	if (rights && (!p->t.workers || p->t.child || i < c->nworkers ||
	    !sock_is_file(&l->addr)))
		error = "mode=, owner= and group= are for the first route to "
		    "a file that workers connect to";
	else if (!p->t.child && !sock_is_file(&l->addr) &&
	    p->t.peer == FDPASS_ANYBODY)
		error = "an abstract name has no mode, so anybody could be a "
		    "worker: give peer=USER";
	else if (p->t.child && p->t.peer != FDPASS_ANYBODY)
		error = "peer= is for a socket, and :workers has none";
	else if (i == CONFIG_WORKERS && !p->t.child)
		error = "more than 32 sockets for workers";
	if (error != NULL) {
		config_read_error(r, "ProxyPass: %s", error);
		return false;
	}
	if (i < c->nworkers || p->t.child)
		return true;
	if (l->mode == -1 && sock_is_file(&l->addr))
		l->mode = 0660;
	c->workers[c->nworkers++] = *l;
	return true;
}

void
config_route_set(struct config_reader *r, char **words)
{
	struct pass p = { .flusher = "flush", .t.connect_ms = 5000,
	    .t.peer = FDPASS_ANYBODY, .listener = { .inherited = -1,
	    .mode = -1, .workers = true } };
	int i, before = r->config->errors;
	bool passes;

	if (*words[1] != '/')
		config_read_error(r, "ProxyPass: the path must begin with '/', "
		    "near \"%s\"", words[1]);
	else if (strpbrk(words[1], "?#") != NULL)
		config_read_error(r, "ProxyPass: a path has no '?' or '#', "
		    "near \"%s\"", words[1]);
	if (!pass_target(r, &p, words[2]))
		return;
	for (i = 3; words[i] != NULL; i++)
		pass_parameter(r, &p, words[i]);
	passes = p.t.kind == CONFIG_SOCKET || p.t.kind == CONFIG_DIRECTORY;
	if (!passes && words[3] != NULL)
		config_read_error(r, "ProxyPass: \"%s\" takes no parameters",
		    words[2]);
	if (passes)
		pass_flusher(r, &p);
	if (p.t.hold && strcmp(p.flusher, "none") == 0)
		config_read_error(r, "ProxyPass: flushpackets=off has no "
		    "effect with flusher=none");
	if (p.t.compat)		/* Apache joins nothing */
		p.t.hold = false;
	if (r->config->errors == before && add_workers(r, &p)) {
		add_target(r, words[1], &p.t);
	} else {
		free(p.listener.owner);
		free(p.listener.group);
	}
}

static int
by_socket(const void *a, const void *b)
{
	const struct config_target *const *x = a, *const *y = b;

	/* Not strcmp: an abstract name begins with a NUL. */
	return memcmp((*x)->addr.u.un.sun_path, (*y)->addr.u.un.sun_path,
	    sizeof((*x)->addr.u.un.sun_path));
}

/* One number for each different socket path. */
static bool
number_queues(struct config_reader *r)
{
	struct config *c = r->config;
	struct config_target **sorted, *t;
	struct config_reader at = *r;
	bool seen = false;	/* a socket with this path */
	uint32_t i;

	sorted = calloc(c->ntargets + 1, sizeof(*sorted));
	if (sorted == NULL)
		return false;
	for (i = 0; i < c->ntargets; i++)
		sorted[i] = &c->targets[i];
	qsort(sorted, c->ntargets, sizeof(*sorted), by_socket);
	c->nqueues = 0;
	for (i = 0; i < c->ntargets; i++) {
		t = sorted[i];
		if (i == 0 || by_socket(&sorted[i - 1], &sorted[i]) != 0) {
			c->nqueues++;
			seen = false;
		} else if (t->peer != sorted[i - 1]->peer ||
		    t->workers != sorted[i - 1]->workers) {
			at.name = t->where;
			config_read_error(&at, "ProxyPass: routes to one "
			    "socket must have the same %s", t->workers !=
			    sorted[i - 1]->workers ? "scheme" : "peer=");
		}
		t->queue = c->nqueues - 1;
		t->first = t->kind == CONFIG_SOCKET && !seen;
		seen = seen || t->first;
	}
	free(sorted);
	return true;
}

void
config_route_warn(struct config *c)
{
	struct config_target *t;
	const char *escape;
	char normal[4096];
	size_t len, rest;
	uint32_t i;
	int first;

	for (i = 0; i < c->ntargets; i++) {
		t = &c->targets[i];
		len = strlen(t->path);
		first = route_match(c->routes, t->path, len, &rest);
		t->hidden = first >= 0 && (uint32_t)first < i;
		if (t->hidden)
			log_warn("%s: %s is never reached: %s (%s) comes "
			    "first", t->where, t->path,
			    c->targets[first].path, c->targets[first].where);
		escape = strchr(t->path, '%');
		while (escape != NULL && (text_hex(escape[1]) < 0 ||
		    text_hex(escape[2]) < 0))
			escape = strchr(escape + 1, '%');
		if (escape != NULL)
			log_warn("%s: %s matches no escapes: those of request "
			    "paths are undone before", t->where, t->path);
		/* A request has its backslash escaped. */
		if (strpbrk(t->path, "%\\") == NULL &&
		    (route_normalize(t->path, len, normal, sizeof(normal),
		    &rest) != 0 || rest != len))
			log_warn("%s: %s never matches: request paths have no "
			    "empty or dot segments", t->where, t->path);
	}
}

void
config_route_notes(const struct config *config)
{
	const struct config_target *t, *other;
	uint32_t i, j;

	for (i = 0; i < config->ntargets; i++) {
		t = &config->targets[i];
		/* Backends of the others read the client's requests. */
		if ((t->kind != CONFIG_SOCKET && t->kind != CONFIG_DIRECTORY) ||
		    t->workers || flush_consumes(t->flush))
			continue;
		for (j = 0; j < config->ntargets; j++) {
			other = &config->targets[j];
			if (other->kind == CONFIG_STATUS ||
			    other->kind == CONFIG_READY ||
			    (other->kind != CONFIG_EXCLUDED &&
			    by_socket(&t, &other) == 0))
				continue;
			log_notice("%s: %s has flusher=none, and there are "
			    "other routes: its backend must close after each "
			    "request, as servers do under fdaccept, or a "
			    "connection that is kept goes round them",
			    t->where, t->path);
			return;
		}
		return;		/* all have the same socket */
	}
}

/* The sockets for workers are listened on behind those for clients. */
static void
listen_for_workers(struct config *c)
{
	struct config_listen *l;
	uint32_t t;
	int i;

	for (i = 0; i < c->nworkers; i++) {
		l = &c->listen[c->listeners++];
		*l = c->workers[i];
		for (t = 0; t < c->ntargets; t++)
			if (c->targets[t].first && sock_same(&l->addr,
			    &c->targets[t].addr)) {
				l->queue = c->targets[t].queue;
				l->peer = c->targets[t].peer;
			}
	}
}

void
config_route_finish(struct config_reader *r)
{
	struct config *config = r->config;
	struct config_reader at = *r;
	struct flush_own own;
	struct config_flush *f;
	const char *error = NULL;
	uint32_t i;

	for (f = config->flushes; f != NULL; f = f->next) {
		own = config->own;
		if (f->own_server)
			own.server = "";
		f->flush = flush_new(f->name, f->headers, &own, &error);
		at.name = f->where;
		if (f->flush == NULL)
			config_read_error(&at, "ProxyPass: %s%s%s, near "
			    "\"%s\"", error, errno == 0 ? "" : ": ",
			    errno == 0 ? "" : strerror(errno), f->name);
	}
	for (i = 0; i < config->ntargets; i++)
		if (config->targets[i].flush_spec != NULL)
			config->targets[i].flush =
			    config->targets[i].flush_spec->flush;
	if (!number_queues(r))
		config_read_error(r, "out of memory");
	if (config->nqueues > CONFIG_SOCKETS)
		config_read_error(r, "more than %d different sockets",
		    CONFIG_SOCKETS);
	listen_for_workers(config);
}

void
config_route_free(struct config *config)
{
	struct config_flush *f, *next;
	uint32_t i;

	for (f = config->flushes; f != NULL; f = next) {
		next = f->next;
		free_flush(f);
	}
	for (i = 0; i < config->ntargets; i++) {
		free(config->targets[i].path);
		free(config->targets[i].where);
	}
	free(config->targets);
	route_free(config->routes);
}
