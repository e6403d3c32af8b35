# See LICENSE for copyright and license details.
.POSIX:
.SUFFIXES:
.SUFFIXES: .c .o .to

include config.mk

# Ours; CPPFLAGS, CFLAGS, LDFLAGS and LDLIBS belong to whoever calls make.
OWN_CPPFLAGS = -I. -D_GNU_SOURCE -D_ATFILE_SOURCE -D_DARWIN_C_SOURCE \
	-D_NETBSD_SOURCE -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 \
	-DVERSION='"$(VERSION)"' -DPRELOADDIR='"$(PRELOADDIR)"' \
	-DPOLLER_USE_$(POLLER)
OWN_CFLAGS = -std=c11 -Wall -Wextra -Wpedantic -Wundef -Wshadow \
	-Wstrict-prototypes -Wmissing-prototypes

# In this order: a module includes and calls only what stands before it.
MODULES = http_parse.c text.c stats.c clock.c sock.c log.c route.c health.c \
	poller_epoll.c poller_kqueue.c poller_poll.c poller.c fdpass.c worker.c \
	flush.c config_read.c config_route.c config.c request.c status.c \
	proc.c super.c slot.c reply.c backend.c event.c conn.c serve.c listen.c \
	child.c renew.c accept.c loop.c
LIBRARY = companions/fdaccept_head.c companions/fdaccept_port.c

# What is linked to each program.
SRC = fdproxy.c $(MODULES)
EXEC_SRC = companions/fdexec.c companions/fdexec_cgi.c \
	companions/fdexec_relay.c companions/fdbackend.c clock.c fdpass.c \
	http_parse.c log.c proc.c sock.c text.c
FAULT_SRC = companions/fdfault.c clock.c fdpass.c log.c proc.c sock.c text.c
RUN_SRC = companions/fdaccept_run.c clock.c log.c proc.c sock.c super.c text.c
PRELOAD_SRC = companions/fdaccept.c $(LIBRARY) fdpass.c sock.c text.c

OBJ = $(SRC:.c=.o)
EXEC_OBJ = $(EXEC_SRC:.c=.o)
FAULT_OBJ = $(FAULT_SRC:.c=.o)
RUN_OBJ = $(RUN_SRC:.c=.o)
LIBRARY_OBJ = $(LIBRARY:.c=.o)

