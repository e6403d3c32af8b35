/* See LICENSE for copyright and license details. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "log.h"
#include "text.h"

#ifndef VERSION
#define VERSION	"unknown"
#endif

#define WORDS_MAX	64		/* in one directive */
#define DEPTH_MAX	16		/* of Include */
#define FILES_MAX	1000
#define FILE_MAX_BYTES	((size_t)64 * 1024 * 1024)
#define TIME_MAX	864000000ul	/* ms; clocks wrap later */

/* Where the reader stands. */
struct reader {
	struct config *config;
	const char *name;
	unsigned int line;	/* 0: an option, no file */
	const char *dir;
	int depth;
};

struct directive {
	const char *name;
	int min;		/* number of arguments */
	int max;
	void (*set)(struct reader *r, char **words, int n);
};

static void	read_file(struct reader *from, const char *path);

static void
where(const struct reader *r, char *dst, size_t size)
{
	if (r->line == 0)
		text_format(dst, size, "%s", r->name);
	else
		text_format(dst, size, "%s:%u", r->name, r->line);
}

static void
wrong(struct reader *r, const char *fmt, ...) TEXT_PRINTF(2, 3);

static void
wrong(struct reader *r, const char *fmt, ...)
{
	char line[LOG_LINE];
	size_t n;
	va_list ap;

	where(r, line, sizeof(line) / 2);
	n = strlen(line);
	n += text_format(line + n, sizeof(line) - n, ": ");
	va_start(ap, fmt);
	text_vformat(line + n, sizeof(line) - n, fmt, ap);
	va_end(ap);
	r->config->errors++;
	r->config->report(line);
}

static char *
copy(struct reader *r, const char *text)
{
	char *p = strdup(text);

	if (p == NULL)
		wrong(r, "out of memory");
	return p;
}

/* A path of the file as it is meant: relative ones are under its folder. */
static bool
absolute(struct reader *r, const char *path, char *dst, size_t size)
{
	if (text_format(dst, size, "%s%s%s", *path == '/' ? "" : r->dir,
	    *path == '/' ? "" : "/", path) < size)
		return true;
	wrong(r, "a path is longer than %zu bytes", size - 1);
	return false;
}

/* A decimal number from min to max; false, with a message, if not. */
static bool
number(struct reader *r, const char *what, const char *text, unsigned long min,
    unsigned long max, unsigned long *out)
{
	char *end;

	errno = 0;
	if (isdigit((unsigned char)*text)) {
		*out = strtoul(text, &end, 10);
		if (*end == '\0' && errno == 0 && *out >= min && *out <= max)
			return true;
	}
	wrong(r, "%s must be a number from %lu to %lu, near \"%s\"", what, min,
	    max, text);
	return false;
}

/* A time with ms, s (also when nothing is said) or min, in milliseconds. */
static bool
duration(struct reader *r, const char *what, const char *text, uint32_t *ms)
{
	static const struct {
		const char *name;
		unsigned long ms;
	} units[] = { { "", 1000 }, { "s", 1000 }, { "ms", 1 },
	    { "min", 60000 } };
	unsigned long n, i;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	for (i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (!isdigit((unsigned char)*text) || errno != 0 ||
		    strcasecmp(end, units[i].name) != 0 ||
		    n > TIME_MAX / units[i].ms)
			continue;
		*ms = (uint32_t)(n * units[i].ms);
		return true;
	}
	wrong(r, "%s must be a time in ms, s or min, at most 10 days, near "
	    "\"%s\"", what, text);
	return false;
}

static bool
add_listener(struct reader *r, const struct config_listen *one)
{
	struct config *c = r->config;
	int i;

	for (i = 0; one->inherited != -1 && i < c->listeners; i++)
		if (c->listen[i].inherited == one->inherited)
			return true;
	if (c->listeners == CONFIG_LISTENERS) {
		wrong(r, "Listen: more than %d addresses", CONFIG_LISTENERS);
		return false;
	}
	c->listen[c->listeners++] = *one;
	return true;
}

static void
set_string(struct reader *r, char **dst, const char *value)
{
	free(*dst);
	*dst = copy(r, value);
}

/* What belongs to a socket file; and the protocol, as Apache has it. */
static bool
listen_word(struct reader *r, struct config_listen *l, const char *word)
{
	bool file = sock_is_file(&l->addr);
	unsigned long mode;
	char *end;

	if (strcasecmp(word, "http") == 0)
		return true;
	if (file && strncmp(word, "mode=", 5) == 0) {
		mode = strtoul(word + 5, &end, 8);
		l->mode = (int)mode;
		if (strspn(word + 5, "01234567") == strlen(word + 5) &&
		    end != word + 5 && mode <= 0777)
			return true;
		wrong(r, "Listen: mode= must be an octal number up to 777, "
		    "near \"%s\"", word);
		return false;
	}
	if (file && strncmp(word, "owner=", 6) == 0 && word[6] != '\0') {
		set_string(r, &l->owner, word + 6);
		return true;
	}
	if (file && strncmp(word, "group=", 6) == 0 && word[6] != '\0') {
		set_string(r, &l->group, word + 6);
		return true;
	}
	wrong(r, "Listen: only http, and for unix: mode=, owner= and group= "
	    "can follow, near \"%s\"", word);
	return false;
}

