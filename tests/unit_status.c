/* See LICENSE for copyright and license details. */
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>

#include "clock.h"
#include "log.h"
#include "poller.h"
#include "stats.h"
#include "status.h"
#include "unit.h"

#define PAGE	((size_t)128 * 1024)
#define LINES	4096

static struct config *config;
static struct status_view view;
static char page[PAGE];		/* the last one: its head, then its text */
static const char *body;

static void
report(const char *line)
{
	ck_abort_msg("%s", line);
}

static void
setup(void)
{
	log_level(LOG_L_ERROR);
	clock_update();
	memset(stats_get(), 0, sizeof(*stats_get()));
	config = config_new(report);
	ck_assert(config != NULL);
	config_listen(config, "0");
	memset(&view, 0, sizeof(view));
	view.config = config;
}

static void
teardown(void)
{
	status_release();
	config_free(config);
	config = NULL;
}

static void
make_page(void)
{
	const char *text;
	size_t len;

	status_release();
	ck_assert(status_open(config));
	text = status_page(status_snapshot(&view), false, &len);
	ck_assert(text != NULL);
	ck_assert_uint_lt(len, sizeof(page));
	memcpy(page, text, len);
	page[len] = '\0';
	ck_assert_uint_eq(strlen(page), len);
	body = strstr(page, "\r\n\r\n");
	ck_assert(body != NULL);
	body += 4;
	ck_assert(strchr(body, '\r') == NULL);
}

static bool
is_name(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	    (!first && c >= '0' && c <= '9');
}

/* A name at p; where it ends. */
static const char *
skip_name(const char *p)
{
	MUST_MSG(is_name(*p, true), "no name: %.40s", p);
	while (is_name(*p, false))
		p++;
	return p;
}

/* A string in quotes: only these escapes, and no byte beyond ASCII. */
static const char *
skip_quoted(const char *p)
{
	MUST_MSG(*p == '"', "no quote: %.40s", p);
	for (p++; *p != '"'; p++) {
		MUST_MSG(*p >= 0x20 && *p < 0x7f, "byte %d", *p);
		if (*p != '\\')
			continue;
		p++;
		MUST_MSG(*p == '\\' || *p == '"' || *p == 'n', "escape %c",
		    *p);
	}
	return p + 1;
}

static const char *
skip_labels(const char *p)
{
	do {
		p = skip_name(p + 1);
		MUST_MSG(*p == '=', "no value: %.40s", p);
		p = skip_quoted(p + 1);
	} while (*p == ',');
	MUST_MSG(*p == '}', "no end: %.40s", p);
	return p + 1;
}

/* What has been read: families by their names, samples with labels. */
static struct {
	const char *p;
	size_t len;
} names[LINES];
static int nnames;

static void
must_be_new(const char *p, size_t len)
{
	int i;

	MUST(nnames < LINES);
	for (i = 0; i < nnames; i++)
		MUST_MSG(names[i].len != len || memcmp(names[i].p, p, len) !=
		    0, "twice: %.*s", (int)len, p);
	names[nnames].p = p;
	names[nnames++].len = len;
}

/* "# HELP name text" and "# TYPE name kind"; where the samples begin. */
static const char *
skip_family(const char *line, const char **name, size_t *len, bool *counter)
{
	const char *p = line;
	char expected[128];
	int n;

	MUST_MSG(strncmp(p, "# HELP ", 7) == 0, "no help: %.40s", p);
	*name = p += 7;
	p = skip_name(p);
	*len = (size_t)(p - *name);
	must_be_new(line, 7 + *len);
	MUST(*p == ' ');
	for (p++; *p != '\n'; p++)
		MUST_MSG(*p >= 0x20 && *p < 0x7f && *p != '\\', "%.40s", p);
	p++;
	*counter = memcmp(*name + *len - 6, "_total", 6) == 0;
	n = snprintf(expected, sizeof(expected), "# TYPE %.*s %s\n",
	    (int)*len, *name, *counter ? "counter" : "gauge");
	MUST_MSG(strncmp(p, expected, (size_t)n) == 0, "no type: %.60s", p);
	return p + n;
}

/*
 * The text format 0.0.4, as strictly as it can be read: each family in one
 * piece behind its help and its type, no sample twice, whole numbers.  Returns
 * how many samples there are.
 */
