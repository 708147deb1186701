"""`caravan up`, `stop`, `logs` and `chat`: one device's node, from its start to its end, and talking to a model."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import tempfile
import termios
import time
import unittest
from pathlib import Path

from harness import BIN, DEADLINE, CaravanTest, call, processes, run, wait_for

LEFT_IN_HOME = {"node.lock", "node.log", "device.key", "device.crt", "membership.json"}
MAY_BE_LEFT = {"speed.json"}  # when its speed had been measured by then
ANSI = re.compile(r"\x1b\[[0-9]*[A-Za-z]")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Terminal:
    """A program on a terminal of its own: what it writes, and keys for it."""

    def __init__(self, *args, env):
        self.keyboard, inside = pty.openpty()
        self.process = subprocess.Popen([BIN, *args], stdin=inside, stdout=inside, stderr=inside, start_new_session=True,
                                        env={**os.environ, **env, "TERM": "xterm"},
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(inside)
        self.text = ""
        self.taken = 0

    def read(self):
        if select.select([self.keyboard], [], [], 0.05)[0]:
            try:
                self.text += ANSI.sub("", os.read(self.keyboard, 65536).decode(errors="replace"))
            except OSError:  # the other side is closed
                return

    def expect(self, needle):
        """Waits until the text after the last find has `needle`."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            at = self.text.find(needle, self.taken)
            if at >= 0:
                self.taken = at + len(needle)
                return
            self.read()
        raise AssertionError(f"'{needle}' did not come after {self.text[self.taken:]!r}")

    def press(self, keys):
        os.write(self.keyboard, keys.encode())

    def wait(self):
        code = wait_for(lambda: (self.read(), self.process.poll())[1] is not None and [self.process.returncode],
                        "the program to end")[0]
        self.read()
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.keyboard)


