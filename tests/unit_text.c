/* See LICENSE for copyright and license details. */
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runner.h"
#include "text.h"

static char ours[256], theirs[256];

/* What both have is the same; the C library is the judge. */
#define SAME(...) do {							\
	size_t n = text_format(ours, sizeof(ours), __VA_ARGS__);	\
	int m = snprintf(theirs, sizeof(theirs), __VA_ARGS__);		\
									\
	ck_assert_str_eq(ours, theirs);					\
	ck_assert_int_eq((int)n, m);					\
} while (0)

TEST(same)
{
	SAME("%s", "");
	SAME("plain");
	SAME("%%");
	SAME("a%sb%sc", "x", "yz");
	SAME("%c%c", 'a', '\n');
	SAME("%.0s|%.1s|%.3s|%.9s", "abcd", "abcd", "abcd", "abcd");
	SAME("%.*s|%.*s|%.*s", 0, "abc", 2, "abc", -1, "abc");
	SAME("%d %d %d %d", 0, -1, INT_MAX, INT_MIN);
	SAME("%u %u", 0u, UINT_MAX);
	SAME("%ld %ld %lu", LONG_MAX, LONG_MIN, ULONG_MAX);
	SAME("%lld %lld %llu", LLONG_MAX, LLONG_MIN, ULLONG_MAX);
	SAME("%zu %zu", (size_t)0, SIZE_MAX);
	SAME("%o %o %o", 0u, 0777u, UINT_MAX);
	SAME("%x %02x %02x %08x", 0u, 0xau, 0xffu, 0xbeefu);
	SAME("%5u|%05u|%2u|%3s", 42u, 42u, 12345u, "a");
	SAME("%" PRIu64 " %" PRId64 " %" PRIu32, UINT64_MAX, INT64_MIN,
	    UINT32_MAX);
}

/* Cut to any size, terminated, and not a byte beyond. */
TEST(cut)
{
	static const char whole[] = "ab 12345 cde";
	char *dst;
	size_t size, n;

	for (size = 1; size < sizeof(whole) + 2; size++) {
		dst = malloc(size);
		n = text_format(dst, size, "%s %d %s", "ab", 12345, "cde");
		ck_assert_uint_eq(n, sizeof(whole) - 1);
		n = size - 1 < n ? size - 1 : n;
		ck_assert_uint_eq(strlen(dst), n);
		ck_assert_int_eq(memcmp(dst, whole, n), 0);
		free(dst);
	}
	ck_assert_uint_eq(text_format(NULL, 0, "%s", "abc"), 3);
}

/* A precision is the end, also of what is not terminated. */
TEST(not_terminated)
{
	char *text = malloc(3);

	memcpy(text, "abc", 3);
	text_format(ours, sizeof(ours), "%.3s|%.*s", text, 2, text);
	ck_assert_str_eq(ours, "abc|ab");
	free(text);
}

TEST(written)
{
	char buf[TEXT_MAX + 1];
	int pair[2];
	ssize_t n;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	text_write(pair[0], "%s-%d", "x", 7);
	n = read(pair[1], buf, sizeof(buf));
	ck_assert_int_eq(n, 3);
	ck_assert_int_eq(memcmp(buf, "x-7", 3), 0);
	close(pair[0]);
	close(pair[1]);
}

TEST(numbers)
{
	static const struct {
		const char *text;
		unsigned int base;
		unsigned long max;
		long n;			/* -1: none */
	} all[] = {
		{ "0", 10, 0, 0 }, { "007", 10, 7, 7 },
		{ "65535", 10, 65535, 65535 }, { "65536", 10, 65535, -1 },
		{ "777", 8, 0777, 0777 },
		{ "1000", 8, 0777, -1 }, { "8", 8, 0777, -1 },
		{ "", 10, 9, -1 }, { " 1", 10, 9, -1 }, { "1 ", 10, 9, -1 },
		{ "+1", 10, 9, -1 }, { "-1", 10, ULONG_MAX, -1 },
		{ "0x1", 10, 9, -1 }, { "0x1", 8, 9, -1 }, { "1a", 10, 99, -1 },
		{ "99999999999999999999999", 10, ULONG_MAX, -1 }
	};
	unsigned long n;
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		ck_assert_int_eq(text_number(all[i].text, all[i].base,
		    all[i].max, &n), all[i].n != -1);
		if (all[i].n != -1)
			ck_assert_uint_eq(n, (unsigned long)all[i].n);
	}
}

static const struct test tests[] = {
	ONCE(same),
	ONCE(cut),
	ONCE(not_terminated),
	ONCE(written),
	ONCE(numbers)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), NULL, NULL);
}
