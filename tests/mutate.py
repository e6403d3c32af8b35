# See LICENSE for copyright and license details.
"""Whether the tests notice small defects in the sources.

    python3 tests/mutate.py [--seed N] [--count N] [--file PATTERN ...]
                            [--edits FILE] [--without FILE] [--jobs N]
                            [--near] [--list] [-v]

One at a time is made in a copy of the tree below build/ and compiled without
sanitizers; the suites run until one fails, the nearest first.  The sources are
laid end to end and cut into as many stretches as defects are wanted: they are
spread evenly over the lines.  Of a stretch, each kind is as likely as another.
What does not compile, or leaves the programs as they are, does not count:
another of its stretch is drawn; so it is for those that --without names, as
they are printed: somebody has seen that nobody could observe them.  Those of
--edits are a file's lines: JSON, ["file", "before", "after"].  With --near only
the nearest suites run, the quickest first: to be repeated with what is left.
Prints what nobody notices.  Linux only.
"""
import argparse
import ctypes
import glob
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

MAKE = ["make", "-s", "-j2", "SANITIZE=", "CFLAGS=-O1"]
jobs = 6                # suites at a time: tests wait most of the time

# As tests/run.sh has them: the builds that each runs against, but for the
# synopsis and the manual's programs.
E2E = {
    "": "fdexec fdaccept",
    "test-poll torture": "child log renew signals process service",
    "test-poll torture noalloc":
        "fault reply backend worker harness pass limits",
}
UNITS = ("http_parse text clock log sock route poller poller_poll fdpass "
         "flush config status conn listen proc worker fdaccept fdbackend")
REPLAYS = "http_parse route config fdaccept_head fdexec"

# What is nearest to a module, beside a unit test of its name.
NEAREST = {
    "unit_config replay_config": "config config_read config_route",
    "unit_conn": "backend event flush reply request serve slot worker",
    "unit_fdaccept e2e_fdaccept":
        "fdaccept fdaccept_head fdaccept_port fdaccept_run",
    "unit_poller": "poller_epoll",
    "unit_poller_poll e2e_pass:test-poll": "poller_poll",
    "unit_status": "stats",
    "e2e_backend": "backend",
    "e2e_child": "child",
    "e2e_failing:failing": "fdproxy listen loop renew super",
    "e2e_fault": "fdfault",
    "e2e_fdexec replay_fdexec": "fdbackend fdexec fdexec_cgi fdexec_relay",
    "e2e_harness": "fdproxy health loop",
    "e2e_limits": "accept backend conn serve slot",
    "e2e_log": "event log stats status",
    "e2e_pass": "accept conn loop poller poller_epoll",
    "e2e_process": "fdproxy health listen proc sock super",
    "e2e_renew": "accept listen loop renew",
    "e2e_reply": "conn reply request",
    "e2e_service": "fdproxy proc super",
    "e2e_signals": "child loop proc",
    "e2e_worker": "accept backend fdpass worker",
}


# ---- suites ----

class Suite:
    def __init__(self, name, build, **env):
        self.name, self.usual = name, 0
        self.argv = self.targets = ["build/" + name]
        if name.startswith("replay_"):
            self.argv = self.argv + ["tests/corpus/" + name[7:]]
        if build:
            self.name += ":" + build
        if name.startswith("e2e_"):
            env["FDPROXY"] = "fdproxy-" + (build or "test")
            env = {key: "build/" + value for key, value in env.items()}
            # The program itself stays as it is.
            self.targets = [*env.values(), "build/libfdaccept.so"]
        self.env = dict(os.environ, CK_FORK="no", CK_VERBOSITY="silent",
                        CK_TAP_LOG_FILE_NAME="-", **env)

    def start(self, *test):
        self.began = time.monotonic()
        self.output = tempfile.TemporaryFile()
        to = self.output.fileno()
        return os.posix_spawn(
            self.argv[0], [*self.argv, *test], self.env, setsid=True,
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                          (os.POSIX_SPAWN_DUP2, to, 1),
                          (os.POSIX_SPAWN_DUP2, to, 2)])

    def took(self):
        return time.monotonic() - self.began

    def verdict(self, status):
        """What is wrong, and which test; the status is None while it runs."""
        text = os.pread(self.output.fileno(), 1 << 20, 0).decode("latin-1")
        failed = re.search(r"^not ok .*?:\w+:(\w+): .*", text, re.M)
        if failed:
            return failed[0], failed[1]
        if status:
            return "ended with %d" % status, None
        if self.usual and self.took() > 60 + 5 * self.usual:
            return "hangs", None
        return None


def kill_all(leaders):
    """And all that came of them: orphans are children of ours."""
    for pid in leaders:
        try:
            folder = os.readlink("/proc/%d/cwd" % pid)
            if folder.startswith("/tmp/"):
                shutil.rmtree(folder, ignore_errors=True)
            os.killpg(pid, signal.SIGKILL)
        except OSError:
            pass            # it has just ended
    try:
        while True:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            with open("/proc/thread-self/children") as f:
                for pid in f.read().split():
                    os.kill(int(pid), signal.SIGKILL)
    except ChildProcessError:
        pass


