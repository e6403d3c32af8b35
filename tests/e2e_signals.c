/* See LICENSE for copyright and license details. */

/*
 * Signals: for whom they are meant, fdproxy, its command, or what that has
 * started; how all of them end; and the keys of a terminal.
 *
 * Commands are this program itself, with a word that says what to do.  What
 * they see they write into the file "said".
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "world.h"

#define READY	"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"

#define STATUS	7		/* of a command that is asked to end */

static char self[PATH_MAX];

/* ---- the commands: no assertion works in there ---- */

static const char *name;
static const char *waits_for;	/* a file, before the end */
static bool dies;		/* of SIGTERM */

static void
say(const char *what, int n)
{
	int fd = open("said", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	char line[64];
	int len = snprintf(line, sizeof(line), n == 0 ? "%s %s\n" :
	    "%s %s %d\n", name, what, n);

	if (write(fd, line, (size_t)len) != len)
		_exit(1);
	close(fd);
}

static void
nap(void)
{
	poll(NULL, 0, 2);
}

static void
on_signal(int sig)
{
	if (sig != SIGTERM) {
		say("got", sig);
		return;
	}
	say("is asked to end", 0);
	while (waits_for != NULL && access(waits_for, F_OK) == -1)
		nap();
	say("ends", 0);
	_exit(STATUS);
}

static _Noreturn void
wait_for_signals(const char *me, const char *file)
{
	int sig;

	name = me;
	waits_for = file;
	alarm(60);
	for (sig = 1; sig < NSIG; sig++)
		if ((sig != SIGTERM || !dies) && sig != SIGCHLD &&
		    sig != SIGALRM && sig != SIGSEGV &&
		    sig != SIGBUS && sig != SIGFPE && sig != SIGILL &&
		    sig != SIGABRT && sig != SIGCONT &&
		    sig != SIGTTOU && sig != SIGTSTP &&
		    sig != SIGTTIN)
			signal(sig, on_signal);
	say("is there", getpid());
	for (;;)
		pause();
}

/* A worker, and who has started it. */
static _Noreturn void
two(const char *file, const char *worker_file)
{
	if (fork() == 0)
		wait_for_signals("worker", worker_file);
	while (strstr(read_file("said"), "worker is there") == NULL)
		nap();
	dies = file == NULL;
	wait_for_signals("primary", file != NULL && *file == '\0' ? NULL :
	    file);
}

/* One that accepts no connection before it is told to. */
static _Noreturn void
accept_late(void)
{
	int fd;

	alarm(60);
	while (access("go", F_OK) == -1)
		nap();
	for (;;) {
		fd = accept(3, NULL, NULL);
		if (fd == -1)
			_exit(1);
		close(fd);
	}
}

/*
 * A shell with job control that runs fdproxy as its job, as bash does: keys
 * "x" go to it once that is stopped or has ended.
 */
static _Noreturn void
shell(char **argv)
{
	int status = 0;
	char key;
	pid_t job;

	name = "shell";
	signal(SIGTTOU, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	job = fork();
	if (job == 0) {
		setpgid(0, 0);
		tcsetpgrp(STDIN_FILENO, getpgrp());
		signal(SIGTTOU, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		execv(argv[0], argv);
		_exit(126);
	}
	setpgid(job, job);
	tcsetpgrp(STDIN_FILENO, job);
	while (waitpid(job, &status, WUNTRACED) == job &&
	    WIFSTOPPED(status)) {
		tcsetpgrp(STDIN_FILENO, getpgrp());
		say("has the terminal", 0);
		if (read(STDIN_FILENO, &key, 1) != 1 || key != 'f')
			_exit(1);
		tcsetpgrp(STDIN_FILENO, job);
		kill(-job, SIGCONT);
	}
	tcsetpgrp(STDIN_FILENO, getpgrp());
	say("job ends with", WIFEXITED(status) ? WEXITSTATUS(status) : 128);
	_exit(0);
}

static int
helper(char **argv)
{
	const char *word = argv[1];

	if (strcmp(word, "watch") == 0)
		wait_for_signals("primary", NULL);
	if (strcmp(word, "drain") == 0)
		two("go", "go");
	if (strcmp(word, "leave") == 0)
		two(NULL, "go");
	if (strcmp(word, "leave-for-good") == 0)
		two(NULL, "never");
	if (strcmp(word, "end-alone") == 0)
		two("", NULL);
	if (strcmp(word, "late") == 0)
		accept_late();
	if (strcmp(word, "shell") == 0)
		shell(argv + 2);
	return 1;
}

static bool
is_word(const char *what)
{
	static const char *const words[] = { "watch", "drain", "leave",
	    "leave-for-good", "end-alone", "late", "shell" };
	int i;

	for (i = 0; i < COUNT(words); i++)
		if (strcmp(words[i], what) == 0)
			return true;
	return false;
}

/* ---- what the tests share ---- */

/* The process that has said that it is there. */
static pid_t
process(const char *who)
{
	const char *said, *at;
	char text[64];

	snprintf(text, sizeof(text), "%s is there ", who);
	until_file("said", text);
	said = read_file("said");
	at = strstr(said, text);
	ck_assert_ptr_nonnull(at);
	return (pid_t)atoi(at + strlen(text));
}

/* The state of a process, "" if there is none. */
static const char *
state_of(pid_t pid)
{
	static char letter[2];
	char path[64];
	const char *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	stat = strrchr(read_file(path), ')');
	snprintf(letter, sizeof(letter), "%.1s", stat == NULL ? "" : stat + 2);
	return letter;
}

static bool
runs(pid_t pid)
{
	return *state_of(pid) != '\0' && *state_of(pid) != 'Z';
}

static void
until_gone(pid_t pid)
{
	long end = now_ms() + WORLD_PATIENCE;

	while (runs(pid)) {
		ck_assert_int_lt(now_ms(), end);
		nap();
	}
}

static void
start(const char *word, const char *directive)
{
	world_launch("-r", "/ready=ready:", "-c", directive, self, word, NULL);
	world_announced();
	process("primary");
}

/* ---- the end ---- */

static void
pause_process(pid_t pid)
{
	long end = now_ms() + WORLD_PATIENCE;

	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	while (*state_of(pid) != 'T') {
		ck_assert_int_lt(now_ms(), end);
		nap();
	}
}

/* What somebody has stopped takes no signal before it goes on. */
TEST(stopped)
{
	start(_i == 0 ? "watch" : "end-alone", "StopTimeout 60s");
	if (_i == 0) {
		pause_process(process("primary"));
	} else {
		process("worker");
		world_signal(SIGTERM);
		world_until_says("has ended with status 7", 1);
		/* Before, the system would let it go on at that end. */
		pause_process(process("worker"));
	}
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), STATUS);
	ck_contains(read_file("said"), _i == 0 ? "primary ends" :
	    "worker ends");
}

/* The command alone is asked; it may need its workers to end well. */
TEST(command_first)
{
	pid_t worker;

	start("drain", "StopTimeout 60s");
	worker = process("worker");
	world_signal(SIGTERM);
	until_file("said", "primary is asked to end");
	ck_assert_ptr_null(strstr(read_file("said"), "worker is asked"));
	ck_assert(runs(worker));
	write_file("go", "");
	world_until_says("has ended with status 7", 1);
	ck_assert_ptr_null(strstr(read_file("said"), "worker is asked"));
	ck_assert_int_eq(kill(worker, SIGKILL), 0);
	ck_assert_int_eq(world_exit(), STATUS);
}

/* What a command that dies of it has not told, is told; and waited for. */
TEST(rest_is_waited_for)
{
	pid_t worker;

	start("leave", "StopTimeout 60s");
	worker = process("worker");
	if (_i == 0)
		world_signal(SIGTERM);
	else
		ck_assert_int_eq(kill(process("primary"), SIGTERM), 0);
	until_file("said", "worker is asked to end");
	world_until_says("has ended with status 143", 1);
	poll(NULL, 0, 300);
	ck_assert(runs(world_pid()));
	ck_assert(runs(worker));
	if (_i == 1) {
		/* The first one that we get is in no hurry. */
		world_signal(SIGTERM);
		world_until_says("notice: stopping", 1);
		ck_assert(runs(worker));
	}
	write_file("go", "");
	ck_assert_int_eq(world_exit(), 128 + SIGTERM);
	ck_contains(read_file("said"), "worker ends");
	ck_assert(!runs(worker));
}

/* The time of -T is for all of them. */
TEST(rest_has_run_time)
{
	pid_t worker;

	world_launch("-r", "/ready=ready:", "-T", "6", "-c",
	    "StopTimeout 60s", self, "leave-for-good", NULL);
	world_announced();
	worker = process("worker");
	world_signal(SIGTERM);
	until_file("said", "worker is asked to end");
	ck_assert_int_eq(world_exit(), 1);
	until_gone(worker);
}

/* Clients of a command that has never accepted, or that ends, are told. */
TEST(queue_of_the_command)
{
	char front[128], answer[1024];
	size_t len;
	int client;

	snprintf(front, sizeof(front), "unix:%s/front", world_dir());
	world_spawn("-l", front, "-r", "/app=:child", "sh", "-c",
	    "echo >up; until test -e go; do sleep 0.01; done", NULL);
	until_file("up", "\n");
	client = client_unix("front");
	send_text(client, "GET /app HTTP/1.1\r\nHost: x\r\n\r\n");
	if (_i == 0)
		world_signal(SIGTERM);
	else
		write_file("go", "");
	read_all(client, answer, sizeof(answer), &len);
	ck_assert_int_eq(status_of(answer), 503);
	ck_assert_int_eq(world_exit(), _i == 0 ? 128 + SIGTERM : 0);
}

/*
 * What a command leaves that ends in its own way may have something to finish:
 * it is told when StopTimeout is over, or somebody is in a hurry.
 */
TEST(rest_finishes)
{
	pid_t worker;

	start("end-alone", _i == 0 ? "StopTimeout 3s" : "StopTimeout 60s");
	worker = process("worker");
	world_signal(SIGTERM);
	world_until_says("has ended with status 7", 1);
	ck_assert(_i == 0 || runs(worker));
	if (_i == 1) {
		poll(NULL, 0, 300);
		ck_assert_ptr_null(strstr(read_file("said"), "worker is ask"));
		world_signal(SIGTERM);
	}
	if (_i == 2)
		ck_assert_int_eq(kill(worker, SIGKILL), 0);
	ck_assert_int_eq(world_exit(), STATUS);
	ck_assert((strstr(read_file("said"), "worker ends") != NULL) ==
	    (_i < 2));
}

/* At most StopTimeout, or until somebody says it once more. */
TEST(rest_is_killed)
{
	pid_t worker;
	long begin = now_ms();

	start("leave-for-good", _i == 0 ? "StopTimeout 3s" :
	    "StopTimeout 60s");
	worker = process("worker");
	world_signal(SIGTERM);
	if (_i == 1) {
		until_file("said", "worker is asked to end");
		world_signal(SIGTERM);
	}
	ck_assert_int_eq(world_exit(), 128 + SIGTERM);
	if (_i == 0)
		ck_assert_int_ge(now_ms() - begin, 3000);
	until_gone(worker);
	ck_assert_ptr_null(strstr(read_file("said"), "worker ends"));
}

/* If fdproxy is killed, the command is told. */
TEST(killed)
{
	pid_t primary;

	start("watch", "StopTimeout 60s");
	primary = process("primary");
	world_signal(SIGKILL);
	world_wait();
	until_file("said", "primary ends");
	until_gone(primary);
}

TEST(stop_signal)
{
	char got[32];

	start("watch", "StopSignal QUIT");
	world_signal(SIGTERM);
	snprintf(got, sizeof(got), "primary got %d\n", SIGQUIT);
	until_file("said", got);
	ck_assert_ptr_null(strstr(read_file("said"), "asked to end"));
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 128 + SIGKILL);
}

