"""What a cause does to the outcome: decisions, score, time, errors, cost. Measured, not assumed.

In: a `Case` and a `Cause`. Out: numbers and whether they matter. The expected outcome of each row comes from a model
fitted on golden from the fields that the cause did not touch; the gap between that and what happened, inside the slice, less
the same gap on golden, is the harm (counterfactual re-scoring from recorded data alone).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np

from whimbrel.diagnose import labels, models, releases
from whimbrel.diagnose.boundaries import priced
from whimbrel.diagnose.case import HOUR_US, Case, Variable
from whimbrel.diagnose.causes import Cause
from whimbrel.diagnose.judged import main_score
from whimbrel.diagnose.learning import foretold
from whimbrel.diagnose.relations import Relation, Split, split
from whimbrel.diagnose.surroundings import TOTAL
from whimbrel.diagnose.suspects import Proof
from whimbrel.model.fields import Field, Kind, Role, role_of
from whimbrel.model.fields import split as split_path
from whimbrel.model.rows import Bools, Floats, Ints

ALWAYS = ("labels", "recorder")
"""A broken label or recorder hurts whoever trusts it, whatever the decisions do."""

LEAST_MS = 0.5
"""Milliseconds that nobody who waits for an answer would notice."""
LONGER, DEARER = 0.05, 0.02
"""The parts by which their time and their bill must grow, for those hit, to matter."""
FAILING = 0.005
"""The share of failed predictions, beyond golden's, from which on errors are a matter."""
AMOUNT = 4
"""Different numbers beyond which a decision is an amount."""
_ITSELF = ("serving", "hardware", "features", "model")
"""Layers whose faults take time and money themselves; what is asked of them is the world's."""


@dataclass(frozen=True, slots=True)
class Harm:
    """Numbers by name, shares of the affected rows unless the name says otherwise; `matters` is the verdict on them."""

    numbers: Mapping[str, float] = field(default_factory=dict)
    matters: bool = True


def measure(case: Case, cause: Cause, relations: Mapping[str, Relation]) -> Harm:
    """The harm of one cause."""
    affected = cause.suspect.affected
    numbers = {"share_of_traffic": float(affected.sum() / max(case.window.sum(), 1))}
    matters = cause.layer in ALWAYS
    judged = False
    if role_of(cause.component) is Role.DECISION:
        # Here the outcome itself is what broke: the departing rows are the flipped ones.
        numbers["decisions_flipped"] = round(float(cause.suspect.bad.sum() / max(affected.sum(), 1)), 4)
        return Harm(numbers, numbers["decisions_flipped"] > 0.003 and not releases.on_trial(case, cause))
    routed = cause.layer == "decision" or role_of(cause.suspect.component) is Role.MODEL
    if routed and cause.suspect.hit.channel.signature.startswith("share:") and not releases.announced(case, cause):
        # Nobody said so: who is answered by what has changed, and an experiment's shares are a promise.
        numbers["routed_elsewhere"] = round(abs(cause.suspect.shift), 4)
        return Harm(numbers, True)
    parts = split(case)
    for name, target, least in _outcomes(case):
        change = _change(case, parts, cause, target, relations)
        if change is None:
            continue
        judged = True
        gap, z = change
        if z > (3 if cause.suspect.hit.channel.exact else 4) and gap > least and _on_values(cause):
            matters = True
        numbers[name] = round(gap, 4)
    spent = _spent(case, cause)
    numbers |= spent.numbers
    judged = judged or (bool(spent.numbers) and cause.layer in ("serving", "hardware"))
    sooner = role_of(cause.component) is Role.SPAN and cause.suspect.shift < 0
    matters = matters or (spent.matters and cause.layer in _ITSELF and not sooner)
    errors = 0.0 if sooner else _errors(case, cause)  # what takes less time keeps nobody waiting, and fails nobody
    if errors:
        numbers["errors"] = round(errors, 4)
        matters = matters or errors > FAILING
    lost = cause.suspect.hit.channel.signature in ("skipped", "atom", "errors", "displaced")
    if cause.layer in ("serving", "hardware") and lost:
        matters = True
    if cause.layer == "model" and role_of(cause.component) is Role.MODEL:
        return Harm(*releases.judged(case, parts, cause, numbers))
    if releases.on_trial(case, cause) or labels.may_be_theirs(case, cause.suspect):
        return Harm(numbers, errors > FAILING)
    signature = cause.suspect.hit.channel.signature
    # What rounding and sorting do is measured, not presumed; as is another spelling of which nothing came: a step may well clean it; and what comes of
    # documents that were written anew.
    measured = signature in ("whole", "sorted") or (signature == "twin" and not cause.victims)
    measured = measured or releases.renewed(case, cause.suspect)
    if cause.layer == "hardware" and cause.suspect.layer != "serving":
        matters = True  # a machine that computes otherwise is never harmless
    shown = [w for w in cause.witnesses if w.proof > Proof.SOFT or w.hit.channel.kind == "residual"]
    outcome = {Role.OUTPUT, Role.DECISION} | ({Role.STEP} if role_of(cause.component) is Role.USAGE else set())
    read = _misled(cause, relations) or (signature == "sorted" and _by_place(cause, relations))
    if read or any(role_of(w.component) in outcome for w in shown):
        matters = True  # the outcome itself, or what is made of it, departs on the same rows, or goes by what is not so
    if "label" in cause.victims and cause.suspect.where and cause.layer in ("data", "features", "model"):
        matters = True  # there, and not elsewhere, what turned out is no longer what was said
    if not matters and judged and not measured and cause.layer in ("data", "features", "model"):
        matters = _is_read(case, parts, cause, relations)
    return Harm(numbers, matters or not judged)


