/* See LICENSE for copyright and license details. */

/*
 * fdfault: stands before a backend, receives its clients, and passes them on,
 * some of them wrongly.
 *
 * The parent takes messages, counts them, and reads lines, in one poll(2) loop.
 * A child for each client does the rest, and may wait: there are no timers.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdpass.h"
#include "log.h"
#include "proc.h"
#include "sock.h"
#include "text.h"

#define BACKLOG		128
#define FAULTS		16	/* in one list */
#define PENDING		128	/* connections without a message so far */
#define LINE		1024	/* of standard input, terminated */
#define MESSAGE		65537	/* the byte, a head, and what is too much */
#define BODY_LEN	8000	/* what Apache reads at once */
#define NUMBER_MAX	1000000000ul

/* Milliseconds. */
#define TIME_MAX	864000000ul	/* ten days */
#define HOLD_MS		5000	/* nobyte keeps all open */
#define AGAIN_MS	10	/* to the next look at the backend */
#define PAUSE_MS	100	/* without descriptors */

/* Those that take a time, and the others; NONE is what should be. */
enum kind { DELAY_CLOSE, DELAY_PASS, BODY, BYTE, CONTROL, DROP, NOBYTE, NOFD,
    NONBLOCK, RESET, TWO, CUT, DELAY_FLUSH, FULL, MISSING, NONE };

static const struct {
	const char *name;
	const char *instead;	/* of one that comes before the hand-off */
} kinds[NONE] = {
	[BODY] = { "body", NULL },
	[BYTE] = { "byte", NULL },
	[CONTROL] = { "control", NULL },
	[CUT] = { "cut", "let a backend with flusher=none write such a head" },
	[DELAY_CLOSE] = { "delay-close", NULL },
	[DELAY_FLUSH] = { "delay-flush", "let a backend with flusher=none wait "
	    "before it writes a head" },
	[DELAY_PASS] = { "delay-pass", NULL },
	[DROP] = { "drop", NULL },
	[FULL] = { "full", "fill the backlog of the backend" },
	[MISSING] = { "missing", "do not start the backend" },
	[NOBYTE] = { "nobyte", NULL },
	[NOFD] = { "nofd", NULL },
	[NONBLOCK] = { "nonblock", NULL },
	[RESET] = { "reset", NULL },
	[TWO] = { "two", NULL }
};

struct fault {
	enum kind kind;
	unsigned long ms;
	unsigned long first;	/* hand-off, from 1 on; then every .. */
	unsigned long every;	/* 0: never again */
};

struct list {
	struct fault fault[FAULTS];
	size_t len;
};

/* What stands before the pending connections in the table for poll(2). */
enum { POLL_SIGNALS, POLL_LISTENER, POLL_INPUT, POLL_PENDING };

static struct sock_addr addr, backend;
static struct list faults;
static unsigned long count;	/* of hand-offs, since there is this list */
static unsigned long patience;	/* ms, with a backend that is missing */
static int life[2];		/* a pipe, which ends with the parent */
static char message[MESSAGE];	/* the byte and what follows it */

static const char usage[] =
    "usage: fdfault [-hV] [-w time] [kind[:time][@n[+m]] ...] socket backend\n";

/* ---- lists of faults ---- */

/* A time with ms, s (also when nothing is said) or min, in milliseconds. */
static bool
parse_time(const char *text, unsigned long *ms)
{
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits;
	unsigned long scale = strcasecmp(unit, "ms") == 0 ? 1 :
	    strcasecmp(unit, "min") == 0 ? 60000 : 1000;
	char number[16];

	if (scale == 1000 && *unit != '\0' && strcasecmp(unit, "s") != 0)
		return false;
	if (text_format(number, sizeof(number), "%.*s", (int)digits, text) >=
	    sizeof(number) || !text_number(number, 10, TIME_MAX / scale, ms))
		return false;
	*ms *= scale;
	return true;
}

