/* See LICENSE for copyright and license details. */
#ifndef HEALTH_H
#define HEALTH_H

#include <stdint.h>

/*
 * A client for health checks: ask url ("http://127.0.0.1:8080/ready"; a
 * numeric address or localhost) once, for at most ms milliseconds.  0 if the
 * answer is a 2xx or 3xx; 1 after a message.
 */
int	health_check(const char *url, uint32_t ms);

#endif
