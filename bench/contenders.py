# See LICENSE for copyright and license details.
"""Everything the benchmark starts: the backend, and who stands before it."""
import contextlib
import glob
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import measure

BUILD = "build"

APACHE = """
ServerRoot {dir}
PidFile {dir}/apache.pid
DefaultRuntimeDir {dir}
Mutex pthread
Listen 127.0.0.1:{port[0]}
ServerName localhost
ErrorLog {dir}/apache.log
LogLevel warn
{modules}
{user}
ServerLimit 1
StartServers 1
ThreadsPerChild 64
MaxRequestWorkers 64
MinSpareThreads 1
MaxSpareThreads 64
ProxyPass /flush fd://flush
"""

# Without temporary files, so that no disk is measured.
NGINX = """
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/nginx.log;
worker_processes 1;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    proxy_max_temp_file_size 0;
    client_body_temp_path {dir}/t1;
    proxy_temp_path {dir}/t2;
    {paths}
    upstream kept {{ server unix:{dir}/http; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port[0]} backlog=4096;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location / {{ proxy_pass http://kept; }}
    }}
    server {{
        listen 127.0.0.1:{port[1]} backlog=4096;
        location / {{ proxy_pass http://unix:{dir}/http; }}
    }}
}}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 2000
defaults
    mode http
    timeout client 60s
    timeout connect 60s
    timeout server 60s
frontend kept
    bind 127.0.0.1:{port[0]} backlog 4096
    default_backend kept
backend kept
    http-reuse always
    server s unix@{dir}/http
frontend closed
    bind 127.0.0.1:{port[1]} backlog 4096
    default_backend closed
backend closed
    server s unix@{dir}/http
frontend spliced
    bind 127.0.0.1:{port[2]} backlog 4096
    default_backend spliced
backend spliced
    http-reuse always
    option splice-response
    server s unix@{dir}/http
"""


class Missing(Exception):
    """A server is not installed, or does not start."""


class Server:
    """A running program with its children.  The first lines of its output
    may say where it listens."""

    running = []

    def __init__(self, argv, lines=0, cpus=None, log=None):
        try:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stderr=log, text=True,
                stdout=subprocess.PIPE if lines else subprocess.DEVNULL,
                start_new_session=True, preexec_fn=measure.pin(cpus))
        except OSError as e:
            raise Missing(f"{argv[0]}: {e.strerror}") from e
        self.running.append(self)
        self.pid = self.process.pid
        self.ports = []
        self.workers = ()       # the sockets where it expects them
        for _ in range(lines):
            line = self.process.stdout.readline()
            if not line:
                self.stop()
                raise Missing(f"{argv[0]} ended with "
                              f"{self.process.returncode}")
            self.ports.append(int(line.rpartition(":")[2]))

    def stop(self):
        """SIGTERM, and what is left of its session SIGKILL."""
        with contextlib.suppress(OSError):      # it has ended
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        self.running.remove(self)


