/*
 * What the workers in C share: one request, read exactly, and the answer, which
 * says who got what: NAME METHOD TARGET ADDRESS, and of a body its length and
 * Adler-32.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

struct request {
	char method[16];
	char target[2048];
	bool keep;		/* the connection, if all goes well */
	bool chunked;		/* the end of its body is not known here */
	size_t length;		/* of the body */
	size_t left;		/* of it */
	uint32_t a, b;		/* Adler-32 so far */
};

/*
 * Read a head, and not a byte more.  fdproxy gives no client away before it is
 * whole, so that this does not wait.
 */
static bool
read_head(int client, struct request *r)
{
	static char head[65536];
	ssize_t n = recv(client, head, sizeof(head) - 1, MSG_PEEK);
	char *end, *line, version[16];

	*r = (struct request){ .a = 1 };
	if (n <= 0)
		return false;
	head[n] = '\0';
	end = strstr(head, "\r\n\r\n");
	if (end == NULL || recv(client, head, (size_t)(end + 4 - head), 0) !=
	    end + 4 - head)
		return false;
	end[2] = '\0';
	if (sscanf(head, "%15s %2047s %15s", r->method, r->target,
	    version) != 3)
		return false;
	r->keep = strcmp(version, "HTTP/1.0") != 0;
	for (line = strstr(head, "\r\n") + 2; *line != '\0';
	    line = strstr(line, "\r\n") + 2) {
		if (strncasecmp(line, "Connection:", 11) == 0) {
			line[strcspn(line, "\r")] = '\0';
			r->keep = strcasestr(line, "close") == NULL &&
			    (r->keep || strcasestr(line, "keep-alive") != NULL);
			line[strlen(line)] = '\r';
		} else if (strncasecmp(line, "Content-Length:", 15) == 0) {
			r->length = strtoul(line + 15, NULL, 10);
		} else if (strncasecmp(line, "Transfer-Encoding:", 18) == 0) {
			r->chunked = true;
		}
	}
	r->left = r->length;
	return true;
}

/* Some of the body has come. */
static void
add_body(struct request *r, const unsigned char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		r->a = (r->a + p[i]) % 65521;
		r->b = (r->b + r->a) % 65521;
	}
	r->left -= n;
}

/* Whether the connection stays behind the answer. */
static bool
answer(int client, const struct request *r, const char *name, bool leaving)
{
	bool keep = r->keep && r->left == 0 && !r->chunked && !leaving;
	char body[2300], text[2600], host[INET6_ADDRSTRLEN] = "-";
	struct sockaddr_storage addr;
	socklen_t size = sizeof(addr);
	int n, len;

	if (getpeername(client, (struct sockaddr *)&addr, &size) == 0)
		inet_ntop(addr.ss_family, addr.ss_family == AF_INET6 ?
		    (void *)&((struct sockaddr_in6 *)&addr)->sin6_addr :
		    (void *)&((struct sockaddr_in *)&addr)->sin_addr, host,
		    sizeof(host));
	n = snprintf(body, sizeof(body), "%s %s %s %s", name, r->method,
	    r->target, host);
	if (strcmp(r->method, "POST") == 0)
		n += snprintf(body + n, sizeof(body) - (size_t)n,
		    " %zu %08lx", r->length, (unsigned long)r->b << 16 | r->a);
	strcat(body, "\n");
	len = snprintf(text, sizeof(text), "HTTP/1.1 %s\r\n"
	    "Content-Length: %d\r\nConnection: %s\r\n\r\n%s",
	    r->chunked ? "411 Length Required" : "200 OK", n + 1,
	    keep ? "keep-alive" : "close",
	    strcmp(r->method, "HEAD") == 0 ? "" : body);
	return send(client, text, (size_t)len, MSG_NOSIGNAL) == len && keep;
}
