/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "clock.h"
#include "conn.h"
#include "fdpass.h"
#include "log.h"
#include "reply.h"
#include "stats.h"
#include "status.h"
#include "text.h"

/* Queues for sockets that directory targets find at run time. */
#define FOUND_QUEUES	32

#define LOOKS_MAX	64	/* for one head, then it rests */
#define REST_MS		10	/* and longer while nothing comes */
#define REST_MAX_MS	100
#define PROBE_MAX_MS	50
#define PROBE_ALL_MS	1000
#define PROBE_ALL_MAX	500	/* sockets, about 10 ms */
#define HOLD_MS		5000	/* what stays open by a fault */
#define APACHE_READ	8000	/* bytes that it takes at once */
#define LINGER_IDLE_MS	2000
#define LINGER_MS	5000
#define LINGER_BYTES	(256 * 1024)
#define SENDS_MAX	3	/* of one hand-off in one turn */

/*
 * The lists: of all heads, of all that linger, of those whose routes have
 * changed, then the queues.
 */
enum {
	LIST_HEAD,
	LIST_LINGER,
	LIST_ANEW,
	LIST_QUEUES
};

/*
 * A queue holds those that wait for one socket path; its first client is
 * probed for, with growing delays.
 */
struct list {
	struct slot_list in;
	uint32_t delay;		/* of the last probe */
	uint64_t key;		/* a found socket: hash of its path */
	enum fdpass_state state;	/* what its last probe found */
	int error;		/* of it */
};

/* What the scratch buffer holds, and of whom. */
static struct {
	const struct conn *of;
	size_t len;		/* of the head, or of what there is of it */
	bool whole;		/* it is whole, and addr is set */
	bool expect;
	struct sock_addr addr;	/* of the backend */
	int backend;		/* COMMITTED: connected again, or -1 */
} now;

static struct config *config;
static struct config *previous;	/* of clients that are old */
static uint32_t outdated;	/* how many these are */
static bool serving;		/* for ready: */
static uint32_t first_id;
static struct list *lists;
static uint32_t nlists;
static char *scratch;		/* a NUL byte, then a head */
static char *path;		/* normal form of a request path */
static size_t scratch_size;	/* of both, but for that byte */
static char spare[APACHE_READ];	/* what a fault throws away */

static uint32_t
count_lists(const struct config *c)
{
	return LIST_QUEUES + c->nqueues + FOUND_QUEUES;
}

static struct list *
new_lists(uint32_t n)
{
	struct list *l = calloc(n, sizeof(*l));
	uint32_t i;

	for (i = 0; l != NULL && i < n; i++)
		l[i] = (struct list){ .in = { SLOT_NONE, SLOT_NONE, 0 },
		    .error = EAGAIN };
	return l;
}

/* Room for a head, and for a piece of the status page. */
static bool
new_scratch(const struct config *c)
{
	size_t size = c->limits.head > STATUS_PIECE ? c->limits.head :
	    STATUS_PIECE;
	char *head, *normal;

	if (size <= scratch_size)
		return true;
	head = calloc(1, size + 1);
	normal = malloc(size + 1);
	if (head == NULL || normal == NULL) {
		free(head);
		free(normal);
		return false;
	}
	free(scratch);
	free(path);
	scratch = head;
	path = normal;
	scratch_size = size;
	now.of = NULL;
	return true;
}

bool
conn_open(struct config *c, uint32_t max, uint32_t arrivals, uint32_t id)
{
	config = c;
	first_id = id;
	nlists = count_lists(c);
	lists = new_lists(nlists);
	return slot_open(max, arrivals) && lists != NULL && new_scratch(c) &&
	    deadline_open(first_id + slot_total() + nlists);
}

void
conn_release(void)
{
	slot_release();
	free(lists);
	free(scratch);
	free(path);
	lists = NULL;
	scratch = path = NULL;
	scratch_size = 0;
}

uint32_t
conn_lingering(void)
{
	return lists[LIST_LINGER].in.count;
}

void
conn_turn(void)
{
	now.of = NULL;
	slot_turn();
}

/* ---- lists ---- */

static uint32_t
list_id(uint32_t list)
{
	return first_id + slot_total() + list;
}

static void
leave_list(struct conn *c)
{
	if (c->list == SLOT_NO_LIST)
		return;
	slot_unlink(&lists[c->list].in, c);
	if (lists[c->list].in.count == 0 && c->list >= LIST_QUEUES)
		deadline_clear(list_id(c->list));
	c->list = SLOT_NO_LIST;
}

static void
enter_list(struct conn *c, uint32_t list, uint32_t before)
{
	struct list *l = &lists[list];

	c->list = (uint16_t)list;
	slot_link(&l->in, c, before);
	if (l->in.count == 1 && list >= LIST_QUEUES) {
		l->delay = 1;
		deadline_set(list_id(list), clock_ms() + 1);
	}
}

/* ---- queues ---- */

static struct config *
config_of(const struct conn *c)
{
	return c->old ? previous : config;
}

static struct config_target *
target_of(const struct conn *c)
{
	return &config_of(c)->targets[c->route];
}

static uint64_t
hash_path(const struct sock_addr *addr)
{
	const unsigned char *p = (const unsigned char *)&addr->u.un;
	uint64_t hash = 14695981039346656037u;
	size_t i;

	for (i = 0; i < addr->len; i++)
		hash = (hash ^ p[i]) * 1099511628211u;
	return hash;
}

/*
 * The queue of the socket in now.addr.  For a found socket, and for one that
 * has no number in this configuration, it is one that has the same path, or
 * else one that is empty; SLOT_NO_LIST if all are in use.
 */
static uint32_t
find_queue(const struct conn *c)
{
	const struct config_target *t = target_of(c);
	uint32_t i, empty = SLOT_NO_LIST;
	uint64_t key;

	if (t->kind == CONFIG_SOCKET && !c->old)
		return LIST_QUEUES + t->queue;
	key = hash_path(&now.addr);
	for (i = LIST_QUEUES + config->nqueues; i < nlists; i++) {
		if (lists[i].in.count == 0)
			empty = i;
		else if (lists[i].key == key)
			return i;
	}
	if (empty != SLOT_NO_LIST)
		lists[empty].key = key;
	return empty;
}

static uint32_t
queue_max(const struct config_target *t)
{
	if (t->queue_max > 0)
		return t->queue_max;
	return slot_max() / 4 > 0 ? slot_max() / 4 : 1;
}

