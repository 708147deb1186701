"""Ways to real workers on which something goes wrong at a chosen byte, and what a real llama-server makes of it."""
import json
import random
import signal
import socket
import threading
import time

from fabric_test import Server
from harness import call, wait_for

CHUNK = 1 << 16
WITHIN = 10  # seconds from a fault to an error that the asker sees
TIMEOUT_MS = 1500
PROMPT = " ".join(f"Item {i}: its value is {i * 7 % 13}." for i in range(14))  # three micro-batches
TOKENS = 24
KINDS = ("cut", "freeze", "flip", "drop", "twice", "stray", "kill", "stop")
BYTES = ("cut", "freeze", "flip", "drop", "twice", "stray")  # those on a link; the others happen to a worker


class FaultyLink:
    """To a port of this machine. One fault at a time, on the way there, on the connections that come from then on."""

    def __init__(self, port):
        self.target, self.kind, self.at, self.length = port, None, 0, 0
        self.carried, self.struck, self.connections, self.lock = 0, None, [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def arm(self, kind=None, at=0, length=1):
        with self.lock:
            self.kind, self.at, self.length, self.carried, self.struck = kind, at, length, 0, None

    def accept(self):
        while True:
            try:
                here, _ = self.listener.accept()
            except OSError:
                return
            try:
                there = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                here.close()
                continue
            with self.lock:
                self.connections += [here, there]
            for one, other, faulty in ((here, there, True), (there, here, False)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.carry, args=(one, other, faulty), daemon=True).start()

    def strike(self, data, at):
        """What goes on instead; None: nothing more does."""
        self.struck = time.monotonic()
        if self.kind == "cut":
            self.end_all(locked=True)
            return b""
        if self.kind == "freeze":
            return None
        if self.kind == "flip":
            return data[:at] + bytes([data[at] ^ (1 << self.length % 8)]) + data[at + 1:]
        if self.kind == "drop":
            return data[:at] + data[at + self.length:]
        again = data[at:at + self.length] if self.kind == "twice" else bytes(i * 37 % 256 for i in range(self.length))
        return data[:at] + again + data[at:]

    def carry(self, source, target, faulty):
        try:
            while data := source.recv(CHUNK):
                with self.lock:
                    if faulty:
                        at = self.at - self.carried
                        self.carried += len(data)
                        if self.kind and self.struck is None and 0 <= at < len(data):
                            data = self.strike(data, at)
                    frozen = self.kind == "freeze" and self.struck is not None
                if not frozen:
                    target.sendall(data)
        except OSError:
            pass
        for one in (source, target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        source.close()

    def end_all(self, locked=False):
        """As a node ends its tunnels."""
        if not locked:
            with self.lock:
                return self.end_all(locked=True)
        for one in self.connections:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.connections = []
        return None

    def close(self):
        self.end_all()
        self.listener.close()


class Faults:
    """Two workers behind three links, and a model that llama-server loads again and again. `test` has `folder`, `model`, `engine`,
    `workers` and addCleanup as FabricTest has."""

    def __init__(self, test, model, split):
        self.test, self.split = test, split
        self.model = model
        one, two = test.workers
        self.links = [FaultyLink(one.port), FaultyLink(two.port), FaultyLink(two.port)]
        for link in self.links:
            test.addCleanup(link.close)
        self.whole, self.sizes, self.longest, self.tally = None, None, 0.0, {}

    def plan(self):
        one, two = self.test.workers
        stages = [{"name": w.name, "address": f"127.0.0.1:{link.port}", "key": w.key, "threads": 1}
                  for w, link in zip((one, two), self.links, strict=False)]
        stages[1]["peer"] = f"127.0.0.1:{self.links[2].port}"
        path = self.test.folder / "faults.json"
        path.touch(0o600)
        path.write_text(json.dumps({"stages": stages, "head": "master", "timeout_ms": TIMEOUT_MS}))
        return path

    def masters_gone(self):
        """How many masters each worker has freed everything of."""
        return [(self.test.folder / f"{worker.name}.log").read_text(errors="replace").count("the master is gone") for worker in self.test.workers]

    def start(self):
        return Server(self.test, "-m", self.model, "--device", "Caravan0,Caravan1", "-ngl", "99", "--tensor-split", self.split,
                      plan=self.plan())

    def learn(self):
        """What is right, and how many bytes go over each link until ready and until the answer is there."""
        for link in self.links:
            link.arm()
        server = self.start().until_ready()
        ready = [link.carried for link in self.links]
        status, reply = self.ask(server)
        assert status == 200, reply
        self.whole = reply["content"].rstrip("\ufffd")  # a stream does not say a character that is cut off
        self.sizes = list(zip(ready, [link.carried for link in self.links], strict=True))
        gone = self.masters_gone()
        assert server.stop() == 0
        wait_for(lambda: all(now > before for now, before in zip(self.masters_gone(), gone, strict=True)), "workers to free everything")

    def ask(self, server, timeout=60):
        status, body, _ = call(f"http://127.0.0.1:{server.port}/completion", server.request(PROMPT, TOKENS), timeout=timeout)
        return status, json.loads(body)

    def hurt(self, chance, link, worker):
        """Arms a fault; for those of a worker a function that does it."""
        kind = chance.choice(KINDS)
        loading = chance.random() < 0.3
        if kind in BYTES:
            ready, end = self.sizes[link]
            at = chance.randrange(max(1, ready)) if loading or end == ready else chance.randrange(ready, end)
            self.links[link].arm(kind, at, chance.randint(1, 64))
            return kind, loading, None
        how = signal.SIGKILL if kind == "kill" else signal.SIGSTOP
        return kind, loading, lambda: self.test.workers[worker].process.send_signal(how)

    def case(self, seed):
        """One start, one fault, what comes of it. Raises AssertionError with the seed."""
        chance = random.Random(seed)
        link, worker = chance.randrange(3), chance.randrange(2)
        for one in self.links:
            one.arm()
        kind, loading, strike = self.hurt(chance, link, worker)
        name = f"seed {seed}: {kind}, link {link}, worker {worker}, {'load' if loading else 'answer'}"
        after = chance.random() * (0.6 if loading else 0.2)
        server = self.start()
        hit = None
        if strike and loading:
            time.sleep(after)
            strike()
            hit = time.monotonic()
        alive = self.wait_for_start(server, name)
        text, error, event, striking = "", None, None, None
        if alive:
            if strike and not loading:
                def later():
                    time.sleep(after)
                    strike()
                striking = threading.Thread(target=later, daemon=True)
                striking.start()
                hit = time.monotonic() + after
            for event in server.stream(PROMPT, TOKENS):
                if "content" not in event:
                    error = event
                    break
                text += event["content"]
        ended = time.monotonic()
        if striking:
            striking.join()  # it may have been answered before: what happens then is not the next one's
        assert self.whole.startswith(text), f"{name}: {text!r} is not how {self.whole!r} begins\n{server.log()[-2000:]}"
        assert error or not alive or text == self.whole, f"{name}: {text!r} ended early, without an error: {event}\n{server.log()[-2000:]}"
        hit = hit or self.links[link].struck
        failed = error is not None or not alive
        if failed:
            assert hit, f"{name}: it failed before anything was wrong\n{server.log()[-2000:]}"
            self.longest = max(self.longest, ended - hit)
            assert ended - hit < WITHIN, f"{name}: the error took {ended - hit:.1f} s"
        if alive:
            assert server.stop() == 0, f"{name}: llama-server ended with {server.process.returncode}\n{server.log()[-2000:]}"
        self.tally[kind] = self.tally.get(kind, 0) + 1
        self.let_go(name)
        return failed

    def wait_for_start(self, server, name):
        """True when it is ready, False when it has ended, which has to be with an error of its own."""
        def known():
            if server.process.poll() is not None:
                return "ended"
            try:
                return call(f"http://127.0.0.1:{server.port}/health", timeout=5)[0] == 200 and "ready"
            except OSError:
                return None
        if wait_for(known, f"{name}: neither ready nor ended; {server.log()[-500:]}", 60) == "ready":
            return True
        assert server.process.returncode == 1, f"{name}: ended with {server.process.returncode}\n{server.log()[-3000:]}"
        return False

    def let_go(self, name):
        """What a node does afterwards; workers that were hurt start anew, the others must not have died."""
        for one in self.links:
            one.end_all()
        for worker in self.test.workers:
            code = worker.process.poll()
            assert code in (None, -signal.SIGKILL), f"{name}: a worker ended with {code}\n{worker.log()}"
            stopped = code is None and open(f"/proc/{worker.process.pid}/stat").read().rpartition(")")[2].split()[0] == "T"
            if code is not None or stopped:
                worker.stop()
                worker.start()


def resident(pid):
    """KiB that a process has in memory (proc(5), /proc/PID/status)."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
