"""Emulated devices on an emulated network: network namespaces, joined by lab_net, with limits of their own.

    with Lab(profile="wifi5", devices=3, cores=[1, 0.5, None], memory=["2G", "512M", None]) as lab:
        worker = lab.popen(2, ["ggml-rpc-server", "-H", lab.address(2)])
        lab.vanish(2)

What it makes (namespaces, TUN devices, cgroups, processes) is gone when it ends, and soon after its owner was killed.
Needs root. CARAVAN_LAB_NET names the emulator when it is not build/bin/lab_net.
"""
import contextlib
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import lab_leftovers as leftovers
from lab_limits import Limits

LAB_NET = os.environ.get("CARAVAN_LAB_NET") or str(Path(__file__).resolve().parents[2] / "build" / "bin" / "lab_net")
DEADLINE = 20  # seconds for the emulator to start, answer or stop
QUEUE = 1000  # packets that a device's driver holds: the limit that counts is the medium's

# How a process gets onto a device: into its cgroups, its network namespace, and a view of /sys (in a mount namespace of its
# own) that has this network's devices and all cgroups; `ip netns exec` would hide the latter, and with them the limits.
# {} are filled in by _write_programs.
ON = """#!/bin/sh
# on DEVICE COMMAND...: runs it on a device of this lab.
device=${{1:-none}}
shift
case $device in
{cases}  *) echo "error: there is no device '$device'" >&2; echo "  fix: devices are 1 to {devices}" >&2; exit 2 ;;
esac
# Already there: a second view of the same /sys at the same place is refused.
[ /proc/self/ns/net -ef /run/netns/{name}-"$device" ] && exec "$@"
exec nsenter --net=/run/netns/{name}-"$device" unshare --mount sh -c '
  mount -t sysfs lab "$0" && mount --rbind /sys/fs/cgroup "$0/fs/cgroup" && mount --rbind "$0" /sys && exec "$@"' \
  {folder}/sys "$@"
"""
CONTROL = """#!/bin/sh
# lab COMMAND...: changes this lab's network, e.g. lab vanish 2
exec {lab_net} ctl --socket {socket} "$@"
"""


class LabError(Exception):
    """A cause and a cure, for people."""

    def __init__(self, cause, cure):
        super().__init__(f"{cause}\n  fix: {cure}")


def check_machine():
    """Raises LabError when this machine or user cannot have a lab."""
    if os.geteuid() != 0:
        raise LabError("the lab needs root: it makes network namespaces and TUN devices (CAP_NET_ADMIN, CAP_SYS_ADMIN)",
                       "sudo ./run lab ..., or a privileged container")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        raise LabError("the lab needs TUN devices, and /dev/net/tun cannot be opened",
                       "modprobe tun, or give the container the device: --device /dev/net/tun --cap-add NET_ADMIN")
    if not shutil.which("ip"):
        raise LabError("the lab needs the program ip", "apt-get install iproute2")
    if not os.access(LAB_NET, os.X_OK):
        raise LabError(f"the emulator {LAB_NET} is not built", "./run lab builds it, or ninja -C build/release lab_net")


def each(value, devices, what):
    """One value for each device: a list as it is, anything else repeated."""
    values = list(value) if isinstance(value, (list, tuple)) else [value] * devices
    if len(values) != devices:
        raise LabError(f"{len(values)} values of {what} for {devices} devices", "give one, or one for each device")
    return values


