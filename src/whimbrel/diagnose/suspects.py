"""From departures to suspects: one for each component, with its slice, its onset and how hard its proof is.

In: a `Case`, a `Scan` and its hits. Out: `Suspect`s in causal order. What counts as proof:

    HARD   a contract or an exact relation is broken: the world does not do that
    FIRM   a fitted relation moved far: the field is not what golden made of the same upstream
    SOFT   the distribution moved: the world does that all the time, so it is never a fault by itself
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from whimbrel.diagnose.case import Case
from whimbrel.diagnose.scan import Hit
from whimbrel.diagnose.shapes import Conversion
from whimbrel.model.fields import Role, role_of, split
from whimbrel.model.report import NearEvent
from whimbrel.model.rows import Bools
from whimbrel.model.window import Where, micros
from whimbrel.stats.onset import SURER

CLEAR = 2.0
"""Times its threshold from which a departure is clear: on ground that golden never saw it is then no chance, where others are there as well,
and a rough relation that broke with its own code is that code's doing."""
BARELY = 1.5
"""Times its threshold below which a departure is no more than a fitted model's own error, where rows share their weather."""
AS_MANY = float(np.log(1.25))
"""How far the number of those who ask may have moved, as a logarithm, beside all others'."""
GROWN, ON_TOP = 0.5, 1.25
"""The part by which a slice must have grown for newcomers to be behind what it shows, and times as many rows as came that may show it."""
_BY_CHANCE = 2.5
"""Standard errors by which numbers of rows may differ by chance."""
HANDFUL = 40
"""Rows below which a distribution may be anybody's."""
VERSION = re.compile(r"v?\d+([._-]\d+)*$")
"""What a release calls itself."""
_A_NAME = 3
"""Letters from which on a value found in what an event says is no chance."""
_EVENT_BEFORE_S, _EVENT_AFTER_S = 7_200, 300


class Proof(IntEnum):
    """How much a departure proves."""

    SOFT = 0
    FIRM = 1
    HARD = 2


@dataclass(frozen=True, eq=False)
class Suspect:
    """One component that departs from golden."""

    component: str
    layer: str
    hit: Hit
    hits: tuple[Hit, ...]
    proof: Proof
    where: Where
    inside: Bools
    affected: Bools
    """Rows of the window inside the slice and after the onset, shape (n,)."""
    since_us: int
    from_start: bool
    shift: float
    before: float
    after: float
    conversion: Conversion | None = None
    note: str = ""
    """What the change of shape is, where it has a name: a permutation, a rename."""
    own: Suspect | None = None
    """Where another hit leads, the strongest that says the component is not what its upstream makes of it."""

    @property
    def clarity(self) -> float:
        """How many times its threshold it scores."""
        return self.hit.score / self.hit.threshold

    @property
    def bad(self) -> Bools:
        """Rows of the window that show it: inside the slice, after the onset, and departing."""
        return self.affected & self.shown

    @property
    def shown(self) -> Bools:
        """Rows of the slice that depart, whenever."""
        excess = self.hit.excess * (1.0 if self.shift >= 0 else -1.0)
        return self.inside & (np.nan_to_num(excess, nan=-np.inf) > 0.5 * abs(self.shift))


def order_of(case: Case, component: str) -> int:
    """Place in causal order: identity and sources first, labels last."""
    role = role_of(component)
    ranks = {Role.RECORDER: 0, Role.HARDWARE: 1, Role.SPAN: 2, Role.INPUT: 10, Role.AGE: 20, Role.CODE: 20,
             Role.MODEL: 5_000, Role.USAGE: 5_500, Role.OUTPUT: 6_000, Role.DECISION: 7_000, Role.ERROR: 7_500,
             Role.LABEL: 8_000}  # fmt: skip
    place = "steps." + split(component)[1] if role is Role.STEP else component
    if place in case.answers:
        return 6_000 + case.answers.index(place)
    if role is Role.STEP:
        step = split(component)[1]
        return (6_500 if step in case.after else 100) + case.schema.steps.index(step)
    if role is Role.OUTPUT and any(f"{f.path}#characters" in case.variables for f in case.schema.of(Role.OUTPUT)):
        # What is said of a text (how it ended, how good it is) comes after it, in the order in which it is recorded.
        return 6_000 + [f.path for f in case.schema.of(Role.OUTPUT)].index(component)
    return ranks.get(role, 9_000) if role else 9_000


