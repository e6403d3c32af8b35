/* See LICENSE for copyright and license details. */
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "proc.h"
#include "unit.h"

#define RAISED	(256 * 1024)	/* no pipe has room for so many */

/* In a process of its own, whose signals they are.  What was wrong, or 0. */
static int
overrun(void)
{
	static const int list[] = { SIGHUP, SIGTERM, 0 };
	struct pollfd p = { .events = POLLIN };
	int i, sig, hangups = 0, ends = 0;
	bool by_terminal;

	p.fd = proc_signals(list, false);
	if (p.fd == -1)
		return 1;
	errno = 0;
	for (i = 0; i < RAISED; i++)
		raise(SIGHUP);
	raise(SIGTERM);
	/* Whoever was interrupted has his errno still. */
	if (errno != 0 || poll(&p, 1, 0) != 1)
		return 2;
	while (hangups < RAISED && (sig = proc_signal(&by_terminal)) != -1) {
		if (by_terminal)
			return 3;
		hangups += sig == SIGHUP;
		ends += sig == SIGTERM;
	}
	if (hangups < 2 || hangups == RAISED || ends != 1)
		return 4;
	return poll(&p, 1, 0) == 0 ? 0 : 5;
}

/* However many have come before, none is lost. */
TEST(signals_beyond_room)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(overrun());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

static const struct test tests[] = {
	ONCE(signals_beyond_room)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), NULL, NULL);
}
