"""Dates that many are given alike: the next pay day, the day of a sale, a rate's last day. The calendar goes on, and so do they.

In: a `Case` and one of its categories. Out: which of its values the calendar brought, and `Channel`s where a value is written otherwise than
golden's dates, or names a day that is past where golden had turned to the next one by then.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose.case import DAY_US, Case, Variable
from whimbrel.diagnose.dates import ENOUGH, days_ago, goes_on
from whimbrel.diagnose.scan import Channel, invariant
from whimbrel.model.rows import Bools, Ints

PAST = "past"
_NEVER = 0.002
"""The share of golden's rows that may name a day which is past, where it goes on to the next."""
_TURNED = 20
"""Golden's rows after a day of which it spoke that show that it goes on."""


def brought(case: Case, variable: Variable) -> Bools:
    """Which values are later dates than all of golden's few, shape (len(vocabulary),): the calendar brought them, and they are no news."""
    names = variable.vocabulary
    old = [names[code] for code in _known(case, variable)]
    if not 0 < len(old) < ENOUGH:
        return np.zeros(len(names), dtype=bool)
    return np.array([all(goes_on(before, name) for before in old) for name in names], dtype=bool)


def channels(case: Case, variable: Variable) -> list[Channel]:
    """Days that are past, and what is no date as golden wrote them."""
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
    turned = (case.ts[case.golden & given].max() - case.ts) / DAY_US  # days that golden went on after each row
    over = case.golden & given & (ago + turned >= 1)
    if past[case.golden & given].mean() <= _NEVER and np.count_nonzero(over) >= _TURNED and past[case.window].any():
        out.append(invariant(variable, PAST, np.where(np.isnan(ago), np.nan, past)))
    return out


def _known(case: Case, variable: Variable) -> Ints:
    assert variable.codes is not None
    return np.unique(variable.codes[case.golden & ~variable.missing])
