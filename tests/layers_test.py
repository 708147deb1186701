#!/usr/bin/env python3
"""The table of folders in the design, enforced: who may include whom, CMake's view of it, the length of files."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Folder of src/ -> folders that it may include besides itself.
MAY_USE = {
    "base": (),
    "trace": ("base",),
    "model": ("base",),
    "device": ("base",),
    "plan": ("base", "model", "device"),
    "link": ("base",),
    "engine": ("base", "model"),
    "cluster": ("base", "model", "device", "plan", "link", "engine"),
    "gateway": ("base", "engine"),
    "doctor": ("base", "model", "device", "plan", "link", "engine", "cluster", "gateway"),
    "app": ("base", "trace", "model", "device", "plan", "link", "engine", "cluster", "gateway", "doctor"),
    "cli": ("base", "trace", "model", "device", "plan", "link", "engine", "cluster", "gateway", "doctor", "app"),
}
FABRIC_MAY_USE = ("base", "trace")
MAX_LINES = 400

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
LIBRARY = re.compile(r"^caravan_library\((\w+)([^)]*)\)", re.MULTILINE)


def problem(where, cause, cure):
    return f"{where}: {cause}\n  fix: {cure}"


def includes(text):
    """(line number, name) of each include in quotes."""
    for number, line in enumerate(text.splitlines(), start=1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1)


def check_include(path, number, name):
    """The problem with one include in the file `path` (relative to the root, with '/'), or None."""
    top, folder = path.split("/")[:2] if path.startswith("src/") else (path.split("/")[0], None)
    if top not in ("src", "fabric"):
        return None
    allowed = (folder, *MAY_USE.get(folder, ())) if top == "src" else ("fabric", *FABRIC_MAY_USE)
    used, slash, _ = name.partition("/")
    where = f"{path}:{number}"
    if not slash:
        return problem(where, f'"{name}" does not say its folder', f'write it as "folder/{name}"')
    if used not in allowed:
        return problem(where, f'{folder or top} may not include "{name}"',
                       f"{folder or top} may use: {', '.join(allowed)}; move what is needed down, or hand it in from above")
    return None


def check_folders(paths):
    """Sources of src/ stand in a folder of the table."""
    return [problem(path, "is in no folder of the table", f"put it into one of: {', '.join(MAY_USE)}")
            for path in paths
            if path.startswith("src/") and (path.count("/") < 2 or path.split("/")[1] not in MAY_USE)]


def check_cmake(text):
    """CMakeLists.txt gives each library exactly the folders that the table does."""
    found = {match.group(1): set(match.group(2).split()) for match in LIBRARY.finditer(text)}
    problems = []
    for folder, allowed in MAY_USE.items():
        if folder not in found:
            problems.append(problem("CMakeLists.txt", f"has no caravan_library({folder} ...)", "add it"))
            continue
        linked = found[folder] & set(MAY_USE)
        if linked != set(allowed):
            problems.append(problem("CMakeLists.txt", f"caravan_library({folder}) uses {sorted(linked)}",
                                    f"the table says {sorted(allowed)}"))
    for folder in sorted(set(found) - set(MAY_USE)):
        problems.append(problem("CMakeLists.txt", f"caravan_library({folder}) is not in the table", "add it there"))
    return problems


def check_length(path, text):
    lines = len(text.splitlines())
    if lines <= MAX_LINES:
        return []
    return [problem(f"{path}:{MAX_LINES + 1}", f"is {lines} lines long, {MAX_LINES} are allowed", "split it by its tasks")]


def check_tree(files, cmake):
    """All problems of a tree: `files` maps relative paths to contents."""
    problems = check_cmake(cmake)
    sources = {path: text for path, text in files.items() if path.endswith((".cpp", ".h"))}
    problems += check_folders(sources)
    for path, text in files.items():
        problems += check_length(path, text)
    for path, text in sources.items():
        problems += filter(None, (check_include(path, number, name) for number, name in includes(text)))
    return problems


def our_files():
    files = {}
    for top in ("src", "fabric", "tests", "lab", "scripts", "cmake"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in (".cpp", ".h", ".py", ".sh", ".cmake", ".js", ".css"):
                files[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
    return files


def self_test():
    """A check that finds nothing in a bad tree is worth nothing."""
    cmake = "\n".join(f"caravan_library({folder} {' '.join(allowed)} Some::library)" for folder, allowed in MAY_USE.items())
    good = {
        "src/plan/a.cpp": '#include "plan/a.h"\n#include "base/b.h"\n#include <vector>\n',
        "src/cli/main.cpp": '#include "app/node.h"\n',
        "fabric/worker.cpp": '#include "base/b.h"\n#include "fabric/wire.h"\n',
        "tests/e2e/anything.cpp": '#include "cli/main.h"\n',
    }
    assert check_tree(good, cmake) == [], check_tree(good, cmake)
    for path, text in (
        ("src/base/a.cpp", '#include "plan/a.h"\n'),  # upwards
        ("src/gateway/a.cpp", '  #  include "model/a.h"\n'),  # above, but not granted
        ("src/plan/a.cpp", '#include "tests/a.h"\n'),
        ("src/plan/a.cpp", '#include "lab/a.h"\n'),
        ("src/plan/a.cpp", '#include "a.h"\n'),
        ("src/plan/a_test.cpp", '#include "link/a.h"\n'),
        ("fabric/a.cpp", '#include "engine/a.h"\n'),
        ("src/other/a.cpp", ""),
        ("src/a.cpp", ""),
        ("src/base/a.cpp", "\n" * (MAX_LINES + 1)),
    ):
        found = check_tree({path: text}, cmake)
        assert len(found) == 1 and found[0].startswith(path), (path, text, found)
    for bad in (cmake.replace("(gateway base", "(gateway link base"), cmake.replace("(link base", "(link"),
                cmake.replace("caravan_library(cli", "caravan_library(other")):
        assert check_tree({}, bad), bad
    assert check_tree({"src/base/a.cpp": 'x\n#include "app/a.h"\n'}, cmake)[0].startswith("src/base/a.cpp:2: ")


def main():
    self_test()
    files = our_files()
    problems = check_tree(files, (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))
    print("\n".join(problems) if problems else f"layers: {len(files)} files are where they belong")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
