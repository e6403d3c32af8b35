/* See LICENSE for copyright and license details. */
#include <inttypes.h>

#include "log.h"
#include "stats.h"

static struct stats stats;

struct stats *
stats_get(void)
{
	return &stats;
}

void
stats_log(void)
{
	log_notice("accepted %" PRIu64 ", passed %" PRIu64 ", answered %"
	    PRIu64 ", head timeouts %" PRIu64 ", evicted %" PRIu64
	    ", retries %" PRIu64 ", resets %" PRIu64 ", gone %" PRIu64
	    ", pauses %" PRIu64, stats.accepted, stats.passed,
	    stats.answered, stats.timeouts, stats.evicted, stats.retries,
	    stats.resets, stats.gone, stats.paused);
}
