/* See LICENSE for copyright and license details. */
#include <string.h>

#include "request.h"

/*
 * The next segment alone names the socket in a directory target's folder.
 * Dot files are not for clients.
 */
static bool
find_socket(const struct config_target *t, const char *rest, size_t len,
    struct sock_addr *addr)
{
	char name[sizeof(addr->u.un.sun_path)];
	const char *slash = memchr(rest, '/', len);
	size_t n = slash == NULL ? len : (size_t)(slash - rest);

	if (n == 0 || *rest == '.' || t->path_len + n >= sizeof(name))
		return false;
	memcpy(name, t->addr.u.un.sun_path, t->path_len);
	memcpy(name + t->path_len, rest, n);
	return sock_unix(addr, name, t->path_len + n);
}

int
request_route(const struct config *config, struct request *r, char *normal,
    size_t size)
{
	const struct http_slice *path = &r->head.path;
	const struct config_target *t;
	const char *segment = NULL;
	size_t len, rest;
	int status, i;

	r->target = NULL;
	status = route_normalize(path->p, path->len, normal, size, &len);
	if (status != 0)
		return status;
	i = route_match(config->routes, normal, len, &rest);
	if (i == ROUTE_NONE)
		return 404;
	r->target = t = &config->targets[i];
	if (t->kind == CONFIG_EXCLUDED)
		return 404;
	if ((t->kind == CONFIG_STATUS || t->kind == CONFIG_READY) &&
	    !http_parse_equal(r->head.method, "GET") &&
	    !http_parse_equal(r->head.method, "HEAD"))
		return 405;
	if (t->kind == CONFIG_SOCKET) {
		r->addr = t->addr;
	} else if (t->kind == CONFIG_DIRECTORY) {
		if (!find_socket(t, normal + rest, len - rest, &r->addr))
			return 404;
		segment = r->addr.u.un.sun_path + t->path_len;
	}
	/* A backend that reads the head again may read another path. */
	if ((t->payload_head || (t->flush != NULL &&
	    !flush_consumes(t->flush))) && !route_agrees(config->routes, i,
	    segment, path->p, path->len, normal))
		return 400;
	return 0;
}
