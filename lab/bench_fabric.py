#!/usr/bin/env python3
"""./run bench fabric: the fabric's data path against stock RPC, in turns in one lab.

Three devices with one core each, the first is the master. Stock RPC by the guide's command, stock RPC with its best flags (the
output head stays on the master, small micro-batches), one device alone, and the fabric: layers on two workers, and on the master
too. Decode and prompt speed are llama-server's own timings, load is the time until /health says ok, air is what all radios sent
while it loaded. Raw figures go to lab/results/.
"""
import argparse
import datetime
import json
import os
import pathlib
import secrets
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from bench_plan import SHAPES, Bench, engine_folder, make_model, until_it_listens  # noqa: E402
from harness import BIN  # noqa: E402
from lab import Lab, LabError, check_machine  # noqa: E402

PROGRAMS = pathlib.Path(BIN).parent
WORKER = os.environ.get("CARAVAN_WORKER") or str(PROGRAMS / "caravan-worker")
MODULE = os.environ.get("CARAVAN_FABRIC_MODULE") or str(PROGRAMS / "libggml-caravan.so")
DEVICES = 3
PORT = 50051
API_PORT = 8080
USUAL = ["-c", "2048", "-np", "1", "-t", "1", "--cache-ram", "0", "-fit", "off"]
SMALL = ["-ub", "64"]
HEAD_AT_MASTER = ["-ot", "^output=CPU,^token_embd=CPU"]
METHODS = ("guide", "best", "alone", "fabric 2", "fabric 3")


def layers_of(model):
    return {"qwen2.5-0.5b": 24, "llama-3.2-1b": 16, "llama-3.2-3b": 28}[model.stem]


def even(layers, parts):
    """Whole layers, the first ones get what is left over; the output layer counts to the last."""
    shares = [layers // parts + (1 if i < layers % parts else 0) for i in range(parts)]
    return ",".join(str(share) for share in shares[:-1] + [shares[-1] + 1])


class FabricBench:
    def __init__(self, lab, folder, model, prompts, generated, answers):
        self.lab, self.folder, self.model = lab, folder, model
        self.prompts, self.generated, self.answers = prompts, generated, answers
        self.bench = Bench(BIN, engine_folder(BIN), folder)
        self.started = []

    def start(self, device, argv, env=None):
        with open(self.folder / f"{pathlib.Path(argv[0]).name}-{device}.log", "wb") as log:
            process = self.lab.popen(device, argv, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})})
        self.started.append(process)
        return process

    def rpc_worker(self, device):
        self.start(device, [str(self.bench.engine / "ggml-rpc-server"), "--host", self.lab.address(device), "--port", str(PORT),
                            "--threads", "1", "--device", "CPU"])
        until_it_listens(self.lab, device, PORT)
        return f"{self.lab.address(device)}:{PORT}"

    def fabric_worker(self, device):
        key = secrets.token_hex(32)
        key_file = self.folder / f"key-{device}"
        key_file.touch(0o600)
        key_file.write_text(key)
        place = f"{self.lab.address(device)}:{PORT}"
        self.start(device, [WORKER, "--listen", place, "--key-file", str(key_file), "--threads", "1", "--any-address"])
        until_it_listens(self.lab, device, PORT)
        return {"name": f"phone-{device}", "address": place, "peer": place, "key": key, "threads": 1}

    def command(self, method):
        """What llama-server gets beside the usual, and its environment. Starts the workers."""
        if method == "alone":
            return [*USUAL, *SMALL, "--device", "none", "-ngl", "0"], {}
        if method in ("guide", "best"):
            places = ",".join(self.rpc_worker(device) for device in range(2, DEVICES + 1))
            if method == "guide":
                return ["--rpc", places, "--tensor-split", "0.4,0.3,0.3", "-c", "2048", "-t", "1", "--load-mode", "none"], {}
            return [*USUAL, *SMALL, "--rpc", places, "-ngl", "99", *HEAD_AT_MASTER], {}
        stages = [self.fabric_worker(device) for device in range(1 if method == "fabric 3" else 2, DEVICES + 1)]
        plan = self.folder / "plan.json"
        plan.touch(0o600)
        plan.write_text(json.dumps({"stages": stages, "head": "master", "timeout_ms": 60000}))
        devices = ",".join(f"Caravan{i}" for i in range(len(stages)))
        split = even(layers_of(self.model), len(stages))
        return [*USUAL, *SMALL, "--device", devices, "-ngl", "99", "--tensor-split", split], {
            "GGML_BACKEND_PATH": MODULE, "CARAVAN_FABRIC_PLAN": str(plan)}

    def on_air(self):
        """Bytes that all devices' own interfaces sent so far."""
        total = 0
        for device in range(1, DEVICES + 1):
            lines = self.lab.run(device, ["cat", "/proc/net/dev"], timeout=20).stdout.splitlines()[2:]
            total += sum(int(line.split(":")[1].split()[8]) for line in lines if not line.strip().startswith("lo:"))
        return total

    def measure(self, method):
        try:
            before = self.on_air()
            arguments, environment = self.command(method)
            began = time.monotonic()
            server = self.start(1, [str(self.bench.engine / "llama-server"), "-m", str(self.model), "--host", "127.0.0.1", "--port",
                                    str(API_PORT), *arguments], environment)
            api = f"http://127.0.0.1:{API_PORT}"
            load = self.bench.until_ready(self.lab, 1, api, server, began)
            if load is None:
                raise LabError(f"llama-server does not get ready ({method}): " + (self.folder / "llama-server-1.log").read_text(errors="replace")[-400:],
                               "start its command line by hand")
            result = {"load": load, "air_mb": (self.on_air() - before) / 1e6, "arguments": arguments, "prompts": {}}
            for prompt in self.prompts:
                timings = [self.bench.ask(self.lab, 1, api, number, prompt, self.generated) for number in range(self.answers + 1)]
                result["prompts"][str(prompt)] = [{"decode": t["predicted_per_second"], "prefill": t["prompt_per_second"]}
                                                  for t in timings[1:]]
            return result
        finally:
            for process in reversed(self.started):
                process.terminate()
            for process in self.started:
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)
            self.started = []


