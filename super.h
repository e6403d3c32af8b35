/* See LICENSE for copyright and license details. */
#ifndef SUPER_H
#define SUPER_H

#include <stdbool.h>

/*
 * Supervisors leave listening sockets, and expect to hear of readiness; where
 * there is none, a daemon and a file with the process id.
 */

/*
 * The number of listening sockets, from descriptor SUPER_LISTEN_FD on, that
 * were left there for us (LISTEN_FDS and LISTEN_PID, sd_listen_fds(3)).
 * super_listen_fds() also takes the variables out of the environment.
 */
#define SUPER_LISTEN_FD	3
int	super_count_listen_fds(void);
int	super_listen_fds(void);

/*
 * The other way: tell the program that is executed next that there are n
 * (false without memory), and leave fd open for it, as that number.
 */
bool	super_leave_listen_fds(int n);
void	super_leave_fd(int fd, int number);

/*
 * Find the supervisor in NOTIFY_SOCKET (sd_notify(3)), while its path can be
 * reached, and take the variable out of the environment.  super_notify() then
 * tells the supervisor a state, "READY=1" or "STOPPING=1"; without a supervisor
 * it does nothing.
 */
void	super_notify_open(void);
void	super_notify(const char *state);

/* The same for "RELOADING=1", with the time that systemd wants to know. */
void	super_notify_reloading(void);

/*
 * The supervisor's socket, which stays ours, or -1; take over the one that the
 * program before us has connected; forget it, in a process that is not the
 * service any more.
 */
int	super_notify_fd(void);
void	super_notify_adopt(int fd);
void	super_notify_forget(void);

/* Write a newline to fd and close it: we are ready, s6 fashion. */
void	super_ready(int fd);

/*
 * Go on as a child in a session of its own.  The parent stays in here until
 * super_daemon_ready(), then exits with status 0; if the child exits before,
 * with its status.  False after a message.  With ready, descriptors 0 to 2
 * become null.
 */
bool	super_daemon(void);
void	super_daemon_ready(int null);

/*
 * Open and lock the file for the process id at path, which must stay; or false,
 * after a message with the process that holds it.  Write our process id; remove
 * the file, or empty it where it cannot be removed any more.
 */
bool	super_pid_open(const char *path);
void	super_pid_write(void);
void	super_pid_remove(void);

/*
 * The descriptor of that file, which stays here, or -1.  Take over fd, which
 * the program before us has locked: super_pid_open() uses it if it is the file
 * at its path.  Close the descriptor, if there is to be no such file.
 */
int	super_pid_fd(void);
void	super_pid_adopt(int fd);
void	super_pid_forget(void);

#endif
