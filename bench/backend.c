/* See LICENSE for copyright and license details. */

/*
 * The backend of the benchmark: one event loop, one body, five ways in.
 *
 *	backend DIR
 *
 * DIR/flush receives clients whose response head is written: the body, close.
 * DIR/none receives clients with their request unread.
 * DIR/http is HTTP for those that relay, keep-alive if they ask for it.
 * A port of 127.0.0.1, printed, is the same for those that come directly.
 *
 * Each line on standard input is the size of the body from then on, or the path
 * of a socket where it is a worker from then on, and is answered with itself.
 * What a worker does is the end of its path: .flush and .none, as above; .back
 * gives each connection back behind its answer; .keep keeps it as long as its
 * requests are for /keep.  The end of standard input is the end.
 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK	(1024 * 1024)
#define FD_MAX	65536
#define PROMISES	512	/* of a worker, at first */
#define PROMISE		128	/* more, when so many have been taken */

enum kind {
	CONTROL,
	LISTEN_FLUSH,		/* those who connect bring a client */
	LISTEN_NONE,
	LISTEN_HTTP,		/* those who connect are clients */
	MESSAGE_FLUSH,		/* a message with a client is to come */
	MESSAGE_NONE,
	WORKER,			/* clients come over it, and may go back */
	REQUEST,		/* its request is to come */
	BODY			/* it takes our answer */
};

/* What each descriptor is. */
static struct source {
	enum kind kind;
	uint32_t watched;	/* for these events, or 0 */
	size_t head;		/* bytes of the head still to go */
	size_t body;		/* and of the body */
	int keep;		/* its connection, after the answer */
	int worker;		/* what it came over, or 0 */
	char way;		/* of a worker: f, n, b or k */
	size_t owed;		/* promises that it has to make */
} *sources;

static char body[CHUNK];
static size_t size;
static char heads[2][128];	/* closing, keeping */
static int epfd;

static void
watch(int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };
	struct source *s = &sources[fd];

	if (s->watched == events)
		return;
	if (epoll_ctl(epfd, s->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd,
	    &ev) == -1)
		err(1, "epoll_ctl");
	s->watched = events;
}

/* A client has left: its worker can take another one. */
static void
promise(int worker)
{
	static const char nuls[PROMISES];
	struct source *s = &sources[worker];

	if (++s->owed < PROMISE)
		return;
	send(worker, nuls, s->owed, MSG_NOSIGNAL | MSG_DONTWAIT);
	s->owed = 0;
}

/* Who gave it to us may hold it a moment longer: epoll must forget it first. */
static void
end(int fd)
{
	if (sources[fd].watched)
		epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
	sources[fd].watched = 0;
	close(fd);
	if (sources[fd].worker != 0)
		promise(sources[fd].worker);
}

/* Its next request is anybody's; a promise goes with it. */
static void
give_back(int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { "\001", 2 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	if (sources[fd].watched)
		epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
	sources[fd].watched = 0;
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	if (sendmsg(sources[fd].worker, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) !=
	    2)
		warn("sendmsg");
	close(fd);
}

/* The answer is out. */
static void
answered(int fd)
{
	struct source *s = &sources[fd];

	if (!s->keep) {
		end(fd);
	} else if (s->worker != 0 && sources[s->worker].way == 'b') {
		give_back(fd);
	} else {
		s->kind = REQUEST;
		watch(fd, EPOLLIN);
	}
}

static void
answer(int fd)
{
	struct source *s = &sources[fd];
	const char *head = heads[s->keep];
	struct iovec iov[2];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	while (s->head + s->body > 0) {
		iov[0].iov_base = (char *)head + strlen(head) - s->head;
		iov[0].iov_len = s->head;
		iov[1].iov_base = body;
		iov[1].iov_len = s->body < CHUNK ? s->body : CHUNK;
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1 && errno == EAGAIN) {
			s->kind = BODY;
			watch(fd, EPOLLOUT);
			return;
		}
		if (n == -1) {
			end(fd);
			return;
		}
		if ((size_t)n < s->head) {
			s->head -= (size_t)n;
			continue;
		}
		s->body -= (size_t)n - s->head;
		s->head = 0;
	}
	answered(fd);
}

/* A request of these comes in one piece: load generators and proxies alike. */
static void
request(int fd)
{
	struct source *s = &sources[fd];
	char text[8192], way = s->worker == 0 ? 0 : sources[s->worker].way;
	int returns = way == 'b' || way == 'k';
	ssize_t n;

	n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT |
	    (returns ? MSG_PEEK : 0));
	if (n == -1 && errno == EAGAIN) {
		watch(fd, EPOLLIN);
		return;
	}
	if (n <= 0) {
		end(fd);
		return;
	}
	text[n] = '\0';
	if (way == 'k' && strncmp(text, "GET /keep", 9) != 0) {
		give_back(fd);
		return;
	}
	/* Who gives it back has read nothing of the next one. */
	if (returns)
		recv(fd, text, (size_t)(strstr(text, "\r\n\r\n") + 4 - text),
		    MSG_DONTWAIT);
	s->keep = strcasestr(text, "\r\nConnection: keep-alive") != NULL ||
	    (strstr(text, " HTTP/1.1\r\n") != NULL &&
	    strcasestr(text, "\r\nConnection: close") == NULL);
	s->head = strlen(heads[s->keep]);
	s->body = size;
	answer(fd);
}

