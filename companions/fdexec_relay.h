/* See LICENSE for copyright and license details. */
#ifndef FDEXEC_RELAY_H
#define FDEXEC_RELAY_H

#include "sock.h"

/*
 * A CGI program (RFC 3875) and its client, in a process of their own: the
 * request's head is read here, the program gets its body, and what it writes
 * becomes a response.
 */

/*
 * Serve the client with the program argv; signals are as at a process's start,
 * and descriptors that the program is not to have are closed by execvp(3).  If
 * that fails, its errno is written to failed.  Ends with 128 and the signal
 * that ended the program, with FDEXEC_RELAY_BAD for an output that does not
 * begin with a head, FDEXEC_RELAY_SILENT if no request came; else with 0.  The
 * client is not closed before, but perhaps reset.
 */
#define FDEXEC_RELAY_BAD	1
#define FDEXEC_RELAY_SILENT	2
_Noreturn void	fdexec_relay(int client, const struct sock_addr *local,
		    const struct sock_addr *remote, char **argv, int failed);

#endif
