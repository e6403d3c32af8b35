/* See LICENSE for copyright and license details. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "fdexec_cgi.h"
#include "text.h"

#define NAME_SIZE	256	/* of a variable's name, terminated */

extern char **environ;

const struct http_limits fdexec_cgi_limits = { HTTP_HEAD_MAX, HTTP_HEAD_MAX,
    1000, HTTP_HEAD_MAX };

static bool
stale(const char *variable_and_value)
{
	static const char *const names[] = { "AUTH_TYPE=", "CONTENT_LENGTH=",
	    "CONTENT_TYPE=", "GATEWAY_INTERFACE=", "HTTP_",
	    "LISTEN_FDNAMES=", "LISTEN_FDS=", "LISTEN_PID=",
	    "LISTEN_PIDFDID=", "NOTIFY_SOCKET=", "PATH_INFO=",
	    "PATH_TRANSLATED=", "PROTO=", "QUERY_STRING=", "REMOTE_ADDR=",
	    "REMOTE_HOST=", "REMOTE_IDENT=", "REMOTE_PORT=", "REMOTE_USER=",
	    "REQUEST_METHOD=", "REQUEST_URI=", "SERVER_ADDR=",
	    "SERVER_NAME=", "SERVER_PORT=", "SERVER_PROTOCOL=",
	    "SERVER_SOFTWARE=", "TCPLOCALHOST=", "TCPLOCALIP=",
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

/*
 * Without its escapes, terminated.  False for what no program should see: a
 * NUL, half an escape, and "..", which browsers take out and programs follow.
 */
static bool
decode(struct http_slice path, char *dst)
{
	const char *p = path.p, *end = p + path.len;
	char *to = dst, *dots;
	int high, low;

	while (p < end) {
		*to = *p++;
		if (*to == '%') {
			if (end - p < 2 || (high = text_hex(p[0])) == -1 ||
			    (low = text_hex(p[1])) == -1 || high + low == 0)
				return false;
			*to = (char)(16 * high + low);
			p += 2;
		}
		to++;
	}
	*to = '\0';
	for (dots = dst; (dots = strstr(dots, "/..")) != NULL; dots += 3)
		if (dots[3] == '/' || dots[3] == '\0')
			return false;
	return true;
}

/* What stands in SCRIPT_NAME already is where our user says the program is. */
static bool
set_path(const struct http_head *head)
{
	static const struct http_slice all = { "*", 1 };
	static char path[HTTP_HEAD_MAX + 1];
	const char *script = getenv("SCRIPT_NAME");
	size_t len = script == NULL ? 0 : strlen(script);

	if (!decode(head->asterisk ? all : head->path, path)) {
		errno = EINVAL;
		return false;
	}
	while (len > 0 && script[len - 1] == '/')
		len--;
	if (script == NULL || strncmp(path, script, len) != 0 ||
	    (path[len] != '/' && path[len] != '\0'))
		len = strlen(path);
	if (path[len] != '\0' && setenv("PATH_INFO", path + len, 1) == -1)
		return false;
	path[len] = '\0';
	return setenv("SCRIPT_NAME", path, 1) == 0;
}

/* The Host field without its port, or our address. */
static bool
set_name(const struct sock_addr *local)
{
	static char name[HTTP_HEAD_MAX + 1];
	const char *host = getenv("HTTP_HOST");
	char *end;

	text_format(name, sizeof(name), "%s", host == NULL ? "" : host);
	end = strchr(*name == '[' ? name + strcspn(name, "]") : name, ':');
	if (end != NULL)
		*end = '\0';
	return *name != '\0' ? setenv("SERVER_NAME", name, 1) == 0 :
	    set_address(local, "SERVER_NAME", "SERVER_PORT");
}

bool
fdexec_cgi_script(const struct http_head *head, const struct sock_addr *local,
    const struct sock_addr *remote)
{
	return fdexec_cgi_connection(local, remote) &&
	    fdexec_cgi_request(head) && set_path(head) &&
	    set_address(remote, "REMOTE_ADDR", "REMOTE_PORT") &&
	    set_address(local, "SERVER_ADDR", "SERVER_PORT") &&
	    set_name(local) &&
	    setenv("GATEWAY_INTERFACE", "CGI/1.1", 1) == 0 &&
	    setenv("SERVER_SOFTWARE", "fdexec/" VERSION, 1) == 0;
}

/* ---- answers ---- */

const char *
fdexec_cgi_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = { { 200, "OK" }, { 204, "No Content" },
	    { 301, "Moved Permanently" }, { 302, "Found" },
	    { 303, "See Other" }, { 304, "Not Modified" },
	    { 400, "Bad Request" }, { 401, "Unauthorized" },
	    { 403, "Forbidden" }, { 404, "Not Found" },
	    { 405, "Method Not Allowed" }, { 408, "Request Timeout" },
	    { 411, "Length Required" }, { 414, "URI Too Long" },
	    { 417, "Expectation Failed" },
	    { 431, "Request Header Fields Too Large" },
	    { 500, "Internal Server Error" }, { 503, "Service Unavailable" },
	    { 505, "HTTP Version Not Supported" } };
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "";
}

/* Cut a field line, without its end, in two.  False if it is none. */
static bool
split(struct http_slice line, struct http_slice *name, struct http_slice *value)
{
	const char *end = line.p + line.len, *p;

	p = memchr(line.p, ':', line.len);
	if (p == NULL)
		return false;
	name->p = line.p;
	name->len = (size_t)(p++ - line.p);
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	value->p = p;
	value->len = (size_t)(end - p);
	return http_parse_is_token(*name) && http_parse_is_value(*value);
}

/* "404 Not Found"; the text may be missing.  0 if it is no final status. */
static int
status_of(struct http_slice value)
{
	uint64_t n;

	if (value.len < 3 || (value.len > 3 && value.p[3] != ' ') ||
	    text_digits(value.p, 10, &n) != value.p + 3 || n < 200 || n > 599)
		return 0;
	return (int)n;
}

/* The line that begins at p, without its end; the next one, NULL if it is not
   whole. */
static const char *
take_line(const char *p, const char *end, struct http_slice *line)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));

	if (lf == NULL)
		return NULL;
	line->p = p;
	line->len = (size_t)(lf - p);
	if (line->len > 0 && lf[-1] == '\r')
		line->len--;
	return lf + 1;
}

