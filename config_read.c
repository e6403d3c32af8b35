/* See LICENSE for copyright and license details. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_read.h"
#include "log.h"

#define DEPTH_MAX	16		/* of Include */
#define FILES_MAX	1000		/* in all, with so many bytes: */
#define BYTES_MAX	((size_t)16 * 1024 * 1024)
#define TIME_MAX	864000000ul	/* ms; clocks wrap later */

/* What a terminal would obey is escaped, as in all messages. */
static void
escape(char *dst, size_t size, const char *src)
{
	size_t n = 0;

	for (*dst = '\0'; *src != '\0' && n + 5 < size; src++)
		n += text_format(dst + n, size - n,
		    *src >= ' ' && *src < 0x7f ? "%c" : "\\x%02x",
		    (unsigned char)*src);
}

static void
write_place(const struct config_reader *r, char *dst, size_t size)
{
	if (r->line == 0)
		text_format(dst, size, "%s", r->name);
	else
		text_format(dst, size, "%s:%u", r->name, r->line);
}

/* Nobody knows what would have followed: that nothing listens is no error. */
static void
stop_reading(struct config *c)
{
	c->ended = true;
	c->listen_seen = true;
}

void
config_read_error(struct config_reader *r, const char *fmt, ...)
{
	struct config *c = r->config;
	char text[LOG_LINE], line[LOG_LINE];
	size_t n;
	va_list ap;

	if (c->errors++ > CONFIG_ERRORS)
		return;
	write_place(r, text, sizeof(text) / 2);
	n = strlen(text);
	n += text_format(text + n, sizeof(text) - n, ": ");
	if (c->errors > CONFIG_ERRORS) {
		text_format(text + n, sizeof(text) - n, "there are more "
		    "errors; nothing more is read");
		stop_reading(c);
	} else {
		va_start(ap, fmt);
		text_vformat(text + n, sizeof(text) - n, fmt, ap);
		va_end(ap);
	}
	escape(line, sizeof(line), text);
	c->report(line);
}

char *
config_read_copy(struct config_reader *r, const char *text)
{
	char *p = strdup(text);

	if (p == NULL)
		config_read_error(r, "out of memory");
	return p;
}

char *
config_read_place(struct config_reader *r)
{
	char text[LOG_LINE], place[LOG_LINE];

	write_place(r, text, sizeof(text));
	escape(place, sizeof(place), text);
	return config_read_copy(r, place);
}

bool
config_read_path(struct config_reader *r, const char *path, char *dst,
    size_t size)
{
	if (text_format(dst, size, "%s%s%s", *path == '/' ? "" : r->dir,
	    *path == '/' ? "" : "/", path) < size)
		return true;
	config_read_error(r, "a path is longer than %zu bytes", size - 1);
	return false;
}

bool
config_read_number(struct config_reader *r, const char *what, const char *text,
    uint32_t min, uint32_t max, uint32_t *out)
{
	unsigned long n;

	if (text_number(text, 10, max, &n) && n >= min) {
		*out = (uint32_t)n;
		return true;
	}
	config_read_error(r, "%s must be a number from %u to %u, near \"%s\"",
	    what, min, max, text);
	return false;
}

bool
config_read_time(struct config_reader *r, const char *what, const char *text,
    uint32_t *ms)
{
	static const struct {
		const char *name;
		unsigned long ms;
	} units[] = { { "", 1000 }, { "s", 1000 }, { "sec", 1000 },
	    { "ms", 1 }, { "min", 60000 }, { "h", 3600000 } };
	uint64_t n;
	const char *end = text_digits(text, 10, &n);
	size_t i;

	for (i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (end == text || strcasecmp(end, units[i].name) != 0 ||
		    n > TIME_MAX / units[i].ms)
			continue;
		*ms = (uint32_t)(n * units[i].ms);
		return true;
	}
	config_read_error(r, "%s must be a time in ms, s, min or h, at most "
	    "10 days, near \"%s\"", what, text);
	return false;
}

bool
config_read_right(struct config_reader *r, const char *what, const char *word,
    struct config_listen *l)
{
	unsigned long mode;

	if (strncasecmp(word, "mode=", 5) == 0) {
		if (text_number(word + 5, 8, 0777, &mode))
			l->mode = (int)mode;
		else
			config_read_error(r, "%s: mode= must be an octal "
			    "number up to 777, near \"%s\"", what, word);
	} else if (strncasecmp(word, "owner=", 6) == 0 && word[6] != '\0') {
		config_read_string(r, &l->owner, word + 6);
	} else if (strncasecmp(word, "group=", 6) == 0 && word[6] != '\0') {
		config_read_string(r, &l->group, word + 6);
	} else {
		return false;
	}
	return true;
}

