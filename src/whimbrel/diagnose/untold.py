"""What nothing recorded foretells, and yet always was so: how often a step's flag is up, what a request uses. Where it leaps, no mix of the traffic did it.

In: a `Case` and a suspect that merely moved. Out: what it proves that it did. `gather` asks.

That golden's fields told nothing of it says that no recorded field's mix can move it; that all its days were alike, that the world
outside did not either. What then changes from one hour to the next, and several times over, is the system's own.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose import keys, state
from whimbrel.diagnose.atoms import end_of
from whimbrel.diagnose.case import Case, Variable
from whimbrel.diagnose.scan import measured
from whimbrel.diagnose.suspects import BARELY, Proof, Suspect, abrupt
from whimbrel.model.fields import Role, role_of

ODDS = 4.0
"""Times the odds by which a flag must be up, or down, more often."""
INSIDE = 0.05
"""How much the share of values short of a cap may change by itself."""


def proof(case: Case, suspect: Suspect) -> Proof:
    """What it proves that a number moved which no relation tells: nothing, but for a flag's leap, what is used suddenly, and a cap."""
    channel = suspect.hit.channel
    role, variable = role_of(suspect.component), measured(case, channel)
    if suspect.proof is not Proof.SOFT or variable is None or variable.numbers is None or variable.derived:
        return suspect.proof
    if channel.signature == "atom" and role is Role.STEP and _capped(case, suspect, variable):
        return Proof.FIRM
    leapt = suspect.clarity >= BARELY and abrupt(case, suspect)
    if channel.signature in ("flag", "atom") and role is Role.STEP and leapt and _flagged(case, suspect, variable):
        return Proof.FIRM
    used = channel.signature == "level" and role is Role.USAGE
    return Proof.FIRM if used and leapt and suspect.where else suspect.proof


def _flagged(case: Case, suspect: Suspect, variable: Variable) -> bool:
    """Whether a number of two values has one of them so much more often, of many who ask, and not for an hour's state of the world."""
    assert variable.numbers is not None
    known = ~variable.missing
    base, here = (variable.numbers[side & known] for side in (case.golden & suspect.inside, suspect.affected))
    values = np.unique(variable.numbers[case.golden & known])
    if values.size != 2 or min(base.size, here.size) == 0:
        return False
    rare = values[int(np.mean(base == values[0]) > 0.5)]
    before, after = ((np.sum(side == rare) + 0.5) / (side.size + 1) for side in (base, here))
    times = after * (1 - before) / (before * (1 - after))
    up = np.where(known, variable.numbers == rare, np.nan)
    told = not ODDS > times > 1 / ODDS and not state.of_the_hour(case, up)
    return told and not keys.of_few(case, suspect) and not keys.of_strangers(case, suspect)


def _capped(case: Case, suspect: Suspect, variable: Variable) -> bool:
    """Whether all that went beyond a value now ends there, while as many as ever fall short of it: nobody's world piles up like that."""
    assert variable.numbers is not None
    known = ~variable.missing
    base, here = (variable.numbers[side & known] for side in (case.golden & suspect.inside, suspect.affected))
    value = suspect.hit.channel.detail["value"]
    sign = end_of(base, here, value) if min(base.size, here.size) else 0
    if not sign:
        return False
    short = [float(np.mean(sign * side < sign * value)) for side in (base, here)]
    return abs(short[1] - short[0]) <= max(INSIDE, 3.5 * float(np.sqrt(0.25 / here.size)))
