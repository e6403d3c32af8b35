/* See LICENSE for copyright and license details. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fdexec_cgi.h"
#include "fuzz.h"
#include "http_parse.h"
#include "sock.h"

/*
 * The receiving side of fdexec, with senders and clients as an input says: a
 * list of operations, each a byte and its arguments.  A fork(2) runs the child
 * until it would be the program, in this process; time is the input's, too.
 */

#define SENDERS_MAX	150
#define CLIENTS_MAX	150
#define VARIABLES_MAX	1200
#define FDS_MAX		1000
#define FDS_SENT	3
#define MANY		40

static int senders[SENDERS_MAX], nsenders;	/* our ends; -1: closed */
static int coming = -1;				/* to be accepted */
static int peers[CLIENTS_MAX], npeers;		/* of clients; -1: closed */
static int64_t time_ms = 1000000;
static pid_t last_pid = 1000, ended_pid;
static bool fork_fails, exec_fails;
static jmp_buf child_ends;

static struct {
	char *name;
	char *value;
} variables[VARIABLES_MAX];
static int nvariables;

/* ---- in place of the system ---- */

static _Noreturn void	run_child(int client, const struct sock_addr *local,
			    const struct sock_addr *remote,
			    const struct http_head *head);
int			fdexec_main(int argc, char **argv);

static char *
copy(const char *text)
{
	char *p = malloc(strlen(text) + 1);

	MUST(p != NULL);
	return strcpy(p, text);
}

static int
fuzz_setenv(const char *name, const char *value)
{
	int i;

	for (i = 0; i < nvariables; i++)
		if (strcmp(variables[i].name, name) == 0)
			break;
	MUST(i < VARIABLES_MAX);
	if (i == nvariables) {
		variables[i].name = copy(name);
		nvariables++;
	} else {
		free(variables[i].value);
	}
	variables[i].value = copy(value);
	return 0;
}

static char *
fuzz_getenv(const char *name)
{
	int i;

	for (i = 0; i < nvariables; i++)
		if (strcmp(variables[i].name, name) == 0)
			return variables[i].value;
	return NULL;
}

