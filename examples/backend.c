/*
 * A backend in C.  It answers every client with one line:
 *
 *	cc -o backend backend.c && ./backend /tmp/app.sock
 *	fdproxy -l 127.0.0.1:8080 -r /=/tmp/app.sock
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

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
	else		/* MSG_CTRUNC: no descriptor was free in here */
		fprintf(stderr, "a client was lost\n");
	return fd;
}

/* The body alone; then close so that the client sees its end, and no reset. */
static void
serve(int client)
{
	static const char body[] = "Hello from C.\n";
	struct timeval patience = { 2, 0 };
	time_t last = time(NULL) + 3;	/* so that it takes 5 s in all */
	char unread[4096];

	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience));
	if (write(client, body, sizeof(body) - 1) > 0)
		shutdown(client, SHUT_WR);
	while (read(client, unread, sizeof(unread)) > 0 && time(NULL) < last)
		;
	close(client);
}

int
main(int argc, char **argv)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int listener, conn, client;

	if (argc != 2 || strlen(argv[1]) >= sizeof(addr.sun_path))
		return 2;
	strcpy(addr.sun_path, argv[1]);
	unlink(argv[1]);
	signal(SIGPIPE, SIG_IGN);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (listener == -1 || bind(listener, (struct sockaddr *)&addr,
	    sizeof(addr)) == -1 || listen(listener, 128) == -1) {
		perror(argv[1]);
		return 1;
	}
	for (;;) {
		conn = accept(listener, NULL, NULL);
		if (conn == -1)
			continue;
		client = receive(conn);
		close(conn);
		if (client != -1)
			serve(client);
	}
}
