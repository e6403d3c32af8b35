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

static void
add_type(struct text *t, const char *name, const char *type, const char *help)
{
	add(t, "# HELP fdproxy_%s %s\n# TYPE fdproxy_%s %s\n", name, help,
	    name, type);
}

static void
add_build(struct text *t)
{
	add_type(t, "build_info", "gauge", "What runs here.");
	add(t, "fdproxy_build_info{version=\"%s\",poller=\"%s\"} 1\n",
	    VERSION, poller_name());
	add(t, "# HELP process_start_time_seconds When it was started.\n"
	    "# TYPE process_start_time_seconds gauge\n"
	    "process_start_time_seconds %" PRIu32 "\n", clock_start());
}

static void
add_counters(struct text *t)
{
	const struct stats *s = stats_get();
	const struct {
		const char *name;
		const char *help;
		uint64_t n;
	} all[] = {
		{ "accepted", "Connections accepted.", s->accepted },
		{ "reset", "Clients reset, since their backend failed after "
		    "the response head.", s->resets },
		{ "gone", "Clients that left, or were closed without having "
		    "said anything.", s->gone },
		{ "head_timeouts", "Request heads that did not come in time.",
		    s->timeouts },
		{ "evicted", "Waiting clients that made room for others.",
		    s->evicted },
		{ "backend_retries", "Looks whether a backend is back.",
		    s->retries },
		{ "accept_pauses", "Times that accepting was not possible.",
		    s->paused },
		{ "log_lines_dropped", "Lines that a log did not take.",
		    log_dropped() }
	};
	char name[32];
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		text_format(name, sizeof(name), "%s_total", all[i].name);
		add_type(t, name, "counter", all[i].help);
		add(t, "fdproxy_%s %" PRIu64 "\n", name, all[i].n);
	}
	add_type(t, "reloads_total", "counter",
	    "Configurations read again, by result.");
	add(t, "fdproxy_reloads_total{result=\"ok\"} %" PRIu64 "\n"
	    "fdproxy_reloads_total{result=\"failed\"} %" PRIu64 "\n",
	    s->reloads, s->refused);
}

static void
add_answers(struct text *t)
{
	uint64_t n;
	unsigned int i;
	int status;

	add_type(t, "answered_total", "counter",
	    "Answers of its own, by status.");
	for (i = 0; (status = stats_answer(i, &n)) != 0; i++)
		add(t, "fdproxy_answered_total{status=\"%d\"} %" PRIu64 "\n",
		    status, n);
}

static void
add_gauges(struct text *t, const struct status_view *v)
{
	add_type(t, "waiting", "gauge", "Clients that wait, by for what.");
	add(t, "fdproxy_waiting{for=\"head\"} %" PRIu32 "\n"
	    "fdproxy_waiting{for=\"backend\"} %" PRIu32 "\n"
	    "fdproxy_waiting{for=\"client\"} %" PRIu32 "\n", v->waiting_head,
	    v->waiting_backend, v->waiting_client);
	add_type(t, "max_connections", "gauge", "How many clients may wait.");
	add(t, "fdproxy_max_connections %" PRIu32 "\n", v->max_connections);
	add_type(t, "open_descriptors", "gauge", "Descriptors in use.");
	add(t, "fdproxy_open_descriptors %" PRIu32 "\n", v->descriptors);
	add_type(t, "handoffs_total", "counter",
	    "Clients handed off, by route.");
}

/* A route that another one hides hands nothing off, and may be a double. */
static void
add_route(struct text *t, const struct config_target *target)
{
	const char *p;

	if (target->hidden || (target->kind != CONFIG_SOCKET &&
	    target->kind != CONFIG_DIRECTORY))
		return;
	add(t, "fdproxy_handoffs_total{route=\"");
	for (p = target->path; *p != '\0'; p++) {
		if (*p == '\n') {
			add(t, "\\n");
		} else if (*p < 0x20 || *p > 0x7e) {	/* not UTF-8, perhaps */
			add(t, "\\\\x%02x", (unsigned char)*p);
		} else {
			if (*p == '"' || *p == '\\')
				t->dst[t->len++] = '\\';
			t->dst[t->len++] = *p;
		}
	}
	add(t, "\"} %" PRIu64 "\n", target->passed);
}

bool
status_open(const struct config *c)
{
	uint32_t i;

	page_size = HEAD_MAX + FIXED_MAX;
	for (i = 0; i < c->ntargets; i++)
		page_size += ROUTE_MAX + 5 * strlen(c->targets[i].path);
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
	uint32_t i;

	if (v->reading && clock_ms() - made < AGE_MS)
		return number;
	add_build(&t);
	add_counters(&t);
	add_answers(&t);
	add_gauges(&t, v);
	for (i = 0; i < v->config->ntargets; i++)
		add_route(&t, &v->config->targets[i]);
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
