"""A few of the faults that `./run bench soak` has thousands of, with real processes; and the memory of workers over many masters."""
import unittest

import fabric_test
from faults import Faults, resident
from lab_tools import make_model

SEEDS = range(1, 11)
WARM_UP = 6  # masters until the allocators have what they keep
RELOADS = 12
LOOKS = 4  # the least of so many: what an allocator gives back, and when, is its own affair
MOST_GROWTH = 4096  # KiB over all reloads; what one of them loads is 7000 and more


class FabricFaultsTest(unittest.TestCase):
    worker = fabric_test.Worker

    setUpClass = classmethod(fabric_test.FabricTest.setUpClass.__func__)
    setUp = fabric_test.FabricTest.setUp

    def test_faults_become_errors_and_nothing_else(self):
        faults = Faults(self, make_model("small-llama", self.folder, "--layers", "2"), "1,2")
        faults.learn()
        failed = [faults.case(seed) for seed in SEEDS]
        self.assertIn(True, failed)

    def test_the_memory_of_workers_is_the_same_after_many_masters(self):
        faults = Faults(self, make_model("small-llama", self.folder, "--layers", "2"), "1,2")
        seen = {worker.name: [] for worker in self.workers}
        for _ in range(WARM_UP + RELOADS):
            faults.learn()
            for worker in self.workers:
                seen[worker.name].append(resident(worker.process.pid))
        for name, kib in seen.items():
            with self.subTest(name, kib=kib):
                self.assertLess(min(kib[-LOOKS:]) - min(kib[WARM_UP:WARM_UP + LOOKS]), MOST_GROWTH)


if __name__ == "__main__":
    unittest.main(verbosity=2)
