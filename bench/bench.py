#!/usr/bin/env python3
# See LICENSE for copyright and license details.
"""Benchmark of fdproxy: what it costs to give a client away, and what others
need for the same.

`make bench` builds what is needed and runs this.  Load is made by ab.  The
direct server, the floor (bench/floor.c, the least program that gives clients
away) and fdproxy with each poller always take part; Apache with
mod_proxy_fdpass, nginx and HAProxy if they are installed.  All have the same
backend, bench/backend.c.  They are measured one after the other in every
round, in an order that rotates; figures are medians over rounds with minimum
and maximum, ratios are taken round by round.  The floor makes the system calls
that nobody can do without, and nothing else; its own ratios to the relays show
what is possible with these.

CPU time is what the kernel accounts for the threads of a process and its
children (/proc/PID/task/*/schedstat).  It holds the network's work that the
process caused, which on the loopback is also the receiving of what it sends;
but not in a kernel with CONFIG_IRQ_TIME_ACCOUNTING.  By default everything but
a few small clients shares one CPU: then the order of events depends least on
chance, and requests per second compare all work that a request makes, the
client's included.  Nobody writes an access log.  Relays run with their
defaults, which is a connection to the backend for each request here; and with
such connections kept, HAProxy also with splice, which spares it copies.

Who gives clients away leaves work to the backend that a relay does itself, so
the two are also measured together.  For workers the backend promises many at a
time.  With "none" and "flush" it closes behind each answer; with "hand-back"
and "peek and keep" ab keeps its connections (-k), and both relays keep those on
either side ("kept").  A worker that hands back peeks at the head, takes it,
answers, and gives the connection back with a promise in the same message; one
that peeks and keeps looks at the next request, and finds that it is its own.

Linux only; Python's standard library is enough.
"""
import argparse
import datetime
import os
import platform
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import contenders
import measure
from report import Plot, Targets, number, ratios, size_text, spread, table
from scaling import Scaling

# Size of the body: requests in one run of those that give clients away, and of
# the others, whose cost for a large body needs no such care.
SIZES = {13: (2500, 1500), 64 << 10: (600, 400), 1 << 20: (300, 100),
         64 << 20: (16, 4)}
QUICK = {13: (400, 400), 64 << 10: (200, 200), 1 << 20: (32, 32),
         64 << 20: (2, 2)}
CONCURRENCY = 32
POLL_MAX = 64 << 10     # fdproxy with poll differs in how it waits alone
KEPT_MAX = 1 << 20      # connections are kept for the sake of small bodies

# What is divided by what; the limit at a size, if there is one.
FLUSH, NONE = "fdproxy, flush", "fdproxy, none"
HELD = "fdproxy, flushpackets=off"
W_FLUSH, W_NONE = "fdproxy, workers, flush", "fdproxy, workers, none"
BACK, KEEP = "fdproxy, hand-back", "fdproxy, peek and keep"
SMALL = {13: 1.1, 64 << 10: 1.1}
RATIOS = (
    (FLUSH, "floor, flush", SMALL),
    (NONE, "floor, none", SMALL),
    (W_FLUSH, "floor, workers, flush", SMALL),
    (W_NONE, "floor, workers, none", SMALL),
    (BACK, "floor, hand-back", SMALL),
    (BACK, "nginx, kept", {1 << 20: 0.06}),
    (BACK, "HAProxy, kept", {1 << 20: 0.06}),
    (HELD, "floor, flush", {}),
    (HELD, FLUSH, {}),
    ("fdproxy (poll), flush", "floor, flush", {}),
    ("fdproxy (poll), none", "floor, none", {}),
    (FLUSH, "Apache mod_proxy_fdpass", {13: 0.4}),
    (HELD, "Apache mod_proxy_fdpass", {}),
    (FLUSH, "nginx, keep-alive", {}),
    (HELD, "nginx, keep-alive", {}),
    (NONE, "nginx, keep-alive", {}),
    (FLUSH, "nginx", {}),
    (FLUSH, "HAProxy, keep-alive", {}),
    (HELD, "HAProxy, keep-alive", {}),
    (NONE, "HAProxy, keep-alive", {}),
    (FLUSH, "HAProxy", {}),
    (FLUSH, "HAProxy, keep-alive, splice", {}),
    ("floor, flush", "Apache mod_proxy_fdpass", {}),
    ("floor, flush", "nginx, keep-alive", {}),
    ("floor, flush", "HAProxy, keep-alive", {}),
)

