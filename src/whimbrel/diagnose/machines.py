"""Whether it is the machine that errs, where one host alone answers otherwise: bad arithmetic is neither another model nor another scale.

In: a suspect output whose slice is a host, and golden's relations. Out: yes or no. `causes` asks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from whimbrel.diagnose.case import Case
from whimbrel.diagnose.exchanged import stand_in
from whimbrel.diagnose.relations import Relation
from whimbrel.diagnose.straight import of_fewer_parts, of_other_weights
from whimbrel.diagnose.suspects import Suspect
from whimbrel.model.fields import split
from whimbrel.model.rows import Floats

_STREWN = 5.0
"""Standard errors, of the square root of the rows, by which outputs must be strewn wider about golden's model to have lost its order."""
_FEWEST, _HEAPED, _SEVERAL, _AGAIN = 60, 0.3, 3, 5
"""Rows that show how many values there are; the share of them that a model with fewer bits heaps on some values, how many such there are, and how
often each of them comes."""


def on_one_host(suspect: Suspect) -> bool:
    """Whether the slice is one host, whoever asks."""
    return [c.path for c in suspect.where] == ["hardware.host"]


def calls(case: Case, span: str) -> bool:
    """Whether a span waits for something elsewhere, whose answer has an age or is recorded as read: the way there may be slow, and not the host."""
    name = split(span)[1]
    return name in case.reads or f"age.{name}" in case.variables


def errs(case: Case, suspect: Suspect, relations: Mapping[str, Relation]) -> bool:
    """Whether the host computes wrongly what it computes.

    Not another model's answer, what a part of its own says, another output's answer, a coarser one's or the same in another scale.
    """
    relation = suspect.hit.channel.detail.get("relation") or relations.get(suspect.component)
    another = (
        _coarser(case, suspect) or bool(stand_in(case, suspect, relations)) or _ranks_kept(case, suspect, relation)
    )
    return not (another or of_other_weights(case, suspect, relation) or of_fewer_parts(case, suspect, relation))


def _coarser(case: Case, suspect: Suspect) -> bool:
    """Whether answers heap on a few values as as many of golden's do not, though not on one."""
    variable = case.variables.get(suspect.component)
    if variable is None or variable.numbers is None:
        return False
    here, golden = (np.flatnonzero(rows & ~variable.missing) for rows in (suspect.affected, case.golden))
    if min(here.size, golden.size) < _FEWEST:
        return False
    as_many = golden[np.linspace(0, golden.size - 1, min(here.size, golden.size)).astype(np.int64)]
    (now, several), (before, _) = (_heaped(variable.numbers[rows]) for rows in (here, as_many))
    return several >= _SEVERAL and now >= _HEAPED and before <= 0.5 * now


def _heaped(values: Floats) -> tuple[float, int]:
    """The share of values that come again and again, and how many different ones do."""
    _, counts = np.unique(values, return_counts=True)
    again = counts[counts >= max(_AGAIN, 0.01 * values.size)]
    return float(again.sum() / values.size), again.size


def _ranks_kept(case: Case, suspect: Suspect, relation: Relation | None) -> bool:
    """Whether the outputs are still in the order that golden's model would give them: another scale, not other arithmetic."""
    variable = case.variables.get(suspect.component)
    if relation is None or variable is None or variable.numbers is None:
        return False
    judged = (
        suspect.inside & np.isfinite(variable.numbers) & np.isfinite(relation.expected) & np.isfinite(relation.surprise)
    )
    strewn = []
    for rows in (judged & case.golden, judged & suspect.affected):
        if rows.sum() < 30:
            return False
        ranks = [np.argsort(np.argsort(values[rows])) for values in (variable.numbers, relation.expected)]
        strewn.append(1 - float(np.corrcoef(ranks[0], ranks[1])[0, 1]) ** 2)
    by_chance = _STREWN / float((judged & suspect.affected).sum()) ** 0.5
    return bool(strewn[1] <= (1 + by_chance) * strewn[0] + 0.001)
