/* See LICENSE for copyright and license details. */

/*
 * CGI programs behind the real fdproxy: fdexec -C.  The environment's FDEXEC
 * names it.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdpass.h"
#include "world.h"

#define HOST	"Host: x\r\n"
#define GET	"GET /app HTTP/1.1\r\n" HOST "\r\n"
#define POST	"POST /app HTTP/1.1\r\n" HOST
#define OK	"echo Content-Type: text/plain; echo; "
#define LARGE	(16 * 1024 * 1024)	/* more than systems buffer */

static char binary[4096];
static char buf[1024 * 1024];
static char large[LARGE];
static pid_t fdexec = -1;

/* ---- fdexec ---- */

/* With a shell script as its program, and an option or NULL. */
static void
start(const char *script, const char *option)
{
	char text[4096];
	int err, i;

	snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", script);
	write_file("program", text);
	ck_assert_int_eq(chmod("program", 0755), 0);
	fflush(NULL);
	fdexec = fork();
	ck_assert_int_ne(fdexec, -1);
	if (fdexec != 0)
		return;
	err = open("fdexec.err", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	dup2(err, STDERR_FILENO);
	for (i = 3; i < 256; i++)
		close(i);
	setenv("HTTP_TRANSFER_ENCODING", "inherited", 1);
	setenv("REMOTE_USER", "inherited", 1);
	execl(binary, "fdexec", option == NULL ? "-C" : option, "s",
	    "./program", (char *)NULL);
	_exit(111);
}

static void
serve(const char *script)
{
	start(script, NULL);
	world_proxy("-r", "/app=s,flusher=none,wait=1min", NULL);
}

static void
begin(void)
{
	const char *name = getenv("FDEXEC");

	ck_assert_ptr_nonnull(realpath(name == NULL ? "./fdexec" : name,
	    binary));
	unsetenv("SCRIPT_NAME");
	memset(buf, 0, sizeof(buf));
	world_begin();
}

/* It must end on SIGTERM, with status 0. */
static void
end(void)
{
	int status = 0;

	if (fdexec != -1) {
		kill(fdexec, runner_at_end ? SIGTERM : SIGKILL);
		waitpid(fdexec, &status, 0);
		fdexec = -1;
	}
	world_end();
	if (runner_at_end)
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Given away by the test itself, with these bytes there already. */
static int
give(const char *data, size_t len)
{
	struct timeval patience = { WORLD_PATIENCE / 1000, 0 };
	int pair[2], sender;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    pair), 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &patience,
	    sizeof(patience));
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience));
	send_bytes(pair[0], data, len);
	sender = client_unix("s");
	ck_assert_int_eq(fdpass_send(sender, pair[1], "", 1), 1);
	close(sender);
	close(pair[1]);
	return pair[0];
}

/* In buf, which is empty: up to that text, and not a byte more. */
static void
until_got(int client, const char *text)
{
	while (strstr(buf, text) == NULL)
		read_exact(client, buf + strlen(buf), 1);
}

/* One that is to send LARGE bytes. */
static int
begin_large(int client)
{
	char head[256];

	snprintf(head, sizeof(head), POST "Content-Length: %d\r\n\r\n", LARGE);
	send_text(client, head);
	return client;
}

/* Up to a clean end. */
static const char *
rest_of(int client)
{
	size_t len;

	ck_assert_msg(read_all(client, buf, sizeof(buf), &len) == END_FIN,
	    "a reset after \"%s\": %s", buf, read_file("fdexec.err"));
	close(client);
	return buf;
}

/* An answer's head without Date, which must be there once. */
static const char *
undated(const char *answer)
{
	static char text[4096];
	const char *date = strstr(answer, "\r\nDate: "), *after;

	ck_assert_msg(date != NULL, "no Date: \"%s\"", answer);
	after = strstr(date + 2, "\r\n");
	ck_assert_ptr_null(strstr(after, "\r\nDate: "));
	snprintf(text, sizeof(text), "%.*s%.3000s", (int)(date - answer),
	    answer, after);
	return text;
}

static void
until_says(const char *text)
{
	long patient = now_ms() + WORLD_PATIENCE;

	while (strstr(read_file("fdexec.err"), text) == NULL) {
		ck_assert_msg(now_ms() < patient, "no \"%s\": %s", text,
		    read_file("fdexec.err"));
		poll(NULL, 0, 2);
	}
}

