"""What a number is of the past of its own series: what a meter said a day ago, the mean of its last hours.

In: a `Case`. Out: an exact relation of a number to another one of earlier rows of the same series, found in the log alone: the rows
themselves are what the feature was made of. Where rows come at even times for each of some key (a meter, a shop and a product, or all
of them), a row is held against those so many steps before it; one that the log lacks says nothing. What was wrong in a row is wrong
in whatever is read off it later, and keeps the relation; a window of other length, another clock or a stale copy breaks it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from whimbrel.diagnose.case import DAY_US, HOUR_US, Case, Variable
from whimbrel.diagnose.contracts import GRADED
from whimbrel.diagnose.forms import EXACT_SHARE, judge
from whimbrel.diagnose.relations import Relation, Split
from whimbrel.diagnose.rounding import tolerance
from whimbrel.diagnose.series import Series
from whimbrel.diagnose.support import thin
from whimbrel.diagnose.suspects import Proof, Suspect
from whimbrel.model.fields import Role, role_of
from whimbrel.model.rows import Bools, Floats, Ints

FORM = "history"
ALWAYS = 0.95
"""The share of the asked rows that must have that past."""
_ASKED, _FIRST = 240, 40
"""Golden's rows that the past is sought for, and those that it is first tried on."""
_LEAST = 0.3
"""The share of the asked rows for which the log must have that past."""
_SLACK = 0.1
"""By how much fewer of the rows that are first tried may say so."""
_MOSTLY = 0.6
"""The share of the rows that show it whose labels must be those of one other time to say so."""
_ODDER = 1.5
"""Times as far from what is usual at which what a step recalls is the odd one."""
_AT_ONCE = 4_000_000
"""Values that are read at once, for memory's sake."""
_ELSEWHERE = 0.7
"""The share of rows that may say the same of any other time: what hardly changes tells no time."""


class Pasts:
    """What fields were before, for a few of golden's later rows: read once for all targets that are tried on it."""

    def __init__(self, case: Case) -> None:
        self.tried = thin(np.flatnonzero(case.golden & (case.ts >= np.median(case.ts[case.golden]))), _FIRST)
        self._told: dict[tuple[str, _Read], Floats] = {}

    def told(self, series: Series, source: Variable, how: _Read) -> Floats:
        """What is read of a source at each step back, shape (tried, steps)."""
        if (source.name, how) not in self._told:
            self._told[source.name, how] = how.of(source, series.before(self.tried, how.sign * series.steps))
        return self._told[source.name, how]


def recalled(case: Case, pasts: Pasts, target: Variable) -> Relation | None:
    """The relation of a number to what another one was, or amounted to, some steps before in its series; None where there is none."""
    series = case.series
    if series is None or target.numbers is None or target.derived or target.distinct < GRADED:
        return None
    late = np.flatnonzero(case.golden & np.isfinite(target.numbers) & (case.ts >= np.median(case.ts[case.golden])))
    if late.size < _ASKED:
        return None
    asked, near = thin(late, _ASKED), tolerance(target.numbers[late])
    for source, how in _sources(case, target):
        if _share(pasts.told(series, source, how), target.numbers[pasts.tried], near).max() < ALWAYS - _SLACK:
            continue
        told = _share(how.of(source, series.before(asked, how.sign * series.steps)), target.numbers[asked], near)
        back = int(told.argmax())
        if not back or told[back] < ALWAYS or np.delete(told, back).max() > _ELSEWHERE:
            continue
        expected = _past(series, source, how, back)
        checked = Split(late[:0], late[np.isfinite(expected[late])])
        found = judge(checked, target, expected, EXACT_SHARE, form=FORM, parents=(source.name,))
        if found is not None:
            surprise = _joined(case, series, found.surprise, how, back)
            return replace(found, surprise=surprise, told=_words(series, source.path, how, back))
    return None


def proof(case: Case, suspect: Suspect) -> Proof:
    """What it proves that a number is no longer what another one was: nothing where that other one is the odd one.

    Odd is what lies farther from what is usual of its series at its hour, or on its weekday. Between what came in and the label that
    tells the same it is the odder of the two, unless each says what the other says at another time: what comes in may be older than it
    was, and nothing comes in before it is so. A step must be less odd by far than what it recalls before that is blamed.
    """
    relation: Relation = suspect.hit.channel.detail["relation"]
    series, target, source = case.series, *(case.variables[name] for name in (relation.target, *relation.parents))
    if series is None or target.numbers is None:
        return Proof.SOFT
    often = 2 * series.every < DAY_US
    cell = 24 * series.key + (case.hour.astype(np.int64) if often else case.weekday)
    own, other = (_odd(some, cell, suspect.bad, case.golden) for some in (target.numbers, relation.expected))
    if role_of(suspect.component) is Role.STEP or "label" not in (target.name, source.name):
        return Proof.SOFT if other > _ODDER * max(own, 1.0) else Proof.HARD
    ahead = 1 if target.name == "label" else -1
    usual, here = (_ahead(series, target, source, rows, ahead) for rows in (case.golden, suspect.bad))
    if usual is not None and here is not None and here != usual:
        return Proof.HARD if (here < usual) == (ahead > 0) else Proof.SOFT
    return Proof.SOFT if other > own else Proof.HARD


