"""Wrong flags, missing and corrupt things, full and taken things: one line of cause, one of cure, the right exit code."""
import os
import socket
import tempfile
import unittest
from pathlib import Path

from harness import CaravanTest, run


def model_path():
    return run("models", "path", "smollm2-135m").stdout.strip()


class BadInputTest(CaravanTest):
    def assert_refused(self, done, code, cause, cure=""):
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        lines = done.stderr.strip().splitlines()
        self.assertEqual(len(lines), 2, done.stderr)
        self.assertTrue(lines[0].startswith("error: "), done.stderr)
        self.assertTrue(lines[1].startswith("  hint: "), done.stderr)
        self.assertIn(cause, lines[0])
        self.assertIn(cure, lines[1])

    def test_wrong_usage(self):
        for args, cause, cure in [
            (["dmeo"], "no command 'dmeo'", "caravan demo"),
            (["demo", "--nonsense"], "--nonsense", "caravan demo --help"),
            (["demo", "--devices", "many"], "--devices", "--help"),
            (["demo", "--devices", "0"], "--devices", "--help"),
            (["demo", "--memory", "lots"], "'lots' is not a size", "600M"),
            (["demo", "--devices", "3", "--memory", "600M,400M"], "2 budgets for 3 devices", "--devices 2"),
            (["models"], "subcommand", "--help"),
            (["node", "--port", "99999"], "--port", "--help"),
        ]:
            with self.subTest(args=args):
                self.assert_refused(run(*args), 2, cause, cure)

    def test_help_is_no_error_and_has_examples(self):
        for args in [["--help"], ["demo", "--help"], ["models", "--help"], ["models", "pull", "--help"],
                     ["engine", "--help"], ["node", "--help"], ["doctor", "--help"]]:
            with self.subTest(args=args):
                done = run(*args)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn("Examples:", done.stdout)

    def test_a_missing_model(self):
        self.assert_refused(run("demo", "--model", "smolm2-135m"), 1, "smolm2-135m", "smollm2-135m")
        self.assert_refused(run("demo", "--model", "/no/such/file.gguf"), 1, "/no/such/file.gguf")

    def test_corrupt_models(self):
        good = Path(model_path()).read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            for name, content, cause in [
                ("truncated.gguf", good[: len(good) // 2], "truncated"),
                ("header-only.gguf", good[:2000], ""),
                ("empty.gguf", b"", "empty"),
                ("page.gguf", b"<!DOCTYPE html><html>" + b"x" * 4000, "web page"),
                ("noise.gguf", os.urandom(100000), ""),
                ("flipped.gguf", good[:24] + bytes([good[24] ^ 0xFF]) * 64 + good[88:], ""),
            ]:
                with self.subTest(name=name):
                    path = Path(folder) / name
                    path.write_bytes(content)
                    self.assert_refused(run("demo", "--model", str(path)), 1, cause)

    def test_a_missing_engine(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assert_refused(run("demo", "--engine", folder), 1, folder, "llama-server")
            nowhere = {"HOME": folder, "XDG_CACHE_HOME": folder, "PATH": folder, "PREFIX": folder, "CARAVAN_ENGINE": ""}
            self.assert_refused(run("engine", env=nowhere), 1, "", "./run build")

    def test_a_taken_port(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            self.assert_refused(run("demo", "--port", port), 3, port, "--port")

    def test_taken_rpc_ports_are_no_trouble(self):
        with socket.socket() as first, socket.socket() as second:
            for rank, holder in enumerate([first, second], start=1):
                try:
                    holder.bind(("127.0.0.1", 50051 + rank))
                    holder.listen()
                except OSError:
                    pass  # somebody else has it: just as good
            done = run("demo")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("Paris", done.stdout)

    def test_budgets_that_are_too_small(self):
        self.assert_refused(run("demo", "--memory", "150M,80M,80M"), 1, "do", "more")

    def test_no_space(self):
        """A real full disk: a file system of 1 MB, where the kernel lets us make one; else a folder without space quota."""
        with tempfile.TemporaryDirectory() as folder:
            if os.geteuid() != 0 or os.system(f"mount -t tmpfs -o size=1m none {folder} 2>/dev/null") != 0:
                self.skipTest("needs root to mount a small file system")
            try:
                done = run("models", "pull", "smollm2-135m", env={"CARAVAN_HOME": folder, "HOME": folder})
                self.assert_refused(done, 1, "free", "")
            finally:
                os.system(f"umount {folder}")

    def test_no_network(self):
        """The registry's client is sent to a port where nobody listens."""
        with tempfile.TemporaryDirectory() as folder:
            done = run("models", "pull", "smollm2-135m",
                       env={"CARAVAN_HOME": folder, "HOME": folder, "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
                            "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1", "PIP_CONFIG_FILE": "/dev/null",
                            "PIP_FIND_LINKS": ""})
            self.assertIn(done.returncode, [1, 3], done.stderr)
            self.assertEqual(len(done.stderr.strip().splitlines()), 2, done.stderr)
            self.assertFalse(list(Path(folder).rglob("*.gguf")))


if __name__ == "__main__":
    unittest.main()
