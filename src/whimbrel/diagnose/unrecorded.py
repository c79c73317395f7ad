"""What is wrong in the record alone: answers that the model gave and the log lost, values that the steps saw whole, counts, and times at which nothing came.

In: a `Case` and a suspect whose outputs are null, whose values are cut, or a step that reads the clock. Out: how one knows it, in words. A model that gives
none fails, and leaves an error or a fallback behind it; a log that drops a part of a record takes all of that part, and what came of it goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from whimbrel.diagnose.case import Case, Variable
from whimbrel.diagnose.learning import exact
from whimbrel.diagnose.machines import on_one_host
from whimbrel.diagnose.relations import Relation, split
from whimbrel.diagnose.surroundings import failed
from whimbrel.diagnose.suspects import Proof, Suspect
from whimbrel.model.fields import Role, role_of
from whimbrel.model.rows import Bools, Floats, Ints

_ALONE = "; the record alone lost them"
_LEAST = 20
"""Missing answers that show what else is missing."""
_NEARLY, _SELDOM = 0.9, 0.1
"""Shares of those rows that are as good as all, and as none."""
_AS_LONG = 0.8
"""The part of the time that others' requests take which theirs must have taken, for them to have been worked on."""
_APART, _BY_CHANCE = 0.1, 2.5
"""How far decisions may be from those of others, as a share of rows (total variation), beyond chance in standard errors."""

_STAYED, _WENT = 0.25, 0.5
"""Golden spreads by which a price may have moved that is what it was, and a count must have that is wrong."""
_HEAP = 4
"""Records of one host and one moment that are no chance."""

_FOLLOWS = 0.98
"""The share of rows on which a step that is made of what stands in the record is what golden made of that."""
_PARTS = 5
"""Parts, by size, in which numbers are held against golden's."""


def of_the_record(
    case: Case, suspect: Suspect, witnesses: Sequence[Suspect], relations: Mapping[str, Relation]
) -> tuple[str, str]:
    """The component that the record alone bears otherwise, empty where it is the suspect's own, and what tells so; empty where nothing does."""
    text, why = text_cut(case, suspect, witnesses)
    found = (case, suspect, witnesses, relations)
    return text, why or seen_whole(*found) or paid_for(*found)


def seen_whole(case: Case, suspect: Suspect, witnesses: Sequence[Suspect], relations: Mapping[str, Relation]) -> str:
    """What tells that the steps saw the right value where the record bears a cut or an empty one; empty where they may have seen that very one.

    A step that golden made of this value alone is as varied as ever, and not what the recorded value leads to; and no other step goes by the recorded one.
    """
    signature = suspect.hit.channel.signature
    if role_of(suspect.component) not in (Role.INPUT, Role.STEP) or signature not in ("cut", "ended", "null", "form"):
        return ""
    made = [r for r in relations.values() if r.exact and _read(r) == {suspect.component} and r.target in case.variables]
    made = [
        r
        for r in made
        if role_of(case.variables[r.target].path) is Role.STEP and r.target.partition("#")[0] != suspect.component
    ]
    broke = {s.component for s in witnesses if s.hit.channel.exact}
    if signature == "null":
        right = [r for r in made if np.isnan(r.surprise[suspect.bad]).mean() > _NEARLY and _as_ever(case, suspect, r)]
    else:
        right = [r for r in made if case.variables[r.target].path in broke and _as_ever(case, suspect, r)]
    if not right or any(_goes_by_it(case, suspect, r) for r in made):
        return ""
    names = " and ".join(f"`{case.variables[r.target].path}`" for r in right[:2])
    return f"{names}, made of it, {'is' if len(right) == 1 else 'are'} as ever: the record alone bears it so"


def text_cut(case: Case, suspect: Suspect, witnesses: Sequence[Suspect]) -> tuple[str, str]:
    """The answer in words that the record alone bears otherwise, and what tells so; empty both where nothing does.

    What golden made of that text alone, its words or its tokens, is as ever, and not what the recorded one leads to, which is another thing.
    """
    for one in (suspect, *witnesses):
        relation = one.hit.channel.detail.get("relation")
        if relation is None or one.hit.channel.signature != "broken" or not relation.exact:
            continue
        path = next(iter(_read(relation)), "")
        written = role_of(path) is Role.OUTPUT and path != one.component and f"{path}#characters" in case.variables
        if not written or _read(relation) != {path} or suspect.component not in (path, one.component):
            continue
        if _as_ever(case, one, relation) and _leads_elsewhere(case, one, relation):
            return path, f"`{one.component}`, made of it, is as ever: the record alone bears it so"
    return "", ""


