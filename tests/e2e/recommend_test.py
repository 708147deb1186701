"""`caravan models recommend`: what it recommends can be planned as it says, and its sizes are those of real files."""
import json
import tempfile
import unittest
from pathlib import Path

from harness import CaravanTest, run
from lab_tools import make_model

MOST_OFF = 0.03
PHONES = {"devices": [{"name": "pixel-8", "kind": "flagship", "memory": "5G"},
                      {"name": "tablet", "kind": "midrange", "memory": "4G"},
                      {"name": "old-phone", "kind": "budget", "memory": "2G"}], "link": {"profile": "wifi5"}}
HUGE = {"devices": [{"name": "server", "kind": "desktop", "memory": "512G"}]}
TINY = {"devices": [{"name": "watch", "kind": "budget", "memory": "40M"}]}


class RecommendTest(CaravanTest):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def recommend(self, devices, *options, env=None):
        path = self.folder / "devices.json"
        path.write_text(json.dumps(devices))
        return run("models", "recommend", "--devices", str(path), *options, env=env)

    def as_json(self, devices, *options):
        done = self.recommend(devices, "--json", *options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def test_sizes_are_those_of_files_of_random_weights(self):
        found = self.as_json(HUGE, "--for", "fit", "--limit", "100", "--min-speed", "0")
        self.assertEqual(found["too_large"], 0)
        model = next(each for each in found["models"] if each["name"] == "qwen2.5-0.5b")
        for quantization in ("Q4_0", "Q4_K_M", "Q6_K", "Q8_0"):
            with self.subTest(quantization=quantization):
                said = next(each["download"] for each in model["quantizations"] if each["quantization"] == quantization)
                path = make_model("qwen2.5-0.5b", self.folder, "--quant", quantization.lower())
                real = path.stat().st_size
                self.assertLessEqual(abs(said / real - 1), MOST_OFF, (said, real))
                path.unlink()

    def test_what_is_recommended_plans_as_it_says(self):
        """The same shape, a file of it, and `caravan plan`: the same speed and the same devices."""
        found = self.as_json(PHONES, "--limit", "100", "--min-speed", "0")
        model = next(each for each in found["models"] if each["name"] == "qwen2.5-0.5b")
        path = make_model("qwen2.5-0.5b", self.folder, "--quant", "q4_k_m")
        done = run("plan", str(path), "--devices", str(self.folder / "devices.json"), "--context", "4096", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        planned = json.loads(done.stdout)
        said = next(each for each in model["quantizations"] if each["quantization"] == "Q4_K_M")
        speed = planned["replicas"][0]["predicted"]["tokens_per_second"]
        self.assertLessEqual(abs(said["tokens_per_second"] / speed - 1), 0.02)

    def test_each_objective_ranks_by_its_rule(self):
        fit = self.as_json(PHONES, "--for", "fit")["models"]
        self.assertEqual([each["quality"] for each in fit], sorted((each["quality"] for each in fit), reverse=True))
        latency = self.as_json(PHONES, "--min-speed", "8")
        self.assertEqual(latency["least_tokens_per_second"], 8)
        for each in latency["models"]:
            self.assertGreaterEqual(each["tokens_per_second"], 8)
        self.assertLess(latency["models"][0]["parameters"], fit[0]["parameters"])
        throughput = self.as_json(PHONES, "--for", "throughput")["models"]
        for each in throughput:
            self.assertGreater(each["tokens_per_second_of_all"], each["tokens_per_second"])

    def test_the_table_fits_the_screen_and_says_what_to_do(self):
        done = self.recommend(PHONES, "--limit", "20")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 100)
        for piece in ["3 devices with 11.0 GiB", "TOKENS/S", "fits on pixel-8 alone", "caravan models pull llama-3.2-3b",
                      "The next larger model:", "cure:", "34 models known"]:
            self.assertIn(piece, done.stdout)

    def test_what_cannot_be_is_refused_with_a_cure(self):
        for devices, options, env, code, cause, cure in [
                (TINY, [], {}, 1, "none of the", "add a device"),
                (PHONES, ["--min-speed", "5000"], {}, 1, "none reaches 5000", "--min-speed"),
                (PHONES, ["--for", "fun"], {}, 2, "--for", "--help"),
                (PHONES, ["--context", "0"], {}, 2, "--context", "--help"),
                ({"devices": []}, [], {}, 2, "no device", "")]:
            with self.subTest(cause=cause):
                done = self.recommend(devices, *options, env=env)
                self.assertEqual(done.returncode, code, done.stdout + done.stderr)
                lines = done.stderr.strip().splitlines()
                self.assertIn(cause, lines[0])
                self.assertIn(cure, "\n".join(lines[1:]))

    def test_this_device_needs_to_be_measured_first(self):
        done = run("models", "recommend", env={"CARAVAN_HOME": str(self.folder / "home")})
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("caravan calibrate", done.stderr)


if __name__ == "__main__":
    unittest.main()
