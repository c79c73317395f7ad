"""What goes by a key (a zone's demand, a shop's prices, a customer's average) still goes by it, or a look-up answers for another key.

In: a `Case` and golden's relations. Out: a channel for each number whose level a category tells: how far each row is from its own key's level, 0 in
golden, 1 where the level has nothing to do with the key any more, above 1 where it is another key's. Values are taken by their rank in their stretch
of time. A date is no key, for what goes by it ages. Where keys are few no slice of who asks is looked at, for the world moves one key as well as all.
A table may be renewed, too: what proves is that the same levels are dealt to other keys, or that there is no table any more (`dealt_otherwise`).
Keys of which there are many (ids) have few rows each; no world turns all of them into each other, at once or in one slice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whimbrel.diagnose import state
from whimbrel.diagnose.atoms import HANDFUL
from whimbrel.diagnose.case import HOUR_US, MAX_VALUES, Case, Variable
from whimbrel.diagnose.relations import Relation, Split, split
from whimbrel.diagnose.scan import LAYER_OF, Channel, measured
from whimbrel.diagnose.suspects import Proof, Suspect, abrupt
from whimbrel.model.fields import Role, role_of
from whimbrel.model.rows import Bools, Floats, Ints

TOLD = 0.3
"""The share of the variance of ranks that a key's level must explain on golden rows held out."""

CROWD = 24
"""Rows from which on an hour is a stretch of time of its own: what goes by the clock is then taken off."""

LEAST_KEYS = 4
"""Keys from which on levels can be dealt otherwise than by chance."""

FLOOR, ANOTHER = 0.4, 0.7
"""How much of a key's say must be gone before that is looked at, and before it can be proof."""

GONE = 0.2
"""The part of what the key told of the variance below which there is no table any more."""

LEAST_DEALT, ALIKE = 6, 0.2
"""Keys whose levels must be the same ones dealt anew, and how far those may be apart, in golden's spread among keys."""

COVERED, ONE, _CROWD = 0.5, 0.98, 3
"""Shares of golden's rows that have others of their key and block, so many at least, and that have the same value as most of those."""

NEW, ALL_NEW = 0.8, 0.5
"""Shares of the rows that depart whose key golden never saw, and of a slice's rows that depart, from which on it is they, and is more than they."""

LEAST_THINGS = 8
"""Things in which something departs from which on it is not by what each of them is."""

LEAST_ROWS = 8
"""Rows of a key that tell its level."""

OF_TIME = 0.1
"""The share of the variance of time from which on a key tells when a row came."""

NAMED = 0.5
"""The share of rows whose id must be known before they are said to be few ids'."""

STRANGE = 0.5
"""The share of the rows that show something from which on it is theirs whom golden never saw."""

KEPT = 0.5
"""The part of golden's correlation between values and their ids' own that is left where the ids are still who they were."""

AGAIN = 0.5
"""The share of golden's rows whose id must have come in another of its blocks, so that ids are keys."""


def channels(case: Case, relations: Mapping[str, Relation]) -> list[Channel]:
    """One channel for each number that is not made of recorded fields and that a key tells; the key that tells most of it."""
    parts = split(case)
    keys = [v for v in named(case) if LEAST_KEYS <= v.distinct <= MAX_VALUES and not _dated(case, v)]
    ids = [v for v in named(case) if _is_id(case, v) and v.codes is not case.visits]
    if not (keys or ids) or parts.train.size < 40 or parts.check.size < 20:
        return []
    hours = case.ts // HOUR_US
    stretches = hours if np.median(np.unique(hours, return_counts=True)[1]) >= CROWD else case.blocks
    stretches = np.unique(stretches, return_inverse=True)[1]
    stretches = stretches.astype(np.min_scalar_type(int(stretches.max())))  # few bits sort quickly
    out = []
    for variable in case.of(Role.INPUT, Role.STEP):
        made = variable.name in relations and relations[variable.name].exact
        if variable.numbers is None or variable.derived or made or variable.distinct <= HANDFUL:
            continue
        ranks = _ranks(variable, stretches)
        told = [(*_told(ranks, key, parts), key) for key in keys if key.path != variable.path]
        of_ids = [(*_of_id(case, ranks, id_), id_) for id_ in ids if id_.path != variable.path]
        for found, not_by in ((told, frozenset({Role.CONTEXT, Role.INPUT})), (of_ids, frozenset[Role]())):
            strength, agrees, key = max(found, key=lambda one: one[0], default=(0.0, ranks, variable))
            if strength >= TOLD:
                out.append(Channel(
                    variable.path, LAYER_OF[variable.field.role], "rekeyed", "invariant", 1 - agrees / strength, sign=1, floor=FLOOR,
                    binary=False, not_by=not_by, detail={"key": key.path, "strength": strength, "many": key in ids, "ranks": ranks},
                ))  # fmt: skip
    return out


