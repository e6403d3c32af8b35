/* See LICENSE for copyright and license details. */
#ifndef RUNNER_H
#define RUNNER_H

#include <check.h>
#include <stdbool.h>

/*
 * A program of tests is a table of them:
 *
 *	TEST(lines)
 *	{
 *		ck_assert_str_eq(table[_i].text, "");
 *	}
 *
 *	static const struct test tests[] = { TIMES(lines, COUNT(table)) };
 *
 * The program runs all, or those that its arguments name.
 */

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))

struct test {
	const char *name;
	void (*function)(int);
	int count;		/* with _i from 0 to count - 1; 0: not here */
};

#define ONCE(test)		TIMES(test, 1)
#define TIMES(test, count)	{ #test, test, count }

#define TEST(name)							\
static void	name##_body(int _i);					\
static void								\
name(int _i)								\
{									\
	runner_at_end = false;						\
	name##_body(_i);						\
	runner_at_end = true;						\
}									\
static void								\
name##_body(int _i CK_ATTRIBUTE_UNUSED)

/* The test has come to its end, and its fixture may ask for more. */
extern bool runner_at_end;

/*
 * Run the tests between begin() and end(), which may be NULL; arguments are
 * main()'s.  The exit status.
 */
int	runner_run(int argc, char **argv, const struct test *tests, int n,
    void (*begin)(void), void (*end)(void));

#endif
