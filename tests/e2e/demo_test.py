"""The demo: three devices, a real engine, a real model, one answer."""
import json
import re
import signal
import socket
import tempfile
import unittest
from pathlib import Path

from harness import BIN, CaravanTest, call, descendants, processes, run, state_of, wait_for

QUESTION = "What is the capital of France?"
LAYER = re.compile(r"layer\s+(\d+) assigned to device (\S+),")


class DemoTest(CaravanTest):
    def test_three_devices_answer_and_nothing_is_left(self):
        with tempfile.TemporaryDirectory() as temporary:
            demo = self.start_demo(temporary=temporary)
            plan = demo.wait_for("plan")
            self.assertEqual([share["role"] for share in plan["shares"]], ["master", "worker", "worker"])
            self.assertEqual(sum(share["layer_count"] for share in plan["shares"]), plan["layers"])
            family = descendants(demo.process.pid)
            result = demo.wait_for("result")
            self.assertIn("Paris", result["text"])
            self.assertEqual(result["text"], "".join(event["text"] for event in demo.all("text")))
            self.assertGreater(len(demo.all("text")), 1, "the answer is streamed")
            self.assertGreater(result["tokens_per_second"], 0)
            self.assertGreater(result["prompt_tokens_per_second"], 0)
            self.assertGreater(result["first_token_seconds"], 0)
            self.assertEqual(demo.first("ready")["data_path"], "fabric")
            self.assertEqual([entry["device"] for entry in result["traffic"]], [share["device"] for share in plan["shares"][1:]])
            for before, after in zip(result["traffic_loading"], result["traffic"], strict=True):
                self.assertGreater(after["sent"], before["sent"], "answering needs every worker")
            before, after = result["traffic_loading"][-1], result["traffic"][-1]
            self.assertGreater(after["received"], before["received"], "results come back from the last one")
            self.assertEqual(demo.wait(), 0)
            self.assertEqual(demo.events[-1], {**demo.events[-1], "event": "ended", "failed": False})
            self.assert_nothing_left(family, Path(temporary) / "x")
            self.assertEqual(list(Path(temporary).iterdir()), [])

    def test_split_and_single_device_give_the_same_text(self):
        texts = []
        for options in [["--devices", "1"], [], ["--data-path", "rpc"]]:
            demo = self.start_demo(*options, "--prompt", QUESTION, "--max-tokens", "32")
            result = demo.wait_for("result")
            texts.append(result["text"])
            self.assertEqual(demo.wait(), 0)
        self.assertEqual(len(set(texts)), 1, texts)
        self.assertTrue(texts[0])
        for share, traffic in zip(demo.first("plan")["shares"][1:], result["traffic_loading"], strict=True):
            self.assertGreaterEqual(traffic["sent"], share["weights"], "with RPC a worker's weights cross at each start")

    def test_what_the_fabric_cannot_do_goes_through_rpc(self):
        for module, why in [(b"no module", "Caravan0"), (None, "there is no ")]:
            with self.subTest(module=module), tempfile.TemporaryDirectory() as folder:
                if module:
                    (Path(folder) / "caravan-worker").symlink_to(Path(BIN).parent / "caravan-worker")
                    (Path(folder) / "libggml-caravan.so").write_bytes(module)
                demo = self.start_demo(env={"CARAVAN_FABRIC": folder})
                self.assertIn("Paris", demo.wait_for("result")["text"])
                self.assertIn(why, demo.first("fallback")["reason"])
                self.assertEqual(demo.first("ready")["data_path"], "rpc")
                self.assertEqual(demo.wait(), 0)

    def test_what_is_planned_is_what_the_engine_does(self):
        """Reads llama-server's own log, layer by layer, for several splits."""
        for path, memory in [("rpc", "600M,400M,400M"), ("fabric", "300M,700M"), ("fabric", "260M,180M,220M,200M")]:
            with self.subTest(path=path, memory=memory):
                demo = self.start_demo("--memory", memory, "--keep", "--data-path", path)
                plan = demo.wait_for("plan")
                folder = Path(demo.wait_for("devices")["folder"])
                demo.wait_for("keep")
                master = plan["shares"][0]["device"]
                log = (folder / master / "llama-server.log").read_text(errors="replace")
                placed = {}
                for layer, device in LAYER.findall(log):
                    if int(layer) < plan["layers"]:  # the last one is the output layer
                        placed.setdefault(device, []).append(int(layer))
                expected = {}
                for share in plan["shares"]:
                    layers = list(range(share["first_layer"], share["first_layer"] + share["layer_count"]))
                    if layers and path == "fabric":
                        expected[f"Caravan{len(expected)}"] = layers
                    elif layers:
                        expected["CPU" if share["rank"] == 0 else f"RPC{share['rank'] - 1}"] = layers
                self.assertEqual(placed, expected)
                demo.interrupt()
                self.assertEqual(demo.wait(), 0)

    def test_keep_serves_the_api_until_interrupted(self):
        with tempfile.TemporaryDirectory() as temporary:
            demo = self.start_demo("--keep", temporary=temporary)
            api = demo.wait_for("keep")["api"]
            folder = demo.first("devices")["folder"]
            family = descendants(demo.process.pid)
            self.assertGreaterEqual(len(family), 6, "three nodes, a worker each, llama-server")
            self.assertEqual(call(f"{api}/health")[0], 200)
            status, body, _ = call(f"{api}/v1/models")
            self.assertEqual((status, json.loads(body)["data"][0]["id"]), (200, "smollm2-135m"))
            question = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
            status, body, _ = call(f"{api}/v1/chat/completions", question)
            self.assertEqual(status, 200)
            self.assertTrue(json.loads(body)["choices"][0]["message"]["content"])
            status, body, headers = call(f"{api}/v1/chat/completions", {**question, "stream": True})
            self.assertEqual((status, headers.get_content_type()), (200, "text/event-stream"))
            self.assertTrue(body.rstrip().endswith(b"data: [DONE]"))
            demo.interrupt()
            self.assertEqual(demo.wait(), 0, "Ctrl-C is the good end of --keep")
            self.assert_nothing_left(family, folder)
            self.assertEqual(list(Path(temporary).iterdir()), [])

    def test_workers_point_to_the_master(self):
        demo = self.start_demo("--keep")
        demo.wait_for("keep")
        worker = state_of(demo.first("devices")["folder"], "phone-2")
        self.assertEqual(worker["role"], "worker")
        status, body, _ = call(worker["api"] + "/health")
        self.assertEqual(status, 503)
        self.assertIn("message", json.loads(body)["error"])

    def test_engines_listen_on_loopback_only(self):
        demo = self.start_demo("--keep")
        demo.wait_for("keep")
        family = descendants(demo.process.pid)
        sockets = set()
        for pid in family:
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    target = entry.readlink().name
                except OSError:
                    continue
                if target.startswith("socket:"):
                    sockets.add(target[8:-1])
        listening = []
        for table, loopback in [("tcp", "0100007F"), ("tcp6", "00000000000000000000000001000000")]:
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in sockets:
                    listening.append(fields[1])
                    self.assertEqual(fields[1].split(":")[0], loopback, line)
        self.assertGreaterEqual(len(listening), 8, "3 APIs, 3 workers, 2 tunnels, llama-server")

    def test_interrupt_at_any_step_leaves_nothing(self):
        for step in ["begin", "engine", "model", "devices", "plan", "loading", "ready", "question", "text", "result"]:
            with self.subTest(step=step), tempfile.TemporaryDirectory() as temporary:
                demo = self.start_demo("--max-tokens", "100", "--prompt", QUESTION, temporary=temporary)
                demo.wait_for(step)
                family = descendants(demo.process.pid)
                demo.interrupt()
                self.assertIn(demo.wait(), [130, 0] if step == "result" else [130])
                self.assert_nothing_left(family, Path(temporary) / "x")
                self.assertEqual(list(Path(temporary).iterdir()), [])

    def test_a_client_that_leaves_stops_the_generation(self):
        demo = self.start_demo("--keep")
        api = demo.wait_for("keep")["api"]
        host, port = api.removeprefix("http://").split(":")
        body = json.dumps({"messages": [{"role": "user", "content": "Count to ten thousand."}], "max_tokens": 1900,
                           "stream": True, "ignore_eos": True}).encode()
        client = socket.create_connection((host, int(port)), timeout=30)
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
                       + body)
        self.assertIn(b"data:", self.read_until(client, b"data:"))
        client.close()
        # There is one slot: a second request is answered at once only if the first one has been stopped.
        status, reply, _ = call(f"{api}/v1/chat/completions",
                                {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4}, timeout=10)
        self.assertEqual(status, 200)
        self.assertTrue(json.loads(reply)["choices"])

    @staticmethod
    def read_until(client, what):
        got = b""
        while what not in got:
            piece = client.recv(4096)
            if not piece:
                break
            got += piece
        return got

    def test_health_tells_the_progress_while_loading(self):
        demo = self.start_demo("--keep")
        folder = demo.wait_for("devices")["folder"]
        master = demo.first("plan")["shares"][0]["device"]
        api = state_of(folder, master)["api"]
        seen = []

        def loading_or_ready():
            status, body, _ = call(f"{api}/health")
            seen.append((status, json.loads(body)))
            return status == 200
        wait_for(loading_or_ready, "the model to be loaded")
        loading = [body for status, body in seen if status == 503 and "progress" in body]
        for body in loading:
            self.assertIn("message", body["error"])
            self.assertTrue(0 <= body["progress"] <= 1)
        self.assertGreater(len([status for status, _ in seen if status == 503]), 0)

    def test_the_text_for_people_has_all_that_was_promised(self):
        done = run("demo")
        self.assertEqual(done.returncode, 0, done.stderr)
        for piece in ["engine", "model", "phone-1", "phone-3", "master", "worker", "loading", "answer", "Paris",
                      "tokens/s", "first token after", "crossed", "left behind"]:
            self.assertIn(piece, done.stdout)
        self.assertEqual(done.stderr, "")


if __name__ == "__main__":
    unittest.main()
