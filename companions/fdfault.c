/* See LICENSE for copyright and license details. */

/*
 * fdfault: stands before a backend, receives its clients, and passes them on,
 * some of them wrongly.
 *
 * The parent accepts connections and reads lines.  A child for each connection
 * does the rest, and may wait: there are no timers.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fdpass.h"
#include "log.h"
#include "proc.h"
#include "sock.h"
#include "text.h"

#define BACKLOG		128
#define FAULTS		16	/* in one list */
#define LISTS		64	/* until a count is used again */
#define LINE		1024	/* of standard input, terminated */
#define MESSAGE		65537	/* the byte, a head, and what is too much */
#define BODY_LEN	8000	/* what Apache reads at once */
#define NUMBER_MAX	1000000000ul
#define NEVER		((unsigned long)-1)

/* Milliseconds. */
#define TIME_MAX	864000000ul	/* ten days */
#define HOLD_MS		5000	/* nobyte keeps all open */
#define AGAIN_MS	10	/* to the next look at the backend */

enum kind { NONE, BODY, BYTE, CONTROL, DELAY_CLOSE, DELAY_PASS, DROP, NOBYTE,
    NOFD, NONBLOCK, RESET, TWO, KINDS };

static const struct {
	const char *name;
	bool timed;
} kinds[KINDS] = {
	[BODY] = { "body", false },
	[BYTE] = { "byte", false },
	[CONTROL] = { "control", false },
	[DELAY_CLOSE] = { "delay-close", true },
	[DELAY_PASS] = { "delay-pass", true },
	[DROP] = { "drop", false },
	[NOBYTE] = { "nobyte", false },
	[NOFD] = { "nofd", false },
	[NONBLOCK] = { "nonblock", false },
	[RESET] = { "reset", false },
	[TWO] = { "two", false }
};

struct fault {
	enum kind kind;
	unsigned long ms;
	unsigned long first;	/* hand-off, from 1 on */
	unsigned long every;	/* so many after it, again */
};

static struct sock_addr addr, backend;
static struct fault faults[FAULTS + 1];	/* up to the first NONE */
static atomic_ulong *counts;	/* of each list's hand-offs, for all children */
static size_t list_number;
static int life[2];		/* a pipe, which ends with the parent */

/* A time with ms, s (also when nothing is said) or min; text is cut. */
static bool
parse_time(char *text, unsigned long *ms)
{
	char *unit = text + strspn(text, "0123456789");
	unsigned long scale = strcmp(unit, "ms") == 0 ? 1 :
	    strcmp(unit, "min") == 0 ? 60000 :
	    strcmp(unit, "s") == 0 || *unit == '\0' ? 1000 : 0;

	*unit = '\0';
	if (scale == 0 || !text_number(text, 10, TIME_MAX / scale, ms))
		return false;
	*ms *= scale;
	return true;
}

/*
 * Read kind[:time][@n[+m]], which is cut behind the kind.  Returns NULL, or
 * what is wrong with it.
 */
static const char *
parse_fault(char *word, struct fault *f)
{
	char *at = word, *time = word, *plus;

	strsep(&at, "@");
	plus = at;
	strsep(&plus, "+");
	strsep(&time, ":");
	*f = (struct fault){ BODY, HOLD_MS, 1, at == NULL ? 1 : NEVER };
	while (f->kind < KINDS && strcmp(kinds[f->kind].name, word) != 0)
		f->kind++;
	if (f->kind == KINDS && (strcmp(word, "full") == 0 ||
	    strcmp(word, "missing") == 0))
		return "comes before fdfault: leave the backend away, or its "
		    "backlog full";
	if (f->kind == KINDS && (strcmp(word, "cut") == 0 ||
	    strcmp(word, "delay-flush") == 0))
		return "comes before fdfault: let a backend with flusher=none "
		    "write the head";
	if (f->kind == KINDS)
		return "unknown kind";
	if (!kinds[f->kind].timed && time != NULL)
		return "takes no time";
	if (kinds[f->kind].timed && (time == NULL || !parse_time(time, &f->ms)))
		return "takes a time, 10 days at most";
	if ((at != NULL && !text_number(at, 10, NUMBER_MAX, &f->first)) ||
	    (plus != NULL && !text_number(plus, 10, NUMBER_MAX, &f->every)) ||
	    f->first == 0 || f->every == 0)
		return "@ and + take a number from 1 to 1000000000";
	return NULL;
}

