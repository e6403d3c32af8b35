/* See LICENSE for copyright and license details. */

/*
 * One client at a time, moved on by hand: a socket pair is its connection, the
 * test is the loop, the clients and the backend.  Nothing waits for the clock.
 */

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "backend.h"
#include "clock.h"
#include "conn.h"
#include "fdpass.h"
#include "log.h"
#include "stats.h"
#include "unit.h"

#define FDS_MAX		256
#define FIRST_ID	7	/* deadlines below are the loop's */
#define SLOTS		3
#define GET(path)	"GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static char dir[64], buf[512 * 1024];
static struct config *config;
static int open_before, backend;
static int open_fds[16], nopen;	/* what teardown() closes */
static struct conn on_stack;
static const struct sock_addr nobody;

static void
report(const char *line)
{
	ck_abort_msg("%s", line);
}

static int
opened(int fd)
{
	ck_assert_int_ne(fd, -1);
	ck_assert_int_lt(nopen, COUNT(open_fds));
	return open_fds[nopen++] = fd;
}

/* Before its time. */
static void
shut(int fd)
{
	int i;

	for (i = 0; i < nopen; i++)
		if (open_fds[i] == fd)
			open_fds[i] = open_fds[--nopen];
	close(fd);
}

/* A client, which is closed in the end, and its connection. */
static void
connect_pair(int pair[2])
{
	ck_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ==
	    0);
	opened(pair[0]);
}

static int
listen_at_path(const char *name, int backlog)
{
	struct sock_addr addr;
	char path[128];
	int fd = opened(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	ck_assert(sock_unix(&addr, path, strlen(path)));
	ck_assert(bind(fd, &addr.u.sa, addr.len) == 0);
	ck_assert(listen(fd, backlog) == 0);
	return fd;
}

static void
open_conn(bool edges)
{
	ck_assert(conn_open(config, SLOTS, FIRST_ID, 0, edges));
	slot_turn();
}

static void
setup(void)
{
	char text[1024];
	FILE *f;
	int i;

	open_before = unit_count_open(FDS_MAX);
	nopen = 0;
	strcpy(dir, "/tmp/unit_conn.XXXXXX");
	ck_assert(mkdtemp(dir) != NULL);
	snprintf(text, sizeof(text), "%s/large", dir);
	f = fopen(text, "w");
	fputs("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", f);
	for (i = 0; i < 1024 * 1024; i++)
		putc('x', f);
	ck_assert(fclose(f) == 0);
	backend = listen_at_path("s", 16);
	log_name("unit");
	log_level(LOG_L_ERROR);
	clock_update();
	memset(stats_get(), 0, sizeof(*stats_get()));
	config = config_new(report);
	ck_assert(config != NULL);
	snprintf(text, sizeof(text), "Listen 0\n"
	    "ProxyPass /s fd://s\n"
	    "ProxyPass /raw fd://s flusher=none\n"
	    "ProxyPass /head fd://s payload=head\n"
	    "ProxyPass /large fd://s flusher=file:%s/large\n"
	    "ProxyPass /wait fd://none wait=10s queue=2\n"
	    "ProxyPass /brief fd://brief wait=1ms\n"
	    "ProxyPass /none fd://none\n"
	    "ProxyPass /full fd://full queue=2\n"
	    "ProxyPass /d fd://./ payload=head\n"
	    "ProxyPass /status status:\n"
	    "ProxyPass /no !\n", dir);
	config_text(config, "t", dir, text, strlen(text));
	ck_assert(config_finish(config));
	open_conn(true);
}

static void
teardown(void)
{
	struct conn *c;
	char text[160];

	while ((c = slot_next(NULL)) != NULL)
		conn_close(c);
	conn_release();
	deadline_close();
	config_free(config);
	while (nopen > 0)
		close(open_fds[--nopen]);
	snprintf(text, sizeof(text), "rm -r %s", dir);
	ck_assert(system(text) == 0);
	ck_assert_int_eq(unit_count_open(FDS_MAX), open_before);
}

#ifdef __linux__

/* On demand, a system that gives no larger buffer. */
static bool no_larger_buffer;

/* How many connections the backend drops before something is sent on them. */
static int drops;

int
setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (level == SOL_SOCKET && name == SO_SNDBUF && drops > 0) {
		drops--;
		close(accept(backend, NULL, NULL));
	}
	if (level == SOL_SOCKET && name == SO_SNDBUF && no_larger_buffer)
		return 0;
	return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}

#endif

/* ---- as the loop does it ---- */

/* A client that has sent the text: *want is what is to be waited for. */
static struct conn *
start(int pair[2], const char *text, enum conn_want *want)
{
	connect_pair(pair);
	if (*text != '\0')
		ck_assert(send(pair[0], text, strlen(text), 0) ==
		    (ssize_t)strlen(text));
	conn_start(&on_stack, pair[1], &nobody, false, NULL);
	*want = conn_advance(&on_stack, 0);
	return &on_stack;
}

/* Into a slot, where it waits. */
static struct conn *
keep(struct conn *c)
{
	struct conn *kept = slot_keep(c);

	ck_assert(kept != NULL);
	conn_settle(kept);
	return kept;
}