static void
set_listen(struct reader *r, char **words, int n)
{
	struct config_listen one = { .inherited = -1, .mode = -1 };
	struct sock_addr addr[2];
	const char *error;
	unsigned long fd;
	int i, got = 1;
	bool good = true;

	memset(addr, 0, sizeof(addr));
	if (strncmp(words[1], "fd:", 3) == 0) {
		if (!number(r, "Listen fd:", words[1] + 3, 0, INT_MAX, &fd))
			return;
		one.inherited = (int)fd;
	} else if ((error = sock_parse(words[1], addr, &got)) != NULL) {
		wrong(r, "Listen: %s, near \"%s\"", error, words[1]);
		return;
	}
	one.addr = addr[0];
	for (i = 2; i < n; i++)
		good = listen_word(r, &one, words[i]) && good;
	if (!good || !add_listener(r, &one)) {
		free(one.owner);
		free(one.group);
	} else if (got == 2) {
		one.addr = addr[1];
		one.twin = true;
		add_listener(r, &one);
	}
}

static void
set_include(struct reader *r, char **words, int n)
{
	char path[4096];

	(void)n;
	if (r->depth == DEPTH_MAX) {
		wrong(r, "Include: deeper than %d files", DEPTH_MAX);
		return;
	}
	if (r->config->files++ == FILES_MAX) {
		wrong(r, "Include: more than %d files", FILES_MAX);
		return;
	}
	if (!absolute(r, words[1], path, sizeof(path)))
		return;
	read_file(r, path);
}

static void
set_user(struct reader *r, char **words, int n)
{
	(void)n;
	set_string(r, &r->config->user, words[1]);
}

static void
set_group(struct reader *r, char **words, int n)
{
	(void)n;
	set_string(r, &r->config->group, words[1]);
}

static void
set_chroot(struct reader *r, char **words, int n)
{
	(void)n;
	if (*words[1] != '/')
		wrong(r, "ChrootDir: an absolute path expected, near \"%s\"",
		    words[1]);
	else
		set_string(r, &r->config->chroot, words[1]);
}

/* A file of the configuration's folder. */
static void
set_file(struct reader *r, char **dst, const char *path)
{
	char full[4096];

	if (*path == '\0' || *path == '|')
		wrong(r, "a file expected, near \"%s\"", path);
	else if (absolute(r, path, full, sizeof(full)))
		set_string(r, dst, full);
}

static void
set_log(struct reader *r, char **dst, const char *name)
{
	unsigned long fd;

	if (strncmp(name, "fd:", 3) == 0 &&
	    !number(r, "a log's fd:", name + 3, 0, INT_MAX, &fd))
		return;
	if (strcmp(name, "stderr") == 0 || strcmp(name, "syslog") == 0 ||
	    strncmp(name, "fd:", 3) == 0)
		set_string(r, dst, name);
	else if (strncmp(name, "syslog:", 7) == 0)
		wrong(r, "syslog has no parameters here, near \"%s\"", name);
	else
		set_file(r, dst, name);
}

static void
set_error_log(struct reader *r, char **words, int n)
{
	(void)n;
	set_log(r, &r->config->error_log, words[1]);
}

static void
set_custom_log(struct reader *r, char **words, int n)
{
	bool json = n > 2 && strcasecmp(words[2], "json") == 0;

	if (n > 2 && !json && strcasecmp(words[2], "common") != 0) {
		wrong(r, "CustomLog: the formats are common and json, near "
		    "\"%s\"", words[2]);
	} else if (*words[1] == '|') {
		wrong(r, "CustomLog: programs are not started, near \"%s\"",
		    words[1]);
	} else {
		r->config->access_json = json;
		set_log(r, &r->config->access_log, words[1]);
	}
}

static void
set_pid_file(struct reader *r, char **words, int n)
{
	(void)n;
	set_file(r, &r->config->pid_file, words[1]);
}

static void
set_log_level(struct reader *r, char **words, int n)
{
	int level = log_level_named(words[1]);

	(void)n;
	if (level == -1)
		wrong(r, "LogLevel: one of error, warn, notice, info, debug, "
		    "near \"%s\"", words[1]);
	else
		r->config->log_level = level;
}

static void
set_read_timeout(struct reader *r, char **words, int n)
{
	uint32_t ms;

	(void)n;
	if (strncasecmp(words[1], "header=", 7) != 0 ||
	    strpbrk(words[1] + 7, "-,") != NULL) {
		wrong(r, "RequestReadTimeout: only header=TIME, one deadline "
		    "for the whole head, near \"%s\"", words[1]);
		return;
	}
	if (!duration(r, "RequestReadTimeout", words[1] + 7, &ms))
		return;
	if (ms == 0)
		wrong(r, "RequestReadTimeout: a head cannot take no time");
	else
		r->config->head_ms = ms;
}

