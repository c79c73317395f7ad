"""One answer beside the truth: which parts of it are right.

In: a truth, a report, the window's rows. Out: a `Graded`, as plain data that a file can keep. Pure.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from whimbrel.drill.case import Truth
from whimbrel.drill.columns import Bools, Columns, length
from whimbrel.model.report import Report
from whimbrel.model.window import SEVERAL, Condition, Where, iso, where_dict

CRASHED = "crashed"
"""The verdict of a diagnosis that raised instead of answering."""


@dataclass(frozen=True, slots=True)
class Floor:
    """What a simple rule made of the same case."""

    layer: bool
    component: bool
    said: bool
    """Whether it says that something is wrong."""


@dataclass(frozen=True, slots=True)
class Graded:
    """One case: what was planted, what was answered, and which parts of the answer are right."""

    truth: Truth
    seed: int
    verdict: str
    layers: tuple[str, ...]
    components: tuple[str, ...]
    where: Mapping[str, str]
    onset_s: float | None
    """The answer's onset minus the true one of the fault that it names; None where it names none."""
    took_s: float
    sentence: str
    confidence: float | None = None
    """Of the first finding."""
    overlap: float | None = None
    """F1 of the rows in the slice that it names, against those in the true one; None where none was hit."""
    detected_rows: int | None = None
    """Predictions after the onset that were enough for a right answer; None where that was not measured or never came."""
    detected_min: float | None = None
    """Minutes that those took to come in."""
    floors: Mapping[str, Floor] = field(default_factory=dict)
    alone: Graded | None = None
    """The same case from recorded data alone, where this answer had code to run; None where it had none."""

    @property
    def found(self) -> bool:
        """Whether anything is said to be wrong."""
        return self.verdict in ("fault", "notice")

    @property
    def alarmed(self) -> bool:
        """Whether somebody would be woken."""
        return self.verdict == "fault"

    @property
    def layer_hit(self) -> bool:
        """The first finding names a right layer."""
        return self.found and bool(self.layers) and self.layers[0] in {layer for layer, _ in roots(self.truth)}

    @property
    def component_hit(self) -> bool:
        """The first finding names a right component, or its parent or child."""
        return self.found and any(named(c, self.truth) for c in self.components[:1])

    @property
    def component_near(self) -> bool:
        """One of the first three findings does."""
        return self.found and any(named(c, self.truth) for c in self.components[:3])

    @property
    def both_hit(self) -> bool:
        """The first three findings name the layers of both faults."""
        second = self.truth.second
        wanted = {self.truth.layer} | ({second.layer} if second else set())
        return self.found and wanted <= set(self.layers[:3])

    @property
    def slice_hit(self) -> bool:
        """The first finding names exactly the slice."""
        wheres = [self.truth.where] + ([self.truth.second.where] if self.truth.second else [])
        return self.found and bool(self.layers) and dict(self.where) in [dict(where) for where in wheres]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        truth = self.truth
        return {
            "app": truth.app, "fault": truth.fault, "severity": truth.severity, "effect": truth.effect,
            "measure": truth.measure, "shape": truth.shape, "strength": truth.strength, "seed": self.seed,
            "truth": {"layer": truth.layer, "components": list(truth.components), "where": dict(truth.where),
                      "since": iso(truth.since) if truth.since else None,
                      "also": [list(pair) for pair in roots(truth)[len(truth.components):]]},
            "answer": {"verdict": self.verdict, "layers": list(self.layers), "components": list(self.components),
                       "where": dict(self.where), "onset_s": self.onset_s, "confidence": self.confidence,
                       "sentence": self.sentence},
            "layer": self.layer_hit, "component": self.component_hit, "component_top3": self.component_near,
            "slice": self.slice_hit, "slice_f1": self.overlap, "detected_rows": self.detected_rows,
            "detected_min": self.detected_min, "took_s": self.took_s,
            **({"alone": self.alone.to_dict()} if self.alone is not None else {}),
        }  # fmt: skip


def roots(truth: Truth) -> list[tuple[str, str]]:
    """All (layer, component) pairs that are right answers, the best ones first."""
    out = [(truth.layer, component) for component in truth.components] + list(truth.others)
    return out + (roots(truth.second) if truth.second else [])


def named(component: str, truth: Truth) -> bool:
    """Whether the component is one of the right ones."""
    return any(same(component, right) for _, right in roots(truth))


def same(component: str, right: str) -> bool:
    """Equal, or one a prefix of the other at a dot: `steps.scale.x` of `steps.scale`, `decisions.x` of `decision`."""
    a, b = (f"decision.{c[10:]}" if c.startswith("decisions.") else c for c in (component, right))
    return a == b or a.startswith(f"{b}.") or b.startswith(f"{a}.")


def grade(
    truth: Truth, report: Report, *, seed: int = 0, took_s: float | None = None, window: Columns | None = None
) -> Graded:
    """Hold one report against the truth; the window's rows are needed for the overlap of slices alone."""
    first = report.findings[0] if report.findings else None
    about = truth if first is None else _about(truth, first.layer, first.component)
    onset = overlap = None
    if first is not None and first.since is not None and about.since is not None:
        onset = (first.since - about.since).total_seconds()
    if window is not None and truth.layer and (about.where or first is not None):
        overlap = 0.0 if first is None else f1(window, about, first.where)
    return Graded(
        truth=truth, seed=seed, verdict=report.verdict,
        layers=tuple(f.layer for f in report.findings), components=tuple(f.component for f in report.findings),
        where=where_dict(first.where) if first else {}, onset_s=onset,
        took_s=report.took_s if took_s is None else took_s, sentence=report.sentence,
        confidence=first.confidence if first else None, overlap=overlap,
    )  # fmt: skip


def _about(truth: Truth, layer: str, component: str) -> Truth:
    """Of two faults at once the one that is named, by its component or else its layer; the first where neither is."""
    both = [replace(one, second=None) for one in (truth, truth.second) if one is not None]
    found = [one for one in both if named(component, one)]
    found += [one for one in both if layer in {right for right, _ in roots(one)}]
    return (found or both)[0]


def f1(window: Columns, truth: Truth, where: Where) -> float:
    """How well the slice that is named and the true one hold the same rows, since the onset."""
    assert truth.since is not None
    after = window["ts"] >= truth.since.timestamp()
    right, said = after.copy(), after.copy()
    for path, value in truth.where.items():
        right &= window[path].astype(str) == value
    for condition in where:
        said &= _meets(window, condition)
    both = float((right & said).sum())
    return 2 * both / max(float(right.sum() + said.sum()), 1.0)


def _meets(window: Columns, condition: Condition) -> Bools:
    if condition.path not in window:
        return np.zeros(length(window), dtype=bool)
    column = window[condition.path]
    if condition.op in ("=", SEVERAL, "!="):
        among: Bools = np.isin(column.astype(str), condition.values)
        return ~among if condition.op == "!=" else among
    try:
        numbers, bound = column.astype(float), float(condition.value)
    except ValueError:
        return np.zeros(length(window), dtype=bool)
    less: Bools = numbers < bound if condition.op == "<" else numbers > bound
    return less


def crashed(truth: Truth, error: Exception, *, seed: int, took_s: float) -> Graded:
    """A case whose diagnosis raised: nothing in it is right, and the sentence says what happened and where."""
    at = traceback.extract_tb(error.__traceback__)[-1]
    said = f"{type(error).__name__}: {error} ({Path(at.filename).name}:{at.lineno} in {at.name})"
    return Graded(truth, seed, CRASHED, (), (), {}, None, took_s, said)
