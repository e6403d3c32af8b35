/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"
#include "clock.h"
#include "conn.h"
#include "event.h"
#include "fdpass.h"
#include "log.h"
#include "proc.h"
#include "reply.h"
#include "request.h"
#include "stats.h"
#include "status.h"
#include "worker.h"

#define LOOKS_MAX	64	/* at one head, then it rests between looks */
#define REST_MS		10	/* and twice as long while nothing comes */
#define REST_MAX_MS	100
#define LINGER_IDLE_MS	2000
#define LINGER_MS	5000
#define LINGER_BYTES	(256 * 1024)
#define SENDS_MAX	3	/* of one hand-off */

static struct config *config;
static bool edges;		/* an arrival is reported once */
static char *scratch;		/* a NUL byte, then a head */
static size_t scratch_size;	/* but for that byte */
static char *normal;		/* form of a request path */

bool
conn_open(struct config *c, uint32_t max, uint32_t first_id, uint32_t last_id,
    bool once)
{
	config = c;
	edges = once;
	scratch_size = c->limits.head;
	scratch = calloc(1, scratch_size + 1);
	normal = malloc(scratch_size + 1);
	return scratch != NULL && normal != NULL &&
	    slot_open(max, backend_lists(c), first_id) &&
	    backend_open(c) && status_open(c) && event_open(c, last_id);
}

void
conn_release(void)
{
	slot_release();
	backend_release();
	status_release();
	event_release();
	free(scratch);
	free(normal);
	scratch = normal = NULL;
}

static struct config_target *
target_of(const struct conn *c)
{
	return &config->targets[c->route];
}

/* It has been given back, and has not said a word since. */
static bool
is_kept(const struct conn *c)
{
	return c->returned && c->u.head.scan.at == 0;
}

static uint32_t
head_deadline(const struct conn *c)
{
	return c->begun + (is_kept(c) ? config->keepalive_ms :
	    config->head_ms);
}

/* ---- the head ---- */

/* Peek at what the client has sent, into the scratch buffer. */
static ssize_t
peek(const struct conn *c)
{
	ssize_t n;

	do {
		n = recv(c->fd, scratch + 1, scratch_size,
		    MSG_PEEK | MSG_DONTWAIT);
	} while (n == -1 && errno == EINTR);
	return n;
}

/* The same for a line of the log, if there is to be one.  Its length. */
static size_t
peek_line(const struct conn *c)
{
	ssize_t n = event_wants_line() ? peek(c) : 0;

	return n > 0 ? (size_t)n : 0;
}

/* ---- ends, and answers of our own ---- */

/* The client went away; nobody is there to be told.  len bytes of its head are
   in the scratch buffer. */
static enum conn_want
gone(const struct conn *c, size_t len)
{
	const struct event e = { .client = c, .line = scratch + 1,
	    .len = len };
	bool silent = (c->state == CONN_HEAD || c->state == CONN_REST) &&
	    c->u.head.scan.at == 0;

	event(silent ? EVENT_SILENT : EVENT_GONE, &e);
	return CONN_CLOSE;
}

/*
 * Once a byte of the head is out, neither a status nor an empty body may look
 * like an answer.
 */
static enum conn_want
reset(struct conn *c, const char *why, int error, size_t line)
{
	const struct event e = { .client = c, .target = target_of(c),
	    .line = scratch + 1, .len = line, .why = why, .error = error };

	event(EVENT_RESET, &e);
	c->reset = true;
	return CONN_CLOSE;
}

/* Of a client, or of the backend that it was handed off to. */
static enum conn_want
linger(struct conn *c)
{
	return reply_drain(c->state == CONN_PASSED ? c->backend : c->fd,
	    scratch + 1, scratch_size, &c->u.linger.drained, LINGER_BYTES) ?
	    CONN_READ : CONN_CLOSE;
}

