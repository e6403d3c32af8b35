/* See LICENSE for copyright and license details. */

/*
 * A backend that fdproxy starts, and whose socket fdproxy makes:
 *
 *	cc -static -o child contrib/child.c
 *	fdproxy -l 127.0.0.1:8080 -r /=:child ./child
 *
 * It has its listener as descriptor 3.  On SIGTERM it serves whom fdproxy has
 * handed off before: they may wait in the listener still.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define LISTENER	3

static volatile sig_atomic_t stopping;

static void
on_term(int sig)
{
	(void)sig;
	stopping = 1;
}

/* Whether descriptor 3 is meant for us. */
static int
is_ours(void)
{
	const char *fds = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");

	return fds != NULL && pid != NULL && strcmp(fds, "1") == 0 &&
	    atol(pid) == (long)getpid();
}

/* The descriptor that comes with the first byte, or -1. */
static int
receive(int conn)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char nul;
	struct iovec iov = { &nul, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *cmsg;
	int fd = -1;

	if (recvmsg(conn, &msg, 0) < 1)
		return -1;	/* a probe: the end without a message */
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg != NULL && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	else
		fprintf(stderr, "a client was lost\n");
	return fd;
}

/* The body alone: who asks, and who answers. */
static void
serve(int client)
{
	struct timeval patience = { 2, 0 };
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	char text[128], host[INET_ADDRSTRLEN] = "?";
	time_t last = time(NULL) + 3;	/* so that it takes 5 s in all */
	int n;

	memset(&peer, 0, sizeof(peer));
	if (getpeername(client, (struct sockaddr *)&peer, &len) == 0 &&
	    peer.sin_family == AF_INET)
		inet_ntop(AF_INET, &peer.sin_addr, host, sizeof(host));
	n = snprintf(text, sizeof(text), "%s %u is served by %ld\n", host,
	    ntohs(peer.sin_port), (long)getpid());
	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience));
	if (write(client, text, (size_t)n) == n)
		shutdown(client, SHUT_WR);
	/* What is unread would make a reset of the end. */
	while (read(client, text, sizeof(text)) > 0 && time(NULL) < last)
		;
	close(client);
}

static void
take(int conn)
{
	struct timeval patience = { 1, 0 };
	int client;

	setsockopt(conn, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience));
	client = receive(conn);
	close(conn);
	if (client != -1)
		serve(client);
}

int
main(void)
{
	struct pollfd p = { LISTENER, POLLIN, 0 };
	struct sigaction sa;
	sigset_t term, none;
	int conn;

	if (!is_ours()) {
		fprintf(stderr, "no listener: start it by fdproxy, with "
		    "-r /=:child\n");
		return 1;
	}
	memset(&sa, 0, sizeof(sa));
	sigemptyset(&sa.sa_mask);
	sa.sa_handler = on_term;
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* It comes while we wait, and at no other time. */
	sigemptyset(&none);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	fcntl(LISTENER, F_SETFL, O_NONBLOCK);
	for (;;) {
		conn = accept(LISTENER, NULL, NULL);
		if (conn != -1)
			take(conn);
		else if (stopping)
			return 0;
		else
			ppoll(&p, 1, NULL, &none);
	}
}