static bool
is_known(const char *name)
{
	static const char *const names[] = { "CONTENT_LENGTH", "CONTENT_TYPE",
	    "GATEWAY_INTERFACE", "PATH_INFO", "PROTO", "QUERY_STRING",
	    "REMOTE_ADDR", "REMOTE_PORT", "REQUEST_METHOD", "REQUEST_URI",
	    "SCRIPT_NAME", "SERVER_ADDR", "SERVER_NAME", "SERVER_PORT",
	    "SERVER_PROTOCOL", "SERVER_SOFTWARE", "TCPLOCALIP",
	    "TCPLOCALPORT", "TCPREMOTEIP", "TCPREMOTEPORT" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return strncmp(name, "HTTP_", 5) == 0 && name[5] != '\0' &&
	    strcmp(name, "HTTP_PROXY") != 0;
}

/* What the program would start with. */
static void
check_variables(bool head)
{
	const char *p;
	int i;

	MUST((fuzz_getenv("REQUEST_METHOD") != NULL) == head);
	MUST((fuzz_getenv("REQUEST_URI") != NULL) == head);
	MUST((fuzz_getenv("QUERY_STRING") != NULL) == head);
	MUST(fuzz_getenv("PROTO") != NULL);
	for (i = 0; i < nvariables; i++) {
		MUST(is_known(variables[i].name));
		for (p = variables[i].name; *p != '\0'; p++)
			MUST(isupper((unsigned char)*p) ||
			    isdigit((unsigned char)*p) || *p == '_');
		for (p = variables[i].value; *p != '\0'; p++)
			MUST(*p == '\t' || !iscntrl((unsigned char)*p) ||
			    strcmp(variables[i].name, "SCRIPT_NAME") == 0 ||
			    strcmp(variables[i].name, "PATH_INFO") == 0);
	}
}

static int
fuzz_exec(void)
{
	if (!exec_fails)
		longjmp(child_ends, 1);
	errno = ENOENT;
	return -1;
}

static pid_t
fuzz_fork(int client, const struct sock_addr *local,
    const struct sock_addr *remote, const struct http_head *head)
{
	if (fork_fails) {
		errno = EAGAIN;
		return -1;
	}
	if (setjmp(child_ends) == 0)
		run_child(client, local, remote, head);
	check_variables(head != NULL);
	if (head != NULL && fdexec_cgi_script(head, local, remote)) {
		check_variables(true);
		MUST(strstr(fuzz_getenv("SCRIPT_NAME"), "/../") == NULL);
	}
	for (; nvariables > 0; nvariables--) {
		free(variables[nvariables - 1].name);
		free(variables[nvariables - 1].value);
	}
	return ++last_pid;
}

static pid_t
fuzz_waitpid(int *status)
{
	pid_t pid = ended_pid;

	ended_pid = 0;
	*status = 0;
	return pid;
}

static int
fuzz_clock(struct timespec *ts)
{
	ts->tv_sec = (time_t)(time_ms / 1000);
	ts->tv_nsec = (long)(time_ms % 1000) * 1000000;
	return 0;
}

static int
fuzz_accept(void)
{
	int fd = coming;

	coming = -1;
	if (fd == -1)
		errno = EAGAIN;
	return fd;
}

static int
fuzz_nothing(void)
{
	return 0;
}

#define main			fdexec_main
#define fork()			fuzz_fork(s->client, &local, &remote, head)
#define execvp(file, argv)	fuzz_exec()
#define _exit(status)		((void)(status), longjmp(child_ends, 1))
#define dup2(from, to)		fuzz_nothing()
#define sigaction(sig, new, old) fuzz_nothing()
#define waitpid(pid, status, f)	fuzz_waitpid(status)
#define clock_gettime(id, ts)	fuzz_clock(ts)
#define sock_accept(fd, peer)	((void)(peer), fuzz_accept())
#define setenv(name, value, o)	fuzz_setenv(name, value)
#define getenv(name)		fuzz_getenv(name)

#include "fdexec.c"
#include "fdexec_cgi.c"

/* ---- the input ---- */

static const uint8_t *input;
static size_t left;

static unsigned int
byte(void)
{
	if (left == 0)
		return 0;
	left--;
	return *input++;
}

/*
 * A connection whose client resets, so that few stay behind: false when they
 * have used up all ports.
 */
static bool
connect_tcp(int pair[2])
{
	static struct sockaddr_in addr = { .sin_family = AF_INET };
	static int listener = -1;
	struct linger off = { 1, 0 };
	socklen_t len = sizeof(addr);

	if (listener == -1) {
		addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		/* Out of sight of whoever counts descriptors. */
		pair[0] = socket(AF_INET, SOCK_STREAM, 0);
		listener = fcntl(pair[0], F_DUPFD, FDS_MAX);
		close(pair[0]);
		MUST(bind(listener, (struct sockaddr *)&addr, len) == 0);
		MUST(listen(listener, 16) == 0);
		MUST(getsockname(listener, (struct sockaddr *)&addr, &len) ==
		    0);
	}
	pair[1] = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	if (connect(pair[1], (struct sockaddr *)&addr, sizeof(addr)) == -1 &&
	    errno != EINTR) {
		close(pair[1]);
		return false;
	}
	pair[0] = accept(listener, NULL, NULL);
	MUST(pair[0] != -1);
	return true;
}

/* A descriptor to be sent, ours to close. */
static int
descriptor(unsigned int kind)
{
	struct linger option = { 1, 3600 };
	int pair[2];

	switch (npeers == CLIENTS_MAX ? 7 : kind % 8) {
	case 0:
	case 1:
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
		break;
	case 2:
	case 3:
		if (!connect_tcp(pair))
			return -1;
		setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &option,
		    kind % 8 == 2 ? sizeof(option) : 0);
		break;
	case 4:
		return socket(AF_INET, SOCK_STREAM, 0);
	case 5:
		MUST(pipe(pair) == 0);
		close(pair[1]);
		return pair[0];
	case 6:
		pair[0] = socket(AF_UNIX, SOCK_STREAM, 0);
		listen(pair[0], 1);
		return pair[0];
	default:
		return open("/dev/null", O_RDWR);
	}
	peers[npeers++] = pair[1];
	return pair[0];
}

static void
connect_senders(unsigned int n)
{
	int pair[2];

	for (; n > 0 && nsenders < SENDERS_MAX; n--) {
		MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
		coming = pair[1];
		senders[nsenders++] = pair[0];
		accept_senders();
		/* As long as fdexec takes nobody, it stays in the queue. */
		if (coming != -1)
			close(coming);
		coming = -1;
	}
}