def abrupt(case: Case, suspect: Suspect) -> bool:
    """Whether the change came at once: just before the onset, in the same slice, there is none of it yet."""
    excess = suspect.hit.excess
    judged = suspect.inside & np.isfinite(excess)
    before = np.flatnonzero(judged & (case.ts < suspect.since_us))
    after = np.flatnonzero(suspect.affected & np.isfinite(excess))
    if before.size < 20 or after.size < 20:
        return False
    before = before[np.argsort(case.ts[before], kind="stable")][-max(20, min(after.size, 200)) :]
    after = after[np.argsort(case.ts[after], kind="stable")][:200]
    start = float(excess[after].mean())
    return abs(float(excess[before].mean())) < 0.35 * abs(start) and abs(start) > 0.6 * abs(suspect.shift)


def far(suspect: Suspect) -> bool:
    """Whether a distribution moved farther than a mix that nobody recorded moves it: a share by a standard deviation as well. A handful may be anybody's."""
    if suspect.affected.sum() < HANDFUL:
        return False
    moved = abs(suspect.shift)
    spread = max(suspect.before * (1 - suspect.before), 0.0) ** 0.5
    return moved >= 0.3 or (suspect.hit.channel.binary and moved >= max(0.05, spread))


def as_many(case: Case, suspect: Suspect) -> bool:
    """Whether the slice is as large a part of the traffic as in golden, by chance at most not: who brings another kind brings more of it."""
    here, there = suspect.inside[case.window & (case.ts >= suspect.since_us)], suspect.inside[case.golden]
    if not (here.any() and there.any()):
        return False
    by_chance = _BY_CHANCE * float(np.sqrt(1 / here.sum() + 1 / there.sum()))
    return bool(abs(np.log(here.mean() / there.mean())) < max(AS_MANY, by_chance))


def came_on_top(case: Case, suspect: Suspect) -> bool:
    """Whether a slice of who asks grew beside all others by about as many rows as show it: they came with it, and golden's own are as they were."""
    here, there = suspect.inside[case.window & (case.ts >= suspect.since_us)], suspect.inside[case.golden]
    who = bool(suspect.where) and all(role_of(c.path) in (Role.CONTEXT, Role.INPUT) for c in suspect.where)
    released = any(VERSION.match(str(c.value)) for c in suspect.where)
    if not who or released or here.all() or there.all() or not there.any():
        return False
    usual = float(there.sum() / (~there).sum() * (~here).sum())
    more = float(here.sum()) - usual
    shows = float((suspect.bad & suspect.affected).sum()) - suspect.before * usual
    return more > _BY_CHANCE * float(np.sqrt(max(usual, 1.0))) and more >= GROWN * usual and shows <= ON_TOP * more


def not_yet(case: Case, suspect: Suspect, since_us: int) -> bool:
    """Whether it was surely not there between that time and its own onset: too many rows of its slice show nothing."""
    sign = 1.0 if suspect.shift >= 0 else -1.0
    judged = suspect.inside & np.isfinite(suspect.hit.excess)
    shows = judged & (np.nan_to_num(suspect.hit.excess) * sign > 0.5 * abs(suspect.shift))
    between = judged & case.window & (case.ts >= since_us) & (case.ts < suspect.since_us)

    def share(rows: Bools) -> float:
        return float(((shows & rows).sum() + 0.5) / ((judged & rows).sum() + 1))

    usual, now = share(case.golden), share(suspect.affected)
    seen, none = int((shows & between).sum()), int((between & ~shows).sum())
    return bool(seen * np.log(now / usual) + none * np.log((1 - now) / (1 - usual)) < -SURER)


def events_near(case: Case, suspect: Suspect) -> tuple[NearEvent, ...]:
    """Events within two hours before the onset that reached the slice, nearest first."""
    reached = {c.path: c.values for c in suspect.where}
    out = []
    for event in case.events:
        lag = (suspect.since_us - micros(event.ts)) / 1e6
        if not -_EVENT_AFTER_S <= lag <= _EVENT_BEFORE_S:
            continue
        if any(value not in reached.get(path, (value,)) for path, value in event.context.items()):
            continue
        out.append(NearEvent(event.ts, event.kind, event.what, round(lag)))
    return tuple(sorted(out, key=lambda e: abs(e.lag_s)))


def names(event: NearEvent, where: Where) -> bool:
    """Whether an event says whom it is about, and these are they: a release's number, a client, a region."""
    said = {word.strip(".,:;()") for word in event.what.split()}
    return any(len(str(c.value)) >= _A_NAME and str(c.value) in said for c in where)


def overlap(a: Bools, b: Bools) -> float:
    """The share of `a`'s rows that are `b`'s as well."""
    return float((a & b).sum() / max(a.sum(), 1))