/* A new list, counted from 1 on; false after a message: the old one stays. */
static bool
use_faults(char **words, size_t n)
{
	struct fault list[FAULTS + 1] = { { .kind = NONE } };
	const char *wrong = NULL;
	size_t i;

	for (i = 0; i < n && wrong == NULL; i++)
		wrong = i == FAULTS ? "too many faults" :
		    parse_fault(words[i], &list[i]);
	if (wrong != NULL) {
		log_error("%s: %s", words[i - 1], wrong);
		return false;
	}
	memcpy(faults, list, sizeof(faults));
	/* Children that have the old list go on with its count. */
	list_number = (list_number + 1) % LISTS;
	counts[list_number] = 0;
	return true;
}

/* What happens to the next hand-off: the first of the list that is due. */
static const struct fault *
next_fault(void)
{
	const struct fault *f = faults;
	unsigned long n = ++counts[list_number];

	while (f->kind != NONE && (n < f->first ||
	    (n - f->first) % f->every != 0))
		f++;
	return f;
}

/* ---- the child of one connection ---- */

/*
 * Wait for events on fd, or its end, if it is not -1; but no longer than ms,
 * if that is not -1.  The process ends if its parent has, or the client's
 * connection, if that is not -1.
 */
static void
await(int fd, short events, int client, int ms)
{
	struct pollfd p[] = { { fd, events, 0 }, { client, 0, 0 },
	    { life[0], 0, 0 } };
	int n = poll(p, 3, ms);

	if (n == -1 || (n > 0 && p[0].revents == 0))
		_exit(0);
}

/* Not a clean end, which the client could take for an empty answer. */
static _Noreturn void
give_up(int client, const char *what, int error)
{
	char path[SOCK_TEXT];

	log_error("cannot %s %s: %s", what,
	    sock_path(&backend, path, sizeof(path)), strerror(error));
	sock_reset(client);
	_exit(1);
}

/* Returns the length of the message; a connection without one was a probe. */
static size_t
take_message(int peer, char *message, int *client)
{
	ssize_t n, len;

	await(peer, POLLIN, -1, -1);
	len = n = fdpass_recv(peer, message, MESSAGE, client);
	if (*client == -1) {
		if (n != 0)
			log_error("a message came without a descriptor");
		_exit(0);
	}
	for (; n > 0; len += n) {
		await(peer, POLLIN, *client, -1);
		n = recv(peer, message + len, (size_t)(MESSAGE - len), 0);
	}
	if (len == MESSAGE)
		give_up(*client, "pass to", EMSGSIZE);
	return (size_t)len;
}

/* One that is missing, or full, is waited for as long as the client waits. */
static int
reach_backend(int client)
{
	int fd;

	while ((fd = fdpass_connect(&backend, FDPASS_ANYBODY)) == -1) {
		if (fdpass_state(errno, &backend) == FDPASS_BROKEN)
			give_up(client, "connect to", errno);
		await(-1, 0, client, AGAIN_MS);
	}
	return fd;
}

