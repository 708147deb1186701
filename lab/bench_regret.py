#!/usr/bin/env python3
"""./run bench regret: what the planner chooses against every other layout of three devices, by brute force.

Each cluster has three unlike devices in the lab, calibrated inside their limits; the model has few layers, so that there are a few hundred
layouts: each master, each set and order of workers, each cut into whole layers, both places of the output head. Each one that fits into the
devices' memory is started as `caravan plan` says (the fabric's workers go on running, llama-server starts anew) and measured. What is
compared is what the planner keeps least: a token, and a token's part of a prompt. The best ones and the chosen one are measured again in
turns, since the best of many has been lucky as well. Weights go into the workers' stores once; how long a start takes is not compared.
"""
import argparse
import datetime
import json
import pathlib
import secrets
import statistics
import subprocess
import sys

from bench_plan import PROGRAMS, ROOT, SHAPES, Bench, engine_folder, make_model
from inside import until_it_listens
from lab import Lab, LabError, check_machine

# Name, network, cores of each device, whether memory forces a split.
CLUSTERS = {
    "unlike, Wi-Fi 5": ("wifi5", [1, 0.6, 0.35], False),
    "unlike, Wi-Fi 5, memory forces a split": ("wifi5", [1, 0.6, 0.35], True),
    "unlike, USB Ethernet": ("usb-ethernet", [1, 0.6, 0.35], False),
    "unlike, USB Ethernet, memory forces a split": ("usb-ethernet", [1, 0.6, 0.35], True),
}
PORT = 50051
ROOMY = 4_000_000_000
AGAIN, ROUNDS = 5, 2  # so many of the best are measured so many times more
BOUND = 0.10  # the regret that is allowed
WARM_UP = 4  # tokens of an answer that does not count, after a prompt of the usual length


