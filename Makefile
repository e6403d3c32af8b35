# See LICENSE for copyright and license details.
.POSIX:
.SUFFIXES:
.SUFFIXES: .c .o

include config.mk

# Ours; CPPFLAGS, CFLAGS, LDFLAGS and LDLIBS belong to whoever calls make.
OWN_CPPFLAGS = -I. -D_GNU_SOURCE -D_DARWIN_C_SOURCE -D_NETBSD_SOURCE \
	-D_FILE_OFFSET_BITS=64 -DVERSION='"$(VERSION)"' \
	-DLIBDIR='"$(LIBDIR)"' -DPOLLER_USE_$(POLLER)
OWN_CFLAGS = -std=c11 -Wall -Wextra -Wpedantic -Wundef -Wshadow \
	-Wstrict-prototypes -Wmissing-prototypes

# In this order: a module includes and calls only what stands before it.
ORDER = http_parse text stats clock log sock route health poller_epoll \
	poller_kqueue poller_poll fdpass flush config_read config_route \
	config request status proc super slot reply backend event conn \
	listen child renew loop fdproxy companions/fdexec companions/fdfault \
	companions/fdaccept_head companions/fdaccept_port \
	companions/fdaccept_run

HDR = backend.h child.h clock.h config.h config_read.h config_route.h conn.h \
	companions/fdaccept.h event.h fdpass.h flush.h health.h http_parse.h \
	listen.h log.h loop.h poller.h proc.h renew.h reply.h request.h route.h slot.h \
	sock.h stats.h status.h super.h text.h
SRC = fdproxy.c backend.c child.c clock.c config.c config_read.c \
	config_route.c conn.c event.c fdpass.c flush.c health.c http_parse.c \
	listen.c log.c loop.c poller_epoll.c poller_kqueue.c poller_poll.c \
	proc.c renew.c reply.c request.c route.c slot.c sock.c stats.c status.c super.c \
	text.c
OBJ = $(SRC:.c=.o)
EXEC_SRC = companions/fdexec.c clock.c fdpass.c http_parse.c log.c proc.c \
	sock.c text.c
EXEC_OBJ = companions/fdexec.o clock.o fdpass.o http_parse.o log.o proc.o \
	sock.o text.o
FAULT_SRC = companions/fdfault.c clock.c fdpass.c log.c proc.c sock.c text.c
FAULT_OBJ = companions/fdfault.o clock.o fdpass.o log.o proc.o sock.o text.o
RUN_SRC = companions/fdaccept_run.c clock.c log.c proc.c sock.c super.c text.c
RUN_OBJ = companions/fdaccept_run.o clock.o log.o proc.o sock.o super.o text.o
PRELOAD_SRC = companions/fdaccept.c companions/fdaccept_head.c \
	companions/fdaccept_port.c fdpass.c sock.c text.c
PRELOAD_OBJ = companions/fdaccept_head.o companions/fdaccept_port.o

COMPILE = $(CC) $(OWN_CPPFLAGS) $(CPPFLAGS) $(OWN_CFLAGS) $(CFLAGS)

all: fdproxy fdexec fdfault fdaccept libfdaccept.so

