/* See LICENSE for copyright and license details. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "config.h"
#include "fdpass.h"
#include "config_route.h"
#include "log.h"
#include "unit.h"

/* All that was reported, one error a line. */
static char reported[UNIT_FENCE];

static char dir[256];
static char start[1024];
static struct config *config;

static void
report(const char *line)
{
	size_t n = strlen(reported);

	MUST(strchr(line, '\n') == NULL);
	MUST(strlen(line) < LOG_LINE);
	if (n + strlen(line) + 2 < sizeof(reported))
		snprintf(reported + n, sizeof(reported) - n, "%s\n", line);
}

static void
renew(void)
{
	config_free(config);
	reported[0] = '\0';
	config = config_new(report);
	ck_assert(config != NULL);
}

static void
setup(void)
{
	char name[] = "/tmp/unit_config.XXXXXX";

	config = NULL;
	ck_assert(getcwd(start, sizeof(start)) != NULL);
	ck_assert(mkdtemp(name) != NULL && chdir(name) == 0);
	/* Without symbolic links in it. */
	ck_assert(getcwd(dir, sizeof(dir)) != NULL);
	ck_assert(mkdir("sub", 0700) == 0);
	renew();
}

static void
teardown(void)
{
	config_free(config);
	config = NULL;
	ck_assert(chdir(dir) == 0);
	unlink("main.conf");
	unlink("head");
	unlink("sub/a.conf");
	unlink("sub/b.conf");
	rmdir("sub");
	ck_assert(chdir(start) == 0);
	rmdir(dir);
}

static void
read_text(const char *text)
{
	config_text(config, "t", "/d", text, strlen(text));
}

static void
save(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	ck_assert(f != NULL);
	ck_assert(fputs(text, f) >= 0);
	ck_assert(fclose(f) == 0);
}

/* What is written to standard error meanwhile. */
static int err_saved, err_reader;

static void
catch_stderr(void)
{
	int fd[2];

	fflush(stderr);
	ck_assert(pipe(fd) == 0);
	err_reader = fd[0];
	err_saved = dup(STDERR_FILENO);
	ck_assert(dup2(fd[1], STDERR_FILENO) != -1);
	close(fd[1]);
}