void
config_read_string(struct config_reader *r, char **dst, const char *value)
{
	free(*dst);
	*dst = config_read_copy(r, value);
}

/*
 * Take one word off *text, in place, as Apache does: quotes at its start, or
 * behind a '=', hold blanks; in them a backslash quotes itself and the quote.
 * Returns NULL at the end of the line; *bad is set if no quote closes the word.
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
	return word;
}

void
config_read_line(struct config_reader *r, char *line)
{
	char *words[CONFIG_WORDS + 1], *word = NULL;
	bool bad = false;
	int n = 0;

	line += strspn(line, " \t\r\n\v\f");
	if (*line == '#')
		return;
	while (!bad && (word = next_word(&line, &bad)) != NULL) {
		if (n == CONFIG_WORDS) {
			config_read_error(r, "more than %d words",
			    CONFIG_WORDS);
			return;
		}
		words[n++] = word;
	}
	words[n] = NULL;
	if (bad)
		config_read_error(r, "a quote has no end, near \"%s\"", word);
	else if (n > 0)
		r->run(r, words, n);
}

/*
 * A line that ends in a backslash goes on in the next.  Lines are as long as
 * they like: the text is taken apart in place.
 */
void
config_read_lines(struct config_reader *r, char *text, size_t len)
{
	char *end = text + len, *out, *lf;
	unsigned int lines;

	/* Byte order marks: that of UTF-8, and those of UTF-16. */
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
	} else if (len >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 ||
	    memcmp(text, "\xfe\xff", 2) == 0)) {
		config_read_error(r, "the file is in UTF-16: save it as "
		    "UTF-8");
		stop_reading(r->config);
	}
	while (text < end && !r->config->ended) {
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
			config_read_error(r, "a NUL byte");
		else
			config_read_line(r, line);
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

/*
 * The bytes of a file ("-": standard input), with room for a NUL behind them,
 * or NULL with errno: EFBIG if all files together are too large.  A FIFO may be
 * read at the start; later, its writer would be waited for, so it is refused:
 * errno is 0.
 */
static char *
read_all(struct config *c, const char *path, size_t *len)
{
	bool given = strcmp(path, "-") == 0;
	size_t size = 4096;
	char *text = NULL, *more;
	struct stat st;
	ssize_t n = 1;
	int fd;

	fd = given ? dup(STDIN_FILENO) :
	    open(path, O_RDONLY | O_CLOEXEC | (c->again ? O_NONBLOCK : 0));
	if (fd == -1)
		return NULL;
	if (c->again && !given &&
	    (fstat(fd, &st) == -1 || S_ISFIFO(st.st_mode))) {
		close(fd);
		errno = 0;
		return NULL;
	}
	for (*len = 0; n > 0 && c->bytes < BYTES_MAX; *len += (size_t)n) {
		if (text == NULL || *len + 1 == size) {
			size *= 2;
			more = realloc(text, size);
			if (more == NULL) {
				n = -1;
				break;
			}
			text = more;
		}
		n = read(fd, text + *len, size - 1 - *len);
		if (n == -1)
			break;
		c->bytes += (size_t)n;
	}
	sock_drop(fd);
	if (n == 0)
		return text;
	if (n > 0)
		errno = EFBIG;
	free(text);
	return NULL;
}

void
config_read_file(struct config_reader *from, const char *path)
{
	struct config *c = from->config;
	struct config_reader r = *from;
	char dir[4096], *text;
	size_t len;
	bool deep = from->depth == DEPTH_MAX;

	if (c->ended)
		return;
	if (deep || c->files++ == FILES_MAX) {
		config_read_error(from, "Include: %s than %d files", deep ?
		    "deeper" : "more", deep ? DEPTH_MAX : FILES_MAX);
		stop_reading(c);
		return;
	}
	text = read_all(c, path, &len);
	if (text == NULL || !folder(path, dir, sizeof(dir))) {
		c->listen_seen = true;
		c->ended = errno == EFBIG;
		config_read_error(from, "cannot read %s: %s", path, errno == 0 ?
		    "nobody may be writing to it" : errno == EFBIG ?
		    "more than 16 MiB in all" : strerror(errno));
		free(text);
		return;
	}
	r.name = path;
	r.dir = dir;
	r.line = 1;
	r.depth++;
	config_read_lines(&r, text, len);
	free(text);
}

bool
config_read_option(struct config_reader *r)
{
	static char dir[4096];

	r->dir = dir;
	if (folder("-", dir, sizeof(dir)))
		return true;
	config_read_error(r, "cannot find the current folder: %s",
	    strerror(errno));
	return false;
}
