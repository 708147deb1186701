#!/usr/bin/env python3
"""Runs clang-tidy-14 over our sources: tidy.py BUILD_FOLDER STAMP_FOLDER.

Only over those that changed since they last passed: a stamp is named by a hash of all that clang-tidy would read of
ours (the file, the headers of ours that it includes, its compile command, the configuration). Prints "[n/m] file" for
each and the findings; exit 1 if there are any.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = "clang-tidy-14"
FOLDERS = ("src", "tests", "fabric", "lab")
INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
NOISE = re.compile(r"^(\d+ warnings? (and \d+ errors? )?generated|\d+ warnings? treated as errors|Suppressed \d+ .*|Use -header-filter.*)")


class Includes:
    """Which of our own headers a file needs, directly or not."""

    def __init__(self):
        self.direct = {}
        self.content = {}

    def read(self, path):
        if path not in self.content:
            self.content[path] = path.read_bytes()
        return self.content[path]

    def of(self, path):
        if path not in self.direct:
            found = set()
            for name in INCLUDE.findall(self.read(path)):
                for base in (path.parent, ROOT / "src", ROOT):
                    header = base / name.decode(errors="replace")
                    if header.is_file():
                        found.add(header.resolve())
                        break
            self.direct[path] = found
        return self.direct[path]

    def closure(self, path):
        seen, todo = set(), [path]
        while todo:
            current = todo.pop()
            if current not in seen:
                seen.add(current)
                todo.extend(self.of(current))
        return sorted(seen)


def our_commands(build_folder):
    """(file, compile command) of each source of ours, once."""
    commands = {}
    for entry in json.loads((build_folder / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["directory"], entry["file"]).resolve()
        try:
            folder = path.relative_to(ROOT).parts[0]
        except ValueError:
            continue
        # Unit tests are formatted and compiled with every warning; looking at them too would take as long again.
        if folder in FOLDERS and path.is_file() and not path.name.endswith("_test.cpp"):
            commands[path] = entry["command"]
    return sorted(commands.items())


def stamp_name(path, command, configuration, includes):
    digest = hashlib.sha256(configuration + command.encode())
    for needed in includes.closure(path):
        digest.update(b"\0" + str(needed).encode() + b"\0" + includes.read(needed))
    return digest.hexdigest()


def check(path, build_folder):
    """The findings in one file as text; empty when there are none."""
    result = subprocess.run(
        [PROGRAM, "--quiet", "-p", str(build_folder), "--extra-arg=-Wno-unknown-warning-option", str(path)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode == 0:
        return ""
    lines = [line for line in result.stdout.splitlines() if not NOISE.match(line)]
    return "\n".join(lines).replace(f"{ROOT}/", "") or f"{path}: {PROGRAM} ended with {result.returncode}"


def main():
    build_folder, stamps = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    stamps.mkdir(parents=True, exist_ok=True)
    version = subprocess.run([PROGRAM, "--version"], stdout=subprocess.PIPE, check=True).stdout
    configuration = version + (ROOT / ".clang-tidy").read_bytes()
    includes = Includes()
    names = {path: stamp_name(path, command, configuration, includes) for path, command in our_commands(build_folder)}
    stale = [path for path, name in names.items() if not (stamps / name).exists()]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {pool.submit(check, path, build_folder): path for path in stale}
        for number, done in enumerate(concurrent.futures.as_completed(running), start=1):
            path, findings = running[done], done.result()
            print(f"[{number}/{len(stale)}] {path.relative_to(ROOT)}", flush=True)
            if findings:
                failed += 1
                print(findings, flush=True)
            else:
                (stamps / names[path]).touch()
    for old in {stamp.name for stamp in stamps.iterdir()} - set(names.values()):
        (stamps / old).unlink()
    print(f"clang-tidy: {len(stale)} files checked, {len(names) - len(stale)} unchanged, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
