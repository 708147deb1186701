#!/usr/bin/env python3
"""Do links stay up? Three nodes that are members of one cluster, on the lab's wifi24, for an hour: counts every "silent" (3 s
without a word) and "lost" (6 s). All devices are well, so each of them is a false alarm. In every second part of the time TCP
streams between the devices fill the air, as other programs do at home.

    python3 lab/heartbeat_hour.py [--minutes 60] [--profile wifi24]      (root; what is needed: docs/lab.md)

CARAVAN_BIN and CARAVAN_LAB_NET name the programs when they are not in build/bin. Figures go to lab/results/. Ends with 1 after
a false alarm.
"""
import argparse
import datetime
import http.client
import json
import pathlib
import re
import shutil
import socket
import sys
import tempfile
import time
from types import SimpleNamespace

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from devices import Device  # noqa: E402
from harness import run, wait_for  # noqa: E402
from lab import Lab, LabError, check_machine  # noqa: E402

DEVICES = 3
PARTS = 12  # of the time: quiet and full in turns
POLL = 0.5  # seconds
# Who sends to whom while the air is full, and with how many TCP streams.
STREAMS = [(1, 2, 1), (2, 3, 1), (3, 1, 1), (1, 2, 4), (2, 3, 4), (3, 1, 4)]
ALARMS = re.compile(r"^(?:.* )?(phone-\d+) is (silent|lost)\b.*$", re.MULTILINE)


class ControlConnection(http.client.HTTPConnection):
    """To a node's control socket, which is a file: any process of the machine can poll it without being on the device."""

    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def view(device):
    connection = ControlConnection(device.home / "node.sock")
    try:
        connection.request("GET", "/v1/cluster")
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def join_all(devices):
    devices[0].up()
    for device in devices[1:]:
        code = json.loads(devices[0].caravan("invite", "--code", "--json"))["code"]
        device.caravan("join", code, "--name", device.name)
    names = {device.name for device in devices}
    for device in devices:
        wait_for(lambda device=device: device.is_linked_to(*(names - {device.name})), f"{device.name} to be linked", 60)


class Watch:
    """What the nodes say of each other while one part of the time passes."""

    def __init__(self, devices):
        self.devices = devices
        self.polls = self.suspect = self.unlinked = 0
        self.longest = 0  # ms of silence
        self.round_trips, self.p95 = [], []

    def poll(self):
        for device in self.devices:
            for peer in view(device)["devices"]:
                if peer["name"] == device.name:
                    continue
                self.polls += 1
                self.suspect += bool(peer.get("suspect"))
                self.unlinked += not peer.get("linked")
                self.longest = max(self.longest, peer.get("last_heard_ms", 0))
                if "round_trip_ms" in peer:
                    self.round_trips.append(peer["round_trip_ms"])
                    self.p95.append(peer["round_trip_p95_ms"])

    def summary(self):
        return {"polls": self.polls, "polls_suspect": self.suspect, "polls_without_link": self.unlinked,
                "longest_silence_ms": round(self.longest), "median_round_trip_ms": round(sorted(self.round_trips)[len(self.round_trips) // 2], 1),
                "worst_p95_round_trip_ms": round(max(self.p95), 1)}


def alarms(devices, since):
    """Lines of the nodes' logs that are alarms; `since` is the length of each log at the start."""
    found = []
    for device in devices:
        text = (device.home / "node.log").read_text()[since[device.name]:]
        found += [f"{device.name}: {match[0]}" for match in ALARMS.finditer(text)]
    return found


def part(lab, devices, number, seconds):
    """One part of the time: quiet when its number is even, else with streams."""
    full = STREAMS[number // 2 % len(STREAMS)] if number % 2 else None
    since = {device.name: len((device.home / "node.log").read_text()) for device in devices}
    before = lab.stats()
    streams = []
    if full:
        source, target, count = full
        streams.append(lab.popen(target, ["iperf3", "-s", "-1"], stdout=-3, stderr=-3))
        time.sleep(1)
        streams.append(lab.popen(source, ["iperf3", "-c", lab.address(target), "-P", str(count), "-t", str(int(seconds)), "-J"],
                                 stdout=open(devices[0].home / "iperf3.json", "w", encoding="utf-8"), stderr=-3))
    watch = Watch(devices)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        watch.poll()
        time.sleep(POLL)
    result = {"air": f"{full[2]} TCP stream(s) from device {full[0]} to {full[1]}" if full else "quiet", "seconds": round(seconds),
              **watch.summary()}
    for stream in streams:
        stream.wait(60)
    if full:
        report = json.loads((devices[0].home / "iperf3.json").read_text())
        result["mbit"] = round(report["end"]["sum_received"]["bits_per_second"] / 1e6, 1)
    result["alarms"] = alarms(devices, since)
    result["medium"] = {key: value for key, value in lab.stats().items() if isinstance(value, (int, float)) and before.get(key) != value}
    return result


def table(result):
    lines = [f"# Links for {result['minutes']} minutes on {result['profile']}, {DEVICES} devices", "",
             f"False alarms: {result['silent']} silent (3 s), {result['lost']} lost (6 s).", "",
             "| air | s | Mbit/s | longest silence, s | round trip: median, worst p95 in a minute, ms | silent | lost |", "|---|---|---|---|---|---|---|"]
    for one in result["parts"]:
        silent = sum(" is silent" in alarm for alarm in one["alarms"])
        lines.append(f"| {one['air']} | {one['seconds']} | {one.get('mbit', '-')} | {one['longest_silence_ms'] / 1000:.1f} | "
                     f"{one['median_round_trip_ms']}, {one['worst_p95_round_trip_ms']} | {silent} | {len(one['alarms']) - silent} |")
    return "\n".join(lines) + "\n"


def keep(result):
    """After each part: what was seen stays when the rest is interrupted."""
    found = [alarm for one in result["parts"] for alarm in one["alarms"]]
    result["silent"] = sum(" is silent" in alarm for alarm in found)
    result["lost"] = len(found) - result["silent"]
    out = ROOT / "lab" / "results"
    out.mkdir(exist_ok=True)
    stem = f"heartbeat-{result['profile']}-{datetime.date.today().isoformat()}"
    (out / f"{stem}.json").write_text(json.dumps(result, indent=1) + "\n")
    (out / f"{stem}.md").write_text(table(result))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--profile", default="wifi24")
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="heartbeat-"))
    result = {"profile": arguments.profile, "minutes": arguments.minutes, "parts": []}
    try:
        check_machine()
        measured = run("calibrate", "--quick", "--threads", "1", env={"CARAVAN_HOME": str(folder)})
        assert measured.returncode == 0, measured.stderr
        with Lab(profile=arguments.profile, devices=DEVICES) as lab:
            places = SimpleNamespace(lab=lab, folder=folder, speed=folder / "speed.json")
            devices = [Device(places, number) for number in range(1, DEVICES + 1)]
            join_all(devices)
            for number in range(PARTS):
                result["parts"].append(part(lab, devices, number, arguments.minutes * 60 / PARTS))
                print(json.dumps(result["parts"][-1]), flush=True)
                keep(result)
            for device in devices:
                device.stop()
    except LabError as error:
        sys.exit(f"error: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(table(result))
    sys.exit(1 if result["silent"] + result["lost"] else 0)


if __name__ == "__main__":
    main()