def _by_place(cause: Cause, relations: Mapping[str, Relation]) -> bool:
    """Whether something is made of an element of the list by its place: where it was sorted, another one stands there."""
    places = f"{cause.suspect.component}["
    return any(one.exact and any(name.startswith(places) for name in one.parents) for one in relations.values())


def _is_read(case: Case, parts: Split, cause: Cause, relations: Mapping[str, Relation]) -> bool:
    """Whether the outcome depends on the component at all: on golden, does a model do worse without knowing it?

    Permutation importance on held-out rows (Breiman 2001), tested pair by pair. True as well where no model of the
    outcome is good enough to show that it does not. A model of inputs alone may lack what is looked up: the second
    one has all that does not depend on the component as well. What is made of the component is taken away with it:
    an hour is not idle because the model reads its sine.
    """
    role = role_of(cause.suspect.component)
    peers = case.of(Role.INPUT) if role is Role.INPUT else case.of(Role.STEP) if role is Role.STEP else []
    own = [v for v in peers if v.path == cause.suspect.component]
    outcomes = _outcomes(case)
    if not own or not outcomes:
        return True
    gone = _made_of(case, cause, relations)
    told = _depends(parts, gone, peers, outcomes)
    if told is None:
        told = _depends(parts, gone, [*own, *_untouched(case, cause, relations)], outcomes)
    return told is not False


def _made_of(case: Case, cause: Cause, relations: Mapping[str, Relation]) -> set[str]:
    """The paths of the component, of what was hit with it, and of the steps that are made of them.

    After a step that broke also those that nothing recorded determines: a look-up may go by what the step made.
    """
    gone = {cause.suspect.component, *cause.victims}
    steps, broke = case.schema.steps, split_path(cause.suspect.component)[1:2]
    exact = cause.suspect.hit.channel.exact and role_of(cause.suspect.component) is Role.STEP
    later = set(steps[steps.index(broke[0]) + 1 :]) if exact else set()
    for variable in case.of(Role.STEP):  # in the order in which they run
        relation = relations.get(variable.name)
        determined = relation is not None and relation.exact
        parents = relation.parents if relation is not None and determined else ()
        if gone & {name.partition("#")[0] for name in parents} or (variable.field.step in later and not determined):
            gone.add(variable.path)
    return gone


