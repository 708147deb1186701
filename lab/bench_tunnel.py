#!/usr/bin/env python3
"""./run bench tunnel: what the link's tunnel costs a model that is split over two devices, in the lab.

Two devices with one core each are a cluster and serve a model together. Then the very same command lines are started by hand, but with
llama-server connected straight to the other device's ggml-rpc-server: in plain, as the guide does it. Both in turns, with
llama-server's own timings. Round trips and bandwidth of the tunnel alone are lab_tunnel_cost's. Raw figures go to lab/results/.
"""
import argparse
import datetime
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from bench_plan import PROMPT, SHAPES, Bench, engine_folder, make_model  # noqa: E402
from inside import until_it_listens, until_ready  # noqa: E402
from devices import Device  # noqa: E402
from harness import BIN, wait_for  # noqa: E402
from lab import Lab, LabError, check_machine  # noqa: E402

PORT = 50152  # of the RPC server that is reached without a tunnel
GENERATED = 128  # tokens: a second's worth of them differs by a tenth from one answer to the next


def engine_process(lab, device, program):
    """Number and arguments of the engine program that a device's node has started."""
    for pid in lab.pids(device):
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
        if words and pathlib.Path(words[0]).name == program:
            return pid, words
    raise LabError(f"device {device} runs no {program}", "see its node.log and engine logs")


def start_of(pid):
    """When a process began, in seconds since the machine did (proc(5), /proc/PID/stat, field 22)."""
    ticks = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return int(ticks) / os.sysconf("SC_CLK_TCK")


def listening_port(pid):
    """Of a process that let the system choose it."""
    inodes = {os.readlink(entry) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()}
    for line in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
            return int(fields[1].partition(":")[2], 16)
    raise LabError(f"process {pid} listens at no port", "see the engine's log")


def with_values(words, **values):
    """The arguments with other values of some options."""
    changed = list(words)
    for option, value in values.items():
        changed[changed.index(f"--{option}") + 1] = str(value)
    return changed


def option(words, name):
    return words[words.index(f"--{name}") + 1]


