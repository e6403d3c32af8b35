/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "sock.h"
#include "super.h"
#include "text.h"

#define LISTEN_FDS_MAX	1024	/* no one means more */

int
super_count_listen_fds(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	unsigned long n, id;

	if (pid == NULL || fds == NULL ||
	    !text_number(pid, 10, INT_MAX, &id) || (pid_t)id != getpid() ||
	    !text_number(fds, 10, LISTEN_FDS_MAX, &n))
		return 0;
	return (int)n;
}

int
super_listen_fds(void)
{
	int n = super_count_listen_fds();

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	unsetenv("LISTEN_PIDFDID");
	return n;
}

bool
super_leave_listen_fds(int n)
{
	char count[16], pid[16];

	text_format(count, sizeof(count), "%d", n);
	text_format(pid, sizeof(pid), "%ld", (long)getpid());
	return setenv("LISTEN_FDS", count, 1) == 0 &&
	    setenv("LISTEN_PID", pid, 1) == 0;
}

void
super_leave_fd(int fd, int number)
{
	if (fd == number)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, number);
}

static int supervisor = -1;
static struct sock_addr supervisor_addr;

void
super_notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	/* Others than sd_notify's put a number there: not for us. */
	if (path == NULL || (*path != '/' && *path != '@'))
		return;
	errno = ENAMETOOLONG;
	if (sock_unix(&supervisor_addr, path, strlen(path)))
		supervisor = socket(AF_UNIX, SOCK_DGRAM, 0);
	unsetenv("NOTIFY_SOCKET");
	if (supervisor == -1 || sock_cloexec(supervisor) == -1 ||
	    connect(supervisor, &supervisor_addr.u.sa,
	    supervisor_addr.len) == -1) {
		log_warn("NOTIFY_SOCKET: %s", strerror(errno));
		super_notify_forget();
	}
}

/* A supervisor may have made its socket anew. */
static bool
tell(const char *state)
{
	return send(supervisor, state, strlen(state), MSG_DONTWAIT |
	    MSG_NOSIGNAL) != -1;
}

void
super_notify(const char *state)
{
	if (supervisor != -1 && !tell(state) &&
	    (connect(supervisor, &supervisor_addr.u.sa,
	    supervisor_addr.len) == -1 || !tell(state)))
		log_warn("NOTIFY_SOCKET: %s", strerror(errno));
}

