/* See LICENSE for copyright and license details. */
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "config.h"
#include "fuzz.h"
#include "log.h"

/*
 * The first byte picks how the rest is read: as a file, or as one of the
 * options.  Nothing may be opened: what names a file is left out.
 */

static int reports;

static void
report(const char *line)
{
	static const char *const names[] = { "fuzz:", "-c: ", "-l: ", "-r: ",
	    "-u: ", "configuration: " };
	size_t i;

	reports++;
	MUST(strlen(line) < LOG_LINE);
	for (i = 0; line[i] != '\0'; i++)
		MUST(line[i] >= ' ' && line[i] < 0x7f);
	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strncmp(line, names[i], strlen(names[i])) == 0)
			return;
	MUST(line == NULL);
}

static bool
holds(const char *text, size_t len, const char *word)
{
	size_t i, n = strlen(word);

	for (i = 0; i + n <= len; i++)
		if (strncasecmp(text + i, word, n) == 0)
			return true;
	return false;
}

/*
 * A line that goes on in the next, a quote or a backslash may stand within a
 * word; without them it is as it will be read.
 */
static bool
opens_files(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	size_t i, n = 0;
	bool found;

	MUST(text != NULL);
	for (i = 0; i < size; i++)
		if (data[i] != '\\' && data[i] != '\n' && data[i] != '\r' &&
		    data[i] != '"' && data[i] != '\'')
			text[n++] = (char)data[i];
	found = holds(text, n, "include") || holds(text, n, "file:");
	free(text);
	return found;
}

/* An address is read back from its text, to the byte. */
static void
check_address(const struct sock_addr *addr)
{
	struct sock_addr again[2];
	char text[SOCK_TEXT];
	int n;

	MUST(sock_parse(sock_text(addr, text, sizeof(text)), again, &n) ==
	    NULL && n == 1);
	MUST(sock_same(addr, &again[0]));
	MUST(addr->len == again[0].len);
	MUST(memcmp(&addr->u, &again[0].u, sizeof(addr->u)) == 0);
}

static void
check_listeners(const struct config *c)
{
	const struct config_listen *l;
	int i, j;

	MUST(c->nworkers >= 0 && c->nworkers <= CONFIG_WORKERS);
	MUST(c->listeners >= 0 && c->listeners <= CONFIG_LISTENERS +
	    c->nworkers);
	for (i = 0; i < c->listeners; i++) {
		l = &c->listen[i];
		MUST(l->mode >= -1 && l->mode <= 0777);
		MUST(l->workers == (i >= c->listeners - c->nworkers));
		MUST(!l->workers || l->queue < c->nqueues);
		MUST(l->owner == NULL || *l->owner != '\0');
		MUST(l->group == NULL || *l->group != '\0');
		if (!sock_is_file(&l->addr))
			MUST(l->mode == -1 && l->owner == NULL &&
			    l->group == NULL);
		if (l->inherited != -1) {
			MUST(l->inherited >= 0 && !l->twin);
			for (j = 0; j < i; j++)
				MUST(c->listen[j].inherited != l->inherited);
			continue;
		}
		check_address(&l->addr);
		if (l->twin)
			MUST(i > 0 && !(l - 1)->twin &&
			    l->addr.u.sa.sa_family == AF_INET &&
			    (l - 1)->addr.u.sa.sa_family == AF_INET6 &&
			    sock_port(&l->addr) == sock_port(&(l - 1)->addr));
	}
}

/* A name for log_file(). */
static bool
is_log(const char *name)
{
	return name == NULL || *name == '/' || strcmp(name, "stderr") == 0 ||
	    strcmp(name, "syslog") == 0 || strncmp(name, "fd:", 3) == 0;
}

static void
check_socket(const struct config_target *t)
{
	const char *name = t->addr.u.un.sun_path;
	struct sock_addr again;
	char text[SOCK_TEXT];

	sock_path(&t->addr, text, sizeof(text));
	MUST(strlen(text) == t->path_len);
	MUST(sock_unix(&again, text, t->path_len));
	MUST(sock_same(&t->addr, &again));
	MUST(*text == '/' || *text == '@');
	MUST(sock_is_file(&t->addr) == (*text == '/'));
	MUST((*name == '\0') == (*text == '@'));
	/* An abstract name is never a folder's. */
	MUST((*text == '/' && text[t->path_len - 1] == '/') ==
	    (t->kind == CONFIG_DIRECTORY));
}

static void
check(const struct config *c, bool fine)
{
	const struct config_target *t;
	size_t rest;
	uint32_t i;
	int n;

	MUST(fine == (c->errors == 0));
	MUST(reports == (c->errors <= CONFIG_ERRORS ? c->errors :
	    CONFIG_ERRORS + 1));
	MUST(!fine || c->listeners > 0);
	check_listeners(c);
	MUST(is_log(c->error_log) && is_log(c->access_log));
	MUST(c->pid_file == NULL || *c->pid_file == '/');
	MUST(c->chroot == NULL || *c->chroot == '/');
	MUST(c->limits.line >= 16 && c->limits.line <= HTTP_HEAD_MAX);
	MUST(c->limits.field >= 16 && c->limits.field <= HTTP_HEAD_MAX);
	MUST(c->limits.head >= 64 && c->limits.head <= HTTP_HEAD_MAX);
	MUST(c->limits.fields >= 1 && c->limits.fields <= 32767);
	MUST(c->head_ms > 0 && c->flush_ms > 0 && c->backlog > 0);
	MUST(c->stop_signal >= 1 && c->stop_signal <= 31);
	MUST(c->date == NULL || strlen(c->date) == CLOCK_DATE_LEN);
	MUST(c->nqueues <= c->ntargets);
	for (i = 0; i < c->ntargets; i++) {
		t = &c->targets[i];
		MUST(*t->path == '/' && *t->where != '\0');
		n = route_match(c->routes, t->path, strlen(t->path), &rest);
		MUST(n >= 0 && (uint32_t)n <= i);
		MUST(t->queue < c->nqueues);
		MUST(t->hidden == (fine && (uint32_t)n < i));
		MUST(t->passed == 0);
		if (i > 0)
			MUST((t->queue == (t - 1)->queue) ==
			    sock_same(&t->addr, &(t - 1)->addr));
		MUST(!t->child || (t->kind == CONFIG_SOCKET && (t->workers ?
		    c->channel : c->child)));
		MUST(!t->workers || (t->kind == CONFIG_SOCKET &&
		    c->has_workers));
		if (t->kind != CONFIG_SOCKET && t->kind != CONFIG_DIRECTORY) {
			MUST(t->flush == NULL && t->flush_spec == NULL);
			MUST(t->path_len == 0 && t->addr.len == 0);
			continue;
		}
		if (t->child)
			MUST(t->path_len == 0 && (t->addr.len == 0) ==
			    !t->workers);
		else
			check_socket(t);
		MUST(!fine || t->flush != NULL);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const options[])(struct config *c, const char *text) = {
		config_directive, config_listen, config_route, config_user
	};
	struct config *c;
	char *text;
	unsigned int how;

	if (size < 1 || opens_files(data, size))
		return 0;
	log_level(LOG_L_ERROR);
	reports = 0;
	c = config_new(report);
	MUST(c != NULL);
	how = data[0] % 8;
	if (how < 4) {
		text = malloc(size);
		MUST(text != NULL);
		memcpy(text, data + 1, size - 1);
		text[size - 1] = '\0';
		options[how](c, text);
		free(text);
	} else {
		config_text(c, "fuzz", "/d", (const char *)data + 1,
		    size - 1);
	}
	check(c, config_finish(c));
	config_free(c);
	return 0;
}
