#!/usr/bin/env python3
"""What a lab leaves on the machine, where that is written down, and how it is removed, also after its owner was killed.

As a program: removes every lab whose owner is dead.

A lab is a folder below STATE with lab.json (its namespaces and cgroups), and beside it a file that its owner holds a lock
on. The kernel lets go of a lock with its holder, however that ended, so a lock that can be had means a dead owner.
"""
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

STATE = Path("/run/caravan-lab")
DEADLINE = 10  # seconds for killed processes to be gone


def ip(*arguments, script=None):
    """Runs `ip`; its output."""
    return subprocess.run(["ip", *arguments], input=script, capture_output=True, text=True, timeout=30, check=True).stdout


def open_locked(path, wait):
    """The descriptor of `path`, locked, or None when somebody else has it and `wait` is False."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def everything_locked():
    """One starts or removes labs at a time."""
    STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = open_locked(STATE / "lock", wait=True)
    try:
        yield
    finally:
        os.close(descriptor)


def claim(name):
    """Makes the folder of a new lab; (folder, descriptor that is to be kept open while the lab lives)."""
    folder = STATE / name
    folder.mkdir()
    return folder, open_locked(STATE / f"{name}.lock", wait=False)


def write_down(folder, namespaces, cgroups):
    """Before anything of it is made: what is half made is removed as well."""
    part = folder / "lab.json.part"
    part.write_text(json.dumps({"namespaces": namespaces, "cgroups": [str(path) for path in cgroups]}))
    part.rename(folder / "lab.json")


def processes_in(namespaces, cgroups):
    """Pids of what runs in these namespaces and cgroups."""
    pids = set()
    for name in namespaces:
        if Path("/run/netns", name).exists():
            pids |= {int(pid) for pid in ip("netns", "pids", name).split()}
    for path in cgroups:
        with contextlib.suppress(OSError):
            pids |= {int(pid) for pid in Path(path, "cgroup.procs").read_text().split()}
    return pids


def kill_all(namespaces, cgroups):
    """Kills until nothing is left: what is killed may have been about to start something."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        pids = processes_in(namespaces, cgroups) - {os.getpid()}
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def remove_cgroup(path):
    """An empty one may still be busy for a moment after its last process has died."""
    end = time.monotonic() + DEADLINE
    while Path(path).exists():
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def remove(folder, descriptor):
    """Removes a lab, whose lock is `descriptor`. Its TUN devices go with the namespaces. Everything is locked."""
    recorded = {"namespaces": [], "cgroups": []}
    with contextlib.suppress(FileNotFoundError):
        recorded = json.loads((folder / "lab.json").read_text())
    kill_all(recorded["namespaces"], recorded["cgroups"])
    for name in recorded["namespaces"]:
        if Path("/run/netns", name).exists():
            ip("netns", "delete", name)
    for path in reversed(recorded["cgroups"]):  # inner ones were written down last
        remove_cgroup(path)
    shutil.rmtree(folder)
    (STATE / f"{folder.name}.lock").unlink()
    os.close(descriptor)


def sweep():
    """Removes the labs of dead owners; their names. Everything is locked."""
    removed = []
    for folder in sorted(path for path in STATE.iterdir() if path.is_dir()):
        descriptor = open_locked(STATE / f"{folder.name}.lock", wait=False)
        if descriptor is None:
            continue
        try:
            remove(folder, descriptor)
            removed.append(folder.name)
        except (OSError, ValueError, subprocess.SubprocessError) as error:  # it must not keep others from starting
            print(f"lab: {folder} of a dead owner cannot be removed: {error}", file=sys.stderr)
            os.close(descriptor)
    return removed


if __name__ == "__main__":
    with everything_locked():
        sweep()
