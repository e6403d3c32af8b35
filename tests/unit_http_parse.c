/* See LICENSE for copyright and license details. */
#include "http_parse.h"
#include "unit.h"

/* What a table's row says about a whole head. */
struct good {
	const char *ref;	/* the rule that the row is about */
	const char *head;
	size_t len;
	const char *method;
	const char *target;
	const char *path;
	const char *fields;	/* names and values as "name=value|" */
	int minor;
	bool asterisk;
	bool expect;
};

struct bad {
	const char *ref;
	const char *head;
	size_t len;
	int status;
};

static const struct http_limits usual = { 8190, 8190, 100, 16384 };
static const struct http_limits tight = { 40, 30, 8, 120 };

/* A request of one more field, of one more Host, of one target. */
#define FIELD(f)	TEXT("POST /a HTTP/1.1\r\nHost: h\r\n" f "\r\n\r\n")
#define OLD(f)		TEXT("POST /a HTTP/1.0\r\n" f "\r\n\r\n")
#define HOST(h)		TEXT("GET /a HTTP/1.1\r\nHost:" h "\r\n\r\n")
#define TARGET(t)	TEXT("GET " t " HTTP/1.1\r\nHost: h\r\n\r\n")
#define LINE(l)		TEXT(l "\r\nHost: h\r\n\r\n")

#define PLAIN		"GET", "/a", "/a"
#define WITH_HOST(h)	HOST(h), PLAIN, "Host=" h "|", 1, false, false
#define WITH_TARGET(t, path)	\
	TARGET(t), "GET", t, path, "Host=h|", 1, false, false
#define WITH_FIELD(f, list)	\
	FIELD(f), "POST", "/a", "/a", "Host=h|" list, 1, false, false
#define EMPTY5		"\r\n\r\n\r\n\r\n\r\n"

