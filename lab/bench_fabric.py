#!/usr/bin/env python3
"""./run bench fabric: the fabric's data path against stock RPC, in turns in one lab.

Devices with one core each, the first is the master. Stock RPC by the guide's command, stock RPC with its best flags (the output
head stays on the master, small micro-batches), one device alone, and the fabric: layers on all workers, on the master and all
workers, on the master and one worker; "fabric tensor": no whole layers but a share of each one on all workers. Decode and prompt speed are llama-server's own timings, load is the time until /health
says ok, air is what all radios sent meanwhile; "again" is a second start of llama-server, the workers having the weights. The limit
is what the layers cost one device alone, and one way through the air for each hop. TCP does not pace, as on phones, unless --pacing. Raw figures go to lab/results/.
"""
import argparse
import concurrent.futures
import datetime
import json
import os
import pathlib
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from bench_plan import SHAPES, Bench, engine_folder, make_model, sh  # noqa: E402
from inside import until_it_listens, until_ready  # noqa: E402
from harness import BIN  # noqa: E402
from lab import Lab, LabError, check_machine  # noqa: E402

PROGRAMS = pathlib.Path(BIN).parent
WORKER = os.environ.get("CARAVAN_WORKER") or str(PROGRAMS / "caravan-worker")
MODULE = os.environ.get("CARAVAN_FABRIC_MODULE") or str(PROGRAMS / "libggml-caravan.so")
PORT = 50051
API_PORT = 8080
SMALL = ["-ub", "64"]
HEAD_AT_MASTER = ["-ot", "^output=CPU,^token_embd=CPU"]
TENSOR = "fabric tensor"
DIRECT = "are added up by the workers themselves"
# Of the devices 1 to N: which carry layers with the fabric, or a share of each layer.
CARRIERS = {"fabric workers": lambda n: range(2, n + 1), "fabric sampling": lambda n: range(2, n + 1),
            "fabric all": lambda n: range(1, n + 1), "fabric two": lambda n: range(1, 3), TENSOR: lambda n: range(2, n + 1)}
METHODS = ("guide", "best", "alone", *CARRIERS)
# What differs from three devices on the profile's air, one stream, 2k tokens of context.
CASES = {
    "usual": {},
    "loss": {"air": {"loss": 0.005}},  # for each of the two hops through the air: 1 % of the packets
    "jitter": {"air": {"jitter": 50}},
    "five": {"devices": 5},
    "streams": {"streams": 4},
    "long": {"context": 8192},
    "wire": {"profile": "usb-ethernet"},
}


