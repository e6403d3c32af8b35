/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
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

/* Without /dev/null, a pipe that is at its end, and cannot be written to. */
int
proc_open_null(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC), ends[2];

	if (fd != -1 || pipe(ends) == -1)
		return fd;
	close(ends[1]);
	sock_cloexec(ends[0]);
	return ends[0];
}

bool
proc_sane_fds(void)
{
	int fd;

	/* The system gives the lowest number that is free. */
	for (fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) == -1 && (proc_open_null() != fd ||
		    fcntl(fd, F_SETFD, 0) == -1))
			return false;
	return true;
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
#define NO_GROUP ((gid_t)-1)

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

/* *name becomes the user's name for initgroups(3), which stays until the next
   call; NULL, and the group NO_GROUP, for a number that nobody has. */
static bool
find_user(const char *user, uid_t *uid, gid_t *gid, const char **name)
{
	struct passwd *pw;
	unsigned long id;

	*name = NULL;
	*gid = NO_GROUP;
	if (text_number(user, 10, ID_MAX, &id)) {
		*uid = (uid_t)id;
		pw = getpwuid(*uid);
		if (pw == NULL)
			return true;
	} else if ((pw = getpwnam(user)) == NULL) {
		log_error("unknown user %s", user);
		return false;
	}
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
	*name = pw->pw_name;
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

/* Both, the user's own group where there is none; false after a message. */
static bool
find_both(const char *user, const char *group, uid_t *uid, gid_t *gid,
    const char **name)
{
	*uid = getuid();
	*gid = getgid();
	*name = NULL;
	if ((user != NULL && !find_user(user, uid, gid, name)) ||
	    (group != NULL && !find_group(group, gid)))
		return false;
	if (*gid != NO_GROUP)
		return true;
	log_error("user %s is in no file, so Group is needed", user);
	return false;
}

bool
proc_knows(const char *user, const char *group)
{
	const char *name;
	uid_t uid;
	gid_t gid;

	return find_both(user, group, &uid, &gid, &name);
}

static bool
set_groups(const char *name, gid_t gid)
{
	return (name != NULL ? initgroups(name, gid) : setgroups(1, &gid)) ==
	    0;
}

static bool
cannot_become(const char *user, const char *group)
{
	log_error("cannot become user %s, group %s: %s",
	    user == NULL ? "(same)" : user,
	    group == NULL ? "(its own)" : group, strerror(errno));
	return false;
}

bool
proc_borrow(const char *user, const char *group)
{
	const char *name;
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0 || (user == NULL && group == NULL))
		return true;
	if (!find_both(user, group, &uid, &gid, &name))
		return false;
	if (set_groups(name, gid) && setegid(gid) == 0 && seteuid(uid) == 0)
		return true;
	return cannot_become(user, group);
}

bool
proc_give_back(void)
{
	if (getuid() != 0 || (seteuid(0) == 0 && setegid(getgid()) == 0))
		return true;
	log_error("cannot have our rights again: %s", strerror(errno));
	return false;
}

