/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "fdexec_cgi.h"
#include "fdexec_relay.h"
#include "http_parse.h"
#include "text.h"

/* Milliseconds. */
#define HEAD_MS		5000	/* for the head of a request */
#ifndef IDLE_MS
#define IDLE_MS		60000	/* for more of its body, of the answer */
#endif

#define END_MS		100	/* from a program's last byte to its end */
#define LOOK_MS		1000	/* for its end, while a client still sends */

static struct {
	int client;
	int failed;		/* our parent reads there why it has failed */
	int input;		/* the program's, to be written; or -1 */
	int output;		/* the program's, to be read; or -1 */
	pid_t pid;		/* of the program; 0: not started */
	uint64_t body;		/* bytes that are to be read of it */
	bool answered;		/* the response has its head */
	bool bodiless;		/* and is to have nothing else */
	bool bad;		/* what the program has written is no head */
	bool ended;		/* the client has been told the answer's end */
	char in[HTTP_HEAD_MAX];	/* from the client */
	size_t in_at, in_len;
	char raw[HTTP_HEAD_MAX];	/* the program's head, so far */
	size_t raw_len;
	char out[FDEXEC_CGI_HEAD + HTTP_HEAD_MAX];	/* to the client */
	size_t out_at, out_len;
} relay;

static void
close_end(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

/* Nobody is there any more: the program is told by its pipes. */
static void
lose_client(void)
{
	relay.body = 0;
	relay.in_at = relay.in_len;
	relay.out_at = relay.out_len;
	close_end(&relay.input);
	close_end(&relay.output);
}

/* Our parent says why there is no program. */
static void
tell(void)
{
	int error = errno;

	while (write(relay.failed, &error, sizeof(error)) == -1 &&
	    errno == EINTR)
		;
}

static void
end_answer(void)
{
	shutdown(relay.client, SHUT_WR);
	relay.ended = true;
}

/* An answer of our own. */
static void
answer(int status)
{
	const char *reason = fdexec_cgi_reason(status);

	relay.answered = true;
	relay.out_len += text_format(relay.out + relay.out_len,
	    FDEXEC_CGI_HEAD, "HTTP/1.1 %d %s\r\nDate: %s\r\n"
	    "Content-Type: text/plain\r\nContent-Length: %zu\r\n"
	    "Connection: close\r\n\r\n%s%s", status, reason,
	    clock_date(clock_wall()), strlen(reason) + 1,
	    relay.bodiless ? "" : reason, relay.bodiless ? "" : "\n");
	close_end(&relay.input);
	close_end(&relay.output);
}

/* ---- the request ---- */

/*
 * Its head; behind it in the buffer may be some of its body.  Returns 0, the
 * status of the answer, or -1 if nobody has asked for anything.
 */
static int
read_head(struct http_head *head)
{
	struct pollfd p = { relay.client, POLLIN, 0 };
	struct http_scan scan = { 0, 0, 0 };
	uint32_t begun = clock_ms();
	int left = HEAD_MS, n = HTTP_PARTIAL;
	ssize_t got;

	while (n == HTTP_PARTIAL) {
		if (left <= 0 || poll(&p, 1, left) == 0)
			return relay.in_len == 0 ? -1 : 408;
		got = recv(relay.client, relay.in + relay.in_len,
		    sizeof(relay.in) - relay.in_len, MSG_DONTWAIT);
		if (got == 0 || (got == -1 && errno != EAGAIN &&
		    errno != EWOULDBLOCK && errno != EINTR))
			return got == -1 || relay.in_len == 0 ? -1 : 400;
		relay.in_len += got == -1 ? 0 : (size_t)got;
		n = http_parse_head(relay.in, relay.in_len, &scan,
		    &fdexec_cgi_limits, head);
		clock_update();
		left = HEAD_MS - (int)(clock_ms() - begun);
	}
	relay.bodiless = http_parse_equal(head->method, "HEAD");
	if (n == HTTP_BAD)
		return head->status;
	relay.in_at = (size_t)n;
	return 0;
}

/* The environment, and how long the body is.  0, or the status. */
static int
take_head(const struct http_head *head, const struct sock_addr *local,
    const struct sock_addr *remote)
{
	size_t here = relay.in_len - relay.in_at;
	const char *length;

	if (!fdexec_cgi_script(head, local, remote)) {
		if (errno == EINVAL)
			return 400;
		tell();
		return 500;
	}
	if (getenv("HTTP_TRANSFER_ENCODING") != NULL)
		return 411;
	length = getenv("CONTENT_LENGTH");
	if (length != NULL)
		text_digits(length, 10, &relay.body);
	/* What else is there is another request, and nobody's. */
	if (here > relay.body)
		here = (size_t)relay.body;
	relay.in_len = relay.in_at + here;
	relay.body -= here;
	if (head->expect && relay.body > 0)
		relay.out_len = text_format(relay.out, sizeof(relay.out),
		    "HTTP/1.1 100 Continue\r\n\r\n");
	return 0;
}

/* ---- the program ---- */

static _Noreturn void
become_program(int input, int output, char **argv)
{
	signal(SIGPIPE, SIG_DFL);
	if (dup2(input, STDIN_FILENO) != -1 &&
	    dup2(output, STDOUT_FILENO) != -1)
		execvp(argv[0], argv);
	tell();
	_exit(127);
}

/* 0, or the status. */
static int
start_program(char **argv)
{
	int in[2], out[2], i;

	if (pipe(in) == 0 && pipe(out) == 0) {
		for (i = 0; i < 2; i++) {
			sock_cloexec(in[i]);
			sock_cloexec(out[i]);
		}
		sock_nonblock(in[1], true);
		relay.input = in[1];
		relay.output = out[0];
		relay.pid = fork();
		if (relay.pid == 0)
			become_program(in[0], out[1], argv);
		if (relay.pid != -1) {
			close(in[0]);
			close(out[1]);
			return 0;
		}
		relay.pid = 0;
	}
	tell();
	return 500;
}

/* ---- between them ---- */

/* More of the body; its end too soon is the program's to notice. */
static void
read_body(void)
{
	size_t size = sizeof(relay.in);
	ssize_t n;

	if (relay.body < size)
		size = (size_t)relay.body;
	n = recv(relay.client, relay.in, size, MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK ||
	    errno == EINTR))
		return;
	relay.body = n <= 0 ? 0 : relay.body - (size_t)n;
	relay.in_at = 0;
	relay.in_len = n <= 0 ? 0 : (size_t)n;
}

