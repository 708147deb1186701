"""kill -9 of any one process at any moment: within five seconds nothing is left over and the message says what died."""
import signal
import tempfile
import os
import unittest
from pathlib import Path

from harness import CaravanTest, descendants, processes, state_of, wait_for

LONG = ["--prompt", "Write a long story about llamas.", "--max-tokens", "1500"]
MOMENTS = ["plan", "loading", "ready", "text"]


def pid_of(family, needle):
    """The process whose command line has `needle`, once there is one."""
    for pid, command in family.items():
        if needle in command:
            return pid
    return None


class DeathTest(CaravanTest):
    def kill_at(self, moment, needle, *options):
        """Kills the process that `needle` names at `moment`; (demo, its family, the victim's pid)."""
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        demo = self.start_demo(*LONG, *options, temporary=temporary.name)
        demo.wait_for(moment)
        victim = wait_for(lambda: pid_of(descendants(demo.process.pid), needle), f"a process with {needle}", 20)
        family = set(descendants(demo.process.pid)) | {demo.process.pid}
        os.kill(victim, signal.SIGKILL)
        return demo, family, victim, Path(temporary.name)

    def assert_clean_end(self, demo, family, temporary, named):
        code = demo.wait(timeout=20)
        errors = demo.all("error")
        self.assertEqual(len(errors), 1, demo.events[-3:])
        self.assertNotEqual(code, 0)
        message = errors[0]["error"]["message"]
        for word in named:
            self.assertIn(word, message)
        self.assertTrue(errors[0]["error"]["hint"], message)
        self.assertEqual([pid for pid in family if pid in processes()], [])
        self.assertEqual(list(temporary.iterdir()), [])

    def run_victim(self, needle, named, moments, *options):
        for moment in moments:
            with self.subTest(moment=moment, options=options):
                demo, family, _, temporary = self.kill_at(moment, needle, *options)
                # The five seconds: everything but the demo's own exit is checked by it, so time the whole.
                wait_for(lambda: not [pid for pid in family if pid in processes()], "everything to be gone", 5)
                self.assert_clean_end(demo, family, temporary, named)

    def test_a_worker_node(self):
        self.run_victim("--device phone-2", ["phone-2", "SIGKILL"], MOMENTS)

    def test_the_master_node(self):
        self.run_victim("--device phone-1", ["phone-1", "SIGKILL"], MOMENTS)

    def test_an_rpc_server(self):
        self.run_victim("rpc-server", ["phone-", "RPC server", "SIGKILL"], ["loading", "text"], "--data-path", "rpc")

    def test_a_worker_of_the_fabric(self):
        """While it loads, RPC is tried next: demo_test.py."""
        self.run_victim("caravan-worker", ["phone-", "caravan-worker", "SIGKILL"], ["ready", "text"])

    def test_llama_server(self):
        self.run_victim("llama-server", ["phone-1", "llama-server", "SIGKILL"], ["loading"], "--data-path", "rpc")
        self.run_victim("llama-server", ["phone-1", "llama-server", "SIGKILL"], ["ready", "text"])

    def test_the_demo_itself(self):
        for moment in ["begin", "engine", "model", "devices", *MOMENTS]:
            with self.subTest(moment=moment), tempfile.TemporaryDirectory() as temporary:
                demo = self.start_demo(*LONG, temporary=temporary)
                demo.wait_for(moment)
                family = descendants(demo.process.pid)
                demo.process.kill()
                demo.wait()
                wait_for(lambda: not [pid for pid in family if pid in processes()], "everything to be gone", 5)
                wait_for(lambda: not list(Path(temporary).iterdir()), "its folder to be gone", 5)

    def test_a_frozen_worker_is_noticed(self):
        demo = self.start_demo("--keep")
        demo.wait_for("keep")
        folder = demo.first("devices")["folder"]
        family = set(descendants(demo.process.pid))
        node = state_of(folder, "phone-3")["pid"]
        os.kill(node, signal.SIGSTOP)
        code = demo.wait(timeout=30)
        self.assertNotEqual(code, 0)
        self.assertIn("phone-3 has not answered", demo.all("error")[0]["error"]["message"])
        self.assert_nothing_left(family, folder)


if __name__ == "__main__":
    unittest.main()
