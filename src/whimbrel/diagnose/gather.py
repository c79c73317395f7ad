"""From hits to suspects: each hit gets its slice, its onset and its proof, and one hit leads for each component.

In: a `Case` and the hits of its scan. Out: `Suspect`s in causal order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from whimbrel.diagnose import (
    absence,
    bygone,
    caps,
    carried,
    clocks,
    columns,
    districts,
    due,
    feeds,
    history,
    keys,
    labels,
    senders,
    state,
    tables,
    untold,
    walks,
    whom,
)
from whimbrel.diagnose.case import HOUR_US, Case
from whimbrel.diagnose.contracts import GRADED
from whimbrel.diagnose.displaced import dealt, of_another_hour
from whimbrel.diagnose.ground import unknown_ground, untried
from whimbrel.diagnose.naming import name_shape
from whimbrel.diagnose.scan import Hit, measured
from whimbrel.diagnose.surroundings import asked_for
from whimbrel.diagnose.suspects import BARELY, VERSION, Proof, Suspect, came_on_top, order_of
from whimbrel.diagnose.tables import TORN
from whimbrel.model.fields import Role, role_of, split
from whimbrel.model.rows import Bools, Floats, Ints
from whimbrel.model.window import Where, micros
from whimbrel.stats.onset import SURER, value_onset

_HARD = {
    "type",
    "twin",
    due.TURNED,
    "nothing",
    "stale",
    "skipped",
    "lost",
    "gaps",
    "infinite",
    "whole",
    "unit",
    "codebook",
    "renamed",
    "constant",
    "default",
    "offset",
    "fixed",
    "form",
    "copy",
    "copied",
}
_DECIDED = {"renamed", "constant", "codebook", "unit", "offset", "whole", "atom"}
"""What those may bring about who set a value for a few articles."""
_NEVER = 0.0005
"""A share of golden's rows that is as good as none."""
SLIGHT = 0.5
"""Golden spreads by which a step or an output must leave its fitted model before that counts on traffic that may be of another kind."""
OFTEN = 5.0
"""Times as often as in golden that answers must go astray."""
_BY_SIZE: dict[str, Callable[[Hit, float], Proof]] = {
    "repeated": lambda hit, _: Proof.HARD if hit.channel.detail["before"] == 0 and hit.shift > 0.02 else Proof.SOFT,
    "cut": lambda _, shift: Proof.HARD if shift > 0.6 else Proof.SOFT,  # hardly any text goes on where most did
    "beyond": lambda _, shift: Proof.HARD if shift > 0.5 else Proof.SOFT,  # a few are outliers; most are another unit
    # a few are a new kind's; most are another key
    "reshaped": lambda _, shift: Proof.HARD if shift > 0.5 else Proof.SOFT,
    "sorted": lambda hit, shift: Proof.FIRM if hit.before + shift > 0.97 else Proof.SOFT,  # who sorts, sorts all
    # of one category's own marks a few are a newcomer's
    "grid": lambda hit, _: Proof.HARD if hit.after > 0.5 else Proof.SOFT if "by" in hit.channel.detail else Proof.FIRM,
    # never is never; a decision that other people are given instead is still given to some of those
    "vanished": lambda _, shift: Proof.FIRM if shift > 0.8 else Proof.SOFT,
    "null": lambda hit, _: (
        Proof.HARD if hit.shift > hit.before + 0.02 else Proof.FIRM if absence.no_habit(hit) else Proof.SOFT
    ),
}
"""What these prove depends on how much they changed: the hit, and its mean shift where it was settled."""
_BY_WITNESSES: dict[str, Callable[[Case, Suspect], Proof]] = {
    **dict.fromkeys(feeds.SIGNATURES, feeds.proof),
    **dict.fromkeys(bygone.SIGNATURES, bygone.proof),
    caps.SIGNATURE: caps.proof,
    carried.SIGNATURE: carried.proof,
    columns.SIGNATURE: columns.proof,
}
"""What these prove depends on how many are hit."""
_BY_TIME = {history.FORM: history.proof, clocks.FORM: clocks.proof}
"""Who says what it proves that a relation to time broke."""
STRAGGLERS = 8
"""Slow calls below which they are what any service has now and then, however few calls there are in all."""
VALUES = 6
"""Different values that tell how a number is rounded."""
ALWAYS = 0.95
"""The share of a place's rows that are null where it has no value at all."""
ONCE = 3
"""Requests that must break an exact relation, however often each was sent again, before it proves anything."""
_PLAIN = (
    *("type", "foreign", columns.SIGNATURE, "rekeyed", "bygone", "forgotten", "unsettled", "default", "nothing", "twin", "renamed"),
    *("constant", "unit", "offset", "times", "beyond", "codebook", "fixed", "reshaped", "turned", "past", "capped", "sorted"),
    *("copy", "form", "cut", "ended", "stutter", carried.SIGNATURE, "spell", "standing", "atom", "repeated", "over", "null", "broken", "slower", "halted"),
)  # fmt: skip
"""What shows a change most plainly, first."""
_THEIRS = ("cut", "atom", "whole", "grid", "lost")
"""What the values and labels of some who ask may be by nature."""
_STARTS = (0.0, 0.25, 0.5, 0.75)
_SOFT = {"level", "flag", "width", "unseen", "range", "identity", "counter", "older"}