static bool
in_queue(const struct conn *c)
{
	return c->list != SLOT_NO_LIST && c->list >= LIST_QUEUES;
}

/* The first in line behind those that have their head already. */
static uint32_t
first_uncommitted(const struct list *l)
{
	uint32_t i = l->in.first;

	while (i != SLOT_NONE && slot_at(i)->state == CONN_COMMITTED)
		i = slot_at(i)->next;
	return i;
}

/* Its backend took this client: the next in line may try at once. */
static void
queue_open(const struct conn *c)
{
	if (!in_queue(c))
		return;
	lists[c->list].delay = 1;
	deadline_set(list_id(c->list), clock_ms());
}

/* What ails its backend, with an errno of fdpass_connect(). */
static void
queue_learn(uint32_t list, enum fdpass_state state, int error)
{
	lists[list].state = state;
	lists[list].error = error;
}

/* It did not, or failed after all: the next probe comes later. */
static void
queue_back_off(uint32_t list)
{
	struct list *l = &lists[list];

	if (l->in.count == 0)
		return;
	l->delay = l->delay * 2 < PROBE_MAX_MS ? l->delay * 2 : PROBE_MAX_MS;
	deadline_set(list_id(list), clock_ms() + l->delay);
}

/* ---- messages ---- */

static const char *
client_text(const struct conn *c)
{
	static char text[SOCK_TEXT];
	struct sock_addr addr;

	if (sock_peer(c->fd, &addr) == -1)
		return "a client";
	return sock_text(&addr, text, sizeof(text));
}

/* Its socket; or the folder, if which one in it is not known any more. */
static const char *
backend_text(const struct conn *c)
{
	static char text[SOCK_TEXT];
	const struct config_target *t = target_of(c);
	bool found = t->kind == CONFIG_DIRECTORY && now.of == c &&
	    now.addr.len > 0;

	return sock_path(found ? &now.addr : &t->addr, text, sizeof(text));
}

/* The request line in the scratch buffer, quoted; "-" if there is none. */
static const char *
line_text(const struct conn *c, char *dst, size_t size)
{
	const char *line = scratch + 1, *lf;
	size_t len = now.of == c ? now.len : 0;

	lf = memchr(line, '\n', len);
	if (lf != NULL)
		len = (size_t)(lf - line);
	while (len > 0 && line[len - 1] == '\r')
		len--;
	return len == 0 ? "-" : log_quote(dst, size, line, len);
}

static const char *
number_text(char dst[24], int64_t n, int64_t unknown)
{
	if (n == unknown)
		return "-";
	text_format(dst, 24, "%" PRId64, n);
	return dst;
}

/*
 * Something has happened to a client: an event, with more of it, which is
 * JSON.
 */
static void	event(const struct conn *c, const char *what,
    const char *fmt, ...) TEXT_PRINTF(3, 4);

static bool
events_wanted(void)
{
	return log_access_wanted() && config->access_json;
}

static void
event(const struct conn *c, const char *what, const char *fmt, ...)
{
	char text[LOG_LINE];
	va_list ap;

	if (!events_wanted())
		return;
	va_start(ap, fmt);
	text_vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_access("{\"id\":%" PRIu32 ",\"ms\":%" PRIu32 ",\"event\":\"%s\""
	    "%s}", c->number, clock_ms() - c->begun, what, text);
}

/*
 * The end of a request here: passed, answered, gone or reset.  In the access
 * log, in the common format, with what a hand-off has; or as an event.  What
 * is not known is 0, bytes -1.
 */
static void
record(const struct conn *c, const char *what, int status, int64_t bytes,
    int error)
{
	struct sock_addr peer;
	const char *backend = "-";
	char host[SOCK_TEXT] = "-", line[512], route[128] = "-", to[128];
	char text[3][24];

	if (!log_access_wanted())
		return;
	if (config->access_json) {
		event(c, what, ",\"status\":%d,\"errno\":%d", status, error);
		return;
	}
	if (sock_peer(c->fd, &peer) == 0)
		sock_host(&peer, host, sizeof(host));
	if (c->routed) {
		log_quote(route, sizeof(route), target_of(c)->path,
		    strlen(target_of(c)->path));
		backend = backend_text(c);
		backend = *backend == '\0' ? "-" : log_quote(to, sizeof(to),
		    backend, strlen(backend));
	}
	log_access("%s - - [%s] \"%s\" %s %s route=\"%s\" "
	    "backend=\"%s\" ms=%" PRIu32 " errno=%s",
	    /* An IPv4 client of an IPv6 socket. */
	    strncmp(host, "::ffff:", 7) == 0 ? host + 7 : host,
	    clock_log(clock_wall()), line_text(c, line, sizeof(line)),
	    number_text(text[0], status, 0), number_text(text[1], bytes, -1),
	    route, backend, clock_ms() - c->begun,
	    number_text(text[2], error, 0));
}

/* The events of a head that is whole. */
static void
event_head(const struct conn *c, const struct http_head *head)
{
	char method[64], target[400];

	if (!events_wanted())
		return;
	event(c, "head", ",\"method\":\"%s\",\"target\":\"%s\"",
	    log_quote_json(method, sizeof(method), head->method.p,
	    head->method.len), log_quote_json(target, sizeof(target),
	    head->target.p, head->target.len));
}

static void
event_route(const struct conn *c)
{
	char route[256], to[256];
	const char *backend;

	if (!events_wanted())
		return;
	backend = backend_text(c);
	event(c, "route", ",\"route\":\"%s\",\"backend\":\"%s\"",
	    log_quote_json(route, sizeof(route), target_of(c)->path,
	    strlen(target_of(c)->path)), log_quote_json(to, sizeof(to),
	    backend, strlen(backend)));
}

/* It has what it needs of its configuration. */
static void
renew(struct conn *c)
{
	if (c->old)
		outdated--;
	c->old = false;
}

/* ---- answers of our own ---- */

static enum conn_want
linger(struct conn *c)
{
	now.of = NULL;
	if (!reply_drain(c->fd, scratch + 1, scratch_size,
	    &c->u.linger.drained, LINGER_BYTES))
		return CONN_CLOSE;
	c->deadline = clock_ms() + LINGER_IDLE_MS;
	if (clock_before(c->u.linger.end, c->deadline))
		c->deadline = c->u.linger.end;
	return CONN_READ;
}

