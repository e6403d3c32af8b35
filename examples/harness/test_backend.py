"""A test of a backend, for pytest: behind the real front end, and fdfault,
which does one thing wrong on purpose.

    FDPROXY=./fdproxy FDFAULT=./fdfault pytest test_backend.py

BACKEND is the backend's command; it gets the path of its socket as one
argument more.  Default: the example in Python.
"""
import contextlib, http.client, json, os, pathlib, shlex, subprocess, sys

FDPROXY = os.environ.get("FDPROXY", "fdproxy")
FDFAULT = os.environ.get("FDFAULT", "fdfault")
EXAMPLE = pathlib.Path(__file__).resolve().parent.parent / "backend.py"
BACKEND = (shlex.split(os.environ.get("BACKEND", "")) or
           [sys.executable, EXAMPLE])


@contextlib.contextmanager
def running(command, **how):
    with subprocess.Popen(command, **how) as process:
        try:
            yield process
        finally:
            process.kill()


def get(address):
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", "/")
    response = connection.getresponse()
    return response.status, response.read()


def test_a_lost_descriptor(tmp_path):
    said = tmp_path / "backend"
    read, write = os.pipe()
    # What comes between: the second hand-off loses its descriptor.  The
    # backend need not be there yet.
    fault = running([FDFAULT, "nofd@2", tmp_path / "f",
                     tmp_path / "s"],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    # The front end, on a free port, which is all that it prints.  After the
    # third hand-off it ends, or after 20 seconds.
    front = running([FDPROXY, "-1", "-l", "127.0.0.1:0", "-n3", "-T20",
                     "-c", f"CustomLog fd:{write} json",
                     "-r", f"/={tmp_path}/f,wait=10s"],
                    stdout=subprocess.PIPE, text=True, pass_fds=[write])
    with fault, front as front, said.open("w") as err:
        os.close(write)
        address = front.stdout.readline().strip()
        with running([*BACKEND, tmp_path / "s"], stderr=err):
            # The client's side.
            first = get(address)
            assert first[0] == 200 and first[1]
            assert get(address) == (200, b"")
            assert get(address) == first
            # The front end ends by itself.
            assert front.wait(10) == 0
    # The backend's side: it has noticed, and says so.
    assert "a client was lost" in said.read_text()
    # What the front end did.
    with os.fdopen(read) as lines:
        events = [json.loads(line) for line in lines]
    assert [e["id"] for e in events if e["event"] == "passed"] == [1, 2, 3]
    assert not [e for e in events if e["event"] == "error"]
