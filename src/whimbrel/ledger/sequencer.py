"""The sequencer: what the log took in becomes entries of the ledger, each row once, in the order in which it came.

In: the log's tables, read from the cursor that the ledger keeps with its state. Out: entries, committed in groups. Rows are
read after they were appended to the log, so neither the request nor the ingest waits for the ledger; cursor and entries
become durable together, so whoever is killed in between does the rest again, and nothing twice.

A prediction's place is its recorder's session and its number there; what was imported is numbered here, by app. After each
pass every producer that brought something has a heartbeat: first and last number seen, how many are in the ledger, and how
many between them are not (they still run, were sampled out, or were lost). Labels and decisions that come after their prediction have entries of their own.
"""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import UUID

from whimbrel.ledger.entries import SEED, Predictions, committed, disclosures, entry_id, grouped_row, is_session, line
from whimbrel.ledger.writer import MOST, Ledger
from whimbrel.model.window import iso
from whimbrel.store import holds
from whimbrel.store.appended import Cursor, Rows, appended
from whimbrel.store.ingest import no_collections
from whimbrel.store.sql import connect

if TYPE_CHECKING:
    from whimbrel.store import Log

_PRODUCERS = 1000
"""Producers whose numbers are kept in mind; of one that was silent while so many others spoke, counting begins anew."""


