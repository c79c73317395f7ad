"""What kind of request it is (a channel, a room, a tier), as slices: much goes wrong for one kind alone, and apps record some of them as inputs.

In: a `Case`. Out: the same with a dimension for each input of few values. Kinds are no mix: a share that moves is theirs to tell.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from whimbrel.diagnose import state
from whimbrel.diagnose.case import Case, Dimension, Variable
from whimbrel.model.fields import Role

MOST_VALUES, MOST_KINDS = 30, 8
"""Values of an input that are slices, and inputs; of more, those of the fewest values."""
LEAST_ROWS = 100
"""Golden's rows of a value that say what is usual for it."""


def beside(case: Case) -> Case:
    """The case with kinds among its dimensions."""
    kinds = [v for v in case.of(Role.INPUT) if v.codes is not None and not v.derived and v.distinct > 1]
    kinds = sorted(
        (v for v in kinds if v.distinct <= MOST_VALUES and not _of_an_hour(case, v)), key=lambda v: v.distinct
    )
    found = [d for d in (_dimension(case, v) for v in kinds[:MOST_KINDS]) if len(d.values) > 1]
    return replace(case, dimensions=(*case.dimensions, *found)) if found else case


def _of_an_hour(case: Case, variable: Variable) -> bool:
    """Whether those who ask in one hour and place share it (the weather): its slices are stretches of time."""
    assert variable.codes is not None
    usual = np.bincount(variable.codes[case.golden & ~variable.missing]).argmax()
    flags = np.where(variable.missing, np.nan, variable.codes == usual)
    return state.of_the_hour(case, flags)


def _dimension(case: Case, variable: Variable) -> Dimension:
    """Its values as slices, the commonest first; what golden hardly had is none."""
    assert variable.codes is not None
    size = len(variable.vocabulary)
    counts = np.bincount(variable.codes[case.golden & ~variable.missing], minlength=size)
    kept = [int(code) for code in np.argsort(-counts, kind="stable") if counts[code] >= LEAST_ROWS]
    place = np.full(size + 1, -1, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    return Dimension(variable.path, place[variable.codes], tuple(variable.vocabulary[code] for code in kept))
