/* See LICENSE for copyright and license details. */

/*
 * fdproxy: accepts HTTP connections, looks at the head of the request, and
 * gives the client's socket to the backend that its path belongs to.
 *
 * This file is the options and the order of the start.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "config.h"
#include "config_route.h"
#include "fdpass.h"
#include "health.h"
#include "listen.h"
#include "log.h"
#include "loop.h"
#include "poller.h"
#include "proc.h"
#include "renew.h"
#include "sock.h"
#include "stats.h"
#include "super.h"
#include "text.h"
#include "worker.h"

#define HEALTH_MS	5000

static struct {
	bool print;
	bool daemon;
	bool test;
	int verbose;
	const char *ready;	/* descriptor, or NULL */
	const char *health;	/* URL, or NULL */
} options;

static struct loop_plan plan;
static bool heir;		/* in the place of another program */

static const char usage[] =
    "usage: fdproxy [-1dhtVv] [-c directive] [-f file] [-H url] "
    "[-l address]\n"
    "               [-N fd] [-n count] [-r route] [-T seconds] "
    "[-u user[:group]]\n"
    "               [command [arg ...]]\n";

static void
help(void)
{
	text_write(STDOUT_FILENO, "%s\n"
	    "Gives HTTP connections to backends, by path, as descriptors.\n\n"
	    "  -1            print each bound address on standard output\n"
	    "  -c directive  one line of configuration\n"
	    "  -d            become a daemon once clients can connect\n"
	    "  -f file       configuration file (-: standard input)\n"
	    "  -h            this help\n"
	    "  -H url        ask url, exit 0 if it answers 2xx or 3xx\n"
	    "  -l address    listen on [address:]port, unix:/path or fd:N\n"
	    "  -N fd         write a newline to fd when ready, and close it\n"
	    "  -n count      exit after so many hand-offs\n"
	    "  -r route      PATH=SOCKET[,key=value ...], or PATH=!\n"
	    "  -T seconds    exit with status 1 after this time\n"
	    "  -t            test the configuration and exit\n"
	    "  -u user       become user[:group] once listening\n"
	    "  -V            print the version and exit\n"
	    "  -v            more messages; twice for still more\n\n"
	    "A command is started, waited for, and ended together with it."
	    "\n\n"
	    "Example: fdproxy -l 8080 -r /app=/run/app.sock\n", usage);
}

/* ---- start ---- */

/* What is prepared while it can still be reached. */
static struct {
	int log;		/* of a daemon's messages, once it is ready */
	int null;		/* for descriptor 1 after -1, and a daemon's */
} later = { -1, -1 };

/* A daemon's parent has its messages until it is ready; an heir of a daemon is
   one already. */
static bool
becomes_daemon(void)
{
	return options.daemon && !heir;
}

static void
cannot_open(const char *name, int error, bool stays, const char *user)
{
	struct stat st;
	bool there = lstat(name, &st) == 0;

	if (error != EACCES || stays || user == NULL || *name != '/' ||
	    (there && !S_ISREG(st.st_mode)))
		log_error("cannot open %s: %s%s", name, strerror(error),
		    stays ? "; it stays open as it was" : "");
	else
		log_error("user %s cannot open %s; this helps: %s %s%s%s",
		    user, name, there ? "chown" : "install -m 644 -o", user,
		    there ? " " : " /dev/null ", name);
}

/*
 * Open a log by its name, which may be another file's by now, and use it; a
 * trial only looks whether that can be done.  Where it cannot be done any more,
 * or it has no name, lines go on to what the program before us has left.  False
 * after a message.
 */