class HomeTest(CaravanTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name) / "home"
        self.env = {"CARAVAN_HOME": str(self.home)}
        self.addCleanup(self.end_all)

    def end_all(self):
        run("stop", env=self.env)

    def caravan(self, *args, env=None):
        return run(*args, env={**self.env, **(env or {})})

    def ok(self, *args, env=None):
        done = self.caravan(*args, env=env)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def start(self, *args):
        """Starts it, for those that go on; killed at the end of the test if it still runs."""
        process = subprocess.Popen([BIN, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env={**os.environ, **self.env})

        def end():
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
        self.addCleanup(end)
        return process

    def up(self, *args, env=None):
        """Starts it in the background; what it announced."""
        return json.loads(self.ok("up", "-d", "--json", "--port", "0", *args, env=env))

    def refused(self, *args, code, message, hint):
        done = self.caravan(*args)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        lines = done.stderr.splitlines()
        self.assertTrue(lines[0].startswith("error: "), done.stderr)
        self.assertIn(message, lines[0])
        self.assertIn(hint, lines[1])

    def assert_down(self, *pids):
        wait_for(lambda: not [pid for pid in pids if pid in processes()], f"processes {pids} to be gone", 5)
        self.assertFalse((self.home / "node.sock").exists())
        self.assertEqual(self.ok("stop"), "this device's node is not up\n")

    def terminal(self, *args):
        terminal = Terminal(*args, env=self.env)
        self.addCleanup(terminal.close)
        return terminal


class UpTest(HomeTest):
    def test_a_join_that_fails_leaves_the_node_up_as_it_was(self):
        api, link, nobody = free_port(), free_port(), free_port()
        before = json.loads(self.ok("up", "-d", "--json", "--name", "my tab", "--memory", "300M", "--port", str(api), "--no-discovery",
                                    "--link-address", "127.0.0.1", "--link-port", str(link)))
        typo = self.caravan("join", "caravan1:NOCODE")
        self.assertNotEqual(typo.returncode, 0)
        self.assertNotIn("started anew", typo.stdout)
        self.assertEqual(json.loads(self.ok("up", "-d", "--json"))["pid"], before["pid"], "for a typo nothing is ended")

        failed = self.caravan("join", "--peer", f"127.0.0.1:{nobody}")
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("is up again, in the background, as it was", failed.stdout)
        again = json.loads(self.ok("up", "-d", "--json"))
        self.assertEqual(again["event"], "already_up")
        self.assertNotEqual(again["pid"], before["pid"])
        state = again["state"]
        self.assertEqual((state["device"], state["memory"], state["api"]), ("my tab", 300 * 2**20, before["api"]))
        self.assertEqual(json.loads(self.ok("status", "--json"))["self"]["link_port"], link)

    def test_in_the_background_until_stop(self):
        said = self.ok("up", "-d", "--port", "0", "--name", "tab")
        self.assertEqual(said.count("\n"), 1, said)
        self.assertRegex(said, r"^tab is up in the background: http://127\.0\.0\.1:\d+/v1  \(process \d+;")
        pid = int(re.search(r"process (\d+)", said)[1])
        self.assertEqual(os.getsid(pid), pid, "a session of its own")
        self.assertEqual((self.home / "node.lock").read_text().split()[0], str(pid))
        again = self.ok("up")
        self.assertRegex(again.splitlines()[0], rf"^already up \(process {pid}, since \d{{4}}-\d\d-\d\d [\d:]{{8}}\)$")
        self.assertEqual(again.splitlines()[1], "tab: waits for a model")
        event = json.loads(self.ok("up", "-d", "--json"))
        self.assertEqual((event["event"], event["pid"], event["state"]["device"]), ("already_up", pid, "tab"))
        status, body, _ = call(event["state"]["api"] + "/health")
        self.assertEqual((status, json.loads(body)["status"]), (503, "none"))
        self.assertIn("tab is up: http://", self.ok("logs"))
        self.assertIn(f"(process {pid}, since ", self.ok("stop"))
        self.assert_down(pid)
        self.assertEqual({entry.name for entry in self.home.iterdir()} - MAY_BE_LEFT, LEFT_IN_HOME)
        self.assertTrue(self.ok("logs").rstrip().endswith("ended"))
        self.assertEqual(json.loads(self.ok("stop", "--json")), {"stopped": False})

    def test_a_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            for background in [["-d"], []]:
                self.refused("up", *background, "--port", str(port), code=3, message=f"port {port} is taken", hint="--port")
                self.assert_down()
            done = self.caravan("up", "-d", "--json", "--port", str(port))
            self.assertEqual((done.returncode, done.stderr), (3, ""))
            self.assertIn("taken", json.loads(done.stdout)["error"]["message"])
        self.assertIn(f"port {port} is taken", self.ok("logs"))

    def test_what_cannot_work_says_why(self):
        self.refused("up", "-d", "--engine", "/nowhere", code=1, message="/nowhere", hint="")
        self.refused("up", "-d", "--memory", "lots", code=2, message="--memory", hint="")
        self.refused("up", "--name", "a\x1b[2Jb", code=2, message="--name", hint="pixel-8")
        self.assert_down()

    def test_the_foreground_until_ctrl_c(self):
        for signal_number in [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]:
            with self.subTest(signal=signal_number):
                node = self.start("up", "--json", "--port", "0")
                self.assertEqual(json.loads(node.stdout.readline())["event"], "ready")
                state = json.loads(node.stdout.readline())
                self.assertEqual((state["event"], state["state"]["phase"]), ("state", "idle"))
                node.send_signal(signal_number)
                self.assertEqual(node.wait(DEADLINE), 0)
                self.assertEqual([json.loads(line)["event"] for line in node.stdout], ["ended"])
                self.assert_down(node.pid)
                self.assertEqual({entry.name for entry in self.home.iterdir()} - MAY_BE_LEFT, LEFT_IN_HOME)

    def test_a_live_view_on_a_terminal(self):
        terminal = self.terminal("up", "--port", "0", "--name", "tab")
        for needle in ["tab: waits for a model", "API     http://127.0.0.1:", "memory", "engine", "Ctrl-C ends it."]:
            terminal.expect(needle)
        terminal.press("\x03")
        terminal.expect("tab has ended.")
        self.assertEqual(terminal.wait(), 0)
        self.assert_down(terminal.process.pid)

    def test_kill_9_is_no_obstacle(self):
        first = self.up()
        os.kill(first["pid"], signal.SIGKILL)
        wait_for(lambda: first["pid"] not in processes(), "it to be gone", 5)
        self.assertTrue((self.home / "node.sock").exists(), "what is left behind")
        second = self.up()
        self.assertNotEqual(first["pid"], second["pid"])
        self.ok("stop")
        self.assert_down(second["pid"])

    def test_several_at_once_are_one(self):
        starts = [self.start("up", "-d", "--json", "--port", "0") for _ in range(3)]
        events = []
        for start in starts:
            out, _ = start.communicate(timeout=DEADLINE)
            self.assertEqual(start.returncode, 0, out)
            events.append(json.loads(out))
        self.assertEqual(sorted(event["event"] for event in events), ["already_up", "already_up", "ready"])
        self.assertEqual(len({event["pid"] for event in events}), 1)

    def test_a_frozen_node_is_named_and_not_killed(self):
        pid = self.up()["pid"]
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(lambda: pid in processes() and os.kill(pid, signal.SIGCONT))
        self.refused("stop", code=3, message=f"(process {pid}, since ", hint=f"kill {pid}")
        self.assertIn(pid, processes())
        os.kill(pid, signal.SIGCONT)
        self.ok("stop")
        self.assert_down(pid)

    def test_the_wake_lock_is_held_meanwhile(self):
        programs = Path(self.home.parent) / "bin"
        programs.mkdir()
        said = programs / "said"
        for name in ["termux-wake-lock", "termux-wake-unlock"]:
            (programs / name).write_text(f"#!/bin/sh\necho {name} >> {said}\n")
            (programs / name).chmod(0o700)
        path = {"PATH": f"{programs}:{os.environ['PATH']}"}
        self.assertTrue(self.up(env=path)["wake_lock"])
        self.assertEqual(said.read_text().split(), ["termux-wake-lock"])
        self.ok("stop")
        self.assertEqual(said.read_text().split(), ["termux-wake-lock", "termux-wake-unlock"])
        self.assertFalse(self.up()["wake_lock"])


class LogsTest(HomeTest):
    def test_before_there_is_one(self):
        self.refused("logs", code=1, message="no log", hint="caravan up")
        self.refused("logs", "--engine", code=1, message="no engine", hint="caravan logs")

    def test_following_goes_on_through_a_rotation(self):
        self.home.mkdir(mode=0o700)
        log = self.home / "node.log"
        log.write_text("old\nlast\n")
        follower = self.start("logs", "-f", "--lines", "1")
        self.assertEqual(follower.stdout.readline(), "last\n")
        with log.open("a") as more:
            more.write("x" * (1 << 20) + "\n")  # too long now: the node's start moves it away
        self.assertEqual(len(follower.stdout.readline()), (1 << 20) + 1)
        pid = self.up("--name", "tab")["pid"]
        self.assertIn(f"process {pid}", follower.stdout.readline())
        self.assertIn("tab is up", follower.stdout.readline())
        self.assertTrue((self.home / "node.1.log").exists())
        self.assertLess(log.stat().st_size, 4096)
        self.ok("stop")
        follower.send_signal(signal.SIGINT)
        rest, errors = follower.stdout.read(), follower.stderr.read()
        self.assertEqual((follower.wait(DEADLINE), errors), (0, ""))
        self.assertTrue(rest.rstrip().endswith("ended"), rest)
        self.assert_down(pid)


class ChatTest(HomeTest):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.port = free_port()

    def demo(self, *args):
        demo = self.start_demo("--keep", "--port", str(self.port), "--prompt", "Hi.", "--max-tokens", "4", *args,
                               temporary=self.temporary.name)
        self.addCleanup(lambda: (demo.interrupt(), demo.wait()) if demo.process.poll() is None else None)
        return demo

    def kept(self):
        demo = self.demo()
        self.api = demo.wait_for("keep")["api"]
        folder = Path(demo.first("devices")["folder"])
        self.env = {"CARAVAN_HOME": str(folder / "phone-1")}  # as if it were this device's node
        return folder

    def end_all(self):
        """The demo's nodes are ended by the demo."""

    def test_one_answer_and_pipes(self):
        folder = self.kept()
        self.assertTrue(self.ok("chat", "What is the capital of France?", "--max-tokens", "32").strip())
        answer = json.loads(self.ok("chat", "What is the capital of France?", "--max-tokens", "32", "--json"))
        self.assertEqual(answer["model"], "smollm2-135m")
        for name in ["completion_tokens", "tokens_per_second", "first_token_seconds", "total_seconds"]:
            self.assertGreater(answer[name], 0, name)
        piped = subprocess.run([BIN, "chat", "--api", self.api + "/v1", "--json", "--max-tokens", "16", "--system", "Be brief."],
                               input="My name is Ada.\n\nWhat is my name?\n/new\nWhat is my name?", capture_output=True,
                               text=True, timeout=DEADLINE, env={**os.environ, **self.env})
        self.assertEqual((piped.returncode, piped.stderr), (0, ""))
        first, second, fresh = [json.loads(line) for line in piped.stdout.splitlines()]
        self.assertGreater(second["prompt_tokens"], first["prompt_tokens"] + first["completion_tokens"] // 2)
        self.assertLess(fresh["prompt_tokens"], second["prompt_tokens"], "/new forgets")
        self.assertIn("==> llama-server.log <==", self.ok("logs", "--engine"))
        self.env = {"CARAVAN_HOME": str(folder / "phone-2")}
        self.refused("chat", "Hi.", code=3, message="no model is served", hint="caravan serve MODEL")

    def test_on_a_terminal(self):
        self.kept()
        terminal = self.terminal("chat", "--max-tokens", "1500")
        terminal.expect("smollm2-135m at http://")
        terminal.expect("> ")
        terminal.press("/stats\n")
        terminal.expect("there was no answer yet")
        terminal.press("/stast\n")
        terminal.expect("did you mean /stats?")
        terminal.press("Tell me a very long story about a llama.\n")
        terminal.expect("story about a llama.\r\n")
        before = len(terminal.text)
        wait_for(lambda: (terminal.read(), len(terminal.text) > before + 20)[1], "the answer to begin")
        terminal.press("\x03")
        terminal.expect("(stopped)")
        terminal.expect("> ")
        terminal.press("/help\n")
        terminal.expect("/quit")
        terminal.expect("> ")
        terminal.press("\x03")
        self.assertEqual(terminal.wait(), 0)

    def test_a_model_that_is_still_loading_is_waited_for(self):
        demo = self.demo()
        demo.wait_for("loading")
        said = self.caravan("chat", "Say hello.", "--max-tokens", "8", "--api", f"http://127.0.0.1:{self.port}")
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertTrue(said.stdout.strip())

    def test_nobody_there(self):
        self.refused("chat", "Hi.", code=3, message="not up", hint="caravan up -d")
        self.refused("chat", "Hi.", "--api", f"http://127.0.0.1:{self.port}", code=3, message="no answer", hint="check")
        self.refused("chat", "Hi.", "--api", "llamas", code=2, message="llamas", hint="http://127.0.0.1:8080")
        event = json.loads(self.caravan("chat", "Hi.", "--json").stdout)
        self.assertIn("not up", event["error"]["message"])


if __name__ == "__main__":
    unittest.main()
