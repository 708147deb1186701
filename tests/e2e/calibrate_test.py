"""`caravan calibrate` with the real engine: its kernels are measured, kept, and no crash of theirs goes unnoticed."""
import json
import math
import os
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import BIN, CaravanTest, descendants, processes, run, wait_for

MATRIX = 2048 * 2048  # numbers in each matrix that is measured with
BYTES = {"q4_K": MATRIX * 9 // 16, "q4_0": MATRIX * 9 // 16, "q6_K": MATRIX * 105 // 128, "q8_0": MATRIX * 17 // 16,
         "f16": MATRIX * 2}


class CalibrateTest(CaravanTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.home = self.folder / "home"
        self.env = {"CARAVAN_HOME": str(self.home)}
        self.kept = self.home / "speed.json"

    def start(self):
        """A calibration that goes on, its own pid and that of its measuring child."""
        process = subprocess.Popen([BIN, "calibrate"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   stdin=subprocess.DEVNULL, env={**os.environ, **self.env})
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        child = wait_for(lambda: [pid for pid, command in descendants(process.pid).items() if "kernel-bench" in command],
                         "the measuring child")
        return process, child[0]

    def check_measurements(self, found):
        measured = found["measurements"]
        for one in measured:
            self.assertTrue(math.isfinite(one["rate"]) and one["rate"] > 0, one)
            self.assertIn(one["threads"], [1] if one["measured"] == "store" else found["threads"], "one thread loads a model")
        kinds = {one["measured"] for one in measured}
        self.assertEqual(kinds, {"memory", "small_op", "elements", "attention", "decode", "prefill", "store"})
        decodes = [one for one in measured if one["measured"] == "decode"]
        self.assertIn("q4_K", {one["type"] for one in decodes})
        for one in decodes:  # whole matrices, more than a few, so that none is in a cache when its turn comes again
            self.assertEqual(one["touched"] % BYTES[one["type"]], 0, one)
            self.assertGreaterEqual(one["touched"], 48 << 20, one)
        stored = {(one["type"], one["layout"]) for one in measured if one["measured"] == "store"}
        self.assertEqual(stored, {(one["type"], one["layout"]) for one in decodes})
        # What was not measured is named: every type has both layouts, or a reason why not.
        for kind in BYTES:
            layouts = {one["layout"] for one in decodes if one["type"] == kind}
            reasons = {one["layout"] for one in found["skipped"] if one["type"] == kind}
            self.assertEqual(len(layouts) + len(reasons), 2, (kind, layouts, reasons))

    def test_measures_keeps_and_recovers(self):
        self.home.mkdir()
        self.kept.write_text('{"version": 1, "engine_build": ')
        done = run("calibrate", "--json", "--quick", env=self.env, timeout=40)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("measuring again", done.stderr)
        found = json.loads(done.stdout)
        self.assertTrue(found["measured_now"] and found["quick"])
        self.check_measurements(found)
        self.assertGreater(found["estimate"]["decode_tokens_per_second"], 0)
        self.assertIn(found["best_threads"]["decode"], found["threads"])
        kept = json.loads(self.kept.read_text())
        self.assertEqual(kept["measurements"], found["measurements"])
        self.assertEqual(self.kept.stat().st_mode & 0o777, 0o600)
        self.assertEqual(list(self.home.iterdir()), [self.kept])  # no temporary file is left

        again = run("calibrate", "--json", "--if-needed", env=self.env, timeout=40)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertFalse(json.loads(again.stdout)["measured_now"])
        self.assertEqual(json.loads(again.stdout)["measurements"], found["measurements"])

        cores = kept["usable_cpus"]
        self.assertGreater(cores, 0)
        self.kept.write_text(json.dumps({**kept, "usable_cpus": 3 * cores, "measured_at": kept["measured_at"] - 3600}))
        fewer = run("calibrate", "--json", "--if-needed", "--quick", "--threads", "1", env=self.env, timeout=40)
        self.assertEqual(fewer.returncode, 0, fewer.stderr)
        self.assertIn(f"measured when {3 * cores} cores could be used, now there are {cores}", fewer.stderr)
        self.assertTrue(json.loads(fewer.stdout)["measured_now"])

        kept["engine_build"] = "another"
        self.kept.write_text(json.dumps(kept))
        other = run("calibrate", "--json", "--if-needed", "--quick", "--threads", "1", env=self.env, timeout=40)
        self.assertEqual(other.returncode, 0, other.stderr)
        self.assertIn("another", other.stderr)
        self.assertTrue(json.loads(other.stdout)["measured_now"])
        self.assertEqual(json.loads(other.stdout)["threads"], [1])

    def test_an_engine_without_libraries_is_refused(self):
        engine = json.loads(run("engine", "--json").stdout)
        alone = self.folder / "static"
        alone.mkdir()
        for program in (engine["llama_server"], engine["rpc_server"]):
            shutil.copy2(program, alone)
        done = run("calibrate", "--engine", str(alone), env=self.env)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("libggml-base.so", done.stderr)
        self.assertIn("hint: ", done.stderr)
        self.assertIn("BUILD_SHARED_LIBS", done.stderr)
        self.assertFalse(self.kept.exists())

    def test_an_engine_whose_library_is_broken_is_reported(self):
        engine = json.loads(run("engine", "--json").stdout)
        broken = self.folder / "broken"
        shutil.copytree(engine["folder"], broken, symlinks=True)
        (broken / "libggml-cpu.so").unlink()
        (broken / "libggml-cpu.so").write_bytes(b"no library")  # the engine's programs load libggml-cpu.so.0
        done = run("calibrate", "--quick", "--engine", str(broken), env=self.env)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("libggml-cpu.so", done.stderr)
        self.assertIn("hint: ", done.stderr)
        self.assertFalse(self.kept.exists())

    def test_an_engine_of_another_version_is_refused(self):
        engine = json.loads(run("engine", "--json").stdout)
        other = self.folder / "other"
        shutil.copytree(engine["folder"], other, symlinks=True)
        library = max(other.glob("libggml-base.so.*"), key=lambda path: len(path.name))
        version = library.name.partition(".so.")[2]
        newer = version[:-1] + ("9" if version[-1] != "9" else "8")
        content = library.read_bytes()
        self.assertIn(version.encode() + b"\0", content)
        library.write_bytes(content.replace(version.encode() + b"\0", newer.encode() + b"\0"))
        done = run("calibrate", "--quick", "--engine", str(other), env=self.env)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(f"the engine has ggml {newer}, this program was built for ggml {version}", done.stderr)
        self.assertIn("hint: ", done.stderr)
        self.assertFalse(self.kept.exists())

    def test_the_death_of_the_child_is_reported(self):
        process, child = self.start()
        os.kill(child, signal.SIGKILL)
        out, err = process.communicate(timeout=40)
        self.assertEqual(process.returncode, 1, out + err)
        self.assertIn("signal 9 (SIGKILL)", err)
        self.assertIn("hint: ", err)
        self.assertFalse(self.kept.exists())

    def test_a_link_is_measured_and_ends(self):
        listener = subprocess.Popen([BIN, "calibrate", "--link-listen", "0"], stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
        self.addCleanup(listener.kill)
        address = listener.stderr.readline().split(" on ")[1].split(",")[0]
        self.assertTrue(address.startswith("127.0.0.1:"), address)
        done = run("calibrate", "--link", address, "--json", timeout=40)
        self.assertEqual(done.returncode, 0, done.stderr)
        speed = json.loads(done.stdout)
        for name in ("round_trip_median_s", "round_trip_p95_s", "upload_bytes_per_s", "download_bytes_per_s"):
            self.assertTrue(math.isfinite(speed[name]) and speed[name] > 0, speed)
        listener.communicate(timeout=40)
        self.assertEqual(listener.returncode, 0)
        gone = run("calibrate", "--link", address)
        self.assertEqual(gone.returncode, 3, gone.stderr)
        self.assertIn("--link-listen", gone.stderr)

    def test_help_has_examples(self):
        done = run("calibrate", "--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("Examples:", done.stdout)
        self.assertNotIn("kernel-bench", run("--help").stdout)

    def test_the_child_dies_with_its_starter(self):
        process, child = self.start()
        process.kill()
        process.wait()
        wait_for(lambda: child not in processes(), "the measuring child to be gone", timeout=10)
        self.assertFalse(self.kept.exists())


if __name__ == "__main__":
    unittest.main()