/* A FIFO that programs wait for, and nobody finds closed. */
static int
fifo(const char *name)
{
	ck_assert_int_eq(mkfifo(name, 0600), 0);
	return open(name, O_RDWR | O_CLOEXEC);
}

/* ---- what the program gets ---- */

static const struct {
	const char *script_name;	/* fdexec's own, or NULL */
	const char *target;
	const char *want;
} paths[] = {
	{ NULL, "/app", "/app||" },
	{ NULL, "/app/a%20b?c=%20d", "/app/a b||c=%20d" },
	{ "/app", "/app", "/app||" },
	{ "/app", "/app/a%20b?c", "/app|/a b|c" },
	{ "/app/", "/app/a", "/app|/a|" },
	{ "/", "/app/a", "|/app/a|" },
	{ "/app/a", "/app/ab", "/app/ab||" },
	{ "", "/app/x", "|/app/x|" },
	{ "/app", "http://h/app/x..y/..z?", "/app|/x..y/..z|" }
};

TEST(path)
{
	char request[256];

	if (paths[_i].script_name != NULL)
		setenv("SCRIPT_NAME", paths[_i].script_name, 1);
	serve(OK "echo \"$SCRIPT_NAME|$PATH_INFO|$QUERY_STRING\"");
	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" HOST "\r\n",
	    paths[_i].target);
	snprintf(buf, sizeof(buf), "\r\n\r\n%s\n", paths[_i].want);
	ck_contains(exchange(request), buf);
	unsetenv("SCRIPT_NAME");
}

static const struct {
	const char *fields;
	const char *variable;
	const char *want;
} variables[] = {
	{ HOST, "GATEWAY_INTERFACE", "CGI/1.1" },
	{ HOST, "SERVER_PROTOCOL", "HTTP/1.1" },
	{ HOST, "SERVER_SOFTWARE", "fdexec/" VERSION },
	{ HOST, "SERVER_NAME", "x" },
	{ "Host: y.z:80\r\n", "SERVER_NAME", "y.z" },
	{ "Host: [::1]:80\r\n", "SERVER_NAME", "[::1]" },
	{ HOST, "SERVER_ADDR", "127.0.0.1" },
	{ HOST, "REMOTE_ADDR", "127.0.0.1" },
	{ HOST, "REQUEST_METHOD", "POST" },
	{ HOST, "REQUEST_URI", "/app/%41?b" },
	{ HOST, "CONTENT_LENGTH", "none" },
	{ HOST "Content-Length: 0\r\n", "CONTENT_LENGTH", "0" },
	{ HOST "Content-Type: a/b\r\n", "CONTENT_TYPE", "a/b" },
	{ HOST "Content-Type: a/b\r\n", "HTTP_CONTENT_TYPE", "none" },
	{ HOST "Proxy: evil\r\n", "HTTP_PROXY", "none" },
	{ HOST, "REMOTE_USER", "none" },
	{ HOST "X-y: 1\r\nx-Y: 2\r\n", "HTTP_X_Y", "1, 2" }
};

TEST(environment)
{
	char request[512], script[256];

	snprintf(script, sizeof(script), OK "echo \"${%s-none}\"",
	    variables[_i].variable);
	serve(script);
	snprintf(request, sizeof(request), "POST /app/%%41?b HTTP/1.1\r\n"
	    "%s\r\n", variables[_i].fields);
	snprintf(buf, sizeof(buf), "\r\n\r\n%s\n", variables[_i].want);
	ck_contains(exchange(request), buf);
}

TEST(ports)
{
	serve(OK "echo \"$SERVER_PORT $((REMOTE_PORT > 0))\"");
	snprintf(buf, sizeof(buf), "\r\n\r\n%d 1\n", world_port());
	ck_contains(exchange(GET), buf);
}

/*
 * No client, no listener, no pipe but its own, and SIGPIPE ends it.  32 and 33
 * are glibc's own: nobody can set them, and its posix_spawn(3) leaves them
 * ignored, so who was started by make has them.
 */
TEST(starts_clean)
{
	const char *answer;

	serve(OK "ls /proc/self/fd | tr '\\n' ' '; set -- $(grep SigIgn "
	    "/proc/self/status); echo $((0x$2 & ~0x180000000))");
	answer = exchange(GET);
	ck_contains(answer, "\r\n\r\n0 1 2 3 0\n");
}

