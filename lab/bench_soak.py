#!/usr/bin/env python3
"""Seeded faults of the fabric: cuts, freezes, kills and garbled bytes while a model loads, reads a prompt and answers. In one process
(fabric/soak) by the thousand, with an unmodified llama-server and real workers by the hundred, and 100 masters one after the other
with the workers' memory after each.

    ./run bench soak [--cases 10000] [--real 300] [--reloads 100] [--out FILE]

Ends with 1 when anything is wrong but that a run is said to have failed.
"""
import argparse
import datetime
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import fabric_test  # noqa: E402
from faults import Faults, resident  # noqa: E402
from lab_tools import make_model  # noqa: E402

SHOWN_EVERY = 10
FEW = 20  # masters: the first ones find workers that have not touched all of their memory yet
SMALL = ("small-llama", "--layers", "2")


class Bench(fabric_test.FabricTest):
    """Not a test: it borrows how tests start workers and servers."""

    def runTest(self):  # noqa: N802 unittest's name
        pass


def in_one_process(tool, cases, lanes, seed, report):
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as errors:
        done = subprocess.run([tool, "--cases", str(cases), "--lanes", str(lanes), "--seed", str(seed)], stdout=subprocess.PIPE, stderr=errors,
                              text=True)
        errors.seek(0)
        rest = [line for line in errors if not line.startswith("caravan: stage")]
    lines = done.stdout.splitlines()
    report(f"In one process, {cases} faults, {(time.monotonic() - began) / 60:.1f} minutes, exit code {done.returncode}: {lines[-1] if lines else ''}")
    for line in [one for one in lines if one.startswith(("wrong", "late"))][:20] + rest[:20]:
        report(f"    {line.strip()}")
    return done.returncode == 0


def with_real_processes(count, seed, report):
    bench = Bench()
    Bench.setUpClass()
    bench.setUp()
    wrong, failed, began = 0, 0, time.monotonic()
    try:
        faults = Faults(bench, make_model(SMALL[0], bench.folder, *SMALL[1:]), "1,2")
        faults.learn()
        for i in range(count):
            try:
                failed += faults.case(seed + i)
            except AssertionError as error:
                wrong += 1
                report(f"    {str(error)[:1500]}")
                for worker in bench.workers:
                    worker.stop()
                    worker.start()
            if i % SHOWN_EVERY == 0:
                print(f"{i} real ones, {failed} failed, {wrong} wrong", flush=True)
        report(f"With llama-server and two workers, {count} faults, {(time.monotonic() - began) / 60:.1f} minutes: {failed} were errors, {wrong} wrong; the "
               f"longest from the fault to the error {faults.longest:.1f} s; {faults.tally}")
    finally:
        bench.doCleanups()
    return wrong == 0


def reloads(count, report):
    bench = Bench()
    Bench.setUpClass()
    bench.setUp()
    seen = []
    try:
        faults = Faults(bench, make_model(SMALL[0], bench.folder, *SMALL[1:]), "1,2")
        for _ in range(count):
            faults.learn()
            seen.append([resident(worker.process.pid) for worker in bench.workers])
    finally:
        bench.doCleanups()
    step = max(1, count // 10)
    report(f"{count} masters one after the other, KiB that each worker has in memory, at every {step}.: {seen[step - 1::step]}")
    if count < FEW:
        report(f"    fewer than {FEW}: too few to tell whether it grows")
        return True
    half = len(seen) // 2
    return all(min(one[worker] for one in seen[half:]) - min(one[worker] for one in seen[:half]) < 4096 for worker in (0, 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10000, help="in one process")
    parser.add_argument("--lanes", type=int, default=8, help="pairs of workers at a time in that process")
    parser.add_argument("--real", type=int, default=300, help="with real processes")
    parser.add_argument("--reloads", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tool", type=pathlib.Path, default=ROOT / "build" / "release" / "lab" / "lab_soak_fabric",
                        help="that of another build: with a sanitizer")
    parser.add_argument("--out", type=pathlib.Path, help="where the figures go")
    args = parser.parse_args()
    lines = [f"# Faults of the fabric, {datetime.date.today()}", "", f"`./run bench soak {' '.join(sys.argv[1:])}`", ""]

    def report(line):
        print(line, flush=True)
        lines.append(line)
        if args.out:
            args.out.write_text("\n\n".join(lines[:2]) + "\n\n" + "\n".join(lines[2:]) + "\n")

    fine = [not args.cases or in_one_process(args.tool, args.cases, args.lanes, args.seed, report),
            not args.real or with_real_processes(args.real, args.seed, report), not args.reloads or reloads(args.reloads, report)]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    os.environ.setdefault("CARAVAN_BIN", str(ROOT / "build" / "bin" / "caravan"))
    sys.exit(main())
