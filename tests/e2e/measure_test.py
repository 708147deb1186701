"""What a node that answers measures of its own speed changes what it promises: real node, engine, model and kernels."""
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from devices import model_file
from harness import BIN, DEADLINE, call, run, wait_for
from up_test import HomeTest, free_port

STORY = {"messages": [{"role": "user", "content": "Write a long story about a caravan of llamas."}], "temperature": 0, "max_tokens": 40,
         "ignore_eos": True}
FAR_TOO_FAST = 1e14  # of whatever, a second


def measured(quantity, columns, kind=None):
    weights = {"type": kind, "layout": "plain"} if kind else {}
    return {"measured": quantity, "threads": 1, "columns": columns, "rate": FAR_TOO_FAST, "share": 1, **weights}


def impossible_speed():
    """As `caravan calibrate --quick` writes it, of a device that no plan could be right with."""
    matrices = [measured(quantity, columns, kind) for kind in ("q4_0", "q8_0", "f16") for quantity, columns in (("decode", 1), ("prefill", 64))]
    others = [measured("attention", 1), measured("attention", 512), measured("small_op", 1), measured("elements", 512), measured("memory", 1)]
    return {"version": 1, "engine_build": json.loads(run("engine", "--json").stdout)["build_id"], "ggml": "", "measured_at": int(time.time()) - 7200,
            "quick": True, "threads": [1], "measurements": matrices + others}


class MeasureTest(HomeTest):
    @classmethod
    def setUpClass(cls):
        cls.model = model_file()

    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=self.model.parent)  # hard links need the same file system
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name) / "home"
        self.env = {"CARAVAN_HOME": str(self.home)}
        (self.home / "models").mkdir(parents=True)
        (self.home / "models" / self.model.name).hardlink_to(self.model)
        self.addCleanup(self.end_all)

    def view(self):
        return json.loads(self.ok("status", "--json"))

    def speed_note(self):
        return self.view()["devices"][0].get("speed")

    def expected(self):
        deployments = self.view()["deployments"]
        replicas = deployments[0]["replicas"] if deployments and deployments[0]["stage"] == "serving" else []
        return replicas[0]["predicted"]["decode"] if replicas else None

    def test_answers_that_are_not_as_planned_have_the_device_measure_itself(self):
        speed = self.home / "speed.json"
        speed.write_text(json.dumps(impossible_speed()))
        started = self.up("--no-discovery", "--link-address", "127.0.0.1", "--link-port", str(free_port()))
        self.ok("serve", str(self.home / "models" / self.model.name))
        promised = wait_for(self.expected, "the model to be served")
        self.assertIsNone(self.speed_note())
        self.assertNotIn("this device measures its speed", self.ok("logs"), "what is kept is of this engine")

        def answers_until_noticed():
            status, reply, _ = call(started["api"] + "/v1/chat/completions", STORY)
            self.assertEqual(status, 200, reply)
            return self.speed_note()
        note = wait_for(answers_until_noticed, "the departure to be noticed")
        self.assertLess(note["measured"] * 2, note["planned"])
        self.assertIn("as long as planned", self.ok("status"))
        self.assertIn("as long as planned", self.ok("logs"))

        def expected_anew():
            now = self.expected()
            return now if now and now < promised / 2 else None
        wait_for(expected_anew, "what runs to be predicted again")
        kept = json.loads(speed.read_text())
        self.assertLess(max(one["rate"] for one in kept["measurements"]), FAR_TOO_FAST)
        self.assertTrue(kept["departed"] and kept["quick"])
        log = self.ok("logs")
        self.assertIn("measures its speed again", log)
        self.assertIn("measured again:", log)
        status, reply, _ = call(started["api"] + "/v1/chat/completions", STORY)
        self.assertEqual(status, 200, reply)

    def test_a_device_that_is_hot_and_needed_all_the_same_is_warned_of(self):
        battery = Path(self.home).parent / "power_supply" / "BAT0"
        battery.mkdir(parents=True)
        for name, value in {"type": "Battery", "status": "Discharging", "capacity": "80", "temp": "430"}.items():
            (battery / name).write_text(value + "\n")
        (self.home / "speed.json").write_text(json.dumps(impossible_speed()))  # not measured first: that takes a while
        hot = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /sys/class/power_supply && exec "$@"', str(battery.parent)]
        up = [BIN, "up", "-d", "--json", "--port", "0", "--no-discovery", "--link-address", "127.0.0.1", "--link-port", str(free_port())]
        started = subprocess.run(hot + up, capture_output=True, text=True, timeout=DEADLINE, env={**os.environ, **self.env})
        self.assertEqual(started.returncode, 0, started.stderr)
        self.ok("serve", str(self.home / "models" / self.model.name))
        wait_for(self.expected, "the model to be served")
        wait_for(lambda: self.view()["devices"][0].get("band"), "its heat to be told")
        shown = self.ok("status")
        self.assertIn("should carry little: its battery has 43.0 °C (until that is below 38 °C)", shown)
        self.assertIn("warning:", shown)
        self.assertIn("the others cannot do without it", shown)


if __name__ == "__main__":
    import unittest
    unittest.main()
