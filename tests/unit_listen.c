/* See LICENSE for copyright and license details. */

/* The listening sockets of one process, from one configuration to the next. */

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

	listen_close();
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
	ck_assert(listen_prepare(read_config(fmt), false));
	listen_commit();
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

START_TEST(addresses)
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
	listen_close();
	ck_assert(!is_there("u"));
}
END_TEST

/* "Every address" is one port for both families, chosen or not. */
START_TEST(every_address)
{
	use("Listen 0\n" ROUTE);
	ck_assert_int_eq(listen_count(), 2);
	if (listen_at(0)->fd != -1)
		ck_assert_int_eq(sock_port(&listen_at(0)->bound),
		    sock_port(&listen_at(1)->bound));
	ck_assert(answers(1));
}
END_TEST

/* What stays is the same socket; what goes is closed, with its file. */
START_TEST(from_one_to_the_next)
{
	int fd, tcp;

	use("Listen 127.0.0.1:0\nListen unix:%s/a\nListen unix:%s/b\n" ROUTE);
	tcp = listen_at(0)->fd;
	fd = listen_at(2)->fd;
	use("Listen unix:%s/b\nListen unix:%s/c\nListen 127.0.0.1:0\n" ROUTE);
	ck_assert_int_eq(listen_at(0)->fd, fd);
	ck_assert_int_eq(listen_at(2)->fd, tcp);
	ck_assert(answers(0) && answers(1) && answers(2));
	ck_assert(!is_there("a") && is_there("b") && is_there("c"));
	ck_assert_int_eq(unit_count_open(FDS_MAX), open_before + 3);
}
END_TEST

/* One that cannot be had: nothing has changed, nothing is left over. */
START_TEST(all_or_nothing)
{
	const struct config *c;
	int fd;

	use("Listen 127.0.0.1:0\nListen unix:%s/a\n" ROUTE);
	fd = listen_at(0)->fd;
	c = read_config("Listen unix:%s/b\nListen unix:%s/no/folder\n"
	    "Listen 127.0.0.1:0\n" ROUTE);
	log_level(LOG_L_ERROR);
	ck_assert(!listen_prepare(c, false));
	ck_assert_int_eq(listen_count(), 2);
	ck_assert_int_eq(listen_at(0)->fd, fd);
	ck_assert(answers(0) && answers(1));
	ck_assert(!is_there("b"));
	ck_assert_int_eq(unit_count_open(FDS_MAX), open_before + 2);
	/* Called off by the caller. */
	c = read_config("Listen unix:%s/b\n" ROUTE);
	ck_assert(listen_prepare(c, false));
	ck_assert(is_there("b"));
	listen_abort();
	ck_assert(!is_there("b") && is_there("a"));
	ck_assert_int_eq(unit_count_open(FDS_MAX), open_before + 2);
}
END_TEST

/* With lenience, the rest; but not if nothing is left. */
START_TEST(lenient)
{
	const struct config *c;

	c = read_config("Listen unix:%s/no/folder\nListen unix:%s/a\n" ROUTE);
	ck_assert(listen_prepare(c, true));
	listen_commit();
	ck_assert_int_eq(listen_at(0)->fd, -1);
	ck_assert(answers(1));
	c = read_config("Listen unix:%s/no/folder\n" ROUTE);
	ck_assert(!listen_prepare(c, true));
	listen_abort();
}
END_TEST

/* A file that is another's by now, or was never ours, stays. */
START_TEST(files_of_others)
{
	use("Listen unix:%s/a\n" ROUTE);
	ck_assert(is_there("a"));
	ck_assert(unlink(text) == 0);
	ck_assert_int_eq(listen_kind(0), LISTEN_NO_FILE);
	close(open(text, O_CREAT | O_WRONLY, 0600));
	listen_close();
	ck_assert(is_there("a"));
	ck_assert(!listen_prepare(read_config("Listen unix:%s/a\n" ROUTE),
	    false));
	ck_assert(is_there("a"));
	ck_assert(unlink(text) == 0);
}
END_TEST

/* A dead process's file is replaced, a living one's is not. */
START_TEST(stale_file)
{
	struct sock_addr addr;
	int fd;

	snprintf(text, sizeof(text), "%s/a", dir);
	ck_assert(sock_unix(&addr, text, strlen(text)));
	fd = sock_listen(&addr, 1, false, -1);
	ck_assert_int_ne(fd, -1);
	ck_assert(!listen_prepare(read_config("Listen unix:%s/a\n" ROUTE),
	    false));
	close(fd);
	ck_assert(is_there("a"));
	use("Listen unix:%s/a\n" ROUTE);
	ck_assert(answers(0));
}
END_TEST

/* By number, as it was started with: no file of ours, whoever's it is. */
START_TEST(inherited)
{
	char fmt[64];
	struct sock_addr addr;
	int fd, plain = open("/dev/null", O_RDONLY);

	snprintf(text, sizeof(text), "%s/a", dir);
	ck_assert(sock_unix(&addr, text, strlen(text)));
	fd = sock_listen(&addr, 1, false, -1);
	snprintf(fmt, sizeof(fmt), "Listen fd:%d\n" ROUTE, plain);
	ck_assert(!listen_prepare(read_config(fmt), false));
	close(plain);
	snprintf(fmt, sizeof(fmt), "Listen fd:%d\n" ROUTE, fd);
	use(fmt);
	ck_assert_int_eq(listen_number(0), fd);
	ck_assert(answers(0));
	/* The same number again is the same socket. */
	use(fmt);
	ck_assert(answers(0));
	ck_assert(fcntl(listen_at(0)->fd, F_GETFD) & FD_CLOEXEC);
	listen_close();
	ck_assert(is_there("a"));
	unlink(text);
}
END_TEST

/* What the program before has left is taken if it is configured. */
START_TEST(left)
{
	struct sock_addr addr, port;
	int fd[3];

	snprintf(text, sizeof(text), "%s/a", dir);
	ck_assert(sock_unix(&addr, text, strlen(text)));
	fd[0] = sock_listen(&addr, 1, false, -1);
	snprintf(text, sizeof(text), "%s/b", dir);
	ck_assert(sock_unix(&addr, text, strlen(text)));
	fd[1] = sock_listen(&addr, 1, false, -1);
	memset(&port, 0, sizeof(port));
	port.u.in.sin_family = AF_INET;
	port.u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	port.len = sizeof(port.u.in);
	fd[2] = sock_listen(&port, 1, false, -1);
	listen_adopt(fd[0], LISTEN_PLAIN);
	listen_adopt(fd[1], LISTEN_PLAIN);
	listen_adopt(fd[2], LISTEN_ANY_PORT);
	use("Listen 127.0.0.1:0\nListen unix:%s/a\n" ROUTE);
	ck_assert_int_eq(listen_at(0)->fd, fd[2]);
	ck_assert_int_eq(listen_at(1)->fd, fd[0]);
	ck_assert(answers(0) && answers(1));
	ck_assert(!is_there("b"));
	ck_assert_int_eq(unit_count_open(FDS_MAX), open_before + 2);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("listen");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, addresses);
	tcase_add_test(tc, every_address);
	tcase_add_test(tc, from_one_to_the_next);
	tcase_add_test(tc, all_or_nothing);
	tcase_add_test(tc, lenient);
	tcase_add_test(tc, files_of_others);
	tcase_add_test(tc, stale_file);
	tcase_add_test(tc, inherited);
	tcase_add_test(tc, left);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
