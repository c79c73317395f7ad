"""The log's values against what the ledger's entries committed to: which rows were changed since.

In: a log and its ledger. Out: how many rows agree, differ, have no entry yet. This needs the seeds of the salts, so only
whoever keeps the log can do it; an auditor sees it done, or asks for proofs of rows of their choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from whimbrel.ledger.entries import Predictions
from whimbrel.ledger.forms import place_of
from whimbrel.ledger.reader import NAMES, SEED, read_head, seeds_at, tiles_of
from whimbrel.ledger.verdicts import FAILED, OK, UNSHOWN, Verdict, entry_fields
from whimbrel.store.appended import Cursor, appended

if TYPE_CHECKING:
    from whimbrel.store import Log

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Values:
    """Rows of the log that agree with their entries, those that do not, and those that have none."""

    agree: int
    differ: tuple[str, ...]
    without: int

    def verdict(self) -> Verdict:
        """As a line."""
        if self.differ:
            listed = ", ".join(self.differ[:_SHOWN]) + (", …" if len(self.differ) > _SHOWN else "")
            return Verdict("disclosures", FAILED, f"{len(self.differ):,} rows are not what was committed to: {listed}")
        rest = f"; {self.without:,} rows have no entry yet" if self.without else ""
        return Verdict(
            "disclosures",
            OK if self.agree else UNSHOWN,
            f"{self.agree:,} rows of the log are what was committed to{rest}",
        )


def check_values(log: Log, folder: Path) -> Values:
    """Compare every prediction of the log with its entry.

    Raises:
        StoreError: a table or the ledger cannot be read.
        ProofError: the ledger does not hold.
    """
    size = read_head(folder)[0].size
    nodes = tiles_of(folder, size)
    bundle = lru_cache(64)(nodes.entries)
    names = np.fromfile(folder / NAMES, "<u4")[:size] if (folder / NAMES).exists() else np.zeros(0, np.uint32)
    order = np.argsort(names, kind="stable")
    ranked = names[order]

    @lru_cache(64)
    def seeds(path: str) -> bytes:
        return (folder / path).read_bytes()

    def seed(index: int) -> bytes:
        path, offset, _ = seeds_at(index)
        return seeds(path)[offset : offset + SEED]

    def entries_of(ident: str) -> Iterator[tuple[int, bytes]]:
        """The entries of predictions that may be of this id, with their indexes."""
        name = np.uint32(crc32(ident.encode()))
        at = int(ranked.searchsorted(name))
        while at < len(ranked) and ranked[at] == name:
            index = int(order[at])
            if b'"k":"pred"' in (entry := bundle(index // 256)[index % 256]):
                yield index, entry
            at += 1

    agree, without, differ = 0, 0, []
    for app in log.apps():
        maker: Predictions | None = None
        for batch in appended(log.layout.predictions(app), Cursor()):
            if maker is None or maker.paths != batch.paths:
                maker = Predictions(app, batch.paths)
            at = batch.paths.index("id")
            pairs = [(row, index, entry) for row in batch.rows for index, entry in entries_of(row[at])]
            states: dict[str, list[bool]] = {row[at]: [] for row in batch.rows}
            for (row, _, entry), made in zip(pairs, _made(maker, pairs, seed), strict=True):
                ident = entry_fields(made)["id"] if made != entry else ""
                if made == entry or ident == (told := entry_fields(entry)["id"]) or str(told).startswith("h-"):
                    states[row[at]].append(made == entry)
            agree += sum(any(one) for one in states.values())
            without += sum(not one for one in states.values())
            differ += [f"{app} {ident}" for ident, one in states.items() if one and not any(one)]
    return Values(agree, tuple(differ), without)


def _made(
    maker: Predictions, pairs: Sequence[tuple[tuple[object, ...], int, bytes]], seed: Callable[[int], bytes]
) -> list[bytes]:
    """The entries that rows make with the seeds and the places of those that may be theirs."""
    if not pairs:
        return []
    rows, indexes, entries = zip(*pairs, strict=True)
    places = [place_of(entry) or ("", 0) for entry in entries]
    columns = list(zip(*rows, strict=True))
    return maker.make(columns, b"".join(map(seed, indexes)), *zip(*places, strict=True))
