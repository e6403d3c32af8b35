/*
 * A worker in C that serves one client at a time, in as many processes as it is
 * told, each with a channel of its own:
 *
 *	cc -Icompanions -o worker examples/worker_fork.c companions/fdbackend.c
 *	./worker /tmp/app.workers C 4
 *	fdproxy -l 8080 -r /=workers:/tmp/app.workers,flusher=none,wait=5s
 */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdbackend.h"
#include "worker_request.h"

static volatile sig_atomic_t leaving;
static volatile int channel = -1;

/* No more promises; who is under way already is served. */
static void
leave(int sig)
{
	leaving = sig;
	if (channel != -1)
		fdbackend_leave(channel);
}

static void
serve(int client, const char *name)
{
	static unsigned char bytes[65536];
	struct timeval patience = { 30, 0 };
	struct request r;
	ssize_t n = 1;

	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience));
	if (read_head(client, &r)) {
		while (r.left > 0 && !r.chunked && (n = recv(client, bytes,
		    r.left < sizeof(bytes) ? r.left : sizeof(bytes), 0)) > 0)
			add_body(&r, bytes, (size_t)n);
		if (n > 0 && answer(client, &r, name, leaving) &&
		    fdbackend_give_back(channel, client, 1) == 0)
			return;
	}
	fdbackend_finish(client, 2000);
	fdbackend_ask(channel, 1);
}

static int
work(const char *path, const char *name)
{
	unsigned int step = 0;
	int client, took;

	while (!leaving) {
		channel = fdbackend_connect(path);
		if (channel == -1) {
			poll(NULL, 0, (int)fdbackend_delay(&step));
			continue;
		}
		fdbackend_ask(channel, 1);
		while ((took = fdbackend_take(channel, &client)) != 0) {
			step = 0;
			if (took == 1)
				serve(client, name);
			else
				fdbackend_ask(channel, 1);
		}
		close(channel);
		channel = -1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	pid_t pids[64];
	int i, n = argc > 3 ? atoi(argv[3]) : 4;

	if (argc < 2 || n < 1 || n > 64)
		return 2;
	signal(SIGTERM, leave);
	for (i = 0; i < n; i++) {
		pids[i] = fork();
		if (pids[i] != 0)
			continue;
#ifdef PR_SET_PDEATHSIG
		prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
		_exit(work(argv[1], argc > 2 ? argv[2] : "C"));
	}
	while (!leaving)
		poll(NULL, 0, 1000);
	for (i = 0; i < n; i++)
		kill(pids[i], SIGTERM);
	while (wait(NULL) != -1)
		;
	return 0;
}