def _leads_elsewhere(case: Case, suspect: Suspect, relation: Relation) -> bool:
    """Whether what the recorded value leads to is spread otherwise than golden's of the slice were."""
    variable = case.variables[relation.target]
    if variable.numbers is None:
        expected = np.nan_to_num(relation.expected, nan=-1.0).astype(np.int64) + 1
    else:
        numbers = np.where(case.golden, variable.numbers, relation.expected)
        expected = _parted(replace(variable, numbers=numbers), case.golden)
    return not _alike(expected, suspect.affected, case.golden & suspect.inside)


def _read(relation: Relation) -> set[str]:
    """The fields that a relation reads, whichever mark or place of them."""
    return {name.partition("#")[0].partition("[")[0] for name in relation.parents}


def _as_ever(case: Case, suspect: Suspect, relation: Relation) -> bool:
    """Whether a step's values are there and spread as golden's of the slice, where the suspect is wrong."""
    variable, base = case.variables[relation.target], case.golden & suspect.inside
    rows = suspect.affected if suspect.hit.channel.signature != "null" else suspect.bad
    if min(rows.sum(), base.sum()) < _LEAST or variable.missing[rows].mean() > _SELDOM + variable.missing[base].mean():
        return False
    return _alike(_parted(variable, case.golden), rows, base)


def _goes_by_it(case: Case, suspect: Suspect, relation: Relation) -> bool:
    """Whether a step is what the recorded values lead to, and these lead elsewhere than golden's did."""
    rows = suspect.bad & np.isfinite(relation.surprise) & np.isfinite(relation.expected)
    base = case.golden & np.isfinite(relation.expected)
    if min(rows.sum(), base.sum()) < _LEAST or np.mean(relation.surprise[rows] == 0) < _FOLLOWS:
        return False
    expected = np.unique(relation.expected, return_inverse=True)[1]
    return not _alike(expected, rows, base)


def _parted(variable: Variable, golden: Bools) -> Ints:
    """A category's values as numbers from 0; numbers in parts by size, of many values."""
    if variable.numbers is None or np.unique(variable.numbers[golden]).size <= _PARTS:
        return variable.kinds
    edges = np.unique(np.nanquantile(variable.numbers[golden], np.linspace(0, 1, _PARTS + 1)[1:-1]))
    out: Ints = np.where(variable.missing, edges.size + 1, np.searchsorted(edges, variable.numbers, "right"))
    return out


def ahead(case: Case, suspect: Suspect) -> str:
    """What tells that a host's clock is ahead, where labels that come from elsewhere were there before what they judge; empty where nothing does.

    Who joins labels does not know which host answered; all that one host records is as much later as its clock is ahead.
    """
    label_ts, early = case.label_ts, suspect.hit.channel.signature == "early"
    if not early or label_ts is None or suspect.proof is not Proof.HARD or not on_one_host(suspect):
        return ""
    known = (label_ts >= 0) & ~case.variables["label"].missing
    delay = (label_ts - case.ts) / 1e6
    here, there = delay[known & suspect.affected], delay[known & case.golden]
    if here.size < _LEAST or np.mean(here < 0) == 0:
        return ""
    off = float(np.min(there)) - float(np.min(here))
    return f"this host's clock is about {off / 60:.0f} minutes ahead: labels that others write are there before what they judge"


def told_by_clock(suspect: Suspect) -> bool:
    """Whether it is a step that reads the clock, held against the record's time."""
    relation = suspect.hit.channel.detail.get("relation")
    reads = relation is not None and relation.exact and bool({"hour", "weekday"} & set(relation.parents))
    return reads and role_of(suspect.component) is Role.STEP


def stamped(case: Case, suspect: Suspect, relation: Relation | None) -> str:
    """What tells that a step read the clock rightly and the record bears another time; empty where nothing does."""
    if relation is None or not relation.exact or not set(relation.parents) <= {"hour", "weekday"}:
        return ""
    moments = np.unique(case.ts, return_inverse=True, return_counts=True)
    alike = moments[2][moments[1]] >= _HEAP
    heaped = alike[suspect.bad].mean() >= _NEARLY and alike[case.golden].mean() <= _SELDOM
    return "many records bear one time there, which is not the requests'" if heaped else ""


