/* See LICENSE for copyright and license details. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "clock.h"
#include "flush.h"
#include "unit.h"

#define CONTINUE	"HTTP/1.1 100 Continue\r\n\r\n"
#define DATE		"Sun, 06 Nov 1994 08:49:37 GMT"
#define WALL		784111777u

static char dir[64], path[128], name[160];
static int pair[2];

static void
setup(void)
{
	strcpy(dir, "/tmp/unit_flush.XXXXXX");
	ck_assert(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/file", dir);
	snprintf(name, sizeof(name), "file:%s", path);
	ck_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
}

static void
teardown(void)
{
	unlink(path);
	rmdir(dir);
	close(pair[0]);
	close(pair[1]);
}

static void
save(const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert(fd != -1);
	ck_assert(write(fd, text, len) == (ssize_t)len);
	close(fd);
}

static struct flush *
make(const char *flusher, const char *headers, const char *server)
{
	const char *error = NULL;
	struct flush_own own = { server, NULL };
	struct flush *f = flush_new(flusher, headers, &own, &error);

	ck_assert_msg(f != NULL, "%s: %s", flusher, error);
	return f;
}

/* Take what is there, appended to text. */
static void
drain(char *text, size_t *len, size_t size)
{
	ssize_t n;

	while ((n = recv(pair[1], text + *len, size - *len,
	    MSG_DONTWAIT)) > 0)
		*len += (size_t)n;
}

static enum flush_result
put(struct flush *f, int fd, uint32_t wall, uint32_t *offset)
{
	return flush_write(f, fd, wall, offset, false);
}

/* All that a flusher writes for one client. */
static const char *
output(struct flush *f, bool expect, uint32_t wall, size_t *len)
{
	static char text[UNIT_FENCE];
	uint32_t offset = flush_start(f, expect);
	enum flush_result r;

	*len = 0;
	do {
		r = put(f, pair[0], wall, &offset);
		drain(text, len, sizeof(text) - 1);
		ck_assert_int_ne(r, FLUSH_FAILED);
	} while (r != FLUSH_DONE);
	text[*len] = '\0';
	return text;
}

static void
refused(const char *flusher, const char *headers, const char *error,
    int number)
{
	static const struct flush_own own = { "s", NULL };
	const char *text = NULL;

	errno = ENOTTY;
	ck_assert(flush_new(flusher, headers, &own, &text) == NULL);
	ck_assert_int_eq(errno, number);
	ck_assert_msg(text != NULL && strstr(text, error) != NULL,
	    "\"%s\" for %s", text, flusher);
}

/* As mod_proxy_fdpass: these fields, in this order. */
TEST(text_plain)
{
	struct flush *f = make("flush", "", "fdproxy/1");
	size_t n;

	ck_assert(flush_consumes(f));
	ck_assert_int_eq(flush_status(f), 200);
	ck_assert_str_eq(output(f, false, WALL, &n), "HTTP/1.1 200 OK\r\n"
	    "Date: " DATE "\r\nServer: fdproxy/1\r\n"
	    "Connection: close\r\n\r\n");
	flush_free(f);
}

TEST(text_headers)
{
	struct flush *f = make("flush", "A: b\r\nC: %s%n\r\n", "");
	size_t n;

	ck_assert_str_eq(output(f, false, WALL, &n), "HTTP/1.1 200 OK\r\n"
	    "Date: " DATE "\r\nA: b\r\nC: %s%n\r\n"
	    "Connection: close\r\n\r\n");
	flush_free(f);
	f = make("flush", "A: b\r\n", "s");
	ck_assert_str_eq(output(f, false, WALL, &n), "HTTP/1.1 200 OK\r\n"
	    "Date: " DATE "\r\nServer: s\r\nA: b\r\n"
	    "Connection: close\r\n\r\n");
	flush_free(f);
}

/* The Date can be another, or not be there. */
TEST(text_dates)
{
	struct flush_own own = { "", "then" };
	const char *error;
	struct flush *f;
	size_t n;

	f = flush_new("flush", "", &own, &error);
	ck_assert_int_eq(flush_status(f), 200);
	ck_assert_str_eq(output(f, false, WALL, &n), "HTTP/1.1 200 OK\r\n"
	    "Date: then\r\nConnection: close\r\n\r\n");
	flush_free(f);
	own.date = "";
	f = flush_new("flush", "", &own, &error);
	ck_assert_str_eq(output(f, false, WALL, &n), "HTTP/1.1 200 OK\r\n"
	    "Connection: close\r\n\r\n");
	flush_free(f);
}

