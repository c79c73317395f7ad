"""How good a diagnosis is over many cases: rates with exact intervals, who was taken for whom, how sure it was.

In: graded cases. Out: a `Score`; `board` draws it. Pure: nothing is run here.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Any

from whimbrel.drill.grade import CRASHED, Graded
from whimbrel.drill.rates import Rate

SCHEMA = "whimbrel.drill/2"
SURE = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.01)
"""Bounds between which confidences are taken together."""


@dataclass(frozen=True, slots=True)
class Said:
    """Findings said with a confidence between `low` and `high`: how many of them are right."""

    low: float
    high: float
    right: Rate

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"low": self.low, "high": min(self.high, 1.0), "right": self.right.to_dict()}


@dataclass(frozen=True, slots=True)
class Score:
    """All cases of a drill, and what they add up to."""

    cases: tuple[Graded, ...] = field(default=())
    notes: tuple[str, ...] = ()
    """What should be known beside the figures."""

    @property
    def planted(self) -> tuple[Graded, ...]:
        """The cases with a fault in them that does something."""
        return tuple(case for case in self.cases if case.truth.layer and not case.truth.harmless)

    @property
    def harmless(self) -> tuple[Graded, ...]:
        """The cases in which something was changed from which nothing came."""
        return tuple(case for case in self.cases if case.truth.harmless)

    @property
    def untouched(self) -> tuple[Graded, ...]:
        """The cases with nothing wrong."""
        return tuple(case for case in self.cases if not case.truth.layer)

    @property
    def alone(self) -> Score | None:
        """The same cases from recorded data alone, where the answers had code to run."""
        if not any(case.alone for case in self.cases):
            return None
        return Score(tuple(case.alone or case for case in self.cases))

    @property
    def rates(self) -> dict[str, Rate]:
        """The rates that count, by name."""
        planted, untouched = self.planted, self.untouched
        steps = [case for case in planted if case.truth.shape == "step"]
        sliced = [case for case in planted if case.truth.where]
        pairs = [case for case in planted if case.truth.second]
        return {
            "layer": _rate(planted, lambda case: case.layer_hit),
            "component": _rate(planted, lambda case: case.component_hit),
            "component_top3": _rate(planted, lambda case: case.component_near),
            "slice": _rate(sliced, lambda case: case.slice_hit),
            "onset_within_1h": _rate(steps, lambda case: case.found and _within(case, 3600)),
            "both_of_two": _rate(pairs, lambda case: case.both_hit),
            "wrong_blame": _rate(planted, lambda case: case.alarmed and not case.layer_hit),
            "missed": _rate(planted, lambda case: not case.found),
            "crashed": _rate(self.cases, lambda case: case.verdict == CRASHED),
            "false_alarms": _rate(untouched, lambda case: case.alarmed),
            "harmless_alarms": _rate(self.harmless, lambda case: case.alarmed),
        }

    @property
    def slice_f1(self) -> float | None:
        """Mean overlap of the slice that is named with the true one, where one was hit; a miss counts as 0."""
        found = [case.overlap or 0.0 for case in self.planted if case.truth.where]
        return mean(found) if found else None

    @property
    def onset_error_min(self) -> float | None:
        """Median distance of the onset that is named from the true one, of steps."""
        found = [abs(c.onset_s) / 60 for c in self.planted if c.onset_s is not None and c.truth.shape == "step"]
        return median(found) if found else None

    @property
    def detection(self) -> tuple[float, float] | None:
        """Median predictions, and minutes, after the onset that a right answer needed, where that was measured."""
        found = [c for c in self.planted if c.detected_rows is not None and c.detected_min is not None]
        if not found:
            return None
        return median(c.detected_rows or 0 for c in found), median(c.detected_min or 0.0 for c in found)

    def by(self, name: str) -> dict[str, dict[str, Rate]]:
        """Layer, component and slice by the truth's `layer`, `app`, `severity` or `shape`."""
        groups: dict[str, list[Graded]] = {}
        for case in self.planted:
            groups.setdefault(str(getattr(case.truth, name)), []).append(case)
        return {
            group: {
                "layer": _rate(cases, lambda case: case.layer_hit),
                "component": _rate(cases, lambda case: case.component_hit),
                "slice": _rate([c for c in cases if c.truth.where], lambda case: case.slice_hit),
            }
            for group, cases in sorted(groups.items())
        }

    @property
    def calm(self) -> dict[str, Rate]:
        """False alarms by app."""
        apps = sorted({case.truth.app for case in self.untouched})
        return {
            app: _rate([c for c in self.untouched if c.truth.app == app], lambda case: case.alarmed) for app in apps
        }

    @property
    def confidence(self) -> tuple[Said, ...]:
        """How often findings are right (layer and component of a planted fault), by how sure they were said to be."""
        said = [case for case in self.cases if case.alarmed and case.confidence is not None]
        out = []
        for low, high in itertools.pairwise(SURE):
            here = [case for case in said if low <= (case.confidence or 0.0) < high]
            out.append(Said(low, high, _rate(here, lambda case: case.layer_hit and case.component_hit)))
        return tuple(out)

    @property
    def floors(self) -> dict[str, dict[str, Rate]]:
        """The same rates for simple rules on the same cases, by rule."""
        names = dict.fromkeys(name for case in self.cases for name in case.floors)
        out = {}
        for name in names:
            planted = [case.floors[name] for case in self.planted if name in case.floors]
            calm = [case.floors[name] for case in self.untouched if name in case.floors]
            out[name] = {
                "layer": Rate(sum(f.layer for f in planted), len(planted)),
                "component": Rate(sum(f.component for f in planted), len(planted)),
                "false_alarms": Rate(sum(f.said for f in calm), len(calm)),
            }
        return out

    @property
    def confusion(self) -> dict[str, dict[str, int]]:
        """True layer → answered layer (`none` where nothing was found) → cases."""
        counts = Counter(
            (_true_layer(c), c.layers[0] if c.found and c.layers else "none") for c in (*self.planted, *self.untouched)
        )
        out: dict[str, dict[str, int]] = {}
        for (truth, answer), n in sorted(counts.items()):
            out.setdefault(truth, {})[answer] = n
        return out

    @property
    def took_s(self) -> float:
        """Median seconds that a diagnosis took."""
        return median(case.took_s for case in self.cases) if self.cases else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: `whimbrel.drill/2`."""
        detection = self.detection
        return {
            "schema": SCHEMA, "rates": _plain(self.rates),
            "recorded_data_alone": _plain(self.alone.rates) if self.alone is not None else None,
            "slice_f1": self.slice_f1,
            "onset_error_min": self.onset_error_min,
            "detection": None if detection is None else {"predictions": detection[0], "minutes": detection[1]},
            "by": {name: {group: _plain(rates) for group, rates in self.by(name).items()}
                   for name in ("layer", "app", "severity", "shape")},
            "false_alarms_by_app": _plain(self.calm), "confidence": [one.to_dict() for one in self.confidence],
            "floors": {name: _plain(rates) for name, rates in self.floors.items()},
            "median_took_s": self.took_s, "confusion": self.confusion, "notes": list(self.notes),
            "cases": [case.to_dict() for case in self.cases],
        }  # fmt: skip


def _true_layer(case: Graded) -> str:
    """The layer that counts: the one that was answered where several are right."""
    if case.layer_hit and case.truth.layer:
        return case.layers[0] if case.layers[0] in _own(case) else case.truth.layer
    return case.truth.layer or "none"


def _own(case: Graded) -> set[str]:
    second = case.truth.second
    return {case.truth.layer, *({second.layer} if second else set()), *(layer for layer, _ in case.truth.others)}


def _rate(cases: Iterable[Graded], right: Callable[[Graded], bool]) -> Rate:
    marks = [right(case) for case in cases]
    return Rate(sum(marks), len(marks))


def _within(case: Graded, seconds: float) -> bool:
    return case.onset_s is not None and abs(case.onset_s) <= seconds


def _plain(rates: Mapping[str, Rate]) -> dict[str, Any]:
    return {name: rate.to_dict() for name, rate in rates.items()}
