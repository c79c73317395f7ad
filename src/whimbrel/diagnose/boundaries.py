"""The boundaries of the pipeline, in causal order, each asked the same: given what came in, is this what golden would give?

In: a `Case`. Out: for every field the relation to what came before it, and the channels that say how each row departs. A
field without any relation to its upstream is judged by its contracts and its distribution alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from whimbrel.diagnose import clocks, dates, models
from whimbrel.diagnose.case import MAX_VALUES, Case, Variable
from whimbrel.diagnose.choice import chosen
from whimbrel.diagnose.composed import composed
from whimbrel.diagnose.districts import by_beginning
from whimbrel.diagnose.forms import EXACT_SHARE
from whimbrel.diagnose.gist import from_words
from whimbrel.diagnose.history import Pasts, recalled
from whimbrel.diagnose.hopes import Hopes
from whimbrel.diagnose.learning import exact, fitted, learn
from whimbrel.diagnose.relations import Relation, Split, split
from whimbrel.diagnose.scan import LAYER_OF, Channel
from whimbrel.model.fields import Field, Kind, Role
from whimbrel.model.rows import Floats, Ints

_PRICED = re.compile(r"cost|price|bill|charge|credit|spen[dt]|fees?(?![a-z])|usd|eur|gbp|chf|jpy|cny|inr|cents")
_WRITTEN = re.compile(r"output|completion|generated|written|reason")
DECIDED = frozenset({Role.MODEL, Role.CODE})
"""Which model answers follows from the route, not the other way about."""

ASTRAY, ENOUGH_ASTRAY = 0.003, 1_000
"""The share of golden's rows that lie farther from a fitted model than all others; rows that such a share is taken of."""
APART = 0.1
"""Golden spreads of an output by which an answer lies apart from what a model makes of it."""
MOST_TREES = 14
"""Models fitted at most; the fields nearest to the outcome come first."""
KNOWN = 0.98
"""The part of a number's variance from which on tags have no say in it."""
SAY = 0.05
"""The part of what is left to explain that a tag must tell alone before it is asked what all of them do."""
MOST_PARENTS = 40
"""Fields that such a model reads at most; the nearest come first."""


@dataclass(frozen=True, eq=False)
class Boundaries:
    """The relations found, by variable name, and the channels made of them."""

    relations: Mapping[str, Relation]
    channels: tuple[Channel, ...]


def foresee(case: Case) -> Hopes:
    """Begin to load the models where an output, or a category that comes in, is told by other fields: they will be tried."""
    hopes = Hopes(case, split(case))
    asked = [*case.of(Role.OUTPUT), *(v for v in case.of(Role.INPUT) if v.codes is not None and not v.derived)]
    if any(hopes.any(variable, upstream(case, variable.field)[:MOST_PARENTS]) for variable in asked[:MOST_TREES]):
        models.begin()
    return hopes


def learn_all(case: Case, hopes: Hopes) -> Boundaries:
    """Seek a relation for each field, upstream first, and turn each into channels; of very many fields for some (`choice`)."""
    case = chosen(case)
    parts = hopes.parts
    pasts = Pasts(case)
    relations: dict[str, Relation] = {}
    loose = [(v, _made_of(case, v)) for v in case.of(Role.INPUT) if v.name.endswith(dates.MARK)]
    late = case.of(Role.OUTPUT, Role.DECISION, Role.USAGE)  # asked once it is known which steps come after them
    for variable in [*case.of(Role.INPUT, Role.STEP), *late]:
        if variable.derived and variable.field.role is Role.INPUT:
            continue
        parents = _made_of(case, variable)
        hopeful = variable.codes is None or hopes.any(variable, parents)
        worded = _last_words(_worded(case, parents), variable, relations) if variable.codes is not None else parents
        found = exact(case, parts, variable, worded) if hopeful else None
        if hopeful and found is None and len(worded) < len(parents):
            found = exact(case, parts, variable, parents)
        if hopeful and found is None and variable.field.role is Role.STEP:
            found = _by_the_week(case, parts, variable) or _by_id(case, parts, variable)
            found = found or by_beginning(case, parts, variable)
            found = found or _beside(case, parts, variable, parents) or _afterwards(case, parts, variable, parents)
        if found is None and variable.field.role in (Role.INPUT, Role.STEP):
            found = clocks.local(case, parts, variable) or recalled(case, pasts, variable)
        found = found or composed(case, parts, variable, [*parents, *case.of(Role.CONTEXT)])
        found = _by_words(case, parts, variable, parents, found)
        if found is not None:
            relations[variable.name] = found
        elif parents and (variable.field.role is not Role.INPUT or _measured(case, variable)):
            loose.append((variable, parents))
    order = {Role.OUTPUT: 0, Role.DECISION: 1, Role.STEP: 2, Role.USAGE: 3, Role.INPUT: 4}
    loose.sort(
        key=lambda pair: (_of_text(case, pair[0]), order[pair[0].field.role])
    )  # what is made of texts comes last
    for variable, parents in loose[:MOST_TREES]:
        nearest = parents[:MOST_PARENTS]  # where those are all, no exact relation to them was found above
        if not hopes.any(variable, nearest):
            continue
        found = (fitted if len(nearest) == len(parents) else learn)(case, parts, variable, nearest)
        if variable.field.role in (Role.STEP, Role.OUTPUT) and variable.numbers is not None:
            found = _by_tags(case, hopes, variable, nearest, found)
        if found is not None:
            relations[variable.name] = found
    if len(loose) > MOST_TREES:
        left = [variable.name for variable, _ in loose[MOST_TREES:]]
        case.notes.append(f"{len(left)} fields were judged without a fitted model: {', '.join(left[:5])}, …")
    labels = ((v.name, recalled(case, pasts, v)) for v in case.of(Role.LABEL))
    relations |= {name: found for name, found in labels if found is not None}
    channels = [c for name, relation in relations.items() for c in _channels(case, case.variables[name], relation)]
    return Boundaries(relations, tuple(channels))