static enum conn_want
start_linger(struct conn *c)
{
	renew(c);
	c->state = CONN_LINGER;
	c->u.linger.drained = 0;
	c->u.linger.end = clock_ms() + LINGER_MS;
	return linger(c);
}

static enum conn_want
write_reply(struct conn *c)
{
	enum flush_result result = reply_write(c->fd, c->status, c->head_only,
	    &config_of(c)->own, c->u.out.wall, &c->u.out.offset);

	if (result != FLUSH_DONE)
		return result == FLUSH_AGAIN ? CONN_WRITE : CONN_CLOSE;
	/* Ours alone still: no other process has this socket. */
	shutdown(c->fd, SHUT_WR);
	return start_linger(c);
}

static void
begin_answer(struct conn *c, enum conn_state state, int status)
{
	c->resting = c->tired = false;
	c->state = (uint8_t)state;
	c->status = (uint16_t)status;
	c->u.out.offset = 0;
	c->u.out.wall = clock_wall();
	c->deadline = clock_ms() + config->flush_ms;
	stats_answered(status);
}

static enum conn_want
answer(struct conn *c, int status, int error)
{
	record(c, "answered", status, c->head_only ? 0 :
	    (int64_t)reply_length(status), error);
	begin_answer(c, CONN_REPLY, status);
	return write_reply(c);
}

/* An answer to the request line in the scratch buffer, with a message. */
static enum conn_want
refuse(struct conn *c, int status)
{
	char line[256];

	if (log_wanted(LOG_L_INFO))
		log_info("%s: \"%s\": %d", client_text(c),
		    line_text(c, line, sizeof(line)), status);
	return answer(c, status, 0);
}

/* It went away, or sent no request at all; nobody is there to be told. */
static enum conn_want
gone(const struct conn *c)
{
	if (c->state != CONN_HEAD || c->u.head.scan.at > 0)
		record(c, "gone", 0, -1, 0);
	stats_get()->gone++;
	return CONN_CLOSE;
}

/*
 * Once a byte of the head is out, neither a status nor an empty body may look
 * like an answer.
 */
static enum conn_want
reset(struct conn *c, const char *why, int error)
{
	log_error("%s: reset after its head was sent, for %s: %s",
	    client_text(c), backend_text(c), why);
	record(c, "reset", 0, -1, error);
	stats_get()->resets++;
	c->reset = true;
	return CONN_CLOSE;
}

/* ---- bytes that wait ---- */

/*
 * Bytes that must wait although their client's are read: they go into a socket
 * of our own, so that they cost a descriptor and no buffer.  Returns its read
 * end, or -1.
 */
static int
stash(const char *data, size_t len)
{
	int fd[2], size = (int)len * 2;
	ssize_t n;

	if (sock_pair(fd) == -1)
		return -1;
	setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	n = send(fd[1], data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd[1]);
	if (n == (ssize_t)len)
		return fd[0];
	close(fd[0]);
	return -1;
}

/* Send the bytes that wait in c->other, as many as go. */
static enum flush_result
send_rest(struct conn *c)
{
	uint32_t offset = 0;
	enum flush_result result;
	ssize_t n;

	now.of = NULL;
	n = recv(c->other, scratch + 1, scratch_size, MSG_PEEK |
	    MSG_DONTWAIT);
	if (n <= 0)
		return FLUSH_DONE;
	result = flush_bytes(c->fd, scratch + 1, (size_t)n, &offset, 0);
	if (result != FLUSH_FAILED && recv(c->other, scratch + 1, offset,
	    MSG_DONTWAIT) != (ssize_t)offset)
		return FLUSH_FAILED;
	return result;
}

/* ---- the status page ---- */

static void
count_waiting(struct status_view *v)
{
	const struct conn *c;

	/* The lowest free one is always taken, so none is far above. */
	v->descriptors = sock_count(2 * slot_total() + 1024);
	for (c = slot_next(NULL); c != NULL; c = slot_next(c)) {
		if (c->state == CONN_HEAD)
			v->waiting_head++;
		else if (c->state == CONN_QUEUED || c->state == CONN_COMMITTED)
			v->waiting_backend++;
		else
			v->waiting_client++;
	}
}

static enum conn_want
write_status(struct conn *c)
{
	struct status_view view = { .config = config_of(c),
	    .max_connections = slot_max() };
	enum flush_result result = FLUSH_DONE;
	uint32_t offset;
	size_t len;

	if (c->other != -1)
		result = send_rest(c);
	if (result == FLUSH_DONE && status_needs_view(c->u.out.offset))
		count_waiting(&view);
	while (result == FLUSH_DONE) {
		if (c->other != -1)
			close(c->other);
		c->other = -1;
		now.of = NULL;
		len = c->head_only && c->u.out.offset > 0 ? 0 :
		    status_text(&view, scratch + 1, scratch_size,
		    &c->u.out.offset);
		if (len == 0) {
			shutdown(c->fd, SHUT_WR);
			return start_linger(c);
		}
		offset = 0;
		result = flush_bytes(c->fd, scratch + 1, len, &offset, 0);
		if (result == FLUSH_AGAIN) {
			c->other = stash(scratch + 1 + offset, len - offset);
			if (c->other == -1)
				result = FLUSH_FAILED;
		}
	}
	/* A page that is cut must not look whole. */
	c->reset = result == FLUSH_FAILED;
	return result == FLUSH_FAILED ? CONN_CLOSE : CONN_WRITE;
}

/* ---- faults ---- */

/*
 * A request reaches a route's backend for the first time: its number decides
 * whether something is to go wrong.
 */
static void
choose_fault(struct conn *c)
{
	struct config_target *t = target_of(c);
	unsigned int i;

	if (t->nfaults == 0 || c->fault != 0)
		return;
	t->begun++;
	for (i = 0; i < t->nfaults && !fault_due(&t->faults[i], t->begun); i++)
		;
	c->fault = i + 1;
}

static const struct fault *
chosen_fault(const struct conn *c)
{
	if (c->fault == 0 || c->fault > target_of(c)->nfaults)
		return NULL;
	return &target_of(c)->faults[c->fault - 1];
}

/* Its fault if that is of this kind, or NULL. */
static const struct fault *
fault_of(const struct conn *c, enum fault_kind kind)
{
	const struct fault *f = chosen_fault(c);

	return f != NULL && f->kind == kind ? f : NULL;
}

