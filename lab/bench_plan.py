#!/usr/bin/env python3
"""./run bench plan: the planner against the guide's command and llama.cpp's default, in one run in the lab.

For each cluster and model shape: devices are calibrated inside their limits, the planner makes a plan from that for each data
path (`caravan`: llama.cpp's RPC), and each method's own command lines are started in the lab, the fabric's twice, with empty stores first. Decode and prompt speed are llama-server's own timings, load is the time
until /health says ok; where sending the weights would take over a minute they go over a free link, and load is not measured. Raw
figures go to lab/results/.
"""
import argparse
import datetime
import json
import os
import pathlib
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from lab import Lab, LabError, check_machine  # noqa: E402
from inside import call, until_it_listens, until_ready  # noqa: E402

# Name, network, cores of each device, its budget as a part of the model's size (None: each could hold all of it), and the
# device that has a bad link (0: none). By hand the first device is the master; the budgets bind the planner only, nothing
# enforces them.
CLUSTERS = {
    "three equal phones, Wi-Fi 5": ("wifi5", [1, 1, 1], None, 0),
    "three equal phones, Wi-Fi 5, memory forces a split": ("wifi5", [1, 1, 1], 0.55, 0),
    "flagship and two budget phones, Wi-Fi 5": ("wifi5", [1, 0.4, 0.4], None, 0),
    "flagship and two budget phones, Wi-Fi 5, forced": ("wifi5", [1, 0.4, 0.4], 0.55, 0),
    "four mixed, Wi-Fi 5, forced": ("wifi5", [1, 0.7, 0.5, 0.3], 0.45, 0),
    "good and bad Wi-Fi (one phone two walls away), forced": ("wifi5", [1, 1, 1], 0.55, 3),
    "three equal phones, bad Wi-Fi, forced": ("bad-wifi", [1, 1, 1], 0.55, 0),
    "three equal phones, USB Ethernet, forced": ("usb-ethernet", [1, 1, 1], 0.55, 0),
}
# One station's link of the profile bad-wifi, in the emulator's words; and one that costs next to nothing.
BAD_LINK = {"rate": 39, "delay": 6, "overhead": 0.4, "retry": 0.35}
FREE_LINK = {"rate": 20000, "delay": 0, "jitter": 0, "overhead": 0.005, "retry": 0, "loss": 0}
# Shape of the random weights, generated tokens, answers.
SHAPES = {"0.5B": ("qwen2.5-0.5b", 32, 2), "1B": ("llama-3.2-1b", 24, 2), "3B": ("llama-3.2-3b", 16, 1)}
PROMPT = 512  # tokens: what predictions are for; of a shorter one less overlaps
LONG_LOAD = 60  # seconds that the weights would be on the air: above, they are sent over a free link, and load is not measured
CONTEXT = 1024
PROGRAMS = ROOT / "build" / "bin"
PATHS = {"caravan": "rpc", "fabric": "fabric"}  # methods that are planned


def sh(argv, **options):
    return subprocess.run(argv, check=True, capture_output=True, text=True, **options).stdout


def engine_folder(caravan):
    return pathlib.Path(json.loads(sh([caravan, "engine", "--json"]))["folder"])


def make_model(shape, folder, vocabularies, quant="q4_k_m", layers=0):
    """Random weights; `layers` 0: as many as the shape has."""
    path = folder / f"{shape}{f'-{layers}-layers' if layers else ''}-{quant}.gguf"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        print(f"model    making {path.name}", flush=True)
        sh([str(ROOT / "build" / "release" / "lab" / "lab_random_model"), "--shape", shape, "--quant", quant, "--layers", str(layers),
            "--vocab", str(vocabularies), "--out", str(path)])
    return path


