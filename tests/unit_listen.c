/* See LICENSE for copyright and license details. */

/* The listening sockets of a process, and those that it is left. */

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "listen.h"
#include "log.h"
#include "unit.h"

#define FDS_MAX	256

static char dir[64], text[1024];
static struct config *configs[8];
static int nconfigs, open_before;

static void
report(const char *line)
{
	ck_abort_msg("%s", line);
}

static void
setup(void)
{
	open_before = unit_count_open(FDS_MAX);
	strcpy(dir, "/tmp/unit_listen.XXXXXX");
	ck_assert(mkdtemp(dir) != NULL);
	log_level(LOG_L_ERROR);
	nconfigs = 0;
}

static void
teardown(void)
{
	int i;

	listen_close(true);
	/* Whatever was open is forgotten with an empty configuration. */
	for (i = 0; i < nconfigs; i++)
		config_free(configs[i]);
	ck_assert_int_eq(rmdir(dir), 0);
	ck_assert_int_eq(unit_count_open(FDS_MAX), open_before);
}

/* A configuration; "%s" in it is the folder. */
static const struct config *
read_config(const char *fmt)
{
	struct config *c = config_new(report);
	int i, n = 0;

	ck_assert(c != NULL);
	for (i = 0; fmt[i] != '\0'; i++) {
		if (strncmp(fmt + i, "%s", 2) == 0) {
			n += snprintf(text + n, sizeof(text) - (size_t)n, "%s",
			    dir);
			i++;
		} else {
			text[n++] = fmt[i];
		}
	}
	text[n] = '\0';
	config_text(c, "t", dir, text, (size_t)n);
	ck_assert(config_finish(c));
	configs[nconfigs++] = c;
	return c;
}

static void
use(const char *fmt)
{
	ck_assert(listen_open(read_config(fmt), LISTEN_STRICT));
	listen_take_over();
}

/* Whether somebody listens where listener i does. */
static bool
answers(int i)
{
	const struct sock_addr *addr = &listen_at(i)->bound;
	int fd = sock_connect(addr), error = 0;
	socklen_t len = sizeof(error);
	bool good;

	if (fd == -1)
		return false;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	good = error == 0;
	close(fd);
	return good;
}

static bool
is_there(const char *name)
{
	struct stat st;

	snprintf(text, sizeof(text), "%s/%s", dir, name);
	return lstat(text, &st) == 0;
}

#define ROUTE	"ProxyPass / fd://s\n"

TEST(addresses)
{
	struct sock_addr mapped;
	struct stat st;

	use("Listen 127.0.0.1:0\nListen unix:%s/u mode=0640\n" ROUTE);
	ck_assert_int_eq(listen_count(), 2);
	ck_assert(answers(0) && answers(1));
	ck_assert(!listen_at(0)->local && listen_at(1)->local);
	ck_assert_int_ne(sock_port(&listen_at(0)->bound), 0);
	ck_assert(sock_name(listen_at(0)->fd, &mapped) == 0);
	ck_assert_int_eq(sock_port(&mapped), sock_port(&listen_at(0)->bound));
	ck_assert(is_there("u"));
	ck_assert(stat(text, &st) == 0);
	ck_assert_int_eq(st.st_mode & 0777, 0640);
	ck_assert_int_eq(listen_kind(0), LISTEN_ANY_PORT);
	ck_assert_int_eq(listen_kind(1), LISTEN_PLAIN);
	ck_assert_int_eq(listen_number(0), -1);
	listen_close(true);
	ck_assert(!is_there("u"));
}

/* "Every address" is one port for both families, chosen or not. */
TEST(every_address)
{
	use("Listen 0\n" ROUTE);
	ck_assert_int_eq(listen_count(), 2);
	if (listen_at(0)->fd != -1)
		ck_assert_int_eq(sock_port(&listen_at(0)->bound),
		    sock_port(&listen_at(1)->bound));
	ck_assert(answers(1));
}

