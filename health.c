/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "health.h"
#include "log.h"
#include "sock.h"
#include "text.h"

struct target {
	struct sock_addr addr[2];	/* the second if the first fails */
	int n;
	char host[112];		/* as it is named to the server */
	const char *path;	/* "" for none */
};

/* Wait for the socket until the time is over. */
static bool
wait_until(int fd, short events, uint32_t end)
{
	struct pollfd p = { fd, events, 0 };
	int n;

	do {
		clock_update();
		n = poll(&p, 1, clock_before(clock_ms(), end) ?
		    (int)(end - clock_ms()) : 0);
	} while (n == -1 && errno == EINTR);
	if (n == 0)
		errno = ETIMEDOUT;
	return n == 1;
}

/* Take the URL apart.  NULL, or what is wrong. */
static const char *
parse(const char *url, struct target *t)
{
	const char *error, *rest;
	char text[160];
	size_t len;

	if (strncmp(url, "unix:", 5) == 0) {
		rest = strstr(url + 5, ":/");
		t->path = rest == NULL ? "" : rest + 1;
		text_format(t->host, sizeof(t->host), "localhost");
		/* What is cut is too long for the path of a socket, too. */
		text_format(text, sizeof(text), "%.*s", rest == NULL ?
		    (int)strlen(url) : (int)(rest - url), url);
		return sock_parse(text, t->addr, &t->n);
	}
	if (strncmp(url, "http://", 7) != 0)
		return "http:// or unix: expected";
	url += 7;
	len = strcspn(url, "/?#");
	if (len == 0 || len >= sizeof(t->host))
		return "no host, or too long a name";
	t->path = url + len;
	text_format(t->host, sizeof(t->host), "%.*s", (int)len, url);
	text_format(text, sizeof(text), "%s%s", t->host,
	    strchr(t->host, ':') == NULL || t->host[len - 1] == ']' ? ":80" :
	    "");
	error = sock_parse(text, t->addr, &t->n);
	/* Two addresses are those of localhost; else there is no host. */
	if (error == NULL && (t->addr[0].u.sa.sa_family == AF_UNIX ||
	    (t->n > 1 && strncmp(t->host, "localhost", 9) != 0)))
		error = "no host";
	return error;
}

/* A connection, or -1 with errno. */
static int
connect_until(const struct sock_addr *addr, uint32_t end)
{
	int fd = sock_connect(addr), failure = 0;
	socklen_t len = sizeof(failure);

	if (fd == -1)
		return -1;
	if (wait_until(fd, POLLOUT, end)) {
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len);
		if (failure == 0)
			return fd;
		errno = failure;
	}
	return sock_drop(fd);
}

static bool
ask(int fd, const char *host, const char *path, uint32_t end)
{
	char text[1024];
	size_t len, at = 0;
	ssize_t n;

	len = text_format(text, sizeof(text), "GET %s%.*s HTTP/1.1\r\n"
	    "Host: %s\r\nUser-Agent: fdproxy\r\nConnection: close\r\n\r\n",
	    *path == '/' ? "" : "/", (int)strcspn(path, "#"), path, host);
	if (len >= sizeof(text)) {
		errno = ENAMETOOLONG;
		return false;
	}
	while (at < len) {
		if (!wait_until(fd, POLLOUT, end))
			return false;
		n = send(fd, text + at, len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n == -1 && errno != EAGAIN && errno != EINTR)
			return false;
		at += n > 0 ? (size_t)n : 0;
	}
	return true;
}

/* The status of the answer at text; 0, it is not whole yet; or -1, none. */
static int
status_of(const char *text)
{
	static const char form[] = "HTTP/1.0 000";
	int status = 0;
	size_t i;

	for (i = 0; form[i] != '\0'; i++) {
		if (text[i] == '\0')
			return 0;
		if (form[i] == '0' ? text[i] < '0' || text[i] > '9' :
		    text[i] != form[i])
			return -1;
		status = i > 8 ? status * 10 + text[i] - '0' : 0;
	}
	if (text[i] == '\0')
		return 0;
	return (text[i] == ' ' || text[i] == '\r') && status >= 100 ? status :
	    -1;
}

/* The status of the final answer; 0 with *why, or with errno. */
static int
answer(int fd, uint32_t end, const char **why)
{
	char text[8192] = "";
	const char *at = text, *next;
	size_t len = 0;
	ssize_t n;
	int status;

	for (;;) {
		/* Interim answers come before; but there is nothing to switch
		   protocols for. */
		while ((status = status_of(at)) >= 100 && status < 200 &&
		    status != 101) {
			next = strstr(at, "\r\n\r\n");
			if (next == NULL)
				break;
			at = next + 4;
		}
		if (status >= 200 || status == 101)
			return status;
		*why = status == -1 ? "the answer is not HTTP/1" :
		    len == sizeof(text) - 1 ? "too many interim answers" :
		    NULL;
		if (*why != NULL || !wait_until(fd, POLLIN, end))
			return 0;
		n = recv(fd, text + len, sizeof(text) - 1 - len, MSG_DONTWAIT);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n == 0)
			*why = "closed without an answer";
		if (n <= 0)
			return 0;
		len += (size_t)n;
		text[len] = '\0';
	}
}

int
health_check(const char *url, uint32_t ms)
{
	struct target t;
	const char *why = parse(url, &t);
	uint32_t end = clock_ms() + ms;
	int i, fd = -1, status = 0, first = 0;

	if (why != NULL) {
		log_error("%s: %s", url, why);
		return 1;
	}
	for (i = 0; fd == -1 && i < t.n; i++) {
		fd = connect_until(&t.addr[i], end);
		if (i == 0)
			first = errno;
	}
	if (fd == -1)
		errno = first;
	else if (ask(fd, t.host, t.path, end))
		status = answer(fd, end, &why);
	if (status == 0)
		log_error("%s: %s", url, why != NULL ? why : strerror(errno));
	else if (status < 200 || status > 399)
		log_error("%s: status %d", url, status);
	if (fd != -1)
		close(fd);
	return status >= 200 && status <= 399 ? 0 : 1;
}
