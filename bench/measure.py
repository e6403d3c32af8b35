# See LICENSE for copyright and license details.
"""What the benchmark reads: /proc of what it started, and what ab prints."""
import os
import re
import subprocess
import tempfile
import time


def tree(pid):
    """A process and all that descend from it."""
    children = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="latin-1") as f:
                parent = int(f.read().rpartition(")")[2].split()[1])
        except OSError:
            continue        # it has just ended
        children.setdefault(parent, []).append(int(entry))
    pids = [pid]
    for p in pids:
        pids += children.get(p, [])
    return pids


def cpu(pid):
    """Nanoseconds on a CPU so far, of all threads of a process tree."""
    total = 0
    for p in tree(pid):
        for task in os.listdir(f"/proc/{p}/task"):
            with open(f"/proc/{p}/task/{task}/schedstat",
                      encoding="ascii") as f:
                total += int(f.read().split()[0])
    return total


def _kib(pid, file, field):
    with open(f"/proc/{pid}/{file}", encoding="ascii") as f:
        return int(re.search(rf"^{field}:\s*(\d+)", f.read(), re.M)[1])


def pss(pid):
    """KiB: what it alone holds, and its share of what it shares."""
    return sum(_kib(p, "smaps_rollup", "Pss") for p in tree(pid))


def anon(pid):
    """KiB of memory that is no file's: stack, heap, data.  (RssAnon in status
    is off by up to 32 pages for each CPU.)"""
    return sum(_kib(p, "smaps_rollup", "Anonymous") for p in tree(pid))


def wakeups(pid):
    """How often it was put to sleep, or off the CPU, so far."""
    return sum(_kib(p, "status", "voluntary_ctxt_switches") +
               _kib(p, "status", "nonvoluntary_ctxt_switches")
               for p in tree(pid))


def pin(cpus):
    """For preexec_fn: run on these CPUs; None is all."""
    def set_cpus():
        if cpus is not None:
            os.sched_setaffinity(0, cpus)
    return set_cpus


ALL_CPUS = os.sched_getaffinity(0)


def move(pid, cpus):
    """All its threads and children to these CPUs; None: to all."""
    for p in tree(pid):
        for task in os.listdir(f"/proc/{p}/task"):
            os.sched_setaffinity(int(task), cpus or ALL_CPUS)


class Load:
    """One run of ab: requests per second, p50 and p99 in ms, what failed."""

    def __init__(self, url, n, concurrency, size, cpus=None, keeps=False):
        with tempfile.NamedTemporaryFile("r", encoding="ascii") as csv:
            self.text = subprocess.run(
                ["ab", "-q", "-r", *(["-k"] if keeps else []), "-s", "60",
                 "-e", csv.name, "-n", str(n), "-c",
                 str(min(concurrency, n)), url], text=True, check=False,
                preexec_fn=pin(cpus), stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT).stdout
            self.times = csv.read()
        time.sleep(0.02)    # for those who still close the last connections
        self.done = self._number("Complete requests")
        self.rate = self._number("Requests per second")
        self.p50 = self._percentile(50)
        # From too few, ab reads the last percentiles behind its table.
        self.p99 = self._percentile(99) if n > 50 else self._number(" 100%")
        self.failed = n - self.done + self._number("Failed requests") + \
            self._number("Non-2xx responses")
        if self._number("Document Length") != size or \
                keeps and self._number("Keep-Alive requests") != n:
            self.failed = n

    def _number(self, name):
        found = re.search(rf"^{name}:? +([\d.]+)", self.text, re.M)
        return float(found[1]) if found else 0.0

    def _percentile(self, percent):
        found = re.search(rf"^{percent},([\d.]+)", self.times, re.M)
        return float(found[1]) if found else 0.0