fdproxy: $(OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(OBJ) $(LDLIBS)

fdexec: $(EXEC_OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(EXEC_OBJ) $(LDLIBS)

fdfault: $(FAULT_OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(FAULT_OBJ) $(LDLIBS)

fdaccept: $(RUN_OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(RUN_OBJ) $(LDLIBS)

# Not LDFLAGS, which may say -static; not our objects, which may not be PIC.
LINK_SO = $(COMPILE) -fPIC -fvisibility=hidden $(SOFLAGS) -o $@ $(PRELOAD_SRC) \
	$(SOLIBS)

libfdaccept.so: $(PRELOAD_SRC) $(HDR) .flags
	$(LINK_SO)

.c.o:
	$(COMPILE) -c -o $@ $<

# Every object depends on every header and on the flags, the linker's too: a
# list by hand for each would be shorter in the running and wrong in the end.
$(OBJ) $(EXEC_OBJ) $(FAULT_OBJ) $(RUN_OBJ) $(PRELOAD_OBJ): $(HDR) .flags

.flags: FORCE
	@echo '$(COMPILE) $(LDFLAGS) $(LDLIBS) $(SOFLAGS) $(SOLIBS)' \
		'$(SANITIZE)' >.flags.new; \
	if cmp -s .flags.new .flags; then rm .flags.new; \
	else mv .flags.new .flags; fi

FORCE:

# ---- what a newcomer types ----

demo: all
	sh examples/demo.sh

# Beside the old file, then in its place: one that runs, or is mapped into a
# program that does, stays as it is.
install: all
	mkdir -p "$(DESTDIR)$(SBINDIR)" "$(DESTDIR)$(BINDIR)" \
		"$(DESTDIR)$(LIBDIR)" "$(DESTDIR)$(MANDIR)/man1" \
		"$(DESTDIR)$(MANDIR)/man5" "$(DESTDIR)$(MANDIR)/man8"
	put() { \
		mode=$$1 dir="$(DESTDIR)$$2"; \
		shift 2; \
		for from; do \
			to=$$dir/$${from##*/}; \
			cp "$$from" "$$to.new" && chmod $$mode "$$to.new" && \
				mv -f "$$to.new" "$$to" || exit 1; \
		done; \
	}; \
	put 755 "$(SBINDIR)" fdproxy; \
	put 755 "$(BINDIR)" fdexec fdfault fdaccept; \
	put 644 "$(LIBDIR)" libfdaccept.so; \
	put 644 "$(MANDIR)/man1" man/fdexec.1 man/fdfault.1 \
		man/fdaccept.1; \
	put 644 "$(MANDIR)/man5" man/fdproxy.conf.5; \
	put 644 "$(MANDIR)/man8" man/fdproxy.8

uninstall:
	rm -f "$(DESTDIR)$(SBINDIR)/fdproxy" "$(DESTDIR)$(BINDIR)/fdexec" \
		"$(DESTDIR)$(BINDIR)/fdfault" "$(DESTDIR)$(BINDIR)/fdaccept" \
		"$(DESTDIR)$(LIBDIR)/libfdaccept.so" \
		"$(DESTDIR)$(MANDIR)/man1/fdexec.1" \
		"$(DESTDIR)$(MANDIR)/man1/fdfault.1" \
		"$(DESTDIR)$(MANDIR)/man1/fdaccept.1" \
		"$(DESTDIR)$(MANDIR)/man5/fdproxy.conf.5" \
		"$(DESTDIR)$(MANDIR)/man8/fdproxy.8"

clean:
	rm -rf build
	rm -f *.o companions/*.o .flags .flags.new
	rm -f fdproxy fdexec fdfault fdaccept libfdaccept.so

# ---- tests ----

# What is built to be tested: with sanitizers; the same with poll; sending byte
# by byte; without any allocation once it serves.
BUILDS = build/fdproxy-test build/fdproxy-test-poll build/fdproxy-torture \
	build/fdproxy-noalloc build/fdexec-test build/fdfault-test \
	build/fdaccept-test build/libfdaccept.so build/accepter \
	build/accepter-test
UNITS = build/unit_http_parse build/unit_route build/unit_clock \
	build/unit_log build/unit_sock build/unit_flush build/unit_fdpass \
	build/unit_config build/unit_status build/unit_text \
	build/unit_conn build/unit_listen build/unit_poller \
	build/unit_poller_poll \
	build/unit_fdaccept
REPLAYS = build/replay_http_parse build/replay_route build/replay_config \
	build/replay_fdaccept_head
E2E = build/e2e_pass build/e2e_reply build/e2e_backend build/e2e_limits \
	build/e2e_process build/e2e_service build/e2e_reload build/e2e_log \
	build/e2e_fdexec build/e2e_fdaccept \
	build/e2e_child build/e2e_fault build/e2e_harness

TEST_CC = $(COMPILE) -Icompanions -Itests $(CHECK_CPPFLAGS) $(SANITIZE)
LINK = $(LDFLAGS) $(LDLIBS)
LINK_TEST = $(LDFLAGS) $(CHECK_LDLIBS) $(LDLIBS)
TEST_HDR = $(HDR) tests/world.h tests/unit.h .flags

# An allocation of any kind while it serves ends this build.
WRAP = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=poller_wait

check: $(BUILDS) $(UNITS) $(REPLAYS) $(E2E)
	sh tests/run.sh

build/.made:
	mkdir -p build && : >$@

build/fdproxy-test: build/.made $(SRC) $(HDR) .flags
	$(COMPILE) $(SANITIZE) -o $@ $(SRC) $(LINK)

build/fdproxy-test-poll: build/.made $(SRC) $(HDR) .flags
	$(COMPILE) -UPOLLER_USE_$(POLLER) -DPOLLER_USE_poll $(SANITIZE) \
		-o $@ $(SRC) $(LINK)

build/fdproxy-torture: build/.made $(SRC) $(HDR) .flags
	$(COMPILE) -DTORTURE $(SANITIZE) -o $@ $(SRC) $(LINK)

build/fdproxy-noalloc: build/.made tests/noalloc.c $(SRC) $(HDR) .flags
	$(COMPILE) -o $@ tests/noalloc.c $(SRC) $(WRAP) $(LINK)

build/fdexec-test: build/.made $(EXEC_SRC) $(HDR) .flags
	$(COMPILE) $(SANITIZE) -o $@ $(EXEC_SRC) $(LINK)

build/fdfault-test: build/.made $(FAULT_SRC) $(HDR) .flags
	$(COMPILE) $(SANITIZE) -o $@ $(FAULT_SRC) $(LINK)

# The library beside it is the only one that this launcher finds.
build/fdaccept-test: build/.made $(RUN_SRC) $(HDR) .flags
	$(COMPILE) -ULIBDIR -DLIBDIR='"/nonexistent"' $(SANITIZE) -o $@ \
		$(RUN_SRC) $(LINK)

build/libfdaccept.so: build/.made $(PRELOAD_SRC) $(HDR) .flags
	$(LINK_SO)

# A server to preload it into, and the same with the library linked to it: a
# sanitizer would have to be loaded first.
build/accepter: build/.made tests/accepter.c .flags
	$(COMPILE) -o $@ tests/accepter.c $(LINK)

build/accepter-test: build/.made tests/accepter.c $(PRELOAD_SRC) $(HDR) .flags
	$(COMPILE) $(SANITIZE) -o $@ tests/accepter.c $(PRELOAD_SRC) $(LINK)

# Each links its module and what lies below it, nothing else.
U1 = tests/unit_http_parse.c http_parse.c
build/unit_http_parse: build/.made $(U1) $(TEST_HDR)
	$(TEST_CC) -o $@ $(U1) $(LINK_TEST)

U2 = tests/unit_route.c route.c
build/unit_route: build/.made $(U2) $(TEST_HDR)
	$(TEST_CC) -o $@ $(U2) $(LINK_TEST)

U3 = tests/unit_clock.c clock.c text.c
build/unit_clock: build/.made $(U3) $(TEST_HDR)
	$(TEST_CC) -o $@ $(U3) $(LINK_TEST)

U4 = tests/unit_log.c log.c clock.c text.c
build/unit_log: build/.made $(U4) $(TEST_HDR)
	$(TEST_CC) -o $@ $(U4) $(LINK_TEST)

U5 = tests/unit_flush.c flush.c clock.c sock.c text.c
build/unit_flush: build/.made $(U5) $(TEST_HDR)
	$(TEST_CC) -o $@ $(U5) $(LINK_TEST)

U6 = tests/unit_fdpass.c fdpass.c sock.c text.c
build/unit_fdpass: build/.made $(U6) $(TEST_HDR)
	$(TEST_CC) -o $@ $(U6) $(LINK_TEST)

CONFIG = config.c config_read.c config_route.c fdpass.c flush.c \
	route.c sock.c clock.c log.c http_parse.c text.c
U7 = tests/unit_config.c $(CONFIG)
build/unit_config: build/.made $(U7) $(TEST_HDR)
	$(TEST_CC) -o $@ $(U7) $(LINK_TEST)

U8 = tests/unit_sock.c sock.c text.c
build/unit_sock: build/.made $(U8) $(TEST_HDR)
	$(TEST_CC) -o $@ $(U8) $(LINK_TEST)

U9 = tests/unit_status.c status.c stats.c reply.c $(CONFIG) poller_epoll.c \
	poller_kqueue.c poller_poll.c
build/unit_status: build/.made $(U9) $(TEST_HDR)
	$(TEST_CC) -o $@ $(U9) $(LINK_TEST)

U10 = tests/unit_text.c text.c
build/unit_text: build/.made $(U10) $(TEST_HDR)
	$(TEST_CC) -o $@ $(U10) $(LINK_TEST)

U12 = tests/unit_conn.c conn.c request.c slot.c backend.c event.c status.c stats.c \
	reply.c proc.c $(CONFIG) poller_epoll.c poller_kqueue.c poller_poll.c
build/unit_conn: build/.made $(U12) $(TEST_HDR)
	$(TEST_CC) -o $@ $(U12) $(LINK_TEST)

U14 = tests/unit_listen.c listen.c proc.c $(CONFIG)
build/unit_listen: build/.made $(U14) $(TEST_HDR)
	$(TEST_CC) -o $@ $(U14) $(LINK_TEST)

# The contract of a poller, for the one that is configured, and for poll.
U13 = tests/unit_poller.c poller_epoll.c poller_kqueue.c poller_poll.c
build/unit_poller: build/.made $(U13) $(TEST_HDR)
	$(TEST_CC) -o $@ $(U13) $(LINK_TEST)

build/unit_poller_poll: build/.made $(U13) $(TEST_HDR)
	$(TEST_CC) -UPOLLER_USE_$(POLLER) -DPOLLER_USE_poll -o $@ $(U13) \
		$(LINK_TEST)

# The library is in it as it would be in a server: its read(2) is ours.
U11 = tests/unit_fdaccept.c $(PRELOAD_SRC)
build/unit_fdaccept: build/.made $(U11) tests/edited.h $(TEST_HDR)
	$(TEST_CC) -o $@ $(U11) $(LINK_TEST)

# The fuzzers' seeds, with any compiler.
R1 = tests/fuzz_main.c tests/fuzz_http_parse.c http_parse.c
build/replay_http_parse: build/.made $(R1) tests/fuzz.h $(HDR) .flags
	$(TEST_CC) -o $@ $(R1) $(LINK)

R2 = tests/fuzz_main.c tests/fuzz_route.c route.c
build/replay_route: build/.made $(R2) tests/fuzz.h $(HDR) .flags
	$(TEST_CC) -o $@ $(R2) $(LINK)

R3 = tests/fuzz_main.c tests/fuzz_config.c $(CONFIG)
build/replay_config: build/.made $(R3) tests/fuzz.h $(HDR) .flags
	$(TEST_CC) -o $@ $(R3) $(LINK)

R4 = tests/fuzz_main.c tests/fuzz_fdaccept_head.c \
	companions/fdaccept_head.c
build/replay_fdaccept_head: build/.made $(R4) tests/edited.h tests/fuzz.h \
	$(HDR) .flags
	$(TEST_CC) -o $@ $(R4) $(LINK)

# End to end: these link nothing of fdproxy.
E_CC = $(TEST_CC) -o $@
build/e2e_pass: build/.made tests/e2e_pass.c tests/world.c $(TEST_HDR)
	$(E_CC) tests/e2e_pass.c tests/world.c $(LINK_TEST)

build/e2e_reply: build/.made tests/e2e_reply.c tests/world.c $(TEST_HDR)
	$(E_CC) tests/e2e_reply.c tests/world.c $(LINK_TEST)

build/e2e_backend: build/.made tests/e2e_backend.c tests/world.c $(TEST_HDR)
	$(E_CC) tests/e2e_backend.c tests/world.c $(LINK_TEST)

build/e2e_limits: build/.made tests/e2e_limits.c tests/world.c $(TEST_HDR)
	$(E_CC) tests/e2e_limits.c tests/world.c $(LINK_TEST)

build/e2e_process: build/.made tests/e2e_process.c tests/world.c $(TEST_HDR)
	$(E_CC) tests/e2e_process.c tests/world.c $(LINK_TEST)

build/e2e_service: build/.made tests/e2e_service.c tests/world.c $(TEST_HDR)
	$(E_CC) tests/e2e_service.c tests/world.c $(LINK_TEST)

build/e2e_reload: build/.made tests/e2e_reload.c tests/world.c $(TEST_HDR)
	$(E_CC) tests/e2e_reload.c tests/world.c $(LINK_TEST)

build/e2e_log: build/.made tests/e2e_log.c tests/world.c $(TEST_HDR)
	$(E_CC) tests/e2e_log.c tests/world.c $(LINK_TEST)

build/e2e_child: build/.made tests/e2e_child.c tests/world.c $(TEST_HDR)
	$(E_CC) tests/e2e_child.c tests/world.c $(LINK_TEST)

build/e2e_fault: build/.made tests/e2e_fault.c tests/world.c $(TEST_HDR)
	$(E_CC) tests/e2e_fault.c tests/world.c $(LINK_TEST)

build/e2e_harness: build/.made tests/e2e_harness.c tests/world.c $(TEST_HDR)
	$(E_CC) tests/e2e_harness.c tests/world.c $(LINK_TEST)

build/e2e_fdexec: build/.made tests/e2e_fdexec.c tests/world.c $(TEST_HDR)
	$(E_CC) tests/e2e_fdexec.c tests/world.c $(LINK_TEST)

build/e2e_fdaccept: build/.made tests/e2e_fdaccept.c tests/world.c $(TEST_HDR)
	$(E_CC) tests/e2e_fdaccept.c tests/world.c $(LINK_TEST)

# ---- how much it costs ----

BENCH = build/bench-floor build/bench-backend build/fdproxy-poll

bench: fdproxy $(BENCH)
	if command -v $(STATIC_CC) >/dev/null; then \
		$(MAKE) build/fdproxy-musl; fi
	python3 bench/bench.py $(BENCHFLAGS)

build/bench-floor: build/.made bench/floor.c .flags
	$(COMPILE) -o $@ bench/floor.c $(LINK)

build/bench-backend: build/.made bench/backend.c .flags
	$(COMPILE) -o $@ bench/backend.c $(LINK)

build/fdproxy-poll: build/.made $(SRC) $(HDR) .flags
	$(COMPILE) -UPOLLER_USE_$(POLLER) -DPOLLER_USE_poll -o $@ $(SRC) \
		$(LINK)

build/fdproxy-musl: build/.made $(SRC) $(HDR) .flags
	$(STATIC_CC) $(OWN_CPPFLAGS) $(OWN_CFLAGS) $(STATIC_CFLAGS) \
		$(STATIC_LDFLAGS) -o $@ $(SRC)

# ---- for developers ----

FUZZ = $(FUZZ_CC) $(OWN_CPPFLAGS) $(CPPFLAGS) $(OWN_CFLAGS) -g -O1 \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all

fuzz: build/.made
	$(FUZZ) -o build/fuzz_http_parse tests/fuzz_http_parse.c http_parse.c
	$(FUZZ) -o build/fuzz_route tests/fuzz_route.c route.c
	$(FUZZ) -o build/fuzz_config tests/fuzz_config.c $(CONFIG)
	$(FUZZ) -Icompanions -o build/fuzz_fdaccept_head \
		tests/fuzz_fdaccept_head.c companions/fdaccept_head.c
	sh tests/fuzz.sh $(FUZZ_SECONDS)

depcheck: all $(PRELOAD_OBJ)
	sh tests/depcheck.sh $(ORDER)

lint:
	mandoc -T lint -W warning man/*.[158]
	cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr \
		--enable=warning,performance,portability \
		--suppress=missingIncludeSystem $(OWN_CPPFLAGS) \
		*.c companions/*.c
	clang-tidy --quiet --warnings-as-errors='*' \
		*.c companions/*.c -- $(OWN_CPPFLAGS) \
		-std=c11

DIST = fdproxy-$(VERSION)

dist:
	rm -rf $(DIST)
	mkdir $(DIST)
	cp -R .clang-tidy .gitignore LICENSE Makefile README.md config.mk \
		*.c *.h .ci bench companions contrib examples man tests $(DIST)
	find $(DIST) -name '*.pyc' -exec rm -f {} +
	find $(DIST) -name '*.o' -exec rm -f {} +
	find $(DIST) -name __pycache__ -exec rmdir {} +
	tar cf - $(DIST) | gzip -9 >$(DIST).tar.gz
	rm -rf $(DIST)

# The tarball alone must build, pass, install and leave nothing behind.
distcheck: dist
	rm -rf build/dist
	mkdir -p build/dist
	gzip -dc $(DIST).tar.gz | (cd build/dist && tar xf -)
	(cd build/dist/$(DIST) && $(MAKE) all check)
	(cd build/dist/$(DIST) && $(MAKE) install DESTDIR=$$PWD/../root)
	(cd build/dist/$(DIST) && $(MAKE) uninstall DESTDIR=$$PWD/../root)
	test -z "`find build/dist/root -type f`"
	(cd build/dist/$(DIST) && $(MAKE) clean)
	rm -rf build/dist

# A small static binary, for an image that holds nothing else.
static:
	$(MAKE) clean
	$(MAKE) CC='$(STATIC_CC)' CFLAGS='$(STATIC_CFLAGS)' \
		LDFLAGS='$(STATIC_LDFLAGS)' fdproxy fdexec fdfault
	ls -l fdproxy fdexec fdfault

.PHONY: all bench demo install uninstall clean check fuzz depcheck lint dist \
	distcheck static FORCE