static bool
open_log(enum log_kind kind, const char *name, const struct config *c)
{
	const char *before = log_where(kind);
	bool same = heir && before != NULL && strcmp(before, name) == 0;
	bool syslog = strcmp(name, "syslog") == 0;
	int fd, error;

	if (same && *name != '/' && log_fd(kind) > STDERR_FILENO) {
		log_use(kind, name, log_fd(kind));
		return true;
	}
	/* With the user's rights: whose folder it is in can put a link there;
	   what we were started with is in none. */
	if (*name == '/' && !proc_borrow(c->user, c->group))
		return false;
	fd = log_file(name);
	error = errno;
	if (*name == '/' && !proc_give_back())
		return false;
	if (fd == -1 && syslog) {
		log_warn("syslog: %s; it is looked for again", strerror(error));
	} else if (fd == -1) {
		cannot_open(name, error, same, c->user);
		return same;
	}
	/* Descriptor 2 will be another's. */
	if (fd == STDERR_FILENO && becomes_daemon())
		fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (options.test) {
		if (fd > STDERR_FILENO)
			close(fd);
	} else if (kind == LOG_MESSAGES && becomes_daemon()) {
		later.log = fd;
	} else {
		log_use(kind, name, fd);
	}
	return true;
}

/* Where messages go without ErrorLog. */
static const char *
message_log(const struct config *c)
{
	return c->error_log != NULL ? c->error_log : options.daemon ?
	    "syslog" : "stderr";
}

static bool
open_logs(const struct config *c)
{
	if (!open_log(LOG_MESSAGES, message_log(c), c))
		return false;
	if (c->access_log != NULL)
		return open_log(LOG_ACCESS, c->access_log, c);
	log_use(LOG_ACCESS, NULL, -1);
	return true;
}

static void
set_level(const struct config *c)
{
	int level = c->log_level + options.verbose;

	log_level(level < LOG_L_DEBUG ? (enum log_level)level : LOG_L_DEBUG);
}

static void
report(const char *line)
{
	text_write(STDERR_FILENO, "%s\n", line);
}

static void
report_log(const char *line)
{
	log_error("%s", line);
}

/*
 * The sockets of whoever started us: those of LISTEN_FDS, or, if nothing else
 * is configured, descriptor 0 if it listens.
 */
static void
adopt_listeners(struct config *c)
{
	struct sock_addr addr;
	int i;

	for (i = 0; i < plan.adopted; i++)
		config_inherit(c, SUPER_LISTEN_FD + i);
	if (c->listeners == 0 && sock_inherit(STDIN_FILENO, &addr) == 0)
		config_inherit(c, STDIN_FILENO);
}

static void
announce(bool print)
{
	char text[SOCK_TEXT];
	int i;

	for (i = 0; i < listen_count(); i++) {
		if (listen_at(i)->fd == -1)
			continue;
		sock_text(&listen_at(i)->bound, text, sizeof(text));
		if (listen_at(i)->workers) {
			log_info("waiting for workers at %s", text);
			continue;
		}
		if (print || heir)
			log_info("listening on %s", text);
		else
			log_notice("listening on %s", text);
		if (print)
			text_write(STDOUT_FILENO, "%s\n", text);
	}
}

/* Clients can connect: whoever waits for that is told. */
static void
ready(void)
{
	super_pid_write();
	/* A terminal that could not be opened anew is told that it has begun,
	   since no more can be told there; any other reader may have stood
	   still since before. */
	if (log_fd(LOG_MESSAGES) != STDERR_FILENO || !isatty(STDERR_FILENO))
		log_nonblocking(true);
	announce(options.print);
	if (options.print && dup2(later.null, STDOUT_FILENO) == -1)
		close(STDOUT_FILENO);
	if (options.ready != NULL)
		super_ready(atoi(options.ready));
	if (becomes_daemon()) {
		log_use(LOG_MESSAGES, message_log(plan.config), later.log);
		super_daemon_ready(later.null);
	}
	if (later.null != -1)
		close(later.null);
	log_nonblocking(true);
	if (heir)
		log_notice("renewed: version %s, the configuration has been "
		    "read again", VERSION);
}

/* The command is a worker from the start, by a connection that it is given. */
static bool
open_channel(const struct config *c)
{
	const struct config_target *t = c->targets;
	int fd = child_channel();

	while (!t->child || !t->workers)
		t++;
	if (fd != -1 && worker_add(fd, t->queue, &t->addr, FDPASS_ANYBODY, 0,
	    0) != -1)
		return true;
	log_error("no channel for the command: %s", strerror(errno));
	return false;
}

