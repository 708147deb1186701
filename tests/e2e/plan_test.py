"""What is planned is what runs: the planner's own command lines, started, put exactly these layers on these devices."""
import json
import random
import re
import secrets
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import BIN, CaravanTest, call, run, wait_for

PROGRAMS = Path(BIN).parent
LAYER = re.compile(r"layer\s+(\d+) assigned to device (\S+),")
NAMES = ["alpha", "beta", "gamma", "delta"]


def engine_folder():
    return Path(json.loads(run("engine", "--json").stdout)["folder"])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def random_devices(seed, more):
    """Devices that can hold SmolLM2-135M only together; the fabric's workers need some MB more."""
    pick = random.Random(seed)
    count = pick.randint(2, 4)
    return {"devices": [{"name": name, "kind": pick.choice(["flagship", "midrange", "budget"]),
                         "memory": f"{pick.randint(120, 150) if number == 0 else more + pick.randint(50, 80)}M"}
                        for number, name in enumerate(NAMES[:count])],
            "link": {"profile": pick.choice(["wifi5", "usb-ethernet", "bad-wifi"])}}


class PlanTest(CaravanTest):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.engine = engine_folder()

    def plan(self, devices, *options):
        path = self.folder / "devices.json"
        path.write_text(json.dumps(devices))
        return run("plan", "smollm2-135m", "--devices", str(path), *options)

    def start(self, arguments, log, environment):
        own = PROGRAMS / arguments[0]
        program = [str(own if own.exists() else self.engine / arguments[0]), *arguments[1:]]
        with open(log, "wb") as output:
            process = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=self.folder,
                                       env={"LD_LIBRARY_PATH": str(self.engine), "PATH": "/usr/bin:/bin", **environment})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def on_loopback(self, plan):
        """The planned command lines with 127.0.0.1 and free ports for the devices' names and ports."""
        places = {}
        for command in plan["commands"]:
            arguments = command["arguments"]
            if arguments[0] == "ggml-rpc-server":
                port = arguments[arguments.index("--port") + 1]
                places[f"{command['device']}:{port}"] = f"127.0.0.1:{free_port()}"
            elif arguments[0] == "caravan-worker":
                places[arguments[arguments.index("--listen") + 1]] = f"127.0.0.1:{free_port()}"
        api = str(free_port())
        lines = []
        for command in plan["commands"]:
            arguments, environment = list(command["arguments"]), dict(command["environment"])
            if arguments[0] == "caravan-worker":
                listen = arguments.index("--listen") + 1
                arguments[listen] = places[arguments[listen]]
                arguments[arguments.index("--store") + 1] += f"-{len(lines)}"  # each device has its own
            elif arguments[0] == "ggml-rpc-server":
                host, port = arguments.index("--host") + 1, arguments.index("--port") + 1
                arguments[host], arguments[port] = places[f"{command['device']}:{arguments[port]}"].split(":")
            else:
                arguments[arguments.index("--host") + 1], arguments[arguments.index("--port") + 1] = "127.0.0.1", api
                rpc = arguments.index("--rpc") + 1 if "--rpc" in arguments else 0
                if rpc:
                    arguments[rpc] = ",".join(places[place] for place in arguments[rpc].split(","))
            if "file" in command:
                self.write_plan(command["file"], places)
                environment["GGML_BACKEND_PATH"] = str(PROGRAMS / Path(environment["GGML_BACKEND_PATH"]).name)
            lines.append((arguments, environment))
        return lines, f"http://127.0.0.1:{api}"

    def write_plan(self, file, places):
        """As the text says to do it by hand: one key, here and at every device."""
        content, key = file["content"], secrets.token_hex(32)
        for stage in content["stages"]:
            self.assertEqual(stage["key"], "KEY")
            stage.update(key=key, address=places[stage["address"]], peer=places.get(stage["peer"], ""))
        for name, text in [(file["name"], json.dumps(content)), ("plan.key", key)]:
            path = self.folder / name
            path.touch(0o600)
            path.write_text(text)

    def start_as_planned(self, plan):
        """Where llama-server answers, and its log."""
        lines, api = self.on_loopback(plan)
        for number, (arguments, environment) in enumerate(lines[:-1]):
            self.start(arguments, self.folder / f"worker-{number}.log", environment)
            by = "--port" if "--port" in arguments else "--listen"
            port = int(arguments[arguments.index(by) + 1].rpartition(":")[2])
            wait_for(lambda port=port: self.listens(port), arguments[0], 20)
        log = self.folder / "server.log"
        arguments, environment = lines[-1]
        server = self.start(arguments, log, environment)

        def ready():
            self.assertIsNone(server.poll(), log.read_text(errors="replace")[-2000:])
            try:
                return call(f"{api}/health")[0] == 200
            except OSError:
                return False
        wait_for(ready, "llama-server to be ready")
        return api, log

    def run_as_planned(self, plan):
        """Layers by device, as the engine's log has them."""
        api, log = self.start_as_planned(plan)
        status, body, _ = call(f"{api}/completion", {"prompt": "The capital of France is", "n_predict": 4, "temperature": 0})
        self.assertEqual(status, 200)
        self.assertTrue(json.loads(body)["content"])
        placed = {}
        for layer, device in LAYER.findall(log.read_text(errors="replace")):
            placed.setdefault(device, []).append(int(layer))
        return placed

    @staticmethod
    def listens(port):
        """In the kernel's table: a connection would count as the one client that it serves."""
        needle = f"0100007F:{port:04X} 00000000:0000 0A"
        return needle in Path("/proc/net/tcp").read_text()

    def test_random_plans_run_as_planned(self):
        for path, other in [("rpc", 0), ("fabric", 50)]:
            split = 0
            for seed in range(4):
                with self.subTest(path=path, seed=seed):
                    done = self.plan(random_devices(seed, other), "--json", "--context", "512", "--data-path", path)
                    plan = json.loads(done.stdout)
                    if done.returncode != 0:
                        self.assertIn("does not fit", plan["error"]["message"])
                        continue
                    split += len(plan["replicas"][0]["shares"]) > 1
                    self.assert_runs_as_planned(plan, path)
                    self.doCleanups()
                    self.setUp()
            self.assertGreaterEqual(split, 2, "most of these devices need each other")

    def assert_runs_as_planned(self, plan, path):
        replica = plan["replicas"][0]
        if len(replica["shares"]) > 1:
            self.assertEqual(replica["data_path"], path)
        expected = {}
        for share in replica["shares"]:
            layers = list(range(share["first_layer"], share["first_layer"] + share["layer_count"]))
            if not layers:
                continue
            if len(replica["shares"]) > 1 and path == "fabric":
                expected[f"Caravan{len(expected)}"] = layers
            else:
                expected["CPU" if share["rank"] == 0 else f"RPC{share['rank'] - 1}"] = layers
        placed = self.run_as_planned(plan)
        repeating = sum(share["layer_count"] for share in replica["shares"])
        placed = {device: [layer for layer in layers if layer < repeating] for device, layers in placed.items()}
        self.assertEqual({device: layers for device, layers in placed.items() if layers}, expected)

    def test_every_layout_is_there_and_none_is_better(self):
        devices = {"devices": [{"name": "new", "kind": "flagship", "memory": "2G"}, {"name": "old", "kind": "budget", "memory": "2G"}]}
        done = self.plan(devices, "--every-layout", "--json", "--context", "512")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        plans = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(plans), 2 * (1 + 2 * 30), "each alone, or 30 cuts with the head here or there")
        chosen = json.loads(self.plan(devices, "--json", "--context", "512").stdout)
        def price(plan):
            return 1 / plan["predicted"]["tokens_per_second"] + 1 / plan["predicted"]["prompt_tokens_per_second"]
        self.assertAlmostEqual(price(chosen), min(map(price, plans)))
        for plan in plans:
            self.assertEqual(plan["commands"][-1]["arguments"][0], "llama-server")
        three = {"devices": [{"name": name, "kind": "budget", "memory": "2G"} for name in NAMES]}
        self.assertIn("too many layouts", self.plan(three, "--every-layout", "--json").stdout)
        self.assertEqual(self.plan(devices, "--every-layout").returncode, 2, "not for people")

    def test_tokens_guessed_ahead_change_no_text(self):
        devices = {"devices": [{"name": name, "kind": "midrange", "memory": "300M", "threads": 1} for name in NAMES[:2]], "link": {"profile": "wifi5"}}
        words = "one two three four five six seven eight red green blue dark "
        for path in ("rpc", "fabric"):
            replies = {}
            for speculation in ("none", "ngram"):
                done = self.plan(devices, "--json", "--context", "512", "--data-path", path, "--speculation", speculation,
                                 "--use", ",".join(NAMES[:2]))
                self.assertEqual(done.returncode, 0, done.stdout)
                plan = json.loads(done.stdout)
                self.assertEqual(len(plan["replicas"][0]["shares"]), 2)
                self.assertEqual(plan["replicas"][0]["speculation"]["type"], speculation)
                self.assertIn(plan["replicas"][0]["speculation"]["reason"], plan["reasons"])
                api, _ = self.start_as_planned(plan)
                status, body, _ = call(f"{api}/completion", {"prompt": words * 3, "n_predict": 24, "temperature": 0})
                self.assertEqual(status, 200, body)
                replies[speculation] = json.loads(body)
                self.doCleanups()
                self.setUp()
            with self.subTest(path):
                self.assertEqual(replies["ngram"]["content"], replies["none"]["content"])
                self.assertNotIn("draft_n", replies["none"]["timings"])
                self.assertGreater(replies["ngram"]["timings"]["draft_n_accepted"], 10, "the text repeats what was said")

    def test_the_text_says_why(self):
        devices = {"devices": [{"name": "new", "kind": "flagship", "memory": "2G"}, {"name": "old", "kind": "budget", "memory": "2G"}]}
        done = self.plan(devices, "--explain")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for piece in ["fits on new alone", "old is left out: would slow you from", "tokens/s", "llama-server"]:
            self.assertIn(piece, done.stdout)

    def test_what_cannot_be_is_refused_with_a_cure(self):
        tiny = {"devices": [{"name": "tiny", "kind": "budget", "memory": "100M"}]}
        large = {"devices": [{"name": "large", "kind": "budget", "memory": "8G"}]}
        for devices, options, code, cause, cure in [
                (tiny, [], 1, "layers find room", "one more device with"),
                (large, ["--keep-free", "8100M"], 1, "(1 device offers 92.0 MiB)", "one more device with"),
                ({"devices": [{"name": "x", "kind": "fridge", "memory": "1G"}]}, [], 2, "fridge", ""),
                (tiny, ["--use", "tinny"], 2, "tinny", "tiny"),
                (tiny, ["--for", "fun"], 2, "--for", "--help")]:
            with self.subTest(cause=cause):
                done = self.plan(devices, *options)
                self.assertEqual(done.returncode, code, done.stdout + done.stderr)
                lines = done.stderr.strip().splitlines()
                self.assertIn(cause, lines[0])
                self.assertIn(cure, "\n".join(lines[1:]))


if __name__ == "__main__":
    unittest.main()
