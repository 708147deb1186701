"""Splits a GGUF file into shards as llama.cpp's gguf-split does: the first one has all of the metadata, each its part of the tensors.
The format: ggml's docs/gguf.md.
"""
import struct
from pathlib import Path

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes of a value, by GGUF's type
STRING, ARRAY = 8, 9
UINT16, INT32 = 2, 5
ALIGNMENT = 32


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, form):
        value, = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def text(self):
        size = self.number("Q")
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def skip_value(self, kind):
        if kind == STRING:
            self.text()
        elif kind == ARRAY:
            kind, count = self.number("I"), self.number("Q")
            for _ in range(count):
                self.skip_value(kind)
        else:
            self.at += SIZES[kind]


def text_bytes(text):
    return struct.pack("<Q", len(text)) + text.encode()


def padded(data):
    return data + bytes(-len(data) % ALIGNMENT)


def read(data):
    """(metadata, how many values it has, [(name, shape, type, bytes)])"""
    reader = Reader(data)
    assert (reader.number("I"), reader.number("I")) == (0x46554747, 3)
    tensors, values = reader.number("Q"), reader.number("Q")
    begin = reader.at
    for _ in range(values):
        assert reader.text() != "general.alignment", "another alignment than the usual one"
        reader.skip_value(reader.number("I"))
    metadata = data[begin:reader.at]
    infos = []
    for _ in range(tensors):
        name, dimensions = reader.text(), reader.number("I")
        infos.append((name, [reader.number("Q") for _ in range(dimensions)], reader.number("I"), reader.number("Q")))
    start = len(padded(data[:reader.at]))
    ends = sorted(offset for *_, offset in infos) + [len(data) - start]
    # With the padding behind it: that is part of no tensor, so it does no harm.
    return metadata, values, [(name, shape, kind, data[start + offset:start + ends[ends.index(offset) + 1]])
                              for name, shape, kind, offset in infos]


def split(model, folder, count):
    """Writes `count` shards of `model` into `folder`; the first one's path."""
    metadata, values, tensors = read(Path(model).read_bytes())
    share = -(-len(tensors) // count)
    paths = [Path(folder) / f"split-{i + 1:05}-of-{count:05}.gguf" for i in range(count)]
    for i, path in enumerate(paths):
        mine = tensors[i * share:(i + 1) * share]
        about = [("split.no", UINT16, struct.pack("<H", i)), ("split.count", UINT16, struct.pack("<H", count)),
                 ("split.tensors.count", INT32, struct.pack("<i", len(tensors)))]
        head = b"GGUF" + struct.pack("<IQQ", 3, len(mine), len(about) + (values if i == 0 else 0))
        head += b"".join(text_bytes(key) + struct.pack("<I", kind) + value for key, kind, value in about)
        head += metadata if i == 0 else b""
        offset = 0
        for name, shape, kind, data in mine:
            head += text_bytes(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
            offset += len(padded(data))
        path.write_bytes(padded(head) + b"".join(padded(data) for *_, data in mine))
    return paths[0]
