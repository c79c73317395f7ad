"""Things that really broke production ML, as small frozen values that can be planted in the demo's app.

A fault hooks in where it would really happen: in what arrives (`inputs`), in an artefact of the app (`app`), or in
what is known of a request afterwards (`records`); everything downstream inherits it. How strong it is, is chosen by
its effect (`measure`), by going up `strengths`. This is the mechanism; `catalogue` is the list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whimbrel.drill.app import STEPS, App
from whimbrel.drill.columns import Bools, Columns, merge, take
from whimbrel.drill.records import drop, served
from whimbrel.drill.world import World

Change: TypeAlias = Callable[[Columns, float], Columns]
"""Columns of the rows hit, and a strength, to the columns that change."""
Break: TypeAlias = Callable[[App, float, World], App]
"""The app as it is, and a strength, to the app as it runs where the fault hits."""
Values: TypeAlias = Callable[[NDArray[Any], float], NDArray[Any]]
"""One column's values, and a strength, to the values that arrive instead."""
Measure: TypeAlias = Literal["flips", "p95", "share"]

CALLER = ("context.origin", "context.region", "context.channel", "context.tenant")
HOST = ("hardware.host",)
SHARE_BANDS = {"subtle": (0.003, 0.02), "medium": (0.02, 0.08), "loud": (0.08, 1.01)}
BANDS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "flips": SHARE_BANDS,
    "share": SHARE_BANDS,
    "p95": {"subtle": (0.05, 0.10), "medium": (0.10, 0.30), "loud": (0.30, 100.0)},
}
"""Effect on all traffic since the onset: decisions flipped, rows touched, or how much longer the slowest 5% take."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `components` are the paths that are right answers, the best one first.

    `dims` are the tags by which it can be confined to a slice. `whole` faults concern a whole table (a column's type).
    `code` says whether the recorder would see another fingerprint: always, never, or either (each happens).
    """

    id: str
    layer: str
    components: tuple[str, ...]
    says: str
    strengths: tuple[float, ...] = (1.0,)
    measure: Measure = "flips"
    dims: tuple[str, ...] = CALLER
    whole: bool = False
    code: Literal["always", "never", "either"] = "never"
    inputs: Change | None = None
    app: Break | None = None
    records: Change | None = None

    @property
    def kind(self) -> str:
        """The id without the variant: `D02` of `D02/distance`."""
        return self.id.partition("/")[0]

    def band(self, effect: float) -> str:
        """The severity that this effect amounts to; empty where it is too weak for any."""
        bands = BANDS[self.measure].items()
        return next((name for name, (low, high) in bands if low <= effect < high), "")


def input_fault(
    fault_id: str, says: str, change: Values, strengths: tuple[float, ...] = (1.0,),
    *, names: tuple[str, ...] = (), rare: bool = False, whole: bool = False,
) -> Fault:  # fmt: skip
    """A fault of raw inputs: of the one that the id names, or of `names` together.

    `rare` ones hit the share of rows that their strength says.
    """
    names = names or (fault_id.partition("/")[2],)

    def inputs(columns: Columns, strength: float) -> Columns:
        out = {}
        for name in names:
            was = columns[f"inputs.{name}"]
            now = change(was, strength)
            out[f"inputs.{name}"] = np.where(columns["luck.coin"] < strength, now, was) if rare else now
        return out

    components = tuple(f"inputs.{name}" for name in names)
    return Fault(fault_id, "data", components, says, strengths, whole=whole, inputs=inputs)


@dataclass(frozen=True, slots=True, eq=False)
class Planted:
    """A fault at a strength, in a world; `seen` says whether the recorder sees another fingerprint."""

    fault: Fault
    strength: float
    world: World
    seen: bool = True

    def app(self) -> App:
        """The app where the fault hits."""
        healthy = self.world.app
        if self.fault.app is None:
            return healthy
        broken = self.fault.app(healthy, self.strength, self.world)
        if self.seen:
            return broken
        said = healthy.fingerprints()
        return replace(broken, code=tuple((step, said[step]) for step in STEPS))

    def requests(self, requests: Columns) -> Columns:
        """The requests as they arrive where the fault hits."""
        return requests | self.fault.inputs(requests, self.strength) if self.fault.inputs else requests

    def serve(self, clean: Columns, requests: Columns, hit: Bools) -> Columns:
        """The clean records, with those that the fault hits made anew; all labels that will ever come."""
        arrived = self.requests(take(requests, hit))
        broken = served(self.app(), arrived)
        if self.fault.records is not None:
            broken |= self.fault.records(arrived | broken, self.strength)
        return drop(merge(clean, hit, broken))
