"""Work that was not done: what took no tokens, or next to no time, is an answer that was kept from another request; and what follows from it.

In: suspects. Out: whether one says so, and whether another follows from it. `causes` asks. A cache that answers as the model would have
is a saving; one that goes by the wrong key is told by its answers, which are no longer what golden made of what was asked.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose.case import Case
from whimbrel.diagnose.followers import MOSTLY
from whimbrel.diagnose.surroundings import TOTAL
from whimbrel.diagnose.suspects import Suspect, overlap
from whimbrel.model.fields import Role, role_of

NEVER = 0.01
"""The share of golden's requests that may have taken next to nothing, where that something was taken tells that work was done."""
NEXT_TO_NOTHING = 0.5
"""The part of the time that golden's quickest took in which nobody does the same work, on whatever machine."""


def unused(case: Case, suspect: Suspect) -> bool:
    """Whether nothing is used, or counted, where golden's requests hardly ever took nothing: they were answered without the model.

    Where one count alone is nought (of what was read again from a prompt's beginning) and others are not, the model worked.
    """
    used = case.variables.get(suspect.component)
    if role_of(suspect.component) is not Role.USAGE or used is None or not suspect.bad.any():
        return False
    counts = {v.path: v.missing | (v.numbers == 0) for v in case.of(Role.USAGE) if v.numbers is not None}
    always = {path: nothing for path, nothing in counts.items() if float(nothing[case.golden].mean()) < NEVER}
    return used.path in always and all(np.mean(nothing[suspect.bad]) >= MOSTLY for nothing in always.values())


def made_of_it(case: Case, guilty: Suspect, suspect: Suspect) -> bool:
    """Whether something is made of answers for which no work was done, wherever a table lists it: it departs on those rows alone."""
    made = role_of(suspect.component) in (Role.STEP, Role.OUTPUT, Role.DECISION, Role.USAGE)
    return made and unused(case, guilty) and overlap(suspect.bad, guilty.bad) >= MOSTLY


def kept_by(case: Case, suspect: Suspect) -> str:
    """The span that took next to no time where an answer departs, as never in golden: it was not worked out; empty where there is none."""
    for span in case.of(Role.SPAN):
        if span.numbers is None or span.path == TOTAL or not suspect.bad.any():
            continue
        known = case.golden & ~span.missing
        least = float(np.quantile(span.numbers[known], NEVER)) if known.any() else 0.0
        with np.errstate(invalid="ignore"):
            spared = span.numbers < NEXT_TO_NOTHING * least
        if float(spared[known].mean() if known.any() else 1.0) < NEVER and overlap(suspect.bad, spared) >= MOSTLY:
            return span.path
    return ""
