"""Retention: are the values of every prediction kept for so long, and is what is older gone?

In: a log, its ledger, the least and the longest time. Out: `Retained`, as verdict lines. An entry outlives its values, so that what is
missing can be told: a prediction whose values are gone before their time, unless somebody asked for their erasure. The salts of values that
are gone for good serve nobody, and a short list of guesses could be tried with them: `expire` destroys them, and an entry says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from whimbrel.ledger.entries import line
from whimbrel.ledger.forms import place_of
from whimbrel.ledger.keys import Keys
from whimbrel.ledger.lifecycle import TURN_S
from whimbrel.ledger.merkle.tiles import WIDTH
from whimbrel.ledger.reader import NAMES, SEED, erased_path, read_head, read_seed, seeds_at, tiles_of
from whimbrel.ledger.sequencer import now, random_id
from whimbrel.ledger.verdicts import FAILED, OK, UNSHOWN, Found, Verdict, entry_fields
from whimbrel.ledger.writer import Ledger
from whimbrel.model.window import Window
from whimbrel.store.appended import idents
from whimbrel.store.holds import held

if TYPE_CHECKING:
    from whimbrel.engine import Engine
    from whimbrel.store import Log

_SHOWN, _AN_ENTRY = 3, 2000
_NEVER = (
    "that backups, exports and bundles that were handed out are gone, too",
    "that what was never in the ledger was kept, or deleted",
)


@dataclass(frozen=True, slots=True)
class Retained:
    """Indexes of predictions without values: lost before their time, and expired ones whose salts are still there."""

    least: timedelta
    lost: tuple[int, ...]
    salted: tuple[int, ...]
    erased: int
    oldest: datetime | None
    overdue: int | None
    """Rows older than the longest time and not held; None where no longest time was given."""

    def found(self, at: datetime) -> Found:
        """As verdict lines."""
        days, age = self.least.days, at - self.oldest if self.oldest else timedelta(0)
        listed = ", ".join(f"entry {index:,}" for index in self.lost[:_SHOWN]) + (
            ", …" if len(self.lost) > _SHOWN else ""
        )
        rest = f"; {self.erased:,} were erased on request" if self.erased else ""
        kept = (
            Verdict("kept", FAILED, f"{len(self.lost):,} predictions younger than {days} days have no values: {listed}")
            if self.lost
            else Verdict("kept", OK, f"every prediction of the last {days} days has its values{rest}")
        )
        since = f"since {self.oldest:%Y-%m-%d}, {age.days:,} days" if self.oldest else "nothing is in it"
        reach = Verdict("reach", OK if age >= self.least else UNSHOWN, f"the ledger goes back {since}" if self.oldest else since)  # fmt: skip
        wrong = [f"{self.overdue:,} rows are older than they may be"] if self.overdue else []
        wrong += [f"{len(self.salted):,} predictions have lost their values and not their salts: --expire"] if self.salted else []  # fmt: skip
        none = (
            "no longest time was given: --most"
            if self.overdue is None
            else "nothing is older than it may be, but for what is held"
        )
        state = FAILED if wrong else UNSHOWN if self.overdue is None else OK
        return Found((kept, reach, Verdict("deleted", state, "; ".join(wrong) or none)), _NEVER)


def retained(
    log: Log, folder: Path, engine: Engine, at: datetime, least: timedelta, most: timedelta | None = None
) -> Retained:
    """Whether values are there for at least so long, and at most so long.

    Raises:
        StoreError: a table or the ledger cannot be read.
        ProofError: the ledger does not hold.
    """
    size = read_head(folder)[0].size
    lost, salted, erased, oldest = [], [], 0, None
    for index, moment, gone in _predictions(log, folder, size):
        oldest = moment if oldest is None else min(oldest, moment)
        if not gone:
            continue
        if (folder / erased_path(index)).exists():
            erased += 1
        elif moment > at - least:
            lost.append(index)
        elif any(read_seed(folder, index)):
            salted.append(index)
    overdue = None if most is None else _overdue(log, engine, at - most)
    return Retained(least, tuple(lost), tuple(salted), erased, oldest, overdue)


def expire(folder: Path, keys: Keys, salted: tuple[int, ...]) -> None:
    """Destroy the salts of predictions whose values are gone; an entry says so before.

    Raises:
        StoreError: the ledger cannot be written; the same call finishes it.
    """
    with Ledger(folder, keys, wait=TURN_S) as ledger:
        ranges = list(_ranges(salted))
        for first in range(0, len(ranges), _AN_ENTRY):
            part = ranges[first : first + _AN_ENTRY]
            ledger.append(line("expire", random_id(), now(), ranges=part))
        ledger.commit()
        for start, stop in ranges:
            at = start
            while at <= stop:
                path, offset, room = seeds_at(at)
                count = min(room // SEED, stop + 1 - at)
                ledger.disk.patch(path, offset, bytes(SEED * count))
                at += count


def _predictions(log: Log, folder: Path, size: int) -> Iterator[tuple[int, datetime, bool]]:
    """Index and time of each prediction's entry, and whether no row of the log has its id."""
    names = np.fromfile(folder / NAMES, "<u4")[:size] if size else np.zeros(0, np.uint32)
    there = [np.array([crc32(one.encode()) for one in part], np.uint32) for app in log.apps() for part in idents(log.layout.predictions(app))]  # fmt: skip
    gone = ~np.isin(names, np.concatenate(there) if there else np.zeros(0, np.uint32))
    nodes = tiles_of(folder, size)
    for number in range(-(-size // WIDTH)):
        mine = gone[number * WIDTH : (number + 1) * WIDTH]
        if not mine.any() and number:
            continue
        for at, entry in enumerate(nodes.entries(number)):
            if place_of(entry) is not None:
                yield number * WIDTH + at, datetime.fromisoformat(entry_fields(entry)["t"]), bool(mine[at])


def _overdue(log: Log, engine: Engine, end: datetime) -> int:
    """Rows from before `end` that nothing holds."""
    total = 0
    for app in log.apps():
        source = log.source(app)
        older = engine.extent(source, Window(app, None, end))[0]
        spans = [(one.since, min(one.until, end)) for one in held(log.layout.holds) if one.app in (None, app)]
        kept = sum(engine.extent(source, Window(app, *span))[0] for span in spans if span[0] < span[1])
        total += max(0, older - kept)
    return total


def _ranges(indexes: tuple[int, ...]) -> Iterator[list[int]]:
    """Stretches of indexes that follow each other, as [first, last]."""
    start = last = None
    for index in sorted(indexes):
        if last is not None and index == last + 1:
            last = index
            continue
        if start is not None and last is not None:
            yield [start, last]
        start = last = index
    if start is not None and last is not None:
        yield [start, last]