/* Exactly the body, whatever stands behind it, and then the end of the file. */
TEST(body)
{
	serve(OK "cat; echo .");
	ck_contains(exchange(POST "Content-Length: 4\r\n\r\nbodyGET /"),
	    "\r\n\r\nbody.\n");
}

/* The same when the rest comes later, and more with it. */
TEST(body_in_pieces)
{
	int client;

	serve(OK "head -c 2; cat; echo .");
	client = client_open();
	send_text(client, POST "Content-Length: 4\r\n\r\nbo");
	until_got(client, "\r\n\r\nbo");
	send_text(client, "dyGET /");
	ck_assert_str_eq(rest_of(client), "dy.\n");
}

TEST(no_body)
{
	serve(OK "cat; echo .");
	ck_contains(exchange(GET "GET /"), "\r\n\r\n.\n");
}

TEST(large_body)
{
	int client, i;

	for (i = 0; i < LARGE; i++)
		large[i] = (char)(i % 251);
	serve(OK "cat >body; wc -c <body");
	client = begin_large(client_open());
	send_bytes(client, large, sizeof(large));
	ck_contains(rest_of(client), "\r\n\r\n16777216\n");
	i = open("body", O_RDONLY | O_CLOEXEC);
	for (client = 0; client < LARGE / (int)sizeof(buf); client++) {
		ck_assert_int_eq(read(i, buf, sizeof(buf)), sizeof(buf));
		ck_assert_int_eq(memcmp(buf, large + client * (int)sizeof(buf),
		    sizeof(buf)), 0);
	}
	close(i);
}

/* The program answers while the client still sends: each waits for the
   other. */
TEST(both_at_once)
{
	int client, i;

	serve(OK "while read -r line; do echo \"$line\"; done");
	client = client_open();
	send_text(client, POST "Content-Length: 10\r\n\r\n");
	until_got(client, "\r\n\r\n");
	for (i = 0; i < 5; i++) {
		send_text(client, "x\n");
		read_exact(client, buf, 2);
		ck_assert_int_eq(memcmp(buf, "x\n", 2), 0);
	}
	ck_assert_str_eq(rest_of(client), "");
}

/* The program sees the end, and its answer arrives. */
TEST(short_body)
{
	int client;

	serve(OK "cat; echo \" $CONTENT_LENGTH\"");
	client = client_open();
	send_text(client, POST "Content-Length: 10\r\n\r\nbody");
	shutdown(client, SHUT_WR);
	ck_contains(rest_of(client), "\r\n\r\nbody 10\n");
}

TEST(half_close)
{
	static const char *const method[] = { "GET", "HEAD" };
	char request[64];
	int client;

	serve(OK "head -c 500000 /dev/zero | tr '\\0' x; echo .; >done");
	client = client_open();
	snprintf(request, sizeof(request), "%s /app HTTP/1.1\r\n" HOST "\r\n",
	    method[_i]);
	send_text(client, request);
	shutdown(client, SHUT_WR);
	rest_of(client);
	ck_assert_int_eq(status_of(buf), 200);
	ck_assert_uint_eq(strlen(strstr(buf, "\r\n\r\n") + 4),
	    _i == 0 ? 500002 : 0);
}

TEST(expect)
{
	static const char want[] = "HTTP/1.1 100 Continue\r\n\r\n";
	int client;

	serve(OK "cat");
	client = client_open();
	send_text(client, POST "Content-Length: 4\r\n"
	    "Expect: 100-continue\r\n\r\n");
	read_exact(client, buf, sizeof(want) - 1);
	ck_assert_int_eq(memcmp(buf, want, sizeof(want) - 1), 0);
	send_text(client, "body");
	ck_contains(rest_of(client), "HTTP/1.1 200 OK\r\n");
	ck_contains(buf, "\r\n\r\nbody");
	/* Who does not wait is not told. */
	ck_assert_int_eq(status_of(exchange(POST "Content-Length: 4\r\n"
	    "Expect: 100-continue\r\n\r\nbody")), 200);
}

/* ---- what the client gets ---- */