class Bench:
    def __init__(self, caravan, engine, folder):
        self.caravan, self.engine, self.folder = caravan, engine, folder
        self.speeds = {}

    def calibrate(self, lab, device):
        """What one device can do inside its limits."""
        share = lab.cores[device - 1]
        if share not in self.speeds:
            home = self.folder / f"home-{share}"
            home.mkdir(exist_ok=True)
            lab.run(device, ["env", f"CARAVAN_HOME={home}", self.caravan, "calibrate", "--threads", "1"], timeout=120)
            self.speeds[share] = json.loads((home / "speed.json").read_text())
        return self.speeds[share]

    @staticmethod
    def link(lab, there):
        """Mean round trip in ms and Mbit/s of a TCP stream, from device 1."""
        pings = lab.run(1, ["ping", "-c", "40", "-i", "0.05", "-q", lab.address(there)], timeout=60).stdout
        round_trip = float(re.search(r"= [\d.]+/([\d.]+)/", pings).group(1))
        server = lab.popen(there, ["iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
        until_it_listens(lab, there, 5201)
        report = lab.run(1, ["iperf3", "-c", lab.address(there), "-t", "3", "-J"], timeout=60).stdout
        server.wait(10)
        return round_trip, json.loads(report)["end"]["sum_received"]["bits_per_second"] / 1e6

    def plan(self, model, devices, usual, special, *options):
        """What `caravan plan` says. `special`: the device with a link of its own and that link, or nothing."""
        names = [device["name"] for device in devices]
        links = [{"from": name, "to": names[special[0] - 1], "round_trip_ms": special[1][0], "mbit": special[1][1]}
                 for name in names if special and name != names[special[0] - 1]]
        path = self.folder / "devices.json"
        path.write_text(json.dumps({"devices": devices, "link": {"round_trip_ms": usual[0], "mbit": usual[1]}, "links": links}))
        argv = [self.caravan, "plan", str(model), "--devices", str(path), "--json", "--context", str(CONTEXT), *options]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(json.loads(done.stdout)["error"]["message"] if done.stdout else done.stderr)
        return done.stdout

    @staticmethod
    def layout_of(plan, devices):
        """What is to be started for a plan."""
        names = [device["name"] for device in devices]
        replica = plan["replicas"][0]
        workers = [share["device"] for share in replica["shares"][1:]]
        server = next(command for command in plan["commands"] if command["arguments"][0] == "llama-server")
        return {"master": names.index(replica["shares"][0]["device"]) + 1, "workers": [names.index(name) + 1 for name in workers],
                "arguments": server["arguments"], "file": server.get("file"), "environment": server["environment"],
                "fabric": [(names.index(command["device"]) + 1, command["arguments"]) for command in plan["commands"]
                           if command["arguments"][0] == "caravan-worker"]}

    def by_hand(self, model, devices, with_split):
        """The guide's command: RPC workers, RAM-proportional split with a value for the master too; or without the split."""
        arguments = ["llama-server", "-m", str(model), "--rpc", "", "-c", str(CONTEXT), "-t", "1", "--load-mode", "none", "--host", "127.0.0.1",
                     "--port", "8080"]
        if with_split:
            memory = [device["memory"] for device in devices]
            arguments += ["--tensor-split", ",".join(f"{m / sum(memory):.2f}" for m in memory)]
        return {"master": 1, "workers": list(range(2, len(devices) + 1)), "arguments": arguments}

    def start_fabric(self, lab, layout):
        """The plan's workers, and the file that the module reads, as the plan has them but for places and keys."""
        key, places, started = secrets.token_hex(32), {"": ""}, []
        for device, arguments in layout["fabric"]:
            arguments, planned = list(arguments), arguments[arguments.index("--listen") + 1]
            port = planned.rpartition(":")[2]
            places[planned] = f"{'127.0.0.1' if device == layout['master'] else lab.address(device)}:{port}"
            files = self.folder / f"fabric-{device}"
            files.mkdir(exist_ok=True)
            self.write_private(files / "plan.key", key)
            for flag, value in (("--listen", places[planned]), ("--key-file", files / "plan.key"), ("--store", files / "store")):
                arguments[arguments.index(flag) + 1] = str(value)
            with open(files / "worker.log", "wb") as log:
                started.append(lab.popen(device, [str(PROGRAMS / arguments[0]), *arguments[1:]], stdout=log, stderr=subprocess.STDOUT))
            until_it_listens(lab, device, port)
        self.write_fabric_plan(layout, places, key)
        return started

    def write_fabric_plan(self, layout, places, key):
        """`places`: where workers are, by where the plan has them."""
        content = json.loads(json.dumps(layout["file"]["content"]))
        for stage in content["stages"]:
            stage.update(key=key, address=places[stage["address"]], peer=places[stage["peer"]])
        content["manifests"] = str(self.folder / f"fabric-{layout['master']}" / "manifests")
        self.write_private(self.folder / "fabric-plan.json", json.dumps(content))

    @staticmethod
    def write_private(path, text):
        path.touch(0o600)
        path.write_text(text)

    def measure_fabric(self, lab, layout, asked, network):
        """With empty stores, then with what these have kept."""
        for folder in self.folder.glob("fabric-[0-9]*"):
            shutil.rmtree(folder)
        first = self.measure(lab, layout, asked, network)
        if "failed" in first or not layout["fabric"]:
            return {**first, "load_again": first.get("load")}
        again = self.measure(lab, layout, asked, network)
        return again if "failed" in again else {**again, "load": first["load"], "load_again": again["load"]}

    def measure(self, lab, layout, asked, network):
        """Starts one method's processes in the lab, asks, stops them. `asked`: tokens of the prompt and of an answer, answers.
        `network(free)` makes the links as they should be."""
        loads_free = layout["seconds_on_air"] > LONG_LOAD
        network(loads_free)
        started = []
        try:
            places = []
            if layout.get("fabric"):
                started += self.start_fabric(lab, layout)
            for rank, device in enumerate([] if layout.get("fabric") else layout["workers"], start=1):
                port = str(50051 + rank)
                places.append(f"{lab.address(device)}:{port}")
                started.append(lab.popen(device, [str(self.engine / "ggml-rpc-server"), "--host", lab.address(device), "--port", port,
                                                  "--threads", "1", "--device", "CPU"],
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
                until_it_listens(lab, device, port)
            arguments = list(layout["arguments"])
            if "--rpc" in arguments:
                arguments[arguments.index("--rpc") + 1] = ",".join(places)
            for flag, value in (("--host", lab.address(layout["master"])), ("--port", "8080")):
                arguments[arguments.index(flag) + 1] = value
            arguments[0] = str(self.engine / "llama-server")
            with open(self.folder / "server.log", "wb") as log:
                began = time.monotonic()
                environment = dict(os.environ)
                if layout.get("fabric"):
                    environment |= {"GGML_BACKEND_PATH": str(PROGRAMS / "libggml-caravan.so"),
                                    "CARAVAN_FABRIC_PLAN": str(self.folder / "fabric-plan.json")}
                server = lab.popen(layout["master"], arguments, stdout=log, stderr=subprocess.STDOUT, env=environment)
                started.append(server)
            api = f"http://{lab.address(layout['master'])}:8080"
            load = until_ready(lab, layout["master"], api, server, began)
            if load is None:
                return {"failed": (self.folder / "server.log").read_text(errors="replace")[-300:]}
            network(False)
            answers = self.ask_all(lab, layout["master"], api, asked)
            return {"load": None if loads_free else load, "decode": statistics.median(a["predicted_per_second"] for a in answers),
                    "prefill": statistics.median(a["prompt_per_second"] for a in answers), "answers": answers}
        finally:
            for process in reversed(started):
                process.terminate()
            for process in started:
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()

    def ask_all(self, lab, device, api, asked):
        prompt, generated, answers = asked
        return [self.ask(lab, device, api, n, prompt, generated) for n in range(answers)]

    def ask(self, lab, device, api, number, prompt, generated):
        tokens = [(7 * i + 13 * number) % 1000 + 300 for i in range(prompt)]
        body = {"prompt": tokens, "n_predict": generated, "ignore_eos": True, "cache_prompt": False, "temperature": 0}
        return json.loads(call(lab, device, f"{api}/completion", body))["timings"]


def one_case(bench, name, shape, model):
    profile, cores, part, bad = CLUSTERS[name]
    weights = model.stat().st_size
    budget = int(weights * part + 200e6) if part else int(weights * 1.5 + 400e6)
    with Lab(profile=profile, devices=len(cores), cores=cores) as lab:
        def network(free):
            lab.control(f"profile {profile}")
            if free:
                lab.set(**FREE_LINK)
            elif bad:
                lab.set(bad, **BAD_LINK)

        network(False)
        devices = [{"name": f"phone-{i + 1}", "memory": budget, "threads": 1, "speed": bench.calibrate(lab, i + 1)}
                   for i in range(len(cores))]
        usual = bench.link(lab, 2)
        special = (bad, bench.link(lab, bad)) if bad else None
        plans, layouts = {}, {"guide": bench.by_hand(model, devices, True), "default": bench.by_hand(model, devices, False)}
        for method, path in PATHS.items():
            plans[method] = json.loads(bench.plan(model, devices, usual, special, "--data-path", path))
            layouts[method] = bench.layout_of(plans[method], devices)
        slowest = min(usual[1], special[1][1] if special else usual[1])
        # By hand two thirds (three devices) or three quarters (four) of the weights go to workers, and a plan sends less.
        for chosen in layouts.values():
            chosen["seconds_on_air"] = 0 if not chosen["workers"] else weights * 8e-6 / slowest * 0.7
        result = {"cluster": name, "shape": shape, "profile": profile, "cores": cores, "budget": budget, "link": usual, "special": special,
                  "plan": {method: plan["replicas"][0] for method, plan in plans.items()},
                  "predicted": {method: plan["predicted"] for method, plan in plans.items()}, "measured": {}}
        for method, chosen in layouts.items():
            measure = bench.measure_fabric if method == "fabric" else bench.measure
            result["measured"][method] = measure(lab, chosen, (PROMPT, *SHAPES[shape][1:]), network)
            print(f"  {method:<8} {summary(result['measured'][method])}", flush=True)
            if method in plans:
                p = plans[method]["predicted"]
                print(f"    predicted decode {p['tokens_per_second']:.1f}, prompt {p['prompt_tokens_per_second']:.0f}, load "
                      f"{p['load_seconds']:.1f} s, then {p['load_again_seconds']:.1f} s", flush=True)
        return result


def seconds(load):
    return "-" if load is None else f"{load:.1f}"


def summary(measured):
    if "failed" in measured:
        return "did not start"
    return f"decode {measured['decode']:.1f} tok/s, prompt {measured['prefill']:.0f} tok/s, load {seconds(measured['load'])} s"


def compared(predicted, measured):
    """The prediction, and how far it is from what was measured."""
    return "-" if measured is None else f"{predicted:.1f} ({100 * (predicted / measured - 1):+.0f} %)"


def table(results):
    lines = ["| cluster | model | guide | default | Caravan, RPC | predicted | Caravan, fabric | predicted | fabric / guide | "
             "prompt: guide | RPC | predicted | fabric | predicted | load, s: guide | RPC | predicted | fabric | predicted | again | predicted |",
             "|---|---|" + "---|" * 19]
    for r in results:
        m, p = r["measured"], r["predicted"]
        if any("failed" in m[method] for method in m):
            lines.append(f"| {r['cluster']} | {r['shape']} | " + " | ".join(f"{method}: {summary(m[method])}" for method in m) + " |" * 16)
            continue
        cells = [r["cluster"], r["shape"], *(f"{m[k]['decode']:.1f}" for k in ("guide", "default"))]
        for method in PATHS:
            cells += [f"{m[method]['decode']:.1f}", compared(p[method]["tokens_per_second"], m[method]["decode"])]
        cells += [f"{m['fabric']['decode'] / m['guide']['decode']:.2f}", f"{m['guide']['prefill']:.0f}"]
        for method in PATHS:
            cells += [f"{m[method]['prefill']:.0f}", compared(p[method]["prompt_tokens_per_second"], m[method]["prefill"])]
        cells.append(seconds(m["guide"]["load"]))
        for method in PATHS:
            cells += [seconds(m[method]["load"]), compared(p[method]["load_seconds"], m[method]["load"])]
        cells += [seconds(m["fabric"]["load_again"]), compared(p["fabric"]["load_again_seconds"], m["fabric"]["load_again"])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def keep(results):
    """After each case: what was measured stays when the rest is interrupted."""
    out = ROOT / "lab" / "results"
    out.mkdir(exist_ok=True)
    stem = f"plan-{datetime.date.today().isoformat()}"
    (out / f"{stem}.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / f"{stem}.md").write_text(table(results))


def main():
    parser = argparse.ArgumentParser(prog="./run bench plan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default="0.5B", help="of 0.5B, 1B, 3B, with commas (0.5B)")
    parser.add_argument("--clusters", default="", help="only those whose name contains this")
    parser.add_argument("--folder", default="/tmp/caravan-bench", help="where models and logs go")
    parser.add_argument("--vocabularies", required=True, help="llama.cpp's models/ folder")
    arguments = parser.parse_args()
    try:
        check_machine()
    except LabError as error:
        sys.exit(f"error: {error}")
    caravan = str(ROOT / "build" / "bin" / "caravan")
    folder = pathlib.Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(caravan, engine_folder(caravan), folder)
    results = []
    for shape in arguments.shapes.split(","):
        model = make_model(SHAPES[shape][0], folder, pathlib.Path(arguments.vocabularies))
        for name in CLUSTERS:
            if arguments.clusters not in name:
                continue
            print(f"{name}, {shape}", flush=True)
            results.append(one_case(bench, name, shape, model))
            keep(results)
    print(table(results))


if __name__ == "__main__":
    main()
