/* See LICENSE for copyright and license details. */
#include <string.h>

#include "fault.h"
#include "fdpass.h"
#include "sock.h"

static const struct {
	const char *name;
	enum fault_takes takes;
} kinds[] = {
	[FAULT_BODY] = { "body", FAULT_TAKES_NOTHING },
	[FAULT_BYTE] = { "byte", FAULT_TAKES_NOTHING },
	[FAULT_CONTROL] = { "control", FAULT_TAKES_NOTHING },
	[FAULT_CUT] = { "cut", FAULT_TAKES_BYTES },
	[FAULT_DELAY_CLOSE] = { "delay-close", FAULT_TAKES_TIME },
	[FAULT_DELAY_FLUSH] = { "delay-flush", FAULT_TAKES_TIME },
	[FAULT_DELAY_PASS] = { "delay-pass", FAULT_TAKES_TIME },
	[FAULT_DROP] = { "drop", FAULT_TAKES_NOTHING },
	[FAULT_FULL] = { "full", FAULT_TAKES_NOTHING },
	[FAULT_MISSING] = { "missing", FAULT_TAKES_NOTHING },
	[FAULT_NOBYTE] = { "nobyte", FAULT_TAKES_NOTHING },
	[FAULT_NOFD] = { "nofd", FAULT_TAKES_NOTHING },
	[FAULT_NONBLOCK] = { "nonblock", FAULT_TAKES_NOTHING },
	[FAULT_RESET] = { "reset", FAULT_TAKES_NOTHING },
	[FAULT_TWO] = { "two", FAULT_TAKES_NOTHING }
};

bool
fault_find(const char *name, size_t len, enum fault_kind *kind,
    enum fault_takes *takes)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strlen(kinds[i].name) != len ||
		    memcmp(kinds[i].name, name, len) != 0)
			continue;
		*kind = (enum fault_kind)i;
		*takes = kinds[i].takes;
		return true;
	}
	return false;
}

bool
fault_due(const struct fault *fault, uint32_t n)
{
	if (n <= fault->first || fault->every == 0)
		return n == fault->first;
	return (n - fault->first) % fault->every == 0;
}

/*
 * Connecting a TCP socket to nowhere resets the connection that it has.  Others
 * know no such thing: both sides see the end.
 */
static void
disconnect(int fd)
{
	struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

	if (connect(fd, &nowhere, sizeof(nowhere)) == -1)
		shutdown(fd, SHUT_RDWR);
}

ssize_t
fault_send(enum fault_kind kind, int sock, int fd, const void *data,
    size_t len)
{
	int twice[2] = { fd, fd };

	switch (kind) {
	case FAULT_BYTE:
		return fdpass_send_fds(sock, twice, 1, "X", 1);
	case FAULT_CONTROL:
		fdpass_send_fds(sock, twice, 1, data, 0);
		return (ssize_t)len;
	case FAULT_DROP:
	case FAULT_NOBYTE:
		return (ssize_t)len;
	case FAULT_NOFD:
		return fdpass_send_fds(sock, twice, 0, data, len);
	case FAULT_TWO:
		return fdpass_send_fds(sock, twice, 2, data, len);
	case FAULT_RESET:
		disconnect(fd);
		break;
	case FAULT_NONBLOCK:
		sock_nonblock(fd, true);
		break;
	default:
		break;
	}
	return fdpass_send(sock, fd, data, len);
}