def gather(case: Case, hits: Iterable[Hit], found: Iterable[Suspect] = ()) -> list[Suspect]:
    """One suspect a component, in causal order, led by its hardest and strongest hit; `found` have their slices already."""
    by_component: dict[str, list[Suspect]] = {}
    for suspect in found:
        by_component.setdefault(suspect.component, []).append(suspect)
    for hit in hits:
        refined = _refine(case, hit)
        if not hit.channel.exact and _hours(case, refined.bad) < min(3.0, 0.3 * _hours(case, case.window)):
            continue  # an hour's gap that closed by itself is an incident of the world, not a change of the system
        seen = min(abs(refined.shift), refined.after - refined.before) if hit.channel.exact else abs(refined.shift)
        if seen < 0.5 * hit.channel.floor:
            continue  # what was seen in a slice is gone where the slice was settled
        if labels.unsaid(refined):
            continue
        by_component.setdefault(hit.channel.component, []).append(refined)
    out = []
    for suspects in by_component.values():
        if any(districts.renewed(case, suspect) for suspect in suspects):
            # What its entries are now is its owner's to say; that there are none is not.
            suspects = [s if s.hit.channel.signature == "null" else replace(s, proof=Proof.SOFT) for s in suspects]
        # Among the proofs of one component the hardest leads; among equals the one that shows most, then most surely: of what
        # proves nothing the surest, for others follow where it says.
        lead = max(suspects, key=lambda s: (s.proof, _exact(s.hit), _plainness(s), s.hit.score))
        fitted = [s for s in suspects if s is not lead and s.proof > Proof.SOFT and s.hit.channel.kind == "residual"]
        own = max(fitted, key=lambda s: (s.proof, s.hit.score), default=None)
        out.append(replace(lead, hits=tuple(s.hit for s in suspects), own=own))
    return sorted(out, key=lambda s: order_of(case, s.component))