static int
must_parse(void)
{
	const char *p = body, *name = "", *line;
	size_t len = 0;
	bool counter;
	int samples = 0;

	nnames = 0;
	while (*p != '\0') {
		if (*p == '#') {
			p = skip_family(p, &name, &len, &counter);
			continue;
		}
		line = p;
		p = skip_name(p);
		MUST_MSG((size_t)(p - line) == len &&
		    memcmp(line, name, len) == 0, "stray: %.60s", line);
		if (*p == '{')
			p = skip_labels(p);
		must_be_new(line, (size_t)(p - line));
		MUST(*p++ == ' ');
		MUST(*p >= '0' && *p <= '9');
		p += strspn(p, "0123456789");
		MUST_MSG(*p == '\n', "no end: %.60s", line);
		p++;
		samples++;
	}
	return samples;
}

/* The value behind a name with its labels; or "none". */
static const char *
value(const char *name)
{
	static char text[32];
	size_t n = strlen(name);
	const char *p;

	for (p = body; *p != '\0'; p = strchr(p, '\n') + 1) {
		if (strncmp(p, name, n) != 0 || p[n] != ' ')
			continue;
		snprintf(text, sizeof(text), "%.*s",
		    (int)strcspn(p + n + 1, "\n"), p + n + 1);
		return text;
	}
	return "none";
}

TEST(head)
{
	static const char *const rows[][2] = {
		{ "Full", "Server: fdproxy/" VERSION "\r\n" },
		{ "Prod", "Server: fdproxy\r\n" },
		{ "None", "" }
	};
	char expected[512], text[64];
	int i;

	for (i = 0; i < COUNT(rows); i++) {
		snprintf(text, sizeof(text), "ServerTokens %s", rows[i][0]);
		config_directive(config, text);
		make_page();
		snprintf(expected, sizeof(expected), "HTTP/1.1 200 OK\r\n"
		    "Date: %s\r\n%sContent-Type: text/plain; version=0.0.4; "
		    "charset=utf-8\r\nContent-Length: %zu\r\n"
		    "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
		    clock_date(clock_wall()), rows[i][1], strlen(body));
		ck_assert_uint_eq((size_t)(body - page), strlen(expected));
		ck_assert(strncmp(page, expected, strlen(expected)) == 0);
	}
}

static const char *
handoffs(const char *route)
{
	char name[128];

	snprintf(name, sizeof(name), "fdproxy_handoffs_total{route=\"%s\"}",
	    route);
	return value(name);
}

/* Each number in its place, none twice. */
TEST(counters)
{
	static const char *const expected[][2] = {
		{ "fdproxy_accepted_total", "1001" },
		{ "fdproxy_reset_total", "1003" },
		{ "fdproxy_gone_total", "1004" },
		{ "fdproxy_head_timeouts_total", "1005" },
		{ "fdproxy_evicted_total", "1006" },
		{ "fdproxy_backend_retries_total", "1007" },
		{ "fdproxy_accept_pauses_total", "1008" },
		{ "fdproxy_reloads_total{result=\"ok\"}", "1009" },
		{ "fdproxy_reloads_total{result=\"failed\"}",
		    "18446744073709551615" },
		{ "fdproxy_log_lines_dropped_total", "0" },
		{ "fdproxy_waiting{for=\"head\"}", "2001" },
		{ "fdproxy_waiting{for=\"backend\"}", "2002" },
		{ "fdproxy_waiting{for=\"client\"}", "2003" },
		{ "fdproxy_max_connections", "2004" },
		{ "fdproxy_open_descriptors", "4294967295" },
		{ "fdproxy_handoffs_total{route=\"/a\"}", "3001" },
		{ "fdproxy_handoffs_total{route=\"/\"}",
		    "18446744073709551614" }
	};
	struct stats *s = stats_get();
	char text[32];
	int i;

	s->accepted = 1001;
	s->passed = 1002;
	s->resets = 1003;
	s->gone = 1004;
	s->timeouts = 1005;
	s->evicted = 1006;
	s->retries = 1007;
	s->paused = 1008;
	s->reloads = 1009;
	s->refused = UINT64_MAX;
	view.waiting_head = 2001;
	view.waiting_backend = 2002;
	view.waiting_client = 2003;
	view.max_connections = 2004;
	view.descriptors = UINT32_MAX;
	config_route(config, "/a=/s");
	config_route(config, "/=/d/");
	ck_assert(config_finish(config));
	config->targets[0].passed = 3001;
	config->targets[1].passed = UINT64_MAX - 1;
	make_page();
	must_parse();
	for (i = 0; i < COUNT(expected); i++)
		ck_assert_msg(strcmp(value(expected[i][0]), expected[i][1])
		    == 0, "%s: %s", expected[i][0], value(expected[i][0]));
	snprintf(text, sizeof(text), "%" PRIu32, clock_start());
	ck_assert_str_eq(value("process_start_time_seconds"), text);
	ck_assert_str_eq(value("fdproxy_build_info{version=\"" VERSION
	    "\",poller=\"epoll\"}"), strcmp(poller_name(), "epoll") == 0 ?
	    "1" : "none");
	ck_assert(strstr(body, poller_name()) != NULL);
}