def stop_all():
    """Whatever has happened, and whatever comes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for server in Server.running[:]:
        server.stop()


class Backend(Server):
    """bench/backend.c"""

    def __init__(self, folder, cpus=None):
        super().__init__([f"{BUILD}/bench-backend", folder], 1, cpus)

    def body(self, size):
        """From now on it sends this many bytes."""
        self._say(size)

    def work(self, path):
        """It is a worker there, of the kind that the path ends with."""
        self._say(path)

    def _say(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        if not self.process.stdout.readline():
            raise Missing("the backend has ended")


class Contender:
    """A server by one of its URLs."""

    def __init__(self, name, server, port, path="", keeps=False,
                 gives=False):
        self.name = name
        self.server = server
        self.keeps = keeps      # the client's connection
        self.gives = gives      # clients away; no relay
        self.host = f"127.0.0.1:{port}"
        self.path = f"/{path}"
        self.url = f"http://{self.host}{self.path}"

    def answers(self, size):
        """Whether it serves the body."""
        connection = http.client.HTTPConnection(self.host, timeout=10)
        connection.request("GET", self.path)
        answer = connection.getresponse()
        length = len(answer.read())
        connection.close()
        return answer.status == 200 and length == size


def fdproxy(folder, binary="./fdproxy", cpus=None, more=()):
    """One fdproxy, with a route for each mode."""
    return Server([binary, "-1", "-l", "127.0.0.1:0", "-c", "LogLevel warn",
                   "-r", f"/flush={folder}/flush",
                   "-r", f"/none={folder}/none,flusher=none",
                   "-r", f"/held={folder}/flush,flushpackets=off", *more], 1,
                  cpus)


def floor(folder, cpus=None):
    """bench/floor.c, the same."""
    return Server([f"{BUILD}/bench-floor", f"flush={folder}/flush",
                   f"none={folder}/none"], 2, cpus)


WAYS = ("flush", "none", "back", "keep")


def fdproxy_workers(folder, cpus=None):
    """One fdproxy, with a worker of each kind."""
    routes = [f"/{way}=workers:{folder}/proxy.{way},wait=5,flusher=" +
              ("flush" if way == "flush" else "none") for way in WAYS]
    server = Server(["./fdproxy", "-1", "-l", "127.0.0.1:0", "-c",
                     "LogLevel warn"] + [x for r in routes
                                         for x in ("-r", r)], 1, cpus)
    server.workers = [f"{folder}/proxy.{way}" for way in WAYS]
    return server


def floor_workers(folder, cpus=None):
    """The same; what the worker keeps is none of its business."""
    ways = WAYS[:3]
    server = Server([f"{BUILD}/bench-floor"] + [
        ("flush" if way == "flush" else "none") +
        f"-ask={folder}/floor.{way}" for way in ways], len(ways), cpus)
    server.workers = [f"{folder}/floor.{way}" for way in ways]
    return server


def _free_ports(n):
    """For servers that cannot choose: free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _find(*names):
    """The path of a program that may be outside of $PATH."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    for name in names:
        if shutil.which(name, path=path):
            return shutil.which(name, path=path)
    raise Missing("not installed")


def _output(*argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, check=False,
                          stderr=subprocess.STDOUT, text=True).stdout


def _configured(folder, name, text, argv, cpus, **values):
    """Write the configuration, start, and wait until all ports answer."""
    ports = _free_ports(3)
    conf = f"{folder}/{name}.conf"
    with open(conf, "w", encoding="utf-8") as f:
        f.write(text.format(dir=folder, port=ports, **values))
    with open(f"{folder}/{name}.err", "w+", encoding="utf-8") as err:
        server = Server([*argv, conf], 0, cpus, err)
    server.ports = [p for i, p in enumerate(ports) if f"{{port[{i}]}}" in text]
    limit = time.monotonic() + 10
    for port in server.ports:
        while not _listens(port):
            if server.process.poll() is not None or time.monotonic() > limit:
                server.stop()
                with open(f"{folder}/{name}.err", encoding="utf-8") as err:
                    why = " ".join(err.read().split())
                raise Missing(f"does not start: {why}")
            time.sleep(0.02)
    return server


def _listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def apache(folder, cpus=None):
    """Apache with mod_proxy_fdpass."""
    binary = _find("apache2", "httpd")
    found = [m for where in ("/usr/lib*/apache2/modules", "/usr/lib*/httpd/"
                             "modules", "/usr/lib*/apache2",
                             "/usr/libexec/apache2", "/usr/local/*/apache2*")
             for m in glob.glob(where + "/mod_proxy_fdpass.so")]
    if not found:
        raise Missing("mod_proxy_fdpass is not installed")
    at = os.path.dirname(found[0])
    modules = "\n".join(
        f"LoadModule {name}_module {at}/mod_{name}.so"
        for name in ("mpm_event", "unixd", "authz_core", "proxy",
                     "proxy_fdpass")
        if os.path.exists(f"{at}/mod_{name}.so"))
    user = "User nobody\nGroup #65534" if os.geteuid() == 0 else ""
    return _configured(folder, "apache", APACHE, [binary, "-DFOREGROUND",
                       "-f"], cpus, modules=modules, user=user)


def nginx(folder, cpus=None):
    """nginx, with and without connections to the backend that are kept."""
    binary = _find("nginx")
    built = _output(binary, "-V")
    paths = " ".join(f"{m}_temp_path {folder}/{m};"
                     for m in ("fastcgi", "scgi", "uwsgi")
                     if f"--without-http_{m}_module" not in built)
    user = "user root;" if os.geteuid() == 0 else ""
    return _configured(folder, "nginx", NGINX, [binary, "-c"], cpus,
                       paths=paths, user=user)


def haproxy(folder, cpus=None):
    """HAProxy, the same."""
    return _configured(folder, "haproxy", HAPROXY,
                       [_find("haproxy"), "-db", "-f"], cpus)


# What is started; what its URLs are called, the numbers of their ports, their
# paths, and whether the client's connection is kept, too.
SERVERS = (
    ("floor", floor, (("floor, flush", 0, ""), ("floor, none", 1, ""))),
    ("floor, workers", floor_workers, (
        ("floor, workers, flush", 0, ""), ("floor, workers, none", 1, ""),
        ("floor, hand-back", 2, "", True))),
    ("fdproxy", fdproxy, (("fdproxy, flush", 0, "flush"),
                          ("fdproxy, flushpackets=off", 0, "held"),
                          ("fdproxy, none", 0, "none"))),
    ("fdproxy, workers", fdproxy_workers, (
        ("fdproxy, workers, flush", 0, "flush"),
        ("fdproxy, workers, none", 0, "none"),
        ("fdproxy, hand-back", 0, "back", True),
        ("fdproxy, peek and keep", 0, "keep", True))),
    ("fdproxy (poll)",
     lambda folder, cpus: fdproxy(folder, f"{BUILD}/fdproxy-poll", cpus),
     (("fdproxy (poll), flush", 0, "flush"),
      ("fdproxy (poll), none", 0, "none"))),
    ("Apache", apache, (("Apache mod_proxy_fdpass", 0, "flush"),)),
    ("nginx", nginx, (("nginx, keep-alive", 0, ""), ("nginx", 1, ""),
                      ("nginx, kept", 0, "", True))),
    ("HAProxy", haproxy, (("HAProxy, keep-alive", 0, ""), ("HAProxy", 1, ""),
                          ("HAProxy, keep-alive, splice", 2, ""),
                          ("HAProxy, kept", 0, "", True))),
)


def start(folder, backend, wanted, cpus):
    """All contenders that are there and serve, and why others are not."""
    contenders = [Contender("direct", backend, backend.ports[0]),
                  Contender("direct, kept", backend, backend.ports[0], "",
                            True)]
    missing = {}
    backend.body(13)
    for name, make, urls in SERVERS:
        if wanted and not any(w in name.lower() for w in wanted):
            continue
        try:
            server = make(folder, cpus=cpus)
            for path in server.workers:
                backend.work(path)
        except Missing as e:
            missing[name] = str(e)
            continue
        gives = name not in ("nginx", "HAProxy")
        mine = [Contender(u, server, server.ports[port], *rest, gives=gives)
                for u, port, *rest in urls]
        try:
            if not all(c.answers(13) for c in mine):
                raise OSError("a wrong answer")
        except (OSError, http.client.HTTPException) as e:
            server.stop()
            missing[name] = f"does not serve: {e}"
            continue
        contenders += mine
    return contenders, missing


def versions():
    """Of everything that takes part."""
    def first(pattern, *argv):
        try:
            found = re.search(pattern, _output(_find(argv[0]), *argv[1:]))
        except Missing:
            return None
        return found[0] if found else "?"

    all_of = {
        "fdproxy": _output("./fdproxy", "-V").split(maxsplit=1)[1].strip(),
        "commit": first(r"(?m)^[\w.-]+$", "git", "describe", "--always",
                        "--dirty"),
        "ab": first(r"(?<=Version )\S+", "ab", "-V"),
        "Apache": first(r"(?<=Apache/)\S+", "apache2", "-v") or
        first(r"(?<=Apache/)\S+", "httpd", "-v"),
        "nginx": first(r"(?<=nginx/)\S+", "nginx", "-v"),
        "HAProxy": first(r"(?<=version )\S+", "haproxy", "-v"),
        "built by": first(r".+", "cc", "--version"),
    }
    return {k: v for k, v in all_of.items() if v}
