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

/*
 * Take out what a program would believe to be about its client, or meant for
 * it by a supervisor, and is about fdexec.
 */
void	fdexec_cgi_clean(void);

/* Set the variables about a connection, about a request.  False with errno. */
bool	fdexec_cgi_connection(const struct sock_addr *local,
	    const struct sock_addr *remote);
bool	fdexec_cgi_request(const struct http_head *head);

#endif