/* Read KIND[:TIME][@n[+m]].  Returns NULL, or what is wrong with it. */
static const char *
parse_fault(const char *word, struct fault *f)
{
	char text[64], *time = text, *at = text, *plus;

	*f = (struct fault){ .first = 1, .every = 1 };
	if (text_format(text, sizeof(text), "%s", word) >= sizeof(text))
		return "unknown kind";
	strsep(&at, "@");
	plus = at;
	strsep(&plus, "+");
	strsep(&time, ":");
	while (f->kind < NONE && strcmp(kinds[f->kind].name, text) != 0)
		f->kind++;
	if (f->kind == NONE)
		return "unknown kind";
	if (kinds[f->kind].instead != NULL)
		return kinds[f->kind].instead;
	if (f->kind > DELAY_PASS && time != NULL)
		return "this kind takes no argument";
	if (f->kind <= DELAY_PASS &&
	    (time == NULL || !parse_time(time, &f->ms)))
		return "this kind takes a time in ms, s or min, at most 10 "
		    "days (KIND:TIME)";
	if (at != NULL && (!text_number(at, 10, NUMBER_MAX, &f->first) ||
	    f->first == 0))
		return "@ takes a number from 1 to 1000000000";
	if (plus != NULL && (!text_number(plus, 10, NUMBER_MAX, &f->every) ||
	    f->every == 0))
		return "+ takes a number from 1 to 1000000000";
	if (at != NULL && plus == NULL)
		f->every = 0;
	return NULL;
}

/* False after a message. */
static bool
add_fault(struct list *list, const char *word)
{
	const char *wrong = list->len == FAULTS ? "too many faults" :
	    parse_fault(word, &list->fault[list->len]);

	if (wrong == NULL)
		list->len++;
	else
		log_error("%s: %s", word, wrong);
	return wrong == NULL;
}

/* What happens to the next hand-off: the first of the list that is due. */
static struct fault
next_fault(void)
{
	const struct fault *f;
	unsigned long n = ++count;

	for (f = faults.fault; f < faults.fault + faults.len; f++)
		if (n == f->first || (n > f->first && f->every != 0 &&
		    (n - f->first) % f->every == 0))
			return *f;
	return (struct fault){ .kind = NONE };
}

/* ---- the child of one client ---- */

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
	int n = poll(p, sizeof(p) / sizeof(*p), ms);

	if (n == -1 || (n > 0 && p[0].revents == 0))
		_exit(0);
}

/* Not a clean end, which the client could take for an empty answer. */
static _Noreturn void
give_up(int client, const char *what)
{
	char path[SOCK_TEXT];

	log_error("%s %s: %s", what, sock_path(&backend, path, sizeof(path)),
	    strerror(errno));
	sock_reset(client);
	_exit(1);
}

/* Of a message, len bytes are there; the sender's end is that of the others. */
static size_t
read_rest(int peer, int client, size_t len)
{
	ssize_t n;

	do {
		await(peer, POLLIN, client, -1);
		n = recv(peer, message + len, sizeof(message) - len, 0);
		len += n > 0 ? (size_t)n : 0;
		if (len == sizeof(message)) {
			errno = EMSGSIZE;
			give_up(client, "cannot pass to");
		}
	} while (n > 0);
	return len;
}

/* A backend that is full is waited for as long as the client waits. */
static int
reach_backend(int client)
{
	enum fdpass_state state;
	int fd;

	while ((fd = fdpass_connect(&backend)) == -1) {
		state = fdpass_state(errno, &backend);
		if (state == FDPASS_BROKEN ||
		    (state == FDPASS_ABSENT && patience == 0))
			give_up(client, "cannot connect to");
		await(-1, 0, client, AGAIN_MS);
		if (state == FDPASS_ABSENT)
			patience -= patience < AGAIN_MS ? patience : AGAIN_MS;
	}
	return fd;
}

