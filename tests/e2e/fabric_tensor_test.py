"""--split-mode tensor over the fabric: two workers share each layer and add up their parts among themselves."""
import json
import signal
import unittest

import fabric_test
from fabric_test import ANSWER, DETECTION, LONG, SHORT, Server
from fabric_weights_test import FEW, Link, StoringWorker
from harness import DEADLINE, call
from lab_tools import make_model

DIRECT = "caravan-fabric: split tensors of 2 stages are added up by the workers themselves"
THROUGH_MASTER = "caravan-fabric: split tensors of 2 stages are added up through the master"
# Sums are made in another order than by one device alone. What that does to log-probabilities: halves are rounded (a model in
# F16; measured: 0.0005), or whole blocks are, to 8 bits (a model in Q4_1; measured: 0.05).
HALVES, BLOCKS = 0.005, 0.25


class FabricTensorTest(unittest.TestCase):
    worker = StoringWorker

    setUpClass = classmethod(fabric_test.FabricTest.setUpClass.__func__)

    def setUp(self):
        fabric_test.FabricTest.setUp(self)
        self.links = [Link(self, worker) for worker in self.workers]
        self.masters_links = [Link(self, worker) for worker in self.workers]

    def plan(self, direct=True, **changes):
        path = fabric_test.FabricTest.plan(self, **changes)
        plan = json.loads(path.read_text())
        for stage, link in zip(plan["stages"], self.masters_links, strict=True):
            stage["address"] = f"127.0.0.1:{link.port}"
            stage.pop("peer", None)
            if direct:
                stage["peers"] = [f"127.0.0.1:{link.port}" for link in self.links]
        path.write_text(json.dumps(plan))
        return path

    def split(self, **changes):
        """Without --tensor-split shares go by free memory, which is another at each start."""
        return Server(self, "--device", "Caravan0,Caravan1", "-ngl", "99", "--split-mode", "tensor", "--tensor-split", "1,1",
                      "-fa", "on", plan=self.plan(**changes)).until_ready()

    def alone(self):
        return Server(self, "--device", "none", "-ngl", "0", "-fa", "on").until_ready()

    def odds(self, server):
        """The likeliest next tokens and their log-probabilities, for each prompt."""
        odds = []
        for prompt in (SHORT, LONG):
            # A model of random weights may think that there is nothing to say.
            asked = server.request(prompt, 1, ignore_eos=True)
            status, body, _ = call(f"http://127.0.0.1:{server.port}/completion", asked, timeout=DEADLINE)
            self.assertEqual(status, 200, f"{body} {[w.log() for w in self.workers]}")
            odds.append({one["id"]: one["logprob"] for one in json.loads(body)["completion_probabilities"][0]["top_logprobs"]})
        return odds

    def assert_close(self, some, others, tolerance):
        for mine, theirs in zip(some, others, strict=True):
            best = max(theirs, key=theirs.get)
            self.assertIn(best, mine)
            for token in mine.keys() & theirs.keys():
                self.assertAlmostEqual(mine[token], theirs[token], delta=tolerance)

    def assert_split_equals_alone(self, tolerance):
        alone = self.odds(self.alone())
        server = self.split()
        self.assertEqual(server.log().count(DIRECT), 1)
        direct, sent = self.odds(server), [link.sent for link in self.links]
        self.assertEqual(self.odds(server), direct, "the same bits each time")
        self.assertEqual(server.stop(), 0)
        self.assert_close(direct, alone, tolerance)
        for link, bytes_sent in zip(self.links, sent, strict=True):
            self.assertGreater(bytes_sent, 1_000_000, f"what {link.worker.name} got from the other worker")
        return direct

    def test_answers_are_those_of_llama_server_alone(self):
        direct = self.assert_split_equals_alone(BLOCKS)
        before = [link.sent for link in self.links]
        server = self.split(direct=False)
        self.assertIn(THROUGH_MASTER, server.log())
        self.assertEqual(self.odds(server), direct, "the same sums, bit by bit")
        self.assertEqual([link.sent for link in self.links], before)
        self.assertEqual(server.stop(), 0)

    def test_the_head_can_be_split_too(self):
        alone = self.odds(self.alone())
        server = self.split(head="worker")
        self.assert_close(self.odds(server), alone, BLOCKS)
        self.assertEqual(server.stop(), 0)

    def test_the_second_start_sends_no_weights(self):
        """Each worker keeps its share of each tensor under its own hash."""
        size, starts = self.model.stat().st_size, []
        for _ in range(2):
            before = sum(link.sent for link in self.masters_links)
            server = self.split(model=str(self.model), manifests=str(self.folder / "manifests"))
            sent = sum(link.sent for link in self.masters_links) - before
            starts.append((sent, self.odds(server)))
            self.assertEqual(server.stop(), 0)
        (first, expected), (second, odds) = starts
        self.assertGreater(first, size / 2, "the shares were sent")
        self.assertLess(first, size * 1.1, "once")
        self.assertLess(second, FEW)
        self.assertEqual(odds, expected)

    def test_rounding_alone_makes_a_difference(self):
        for shape in ("small-llama", "small-qwen3moe"):
            with self.subTest(shape):
                self.model = make_model(shape, self.folder, "--quant", "f16", "--layers", "3")
                self.assert_split_equals_alone(HALVES)

    def assert_loss_is_an_error(self, whole, stage, how):
        server = self.split()
        fabric_test.FabricTest.hit_while_it_answers(self, server, whole, stage, how)
        self.assertGreaterEqual(server.ask(LONG, timeout=DETECTION)[0], 500)
        self.assertIsNone(server.process.poll(), "llama-server lives")
        self.assertEqual(server.stop(), 0)
        self.workers[stage].stop()
        self.workers[stage].start()

    def test_a_lost_or_frozen_worker_is_an_error(self):
        server = self.split()
        whole = server.ask(SHORT, ANSWER)[1]["content"]
        self.assertEqual(server.stop(), 0)
        for how in (signal.SIGKILL, signal.SIGSTOP):
            for stage in (0, 1):
                with self.subTest(how=how, stage=stage):
                    self.assert_loss_is_an_error(whole, stage, how)


if __name__ == "__main__":
    unittest.main(verbosity=2)
