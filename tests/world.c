/* See LICENSE for copyright and license details. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

#define ARGS_MAX	64
#define GIVEN_MAX	32768
#define STOPPING	"fdproxy: notice: stopping; 0 clients wait\n"

static char dir[64];
static char binary[4096];
static char lines[4096];
static char errors[1024 * 1024];
static pid_t pid = -1;
static pid_t also = -1;
static int launched = -1;	/* what it prints */
static int port;
static int fds_at_start;
static unsigned int nofile;
static bool closed;
static int terminal = -1;
static int kept = -1;
static int kept_as;
static const char *environment[4][2];
static int environment_len;
static int home = -1;

/* Descriptors that the test was given: which socket each is (stat(2)). */
static struct {
	ino_t socket;
	bool listens;
} given[GIVEN_MAX];
static int given_end;
static int open_at_begin;
static const char *expected;	/* of world_stop() in world_end() */

long
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

time_t
now_wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

bool
readable(int fd, int ms)
{
	struct pollfd p = { fd, POLLIN, 0 };
	int n;

	do {
		n = poll(&p, 1, ms);
	} while (n == -1 && errno == EINTR);
	return n == 1;
}

/* The last of it: a message of more than 8 KiB would end Check itself. */
static const char *
cut(const char *text)
{
	size_t len = strlen(text);

	return len > 4000 ? text + len - 4000 : text;
}

static void
must_be_readable(int fd, const char *what)
{
	ck_assert_msg(readable(fd, WORLD_PATIENCE), "no %s within %d ms; "
	    "fdproxy says: %s", what, WORLD_PATIENCE, cut(world_errors()));
}

static void
nap(void)
{
	poll(NULL, 0, 2);
}

/* A descriptor that is closed at the end, if it still is this socket then. */
static int
give(int fd, bool listens)
{
	struct stat st;

	ck_assert_int_ne(fd, -1);
	ck_assert_int_lt(fd, GIVEN_MAX);
	ck_assert_int_eq(fstat(fd, &st), 0);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	given[fd].socket = st.st_ino;
	given[fd].listens = listens;
	if (fd >= given_end)
		given_end = fd + 1;
	return fd;
}

static void
close_given(bool listeners)
{
	struct stat st;
	int fd;

	for (fd = 0; fd < given_end; fd++) {
		if (given[fd].socket == 0 || given[fd].listens != listeners)
			continue;
		if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) &&
		    st.st_ino == given[fd].socket)
			close(fd);
		given[fd].socket = 0;
	}
}

