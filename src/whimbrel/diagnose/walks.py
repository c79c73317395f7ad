"""States of the world that walk on: a rate of exchange, an index, the price of the hour.

In: a suspect step. Out: whether it departs because what it was handed, or what it is made with, went on from where it stood.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose import state
from whimbrel.diagnose.case import MAX_VALUES, Case, Variable
from whimbrel.diagnose.suspects import Proof, Suspect
from whimbrel.model.fields import Role, role_of
from whimbrel.model.rows import Floats, Ints


def drifted(case: Case, suspect: Suspect) -> bool:
    """Whether a step is handed a state of the world (a rate of exchange, by the day and currency) that walked on, or made with one (an amount at it).

    Where it stands is not its upstream's to foretell, as long as it nowhere goes farther at once than it did in golden. What is not
    the very same for all of an hour and place must have walked out of golden's range.
    """
    relation = suspect.hit.channel.detail["relation"]
    values = case.variables[relation.target].numbers
    if values is None or role_of(suspect.component) is not Role.STEP or suspect.proof is Proof.SOFT:
        return False
    known, here = values[case.golden & suspect.inside], values[suspect.bad]
    if np.isnan(known).all():
        return False
    place = state.places(case, values, state.EXACTLY, pairs=True)
    if place is not None and state.of_the_clock(case, place, values):
        return False
    if place is None and np.mean((here < np.nanmin(known)) | (here > np.nanmax(known))) >= 0.5:
        place = state.places(case, values)
    if place is not None:
        return _walked(case, suspect, place, values)
    rates = (_rate(values, case.variables[name]) for name in relation.parents if name in case.variables)
    return any(_at_a_rate(case, suspect, rate) for rate in rates if rate is not None)


def _walked(case: Case, suspect: Suspect, place: Ints, values: Floats) -> bool:
    """Whether a state went on from where it stood, nowhere farther at once than it did in golden."""
    return not state.leapt(case, place, np.where(suspect.inside, values, np.nan), suspect.since_us, later=True)


def _rate(values: Floats, of: Variable) -> Floats | None:
    """How many times a number the values are, NaN where there is none; None where it is none or has but a few values."""
    if of.numbers is None or of.distinct <= MAX_VALUES:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        times = values / of.numbers
    return np.where(np.isfinite(times), times, np.nan)


def _at_a_rate(case: Case, suspect: Suspect, rate: Floats) -> bool:
    """Whether the rate is the very same for all of an hour and place, is no clock's, and walked on."""
    place = state.places(case, rate, state.EXACTLY, pairs=True)
    return place is not None and not state.of_the_clock(case, place, rate) and _walked(case, suspect, place, rate)