/* A program that has closed its input wants no more; but the client may read no
   answer before it has sent all. */
static void
write_body(void)
{
	ssize_t n;

	if (relay.input != -1 && relay.in_at < relay.in_len) {
		n = write(relay.input, relay.in + relay.in_at,
		    relay.in_len - relay.in_at);
		if (n > 0)
			relay.in_at += (size_t)n;
		else if (errno != EAGAIN && errno != EINTR)
			close_end(&relay.input);
	}
	if (relay.input == -1)
		relay.in_at = relay.in_len;
	if (relay.body == 0 && relay.in_at == relay.in_len)
		close_end(&relay.input);
}

/* n bytes more of the program's head, and what came with them; 0: its end, or
   all that there is room for. */
static void
read_answer(size_t n)
{
	size_t used;
	int status;

	relay.raw_len += n;
	clock_update();
	status = fdexec_cgi_answer(relay.raw, relay.raw_len, relay.out, &used);
	if (status == -1 || (status == 0 && n == 0)) {
		relay.bad = true;
		answer(500);
	} else if (status > 0) {
		relay.answered = true;
		relay.bodiless = relay.bodiless || status == 204 ||
		    status == 304;
		relay.out_len = strlen(relay.out);
		if (!relay.bodiless) {
			memcpy(relay.out + relay.out_len, relay.raw + used,
			    relay.raw_len - used);
			relay.out_len += relay.raw_len - used;
		}
	}
}