/* Descriptors of the test itself. */
static int
count_open(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

void
world_begin(void)
{
	const char *name = getenv("FDPROXY");

	if (name == NULL)
		name = "./fdproxy";
	ck_assert_ptr_nonnull(realpath(name, binary));
	umask(022);
	strcpy(dir, "/tmp/fdproxy.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chmod(dir, 0755), 0);
	home = open(".", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(chdir(dir), 0);
	signal(SIGPIPE, SIG_IGN);
	/* Whoever runs us in the background may have them ignored. */
	signal(SIGHUP, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	nofile = 0;
	closed = false;
	terminal = -1;
	kept = -1;
	environment_len = 0;
	expected = NULL;
	port = 0;
	open_at_begin = count_open();
}

void
world_expect(const char *text)
{
	expected = text;
}

const char *
world_dir(void)
{
	return dir;
}

void
world_nofile(unsigned int limit)
{
	nofile = limit;
}

void
world_closed(void)
{
	closed = true;
}

void
world_terminal(int fd)
{
	terminal = fd;
}

pid_t
world_pid(void)
{
	return pid;
}

int
world_port(void)
{
	return port;
}

void
world_inherit(int fd, int as)
{
	/* Out of the way of what it may become. */
	kept = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	ck_assert_int_ne(kept, -1);
	kept_as = as;
}

void
world_environment(const char *name, const char *value)
{
	environment[environment_len][0] = name;
	environment[environment_len++][1] = value;
}

int
world_notified(void)
{
	static char path[108];
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(path, sizeof(path), "%s/notify", world_dir());
	strcpy(addr.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(chmod(path, 0777), 0);
	world_environment("NOTIFY_SOCKET", path);
	return fd;
}

void
world_copy(const char *name)
{
	char piece[65536];
	int from = open(binary, O_RDONLY | O_CLOEXEC);
	int to = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	ssize_t n;

	ck_assert_int_ne(from, -1);
	ck_assert_int_ne(to, -1);
	while ((n = read(from, piece, sizeof(piece))) > 0)
		ck_assert_int_eq(write(to, piece, (size_t)n), n);
	ck_assert_int_eq(n, 0);
	close(from);
	close(to);
}

void
world_program(const char *name)
{
	snprintf(binary, sizeof(binary), "%s/%s", dir, name);
}

void
world_adopt(pid_t daemon)
{
	pid = daemon;
	fds_at_start = -1;
}

static void
set_environment(void)
{
	char self[16];
	int i;

	snprintf(self, sizeof(self), "%d", (int)getpid());
	for (i = 0; i < environment_len; i++)
		setenv(environment[i][0], strcmp(environment[i][1], "self") ==
		    0 ? self : environment[i][1], 1);
}

static pid_t
start(char **argv, int out, const char *messages)
{
	struct rlimit limit;
	pid_t new;
	int err;

	fflush(NULL);
	new = fork();
	ck_assert_int_ne(new, -1);
	if (new != 0) {
		if (kept != -1)
			close(kept);
		kept = -1;
		return new;
	}
	err = open(messages, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	dup2(err, STDERR_FILENO);
	if (out != -1)
		dup2(out, STDOUT_FILENO);
	if (terminal != -1 && (setsid() == -1 ||
	    ioctl(terminal, TIOCSCTTY, 0) == -1 ||
	    dup2(terminal, STDIN_FILENO) == -1))
		_exit(127);
	/* Whatever the test has open is none of fdproxy's business. */
	for (err = closed ? 0 : 3; err < 256; err++)
		if (err != kept)
			close(err);
	if (kept != -1) {
		dup2(kept, kept_as);
		close(kept);
	}
	set_environment();
	if (nofile > 0) {
		limit.rlim_cur = limit.rlim_max = nofile;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	execv(binary, argv);
	_exit(127);
}

static int
collect(char **argv, int n, const char *arg, va_list ap)
{
	for (; arg != NULL && n < ARGS_MAX - 1; arg = va_arg(ap, const char *))
		argv[n++] = (char *)(size_t)arg;
	argv[n] = NULL;
	return n;
}

void
world_spawn(const char *arg, ...)
{
	char *argv[ARGS_MAX];
	va_list ap;
	int out;

	argv[0] = binary;
	va_start(ap, arg);
	collect(argv, 1, arg, ap);
	va_end(ap);
	out = open("out", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	pid = start(argv, out, "err");
	close(out);
	fds_at_start = -1;
}

const char *
world_line(int n)
{
	static char line[256];
	const char *p = lines, *end;

	for (; n > 0 && p != NULL; n--) {
		p = strchr(p, '\n');
		p = p == NULL ? NULL : p + 1;
	}
	if (p == NULL || (end = strchr(p, '\n')) == NULL)
		return "";
	snprintf(line, sizeof(line), "%.*s", (int)(end - p), p);
	return line;
}

/* Whether a descriptor of fdproxy is /dev/null. */
static bool
is_null(int fd)
{
	char name[64], target[64];
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/%d/fd/%d", (int)pid, fd);
	n = readlink(name, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	return strcmp(target, "/dev/null") == 0;
}

/*
 * Descriptor 1 has become /dev/null, by way of another that is closed again:
 * from now on the number of descriptors means something.
 */
static bool
announced(void)
{
	int fd;

	for (fd = 3; fd < 32; fd++)
		if (is_null(fd))
			return false;
	return is_null(1);
}

static void
until_announced(void)
{
	long end = now_ms() + WORLD_PATIENCE;

	while (!announced()) {
		ck_assert_int_lt(now_ms(), end);
		nap();
	}
}

int
world_fds(void)
{
	char name[64];
	int n = 0;
	DIR *d;

	snprintf(name, sizeof(name), "/proc/%d/fd", (int)pid);
	d = opendir(name);
	if (d == NULL)
		return -1;
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

void
world_proxy(const char *arg, ...)
{
	char one[] = "-1", listen_flag[] = "-l", address[] = "127.0.0.1:0";
	char *argv[ARGS_MAX] = { binary, one, listen_flag, address };
	size_t len = 0;
	va_list ap;
	ssize_t n;
	int fd[2];

	va_start(ap, arg);
	collect(argv, 4, arg, ap);
	va_end(ap);
	ck_assert_int_eq(pipe(fd), 0);
	fcntl(fd[0], F_SETFD, FD_CLOEXEC);
	fcntl(fd[1], F_SETFD, FD_CLOEXEC);
	pid = start(argv, fd[1], "err");
	close(fd[1]);
	do {
		must_be_readable(fd[0], "address line");
		n = read(fd[0], lines + len, sizeof(lines) - 1 - len);
		ck_assert_int_ge(n, 0);
		len += (size_t)n;
	} while (n > 0);
	close(fd[0]);
	lines[len] = '\0';
	ck_assert_msg(sscanf(lines, "127.0.0.1:%d\n", &port) == 1,
	    "fdproxy printed \"%s\" and says: %s", lines, world_errors());
	until_announced();
	fds_at_start = world_fds();
}

void
world_launch(const char *arg, ...)
{
	char one[] = "-1", listen_flag[] = "-l", address[] = "127.0.0.1:0";
	char *argv[ARGS_MAX] = { binary, one, listen_flag, address };
	va_list ap;
	int fd[2];

	va_start(ap, arg);
	collect(argv, 4, arg, ap);
	va_end(ap);
	ck_assert_int_eq(pipe(fd), 0);
	fcntl(fd[0], F_SETFD, FD_CLOEXEC);
	if (launched != -1)
		close(launched);
	launched = fd[0];
	pid = start(argv, fd[1], "err");
	close(fd[1]);
	fds_at_start = -1;
}

bool
world_wrote(int ms)
{
	return readable(launched, ms);
}

void
world_announced(void)
{
	size_t len = 0;
	ssize_t n;

	do {
		must_be_readable(launched, "address line");
		n = read(launched, lines + len, 1);
		ck_assert_msg(n == 1, "no address line; fdproxy says: %s",
		    world_errors());
		len++;
	} while (lines[len - 1] != '\n' && len < sizeof(lines) - 1);
	lines[len] = '\0';
	ck_assert_msg(sscanf(lines, "127.0.0.1:%d\n", &port) == 1,
	    "fdproxy printed \"%s\"", lines);
	until_announced();
}

void
world_also(const char *arg, ...)
{
	char *argv[ARGS_MAX];
	va_list ap;

	argv[0] = binary;
	va_start(ap, arg);
	collect(argv, 1, arg, ap);
	va_end(ap);
	also = start(argv, -1, "also.err");
}

/* At most size - 1 bytes of a file, terminated; "" if it is not there. */
static const char *
take_file(const char *name, char *dst, size_t size)
{
	int fd = open(name, O_RDONLY);
	ssize_t n, len = 0;

	while (fd != -1 && (n = read(fd, dst + len, size - 1 - (size_t)len)) >
	    0)
		len += n;
	if (fd != -1)
		close(fd);
	dst[len] = '\0';
	return dst;
}

const char *
read_file(const char *name)
{
	static char text[1024 * 1024];

	return take_file(name, text, sizeof(text));
}

int
world_says(const char *text)
{
	const char *p = world_errors();
	int n = 0;

	for (; (p = strstr(p, text)) != NULL; p += strlen(text))
		n++;
	return n;
}

void
world_until_says(const char *text, int times)
{
	long end = now_ms() + WORLD_PATIENCE;

	while (world_says(text) < times && now_ms() < end)
		nap();
	ck_assert_msg(world_says(text) >= times, "fdproxy does not say \"%s\", "
	    "but: %s", text, cut(world_errors()));
}

void
until_file(const char *name, const char *text)
{
	long end = now_ms() + WORLD_PATIENCE;

	while (strstr(read_file(name), text) == NULL && now_ms() < end)
		nap();
	ck_contains(read_file(name), text);
}

const char *
world_errors(void)
{
	return take_file("err", errors, sizeof(errors));
}

const char *
world_also_errors(void)
{
	return take_file("also.err", errors, sizeof(errors));
}

/* The number of descriptors, once it is n, or after our patience. */
static int
wait_for_fds(int n)
{
	long end = now_ms() + WORLD_PATIENCE;
	int fds;

	/* Once is enough: a probe of a backend has one for a moment. */
	while ((fds = world_fds()) != n && now_ms() < end)
		nap();
	return fds;
}

void
world_until_fds(int n)
{
	ck_assert_int_eq(wait_for_fds(n), n);
}

/* The number behind a name in /proc/PID/status (proc(5)), or -1. */
static long
proc_status(const char *field)
{
	char name[64], line[256];
	size_t len = strlen(field);
	long n = -1;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/status", (int)pid);
	f = fopen(name, "r");
	ck_assert_ptr_nonnull(f);
	while (n == -1 && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, field, len) == 0)
			n = strtol(line + len, NULL, 10);
	fclose(f);
	return n;
}

long
world_sleeps(void)
{
	return proc_status("voluntary_ctxt_switches:");
}

long
world_memory(void)
{
	return proc_status("RssAnon:");
}

void
world_signal(int sig)
{
	ck_assert_int_eq(kill(pid, sig), 0);
	/* It runs on for a moment, unless that is waited for. */
	if (sig == SIGSTOP)
		ck_assert_int_eq(waitpid(pid, NULL, WUNTRACED), pid);
}

static int
wait_for(pid_t *process)
{
	long end = now_ms() + WORLD_PATIENCE;
	int status = -1;
	pid_t got;

	while ((got = waitpid(*process, &status, WNOHANG)) == 0 &&
	    now_ms() < end)
		nap();
	if (got == 0) {
		kill(*process, SIGKILL);
		waitpid(*process, &status, 0);
	}
	*process = -1;
	return status;
}

int
world_wait(void)
{
	return wait_for(&pid);
}

int
world_also_exit(void)
{
	int status = wait_for(&also);

	ck_assert_msg(WIFEXITED(status), "it ended with status %x: %s",
	    status, world_also_errors());
	return WEXITSTATUS(status);
}

int
world_exit(void)
{
	int status = world_wait();

	ck_assert_msg(WIFEXITED(status), "fdproxy ended with status %x: %s",
	    status, cut(world_errors()));
	return WEXITSTATUS(status);
}

/*
 * Who waits for a backend that is not there is told of: no test that starts
 * both knows which of them was first.
 */
static void
forget_waiting(void)
{
	char *line = errors, *end;

	while ((end = strchr(line, '\n')) != NULL) {
		*end = '\0';
		if (strstr(line, "; clients wait") != NULL) {
			memmove(line, end + 1, strlen(end + 1) + 1);
			continue;
		}
		*end = '\n';
		line = end + 1;
	}
}

/* What is wrong with its end, or NULL. */
static const char *
stop(const char *text)
{
	static char wrong[sizeof(errors) + 128];
	int status, fds = fds_at_start;

	if (fds_at_start != -1)
		fds = wait_for_fds(fds_at_start);
	kill(pid, SIGTERM);
	status = world_wait();
	world_errors();
	snprintf(wrong, sizeof(wrong), "fdproxy had %d descriptors of %d, and "
	    "ended with status %x: %s", fds, fds_at_start, status, errors);
	if (fds != fds_at_start || status != 0)
		return wrong;
	if (text == NULL)
		forget_waiting();
	if (text == NULL ? strcmp(errors, STOPPING) != 0 :
	    strstr(errors, text) == NULL)
		return wrong;
	return NULL;
}

void
world_stop(const char *text)
{
	const char *wrong = stop(text);

	if (wrong != NULL)
		ck_abort_msg("%s", cut(wrong));
}

void
world_end(void)
{
	const char *wrong = NULL;
	struct dirent *entry;
	int left;
	DIR *d;

	close_given(false);
	if (runner_at_end && pid != -1)
		wrong = stop(expected);
	close_given(true);
	if (pid != -1) {
		kill(pid, SIGKILL);
		world_wait();
	}
	if (also != -1) {
		kill(also, SIGKILL);
		waitpid(also, NULL, 0);
	}
	also = -1;
	if (launched != -1)
		close(launched);
	launched = -1;
	d = opendir(dir);
	while (d != NULL && (entry = readdir(d)) != NULL)
		if (unlinkat(dirfd(d), entry->d_name, 0) == -1)
			unlinkat(dirfd(d), entry->d_name, AT_REMOVEDIR);
	if (d != NULL)
		closedir(d);
	if (fchdir(home) == 0)
		rmdir(dir);
	left = count_open() - open_at_begin;
	close(home);
	/* Nothing is left behind by now. */
	if (wrong != NULL)
		ck_abort_msg("%s", cut(wrong));
	if (runner_at_end)
		ck_assert_msg(left == 0, "%d descriptors are open", left);
}

static socklen_t
unix_address(struct sockaddr_un *addr, const char *name)
{
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	snprintf(addr->sun_path, sizeof(addr->sun_path), "%s", name);
	if (*name != '@')
		return sizeof(*addr);
	addr->sun_path[0] = '\0';
	return (socklen_t)(sizeof(sa_family_t) + strlen(name));
}

int
backend_listen(const char *name, int backlog)
{
	struct sockaddr_un addr;
	socklen_t len = unix_address(&addr, name);
	int fd = give(socket(AF_UNIX, SOCK_STREAM, 0), true);

	unlink(name);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, len), 0);
	ck_assert_int_eq(chmod(name, 0777), 0);
	ck_assert_int_eq(listen(fd, backlog), 0);
	return fd;
}

int
backend_take_payload(int listener, char *buf, size_t size)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control;
	char first[65536];
	struct iovec iov = { first, sizeof(first) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *cmsg;
	size_t len;
	ssize_t n;
	int conn, fd;

	must_be_readable(listener, "connection to the backend");
	conn = accept(listener, NULL, NULL);
	ck_assert_int_ne(conn, -1);
	must_be_readable(conn, "hand-off");
	n = recvmsg(conn, &msg, 0);
	ck_assert_int_ge(n, 1);
	ck_assert_int_eq(first[0], '\0');
	cmsg = CMSG_FIRSTHDR(&msg);
	ck_assert_ptr_nonnull(cmsg);
	ck_assert_int_eq(cmsg->cmsg_type, SCM_RIGHTS);
	ck_assert_uint_eq(cmsg->cmsg_len, CMSG_LEN(sizeof(int)));
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
	ck_assert_ptr_null(CMSG_NXTHDR(&msg, cmsg));
	for (len = (size_t)n; n > 0; len += (size_t)n) {
		must_be_readable(conn, "end of the hand-off");
		n = read(conn, first + len, sizeof(first) - len);
		ck_assert_int_ge(n, 0);
	}
	ck_assert_uint_le(len - 1, size);
	if (size > 0) {
		memcpy(buf, first + 1, len - 1);
		buf[len - 1] = '\0';
	}
	close(conn);
	return give(fd, false);
}

int
backend_take(int listener)
{
	return backend_take_payload(listener, NULL, 0);
}

static int
open_tcp(int number, int rcvbuf)
{
	struct sockaddr_in addr;
	int fd = give(socket(AF_INET, SOCK_STREAM, 0), false), on = 1;

	if (rcvbuf > 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	memset(&addr, 0, sizeof(addr));
	addr.sin_family = AF_INET;
	addr.sin_port = htons((uint16_t)number);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)),
	    0);
	return fd;
}

int
client_open(void)
{
	return open_tcp(port, 0);
}

int
client_port(int other)
{
	return open_tcp(other, 0);
}

int
client_open_small(void)
{
	return open_tcp(port, 4096);
}

int
client_unix(const char *name)
{
	struct sockaddr_un addr;
	socklen_t len = unix_address(&addr, name);
	int fd = give(socket(AF_UNIX, SOCK_STREAM, 0), false);
	long end = now_ms() + WORLD_PATIENCE;

	/* A file that is bound need not be listening yet. */
	while (connect(fd, (struct sockaddr *)&addr, len) == -1) {
		ck_assert_int_lt(now_ms(), end);
		nap();
	}
	return fd;
}

void
send_bytes(int fd, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	while (len > 0) {
		n = send(fd, p, len, MSG_NOSIGNAL);
		ck_assert_msg(n > 0, "send: %s", strerror(errno));
		p += n;
		len -= (size_t)n;
	}
}

void
send_text(int fd, const char *text)
{
	send_bytes(fd, text, strlen(text));
}

enum ending
read_all(int fd, char *buf, size_t size, size_t *len)
{
	ssize_t n;

	*len = 0;
	for (;;) {
		must_be_readable(fd, "end of the answer");
		n = read(fd, buf + *len, size - 1 - *len);
		if (n > 0) {
			*len += (size_t)n;
			ck_assert_uint_lt(*len, size - 1);
			continue;
		}
		buf[*len] = '\0';
		if (n == 0)
			return END_FIN;
		ck_assert_int_eq(errno, ECONNRESET);
		return END_RESET;
	}
}

void
read_exact(int fd, char *buf, size_t len)
{
	ssize_t n;

	while (len > 0) {
		must_be_readable(fd, "data");
		n = read(fd, buf, len);
		ck_assert_msg(n > 0, "read: %s", n == 0 ? "end" :
		    strerror(errno));
		buf += n;
		len -= (size_t)n;
	}
}

const char *
exchange(const char *request)
{
	static char answer[65536];
	size_t len;
	int fd = client_open();

	send_text(fd, request);
	ck_assert_int_eq(read_all(fd, answer, sizeof(answer), &len), END_FIN);
	close(fd);
	return answer;
}

void
check_served(int client, int listener, const char *request)
{
	static char answer[65536];
	size_t len = 0;
	int fd;

	send_text(client, request);
	/* Byte by byte, there is no room for all of it in a local socket. */
	while (len < 4 || memcmp(answer + len - 4, "\r\n\r\n", 4) != 0) {
		ck_assert_uint_lt(len, sizeof(answer));
		read_exact(client, answer + len++, 1);
	}
	ck_assert_int_eq(status_of(answer), 200);
	fd = backend_take(listener);
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	close(fd);
	ck_assert_int_eq(read_all(client, answer, sizeof(answer), &len),
	    END_FIN);
	ck_assert_uint_eq(len, 0);
	close(client);
}

void
close_all(int *fds, int n)
{
	while (n-- > 0)
		close(fds[n]);
}

int
status_of(const char *answer)
{
	int status = -1;

	ck_assert_msg(sscanf(answer, "HTTP/1.1 %d ", &status) == 1,
	    "not an answer: \"%s\"", answer);
	return status;
}

void
write_file(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static bool
build_is(const char *kind)
{
	const char *name = getenv("FDPROXY");

	return name != NULL && strstr(name, kind) != NULL;
}

bool
world_torture(void)
{
	return build_is("torture");
}

bool
world_bsd(void)
{
	return build_is("bsd");
}

bool
world_keeps(void)
{
	return build_is("keeps");
}

bool
world_polls(void)
{
	return build_is("poll");
}

bool
world_sanitized(void)
{
	return build_is("-test") || build_is("torture");
}
