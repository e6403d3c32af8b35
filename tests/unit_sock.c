/* See LICENSE for copyright and license details. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "proc.h"
#include "sock.h"
#include "unit.h"

static struct sock_addr from;	/* of the last accept */

#define FDS_MAX	512

static char dir[64], path[128], name[64];
static struct sock_addr addr;
static int open_before;
static mode_t mask_before;

static void
setup(void)
{
	open_before = unit_count_open(FDS_MAX);
	mask_before = umask(022);
	strcpy(dir, "/tmp/unit_sock.XXXXXX");
	ck_assert(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/s", dir);
	ck_assert(sock_unix(&addr, path, strlen(path)));
	/* An abstract name of this process alone. */
	snprintf(name, sizeof(name), "@unit_sock.%ld", (long)getpid());
}

/* Whatever happens in a test, no descriptor is left over. */
static void
teardown(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
	ck_assert_int_eq(unit_count_open(FDS_MAX), open_before);
	/* Nor is the umask changed. */
	ck_assert_int_eq(umask(mask_before), 022);
}

/* The one address of a text. */
static struct sock_addr
parsed(const char *text)
{
	struct sock_addr both[2];
	const char *error;
	int n = 0;

	memset(both, '#', sizeof(both));
	error = sock_parse(text, both, &n);
	ck_assert_msg(error == NULL, "%s: %s", text, error);
	ck_assert_int_eq(n, 1);
	return both[0];
}

static bool
same(const char *a, const char *b)
{
	struct sock_addr x = parsed(a), y = parsed(b);

	return sock_same(&x, &y);
}

/* Texts of one address, and their normal form. */
static const struct {
	const char *text;
	const char *normal;
	int family;
	const char *host;
	unsigned int port;
} forms[] = {
	{ "127.0.0.1:80", NULL, AF_INET, "127.0.0.1", 80 },
	{ "0.0.0.0:0", NULL, AF_INET, "0.0.0.0", 0 },
	{ "255.255.255.255:65535", NULL, AF_INET, "255.255.255.255",
	    65535 },
	{ "127.0.0.1:00080", "127.0.0.1:80", AF_INET, "127.0.0.1", 80 },
	{ "[::]:80", NULL, AF_INET6, "::", 80 },
	{ "[::1]:65535", NULL, AF_INET6, "::1", 65535 },
	{ "[2001:DB8:0:0::1]:8080", "[2001:db8::1]:8080", AF_INET6,
	    "2001:db8::1", 8080 },
	{ "[::ffff:192.0.2.1]:1", NULL, AF_INET6, "::ffff:192.0.2.1", 1 },
	{ "[1111:2222:3333:4444:5555:6666:7777:8888]:9", NULL, AF_INET6,
	    "1111:2222:3333:4444:5555:6666:7777:8888", 9 },
	{ "[fe80::1%1]:80", NULL, AF_INET6, "fe80::1%1", 80 },
	{ "[FE80:0::1%007]:80", "[fe80::1%7]:80", AF_INET6, "fe80::1%7", 80 },
	{ "[fe80:1:1:1:1111:2222:3333:4444%4294967295]:65535", NULL, AF_INET6,
	    "fe80:1:1:1:1111:2222:3333:4444%4294967295", 65535 },
	{ "unix:/s", NULL, AF_UNIX, "unix", 0 },
	{ "unix:/", NULL, AF_UNIX, "unix", 0 },
	{ "unix:/a b:80", NULL, AF_UNIX, "unix", 0 },
	{ "unix:/@s", NULL, AF_UNIX, "unix", 0 },
#ifdef __linux__
	{ "unix:@s", NULL, AF_UNIX, "unix", 0 },
	{ "unix:@/s", NULL, AF_UNIX, "unix", 0 },
	{ "unix:@@", NULL, AF_UNIX, "unix", 0 },
	{ "unix:@a b:80", NULL, AF_UNIX, "unix", 0 },
#endif
};

TEST(parse_good)
{
	char text[SOCK_TEXT], host[SOCK_TEXT];
	struct sock_addr a = parsed(forms[_i].text), again;

	ck_assert_int_eq(a.u.sa.sa_family, forms[_i].family);
	ck_assert_ptr_eq(sock_text(&a, text, sizeof(text)), text);
	ck_assert_str_eq(text, forms[_i].normal == NULL ? forms[_i].text :
	    forms[_i].normal);
	ck_assert_ptr_eq(sock_host(&a, host, sizeof(host)), host);
	ck_assert_str_eq(host, forms[_i].host);
	ck_assert_uint_eq(sock_port(&a), forms[_i].port);
	ck_assert(sock_is_file(&a) == (strncmp(text, "unix:/", 6) == 0));

	/* What it gives is read back, to the byte. */
	again = parsed(text);
	ck_assert(sock_same(&a, &again));
	ck_assert_uint_eq(a.len, again.len);
	ck_assert_mem_eq(&a.u, &again.u, sizeof(a.u));
	if (a.u.sa.sa_family == AF_UNIX) {
		ck_assert_ptr_eq(sock_path(&a, host, sizeof(host)), host);
		ck_assert_str_eq(host, text + 5);
		ck_assert(sock_unix(&again, host, strlen(host)));
		ck_assert(sock_same(&a, &again));
	}
}

TEST(parse_every)
{
	static const char *const texts[] = { "80", ":80", "*:80", "080" };
	char text[SOCK_TEXT];
	struct sock_addr both[2];
	int i, n;

	for (i = 0; i < COUNT(texts); i++) {
		n = 0;
		ck_assert(sock_parse(texts[i], both, &n) == NULL);
		ck_assert_int_eq(n, 2);
		ck_assert_str_eq(sock_text(&both[0], text, sizeof(text)),
		    "[::]:80");
		ck_assert_str_eq(sock_text(&both[1], text, sizeof(text)),
		    "0.0.0.0:80");
	}
}

/* Both of the loopback's addresses, whatever files and servers say. */
TEST(parse_localhost)
{
	struct sock_addr both[2], want[2] = { parsed("[::1]:80"),
	    parsed("127.0.0.1:80") };
	int n = 0;

	ck_assert(sock_parse("localhost:80", both, &n) == NULL);
	ck_assert_int_eq(n, 2);
	for (n = 0; n < 2; n++) {
		ck_assert_uint_eq(both[n].len, want[n].len);
		ck_assert_mem_eq(&both[n].u, &want[n].u, sizeof(want[n].u));
	}
}

/* A link-local address is one of an interface, by its name or number. */
TEST(parse_zone)
{
	struct if_nameindex *all = if_nameindex();
	struct sock_addr a, both[2];
	char text[128], want[128], got[SOCK_TEXT];
	int i, n;

	ck_assert(all != NULL);
	for (i = 0; all[i].if_index != 0; i++) {
		snprintf(text, sizeof(text), "[fe80::1%%%s]:80",
		    all[i].if_name);
		snprintf(want, sizeof(want), "[fe80::1%%%u]:80",
		    all[i].if_index);
		a = parsed(text);
		ck_assert_uint_eq(a.u.in6.sin6_scope_id, all[i].if_index);
		ck_assert_str_eq(sock_text(&a, got, sizeof(got)), want);
		ck_assert(same(text, want));
		ck_assert(!same(text, "[fe80::1]:80"));
		snprintf(text, sizeof(text), "[::1%%%s]:80", all[i].if_name);
		ck_assert_str_eq(sock_parse(text, both, &n), "only a "
		    "link-local address (fe80::) has a zone");
	}
	ck_assert_int_gt(i, 0);
	if_freenameindex(all);
	ck_assert_str_eq(sock_parse("[fe80::1%nonesuch]:80", both, &n),
	    "there is no such network interface");
}

TEST(parse_bad)
{
	static const char *const texts[] = { "", ":", "*", "*:", "x", "80x",
	    "-1", "+1", " 80", "80 ", "65536", "99999999999999999999", "0x50",
	    "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
	    "127.1:80", "127.0.0.256:80", "127.0.0.1.1:80", "localhost",
	    "localhost:", "localhost:x", "localhos:80", "localhost.:80",
	    "localhost1:80", "[localhost]:80", "example.com:80",
	    "::1", "::1:80", "[::1]", "[::1]:", "[::1", "[::1:80", "]:80",
	    "[]:80", "[:80", "[[::1]]:80", "[127.0.0.1]:80", "[::1%lo]:80",
	    "[::1%1]:80", "[fe80::1%]:80", "[fe80::1%0]:80", "[fe80::1%-1]:80",
	    "[fe80::1%4294967296]:80", "[fe80::1%1%1]:80", "[%1]:80",
	    "127.0.0.1%1:80", "[fe80::1%nonesuch]:80", "[::1]x:80", "x[::1]:80",
	    "**:80",
	    "[1111:2222:3333:4444:5555:6666:7777:8888:999999]:80",
	    "unix:", "unix:s", "unix:./s", "unix: /s", "UNIX:/s", "unix:@",
#ifndef __linux__
	    "unix:@s",
#endif
	    "unix", "fd:3" };
	struct sock_addr both[2];
	int i, n;

	for (i = 0; i < COUNT(texts); i++)
		ck_assert_msg(sock_parse(texts[i], both, &n) != NULL, "%s",
		    texts[i]);
}

/* sun_path has room for a byte less than its size, of a name too. */
TEST(unix_length)
{
	size_t most = sizeof(addr.u.un.sun_path) - 1, len;
	size_t skip = offsetof(struct sockaddr_un, sun_path);
	char text[SOCK_TEXT], long_path[256];

	memset(long_path, 'p', sizeof(long_path));
	long_path[0] = '/';
	for (len = 1; len <= most; len++) {
		MUST(sock_unix(&addr, unit_fenced(long_path, len), len));
		MUST(addr.len == skip + len + 1);
		MUST(sock_is_file(&addr));
		MUST(strlen(sock_path(&addr, text, sizeof(text))) == len);
		MUST(memcmp(text, long_path, len) == 0);
		MUST(strlen(sock_text(&addr, text, sizeof(text))) ==
		    len + 5);
	}
	ck_assert(!sock_unix(&addr, long_path, most + 1));
	ck_assert(!sock_unix(&addr, long_path, most + 100));
	ck_assert(!sock_unix(&addr, long_path, 0));
	ck_assert(!sock_unix(&addr, "/a\0b", 4));
	/* A relative one is a file as well. */
	ck_assert(sock_unix(&addr, "s", 1) && sock_is_file(&addr));

	long_path[0] = '@';
	ck_assert(!sock_unix(&addr, long_path, 1));
	ck_assert(!sock_unix(&addr, long_path, most + 1));
	ck_assert(!sock_unix(&addr, "@\0b", 3));
#ifdef __linux__
	for (len = 2; len <= most; len++) {
		MUST(sock_unix(&addr, unit_fenced(long_path, len), len));
		MUST(addr.len == skip + len);
		MUST(!sock_is_file(&addr));
		MUST(strlen(sock_path(&addr, text, sizeof(text))) == len);
		MUST(memcmp(text, long_path, len) == 0);
	}
#else
	ck_assert(!sock_unix(&addr, long_path, 2));
#endif
}

/* Of a name there is the more, the more room there is. */
TEST(text_cut)
{
	char *dst, whole[SOCK_TEXT];
	size_t size;

	sock_text(&addr, whole, sizeof(whole));
	for (size = 1; size < sizeof(whole); size++) {
		dst = unit_fence() - size;
		sock_text(&addr, dst, size);
		MUST(strlen(dst) < size);
		MUST(strncmp(dst, whole, strlen(dst)) == 0);
		sock_path(&addr, dst, size);
		MUST(strlen(dst) < size);
		MUST(strncmp(dst, path, strlen(dst)) == 0);
	}
}

TEST(sameness)
{
	struct sock_addr a, b;

	ck_assert(same("127.0.0.1:80", "127.0.0.1:80"));
	ck_assert(!same("127.0.0.1:80", "127.0.0.1:81"));
	ck_assert(!same("127.0.0.1:80", "127.0.0.2:80"));
	ck_assert(same("[::1]:80", "[0:0::1]:80"));
	ck_assert(!same("[::1]:80", "[::1]:81"));
	ck_assert(!same("[::1]:80", "[::2]:80"));
	ck_assert(!same("[::]:80", "0.0.0.0:80"));
	ck_assert(!same("[::ffff:127.0.0.1]:80", "127.0.0.1:80"));
	ck_assert(same("unix:/s", "unix:/s"));
	ck_assert(!same("unix:/s", "unix:/t"));
	ck_assert(!same("unix:/s", "unix:/s/"));
	ck_assert(!same("unix:/s", "unix:/"));
	ck_assert(!same("unix:/s", "127.0.0.1:0"));
#ifdef __linux__
	ck_assert(same("unix:@s", "unix:@s"));
	ck_assert(!same("unix:@s", "unix:@t"));
	ck_assert(!same("unix:@s", "unix:@ss"));
	ck_assert(!same("unix:@/s", "unix:/s"));
	ck_assert(!same("unix:@s", "unix:/@s"));
	ck_assert(!same("unix:@s", "unix:/s"));
#endif

	/* The system gives no name to what is not bound. */
	memset(&a, 0, sizeof(a));
	a.u.un.sun_family = AF_UNIX;
	a.len = offsetof(struct sockaddr_un, sun_path);
	b = parsed("unix:/s");
	ck_assert(!sock_same(&a, &b) && !sock_same(&b, &a));
	ck_assert(sock_same(&a, &a));

	/* It may count the NUL behind a path, or all of the array. */
	a = b;
	a.len--;
	ck_assert(sock_same(&a, &b) && sock_same(&b, &a));
	a.len = sizeof(a.u.un);
	ck_assert(sock_same(&a, &b) && sock_same(&b, &a));

	/* The rest of an IPv6 address. */
	a = b = parsed("[fe80::1]:80");
	b.u.in6.sin6_scope_id = 1;
	ck_assert(!sock_same(&a, &b));
	b = a;
	b.u.in6.sin6_flowinfo = 1;
	ck_assert(sock_same(&a, &b));
}

TEST(set_port)
{
	struct sock_addr a = parsed("127.0.0.1:0"), b;

	sock_set_port(&a, 65535);
	ck_assert_uint_eq(sock_port(&a), 65535);
	b = parsed("127.0.0.1:65535");
	ck_assert(sock_same(&a, &b));
	a = parsed("[::1]:7");
	sock_set_port(&a, 0);
	b = parsed("[::1]:0");
	ck_assert(sock_same(&a, &b));
	/* Others have none. */
	a = b = addr;
	sock_set_port(&a, 80);
	ck_assert_uint_eq(sock_port(&a), 0);
	ck_assert_mem_eq(&a.u, &b.u, sizeof(a.u));
}

static int
flag(int fd, int level, int option)
{
	int on = -1;
	socklen_t len = sizeof(on);

	ck_assert_int_eq(getsockopt(fd, level, option, &on, &len), 0);
	return on;
}

static bool
nonblocking(int fd)
{
	return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}

static bool
cloexec(int fd)
{
	return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

/* A client of a listener: ours in the array's first place, its in the next. */
static void
meet(int listener, const struct sock_addr *to, int fd[2])
{
	fd[0] = socket(to->u.sa.sa_family, SOCK_STREAM, 0);
	ck_assert_int_ne(fd[0], -1);
	ck_assert_int_eq(connect(fd[0], &to->u.sa, to->len), 0);
	/* TCP takes data, where the system waits for some. */
	ck_assert(write(fd[0], "x", 1) == 1);
	ck_assert_int_eq(sock_nonblock(listener, false), 0);
	fd[1] = sock_accept(listener, &from);
	ck_assert_int_ne(fd[1], -1);
	ck_assert_int_eq(sock_nonblock(listener, true), 0);
}

/* Open, and with clients that are like it. */
static void
must_serve(int fd, const struct sock_addr *to)
{
	struct sock_addr peer, own;
	int pair[2];

	ck_assert(nonblocking(fd) && cloexec(fd));
	errno = 0;
	ck_assert_int_eq(sock_accept(fd, &from), -1);
	ck_assert(errno == EAGAIN || errno == EWOULDBLOCK);
	meet(fd, to, pair);
	ck_assert(!nonblocking(pair[1]) && cloexec(pair[1]));
	ck_assert_int_eq(sock_name(pair[1], &own), 0);
	ck_assert(sock_same(&own, to));
	ck_assert_int_eq(sock_peer(pair[1], &peer), 0);
	ck_assert_int_eq(sock_name(pair[0], &own), 0);
	ck_assert(sock_same(&own, &peer));
	if (to->u.sa.sa_family != AF_UNIX) {
		ck_assert_int_ne(flag(pair[1], IPPROTO_TCP, TCP_NODELAY), 0);
		ck_assert_int_ne(flag(pair[1], SOL_SOCKET, SO_KEEPALIVE), 0);
	}
	close(pair[0]);
	close(pair[1]);
}

TEST(listen_tcp)
{
	static const char *const texts[] = { "127.0.0.1:0", "[::1]:0" };
	struct sock_addr bound;
	int fd, i, again;

	for (i = 0; i < COUNT(texts); i++) {
		addr = parsed(texts[i]);
		/* A mode is for files alone. */
		fd = sock_listen(&addr, 5, i == 0, i == 0 ? -1 : 0600);
		if (fd == -1 && i == 1)
			return;		/* no IPv6 here */
		ck_assert_int_ne(fd, -1);
		ck_assert_int_eq(sock_name(fd, &bound), 0);
		ck_assert_uint_ne(sock_port(&bound), 0);
		must_serve(fd, &bound);
		if (i == 1)
			ck_assert_int_ne(flag(fd, IPPROTO_IPV6, IPV6_V6ONLY),
			    0);
		errno = 0;
		again = sock_listen(&bound, 5, false, -1);
		ck_assert_int_eq(again, -1);
		ck_assert_int_eq(errno, EADDRINUSE);
		close(fd);
		/* Connections that linger are no obstacle. */
		fd = sock_listen(&bound, 5, false, -1);
		ck_assert_int_ne(fd, -1);
		close(fd);
	}
	addr = parsed("192.0.2.1:0");
	errno = 0;
	ck_assert_int_eq(sock_listen(&addr, 5, false, -1), -1);
	ck_assert_int_eq(errno, EADDRNOTAVAIL);
}

/*
 * Both halves of "every address" live with one port, unless somebody else has
 * it in one of them.
 */
TEST(listen_every)
{
	struct sock_addr both[2];
	int fd[2], n, tries;

	for (tries = 0; tries < 20; tries++) {
		ck_assert(sock_parse("0", both, &n) == NULL);
		fd[0] = sock_listen(&both[0], 5, false, -1);
		if (fd[0] == -1)
			return;		/* no IPv6 here */
		ck_assert_int_eq(sock_name(fd[0], &both[0]), 0);
		sock_set_port(&both[1], sock_port(&both[0]));
		errno = 0;
		fd[1] = sock_listen(&both[1], 5, false, -1);
		close(fd[0]);
		if (fd[1] != -1)
			break;
		ck_assert_int_eq(errno, EADDRINUSE);
	}
	ck_assert_int_ne(fd[1], -1);
	close(fd[1]);
}

TEST(tune)
{
#ifdef TCP_DEFER_ACCEPT
	int fd;

	addr = parsed("127.0.0.1:0");
	fd = sock_listen(&addr, 5, false, -1);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(flag(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
	sock_tune(fd, &addr, 1, true);
	ck_assert_int_gt(flag(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
	sock_tune(fd, &addr, 5, true);
	ck_assert_int_gt(flag(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
	sock_tune(fd, &addr, 7, false);
	ck_assert_int_eq(flag(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
	ck_assert_int_eq(sock_name(fd, &addr), 0);
	must_serve(fd, &addr);
	close(fd);
	addr = parsed("127.0.0.1:0");
	fd = sock_listen(&addr, 5, true, -1);
	ck_assert_int_gt(flag(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
	close(fd);
#endif
}

/* How many clients a listener takes before it must accept one. */
static int
count_backlog(void)
{
	int fds[64], n = 0, i;

	for (i = 0; i < COUNT(fds); i++) {
		fds[i] = sock_stream();
		ck_assert_int_ne(fds[i], -1);
		if (connect(fds[i], &addr.u.sa, addr.len) == -1)
			break;
		n++;
	}
	ck_assert_int_lt(n, COUNT(fds));
	while (i >= 0)
		close(fds[i--]);
	return n;
}

/* Those of the first count stay in its queue, though they are closed. */
TEST(tune_backlog)
{
#ifdef __linux__
	int fd = sock_listen(&addr, 3, false, -1);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(count_backlog(), 4);
	sock_tune(fd, &addr, 9, true);
	ck_assert_int_eq(count_backlog(), 6);
	close(fd);
#endif
}

/* The permissions of a file, from the umask or as told. */
TEST(listen_mode)
{
	static const struct {
		mode_t mask;
		int mode;
		int expected;
	} rows[] = {
		{ 022, -1, 0755 }, { 077, -1, 0700 }, { 0, -1, 0777 },
		{ 0177, -1, 0600 }, { 022, 0666, 0666 }, { 077, 0777, 0777 },
		{ 0777, 0600, 0600 }, { 0, 0, 0 }, { 022, 0660, 0660 },
		{ 0, 0171, 0171 }
	};
	struct stat st;
	int fd, i;

	for (i = 0; i < COUNT(rows); i++) {
		umask(rows[i].mask);
		fd = sock_listen(&addr, 5, false, rows[i].mode);
		ck_assert_int_ne(fd, -1);
		ck_assert_int_eq((int)umask(022), (int)rows[i].mask);
		ck_assert(lstat(path, &st) == 0 && S_ISSOCK(st.st_mode));
		ck_assert_int_eq((int)(st.st_mode & 07777),
		    rows[i].expected);
		close(fd);
		ck_assert_int_eq(unlink(path), 0);
	}
	/* Nor is the umask changed by what fails. */
	umask(027);
	snprintf(path, sizeof(path), "%s/no/s", dir);
	ck_assert(sock_unix(&addr, path, strlen(path)));
	errno = 0;
	ck_assert_int_eq(sock_listen(&addr, 5, false, 0600), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq((int)umask(022), 027);
}

TEST(listen_file)
{
	struct stat before, st;
	int fd, again;

	fd = sock_listen(&addr, 5, true, -1);
	ck_assert_int_ne(fd, -1);
	must_serve(fd, &addr);
	ck_assert(lstat(path, &before) == 0);

	/* A live one stays as it is. */
	errno = 0;
	again = sock_listen(&addr, 5, false, 0600);
	ck_assert_int_eq(again, -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	ck_assert(lstat(path, &st) == 0);
	ck_assert_uint_eq(st.st_ino, before.st_ino);
	ck_assert_int_eq((int)st.st_mode, (int)before.st_mode);
	/* The probe is an empty connection. */
	again = sock_accept(fd, &from);
	ck_assert_int_ne(again, -1);
	ck_assert_int_eq(read(again, &st, 1), 0);
	close(again);
	must_serve(fd, &addr);
	close(fd);

	/* One that nobody listens on is replaced. */
	fd = sock_listen(&addr, 5, false, 0600);
	ck_assert_int_ne(fd, -1);
	ck_assert(lstat(path, &st) == 0 && S_ISSOCK(st.st_mode));
	ck_assert_int_eq((int)(st.st_mode & 07777), 0600);
	must_serve(fd, &addr);
	close(fd);
}

/*
 * One that is bound, and does not listen yet, is somebody's: who is about to
 * listen has the folder's lock.  It is not waited for for ever, so the result
 * counts only if we were soon enough.
 */
TEST(listen_file_soon)
{
	struct timespec begin, end = { 0, 0 };
	int folder, fd, status;
	pid_t pid;

	do {
		folder = open(dir, O_RDONLY | O_CLOEXEC);
		ck_assert_int_eq(flock(folder, LOCK_EX), 0);
		unlink(path);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		ck_assert_int_eq(bind(fd, &addr.u.sa, addr.len), 0);
		clock_gettime(CLOCK_MONOTONIC, &begin);
		pid = fork();
		if (pid == 0)
			_exit(sock_listen(&addr, 5, false, -1) == -1);
		poll(NULL, 0, 100);
		ck_assert_int_eq(listen(fd, 5), 0);
		clock_gettime(CLOCK_MONOTONIC, &end);
		flock(folder, LOCK_UN);
		close(folder);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		close(fd);
	} while (end.tv_sec - begin.tv_sec > 1 ||
	    (end.tv_sec - begin.tv_sec) * 1000 +
	    (end.tv_nsec - begin.tv_nsec) / 1000000 > 800);
	ck_assert_int_eq(WEXITSTATUS(status), 1);
}

TEST(listen_file_full)
{
	int fd = sock_listen(&addr, 1, false, -1);
	struct stat st;

	ck_assert_int_ne(fd, -1);
	ck_assert_int_gt(count_backlog(), 0);
	errno = 0;
	ck_assert_int_eq(sock_listen(&addr, 1, false, -1), -1);
#ifdef __linux__
	ck_assert_int_eq(errno, EADDRINUSE);
	ck_assert_int_eq(lstat(path, &st), 0);
#endif
	(void)st;
	close(fd);
}

/* Nor is it ours, whatever was put in its place. */
TEST(remember)
{
	struct sock_file file;
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	ck_assert_int_ne(fd, -1);
	sock_remember(&addr, &file);
	ck_assert(!sock_owns(&addr, &file));
	sock_remove(&addr, &file);
	ck_assert_int_eq(access(path, F_OK), 0);
	close(fd);
}

/* A socket of another's in its place keeps its mode. */
TEST(rights_of_another)
{
	struct sock_file file;
	struct stat st;
	int ours = sock_listen(&addr, 5, false, 0600), other;

	sock_remember(&addr, &file);
	unlink(path);
	other = sock_listen(&addr, 5, false, 0600);
	ck_assert(ours != -1 && other != -1);
	errno = 0;
	ck_assert_int_eq(sock_set_rights(&addr, &file, 0666, (uid_t)-1,
	    (gid_t)-1), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
	close(ours);
	close(other);
}

/* Nothing but a socket is ever removed. */
TEST(listen_other_file)
{
	char target[160];
	struct stat st;
	int fd;

	fd = open(path, O_WRONLY | O_CREAT, 0600);
	ck_assert(fd != -1 && write(fd, "x", 1) == 1);
	close(fd);
	errno = 0;
	ck_assert_int_eq(sock_listen(&addr, 5, false, -1), -1);
	ck_assert_int_eq(errno, EEXIST);
	ck_assert(lstat(path, &st) == 0 && st.st_size == 1);
	unlink(path);

	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(sock_listen(&addr, 5, false, -1), -1);
	ck_assert_int_eq(errno, EEXIST);
	ck_assert_int_eq(rmdir(path), 0);

	/* A link, to a socket as well as to nothing. */
	snprintf(target, sizeof(target), "%s/t", dir);
	ck_assert_int_eq(symlink(target, path), 0);
	errno = 0;
	ck_assert_int_eq(sock_listen(&addr, 5, false, -1), -1);
	ck_assert_int_eq(errno, EEXIST);
	ck_assert(lstat(path, &st) == 0 && S_ISLNK(st.st_mode));
	ck_assert_int_eq(lstat(target, &st), -1);
	unlink(path);

	/* A socket of another type is in use, as far as we know. */
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(bind(fd, &addr.u.sa, addr.len), 0);
	errno = 0;
	ck_assert_int_eq(sock_listen(&addr, 5, false, -1), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	ck_assert_int_eq(lstat(path, &st), 0);
	close(fd);
}

TEST(listen_abstract)
{
#ifdef __linux__
	struct sock_addr bound;
	char text[SOCK_TEXT];
	int fd;

	ck_assert(sock_unix(&addr, name, strlen(name)));
	fd = sock_listen(&addr, 5, true, -1);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(sock_name(fd, &bound), 0);
	ck_assert(sock_same(&bound, &addr));
	ck_assert_uint_eq(bound.len, addr.len);
	ck_assert_str_eq(sock_path(&bound, text, sizeof(text)), name);
	/* There is no file of that name, nor of the rest of it. */
	ck_assert(access(name, F_OK) == -1 && access(name + 1, F_OK) == -1);
	must_serve(fd, &addr);
	errno = 0;
	ck_assert_int_eq(sock_listen(&addr, 5, false, -1), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	close(fd);
	fd = sock_listen(&addr, 5, false, 0600);
	ck_assert_int_ne(fd, -1);
	close(fd);
#endif
}

TEST(inherit)
{
	struct sock_addr bound;
	int fd, pair[2];

	fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_ne(fd, -1);
	bound = parsed("127.0.0.1:0");
	ck_assert_int_eq(bind(fd, &bound.u.sa, bound.len), 0);
	errno = 0;
	ck_assert_int_eq(sock_inherit(fd, &bound), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(listen(fd, 5), 0);
	ck_assert_int_eq(sock_inherit(fd, &bound), 0);
	ck_assert_uint_ne(sock_port(&bound), 0);
	must_serve(fd, &bound);
	close(fd);

	fd = sock_listen(&addr, 5, false, -1);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(sock_nonblock(fd, false), 0);
	ck_assert_int_eq(fcntl(fd, F_SETFD, 0), 0);
	ck_assert_int_eq(sock_inherit(fd, &bound), 0);
	ck_assert(sock_same(&bound, &addr));
	must_serve(fd, &addr);
	close(fd);

	ck_assert_int_eq(sock_inherit(fd, &bound), -1);
	ck_assert_int_eq(errno, EBADF);
	ck_assert_int_eq(pipe(pair), 0);
	ck_assert_int_eq(sock_inherit(pair[0], &bound), -1);
	ck_assert_int_eq(errno, ENOTSOCK);
	close(pair[0]);
	close(pair[1]);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    pair), 0);
	errno = 0;
	ck_assert_int_eq(sock_inherit(pair[0], &bound), -1);
	ck_assert_int_eq(errno, EINVAL);
	close(pair[0]);
	close(pair[1]);
}

/* One that is bound to nothing, as most clients are. */
TEST(no_name)
{
	char text[SOCK_TEXT];
	struct sock_addr a;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    pair), 0);
	ck_assert(!nonblocking(pair[0]) && cloexec(pair[0]));
	ck_assert(!nonblocking(pair[1]) && cloexec(pair[1]));
	ck_assert_int_eq(sock_peer(pair[0], &a), 0);
	ck_assert_int_eq(a.u.sa.sa_family, AF_UNIX);
	ck_assert(!sock_is_file(&a));
	ck_assert_str_eq(sock_path(&a, text, sizeof(text)), "");
	ck_assert_str_eq(sock_text(&a, text, sizeof(text)), "unix:");
	ck_assert_str_eq(sock_host(&a, text, sizeof(text)), "unix");
	ck_assert_uint_eq(sock_port(&a), 0);
	close(pair[0]);
	close(pair[1]);
	ck_assert_int_eq(sock_name(pair[0], &a), -1);
	ck_assert_int_eq(errno, EBADF);
	pair[0] = sock_stream();
	ck_assert(nonblocking(pair[0]) && cloexec(pair[0]));
	ck_assert_int_eq(sock_peer(pair[0], &a), -1);
	ck_assert_int_eq(errno, ENOTCONN);
	close(pair[0]);
}

TEST(reset)
{
	struct sock_addr bound = parsed("127.0.0.1:0");
	int fd = sock_listen(&bound, 5, false, -1), pair[2];
	char byte;

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(sock_name(fd, &bound), 0);
	meet(fd, &bound, pair);
	sock_reset(pair[1]);
	errno = 0;
	ck_assert_int_eq(read(pair[0], &byte, 1), -1);
	ck_assert_int_eq(errno, ECONNRESET);
	close(pair[0]);
	close(fd);
}

static const struct linger options[] = { { 0, 0 }, { 0, 60 }, { 1, 60 },
    { 1, 0 } };

/* No time that the other side lets pass, but a wish for a reset. */
TEST(close_at_once)
{
	static char piece[65536];
	struct sock_addr bound = parsed("127.0.0.1:0");
	int fd = sock_listen(&bound, 5, false, -1), pair[2];
	time_t begun = time(NULL);
	ssize_t n;

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(sock_name(fd, &bound), 0);
	meet(fd, &bound, pair);
	ck_assert_int_eq(read(pair[1], piece, 1), 1);
	ck_assert_int_eq(sock_nonblock(pair[1], true), 0);
	while (send(pair[1], piece, sizeof(piece), MSG_NOSIGNAL) > 0)
		;
	ck_assert_int_eq(sock_nonblock(pair[1], false), 0);
	ck_assert_int_eq(setsockopt(pair[1], SOL_SOCKET, SO_LINGER,
	    &options[_i], sizeof(options[_i])), 0);
	sock_close(pair[1]);
	ck_assert_int_lt(time(NULL), begun + 30);
	do {
		n = read(pair[0], piece, sizeof(piece));
	} while (n > 0);
	if (_i == 3) {
		ck_assert_int_eq(n, -1);
		ck_assert_int_eq(errno, ECONNRESET);
	} else {
		ck_assert_int_eq(n, 0);
	}
	close(pair[0]);
	close(fd);
}

/* Whatever is open, also just behind n. */
TEST(counted)
{
	static const int at[] = { 31, 32, 63, 64, 95, 96, 127, 255, 256, 300,
	    511 };
	struct rlimit saved, limit;
	unsigned int n;
	int i;

	for (n = 0; n <= FDS_MAX; n++)
		ck_assert_uint_eq(proc_count_fds(n), unit_count_open(n));
	for (i = 0; i < COUNT(at); i++) {
		if (at[i] >= sysconf(_SC_OPEN_MAX) ||
		    fcntl(at[i], F_GETFD) != -1)
			continue;
		ck_assert_int_eq(dup2(STDOUT_FILENO, at[i]), at[i]);
		for (n = 0; n <= FDS_MAX; n++)
			ck_assert_uint_eq(proc_count_fds(n),
			    unit_count_open(n));
		close(at[i]);
	}
	/* More than there can be; what is not open costs nothing. */
	ck_assert_uint_eq(proc_count_fds(100000), unit_count_open(100000));
	/* Where poll(2) takes fewer at a time than are asked about. */
	ck_assert(getrlimit(RLIMIT_NOFILE, &saved) == 0);
	limit = saved;
	limit.rlim_cur = 24;
	ck_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	n = proc_count_fds(300);
	ck_assert(setrlimit(RLIMIT_NOFILE, &saved) == 0);
	ck_assert_uint_eq(n, unit_count_open(300));
}

/* Addresses as the C library writes them. */
TEST(hosts)
{
	static const char *const some[] = { "::", "::1", "1::", "1:0:0:2::",
	    "::ffff:192.0.2.7", "::ffff:0:0", "1:0:2:0:3:0:4:0",
	    "2001:db8::1:0:0:1", "2001:db8:0:1:1:1:1:1", "::1:2", "::1:0:2",
	    "0:0:1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:0:0", "fe80::1",
	    "0:0:0:1::1", "1:0:0:1:0:0:0:1" };
	struct sock_addr own;
	char text[SOCK_TEXT], want[INET6_ADDRSTRLEN];
	unsigned char *a = (unsigned char *)&own.u.in6.sin6_addr;
	unsigned int i, j, bits = 1;

	memset(&own, 0, sizeof(own));
	own.u.in6.sin6_family = AF_INET6;
	for (i = 0; i < 2000; i++) {
		if (i < sizeof(some) / sizeof(*some)) {
			ck_assert_int_eq(inet_pton(AF_INET6, some[i], a), 1);
		} else for (j = 0; j < 16; j += 2) {
			bits = bits * 1103515245u + 12345u;
			a[j] = bits >> 28 & 1 ? (unsigned char)(bits >> 8) : 0;
			a[j + 1] = bits >> 29 & 1 ?
			    (unsigned char)(bits >> 16) : 0;
		}
		inet_ntop(AF_INET6, a, want, sizeof(want));
		/* The compatible form was given up by RFC 4291. */
		if (strchr(want, '.') != NULL && strncmp(want, "::ffff:", 7))
			continue;
		ck_assert_str_eq(sock_host(&own, text, sizeof(text)), want);
	}
	own.u.in.sin_family = AF_INET;
	ck_assert_int_eq(inet_pton(AF_INET, "192.0.2.255",
	    &own.u.in.sin_addr), 1);
	ck_assert_str_eq(sock_host(&own, text, sizeof(text)), "192.0.2.255");
}

static const struct test tests[] = {
	ONCE(hosts),
	TIMES(parse_good, COUNT(forms)),
	ONCE(parse_every),
	ONCE(parse_localhost),
	ONCE(parse_zone),
	ONCE(parse_bad),
	ONCE(unix_length),
	ONCE(text_cut),
	ONCE(sameness),
	ONCE(set_port),
	ONCE(listen_tcp),
	ONCE(listen_every),
	ONCE(tune),
	ONCE(tune_backlog),
	ONCE(listen_mode),
	ONCE(listen_file),
	ONCE(listen_file_soon),
	ONCE(listen_file_full),
	ONCE(remember),
	ONCE(rights_of_another),
	ONCE(listen_other_file),
	ONCE(listen_abstract),
	ONCE(inherit),
	ONCE(no_name),
	ONCE(reset),
	TIMES(close_at_once, COUNT(options)),
	ONCE(counted)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), setup, teardown);
}
