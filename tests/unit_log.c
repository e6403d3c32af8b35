/* See LICENSE for copyright and license details. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif

#include "clock.h"
#include "log.h"
#include "unit.h"

/* Descriptor 2 leads into a pipe while a test runs. */
static int reader, writer, saved;

static char dir[64];

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
	log_use(LOG_MESSAGES, "stderr", STDERR_FILENO);
	log_use(LOG_ACCESS, NULL, -1);
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

/* Leave no room in a pipe; returns how many bytes were put there. */
static size_t
fill_pipe(int fd)
{
	static const char dots[PIPE_BUF];
	int flags = fcntl(fd, F_GETFL);
	size_t len = 0;
	ssize_t n;

	ck_assert(fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
	while ((n = write(fd, dots, sizeof(dots))) > 0)
		len += (size_t)n;
	while ((n = write(fd, dots, 1)) > 0)
		len += (size_t)n;
	ck_assert(fcntl(fd, F_SETFL, flags) == 0);
	return len;
}

static size_t
fill(void)
{
	return fill_pipe(writer);
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

TEST(lines)
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

TEST(levels)
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

/* One message is one line, and nothing in it drives a terminal. */
TEST(escaped)
{
	log_error("a\nb\r\tc\x1b[0m\x7f\x80\xff \"\\");
	ck_assert_str_eq(written(), "fdproxy: error: a\\x0ab\\x0d\\x09c"
	    "\\x1b[0m\\x7f\\x80\\xff \"\\\n");
}

/* Whatever is said, it is one line of LOG_LINE bytes at most. */
TEST(bounded)
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

TEST(full_pipe)
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

/* The description is shared with whoever started us. */
TEST(stays_blocking)
{
	int flags = fcntl(STDERR_FILENO, F_GETFL);

	log_nonblocking(true);
	log_error("x");
	ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL), flags);
	ck_assert_int_eq(flags & O_NONBLOCK, 0);
}

TEST(errno_kept)
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
	log_use(LOG_MESSAGES, "stderr", STDERR_FILENO);
	close(STDERR_FILENO);
	log_error("lost");
	ck_assert_int_eq(errno, ENOTTY);
	ck_assert(dup2(writer, STDERR_FILENO) != -1);
	written();
	log_error("back");
	ck_assert_str_eq(written(), "fdproxy: warn: 1 log lines dropped\n"
	    "fdproxy: error: back\n");
}

TEST(quote)
{
	static const char all[] = "a\"b\\c\r\n\0\x1b\x80\xff~ ";
	char dst[128];

	ck_assert_str_eq(log_quote(dst, sizeof(dst), TEXT(all)),
	    "a\\x22b\\x5cc\\x0d\\x0a\\x00\\x1b\\x80\\xff~ ");
	ck_assert_str_eq(log_quote(dst, sizeof(dst), "", 0), "");
	ck_assert_ptr_eq(log_quote(dst, sizeof(dst), "a", 1), dst);
}

/* Cut to fit, never within an escape, and never beyond. */
TEST(quote_cut)
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

/* A log in a pipe of its own; returns the end to read from. */
static int
pipe_log(enum log_kind kind)
{
	int fd[2];

	ck_assert(pipe(fd) == 0);
	ck_assert(fcntl(fd[0], F_SETFL, O_NONBLOCK) == 0);
	log_use(kind, "pipe", fd[1]);
	return fd[0];
}