/* One that cannot be had: nothing is left over. */
TEST(all_or_nothing)
{
	ck_assert(!listen_open(read_config("Listen 127.0.0.1:0\n"
	    "Listen unix:%s/b\nListen unix:%s/no/folder\n" ROUTE),
	    LISTEN_STRICT));
	ck_assert_int_eq(listen_count(), 0);
	ck_assert(!is_there("b"));
	ck_assert_int_eq(unit_count_open(FDS_MAX), open_before);
	/* Called off by the caller. */
	ck_assert(listen_open(read_config("Listen unix:%s/b\n" ROUTE),
	    LISTEN_STRICT));
	ck_assert(is_there("b"));
	listen_abort();
	ck_assert(!is_there("b"));
	ck_assert_int_eq(unit_count_open(FDS_MAX), open_before);
}

/* With lenience, the rest; but not if nothing is left. */
TEST(lenient)
{
	ck_assert(listen_open(read_config("Listen unix:%s/no/folder\n"
	    "Listen unix:%s/a\n" ROUTE), LISTEN_LENIENT));
	ck_assert_int_eq(listen_at(0)->fd, -1);
	ck_assert(answers(1));
	listen_close(true);
	ck_assert(!listen_open(read_config("Listen unix:%s/no/folder\n"
	    ROUTE), LISTEN_LENIENT));
}

/* Another process goes on with them: closed, and their files stay. */
TEST(forgotten)
{
	use("Listen 127.0.0.1:0\nListen unix:%s/a\n" ROUTE);
	listen_forget();
	ck_assert(is_there("a"));
	ck_assert_int_eq(unit_count_open(FDS_MAX), open_before);
	ck_assert(unlink(text) == 0);
}

/* A file that is another's by now, or was never ours, stays. */
TEST(files_of_others)
{
	use("Listen unix:%s/a\n" ROUTE);
	ck_assert(is_there("a"));
	ck_assert(unlink(text) == 0);
	ck_assert_int_eq(listen_kind(0), LISTEN_NO_FILE);
	close(open(text, O_CREAT | O_WRONLY, 0600));
	listen_close(true);
	ck_assert(is_there("a"));
	ck_assert(!listen_open(read_config("Listen unix:%s/a\n" ROUTE),
	    LISTEN_STRICT));
	ck_assert(is_there("a"));
	ck_assert(unlink(text) == 0);
}

/* A dead process's file is replaced, a living one's is not. */
TEST(stale_file)
{
	struct sock_addr addr;
	int fd;

	snprintf(text, sizeof(text), "%s/a", dir);
	ck_assert(sock_unix(&addr, text, strlen(text)));
	fd = sock_listen(&addr, 1, false, -1);
	ck_assert_int_ne(fd, -1);
	ck_assert(!listen_open(read_config("Listen unix:%s/a\n" ROUTE),
	    LISTEN_STRICT));
	close(fd);
	ck_assert(is_there("a"));
	use("Listen unix:%s/a\n" ROUTE);
	ck_assert(answers(0));
}

/* By number, as it was started with: no file of ours, whoever's it is. */
TEST(inherited)
{
	char fmt[64];
	struct sock_addr addr;
	int fd, plain = open("/dev/null", O_RDONLY);

	snprintf(text, sizeof(text), "%s/a", dir);
	ck_assert(sock_unix(&addr, text, strlen(text)));
	fd = sock_listen(&addr, 1, false, -1);
	snprintf(fmt, sizeof(fmt), "Listen fd:%d\n" ROUTE, plain);
	ck_assert(!listen_open(read_config(fmt), LISTEN_STRICT));
	close(plain);
	snprintf(fmt, sizeof(fmt), "Listen fd:%d\n" ROUTE, fd);
	use(fmt);
	ck_assert_int_eq(listen_number(0), fd);
	ck_assert(answers(0));
	ck_assert(fcntl(listen_at(0)->fd, F_GETFD) & FD_CLOEXEC);
	listen_close(true);
	ck_assert(is_there("a"));
	unlink(text);
}

/* A number is not that of a socket which we have just opened. */
TEST(own_number)
{
	char fmt[64];
	int fd = dup(STDIN_FILENO);	/* the next one */

	close(fd);
	snprintf(fmt, sizeof(fmt), "Listen 127.0.0.1:0\nListen fd:%d\n" ROUTE,
	    fd);
	ck_assert(!listen_open(read_config(fmt), LISTEN_STRICT));
	ck_assert_int_eq(unit_count_open(FDS_MAX), open_before);
}