void
super_notify_reloading(void)
{
	char text[64];
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	text_format(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
	super_notify(text);
}

int
super_notify_fd(void)
{
	return supervisor;
}

void
super_notify_adopt(int fd)
{
	sock_cloexec(fd);
	supervisor = fd;
	sock_peer(fd, &supervisor_addr);
}

void
super_notify_forget(void)
{
	if (supervisor != -1)
		close(supervisor);
	supervisor = -1;
}

void
super_ready(int fd)
{
	if (write(fd, "\n", 1) != 1)
		log_warn("cannot tell descriptor %d: %s", fd,
		    strerror(errno));
	close(fd);
}

static int ready_pipe = -1;
static pid_t daemon_pid;

/* Whoever waits for the daemon, and does not any more, wants none. */
static void
end_daemon(int sig)
{
	kill(daemon_pid, sig);
}

bool
super_daemon(void)
{
	static const int all[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	int fd[2], status;
	sigset_t ends;
	size_t i;
	ssize_t n;
	pid_t pid;
	char c;

	/* An exit status that nobody asks for is thrown away. */
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&ends);
	for (i = 0; i < sizeof(all) / sizeof(*all); i++)
		sigaddset(&ends, all[i]);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	if (pipe(fd) == -1 || (pid = fork()) == -1) {
		log_error("cannot become a daemon: %s", strerror(errno));
		return false;
	}
	if (pid == 0) {
		setsid();
		sigprocmask(SIG_UNBLOCK, &ends, NULL);
		close(fd[0]);
		ready_pipe = fd[1];
		sock_cloexec(ready_pipe);
		return true;
	}
	close(fd[1]);
	/* A key does not reach its session. */
	daemon_pid = pid;
	for (i = 0; i < sizeof(all) / sizeof(*all); i++)
		signal(all[i], end_daemon);
	sigprocmask(SIG_UNBLOCK, &ends, NULL);
	do {
		n = read(fd[0], &c, 1);
	} while (n == -1 && errno == EINTR);
	if (n == 1)
		_exit(0);
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	_exit(1);
}

void
super_daemon_ready(int null)
{
	int fd;

	for (fd = STDIN_FILENO; null != -1 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	if (write(ready_pipe, "", 1) == -1)
		log_warn("nobody waits for us: %s", strerror(errno));
	close(ready_pipe);
	ready_pipe = -1;
}

static int pid_fd = -1;
static const char *pid_path;

#define PID_TRIES	100

/* The file may have been removed by its last owner while we opened it.  If not,
   false with errno. */
static bool
still_there(int fd, const char *path)
{
	struct stat a, b;

	if (fstat(fd, &a) == -1 || lstat(path, &b) == -1)
		return false;
	errno = ESTALE;
	return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* Whether a file is ours to write and to remove: a plain one, that holds
   nothing or a number. */
static bool
is_pid_file(int fd)
{
	char text[16];
	struct stat st;
	ssize_t n, i = 0;

	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || st.st_nlink != 1)
		return false;
	n = pread(fd, text, sizeof(text), 0);
	while (i < n && ((text[i] >= '0' && text[i] <= '9') || text[i] == '\n'))
		i++;
	return n >= 0 && i == n && n < (ssize_t)sizeof(text);
}

/* The lock says who has it; the file may be empty yet. */
static bool
runs_already(const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(pid_fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
		log_error("%s: it runs already, as process %ld", path,
		    (long)lock.l_pid);
	else
		log_error("%s: cannot be locked", path);
	return false;
}

/* Links are not followed, and nothing is waited for: the folder may be another
   user's.  Who may read the file could lock it, and keep us from it. */
static bool
open_and_lock(const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int tries;

	for (tries = 0; tries < PID_TRIES; tries++) {
		pid_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
		    O_NONBLOCK, 0600);
		if (pid_fd == -1) {
			log_error("cannot open %s: %s", path, errno == ELOOP ?
			    "it is a symbolic link" : strerror(errno));
			return false;
		}
		if (fcntl(pid_fd, F_SETLK, &lock) == -1)
			return runs_already(path);
		if (still_there(pid_fd, path))
			return true;
		pid_fd = sock_drop(pid_fd);
	}
	log_error("cannot use %s: %s", path, strerror(errno));
	return false;
}

bool
super_pid_open(const char *path)
{
	int before = pid_fd;
	bool good;

	pid_path = path;
	if (pid_fd != -1 && still_there(pid_fd, path))
		return true;	/* left to us, and locked by this process */
	good = open_and_lock(path);
	if (good && !is_pid_file(pid_fd)) {
		log_error("%s is no pid file: neither empty nor a number",
		    path);
		good = false;
	}
	/* The number of a process that is no more could be another's; that of
	   before is still ours if there is no other. */
	if (good && ftruncate(pid_fd, 0) == -1) {
		log_error("cannot write %s: %s", path, strerror(errno));
		good = false;
	}
	if (good && before != -1 && ftruncate(before, 0) == -1)
		log_warn("the pid file of before cannot be emptied: %s",
		    strerror(errno));
	if (!good) {
		super_pid_forget();
		pid_fd = before;
	} else if (before != -1) {
		close(before);
	}
	return good;
}

int
super_pid_fd(void)
{
	return pid_fd;
}

void
super_pid_adopt(int fd)
{
	sock_cloexec(fd);
	pid_fd = fd;
}

void
super_pid_forget(void)
{
	if (pid_fd != -1)
		close(pid_fd);
	pid_fd = -1;
}

void
super_pid_write(void)
{
	char text[16];
	size_t n;

	if (pid_fd == -1)
		return;
	n = text_format(text, sizeof(text), "%ld\n", (long)getpid());
	if (pwrite(pid_fd, text, n, 0) != (ssize_t)n ||
	    ftruncate(pid_fd, (off_t)n) == -1)
		log_error("cannot write %s: %s", pid_path, strerror(errno));
}

void
super_pid_remove(void)
{
	if (pid_fd == -1)
		return;
	if ((pid_path == NULL || !still_there(pid_fd, pid_path) ||
	    unlink(pid_path) == -1) && ftruncate(pid_fd, 0) == -1)
		log_warn("cannot remove the pid file: %s", strerror(errno));
	close(pid_fd);
	pid_fd = -1;
}