# Every object depends on every header and on the flags, the linker's too: a
# list by hand for each would be shorter in the running and wrong in the end.
HDR = *.h companions/*.h .flags

COMPILE = $(CC) $(OWN_CPPFLAGS) $(CPPFLAGS) $(OWN_CFLAGS) $(CFLAGS)

# Says what a command makes; with make V=1, the command.
V =
RUN = @run() { \
		if [ -n "$(V)" ]; then echo "$$@"; else echo "CC $@"; fi; \
		"$$@"; \
	}; run

# What is installed beside fdproxy, each with its manual.
COMMANDS = fdexec fdfault fdaccept

all: fdproxy $(COMMANDS) libfdaccept.so libfdbackend.a

fdproxy: $(OBJ)
	$(RUN) $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(OBJ) $(LDLIBS)

fdexec: $(EXEC_OBJ)
	$(RUN) $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(EXEC_OBJ) $(LDLIBS)

fdfault: $(FAULT_OBJ)
	$(RUN) $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(FAULT_OBJ) $(LDLIBS)

fdaccept: $(RUN_OBJ)
	$(RUN) $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(RUN_OBJ) $(LDLIBS)

libfdbackend.a: companions/fdbackend.o
	@rm -f $@
	@$(AR) rc $@ companions/fdbackend.o

fdbackend.pc: companions/fdbackend.pc.in .flags
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
		-e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		-e 's|@VERSION@|$(VERSION)|' companions/fdbackend.pc.in >$@

# Not LDFLAGS, which may say -static; not our objects, which may not be PIC.
libfdaccept.so: $(PRELOAD_SRC) $(HDR)
	$(RUN) $(COMPILE) -fPIC -fvisibility=hidden $(SOFLAGS) -o $@ \
		$(PRELOAD_SRC) $(SOLIBS)

.c.o:
	$(RUN) $(COMPILE) -c -o $@ $<

$(OBJ) $(EXEC_OBJ) $(FAULT_OBJ) $(RUN_OBJ) $(LIBRARY_OBJ): $(HDR)

.flags: FORCE
	@echo '$(COMPILE) $(LDFLAGS) $(LDLIBS) $(SOFLAGS) $(SOLIBS)' \
		'$(SANITIZE) $(CHECK_CPPFLAGS) $(CHECK_LDLIBS)' >.flags.new; \
	if cmp -s .flags.new .flags; then rm .flags.new; \
	else mv .flags.new .flags; fi

FORCE:

# ---- what a newcomer types ----

demo: all
	sh examples/demo.sh

# Beside the old file, then in its place: one that runs, or is mapped into a
# program that does, stays as it is.
install: all fdbackend.pc
	mkdir -p "$(DESTDIR)$(SBINDIR)" "$(DESTDIR)$(BINDIR)" \
		"$(DESTDIR)$(PRELOADDIR)" "$(DESTDIR)$(MANDIR)/man1" \
		"$(DESTDIR)$(MANDIR)/man3" "$(DESTDIR)$(MANDIR)/man5" \
		"$(DESTDIR)$(MANDIR)/man7" "$(DESTDIR)$(INCLUDEDIR)" \
		"$(DESTDIR)$(LIBDIR)/pkgconfig" \
		"$(DESTDIR)$(MANDIR)/man8"
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
	put 755 "$(BINDIR)" $(COMMANDS); \
	put 644 "$(PRELOADDIR)" libfdaccept.so; \
	put 644 "$(LIBDIR)" libfdbackend.a; \
	put 644 "$(INCLUDEDIR)" companions/fdbackend.h; \
	put 644 "$(LIBDIR)/pkgconfig" fdbackend.pc; \
	put 644 "$(MANDIR)/man3" man/fdbackend.3; \
	for command in $(COMMANDS); do \
		put 644 "$(MANDIR)/man1" man/$$command.1; \
	done; \
	put 644 "$(MANDIR)/man5" man/fdproxy.conf.5; \
	put 644 "$(MANDIR)/man7" man/fdproxy-protocol.7; \
	put 644 "$(MANDIR)/man8" man/fdproxy.8

uninstall:
	rm -f "$(DESTDIR)$(SBINDIR)/fdproxy" \
		"$(DESTDIR)$(PRELOADDIR)/libfdaccept.so" \
		"$(DESTDIR)$(LIBDIR)/libfdbackend.a" \
		"$(DESTDIR)$(LIBDIR)/pkgconfig/fdbackend.pc" \
		"$(DESTDIR)$(INCLUDEDIR)/fdbackend.h" \
		"$(DESTDIR)$(MANDIR)/man3/fdbackend.3" \
		"$(DESTDIR)$(MANDIR)/man5/fdproxy.conf.5" \
		"$(DESTDIR)$(MANDIR)/man7/fdproxy-protocol.7" \
		"$(DESTDIR)$(MANDIR)/man8/fdproxy.8"
	for command in $(COMMANDS); do \
		rm -f "$(DESTDIR)$(BINDIR)/$$command" \
			"$(DESTDIR)$(MANDIR)/man1/$$command.1"; \
	done
	rmdir "$(DESTDIR)$(PRELOADDIR)" 2>/dev/null || :

clean:
	rm -rf build
	rm -f *.o *.to companions/*.o companions/*.to tests/*.to
	rm -f .flags .flags.new
	rm -f fdproxy $(COMMANDS) libfdaccept.so libfdbackend.a fdbackend.pc

# ---- tests ----

# What a server waits for the message behind a connection, ms: on a machine that
# is busy with tests its sender may be late.
LATE = -DWAIT_MS=1000

# What is built to be tested: with sanitizers; the same with poll; sending byte
# by byte; without any allocation once it serves.
BUILDS = build/fdproxy-test build/fdproxy-test-poll build/fdproxy-torture \
	build/fdproxy-noalloc build/fdproxy-keeps build/fdexec-test \
	build/fdfault-test build/fdaccept-test \
	build/libfdaccept.so build/accepter build/accepter-test \
	build/fdproxy-failing
UNITS = build/unit_http_parse build/unit_text build/unit_clock build/unit_log \
	build/unit_sock build/unit_route build/unit_poller build/unit_fdpass \
	build/unit_flush build/unit_config build/unit_status build/unit_conn \
	build/unit_listen build/unit_proc build/unit_worker \
	build/unit_fdaccept build/unit_fdbackend
REPLAYS = build/replay_http_parse build/replay_route build/replay_config \
	build/replay_fdaccept_head build/replay_fdexec
FUZZERS = build/fuzz_http_parse build/fuzz_route build/fuzz_config \
	build/fuzz_fdaccept_head build/fuzz_fdexec
E2E = build/e2e_pass build/e2e_reply build/e2e_backend build/e2e_limits \
	build/e2e_process build/e2e_service build/e2e_renew build/e2e_log \
	build/e2e_child build/e2e_signals build/e2e_fault build/e2e_worker \
	build/e2e_harness build/e2e_fdexec build/e2e_cgi build/e2e_fdaccept \
	build/e2e_failing

TEST_CC = $(COMPILE) -Icompanions -Itests $(CHECK_CPPFLAGS) $(LATE) $(SANITIZE)
LINK = $(LDFLAGS) $(LDLIBS)
LINK_TEST = $(LDFLAGS) $(CHECK_LDLIBS) $(LDLIBS)
TEST_HDR = $(HDR) tests/*.h

# As many compilers at the same time as there are processors.
check:
	$(MAKE) -j `getconf _NPROCESSORS_ONLN || echo 2` tested
	sh tests/run.sh

tested: $(BUILDS) $(UNITS) build/unit_poller_poll $(REPLAYS) $(E2E)

build/.made:
	@mkdir -p build && : >$@

# All modules, compiled once with sanitizers: NAME.to is made of NAME.c.  A
# program is linked with what it needs of the archive: that a module needs
# nothing but what stands before it is what depcheck proves.
TEST_A = build/test.a
TESTED = $(MODULES:.c=.to) $(LIBRARY:.c=.to) companions/fdexec_cgi.to \
	companions/fdexec_relay.to companions/fdbackend.to
TESTED_MAIN = fdproxy.to companions/fdexec.to companions/fdfault.to \
	companions/fdaccept.to tests/accepter.to tests/fuzz_main.to
SHARED = tests/runner.to tests/world.to

.c.to:
	$(RUN) $(TEST_CC) -c -o $@ $<

$(TESTED) $(TESTED_MAIN) $(SHARED): $(TEST_HDR)

$(TEST_A): build/.made Makefile $(TESTED)
	@rm -f $@
	@$(AR) rc $@ $(TESTED)

.to:
	$(RUN) $(TEST_CC) -o $@ $< $(SHARED) $(TEST_A) $(LINK_TEST)

$(UNITS) $(E2E): $(SHARED) $(TEST_A)

$(UNITS:=.to) $(E2E:=.to) $(FUZZERS:=.to): build/.made $(TEST_HDR)
	$(RUN) $(TEST_CC) -c -o $@ tests/`basename $@ .to`.c

# The library is in this one as it would be in a server: its read(2) is ours.
build/unit_fdaccept: build/unit_fdaccept.to companions/fdaccept.to
	$(RUN) $(TEST_CC) -o $@ build/unit_fdaccept.to companions/fdaccept.to \
		$(SHARED) $(TEST_A) $(LINK_TEST)

# The fuzzers' seeds, with any compiler; the fuzzers, with clang.
$(REPLAYS): $(FUZZERS:=.to) tests/fuzz_main.to $(TEST_A)
	@echo "CC $@"; name=$(@F); \
	$(TEST_CC) -o $@ build/fuzz_$${name#replay_}.to \
		tests/fuzz_main.to $(TEST_A) $(LINK)

$(FUZZERS): $(FUZZERS:=.to) $(TEST_A)
	$(RUN) $(TEST_CC) -fsanitize=fuzzer -o $@ $@.to $(TEST_A) $(LINK)

build/fdproxy-test: fdproxy.to $(TEST_A)
	$(RUN) $(TEST_CC) -o $@ fdproxy.to $(TEST_A) $(LINK)

build/fdexec-test: companions/fdexec.to $(TEST_A)
	$(RUN) $(TEST_CC) -o $@ companions/fdexec.to $(TEST_A) $(LINK)

build/fdfault-test: companions/fdfault.to $(TEST_A)
	$(RUN) $(TEST_CC) -o $@ companions/fdfault.to $(TEST_A) $(LINK)

# What is compiled otherwise comes before the archive, which has it as well.
WITH_POLL = -UPOLLER_USE_$(POLLER) -DPOLLER_USE_poll

build/fdproxy-test-poll: fdproxy.to $(TEST_A)
	$(RUN) $(TEST_CC) $(WITH_POLL) -o $@ `grep -l 'poller\.h' $(MODULES)` \
		fdproxy.to $(TEST_A) $(LINK)

build/unit_poller_poll: tests/unit_poller.c $(SHARED) $(TEST_A)
	$(RUN) $(TEST_CC) $(WITH_POLL) -o $@ tests/unit_poller.c \
		poller_epoll.c poller_kqueue.c poller_poll.c $(SHARED) \
		$(TEST_A) $(LINK_TEST)

build/fdproxy-torture: fdproxy.to $(TEST_A)
	$(RUN) $(TEST_CC) -DTORTURE -o $@ `grep -l TORTURE $(MODULES)` \
		fdproxy.to $(TEST_A) $(LINK)

# The library beside it is the only one that this launcher finds.
build/fdaccept-test: companions/fdaccept_run.c $(TEST_A)
	$(RUN) $(TEST_CC) -UPRELOADDIR -DPRELOADDIR='"/nonexistent"' -o $@ \
		companions/fdaccept_run.c $(TEST_A) $(LINK)

# As on macOS, where clients are kept until they have arrived.
build/fdproxy-keeps: fdproxy.to $(TEST_A)
	$(RUN) $(TEST_CC) -DFDPASS_KEEPS=true -o $@ \
		`grep -l FDPASS_KEEPS $(MODULES)` fdproxy.to $(TEST_A) $(LINK)

# With what the BSDs do otherwise, over an imitation of kqueue(2).
BSD = -include tests/bsd.h -Itests/kqueue -UPOLLER_USE_$(POLLER) \
	-DPOLLER_USE_kqueue

build/fdproxy-bsd: build/.made $(SRC) tests/kqueue/sys/event.h $(TEST_HDR)
	$(RUN) $(TEST_CC) $(BSD) -o $@ $(SRC) $(LINK)

# An allocation of any kind while it serves ends this build.
WRAP = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=poller_wait

build/fdproxy-noalloc: build/.made tests/noalloc.c $(OBJ)
	$(RUN) $(COMPILE) -o $@ tests/noalloc.c $(OBJ) $(WRAP) $(LINK)

# Any call of the system's may fail in this build.
build/fdproxy-failing: build/.made tests/failing.c $(SRC) $(TEST_HDR)
	$(RUN) $(TEST_CC) -DFAIL_CALLS -include tests/failing.h -o $@ \
		tests/failing.c $(SRC) $(LINK)

build/libfdaccept.so: build/.made $(PRELOAD_SRC) $(HDR)
	$(RUN) $(COMPILE) $(LATE) -fPIC -fvisibility=hidden $(SOFLAGS) -o $@ \
		$(PRELOAD_SRC) $(SOLIBS)

# A server to preload it into, and the same with the library linked to it: a
# sanitizer would have to be loaded first.
build/accepter: build/.made tests/accepter.c .flags
	$(RUN) $(COMPILE) -o $@ tests/accepter.c $(LINK)

build/accepter-test: tests/accepter.to companions/fdaccept.to $(TEST_A)
	$(RUN) $(TEST_CC) -o $@ tests/accepter.to companions/fdaccept.to \
		$(TEST_A) $(LINK)

# Each is made of its own source.
build/unit_http_parse.to: tests/unit_http_parse.c
build/unit_text.to: tests/unit_text.c
build/unit_clock.to: tests/unit_clock.c
build/unit_log.to: tests/unit_log.c
build/unit_sock.to: tests/unit_sock.c
build/unit_route.to: tests/unit_route.c
build/unit_poller.to: tests/unit_poller.c
build/unit_fdpass.to: tests/unit_fdpass.c
build/unit_flush.to: tests/unit_flush.c
build/unit_config.to: tests/unit_config.c
build/unit_status.to: tests/unit_status.c
build/unit_conn.to: tests/unit_conn.c
build/unit_listen.to: tests/unit_listen.c
build/unit_proc.to: tests/unit_proc.c
build/unit_worker.to: tests/unit_worker.c
build/unit_fdaccept.to: tests/unit_fdaccept.c
build/unit_fdbackend.to: tests/unit_fdbackend.c
build/fuzz_http_parse.to: tests/fuzz_http_parse.c
build/fuzz_route.to: tests/fuzz_route.c
build/fuzz_config.to: tests/fuzz_config.c
build/fuzz_fdaccept_head.to: tests/fuzz_fdaccept_head.c
build/fuzz_fdexec.to: tests/fuzz_fdexec.c companions/fdexec.c \
	companions/fdexec_cgi.c
build/e2e_pass.to: tests/e2e_pass.c
build/e2e_reply.to: tests/e2e_reply.c
build/e2e_backend.to: tests/e2e_backend.c
build/e2e_limits.to: tests/e2e_limits.c
build/e2e_process.to: tests/e2e_process.c
build/e2e_service.to: tests/e2e_service.c
build/e2e_signals.to: tests/e2e_signals.c
build/e2e_renew.to: tests/e2e_renew.c
build/e2e_log.to: tests/e2e_log.c
build/e2e_child.to: tests/e2e_child.c
build/e2e_fault.to: tests/e2e_fault.c
build/e2e_worker.to: tests/e2e_worker.c
build/e2e_harness.to: tests/e2e_harness.c
build/e2e_fdexec.to: tests/e2e_fdexec.c
build/e2e_cgi.to: tests/e2e_cgi.c
build/e2e_fdaccept.to: tests/e2e_fdaccept.c
build/e2e_failing.to: tests/e2e_failing.c

# ---- long runs ----

STRESS = build/stress_worker build/worker_epoll build/fdproxy-test \
	build/fdproxy-test-poll build/fdproxy-bsd

stress: fdproxy fdexec $(STRESS)
	python3 tests/stress.py $(STRESS_SECONDS)

build/stress_worker: build/.made tests/stress_worker.c \
		examples/worker_request.h companions/fdbackend.c $(HDR)
	$(RUN) $(COMPILE) -Icompanions -o $@ tests/stress_worker.c \
		companions/fdbackend.c $(LINK)

build/worker_epoll: build/.made examples/worker_epoll.c \
		examples/worker_request.h libfdbackend.a $(HDR)
	$(RUN) $(COMPILE) -U_GNU_SOURCE -Icompanions -o $@ \
		examples/worker_epoll.c libfdbackend.a $(LINK)

# ---- how much it costs ----

# Calls of functions for one request.
calls: build/fdproxy-calls build/count_calls
	FDPROXY=build/fdproxy-calls CK_VERBOSITY=minimal build/count_calls

build/fdproxy-calls: build/.made tests/calls.c $(SRC) $(HDR)
	$(RUN) $(COMPILE) -O0 -finstrument-functions -o $@ tests/calls.c \
		$(SRC) $(LINK)

build/count_calls: $(SHARED) $(TEST_A)

build/count_calls.to: build/.made tests/count_calls.c $(TEST_HDR)
	$(RUN) $(TEST_CC) -c -o $@ tests/count_calls.c

BENCH = build/bench-floor build/bench-backend build/fdproxy-poll

bench: fdproxy $(BENCH)
	if command -v $(STATIC_CC) >/dev/null; then \
		$(MAKE) build/fdproxy-musl; fi
	python3 bench/bench.py $(BENCHFLAGS)

build/bench-floor: build/.made bench/floor.c .flags
	$(RUN) $(COMPILE) -o $@ bench/floor.c $(LINK)

build/bench-backend: build/.made bench/backend.c .flags
	$(RUN) $(COMPILE) -o $@ bench/backend.c $(LINK)

build/fdproxy-poll: build/.made $(SRC) $(HDR)
	$(RUN) $(COMPILE) $(WITH_POLL) -o $@ $(SRC) $(LINK)

build/fdproxy-musl: build/.made $(SRC) $(HDR)
	$(RUN) $(STATIC_CC) $(OWN_CPPFLAGS) $(OWN_CFLAGS) $(STATIC_CFLAGS) \
		$(STATIC_LTO) $(STATIC_LDFLAGS) -o $@ $(SRC)

# ---- for developers ----

# The archive is clang's meanwhile.
fuzz:
	$(MAKE) CC='$(FUZZ_CC)' SANITIZE='$(FUZZ_SANITIZE)' $(FUZZERS)
	sh tests/fuzz.sh $(FUZZ_SECONDS)

depcheck: all $(LIBRARY_OBJ)
	sh tests/depcheck.sh $(MODULES:.c=) fdproxy companions/fdexec_cgi \
		companions/fdexec_relay companions/fdbackend \
		companions/fdexec companions/fdfault $(LIBRARY:.c=) \
		companions/fdaccept_run

lint:
	mandoc -T lint -W warning man/*.[13578]
	cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr \
		--enable=warning,performance,portability \
		--suppress=missingIncludeSystem $(OWN_CPPFLAGS) \
		*.c companions/*.c
	clang-tidy --quiet --warnings-as-errors='*' \
		*.c companions/*.c -- $(OWN_CPPFLAGS) \
		-std=c11

DIST = fdproxy-$(VERSION)

# The same bytes from the same sources: by whomever, wherever and whenever.  The
# time is that of the last commit or, from such a tarball, the one in there; tar
# is GNU tar.
dist:
	rm -rf $(DIST)
	mkdir $(DIST)
	cp -R .clang-tidy .gitignore LICENSE Makefile *.md config.mk \
		*.c *.h .ci bench companions contrib examples man tests $(DIST)
	find $(DIST) -name '*.pyc' -exec rm -f {} +
	find $(DIST) -name '*.o' -exec rm -f {} +
	find $(DIST) -name '*.to' -exec rm -f {} +
	find $(DIST) -name __pycache__ -exec rmdir {} +
	epoch=$${SOURCE_DATE_EPOCH:-`git log -1 --format=%ct 2>/dev/null || \
		stat -c %Y Makefile`}; \
	tar --sort=name --format=ustar --owner=0 --group=0 --numeric-owner \
		--mode=u+rw,go=rX --mtime=@$$epoch -cf - $(DIST) | \
		gzip -9n >$(DIST).tar.gz
	rm -rf $(DIST)
	sha256sum $(DIST).tar.gz

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
	lto='$(STATIC_LTO)'; \
	echo | $(STATIC_CC) $$lto -E - >/dev/null 2>&1 || lto=; \
	$(MAKE) CC='$(STATIC_CC)' CFLAGS="$(STATIC_CFLAGS) $$lto" \
		LDFLAGS='$(STATIC_LDFLAGS)' fdproxy fdexec fdfault
	ls -l fdproxy fdexec fdfault

.PHONY: all bench calls demo install uninstall clean check tested stress \
	fuzz depcheck lint dist distcheck static FORCE