@dataclass
class Sequencer:
    """Takes what is new in a log into its ledger."""

    log: Log
    ledger: Ledger
    cursor: dict[str, Any] = field(init=False)
    taken: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.cursor = copy.deepcopy(self.ledger.cursor)

    def take(self) -> dict[str, int]:
        """Take all that is new, and commit it; gives how many entries of each kind were made.

        Raises:
            StoreError: a table or the ledger cannot be read or written; the next call goes on where it was.
        """
        self.urgent()
        touched: dict[str, None] = {}
        with no_collections():
            for app in self.log.apps():
                self._predictions(app, touched)
                self._others("outcome", self.log.layout.labels(app), app)
                self._others("decision", self.log.layout.decisions(app), app)
        for producer in touched:
            self._heartbeat(producer)
        self._commit()
        return dict(self.taken)

    def urgent(self) -> dict[str, int]:
        """Take what cannot wait for all predictions before it, and commit it: starts, events and incidents, what is held."""
        self.taken = Counter()
        self._others("run", self.log.layout.processes)
        self._others("event", self.log.layout.events)
        self._holds()
        if self.taken["event"] or self.taken["hold"]:
            self._commit()
        return dict(self.taken)

    @cached_property
    def _con(self) -> Any:
        """One for all passes: making it costs more than a pass that finds nothing."""
        return connect()

    def _predictions(self, app: str, touched: dict[str, None]) -> None:
        cursors = self.cursor.setdefault("predictions", {})
        maker: Predictions | None = None
        for batch in appended(self.log.layout.predictions(app), Cursor.of(cursors.get(app)), con=self._con):
            if maker is None or maker.paths != batch.paths:
                maker = Predictions(app, batch.paths)
            columns = batch.columns
            producers, numbers = self._places(app, batch.paths, columns)
            seeds = os.urandom(SEED * len(batch.rows))
            entries = maker.make(columns, seeds, producers, numbers)
            places = [f"{producer}/{number}" for producer, number in zip(producers, numbers, strict=True)]
            self.ledger.extend(entries, seeds, columns[batch.paths.index("id")], places)
            self.taken["pred"] += len(entries)
            touched |= dict.fromkeys(producers)
            cursors[app] = batch.after.to_list()
            if self.ledger.waiting >= MOST // 2:
                self._commit()

    def _places(
        self, app: str, paths: Sequence[str], columns: Sequence[Sequence[Any]]
    ) -> tuple[Sequence[str], Sequence[int]]:
        """Who made each row, and its number there; both are counted. What no recorder numbered is numbered here, by app."""
        held = dict(zip(paths, columns, strict=True))
        rows, counted, imported = (
            len(held["id"]),
            self.cursor.setdefault("numbers", {}),
            f"import/{quote(app, safe='')}",
        )
        said, sessions = (held.get(path, (None,) * rows) for path in ("recorder.seq", "recorder.process"))
        own = [
            type(number) is float and number.is_integer() and is_session(session)
            for number, session in zip(said, sessions, strict=True)
        ] if any(said) else [False] * rows  # fmt: skip
        if all(own):
            producers, numbers = sessions, list(map(int, said))
        else:
            fresh = count(counted.get(app, 0) + 1)
            numbers = [int(number) if mine else next(fresh) for number, mine in zip(said, own, strict=True)]
            producers = [session if mine else imported for session, mine in zip(sessions, own, strict=True)]
            counted[app] = next(fresh) - 1
        seen: dict[str, list[int]] = {producers[0]: numbers}
        if len(set(producers)) > 1:
            seen = {producer: [] for producer in producers}
            for producer, number in zip(producers, numbers, strict=True):
                seen[producer].append(number)
        self._count(seen)
        return producers, numbers

    def _count(self, seen: Mapping[str, Sequence[int]]) -> None:
        """Keep each producer's first and last number and how many there are; the one that spoke last stands last."""
        known: dict[str, list[int]] = self.cursor.setdefault("producers", {})
        for producer, numbers in seen.items():
            first, last, logged = known.pop(producer, (numbers[0], numbers[0], 0))
            known[producer] = [min(first, *numbers), max(last, *numbers), logged + len(numbers)]
        while len(known) > _PRODUCERS:
            del known[next(iter(known))]

    def _others(self, kind: str, table: Any, app: str = "") -> None:
        """Entries of runs and events, and of labels and decisions that came later: one group each, their values in the table."""
        cursors = self.cursor.setdefault(kind, {})
        for batch in appended(table, Cursor.of(cursors.get(app)), con=self._con):
            ident, moment = _column(batch, "id"), _column(batch, "label_ts" if kind == "outcome" else "ts")
            for row in batch.rows:
                seed, own = os.urandom(SEED), ident(row)
                fr = committed(kind, disclosures(kind, grouped_row(kind, batch.paths, row), seed))
                about = {"of": entry_id(own, seed)} if app else {}
                name = own if kind == "run" and is_session(own) else random_id()
                entry = line(kind, name, moment(row) or now(), **about, n=1, fr=fr)
                self.ledger.append(entry, seed=seed, name=late_name(kind, own) if app else name)
                self.taken[kind] += 1
            cursors[app] = batch.after.to_list()
            if self.ledger.waiting >= MOST // 2:
                self._commit()

    def _holds(self) -> None:
        """Entries of what is held now and was not before, and of what was let go; the name and the reason are committed to."""
        known: dict[str, str] = self.cursor.setdefault("holds", {})
        held = {one.name: one for one in holds.held(self.log.layout.holds)}
        for name in [name for name in known if name not in held]:
            self.ledger.append(line("hold", random_id(), now(), action="release", of=known.pop(name)))
            self.taken["hold"] += 1
        for name, one in held.items():
            if name not in known:
                seed, known[name] = os.urandom(SEED), random_id()
                fr = committed("hold", disclosures("hold", {"hold": one.to_dict()}, seed))
                about = {"since": iso(one.since), "until": iso(one.until)}
                self.ledger.append(line("hold", known[name], now(), action="hold", **about, n=1, fr=fr), seed=seed)
                self.taken["hold"] += 1

    def _heartbeat(self, producer: str) -> None:
        first, last, logged = self.cursor["producers"][producer]
        told = {"first": first, "last": last, "logged": logged, "absent": last - first + 1 - logged}
        self.ledger.append(line("heartbeat", random_id(), now(), p=producer, **told))
        self.taken["heartbeat"] += 1

    def _commit(self) -> None:
        self.ledger.commit(copy.deepcopy(self.cursor))


def _column(batch: Rows, path: str) -> Callable[[Sequence[Any]], Any]:
    """Reads one value of a row; None where the table has no such column."""
    if path not in batch.paths:
        return lambda _: None
    at = batch.paths.index(path)
    return lambda row: row[at]


def late_name(kind: str, ident: str) -> str:
    """What the entry of a late label or decision is found by."""
    return f"{kind}/{ident}"


def random_id() -> str:
    """A new id that says nothing."""
    return str(UUID(bytes=os.urandom(16), version=4))


def now() -> str:
    """The time as entries have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
