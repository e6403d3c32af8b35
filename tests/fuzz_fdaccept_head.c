/* See LICENSE for copyright and license details. */
#include "edited.h"
#include "fdaccept.h"
#include "fuzz.h"

/*
 * The first two bytes say how much is in sight and how much room there is for
 * each look at the rest, which is a head and what follows it.  However it is
 * cut, the server reads the same; until it has read all, something is left.
 */

static size_t
smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* What comes out, by windows of that size; *left of in is not taken. */
static size_t
edit_all(const char *in, size_t n, size_t window, size_t room, char *out,
    size_t *left, struct fdaccept_head *head)
{
	char *buf = malloc(FDACCEPT_EXTRA + window);
	size_t at = 0, o = 0, len, taken, sight;

	MUST(buf != NULL);
	fdaccept_head_start(head);
	while (at < n) {
		sight = smaller(window, n - at);
		memcpy(buf + FDACCEPT_EXTRA, in + at, sight);
		len = fdaccept_head_edit(head, buf, buf + FDACCEPT_EXTRA, sight,
		    room, &taken);
		MUST(len <= room && taken <= sight);
		memcpy(out + o, buf, len);
		o += len;
		at += taken;
		if (len == 0 && taken == 0)
			break;
	}
	*left = n - at;
	free(buf);
	return o;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *in = (const char *)data + 2;
	struct fdaccept_head head;
	size_t n, len, whole, left, window, room, want_len;
	char *want, *out;
	bool socket;

	if (size < 3)
		return 0;
	/* A window below the longest name and its colon decides nothing. */
	window = data[0] < 20 ? 4096 : (size_t)data[0];
	room = data[1] == 0 ? 4096 : (size_t)data[1];
	n = size - 2;
	want = malloc(n + FDACCEPT_EXTRA);
	out = malloc(n + FDACCEPT_EXTRA);
	MUST(want != NULL && out != NULL);
	want_len = edited(in, n, want, &whole, &socket);
	len = edit_all(in, n, window, room, out, &left, &head);
	/* A WebSocket's head must be whole in the first look. */
	if (socket) {
		len = edit_all(in, n, n, room, out, &left, &head);
		MUST(len == 0 && head.left == (uint16_t)whole);
	} else if (whole > 0) {
		MUST(len == whole && memcmp(out, want, whole) == 0);
		MUST(left == want_len - whole && head.stage == 0);
	} else {
		/* It never ends, but what has come out is right. */
		MUST(head.stage != 0 && len <= want_len);
		MUST(memcmp(out, want, len) == 0);
	}
	free(want);
	free(out);
	return 0;
}
