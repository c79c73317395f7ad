"""What golden kept to about dates. Those that many are given alike (the next pay day, a sale's last day) go on as the calendar does.

In: a `Case` and one of its categories. Out: which of its values the calendar brought, and `Channel`s where a value is written otherwise than
golden's dates, names a day that is past where golden had turned to the next one by then, or lies far off unless its day and its month change places.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose.case import DAY_US, Case, Variable
from whimbrel.diagnose.dates import ENOUGH, MARK, before, days_ago, exchanged, goes_on, turned
from whimbrel.diagnose.scan import Channel, invariant
from whimbrel.model.rows import Bools, Floats, Ints

PAST, TURNED = "past", "turned"
_NEVER = 0.002
"""The share of golden's rows that may name a day which is past, where it goes on to the next."""
_WENT_ON = 20
"""Golden's rows after a day of which it spoke that show that it goes on."""
_MOSTLY, _ALWAYS = 0.8, 0.005
"""The share of dates beyond golden's that must lie among them when turned; the share of golden's own on either side that are no measure."""


def brought(case: Case, variable: Variable) -> Bools:
    """Which values are later dates than all of golden's few, shape (len(vocabulary),): the calendar brought them, and they are no news."""
    names = variable.vocabulary
    old = [names[code] for code in _known(case, variable)]
    if not 0 < len(old) < ENOUGH:
        return np.zeros(len(names), dtype=bool)
    return np.array([all(goes_on(before, name) for before in old) for name in names], dtype=bool)


def channels(case: Case, variable: Variable) -> list[Channel]:
    """Days that are past, what is no date as golden wrote them, and days that are months."""
    return [*(() if variable.codes is None else _of_few(case, variable)), *_turned(case, variable)]


def _turned(case: Case, variable: Variable) -> list[Channel]:
    """1 where a date lies beyond golden's, as far from its request, and among them with day and month exchanged: somebody reads the one for the other."""
    ago = case.variables.get(f"{variable.name}{MARK}")
    otherwise = None if ago is None else _otherwise(case, variable)
    if ago is None or ago.numbers is None or otherwise is None:
        return []
    usual = ago.numbers[case.golden & np.isfinite(ago.numbers)]
    low, high = np.quantile(usual, (_ALWAYS, 1 - _ALWAYS))
    beyond, among = (ago.numbers < low) | (ago.numbers > high), (otherwise >= low) & (otherwise <= high)
    far = case.window & beyond
    if not far.any() or among[far].mean() < _MOSTLY:
        return []
    values = np.where(np.isfinite(ago.numbers), beyond & among, np.nan)
    return [invariant(variable, TURNED, values, floor=0.02, detail={"variable": variable.name})]


def _otherwise(case: Case, variable: Variable) -> Floats | None:
    """How many days ago the window's dates would be with day and month exchanged, shape (n,)."""
    if variable.numbers is not None:
        return before(turned(variable.numbers), case.ts)
    assert variable.codes is not None
    size, there = len(variable.vocabulary), case.window & ~variable.missing
    texts = (*variable.vocabulary, *(exchanged(text) for text in variable.vocabulary))
    return days_ago(texts, np.where(there, variable.codes + size, variable.codes), case.golden, case.ts)


def _of_few(case: Case, variable: Variable) -> list[Channel]:
    assert variable.codes is not None
    known = _known(case, variable)
    few = 1 < known.size < ENOUGH
    ago = days_ago(variable.vocabulary, variable.codes, case.golden, case.ts, least=2) if few else None
    if ago is None:
        return []
    out = []
    given = ~variable.missing
    odd = given & np.isnan(ago)
    if odd[case.window].any() and not odd[case.golden].any():
        usual = variable.vocabulary[int(known[-1])]
        values = list(dict.fromkeys(variable.vocabulary[code] for code in variable.codes[odd & case.window]))[:3]
        detail = {"values": values, "usual": usual, "variable": variable.name}
        out.append(invariant(variable, "reshaped", np.where(given, odd, np.nan), floor=0.1, detail=detail))
    past = given & (ago >= 1)  # a day is past when it is over
    went_on = (case.ts[case.golden & given].max() - case.ts) / DAY_US  # days that golden went on after each row
    over = case.golden & given & (ago + went_on >= 1)
    if past[case.golden & given].mean() <= _NEVER and np.count_nonzero(over) >= _WENT_ON and past[case.window].any():
        out.append(invariant(variable, PAST, np.where(np.isnan(ago), np.nan, past)))
    return out


def _known(case: Case, variable: Variable) -> Ints:
    assert variable.codes is not None
    return np.unique(variable.codes[case.golden & ~variable.missing])