/* Let it be for a while; late() goes on. */
static enum conn_want
delay(struct conn *c, uint32_t ms)
{
	c->resting = true;
	c->deadline = clock_ms() + ms;
	return CONN_PARK;
}

/* The client's socket as Apache leaves it, or a fault would. */
static void
spoil(const struct conn *c)
{
	const struct config_target *t = target_of(c);

	if (t->compat)
		sock_nonblock(c->fd, true);
	if ((t->compat || fault_of(c, FAULT_BODY) != NULL) &&
	    flush_consumes(t->flush) && now.len < APACHE_READ)
		recv(c->fd, spare, APACHE_READ - now.len, MSG_DONTWAIT);
}

/* ---- towards the backend ---- */

/* Nothing has been written to the client, and no backend will take it. */
static enum conn_want
no_backend(struct conn *c, enum fdpass_state state, int error)
{
	if (state == FDPASS_BROKEN && error == ECONNREFUSED)
		error = ENOTSOCK;	/* it is a file of another kind */
	log_error("%s: cannot connect to %s: %s", client_text(c),
	    backend_text(c), strerror(error));
	return answer(c, state == FDPASS_BROKEN || target_of(c)->compat ? 500 :
	    503, error);
}

/*
 * A backend does not answer, with an errno of fdpass_connect().  Nothing has
 * been written yet: the client waits in line, or is told.
 */
static enum conn_want
out_of_reach(struct conn *c, uint32_t queue, enum fdpass_state state, int error)
{
	const struct config_target *t = target_of(c);
	uint32_t limit;

	limit = state == FDPASS_FULL ? t->connect_ms : t->wait_ms;
	if (state == FDPASS_BROKEN)
		limit = 0;
	if (!c->waited) {
		c->waited = true;
		c->u.wait.since = clock_ms();
		if (limit > 0 && (queue == SLOT_NO_LIST ||
		    lists[queue].in.count >= queue_max(t))) {
			log_warn("%s: too many wait for it", backend_text(c));
			return answer(c, t->compat ? 500 : 503, error);
		}
	}
	c->deadline = c->u.wait.since + limit;
	if (queue != SLOT_NO_LIST)
		queue_learn(queue, state, error);
	if (limit == 0 || queue == SLOT_NO_LIST ||
	    !clock_before(clock_ms(), c->deadline)) {
		if (limit == 0)
			queue_open(c);	/* nor have those behind to wait */
		return no_backend(c, state, error);
	}
	c->state = CONN_QUEUED;
	c->u.wait.queue = queue;
	return CONN_PARK;
}

/* It stands in line, and what ails the backend is known. */
static enum conn_want
behind(struct conn *c, uint32_t queue)
{
	return out_of_reach(c, queue, lists[queue].state, lists[queue].error);
}

/*
 * The backend is to seem full or missing, for this client alone: it waits as
 * long as it would then, but in nobody's way.
 */
static bool
pretends(const struct conn *c)
{
	return fault_of(c, FAULT_FULL) != NULL ||
	    fault_of(c, FAULT_MISSING) != NULL;
}

static enum conn_want
end_pretence(struct conn *c)
{
	if (fault_of(c, FAULT_FULL) != NULL)
		return no_backend(c, FDPASS_FULL, EAGAIN);
	return no_backend(c, FDPASS_ABSENT, ECONNREFUSED);
}

static enum conn_want
pretend(struct conn *c)
{
	const struct config_target *t = target_of(c);
	uint32_t ms = fault_of(c, FAULT_FULL) != NULL ? t->connect_ms :
	    t->wait_ms;

	if (ms == 0)
		return end_pretence(c);
	c->state = CONN_FLUSH;
	return delay(c, ms);
}

static enum conn_want
flush_head(struct conn *c)
{
	const struct fault *cut = fault_of(c, FAULT_CUT);
	const struct fault *pause = fault_of(c, FAULT_DELAY_PASS);
	enum flush_result result = flush_write(target_of(c)->flush, c->fd,
	    c->u.out.wall, &c->u.out.offset, cut == NULL ? SIZE_MAX : cut->arg,
	    target_of(c)->hold);

	if (result != FLUSH_DONE)
		return result == FLUSH_AGAIN ? CONN_WRITE : gone(c);
	event(c, "flushed", "%s", "");
	return pause == NULL ? CONN_PASS : delay(c, pause->arg);
}

/* Nothing is written before the backend's socket has taken the connection. */
static enum conn_want
reach(struct conn *c, bool probing)
{
	const struct config_target *t = target_of(c);
	const struct fault *pause;
	uint32_t queue = find_queue(c);
	int fd, error;

	choose_fault(c);
	if (pretends(c))
		return pretend(c);
	if (!probing && queue != SLOT_NO_LIST && lists[queue].in.count > 0)
		return behind(c, queue);
	fd = fdpass_connect(&now.addr);
	if (fd == -1) {
		error = errno;
		if (in_queue(c))
			queue_back_off(c->list);
		if (error == ENOENT && t->kind == CONFIG_DIRECTORY &&
		    !t->compat)
			return refuse(c, 404);
		return out_of_reach(c, queue, fdpass_state(error, &now.addr),
		    error);
	}
	event(c, "connected", "%s", "");
	c->other = fd;
	c->state = CONN_FLUSH;
	/* Without a head to write, how long it has waited must stay known. */
	if (flush_consumes(t->flush)) {
		c->u.out.wall = clock_wall();
		c->u.out.offset = flush_start(t->flush, now.expect &&
		    !t->compat);
	}
	pause = fault_of(c, FAULT_DELAY_FLUSH);
	if (pause != NULL)
		return delay(c, pause->arg);
	c->deadline = clock_ms() + config->flush_ms;
	return flush_head(c);
}

/*
 * The next segment alone names the socket in a directory target's folder.
 * Dot files are not for clients.
 */
static bool
find_socket(const struct config_target *t, const char *rest, size_t len)
{
	char name[sizeof(t->addr.u.un.sun_path)];
	const char *slash = memchr(rest, '/', len);
	size_t n = slash == NULL ? len : (size_t)(slash - rest);

	memset(&now.addr, 0, sizeof(now.addr));
	if (n == 0 || *rest == '.' || t->path_len + n >= sizeof(name))
		return false;
	memcpy(name, t->addr.u.un.sun_path, t->path_len);
	memcpy(name + t->path_len, rest, n);
	return sock_unix(&now.addr, name, t->path_len + n);
}