/* The client in a message; or -1 with errno, which is 0 at the end. */
static int
receive(int fd)
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
	ssize_t n;
	int client = -1;

	n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n == -1)
		return -1;
	errno = 0;
	cmsg = n == 1 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (cmsg != NULL && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(&client, CMSG_DATA(cmsg), sizeof(int));
	return client;
}

static void
begin(int client, int worker, int flushed)
{
	memset(&sources[client], 0, sizeof(*sources));
	sources[client].kind = REQUEST;
	sources[client].body = size;
	sources[client].worker = worker;
	if (flushed)
		answer(client);
	else
		request(client);
}

static void
message(int fd)
{
	enum kind kind = sources[fd].kind;
	int client = receive(fd);

	if (client == -1 && errno == EAGAIN) {
		watch(fd, EPOLLIN);
		return;
	}
	end(fd);
	if (client != -1)
		begin(client, 0, kind == MESSAGE_FLUSH);
}

/* All that have been sent. */
static void
work(int fd)
{
	int client;

	while ((client = receive(fd)) != -1)
		begin(client, fd, sources[fd].way == 'f');
	if (errno != EAGAIN)
		end(fd);
}

static void
become_worker(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == -1)
		err(1, "%s", path);
	memset(&sources[fd], 0, sizeof(*sources));
	sources[fd].kind = WORKER;
	sources[fd].way = strrchr(path, '.')[1];
	sources[fd].owed = PROMISES - 1;
	promise(fd);
	watch(fd, EPOLLIN);
}

static void
accept_all(int listener, enum kind kind)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) != -1) {
		memset(&sources[fd], 0, sizeof(*sources));
		sources[fd].kind = kind;
		if (kind == REQUEST)
			request(fd);
		else
			message(fd);
	}
}

static void
control(void)
{
	static char line[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *format = "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n"
	    "Connection: %s\r\n\r\n";
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (n <= 0)
		exit(0);
	line[n] = '\0';
	if (*line == '/') {
		line[strcspn(line, "\n")] = '\0';
		become_worker(line);
		puts(line);
		fflush(stdout);
		return;
	}
	size = strtoul(line, NULL, 10);
	snprintf(heads[0], sizeof(heads[0]), format, size, "close");
	snprintf(heads[1], sizeof(heads[1]), format, size, "keep-alive");
	printf("%zu\n", size);
	fflush(stdout);
}

static void
serve(int fd)
{
	switch (sources[fd].kind) {
	case CONTROL:
		control();
		break;
	case LISTEN_FLUSH:
		accept_all(fd, MESSAGE_FLUSH);
		break;
	case LISTEN_NONE:
		accept_all(fd, MESSAGE_NONE);
		break;
	case LISTEN_HTTP:
		accept_all(fd, REQUEST);
		break;
	case MESSAGE_FLUSH:
	case MESSAGE_NONE:
		message(fd);
		break;
	case WORKER:
		work(fd);
		break;
	case REQUEST:
		request(fd);
		break;
	case BODY:
		answer(fd);
		break;
	}
}

static void
listen_at(struct sockaddr *addr, socklen_t len, enum kind kind)
{
	int on = 1, fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0);

	if (addr->sa_family == AF_INET) {
		setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof(on));
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	}
	if (bind(fd, addr, len) == -1 || listen(fd, 4096) == -1)
		err(1, "listen");
	getsockname(fd, addr, &len);
	sources[fd].kind = kind;
	watch(fd, EPOLLIN);
}

static void
listen_unix(const char *dir, const char *name, enum kind kind)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", dir, name);
	listen_at((struct sockaddr *)&addr, sizeof(addr), kind);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event ev[256];
	struct rlimit limit;
	int i, n;

	if (argc != 2)
		errx(2, "usage: backend DIR");
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max < FD_MAX ? limit.rlim_max : FD_MAX;
	setrlimit(RLIMIT_NOFILE, &limit);
	sources = calloc(FD_MAX, sizeof(*sources));
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (sources == NULL || epfd == -1)
		err(1, NULL);
	umask(0);
	listen_unix(argv[1], "flush", LISTEN_FLUSH);
	listen_unix(argv[1], "none", LISTEN_NONE);
	listen_unix(argv[1], "http", LISTEN_HTTP);
	listen_at((struct sockaddr *)&in, sizeof(in), LISTEN_HTTP);
	watch(STDIN_FILENO, EPOLLIN);
	printf("%d\n", ntohs(in.sin_port));
	fflush(stdout);
	for (;;) {
		n = epoll_wait(epfd, ev, 256, -1);
		for (i = 0; i < n; i++)
			serve(ev[i].data.fd);
	}
}
