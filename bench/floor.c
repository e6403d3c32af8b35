/* See LICENSE for copyright and license details. */

/*
 * The floor: the least that an event-driven server can do to give a client
 * away.  No parsing, no routes, no queues, no deadlines, no log.
 *
 *	floor MODE=SOCKET ...
 *
 * MODE is flush (write a head, pass the client) or none (pass it unread); with
 * -ask behind it, SOCKET is where one worker comes, which is passed them over
 * its connection, and may give them back.  Prints the port of each on a line of
 * its own, in order.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SERVICES	8

static struct service {
	struct sockaddr_un backend;
	int listener;
	int door;		/* where the worker comes, or -1 */
	int worker;		/* its connection, or -1 */
	int flush;
} services[SERVICES];

/* As long as fdproxy's. */
static const char head[] =
    "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    "Server: fdproxy/0.0.0\r\nConnection: close\r\n\r\n";

static int epfd;

/* A service's listener, or a client of it that has said nothing yet. */
static void
watch(struct service *s, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events };

	ev.data.u64 = (uint64_t)(s - services) << 32 | (uint32_t)fd;
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) == -1)
		err(1, "epoll_ctl");
}

static void
pass(int backend, int client)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char nul = 0;
	struct iovec iov = { &nul, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &client, sizeof(int));
	if (sendmsg(backend, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
		warn("sendmsg");
}

static char scratch[16384];

static void
give(const struct service *s, int backend, int client, size_t len)
{
	if (s->flush) {
		recv(client, scratch, len, MSG_DONTWAIT);
		send(client, head, sizeof(head) - 1,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	pass(backend, client);
}

/* What has come is taken for the head, the whole head and nothing else. */
static void
serve(struct service *s, int client, int watched)
{
	ssize_t n;
	int backend;

	n = recv(client, scratch, sizeof(scratch), MSG_PEEK | MSG_DONTWAIT);
	if (n == -1 && errno == EAGAIN) {
		if (!watched)
			watch(s, client, EPOLLIN | EPOLLRDHUP | EPOLLET);
		return;
	}
	if (watched)
		epoll_ctl(epfd, EPOLL_CTL_DEL, client, NULL);
	if (s->door != -1) {
		if (n > 0)
			give(s, s->worker, client, (size_t)n);
		close(client);
		return;
	}
	backend = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (n > 0 && connect(backend, (struct sockaddr *)&s->backend,
	    sizeof(s->backend)) == 0)
		give(s, backend, client, (size_t)n);
	close(backend);
	close(client);
}

/* Promises, which are taken for granted, and clients that are given back. */
static void
take_back(struct service *s)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { scratch, sizeof(scratch) };
	struct msghdr msg;
	struct cmsghdr *cmsg;
	int client;

	for (;;) {
		msg = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1,
		    .msg_control = control.bytes,
		    .msg_controllen = sizeof(control.bytes) };
		if (recvmsg(s->worker, &msg, MSG_CMSG_CLOEXEC |
		    MSG_DONTWAIT) <= 0)
			return;
		cmsg = CMSG_FIRSTHDR(&msg);
		if (cmsg == NULL)
			continue;
		memcpy(&client, CMSG_DATA(cmsg), sizeof(int));
		serve(s, client, 0);
	}
}

static void
open_door(struct service *s)
{
	s->door = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(s->door, (struct sockaddr *)&s->backend,
	    sizeof(s->backend)) == -1 || listen(s->door, 1) == -1)
		err(1, "listen");
	watch(s, s->door, EPOLLIN);
}

/* With the options that fdproxy's have. */
static void
start(struct service *s, const char *arg)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int on = 1;

	s->flush = strncmp(arg, "flush", 5) == 0;
	s->door = s->worker = -1;
	s->backend.sun_family = AF_UNIX;
	snprintf(s->backend.sun_path, sizeof(s->backend.sun_path), "%s",
	    strchr(arg, '=') + 1);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0);
	setsockopt(s->listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on,
	    sizeof(on));
	setsockopt(s->listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(s->listener, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (bind(s->listener, (struct sockaddr *)&addr, len) == -1 ||
	    listen(s->listener, 4096) == -1 ||
	    getsockname(s->listener, (struct sockaddr *)&addr, &len) == -1)
		err(1, "listen");
	watch(s, s->listener, EPOLLIN);
	if (strstr(arg, "-ask=") != NULL)
		open_door(s);
	printf("%d\n", ntohs(addr.sin_port));
}

int
main(int argc, char **argv)
{
	struct epoll_event ev[256];
	struct service *s;
	int i, n, fd;

	epfd = epoll_create1(EPOLL_CLOEXEC);
	for (i = 1; i < argc && i <= SERVICES; i++)
		start(&services[i - 1], argv[i]);
	fflush(stdout);
	for (;;) {
		n = epoll_wait(epfd, ev, 256, -1);
		for (i = 0; i < n; i++) {
			s = &services[ev[i].data.u64 >> 32];
			fd = (int)(uint32_t)ev[i].data.u64;
			if (fd == s->listener)
				while ((fd = accept4(fd, NULL, NULL,
				    SOCK_CLOEXEC)) != -1)
					serve(s, fd, 0);
			else if (fd == s->door)
				watch(s, s->worker = accept4(fd, NULL, NULL,
				    SOCK_CLOEXEC), EPOLLIN);
			else if (fd == s->worker)
				take_back(s);
			else
				serve(s, fd, 1);
		}
	}
}
