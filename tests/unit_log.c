/* See LICENSE for copyright and license details. */
#include <fcntl.h>
#include <limits.h>

#include "log.h"
#include "unit.h"

/* Descriptor 2 leads into a pipe while a test runs. */
static int reader, writer, saved;

static void
setup(void)
{
	int fd[2];

	fflush(stderr);
	ck_assert(pipe(fd) == 0);
	reader = fd[0];
	writer = fd[1];
	ck_assert(fcntl(reader, F_SETFL, O_NONBLOCK) == 0);
	saved = dup(STDERR_FILENO);
	ck_assert(saved != -1);
	ck_assert(dup2(writer, STDERR_FILENO) != -1);
	log_name("fdproxy");
	log_level(LOG_L_NOTICE);
	log_nonblocking(false);
}

static void
teardown(void)
{
	log_nonblocking(false);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(reader);
	close(writer);
}

/* What has been written since the last call. */
static const char *
written(void)
{
	static char text[UNIT_FENCE];
	size_t len = 0;
	ssize_t n;

	while ((n = read(reader, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return text;
}

/* Leave no room in the pipe; returns how many bytes were put there. */
static size_t
fill(void)
{
	static const char dots[PIPE_BUF];
	int flags = fcntl(writer, F_GETFL);
	size_t len = 0;
	ssize_t n;

	ck_assert(fcntl(writer, F_SETFL, flags | O_NONBLOCK) == 0);
	while ((n = write(writer, dots, sizeof(dots))) > 0)
		len += (size_t)n;
	while ((n = write(writer, dots, 1)) > 0)
		len += (size_t)n;
	ck_assert(fcntl(writer, F_SETFL, flags) == 0);
	return len;
}

static void
empty(size_t len)
{
	char text[PIPE_BUF];
	ssize_t n;

	for (; len > 0; len -= (size_t)n) {
		n = read(reader, text, len < sizeof(text) ? len :
		    sizeof(text));
		ck_assert(n > 0);
	}
}

START_TEST(lines)
{
	log_error("one %d", 1);
	ck_assert_str_eq(written(), "fdproxy: error: one 1\n");
	log_warn("%s", "two");
	ck_assert_str_eq(written(), "fdproxy: warn: two\n");
	log_notice("three");
	ck_assert_str_eq(written(), "fdproxy: notice: three\n");
	log_info("four");
	log_debug("five");
	ck_assert_str_eq(written(), "");
	log_name("other");
	log_level(LOG_L_DEBUG);
	log_info("four");
	log_debug("five");
	ck_assert_str_eq(written(), "other: info: four\n"
	    "other: debug: five\n");
	log_level(LOG_L_ERROR);
	log_warn("six");
	log_error("%s", "");
	ck_assert_str_eq(written(), "other: error: \n");
}
END_TEST

START_TEST(levels)
{
	ck_assert_int_eq(log_level_named("error"), LOG_L_ERROR);
	ck_assert_int_eq(log_level_named("warn"), LOG_L_WARN);
	ck_assert_int_eq(log_level_named("NOTICE"), LOG_L_NOTICE);
	ck_assert_int_eq(log_level_named("Info"), LOG_L_INFO);
	ck_assert_int_eq(log_level_named("debug"), LOG_L_DEBUG);
	ck_assert_int_eq(log_level_named("warning"), -1);
	ck_assert_int_eq(log_level_named("trace1"), -1);
	ck_assert_int_eq(log_level_named(""), -1);
	ck_assert(log_wanted(LOG_L_ERROR));
	ck_assert(log_wanted(LOG_L_NOTICE));
	ck_assert(!log_wanted(LOG_L_INFO));
	log_level(LOG_L_INFO);
	ck_assert(log_wanted(LOG_L_INFO));
	ck_assert(!log_wanted(LOG_L_DEBUG));
}
END_TEST

/* One message is one line, and nothing in it drives a terminal. */
START_TEST(escaped)
{
	log_error("a\nb\r\tc\x1b[0m\x7f\x80\xff \"\\");
	ck_assert_str_eq(written(), "fdproxy: error: a\\x0ab\\x0d\\x09c"
	    "\\x1b[0m\\x7f\\x80\\xff \"\\\n");
}
END_TEST

/* Whatever is said, it is one line of LOG_LINE bytes at most. */
START_TEST(bounded)
{
	static char text[3 * LOG_LINE];
	const char *line;
	size_t n, len;

	for (n = LOG_LINE - 60; n < LOG_LINE + 60; n++) {
		memset(text, 'a', n);
		text[n] = '\0';
		log_error("%s", text);
		line = written();
		len = strlen(line);
		MUST(len <= LOG_LINE && line[len - 1] == '\n');
		MUST(strchr(line, '\n') == line + len - 1);
		MUST(len == n + 17 || len >= LOG_LINE - 8);
	}
	for (n = 0; n < 8; n++) {
		memset(text, '\1', sizeof(text) - 1);
		memset(text, 'a', n);
		log_error("%s", text);
		line = written();
		len = strlen(line);
		MUST(len <= LOG_LINE && len >= LOG_LINE - 8);
		MUST(line[len - 1] == '\n');
		/* No escape is cut in two. */
		MUST(memcmp(line + len - 5, "\\x01\n", 5) == 0);
	}
}
END_TEST

START_TEST(full_pipe)
{
	size_t len;
	int i;

	len = fill();
	log_nonblocking(true);
	for (i = 0; i < 3; i++)
		log_error("lost %d", i);
	empty(len);
	ck_assert_str_eq(written(), "");

	log_error("back");
	ck_assert_str_eq(written(), "fdproxy: warn: 3 log lines dropped\n"
	    "fdproxy: error: back\n");
	log_error("again");
	ck_assert_str_eq(written(), "fdproxy: error: again\n");

	/* What nobody wants is not counted either. */
	len = fill();
	log_info("unwanted");
	empty(len);
	log_error("fine");
	ck_assert_str_eq(written(), "fdproxy: error: fine\n");
}
END_TEST

/* The description is shared with whoever started us. */
START_TEST(stays_blocking)
{
	int flags = fcntl(STDERR_FILENO, F_GETFL);

	log_nonblocking(true);
	log_error("x");
	ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL), flags);
	ck_assert_int_eq(flags & O_NONBLOCK, 0);
}
END_TEST

START_TEST(errno_kept)
{
	char text[8];
	size_t len;

	errno = ENOTTY;
	log_error("x");
	ck_assert_int_eq(errno, ENOTTY);
	log_debug("x");
	ck_assert_int_eq(errno, ENOTTY);
	log_quote(text, sizeof(text), "x", 1);
	log_level_named("x");
	ck_assert_int_eq(errno, ENOTTY);
	len = fill();
	log_nonblocking(true);
	errno = ENOTTY;
	log_error("lost");
	ck_assert_int_eq(errno, ENOTTY);
	empty(len);
	log_error("back");
	ck_assert_int_eq(errno, ENOTTY);

	/* Nowhere to write to at all. */
	log_nonblocking(false);
	close(STDERR_FILENO);
	log_error("lost");
	ck_assert_int_eq(errno, ENOTTY);
	ck_assert(dup2(writer, STDERR_FILENO) != -1);
	written();
	log_error("back");
	ck_assert_str_eq(written(), "fdproxy: warn: 1 log lines dropped\n"
	    "fdproxy: error: back\n");
}
END_TEST

START_TEST(quote)
{
	static const char all[] = "a\"b\\c\r\n\0\x1b\x80\xff~ ";
	char dst[128];

	ck_assert_str_eq(log_quote(dst, sizeof(dst), TEXT(all)),
	    "a\\x22b\\x5cc\\x0d\\x0a\\x00\\x1b\\x80\\xff~ ");
	ck_assert_str_eq(log_quote(dst, sizeof(dst), "", 0), "");
	ck_assert_ptr_eq(log_quote(dst, sizeof(dst), "a", 1), dst);
}
END_TEST

/* Cut to fit, never within an escape, and never beyond. */
START_TEST(quote_cut)
{
	static const char src[] = "ab\ncd\nefgh\n";
	static const char whole[] = "ab\\x0acd\\x0aefgh\\x0a";
	char *dst;
	size_t size, n;

	for (size = 1; size < sizeof(whole) + 8; size++) {
		dst = unit_fence() - size;
		memset(dst - 1, '#', size + 1);
		log_quote(dst, size, src, sizeof(src) - 1);
		MUST(dst[-1] == '#');
		n = strlen(dst);
		MUST(n < size && strncmp(dst, whole, n) == 0);
		MUST(n == sizeof(whole) - 1 || n + 5 >= size);
		/* A backslash is followed by all of its escape. */
		MUST(strrchr(dst, '\\') == NULL ||
		    strlen(strrchr(dst, '\\')) >= 4);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("log");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, lines);
	tcase_add_test(t, levels);
	tcase_add_test(t, escaped);
	tcase_add_test(t, bounded);
	tcase_add_test(t, full_pipe);
	tcase_add_test(t, stays_blocking);
	tcase_add_test(t, errno_kept);
	tcase_add_test(t, quote);
	tcase_add_test(t, quote_cut);
	suite_add_tcase(s, t);
	return unit_run(s);
}
