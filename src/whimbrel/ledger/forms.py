"""The form of a prediction's entry: written, read, and checked for a whole bundle at once.

In: what an entry says, or the bytes of a bundle. Out: entries; producers and their numbers. Most bundles hold predictions of one
length, which NumPy looks at all together: columns that must not differ, and columns of which each byte must be of a kind.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

ENTRY = '{"v":1,"k":"pred","id":"%s","t":"%s","p":"%s","s":%d,"n":6,"fr":"%s"}'
"""The entry of id, time, producer, number and commitment."""

_FORM = (
    rb'\{"v":1,"k":"pred","id":"(?:([0-9a-f-]{36})|h-([0-9a-f]{32}))","t":"([0-9TZ:.-]{1,40})",'
    rb'"p":"([^"\\\n]{1,700})","s":(\d{1,18}),"n":6,"fr":"([A-Za-z0-9+/]{43})="\}'
)
_entry, _entries = re.compile(_FORM).fullmatch, re.compile(rb"^" + _FORM + rb"$", re.MULTILINE).findall
_PRODUCER, _NUMBER = 4, 5
_FIXED = 0x80
_DIGITS = b"0123456789"
_LETTERS = bytes(range(65, 91)) + bytes(range(97, 123))
_MAY = (
    _DIGITS + b"abcdef-", _DIGITS + b"abcdef", _DIGITS + b"TZ:.-", bytes(set(range(256)) - set(b'"\\\n')), _DIGITS,
    _DIGITS + _LETTERS + b"+/",
)  # fmt: skip
"""The bytes that may stand in each of the form's groups."""

_KINDS = bytes(_FIXED | sum((byte in may) << at for at, may in enumerate(_MAY)) for byte in range(256))
"""For each byte, a bit for every group in which it may stand."""

Numbers = dict[bytes, Sequence[int]]
"""The numbers of each producer."""


def place_of(entry: bytes) -> tuple[str, int] | None:
    """Who made a prediction, and its number there; None where the entry is not of this form."""
    found = _entry(entry)
    return found and (found[_PRODUCER].decode("utf-8", "replace"), int(found[_NUMBER]))


def places_of(entries: Sequence[bytes]) -> Numbers | None:
    """The numbers of each producer among entries; None where not all are of this form."""
    lines = b"\n".join(entries)
    found = _entries(lines)
    if len(found) < len(entries) or lines.count(b"\n") >= len(entries):
        return None
    return _grouped([one[_PRODUCER - 1] for one in found], [int(one[_NUMBER - 1]) for one in found])


def even(data: bytes) -> tuple[int, Numbers] | None:
    """Where all entries of a bundle are predictions of one length: how far apart they lie, and the numbers of each producer.

    None where they are not; nothing is then said about them.
    """
    step = 2 + int.from_bytes(data[:2], "big")
    first = _entry(data[2:step])
    if first is None or len(data) % step:
        return None
    fixed, kinds = _layout(step, tuple(first.span(group + 1) for group in range(len(_MAY))))
    table, found = (np.frombuffer(held, np.uint8).reshape(-1, step) for held in (data, data.translate(_KINDS)))
    if ((table ^ table[0]) & fixed).any() or not (found & kinds).all():
        return None
    (a, b), (c, d) = ((2 + at for at in first.span(group)) for group in (_PRODUCER, _NUMBER))
    numbers = (table[:, c:d] - np.int64(48)) @ (10 ** np.arange(d - c - 1, -1, -1))
    if (table[:, a:b] == table[0, a:b]).all():
        return step, {data[a:b]: numbers.tolist()}
    return step, _grouped([data[at + a : at + b] for at in range(0, len(data), step)], numbers.tolist())


@lru_cache(64)
def _layout(step: int, spans: tuple[tuple[int, int], ...]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """All bits of the columns that must not differ, and the kind of byte that each must hold; a group that is not there has the span (-1, -1)."""
    kinds = np.full(step, _FIXED, np.uint8)
    for at, (start, stop) in enumerate(spans):
        kinds[2 + start : 2 + stop] = 1 << at if start >= 0 else _FIXED
    return np.where(kinds == _FIXED, 255, 0).astype(np.uint8), kinds


def _grouped(producers: Sequence[bytes], numbers: Sequence[int]) -> Numbers:
    found: dict[bytes, list[int]] = {}
    for producer, number in zip(producers, numbers, strict=True):
        found.setdefault(producer, []).append(number)
    return dict(found)