static const char *
caught(void)
{
	static char text[65536];
	size_t len = 0;
	ssize_t n;

	ck_assert(dup2(err_saved, STDERR_FILENO) != -1);
	close(err_saved);
	while ((n = read(err_reader, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	close(err_reader);
	text[len] = '\0';
	return text;
}

/* Lines that are fine by themselves. */
static const char *const goods[] = {
	"AcceptFilter http data",
	"AcceptFilter http none",
	"AcceptFilter HTTP Data",
	"ChrootDir /var/empty",
	"CustomLog stderr",
	"CustomLog syslog common",
	"CustomLog access.log Common",
	"CustomLog /var/log/access.log",
	"CustomLog fd:3 json",
	"CustomLog events.log JSON",
	"Date on",
	"Date Off",
	"Date \"Mon, 23 Nov 2026 08:00:00 GMT\"",
	"ErrorLog stderr",
	"ErrorLog syslog",
	"ErrorLog fdproxy.log",
	"ErrorLog /var/log/fdproxy.log",
	"GracefulShutdownTimeout 0",
	"ProxyPass /a :child flusher=none",
	"ProxyPass /a ready:",
	"ProxyPass /a fd://s compat=apache",
	"StartTimeout 0",
	"StartTimeout 500ms",
	"StopTimeout 1min",
	"StopTimeout 0",
	"StopTimeout 5sec",
	"StopTimeout 240H",
	"StopDelay 10",
	"StopDelay 0",
	"StopSignal QUIT",
	"StopSignal sigwinch",
	"StopSignal 1",
	"StopSignal 31",
	"GracefulShutdownTimeout 30",
	"KeepAliveTimeout 0",
	"KeepAliveTimeout 15",
	"ProxyPass / workers:///run/w MODE=0600 owner=root group=root wait=1s",
	"ProxyPass / workers://w\nProxyPass /b workers://w flusher=none",
	"ProxyPass / :workers",
	"Group staff",
	"Include main.conf",
	"LimitRequestFieldSize 16",
	"LimitRequestFieldSize 65535",
	"LimitRequestFields 1",
	"LimitRequestFields 32767",
	"LimitRequestHead 64",
	"LimitRequestHead 65535",
	"LimitRequestLine 16",
	"LimitRequestLine 65535",
	"Listen 0",
	"Listen fd:3",
	"Listen 65535",
	"Listen *:80",
	"Listen :80",
	"Listen 127.0.0.1:80",
	"Listen [::]:80",
	"Listen [2001:db8::1]:8080",
	"Listen 80 http",
	"Listen [::1]:80 HTTP",
	"Listen localhost:80",
	"Listen [fe80::1%1]:80",
	"Listen fd:3 http",
	"Listen unix:/run/http.sock",
	"Listen unix:/s http mode=0660 owner=www group=staff",
	"Listen unix:/s mode=0",
	"Listen unix:/s mode=7",
	"Listen unix:/s mode=777",
	"Listen unix:/s mode=0000777",
	"Listen unix:/s owner=0 group=0",
	"Listen unix:/s group=\"domain users\"",
	"Listen unix:/s owner=a owner=b group=c group=d http http",
	"Listen \"unix:/a b\" mode=600",
#ifdef __linux__
	"Listen unix:@name",
	"Listen unix:@name http",
	"Listen unix:@a/b",
	"Listen unix:@@",
#endif
	"ListenBacklog 1",
	"ListenBacklog 2147483647",
	"LogLevel error",
	"LogLevel WARN",
	"LogLevel notice",
	"LogLevel info",
	"LogLevel debug",
	"LogLevel emerg",
	"LogLevel Alert",
	"LogLevel crit",
	"LogLevel Warning",
	"LogLevel trace1",
	"LogLevel TRACE8",
	"MaxConnections 1",
	"MaxConnections 10000000",
	"PidFile /run/fdproxy.pid",
	"PidFile fdproxy.pid",
	"ProxyPass / fd:///s",
	"ProxyPass /a FD:///s",
	"ProxyPass /a fd://s",
	"ProxyPass /a fd://../s",
	"ProxyPass /a fd:///folder/",
	"ProxyPass /a fd://./@name",
	"ProxyPass /a fd:///@name",
#ifdef __linux__
	"ProxyPass /a fd://@name",
	"ProxyPass /a FD://@name/",
	"ProxyPass /a fd://@/",
	"ProxyPass /a fd://@name queue=1 flusher=none",
#endif
	"ProxyPass /a !",
	"ProxyPass /a status:",
	"ProxyPass \"/a b\" fd:///s",
	"ProxyPass /a fd:///s flusher=flush",
	"ProxyPass /a fd:///s FLUSHER=none",
	"ProxyPass /a fd:///s flusher=file:/h",
	"ProxyPass /a fd:///s connectiontimeout=0",
	"ProxyPass /a fd:///s connectiontimeout=1500ms wait=2min",
	"ProxyPass /a fd:///s wait=864000",
	"ProxyPass /a fd:///s wait=14400min",
	"ProxyPass /a fd:///s wait=864000000MS",
	"ProxyPass /a fd:///s wait=10S",
	"ProxyPass /a fd:///s queue=1",
	"ProxyPass /a fd:///s queue=1000000",
	"ProxyPass /a fd:///s payload=head",
	"ProxyPass /a fd:///s flushpackets=on",
	"ProxyPass /a fd:///s FlushPackets=Off compat=apache",
	"ProxyPass /a fd:///s header=\"A: b\"",
	"ProxyPass /a fd:///s header=A:",
	"ProxyPass /a fd:///s 'header=A: b'",
	"RequestReadTimeout header=5",
	"RequestReadTimeout HEADER=500ms",
	"ServerTokens Full",
	"ServerTokens min",
	"ServerTokens Minimal",
	"ServerTokens PROD",
	"ServerTokens ProductOnly",
	"ServerTokens None",
	"Timeout 1ms",
	"Timeout 10",
	"User www",

	/* The form of lines. */
	"",
	"\n\n",
	"\t \r\n",
	"# Bogus",
	"\t# Bogus",
	"#",
	"lISTEN 80",
	"  \t Listen\t\t80 \t",
	"Listen 80\r\n",
	"Listen \"80\"",
	"Listen '80'",
	"\"Listen\" 80",
	"Listen \\\n80",
	"Listen \\\r\n80\r\n",
	"Lis\\\nten 8\\\n0\\\n\n",
	"# one \\\nBogus",
	"Listen 80\n\n\nUser www"
};

#define TIME(what, near)	what " must be a time in ms, s, min or h, " \
	"at most 10 days, near \"" near "\""
#define NUMBER(what, from, to, near)	what " must be a number from " from \
	" to " to ", near \"" near "\""
#define PORT	"not an [address:]port with a port from 0 to 65535"
#define WORD(near)	"Listen: only http, and for unix: mode=, owner= " \
	"and group= can follow, near \"" near "\""
#define MODE(near)	"Listen: mode= must be an octal number up to 777, " \
	"near \"" near "\""
#define TARGET(near)	"ProxyPass: the target must be fd://PATH, " \
	"workers://PATH, :child, :workers, status:, ready: or !, near \"" \
	near "\""
#define ADDRESS(near)	"ProxyPass: a backend has a unix socket, and no " \
	"address: run the server by fdaccept -p PORT=SOCKET, and name SOCKET " \
	"here, near \"" near "\""
#define WORKERS	"ProxyPass: mode=, owner= and group= are for the first " \
	"route to a file that workers connect to"
#define SIGNALS(near)	"StopSignal: one of TERM, INT, QUIT, HUP, USR1, " \
	"USR2, WINCH, KILL, or a number from 1 to 31, near \"" near "\""
#define DATE(near)	"Date: on, off, or a date as in \"Thu, 01 Jan 1970 " \
	"00:00:00 GMT\", near \"" near "\""
#define TOKENS(near)	"ServerTokens: one of Full, Minimal, Prod, None, " \
	"near \"" near "\""
#define PATTERN(near)	"Include: one file and no pattern; write a line " \
	"for each, near \"" near "\""
#define NOT_APACHES	" (names are Apache's, and nothing ends a line)"
#define PASS	"ProxyPass /a fd:///s "

/* One line, and what is said about it behind "t:1: ". */
static const struct {
	const char *line;
	const char *error;
} bads[] = {
	{ "AcceptFilter http", "AcceptFilter: too few arguments" },
	{ "AcceptFilter http httpready",
	    "AcceptFilter: only \"http data\" or \"http none\"" },
	{ "AcceptFilter https data",
	    "AcceptFilter: only \"http data\" or \"http none\"" },
	{ "CustomLog fd: json",
	    "a log's fd: must be a number from 0 to 2147483647, near "
	    "\"\"" },
	{ "CustomLog fd:x json",
	    "a log's fd: must be a number from 0 to 2147483647, near "
	    "\"x\"" },
	{ "Date",
	    "Date: too few arguments" },
	{ "Date never", DATE("never") },
	{ "Date \"Mon, 23 Nov 2026 08:00:00 GM\tT\"",
	    DATE("Mon, 23 Nov 2026 08:00:00 GM\\x09T") },
	{ "Date 29-bytes-that-are-not-a-date.", DATE("29-bytes-that-are-not-a-"
	    "date.") },
	{ "Date \"Mon, 23 Nov 2026 08:00:00 CET\"",
	    DATE("Mon, 23 Nov 2026 08:00:00 CET") },
	{ "Date \"mon, 23 Nov 2026 08:00:00 GMT\"",
	    DATE("mon, 23 Nov 2026 08:00:00 GMT") },
	{ "Date \"Mon, 23 NOV 2026 08:00:00 GMT\"",
	    DATE("Mon, 23 NOV 2026 08:00:00 GMT") },
	{ "Date \"Mon, 3  Nov 2026 08:00:00 GMT\"",
	    DATE("Mon, 3  Nov 2026 08:00:00 GMT") },
	{ "Date \"Mon, 23 Nov 2026 08:00:00 GMT \"",
	    DATE("Mon, 23 Nov 2026 08:00:00 GMT ") },
	{ "Date \"Mon, 23 Nov 2026 08:00:00 GM\"",
	    DATE("Mon, 23 Nov 2026 08:00:00 GM") },
	{ "ErrorLog \"\"",
	    "a file expected, near \"\"" },
	{ "ErrorLog |/bin/x",
	    "a file expected, near \"|/bin/x\"" },
	{ "ErrorLog syslog:local7",
	    "syslog has no parameters here, near \"syslog:local7\"" },
	{ "PidFile \"\"",
	    "a file expected, near \"\"" },
	{ "ProxyPass /a :child x=y",
	    "ProxyPass: unknown parameter, near \"x=y\"" },
	{ "ProxyPass /a ready: wait=1",
	    "ProxyPass: \"ready:\" takes no parameters" },
	{ "ProxyPass /a fd://s compat=nginx",
	    "compat: only \"apache\" is known, near \"nginx\"" },
	{ "ProxyPass /a fd://s fault=drop@2",
	    "ProxyPass: fault is not supported: put fdfault(1) between "
	    "fdproxy and the backend" },
	{ "StartTimeout never",
	    "StartTimeout must be a time in ms, s, min or h, at most 10 "
	    "days, near \"never\"" },
	{ "StopTimeout -1",
	    "StopTimeout must be a time in ms, s, min or h, at most 10 days, "
	    "near \"-1\"" },
	{ "StopTimeout 241h", TIME("StopTimeout", "241h") },
	{ "StopTimeout 5m", TIME("StopTimeout", "5m") },
	{ "StopDelay", "StopDelay: too few arguments" },
	{ "StopDelay x", TIME("StopDelay", "x") },
	{ "StopSignal SIGSTOPP", SIGNALS("SIGSTOPP") },
	{ "StopSignal SIG", SIGNALS("SIG") },
	{ "StopSignal SIGRTMIN+3", SIGNALS("SIGRTMIN+3") },
	{ "StopSignal 0", SIGNALS("0") },
	{ "StopSignal 32", SIGNALS("32") },
	{ "StopSignal -1", SIGNALS("-1") },
	{ "StopSignal QUIT TERM",
	    "StopSignal: too many arguments, near \"TERM\"" },
	{ "ChrootDir here", "ChrootDir: an absolute path expected, near "
	    "\"here\"" },
	{ "CustomLog", "CustomLog: too few arguments" },
	{ "CustomLog a common b",
	    "CustomLog: too many arguments, near \"b\"" },
	{ "CustomLog access.log combined", "CustomLog: the formats are "
	    "common and json, near \"combined\"" },
	{ "CustomLog access.log \"%h %u\"", "CustomLog: the formats are "
	    "common and json, near \"%h %u\"" },
	{ "CustomLog access.log \"\"", "CustomLog: the formats are "
	    "common and json, near \"\"" },
	{ "CustomLog |/bin/rotate", "CustomLog: programs are not started, "
	    "near \"|/bin/rotate\"" },
	{ "CustomLog \"|/bin/rotate x\" common", "CustomLog: programs are "
	    "not started, near \"|/bin/rotate x\"" },
	{ "ErrorLog", "ErrorLog: too few arguments" },
	{ "ErrorLog a b", "ErrorLog: too many arguments, near \"b\"" },
	{ "KeepAliveTimeout x", TIME("KeepAliveTimeout", "x") },
	{ "ProxyPass / workers:///run/x/", "ProxyPass: workers come to one "
	    "socket, not to a folder, near \"/run/x/\"" },
	{ "ProxyPass / fd:///run/x mode=0600", WORKERS },
	{ "ProxyPass / :workers owner=root", WORKERS },
	{ "ProxyPass / :workers peer=0", "ProxyPass: peer= is for a socket, "
	    "and :workers has none" },
	{ "ProxyPass / workers:///x owner=a group=b queue=x",
	    "queue must be a number from 1 to 1000000, near \"x\"" },
	{ "ProxyPass / workers:///x mode=8", "ProxyPass: mode= must be an "
	    "octal number up to 777, near \"mode=8\"" },
	{ "ProxyPass / workers:///x owner=", "owner: a name expected" },
#ifdef __linux__
	{ "ProxyPass / workers://@x", "ProxyPass: an abstract name has no "
	    "mode, so anybody could be a worker: give peer=USER" },
#endif
	{ "GracefulShutdownTimeout x", TIME("GracefulShutdownTimeout", "x") },
	{ "Group", "Group: too few arguments" },
	{ "Group a b", "Group: too many arguments, near \"b\"" },
	{ "Include", "Include: too few arguments" },
	{ "Include a b", "Include: too many arguments, near \"b\"" },
	{ "Include conf.d/*.conf", PATTERN("conf.d/*.conf") },
	{ "Include conf.d/?", PATTERN("conf.d/?") },
	{ "Include conf.d/[a-z]", PATTERN("conf.d/[a-z]") },
	{ "IncludeOptional conf.d/*.conf", "IncludeOptional is not supported: "
	    "Include reads one file, which must be there" },
	{ "LimitRequestFieldSize 15",
	    NUMBER("LimitRequestFieldSize", "16", "65535", "15") },
	{ "LimitRequestFieldSize 65536",
	    NUMBER("LimitRequestFieldSize", "16", "65535", "65536") },
	{ "limitrequestfields 0",
	    NUMBER("LimitRequestFields", "1", "32767", "0") },
	{ "LimitRequestFields 32768",
	    NUMBER("LimitRequestFields", "1", "32767", "32768") },
	{ "LimitRequestHead 63",
	    NUMBER("LimitRequestHead", "64", "65535", "63") },
	{ "LimitRequestHead 65536",
	    NUMBER("LimitRequestHead", "64", "65535", "65536") },
	{ "LimitRequestLine 15",
	    NUMBER("LimitRequestLine", "16", "65535", "15") },
	{ "LimitRequestLine -16",
	    NUMBER("LimitRequestLine", "16", "65535", "-16") },
	{ "LimitRequestLine +16",
	    NUMBER("LimitRequestLine", "16", "65535", "+16") },
	{ "LimitRequestLine 0x20",
	    NUMBER("LimitRequestLine", "16", "65535", "0x20") },
	{ "LimitRequestLine 8k",
	    NUMBER("LimitRequestLine", "16", "65535", "8k") },
	{ "LimitRequestLine \"\"",
	    NUMBER("LimitRequestLine", "16", "65535", "") },
	{ "LimitRequestLine \" 20\"",
	    NUMBER("LimitRequestLine", "16", "65535", " 20") },
	{ "LimitRequestLine 18446744073709551632",
	    NUMBER("LimitRequestLine", "16", "65535",
	    "18446744073709551632") },
	{ "Listen", "Listen: too few arguments" },
	{ "Listen 80 https", WORD("https") },
	{ "Listen 80 httpd", WORD("httpd") },
	{ "Listen 80 \"\"", WORD("") },
	{ "Listen 80 #port", WORD("#port") },
	{ "Listen 80 http https", WORD("https") },
	{ "Listen 80 mode=600", WORD("mode=600") },
	{ "Listen 127.0.0.1:80 owner=www", WORD("owner=www") },
	{ "Listen [::1]:80 group=www", WORD("group=www") },
	{ "Listen fd:3 mode=600", WORD("mode=600") },
	{ "Listen fd:3 owner=www", WORD("owner=www") },
	{ "Listen unix:/s 0600", WORD("0600") },
	{ "Listen unix:/s owner", WORD("owner") },
	{ "Listen unix:/s owner=", WORD("owner=") },
	{ "Listen unix:/s group=", WORD("group=") },
	{ "Listen unix:/s user=www", WORD("user=www") },
	{ "Listen unix:/s mode", WORD("mode") },
	{ "Listen unix:/s mode=", MODE("mode=") },
	{ "Listen unix:/s mode=8", MODE("mode=8") },
	{ "Listen unix:/s mode=08", MODE("mode=08") },
	{ "Listen unix:/s mode=1000", MODE("mode=1000") },
	{ "Listen unix:/s mode=-1", MODE("mode=-1") },
	{ "Listen unix:/s mode=+7", MODE("mode=+7") },
	{ "Listen unix:/s mode=0x7", MODE("mode=0x7") },
	{ "Listen unix:/s mode=rw-rw----", MODE("mode=rw-rw----") },
	/* Numbers that are small, or -1, once they are cut to an int. */
	{ "Listen unix:/s mode=40000000000", MODE("mode=40000000000") },
	{ "Listen unix:/s mode=20000000000", MODE("mode=20000000000") },
	{ "Listen unix:/s mode=7777777777777777777777777",
	    MODE("mode=7777777777777777777777777") },
	{ "Listen unix:/s mode=\" 7\"", MODE("mode= 7") },
	{ "Listen unix:/s mode=\"7 \"", MODE("mode=7 ") },
	{ "Listen unix:/s owner=www group=www mode=9", MODE("mode=9") },
	{ "Listen unix:/s owner=www https", WORD("https") },
	{ "Listen 65536", "Listen: " PORT ", near \"65536\"" },
	{ "Listen 127.0.0.1", "Listen: " PORT ", near \"127.0.0.1\"" },
	{ "Listen 127.0.0.1:", "Listen: " PORT ", near \"127.0.0.1:\"" },
	{ "Listen [::1]", "Listen: " PORT ", near \"[::1]\"" },
	{ "Listen -1", "Listen: " PORT ", near \"-1\"" },
	{ "Listen \"\"", "Listen: " PORT ", near \"\"" },
	{ "Listen fd:x", "Listen fd: must be a number from 0 to 2147483647, "
	    "near \"x\"" },
	{ "Listen 4294967376", "Listen: " PORT ", near \"4294967376\"" },
	{ "Listen example.com:80", "Listen: not a numeric address (IPv6 goes "
	    "in brackets), near \"example.com:80\"" },
	{ "Listen localhost", "Listen: " PORT ", near \"localhost\"" },
	{ "Listen [fe80::1%nonesuch]:80", "Listen: there is no such network "
	    "interface, near \"[fe80::1%nonesuch]:80\"" },
	{ "Listen [::1%1]:80", "Listen: only a link-local address (fe80::) "
	    "has a zone, near \"[::1%1]:80\"" },
	{ "Listen ::1:80", "Listen: not a numeric address (IPv6 goes "
	    "in brackets), near \"::1:80\"" },
	{ "Listen [127.0.0.1]:80", "Listen: not a numeric address (IPv6 goes "
	    "in brackets), near \"[127.0.0.1]:80\"" },
	{ "Listen []:80", "Listen: not a numeric address (IPv6 goes "
	    "in brackets), near \"[]:80\"" },
	{ "Listen [:80", "Listen: not a numeric address (IPv6 goes "
	    "in brackets), near \"[:80\"" },
	{ "Listen 127.0.0.256:80", "Listen: not a numeric address (IPv6 goes "
	    "in brackets), near \"127.0.0.256:80\"" },
	{ "Listen [1111:2222:3333:4444:5555:6666:7777:8888:999999]:80",
	    "Listen: not a numeric address (IPv6 goes in brackets), near "
	    "\"[1111:2222:3333:4444:5555:6666:7777:8888:999999]:80\"" },
	{ "Listen unix:run/s", "Listen: the path of a unix: address must be "
	    "absolute, near \"unix:run/s\"" },
	{ "Listen unix:", "Listen: the path of a unix: address must be "
	    "absolute, near \"unix:\"" },
#ifdef __linux__
	{ "Listen unix:@name mode=0600", WORD("mode=0600") },
	{ "Listen unix:@name owner=www", WORD("owner=www") },
	{ "Listen unix:@name group=www", WORD("group=www") },
#endif
	{ "Listen unix:@", "Listen: no such abstract name is possible here, "
	    "near \"unix:@\"" },
#ifndef __linux__
	{ "Listen unix:@name", "Listen: no such abstract name is possible "
	    "here, near \"unix:@name\"" },
#endif
	{ "ListenBacklog 0",
	    NUMBER("ListenBacklog", "1", "2147483647", "0") },
	{ "ListenBacklog 2147483648",
	    NUMBER("ListenBacklog", "1", "2147483647", "2147483648") },
	{ "LogLevel loud", "LogLevel: one of error, warn, notice, info, "
	    "debug, near \"loud\"" },
	{ "LogLevel trace9", "LogLevel: one of error, warn, notice, info, "
	    "debug, near \"trace9\"" },
	{ "LogLevel trace", "LogLevel: one of error, warn, notice, info, "
	    "debug, near \"trace\"" },
	{ "LogLevel info ssl:warn",
	    "LogLevel: too many arguments, near \"ssl:warn\"" },
	{ "MaxConnections 0",
	    NUMBER("MaxConnections", "1", "10000000", "0") },
	{ "MaxConnections 10000001",
	    NUMBER("MaxConnections", "1", "10000000", "10000001") },

	{ "PidFile", "PidFile: too few arguments" },
	{ "PidFile a b", "PidFile: too many arguments, near \"b\"" },

	{ "ProxyPass", "ProxyPass: too few arguments" },
	{ "ProxyPass /a", "ProxyPass: too few arguments" },
	{ "ProxyPass a fd:///s",
	    "ProxyPass: the path must begin with '/', near \"a\"" },
	{ "ProxyPass \"\" fd:///s",
	    "ProxyPass: the path must begin with '/', near \"\"" },
	{ "ProxyPass /a?b fd:///s",
	    "ProxyPass: a path has no '?' or '#', near \"/a?b\"" },
	{ "ProxyPass /a#b fd:///s",
	    "ProxyPass: a path has no '?' or '#', near \"/a#b\"" },
	{ "ProxyPass /a http://h/", ADDRESS("http://h/") },
	{ "ProxyPass / localhost:3000", ADDRESS("localhost:3000") },
	{ "ProxyPass / 3000", ADDRESS("3000") },
	{ "ProxyPass / unix:/run/x", TARGET("unix:/run/x") },
	{ "ProxyPass / unix:/run/x|http://localhost/",
	    TARGET("unix:/run/x|http://localhost/") },
	{ "ProxyPass /x child", TARGET("child") },
	{ "ProxyPass /a /run/s", TARGET("/run/s") },
	{ "ProxyPass /a @name", TARGET("@name") },
	{ "ProxyPass /a unix:@name", TARGET("unix:@name") },
	{ "ProxyPass /a fd:/s", TARGET("fd:/s") },
	{ "ProxyPass /a fd:@name", TARGET("fd:@name") },
	{ "ProxyPass /a !!", TARGET("!!") },
	{ "ProxyPass /a status", TARGET("status") },
	{ "ProxyPass /a status:/", TARGET("status:/") },
	{ "ProxyPass /a status://x", TARGET("status://x") },
	{ "ProxyPass /a \"\"", TARGET("") },
	{ "ProxyPass /a fd://", "ProxyPass: the target names no socket" },
	{ "ProxyPass /a fd:///", "ProxyPass: the target names no socket" },
	{ "ProxyPass /a fd:///s flushpackets=auto",
	    "flushpackets: off or on, near \"auto\"" },
	{ "ProxyPass /a fd:///s flushpackets=off flusher=none",
	    "ProxyPass: flushpackets=off has no effect with flusher=none" },
	{ "ProxyPass /a ! flusher=none",
	    "ProxyPass: \"!\" takes no parameters" },
	{ "ProxyPass /a status: flusher=flush",
	    "ProxyPass: \"status:\" takes no parameters" },
	{ "ProxyPass a status:",
	    "ProxyPass: the path must begin with '/', near \"a\"" },
	{ PASS "connectiontimeout=", TIME("connectiontimeout", "") },
	{ PASS "connectiontimeout=-1", TIME("connectiontimeout", "-1") },
	{ PASS "wait=+1", TIME("wait", "+1") },
	{ PASS "wait=1d", TIME("wait", "1d") },
	{ PASS "wait=1secs", TIME("wait", "1secs") },
	{ PASS "wait=\"1 s\"", TIME("wait", "1 s") },
	{ PASS "wait=1.5", TIME("wait", "1.5") },
	{ PASS "wait=864001", TIME("wait", "864001") },
	{ PASS "wait=14401min", TIME("wait", "14401min") },
	{ PASS "wait=864000001ms", TIME("wait", "864000001ms") },
	{ PASS "wait=99999999999999999999999",
	    TIME("wait", "99999999999999999999999") },
	{ PASS "wait=71582789min", TIME("wait", "71582789min") },
	{ PASS "peer=no-such-user",
	    "peer: unknown user, near \"no-such-user\"" },
	{ PASS "queue=0", NUMBER("queue", "1", "1000000", "0") },
	{ PASS "queue=1000001", NUMBER("queue", "1", "1000000", "1000001") },
	{ PASS "payload=body",
	    "payload: only \"head\" is known, near \"body\"" },
	{ PASS "payload=", "payload: only \"head\" is known, near \"\"" },
	{ PASS "bogus=1",
	    "ProxyPass: unknown parameter, near \"bogus=1\"" },
	{ PASS "bogus", "ProxyPass: unknown parameter, near \"bogus\"" },
	{ PASS "flusher", "ProxyPass: unknown parameter, near \"flusher\"" },
	{ PASS "=1", "ProxyPass: unknown parameter, near \"=1\"" },
	{ PASS "\"\"", "ProxyPass: unknown parameter, near \"\"" },
	{ PASS "retry=0", "ProxyPass: retry is not supported: no state is "
	    "kept, each request tries afresh; use wait=TIME" },
	{ PASS "Timeout=5", "ProxyPass: timeout is not supported: use "
	    "connectiontimeout=TIME" },
	{ PASS "nocanon", "ProxyPass: nocanon is not supported: nothing of "
	    "the URL is appended to the socket" },

	{ PASS "header=A",
	    "header: \"Name: value\" expected, near \"A\"" },
	{ PASS "header=", "header: \"Name: value\" expected, near \"\"" },
	{ PASS "header=\": b\"", "header: the name must be a token, the "
	    "value without control bytes, near \": b\"" },
	{ PASS "header=\"A B: c\"", "header: the name must be a token, the "
	    "value without control bytes, near \"A B: c\"" },
	{ PASS "header=\"A : c\"", "header: the name must be a token, the "
	    "value without control bytes, near \"A : c\"" },
	{ PASS "header=\"A: b\rc\"", "header: the name must be a token, the "
	    "value without control bytes, near \"A: b\\x0dc\"" },
	{ PASS "header=\"A: b\x01\"", "header: the name must be a token, the "
	    "value without control bytes, near \"A: b\\x01\"" },
	{ PASS "header=\"Connection: x\"", "header: Connection is fdproxy's "
	    "own, near \"Connection: x\"" },
	{ PASS "header=\"content-length: 1\"", "header: Content-Length is "
	    "fdproxy's own, near \"content-length: 1\"" },
	{ PASS "header=\"TRANSFER-Encoding:\"", "header: Transfer-Encoding "
	    "is fdproxy's own, near \"TRANSFER-Encoding:\"" },
	{ PASS "header=\"date: x\"", "header: Date is fdproxy's own, near "
	    "\"date: x\"" },

	{ "ProxyPassMatch", "ProxyPassMatch is not supported: ProxyPass "
	    "serves all below its path, and a target that ends in '/' names "
	    "a folder of sockets" },
	{ "proxypassmatch ^/(.*)$ fd:///s", "ProxyPassMatch is not "
	    "supported: ProxyPass serves all below its path, and a target "
	    "that ends in '/' names a folder of sockets" },
	{ "RequestReadTimeout 20", "RequestReadTimeout: only header=TIME, "
	    "one deadline for the whole head, near \"20\"" },
	{ "RequestReadTimeout body=20", "RequestReadTimeout: only "
	    "header=TIME, one deadline for the whole head, near "
	    "\"body=20\"" },
	{ "RequestReadTimeout header=20-40", "RequestReadTimeout: only "
	    "header=TIME, one deadline for the whole head, near "
	    "\"header=20-40\"" },
	{ "RequestReadTimeout header=20,MinRate=5", "RequestReadTimeout: "
	    "only header=TIME, one deadline for the whole head, near "
	    "\"header=20,MinRate=5\"" },
	{ "RequestReadTimeout header=x", TIME("RequestReadTimeout", "x") },
	{ "RequestReadTimeout header=0",
	    "RequestReadTimeout: must be more than 0" },
	{ "ServerTokens OSX", TOKENS("OSX") },
	{ "ServerTokens OS", TOKENS("OS") },
	{ "ServerTokens Major", TOKENS("Major") },
	{ "ServerTokens Minor", TOKENS("Minor") },
	{ "Timeout 0", "Timeout: must be more than 0" },
	{ "Timeout 5x", TIME("Timeout", "5x") },
	{ "Timeout 5 # seconds", "Timeout: too many arguments, near \"#\"" },
	{ "User", "User: too few arguments" },

	/* The form of lines. */
	{ "Bogus", "unknown directive, near \"Bogus\"" },
	{ "Listening 80", "unknown directive, near \"Listening\"" },
	{ "List 80", "unknown directive, near \"List\"" },
	{ "\"\" 80", "unknown directive, near \"\"" },
	{ "worker_processes auto;", "unknown directive, near "
	    "\"worker_processes\"" NOT_APACHES },
	{ "proxy_pass http://127.0.0.1:3000;", "unknown directive, near "
	    "\"proxy_pass\"" NOT_APACHES },
	{ "location / {", "unknown directive, near \"location\"" NOT_APACHES },
	{ "server {", "unknown directive, near \"server\"" NOT_APACHES },
	{ "}", "unknown directive, near \"}\"" NOT_APACHES },
	{ "<Location />", "unknown directive, near \"<Location\" (there are "
	    "no sections)" },
	{ "</VirtualHost>", "unknown directive, near \"</VirtualHost>\" "
	    "(there are no sections)" },
	{ "Listen \"80", "a quote has no end, near \"80\"" },
	{ "Listen '80\" http", "a quote has no end, near \"80\" http\"" },
	{ "\"Listen 80", "a quote has no end, near \"Listen 80\"" },
	{ "Listen \"80\\\"", "a quote has no end, near \"80\"\"" },
	{ "Listen \"", "a quote has no end, near \"\"" },
	{ PASS "header=\"A: b", "a quote has no end, near "
	    "\"header=A: b\"" },
	{ PASS "queue=1 wait='5 payload=head", "a quote has no end, near "
	    "\"wait=5 payload=head\"" },

	/* What a terminal would obey, or show otherwise. */
	{ "\x1b[2J\a\x7f", "unknown directive, near \"\\x1b[2J\\x07\\x7f"
	    "\"" },
	{ "\xc2\x9b\x80\xff", "unknown directive, near \"\\xc2\\x9b\\x80"
	    "\\xff\"" }
};

TEST(good)
{
	save("main.conf", "# nothing\n");
	config_text(config, "t", dir, goods[_i], strlen(goods[_i]));
	ck_assert_str_eq(reported, "");
	ck_assert_int_eq(config->errors, 0);
}

/* The exact words, in the last line of three. */
TEST(bad)
{
	char text[1024], expected[1024];

	read_text(bads[_i].line);
	snprintf(expected, sizeof(expected), "t:1: %s\n", bads[_i].error);
	ck_assert_str_eq(reported, expected);
	ck_assert_int_eq(config->errors, 1);
	ck_assert_uint_eq(config->ntargets, 0);
	ck_assert_int_eq(config->listeners, 0);

	renew();
	snprintf(text, sizeof(text), "# x\n\n%s\n", bads[_i].line);
	read_text(text);
	snprintf(expected, sizeof(expected), "t:3: %s\n", bads[_i].error);
	ck_assert_str_eq(reported, expected);
}

/* So that nobody adds a directive without a good and a bad row above. */
TEST(all_directives)
{
	const char *name;
	size_t i, n;
	int j;

	for (i = 0; (name = config_directive_name(i)) != NULL; i++) {
		n = strlen(name);
		for (j = 0; j < COUNT(goods); j++)
			if (strncmp(goods[j], name, n) == 0 &&
			    goods[j][n] == ' ')
				break;
		/* Those that are refused whatever they say. */
		ck_assert_msg(j < COUNT(goods) ||
		    strcmp(name, "ProxyPassMatch") == 0 ||
		    strcmp(name, "IncludeOptional") == 0,
		    "no good row for %s", name);
		for (j = 0; j < COUNT(bads); j++)
			if (strncasecmp(bads[j].line, name, n) == 0 &&
			    (bads[j].line[n] == ' ' ||
			    bads[j].line[n] == '\0'))
				break;
		ck_assert_msg(j < COUNT(bads), "no bad row for %s", name);
	}
	ck_assert_uint_gt(i, 10);
}

TEST(defaults)
{
	ck_assert_int_eq(config->listeners, 0);
	ck_assert_uint_eq(config->ntargets, 0);
	ck_assert_uint_eq(config->limits.line, 8190);
	ck_assert_uint_eq(config->limits.field, 8190);
	ck_assert_uint_eq(config->limits.fields, 100);
	ck_assert_uint_eq(config->limits.head, 16384);
	ck_assert_uint_eq(config->head_ms, 20000);
	ck_assert_uint_eq(config->max_connections, 0);
	ck_assert_uint_eq(config->stop_ms, 5000);
	ck_assert_uint_eq(config->stop_delay_ms, 0);
	ck_assert_int_eq(config->stop_signal, SIGTERM);
	ck_assert(config->defer);
	ck_assert_int_eq(config->log_level, LOG_L_NOTICE);
	ck_assert_str_eq(config->own.server, "fdproxy/" VERSION);
	ck_assert(config->user == NULL && config->group == NULL);
	ck_assert(config->error_log == NULL && config->access_log == NULL);
	ck_assert(config->pid_file == NULL && config->chroot == NULL);
	ck_assert(!config_finish(config));
	ck_assert_str_eq(reported, "configuration: nothing to listen on: "
	    "give Listen or -l\n");
	config_free(NULL);
}

TEST(values)
{
	read_text("AcceptFilter http none\n"
	    "GracefulShutdownTimeout 2min\n"
	    "LimitRequestLine 101\nLimitRequestFieldSize 102\n"
	    "LimitRequestFields 103\nLimitRequestHead 104\n"
	    "Listen 83\nListenBacklog 105\nLogLevel debug\n"
	    "MaxConnections 106\nRequestReadTimeout header=107ms\n"
	    "ServerTokens Prod\nTimeout 108\nUser u\nGroup g\nUser v\n"
	    "ProxyPass / !\n");
	ck_assert_str_eq(reported, "");
	ck_assert(!config->defer);
	ck_assert_uint_eq(config->graceful_ms, 120000);
	ck_assert_uint_eq(config->limits.line, 101);
	ck_assert_uint_eq(config->limits.field, 102);
	ck_assert_uint_eq(config->limits.fields, 103);
	ck_assert_uint_eq(config->limits.head, 104);
	ck_assert_int_eq(config->backlog, 105);
	ck_assert_uint_eq(config->max_connections, 106);
	ck_assert_uint_eq(config->head_ms, 107);
	ck_assert_uint_eq(config->flush_ms, 108000);
	ck_assert_int_eq(config->log_level, LOG_L_DEBUG);
	ck_assert_str_eq(config->own.server, "fdproxy");
	ck_assert_str_eq(config->user, "v");
	ck_assert_str_eq(config->group, "g");
	ck_assert(config_finish(config));
}

/* Names of others that stand for something here. */
TEST(other_names)
{
	static const struct {
		const char *line;
		int level, signal;
		uint32_t delay_ms;
	} rows[] = {
		{ "LogLevel emerg", LOG_L_ERROR, SIGTERM, 0 },
		{ "LogLevel alert", LOG_L_ERROR, SIGTERM, 0 },
		{ "LogLevel Crit", LOG_L_ERROR, SIGTERM, 0 },
		{ "LogLevel warning", LOG_L_WARN, SIGTERM, 0 },
		{ "LogLevel trace1", LOG_L_DEBUG, SIGTERM, 0 },
		{ "LogLevel Trace8", LOG_L_DEBUG, SIGTERM, 0 },
		{ "StopSignal HUP", LOG_L_NOTICE, SIGHUP, 0 },
		{ "StopSignal INT", LOG_L_NOTICE, SIGINT, 0 },
		{ "StopSignal SIGQUIT", LOG_L_NOTICE, SIGQUIT, 0 },
		{ "StopSignal usr1", LOG_L_NOTICE, SIGUSR1, 0 },
		{ "StopSignal sigusr2", LOG_L_NOTICE, SIGUSR2, 0 },
		{ "StopSignal TERM", LOG_L_NOTICE, SIGTERM, 0 },
		{ "StopSignal WINCH", LOG_L_NOTICE, SIGWINCH, 0 },
		{ "StopSignal SIGKILL", LOG_L_NOTICE, SIGKILL, 0 },
		{ "StopSignal 28", LOG_L_NOTICE, 28, 0 },
		{ "StopDelay 5sec", LOG_L_NOTICE, SIGTERM, 5000 },
		{ "StopDelay 2h", LOG_L_NOTICE, SIGTERM, 7200000 },
		{ "StopDelay 7ms", LOG_L_NOTICE, SIGTERM, 7 }
	};
	int i;

	for (i = 0; i < COUNT(rows); i++) {
		renew();
		read_text(rows[i].line);
		ck_assert_str_eq(reported, "");
		ck_assert_int_eq(config->log_level, rows[i].level);
		ck_assert_int_eq(config->stop_signal, rows[i].signal);
		ck_assert_uint_eq(config->stop_delay_ms, rows[i].delay_ms);
	}
}

/* The fields of listener i; owner and group may be NULL. */
static void
must_listen(int i, const char *address, int inherited, bool twin, int mode,
    const char *owner, const char *group)
{
	const struct config_listen *l = &config->listen[i];
	char text[SOCK_TEXT];

	ck_assert_int_lt(i, config->listeners);
	if (inherited == -1)
		ck_assert_str_eq(sock_text(&l->addr, text, sizeof(text)),
		    address);
	ck_assert_int_eq(l->inherited, inherited);
	ck_assert(l->twin == twin);
	ck_assert_int_eq(l->mode, mode);
	ck_assert_pstr_eq(l->owner, owner);
	ck_assert_pstr_eq(l->group, group);
}

TEST(listeners)
{
	int n = 11;

	read_text("Listen 127.0.0.1:81\nListen [::1]:82 http\n"
	    "Listen unix:/x/y\nListen 83 http\nListen fd:7\n"
	    "Listen unix:/z mode=0640 owner=o group=g\n"
	    "Listen unix:/z owner=o mode=7 owner=p http mode=000\n"
	    "Listen fd:7 http\nListen fd:0\nListen localhost:84\n");
	ck_assert_str_eq(reported, "");
	must_listen(0, "127.0.0.1:81", -1, false, -1, NULL, NULL);
	must_listen(1, "[::1]:82", -1, false, -1, NULL, NULL);
	must_listen(2, "unix:/x/y", -1, false, -1, NULL, NULL);
	must_listen(3, "[::]:83", -1, false, -1, NULL, NULL);
	must_listen(4, "0.0.0.0:83", -1, true, -1, NULL, NULL);
	must_listen(5, NULL, 7, false, -1, NULL, NULL);
	must_listen(6, "unix:/z", -1, false, 0640, "o", "g");
	must_listen(7, "unix:/z", -1, false, 0, "p", NULL);
	must_listen(8, NULL, 0, false, -1, NULL, NULL);
	must_listen(9, "[::1]:84", -1, false, -1, NULL, NULL);
	must_listen(10, "127.0.0.1:84", -1, true, -1, NULL, NULL);
	ck_assert_int_eq(config->listeners, n);

	/* One that is named already counts once. */
	config_inherit(config, 7);
	ck_assert_int_eq(config->listeners, n);
	config_inherit(config, 3);
	must_listen(n, NULL, 3, false, -1, NULL, NULL);
	config_inherit(config, 3);
	ck_assert_int_eq(config->listeners, n + 1);
	read_text("Listen fd:3\nProxyPass / !\n");
	ck_assert_int_eq(config->listeners, n + 1);
#ifdef __linux__
	read_text("Listen unix:@name\n");
	must_listen(n + 1, "unix:@name", -1, false, -1, NULL, NULL);
	ck_assert(!sock_is_file(&config->listen[n + 1].addr));
#endif
	ck_assert_str_eq(reported, "");
	ck_assert(config_finish(config));
}

/* Each of the words that are wrong is told, and nothing of the line stays. */
TEST(listener_words)
{
	read_text("Listen unix:/s owner=o mode=8 group=g https mode=1000\n"
	    "Listen 80 mode=8 http owner=\n"
	    "Listen x mode=8\n"
	    "Listen 81\n");
	ck_assert_str_eq(reported,
	    "t:1: " MODE("mode=8") "\n"
	    "t:1: " WORD("https") "\n"
	    "t:1: " MODE("mode=1000") "\n"
	    "t:2: " WORD("mode=8") "\n"
	    "t:2: " WORD("owner=") "\n"
	    "t:3: Listen: " PORT ", near \"x\"\n");
	ck_assert_int_eq(config->listeners, 2);
	must_listen(0, "[::]:81", -1, false, -1, NULL, NULL);
}

/* Relative to the folder of the file, but for the two names. */
TEST(files)
{
	static const struct {
		const char *word;
		const char *path;
	} rows[] = {
		{ "a", "/d/a" }, { "./a", "/d/./a" }, { "../a", "/d/../a" },
		{ "/a/b", "/a/b" }, { "\"a b\"", "/d/a b" },
		{ "./stderr", "/d/./stderr" }, { "/syslog", "/syslog" },
		{ "Syslog", "/d/Syslog" }, { "@a", "/d/@a" }
	};
	char text[64];
	int i;

	for (i = 0; i < COUNT(rows); i++) {
		snprintf(text, sizeof(text), "CustomLog %s", rows[i].word);
		read_text(text);
		ck_assert_str_eq(config->access_log, rows[i].path);
		snprintf(text, sizeof(text), "ErrorLog %s", rows[i].word);
		read_text(text);
		ck_assert_str_eq(config->error_log, rows[i].path);
		snprintf(text, sizeof(text), "PidFile %s", rows[i].word);
		read_text(text);
		ck_assert_str_eq(config->pid_file, rows[i].path);
	}
	read_text("CustomLog stderr\nErrorLog syslog\nPidFile stderr\n");
	ck_assert_str_eq(config->access_log, "stderr");
	ck_assert_str_eq(config->error_log, "syslog");
	ck_assert_str_eq(config->pid_file, "/d/stderr");
	read_text("CustomLog syslog common\nErrorLog stderr\n"
	    "PidFile /p\n");
	ck_assert_str_eq(config->access_log, "syslog");
	ck_assert_str_eq(config->error_log, "stderr");
	ck_assert_str_eq(config->pid_file, "/p");
	ck_assert_str_eq(reported, "");

	/* Our own descriptors, by the names that systems have for them. */
	read_text("CustomLog /dev/stdout\nErrorLog /dev/stderr\n"
	    "PidFile /dev/stdout\n");
	ck_assert_str_eq(config->access_log, "fd:1");
	ck_assert_str_eq(config->error_log, "stderr");
	ck_assert_str_eq(config->pid_file, "/dev/stdout");
	read_text("CustomLog /dev/stderr json\nErrorLog /dev/stdout\n");
	ck_assert_str_eq(config->access_log, "stderr");
	ck_assert(config->access_json);
	ck_assert_str_eq(config->error_log, "fd:1");
	read_text("CustomLog /proc/self/fd/1\nErrorLog /proc/self/fd/2\n");
	ck_assert_str_eq(config->access_log, "fd:1");
	ck_assert_str_eq(config->error_log, "stderr");
	read_text("CustomLog /dev/fd/1\nErrorLog /dev/fd/2\n");
	ck_assert_str_eq(config->access_log, "fd:1");
	ck_assert_str_eq(config->error_log, "stderr");
	read_text("CustomLog /dev/stdout2\nCustomLog syslog\n"
	    "ErrorLog stderr\n");
	ck_assert_str_eq(reported, "");

	/* What is wrong leaves what was said before. */
	read_text("CustomLog |x\nCustomLog x y\n");
	ck_assert_int_eq(config->errors, 2);
	ck_assert_str_eq(config->access_log, "syslog");
}

TEST(files_too_long)
{
	static const char *const names[] = { "CustomLog", "ErrorLog",
	    "PidFile", "Include" };
	static char text[8192];
	int i;

	for (i = 0; i < COUNT(names); i++) {
		renew();
		snprintf(text, sizeof(text), "%s %05000d", names[i], 1);
		read_text(text);
		ck_assert_str_eq(reported,
		    "t:1: a path is longer than 4095 bytes\n");
	}
	ck_assert(config->error_log == NULL && config->access_log == NULL);
	ck_assert(config->pid_file == NULL);
}

/* A bad value leaves the one before. */
TEST(values_kept)
{
	read_text("Timeout 5\nTimeout x\nLimitRequestLine 77\n"
	    "LimitRequestLine 1\nLogLevel info\nLogLevel x\n"
	    "RequestReadTimeout header=9\nRequestReadTimeout header=0\n"
	    "GracefulShutdownTimeout 3\nGracefulShutdownTimeout x\n");
	ck_assert_int_eq(config->errors, 5);
	ck_assert_uint_eq(config->flush_ms, 5000);
	ck_assert_uint_eq(config->limits.line, 77);
	ck_assert_int_eq(config->log_level, LOG_L_INFO);
	ck_assert_uint_eq(config->head_ms, 9000);
	ck_assert_uint_eq(config->graceful_ms, 3000);
	ck_assert(!config_finish(config));
}

/* One run tells all that is wrong, with the lines where it stands. */
TEST(many_errors)
{
	read_text("Listen x\n"
	    "# comment \\\nthat goes on\n"
	    "Bogus\n"
	    "ProxyPass a http://b\n"
	    "ProxyPass /a fd:///s queue=0 \\\n"
	    "\twait=x \\\n"
	    "\tmin=1 \\\n"
	    "\tflusher=none\n"
	    "Listen 80\n"
	    "User \"www\n"
	    "Timeout 0");
	ck_assert_str_eq(reported,
	    "t:1: Listen: " PORT ", near \"x\"\n"
	    "t:4: unknown directive, near \"Bogus\"\n"
	    "t:5: ProxyPass: the path must begin with '/', near \"a\"\n"
	    "t:5: " ADDRESS("http://b") "\n"
	    "t:6: " NUMBER("queue", "1", "1000000", "0") "\n"
	    "t:6: " TIME("wait", "x") "\n"
	    "t:6: ProxyPass: min is not supported: there is no pool of "
	    "connections\n"
	    "t:11: a quote has no end, near \"www\"\n"
	    "t:12: Timeout: must be more than 0\n");
	ck_assert_int_eq(config->errors, 9);
	ck_assert_uint_eq(config->ntargets, 0);
	ck_assert_int_eq(config->listeners, 2);
}

/* The first hundred are told, and that there are more; nothing follows. */
TEST(too_many_errors)
{
	char text[4096] = "", expected[8192] = "";
	int i;

	for (i = 1; i <= 101; i++) {
		strcat(text, "Bogus\n");
		snprintf(expected + strlen(expected), sizeof(expected) -
		    strlen(expected), i <= 100 ? "t:%d: unknown directive, "
		    "near \"Bogus\"\n" : "t:%d: there are more errors; "
		    "nothing more is read\n", i);
	}
	strcat(text, "Bogus\nUser u\nUser \"u\n");
	read_text(text);
	ck_assert_str_eq(reported, expected);
	ck_assert(config->user == NULL);
	save("main.conf", "Bogus\nUser u\n");
	config_file(config, "main.conf");
	config_listen(config, "nowhere");
	ck_assert(!config_finish(config));
	ck_assert_str_eq(reported, expected);
	ck_assert(config->user == NULL);
}

/* Whatever a line is made of, a message is one line of printable ASCII. */
TEST(escaped)
{
	char text[16] = "User";
	const char *p;
	int i;

	for (i = 1; i < 256; i++) {
		renew();
		snprintf(text, sizeof(text), "a%cb", i);
		config_text(config, text, "/d", TEXT("Bogus"));
		config_directive(config, text);
		config_listen(config, text);
		config_route(config, text);
		ck_assert_int_ge(config->errors, 3);
		for (p = reported; *p != '\0'; p++)
			MUST(*p == '\n' || (*p >= ' ' && *p < 0x7f));
	}
	/* The place as well, for what is said of a route later. */
	renew();
	config_text(config, "\x1b", "/d", TEXT("Bogus\nProxyPass / !"));
	ck_assert_str_eq(reported, "\\x1b:1: unknown directive, near "
	    "\"Bogus\"\n");
	ck_assert_str_eq(config->targets[0].where, "\\x1b:2");
	/* Cut, and never in the middle of an escape. */
	for (i = 0; i < 8; i++) {
		static char line[2048];

		memset(line, 'a', (size_t)i);
		memset(line + i, '\x1b', 1000);
		renew();
		read_text(line);
		ck_assert_uint_lt(strlen(reported), LOG_LINE + 1);
		ck_assert_str_eq(reported + strlen(reported) - 5, "\\x1b\n");
	}
}

/* What editors put before the first line. */
TEST(byte_order_marks)
{
	config_text(config, "t", "/d", TEXT("\xef\xbb\xbfUser u\n"));
	ck_assert_str_eq(reported, "");
	ck_assert_str_eq(config->user, "u");
	config_text(config, "t", "/d", TEXT("\xef\xbb\xbf"));
	config_text(config, "t", "/d", TEXT("\n\xef\xbb\xbfUser u\n"));
	ck_assert_str_eq(reported, "t:2: unknown directive, near "
	    "\"\\xef\\xbb\\xbfUser\"\n");
	renew();
	config_text(config, "t", "/d", TEXT("\xff\xfeU\0s\0\n\0x\0"));
	ck_assert(!config_finish(config));
	ck_assert_str_eq(reported, "t:1: the file is in UTF-16: save it as "
	    "UTF-8\n");
	renew();
	config_text(config, "t", "/d", TEXT("\xfe\xff\0U\0s"));
	ck_assert_str_eq(reported, "t:1: the file is in UTF-16: save it as "
	    "UTF-8\n");
}

TEST(nul_bytes)
{
	config_text(config, "t", "/d", TEXT("Listen 80\0\nUser\0x\nUser y\n"
	    "\0"));
	ck_assert_str_eq(reported, "t:1: a NUL byte\nt:2: a NUL byte\n"
	    "t:4: a NUL byte\n");
	ck_assert_str_eq(config->user, "y");
}

/* The text ends where memory ends, and no NUL is behind it. */
TEST(text_fenced)
{
	static const char text[] = "User \\\n www\\x\nGroup \"a b\"";
	size_t n;

	for (n = 0; n <= sizeof(text) - 1; n++) {
		renew();
		config_text(config, "t", "/d", unit_fenced(text, n), n);
	}
	ck_assert_str_eq(reported, "");
	ck_assert_str_eq(config->group, "a b");
}

TEST(quoting)
{
	static const struct {
		const char *line;
		const char *user;
	} rows[] = {
		{ "User a\"b", "a\"b" },
		{ "User a'b'", "a'b'" },
		{ "User \"a b\"", "a b" },
		{ "User 'a b'", "a b" },
		{ "User \"a'b\"", "a'b" },
		{ "User 'a\"b'", "a\"b" },
		{ "User \"a\\\"b\"", "a\"b" },
		{ "User 'a\\'b'", "a'b" },
		{ "User \"a\\\\\"", "a\\" },
		{ "User \"a\\'b\\n\"", "a\\'b\\n" },
		{ "User a\\b", "a\\b" },
		{ "User a\\\\b", "a\\\\b" },
		{ "User k=\"a b\"", "k=a b" },
		{ "User k='a b'c", "k=a bc" },
		{ "User \"\"", "" },
		{ "User \"#\"", "#" },
		{ "User #x", "#x" },
		{ "User a\\\nb", "ab" },
		{ "User \"a \\\n b\"", "a  b" }
	};
	int i;

	for (i = 0; i < COUNT(rows); i++) {
		renew();
		read_text(rows[i].line);
		ck_assert_str_eq(reported, "");
		ck_assert_str_eq(config->user, rows[i].user);
	}
}

TEST(long_lines)
{
	static char text[200000];
	size_t n;
	int i;

	/* A line has no limit, a directive's words do. */
	strcpy(text, "User ");
	memset(text + 5, 'a', 100000);
	text[100005] = '\0';
	read_text(text);
	ck_assert_str_eq(reported, "");
	ck_assert_uint_eq(strlen(config->user), 100000);

	n = (size_t)sprintf(text, "ProxyPass /a fd:///s");
	for (i = 0; i < 61; i++)
		n += (size_t)sprintf(text + n, " queue=%d", i + 1);
	read_text(text);
	ck_assert_str_eq(reported, "");
	ck_assert_uint_eq(config->targets[0].queue_max, 61);
	sprintf(text + n, " queue=1");
	read_text(text);
	ck_assert_str_eq(reported, "t:1: more than 64 words\n");

	/* A message is never longer than a line of the log. */
	reported[0] = '\0';
	memset(text, 'b', 5000);
	text[5000] = '\0';
	read_text(text);
	ck_assert(strncmp(reported, "t:1: unknown directive, near \"bbb",
	    32) == 0);
	reported[0] = '\0';
	config_text(config, text, "/d", TEXT("Bogus"));
	ck_assert_int_eq(config->errors, 3);
}

TEST(too_many_listeners)
{
	int i;

	for (i = 0; i < CONFIG_LISTENERS; i++)
		read_text("Listen 127.0.0.1:0");
	ck_assert_str_eq(reported, "");
	read_text("Listen 127.0.0.1:0");
	ck_assert_str_eq(reported, "t:1: Listen: more than 32 addresses\n");
	ck_assert_int_eq(config->listeners, CONFIG_LISTENERS);
}

/* Sockets for workers stand behind those for clients, and are one for all
   routes that name them. */
TEST(workers)
{
	const struct config_listen *l;
	const struct config_target *t;

	read_text("Listen 0\n"
	    "ProxyPass /a workers:///w owner=o group=g mode=0600 peer=7\n"
	    "ProxyPass /b fd:///t\n"
	    "ProxyPass /c workers:///w peer=7 flusher=none\n"
	    "ProxyPass /d :workers\nProxyPass /e workers:///v\n");
	ck_assert(config_finish(config));
	t = config->targets;
	ck_assert(config->has_workers && config->channel && !config->child);
	ck_assert(t[0].workers && !t[1].workers && t[2].workers &&
	    t[3].workers && t[3].child);
	ck_assert_uint_eq(t[0].queue, t[2].queue);
	ck_assert_uint_eq(config->nqueues, 4);
	ck_assert_int_eq(config->listeners, 4);	/* [::] and 0.0.0.0 first */
	l = &config->listen[2];
	ck_assert(!config->listen[1].workers && l->workers);
	ck_assert_str_eq(l->addr.u.un.sun_path, "/w");
	ck_assert_str_eq(l->owner, "o");
	ck_assert_str_eq(l->group, "g");
	ck_assert_int_eq(l->mode, 0600);
	ck_assert_uint_eq(l->queue, t[0].queue);
	ck_assert_uint_eq(l->peer, 7);
	l++;
	ck_assert_str_eq(l->addr.u.un.sun_path, "/v");
	ck_assert_int_eq(l->mode, 0660);
	ck_assert_uint_eq(l->queue, t[4].queue);
	ck_assert_uint_eq(l->peer, FDPASS_ANYBODY);
	renew();

	read_text("Listen 0\nProxyPass /a workers:///w\n"
	    "ProxyPass /b workers:///w group=g\n");
	ck_assert_str_eq(reported, "t:3: " WORKERS "\n");
	renew();
	read_text("Listen 0\nProxyPass /a workers:///w\n"
	    "ProxyPass /b fd:///w\n");
	ck_assert(!config_finish(config));
	ck_assert_str_eq(reported, "t:3: ProxyPass: routes to one socket must "
	    "have the same scheme\n");
}

/* Who listens on a socket is the same for all that it is for. */
TEST(peers)
{
	struct passwd *pw = getpwuid(0);
	char line[128];

	read_text("Listen 0\nProxyPass /a fd:///s peer=7\n"
	    "ProxyPass /b fd:///t\nProxyPass /c fd:///s peer=8\n");
	ck_assert(!config_finish(config));
	ck_assert_str_eq(reported, "t:4: ProxyPass: routes to one socket must "
	    "have the same peer=\n");
	ck_assert_uint_eq(config->targets[0].peer, 7);
	ck_assert_uint_eq(config->targets[1].peer, FDPASS_ANYBODY);
	renew();
	if (pw == NULL)
		return;
	snprintf(line, sizeof(line), "ProxyPass /a fd:///s peer=%s\n",
	    pw->pw_name);
	read_text(line);
	ck_assert_uint_eq(config->targets[0].peer, 0);
}

TEST(refused_parameters)
{
	static const char *const names[] = { "acquire", "addressttl",
	    "disablereuse", "enablereuse", "fault", "flushwait",
	    "interpolate", "iobuffersize", "keepalive", "lbmethod", "lbset",
	    "loadfactor", "mapping", "max", "min", "nocanon", "noquery",
	    "ping", "ready", "receivebuffersize", "redirect",
	    "responsefieldsize", "retry", "route", "secret", "smax", "status",
	    "stickysession", "timeout", "track", "ttl", "upgrade" };
	char text[128], expected[128];
	int i;

	for (i = 0; i < COUNT(names); i++) {
		snprintf(expected, sizeof(expected),
		    "t:1: ProxyPass: %s is not supported: ", names[i]);
		renew();
		snprintf(text, sizeof(text), PASS "%s=1", names[i]);
		read_text(text);
		ck_assert_msg(strncmp(reported, expected, strlen(expected)) ==
		    0, "%s", reported);
		ck_assert_int_eq(config->errors, 1);
		/* What is said behind the colon is of some use. */
		ck_assert_uint_gt(strlen(reported), strlen(expected) + 10);
		renew();
		snprintf(text, sizeof(text), PASS "%s", names[i]);
		text[sizeof(PASS) - 1] = (char)(names[i][0] - 'a' + 'A');
		read_text(text);
		ck_assert_msg(strncmp(reported, expected, strlen(expected)) ==
		    0, "%s", reported);
	}
}

TEST(targets)
{
	const struct config_target *t;

	read_text("ProxyPass /a fd:///run/a\n"
	    "ProxyPass /b/ fd://rel/b\n"
	    "ProxyPass /c fd:///run/dir/ queue=7 wait=3 "
	    "connectiontimeout=1500ms payload=head "
	    "flusher=none\n"
	    "ProxyPass /d !\n"
	    "ProxyPass /e fd:///run/a\n"
	    "ProxyPass /f status:\n"
	    "ProxyPass /g fd:///s flushpackets=off\n");
	ck_assert_str_eq(reported, "");
	ck_assert_uint_eq(config->ntargets, 7);
	t = config->targets;
	ck_assert_int_eq(t[0].kind, CONFIG_SOCKET);
	ck_assert_str_eq(t[0].addr.u.un.sun_path, "/run/a");
	ck_assert_uint_eq(t[0].path_len, 6);
	ck_assert_str_eq(t[0].path, "/a");
	ck_assert_str_eq(t[0].where, "t:1");
	ck_assert_uint_eq(t[0].connect_ms, 5000);
	ck_assert_uint_eq(t[0].wait_ms, 0);
	ck_assert_uint_eq(t[0].queue_max, 0);
	ck_assert(!t[0].payload_head);
	ck_assert(!t[0].hold);
	ck_assert_str_eq(t[1].addr.u.un.sun_path, "/d/rel/b");
	ck_assert_int_eq(t[2].kind, CONFIG_DIRECTORY);
	ck_assert_str_eq(t[2].addr.u.un.sun_path, "/run/dir/");
	ck_assert_uint_eq(t[2].path_len, 9);
	ck_assert_uint_eq(t[2].connect_ms, 1500);
	ck_assert_uint_eq(t[2].wait_ms, 3000);
	ck_assert_uint_eq(t[2].queue_max, 7);
	ck_assert(t[2].payload_head);
	ck_assert(!t[2].hold);
	ck_assert(t[6].hold);
	ck_assert_int_eq(t[3].kind, CONFIG_EXCLUDED);
	ck_assert_str_eq(t[4].where, "t:5");
	ck_assert_int_eq(t[5].kind, CONFIG_STATUS);

	config_listen(config, "0");
	ck_assert(config_finish(config));
	/* One queue for one socket, whatever routes lead to it. */
	ck_assert_uint_eq(t[0].queue, t[4].queue);
	ck_assert_uint_ne(t[0].queue, t[1].queue);
	ck_assert_uint_ne(t[0].queue, t[2].queue);
	ck_assert_uint_ne(t[1].queue, t[2].queue);
	ck_assert(t[0].queue < config->nqueues);
	ck_assert(t[1].queue < config->nqueues);
	ck_assert(t[2].queue < config->nqueues);
	ck_assert(flush_consumes(t[0].flush));
	ck_assert(!flush_consumes(t[2].flush));
	/* The same text is kept once. */
	ck_assert_ptr_eq(t[0].flush, t[1].flush);
	ck_assert_ptr_eq(t[0].flush, t[4].flush);
	/* Where nothing is flushed there is no flusher. */
	ck_assert(t[3].flush == NULL && t[5].flush == NULL);
}

#ifdef __linux__
TEST(targets_abstract)
{
	const struct config_target *t;
	char text[SOCK_TEXT];

	read_text("ProxyPass /a fd://@n\n"
	    "ProxyPass /b fd://@n/\n"		/* no folder */
	    "ProxyPass /c fd:///@n\n"		/* a file */
	    "ProxyPass /d fd://./@n\n"		/* another */
	    "ProxyPass /e FD://@n queue=2\n"
	    "ProxyPass /f fd://@na\n"
	    "ProxyPass /g fd://./@n/\n"
	    "ProxyPass /h fd://n\n"
	    "Listen 0\n");
	ck_assert_str_eq(reported, "");
	ck_assert(config_finish(config));
	t = config->targets;
	ck_assert_str_eq(sock_path(&t[0].addr, text, sizeof(text)), "@n");
	ck_assert_uint_eq(t[0].path_len, 2);
	ck_assert(!sock_is_file(&t[0].addr));
	ck_assert_str_eq(sock_path(&t[1].addr, text, sizeof(text)), "@n/");
	ck_assert_int_eq(t[1].kind, CONFIG_SOCKET);
	ck_assert_uint_eq(t[1].path_len, 3);
	ck_assert_str_eq(sock_path(&t[2].addr, text, sizeof(text)), "/@n");
	ck_assert(sock_is_file(&t[2].addr));
	ck_assert_str_eq(sock_path(&t[3].addr, text, sizeof(text)),
	    "/d/./@n");
	ck_assert(sock_is_file(&t[3].addr));
	ck_assert_int_eq(t[6].kind, CONFIG_DIRECTORY);
	ck_assert_str_eq(sock_path(&t[6].addr, text, sizeof(text)),
	    "/d/./@n/");

	ck_assert_uint_eq(config->nqueues, 7);
	ck_assert_uint_eq(t[0].queue, t[4].queue);
	ck_assert_uint_ne(t[0].queue, t[1].queue);
	ck_assert_uint_ne(t[0].queue, t[2].queue);
	ck_assert_uint_ne(t[0].queue, t[5].queue);
	ck_assert_uint_ne(t[0].queue, t[7].queue);
}

/* The '@' stands for a NUL, and none is behind the name. */
TEST(abstract_too_long)
{
	size_t most = sizeof(config->targets->addr.u.un.sun_path) - 1;
	char name[256] = "@", text[1024], expected[1024];
	int i;

	memset(name + 1, 'n', most - 1);
	snprintf(text, sizeof(text), "ProxyPass /a fd://%s\n"
	    "Listen unix:%s\n", name, name);
	read_text(text);
	ck_assert_str_eq(reported, "");
	ck_assert_str_eq(sock_path(&config->targets[0].addr, text,
	    sizeof(text)), name);
	ck_assert_str_eq(sock_path(&config->listen[0].addr, text,
	    sizeof(text)), name);

	/* One more, and none at all. */
	strcat(name, "n");
	for (i = 0; i < 2; i++) {
		renew();
		snprintf(text, sizeof(text), "ProxyPass /a fd://%s\n"
		    "Listen unix:%s\n", name, name);
		read_text(text);
		snprintf(expected, sizeof(expected), "t:1: ProxyPass: the "
		    "path of the socket is longer than %zu bytes, or no "
		    "name, near \"%s\"\nt:2: Listen: no such abstract name "
		    "is possible here, near \"unix:%s\"\n", most, name,
		    name);
		ck_assert_str_eq(reported, expected);
		strcpy(name, "@");
	}
}
#endif

/* Many routes; the index of a target is that of its route. */
TEST(targets_many)
{
	char text[64];
	size_t rest;
	int i, n;

	for (i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "ProxyPass /r%d fd:///s%d", i,
		    i % 10);
		read_text(text);
	}
	config_listen(config, "0");
	ck_assert(config_finish(config));
	ck_assert_uint_eq(config->ntargets, 1000);
	ck_assert_uint_eq(config->nqueues, 10);
	for (i = 0; i < 1000; i++) {
		n = snprintf(text, sizeof(text), "/r%d", i);
		ck_assert_int_eq(route_match(config->routes, text, (size_t)n,
		    &rest), i);
		ck_assert_str_eq(config->targets[i].path, text);
		ck_assert_uint_eq(config->targets[i].queue,
		    config->targets[i % 10].queue);
	}
}

/*
 * Doubles, and flushers that are all different: what looked at all that were
 * before, for each, would be at it for minutes.
 */
TEST(targets_long)
{
	static char text[16 << 20];
	size_t n = 0, rest;
	int i;

	n += (size_t)sprintf(text + n, "Listen 0\nProxyPass /a !\n");
	for (i = 0; i < 250000; i++)
		n += (size_t)sprintf(text + n, "ProxyPass /a/b !\n"
		    "ProxyPass /f fd:///s header=A:%d\n", i % 249900);
	read_text(text);
	log_level(LOG_L_ERROR);
	ck_assert(config_finish(config));
	log_level(LOG_L_NOTICE);
	ck_assert_str_eq(reported, "");
	ck_assert_uint_eq(config->ntargets, 500001);
	ck_assert(config->targets[1].hidden && !config->targets[2].hidden &&
	    config->targets[3].hidden && config->targets[4].hidden);
	ck_assert_int_eq(route_match(config->routes, "/a/b", 4, &rest), 0);
	ck_assert_int_eq(route_match(config->routes, "/f/x", 4, &rest), 2);
	ck_assert_int_eq(route_match(config->routes, "", 0, &rest), -1);
	ck_assert(config->targets[2].flush != config->targets[4].flush);
}

/* As many routes to one socket, for what is told besides. */
TEST(targets_alike)
{
	static char text[16 << 20];
	size_t n = (size_t)sprintf(text, "Listen 0\n");
	int i;

	for (i = 0; i < 250000; i++)
		n += (size_t)sprintf(text + n, "ProxyPass /%d fd:///s "
		    "flusher=none\n", i);
	read_text(text);
	ck_assert(config_finish(config));
	catch_stderr();
	config_route_notes(config);
	ck_assert_str_eq(caught(), "");
}

TEST(targets_too_many)
{
	char text[64], expected[128];
	int i;

	config_listen(config, "0");
	for (i = 0; i <= CONFIG_SOCKETS; i++) {
		snprintf(text, sizeof(text), "ProxyPass /r%d fd:///s%d", i,
		    i);
		read_text(text);
	}
	/* One more route to a socket that is there counts for nothing. */
	read_text("ProxyPass /s fd:///s0");
	ck_assert_str_eq(reported, "");
	ck_assert(!config_finish(config));
	snprintf(expected, sizeof(expected), "configuration: more than %d "
	    "different sockets\n", CONFIG_SOCKETS);
	ck_assert_str_eq(reported, expected);
}

/* sun_path holds a byte less than its size; a byte more is refused. */
TEST(socket_too_long)
{
	size_t most = sizeof(config->targets->addr.u.un.sun_path) - 1;
	char path[256] = "/", text[512], expected[512];

	memset(path + 1, 's', most - 1);
	path[most] = '\0';
	snprintf(text, sizeof(text), "ProxyPass /a fd://%s", path);
	read_text(text);
	snprintf(text, sizeof(text), "Listen unix:%s", path);
	read_text(text);
	ck_assert_str_eq(reported, "");
	ck_assert_uint_eq(config->targets[0].path_len, most);
	ck_assert_str_eq(config->targets[0].addr.u.un.sun_path, path);

	/* What is relative counts with its folder. */
	snprintf(text, sizeof(text), "ProxyPass /a fd://%s", path + 3);
	read_text(text);
	ck_assert_str_eq(reported, "");
	snprintf(text, sizeof(text), "ProxyPass /a fd://%s", path + 2);
	read_text(text);
	snprintf(expected, sizeof(expected), "t:1: ProxyPass: the path of "
	    "the socket is longer than %zu bytes, or no name, near "
	    "\"/d/%s\"\n", most, path + 2);
	ck_assert_str_eq(reported, expected);

	reported[0] = '\0';
	path[most] = 's';
	path[most + 1] = '\0';
	snprintf(text, sizeof(text), "ProxyPass /a fd://%s", path);
	read_text(text);
	snprintf(expected, sizeof(expected), "t:1: ProxyPass: the path of "
	    "the socket is longer than %zu bytes, or no name, near "
	    "\"%s\"\n", most, path);
	ck_assert_str_eq(reported, expected);
	reported[0] = '\0';
	snprintf(text, sizeof(text), "Listen unix:%s", path);
	read_text(text);
	snprintf(expected, sizeof(expected), "t:1: Listen: the path of the "
	    "socket is too long, near \"unix:%s\"\n", path);
	ck_assert_str_eq(reported, expected);
}

/* All that target i's flusher writes. */
static const char *
flushed(uint32_t i)
{
	static char text[8192];
	struct flush *f = config->targets[i].flush;
	uint32_t offset = flush_start(f, false);
	int pair[2];
	ssize_t n;
	size_t len = 0;

	ck_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	while (flush_write(f, pair[0], 0, &offset, false) == FLUSH_AGAIN)
		;
	close(pair[0]);
	while ((n = read(pair[1], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	close(pair[1]);
	text[len] = '\0';
	return text;
}

#define FIRST	"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
#define LAST	"Connection: close\r\n\r\n"

TEST(headers)
{
	read_text("Listen 0\n"
	    "ProxyPass /a fd:///s header=\"A: b\" HEADER='C:\t d e '\n"
	    "ProxyPass /b fd:///s header=\"server: mine\"\n"
	    "ProxyPass /c fd:///s header=A:\n"
	    "ProxyPass /d fd:///s header=\"A: b\" header=\"C: d e \"\n"
	    "ServerTokens Prod\n");
	ck_assert_str_eq(reported, "");
	ck_assert(config_finish(config));
	ck_assert_str_eq(flushed(0), FIRST "Server: fdproxy\r\nA: b\r\n"
	    "C: d e \r\n" LAST);
	ck_assert_str_eq(flushed(1), FIRST "server: mine\r\n" LAST);
	ck_assert_str_eq(flushed(2), FIRST "Server: fdproxy\r\nA: \r\n"
	    LAST);
	ck_assert_ptr_eq(config->targets[0].flush, config->targets[3].flush);
}

TEST(headers_long)
{
	char text[8192];
	size_t n, i;

	/* Each is 100 bytes with its CRLF; 40 fit in 4096 and 41 do not. */
	for (i = 40; i < 42; i++) {
		size_t k;

		renew();
		n = (size_t)sprintf(text, "ProxyPass /a fd:///s");
		for (k = 0; k < i; k++)
			n += (size_t)sprintf(text + n, " header=\"A: %095d\"",
			    1);
		read_text(text);
		ck_assert_str_eq(reported, i == 40 ? "" :
		    "t:1: header: more than 4096 bytes of headers\n");
	}
}

TEST(server_tokens)
{
	static const struct {
		const char *line;
		const char *server;
	} rows[] = {
		{ "", "Server: fdproxy/" VERSION "\r\n" },
		{ "ServerTokens Full", "Server: fdproxy/" VERSION "\r\n" },
		{ "ServerTokens Prod", "Server: fdproxy\r\n" },
		{ "ServerTokens None", "" }
	};
	char expected[256];
	int i;

	for (i = 0; i < COUNT(rows); i++) {
		renew();
		read_text("Listen 0\nProxyPass / fd:///s\n");
		read_text(rows[i].line);
		ck_assert(config_finish(config));
		snprintf(expected, sizeof(expected), FIRST "%s" LAST,
		    rows[i].server);
		ck_assert_str_eq(flushed(0), expected);
	}
}

TEST(flushers)
{
	char expected[512];

	snprintf(expected, sizeof(expected),
	    "t:2: ProxyPass: unknown flusher; there are flush, none, "
	    "file:PATH, near \"x\"\n"
	    "t:3: ProxyPass: header= has no effect with this flusher, near "
	    "\"none\"\n"
	    "t:4: ProxyPass: the flusher's file cannot be read: %s, near "
	    "\"file:/d/none\"\n"
	    "t:6: ProxyPass: unknown flusher; there are flush, none, "
	    "file:PATH, near \"\"\n", strerror(ENOENT));
	read_text("Listen 0\n"
	    "ProxyPass /a fd:///s flusher=x\n"
	    "ProxyPass /b fd:///s flusher=none header=\"A: b\"\n"
	    "ProxyPass /c fd:///s flusher=file:none\n"
	    "ProxyPass /d fd:///s\n"
	    "ProxyPass /e fd:///s flusher=\n");
	ck_assert_str_eq(reported, "");
	ck_assert(!config_finish(config));
	ck_assert_str_eq(reported, expected);

	renew();
	save("head", "HTTP/1.1 202 Yes\r\n\r\nx");
	config_text(config, "t", dir,
	    TEXT("Listen 0\nProxyPass / fd:///s flusher=file:head\n"));
	ck_assert(config_finish(config));
	ck_assert_str_eq(flushed(0), "HTTP/1.1 202 Yes\r\n\r\nx");

	renew();
	save("head", "hello\n");
	config_text(config, "t", dir,
	    TEXT("Listen 0\nProxyPass / fd:///s flusher=file:head\n"));
	ck_assert(!config_finish(config));
	snprintf(expected, sizeof(expected), "t:2: ProxyPass: the flusher's "
	    "file is not a response head: HTTP/1.1, lines that end in CRLF, "
	    "an empty line, near \"file:%s/head\"\n", dir);
	ck_assert_str_eq(reported, expected);
}

/* Relative to the folder of the file in which it stands. */
TEST(include)
{
	char path[512], expected[2048];

	save("main.conf", "User a\nInclude sub/a.conf\nBogus1\n"
	    "ProxyPass /m fd://m.sock\n");
	save("sub/a.conf", "Include b.conf\nBogus2\n"
	    "ProxyPass /a fd://a.sock\n");
	save("sub/b.conf", "\nBogus3\nUser b\nListen 0\n");
	snprintf(path, sizeof(path), "%s/main.conf", dir);
	config_file(config, path);
	snprintf(expected, sizeof(expected),
	    "%s/sub/b.conf:2: unknown directive, near \"Bogus3\"\n"
	    "%s/sub/a.conf:2: unknown directive, near \"Bogus2\"\n"
	    "%s/main.conf:3: unknown directive, near \"Bogus1\"\n",
	    dir, dir, dir);
	ck_assert_str_eq(reported, expected);
	ck_assert_str_eq(config->user, "b");
	ck_assert_uint_eq(config->ntargets, 2);
	snprintf(path, sizeof(path), "%s/sub/a.sock", dir);
	ck_assert_str_eq(config->targets[0].addr.u.un.sun_path, path);
	snprintf(path, sizeof(path), "%s/m.sock", dir);
	ck_assert_str_eq(config->targets[1].addr.u.un.sun_path, path);
	snprintf(path, sizeof(path), "%s/sub/a.conf:3", dir);
	ck_assert_str_eq(config->targets[0].where, path);

	/* The configuration named by a relative path itself. */
	renew();
	config_file(config, "main.conf");
	ck_assert_int_eq(config->errors, 3);
	ck_assert(strstr(reported, "\nmain.conf:3: unknown") != NULL);
	snprintf(path, sizeof(path), "%s/m.sock", dir);
	ck_assert_str_eq(config->targets[1].addr.u.un.sun_path, path);
	snprintf(path, sizeof(path), "%s/sub/a.sock", dir);
	ck_assert_str_eq(config->targets[0].addr.u.un.sun_path, path);
	renew();
	config_file(config, "sub/a.conf");
	ck_assert_str_eq(config->targets[0].addr.u.un.sun_path, path);
	renew();
	config_directive(config, "Include sub/a.conf");
	ck_assert_str_eq(config->targets[0].addr.u.un.sun_path, path);
}

TEST(include_fails)
{
	char expected[1024];

	save("main.conf", "\nInclude none.conf\nInclude sub\nUser u\n");
	config_file(config, "main.conf");
	snprintf(expected, sizeof(expected),
	    "main.conf:2: cannot read %s/none.conf: %s\n"
	    "main.conf:3: cannot read %s/sub: %s\n", dir, strerror(ENOENT),
	    dir, strerror(EISDIR));
	ck_assert_str_eq(reported, expected);
	ck_assert_str_eq(config->user, "u");

	renew();
	config_file(config, "none.conf");
	snprintf(expected, sizeof(expected), "-f: cannot read none.conf: "
	    "%s\n", strerror(ENOENT));
	ck_assert_str_eq(reported, expected);

	/* One that includes itself comes to an end. */
	renew();
	save("main.conf", "Include main.conf\n");
	config_file(config, "main.conf");
	snprintf(expected, sizeof(expected), "%s/main.conf:1: Include: "
	    "deeper than 16 files\n", dir);
	ck_assert_str_eq(reported, expected);
}

/* Nor is one read on that includes itself again and again. */
TEST(include_many)
{
	char expected[1024];
	int i;
	FILE *f;

	save("main.conf", "Include main.conf\nInclude main.conf\n"
	    "Include main.conf\nInclude main.conf\nInclude main.conf\n"
	    "Include main.conf\nInclude main.conf\nInclude main.conf\n");
	config_file(config, "main.conf");
	ck_assert(!config_finish(config));
	snprintf(expected, sizeof(expected), "%s/main.conf:1: Include: "
	    "deeper than 16 files\n", dir);
	ck_assert_str_eq(reported, expected);

	/* Not deep, but many: the thousand first, the file itself one. */
	renew();
	save("sub/a.conf", "Bogus\n");
	save("sub/b.conf", "");
	f = fopen("main.conf", "w");
	ck_assert(f != NULL);
	for (i = 0; i < 1500; i++)
		fprintf(f, "Include sub/%c.conf\n", i < 1000 ? 'b' : 'a');
	fprintf(f, "User u\n");
	ck_assert(fclose(f) == 0);
	config_file(config, "main.conf");
	config_file(config, "sub/a.conf");
	config_file(config, "missing.conf");
	ck_assert_str_eq(reported, "main.conf:1000: Include: more than 1000 "
	    "files\n");
	ck_assert(config->user == NULL);
}

/* 16 MiB in all, be it one file or many. */
TEST(include_large)
{
	static char text[7 << 20];
	char expected[1024];

	memset(text, '#', sizeof(text) - 1);
	save("sub/a.conf", text);
	save("main.conf", "Include sub/a.conf\nInclude sub/a.conf\nUser u\n"
	    "Include sub/a.conf\nUser v\nInclude sub/a.conf\n");
	config_file(config, "main.conf");
	snprintf(expected, sizeof(expected), "main.conf:4: cannot read "
	    "%s/sub/a.conf: more than 16 MiB in all\n", dir);
	ck_assert_str_eq(reported, expected);
	ck_assert_str_eq(config->user, "u");
	renew();
	config_file(config, "/dev/zero");
	ck_assert(!config_finish(config));
	ck_assert_str_eq(reported, "-f: cannot read /dev/zero: more than 16 "
	    "MiB in all\n");
}

TEST(standard_input)
{
	char path[512];
	int fd, saved = dup(STDIN_FILENO);

	save("main.conf", "ProxyPass / fd://s\nBogus\n");
	fd = open("main.conf", O_RDONLY);
	ck_assert(fd != -1);
	ck_assert(dup2(fd, STDIN_FILENO) != -1);
	close(fd);
	config_file(config, "-");
	if (saved != -1) {
		ck_assert(dup2(saved, STDIN_FILENO) != -1);
		close(saved);
	}
	ck_assert_str_eq(reported, "-:2: unknown directive, near "
	    "\"Bogus\"\n");
	snprintf(path, sizeof(path), "%s/s", dir);
	ck_assert_str_eq(config->targets[0].addr.u.un.sun_path, path);
}

/* -c, -l, -r and -u: messages have the option's name and no line. */
#define COMMA	" (a value with a comma in it needs -c)\n"

TEST(options)
{
	static const struct {
		void (*set)(struct config *c, const char *text);
		const char *text;
		const char *error;
	} rows[] = {
		{ config_directive, "User a", "" },
		{ config_directive, "  # User a", "" },
		{ config_directive, "", "" },
		{ config_directive, "User \"a b\"", "" },
		{ config_directive, "Bogus",
		    "-c: unknown directive, near \"Bogus\"\n" },
		{ config_directive, "User",
		    "-c: User: too few arguments\n" },
		{ config_directive, "User 'a",
		    "-c: a quote has no end, near \"a\"\n" },
		{ config_listen, "80", "" },
		{ config_listen, "[::1]:80", "" },
		{ config_listen, "unix:/a b", "" },
		{ config_listen, "", "-l: Listen: " PORT ", near \"\"\n" },
		{ config_listen, "80 81",
		    "-l: Listen: " PORT ", near \"80 81\"\n" },
		{ config_listen, "fd:3", "" },
		{ config_listen, "80 http", "-l: Listen: " PORT ", near "
		    "\"80 http\"\n" },
		{ config_listen, "fd:", "-l: " NUMBER("Listen fd:", "0",
		    "2147483647", "") "\n" },
		{ config_directive, "Listen 80 https",
		    "-c: " WORD("https") "\n" },
		{ config_directive, "PidFile a", "" },
		{ config_directive, "CustomLog |a", "-c: CustomLog: programs "
		    "are not started, near \"|a\"\n" },
		{ config_user, "a", "" },
		{ config_user, "", "-u: user[:group] expected, near "
		    "\"\"\n" },
		{ config_user, ":b", "-u: user[:group] expected, near "
		    "\":b\"\n" },
		{ config_user, "a:", "-u: user[:group] expected, near "
		    "\"a:\"\n" },
		{ config_user, "a:b", "" },
		{ config_route, "/a=/s", "" },
		{ config_route, "/a=s", "" },
		{ config_route, "/a=fd:///s", "" },
		{ config_route, "/a=FD:///s,flusher=none", "" },
		{ config_route, "/a=!", "" },
		{ config_route, "/a=status:", "" },
#ifdef __linux__
		{ config_route, "/a=@n", "" },
		{ config_route, "/a=@n/,queue=1", "" },
		{ config_route, "/a=fd://@n,wait=1", "" },
		{ config_listen, "unix:@n", "" },
#endif
		{ config_route, "/a=/s,queue=5,wait=1,payload=head", "" },
		{ config_route, "/a=/s,header=A: b", "" },
		{ config_route, "/a b=/s t", "" },
		{ config_route, "/a",
		    "-r: PATH=SOCKET expected, near \"/a\"\n" },
		{ config_route, "",
		    "-r: PATH=SOCKET expected, near \"\"\n" },
		{ config_route, "/a=",
		    "-r: ProxyPass: the target names no socket\n" },
		{ config_route, "/a=/",
		    "-r: ProxyPass: the target names no socket\n" },
		{ config_route, "/a=,queue=1",
		    "-r: ProxyPass: the target names no socket\n" },
		{ config_route, "=/s", "-r: ProxyPass: the path must begin "
		    "with '/', near \"\"\n" },
		{ config_route, "a=/s", "-r: ProxyPass: the path must begin "
		    "with '/', near \"a\"\n" },
		{ config_route, "/a=fd:/s", "-r: " TARGET("fd:/s") "\n" },
		{ config_route, "/a=http://127.0.0.1:80/",
		    "-r: " ADDRESS("http://127.0.0.1:80/") "\n" },
		{ config_route, "/a=fcgi://h", "-r: ProxyPass: no such target "
		    "is known; a socket of that name is ./NAME, near "
		    "\"fcgi://h\"\n" },
		{ config_route, "/a=127.0.0.1:9000",
		    "-r: " ADDRESS("127.0.0.1:9000") "\n" },
		{ config_route, "/a=localhost:3000",
		    "-r: " ADDRESS("localhost:3000") "\n" },
		{ config_route, "/a=[::1]:3000",
		    "-r: " ADDRESS("[::1]:3000") "\n" },
		{ config_route, "/a=:3000", "-r: " ADDRESS(":3000") "\n" },
		{ config_route, "/a=3000", "-r: " ADDRESS("3000") "\n" },
		{ config_route, "/a=./3000", "" },
		{ config_route, "/a=:status", "-r: ProxyPass: no such target "
		    "is known; a socket of that name is ./NAME, near "
		    "\":status\"\n" },
		{ config_route, "/a=./:status", "" },
		{ config_route, "/a=unix:/s", "-r: ProxyPass: the path of the "
		    "socket stands alone, without unix:, near \"unix:/s\"\n" },
		{ config_route, "/a=/s flusher=none", "-r: ProxyPass: "
		    "parameters stand behind commas here, near "
		    "\"/s flusher=none\"\n" },
		{ config_route, "/a=status", "-r: ProxyPass: it ends in a "
		    "colon; a socket of that name is ./NAME, near "
		    "\"status\"\n" },
		{ config_route, "/a=ready", "-r: ProxyPass: it ends in a "
		    "colon; a socket of that name is ./NAME, near "
		    "\"ready\"\n" },
		{ config_route, "/a=child", "-r: ProxyPass: it begins "
		    "with a colon; a socket of that name is ./NAME, near "
		    "\"child\"\n" },
		{ config_route, "/a=workers", "-r: ProxyPass: it begins "
		    "with a colon; a socket of that name is ./NAME, near "
		    "\"workers\"\n" },
		{ config_route, "/a=stats:", "-r: ProxyPass: no such target is "
		    "known; a socket of that name is ./NAME, near "
		    "\"stats:\"\n" },
		{ config_route, "/a=/s,", "-r: ProxyPass: unknown parameter, "
		    "near \"\"" COMMA },
		{ config_route, "/a=/s,queue=0,x=1", "-r: " NUMBER("queue",
		    "1", "1000000", "0") "\n-r: ProxyPass: unknown "
		    "parameter, near \"x=1\"" COMMA },
		{ config_route, "/a=!,queue=1",
		    "-r: ProxyPass: \"!\" takes no parameters\n" },
		{ config_route, "/a=status:,queue=1",
		    "-r: ProxyPass: \"status:\" takes no parameters\n" }
	};
	int i;

	for (i = 0; i < COUNT(rows); i++) {
		renew();
		rows[i].set(config, rows[i].text);
		ck_assert_str_eq(reported, rows[i].error);
	}
}

TEST(option_values)
{
	static char text[65536];
	char path[512];
	int i;

	config_route(config, "/a=sub/s,flusher=none,wait=250ms,queue=3");
	config_route(config, "/b=/abs/s,payload=head,header=A: b=c");
	config_route(config, "/c=dir/");
	config_route(config, "/s=status:");
	ck_assert_str_eq(reported, "");
	ck_assert_uint_eq(config->ntargets, 4);
	ck_assert_int_eq(config->targets[3].kind, CONFIG_STATUS);
	snprintf(path, sizeof(path), "%s/sub/s", dir);
	ck_assert_str_eq(config->targets[0].addr.u.un.sun_path, path);
	ck_assert_str_eq(config->targets[0].where, "-r");
	ck_assert_uint_eq(config->targets[0].wait_ms, 250);
	ck_assert_uint_eq(config->targets[0].queue_max, 3);
	ck_assert_str_eq(config->targets[1].addr.u.un.sun_path, "/abs/s");
	ck_assert(config->targets[1].payload_head);
	ck_assert_int_eq(config->targets[2].kind, CONFIG_DIRECTORY);

	config_user(config, "www");
	ck_assert_str_eq(config->user, "www");
	ck_assert(config->group == NULL);
	config_user(config, "web:staff");
	ck_assert_str_eq(config->user, "web");
	ck_assert_str_eq(config->group, "staff");
	config_directive(config, "User \"a b\"");
	ck_assert_str_eq(config->user, "a b");
	config_directive(config, "ProxyPass /d fd://x");
	snprintf(path, sizeof(path), "%s/x", dir);
	ck_assert_str_eq(config->targets[4].addr.u.un.sun_path, path);
	config_directive(config, "PidFile p");
	snprintf(path, sizeof(path), "%s/p", dir);
	ck_assert_str_eq(config->pid_file, path);
	config_directive(config, "CustomLog l");
	snprintf(path, sizeof(path), "%s/l", dir);
	ck_assert_str_eq(config->access_log, path);
	ck_assert_str_eq(reported, "");

	config_listen(config, "0");
	ck_assert(config_finish(config));
	ck_assert_str_eq(flushed(1), FIRST "Server: fdproxy/" VERSION "\r\n"
	    "A: b=c\r\n" LAST);

	/* More commas than words. */
	renew();
	strcpy(text, "/a=/s");
	for (i = 0; i < 200; i++)
		strcat(text, ",queue=1");
	config_route(config, text);
	ck_assert_int_ge(config->errors, 1);
	ck_assert_uint_eq(config->ntargets, 0);
}

/* Routes that nothing can reach are told, and are no error. */
TEST(never_reached)
{
	static const uint32_t hidden[] = { 1, 2, 6, 13 };
	const char *text;
	uint32_t i;
	int next = 0;

	read_text("Listen 0\n"
	    "ProxyPass /app fd:///s\n"
	    "ProxyPass /app/x fd:///s\n"
	    "ProxyPass /app fd:///t\n"
	    "ProxyPass /apple fd:///s\n"
	    "ProxyPass /b/ fd:///s\n"
	    "ProxyPass /b fd:///s\n"
	    "ProxyPass /b/c !\n"
	    "ProxyPass /d//e fd:///s\n"
	    "ProxyPass /f/../g fd:///s\n"
	    "ProxyPass /h/. fd:///s\n"
	    "ProxyPass /.. fd:///s\n"
	    "ProxyPass /..i/.j fd:///s\n"
	    "ProxyPass / fd:///s\n"
	    "ProxyPass /k fd:///s\n");
	catch_stderr();
	log_name("fdproxy");
	log_level(LOG_L_NOTICE);
	ck_assert(config_finish(config));
	text = caught();
#define NEVER	" never matches: request paths have no empty or dot segments\n"
	ck_assert_str_eq(text,
	    "fdproxy: warn: t:3: /app/x is never reached: /app (t:2) comes "
	    "first\n"
	    "fdproxy: warn: t:4: /app is never reached: /app (t:2) comes "
	    "first\n"
	    "fdproxy: warn: t:8: /b/c is never reached: /b/ (t:6) comes "
	    "first\n"
	    "fdproxy: warn: t:9: /d//e" NEVER
	    "fdproxy: warn: t:10: /f/../g" NEVER
	    "fdproxy: warn: t:11: /h/." NEVER
	    "fdproxy: warn: t:12: /.." NEVER
	    "fdproxy: warn: t:15: /k is never reached: / (t:14) comes "
	    "first\n");
	ck_assert_str_eq(reported, "");
	for (i = 0; i < config->ntargets; i++) {
		ck_assert_msg(config->targets[i].hidden ==
		    (next < COUNT(hidden) && hidden[next] == i), "%u", i);
		next += config->targets[i].hidden;
		ck_assert(config->targets[i].passed == 0);
	}
	ck_assert_int_eq(next, COUNT(hidden));
}

/* What -t says besides: once, and only where it may matter. */
static const struct {
	const char *text, *note;	/* NULL: nothing */
} notes[] = {
	{ "ProxyPass / fd:///s flusher=none\n", NULL },
	{ "ProxyPass /a fd:///s\nProxyPass /b fd:///t\n", NULL },
	{ "ProxyPass /r ready:\nProxyPass /s status:\n"
	    "ProxyPass / fd:///s flusher=none\n", NULL },
	{ "ProxyPass /a fd:///s flusher=none\n"
	    "ProxyPass /b fd:///s flusher=none\n", NULL },
	{ "ProxyPass /a fd:///s\nProxyPass / fd:///t flusher=none\n",
	    "t:3: /" },
	{ "ProxyPass /a !\nProxyPass / fd:///t flusher=none\n", "t:3: /" },
	{ "ProxyPass /a fd:///s/ flusher=none\n"
	    "ProxyPass /b fd:///t flusher=none\n", "t:2: /a" }
};

TEST(told_besides)
{
	char text[256], want[512] = "";

	snprintf(text, sizeof(text), "Listen 0\n%s", notes[_i].text);
	read_text(text);
	ck_assert(config_finish(config));
	catch_stderr();
	log_name("fdproxy");
	log_level(LOG_L_NOTICE);
	config_route_notes(config);
	if (notes[_i].note != NULL)
		snprintf(want, sizeof(want), "fdproxy: notice: %s has "
		    "flusher=none, and there are other routes: its backend "
		    "must close after each request, as servers do under "
		    "fdaccept, or a connection that is kept goes round them\n",
		    notes[_i].note);
	ck_assert_str_eq(caught(), want);
}

/* Of several routes with one path, all but the first; of any kind. */
TEST(hidden_doubles)
{
	uint32_t i;

	read_text("Listen 0\n"
	    "ProxyPass /a status:\n"
	    "ProxyPass /a fd:///s\n"
	    "ProxyPass /a/ fd:///s\n"
	    "ProxyPass /a !\n"
	    "ProxyPass /a status:\n"
	    "ProxyPass /a fd:///f/\n");
	catch_stderr();
	ck_assert(config_finish(config));
	ck_assert(strstr(caught(), "t:7: /a is never reached: /a (t:2) "
	    "comes first\n") != NULL);
	ck_assert_uint_eq(config->ntargets, 6);
	for (i = 0; i < config->ntargets; i++)
		ck_assert(config->targets[i].hidden == (i > 0));
}

/* Request paths have no escapes by the time they are compared. */
TEST(escaped_paths)
{
	read_text("Listen 0\nProxyPass /a%20b fd:///s\n"
	    "ProxyPass /%zz%C3%a4 fd:///s\n");
	catch_stderr();
	ck_assert(config_finish(config));
	ck_assert_str_eq(caught(), "fdproxy: warn: t:2: /a%20b matches no "
	    "escapes: those of request paths are undone before\n"
	    "fdproxy: warn: t:3: /%zz%C3%a4 matches no escapes: those of "
	    "request paths are undone before\n");
}

/* Told, but no error: it answers all requests by itself. */
TEST(no_routes)
{
	read_text("Listen 0\n");
	catch_stderr();
	ck_assert(config_finish(config));
	ck_assert_str_eq(caught(), "fdproxy: warn: there is no route: all "
	    "requests get 404\n");
}

/* Root leaves a chroot as it came. */
TEST(root_in_chroot)
{
	static const char *const texts[] = { "ChrootDir /d\n",
	    "ChrootDir /d\nUser u\n" };
	int i;

	for (i = 0; i < COUNT(texts); i++) {
		renew();
		read_text("Listen 0\nProxyPass / fd:///s\n");
		read_text(texts[i]);
		catch_stderr();
		ck_assert(config_finish(config));
		ck_assert_str_eq(caught(), i == 1 || geteuid() != 0 ? "" :
		    "fdproxy: warn: ChrootDir: a root process in a chroot is "
		    "no prison; set User\n");
	}
}

/* What is wrong is told, and not what follows from it. */
TEST(nothing_follows)
{
	read_text("Listen x\n");
	ck_assert(!config_finish(config));
	ck_assert(strstr(reported, "t:1: Listen: ") == reported);
	ck_assert(strstr(reported, "nothing to listen on") == NULL);
	renew();
	config_file(config, "/nowhere/conf");
	ck_assert(!config_finish(config));
	ck_assert(strstr(reported, "cannot read /nowhere/conf") != NULL);
	ck_assert(strstr(reported, "nothing to listen on") == NULL);
}

TEST(all_reached)
{
	uint32_t i;

	read_text("Listen 0\nProxyPass /a/b fd:///s\nProxyPass /a !\n"
	    "ProxyPass /ab fd:///s\nProxyPass /a%2 fd:///s\n"
	    "ProxyPass /a%b fd:///s\nProxyPass / fd:///s\n");
	catch_stderr();
	ck_assert(config_finish(config));
	ck_assert_str_eq(caught(), "");
	for (i = 0; i < config->ntargets; i++)
		ck_assert(!config->targets[i].hidden);
}

static const struct test tests[] = {
	TIMES(good, COUNT(goods)),
	TIMES(bad, COUNT(bads)),
	ONCE(all_directives),
	ONCE(defaults),
	ONCE(values),
	ONCE(other_names),
	ONCE(listeners),
	ONCE(listener_words),
	ONCE(files),
	ONCE(files_too_long),
	ONCE(values_kept),
	ONCE(many_errors),
	ONCE(too_many_errors),
	ONCE(escaped),
	ONCE(byte_order_marks),
	ONCE(nul_bytes),
	ONCE(text_fenced),
	ONCE(quoting),
	ONCE(long_lines),
	ONCE(too_many_listeners),
	ONCE(workers),
	ONCE(peers),
	ONCE(refused_parameters),
	ONCE(targets),
#ifdef __linux__
	ONCE(targets_abstract),
	ONCE(abstract_too_long),
#endif
	ONCE(targets_many),
	ONCE(targets_long),
	ONCE(targets_alike),
	ONCE(targets_too_many),
	ONCE(socket_too_long),
	ONCE(headers),
	ONCE(headers_long),
	ONCE(server_tokens),
	ONCE(flushers),
	ONCE(include),
	ONCE(include_fails),
	ONCE(include_many),
	ONCE(include_large),
	ONCE(standard_input),
	ONCE(options),
	ONCE(option_values),
	ONCE(never_reached),
	ONCE(hidden_doubles),
	TIMES(told_besides, COUNT(notes)),
	ONCE(escaped_paths),
	ONCE(no_routes),
	ONCE(root_in_chroot),
	ONCE(nothing_follows),
	ONCE(all_reached)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), setup, teardown);
}