static bool
start(struct config *c, uint32_t last_id)
{
	struct sock_addr addr;

	/* An heir has clients already: what is not vital must not end it. */
	if (c->pid_file == NULL)
		super_pid_remove();
	else if (!super_pid_open(c->pid_file) && !heir)
		return false;
	if ((!heir && !listen_open(c, LISTEN_STRICT)) ||
	    !proc_drop(c->user, c->group, c->chroot) ||
	    (!heir && !loop_open(c, last_id, plan.command != NULL)))
		return false;
	if (c->child && !child_listen(&addr, c->backlog)) {
		log_error("no socket for the command: %s", strerror(errno));
		return false;
	}
	if (c->child)
		config_child(c, &addr);
	return (!c->channel || open_channel(c)) && proc_confine();
}

/* Own failures, beside a command, have a status of their own. */
static int
failure(int status)
{
	return plan.command != NULL ? CHILD_FAILED : status;
}

static int
start_and_serve(void)
{
	struct renew_counts counts = { .accepted = 0 };
	int status;

	renew_counts(&counts);
	if (heir) {
		plan.handoffs = counts.handoffs;
		plan.run_ms = counts.run_ms;
		stats_get()->reloads = counts.renewals + 1;
	}
	if (!open_logs(plan.config) && !heir)
		return failure(1);
	super_notify_open();
	later.null = proc_open_null();
	plan.ready = ready;
	status = start(plan.config, counts.accepted) ? loop_run(&plan) :
	    failure(1);
	listen_close(true);
	child_remove();
	super_pid_remove();
	loop_close();
	return status;
}

static void
version(void)
{
	text_write(STDOUT_FILENO, "fdproxy %s (%s)\n", VERSION, poller_name());
}

/* Whether it is the number of an open descriptor; a message if not. */
static bool
is_descriptor(const char *text)
{
	unsigned long n;
	int flags;

	/* 0 to 2 would be closed, and become a client's. */
	if (text_number(text, 10, INT_MAX, &n) && n > STDERR_FILENO &&
	    (flags = fcntl((int)n, F_GETFL)) != -1 &&
	    (flags & O_ACCMODE) != O_RDONLY && !sock_listens((int)n))
		return true;
	log_error("\"%s\" is not an open descriptor above 2 that can be "
	    "written to", text);
	return false;
}

/* An option's number from 1 to max, or 0 after a message. */
static uint32_t
number(int option, const char *text, unsigned long max)
{
	unsigned long n;

	if (text_number(text, 10, max, &n) && n > 0)
		return (uint32_t)n;
	log_error("-%c: a number from 1 to %lu expected, near \"%s\"", option,
	    max, text);
	return 0;
}

static void
write_usage(void)
{
	text_write(STDERR_FILENO, "%sfdproxy -h explains the options\n",
	    usage);
}

/* Two long options are what everybody tries; getopt(3) refuses all others. */
static int
next_option(void)
{
	const char *word = optind < plan.argc ? plan.argv[optind] : "";

	if (strcmp(word, "--help") == 0)
		return 'h';
	if (strcmp(word, "--version") == 0)
		return 'V';
	return getopt(plan.argc, plan.argv, "+1c:df:hH:l:N:n:r:T:tu:Vv");
}

/*
 * Read the command line, and the files that it names.  Returns -1 to go on, or
 * an exit status.
 */