static void
set_timeout(struct reader *r, char **words, int n)
{
	uint32_t ms;

	(void)n;
	if (!duration(r, words[0], words[1], &ms))
		return;
	if (ms == 0)
		wrong(r, "Timeout: must be more than 0");
	else
		r->config->flush_ms = ms;
}

static void
set_graceful(struct reader *r, char **words, int n)
{
	(void)n;
	duration(r, words[0], words[1], &r->config->graceful_ms);
}

static void
set_start_timeout(struct reader *r, char **words, int n)
{
	(void)n;
	duration(r, words[0], words[1], &r->config->start_ms);
}

static void
set_stop_timeout(struct reader *r, char **words, int n)
{
	(void)n;
	duration(r, words[0], words[1], &r->config->stop_ms);
}

static void
set_accept_filter(struct reader *r, char **words, int n)
{
	(void)n;
	if (strcasecmp(words[1], "http") != 0 ||
	    (strcasecmp(words[2], "data") != 0 &&
	    strcasecmp(words[2], "none") != 0))
		wrong(r, "AcceptFilter: only \"http data\" or \"http none\"");
	else
		r->config->defer = strcasecmp(words[2], "data") == 0;
}

static void
set_server_tokens(struct reader *r, char **words, int n)
{
	static const struct {
		const char *name;
		const char *text;
	} forms[] = {
		{ "Full", "fdproxy/" VERSION }, { "Min", "fdproxy/" VERSION },
		{ "Minimal", "fdproxy/" VERSION }, { "Prod", "fdproxy" },
		{ "ProductOnly", "fdproxy" }, { "None", "" }
	};
	size_t i;

	(void)n;
	for (i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		if (strcasecmp(words[1], forms[i].name) == 0) {
			r->config->own.server = forms[i].text;
			return;
		}
	}
	wrong(r, "ServerTokens: one of Full, Minimal, Prod, None, near \"%s\"",
	    words[1]);
}

/* Directives that take one number. */
static void
set_number(struct reader *r, char **words, int n)
{
	struct config *c = r->config;
	unsigned long v;

	(void)n;
	if (strcasecmp(words[0], "LimitRequestLine") == 0) {
		if (number(r, words[0], words[1], 16, HTTP_HEAD_MAX, &v))
			c->limits.line = v;
	} else if (strcasecmp(words[0], "LimitRequestFieldSize") == 0) {
		if (number(r, words[0], words[1], 16, HTTP_HEAD_MAX, &v))
			c->limits.field = v;
	} else if (strcasecmp(words[0], "LimitRequestFields") == 0) {
		if (number(r, words[0], words[1], 1, 32767, &v))
			c->limits.fields = v;
	} else if (strcasecmp(words[0], "LimitRequestHead") == 0) {
		if (number(r, words[0], words[1], 64, HTTP_HEAD_MAX, &v))
			c->limits.head = v;
	} else if (strcasecmp(words[0], "ListenBacklog") == 0) {
		if (number(r, words[0], words[1], 1, INT_MAX, &v))
			c->backlog = (int)v;
	} else if (number(r, words[0], words[1], 1, 10000000, &v)) {
		c->max_connections = (uint32_t)v;
	}
}

static void
set_date(struct reader *r, char **words, int n)
{
	struct http_slice value = { words[1], strlen(words[1]) };

	(void)n;
	if (strcasecmp(words[1], "on") == 0) {
		r->config->own.date = NULL;
	} else if (strcasecmp(words[1], "off") == 0) {
		r->config->own.date = "";
	} else if (value.len == CLOCK_DATE_LEN && http_parse_is_value(value)) {
		set_string(r, &r->config->date, words[1]);
		r->config->own.date = r->config->date;
	} else {
		wrong(r, "Date: on, off, or a date as in \"%s\", near \"%s\"",
		    clock_date(0), words[1]);
	}
}

static void
set_refused(struct reader *r, char **words, int n)
{
	(void)n;
	wrong(r, "%s is not supported: ProxyPass serves all below its path, "
	    "and a target that ends in '/' names a folder of sockets",
	    words[0]);
}

/* Parameters of Apache's ProxyPass that would mean nothing here, and why. */
static const struct {
	const char *name;
	const char *hint;
} refused[] = {
	{ "acquire", "there is no pool of connections" },
	{ "addressttl", "there is no name to resolve" },
	{ "disablereuse", "every request has a connection of its own" },
	{ "enablereuse", "not built yet" },
	{ "flushwait", "no body passes through fdproxy" },
	{ "interpolate", "there are no variables" },
	{ "iobuffersize", "no body passes through fdproxy" },
	{ "keepalive", "the backend is on this machine" },
	{ "lbmethod", "there is no balancer" },
	{ "lbset", "there is no balancer" },
	{ "loadfactor", "there is no balancer" },
	{ "mapping", "nothing of the URL is appended to the socket" },
	{ "max", "bound those that wait with queue=N" },
	{ "min", "there is no pool of connections" },
	{ "nocanon", "nothing of the URL is appended to the socket" },
	{ "noquery", "nothing of the URL is appended to the socket" },
	{ "peer", "not built yet" },
	{ "ping", "use wait=TIME" },
	{ "ready", "not built yet" },
	{ "receivebuffersize", "no body passes through fdproxy" },
	{ "redirect", "there is no balancer" },
	{ "responsefieldsize", "no response passes through fdproxy" },
	{ "retry", "no state is kept, each request tries afresh; use "
	    "wait=TIME" },
	{ "route", "there is no balancer" },
	{ "secret", "this is not AJP" },
	{ "smax", "there is no pool of connections" },
	{ "status", "there is no balancer" },
	{ "stickysession", "there is no balancer" },
	{ "timeout", "use connectiontimeout=TIME" },
	{ "track", "not built yet" },
	{ "ttl", "there is no pool of connections" },
	{ "upgrade", "the backend has the connection and may upgrade it" }
};

