"""What running recorded inputs through code again showed, step by step. Drawn by `report/` from these values alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from whimbrel.model.report import Span
from whimbrel.model.window import Where, where_dict

SCHEMA = "whimbrel.parity/1"

Standing = Literal["equal", "within tolerance", "different", "failed", "not replayable", "not recorded", "not run"]
"""How a step stands. `not replayable`: it does not even agree with itself when it is run twice on the same inputs."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in which what was recorded and what the code makes of the same inputs differ.

    `compared` and `differ` count predictions of the window; `golden_compared` and `golden_differ` those of golden.
    `shape` says in words what kind of change it is, `where` whom it reaches, as far as two conditions can say it; `since` is the
    time of the first prediction that differs, in µs since 1970.
    """

    path: str
    compared: int
    differ: int
    shape: str
    where: Where = ()
    golden_compared: int = 0
    golden_differ: int = 0
    since: int | None = None
    examples: tuple[Mapping[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "path": self.path, "compared": self.compared, "differ": self.differ, "shape": self.shape,
            "where": where_dict(self.where), "golden_compared": self.golden_compared,
            "golden_differ": self.golden_differ, "examples": [dict(one) for one in self.examples],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class StepParity:
    """One step, the outputs, or the decision: how it stands, over how many predictions, and where it differs."""

    name: str
    """`steps.<step>`, `outputs` or `decision`."""
    layer: str
    standing: Standing
    compared: int = 0
    differ: int = 0
    differences: tuple[Difference, ...] = ()
    says: str = ""
    tolerance: float = 0.0
    """The largest relative difference that passes for noise, measured by replaying golden."""
    golden_failed: float = 0.0
    """The share of golden's predictions that fail there as well: code that cannot be run at all is nobody's fault."""
    unmade: tuple[str, ...] = ()
    """Fields that were recorded, in golden as well, and that this code never makes: they are not judged."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "name": self.name, "layer": self.layer, "standing": self.standing, "compared": self.compared,
            "differ": self.differ, "says": self.says, "tolerance": self.tolerance, "golden_failed": self.golden_failed,
            "differences": [one.to_dict() for one in self.differences], "unmade": list(self.unmade),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parity:
    """The answer: where what was recorded and what the code makes of the same inputs first differ, if they do."""

    app: str
    pipeline: str
    window: Span
    golden: Span
    replayed: int
    golden_replayed: int
    first: StepParity | None
    sentence: str
    steps: tuple[StepParity, ...]
    misses_at_most: float
    """The share of predictions above which a mismatch would have shown with 99% certainty."""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The whole answer as plain JSON."""
        return {
            "schema": SCHEMA, "app": self.app, "pipeline": self.pipeline, "window": self.window.to_dict(),
            "golden": self.golden.to_dict(), "replayed": self.replayed, "golden_replayed": self.golden_replayed,
            "equal": self.first is None, "sentence": self.sentence, "first": self.first.name if self.first else None,
            "steps": [step.to_dict() for step in self.steps], "misses_at_most": self.misses_at_most,
            "notes": list(self.notes),
        }  # fmt: skip
