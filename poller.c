/* See LICENSE for copyright and license details. */
#include <errno.h>
#include <string.h>

#include "log.h"
#include "poller.h"

bool
poller_watch(int fd, uint32_t id, uint8_t *watched, enum poller_want want)
{
	if (poller_set(fd, id, (enum poller_want)*watched, want) == -1 &&
	    want != POLLER_NONE) {
		log_error("%s: %s", poller_name(), strerror(errno));
		*watched = POLLER_NONE;
		return false;
	}
	*watched = (uint8_t)want;
	return true;
}
