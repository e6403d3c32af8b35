/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "log.h"
#include "proc.h"
#include "sock.h"

bool
proc_sane_fds(void)
{
	int fd;

	/* open(2) gives the lowest number that is free. */
	do {
		fd = open("/dev/null", O_RDWR);
		if (fd == -1)
			return false;
	} while (fd <= STDERR_FILENO);
	close(fd);
	return true;
}

int
proc_open_null(void)
{
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

void
proc_null(int fd, int null)
{
	if (null == -1) {
		close(fd);
		return;
	}
	dup2(null, fd);
	close(null);
}

/* A decimal number, or false. */
static bool
numeric(const char *text, unsigned long *id)
{
	char *end;

	errno = 0;
	*id = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 &&
	    *id < UINT_MAX;
}

int
proc_listen_fds(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	unsigned long n = 0, id;

	if (pid == NULL || fds == NULL || !numeric(pid, &id) ||
	    id != (unsigned long)getpid() || !numeric(fds, &n) ||
	    n > INT_MAX - PROC_LISTEN_FD)
		n = 0;
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return (int)n;
}

static int supervisor = -1;

void
proc_notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr;
	size_t len;

	/* Others than sd_notify's put a number there: not for us. */
	if (path == NULL || (*path != '/' && *path != '@'))
		return;
	len = strlen(path);
	memset(&addr, 0, sizeof(addr));
	addr.sun_family = AF_UNIX;
	if (len < sizeof(addr.sun_path)) {
		memcpy(addr.sun_path, path, len);
		if (*path == '@')
			addr.sun_path[0] = '\0';
		supervisor = socket(AF_UNIX, SOCK_DGRAM, 0);
	}
	unsetenv("NOTIFY_SOCKET");
	len += offsetof(struct sockaddr_un, sun_path);
	if (supervisor == -1 || sock_cloexec(supervisor) == -1 ||
	    connect(supervisor, (struct sockaddr *)&addr,
	    (socklen_t)len) == -1) {
		log_warn("NOTIFY_SOCKET: %s", strerror(errno));
		supervisor = -1;
	}
}

void
proc_notify(const char *state)
{
	if (supervisor != -1 && send(supervisor, state, strlen(state),
	    MSG_DONTWAIT | MSG_NOSIGNAL) == -1)
		log_warn("NOTIFY_SOCKET: %s", strerror(errno));
}

void
proc_ready(int fd)
{
	if (write(fd, "\n", 1) != 1)
		log_warn("cannot tell descriptor %d: %s", fd,
		    strerror(errno));
	close(fd);
}

unsigned int
proc_raise_nofile(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return 256;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		/* macOS refuses "unlimited"; what is in force counts. */
		if (setrlimit(RLIMIT_NOFILE, &limit) == -1 &&
		    getrlimit(RLIMIT_NOFILE, &limit) == -1)
			return 256;
	}
	if (limit.rlim_cur > INT_MAX)
		return INT_MAX;
	return (unsigned int)limit.rlim_cur;
}

static bool
find_group(const char *name, gid_t *gid)
{
	struct group *gr;
	unsigned long id;

	if (numeric(name, &id)) {
		*gid = (gid_t)id;
		return true;
	}
	gr = getgrnam(name);
	if (gr == NULL) {
		log_error("unknown group %s", name);
		return false;
	}
	*gid = gr->gr_gid;
	return true;
}

/* *name is the user's name for initgroups(3), or NULL if it has none. */
static bool
find_user(const char *user, uid_t *uid, gid_t *gid, const char **name)
{
	struct passwd *pw;
	unsigned long id;

	if (numeric(user, &id)) {
		*uid = (uid_t)id;
		*gid = (gid_t)id;
		*name = NULL;
		return true;
	}
	pw = getpwnam(user);
	if (pw == NULL) {
		log_error("unknown user %s", user);
		return false;
	}
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
	*name = user;
	return true;
}

static bool
set_groups(const char *name, gid_t gid)
{
	if (geteuid() != 0)
		return true;
	if (name != NULL)
		return initgroups(name, gid) == 0;
	return setgroups(1, &gid) == 0;
}

/* The names are looked up before the root changes: they are files' words. */
static bool
change_root(const char *root)
{
	if (root == NULL || (chroot(root) == 0 && chdir("/") == 0))
		return true;
	log_error("cannot make %s the root: %s", root, strerror(errno));
	return false;
}

static bool
no_new_privileges(void)
{
#ifdef PR_SET_NO_NEW_PRIVS
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1) {
		log_error("PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
		return false;
	}
#endif
	return true;
}

static bool
change_ids(const char *user, const char *group, const char *name, uid_t uid,
    gid_t gid)
{
	if (!set_groups(name, gid) || setgid(gid) == -1 || setuid(uid) == -1) {
		log_error("cannot become user %s, group %s: %s",
		    user == NULL ? "(same)" : user,
		    group == NULL ? "(its own)" : group, strerror(errno));
		return false;
	}
	if (getuid() != uid || geteuid() != uid || getgid() != gid ||
	    getegid() != gid || (uid != 0 && setuid(0) == 0)) {
		log_error("privileges are not gone");
		return false;
	}
	return true;
}

bool
proc_drop(const char *user, const char *group, const char *root)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	const char *name = NULL;

	if (user != NULL && !find_user(user, &uid, &gid, &name))
		return false;
	if (group != NULL && !find_group(group, &gid))
		return false;
	if (!change_root(root))
		return false;
	if ((user != NULL || group != NULL) &&
	    !change_ids(user, group, name, uid, gid))
		return false;
	return no_new_privileges();
}

static int signal_pipe[2] = { -1, -1 };

/* Nothing but a byte into a pipe, which is never full of what matters. */
static void
on_signal(int sig)
{
	char c = PROC_TERM;
	int saved = errno;

	if (sig == SIGUSR1)
		c = PROC_REOPEN;
#ifdef SIGINFO
	if (sig == SIGINFO)
		c = PROC_STATS;
#endif
	if (write(signal_pipe[1], &c, 1) == -1) {
		/* Full: a signal waits to be seen already. */
	}
	errno = saved;
}

int
proc_signals(void)
{
	struct sigaction sa;
	int i;

	if (pipe(signal_pipe) == -1)
		return -1;
	for (i = 0; i < 2; i++)
		if (sock_cloexec(signal_pipe[i]) == -1 ||
		    sock_nonblock(signal_pipe[i], true) == -1)
			return -1;
	memset(&sa, 0, sizeof(sa));
	sigemptyset(&sa.sa_mask);
	sa.sa_handler = SIG_IGN;
	if (sigaction(SIGPIPE, &sa, NULL) == -1)
		return -1;
	sa.sa_handler = on_signal;
	sa.sa_flags = SA_RESTART;
	if (sigaction(SIGTERM, &sa, NULL) == -1 ||
	    sigaction(SIGINT, &sa, NULL) == -1 ||
	    sigaction(SIGUSR1, &sa, NULL) == -1)
		return -1;
#ifdef SIGINFO
	if (sigaction(SIGINFO, &sa, NULL) == -1)
		return -1;
#endif
	return signal_pipe[0];
}

int
proc_signal(void)
{
	char c;

	return read(signal_pipe[0], &c, 1) == 1 ? c : -1;
}