/* What a ProxyPass line says, until all its words are read. */
struct pass {
	struct config_target t;
	const char *flusher;
	char headers[4096];
	bool own_server;	/* header="Server: ..." */
};

static void
pass_header(struct reader *r, struct pass *p, const char *text)
{
	static const char *const own[] = { "Connection", "Content-Length",
	    "Transfer-Encoding", "Date" };
	const char *colon = strchr(text, ':');
	struct http_slice name, value;
	size_t i, n = strlen(p->headers);

	if (colon == NULL) {
		wrong(r, "header: \"Name: value\" expected, near \"%s\"", text);
		return;
	}
	name.p = text;
	name.len = (size_t)(colon - text);
	colon += 1 + strspn(colon + 1, " \t");
	value.p = colon;
	value.len = strlen(colon);
	if (!http_parse_is_token(name) || !http_parse_is_value(value)) {
		wrong(r, "header: the name must be a token, the value without "
		    "control bytes, near \"%s\"", text);
		return;
	}
	for (i = 0; i < sizeof(own) / sizeof(*own); i++) {
		if (http_parse_is(name, own[i])) {
			wrong(r, "header: %s is fdproxy's own, near \"%s\"",
			    own[i], text);
			return;
		}
	}
	p->own_server = p->own_server || http_parse_is(name, "Server");
	if (n + name.len + value.len + 5 > sizeof(p->headers))
		wrong(r, "header: more than %zu bytes of headers",
		    sizeof(p->headers));
	else
		text_format(p->headers + n, sizeof(p->headers) - n,
		    "%.*s: %s\r\n", (int)name.len, name.p, colon);
}

/* KIND[:ARG][@n[+m]] */
static void
pass_fault(struct reader *r, struct pass *p, const char *text)
{
	struct fault f = { .first = 1, .every = 1 };
	size_t len = strcspn(text, ":@");
	enum fault_takes takes;
	const char *at = strchr(text, '@');
	unsigned long n;
	char arg[32];

	if (!fault_find(text, len, &f.kind, &takes) ||
	    (text[len] == ':') != (takes != FAULT_TAKES_NOTHING)) {
		wrong(r, "fault: KIND[:ARG][@N[+M]] expected, near \"%s\"",
		    text);
		return;
	}
	if (text[len] == ':') {
		text_format(arg, sizeof(arg), "%.*s",
		    (int)strcspn(text + len + 1, "@"), text + len + 1);
		if (takes == FAULT_TAKES_TIME) {
			if (!duration(r, "fault", arg, &f.arg))
				return;
		} else if (number(r, "fault", arg, 0, 1000000, &n)) {
			f.arg = (uint32_t)n;
		} else {
			return;
		}
	}
	if (at != NULL) {
		f.every = 0;
		text_format(arg, sizeof(arg), "%.*s", (int)strcspn(at + 1, "+"),
		    at + 1);
		if (!number(r, "fault: @", arg, 1, 1000000000, &n))
			return;
		f.first = (uint32_t)n;
		at = strchr(at, '+');
		if (at != NULL && !number(r, "fault: +", at + 1, 1, 1000000000,
		    &n))
			return;
		if (at != NULL)
			f.every = (uint32_t)n;
	}
	if (p->t.nfaults == CONFIG_FAULTS)
		wrong(r, "fault: more than %d of one route", CONFIG_FAULTS);
	else
		p->t.faults[p->t.nfaults++] = f;
}

static void
pass_refused(struct reader *r, const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		if (strlen(refused[i].name) == len &&
		    strncasecmp(refused[i].name, word, len) == 0) {
			wrong(r, "ProxyPass: %s is not supported: %s",
			    refused[i].name, refused[i].hint);
			return;
		}
	}
	wrong(r, "ProxyPass: unknown parameter, near \"%s\"", word);
}

/* Whether a parameter has the one value, and not the other, if there is one. */
static bool
choice(struct reader *r, const char *name, const char *value, const char *yes,
    const char *no)
{
	if (strcasecmp(value, yes) == 0)
		return true;
	if (no == NULL)
		wrong(r, "%s: only \"%s\" is known, near \"%s\"", name, yes,
		    value);
	else if (strcasecmp(value, no) != 0)
		wrong(r, "%s: %s or %s, near \"%s\"", name, yes, no, value);
	return false;
}