def _made_of(case: Case, variable: Variable) -> list[Variable]:
    """What a variable may depend on; a category that comes in on no date: local times tell a country, until the clocks change."""
    found = upstream(case, variable.field)
    if variable.codes is None or variable.field.role is not Role.INPUT:
        return found
    return [v for v in found if not v.name.endswith(dates.MARK)]


def _beside(case: Case, parts: Split, variable: Variable, parents: Sequence[Variable]) -> Relation | None:
    """The relation of a step's number to those that it recorded before (an amount to the rate that it was looked up with); None where there is none."""
    made = [v for v in case.of(Role.STEP) if v.field.step == variable.field.step and not v.derived]
    before = made[: made.index(variable)] if variable in made else []
    return exact(case, parts, variable, [*before, *parents]) if before and variable.numbers is not None else None


def _by_words(
    case: Case, parts: Split, variable: Variable, parents: Sequence[Variable], found: Relation | None
) -> Relation | None:
    """The relation found, or that to the words of a text, where none is, or only a rule that errs more: by a text's marks and what else goes with it."""
    if found is not None and (found.form != "rule" or found.strength == 1.0):
        return found
    told = from_words(case, parts, variable, parents)
    return told if told is not None and (found is None or told.strength > found.strength) else found


def _afterwards(case: Case, parts: Split, variable: Variable, parents: Sequence[Variable]) -> Relation | None:
    """The relation of a step to what the model returned, which says that the step comes after it; None where there is none.

    A step that says the score in other words says so either way about: it is taken for the earlier one, unless the score has another source.
    """
    outputs = [v for v in case.of(Role.OUTPUT) if v.numbers is not None and not v.derived]
    if variable.derived or not outputs or f"steps.{variable.field.step}" in case.answers:
        return None
    found = exact(case, parts, variable, [*outputs, *parents])
    made_of = [v for v in outputs if found is not None and v.name in found.parents]
    if found is None or not made_of or not _told_where_it_matters(parts, variable, found):
        return None
    beside = [case.variables[name] for name in found.parents if name in case.variables]
    for output in made_of:
        others = [v for v in beside if v.name != output.name]
        told_by_it = exact(case, parts, output, [variable, *others])
        if told_by_it is None or variable.name not in told_by_it.parents:
            continue
        earlier = [v for v in upstream(case, output.field) if v.field.step != variable.field.step]
        if exact(case, parts, output, earlier) is None:
            return None
    case.after.add(variable.field.step)
    return found


def _told_where_it_matters(parts: Split, variable: Variable, found: Relation) -> bool:
    """Whether a relation also holds on the rows whose value is not the usual one: a flag that takes something off a score is told by low scores, mostly."""
    kinds, kept = variable.kinds[parts.check], found.surprise[parts.check]
    rare = np.isfinite(kept) & (kinds != np.bincount(kinds).argmax())
    return not rare.any() or float(kept[rare].mean()) <= 1 - EXACT_SHARE


