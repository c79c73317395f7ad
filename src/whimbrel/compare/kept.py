"""Profiles of data files, kept in the log: a window is the sum of its files' profiles, and a file is read once.

In: a window of a log and golden's bins, or a golden window. Out: its profile. Only `doors.py` and `ahead.py` may call.

A window is parted into files that lie in it as a whole, into blocks of 1, 2, 4, 8 and 16 whole hours of files that it cuts, and
into what is left: the rest of a cut hour, and files so small that reading them costs less than keeping them. What is left is
always read. The parting follows from the window and the files alone, never from what is kept, so that an answer is the same
to the last bit whether anything was kept or not. A file that was merged of others adds what was kept of these, if all of it was; moments may
then differ from those of a direct reading by rounding.

`profiles/<app>/<bins>/<part>.profile` in the log: `<bins>` is a digest of the binning, `<part>` one of the file, all late
files that may reach it, the block, the conditions, the fields' kinds and the engine's version. As none of these files ever changes,
nothing goes out of date; what is not asked for any more is dropped when the folder outgrows `MOST_BYTES`. A part that is
damaged, or of something else, is made anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import msgspec

from whimbrel.compare.saved import decode, decode_part, encode, encode_part
from whimbrel.engine import Engine, Source
from whimbrel.engine.port import ROUNDED_US
from whimbrel.errors import StoreError
from whimbrel.model.fields import Kind
from whimbrel.model.profile import Binning, Profile
from whimbrel.model.window import Condition, Window, from_micros, micros

if TYPE_CHECKING:
    from whimbrel.store import Log
    from whimbrel.store.reach import Piece

Held = TypeVar("Held")

LEAST_BYTES = 2 << 20
"""Files smaller than this are not kept: one of 1 MB is read in the 10 ms that its kept profile takes, and keeping it costs 60 more."""

MOST_BYTES = 256 << 20
"""What the kept parts of one app may take; above it those that were not asked for the longest go, down to three quarters."""

HOUR_US = 3_600_000_000
DAY_HOURS, LONGEST_BLOCK = 24, 16
DAY_US = DAY_HOURS * HOUR_US
_VERSION = "2"


@dataclass(frozen=True, slots=True)
class Parts:
    """What of a window can be kept, and the stretches of it that are read each time, each with its files."""

    kept: list[tuple[Piece, Window]] = field(default_factory=list)
    read: dict[Window, list[str]] = field(default_factory=dict)

    @staticmethod
    def of(pieces: tuple[Piece, ...], window: Window, *, least: int) -> Parts:
        """The parting of a window; files of fewer than `least` bytes are not kept."""
        parts = Parts()
        whole = replace(window, since=None, until=None)
        for piece in pieces:
            if piece.beyond(window):
                continue
            if piece.size < least or (piece.times is None and not piece.within(window)):
                parts.read.setdefault(window, []).extend(piece.source.files)
            elif piece.within(window):
                parts.kept.append((piece, whole))
            else:
                parts._cut(piece, window)
        return parts

    def _cut(self, piece: Piece, window: Window) -> None:
        """Add a file that the window cuts: whole hours in blocks, the rest to be read."""
        assert piece.times is not None
        first, last = piece.times[0], piece.times[1] + ROUNDED_US
        day = first // DAY_US * DAY_HOURS
        end = day + -(-(last // HOUR_US + 1 - day) // LONGEST_BLOCK) * LONGEST_BLOCK
        since = first if window.since is None else micros(window.since)
        until = last + 1 if window.until is None else micros(window.until)
        low = day if since <= first else -(-since // HOUR_US)
        high = end if until > last else until // HOUR_US
        if low >= high:
            self.read.setdefault(window, []).extend(piece.source.files)
            return
        for a, b in _blocks(low - day, high - day):
            if (day + a) * HOUR_US <= last and first < (day + b) * HOUR_US:
                stretch = replace(window, since=_hour(day + a), until=_hour(day + b))
                self.kept.append((piece, stretch))
        if first < since < low * HOUR_US:
            self.read.setdefault(replace(window, until=_hour(low)), []).extend(piece.source.files)
        if high * HOUR_US < until <= last:
            self.read.setdefault(replace(window, since=_hour(high)), []).extend(piece.source.files)


@dataclass(frozen=True, slots=True)
class Shelf:
    """The kept profiles of one app."""

    folder: Path
    engine: Engine
    made_by: str
    """The engine's maker, and the format of what is kept."""

    @staticmethod
    def of(log: Log, app: str, engine: Engine) -> Shelf:
        """The shelf of an app in a log. Engines of one maker share it."""
        from whimbrel.store.delta import folder_name

        return Shelf(log.layout.profiles / folder_name(app), engine, f"{_VERSION} {engine.capabilities.maker}")

    def window(self, pieces: tuple[Piece, ...], source: Source, window: Window, binning: Binning) -> Profile:
        """The profile of a window: parts that are kept as they were saved, those that are not yet made now and saved."""
        if _moves(source, window):
            return self.engine.profile(source, window, binning)
        since, until = (moment and moment.astimezone(UTC) for moment in (window.since, window.until))
        window = replace(window, since=since, until=until)
        parts = Parts.of(pieces, window, least=LEAST_BYTES)
        total = Profile(binning)
        for part in self._parts(source, parts.kept, binning):
            total += part
        read = [(replace(source, files=tuple(files)), stretch) for stretch, files in parts.read.items()]
        if not parts.kept and not read:
            read = [(replace(source, files=()), window)]  # conditions are checked all the same
        for part in self.engine.profiles(read, binning):
            total += part
        return total

    def whole(self, pieces: Sequence[Piece], source: Source, where: tuple[Condition, ...], binning: Binning) -> None:
        """Have the profiles of these files, as wholes, kept."""
        window = Window(source.app, where=where)
        if not _moves(source, window):
            for _ in self._parts(source, [(piece, window) for piece in pieces], binning):
                pass

    def _parts(self, source: Source, parts: Sequence[tuple[Piece, Window]], binning: Binning) -> Iterator[Profile]:
        """The profile of each part, in their order; what is not kept yet is asked for at once: a cluster makes many at a time."""
        folder, wrote = self.folder / _digest(msgspec.msgpack.encode((binning.columns, binning.dimensions))), False

        def keep(piece: Piece, stretch: Window, part: Profile) -> None:
            nonlocal wrote
            stamp = self._stamp(source, piece.names, stretch)
            wrote = _write(folder / f"{stamp}.profile", encode_part(part, stamp=stamp)) or wrote

        new = []
        for piece, stretch in parts:
            there = (folder / f"{self._stamp(source, piece.names, stretch)}.profile").exists()
            part = None if there else self._carried(folder, source, piece, stretch, binning)
            if part is not None:
                keep(piece, stretch, part)
            new.append(not there and part is None)
        asked = [(piece.source, stretch) for (piece, stretch), is_new in zip(parts, new, strict=True) if is_new]
        made = self.engine.profiles(asked, binning)
        for (piece, stretch), is_new in zip(parts, new, strict=True):
            part = None if is_new else self._kept(folder, source, piece, stretch, binning)
            if part is None:  # new; or damaged, or could not be written
                part = next(made) if is_new else self.engine.profile(piece.source, stretch, binning)
                keep(piece, stretch, part)
            yield part
        if wrote:
            trim(self.folder, MOST_BYTES)

    def golden(self, pieces: tuple[Piece, ...], source: Source, window: Window, make: Callable[[], Profile]) -> Profile:
        """A golden window's profile on its own bins, without picked rows: as it was saved, else made now and saved."""
        if _moves(source, window):
            return make()
        stamp = self._stamp(source, names_of(pieces, window), window)
        path = self.folder / "golden" / f"{stamp}.profile"
        saved = _read(path, partial(decode, where=str(path)))
        if saved is not None and saved.stamp == stamp:
            return saved.profile
        made = make()
        if _write(path, encode(made, stamp=stamp)):
            trim(self.folder, MOST_BYTES)
        return made

    def _kept(self, folder: Path, source: Source, piece: Piece, stretch: Window, binning: Binning) -> Profile | None:
        """A part as it was saved; None where it was not."""
        stamp = self._stamp(source, piece.names, stretch)
        path = folder / f"{stamp}.profile"
        return _read(path, partial(decode_part, binning=binning, stamp=stamp, where=str(path)))

    def _carried(self, folder: Path, source: Source, piece: Piece, stretch: Window, binning: Binning) -> Profile | None:
        """A part of a merged file: the sum of what was saved of the files it holds; None where one of them was not."""
        total = Profile(binning)
        came = piece.before(source)
        whole = replace(stretch, since=None, until=None)
        for one in came:
            if not one.beyond(stretch):
                asked = whole if one.within(stretch) else stretch
                held = self._kept(folder, source, one, asked, binning)
                held = held or self._carried(folder, source, one, asked, binning)
                if held is None:
                    return None
                total += held
        return total if came else None

    def _stamp(self, source: Source, names: tuple[str, ...], window: Window) -> str:
        known = tuple((item.path, str(item.kind), str(item.role)) for item in source.schema)
        where = tuple((c.path, c.op, c.value) for c in window.where)
        said = (
            self.made_by,
            source.app,
            names,
            window.since and micros(window.since),
            window.until and micros(window.until),
        )
        return _digest(repr((said, where, known)).encode())