static void
pass_parameter(struct reader *r, struct pass *p, char *word)
{
	char *value = strchr(word, '=');
	unsigned long n;
	struct http_slice key;

	key.p = word;
	key.len = value == NULL ? strlen(word) : (size_t)(value - word);
	if (value == NULL) {
		pass_refused(r, word, key.len);
		return;
	}
	value++;
	if (http_parse_is(key, "flusher"))
		p->flusher = value;
	else if (http_parse_is(key, "header"))
		pass_header(r, p, value);
	else if (http_parse_is(key, "connectiontimeout"))
		duration(r, "connectiontimeout", value, &p->t.connect_ms);
	else if (http_parse_is(key, "wait"))
		duration(r, "wait", value, &p->t.wait_ms);
	else if (http_parse_is(key, "queue")) {
		if (number(r, "queue", value, 1, 1000000, &n))
			p->t.queue_max = (uint32_t)n;
	} else if (http_parse_is(key, "fault"))
		pass_fault(r, p, value);
	else if (http_parse_is(key, "compat"))
		p->t.compat = choice(r, "compat", value, "apache", NULL);
	else if (http_parse_is(key, "payload"))
		p->t.payload_head = choice(r, "payload", value, "head", NULL);
	else if (http_parse_is(key, "flushpackets"))
		p->t.hold = choice(r, "flushpackets", value, "off", "on");
	else
		pass_refused(r, word, key.len);
}

/* "fd:///absolute" or "fd://relative"; a '/' at the end means a folder. */
static bool
pass_target(struct reader *r, struct pass *p, const char *target)
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
	if (strncasecmp(target, "fd://", 5) != 0) {
		wrong(r, "ProxyPass: the target must be fd://PATH, :child, "
		    "status:, ready: or !, near \"%s\"", target);
		return false;
	}
	target += 5;
	if (*target == '@')	/* no file: an abstract name */
		text_format(path, sizeof(path), "%s", target);
	else if (!absolute(r, target, path, sizeof(path)))
		return false;
	if (*target == '\0' || strcmp(target, "/") == 0) {
		wrong(r, "ProxyPass: the target names no socket");
		return false;
	}
	p->t.path_len = strlen(path);
	if (!sock_unix(&p->t.addr, path, p->t.path_len)) {
		wrong(r, "ProxyPass: the path of the socket is longer than "
		    "%zu bytes, or no name, near \"%s\"",
		    sizeof(p->t.addr.u.un.sun_path) - 1, path);
		return false;
	}
	p->t.kind = *path == '/' && path[p->t.path_len - 1] == '/' ?
	    CONFIG_DIRECTORY : CONFIG_SOCKET;
	return true;
}

static bool
same_flush(const struct config_flush *f, const struct pass *p,
    const char *name)
{
	return strcmp(f->name, name) == 0 &&
	    strcmp(f->headers, p->headers) == 0;
}

/* The flusher is made at the end, when ServerTokens is known. */
static bool
pass_flusher(struct reader *r, struct pass *p)
{
	struct config_flush *f, **last = &r->config->flushes;
	const char *name = p->flusher;
	char path[4096], place[1024];

	if (strncmp(name, "file:", 5) == 0 && name[5] != '/') {
		text_format(path, sizeof(path), "file:%s/%s", r->dir, name + 5);
		name = path;
	}
	for (; *last != NULL; last = &(*last)->next) {
		if (same_flush(*last, p, name)) {
			p->t.made = *last;
			return true;
		}
	}
	f = calloc(1, sizeof(*f));
	if (f == NULL) {
		wrong(r, "out of memory");
		return false;
	}
	where(r, place, sizeof(place));
	f->name = copy(r, name);
	f->headers = copy(r, p->headers);
	f->where = copy(r, place);
	f->own_server = p->own_server;
	*last = p->t.made = f;
	return true;
}

static void
add_target(struct reader *r, const char *path, struct config_target *t)
{
	struct config *c = r->config;
	struct config_target *all = c->targets;
	char place[1024];

	/* Room is doubled at each power of two. */
	if ((c->ntargets & (c->ntargets - 1)) == 0) {
		all = realloc(all, (c->ntargets == 0 ? 1 : c->ntargets * 2) *
		    sizeof(*all));
		if (all == NULL) {
			wrong(r, "out of memory");
			return;
		}
		c->targets = all;
	}
	where(r, place, sizeof(place));
	t->path = copy(r, path);
	t->where = copy(r, place);
	all[c->ntargets] = *t;
	if (route_add(c->routes, path) != (int)c->ntargets)
		wrong(r, "out of memory");
	c->ntargets++;
}

