/* See LICENSE for copyright and license details. */
#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "runner.h"

/*
 * The world of one end-to-end test: a folder of its own, the real fdproxy
 * (the environment's FDPROXY, or ./fdproxy) started in it on port 0, and the
 * test itself as client and as backend.  One thread: what the other side saw
 * is asserted on as it comes.  Whatever does not happen within WORLD_PATIENCE
 * fails the test; nothing sleeps for a fixed time.
 */

#define WORLD_PATIENCE	30000	/* ms */

/*
 * Begin and end; the folder is removed.  world_end() closes what the test was
 * given by client_ and backend_ functions and has not closed: a client before
 * the end of fdproxy, a listener after it.  If the test has come to its end
 * and fdproxy runs, it is world_stop(NULL) as well, or of the text that was
 * expected (a literal); else what runs is killed.
 */
void	world_begin(void);
void	world_expect(const char *text);
void	world_end(void);

/* The folder of the test, absolute. */
const char	*world_dir(void);

/*
 * Start fdproxy in the folder with -1, -l 127.0.0.1:0 and the given arguments,
 * up to a NULL; returns when it has printed its address.
 */
void	world_proxy(const char *arg, ...);

/* The same without -1 and -l, and not waiting for anything. */
void	world_spawn(const char *arg, ...);

/*
 * The same as world_proxy() for one that has a command, which writes to the
 * same standard output: not waiting, but for world_announced(), which takes
 * the first address alone.  Whether something was written within ms.
 */
void	world_launch(const char *arg, ...);
void	world_announced(void);
bool	world_wrote(int ms);

/* One more fdproxy beside it, with these arguments; its exit status. */
void	world_also(const char *arg, ...);
int	world_also_exit(void);

/* Limits that the next fdproxy starts with; 0: as we have. */
void	world_nofile(unsigned int limit);

/*
 * A copy of fdproxy in the folder; and that the next one is started from such
 * a file, which can be replaced then.
 */
void	world_copy(const char *name);
void	world_program(const char *name);

/* From now on, fdproxy is this process: a daemon that we have started. */
void	world_adopt(pid_t daemon);

/* The next fdproxy starts with descriptors 0 to 2 closed. */
void	world_closed(void);

/* The next fdproxy leads a session whose terminal, its descriptor 0, is fd. */
void	world_terminal(int fd);

/*
 * The next fdproxy inherits fd as descriptor number as, and finds name in its
 * environment; a value of "self" is its process id.
 */
void	world_inherit(int fd, int as);
void	world_environment(const char *name, const char *value);

/* The next fdproxy has a supervisor that it notifies: that one's socket. */
int	world_notified(void);

pid_t	world_pid(void);
int	world_port(void);

/* The n-th (from 0) line that it printed at its start. */
const char	*world_line(int n);

/*
 * Stop it with SIGTERM; it must exit 0, having as many descriptors open as
 * after its start.  What it wrote to standard error must be empty, but for who
 * waits for a missing backend; or hold the text, if that is not NULL.
 */
void	world_stop(const char *text);

/*
 * Send a signal, and after SIGSTOP wait until it stands still; wait for the
 * end: the status of waitpid(2).
 */
void	world_signal(int sig);
int	world_wait(void);

/* The same for one that must exit by itself: its exit status. */
int	world_exit(void);

/* What it has written to standard error so far, or till its end. */
const char	*world_errors(void);
const char	*world_also_errors(void);

/* How often it has written text there, and wait until it is so often. */
int	world_says(const char *text);
void	world_until_says(const char *text, int times);

/* How many descriptors it has open, and wait until there are n. */
int	world_fds(void);
void	world_until_fds(int n);

/* How often it has been put to sleep by the system (voluntary switches). */
long	world_sleeps(void);

/* Memory of its own, no file's, in KiB; -1 where that is not known. */
long	world_memory(void);

/* ---- backends ---- */

/* A listening socket called name in the folder. */
int	backend_listen(const char *name, int backlog);

/*
 * Accept the next hand-off: the client's descriptor.  The message must be one
 * NUL byte with one descriptor and then the end; with size > 0 a payload may
 * follow the NUL byte, copied to buf and terminated.
 */
int	backend_take(int listener);
int	backend_take_payload(int listener, char *buf, size_t size);

/* Whether somebody connects within ms milliseconds. */
bool	readable(int fd, int ms);

/* ---- clients ---- */

int	client_open(void);
int	client_port(int other);		/* of another listener */
int	client_open_small(void);	/* with a tiny receive buffer */
int	client_unix(const char *name);

void	send_text(int fd, const char *text);
void	send_bytes(int fd, const void *data, size_t len);

/* Read until the end of input; how it ended. */
enum ending { END_FIN, END_RESET };
enum ending	read_all(int fd, char *buf, size_t size, size_t *len);

/* Read exactly len bytes. */
void	read_exact(int fd, char *buf, size_t len);

/* A request on a new connection, its whole answer, which must end in a FIN. */
const char	*exchange(const char *request);

/*
 * Send the request over client, which is closed then, and serve it at the
 * backend: the client must see a 200 and its end.
 */
void	check_served(int client, int listener, const char *request);

void	close_all(int *fds, int n);

/* The status of such an answer. */
int	status_of(const char *answer);

/* A file in the folder; what it holds, and wait until it holds the text. */
void	write_file(const char *name, const char *text);
const char	*read_file(const char *name);
void	until_file(const char *name, const char *text);

/*
 * Whether fdproxy is a build with the BSDs' semantics (bsd.h), one that keeps
 * clients until the backend has taken them, one that uses poll(), one that
 * sends byte by byte, or one with sanitizers, whose memory is not its own (by
 * the file's name).
 */
bool	world_bsd(void);
bool	world_keeps(void);
bool	world_polls(void);
bool	world_torture(void);
bool	world_sanitized(void);

/*
 * Monotonic milliseconds.  The wall clock's second: no time that fdproxy has
 * read before is later, as it may be with time(3), which some C libraries take
 * from the last tick.
 */
long	now_ms(void);
time_t	now_wall(void);

#define ck_contains(text, part)						\
	ck_assert_msg(strstr((text), (part)) != NULL,			\
	    "\"%s\" does not hold \"%s\"", (text), (part))

#endif
