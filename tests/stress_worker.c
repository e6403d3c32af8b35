/* See LICENSE for copyright and license details. */

/*
 * A worker that stress.py kills, or lets end, and that counts in a file what it
 * has done, so that the count outlives it:
 *
 *	stress_worker socket name promises counts clients
 *
 * One that is called "flush" finds the head written, and writes a body; others
 * answer, and give back.  After so many clients it asks for no more, finishes,
 * and ends; 0: it does not.
 */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fdbackend.h"
#include "../examples/worker_request.h"

static struct {
	atomic_ullong taken;
	atomic_ullong finished;	/* the client has all of it */
} *counts;

static const char *name;

/* Whether the connection stays behind the answer. */
static bool
serve(int client, bool leaving)
{
	static const char body[] = "a body\n";
	static unsigned char bytes[65536];
	struct request r;
	ssize_t n = 1;

	if (strcmp(name, "flush") == 0) {
		(void)!send(client, body, sizeof(body) - 1, MSG_NOSIGNAL);
		return false;
	}
	if (!read_head(client, &r))
		return false;
	while (r.left > 0 && (n = recv(client, bytes, r.left < sizeof(bytes) ?
	    r.left : sizeof(bytes), 0)) > 0)
		add_body(&r, bytes, (size_t)n);
	return answer(client, &r, name, leaving);
}

static void
work(int channel, unsigned int promises, unsigned long clients)
{
	int client, took;
	bool leaving = false;

	fdbackend_ask(channel, promises);
	while ((took = fdbackend_take(channel, &client)) == 1) {
		atomic_fetch_add(&counts->taken, 1);
		if (clients > 0 && --clients == 0) {
			fdbackend_leave(channel);
			leaving = true;
		}
		/* What is given back may be lost until it is. */
		if (!serve(client, leaving) ||
		    fdbackend_give_back(channel, client, 1) == -1) {
			fdbackend_end(client);
			atomic_fetch_add(&counts->finished, 1);
			fdbackend_finish(client, 2000);
			if (!leaving)
				fdbackend_ask(channel, 1);
		} else {
			atomic_fetch_add(&counts->finished, 1);
		}
	}
}

int
main(int argc, char **argv)
{
	int channel, fd = argc == 6 ? open(argv[4], O_RDWR | O_CREAT, 0600) :
	    -1;

	if (fd == -1 || ftruncate(fd, sizeof(*counts)) == -1)
		return 2;
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	if (counts == MAP_FAILED)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	name = argv[2];
	while ((channel = fdbackend_connect(argv[1])) == -1)
		poll(NULL, 0, 5);
	work(channel, (unsigned int)strtoul(argv[3], NULL, 10),
	    strtoul(argv[5], NULL, 10));
	return 0;
}