/* Bytes, perhaps many times, the first time with n descriptors. */
static void
send_message(int fd, unsigned int n, bool many)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_SENT * sizeof(int))];
	} control;
	unsigned int len = byte(), i, times = many ? MANY : 1;
	int fds[FDS_SENT];
	char data[256];
	struct iovec iov = { data, len > 0 ? len : 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	for (i = 0; i < n; i++) {
		fds[i] = descriptor(byte());
		if (fds[i] == -1)
			fds[i] = open("/dev/null", O_RDWR);
	}
	for (i = 0; i == 0 || i < len; i++)
		data[i] = (char)byte();
	if (n > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
	}
	sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n > 0)
		close(fds[--n]);
	while (--times > 0)
		send(fd, data, iov.iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
end_program(unsigned int which)
{
	struct slot *s = &server.slot[which % server.slots];

	if (s->state != RUNNING)
		s = oldest(RUNNING, RUNNING);
	if (s != NULL)
		ended_pid = s->pid;
	reap();
}

static void
look_at_all(void)
{
	unsigned int i;

	for (i = 0; i < server.slots; i++)
		look(&server.slot[i]);
	take_deadlines();
}

static void
check_slots(void)
{
	unsigned int i, running = 0, open = 0;
	struct slot *s;

	for (i = 0; i < server.slots; i++) {
		s = &server.slot[i];
		running += s->state == RUNNING;
		open += s->state == SILENT || s->state == HEAD;
		MUST((s->sender != -1) ==
		    (s->state == SILENT || s->state == HEAD));
		MUST((s->client != -1) ==
		    (s->state != FREE && s->state != SILENT));
		MUST(s->head == NULL || (s->state == HEAD && s->len > 0));
	}
	MUST(running == server.running && running <= server.children);
	MUST(open == server.senders && open <= SPARE);
	prepare();
}

/*
 * What a CGI program has written, as the head of a response: nothing but
 * whole lines, whatever it was.
 */
static void
check_answer(void)
{
	static char head[FDEXEC_CGI_HEAD];
	size_t len = byte(), used = 0, size;
	char data[256], *p;
	int status;

	for (size = 0; size < len; size++)
		data[size] = (char)byte();
	status = fdexec_cgi_answer(data, len, head, &used);
	MUST(status >= -1 && (status <= 0 || (status > 199 && status < 600)));
	if (status <= 0)
		return;
	MUST(used > 0 && used <= len && data[used - 1] == '\n');
	size = strlen(head);
	MUST(size < 2 * len + 256);
	MUST(strncmp(head, "HTTP/1.1 ", 9) == 0 && atoi(head + 9) == status);
	p = strstr(head, "\r\n\r\n");
	MUST(p != NULL && p == head + size - 4);
	for (p = head; *p != '\0'; p++) {
		MUST(!iscntrl((unsigned char)*p) || *p == '\t' ||
		    *p == '\r' || *p == '\n');
		MUST((*p == '\r') == (p[1] == '\n'));
	}
}

static void
operate(void)
{
	unsigned int op = byte(), which = byte();
	int *sender = nsenders > 0 ? &senders[which % (unsigned)nsenders] :
	    NULL;
	int *peer = npeers > 0 ? &peers[which % (unsigned)npeers] : NULL;

	switch (op % 8) {
	case 0:
		connect_senders(which % 72);
		break;
	case 1:
	case 2:
		if (sender != NULL && *sender != -1)
			send_message(*sender, op / 8 % 4, op / 32 % 2);
		break;
	case 3:
		if (sender != NULL && *sender != -1)
			close(*sender);
		if (sender != NULL)
			*sender = -1;
		break;
	case 4:
		time_ms += which * 50;
		break;
	case 5:
		end_program(which);
		break;
	case 6:
		if (peer != NULL && *peer != -1 && op / 8 % 2 == 0)
			send(*peer, "text", 4, MSG_NOSIGNAL | MSG_DONTWAIT);
		else if (peer != NULL && *peer != -1)
			shutdown(*peer, SHUT_WR);
		break;
	default:
		fork_fails = which & 1;
		exec_fails = which & 2;
		if (which & 4)
			check_answer();
	}
	look_at_all();
	check_slots();
}

/* Every client has come to an end, of whatever kind. */
static void
check_peer(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };
	char piece[512];
	ssize_t n;
	int ready;

	/* libFuzzer's timer interrupts. */
	do {
		ready = poll(&p, 1, 10000);
		MUST(ready == 1 || (ready == -1 && errno == EINTR));
		n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT);
	} while (n > 0 || ready == -1);
	MUST(n == 0 || errno == ECONNRESET || errno == ENOTCONN);
	close(fd);
}

static void
end_all(void)
{
	fork_fails = false;
	while (nsenders > 0)
		if (senders[--nsenders] != -1)
			close(senders[nsenders]);
	while (oldest(SILENT, HEAD) != NULL || oldest(RUNNING, LINGERING) !=
	    NULL) {
		end_program(0);
		time_ms += LINGER_MS;
		look_at_all();
		check_slots();
	}
	while (npeers > 0)
		check_peer(peers[--npeers]);
}

static void
begin(void)
{
	static char *argv[2];
	static char name[] = "program";

	signal(SIGPIPE, SIG_IGN);
	log_level(LOG_L_ERROR);
	argv[0] = name;
	server.argv = argv;
	server.children = 3;
	server.listener = FDS_MAX;
	MUST(enough_descriptors() && allocate());
	MUST(pipe(server.failed) == 0);
	MUST(sock_nonblock(server.failed[0], true) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int before;

	if (server.slot == NULL)
		begin();
	before = proc_count_fds(FDS_MAX);
	input = data;
	left = size;
	while (left > 0)
		operate();
	end_all();
	MUST(proc_count_fds(FDS_MAX) == before);
	return 0;
}