/* Write what is left of the answer: a text of reply's, or the status page. */
static enum conn_want
write_reply(struct conn *c)
{
	enum flush_result result;
	const char *page;
	size_t len;

	if (c->page) {
		page = status_page(c->u.out.wall, c->head_only, &len);
		if (page == NULL)
			return CONN_CLOSE;	/* its length says so */
		result = flush_bytes(c->fd, page, len, &c->u.out.offset, 0);
	} else {
		result = reply_write(c->fd, c->status, c->head_only,
		    &config->own, c->u.out.wall, &c->u.out.offset);
	}
	if (result != FLUSH_DONE)
		return result == FLUSH_AGAIN ? CONN_WRITE : CONN_CLOSE;
	/* Ours alone still: no other process has this socket. */
	shutdown(c->fd, SHUT_WR);
	c->state = CONN_LINGER;
	c->u.linger.drained = 0;
	c->u.linger.end = clock_ms() + LINGER_MS;
	return linger(c);
}

/* Answer; the event is all that is known. */
static enum conn_want
answer(struct conn *c, struct event *e)
{
	e->client = c;
	e->line = scratch + 1;
	c->state = CONN_REPLY;
	c->status = (uint16_t)e->status;
	c->u.out.offset = 0;
	c->u.out.wall = clock_wall();
	event(EVENT_ANSWERED, e);
	return write_reply(c);
}

/* The same for a request of which len bytes are in the scratch buffer. */
static enum conn_want
refuse(struct conn *c, int status, size_t len, const struct config_target *t)
{
	struct event e = { .status = status, .len = len, .target = t };

	return answer(c, &e);
}

/*
 * The answer that goes out now, or not at all: there is no slot to wait in.
 * What the client has sent is read before, so that closing is no reset.
 */
static void
last_word(struct conn *c, int status)
{
	const struct event e = { .client = c, .line = scratch + 1,
	    .len = peek_line(c), .status = status };
	uint32_t offset = 0, before, drained = 0, wall = clock_wall();
	enum flush_result result;

	event(EVENT_ANSWERED, &e);
	reply_drain(c->fd, scratch + 1, scratch_size, &drained, LINGER_BYTES);
	do {
		before = offset;
		result = reply_write(c->fd, status, c->head_only,
		    &config->own, wall, &offset);
	} while (result == FLUSH_AGAIN && offset != before);
}

static enum conn_want
answer_status(struct conn *c, const struct request *r)
{
	struct status_view view = { .config = config,
	    .max_connections = slot_total() };
	const struct event e = { .client = c, .status = 200,
	    .target = r->target, .line = scratch + 1, .len = r->len };

	/* The lowest free number is always taken, so none is far above. */
	view.descriptors = proc_count_fds(2 * slot_total() + 1024);
	c->state = CONN_REPLY;
	slot_census(&view.waiting_head, &view.waiting_backend,
	    &view.waiting_client, &view.reading);
	view.waiting_next = slot_count(LIST_KEPT);
	c->page = true;
	event(EVENT_ANSWERED, &e);
	c->u.out.offset = 0;
	c->u.out.wall = status_snapshot(&view);
	return write_reply(c);
}

/* ---- towards the backend ---- */

/* Nothing has been written to the client, and no backend will take it. */
static enum conn_want
no_backend(struct conn *c, const struct sock_addr *addr,
    enum fdpass_state state, int error, const char *why, size_t line)
{
	const struct config_target *t = target_of(c);
	struct event e = { .target = t, .backend = addr, .len = line,
	    .why = why };

	/* A socket's name that refuses is a file of another kind. */
	e.error = state == FDPASS_BROKEN && error == ECONNREFUSED ? ENOTSOCK :
	    error;
	e.status = state == FDPASS_BROKEN || t->compat ? 500 : 503;
	return answer(c, &e);
}

/*
 * The backend of the list, or of none, does not take the client, with an errno
 * of fdpass_connect().  Nothing has been written yet: the client waits, or is
 * told.
 */
static enum conn_want
wait_or_answer(struct conn *c, const struct request *r, uint32_t list,
    enum fdpass_state state, int error)
{
	const struct config_target *t = target_of(c);
	bool first = !c->waited, patient;
	const char *why = NULL;