/* What fd has now. */
static const char *
got(int fd)
{
	static char text[UNIT_FENCE];
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return text;
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

TEST(access_lines)
{
	int fd;

	/* There is none at first. */
	ck_assert(!log_access_wanted());
	ck_assert_int_eq(log_fd(LOG_ACCESS), -1);
	ck_assert_int_eq(log_fd(LOG_MESSAGES), STDERR_FILENO);
	log_access("lost");
	ck_assert_str_eq(written(), "");

	fd = pipe_log(LOG_ACCESS);
	ck_assert(log_access_wanted());
	ck_assert_int_ne(log_fd(LOG_ACCESS), -1);
	ck_assert_str_eq(got(fd), "");
	/* It has neither a name nor a level. */
	log_level(LOG_L_ERROR);
	log_access("a %s %d", "b", 3);
	ck_assert_str_eq(got(fd), "a b 3\n");
	log_access("%s", "");
	ck_assert_str_eq(got(fd), "\n");
	log_access("%s", "\"a\\b\"\n\r\t\x1b\x7f\x80\xff");
	ck_assert_str_eq(got(fd), "\"a\\b\"\\x0a\\x0d\\x09\\x1b\\x7f\\x80"
	    "\\xff\n");
	ck_assert_str_eq(written(), "");
	log_error("c");
	ck_assert_str_eq(written(), "fdproxy: error: c\n");
	ck_assert_str_eq(got(fd), "");

	log_use(LOG_ACCESS, NULL, -1);
	ck_assert(!log_access_wanted());
	log_access("lost");
	ck_assert_int_eq(read(fd, &fd, 1), 0);	/* nobody writes any more */
	close(fd);
	ck_assert_str_eq(written(), "");

	/* Both in one place. */
	log_use(LOG_ACCESS, "stderr", log_file("stderr"));
	log_error("d");
	log_access("e");
	ck_assert_str_eq(written(), "fdproxy: error: d\ne\n");
	log_use(LOG_ACCESS, NULL, -1);
	ck_assert(is_open(STDERR_FILENO));
}

TEST(access_bounded)
{
	static char text[3 * LOG_LINE];
	int fd = pipe_log(LOG_ACCESS);
	const char *line;
	size_t n, len;

	for (n = LOG_LINE - 20; n < LOG_LINE + 20; n++) {
		memset(text, 'a', n);
		text[n] = '\0';
		log_access("%s", text);
		line = got(fd);
		len = strlen(line);
		MUST(len <= LOG_LINE && line[len - 1] == '\n');
		MUST(strchr(line, '\n') == line + len - 1);
		MUST(len == n + 1 || len >= LOG_LINE - 8);
	}
	for (n = 0; n < 8; n++) {
		memset(text, '\2', sizeof(text) - 1);
		memset(text, 'a', n);
		log_access("%s", text);
		line = got(fd);
		len = strlen(line);
		MUST(len <= LOG_LINE && len >= LOG_LINE - 8);
		/* No escape is cut in two. */
		MUST(memcmp(line + len - 5, "\\x02\n", 5) == 0);
	}
	close(fd);
}

/* Whichever log it was that lost them, messages tell it. */
TEST(access_full)
{
	int fd = pipe_log(LOG_ACCESS), i;
	unsigned long before = log_dropped();
	size_t len = fill_pipe(log_fd(LOG_ACCESS));

	log_nonblocking(true);
	for (i = 0; i < 4; i++)
		log_access("lost %d", i);
	ck_assert_uint_eq(log_dropped() - before, 4);
	log_info("unwanted");
	ck_assert_str_eq(written(), "");
	log_error("a");
	ck_assert_str_eq(written(), "fdproxy: warn: 4 log lines dropped\n"
	    "fdproxy: error: a\n");
	log_access("lost");
	ck_assert_uint_eq(log_dropped() - before, 5);
	ck_assert_uint_eq(strlen(got(fd)), 0);	/* zeros, all of them */
	/* Or the next line that its reader takes. */
	log_access("back");
	ck_assert_str_eq(got(fd), "back\n");
	ck_assert_str_eq(written(), "fdproxy: warn: 1 log lines dropped\n");
	log_error("b");
	ck_assert_str_eq(written(), "fdproxy: error: b\n");
	ck_assert_uint_eq(log_dropped() - before, 5);

	/* Messages that cannot be written keep no line of access. */
	len = fill();
	log_error("lost");
	log_access("fine");
	ck_assert_str_eq(got(fd), "fine\n");
	log_error("lost");
	empty(len);
	log_access("fine");
	ck_assert_str_eq(got(fd), "fine\n");
	ck_assert_str_eq(written(), "fdproxy: warn: 2 log lines dropped\n");
	log_error("c");
	ck_assert_str_eq(written(), "fdproxy: error: c\n");
	ck_assert_uint_eq(log_dropped() - before, 7);

	/* Without any log nothing is lost. */
	log_use(LOG_ACCESS, NULL, -1);
	log_access("d");
	ck_assert_uint_eq(log_dropped() - before, 7);
	close(fd);
}

/* Messages may go nowhere as well. */
TEST(no_messages)
{
	unsigned long before = log_dropped();

	log_use(LOG_MESSAGES, NULL, -1);
	ck_assert_int_eq(log_fd(LOG_MESSAGES), -1);
	log_error("a");
	log_reopen();
	ck_assert_uint_eq(log_dropped(), before);
	log_use(LOG_MESSAGES, "stderr", log_file("stderr"));
	ck_assert_str_eq(written(), "");
	log_error("b");
	ck_assert_str_eq(written(), "fdproxy: error: b\n");
}

static void
make_dir(void)
{
	strcpy(dir, "/tmp/unit_log.XXXXXX");
	ck_assert(mkdtemp(dir) != NULL);
}

/* A path in the folder; four at a time. */
static const char *
in_dir(const char *name)
{
	static char path[4][128];
	static unsigned int turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

/* In a file, before each message: the clock is never read here. */
#define TIME	"[01/Jan/1970:00:00:00 +0000] "

static const char *
contents(const char *name)
{
	int fd = open(in_dir(name), O_RDONLY);
	const char *text;

	ck_assert_int_ne(fd, -1);
	text = got(fd);
	close(fd);
	return text;
}

static void
remove_dir(void)
{
	static const char *const names[] = { "a", "b", "a.old", "b.old" };
	int i;

	for (i = 0; i < COUNT(names); i++)
		unlink(in_dir(names[i]));
	ck_assert_int_eq(rmdir(dir), 0);
}

TEST(file)
{
	mode_t mask = umask(022);
	char name[128];
	struct stat st;
	int fd, flags;

	make_dir();
	strcpy(name, in_dir("a"));
	fd = log_file(name);
	umask(mask);
	ck_assert_int_gt(fd, STDERR_FILENO);
	ck_assert(stat(name, &st) == 0);
	ck_assert_int_eq(st.st_mode & 07777, 0644);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	flags = fcntl(fd, F_GETFL);
	ck_assert_int_eq(flags & O_ACCMODE, O_WRONLY);
	ck_assert_int_eq(flags & O_APPEND, O_APPEND);
	log_use(LOG_MESSAGES, name, fd);
	ck_assert_int_eq(log_fd(LOG_MESSAGES), fd);
	log_error("a");
	ck_assert_str_eq(written(), "");
	ck_assert_str_eq(contents("a"), TIME "fdproxy: error: a\n");

	/* Behind what is there. */
	fd = log_file(name);
	log_use(LOG_ACCESS, name, fd);
	log_access("b");
	log_error("c");
	ck_assert_str_eq(contents("a"), TIME "fdproxy: error: a\nb\n"
	    TIME "fdproxy: error: c\n");

	/* What is no longer used is closed, but for standard error. */
	fd = log_fd(LOG_MESSAGES);
	log_use(LOG_MESSAGES, "stderr", STDERR_FILENO);
	ck_assert(!is_open(fd));
	ck_assert(is_open(log_fd(LOG_ACCESS)));
	fd = log_fd(LOG_ACCESS);
	log_use(LOG_ACCESS, name, fd);
	ck_assert(is_open(fd));
	log_use(LOG_ACCESS, "stderr", STDERR_FILENO);
	ck_assert(!is_open(fd));
	log_use(LOG_ACCESS, NULL, -1);
	ck_assert(is_open(STDERR_FILENO));
	remove_dir();
}

TEST(file_fails)
{
	make_dir();
	errno = 0;
	ck_assert_int_eq(log_file(in_dir("no/a")), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(log_file(dir), -1);
	ck_assert_int_eq(errno, EISDIR);
	/* A FIFO that nobody reads is not waited for. */
	ck_assert(mkfifo(in_dir("a"), 0600) == 0);
	ck_assert_int_eq(log_file(in_dir("a")), -1);
	ck_assert_int_eq(errno, ENXIO);
	remove_dir();
}

/* A file that takes nothing. */
TEST(disk_full)
{
	unsigned long before = log_dropped();
	int fd = log_file("/dev/full");

	if (fd == -1)
		return;		/* not every system has it */
	log_use(LOG_ACCESS, "/dev/full", fd);
	errno = ENOTTY;
	log_access("lost");
	ck_assert_int_eq(errno, ENOTTY);
	ck_assert_uint_eq(log_dropped() - before, 1);
	log_error("a");
	ck_assert_str_eq(written(), "fdproxy: warn: 1 log lines dropped\n"
	    "fdproxy: error: a\n");

	/* Those that cannot be told keep counting, the telling does not. */
	log_use(LOG_MESSAGES, "/dev/full", log_file("/dev/full"));
	log_error("lost");
	log_error("lost");
	log_access("lost");
	log_use(LOG_MESSAGES, "stderr", STDERR_FILENO);
	ck_assert_uint_eq(log_dropped() - before, 4);
	before = log_dropped();
	log_error("b");
	ck_assert_str_eq(written(), "fdproxy: warn: 3 log lines dropped\n"
	    "fdproxy: error: b\n");
	log_error("c");
	ck_assert_str_eq(written(), "fdproxy: error: c\n");
	ck_assert_uint_eq(log_dropped(), before);
}

/* As a log is rotated: renamed, then told. */
/* What is left of a line that was cut begins no other. */
TEST(torn)
{
	unsigned long before = log_dropped();
	char path[] = "/tmp/log.XXXXXX", text[64];
	struct rlimit limit, small;
	int fd = mkstemp(path);
	ssize_t n;

	ck_assert(fd != -1 && getrlimit(RLIMIT_FSIZE, &limit) == 0);
	log_use(LOG_ACCESS, path, log_file(path));
	signal(SIGXFSZ, SIG_IGN);
	small = limit;
	small.rlim_cur = 12;
	ck_assert(setrlimit(RLIMIT_FSIZE, &small) == 0);
	log_access("0123456789");
	log_access("lost");
	ck_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	log_access("whole");
	log_access("too");
	n = read(fd, text, sizeof(text) - 1);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	ck_assert_str_eq(text, "0123456789\nl\nwhole\ntoo\n");
	ck_assert_uint_eq(log_dropped() - before, 1);
	written();
	unlink(path);
	close(fd);
}

/*
 * A terminal whose reader has stopped takes no more than fits, is not waited
 * for, and not made non-blocking for others.
 */
TEST(terminal)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave, i;
	unsigned long before = log_dropped();
	struct pollfd p = { master, POLLIN, 0 };
	char text[UNIT_FENCE], *back = NULL;
	ssize_t n;

	ck_assert(master != -1 && grantpt(master) == 0 &&
	    unlockpt(master) == 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	ck_assert(slave != -1 && dup2(slave, STDERR_FILENO) != -1);
	log_use(LOG_MESSAGES, "stderr", STDERR_FILENO);
	log_nonblocking(true);
	for (i = 0; i < 1000; i++)
		log_error("a message of the usual length, more or less");
	ck_assert_uint_gt(log_dropped() - before, 100);
	ck_assert_uint_lt(log_dropped() - before, 1000);
	ck_assert_int_eq(fcntl(slave, F_GETFL) & O_NONBLOCK, 0);
	/* Linux takes its time to move what was written to the reader's side;
	   it may be behind a line that was cut. */
	for (i = 0; i < 1000 && back == NULL; i++) {
		log_error("back");
		if (poll(&p, 1, 10) == 0)
			continue;
		n = read(master, text, sizeof(text) - 1);
		ck_assert_int_gt(n, 0);
		text[n] = '\0';
		back = strstr(text, "fdproxy: error: back\r\n");
	}
	ck_assert(back != NULL && (back == text || back[-1] == '\n'));
	close(slave);
	close(master);
}

/* Before anybody is served, a reader that is slow is waited for. */
TEST(waited_for)
{
	unsigned long before = log_dropped();
	int fd[2], i, status;
	char text[4096];
	pid_t pid;

	ck_assert_int_eq(pipe(fd), 0);
	fcntl(fd[1], F_SETFL, O_NONBLOCK);
	memset(text, 'x', sizeof(text));
	while (write(fd[1], text, sizeof(text)) > 0)
		;
	pid = fork();
	if (pid == 0) {
		close(fd[1]);
		while (read(fd[0], text, sizeof(text)) > 0)
			;
		_exit(0);
	}
	log_nonblocking(false);
	log_use(LOG_MESSAGES, "pipe", fd[1]);
	for (i = 0; i < 10000; i++)
		log_error("a message of the usual length, more or less");
	ck_assert_uint_eq(log_dropped(), before);
	log_use(LOG_MESSAGES, NULL, -1);
	close(fd[1]);
	close(fd[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

TEST(reopened)
{
	char a[128], b[128], expected[256];
	int i;

	make_dir();
	strcpy(a, in_dir("a"));
	strcpy(b, in_dir("b"));
	log_use(LOG_MESSAGES, a, log_file(a));
	log_use(LOG_ACCESS, b, log_file(b));
	log_error("a1");
	log_access("b1");
	for (i = 0; i < 3; i++) {
		ck_assert(rename(a, in_dir("a.old")) == 0);
		ck_assert(rename(b, in_dir("b.old")) == 0);
		log_error("a2");
		log_access("b2");
		ck_assert(access(a, F_OK) == -1 && access(b, F_OK) == -1);
		log_reopen();
		ck_assert_str_eq(contents("a"), "");
		ck_assert_str_eq(contents("b"), "");
		log_error("a1");
		log_access("b1");
		ck_assert_str_eq(contents("a.old"), TIME "fdproxy: error: a1\n"
		    TIME "fdproxy: error: a2\n");
		ck_assert_str_eq(contents("b.old"), "b1\nb2\n");
		ck_assert_str_eq(contents("a"), TIME "fdproxy: error: a1\n");
		ck_assert_str_eq(contents("b"), "b1\n");
	}
	ck_assert_str_eq(written(), "");

	/* One that cannot be opened again goes on as it was. */
	unlink(b);
	ck_assert(mkdir(b, 0700) == 0);
	errno = ENOTTY;
	log_reopen();
	snprintf(expected, sizeof(expected), TIME "fdproxy: error: a1\n"
	    TIME "fdproxy: error: cannot open %s again: %s\n", b,
	    strerror(EISDIR));
	ck_assert_str_eq(contents("a"), expected);
	ck_assert(log_access_wanted());
	ck_assert(is_open(log_fd(LOG_ACCESS)));
	log_access("b3");
	ck_assert(rmdir(b) == 0);
	log_reopen();
	log_access("b4");
	ck_assert_str_eq(contents("b"), "b4\n");

	/* Standard error has no name to be opened by. */
	log_use(LOG_MESSAGES, "stderr", STDERR_FILENO);
	log_use(LOG_ACCESS, NULL, -1);
	log_reopen();
	ck_assert_int_eq(log_fd(LOG_MESSAGES), STDERR_FILENO);
	ck_assert_int_eq(log_fd(LOG_ACCESS), -1);
	log_error("c");
	ck_assert_str_eq(written(), "fdproxy: error: c\n");
	remove_dir();
}

/* What is sent to the system's log, by a socket that leads to us instead. */
TEST(syslog_packets)
{
	static char text[2 * LOG_LINE];
	unsigned long before = log_dropped();
	char packet[LOG_LINE + 8];
	int pair[2], sent = 0;
	ssize_t n;

	ck_assert(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	ck_assert(fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0);
	log_use(LOG_MESSAGES, "syslog", pair[0]);
	log_use(LOG_ACCESS, "syslog", dup(pair[0]));
	log_level(LOG_L_DEBUG);
	/* One packet each: facility 3 and the severity, and no newline. */
	log_error("a %d", 1);
	ck_assert_str_eq(got(pair[1]), "<27>fdproxy: error: a 1");
	log_warn("a\nb");
	ck_assert_str_eq(got(pair[1]), "<28>fdproxy: warn: a\\x0ab");
	log_notice("a");
	ck_assert_str_eq(got(pair[1]), "<29>fdproxy: notice: a");
	log_info("a");
	ck_assert_str_eq(got(pair[1]), "<30>fdproxy: info: a");
	log_debug("a");
	ck_assert_str_eq(got(pair[1]), "<31>fdproxy: debug: a");
	log_access("a \"b\"");
	ck_assert_str_eq(got(pair[1]), "<30>a \"b\"");
	log_access("%s", "");
	ck_assert_str_eq(got(pair[1]), "<30>");
	memset(text, 'a', sizeof(text) - 1);
	log_access("%s", text);
	n = read(pair[1], packet, sizeof(packet));
	ck_assert_int_gt(n, LOG_LINE - 8);
	ck_assert_int_le(n, LOG_LINE + 4);
	ck_assert(packet[n - 1] == 'a');
	ck_assert_uint_eq(log_dropped(), before);

	/* It is not waited for, whether careful or not. */
	while (log_dropped() == before) {
		log_access("%d", sent++);
		MUST(sent < 1000000);
	}
	errno = ENOTTY;
	log_access("lost");
	log_error("lost");
	ck_assert_int_eq(errno, ENOTTY);
	got(pair[1]);
	log_error("a");
	ck_assert(strstr(got(pair[1]), " log lines dropped"
	    "<27>fdproxy: error: a") != NULL);

	/* Nobody is there: it is lost, and the next one is tried again. */
	close(pair[1]);
	before = log_dropped();
	if (access("/dev/log", F_OK) == -1) {
		log_access("lost");
		log_error("lost");
		ck_assert_uint_ge(log_dropped() - before, 2);
		ck_assert_int_eq(log_file("syslog"), -1);
		ck_assert_int_ne(errno, 0);
		log_use(LOG_MESSAGES, "stderr", STDERR_FILENO);
		log_reopen();
		ck_assert(strstr(written(), "fdproxy: error: cannot open "
		    "syslog again: ") != NULL);
	}
	log_use(LOG_ACCESS, NULL, -1);
	log_use(LOG_MESSAGES, "stderr", STDERR_FILENO);
	ck_assert(!is_open(pair[0]));
	log_error("b");
	written();
}

/* ---- the system's log, in a /dev that is only a child's ---- */

#ifdef __linux__

enum { FOUND, NEVER_FOUND, NO_SOCKET, NOT_HERE };	/* exit statuses */

/* Whether the text comes there in time, in a message that is said again. */
static bool
comes(int fd, const char *text)
{
	static char packet[LOG_LINE + 8];
	struct pollfd p = { fd, POLLIN, 0 };
	int tries;
	ssize_t n;

	for (tries = 0; tries < 1000; tries++) {
		clock_update();
		log_error("%s", text);
		while (poll(&p, 1, 10) == 1) {
			n = recv(fd, packet, sizeof(packet) - 1, 0);
			packet[n > 0 ? n : 0] = '\0';
			if (strstr(packet, text) != NULL)
				return true;
		}
	}
	return false;
}

/* The child: a daemon that is there before the system's log, and after it. */
static int
find_syslog_late(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX,
	    .sun_path = "/dev/log" };
	int i, fd;
	bool found;

	if (unshare(CLONE_NEWNS) == -1 || mount("none", "/", NULL,
	    MS_REC | MS_PRIVATE, NULL) == -1 ||
	    mount("none", "/dev", "tmpfs", 0, NULL) == -1)
		return NOT_HERE;
	log_use(LOG_MESSAGES, "syslog", log_file("syslog"));
	log_error("nobody hears it");
	for (i = 0; i < 2; i++) {
		fd = socket(AF_UNIX, SOCK_DGRAM, 0);
		if (fd == -1 || bind(fd, (struct sockaddr *)&addr,
		    sizeof(addr)) == -1)
			return NO_SOCKET;
		found = comes(fd, i == 0 ? "late" : "anew");
		close(fd);
		if (!found)
			return NEVER_FOUND;
		unlink("/dev/log");
	}
	return FOUND;
}

TEST(syslog_found)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ne(pid, -1);
	if (pid == 0)
		_exit(find_syslog_late());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	if (WEXITSTATUS(status) == NOT_HERE)
		return;		/* not without rights */
	ck_assert_int_eq(WEXITSTATUS(status), FOUND);
}

#endif

TEST(access_errno_kept)
{
	int fd;

	errno = ENOTTY;
	log_access("x");
	ck_assert_int_eq(errno, ENOTTY);
	fd = pipe_log(LOG_ACCESS);
	fill_pipe(log_fd(LOG_ACCESS));
	log_nonblocking(true);
	errno = ENOTTY;
	log_access("lost");
	ck_assert_int_eq(errno, ENOTTY);
	log_error("x");
	ck_assert_int_eq(errno, ENOTTY);
	close(fd);
}

static const struct test tests[] = {
	ONCE(lines),
	ONCE(levels),
	ONCE(escaped),
	ONCE(bounded),
	ONCE(full_pipe),
	ONCE(stays_blocking),
	ONCE(errno_kept),
	ONCE(quote),
	ONCE(quote_cut),
	ONCE(access_lines),
	ONCE(access_bounded),
	ONCE(access_full),
	ONCE(access_errno_kept),
	ONCE(no_messages),
	ONCE(file),
	ONCE(file_fails),
	ONCE(disk_full),
	ONCE(torn),
	ONCE(terminal),
	ONCE(waited_for),
	ONCE(reopened),
	ONCE(syslog_packets),
#ifdef __linux__
	ONCE(syslog_found)
#endif
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), setup, teardown);
}
