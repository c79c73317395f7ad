"""What a comparison answers: each field's movement, in words and numbers, and how the mix of traffic changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from whimbrel.model.report import Shape, Span
from whimbrel.model.window import iso

SCHEMA = "whimbrel.comparison/1"


@dataclass(frozen=True, slots=True)
class Movement:
    """How far one column lies from what golden gives for the window's mix of hours and traffic.

    `score` counts standard deviations beyond golden's own restlessness, the greatest of three questions: all bins,
    null or not, inside or outside what golden held. `distance` is the Jensen-Shannon distance of all bins, 0 to 1.
    `outside_*` is the share of wrong types and of values where golden has none: out of its range, in a gap of it, texts
    that it lacks. `since` is the hour in which it began, where it began inside the window. `explained_by` names the mix that was taken out first.
    """

    path: str
    moved: bool
    score: float
    distance: float
    what: str
    null_before: float
    null_after: float
    outside_before: float
    outside_after: float
    since: datetime | None
    explained_by: tuple[str, ...]
    shape: Shape

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "path": self.path, "moved": self.moved, "score": self.score, "distance": self.distance, "what": self.what,
            "null_before": self.null_before, "null_after": self.null_after,
            "outside_before": self.outside_before, "outside_after": self.outside_after,
            "since": iso(self.since) if self.since else None, "explained_by": list(self.explained_by),
            "shape": self.shape.to_dict(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mix:
    """How the share of traffic with one value of a dimension changed: more of it, less, for the first time, no more."""

    path: str
    value: str | None
    before: float
    after: float
    change: Literal["grew", "shrank", "new", "gone"]

    @property
    def what(self) -> str:
        """The change in words."""
        name = f"{self.path}: {'null' if self.value is None else self.value}"
        if self.change == "new":
            return f"{name} is new with {percent(self.after)}"
        if self.change == "gone":
            return f"{name} is gone, it held {percent(self.before)}"
        return f"{name} {self.change} from {percent(self.before)} to {percent(self.after)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "path": self.path, "value": self.value, "before": self.before, "after": self.after,
            "change": self.change, "what": self.what,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Comparison:
    """A window against golden. Fields are ordered by how far they moved; `moved` are those past the threshold.

    The threshold is one for all fields: a golden day held against the other golden days passes it once in a hundred
    times. `days` is how many golden days it was learned from; 0 where there were too few, and theory stands in.
    """

    golden: Span
    window: Span
    threshold: float
    days: int
    moved: tuple[Movement, ...]
    unmoved: tuple[Movement, ...]
    mix: tuple[Mix, ...]
    expected_predictions: float | None
    """How many predictions golden has in hours of the week like the window's; None where it lacks such hours."""
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The answer in one sentence."""
        fields = len(self.moved) + len(self.unmoved)
        if not self.moved:
            found = f"none of {fields} fields moved" if fields else "there is no field to compare"
        else:
            names = ", ".join(movement.path for movement in self.moved[:3])
            more = f" and {len(self.moved) - 3} more" if len(self.moved) > 3 else ""
            found = f"{len(self.moved)} of {fields} fields moved: {names}{more}"
        changes = f"; the mix of traffic changed in {self._dimensions()}" if self.mix else ""
        return f"{found}{changes}."

    def _repr_html_(self) -> str:
        from whimbrel.report import html  # drawn where a notebook asks for it

        return html.framed(self.to_dict())

    def _dimensions(self) -> str:
        return ", ".join(dict.fromkeys(change.path for change in self.mix))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, in reading order."""
        return {
            "schema": SCHEMA, "sentence": self.sentence,
            "golden": self.golden.to_dict(), "window": self.window.to_dict(),
            "threshold": self.threshold, "days": self.days,
            "moved": [m.to_dict() for m in self.moved], "mix": [m.to_dict() for m in self.mix],
            "unmoved": [m.to_dict() for m in self.unmoved],
            "expected_predictions": self.expected_predictions, "notes": list(self.notes),
        }  # fmt: skip


def percent(share: float) -> str:
    """A share as a person reads it: two digits that matter, and never 0% of something or 100% of not all."""
    value = 100 * share
    if value in (0.0, 100.0):
        return f"{value:.0f}%"
    if value > 99:
        return f"{min(value, 99.99):.2f}%"
    if value < 0.01:
        return "<0.01%"
    return f"{value:.2g}%" if value < 10 else f"{value:.0f}%"