static const struct {
	const char *request;
	const char *output;	/* printf(1)'s */
	const char *want;
} answers[] = {
	{ GET, "Content-Type: a/b\\n\\nbody", "HTTP/1.1 200 OK\r\n"
	    "Content-Type: a/b\r\nConnection: close\r\n\r\nbody" },
	{ GET, "Content-Type: a/b\\r\\nX-y:  z \\r\\n\\r\\n\\n", "HTTP/1.1 "
	    "200 OK\r\nContent-Type: a/b\r\nX-y:  z \r\n"
	    "Connection: close\r\n\r\n\n" },
	{ GET, "A: b\\nstatus: 404 Gone away\\n\\n", "HTTP/1.1 404 Gone "
	    "away\r\nA: b\r\nConnection: close\r\n\r\n" },
	{ GET, "Status:503\\n\\n", "HTTP/1.1 503 Service Unavailable\r\n"
	    "Connection: close\r\n\r\n" },
	{ GET, "Status: 299 \\n\\n", "HTTP/1.1 299 \r\n"
	    "Connection: close\r\n\r\n" },
	{ GET, "Location: http://h/\\n\\n", "HTTP/1.1 302 Found\r\n"
	    "Location: http://h/\r\nConnection: close\r\n\r\n" },
	{ GET, "Location: /x?y\\n\\n", "HTTP/1.1 302 Found\r\n"
	    "Location: /x?y\r\nConnection: close\r\n\r\n" },
	{ GET, "Location: /x\\nStatus: 201 Created\\n\\nb", "HTTP/1.1 201 "
	    "Created\r\nLocation: /x\r\nConnection: close\r\n\r\nb" },
	{ GET, "Transfer-Encoding: chunked\\nupgrade: x\\nA: b\\nKeep-Alive: "
	    "x\\n\\nbody", "HTTP/1.1 200 OK\r\nA: b\r\n"
	    "Connection: close\r\n\r\nbody" },
	{ GET, "Set-Cookie: a\\nSet-Cookie: b\\nConnection: keep-alive\\n\\n",
	    "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
	    "Connection: close\r\n\r\n" },
	{ GET, "Status: 204\\n\\nbody", "HTTP/1.1 204 No Content\r\n"
	    "Connection: close\r\n\r\n" },
	{ GET, "Status: 304\\n\\nbody", "HTTP/1.1 304 Not Modified\r\n"
	    "Connection: close\r\n\r\n" },
	{ "HEAD /app HTTP/1.1\r\n" HOST "\r\n", "Content-Length: 4\\n\\nbody",
	    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"
	    "Connection: close\r\n\r\n" },
	{ "GET /app HTTP/1.0\r\n\r\n", "A: b\\n\\nbody", "HTTP/1.1 200 OK\r\n"
	    "A: b\r\nConnection: close\r\n\r\nbody" },
	{ GET, "\\nbody", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbody" }
};

TEST(answer)
{
	char script[512];

	snprintf(script, sizeof(script), "printf '%s'", answers[_i].output);
	serve(script);
	ck_assert_str_eq(undated(exchange(answers[_i].request)),
	    answers[_i].want);
}

TEST(own_date)
{
	serve("echo Date: mine; echo");
	ck_contains(undated(exchange(GET)), "HTTP/1.1 200 OK\r\nConnection");
}

/* Nothing of it is shown, and why is said once. */
static const char *const bad_answers[] = { "", "echo body", "printf 'A: b\\n'",
    "echo body; echo; echo body", "printf 'A: b\\nno field\\n\\n'",
    "printf ' A: b\\n\\n'", "printf 'A : b\\n\\n'", "printf 'A: \\001\\n\\n'",
    "printf 'A: \\000\\n\\n'", "printf 'A: b\\rC: d\\n\\n'",
    "printf 'Status: 99\\n\\n'", "printf 'Status: 100 Continue\\n\\n'",
    "printf 'Status: 600\\n\\n'", "printf 'Status: 2000\\n\\n'",
    "printf 'Status: OK\\n\\n'",
    "printf 'Content-Length: 1\\ncontent-length: 2\\n\\n'",
    "printf 'Status: 200OK\\n\\n'", "printf 'HTTP/1.1 200 OK\\n\\n'",
    "printf 'A: '; exec cat /dev/zero", "yes A: b; exit 0",
    "head -c 70000 /dev/zero | tr '\\0' a" };

TEST(bad_answer)
{
	serve(bad_answers[_i]);
	ck_assert_str_eq(undated(exchange(GET)), "HTTP/1.1 500 Internal Server "
	    "Error\r\nContent-Type: text/plain\r\nContent-Length: 22\r\n"
	    "Connection: close\r\n\r\nInternal Server Error\n");
	until_says("did not begin with the head of a response");
}

TEST(byte_by_byte)
{
	serve("for c in A : b '\n' 'C:' '\n' '\n'; do printf '%s' \"$c\"; "
	    "sleep 0; done; printf x; sleep 0; printf y");
	ck_assert_str_eq(undated(exchange(GET)), "HTTP/1.1 200 OK\r\nA:b\r\n"
	    "C:\r\nConnection: close\r\n\r\nxy");
}

/* Killed before its head, and after: no end that looks like the answer's. */
TEST(killed)
{
	size_t len;
	int client;

	serve(_i == 0 ? "kill -9 $$" : OK "echo body; kill -9 $$");
	client = client_open();
	send_text(client, GET);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), _i == 0 ?
	    END_FIN : END_RESET);
	if (_i == 0)
		ck_assert_int_eq(status_of(buf), 500);
	close(client);
	until_says("ended by signal 9");
}