/* One that waits at once, for that, in that state; in a turn of its own. */
static struct conn *
start_waiting(int pair[2], const char *text, enum conn_want want,
    enum conn_state state)
{
	enum conn_want got;
	struct conn *c = start(pair, text, &got);

	slot_turn();
	ck_assert_int_eq(got, want);
	ck_assert_int_eq(c->state, state);
	return keep(c);
}

static void
say(int fd, const char *text)
{
	ck_assert(send(fd, text, strlen(text), 0) == (ssize_t)strlen(text));
}

/* What has come at a client's end, and whether its end has. */
static const char *
heard(int fd, bool *ended)
{
	size_t len = 0;
	ssize_t n;

	do {
		n = recv(fd, buf + len, sizeof(buf) - 1 - len, MSG_DONTWAIT);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 && len < sizeof(buf) - 1);
	buf[len] = '\0';
	*ended = n == 0;
	return buf;
}

static void
expect_answer(int fd, int status)
{
	char line[32];
	bool ended;

	snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
	ck_assert_msg(strncmp(heard(fd, &ended), line, strlen(line)) == 0,
	    "\"%.60s\" and not %d", buf, status);
	ck_assert(ended);
}

/* The backend gets a client, whose unread bytes are the text. */
static void
expect_client(int listener, const char *text)
{
	int conn = accept(listener, NULL, NULL), fd;
	char byte[2];
	ssize_t n;

	ck_assert_int_ne(conn, -1);
	ck_assert_int_eq(fdpass_recv(conn, byte, 1, &fd), 1);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(*byte, '\0');
	n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	buf[n > 0 ? n : 0] = '\0';
	ck_assert_str_eq(buf, text);
	close(fd);
	close(conn);
}

/* Hand it over: taken out of the poller by now, it is passed and closed. */
static void
pass(struct conn *c)
{
	ck_assert_int_eq(conn_pass(c), CONN_CLOSE);
	conn_close(c);
}

static uint32_t
id_of(const struct conn *c)
{
	return FIRST_ID + (uint32_t)slot_index(c);
}

/* The client's deadline, as if it had come. */
static enum conn_want
let_pass(struct conn *c)
{
	return conn_advance(c, CONN_LATE);
}

/* Fill what the other side has not read yet, so that nothing can be written. */
static void
stuff(int fd)
{
	static const char junk[65536];

	while (send(fd, junk, sizeof(junk), MSG_DONTWAIT) > 0 ||
	    send(fd, junk, 1, MSG_DONTWAIT) > 0)
		;
}

/* ---- HEAD ---- */

static const struct {
	const char *path, *left;
} passes[] = {
	{ "/s", "body" }, { "/head", "body" },
	{ "/raw", GET("/raw") "body" }
};

TEST(head_to_passed)
{
	enum conn_want want;
	struct conn *c;
	char text[128];
	bool ended;
	int pair[2];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\nbody",
	    passes[_i].path);
	c = start(pair, text, &want);
	ck_assert_int_eq(want, CONN_PASS);
	pass(c);
	expect_client(backend, passes[_i].left);
	heard(pair[0], &ended);
	ck_assert_int_eq(strncmp(buf, "HTTP/1.1 200 OK\r\n", 17) == 0,
	    _i != 2);
	ck_assert_uint_eq(stats_get()->passed, 1);
}

/* A time to wait in close(2), which a backend may have set by then, is off. */
TEST(passed_without_waiting)
{
	struct linger how = { 1, 20 };
	socklen_t len = sizeof(how);
	enum conn_want want;
	struct conn *c;
	int pair[2], ours;

	c = start(pair, GET("/s"), &want);
	ours = dup(pair[1]);
	ck_assert(setsockopt(ours, SOL_SOCKET, SO_LINGER, &how, len) == 0);
	ck_assert_int_eq(want, CONN_PASS);
	pass(c);
	expect_client(backend, "");
	ck_assert(getsockopt(ours, SOL_SOCKET, SO_LINGER, &how, &len) == 0);
	ck_assert_int_eq(how.l_onoff, 0);
	close(ours);
}

TEST(head_in_pieces)
{
	const char *text = GET("/s");
	enum conn_want want;
	struct conn *c;
	size_t i;
	int pair[2];

	c = start(pair, "", &want);
	ck_assert_int_eq(want, CONN_READ);
	c = keep(c);
	for (i = 0; text[i] != '\0'; i++) {
		ck_assert(send(pair[0], text + i, 1, 0) == 1);
		want = conn_advance(c, 0);
		ck_assert_int_eq(want, text[i + 1] == '\0' ? CONN_PASS :
		    CONN_READ);
		if (want == CONN_READ)
			ck_assert_uint_eq(c->u.head.scan.at, i + 1);
	}
	pass(c);
	expect_client(backend, "");
	ck_assert_uint_eq(slot_used(), 0);
}

