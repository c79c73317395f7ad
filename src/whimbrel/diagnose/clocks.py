"""Local clocks: an hour of the day that is the hour of the request where it came from, by country or by shop.

In: a `Case` and a number. Out: the relation to the time of the row, exact, with one offset for each value of a tag (or one for all), or None; and
whether all of a tag left it by one hour, which is how summer time begins and ends; so too of a
category that goes by the hour. Of labels how many ticks of their own clock they came later.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose.case import HOUR_US, MAX_VALUES, Case, Variable
from whimbrel.diagnose.forms import EXACT_SHARE
from whimbrel.diagnose.relations import Relation, Split
from whimbrel.diagnose.suspects import Proof, Suspect
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats, Ints

FORM = "clock"
_QUARTERS = np.arange(96) / 4
"""Offsets of clocks, hours."""
_HOURS, _LEAST = 12, 20
"""Hours of the day that golden must have seen; rows of a tag's value that tell its offset."""
_TICKS_US = (60_000_000, 1_000_000)
"""What clocks count in that do not count thousandths."""
_ALL = 0.95
"""The share of a tag's rows that summer time moves."""
_EAST, _SMALL = 14, 4
"""Hours by which clocks are ahead at most; the last hour of the night at which they are put on."""
_THURSDAY, _FRIDAY = 3, 4
"""Days of the week, Monday 0: of 1 January 1970, and the first on which any country puts its clocks on."""


def local(case: Case, parts: Split, variable: Variable) -> Relation | None:
    """The hour of the row's time, moved by what golden's offset is for each value of the tag that tells it best; None where it is none."""
    if not is_hour(variable, parts.train):
        return None
    assert variable.numbers is not None
    tags = [v for v in case.of(Role.CONTEXT, Role.INPUT) if v.codes is not None and not v.derived]
    tags = [v for v in tags if 1 < v.distinct <= MAX_VALUES and v.name != variable.name]
    best: Relation | None = None
    for tag in [None, *tags]:
        codes = np.zeros(case.ts.size, dtype=np.int64) if tag is None else tag.kinds
        expected = _moved(case.hour, _offsets(case.hour, variable.numbers, codes, parts.train)[codes])
        checked = parts.check[np.isfinite(expected[parts.check]) & np.isfinite(variable.numbers[parts.check])]
        strength = float(np.mean(expected[checked] == variable.numbers[checked])) if checked.size >= _LEAST else 0.0
        if strength >= EXACT_SHARE and (best is None or strength > best.strength):
            known = np.isfinite(expected) & np.isfinite(variable.numbers)
            surprise = np.where(known, (expected != variable.numbers).astype(float), np.nan)
            by = "" if tag is None else f" by {tag.path}"
            parents = ("hour",) if tag is None else ("hour", tag.name)
            best = Relation(
                variable.name, parents, FORM, True, strength, expected, surprise, told=f"the local hour{by}"
            )
    return best


def proof(case: Case, suspect: Suspect) -> Proof:
    """What it proves that an hour is not the local one: nothing where summer time began or ended, else all."""
    return Proof.SOFT if _put_on(case, suspect) else Proof.HARD


def put_on(case: Case, suspect: Suspect) -> bool:
    """Whether a category that golden's hour and a tag decide (a part of the day) is since a night what it was one hour sooner, or later, for all of the tag."""
    relation: Relation = suspect.hit.channel.detail["relation"]
    target = case.variables[relation.target]
    others = [case.variables.get(name) for name in relation.parents if name not in ("hour", "weekday")]
    tags = [tag.kinds for tag in others if tag is not None and tag.codes is not None]
    if "hour" not in relation.parents or target.codes is None or len(tags) < len(others) or len(tags) > 1:
        return False
    tag = tags[0] if tags else np.zeros_like(case.ts)
    hour = np.floor(case.hour).astype(np.int64)
    usual = _by_hour(case, target.codes, tag, hour)
    off = case.window & (case.ts >= suspect.since_us) & (relation.surprise == 1)
    for ahead in (1, -1):
        moved = usual[tag, (hour + ahead) % 24]
        told = (target.codes >= 0) & (usual[tag, hour] >= 0) & (moved >= 0) & (moved != usual[tag, hour])
        late, right = told & (target.codes == moved), told & (target.codes == usual[tag, hour])
        theirs = told & case.window & np.isin(tag, tag[off])
        if off.any() and late[off].mean() >= _ALL and late[theirs & (case.ts >= suspect.since_us)].mean() >= _ALL:
            return all(
                _by_night(case.ts, late & (tag == one) & off, right & (tag == one)) for one in np.unique(tag[off])
            )
    return False