/* Send the message of len bytes and the client, or what is left of them. */
static void
send_message(enum kind kind, int to, int client, size_t len)
{
	struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
	int fds[2] = { client, client };
	size_t nfds = kind == NOFD ? 0 : kind == TWO ? 2 : 1, at;
	char body[BODY_LEN];
	ssize_t n;

	/* Connecting a TCP socket to nowhere resets the connection that it has.
	   Others know no such thing: both sides see the end. */
	if (kind == RESET && connect(client, &nowhere, sizeof(nowhere)) == -1)
		shutdown(client, SHUT_RDWR);
	else if (kind == BODY)
		recv(client, body, sizeof(body), MSG_DONTWAIT);
	else if (kind == BYTE)
		message[0] = 'X';
	else if (kind == NONBLOCK)
		sock_nonblock(client, true);
	else if (kind == CONTROL)
		fdpass_send_fds(to, fds, 1, message, 0);
	if (kind == CONTROL || kind == DROP || kind == NOBYTE)
		return;
	for (at = 0; at < len; at += n > 0 ? (size_t)n : 0) {
		n = fdpass_send_fds(to, fds, at == 0 ? nfds : 0, message + at,
		    len - at);
		if (n == -1 && errno == ETOOMANYREFS)
			await(-1, 0, client, AGAIN_MS);
		else if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			await(to, POLLOUT, -1, -1);
		else if (n == -1)
			give_up(client, "cannot pass to");
	}
}

/* Its copies of what else the parent has are no matter: both end together. */
static _Noreturn void
run_child(int peer, int client, size_t len, const struct fault *f)
{
	int to;

	close(life[1]);
	len = read_rest(peer, client, len);
	to = reach_backend(client);
	/* Who waits sees the backend leave, too; then sending fails. */
	if (f->kind == DELAY_PASS)
		await(to, 0, client, (int)f->ms);
	send_message(f->kind, to, client, len);
	if (f->kind == NOBYTE)
		await(to, 0, client, HOLD_MS);
	close(client);
	if (f->kind == DELAY_CLOSE)
		await(to, 0, -1, (int)f->ms);
	_exit(0);
}

/* ---- the loop ---- */

/* A connection has brought a message, or its end: then it was a probe. */
static void
take_message(int peer)
{
	struct fault f;
	ssize_t n;
	int client;
	pid_t pid;

	n = fdpass_recv(peer, message, sizeof(message), &client);
	if (n == -1 && errno == EMFILE)
		log_error("a client is lost: no descriptors left");
	if (n > 0 && client == -1)
		log_warn("a message came without a descriptor");
	if (n < 1 && client != -1)
		close(client);
	if (n < 1 || client == -1)
		return;
	f = next_fault();
	pid = fork();
	if (pid == 0)
		run_child(peer, client, (size_t)n, &f);
	if (pid == -1) {
		log_error("cannot start a process: %s", strerror(errno));
		sock_reset(client);
	} else {
		close(client);
	}
}

/* A line is a list in the place of what was, or is refused; both is said. */
static void
take_line(char *line)
{
	struct list list = { .len = 0 };
	char *word;
	bool good = true;

	while (good && (word = strsep(&line, " \t")) != NULL)
		good = *word == '\0' || add_fault(&list, word);
	if (good) {
		faults = list;
		count = 0;
	}
	text_write(STDOUT_FILENO, "%s\n", good ? "ok" : "bad");
}

/* False when there will be no more. */
static bool
take_input(void)
{
	static char line[LINE];
	static size_t len;
	char *next;
	ssize_t n = read(STDIN_FILENO, line + len, sizeof(line) - 1 - len);

	if (n > 0)
		len += (size_t)n;
	line[len] = '\0';
	while ((next = memchr(line, '\n', len)) != NULL) {
		*next++ = '\0';
		take_line(line);
		len -= (size_t)(next - line);
		memmove(line, next, len + 1);
	}
	if (len == sizeof(line) - 1) {
		log_error("a line is too long: no more are read");
		return false;
	}
	if (n < 1 && len > 0)
		take_line(line);
	return n > 0;
}

