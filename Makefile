# See LICENSE for copyright and license details.
.POSIX:
.SUFFIXES:
.SUFFIXES: .c .o

include config.mk

# Ours; CPPFLAGS, CFLAGS, LDFLAGS and LDLIBS belong to whoever calls make.
OWN_CPPFLAGS = -D_GNU_SOURCE -D_DARWIN_C_SOURCE -D_NETBSD_SOURCE \
	-DVERSION='"$(VERSION)"' -DPOLLER_USE_$(POLLER)
OWN_CFLAGS = -std=c11 -Wall -Wextra -Wpedantic -Wundef -Wshadow \
	-Wstrict-prototypes -Wmissing-prototypes

# Modules by level: a file may include and call only what stands above it here.
LEVEL0 = http_parse log stats clock sock
LEVEL1 = route poller_epoll poller_kqueue poller_poll fdpass flush
LEVEL2 = reply config
LEVEL3 = conn proc
LEVEL4 = fdproxy fdexec

HDR = clock.h config.h conn.h fdpass.h flush.h http_parse.h log.h poller.h \
	proc.h reply.h route.h sock.h stats.h
SRC = fdproxy.c clock.c config.c conn.c fdpass.c flush.c http_parse.c log.c \
	poller_epoll.c poller_kqueue.c poller_poll.c proc.c reply.c route.c \
	sock.c stats.c
OBJ = fdproxy.o clock.o config.o conn.o fdpass.o flush.o http_parse.o log.o \
	poller_epoll.o poller_kqueue.o poller_poll.o proc.o reply.o route.o \
	sock.o stats.o
EXEC_SRC = fdexec.c fdpass.c http_parse.c log.c sock.c
EXEC_OBJ = fdexec.o fdpass.o http_parse.o log.o sock.o

COMPILE = $(CC) $(OWN_CPPFLAGS) $(CPPFLAGS) $(OWN_CFLAGS) $(CFLAGS)

all: fdproxy fdexec

fdproxy: $(OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(OBJ) $(LDLIBS)

fdexec: $(EXEC_OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(EXEC_OBJ) $(LDLIBS)

.c.o:
	$(COMPILE) -c -o $@ $<

# Every object depends on every header and on the flags: a list by hand for
# each would be shorter in the running and wrong in the end.
$(OBJ) $(EXEC_OBJ): $(HDR) .flags

.flags: FORCE
	@echo '$(COMPILE)' >.flags.new; \
	if cmp -s .flags.new .flags; then rm .flags.new; \
	else mv .flags.new .flags; fi

FORCE:
