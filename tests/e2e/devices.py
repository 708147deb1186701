"""Devices of the lab that a test makes into a cluster: each a network namespace on emulated Wi-Fi with a home of its own; node,
engine, model and sockets are the real ones.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from harness import BIN, DEADLINE, run, wait_for
from lab import Lab, check_machine

MODEL = "smollm2-135m"
QUESTION = {"messages": [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}],
            "temperature": 0, "max_tokens": 24}


def model_file():
    """The demo's model, pulled once."""
    pulled = run("models", "pull", MODEL)
    assert pulled.returncode == 0, pulled.stderr
    return Path(json.loads(run("models", "path", MODEL, "--json").stdout)["path"])


class Device:
    """One device of the lab, with a home of its own."""

    def __init__(self, test, number, memory="900M"):
        self.lab, self.number, self.memory, self.name = test.lab, number, memory, f"phone-{number}"
        self.home = test.folder / self.name
        (self.home / "models").mkdir(parents=True)
        shutil.copy(test.speed, self.home / "speed.json")
        self.env = {**self.lab.environment(), "CARAVAN_HOME": str(self.home)}

    def give(self, model, name=None):
        path = self.home / "models" / (name or model.name)
        path.hardlink_to(model)
        return str(path)

    def caravan(self, *args, code=0):
        done = self.lab.run(self.number, [BIN, *args], timeout=DEADLINE, env=self.env)
        if done.returncode != code:
            raise AssertionError(f"{self.name}: caravan {' '.join(args)}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.log()}")
        return done.stdout

    def popen(self, *args):
        return self.lab.popen(self.number, [BIN, *args], env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)

    def up(self, *args):
        self.caravan("up", "-d", "--name", self.name, "--memory", self.memory, *args)

    def stop(self):
        self.caravan("stop")

    def kill(self):
        """As if its battery had been taken out: everything that runs there at once, so that the node cannot tell anybody."""
        for pid in sorted(self.lab.pids(self.number)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def log(self):
        path = self.home / "node.log"
        return path.read_text()[-3000:] if path.exists() else ""

    def view(self):
        return json.loads(self.caravan("status", "--json"))

    def device(self, name):
        return next((one for one in self.view()["devices"] if one["name"] == name), None)

    def is_linked_to(self, *names):
        linked = {one["name"] for one in self.view()["devices"] if one.get("linked")}
        return set(names) <= linked

    def serving(self):
        deployments = self.view()["deployments"]
        return bool(deployments) and all(one["stage"] == "serving" for one in deployments)

    def engine_pids(self):
        """Of its llama-server."""
        found = []
        for pid in sorted(self.lab.pids(self.number)):
            try:
                if Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == "llama-server":
                    found.append(pid)
            except OSError:
                pass  # it has just ended
        return found

    def call(self, path, body=None):
        """(status, reply) of this device's own API."""
        script = ("import sys,urllib.error,urllib.request\n"
                  "r=urllib.request.Request('http://127.0.0.1:8080'+sys.argv[1],sys.argv[2].encode() or None,"
                  "{'Content-Type':'application/json'})\n"
                  "try: a=urllib.request.urlopen(r,timeout=100)\n"
                  "except urllib.error.HTTPError as e: a=e\n"
                  "print(a.status,a.read().decode())")
        done = self.lab.run(self.number, [sys.executable, "-c", script, path, json.dumps(body) if body else ""], timeout=DEADLINE)
        status, reply = done.stdout.split(" ", 1)
        return int(status), json.loads(reply)

    def ask(self, question=None):
        """(status, answer) through this device's own API."""
        script = ("import json,sys,urllib.request\n"
                  "r=urllib.request.Request('http://127.0.0.1:8080/v1/chat/completions',sys.argv[1].encode(),"
                  "{'Content-Type':'application/json'})\n"
                  "print(json.load(urllib.request.urlopen(r,timeout=100))['choices'][0]['message']['content'])")
        done = self.lab.run(self.number, [sys.executable, "-c", script, json.dumps(question or QUESTION)], timeout=DEADLINE)
        return done.stdout.strip() if done.returncode == 0 else None


def prepare(test):
    """For a class of tests: the model, a folder for the devices' homes, and in it the speed of this machine."""
    check_machine()
    test.model = model_file()
    test._folder = tempfile.TemporaryDirectory(dir=test.model.parent)  # hard links need the same file system
    test.addClassCleanup(test._folder.cleanup)
    test.folder = Path(test._folder.name)
    measured = run("calibrate", "--quick", "--threads", "1", env={"CARAVAN_HOME": str(test.folder)})
    assert measured.returncode == 0, measured.stderr
    test.speed = test.folder / "speed.json"


class DevicesTest(unittest.TestCase):
    """A lab of four devices for each test; the model is pulled, and the speed measured, once."""

    @classmethod
    def setUpClass(cls):
        prepare(cls)

    def setUp(self):
        self.lab = Lab(profile="wifi5", devices=4)
        self.lab.__enter__()
        self.addCleanup(self.lab.close)
        self.homes = []

    def device(self, number, **options):
        for old in self.folder.glob(f"phone-{number}"):
            shutil.rmtree(old)
        device = Device(self, number, **options)
        self.addCleanup(device.kill)
        return device

    def join_by_digits(self, owner, joiner):
        """Both screens show the same six digits; one key press at the owner lets the other in."""
        invite = owner.popen("invite")
        join = joiner.popen("join", "--name", joiner.name)
        shown = ""
        for line in join.stdout:
            shown += line
            if re.search(r"\d{3} \d{3}", line):
                break
        digits = re.search(r"\d{3} \d{3}", shown)
        self.assertIsNotNone(digits, shown)
        told = ""
        while digits.group() not in told or "[y/N]" not in told:
            piece = invite.stdout.read(1)
            self.assertTrue(piece, told)
            told += piece
        invite.stdin.write("y")
        invite.stdin.flush()
        self.assertEqual(join.wait(DEADLINE), 0, shown + join.stdout.read() + joiner.log())
        self.assertEqual(invite.wait(DEADLINE), 0, told + invite.stdout.read())
        for process in (invite, join):
            process.stdin.close()
            process.stdout.close()

    def join_by_code(self, owner, joiner):
        code = json.loads(owner.caravan("invite", "--code", "--json"))["code"]
        joiner.caravan("join", code, "--name", joiner.name)
        return code

    def wait_linked(self, *devices):
        for device in devices:
            others = [other.name for other in devices if other is not device]
            wait_for(lambda device=device, others=others: device.is_linked_to(*others), f"{device.name} to be linked", 30)
