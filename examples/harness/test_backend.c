/*
 * A test of a backend, for check(3): behind the real front end, and fdfault,
 * which does one thing wrong on purpose.
 *
 *	cc -o backend ../backend.c
 *	cc -o test_backend test_backend.c -lcheck -lsubunit -lm -lrt -lpthread
 *	FDPROXY=$PWD/fdproxy FDFAULT=$PWD/fdfault BACKEND=$PWD/backend \
 *	    ./test_backend
 *
 * The backend gets the path of its socket as its one argument.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[32], address[64], text[65536];

/* All of it. */
static const char *
slurp(FILE *f)
{
	ck_assert_ptr_nonnull(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	return text;
}

/* The body that a client gets, behind a head that says 200. */
static const char *
get(void)
{
	char command[128];
	const char *body;
	FILE *f;

	snprintf(command, sizeof(command), "curl -sSi -m 10 http://%s/",
	    address);
	f = popen(command, "r");
	body = strstr(slurp(f), "\r\n\r\n");
	ck_assert_int_eq(pclose(f), 0);
	ck_assert_int_eq(strncmp(text, "HTTP/1.1 200 ", 13), 0);
	ck_assert_ptr_nonnull(body);
	return body + 4;
}

START_TEST(lost_descriptor)
{
	FILE *front, *f;
	const char *p;
	int passed = 0, fault, backend;

	/*
	 * What comes between: the second hand-off loses its descriptor.  The
	 * backend need not be there yet.
	 */
	f = popen("\"$FDFAULT\" nofd@2 f s </dev/null >lines & echo $!",
	    "r");
	ck_assert_int_eq(sscanf(slurp(f), "%d", &fault), 1);
	pclose(f);

	/*
	 * The front end, on a free port, which is all that it prints.  After
	 * the third hand-off it ends, or after 20 seconds.
	 */
	front = popen("exec \"$FDPROXY\" -1 -l 127.0.0.1:0 -n 3 -T 20 "
	    "-c 'CustomLog events json' -r /=f,wait=10s", "r");
	ck_assert_ptr_nonnull(front);
	ck_assert_ptr_nonnull(fgets(address, sizeof(address), front));
	address[strcspn(address, "\n")] = '\0';
	f = popen("\"$BACKEND\" s >messages 2>&1 & echo $!", "r");
	ck_assert_int_eq(sscanf(slurp(f), "%d", &backend), 1);
	pclose(f);

	/* The client's side. */
	ck_assert_str_ne(get(), "");
	ck_assert_str_eq(get(), "");
	ck_assert_str_ne(get(), "");

	/* The backend's side: it has noticed, and says so. */
	f = fopen("messages", "r");
	ck_assert_ptr_nonnull(strstr(slurp(f), "a client was lost"));
	fclose(f);
	kill(backend, SIGKILL);
	kill(fault, SIGTERM);

	/* The front end's: it has ended by itself, with three hand-offs. */
	ck_assert_int_eq(pclose(front), 0);
	f = fopen("events", "r");
	for (p = slurp(f); (p = strstr(p, "\"passed\"")) != NULL; p++)
		passed++;
	ck_assert_int_eq(passed, 3);
	fclose(f);
}
END_TEST

/* A folder for each test, where it is run. */
static void
begin(void)
{
	strcpy(dir, "test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
}

static void
end(void)
{
	unlink("f");
	unlink("s");
	unlink("events");
	unlink("lines");
	unlink("messages");
	ck_assert_int_eq(chdir(".."), 0);
	rmdir(dir);
}

int
main(void)
{
	Suite *suite = suite_create("backend");
	TCase *tc = tcase_create("faults");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, begin, end);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, lost_descriptor);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