def unrecorded(case: Case, suspect: Suspect) -> str:
    """What tells that the record alone lost the answers; empty where it may be that nobody gave any."""
    if role_of(suspect.component) is not Role.OUTPUT or suspect.hit.channel.signature != "null":
        return ""
    lost = suspect.bad
    others = suspect.affected & ~lost
    wrong = failed(case)
    if min(lost.sum(), others.sum()) < _LEAST or (wrong is not None and wrong[lost].mean() > _SELDOM):
        return ""
    outputs = [v for v in case.of(Role.OUTPUT) if not v.derived and v.missing[others].mean() < _SELDOM]
    decided = [v for v in case.of(Role.DECISION) if not v.derived and v.missing[others].mean() < _SELDOM]
    if not decided or any(v.missing[lost].mean() < _NEARLY for v in outputs):
        return ""
    if all(v.missing[lost].mean() > _NEARLY for v in decided):
        kept = all(v.missing[case.golden].mean() < _SELDOM for v in decided)
        return (
            f"{_ALONE}: what was decided is gone as well, without an error"
            if kept and _worked_on(case, lost, others)
            else ""
        )
    goes_on = all(v.missing[lost].mean() < _SELDOM and _alike(v.kinds, lost, others) for v in decided)
    return f"{_ALONE}: what was decided is there, as varied as ever, without an error" if goes_on else ""


def miscounted(case: Case, suspect: Suspect, others: Sequence[Suspect]) -> Suspect | None:
    """The count of tokens that the record has wrong, where a price that golden made of it is what it was; else None.

    The text that was written tells how many there are, and what was paid for goes on as before.
    """
    relation, price = suspect.hit.channel.detail.get("relation"), case.variables[suspect.component].numbers
    if relation is None or not relation.exact or price is None:
        return None
    for other in others:
        count = case.variables.get(other.component)
        read = other.component in relation.parents and role_of(other.component) is Role.USAGE
        told = other.hit.channel.kind == "residual" and any(
            role_of(name.partition("#")[0]) is Role.OUTPUT for name in other.hit.channel.detail["relation"].parents
        )
        if read and told and count is not None and count.numbers is not None:
            rows, base = suspect.affected, case.golden & suspect.inside
            if abs(_moved(price, rows, base)) < _STAYED < _WENT < abs(_moved(count.numbers, rows, base)):
                return other
    return None


def paid_for(case: Case, suspect: Suspect, witnesses: Sequence[Suspect], relations: Mapping[str, Relation]) -> str:
    """What tells that a count is what it was and the record alone has another; empty where nothing does.

    Golden knows the count from what was sent, and what golden made of that count (a price) is still made of the one that it should be. Who is
    served less, or is sent more, is charged for that.
    """
    relation, signature = relations.get(suspect.component), suspect.hit.channel.signature
    counted = case.variables.get(suspect.component)
    if role_of(suspect.component) is not Role.USAGE or relation is None or counted is None or signature != "broken":
        return ""
    instead = replace(counted, numbers=relation.expected)
    for other in witnesses:
        made = relations.get(other.component)
        target = case.variables.get(other.component)
        if (
            made is None
            or target is None
            or not (made.exact and relation.exact)
            or suspect.component not in made.parents
        ):
            continue
        parents = [instead if name == counted.name else case.variables.get(name) for name in made.parents]
        again = exact(case, split(case), target, [parent for parent in parents if parent is not None])
        rows = suspect.bad & (made.surprise == 1)
        if again is None or counted.name not in again.parents or rows.sum() < _LEAST:
            continue
        if np.mean(again.surprise[rows] == 0) >= _NEARLY:
            return f"`{other.component}` is what golden makes of the count that was to be expected: it was counted wrongly in the record"
    return ""


def _moved(values: Floats, rows: Bools, base: Bools) -> float:
    """By how many of golden's spreads a median moved."""
    here, there = values[rows & np.isfinite(values)], values[base & np.isfinite(values)]
    if min(here.size, there.size) < _LEAST or not there.std():
        return 0.0
    return float((np.median(here) - np.median(there)) / there.std())


def _worked_on(case: Case, lost: Bools, others: Bools) -> bool:
    """Whether the requests took as long as others', in each part; where nobody measured it, whether labels came for them."""
    spans = [v.numbers for v in case.of(Role.SPAN) if v.numbers is not None and not v.missing[others].all()]
    if spans:
        return all(
            np.isfinite(values[lost]).any() and np.nanmedian(values[lost]) >= _AS_LONG * np.nanmedian(values[others])
            for values in spans
        )
    label = case.variables.get("label")
    return label is not None and (~label.missing[lost]).mean() > 0.5 * (~label.missing[others]).mean() > 0


def _alike(kinds: Ints, lost: Bools, others: Bools) -> bool:
    """Whether decisions are those of others, and not one and the same: what falls back says the same to all."""
    size = int(kinds.max()) + 1
    here, there = (np.bincount(kinds[rows], minlength=size) / rows.sum() for rows in (lost, others))
    chance = float(np.sqrt(here * (1 - here) / lost.sum() + there * (1 - there) / others.sum()).sum()) / 2
    varied = max(float(here.max()), float(there.max())) < _NEARLY
    return varied and float(np.abs(here - there).sum()) / 2 <= _APART + _BY_CHANCE * chance
