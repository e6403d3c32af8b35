/* See LICENSE for copyright and license details. */
#ifndef FDEXEC_CGI_H
#define FDEXEC_CGI_H

#include <stdbool.h>

#include "http_parse.h"
#include "sock.h"

/*
 * The environment of the programs that fdexec runs: what it says of their
 * client is UCSPI's, of the request RFC 3875's (CGI).
 */

/* Of a request's head: joining fields is quadratic. */
extern const struct http_limits fdexec_cgi_limits;

/*
 * Take out what a program would believe to be about its client, or meant for
 * it by a supervisor, and is about fdexec.
 */
void	fdexec_cgi_clean(void);

/* Set the variables about a connection, about a request.  False with errno. */
bool	fdexec_cgi_connection(const struct sock_addr *local,
	    const struct sock_addr *remote);
bool	fdexec_cgi_request(const struct http_head *head);

/* All of these for a CGI program, and its others.  EINVAL is a path that none
   may get. */
bool	fdexec_cgi_script(const struct http_head *head,
	    const struct sock_addr *local, const struct sock_addr *remote);

/*
 * The head of a CGI program's output, in the len bytes at buf, as the head of a
 * response: terminated, in the FDEXEC_CGI_HEAD bytes at dst.  Returns its
 * status, and in *used how many bytes of buf it took; 0, more must come; -1, it
 * is no such head.
 */
#define FDEXEC_CGI_HEAD	((size_t)2 * HTTP_HEAD_MAX)
int	fdexec_cgi_answer(const char *buf, size_t len, char *dst,
	    size_t *used);

/* The text that stands beside a status, or "". */
const char	*fdexec_cgi_reason(int status);

#endif
