"""A golden profile as bytes: a few dozen kilobytes for twenty columns and a month of hours.

The format, version 1: `WHIMBREL-PROFILE 1` and a line feed, four bytes of CRC-32, and one MessagePack map that they are
the checksum of. Tables of counts are stored as what is left after each row's total times the table's mean shares, without
the fullest bin of each column (it follows from the others), a column after the other, bytes of equal weight together,
deflated. Golden's picked rows are not saved: they name what is new in a window, and golden is what it is new against.

A *part*, what one data file adds to a window, is saved likewise, with its picked rows and without its bins: whoever reads it has them.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from whimbrel.errors import StoreError
from whimbrel.model.profile import Binning, Bins, Cells, Distinct, Moments, Pick, Picks, Profile
from whimbrel.model.rows import Ints

MAGIC = b"WHIMBREL-PROFILE "
VERSION = b"1\n"


class _Table(msgspec.Struct):
    keys: bytes
    rows: int
    width: int
    itemsize: int
    totals: bytes
    sums: bytes
    left: bytes


class _Saved(msgspec.Struct):
    stamp: str
    columns: list[Bins]
    dimensions: list[str]
    days: _Table
    hours: _Table
    slices: _Table
    moments: list[tuple[int, float, float, float, float]]
    distinct: list[bytes]
    first: int
    last: int
    picks: bytes = b""


class _Picked(msgspec.Struct):
    """Picked rows, a column after the other: numbers as doubles, NaN for none, and texts as they are."""

    hashes: bytes
    columns: list[bytes | list[str | None]]


@dataclass(frozen=True, slots=True)
class Saved:
    """A profile that was read back, and the stamp that says what it is the profile of."""

    profile: Profile
    stamp: str


def encode(profile: Profile, *, stamp: str = "") -> bytes:
    """A profile, without its picked rows, as bytes; `stamp` is given back when it is read."""
    return _framed(profile, list(profile.binning.columns), list(profile.binning.dimensions), b"", stamp)


def encode_part(profile: Profile, *, stamp: str) -> bytes:
    """A profile with its picked rows and without its bins, as bytes; `stamp` must say what it is of, its bins included."""
    return _framed(profile, [], [], _pack_picks(profile), stamp)


def decode(data: bytes, *, where: str = "") -> Saved:
    """The profile that `encode` made bytes of.

    Raises:
        StoreError: not such bytes, of a version that is not known here, or damaged.
    """
    saved = _unframed(data, where)
    return Saved(_profile(saved, Binning(tuple(saved.columns), tuple(saved.dimensions)), where), saved.stamp)


def decode_part(data: bytes, binning: Binning, *, stamp: str, where: str = "") -> Profile:
    """The profile on these bins that `encode_part` made bytes of, with this stamp.

    Raises:
        StoreError: not such bytes, of another stamp, of a version that is not known here, or damaged.
    """
    saved = _unframed(data, where)
    if saved.stamp != stamp:
        raise _damaged("it is of something else", where)
    return _profile(saved, binning, where)


def _framed(profile: Profile, columns: list[Bins], dimensions: list[str], picks: bytes, stamp: str) -> bytes:
    saved = _Saved(
        stamp=stamp,
        columns=columns,
        dimensions=dimensions,
        days=_pack(profile.days, profile.binning.starts),
        hours=_pack(profile.hours, profile.binning.group_starts),
        slices=_pack(profile.slices, profile.binning.starts),
        moments=[(m.n, m.mean, m.m2, m.low, m.high) for m in profile.moments],
        distinct=[d.hashes.astype("<u8").tobytes() for d in profile.distinct],
        first=profile.first,
        last=profile.last,
        picks=picks,
    )
    body = msgspec.msgpack.encode(saved)
    return MAGIC + VERSION + zlib.crc32(body).to_bytes(4) + body


def _unframed(data: bytes, where: str) -> _Saved:
    if not data.startswith(MAGIC):
        raise _damaged("it is no saved profile", where)
    if not data.startswith(MAGIC + VERSION):
        version = data[len(MAGIC) : len(MAGIC) + 10].split(b"\n")[0].decode("ascii", "replace")
        raise _damaged(f"it has the format {version!r}, this Whimbrel reads 1", where)
    checksum, body = data[len(MAGIC + VERSION) :][:4], data[len(MAGIC + VERSION) + 4 :]
    if zlib.crc32(body).to_bytes(4) != checksum:
        raise _damaged("its checksum is wrong", where)
    try:
        return msgspec.msgpack.decode(body, type=_Saved)
    except msgspec.MsgspecError as error:
        raise _damaged(str(error), where) from error


def _profile(saved: _Saved, binning: Binning, where: str) -> Profile:
    try:
        return Profile(
            binning=binning,
            days=_unpack(saved.days, binning.starts),
            hours=_unpack(saved.hours, binning.group_starts),
            slices=_unpack(saved.slices, binning.starts),
            moments=tuple(Moments(*m) for m in saved.moments),
            distinct=tuple(Distinct(np.frombuffer(d, "<u8").astype(np.uint64)) for d in saved.distinct),
            picks=_unpack_picks(saved.picks),
            first=saved.first,
            last=saved.last,
        )
    except (msgspec.MsgspecError, zlib.error, ValueError) as error:
        raise _damaged(str(error), where) from error


def _damaged(what: str, where: str) -> StoreError:
    return StoreError(
        f"cannot read the saved profile: {what}", where=where,
        why="it was cut short, changed, or written by another version", next="delete the file: it is made anew",
    )  # fmt: skip


def _expected(totals: Ints, sums: Ints) -> Ints:
    """What each row would hold if all had the table's mean shares. Only single roundings: the same on every machine."""
    shares = sums.astype(np.float64) / max(float(totals.sum()), 1.0)
    found: Ints = np.rint(totals.astype(np.float64)[:, None] * shares[None, :]).astype(np.int64)
    return found


