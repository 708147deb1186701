"""A device's share of the processors and its memory: cgroups of either version, else what taskset and prlimit can do.

Cgroups are made below the one that we run in: whatever limits us goes on limiting the lab.
"""
import functools
import os
import re
from pathlib import Path

PERIOD = 10_000  # µs. Short: a device with half a core should not stand still for 50 ms at a time
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def parse_bytes(text):
    """512M, 1.5G, or a number of bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?", str(text).strip(), re.IGNORECASE)
    if not match:
        raise ValueError(f"'{text}' is no size: write it as 512M or 1.5G")
    return int(float(match[1]) * UNITS[match[2].upper()])


def hierarchies(mounts, memberships):
    """{controller: folder that we are in}; cgroup v2's is called "". From /proc/self/mountinfo and /proc/self/cgroup."""
    ours = {}
    for line in memberships.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            ours[controller] = path
    found = {}
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        root, mount_point = fields.split()[3:5]
        names = {"cgroup2": [""], "cgroup": options.split(",")}.get(kind, [])
        for name in names:
            if name in ours:
                inside = ours[name][len(root):] if root != "/" and ours[name].startswith(root) else ours[name]
                found.setdefault(name, Path(mount_point) / inside.strip("/"))
    return found


def place_in_v2(folder):
    """The nearest folder, from ours upwards, whose children may have limits, or None. A cgroup with processes in it may
    not hand its controllers on, except for the root."""
    while (folder / "cgroup.controllers").exists():
        try:
            (folder / "cgroup.subtree_control").write_text("+cpu +memory")
            return folder
        except OSError:
            folder = folder.parent
    return None


class Limits:
    """Makes limits as they are asked for. `notes` says, for people, what could not be done as asked."""

    def __init__(self, mounts=None, memberships=None):
        self.notes = []
        self._found = hierarchies(Path("/proc/self/mountinfo").read_text() if mounts is None else mounts,
                                  Path("/proc/self/cgroup").read_text() if memberships is None else memberships)
        self._v1 = {name: self._found[name] for name in ("cpu", "memory")
                    if name in self._found and os.access(self._found[name], os.W_OK)}

    @functools.cached_property
    def _v2(self):
        """Only looked for, which changes something, once a limit is wanted."""
        return place_in_v2(self._found[""]) if "" in self._found and not self._v1 else None

    def folders(self, name, cores, memory):
        """The cgroups that a device called `name` needs; nothing is made yet."""
        wanted = [controller for controller, limit in (("cpu", cores), ("memory", memory)) if limit is not None]
        if wanted and self._v2:
            return [self._v2 / name]
        return [self._v1[controller] / name for controller in wanted if controller in self._v1]

    def make(self, name, device, cores, memory):
        """Makes them; (files that take the pid of who joins, words to put before a command where there is no cgroup)."""
        words = []
        for folder in self.folders(name, cores, memory):
            folder.mkdir()
        if cores is not None:
            quota = max(1000, int(cores * PERIOD))  # the kernel's least
            if self._v2:
                (self._v2 / name / "cpu.max").write_text(f"{quota} {PERIOD}")
            elif "cpu" in self._v1:
                (self._v1["cpu"] / name / "cpu.cfs_period_us").write_text(str(PERIOD))
                (self._v1["cpu"] / name / "cpu.cfs_quota_us").write_text(str(quota))
            else:
                words += self._taskset(device, cores)
        if memory is not None:
            limit = parse_bytes(memory)
            if self._v2:
                (self._v2 / name / "memory.max").write_text(str(limit))
                self._no_swap(self._v2 / name / "memory.swap.max", 0)
            elif "memory" in self._v1:
                (self._v1["memory"] / name / "memory.limit_in_bytes").write_text(str(limit))
                self._no_swap(self._v1["memory"] / name / "memory.memsw.limit_in_bytes", limit)
            else:
                words += ["prlimit", f"--as={limit}", "--"]
                self.notes.append(f"device {device}: no memory cgroup can be written; prlimit limits each process's addresses to "
                                  f"{memory} instead, which is stricter for mapped files")
        return [folder / "cgroup.procs" for folder in self.folders(name, cores, memory)], words

    def _taskset(self, device, cores):
        usable = sorted(os.sched_getaffinity(0))
        count = min(len(usable), max(1, round(cores)))
        chosen = [usable[(device - 1 + i) % len(usable)] for i in range(count)]
        self.notes.append(f"device {device}: no cpu cgroup can be written; taskset gives it {count} processor(s), which others may "
                          f"use too, instead of {cores}")
        return ["taskset", "-c", ",".join(map(str, chosen))]

    @staticmethod
    def _no_swap(file, value):
        if file.exists():  # kernels without swap accounting have none
            file.write_text(str(value))