/* One sample for each status that there can be, from the start on. */
TEST(answers)
{
	static const int known[] = { 200, 400, 404, 405, 408, 414, 417, 431,
	    500, 503, 505 };
	char name[64], text[32];
	uint64_t n, before[COUNT(known)];
	unsigned int at;
	int i, status, found = 0;

	memset(before, 0, sizeof(before));
	for (at = 0; (status = stats_answer(at, &n)) != 0; at++) {
		for (i = 0; i < COUNT(known); i++) {
			if (known[i] != status)
				continue;
			before[i] = n;
			found++;
		}
	}
	ck_assert_int_eq(found, COUNT(known));
	ck_assert_uint_eq(at, COUNT(known));
	ck_assert_int_eq(stats_answer(at + 1, &n), 0);

	for (i = 0; i < COUNT(known); i++) {
		for (found = 0; found <= i; found++)
			stats_answered(known[i]);
		before[i] += (uint64_t)i + 1;
	}
	stats_answered(599);	/* counts as 500 */
	before[8]++;
	make_page();
	must_parse();
	for (i = 0; i < COUNT(known); i++) {
		snprintf(name, sizeof(name),
		    "fdproxy_answered_total{status=\"%d\"}", known[i]);
		snprintf(text, sizeof(text), "%" PRIu64, before[i]);
		ck_assert_str_eq(value(name), text);
	}
}

/* Without any route; and what there is then is there with many. */
TEST(families)
{
	static const char *const all[] = { "fdproxy_build_info",
	    "process_start_time_seconds", "fdproxy_accepted_total",
	    "fdproxy_returned_total",
	    "fdproxy_reset_total", "fdproxy_gone_total",
	    "fdproxy_head_timeouts_total", "fdproxy_evicted_total",
	    "fdproxy_backend_retries_total", "fdproxy_accept_pauses_total",
	    "fdproxy_log_lines_dropped_total", "fdproxy_reloads_total",
	    "fdproxy_answered_total", "fdproxy_waiting",
	    "fdproxy_max_connections", "fdproxy_open_descriptors",
	    "fdproxy_handoffs_total" };
	char text[64];
	const char *p;
	int i, n = 0, samples;

	ck_assert(config_finish(config));
	make_page();
	samples = must_parse();
	for (i = 0; i < COUNT(all); i++) {
		snprintf(text, sizeof(text), "# TYPE %s ", all[i]);
		ck_assert_msg(strstr(body, text) != NULL, "%s", text);
	}
	for (p = body; (p = strstr(p, "# TYPE ")) != NULL; p++)
		n++;
	ck_assert_int_eq(n, COUNT(all));

	for (i = 0; i < 500; i++) {
		snprintf(text, sizeof(text), "/r%d=/s%d", i, i % 7);
		config_route(config, text);
	}
	ck_assert(config_finish(config));
	make_page();
	ck_assert_int_eq(must_parse(), samples + 500);
	ck_assert_str_eq(handoffs("/r499"), "0");
}

/* Neither what hands nothing off, nor a path that was there already. */
TEST(routes_left_out)
{
	static const char *const routes[] = { "/a=/s", "/a=/t", "/a/b=/s",
	    "/no=!", "/status=status:", "/status=/s", "/c/=/f/", "/c=/s",
	    "/x=@n", "/c/d=/s", "/=/s", "/z=/s" };
	static const char *const seen[] = { "/a", "/c/", "/c", "/x", "/" };
	const char *p;
	uint32_t i;
	int n = 0;

	for (i = 0; i < COUNT(routes); i++) {
#ifndef __linux__
		if (strchr(routes[i], '@') != NULL) {
			config_route(config, "/x=/n");
			continue;
		}
#endif
		config_route(config, routes[i]);
	}
	ck_assert(config_finish(config));
	/* Distinct, so that none stands for another. */
	for (i = 0; i < config->ntargets; i++)
		config->targets[i].passed = 100 + i;
	make_page();
	must_parse();
	for (p = body; (p = strstr(p, "\nfdproxy_handoffs_total{")) != NULL;
	    p++)
		n++;
	ck_assert_int_eq(n, COUNT(seen));
	for (i = 0; i < COUNT(seen); i++)
		ck_assert_str_ne(handoffs(seen[i]), "none");
	ck_assert_str_eq(handoffs("/a"), "100");
	ck_assert_str_eq(handoffs("/"), "110");
}

