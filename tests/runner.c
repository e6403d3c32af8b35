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

/*
 * Whether SKIP, words of the form "e2e_log:page_cut" or "e2e_log:page_cut:3",
 * has test i of that name: what the machine below cannot do.
 */
static bool
is_skipped(const char *program, const char *name, int i)
{
	const char *skip = getenv("SKIP");
	char one[128];
	size_t n, all;

	all = (size_t)snprintf(one, sizeof(one), "%s:%s", program, name);
	snprintf(one + all, sizeof(one) - all, ":%d", i);
	for (; skip != NULL && *skip != '\0'; skip += n + (n == 0)) {
		n = strcspn(skip, " \t\n");
		if ((n == all || (n > 0 && n == strlen(one))) &&
		    strncmp(skip, one, n) == 0)
			return true;
	}
	return false;
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
	int i, j, failed, skipped = 0;

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
		if (!is_named(tests[i].name, argc, argv))
			continue;
		for (j = 0; j < tests[i].count; j++) {
			if (is_skipped(program, tests[i].name, j))
				skipped++;
			else
				tcase_add_loop_test(tc, &all[i], j, j + 1);
		}
	}
	srunner_run_all(runner, CK_ENV);
	if (skipped > 0)
		printf("skipped: %d\n", skipped);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	free(all);
	return all != NULL && failed == 0 ? 0 : 1;
}
