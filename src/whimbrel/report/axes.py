"""Where an axis puts its ticks: round numbers, and round times in UTC.

In: the range of the data and about how many ticks there is room for. Out: positions with labels. For `svg` alone.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_HUGE = sys.float_info.max
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 3, 7, 14)),
)
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 600, 1200)


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight line from data to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a value; values beyond the ends lie at the ends."""
        half = self.high / 2 - self.low / 2  # halves, because the difference of two huge numbers may overflow
        part = (value / 2 - self.low / 2) / half if half > 0 else 0.5
        return self.start + min(max(part, 0.0), 1.0) * (self.end - self.start)


def value_range(values: Sequence[float], *, from_zero: bool) -> tuple[float, float]:
    """A range that holds all values with some air, from zero where that is asked for or costs little."""
    low, high = min(values), max(values)
    if from_zero or 0 <= low <= 0.6 * high:
        low = min(low, 0.0)
    if low == high:
        air = abs(high) * 0.5 or 1.0
        return (low - air if low < 0 or not from_zero else 0.0), high + air
    air = 0.08 * high - 0.08 * low
    return (low if low == 0 else max(low - air, -_HUGE)), min(high + air, _HUGE)


def number_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers (1, 2, 2.5 or 5 times a power of ten) between two ends, at most `most` of them.

    >>> number_ticks(0, 0.034)
    [0.0, 0.01, 0.02, 0.03]
    """
    size = high - low
    if not (math.isfinite(size) and size > 0) or size < max(abs(low), abs(high)) * 1e-12:
        return [low]
    power = 10.0 ** math.floor(math.log10(size / most))
    for step in (power * f for f in (1, 2, 2.5, 5, 10, 20, 25, 50, 100)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return [round(i * step, 12 - math.floor(math.log10(step))) + 0.0 for i in range(first, last + 1)] or [low]
    return [low]


def time_ticks(since: datetime, until: datetime, most: int = 8) -> list[tuple[datetime, str]]:
    """Round times between two ends with their labels: midnight bears the date, any other time its hour and minute."""
    if since.year <= 1 or until.year >= 9999:
        return []  # no round time may exist beyond the ends of the calendar
    seconds = (until - since).total_seconds()
    for step in _STEPS:
        if seconds / step <= most:
            return _even(since, until, step)
    return _months(since, until, most)


def _even(since: datetime, until: datetime, step: int) -> list[tuple[datetime, str]]:
    offset = 4 * _DAY if step % (7 * _DAY) == 0 else 0  # weeks begin on Monday; 1970 began on a Thursday
    first = math.ceil(((since - _EPOCH).total_seconds() - offset) / step) * step + offset
    out = []
    tick = _EPOCH + timedelta(seconds=first)
    while tick <= until:
        out.append((tick, _time_label(tick, step)))
        tick += timedelta(seconds=step)
    if out and not any(" " in label for _, label in out):  # no midnight in sight: the first tick says which day it is
        out[0] = (out[0][0], f"{_date(out[0][0])} {out[0][1]}")
    return out


def _time_label(tick: datetime, step: int) -> str:
    if (tick.hour, tick.minute, tick.second) == (0, 0, 0):
        return _date(tick)
    return tick.strftime("%H:%M:%S" if step < _MINUTE else "%H:%M")


def _date(tick: datetime) -> str:
    return f"{tick:%b} {tick.day}"


def _months(since: datetime, until: datetime, most: int) -> list[tuple[datetime, str]]:
    whole = (until.year - since.year) * 12 + until.month - since.month
    step = next((m for m in _MONTHS if whole / m <= most), _MONTHS[-1])
    label: Callable[[datetime], str] = (lambda t: f"{t:%b} {t.year}") if step < 12 else (lambda t: str(t.year))
    first = math.ceil((since.year * 12 + since.month - 1) / step) * step
    ticks = (datetime(m // 12, m % 12 + 1, 1, tzinfo=UTC) for m in range(first, until.year * 12 + until.month, step))
    return [(tick, label(tick)) for tick in ticks if since <= tick <= until]
