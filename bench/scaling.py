# See LICENSE for copyright and license details.
"""Cost against the number of routes, of waiting clients, of connections per
second; what it takes to start and to do nothing."""
import os
import resource
import signal
import socket
import sys
import time

import contenders
import measure
from report import number, ratios, spread, table

ROUTES = (1, 10, 100, 1000, 10000)
CROWDS = (0, 1000, 10000)
RATES = (100, 1000)             # paced by us; then ab, with these many at once
CONCURRENCY = (1, 8, 32, 256)
MUSL = f"{contenders.BUILD}/fdproxy-musl"
POLL = f"{contenders.BUILD}/fdproxy-poll"


class Scaling:
    """All of it, with a backend that sends bodies of SIZE.  Each part returns
    Markdown."""

    SIZE = 13

    def __init__(self, args, folder, cpus, targets, say):
        self.args = args
        self.folder = folder
        self.cpus = cpus        # of the proxies
        self.targets = targets
        self.say = say
        self.n = 400 if args.quick else 3000
        self.failed = 0

    def _run(self, server, url, n=None, concurrency=32):
        """CPU of the proxy per request in µs, and requests per second."""
        n = n or self.n
        before = measure.cpu(server.pid)
        load = measure.Load(url, n, concurrency, self.SIZE, self.args.cpus)
        if load.failed:
            self.say(f"{url}: {load.failed:.0f} failed")
            self.failed += int(load.failed)
        return (measure.cpu(server.pid) - before) / 1000 / n, load.rate

    def failures(self):
        """A sentence, if there were any."""
        return f"**{self.failed} requests failed.**\n\n" if self.failed else ""

    def _rounds(self, runs):
        """Interleaved; runs maps a name to what returns a pair."""
        self.failed = 0
        results = {name: ([], []) for name in runs}
        names = list(runs)
        for r in range(min(self.args.rounds, 5)):
            k = r % len(names)
            for name in names[k:] + names[:k]:
                for values, value in zip(results[name], runs[name]()):
                    values.append(value)
        return results

    # ---- routes ----

    def _with_routes(self, n):
        conf = f"{self.folder}/routes{n}.conf"
        with open(conf, "w", encoding="ascii") as f:
            f.writelines(f"ProxyPass /r{i:05} fd://{self.folder}/flush\n"
                         for i in range(1, n + 1))
        return contenders.Server(
            ["./fdproxy", "-1", "-l", "127.0.0.1:0", "-c", "LogLevel warn",
             "-f", conf], 1, self.cpus)

    def routes(self):
        """The last of so many."""
        self.say("routes")
        servers = {n: self._with_routes(n) for n in ROUTES}
        results = self._rounds({
            n: lambda s=s, n=n: self._run(
                s, f"http://127.0.0.1:{s.ports[0]}/r{n:05}")
            for n, s in servers.items()})
        memory = {n: measure.pss(s.pid) for n, s in servers.items()}
        for s in servers.values():
            s.stop()
        first, rows = results[ROUTES[0]][0], []
        for n, (cpu, rate) in results.items():
            rows.append((f"{n:,}", spread(rate), spread(cpu),
                         spread(ratios(cpu, first)), number(memory[n])))
        self.targets.at_most("CPU with 10,000 routes / with 1", ratios(
            results[ROUTES[-1]][0], first), 1.1)
        return "## Routes\n\n" + self.failures() + table((
            "routes", "requests/s", "proxy µs/request", "/ 1 route",
            "PSS KiB"), rows)

    # ---- waiting clients ----

    def _crowded(self, binary, n):
        """A server, its crowd, and its memory in KiB."""
        server = contenders.fdproxy(
            self.folder, binary, self.cpus,
            ("-c", "RequestReadTimeout header=600",
             "-c", f"MaxConnections {n + 64}"))
        if n == 0:
            return server, None, measure.anon(server.pid)
        crowd = contenders.Server([sys.executable, "bench/crowd.py",
                                   str(server.ports[0]), str(n)], 1)
        limit = time.monotonic() + 10
        while len(os.listdir(f"/proc/{server.pid}/fd")) < n and \
                time.monotonic() < limit:
            time.sleep(0.05)
        if len(os.listdir(f"/proc/{server.pid}/fd")) < n:
            self.say(f"not all of {n} clients were accepted")
        return server, crowd, measure.anon(server.pid)

    def waiting(self):
        """Beside clients whose head is never complete; then silence."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        room = (hard - 32) // 2 - 64    # fdproxy's own rule
        crowds = sorted({min(n, room) for n in CROWDS})
        self.say(f"waiting clients: {crowds}")
        opened = {}
        for poller, binary in (("epoll", "./fdproxy"), ("poll", POLL)):
            for n in crowds:
                opened[poller, n] = self._crowded(binary, n)
        results = self._rounds({
            key: lambda s=s: self._run(
                s, f"http://127.0.0.1:{s.ports[0]}/flush", self.n // 2)
            for key, (s, *_) in opened.items()})
        silence = self._silence({k: s for k, (s, *_) in opened.items()})
        for server, crowd, _ in opened.values():
            if crowd:       # first: the server would wait for them
                crowd.stop()
            server.stop()
        return self._waiting_table(crowds, opened, results, silence)

    def _silence(self, servers):
        """How often each is woken up while nothing happens."""
        self.say(f"idle for {self.args.idle} s")
        time.sleep(1)
        before = {k: measure.wakeups(s.pid) for k, s in servers.items()}
        time.sleep(self.args.idle)
        return {k: measure.wakeups(s.pid) - before[k]
                for k, s in servers.items()}

    @staticmethod
    def _each(crowds, opened):
        """Bytes for each client: what the largest crowd takes above a smaller
        one.  An empty server is no measure: small tables lie in pages that
        are there already, large ones in pages of their own."""
        if len(crowds) < 3:
            return {"epoll": [], "poll": []}
        less, most = crowds[-2:]
        return {poller: [(opened[poller, most][2] - opened[poller, less][2]) *
                         1024 / (most - less)] for poller in ("epoll", "poll")}

    def _waiting_table(self, crowds, opened, results, silence):
        rows = []
        most = crowds[-1]
        each = self._each(crowds, opened)
        for (poller, n), (cpu, rate) in results.items():
            alone = results[poller, 0][1]
            rows.append((f"{poller}, {n:,}", spread(rate),
                         spread(ratios(rate, alone)), spread(cpu),
                         spread(each[poller] if n == most else []),
                         str(silence[poller, n])))
        for poller, values in each.items():
            self.targets.at_most(f"bytes per client, {most:,} waiting, "
                                 f"{poller}", values, 72)
        self.targets.at_least(
            f"requests/s beside {most:,} waiting / beside none", ratios(
                results["epoll", most][1], results["epoll", 0][1]), 0.95)
        for n in (0, most):
            self.targets.at_most(
                f"wake-ups in {self.args.idle} idle seconds, {n:,} waiting",
                [silence["epoll", n]], 0)
        text = "## Waiting clients\n\nTheir heads are half there. "
        if most < CROWDS[-1]:
            text += (f"The limit of {hard_limit()} descriptors allows "
                     f"{most:,} of {CROWDS[-1]:,}. ")
        text += (f"Wake-ups are context switches in {self.args.idle} s "
                 "without requests; bytes are user memory.\n\n")
        return text + self.failures() + table((
            "poller, waiting", "requests/s", "/ none waiting",
            "proxy µs/request", "bytes per client", "wake-ups"), rows)

    # ---- connections per second ----

    def _paced(self, server, rate):
        """One after the other, at fixed moments, for half a second."""
        n = max(20, rate // (10 if self.args.quick else 2))
        before, start = measure.cpu(server.pid), time.monotonic()
        for i in range(n):
            time.sleep(max(0, start + i / rate - time.monotonic()))
            with socket.create_connection(("127.0.0.1",
                                           server.ports[0])) as s:
                s.sendall(b"GET /flush HTTP/1.0\r\n\r\n")
                while s.recv(4096):
                    pass
        took = time.monotonic() - start
        return (measure.cpu(server.pid) - before) / 1000 / n, n / took

    def rates(self):
        """The same work, less or more often."""
        self.say("connections per second")
        servers = {"floor": contenders.floor(self.folder, self.cpus),
                   "fdproxy": contenders.fdproxy(self.folder,
                                                 cpus=self.cpus)}
        runs = {}
        for rate in RATES:
            for name, s in servers.items():
                runs[name, f"paced, {rate:,}/s"] = \
                    lambda s=s, rate=rate: self._paced(s, rate)
        for c in CONCURRENCY:
            for name, s in servers.items():
                runs[name, f"ab -c {c}"] = lambda s=s, c=c: self._run(
                    s, f"http://127.0.0.1:{s.ports[0]}/flush",
                    self.n // 3 + c, c)
        results = self._rounds(runs)
        for s in servers.values():
            s.stop()
        rows = []
        for (name, how), (cpu, rate) in results.items():
            if name == "fdproxy":
                least = results["floor", how][0]
                rows.append((how, spread(rate), spread(cpu), spread(least),
                             spread(ratios(cpu, least))))
        return "## Connections per second\n\n" + self.failures() + table((
            "offered", "fdproxy, flush: requests/s", "µs/request",
            "floor, flush: µs/request", "fdproxy / floor"), rows)

    # ---- one process ----

    def _start_once(self, binary):
        """Milliseconds from the call that starts it until it says so."""
        r, w = os.pipe()
        argv = [binary, "-1", "-l", "127.0.0.1:0", "-c", "LogLevel warn",
                "-r", f"/={self.folder}/flush"]
        start = time.monotonic()
        pid = os.posix_spawn(binary, argv, os.environ, file_actions=[
            (os.POSIX_SPAWN_DUP2, w, 1)])
        try:
            os.close(w)
            os.read(r, 100)
            took = time.monotonic() - start
            os.close(r)
            time.sleep(0.001)
            return took * 1000, measure.pss(pid)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def process(self):
        """Size, start, memory; nothing else runs from the same file."""
        self.say("starts")
        rows = []
        builds = {"fdproxy": "./fdproxy", "static, musl": MUSL}
        for name, binary in builds.items():
            if not os.path.exists(binary):
                rows.append((name, "not built", "–", "–"))
                start = pss = size = []
            else:
                once = [self._start_once(binary) for _ in range(50)]
                start, pss = zip(*once)
                size = [os.path.getsize(binary) / 1024]
                rows.append((name, spread(size), spread(start), spread(pss)))
            self.targets.at_most(f"exec to ready, {name}, median of 50, ms",
                                 start, 5)
        self.targets.at_most("static binary, stripped, KiB", size, 126)
        self.targets.at_most("static binary, idle, PSS KiB", pss, 300)
        return "## One process\n\n" + table((
            "build", "file KiB", "exec to ready ms", "idle PSS KiB"), rows)


def hard_limit():
    """Of descriptors."""
    return f"{resource.getrlimit(resource.RLIMIT_NOFILE)[1]:,}"
