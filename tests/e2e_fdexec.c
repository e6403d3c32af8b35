/* See LICENSE for copyright and license details. */

/*
 * fdexec behind the real fdproxy: programs as backends.  The environment's
 * FDEXEC names it.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

static char binary[4096];
static char buf[1024 * 1024];
static pid_t fdexec = -1;

/* Start it on a socket, with a shell script; fdproxy waits for it. */
static void
start(const char *name, const char *option, const char *script)
{
	int null;

	fflush(NULL);
	fdexec = fork();
	ck_assert_int_ne(fdexec, -1);
	if (fdexec != 0)
		return;
	null = open("fdexec.err", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	dup2(null, STDERR_FILENO);
	/* Neither may reach a program. */
	setenv("HTTP_PROXY", "inherited", 1);
	setenv("REQUEST_METHOD", "inherited", 1);
	if (*option == '\0')
		execl(binary, "fdexec", name, "sh", "-c", script, NULL);
	else
		execl(binary, "fdexec", option, name, "sh", "-c", script,
		    NULL);
	_exit(127);
}

static void
begin(void)
{
	const char *name = getenv("FDEXEC");

	ck_assert_ptr_nonnull(realpath(name == NULL ? "./fdexec" : name,
	    binary));
	world_begin();
}

/* It must end on SIGTERM, with status 0, and take its socket away. */
static void
end(void)
{
	int status = 0;
	bool left;

	if (fdexec != -1) {
		kill(fdexec, runner_at_end ? SIGTERM : SIGKILL);
		waitpid(fdexec, &status, 0);
		fdexec = -1;
	}
	left = access("s", F_OK) == 0;
	world_end();
	if (!runner_at_end)
		return;
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert(!left);
}

TEST(ucspi)
{
	const char *answer;

	start("s", "", "echo \"$PROTO $TCPREMOTEIP $TCPLOCALIP $TCPLOCALPORT "
	    "${REQUEST_METHOD-none} ${HTTP_PROXY-none}\"");
	world_proxy("-r", "/app=s,wait=1min", NULL);
	answer = exchange("GET /app HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_int_eq(status_of(answer), 200);
	snprintf(buf, sizeof(buf), "\r\n\r\nTCP 127.0.0.1 127.0.0.1 %d none "
	    "none\n", world_port());
	ck_contains(answer, buf);
}

TEST(cgi)
{
	start("s", "", "echo \"$REQUEST_METHOD $REQUEST_URI $SERVER_PROTOCOL "
	    "$QUERY_STRING $HTTP_HOST $HTTP_A_B ${HTTP_PROXY-none} "
	    "${HTTP_C_D-none} $CONTENT_LENGTH $(head -c 4)\"");
	world_proxy("-r", "/app=s,wait=1min,payload=head", NULL);
	ck_contains(exchange("POST /app/x?y=z HTTP/1.1\r\nHost: h\r\n"
	    "A-b: 1\r\na-B: 2\r\nProxy: evil\r\nC_D: evil\r\n"
	    "Content-Length: 4\r\n\r\nbody"), "\r\n\r\nPOST /app/x?y=z "
	    "HTTP/1.1 y=z h 1, 2 none none 4 body\n");
}

/* Linux's names without a file. */
TEST(abstract_name)
{
	char name[96], route[128];

	snprintf(name, sizeof(name), "@%s/s", world_dir());
	snprintf(route, sizeof(route), "/app=%s,wait=1min", name);
	start(name, "", "echo answer");
	world_proxy("-r", route, NULL);
	ck_contains(exchange("GET /app HTTP/1.1\r\nHost: x\r\n\r\n"),
	    "\r\n\r\nanswer\n");
}

/*
 * Its end: who is in the queue is served, but nobody new gets in, although the
 * name is there as long as the socket.
 */
TEST(abstract_end)
{
	static const char get[] = "GET /app HTTP/1.1\r\nHost: x\r\n\r\n";
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char name[96], route[128];
	int client[2], go, fd, i, status;
	long patient;
	socklen_t size;
	size_t len;

	snprintf(name, sizeof(name), "@%s/s", world_dir());
	snprintf(route, sizeof(route), "/app=%s,wait=1min", name);
	size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
	    strlen(name));
	memcpy(addr.sun_path + 1, name + 1, strlen(name) - 1);
	ck_assert_int_eq(mkfifo("go", 0600), 0);
	go = open("go", O_RDWR | O_CLOEXEC);
	start(name, "-c1", "echo begun >>begun; read -r x <go; echo answer");
	world_proxy("-r", route, NULL);
	client[0] = client_open();
	send_text(client[0], get);
	until_file("begun", "begun\n");
	/* Its head comes when its connection is in the queue. */
	client[1] = client_open();
	send_text(client[1], get);
	ck_assert(readable(client[1], WORLD_PATIENCE));
	ck_assert_int_eq(kill(fdexec, SIGTERM), 0);
	patient = now_ms() + WORLD_PATIENCE;
	do {
		ck_assert_int_lt(now_ms(), patient);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
		    SOCK_CLOEXEC, 0);
		status = connect(fd, (struct sockaddr *)&addr, size);
		close(fd);
	} while (status == 0 || errno != ECONNREFUSED);
	ck_assert_int_eq(write(go, "\n\n", 2), 2);
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(read_all(client[i], buf, sizeof(buf), &len),
		    END_FIN);
		ck_contains(buf, "\r\n\r\nanswer\n");
	}
	close(go);
	ck_assert_int_eq(waitpid(fdexec, &status, 0), fdexec);
	fdexec = -1;
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A script that ignores a body does not reset its own answer. */
TEST(ignored_body)
{
	static char body[512 * 1024];
	int client, i;
	size_t len;

	start("s", "", "echo answer");
	world_proxy("-r", "/app=s,wait=1min", NULL);
	for (i = 0; i < 10; i++) {
		client = client_open();
		send_text(client, "POST /app HTTP/1.1\r\nHost: x\r\n"
		    "Content-Length: 524288\r\n\r\n");
		send_bytes(client, body, sizeof(body));
		shutdown(client, SHUT_WR);
		ck_assert_int_eq(read_all(client, buf, sizeof(buf), &len),
		    END_FIN);
		ck_contains(buf, "\r\n\r\nanswer\n");
		close(client);
	}
}

