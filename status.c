/* See LICENSE for copyright and license details. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "poller.h"
#include "stats.h"
#include "status.h"
#include "text.h"
#include "worker.h"

#define AGE_MS		1000
#define HEAD_MAX	1024	/* of the response head */
#define FIXED_MAX	8192	/* of all lines but the routes' */
#define ROUTE_MAX	64	/* of a route's line, beside its path */

struct text {
	char *dst;
	size_t size;
	size_t len;
};

static char *page;		/* the head ends, and the body begins, at
				   HEAD_MAX */
static size_t page_size;
static size_t head_len, body_len;
static uint32_t number;
static uint32_t made;		/* when */

static void	add(struct text *t, const char *fmt, ...) TEXT_PRINTF(2, 3);

static void
add(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->len += text_vformat(t->dst + t->len, t->size - t->len, fmt,
	    ap);
	va_end(ap);
}

/* What begins a family; counters are those whose names say so. */
static void
add_family(struct text *t, const char *name, const char *help)
{
	size_t n = strlen(name);
	bool total = n > 6 && strcmp(name + n - 6, "_total") == 0;

	add(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
	    total ? "counter" : "gauge");
}

static void
add_numbers(struct text *t, const struct status_view *v)
{
	const struct stats *s = stats_get();
	const struct {
		const char *name;
		const char *help;	/* NULL: of the family before */
		const char *labels;
		uint64_t n;
	} all[] = {
		{ "process_start_time_seconds", "When it was started.", "",
		    clock_start() },
		{ "fdproxy_accepted_total", "Connections accepted.", "",
		    s->accepted },
		{ "fdproxy_returned_total", "Connections given back by "
		    "workers for their next request.", "", s->returned },
		{ "fdproxy_reset_total", "Clients reset, since their backend "
		    "failed after the response head.", "", s->resets },
		{ "fdproxy_gone_total", "Clients that left, or were closed "
		    "without having said anything.", "", s->gone },
		{ "fdproxy_head_timeouts_total", "Request heads that did not "
		    "come in time.", "", s->timeouts },
		{ "fdproxy_evicted_total", "Waiting clients that made room "
		    "for others.", "", s->evicted },
		{ "fdproxy_backend_retries_total", "Looks whether a backend "
		    "is back.", "", s->retries },
		{ "fdproxy_accept_pauses_total", "Times that accepting was "
		    "not possible.", "", s->paused },
		{ "fdproxy_log_lines_dropped_total", "Lines that a log did "
		    "not take.", "", log_dropped() },
		{ "fdproxy_reloads_total", "Renewals, by result.",
		    "{result=\"ok\"}", s->reloads },
		{ "fdproxy_reloads_total", NULL, "{result=\"failed\"}",
		    s->refused },
		{ "fdproxy_waiting", "Clients that wait, by for what.",
		    "{for=\"head\"}", v->waiting_head },
		{ "fdproxy_waiting", NULL, "{for=\"next\"}",
		    v->waiting_next },
		{ "fdproxy_waiting", NULL, "{for=\"backend\"}",
		    v->waiting_backend },
		{ "fdproxy_waiting", NULL, "{for=\"client\"}",
		    v->waiting_client },
		{ "fdproxy_max_connections", "How many clients may wait.", "",
		    v->max_connections },
		{ "fdproxy_open_descriptors", "Descriptors in use.", "",
		    v->descriptors }
	};
	unsigned int i;

	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (all[i].help != NULL)
			add_family(t, all[i].name, all[i].help);
		add(t, "%s%s %" PRIu64 "\n", all[i].name, all[i].labels,
		    all[i].n);
	}
}

static void
add_answers(struct text *t)
{
	unsigned int i;
	uint64_t n;
	int status;

	add_family(t, "fdproxy_answered_total",
	    "Answers of its own, by status.");
	for (i = 0; (status = stats_answer(i, &n)) != 0; i++)
		add(t, "fdproxy_answered_total{status=\"%d\"} %" PRIu64 "\n",
		    status, n);
}

