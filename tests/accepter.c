/* See LICENSE for copyright and license details. */

/*
 * A server that knows nothing of descriptors in messages, for e2e_fdaccept:
 * it accepts as its options say, tells on standard output what it got, one
 * line each time, says hello to the client and closes.
 *
 *	accepter [-cFeilnwz] [-4 flags] [-s size] socket
 *
 *	-4 flags	accept4() with SOCK_NONBLOCK (n), SOCK_CLOEXEC (c)
 *	-c		from a listener with SO_PASSCRED
 *	-e		edge-triggered: all that are there, then one report
 *	-F		in a child process
 *	-i		with a signal every few milliseconds
 *	-l		with one free descriptor
 *	-n		from a listener that is not blocking
 *	-s size		with that much room for the address
 *	-w		woken up by a connection of its own
 *	-z		without an address
 *
 * What comes with a connection that is no client is told as well.  The socket
 * "tcp" is a port of 127.0.0.1, which is printed first; one that begins with @
 * is an abstract name.
 */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define FDS	64
#define ERRNO	77	/* any that no call here sets */

static struct {
	bool four, child, signals, full, nonblocking, null, edges, wake, cred;
	int flags;
	socklen_t size;
} want = { .size = sizeof(struct sockaddr_storage) };

static int
count_open(void)
{
	int fd, n = 0;

	for (fd = 0; fd < FDS; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

static void
on_alarm(int sig)
{
	(void)sig;
}

static void
begin_signals(void)
{
	struct itimerval often = { { 0, 5000 }, { 0, 5000 } };
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_alarm;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

/* Leave free descriptors for one connection and nothing else, or all again. */
static void
occupy(bool on)
{
	static bool ours[FDS];
	int fd;

	if (on) {
		while ((fd = dup(STDERR_FILENO)) != -1)
			ours[fd] = true;
		for (fd = FDS - 1; !ours[fd]; fd--)
			;
		ours[fd] = false;
		close(fd);
		return;
	}
	for (fd = 0; fd < FDS; fd++) {
		if (ours[fd])
			close(fd);
		ours[fd] = false;
	}
}

static void
tell(int fd, int error, const unsigned char *addr, socklen_t len, int fds)
{
	char bytes[64];
	size_t i;

	if (fd == -1) {
		printf("error %s", error == ECONNABORTED ? "ECONNABORTED" :
		    error == EMFILE ? "EMFILE" : strerror(error));
	} else {
		printf("errno %d nonblock %d cloexec %d len %d addr ",
		    error, (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0,
		    (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, (int)len);
		for (i = 0; i < len && i < want.size; i++)
			printf("%02x", addr[i]);
		for (i = want.size; i < sizeof(struct sockaddr_storage); i++)
			if (addr[i] != 0xaa)
				printf(" overwritten");
	}
	printf(" fds %d", fds);
	error = (int)recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (len == 2 && error > 0)
		printf(" bytes %d", error);
	putchar('\n');
	fflush(stdout);
}

/* A connection to the own listener, as threads are woken by it. */
static void
wake(int listener)
{
	struct sockaddr_un un;
	socklen_t len = sizeof(un);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	getsockname(listener, (struct sockaddr *)&un, &len);
	if (connect(fd, (struct sockaddr *)&un, len) == -1)
		exit(3);
	close(fd);
}

static void
serve(int listener)
{
	struct pollfd p = { listener, POLLIN, 0 };
	struct sockaddr_storage addr;
	struct sockaddr *dst = want.null ? NULL : (struct sockaddr *)&addr;
	int before = count_open(), fd, error;
	socklen_t len = want.size;

	while (want.nonblocking && poll(&p, 1, -1) != 1)
		;
	if (want.wake)
		wake(listener);
	memset(&addr, 0xaa, sizeof(addr));
	if (want.full)
		occupy(true);
	do {
		errno = ERRNO;
		fd = want.four ? accept4(listener, dst, want.null ? NULL :
		    &len, want.flags) : accept(listener, dst, want.null ?
		    NULL : &len);
	} while (fd == -1 && (errno == EINTR ||
	    (want.nonblocking && errno == EAGAIN)));
	error = errno;
	if (want.full)
		occupy(false);
	tell(fd, error, (unsigned char *)&addr, want.null ? 0 : len,
	    count_open() - before);
	if (fd != -1) {
		send(fd, "hello", 5, MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
		close(fd);
	}
}

/*
 * As a server does that is told of an edge alone: it goes on until accept has
 * an error, whatever that is.
 */
static void
serve_edges(int listener)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int fd, n, ep = epoll_create1(0);

	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		if (epoll_wait(ep, &event, 1, -1) != 1)
			continue;
		for (n = 0; (fd = accept(listener, NULL, NULL)) != -1; n++) {
			send(fd, "hello", 5, MSG_NOSIGNAL);
			shutdown(fd, SHUT_WR);
			close(fd);
		}
		if (n > 0 || errno != EAGAIN)
			printf("%d clients, then %s\n", n, strerror(errno));
		fflush(stdout);
	}
}

static int
listen_on(const char *name)
{
	struct sockaddr_un un;
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	int fd, on = 1;

	memset(&in, 0, sizeof(in));
	memset(&un, 0, sizeof(un));
	in.sin_family = AF_INET;
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	un.sun_family = AF_UNIX;
	strncpy(un.sun_path, name, sizeof(un.sun_path) - 1);
	if (strcmp(name, "tcp") == 0) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(fd, (struct sockaddr *)&in, len) == -1 ||
		    listen(fd, 16) == -1)
			return -1;
		getsockname(fd, (struct sockaddr *)&in, &len);
		printf("%d\n", ntohs(in.sin_port));
		fflush(stdout);
	} else {
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		len = sizeof(un);
		if (*name == '@') {
			un.sun_path[0] = '\0';
			len = (socklen_t)(sizeof(sa_family_t) + strlen(name));
		}
		if (bind(fd, (struct sockaddr *)&un, len) == -1 ||
		    listen(fd, 128) == -1 || (want.cred && setsockopt(fd,
		    SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == -1))
			return -1;
	}
	if (want.nonblocking || want.edges)
		fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void
options(int argc, char **argv)
{
	int ch;

	while ((ch = getopt(argc, argv, "4:ceFilns:wz")) != -1) {
		switch (ch) {
		case '4':
			want.four = true;
			if (strchr(optarg, 'n') != NULL)
				want.flags |= SOCK_NONBLOCK;
			if (strchr(optarg, 'c') != NULL)
				want.flags |= SOCK_CLOEXEC;
			break;
		case 'c':
			want.cred = true;
			break;
		case 'e':
			want.edges = true;
			break;
		case 'F':
			want.child = true;
			break;
		case 'i':
			want.signals = true;
			break;
		case 'l':
			want.full = true;
			break;
		case 'n':
			want.nonblocking = true;
			break;
		case 's':
			want.size = (socklen_t)atoi(optarg);
			break;
		case 'w':
			want.wake = true;
			break;
		case 'z':
			want.null = true;
			break;
		default:
			exit(2);
		}
	}
	if (optind != argc - 1)
		exit(2);
}

int
main(int argc, char **argv)
{
	struct rlimit limit = { FDS, FDS };
	int listener;
	pid_t pid = 0;

	options(argc, argv);
	setrlimit(RLIMIT_NOFILE, &limit);
	listener = listen_on(argv[optind]);
	if (listener == -1) {
		perror(argv[optind]);
		return 1;
	}
	if (want.child)
		pid = fork();
	if (pid != 0) {
		waitpid(pid, NULL, 0);
		return 0;
	}
	if (want.signals)
		begin_signals();
	if (want.edges)
		serve_edges(listener);
	for (;;)
		serve(listener);
}
