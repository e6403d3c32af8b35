/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "health.h"
#include "log.h"
#include "sock.h"
#include "text.h"

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

/*
 * Take the URL apart: the address, the host as it is written, and the path
 * ("" for none).  NULL, or what is wrong.
 */
static const char *
parse(const char *url, struct sock_addr *addr, char *host, size_t size,
    const char **path)
{
	struct sock_addr both[2];
	char text[128];
	const char *error;
	size_t len;
	int n;

	if (strncmp(url, "http://", 7) != 0)
		return "http:// expected";
	url += 7;
	len = strcspn(url, "/?#");
	if (len == 0 || len >= size || len + 16 > sizeof(text))
		return "no host, or too long a name";
	memcpy(host, url, len);
	host[len] = '\0';
	*path = url + len;
	n = strncmp(host, "localhost", 9) == 0 &&
	    (host[9] == '\0' || host[9] == ':') ? 9 : 0;
	text_format(text, sizeof(text), "%s%s%s", n > 0 ? "127.0.0.1" : "",
	    host + n, strchr(host + n, ':') == NULL ||
	    host[len - 1] == ']' ? ":80" : "");
	error = sock_parse(text, both, &n);
	if (error == NULL && n > 1)
		error = "no host";
	*addr = both[0];
	return error;
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

/* The status of the answer; 0 with errno. */
static int
answer(int fd, uint32_t end)
{
	char text[16] = "";
	size_t at = 0;
	ssize_t n;

	while (at < 13) {	/* "HTTP/1.1 200 " */
		if (!wait_until(fd, POLLIN, end))
			return 0;
		n = recv(fd, text + at, 13 - at, MSG_DONTWAIT);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n == -1)
			return 0;
		if (n == 0)
			break;
		at += (size_t)n;
	}
	errno = EPROTO;
	if (strncmp(text, "HTTP/1.", 7) != 0 || text[8] != ' ')
		return 0;
	return atoi(text + 9);
}

int
health_check(const char *url, uint32_t ms)
{
	struct sock_addr addr;
	char host[112];
	const char *path, *error;
	uint32_t end = clock_ms() + ms;
	int fd, status = 0, failure = 0;
	socklen_t len = sizeof(failure);

	error = parse(url, &addr, host, sizeof(host), &path);
	if (error != NULL) {
		log_error("%s: %s", url, error);
		return 1;
	}
	fd = sock_connect(&addr);
	if (fd != -1 && wait_until(fd, POLLOUT, end)) {
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len);
		errno = failure;
		if (failure == 0 && ask(fd, host, path, end))
			status = answer(fd, end);
	}
	if (status == 0)
		log_error("%s: %s", url, strerror(errno));
	else if (status < 200 || status > 399)
		log_error("%s: status %d", url, status);
	if (fd != -1)
		close(fd);
	return status >= 200 && status <= 399 ? 0 : 1;
}