class RegretBench(Bench):
    """Workers that serve one layout after another; everything else as it is planned."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.key, self.workers = secrets.token_hex(32), []

    def start_workers(self, lab):
        for device in range(1, lab.devices + 1):
            files = self.folder / f"fabric-{device}"
            files.mkdir(exist_ok=True)
            self.write_private(files / "plan.key", self.key)
            with open(files / "worker.log", "wb") as log:
                self.workers.append(lab.popen(
                    device, [str(PROGRAMS / "caravan-worker"), "--listen", f"{lab.address(device)}:{PORT}", "--key-file", str(files / "plan.key"),
                             "--threads", "1", "--store", str(files / "store"), "--any-address"], stdout=log, stderr=subprocess.STDOUT))
            until_it_listens(lab, device, PORT)

    def stop_workers(self):
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            try:
                worker.wait(10)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait(10)
        self.workers = []

    def start_fabric(self, lab, layout):
        """Nothing has to be started: only said where everybody is."""
        places = {"": ""}
        for device, arguments in layout["fabric"]:
            places[arguments[arguments.index("--listen") + 1]] = f"{lab.address(device)}:{PORT}"
        self.write_fabric_plan(layout, places, self.key)
        return []

    def ask_all(self, lab, device, api, asked):
        self.ask(lab, device, api, asked[2], asked[0], WARM_UP)
        return super().ask_all(lab, device, api, asked)


def name_of(plan):
    """Such as `phone-1 3 + head, phone-2 3`: the master first."""
    replica = plan["replicas"][0]
    parts = [f"{share['device']} {share['layer_count']}" for share in replica["shares"]]
    parts[0 if replica["head"] == "master" else -1] += " + head"
    return ", ".join(parts)


def price(tokens, prompt):
    """Milliseconds: what the planner keeps least (docs/planner.md)."""
    return 1000 / tokens + 1000 / prompt


def predicted_of(plan):
    p = plan["replicas"][0]["predicted"]
    return {"decode": p["tokens_per_second"], "prefill": p["prompt_tokens_per_second"],
            "price": price(p["tokens_per_second"], p["prompt_tokens_per_second"])}


def forcing(plans, layers):
    """Memory of each device: what a master needs that has the head and half of the layers, and two workers."""
    return next(share["weights"] + share["kv_cache"] + share["overhead"]
                for plan in plans for share in plan["replicas"][0]["shares"]
                if len(plan["replicas"][0]["shares"]) == 3 and plan["replicas"][0]["head"] == "master"
                and share["rank"] == 0 and share["layer_count"] == layers // 2)


class Cluster:
    """One cluster: what is planned for it, and what is measured of that."""

    def __init__(self, bench, lab, name, model, asked):
        self.bench, self.lab, self.asked, self.model = bench, lab, asked, model
        self.profile, cores, forced = CLUSTERS[name]
        self.devices = [{"name": f"phone-{i}", "memory": ROOMY, "threads": 1, "speed": bench.calibrate(lab, i)}
                        for i in range(1, len(cores) + 1)]
        self.link = bench.link(lab, 2)
        plans = self.every_layout()
        if forced:
            layers = sum(share["layer_count"] for share in plans[0]["replicas"][0]["shares"])
            for device in self.devices:
                device["memory"] = forcing(plans, layers)
            plans = self.every_layout()
        self.plans = sorted(plans, key=lambda plan: predicted_of(plan)["price"])
        self.chosen = json.loads(bench.plan(model, self.devices, self.link, None))
        self.measured = {}

    def every_layout(self):
        lines = self.bench.plan(self.model, self.devices, self.link, None, "--every-layout").splitlines()
        return [json.loads(line) for line in lines]

    def network(self, _):
        self.lab.control(f"profile {self.profile}")

    def measure(self, plan):
        layout = {**self.bench.layout_of(plan, self.devices), "seconds_on_air": 0}
        result = self.bench.measure(self.lab, layout, self.asked, self.network)
        if "failed" not in result:
            result["price"] = price(result["decode"], result["prefill"])
        self.measured.setdefault(name_of(plan), []).append(result)
        return result

    def price_of(self, plan):
        """The median of what was measured; nothing when it never started."""
        prices = [one["price"] for one in self.measured.get(name_of(plan), []) if "price" in one]
        return statistics.median(prices) if prices else None

    def measure_all(self, every):
        """`every`: only so many-th layout, by what is predicted; the chosen one always."""
        chosen = name_of(self.chosen)
        plans = [plan for i, plan in enumerate(self.plans) if i % every == 0 and name_of(plan) != chosen]
        for number, plan in enumerate([self.chosen, *plans]):
            told = self.measure(plan)
            said = f"{told['price']:6.1f} ms" if "price" in told else "did not start: " + told["failed"][-100:]
            print(f"  {number + 1:>3} of {len(plans) + 1}: {said}, predicted {predicted_of(plan)['price']:6.1f}: {name_of(plan)}", flush=True)
        for _ in range(ROUNDS):
            for plan in [self.chosen, *[one for one in self.ranked() if name_of(one) != chosen][:AGAIN]]:
                self.measure(plan)

    def ranked(self):
        """What was measured, the best first."""
        known = [plan for plan in self.plans if self.price_of(plan) is not None]
        return sorted(known, key=self.price_of)

    def result(self, name):
        ranked = self.ranked()
        names = [name_of(plan) for plan in ranked]
        chosen, best = self.price_of(self.chosen), self.price_of(ranked[0])
        return {"cluster": name, "profile": self.profile, "cores": self.lab.cores, "memory": self.devices[0]["memory"], "link": self.link,
                "layouts": len(self.plans), "measured": len(ranked), "failed": len(self.measured) - len(ranked), "chosen": name_of(self.chosen),
                "best": names[0], "chosen_ms": chosen, "best_ms": best, "rank": names.index(name_of(self.chosen)) + 1 if chosen else None,
                "regret": chosen / best - 1 if chosen else None,
                "all": [{"layout": name_of(plan), "predicted": predicted_of(plan), "measured": self.row(plan)} for plan in ranked]}

    def row(self, plan):
        starts = [one for one in self.measured[name_of(plan)] if "price" in one]
        return {"price": self.price_of(plan), "starts": len(starts),
                **{key: statistics.median(one[key] for one in starts) for key in ("decode", "prefill", "load")}}


def within(rows, key, bound=0.2):
    """The part of the layouts whose prediction is as close as that."""
    return sum(abs(row["predicted"][key] / row["measured"][key] - 1) <= bound for row in rows) / len(rows)


def error(row):
    return row["predicted"]["price"] / row["measured"]["price"] - 1


def table(results, what):
    lines = [f"# What the planner chooses against every other layout: {what}", "",
             "ms: a token and a token's part of a prompt, which is what the planner keeps least. Regret: by how much the chosen layout is slower than the "
             "best one that was measured. Within 20 %: of all layouts' predictions.", "",
             "| cluster | layouts that fit | measured | chosen | ms | rank | best measured | ms | regret | error, median | ms within 20 % | decode | prompt |",
             "|---|" + "---|" * 12]
    for r in results:
        rows = r["all"]
        regret = "it did not start" if r["regret"] is None else f"{100 * r['regret']:.1f} %"
        cells = [r["cluster"], str(r["layouts"]), str(r["measured"]), r["chosen"], f"{r['chosen_ms'] or 0:.1f}", str(r["rank"]), r["best"],
                 f"{r['best_ms']:.1f}", regret, f"{100 * statistics.median(error(row) for row in rows):+.0f} %",
                 *(f"{100 * within(rows, key):.0f} %" for key in ("price", "decode", "prefill"))]
        lines.append("| " + " | ".join(cells) + " |")
    for r in results:
        lines += ["", f"## {r['cluster']}: the best ten, and the worst predictions", "",
                  "| layout | ms | predicted | tokens/s | predicted | prompt, tokens/s | predicted |", "|---|" + "---|" * 6]
        worst = sorted(r["all"], key=lambda row: abs(error(row)), reverse=True)[:5]
        for row in r["all"][:10] + [one for one in worst if one not in r["all"][:10]]:
            m, p = row["measured"], row["predicted"]
            lines.append(f"| {row['layout']} | {m['price']:.1f} | {p['price']:.1f} ({100 * error(row):+.0f} %) | {m['decode']:.1f} | {p['decode']:.1f} | "
                         f"{m['prefill']:.0f} | {p['prefill']:.0f} |")
    return "\n".join(lines) + "\n"


def keep(results, what, model):
    """After each cluster: what was measured stays when the rest is interrupted."""
    stem = ROOT / "lab" / "results" / f"regret-{model}-{datetime.date.today().isoformat()}"
    pathlib.Path(f"{stem}.json").write_text(json.dumps(results, indent=1) + "\n")
    pathlib.Path(f"{stem}.md").write_text(table(results, what))


def parsed():
    parser = argparse.ArgumentParser(prog="./run bench regret", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="0.5B", choices=list(SHAPES), help="of a model of random weights, in q4_0")
    parser.add_argument("--layers", type=int, default=6, help="that it is cut to (6: 255 layouts of three devices; 8: 435)")
    parser.add_argument("--clusters", default="", help="only those whose name contains this: " + "; ".join(CLUSTERS))
    parser.add_argument("--quick", type=int, nargs="?", const=24, default=1, metavar="N", help="only every N-th layout (24), and the chosen one")
    parser.add_argument("--prompt", type=int, default=512, help="tokens (512: what the planner predicts for)")
    parser.add_argument("--generated", type=int, default=48)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("/tmp/caravan-bench"), help="where models, stores and logs go")
    parser.add_argument("--vocabularies", required=True, help="llama.cpp's models/ folder")
    parser.add_argument("--keep", action="store_true", help="write to lab/results/")
    return parser.parse_args()


def main():
    arguments = parsed()
    names = [name for name in CLUSTERS if arguments.clusters in name]
    try:
        check_machine()
        model = make_model(SHAPES[arguments.shape][0], arguments.folder, arguments.vocabularies, "q4_0", arguments.layers)
        what = f"{model.stem}, prompts of {arguments.prompt} tokens, {arguments.generated} generated"
        caravan = str(PROGRAMS / "caravan")
        bench, results = RegretBench(caravan, engine_folder(caravan), arguments.folder), []
        for name in names:
            print(name, flush=True)
            with Lab(profile=CLUSTERS[name][0], devices=3, cores=CLUSTERS[name][1], without_pacing=True) as lab:
                cluster = Cluster(bench, lab, name, model, (arguments.prompt, arguments.generated, 1))
                bench.start_workers(lab)
                try:
                    cluster.measure_all(arguments.quick)
                finally:
                    bench.stop_workers()
                results.append(cluster.result(name))
            if arguments.keep:
                keep(results, what, model.stem)
    except LabError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    print(table(results, what))
    return 0 if all(r["regret"] is not None and r["regret"] <= BOUND for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