/* Nothing given to flush_new() is kept. */
TEST(text_copied)
{
	char flusher[] = "flush", headers[] = "A: b\r\n", server[] = "s";
	struct flush *f = make(flusher, headers, server);
	size_t n;

	memset(flusher, 'x', sizeof(flusher));
	memset(headers, 'x', sizeof(headers));
	memset(server, 'x', sizeof(server));
	ck_assert_str_eq(output(f, false, WALL, &n), "HTTP/1.1 200 OK\r\n"
	    "Date: " DATE "\r\nServer: s\r\nA: b\r\n"
	    "Connection: close\r\n\r\n");
	flush_free(f);
}

TEST(text_long)
{
	static char headers[20001];
	struct flush *f;
	const char *text;
	size_t i, n;

	for (i = 0; i + 4 < sizeof(headers); i += 10)
		memcpy(headers + i, "X: abcde\r\n", 10);
	headers[20000] = '\0';
	f = make("flush", headers, "s");
	text = output(f, false, WALL, &n);
	ck_assert_uint_eq(n, strlen(text));
	ck_assert(strstr(text, headers) != NULL);
	ck_assert_str_eq(text + n - 23, "\r\nConnection: close\r\n\r\n");
	flush_free(f);
}

TEST(expect)
{
	struct flush *f = make("flush", "", "");
	size_t n;

	ck_assert_str_eq(output(f, true, WALL, &n), CONTINUE
	    "HTTP/1.1 200 OK\r\nDate: " DATE "\r\n"
	    "Connection: close\r\n\r\n");
	/* And the next client does not get it. */
	ck_assert(strncmp(output(f, false, WALL, &n), "HTTP/1.1 200", 12) ==
	    0);
	flush_free(f);
}

/* The date is each client's own, also if the clock has gone back. */
TEST(date)
{
	static const uint32_t walls[] = { 0, WALL, 0, WALL, WALL, WALL - 1,
	    4294967295u, 1 };
	struct flush *f = make("flush", "", ""), *g = make("flush", "", "s");
	const char *text;
	size_t i, n;

	for (i = 0; i < sizeof(walls) / sizeof(*walls); i++) {
		text = output(f, i % 2 == 0, walls[i], &n);
		text = strstr(text, "\r\nDate: ");
		ck_assert(text != NULL);
		ck_assert(strncmp(text + 8, clock_date(walls[i]),
		    CLOCK_DATE_LEN) == 0);
		ck_assert(strncmp(text + 8 + CLOCK_DATE_LEN, "\r\nConn", 6) ==
		    0);
		output(g, false, WALL + (uint32_t)i, &n);
	}
	flush_free(f);
	flush_free(g);
}

TEST(none)
{
	struct flush *f = make("none", "", "s");
	uint32_t offset = flush_start(f, true);
	struct pollfd p = { pair[1], POLLIN, 0 };

	ck_assert(!flush_consumes(f));
	ck_assert_int_eq(flush_status(f), 0);
	ck_assert_int_eq(put(f, pair[0], WALL, &offset),
	    FLUSH_DONE);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	flush_free(f);
	flush_free(NULL);
}

TEST(file_good)
{
	static const char text[] = "HTTP/1.1 202 Accepted\r\n"
	    "Content-Type: text/plain\r\n\r\nbody\0with\nNUL";
	const char *out;
	struct flush *f;
	size_t n;

	save(TEXT(text));
	f = make(name, "", "s");
	ck_assert(flush_consumes(f));
	ck_assert_int_eq(flush_status(f), 0);
	/* It is read once, when it is made. */
	unlink(path);
	out = output(f, false, WALL, &n);
	ck_assert_uint_eq(n, sizeof(text) - 1);
	ck_assert(memcmp(out, text, n) == 0);
	out = output(f, true, WALL, &n);
	ck_assert_uint_eq(n, sizeof(CONTINUE) - 1 + sizeof(text) - 1);
	ck_assert(memcmp(out, CONTINUE, sizeof(CONTINUE) - 1) == 0);
	ck_assert(memcmp(out + sizeof(CONTINUE) - 1, TEXT(text)) == 0);
	flush_free(f);

	save(TEXT("HTTP/1.1 204 No Content\r\n\r\n"));
	f = make(name, "", "");
	ck_assert_str_eq(output(f, false, WALL, &n),
	    "HTTP/1.1 204 No Content\r\n\r\n");
	flush_free(f);
}

