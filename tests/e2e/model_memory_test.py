"""The memory that `caravan models info` predicts, held against what the stock engine allocates.

Eight architectures with all that is special about each: grouped heads, a tied head, sliding windows, experts, MLA,
short convolutions, state spaces with and without attention. Weights and cache must be within 3 %; compute buffers may
be predicted too large, but never by more than 10 % too small.
"""
import json
import tempfile
import unittest

from harness import CaravanTest, run
from lab_tools import EngineReport, RpcWorker, make_model

SHAPES = ["small-llama", "small-qwen2", "small-gemma3", "small-qwen3moe", "small-deepseek2", "small-lfm2",
          "small-falcon-h1", "small-mamba2"]
EXACT = 0.03
ROUNDING = 0.011  # MiB: the engine prints hundredths
MOST_BELOW = 0.10
USELESS = 0.50  # a prediction that is further above keeps models off devices that could carry them

# context of a sequence, sequences, micro-batch, type of keys and values, flash attention
CONFIGURATIONS = [(4096, 1, 512, "f16", "on"), (2048, 2, 128, "q8_0", "on"), (2048, 1, 256, "f16", "off"),
                  (8192, 1, 64, "q4_0", "on"), (3000, 3, 300, "f16", "on")]

# shape, -ngl, --tensor-split, head on the master
SPLITS = [("small-llama", 9, "4,5", False), ("small-llama", 6, "3,3", True), ("small-gemma3", 10, "5,5", False),
          ("small-qwen3moe", 6, "2,4", False), ("small-deepseek2", 5, "2,3", True), ("small-falcon-h1", 9, "4,5", True)]


class ModelMemoryTest(CaravanTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="caravan-model-memory-")
        cls.models = {shape: make_model(shape, cls.folder.name) for shape in SHAPES}
        cls.rows = []

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()
        print("\n| model | case | weights | cache | compute | off by |\n|---|---|---|---|---|---|")
        print("\n".join(cls.rows))

    def planned(self, shape, *options):
        done = run("models", "info", str(self.models[shape]), "--json", *map(str, options))
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        memory = json.loads(done.stdout)["memory"]
        return {part: memory[part] / 2**20 for part in ("weights", "kv", "compute")}

    def compare(self, shape, case, planned, engine, device="CPU"):
        """Of one device."""
        measured = {"weights": engine.of(device, "model"), "kv": engine.of(device, "KV", "RS"),
                    "compute": engine.of(device, "compute", "output")}
        with self.subTest(shape=shape, case=case, device=device, planned=planned, measured=measured):
            self.assertGreater(measured["compute"], 0)
            for part in ("weights", "kv"):
                self.assertLessEqual(abs(planned[part] - measured[part]), EXACT * measured[part] + ROUNDING, part)
            self.assertGreaterEqual(planned["compute"], measured["compute"] * (1 - MOST_BELOW))
            self.assertLessEqual(planned["compute"], measured["compute"] * (1 + USELESS) + 1)
        off = (planned["compute"] - measured["compute"]) / measured["compute"]
        cells = [f"{planned[part]:.1f} / {measured[part]:.1f}" for part in ("weights", "kv", "compute")]
        self.rows.append(f"| {shape[6:]} | {case} | {' | '.join(cells)} | {off:+.1%} |")

    def test_a_whole_model(self):
        for shape in SHAPES:
            for context, parallel, ubatch, kv_type, flash in CONFIGURATIONS:
                engine = EngineReport(self.models[shape], "--ctx-size", context * parallel, "--parallel", parallel,
                                      "--ubatch-size", ubatch, "-ctk", kv_type, "-ctv", kv_type, "--flash-attn", flash)
                planned = self.planned(shape, "--context", context, "--parallel", parallel, "--ubatch", ubatch,
                                       "--kv-type", kv_type, "--flash-attn", flash)
                case = f"{parallel} x {context}, {ubatch} a batch, {kv_type}{', no flash' if flash == 'off' else ''}"
                self.compare(shape, case, planned, engine)

    def test_one_pool_of_context(self):
        for shape in ("small-llama", "small-gemma3"):
            engine = EngineReport(self.models[shape], "--ctx-size", 4096, "--parallel", 4, "--kv-unified",
                                  "--flash-attn", "on")
            planned = self.planned(shape, "--context", 1024, "--parallel", 4, "--unified")
            self.compare(shape, "4 x 1024 in one pool", planned, engine)

    def test_split_over_two_workers(self):
        for shape, offloaded, split, head_on_master in SPLITS:
            workers = [RpcWorker(self), RpcWorker(self)]
            override = ["-ot", "^output=CPU,^token_embd=CPU"] if head_on_master else []
            engine = EngineReport(self.models[shape], "--ctx-size", 4096, "--parallel", 1, "--flash-attn", "on",
                                  "--rpc", ",".join(f"127.0.0.1:{worker.port}" for worker in workers),
                                  "-ngl", offloaded, "--tensor-split", split, *override)
            for worker in workers:
                worker.end()
            head = max(engine.layers)
            pipelined = offloaded > head and not head_on_master
            devices = [("CPU", "CPU"), ("RPC0", workers[0].port), ("RPC1", workers[1].port)]
            for name, device in devices:
                mine = [number for number, where in engine.layers.items() if where == name and number < head]
                has_head = head_on_master if name == "CPU" else engine.layers[head] == name and not head_on_master
                options = ["--context", 4096, "--layers", f"{min(mine)}-{max(mine)}" if mine else "none"]
                options += ["--worker"] if name != "CPU" else []
                options += [] if has_head else ["--no-head"]
                options += ["--pipelined"] if pipelined else []
                where = "master" if name == "CPU" else "worker"
                case = f"{where}, layers {f'{min(mine)}-{max(mine)}' if mine else 'none'}{' and head' if has_head else ''}"
                self.compare(shape, case + (", pipelined" if pipelined else ""), self.planned(shape, *options), engine,
                             device)
            self.assertEqual(set(engine.layers.values()) - {"CPU"}, {"RPC0", "RPC1"}, "a worker was idle")


if __name__ == "__main__":
    unittest.main()