/* Not ready, but serving, until that time is over or somebody is in a hurry. */
TEST(stop_delay)
{
	int listener = backend_listen("s", 4);
	long begin;

	world_proxy("-r", "/ready=ready:", "-r", "/app=s", "-c", _i == 0 ?
	    "StopDelay 500ms" : "StopDelay 60s", _i == 2 ? "-n" : NULL, "1",
	    NULL);
	ck_assert_int_eq(status_of(exchange(READY)), 200);
	while (readable(listener, 0))
		close(accept(listener, NULL, NULL));
	begin = now_ms();
	world_signal(SIGTERM);
	if (_i == 0) {
		ck_assert_int_eq(world_exit(), 0);
		ck_assert_int_ge(now_ms() - begin, 500);
		return;
	}
	world_until_says("stopping; ", 1);
	if (_i == 2) {		/* -n ends it as well */
		check_served(client_open(), listener,
		    "GET /app HTTP/1.1\r\nHost: x\r\n\r\n");
		ck_assert_int_eq(world_exit(), 0);
		return;
	}
	ck_assert_int_eq(status_of(exchange(READY)), 503);
	check_served(client_open(), listener,
	    "GET /app HTTP/1.1\r\nHost: x\r\n\r\n");
	world_signal(SIGHUP);		/* there is nothing to renew any more */
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 0);
	ck_assert_int_eq(world_says("stopping; "), 1);
	ck_assert_int_eq(world_says("renewed"), 0);
}

