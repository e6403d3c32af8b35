/* See LICENSE for copyright and license details. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "event.h"
#include "log.h"
#include "reply.h"
#include "stats.h"
#include "text.h"

/* The address of a client that waits. */
struct peer {
	unsigned char host[16];
	uint32_t scope;		/* of an IPv6 one */
	uint16_t port;		/* in network order */
	uint16_t family;
};

static const struct config *config;
static struct peer *peers;	/* by slot; NULL: no line has them */
static struct sock_addr current;	/* of the client on the stack */
static uint32_t last_id;

bool
event_open(const struct config *c, uint32_t first_id)
{
	config = c;
	last_id = first_id;
	if (!log_access_wanted() && !log_wanted(LOG_L_INFO))
		return true;
	peers = calloc(slot_total(), sizeof(*peers));
	return peers != NULL;
}

void
event_release(void)
{
	free(peers);
	peers = NULL;
}

uint32_t
event_last_id(void)
{
	return last_id;
}

uint32_t
event_next_id(void)
{
	return ++last_id;
}

void
event_peer(const struct sock_addr *peer)
{
	current = *peer;
}

void
event_peer_keep(uint32_t slot)
{
	struct peer *p;

	if (peers == NULL)
		return;
	p = &peers[slot];
	p->family = current.u.sa.sa_family;
	if (p->family == AF_INET) {
		memcpy(p->host, &current.u.in.sin_addr, 4);
		p->port = current.u.in.sin_port;
	} else if (p->family == AF_INET6) {
		memcpy(p->host, &current.u.in6.sin6_addr, 16);
		p->port = current.u.in6.sin6_port;
		p->scope = current.u.in6.sin6_scope_id;
	}
}

/* Asked for only if no line was to have it. */
static void
find_peer(const struct conn *c, struct sock_addr *addr)
{
	int64_t slot = slot_index(c);
	const struct peer *p;

	*addr = current;
	if (slot == -1)
		return;
	memset(addr, 0, sizeof(*addr));
	if (peers == NULL) {
		sock_peer(c->fd, addr);
		return;
	}
	p = &peers[slot];
	addr->u.sa.sa_family = (sa_family_t)p->family;
	if (p->family == AF_INET) {
		addr->len = sizeof(addr->u.in);
		memcpy(&addr->u.in.sin_addr, p->host, 4);
		addr->u.in.sin_port = p->port;
	} else if (p->family == AF_INET6) {
		addr->len = sizeof(addr->u.in6);
		memcpy(&addr->u.in6.sin6_addr, p->host, 16);
		addr->u.in6.sin6_port = p->port;
		addr->u.in6.sin6_scope_id = p->scope;
	}
}

bool
event_wants_line(void)
{
	return log_access_wanted() || log_wanted(LOG_L_INFO);
}

/* ---- texts ---- */

static const char *
client_text(const struct conn *c, char dst[SOCK_TEXT])
{
	struct sock_addr addr;

	find_peer(c, &addr);
	return addr.u.sa.sa_family == AF_UNSPEC ? "a client" :
	    sock_text(&addr, dst, SOCK_TEXT);
}

/* The backend's socket; or the folder, if which one in it is not known. */
static const char *
backend_text(const struct event *e, char dst[SOCK_TEXT])
{
	return sock_path(e->backend != NULL ? e->backend : &e->target->addr,
	    dst, SOCK_TEXT);
}

/* The request line, quoted; "-" if there is none. */
static const char *
line_text(const struct event *e, char *dst, size_t size)
{
	const char *lf;
	size_t len = e->len;

	lf = len == 0 ? NULL : memchr(e->line, '\n', len);
	if (lf != NULL)
		len = (size_t)(lf - e->line);
	while (len > 0 && e->line[len - 1] == '\r')
		len--;
	return len == 0 ? "-" : log_quote(dst, size, e->line, len);
}

static const char *
number_text(char dst[24], int64_t n, int64_t unknown)
{
	if (n == unknown)
		return "-";
	text_format(dst, 24, "%" PRId64, n);
	return dst;
}

/* ---- the access log ---- */

static const char *const names[] = {
	[EVENT_ACCEPTED] = "accepted",
	[EVENT_HEAD] = "head",
	[EVENT_ROUTE] = "route",
	[EVENT_CONNECTED] = "connected",
	[EVENT_FLUSHED] = "flushed",
	[EVENT_FAILED] = "error",
	[EVENT_PASSED] = "passed",
	[EVENT_ANSWERED] = "answered",
	[EVENT_RESET] = "reset",
	[EVENT_GONE] = "gone"
};