static void
set_proxy_pass(struct reader *r, char **words, int n)
{
	struct pass p;
	int i, before = r->config->errors;
	bool passes;

	memset(&p, 0, sizeof(p));
	p.flusher = "flush";
	p.t.connect_ms = 5000;
	if (*words[1] != '/')
		wrong(r, "ProxyPass: the path must begin with '/', near "
		    "\"%s\"", words[1]);
	else if (strpbrk(words[1], "?#") != NULL)
		wrong(r, "ProxyPass: a path has no '?' or '#', near \"%s\"",
		    words[1]);
	if (!pass_target(r, &p, words[2]))
		return;
	for (i = 3; i < n; i++)
		pass_parameter(r, &p, words[i]);
	passes = p.t.kind == CONFIG_SOCKET || p.t.kind == CONFIG_DIRECTORY;
	if (!passes && n > 3)
		wrong(r, "ProxyPass: \"%s\" takes no parameters", words[2]);
	if (passes && !pass_flusher(r, &p))
		return;
	/* Faults are seen best where nothing is joined. */
	if (p.t.compat || p.t.nfaults > 0)
		p.t.hold = false;
	if (r->config->errors == before)
		add_target(r, words[1], &p.t);
}

/* Alphabetical; the manual page describes each of them. */
static const struct directive directives[] = {
	{ "AcceptFilter", 2, 2, set_accept_filter },
	{ "ChrootDir", 1, 1, set_chroot },
	{ "CustomLog", 1, 2, set_custom_log },
	{ "Date", 1, 1, set_date },
	{ "ErrorLog", 1, 1, set_error_log },
	{ "GracefulShutdownTimeout", 1, 1, set_graceful },
	{ "Group", 1, 1, set_group },
	{ "Include", 1, 1, set_include },
	{ "LimitRequestFields", 1, 1, set_number },
	{ "LimitRequestFieldSize", 1, 1, set_number },
	{ "LimitRequestHead", 1, 1, set_number },
	{ "LimitRequestLine", 1, 1, set_number },
	{ "Listen", 1, WORDS_MAX, set_listen },
	{ "ListenBacklog", 1, 1, set_number },
	{ "LogLevel", 1, 1, set_log_level },
	{ "MaxConnections", 1, 1, set_number },
	{ "PidFile", 1, 1, set_pid_file },
	{ "ProxyPass", 2, WORDS_MAX, set_proxy_pass },
	{ "ProxyPassMatch", 0, WORDS_MAX, set_refused },
	{ "RequestReadTimeout", 1, 1, set_read_timeout },
	{ "ServerTokens", 1, 1, set_server_tokens },
	{ "StartTimeout", 1, 1, set_start_timeout },
	{ "StopTimeout", 1, 1, set_stop_timeout },
	{ "Timeout", 1, 1, set_timeout },
	{ "User", 1, 1, set_user }
};

const char *
config_directive_name(size_t i)
{
	if (i >= sizeof(directives) / sizeof(*directives))
		return NULL;
	return directives[i].name;
}

static void
run(struct reader *r, char **words, int n)
{
	const struct directive *d;
	size_t i;

	for (i = 0; i < sizeof(directives) / sizeof(*directives); i++) {
		d = &directives[i];
		if (strcasecmp(words[0], d->name) != 0)
			continue;
		words[0] = (char *)d->name;
		if (n - 1 < d->min)
			wrong(r, "%s: too few arguments", d->name);
		else if (n - 1 > d->max)
			wrong(r, "%s: too many arguments, near \"%s\"",
			    d->name, words[d->max + 1]);
		else
			d->set(r, words, n);
		return;
	}
	wrong(r, "unknown directive, near \"%s\"", words[0]);
}

/*
 * Take one word off *text, in place, as Apache does: quotes at its start, or
 * behind a '=', hold blanks; in them a backslash quotes itself and the quote.
 * Returns NULL at the end of the line, or with *bad set: no closing quote.
 */
static char *
next_word(char **text, bool *bad)
{
	char *in = *text, *out, *word;
	char quote = '\0';

	while (isspace((unsigned char)*in))
		in++;
	if (*in == '\0')
		return NULL;
	word = out = in;
	for (; *in != '\0'; in++) {
		if (quote == '\0' && isspace((unsigned char)*in))
			break;
		if (quote == '\0' && (*in == '"' || *in == '\'') &&
		    (out == word || out[-1] == '=')) {
			quote = *in;
		} else if (quote != '\0' && *in == quote) {
			quote = '\0';
		} else {
			if (quote != '\0' && *in == '\\' &&
			    (in[1] == '\\' || in[1] == quote))
				in++;
			*out++ = *in;
		}
	}
	*bad = quote != '\0';
	*text = *in == '\0' ? in : in + 1;
	*out = '\0';
	return *bad ? NULL : word;
}

static void
read_line(struct reader *r, char *line)
{
	char *words[WORDS_MAX + 1], *word;
	bool bad = false;
	int n = 0;

	line += strspn(line, " \t\r\n\v\f");
	if (*line == '#')
		return;
	while ((word = next_word(&line, &bad)) != NULL) {
		if (n == WORDS_MAX) {
			wrong(r, "more than %d words", WORDS_MAX);
			return;
		}
		words[n++] = word;
	}
	words[n] = NULL;
	if (bad)
		wrong(r, "a quote has no end, near \"%s\"",
		    n > 0 ? words[n - 1] : "");
	else if (n > 0)
		run(r, words, n);
}

/*
 * Line by line; one that ends in a backslash goes on in the next.  A line is
 * as long as it likes: the text is taken apart in place.
 */
