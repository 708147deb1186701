"""`caravan trace`: real nodes, workers and engine on this machine; what is traced has to make sense on any schedule."""
import json
import signal
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from devices import DevicesTest, model_file
from harness import BIN, DEADLINE, CaravanTest, call, run, wait_for

TOKENS = 12
QUESTION = {"messages": [{"role": "user", "content": "Tell me a long story."}], "max_tokens": 200, "temperature": 0,
            "ignore_eos": True}


class TraceTest(CaravanTest):
    @classmethod
    def setUpClass(cls):
        """A home in which this machine's speed is known, with as many threads as each of three devices gets."""
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.home = Path(folder.name)
        (cls.home / "models").symlink_to(model_file().parent)
        threads = max(1, json.loads(run("device", "--json").stdout)["cores"]["decode_threads"] // 3)
        measured = run("calibrate", "--quick", "--threads", str(threads), env={"CARAVAN_HOME": str(cls.home)})
        assert measured.returncode == 0, measured.stderr

    def demo(self, path):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        demo = self.start_demo("--keep", "--data-path", path, "--max-tokens", "8", temporary=temporary.name,
                               env={"CARAVAN_HOME": str(self.home)})
        self.addCleanup(lambda: (demo.interrupt(), demo.wait()) if demo.process.poll() is None else None)
        self.shares = [share for share in demo.wait_for("plan")["shares"] if share["layer_count"] > 0]
        self.folder = Path(demo.wait_for("devices")["folder"])
        self.api = demo.wait_for("keep")["api"]
        return demo

    def arguments(self, *options, device=None):
        return ["trace", "--node", str(self.folder / (device or self.shares[0]["device"])), *options]

    def trace(self, *options, device=None, code=0):
        done = run(*self.arguments(*options, device=device))
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def check_chrome(self, path, stages):
        """Lanes without overlaps, and stages in order within a token, as far as the clocks are known."""
        text = json.loads(path.read_text())
        uncertain = {clock["pid"]: clock["uncertainty_us"] for clock in text["otherData"]["clocks"]}
        self.assertEqual(sorted(uncertain), list(range(1, stages + 1)))
        ends, computed = {}, {}
        for event in text["traceEvents"]:
            for field in ("name", "ph", "pid", "tid"):
                self.assertIn(field, event)
            if event["ph"] == "M":
                continue
            self.assertEqual(event["ph"], "X")
            begin, end = event["ts"], event["ts"] + event["dur"]
            self.assertGreater(event["dur"], 0)
            self.assertGreaterEqual(begin, ends.get(event["pid"], 0) - 0.01, event)  # rounding of decimal fractions
            ends[event["pid"]] = end
            phase = event.get("args", {}).get("phase")  # what ran while the trace ended is in no step
            if event["cat"] == "compute" and event["pid"] > 0 and phase == "decode":
                first, last = computed.get((event["args"]["step"], event["pid"]), (begin, end))
                computed[event["args"]["step"], event["pid"]] = (min(first, begin), max(last, end))
        whole = [step for step, pid in computed if pid == 1 and all((step, p) in computed for p in uncertain)]
        self.assertGreaterEqual(len(whole), TOKENS // 2)
        for step in whole:
            for pid in range(1, stages):
                left, there = computed[step, pid][1], computed[step, pid + 1][0]
                self.assertLessEqual(left, there + uncertain[pid] + uncertain[pid + 1] + 0.01, (step, pid))

    def test_a_token_is_traced_through_all_stages(self):
        demo = self.demo("fabric")
        stages = len(self.shares)
        chrome = self.folder / "trace.json"
        done = self.trace("--tokens", str(TOKENS), "--chrome", str(chrome), "--json")
        self.assertIn("a short request is made", done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual(told["model"], "smollm2-135m")
        self.assertGreaterEqual(told["tokens"], TOKENS // 2)
        self.assertGreater(told["token_ms"], 0)
        self.assertEqual(len(told["stages"]), stages)
        for stage in told["stages"]:
            self.assertGreater(stage["compute_ms"], 0)
            self.assertGreater(stage["clock_uncertainty_ms"], 0)
            self.assertLess(stage["compute_ms"], told["token_ms"])
            self.assertGreater(stage["predicted_compute_ms"], 0)
            self.assertLess(stage["predicted_compute_ms"], told["predicted_token_ms"])
        for stage in told["stages"][1:]:
            self.assertGreater(stage["predicted_hop_ms"], 0)
        self.check_chrome(chrome, stages)
        self.while_others_ask()
        self.one_at_a_time()
        quiet = self.trace("--no-ask", "--seconds", "1", code=3)
        self.assertIn("answered nothing in 1 s", quiet.stderr)
        self.assertIn("hint: ", quiet.stderr)
        elsewhere = self.trace(device=self.shares[1]["device"], code=3)
        self.assertIn("no llama-server runs on this device", elsewhere.stderr)
        status, body, _ = call(f"{self.api}/v1/chat/completions", {**QUESTION, "max_tokens": 8})
        self.assertEqual(status, 200, body)  # and all of that has done no harm
        self.assertEqual(list((self.folder / self.shares[0]["device"] / "trace").iterdir()), [])
        demo.interrupt()
        self.assertEqual(demo.wait(), 0)

    def while_others_ask(self):
        asker = threading.Thread(target=call, args=(f"{self.api}/v1/chat/completions", QUESTION))
        asker.start()
        done = self.trace("--no-ask", "--tokens", "8")
        asker.join(DEADLINE)
        for share in self.shares[1:]:
            self.assertIn(share["device"], done.stdout)
        self.assertIn("tokens/s", done.stdout)
        self.assertIn("#", done.stdout)
        self.assertTrue(done.stdout.isascii(), "plain, where nobody looks at a terminal")
        self.assertLessEqual(max(len(line) for line in done.stdout.splitlines()), 100)
        self.assertIn("; planned ", done.stdout)
        self.assertNotIn("nothing to compare with", done.stdout)

    def one_at_a_time(self):
        first = subprocess.Popen([BIN, *self.arguments("--no-ask", "--seconds", "60")], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        request = self.folder / self.shares[0]["device"] / "trace" / "request.json"
        wait_for(request.exists, "the first trace to be asked for")
        self.assertIn("another trace is running", self.trace(code=3).stderr)
        first.send_signal(signal.SIGINT)
        _, told = first.communicate(timeout=DEADLINE)
        self.assertEqual(first.returncode, 130, told)
        wait_for(lambda: not request.exists(), "the first trace to be given up")

    def test_what_goes_through_rpc_says_so(self):
        demo = self.demo("rpc")
        done = self.trace(code=1)
        self.assertIn("RPC", done.stderr)
        self.assertIn("--data-path fabric", done.stderr)
        error = json.loads(self.trace("--json", code=1).stdout)["error"]
        self.assertEqual(error["code"], "incompatible")
        demo.interrupt()
        self.assertEqual(demo.wait(), 0)

    def test_no_node_and_wrong_numbers(self):
        with tempfile.TemporaryDirectory() as nothing:
            done = run("trace", "--node", nothing)
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn("caravan up -d", done.stderr)
            self.assertNotIn("nobody asks", done.stderr, "no trace, no request")
        for wrong in (["--tokens", "0"], ["--seconds", "61"], ["--ask", "--no-ask"]):
            self.assertEqual(run("trace", *wrong).returncode, 2, wrong)


class PlannedTraceTest(DevicesTest):
    """In a cluster that was planned: predicted beside measured, and what is measured goes back into the next plan."""

    def replica(self, device):
        return device.view()["deployments"][0]["replicas"][0]

    def handling_of(self, replica):
        """Of the plan, in ms: a way's air is half of both ways' when two devices have the same link there and back."""
        self.assertEqual([share["rank"] for share in replica["shares"]], [0, 1])
        return replica["shares"][1]["hop_ms"] - replica["predicted"]["air_ms"] / 2

    def test_the_plan_is_held_against_the_trace_and_learns_from_it(self):
        one, two = self.device(1), self.device(2)
        one.give(self.model)
        one.up()
        self.join_by_code(one, two)
        self.wait_linked(one, two)
        serve = ["serve", str(self.model), "--use", "phone-1,phone-2", "--context", "512"]
        one.caravan(*serve)
        planned = self.replica(one)
        self.assertAlmostEqual(self.handling_of(planned), 0.7, places=6, msg="a guess as long as nothing was traced")
        kept = one.home / "handling.json"
        self.assertFalse(kept.exists())
        told = json.loads(one.caravan("trace", "--ask", "--tokens", str(TOKENS), "--json"))
        self.assertGreaterEqual(told["tokens"], TOKENS // 2)
        self.assertGreater(told["between_ms"], 0)
        self.assertLess(told["between_ms"], told["token_ms"])
        self.assertAlmostEqual(told["predicted_token_ms"], 1000 / planned["predicted"]["decode"])
        self.assertEqual([stage["name"] for stage in told["stages"]], ["phone-1", "phone-2"])
        for stage, share in zip(told["stages"], planned["shares"], strict=True):
            self.assertGreater(stage["compute_ms"], 0)
            self.assertGreater(stage["predicted_compute_ms"], 0)
            self.assertLess(stage["predicted_compute_ms"], told["predicted_token_ms"])
            self.assertEqual(stage.get("predicted_hop_ms"), share.get("hop_ms"))
        self.assertGreater(told["stages"][1]["predicted_hop_ms"], 0)
        shown = wait_for(lambda: kept.exists() and json.loads(kept.read_text()), "what the trace has shown")["seconds"]
        self.assertTrue(0 <= shown <= 0.1, shown)
        one.caravan("serve", "--stop")
        one.caravan(*serve)
        planned = self.replica(one)
        self.assertAlmostEqual(self.handling_of(planned), shown * 1000, places=6)
        text = one.caravan("trace", "--ask", "--tokens", str(TOKENS))
        worker = planned["shares"][1]
        for piece in ("; planned ", f"{worker['compute_ms']:.2f}", f"{worker['hop_ms']:.2f}", "between devices: "):
            self.assertIn(piece, text)
        self.assertNotIn("nothing to compare with", text)


if __name__ == "__main__":
    unittest.main()