def _ahead(series: Series, target: Variable, source: Variable, rows: Bools, sign: int) -> int | None:
    """How many steps before what came in the label says it, on most of these rows; None where it does not."""
    assert target.numbers is not None
    assert source.numbers is not None
    some = thin(np.flatnonzero(rows & np.isfinite(target.numbers)), _ASKED)
    known = target.numbers[np.isfinite(target.numbers)]
    steps = np.append(-series.steps[:0:-1], series.steps)
    past = series.before(some, -sign * steps)
    read = np.where(past >= 0, source.numbers[past], np.nan)
    told = _share(read, target.numbers[some], tolerance(known)) if some.size else np.zeros(steps.size)
    return int(steps[told.argmax()]) if told.max() >= _MOSTLY else None


def _odd(values: Floats, cell: Ints, rows: Bools, golden: Bools) -> float:
    """How many times as far as golden's these rows' values lie from golden's mean of their cell."""
    known = golden & np.isfinite(values)
    counts = np.bincount(cell[known], minlength=int(cell.max()) + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.bincount(cell[known], weights=values[known], minlength=counts.size) / counts
    gaps = np.abs(values - means[cell])
    if not np.isfinite(gaps[rows]).any():
        return 0.0
    return float(np.nanmean(gaps[rows]) / max(float(np.nanmean(gaps[known & np.isin(cell, cell[rows])])), 1e-12))


def _sources(case: Case, target: Variable) -> list[tuple[Variable, _Read]]:
    """What may be recalled, and how: what came in, what was made of it and answered, and labels of before; of a label what came in later."""
    ahead = target.field.role is Role.LABEL
    roles = [Role.INPUT] if ahead else [Role.INPUT, Role.STEP, Role.OUTPUT, Role.LABEL]
    found = [v for v in case.of(*roles) if v.numbers is not None and not v.derived and v.path != target.path]
    return [(v, how) for v in found if v.distinct >= GRADED for how in _READS if ahead == (how.what == "later")]


@dataclass(frozen=True)
class _Read:
    """How a past is read."""

    what: str
    """`then`, or the mean or the sum of the rows from some step back up to the present one, or to the one before it; `later`: steps on."""
    first: int = 0
    """0 where the present row counts, 1 where only those before it do."""

    @property
    def sign(self) -> int:
        """1 where steps lead back, -1 where they lead on."""
        return -1 if self.what == "later" else 1

    def of(self, source: Variable, past: Ints) -> Floats:
        """What is read of a source where it is read so many steps back, or begins there: shape of `past`, NaN where the log lacks some of it."""
        assert source.numbers is not None
        then = np.where(past >= 0, source.numbers[past], np.nan)
        if self.what in _ONE:
            return then
        then, whole = then[:, self.first :], np.logical_and.accumulate(past[:, self.first :] >= 0, axis=1)
        known = np.isfinite(then)
        over = np.cumsum(np.where(known, then, 0.0), axis=1)
        if self.what == "mean":
            over /= np.maximum(np.cumsum(known, axis=1), 1)
        return np.column_stack([np.full((len(past), self.first), np.nan), np.where(whole, over, np.nan)])


_ONE = ("then", "later")
_READS = (*(_Read(what) for what in _ONE), *(_Read(what, first) for what in ("mean", "sum") for first in (1, 0)))


def _share(read: Floats, values: Floats, near: float) -> Floats:
    """The share of values that are what is read, by steps back, shape (steps,); 0 where too few are known."""
    known = np.isfinite(read)
    same = np.abs(read - values[:, None]) <= near
    counts = known.sum(axis=0)
    return np.where(counts >= _LEAST * values.size, same.sum(axis=0) / np.maximum(counts, 1), 0.0)


def _joined(case: Case, series: Series, surprise: Floats, how: _Read, back: int) -> Floats:
    """The surprise, unknown where golden's rows are recalled that the window does not go on from: another extract, another simulation.

    There the first that recall them break it, and those that recall the window's own rows do not.
    """
    steps = np.array([how.sign * back]) if how.what in _ONE else np.array([how.first, back])
    rows = np.flatnonzero(case.window & np.isfinite(surprise))
    across = case.golden[series.before(rows, steps)].any(axis=1)
    over, own = rows[across], rows[~across]
    first = over[np.argsort(case.ts[over], kind="stable")][:_FIRST]
    broken = float(surprise[first].mean()) if first.size else 0.0
    if broken <= 0.5 or (own.size >= _FIRST and float(surprise[own].mean()) > broken / 2):
        return surprise
    out = surprise.copy()
    out[over] = np.nan
    return out


def _past(series: Series, source: Variable, how: _Read, back: int) -> Floats:
    """What is read for every row, shape (n,)."""
    steps = np.array([how.sign * back]) if how.what in _ONE else np.arange(back + 1)
    rows = np.arange(series.at.size)
    chunks = np.array_split(rows, 1 + rows.size * steps.size // _AT_ONCE)
    return np.concatenate([how.of(source, series.before(some, steps))[:, -1] for some in chunks])


def _words(series: Series, path: str, how: _Read, back: int) -> str:
    hours = (back + (how.what not in _ONE and 1 - how.first)) * series.every / HOUR_US
    time = f"{hours:.3g} hours" if hours < 48 else f"{hours / 24:.3g} days"
    if how.what in _ONE:
        return f"what {path} was {time} {'before' if how.sign > 0 else 'after'}"
    return f"the {how.what} of {path} over {time}"
