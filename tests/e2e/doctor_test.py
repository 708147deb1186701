"""`caravan doctor` on this machine: causes are created for real, and it names them."""
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from harness import BIN, DEADLINE, CaravanTest, processes, run, wait_for

WITHIN = 20  # seconds, as promised


def run_in_shell(script, env=None):
    """Runs a shell script that calls "$CARAVAN_BIN"."""
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=DEADLINE,
                          stdin=subprocess.DEVNULL, env={**os.environ, "CARAVAN_BIN": BIN, **(env or {})})


def taken(kind, port, host="127.0.0.1"):
    """A socket that holds the port; None when somebody else does already, which is just as good."""
    holder = socket.socket(socket.AF_INET, kind)
    if kind == socket.SOCK_STREAM:  # a connection that has ended holds nothing
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        holder.bind((host, port))
        if kind == socket.SOCK_STREAM:
            holder.listen()
    except OSError:
        holder.close()
        return None
    return holder


class DoctorTest(CaravanTest):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.home = Path(self.folder.name) / "home"
        self.home.mkdir(mode=0o700)
        self.env = {"CARAVAN_HOME": str(self.home)}

    def hold(self, kind, port):
        holder = taken(kind, port)
        if holder:
            self.addCleanup(holder.close)
        return holder

    def diagnose(self, *names, env=None):
        """{name: finding} of these checks, or of all; what the text says agrees with the JSON."""
        only = ["--only", ",".join(names)] if names else []
        done = run("doctor", "--json", *only, env={**self.env, **(env or {})})
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.stdout.count("\n"), 1)
        report = json.loads(done.stdout)
        found = {one["name"]: one for one in report["checks"]}
        problems = [one for one in report["checks"] if one["status"] == "problem"]
        self.assertEqual(done.returncode, 1 if problems else 0, done.stdout)
        self.assertEqual(report["summary"]["problems"], len(problems))
        self.assertEqual(sum(report["summary"].values()), len(report["checks"]))
        self.assertLess(report["seconds"], WITHIN)
        if names:
            self.assertEqual(set(found), set(names))
        return found

    def assert_named(self, finding, status, found, cure=""):
        self.assertEqual(finding["status"], status, finding)
        self.assertIn(found, finding["found"])
        self.assertTrue(finding["why"], finding)
        self.assertTrue(any(cure in line for line in finding["cure"]), finding)

    def test_all_checks(self):
        listed = run("doctor", "--list")
        self.assertEqual((listed.returncode, listed.stderr), (0, ""))
        names = [line.split()[0] for line in listed.stdout.splitlines()]
        self.assertGreaterEqual(len(names), 25)
        found = self.diagnose()
        self.assertEqual(list(found), names)  # every one is run, in the order of the list
        for one in found.values():
            trouble = one["status"] not in ("ok", "skipped")
            self.assertEqual(trouble, bool(one["why"]) and bool(one["cure"]), one)
            self.assertNotIn("has not ended", one["found"])
        for name in ["engine-found", "engine-rpc", "engine-starts", "engine-flags", "engine-version", "fabric-found", "fabric-fits",
                     "home-writable", "clock"]:
            self.assertEqual(found[name]["status"], "ok", found[name])
        self.assertEqual(json.loads(run("doctor", "--list", "--json").stdout)["checks"][0]["name"], names[0])

    def test_the_text(self):
        broken = self.home / "models" / "broken.gguf"
        broken.parent.mkdir()
        broken.write_bytes(b"GGUF")
        done = run("doctor", "--only", "models-intact,clock", env=self.env)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        lines = done.stdout.splitlines()
        self.assertTrue(lines[0].startswith("problem  models-intact"), done.stdout)
        self.assertIn("broken.gguf", lines[0])
        self.assertTrue(lines[1].strip().startswith("why "), done.stdout)
        self.assertTrue(lines[2].strip().startswith("cure "), done.stdout)
        self.assertTrue(lines[3].startswith("ok       clock"), done.stdout)
        self.assertIn("2 checks in ", lines[-1])
        self.assertIn("1 problem, 1 ok", lines[-1])

    def test_an_unknown_check(self):
        done = run("doctor", "--only", "api-prot")
        self.assertEqual(done.returncode, 2)
        self.assertIn("did you mean api-port?", done.stderr)

    def test_taken_ports(self):
        api = self.hold(socket.SOCK_STREAM, 8080)
        self.hold(socket.SOCK_DGRAM, 7433)
        self.hold(socket.SOCK_STREAM, 50053)
        found = self.diagnose("api-port", "link-port", "rpc-ports")
        self.assert_named(found["api-port"], "problem", "8080", "8081")
        self.assert_named(found["link-port"], "problem", "7433")
        self.assert_named(found["rpc-ports"], "note", "50053")
        if api:
            self.assertIn(f"(process {os.getpid()})", found["api-port"]["found"])

    def test_a_port_that_a_child_of_this_test_holds_is_named_by_its_program(self):
        code = "import socket,sys; s=socket.socket(); s.bind(('127.0.0.1', 8080)); s.listen(); print('up', flush=True); sys.stdin.read()"
        holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.stdin.close)
        self.addCleanup(holder.stdout.close)
        if holder.stdout.readline() != "up\n":
            return  # somebody else has the port; test_taken_ports has seen that named
        finding = self.diagnose("api-port")["api-port"]
        self.assert_named(finding, "problem", f"(process {holder.pid})", f"kill {holder.pid}")

    def test_corrupt_and_unfinished_models(self):
        good = Path(run("models", "path", "smollm2-135m").stdout.strip()).read_bytes()
        models = self.home / "models"
        models.mkdir()
        (models / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(good[: len(good) // 2])
        (models / "noise.gguf").write_bytes(os.urandom(5000))
        (models / "rest.gguf.part").write_bytes(b"x" * 4096)
        models.chmod(0o777)
        found = self.diagnose("models-intact", "models-unfinished", "models-folder")
        self.assert_named(found["models-intact"], "problem", "SmolLM2-135M-Instruct.Q4_1.gguf is truncated",
                          "caravan models pull smollm2-135m")
        self.assertIn("noise.gguf", found["models-intact"]["found"])
        self.assert_named(found["models-unfinished"], "note", "rest.gguf.part", "rm ")
        self.assert_named(found["models-folder"], "warning", "other users", "chmod go-w")

    def test_a_missing_engine(self):
        nowhere = str(Path(self.folder.name) / "nowhere")
        for done in [run("doctor", "--json", "--only", "engine-found", "--engine", nowhere, env=self.env),
                     run("doctor", "--json", "--only", "engine-found", env={**self.env, "CARAVAN_ENGINE": nowhere})]:
            self.assertEqual(done.returncode, 1)
            self.assert_named(json.loads(done.stdout)["checks"][0], "problem", "nowhere", "llama-server")

    def test_an_engine_that_is_incomplete(self):
        engine = Path(self.folder.name) / "engine"
        engine.mkdir()

        def program(name, script):
            path = engine / name
            path.write_text("#!/bin/sh\n" + script)
            path.chmod(0o755)

        env = {"CARAVAN_ENGINE": str(engine)}
        program("llama-server", "echo '--port PORT    port'\n")
        self.assert_named(self.diagnose("engine-rpc", env=env)["engine-rpc"], "problem", "without RPC", "./run build")
        program("ggml-rpc-server", "exit 1\n")
        program("llama-server", "echo \"$0: error while loading shared libraries: libllama.so: cannot open shared object "
                "file: No such file or directory\" >&2\nexit 127\n")
        self.assert_named(self.diagnose("engine-starts", env=env)["engine-starts"], "problem", "libllama.so")

    def test_an_engine_that_hangs(self):
        """The check ends in time, says so, and leaves nothing behind."""
        engine = Path(self.folder.name) / "engine"
        engine.mkdir()
        for name in ["llama-server", "ggml-rpc-server"]:
            (engine / name).write_text("#!/bin/sh\nexec sleep 6173\n")
            (engine / name).chmod(0o755)
        found = self.diagnose("engine-starts", "clock", env={"CARAVAN_ENGINE": str(engine)})
        self.assert_named(found["engine-starts"], "problem", "has not ended", "caravan doctor --only")
        self.assertEqual(found["clock"]["status"], "ok")
        wait_for(lambda: not [one for one in processes().values() if one[1] == "sleep 6173"], "the engine to be gone", 5)

    def test_a_home_that_cannot_be_written(self):
        (self.home / "file").write_text("in the way")
        found = self.diagnose("home-writable", env={"CARAVAN_HOME": str(self.home / "file" / "below")})
        self.assert_named(found["home-writable"], "problem", "file", "CARAVAN_HOME=")

    def test_a_read_only_home(self):
        """A real one: a file system of a mount namespace of its own, where the kernel lets us have one."""
        script = (f"mount -t tmpfs -o ro none {self.home} || exit 99; "
                  "exec \"$CARAVAN_BIN\" doctor --json --only home-writable,home-filesystem")
        done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=DEADLINE,
                              env={**os.environ, **self.env, "CARAVAN_BIN": BIN})
        if done.returncode not in (0, 1):
            self.skipTest("needs root to mount a file system")
        found = {one["name"]: one for one in json.loads(done.stdout)["checks"]}
        self.assert_named(found["home-writable"], "problem", "Read-only", "CARAVAN_HOME=")
        self.assert_named(found["home-filesystem"], "warning", "tmpfs", "CARAVAN_HOME=")

    def diagnose_beside(self, server, name, answers=""):
        """The finding of the check `name` while `server` (a shell command) runs, in a network namespace of its own, so
        that nobody else is exposed to it. Its address there is 192.0.2.5. `answers` is an address that answers 200 once it
        is ready; without, it is ready when it listens."""
        log = Path(self.folder.name) / "server.log"
        is_ready = "grep -q ' 0A ' /proc/net/tcp"  # no other program listens in this namespace
        if answers.startswith("http"):
            is_ready = f"{sys.executable} -c 'import urllib.request; urllib.request.urlopen(\"{answers}\", timeout=5)'"
        script = ("ip link set lo up && ip addr add 192.0.2.5/24 dev lo || exit 99; "
                  f"{server} > {log} 2>&1 & server=$!; trap 'kill -9 $server' EXIT; "
                  f"until {is_ready} 2>/dev/null; do kill -0 $server || exit 98; sleep 0.05; done; "
                  f"\"$CARAVAN_BIN\" doctor --json --only {name}; "
                  "kill -0 $server || exit 97")
        done = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, text=True, timeout=DEADLINE,
                              stdin=subprocess.DEVNULL, env={**os.environ, **self.env, "CARAVAN_BIN": BIN})
        if done.returncode == 99 or "unshare" in done.stderr:
            self.skipTest("needs root to make a network namespace")
        self.assertEqual(done.returncode, 0, done.stderr + log.read_text())  # 97: being looked at has ended it
        return json.loads(done.stdout)["checks"][0]

    def test_an_exposed_rpc_server(self):
        rpc_server = json.loads(run("engine", "--json").stdout)["rpc_server"]
        for host, port, status in [("0.0.0.0", 50052, "problem"), ("0.0.0.0", 50999, "problem"), ("127.0.0.1", 50052, "ok")]:
            with self.subTest(host=host, port=port):
                finding = self.diagnose_beside(f"{rpc_server} --host {host} --port {port}", "rpc-exposed")
                self.assertEqual(finding["status"], status, finding)
                if status == "problem":
                    self.assert_named(finding, status, f"rpc-server answers at 192.0.2.5:{port}", "--host 127.0.0.1")

    def test_an_exposed_llama_server(self):
        llama_server = json.loads(run("engine", "--json").stdout)["llama_server"]
        model = run("models", "path", "smollm2-135m").stdout.strip()
        start = f"{llama_server} --model {model} --ctx-size 256 --no-warmup --host 0.0.0.0 --port"
        for port, more, status in [(8080, "", "problem"), (8099, "", "problem"), (8080, "--api-key secret", "ok")]:
            with self.subTest(port=port, more=more):
                finding = self.diagnose_beside(f"{start} {port} {more}", "llama-exposed", f"http://192.0.2.5:{port}/health")
                self.assertEqual(finding["status"], status, finding)
                if status == "problem":
                    self.assert_named(finding, status, f"llama-server answers at 192.0.2.5:{port}", "--api-key")

    def test_limits_and_secrets(self):
        key = self.home / "device.key"
        key.write_text("secret")
        key.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP)
        done = run_in_shell('ulimit -n 100; "$CARAVAN_BIN" doctor --json --only open-files,identity', env=self.env)
        found = {one["name"]: one for one in json.loads(done.stdout)["checks"]}
        self.assert_named(found["open-files"], "problem", "100 open files")
        self.assert_named(found["identity"], "problem", "device.key can be used by others (mode 0640)", "chmod 600")

    def test_speed_that_was_not_measured(self):
        self.assert_named(self.diagnose("speed-measured")["speed-measured"], "warning", "never measured",
                          "caravan calibrate")
        (self.home / "speed.json").write_text("{")
        self.assert_named(self.diagnose("speed-measured")["speed-measured"], "warning", "cannot be used",
                          "caravan calibrate")

    def test_a_full_disk(self):
        script = (f"mount -t tmpfs -o size=8m none {self.home} || exit 99; "
                  "exec \"$CARAVAN_BIN\" doctor --json --only storage,disk-speed")
        done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=DEADLINE,
                              env={**os.environ, **self.env, "CARAVAN_BIN": BIN})
        if done.returncode not in (0, 1):
            self.skipTest("needs root to mount a file system")
        found = {one["name"]: one for one in json.loads(done.stdout)["checks"]}
        self.assert_named(found["storage"], "problem", "free for", "caravan models rm")
        self.assertEqual(found["disk-speed"]["status"], "skipped")


if __name__ == "__main__":
    unittest.main()