# The same of the CPU of proxy and backend together.
TOGETHER = (
    (W_FLUSH, FLUSH, {13: 0.75}),
    (W_NONE, NONE, {13: 0.75}),
    (FLUSH, "nginx, keep-alive", {}),
    (NONE, "nginx, keep-alive", {}),
    (W_FLUSH, "nginx, keep-alive", {}),
    (W_NONE, "nginx, keep-alive", {13: 0.8}),
    (W_NONE, "HAProxy, keep-alive", {}),
    (BACK, "nginx, kept", {13: 1.0, 64 << 10: 0.5}),
    (BACK, "HAProxy, kept", {13: 1.0, 64 << 10: 0.5}),
    (KEEP, "nginx, kept", {13: 0.6}),
    (KEEP, "HAProxy, kept", {13: 0.6}),
    (KEEP, BACK, {}),
    (BACK, "floor, hand-back", {}),
    ("floor, hand-back", "nginx, kept", {}),
    ("floor, hand-back", "HAProxy, kept", {}),
    (BACK, "direct, kept", {}),
)

# In the plot: colour, dashed.
PLOTTED = {
    FLUSH: (0, False), NONE: (0, True),
    "floor, flush": (1, False), "floor, none": (1, True),
    "Apache mod_proxy_fdpass": (2, False),
    "nginx, keep-alive": (3, False), "nginx": (3, True),
    "HAProxy, keep-alive": (4, False), "HAProxy": (4, True),
}


STARTED = time.monotonic()

LAYOUTS = {
    "one": "everything on one CPU",
    "split": "proxies on one CPU, ab and the backend on the others",
    "free": "all CPUs for everything",
}


def say(text):
    """Progress."""
    print(f"bench: {time.monotonic() - STARTED:3.0f} s: {text}",
          file=sys.stderr, flush=True)


