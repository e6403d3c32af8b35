/* See LICENSE for copyright and license details. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "fdexec_cgi.h"
#include "text.h"

#define NAME_SIZE	256	/* of a variable's name, terminated */

extern char **environ;

static bool
stale(const char *variable_and_value)
{
	static const char *const names[] = { "CONTENT_LENGTH=",
	    "CONTENT_TYPE=", "HTTP_", "LISTEN_FDNAMES=", "LISTEN_FDS=",
	    "LISTEN_PID=", "LISTEN_PIDFDID=", "NOTIFY_SOCKET=", "PROTO=",
	    "QUERY_STRING=", "REQUEST_METHOD=", "REQUEST_URI=",
	    "SERVER_PROTOCOL=", "TCPLOCALHOST=", "TCPLOCALIP=",
	    "TCPLOCALPORT=", "TCPREMOTEHOST=", "TCPREMOTEINFO=",
	    "TCPREMOTEIP=", "TCPREMOTEPORT=", "WATCHDOG_PID=",
	    "WATCHDOG_USEC=" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strncmp(variable_and_value, names[i],
		    strlen(names[i])) == 0)
			return true;
	return false;
}

/*
 * Done with the table itself: unsetenv(3) moves the rest of it, and cannot
 * take every name that can stand there.
 */
void
fdexec_cgi_clean(void)
{
	char **from, **to = environ;

	if (to == NULL)
		return;
	for (from = environ; *from != NULL; from++)
		if (!stale(*from))
			*to++ = *from;
	*to = NULL;
}

/* As IPv4 if it is IPv4 in an IPv6 socket. */
static bool
set_address(const struct sock_addr *addr, const char *host_name,
    const char *port_name)
{
	char host[INET6_ADDRSTRLEN] = "", port[16];
	const char *text = host;

	sock_host(addr, host, sizeof(host));
	if (addr->u.sa.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_V4MAPPED(&addr->u.in6.sin6_addr))
		text = strrchr(host, ':') + 1;
	text_format(port, sizeof(port), "%u", sock_port(addr));
	return setenv(host_name, text, 1) == 0 &&
	    setenv(port_name, port, 1) == 0;
}

bool
fdexec_cgi_connection(const struct sock_addr *local,
    const struct sock_addr *remote)
{
	if (local->u.sa.sa_family == AF_UNIX)
		return setenv("PROTO", "UNIX", 1) == 0;
	if (local->u.sa.sa_family != AF_INET &&
	    local->u.sa.sa_family != AF_INET6)
		return true;
	return setenv("PROTO", "TCP", 1) == 0 &&
	    set_address(remote, "TCPREMOTEIP", "TCPREMOTEPORT") &&
	    set_address(local, "TCPLOCALIP", "TCPLOCALPORT");
}

/* What is there already, with "and" behind it, comes first. */
static bool
set_slice(const char *name, const char *and, struct http_slice s)
{
	static char value[2 * HTTP_HEAD_MAX];
	const char *old = and == NULL ? NULL : getenv(name);
	size_t len = 0;

	if (old != NULL)
		len = text_format(value, HTTP_HEAD_MAX, "%s%s", old, and);
	memcpy(value + len, s.p, s.len);
	value[len + s.len] = '\0';
	return setenv(name, value, 1) == 0;
}

/*
 * The variable of a field (RFC 3875 4.1.18), or false if it has none:
 * HTTP_PROXY means something else to many programs, and "X_Y" must not be
 * taken for "X-Y", which a front end may have checked.
 */
static bool
variable(struct http_slice name, char *dst)
{
	size_t i, n = 0;
	char c;

	if (http_parse_is(name, "Proxy"))
		return false;
	if (!http_parse_is(name, "Content-Length") &&
	    !http_parse_is(name, "Content-Type")) {
		memcpy(dst, "HTTP_", 5);
		n = 5;
	}
	if (name.len >= NAME_SIZE - n)
		return false;
	for (i = 0; i < name.len; i++) {
		c = name.p[i];
		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		else if (c == '-')
			c = '_';
		else if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9'))
			return false;
		dst[n++] = c;
	}
	dst[n] = '\0';
	return true;
}

bool
fdexec_cgi_request(const struct http_head *head)
{
	struct http_slice fields = head->fields, query = { "", 0 }, name, value;
	char var[NAME_SIZE], version[16];
	const char *mark;

	mark = memchr(head->target.p, '?', head->target.len);
	if (mark != NULL) {
		query.p = mark + 1;
		query.len = head->target.len -
		    (size_t)(query.p - head->target.p);
	}
	text_format(version, sizeof(version), "HTTP/1.%d", head->minor);
	if (!set_slice("REQUEST_METHOD", NULL, head->method) ||
	    !set_slice("REQUEST_URI", NULL, head->target) ||
	    !set_slice("QUERY_STRING", NULL, query) ||
	    setenv("SERVER_PROTOCOL", version, 1) == -1)
		return false;
	while (http_parse_field(&fields, &name, &value))
		if (variable(name, var) && !set_slice(var,
		    http_parse_is(name, "Cookie") ? "; " : ", ", value))
			return false;
	return true;
}
