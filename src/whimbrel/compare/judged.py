"""From two profiles to a comparison: how far each column moved, and how the mix of traffic changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import sqrt

import numpy as np

from whimbrel.compare.mix import Expected, Golden, expected, known_traffic, slots
from whimbrel.compare.natural import Natural, scored
from whimbrel.compare.questions import VALUES, Layout
from whimbrel.compare.result import Comparison, Movement
from whimbrel.compare.traffic import mixes
from whimbrel.compare.words import Seen, what_moved
from whimbrel.errors import EvidenceError, UsageError
from whimbrel.model.profile import NULL, Profile
from whimbrel.model.report import Shape, Span
from whimbrel.model.rows import Bools, Floats
from whimbrel.model.window import from_micros
from whimbrel.stats.distance import normalised
from whimbrel.stats.onset import share_onset

SURE = 10.0
"""Log-likelihood that an onset inside the window must win."""


def compare_profiles(
    golden: Profile, window: Profile, *, golden_span: Span | None = None, window_span: Span | None = None
) -> Comparison:
    """Hold a window's profile against golden's, on golden's bins.

    Golden is first weighted to the window's mix of hours of the week and dimension values, so that a change of the mix
    is listed as `mix` and never as a field that moved.

    Args:
        golden: golden's profile.
        window: the window's, made with the same binning.
        golden_span: what golden is called and where it begins and ends; from its first to its last prediction where
            it is not given.
        window_span: the same of the window.

    Raises:
        UsageError: the profiles were made with different binnings.
        EvidenceError: one of them holds no predictions.
    """
    if golden.binning != window.binning:
        raise UsageError(
            "the two profiles count on different bins", where="compare_profiles",
            why="the window must be profiled with golden's binning",
            next="engine.profile(source, window, golden.binning)",
        )  # fmt: skip
    for profile, what in ((golden, "golden"), (window, "the window")):
        if not profile.rows:
            raise EvidenceError(
                f"{what} holds no predictions", where="compare", why="the stretch of time or the conditions leave none",
                next="whimbrel status shows what the log holds, and from when to when",
            )  # fmt: skip
    case = _Case.of(Golden(golden), window)
    movements = sorted(case.movements(), key=lambda movement: -movement.score)
    return Comparison(
        golden=golden_span or span_of(golden),
        window=window_span or span_of(window),
        threshold=case.natural.threshold,
        days=case.natural.days,
        moved=tuple(m for m in movements if m.moved),
        unmoved=tuple(m for m in movements if not m.moved),
        mix=mixes(case.golden, window),
        expected_predictions=_expected_predictions(case.golden, window),
        notes=case.notes,
    )


def span_of(profile: Profile) -> Span:
    """The stretch from a profile's first prediction to its last; open where it has none."""
    if not profile.rows:
        return Span(None, None, 0)
    return Span(from_micros(profile.first), from_micros(profile.last), profile.rows)


@dataclass(frozen=True)
class _Case:
    """One comparison under way. `scores` and `apart` are of shape (columns, questions)."""

    golden: Golden
    window: Profile
    layout: Layout
    natural: Natural
    expected: Expected
    found: Floats
    new_sort: Bools
    scores: Floats
    apart: Floats
    notes: tuple[str, ...]

    @staticmethod
    def of(golden: Golden, window: Profile) -> _Case:
        layout = Layout.of(golden.binning)
        natural = Natural.of(golden, layout, window.hours)
        counts, left_out = known_traffic(golden, window)
        notes = natural.notes
        if left_out:
            notes += (
                f"traffic whose {left_out} is new since golden is left out: golden cannot say how it should look",
            )
        made = expected(golden, counts, slots(window.hours))
        found = normalised(counts, golden.starts)
        new_sort = layout.new_sort(golden.totals)
        answers = layout.ask(made.shares, found, new_sort, (made.rows, np.array([float(window.rows)])))
        scores = scored(answers, natural.restless)
        return _Case(golden, window, layout, natural, made, found, new_sort, scores, answers.apart, notes)

    def movements(self) -> list[Movement]:
        return [self._movement(i) for i in np.flatnonzero(self.layout.compared).tolist()]

    def _movement(self, i: int) -> Movement:
        bins = self.golden.binning.columns[i]
        before, after = (self._column(i, shares) for shares in (self.expected.shares, self.found))
        outside = self._column(i, self.new_sort.astype(np.float64))
        score = float(self.scores[i].max())
        moved = score > self.natural.threshold
        loudest = int(self.scores[i].argmax())
        seen = Seen(bins, before, after, self.window.picks.column(i), loudest, bool(self.layout.matters[i]))
        labels = tuple(bins.label(bin_) for bin_ in range(bins.size))
        return Movement(
            path=bins.column,
            moved=moved,
            score=score,
            distance=sqrt(float(self.apart[i, VALUES]) / np.log(2)),
            what=what_moved(seen) if moved else "",
            null_before=float(before[NULL]),
            null_after=float(after[NULL]),
            outside_before=float(before @ outside),
            outside_after=float(after @ outside),
            since=self._since(i) if moved else None,
            explained_by=self.expected.explained_by[i],
            shape=Shape(bins.column, labels, tuple(before.tolist()), tuple(after.tolist())),
        )

    def _column(self, i: int, values: Floats) -> Floats:
        """One column's bins."""
        start = int(self.golden.starts[i])
        return values[start : start + self.golden.binning.columns[i].size]

    def _since(self, i: int) -> datetime | None:
        """The hour in which the column's most changed group began to differ; None where the window began so."""
        bins = self.golden.binning.columns[i]
        start = self.golden.binning.group_starts[i]
        table = self.window.hours.counts[:, start : start + bins.width]
        groups = np.array(bins.groups)
        before = np.bincount(groups, weights=self._column(i, self.expected.shares), minlength=bins.width)
        after = table.sum(axis=0) / max(self.window.rows, 1)
        group = int(np.argmax(np.abs(after - before)))
        rows = table.sum(axis=1)
        onset = share_onset(table[:, group], rows, prior=(float(before[group] * rows.mean()), float(rows.mean())))
        if onset is None or onset.gain < SURE or onset.at == 0:
            return None
        return from_micros(int(self.window.hours.keys[onset.at]) * 3_600_000_000)


def _expected_predictions(golden: Golden, window: Profile) -> float | None:
    """Golden's mean rows in hours of the week like the window's, over the hours from its first row to its last."""
    asked = np.arange(window.hours.keys[0], window.hours.keys[-1] + 1)
    lived = np.arange(golden.profile.hours.keys[0], golden.profile.hours.keys[-1] + 1)
    times = np.bincount(lived % len(golden.by_slot), minlength=len(golden.by_slot))
    here = asked % len(golden.by_slot)
    if (times[here] == 0).any():
        return None
    return float((golden.by_slot[here, 0] / times[here]).sum())
