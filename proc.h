/* See LICENSE for copyright and license details. */
#ifndef PROC_H
#define PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * The process as such: its descriptors, limits, privileges and signals.
 */

/*
 * Open /dev/null as each of descriptors 0 to 2 that is closed, so that no
 * client ever gets one of these numbers.  False if that cannot be done.
 */
bool	proc_sane_fds(void);

/*
 * Raise the limit of descriptors to what is allowed.  Returns the limit in
 * force, cut to what an unsigned int holds.
 */
unsigned int	proc_raise_nofile(void);

/* Set the limit that we were started with, for a program to be executed. */
void	proc_restore_nofile(void);

/*
 * Make root the file system's root, then become user and group, for good
 * (NULL: as we are; a name, or a number): the user's groups are set, and it is
 * checked that there is no way back.  user without group: the user's own.
 * Nothing that is executed later can have more rights (Linux).  False after a
 * message.
 */
bool	proc_drop(const char *user, const char *group, const char *root);

/*
 * The ids of these names or numbers; NULL: leave it, as chown(2) has it.
 * False after a message.
 */
bool	proc_find_owner(const char *user, const char *group, uid_t *uid,
	    gid_t *gid);

/* Whether proc_drop() would find them; false after a message. */
bool	proc_knows(const char *user, const char *group);

/*
 * Have the rights to files that proc_drop() will leave to us, with these
 * arguments; and, as root, have our own again, but for the supplementary
 * groups.  False after a message.
 */
bool	proc_borrow(const char *user, const char *group);
bool	proc_give_back(void);

/* Make promises, on a system that takes them (OpenBSD).  False: a message. */
bool	proc_confine(void);

/*
 * Catch these signals, the last being 0, and with others all that a command
 * could be meant to get; ignore SIGPIPE and SIGXFSZ.  What was ignored stays
 * so, but for SIGTERM, SIGCHLD, SIGALRM, and SIGHUP without others.  Returns a
 * descriptor that is readable when a signal came, and stays here; or -1 with
 * errno.  Those that our starter, or the program before us, held back do not
 * come yet.  Called again, as in a child that shares that descriptor with its
 * parent: signals that were caught and are not in the list are ignored.
 */
int	proc_signals(const int *list, bool others);

/* Hold those signals back; with false: let them come. */
void	proc_hold_signals(bool on);

/* The number of descriptors below n that are open. */
unsigned int	proc_count_fds(unsigned int n);

/* In a child: as they were before, and none held back. */
void	proc_default_signals(void);

/*
 * The number of the next signal that came, or -1.  In *by_terminal whether the
 * system has sent it, for a key or a terminal that is gone: all processes of
 * the terminal's group have it.
 */
int	proc_signal(bool *by_terminal);

/*
 * Open /dev/null, while its path can be reached: the descriptor, or -1.  Later
 * proc_null() puts it in the place of fd, which is no longer ours to use, and
 * closes null; with -1 it closes fd.
 */
int	proc_open_null(void);
void	proc_null(int fd, int null);

/*
 * Find the file that name would be executed from, as execvp(3) does, and put
 * its path into dst.  False if there is none, or its path is too long.
 */
bool	proc_find_program(const char *name, char *dst, size_t size);

#endif
