"""What somebody in the same network, who is no member, can see, reach and do while a cluster works.

Two phones are a cluster and share a model; all that they say to each other is captured from their first beacon on. The third
device is the stranger. CARAVAN_HOSTILE=100000 sends that many hostile connections and beacons instead of 2,000.
"""
import base64
import contextlib
import itertools
import json
import os
import random
import re
import select
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path
from types import SimpleNamespace

from devices import QUESTION, Device, prepare
from harness import wait_for
from hostile import LINK_PORT, attack
from lab import Lab
from wire import SO_RCVBUFFORCE, Capture, Streams, in_namespace, records

HOSTILE = int(os.environ.get("CARAVAN_HOSTILE", "2000"))
PIECE = 64  # bytes of a tensor that are looked for
MARKER = b"this sentence was sent in plain, and whoever listens can read it"
HANDSHAKE, ALERT, CHANGE_CIPHER_SPEC, APPLICATION_DATA = 22, 21, 20, 23  # RFC 8446, section 5.1
# Two alerts that are encrypted: 2 bytes, their real type and a tag of 16.
ENCRYPTED_ALERTS = 2 * 19


def tensor_pieces(path, layers):
    """{name: PIECE bytes from the middle} of the larger tensors of these layers."""
    data = path.read_bytes()
    at = 24
    tensors, keys = struct.unpack_from("<QQ", data, 8)

    def text():
        nonlocal at
        length = struct.unpack_from("<Q", data, at)[0]
        at += 8 + length
        return data[at - length:at].decode()

    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def skip(kind):
        nonlocal at
        if kind == 8:
            text()
        elif kind == 9:
            inner, count = struct.unpack_from("<IQ", data, at)
            at += 12
            for _ in range(count):
                skip(inner)
        else:
            at += sizes[kind]

    for _ in range(keys):
        text()
        kind = struct.unpack_from("<I", data, at)[0]
        at += 4
        skip(kind)
    places = {}
    for _ in range(tensors):
        name = text()
        dimensions = struct.unpack_from("<I", data, at)[0]
        at += 4 + 8 * dimensions + 4
        places[name] = struct.unpack_from("<Q", data, at)[0]
        at += 8
    start = (at + 31) // 32 * 32
    ends = sorted(places.values()) + [len(data) - start]
    pieces = {}
    for name, offset in places.items():
        found = re.match(r"blk\.(\d+)\.", name)
        end = next(one for one in ends if one > offset)
        if found and int(found[1]) in layers and end - offset > 100_000:
            middle = start + (offset + end) // 2
            pieces[name] = data[middle:middle + PIECE]
    return pieces


def private_key(home):
    """The 32 bytes that are the device's secret: the last of its PKCS#8 file (RFC 8410, section 7)."""
    lines = (home / "device.key").read_text().splitlines()
    return base64.b64decode("".join(line for line in lines if not line.startswith("-")))[-32:]


def secret_of(code):
    """The 16 bytes behind the owner's id in an invitation's code (src/link/pairing_code.h)."""
    text = code.partition(":")[2].upper()
    return base64.b32decode(text + "=" * (-len(text) % 8))[20:36]


