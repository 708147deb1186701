"""The fabric across devices: nodes start workers and module, hand-offs go from worker to worker through tunnels, a phone that is
gone is planned around, and what the fabric cannot serve goes through RPC.

Devices are namespaces of the lab, as in devices.py; node, engine, workers, model and sockets are the real ones.
"""
import json
import sys
import tempfile
import unittest
from pathlib import Path

from devices import DevicesTest
from harness import wait_for


def programs(lab, number):
    """Names of what runs on a device, as far as the system keeps them."""
    names = []
    for pid in sorted(lab.pids(number)):
        try:
            names.append(Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip())
        except OSError:
            pass
    return names


class FabricClusterTest(DevicesTest):
    def cluster(self, count):
        phones = [self.device(number) for number in range(1, count + 1)]
        phones[0].give(self.model)
        phones[0].up()
        for phone in phones[1:]:
            self.join_by_code(phones[0], phone)
        self.wait_linked(*phones)
        return phones

    def serve(self, phones, *options):
        names = ",".join(phone.name for phone in phones)
        phones[0].caravan("serve", str(self.model), "--use", names, "--context", "512", *options)

    def test_workers_hand_on_to_each_other_and_a_loss_is_planned_around(self):
        one, two, three = phones = self.cluster(3)
        self.serve(phones, "--data-path", "rpc")
        expected = one.ask()
        self.assertIn("Paris", expected)
        self.assertNotIn("caravan-worker", programs(self.lab, 2))
        self.serve(phones, "--speculation", "ngram")
        for phone in phones:
            self.assertIn("caravan-worker", programs(self.lab, phone.number))
            self.assertNotIn("ggml-rpc-server", programs(self.lab, phone.number))
        for phone in phones:
            self.assertEqual(phone.ask(), expected)
        self.assertEqual(two.view()["deployments"][0]["data_path"], "fabric")
        self.assertIn("through the fabric", three.caravan("status"))
        log = (one.home / "llama-server.log").read_text(errors="replace")
        for stage in range(3):
            self.assertIn(f"assigned to device Caravan{stage}", log)
        self.assertIn("adding speculative implementation 'ngram-simple'", log)
        # Results come back from the last worker only: what the first one computes goes on from there.
        first, last = (tunnel["received"] for tunnel in self.master_traffic(one))  # in order of rank
        self.assertLess(first * 10, last)
        three.kill()
        wait_for(lambda: one.serving() and one.device("phone-3")["linked"] is False, "a plan without phone-3", 40)
        self.assertEqual(wait_for(one.ask, "the others to answer", 40), expected)
        self.assertIn("caravan-worker", programs(self.lab, 2))
        one.caravan("serve", "--stop")
        for phone in (one, two):
            wait_for(lambda phone=phone: "caravan-worker" not in programs(self.lab, phone.number), "the workers to end", 20)
            phone.stop()
            self.assertEqual(self.lab.pids(phone.number), set(), "something was left running")

    def master_traffic(self, master):
        script = ("import http.client,socket\n"
                  "c=http.client.HTTPConnection('node');s=socket.socket(socket.AF_UNIX);"
                  f"s.connect('{master.home / 'node.sock'}');c.sock=s\n"
                  "c.request('GET','/v1/state');print(c.getresponse().read().decode())")
        done = self.lab.run(master.number, [sys.executable, "-c", script])
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["traffic"]

    def test_weights_cross_the_air_once(self):
        one, two = phones = self.cluster(2)
        answers, sent = [], []
        for _ in range(2):
            self.serve(phones)
            answers.append(two.ask())
            sent.append(self.master_traffic(one)[0]["sent"])
            one.caravan("serve", "--stop")
        self.assertEqual(answers[0], answers[1])
        self.assertLess(sent[1], 5_000_000)
        self.assertLess(sent[1] * 10, sent[0])
        self.assertTrue(list((two.home / "weights" / "packs").iterdir()))

    def test_what_one_phone_cannot_do_goes_through_rpc(self):
        one, two, three = self.device(1), self.device(2), self.device(3)
        one.give(self.model)
        one.up()
        # One has nothing of the fabric, which is known before; the other's worker ends as soon as it is started.
        for phone, worker in [(two, None), (three, "#!/bin/sh\nexit 1\n")]:
            folder = tempfile.TemporaryDirectory()
            self.addCleanup(folder.cleanup)
            phone.env["CARAVAN_FABRIC"] = folder.name
            if worker:
                (Path(folder.name) / "libggml-caravan.so").touch()
                (Path(folder.name) / "caravan-worker").write_text(worker)
                (Path(folder.name) / "caravan-worker").chmod(0o755)
            self.join_by_code(one, phone)
        self.wait_linked(one, two, three)
        for phone, line in [(two, "phone-2 has no caravan-worker"), (three, "RPC is used instead")]:
            self.serve([one, phone])
            self.assertIn("ggml-rpc-server", programs(self.lab, phone.number))
            self.assertEqual(phone.view()["deployments"][0]["data_path"], "rpc")
            self.assertIn("Paris", phone.ask())
            self.assertTrue(any(line in entry for entry in self.news(one)), self.news(one))

    def news(self, phone):
        return [str(one) for one in phone.view()["news"]] + phone.log().splitlines()


if __name__ == "__main__":
    unittest.main()
