"""How good a diagnosis is: its answers beside the truth, each rate with its exact interval.

In: truths and reports. Out: a `Score`: layer, component, slice and onset right or not, false alarms, who was
taken for whom. Pure: nothing is run here.
"""

from __future__ import annotations

import math
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from whimbrel.drill.case import Truth
from whimbrel.model.report import Report
from whimbrel.model.window import iso, where_dict

SCHEMA = "whimbrel.drill/1"
CRASHED = "crashed"
"""The verdict of a diagnosis that raised instead of answering."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`hits` of `n`, with the exact 95% interval (Clopper and Pearson 1934)."""

    hits: int
    n: int

    @property
    def low(self) -> float:
        """The smallest rate under which so many hits happen with 2.5% at least."""
        if self.hits == 0:
            return 0.0
        return _solve(lambda p: 0.025 - _at_least(self.hits, self.n, p))

    @property
    def high(self) -> float:
        """The largest rate under which so few hits happen with 2.5% at least."""
        if self.hits == self.n:
            return 1.0
        return _solve(lambda p: (1 - _at_least(self.hits + 1, self.n, p)) - 0.025)

    def __str__(self) -> str:
        if not self.n:
            return "none"
        return f"{self.hits} of {self.n} ({100 * self.hits / self.n:.0f}%, {100 * self.low:.0f}-{100 * self.high:.0f}%)"

    def to_dict(self) -> dict[str, float | int]:
        """Plain JSON."""
        rate = self.hits / self.n if self.n else 0.0
        return {"hits": self.hits, "n": self.n, "rate": rate, "low": self.low, "high": self.high if self.n else 1.0}


def _at_least(k: int, n: int, p: float) -> float:
    """P(X >= k) for X binomial(n, p), by the sum of its terms in logarithms."""
    if p <= 0 or p >= 1:
        return float(p >= 1 or k <= 0)
    terms = (
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * math.log(p) + (n - i) * math.log1p(-p)
        for i in range(k, n + 1)
    )
    return min(1.0, math.fsum(math.exp(term) for term in terms))


def _solve(falling: Callable[[float], float]) -> float:
    """Where a falling function of a rate crosses zero."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2


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
    """The answer's onset minus the true one; None where it names none."""
    took_s: float
    sentence: str

    @property
    def found(self) -> bool:
        """Whether anything is said to be wrong."""
        return self.verdict in ("fault", "notice")

    @property
    def layer_hit(self) -> bool:
        """The first finding names the right layer."""
        return self.found and self.layers[:1] == (self.truth.layer,)

    @property
    def component_hit(self) -> bool:
        """The first finding names the right component, or its parent or child."""
        return self.found and any(same(c, right) for c in self.components[:1] for right in self.truth.components)

    @property
    def component_near(self) -> bool:
        """One of the first three findings does."""
        return self.found and any(same(c, right) for c in self.components[:3] for right in self.truth.components)

    @property
    def slice_hit(self) -> bool:
        """The first finding names exactly the slice."""
        return self.found and bool(self.layers) and dict(self.where) == dict(self.truth.where)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        truth = self.truth
        return {
            "fault": truth.fault, "severity": truth.severity, "effect": truth.effect, "measure": truth.measure,
            "strength": truth.strength, "seed": self.seed,
            "truth": {"layer": truth.layer, "components": list(truth.components), "where": dict(truth.where),
                      "since": iso(truth.since) if truth.since else None},
            "answer": {"verdict": self.verdict, "layers": list(self.layers), "components": list(self.components),
                       "where": dict(self.where), "onset_s": self.onset_s, "sentence": self.sentence},
            "layer": self.layer_hit, "component": self.component_hit, "component_top3": self.component_near,
            "slice": self.slice_hit, "took_s": self.took_s,
        }  # fmt: skip


def same(component: str, right: str) -> bool:
    """Equal, or one a prefix of the other at a dot: `steps.scale.x` of `steps.scale`, `decisions.x` of `decision`."""
    a, b = (f"decision.{c[10:]}" if c.startswith("decisions.") else c for c in (component, right))
    return a == b or a.startswith(f"{b}.") or b.startswith(f"{a}.")


def grade(truth: Truth, report: Report, *, seed: int = 0, took_s: float | None = None) -> Graded:
    """Hold one report against the truth."""
    first = report.findings[0] if report.findings else None
    onset = None
    if first is not None and first.since is not None and truth.since is not None:
        onset = (first.since - truth.since).total_seconds()
    return Graded(
        truth=truth, seed=seed, verdict=report.verdict,
        layers=tuple(f.layer for f in report.findings), components=tuple(f.component for f in report.findings),
        where=where_dict(first.where) if first else {}, onset_s=onset,
        took_s=report.took_s if took_s is None else took_s, sentence=report.sentence,
    )  # fmt: skip


