"""What an outsider can do in the lab: listen to a network, connect from a device, scan its ports. Needs root."""
import ctypes
import os
import socket
import struct
import threading

SOL_PACKET, PACKET_STATISTICS = 263, 6  # linux/if_packet.h
SO_RCVBUFFORCE = 33  # asm-generic/socket.h
CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
CAPTURE_BYTES = 256 << 20  # waits in the kernel while Python is busy


def in_namespace(name, make):
    """make() in a network namespace of `ip netns`: the sockets that it makes stay there, wherever they are used."""
    results = []

    def run():
        library = ctypes.CDLL(None, use_errno=True)
        descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            if library.setns(descriptor, CLONE_NEWNET) != 0:  # of this thread only
                raise OSError(ctypes.get_errno(), "setns")
            results.append((make(), None))
        except Exception as error:  # pylint: disable=broad-except
            results.append((None, error))
        finally:
            os.close(descriptor)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, error = results[0]
    if error:
        raise error
    return value


class Capture:
    """Every packet that passes an interface of a namespace, from now on until stop()."""

    def __init__(self, namespace, interface):
        def make():
            listener = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
            listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, CAPTURE_BYTES)
            listener.bind((interface, ETH_P_ALL))
            listener.settimeout(0.2)
            return listener

        self.packets = []  # IPv4, from its header on
        self.missed = 0
        self._socket = in_namespace(namespace, make)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        # What goes out is seen once as such on any interface; what comes in on lo is the same packet again.
        loopback = self._socket.getsockname()[0] == "lo"
        while True:
            try:
                packet, origin = self._socket.recvfrom(1 << 17)
            except TimeoutError:
                if self._ends.is_set():
                    return
                continue
            if not (loopback and origin[2] == socket.PACKET_OUTGOING):
                self.packets.append(packet)

    def stop(self):
        """Reads what is there, then ends; `missed` counts what the kernel had to drop."""
        self._ends.set()
        self._thread.join()
        counted = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
        self.missed = struct.unpack("II", counted)[1]
        self._socket.close()
        return self


class Streams:
    """Captured packets as what applications sent: the bytes of each TCP flow in order, each UDP datagram."""

    def __init__(self, packets):
        self.tcp = {}  # (from, port, to, port) -> bytes
        self.udp = []  # (from port, to port, bytes)
        pieces = {}
        for packet in packets:
            header = (packet[0] & 15) * 4
            total, protocol = struct.unpack_from("!H", packet, 2)[0], packet[9]
            if packet[0] >> 4 != 4:
                continue
            body = packet[header:total or len(packet)]
            source, target = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
            ports = struct.unpack_from("!HH", body)
            if protocol == socket.IPPROTO_UDP:
                self.udp.append((*ports, body[8:]))
            elif protocol == socket.IPPROTO_TCP:
                flow = pieces.setdefault((source, ports[0], target, ports[1]), {})
                payload = body[(body[12] >> 4) * 4:]
                if body[13] & 2:  # SYN: a new connection, which counts from here
                    flow["first"] = struct.unpack_from("!I", body, 4)[0] + 1
                elif payload:
                    flow.setdefault("data", []).append((struct.unpack_from("!I", body, 4)[0], payload))
        for key, flow in pieces.items():
            self.tcp[key] = self._joined(flow)

    @staticmethod
    def _joined(flow):
        """The bytes in their places; what was sent twice is written twice."""
        data = flow.get("data", [])
        first = flow.get("first", data[0][0] if data else 0)
        joined = bytearray()
        for sequence, payload in data:
            start = (sequence - first) & 0xFFFFFFFF
            if start >= 1 << 31:  # from before the connection: a keep-alive
                continue
            if len(joined) < start + len(payload):
                joined.extend(bytes(start + len(payload) - len(joined)))
            joined[start:start + len(payload)] = payload
        return bytes(joined)

    def contains(self, needle):
        """Where these bytes were sent as they are."""
        return ([flow for flow, data in self.tcp.items() if needle in data] +
                [("udp", *ports) for *ports, data in self.udp if needle in data])

    def carried(self, port):
        """Bytes in TCP flows from or to this port."""
        return sum(len(data) for flow, data in self.tcp.items() if port in (flow[1], flow[3]))


def records(data):
    """(type, bytes) of each TLS record (RFC 8446, section 5.1); the last one may have come in part."""
    found, at = [], 0
    while at < len(data):
        length = struct.unpack_from("!H", data, at + 3)[0] if at + 5 <= len(data) else 0
        found.append((data[at], min(length, len(data) - at - 5)))
        at += 5 + length
    return found
