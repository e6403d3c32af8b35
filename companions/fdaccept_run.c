/* See LICENSE for copyright and license details. */

/*
 * fdaccept: becomes another program, with libfdaccept preloaded.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <elf.h>
#include <sys/xattr.h>
#endif

#include "fdaccept.h"
#include "proc.h"
#include "sock.h"
#include "super.h"
#include "text.h"

#define LIBRARY	"libfdaccept.so"

#ifdef __APPLE__
#define PRELOAD	"DYLD_INSERT_LIBRARIES"
#else
#define PRELOAD	"LD_PRELOAD"
#endif

/* As nginx and fdproxy have it; net.core.somaxconn bounds it. */
#define BACKLOG	511

/* Below this, a descriptor can be used with select(2) by whoever finds it. */
#define HIGH_FD	1023

/* A script's interpreter may be a script: Linux takes four of them. */
#define SCRIPTS_MAX	4

/* Exit statuses as env(1) has them. */
enum {
	EXIT_OWN = 125,			/* our own failure */
	EXIT_CANNOT = 126,		/* the command cannot be run */
	EXIT_ABSENT = 127		/* there is no such command */
};

static const char usage[] =
    "usage: fdaccept [-hkV] [-p port[=socket]] command [arg ...]\n";

static void
help(void)
{
	printf("%s\n"
	    "Runs a server whose accept(2) takes clients from fdproxy.\n\n"
	    "  -h   this help\n"
	    "  -k   leave keep-alive on, for a server that has all routes\n"
	    "  -p   the server's TCP port becomes this unix socket (else one "
	    "of LISTEN_FDS)\n"
	    "  -V   print the version and exit\n\n"
	    "FDACCEPT, if set, names the sockets, with colons between them.\n"
	    "FDACCEPT_ADDRESS=unix is for servers in Rust, which take no "
	    "others.\n\n"
	    "Example: fdaccept -p 3000=/run/app.sock node server.js\n",
	    usage);
}

