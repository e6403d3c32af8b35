# See LICENSE for copyright and license details.
"""Long runs, each bounded in time:

    stress.py [-s SEED] SECONDS [killing] [schedules] [renewals]

killing     Workers are killed, and started again, under load: no more clients
            fail than the killed ones had been given and had not finished, or
            fdproxy says it has reset.  Workers that end by themselves lose
            none.
schedules   Random requests on kept connections, over two workers, several at
            a time, with bodies: each is answered by its route, and in order.
renewals    Under load, with clients that are kept, that wait and that have
            sent half a head: all are served, by the same process.

Each part has that many seconds, or a little more.  What fails is told with the
seed that does the same again; of a schedule, that is this one schedule alone.
"""
import argparse, contextlib, itertools, os, random, re, shutil, signal, socket
import struct, subprocess, sys, tempfile, threading, time

from workers import Client, check, make

BUILD = os.path.abspath("build")
WORKER = BUILD + "/stress_worker"
PATIENCE = 60
WAITS = "wait=5min,connectiontimeout=5min"
GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
failures = []


def report(what, numbers, wrong):
    print("%-5s %s: %s" % ("FAIL" if wrong else "ok", what, numbers))
    for text in wrong[:10]:
        print("      " + text)
    sys.stdout.flush()
    failures.extend(wrong)


