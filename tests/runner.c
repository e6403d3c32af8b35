/* See LICENSE for copyright and license details. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner.h"

#define TIMEOUT	120	/* s, if each test is a process: CK_FORK (Check) */

bool runner_at_end;

/* Whether this one is to be run. */
static bool
is_named(const char *name, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return argc < 2;
}

/* A name that is none; of one that is not for here as well. */
static bool
is_known(const char *name, const struct test *tests, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (tests[i].count > 0 && strcmp(tests[i].name, name) == 0)
			return true;
	fprintf(stderr, "%s is not among these tests:\n", name);
	for (i = 0; i < n; i++)
		if (tests[i].count > 0)
			fprintf(stderr, "%s\n", tests[i].name);
	return false;
}

int
runner_run(int argc, char **argv, const struct test *tests, int n,
    void (*begin)(void), void (*end)(void))
{
	const char *slash = strrchr(argv[0], '/');
	const char *program = slash == NULL ? argv[0] : slash + 1;
	TTest *all;
	SRunner *runner;
	Suite *suite;
	TCase *tc;
	int i, failed;

	for (i = 1; i < argc; i++)
		if (!is_known(argv[i], tests, n))
			return 2;
	all = calloc((size_t)n, sizeof(*all));
	suite = suite_create(program);
	tc = tcase_create(program);
	tcase_add_checked_fixture(tc, begin, end);
	tcase_set_timeout(tc, TIMEOUT);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	for (i = 0; all != NULL && i < n; i++) {
		all[i] = (TTest){ tests[i].name, tests[i].function, program,
		    0 };
		if (is_named(tests[i].name, argc, argv))
			tcase_add_loop_test(tc, &all[i], 0, tests[i].count);
	}
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	free(all);
	return all != NULL && failed == 0 ? 0 : 1;
}