def exchanged(case: Case, suspect: Suspect) -> bool:
    """Whether keys got each other's values: no world deals a table's levels anew, nor turns many ids into each other in one slice, or at once."""
    if suspect.shift < ANOTHER:
        return False
    detail = suspect.hit.channel.detail
    if detail["many"]:
        variable = measured(case, suspect.hit.channel)
        assert variable is not None
        assert variable.numbers is not None
        key = case.variables[detail["key"]]
        told = (bool(suspect.where) or abrupt(case, suspect)) and _of_many(key, suspect.bad)
        told = told and not _in_order(case, suspect, key, detail["ranks"])
        return told and not state.of_the_world(
            case, variable.numbers, suspect.affected, suspect.inside, suspect.since_us
        )
    return dealt_otherwise(case, suspect.component, detail["key"], suspect.affected)


def _in_order(case: Case, suspect: Suspect, key: Variable, ranks: Floats) -> bool:
    """Whether the ids of the slice still are in the order among themselves that golden had them in: clouds over all of them lower them together."""
    known = ~key.missing & np.isfinite(ranks)
    golden, size = known & case.golden, len(key.vocabulary) if key.codes is not None else int(key.kinds.max()) + 1
    counts = np.bincount(key.kinds[golden], minlength=size)
    usual = np.bincount(key.kinds[golden], weights=ranks[golden], minlength=size) / np.maximum(counts, 1)
    told = []
    for rows in (golden & suspect.inside, known & suspect.affected):
        rows = rows & (counts[key.kinds] > 1)
        if rows.sum() < LEAST_ROWS or min(np.ptp(ranks[rows]), np.ptp(usual[key.kinds[rows]])) == 0:
            return False
        told.append(float(np.corrcoef(ranks[rows], usual[key.kinds[rows]])[0, 1]))
    return told[1] >= KEPT * told[0] > 0


def named(case: Case) -> list[Variable]:
    """The fields that may be keys: who asks, and what is asked about."""
    return [v for v in case.of(Role.CONTEXT, Role.INPUT) if v.codes is not None and not v.derived]


def few(case: Case, component: str, rows: Bools) -> list[Variable]:
    """The keys, of which there are many, of which these rows have but few."""
    many = [v for v in named(case) if v.path != component and v.distinct >= 2 * HANDFUL]
    return [v for v in many if v.codes is not None and np.unique(v.codes[rows & ~v.missing]).size <= HANDFUL]