def _by_the_week(case: Case, parts: Split, variable: Variable) -> Relation | None:
    """The relation of a number to the hour of the week, which tells a local weekday although neither hour nor weekday does."""
    if variable.derived or variable.numbers is None:
        return None
    hours = np.floor(case.hour) + 24.0 * case.weekday
    return exact(case, parts, variable, [Variable("hour of the week", Field("ts", Kind.NUMBER), numbers=hours)])


def _by_id(case: Case, parts: Split, variable: Variable) -> Relation | None:
    """The relation of a number to one of many who ask (a machine's baseline): looked up, it is told by nothing else that came in."""
    ids = [v for v in case.of(Role.CONTEXT) if v.codes is not None and v.distinct > MAX_VALUES]
    return exact(case, parts, variable, ids) if variable.numbers is not None and not variable.derived else None


def _by_tags(
    case: Case, hopes: Hopes, variable: Variable, parents: Sequence[Variable], found: Relation | None
) -> Relation | None:
    """The relation, or one that reads tags as well where that halves what is left to explain: clocks go by country, rates by tenant.

    Where there is none the tags are always asked: an hour of the day by country has no country's mark, but for the clock.
    """
    tags = [v for v in case.of(Role.CONTEXT) if v.codes is not None and 1 < v.distinct <= MAX_VALUES]
    assert variable.numbers is not None
    told = found.strength if found is not None else 0.0
    if not tags:
        return found
    if found is not None and (found.exact or told > KNOWN or hopes.most(variable.numbers - found.expected, tags) < SAY):
        return found
    wider = fitted(case, hopes.parts, variable, [*tags, *parents], least=(1 + told) / 2)
    return found if wider is None else wider


def _measured(case: Case, variable: Variable) -> bool:
    """Whether it is a number on a scale, and no code or moment: what else came in may foretell it."""
    scaled = variable.numbers is not None and variable.distinct > MAX_VALUES
    return scaled and not dates.moment(variable.name, case.variables)


def _of_text(case: Case, variable: Variable) -> bool:
    """Whether it is made of a free text."""
    return variable.derived and f"{variable.path}#characters" in case.variables


def _worded(case: Case, parents: Sequence[Variable]) -> list[Variable]:
    """The parents less the lengths and shares of texts: one refusal's length tells it by chance, its wording by right."""
    return [p for p in parents if p.codes is not None or not _of_text(case, p)]


def _last_words(parents: list[Variable], target: Variable, relations: Mapping[str, Relation]) -> list[Variable]:
    """What a decision may be read off, less outputs that a later output is always made of: golden cannot say which of the two it reads.

    A release's new calibration changes what the raw score says, and not what is done with the score.
    """
    if target.field.role is not Role.DECISION:
        return parents
    made = [relations[p.name] for p in parents if p.field.role is Role.OUTPUT and p.name in relations]
    earlier = {name for relation in made if relation.exact for name in relation.parents}
    return [p for p in parents if p.field.role is not Role.OUTPUT or p.name not in earlier]


def priced(path: str) -> bool:
    """Whether a usage field is money: it follows from the amounts beside it."""
    return _PRICED.search(path.casefold()) is not None


def written(path: str) -> bool:
    """Whether a usage field counts what the model wrote: it follows from the outputs."""
    return _WRITTEN.search(path.casefold()) is not None


def upstream(case: Case, field: Field) -> list[Variable]:
    """What a field may depend on, nearest first."""
    steps = case.schema.steps
    inputs = [v for v in case.of(Role.INPUT) if v.path != field.path]
    match field.role:
        case Role.INPUT:
            # An input may carry the hour; what it says of the weekday (opening days, holidays) is a calendar's to change.
            return [*inputs, *_clock(case)[:1]]
        case Role.STEP:
            earlier = list(reversed(steps[: steps.index(field.step)]))
            found = [v for step in earlier for v in case.of(Role.STEP) if v.field.step == step]
            made = [v for v in case.of(Role.OUTPUT) if v.path in _listed_before(case, f"steps.{field.step}")]
            return [*made, *found, *inputs, *_clock(case)]
        case Role.OUTPUT:
            read = _listed_before(case, field.path)
            before = [step for step in reversed(steps) if step not in case.after or f"steps.{step}" in read]
            found = [v for step in before for v in case.of(Role.STEP) if v.field.step == step]
            order = [f.path for f in case.schema.of(Role.OUTPUT)]
            made = [v for v in case.of(Role.OUTPUT) if order.index(v.path) < order.index(field.path)]
            return [*found, *inputs, *made]
        case Role.DECISION:
            found = [v for step in reversed(steps) for v in case.of(Role.STEP) if v.field.step == step]
            return [*case.of(Role.OUTPUT), *_decided_before(case, field), *case.of(Role.CONTEXT), *found, *inputs]
        case Role.USAGE:
            found = [v for step in reversed(steps) for v in case.of(Role.STEP) if v.field.step == step]
            if priced(field.path):  # a bill is made from what was counted
                return [*(v for v in case.of(Role.USAGE) if not priced(v.path)), *found, *inputs]
            return [*case.of(Role.OUTPUT), *found, *inputs] if written(field.path) else [*found, *inputs]
        case _:
            return []