def run(waiting, *test):
    """Take suites, the last one first, until one fails: which, and why."""
    running = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                suite = waiting.pop()
                running[suite.start(*test)] = suite
            time.sleep(0.02)
            # Orphans as well, at once: a test may wait until one is gone.
            ended, pid = {}, True
            while pid and running.keys() - ended.keys():
                pid, status = os.waitpid(-1, os.WNOHANG)
                ended[pid] = status
            for pid, suite in list(running.items()):
                verdict = suite.verdict(ended.get(pid))
                if verdict:
                    del running[pid]
                    return (suite, *verdict)
                if pid in ended:
                    suite.usual = suite.usual or suite.took()
                    del running[pid]
        return None
    finally:
        waiting += running.values()
        kill_all(running)


def notice(suites, quickest=False):
    """What fails, and fails again where that may have been chance."""
    waiting = sorted(suites, key=lambda s: s.usual, reverse=quickest)
    while True:
        found = run(waiting)
        if not found:
            return None
        suite, why, test = found
        again = [test] if test else []
        if why == "hangs" or run([suite], *again) or run([suite]):
            return "%s: %s" % (suite.name, why)
        print("(once only: %s: %s)" % (suite.name, why), flush=True)


# ---- defects ----

CONDITION = r"\b((?:if|while) \()%s([^{};]*?)\)(?=(?: \{)?$)"
STATEMENT = r"(?!return;|break|continue|(?:\w+ )+\*?\w)(\w[^;{}\n]*;)$"

# Kind, where, and what may stand there instead.
KINDS = [
    ("comparison", r"(?<= )<(?= )", "<=", ">="),
    ("comparison", r"(?<= )<=(?= )", "<", ">"),
    ("comparison", r"(?<= )>(?= )", ">=", "<="),
    ("comparison", r"(?<= )>=(?= )", ">", "<"),
    ("comparison", r"(?<= )==(?= )", "!="),
    ("comparison", r"(?<= )!=(?= )", "=="),
    ("constant", r"(?<![\w.])(?:0x[0-9A-F]+|[0-9]+)[UL]*\b",
     "({0} + 1)", "({0} - 1)", "({0} * 2)"),
    ("call", r"(?<=\t)(?:\(void\))?(?!if|while|for|switch|return)"
     r"\w+\([^;{}]*\);$", ";"),
    ("error", r"return -1;", "return 0;"),
    ("error", r"return false;", "return true;"),
    ("error", r"goto \w+;", ";"),
    ("error", r"errno [=!]= E\w+", "1", "0"),
    ("error", CONDITION % "(?=[^{};]*(?:== -1|== NULL|< 0))",
     "{1}0 && ({2}))", "{1}1 || ({2}))"),
    ("swap", r"^(\t+)" + STATEMENT + r"\n\1" + STATEMENT, "{1}{3}\n{1}{2}"),
    ("logic", r"&&", "||"),
    ("logic", r"\|\|", "&&"),
    ("negation", CONDITION % "", "{1}!({2}))"),
]


def masked(text):
    """The same without what comments, strings and the preprocessor have."""
    return re.sub(r"""/\*.*?\*/|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])+'|"""
                  r"^#(?!define \w+\s+\d+\b)(?:\\\n|[^\n])*",
                  lambda m: re.sub(r"\S", "_", m[0]), text,
                  flags=re.S | re.M)


class Defect:
    def __init__(self, path, text, start, end, kind, after):
        first = text.rfind("\n", 0, start) + 1
        last = text.find("\n", end)
        self.path = path
        self.line = text.count("\n", 0, start) + 1
        self.kind = kind
        self.text = text[:start] + after + text[end:]
        self.lines = (text[first:last],
                      text[first:start] + after + text[end:last])

    def __str__(self):
        return "%s:%d: %s: %s  ->  %s" % (
            self.path, self.line, self.kind,
            *(" ".join(lines.split()) for lines in self.lines))


