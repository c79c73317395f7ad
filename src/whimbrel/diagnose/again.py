"""What a diagnosis may ask of code: a slice of its window, and golden, replayed through what is declared to serve and what was golden's.

In: a log, a report, pipelines. Out: `Parity`, `Swap`, `Rescored`, `Change`. `exact`, `declared` and `counterfactual` ask; each question
is answered once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from whimbrel.errors import EvidenceError
from whimbrel.model.parity import Parity
from whimbrel.model.report import Report
from whimbrel.model.rows import Column
from whimbrel.model.swap import Change, Rescored, Swap
from whimbrel.model.window import Where, Window

if TYPE_CHECKING:
    from whimbrel.engine import Engine
    from whimbrel.replay import Sampled
    from whimbrel.store import Log

COLUMN = 20_000
"""Rows from which an input's distribution is taken."""
_LEAST = 50


@dataclass(slots=True, eq=False)
class Again:
    """A window and golden of a log, with the code that is declared to serve now and, where it is named, golden's."""

    log: Log
    report: Report
    window: Window
    pipeline: Any
    golden_pipeline: Any = None
    golden: str | None = None
    golden_window: Window | None = None
    engine: str | Engine = "duckdb"
    _taken: dict[tuple[Where, datetime | None], Sampled] = field(default_factory=dict)
    _parities: dict[Any, Parity] = field(default_factory=dict)

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

    def sampled(self, where: Where, since: datetime | None) -> Sampled:
        """Recorded predictions of a slice (no conditions: the whole window; no moment: from its start) and of golden.

        Raises:
            EvidenceError: the slice holds none.
        """
        from whimbrel.replay import sampled

        if (where, since) not in self._taken:
            asked = replace(
                self.window, since=since or self.report.window.since,
                where=tuple(dict.fromkeys((*self.window.where, *where))),
            )  # fmt: skip
            span = self.report.golden
            before = self.golden_window or Window(self.report.app, span.since, span.until, self.window.where)
            self._taken[where, since] = sampled(
                self.log,
                app=self.report.app,
                window=asked,
                golden=self.golden,
                golden_window=before,
                engine=self.engine,
            )
        return self._taken[where, since]

    def parity(self, where: Where = (), since: datetime | None = None, *, golden_s: bool = False) -> Parity:
        """A slice through the declared code, or through golden's.

        Raises:
            EvidenceError: the slice holds no predictions.
        """
        from whimbrel.replay import replay

        key = (where, since, golden_s)
        if key not in self._parities:
            taken = self.sampled(where, since)
            code = self.golden_pipeline if golden_s else self.pipeline
            self._parities[key] = replay(taken.app, code, taken.records, taken.golden, spans=taken.spans)
        return self._parities[key]

    def golden_parity(self, *, golden_s: bool = False) -> Parity | None:
        """Golden's own predictions through the declared code, or through golden's; None where golden holds none."""
        from whimbrel.replay import replay

        taken = self.sampled((), None)
        key = ("golden", golden_s)
        if key not in self._parities and taken.golden:
            code = self.golden_pipeline if golden_s else self.pipeline
            self._parities[key] = replay(taken.app, code, taken.golden, taken.golden)
        return self._parities.get(key)

    def departed(self, where: Where = (), since: datetime | None = None) -> Change:
        """What a slice decided in production, against what the declared code decides of its raw inputs."""
        from whimbrel.replay import departed

        return departed(self.pipeline, self.sampled(where, since).records)

    def on_golden(self) -> Change:
        """What the declared code decides of golden's raw inputs, against what was decided then."""
        from whimbrel.replay import departed

        return departed(self.pipeline, self.sampled((), None).golden)

    def swap(self) -> Swap | None:
        """The swap matrix of the declared code and golden's on the window's raw inputs; None where golden's is not named."""
        from whimbrel.replay import swap

        if self.golden_pipeline is None:
            return None
        taken = self.sampled((), None)
        names = (self.declared_name, self.golden_name)
        return swap(self.pipeline, self.golden_pipeline, taken.records, before=taken.golden, names=names)

    def rescore(self, paths: Sequence[str], where: Where, since: datetime | None) -> list[Rescored]:
        """These raw inputs of a slice put back to golden's, each by itself; what cannot be put back is left out."""
        from whimbrel.replay import rescore

        try:
            taken = self.sampled(where, since)
        except EvidenceError:
            return []
        columns = self._columns(paths, taken, where)
        return rescore(self.pipeline, taken.records, columns, golden=taken.golden)

    def _columns(self, paths: Sequence[str], taken: Sampled, where: Where) -> dict[str, tuple[Column, Column]]:
        """Each input's column in the slice and in golden: the same slice there, all of golden where that holds too few."""
        from whimbrel.engine import engine_named

        engine = engine_named(self.engine)
        source, window = taken.before
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
