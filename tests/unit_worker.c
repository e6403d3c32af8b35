/* See LICENSE for copyright and license details. */
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "clock.h"
#include "fdpass.h"
#include "poller.h"
#include "unit.h"
#include "worker.h"

#define QUEUE	0
#define MOST	65535	/* promises of one worker */

static const struct sock_addr addr;
static int worker[2], nworkers;		/* the other ends */
static int open_before;

static void
setup(void)
{
	open_before = unit_count_open(64);
	nworkers = 0;
	clock_update();
	ck_assert(worker_open(2, 0));
	ck_assert_int_ne(poller_open(64), -1);
}

static void
teardown(void)
{
	while (nworkers > 0)
		close(worker[--nworkers]);
	worker_release();
	poller_close();
	ck_assert_int_eq(unit_count_open(64), open_before);
}

/* One more worker, with so many promises: our end of its connection. */
static int
add(uint32_t promises)
{
	int fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	ck_assert_int_ge(worker_add(fd[0], QUEUE, &addr, FDPASS_ANYBODY,
	    promises, promises), 0);
	worker[nworkers++] = fd[1];
	return fd[0];
}

static void
promise(int w, size_t n)
{
	static const char nuls[MOST];

	ck_assert_int_eq(send(w, nuls, n, 0), (ssize_t)n);
}

static enum worker_said
read_all(uint32_t index)
{
	enum worker_said said = WORKER_MORE;
	int client;

	while (said == WORKER_MORE)
		said = worker_read(index, &client);
	return said;
}

/* One that reads nothing is left alone for a while, and has its promises. */
TEST(blocked)
{
	char bytes[1024] = "";
	int fd = add(2), taken = worker_take(QUEUE);
	uint32_t began, promises;

	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	ck_assert_int_eq(worker_send(taken, 0, bytes, 1), -1);
	ck_assert_int_eq(errno, EAGAIN);
	began = clock_ms();
	worker_drop(taken);
	ck_assert_uint_eq(worker_count(QUEUE, &promises), 1);
	ck_assert_uint_eq(promises, 2);
	ck_assert_int_eq(worker_take(QUEUE), -1);
	ck_assert_int_eq(errno, EAGAIN);
	/* Another one is taken instead, however much is outstanding there. */
	add(1);
	worker_drop(worker_take(QUEUE));
	ck_assert_int_eq(worker_send(worker_take(QUEUE), 0, bytes, 1), 1);
	ck_assert_int_eq(worker_take(QUEUE), -1);
	/* The time stands still but for this. */
	while (clock_ms() - began < 10) {
		poll(NULL, 0, 1);
		clock_update();
	}
	ck_assert_int_ne(worker_take(QUEUE), -1);
}

/* The bound counts what is under way. */
TEST(too_many)
{
	int taken;

	add(0);
	promise(worker[0], MOST);
	ck_assert_int_eq(read_all(0), WORKER_SILENT);
	taken = worker_take(QUEUE);
	ck_assert_int_ne(taken, -1);
	ck_assert_int_eq(worker_send(taken, 0, "", 1), 1);
	promise(worker[0], 1);
	ck_assert_int_eq(read_all(0), WORKER_SILENT);
	ck_assert_int_ne(worker_take(QUEUE), -1);
	promise(worker[0], 1);
	ck_assert_int_eq(read_all(0), WORKER_LEFT);
}

/* A promise of one that has gone is not the next one's, in the same place. */
TEST(same_place)
{
	int taken;

	add(1);
	taken = worker_take(QUEUE);
	close(worker[--nworkers]);
	ck_assert_int_eq(read_all(0), WORKER_LEFT);
	add(1);
	ck_assert_int_eq(worker_send(taken, 0, "", 1), -1);
	ck_assert_int_eq(errno, EPIPE);
	worker_drop(taken);
	ck_assert_int_ne(worker_take(QUEUE), -1);
	ck_assert_int_eq(worker_take(QUEUE), -1);
	ck_assert_int_eq(errno, EBUSY);
}

/* A byte whose descriptor was lost on the way is no fault of the worker's. */
TEST(lost)
{
	int client = 0;

	add(1);
	ck_assert_int_eq(send(worker[0], "\1", 1, 0), 1);
	ck_assert_int_eq(worker_read(0, &client), WORKER_LOST);
	ck_assert_int_eq(client, -1);
	ck_assert_int_eq(worker_read(0, &client), WORKER_SILENT);
	ck_assert_int_ne(worker_take(QUEUE), -1);
}

/* While there are no descriptors, one who comes is not read from either. */
TEST(paused)
{
	struct poller_event events[4];

	worker_pause(true);
	add(1);
	promise(worker[0], 1);
	ck_assert_int_eq(poller_wait(events, COUNT(events), 0), 0);
	worker_pause(false);
	ck_assert_int_eq(poller_wait(events, COUNT(events), 0), 1);
	worker_pause(true);
	ck_assert_int_eq(poller_wait(events, COUNT(events), 0), 0);
}

/* The largest head goes in one message, however small a buffer there is. */
TEST(large_head)
{
	static char message[1 + WORKER_HEAD];
	int fd[2], small = 4096;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	worker[nworkers++] = fd[1];
	ck_assert_int_eq(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small,
	    sizeof(small)), 0);
	ck_assert_int_eq(worker_add(fd[0], QUEUE, &addr, FDPASS_ANYBODY, 1,
	    1), 0);
	ck_assert_int_eq(worker_send(worker_take(QUEUE), 0, message,
	    sizeof(message)), sizeof(message));
}

static const struct test tests[] = {
	ONCE(blocked),
	ONCE(too_many),
	ONCE(same_place),
	ONCE(lost),
	ONCE(paused),
	ONCE(large_head)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), setup, teardown);
}
