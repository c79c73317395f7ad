"""Ground that golden never taught a fitted model: what it says there proves nothing, unless others stand there as well and do not depart.

In: a `Case` and a suspect that left its fitted model. Out: whether something that the model reads is new there. `gather` asks.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose import models, state
from whimbrel.diagnose.case import MAX_VALUES, Case, Variable
from whimbrel.diagnose.support import design_of
from whimbrel.diagnose.suspects import CLEAR, Suspect, abrupt
from whimbrel.model.fields import Role, role_of
from whimbrel.model.rows import Bools, Floats

ASIDE, LEAST_EARLIER = 0.1, 30
"""A share of rows that is too small to say anything beside the others; rows before an onset that say what was usual until then."""
OFTEN = 100
"""Rows of golden at one hour of the day that say what is usual then."""
ASTRAY = 3.0
"""Times as often as golden's that others go astray who are on the same ground and no control then."""
SCARCE = 0.02
"""The rarest part of golden's rows, by what they have: too few to have taught a model anything."""
PARTS, CORNERS = 4, 12
"""Parts of the rows that break a rule, each of which is looked for where the others are; the places in which they may all lie."""
THERE = 0.6
"""The share of them that must be found so, and of the rows that are found that must be of them, before there is a place that breaks the rule."""
EMPTY = 0.15
"""The part of its share of the window's rows that such a place may have had of golden's rows that kept the rule, and still be new to it."""


def unknown_ground(case: Case, suspect: Suspect) -> bool:
    """Whether a fitted model is left when something that it reads is new there, and neither elsewhere nor before.

    What golden never saw vary (a rate, a month) it cannot have taught, and hardly another row is there to compare with; a storm
    over one city leaves the other cities on other ground.
    """
    channel = suspect.hit.channel
    if channel.kind != "residual" or channel.exact:
        return False
    since = case.window & (case.ts >= suspect.since_us)
    others, known = since & ~suspect.inside, case.golden & suspect.inside
    compared = others.sum() > ASIDE * suspect.affected.sum()
    parents = [case.variables[name] for name in channel.detail["relation"].parents if name in case.variables]
    own = compared and any(_own_ground(case, parent, suspect.inside) for parent in parents)
    # Others of the hour are no control then: what is left must be enough without them.
    alone = max(suspect.hit.threshold, channel.least)
    if own and channel.values is channel.beside and where_familiar(suspect) < alone:
        return True
    # What was new before the onset as well, and did no harm then, is no excuse for what came at once.
    clear = suspect.clarity >= CLEAR
    earlier = case.window & ~since if clear and abrupt(case, suspect) else np.zeros_like(since)
    astray = channel.signature == "astray" and suspect.bad.any()  # only some do
    rows = suspect.bad if astray else suspect.affected
    for parent in parents:
        new = _new(parent, known, earlier & suspect.inside) if own else _new(parent, case.golden, earlier)
        if not own and not earlier.any():
            new |= _new_by_then(case, parent)
        most = 0.5 * float(new[rows].mean())
        # Others are on the same ground, and do not depart; a little may be what a model makes of rain in this town alone.
        alike = clear and compared and not own and new[others].mean() > most
        alike = alike and not (astray and _go_astray(channel.values, new & others, case.golden))
        there = known.any() and new[known].mean() > most  # the slice always had it
        # The weather is another's over one town; what each row has of its own is not.
        if most > 0.25 and not alike and not there and (own or not compared or _lasting(case, parent)):
            return True
    return False


def _go_astray(values: Floats, rows: Bools, golden: Bools) -> bool:
    """Whether these go astray several times as often as golden's rows do."""
    here, there = (values[side & np.isfinite(values)] for side in (rows, golden))
    return here.size >= LEAST_EARLIER and float(here.mean()) > ASTRAY * max(float(there.mean()), 1 / there.size)


def _lasting(case: Case, parent: Variable) -> bool:
    return parent.numbers is not None and state.places(case, parent.numbers, shared=state.ROUGHLY) is not None


def where_familiar(suspect: Suspect) -> float:
    """What is left of the score on rows like golden's, where a slice on ground of its own was held against others of its hour.

    Cold that golden never had hits every zone, but a model fitted in the warm errs about each in another way.
    """
    excess, known = suspect.hit.excess, np.isfinite(suspect.hit.channel.detail["relation"].surprise)
    all_of, familiar = (excess[rows & np.isfinite(excess)] for rows in (suspect.affected, suspect.affected & known))
    return (
        suspect.hit.score * float(familiar.sum() / all_of.sum()) * float(np.sqrt(all_of.size / max(familiar.size, 1)))
    )