def _fullest(sums: Ints, starts: Sequence[int]) -> list[int]:
    """The fullest bin of each column."""
    return [a + int(np.argmax(sums[a:b])) for a, b in pairwise(starts)] if len(sums) else []


def _pack(cells: Cells, starts: Sequence[int]) -> _Table:
    totals = cells.counts[:, 0] if len(cells.keys) else np.zeros(0, np.int64)
    sums = cells.counts.sum(axis=0)
    left = (cells.counts - _expected(totals, sums)).T
    left[[0, *_fullest(sums, starts)] if len(sums) else []] = 0
    folded = np.where(left < 0, -2 * left - 1, 2 * left)  # small numbers of either sign become small unsigned ones
    itemsize = next(size for size in (2, 4, 8) if not folded.size or int(folded.max()) < 1 << (8 * size - 1))
    planes = folded.astype(f"<u{itemsize}").reshape(-1).view(np.uint8).reshape(-1, itemsize).T
    return _Table(
        keys=_bytes(cells.keys),
        rows=cells.counts.shape[0],
        width=cells.counts.shape[1],
        itemsize=itemsize,
        totals=_bytes(totals),
        sums=_bytes(sums),
        left=zlib.compress(planes.tobytes(), 9),
    )


def _unpack(table: _Table, starts: Sequence[int]) -> Cells:
    planes = np.frombuffer(zlib.decompress(table.left), np.uint8).reshape(table.itemsize, -1)
    folded = np.ascontiguousarray(planes.T).view(f"<u{table.itemsize}").astype(np.int64)
    folded = folded.reshape(table.width, table.rows).T
    left = np.where(folded % 2 == 1, -(folded + 1) // 2, folded // 2)
    totals, sums = _ints(table.totals), _ints(table.sums)
    counts = left + _expected(totals, sums)
    if len(sums):
        counts[:, 0] = totals
        fullest = _fullest(sums, starts)
        counts[:, fullest] = 0
        for place, (a, b) in zip(fullest, pairwise(starts), strict=True):
            counts[:, place] = totals - counts[:, a:b].sum(axis=1)
    return Cells(_ints(table.keys), np.ascontiguousarray(counts))


def _bytes(values: Ints) -> bytes:
    return zlib.compress(values.astype("<i8").tobytes())


def _ints(data: bytes) -> Ints:
    return np.frombuffer(zlib.decompress(data), "<i8").astype(np.int64)


def _pack_picks(profile: Profile) -> bytes:
    columns: list[bytes | list[str | None]] = []
    for i, bins in enumerate(profile.binning.columns):
        values: list[Any] = profile.picks.column(i)
        columns.append(np.array(values, "<f8").tobytes() if bins.kind == "number" else values)  # None becomes NaN
    hashes = np.array([hash_ for hash_, _ in profile.picks.rows], "<u8").tobytes()
    return zlib.compress(msgspec.msgpack.encode(_Picked(hashes, columns)), 1)


def _unpack_picks(data: bytes) -> Picks:
    if not data:
        return Picks()
    picked = msgspec.msgpack.decode(zlib.decompress(data), type=_Picked)
    columns: list[Sequence[float | str | None]] = []
    for held in picked.columns:
        if isinstance(held, bytes):
            columns.append([None if value != value else value for value in np.frombuffer(held, "<f8").tolist()])
        else:
            columns.append(held)
    hashes: list[int] = np.frombuffer(picked.hashes, "<u8").tolist()
    rows: list[Pick] = list(zip(*columns, strict=True)) or [()] * len(hashes)
    return Picks(tuple(zip(hashes, rows, strict=True)))