/* ---- others ---- */

/* Whatever can be caught is the command's. */
TEST(passed_on)
{
	static const int all[] = { SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2,
	    SIGWINCH, SIGIO, SIGVTALRM, SIGXCPU, SIGURG,
#ifdef SIGPWR
	    SIGPWR, SIGSTKFLT,
#endif
	};
	char got[32];
	int i, realtime;

	start("watch", "StopTimeout 60s");
	for (i = 0; i < COUNT(all); i++) {
		world_signal(all[i]);
		snprintf(got, sizeof(got), "primary got %d\n", all[i]);
		until_file("said", got);
	}
#ifdef SIGRTMIN
	realtime = SIGRTMIN + 3;
	world_signal(realtime);
	snprintf(got, sizeof(got), "primary got %d\n", realtime);
	until_file("said", got);
#endif
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), STATUS);
}

/* What was ignored, as by nohup(1), is for nobody. */
TEST(ignored_stays_ignored)
{
	char got[32];

	signal(SIGHUP, SIG_IGN);
	start("watch", "StopTimeout 60s");
	signal(SIGHUP, SIG_DFL);
	world_signal(SIGHUP);
	world_signal(SIGUSR1);
	snprintf(got, sizeof(got), "primary got %d\n", SIGUSR1);
	until_file("said", got);
	snprintf(got, sizeof(got), "primary got %d\n", SIGHUP);
	ck_assert_ptr_null(strstr(read_file("said"), got));
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), STATUS);
}