def _listed_before(case: Case, name: str) -> tuple[str, ...]:
    """The outputs, and the steps between them, that are recorded before this one of them; nothing where their order tells nothing."""
    return case.answers[: case.answers.index(name)] if name in case.answers else ()


def _decided_before(case: Case, field: Field) -> list[Variable]:
    """Decisions on the way to this one, in the order in which they are recorded; `decision` is the last."""
    order = [f.path for f in case.schema.of(Role.DECISION) if f.path != "decision"]
    before = order[: order.index(field.path)] if field.path in order else order
    return [v for v in case.of(Role.DECISION) if v.path in before]


def _clock(case: Case) -> list[Variable]:
    """The event's own time as something a field may be a function of."""
    made = Field("ts", Kind.NUMBER)
    return [
        Variable("hour", made, numbers=np.floor(case.hour)),
        Variable("weekday", made, numbers=case.weekday.astype(float)),
    ]


def _channels(case: Case, variable: Variable, relation: Relation) -> list[Channel]:
    layer = LAYER_OF[variable.field.role]

    def channel(signature: str, values: Floats, **more: object) -> Channel:
        detail = {"relation": relation, "variable": variable.name}
        return Channel(variable.path, layer, signature, "residual", values, detail=detail, **more)  # type: ignore[arg-type]

    if relation.exact:
        return [channel("broken", relation.surprise, exact=True)]
    if relation.probabilities is None:
        beside = relation.surprise if relation.beside is None else relation.beside
        strewn = np.abs(relation.surprise)
        found = [
            channel("residual", relation.surprise, sign=0, floor=0.25, binary=False, beside=beside),
            channel("spread", strewn, floor=0.25, binary=False, beside=np.abs(beside)),
        ]
        astray = _astray(case, variable, relation) if variable.field.role is Role.OUTPUT else None
        return found if astray is None else [*found, channel("astray", astray, floor=0.005)]
    assert variable.codes is not None
    out = []
    for j, code in enumerate(relation.classes):
        is_class = np.where(variable.codes >= 0, variable.codes == code, np.nan)
        more: dict[str, Any] = {"sign": 0, "floor": 0.02, "binary": False}
        if variable.field.role is Role.DECISION:
            more["not_by"] = DECIDED
        out.append(channel(f"share:{variable.vocabulary[code]}", is_class - relation.probabilities[:, j], **more))
    return out


def _astray(case: Case, variable: Variable, relation: Relation) -> Floats | None:
    """Rows as far from a fitted model as hardly any of golden's, shape (n,): a few answers that are somebody else's.

    Among many right ones they move no mean. None where golden's own tail has no end in sight. Somebody else's lie apart among golden's
    answers as well: where a model fits closely, what it makes of a little cold is far from golden only by its own measure.
    """
    assert variable.numbers is not None
    strewn = np.abs(relation.surprise)
    known = np.isfinite(strewn)
    if (known & case.golden).sum() < ENOUGH_ASTRAY:
        return None
    bound = float(np.quantile(strewn[known & case.golden], 1 - ASTRAY))
    if bound >= strewn[known].max():
        return None
    with np.errstate(invalid="ignore"):
        apart = np.abs(variable.numbers - relation.expected) >= APART * np.nanstd(variable.numbers[case.golden])
    return np.where(known, (strewn > bound) & apart, np.nan)


RULED = 0.999
"""The share of golden's rows in which a field must tell the variant that answers before it is the rule."""


