"""caravan-worker as a program: what it prints, how it refuses, how it ends."""
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import BIN, DEADLINE

WORKER = os.environ.get("CARAVAN_WORKER") or str(Path(BIN).parent / "caravan-worker")


def run(*args, **environment):
    return subprocess.run([WORKER, *args], capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL,
                          env={**os.environ, **environment}, check=False)


class WorkerProgramTest(unittest.TestCase):
    def start(self, *args, **environment):
        process = subprocess.Popen([WORKER, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   stdin=subprocess.DEVNULL, env={**os.environ, **environment})
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_help_has_examples(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("examples:", done.stdout)

    def test_mistakes_have_a_cause_and_a_cure(self):
        key = secrets.token_hex(32)
        cases = [(("--lisen", "127.0.0.1:0"), {}, "--lisen", "--listen"),
                 (("--listen", "127.0.0.1:0"), {}, "no key", "--key-file"),
                 (("--listen", "127.0.0.1:0", "--key-file", "/nowhere/key"), {}, "key", ""),
                 (("--listen", "127.0.0.1:0"), {"CARAVAN_FABRIC_KEY": "abc"}, "64 hexadecimal", "openssl"),
                 (("--listen", "0.0.0.0:0"), {"CARAVAN_FABRIC_KEY": key}, "0.0.0.0:0", "127.0.0.1")]
        for args, environment, cause, cure in cases:
            with self.subTest(args=args):
                done = run(*args, **{"CARAVAN_FABRIC_KEY": "", **environment})
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("error: ", done.stderr)
                self.assertIn(cause, done.stderr)
                self.assertIn(cure, done.stderr)

    def test_a_port_that_is_taken_is_said(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            done = run("--listen", address, CARAVAN_FABRIC_KEY=secrets.token_hex(32))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(address, done.stderr)

    def test_signals_end_it_cleanly(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number), tempfile.TemporaryDirectory() as folder:
                key = Path(folder) / "key"
                key.write_text(secrets.token_hex(32) + "\n")
                worker = self.start("--listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0", "--key-file", str(key))
                ports = []
                for _ in range(2):
                    word, address = worker.stdout.readline().split()
                    self.assertEqual(word, "listening")
                    ports.append(int(address.rpartition(":")[2]))
                # Somebody who says nothing does not keep it.
                with socket.create_connection(("127.0.0.1", ports[0])):
                    worker.send_signal(number)
                    self.assertEqual(worker.wait(DEADLINE), 0)

    def test_strangers_learn_nothing_and_do_no_harm(self):
        worker = self.start("--listen", "127.0.0.1:0", CARAVAN_FABRIC_KEY=secrets.token_hex(32))
        port = int(worker.stdout.readline().rpartition(":")[2])
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, b"\xff" * 64, secrets.token_bytes(4096)):
            with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as stranger:
                stranger.sendall(words)
                answer = b""
                while True:
                    try:
                        piece = stranger.recv(4096)
                    except ConnectionResetError:
                        break
                    if not piece:
                        break
                    answer += piece
                self.assertNotIn(b"ggml", answer)
        self.assertIsNone(worker.poll())


if __name__ == "__main__":
    unittest.main(verbosity=2)