/* Who waits sees the backend leave, too; then sending fails. */
static void
pass_on(const struct fault *f, int to, int client, char *message, size_t len)
{
	struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
	size_t nfds = f->kind == NOFD ? 0 : f->kind == TWO ? 2 : 1;
	int fds[] = { client, client }, size = MESSAGE;
	char body[BODY_LEN];
	ssize_t n;

	if (f->kind == BODY)
		recv(client, body, sizeof(body), MSG_DONTWAIT);
	else if (f->kind == BYTE)
		message[0] = 'X';
	else if (f->kind == CONTROL)
		fdpass_send(to, client, message, 0);
	else if (f->kind == DELAY_PASS || f->kind == NOBYTE)
		await(to, 0, client, (int)f->ms);
	else if (f->kind == NONBLOCK)
		sock_nonblock(client, true);
	/* Connecting a TCP socket to nowhere resets the connection that it has.
	   Others know no such thing: both sides see the end. */
	else if (f->kind == RESET &&
	    connect(client, &nowhere, sizeof(nowhere)) == -1)
		shutdown(client, SHUT_RDWR);
	if (f->kind == CONTROL || f->kind == DROP || f->kind == NOBYTE)
		return;
	setsockopt(to, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	n = fdpass_send_fds(to, fds, nfds, message, len);
	if (n != (ssize_t)len)
		give_up(client, "pass to", n == -1 ? errno : EMSGSIZE);
	close(client);
	if (f->kind == DELAY_CLOSE)
		await(to, 0, -1, (int)f->ms);
}

/* Its copies of what else the parent has are no matter: both end together. */
static _Noreturn void
run_child(int peer)
{
	static char message[MESSAGE];
	const struct fault *f;
	size_t len;
	int client;

	close(life[1]);
	len = take_message(peer, message, &client);
	f = next_fault();
	pass_on(f, reach_backend(client), client, message, len);
	_exit(0);
}

/* ---- the parent ---- */

static void
take_connection(int listener)
{
	struct sock_addr sender;	/* it has no name */
	int peer = sock_accept(listener, &sender);
	pid_t pid = peer == -1 ? -1 : fork();

	if (pid == 0)
		run_child(peer);
	if (pid == -1)
		log_error("a client is lost: %s", strerror(errno));
	close(peer);
}

/*
 * Read a byte: lines are few.  A whole line is a list in the place of what was,
 * or is refused; both is said.  False at the end.
 */
static bool
take_input(void)
{
	static char line[LINE];
	static size_t len;
	char *rest = line, *words[FAULTS + 1];
	ssize_t got = read(STDIN_FILENO, line + len, 1);
	size_t n = 0;

	if (got == 1 && line[len] != '\n') {
		len += len < sizeof(line) - 1;
		return true;
	}
	if (got < 1 && len == 0)
		return false;
	line[len] = '\0';
	len = 0;
	while (n <= FAULTS && (words[n] = strsep(&rest, " \t")) != NULL)
		n += *words[n] != '\0';
	text_write(STDOUT_FILENO, "%s\n", use_faults(words, n) ? "ok" : "bad");
	return got == 1;
}

/* Returns -1 to go on, or an exit status. */
static int
options(int argc, char **argv)
{
	static const char usage[] = "usage: fdfault [-hV] "
	    "[kind[:time][@n[+m]] ...] socket backend\n";
	/* glibc would look for options behind the operands, but for "+". */
	int ch = getopt(argc, argv, "+hV");

	if (ch == 'h' || ch == 'V') {
		text_write(STDOUT_FILENO, "%s\n", ch == 'h' ? usage :
		    "fdfault " VERSION);
		return 0;
	}
	if (ch != -1 || argc - optind < 2) {
		text_write(STDERR_FILENO, "%s", usage);
		return 2;
	}
	argc -= 2;
	if (!sock_unix(&addr, argv[argc], strlen(argv[argc])) ||
	    !sock_unix(&backend, argv[argc + 1], strlen(argv[argc + 1]))) {
		log_error("the path of a socket is empty, too long or no name");
		return 2;
	}
	return use_faults(argv + optind, (size_t)(argc - optind)) ? -1 : 2;
}

int
main(int argc, char **argv)
{
	static const int caught[] = { SIGINT, SIGTERM, 0 };
	struct pollfd p[] = { { -1, POLLIN, 0 }, { -1, POLLIN, 0 },
	    { STDIN_FILENO, POLLIN, 0 } };
	struct sock_file file;
	int status;

	log_name("fdfault");
	counts = mmap(NULL, LISTS * sizeof(*counts), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED || !proc_sane_fds() || pipe(life) == -1)
		return 1;
	status = options(argc, argv);
	if (status != -1)
		return status;
	p[0].fd = proc_signals(caught, false);
	p[1].fd = sock_listen(&addr, BACKLOG, false, -1);
	if (p[0].fd == -1 || p[1].fd == -1) {
		log_error("cannot listen on %s: %s", argv[argc - 2],
		    strerror(errno));
		return 1;
	}
	proc_hold_signals(false);
	sock_remember(&addr, &file);
	/* The system reaps the children; and who is in the background of a
	   terminal, and has no input, is not stopped. */
	signal(SIGCHLD, SIG_IGN);
	signal(SIGTTIN, SIG_IGN);
	text_write(STDOUT_FILENO, "ready\n");
	while (p[0].revents == 0) {
		if (poll(p, 3, -1) == -1)
			continue;
		if (p[1].revents != 0)
			take_connection(p[1].fd);
		if (p[2].revents != 0 && !take_input())
			p[2].fd = -1;
	}
	sock_remove(&addr, &file);
	return 0;
}
