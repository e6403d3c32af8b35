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

void
proc_null(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null == -1)
		return;
	dup2(null, fd);
	close(null);
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

/* A decimal id, or false. */
static bool
numeric(const char *text, unsigned long *id)
{
	char *end;

	errno = 0;
	*id = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 &&
	    *id < UINT_MAX;
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

bool
proc_drop(const char *user, const char *group)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	const char *name = NULL;

	if (user == NULL && group == NULL)
		return true;
	if (user != NULL && !find_user(user, &uid, &gid, &name))
		return false;
	if (group != NULL && !find_group(group, &gid))
		return false;
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

static int signal_pipe[2] = { -1, -1 };

/* Nothing but a byte into a pipe, which is never full of what matters. */
static void
on_signal(int sig)
{
	char c = PROC_TERM;
	int saved = errno;

#ifdef SIGINFO
	if (sig == SIGINFO)
		c = PROC_STATS;
#else
	(void)sig;
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
	    sigaction(SIGINT, &sa, NULL) == -1)
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