/* All that was there before has been sent. */
static void
read_output(void)
{
	char *to = relay.answered ? relay.out : relay.raw + relay.raw_len;
	size_t size = relay.answered ? sizeof(relay.out) :
	    sizeof(relay.raw) - relay.raw_len;
	ssize_t n = read(relay.output, to, size);

	if (n == -1 && errno == EINTR)
		return;
	relay.out_at = relay.out_len = 0;
	if (n <= 0)
		close_end(&relay.output);
	if (!relay.answered)
		read_answer(n > 0 ? (size_t)n : 0);
	else if (relay.bodiless)
		/* It may write on, but not for a client that leaves. */
		end_answer();
	else if (n > 0)
		relay.out_len = (size_t)n;
}

static void
write_output(void)
{
	ssize_t n = send(relay.client, relay.out + relay.out_at,
	    relay.out_len - relay.out_at, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0)
		relay.out_at += (size_t)n;
	else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		lose_client();
}

/*
 * One look at both, until the program's output has ended and is sent, and it
 * has its whole input or wants no more.
 */
static void
step(void)
{
	bool reads = relay.body > 0 && relay.in_at == relay.in_len;
	bool writes = relay.out_at < relay.out_len;
	bool answers = writes || relay.output != -1;
	struct pollfd p[] = {
		{ reads || answers ? relay.client : -1,
		    (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0)), 0 },
		{ relay.input, relay.in_at < relay.in_len ? POLLOUT : 0, 0 },
		{ writes ? -1 : relay.output, POLLIN, 0 }
	};
	bool waits = writes || (reads && relay.input != -1);
	int n = poll(p, 3, waits ? IDLE_MS : -1);

	if (n == -1 && errno == EINTR)
		return;
	if (n <= 0)
		sock_reset(relay.client);
	if (n <= 0 || (!reads && (p[0].revents & (POLLERR | POLLHUP)) != 0)) {
		lose_client();
		return;
	}
	if ((p[1].revents & (POLLERR | POLLHUP)) != 0)
		close_end(&relay.input);
	if (reads && p[0].revents != 0)
		read_body();
	if (writes && p[0].revents != 0)
		write_output();
	write_body();
	if (relay.output != -1 && p[2].revents != 0)
		read_output();
	/* One that reads on has not been killed. */
	if (!answers && relay.input != -1)
		end_answer();
}

/*
 * What is left is the program's end.  One that was killed has not written all:
 * its client sees a reset.  Another may go on without its output for long: its
 * client sees the end, and what it still sends is dropped.  Returns what to
 * exit with.
 */
static int
wait_program(void)
{
	struct pollfd p = { -1, POLLIN, 0 };
	int status = 0, tries = 0;

	while (relay.pid != 0 && waitpid(relay.pid, &status,
	    relay.ended && relay.body == 0 ? 0 : WNOHANG) == 0) {
		if (!relay.ended && ++tries == END_MS)
			end_answer();
		p.fd = relay.body > 0 ? relay.client : -1;
		if (poll(&p, 1, relay.ended ? LOOK_MS : 1) > 0)
			read_body();
	}
	/* SIGPIPE has told it that we have read enough. */
	if (!WIFSIGNALED(status) || WTERMSIG(status) == SIGPIPE)
		return 0;
	if (!relay.ended && !relay.bad)
		sock_reset(relay.client);
	return 128 + WTERMSIG(status);
}

_Noreturn void
fdexec_relay(int client, const struct sock_addr *local,
    const struct sock_addr *remote, char **argv, int failed)
{
	struct http_head head;
	int status;

	signal(SIGPIPE, SIG_IGN);
	clock_update();
	relay.client = client;
	relay.failed = failed;
	relay.input = relay.output = -1;
	status = read_head(&head);
	if (status == -1)
		_exit(FDEXEC_RELAY_SILENT);
	if (status == 0)
		status = take_head(&head, local, remote);
	if (status == 0)
		status = start_program(argv);
	if (status != 0)
		answer(status);
	write_body();
	while (relay.output != -1 || relay.out_at < relay.out_len ||
	    relay.input != -1)
		step();
	status = wait_program();
	_exit(status == 0 && relay.bad ? FDEXEC_RELAY_BAD : status);
}