/* SIGTERM ends it whatever its starter has ignored; SIGINT does not. */
TEST(ignored_at_the_start)
{
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	world_proxy("-r", "/app=s", NULL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	world_signal(SIGINT);
	ck_assert_int_eq(status_of(exchange("GET / HTTP/1.0\r\n\r\n")), 404);
	world_expect("stopping; 0 clients wait\n");
}

/* Ready is who has taken a first connection, not who could be connected to. */
TEST(ready_when_it_accepts)
{
	world_launch("-r", "/app=:child", "-r", "/ready=ready:", self, "late",
	    NULL);
	ck_assert(!world_wrote(200));
	write_file("go", "");
	world_announced();
	ck_assert_int_eq(status_of(exchange(READY)), 200);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), 128 + SIGTERM);
}

TEST(never_accepts)
{
	world_spawn("-l", "127.0.0.1:0", "-r", "/app=:child", "-c",
	    "StartTimeout 500ms", self, "late", NULL);
	ck_assert_int_eq(world_exit(), 125);
	ck_contains(world_errors(), "does not accept connections in time");
}

/* ---- the terminal ---- */

static int
open_terminal(int *slave)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	ck_assert_int_ne(master, -1);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	*slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	ck_assert_int_ne(*slave, -1);
	world_terminal(*slave);
	return master;
}

