/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "child.h"
#include "log.h"
#include "proc.h"
#include "super.h"
#include "text.h"

#define MANY_FDS	65536
#define FINISH_TRIES	100
#define FINISH_MS	10

static pid_t child;		/* 0: none */
static pid_t group;		/* of the command; 0: ours, or none */
static bool shared;		/* the command is in our group */
static bool reaper;		/* what it has left becomes our child */
static bool rest_knows;		/* by the command, or by us */
static bool rest_told;		/* by us */
static bool killed;
static int listener = -1;
static int channel = -1;
static char folder[] = "/tmp/fdproxy-XXXXXX";
static struct sock_addr address;

#ifdef __linux__
/* The system chooses five digits if there is nothing but the family. */
static bool
choose_name(int fd)
{
	struct sockaddr_un any = { .sun_family = AF_UNIX };

	return bind(fd, (struct sockaddr *)&any, sizeof(any.sun_family)) == 0 &&
	    sock_name(fd, &address) == 0;
}
#else
static bool
choose_name(int fd)
{
	char path[sizeof(folder) + 8];

	if (mkdtemp(folder) == NULL)
		return false;
	text_format(path, sizeof(path), "%s/socket", folder);
	return sock_unix(&address, path, strlen(path)) &&
	    bind(fd, &address.u.sa, address.len) == 0;
}
#endif

bool
child_listen(struct sock_addr *addr, int backlog)
{
	listener = sock_stream();
	if (listener == -1 || !choose_name(listener) ||
	    listen(listener, backlog) == -1)
		return false;
	*addr = address;
	/* An accept(2) of the command's that blocks is what it expects. */
	return sock_nonblock(listener, false) == 0;
}

void
child_remove(void)
{
	if (!sock_is_file(&address))
		return;
	unlink(address.u.un.sun_path);
	rmdir(folder);
}

int
child_channel(void)
{
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == -1)
		return -1;
	sock_cloexec(fd[0]);
	sock_cloexec(fd[1]);
	channel = fd[1];
	return fd[0];
}

/*
 * What the command has besides 0 to 2 gets the numbers from 3 on, and the pipe
 * the last of them.  Returns that.
 */
static int
leave_descriptors(int report)
{
	int keep[] = { listener, channel, report };
	int i, at = SUPER_LISTEN_FD;
	char number[8];

	/* Out of each other's way first. */
	for (i = 0; i < 3; i++)
		if (keep[i] != -1)
			keep[i] = fcntl(keep[i], F_DUPFD, SUPER_LISTEN_FD + 3);
	for (i = 0; i < 3; i++)
		if (keep[i] != -1)
			dup2(keep[i], at++);
	if (channel != -1) {
		text_format(number, sizeof(number), "%d", at - 2);
		setenv("FDPROXY_WORKERS", number, 1);
	} else {
		unsetenv("FDPROXY_WORKERS");
	}
	return at - 1;
}

/*
 * In the child.  Only what is safe after fork(2) where there are threads;
 * there are none here.
 */
static void
become(char **argv, int report, int stop_signal, pid_t parent)
{
	int fd, error;

	if (!shared)
		setpgid(0, 0);
#ifdef PR_SET_PDEATHSIG
	prctl(PR_SET_PDEATHSIG, stop_signal);
	if (getppid() != parent)	/* it has died before */
		_exit(CHILD_FAILED);
#else
	(void)stop_signal;
	(void)parent;
#endif
	proc_default_signals();
	proc_restore_nofile();
	report = leave_descriptors(report);
	fd = report + 1;
#ifdef SYS_close_range
	if (syscall(SYS_close_range, fd, ~0U, 0) == 0)
		fd = MANY_FDS;
#endif
	/* Descriptors have the lowest free numbers: few are far above. */
	for (; fd < MANY_FDS; fd++)
		close(fd);
	fcntl(report, F_SETFD, FD_CLOEXEC);
	if (listener == -1 || super_leave_listen_fds(1))
		execvp(argv[0], argv);
	error = errno;
	if (write(report, &error, sizeof(error)) != sizeof(error))
		_exit(CHILD_FAILED);
	_exit(error == ENOENT ? CHILD_NOT_FOUND : CHILD_NOT_EXECUTABLE);
}

/* Job control is between a shell and groups that the shell has made. */
static bool
has_terminal(void)
{
	int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK);

	if (fd != -1)
		close(fd);
	return fd != -1;
}

