"""What is planned is what runs: the planner's own command lines, started, put exactly these layers on these devices."""
import json
import random
import re
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import CaravanTest, call, run, wait_for

LAYER = re.compile(r"layer\s+(\d+) assigned to device (\S+),")
NAMES = ["alpha", "beta", "gamma", "delta"]


def engine_folder():
    return Path(json.loads(run("engine", "--json").stdout)["folder"])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def random_devices(seed):
    """Devices that can hold SmolLM2-135M only together."""
    pick = random.Random(seed)
    count = pick.randint(2, 4)
    return {"devices": [{"name": name, "kind": pick.choice(["flagship", "midrange", "budget"]),
                         "memory": f"{pick.randint(120, 150) if number == 0 else pick.randint(50, 80)}M"}
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

    def start(self, arguments, log):
        program = [str(self.engine / arguments[0]), *arguments[1:]]
        with open(log, "wb") as output:
            process = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                       env={"LD_LIBRARY_PATH": str(self.engine), "PATH": "/usr/bin:/bin"})
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
        api = str(free_port())
        lines = []
        for command in plan["commands"]:
            arguments = list(command["arguments"])
            host, port = arguments.index("--host") + 1, arguments.index("--port") + 1
            if arguments[0] == "ggml-rpc-server":
                arguments[host], arguments[port] = places[f"{command['device']}:{arguments[port]}"].split(":")
            else:
                arguments[host], arguments[port] = "127.0.0.1", api
                rpc = arguments.index("--rpc") + 1 if "--rpc" in arguments else 0
                if rpc:
                    arguments[rpc] = ",".join(places[place] for place in arguments[rpc].split(","))
            lines.append(arguments)
        return lines, f"http://127.0.0.1:{api}"

    def run_as_planned(self, plan):
        """Layers by device, as the engine's log has them."""
        lines, api = self.on_loopback(plan)
        for number, arguments in enumerate(lines[:-1]):
            self.start(arguments, self.folder / f"worker-{number}.log")
            port = int(arguments[arguments.index("--port") + 1])
            wait_for(lambda port=port: self.listens(port), "the RPC server", 20)
        log = self.folder / "server.log"
        server = self.start(lines[-1], log)

        def ready():
            self.assertIsNone(server.poll(), log.read_text(errors="replace")[-2000:])
            try:
                return call(f"{api}/health")[0] == 200
            except OSError:
                return False
        wait_for(ready, "llama-server to be ready")
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
        split = 0
        for seed in range(6):
            with self.subTest(seed=seed):
                done = self.plan(random_devices(seed), "--json", "--context", "512")
                plan = json.loads(done.stdout)
                if done.returncode != 0:
                    self.assertIn("does not fit", plan["error"]["message"])
                    continue
                replica = plan["replicas"][0]
                split += len(replica["shares"]) > 1
                expected = {}
                for share in replica["shares"]:
                    layers = list(range(share["first_layer"], share["first_layer"] + share["layer_count"]))
                    if layers:
                        expected["CPU" if share["rank"] == 0 else f"RPC{share['rank'] - 1}"] = layers
                placed = self.run_as_planned(plan)
                repeating = sum(share["layer_count"] for share in replica["shares"])
                placed = {device: [layer for layer in layers if layer < repeating] for device, layers in placed.items()}
                self.assertEqual({device: layers for device, layers in placed.items() if layers}, expected)
                self.doCleanups()
                self.setUp()
        self.assertGreaterEqual(split, 3, "most of these devices need each other")

    def test_the_text_says_why(self):
        devices = {"devices": [{"name": "new", "kind": "flagship", "memory": "2G"}, {"name": "old", "kind": "budget", "memory": "2G"}]}
        done = self.plan(devices, "--explain")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for piece in ["fits on new alone", "old is left out: would slow you from", "tokens/s", "llama-server"]:
            self.assertIn(piece, done.stdout)

    def test_what_cannot_be_is_refused_with_a_cure(self):
        tiny = {"devices": [{"name": "tiny", "kind": "budget", "memory": "100M"}]}
        for devices, options, code, cause, cure in [
                (tiny, [], 1, "layers find room", "more would do"),
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