/* Nothing, a part, or all of a head, and then its end, a reset or the time. */
TEST(head_ends)
{
	enum conn_want want;
	struct conn *c;
	int pair[2];

	c = start_waiting(pair, "", CONN_READ, CONN_HEAD);
	shutdown(pair[0], SHUT_WR);
	ck_assert_int_eq(conn_advance(c, CONN_END), CONN_CLOSE);
	conn_close(c);

	c = start_waiting(pair, "GET / HTTP/1.1\r\nHo", CONN_READ,
	    CONN_HEAD);
	shutdown(pair[0], SHUT_WR);
	conn_advance(c, CONN_END);
	conn_close(c);
	expect_answer(pair[0], 400);

	c = start_waiting(pair, "GET / HT", CONN_READ, CONN_HEAD);
	shut(pair[0]);
	ck_assert_int_eq(conn_advance(c, CONN_GONE), CONN_CLOSE);
	conn_close(c);

	c = start_waiting(pair, "", CONN_READ, CONN_HEAD);
	ck_assert_int_eq(let_pass(c), CONN_CLOSE);
	conn_close(c);

	c = start_waiting(pair, "GET / HT", CONN_READ, CONN_HEAD);
	want = let_pass(c);
	ck_assert_int_eq(want, CONN_READ);
	ck_assert_int_eq(c->state, CONN_LINGER);
	expect_answer(pair[0], 408);
	conn_close(c);
}

/*
 * No verdict without a last look: a head that came whole before its time was
 * over, or its slot wanted, is served however late that is seen.
 */
TEST(head_whole_at_last)
{
	static const unsigned int whys[] = { CONN_LATE, CONN_EVICT,
	    CONN_END | CONN_LATE };
	enum conn_want want;
	struct conn *c;
	int pair[2];

	if (_i >= COUNT(whys)) {
		/* The same while it rests. */
		conn_release();
		deadline_close();
		open_conn(false);
	}
	c = start(pair, "GET /s HTTP", &want);
	slot_turn();
	c = keep(c);
	ck_assert_int_eq(c->state, _i >= COUNT(whys) ? CONN_REST : CONN_HEAD);
	say(pair[0], "/1.1\r\nHost: a\r\n\r\n");
	ck_assert_int_eq(conn_advance(c, whys[_i % COUNT(whys)]), CONN_PASS);
	pass(c);
	expect_client(backend, "");
	ck_assert_uint_eq(stats_get()->timeouts, 0);
}

/*
 * After many looks, or after each where arrivals are reported over and over, a
 * client rests; what comes then is looked at once, afterwards.
 */
TEST(head_rests)
{
	enum conn_want want;
	struct conn *c;
	unsigned int why;
	int pair[2], looks;

	if (_i == 1) {
		conn_release();
		deadline_close();
		open_conn(false);
	}
	c = start(pair, "GET /", &want);
	slot_turn();
	c = keep(c);
	for (looks = 1; want == CONN_READ && looks < 200; looks++) {
		say(pair[0], "s");
		want = conn_advance(c, 0);
	}
	ck_assert_int_eq(looks, _i == 0 ? 65 : 1);
	ck_assert_int_eq(want, CONN_DOZE);
	ck_assert_int_eq(c->state, CONN_REST);
	conn_settle(c);
	ck_assert(conn_due(id_of(c), &why) == c);
	ck_assert_uint_eq(why, CONN_WAKE);
	/* Nothing has come: no look if that would have been reported. */
	ck_assert_int_eq(conn_advance(c, CONN_WAKE), _i == 0 ? CONN_READ :
	    CONN_DOZE);
	ck_assert_int_eq(c->state, _i == 0 ? CONN_HEAD : CONN_REST);
	if (_i == 0) {
		say(pair[0], "s");
		ck_assert_int_eq(conn_advance(c, 0), CONN_DOZE);
	}
	say(pair[0], " HTTP/1.1\r\nHost: a\r\n\r\n");
	ck_assert_int_eq(conn_advance(c, 0), CONN_SAME);
	ck_assert_int_eq(conn_advance(c, CONN_WAKE), CONN_READ);
	expect_answer(pair[0], 404);
	conn_close(c);
}

/* The longer nothing comes, the longer it rests; what comes begins anew. */
TEST(rest_grows)
{
	static const int rests[] = { 10, 20, 40, 80, 100, 100 };
	enum conn_want want;
	struct conn *c;
	int pair[2], i;

	conn_release();
	deadline_close();
	open_conn(false);
	c = start(pair, "GET /", &want);
	slot_turn();
	c = keep(c);
	for (i = 0; i < COUNT(rests); i++) {
		ck_assert_int_eq(deadline_wait(), rests[i]);
		ck_assert_int_eq(conn_advance(c, CONN_WAKE), CONN_DOZE);
		conn_settle(c);
	}
	say(pair[0], "s");
	ck_assert_int_eq(conn_advance(c, CONN_WAKE), CONN_DOZE);
	conn_settle(c);
	ck_assert_int_eq(deadline_wait(), rests[0]);
	conn_close(c);
}