static void
read_lines(struct reader *r, char *text, size_t len)
{
	char *end = text + len, *out, *lf;
	unsigned int lines;

	while (text < end) {
		char *line = text;

		lines = 0;
		out = text;
		for (;;) {
			lf = memchr(text, '\n', (size_t)(end - text));
			if (lf == NULL)
				lf = end;
			memmove(out, text, (size_t)(lf - text));
			out += lf - text;
			text = lf < end ? lf + 1 : end;
			lines++;
			if (out > line && out[-1] == '\r')
				out--;
			if (out == line || out[-1] != '\\')
				break;
			out--;
			if (text == end)
				break;
		}
		*out = '\0';
		if (strlen(line) != (size_t)(out - line))
			wrong(r, "a NUL byte");
		else
			read_line(r, line);
		r->line += lines;
	}
}

/* The folder of a file, absolute, for paths that are relative to it. */
static bool
folder(const char *path, char *dst, size_t size)
{
	const char *slash = strrchr(path, '/');
	size_t n = 0;

	if (*path != '/') {
		if (getcwd(dst, size) == NULL)
			return false;
		n = strlen(dst);
		if (n == 1)
			dst[--n] = '\0';
	}
	if (slash == NULL)
		return true;
	return text_format(dst + n, size - n, "%s%.*s", *path == '/' ? "" : "/",
	    (int)(slash - path), path) < size - n;
}

/* All of a descriptor, with room for a NUL, or NULL with errno. */
static char *
slurp(int fd, size_t *len)
{
	size_t size = 4096;
	char *text = NULL, *more;
	ssize_t n = 1;

	for (*len = 0; n > 0 && *len < FILE_MAX_BYTES; *len += (size_t)n) {
		if (text == NULL || *len + 1 == size) {
			size *= 2;
			more = realloc(text, size);
			if (more == NULL)
				break;
			text = more;
		}
		n = read(fd, text + *len, size - 1 - *len);
		if (n == -1)
			break;
	}
	if (n == 0)
		return text;
	if (n > 0)
		errno = EFBIG;
	free(text);
	return NULL;
}

static void
read_file(struct reader *from, const char *path)
{
	struct reader r = *from;
	char dir[4096];
	char *text = NULL;
	size_t len;
	int fd;

	fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) :
	    open(path, O_RDONLY | O_CLOEXEC);
	if (fd != -1) {
		text = slurp(fd, &len);
		close(fd);
	}
	if (text == NULL || !folder(path, dir, sizeof(dir))) {
		wrong(from, "cannot read %s: %s", path, strerror(errno));
		free(text);
		return;
	}
	r.name = path;
	r.dir = dir;
	r.line = 1;
	r.depth++;
	read_lines(&r, text, len);
	free(text);
}

void
config_file(struct config *config, const char *path)
{
	struct reader r = { config, "-f", 0, "", 0 };

	read_file(&r, path);
}

void
config_text(struct config *config, const char *name, const char *dir,
    const char *text, size_t len)
{
	struct reader r = { config, name, 1, dir, 0 };
	char *own = malloc(len + 1);

	if (own == NULL) {
		wrong(&r, "out of memory");
		return;
	}
	memcpy(own, text, len);
	read_lines(&r, own, len);
	free(own);
}

/* An option as a directive: its words, without any quoting. */
static void
option(struct config *config, const char *name, char **words, int n)
{
	char dir[4096];
	struct reader r = { config, name, 0, dir, 0 };

	if (!folder("-", dir, sizeof(dir)))
		wrong(&r, "cannot find the current folder: %s",
		    strerror(errno));
	else
		run(&r, words, n);
}

void
config_directive(struct config *config, const char *text)
{
	char dir[4096];
	struct reader r = { config, "-c", 0, dir, 0 };
	char *own;

	if (!folder("-", dir, sizeof(dir))) {
		wrong(&r, "cannot find the current folder: %s",
		    strerror(errno));
		return;
	}
	own = copy(&r, text);
	if (own != NULL)
		read_line(&r, own);
	free(own);
}

void
config_listen(struct config *config, const char *address)
{
	char name[] = "Listen";
	char *words[] = { name, (char *)address, NULL };

	option(config, "-l", words, 2);
}

void
config_user(struct config *config, const char *user)
{
	struct reader r = { config, "-u", 0, "", 0 };
	char *colon;

	if (*user == '\0' || *user == ':' || user[strlen(user) - 1] == ':') {
		wrong(&r, "user[:group] expected, near \"%s\"", user);
		return;
	}
	set_string(&r, &config->user, user);
	colon = config->user == NULL ? NULL : strchr(config->user, ':');
	if (colon != NULL) {
		set_string(&r, &config->group, colon + 1);
		*colon = '\0';
	}
}

void
config_inherit(struct config *config, int fd)
{
	struct reader r = { config, "LISTEN_FDS", 0, "", 0 };
	struct config_listen one = { .inherited = fd, .mode = -1 };

	add_listener(&r, &one);
}

