/* See LICENSE for copyright and license details. */

/*
 * fdaccept: becomes another program, with libfdaccept preloaded.
 */

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY	"libfdaccept.so"

#ifdef __APPLE__
#define PRELOAD	"DYLD_INSERT_LIBRARIES"
#else
#define PRELOAD	"LD_PRELOAD"
#endif

/* Exit statuses as env(1) has them. */
enum {
	EXIT_OWN = 125,			/* our own failure */
	EXIT_CANNOT = 126,		/* the command cannot be run */
	EXIT_ABSENT = 127		/* there is no such command */
};

static const char usage[] =
    "usage: fdaccept [-hV] command [arg ...]\n";

static void
help(void)
{
	printf("%s\n"
	    "Runs a server whose accept(2), on a unix socket, takes clients "
	    "from fdproxy.\n\n"
	    "  -h   this help\n"
	    "  -V   print the version and exit\n\n"
	    "FDACCEPT, if set, names the sockets, with colons between them.\n"
	    "FDACCEPT_ADDRESS=unix is for servers in Rust, which take no "
	    "others.\n\n"
	    "Example: fdaccept gunicorn --bind unix:/run/app.sock app:app\n",
	    usage);
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
	snprintf(path, PATH_MAX, "%s", LIBDIR "/" LIBRARY);
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

/* Returns -1 to go on, or an exit status. */
static int
options(int argc, char **argv)
{
	int ch;

	/* glibc would look for options behind the command, but for "+". */
	while ((ch = getopt(argc, argv, "+hV")) != -1) {
		switch (ch) {
		case 'h':
			help();
			return 0;
		case 'V':
			printf("fdaccept %s\n", VERSION);
			return 0;
		default:
			fputs(usage, stderr);
			return EXIT_OWN;
		}
	}
	if (optind == argc) {
		fputs(usage, stderr);
		return EXIT_OWN;
	}
	return -1;
}

int
main(int argc, char **argv)
{
	char library[PATH_MAX];
	int status, error;

	status = options(argc, argv);
	if (status != -1)
		return status;
	if (!find_library(argv[0], library)) {
		fprintf(stderr, "fdaccept: %s: %s (\"make install\" puts it "
		    "there; one that is not installed is found beside "
		    "./fdaccept)\n", library, strerror(errno));
		return EXIT_OWN;
	}
	/* The loader would take it for two, and run the server without. */
	if (strpbrk(library, ": ") != NULL) {
		fprintf(stderr, "fdaccept: a path with a colon or a space "
		    "cannot be preloaded: %s\n", library);
		return EXIT_OWN;
	}
	if (!preload(library)) {
		fprintf(stderr, "fdaccept: %s: %s\n", PRELOAD,
		    strerror(errno));
		return EXIT_OWN;
	}
	execvp(argv[optind], argv + optind);
	error = errno;
	fprintf(stderr, "fdaccept: %s: %s\n", argv[optind], strerror(error));
	return error == ENOENT ? EXIT_ABSENT : EXIT_CANNOT;
}