/* So is who stands between the two. */
TEST(relay_killed)
{
	int client, go = fifo("go");
	size_t len;

	serve("echo $PPID >pid; " OK "read -r x <go");
	client = client_open();
	send_text(client, GET);
	read_exact(client, buf, 8);
	ck_assert_int_eq(kill((pid_t)atoi(read_file("pid")), SIGKILL), 0);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_RESET);
	close(client);
	close(go);
}

TEST(vanished)
{
	serve(OK);
	ck_assert_int_eq(status_of(exchange(GET)), 200);
	ck_assert_int_eq(unlink("program"), 0);
	ck_assert_int_eq(status_of(exchange(GET)), 500);
	until_says("./program: No such file");
}

/* What is refused; a chunked body by fdexec, others by fdproxy first. */
static const struct {
	const char *request;
	int status;
} refused[] = {
	{ POST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411 },
	{ "GET /app/../x HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /app/a/%2e. HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /app/%00 HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /app/%4 HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /app/%zz HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /app HTTP/1.1\r\n\r\n", 400 },
	{ "GET /app HTTP/1.1\r\nHost", 400 },
	{ "GET /app HTTP/2.0\r\n" HOST "\r\n", 505 },
	{ POST "Expect: more\r\n\r\n", 417 },
	{ "nonsense\r\n", 400 }
};

TEST(bad_request)
{
	int client;

	start(OK ">ran", NULL);
	client = give(refused[_i].request, strlen(refused[_i].request));
	shutdown(client, SHUT_WR);
	ck_assert_int_eq(status_of(rest_of(client)), refused[_i].status);
	ck_assert_int_ne(access("ran", F_OK), 0);
}

TEST(huge_head)
{
	int client, n;

	start(OK ">ran", NULL);
	n = snprintf(large, sizeof(large), "GET / HTTP/1.1\r\n" HOST "A: ");
	memset(large + n, 'a', 70000);
	client = give(large, 70000);
	ck_assert_int_eq(status_of(rest_of(client)), 431);
	ck_assert_int_ne(access("ran", F_OK), 0);
}

/* Nothing asked, nothing answered, and the reason is said. */
TEST(no_request)
{
	int client;

	start(OK ">ran", NULL);
	client = give("", 0);
	shutdown(client, SHUT_WR);
	ck_assert_str_eq(rest_of(client), "");
	ck_assert_int_ne(access("ran", F_OK), 0);
	until_says("the route must have flusher=none");
}

/* The head was read by a flusher: no end that looks like an empty answer. */
TEST(flushed)
{
	size_t len;
	int client;

	start(OK ">ran", NULL);
	world_proxy("-r", "/app=s,wait=1min", NULL);
	client = client_open();
	send_text(client, GET);
	shutdown(client, SHUT_WR);
	ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len), END_RESET);
	ck_assert_int_ne(access("ran", F_OK), 0);
	until_says("the route must have flusher=none");
	close(client);
}