/* Which backend: sets c->route and now.addr.  Returns 0 or a status. */
static int
route(struct conn *c, const struct http_head *head)
{
	const struct config_target *t;
	size_t len, rest;
	int status, i;

	c->routed = false;
	status = route_normalize(head->path.p, head->path.len, path,
	    scratch_size, &len);
	if (status != 0)
		return status;
	i = route_match(config_of(c)->routes, path, len, &rest);
	if (i == ROUTE_NONE)
		return 404;
	c->route = (uint32_t)i;
	c->routed = true;
	t = target_of(c);
	if (t->kind == CONFIG_EXCLUDED)
		return 404;
	if (t->kind == CONFIG_SOCKET)
		now.addr = t->addr;
	else if (t->kind == CONFIG_DIRECTORY &&
	    !find_socket(t, path + rest, len - rest))
		return 404;
	/* A backend that reads the head again may read another path. */
	if ((t->payload_head || (t->flush != NULL &&
	    !flush_consumes(t->flush))) &&
	    !route_agrees(config_of(c)->routes, i,
	    t->kind == CONFIG_DIRECTORY ? now.addr.u.un.sun_path +
	    t->path_len : NULL, head->path.p, head->path.len, path))
		return 400;
	return 0;
}

/* ---- the head ---- */

static ssize_t
peek(const struct conn *c)
{
	ssize_t n;

	do {
		n = recv(c->fd, scratch + 1, config_of(c)->limits.head,
		    MSG_PEEK | MSG_DONTWAIT);
	} while (n == -1 && errno == EINTR);
	now.of = n > 0 ? c : NULL;
	now.len = n > 0 ? (size_t)n : 0;
	now.whole = false;
	return n;
}

/* Read and forget what is there, so that closing is no reset. */
static void
drain(const struct conn *c)
{
	uint32_t drained = 0;

	now.of = NULL;
	reply_drain(c->fd, scratch + 1, scratch_size, &drained,
	    LINGER_BYTES);
}

/* Its end came in the middle of a head, or before. */
static enum conn_want
cut_short(struct conn *c)
{
	if (c->u.head.scan.lines > 0)
		return refuse(c, 400);
	drain(c);
	return gone(c);
}

bool
conn_probe(uint32_t *at)
{
	const struct config_target *t;
	int fd;

	for (; *at < config->ntargets; ++*at) {
		t = &config->targets[*at];
		if (!t->first)
			continue;
		fd = fdpass_connect(&t->addr);
		if (fd == -1)
			return false;
		close(fd);
	}
	return true;
}

void
conn_set_ready(bool ready)
{
	serving = ready;
}

/*
 * No socket is looked at more than once a second; and no socket if there are
 * so many that others would have to wait.
 */
static int
ready_status(void)
{
	static uint32_t looked;
	static bool known, ready;
	char text[SOCK_TEXT];
	uint32_t at = 0;

	if (config->nqueues > PROBE_ALL_MAX)
		return serving ? 200 : 503;
	if (!known || clock_ms() - looked >= PROBE_ALL_MS) {
		known = true;
		ready = conn_probe(&at);
		if (!ready)
			log_info("not ready: %s does not accept connections",
			    sock_path(&config->targets[at].addr, text,
			    sizeof(text)));
		looked = clock_ms();
	}
	return serving && ready ? 200 : 503;
}

static enum conn_want
answer_status(struct conn *c)
{
	record(c, "answered", 200, -1, 0);
	begin_answer(c, CONN_STATUS, 200);
	return write_status(c);
}

static enum conn_want
dispatch(struct conn *c, const struct http_head *head, bool probing)
{
	int status = 200;

	if (!probing)
		event_head(c, head);
	if (!head->asterisk)
		status = route(c, head);
	if (status != 0)
		return refuse(c, status);
	if (!probing)
		event_route(c);
	if (target_of(c)->kind == CONFIG_STATUS)
		return answer_status(c);
	if (target_of(c)->kind == CONFIG_READY)
		return answer(c, ready_status(), 0);
	return reach(c, probing);
}

/*
 * Parse the now.len bytes of a head in the scratch buffer.  Its length, which
 * now.len becomes, or http_parse_head()'s HTTP_BAD or HTTP_PARTIAL.
 */
static int
parse(const struct conn *c, struct http_scan *scan, struct http_head *head)
{
	int len = http_parse_head(scratch + 1, now.len, scan,
	    &config_of(c)->limits, head);

	if (len > 0) {
		now.len = (size_t)len;
		now.whole = true;
		now.expect = head->expect;
	}
	return len;
}

static enum conn_want
look(struct conn *c, unsigned int why)
{
	bool waited = c->state == CONN_QUEUED;
	struct http_scan scan = { 0, 0, 0 };
	struct http_head head;
	size_t seen;
	ssize_t n;
	int len;

	c->resting = false;
	n = peek(c);
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK) && !waited)
		return why & CONN_END ? gone(c) : CONN_READ;
	if (n <= 0)
		return gone(c);
	/* Fewer bytes than before: the limit has been lowered. */
	if (!waited && c->u.head.scan.at <= n)
		scan = c->u.head.scan;
	seen = scan.at;
	len = parse(c, &scan, &head);
	c->head_only = head.method.len == 4 &&
	    memcmp(head.method.p, "HEAD", 4) == 0;
	if (len > 0)
		return dispatch(c, &head, why & CONN_PROBE);
	if (len == HTTP_BAD)
		return refuse(c, head.status);
	if (waited)		/* it was whole when it began to wait */
		return gone(c);
	c->u.head.scan = scan;
	if ((size_t)n > seen && !c->local)
		c->u.head.naps = 0;
	if (why & CONN_GONE)
		return gone(c);
	if ((why & CONN_END) ||
	    ((why & CONN_MORE) && (size_t)n == seen))
		return cut_short(c);
	if (c->u.head.looks < LOOKS_MAX)
		c->u.head.looks++;
	else
		c->tired = true;
	return CONN_READ;
}

/* The head of this client is in the scratch buffer, or is put there again. */
static bool
look_again(struct conn *c)
{
	struct http_scan scan = { 0, 0, 0 };
	struct http_head head;

	if (now.of == c && now.whole)
		return true;
	return peek(c) > 0 && parse(c, &scan, &head) > 0 &&
	    route(c, &head) == 0;
}

