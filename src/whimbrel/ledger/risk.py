"""Risk per request: how often each kind of harm happened, weighted by how bad it is, with an exact interval.

In: an app's window, kinds of harm. Out: `Risk`. The definition is ours, none is standard, and it is printed with every figure:

    risk per request = Σ weight(s) · k(s) / n

n requests of the window are judged: all fields that the kinds of harm speak of are known of them, so that one whose label has not come
yet counts neither as harm nor as none. k(s) of them suffered harm s. Each share has the interval of Clopper and Pearson at a level of
1 - 0.05 / (number of kinds), so that all hold together in 95 of 100 cases at least, and so does the weighted sum of their ends.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from whimbrel.errors import EvidenceError, UsageError
from whimbrel.model.window import Condition, Window, iso
from whimbrel.stats.intervals import clopper_pearson

if TYPE_CHECKING:
    from whimbrel.engine import Engine, Source

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Harm:
    """A kind of harm: its name, its weight (how bad one is, in whatever unit the owner chose), and what tells it."""

    name: str
    weight: float
    where: tuple[Condition, ...]

    @staticmethod
    def parse(text: str) -> Harm:
        """Read `NAME:WEIGHT:PATH=VALUE[,PATH=VALUE…]`.

        Raises:
            UsageError: it is not of this form, or the weight is no number of at least 0.
        """
        name, _, rest = text.partition(":")
        number, _, said = rest.partition(":")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not name or not said or not 0 <= weight < math.inf:
            raise UsageError(
                f"cannot read the harm {text!r}", where="--harm", why="a name, a weight of at least 0 and conditions are expected",
                next="--harm fraud-paid:25:decision=accept,label=fraud",
            )  # fmt: skip
        return Harm(name, weight, tuple(Condition.parse(one) for one in said.split(",")))


@dataclass(frozen=True, slots=True)
class Share:
    """How many of the judged requests suffered one kind of harm, and the interval of their share."""

    harm: Harm
    count: int
    low: float
    high: float

    def to_dict(self, judged: int) -> dict[str, Any]:
        """Plain JSON."""
        about = {"name": self.harm.name, "weight": self.harm.weight, "count": self.count}
        return {**about, "rate": self.count / judged, "low": self.low, "high": self.high}


_LOW, _HIGH = attrgetter("low"), attrgetter("high")


@dataclass(frozen=True, slots=True)
class Risk:
    """Risk per request of a window: `judged` of its `requests`, with the definition that it was reckoned by."""

    window: Window
    requests: int
    judged: int
    shares: tuple[Share, ...]
    thinned: int
    """Judged requests that stand for others which were not kept."""

    @property
    def value(self) -> float:
        """Weighted harm per request."""
        return sum(one.harm.weight * one.count for one in self.shares) / self.judged

    @property
    def interval(self) -> tuple[float, float]:
        """Between what it lies, in 95 of 100 cases at least."""
        low, high = (sum(one.harm.weight * end(one) for one in self.shares) for end in (_LOW, _HIGH))
        return low, high

    def definition(self) -> dict[str, Any]:
        """What was reckoned, and of whom."""
        since, until = (None if end is None else iso(end) for end in (self.window.since, self.window.until))
        return {
            "risk": "sum of weight * count / judged, over kinds of harm that exclude each other",
            "judged": "requests of which every field that a kind of harm names is known",
            "interval": f"Clopper-Pearson for each kind at {1 - (1 - LEVEL) / len(self.shares):.4g}, so that all hold together at {LEVEL}",
            "harms": [
                {"name": one.harm.name, "weight": one.harm.weight, "where": [str(condition) for condition in one.harm.where]}
                for one in self.shares
            ],
            "population": {"app": self.window.app, "since": since, "until": until, "where": [str(one) for one in self.window.where]},
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; `definition_id` is the SHA-256 of the definition."""
        definition = self.definition()
        text = json.dumps(definition, sort_keys=True, separators=(",", ":"))
        low, high = self.interval
        return {
            "schema": "whimbrel.risk/1", "definition": definition, "definition_id": hashlib.sha256(text.encode()).hexdigest(),
            "requests": self.requests, "judged": self.judged, "thinned": self.thinned,
            "harms": [one.to_dict(self.judged) for one in self.shares],
            "risk_per_request": self.value, "low": low, "high": high,
        }  # fmt: skip


def risk(engine: Engine, source: Source, window: Window, harms: Sequence[Harm]) -> Risk:
    """The risk per request of a window.

    Raises:
        UsageError: no harm is named, a field is unknown, or two kinds of harm fit one request.
        EvidenceError: not one request is judged.
    """
    if not harms:
        raise UsageError("no kind of harm is named", where="--harm", next="--harm fraud-paid:25:decision=accept,label=fraud")  # fmt: skip

    def count(*conditions: Condition) -> int:
        where = tuple(dict.fromkeys((*window.where, *conditions)))
        return engine.extent(source, Window(window.app, window.since, window.until, where))[0]

    known = tuple(Condition(path, "", "!=") for path in dict.fromkeys(one.path for harm in harms for one in harm.where))
    judged = count(*known)
    if not judged:
        raise EvidenceError(
            "not one request is judged", where=window.app, why=f"{', '.join(one.path for one in known)}: not all are known of any",
            next="record labels: recorder.label(id, …), or import them",
        )  # fmt: skip
    for one, other in combinations(harms, 2):
        if both := count(*known, *one.where, *other.where):
            raise UsageError(
                f"{both:,} requests suffer both {one.name} and {other.name}", where="--harm", why="each request counts once",
                next="make the conditions exclude each other",
            )  # fmt: skip
    level = 1 - (1 - LEVEL) / len(harms)
    counts = [count(*known, *harm.where) for harm in harms]
    shares = [Share(harm, hits, *clopper_pearson(hits, judged, level=level)) for harm, hits in zip(harms, counts, strict=True)]  # fmt: skip
    share = source.schema.get("recorder.share")
    thinned = count(*known, Condition("recorder.share", "1", "<")) if share is not None else 0
    return Risk(window, count(), judged, tuple(shares), thinned)