static void	fail(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/* Say why, in one line, and exit. */
static void
fail(const char *fmt, ...)
{
	va_list ap;

	fputs("fdaccept: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	putc('\n', stderr);
	exit(EXIT_OWN);
}

/*
 * The library's absolute path: beside this program where that was built, else
 * where it is installed.  A program that was found in PATH is installed.
 */
static bool
find_library(const char *self, char path[PATH_MAX])
{
	char *slash;

	if (strchr(self, '/') != NULL && realpath(self, path) != NULL) {
		slash = strrchr(path, '/') + 1;
		if (sizeof(LIBRARY) <= (size_t)(path + PATH_MAX - slash)) {
			memcpy(slash, LIBRARY, sizeof(LIBRARY));
			if (access(path, R_OK) == 0)
				return true;
		}
	}
	snprintf(path, PATH_MAX, "%s", PRELOADDIR "/" LIBRARY);
	return access(path, R_OK) == 0;
}

/* First in the list, so that it stands before whatever else has an accept. */
static bool
preload(const char *library)
{
	const char *old = getenv(PRELOAD);
	char *list;
	size_t size;
	bool done;

	if (old == NULL || *old == '\0')
		return setenv(PRELOAD, library, 1) == 0;
	size = strlen(library) + strlen(old) + 2;
	list = malloc(size);
	if (list == NULL)
		return false;
	snprintf(list, size, "%s:%s", library, old);
	done = setenv(PRELOAD, list, 1) == 0;
	free(list);
	return done;
}

/* ---- what cannot be preloaded ---- */

#ifdef __linux__

/* What there is to know of a program's file. */
struct program {
	char interpreter[PATH_MAX];	/* PT_INTERP; "": it is static */
	bool elf;
	bool go;
};

/* The bytes of file at offset; false if they are not all there. */
static bool
read_at(int fd, void *dst, size_t n, unsigned long long offset)
{
	return offset <= LLONG_MAX / 2 &&
	    pread(fd, dst, n, (off_t)offset) == (ssize_t)n;
}

/* Whether one of the notes in such a segment is Go's. */
static bool
is_go(int fd, unsigned long long at, unsigned long long size)
{
	struct {
		Elf32_Nhdr header;	/* the same in both classes */
		char name[4];
	} note;
	unsigned long long end = at + size;

	while (at < end && read_at(fd, &note, sizeof(note), at)) {
		if (note.header.n_namesz == sizeof(note.name) &&
		    memcmp(note.name, "Go\0", sizeof(note.name)) == 0)
			return true;
		at += sizeof(note.header) +
		    ((note.header.n_namesz + 3ull) & ~3ull) +
		    ((note.header.n_descsz + 3ull) & ~3ull);
	}
	return false;
}

static void
read_segment(int fd, unsigned int type, unsigned long long offset,
    unsigned long long size, struct program *p)
{
	if (type == PT_NOTE)
		p->go = p->go || is_go(fd, offset, size);
	if (type == PT_INTERP && size < sizeof(p->interpreter) &&
	    read_at(fd, p->interpreter, (size_t)size, offset))
		p->interpreter[size] = '\0';
}

/* elf(5), of either class, in this machine's order of bytes. */
static void
read_elf(int fd, struct program *p)
{
	union {
		unsigned char ident[EI_NIDENT];
		Elf32_Ehdr e32;
		Elf64_Ehdr e64;
	} head;
	Elf32_Phdr p32;
	Elf64_Phdr p64;
	unsigned int i;

	memset(p, 0, sizeof(*p));
	memset(&head, 0, sizeof(head));
	if (!read_at(fd, &head, sizeof(head.e32), 0) ||
	    memcmp(head.ident, ELFMAG, SELFMAG) != 0)
		return;
	p->elf = true;
	if (head.ident[EI_CLASS] == ELFCLASS32) {
		for (i = 0; i < head.e32.e_phnum && read_at(fd, &p32,
		    sizeof(p32), head.e32.e_phoff + i * sizeof(p32)); i++)
			read_segment(fd, p32.p_type, p32.p_offset,
			    p32.p_filesz, p);
	} else if (read_at(fd, &head.e64, sizeof(head.e64), 0)) {
		for (i = 0; i < head.e64.e_phnum && read_at(fd, &p64,
		    sizeof(p64), head.e64.e_phoff + i * sizeof(p64)); i++)
			read_segment(fd, p64.p_type, p64.p_offset,
			    p64.p_filesz, p);
	}
}

/* The interpreter of a script, in path; false if the file is none. */
static bool
read_script(int fd, char path[PATH_MAX])
{
	char line[PATH_MAX], *p = line + 2;
	ssize_t n = pread(fd, line, sizeof(line) - 1, 0);

	if (n < 2 || memcmp(line, "#!", 2) != 0)
		return false;
	line[n] = '\0';
	p += strspn(p, " \t");
	p[strcspn(p, " \t\r\n")] = '\0';
	snprintf(path, PATH_MAX, "%s", p);
	return true;
}

/* The loader ignores preloaded libraries where rights would be gained. */
static bool
gains_rights(int fd, const struct stat *st)
{
	return ((st->st_mode & S_ISUID) && st->st_uid != getuid()) ||
	    ((st->st_mode & S_ISGID) && st->st_gid != getgid()) ||
	    (getuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) >
	    0);
}

static bool
is_same_file(const char *a, const char *b)
{
	struct stat x, y;

	return strcmp(a, b) == 0 || (stat(a, &x) == 0 && stat(b, &y) == 0 &&
	    x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

/*
 * Refuse what would run without the library, and take connections of fdproxy
 * for clients.  What cannot be read or is no program is execve(2)'s to refuse.
 */
static void
check_program(char path[PATH_MAX])
{
	struct program own, theirs;
	struct stat st;
	int fd, scripts = 0;
	bool script, gains;

	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	read_elf(fd, &own);
	close(fd);
	do {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd == -1 || fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
			close(fd);
			return;
		}
		read_elf(fd, &theirs);
		gains = gains_rights(fd, &st);
		script = !theirs.elf && read_script(fd, path);
		close(fd);
	} while (script && scripts++ < SCRIPTS_MAX);
	if (!theirs.elf)
		return;
	if (theirs.go)
		fail("%s: written in Go, which makes its system calls by "
		    "itself: it has to receive the descriptor itself, see "
		    "examples/http_server.go", path);
	if (*theirs.interpreter == '\0')
		fail("%s: linked statically, so nothing can be preloaded; if "
		    "it only starts the server, put fdaccept behind it", path);
	if (*own.interpreter != '\0' &&
	    !is_same_file(theirs.interpreter, own.interpreter))
		fail("%s: loaded by %s, this fdaccept by %s: the server needs "
		    "a fdaccept that was built for its C library", path,
		    theirs.interpreter, own.interpreter);
	if (gains)
		fail("%s: it is given more rights than ours, so nothing is "
		    "preloaded; start fdaccept as that user, or take its "
		    "set-user-ID bit or capabilities away", path);
}

/* ---- the port ---- */

static bool
is_unix(int fd)
{
	struct sock_addr addr;

	return sock_name(fd, &addr) == 0 && addr.u.sa.sa_family == AF_UNIX;
}

/* The one socket that our starter has left; the server does not see it. */
static int
take_inherited(void)
{
	int n = super_listen_fds();

	if (n == 0)
		fail("-p: no socket is named, and our starter has left none "
		    "(LISTEN_FDS); say -p port=/path/of/socket");
	if (!is_unix(SUPER_LISTEN_FD))
		fail("-p: descriptor %d (LISTEN_FDS) is no unix socket",
		    SUPER_LISTEN_FD);
	if (n > 1)
		fail("-p: our starter has left %d sockets (LISTEN_FDS), and "
		    "there is one port", n);
	return SUPER_LISTEN_FD;
}

static int
listen_on(const char *path)
{
	struct sock_addr addr;
	int fd;

	if (super_count_listen_fds() > 0 && is_unix(SUPER_LISTEN_FD))
		fail("-p: our starter has left a socket (LISTEN_FDS, :child), "
		    "which nobody would serve; say -p port alone");
	if (!sock_unix(&addr, path, strlen(path)))
		fail("-p: a socket's path has 1 to %zu bytes: %s",
		    sizeof(addr.u.un.sun_path) - 1, path);
	fd = sock_listen(&addr, BACKLOG, false, -1);
	if (fd == -1)
		fail("-p: cannot listen on %s: %s%s", path, strerror(errno),
		    errno == EADDRINUSE ? " (by another server, or by a "
		    "process that an earlier one has left)" : "");
	return fd;
}

/*
 * Make the socket that stands for the port, at a number that programs do not
 * use, and tell the library.
 */
static void
give_port(char *value)
{
	char *equals = strchr(value, '='), text[64];
	unsigned long port;
	struct rlimit limit;
	struct stat st;
	int fd, high;

	if (equals != NULL)
		*equals++ = '\0';
	if (!text_number(value, 10, 65535, &port) || port == 0)
		fail("-p: not a port from 1 to 65535: %s", value);
	if (equals != NULL && *equals == '\0')
		fail("-p: the socket's path is missing behind the =");
	fd = equals == NULL ? take_inherited() : listen_on(equals);
	if (getrlimit(RLIMIT_NOFILE, &limit) == -1 || limit.rlim_cur > HIGH_FD)
		limit.rlim_cur = HIGH_FD + 1;
	for (high = (int)limit.rlim_cur - 1; high > fd; high--)
		if (fcntl(high, F_GETFD) == -1 && dup2(fd, high) != -1)
			break;
	if (high > fd)
		close(fd);
	/* A server that blocks in accept must not find it otherwise. */
	if (fstat(high, &st) == -1 || sock_nonblock(high, false) == -1 ||
	    fcntl(high, F_SETFD, 0) == -1)
		fail("-p: descriptor %d: %s", high, strerror(errno));
	snprintf(text, sizeof(text), "%lu %d %llu", port, high,
	    (unsigned long long)st.st_ino);
	setenv(FDACCEPT_PORT, text, 1);
}

#endif

/* Returns what -p says, or NULL.  Exits for a wrong usage, -h and -V. */
static char *
options(int argc, char **argv)
{
	char *port = NULL;
	bool keep = false;
	int ch;

	/* glibc would look for options behind the command, but for "+". */
	while ((ch = getopt(argc, argv, "+hkp:V")) != -1) {
		switch (ch) {
		case 'h':
			help();
			exit(0);
		case 'k':
			keep = true;
			break;
		case 'p':
			if (port != NULL)
				fail("-p: only one port can be given");
			port = optarg;
			break;
		case 'V':
			printf("fdaccept %s\n", VERSION);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(EXIT_OWN);
		}
	}
	if (optind == argc) {
		fputs(usage, stderr);
		exit(EXIT_OWN);
	}
	unsetenv(FDACCEPT_KEEP);
	unsetenv(FDACCEPT_PORT);
	if (keep)
		setenv(FDACCEPT_KEEP, "1", 1);
	return port;
}

/* What must be so for the command to run with the library in it. */
static void
prepare(const char *self, const char *command, char *port)
{
	char library[PATH_MAX];
#ifdef __linux__
	char path[PATH_MAX];
#endif

	if (!find_library(self, library))
		fail("%s: %s (\"make install\" puts it there; one that is not "
		    "installed is found beside fdaccept if that is called by "
		    "its path)", library, strerror(errno));
	/* The loader would take it for two, or put something in its place. */
	if (strpbrk(library, ": $") != NULL)
		fail("a path with a colon, a space or a dollar sign cannot be "
		    "preloaded: %s", library);
#ifdef __linux__
	if (proc_find_program(command, path, sizeof(path)))
		check_program(path);
	if (port != NULL)
		give_port(port);
#else
	(void)command;
	if (port != NULL)
		fail("-p: only on Linux can a unix socket stand for a port");
#endif
	if (!preload(library))
		fail("%s: %s", PRELOAD, strerror(errno));
	/* Its workers must accept by themselves: clients sent on are lost. */
	setenv("NODE_CLUSTER_SCHED_POLICY", "none", 0);
}

int
main(int argc, char **argv)
{
	char *port = options(argc, argv);
	int error;

	prepare(argv[0], argv[optind], port);
	execvp(argv[optind], argv + optind);
	error = errno;
	fprintf(stderr, "fdaccept: %s: %s\n", argv[optind], strerror(error));
	return error == ENOENT ? EXIT_ABSENT : EXIT_CANNOT;
}
