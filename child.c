/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "child.h"
#include "log.h"
#include "proc.h"
#include "super.h"
#include "text.h"

#define MANY_FDS	65536

static pid_t child;		/* 0: none */
static int listener = -1;
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

/*
 * In the child.  Only what is safe after fork(2) where there are threads;
 * there are none here.
 */
static void
become(char **argv, int report, bool foreground)
{
	int fd, error;

	setpgid(0, 0);
	if (foreground)		/* SIGTTOU is held back */
		tcsetpgrp(STDIN_FILENO, getpgrp());
	proc_default_signals();
	proc_restore_nofile();
	if (listener != -1) {
		if (report == SUPER_LISTEN_FD)
			report = fcntl(report, F_DUPFD, SUPER_LISTEN_FD + 1);
		super_leave_fd(listener, SUPER_LISTEN_FD);
	}
	/* The pipe stands below all that is closed now. */
	fd = listener != -1 ? SUPER_LISTEN_FD + 1 : SUPER_LISTEN_FD;
	if (report != fd) {
		dup2(report, fd);
		report = fd;
	}
	fd++;
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

/* A pipe tells why the command cannot be executed, or ends without a word. */
int
child_start(char **argv)
{
	/* Before the child has a group of its own. */
	bool foreground = tcgetpgrp(STDIN_FILENO) == getpgrp();
	int fd[2], error = 0;
	ssize_t n;

	if (pipe(fd) == -1 || sock_cloexec(fd[0]) == -1 ||
	    sock_cloexec(fd[1]) == -1) {
		log_error("cannot start %s: %s", argv[0], strerror(errno));
		return CHILD_FAILED;
	}
	/* Without handlers of its own the child would tell us its signals. */
	proc_hold_signals(true);
	child = fork();
	if (child == 0)
		become(argv, fd[1], foreground);
	proc_hold_signals(false);
	if (child == -1) {
		log_error("cannot start %s: %s", argv[0], strerror(errno));
		child = 0;
		return CHILD_FAILED;
	}
	setpgid(child, child);	/* here and there: one of them comes first */
	close(fd[1]);
	if (listener != -1)
		close(listener);
	listener = -1;
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
child_runs(void)
{
	return child != 0;
}

void
child_signal(int sig)
{
	if (child != 0)
		kill(child, sig);
}

void
child_signal_group(int sig)
{
	if (child == 0)
		return;
	kill(-child, sig);
	kill(-child, SIGCONT);	/* a stopped process takes no signal */
}

bool
child_ended(pid_t pid, int status, int *exit_status)
{
	if (child == 0 || pid != child)
		return false;
	/* Processes that the command has left do not outlive it. */
	kill(-child, SIGTERM);
	child = 0;
	*exit_status = WIFEXITED(status) ? WEXITSTATUS(status) :
	    128 + WTERMSIG(status);
	return true;
}
