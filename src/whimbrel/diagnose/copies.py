"""What is recorded twice, as an input and as a tag of who asks, still says the same twice.

In: a `Case`. Out: a channel for each input whose text golden's tag always bore as well: 1 where the two disagree. Traffic moves both of them; one
alone is moved by what lies between the source and the app.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose.case import MAX_VALUES, Case, Variable
from whimbrel.diagnose.scan import LAYER_OF, Channel
from whimbrel.diagnose.suspects import Suspect
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats, Ints

_AGREED = 0.998
"""Share of golden's rows in which both must say the same."""
_LEAST, _SECOND = 200, 0.02
"""Rows of golden that know both, and the share of them with another value than the commonest: a constant agrees with any other."""


def channels(case: Case) -> list[Channel]:
    """One channel for each input that is a copy of a tag, or the tag of it."""
    tags = [tag for tag in case.of(Role.CONTEXT) if _listed(tag)]
    out = []
    for variable in case.of(Role.INPUT):
        copied = next((tag for tag in tags if _listed(variable) and _is_copy(case, variable, tag)), None)
        if copied is not None:
            apart, layer = _apart(variable, copied), LAYER_OF[Role.INPUT]
            detail = {"tag": copied.path}
            out.append(Channel(variable.path, layer, "copy", "invariant", apart, exact=True, detail=detail))
    return out


def words(case: Case, suspect: Suspect) -> str:
    """What became of which value, the commonest first."""
    variable, tag = (case.variables[name] for name in (suspect.component, suspect.hit.channel.detail["tag"]))
    assert variable.codes is not None
    assert tag.codes is not None
    rows = suspect.bad
    pairs, counts = np.unique(np.stack([tag.codes[rows], variable.codes[rows]]), axis=1, return_counts=True)
    most = pairs[:, np.argsort(-counts)[:3]].T.tolist()
    return ", ".join(f"{variable.vocabulary[got]!r} where it says {tag.vocabulary[said]!r}" for said, got in most)


def _listed(variable: Variable) -> bool:
    return variable.codes is not None and not variable.derived and variable.distinct <= MAX_VALUES


def _is_copy(case: Case, variable: Variable, tag: Variable) -> bool:
    apart = _apart(variable, tag)[case.golden]
    known = np.isfinite(apart)
    if known.sum() < _LEAST or apart[known].mean() > 1 - _AGREED:
        return False
    assert tag.codes is not None
    counts = np.bincount(tag.codes[case.golden][known])
    return bool(counts.max() <= (1 - _SECOND) * counts.sum())


def _apart(variable: Variable, tag: Variable) -> Floats:
    """1.0 where the two differ, NaN where one of them is null, shape (n,)."""
    assert variable.codes is not None
    assert tag.codes is not None
    place = {value: code for code, value in enumerate(tag.vocabulary)}
    as_tag: Ints = np.array([*(place.get(value, -2) for value in variable.vocabulary), -1])[variable.codes]
    known: Bools = (as_tag != -1) & (tag.codes >= 0)
    return np.where(known, as_tag != tag.codes, np.nan).astype(np.float64)