/* Until a signal comes.  Returns the exit status. */
static int
loop(int signalled, int listener)
{
	struct sock_addr peer;	/* a sender has no name */
	static struct pollfd p[POLL_PENDING + PENDING];
	nfds_t used = POLL_PENDING, n, i;
	int fd;

	for (i = 0; i < sizeof(p) / sizeof(*p); i++)
		p[i].events = POLLIN;
	p[POLL_SIGNALS].fd = signalled;
	p[POLL_INPUT].fd = STDIN_FILENO;
	for (;;) {
		p[POLL_LISTENER].fd = used < POLL_PENDING + PENDING ? listener :
		    -1;
		if (poll(p, used, -1) == -1) {
			if (errno == EINTR)
				continue;
			log_error("poll: %s", strerror(errno));
			return 1;
		}
		if (p[POLL_SIGNALS].revents != 0)
			return 0;
		/* Before lines: what came first has the faults that were. */
		for (i = n = POLL_PENDING; i < used; i++) {
			if (p[i].revents == 0) {
				p[n++].fd = p[i].fd;
			} else {
				take_message(p[i].fd);
				close(p[i].fd);
			}
		}
		used = n;
		if (p[POLL_INPUT].revents != 0 && !take_input())
			p[POLL_INPUT].fd = -1;
		if (p[POLL_LISTENER].revents == 0)
			continue;
		fd = sock_accept(listener, &peer);
		if (fd != -1)
			p[used++].fd = fd;
		else
			poll(NULL, 0, PAUSE_MS);
	}
}

/* ---- start ---- */

/* Returns -1 to go on, or an exit status. */
static int
options(int argc, char **argv)
{
	int ch, i;

	/* glibc would look for options behind the operands, but for "+". */
	while ((ch = getopt(argc, argv, "+hVw:")) != -1) {
		switch (ch) {
		case 'h':
			text_write(STDOUT_FILENO, "%s\nPasses clients on to a "
			    "backend, some of them wrongly.\n\n"
			    "  -h        this help\n"
			    "  -V        print the version and exit\n"
			    "  -w time   wait for a backend that is missing\n\n"
			    "Example: fdfault nofd@2 /tmp/f.sock /tmp/app.sock"
			    "\n", usage);
			return 0;
		case 'V':
			text_write(STDOUT_FILENO, "fdfault %s\n", VERSION);
			return 0;
		case 'w':
			if (parse_time(optarg, &patience))
				break;
			log_error("-w takes a time in ms, s or min, at most "
			    "10 days: %s", optarg);
			return 2;
		default:
			text_write(STDERR_FILENO, "%s", usage);
			return 2;
		}
	}
	if (argc - optind < 2) {
		text_write(STDERR_FILENO, "%s", usage);
		return 2;
	}
	for (i = optind; i < argc - 2; i++)
		if (!add_fault(&faults, argv[i]))
			return 2;
	for (; i < argc; i++) {
		if (sock_unix(i == argc - 1 ? &backend : &addr, argv[i],
		    strlen(argv[i])))
			continue;
		log_error("the path of a socket is empty, too long or no "
		    "name: %s", argv[i]);
		return 2;
	}
	return -1;
}

int
main(int argc, char **argv)
{
	static const int caught[] = { SIGINT, SIGTERM, 0 };
	struct sock_file file;
	int signalled, listener, status;

	log_name("fdfault");
	if (!proc_sane_fds())
		return 1;
	status = options(argc, argv);
	if (status != -1)
		return status;
	/* The system reaps the children; and who is in the background of a
	   terminal, and has no input, is not stopped. */
	signalled = proc_signals(caught);
	if (signalled == -1 || pipe(life) == -1 ||
	    signal(SIGCHLD, SIG_IGN) == SIG_ERR ||
	    signal(SIGTTIN, SIG_IGN) == SIG_ERR ||
	    (listener = sock_listen(&addr, BACKLOG, false, -1)) == -1) {
		log_error("cannot listen on %s: %s", argv[argc - 2],
		    strerror(errno));
		return 1;
	}
	sock_remember(&addr, &file);
	text_write(STDOUT_FILENO, "ready\n");
	status = loop(signalled, listener);
	sock_remove(&addr, &file);
	close(listener);
	/* The children see this end; there is no other for this wait. */
	close(life[1]);
	while (wait(NULL) != -1 || errno == EINTR)
		;
	return status;
}
