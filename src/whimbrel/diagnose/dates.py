"""Dates and times, as numbers: how many days before its request each one lies. An age, a lead time or a term is a plain function of these.

In: the texts or the moments of a field, and the times of the rows. Out: days, or None where golden's texts are no dates. Which of two numbers is the day
golden's texts say: one that is above twelve. Dates without a time of day are told from the request's own day (UTC), others from its very time.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from datetime import UTC, datetime, timedelta, timezone

import numpy as np

from whimbrel.model.rows import Bools, Floats, Ints

MARK = "#days ago"
ENOUGH, _NEARLY_ALL = 20, 0.98
"""Different texts of golden that tell how dates are written, and the share of them that must be dates."""
_TIME = r"(?:[T ](?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.\d+)?)?)?\s?(?P<zone>Z|[+-]\d\d:?\d\d)?"
_YEAR_FIRST = re.compile(r"(?P<year>\d{4})([-/.])(?P<a>\d{1,2})\2(?P<b>\d{1,2})" + _TIME)
_YEAR_LAST = re.compile(r"(?P<a>\d{1,2})([-/.])(?P<b>\d{1,2})\2(?P<year>\d{4})" + _TIME)
_SAMPLED, _MONTHS = 400, 12
_A_YEAR = 366
_DAY_US = 86_400_000_000
_START = datetime(1970, 1, 1, tzinfo=UTC)


def days_ago(texts: Sequence[str], codes: Ints, golden: Bools, ts: Ints, *, least: int = ENOUGH) -> Floats | None:
    """Days from each row's date to its request, shape (n,), NaN where there is none; None where golden's texts are no dates.

    `codes`, shape (n,), index `texts`, -1 where null; `ts` are the rows' times (µs since 1970);
    `least` is how many different texts golden must have. Where the year comes first the month is next, unless golden's say otherwise.
    """
    known = np.unique(codes[golden & (codes >= 0)])
    if known.size < least:
        return None
    some = [texts[code] for code in known[:: max(1, known.size // _SAMPLED)].tolist()]
    for form in (_YEAR_FIRST, _YEAR_LAST):
        said = [one for text in some if (one := form.fullmatch(text)) is not None]
        month = _month(said, usual="a" if form is _YEAR_FIRST else "") if len(said) >= _NEARLY_ALL * len(some) else ""
        if month:
            at = np.array([*(_at(form.fullmatch(text), month) for text in texts), np.nan])
            timed = any(one["hour"] for one in said)
            days: Floats = (ts if timed else ts // _DAY_US * _DAY_US) / _DAY_US - at[codes]
            return days if np.isfinite(at[known]).mean() >= _NEARLY_ALL else None
    return None


def exchanged(text: str) -> str:
    """The date with its day and its month in each other's place; the same where it is none."""
    for form in (_YEAR_FIRST, _YEAR_LAST):
        one = form.fullmatch(text)
        if one:
            (a, b), (c, d) = one.span("a"), one.span("b")
            return text[:a] + one["b"] + text[b:c] + one["a"] + text[d:]
    return text


def turned(moments: Floats) -> Floats:
    """The same of moments (s since 1970), shape (n,); NaN where the day is no month."""
    days = np.floor(np.nan_to_num(moments) / 86_400).astype(np.int64).astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    year, day = months.astype("datetime64[Y]"), (days - months).astype(np.int64)
    month = (months - year).astype(np.int64)
    other = (year.astype("datetime64[M]") + np.minimum(day, _MONTHS - 1)).astype("datetime64[D]") + month
    moved = (other - days).astype(np.int64) * 86_400.0
    return np.where(day < _MONTHS, moments + moved, np.nan)


def before(moments: Floats, ts: Ints) -> Floats:
    """Days from each row's moment (s since 1970) to its request (µs since 1970), shape (n,), NaN where there is none."""
    days: Floats = (ts - moments * 1e6) / _DAY_US
    return days


def goes_on(old: str, new: str) -> bool:
    """Whether a date became a later one within a year, as the next pay day follows the last: the calendar does that. Day and month exchanged do not."""
    for form, months in ((_YEAR_FIRST, "a"), (_YEAR_LAST, "ab")):
        one, other = form.fullmatch(old), form.fullmatch(new)
        if one and other:
            turned = one["a"] == other["b"] and one["b"] == other["a"]
            days = [_at(other, month) - _at(one, month) for month in months]
            return not turned and any(0 < ahead <= _A_YEAR for ahead in days) and not any(ahead <= 0 for ahead in days)
    return False


def moment(name: str, variables: Container[str]) -> bool:
    """Whether a variable is a moment as it came: it goes on with the time, and what can be said of it is said of how long ago it was."""
    return f"{name}{MARK}" in variables


def _month(said: Sequence[re.Match[str]], *, usual: str) -> str:
    """Which of the two numbers that are not the year is the month, `a` or `b`; the usual one where golden does not say."""
    above = [np.mean([int(one[part]) > _MONTHS for one in said]) for part in ("a", "b")]
    if min(above) > 1 - _NEARLY_ALL:
        return ""
    if max(above) <= 1 - _NEARLY_ALL:
        return usual
    return "a" if above[0] < above[1] else "b"


def _at(one: re.Match[str] | None, month: str) -> float:
    """When it is, in days since 1970; NaN where there is no such day."""
    if one is None:
        return float("nan")
    day = "b" if month == "a" else "a"
    hour, minute, second = (int(one[part] or 0) for part in ("hour", "minute", "second"))
    try:
        at = datetime(int(one["year"]), int(one[month]), int(one[day]), hour, minute, second, tzinfo=_zone(one["zone"]))
    except ValueError:
        return float("nan")
    return (at - _START).total_seconds() / 86_400


def _zone(said: str | None) -> timezone:
    if not said or said == "Z":
        return UTC
    hours, minutes = int(said[1:3]), int(said[-2:])
    return timezone((-1 if said[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes))