def _own_ground(case: Case, parent: Variable, inside: Bools) -> bool:
    """Whether the slice has values of its own of what the model reads (a zone's rate), so that no other rows are like it."""
    if parent.distinct > MAX_VALUES or parent.distinct < 2:
        return False
    known = case.golden & ~parent.missing
    here, elsewhere = known & inside, known & ~inside
    if not (here.any() and elsewhere.any()):
        return False
    own = np.bincount(parent.kinds[here], minlength=int(parent.kinds.max()) + 1) > 0
    return bool(own[parent.kinds[elsewhere]].mean() < ASIDE)


def _new_by_then(case: Case, variable: Variable) -> Bools:
    """Where a number lies outside what golden had at that hour of the day, shape (n,): a warm noon was often there, a warm dawn never."""
    out = np.zeros(case.ts.size, dtype=bool)
    if variable.numbers is None or variable.distinct <= MAX_VALUES:
        return out
    hours = case.hour.astype(np.int64)
    for hour in np.unique(hours[case.window]):
        then = hours == hour
        seen = variable.numbers[then & case.golden & ~variable.missing]
        if seen.size >= OFTEN:
            low, high = np.quantile(seen, [SCARCE / 2, 1 - SCARCE / 2])
            out |= then & ((variable.numbers < low) | (variable.numbers > high))
    return out


def _new(variable: Variable, golden: Bools, earlier: Bools) -> Bools:
    """Where a value lies outside what these golden rows had, and most of the rows before, where there are enough; shape (n,).

    What hardly any of golden's rows had is new as well: a season's first day teaches next to nothing of the season.
    """
    known = golden & ~variable.missing
    if not known.any():
        return ~variable.missing
    before = earlier & ~variable.missing
    if variable.numbers is None or variable.distinct <= MAX_VALUES:
        codes = variable.kinds if variable.codes is None else variable.codes
        counts = np.bincount(codes[known], minlength=int(codes.max(initial=0)) + 1)
        rarest = np.argsort(counts, kind="stable")
        seen = np.zeros(counts.size, dtype=bool)
        seen[rarest] = np.cumsum(counts[rarest]) > SCARCE * counts.sum()
        if before.sum() >= LEAST_EARLIER:
            seen |= np.bincount(codes[before], minlength=seen.size) >= ASIDE * before.sum()
        fresh: Bools = ~variable.missing & ~np.append(seen, True)[codes]
        return fresh
    low, high = np.quantile(variable.numbers[known], [SCARCE / 2, 1 - SCARCE / 2])
    if before.sum() >= LEAST_EARLIER:
        least, most = np.quantile(variable.numbers[before], [ASIDE, 1 - ASIDE])
        low, high = min(low, least), max(high, most)
    out: Bools = (variable.numbers < low) | (variable.numbers > high)
    return out


def untried(case: Case, suspect: Suspect) -> bool:
    """Whether a decision's rule is broken in a place, by the fields that it reads, where golden hardly had a row that kept it.

    While a model gave high scores to nobody who is not gravely ill, a rule for these scores may be told by the illness as well, and golden does
    not say by which: a better model's first healthy one with a high score shows it. Where a decision is another than it was, golden's own rows
    lie in that place and say so.
    """
    channel = suspect.hit.channel
    relation = channel.detail.get("relation")
    if role_of(suspect.component) is not Role.DECISION or relation is None or relation.form != "rule":
        return False
    parents = [case.variables[name] for name in relation.parents if name in case.variables]
    kept = case.golden & suspect.inside & (case.variables[relation.target].kinds == relation.expected)
    rows = np.flatnonzero((kept | suspect.affected) & ~case.repeated)
    broken, known = suspect.bad[rows], case.golden[rows]
    design = design_of(case, parents, rows[known], rows) if parents and known.any() else None
    if design is None or broken.sum() < 2 * PARTS:
        return False
    models.ready()
    from sklearn.tree import DecisionTreeClassifier

    x, place = design.x[:, ~np.isin(design.names, ("hour", "weekday"))], np.zeros(rows.size, dtype=bool)
    part = np.arange(rows.size) % PARTS
    part[broken] = np.arange(broken.sum()) % PARTS
    for one in range(PARTS):
        others = part != one
        tree = DecisionTreeClassifier(max_leaf_nodes=CORNERS, class_weight="balanced", random_state=0)
        place[~others] = tree.fit(x[others], broken[others]).predict(x[~others])
    here, there = int((place & ~known).sum()), int((place & known).sum())
    told = (place & broken).sum() >= THERE * max(int(broken.sum()), here)
    return bool(told and there < EMPTY * known.sum() * here / (~known).sum())