def decided(case: Case, suspect: Suspect) -> bool:
    """Whether the rows that show it are of few keys, and golden's keys change their value by themselves, one for all rows of a key and day.

    What becomes of a few articles' price, or promotion, is a few decisions, however many rows they have.
    """
    variable = measured(case, suspect.hit.channel)
    assert variable is not None
    for key in few(case, suspect.component, suspect.bad):
        assert key.codes is not None
        known = case.golden & ~key.missing & ~variable.missing
        cells = (key.codes * case.block_count + case.blocks)[known]
        pairs, counts = np.unique(np.stack([cells, variable.kinds[known]]), axis=1, return_counts=True)
        order = np.lexsort((counts, pairs[0]))
        last = order[
            np.append(np.diff(pairs[0][order]) > 0, True)[: order.size]
        ]  # the commonest value of each key and block
        sizes = np.bincount(cells)[pairs[0][last]]
        several = sizes >= _CROWD
        if sizes[several].sum() < COVERED * known.sum() or counts[last][several].sum() < ONE * sizes[several].sum():
            continue
        values = np.unique(np.stack([pairs[0][last] // case.block_count, pairs[1][last]])[:, several], axis=1)[0]
        if np.count_nonzero(np.bincount(values) > 1) >= LEAST_KEYS:
            return True
    return False


def of_few_things(case: Case, suspect: Suspect) -> bool:
    """Whether what departs is what a few things, or others than before, are by themselves: their offers change, and one is asked about in each shop.

    What is fixed for each thing is as it was, but others are asked about. What has states is another for a few things, and a state's slice is one of
    other things each week. A step departs for a few that are in a state in which golden never had them: its relation was learned of others.
    """
    things, variable = case.things, measured(case, suspect.hit.channel)
    if things is None or variable is None or role_of(variable.path) not in (Role.INPUT, Role.STEP):
        return False
    bad = suspect.bad & (things.key >= 0)
    few = bool(bad.any()) and np.unique(things.key[bad]).size < LEAST_THINGS
    if not bad.any() or float((~np.isin(things.key, things.key[case.golden]))[bad].mean()) > STRANGE:
        return few and variable.name in things.fixed | things.states
    if variable.name in things.fixed:
        return float(_as_before(case, things.key, [variable])[bad].mean()) > KEPT
    if not few or variable.name in things.states or any(c.path in things.states for c in suspect.where):
        return few
    states = [case.variables[name] for name in sorted(things.states)]
    return role_of(variable.path) is Role.STEP and float(_as_before(case, things.key, states)[bad].mean()) < KEPT


def _as_before(case: Case, key: Ints, fields: Sequence[Variable]) -> Bools:
    """Rows whose key had the same values of these fields in golden, shape (n,)."""
    told = np.unique(np.stack([key, *(field.kinds for field in fields)]), axis=1, return_inverse=True)[1].ravel()
    return np.isin(told, told[case.golden])


def of_few(case: Case, suspect: Suspect) -> bool:
    """Whether those who show it are a few of many: code does not know who asks, and one machine of a hundred is not the ones it was learned from."""
    others = case.window & ~suspect.affected
    return bool(suspect.bad.any()) and any(
        _of_many(key, others) and not _of_many(key, suspect.bad, LEAST_KEYS) and _is_id(case, key)
        for key in named(case)
        if key.distinct > MAX_VALUES
    )


def of_crowd(case: Case, rows: Bools) -> bool:
    """Whether these rows are known to be of many ids that come again: what they do together none of them does alone."""
    return any(_is_id(case, key) and _of_many(key, rows, CROWD) for key in named(case))


def of_strangers(case: Case, suspect: Suspect) -> bool:
    """Whether those who show it are mostly such as golden never had (a new make, a new shop), while others are not: their values are their own.

    A tag of few values (a release) counts where what departs reads it: its new value then was never learned.
    """
    others = case.window & ~suspect.affected
    relation = suspect.hit.channel.detail.get("relation")
    read = relation.parents if relation is not None else ()
    for key in named(case):
        many = key.distinct > MAX_VALUES
        asked = key.path != suspect.component and (many or key.field.role is Role.INPUT or key.name in read)
        if asked and _theirs(case, key, suspect.bad, others, STRANGE) and (not many or _is_id(case, key)):
            return True
    return False


def of_newcomers(case: Case, suspect: Suspect) -> bool:
    """Whether a step, or a label, departs for those alone whom golden never saw (a new shop, a new article): nothing is known of them yet.

    What they are a step may tell as well, where it is labels that depart. That a slice which golden knew is theirs by half and more is no
    launch: there the key itself is another's.
    """
    role = role_of(suspect.component)
    if suspect.proof is Proof.SOFT or suspect.hit.channel.exact or role not in (Role.STEP, Role.OUTPUT, Role.LABEL):
        return False
    bad = suspect.bad
    if bad.sum() > ALL_NEW * suspect.affected.sum() and (suspect.inside & case.golden).any():
        return False
    told = case.of(Role.INPUT, Role.STEP) if role is Role.LABEL else case.of(Role.INPUT)
    lists = [key for key in told if key.codes is not None and not key.derived]
    return any(_theirs(case, key, bad, case.window & ~bad, NEW) for key in lists)


def _theirs(case: Case, key: Variable, rows: Bools, others: Bools, share: float) -> bool:
    """Whether golden never had the keys of so many of these rows, and of the others of less than half as many."""
    if not (rows.any() and others.any()):
        return False
    assert key.codes is not None
    seen = np.bincount(key.codes[case.golden & ~key.missing], minlength=len(key.vocabulary)) > 0
    new = ~np.append(seen, True)[key.codes]
    return bool(2 * new[others].mean() < new[rows].mean() > share)


def _is_id(case: Case, key: Variable) -> bool:
    """Whether a key is one of many that come again, and no date; those who come and go (patients) are many at any time."""
    if key.distinct <= MAX_VALUES or not comes_again(case, key):
        return False
    return key.codes is case.visits or not _dated(case, key)


def of_a_table(case: Case, suspect: Suspect) -> bool:
    """Whether what broke is more than a few entries of a table by an id: one machine's new calibration is its own, and the table still holds."""
    relation = suspect.hit.channel.detail["relation"]
    key = case.variables.get(relation.parents[0]) if len(relation.parents) == 1 else None
    listed = key is not None and key.codes is not None and key.distinct > MAX_VALUES and relation.form == "function"
    return key is None or not listed or _of_many(key, suspect.bad)


def _of_many(key: Variable, rows: Bools, least: int = LEAST_DEALT) -> bool:
    """Whether rows belong to many ids, those with most of the rows counted for less (the inverse Simpson index): what one of them does is its own."""
    known = rows & ~key.missing
    if known.sum() < NAMED * rows.sum():
        return True  # whose they are is not known
    counts = np.unique(key.kinds[known], return_counts=True)[1].astype(float)
    return bool(counts.sum() ** 2 >= least * (counts**2).sum() > 0)


def dealt_otherwise(case: Case, component: str, key: str, rows: Bools) -> bool:
    """Whether in these rows other keys have golden's levels, or the key tells next to nothing any more."""
    values, codes = case.variables[component].numbers, case.variables[key].codes
    assert values is not None
    assert codes is not None
    known = np.isfinite(values) & (codes >= 0)
    before, after = (_levels(values, codes, side & known) for side in (case.golden, rows))
    common = np.isfinite(before.of) & np.isfinite(after.of)
    if common.sum() < LEAST_KEYS or before.told <= 0:
        return False
    if after.told < GONE * before.told:
        return True
    here, there = np.sort(after.of[common]), np.sort(before.of[common])
    scale = float(there.sum() / here.sum()) if here.sum() else 0.0
    apart = float(np.abs(scale * here - there).mean() / max(there.std(), 1e-12))
    return bool(common.sum() >= LEAST_DEALT and scale > 0 and apart < ALIKE)


@dataclass(frozen=True, eq=False)
class _Levels:
    """The median by key, shape (keys,), NaN where few rows have it; and the share of the variance that keys explain, less what chance gives."""

    of: Floats
    told: float


def _levels(values: Floats, codes: Ints, rows: Bools) -> _Levels:
    chosen, of_key = values[rows], codes[rows]
    levels = np.full(int(codes.max(initial=0)) + 1, np.nan)
    means = np.zeros(levels.size)
    for code in np.unique(of_key):
        own = chosen[of_key == code]
        means[code] = own.mean()
        if own.size >= LEAST_ROWS:
            levels[code] = np.median(own)
    keys = np.unique(of_key).size
    if chosen.size <= keys or not np.ptp(chosen) > 0:
        return _Levels(levels, 0.0)
    within = float(((chosen - means[of_key]) ** 2).sum()) / (chosen.size - keys)
    return _Levels(levels, 1 - within / float(chosen.var(ddof=1)))


def _of_id(case: Case, ranks: Floats, key: Variable) -> tuple[float, Floats]:
    """How much of the ranks' variance an id explains on golden, and how each row's rank goes with its id's in golden's other blocks, shape (n,)."""
    known = case.golden & np.isfinite(ranks)
    with np.errstate(invalid="ignore"):
        level = _elsewhere(case, key, np.where(known, ranks, 0.0)) / _elsewhere(case, key, known)
    agrees = ranks * level
    judged = agrees[case.golden & np.isfinite(agrees)]
    return float(judged.mean()) if judged.size else 0.0, agrees


def comes_again(case: Case, key: Variable) -> bool:
    """Whether most of golden's rows have an id that comes in another of its blocks as well."""
    return bool(np.mean(_elsewhere(case, key, case.golden)[case.golden] > 0) >= AGAIN)


def _dated(case: Case, key: Variable) -> bool:
    """Whether a key has its own time: what goes by a day, a batch or a season ages with it, and is no table's.

    A row's time then goes with the times at which its key came in golden's other blocks, more than with those blocks' as a whole.
    """
    assert key.codes is not None
    ts = np.where(case.golden & ~key.missing, case.ts - case.ts[case.golden].mean(), np.nan)
    ts /= max(float(case.ts[case.golden].std()), 1.0)
    whoever = replace(key, codes=np.where(key.missing, -1, 0))
    return _of_id(case, ts, key)[0] - _of_id(case, ts, whoever)[0] > OF_TIME


def _elsewhere(case: Case, key: Variable, values: Floats | Bools) -> Floats:
    """The sum over golden's rows of the same id, less those of the row's own block: a day's rows share more than their id, shape (n,)."""
    assert key.codes is not None
    rows = np.flatnonzero(case.golden & (key.codes >= 0))
    size = len(key.vocabulary)
    whole = np.bincount(key.codes[rows], weights=values[rows], minlength=size)
    cells, index = np.unique(case.blocks[rows] * size + key.codes[rows], return_inverse=True)
    own = np.bincount(index, weights=values[rows], minlength=cells.size)
    out: Floats = np.where(key.codes >= 0, whole[key.codes], 0.0)
    out[rows] -= own[index]
    return out


def _told(ranks: Floats, key: Variable, parts: Split) -> tuple[float, Floats]:
    """How much of the ranks' variance the key's level explains on rows held out, and how each row's rank goes with it, NaN where few rows tell it."""
    assert key.codes is not None
    known = np.isfinite(ranks) & (key.codes >= 0)
    train, check = (rows[known[rows]] for rows in (parts.train, parts.check))
    size = len(key.vocabulary)
    counts = np.bincount(key.codes[train], minlength=size)
    sums = np.bincount(key.codes[train], weights=ranks[train], minlength=size)
    level = np.where(counts >= 5, sums / np.maximum(counts, 1), np.nan)
    agrees: Floats = np.where(key.codes >= 0, ranks * level[key.codes], np.nan)
    judged = agrees[check][np.isfinite(agrees[check])]
    return float(judged.mean()) if judged.size else 0.0, agrees


def _ranks(variable: Variable, stretches: NDArray[np.integer]) -> Floats:
    """Where each value stands in its stretch of time, with mean 0 and variance 1, NaN where null, shape (n,)."""
    assert variable.numbers is not None
    values = variable.numbers
    rows = variable.order[np.isfinite(values[variable.order])]
    rows = rows[np.argsort(stretches[rows], kind="stable")]  # by stretch, and by value within each
    ordered, of = values[rows], stretches[rows]
    begins = np.append(True, of[1:] != of[:-1])[: rows.size]
    stretch, tie = (
        np.flatnonzero(new) for new in (begins, begins | np.append(True, ordered[1:] != ordered[:-1])[: rows.size])
    )
    sizes = np.diff(np.append(stretch, rows.size))
    ends = np.append(tie[1:], rows.size)
    place = np.repeat((tie + ends - 1) / 2, ends - tie) - np.repeat(stretch, sizes)
    out = np.full(values.size, np.nan)
    out[rows] = ((place + 0.5) / np.repeat(sizes, sizes) - 0.5) * np.sqrt(12.0)
    return out
