/* See LICENSE for copyright and license details. */
#include <ctype.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "config_read.h"
#include "config_route.h"
#include "log.h"

struct directive {
	const char *name;
	int min;		/* number of arguments */
	int max;
	void (*set)(struct config_reader *r, char **words);
	/* Of a directive that sets one member of struct config: */
	size_t offset;		/* of that member */
	uint32_t from;		/* the least value */
	uint32_t to;		/* the greatest, of a number */
};

static bool
add_listener(struct config_reader *r, const struct config_listen *one)
{
	struct config *c = r->config;
	int i;

	for (i = 0; one->inherited != -1 && i < c->listeners; i++)
		if (c->listen[i].inherited == one->inherited)
			return true;
	if (c->listeners == CONFIG_LISTENERS) {
		config_read_error(r, "Listen: more than %d addresses",
		    CONFIG_LISTENERS);
		return false;
	}
	c->listen[c->listeners++] = *one;
	return true;
}

/* ---- directives that set one member ---- */

static void *
member(const struct config_reader *r)
{
	return (char *)r->config + r->directive->offset;
}

static void
set_number(struct config_reader *r, char **words)
{
	config_read_number(r, words[0], words[1], r->directive->from,
	    r->directive->to, member(r));
}

static void
set_time(struct config_reader *r, char **words)
{
	uint32_t *dst = member(r), ms;

	if (!config_read_time(r, words[0], words[1], &ms))
		return;
	if (ms < r->directive->from)
		config_read_error(r, "%s: must be more than 0", words[0]);
	else
		*dst = ms;
}

static void
set_word(struct config_reader *r, char **words)
{
	config_read_string(r, member(r), words[1]);
}

/* A relative path is under the folder of the configuration's file. */
static void
set_file(struct config_reader *r, char **words)
{
	char full[4096];

	if (*words[1] == '\0' || *words[1] == '|')
		config_read_error(r, "a file expected, near \"%s\"", words[1]);
	else if (config_read_path(r, words[1], full, sizeof(full)))
		config_read_string(r, member(r), full);
}

/*
 * The names that systems have for our own descriptors stand for these: open(2)
 * fails there where it is a socket, as under systemd, or another user's.
 */