static const struct {
	const char *text;
	size_t len;
} bad_files[] = {
	{ TEXT("") },
	{ TEXT("HTTP/1.1 200 OK\r\n") },
	{ TEXT("HTTP/1.1 200 OK\n\n") },
	{ TEXT("HTTP/1.0 200 OK\r\n\r\n") },
	{ TEXT("HTTP/2 200\r\n\r\n") },
	{ TEXT("X: y\r\n\r\n") },
	{ TEXT("hello\r\n\r\n") },
	{ TEXT("HTTP/1.1 200 OK\r\nX: y\r\nbody") },
	{ TEXT("HTTP/1.1 200 OK\r\nX: \0\r\n\r\n") },
	/* A line of the head that does not end in CRLF. */
	{ TEXT("HTTP/1.1 200 OK\nX: y\r\n\r\n") },
	{ TEXT("HTTP/1.1 200 OK\r\nX: y\n\nbody\r\n\r\n") }
};

TEST(file_bad)
{

	save(bad_files[_i].text, bad_files[_i].len);
	refused(name, "", "not a response head", 0);
}

TEST(refusals)
{
	refused("", "", "unknown flusher", 0);
	refused("flushx", "", "unknown flusher", 0);
	refused("flus", "", "unknown flusher", 0);
	refused("Flush", "", "unknown flusher", 0);
	refused("none:", "", "unknown flusher", 0);
	refused("flush:x", "", "unknown flusher", 0);
	refused("file", "", "unknown flusher", 0);
	refused("file:", "", "unknown flusher", 0);
	refused("none", "A: b\r\n", "no effect", 0);
	refused(name, "A: b\r\n", "no effect", 0);
	refused(name, "", "cannot be read", ENOENT);
	snprintf(name, sizeof(name), "file:%s", dir);
	refused(name, "", "cannot be read", EINVAL);
}

static void
on_alarm(int signal)
{
	(void)signal;
}

/* A start that waits for somebody to write into a FIFO is no start. */
TEST(file_fifo)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_alarm;
	sigaction(SIGALRM, &sa, NULL);
	ck_assert(mkfifo(path, 0600) == 0);
	alarm(2);
	refused(name, "", "cannot be read", EINVAL);
	alarm(0);
}

TEST(file_large)
{
	static char text[1024 * 1024];
	static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
	char got[4096];
	struct flush *f;
	uint32_t offset;
	size_t seen = 0, want = sizeof(text), i;
	enum flush_result r = FLUSH_AGAIN;
	ssize_t n;

	memset(text, 'a', sizeof(text));
	for (i = sizeof(head); i < sizeof(text); i++)
		text[i] = (char)('a' + i * 7 % 26);
	memcpy(text, head, sizeof(head) - 1);
	save(text, want);
	/* It is held in memory, so there is a limit. */
	ck_assert(truncate(path, 16 * 1024 * 1024 + 1) == 0);
	refused(name, "", "cannot be read", EFBIG);

	/* Less than that, through a socket that holds a few bytes at a time. */
	save(text, want);
	f = make(name, "", "");
	offset = flush_start(f, false);
	do {
		if (r != FLUSH_DONE)
			r = put(f, pair[0], WALL, &offset);
		MUST(r != FLUSH_FAILED);
		n = recv(pair[1], got, sizeof(got), MSG_DONTWAIT);
		if (n > 0) {
			MUST(seen + (size_t)n <= want);
			MUST(memcmp(got, text + seen, (size_t)n) == 0);
			seen += (size_t)n;
		}
	} while (r != FLUSH_DONE || n > 0);
	ck_assert_uint_eq(seen, want);
	flush_free(f);
}