def names_of(pieces: tuple[Piece, ...], window: Window) -> tuple[str, ...]:
    """The names of the files that may hold rows of a window, and of all that reaches them."""
    return tuple(sorted({name for piece in pieces if not piece.beyond(window) for name in piece.names}))


def trim(folder: Path, most: int) -> None:
    """Where the files below a folder take more than `most` bytes, drop the ones used longest ago until three quarters are left."""
    held: list[tuple[float, int, Path]] = []
    for path in folder.rglob("*"):
        with suppress(OSError):  # another process drops files as well
            if path.is_file():
                facts = path.stat()
                held.append((facts.st_mtime, facts.st_size, path))
    left = sum(size for _, size, _ in held)
    if left <= most:
        return
    for _, size, path in sorted(held, key=lambda one: one[0]):
        with suppress(OSError):
            path.unlink()
        left -= size
        if left <= most * 3 // 4:
            return


def _moves(source: Source, window: Window) -> bool:
    """Whether a condition asks for times, which may be said as so long before now."""
    fields = (source.schema.get(condition.path) for condition in window.where)
    return any(item is not None and item.kind is Kind.TIME for item in fields)


def _blocks(low: int, high: int) -> Iterator[tuple[int, int]]:
    """Hours `low` to `high` in the fewest blocks of 1, 2, 4, 8 or 16 that begin at a multiple of their length."""
    while low < high:
        size = LONGEST_BLOCK
        while low % size or low + size > high:
            size //= 2
        yield low, low + size
        low += size


def _hour(hour: int) -> datetime:
    return from_micros(hour * HOUR_US)


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()[:32]


def _read(path: Path, read: Callable[[bytes], Held]) -> Held | None:
    """What a file holds, None where it is not there or damaged; the file counts as used just now."""
    try:
        found = read(path.read_bytes())
    except (OSError, StoreError):
        return None
    with suppress(OSError):  # a log that may only be read
        os.utime(path)
    return found


def _write(path: Path, data: bytes) -> bool:
    """Write a file whole or not at all; a log that may only be read, or a full disk, goes without."""
    unfinished = path.with_name(f"{path.name}.{uuid4().hex}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()
        return False
    return True
