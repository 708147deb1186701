#!/usr/bin/env python3
"""./run bench wire: what packing hidden states between workers does to a model.

The perplexity of a text (this project's README and docs, in pieces of 512 tokens whose second halves are scored) computed here and on
two and three workers on loopback, for each format of the plan's `wire`. Bytes are counted between the workers. Nothing here depends on
time: the figures are the same on any machine of one build of the engine. With --keep they go to lab/results/.
"""
import argparse
import contextlib
import datetime
import hashlib
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from devices import MODEL  # noqa: E402
from fabric_test import MODULE, Worker  # noqa: E402
from fabric_weights_test import Link  # noqa: E402
from harness import run  # noqa: E402

PROGRAM = os.environ.get("LAB_PERPLEXITY") or str(ROOT / "build" / "release" / "lab" / "lab_perplexity")
FORMATS = ("f32", "f16", "q8_0")
CONTEXT = 512
MICRO_BATCH, OTHER_BATCH = 64, 96


def layers_of(model):
    told = run("models", "info", str(model), "--json")
    assert told.returncode == 0, told.stderr
    return len(json.loads(told.stdout)["layers"])


def the_text():
    return "\n".join(path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))))


class Cleanup(contextlib.ExitStack):
    """What the tests' workers and links want of a test."""
    addCleanup = contextlib.ExitStack.callback


class Measurement:
    def __init__(self, folder, model, tokens):
        self.folder, self.model, self.tokens = folder, model, tokens
        self.text = folder / "text"
        self.text.write_text(the_text())

    def compute(self, *options, plan=None, micro_batch=MICRO_BATCH):
        environment = dict(os.environ)
        if plan:
            environment |= {"GGML_BACKEND_PATH": MODULE, "CARAVAN_FABRIC_PLAN": str(plan)}
        done = subprocess.run([PROGRAM, "--model", str(self.model), "--text", str(self.text), "--tokens", str(self.tokens), "--context",
                               str(CONTEXT), "--micro-batch", str(micro_batch), *options], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"lab_perplexity ended with {done.returncode}: {done.stderr[-2000:]}")
        return json.loads(done.stdout)

    def fabric(self, count, wire):
        """Scores, and bytes that each worker handed to the next one."""
        with Cleanup() as cleanup:
            workers = [Worker(self.folder, f"worker{i}") for i in range(count)]
            for worker in workers:
                cleanup.callback(worker.stop)
                worker.start()
            links = [Link(cleanup, worker) for worker in workers[1:]]
            stages = [{"name": w.name, "address": f"127.0.0.1:{w.port}", "key": w.key, "threads": 1} for w in workers]
            for stage, link in zip(stages[1:], links, strict=True):
                stage["peer"] = f"127.0.0.1:{link.port}"
            plan = self.folder / "plan.json"
            plan.touch(0o600)
            plan.write_text(json.dumps({"stages": stages, "head": "master", "wire": wire, "timeout_ms": 60000}))
            layers = layers_of(self.model)
            split = [layers // count + (i < layers % count) for i in range(count)]
            split[-1] += 1
            scores = self.compute("--devices", ",".join(f"Caravan{i}" for i in range(count)), "--split",
                                  ",".join(map(str, split)), plan=plan)
            return scores, [link.sent for link in links]


def perplexity(scores):
    return math.exp(sum(scores["surprise"]) / len(scores["surprise"]))


def compared(scores, local):
    """One row beside what is computed here."""
    pairs = list(zip(scores["surprise"], local["surprise"], strict=True))
    other = sum(a != b for a, b in zip(scores["guesses"], local["guesses"], strict=True))
    changes = [a - b for a, b in pairs]
    return {"perplexity": perplexity(scores), "percent": 100 * (perplexity(scores) / perplexity(local) - 1),
            "error": 100 * statistics.stdev(changes) / math.sqrt(len(changes)), "largest": max(map(abs, changes)),
            "guesses": 100 * other / len(pairs)}


def table(result):
    lines = [f"# What packing between workers does: {result['model']}", "",
             f"Perplexity over {result['scored']} scored tokens of this project's README and docs (SHA-256 {result['text'][:16]}), pieces of "
             f"{CONTEXT} tokens, micro-batches of {MICRO_BATCH}, one thread. Differences to one device, with their standard error. *Largest*: "
             "of all changes of a token's log-probability. *Guesses*: positions where another token is the most likely one. *Bytes*: between "
             f"two workers, for each token. Micro-batches of {OTHER_BATCH} on one device show what rounding in another order does by itself.",
             "",
             "| | perplexity | difference | largest | guesses | bytes |", "|---|---|---|---|---|---|",
             f"| one device | {result['local']:.4f} | | | | |"]
    for row in result["rows"]:
        lines.append(f"| {row['what']} | {row['perplexity']:.4f} | {row['percent']:+.2f} ± {row['error']:.2f} % | {row['largest']:.4f} | "
                     f"{row['guesses']:.2f} % | {row['bytes']} |")
    return "\n".join(lines) + "\n"


def measure(options, model):
    with tempfile.TemporaryDirectory() as folder:
        measurement = Measurement(pathlib.Path(folder), model, options.tokens)
        local = measurement.compute()
        scored = len(local["surprise"])
        computed = scored * 2  # the first halves are computed too
        result = {"model": model.stem, "scored": scored, "text": hashlib.sha256(measurement.text.read_bytes()).hexdigest(),
                  "local": perplexity(local), "rows": []}
        other = measurement.compute(micro_batch=OTHER_BATCH)
        result["rows"].append({"what": f"one device, micro-batches of {OTHER_BATCH}", **compared(other, local), "bytes": ""})
        for count in options.workers:
            for wire in FORMATS:
                scores, sent = measurement.fabric(count, wire)
                row = {"what": f"{count} workers, {wire}", **compared(scores, local), "bytes": round(sum(sent) / len(sent) / computed)}
                result["rows"].append(row)
                print(f"{row['what']}: {row['percent']:+.2f} %", file=sys.stderr, flush=True)
        return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help=f"name or GGUF file, several times (default: {MODEL})")
    parser.add_argument("--tokens", type=int, default=8192, help="of the text (default: %(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 3], help="how many (default: 2 3)")
    parser.add_argument("--keep", action="store_true", help="write lab/results/fabric-wire-DATE.md")
    options = parser.parse_args()
    tables = []
    for name in options.model or [MODEL]:
        model = pathlib.Path(name)
        if not model.is_file():
            pulled = run("models", "pull", name)
            assert pulled.returncode == 0, pulled.stderr
            model = pathlib.Path(json.loads(run("models", "path", name, "--json").stdout)["path"])
        tables.append(table(measure(options, model)))
        print(tables[-1], flush=True)
    if options.keep:
        file = ROOT / "lab" / "results" / f"fabric-wire-{datetime.date.today()}.md"
        file.write_text("\n".join(tables))
        print(f"kept: {file.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
