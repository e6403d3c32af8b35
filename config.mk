# Every knob of the build.  All can be set on make's command line as well:
#	make CC=musl-gcc LDFLAGS=-static
#	make CC=aarch64-linux-gnu-gcc POLLER=poll

VERSION = 0.2.0

PREFIX = /usr/local
BINDIR = $(PREFIX)/bin
SBINDIR = $(PREFIX)/sbin
LIBDIR = $(PREFIX)/lib
# For the library that fdaccept preloads, which nobody links with.
PRELOADDIR = $(LIBDIR)/fdproxy
INCLUDEDIR = $(PREFIX)/include
MANDIR = $(PREFIX)/share/man
DESTDIR =

CC = cc
AR = ar
CPPFLAGS =
CFLAGS = -O2 -g
LDFLAGS =
LDLIBS =

# What makes a shared library of it, and what that needs: -ldl, with a glibc
# older than 2.34.  LDFLAGS, which may say -static, are not used for it: what
# of them is for a library as well, such as -Wl,-z,now, goes into SOFLAGS.
SOFLAGS = -shared
SOLIBS =

# For "make static": a small binary, without what only debuggers read.  What is
# gcc's alone is left out with a compiler that does not know it.
STATIC_CC = musl-gcc
STATIC_CFLAGS = -Os -DNDEBUG -ffunction-sections -fdata-sections \
	-fno-unwind-tables -fno-asynchronous-unwind-tables -fno-jump-tables
STATIC_LTO = -flto=auto -flto-partition=one
STATIC_LDFLAGS = -static -s -Wl,--gc-sections -Wl,-z,noseparate-code \
	-Wl,-z,norelro -Wl,--build-id=none

# platform (epoll on Linux, kqueue on the BSDs and macOS, else poll), or one of
# epoll, kqueue, poll
POLLER = platform

# For everything that is only built to be tested; empty to do without.  -O1: it
# compiles in half the time, and runs as fast.
SANITIZE = -O1 -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer

# The unit test framework, https://libcheck.github.io/check/
CHECK_CPPFLAGS =
CHECK_LDLIBS = -lcheck -lsubunit -lm -lrt -lpthread

# For each part of "make stress"
STRESS_SECONDS = 60

# For fuzzing
FUZZ_CC = clang
FUZZ_SANITIZE = -O1 -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all
FUZZ_SECONDS = 60