/* Its end, or the time, finds a client that rests. */
TEST(rest_ends)
{
	enum conn_want want;
	struct conn *c;
	int pair[2];

	conn_release();
	deadline_close();
	open_conn(false);
	c = start(pair, "GET / HTTP/1.1\r\nHo", &want);
	slot_turn();
	c = keep(c);
	ck_assert_int_eq(c->state, CONN_REST);
	if (_i == 0) {
		shutdown(pair[0], SHUT_WR);
		ck_assert_int_eq(conn_advance(c, CONN_END), CONN_CLOSE);
	} else {
		ck_assert_int_eq(let_pass(c), CONN_READ);
	}
	expect_answer(pair[0], _i == 0 ? 400 : 408);
	conn_close(c);
}

/* ---- REPLY and LINGER ---- */

static const struct {
	const char *text;
	int status;
} answers[] = {
	{ "BAD\r\n\r\n", 400 }, { GET("/no"), 404 }, { GET("/nowhere"), 404 },
	{ "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405 },
	{ "GET /s HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 417 },
	{ GET("/none"), 503 }, { "GET / HTTP/3.0\r\n\r\n", 505 },
	{ GET("/s/%2e%2e/raw"), 400 }
};

TEST(head_to_reply)
{
	struct conn *c;
	int pair[2];

	c = start_waiting(pair, answers[_i].text, CONN_READ, CONN_LINGER);
	expect_answer(pair[0], answers[_i].status);
	ck_assert_uint_eq(slot_count(LIST_LINGER), 1);
	/* What it still sends is dropped, until its end. */
	say(pair[0], "more");
	ck_assert_int_eq(conn_advance(c, 0), CONN_READ);
	shutdown(pair[0], SHUT_WR);
	ck_assert_int_eq(conn_advance(c, CONN_END), CONN_CLOSE);
	conn_close(c);
}

/* It does not read its answer: it has room, leaves, or its time is over. */
TEST(reply_waits)
{
	struct conn *c;
	int pair[2];
	bool ended;

	connect_pair(pair);
	say(pair[0], GET("/no"));
	stuff(pair[1]);
	conn_start(&on_stack, pair[1], &nobody, false, NULL);
	ck_assert_int_eq(conn_advance(&on_stack, 0), CONN_WRITE);
	ck_assert_int_eq(on_stack.state, CONN_REPLY);
	c = keep(&on_stack);
	switch (_i) {
	case 0:
		heard(pair[0], &ended);
		ck_assert(!ended);
		ck_assert_int_eq(conn_advance(c, 0), CONN_READ);
		ck_assert_int_eq(c->state, CONN_LINGER);
		expect_answer(pair[0], 404);
		break;
	case 1:
		ck_assert_int_eq(let_pass(c), CONN_CLOSE);
		break;
	default:
		shut(pair[0]);
		ck_assert_int_eq(conn_advance(c, CONN_GONE), CONN_CLOSE);
		break;
	}
	conn_close(c);
}

TEST(linger_is_bounded)
{
	static const char junk[1024];
	enum conn_want want;
	struct conn *c;
	size_t n = 0;
	int pair[2];

	c = start_waiting(pair, GET("/no"), CONN_READ, CONN_LINGER);
	do {
		ck_assert(send(pair[0], junk, sizeof(junk), 0) ==
		    (ssize_t)sizeof(junk));
		n += sizeof(junk);
		want = conn_advance(c, 0);
	} while (want == CONN_READ && n < 1024 * 1024);
	ck_assert_int_eq(want, CONN_CLOSE);
	ck_assert_uint_le(n, 264 * 1024);
	ck_assert_uint_ge(n, 256 * 1024);
	conn_close(c);

	c = start_waiting(pair, GET("/no"), CONN_READ, CONN_LINGER);
	ck_assert_int_eq(let_pass(c), CONN_CLOSE);
	conn_close(c);
}

/* ---- QUEUED ---- */

/* What the deadline of a backend's list brings about. */
static struct conn *
probe(uint32_t route)
{
	uint32_t list = backend_list(&config->targets[route],
	    &config->targets[route].addr);
	unsigned int why = 0;
	struct conn *c = conn_due(slot_list_id(list), &why);

	if (c != NULL)
		ck_assert_uint_eq(why, CONN_PROBE);
	return c;
}

#define WAIT_ROUTE	4	/* /wait and /full, in setup() */
#define FULL_ROUTE	7

/*
 * A probe alone finds out that the backend is still missing; the head is read
 * again when it is there.
 */
TEST(queued_to_passed)
{
	struct conn *c;
	int pair[2], listener;

	c = start_waiting(pair, GET("/wait"), CONN_PARK, CONN_QUEUED);
	ck_assert(probe(WAIT_ROUTE) == NULL);
	ck_assert_int_eq(conn_advance(c, 0), CONN_SAME);
	listener = listen_at_path("none", 16);
	ck_assert(probe(WAIT_ROUTE) == c);
	ck_assert_int_ne(c->backend, -1);
	ck_assert_int_eq(conn_advance(c, CONN_PROBE), CONN_PASS);
	pass(c);
	expect_client(listener, "");
	/* One connection alone was made. */
	ck_assert_int_eq(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(accept(listener, NULL, NULL), -1);
}

/* The backend is a file of another kind by now: waiting is no use. */
TEST(queued_to_broken)
{
	struct conn *c;
	unsigned int why;
	char text[128];
	int pair[2];

	c = start_waiting(pair, GET("/wait"), CONN_PARK, CONN_QUEUED);
	snprintf(text, sizeof(text), "%s/none", dir);
	close(open(text, O_CREAT | O_WRONLY, 0600));
	ck_assert(conn_due(slot_list_id(c->list), &why) == c);
	ck_assert_uint_eq(why, CONN_LATE);
	log_use(LOG_MESSAGES, NULL, -1);
	ck_assert_int_eq(conn_advance(c, why), CONN_READ);
	log_use(LOG_MESSAGES, "stderr", STDERR_FILENO);
	expect_answer(pair[0], 500);
	conn_close(c);
}

/* No verdict without a last look: the backend has come by then. */
TEST(queued_to_passed_late)
{
	struct conn *c;
	int pair[2], listener;

	c = start_waiting(pair, GET("/brief"), CONN_PARK, CONN_QUEUED);
	poll(NULL, 0, 2);
	clock_update();
	listener = listen_at_path("brief", 16);
	ck_assert_int_eq(let_pass(c), CONN_PASS);
	pass(c);
	expect_client(listener, "");
}

/* The same for all in line, whoever's turn comes first. */
TEST(line_to_passed_late)
{
	struct conn *c[2];
	int pair[2][2], listener, i;

	for (i = 0; i < 2; i++) {
		c[i] = start_waiting(pair[i], GET("/wait"), CONN_PARK,
		    CONN_QUEUED);
		c[i]->since -= 11000;
	}
	listener = listen_at_path("none", 16);
	for (i = 0; i < 2; i++) {
		if (_i == 0)
			ck_assert(probe(WAIT_ROUTE) == c[i]);
		ck_assert_int_eq(_i == 0 ? conn_advance(c[i], CONN_PROBE) :
		    let_pass(c[1 - i]), CONN_PASS);
		pass(_i == 0 ? c[i] : c[1 - i]);
		expect_client(listener, "");
	}
}

/*
 * Who has waited for a backend to come is not sent away because it is busy at
 * once: connectiontimeout counts from then on.
 */
TEST(queued_to_busy)
{
	struct conn *c, *filler;
	enum conn_want want;
	int pair[2], other[2], listener;

	c = start_waiting(pair, GET("/wait"), CONN_PARK, CONN_QUEUED);
	ck_assert(probe(WAIT_ROUTE) == NULL);
	/* Longer than connectiontimeout, less than wait. */
	c->since -= 6000;
	/* A backlog of 0 holds one. */
	listener = listen_at_path("none", 0);
	filler = start(other, GET("/none"), &want);
	ck_assert_int_eq(want, CONN_PASS);
	pass(filler);
	ck_assert(probe(WAIT_ROUTE) == NULL);
	ck_assert_int_eq(let_pass(c), CONN_PARK);
	expect_client(listener, "");
	ck_assert(probe(WAIT_ROUTE) == c);
	ck_assert_int_eq(conn_advance(c, CONN_PROBE), CONN_PASS);
	pass(c);
	expect_client(listener, "");
	close(listener);
	close(other[0]);
	close(pair[0]);
}

/* Without patience nobody is judged by what the others have seen. */
TEST(queue_is_no_verdict)
{
	struct conn *c;
	enum conn_want want;
	int pair[2], other[2], listener;

	c = start_waiting(pair, GET("/wait"), CONN_PARK, CONN_QUEUED);
	ck_assert(probe(WAIT_ROUTE) == NULL);
	listener = listen_at_path("none", 16);
	pass(start(other, GET("/none"), &want));
	ck_assert_int_eq(want, CONN_PASS);
	expect_client(listener, "");
	conn_close(c);
	close(listener);
	close(other[0]);
	close(pair[0]);
}

/* A client that another program has left has waited already. */
TEST(left_to_us)
{
	struct conn_left left = { 30000, _i == 0 ? 30000 : 0, 7, false };
	struct conn *c;
	int pair[2];

	connect_pair(pair);
	say(pair[0], _i == 0 ? GET("/wait") : "GET /s");
	conn_start(&on_stack, pair[1], &nobody, false, &left);
	log_use(LOG_MESSAGES, NULL, -1);
	if (_i == 0) {
		ck_assert_int_eq(conn_advance(&on_stack, 0), CONN_READ);
		expect_answer(pair[0], 503);
		conn_close(&on_stack);
	} else {
		ck_assert_int_eq(conn_advance(&on_stack, 0), CONN_READ);
		c = keep(&on_stack);
		ck_assert_int_eq(deadline_wait(), 0);
		ck_assert_int_eq(let_pass(c), CONN_READ);
		expect_answer(pair[0], 408);
		conn_close(c);
	}
	log_use(LOG_MESSAGES, "stderr", STDERR_FILENO);
}

/*
 * Clients without patience find the backend missing: when it is next tried for
 * the one in line is not put off.
 */
TEST(others_do_not_put_off)
{
	struct conn *c;
	enum conn_want want;
	int pair[2], other[2], wait, i;

	c = start_waiting(pair, GET("/wait"), CONN_PARK, CONN_QUEUED);
	wait = deadline_wait();
	log_use(LOG_MESSAGES, NULL, -1);
	for (i = 0; i < 8; i++) {
		start(other, GET("/none"), &want);
		expect_answer(other[0], 503);
		conn_close(&on_stack);
		ck_assert_int_le(deadline_wait(), wait);
	}
	log_use(LOG_MESSAGES, "stderr", STDERR_FILENO);
	conn_close(c);
}

static const struct {
	int queues, delay;
} delays[] = {
	{ 1, 50 }, { 50, 50 }, { 51, 51 }, { 300, 300 }, { 1500, 1000 }
};

/* The more queues there are, the longer each waits for its next probe. */
TEST(delay_grows)
{
	const struct conn none = { .fd = -1, .backend = -1,
	    .list = SLOT_NO_LIST, .state = CONN_QUEUED };
	const int n = delays[_i].queues;
	struct conn *c[1500];
	char text[64];
	int i, round;

	conn_release();
	deadline_close();
	config_free(config);
	config = config_new(report);
	config_listen(config, "0");
	for (i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "ProxyPass /%d fd:///none/%d", i,
		    i);
		config_directive(config, text);
	}
	ck_assert(config_finish(config));
	ck_assert(conn_open(config, 2 * (uint32_t)n, FIRST_ID, 0, true));
	for (i = 0; i < n; i++) {
		c[i] = slot_keep(&none);
		slot_enter(c[i], backend_list(&config->targets[i], NULL));
		backend_wait(c[i]->list);
	}
	for (round = 0; round < 12; round++)
		for (i = 0; i < n; i++)
			ck_assert_int_eq(backend_probe(c[i]->list), -1);
	ck_assert_int_eq(deadline_wait(), delays[_i].delay);
	/* And back again. */
	for (i = 1; i < n; i++)
		slot_free(c[i]);
	deadline_close();
	ck_assert(deadline_open(FIRST_ID + 2 * (uint32_t)n +
	    backend_lists(config)));
	ck_assert_int_eq(backend_probe(c[0]->list), -1);
	ck_assert_int_eq(deadline_wait(), 50);
	/* Who comes behind makes no queue more. */
	c[1] = slot_keep(&none);
	slot_enter(c[1], c[0]->list);
	ck_assert_uint_eq(slot_queues(), 1);
	slot_free(c[1]);
	ck_assert_uint_eq(slot_queues(), 1);
	slot_free(c[0]);
	ck_assert_uint_eq(slot_queues(), 0);
}

/* It leaves, its time is over, it has been stopped. */
TEST(queued_ends)
{
	struct conn *c;
	int pair[2];

	c = start_waiting(pair, GET("/wait"), CONN_PARK, CONN_QUEUED);
	shut(pair[0]);
	ck_assert_int_eq(conn_advance(c, CONN_GONE), CONN_CLOSE);
	conn_close(c);
	ck_assert_uint_eq(stats_get()->gone, 1);

	c = start_waiting(pair, GET("/brief"), CONN_PARK, CONN_QUEUED);
	poll(NULL, 0, 2);
	clock_update();
	ck_assert_int_eq(let_pass(c), CONN_READ);
	ck_assert_int_eq(c->state, CONN_LINGER);
	expect_answer(pair[0], 503);
	conn_close(c);

	c = start_waiting(pair, GET("/wait"), CONN_PARK, CONN_QUEUED);
	conn_refuse(c);
	conn_close(c);
	expect_answer(pair[0], 503);
}

/* First come, first served; the queue's bound; the same for a full backlog. */
TEST(queue_in_order)
{
	static const char *const texts[] = { GET("/wait"), GET("/full") };
	struct conn *c[2];
	enum conn_want want;
	int pair[3][2], listener = -1, filler[2], i;

	if (_i == 1) {
		/* A backlog of 0 holds one. */
		listener = listen_at_path("full", 0);
		start(filler, GET("/full"), &want);
		ck_assert_int_eq(want, CONN_PASS);
		pass(&on_stack);
	}
	for (i = 0; i < 2; i++)
		c[i] = start_waiting(pair[i], texts[_i], CONN_PARK,
		    CONN_QUEUED);
	start_waiting(pair[2], texts[_i], CONN_READ, CONN_LINGER);
	expect_answer(pair[2][0], 503);
	if (_i == 1) {
		expect_client(listener, "");
	} else {
		listener = listen_at_path("none", 16);
	}
	for (i = 0; i < 2; i++) {
		ck_assert(probe(_i == 0 ? WAIT_ROUTE : FULL_ROUTE) == c[i]);
		ck_assert_int_eq(conn_advance(c[i], CONN_PROBE), CONN_PASS);
		pass(c[i]);
		expect_client(listener, "");
	}
}

/* ---- FLUSH ---- */

TEST(flush_waits)
{
	struct conn *c;
	enum conn_want want;
	int pair[2];
	size_t total = 0;
	bool ended;

	c = start_waiting(pair, GET("/large"), CONN_WRITE, CONN_FLUSH);
	ck_assert_uint_eq(stats_get()->passed, 0);
	switch (_i) {
	case 0:
		/* Its head is unread until the last byte is out. */
		do {
			ck_assert_int_eq(recv(pair[1], buf, 4, MSG_PEEK), 4);
			ck_assert_int_eq(memcmp(buf, "GET ", 4), 0);
			total += strlen(heard(pair[0], &ended));
			ck_assert(!ended);
			want = conn_advance(c, 0);
		} while (want == CONN_WRITE);
		ck_assert_int_eq(want, CONN_PASS);
		pass(c);
		total += strlen(heard(pair[0], &ended));
		expect_client(backend, "");
		ck_assert_uint_gt(total, 1024 * 1024);
		break;
	case 1:
		ck_assert_int_eq(let_pass(c), CONN_CLOSE);
		ck_assert(c->reset);
		conn_close(c);
		break;
	case 2:
		shut(pair[0]);
		want = conn_advance(c, CONN_GONE);
		ck_assert_int_eq(want, CONN_CLOSE);
		conn_close(c);
		break;
	default:
		conn_refuse(c);
		ck_assert(c->reset);
		conn_close(c);
		break;
	}
	ck_assert_uint_eq(stats_get()->passed, _i == 0);
}

/*
 * Timeout is counted from the last byte that the client took: also from one
 * that has made too little room to be reported.
 */
TEST(flush_slowly)
{
	struct pollfd room = { -1, POLLOUT, 0 };
	enum conn_want want = CONN_WRITE;
	uint32_t now = clock_ms();
	struct conn *c;
	int pair[2], unreported = 0;

	c = start_waiting(pair, GET("/large"), CONN_WRITE, CONN_FLUSH);
	room.fd = pair[1];
	while (want == CONN_WRITE) {
		/* Its time gets on by a millisecond, and begins anew. */
		while (clock_ms() == now)
			clock_update();
		now = clock_ms();
		ck_assert_int_lt(deadline_wait(), (int)config->flush_ms);
		ck_assert(recv(pair[0], buf, 65536, MSG_DONTWAIT) > 0);
		unreported += poll(&room, 1, 0) == 0;
		want = let_pass(c);
		if (want == CONN_WRITE) {
			conn_settle(c);
			ck_assert_int_eq(deadline_wait(),
			    (int)config->flush_ms);
		}
	}
	ck_assert_int_eq(want, CONN_PASS);
	ck_assert_int_gt(unreported, 0);
	pass(c);
	expect_client(backend, "");
}

#ifdef __linux__

/* It is sent three times, then no more. */
TEST(sent_again)
{
	enum conn_want want;
	struct conn *c;
	int pair[2];

	c = start(pair, GET("/head"), &want);
	ck_assert_int_eq(want, CONN_PASS);
	drops = 2 + _i;
	log_use(LOG_MESSAGES, NULL, -1);
	pass(c);
	log_use(LOG_MESSAGES, "stderr", STDERR_FILENO);
	ck_assert_int_eq(drops, 0);
	ck_assert_uint_eq(stats_get()->passed, _i == 0);
	ck_assert_uint_eq(stats_get()->resets, _i == 1);
	if (_i == 0)
		expect_client(backend, "");
}

/*
 * A head goes with its client in one message, though the system's buffers be
 * small; where they cannot be larger it is cut short, and the client reset.
 */
TEST(payload_in_one)
{
	static char text[7000];
	enum conn_want want;
	struct conn *c;
	int pair[2], conn, fd, small = 1;
	size_t len;
	ssize_t n;

	memset(text, 'a', sizeof(text));
	memcpy(text, "GET /head HTTP/1.1\r\nHost: a\r\nA: ", 32);
	memcpy(text + sizeof(text) - 5, "\r\n\r\n", 5);
	c = start(pair, text, &want);
	ck_assert_int_eq(want, CONN_PASS);
	ck_assert(setsockopt(c->backend, SOL_SOCKET, SO_SNDBUF, &small,
	    sizeof(small)) == 0);
	no_larger_buffer = _i == 1;
	log_use(LOG_MESSAGES, NULL, -1);
	want = conn_pass(c);
	log_use(LOG_MESSAGES, "stderr", STDERR_FILENO);
	no_larger_buffer = false;
	ck_assert_int_eq(want, CONN_CLOSE);
	ck_assert_int_eq(c->reset, _i == 1);
	conn_close(c);
	conn = accept(backend, NULL, NULL);
	ck_assert_int_ne(conn, -1);
	n = fdpass_recv(conn, buf, sizeof(buf), &fd);
	ck_assert_int_ne(fd, -1);
	for (len = 0; n > 0; len += (size_t)n, n = recv(conn, buf + len,
	    sizeof(buf) - len, 0))
		;
	ck_assert_int_eq(len == strlen(text) + 1, _i == 0);
	ck_assert_int_eq(memcmp(buf + 1, text, len - 1), 0);
	close(fd);
	close(conn);
}

#endif

/*
 * The backend leaves between the connection and the hand-off: without a byte
 * out the client waits for it; with one, it is reset.
 */
TEST(flush_fails)
{
	enum conn_want want;
	int pair[2], dropped;
	struct conn *c;
	char text[128];

	c = start(pair, _i == 0 ? GET("/raw") : GET("/s"), &want);
	ck_assert_int_eq(want, CONN_PASS);
	log_use(LOG_MESSAGES, NULL, -1);
	if (_i == 2) {
		/* This connection alone. */
		dropped = accept(backend, NULL, NULL);
		close(dropped);
		pass(c);
		expect_client(backend, "");
	} else {
		shut(backend);
		snprintf(text, sizeof(text), "%s/s", dir);
		unlink(text);
		want = conn_pass(c);
		backend = listen_at_path("s", 16);
		/* Without wait= there is nothing to wait for. */
		ck_assert_int_eq(want, _i == 0 ? CONN_READ : CONN_CLOSE);
		if (_i == 0)
			expect_answer(pair[0], 503);
		ck_assert_int_eq(c->reset, _i == 1);
		conn_close(c);
	}
	log_use(LOG_MESSAGES, "stderr", STDERR_FILENO);
	ck_assert_uint_eq(stats_get()->resets, _i == 1);
}

/* ---- slots ---- */

/* Who makes room: one that lingers, else who has waited longest for a head. */
TEST(room)
{
	struct conn *c[SLOTS], *new;
	enum conn_want want;
	int pair[SLOTS + 1][2], i;

	c[0] = start_waiting(pair[0], "", CONN_READ, CONN_HEAD);
	c[1] = start_waiting(pair[1], "GET", CONN_READ, CONN_HEAD);
	c[2] = start_waiting(pair[2], GET("/no"), CONN_READ, CONN_LINGER);
	ck_assert_uint_eq(slot_used(), SLOTS);
	new = start(pair[3], "", &want);
	ck_assert(slot_keep(new) == NULL);
	ck_assert(slot_victim() == c[2]);
	ck_assert_int_eq(conn_advance(c[2], CONN_EVICT), CONN_CLOSE);
	conn_close(c[2]);
	c[2] = keep(new);
	for (i = 0; i < 2; i++) {
		slot_turn();
		ck_assert(slot_victim() == c[i]);
		ck_assert_int_eq(conn_advance(c[i], CONN_EVICT), CONN_CLOSE);
		conn_close(c[i]);
	}
	/* Silence gets nothing, half a head an answer. */
	ck_assert_int_eq(recv(pair[0][0], buf, 1, 0), 0);
	expect_answer(pair[1][0], 408);
	ck_assert_uint_eq(stats_get()->evicted, 3);
	/* One that waits for its backend does not go. */
	conn_close(c[2]);
	slot_turn();
	c[0] = start_waiting(pair[3], GET("/wait"), CONN_PARK, CONN_QUEUED);
	ck_assert(slot_victim() == NULL);
}

/* A slot that is freed is taken again at once: a report of this turn that names
   it is about the client before. */
TEST(slots_of_a_turn)
{
	struct conn *c[SLOTS], *new;
	enum conn_want want;
	int pair[SLOTS + 1][2], i;

	for (i = 0; i < SLOTS; i++)
		c[i] = start_waiting(pair[i], "", CONN_READ, CONN_HEAD);
	slot_turn();
	ck_assert(!slot_is_new(c[1]));
	conn_close(c[1]);
	/* Nobody's. */
	ck_assert_int_eq(conn_advance(c[1], CONN_GONE), CONN_SAME);
	new = keep(start(pair[SLOTS], "", &want));
	ck_assert(new == c[1]);
	ck_assert(slot_is_new(new));
	slot_turn();
	ck_assert(!slot_is_new(new));
	for (i = 0; i < SLOTS + 1; i++)
		close(pair[i][0]);
}

static const struct test tests[] = {
	TIMES(head_to_passed, COUNT(passes)),
	ONCE(passed_without_waiting),
	ONCE(head_in_pieces),
	ONCE(head_ends),
	TIMES(head_whole_at_last, 6),
	TIMES(head_rests, 2),
	ONCE(rest_grows),
	TIMES(rest_ends, 2),
	TIMES(head_to_reply, COUNT(answers)),
	TIMES(reply_waits, 3),
	ONCE(linger_is_bounded),
	ONCE(queued_to_passed),
	ONCE(queued_to_broken),
	ONCE(queued_to_passed_late),
	TIMES(line_to_passed_late, 2),
	ONCE(queued_to_busy),
	ONCE(queue_is_no_verdict),
	TIMES(left_to_us, 2),
	ONCE(others_do_not_put_off),
	TIMES(delay_grows, COUNT(delays)),
	ONCE(queued_ends),
	TIMES(queue_in_order, 2),
	TIMES(flush_waits, 4),
	ONCE(flush_slowly),
#ifdef __linux__
	TIMES(sent_again, 2),
	TIMES(payload_in_one, 2),
#endif
	TIMES(flush_fails, 3),
	ONCE(room),
	ONCE(slots_of_a_turn)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), setup, teardown);
}
