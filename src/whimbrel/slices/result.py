"""What a search answers: the slices that hold a change, how much of it is mix, and what the rest did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

from whimbrel.report import slices as drawn
from whimbrel.report.words import change, number, share, visible

SCHEMA = "whimbrel.slices/1"
Verdict = Literal["slices", "everywhere", "mix", "nothing"]


@dataclass(frozen=True, slots=True)
class Held:
    """One slice that changed. `where` maps columns to values (None where missing); empty is all that no other slice holds.

    `before` and `after` are the metric in the slice, `shift` how it moved, with its 95% interval: as a difference of means, or as a relative
    change (−0.4: it fell by 40%) of counts, sums and leaves. `explains` is the share of the whole change that lies in it.
    """

    where: Mapping[str, str | None]
    before: float
    after: float
    shift: float
    low: float
    high: float
    explains: float
    rows_before: int
    rows_after: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "where": dict(self.where), "before": self.before, "after": self.after, "shift": self.shift, "low": self.low, "high": self.high,
            "explains": self.explains, "rows_before": self.rows_before, "rows_after": self.rows_after,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mix:
    """How much of a mean's change comes from other proportions of the same slices, with its 95% interval, and through which column most."""

    shift: float
    low: float
    high: float
    share: float
    through: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"shift": self.shift, "low": self.low, "high": self.high, "share": self.share, "through": self.through}


@dataclass(frozen=True, slots=True)
class Slices:
    """The answer. `relative` says whether shifts are relative changes; `rest` is everything outside the slices."""

    metric: str
    verdict: Verdict
    before: float
    after: float
    shift: float
    low: float
    high: float
    relative: bool
    slices: tuple[Held, ...]
    rest: Held
    mix: Mix | None
    rows: tuple[int, ...]
    by: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The answer in one sentence."""
        moved = f"{visible(self.metric, 80)} {change(self.before, self.after)} ({self.interval(self.shift, self.low, self.high)})"
        match self.verdict:
            case "slices":
                named = [drawn.where(one.where) for one in self.slices]
                listed = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
                explained = sum(one.explains for one in self.slices)
                if not isfinite(explained):
                    return f"{listed} changed, and the whole hardly: {moved}."
                return f"{listed} hold{'s' * (len(named) == 1)} {share(explained)} of the change: {moved}."
            case "everywhere":
                but = f" but for {', '.join(drawn.where(one.where) for one in self.slices)}" * bool(self.slices)
                return f"The change is everywhere{but}: {moved}."
            case "mix":
                assert self.mix is not None
                through = f", most through {visible(self.mix.through, 80)}" if self.mix.through else ""
                return f"The mix changed{through}, and no slice did: {moved}."
            case "nothing":
                return f"Nothing changed: {moved}."

    def interval(self, shift: float, low: float, high: float) -> str:
        """A shift with its interval, in words."""
        unit = share if self.relative else number
        plus = "+" if shift > 0 else ""
        return f"{plus}{unit(shift)}, 95% interval {unit(low)} to {unit(high)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, in reading order."""
        return {
            "schema": SCHEMA, "verdict": self.verdict, "sentence": self.sentence, "metric": self.metric,
            "before": self.before, "after": self.after, "shift": self.shift, "low": self.low, "high": self.high, "relative": self.relative,
            "slices": [one.to_dict() for one in self.slices], "rest": self.rest.to_dict(),
            "mix": self.mix.to_dict() if self.mix else None, "rows": list(self.rows), "by": list(self.by),
            "left_out": dict(self.left_out), "notes": list(self.notes),
        }  # fmt: skip