	if (first)
		c->since = clock_ms();
	c->waited = true;
	patient = list != SLOT_NO_LIST && clock_before(clock_ms(),
	    backend_deadline(list, t, c->since));
	if (patient && first && !backend_has_room(list, t))
		why = "too many wait for it";
	if (!patient || why != NULL)
		return no_backend(c, &r->addr, state, error, why, r->len);
	c->state = CONN_QUEUED;
	c->u.wait.list = list;
	return CONN_PARK;
}

static enum conn_want
flush_head(struct conn *c)
{
	const struct event e = { .client = c };
	const struct config_target *t = target_of(c);
	enum flush_result result = flush_write(t->flush, c->fd,
	    c->u.out.wall, &c->u.out.offset, t->hold);

	if (result != FLUSH_DONE)
		return result == FLUSH_AGAIN ? CONN_WRITE : gone(c, 0);
	event(EVENT_FLUSHED, &e);
	return CONN_PASS;
}

/*
 * Connect, unless the probe of its list has, and begin to write: nothing is
 * written before the backend's socket has taken the connection.
 */
static enum conn_want
connect_backend(struct conn *c, const struct request *r)
{
	const struct config_target *t = target_of(c);
	const struct event e = { .client = c };
	uint32_t list = backend_list(t, &r->addr);
	enum fdpass_state state;
	int error;

	if (t->workers && t->payload_head && r->len > WORKER_HEAD)
		return refuse(c, 431, r->len, t);
	if (c->backend == -1) {
		/* Those in front are first; but no verdict without a look. */
		if (list != SLOT_NO_LIST && slot_count(list) > 0 &&
		    clock_before(clock_ms(), backend_deadline(list, t,
		    c->waited ? c->since : clock_ms())))
			return wait_or_answer(c, r, list, backend_state(list),
			    backend_error(list));
		c->backend = backend_connect(t, &r->addr);
	}
	if (c->backend == -1) {
		error = errno;
		if (error == ENOENT && t->kind == CONFIG_DIRECTORY &&
		    !t->compat)
			return refuse(c, 404, r->len, t);
		state = fdpass_state(error, &r->addr);
		if (list != SLOT_NO_LIST)
			backend_learn(list, state, error);
		return wait_or_answer(c, r, list, state, error);
	}
	event(EVENT_CONNECTED, &e);
	c->state = CONN_FLUSH;
	c->head = (uint16_t)r->len;
	c->u.out.wall = clock_wall();
	c->u.out.offset = flush_start(t->flush, r->head.expect && !t->compat);
	return flush_head(c);
}

/* The head is whole. */
static enum conn_want
dispatch(struct conn *c, struct request *r)
{
	struct event e = { .client = c, .head = &r->head };
	bool queued = c->state == CONN_QUEUED;
	int status = 200;	/* of OPTIONS * */

	r->target = NULL;
	if (!queued)
		event(EVENT_HEAD, &e);
	/* A client of a unix socket has no host to name (RFC 9112 3.2). */
	if (r->head.no_host && (sock_peer(c->fd, &r->addr) == -1 ||
	    r->addr.u.sa.sa_family != AF_UNIX))
		status = 400;
	else if (!r->head.asterisk)
		status = request_route(config, r, normal, scratch_size);
	if (status != 0)
		return refuse(c, status, r->len, r->target);
	e.target = r->target;
	c->route = (uint32_t)(r->target - config->targets);
	if (e.target->kind == CONFIG_SOCKET ||
	    e.target->kind == CONFIG_DIRECTORY)
		e.backend = &r->addr;
	if (!queued)
		event(EVENT_ROUTE, &e);
	if (e.target->kind == CONFIG_STATUS)
		return answer_status(c, r);
	if (e.target->kind == CONFIG_READY)
		return refuse(c, backend_ready() ? 200 : 503, r->len,
		    r->target);
	return connect_backend(c, r);
}

/*
 * What came of a look at a head that is not whole, of which n bytes are there,
 * and seen were before.
 */