def _depends(
    parts: Split, gone: AbstractSet[str], peers: Sequence[Variable], outcomes: Sequence[tuple[str, Variable, float]]
) -> bool | None:
    """Whether a model of the outcome from `peers` does worse without the fields at these paths; None where it is no good model."""
    models.ready()
    from sklearn.ensemble import HistGradientBoostingRegressor

    mine = [v.path in gone for v in peers]
    x = np.stack([v.as_numbers for v in peers], axis=1)
    rng = np.random.default_rng(0)
    judged = False
    for _, target, _ in outcomes:
        assert target.numbers is not None
        y = target.numbers
        train, check = (rows[np.isfinite(y[rows])] for rows in (parts.train, parts.check))
        if train.size < 200 or check.size < 100:
            continue
        x[:, ~np.isfinite(x[train]).any(axis=0)] = 0.0  # a field that golden never filled tells nothing apart
        model = HistGradientBoostingRegressor(max_iter=80, learning_rate=0.15, max_leaf_nodes=24, random_state=0)
        model.fit(x[train], y[train])
        known = (y[check] - model.predict(x[check])) ** 2
        if float(known.mean()) > 0.6 * float(np.var(y[check])):
            continue
        judged = True
        shuffled = x[check].copy()
        order = rng.permutation(check.size)
        shuffled[:, mine] = shuffled[order][:, mine]
        worse = (y[check] - model.predict(shuffled)) ** 2 - known
        if float(worse.mean()) > 3.0 * float(worse.std()) / np.sqrt(check.size) + 1e-5:
            return True
    return False if judged else None


def _outcomes(case: Case) -> list[tuple[str, Variable, float]]:
    """The decision as 0/1 against its commonest value, and the score in units of golden's spread; so a decision that is an amount (an order, a limit)."""
    out, amounts = [], []
    decision = case.variables.get("decision") or next(iter(case.of(Role.DECISION)), None)
    if decision is not None:
        hit = _decision_flag(case, decision)
        if hit is not None:
            out.append(("decisions_flipped", Variable("decision?", decision.field, numbers=hit), 0.004))
        if decision.numbers is not None and decision.distinct > AMOUNT:
            amounts.append(("decision_moved_sd", "amount?", decision.field, decision.numbers))
    score = main_score(case)
    if score is not None:
        amounts.append(("score_moved_sd", "score?", Field("outputs.score", Kind.NUMBER), score))
    for name, variable, field_, values in amounts:
        golden = values[case.golden & np.isfinite(values)]
        spread = float(np.std(golden)) if golden.size > 30 else 0.0
        if spread > 0:
            scaled = np.clip((values - float(np.mean(golden))) / spread, -8, 8)
            out.append((name, Variable(variable, field_, numbers=scaled), 0.05))
    return out


def _decision_flag(case: Case, decision: Variable) -> Floats | None:
    if decision.codes is not None:
        known = decision.codes[case.golden & (decision.codes >= 0)]
        if known.size < 30:
            return None
        common = int(np.bincount(known).argmax())
        return np.where(decision.codes < 0, np.nan, (decision.codes != common).astype(float))
    assert decision.numbers is not None
    golden = decision.numbers[case.golden & np.isfinite(decision.numbers)]
    if golden.size < 30:
        return None
    values, counts = np.unique(golden, return_counts=True)
    common = values[np.argmax(counts)]
    return np.where(np.isnan(decision.numbers), np.nan, (decision.numbers != common).astype(float))


def _change(
    case: Case, parts: Split, cause: Cause, target: Variable, relations: Mapping[str, Relation]
) -> tuple[float, float] | None:
    """How far the outcome of the affected rows is from what the untouched fields promise, and in standard errors."""
    assert target.numbers is not None
    parents = [v for v in _untouched(case, cause, relations) if v.codes is None or len(v.vocabulary) <= 200]
    promised = foretold(case, parts, target, parents)
    values = target.numbers
    residual = values - (promised if promised is not None else float(np.nanmean(values[case.golden])))
    base = parts.beside(cause.suspect.inside, np.isfinite(residual))
    channel = cause.suspect.hit.channel
    shown = channel.exact or (channel.binary and not cause.suspect.where)
    hit = cause.suspect.bad if shown else cause.suspect.affected
    rows = np.flatnonzero(hit & np.isfinite(residual))
    if base.size < 20 or rows.size < 8:
        return None
    sides = [(1.0, rows), (-1.0, base), *_rest(case, cause, parts, residual)]
    gap, z = 0.0, 0.0
    for measure_of in (np.asarray, np.abs):
        values_of = [(sign, measure_of(residual[chosen]), chosen) for sign, chosen in sides]
        shift = abs(sum(sign * float(found.mean()) for sign, found, _ in values_of))
        noise = float(np.sqrt(sum(_noise(case, found, chosen) for _, found, chosen in values_of) + 1e-12))
        if shift / noise > z:
            gap, z = shift, shift / noise
    return gap, z


