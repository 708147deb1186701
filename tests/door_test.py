#!/usr/bin/env python3
"""./run and the scripts behind it, with a stand-in for llama.cpp that compiles in a second."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import textwrap
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARTS = "say where progress packages apt engine_source engine build lint test fuzz lab bench"

FAKE_CMAKE = """
    cmake_minimum_required(VERSION 3.14)
    project(fake C)
    set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
    set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
    add_library(ggml-base base.c)
    foreach(program llama-server ggml-rpc-server llama-bench)
      add_executable(${program} ${program}.c)
      target_link_libraries(${program} ggml-base)
    endforeach()
"""


class DoorTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="caravan-door-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.cache = self.folder / "cache" / "caravan"
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "CCACHE_DISABLE": "1",
                            "XDG_CACHE_HOME": str(self.folder / "cache")}

    def call(self, *arguments, folder=None, environment=None):
        return subprocess.run(arguments, cwd=folder or self.folder, env=environment or self.environment, timeout=120,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)

    def bash(self, script, **environment):
        """Runs `script` with all parts of ./run loaded, as ./run would."""
        text = f"set -euo pipefail; cd {ROOT}; for part in {PARTS}; do source scripts/$part.sh; done; prepare_environment\n{script}"
        return self.call("bash", "-c", text, environment={**self.environment, **environment})

    def fake_llama(self):
        """A folder that builds like llama.cpp as far as the door can tell."""
        source = self.folder / "llama"
        (source / "ggml" / "include").mkdir(parents=True)
        (source / "ggml" / "include" / "gguf.h").write_text("")
        (source / "ggml" / "src").mkdir()
        for header in ("ggml-impl.h", "ggml-backend-impl.h"):
            (source / "ggml" / "src" / header).write_text("")
        (source / "CMakeLists.txt").write_text(textwrap.dedent(FAKE_CMAKE))
        (source / "base.c").write_text("int base(void) { return 0; }\n")
        for program in ("llama-server", "ggml-rpc-server", "llama-bench"):
            (source / f"{program}.c").write_text("int base(void); int main(void) { return base(); }\n")
        return source

    def build_engine(self, source):
        return self.bash("ensure_engine; echo $ENGINE_KEY", CARAVAN_LLAMA_SRC=str(source))

    # The command line.

    def test_help_needs_nothing(self):
        result = self.call(str(ROOT / "run"), "help", environment={"IGNORED": "1"})
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("./run demo", result.stdout)

    def test_unknown_command_is_guessed(self):
        result = self.call(str(ROOT / "run"), "biuld")
        self.assertEqual(result.returncode, 2)
        self.assertIn("did you mean ./run build?", result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 2, "one line of cause, one of cure")

    def test_nothing_near_is_not_guessed(self):
        self.assertNotIn("did you mean", self.call(str(ROOT / "run"), "xyzzy").stderr)

    def test_wrong_options_are_refused(self):
        for arguments in (("test", "--fast"), ("clean", "--everything"), ("fuzz", "no-such-decoder"), ("lab", "start")):
            result = self.call(str(ROOT / "run"), *arguments)
            self.assertEqual(result.returncode, 2, arguments)
            self.assertIn("fix: ", result.stderr)

    # Where things are.

    def test_home_and_path_may_be_unset(self):
        script = f"cd {ROOT}; source scripts/say.sh; source scripts/where.sh; prepare_environment; " \
                 'echo "$HOME"; echo "$CACHE"; echo "$PATH"'
        home, cache, path = self.call("/bin/bash", "-c", script, environment={"X": "1"}).stdout.splitlines()
        self.assertTrue(pathlib.Path(home).is_dir())
        self.assertEqual(cache, f"{home}/.cache/caravan")
        self.assertNotIn(".", path.split(":"))
        self.assertIn("/usr/bin", path.split(":"))

    def test_a_cache_that_cannot_be_made_is_explained(self):
        (self.folder / "cache").write_text("a file is in the way")
        result = self.bash("make_cache")
        self.assertEqual(result.returncode, 1)
        self.assertIn("XDG_CACHE_HOME=", result.stderr)

    # What people see.

    def test_durations(self):
        result = self.bash("duration 7; echo; duration 185; echo; rough_duration 100; echo; rough_duration 59")
        self.assertEqual(result.stdout.splitlines(), ["7 s", "3 min 05 s", "2 min", "59 s"])

    def test_progress_is_read_from_ninja_and_apt(self):
        script = """
            show() { counter='' finished=0 total=0; read_progress "$1"; progress_text engine "$counter" "$finished" "$total" 100; echo; }
            show '[8/80] Building x.o'; show 'dlstatus:1:50.5:Retrieving'; show 'pmstatus:git:50.0:Unpacking'; show 'other'"""
        self.assertEqual(self.bash(script).stdout.splitlines(), [
            "engine   [ 8/80]  10%  1 min 40 s so far, about 15 min left",
            "engine    25%  1 min 40 s so far, about 5 min left",
            "engine    75%  1 min 40 s so far, about 33 s left",
            "engine    1 min 40 s so far",
        ])

    def test_a_logged_command_keeps_its_exit_code_and_output(self):
        log = self.folder / "log"
        result = self.bash(f"run_logged x {log} sh -c 'echo one; printf two; exit 7' || echo code $?")
        self.assertEqual(result.stdout, "code 7\n")
        self.assertEqual(log.read_text(), "one\ntwo\n")

    def test_counts_of_ctest_are_added_up(self):
        script = f"""
            results={self.folder}/results; step good true 2>/dev/null; step bad false 2>/dev/null
            printf 'unit\\t5\\t1\\t3\\n' >>"$results"; summarise 2>&1 || echo "exit $?" """
        lines = self.bash(script).stdout.splitlines()
        self.assertEqual(lines[-2:], ["5 passed, 2 failed", "exit 1"])

    # The engine's cache.

    def test_engine_is_built_once(self):
        source = self.fake_llama()
        first = self.build_engine(source)
        self.assertEqual(first.returncode, 0, first.stderr)
        key = first.stdout.strip()
        self.assertEqual((self.cache / "engine" / "current").readlink(), pathlib.Path(key))
        facts = json.loads((self.cache / "engine" / "current" / "engine.json").read_text())
        self.assertEqual((facts["version"], facts["build_id"]), ("v0.5.0", key))
        for path in (f"engine/{key}/bin/llama-server", f"engine/{key}/bin/ggml-rpc-server", f"engine/{key}/bin/llama-bench",
                     f"engine/{key}/bin/libggml-base.so", f"ggml/{key}/include/gguf.h",
                     f"ggml/{key}/include/ggml-backend-impl.h", f"ggml/{key}/lib/libggml-base.a"):
            self.assertTrue((self.cache / path).exists(), path)
        self.assertEqual(list((self.cache / "work").iterdir()), [], "the build folder is gone")
        second = self.build_engine(source)
        self.assertEqual((second.returncode, second.stderr), (0, ""), "nothing to do, nothing to say")

    def test_programs_find_their_libraries_anywhere(self):
        key = self.build_engine(self.fake_llama()).stdout.strip()
        moved = self.folder / "elsewhere"
        shutil.move(self.cache / "engine" / key, moved)
        self.assertEqual(self.call(str(moved / "bin" / "llama-server")).returncode, 0)

    def test_failed_engine_build_is_quoted_and_goes_on(self):
        source = self.fake_llama()
        (source / "llama-server.c").write_text("this is no C\n")
        failed = self.build_engine(source)
        self.assertEqual(failed.returncode, 1)
        self.assertIn("this is no C", failed.stderr)
        self.assertIn("fix: ", failed.stderr)
        self.assertFalse((self.cache / "engine" / "current").exists())
        (source / "llama-server.c").write_text("int main(void) { return 0; }\n")
        cured = self.build_engine(source)
        self.assertEqual(cured.returncode, 0, cured.stderr)
        self.assertIn("going on from there", cured.stderr)

    def test_engine_that_does_not_start_is_not_taken(self):
        source = self.fake_llama()
        (source / "ggml-rpc-server.c").write_text("int main(void) { return 3; }\n")
        result = self.build_engine(source)
        self.assertEqual(result.returncode, 1)
        self.assertIn("the ggml-rpc-server that was built does not start", result.stderr)
        self.assertFalse((self.cache / "engine" / "current").exists())

    def test_half_of_an_engine_is_not_taken_for_whole(self):
        source = self.fake_llama()
        key = self.build_engine(source).stdout.strip()
        (self.cache / "ggml" / key / "lib" / "libggml-base.a").unlink()
        again = self.build_engine(source)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertTrue((self.cache / "ggml" / key / "lib" / "libggml-base.a").exists())

    def test_other_flags_are_another_engine(self):
        source = str(self.fake_llama())
        keys = {self.bash("set_engine_key; echo $ENGINE_KEY", CARAVAN_LLAMA_SRC=source, CARAVAN_ENGINE_FLAGS=flags).stdout
                for flags in ("", "-DGGML_NATIVE=OFF", "-DGGML_NATIVE=OFF -DGGML_LTO=ON")}
        self.assertEqual(len(keys), 3)

    def test_folder_without_llama_is_refused(self):
        result = self.build_engine(self.folder)
        self.assertEqual(result.returncode, 1)
        self.assertIn("is not a folder with llama.cpp's source", result.stderr)

    def test_changed_package_is_refused(self):
        """A package that is not the pinned one is never unpacked."""
        tools = self.folder / "tools"
        tools.mkdir()
        (tools / "npm").write_text('#!/bin/sh\nwhile [ "$1" != --pack-destination ]; do shift; done\necho bad >"$2/x.tgz"\n')
        (tools / "npm").chmod(0o755)
        result = self.bash("make_cache; part=$CACHE/source/part log=$CACHE/log/source.log; mkdir -p $part; "
                           'source_from_npm || echo "$reason"; ls $part',
                           PATH=f"{tools}:{os.environ['PATH']}")
        self.assertIn("its hash is not the pinned one", result.stdout)
        self.assertNotIn("package\n", result.stdout)

    def test_only_one_at_a_time(self):
        """The second says that it waits; the first ends only after it has read that."""
        script = f"""
            cd {self.folder}; mkfifo inside said
            first() {{ echo >inside; read -r line <said; echo "first is done: $line"; }}
            second() {{ echo "second is done"; }}
            with_lock lock first & read -r line <inside; with_lock lock second 2>said; wait"""
        lines = self.bash(script).stdout.splitlines()
        self.assertIn("waiting for another ./run", lines[0])
        self.assertEqual(lines[1:], ["second is done"])


if __name__ == "__main__":
    unittest.main()