def _by_hour(case: Case, codes: Ints, tag: Ints, hour: Ints) -> Ints:
    """Golden's most frequent value of a category, by a tag's value and the hour, shape (values of the tag, 24); -1 where there is none."""
    rows = np.flatnonzero(case.golden & (codes >= 0) & (tag >= 0))
    shape = (int(tag.max(initial=0)) + 1, 24, int(codes.max(initial=0)) + 1)
    counts = np.bincount(
        np.ravel_multi_index((tag[rows], hour[rows], codes[rows]), shape), minlength=int(np.prod(shape))
    )
    table = counts.reshape(shape)
    return np.where(table.sum(axis=2) > 0, table.argmax(axis=2), -1)


def _put_on(case: Case, suspect: Suspect) -> bool:
    """Whether all rows of some values of the tag, and no others, are one hour off, all the same way, and since a night on which clocks are put on."""
    relation: Relation = suspect.hit.channel.detail["relation"]
    values = case.variables[relation.target].numbers
    assert values is not None
    known = np.isfinite(relation.surprise)
    since = case.window & (case.ts >= suspect.since_us) & known
    off = since & (relation.surprise == 1)
    if np.unique(np.mod(values - relation.expected, 24)[off]).tolist() not in ([1.0], [23.0]):
        return False
    tag = case.variables[relation.parents[1]].kinds if len(relation.parents) > 1 else np.zeros_like(case.ts)
    if off[since & np.isin(tag, tag[off])].mean() < _ALL:
        return False
    offset = np.mod(relation.expected - np.floor(case.hour), 24)
    return all(
        _by_night(case.ts, off & (tag == one), known & ~off & (tag == one), offset) for one in np.unique(tag[off])
    )


def _by_night(ts: Ints, off: Bools, right: Bools, offset: Floats | None = None) -> bool:
    """Whether a small hour from Friday to Sunday, local time, lies between the last row that was right and the first that is off: then clocks are put on.

    Without an offset, shape (n,), hours, any hour of these days does.
    """
    first = int(ts[off].min())
    before = ts[right & (ts < first)]
    last = int(before.max()) if before.size else int(ts.min())
    ahead = 0.0 if offset is None else float(np.median(offset[off]))
    local = np.arange(last // HOUR_US, first // HOUR_US + 1) + int(ahead - 24 if ahead > _EAST else ahead)
    small = (local % 24 <= _SMALL) | (offset is None)
    return bool((small & ((local // 24 + _THURSDAY) % 7 >= _FRIDAY)).any())


def is_hour(variable: Variable, rows: Ints) -> bool:
    """Whether its numbers on these rows may be hours of the day."""
    if variable.numbers is None or variable.derived:
        return False
    known = variable.numbers[rows]
    known = known[np.isfinite(known)]
    hours = np.unique(known)
    return bool(hours.size >= _HOURS and hours[0] >= 0 and hours[-1] <= 23 and (hours % 1 == 0).all())


def _moved(hour: Floats, offset: Floats) -> Floats:
    return np.floor(np.mod(hour + offset, 24))


def _offsets(hour: Floats, values: Floats, codes: Ints, train: Ints) -> Floats:
    """By code, the offset by which most of golden's rows are right, hours; NaN where they are too few. Of several the nearest to a whole hour."""
    train = train[np.isfinite(values[train])]
    size = int(codes.max(initial=0)) + 1
    rows = np.bincount(codes[train], minlength=size)
    right: list[Floats] = []
    for offset in _QUARTERS:
        same: Bools = _moved(hour[train], np.full(train.size, offset)) == values[train]
        right.append(np.bincount(codes[train], weights=same, minlength=size) - 0.25 * (offset % 1 != 0))
    return np.where(rows >= _LEAST, _QUARTERS[np.argmax(np.stack(right), axis=0)], np.nan)


def ticks(case: Case, delay: Floats) -> Floats:
    """Delays of labels in ticks of the clock that each is timed by, in seconds: whoever writes whole seconds leaves out those of the prediction."""
    assert case.label_ts is not None
    tick = np.select([case.label_ts % one == 0 for one in _TICKS_US], _TICKS_US, default=1_000)
    out: Floats = np.where(np.isfinite(delay), (case.label_ts // tick - case.ts // tick) * (tick / 1e6), np.nan)
    return out
