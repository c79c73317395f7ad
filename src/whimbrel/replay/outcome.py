"""What came of predictions: scores, decisions, labels; and what changed between two ways of making them.

In: flat records, or what code made of them. Out: `Outcome`s, and the `Change` between two. A decision that a pipeline does not
make itself is read off the record, where it is a step function of the score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from whimbrel.model.rows import Floats
from whimbrel.model.swap import Change
from whimbrel.replay.record import Record
from whimbrel.stats.slope import slope

_CUTS = 6
"""Thresholds that a rule may have; more are no rule but noise."""
_LABELS = 60
"""Labelled predictions from which on a loss is told."""


RUN = 200
"""Predictions that are run many times over: for every mixture of two pipelines, for every input that is put back."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """Of n predictions: score, shape (n,), NaN where there is none; decision as text, "" where there is none."""

    score: Floats
    decision: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A decision that is a step function of the score: `answers[i]` from the i-th cut on; a cut lies between two scores that were seen."""

    cuts: tuple[tuple[float, float], ...]
    answers: tuple[str, ...]

    @classmethod
    def read(cls, outcome: Outcome) -> Rule | None:
        """The rule that scores and decisions show without an exception; None where there is no such."""
        known = sorted(
            (float(s), d) for s, d in zip(outcome.score, outcome.decision, strict=True) if d and math.isfinite(s)
        )
        if len(known) < 2:
            return None
        cuts: list[tuple[float, float]] = []
        answers = [known[0][1]]
        for (before, old), (score, new) in pairwise(known):
            if old == new:
                continue
            if before == score or len(cuts) == _CUTS:
                return None
            cuts.append((before, score))
            answers.append(new)
        return cls(tuple(cuts), tuple(answers))

    def decide(self, score: Floats) -> tuple[str, ...]:
        """What the rule decides at each score, shape (n,)."""
        places = np.searchsorted(np.array([(low + high) / 2 for low, high in self.cuts]), score)
        return tuple(self.answers[i] if math.isfinite(s) else "" for i, s in zip(places, score, strict=True))

    def against(self, other: Rule, score: Floats) -> int:
        """At how many of these scores the two decide otherwise for certain: not between the scores that a cut lies between."""
        open_ = np.zeros(len(score), dtype=bool)
        for low, high in (*self.cuts, *other.cuts):
            open_ |= (score > low) & (score < high)
        pairs = zip(self.decide(score), other.decide(score), open_, strict=True)
        return sum(a != b for a, b, unsure in pairs if not unsure)

    def __str__(self) -> str:
        said = [f"{new!r} from {_between(*cut)}" for cut, new in zip(self.cuts, self.answers[1:], strict=True)]
        return ", ".join([f"{self.answers[0]!r}", *said]) if said else f"always {self.answers[0]!r}"


def _between(low: float, high: float) -> str:
    """The roundest number in (low, high]."""
    for digits in range(1, 17):
        middle = float(f"{(low + high) / 2:.{digits}g}")
        if low < middle <= high:
            return f"{middle:g}"
    return f"{high:g}"


def outcome_of(records: Sequence[Record], rule: Rule | None = None) -> Outcome:
    """The outcome that flat records hold; where they hold no decision, the one that `rule` makes of the score."""
    path = _score_path(records)
    score = np.array([_number(record.get(path)) if path else math.nan for record in records])
    decision = tuple(_decision(record) for record in records)
    if not any(decision):
        decision = rule.decide(score) if rule is not None else tuple(_answer(record) for record in records)
    return Outcome(score, decision)


def change(before: Outcome, after: Outcome, labels: Sequence[Any] = (), *, spread: float | None = None) -> Change:
    """What changed from one outcome to another of the same predictions; `labels` are what turned out to be true.

    `spread` is the unit in which a score's change is told; that of the first scores where none is given.
    """
    pairs = [(a, b) for a, b in zip(before.decision, after.decision, strict=True) if a and b]
    both = np.isfinite(before.score) & np.isfinite(after.score)
    moved = shift = slopes = None
    error = 0.0
    if both.any():
        spread = spread or float(np.std(before.score[both])) or 1.0
        gap = (after.score - before.score)[both] / spread
        moved, shift = float(np.abs(gap).mean()), float(gap.mean())
        told = [
            slope(*pair) for pair in ((before.score[both], after.score[both]), (after.score[both], before.score[both]))
        ]
        if told[0] is not None and told[1] is not None:
            slopes, error = (told[0][0], told[1][0]), max(told[0][1], told[1][1])
    n, old, new, z = _loss(before, after, labels)
    return Change(len(pairs), sum(a != b for a, b in pairs), moved, shift, slopes, error, n, old, new, z)


def _loss(before: Outcome, after: Outcome, labels: Sequence[Any]) -> tuple[int, float | None, float | None, float]:
    if not len(labels):
        return 0, None, None, 0.0
    decided = {*before.decision, *after.decision}
    first, second = _losses(before, labels, decided), _losses(after, labels, decided)
    both = np.isfinite(first) & np.isfinite(second)
    n = int(both.sum())
    if n < _LABELS:
        return n, None, None, 0.0
    worse = (second - first)[both]
    error = float(worse.std()) / math.sqrt(n)
    z = float(worse.mean()) / error if error > 0 else 0.0
    return n, float(first[both].mean()), float(second[both].mean()), z


def _losses(outcome: Outcome, labels: Sequence[Any], decided: set[str]) -> Floats:
    """Each prediction's loss, shape (n,), NaN where it has no label."""
    said = [text(label) for label in labels]
    if set(said) - {""} <= decided and any(said):
        return np.array([float(d != s) if d and s else math.nan for d, s in zip(outcome.decision, said, strict=True)])
    gap: Floats = outcome.score - np.array([_number(label) for label in labels])
    return gap**2


def thinned(records: Sequence[Record], n: int = RUN) -> Sequence[Record]:
    """At most `n` of the records, evenly over them."""
    if len(records) <= n:
        return records
    return [records[i * len(records) // n] for i in range(n)]


def text(value: Any) -> str:
    """A decision or a label as text; 1 and 1.0 are one, and so are True and "true"."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _score_path(records: Sequence[Record]) -> str:
    paths = {
        path: None
        for record in records
        for path, value in record.items()
        if path.startswith("outputs.") and isinstance(value, int | float)
    }
    return "outputs.score" if "outputs.score" in paths else next(iter(paths), "")


def _decision(record: Record) -> str:
    said = [
        (path, text(value)) for path, value in record.items() if path == "decision" or path.startswith("decisions.")
    ]
    return said[0][1] if len(said) == 1 else "; ".join(f"{path}={value}" for path, value in sorted(said))


def _answer(record: Record) -> str:
    """An answer that is no number is a decision itself: a class, a text."""
    said = [text(v) for p, v in record.items() if p.startswith("outputs.") and isinstance(v, str | bool)]
    return "; ".join(said)
