"""Outputs that stand in each other's place: a head that answers for another, and a record that put two into each other's columns.

In: a suspect output, and golden's relations. Out: which other output it is about. `causes` asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from whimbrel.diagnose import models
from whimbrel.diagnose.case import Case, Variable
from whimbrel.diagnose.forms import PLAIN
from whimbrel.diagnose.relations import Relation
from whimbrel.diagnose.support import thin
from whimbrel.diagnose.suspects import Suspect
from whimbrel.model.fields import Role
from whimbrel.model.rows import Floats, Ints

_NEARER = 0.15
"""The part of how far an output is from what it should be, and of how far the two are apart, within which one is the other."""
_BETTER, _TAUGHT = 0.3, 5_000
"""The part of how far decisions are from what was written that is left where they go by the outputs put back; rows of golden that teach it."""
_ROWS, _KNOWN = 20, 0.9
"""Rows that show it, and the share of them on which both are known."""


def holder(case: Case, suspect: Suspect, relations: Mapping[str, Relation]) -> str:
    """The output that has just what the suspect should be, as none of golden's had; empty where there is none."""
    found = _nearest(case, suspect, relations, lambda _is, should, other: np.abs(other - should))
    return found or _turned_about(case, suspect, relations.get(suspect.component))


def _turned_about(case: Case, suspect: Suspect, relation: Relation | None) -> str:
    """The output that the suspect is made of (the raw score, of a calibrated one), where now it is made of the suspect."""
    variable = case.variables.get(suspect.component)
    source = case.variables.get(relation.parents[0]) if relation is not None and relation.form in PLAIN else None
    if source is None or source.numbers is None or source.field.role is not Role.OUTPUT:
        return ""
    if variable is None or variable.numbers is None:
        return ""
    golden = np.flatnonzero(case.golden & ~source.missing & ~variable.missing)
    knots, first = np.unique(source.numbers[golden], return_index=True)
    made = np.stack([knots, variable.numbers[golden[first]]])
    rows = np.flatnonzero(suspect.bad & ~source.missing & ~variable.missing)
    if rows.size < _ROWS or knots.size < 2:
        return ""
    here, there = variable.numbers[rows], source.numbers[rows]
    off, turned = np.abs(np.interp(there, *made) - here), np.abs(np.interp(here, *made) - there)
    return source.name if float(np.median(turned)) <= _NEARER * float(np.median(off)) else ""


def stand_in(case: Case, suspect: Suspect, relations: Mapping[str, Relation]) -> str:
    """The output whose values the suspect has, as in golden it had not; empty where there is none."""
    return _nearest(case, suspect, relations, lambda is_, _should, other: np.abs(is_ - other))


def misplaced(case: Case, suspect: Suspect, other: str, relations: Mapping[str, Relation]) -> bool:
    """Whether what was decided goes by the two outputs put back in each other's place: they were exchanged after that, in the record.

    Trees learn golden's decisions; where nothing was decided by them, nobody can say, and a record it is.
    """
    rows = np.flatnonzero(suspect.bad)
    found = []
    for decision in case.of(Role.DECISION):
        made = relations.get(decision.name)
        if decision.derived or made is None or not {suspect.component, other} & set(made.parents):
            continue
        read = [case.variables[name] for name in made.parents if name in case.variables]
        put_back = {suspect.component: case.variables[other], other: case.variables[suspect.component]}
        is_, was = _columns(read), _columns([put_back.get(v.name, v) for v in read])
        found.append(_wrong(case, decision, is_, was, rows) <= _BETTER * _wrong(case, decision, is_, is_, rows))
    return all(found)


def _columns(read: Sequence[Variable]) -> Floats:
    return np.stack([v.kinds if v.numbers is None else v.numbers for v in read], axis=1).astype(np.float64)


def _wrong(case: Case, decision: Variable, x: Floats, asked: Floats, rows: Ints) -> float:
    """How far decisions are from what a tree that learned golden's by `x` makes of `asked`, both of shape (n, p); the share of others where they have names."""
    models.ready()
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    taught = thin(np.flatnonzero(case.golden & ~decision.missing), _TAUGHT)
    rows = rows[~decision.missing[rows]]
    if decision.numbers is None:
        rule = DecisionTreeClassifier(min_samples_leaf=2, random_state=0).fit(x[taught], decision.kinds[taught])
        return float(np.mean(rule.predict(asked[rows]) != decision.kinds[rows]))
    tree = DecisionTreeRegressor(min_samples_leaf=5, random_state=0).fit(x[taught], decision.numbers[taught])
    return float(np.mean(np.abs(tree.predict(asked[rows]) - decision.numbers[rows])))


def _nearest(
    case: Case, suspect: Suspect, relations: Mapping[str, Relation], apart: Callable[[Floats, Floats, Floats], Floats]
) -> str:
    """The other output by which this distance is small where the suspect is wrong, and was not before; the nearest."""
    variable, relation = case.variables.get(suspect.component), relations.get(suspect.component)
    if variable is None or variable.numbers is None or relation is None:
        return ""
    off = np.abs(variable.numbers - relation.expected)
    rows = suspect.bad & np.isfinite(off)
    if rows.sum() < _ROWS:
        return ""
    found: dict[str, float] = {}
    for other in case.of(Role.OUTPUT):
        if other.numbers is None or other.derived or other.name == suspect.component:
            continue
        far = apart(variable.numbers, relation.expected, other.numbers)
        known = np.isfinite(far)
        if (rows & known).sum() < _KNOWN * rows.sum() or not (case.golden & known).any():
            continue
        now, before = float(np.median(far[rows & known])), float(np.median(far[case.golden & known]))
        if now <= _NEARER * min(float(np.median(off[rows])), before):
            found[other.name] = now
    return min(found, key=lambda name: found[name], default="")