def shares(case: Case, known: Mapping[str, Relation]) -> list[Channel]:
    """Shares of the values of routes, variants and decisions that nothing recorded determines: each is a promise.

    Which variant answers a rule may say (a city's, a tenant's): then that one is the promise, and of a newcomer nothing is known.
    """
    out = []
    for variable in case.of(Role.DECISION, Role.MODEL):
        if variable.codes is None or variable.name in known or variable.distinct > MAX_VALUES:
            continue
        if variable.field.role is Role.MODEL and variable.path != "model.variant":
            continue
        counts = np.bincount(variable.codes[case.golden & (variable.codes >= 0)], minlength=len(variable.vocabulary))
        # A value that golden never saw is an experiment that began; what it takes from the others is no broken promise.
        promised = (variable.codes >= 0) & np.append(counts > 0, False)[variable.codes]
        ruled = _ruled(case, variable) if variable.field.role is Role.MODEL else None
        for code in np.argsort(-counts)[:6]:
            if counts[code] < 10:
                continue
            values = np.where(promised, variable.codes == code, np.nan)
            given = None if ruled is None else np.where(ruled < 0, np.nan, (ruled == code).astype(float))
            layer = "decision" if ruled is None else "model"  # no one's turn: another model answers
            out.append(Channel(variable.path, layer, f"share:{variable.vocabulary[code]}", "marginal",
                               values.astype(float), sign=0, floor=0.02, not_by=DECIDED, given=given))  # fmt: skip
    return out


def _ruled(case: Case, variable: Variable) -> Ints | None:
    """The value that golden always had for who asks, or what is asked, shape (n,), negative where that is new; None where no one field says it."""
    assert variable.codes is not None
    known = case.golden & (variable.codes >= 0)
    size = int(variable.codes.max()) + 1
    if np.unique(variable.codes[known]).size < 2:
        return None
    for path, codes in case.categories.items():
        both = known & (codes >= 0)
        table = np.bincount(codes[both] * size + variable.codes[both], minlength=(int(codes.max()) + 1) * size)
        table = table.reshape(-1, size)
        if path != variable.path and both.sum() > RULED * known.sum() and table.max(axis=1).sum() > RULED * both.sum():
            usual = np.where(table.any(axis=1), table.argmax(axis=1), -1)
            return np.where(codes < 0, -1, usual[codes])
    return None


def marginals(case: Case, known: Mapping[str, Relation]) -> list[Channel]:
    """Where each free field stands in golden's distribution: evidence of change, never by itself of a fault."""
    out = []
    for variable in case.of(Role.INPUT, Role.STEP, Role.OUTPUT):
        if variable.field.role is not Role.INPUT and variable.name in known:
            continue
        layer = LAYER_OF[variable.field.role]
        detail = {"variable": variable.name}
        if variable.numbers is not None:
            flag = _flag(case, variable)
            if flag is not None:
                out.append(Channel(variable.path, layer, "flag", "marginal", flag, sign=0, floor=0.03, detail=detail))
                continue
            rank = _rank(case, variable)
            if rank is None:
                continue
            more: dict[str, Any] = {"sign": 0, "floor": 0.12, "binary": False, "detail": detail}
            out.append(Channel(variable.path, layer, "level", "marginal", rank, **more))
            width = np.abs(rank) - np.nanmean(np.abs(rank[case.golden]))
            out.append(Channel(variable.path, layer, "width", "marginal", width, **more))
            continue
        assert variable.codes is not None
        counts = np.bincount(variable.codes[variable.codes >= 0], minlength=len(variable.vocabulary))
        if (counts > 0).sum() > 400:
            continue
        for code in np.argsort(-counts)[:8]:
            if counts[code] >= 10:
                values = np.where(variable.codes >= 0, variable.codes == code, np.nan).astype(float)
                out.append(Channel(variable.path, layer, f"share:{variable.vocabulary[code]}", "marginal", values,
                                   sign=0, floor=0.03, detail=detail))  # fmt: skip
    return out


def _flag(case: Case, variable: Variable) -> Floats | None:
    """Whether a number is the higher of the two values that golden had, shape (n,), NaN where null; None where it had more."""
    assert variable.numbers is not None
    if variable.distinct > MAX_VALUES:
        return None
    values = np.unique(variable.numbers[case.golden & ~variable.missing])
    return np.where(variable.missing, np.nan, variable.numbers >= values[1]) if values.size == 2 else None


def _rank(case: Case, variable: Variable) -> Floats | None:
    """Position in golden's distribution, from -1.7 to 1.7 with unit variance on golden, NaN where null."""
    assert variable.numbers is not None
    order = variable.order
    ordered, golden = variable.numbers[order], (case.golden & np.isfinite(variable.numbers))[order]
    below = np.append(0, np.cumsum(golden))  # golden's values before each place in the order
    if below[-1] < 30 or np.ptp(ordered[golden]) == 0:
        return None
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    last = np.append(first[1:], ordered.size)
    rank = np.empty(ordered.size)
    rank[order] = np.repeat((below[first] + below[last]) / (2 * below[-1]) - 0.5, last - first)
    return np.where(variable.missing, np.nan, rank * np.sqrt(12.0))