static int
read_options(struct config *c)
{
	int ch;

	while ((ch = next_option()) != -1) {
		switch (ch) {
		case '1':
			options.print = true;
			break;
		case 'c':
			config_directive(c, optarg);
			break;
		case 'd':
			options.daemon = true;
			break;
		case 'f':
			/* A second reading would find nothing there. */
			if (strcmp(optarg, "-") == 0 && heir) {
				c->report("-f: standard input cannot be read "
				    "again");
				c->errors++;
			} else {
				config_file(c, optarg);
			}
			break;
		case 'h':
			help();
			return 0;
		case 'H':
			options.health = optarg;
			break;
		case 'l':
			config_listen(c, optarg);
			break;
		case 'N':
			options.ready = optarg;
			break;
		case 'n':
			plan.handoffs = number('n', optarg, 1000000000);
			if (plan.handoffs == 0)
				return 2;
			break;
		case 'r':
			config_route(c, optarg);
			break;
		case 'T':
			plan.run_ms = 1000 * number('T', optarg, 864000);
			if (plan.run_ms == 0)
				return 2;
			break;
		case 't':
			options.test = true;
			break;
		case 'u':
			config_user(c, optarg);
			break;
		case 'V':
			version();
			return 0;
		case 'v':
			options.verbose++;
			break;
		default:
			write_usage();
			return 2;
		}
	}
	if (optind < plan.argc)
		plan.command = plan.argv + optind;
	return -1;
}

/* There is a command if a route needs one; else false after a message. */
static bool
child_fits(const struct config *c)
{
	char line[LOG_LINE];
	uint32_t i;

	if ((!c->child && !c->channel) || plan.command != NULL)
		return true;
	for (i = 0; !c->targets[i].child; i++)
		;
	text_format(line, sizeof(line), "%s: \":%s\" is the socket of a "
	    "command, and none is given", c->targets[i].where,
	    c->targets[i].workers ? "workers" : "child");
	c->report(line);
	return false;
}

/*
 * The trial before a renewal: whether we could go on here, in the place of the
 * program that asks.  All that could fail is done as in the place itself, and
 * ends with this process.
 */
static bool
may_follow(struct config *c)
{
	bool good;

	if (!open_logs(c) || !listen_open(c, LISTEN_TRIAL))
		return false;
	good = proc_drop(c->user, c->group, c->chroot) &&
	    loop_open(c, 0, false);
	listen_abort();
	loop_close();
	return good;
}

static int
run(void)
{
	struct renew_counts counts = { .accepted = 0 };
	struct config *c = plan.config;
	bool good;
	int status;

	c->again = heir;
	status = read_options(c);
	if (status != -1)
		return status;
	if (options.health != NULL)
		return health_check(options.health, plan.run_ms > 0 ?
		    plan.run_ms : HEALTH_MS);
	adopt_listeners(c);
	good = config_finish(c) && child_fits(c);
	set_level(c);
	/* What may fail comes while all is as it was left. */
	if (heir && !options.test) {
		renew_counts(&counts);
		good = good && loop_open(c, counts.accepted, false) &&
		    proc_knows(c->user, c->group) &&
		    listen_open(c, LISTEN_LENIENT);
		if (!good)
			renew_again(plan.argv, plan.adopted);
	}
	if (!good && plan.argc < 2)
		write_usage();
	if (!good)
		return options.test ? 2 : failure(2);
	if (options.test && heir)
		return may_follow(c) ? RENEW_GOOD : 1;
	if (options.test) {
		config_route_notes(c);
		text_write(STDERR_FILENO, "configuration is good\n");
		return 0;
	}
	if (heir) {
		options.print = false;	/* done long ago */
		options.ready = NULL;
	}
	if (options.ready != NULL && !is_descriptor(options.ready))
		return failure(2);
	if (becomes_daemon() && !super_daemon())
		return failure(1);
	return start_and_serve();
}

int
main(int argc, char **argv)
{
	int status = 1;

	if (!proc_sane_fds())
		return 1;
	clock_update();
	plan.argc = argc;
	plan.argv = argv;
	heir = renew_open();
	plan.adopted = super_listen_fds();
	plan.config = config_new(heir ? report_log : report);
	if (plan.config != NULL) {
		status = run();
	} else {
		log_error("out of memory");
		if (heir)
			renew_again(argv, plan.adopted);
	}
	/* The names of their files go now. */
	log_use(LOG_MESSAGES, "stderr", STDERR_FILENO);
	log_use(LOG_ACCESS, NULL, -1);
	config_free(plan.config);
	return status;
}