/* Of a local client without a Host field, in HTTP/1.0. */
TEST(local_client)
{
	int client;

	start(OK "echo \"$SERVER_NAME $SERVER_PORT $REMOTE_ADDR $PROTO\"",
	    NULL);
	client = give("GET / HTTP/1.0\r\n\r\n", 18);
	ck_contains(rest_of(client), "\r\n\r\nunix 0 unix UNIX\n");
}

/* A head may yet come in pieces. */
TEST(head_in_pieces)
{
	long patient = now_ms() + WORLD_PATIENCE;
	int client, unread;

	start(OK "echo $REQUEST_URI", NULL);
	client = give("GET /x HT", 9);
	/* Until the first is taken. */
	do {
		ck_assert_int_lt(now_ms(), patient);
		ck_assert_int_eq(ioctl(client, TIOCOUTQ, &unread), 0);
	} while (unread > 0);
	send_text(client, "TP/1.1\r\n" HOST "\r");
	send_text(client, "\n");
	ck_contains(rest_of(client), "\r\n\r\n/x\n");
}

/* ---- who does not wait ---- */

/* It reads nothing, or closes its input: its answer arrives all the same, also
   at a client that reads only when all is sent. */
TEST(unread_body)
{
	static const char *const scripts[] = { OK "echo answer",
	    "exec <&-; " OK "head -c 16777216 /dev/zero; echo answer",
	    "head -c 1 >/dev/null; exec <&-; " OK
	    "head -c 16777216 /dev/zero; echo answer" };
	int client;
	ssize_t n;

	serve(scripts[_i]);
	client = begin_large(client_open_small());
	send_bytes(client, large, sizeof(large));
	memset(large, 'x', sizeof(large));
	read_exact(client, large, 15);
	ck_assert_int_eq(memcmp(large, "HTTP/1.1 200 OK", 15), 0);
	/* The last bytes are at the end of what came last. */
	while ((n = recv(client, large + 8, sizeof(large) - 8, 0)) > 0)
		memmove(large, large + n, 8);
	ck_assert_int_eq(n, 0);
	ck_assert_int_eq(memcmp(large + 1, "answer\n", 7), 0);
	close(client);
}

/* The same over a socket that holds little. */
TEST(unread_by_both)
{
	char head[256];
	int client, n;

	start("exec <&-; " OK "head -c 500000 /dev/zero; echo answer", NULL);
	n = snprintf(head, sizeof(head), POST "Content-Length: %d\r\n\r\n",
	    LARGE);
	client = give(head, (size_t)n);
	send_bytes(client, large, sizeof(large));
	while ((n = (int)recv(client, large + 8, sizeof(large) - 8, 0)) > 0)
		memmove(large, large + n, 8);
	ck_assert_int_eq(memcmp(large + 1, "answer\n", 7), 0);
	close(client);
}

/* Nor does the body that it does not read keep an answer back. */
TEST(not_yet_read)
{
	int client, go = fifo("go");

	serve(OK "echo answer; read -r x <go; wc -c");
	client = begin_large(client_open());
	send_bytes(client, large, 262144);
	until_got(client, "answer\n");
	ck_assert_int_eq(write(go, "\n", 1), 1);
	send_bytes(client, large, sizeof(large) - 262144);
	ck_assert_str_eq(rest_of(client), "16777216\n");
	close(go);
}

/* A client that leaves is told to a program that writes on: for GET by what
   cannot be sent, for HEAD, of which nothing is sent, by the client's end. */
TEST(client_leaves)
{
	static const char *const method[] = { "GET", "HEAD" };
	char request[64];
	int client;

	serve("trap '' PIPE; " OK "while echo x 2>/dev/null; do :; done; "
	    "echo told >told");
	client = client_open();
	snprintf(request, sizeof(request), "%s /app HTTP/1.1\r\n" HOST "\r\n",
	    method[_i]);
	send_text(client, request);
	until_got(client, "\r\n\r\n");
	close(client);
	until_file("told", "told\n");
}

