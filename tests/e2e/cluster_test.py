"""Several devices become one cluster and serve a model together: pairing, links, plans, losses, returns, removal.

Each device is a network namespace of the lab, on emulated Wi-Fi; node, engine, model and sockets are the real ones.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from harness import BIN, DEADLINE, run, wait_for
from lab import Lab, check_machine
from lab_tools import engine_folder

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
        return [pid for pid in sorted(self.lab.pids(self.number))
                if Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == "llama-server"]

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


class ClusterTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        check_machine()
        cls.model = model_file()
        cls._folder = tempfile.TemporaryDirectory(dir=cls.model.parent)  # hard links need the same file system
        cls.addClassCleanup(cls._folder.cleanup)
        cls.folder = Path(cls._folder.name)
        measured = run("calibrate", "--quick", "--threads", "1", env={"CARAVAN_HOME": str(cls.folder)})
        assert measured.returncode == 0, measured.stderr
        cls.speed = cls.folder / "speed.json"

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

    def test_from_nothing_to_an_answer_through_each_api(self):
        began = time.monotonic()
        phones = [self.device(number) for number in range(1, 5)]
        phones[0].give(self.model)
        phones[0].up()
        for phone in phones[1:]:
            self.join_by_digits(phones[0], phone)
        self.wait_linked(*phones)
        names = ",".join(phone.name for phone in phones)
        phones[0].caravan("serve", str(self.model), "--use", names, "--context", "512")
        first = phones[0].ask()
        print(f"\nfrom the first command to the first answer: {time.monotonic() - began:.1f} s", file=sys.stderr)
        self.assertIn("Paris", first)
        for phone in phones[1:]:
            self.assertEqual(phone.ask(), first)
        roles = sorted(one["role"] for one in phones[3].view()["devices"])
        self.assertEqual(roles, ["master", "worker", "worker", "worker"])
        for phone in phones:
            phone.stop()
        for phone in phones:
            self.assertEqual(self.lab.pids(phone.number), set(), "something was left running")

    def test_a_lost_worker_is_planned_around_and_comes_back(self):
        one, two = self.device(1), self.device(2)
        one.give(self.model)
        one.up()
        self.join_by_code(one, two)
        self.wait_linked(one, two)
        one.caravan("serve", str(self.model), "--use", "phone-1,phone-2", "--context", "512")
        before = two.ask()
        self.assertIn("Paris", before)
        two.kill()
        wait_for(lambda: one.serving() and one.device("phone-2")["linked"] is False, "a plan without phone-2", 40)
        self.assertEqual(wait_for(one.ask, "phone-1 to answer alone", 40), before)
        two.up()
        self.wait_linked(one, two)
        wait_for(lambda: (two.device("phone-2") or {}).get("role") == "worker" and one.serving(), "phone-2 to work again", 90)
        self.assertEqual(two.ask(), before)

    def test_who_controls_is_lost_and_another_holder_takes_over(self):
        one, two, three = (self.device(number) for number in (1, 2, 3))
        one.give(self.model)
        two.give(self.model)
        one.up()
        self.join_by_code(one, two)
        self.join_by_code(one, three)
        self.wait_linked(one, two, three)
        wait_for(lambda: one.device("phone-2").get("models"), "phone-2's models to be known", 30)
        one.caravan("serve", str(self.model), "--use", "phone-1,phone-3", "--context", "512")
        before = three.ask()
        self.assertIn("Paris", before)
        first = three.view()["controller"]
        one.kill()
        wait_for(lambda: three.view()["controller"] != first and three.serving(), "phone-2 to take over", 60)
        self.assertEqual(three.device("phone-2")["role"], "master")
        self.assertEqual(three.ask(), before)
        one.up()
        self.wait_linked(one, two, three)
        second = two.view()["self"]["id"]
        wait_for(lambda: all(phone.view()["controller"] == second for phone in (one, two, three)), "one controller", 20)
        self.assertEqual(one.ask(), before)

    def test_after_a_restart_of_all_the_deployment_comes_back(self):
        one, two = self.device(1), self.device(2)
        one.give(self.model)
        one.up()
        self.join_by_code(one, two)
        self.wait_linked(one, two)
        one.caravan("serve", str(self.model), "--context", "512")
        before = two.ask()
        one.kill()
        two.kill()
        two.up()
        one.up()
        wait_for(lambda: one.serving() and two.is_linked_to("phone-1"), "everything to be back", 60)
        self.assertEqual(two.ask(), before)

    def test_who_is_removed_is_cut_off_everywhere_and_stays_out(self):
        one, two, three = self.device(1), self.device(2), self.device(3)
        one.up()
        self.join_by_code(one, two)
        self.join_by_code(one, three)
        self.wait_linked(one, two, three)
        one.caravan("remove", "phone-3")
        gone = wait_for(lambda: not two.device("phone-3") and [True], "phone-2 to hear of it", 2)
        self.assertTrue(gone)
        wait_for(lambda: not three.view()["cluster"]["member"], "phone-3 to know", 5)
        wait_for(lambda: not any(d.get("linked") for d in three.view()["devices"]), "its links to be cut", 5)
        for phone in (one, two, three):
            phone.kill()
        for phone in (three, two, one):
            phone.up()
        self.wait_linked(one, two)
        self.assertFalse(three.is_linked_to("phone-1"))
        self.assertIsNone(one.device("phone-3"))

    def test_a_code_works_once_and_only_for_who_has_it(self):
        one, two, three = self.device(1), self.device(2), self.device(3)
        one.up()
        code = self.join_by_code(one, two)
        used = three.lab.run(3, [BIN, "join", code, "--no-up"], env=three.env)
        self.assertNotEqual(used.returncode, 0)
        fresh = json.loads(one.caravan("invite", "--code", "--json"))["code"]
        wrong = fresh[:45] + ("a" if fresh[45] != "a" else "b") + fresh[46:]
        typo = three.lab.run(3, [BIN, "join", wrong, "--no-up"], env=three.env)
        self.assertEqual(typo.returncode, 2, typo.stderr)
        self.assertNotIn(wrong[20:60], typo.stderr + one.log())
        three.caravan("join", fresh, "--no-up")

    def test_a_plain_worker_takes_part_and_is_planned_around_when_it_is_gone(self):
        one = self.device(1)
        one.give(self.model)
        one.up()
        wait_for(lambda: one.device("phone-1").get("measured"), "phone-1 to know its speed", 30)
        address = self.lab.address(2)
        refused = one.lab.run(1, [BIN, "serve", str(self.model), "--plain-worker", address], env=one.env)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("ggml-rpc-server -H 0.0.0.0 -p 50052", refused.stderr)
        plain = self.lab.popen(2, [engine_folder() / "ggml-rpc-server", "-H", address], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        self.addCleanup(plain.wait, DEADLINE)
        self.addCleanup(plain.kill)
        knock = f"import socket; socket.create_connection(('{address}', 50052), 1)"
        wait_for(lambda: one.lab.run(1, [sys.executable, "-c", knock]).returncode == 0, "the RPC server to listen", 20)
        told = one.caravan("serve", str(self.model), "--plain-worker", address, "--context", "512")
        self.assertRegex(told, rf"plain worker {re.escape(address)}:50052: layers \d+-\d+; insecure")
        before = one.ask()
        self.assertIn("Paris", before)
        shares = one.view()["deployments"][0]["replicas"][0]["shares"]
        self.assertEqual([share["plain"] for share in shares], [False, True])
        self.assertGreater(shares[1]["layers"], 0)
        plain.kill()
        shares_of_all = lambda: [len(replica["shares"]) for replica in one.view()["deployments"][0]["replicas"]]  # noqa: E731
        wait_for(lambda: shares_of_all() == [1] and one.serving(), "a plan without it", 60)
        self.assertEqual(one.ask(), before)

    def test_several_replicas_share_the_work(self):
        phones = [self.device(number) for number in (1, 2)]
        for phone in phones:
            phone.give(self.model)
        phones[0].up()
        self.join_by_code(phones[0], phones[1])
        self.wait_linked(*phones)
        wait_for(lambda: phones[0].device("phone-2").get("models"), "phone-2's models to be known", 30)
        phones[0].caravan("serve", MODEL, "--for", "throughput", "--parallel", "4", "--context", "512")
        view = phones[1].view()
        self.assertEqual([one["role"] for one in view["devices"]], ["master", "master"])
        self.assertEqual(phones[0].ask(), phones[1].ask())

    def test_two_models_at_once_each_answers_by_its_name(self):
        one, two = self.device(1), self.device(2)
        first, second, third = one.give(self.model, "first.gguf"), two.give(self.model, "second.gguf"), two.give(self.model, "third.gguf")
        one.up()
        self.join_by_code(one, two)
        self.wait_linked(one, two)
        one.caravan("serve", first, "--context", "512", "--avoid", "phone-2")
        engine = one.engine_pids()
        self.assertEqual(len(engine), 1)
        # phone-1 controls and has not this file: phone-2 makes the plan.
        two.caravan("serve", second, "--context", "512", "--beside")
        self.assertEqual(one.engine_pids(), engine, "the first model was disturbed")
        for phone in (one, two):
            status, models = phone.call("/v1/models")
            self.assertEqual((status, [one["id"] for one in models["data"]]), (200, ["first", "second"]))
            for name in ("first", "second"):
                status, reply = phone.call("/v1/chat/completions", {**QUESTION, "model": name})
                self.assertEqual((status, reply.get("model")), (200, name), reply)
                self.assertIn("Paris", reply["choices"][0]["message"]["content"])
            self.assertEqual(phone.call("/v1/chat/completions", QUESTION)[1]["model"], "first")
            status, reply = phone.call("/v1/chat/completions", {**QUESTION, "model": "gpt-4"})
            self.assertEqual((status, reply["error"]["code"]), (404, "model_not_found"))
            self.assertIn("first, second", reply["error"]["message"])
        chat = json.loads(one.caravan("chat", "--model", "second", "--max-tokens", "4", "--json", "Say hello."))
        self.assertEqual(chat["model"], "second")
        said = two.lab.run(2, [BIN, "serve", third, "--beside"], timeout=DEADLINE, env=two.env)
        self.assertNotEqual(said.returncode, 0)
        self.assertIn("phone-1 carries 'first', phone-2 carries 'second'", said.stderr)
        two.caravan("serve", "--stop", "third")
        two.caravan("serve", "--stop", "second")
        wait_for(lambda: [one["model"] for one in two.view()["deployments"]] == ["first"], "the second model to end", 20)
        wait_for(lambda: not two.engine_pids(), "its engine to end", 20)
        self.assertEqual(one.engine_pids(), engine, "the first model was disturbed")
        self.assertEqual(two.call("/v1/chat/completions", {**QUESTION, "model": "any"})[1]["model"], "first")
        one.caravan("serve", "--stop")
        wait_for(lambda: not one.engine_pids(), "all to end", 20)


if __name__ == "__main__":
    unittest.main()