def _hours(case: Case, rows: Bools) -> float:
    """How many hours the rows are spread over, counting crowded hours for more (the inverse Simpson index)."""
    counts = np.unique(case.ts[rows] // HOUR_US, return_counts=True)[1].astype(float)
    return float(counts.sum() ** 2 / (counts**2).sum()) if counts.size else 0.0


def _exact(hit: Hit) -> bool:
    """Whether golden never showed it but by chance: a rule that is broken, or a cap that such a rule may read."""
    return hit.channel.exact or hit.channel.signature == caps.SIGNATURE


def _plainness(suspect: Suspect) -> int:
    signature = suspect.hit.channel.signature
    return len(_PLAIN) - _PLAIN.index(signature) if suspect.proof > Proof.SOFT and signature in _PLAIN else 0


def _refine(case: Case, hit: Hit) -> Suspect:
    """Slice and onset in turn: the slice is clearest after the onset, the onset inside the slice."""
    shift = hit.shift
    sign = 1.0 if shift >= 0 else -1.0
    where, inside, since, from_start = _sharpest(case, hit, sign)
    for _ in range(2):
        among = active(case, hit.excess * sign, inside, since)
        found, rows = whom.slice_of(case, hit.excess * sign, hit.channel.cuts, among)
        if found == where:
            break
        where, inside = found, rows
        since, from_start = onset(case, hit.excess * sign, inside)
    affected = inside & active(case, hit.excess * sign, inside, since)
    judged = affected & np.isfinite(hit.excess)
    base = inside & case.golden & np.isfinite(hit.excess)
    stranger = base.sum() < 12
    if stranger:
        base = case.golden & np.isfinite(hit.excess)
    values = hit.channel.values
    moved = float(hit.excess[judged].mean()) if judged.any() else shift
    suspect = Suspect(
        component=hit.channel.component, layer=hit.channel.layer, hit=hit, hits=(hit,), proof=_proof(case, hit, where, moved),
        where=where, inside=inside, affected=affected, since_us=since, from_start=from_start,
        shift=moved,
        before=float(values[base].mean()), after=float(values[judged].mean()) if judged.any() else hit.after,
    )  # fmt: skip
    return _weighed(case, suspect, stranger=stranger)


def _weighed(case: Case, suspect: Suspect, *, stranger: bool) -> Suspect:
    """The suspect with the proof and the name that it deserves, by what shows it; a `stranger` is a slice that golden hardly had."""
    channel = suspect.hit.channel
    fitted = channel.kind == "residual" and not channel.exact
    newcomers = role_of(suspect.component) is Role.INPUT and came_on_top(case, suspect)
    theirs = keys.of_few_things(case, suspect)
    if newcomers or theirs or _of_strangers(case, suspect, fitted=fitted, stranger=stranger):
        return replace(suspect, proof=Proof.SOFT)
    few = (fitted or channel.signature in ("lost", "over", "scaled")) and keys.of_few(case, suspect)
    clock = of_another_hour(case, suspect) if fitted and channel.signature == "spread" else ""
    if clock:
        return replace(suspect, proof=Proof.FIRM, note=clock)
    hardly = channel.signature == "tail" and int(suspect.bad.sum()) < STRAGGLERS
    worldly = few or hardly or (fitted and walks.drifted(case, suspect)) or _few_values(case, suspect)
    if worldly or (suspect.proof > Proof.SOFT and asked_for(case, suspect)):
        return replace(suspect, proof=Proof.SOFT)
    if unknown_ground(case, suspect):
        return name_shape(case, replace(suspect, proof=Proof.SOFT))  # that all values are one is no matter of ground
    by_time = _BY_TIME.get(channel.detail["relation"].form) if channel.kind == "residual" and channel.exact else None
    if by_time is not None or (channel.kind == "residual" and channel.exact and clocks.put_on(case, suspect)):
        return replace(suspect, proof=by_time(case, suspect) if by_time else Proof.SOFT)
    if role_of(suspect.component) is Role.INPUT and channel.kind == "residual":
        whose = dealt(case, suspect)
        return replace(suspect, proof=Proof.FIRM if whose else tables.came_apart(case, suspect), note=whose)
    if channel.signature == "foreign":
        return replace(suspect, proof=Proof.HARD if senders.exchanged(case, suspect) else Proof.SOFT)
    if channel.signature in _BY_WITNESSES:
        return replace(suspect, proof=_BY_WITNESSES[channel.signature](case, suspect))
    heir = feeds.heir(case, suspect) if role_of(suspect.component) is Role.INPUT else ""
    if heir:
        return replace(suspect, proof=Proof.FIRM, note=feeds.swallowed_words(channel, heir))
    if channel.signature == "rekeyed":
        return replace(suspect, proof=Proof.HARD if keys.exchanged(case, suspect) else Proof.SOFT)
    if channel.signature == "broken" and (
        _of_one_request(case, suspect) or not keys.of_a_table(case, suspect) or untried(case, suspect)
    ):
        return replace(suspect, proof=Proof.SOFT)
    of_labels = suspect.layer == "labels"
    stands_out = suspect.proof > Proof.SOFT and channel.signature in ("null", "atom") and not of_labels
    if stands_out and (_lasted(case, suspect) or _scale_moved(case, suspect) or absence.of_newcomers(case, suspect)):
        return replace(suspect, proof=Proof.SOFT)
    named = labels.proved(case, suspect) if of_labels else name_shape(case, suspect)
    named = replace(named, proof=untold.proof(case, named))
    decision = named.hit.channel.signature in _DECIDED and role_of(named.component) is Role.INPUT
    decided = decision and keys.decided(case, named)
    return replace(named, proof=Proof.SOFT) if decided or keys.of_newcomers(case, named) else named


def _of_strangers(case: Case, suspect: Suspect, *, fitted: bool, stranger: bool) -> bool:
    """Whether it is those whom golden never saw: they have values and lengths of their own, but no placeholder for nothing that nobody had."""
    channel = suspect.hit.channel
    placeholder = bool(channel.detail.get("sentinel")) or channel.signature == "null"
    own = channel.signature in (*_THEIRS, "null") and not (placeholder and suspect.before == 0)
    if stranger and (own or (fitted and _new_place(suspect.where))):
        return True
    return (own or fitted) and keys.of_strangers(case, suspect)


def _new_place(where: Where) -> bool:
    """Whether a slice that golden never had is of a place or a client of whom a fitted model knows nothing; a new version, or host, is the system's own."""
    tags = [c for c in where if role_of(c.path) is Role.CONTEXT]
    return len(tags) == len(where) > 0 and not any(VERSION.match(str(c.value)) for c in tags)


def _few_values(case: Case, suspect: Suspect) -> bool:
    """Whether a few values alone, however often each comes, show another mark: a lot's one reading, a town's three degrees may happen to be whole.

    Who rounds, rounds all values: of the different ones as many more must be whole as of the rows, or nearly.
    """
    if suspect.hit.channel.signature not in ("whole", "grid"):
        return False
    variable = measured(case, suspect.hit.channel)
    if variable is None or variable.numbers is None or np.unique(variable.numbers[suspect.bad]).size < VALUES:
        return True
    known = suspect.inside & np.isfinite(suspect.hit.excess)
    shares = []
    for rows in (known & case.golden, known & suspect.affected):
        first = np.unique(variable.numbers[rows], return_index=True)[1]
        shares.append(float(suspect.hit.channel.values[rows][first].mean()) if first.size else 0.0)
    return shares[1] - shares[0] < 0.5 * suspect.shift


def _of_one_request(case: Case, suspect: Suspect) -> bool:
    """Whether the rows that show it are one request, or two, that were sent again."""
    bad = np.flatnonzero(suspect.bad)
    return bad.size >= ONCE > np.unique(case.requests[bad]).size


def _lasted(case: Case, suspect: Suspect) -> bool:
    """Whether a state of the world (the weather) merely was missing, or stood still, for a time that golden knows as well.

    It may be colder than golden ever was, but not from one hour to the next; a placeholder is far from all that golden had.
    """
    channel = suspect.hit.channel
    variable = measured(case, channel)
    if variable is None or variable.numbers is None or channel.detail.get("far"):
        return False
    absent = variable.missing.astype(np.int64)
    null = channel.signature == "null"
    place = state.places(case, absent.astype(float) if null else variable.numbers)
    if place is None:
        return False
    began = int(case.ts[suspect.bad].min()) if suspect.bad.any() else suspect.since_us
    strange = not null and channel.detail["outside"] and began > int(case.ts[case.window].min())
    if strange and state.leapt(case, place, variable.numbers, began):
        return False
    held = absent - 1 if null else np.where(variable.missing, -1, variable.kinds)
    atom = held if null else np.where(channel.values == 1, 0, -1)
    # Where a value never is, it is not missing for a while.
    there = ~np.isin(place, _never(place, variable.missing, case.golden)) if null else np.ones_like(case.golden)
    known = state.longest(case, place, held, case.golden & there)
    return state.longest(case, place, atom, suspect.affected) <= state.LONGER * known


def _never(place: Ints, missing: Bools, golden: Bools) -> Ints:
    """The places that golden hardly ever had a value of."""
    places, index = np.unique(place[golden], return_inverse=True)
    return places[np.bincount(index, weights=missing[golden]) >= ALWAYS * np.bincount(index)]


def _scale_moved(case: Case, suspect: Suspect) -> bool:
    """Whether the other marks of a short scale gained more than the one that stands out: all of it moved, as the world moves.

    A value that programs put where they know nothing takes from the others, and gives them nothing.
    """
    channel = suspect.hit.channel
    variable = measured(case, channel)
    if channel.signature != "atom" or channel.detail["before"] == 0 or variable is None or variable.numbers is None:
        return False
    base, here = (rows & suspect.inside & ~variable.missing for rows in (case.golden, suspect.affected))
    marks, index = np.unique(variable.numbers, return_inverse=True)
    before, after = (np.bincount(index[rows], minlength=marks.size) / max(rows.sum(), 1) for rows in (base, here))
    if (before > 0).sum() > GRADED:
        return False
    gained = np.maximum(after - before, 0.0)
    itself = float(gained[marks == channel.detail["value"]].sum())
    return float(gained.sum()) - itself > itself


def _sharpest(case: Case, hit: Hit, sign: float) -> tuple[Where, Bools, int, bool]:
    """The slice and onset to begin with: those of several halves of the window that hold the rise most densely.

    A slice that broke late drowns in whatever the whole window did before; looked at from its own time on, it does not.
    """
    excess = hit.excess * sign
    best: tuple[float, Where, Bools, int, bool] | None = None
    asked: set[Where] = set()
    for share in _STARTS:
        start = int(np.quantile(case.ts[case.window], share))
        where, inside = (hit.where, hit.inside) if share == 0 else whom.slice_of(
            case, excess, hit.channel.cuts, case.window & (case.ts >= start)
        )  # fmt: skip
        if where in asked:
            continue
        asked.add(where)
        since, from_start = onset(case, excess, inside)
        rows = inside & case.window & (case.ts >= since) & np.isfinite(excess)
        base = inside & case.golden & np.isfinite(excess)
        rise = float(excess[rows].mean() - (excess[base].mean() if base.sum() >= 12 else 0.0)) if rows.any() else 0.0
        gain = rows.sum() * max(rise, 0.0) ** 2
        if best is None or gain > 1.1 * best[0]:
            best = (gain, where, inside, since, from_start)
    assert best is not None
    return best[1:]


def _proof(case: Case, hit: Hit, where: Where, shift: float) -> Proof:
    channel = hit.channel
    if channel.exact or channel.signature in _HARD or channel.layer == "recorder":
        return Proof.HARD
    if channel.signature == "atom":
        if channel.detail["listed"] and not channel.detail["sentinel"]:
            return Proof.SOFT  # one more entry in a price list
        if channel.detail["end"] and not channel.detail["sentinel"] and channel.detail["before"] > 0:
            return Proof.SOFT  # where golden's values are cut as well, a wilder day has more of them
        return Proof.HARD if channel.detail["outside"] or hit.shift > 0.02 else Proof.FIRM
    if channel.signature in _BY_SIZE:
        return _BY_SIZE[channel.signature](hit, shift)
    if channel.signature in _SOFT:
        return Proof.SOFT
    if channel.kind == "residual" and not channel.exact:
        return _fitted_proof(case, hit, where, shift)
    if channel.kind == "marginal" and role_of(channel.component) in (Role.INPUT, Role.STEP, Role.OUTPUT):
        return Proof.SOFT
    return Proof.FIRM


def _fitted_proof(case: Case, hit: Hit, where: Where, shift: float) -> Proof:
    """What it proves that a field left the model fitted to it on golden."""
    channel = hit.channel
    if role_of(channel.component) is Role.STEP and split(channel.component)[1] in case.reads:
        return Proof.SOFT
    # Code computes what it computes: a field that upstream predicts only roughly comes from the world as well.
    # A fitted model is wrong in its own way on traffic of its own kind; a host's traffic is like any other host's.
    on_host = any(c.path.startswith("hardware.") for c in where)
    torn = hit.before > 0 and shift > TORN * hit.before
    alone = 0.98 if channel.signature == "spread" and not torn else 0.93
    needed = {Role.STEP: 0.9, Role.OUTPUT: 0.8 if on_host else alone}.get(role_of(channel.component) or Role.INPUT, 0.6)
    if on_host and hit.score >= BARELY * hit.threshold and abs(shift) >= SLIGHT:
        needed = 0.0  # hosts that answer the same traffic are a control that needs no model
    if channel.signature == "astray":
        often = hit.score >= BARELY * hit.threshold and hit.after > OFTEN * hit.before
        return Proof.FIRM if often and channel.detail["relation"].strength >= needed else Proof.SOFT
    barely = hit.score < BARELY * hit.threshold
    if role_of(channel.component) is Role.DECISION and barely and not where:
        return Proof.SOFT  # all that grows leads a rule that is only roughly known farther than it was
    made = role_of(channel.component) in (Role.STEP, Role.OUTPUT)
    if made and not on_host and not channel.signature.startswith("share:"):
        needed = needed if abs(shift) >= SLIGHT and not barely else 1.1
    return Proof.FIRM if channel.detail["relation"].strength >= needed else Proof.SOFT


def onset(case: Case, excess: Floats, inside: Bools) -> tuple[int, bool]:
    """When the rise began: the row from which on `excess` is likelier drawn anew than as on golden.

    Returns its time in µs since 1970, and whether it was there from the slice's first row in the window.
    """
    here = case.ts[case.window & inside]
    first = int(case.ts[case.window].min())
    start = int(here.min()) if here.size else first
    rows = np.flatnonzero(inside & case.window & np.isfinite(excess))
    if rows.size < 8:
        return start, True
    rows = rows[np.argsort(case.ts[rows], kind="stable")]
    values = excess[rows]
    base = excess[inside & case.golden & np.isfinite(excess)]
    if base.size < 12 and case.ts[rows[0]] > first:
        return int(case.ts[rows[0]]), False  # a slice that golden never saw began with its first row
    usual = base if base.size >= 12 else np.append(excess[case.golden & np.isfinite(excess)], 0.0)
    found = value_onset(values, usual, case.ts[rows] / HOUR_US, marks(case, inside, case.ts[rows]))
    k = found.at if found is not None else 0
    if base.size >= 100 and np.mean(base > 0.5) < _NEVER:
        # What golden never did has begun where it is first seen, however seldom the occasion came at first.
        early = np.flatnonzero(values[:k] > 0.5)
        rate = (np.count_nonzero(base > 0.5) + 1) / base.size
        surer = _likelier(np.arange(early.size, 0, -1), (k - early) * rate)
        k = int(early[np.argmax(surer)]) if surer.max(initial=0.0) > SURER else k
    return (int(case.ts[rows[k]]), False) if k else (start, True)


def marks(case: Case, inside: Bools, times: Ints) -> Ints:
    """The first of these times after each event that reached the slice; an event before them all brought nothing here."""
    dimensions = {d.path: d for d in case.dimensions}

    def there(path: str, value: str) -> bool:
        of = dimensions.get(path)
        return of is None or bool(value in of.values and np.any(of.codes[here] == of.values.index(value)))

    here = case.window & inside
    reached = [event for event in case.events if all(there(*pair) for pair in event.context.items())]
    at = np.searchsorted(times, np.array([micros(event.ts) for event in reached], dtype=np.int64))
    return at[at > 0]


def _likelier(counts: Ints, expected: Floats) -> Floats:
    """The log likelihood of so many under a rate of their own, over that under the rate that leads to expect `expected` (Poisson)."""
    out: Floats = counts * np.log(counts / expected) - (counts - expected)
    return out


def active(case: Case, excess: Floats, inside: Bools, since_us: int) -> Bools:
    """Rows of the window, of any slice, in the stretches of time in which the slice departs: a fault may come and go."""
    after: Bools = case.window & (case.ts >= since_us)
    rows = np.flatnonzero(inside & after & np.isfinite(excess))
    if rows.size < 120:
        return after
    rows = rows[np.argsort(case.ts[rows], kind="stable")]
    chunks = np.array_split(rows, min(24, rows.size // 30))
    means = np.array([excess[chunk].mean() for chunk in chunks])
    high = float(np.quantile(means, 0.8))
    if high <= 0 or float(means.min()) > 0.4 * high:
        return after
    active = np.zeros(len(case.ts), dtype=bool)
    starts = [int(case.ts[chunk[0]]) for chunk in chunks] + [int(case.ts[after].max()) + 1]
    for k, mean in enumerate(means):
        if mean > 0.4 * high:
            active |= (case.ts >= starts[k]) & (case.ts < starts[k + 1])
    active &= after
    return active if active.any() else after
