/* See LICENSE for copyright and license details. */
#ifndef SERVE_H
#define SERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "conn.h"
#include "poller.h"
#include "worker.h"

/*
 * What conn wants becomes calls of the poller.
 */

/* Names for the poller: listeners, these, workers, then the slots. */
enum {
	SERVE_SIGNALS = CONFIG_LISTENERS + CONFIG_WORKERS,
	SERVE_PARENT,		/* the pipe of an old process */
	SERVE_WORKERS,
	SERVE_CLIENTS = SERVE_WORKERS + WORKER_TABLE
};

/*
 * Do what conn wants for a client, which may be on the stack: it gets a slot
 * if it must wait, if need be another's, or is refused.
 */
void	serve_client(struct conn *c, enum conn_want want);

/* Close a client, watched or not. */
void	serve_close(struct conn *c);

#endif