/* What is no business of a program (RFC 3875 6.3.4): it does not know how its
   output reaches the client. */
static bool
is_ours(struct http_slice name)
{
	static const char *const names[] = { "Status", "Connection",
	    "Keep-Alive", "Transfer-Encoding", "Upgrade" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (http_parse_is(name, names[i]))
			return true;
	return false;
}

int
fdexec_cgi_answer(const char *buf, size_t len, char *dst, size_t *used)
{
	struct http_slice line, name, value, reason = { "", 0 };
	const char *p = buf, *end = buf + len, *stop = dst + FDEXEC_CGI_HEAD;
	bool dated = false, moved = false;
	int status = 0, lengths = 0;

	while ((p = take_line(p, end, &line)) != NULL && line.len > 0) {
		if (!split(line, &name, &value))
			return -1;
		lengths += http_parse_is(name, "Content-Length");
		if (lengths > 1)
			return -1;
		if (http_parse_is(name, "Status")) {
			status = status_of(value);
			if (status == 0)
				return -1;
			reason.p = value.p + value.len;
			if (value.len > 4)
				reason.p = value.p + 4;
			reason.len = (size_t)(value.p + value.len - reason.p);
		}
		moved = moved || http_parse_is(name, "Location");
		dated = dated || http_parse_is(name, "Date");
	}
	if (p == NULL)
		return 0;
	*used = (size_t)(p - buf);
	if (status == 0)
		status = moved ? 302 : 200;
	if (reason.len == 0) {
		reason.p = fdexec_cgi_reason(status);
		reason.len = strlen(reason.p);
	}
	dst += text_format(dst, FDEXEC_CGI_HEAD, "HTTP/1.1 %d %.*s\r\n", status,
	    (int)reason.len, reason.p);
	for (p = buf; (p = take_line(p, end, &line)) != NULL && line.len > 0;)
		if (split(line, &name, &value) && !is_ours(name))
			dst += text_format(dst, (size_t)(stop - dst),
			    "%.*s\r\n", (int)line.len, line.p);
	if (!dated)
		dst += text_format(dst, (size_t)(stop - dst), "Date: %s\r\n",
		    clock_date(clock_wall()));
	text_format(dst, (size_t)(stop - dst), "Connection: close\r\n\r\n");
	return status;
}
