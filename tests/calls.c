/* See LICENSE for copyright and license details. */

/*
 * Linked into a build of fdproxy with -finstrument-functions: at its end it
 * says how many of its functions were called.
 */

#include <stdio.h>

#define HOOK	__attribute__((no_instrument_function))

HOOK void	__cyg_profile_func_enter(void *function, void *caller);
HOOK void	__cyg_profile_func_exit(void *function, void *caller);

static unsigned long calls;

void
__cyg_profile_func_enter(void *function, void *caller)
{
	(void)function;
	(void)caller;
	calls++;
}

void
__cyg_profile_func_exit(void *function, void *caller)
{
	(void)function;
	(void)caller;
}

__attribute__((destructor)) HOOK static void
tell(void)
{
	fprintf(stderr, "calls: %lu\n", calls);
}
