/* See LICENSE for copyright and license details. */
#include "stats.h"

static struct stats stats;

struct stats *
stats_get(void)
{
	return &stats;
}
