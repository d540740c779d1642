"""Reads data frames from R's saved workspaces (.rda, .RData), with the standard library alone.

R's serialisation format ("R Internals", section 1.8): every item is a 32-bit word of flags and type, then its content;
numbers are big-endian. Only what data frames are made of is understood.
"""

import bz2
import gzip
import lzma
import struct

NIL, GLOBAL_ENV, REFERENCE, ALTREP = 254, 253, 255, 238
SYMBOL, PAIRLIST, CHARS, LOGICAL, INTEGER, REAL, STRINGS, LIST = 1, 2, 9, 10, 13, 14, 16, 19
HAS_ATTRIBUTES, HAS_TAG = 0x200, 0x400


class Item:
    """A value with its attributes (names, levels, class)."""

    def __init__(self, value, attributes=()):
        self.value = value
        self.attributes = dict(attributes)


class Reader:
    def __init__(self, data):
        self.data, self.at, self.references = data, 0, []

    def take(self, count):
        self.at += count
        return self.data[self.at - count : self.at]

    def int(self):
        return struct.unpack(">i", self.take(4))[0]

    def numbers(self, code, width):
        count = self.int()
        return list(struct.unpack(f">{count}{code}", self.take(count * width)))

    def item(self):
        flags = self.int()
        kind = flags & 0xFF
        if kind in (NIL, GLOBAL_ENV):
            return Item(None)
        if kind == REFERENCE:
            return self.references[(flags >> 8 or self.int()) - 1]
        if kind == SYMBOL:
            self.references.append(Item(self.item().value))
            return self.references[-1]
        if kind == PAIRLIST:
            return Item(self.pairlist(flags))
        if kind == ALTREP:
            return self.compact_sequence()
        item = Item(self.content(kind))
        if flags & HAS_ATTRIBUTES and kind != CHARS:
            item.attributes = dict(self.item().value)
        return item

    def content(self, kind):
        if kind == CHARS:
            length = self.int()
            return None if length < 0 else self.take(length).decode("utf-8", "replace")
        if kind in (LOGICAL, INTEGER):
            return self.numbers("i", 4)
        if kind == REAL:
            return self.numbers("d", 8)
        if kind in (STRINGS, LIST):
            items = [self.item() for _ in range(self.int())]
            return [item.value for item in items] if kind == STRINGS else items
        raise ValueError(f"R type {kind} is not part of a data frame")

    def pairlist(self, flags):
        pairs = []
        while flags & 0xFF == PAIRLIST:
            if flags & HAS_ATTRIBUTES:
                self.item()
            tag = self.item().value if flags & HAS_TAG else None
            pairs.append((tag, self.item()))
            flags = self.int()
        return pairs

    def compact_sequence(self):
        """Row numbers, which R stores as (count, first, step)."""
        self.item()
        count, first, step = self.item().value
        self.item()
        return Item([int(first + step * i) for i in range(int(count))])


def read_frame(path, name):
    """The data frame `name` as {column: values}; factors become their level names."""
    with open(path, "rb") as file:
        raw = file.read()
    openers = {b"\xfd7zXZ": lzma.decompress, b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress}
    unpack = next((f for magic, f in openers.items() if raw.startswith(magic)), bytes)
    data = unpack(raw)
    if data[:5] not in (b"RDX2\n", b"RDX3\n") or data[5:7] != b"X\n":
        raise ValueError("not a saved R workspace")

    reader = Reader(data[7:])
    version = reader.int()
    reader.take(8)
    if version == 3:
        reader.take(reader.int())
    frame = dict(reader.item().value)[name]
    return {key: plain(column) for key, column in zip(frame.attributes["names"].value, frame.value)}


def plain(column):
    levels = column.attributes.get("levels")
    return [levels.value[code - 1] for code in column.value] if levels else column.value