TEST(labels)
{
	static const char *const rows[][2] = {
		{ "/a b", "/a b" },
		{ "/\"", "/\\\"" },
		{ "/\\", "/\\\\\\\\" },
		{ "/\\\"", "/\\\\\\\\\\\"" },
		{ "/\"}\\n{\"", "/\\\"}\\\\\\\\n{\\\"" },
		{ "/{},'*", "/{},'*" },
		{ "/%22%0a", "/%22%0a" },
		{ "/%s%n%d", "/%s%n%d" },
		/* A -r or a -c may have any byte; the page is UTF-8. */
		{ "/a\nb", "/a\\nb" },
		{ "/a\n", "/a\\n" },
		{ "/\t\r\x7f", "/\\\\x09\\\\x0d\\\\x7f" },
		{ "/\xff\xc3\xa9", "/\\\\xff\\\\xc3\\\\xa9" },
		/* And a path may look like another one's label. */
		{ "/\xc3", "/\\\\xc3" },
		{ "/\\xc3", "/\\\\\\\\xc3" }
	};
	char text[128];
	int i;

	for (i = 0; i < COUNT(rows); i++) {
		snprintf(text, sizeof(text), "%s=/s", rows[i][0]);
		config_route(config, text);
	}
	ck_assert(config_finish(config));
	for (i = 0; i < COUNT(rows); i++)
		config->targets[i].passed = (uint64_t)i + 1;
	make_page();
	must_parse();
	for (i = 0; i < COUNT(rows); i++)
		ck_assert_msg(atoi(handoffs(rows[i][1])) == i + 1, "%s: %s",
		    rows[i][1], handoffs(rows[i][1]));
}

/* There is room for every byte of every path, whatever it becomes. */
TEST(long_paths)
{
	static char text[8192];
	int i;

	for (i = 0; i < 8; i++) {
		memset(text, "\001\"\\\n\xff%a/"[i], 4000);
		text[0] = '/';
		text[1] = (char)('a' + i);
		strcpy(text + 4000, "=/s");
		config_route(config, text);
	}
	ck_assert(config_finish(config));
	make_page();
	must_parse();
	ck_assert_uint_gt(strlen(body), 8 * 4000);
}

/*
 * A snapshot that is read stays, if it is not old; else there is a newer one,
 * which others do not get in the middle of theirs.
 */
TEST(snapshots)
{
	uint32_t first, second;
	size_t len, short_len;
	const char *text;
	int i;

	ck_assert(config_finish(config));
	ck_assert(status_open(config));
	first = status_snapshot(&view);
	text = status_page(first, false, &len);
	ck_assert(text != NULL);
	ck_assert(status_page(first, true, &short_len) == text);
	ck_assert_int_eq(memcmp(text + short_len - 4, "\r\n\r\n", 4), 0);
	ck_assert_uint_lt(short_len, len);
	view.reading = true;
	ck_assert_uint_eq(status_snapshot(&view), first);
	view.reading = false;
	second = status_snapshot(&view);
	ck_assert_uint_ne(second, first);
	ck_assert(status_page(first, false, &len) == NULL);
	ck_assert(status_page(second, false, &len) != NULL);
	view.reading = true;
	/* It gets old, in its own time. */
	for (i = 0; i < 1000 && status_snapshot(&view) == second; i++) {
		poll(NULL, 0, 10);
		clock_update();
	}
	ck_assert_uint_ne(status_snapshot(&view), second);
}

/* What has been dropped anywhere. */
TEST(dropped)
{
	char text[32];
	int fd = log_file("/dev/full");

	if (fd == -1)
		return;		/* not every system has it */
	log_use(LOG_ACCESS, "/dev/full", fd);
	log_access("x");
	log_use(LOG_ACCESS, NULL, -1);
	ck_assert_uint_gt(log_dropped(), 0);
	make_page();
	snprintf(text, sizeof(text), "%lu", log_dropped());
	ck_assert_str_eq(value("fdproxy_log_lines_dropped_total"), text);
}

static const struct test tests[] = {
	ONCE(head),
	ONCE(counters),
	ONCE(answers),
	ONCE(families),
	ONCE(routes_left_out),
	ONCE(labels),
	ONCE(long_paths),
	ONCE(snapshots),
	ONCE(dropped)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), setup, teardown);
}