def parts_of(layers, parts):
    """Whole layers, the first ones get what is left over; the output layer counts to the last."""
    shares = [layers // parts + (1 if i < layers % parts else 0) for i in range(parts)]
    return ",".join(str(share) for share in shares[:-1] + [shares[-1] + 1])


class FabricBench:
    """One method in one lab."""

    def __init__(self, lab, folder, model, layers, settings):
        self.lab, self.folder, self.model, self.layers, self.settings = lab, folder, model, layers, settings
        self.bench = Bench(BIN, engine_folder(BIN), folder)
        self.started = []

    def start(self, device, argv, env=None):
        with open(self.folder / f"{pathlib.Path(argv[0]).name}-{device}.log", "wb") as log:
            process = self.lab.popen(device, argv, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})})
        self.started.append(process)
        return process

    def stop(self, processes):
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
            self.started.remove(process)

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
        self.start(device, [WORKER, "--listen", place, "--key-file", str(key_file), "--threads", "1", "--any-address",
                            "--store", str(self.folder / f"store-{device}")])
        until_it_listens(self.lab, device, PORT)
        return {"name": f"phone-{device}", "address": place, "peer": place, "key": key, "threads": 1}

    def usual(self):
        streams = self.settings["streams"]
        return ["-c", str(self.settings["context"] * streams), "-np", str(streams), "-t", "1", "--cache-ram", "0", "-fit", "off", *SMALL]

    def command(self, method):
        """llama-server's arguments beside the model and the port, and its environment. Starts the workers."""
        devices = self.lab.devices
        if method == "alone":
            return [*self.usual(), "--device", "none", "-ngl", "0"], {}
        if method in ("guide", "best"):
            places = ",".join(self.rpc_worker(device) for device in range(2, devices + 1))
            if method == "best":
                return [*self.usual(), "--rpc", places, "-ngl", "99", *HEAD_AT_MASTER], {}
            streams = self.settings["streams"]
            shares = ["0.4"] + [f"{0.6 / (devices - 1):.2f}"] * (devices - 1)
            return ["--rpc", places, "--tensor-split", ",".join(shares), "-c", str(self.settings["context"] * streams), "-np", str(streams),
                    "-t", "1", "--load-mode", "none"], {}
        stages = [self.fabric_worker(device) for device in CARRIERS[method](devices)]
        head = "worker" if method == "fabric sampling" else "master"
        if method == TENSOR:  # sums are made among the workers
            peers = [stage.pop("peer") for stage in stages]
            for own, stage in enumerate(stages):
                stage["peers"] = ["" if other == own else peer for other, peer in enumerate(peers)]
        plan = self.folder / "plan.json"
        plan.touch(0o600)
        plan.write_text(json.dumps({"stages": stages, "head": head, "timeout_ms": 60000, "model": str(self.model),
                                    "manifests": str(self.folder / "manifests")}))
        names = ",".join(f"Caravan{i}" for i in range(len(stages)))
        split = (["--split-mode", "tensor", "-fa", "on", "--tensor-split", ",".join("1" * len(stages))] if method == TENSOR
                 else ["--tensor-split", parts_of(self.layers, len(stages))])
        return [*self.usual(), "--device", names, "-ngl", "99", *split,
                *(["-bs"] if head == "worker" else [])], {"GGML_BACKEND_PATH": MODULE, "CARAVAN_FABRIC_PLAN": str(plan)}

    def on_air(self):
        """Bytes that all devices' own interfaces sent so far."""
        total = 0
        for device in range(1, self.lab.devices + 1):
            lines = self.lab.run(device, ["cat", "/proc/net/dev"], timeout=20).stdout.splitlines()[2:]
            total += sum(int(line.split(":")[1].split()[8]) for line in lines if not line.strip().startswith("lo:"))
        return total

    def one_way_ms(self):
        pings = self.lab.run(1, ["ping", "-c", "40", "-i", "0.05", "-q", self.lab.address(2)], timeout=60).stdout
        found = re.search(r"= [\d.]+/([\d.]+)/", pings)
        return float(found.group(1)) / 2 if found else None

    def loaded(self, arguments, environment):
        """A server that is ready, the seconds that it took, and the megabytes on the air."""
        before, began = self.on_air(), time.monotonic()
        server = self.start(1, [str(self.bench.engine / "llama-server"), "-m", str(self.model), "--host", "127.0.0.1", "--port",
                                str(API_PORT), *arguments], environment)
        load = until_ready(self.lab, 1, self.api(), server, began)
        if load is None:
            raise LabError("llama-server does not get ready: " + (self.folder / "llama-server-1.log").read_text(errors="replace")[-400:],
                           "start its command line by hand")
        return server, load, (self.on_air() - before) / 1e6

    @staticmethod
    def api():
        return f"http://127.0.0.1:{API_PORT}"

    def ask(self, number, prompt):
        """All streams at once: what one of them sees on average, times their number."""
        streams = self.settings["streams"]
        with concurrent.futures.ThreadPoolExecutor(streams) as pool:
            asked = [pool.submit(self.bench.ask, self.lab, 1, self.api(), number * streams + i, prompt, self.settings["generated"])
                     for i in range(streams)]
            timings = [one.result() for one in asked]
        return {"decode": sum(t["predicted_per_second"] for t in timings), "prefill": sum(t["prompt_per_second"] for t in timings)}

    def measure(self, method):
        try:
            one_way = self.one_way_ms()
            arguments, environment = self.command(method)
            server, load, air = self.loaded(arguments, environment)
            if method == TENSOR and DIRECT not in (self.folder / "llama-server-1.log").read_text(errors="replace"):
                raise LabError("split tensors are not added up by the workers themselves", "see what llama-server's log says of caravan-fabric")
            result = {"load": load, "air_mb": air, "one_way_ms": one_way, "arguments": arguments, "prompts": {}}
            if method in CARRIERS:
                self.stop([server])
                server, result["load_again"], result["air_again_mb"] = self.loaded(arguments, environment)
            self.lab.control(f"profile {self.lab.profile}")
            if self.settings["air"]:
                self.lab.set(**self.settings["air"])
            for prompt in self.settings["prompts"]:
                answers = [self.ask(number, prompt) for number in range(self.settings["answers"] + 1)]
                result["prompts"][str(prompt)] = answers[1:]
            return result
        finally:
            self.stop(list(self.started))


def medians(starts, prompt):
    answers = [answer for start in starts for answer in start["prompts"][str(prompt)]]
    return {key: statistics.median(answer[key] for answer in answers) for key in ("decode", "prefill")}


def median_of(starts, key):
    values = [start[key] for start in starts if start.get(key) is not None]
    return statistics.median(values) if values else None


def hops_of(method, devices):
    """Ways through the air that a token's state takes: on to each worker, and back."""
    carriers = list(CARRIERS[method](devices))
    return len([device for device in carriers if device != 1]) + 1


