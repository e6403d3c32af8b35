/* See LICENSE for copyright and license details. */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flush.h"
#include "http_parse.h"
#include "route.h"
#include "sock.h"

/*
 * Directives become a struct config.  One table serves files, -c and the
 * short options.  Everything is allocated here, while reading; nothing is
 * changed once config_finish() has been called.
 */

#define CONFIG_LISTENERS	32	/* for clients */
#define CONFIG_WORKERS		32	/* sockets for workers */
#define CONFIG_SOCKETS		60000	/* different paths */
#define CONFIG_ERRORS		100	/* that are reported */

enum config_kind {
	CONFIG_SOCKET,		/* all below the path goes to one socket */
	CONFIG_DIRECTORY,	/* the next segment names the socket */
	CONFIG_EXCLUDED,	/* "!" */
	CONFIG_STATUS,		/* the counters, as text */
	CONFIG_READY		/* whether all backends accept */
};

/* The target of a route; its index is the route's. */
struct config_target {
	enum config_kind kind;
	struct sock_addr addr;	/* the socket; or the folder, with its '/' */
	size_t path_len;	/* of the path in addr */
	uint32_t queue;		/* the same number for the same socket path */
	struct flush *flush;
	bool compat;		/* details are as Apache's */
	bool payload_head;	/* the head goes behind the NUL byte */
	bool hold;		/* the flushed text may wait for the body */
	uid_t peer;		/* who must listen there; FDPASS_ANYBODY */
	uint32_t connect_ms;	/* how long to try a full backend */
	uint32_t wait_ms;	/* how long to try a missing one */
	uint32_t queue_max;	/* how many may wait; 0: a quarter of all */
	struct config_flush *flush_spec;	/* what flush is made from */
	char *path;		/* as configured, and where, for messages */
	char *where;
	bool first;		/* no route before leads to the same socket */
	bool workers;		/* they come and ask for clients, at addr */
	bool child;		/* the socket, or channel, of the command */
	bool hidden;		/* another route always comes first */
	uint64_t passed;	/* hand-offs: the one member that changes */
};

/* A flusher with its headers; many routes may share it. */
struct config_flush {
	struct config_flush *next;
	struct flush *flush;
	char *name;
	char *headers;
	char *where;
	bool own_server;	/* headers have a Server field */
};

/* An address to listen on, or a socket that listens. */
struct config_listen {
	struct sock_addr addr;
	int inherited;		/* this descriptor and no address, or -1 */
	bool twin;		/* the IPv4 half of the entry before; it may
				   serve alone */
	int mode;		/* of a socket file, or -1 */
	char *owner;		/* of the file, or NULL */
	char *group;
	bool workers;		/* it is for workers, not for clients */
	uint32_t queue;		/* of the targets that they work for, */
	uid_t peer;		/* and whose they must be */
};

struct config {
	struct config_listen listen[CONFIG_LISTENERS + CONFIG_WORKERS];
	int listeners;
	struct config_listen workers[CONFIG_WORKERS];	/* then behind these */
	int nworkers;
	struct route_table *routes;
	struct config_target *targets;
	uint32_t ntargets;
	uint32_t nqueues;	/* different socket paths */
	struct config_flush *flushes, **flush_end;
	struct http_limits limits;
	uint32_t head_ms;	/* RequestReadTimeout header= */
	uint32_t flush_ms;	/* Timeout */
	uint32_t keepalive_ms;	/* KeepAliveTimeout */
	uint32_t graceful_ms;	/* GracefulShutdownTimeout; 0: no end */
	uint32_t start_ms;	/* StartTimeout */
	uint32_t stop_ms;	/* StopTimeout */
	uint32_t stop_delay_ms;	/* StopDelay: goes on serving so long */
	int stop_signal;	/* StopSignal: asks the command to end */
	bool child;		/* some target is the command's socket */
	bool channel;		/* some target is the command's channel */
	bool has_workers;	/* some target has */
	uint32_t max_connections;	/* 0: as the descriptors allow */
	int backlog;		/* connections that wait to be accepted */
	bool defer;		/* AcceptFilter http data */
	int log_level;
	char *error_log;	/* for log_file(), or NULL */
	char *access_log;	/* or NULL */
	bool access_json;	/* as events */
	char *pid_file;		/* or NULL */
	struct flush_own own;
	char *date;		/* own.date, if it is a fixed one */
	char *user;		/* or NULL */
	char *group;
	char *chroot;		/* or NULL */
	int files;		/* read so far, */
	size_t bytes;		/* and their bytes */
	bool ended;		/* at a bound: no more is read */
	bool listen_seen;	/* a Listen, even a wrong one, or a file that
				   was not read and may have one */
	int errors;		/* the first CONFIG_ERRORS are reported */
	bool again;		/* clients are served: nothing may block */
	void (*report)(const char *line);
};

/*
 * A configuration with the defaults.  Each error in the text that is read is
 * given to report as one line "where: what", printable ASCII alone, and counted
 * in errors; reading goes on.  After CONFIG_ERRORS of them a last line says
 * that there are more, and reading ends; so it does where the files are too
 * many or too large.  NULL without memory.  config_free() frees targets and
 * flushers as well, and takes NULL.
 */
struct config	*config_new(void (*report)(const char *line));
void		 config_free(struct config *config);

/* Read a file ("-": standard input); Include is followed. */
void		 config_file(struct config *config, const char *path);

/*
 * Read len bytes of directives.  name stands for the file in messages; dir is
 * the folder that relative paths are under.
 */
void		 config_text(struct config *config, const char *name,
		    const char *dir, const char *text, size_t len);

/* -c, -l, -r and -u: relative paths are under the current folder. */
void		 config_directive(struct config *config, const char *text);
void		 config_listen(struct config *config, const char *address);
void		 config_route(struct config *config, const char *route);
void		 config_user(struct config *config, const char *user);

/*
 * A listening socket that we were started with, as Listen fd:N; one that is
 * named already stays as it is.
 */
void		 config_inherit(struct config *config, int fd);

/*
 * When all is read: make the flushers, number the sockets, warn about routes
 * that can never match.  Returns whether there were no errors at all.
 */
bool		 config_finish(struct config *config);

/* The socket of the command, for the targets that mean it. */
void		 config_child(struct config *config,
		    const struct sock_addr *addr);

/* The name of directive i, or NULL behind the last one. */
const char	*config_directive_name(size_t i);

#endif