/* Take exactly the head from the connection. */
static bool
consume(const struct conn *c)
{
	size_t got = 0;
	ssize_t n;

	while (got < now.len) {
		n = recv(c->fd, scratch + 1 + got, now.len - got,
		    MSG_DONTWAIT);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	return true;
}

/* ---- hand-off ---- */

/* Its backend gets less than the whole head; it cannot be told. */
static enum conn_want
cut_tail(const struct conn *c, const char *why)
{
	char path_text[SOCK_TEXT];

	log_error("%s: a payload was cut short: %s", sock_path(
	    &target_of(c)->addr, path_text, sizeof(path_text)), why);
	return CONN_CLOSE;
}

/* The backend has it all. */
static enum conn_want
end_tail(struct conn *c)
{
	const struct fault *pause = fault_of(c, FAULT_DELAY_CLOSE);

	if (pause == NULL)
		return CONN_CLOSE;
	c->state = CONN_TAIL;
	return delay(c, pause->arg);
}

static enum conn_want
send_tail(struct conn *c)
{
	enum flush_result result = send_rest(c);

	if (result == FLUSH_AGAIN)
		return CONN_WRITE;
	return result == FLUSH_DONE ? end_tail(c) :
	    cut_tail(c, strerror(errno));
}

/* By route; one of the previous configuration may be there still. */
static void
count_route(const struct conn *c)
{
	struct config_target *t = target_of(c);
	size_t rest;
	int i;

	if (c->old) {
		i = route_match(config->routes, t->path, strlen(t->path),
		    &rest);
		if (i == ROUTE_NONE)
			return;
		t = &config->targets[i];
	}
	t->passed++;
}

/* The client is the backend's.  Close, never shut down: that reaches it. */
static enum conn_want
passed(struct conn *c, int backend, const char *rest, size_t len)
{
	uint32_t offset = 0;

	if (log_wanted(LOG_L_DEBUG))
		log_debug("%s: passed to %s", client_text(c),
		    backend_text(c));
	record(c, "passed", flush_status(target_of(c)->flush), -1, 0);
	stats_get()->passed++;
	count_route(c);
	queue_open(c);
	if (c->other != -1)
		close(c->other);
	c->other = -1;
	if (fault_of(c, FAULT_NOBYTE) != NULL)
		c->other = c->fd;
	else
		close(c->fd);
	c->fd = backend;
	if (c->other != -1) {
		c->state = CONN_TAIL;
		return delay(c, HOLD_MS);
	}
	if (len == 0 ||
	    flush_bytes(backend, rest, len, &offset, 0) != FLUSH_AGAIN)
		return end_tail(c);
	c->other = stash(rest + offset, len - offset);
	if (c->other == -1)
		return cut_tail(c, strerror(errno));
	c->state = CONN_TAIL;
	c->deadline = clock_ms() + target_of(c)->connect_ms;
	return CONN_WRITE;
}

/*
 * What a committed client's hand-off must have again later, although its head
 * is consumed: the head itself, if it is payload or names the socket.
 */
static bool
commit(struct conn *c)
{
	const struct config_target *t = target_of(c);

	if (t->payload_head || t->kind == CONFIG_DIRECTORY) {
		c->other = stash(scratch, 1 + now.len);
		if (c->other == -1)
			return false;
	}
	c->state = CONN_COMMITTED;
	c->deadline = clock_ms() + t->connect_ms;
	return true;
}

/*
 * The backend is gone or out of room after all.  If the client has not been
 * written to, it waits in line as before; else it is committed, and its
 * backend is tried until connectiontimeout.
 */
static enum conn_want
failed(struct conn *c, int error)
{
	const struct config_target *t = target_of(c);
	uint32_t queue = in_queue(c) ? c->list : find_queue(c);

	log_info("cannot pass to %s: %s", backend_text(c), strerror(error));
	event(c, "error", ",\"errno\":%d", error);
	if (queue != SLOT_NO_LIST)
		queue_back_off(queue);
	if (!flush_consumes(t->flush))
		return out_of_reach(c, queue, FDPASS_FULL, error);
	if (queue == SLOT_NO_LIST)
		return reset(c, "too many wait for their backends", error);
	/* It was there a moment ago, and what sendmsg(2) says is no answer to
	   a connect: full, unless it is missing by now. */
	queue_learn(queue, fdpass_state(error, &now.addr) == FDPASS_ABSENT ?
	    FDPASS_ABSENT : FDPASS_FULL, error);
	if (c->state != CONN_COMMITTED && !commit(c))
		return reset(c, strerror(errno), errno);
	if (!clock_before(clock_ms(), c->deadline))
		return reset(c, strerror(error), error);
	c->u.wait.queue = queue;
	return CONN_PARK;
}

static ssize_t
send_client(const struct conn *c, int backend, const char *payload, size_t len)
{
	const struct fault *f = chosen_fault(c);

	if (f == NULL)
		return fdpass_send(backend, c->fd, payload, len);
	return fault_send(f->kind, backend, c->fd, payload, len);
}

/* sendmsg, again over a new connection if the backend has left this one. */
static enum conn_want
hand_off(struct conn *c, int backend, const char *payload, size_t len)
{
	ssize_t n;
	int tries, error;

	for (tries = 1;; tries++) {
		n = send_client(c, backend, payload, len);
		if (n > 0)
			return passed(c, backend, payload + n,
			    len - (size_t)n);
		error = errno;
		close(backend);
		if ((error != EPIPE && error != ECONNRESET) ||
		    tries == SENDS_MAX)
			break;
		backend = fdpass_connect(&now.addr);
		if (backend == -1) {
			error = errno;
			break;
		}
	}
	return failed(c, error);
}

/*
 * A committed client's payload and backend, from its stash if there is one:
 * sets now.addr and now.len.
 */
static bool
recall(struct conn *c)
{
	struct http_scan scan = { 0, 0, 0 };
	struct http_head head;
	ssize_t n;

	now.of = NULL;
	now.addr = target_of(c)->addr;
	if (c->other == -1)
		return true;
	n = recv(c->other, scratch, 1 + scratch_size, MSG_PEEK | MSG_DONTWAIT);
	if (n <= 1)
		return false;
	now.of = c;
	now.len = (size_t)n - 1;
	return parse(c, &scan, &head) > 0 && route(c, &head) == 0;
}

enum conn_want
conn_pass(struct conn *c)
{
	const struct config_target *t = target_of(c);
	int backend = now.backend;

	if (c->state == CONN_FLUSH) {
		if (!look_again(c))
			return flush_consumes(t->flush) ?
			    reset(c, "its request is gone", 0) : gone(c);
		if (flush_consumes(t->flush) && !consume(c))
			return reset(c, "its request is gone", 0);
		spoil(c);
		backend = c->other;
		c->other = -1;
	}
	return hand_off(c, backend, scratch, t->payload_head ? 1 + now.len :
	    1);
}

/* A committed client's backend is tried again. */
static enum conn_want
retry_committed(struct conn *c)
{
	int error;

	if (!recall(c))
		return reset(c, "its payload is lost", 0);
	now.backend = fdpass_connect(&now.addr);
	if (now.backend == -1) {
		error = errno;
		queue_learn(c->list, fdpass_state(error, &now.addr), error);
		queue_back_off(c->list);
		return CONN_PARK;
	}
	return CONN_PASS;
}

/* ---- the machine ---- */

static void
event_accepted(const struct conn *c)
{
	const char *client;
	char text[SOCK_TEXT * 2];

	if (!events_wanted())
		return;
	client = client_text(c);
	event(c, "accepted", ",\"client\":\"%s\"", log_quote_json(text,
	    sizeof(text), client, strlen(client)));
}

static void
init(struct conn *c, int fd, bool local)
{
	*c = (struct conn){ .fd = fd, .other = -1, .next = SLOT_NONE,
	    .prev = SLOT_NONE, .list = SLOT_NO_LIST, .state = CONN_HEAD,
	    .local = local, .begun = clock_ms(),
	    .deadline = clock_ms() + config->head_ms };
}

void
conn_start(struct conn *c, int fd, bool local)
{
	init(c, fd, local);
	c->number = (uint32_t)++stats_get()->accepted;
	event_accepted(c);
}

/* It was counted by the program that has answered it. */
void
conn_start_linger(struct conn *c, int fd, bool local)
{
	init(c, fd, local);
	c->state = CONN_LINGER;
	c->u.linger.end = clock_ms() + LINGER_MS;
}

/* A delay before the head is over, or one before the hand-off. */
static enum conn_want
end_delay(struct conn *c)
{
	c->resting = false;
	if (pretends(c)) {
		look_again(c);	/* for the messages alone */
		return end_pretence(c);
	}
	if (fault_of(c, FAULT_DELAY_PASS) != NULL)
		return CONN_PASS;
	c->deadline = clock_ms() + config_of(c)->flush_ms;
	return flush_head(c);
}

static enum conn_want
late(struct conn *c)
{
	switch (c->state) {
	case CONN_HEAD:
		stats_get()->timeouts++;
		/* What came in this moment has not been looked at yet. */
		if (peek(c) <= 0)
			return gone(c);
		return refuse(c, 408);
	case CONN_QUEUED:
		look_again(c);
		return behind(c, c->list);
	case CONN_FLUSH:
		if (c->resting)
			return end_delay(c);
		look_again(c);
		return reset(c, "the client does not read", ETIMEDOUT);
	case CONN_COMMITTED:
		recall(c);
		return reset(c, "the backend does not take it", ETIMEDOUT);
	case CONN_TAIL:
		if (c->resting)
			return CONN_CLOSE;
		return cut_tail(c, "the backend does not read");
	case CONN_STATUS:
		c->reset = true;
		return CONN_CLOSE;
	default:
		return CONN_CLOSE;
	}
}

static enum conn_want
advance_head(struct conn *c, unsigned int why)
{
	if (c->resting && !(why & (CONN_WAKE | CONN_END | CONN_GONE))) {
		c->arrived = true;
		return CONN_SAME;
	}
	if (why & CONN_WAKE) {
		c->resting = false;
		if (!c->arrived)
			return CONN_READ;
		c->arrived = false;
	}
	return look(c, why);
}

enum conn_want
conn_advance(struct conn *c, unsigned int why)
{
	if (c->state != CONN_FREE && (why & CONN_LATE))
		return late(c);
	switch (c->state) {
	case CONN_HEAD:
		return advance_head(c, why);
	case CONN_QUEUED:
	case CONN_COMMITTED:
		if (why & CONN_GONE)
			return gone(c);
		if (!(why & (CONN_PROBE | CONN_ANEW)))
			return CONN_SAME;
		return c->state == CONN_QUEUED ? look(c, why) :
		    retry_committed(c);
	case CONN_FLUSH:
		if (c->resting)
			return why & CONN_GONE ? gone(c) : CONN_SAME;
		return flush_head(c);
	case CONN_TAIL:
		if (c->resting)
			return why & CONN_GONE ? CONN_CLOSE : CONN_SAME;
		return send_tail(c);
	case CONN_REPLY:
		return write_reply(c);
	case CONN_STATUS:
		return write_status(c);
	case CONN_LINGER:
		return linger(c);
	default:
		/* A stale event of a slot that was freed in this turn. */
		return CONN_SAME;
	}
}

/* ---- slots ---- */

void
conn_close(struct conn *c)
{
	int64_t i = slot_index(c);

	if (c->reset)
		sock_reset(c->fd);
	else if (c->fd != -1)
		close(c->fd);
	if (c->other != -1)
		close(c->other);
	c->fd = c->other = -1;
	if (i == -1)
		return;
	renew(c);
	leave_list(c);
	deadline_clear(first_id + (uint32_t)i);
	slot_free(c);
}

struct conn *
conn_victim(void)
{
	uint32_t i = lists[LIST_LINGER].in.first;

	if (!slot_spare())
		return NULL;	/* what it frees is for the next turn */
	if (i == SLOT_NONE)
		i = lists[LIST_HEAD].in.first;
	return i == SLOT_NONE ? NULL : slot_at(i);
}

/* What goes out now, and no lingering: the slot is wanted. */
static void
last_word(struct conn *c, int status)
{
	uint32_t offset = 0, before, wall = clock_wall();
	enum flush_result result;

	if (now.of != c)
		peek(c);
	record(c, "answered", status, c->head_only ? 0 :
	    (int64_t)reply_length(status), 0);
	drain(c);
	do {
		before = offset;
		result = reply_write(c->fd, status, c->head_only,
		    &config->own, wall, &offset);
	} while (result == FLUSH_AGAIN && offset != before);
	stats_answered(status);
}

void
conn_evict(struct conn *c)
{
	stats_get()->evicted++;
	if (c->state != CONN_HEAD)
		return;
	if (peek(c) > 0)
		last_word(c, 408);
	else
		gone(c);
}

void
conn_refuse(struct conn *c)
{
	switch (c->state) {
	case CONN_HEAD:
	case CONN_QUEUED:
		last_word(c, 503);
		break;
	case CONN_FLUSH:
		if (pretends(c)) {
			last_word(c, 503);
			break;
		}
		/* fallthrough */
	case CONN_COMMITTED:
		reset(c, "no room to wait", 0);
		break;
	case CONN_TAIL:
		cut_tail(c, "no room to wait");
		break;
	case CONN_STATUS:
		c->reset = true;
		break;
	default:
		break;
	}
}

void
conn_settle(struct conn *c)
{
	uint32_t list = SLOT_NO_LIST;

	if (c->state == CONN_HEAD)
		list = LIST_HEAD;
	else if (c->state == CONN_LINGER)
		list = LIST_LINGER;
	else if (c->state == CONN_QUEUED || c->state == CONN_COMMITTED)
		list = c->u.wait.queue;
	if (c->list != list) {
		if (c->state == CONN_FLUSH)
			queue_open(c);
		leave_list(c);
		if (list != SLOT_NO_LIST)
			enter_list(c, list, c->state == CONN_COMMITTED ?
			    first_uncommitted(&lists[list]) : SLOT_NONE);
	}
	if (c->state != CONN_HEAD || !c->resting)
		deadline_set(first_id + (uint32_t)slot_index(c), c->deadline);
}

/* ---- another configuration ---- */

/* What it waits for is not in the kernel alone. */
static bool
unfinished(const struct conn *c)
{
	return c->state != CONN_HEAD && c->state != CONN_QUEUED &&
	    c->state != CONN_LINGER;
}

/*
 * Those that wait in line go to LIST_ANEW, in order; those whose hand-off is
 * being repeated into a line that needs no number.
 */
static void
leave_queues(struct list *from, uint32_t n)
{
	struct conn *c;
	uint32_t i, next, id;

	for (i = LIST_QUEUES; i < n; i++) {
		for (id = from[i].in.first; id != SLOT_NONE; id = next) {
			c = slot_at(id);
			next = c->next;
			c->list = SLOT_NO_LIST;
			if (c->state == CONN_QUEUED) {
				c->fault = 0;
				c->routed = false;	/* not in here */
				enter_list(c, LIST_ANEW, SLOT_NONE);
				continue;
			}
			recall(c);
			c->u.wait.queue = find_queue(c);
			if (c->u.wait.queue == SLOT_NO_LIST)
				c->deadline = clock_ms();
			conn_settle(c);
		}
	}
}

/* Routes that stay go on counting. */
static void
carry_counters(const struct config *from, struct config *to)
{
	struct config_target *t;
	size_t rest;
	uint32_t i;
	int j;

	for (i = 0; i < to->ntargets; i++) {
		t = &to->targets[i];
		j = route_match(from->routes, t->path, strlen(t->path), &rest);
		if (j != ROUTE_NONE &&
		    strcmp(from->targets[j].path, t->path) == 0)
			t->passed = from->targets[j].passed;
	}
}

bool
conn_reload(struct config *next)
{
	struct list *from = lists, *to;
	uint32_t i, from_n = nlists, to_n = count_lists(next);
	struct conn *c;

	to = new_lists(to_n);
	if (to == NULL || !new_scratch(next) ||
	    !deadline_grow(first_id + slot_total() + to_n)) {
		free(to);
		return false;
	}
	for (i = 0; i < from_n; i++)
		deadline_clear(list_id(i));
	carry_counters(config, next);
	previous = config;
	config = next;
	for (c = slot_next(NULL); c != NULL; c = slot_next(c)) {
		if (unfinished(c)) {
			c->old = true;
			outdated++;
		}
	}
	memcpy(to, from, LIST_QUEUES * sizeof(*to));
	lists = to;
	nlists = to_n;
	leave_queues(from, from_n);
	free(from);
	return true;
}

struct conn *
conn_unrouted(void)
{
	uint32_t i = lists[LIST_ANEW].in.first;

	if (i == SLOT_NONE)
		return NULL;
	leave_list(slot_at(i));
	return slot_at(i);
}

uint32_t
conn_outdated(void)
{
	return outdated;
}

uint32_t
conn_unfinished(void)
{
	const struct conn *c;
	uint32_t n = 0;

	for (c = slot_next(NULL); c != NULL; c = slot_next(c))
		n += unfinished(c);
	return n;
}

void
conn_hurry(struct conn *c, uint32_t ms)
{
	if (clock_before(c->begun + ms, c->deadline))
		c->deadline = c->begun + ms;
	conn_settle(c);
}

uint32_t
conn_seen(const struct conn *c)
{
	return c->state == CONN_HEAD ? c->u.head.scan.at : 0;
}

bool
conn_tired(struct conn *c)
{
	bool tired = c->tired;

	c->tired = false;
	return tired;
}

void
conn_rest(struct conn *c, bool blind)
{
	uint32_t ms = REST_MS << c->u.head.naps, when;

	if (ms < REST_MAX_MS)
		c->u.head.naps++;
	else
		ms = REST_MAX_MS;
	c->resting = true;
	c->arrived = blind;
	when = clock_ms() + ms;
	if (clock_before(c->deadline, when))
		when = c->deadline;
	deadline_set(first_id + (uint32_t)slot_index(c), when);
}

struct conn *
conn_due(uint32_t id, unsigned int *why)
{
	struct conn *c;
	struct list *l;

	id -= first_id;
	if (id < slot_total()) {
		c = slot_at(id);
		*why = c->resting && clock_before(clock_ms(), c->deadline) ?
		    CONN_WAKE : CONN_LATE;
		return c;
	}
	l = &lists[id - slot_total()];
	if (l->in.count == 0)
		return NULL;
	stats_get()->retries++;
	/* Should the client turn out to be gone, the next is not forgotten. */
	deadline_set(id + first_id, clock_ms() + l->delay);
	*why = CONN_PROBE;
	return slot_at(l->in.first);
}
