"""What a diagnosis answers: a sentence with its proof. `to_dict()` is the contract's `whimbrel.report/1`.

Results carry no widgets: text, JSON and HTML are drawn by `report/` from these values alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from whimbrel.model.window import Where, iso, where_dict

SCHEMA = "whimbrel.report/1"

LAYERS = ("data", "features", "model", "decision", "labels", "training", "serving", "hardware", "recorder")
"""The only layers, in causal order as far as there is one."""

EvidenceKind = Literal["exact", "identity", "invariant", "residual", "marginal", "timing"]
Verdict = Literal["fault", "notice", "healthy", "insufficient"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One piece of proof: its kind, what it says in words, and the numbers behind the words."""

    kind: EvidenceKind
    says: str
    numbers: Mapping[str, float | int | str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As the contract spells it."""
        return {"kind": self.kind, "says": self.says, "numbers": dict(self.numbers)}


@dataclass(frozen=True, slots=True)
class NearEvent:
    """An event near the onset; `lag_s` is onset minus event, in seconds (negative where the event came after)."""

    ts: datetime
    kind: str
    what: str
    lag_s: int

    def to_dict(self) -> dict[str, Any]:
        """As the contract spells it."""
        return {"ts": iso(self.ts), "kind": self.kind, "what": self.what, "lag_s": self.lag_s}


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a time series: the value in a stretch of time from `n` predictions, with its 95% interval."""

    ts: datetime
    value: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"ts": iso(self.ts), "value": self.value, "low": self.low, "high": self.high, "n": self.n}


@dataclass(frozen=True, slots=True)
class Slice:
    """How one slice moved: the measured value before and after, and on the rest of traffic before and after.

    `explains` is the share of the whole change that disappears when the slice is held at its old level.
    """

    where: Where
    n: int
    before: float
    after: float
    low: float
    high: float
    explains: float
    rest_before: float
    rest_after: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "where": where_dict(self.where), "n": self.n, "before": self.before, "after": self.after,
            "low": self.low, "high": self.high, "explains": self.explains,
            "rest_before": self.rest_before, "rest_after": self.rest_after,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """A field's distribution inside the slice, before and after: shares per labelled bin, each summing to one."""

    path: str
    bins: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"path": self.path, "bins": list(self.bins), "before": list(self.before), "after": list(self.after)}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that broke: layer, component, slice, since, harm, with evidence and victims."""

    rank: int
    layer: str
    component: str
    where: Where
    since: datetime | None
    confidence: float
    harmful: bool
    harm: Mapping[str, float]
    what: str
    evidence: tuple[Evidence, ...]
    events: tuple[NearEvent, ...] = ()
    victims: tuple[str, ...] = ()
    next: str = ""
    measure: str = ""
    """What `series` and `slices` measure, in words: "share of rows that break the relation"."""
    series: tuple[Point, ...] = ()
    slices: tuple[Slice, ...] = ()
    shapes: tuple[Shape, ...] = ()
    examples: tuple[Mapping[str, Any], ...] = ()
    """A few rows that show it: `{"id": …, "ts": …, path: value, …}`."""

    def to_dict(self) -> dict[str, Any]:
        """As the contract spells it, and the drawing's material after it."""
        return {
            "rank": self.rank, "layer": self.layer, "component": self.component, "where": where_dict(self.where),
            "since": iso(self.since) if self.since else None, "confidence": self.confidence, "harmful": self.harmful,
            "harm": dict(self.harm), "what": self.what, "evidence": [e.to_dict() for e in self.evidence],
            "events": [e.to_dict() for e in self.events], "victims": list(self.victims), "next": self.next,
            "measure": self.measure, "series": [p.to_dict() for p in self.series],
            "slices": [s.to_dict() for s in self.slices], "shapes": [s.to_dict() for s in self.shapes],
            "examples": [dict(e) for e in self.examples],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch that was looked at: its ends, its conditions, and how many predictions it holds."""

    since: datetime | None
    until: datetime | None
    predictions: int
    where: Where = ()
    name: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As the contract spells it."""
        out: dict[str, Any] = {"name": self.name} if self.name else {}
        out |= {"since": iso(self.since) if self.since else None, "until": iso(self.until) if self.until else None}
        return out | {"where": where_dict(self.where), "predictions": self.predictions}


@dataclass(frozen=True, slots=True)
class Traffic:
    """A change of the world, which is never a fault: what moved, and the fields whose movement it explains."""

    what: str
    explains: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As the contract spells it."""
        return {"what": self.what, "explains": list(self.explains)}


@dataclass(frozen=True, slots=True)
class CannotTell:
    """A layer that could not be judged, and the data that is missing for it."""

    layer: str
    needs: str

    def to_dict(self) -> dict[str, Any]:
        """As the contract spells it."""
        return {"layer": self.layer, "needs": self.needs}


@dataclass(frozen=True, slots=True)
class Report:
    """The answer: one sentence, the findings behind it, what was cleared and what could not be told."""

    app: str
    window: Span
    golden: Span
    verdict: Verdict
    sentence: str
    findings: tuple[Finding, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    cleared: tuple[str, ...] = ()
    cannot_tell: tuple[CannotTell, ...] = ()
    notes: tuple[str, ...] = ()
    """What the reader must know to trust the answer: sampled rows, skipped fields, thin hours."""
    took_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The contract's report, keys in its order."""
        return {
            "schema": SCHEMA, "app": self.app, "window": self.window.to_dict(), "golden": self.golden.to_dict(),
            "verdict": self.verdict, "sentence": self.sentence, "findings": [f.to_dict() for f in self.findings],
            "traffic": [t.to_dict() for t in self.traffic], "cleared": list(self.cleared),
            "cannot_tell": [c.to_dict() for c in self.cannot_tell], "notes": list(self.notes), "took_s": self.took_s,
        }  # fmt: skip

    def _repr_html_(self) -> str:
        from whimbrel.report import html  # drawn where a notebook asks for it; the report itself holds no markup

        return html.fragment(self)
