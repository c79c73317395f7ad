"""How restless golden is by itself, and the one threshold that follows: each golden day against the other days."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from statistics import NormalDist

import numpy as np

from whimbrel.compare.mix import Expected, Golden, expected, slots
from whimbrel.compare.questions import QUESTIONS, Answers, Layout
from whimbrel.model.profile import Cells, without_repeats
from whimbrel.model.rows import Bools, Floats, Ints
from whimbrel.stats.distance import divergence, freedom, normalised, surprise
from whimbrel.stats.many import high_quantile

FALSE_ALARMS = 0.01
"""Share of cases with nothing wrong in which any field at all passes the threshold."""

FEWEST_DAYS = 7
"""Golden days below which a threshold cannot be learned from them."""

FEWEST_ROWS = 100
"""Rows below which a golden day says nothing."""

WHOLE = 0.75
"""Share of the usual number of hours that a golden day must have to stand for a day."""

PRIOR = (2e-3, 2e-4, 2e-4, 5e-4)
"""Divergence that each question is granted to move a day by itself, counted as one golden day beside the real ones.

The first is a stability index of 0.016. They carry weight only where golden has few days.
"""


@dataclass(frozen=True)
class Natural:
    """Golden's restlessness: the divergence a day moves by itself, shape (columns, questions), and the threshold."""

    restless: Floats
    threshold: float
    days: int
    notes: tuple[str, ...]

    @staticmethod
    def of(golden: Golden, layout: Layout, hours: Cells) -> Natural:
        """Learned from golden's own days; `hours` are the window's, whose length counts where it is under a day."""
        tests = int(layout.compared.sum()) * QUESTIONS
        theory = NormalDist().inv_cdf(1 - FALSE_ALARMS / max(tests, 1))
        prior = np.broadcast_to(np.array(PRIOR), (len(layout.starts), QUESTIONS))
        cases = _whole_days(golden)
        if len(cases) < 2:
            return Natural(prior, theory, 0, (_short(len(cases)),))
        found = _golden_against_itself(golden, layout, cases)
        excess = found.excess * _shorter(golden, cases, hours)
        most, next_ = np.sort(excess, axis=0)[[-1, -2]]
        reach = log(max(tests, 2) / FALSE_ALARMS)
        others = np.where(excess == most, next_, most) * _beyond(reach, len(cases) - 1) + prior / len(cases)
        scores = scored(found, others)[:, layout.compared]
        restless = most * _beyond(reach, len(cases)) + prior / (len(cases) + 1)
        if len(cases) < FEWEST_DAYS or not scores.size:
            return Natural(restless, theory, 0, (_short(len(cases)),))
        learned = high_quantile(scores.max(axis=(1, 2)), 1 - FALSE_ALARMS)
        return Natural(restless, max(learned, theory), len(cases), ())


def _whole_days(golden: Golden) -> list[int]:
    """Golden's days, by place, without those that it holds only a part of."""
    hours = np.bincount(
        np.searchsorted(golden.profile.days.keys, golden.profile.hours.keys // 24), minlength=len(golden.by_day)
    )
    rows = golden.profile.days.counts[:, 0]
    return [int(day) for day in np.flatnonzero((rows >= FEWEST_ROWS) & (hours >= WHOLE * np.median(hours)))]


def scored(answers: Answers, restless: Floats) -> Floats:
    """Standard deviations by which each answer lies beyond chance and restlessness, (…, columns, questions)."""
    return surprise(answers.apart, answers.noise + restless / answers.freedom, answers.freedom)


def _golden_against_itself(golden: Golden, layout: Layout, cases: list[int]) -> Answers:
    """The answers of each golden day against the others; shape (days, columns, questions)."""
    hours = golden.profile.hours
    made: list[Expected] = []
    for day in cases:
        mine = hours.keys // 24 == golden.profile.days.keys[day]
        target = slots(Cells(hours.keys[mine], hours.counts[mine]))
        made.append(expected(golden, golden.by_day[day], target, without=day))
    rows = golden.profile.days.counts[cases, 0].astype(np.float64)
    after = normalised(golden.by_day[cases], golden.starts)
    new_sort = layout.new_sort(golden.totals - golden.by_day[cases])
    behind = np.stack([one.rows for one in made])
    return layout.ask(np.stack([one.shares for one in made]), after, new_sort, (behind, rows[:, None]))


def _shorter(golden: Golden, cases: list[int], hours: Cells) -> Floats:
    """How much more restless golden is over stretches as short as the window than over days; shape (columns, 1).

    Measured on groups of bins, in the window's hours of the day, each day against the others; one for a whole day.
    """
    ones = np.ones((len(golden.starts), 1))
    asked = without_repeats(hours.keys % 24)
    if len(hours.keys) >= 20 or not len(asked):
        return ones
    table = golden.profile.hours
    starts = np.array(golden.binning.group_starts[:-1], np.int64) - 1
    chosen = np.bincount(asked, minlength=24)[table.keys % 24] > 0
    short, long = (_by_day(table, golden.profile.days.keys[cases], keep) for keep in (chosen, np.ones_like(chosen)))
    ratio = _restless(short, starts) / np.maximum(_restless(long, starts), 1e-9)
    return np.clip(ratio, 1.0, 24 / len(asked))[:, None]


def _by_day(table: Cells, days: Ints, keep: Bools) -> Floats:
    """Rows and groups by day of the hours to keep, shape (days, 1 + groups)."""
    found = np.zeros((len(days), table.counts.shape[1]))
    place = np.searchsorted(days, table.keys // 24)
    keep = keep & (place < len(days)) & (days[np.minimum(place, len(days) - 1)] == table.keys // 24)
    np.add.at(found, place[keep], table.counts[keep])
    return found


def _restless(by_day: Floats, starts: Ints) -> Floats:
    """Mean divergence of a day from the other days beyond noise, by column."""
    rows, groups = by_day[:, 0], by_day[:, 1:]
    held = (rows >= FEWEST_ROWS) & (rows.sum() > rows)
    rows, groups = rows[held], groups[held]
    if len(rows) < 2:
        return np.zeros(len(starts))
    before, after = normalised(groups.sum(axis=0) - groups, starts), normalised(groups, starts)
    units = (1 / (rows.sum() - rows) + 1 / rows)[:, None] / 8
    excess = divergence(before, after, starts) - units * freedom(before, after, starts)
    mean: Floats = np.maximum(excess, 0.0).mean(axis=0)
    return mean


def _beyond(reach: float, days: int) -> float:
    """How far the level that is reached once in so many cases lies beyond the worst of some days, for exponential tails.

    The mean of the greatest of n is then ln n and Euler's constant; the level of chance p is -ln p (`reach`).
    """
    return max(reach / (log(days) + np.euler_gamma), 1.0)


def _short(days: int) -> str:
    return (
        f"golden holds {days} day{'s' if days != 1 else ''} with enough predictions, too few to learn from it how much "
        "fields move from day to day; a general allowance stands in, so a small movement may be a usual one"
    )