static const struct good goods[] = {
	{ "9112 2.1", TEXT("GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
	    "GET", "/", "/", "Host=h|", 1, false, false },
	{ "9112 2.1, no field at all", TEXT("GET /x HTTP/1.0\r\n\r\n"),
	    "GET", "/x", "/x", "", 0, false, false },
	{ "9110 7.2, 1.0 with Host", OLD("Host: h"),
	    "POST", "/a", "/a", "Host=h|", 0, false, false },
	{ "9112 2.2, empty lines", TEXT(EMPTY5 EMPTY5
	    "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"),
	    PLAIN, "Host=h|", 1, false, false },
	{ "9112 2.3, a higher minor", TEXT("GET /a HTTP/1.9\r\n"
	    "Host: h\r\n\r\n"), PLAIN, "Host=h|", 9, false, false },
	{ "9110 9.1, any token", LINE("a!#$%&'*+-.^_`|~09Z /a HTTP/1.1"),
	    "a!#$%&'*+-.^_`|~09Z", "/a", "/a", "Host=h|", 1, false, false },
	{ "9110 9.1, case matters", LINE("connect /a HTTP/1.1"),
	    "connect", "/a", "/a", "Host=h|", 1, false, false },

	{ "9112 3.2.1", WITH_TARGET("/a?b", "/a") },
	{ "9112 3.2.1", WITH_TARGET("/?", "/") },
	{ "9112 3.2.1", WITH_TARGET("/a?/b/../c?d", "/a") },
	{ "9112 3.2.1, as sent", WITH_TARGET("//a/./%2e%zz", "//a/./%2e%zz") },
	{ "9112 3.2.1, 8-bit", WITH_TARGET("/\xc3\xa9\xff", "/\xc3\xa9\xff") },
	{ "9112 3.2.1", WITH_TARGET("/http://x/", "/http://x/") },
	{ "9112 3.2.2", WITH_TARGET("http://h/a/b?c", "/a/b") },
	{ "9112 3.2.2", WITH_TARGET("HtTpS://h:8443/a", "/a") },
	{ "9112 3.2.2, no path", WITH_TARGET("http://h", "/") },
	{ "9112 3.2.2, query only", WITH_TARGET("http://h?q/r", "/") },
	{ "9112 3.2.2", WITH_TARGET("https://[::1]:80/a", "/a") },
	{ "9112 3.2.2", WITH_TARGET("http://h:/a", "/a") },
	{ "9112 3.2.2, other host", WITH_TARGET("http://other/a", "/a") },
	{ "9112 3.2.4", TEXT("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"),
	    "OPTIONS", "*", "", "Host=h|", 1, true, false },
	{ "9112 3.2.4", TEXT("OPTIONS /a HTTP/1.1\r\nHost: h\r\n\r\n"),
	    "OPTIONS", "/a", "/a", "Host=h|", 1, false, false },
	{ "9112 3.2.4, absolute", LINE("OPTIONS http://h:80 HTTP/1.1"),
	    "OPTIONS", "http://h:80", "", "Host=h|", 1, true, false },
	{ "9112 3.2.4, a path", LINE("OPTIONS http://h/ HTTP/1.1"),
	    "OPTIONS", "http://h/", "/", "Host=h|", 1, false, false },
	{ "9112 3.2.4, a query", LINE("OPTIONS http://h? HTTP/1.1"),
	    "OPTIONS", "http://h?", "/", "Host=h|", 1, false, false },

	{ "9110 7.2", WITH_HOST("x_y") },
	{ "9110 7.2", WITH_HOST("-x") },
	{ "9110 7.2", WITH_HOST("a.b-c.example") },
	{ "9110 7.2, root dot", WITH_HOST("example.") },
	{ "9110 7.2", WITH_HOST("4you.example") },
	{ "9110 7.2", WITH_HOST("127.0.0.1") },
	{ "9110 7.2", WITH_HOST("127.0.0.1:8080") },
	{ "9110 7.2", WITH_HOST("[::1]") },
	{ "3986 3.2.2, escapes", WITH_HOST("%2Ftmp%2fx.sock") },
	{ "3986 3.2.2, escapes", WITH_HOST("%2Frun%2Fx.1:80") },
	{ "9110 4.2.1, escapes", WITH_TARGET("http://%61/a", "/a") },
	{ "9110 7.2", WITH_HOST("[2001:db8::7:1]:443") },
	{ "9110 7.2", WITH_HOST("[::ffff:10.0.0.1]") },
	{ "3986 3.2.3, empty port", WITH_HOST("x:") },
	{ "3986 3.2.3, empty port", WITH_HOST("[::1]:") },
	{ "3986 3.2.3", WITH_HOST("x:1") },
	{ "3986 3.2.3", WITH_HOST("x:65535") },
	{ "9110 5.1, name's case", TEXT("GET /a HTTP/1.1\r\nhOST: h\r\n\r\n"),
	    PLAIN, "hOST=h|", 1, false, false },

	{ "9112 5.1, white space", WITH_FIELD("A:  \t b \t c\t ",
	    "A=b \t c|") },
	{ "9110 5.5, empty value", WITH_FIELD("A:", "A=|") },
	{ "9110 5.5, blank value", WITH_FIELD("A: \t ", "A=|") },
	{ "9110 5.5, 8-bit", WITH_FIELD("A: \x80\xff", "A=\x80\xff|") },
	{ "9110 5.1, token name", WITH_FIELD("!#$%&'*+-.^_`|~1: x",
	    "!#$%&'*+-.^_`|~1=x|") },
	{ "9110 5.3, unknown twice", WITH_FIELD("A: 1\r\na: 2",
	    "A=1|a=2|") },
	{ "9110 5.1, colon in value", WITH_FIELD("A:b:c", "A=b:c|") },

	{ "9112 6.2", WITH_FIELD("Content-Length: 0", "Content-Length=0|") },
	{ "9112 6.2, largest", WITH_FIELD("Content-Length: "
	    "9223372036854775807", "Content-Length=9223372036854775807|") },
	{ "9112 6.2, zeros", WITH_FIELD("Content-Length: 0000000000000000007",
	    "Content-Length=0000000000000000007|") },
	{ "9112 6.2, white space", WITH_FIELD("content-length:\t 5 ",
	    "content-length=5|") },
	{ "9112 6.1", WITH_FIELD("Transfer-Encoding: chunked",
	    "Transfer-Encoding=chunked|") },
	{ "9112 6.1, case", WITH_FIELD("TRANSFER-ENCODING:CHUNKED",
	    "TRANSFER-ENCODING=CHUNKED|") },
	{ "9112 6.1, list", WITH_FIELD("Transfer-Encoding: gzip ,\tchunked",
	    "Transfer-Encoding=gzip ,\tchunked|") },
	{ "9112 7.1, another field", WITH_FIELD("TE: trailers",
	    "TE=trailers|") },

	{ "9110 10.1.1", FIELD("Expect: 100-continue"), "POST", "/a", "/a",
	    "Host=h|Expect=100-continue|", 1, false, true },
	{ "9110 10.1.1, case", FIELD("EXPECT: 100-Continue"), "POST", "/a",
	    "/a", "Host=h|EXPECT=100-Continue|", 1, false, true },
	{ "9110 10.1.1, empty", WITH_FIELD("Expect:", "Expect=|") },
	{ "9110 10.1.1, none in 1.0", OLD("Expect: 100-continue"), "POST",
	    "/a", "/a", "Expect=100-continue|", 0, false, false }
};

static const struct bad bads[] = {
	/* Ends of lines. */
	{ "9112 2.2, bare LF", TEXT("GET /a HTTP/1.1\nHost: h\r\n\r\n"), 400 },
	{ "9112 2.2, bare LF", TEXT("GET /a HTTP/1.1\r\nHost: h\n\r\n"), 400 },
	{ "9112 2.2, bare LF", TEXT("GET /a HTTP/1.1\r\nHost: h\r\n\n"), 400 },
	{ "9112 2.2, bare LF first", TEXT("\nGET /a HTTP/1.0\r\n\r\n"), 400 },
	{ "9112 2.2, bare LF after an empty line", TEXT("\r\n\n"), 400 },
	{ "9112 2.2, bare CR", TEXT("GET /a\r HTTP/1.0\r\n\r\n"), 400 },
	{ "9112 2.2, bare CR", TEXT("GET /a HTTP/1.0\r\r\n\r\n"), 400 },
	{ "9112 2.2, bare CR", TEXT("\rGET /a HTTP/1.0\r\n\r\n"), 400 },
	{ "9112 2.2, bare CR", TEXT("\r\r\nGET /a HTTP/1.0\r\n\r\n"), 400 },
	{ "9112 2.2, bare CR", FIELD("A: b\rc"), 400 },
	{ "9112 2.2, bare CR", FIELD("A: b\r"), 400 },
	{ "9112 2.2, bare CR", FIELD("A\r: b"), 400 },
	{ "9112 2.2, eleven empty lines",
	    TEXT(EMPTY5 EMPTY5 "\r\nGET /a HTTP/1.0\r\n\r\n"), 400 },
	{ "9112 2.2, space before the line",
	    TEXT("\r\n GET /a HTTP/1.0\r\n\r\n"), 400 },

	/* The request line. */
	{ "9112 3, leading SP", LINE(" GET /a HTTP/1.1"), 400 },
	{ "9112 3, trailing SP", LINE("GET /a HTTP/1.1 "), 400 },
	{ "9112 3, two SP", LINE("GET  /a HTTP/1.1"), 400 },
	{ "9112 3, two SP", LINE("GET /a  HTTP/1.1"), 400 },
	{ "9112 3, TAB", LINE("GET\t/a HTTP/1.1"), 400 },
	{ "9112 3, TAB", LINE("GET /a\tHTTP/1.1"), 400 },
	{ "9112 3, TAB", LINE("GET /a HTTP/1.1\t"), 400 },
	{ "9112 3, no target", LINE("GET HTTP/1.1"), 400 },
	{ "9112 3, no method", LINE("/a HTTP/1.1"), 400 },
	{ "9112 3, one word", LINE("GET"), 400 },
	{ "9112 3, one SP", LINE("GET "), 400 },
	{ "9112 3, four words", LINE("GET /a b HTTP/1.1"), 400 },
	{ "9110 9.1, no token", LINE("G(T /a HTTP/1.1"), 400 },
	{ "9110 9.1, no token", LINE("G:T /a HTTP/1.1"), 400 },
	{ "9110 9.1, no token", LINE("G\x80T /a HTTP/1.1"), 400 },
	{ "9112 2.2, NUL", LINE("G\0T /a HTTP/1.1"), 400 },
	{ "9112 3.2, NUL", TARGET("/a\0"), 400 },
	{ "9112 3.2, NUL in a query", TARGET("/a?\0"), 400 },
	{ "9112 3.2, control", TARGET("/a\x01"), 400 },
	{ "9112 3.2, DEL", TARGET("/a?\x7f"), 400 },

	/* The version. */
	{ "9112 2.3, 0.9", TEXT("GET /a\r\n"), 400 },
	{ "9112 2.3, 0.9", LINE("GET /a HTTP/0.9"), 400 },
	{ "9112 2.3", LINE("GET /a HTTP/2.0"), 505 },
	{ "9112 2.3", LINE("GET /a HTTP/3.1"), 505 },
	{ "9112 2.3", LINE("GET /a HTTP/9.9"), 505 },
	{ "9112 2.3, case", LINE("GET /a http/1.1"), 400 },
	{ "9112 2.3", LINE("GET /a HTTP/1.10"), 400 },
	{ "9112 2.3", LINE("GET /a HTTP/11.1"), 400 },
	{ "9112 2.3", LINE("GET /a HTTP/1."), 400 },
	{ "9112 2.3", LINE("GET /a HTTP/1"), 400 },
	{ "9112 2.3", LINE("GET /a HTTP/2"), 400 },
	{ "9112 2.3", LINE("GET /a HTTP/1,1"), 400 },
	{ "9112 2.3", LINE("GET /a HTTP/1.x"), 400 },
	{ "9112 2.3", LINE("GET /a HTTP/x.1"), 400 },
	{ "9112 2.3", LINE("GET /a HTTP/ 1.1"), 400 },
	{ "9112 2.3", LINE("GET /a HTTQ/1.1"), 400 },
	{ "9112 2.3", LINE("GET /a RTSP/1.0"), 400 },
	{ "9113 3.4, h2 preface", TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	    505 },

	/* The target. */
	{ "9112 3.2.3", LINE("CONNECT h:443 HTTP/1.1"), 405 },
	{ "9112 3.2.3", LINE("CONNECT /a HTTP/1.1"), 405 },
	{ "9112 3.2.3, judged first", LINE("CONNECT * HTTP/1.1"), 405 },
	{ "9112 3.2.3, no Host yet", TEXT("CONNECT h:1 HTTP/1.1\r\n\r\n"),
	    405 },
	{ "9112 3.2.3, bad line", LINE("CONNECT h:443"), 400 },
	{ "9112 3.2.3, version", LINE("CONNECT h:443 HTTP/2.0"), 505 },
	{ "9112 3.2.4", LINE("GET * HTTP/1.1"), 400 },
	{ "9112 3.2.4", LINE("options * HTTP/1.1"), 400 },
	{ "9112 3.2.4", LINE("OPTIONS *a HTTP/1.1"), 400 },
	{ "9112 3.2.4", LINE("OPTIONS ** HTTP/1.1"), 400 },
	{ "9112 3.2.1", TARGET("a"), 400 },
	{ "9112 3.2.1", TARGET("?a"), 400 },
	{ "9112 3.2.1", TARGET("\\a"), 400 },
	{ "9112 3.2.1", TARGET("h:80"), 400 },
	{ "9112 3.2.1, fragment", TARGET("/a#b"), 400 },
	{ "9112 3.2.1, fragment", TARGET("/a?b#"), 400 },
	{ "9112 3.2.2, fragment", TARGET("http://h#b"), 400 },
	{ "9110 4.2.4, user info", TARGET("http://u@h/a"), 400 },
	{ "9110 4.2.4, user info", TARGET("http://u:p@h/a"), 400 },
	{ "9110 4.2.1, empty host", TARGET("http://"), 400 },
	{ "9110 4.2.1, empty host", TARGET("http:///a"), 400 },
	{ "9110 4.2.1, empty host", TARGET("https://?a"), 400 },
	{ "9110 4.2.1, empty host", TARGET("http://:80/a"), 400 },
	{ "9110 4.2.1", TARGET("http:/a"), 400 },
	{ "9110 4.2.1", TARGET("http:a"), 400 },
	{ "9110 4.2.1, port", TARGET("http://h:0/a"), 400 },
	{ "9110 4.2.1, port", TARGET("http://h:65536/a"), 400 },
	{ "9110 4.2.1, port", TARGET("http://h:8x/a"), 400 },
	{ "9110 4.2.1, port", TARGET("http://h:1:2/a"), 400 },
	{ "9110 4.2.1, host", TARGET("http://[::1/a"), 400 },
	{ "9110 4.2.1, host", TARGET("http://%6/a"), 400 },
	{ "9110 4.2, scheme", TARGET("ftp://h/a"), 400 },
	{ "9110 4.2, scheme", TARGET("fd:///a"), 400 },
	{ "9110 4.2, scheme", TARGET("httpx://h/a"), 400 },
	{ "9112 3.2.2, but no Host", TEXT("GET http://h/ HTTP/1.1\r\n\r\n"),
	    400 },

	/* Host. */
	{ "9110 7.2, none", TEXT("GET /a HTTP/1.1\r\n\r\n"), 400 },
	{ "9110 7.2, none", TEXT("GET /a HTTP/1.1\r\nA: b\r\n\r\n"), 400 },
	{ "9110 7.2, none", TEXT("OPTIONS * HTTP/1.1\r\n\r\n"), 400 },
	{ "9110 7.2, empty twice", HOST("\r\nHost:"), 400 },
	{ "9110 7.2, empty and not", HOST("\r\nHost: h"), 400 },
	{ "9110 7.2, not and empty", HOST("h\r\nHost:"), 400 },
	{ "9110 7.2, a port alone", HOST(":"), 400 },
	{ "9110 7.2, twice", HOST("h\r\nHost: h"), 400 },
	{ "9110 7.2, twice", HOST("h\r\nA: b\r\nhost: i"), 400 },
	{ "9110 7.2, twice in 1.0", OLD("Host: h\r\nHost: h"), 400 },
	{ "9110 7.2, bad in 1.0", OLD("Host: h/i"), 400 },
	{ "9110 7.2", HOST("x:0"), 400 },
	{ "9110 7.2", HOST("x:000"), 400 },
	{ "9110 7.2", HOST("x:65536"), 400 },
	{ "9110 7.2", HOST("x:99999"), 400 },
	{ "9110 7.2", HOST("x:4294967376"), 400 },
	{ "9110 7.2", HOST("x:18446744073709551696"), 400 },
	{ "9110 7.2", HOST("x:+80"), 400 },
	{ "9110 7.2", HOST("x:80a"), 400 },
	{ "9110 7.2", HOST("x:80:80"), 400 },
	{ "9110 7.2", HOST(":80"), 400 },
	{ "9110 7.2", HOST("1.2.3"), 400 },
	{ "9110 7.2", HOST("1.2.3.4.5"), 400 },
	{ "9110 7.2", HOST("80"), 400 },
	{ "3986 7.4", HOST("010.0.0.1"), 400 },
	{ "3986 7.4", HOST("1.2.3.00"), 400 },
	{ "3986 7.4, no first part", HOST(".1.2.3"), 400 },
	{ "3986 7.4", HOST("1..2.3"), 400 },
	{ "1123 2.1, last label", HOST("a.4you"), 400 },
	{ "1123 2.1, last label", HOST("a.-b"), 400 },
	{ "9110 7.2", HOST("a..b"), 400 },
	{ "9110 7.2", HOST("."), 400 },
	{ "9110 7.2", HOST(".."), 400 },
	{ "9110 7.2", HOST("a.."), 400 },
	{ "9110 7.2", HOST("x y"), 400 },
	{ "9110 7.2", HOST("x\ty"), 400 },
	{ "9110 7.2", HOST("x/y"), 400 },
	{ "9110 7.2", HOST("x,y"), 400 },
	{ "9110 7.2", HOST("u@x"), 400 },
	{ "9110 7.2", HOST("http://x"), 400 },
	{ "3986 2.1, escapes", HOST("%"), 400 },
	{ "3986 2.1, escapes", HOST("a%4"), 400 },
	{ "3986 2.1, escapes", HOST("%4g"), 400 },
	{ "3986 2.1, escapes", HOST("%g4"), 400 },
	{ "3986 2.1, escapes", HOST("%%41"), 400 },
	{ "9110 7.2", HOST("\xc3\xa9"), 400 },
	{ "3986 3.2.2, no brackets", HOST("::1"), 400 },
	{ "3986 3.2.2, brackets", HOST("[::1"), 400 },
	{ "3986 3.2.2, brackets", HOST("::1]"), 400 },
	{ "3986 3.2.2, brackets", HOST("[]"), 400 },
	{ "3986 3.2.2, brackets", HOST("["), 400 },
	{ "3986 3.2.2, brackets", HOST("[::1]x"), 400 },
	{ "3986 3.2.2, brackets", HOST("[::1]]"), 400 },
	{ "3986 3.2.2, brackets", HOST("[::1]:x"), 400 },
	{ "3986 3.2.2, brackets", HOST("[::1]:0"), 400 },
	{ "3986 3.2.2, brackets", HOST("[[::1]]"), 400 },
	{ "3986 3.2.2, brackets", HOST("[127.0.0.1]"), 400 },
	{ "3986 3.2.2, brackets", HOST("[x]"), 400 },
	{ "3986 3.2.2, brackets", HOST("[v1.x]"), 400 },
	{ "3986 3.2.2, brackets", HOST("[::12345]"), 400 },
	{ "3986 3.2.2, brackets", HOST("[1:2:3:4:5:6:7:8:9]"), 400 },
	{ "3986 3.2.2, brackets", HOST("[ ::1]"), 400 },
	{ "6874, zone", HOST("[fe80::1%25lo]"), 400 },
	{ "3986 3.2.2, long", HOST("[1111:2222:3333:4444:5555:6666:"
	    "123.123.123.123:0000:0000]"), 400 },

	/* Field lines. */
	{ "9112 5.2, folded", FIELD("A: b\r\n c"), 400 },
	{ "9112 5.2, folded", FIELD("A: b\r\n\tc"), 400 },
	{ "9112 5.2, blank fold", FIELD("A: b\r\n "), 400 },
	{ "9112 2.2, first is folded", TEXT("GET /a HTTP/1.1\r\n A: b\r\n"
	    "Host: h\r\n\r\n"), 400 },
	{ "9112 5.1, SP before colon", FIELD("A : b"), 400 },
	{ "9112 5.1, TAB before colon", FIELD("A\t: b"), 400 },
	{ "9112 5.1, SP before colon", FIELD("Content-Length : 0"), 400 },
	{ "9112 5, no colon", FIELD("A"), 400 },
	{ "9112 5, no colon", FIELD("A b"), 400 },
	{ "9112 5, no name", FIELD(": b"), 400 },
	{ "9112 5, no name", FIELD(":"), 400 },
	{ "9110 5.1, no token", FIELD("A(B): c"), 400 },
	{ "9110 5.1, no token", FIELD("A\"B: c"), 400 },
	{ "9110 5.1, no token", FIELD("\xc3\xa9: c"), 400 },
	{ "9110 5.1, NUL", FIELD("A\0: b"), 400 },
	{ "9110 5.5, NUL", FIELD("A: b\0"), 400 },
	{ "9110 5.5, control", FIELD("A: b\x01"), 400 },
	{ "9110 5.5, control", FIELD("A: \x1b[0m"), 400 },
	{ "9110 5.5, DEL", FIELD("A: \x7f"), 400 },
	{ "9110 5.5, VT is no white space", FIELD("A: b\v"), 400 },

	/* Content-Length. */
	{ "9112 6.3, empty", FIELD("Content-Length:"), 400 },
	{ "9112 6.3, sign", FIELD("Content-Length: +1"), 400 },
	{ "9112 6.3, sign", FIELD("Content-Length: -1"), 400 },
	{ "9112 6.3, hex", FIELD("Content-Length: 0x1"), 400 },
	{ "9112 6.3", FIELD("Content-Length: 1a"), 400 },
	{ "9112 6.3", FIELD("Content-Length: 1.0"), 400 },
	{ "9112 6.3", FIELD("Content-Length: 1 2"), 400 },
	{ "9112 6.3", FIELD("Content-Length: \"1\""), 400 },
	{ "9110 8.6, list", FIELD("Content-Length: 1, 1"), 400 },
	{ "9110 8.6, list", FIELD("Content-Length: 1,"), 400 },
	{ "9110 8.6, overflow", FIELD("Content-Length: 9223372036854775808"),
	    400 },
	{ "9110 8.6, overflow", FIELD("Content-Length: 18446744073709551616"),
	    400 },
	{ "9110 8.6, overflow", FIELD("Content-Length: 18446744073709551621"),
	    400 },
	{ "9110 8.6, overflow", FIELD("Content-Length: "
	    "99999999999999999999999999999999999999999"), 400 },
	{ "9112 6.3, conflict", FIELD("Content-Length: 1\r\n"
	    "Content-Length: 2"), 400 },
	{ "9112 6.3, doubled", FIELD("Content-Length: 1\r\n"
	    "A: b\r\ncontent-length: 1"), 400 },
	{ "9112 6.3, in 1.0", OLD("Content-Length: x"), 400 },

	/* Transfer-Encoding. */
	{ "9112 6.1, empty", FIELD("Transfer-Encoding:"), 400 },
	{ "9112 6.3, not chunked", FIELD("Transfer-Encoding: gzip"), 400 },
	{ "9112 6.3, not last", FIELD("Transfer-Encoding: chunked, gzip"),
	    400 },
	{ "9112 7, identity", FIELD("Transfer-Encoding: identity"), 400 },
	{ "9112 6.1, twice", FIELD("Transfer-Encoding: chunked, chunked"),
	    400 },
	{ "9112 6.1, twice", FIELD("Transfer-Encoding: chunked,gzip,chunked"),
	    400 },
	{ "9112 6.1, two lines", FIELD("Transfer-Encoding: chunked\r\n"
	    "Transfer-Encoding: chunked"), 400 },
	{ "9112 6.1, two lines", FIELD("Transfer-Encoding: gzip, chunked\r\n"
	    "A: b\r\ntransfer-encoding: chunked"), 400 },
	{ "9110 5.6.1, empty element", FIELD("Transfer-Encoding: ,chunked"),
	    400 },
	{ "9110 5.6.1, empty element", FIELD("Transfer-Encoding: chunked,"),
	    400 },
	{ "9110 5.6.1, empty element", FIELD("Transfer-Encoding: chunked, ,"),
	    400 },
	{ "9110 5.6.1, empty element", FIELD("Transfer-Encoding: "
	    "gzip,\t, chunked"), 400 },
	{ "9112 6.1", FIELD("Transfer-Encoding: xchunked"), 400 },
	{ "9112 6.1", FIELD("Transfer-Encoding: chunkedx"), 400 },
	{ "9112 6.1", FIELD("Transfer-Encoding: chunk"), 400 },
	{ "9112 6.1, VT", FIELD("Transfer-Encoding: \vchunked"), 400 },
	{ "9112 7.1, parameter", FIELD("Transfer-Encoding: chunked;a=b"),
	    400 },
	{ "9112 7, quoted", FIELD("Transfer-Encoding: \"chunked\""), 400 },
	{ "9112 7, no token", FIELD("Transfer-Encoding: gzip x, chunked"),
	    400 },
	{ "9112 7, chunked twice", FIELD("Transfer-Encoding: "
	    "chunked;a=b, chunked"), 400 },
	{ "9112 7, open quote", FIELD("Transfer-Encoding: "
	    "gzip;a=\"b, chunked"), 400 },
	{ "9112 6.1, and a length", FIELD("Transfer-Encoding: chunked\r\n"
	    "Content-Length: 5"), 400 },
	{ "9112 6.1, and a length", FIELD("Content-Length: 5\r\n"
	    "Transfer-Encoding: chunked"), 400 },
	{ "9112 6.1, in 1.0", OLD("Transfer-Encoding: chunked"), 400 },
	{ "9112 6.1, in 1.2", TEXT("POST /a HTTP/1.2\r\nHost: h\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n"), 400 },
	{ "9112 6.1, in 1.9", TEXT("POST /a HTTP/1.9\r\nHost: h\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n"), 400 },

	/* Expect. */
	{ "9110 10.1.1", FIELD("Expect: 200-ok"), 417 },
	{ "9110 10.1.1", FIELD("Expect: 100-continue, x"), 417 },
	{ "9110 10.1.1", FIELD("Expect: 100-continue=1"), 417 },
	{ "9110 10.1.1", FIELD("Expect: 100"), 417 },
	{ "9110 10.1.1, two lines", FIELD("Expect: 100-continue\r\n"
	    "Expect: y"), 417 },
	{ "9110 10.1.1, in 1.0", OLD("Expect: z"), 417 },
	{ "9110 10.1.1, a bad head is worse", FIELD("Expect: z\r\n"
	    "Content-Length: 1\r\nContent-Length: 1"), 400 },

	/* What is no HTTP at all is told at once, without any LF. */
	{ "TLS ClientHello", TEXT("\x16\x03\x01\x02"), 400 },
	{ "TLS, SSL 2", TEXT("\x80\x2e\x01\x03"), 400 },
	{ "NUL bytes", TEXT("\0\0"), 400 },
	{ "a colon in the method", TEXT("SSH:"), 400 },
	{ "a slash in the method", TEXT("GET/"), 400 },
	{ "a space first", TEXT(" "), 400 },
	{ "behind an empty line", TEXT("\r\n\x16\x03\x01"), 400 }
};

/* Bytes that follow a head must not matter to it. */
static const char behind[] = "\r\n\r\nGET / HTTP/9.9\r\n\0\n\x16\r\n";

static struct http_slice
slice(const char *p)
{
	struct http_slice s = { p, strlen(p) };

	return s;
}

static bool
same(struct http_slice s, const char *text)
{
	return s.len == strlen(text) &&
	    (s.len == 0 || memcmp(s.p, text, s.len) == 0);
}

/* Parse the first len bytes, which end where memory ends. */
static int
look(const char *text, size_t len, struct http_scan *scan,
    const struct http_limits *limits, struct http_head *head)
{
	memset(head, 0xa5, sizeof(*head));
	return http_parse_head(unit_fenced(text, len), len, scan, limits,
	    head);
}

/* Nothing but status and, perhaps, method. */
static bool
is_blank(const struct http_head *h)
{
	return h->target.p == NULL && h->target.len == 0 &&
	    h->path.p == NULL && h->path.len == 0 && h->fields.p == NULL &&
	    h->fields.len == 0 && h->minor == 0 && !h->asterisk &&
	    !h->no_host && !h->expect;
}

/* Length of the method of text, if the space behind it is there. */
static size_t
method_len(const char *text, size_t len)
{
	size_t start = 0, i;

	while (start + 1 < len && memcmp(text + start, "\r\n", 2) == 0)
		start += 2;
	for (i = start; i < len; i++)
		if (text[i] == ' ')
			return i - start;
	return 0;
}

static void
partial(const char *text, size_t len, int n, const struct http_head *head)
{
	MUST_MSG(n == HTTP_PARTIAL, "%d with %zu bytes of \"%.*s\"", n,
	    len, (int)len, text);
	MUST(head->status == 0);
	MUST(is_blank(head));
	MUST(head->method.len == method_len(text, len));
}

/* Where a head is cut in two: everywhere, in a large one here and there. */
static bool
is_cut(size_t at, size_t len)
{
	return len < 1000 || at % 101 == 0 || at + 10 > len;
}

/* A head that is good: whole, in prefixes, byte by byte, in two pieces. */
static void
check_good(const char *text, size_t len, const struct http_limits *limits)
{
	struct http_scan scan, carried;
	struct http_head head;
	char more[UNIT_FENCE / 8];
	size_t i;

	memset(&carried, 0, sizeof(carried));
	for (i = 0; i < len; i++) {
		if (is_cut(i, len)) {
			memset(&scan, 0, sizeof(scan));
			partial(text, i, look(text, i, &scan, limits, &head),
			    &head);
			MUST_MSG(look(text, len, &scan, limits, &head) ==
			    (int)len, "refused: \"%.*s\"", (int)len, text);
		}
		partial(text, i, look(text, i, &carried, limits, &head),
		    &head);
		MUST(carried.at == i);
	}
	ck_assert_int_eq(look(text, len, &carried, limits, &head), (int)len);

	MUST(len + sizeof(behind) < sizeof(more));
	memcpy(more, text, len);
	memcpy(more + len, behind, sizeof(behind));
	memset(&scan, 0, sizeof(scan));
	ck_assert_int_eq(look(more, len + sizeof(behind), &scan, limits,
	    &head), (int)len);
	memset(&scan, 0, sizeof(scan));
	ck_assert_int_eq(look(text, len, &scan, limits, &head), (int)len);
}

/* The same status in whatever pieces it comes, and at no time another. */
static void
check_bad(const char *text, size_t len, int status,
    const struct http_limits *limits)
{
	struct http_scan scan, carried;
	struct http_head head;
	char more[UNIT_FENCE / 8];
	size_t i;
	int n, m = HTTP_PARTIAL;

	memset(&carried, 0, sizeof(carried));
	for (i = 0; i <= len; i++) {
		if (m == HTTP_PARTIAL) {
			m = look(text, i, &carried, limits, &head);
			MUST(is_blank(&head));
			MUST_MSG(head.status ==
			    (m == HTTP_BAD ? status : 0),
			    "%d, not %d, byte by byte at %zu of \"%.*s\"",
			    head.status, status, i, (int)len, text);
		}
		if (!is_cut(i, len))
			continue;
		memset(&scan, 0, sizeof(scan));
		n = look(text, i, &scan, limits, &head);
		MUST(is_blank(&head));
		if (n == HTTP_PARTIAL) {
			MUST(i < len);
			n = look(text, len, &scan, limits, &head);
		}
		MUST_MSG(n == HTTP_BAD, "%d when cut at %zu of \"%.*s\"",
		    n, i, (int)len, text);
		MUST_MSG(head.status == status,
		    "%d, not %d, when cut at %zu of \"%.*s\"", head.status,
		    status, i, (int)len, text);
	}
	ck_assert_int_eq(m, HTTP_BAD);

	MUST(len + sizeof(behind) < sizeof(more));
	memcpy(more, text, len);
	memcpy(more + len, behind, sizeof(behind));
	memset(&scan, 0, sizeof(scan));
	n = look(more, len + sizeof(behind), &scan, limits, &head);
	ck_assert_int_eq(n, HTTP_BAD);
	MUST(is_blank(&head));
	MUST_MSG(head.status == status, "%d, not %d, for \"%.*s\"",
	    head.status, status, (int)len, text);
}

TEST(good)
{
	const struct good *g = &goods[_i];
	struct http_scan scan = { 0, 0, 0 };
	struct http_head head;
	struct http_slice fields, name, value;
	char list[256] = "";
	size_t n;

	check_good(g->head, g->len, &usual);
	ck_assert_int_eq(look(g->head, g->len, &scan, &usual, &head),
	    (int)g->len);
	ck_assert_msg(same(head.method, g->method), "%s", g->ref);
	ck_assert_msg(same(head.target, g->target), "%s", g->ref);
	ck_assert_msg(same(head.path, g->path), "%s", g->ref);
	ck_assert_msg(head.minor == g->minor, "%s", g->ref);
	ck_assert_msg(head.asterisk == g->asterisk, "%s", g->ref);
	ck_assert_msg(head.expect == g->expect, "%s", g->ref);
	ck_assert_msg(!head.no_host, "%s", g->ref);
	ck_assert_int_eq(head.status, 0);

	fields = head.fields;
	while (http_parse_field(&fields, &name, &value)) {
		n = strlen(list);
		snprintf(list + n, sizeof(list) - n, "%.*s=%.*s|",
		    (int)name.len, name.p, (int)value.len, value.p);
	}
	ck_assert_str_eq(list, g->fields);
}

/* Good if there is no authority to name (RFC 9112 3.2): the caller knows. */
TEST(empty_host)
{
	static const char *const heads[] = {
		"GET /a HTTP/1.1\r\nHost:\r\n\r\n",
		"GET /a HTTP/1.1\r\nA: b\r\nhost: \t\r\nC: d\r\n\r\n",
		"GET /a HTTP/1.0\r\nHost: \r\n\r\n"
	};
	struct http_scan scan;
	struct http_head head;
	size_t i, n;

	for (i = 0; i < (size_t)COUNT(heads); i++) {
		n = strlen(heads[i]);
		check_good(heads[i], n, &usual);
		memset(&scan, 0, sizeof(scan));
		ck_assert_int_eq(look(heads[i], n, &scan, &usual, &head),
		    (int)n);
		ck_assert(head.no_host);
	}
}

TEST(bad)
{
	const struct bad *b = &bads[_i];

	check_bad(b->head, b->len, b->status, &usual);
}

/* Append a line that is size bytes long without its CRLF. */
static size_t
add_line(char *dst, const char *start, const char *end, size_t size)
{
	size_t n = strlen(start), m = strlen(end);

	ck_assert(n + m <= size);
	memcpy(dst, start, n);
	memset(dst + n, 'a', size - n - m);
	memcpy(dst + size - m, end, m);
	memcpy(dst + size, "\r\n", 2);
	return size + 2;
}

/* A head with a request line of size bytes. */
static size_t
with_line(char *dst, size_t size)
{
	size_t n = add_line(dst, "GET /", " HTTP/1.0", size);

	memcpy(dst + n, "\r\n", 2);
	return n + 2;
}

/* A head with a field line of size bytes. */
static size_t
with_field(char *dst, size_t size)
{
	static const char line[] = "GET / HTTP/1.0\r\n";
	size_t n = sizeof(line) - 1;

	memcpy(dst, line, n);
	n += add_line(dst + n, "A:", "", size);
	memcpy(dst + n, "\r\n", 2);
	return n + 2;
}

/* A head with that many field lines. */
static size_t
with_fields(char *dst, size_t count)
{
	size_t n = add_line(dst, "GET /", " HTTP/1.0", 16);

	while (count-- > 0)
		n += add_line(dst + n, "A:", "", 3);
	memcpy(dst + n, "\r\n", 2);
	return n + 2;
}

/* A head of size bytes in all, from 50 on. */
static size_t
of_size(char *dst, size_t size, size_t longest)
{
	size_t n = add_line(dst, "GET /", " HTTP/1.0", 16), left, line;

	while ((left = size - n - 2) > 0) {
		line = left - 2;
		if (line > longest)
			line = longest - 8;
		n += add_line(dst + n, "A:", "", line);
	}
	memcpy(dst + n, "\r\n", 2);
	return n + 2;
}

TEST(limits_exact)
{
	static char text[UNIT_FENCE / 8];
	const struct http_limits *l = _i == 0 ? &tight : &usual;
	size_t n, d;

	for (d = 0; d < 2; d++) {
		n = with_line(text, l->line - d);
		check_good(text, n, l);
		n = with_field(text, l->field - d);
		check_good(text, n, l);
		n = with_fields(text, l->fields - d);
		check_good(text, n, l);
		n = of_size(text, l->head - d, l->field);
		ck_assert_uint_eq(n, l->head - d);
		check_good(text, n, l);
	}
	n = with_line(text, l->line + 1);
	check_bad(text, n, 414, l);
	n = with_field(text, l->field + 1);
	check_bad(text, n, 431, l);
	n = with_fields(text, l->fields + 1);
	check_bad(text, n, 431, l);
	n = of_size(text, l->head + 1, l->field);
	check_bad(text, n, 431, l);
}

/* What is too long is told before its LF comes. */
TEST(limits_at_once)
{
	static char text[UNIT_FENCE / 8];
	const struct http_limits *l = _i == 0 ? &tight : &usual;
	struct http_scan scan = { 0, 0, 0 };
	struct http_head head;
	size_t n, first;

	with_line(text, l->line + 1);
	partial(text, l->line, look(text, l->line, &scan, l, &head), &head);
	check_bad(text, l->line + 1, 414, l);

	/* The CR of a line that is just short enough. */
	with_line(text, l->line);
	memset(&scan, 0, sizeof(scan));
	partial(text, l->line + 1, look(text, l->line + 1, &scan, l, &head),
	    &head);

	/* No method has an end, not even a space. */
	memset(text, 'A', l->line + 1);
	check_bad(text, l->line + 1, 414, l);

	n = with_field(text, l->field + 1) - 4;
	first = n - l->field - 1;
	memset(&scan, 0, sizeof(scan));
	partial(text, n - 1, look(text, n - 1, &scan, l, &head), &head);
	ck_assert_uint_eq(scan.line, first);
	check_bad(text, n, 431, l);

	/* The whole head, which has no end yet. */
	n = of_size(text, l->head + 2, l->field) - 2;
	ck_assert_uint_eq(n, l->head);
	memset(&scan, 0, sizeof(scan));
	partial(text, n - 1, look(text, n - 1, &scan, l, &head), &head);
	check_bad(text, n, 431, l);
}

/*
 * Two faults in one line: the one that was there first is told, whether its
 * bytes come at once or one by one.
 */
TEST(limits_mixed)
{
	static const struct http_limits small = { 20, 20, 3, 1000 };
	static const struct http_limits line_most = { 500, 20, 3, 64 };
	char text[256];
	size_t n;

	/* Too long, and ended by a bare LF. */
	n = with_line(text, 30) - 4;
	text[n++] = '\n';
	check_bad(text, n, 414, &small);
	n = with_field(text, 30) - 4;
	text[n++] = '\n';
	check_bad(text, n, 431, &small);

	/* Just short enough, and ended by a bare LF. */
	n = with_line(text, 20) - 4;
	text[n++] = '\n';
	check_bad(text, n, 400, &small);

	/* Too long, and no method at all, early and late. */
	n = with_line(text, 30);
	text[2] = ':';
	check_bad(text, n, 400, &small);
	n = with_line(text, 30);
	memset(text, 'A', 26);
	text[25] = ':';
	check_bad(text, n, 414, &small);
	text[20] = ':';
	check_bad(text, n, 400, &small);

	/* A field line too many that is no field line. */
	n = with_fields(text, 4);
	text[n - 6] = ' ';
	check_bad(text, n, 431, &small);

	/* The head's limit is reached within the request line. */
	n = with_line(text, 100);
	check_bad(text, n, 414, &line_most);
	memset(text, '\r', 1);
	memset(text + 1, '\n', 1);
	memset(text + 2, 'A', 100);
	check_bad(text, 100, 414, &line_most);
}

/* A fault is told when its line is whole, not when the head is. */
TEST(first_fault)
{
	check_bad(TEXT("GET a HTTP/1.1\r\n"), 400, &usual);
	check_bad(TEXT("GET /a HTTP/2.0\r\n"), 505, &usual);
	check_bad(TEXT("CONNECT a:1 HTTP/1.1\r\n"), 405, &usual);
	check_bad(TEXT("GET / HTTP/1.1\r\nA\r\n"), 400, &usual);
	check_bad(TEXT("GET / HTTP/1.1\r\nHost: h/\r\n"), 400, &usual);
	check_bad(TEXT("GET / HTTP/1.1\r\nContent-Length: -\r\n"), 400,
	    &usual);
	check_bad(TEXT("GET / HTTP/9.1\r\nA\r\n"), 505, &usual);
	/* What all lines decide together waits for the last. */
	check_bad(TEXT("GET / HTTP/1.1\r\nExpect: x\r\nA\r\n"), 400, &usual);
}

/* So that the answer to a HEAD has no body, whatever else is wrong. */
TEST(method_of_bad)
{
	static const struct {
		const char *text;
		const char *method;
	} rows[] = {
		{ "HEAD / HTTP/1.1\r\n\r\n", "HEAD" },
		{ "HEAD / HTTP/1.1\r\nHost: h\r\nA b\r\n", "HEAD" },
		{ "\r\n\r\nHEAD / HTTP/7.0\r\n", "HEAD" },
		{ "HEAD  /\r\n", "HEAD" },
		{ "HEAD\t/\r\n", "" },
		{ "HE\x01" "AD / HTTP/1.1\r\n", "" },
		{ "HEAD\r\n", "" },
		{ " HEAD / HTTP/1.1\r\n", "" }
	};
	struct http_scan scan;
	struct http_head head;
	size_t i, n, cut;

	for (i = 0; i < (size_t)COUNT(rows); i++) {
		n = strlen(rows[i].text);
		for (cut = 0; cut < n; cut++) {
			memset(&scan, 0, sizeof(scan));
			look(rows[i].text, cut, &scan, &usual, &head);
			ck_assert_int_eq(look(rows[i].text, n, &scan, &usual,
			    &head), HTTP_BAD);
			ck_assert_msg(same(head.method, rows[i].method),
			    "\"%s\"", rows[i].text);
		}
	}
}

static bool
is_tchar(int c)
{
	return c != 0 && c < 0x80 && strchr("!#$%&'*+-.^_`|~0123456789"
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", c) != NULL;
}

static const struct {
	const char *head;
	size_t at;
} places[] = {
	{ "GxT /a HTTP/1.1\r\nHost: h\r\n\r\n", 1 },
	{ "GET /x HTTP/1.1\r\nHost: h\r\n\r\n", 5 },
	{ "GET /a?x HTTP/1.1\r\nHost: h\r\n\r\n", 7 },
	{ "GET /a HTTP/1.1\r\nHost: h\r\nAxB: c\r\n\r\n", 27 },
	{ "GET /a HTTP/1.1\r\nHost: h\r\nA: bxc\r\n\r\n", 30 },
	{ "GET /a HTTP/1.1\r\nHost: axb\r\n\r\n", 24 }
};

/* Every byte in every place. */
TEST(every_byte)
{
	char text[64];
	size_t n = strlen(places[_i].head);
	bool fine;
	int c;

	for (c = 0; c < 256; c++) {
		memcpy(text, places[_i].head, n);
		text[n] = '\0';
		ck_assert(text[places[_i].at] == 'x');
		text[places[_i].at] = (char)c;
		switch (_i) {
		case 0:
			fine = is_tchar(c);
			break;
		case 1:
		case 2:
			fine = c > 0x20 && c != 0x7f && c != '#';
			break;
		case 3:
			fine = is_tchar(c) || c == ':';
			break;
		case 4:
			fine = (c >= 0x20 && c != 0x7f) || c == '\t';
			break;
		default:
			fine = is_tchar(c) &&
			    strchr("!#$%&'*+^`|~", c) == NULL;
		}
		if (fine)
			check_good(text, n, &usual);
		else
			check_bad(text, n, 400, &usual);
	}
}

/*
 * A head that comes byte by byte is not read again and again: lines that are
 * done with are spoilt, which nothing notices until the last byte comes.
 */
TEST(no_rescan)
{
	static char text[16384], good_text[16384];
	struct http_scan scan = { 0, 0, 0 };
	struct http_head head;
	size_t i, n, line = 0, lines = 0, first = 0;

	n = add_line(good_text, "GET /", " HTTP/1.0", 500);
	first = n;
	for (i = 0; i < 50; i++)
		n += add_line(good_text + n, "Name: ", "", 20 + i);
	while (n < sizeof(good_text) - 2) {
		i = sizeof(good_text) - 2 - n;
		n += add_line(good_text + n, "B: ", "",
		    i > 8000 ? 6000 : i - 2);
	}
	memcpy(good_text + n, "\r\n", 2);
	n += 2;
	ck_assert_uint_eq(n, sizeof(text));

	memcpy(text, good_text, n);
	for (i = 1; i < n; i++) {
		MUST(http_parse_head(text, i, &scan, &usual, &head) ==
		    HTTP_PARTIAL);
		if (good_text[i - 1] == '\n') {
			line = i;
			lines++;
			if (i > first)
				memset(text + first, '\n', i - first);
		}
		MUST(scan.at == i);
		MUST(scan.line == line);
		MUST(scan.lines == lines);
	}
	memcpy(text, good_text, n);
	ck_assert_int_eq(http_parse_head(text, n, &scan, &usual, &head),
	    (int)n);
	ck_assert_uint_eq(head.fields.len, n - 2 - first);
}

/* The largest head there can be: positions in it are 16 bits wide. */
TEST(largest)
{
	static const struct http_limits most = { HTTP_HEAD_MAX, HTTP_HEAD_MAX,
	    32767, HTTP_HEAD_MAX };
	static char text[HTTP_HEAD_MAX + 4];
	struct http_scan scan;
	struct http_head head;
	size_t n, cut;

	n = of_size(text, HTTP_HEAD_MAX, 8000);
	ck_assert_uint_eq(n, HTTP_HEAD_MAX);
	for (cut = 0; cut < n; cut += 997) {
		memset(&scan, 0, sizeof(scan));
		partial(text, cut, look(text, cut, &scan, &most, &head),
		    &head);
		ck_assert_int_eq(look(text, n, &scan, &most, &head), (int)n);
	}
	n = of_size(text, HTTP_HEAD_MAX + 1, 8000);
	memset(&scan, 0, sizeof(scan));
	ck_assert_int_eq(look(text, n, &scan, &most, &head), HTTP_BAD);
	ck_assert_int_eq(head.status, 431);
	memset(text, 'A', sizeof(text));
	memset(&scan, 0, sizeof(scan));
	ck_assert_int_eq(look(text, sizeof(text), &scan, &most, &head),
	    HTTP_BAD);
	ck_assert_int_eq(head.status, 414);
}

TEST(fields_one_by_one)
{
	static const char text[] = "GET / HTTP/1.0\r\n"
	    "First: 1\r\nEmpty:\r\nBlank: \t \r\nLast:\tx : y \t\r\n\r\n";
	static const char *const expected[][2] = {
		{ "First", "1" }, { "Empty", "" }, { "Blank", "" },
		{ "Last", "x : y" }
	};
	struct http_scan scan = { 0, 0, 0 };
	struct http_head head;
	struct http_slice fields, name, value;
	int i;

	ck_assert_int_eq(look(text, sizeof(text) - 1, &scan, &usual, &head),
	    (int)sizeof(text) - 1);
	fields = head.fields;
	for (i = 0; i < COUNT(expected); i++) {
		ck_assert(http_parse_field(&fields, &name, &value));
		ck_assert(same(name, expected[i][0]));
		ck_assert(same(value, expected[i][1]));
	}
	ck_assert(!http_parse_field(&fields, &name, &value));
	ck_assert(!http_parse_field(&fields, &name, &value));
	ck_assert_uint_eq(fields.len, 0);
}

TEST(words)
{
	struct http_slice cut = { "hostess", 4 }, none = { NULL, 0 };
	int c;

	ck_assert(http_parse_is(slice("Host"), "hOST"));
	ck_assert(http_parse_is(cut, "host"));
	ck_assert(!http_parse_is(cut, "hostess"));
	ck_assert(!http_parse_is(cut, "hos"));
	ck_assert(!http_parse_is(slice("h-st"), "host"));
	ck_assert(!http_parse_is(slice(""), "host"));

	ck_assert(!http_parse_is_token(slice("")));
	ck_assert(http_parse_is_token(slice("a-b.c")));
	ck_assert(!http_parse_is_token(slice("a b")));
	ck_assert(!http_parse_is_token(slice("a:")));
	ck_assert(http_parse_is_value(slice("")));
	ck_assert(http_parse_is_value(slice("a\tb \xff\"")));
	ck_assert(!http_parse_is_value(slice("a\r\nb")));
	ck_assert(!http_parse_is_value(slice("\x7f")));
	ck_assert(!http_parse_is_token(none));
	for (c = 1; c < 256; c++) {
		char text[2] = { (char)c, '\0' };

		ck_assert(http_parse_is_token(slice(text)) == is_tchar(c));
		ck_assert(http_parse_is_value(slice(text)) ==
		    (c == '\t' || (c >= 0x20 && c != 0x7f)));
	}
}

static const struct test tests[] = {
	TIMES(good, COUNT(goods)),
	TIMES(bad, COUNT(bads)),
	ONCE(empty_host),
	TIMES(limits_exact, 2),
	TIMES(limits_at_once, 2),
	ONCE(limits_mixed),
	ONCE(first_fault),
	ONCE(method_of_bad),
	TIMES(every_byte, COUNT(places)),
	ONCE(no_rescan),
	ONCE(largest),
	ONCE(fields_one_by_one),
	ONCE(words)
};

int
main(int argc, char **argv)
{
	return runner_run(argc, argv, tests, COUNT(tests), NULL, NULL);
}
