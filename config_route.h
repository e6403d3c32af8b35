/* See LICENSE for copyright and license details. */
#ifndef CONFIG_ROUTE_H
#define CONFIG_ROUTE_H

#include "config_read.h"

/* ProxyPass: a route with its parameters becomes a target. */

/* Read the words of the directive, NULL behind them; errors are reported. */
void	config_route_set(struct config_reader *r, char **words);

/*
 * When all is read: make the flushers, number the sockets; errors are reported.
 * Without any, warn about routes that can never match.
 */
void	config_route_finish(struct config_reader *r);
void	config_route_warn(struct config *config);

/* Log notes on a finished configuration, for those who test one. */
void	config_route_notes(const struct config *config);

/* Free all targets and flushers of a configuration, and the table of paths. */
void	config_route_free(struct config *config);

#endif
