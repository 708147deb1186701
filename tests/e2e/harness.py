"""What the end-to-end tests share: start the real program, read its events, see what it leaves behind.

CARAVAN_BIN names the program. Nothing here is a stand-in: engine, model, sockets and processes are the real ones.
"""
import json
import os
import signal
import subprocess
import threading
import time
import unittest
import urllib.request
from pathlib import Path

BIN = os.environ.get("CARAVAN_BIN") or str(Path(__file__).resolve().parents[2] / "build" / "bin" / "caravan")
DEADLINE = 120  # seconds for anything; a machine with two busy cores is slow, a hang is a failure
CLEANUP = 5  # seconds after which nothing may be left over


def run(*args, env=None, timeout=DEADLINE):
    """Runs the program to its end."""
    return subprocess.run([BIN, *args], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
                          env={**os.environ, **(env or {})})


def processes():
    """{pid: (parent, command line)} of everything that runs."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state != "Z":
            found[int(entry.name)] = (int(parent), command)
    return found


def descendants(pid):
    """Living processes below `pid`, by pid."""
    everything = processes()
    below, grown = {pid}, True
    while grown:
        more = {child for child, (parent, _) in everything.items() if parent in below} - below
        below |= more
        grown = bool(more)
    return {child: everything[child][1] for child in below - {pid} if child in everything}


def wait_for(condition, what, timeout=DEADLINE):
    """Polls until `condition()` is true; its value. For what has no event: another process's death."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {timeout} s")


class Demo:
    """A running `caravan demo --json`, its events as they come."""

    def __init__(self, *args, env=None, temporary=None):
        environment = {**os.environ, **(env or {})}
        if temporary:
            environment["TMPDIR"] = str(temporary)
        self.process = subprocess.Popen([BIN, "demo", "--json", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL, text=True, env=environment)
        self.events = []
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._news:
                self.events.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for(self, name, timeout=DEADLINE):
        """The first event of that name."""
        end = time.monotonic() + timeout
        with self._news:
            while True:
                for event in self.events:
                    if event["event"] == name:
                        return event
                left = end - time.monotonic()
                if self._ended or left <= 0:
                    raise AssertionError(f"no event '{name}' in {self.events[-3:]}")
                self._news.wait(left)

    def all(self, name):
        with self._news:
            return [event for event in self.events if event["event"] == name]

    def first(self, name):
        return self.wait_for(name)

    def wait(self, timeout=DEADLINE):
        """Its exit code, once all of its output has been read."""
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def kill_if_running(self):
        if self.process.poll() is None:
            self.process.kill()
            self.wait()


def state_of(folder, device):
    """A node's state, asked over its control socket as the controller does."""
    import http.client
    import socket

    class UnixConnection(http.client.HTTPConnection):
        def connect(self):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(10)
            self.sock.connect(str(Path(folder) / device / "node.sock"))

    connection = UnixConnection("localhost")
    connection.request("GET", "/v1/state")
    body = connection.getresponse().read()
    connection.close()
    return json.loads(body)


def call(url, body=None, timeout=DEADLINE, method=None):
    """(status, body, headers) of one HTTP call."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            return reply.status, reply.read(), reply.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


class CaravanTest(unittest.TestCase):
    """Checks after each test that nothing of it is left."""

    def start_demo(self, *args, **kwargs):
        demo = Demo(*args, **kwargs)
        self.addCleanup(demo.kill_if_running)
        return demo

    def assert_nothing_left(self, family, folder, timeout=CLEANUP):
        """None of `family`'s processes lives, and their folder is gone."""
        def gone():
            return not [pid for pid in family if pid in processes()] and not Path(folder).exists()
        wait_for(gone, f"processes {sorted(family)} and {folder} to be gone", timeout)
