/* See LICENSE for copyright and license details. */

/*
 * A server that knows nothing of descriptors in messages, for e2e_fdaccept:
 * it accepts as its options say, tells on standard output what it got, one
 * line each time, says hello to the client and closes.
 *
 *	accepter [-Filnz] [-4 flags] [-s size] socket
 *
 *	-4 flags	accept4() with SOCK_NONBLOCK (n), SOCK_CLOEXEC (c)
 *	-F		in a child process
 *	-i		with a signal every few milliseconds
 *	-l		with one free descriptor
 *	-n		from a listener that is not blocking
 *	-s size		with that much room for the address
 *	-z		without an address
 *
 * The socket "tcp" is a port of 127.0.0.1, which is printed first.
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define FDS	64
#define ERRNO	77	/* any that no call here sets */

static struct {
	bool four, child, signals, full, nonblocking, null;
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
	printf(" fds %d\n", fds);
	fflush(stdout);
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
	memset(&addr, 0xaa, sizeof(addr));
	if (want.full)
		occupy(true);
	do {
		errno = ERRNO;
		fd = want.four ? accept4(listener, dst, want.null ? NULL :
		    &len, want.flags) : accept(listener, dst, want.null ?
		    NULL : &len);
	} while (fd == -1 && errno == EINTR);
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

static int
listen_on(const char *name)
{
	struct sockaddr_un un;
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	int fd;

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
		if (bind(fd, (struct sockaddr *)&un, sizeof(un)) == -1 ||
		    listen(fd, 16) == -1)
			return -1;
	}
	if (want.nonblocking)
		fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void
options(int argc, char **argv)
{
	int ch;

	while ((ch = getopt(argc, argv, "4:Filns:z")) != -1) {
		switch (ch) {
		case '4':
			want.four = true;
			if (strchr(optarg, 'n') != NULL)
				want.flags |= SOCK_NONBLOCK;
			if (strchr(optarg, 'c') != NULL)
				want.flags |= SOCK_CLOEXEC;
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
	for (;;)
		serve(listener);
}