/* More clients than children: they wait, all are served. */
TEST(children_are_limited)
{
	enum { N = 30 };
	int client[N], i;
	size_t len;

	start("s", "-c2", "echo $$");
	world_proxy("-r", "/app=s,wait=1min", NULL);
	for (i = 0; i < N; i++) {
		client[i] = client_open();
		send_text(client[i], "GET /app HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	for (i = 0; i < N; i++) {
		ck_assert_int_eq(read_all(client[i], buf, sizeof(buf), &len),
		    END_FIN);
		ck_assert_int_eq(status_of(buf), 200);
	}
}

/* Whoever connects and says nothing, or leaves, is a probe. */
TEST(probes)
{
	int silent, i;

	start("s", "", "echo served");
	world_proxy("-r", "/app=s,wait=1min", NULL);
	ck_contains(exchange("GET /app HTTP/1.0\r\n\r\n"), "served");
	silent = client_unix("s");
	for (i = 0; i < 20; i++)
		close(client_unix("s"));
	ck_contains(exchange("GET /app HTTP/1.0\r\n\r\n"), "served");
	close(silent);
}

/* A program that cannot be run: the client never sees an empty 200. */
TEST(no_program)
{
	int client;
	size_t len;

	start("s", "", "exec /nowhere/program");
	world_proxy("-r", "/app=s,wait=1min,flusher=none", NULL);
	client = client_open();
	send_text(client, "GET /app HTTP/1.0\r\n\r\n");
	read_all(client, buf, sizeof(buf), &len);
	ck_assert_uint_eq(len, 0);
}

static const struct test tests[] = {
	ONCE(ucspi),
	ONCE(cgi),
	ONCE(abstract_name),
	ONCE(abstract_end),
	ONCE(ignored_body),
	ONCE(children_are_limited),
	ONCE(probes),
	ONCE(no_program)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), begin, end);
}
