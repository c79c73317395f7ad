"""Bodies of frames read many at once: those of one structure differ in their values only, so NumPy walks through all of them.

In: the bytes of a segment, where each of n bodies begins and ends, and then step by step what must stand there. Out: columns,
and which of the bodies fit. A cursor stands in each body; what is expected is compared in all of them with one gather, and
a value moves each cursor by its own length. `plans.py` calls; whatever does not fit is its to read in another way.

msgpack's forms: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

import math
import struct
from typing import Any, TypeAlias

import numpy as np

from whimbrel.record.values import ARRAY
from whimbrel.store.records import Column, Floats, Ints, Mask

PADDING = 1 << 14
"""Bytes that must follow the last body, so that nothing is read past the end."""

LONGEST = 1 << 12
"""Bytes that may be expected at once; an array's items may take twice as many."""

EXACT = 2**53
_SHORT = 64
_FEW = 64
_HEAD = 9
_NIL, _FLOAT = 0xC0, 0xCB
_NUMBER, _TEXT, _FLAG, _LIST, _PACKED, _NONE, _OTHER = range(7)
_SPANS = (
    (0x00, 0x7F, _NUMBER), (0xE0, 0xFF, _NUMBER), (0xCB, 0xD3, _NUMBER), (0xA0, 0xBF, _TEXT), (0xD9, 0xDB, _TEXT), (0xC2, 0xC3, _FLAG),
    (0x90, 0x9F, _LIST), (0xDC, 0xDC, _LIST), (0xC7, 0xC8, _PACKED), (0xD4, 0xD8, _PACKED), (0xC0, 0xC0, _NONE),
)  # fmt: skip
_KINDS = np.full(256, _OTHER, np.uint8)
for _first, _last, _kind in _SPANS:
    _KINDS[_first : _last + 1] = _kind
_SIZES = np.zeros(256, np.int64)
_SIZES[0xCB:0xD4] = (8, 1, 2, 4, 8, 1, 2, 4, 8)
_ITEMS = {"e": "<f2", "f": "<f4", "d": "<f8", "b": "<i1", "h": "<i2", "i": "<i4", "B": "<u1", "H": "<u2", "I": "<u4"}

Bytes: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


