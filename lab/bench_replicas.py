#!/usr/bin/env python3
"""./run bench replicas: eight streams at once on one replica, then on a replica on each of three devices.

Emulated phones on Wi-Fi 5, each with a part of a core, real nodes and engines, the demo's model on each. The clients run beside the
first phone, outside of its limits, and only talk to its API; its gateway spreads them. Tokens/s are all generated tokens by the
time from the first request to the last answer. Raw figures go to lab/results/.
"""
import argparse
import datetime
import json
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from devices import MODEL, DevicesTest  # noqa: E402
from lab import Lab, LabError  # noqa: E402

PHONES = 3
CLIENTS = """
import concurrent.futures, json, sys, time, urllib.request
streams, rounds, tokens, words = (int(text) for text in sys.argv[1:])
def one(stream):
    made = 0
    for turn in range(rounds):
        story = " ".join(f"day {stream * 31 + turn * 7 + i}" for i in range(words // 2))  # nobody's prompt is another's
        body = {"prompt": f"Stream {stream}, turn {turn}. {story} Once upon a time", "max_tokens": tokens, "temperature": 0,
                "ignore_eos": True, "stream": True, "stream_options": {"include_usage": True}, "cache_prompt": False}
        request = urllib.request.Request("http://127.0.0.1:8080/v1/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        for line in urllib.request.urlopen(request, timeout=600):
            if line.startswith(b"data: {"):
                made += (json.loads(line[6:]).get("usage") or {}).get("completion_tokens", 0)
    return made
began = time.monotonic()
with concurrent.futures.ThreadPoolExecutor(streams) as pool:
    made = sum(pool.map(one, range(streams)))
print(json.dumps({"tokens": made, "seconds": time.monotonic() - began}))
"""


class Bench(DevicesTest):
    """The devices of the end-to-end test, in a lab with limits."""

    def __init__(self, cores):
        super().__init__()
        self.cores = cores

    def runTest(self):
        pass

    def setUp(self):
        self.lab = Lab(profile="wifi5", devices=PHONES, cores=self.cores)
        self.lab.__enter__()
        self.addCleanup(self.lab.close)

    def start(self):
        phones = [self.device(number) for number in range(1, PHONES + 1)]
        for phone in phones:
            phone.give(self.model)
        phones[0].up()
        for phone in phones[1:]:
            self.join_by_code(phones[0], phone)
        self.wait_linked(*phones)
        return phones

    def measure(self, streams, rounds, tokens, words):
        argv = ["ip", "netns", "exec", self.lab.namespace(1), sys.executable, "-c", CLIENTS, str(streams), str(rounds), str(tokens), str(words)]
        done = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
        expected = streams * rounds * tokens
        if done["tokens"] != expected:
            raise LabError(f"{done['tokens']} tokens instead of {expected}", "some stream ended early: look into the nodes' logs")
        return done["tokens"] / done["seconds"]


def parse():
    parser = argparse.ArgumentParser(prog="./run bench replicas", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=float, default=0.4, help="of each phone (default: %(default)s)")
    parser.add_argument("--streams", type=int, default=8, help="at once (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="of each kind (default: %(default)s)")
    parser.add_argument("--words", type=int, default=100, help="of each prompt (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=48, help="of each answer (default: %(default)s)")
    return parser.parse_args()


def main():
    options = parse()
    Bench.setUpClass()
    bench = Bench(options.cores)
    bench.setUp()
    try:
        phones = bench.start()
        speeds = {}
        others = ",".join(phone.name for phone in phones[1:])
        for name, choice in (("one replica", ["--avoid", others]), ("three replicas", [])):
            phones[0].caravan("serve", MODEL, "--for", "throughput", "--parallel", str(options.streams), "--context", "768", *choice)
            masters = sum(1 for device in phones[0].view()["devices"] if device["role"] == "master")
            if masters != (1 if choice else PHONES):
                raise LabError(f"{name}: {masters} replicas were planned", "look at `caravan status --json`")
            bench.measure(options.streams, 1, 8, 2)  # warm
            speeds[name] = [bench.measure(options.streams, 2, options.tokens, options.words) for _ in range(options.runs)]
            print(f"{name}: {', '.join(f'{speed:.1f}' for speed in speeds[name])} tokens/s", flush=True)
    finally:
        bench.doCleanups()
        Bench.doClassCleanups()
    ratio = statistics.median(speeds["three replicas"]) / statistics.median(speeds["one replica"])
    print(f"three replicas give {ratio:.2f} times the tokens of one (medians)")
    today = datetime.date.today().isoformat()
    result = {"date": today, "command": "./run bench replicas " + " ".join(sys.argv[1:]), "model": MODEL, "streams": options.streams,
              "cores_each": options.cores, "tokens_each": options.tokens, "words_of_prompt": options.words,
              "tokens_per_second": speeds, "ratio": ratio}
    path = ROOT / "lab" / "results" / f"replicas-{today}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"raw figures: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    try:
        main()
    except (LabError, AssertionError, subprocess.CalledProcessError) as problem:
        sys.exit(f"error: {problem}")
