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
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "log.h"
#include "proc.h"
#include "sock.h"
#include "text.h"

bool
proc_sane_fds(void)
{
	int fd;

	/* open(2) gives the lowest number that is free. */
	for (fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", O_RDWR) == -1)
			return false;
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

static rlim_t nofile;		/* the limit at the start; 0: not changed */

unsigned int
proc_raise_nofile(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return 256;
	nofile = limit.rlim_cur;
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

void
proc_restore_nofile(void)
{
	struct rlimit limit;

	if (nofile == 0 || getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	limit.rlim_cur = nofile;
	setrlimit(RLIMIT_NOFILE, &limit);
}

#define ID_MAX	(UINT_MAX - 1)	/* the last one is for "none" */

static bool
find_group(const char *name, gid_t *gid)
{
	struct group *gr;
	unsigned long id;

	if (text_number(name, 10, ID_MAX, &id)) {
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

/* *name becomes the user's name for initgroups(3); NULL for a number. */
static bool
find_user(const char *user, uid_t *uid, gid_t *gid, const char **name)
{
	struct passwd *pw;
	unsigned long id;

	if (text_number(user, 10, ID_MAX, &id)) {
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

bool
proc_find_owner(const char *user, const char *group, uid_t *uid, gid_t *gid)
{
	const char *name;
	gid_t own;

	*uid = (uid_t)-1;
	*gid = (gid_t)-1;
	return (user == NULL || find_user(user, uid, &own, &name)) &&
	    (group == NULL || find_group(group, gid));
}

static bool
change_ids(const char *user, const char *group, const char *name, uid_t uid,
    gid_t gid)
{
	bool done = true;

	if (geteuid() == 0)
		done = (name != NULL ? initgroups(name, gid) :
		    setgroups(1, &gid)) == 0;
	if (!done || setgid(gid) == -1 || setuid(uid) == -1) {
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

	/* Names stand in files, so they are looked up in the old root. */
	if (user != NULL && !find_user(user, &uid, &gid, &name))
		return false;
	if (group != NULL && !find_group(group, &gid))
		return false;
	if (root != NULL && (chroot(root) == -1 || chdir("/") == -1)) {
		log_error("cannot make %s the root: %s", root,
		    strerror(errno));
		return false;
	}
	if ((user != NULL || group != NULL) &&
	    !change_ids(user, group, name, uid, gid))
		return false;
#ifdef PR_SET_NO_NEW_PRIVS
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1) {
		log_error("PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
		return false;
	}
#endif
	return true;
}

/*
 * Files that a renewal may need are not known before, so none is hidden; but
 * nothing can be done to the machine beyond that, and no program can be started
 * but by a renewal.
 */
bool
proc_confine(void)
{
#ifdef __OpenBSD__
	if (unveil("/", "rwxc") == -1 || unveil(NULL, NULL) == -1 ||
	    pledge("stdio rpath wpath cpath fattr chown flock inet unix "
	    "sendfd getpw proc exec tty", NULL) == -1) {
		log_error("pledge: %s", strerror(errno));
		return false;
	}
#endif
	return true;
}

static int signal_pipe[2] = { -1, -1 };

static const int *signals;		/* those caught, then 0 */

/* A byte goes into a pipe, which is never full of what matters. */
static void
on_signal(int sig)
{
	char c = (char)sig;
	int saved = errno;

	if (write(signal_pipe[1], &c, 1) == -1) {
		/* The pipe is full: a signal waits to be seen already. */
	}
	errno = saved;
}

void
proc_hold_signals(bool on)
{
	const int *sig;
	sigset_t set;

	sigemptyset(&set);
	for (sig = signals; *sig != 0; sig++)
		sigaddset(&set, *sig);
	sigaddset(&set, SIGTTOU);
	sigprocmask(on ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

void
proc_default_signals(void)
{
	const int *sig;
	sigset_t none;

	for (sig = signals; *sig != 0; sig++)
		signal(*sig, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int
proc_signals(const int *list)
{
	struct sigaction sa = { .sa_handler = SIG_IGN };
	const int *sig;
	int i;

	if (signals != NULL) {
		close(signal_pipe[0]);
		close(signal_pipe[1]);
	}
	for (sig = signals; sig != NULL && *sig != 0; sig++)
		signal(*sig, SIG_IGN);
	signals = list;
	if (pipe(signal_pipe) == -1)
		return -1;
	for (i = 0; i < 2; i++)
		if (sock_cloexec(signal_pipe[i]) == -1 ||
		    sock_nonblock(signal_pipe[i], true) == -1)
			return -1;
	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGPIPE, &sa, NULL) == -1)
		return -1;
	sa.sa_handler = on_signal;
	sa.sa_flags = SA_RESTART | SA_NOCLDSTOP;
	for (sig = signals; *sig != 0; sig++)
		if (sigaction(*sig, &sa, NULL) == -1)
			return -1;
	proc_hold_signals(false);
	return signal_pipe[0];
}

int
proc_signal(void)
{
	unsigned char c;

	return read(signal_pipe[0], &c, 1) == 1 ? c : -1;
}

bool
proc_find_program(const char *name, char *dst, size_t size)
{
	const char *path = getenv("PATH");
	struct stat st;
	bool more = true;
	size_t n;

	if (strchr(name, '/') != NULL)
		return text_format(dst, size, "%s", name) < size;
	for (path = path == NULL ? "/bin:/usr/bin" : path; more;
	    path += n + 1) {
		n = strcspn(path, ":");
		more = path[n] == ':';
		if (text_format(dst, size, "%.*s%s%s", (int)n, path,
		    n > 0 ? "/" : "", name) < size && access(dst, X_OK) == 0 &&
		    stat(dst, &st) == 0 && S_ISREG(st.st_mode))
			return true;
	}
	return false;
}