class TunnelBench:
    def __init__(self, lab, folder, speed, model, shape, answers):
        self.lab, self.model, self.shape, self.answers = lab, model, shape, answers
        places = SimpleNamespace(lab=lab, folder=folder, speed=speed)
        # Neither could hold all of it: so there is a split.
        memory = f"{int(model.stat().st_size * 0.55 + 200e6) >> 20}M"
        self.devices = [Device(places, number, memory=memory) for number in (1, 2)]
        self.bench = Bench(BIN, engine_folder(BIN), folder)
        self.master = self.worker = None

    def form_cluster(self):
        one, two = self.devices
        one.give(self.model)
        one.up()
        code = json.loads(one.caravan("invite", "--code", "--json"))["code"]
        two.caravan("join", code, "--name", two.name)
        wait_for(lambda: one.is_linked_to(two.name) and two.is_linked_to(one.name), "the link", 60)

    def ask(self, port):
        """Timings of some answers; the first one, for which caches are cold, does not count."""
        api = f"http://127.0.0.1:{port}"
        timings = [self.bench.ask(self.lab, 1, api, number, PROMPT, GENERATED) for number in range(self.answers + 1)]
        return [{"decode": t["predicted_per_second"], "prompt": t["prompt_per_second"]} for t in timings[1:]]

    def through_the_tunnel(self):
        one = self.devices[0]
        one.caravan("serve", str(self.model), "--use", "phone-1,phone-2", "--context", "1024")
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        (pid, master), (_, worker) = engine_process(self.lab, 1, "llama-server"), engine_process(self.lab, 2, "ggml-rpc-server")
        if self.master and option(master, "tensor-split") + option(master, "gpu-layers") != \
                option(self.master, "tensor-split") + option(self.master, "gpu-layers"):
            raise LabError("the split has changed between two starts", "run it again on a quieter machine")
        self.master, self.worker = master, worker
        result = {"load_seconds": now - start_of(pid), "answers": self.ask(listening_port(pid))}
        one.caravan("serve", "--stop")
        wait_for(lambda: len(self.lab.pids(1)) == 1 and len(self.lab.pids(2)) == 1, "the engine to end", 30)
        return result

    def bare(self):
        worker = with_values(self.worker, host=self.lab.address(2), port=PORT)
        master = with_values(self.master, rpc=f"{self.lab.address(2)}:{PORT}", port=PORT + 1)
        began = time.monotonic()
        started = [self.lab.popen(2, worker, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
        try:
            until_it_listens(self.lab, 2, PORT)
            started.append(self.lab.popen(1, master, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            load = until_ready(self.lab, 1, f"http://127.0.0.1:{PORT + 1}", started[1], began)
            if load is None:
                raise LabError("llama-server does not get ready without the tunnel", "start its command line by hand")
            return {"load_seconds": load, "answers": self.ask(PORT + 1)}
        finally:
            for process in reversed(started):
                process.kill()
                process.wait(10)

    def alone(self, trips):
        """lab_tunnel_cost between the two devices, whose nodes have ended."""
        for device in self.devices:
            device.stop()
        tool = ROOT / "build" / "release" / "lab" / "lab_tunnel_cost"
        server = self.lab.popen(2, [tool, "serve", self.lab.address(2)], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout.readline() == "ready\n"
            said = self.lab.run(1, [tool, "ask", self.lab.address(2), "--trips", str(trips), "--bulk", str(16 << 20), "--bulks", "9"],
                                timeout=1200)
            if said.returncode != 0:
                raise LabError(f"lab_tunnel_cost: {said.stdout}{said.stderr}", "run it by hand")
            return said.stdout
        finally:
            server.kill()
            server.wait(10)
            server.stdout.close()


def medians(starts):
    answers = [answer for start in starts for answer in start["answers"]]
    return {**{key: statistics.median(answer[key] for answer in answers) for key in ("decode", "prompt")},
            "load": statistics.median(start["load_seconds"] for start in starts)}


def table(result):
    bare, tunnel = medians(result["bare"]), medians(result["tunnel"])
    starts = len(result["bare"])
    lines = [f"# The tunnel's cost: {result['shape']} on two devices with one core each, {result['profile']}", "",
             f"Medians of {starts} starts each, in turns. `{' '.join(result['split'])}`", "",
             "| | bare | tunnel | tunnel / bare |", "|---|---|---|---|"]
    for key, name in (("decode", "decode, tok/s"), ("prompt", "prompt, tok/s"), ("load", "load, s")):
        lines.append(f"| {name} | {bare[key]:.2f} | {tunnel[key]:.2f} | {tunnel[key] / bare[key]:.3f} |")
    lines += ["", "Medians of each start's decode, bare: " +
              ", ".join(f"{statistics.median(a['decode'] for a in s['answers']):.2f}" for s in result["bare"]) + "; tunnel: " +
              ", ".join(f"{statistics.median(a['decode'] for a in s['answers']):.2f}" for s in result["tunnel"]), "",
              "lab_tunnel_cost between the same two devices:", "", *("    " + line for line in result["alone"].splitlines())]
    return "\n".join(lines) + "\n"


def keep(result):
    out = ROOT / "lab" / "results"
    out.mkdir(exist_ok=True)
    stem = f"tunnel-{datetime.date.today().isoformat()}"
    (out / f"{stem}.json").write_text(json.dumps(result, indent=1) + "\n")
    (out / f"{stem}.md").write_text(table(result))


def main():
    parser = argparse.ArgumentParser(prog="./run bench tunnel", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="0.5B", choices=list(SHAPES))
    parser.add_argument("--profile", default="wifi5")
    parser.add_argument("--starts", type=int, default=3, help="of each (3)")
    parser.add_argument("--answers", type=int, default=3, help="of each start (3)")
    parser.add_argument("--trips", type=int, default=400, help="round trips of each size (400)")
    parser.add_argument("--folder", default="/tmp/caravan-bench", help="where models go")
    parser.add_argument("--vocabularies", required=True, help="llama.cpp's models/ folder")
    arguments = parser.parse_args()
    models = pathlib.Path(arguments.folder)
    models.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tunnel-", dir=models))  # hard links need the same file system
    result = {"shape": arguments.shape, "profile": arguments.profile, "bare": [], "tunnel": []}
    try:
        check_machine()
        model = make_model(SHAPES[arguments.shape][0], models, pathlib.Path(arguments.vocabularies))
        with Lab(without_pacing=True, profile=arguments.profile, devices=2, cores=1) as lab:
            bench = Bench(BIN, engine_folder(BIN), folder)
            speed = folder / "speed.json"
            speed.write_text(json.dumps(bench.calibrate(lab, 1)))
            tunnels = TunnelBench(lab, folder, speed, model, arguments.shape, arguments.answers)
            tunnels.form_cluster()
            for _ in range(arguments.starts):
                for name, measure in (("tunnel", tunnels.through_the_tunnel), ("bare", tunnels.bare)):
                    result[name].append(measure())
                    print(name, json.dumps(result[name][-1]), flush=True)
            words = tunnels.master
            result["split"] = [word for name in ("tensor-split", "gpu-layers") for word in (f"--{name}", option(words, name))]
            result["command"] = [pathlib.Path(word).name if word.startswith("/") else word for word in words]
            result["alone"] = tunnels.alone(arguments.trips)
    except LabError as error:
        sys.exit(f"error: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    keep(result)
    print(table(result))


if __name__ == "__main__":
    main()