/* Pieces come in order; several clients share one flusher meanwhile. */
TEST(partial)
{
	static char headers[40001], a[50000], b[50000];
	int size = 4096, other[2], again = 0;
	struct flush *f;
	uint32_t at[2];
	enum flush_result r[2] = { FLUSH_AGAIN, FLUSH_AGAIN };
	size_t len = 0, n = 0, i;
	ssize_t got;

	for (i = 0; i < 4000; i++)
		snprintf(headers + i * 10, 11, "A: %05zu\r\n", i);
	f = make("flush", headers, "s");
	ck_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, other) == 0);
	ck_assert(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size,
	    sizeof(size)) == 0);
	ck_assert(setsockopt(other[0], SOL_SOCKET, SO_SNDBUF, &size,
	    sizeof(size)) == 0);
	at[0] = flush_start(f, false);
	at[1] = flush_start(f, true);
	do {
		if (r[0] != FLUSH_DONE)
			r[0] = put(f, pair[0], WALL, &at[0]);
		if (r[1] != FLUSH_DONE)
			r[1] = put(f, other[0], WALL + 1, &at[1]);
		MUST(r[0] != FLUSH_FAILED && r[1] != FLUSH_FAILED);
		again += r[0] == FLUSH_AGAIN;
		drain(a, &len, sizeof(a) - 1);
		while ((got = recv(other[1], b + n, sizeof(b) - 1 - n,
		    MSG_DONTWAIT)) > 0)
			n += (size_t)got;
	} while (r[0] != FLUSH_DONE || r[1] != FLUSH_DONE);
	ck_assert_int_gt(again, 1);
	a[len] = b[n] = '\0';
	ck_assert_uint_eq(n, len + sizeof(CONTINUE) - 1);
	ck_assert(strncmp(b, CONTINUE, sizeof(CONTINUE) - 1) == 0);
	ck_assert(strstr(a, "Date: Sun, 06 Nov 1994 08:49:37 GMT") != NULL);
	ck_assert(strstr(b, "Date: Sun, 06 Nov 1994 08:49:38 GMT") != NULL);
	ck_assert_str_eq(strstr(a, "Server"), strstr(b, "Server"));
	ck_assert(strstr(a, headers) != NULL);
	close(other[0]);
	close(other[1]);
	flush_free(f);
}

/* A full socket is no failure, and does not block. */
TEST(full)
{
	static char dots[65536], text[UNIT_FENCE * 4];
	struct flush *f = make("flush", "", "");
	uint32_t offset = flush_start(f, false), before = offset;
	size_t len = 0, filled = 0;
	ssize_t n;

	while ((n = send(pair[0], dots, sizeof(dots), MSG_DONTWAIT)) > 0)
		filled += (size_t)n;
	while ((n = send(pair[0], dots, 1, MSG_DONTWAIT)) > 0)
		filled += (size_t)n;
	ck_assert_int_eq(put(f, pair[0], WALL, &offset),
	    FLUSH_AGAIN);
	ck_assert_uint_eq(offset, before);
	drain(text, &len, sizeof(text) - 1);
	ck_assert_uint_eq(len, filled);
	while (put(f, pair[0], WALL, &offset) == FLUSH_AGAIN)
		;
	len = 0;
	drain(text, &len, sizeof(text) - 1);
	text[len] = '\0';
	ck_assert(strncmp(text, "HTTP/1.1 200 OK\r\n", 17) == 0);
	flush_free(f);
}

/* Neither is it fatal to write to nobody. */
TEST(gone)
{
	struct flush *f = make("flush", "", "");
	uint32_t offset = flush_start(f, false);

	close(pair[1]);
	ck_assert_int_eq(put(f, pair[0], WALL, &offset),
	    FLUSH_FAILED);
	ck_assert_int_eq(errno, EPIPE);
	pair[1] = dup(pair[0]);
	flush_free(f);
}

TEST(bytes)
{
	static const char text[] = "0123456789";
	char out[32];
	uint32_t offset = 4;
	size_t len = 0;

	while (flush_bytes(pair[0], text, 10, &offset, 0) != FLUSH_DONE)
		;
	ck_assert_uint_eq(offset, 10);
	drain(out, &len, sizeof(out));
	ck_assert_uint_eq(len, 6);
	ck_assert(memcmp(out, "456789", 6) == 0);
}

static const struct test tests[] = {
	ONCE(text_plain),
	ONCE(text_headers),
	ONCE(text_dates),
	ONCE(text_copied),
	ONCE(text_long),
	ONCE(expect),
	ONCE(date),
	ONCE(none),
	ONCE(file_good),
	TIMES(file_bad, COUNT(bad_files)),
	ONCE(file_fifo),
	ONCE(file_large),
	ONCE(refusals),
	ONCE(partial),
	ONCE(full),
	ONCE(gone),
	ONCE(bytes)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), setup, teardown);
}
