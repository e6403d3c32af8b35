/* See LICENSE for copyright and license details. */

/*
 * Linked into a build of fdproxy with the linker's --wrap: once the loop runs,
 * an allocation ends the process.
 */

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "poller.h"

void	*__real_malloc(size_t size);
void	*__real_calloc(size_t n, size_t size);
void	*__real_realloc(void *p, size_t size);
int	 __real_poller_wait(struct poller_event *events, int n, int ms);
void	*__wrap_malloc(size_t size);
void	*__wrap_calloc(size_t n, size_t size);
void	*__wrap_realloc(void *p, size_t size);
int	 __wrap_poller_wait(struct poller_event *events, int n, int ms);

static bool serving;

static void
check(void)
{
	static const char text[] = "an allocation while serving\n";

	if (!serving)
		return;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) == -1)
		_exit(99);
	abort();
}

void *
__wrap_malloc(size_t size)
{
	check();
	return __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	check();
	return __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t size)
{
	check();
	return __real_realloc(p, size);
}

int
__wrap_poller_wait(struct poller_event *events, int n, int ms)
{
	serving = true;
	return __real_poller_wait(events, n, ms);
}