/* One that resets during its body: the program sees the end. */
TEST(client_resets)
{
	struct linger off = { 1, 0 };
	int client, go = fifo("go");

	serve("read -r x; echo begun >begun; read -r y <go; cat; "
	    "echo told >told");
	client = client_open();
	send_text(client, POST "Content-Length: 100\r\n\r\nx\n");
	until_file("begun", "begun\n");
	setsockopt(client, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	close(client);
	ck_assert_int_eq(write(go, "\n", 1), 1);
	until_file("told", "told\n");
	close(go);
}

/* The output's end is the answer's, though the program goes on. */
TEST(goes_on)
{
	int go = fifo("go");

	serve(OK "echo answer; exec >&-; read -r x <go; echo x >done");
	ck_contains(exchange(GET), "\r\n\r\nanswer\n");
	ck_assert_int_eq(write(go, "\n", 1), 1);
	until_file("done", "x\n");
	close(go);
}

/* Its input is whole all the same; or is read and dropped, if it is closed. */
TEST(reads_on)
{
	int client, go = fifo("go");

	serve(_i == 0 ? OK "exec >&-; read -r x <go; wc -c >done" :
	    OK "exec <&- >&-; read -r x <go; echo 16777216 >done");
	client = begin_large(client_open());
	if (_i == 0)
		ck_assert_int_eq(write(go, "\n", 1), 1);
	send_bytes(client, large, sizeof(large));
	ck_assert_int_eq(status_of(rest_of(client)), 200);
	if (_i == 1)
		ck_assert_int_eq(write(go, "\n", 1), 1);
	until_file("done", "16777216\n");
	close(go);
}

/* ---- fdexec itself ---- */

/* Sockets of the process between client and program. */
static int
sockets_of(int pid)
{
	char name[64], link[64];
	struct dirent *entry;
	int n = 0;
	DIR *d;

	snprintf(name, sizeof(name), "/proc/%d/fd", pid);
	d = opendir(name);
	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d)) != NULL)
		if (readlinkat(dirfd(d), entry->d_name, link, sizeof(link)) > 7)
			n += memcmp(link, "socket:", 7) == 0;
	closedir(d);
	return n;
}

/* It has its own client's and no other's, nor the listener or a sender. */
TEST(apart)
{
	int client[2], go = fifo("go"), silent, i;

	serve("echo $PPID >pid$QUERY_STRING; read -r x <go; " OK);
	silent = client_unix("s");
	for (i = 0; i < 2; i++) {
		client[i] = client_open();
		snprintf(buf, sizeof(buf), "GET /app?%d HTTP/1.1\r\n" HOST
		    "\r\n", i);
		send_text(client[i], buf);
		snprintf(buf, sizeof(buf), "pid%d", i);
		while (strchr(read_file(buf), '\n') == NULL)
			poll(NULL, 0, 2);
		ck_assert_int_eq(sockets_of(atoi(read_file(buf))), 1);
	}
	ck_assert_int_eq(write(go, "\n\n", 2), 2);
	for (i = 0; i < 2; i++)
		ck_contains(rest_of(client[i]), "HTTP/1.1 200 OK\r\n");
	close(silent);
	close(go);
}

TEST(worker)
{
	int i;

	world_proxy("-r", "/app=workers:s,flusher=none,wait=1min", NULL);
	start(OK "cat; echo $REMOTE_ADDR", "-Cw");
	for (i = 0; i < 3; i++)
		ck_contains(exchange(POST "Content-Length: 5\r\n\r\nbody "),
		    "\r\n\r\nbody 127.0.0.1\n");
}

static const struct test tests[] = {
	TIMES(path, COUNT(paths)),
	TIMES(environment, COUNT(variables)),
	ONCE(ports),
	ONCE(starts_clean),
	ONCE(body),
	ONCE(body_in_pieces),
	ONCE(no_body),
	ONCE(large_body),
	ONCE(both_at_once),
	ONCE(short_body),
	TIMES(half_close, 2),
	ONCE(expect),
	TIMES(answer, COUNT(answers)),
	ONCE(own_date),
	TIMES(bad_answer, COUNT(bad_answers)),
	ONCE(byte_by_byte),
	TIMES(killed, 2),
	ONCE(relay_killed),
	ONCE(vanished),
	TIMES(bad_request, COUNT(refused)),
	ONCE(huge_head),
	ONCE(no_request),
	ONCE(flushed),
	ONCE(local_client),
	ONCE(head_in_pieces),
	TIMES(unread_body, 3),
	ONCE(unread_by_both),
	ONCE(not_yet_read),
	TIMES(client_leaves, 2),
	ONCE(client_resets),
	ONCE(goes_on),
	TIMES(reads_on, 2),
	ONCE(apart),
	ONCE(worker)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), begin, end);
}
