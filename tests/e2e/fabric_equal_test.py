"""What two workers answer over the fabric is what llama-server answers alone: text, tokens and log-probabilities.

Four architectures in random weights, real models, greedy and sampled, several sequences at a time, draft models and n-grams. Both runs
have the same micro-batches. Requests are such that batches are the same in both runs, however fast the machine is: several sequences
come in one request.
"""
import contextlib
import json
import unittest

import fabric_test
from fabric_test import SHORT, Server
from harness import call, run
from lab_tools import make_model

# shape, layers, value of --tensor-split (the output layer counts)
SHAPES = {"dense": ("small-llama", 4, "2,3"), "tied": ("small-qwen2", 4, "3,2"), "experts": ("small-qwen3moe", 3, "2,2"),
          "sliding window": ("small-gemma3", 7, "4,4")}
EXACT = 1e-5
TOKENS = 16
BATCHES = " ".join(f"Item {i}: its value is {i * 7 % 13}." for i in range(14))  # three micro-batches
BEYOND_THE_WINDOW = " ".join([BATCHES] * 4)  # of 512 tokens
SAMPLED = {"temperature": 0.9, "seed": 7, "top_k": 50, "top_p": 0.95}
PROMPTS = [SHORT, "Once upon a time", "The sea is", BATCHES]


class FabricEqualTest(unittest.TestCase):
    worker = fabric_test.Worker

    setUpClass = classmethod(fabric_test.FabricTest.setUpClass.__func__)
    setUp = fabric_test.FabricTest.setUp
    plan = fabric_test.FabricTest.plan

    @contextlib.contextmanager
    def pair(self, *options, split="16,15", alone=(), fabric=()):
        """A server with the fabric and one without. `alone` and `fabric` are options of only one of them."""
        servers = (Server(self, *options, "--device", "Caravan0,Caravan1", "-ngl", "99", "--tensor-split", split, *fabric, plan=self.plan()),
                   Server(self, *options, "--device", "none", "-ngl", "0", *alone))
        try:
            yield [server.until_ready() for server in servers]
            for server in servers:
                self.assertEqual(server.stop(), 0)
        finally:
            for server in servers:
                server.kill()

    def ask(self, server, prompt, tokens, more):
        """A list of replies, one a prompt."""
        request = server.request(prompt, tokens, return_tokens=True, **more)
        status, body, _ = call(f"http://127.0.0.1:{server.port}/completion", request)
        self.assertEqual(status, 200, f"{body[:500]} {server.log()[-1000:]} {[w.log() for w in self.workers]}")
        replies = json.loads(body)
        return sorted(replies, key=lambda one: one["index"]) if isinstance(replies, list) else [replies]

    def assert_equal(self, servers, prompt, tokens=TOKENS, **more):
        """The replies of the one with the fabric."""
        mine, other = (self.ask(server, prompt, tokens, more) for server in servers)
        for a, b in zip(mine, other, strict=True):
            self.assertEqual(len(a["tokens"]), a["tokens_predicted"])
            self.assertEqual(a["tokens"], b["tokens"])
            self.assertEqual(a["content"], b["content"])
            self.assertEqual(a["timings"].get("draft_n"), b["timings"].get("draft_n"))
            self.assertEqual(a["timings"].get("draft_n_accepted"), b["timings"].get("draft_n_accepted"))
            for one, two in zip(a["completion_probabilities"], b["completion_probabilities"], strict=True):
                for first, second in zip(one["top_logprobs"], two["top_logprobs"], strict=True):
                    self.assertEqual(first["id"], second["id"])
                    self.assertAlmostEqual(first["logprob"], second["logprob"], delta=EXACT)
        return mine

    def test_four_architectures_in_random_weights(self):
        for name, (shape, layers, split) in SHAPES.items():
            with self.subTest(name):
                model = make_model(shape, self.folder, "--layers", str(layers))
                with self.pair("-m", model, split=split) as servers:
                    prompt = BEYOND_THE_WINDOW if name == "sliding window" else BATCHES
                    reply, = self.assert_equal(servers, prompt)
                    self.assertGreater(reply["tokens_evaluated"], 520 if prompt is BEYOND_THE_WINDOW else 128)
                    self.assert_equal(servers, SHORT, **SAMPLED)

    def test_real_models_and_four_sequences_at_a_time(self):
        pulled = run("models", "pull", "gemma3-270m")
        self.assertEqual(pulled.returncode, 0, pulled.stderr)
        gemma = json.loads(run("models", "path", "gemma3-270m", "--json").stdout)["path"]
        for name, model, split in (("SmolLM2", self.model, "16,15"), ("Gemma 3", gemma, "9,10")):
            with self.subTest(name):
                with self.pair("-m", model, "-np", "4", "-c", "8192", split=split) as servers:
                    self.assert_equal(servers, SHORT, **SAMPLED)
                    self.assertEqual(len(self.assert_equal(servers, PROMPTS)), len(PROMPTS))
                    self.assert_equal(servers, PROMPTS, **SAMPLED)

    def assert_speculation_is_equal(self, *options, **only):
        with self.pair(*options, **only) as servers:
            drafted = [self.assert_equal(servers, prompt, 2 * TOKENS, **more)[0]["timings"]
                       for prompt, more in ((BATCHES, {}), (SHORT, SAMPLED))]
        return [sum(one.get(what, 0) for one in drafted) for what in ("draft_n", "draft_n_accepted")]

    def test_a_draft_model(self):
        other = make_model("small-llama", self.folder, "--layers", "2", "--seed", "5")
        random = make_model("small-qwen3moe", self.folder, "--layers", "3")
        everywhere = {"alone": ("-devd", "none"), "fabric": ("-devd", "Caravan0,Caravan1")}
        nowhere = {"alone": ("-devd", "none"), "fabric": ("-devd", "none")}
        for name, options, only, accepts in (
                ("itself", ("-md", self.model), everywhere, True),
                ("itself, on the master", ("-md", self.model), nowhere, True),
                ("one that is always wrong", ("-m", random, "-md", other), everywhere | {"split": "2,2"}, False)):
            with self.subTest(name):
                drafted, accepted = self.assert_speculation_is_equal("--spec-type", "draft-simple", *options, **only)
                self.assertGreater(drafted, 0)
                self.assertGreater(accepted, drafted / 2) if accepts else self.assertLess(accepted, drafted)

    def test_ngrams(self):
        drafted, accepted = self.assert_speculation_is_equal(
            "--spec-type", "ngram-simple", "--spec-ngram-simple-size-n", "3", "--spec-ngram-simple-size-m", "6")
        self.assertGreater(drafted, accepted)
        self.assertGreater(accepted, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