def drawn(seed, count, patterns):
    """For each stretch, its defects in the order in which they are tried."""
    rnd = random.Random(seed)
    stretches = [{} for _ in range(count)]
    texts, lines = {}, 0
    for path in sorted(p for pattern in patterns for p in glob.glob(pattern)):
        texts[path] = open(path).read()
    total = sum(text.count("\n") for text in texts.values())
    for path, text in texts.items():
        for kind, where, *forms in KINDS:
            for m in re.finditer(where, masked(text), re.M):
                parts = [text[slice(*span)] for span in m.regs]
                d = Defect(path, text, *m.span(), kind,
                           rnd.choice(forms).format(*parts))
                stretch = stretches[(lines + d.line - 1) * count // total]
                stretch.setdefault(kind, []).append(d)
        lines += text.count("\n")
    for stretch in stretches:
        order = []
        while stretch:
            kind = rnd.choice(list(stretch))
            of_kind = stretch[kind]
            order.append(of_kind.pop(rnd.randrange(len(of_kind))))
            if not of_kind:
                del stretch[kind]
        yield order


def edited(name):
    for line in open(name):
        path, before, after = json.loads(line)
        text = open(path).read()
        start = text.find(before)
        if text.count(before) == 1:
            yield [Defect(path, text, start, start + len(before), "edit",
                          after)]
        else:
            print("%s: not there once: %s" % (path, before))


# ---- from the beginning ----

def make(targets):
    return subprocess.run([*MAKE, *targets], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def all_suites():
    suites = [Suite("unit_" + name, "") for name in UNITS.split()]
    suites += [Suite("replay_" + name, "") for name in REPLAYS.split()]
    for builds, names in E2E.items():
        suites += [Suite("e2e_" + name, build, FDEXEC="fdexec-test",
                         FDFAULT="fdfault-test", ACCEPTER="accepter",
                         LAUNCHER="fdaccept-test")
                   for name in names.split()
                   for build in ["", *builds.split()]]
    # The library is linked to that one, not preloaded.
    suites.append(Suite("e2e_fdaccept", "test", ACCEPTER="accepter-test"))
    # Of these builds alone.
    suites.append(Suite("e2e_pass", "keeps"))
    suites.append(Suite("e2e_failing", "failing"))
    return suites


def nearest(path, suites):
    module = os.path.basename(path)[:-2]
    names = ["unit_" + module] + [
        name for key, modules in NEAREST.items() if module in modules.split()
        for name in key.split()]
    return [s for s in suites if s.name in names]


def attempt(defect, suites, binaries, near_only):
    """What notices it, or None; "" if it does not count."""
    near = nearest(defect.path, suites)
    far = [s for s in suites if s not in near]
    with open(defect.path) as f:
        original = f.read()
    try:
        with open(defect.path, "w") as f:
            f.write(defect.text)
        targets = {t for s in near for t in s.targets}
        if not make(targets) or binaries.items() >= contents(targets).items():
            return ""
        found = notice(near, near_only)
        if found or near_only:
            return found
        make(binaries)
        return notice(far)
    finally:
        with open(defect.path, "w") as f:
            f.write(original)


def contents(paths):
    return {path: open(path, "rb").read() for path in paths}


def measure(order, without, near_only, verbose):
    suites = all_suites()
    if near_only:
        paths = {d.path for stretch in order for d in stretch}
        suites = [s for s in suites
                  if any(s in nearest(path, suites) for path in paths)]
    if not make({t for s in suites for t in [s.argv[0], *s.targets]}
                if near_only else ["tested"]):
        sys.exit("cannot be built as it is")
    found = notice(suites)
    if found:
        sys.exit("as it is: " + found)
    for suite in suites:
        suite.usual = suite.usual or 60         # it failed once
    binaries = contents({t for s in suites for t in s.targets})
    count = {True: 0, False: 0, "": 0}
    for stretch in order:
        for defect in stretch:
            by = "" if str(defect) in without else attempt(
                defect, suites, binaries, near_only)
            if by == "":
                count[by] += 1
                continue
            count[by is not None] += 1
            if verbose or by is None:
                print("%s\n    %s" % (defect, by or "SURVIVES"), flush=True)
            break
    print("%d noticed, %d survived, %d not counted" %
          (count[True], count[False], count[""]))


def main():
    global jobs
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--file", action="append", help="may be a pattern")
    parser.add_argument("--edits", help="these, instead of random ones")
    parser.add_argument("--without", default=os.devnull,
                        help="those that change nothing")
    parser.add_argument("--jobs", type=int, default=jobs)
    parser.add_argument("--near", action="store_true",
                        help="only the nearest suites")
    parser.add_argument("--list", action="store_true", help="only print")
    parser.add_argument("-v", action="store_true", help="print all")
    args = parser.parse_args()
    jobs = args.jobs
    with open(args.without) as f:
        without = f.read().splitlines()
    order = list(edited(args.edits) if args.edits else
                 drawn(args.seed, args.count,
                       args.file or ["*.c", "companions/*.c"]))
    if args.list:
        for stretch in order:
            print(stretch[0] if stretch else "(none)")
        return
    tree = os.path.abspath("build/mutate.%d" % os.getpid())
    ctypes.CDLL(None).prctl(36, 1)      # PR_SET_CHILD_SUBREAPER
    try:
        shutil.copytree(".", tree, symlinks=True, ignore=shutil.
                        ignore_patterns("build", ".git", "*.o", "*.to"))
        os.chdir(tree)
        measure(order, without, args.near, args.v)
    finally:
        kill_all([])
        shutil.rmtree(tree, ignore_errors=True)


main()
