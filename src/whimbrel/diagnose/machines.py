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
from whimbrel.diagnose.surroundings import TOTAL, failed
from whimbrel.diagnose.suspects import Suspect
from whimbrel.model.fields import Role, split
from whimbrel.model.rows import Floats, Ints

_STREWN = 5.0
"""Standard errors, of the square root of the rows, by which outputs must be strewn wider about golden's model to have lost its order."""
_FEWEST, _HEAPED, _SEVERAL, _AGAIN = 60, 0.3, 3, 5
"""Rows that show how many values there are; the share of them that a model with fewer bits heaps on some values, how many such there are, and how
often each of them comes."""

_BESIDE = 2
"""Other spans that tell whether a host is slow at all it does."""
_GIVEN_UP = 4
"""Failed requests among the slowest that are no chance."""
_SLOW, _SLOWEST, _AS_QUICK = 0.75, 0.9, 0.4
"""The part of a span's requests from which on they are slow, and among its slowest; the quickest may take so much of what these take longer (in logs)."""
_ALIKE = 0.5
"""Golden spreads by which a median may move that is what it was, by another hour of the day."""


def on_one_host(suspect: Suspect) -> bool:
    """Whether the slice is one host, whoever asks."""
    return [c.path for c in suspect.where] == ["hardware.host"]


def calls(case: Case, suspect: Suspect) -> bool:
    """Whether a slow span waits for something elsewhere: its answer has an age, is recorded as read, or is given up.

    The way there may be slow, and not the host.
    """
    name = split(suspect.component)[1]
    return name in case.reads or f"age.{name}" in case.variables or _gives_up(case, suspect)


def _gives_up(case: Case, suspect: Suspect) -> bool:
    """Whether a span of one host waits for what it may not get: its slowest requests fail, its quickest hardly take longer, and no other span does.

    A machine that is slow is slow at every request, and at most of what it does; what it says of itself (its clock, its load) is as ever here.
    """
    wrong = failed(case)
    if wrong is None or not on_one_host(suspect):
        return False
    span = case.variables[suspect.component].numbers
    facts = [v.numbers for v in case.of(Role.HARDWARE) if v.numbers is not None and not v.derived]
    others = [v for v in case.of(Role.SPAN) if v.path not in (suspect.component, TOTAL)]
    if span is None or not facts or len(others) < _BESIDE:
        return False
    since = suspect.inside & case.window & (case.ts >= suspect.since_us)  # the hours in which it went well, too
    rows, base = (np.flatnonzero(some & np.isfinite(span)) for some in (since, suspect.inside & case.golden))
    if min(rows.size, base.size) < _FEWEST:
        return False
    slow = span[rows] >= np.quantile(span[rows], _SLOW)
    failing, usual = int(wrong[rows][slow].sum()), (wrong[base].sum() + 1) / base.size * slow.sum()
    gives_up = failing >= _GIVEN_UP and failing > usual + _STREWN * usual**0.5 and 2 * failing > wrong[rows].sum()
    at = (1 - _SLOWEST, _SLOWEST)
    quickest, slowest = np.log(np.quantile(span[rows], at) / np.maximum(np.quantile(span[base], at), 1e-9))
    quick = quickest <= _AS_QUICK * slowest
    as_ever = all(
        _unmoved(numbers, rows, base) for numbers in (*facts, *(v.numbers for v in others if v.numbers is not None))
    )
    return bool(gives_up and quick and as_ever)


def _unmoved(values: Floats, rows: Ints, base: Ints) -> bool:
    """Whether a host's number has golden's median, by a part of golden's spread."""
    here, there = values[rows], values[base]
    here, there = here[np.isfinite(here)], there[np.isfinite(there)]
    if min(here.size, there.size) < _FEWEST:
        return True
    return bool(abs(np.median(here) - np.median(there)) <= _ALIKE * max(float(there.std()), 1e-9))


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
