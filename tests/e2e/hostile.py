"""Hostile connections and beacons, from a device that is no member."""
import select
import socket
import time
from types import SimpleNamespace

LINK_PORT = 7433
AT_ONCE = 8  # of one address: as many as the listener lets be half open


def attack(make, address, hello, beacon, chance, count):
    """That many connections and beacons to the link's port at `address`, with sockets that `make(how)` makes where the stranger is;
    what each connection was told."""
    told = []
    flood = make(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    flood.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    left = count
    while left:
        batch = min(AT_ONCE, left)
        left -= batch
        for _ in range(batch):
            place = chance.choice([address, address.rpartition(".")[0] + ".255"])
            flood.sendto(mutated(beacon, chance) if chance.random() < 0.8 else chance.randbytes(chance.randrange(1400)),
                         (place, LINK_PORT))
        told += attack_at_once(make, address, hello, chance, batch)
    flood.close()
    return told


def attack_at_once(make, address, hello, chance, count):
    sockets = make(lambda: [socket.socket() for _ in range(count)])
    talks = {}
    for one in sockets:
        one.setblocking(False)
        one.connect_ex((address, LINK_PORT))
        talks[one] = SimpleNamespace(sends=hostile_pieces(hello, chance), got=bytearray(), closed=False)
    end = time.monotonic() + (0.5 if chance.random() < 0.02 else 0.03)  # some are left half open for longer
    while time.monotonic() < end and not all(talk.closed for talk in talks.values()):
        waiting = [one for one, talk in talks.items() if not talk.closed]
        readable, writable, _ = select.select(waiting, [one for one in waiting if talks[one].sends], [], 0.01)
        for one in writable:
            try:
                one.send(talks[one].sends.pop(0))
            except OSError:
                talks[one].closed = True
        for one in readable:
            try:
                got = one.recv(1 << 16)
            except OSError:
                got = b""
            talks[one].got += got
            talks[one].closed |= not got
    for one in sockets:
        one.close()
    return [bytes(talk.got) for talk in talks.values()]


def mutated(data, chance):
    """Some bytes changed, put in, left out, or the end cut off."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(changed) or 1)
        way = chance.randrange(4)
        if way == 0 and changed:
            changed[at] ^= 1 << chance.randrange(8)
        elif way == 1 and changed:
            changed[at] = chance.choice((0, 1, 127, 128, 255))
        elif way == 2:
            changed[at:at + chance.randrange(16)] = chance.randbytes(chance.randrange(16))
        else:
            del changed[at:]
    return bytes(changed) or b"\x16"


def hostile_pieces(hello, chance):
    """What a hostile connection sends, piece by piece: nothing, noise, a mutated hello, a real one and then noise, slowly."""
    way = chance.randrange(6)
    if way == 0:
        return []
    if way == 1:
        return [chance.randbytes(chance.randrange(1, 600))]
    if way == 2:
        return [hello, mutated(hello, chance)]
    whole = mutated(hello, chance)
    if way == 3:
        return [whole[at:at + 40] for at in range(0, len(whole), 40)]
    return [whole]
