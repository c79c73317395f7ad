"""Which of several inputs that came apart together is wrong: what they tell of each other crosses in it.

In: a suspect input, and what else departed. Out: the path of the input. `causes` asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whimbrel.diagnose.case import Case
from whimbrel.diagnose.followers import MOSTLY, together
from whimbrel.diagnose.relations import Relation
from whimbrel.diagnose.suspects import Proof, Suspect, overlap
from whimbrel.model.fields import Role


def crossing(case: Case, suspect: Suspect, others: Sequence[Suspect], relations: Mapping[str, Relation]) -> str:
    """The input in which the tables cross that broke on the same rows: a wrong zone breaks what zones tell of docks and of regions."""
    if suspect.hit.channel.signature == "spread":
        return _torn_most(suspect, others, relations)
    if suspect.hit.channel.signature != "broken":
        return suspect.component
    alike = [s for s in others if s.hit.channel.signature == "broken" and s.layer == "data" and together(s, suspect)]
    fields = {s.component: {s.component, *relations[s.component].parents} for s in alike if s.component in relations}

    def told(name: str) -> tuple[float, ...]:
        shifts = [s.shift for s in alike if s.component == name]
        covers = sum(name in field for field in fields.values())
        return (covers, round(max(shifts, default=0.0), 1), case.variables[name].distinct, name == suspect.component)

    inputs = {v.name for v in case.of(Role.INPUT)}
    return max(sorted(inputs.intersection(*[set().union(*fields.values())])), key=told, default=suspect.component)


def _torn_most(suspect: Suspect, others: Sequence[Suspect], relations: Mapping[str, Relation]) -> str:
    """Of inputs that foretell each other and came apart together, the one that left what the others tell of it by most.

    A value that belongs to another row is as far from its own as any; what it helps to foretell has other things to go by.
    """

    def reads(one: str, other: str) -> bool:
        return one in relations and other in relations[one].parents

    torn = [s for s in others if s.hit.channel.signature == "spread" and s.layer == "data" and s.proof > Proof.SOFT]
    mutual = [s for s in torn if reads(s.component, suspect.component) and reads(suspect.component, s.component)]
    alike = [
        s for s in mutual if min(overlap(s.affected, suspect.affected), overlap(suspect.affected, s.affected)) >= MOSTLY
    ]
    return max([suspect, *alike], key=lambda s: s.shift / s.before).component
