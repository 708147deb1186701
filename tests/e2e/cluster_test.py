"""Several devices become one cluster and serve a model together: pairing, links, plans, losses, returns, removal.

Each device is a network namespace of the lab, on emulated Wi-Fi; node, engine, model and sockets are the real ones.
"""
import json
import re
import subprocess
import sys
import time
import unittest

from devices import MODEL, QUESTION, DevicesTest
from harness import BIN, DEADLINE, wait_for
from lab_tools import engine_folder


class ClusterTest(DevicesTest):
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

    def test_a_device_that_is_up_joins_with_the_options_that_it_has(self):
        one, two = self.device(1), self.device(2, memory="300M")
        one.up()
        two.up("--port", "8081")
        code = json.loads(one.caravan("invite", "--code", "--json"))["code"]
        self.assertIn("its node is started anew", two.caravan("join", code))
        self.wait_linked(one, two)
        wait_for(lambda: "memory" in one.device("phone-2"), "phone-2's memory to be told", 30)
        self.assertEqual(one.device("phone-2")["memory"], 300 * 2**20)
        self.assertEqual(two.device("phone-2")["api"], "http://127.0.0.1:8081")

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
