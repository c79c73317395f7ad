"""Performance per watt: what was done for the energy that was recorded, and of how much none was.

In: an app's window. Out: `Energy`. Energy is `usage.energy_j` as the app recorded it, in joules; whether that is measured or reckoned, and
what it leaves out (the host, the network, cooling), only whoever recorded it can say. Work per joule is rate per watt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from whimbrel.errors import EvidenceError
from whimbrel.model.rows import Numbers
from whimbrel.model.window import Condition, Window

if TYPE_CHECKING:
    from whimbrel.engine import Engine, Source

JOULES, TOKENS = "usage.energy_j", "usage.output_tokens"


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of the measured requests of a window, and the work that they did."""

    requests: int
    measured: int
    joules: float
    median: float
    p95: float
    useful: int | None
    """Of the measured requests, those that did what was asked for; None where nobody said what that is."""

    tokens: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; `per_joule` is the rate per watt of each kind of work."""
        work = {"requests": self.measured, "useful": self.useful, "output_tokens": self.tokens}
        return {
            "schema": "whimbrel.energy/1", "requests": self.requests, "measured": self.measured, "joules": self.joules,
            "kwh": self.joules / 3.6e6, "joules_per_request": {"mean": self.joules / self.measured, "median": self.median, "p95": self.p95},
            "work": work, "per_joule": {name: None if done is None else done / self.joules if self.joules else None for name, done in work.items()},
            "source": f"{JOULES}, as the app recorded it; what it leaves out is not known here",
        }  # fmt: skip


def energy(engine: Engine, source: Source, window: Window, useful: tuple[Condition, ...] = ()) -> Energy:
    """The energy of a window, and what was done for it.

    Raises:
        EvidenceError: no energy was recorded.
        UsageError: a field is unknown.
    """
    requests = engine.extent(source, window)[0]
    measured = 0
    if source.schema.get(JOULES) is not None:
        known = Window(window.app, window.since, window.until, (*window.where, Condition(JOULES, "", "!=")))
        measured = engine.extent(source, known)[0]
    if not measured:
        raise EvidenceError(
            f"no energy was recorded of {requests:,} requests", where=f"{window.app}, {JOULES}", why="apps record it themselves",
            next="record it: prediction.usage(energy_j=…), for instance from the GPU's counter",
        )  # fmt: skip
    paths = [path for path in (JOULES, TOKENS) if source.schema.get(path) is not None]
    columns = engine.rows(source, known, paths=paths, limit=measured).columns
    sums = {}
    for path, column in columns.items():
        assert isinstance(column, Numbers)
        sums[path] = np.asarray(column.values)[~np.asarray(column.missing)].astype(float)
    joules = sums[JOULES]
    done = None
    if useful:
        done = engine.extent(source, Window(window.app, window.since, window.until, (*known.where, *useful)))[0]
    tokens = float(sums[TOKENS].sum()) if TOKENS in sums else None
    return Energy(requests, measured, float(joules.sum()), float(np.median(joules)), float(np.quantile(joules, 0.95)), done, tokens)  # fmt: skip
