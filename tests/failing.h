/* See LICENSE for copyright and license details. */
#ifndef FAILING_H
#define FAILING_H

/*
 * Put before each file of fdproxy, with FAIL_CALLS: one call of those below
 * fails, as it may for want of memory, of descriptors, or of whatever else the
 * system has too little of.  Not those that only fail by a mistake of ours, nor
 * what says what is wrong.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/epoll.h>
#endif
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * In a file that all processes map, the environment's FAILING: the test, what
 * it starts, and what comes of that.  So it can choose the call at any time.
 */
struct failing {
	int at;			/* this one fails, from 1; 0: none */
	_Atomic int count;	/* of calls, in all processes */
	char call[32];		/* the one that has failed */
};

/* Whether this call fails: then errno is the error. */
bool	failing(const char *call, int error);

#ifdef FAIL_CALLS
#define FAILS(call, error, result, ...)					\
	(failing(#call, error) ? (result) : call(__VA_ARGS__))
#define FIRST(a, ...)	a

#define accept4(...)	FAILS(accept4, EMFILE, -1, __VA_ARGS__)
#define bind(...)	FAILS(bind, EADDRINUSE, -1, __VA_ARGS__)
#define calloc(...)	FAILS(calloc, ENOMEM, NULL, __VA_ARGS__)
#define chdir(...)	FAILS(chdir, EIO, -1, __VA_ARGS__)
#define chmod(...)	FAILS(chmod, EPERM, -1, __VA_ARGS__)
#define connect(...)	FAILS(connect, ENOMEM, -1, __VA_ARGS__)
#define epoll_create1(...) FAILS(epoll_create1, EMFILE, -1, __VA_ARGS__)
#define epoll_ctl(...)	FAILS(epoll_ctl, ENOMEM, -1, __VA_ARGS__)
#define execv(...)	FAILS(execv, ENOMEM, -1, __VA_ARGS__)
#define execvp(...)	FAILS(execvp, ENOMEM, -1, __VA_ARGS__)
#define fchmodat(...)	FAILS(fchmodat, EPERM, -1, __VA_ARGS__)
#define fchownat(...)	FAILS(fchownat, EPERM, -1, __VA_ARGS__)
#define fork()		(failing("fork", EAGAIN) ? -1 : fork())
#define fstat(...)	FAILS(fstat, EIO, -1, __VA_ARGS__)
#define ftruncate(...)	FAILS(ftruncate, EIO, -1, __VA_ARGS__)
#define getpwnam(...)	FAILS(getpwnam, EIO, NULL, __VA_ARGS__)
#define initgroups(...)	FAILS(initgroups, ENOMEM, -1, __VA_ARGS__)
#define listen(...)	FAILS(listen, EADDRINUSE, -1, __VA_ARGS__)
#define malloc(...)	FAILS(malloc, ENOMEM, NULL, __VA_ARGS__)
#define open(...)	FAILS(open, EMFILE, -1, __VA_ARGS__)
#define pipe(...)	FAILS(pipe, EMFILE, -1, __VA_ARGS__)
#define pread(...)	FAILS(pread, EIO, -1, __VA_ARGS__)
#define pwrite(...)	FAILS(pwrite, ENOSPC, -1, __VA_ARGS__)
#define realloc(...)	FAILS(realloc, ENOMEM, NULL, __VA_ARGS__)
#define send(...)	FAILS(send, ENOBUFS, -1, __VA_ARGS__)
#define sendmsg(...)	FAILS(sendmsg, ENOBUFS, -1, __VA_ARGS__)
#define setegid(...)	FAILS(setegid, EPERM, -1, __VA_ARGS__)
#define setenv(...)	FAILS(setenv, ENOMEM, -1, __VA_ARGS__)
#define seteuid(...)	FAILS(seteuid, EAGAIN, -1, __VA_ARGS__)
#define setgid(...)	FAILS(setgid, EPERM, -1, __VA_ARGS__)
#define setsockopt(...)	FAILS(setsockopt, ENOBUFS, -1, __VA_ARGS__)
#define setuid(...)	FAILS(setuid, EAGAIN, -1, __VA_ARGS__)
#define socket(...)	FAILS(socket, EMFILE, -1, __VA_ARGS__)
#define socketpair(...)	FAILS(socketpair, EMFILE, -1, __VA_ARGS__)
#define strdup(...)	FAILS(strdup, ENOMEM, NULL, __VA_ARGS__)
/* Nobody waits for the next try. */
#define poll(p, n, ms)	poll(p, n, (n) == 0 ? 1 : (ms))
#define fcntl(fd, ...)							\
	((FIRST(__VA_ARGS__, 0) == F_DUPFD_CLOEXEC ||			\
	FIRST(__VA_ARGS__, 0) == F_SETLK) && failing("fcntl", ENOLCK) ?	\
	-1 : fcntl(fd, __VA_ARGS__))
#endif

#endif
