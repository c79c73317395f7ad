"""Which field a stale source feeds: an age says how old something is, and seldom of what.

In: a `Case`, the suspect that is an age, and what moved beside it. Out: the path of the field. `causes` asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from whimbrel.diagnose.case import Case
from whimbrel.diagnose.forms import PLAIN
from whimbrel.diagnose.relations import Relation
from whimbrel.diagnose.suspects import Proof, Suspect, order_of, overlap
from whimbrel.model.fields import Role, role_of, split

_ALIKE = 0.4
"""The share of each other's rows on which what a source feeds went wrong while it was old: at first it is not old enough to show."""


def served(case: Case, suspect: Suspect, others: Sequence[Suspect], relations: Mapping[str, Relation]) -> str:
    """The field that a source feeds: the one of its name; else, of those that nothing recorded determines, the likeliest.

    Of several the one that moved on the same rows; steps come before inputs, for what has an age was looked up. A source of
    another name is told by what went wrong on the same rows, the first of those, by what merely moved in the very same slice and in no other, or by
    what the rest of the row foretells least.
    """
    name = split(suspect.component)[1]
    moved = {s.component: overlap(suspect.affected, s.affected) for s in others}
    fields = [f for f in case.schema if f.role in (Role.STEP, Role.INPUT)]
    fields.sort(key=lambda f: (-moved.get(f.path, 0.0), f.role is not Role.STEP))
    called = [f.path for f in fields if split(f.path)[-1] == name] or [f.path for f in fields if f.step == name]
    words = set(re.split(r"[^a-z0-9]+", name.casefold()))
    likened = [f.path for f in fields if words & set(re.split(r"[^a-z0-9]+", f.path.casefold()))]
    looked_up = [f.path for f in fields if f.role is Role.STEP and not _determined(f.path, relations)]
    looked_up.sort(key=lambda path: (-moved.get(path, 0.0), relations[path].strength if path in relations else 0.0))
    wrong = [s for s in others if s.proof is not Proof.SOFT and role_of(s.component) in (Role.STEP, Role.INPUT)]
    wrong = [
        s for s in wrong if min(overlap(suspect.affected, s.affected), overlap(s.affected, suspect.affected)) >= _ALIKE
    ]
    wrong.sort(key=lambda s: (order_of(case, s.component), -abs(s.shift)))
    there = [
        s for s in others if role_of(s.component) in (Role.STEP, Role.INPUT) and s.where and s.where == suspect.where
    ]
    there = [s for s in there if overlap(suspect.affected, s.affected) >= _ALIKE]
    there.sort(key=lambda s: (order_of(case, s.component), -s.clarity))
    found = (called or likened or [s.component for s in (*wrong, *there)] or looked_up or [suspect.component])[0]
    while (source := _copied(case, found, relations)) and moved.get(source, 0.0) >= moved.get(found, 0.0):
        found = source
    return found


def _copied(case: Case, path: str, relations: Mapping[str, Relation]) -> str:
    """The one number that a step is made of alone, where it is made of one: what is stale was stale there."""
    made = relations[path].parents if _determined(path, relations) and relations[path].form in PLAIN else ()
    source = case.variables.get(made[0]) if len(made) == 1 else None
    alone = source is not None and source.numbers is not None and source.field.role in (Role.INPUT, Role.STEP)
    return source.path if alone and source is not None and source.path != path else ""


def _determined(path: str, relations: Mapping[str, Relation]) -> bool:
    return path in relations and relations[path].exact
