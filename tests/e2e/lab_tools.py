"""What the end-to-end tests need to put random models into the stock engine: where things are, processes that end."""
import json
import os
import re
import socket
import subprocess
import threading
import unittest
from pathlib import Path

from harness import run, wait_for

ROOT = Path(__file__).resolve().parents[2]
START = 60  # seconds for an engine program to come up; it takes less than one


def random_model_tool():
    named = os.environ.get("LAB_RANDOM_MODEL")
    found = [Path(named)] if named else sorted(ROOT.glob("build/*/lab/lab_random_model"))
    if not found:
        raise AssertionError("no lab_random_model: ./run build makes it, or name it in LAB_RANDOM_MODEL")
    return found[0]


def engine_folder():
    """The folder of llama-server and ggml-rpc-server, as Caravan finds them."""
    return Path(json.loads(run("engine", "--json").stdout)["folder"])


def vocabularies():
    """The folder with ggml-vocab-*.gguf of the engine's source, which ./run build keeps beside the engine."""
    places = [Path(os.environ.get("CARAVAN_LLAMA_SRC", "/nowhere")) / "models",
              *sorted(engine_folder().parents[2].glob("source/llama.cpp-*/models"))]
    for place in places:
        if (place / "ggml-vocab-llama-spm.gguf").exists():
            return place
    raise AssertionError(f"no tokenizers of llama.cpp in {places}: ./run build fetches its source")


def make_model(shape, folder, *options):
    """A file of random weights; see `lab_random_model --help` for the shapes."""
    out = Path(folder) / f"{shape}.gguf"
    subprocess.run([random_model_tool(), "--shape", shape, "--vocab", vocabularies(), "--out", out, *options],
                   check=True, timeout=START)
    return out


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class RpcWorker:
    """A stock ggml-rpc-server on loopback."""

    def __init__(self, test: unittest.TestCase):
        self.port = free_port()
        self.process = subprocess.Popen(
            [engine_folder() / "ggml-rpc-server", "-H", "127.0.0.1", "-p", str(self.port), "-t", "1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        test.addCleanup(self.end)
        wait_for(self._answers, f"worker on port {self.port}", START)

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"ggml-rpc-server ended with {self.process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def end(self):
        self.process.kill()
        self.process.wait()


BUFFER = re.compile(r"(\S+)\s+(model|KV|RS|compute|output) buffer size = +([\d.]+) MiB")
LAYER = re.compile(r"layer +(\d+) assigned to device (\w+)")


class EngineReport:
    """What a stock llama-server says about its memory while it loads; it is ended as soon as it has loaded."""

    def __init__(self, model, *args):
        command = [engine_folder() / "llama-server", "--model", model, "--host", "127.0.0.1", "--port", "0",
                   "--verbose", "-fit", "off", "--no-warmup", "--threads", "1", "--cache-ram", "0",
                   # the exact bytes of tensors: not the span of the file that they are in, nor copies in another layout
                   "--load-mode", "none", "--no-repack", *map(str, args)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, text=True, errors="replace")
        deadline = threading.Timer(START, process.kill)
        deadline.start()
        self.buffers = {}  # (device, kind) -> MiB; the device is "CPU" or a worker's port
        self.layers = {}  # number -> device as the engine counts them: "CPU", "RPC0"; the last one is the head
        lines, self.loaded = [], False
        for line in process.stdout:
            lines.append(line)
            if match := BUFFER.search(line):
                port = re.search(r"\[.*:(\d+)\]", match[1])
                key = int(port[1]) if port else "CPU", match[2]
                self.buffers[key] = self.buffers.get(key, 0) + float(match[3])
            if match := LAYER.search(line):
                self.layers[int(match[1])] = match[2]
            self.loaded = "model loaded" in line
            if self.loaded:
                break
        deadline.cancel()
        process.kill()
        process.stdout.close()
        process.wait()
        if not self.loaded:
            raise AssertionError("llama-server did not load the model:\n" + "".join(lines[-20:]))

    def of(self, device, *kinds):
        return sum(self.buffers.get((device, kind), 0) for kind in kinds)