static enum conn_want
wait_for_head(struct conn *c, size_t n, size_t seen, unsigned int why)
{
	uint32_t drained = 0;

	if (why & CONN_LATE) {
		stats_get()->timeouts += !is_kept(c);
		return n > 0 ? refuse(c, 408, n, NULL) : gone(c, 0);
	}
	if (why & CONN_EVICT) {
		if (n > 0)
			last_word(c, 408);
		else
			gone(c, 0);
		return CONN_CLOSE;
	}
	if ((why & CONN_GONE) || (n == 0 && (why & CONN_END)))
		return gone(c, n);
	if (why & CONN_END) {
		if (c->u.head.scan.lines > 0)
			return refuse(c, 400, n, NULL);
		reply_drain(c->fd, scratch + 1, scratch_size, &drained,
		    LINGER_BYTES);
		return gone(c, 0);
	}
	if (n > seen)
		c->u.head.naps = 0;
	if (n > 0 && seen == 0 && c->returned && !c->left) {
		c->begun = clock_ms();
		sock_make_room(c->fd);
	}
	c->left = false;
	c->waited = false;
	c->state = CONN_HEAD;
	if (n == 0 || (edges && c->u.head.looks < LOOKS_MAX)) {
		c->u.head.looks += n > 0;
		return CONN_READ;
	}
	c->state = CONN_REST;
	c->arrived = false;
	return CONN_DOZE;
}

/* Look at what there is of the head. */
static enum conn_want
read_head(struct conn *c, unsigned int why)
{
	bool queued = c->state == CONN_QUEUED;
	struct http_scan scan = { 0, 0, 0 };
	struct request r;
	size_t seen;
	ssize_t n = peek(c);
	int len;

	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK) && !queued)
		return wait_for_head(c, 0, 0, why);
	if (n <= 0)
		return gone(c, 0);
	if (!queued)
		scan = c->u.head.scan;
	seen = scan.at;
	len = http_parse_head(scratch + 1, (size_t)n, &scan, &config->limits,
	    &r.head);
	c->head_only = http_parse_equal(r.head.method, "HEAD");
	if (len > 0 && r.head.method.p > scratch + 1) {
		/* Empty lines before a head are not known to all servers. */
		c->u.head.scan = (struct http_scan){ 0, 0, 0 };
		return recv(c->fd, scratch + 1, (size_t)(r.head.method.p -
		    scratch) - 1, MSG_DONTWAIT) > 0 ? read_head(c, why) :
		    gone(c, 0);
	}
	if (len > 0) {
		r.len = (size_t)len;
		return dispatch(c, &r);
	}
	if (len == HTTP_BAD)
		return refuse(c, r.head.status, (size_t)n, NULL);
	if (queued)		/* it was whole when it began to wait */
		return gone(c, (size_t)n);
	c->u.head.scan = scan;
	return wait_for_head(c, (size_t)n, seen, why);
}

/* ---- hand-off ---- */

/* The request again, whose head is in the scratch buffer: which socket of a
   folder it is for is known by nothing else. */
static void
find_again(struct conn *c, struct request *r)
{
	struct http_scan scan = { 0, 0, 0 };

	r->addr = target_of(c)->addr;
	r->len = c->head;
	if (target_of(c)->kind == CONFIG_DIRECTORY &&
	    http_parse_head(scratch + 1, c->head, &scan, &config->limits,
	    &r->head) > 0)
		request_route(config, r, normal, scratch_size);
}

/*
 * Send it; again over a new connection, or to another worker, if the backend
 * does not take it.  How many bytes went, or -1 with errno; no backend is
 * reached then.
 */
static ssize_t
send_client(struct conn *c, const struct sock_addr *addr, size_t len)
{
	const struct config_target *t = target_of(c);
	ssize_t n = -1;
	int tries;

	for (tries = 0; c->backend != -1; tries++) {
		n = backend_send(t, c->backend, c->fd, scratch, len);
		if (n > 0)
			break;
		backend_drop(t, c->backend);
		c->backend = tries < SENDS_MAX - 1 ?
		    backend_connect(t, addr) : -1;
	}
	if (t->workers)
		c->backend = -1;
	return n;
}