static void
set_log(struct config_reader *r, char **words)
{
	static const struct {
		const char *file;
		const char *name;
	} own[] = {
		{ "/dev/stdout", "fd:1" }, { "/dev/fd/1", "fd:1" },
		{ "/proc/self/fd/1", "fd:1" }, { "/dev/stderr", "stderr" },
		{ "/dev/fd/2", "stderr" }, { "/proc/self/fd/2", "stderr" }
	};
	const char *name = words[1];
	bool given;
	uint32_t fd;
	size_t i;

	for (i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (strcmp(name, own[i].file) == 0)
			name = words[1] = (char *)own[i].name;
	given = strncmp(name, "fd:", 3) == 0;
	if (given && !config_read_number(r, "a log's fd:", name + 3, 0, INT_MAX,
	    &fd))
		return;
	if (given || strcmp(name, "stderr") == 0 ||
	    strcmp(name, "syslog") == 0)
		set_word(r, words);
	else if (strcmp(name, "stdout") == 0)
		config_read_error(r, "standard output is fd:1 here, near "
		    "\"%s\"", name);
	else if (strncmp(name, "syslog:", 7) == 0)
		config_read_error(r, "syslog has no parameters here, near "
		    "\"%s\"", name);
	else
		set_file(r, words);
}

/* ---- all others ---- */

static void
set_listen(struct config_reader *r, char **words)
{
	struct config_listen one = { .inherited = -1, .mode = -1 };
	struct sock_addr addr[2];
	const char *error, *word;
	uint32_t fd;
	int i, got = 1, before = r->config->errors;
	bool file;

	memset(addr, 0, sizeof(addr));
	r->config->listen_seen = true;
	if (strncmp(words[1], "fd:", 3) == 0) {
		if (!config_read_number(r, "Listen fd:", words[1] + 3, 0,
		    INT_MAX, &fd))
			return;
		one.inherited = (int)fd;
	} else if ((error = sock_parse(words[1], addr, &got)) != NULL) {
		config_read_error(r, "Listen: %s, near \"%s\"", error,
		    words[1]);
		return;
	}
	one.addr = addr[0];
	file = sock_is_file(&one.addr);
	for (i = 2; words[i] != NULL; i++) {
		word = words[i];
		if (!(file && config_read_right(r, words[0], word, &one)) &&
		    strcasecmp(word, "http") != 0)
			config_read_error(r, "Listen: only http, and for unix: "
			    "mode=, owner= and group= can follow, near \"%s\"",
			    word);
	}
	if (r->config->errors > before || !add_listener(r, &one)) {
		free(one.owner);
		free(one.group);
	} else if (got == 2) {
		one.addr = addr[1];
		one.twin = true;
		add_listener(r, &one);
	}
}

static void
set_include(struct config_reader *r, char **words)
{
	char path[4096];

	if (strpbrk(words[1], "*?[") != NULL)
		config_read_error(r, "Include: one file and no pattern; write "
		    "a line for each, near \"%s\"", words[1]);
	else if (config_read_path(r, words[1], path, sizeof(path)))
		config_read_file(r, path);
}

static void
set_chroot(struct config_reader *r, char **words)
{
	if (*words[1] != '/')
		config_read_error(r, "ChrootDir: an absolute path expected, "
		    "near \"%s\"", words[1]);
	else
		set_word(r, words);
}

static void
set_custom_log(struct config_reader *r, char **words)
{
	bool json = words[2] != NULL && strcasecmp(words[2], "json") == 0;

	if (words[2] != NULL && !json && strcasecmp(words[2], "common") != 0) {
		config_read_error(r, "CustomLog: the formats are common and "
		    "json, near \"%s\"", words[2]);
	} else if (*words[1] == '|') {
		config_read_error(r, "CustomLog: programs are not started, "
		    "near \"%s\"", words[1]);
	} else {
		r->config->access_json = json;
		set_log(r, words);
	}
}

/* A word and what it stands for; the last one is NULL. */
struct word {
	const char *text;
	int value;
};

/* The value of a word, in letters of either case, or -1. */
static int
value_of(const struct word *all, const char *text)
{
	for (; all->text != NULL; all++)
		if (strcasecmp(text, all->text) == 0)
			return all->value;
	return -1;
}

/* Levels that others have as well stand for the nearest one. */
static void
set_log_level(struct config_reader *r, char **words)
{
	static const struct word others[] = {
		{ "emerg", LOG_L_ERROR }, { "alert", LOG_L_ERROR },
		{ "crit", LOG_L_ERROR }, { "warning", LOG_L_WARN },
		{ "trace1", LOG_L_DEBUG }, { "trace2", LOG_L_DEBUG },
		{ "trace3", LOG_L_DEBUG }, { "trace4", LOG_L_DEBUG },
		{ "trace5", LOG_L_DEBUG }, { "trace6", LOG_L_DEBUG },
		{ "trace7", LOG_L_DEBUG }, { "trace8", LOG_L_DEBUG },
		{ NULL, 0 }
	};
	int level = log_level_named(words[1]);

	if (level == -1)
		level = value_of(others, words[1]);
	if (level == -1)
		config_read_error(r, "LogLevel: one of error, warn, notice, "
		    "info, debug, near \"%s\"", words[1]);
	else
		r->config->log_level = level;
}

static void
set_read_timeout(struct config_reader *r, char **words)
{
	if (strncasecmp(words[1], "header=", 7) != 0 ||
	    strpbrk(words[1] + 7, "-,") != NULL) {
		config_read_error(r, "RequestReadTimeout: only header=TIME, "
		    "one deadline for the whole head, near \"%s\"", words[1]);
	} else {
		words[1] += 7;
		set_time(r, words);
	}
}

static void
set_accept_filter(struct config_reader *r, char **words)
{
	if (strcasecmp(words[1], "http") != 0 ||
	    (strcasecmp(words[2], "data") != 0 &&
	    strcasecmp(words[2], "none") != 0))
		config_read_error(r, "AcceptFilter: only \"http data\" or "
		    "\"http none\"");
	else
		r->config->defer = strcasecmp(words[2], "data") == 0;
}

static void
set_server_tokens(struct config_reader *r, char **words)
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
	config_read_error(r, "ServerTokens: one of Full, Minimal, Prod, None, "
	    "near \"%s\"", words[1]);
}

static void
set_stop_signal(struct config_reader *r, char **words)
{
	static const struct word signals[] = {
		{ "HUP", SIGHUP }, { "INT", SIGINT }, { "QUIT", SIGQUIT },
		{ "KILL", SIGKILL }, { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 },
		{ "TERM", SIGTERM }, { "WINCH", SIGWINCH }, { NULL, 0 }
	};
	const char *name = words[1];
	unsigned long n;
	int sig;

	name += strncasecmp(name, "SIG", 3) == 0 ? 3 : 0;
	sig = value_of(signals, name);
	if (text_number(words[1], 10, 31, &n) && n > 0)
		sig = (int)n;
	if (sig == -1)
		config_read_error(r, "StopSignal: one of TERM, INT, QUIT, HUP, "
		    "USR1, USR2, WINCH, KILL, or a number from 1 to 31, near "
		    "\"%s\"", words[1]);
	else
		r->config->stop_signal = sig;
}

