/* See LICENSE for copyright and license details. */

/*
 * How many functions of fdproxy are called for one request: a GET whose head
 * comes at once, a backend that is there, no log.  FDPROXY names a build with
 * calls.c; what some requests cost more than none is theirs.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "world.h"

#define N	1000

static long
calls_of(int n)
{
	int listener = backend_listen("s", 16), client;
	const char *said;

	world_proxy("-r", "/app=s", NULL);
	for (; n > 0; n--) {
		client = client_open();
		send_text(client, "GET /app HTTP/1.1\r\nHost: x\r\n\r\n");
		close(backend_take(listener));
		close(client);
	}
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
	close(listener);
	said = strstr(world_errors(), "calls: ");
	ck_assert_msg(said != NULL, "fdproxy is built without calls.c");
	return strtol(said + strlen("calls: "), NULL, 10);
}

TEST(one_request)
{
	long none = calls_of(0), all = calls_of(N);

	printf("%ld calls before and after all requests, %.2f for each\n",
	    none, (double)(all - none) / N);
}

static const struct test tests[] = { ONCE(one_request) };

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), world_begin,
	    world_end);
}