/* The sockets that the program before has left: "a" and "b", and a port. */
static void
leave_three(int fd[3])
{
	struct sock_addr addr;
	int i;

	for (i = 0; i < 2; i++) {
		snprintf(text, sizeof(text), "%s/%c", dir, 'a' + i);
		ck_assert(sock_unix(&addr, text, strlen(text)));
		fd[i] = sock_listen(&addr, 1, false, -1);
		listen_adopt(fd[i], LISTEN_PLAIN);
	}
	memset(&addr, 0, sizeof(addr));
	addr.u.in.sin_family = AF_INET;
	addr.u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	addr.len = sizeof(addr.u.in);
	fd[2] = sock_listen(&addr, 1, false, -1);
	listen_adopt(fd[2], LISTEN_ANY_PORT);
}

/* They are taken if they are configured; what goes is closed, with its file. */
TEST(left)
{
	int fd[3];

	leave_three(fd);
	ck_assert(listen_open(read_config("Listen 127.0.0.1:0\n"
	    "Listen unix:%s/a\nListen unix:%s/c\n" ROUTE),
	    LISTEN_STRICT));
	ck_assert_int_eq(listen_at(0)->fd, fd[2]);
	ck_assert_int_eq(listen_at(1)->fd, fd[0]);
	ck_assert_int_eq(listen_unwanted(0), fd[1]);
	ck_assert_int_eq(listen_unwanted(1), -1);
	ck_assert(is_there("b"));
	listen_take_over();
	ck_assert(answers(0) && answers(1) && answers(2));
	ck_assert(!is_there("b"));
	ck_assert_int_eq(listen_unwanted(0), -1);
	ck_assert_int_eq(unit_count_open(FDS_MAX), open_before + 3);
}

/* A trial looks, and leaves them as they are. */
TEST(left_for_a_trial)
{
	int fd[3], i;

	leave_three(fd);
	ck_assert(listen_open(read_config("Listen 127.0.0.1:0\n"
	    "Listen unix:%s/a\nListen unix:%s/c\n" ROUTE),
	    LISTEN_STRICT));
	listen_abort();
	ck_assert(is_there("a") && is_there("b") && !is_there("c"));
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(close(fd[i]), 0);
	/* As its end would have it. */
	listen_take_over();
	unlink(strcat(strcpy(text, dir), "/a"));
}

/* A port that the system chose goes to who asks for it by its number. */
TEST(left_asked_for)
{
	struct sock_addr addr;
	char conf[128];
	int fd[3];

	leave_three(fd);
	ck_assert_int_eq(sock_name(fd[2], &addr), 0);
	snprintf(conf, sizeof(conf), "Listen 127.0.0.1:0\n"
	    "Listen 127.0.0.1:%u\n" ROUTE, sock_port(&addr));
	ck_assert(listen_open(read_config(conf), LISTEN_STRICT));
	ck_assert_int_ne(listen_at(0)->fd, fd[2]);
	ck_assert_int_eq(listen_at(1)->fd, fd[2]);
	listen_take_over();
	ck_assert(answers(0) && answers(1));
}

/* What another has put in the place of a socket's file keeps its mode. */
TEST(left_replaced)
{
	struct stat st;
	int fd[3], other;

	leave_three(fd);
	ck_assert(listen_open(read_config("Listen unix:%s/a mode=0666\n"
	    ROUTE), LISTEN_STRICT));
	ck_assert(is_there("a"));
	ck_assert_int_eq(unlink(text), 0);
	other = open(text, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	listen_take_over();
	ck_assert_int_eq(fstat(other, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	close(other);
	listen_close(true);
	ck_assert(is_there("a"));
	unlink(text);
}

static const struct test tests[] = {
	ONCE(addresses),
	ONCE(every_address),
	ONCE(all_or_nothing),
	ONCE(lenient),
	ONCE(files_of_others),
	ONCE(stale_file),
	ONCE(inherited),
	ONCE(own_number),
	ONCE(forgotten),
	ONCE(left),
	ONCE(left_for_a_trial),
	ONCE(left_asked_for),
	ONCE(left_replaced)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), setup, teardown);
}
