"""Things that really broke production ML, as small frozen values that can be planted in an app.

A fault hooks in where it would really happen: in what arrives (`inputs`), in an artefact of the app (`app`), or in
what is known of a request afterwards (`records`); everything downstream inherits it. How strong it is, is chosen by
its effect (`measure`), by going up `strengths`. This is the mechanism; `kinds` makes faults, the apps list theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeAlias

import numpy as np

from whimbrel.drill.columns import Bools, Columns, length, merge, take
from whimbrel.drill.records import drop, known_by, served
from whimbrel.drill.world import Served, World

Change: TypeAlias = Callable[[Columns, float], Columns]
"""Columns of the rows hit, and a strength, to the columns that change."""
Break: TypeAlias = Callable[[Any, float, World], Any]
"""The app as it is, and a strength, to the app as it runs where the fault hits."""
Measure: TypeAlias = Literal["flips", "p95", "share", "cost", "none"]
"""Decisions flipped; how much longer the slowest 5% take; rows touched; cost; nothing at all."""

HOST = ("hardware.host",)
SHARE_BANDS = {"subtle": (0.003, 0.02), "medium": (0.02, 0.08), "loud": (0.08, 1.01)}
BANDS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "flips": SHARE_BANDS,
    "share": SHARE_BANDS,
    "p95": {"subtle": (0.05, 0.10), "medium": (0.10, 0.30), "loud": (0.30, 100.0)},
    "cost": {"subtle": (0.02, 0.05), "medium": (0.05, 0.15), "loud": (0.15, 100.0)},
    "none": {"subtle": (-1.0, 2.0), "medium": (-1.0, 2.0), "loud": (-1.0, 2.0)},
}
"""Effect on all traffic since the onset, by measure."""
SEVERITIES = ("subtle", "medium", "loud")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `components` are the paths that are right answers, the best one first.

    `dims` are the tags by which it can be confined to a slice; the app's callers where it names none. `whole` faults
    concern a whole table (a column's type). `code` says whether the recorder would see another fingerprint: always,
    never, or either (each happens). `others` are further layers and components of which each is a right answer too:
    those of a fault that is two.
    """

    id: str
    layer: str
    components: tuple[str, ...]
    says: str
    strengths: tuple[float, ...] = (1.0,)
    measure: Measure = "flips"
    dims: tuple[str, ...] = ()
    whole: bool = False
    code: Literal["always", "never", "either"] = "never"
    inputs: Change | None = None
    app: Break | None = None
    records: Change | None = None
    others: tuple[tuple[str, str], ...] = ()

    @property
    def kind(self) -> str:
        """The id without the variant: `D02` of `D02/distance`."""
        return self.id.partition("/")[0]

    @property
    def harmless(self) -> bool:
        """Whether nothing comes of it."""
        return self.measure == "none"

    def band(self, effect: float) -> str:
        """The severity that this effect amounts to; empty where it is too weak for any."""
        if self.harmless:
            return "harmless"
        bands = BANDS[self.measure].items()
        return next((name for name, (low, high) in bands if low <= effect < high), "")


@dataclass(frozen=True, slots=True, eq=False)
class Planted:
    """A fault at a strength, in a world; `seen` says whether the recorder sees another fingerprint."""

    fault: Fault
    strength: float
    world: World
    seen: bool = True

    def app(self) -> Served:
        """The app where the fault hits."""
        healthy: Served = self.world.app
        if self.fault.app is None:
            return healthy
        broken: Served = self.apply(healthy)
        return broken if self.seen else broken.saying(healthy.fingerprints())

    def apply(self, app: Any) -> Any:
        """An app with the fault in it."""
        return app if self.fault.app is None else self.fault.app(app, self.strength, self.world)

    @property
    def declared(self) -> bool:
        """Whether somebody released it: a step under a fingerprint of its own, a model that was trained anew."""
        layer = self.fault.layer
        return self.fault.app is not None and (layer == "training" or (self.seen and layer == "features"))

    def requests(self, requests: Columns) -> Columns:
        """The requests as they arrive where the fault hits."""
        return requests | self.fault.inputs(requests, self.strength) if self.fault.inputs else requests

    def hit(self, clean: Columns, requests: Columns, hit: Bools) -> Columns:
        """The clean records, with those that the fault hits made anew, and nothing dropped yet."""
        arrived = self.requests(take(requests, hit))
        broken = served(self.app(), arrived)
        if self.fault.records is not None:
            broken |= self.fault.records(arrived | broken, self.strength)
        return merge(clean, hit, broken)

    def serve(self, clean: Columns, requests: Columns, hit: Bools) -> Columns:
        """The same as the log would hold it; all labels that will ever come."""
        return drop(self.hit(clean, requests, hit))

    def effect(self, clean: Columns, requests: Columns, hit: Bools, asked_on: datetime | None = None) -> float:
        """What it does to all of these requests, in its own measure; of labels, to those that have come by `asked_on`."""
        fault = self.fault
        if fault.harmless:
            return 0.0
        out = self.serve(clean, requests, hit)
        if fault.layer == "labels" and asked_on is not None:
            clean, out = known_by(clean, asked_on), known_by(out, asked_on)
        return self._measured(fault.measure, clean, out, hit)

    def severity(self, effect: float, clean: Columns, requests: Columns, hit: Bools) -> str:
        """The severity that this effect amounts to; where its own measure is too small for any, that of the decisions it flips."""
        fault = self.fault
        own = fault.band(effect)
        if own or fault.measure == "flips" or fault.layer in ("labels", "recorder"):
            return own
        flips = self._measured("flips", clean, self.serve(clean, requests, hit), hit)
        return replace(fault, measure="flips").band(flips)

    def _measured(self, measure: Measure, clean: Columns, out: Columns, hit: Bools) -> float:
        fault = self.fault
        if measure == "p95":
            return float(np.quantile(out["spans.total"], 0.95) / np.quantile(clean["spans.total"], 0.95) - 1)
        if measure == "cost":
            path = next(path for path in clean if path.startswith("usage.cost"))
            return float(abs(out[path].sum() / clean[path].sum() - 1))
        if fault.layer == "recorder":
            return abs(1 - length(out) / length(clean)) if length(out) != length(clean) else float(hit.mean())
        path = fault.components[0] if measure == "share" else "decision"
        before, now = clean[path], out[path]
        same = (before == now) | ((before != before) & (now != now))
        return float(1 - same.mean())