static void
write_json(enum event_kind kind, const struct event *e)
{
	char more[LOG_LINE] = "", text[SOCK_TEXT], a[256], b[400];
	const char *p;

	switch (kind) {
	case EVENT_ACCEPTED:
		p = client_text(e->client, text);
		text_format(more, sizeof(more), ",\"client\":\"%s\"",
		    log_quote_json(a, sizeof(a), p, strlen(p)));
		break;
	case EVENT_HEAD:
		text_format(more, sizeof(more),
		    ",\"method\":\"%s\",\"target\":\"%s\"",
		    log_quote_json(a, 64, e->head->method.p,
		    e->head->method.len), log_quote_json(b, sizeof(b),
		    e->head->target.p, e->head->target.len));
		break;
	case EVENT_ROUTE:
		p = backend_text(e, text);
		text_format(more, sizeof(more),
		    ",\"route\":\"%s\",\"backend\":\"%s\"",
		    log_quote_json(a, sizeof(a), e->target->path,
		    strlen(e->target->path)), log_quote_json(b, 256, p,
		    strlen(p)));
		break;
	case EVENT_CONNECTED:
	case EVENT_FLUSHED:
		break;
	case EVENT_FAILED:
		text_format(more, sizeof(more), ",\"errno\":%d", e->error);
		break;
	default:
		text_format(more, sizeof(more), ",\"status\":%d,\"errno\":%d",
		    e->status, e->error);
		break;
	}
	log_access("{\"id\":%" PRIu32 ",\"ms\":%" PRIu32 ",\"event\":\"%s\""
	    "%s}", e->client->id, clock_ms() - e->client->begun, names[kind],
	    more);
}

/* In the common format, with what a hand-off has besides. */
static void
write_common(enum event_kind kind, const struct event *e)
{
	const char *backend = "-";
	char host[SOCK_TEXT] = "-", line[512], route[128] = "-", to[128];
	char text[3][24], path[SOCK_TEXT];
	struct sock_addr peer;
	int64_t bytes = -1;

	if (kind == EVENT_ANSWERED && !e->client->page)
		bytes = e->client->head_only ? 0 :
		    (int64_t)reply_length(e->status);
	find_peer(e->client, &peer);
	if (peer.u.sa.sa_family != AF_UNSPEC)
		sock_host(&peer, host, sizeof(host));
	if (e->target != NULL) {
		log_quote(route, sizeof(route), e->target->path,
		    strlen(e->target->path));
		backend = backend_text(e, path);
		backend = *backend == '\0' ? "-" : log_quote(to, sizeof(to),
		    backend, strlen(backend));
	}
	log_access("%s - - [%s] \"%s\" %s %s route=\"%s\" "
	    "backend=\"%s\" ms=%" PRIu32 " errno=%s",
	    /* An IPv4 client of an IPv6 socket. */
	    strncmp(host, "::ffff:", 7) == 0 ? host + 7 : host,
	    clock_log(clock_wall()), line_text(e, line, sizeof(line)),
	    number_text(text[0], e->status, 0),
	    number_text(text[1], bytes, -1), route, backend,
	    clock_ms() - e->client->begun, number_text(text[2], e->error, 0));
}

/* ---- counters and messages ---- */

static void
count(enum event_kind kind, const struct event *e)
{
	struct stats *s = stats_get();

	switch (kind) {
	case EVENT_ACCEPTED:
		s->accepted++;
		break;
	case EVENT_PASSED:
		s->passed++;
		break;
	case EVENT_ANSWERED:
		stats_answered(e->status);
		break;
	case EVENT_RESET:
		s->resets++;
		break;
	case EVENT_GONE:
	case EVENT_SILENT:
		s->gone++;
		break;
	default:
		break;
	}
}

static void
write_message(enum event_kind kind, const struct event *e)
{
	const char *why = e->why != NULL ? e->why : strerror(e->error);
	char client[SOCK_TEXT], to[SOCK_TEXT], line[256];

	switch (kind) {
	case EVENT_FAILED:
		log_info("cannot pass to %s: %s", backend_text(e, to), why);
		break;
	case EVENT_PASSED:
		log_debug("%s: passed to %s", client_text(e->client, client),
		    backend_text(e, to));
		break;
	case EVENT_ANSWERED:
		if (e->error != 0)
			log_error("%s: cannot connect to %s: %s",
			    client_text(e->client, client),
			    backend_text(e, to), why);
		else if (e->status != 200)
			log_info("%s: \"%s\": %d",
			    client_text(e->client, client),
			    line_text(e, line, sizeof(line)), e->status);
		break;
	case EVENT_RESET:
		log_error("%s: reset after its head was sent, for %s: %s",
		    client_text(e->client, client), backend_text(e, to), why);
		break;
	default:
		break;
	}
}

/* The level of the message of a kind, if it has one. */
static bool
has_message(enum event_kind kind, const struct event *e)
{
	switch (kind) {
	case EVENT_PASSED:
		return log_wanted(LOG_L_DEBUG);
	case EVENT_RESET:
		return true;
	case EVENT_ANSWERED:
	case EVENT_FAILED:
		return e->error != 0 || log_wanted(LOG_L_INFO);
	default:
		return false;
	}
}

void
event(enum event_kind kind, const struct event *e)
{
	count(kind, e);
	if (has_message(kind, e))
		write_message(kind, e);
	if (kind == EVENT_SILENT || !log_access_wanted())
		return;
	if (config->access_json)
		write_json(kind, e);
	else if (kind >= EVENT_PASSED)
		write_common(kind, e);
}