def medians(starts, prompt):
    answers = [answer for start in starts for answer in start["prompts"][str(prompt)]]
    return {key: statistics.median(answer[key] for answer in answers) for key in ("decode", "prefill")}


def table(result):
    heads = "".join(f" decode, {p} | prefill, {p} |" for p in result["prompts"])
    lines = [f"# The fabric against stock RPC: {result['shape']}, {DEVICES} devices with one core each, {result['profile']}", "",
             f"Medians of {result['starts']} starts, in turns. tok/s; seconds until ready; MB that all radios sent until then.", "",
             f"| |{heads} load | air |", "|---|" + "---|" * (2 * len(result["prompts"]) + 2)]
    for method, starts in result["measured"].items():
        cells = [medians(starts, prompt) for prompt in result["prompts"]]
        lines.append(f"| {method} | " + "".join(f"{c['decode']:.1f} | {c['prefill']:.0f} | " for c in cells) +
                     f"{statistics.median(s['load'] for s in starts):.1f} | {statistics.median(s['air_mb'] for s in starts):.0f} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="./run bench fabric", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="0.5B", choices=list(SHAPES))
    parser.add_argument("--profile", default="wifi5")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--prompts", nargs="+", type=int, default=[200, 800])
    parser.add_argument("--generated", type=int, default=64)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--answers", type=int, default=2, help="of each start and prompt (2); one more comes before and does not count")
    parser.add_argument("--folder", default="/tmp/caravan-bench", help="where models go")
    parser.add_argument("--vocabularies", required=True, help="llama.cpp's models/ folder")
    parser.add_argument("--keep", action="store_true", help="write to lab/results/")
    arguments = parser.parse_args()
    models = pathlib.Path(arguments.folder)
    models.mkdir(parents=True, exist_ok=True)
    result = {"shape": arguments.shape, "profile": arguments.profile, "prompts": arguments.prompts, "starts": arguments.starts,
              "measured": {method: [] for method in arguments.methods}}
    try:
        check_machine()
        model = make_model(SHAPES[arguments.shape][0], models, pathlib.Path(arguments.vocabularies))
        with tempfile.TemporaryDirectory(prefix="fabric-") as folder:
            for _ in range(arguments.starts):
                for method in arguments.methods:
                    with Lab(profile=arguments.profile, devices=DEVICES, cores=1) as lab:
                        bench = FabricBench(lab, pathlib.Path(folder), model, arguments.prompts, arguments.generated, arguments.answers)
                        result["measured"][method].append(bench.measure(method))
                    print(method, json.dumps(result["measured"][method][-1]), flush=True)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table(result))
    if arguments.keep:
        stem = ROOT / "lab" / "results" / f"fabric-{arguments.shape}-{datetime.date.today().isoformat()}"
        pathlib.Path(f"{stem}.json").write_text(json.dumps(result, indent=1) + "\n")
        pathlib.Path(f"{stem}.md").write_text(table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