static bool
change_ids(const char *user, const char *group, const char *name, uid_t uid,
    gid_t gid)
{
	bool done = geteuid() != 0 || set_groups(name, gid);

	if (!done || setgid(gid) == -1 || setuid(uid) == -1)
		return cannot_become(user, group);
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
	const char *name;
	uid_t uid;
	gid_t gid;

	/* Names stand in files, so they are looked up in the old root. */
	if (!find_both(user, group, &uid, &gid, &name))
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
	/* Linux before 3.5 does not know it. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		log_warn("PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
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

#ifndef NSIG
#define NSIG	65
#endif
#define BY_TERMINAL	0x80

static int signal_pipe[2] = { -1, -1 };
static sigset_t changed;		/* signals that are not as they were */
static volatile sig_atomic_t missed[NSIG];	/* the pipe was full */

/* A byte goes into a pipe; a signal that finds it full is only counted once. */
static void
on_signal(int sig, siginfo_t *info, void *context)
{
#ifdef SI_KERNEL
	bool sent = info->si_code != SI_KERNEL;
#else
	bool sent = info->si_code == SI_USER || info->si_code == SI_QUEUE;
#endif
	unsigned char c = (unsigned char)(sent ? sig : sig | BY_TERMINAL);
	int saved = errno;

	(void)context;
	if (write(signal_pipe[1], &c, 1) == -1)
		missed[sig] = 1;
	errno = saved;
}

void
proc_hold_signals(bool on)
{
	sigprocmask(on ? SIG_BLOCK : SIG_UNBLOCK, &changed, NULL);
}

#define CHUNK	256

unsigned int
proc_count_fds(unsigned int n)
{
	struct pollfd p[CHUNK];
	unsigned int at, i, open = 0;
	bool polled;

	for (at = 0; at < n; at += CHUNK) {
		for (i = 0; i < CHUNK; i++)
			/* Asked for nothing, macOS says nothing. */
			p[i] = (struct pollfd){ (int)(at + i), POLLIN, 0 };
		/* poll(2) takes no more than RLIMIT_NOFILE. */
		polled = poll(p, CHUNK, 0) != -1;
		for (i = 0; i < CHUNK && at + i < n; i++)
			open += polled ? !(p[i].revents & POLLNVAL) :
			    fcntl(p[i].fd, F_GETFD) != -1;
	}
	return open;
}

void
proc_default_signals(void)
{
	sigset_t none;
	int sig;

	for (sig = 1; sig < NSIG; sig++)
		if (sigismember(&changed, sig) == 1)
			signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool
is_in(const int *list, int sig)
{
	while (*list != 0 && *list != sig)
		list++;
	return *list != 0;
}

/* Faults of our own, and what stops a process and lets it go on, are not for
   somebody else. */
static bool
is_private(int sig)
{
	static const int all[] = { SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU,
	    SIGCONT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS,
	    SIGPROF, SIGPIPE, SIGXFSZ, 0 };

	return is_in(all, sig);
}

/* Catch the signal, or ignore it; what is ignored already stays so. */
static void
change_signal(int sig, bool catch, bool always)
{
	struct sigaction sa = { .sa_flags = SA_RESTART | SA_NOCLDSTOP };
	struct sigaction before;

	/* Some numbers are the C library's own. */
	if (sigaction(sig, NULL, &before) == -1 || (!always &&
	    before.sa_handler == SIG_IGN && sigismember(&changed, sig) == 0))
		return;
	sigemptyset(&sa.sa_mask);
	sa.sa_handler = SIG_IGN;
	if (catch) {
		sa.sa_flags |= SA_SIGINFO;
		sa.sa_sigaction = on_signal;
	}
	if (sigaction(sig, &sa, NULL) == 0)
		sigaddset(&changed, sig);
}

int
proc_signals(const int *list, bool others)
{
	static bool again;
	bool catch;
	int i, sig;

	if (!again)
		sigemptyset(&changed);
	for (i = 0; again && i < 2; i++)
		close(signal_pipe[i]);
	again = true;
	if (pipe(signal_pipe) == -1)
		return -1;
	for (i = 0; i < 2; i++)
		if (sock_cloexec(signal_pipe[i]) == -1 ||
		    sock_nonblock(signal_pipe[i], true) == -1)
			return -1;
	for (sig = 1; sig < NSIG; sig++) {
		catch = is_in(list, sig) || (others && !is_private(sig));
		if (catch || sig == SIGPIPE || sig == SIGXFSZ ||
		    sigismember(&changed, sig) == 1)
			change_signal(sig, catch, sig == SIGTERM ||
			    sig == SIGCHLD || sig == SIGALRM ||
			    (sig == SIGHUP && !others));
	}
	return signal_pipe[0];
}

int
proc_signal(bool *by_terminal)
{
	unsigned char c;
	int sig;

	if (read(signal_pipe[0], &c, 1) == 1) {
		*by_terminal = c & BY_TERMINAL;
		return c & ~BY_TERMINAL;
	}
	*by_terminal = false;
	for (sig = 1; sig < NSIG; sig++) {
		if (missed[sig]) {
			missed[sig] = 0;
			return sig;
		}
	}
	return -1;
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
