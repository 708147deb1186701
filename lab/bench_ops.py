#!/usr/bin/env python3
"""llama.cpp's own test-backend-ops against a device of the fabric's module: every operation that the CPU backend passes, this passes or
declines. The test program is compiled once, against the engine that there is; a real worker computes.

    ./run bench ops [--only NAME] [--out FILE]

Ends with 1 when an operation fails. The whole takes 10 minutes on two idle cores.
"""
import argparse
import collections
import datetime
import json
import os
import pathlib
import re
import secrets
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODULE = os.environ.get("CARAVAN_FABRIC_MODULE") or str(ROOT / "build" / "bin" / "libggml-caravan.so")
WORKER = os.environ.get("CARAVAN_WORKER") or str(ROOT / "build" / "bin" / "caravan-worker")
LINE = re.compile(r"^  (\w+)\(.*\): (.*)$")
MOST_LINES = 20  # of failures that are printed
BETWEEN = 10  # seconds between two lines of progress


def compile_program(args):
    """The test program, beside the engine's other things; made when it is not there."""
    program = args.cache / "ops" / args.engine.name / "test-backend-ops"
    if program.exists():
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    print("compiling llama.cpp's test-backend-ops", flush=True)
    part = program.with_suffix(".part")
    libraries = args.engine / "bin"
    subprocess.run([os.environ.get("CXX", "c++"), "-std=c++17", "-O1", f"-I{args.ggml / 'include'}",
                    args.source / "tests" / "test-backend-ops.cpp", "-o", part, f"-L{libraries}", "-lggml", "-lggml-base", "-lggml-cpu",
                    f"-Wl,-rpath,{libraries}", "-pthread"], check=True)
    part.rename(program)
    return program


class Worker:
    def __init__(self, folder, threads):
        key = secrets.token_hex(32)
        for name, text in (("key", key), ("plan.json", "")):
            (folder / name).touch(0o600)
            (folder / name).write_text(text)
        self.log = open(folder / "worker.log", "w+")
        self.process = subprocess.Popen(
            [WORKER, "--listen", "127.0.0.1:0", "--key-file", folder / "key", "--threads", str(threads)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True)
        address = self.process.stdout.readline().split()[1]
        self.plan = folder / "plan.json"
        self.plan.write_text(json.dumps({"stages": [{"name": "worker", "address": address, "key": key, "threads": threads}], "head": "worker",
                                         "timeout_ms": 60000}))

    def stop(self):
        """What it wrote, when it had not to be ended."""
        died = self.process.poll()
        self.process.kill()
        self.process.wait()
        self.log.seek(0)
        return self.log.read()[-2000:] if died is not None else None


def run_program(program, worker, only):
    """{operation: Counter of passed, declined, failed}, and the lines that failed."""
    counts, failures = collections.defaultdict(collections.Counter), []
    command = [program, "-b", "Caravan0", *(["-o", only] if only else [])]
    environment = {**os.environ, "GGML_BACKEND_PATH": MODULE, "CARAVAN_FABRIC_PLAN": str(worker.plan)}
    done = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
                            errors="replace")
    told = time.monotonic()
    for raw in done.stdout:
        match = LINE.match(raw.rstrip("\n"))
        if raw.startswith("Failing tests"):
            break  # a list of what was printed already
        if not match:
            if raw.startswith("caravan: "):
                failures.append(raw.strip())
            continue
        name, outcome = match.groups()
        kind = "passed" if "OK" in outcome else "declined" if "not supported" in outcome else "failed"
        counts[name][kind] += 1
        if kind == "failed":
            failures.append(raw.strip())
        if time.monotonic() - told > BETWEEN:
            told = time.monotonic()
            print(f"{sum(one.total() for one in counts.values())} cases, {len(failures)} failed, now at {name}", flush=True)
    rest = done.stdout.read()
    code = done.wait()
    if code not in (0, 1):
        failures.append(f"test-backend-ops ended with {code}: {rest[-300:]}")
    return counts, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("source", "ggml", "engine", "cache"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--only", help="operations, as test-backend-ops -o takes them")
    parser.add_argument("--threads", type=int, default=2, help="of the worker")
    parser.add_argument("--out", type=pathlib.Path, help="where the summary goes")
    args = parser.parse_args()
    program = compile_program(args)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="caravan-ops-") as folder:
        worker = Worker(pathlib.Path(folder), args.threads)
        try:
            counts, failures = run_program(program, worker, args.only)
        finally:
            death = worker.stop()
    if death:
        failures.append(f"the worker ended: {death}")
    total = sum(counts.values(), collections.Counter())
    minutes = (time.monotonic() - began) / 60
    lines = [f"# test-backend-ops against the fabric, {datetime.date.today()}", "",
             f"`./run bench ops{' --only ' + args.only if args.only else ''}`, {minutes:.0f} minutes. {total['passed']} passed, {total['declined']} declined "
             f"(the scheduler computes them on the master), {total['failed']} failed.", "", "| operation | passed | declined | failed |", "|---|---|---|---|"]
    lines += [f"| {name} | {one['passed']} | {one['declined']} | {one['failed']} |" for name, one in sorted(counts.items())]
    text = "\n".join(lines) + "\n"
    if args.out:
        args.out.write_text(text)
    print(text)
    print("\n".join(failures[:MOST_LINES]))
    return 1 if failures or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
