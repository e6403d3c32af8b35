/* See LICENSE for copyright and license details. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "log.h"
#include "text.h"

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
	const struct directive *now;
	bool bare;		/* fd:// may be missing */
};

struct directive {
	const char *name;
	int min;		/* number of arguments */
	int max;
	void (*set)(struct reader *r, char **words);
	/* If all it does is to set one member of struct config. */
	size_t at;
	uint32_t from;		/* the least value */
	uint32_t to;		/* the greatest, of a number */
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

/* Where the reader stands, for messages that come later. */
static char *
copy_where(struct reader *r)
{
	char place[1024];

	where(r, place, sizeof(place));
	return copy(r, place);
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
number(struct reader *r, const char *what, const char *text, uint32_t min,
    uint32_t max, uint32_t *out)
{
	unsigned long n;

	if (text_number(text, 10, max, &n) && n >= min) {
		*out = (uint32_t)n;
		return true;
	}
	wrong(r, "%s must be a number from %u to %u, near \"%s\"", what, min,
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

/* ---- directives that set one member ---- */

static void *
member(const struct reader *r)
{
	return (char *)r->config + r->now->at;
}

static void
set_number(struct reader *r, char **words)
{
	number(r, words[0], words[1], r->now->from, r->now->to, member(r));
}

static void
set_time(struct reader *r, char **words)
{
	uint32_t *dst = member(r), ms;

	if (!duration(r, words[0], words[1], &ms))
		return;
	if (ms < r->now->from)
		wrong(r, "%s: must be more than 0", words[0]);
	else
		*dst = ms;
}

static void
set_word(struct reader *r, char **words)
{
	set_string(r, member(r), words[1]);
}

/* A file of the configuration's folder. */
static void
set_file(struct reader *r, char **words)
{
	char full[4096];

	if (*words[1] == '\0' || *words[1] == '|')
		wrong(r, "a file expected, near \"%s\"", words[1]);
	else if (absolute(r, words[1], full, sizeof(full)))
		set_string(r, member(r), full);
}

static void
set_log(struct reader *r, char **words)
{
	const char *name = words[1];
	bool given = strncmp(name, "fd:", 3) == 0;
	uint32_t fd;

	if (given && !number(r, "a log's fd:", name + 3, 0, INT_MAX, &fd))
		return;
	if (given || strcmp(name, "stderr") == 0 ||
	    strcmp(name, "syslog") == 0)
		set_word(r, words);
	else if (strcmp(name, "stdout") == 0)
		wrong(r, "standard output is fd:1 here, near \"%s\"", name);
	else if (strncmp(name, "syslog:", 7) == 0)
		wrong(r, "syslog has no parameters here, near \"%s\"", name);
	else
		set_file(r, words);
}

/* ---- all others ---- */

/* What belongs to a socket file; and the protocol, as Apache has it. */
static bool
listen_word(struct reader *r, struct config_listen *l, const char *word)
{
	bool file = sock_is_file(&l->addr);
	unsigned long mode;

	if (strcasecmp(word, "http") == 0)
		return true;
	if (file && strncmp(word, "mode=", 5) == 0) {
		if (text_number(word + 5, 8, 0777, &mode)) {
			l->mode = (int)mode;
			return true;
		}
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
set_listen(struct reader *r, char **words)
{
	struct config_listen one = { .inherited = -1, .mode = -1 };
	struct sock_addr addr[2];
	const char *error;
	uint32_t fd;
	int i, got = 1;
	bool good = true;

	memset(addr, 0, sizeof(addr));
	r->config->may_listen = true;	/* it was to, even if it is wrong */
	if (strncmp(words[1], "fd:", 3) == 0) {
		if (!number(r, "Listen fd:", words[1] + 3, 0, INT_MAX, &fd))
			return;
		one.inherited = (int)fd;
	} else if ((error = sock_parse(words[1], addr, &got)) != NULL) {
		wrong(r, "Listen: %s, near \"%s\"", error, words[1]);
		return;
	}
	one.addr = addr[0];
	for (i = 2; words[i] != NULL; i++)
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
set_include(struct reader *r, char **words)
{
	char path[4096];

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
set_chroot(struct reader *r, char **words)
{
	if (*words[1] != '/')
		wrong(r, "ChrootDir: an absolute path expected, near \"%s\"",
		    words[1]);
	else
		set_word(r, words);
}

static void
set_custom_log(struct reader *r, char **words)
{
	bool json = words[2] != NULL && strcasecmp(words[2], "json") == 0;

	if (words[2] != NULL && !json && strcasecmp(words[2], "common") != 0) {
		wrong(r, "CustomLog: the formats are common and json, near "
		    "\"%s\"", words[2]);
	} else if (*words[1] == '|') {
		wrong(r, "CustomLog: programs are not started, near \"%s\"",
		    words[1]);
	} else {
		r->config->access_json = json;
		set_log(r, words);
	}
}

static void
set_log_level(struct reader *r, char **words)
{
	int level = log_level_named(words[1]);

	if (level == -1)
		wrong(r, "LogLevel: one of error, warn, notice, info, debug, "
		    "near \"%s\"", words[1]);
	else
		r->config->log_level = level;
}

static void
set_read_timeout(struct reader *r, char **words)
{
	if (strncasecmp(words[1], "header=", 7) != 0 ||
	    strpbrk(words[1] + 7, "-,") != NULL) {
		wrong(r, "RequestReadTimeout: only header=TIME, one deadline "
		    "for the whole head, near \"%s\"", words[1]);
	} else {
		words[1] += 7;
		set_time(r, words);
	}
}

static void
set_accept_filter(struct reader *r, char **words)
{
	if (strcasecmp(words[1], "http") != 0 ||
	    (strcasecmp(words[2], "data") != 0 &&
	    strcasecmp(words[2], "none") != 0))
		wrong(r, "AcceptFilter: only \"http data\" or \"http none\"");
	else
		r->config->defer = strcasecmp(words[2], "data") == 0;
}

static void
set_server_tokens(struct reader *r, char **words)
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

	for (i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		if (strcasecmp(words[1], forms[i].name) == 0) {
			r->config->own.server = forms[i].text;
			return;
		}
	}
	wrong(r, "ServerTokens: one of Full, Minimal, Prod, None, near \"%s\"",
	    words[1]);
}

static void
set_date(struct reader *r, char **words)
{
	struct http_slice value = { words[1], strlen(words[1]) };

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
set_refused(struct reader *r, char **words)
{
	wrong(r, "%s is not supported: ProxyPass serves all below its path, "
	    "and a target that ends in '/' names a folder of sockets",
	    words[0]);
}

/* Parameters of Apache's ProxyPass that would mean nothing here, and why. */
static const struct {
	const char *names;	/* with blanks between them */
	const char *hint;
} refused[] = {
	{ "acquire min smax ttl", "there is no pool of connections" },
	{ "addressttl", "there is no name to resolve" },
	{ "disablereuse", "every request has a connection of its own" },
	{ "enablereuse peer ready track", "not built yet" },
	{ "flushwait iobuffersize receivebuffersize",
	    "no body passes through fdproxy" },
	{ "interpolate", "there are no variables" },
	{ "keepalive", "the backend is on this machine" },
	{ "lbmethod lbset loadfactor redirect route status stickysession",
	    "there is no balancer" },
	{ "mapping nocanon noquery",
	    "nothing of the URL is appended to the socket" },
	{ "max", "bound those that wait with queue=N" },
	{ "ping", "use wait=TIME" },
	{ "responsefieldsize", "no response passes through fdproxy" },
	{ "retry", "no state is kept, each request tries afresh; use "
	    "wait=TIME" },
	{ "secret", "this is not AJP" },
	{ "timeout", "use connectiontimeout=TIME" },
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

/* End text at the first c; what stands behind that, or NULL. */
static char *
split(char *text, char c)
{
	char *p = strchr(text, c);

	if (p != NULL)
		*p++ = '\0';
	return p;
}

/* KIND[:ARG][@n[+m]] */
static void
pass_fault(struct reader *r, struct pass *p, char *text)
{
	struct fault f = { .first = 1, .every = 1 };
	size_t len = strcspn(text, ":@");
	enum fault_takes takes;
	char *arg = text + len + 1, *at, *plus = NULL;

	if (!fault_find(text, len, &f.kind, &takes)) {
		wrong(r, "fault: unknown kind, near \"%s\"", text);
		return;
	}
	if ((text[len] == ':') != (takes != FAULT_TAKES_NOTHING)) {
		wrong(r, "fault: this kind takes %s, near \"%s\"",
		    takes == FAULT_TAKES_NOTHING ? "no argument" :
		    takes == FAULT_TAKES_TIME ? "a time (KIND:TIME)" :
		    "a number of bytes (KIND:BYTES)", text);
		return;
	}
	at = split(text, '@');
	if (at != NULL) {
		plus = split(at, '+');
		f.every = 0;
	}
	if ((takes == FAULT_TAKES_TIME &&
	    !duration(r, "fault", arg, &f.arg)) ||
	    (takes == FAULT_TAKES_BYTES &&
	    !number(r, "fault", arg, 0, 1000000, &f.arg)) ||
	    (at != NULL &&
	    !number(r, "fault: @", at, 1, 1000000000, &f.first)) ||
	    (plus != NULL &&
	    !number(r, "fault: +", plus, 1, 1000000000, &f.every)))
		return;
	if (p->t.nfaults == CONFIG_FAULTS)
		wrong(r, "fault: more than %d of one route", CONFIG_FAULTS);
	else
		p->t.faults[p->t.nfaults++] = f;
}

static void
pass_refused(struct reader *r, const char *word, size_t len)
{
	const char *name;
	size_t i, n;

	for (i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		for (name = refused[i].names; *name != '\0';
		    name += n + strspn(name + n, " ")) {
			n = strcspn(name, " ");
			if (n != len || strncasecmp(name, word, n) != 0)
				continue;
			wrong(r, "ProxyPass: %.*s is not supported: %s",
			    (int)n, name, refused[i].hint);
			return;
		}
	}
	wrong(r, "ProxyPass: unknown parameter, near \"%s\"%s", word,
	    r->bare ? " (a value with a comma in it needs -c)" : "");
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
	else if (http_parse_is(key, "queue"))
		number(r, "queue", value, 1, 1000000, &p->t.queue_max);
	else if (http_parse_is(key, "fault"))
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

/* Whether a target is a URL, or host:port. */
static bool
is_address(const char *target)
{
	const char *colon = strrchr(target, ':');

	if (strncasecmp(target, "http", 4) == 0 &&
	    strstr(target, "://") != NULL)
		return true;
	return colon != NULL && strchr(target, '/') == NULL &&
	    colon[1] != '\0' && colon[1 + strspn(colon + 1, "0123456789")] ==
	    '\0';
}

/* What -r says of a text that is hardly meant as a file's name, or NULL. */
static const char *
no_file(const char *target)
{
	if (strpbrk(target, " \t") != NULL && strchr(target, '=') != NULL)
		return "parameters stand behind commas here";
	if (strncasecmp(target, "unix:", 5) == 0)
		return "the path of the socket stands alone, without unix:";
	if (strcmp(target, "status") == 0 || strcmp(target, "ready") == 0)
		return "it ends in a colon; a socket of that name is ./NAME";
	if (strcmp(target, "child") == 0)
		return "it is :child; a socket of that name is ./child";
	if (isalpha((unsigned char)*target) && target[strspn(target,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789+-.")] == ':')
		return "no such target is known; a socket of that name is "
		    "./NAME";
	return NULL;
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
	if (strncasecmp(target, "fd://", 5) == 0) {
		target += 5;
	} else if (is_address(target)) {
		wrong(r, "ProxyPass: a backend has a unix socket, and no "
		    "address: run the server by fdaccept -p PORT=SOCKET, and "
		    "name SOCKET here, near \"%s\"", target);
		return false;
	} else if (r->bare && strncasecmp(target, "fd:", 3) != 0 &&
	    no_file(target) != NULL) {
		wrong(r, "ProxyPass: %s, near \"%s\"", no_file(target), target);
		return false;
	} else if (!r->bare || strncasecmp(target, "fd:", 3) == 0) {
		wrong(r, "ProxyPass: the target must be fd://PATH, :child, "
		    "status:, ready: or !, near \"%s\"", target);
		return false;
	}
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

static void
free_flush(struct config_flush *f)
{
	flush_free(f->flush);
	free(f->name);
	free(f->headers);
	free(f->where);
	free(f);
}

/* The flusher is made at the end, when ServerTokens is known. */
static bool
pass_flusher(struct reader *r, struct pass *p)
{
	struct config_flush *f, **last = &r->config->flushes;
	const char *name = p->flusher;
	char path[4096];

	if (strncmp(name, "file:", 5) == 0 && name[5] != '/') {
		text_format(path, sizeof(path), "file:%s/%s", r->dir, name + 5);
		name = path;
	}
	for (; (f = *last) != NULL; last = &f->next) {
		if (strcmp(f->name, name) == 0 &&
		    strcmp(f->headers, p->headers) == 0) {
			p->t.made = f;
			return true;
		}
	}
	f = calloc(1, sizeof(*f));
	if (f == NULL) {
		wrong(r, "out of memory");
		return false;
	}
	f->name = copy(r, name);
	f->headers = copy(r, p->headers);
	f->where = copy_where(r);
	f->own_server = p->own_server;
	if (f->name == NULL || f->headers == NULL || f->where == NULL) {
		free_flush(f);
		return false;
	}
	*last = p->t.made = f;
	return true;
}

static void
add_target(struct reader *r, const char *path, struct config_target *t)
{
	struct config *c = r->config;
	struct config_target *all = c->targets;

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
	t->path = copy(r, path);
	t->where = copy_where(r);
	all[c->ntargets] = *t;
	if (route_add(c->routes, path) != (int)c->ntargets)
		wrong(r, "out of memory");
	c->ntargets++;
}

static void
set_proxy_pass(struct reader *r, char **words)
{
	struct pass p = { .flusher = "flush", .t.connect_ms = 5000 };
	int i, before = r->config->errors;
	bool passes;

	if (*words[1] != '/')
		wrong(r, "ProxyPass: the path must begin with '/', near "
		    "\"%s\"", words[1]);
	else if (strpbrk(words[1], "?#") != NULL)
		wrong(r, "ProxyPass: a path has no '?' or '#', near \"%s\"",
		    words[1]);
	if (!pass_target(r, &p, words[2]))
		return;
	for (i = 3; words[i] != NULL; i++)
		pass_parameter(r, &p, words[i]);
	passes = p.t.kind == CONFIG_SOCKET || p.t.kind == CONFIG_DIRECTORY;
	if (!passes && words[3] != NULL)
		wrong(r, "ProxyPass: \"%s\" takes no parameters", words[2]);
	if (passes && !pass_flusher(r, &p))
		return;
	if (p.t.hold && strcmp(p.flusher, "none") == 0)
		wrong(r, "ProxyPass: flushpackets=off has no effect with "
		    "flusher=none");
	/* Faults are seen best where nothing is joined. */
	if (p.t.compat || p.t.nfaults > 0)
		p.t.hold = false;
	if (r->config->errors == before)
		add_target(r, words[1], &p.t);
}

#define AT(member)	offsetof(struct config, member)

/* Alphabetical; the manual page describes each of them. */
static const struct directive directives[] = {
	{ "AcceptFilter", 2, 2, set_accept_filter, 0, 0, 0 },
	{ "ChrootDir", 1, 1, set_chroot, AT(chroot), 0, 0 },
	{ "CustomLog", 1, 2, set_custom_log, AT(access_log), 0, 0 },
	{ "Date", 1, 1, set_date, 0, 0, 0 },
	{ "ErrorLog", 1, 1, set_log, AT(error_log), 0, 0 },
	{ "GracefulShutdownTimeout", 1, 1, set_time, AT(graceful_ms), 0, 0 },
	{ "Group", 1, 1, set_word, AT(group), 0, 0 },
	{ "Include", 1, 1, set_include, 0, 0, 0 },
	{ "LimitRequestFields", 1, 1, set_number, AT(limits.fields), 1, 32767 },
	{ "LimitRequestFieldSize", 1, 1, set_number, AT(limits.field),
	    16, HTTP_HEAD_MAX },
	{ "LimitRequestHead", 1, 1, set_number, AT(limits.head),
	    64, HTTP_HEAD_MAX },
	{ "LimitRequestLine", 1, 1, set_number, AT(limits.line),
	    16, HTTP_HEAD_MAX },
	{ "Listen", 1, WORDS_MAX, set_listen, 0, 0, 0 },
	{ "ListenBacklog", 1, 1, set_number, AT(backlog), 1, INT_MAX },
	{ "LogLevel", 1, 1, set_log_level, 0, 0, 0 },
	{ "MaxConnections", 1, 1, set_number, AT(max_connections),
	    1, 10000000 },
	{ "PidFile", 1, 1, set_file, AT(pid_file), 0, 0 },
	{ "ProxyPass", 2, WORDS_MAX, set_proxy_pass, 0, 0, 0 },
	{ "ProxyPassMatch", 0, WORDS_MAX, set_refused, 0, 0, 0 },
	{ "RequestReadTimeout", 1, 1, set_read_timeout, AT(head_ms), 1, 0 },
	{ "ServerTokens", 1, 1, set_server_tokens, 0, 0, 0 },
	{ "StartTimeout", 1, 1, set_time, AT(start_ms), 0, 0 },
	{ "StopTimeout", 1, 1, set_time, AT(stop_ms), 0, 0 },
	{ "Timeout", 1, 1, set_time, AT(flush_ms), 1, 0 },
	{ "User", 1, 1, set_word, AT(user), 0, 0 }
};

#undef AT

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
		r->now = d;
		if (n - 1 < d->min)
			wrong(r, "%s: too few arguments", d->name);
		else if (n - 1 > d->max)
			wrong(r, "%s: too many arguments, near \"%s\"",
			    d->name, words[d->max + 1]);
		else
			d->set(r, words);
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

/*
 * A FIFO may be read at the start; later, its writer would be waited for: -1,
 * and errno is 0.
 */
static int
open_file(const struct config *c, const char *path)
{
	struct stat st;
	int fd;

	if (strcmp(path, "-") == 0)
		return dup(STDIN_FILENO);
	fd = open(path, O_RDONLY | O_CLOEXEC | (c->again ? O_NONBLOCK : 0));
	if (fd == -1 || !c->again)
		return fd;
	if (fstat(fd, &st) == 0 && !S_ISFIFO(st.st_mode))
		return fd;
	close(fd);
	errno = 0;
	return -1;
}

static void
read_file(struct reader *from, const char *path)
{
	struct reader r = *from;
	char dir[4096];
	char *text = NULL;
	size_t len;
	int fd;

	fd = open_file(from->config, path);
	if (fd != -1) {
		text = slurp(fd, &len);
		close(fd);
	}
	if (text == NULL || !folder(path, dir, sizeof(dir))) {
		wrong(from, "cannot read %s: %s", path, errno == 0 ?
		    "nobody may be writing to it" : strerror(errno));
		from->config->may_listen = true;
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
	struct reader r = { .config = config, .name = "-f", .dir = "" };

	read_file(&r, path);
}

void
config_text(struct config *config, const char *name, const char *dir,
    const char *text, size_t len)
{
	struct reader r = { .config = config, .name = name, .line = 1,
	    .dir = dir };
	char *own = malloc(len + 1);

	if (own == NULL) {
		wrong(&r, "out of memory");
		return;
	}
	memcpy(own, text, len);
	read_lines(&r, own, len);
	free(own);
}

/* An option: relative paths are under the current folder. */
static bool
begin_option(struct reader *r, struct config *config, const char *name)
{
	static char dir[4096];

	memset(r, 0, sizeof(*r));
	r->config = config;
	r->name = name;
	r->dir = dir;
	if (folder("-", dir, sizeof(dir)))
		return true;
	wrong(r, "cannot find the current folder: %s", strerror(errno));
	return false;
}

void
config_directive(struct config *config, const char *text)
{
	struct reader r;
	char *own;

	if (!begin_option(&r, config, "-c"))
		return;
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
	struct reader r;

	if (begin_option(&r, config, "-l"))
		run(&r, words, 2);
}

void
config_user(struct config *config, const char *user)
{
	struct reader r = { .config = config, .name = "-u", .dir = "" };
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
	struct reader r = { .config = config, .name = "LISTEN_FDS", .dir = "" };
	struct config_listen one = { .inherited = fd, .mode = -1 };

	add_listener(&r, &one);
}

/* PATH=TARGET[,key=value ...]; a target without a scheme is a socket's path. */
void
config_route(struct config *config, const char *route)
{
	char name[] = "ProxyPass", *words[WORDS_MAX + 1], *own, *p;
	struct reader r;
	int n = 0;

	if (!begin_option(&r, config, "-r"))
		return;
	r.bare = true;
	own = copy(&r, route);
	if (own == NULL)
		return;
	words[n++] = name;
	words[n++] = own;
	for (p = strchr(own, '='); p != NULL && n < WORDS_MAX;
	    p = strchr(p, ',')) {
		*p++ = '\0';
		words[n++] = p;
	}
	words[n] = NULL;
	if (n == 2)
		wrong(&r, "PATH=SOCKET expected, near \"%s\"", route);
	else
		run(&r, words, n);
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
		free_flush(f);
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

/* Whether a route's path has been written as it would stand in a request. */
static bool
is_escaped(const char *path)
{
	for (; (path = strchr(path, '%')) != NULL; path++)
		if (isxdigit((unsigned char)path[1]) &&
		    isxdigit((unsigned char)path[2]))
			return true;
	return false;
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
		if (is_escaped(t->path))
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

/* Whether the backend reads the client's requests by itself. */
static bool
is_raw(const struct config_target *t)
{
	return (t->kind == CONFIG_SOCKET || t->kind == CONFIG_DIRECTORY) &&
	    !flush_consumes(t->flush);
}

void
config_notes(const struct config *config)
{
	const struct config_target *t, *other;
	uint32_t i, j;

	for (i = 0; i < config->ntargets; i++) {
		t = &config->targets[i];
		for (j = 0; is_raw(t) && j < config->ntargets; j++) {
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
	}
}

static void
make_flushes(struct config *c)
{
	struct reader r = { .config = c, .name = "", .dir = "" };
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
	struct reader r = { .config = config, .name = "configuration",
	    .dir = "" };

	if (config->listeners == 0 && !config->may_listen)
		wrong(&r, "nothing to listen on: give Listen or -l");
	make_flushes(config);
	if (!number_queues(config))
		wrong(&r, "out of memory");
	if (config->nqueues > CONFIG_SOCKETS)
		wrong(&r, "more than %d different sockets", CONFIG_SOCKETS);
	if (config->errors > 0)
		return false;
	if (config->ntargets == 0)
		log_warn("there is no route: all requests get 404");
	find_hidden(config);
	return true;
}