/* Read from the terminal until the text comes. */
static void
until_shown(int master, const char *text)
{
	static char shown[65536];
	size_t len = 0;
	ssize_t n;

	*shown = '\0';
	while (strstr(shown, text) == NULL) {
		ck_assert_msg(readable(master, WORLD_PATIENCE), "\"%s\" is "
		    "not shown, but: %s", text, shown);
		n = read(master, shown + len, sizeof(shown) - 1 - len);
		ck_assert_int_gt(n, 0);
		len += (size_t)n;
		shown[len] = '\0';
	}
}

/*
 * A key stops all of the job, and the shell has the terminal; in the
 * foreground again, another is for fdproxy and the command, once for each.
 * None is stopped because it writes, with "stty tostop".
 */
TEST(job_control)
{
	int slave, master = open_terminal(&slave);
	struct termios modes;
	char got[32];
	pid_t primary;

	ck_assert_int_eq(tcgetattr(slave, &modes), 0);
	modes.c_lflag |= TOSTOP;
	ck_assert_int_eq(tcsetattr(slave, TCSANOW, &modes), 0);
	world_copy("fdproxy");
	ck_assert_int_eq(symlink(self, "shell"), 0);
	world_program("shell");
	world_spawn("shell", "./fdproxy", "-l", "127.0.0.1:0", "-r",
	    "/r=ready:", "-c", "StopTimeout 60s", "-c", "ErrorLog /dev/tty",
	    self, "watch", NULL);
	primary = process("primary");
	ck_assert_int_eq(write(master, "\032", 1), 1);
	until_file("said", "shell has the terminal");
	while (*state_of(primary) != 'T')	/* it need not be the first */
		nap();
	ck_assert_int_eq(write(master, "f\n", 2), 2);
	while (*state_of(primary) == 'T')
		nap();
	ck_assert_int_eq(write(master, "\003", 1), 1);
	until_shown(master, "stopping; 0 clients wait");
	snprintf(got, sizeof(got), "primary got %d\n", SIGINT);
	until_file("said", got);
	ck_assert_ptr_null(strstr(read_file("said"), "asked to end"));
	ck_assert_int_eq(kill(primary, SIGTERM), 0);
	until_shown(master, "has ended with status 7");
	until_file("said", "shell job ends with 7");
	ck_assert_int_eq(world_exit(), 0);
	close(slave);
	close(master);
}