enum conn_want
conn_pass(struct conn *c)
{
	struct config_target *t = target_of(c);
	bool consumes = flush_consumes(t->flush);
	size_t len = t->payload_head ? (size_t)1 + c->head : 1;
	struct request r;
	struct event e = { .client = c, .target = t, .backend = &r.addr,
	    .line = scratch + 1, .len = c->head,
	    .status = flush_status(t->flush) };
	char text[SOCK_TEXT];
	uint32_t list;
	ssize_t n;

	/* Exactly the head, which has been peeked at whole. */
	if (consumes && recv(c->fd, scratch + 1, c->head, MSG_DONTWAIT) !=
	    (ssize_t)c->head)
		return reset(c, "its request is gone", 0, 0);
	if (!consumes && (t->payload_head || event_wants_line() ||
	    t->kind == CONFIG_DIRECTORY) && peek(c) < c->head)
		return gone(c, 0);
	if (t->compat)
		flush_as_apache(t->flush, c->fd, c->head);
	find_again(c, &r);
	n = send_client(c, &r.addr, len);
	if (n > 0) {
		/* The backend's.  Close, never shut down: that reaches it. */
		c->returned = false;
		event(EVENT_PASSED, &e);
		t->passed++;
		c->reset = (size_t)n < len;
		if (c->reset)
			log_error("%s: a payload was cut short", sock_path(
			    &r.addr, text, sizeof(text)));
		if (c->reset || c->backend == -1 || !fdpass_keeps())
			return CONN_CLOSE;
		/* Some receivers read to the end. */
		shutdown(c->backend, SHUT_WR);
		c->state = CONN_PASSED;
		c->u.linger.drained = 0;
		return linger(c);
	}
	e.error = errno;
	event(EVENT_FAILED, &e);
	list = backend_list(t, &r.addr);
	/* It was there a moment ago, and what sendmsg(2) says is no answer to
	   a connect: full, unless it is missing by now. */
	if (list != SLOT_NO_LIST)
		backend_failed(list, fdpass_state(e.error, &r.addr) ==
		    FDPASS_ABSENT ? FDPASS_ABSENT : FDPASS_FULL, e.error);
	if (consumes)
		return reset(c, fdpass_error(e.error), e.error, c->head);
	return wait_or_answer(c, &r, list, FDPASS_FULL, e.error);
}

/* ---- the machine ---- */

void
conn_start(struct conn *c, int fd, const struct sock_addr *peer,
    bool returned, const struct conn_left *left)
{
	const struct event e = { .client = c };

	*c = (struct conn){ .fd = fd, .backend = -1, .next = SLOT_NONE,
	    .prev = SLOT_NONE, .list = SLOT_NO_LIST, .state = CONN_HEAD,
	    .returned = returned, .begun = clock_ms() };
	event_peer(peer);
	if (left == NULL) {
		c->id = event_next_id();
		event(returned ? EVENT_RETURNED : EVENT_ACCEPTED, &e);
		return;
	}
	c->begun -= left->age;
	c->since = clock_ms() - left->waited;
	c->waited = left->waited > 0;
	c->left = true;		/* until the first look */
	c->id = left->id;
	if (returned)
		stats_get()->returned++;
	else
		stats_get()->accepted++;
}

/* Its wait for a backend is over, unless that is there by now. */
static enum conn_want
end_wait(struct conn *c)
{
	uint32_t list = c->list;

	c->backend = backend_probe(list);
	if (c->backend != -1)
		return read_head(c, CONN_PROBE);
	if (clock_before(clock_ms(), backend_deadline(list, target_of(c),
	    c->since)))
		return CONN_PARK;
	return no_backend(c, backend_addr(list), backend_state(list),
	    backend_error(list), NULL, peek_line(c));
}

