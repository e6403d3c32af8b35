/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fdpass.h"

#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC	0
#endif

/*
 * Room for all descriptors that a message can have (Linux's SCM_MAX_FD), so
 * that those which are too much are closed here: the system, which closes what
 * has no room, would wait for one with SO_LINGER, in this process.  A receiver
 * that has set SO_PASSCRED, SO_PASSSEC or SO_PASSPIDFD (or whose listener has)
 * is sent credentials, a label and a descriptor of the process as well, in
 * front of the descriptors: what has no room is lost.
 */
#define SURPLUS		253
#define CREDENTIALS	64
#define LABEL		256

/* Linux 6.5's, which C libraries do not all have yet; no other type is 4. */
#ifndef SCM_PIDFD
#ifdef __linux__
#define SCM_PIDFD	4
#else
#define SCM_PIDFD	(-1)
#endif
#endif

#ifndef FDPASS_KEEPS
#ifdef __APPLE__
#define FDPASS_KEEPS	true
#else
#define FDPASS_KEEPS	false
#endif
#endif

bool
fdpass_keeps(void)
{
	return FDPASS_KEEPS;
}

int
fdpass_peer(int fd, uid_t *uid, pid_t *pid)
{
#ifdef __linux__
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1)
		return -1;
	*uid = cred.uid;
	*pid = cred.pid;
	return 0;
#else
	gid_t gid;

	*pid = 0;
	return getpeereid(fd, uid, &gid);
#endif
}

int
fdpass_connect(const struct sock_addr *addr, uid_t peer)
{
	int fd = sock_stream();
	uid_t uid;
	pid_t pid;

	if (fd == -1)
		return -1;
	if (connect(fd, &addr->u.sa, addr->len) == -1)
		return sock_drop(fd);
	if (peer == FDPASS_ANYBODY ||
	    (fdpass_peer(fd, &uid, &pid) == 0 && uid == peer))
		return fd;
	errno = EPERM;
	return sock_drop(fd);
}

enum fdpass_state
fdpass_state(int error, const struct sock_addr *addr)
{
	struct stat st;

	switch (error) {
	case EINTR:
	case EAGAIN:
	case EBUSY:
	case EINPROGRESS:
	case EMFILE:		/* our own want of descriptors passes, too */
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return FDPASS_FULL;
	case ENOENT:
	case EPERM:		/* another user's: the right one may come */
	case ENOTCONN:
		return FDPASS_ABSENT;
	case ECONNREFUSED:
		if (stat(addr->u.un.sun_path, &st) == 0 &&
		    !S_ISSOCK(st.st_mode))
			return FDPASS_BROKEN;
#ifdef __linux__
		return FDPASS_ABSENT;
#else
		return FDPASS_FULL;
#endif
	default:
		return FDPASS_BROKEN;
	}
}

const char *
fdpass_error(int error)
{
	switch (error) {
	case EPERM:
		return "another user listens there";
	case ENOTCONN:
		return "no worker is connected";
	case EBUSY:
		return "all workers are busy";
	default:
		return strerror(error);
	}
}

ssize_t
fdpass_send_fds(int sock, const int *fds, size_t n, const void *data,
    size_t len)
{
	union {
		struct cmsghdr align;
		unsigned char bytes[CMSG_SPACE(FDPASS_MAX * sizeof(int))];
	} control;
	struct iovec iov = { (void *)data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	ssize_t sent;

	memset(&control, 0, sizeof(control));
	if (n > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
		/* Not through a pointer to int: it need not be aligned. */
		memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
	}
	do {
		sent = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (sent == -1 && errno == EINTR);
	if (sent == 0) {
		errno = EAGAIN;
		return -1;
	}
	if (sent == -1 && errno == ENOTCONN)	/* the same, on some BSDs */
		errno = EPIPE;
	return sent;
}

ssize_t
fdpass_send(int sock, int fd, const void *data, size_t len)
{
	return fdpass_send_fds(sock, &fd, 1, data, len);
}

/*
 * Keep the first descriptor of a message, close all others.  How many came.  A
 * control message that was cut ends with the room that there is: its length
 * may still be what was sent (macOS).
 */
static size_t
take(struct msghdr *msg, int *fd)
{
	const unsigned char *end = (unsigned char *)msg->msg_control +
	    msg->msg_controllen, *p, *stop;
	struct cmsghdr *cmsg;
	size_t came = 0;
	int got;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg != NULL;
	    cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET ||
		    (cmsg->cmsg_type != SCM_RIGHTS &&
		    cmsg->cmsg_type != SCM_PIDFD))
			continue;
		stop = (unsigned char *)cmsg + cmsg->cmsg_len;
		stop = stop < end ? stop : end;
		for (p = CMSG_DATA(cmsg); p + sizeof(int) <= stop;
		    p += sizeof(int)) {
			memcpy(&got, p, sizeof(int));
			came += cmsg->cmsg_type == SCM_RIGHTS;
			if (*fd == -1 && cmsg->cmsg_type == SCM_RIGHTS)
				*fd = got;
			else
				sock_close(got);
		}
	}
	return came;
}

/* With came, a descriptor that was lost is no error. */
static ssize_t
receive(int sock, void *data, size_t size, int *fd, size_t *came, int flags)
{
	union {
		struct cmsghdr align;
		unsigned char bytes[CMSG_SPACE(SURPLUS * sizeof(int)) +
		    CMSG_SPACE(CREDENTIALS) + CMSG_SPACE(LABEL) +
		    CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes) };
	size_t fds;
	ssize_t n;

	*fd = -1;
	iov.iov_base = data;
	iov.iov_len = size;
	do {
		n = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return -1;
	fds = take(&msg, fd);
	if (came != NULL) {
		*came = fds;
	} else if (*fd == -1 && (msg.msg_flags & MSG_CTRUNC)) {
		errno = EMFILE;
		return -1;
	}
	if (*fd != -1 && MSG_CMSG_CLOEXEC == 0)
		sock_cloexec(*fd);
	return n;
}

ssize_t
fdpass_recv(int sock, void *data, size_t size, int *fd)
{
	return receive(sock, data, size, fd, NULL, 0);
}

ssize_t
fdpass_take(int sock, void *data, size_t size, int *fd, size_t *n)
{
	return receive(sock, data, size, fd, n, MSG_DONTWAIT);
}

ssize_t
fdpass_peek(int sock, void *data, size_t size, int *fd)
{
#ifdef __linux__
	return receive(sock, data, size, fd, NULL, MSG_PEEK | MSG_DONTWAIT);
#else
	ssize_t n = recv(sock, data, size, MSG_PEEK | MSG_DONTWAIT);

	*fd = -1;
	if (n < 1 || *(char *)data != '\0')
		return n;
	return receive(sock, data, size, fd, NULL, MSG_DONTWAIT);
#endif
}