/* What is beside it, or comes after it, has the terminal as well. */
TEST(shares_the_terminal)
{
	static const char *const scripts[] = {
		"./fdproxy -l 127.0.0.1:0 -r /r=ready: true; read x; "
		"echo got $x >>said",
		"./fdproxy -l 127.0.0.1:0 -r /r=ready: sh -c 'touch up; until "
		"test -e go; do sleep 0.1; done' | { until test -e up; do "
		"sleep 0.1; done; read x </dev/tty; echo got $x >>said; "
		"touch go; }",
		"./fdproxy -l 127.0.0.1:0 -r /r=ready: sh -c 'read x; echo "
		"got $x >>said'",
		/* What is left is ended, in our own group, too. */
		"./fdproxy -l 127.0.0.1:0 -r /r=ready: sh -c 'sleep 60 & echo "
		"$! >left; read x; echo got $x >>said'",
		/* So are the children of what is killed. */
		"trap '' HUP; ./fdproxy -T 5 -l 127.0.0.1:0 -r /r=ready: sh -c "
		"'sh -c \"sleep 60 & wait\" & sleep 0.2; echo got keys >>said; "
		"wait' || pgrep -s 0 sleep >left; true",
		/* But who was there before is not ours. */
		"trap '' HUP; sleep 60 & echo $! >left; exec ./fdproxy -l "
		"127.0.0.1:0 -r /r=ready: sh -c 'read x; echo got $x >>said'"
	};
	int slave, master = open_terminal(&slave);
	pid_t left = 0;

	world_copy("fdproxy");
	ck_assert_int_eq(symlink("/bin/sh", "shell"), 0);
	world_program("shell");
	world_spawn("-c", scripts[_i], NULL);
	ck_assert_int_eq(write(master, "keys\n", 5), 5);
	until_file("said", "got keys");
	ck_assert_int_eq(world_exit(), 0);
	if (_i > 2)
		left = (pid_t)atoi(read_file("left"));
	if (_i == 5) {
		ck_assert(runs(left));
		kill(left, SIGKILL);
	} else if (left > 0) {	/* it has its signal */
		until_gone(left);
	}
	close(slave);
	close(master);
}

/* All that the command leaves is told, where it has no group of its own. */
TEST(rest_at_a_terminal)
{
	int slave, master = open_terminal(&slave);

	world_copy("fdproxy");
	ck_assert_int_eq(symlink("/bin/sh", "shell"), 0);
	world_program("shell");
	write_file("rest", "trap 'echo $1 was told >>said; exit' TERM\n"
	    "touch up$1\nwhile :; do sleep 0.1; done\n");
	world_spawn("-c", "./fdproxy -c 'StopTimeout 60' -l 127.0.0.1:0 -r "
	    "/r=ready: sh -c 'sh rest 1 & sh rest 2 & until test -e up1 && "
	    "test -e up2; do sleep 0.1; done; kill -KILL $$'; true", NULL);
	ck_assert_int_eq(world_exit(), 0);
	ck_contains(read_file("said"), "1 was told");
	ck_contains(read_file("said"), "2 was told");
	close(slave);
	close(master);
}

/* What a key does not reach by itself, whoever says it and how. */
TEST(told_at_a_terminal)
{
	union sigval value = { .sival_int = 0 };
	char got[32];
	int slave, master = open_terminal(&slave);

	world_spawn("-l", "127.0.0.1:0", "-r", "/r=ready:", self, "watch",
	    NULL);
	process("primary");
	world_until_says("listening on", 1);
	if (_i == 0)
		world_signal(SIGUSR1);
	else
		ck_assert_int_eq(sigqueue(world_pid(), SIGUSR1, value), 0);
	snprintf(got, sizeof(got), "primary got %d\n", SIGUSR1);
	until_file("said", got);
	world_signal(SIGTERM);
	ck_assert_int_eq(world_exit(), STATUS);
	close(slave);
	close(master);
}

int
main(int argc, char **argv)
{
	const struct test tests[] = {
		TIMES(stopped, 2),
		ONCE(command_first),
		TIMES(rest_is_waited_for, 2),
		ONCE(rest_has_run_time),
		TIMES(queue_of_the_command, 2),
		TIMES(rest_finishes, 3),
		TIMES(rest_is_killed, 2),
		ONCE(killed),
		ONCE(stop_signal),
		TIMES(stop_delay, 3),
		ONCE(passed_on),
		ONCE(ignored_stays_ignored),
		ONCE(ignored_at_the_start),
		ONCE(ready_when_it_accepts),
		ONCE(never_accepts),
		ONCE(job_control),
		TIMES(shares_the_terminal, 6),
		ONCE(rest_at_a_terminal),
		TIMES(told_at_a_terminal, 2)
	};

	if (argc > 1 && is_word(argv[1]))
		return helper(argv);
	if (realpath(argv[0], self) == NULL)
		return 1;
	return runner_run(argc, argv, tests, COUNT(tests), world_begin,
	    world_end);
}
