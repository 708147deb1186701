"""The fabric: an unmodified llama-server loads the module, two real workers compute a real model's layers over loopback."""
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

from devices import model_file
from harness import BIN, DEADLINE, call, run, wait_for

MODULE = os.environ.get("CARAVAN_FABRIC_MODULE") or str(Path(BIN).parent / "libggml-caravan.so")
WORKER = os.environ.get("CARAVAN_WORKER") or str(Path(BIN).parent / "caravan-worker")
LAYER = re.compile(r"layer\s+(\d+) assigned to device (\S+),")
FAILED = re.compile(r"^caravan: stage (\d+) \((\w+)\) failed: .", re.MULTILINE)
FAILED_LINE = re.compile(r"^caravan: .*", re.MULTILINE)
DETECTION = 10  # seconds after which a lost or frozen worker has to be an error that the asker sees
TIMEOUT_MS = 3000
SHORT = "The capital of France is a city that"
LONG = " ".join(f"Item {i}: its value is {i * 7 % 13}." for i in range(40))  # many micro-batches
LAYERS = 30  # of the model
ANSWER = 300  # tokens of an answer that is long enough to be interrupted


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def processor_seconds(pid):
    """Of all its threads so far (proc(5), /proc/PID/stat, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Worker:
    def __init__(self, folder, name):
        self.name, self.port, self.folder = name, free_port(), folder
        self.key = secrets.token_hex(32)
        self.key_file = folder / f"{name}.key"
        self.key_file.touch(0o600)
        self.key_file.write_text(self.key)
        self.process = None

    def options(self):
        return []

    def start(self):
        with open(self.folder / f"{self.name}.log", "wb") as log:
            self.process = subprocess.Popen([WORKER, "--listen", f"127.0.0.1:{self.port}", "--key-file", str(self.key_file),
                                             "--threads", "1", *self.options()], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(self.listens, f"worker {self.name}; {self.log()}")

    def listens(self):
        return self.process.poll() is None and f"listening 127.0.0.1:{self.port}" in self.log()

    def log(self):
        return (self.folder / f"{self.name}.log").read_text(errors="replace")[-2000:]

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)


class Server:
    """llama-server with its log; `plan` None: alone."""

    def __init__(self, test, *options, plan=None):
        self.log_file = test.folder / f"server-{secrets.token_hex(4)}.log"
        self.port = free_port()
        environment = dict(os.environ)
        if plan:
            environment |= {"GGML_BACKEND_PATH": MODULE, "CARAVAN_FABRIC_PLAN": str(plan)}
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                [test.engine / "llama-server", "-m", test.model, "--host", "127.0.0.1", "--port", str(self.port), "-c", "2048",
                 "-np", "1", "-t", "1", "-ub", "64", "--cache-ram", "0", "-fit", "off", "--verbose", *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        test.addCleanup(self.kill)

    def log(self):
        return self.log_file.read_text(errors="replace")

    def until_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"llama-server ended with {self.process.returncode}\n{self.log()[-3000:]}")
            try:
                return call(f"http://127.0.0.1:{self.port}/health", timeout=5)[0] == 200
            except OSError:
                return False
        wait_for(ready, "llama-server to be ready")
        return self

    def request(self, prompt, tokens, **more):
        return {"prompt": prompt, "n_predict": tokens, "temperature": 0, "cache_prompt": False, "n_probs": 3, **more}

    def ask(self, prompt, tokens=32, timeout=DEADLINE):
        """(status, reply)"""
        status, body, _ = call(f"http://127.0.0.1:{self.port}/completion", self.request(prompt, tokens), timeout=timeout)
        return status, json.loads(body)

    def stream(self, prompt, tokens):
        """Each event as it comes."""
        body = json.dumps(self.request(prompt, tokens, stream=True)).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/completion", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=DEADLINE) as reply:
            for line in reply:
                kind, _, value = line.decode().strip().partition(": ")
                if kind in ("data", "error"):
                    yield json.loads(value)

    def stop(self):
        """Its exit code."""
        self.process.terminate()
        return self.process.wait(20)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


class FabricTest(unittest.TestCase):
    worker = Worker

    @classmethod
    def setUpClass(cls):
        cls.model = model_file()
        cls.engine = Path(json.loads(run("engine", "--json").stdout)["folder"])

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.workers = [self.worker(self.folder, name) for name in ("one", "two")]
        for worker in self.workers:
            self.addCleanup(worker.stop)
            worker.start()

    def plan(self, name="plan", **changes):
        one, two = self.workers
        stages = [{"name": w.name, "address": f"127.0.0.1:{w.port}", "key": w.key, "threads": 1} for w in (one, two)]
        stages[1]["peer"] = f"127.0.0.1:{two.port}"
        path = self.folder / f"{name}.json"
        path.touch(0o600)
        path.write_text(json.dumps({"stages": stages, "head": "master", "timeout_ms": TIMEOUT_MS, **changes}))
        return path

    def fabric(self, *options, **changes):
        return Server(self, "--device", "Caravan0,Caravan1", "-ngl", "99", "--tensor-split", "16,15", *options,
                      plan=self.plan(**changes))

    def alone(self):
        return Server(self, "--device", "none", "-ngl", "0").until_ready()

    def assert_same_answers(self, server, other):
        for prompt in (SHORT, LONG):
            (status, mine), (_, theirs) = server.ask(prompt), other.ask(prompt)
            self.assertEqual(status, 200, f"{mine} {[w.log() for w in self.workers]} {FAILED_LINE.findall(server.log())}")
            self.assertEqual(mine["content"], theirs["content"])
            for a, b in zip(mine["completion_probabilities"], theirs["completion_probabilities"], strict=True):
                self.assertAlmostEqual(a["logprob"], b["logprob"], delta=1e-5)

    def test_answers_equal_those_of_llama_server_alone(self):
        before = [processor_seconds(worker.process.pid) for worker in self.workers]
        server = self.fabric().until_ready()
        self.assert_same_answers(server, self.alone())
        placed = {int(layer): device for layer, device in LAYER.findall(server.log())}
        self.assertEqual([placed[i] for i in range(LAYERS)], ["Caravan0"] * 16 + ["Caravan1"] * 14)
        for worker, seconds in zip(self.workers, before, strict=True):
            self.assertGreater(processor_seconds(worker.process.pid) - seconds, 0.1, f"{worker.name} has computed")
        self.assertEqual(server.stop(), 0)

    def test_the_head_can_be_at_the_last_worker(self):
        alone = self.alone()
        for options in ([], ["-bs"]):
            with self.subTest(options=options):
                server = self.fabric(*options, head="worker").until_ready()
                if options:
                    self.assertEqual(server.ask(SHORT)[1]["content"], alone.ask(SHORT)[1]["content"])
                else:
                    self.assert_same_answers(server, alone)
                # Chosen on the master, from logits that the worker sends.
                asked = server.request("Is the sky blue? ", 8, grammar='root ::= "yes" | "no"')
                status, body, _ = call(f"http://127.0.0.1:{server.port}/completion", asked)
                self.assertEqual((status, json.loads(body)["content"] in ("yes", "no")), (200, True), body)
                self.assertEqual(server.stop(), 0)

    def test_workers_serve_the_next_master(self):
        texts = []
        for _ in range(3):
            server = self.fabric().until_ready()
            texts.append(server.ask(SHORT)[1]["content"])
            self.assertEqual(server.stop(), 0)
        self.assertEqual(len(set(texts)), 1)

    def hit_while_it_answers(self, server, whole, stage, how):
        """The stage is hit by the signal `how`. The asker gets an error, no wrong token before it, and the stage is named."""
        text, error, hit = "", None, None
        for event in server.stream(SHORT, ANSWER):
            if "content" not in event:
                error = event
                break
            self.assertFalse(event.get("stop"), "it has answered before the worker was hit")
            text += event["content"]
            if hit is None and len(text) > 40:
                self.workers[stage].process.send_signal(how)
                hit = time.monotonic()
        self.assertIsNotNone(error, "the stream has to end with an error")
        self.assertLess(time.monotonic() - hit, DETECTION)
        self.assertTrue(whole.startswith(text), f"{text!r} is not how {whole!r} begins")
        self.assertEqual(FAILED.findall(server.log()), [(str(stage), self.workers[stage].name)], server.log()[-2000:])

    def assert_loss_is_an_error(self, stage, how):
        whole = self.alone().ask(SHORT, ANSWER)[1]["content"]
        server = self.fabric().until_ready()
        self.hit_while_it_answers(server, whole, stage, how)
        began = time.monotonic()
        self.assertGreaterEqual(server.ask(SHORT, timeout=DETECTION)[0], 500)
        self.assertLess(time.monotonic() - began, 2, "later calls fail at once")
        self.assertIsNone(server.process.poll(), "llama-server lives")
        self.assertEqual(server.stop(), 0)
        self.workers[stage].stop()
        self.workers[stage].start()
        again = self.fabric().until_ready()
        self.assertEqual(again.ask(SHORT, ANSWER)[1]["content"], whole)
        self.assertEqual(again.stop(), 0)

    def test_a_killed_worker_is_an_error(self):
        for stage in (0, 1):
            with self.subTest(stage=stage):
                self.assert_loss_is_an_error(stage, signal.SIGKILL)

    def test_a_frozen_worker_is_an_error(self):
        for stage in (0, 1):
            with self.subTest(stage=stage):
                self.assert_loss_is_an_error(stage, signal.SIGSTOP)

    def test_a_plan_that_cannot_be_is_refused_at_once(self):
        self.workers[1].stop()
        cases = {"a stage cannot be reached": ({}, "stage 1 (two) failed"),
                 "the plan is wrong": ({"stages": []}, "stages")}
        for what, (changes, because) in cases.items():
            with self.subTest(what):
                server = self.fabric(**changes)
                self.assertGreater(server.process.wait(DEADLINE), 0, "an exit code, no signal")
                line = [one for one in server.log().splitlines() if one.startswith("caravan: ")]
                self.assertEqual(len(line), 1, server.log()[-2000:])
                self.assertIn(because, line[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