class World:
    """A folder, fdproxy in it, and workers; all end with it."""
    def __init__(self, program, *arguments):
        self.folder = tempfile.TemporaryDirectory(prefix="stress.")
        self.stack = contextlib.ExitStack()
        self.stack.callback(self.folder.cleanup)
        self.proxy = self.run(program, "-1", "-l", "127.0.0.1:0", "-c",
                              "KeepAliveTimeout 1h", "-c",
                              "RequestReadTimeout header=1h", *arguments,
                              stdout=subprocess.PIPE)
        host, port = self.proxy.stdout.readline().decode().split(":")
        self.where = host, int(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def run(self, *command, **options):
        with open(self.path("log"), "ab") as log:
            process = subprocess.Popen(
                command, cwd=self.folder.name, stdin=subprocess.DEVNULL,
                stderr=log, **options)
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process

    def worker(self, name, promises=1, clients=0):
        return self.run(WORKER, name, name, str(promises), "counts",
                        str(clients))

    def counts(self):
        """Clients that workers have taken, and those that they finished."""
        with open(self.path("counts"), "rb") as file:
            return struct.unpack("QQ", file.read(16))

    def log(self):
        with open(self.path("log")) as file:
            return file.read()

    def status(self):
        client = Client(self.where)
        client.send(GET % b"/status")
        page = client.stream.read().decode()
        client.close()
        return {key: int(value) for key, value in
                re.findall(r"^(fdproxy\S+) (\d+)$", page, re.M)}

    def load(self, path, seconds, *options):
        return subprocess.Popen(
            ["ab", "-q", "-r", "-c", "50", "-t", "%d" % max(1, seconds), "-n",
             "100000000", *options, "http://%s:%d%s" % (*self.where, path)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def stop(self):
        """What was wrong with its end, if anything."""
        self.proxy.terminate()
        status = self.proxy.wait(PATIENCE)
        return ["fdproxy has ended with %d: %s" % (status, self.log())
                ] if status != 0 else []


def result(load):
    """Requests, and how many of them failed, of an ab that has ended."""
    text = load.communicate()[0]
    kinds = re.search(r"\(Connect: (\d+), Receive: (\d+), Length: (\d+), "
                      r"Exceptions: (\d+)\)", text)
    # One that fails may be counted as each of the last three.
    failed = [int(kind) for kind in kinds.groups()] if kinds else [0, 0]

    def number(label):
        found = re.search(label + r": *(\d+)", text)
        return int(found[1]) if found else 0
    return (number("Complete requests"), failed[0] + max(failed[1:]),
            number("Non-2xx responses"))


# ---- workers that are killed, or end ----

def settled(world):
    """What there is to count, once nobody works any more."""
    before = None
    while before != (now := world.counts()):
        before = now
        time.sleep(.5)
    status = world.status()
    return (sum(value for key, value in status.items()
                if key.startswith("fdproxy_handoffs_total")) - now[1],
            status["fdproxy_reset_total"])


def kill(name, killing, seconds, chance):
    with World(os.path.abspath("fdproxy"), "-r", "/status=status:", "-r",
               "/=workers:%s,%s,flusher=%s" %
               (name, WAITS, "flush" if name == "flush" else "none")) as world:

        def start():
            return world.worker(name, chance.choice((1, 16)), 0 if killing
                                else chance.randrange(20, 400))
        workers = [start() for _ in range(4)]
        load = world.load("/", seconds, *(["-k"] if name == "keep" else []))
        ends = 0
        while load.poll() is None:
            time.sleep(.1 if killing else .005)
            if killing:
                worker = chance.choice(workers)
                worker.kill()
                worker.wait()
            for i, worker in enumerate(workers):
                if worker.poll() is not None:
                    ends += 1
                    workers[i] = start()
        requests, failed, refused = result(load)
        lost, resets = settled(world)
        bound = lost + resets if killing else 0
        wrong = []
        if failed > bound or refused > 0 or lost > 0 and not killing:
            wrong = ["%d failed, of at most %d; %d refused" %
                     (failed, bound, refused)]
        if requests == 0 or ends == 0:
            wrong.append("nothing was done: " + world.log())
        report("workers %s, %s" % ("killed" if killing else "ending", name),
               "%d requests, %d ends, %d given and not finished, %d resets, "
               "%d failed" % (requests, ends, lost, resets, failed),
               wrong + world.stop())


def killing(seconds, seed):
    for do in True, False:
        for name in "flush", "stress", "keep":
            kill(name, do, seconds / 6, random.Random(seed))


# ---- schedules ----

SIZES = 0, 1, 100, 10000, 1 << 18, 1 << 20
ENDINGS = {
    None: None,
    "no": re.compile(rb"HTTP/1.1 404 .*\r\n\r\nThere is nothing .*\n", re.S),
    "flush": re.compile(rb"HTTP/1.1 200 .*\r\n\r\na body\n", re.S),
    "plain": re.compile(rb"HTTP/1.1 200 .*\r\n\r\nplain\n", re.S),
}


def send(client, data, chance):
    """In pieces, the first of which may end within a head."""
    cuts = [chance.randrange(len(data)) for _ in range(chance.randrange(3))]
    cuts.append(min(len(data), chance.randrange(100)))
    for start, end in itertools.pairwise([0, *sorted(cuts), len(data)]):
        client.send(data[start:end])
        time.sleep(chance.choice((0, 0, .001, .01)))


def schedule(where, seed):
    """The number of requests; an exception says what was wrong."""
    chance = random.Random(seed)
    ending, client, done = chance.choice(list(ENDINGS)), Client(where), 0
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY,
                             chance.randrange(2))
    for left in reversed(range(chance.randrange(1, 5))):
        wanted, data = [], b""
        for _ in range(chance.randrange(4)):
            name = chance.choice(("stress-a", "epoll-b"))
            request, method, text = make(name, chance.randrange(1 << 30), b"",
                                         chance, SIZES)
            data += request
            wanted.append((method, name + text))
        if left == 0 and ending:
            data += GET % b"/%s" % ending.encode()
            done += 1
        if data:
            send(client, data, chance)
        for method, text in wanted:
            got, keep = client.receive(method)
            check(got, method, text)
            assert keep, "a connection was not kept"
        done += len(wanted)
    if ending:
        rest = client.stream.read()
        assert ENDINGS[ending].fullmatch(rest), (ending, rest)
    client.close()
    return done


def many(world, seeds, until):
    """Several at a time; how many, their requests, and what was wrong."""
    done, wrong, lock = [], [], threading.Lock()

    def run():
        while time.monotonic() < until and not wrong:
            with lock:
                seed = next(seeds)
            try:
                done.append(schedule(world.where, seed))
            except Exception as e:
                wrong.append("schedules, seed %s: %r" % (seed, e))
    threads = [threading.Thread(target=run) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(done), sum(done), wrong


def schedules(seconds, seed):
    builds = "test", "test-poll", "bsd"
    for build in builds:
        names = "stress-a", "epoll-b"
        routes = ["/%s=workers:%s,flusher=none,%s" % (name, name, WAITS)
                  for name in names]
        routes += ["/flush=workers:flush," + WAITS, "/plain=plain," + WAITS,
                   "/no=!", "/status=status:"]
        with World("%s/fdproxy-%s" % (BUILD, build),
                   *(word for route in routes for word in ("-r", route))
                   ) as world:
            for i in range(4):
                world.worker("stress-a", i + 1)
                world.worker("flush", 4)
            world.run(BUILD + "/worker_epoll", "epoll-b", "epoll-b")
            world.run(os.path.abspath("fdexec"), "plain", "echo", "plain")
            count, requests, wrong = many(
                world, itertools.repeat(seed) if "." in seed else
                ("%s.%d" % (seed, n) for n in itertools.count()),
                time.monotonic() + seconds / len(builds))
            returned = world.status()["fdproxy_returned_total"]
            if returned == 0:
                wrong.append("nothing was given back")
            report("schedules, %s" % build, "%d schedules, %d requests, %d "
                   "given back, %d wrong" % (count, requests, returned,
                                             len(wrong)),
                   wrong + world.stop())


# ---- renewals ----

def clients(where, n, data):
    all = [Client(where) for _ in range(n)]
    for client in all:
        client.send(data)
    return all


def served(kind, all, name):
    """What was wrong with those that must have their answer now."""
    wrong = []
    for client in all:
        try:
            check(client.receive("GET")[0], "GET", "%s GET /%s 127.0.0.1\n" %
                  (name, name))
        except Exception as e:
            wrong.append("a client that %s: %r" % (kind, e))
    return wrong


def renew(flusher, seconds, chance):
    request = GET % b"/stress"
    with World(os.path.abspath("fdproxy"), "-r", "/status=status:", "-r",
               "/late=workers:late,flusher=none,wait=1h", "-r",
               "/stress=workers:stress,flusher=none," + WAITS, "-r",
               "/flush=workers:flush," + WAITS) as world:
        for promises in 1, 1, 4, 16:
            world.worker("stress", promises)
            world.worker("flush", promises)
        kept = clients(world.where, 100, request)
        wrong = served("is kept", kept, "stress")
        waiting = clients(world.where, 40, GET % b"/late")
        halves = clients(world.where, 20, request[:30])
        load = world.load("/" + flusher, seconds, *(["-k"] if flusher ==
                                                    "stress" else []))
        renewals = 0
        while load.poll() is None:
            world.proxy.send_signal(chance.choice((signal.SIGHUP,
                                                   signal.SIGUSR2)))
            renewals += 1
            end = time.monotonic() + PATIENCE
            while world.log().count("notice: renewed: ") < renewals and (
                    time.monotonic() < end):
                used = chance.sample(kept, 3)
                for client in used:
                    client.send(request)
                wrong += served("is kept", used, "stress")
                time.sleep(chance.random() / 10)
        requests, failed, refused = result(load)
        if failed + refused > 0:
            wrong.append("%d failed, %d refused" % (failed, refused))
        for client in halves:
            client.send(request[30:])
        wrong += served("had sent half a head", halves, "stress")
        world.worker("late", 8)
        wrong += served("has waited", waiting, "late")
        for client in kept:
            client.send(request)
        wrong += served("is kept", kept, "stress")
        done = world.status()['fdproxy_reloads_total{result="ok"}']
        if done != renewals or world.proxy.poll() is not None:
            wrong.append("%d renewals of %d: %s" % (done, renewals,
                                                    world.log()))
        report("renewals, %s" % flusher, "%d requests, %d renewals, %d failed; "
               "100 kept, 40 waiting, 20 half heads" %
               (requests, done, failed), wrong + world.stop())


def renewals(seconds, seed):
    for flusher in "stress", "flush":
        renew(flusher, seconds / 2, random.Random(seed))


def main():
    parts = {part.__name__: part for part in (killing, schedules, renewals)}
    parser = argparse.ArgumentParser()
    parser.add_argument("-s", dest="seed",
                        default=str(random.randrange(1000000)))
    parser.add_argument("seconds", type=float)
    parser.add_argument("parts", nargs="*", choices=[[], *parts])
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for name in given.parts or parts:
        if name != "schedules" and not shutil.which("ab"):
            print("skip  %s: ab is not installed" % name)
            continue
        print("      %s, seed %s" % (name, given.seed), flush=True)
        parts[name](given.seconds, given.seed)
    sys.exit(bool(failures))


main()