class Bodies:
    """n bodies with a cursor in each; `fits` says which of them held what was expected so far."""

    def __init__(self, data: bytes, starts: Ints, ends: Ints) -> None:
        self.data = data
        self.at = self.starts = starts
        self.ends = ends
        self.fits = np.ones(len(starts), np.bool_)

    def take(self, rows: Ints) -> Bodies:
        """Those of these rows, with their cursors where they are."""
        held = Bodies(self.data, self.starts[rows], self.ends[rows])
        held.at, held.fits = self.at[rows], self.fits[rows]
        return held

    def drop(self, unfit: Mask | None) -> None:
        """These do not fit. Their cursors stand where nothing that follows can lead past the data."""
        if unfit is not None and unfit.any():
            self.fits = self.fits & ~unfit
            self.at = np.where(unfit, self.starts, self.at)

    def done(self, expected: bytes) -> None:
        """After these bytes the bodies end."""
        self._expect(expected)
        self.drop(self.at != self.ends)

    def value(self, expected: bytes, shape: tuple[int, ...] | None = None) -> Column:
        """The values after these bytes: of the kind that the first of them has, or missing. Arrays are of this shape."""
        block = self._expect(expected)
        kinds = _KINDS[block[:, 0]]
        kind, missing = int(kinds[0]), None
        if not (kinds == kind).all():
            told = kinds[self.fits & (kinds != _NONE)]
            kind = int(told[0]) if len(told) else _NONE
            missing = kinds == _NONE if kind != _NONE else None
            self.drop((kinds != kind) & (kinds != _NONE))
            missing = missing if missing is not None and missing.any() else None
        if (kind == _PACKED) != (shape is not None):
            kind = _OTHER
        match kind:
            case 0:
                column = self._numbers(block)
            case 1:
                column = self._texts(block, missing)
            case 2:
                column = Column("flag", block[:, 0] == 0xC3)
                self._move(1)
            case 3:
                column = self._lists(block, missing)
            case 4:
                column = self._arrays(missing, shape)
            case 5:
                column = self._nothing()
                self._move(1)
            case _:
                column = self._nothing(drop=True)
        if missing is not None:
            column = Column(column.kind, column.values, missing, column.whole, column.ends)
        return column

    def _window(self, at: Ints, width: int) -> Bytes:
        """The `width` bytes from each place on, shape (n, width)."""
        every = np.ndarray((len(self.data) - width + 1,), f"V{width}", self.data, strides=(1,))
        return every[at].view(np.uint8).reshape(len(at), width)

    def _expect(self, expected: bytes) -> Bytes:
        """The head of what follows these bytes, shape (n, 9): a value's first byte and eight more."""
        width = len(expected)
        block = self._window(self.at, width + _HEAD)
        if width:
            other = block[:, :width] != np.frombuffer(expected, np.uint8)
            if other.any():
                self.drop(other.any(axis=1))
            self._move(width)
        return block[:, width:]

    def _move(self, by: Any) -> None:
        """Move the cursors; one that leaves its body does not fit."""
        self.at = self.at + by
        self.drop(self.at > self.ends)

    def _numbers(self, block: Bytes) -> Column:
        """Numbers, integers up to 2^53 among them."""
        values, whole, sizes, large = _numbers(block)
        if large is not None:
            self.drop(large)
        self._move(sizes)
        return Column("number", values, whole=whole)

    def _texts(self, block: Bytes, missing: Mask | None) -> Column:
        """UTF-8 texts."""
        tags = block[:, 0]
        lengths: Ints = (tags & 31).astype(np.int64)
        heads: Any = 1
        if (tags > 0xBF).any():
            wide = [block[:, 1 : 1 + size].astype(np.int64) @ (1 << 8 * np.arange(size)[::-1]) for size in (1, 2, 4)]
            lengths = np.select([tags == 0xD9, tags == 0xDA, tags == 0xDB], wide, lengths)
            heads = np.select([tags == 0xD9, tags == 0xDA, tags == 0xDB], [2, 3, 5], 1)
        if missing is not None:
            lengths = np.where(missing, 0, lengths)
        self._move(heads)
        begins = self.at
        self._move(lengths)
        begins, lengths = np.where(self.fits, begins, self.starts), np.where(self.fits, lengths, 0)
        return Column("text", self._cut(begins, lengths), ends=np.cumsum(lengths))

    def _cut(self, begins: Ints, lengths: Ints) -> Bytes:
        """The texts at these places, one after the other; what is no UTF-8 does not fit."""
        width = int(lengths.max(initial=0))
        if width > _SHORT:
            data = self.data
            ends = (begins + lengths).tolist()
            cut = [data[begin:end] for begin, end in zip(begins.tolist(), ends, strict=True)]
            self.drop(np.array([not (text.isascii() or _is_text(text)) for text in cut], np.bool_))
            return np.frombuffer(b"".join(cut), np.uint8)
        if width == 0:
            return np.zeros(0, np.uint8)
        block, inside = self._window(begins, width), None
        if lengths.min() < width:
            inside = np.arange(width) < lengths[:, None]
        if (block > 127).any():
            cut = [text[:length].tobytes() for text, length in zip(block, lengths.tolist(), strict=True)]
            self.drop(np.array([not _is_text(text) for text in cut], np.bool_))
        return block.reshape(-1) if inside is None else block[inside]

    def _lists(self, block: Bytes, missing: Mask | None) -> Column:
        """Lists of numbers: equally long ones of floats at once, others item by item."""
        wide = block[:, 0] == 0xDC
        counts = np.where(wide, block[:, 1].astype(np.int64) << 8 | block[:, 2], block[:, 0] & 15)
        if missing is not None:
            counts = np.where(missing, 0, counts)
        self._move(np.where(wide, 3, 1))
        counts = np.where(self.fits, counts, 0)
        most = int(counts.max(initial=0))
        if most * _HEAD <= LONGEST and (counts == most).all():
            packed = self._window(self.at, most * _HEAD or 1)[:, : most * _HEAD].reshape(len(counts), most, _HEAD)
            if (packed[:, :, 0] == _FLOAT).all():
                self._move(most * _HEAD)
                items = np.ascontiguousarray(packed[:, :, 1:]).view(">f8").astype(np.float64)
                return Column("numbers", items.reshape(-1), ends=most * np.arange(1, len(counts) + 1))
        self.drop(counts > _FEW)
        most, held = min(most, _FEW), np.minimum(counts, _FEW)
        values, whole = np.zeros((len(counts), most)), np.zeros((len(counts), most), np.bool_)
        for place in range(most):
            block, told = self._window(self.at, _HEAD), self.fits & (place < held)
            item, integers, sizes, large = _numbers(block)
            values[:, place], whole[:, place] = item, False if integers is None else integers
            self.drop(told & ((_KINDS[block[:, 0]] != _NUMBER) | (False if large is None else large)))
            self._move(np.where(told & self.fits, sizes, 0))
        inside = np.arange(most) < held[:, None]
        return Column("numbers", values[inside], whole=whole[inside], ends=np.cumsum(held))

    def _arrays(self, missing: Mask | None, shape: tuple[int, ...] | None) -> Column:
        """Arrays of this shape, and of the type of the first."""
        at = int(self.at[int(np.argmax(self.fits))])
        tag, view = self.data[at], self.data[at + 1 : at + 3]
        length, head = {0xC7: (view[0], 3), 0xC8: (view[0] << 8 | view[1], 4)}.get(tag, (1 << max(0, tag - 0xD4), 2))
        first = at + head
        letter = self.data[first : first + 1].decode("latin-1")
        sides = struct.pack(f"<B{len(shape or ())}I", len(shape or ()), *(shape or ()))
        start, count = head + 1 + len(sides), math.prod(shape or ())
        if (
            missing is not None or letter not in _ITEMS or self.data[first - 1] != ARRAY or length > 2 * LONGEST
            or head + length - start != count * np.dtype(_ITEMS[letter]).itemsize
        ):  # fmt: skip
            return self._nothing(drop=True)
        block = self._window(self.at, head + length)
        expected = self.data[at : first + 1] + sides
        self.drop((block[:, :start] != np.frombuffer(expected, np.uint8)).any(axis=1))
        self._move(head + length)
        items = np.ascontiguousarray(block[:, start:]).view(_ITEMS[letter]).astype(np.float64).reshape(-1)
        whole = None if letter in "efd" else np.ones(len(items), np.bool_)
        return Column("numbers", items, whole=whole, ends=count * np.arange(1, len(self.at) + 1))

    def _nothing(self, *, drop: bool = False) -> Column:
        """A column without a value; none of the bodies fits where it cannot be one."""
        every = np.ones(len(self.at), np.bool_)
        if drop:
            self.drop(every)
        return Column("none", np.zeros(len(self.at)), every)


def _numbers(block: Bytes) -> tuple[Floats, Mask | None, Any, Mask | None]:
    """Numbers by their first bytes, shape (n, 9): as doubles, which are integers, how long they are, which are too large for one.

    What is none of them is one byte long and any number.
    """
    tags, packed = block[:, 0], np.ascontiguousarray(block[:, 1:])
    floats = tags == _FLOAT
    found = packed.view(">f8")[:, 0].astype(np.float64)
    if floats.all():
        return found, None, _HEAD, None
    sizes, bits = _SIZES[tags], packed.view(">u8")[:, 0].astype(np.uint64)
    shift = (64 - 8 * sizes) & 63
    signed, unsigned = bits.view(np.int64) >> shift, bits >> shift.astype(np.uint64)
    integers = np.where(sizes == 0, tags.view(np.int8), np.where(tags >= 0xD0, signed, unsigned.view(np.int64)))
    large = ~floats & ((integers >= EXACT) | (integers <= -EXACT) | ((tags == 0xCF) & (bits >= 1 << 63)))
    return np.where(floats, found, integers.astype(np.float64)), ~floats, 1 + sizes, large


def _is_text(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