def share_of_limit(result, method, prompt):
    """Of what the layers cost one device alone and one way a hop, nothing else (fabric-facts' limit)."""
    alone = result["measured"].get("alone")
    if method not in CARRIERS or method == TENSOR or not alone or result["settings"]["streams"] > 1:
        return None
    one_way = median_of(result["measured"][method], "one_way_ms")
    limit = 1000 / (1000 / medians(alone, prompt)["decode"] + hops_of(method, result["devices"]) * one_way)
    return medians(result["measured"][method], prompt)["decode"] / limit


def cell(value, digits):
    return "" if value is None else f"{value:.{digits}f}"


def table(result):
    settings = result["settings"]
    heads = "".join(f" decode, {p} | of the limit | prefill, {p} |" for p in settings["prompts"])
    what = ", ".join(f"{key} {value}" for key, value in CASES[result["case"]].items()) or "as usual"
    lines = [f"# The fabric against stock RPC: {result['model']}, {result['devices']} devices with one core each, {result['profile']}", "",
             f"Case: {result['case']} ({what}). Medians of {settings['starts']} starts, in turns. tok/s; seconds until ready; MB that all "
             "radios sent until then; the same for a second start.", "",
             f"| |{heads} load | air | again | air |", "|---|" + "---|" * (3 * len(settings["prompts"]) + 4)]
    for method, starts in result["measured"].items():
        if not starts:
            continue
        cells = []
        for prompt in settings["prompts"]:
            speeds = medians(starts, prompt)
            cells += [cell(speeds["decode"], 1), cell(share_of_limit(result, method, prompt), 2), cell(speeds["prefill"], 0)]
        cells += [cell(median_of(starts, key), 1) for key in ("load", "air_mb", "load_again", "air_again_mb")]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def parsed():
    parser = argparse.ArgumentParser(prog="./run bench fabric", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="0.5B", choices=list(SHAPES), help="of a model of random weights")
    parser.add_argument("--quant", default="q4_0", choices=("q4_0", "q4_k_m"),
                        help="of its weights (q4_0: in the 0.5B shape q4_k_m is mostly q5_0 and q8_0, which no processor has repacked)")
    parser.add_argument("--model", type=pathlib.Path, help="a model instead: real weights")
    parser.add_argument("--case", default="usual", choices=list(CASES))
    parser.add_argument("--methods", nargs="+", default=["guide", "best", "alone", "fabric workers", "fabric all", "fabric two"], choices=METHODS)
    parser.add_argument("--prompts", nargs="+", type=int, default=[200, 800])
    parser.add_argument("--generated", type=int, default=64)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--answers", type=int, default=2, help="of each start and prompt (2); one more comes before and does not count")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("/tmp/caravan-bench"), help="where models go")
    parser.add_argument("--vocabularies", required=True, help="llama.cpp's models/ folder")
    parser.add_argument("--pacing", action="store_true", help="TCP as this machine has it, perhaps BBR")
    parser.add_argument("--keep", action="store_true", help="write to lab/results/")
    return parser.parse_args()


def model_of(arguments):
    if arguments.model:
        return arguments.model
    return make_model(SHAPES[arguments.shape][0], arguments.folder, arguments.vocabularies, arguments.quant)


def keep(result):
    stem = ROOT / "lab" / "results" / f"fabric-{result['model']}-{result['case']}-{datetime.date.today().isoformat()}"
    pathlib.Path(f"{stem}.json").write_text(json.dumps(result, indent=1) + "\n")
    pathlib.Path(f"{stem}.md").write_text(table(result))


def main():
    arguments = parsed()
    case = CASES[arguments.case]
    settings = {"prompts": arguments.prompts, "generated": arguments.generated, "starts": arguments.starts, "answers": arguments.answers,
                "streams": case.get("streams", 1), "context": case.get("context", 2048), "air": case.get("air", {})}
    try:
        check_machine()
        model = model_of(arguments)
        layers = len(json.loads(sh([BIN, "models", "info", "--json", str(model)]))["layers"])
        result = {"model": model.stem, "case": arguments.case, "profile": case.get("profile", "wifi5"), "devices": case.get("devices", 3),
                  "settings": settings, "measured": {method: [] for method in arguments.methods}}
        for _ in range(arguments.starts):
            for method in arguments.methods:
                with tempfile.TemporaryDirectory(prefix="fabric-") as folder, \
                        Lab(profile=result["profile"], devices=result["devices"], cores=1,
                            without_pacing=not arguments.pacing) as lab:
                    one = FabricBench(lab, pathlib.Path(folder), model, layers, settings).measure(method)
                result["measured"][method].append(one)
                print(method, json.dumps(one), flush=True)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table(result))
    if arguments.keep:
        keep(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