def state_of(pid):
    """The letter that /proc gives for a process's state: T stopped, Z ended (also when it is gone already)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


class Lab:
    """Devices count from 1. `cores` and `memory` (bytes or "512M"): one for all or a list, None is no limit."""

    def __init__(self, profile="wifi5", devices=2, cores=None, memory=None, seed=1, without_pacing=False):
        self.profile, self.devices, self.seed = profile, devices, seed
        self.cores, self.memory = each(cores, devices, "cores"), each(memory, devices, "memory")
        self.without_pacing = without_pacing
        self.name = f"caravan-{secrets.token_hex(3)}"
        self.notes = []  # what could not be limited as asked
        self._started = []
        self.folder = self._lock = self._emulator = None

    def __enter__(self):
        check_machine()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _start(self):
        limits = Limits()
        namespaces = [self.namespace(device) for device in self._all()]
        with leftovers.everything_locked():
            leftovers.sweep()
            self.folder, self._lock = leftovers.claim(self.name)
            cgroups = [folder for device in self._all()
                       for folder in limits.folders(self.namespace(device), self.cores[device - 1], self.memory[device - 1])]
            leftovers.write_down(self.folder, namespaces, cgroups)
            for name in namespaces:
                try:
                    leftovers.ip("netns", "add", name)
                except subprocess.CalledProcessError as error:
                    raise LabError(f"cannot make a network namespace: {error.stderr.strip()}",
                                   "run it as root on a kernel with CONFIG_NET_NS") from error
        self._write_programs(limits)
        self._start_emulator(namespaces)
        for device in self._all():
            leftovers.ip("-n", self.namespace(device), "-batch", "-", script=f"""link set lo up
                addr add {self.address(device)}/24 brd 10.77.0.255 dev lab0
                link set lab0 up txqueuelen {QUEUE}
                route add default dev lab0\n""")
            if self.without_pacing:
                self._stop_pacing(device)

    def _stop_pacing(self, device):
        """Phones and Debian have cubic. Where servers' BBR is the default it paces each message by what earlier, smaller ones needed,
        which shows in round trips of single ones. A kernel that lets namespaces choose few has reno, which does not pace either."""
        choose = "for name in cubic reno; do echo $name > /proc/sys/net/ipv4/tcp_congestion_control && exit; done; exit 1"
        if self.run(device, ["sh", "-c", choose]).returncode != 0 and device == 1:
            self.notes.append("TCP stays with the system's congestion control: none without pacing can be chosen")
            print(f"lab: {self.notes[-1]}", file=sys.stderr)

    def _write_programs(self, limits):
        cases = ""
        for device in self._all():
            files, words = limits.make(self.namespace(device), device, self.cores[device - 1], self.memory[device - 1])
            joins = "".join(f"echo $$ >{file} || exit 125; " for file in files)
            before = f'set -- {" ".join(words)} "$@"; ' if words else ""
            cases += f"  {device}) {joins}{before}: ;;\n"
        self.notes = limits.notes
        for note in self.notes:
            print(f"lab: {note}", file=sys.stderr)
        programs = self.folder / "bin"
        programs.mkdir()
        (self.folder / "sys").mkdir()  # a mount point
        (programs / "on").write_text(ON.format(cases=cases, devices=self.devices, name=self.name,
                                               folder=self.folder))
        (programs / "lab").write_text(CONTROL.format(lab_net=LAB_NET, socket=self._socket()))
        for program in programs.iterdir():
            program.chmod(0o755)

    def _start_emulator(self, namespaces):
        """Beside it waits a shell: when the emulator says (3) that its standard input was closed, we are dead, and the
        shell removes what we have left."""
        script = f'"$@"; [ $? -eq 3 ] && exec "{sys.executable}" "{leftovers.__file__}"'
        with open(self.folder / "lab_net.log", "w", encoding="utf-8") as log:
            self._emulator = subprocess.Popen(
                ["sh", "-c", script, "sh", LAB_NET, "run", "--profile", self.profile, "--seed", str(self.seed), "--socket",
                 str(self._socket()), *namespaces],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
        readable, _, _ = select.select([self._emulator.stdout], [], [], DEADLINE)
        if not readable or self._emulator.stdout.readline() != "ready\n":
            said, _, cure = (self.folder / "lab_net.log").read_text().strip().partition("\n  fix: ")
            raise LabError(f"the emulator does not start: {said.removeprefix('error: ') or 'it says nothing'}", cure or "see above")

    def close(self):
        """Ends it; also after half a start, also twice."""
        if self._emulator:
            with contextlib.suppress(LabError):
                self.control("stop")
            self._emulator.stdin.close()
            try:
                self._emulator.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                os.killpg(self._emulator.pid, signal.SIGKILL)
                self._emulator.wait()
            self._emulator.stdout.close()
            self._emulator = None
        if self._lock is not None:
            with leftovers.everything_locked():
                leftovers.remove(self.folder, self._lock)
            self._lock = None
        for process in self._started:  # killed by now; its pipes are the caller's
            process.wait(DEADLINE)

    def _all(self):
        return range(1, self.devices + 1)

    def _socket(self):
        return self.folder / "control.sock"

    def namespace(self, device):
        return f"{self.name}-{device}"

    def address(self, device):
        return f"10.77.0.{device}"

    def environment(self):
        """With it, a process finds `on` and `lab`."""
        return {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ.get('PATH', os.defpath)}", "LAB_NAME": self.name,
                "LAB_DEVICES": str(self.devices), "LAB_FOLDER": str(self.folder)}

    def command(self, device, argv):
        """The argument vector that runs `argv` on a device; the pid stays the same."""
        return [str(self.folder / "bin" / "on"), str(device), *map(str, argv)]

    def popen(self, device, argv, **options):
        options.setdefault("env", self.environment())
        process = subprocess.Popen(self.command(device, argv), **options)
        self._started.append(process)
        return process

    def run(self, device, argv, timeout=60, **options):
        """subprocess.run with its output as text."""
        options.setdefault("env", self.environment())
        return subprocess.run(self.command(device, argv), timeout=timeout, text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, check=False, **options)

    def pids(self, device):
        """What runs on a device."""
        return {int(pid) for pid in leftovers.ip("netns", "pids", self.namespace(device)).split()}

    def control(self, line):
        """The emulator's answer to one command."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(DEADLINE)
            try:
                connection.connect(str(self._socket()))
                connection.send(line.encode())
                answer = connection.recv(1 << 16).decode()
            except OSError as error:
                raise LabError(f"the emulator does not answer: {error}", "has it ended? see lab_net.log in the lab's folder") from error
        if answer.startswith("error: ") or not answer:
            cause, _, cure = answer.removeprefix("error: ").partition("\n  fix: ")
            raise LabError(cause or "the emulator says nothing", cure or "lab_net ctl --help")
        return answer

    def vanish(self, device):
        """Out of range, or its battery is out: nothing comes or goes. What runs on it goes on."""
        self.control(f"vanish {device}")

    def freeze(self, device, processes=True):
        """Suspended: its processes stand still, and what is sent to it waits at the access point."""
        self.control(f"freeze {device}")
        end = time.monotonic() + DEADLINE
        while processes and any(state_of(pid) not in "TtZX" for pid in self.pids(device)):  # a signal takes its time
            if time.monotonic() > end:
                raise LabError(f"the processes of device {device} do not stop", "is one of them stuck in the kernel (state D)?")
            self._signal(device, signal.SIGSTOP)

    def restore(self, device):
        """As if nothing had been."""
        self.control(f"restore {device}")
        self._signal(device, signal.SIGCONT)

    def _signal(self, device, number):
        for pid in self.pids(device):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def set(self, device=None, **settings):
        """rate (Mbit/s), delay, jitter, overhead (ms), loss, retry (0 to 1), queue, aggregate; of one device or all."""
        words = " ".join(f"{key}={value}" for key, value in settings.items())
        self.control(f"set {device or ''} {words}")

    def stats(self):
        """The emulator's counters: packets delivered and lost, its lateness, its use of a processor."""
        return json.loads(self.control("stats"))
