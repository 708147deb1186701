#!/usr/bin/env python3
"""The lab against real programs: what ping and iperf3 see on each network, and that nothing of a lab is ever left.

Tolerances are for a busy machine with two cores; a network that is not emulated at all (0.05 ms, many Gbit/s), or another
profile's, is far outside them.
"""
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import lab as lab_module
import lab_leftovers as leftovers
from harness import descendants, processes, wait_for
from lab import Lab, LabError, check_machine, state_of
from lab_limits import Limits, hierarchies, parse_bytes

FOLDER = Path(__file__).resolve().parent

# Round trip in ms and TCP in Mbit/s, as docs/lab.md promises them; jitter is ping's mdev in ms, from least to most.
TARGETS = {
    "wifi5": {"round_trip": 4.7, "throughput": 190, "jitter": (0.15, 1.2)},
    "wifi24": {"round_trip": 8.0, "throughput": 23, "jitter": (0.5, 3.5)},
    "usb-ethernet": {"round_trip": 0.7, "throughput": 310, "jitter": (0.0, 0.4)},
    "bad-wifi": {"round_trip": 21, "throughput": 9, "jitter": (2.5, 12)},
}


def ping(lab, device, target, count, interval=0.02):
    """(round trips in ms, share lost)"""
    result = lab.run(device, ["ping", "-n", "-c", count, "-i", interval, "-W", "1", lab.address(target)])
    times = [float(text) for text in re.findall(r"time=([0-9.]+) ms", result.stdout)]
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", result.stdout).groups())
    return times, 1 - received / sent


def reaches(lab, device, target):
    return lab.run(device, ["ping", "-n", "-c", "1", "-W", "1", lab.address(target)]).returncode == 0


def throughput(lab, client, server, seconds):
    """Mbit/s of one TCP stream, as iperf3's server has received it. The first second, of slow start, does not count."""
    listening = lab.popen(server, ["iperf3", "-s", "-1", "--forceflush"], stdout=subprocess.PIPE, text=True)
    for line in listening.stdout:
        if "listening" in line:
            break
    result = lab.run(client, ["iperf3", "-c", lab.address(server), "-t", seconds, "-O", "1", "-J"])
    listening.communicate(timeout=10)
    return json.loads(result.stdout)["end"]["sum_received"]["bits_per_second"] / 1e6


def devices_there():
    """Everything on this machine that labs make."""
    namespaces = {path.name for path in Path("/run/netns").glob("caravan-*")} if Path("/run/netns").exists() else set()
    cgroups = {str(path) for path in Path("/sys/fs/cgroup").glob("**/caravan-*")}
    folders = {path.name for path in leftovers.STATE.glob("caravan-*")} if leftovers.STATE.exists() else set()
    emulators = {pid for pid, (_, command) in processes().items() if "lab_net" in command and "run --profile" in command}
    return namespaces | cgroups | folders | emulators


def of_lab(name):
    """What there is of the lab of that name."""
    found = {str(item) for item in devices_there() if name in str(item)}
    return found | {command for _, command in processes().values() if name in command}


class LabTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        check_machine()  # a machine that cannot have a lab fails with the reason; it does not skip

    def assert_nothing_left(self, name, timeout=10):
        wait_for(lambda: not of_lab(name), f"all of {name} to be gone", timeout)

    def open(self, **options):
        lab = Lab(**options)
        self.addCleanup(self.assert_nothing_left, lab.name)
        lab.__enter__()
        self.addCleanup(lab.close)
        return lab

    # What ping and iperf3 see.

    def check_profile(self, profile, seconds):
        target = TARGETS[profile]
        lab = self.open(profile=profile)
        times, lost = ping(lab, 1, 2, 100)
        self.assertGreaterEqual(len(times), 50)
        megabits = throughput(lab, 1, 2, seconds)
        stats = lab.stats()
        median, jitter = statistics.median(times), statistics.pstdev(times)
        print(f"\n{profile}: {median:.2f} ms, jitter {jitter:.2f} ms, {lost:.1%} lost, {megabits:.1f} Mbit/s, emulator "
              f"{stats['processor_seconds'] / stats['seconds']:.0%} of a core, {stats['late_mean_us']:.0f} µs late", file=sys.stderr)
        self.assertAlmostEqual(median, target["round_trip"], delta=0.2 * target["round_trip"] + 0.2)
        self.assertAlmostEqual(megabits, target["throughput"], delta=0.3 * target["throughput"])
        self.assertTrue(target["jitter"][0] <= jitter <= target["jitter"][1], jitter)
        self.assertLess(lost, 0.1 if profile == "bad-wifi" else 0.02)
        self.assertGreater(stats["delivered"], 200)

    def test_wifi5(self):
        self.check_profile("wifi5", 4)

    def test_wifi24(self):
        self.check_profile("wifi24", 4)

    def test_usb_ethernet(self):
        self.check_profile("usb-ethernet", 3)

    def test_bad_wifi(self):
        self.check_profile("bad-wifi", 6)

    def test_air_is_shared_and_a_switch_is_not(self):
        """A stream between 1 and 2 makes a packet between 3 and 4 wait only where they share the air."""
        waiting = {}
        for profile in ("wifi5", "usb-ethernet"):
            lab = self.open(profile=profile, devices=4)
            idle = statistics.median(ping(lab, 3, 4, 50)[0])
            server = lab.popen(2, ["iperf3", "-s", "-1", "--forceflush"], stdout=subprocess.PIPE, text=True)
            next(line for line in server.stdout if "listening" in line)
            client = lab.popen(1, ["iperf3", "-c", lab.address(2), "-t", "3"], stdout=subprocess.DEVNULL)
            wait_for(lambda at=lab: at.stats()["delivered_bytes"] > 1_000_000, "the stream to flow", 10)
            waiting[profile] = statistics.median(ping(lab, 3, 4, 50)[0]) - idle
            client.wait(20)
            server.communicate(timeout=20)
        self.assertGreater(waiting["wifi5"], 2.0)
        self.assertLess(waiting["usb-ethernet"], 1.0)

    def test_loss_and_rate_change_while_it_runs(self):
        lab = self.open(profile="usb-ethernet")
        lab.set(loss=0.1)  # on each of the four hops of a ping: 34 % of the pings
        _, lost = ping(lab, 1, 2, 400, 0.002)
        self.assertAlmostEqual(lost, 1 - 0.9 ** 4, delta=0.12)
        lab.set(loss=0)
        lab.set(2, rate=20)
        self.assertAlmostEqual(throughput(lab, 1, 2, 2), 19, delta=5)
        with self.assertRaisesRegex(LabError, "no device '3'"):
            lab.vanish(3)
        with self.assertRaisesRegex(LabError, "no setting 'speed'"):
            lab.set(speed=1)

    def test_broadcast_reaches_everybody_else(self):
        lab = self.open(devices=3)
        listen = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 7433)); s.settimeout(20); " \
                 "print('up', flush=True); print(s.recvfrom(99), flush=True)"
        listeners = [lab.popen(device, [sys.executable, "-c", listen], stdout=subprocess.PIPE, text=True) for device in (2, 3)]
        for listener in listeners:
            self.assertEqual(listener.stdout.readline(), "up\n")
        lab.run(1, [sys.executable, "-c", "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
                    "s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1); s.sendto(b'beacon', ('10.77.0.255', 7433))"])
        for listener in listeners:
            said, _ = listener.communicate(timeout=30)
            self.assertIn("beacon", said)
            self.assertIn("10.77.0.1", said)

    # Stations that go and come back.

    def test_vanish_and_return(self):
        lab = self.open(devices=3)
        self.assertTrue(reaches(lab, 1, 2))
        lab.vanish(2)
        self.assertFalse(reaches(lab, 1, 2))
        self.assertFalse(reaches(lab, 2, 3))
        self.assertTrue(reaches(lab, 1, 3), "others are not concerned")
        self.assertGreater(lab.stats()["vanished"], 0)
        lab.restore(2)
        self.assertTrue(reaches(lab, 1, 2))

    def test_freeze_and_return(self):
        lab = self.open()
        ticker = lab.popen(2, ["sh", "-c", "while :; do echo tick; sleep 0.05; done"], stdout=subprocess.PIPE, text=True)
        ticker.stdout.readline()
        lab.freeze(2)
        self.assertEqual({state_of(pid) for pid in lab.pids(2)}, {"T"}, "its processes stand still")
        pinging = lab.popen(1, ["ping", "-n", "-c", "1", "-W", "20", lab.address(2)], stdout=subprocess.PIPE, text=True)
        with self.assertRaises(subprocess.TimeoutExpired):
            pinging.wait(1)
        lab.restore(2)
        said, _ = pinging.communicate(timeout=20)
        self.assertGreater(float(re.search(r"time=([0-9.]+) ms", said)[1]), 900, "what was sent meanwhile waited, and arrived")
        while ticker.stdout.readline() != "tick\n":
            self.assertIsNone(ticker.poll())
        ticker.kill()
        ticker.communicate()

    # Limits.

    def test_a_share_of_a_core(self):
        lab = self.open(cores=[0.25, None])
        self.assertEqual(lab.notes, [], "this machine has no cgroups that can be written: limits are not tested")
        burn = "import time; end = time.monotonic() + 2\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
        used = float(lab.run(1, [sys.executable, "-c", burn]).stdout)
        self.assertLess(used, 2 * 0.25 * 1.5)
        self.assertGreater(used, 0.1)

    def test_a_memory_limit(self):
        lab = self.open(memory=["64M", None])
        self.assertEqual(lab.notes, [], "this machine has no cgroups that can be written: limits are not tested")
        fill = [sys.executable, "-c", "print(len(bytearray(200 << 20)))"]
        self.assertEqual(lab.run(1, fill).returncode, -signal.SIGKILL)
        self.assertEqual(lab.run(2, fill).stdout, f"{200 << 20}\n")
        self.assertIn("memory", lab.run(1, ["ls", "/sys/fs/cgroup"]).stdout + lab.run(1, ["cat", "/proc/self/cgroup"]).stdout)
        self.assertEqual(lab.run(1, ["ls", "/sys/class/net"]).stdout.split(), ["lab0", "lo"])

    def test_where_cgroups_are(self):
        v1 = "30 23 0:26 / /sys/fs/cgroup/cpu rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n31 23 0:27 /docker/x /sys/fs/cgroup/memory " \
             "rw - cgroup cgroup rw,memory\n"
        self.assertEqual(hierarchies(v1, "2:cpu,cpuacct:/user\n3:memory:/docker/x/y\n"),
                         {"cpu": Path("/sys/fs/cgroup/cpu/user"), "cpuacct": Path("/sys/fs/cgroup/cpu/user"),
                          "memory": Path("/sys/fs/cgroup/memory/y")})
        v2 = "25 23 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
        self.assertEqual(hierarchies(v2, "0::/user.slice/a.scope\n"), {"": Path("/sys/fs/cgroup/user.slice/a.scope")})
        self.assertEqual([parse_bytes(text) for text in ("512M", "1.5G", "64KiB", 4096)], [512 << 20, 3 << 29, 1 << 16, 4096])
        with self.assertRaises(ValueError):
            parse_bytes("plenty")

    def test_limits_in_cgroup_v2(self):
        """A tree that looks like version 2: ours may hand on nothing, its parent may."""
        with tempfile.TemporaryDirectory() as root:
            ours = Path(root, "slice", "scope")
            (ours / "cgroup.subtree_control").mkdir(parents=True)  # writing to it fails
            for folder in (ours, ours.parent):
                (folder / "cgroup.controllers").write_text("cpu memory\n")
            limits = Limits(f"25 23 0:22 / {root} rw - cgroup2 cgroup2 rw\n", "0::/slice/scope\n")
            files, words = limits.make("phone", 1, 0.5, "512M")
            device = ours.parent / "phone"
            self.assertEqual((files, words, limits.notes), ([device / "cgroup.procs"], [], []))
            self.assertEqual((device / "cpu.max").read_text(), "5000 10000")
            self.assertEqual((device / "memory.max").read_text(), str(512 << 20))
            self.assertEqual((ours.parent / "cgroup.subtree_control").read_text(), "+cpu +memory")

    def test_without_cgroups_it_says_what_it_does_instead(self):
        limits = Limits("", "")
        files, words = limits.make("phone", 2, 1, "512M")
        self.assertEqual((files, len(limits.notes)), ([], 2))
        self.assertEqual((words[0], words[3:]), ("taskset", ["prlimit", f"--as={512 << 20}", "--"]))
        self.assertEqual(subprocess.run([*words, "true"], timeout=10, check=False).returncode, 0)

    # Beginnings and ends.

    def test_two_labs_at_once(self):
        first, second = self.open(), self.open()
        self.assertTrue(reaches(first, 1, 2) and reaches(second, 1, 2))
        first.vanish(2)
        self.assertFalse(reaches(first, 1, 2))
        self.assertTrue(reaches(second, 1, 2))
        first.close()
        self.assert_nothing_left(first.name)
        self.assertTrue(reaches(second, 1, 2))

    def test_nothing_is_left_though_processes_were(self):
        lab = self.open(cores=1, memory="256M")
        lab.popen(1, ["sleep", "600"])
        lab.popen(2, ["sh", "-c", "trap '' TERM; sleep 600 & sleep 600"])
        wait_for(lambda: len(lab.pids(1)) + len(lab.pids(2)) >= 4, "all to run", 10)
        self.assertGreaterEqual(len(of_lab(lab.name)), 5)
        pids = lab.pids(1) | lab.pids(2)
        lab.close()
        self.assertEqual([pid for pid in pids if pid in processes()], [])
        self.assert_nothing_left(lab.name)

    def test_an_unknown_profile_is_explained_and_leaves_nothing(self):
        lab = Lab(profile="wifi99")
        with self.assertRaisesRegex(LabError, "no profile 'wifi99'"):
            lab.__enter__()
        self.assert_nothing_left(lab.name)

    def start_victim(self):
        """A process of its own with a lab in it, which says the lab's name and waits."""
        script = f"import sys, time; sys.path.insert(0, {str(FOLDER)!r}); from lab import Lab\n" \
                 "with Lab(devices=3, cores=1, memory='256M') as lab:\n" \
                 "  lab.popen(1, ['sleep', '600']); lab.freeze(2); print(lab.name, flush=True); time.sleep(600)"
        victim = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True,
                                  env={**os.environ, "CARAVAN_LAB_NET": lab_module.LAB_NET})
        self.addCleanup(victim.stdout.close)
        self.addCleanup(victim.wait)
        self.addCleanup(victim.kill)
        name = victim.stdout.readline().strip()
        self.assertGreaterEqual(len(of_lab(name)), 6)
        return victim, name

    def test_kill_9_of_the_starter(self):
        victim, name = self.start_victim()
        victim.kill()
        self.assert_nothing_left(name)

    def test_kill_9_of_everything_is_cleaned_up_by_the_next_start(self):
        victim, name = self.start_victim()
        emulator = [pid for pid, command in descendants(victim.pid).items() if "lab_net" in command]
        self.assertEqual(len(emulator), 2, "the emulator and the shell that waits for it")
        for pid in (*sorted(emulator), victim.pid):  # the shell, which started first, before it could clean up
            os.kill(pid, signal.SIGKILL)
        victim.wait()
        wait_for(lambda: not set(emulator) & set(processes()), "the emulator to be gone", 10)
        self.assertTrue(of_lab(name), "somebody else has cleaned up")
        self.open()
        self.assert_nothing_left(name)

    # The command.

    def run_command(self, *arguments):
        return subprocess.run([sys.executable, FOLDER / "lab_cli.py", *arguments], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, check=False, env={**os.environ, "CARAVAN_LAB_NET": lab_module.LAB_NET})

    def test_run(self):
        script = 'echo "$LAB_NAME"; on 1 ip link show lab0 >/dev/null && on 2 ping -n -c 1 -q 10.77.0.3 >/dev/null && lab vanish 3 && ' \
                 "! on 2 ping -n -c 1 -W 1 -q 10.77.0.3 >/dev/null && exit 7"
        result = self.run_command("run", "--devices", "3", "--", "sh", "-c", script)
        self.assertEqual(result.returncode, 7, result.stderr)
        self.assert_nothing_left(result.stdout.split()[0])

    def test_run_ends_with_its_lab_when_it_is_told_to(self):
        command = subprocess.Popen([sys.executable, FOLDER / "lab_cli.py", "run", "--", "sh", "-c", 'echo "$LAB_NAME"; sleep 600'],
                                   stdout=subprocess.PIPE, text=True, env={**os.environ, "CARAVAN_LAB_NET": lab_module.LAB_NET})
        self.addCleanup(command.stdout.close)
        name = command.stdout.readline().strip()
        command.terminate()
        self.assertEqual(command.wait(20), 130)
        self.assert_nothing_left(name)

    def test_wrong_use_is_explained(self):
        for arguments, cause in ((("run", "--profile", "wifi99", "--", "true"), "no profile 'wifi99'"),
                                 (("run", "--devices", "3", "--cores", "1,2", "--", "true"), "2 values of cores"),
                                 (("run", "--", "no-such-program"), "")):
            result = self.run_command(*arguments)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(cause, result.stderr)
            self.assertNotIn("Traceback", result.stderr)

    def test_values_that_cannot_be_are_wrong_use(self):
        for option, value in (("--memory", "plenty"), ("--memory", "1G,plenty"), ("--cores", "nan"), ("--cores", "-1"),
                              ("--cores", "0"), ("--devices", "0"), ("--devices", "300"), ("--devices", "few")):
            result = self.run_command("run", f"{option}={value}", "--", "true")
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(value.split(",")[-1], result.stderr)
            self.assertNotIn("Traceback", result.stderr)


if __name__ == "__main__":
    unittest.main()
