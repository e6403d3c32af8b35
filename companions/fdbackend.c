/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "fdbackend.h"

#define CLIENT		0x01	/* the byte of one that is given back */
#define FIRST_MS	50	/* before connecting again */
#define LAST_MS		5000
#define DRAIN_BYTES	4096
#define DRAIN_READS	16	/* at a time */

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL	0
#endif
#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC	0
#endif

#define SURPLUS		253	/* descriptors of one message, at most */

static int
drop(int fd, int error)
{
	close(fd);
	errno = error;
	return -1;
}

int
fdbackend_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *number = getenv("FDPROXY_WORKERS");
	size_t len = path == NULL ? 0 : strlen(path);
	socklen_t size = sizeof(addr);
	int fd;

	if (path == NULL) {
		fd = number == NULL ? -1 : atoi(number);
		if (fd > STDERR_FILENO && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
			return fd;
		errno = ENOTCONN;
		return -1;
	}
	if (len == 0 || len >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(addr.sun_path, path, len);
	if (*path == '@') {
		addr.sun_path[0] = '\0';
		size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
		    len);
	}
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd == -1)
		return -1;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) == -1 ||
	    connect(fd, (struct sockaddr *)&addr, size) == -1 ||
	    fcntl(fd, F_SETFL, 0) == -1)
		return drop(fd, errno);
	return fd;
}

unsigned int
fdbackend_delay(unsigned int *step)
{
	struct timespec ts;
	unsigned int most;

	*step = *step == 0 ? FIRST_MS : *step * 2 > LAST_MS ? LAST_MS :
	    *step * 2;
	most = *step;
	/* Those who lost it together do not come back together. */
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return most / 2 + ((unsigned int)ts.tv_nsec / 1000 +
	    (unsigned int)getpid() * 7919) % (most / 2);
}

/* One message; fd -1: without a descriptor.  How many bytes of it went. */
static int
say(int channel, const void *bytes, size_t len, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { (void *)bytes, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	ssize_t n;

	if (fd != -1) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	do {
		n = sendmsg(channel, &msg, MSG_NOSIGNAL);
	} while (n == -1 && errno == EINTR);
	return n == -1 ? -1 : (int)n;
}

int
fdbackend_ask(int channel, unsigned int n)
{
	static const char nuls[1024];
	unsigned int asked = 0;
	int sent;

	while (asked < n) {
		sent = say(channel, nuls, n - asked < sizeof(nuls) ?
		    n - asked : sizeof(nuls), -1);
		if (sent == -1)
			return asked > 0 ? (int)asked : -1;
		asked += (unsigned int)sent;
	}
	return (int)n;
}

int
fdbackend_take(int from, int *client)
{
	/* Where credentials are switched on, they stand in front. */
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SURPLUS * sizeof(int)) + CMSG_SPACE(64)];
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *cmsg;
	size_t at, room;
	ssize_t n;
	int fd;

	*client = -1;
	do {
		n = recvmsg(from, &msg, MSG_CMSG_CLOEXEC);
	} while (n == -1 && errno == EINTR);
	if (n == 0 || (n == -1 && errno == ECONNRESET))
		return 0;
	if (n == -1)
		return -1;
	for (cmsg = CMSG_FIRSTHDR(&msg); cmsg != NULL;
	    cmsg = CMSG_NXTHDR(&msg, cmsg)) {
		/* macOS cuts what has no room, and leaves its length. */
		room = msg.msg_controllen - (size_t)((char *)cmsg -
		    control.bytes);
		room = cmsg->cmsg_len < room ? cmsg->cmsg_len : room;
		for (at = CMSG_LEN(0); cmsg->cmsg_level == SOL_SOCKET &&
		    cmsg->cmsg_type == SCM_RIGHTS &&
		    at + sizeof(fd) <= room; at += sizeof(fd)) {
			memcpy(&fd, (char *)cmsg + at, sizeof(fd));
			if (*client == -1)
				*client = fd;
			else
				close(fd);
		}
	}
	if (*client == -1) {
		errno = byte == '\0' ? EMFILE : EBADMSG;
		return -1;
	}
	if (MSG_CMSG_CLOEXEC == 0)
		fcntl(*client, F_SETFD, FD_CLOEXEC);
	return 1;
}

int
fdbackend_give_back(int channel, int client, unsigned int more)
{
	static const char bytes[1024] = { CLIENT };

	if (more >= sizeof(bytes)) {
		errno = EINVAL;
		return -1;
	}
	if (say(channel, bytes, 1 + more, client) == -1)
		return -1;
	close(client);
	return 0;
}

void
fdbackend_end(int client)
{
	shutdown(client, SHUT_WR);
}

int
fdbackend_drain(int client)
{
	char bytes[DRAIN_BYTES];
	ssize_t n = 1;
	int reads;

	for (reads = 0; n > 0 && reads < DRAIN_READS; reads++)
		n = recv(client, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n > 0 || (n == -1 && errno == EINTR))
		return 0;
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	close(client);
	return 1;
}

static long
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
fdbackend_finish(int client, unsigned int ms)
{
	struct pollfd p = { .fd = client, .events = POLLIN };
	long end = now_ms() + (long)ms, left;

	fdbackend_end(client);
	while (fdbackend_drain(client) == 0) {
		left = end - now_ms();
		if (left <= 0) {
			close(client);
			return;
		}
		poll(&p, 1, (int)left);
	}
}

void
fdbackend_leave(int channel)
{
	shutdown(channel, SHUT_WR);
}