/* A date of RFC 9110, 5.6.7, by its form. */
static bool
is_date(const char *text)
{
	const char *form = "Aaa, 00 Aaa 0000 00:00:00 GMT";

	for (; *form != '\0'; form++, text++)
		if (*form == 'A' ? !isupper((unsigned char)*text) :
		    *form == 'a' ? !islower((unsigned char)*text) :
		    *form == '0' ? !isdigit((unsigned char)*text) :
		    *form != *text)
			return false;
	return *text == '\0';
}

static void
set_date(struct config_reader *r, char **words)
{
	if (strcasecmp(words[1], "on") == 0) {
		r->config->own.date = NULL;
	} else if (strcasecmp(words[1], "off") == 0) {
		r->config->own.date = "";
	} else if (is_date(words[1])) {
		config_read_string(r, &r->config->date, words[1]);
		r->config->own.date = r->config->date;
	} else {
		config_read_error(r, "Date: on, off, or a date as in \"%s\", "
		    "near \"%s\"", clock_date(0), words[1]);
	}
}

static void
set_refused(struct config_reader *r, char **words)
{
	config_read_error(r, "%s is not supported: %s", words[0],
	    strcmp(words[0], "IncludeOptional") == 0 ?
	    "Include reads one file, which must be there" :
	    "ProxyPass serves all below its path, and a target that ends in "
	    "'/' names a folder of sockets");
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
	{ "IncludeOptional", 0, CONFIG_WORDS, set_refused, 0, 0, 0 },
	{ "KeepAliveTimeout", 1, 1, set_time, AT(keepalive_ms), 0, 0 },
	{ "LimitRequestFields", 1, 1, set_number, AT(limits.fields), 1, 32767 },
	{ "LimitRequestFieldSize", 1, 1, set_number, AT(limits.field),
	    16, HTTP_HEAD_MAX },
	{ "LimitRequestHead", 1, 1, set_number, AT(limits.head),
	    64, HTTP_HEAD_MAX },
	{ "LimitRequestLine", 1, 1, set_number, AT(limits.line),
	    16, HTTP_HEAD_MAX },
	{ "Listen", 1, CONFIG_WORDS, set_listen, 0, 0, 0 },
	{ "ListenBacklog", 1, 1, set_number, AT(backlog), 1, INT_MAX },
	{ "LogLevel", 1, 1, set_log_level, 0, 0, 0 },
	{ "MaxConnections", 1, 1, set_number, AT(max_connections),
	    1, 10000000 },
	{ "PidFile", 1, 1, set_file, AT(pid_file), 0, 0 },
	{ "ProxyPass", 2, CONFIG_WORDS, config_route_set, 0, 0, 0 },
	{ "ProxyPassMatch", 0, CONFIG_WORDS, set_refused, 0, 0, 0 },
	{ "RequestReadTimeout", 1, 1, set_read_timeout, AT(head_ms), 1, 0 },
	{ "ServerTokens", 1, 1, set_server_tokens, 0, 0, 0 },
	{ "StartTimeout", 1, 1, set_time, AT(start_ms), 0, 0 },
	{ "StopDelay", 1, 1, set_time, AT(stop_delay_ms), 0, 0 },
	{ "StopSignal", 1, 1, set_stop_signal, 0, 0, 0 },
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
run_directive(struct config_reader *r, char **words, int n)
{
	const struct directive *d;
	size_t i;

	for (i = 0; i < sizeof(directives) / sizeof(*directives); i++) {
		d = &directives[i];
		if (strcasecmp(words[0], d->name) != 0)
			continue;
		words[0] = (char *)d->name;
		r->directive = d;
		if (n - 1 < d->min)
			config_read_error(r, "%s: too few arguments", d->name);
		else if (n - 1 > d->max)
			config_read_error(r, "%s: too many arguments, near "
			    "\"%s\"", d->name, words[d->max + 1]);
		else
			d->set(r, words);
		return;
	}
	config_read_error(r, "unknown directive, near \"%s\"%s", words[0],
	    *words[0] == '<' ? " (there are no sections)" :
	    strpbrk(words[n - 1], ";{}") != NULL ?
	    " (names are Apache's, and nothing ends a line)" : "");
}

static struct config_reader
reader(struct config *config, const char *name)
{
	return (struct config_reader){ .config = config, .run = run_directive,
	    .name = name, .dir = "" };
}

void
config_file(struct config *config, const char *path)
{
	struct config_reader r = reader(config, "-f");

	config_read_file(&r, path);
}

void
config_text(struct config *config, const char *name, const char *dir,
    const char *text, size_t len)
{
	struct config_reader r = reader(config, name);
	char *own = malloc(len + 1);

	r.line = 1;
	r.dir = dir;
	if (own == NULL) {
		config_read_error(&r, "out of memory");
		return;
	}
	memcpy(own, text, len);
	config_read_lines(&r, own, len);
	free(own);
}

void
config_directive(struct config *config, const char *text)
{
	struct config_reader r = reader(config, "-c");
	char *own;

	if (!config_read_option(&r))
		return;
	own = config_read_copy(&r, text);
	if (own != NULL)
		config_read_line(&r, own);
	free(own);
}

void
config_listen(struct config *config, const char *address)
{
	char name[] = "Listen";
	char *words[] = { name, (char *)address, NULL };
	struct config_reader r = reader(config, "-l");

	if (config_read_option(&r))
		run_directive(&r, words, 2);
}

void
config_user(struct config *config, const char *user)
{
	struct config_reader r = reader(config, "-u");
	char *colon;

	if (*user == '\0' || *user == ':' || user[strlen(user) - 1] == ':') {
		config_read_error(&r, "user[:group] expected, near \"%s\"",
		    user);
		return;
	}
	config_read_string(&r, &config->user, user);
	colon = config->user == NULL ? NULL : strchr(config->user, ':');
	if (colon != NULL) {
		config_read_string(&r, &config->group, colon + 1);
		*colon = '\0';
	}
}

void
config_inherit(struct config *config, int fd)
{
	struct config_reader r = reader(config, "LISTEN_FDS");
	struct config_listen one = { .inherited = fd, .mode = -1 };

	add_listener(&r, &one);
}

/* PATH=TARGET[,key=value ...]; a target without a scheme is a socket's path. */
void
config_route(struct config *config, const char *route)
{
	char name[] = "ProxyPass", *words[CONFIG_WORDS + 1], *own, *p;
	struct config_reader r = reader(config, "-r");
	int n = 0;

	if (!config_read_option(&r))
		return;
	r.from_option_r = true;
	own = config_read_copy(&r, route);
	if (own == NULL)
		return;
	words[n++] = name;
	words[n++] = own;
	for (p = strchr(own, '='); p != NULL && n < CONFIG_WORDS;
	    p = strchr(p, ',')) {
		*p++ = '\0';
		words[n++] = p;
	}
	words[n] = NULL;
	if (n == 2)
		config_read_error(&r, "PATH=SOCKET expected, near \"%s\"",
		    route);
	else
		run_directive(&r, words, n);
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
	c->flush_end = &c->flushes;
	c->limits.line = 8190;
	c->limits.field = 8190;
	c->limits.fields = 100;
	c->limits.head = 16384;
	c->head_ms = 20000;
	c->flush_ms = 20000;
	c->keepalive_ms = 5000;
	c->start_ms = 30000;
	c->stop_ms = 5000;
	c->stop_signal = SIGTERM;
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
	int i;

	if (config == NULL)
		return;
	for (i = 0; i < config->listeners; i++) {
		/* Its strings are the other half's; or those of workers[]. */
		if (config->listen[i].twin || config->listen[i].workers)
			continue;
		free(config->listen[i].owner);
		free(config->listen[i].group);
	}
	for (i = 0; i < config->nworkers; i++) {
		free(config->workers[i].owner);
		free(config->workers[i].group);
	}
	config_route_free(config);
	free(config->user);
	free(config->group);
	free(config->chroot);
	free(config->error_log);
	free(config->access_log);
	free(config->pid_file);
	free(config->date);
	free(config);
}

void
config_child(struct config *config, const struct sock_addr *addr)
{
	uint32_t i;

	for (i = 0; i < config->ntargets; i++)
		if (config->targets[i].child && !config->targets[i].workers)
			config->targets[i].addr = *addr;
}

bool
config_finish(struct config *config)
{
	struct config_reader r = reader(config, "configuration");

	if (config->listeners == 0 && !config->listen_seen)
		config_read_error(&r, "nothing to listen on: give Listen or "
		    "-l");
	config_route_finish(&r);
	if (config->errors > 0)
		return false;
	if (config->ntargets == 0)
		log_warn("there is no route: all requests get 404");
	if (config->chroot != NULL && config->user == NULL && geteuid() == 0)
		log_warn("ChrootDir: a root process in a chroot is no prison; "
		    "set User");
	config_route_warn(config);
	return true;
}