def resident(pid):
    """KiB of memory that a process has."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


class StrangersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        prepare(cls)
        cls.lab = Lab(profile="wifi5", devices=3)
        cls.lab.__enter__()
        cls.addClassCleanup(cls.lab.close)
        places = SimpleNamespace(lab=cls.lab, folder=cls.folder, speed=cls.speed)
        cls.one, cls.two = Device(places, 1), Device(places, 2)
        captures = [Capture(cls.lab.namespace(1), interface) for interface in ("lab0", "lo")]
        try:
            cls.work()
            cls.send_marker()
        finally:
            stopped = [capture.stop() for capture in captures]
        cls.missed = [capture.missed for capture in stopped]
        cls.air, cls.inside = (Streams(capture.packets) for capture in stopped)

    @classmethod
    def work(cls):
        """All that a cluster does: pairing, links, weights, an answer through the other device's API."""
        cls.one.give(cls.model)
        cls.one.up()
        cls.code = json.loads(cls.one.caravan("invite", "--code", "--json"))["code"]
        cls.two.caravan("join", cls.code, "--name", cls.two.name)
        for here, there in ((cls.one, cls.two), (cls.two, cls.one)):
            wait_for(lambda here=here, there=there: here.is_linked_to(there.name), f"{here.name} to be linked", 30)
        cls.one.caravan("serve", str(cls.model), "--use", "phone-1,phone-2", "--context", "512")
        cls.answer = cls.two.ask()
        cls.view = cls.one.view()

    @classmethod
    def send_marker(cls):
        """What a search of the capture must find: a plain connection from one phone to the other."""
        listener = in_namespace(cls.lab.namespace(1), lambda: socket.create_server((cls.lab.address(1), 9999)))
        with listener, in_namespace(cls.lab.namespace(2), socket.socket) as plain:
            plain.settimeout(10)
            plain.connect((cls.lab.address(1), 9999))
            plain.sendall(MARKER)
            taken, _ = listener.accept()
            with taken:
                assert taken.recv(len(MARKER), socket.MSG_WAITALL) == MARKER

    def stranger(self, make):
        return in_namespace(self.lab.namespace(3), make)

    def worker_share(self):
        replica = self.view["deployments"][0]["replicas"][0]
        return next(share for share in replica["shares"] if share["rank"] == 1)

    def test_who_listens_learns_nothing(self):
        self.assertEqual(self.missed, [0, 0], "packets that the capture has not seen")
        self.assertIn("Paris", self.answer)
        share = self.worker_share()
        pieces = tensor_pieces(self.model, range(share["first_layer"], share["first_layer"] + share["layers"]))
        crossed = [piece for piece in pieces.values() if self.inside.contains(piece)]
        self.assertGreaterEqual(len(crossed), 5, "pieces of weights that went into the tunnel")
        question = QUESTION["messages"][0]["content"].encode()
        for text in (question, self.answer.encode()):
            self.assertTrue(self.inside.contains(text), "it was said inside the device")
        self.assertTrue(self.air.contains(MARKER))
        weights = sum(layer["weights"] for device in self.view["devices"] for layer in device.get("layers", [])
                      if layer["rank"] == 1)
        self.assertGreater(weights, 1_000_000)
        self.assertGreaterEqual(self.air.carried(LINK_PORT), weights)
        secret = secret_of(self.code)
        keys = [private_key(device.home) for device in (self.one, self.two)]
        for key in keys:
            self.assertEqual(len(key), 32)
        secrets = [*crossed, question, self.answer.encode(), question[:16], self.answer.encode()[:16], b'"messages"', secret,
                   self.code.partition(":")[2].encode(), *keys, *(key.hex().encode() for key in keys),
                   *(base64.b64encode(key)[:40] for key in keys), secret.hex().encode()]
        for hidden in secrets:
            self.assertEqual(self.air.contains(hidden), [], hidden)
        ports = {port for flow in self.air.tcp for port in (flow[1], flow[3]) if port < 32768}
        self.assertEqual(ports, {LINK_PORT, 9999}, "ports of TCP connections")

    def test_only_the_links_port_answers(self):
        self.lab.set(rate=20000, delay=0, jitter=0, overhead=0.005, retry=0, loss=0, queue=8 << 20)
        self.addCleanup(self.lab.control, "profile wifi5")
        with in_namespace(self.lab.namespace(1), lambda: socket.create_server((self.lab.address(1), 9998))):
            self.assertEqual(self.open_tcp_ports(), {LINK_PORT, 9998}, "the second one is the test's own")
        self.assertEqual(self.silent_udp_ports(), {LINK_PORT})

    def open_tcp_ports(self, at_once=1000):
        """All ports that take a connection; each that says nothing is asked three times."""
        found, waiting = set(), {port: 3 for port in range(1, 65536)}
        while waiting:
            asked = dict(list(waiting.items())[:at_once])
            sockets = self.stranger(lambda asked=asked: {port: socket.socket() for port in asked})
            poll = select.epoll()
            by_number = {}
            for port, probe in sockets.items():
                probe.setblocking(False)
                probe.connect_ex((self.lab.address(1), port))
                by_number[probe.fileno()] = port
                poll.register(probe, select.EPOLLOUT)
            end = time.monotonic() + 2
            while by_number and time.monotonic() < end:
                for number, _ in poll.poll(0.1, at_once):
                    port = by_number.pop(number)
                    poll.unregister(number)
                    if sockets[port].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                        found.add(port)
                    waiting.pop(port)
            for port in by_number.values():
                waiting[port] -= 1
                self.assertTrue(waiting[port], f"port {port} says nothing")
            poll.close()
            for probe in sockets.values():
                probe.close()
        return found

    def silent_udp_ports(self):
        """All ports for which no "port unreachable" comes (RFC 1122, section 4.1.3.1), so that somebody may listen there."""
        one = self.lab.namespace(1)
        subprocess.run(["ip", "netns", "exec", one, "sh", "-c", "echo 0 >/proc/sys/net/ipv4/icmp_ratemask"], check=True)
        silent = set(range(1, 65536))
        refusals = self.stranger(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
        asking = self.stranger(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with refusals, asking:
            refusals.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
            for _ in range(10):  # some are lost on the way; who does listen stays silent each time
                for number, port in enumerate(sorted(silent)):
                    asking.sendto(b"?", (self.lab.address(1), port))
                    if number % 200 == 199:
                        silent -= self.refused(refusals, 0.01)
                silent -= self.refused(refusals, 0.2)
                if len(silent) < 2:
                    break
        return silent

    @staticmethod
    def refused(listener, patience):
        """Ports that somebody said are closed, until nobody has said so for that many seconds."""
        ports = set()
        while select.select([listener], [], [], patience)[0]:
            packet = listener.recv(1 << 16)[20:]
            if packet[:2] == b"\x03\x03":
                ports.add(struct.unpack_from("!H", packet, 8 + 20 + 2)[0])
        return ports

    def test_hostile_connections_and_beacons_do_no_harm(self):
        pid = self.node_pid()
        hello = self.recorded_hello()
        flight = self.handshake_told_to(hello)
        beacon = next(data for _, port, data in self.air.udp if port == LINK_PORT)
        chance = random.Random(1)
        attack(self.stranger, self.lab.address(1), hello, beacon, chance, 200)  # what grows once, has grown
        before = resident(pid)
        answers, stops = [], threading.Event()

        def ask_on():
            while not stops.is_set():
                answers.append(self.two.ask())

        asker = threading.Thread(target=ask_on)
        asker.start()
        began = time.monotonic()
        try:
            told = attack(self.stranger, self.lab.address(1), hello, beacon, chance, HOSTILE)
        finally:
            took = time.monotonic() - began
            stops.set()
            asker.join()
        self.assertEqual(set(answers + [self.two.ask()]), {self.answer}, "answers during and after the attack")
        self.assertTrue(self.one.is_linked_to("phone-2"))
        kinds = self.judge(told, flight)
        grown = resident(pid) - before
        print(f"\n{HOSTILE} hostile connections and as many beacons in {took:.0f} s, {len(answers)} answers meanwhile; "
              f"told: {kinds}; memory of the node {before} KiB, grown by {grown} KiB", file=sys.stderr)
        self.assertLess(grown, 4096, "KiB")

    def node_pid(self):
        """Of the first phone's node: the engine's programs are its children."""
        return next(pid for pid in self.lab.pids(1) if Path(f"/proc/{pid}/comm").read_text().strip() == "caravan")

    def recorded_hello(self):
        """A member's ClientHello, as it was captured."""
        for flow, data in self.air.tcp.items():
            if flow[3] == LINK_PORT and data[:1] == bytes([HANDSHAKE]):
                return data[:5 + records(data)[0][1]]
        raise AssertionError("no handshake was captured")

    def handshake_told_to(self, hello):
        """Bytes of encrypted records that the server's side of a handshake has: what follows a ServerHello and comes before
        the client is known, in all captured connections too."""
        with self.stranger(socket.socket) as replay:
            replay.settimeout(2)
            replay.connect((self.lab.address(1), LINK_PORT))
            replay.sendall(hello)
            said = b""
            with contextlib.suppress(TimeoutError):
                while piece := replay.recv(1 << 16):
                    said += piece
        told = sum(length for kind, length in records(said) if kind == APPLICATION_DATA)
        for flow, data in self.air.tcp.items():
            if flow[1] == LINK_PORT and data[:1] == bytes([HANDSHAKE]):
                lengths = [length for kind, length in records(data) if kind == APPLICATION_DATA]
                self.assertIn(told, itertools.accumulate(lengths))
        return told

    def judge(self, told, flight):
        """Nobody was told more than how a handshake begins or why it ended; counts of what was told."""
        kinds = {}
        for said in told:
            found = records(said)
            for kind, _ in found:
                self.assertIn(kind, (HANDSHAKE, ALERT, CHANGE_CIPHER_SPEC, APPLICATION_DATA))
            encrypted = [length for kind, length in found if kind == APPLICATION_DATA]
            if encrypted:  # TLS 1.3 sends the rest of its handshake as such
                self.assertEqual(found[0][0], HANDSHAKE)
                self.assertLessEqual(sum(encrypted), flight + ENCRYPTED_ALERTS)
            what = "nothing" if not found else "server's handshake" if encrypted or found[0][0] == HANDSHAKE else "alert"
            kinds[what] = kinds.get(what, 0) + 1
        return kinds


if __name__ == "__main__":
    unittest.main()