class Rounds:
    """The samples of all contenders: kind -> (name, size) -> a list."""

    def __init__(self, args, backend, field, sizes, cpus):
        self.args = args
        self.backend = backend
        self.field = field
        self.sizes = sizes
        self.cpus = cpus        # of ab
        self.samples = defaultdict(lambda: defaultdict(list))
        self.failed = defaultdict(int)
        self.idle = {c.name: self._memory(c) for c in field}
        self.peak = dict(self.idle)

    @staticmethod
    def _memory(contender):
        return measure.pss(contender.server.pid)

    def run(self):
        """All rounds; before them, a few requests that do not count."""
        self.backend.body(13)
        for c in self.field:
            measure.Load(c.url, 200, CONCURRENCY, 13, self.cpus, c.keeps)
        for r in range(self.args.rounds):
            say(f"round {r + 1} of {self.args.rounds}")
            k = r * len(self.field) // self.args.rounds
            for size, n in self.sizes.items():
                self.backend.body(size)
                for c in self._order(k, size):
                    self._once(c, size, n[not (c.gives or c.keeps)],
                               min(*n, CONCURRENCY))

    def _order(self, k, size):
        def most(c):
            return POLL_MAX if "(poll)" in c.name else \
                KEPT_MAX if c.keeps else size

        return [c for c in self.field[k:] + self.field[:k]
                if size <= most(c)]

    def _once(self, c, size, n, concurrency):
        before = measure.tree(c.server.pid)
        try:
            proxy = measure.cpu(c.server.pid)
            backend = measure.cpu(self.backend.pid)
            load = measure.Load(c.url, n, concurrency, size, self.cpus,
                                c.keeps)
            sample = {
                "rate": load.rate, "p50": load.p50, "p99": load.p99,
                "proxy": (measure.cpu(c.server.pid) - proxy) / 1000 / n,
                "backend": (measure.cpu(self.backend.pid) - backend) /
                           1000 / n,
            }
            sample["both"] = sample["proxy"] + sample["backend"]
            self.peak[c.name] = max(self.peak[c.name], self._memory(c))
        except (OSError, AttributeError):       # it is gone
            before = None
        if before != measure.tree(c.server.pid):
            say(f"{c.name}: a process has ended")
            self.failed[c.name, size] += n
            return
        if c.server is self.backend:
            del sample["proxy"]
            sample["both"] = sample["backend"]
        for kind, value in sample.items():
            self.samples[kind][c.name, size].append(value)
        self.failed[c.name, size] += int(load.failed)

    def name(self, c, size):
        """With what has failed."""
        failed = self.failed[c.name, size]
        return c.name + (f" (**{failed} failed**)" if failed else "")

    def cpu(self, name, size):
        """Of the proxy, per request."""
        return self.samples["proxy"][name, size]

    def ratio(self, over, under, size, kind="proxy"):
        """Or nothing, if one of them is missing."""
        return ratios(self.samples[kind][over, size],
                      self.samples[kind][under, size])

    # ---- what came out ----

    def tables(self):
        """One for each size of the body, then memory."""
        text = ""
        for size, n in self.sizes.items():
            rows = []
            for c in self._order(0, size):
                rows.append((self.name(c, size), *(
                    spread(self.samples[kind][c.name, size])
                    for kind in ("rate", "p50", "p99", "proxy", "backend",
                                 "both"))))
            text += (f"## Body of {size_text(size)}\n\n{n[0]:,} requests in "
                     f"a run, of the direct server and the relays {n[1]:,} "
                     "unless they are kept; "
                     f"{min(*n, CONCURRENCY)} at once.\n\n")
            text += table(("", "requests/s", "p50 ms", "p99 ms",
                           "proxy CPU µs", "backend CPU µs", "both"),
                          rows) + "\n"
        rows = [(c.name, number(self.idle[c.name]), number(self.peak[c.name]))
                for c in self.field]
        return text + ("## Memory\n\nPSS in KiB, of the process and its "
                       "children: after the start, and the largest seen "
                       "after a run. Rows of one server are one "
                       "process.\n\n") + \
            table(("", "idle", "peak"), rows)

    def ratio_rows(self, pairs, kind):
        """CPU of one over that of another."""
        return table(("", *map(size_text, self.sizes)), [
            (f"{over} / {under}", *(
                spread(self.ratio(over, under, s, kind))
                for s in self.sizes))
            for over, under, _ in pairs if self.ratio(over, under, 13, kind)])

    def ratio_table(self, targets):
        """The same, with what was to be reached."""
        for pairs, kind in ((RATIOS, "proxy"), (TOGETHER, "both")):
            for over, under, limits in pairs:
                for size, limit in limits.items():
                    targets.at_most(
                        f"{over} / {under}, {size_text(size)}" +
                        (", with the backend" if kind == "both" else ""),
                        self.ratio(over, under, size, kind), limit)
        small, *_, large = self.sizes
        flat = [(c.name, spread(ratios(self.cpu(c.name, large),
                                       self.cpu(c.name, small))))
                for c in self.field if self.cpu(c.name, large)]
        return ("## Ratios of the proxies' CPU per request\n\nWith "
                "keep-alive a relay's backend saves accept and close for "
                "each request.\n\n" + self.ratio_rows(RATIOS, "proxy") +
                "\n" + table((f"{size_text(large)} / {size_text(small)}",
                              ""), flat) +
                "\n## Ratios of proxy and backend together\n\nWhat is kept, "
                "and what is handed back, is measured with ab -k.\n\n" +
                self.ratio_rows(TOGETHER, "both"))

    def plot(self):
        """SVG."""
        sizes = list(self.sizes)
        return Plot(sizes, [
            (name, *look, [self.cpu(name, s) for s in sizes])
            for name, look in PLOTTED.items()
            if self.cpu(name, sizes[0])]).svg()


