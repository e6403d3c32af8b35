/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "event.h"
#include "fdpass.h"
#include "log.h"
#include "reply.h"
#include "stats.h"
#include "text.h"

/* The address of a client that waits: of an AF_UNIX one, the family alone. */
union peer {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static const struct config *config;
static union peer *peers;	/* by slot; NULL: no line has them */
static struct sock_addr current;	/* of the client on the stack */
static uint32_t last_id;
static struct stats *counters;
static bool lines;		/* of the access log are wanted */

bool
event_open(const struct config *c, uint32_t first_id)
{
	config = c;
	last_id = first_id;
	counters = stats_get();
	lines = log_access_wanted();
	if (!event_wants_line())
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
	if (peers != NULL)
		memcpy(&peers[slot], &current.u, sizeof(*peers));
}

/* Asked for only if no line was to have it. */
static void
find_peer(const struct conn *c, struct sock_addr *addr)
{
	int64_t slot = slot_index(c);

	if (slot == -1) {
		*addr = current;
	} else if (peers != NULL) {
		memset(addr, 0, sizeof(*addr));
		memcpy(&addr->u, &peers[slot], sizeof(*peers));
	} else if (sock_peer(c->fd, addr) == -1) {
		memset(addr, 0, sizeof(*addr));
	}
}

bool
event_wants_line(void)
{
	return lines || log_wanted(LOG_L_INFO);
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

/*
 * What a connect, or a message to a backend, fails with, by its name: numbers
 * differ between machines.  Another one stays a number; none is none.
 */
#define ERROR(name)	{ name, #name }

static const char *
error_text(char dst[24], int error, const char *none)
{
	static const struct {
		int number;
		char name[16];
	} errors[] = {
		ERROR(EACCES), ERROR(EAGAIN), ERROR(EBADF), ERROR(EBUSY),
		ERROR(ECONNREFUSED), ERROR(ECONNRESET), ERROR(EINVAL),
		ERROR(EIO), ERROR(ELOOP), ERROR(EMFILE), ERROR(EMSGSIZE),
		ERROR(ENAMETOOLONG), ERROR(ENFILE), ERROR(ENOBUFS),
		ERROR(ENOENT), ERROR(ENOMEM), ERROR(ENOTCONN), ERROR(ENOTDIR),
		ERROR(ENOTSOCK), ERROR(EPERM), ERROR(EPIPE),
		ERROR(EPROTOTYPE), ERROR(ETIMEDOUT), ERROR(ETOOMANYREFS)
	};
	size_t i;

	if (error == 0)
		return none;
	for (i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (errors[i].number == error)
			return errors[i].name;
	return number_text(dst, error, 0);
}

/* The same in JSON. */
static const char *
json_error(char *dst, size_t size, int error)
{
	char text[24];

	text_format(dst, size, error == 0 ? "0" : "\"%s\"",
	    error_text(text, error, ""));
	return dst;
}

/* ---- the access log ---- */

/* What each kind is called, counts, and is worth a message of. */
#define NONE	SIZE_MAX
#define AT(member)	offsetof(struct stats, member)

static const struct {
	const char *name;	/* in JSON */
	size_t counter;		/* in struct stats, or NONE */
	enum log_level level;	/* of its message; LOG_L_COUNT: none */
} kinds[] = {
	[EVENT_ACCEPTED] = { "accepted", AT(accepted), LOG_L_COUNT },
	[EVENT_RETURNED] = { "returned", AT(returned), LOG_L_COUNT },
	[EVENT_HEAD] = { "head", NONE, LOG_L_COUNT },
	[EVENT_ROUTE] = { "route", NONE, LOG_L_COUNT },
	[EVENT_CONNECTED] = { "connected", NONE, LOG_L_COUNT },
	[EVENT_FLUSHED] = { "flushed", NONE, LOG_L_COUNT },
	[EVENT_FAILED] = { "error", NONE, LOG_L_INFO },
	[EVENT_PASSED] = { "passed", AT(passed), LOG_L_DEBUG },
	[EVENT_ANSWERED] = { "answered", NONE, LOG_L_INFO },
	[EVENT_RESET] = { "reset", AT(resets), LOG_L_ERROR },
	[EVENT_GONE] = { "gone", AT(gone), LOG_L_COUNT },
	[EVENT_SILENT] = { NULL, AT(gone), LOG_L_COUNT }
};

#undef AT

static void
write_json(enum event_kind kind, const struct event *e)
{
	char more[LOG_LINE] = "", text[SOCK_TEXT], a[256], b[400];
	const char *p;

	switch (kind) {
	case EVENT_ACCEPTED:
	case EVENT_RETURNED:
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
		text_format(more, sizeof(more), ",\"errno\":%s",
		    json_error(b, sizeof(b), e->error));
		break;
	default:
		text_format(more, sizeof(more), ",\"status\":%d,\"errno\":%s",
		    e->status, json_error(b, sizeof(b), e->error));
		break;
	}
	log_access("{\"id\":%" PRIu32 ",\"ms\":%" PRIu32 ",\"event\":\"%s\""
	    "%s}", e->client->id, clock_ms() - e->client->begun,
	    kinds[kind].name, more);
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
	    clock_ms() - e->client->begun, error_text(text[2], e->error, "-"));
}

/* ---- messages ---- */

static void
write_message(enum event_kind kind, const struct event *e)
{
	const char *why = e->why != NULL ? e->why : fdpass_error(e->error);
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

void
event(enum event_kind kind, const struct event *e)
{
	enum log_level level = kinds[kind].level;
	char *stats = (char *)counters;

	if (kinds[kind].counter != NONE)
		++*(uint64_t *)(void *)(stats + kinds[kind].counter);
	if (kind == EVENT_ANSWERED) {
		stats_answered(e->status);
		if (e->error != 0)
			level = LOG_L_ERROR;
	}
	if (level != LOG_L_COUNT && log_wanted(level))
		write_message(kind, e);
	if (!lines || kind == EVENT_SILENT)
		return;
	if (config->access_json)
		write_json(kind, e);
	else if (kind >= EVENT_PASSED)
		write_common(kind, e);
}