def crashed(truth: Truth, error: Exception, *, seed: int, took_s: float) -> Graded:
    """A case whose diagnosis raised: nothing in it is right, and the sentence says what happened and where."""
    at = traceback.extract_tb(error.__traceback__)[-1]
    said = f"{type(error).__name__}: {error} ({Path(at.filename).name}:{at.lineno} in {at.name})"
    return Graded(truth, seed, CRASHED, (), (), {}, None, took_s, said)


@dataclass(frozen=True, slots=True)
class Score:
    """All cases of a drill, and what they add up to."""

    cases: tuple[Graded, ...] = field(default=())

    @property
    def planted(self) -> tuple[Graded, ...]:
        """The cases with a fault in them."""
        return tuple(case for case in self.cases if case.truth.layer)

    @property
    def untouched(self) -> tuple[Graded, ...]:
        """The cases with nothing wrong."""
        return tuple(case for case in self.cases if not case.truth.layer)

    @property
    def rates(self) -> dict[str, Rate]:
        """The rates that count, by name."""
        planted, untouched = self.planted, self.untouched
        named = [case for case in planted if case.found]
        onsets = [abs(case.onset_s) for case in named if case.onset_s is not None]
        return {
            "layer": Rate(sum(case.layer_hit for case in planted), len(planted)),
            "component": Rate(sum(case.component_hit for case in planted), len(planted)),
            "component_top3": Rate(sum(case.component_near for case in planted), len(planted)),
            "slice": Rate(sum(case.slice_hit for case in planted), len(planted)),
            "onset_within_2h": Rate(sum(s <= 7200 for s in onsets), len(planted)),
            "missed": Rate(sum(not case.found for case in planted), len(planted)),
            "crashed": Rate(sum(case.verdict == CRASHED for case in self.cases), len(self.cases)),
            "false_alarms": Rate(sum(case.verdict == "fault" for case in untouched), len(untouched)),
        }

    @property
    def confusion(self) -> dict[str, dict[str, int]]:
        """True layer → answered layer (`none` where nothing was found) → cases."""
        counts = Counter((c.truth.layer or "none", c.layers[0] if c.found and c.layers else "none") for c in self.cases)
        out: dict[str, dict[str, int]] = {}
        for (truth, answer), n in sorted(counts.items()):
            out.setdefault(truth, {})[answer] = n
        return out

    @property
    def took_s(self) -> float:
        """Median seconds that a diagnosis took."""
        return median(case.took_s for case in self.cases) if self.cases else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: `whimbrel.drill/1`."""
        return {
            "schema": SCHEMA, "rates": {name: rate.to_dict() for name, rate in self.rates.items()},
            "median_took_s": self.took_s, "confusion": self.confusion, "cases": [case.to_dict() for case in self.cases],
        }  # fmt: skip


def text(score: Score) -> str:
    """The score as a table for a terminal: a line per case, then the rates, then who was taken for whom."""
    head = ("fault", "severity", "effect", "truth", "", "answer", "onset")
    rows = [head, *(_row(case) for case in (*score.planted, *score.untouched))]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += ["", "L C S: layer, component and slice of the first finding are right", ""]
    lines += [f"{name:<18} {rate}" for name, rate in score.rates.items()]
    lines += [f"{'median time':<18} {score.took_s:.2f} s", "", "true layer → answered layer"]
    for truth, row in score.confusion.items():
        lines.append(f"  {truth:<10} → {', '.join(f'{answer} {n}' for answer, n in row.items())}")
    return "\n".join(lines) + "\n"


def _row(case: Graded) -> tuple[str, ...]:
    truth = case.truth
    said = f"{case.layers[0]} {case.components[0]}{_slice(case.where)}" if case.layers else case.verdict
    if case.verdict == CRASHED:
        said = f"{said}: {case.sentence}"
    elif case.layers and case.verdict != "fault":
        said = f"{said} ({case.verdict})"
    onset = "" if case.onset_s is None else f"{case.onset_s / 3600:+.1f} h"
    if not truth.layer:
        return truth.fault, "", "", "nothing", "!!!" if case.verdict == "fault" else "ok", said, onset
    right = f"{truth.layer} {truth.components[0]}{_slice(truth.where)}"
    hits = (case.layer_hit, case.component_hit, case.slice_hit)
    marks = "".join(mark if hit else "·" for mark, hit in zip("LCS", hits, strict=True))
    return truth.fault, truth.severity, f"{100 * truth.effect:.1f}%", right, marks, said, onset


def _slice(where: Mapping[str, str]) -> str:
    if not where:
        return ""
    return f" [{', '.join(path.partition('.')[2] + '=' + value for path, value in where.items())}]"