/* A pipe tells why the command cannot be executed, or ends without a word. */
int
child_start(char **argv, int stop_signal)
{
	int fd[2], error = 0;
	pid_t parent = getpid();
	ssize_t n;

	shared = has_terminal();
#ifdef PR_SET_CHILD_SUBREAPER
	/* Children of before, which execve(2) leaves, are not for us to end. */
	reaper = shared && waitpid(-1, NULL, WNOHANG) == -1 &&
	    prctl(PR_SET_CHILD_SUBREAPER, 1) == 0;
#endif
	if (pipe(fd) == -1 || sock_cloexec(fd[0]) == -1 ||
	    sock_cloexec(fd[1]) == -1) {
		log_error("cannot start %s: %s", argv[0], strerror(errno));
		return CHILD_FAILED;
	}
	/* Without handlers of its own the child would tell us its signals. */
	proc_hold_signals(true);
	child = fork();
	if (child == 0)
		become(argv, fd[1], stop_signal, parent);
	proc_hold_signals(false);
	if (child == -1) {
		log_error("cannot start %s: %s", argv[0], strerror(errno));
		child = 0;
		return CHILD_FAILED;
	}
	if (!shared) {
		group = child;
		setpgid(child, child);	/* here and there: who is first? */
	}
	close(fd[1]);
	if (listener != -1)
		close(listener);
	if (channel != -1)
		close(channel);
	listener = channel = -1;
	do {
		n = read(fd[0], &error, sizeof(error));
	} while (n == -1 && errno == EINTR);
	close(fd[0]);
	if (n <= 0)
		return 0;
	waitpid(child, NULL, 0);
	child = 0;
	log_error("cannot execute %s: %s", argv[0], strerror(error));
	return error == ENOENT ? CHILD_NOT_FOUND : CHILD_NOT_EXECUTABLE;
}

bool
child_accepts(void)
{
	static int probe = -1;
	char byte;
	ssize_t n;

	if (address.len == 0)
		return true;
	if (probe == -1) {
		probe = sock_connect(&address);
		if (probe == -1)
			return false;
		shutdown(probe, SHUT_WR);
	}
	n = recv(probe, &byte, 1, MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return false;
	/* A reset says that it ended in the queue. */
	probe = sock_drop(probe);
	return n != -1;
}

bool
child_runs(void)
{
	return child != 0;
}

bool
child_in_our_group(void)
{
	return shared && child != 0 && getpgid(child) == getpgrp();
}

void
child_signal(int sig)
{
	if (child != 0)
		kill(child, sig);
}

void
child_stop(int sig, bool has_it)
{
	if (!has_it)
		child_signal(sig);
	child_signal(SIGCONT);
}

bool
child_ended(pid_t pid, int status, int *exit_status)
{
	if (child == 0 || pid != child)
		return false;
	child = 0;
	rest_knows = WIFEXITED(status);
	*exit_status = WIFEXITED(status) ? WEXITSTATUS(status) :
	    128 + WTERMSIG(status);
	return true;
}

/* What has lost the command as its parent is ours (proc(5)). */
static void
signal_children(int sig)
{
	char path[48], text[4096];
	const char *p = text;
	uint64_t pid;
	ssize_t n;
	int fd;

	text_format(path, sizeof(path), "/proc/self/task/%ld/children",
	    (long)getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	sock_drop(fd);
	text[n > 0 ? n : 0] = '\0';
	while (*p >= '0' && *p <= '9') {
		p = text_digits(p, 10, &pid);
		p += *p == ' ';
		kill((pid_t)pid, sig);
		kill((pid_t)pid, SIGCONT);
	}
}

/* As process 1 we are the parent of all, and all end with us. */
static void
signal_all(int sig)
{
	pid_t all = getpid() == 1 ? -1 : group != 0 ? -group : child;

	if (reaper && all != -1)
		signal_children(sig);
	if (all == 0)
		return;
	kill(all, sig);
	kill(all, SIGCONT);	/* a stopped process takes no signal */
}

static bool
is_left(bool children)
{
	if (getpid() == 1 || reaper)
		return children;
	return group != 0 && (kill(-group, 0) == 0 || errno == EPERM);
}

bool
child_rest(int sig, bool children)
{
	bool any = !killed && is_left(children);

	if (any && !rest_knows)
		child_tell_rest(sig);
	if (killed)
		signal_all(SIGKILL);
	return any;
}

bool
child_tell_rest(int sig)
{
	if (child != 0 || rest_told)
		return false;
	rest_told = rest_knows = true;
	signal_all(sig);
	return true;
}

void
child_kill(void)
{
	killed = true;
	signal_all(SIGKILL);
}

void
child_finish(void)
{
	pid_t pid = 0;
	int i;

	if (child != 0)
		child_kill();
	/* Children of those that are killed become ours once these are gone. */
	for (i = 0; killed && reaper && pid != -1 && i < FINISH_TRIES; i++) {
		signal_children(SIGKILL);
		poll(NULL, 0, FINISH_MS);
		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			;
	}
}
