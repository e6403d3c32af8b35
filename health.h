/* See LICENSE for copyright and license details. */
#ifndef HEALTH_H
#define HEALTH_H

#include <stdint.h>

/*
 * A client for health checks: ask url once, for at most ms milliseconds.  It is
 * "http://127.0.0.1:8080/ready", with a numeric address or localhost, or
 * "unix:/run/http.sock:/ready".  0 if the answer is a 2xx or 3xx; 1 after a
 * message.
 */
int	health_check(const char *url, uint32_t ms);

#endif
