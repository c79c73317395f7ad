"""What a diagnosis may ask of code: a slice of its window, and golden, replayed through what is declared to serve and what was golden's.

In: a report, where its two windows are read, pipelines. Out: `Parity`, `Swap`, `Rescored`, `Change`. `exact`, `declared` and
`counterfactual` ask; each question is answered once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from whimbrel.engine.port import Engine, Source
from whimbrel.errors import EvidenceError
from whimbrel.model.parity import Difference, Parity
from whimbrel.model.records import Records
from whimbrel.model.report import Report
from whimbrel.model.rows import Column
from whimbrel.model.swap import Change, Rescored, Swap
from whimbrel.model.window import Where, Window

N, GOLDEN_N = 500, 500
"""Predictions of a slice, and of golden, that are replayed: 459 hit a mismatch in 1% with 99% certainty."""
IDENTITY = ("model.version", "model.precision", "model.digest")
"""What tells one model from another, the most telling first."""
COLUMN = 20_000
"""Rows from which an input's distribution is taken."""
_LEAST = 50


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """Predictions that a replay takes, as flat records, and the question that they answer."""

    records: Records
    asked: tuple[Source, Window]


@dataclass(slots=True, eq=False)
class Again:
    """A window and golden, with the code that is declared to serve now and, where it is named, golden's."""

    engine: Engine
    report: Report
    window: tuple[Source, Window]
    golden: tuple[Source, Window]
    pipeline: Any
    golden_pipeline: Any = None
    _taken: dict[tuple[Where, datetime | None], Sampled] = field(default_factory=dict)
    _good: Sampled | None = None
    _parities: dict[Any, Parity] = field(default_factory=dict)
    _departed: dict[Any, Change] = field(default_factory=dict)

    @property
    def declared_name(self) -> str:
        """How a command names the declared code."""
        from whimbrel.replay import named

        return named(self.pipeline)

    @property
    def golden_name(self) -> str:
        """How a command names golden's code."""
        from whimbrel.replay import named

        return named(self.golden_pipeline)

    def sampled(self, where: Where = (), since: datetime | None = None) -> Sampled:
        """Recorded predictions of a slice; no conditions: the whole window; no moment: from its start.

        Raises:
            EvidenceError: the slice holds none.
        """
        from whimbrel.replay import drawn

        if (where, since) not in self._taken:
            source, window = self.window
            asked = replace(
                window, since=since or self.report.window.since, where=tuple(dict.fromkeys((*window.where, *where)))
            )
            records = drawn(self.engine, source, asked, N)
            if not records:
                raise EvidenceError("there is nothing to replay", where=asked.app, why="the slice holds no predictions")
            self._taken[where, since] = Sampled(records, (source, asked))
        return self._taken[where, since]

    def good(self) -> Sampled:
        """Recorded predictions of golden."""
        from whimbrel.replay import drawn

        if self._good is None:
            self._good = Sampled(drawn(self.engine, *self.golden, GOLDEN_N), self.golden)
        return self._good

    def parity(self, where: Where = (), since: datetime | None = None, *, golden_s: bool = False) -> Parity:
        """A slice through the declared code, or through golden's.

        Raises:
            EvidenceError: the slice holds no predictions.
        """
        from whimbrel.replay import replay

        key = (where, since, golden_s)
        if key not in self._parities:
            records = self.sampled(where, since).records
            code = self.golden_pipeline if golden_s else self.pipeline
            self._parities[key] = replay(self.report.app, code, records, self.good().records)
        return self._parities[key]

    def golden_parity(self, *, golden_s: bool = False) -> Parity | None:
        """Golden's own predictions through the declared code, or through golden's; None where golden holds none."""
        from whimbrel.replay import replay

        golden, key = self.good().records, ("golden", golden_s)
        if key not in self._parities and golden:
            code = self.golden_pipeline if golden_s else self.pipeline
            self._parities[key] = replay(self.report.app, code, golden, golden)
        return self._parities.get(key)

    def departed(self, where: Where = (), since: datetime | None = None) -> Change:
        """What a slice decided in production, against what the declared code decides of its raw inputs."""
        from whimbrel.replay import departed

        key = (where, since)
        if key not in self._departed:
            self._departed[key] = departed(self.pipeline, self.sampled(where, since).records)
        return self._departed[key]

    def on_golden(self) -> Change:
        """What the declared code decides of golden's raw inputs, against what was decided then."""
        from whimbrel.replay import departed

        if "golden" not in self._departed:
            self._departed["golden"] = departed(self.pipeline, self.good().records)
        return self._departed["golden"]

    def strange(self, lead: Difference, paths: Sequence[str], but: Collection[str] = ()) -> str:
        """The first of these fields in which the predictions that differ bear a value that golden's never do; empty where none is.

        Those with the ids `but` are not asked.
        """
        ids = {example["id"] for example in lead.examples}.difference(but)
        rows = [record for taken in self._taken.values() for record in taken.records if record.get("id") in ids]
        for path in paths:
            known = set(self.good().records.values(path))
            if rows and all(record.get(path) not in known for record in rows):
                return path
        return ""

    def swap(self, where: Where = (), since: datetime | None = None) -> Swap | None:
        """The swap matrix of the declared code and golden's on a slice's raw inputs; None where golden's is not named."""
        from whimbrel.replay import swap

        if self.golden_pipeline is None:
            return None
        names = (self.declared_name, self.golden_name)
        return swap(
            self.pipeline,
            self.golden_pipeline,
            self.sampled(where, since).records,
            before=self.good().records,
            names=names,
        )

    def rescore(
        self, paths: Sequence[str], where: Where, since: datetime | None, *, at_once: bool = False
    ) -> list[Rescored]:
        """These raw inputs of a slice put back to golden's, each by itself or all at once; what cannot be put back is left out."""
        from whimbrel.replay import rescore

        try:
            taken = self.sampled(where, since)
        except EvidenceError:
            return []
        columns = self._columns(paths, taken, where)
        return rescore(self.pipeline, taken.records, columns, golden=self.good().records, at_once=at_once)

    def feeds(self, paths: Sequence[str], field: str = "") -> list[str] | None:
        """Those of these raw inputs that a field is made of, or anything at all; None where that cannot be told."""
        from whimbrel.replay import feeds

        return feeds(self.pipeline, self.sampled().records, paths, field)

    def _columns(self, paths: Sequence[str], taken: Sampled, where: Where) -> dict[str, tuple[Column, Column]]:
        """Each input's column in the slice and in golden: the same slice there, all of golden where that holds too few."""
        engine = self.engine
        source, window = self.golden
        here = engine.rows(*taken.asked, paths=list(paths), limit=COLUMN)
        narrow = replace(window, where=tuple(dict.fromkeys((*window.where, *where))))
        there = engine.rows(source, narrow, paths=list(paths), limit=COLUMN)
        if len(there) < _LEAST:
            there = engine.rows(source, window, paths=list(paths), limit=COLUMN)
        sliced = {condition.path for condition in where}
        return {
            path: (here.columns[path], there.columns[path])
            for path in paths
            if path in here.columns and path in there.columns and path not in sliced and len(here) and len(there)
        }


def component_step(component: str) -> str:
    """The step, the outputs or the decision that a component belongs to; the component itself where it is none's."""
    head, _, rest = component.partition(".")
    if head == "steps":
        return f"steps.{rest.partition('.')[0]}"
    return "outputs" if head in ("outputs", "model") else "decision" if head in ("decision", "decisions") else component