enum conn_want
conn_advance(struct conn *c, unsigned int why)
{
	enum conn_want want;
	uint32_t offset;

	if (why & CONN_EVICT)
		stats_get()->evicted++;
	switch (c->state) {
	case CONN_REST:
		if (why == 0) {
			c->arrived = true;
			return CONN_SAME;
		}
		if ((why & CONN_WAKE) && edges && !c->arrived) {
			c->state = CONN_HEAD;
			return CONN_READ;
		}
		return read_head(c, why);
	case CONN_HEAD:
		return read_head(c, why);
	case CONN_QUEUED:
		if (why & CONN_GONE)
			return gone(c, 0);
		if (why & CONN_LATE)
			return end_wait(c);
		return why & CONN_PROBE ? read_head(c, why) : CONN_SAME;
	case CONN_FLUSH:
	case CONN_REPLY:
		/* A last look: there may be room, but too little to report. */
		offset = c->u.out.offset;
		want = c->state == CONN_FLUSH ? flush_head(c) : write_reply(c);
		if (!(why & CONN_LATE) || want != CONN_WRITE ||
		    c->u.out.offset != offset)
			return want;
		return c->state == CONN_REPLY ? CONN_CLOSE : reset(c,
		    "the client does not read", ETIMEDOUT, peek_line(c));
	case CONN_LINGER:
	case CONN_PASSED:
		return why & (CONN_LATE | CONN_EVICT) ? CONN_CLOSE : linger(c);
	default:
		/* A report of a client that left in this turn. */
		return CONN_SAME;
	}
}

void
conn_close(struct conn *c)
{
	/* A copy that a worker forgot would keep the client waiting. */
	if (c->returned && !c->reset)
		shutdown(c->fd, SHUT_RDWR);
	if (c->reset)
		sock_reset(c->fd);
	else
		sock_close(c->fd);
	if (c->backend != -1)
		backend_drop(target_of(c), c->backend);
	c->fd = c->backend = -1;
	if (slot_index(c) != -1)
		slot_free(c);
}

void
conn_refuse(struct conn *c)
{
	if (c->state == CONN_FLUSH)
		reset(c, "no room to wait", 0, peek_line(c));
	else if (c->state == CONN_HEAD && is_kept(c))
		gone(c, 0);
	else if (c->state < CONN_FLUSH)
		last_word(c, 503);
}

void
conn_settle(struct conn *c)
{
	uint32_t list = SLOT_NO_LIST, when = clock_ms() + config->flush_ms;
	uint32_t rest;

	switch (c->state) {
	case CONN_HEAD:
		list = is_kept(c) ? LIST_KEPT : LIST_HEAD;
		when = head_deadline(c);
		break;
	case CONN_REST:
		list = LIST_HEAD;
		rest = REST_MS << c->u.head.naps;
		if (rest < REST_MAX_MS)
			c->u.head.naps++;
		else
			rest = REST_MAX_MS;
		when = clock_ms() + rest;
		if (clock_before(head_deadline(c), when))
			when = head_deadline(c);
		break;
	case CONN_QUEUED:
		list = c->u.wait.list;
		when = backend_deadline(list, target_of(c), c->since);
		break;
	case CONN_LINGER:
		list = LIST_LINGER;
		when = clock_ms() + LINGER_IDLE_MS;
		if (clock_before(c->u.linger.end, when))
			when = c->u.linger.end;
		break;
	case CONN_PASSED:
		list = LIST_LINGER;
		break;
	default:
		break;
	}
	slot_deadline(c, when);
	if (c->list == list)
		return;
	slot_leave(c);
	if (list == SLOT_NO_LIST)
		return;
	slot_enter(c, list);
	if (c->state == CONN_QUEUED)
		backend_wait(list);
}

void
conn_hurry(const struct conn *c, uint32_t ms)
{
	if ((c->state == CONN_HEAD || c->state == CONN_REST) &&
	    c->u.head.scan.at == 0)
		slot_deadline(c, c->returned ? clock_ms() : c->begun + ms);
}

struct conn *
conn_due(uint32_t id, unsigned int *why)
{
	struct conn *c;
	uint32_t index;

	if (!slot_of_id(id, &index)) {
		c = slot_at(index);
		*why = c->state == CONN_REST &&
		    clock_before(clock_ms(), head_deadline(c)) ? CONN_WAKE :
		    CONN_LATE;
		return c;
	}
	/* A backend's turn: its first client is moved on if it is there, or if
	   no client of it need wait any longer. */
	c = slot_first(index);
	if (c == NULL)
		return NULL;
	c->backend = backend_probe(index);
	*why = CONN_PROBE;
	if (c->backend != -1)
		return c;
	*why = CONN_LATE;
	if (clock_before(clock_ms(), backend_deadline(index, target_of(c),
	    c->since)))
		return NULL;
	backend_try_now(index);
	return c;
}
