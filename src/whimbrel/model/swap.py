"""What code was swapped, one artefact at a time, and what raw inputs were put back: what each did to the outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whimbrel.model.parity import Parity

SCHEMA = "whimbrel.swap/1"


@dataclass(frozen=True, slots=True)
class Change:
    """The same predictions decided twice: what changed from the first time to the second.

    `score_moved_sd` is the mean size of the score's change, `score_shift_sd` the mean change itself, both in units of the
    spread of the first scores; None where no score is a number. The loss is the squared error of the score against the
    label, or the share of wrong decisions where the label is a decision's name; None where no label is known.
    """

    compared: int = 0
    """Predictions with a decision both times."""
    flipped: int = 0
    score_moved_sd: float | None = None
    score_shift_sd: float | None = None
    score_slopes: tuple[float, float] | None = None
    """The slope of the second scores on the first, and of the first on the second; None where too few are numbers to tell."""
    slope_error: float = 0.0
    """The larger standard error of the two slopes."""
    labelled: int = 0
    loss_before: float | None = None
    loss_after: float | None = None
    loss_z: float = 0.0
    """The mean paired change of the loss in its standard errors; above 2 it is worse the second time."""

    @property
    def flips(self) -> float:
        """The share of decisions that changed; 0 where none could be compared."""
        return self.flipped / self.compared if self.compared else 0.0

    @property
    def judged(self) -> bool:
        """Whether there was an outcome to compare at all."""
        return self.compared > 0 or self.score_moved_sd is not None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "compared": self.compared, "flipped": self.flipped, "score_moved_sd": self.score_moved_sd,
            "score_shift_sd": self.score_shift_sd, "score_slopes": list(self.score_slopes) if self.score_slopes else None,
            "slope_error": self.slope_error, "labelled": self.labelled, "loss_before": self.loss_before,
            "loss_after": self.loss_after, "loss_z": self.loss_z,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Artefact:
    """One thing that the declared code has otherwise than golden's, and what it does to the outcome.

    `alone` is golden's code with this artefact swapped in, against golden's code; `undone` the declared code with golden's
    artefact put back, against the declared code. `shares` are its Shapley values: of `flipped` (share of decisions),
    `score_shift_sd` and `loss`; over all artefacts each adds up to the whole change.
    """

    name: str
    layer: str
    kind: str
    """`step`, `model` or `threshold`."""
    parts: tuple[str, ...]
    """The steps that it stands for: one, but for what was too many to be told apart."""
    says: str
    """How its values differ, given the same inputs."""
    alone: Change
    undone: Change
    shares: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "name": self.name, "layer": self.layer, "kind": self.kind, "parts": list(self.parts), "says": self.says,
            "alone": self.alone.to_dict(), "undone": self.undone.to_dict(), "shares": dict(self.shares),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Swap:
    """The swap matrix: the declared code against golden's on the same raw inputs, every mixture of the two run."""

    declared: str
    golden: str
    replayed: int
    sentence: str
    artefacts: tuple[Artefact, ...]
    matrix: tuple[tuple[tuple[str, ...], Change], ...]
    """Every set of artefacts taken from the declared code, the rest from golden's, against golden's code alone."""
    whole: Change
    """The declared code against golden's."""
    misses_at_most: float = 1.0
    """The share of predictions above which a difference would have shown with 99% certainty."""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The whole answer as plain JSON."""
        return {
            "schema": SCHEMA, "declared": self.declared, "golden": self.golden, "replayed": self.replayed,
            "sentence": self.sentence, "whole": self.whole.to_dict(),
            "artefacts": [one.to_dict() for one in self.artefacts],
            "matrix": [{"declared": list(names), **change.to_dict()} for names, change in self.matrix],
            "misses_at_most": self.misses_at_most, "notes": list(self.notes),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Beside:
    """Several pipelines on the same recorded predictions, side by side; `swap` where one of them was named golden's."""

    names: tuple[str, ...]
    answers: tuple[Parity, ...]
    swap: Swap | None = None

    @property
    def equal(self) -> bool:
        """Whether none of them differs from what was recorded, nor the first from golden's."""
        return all(one.first is None for one in self.answers) and not (self.swap is not None and self.swap.artefacts)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, one answer a pipeline."""
        told = [{"named": name, **one.to_dict()} for name, one in zip(self.names, self.answers, strict=True)]
        return {"pipelines": told, **({"swap": self.swap.to_dict()} if self.swap is not None else {})}


@dataclass(frozen=True, slots=True)
class Rescored:
    """One raw input put back to golden's values in a slice, everything re-scored, and what the outcome did.

    `back` is the code on the inputs with golden's column against the code on the inputs as they came. `noise` is the same
    where nothing is put back but a resample of the window's own column, so that it says what sampling alone does. `any_` takes golden's values in
    random order: where even that changes nothing, the code does not read the input here.
    """

    path: str
    replayed: int
    put_back: int
    """Values that golden's column has otherwise."""
    moved: bool
    """Whether the column's distribution moved by more than sampling does."""
    back: Change
    noise: Change
    any_: Change

    @property
    def unread(self) -> bool:
        """Whether the outcome does not depend on the input in this slice at all."""
        return self.any_.judged and self.any_.flipped == 0 and (self.any_.score_moved_sd or 0.0) < 1e-9

    @property
    def flips(self) -> float:
        """The share of decisions that change back, less what sampling alone changes."""
        return max(self.back.flips - self.noise.flips, 0.0)

    @property
    def score_moved_sd(self) -> float:
        """By how much the score changes back, less what sampling alone does."""
        return max((self.back.score_moved_sd or 0.0) - (self.noise.score_moved_sd or 0.0), 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "path": self.path, "replayed": self.replayed, "put_back": self.put_back, "moved": self.moved,
            "back": self.back.to_dict(), "noise": self.noise.to_dict(), "any": self.any_.to_dict(),
        }  # fmt: skip
