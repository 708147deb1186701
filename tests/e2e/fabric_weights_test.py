"""Weights by reference: they cross the link once; a worker that has them is not sent them; what is damaged comes anew."""
import json
import shutil
import socket
import threading
import unittest

import fabric_test
from fabric_test import SHORT, Worker
from gguf_split import split
from harness import wait_for

FEW = 5_000_000  # bytes over all links of a start that sends no weights
CHUNK = 1 << 16


class Link:
    """A way to a worker that counts what goes there, and may be cut after so many bytes."""

    def __init__(self, test, worker):
        self.worker, self.sent, self.cut_after = worker, 0, None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        test.addCleanup(self.listener.close)

    def accept(self):
        while True:
            try:
                here, _ = self.listener.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self.worker.port))
            for one, other, counts in ((here, there, True), (there, here, False)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.pump, args=(one, other, counts), daemon=True).start()

    def pump(self, source, target, counts):
        """Ends pass on as ends: what has been sent arrives, also before a cut."""
        while True:
            try:
                data = source.recv(CHUNK)
            except OSError:
                break
            if not data:
                break
            try:
                target.sendall(data)
            except OSError:
                continue  # nobody takes it; unread it would make an error of an end
            self.sent += len(data) if counts else 0
            if counts and self.cut_after is not None and self.sent > self.cut_after:
                source.shutdown(socket.SHUT_RDWR)
                break
        try:
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class StoringWorker(Worker):
    def options(self):
        return ["--store", str(self.folder / f"{self.name}-store")]


class FabricWeightsTest(unittest.TestCase):
    worker = StoringWorker

    setUpClass = classmethod(fabric_test.FabricTest.setUpClass.__func__)
    alone = fabric_test.FabricTest.alone

    def setUp(self):
        fabric_test.FabricTest.setUp(self)
        self.links = [Link(self, worker) for worker in self.workers]
        self.size = self.model.stat().st_size

    def plan(self, name="plan", **changes):
        path = fabric_test.FabricTest.plan(self, name, model=str(self.model), manifests=str(self.folder / "manifests"), **changes)
        plan = json.loads(path.read_text())
        for stage, link in zip(plan["stages"], self.links, strict=True):
            stage["address"] = f"127.0.0.1:{link.port}"
        path.write_text(json.dumps(plan))
        return path

    def start(self, *options):
        """A server that is ready, and how many bytes went to each worker for that."""
        for link in self.links:
            link.sent = 0
        server = fabric_test.FabricTest.fabric(self, *options).until_ready()
        return server, [link.sent for link in self.links]

    def text(self, *options):
        """What a start answers, and how many bytes went to each worker until it was ready."""
        server, sent = self.start(*options)
        text = server.ask(SHORT)[1]["content"]
        self.assertEqual(server.stop(), 0)
        return text, sent

    def again(self):
        """The workers end and start anew."""
        for worker in self.workers:
            worker.stop()
            worker.start()

    def test_the_second_start_sends_no_weights(self):
        expected = self.alone().ask(SHORT)[1]["content"]
        text, first = self.text()
        self.assertEqual(text, expected)
        self.assertGreater(sum(first), self.size / 2, "the weights were sent")
        self.assertLess(sum(first), self.size * 1.1, "once")
        for anew in (False, True):
            with self.subTest(workers_started_anew=anew):
                if anew:
                    self.again()
                text, sent = self.text()
                self.assertEqual(text, expected)
                self.assertLess(sum(sent), FEW)
        text, sent = self.text("--load-mode", "none")  # no mapping tells where they are from: their hash does
        self.assertEqual(text, expected)
        self.assertLess(sum(sent), FEW)

    def test_a_model_in_shards(self):
        expected = self.alone().ask(SHORT)[1]["content"]
        self.model = split(self.model, self.folder, 3)
        text, first = self.text()
        self.assertEqual(text, expected)
        self.assertGreater(sum(first), self.size / 2, "the weights were sent")
        self.assertLess(sum(first), self.size * 1.1, "once")
        text, sent = self.text()
        self.assertEqual(text, expected)
        self.assertLess(sum(sent), FEW)

    def test_a_damaged_store_is_filled_anew(self):
        expected = self.text()[0]
        usual = self.text()[1]
        files = [file for file in (self.folder / "one-store").glob("*/*") if file.parent.name in ("files", "packs")]
        largest = max(files, key=lambda file: file.stat().st_size)
        data = bytearray(largest.read_bytes())
        data[len(data) // 2] ^= 1
        largest.write_bytes(data)
        self.again()
        text, sent = self.text()
        self.assertEqual(text, expected)
        self.assertGreater(sent[0], usual[0] + 100_000, "what was damaged was sent")
        self.assertLess(sent[1], FEW)
        self.text()  # the pack has gone as a whole, also what was read from it before the damage
        text, sent = self.text()
        self.assertEqual(text, expected)
        self.assertLess(sum(sent), FEW)

    def test_a_stream_that_was_cut_goes_on(self):
        self.links[0].cut_after = self.size // 8
        server = fabric_test.FabricTest.fabric(self)
        wait_for(lambda: fabric_test.FAILED.search(server.log()), "the cut to be seen")
        server.kill()
        before = self.links[0].sent
        self.links[0].cut_after = None
        text, rest = self.text()
        self.assertEqual(text, self.alone().ask(SHORT)[1]["content"])
        for worker in self.workers:
            worker.stop()
        shutil.rmtree(self.folder / "one-store")
        self.again()
        whole = self.text()[1][0]
        self.assertLess(before + rest[0], whole + FEW)

    def test_the_models_of_a_worker_are_not_sent(self):
        for worker in self.workers:
            worker.stop()
            shutil.rmtree(self.folder / f"{worker.name}-store")
            models = self.folder / f"{worker.name}-models"
            models.mkdir()
            (models / "another name.gguf").symlink_to(self.model)
            worker.options = lambda models=models: ["--models", str(models)]
            worker.start()
        text, sent = self.text()
        self.assertEqual(text, self.alone().ask(SHORT)[1]["content"])
        self.assertLess(sum(sent), FEW)


class FabricWireTest(unittest.TestCase):
    worker = Worker

    setUpClass = classmethod(fabric_test.FabricTest.setUpClass.__func__)

    def setUp(self):
        fabric_test.FabricTest.setUp(self)
        self.between = Link(self, self.workers[1])

    def plan(self, name="plan", **changes):
        path = fabric_test.FabricTest.plan(self, name, **changes)
        plan = json.loads(path.read_text())
        plan["stages"][1]["peer"] = f"127.0.0.1:{self.between.port}"
        path.write_text(json.dumps(plan))
        return path

    def handed_over(self, wire):
        """Bytes from the first worker to the second one, for a text of fixed length."""
        self.between.sent = 0
        server = fabric_test.FabricTest.fabric(self, wire=wire).until_ready()
        status, answer = server.ask(SHORT)
        self.assertEqual(status, 200)
        self.assertEqual(answer["tokens_predicted"], 32)
        self.assertTrue(answer["content"].strip())
        self.assertEqual(server.stop(), 0)
        return self.between.sent

    def test_hidden_states_take_half_or_a_quarter_of_the_bytes(self):
        plain = self.handed_over("f32")
        self.assertGreater(plain, 32 * 576 * 4, "the model's hidden state, once a token")
        self.assertLess(self.handed_over("f16"), 0.55 * plain)
        self.assertLess(self.handed_over("q8_0"), 0.31 * plain)


if __name__ == "__main__":
    unittest.main(verbosity=2)