/* PATH=TARGET[,key=value ...]; a target without a scheme is a socket's path. */
void
config_route(struct config *config, const char *route)
{
	struct reader r = { config, "-r", 0, "", 0 };
	char *words[WORDS_MAX + 1], *own, *p, *target;
	char name[] = "ProxyPass";
	bool socket;
	int n = 3;

	own = copy(&r, route);
	if (own == NULL)
		return;
	p = strchr(own, '=');
	target = malloc(strlen(own) + 6);	/* "fd://" and a NUL */
	if (p == NULL || target == NULL) {
		wrong(&r, "PATH=SOCKET expected, near \"%s\"", route);
		free(target);
		free(own);
		return;
	}
	*p++ = '\0';
	words[0] = name;
	words[1] = own;
	words[2] = target;
	for (words[3] = p; n < WORDS_MAX; words[n] = p) {
		p = strchr(p, ',');
		if (p == NULL)
			break;
		*p++ = '\0';
		n++;
	}
	/* words[3] is the target still, and parameters stand behind it. */
	p = words[3];
	socket = strcmp(p, "!") != 0 && strcmp(p, "status:") != 0 &&
	    strcmp(p, "ready:") != 0 && strcmp(p, ":child") != 0 &&
	    strncasecmp(p, "fd:", 3) != 0;
	text_format(target, strlen(p) + 6, "%s%s", socket ? "fd://" : "", p);
	memmove(&words[3], &words[4], sizeof(*words) * (size_t)(n - 3));
	option(config, "-r", words, n);
	free(target);
	free(own);
}

struct config *
config_new(void (*report)(const char *line))
{
	struct config *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->routes = route_new();
	if (c->routes == NULL) {
		free(c);
		return NULL;
	}
	c->limits.line = 8190;
	c->limits.field = 8190;
	c->limits.fields = 100;
	c->limits.head = 16384;
	c->head_ms = 20000;
	c->flush_ms = 20000;
	c->start_ms = 30000;
	c->stop_ms = 5000;
	c->backlog = 511;
	c->defer = true;
	c->log_level = LOG_L_NOTICE;
	c->own.server = "fdproxy/" VERSION;
	c->report = report;
	return c;
}

void
config_free(struct config *config)
{
	struct config_flush *f, *next;
	uint32_t i;

	if (config == NULL)
		return;
	for (f = config->flushes; f != NULL; f = next) {
		next = f->next;
		flush_free(f->flush);
		free(f->name);
		free(f->headers);
		free(f->where);
		free(f);
	}
	for (i = 0; i < (uint32_t)config->listeners; i++) {
		if (config->listen[i].twin)
			continue;	/* its strings are the other half's */
		free(config->listen[i].owner);
		free(config->listen[i].group);
	}
	for (i = 0; i < config->ntargets; i++) {
		free(config->targets[i].path);
		free(config->targets[i].where);
	}
	free(config->targets);
	route_free(config->routes);
	free(config->user);
	free(config->group);
	free(config->chroot);
	free(config->error_log);
	free(config->access_log);
	free(config->pid_file);
	free(config->date);
	free(config);
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
number_queues(struct config *c)
{
	struct config_target **sorted, *t;
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
		}
		t->queue = c->nqueues - 1;
		t->first = t->kind == CONFIG_SOCKET && !seen;
		seen = seen || t->first;
	}
	free(sorted);
	return true;
}

static void
find_hidden(struct config *c)
{
	struct config_target *t;
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
		if (strchr(t->path, '%') == NULL &&
		    (route_normalize(t->path, len, normal, sizeof(normal),
		    &rest) != 0 || rest != len))
			log_warn("%s: %s never matches: request paths have no "
			    "empty or dot segments", t->where, t->path);
	}
}

static void
make_flushes(struct config *c)
{
	struct reader r = { c, "", 0, "", 0 };
	struct flush_own own;
	struct config_flush *f;
	const char *error = NULL;
	uint32_t i;

	for (f = c->flushes; f != NULL; f = f->next) {
		own = c->own;
		if (f->own_server)
			own.server = "";
		f->flush = flush_new(f->name, f->headers, &own, &error);
		r.name = f->where;
		if (f->flush == NULL)
			wrong(&r, "ProxyPass: %s%s%s, near \"%s\"", error,
			    errno == 0 ? "" : ": ",
			    errno == 0 ? "" : strerror(errno), f->name);
	}
	for (i = 0; i < c->ntargets; i++)
		if (c->targets[i].made != NULL)
			c->targets[i].flush = c->targets[i].made->flush;
}

void
config_child(struct config *config, const struct sock_addr *addr)
{
	uint32_t i;

	for (i = 0; i < config->ntargets; i++)
		if (config->targets[i].child)
			config->targets[i].addr = *addr;
}

bool
config_finish(struct config *config)
{
	struct reader r = { config, "configuration", 0, "", 0 };

	if (config->listeners == 0)
		wrong(&r, "nothing to listen on: give Listen or -l");
	make_flushes(config);
	if (!number_queues(config))
		wrong(&r, "out of memory");
	if (config->nqueues > CONFIG_SOCKETS)
		wrong(&r, "more than %d different sockets", CONFIG_SOCKETS);
	if (config->errors == 0)
		find_hidden(config);
	return config->errors == 0;
}