def machine():
    """What the figures depend on."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = re.search(r"^model name\s*: (.*)", f.read(), re.M)
    with open("/proc/meminfo", encoding="ascii") as f:
        memory = int(f.read().split()[1]) / (1 << 20)
    return (f"{model[1] if model else platform.machine()}, "
            f"{os.cpu_count()} CPUs, {memory:.0f} GiB; Linux "
            f"{platform.release()}; Python {platform.python_version()}")


def heading(args, missing, load):
    """Machine, versions, date."""
    took = time.monotonic() - STARTED
    lines = ["# Results", "", "Written by `make bench`; "
             "`python3 bench/bench.py -h` says how it measures.", "",
             f"- {datetime.date.today()}, {args.rounds} rounds in "
             f"{took:.0f} s" + (", **quick: not for comparing**"
                                if args.quick else ""),
             f"- {machine()}",
             f"- {LAYOUTS[args.layout]}; the machine's load before: "
             f"{load:.2f}"]
    lines.append("- " + ", ".join(
        f"{k} {v}" for k, v in contenders.versions().items()))
    lines += [f"- **{k} is missing: {v}**" for k, v in missing.items()]
    return "\n".join(lines) + "\n"


def layout(name):
    """Where the proxies run, and where the backend and ab."""
    cpus = sorted(os.sched_getaffinity(0))
    if name == "one":
        return {cpus[-1]}, {cpus[-1]}
    if name == "split" and len(cpus) > 1:
        return {cpus[-1]}, set(cpus[:-1])
    return None, None


def apart(args, backend, field):
    """Small bodies again, with the other layout."""
    name = "split" if args.layout == "one" else "one"
    proxy_cpus, cpus = layout(name)
    if proxy_cpus is None:
        return ""
    say(LAYOUTS[name])
    for server in {c.server for c in field}:
        measure.move(server.pid, cpus if server is backend else proxy_cpus)
    rounds = Rounds(args, backend, [c for c in field
                                    if c.server is not backend],
                    {13: (QUICK if args.quick else SIZES)[13]}, cpus)
    rounds.run()
    rows = [(rounds.name(c, 13), spread(rounds.samples["rate"][c.name, 13]),
             spread(rounds.cpu(c.name, 13))) for c in rounds.field]
    return (f"## Elsewhere on the machine\n\nBodies of 13 bytes once more: "
            f"{LAYOUTS[name]}.\n\n" + rounds.ratio_rows(RATIOS, "proxy") +
            "\n" + table(("", "requests/s", "proxy CPU µs"), rows))


def measure_all(args, folder):
    """The whole report, and the plot."""
    load = os.getloadavg()[0]
    proxy_cpus, args.cpus = layout(args.layout)
    backend = contenders.Backend(folder, args.cpus)
    targets = Targets()
    field, missing = contenders.start(folder, backend, args.only, proxy_cpus)
    for name, why in missing.items():
        say(f"{name} is missing: {why}")
    rounds = Rounds(args, backend, field, QUICK if args.quick else SIZES,
                    args.cpus)
    rounds.run()
    parts = [rounds.ratio_table(targets), rounds.tables(),
             apart(args, backend, field)]
    for server in {c.server for c in field} - {backend}:
        server.stop()
    measure.move(backend.pid, args.cpus)
    scaling = Scaling(args, folder, proxy_cpus, targets, say)
    backend.body(scaling.SIZE)
    parts += [scaling.process(), scaling.routes(), scaling.waiting(),
              scaling.rates()]
    reached = ("## What was to be reached\n\nMedians count.\n\n" +
               table(targets.header, targets.rows))
    plot = "![CPU per request against size of the body](cpu.svg)\n"
    return "\n".join([heading(args, missing, load), plot, reached,
                      *parts]), rounds.plot()


def options():
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-c", dest="layout", default="one",
                        choices=LAYOUTS,
                        help="; ".join(f"{k}: {v}" for k, v in
                                       LAYOUTS.items()))
    parser.add_argument("-i", dest="idle", type=int, default=10,
                        help="seconds to wait for wake-ups (%(default)s)")
    parser.add_argument("-o", dest="out",
                        help="folder for RESULTS.md and cpu.svg (bench; "
                        "with -q, build/bench)")
    parser.add_argument("-q", dest="quick", action="store_true",
                        help="few requests, one round: does it run?")
    parser.add_argument("-r", dest="rounds", type=int, default=6,
                        help="rounds (%(default)s; 5 of scaling at most)")
    parser.add_argument("only", nargs="*", metavar="name", type=str.lower,
                        help="only these: floor, fdproxy, apache, nginx, "
                        "haproxy, and the direct server")
    args = parser.parse_args()
    names = {name.lower() for name, *_ in contenders.SERVERS} | {"direct"}
    for name in args.only:
        if not any(name in n for n in names):
            parser.error(f"there is no {name}")
    args.out = os.path.abspath(
        args.out or ("build/bench" if args.quick else "bench"))
    if args.quick:
        args.rounds, args.idle = 1, min(args.idle, 2)
    return args


def main():
    """Returns an exit status."""
    args = options()
    os.makedirs(args.out, exist_ok=True)
    if not os.access(args.out, os.W_OK):
        say(f"cannot write to {args.out}")
        return 1
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    if not shutil.which("ab"):
        say("there is no ab (Debian and Ubuntu: apache2-utils)")
        return 1
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    with tempfile.TemporaryDirectory(prefix="fdproxy-bench.") as folder:
        os.chmod(folder, 0o755)     # Apache's children are somebody else
        try:
            text, plot = measure_all(args, folder)
        finally:
            contenders.stop_all()
    for name, content in (("RESULTS.md", text), ("cpu.svg", plot)):
        with open(f"{args.out}/{name}", "w", encoding="utf-8") as f:
            f.write(content)
    print(text)
    say(f"written: {args.out}/RESULTS.md and cpu.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