def _rest(case: Case, cause: Cause, parts: Split, residual: Floats) -> list[tuple[float, Ints]]:
    """The traffic since then that was not hit, and the same on golden: what the day did to all is taken off.

    Where a slice was hit, all others; where all traffic may be, the rows that do not break the contract.
    """
    suspect = cause.suspect
    spared = ~suspect.bad if not suspect.where and suspect.hit.channel.binary else ~suspect.inside
    outside = spared & np.isfinite(residual)
    since = outside & case.window & (case.ts >= suspect.since_us)
    held = np.zeros(len(case.ts), dtype=bool)
    held[parts.check] = True
    if since.sum() < 100 or (outside & held).sum() < 100:
        return []
    return [(-1.0, np.flatnonzero(since)), (1.0, np.flatnonzero(outside & held))]


def _noise(case: Case, values: Floats, rows: Ints) -> float:
    """Variance of the mean of values whose rows share hours, and so weather and crowds (cluster-robust, Liang and Zeger 1986)."""
    alone = float(values.var()) / rows.size
    hours = np.unique(case.ts[rows] // HOUR_US, return_inverse=True)[1]
    count = int(hours.max(initial=0)) + 1
    if count < 2:
        return alone
    sums = np.bincount(hours, weights=values - values.mean())
    return max(alone, float((sums**2).sum()) / rows.size**2 * count / (count - 1))


def _untouched(case: Case, cause: Cause, relations: Mapping[str, Relation]) -> list[Variable]:
    """Who, what came in, and the steps that do not depend on the cause: what is looked up, or made of untouched fields only."""
    touched = {cause.component, cause.suspect.component, *cause.victims}
    out = [v for v in case.of(Role.INPUT, Role.CONTEXT) if v.path not in touched]
    for variable in case.of(Role.STEP):  # in the order in which they run
        relation = relations.get(variable.name)
        made_of = (
            [n.partition("#")[0] for n in relation.parents] if relation is not None and relation.strength > 0.5 else []
        )
        if variable.path in touched or variable.field.step in case.after or touched.intersection(made_of):
            touched.add(variable.name)
        else:
            out.append(variable)
    return out


def _on_values(cause: Cause) -> bool:
    """Whether the cause can be what moved the outcome: it is about values, or what is slow took values with it.

    Those of its own step; what is said or decided only where it takes longer. A queue that is shorter decides nothing otherwise.
    """
    if cause.layer not in ("serving", "hardware"):
        return True
    own = split_path(cause.component)[1:2]
    longer = cause.suspect.shift > 0
    return any(
        (role_of(victim) is Role.STEP and (cause.layer == "hardware" or split_path(victim)[1:2] == own))
        or (longer and role_of(victim) in (Role.OUTPUT, Role.DECISION))
        for victim in cause.victims
    )


def _misled(cause: Cause, relations: Mapping[str, Relation]) -> bool:
    """Whether what is slow left its own step with values that are not what golden made of the same inputs, and an output or a decision reads these.

    A check that is given up on lets all pass; what it lets pass is seldom, and what became of it nobody measured.
    """
    if cause.layer not in ("serving", "hardware") or cause.suspect.shift < 0:
        return False
    own = split_path(cause.component)[1:2]
    broke = {w.component for w in cause.witnesses if w.hit.channel.exact and role_of(w.component) is Role.STEP}
    broke = {path for path in broke if cause.layer == "hardware" or split_path(path)[1:2] == own}
    read = {
        name.partition("#")[0]
        for relation in relations.values()
        if role_of(relation.target.partition("#")[0]) in (Role.OUTPUT, Role.DECISION)
        for name in relation.parents
    }
    return bool(broke & read)


def _spent(case: Case, cause: Cause) -> Harm:
    """Time and money that the affected rows took beside golden's."""
    numbers: dict[str, float] = {}
    matters = False
    took = _longer(case, cause)
    if took is not None:
        ratio, gain = took
        numbers["latency_p95_ratio"] = round(ratio, 4)
        matters = ratio > 1 + LONGER and gain > LEAST_MS
    for bill in _bills(case):
        ratio, z = _dearer(case, cause, bill)
        if ratio > 0:
            numbers[f"{bill.path.partition('.')[2]}_ratio"] = round(ratio, 4)
            matters = matters or (ratio > 1 + DEARER and z > 4)
    return Harm(numbers, matters)


def _longer(case: Case, cause: Cause) -> tuple[float, float] | None:
    """How many times as long, and how many ms longer, the affected rows took than golden's: mean or 95th percentile."""
    total = case.variables.get(TOTAL)
    spans = [v.numbers for v in ([total] if total is not None else case.of(Role.SPAN)) if v.numbers is not None]
    if not spans:
        return None
    values = spans[0] if total is not None else np.nansum(np.stack(spans), axis=0)
    base, rows = _sides(case, cause, values)
    if base.size < 40 or rows.size < 12:
        return None
    middle = [float(np.mean(values[chosen])) for chosen in (base, rows)]
    tail = [float(np.quantile(values[chosen], 0.95)) for chosen in (base, rows)]
    if min(middle[0], tail[0]) <= 0:
        return None
    rises = [(after / before, after - before) for before, after in (tail, middle)]
    return max(rises) if middle[1] >= middle[0] else rises[0]


def _bills(case: Case) -> list[Variable]:
    """What each prediction is charged; what it used, where no price is recorded."""
    usage = [v for v in case.of(Role.USAGE) if v.numbers is not None and not v.derived]
    return [v for v in usage if priced(v.path)] or usage


def _dearer(case: Case, cause: Cause, bill: Variable) -> tuple[float, float]:
    """How many times golden's the affected rows are charged on the whole, 0 where it cannot be told, and how sure in standard errors."""
    assert bill.numbers is not None
    base, rows = _sides(case, cause, bill.numbers)
    if base.size < 40 or rows.size < 12:
        return 0.0, 0.0
    before, after = (float(np.mean(bill.numbers[chosen])) for chosen in (base, rows))
    if before <= 0:
        return 0.0, 0.0
    noise = sum(_noise(case, bill.numbers[chosen], chosen) for chosen in (base, rows))
    return after / before, (after - before) / math.sqrt(noise + 1e-24)


def _sides(case: Case, cause: Cause, values: Floats) -> tuple[Ints, Ints]:
    """Golden's rows of the slice (of all traffic, where it has few), and the affected ones, on which the values are known.

    Golden's are of the same hours of working days and weekends, each as often as among the affected: nights are quick.
    """
    known = np.isfinite(values)
    rows = np.flatnonzero(cause.suspect.affected & known)
    base: Bools = case.golden & cause.suspect.inside & known
    if base.sum() < 40:
        base = case.golden & known
    hours = np.bincount(case.weekly_hour[rows], minlength=48)
    had = np.bincount(case.weekly_hour[base], minlength=48)
    if hours[had > 0].sum() < 0.5 * rows.size:
        return np.flatnonzero(base), rows  # golden has no such hours
    times = had.sum() / max(hours[had > 0].sum(), 1)
    alike = [
        np.resize(np.flatnonzero(base & (case.weekly_hour == hour)), round(times * hours[hour]))
        for hour in np.flatnonzero((hours > 0) & (had > 0))
    ]
    return np.concatenate(alike), rows


def _errors(case: Case, cause: Cause) -> float:
    error = case.variables.get("error")
    if error is None or error.codes is None:
        return 0.0
    empty = [i for i, text in enumerate(error.vocabulary) if not text.strip()]
    failed = (error.codes >= 0) & ~np.isin(error.codes, empty)
    rows = cause.suspect.affected
    if failed[rows].sum() < 3:
        return 0.0
    before, after = float(failed[case.golden].mean()), float(failed[rows].mean())
    return after - before if after - before > 3 * math.sqrt(after / rows.sum()) else 0.0