/* A line of a route's: what is counted, with its path as the label. */
static void
add_route(struct text *t, const char *name, const struct config_target *target,
    uint64_t n)
{
	const char *p;

	add(t, "%s{route=\"", name);
	for (p = target->path; *p != '\0'; p++) {
		/* As it is read: \xHH is a byte that is not UTF-8, perhaps,
		   and a backslash is two; each of them is written as two. */
		if (*p == '\n') {
			add(t, "\\n");
		} else if (*p < 0x20 || *p > 0x7e) {
			add(t, "\\\\x%02x", (unsigned char)*p);
		} else if (*p == '\\') {
			add(t, "\\\\\\\\");
		} else {
			if (*p == '"')
				t->dst[t->len++] = '\\';
			t->dst[t->len++] = *p;
		}
	}
	add(t, "\"} %" PRIu64 "\n", n);
}

/*
 * Of each route.  One that another one hides hands nothing off, and may be a
 * double.
 */
static void
add_routes(struct text *t, const struct config *c)
{
	static const struct {
		const char *name;
		const char *help;
	} families[] = {
		{ "fdproxy_handoffs_total", "Clients handed off, by route." },
		{ "fdproxy_workers", "Workers that take clients, by route." },
		{ "fdproxy_promises", "Clients that workers have asked for "
		    "and not been sent, by route." }
	};
	const struct config_target *target;
	uint32_t i, f, left;
	uint64_t n;

	for (f = 0; f < (c->has_workers ? 3 : 1); f++) {
		add_family(t, families[f].name, families[f].help);
		for (i = 0; i < c->ntargets; i++) {
			target = &c->targets[i];
			if (target->hidden || (target->kind != CONFIG_SOCKET &&
			    target->kind != CONFIG_DIRECTORY) ||
			    (f > 0 && !target->workers))
				continue;
			n = f == 0 ? target->passed :
			    worker_count(target->queue, &left);
			add_route(t, families[f].name, target, f == 2 ? left :
			    n);
		}
	}
}

bool
status_open(const struct config *c)
{
	uint32_t i;

	page_size = HEAD_MAX + FIXED_MAX;
	for (i = 0; i < c->ntargets; i++)
		page_size += (c->targets[i].workers ? 3 : 1) *
		    (ROUTE_MAX + 5 * strlen(c->targets[i].path));
	page = malloc(page_size);
	return page != NULL;
}

void
status_release(void)
{
	free(page);
	page = NULL;
	number = 0;
}

uint32_t
status_snapshot(const struct status_view *v)
{
	struct text t = { page + HEAD_MAX, page_size - HEAD_MAX, 0 };
	char head[HEAD_MAX], fields[FLUSH_FIELDS];

	if (v->reading && clock_ms() - made < AGE_MS)
		return number;
	add_family(&t, "fdproxy_build_info", "What runs here.");
	add(&t, "fdproxy_build_info{version=\"%s\",poller=\"%s\"} 1\n",
	    VERSION, poller_name());
	add_numbers(&t, v);
	add_answers(&t);
	add_routes(&t, v->config);
	body_len = t.len;
	head_len = text_format(head, sizeof(head), "HTTP/1.1 200 OK\r\n%s"
	    "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
	    "Content-Length: %zu\r\n"
	    "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
	    flush_fields(fields, &v->config->own, clock_wall()), body_len);
	memcpy(page + HEAD_MAX - head_len, head, head_len);
	made = clock_ms();
	return ++number;
}

const char *
status_page(uint32_t n, bool head_only, size_t *len)
{
	*len = head_len + (head_only ? 0 : body_len);
	return n == number ? page + HEAD_MAX - head_len : NULL;
}

void
status_message(uint32_t waiting)
{
	const struct stats *s = stats_get();
	uint64_t answered = 0, n;
	unsigned int i;

	for (i = 0; stats_answer(i, &n) != 0; i++)
		answered += n;
	log_notice("accepted %" PRIu64 ", passed %" PRIu64 ", answered %"
	    PRIu64 ", resets %" PRIu64 ", gone %" PRIu64 ", head timeouts %"
	    PRIu64 ", evicted %" PRIu64 ", retries %" PRIu64 ", pauses %"
	    PRIu64 ", returned %" PRIu64 ", waiting %u",
	    s->accepted, s->passed, answered, s->resets, s->gone, s->timeouts,
	    s->evicted, s->retries, s->paused, s->returned, waiting);
}
