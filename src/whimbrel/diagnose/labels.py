"""Labels: do they still arrive, in time, and do they still say what the score said?

In: a `Case`. Out: channels for labels that are missing at their age, late, at an age that golden's never had, of an unknown
value, or at odds with the score; and what such a departure proves. Immature labels are no fault: golden is asked at the
window's ages, as if its own last days had been read as soon after. What labels say is judged in `judged`, whose they are in `readings`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import logit

from whimbrel.diagnose import agreeing, clocks, judged, keys, matrices, thinned
from whimbrel.diagnose.arrivals import arrived, expected_absent
from whimbrel.diagnose.atoms import channels_of_atoms
from whimbrel.diagnose.case import MAX_VALUES, Case, Variable
from whimbrel.diagnose.learning import learn
from whimbrel.diagnose.relations import split
from whimbrel.diagnose.scan import Channel
from whimbrel.diagnose.suspects import Proof, Suspect, abrupt, events_near, names
from whimbrel.model.fields import Field, Kind, Role, role_of
from whimbrel.model.rows import Bools, Floats

FORETOLD = 0.3
"""The share of its variance that inputs must explain before a label's delay can be called too short."""
NEVER = 0.005
"""The share of golden's labels that may stay away for good where all of them are said to come."""
TAILS = (0.005, 0.01, 0.02, 0.05, *np.arange(0.1, 0.95, 0.1), 0.95, 0.98, 0.99, 0.995)
"""Where numbers are parted to see how many of golden's labels stayed away there."""
USUAL, EXPLAINED = 10.0, 0.5
"""Golden rows beside which what others lack counts half; the part of what is missing that golden's like must lack before the world is to blame."""
FAR, FARTHER = 0.8, 1.2
"""Golden spreads at equal score that no base rate moves by: over the window, and in the slice and at the time that show it most."""
JUMP, NAMED = 0.75, 0.5
"""Golden spreads at equal score by which labels must jump with a change of the system before that is what moved them, and with one that names their slice."""
OTHERWISE = 0.2
"""The share of a slice's decisions that may be others than golden's without labels being so."""
CHANGES = ("deploy", "config", "flag", "rollback")
"""Events by which somebody changes the system, and not what is asked of it."""
LOGISTIC = float(np.pi / np.sqrt(3.0))
"""The standard deviation of a logistic variable: what a shift of so many spreads is in log odds."""
CLEAR, FEWEST = 1.5, 1e-3
"""Times its threshold from which a jump is none of golden's; the least share of labels that log odds are taken of."""
_DAYS, _APART = 5, 5.0
"""Golden blocks of a slice that say how far its labels go from their scores by themselves, and times that far which no day brings."""
MANY_TIMES = float(np.log(8.0))
"""Times as much, as a logarithm, as no customer's world changes by: ten, sixty, a thousand."""
EXACTLY, ROUGHLY = 0.03, 0.15
"""How far from twice labels may lie, as a logarithm: however many there are, and where they are so few that chance moves them."""
THERE, BY_CHANCE = 0.7, 3.0
"""The part of the labels due by a moment that must be there to say that none of them was lost; as many may be missing by chance."""
CUT, LONGEST = 30, 0.8
"""Labels of a yes of which none came later than this share of golden's."""
RIPE = 0.9
"""The share of the labels that ever come by which they are no longer merely late."""


def channels(case: Case) -> list[Channel]:
    """Every label channel; none where the app records no labels."""
    label = case.variables.get("label")
    if label is None:
        return []
    out = _arrival(case, label)
    out += [*judged.channels(case), *judged.copied(case), *agreeing.channel(case)]
    if any(event.kind in CHANGES for event in case.events):
        out += [replace(c, signature="announced", least=judged.LEAST) for c in out if c.signature == "given score"]
    if label.numbers is not None:
        out += channels_of_atoms(case, label)
    return out


def proved(case: Case, suspect: Suspect) -> Suspect:
    """The suspect with what it proves, where it is about labels; else as it came.

    What the world does to labels it does to all alike and one way: it keeps some back, delays some, and has fewer say yes.
    """
    proof = suspect.proof
    signature = suspect.hit.channel.signature
    if signature == "lost":
        suspect = replace(suspect, note=thinned.cut_off(case, suspect))
        proof = Proof.HARD if suspect.note else _lost(case, suspect)
    elif signature == "late":
        proof = Proof.FIRM if suspect.where or suspect.hit.after >= 0.8 else Proof.SOFT
    elif signature == "hasty":
        proof = Proof.HARD if _cut_short(case, suspect) and judged.at_odds(case, suspect.affected) else Proof.SOFT
    elif signature in ("early", "filed"):
        proof = Proof.HARD if _impossible(case, suspect) or judged.at_odds(case, suspect.bad) else Proof.SOFT
    elif signature == "given score":
        # A base rate moves with the world; only labels that mean something else move this far, or a customer's whose world changed.
        settled = abs(suspect.shift) if suspect.where else 0.0  # where and when it is, which the whole window dilutes
        proof = (
            Proof.FIRM if abs(suspect.hit.shift) > FAR or settled > FARTHER or _sudden(case, suspect) else Proof.SOFT
        )
        suspect = thinned.since(case, suspect)
        proof = Proof.FIRM if suspect.note or _announced(case, suspect) else proof
    elif signature == "announced":
        if _announced(case, suspect):
            hit = suspect.hit
            hit = replace(hit, channel=replace(hit.channel, signature="given score"))
            return replace(suspect, hit=hit, proof=Proof.FIRM)
        proof = Proof.SOFT
    elif signature == agreeing.SIGNATURE:
        proof = agreeing.proof(case, suspect)
    elif signature == "scaled":
        proof = (
            Proof.FIRM if (suspect.from_start or abrupt(case, suspect)) and judged.scaled(case, suspect) else Proof.SOFT
        )
    elif signature == "disagree":
        suspect = judged.widened(case, suspect)
        sudden = suspect.from_start or abrupt(case, suspect) or bool(suspect.where)
        proof = Proof.FIRM if sudden and judged.came_apart(case, suspect) else Proof.SOFT
    return replace(suspect, proof=proof)


def _channel(signature: str, values: Floats | Bools, **more: object) -> Channel:
    return Channel("label", "labels", signature, "invariant", values.astype(np.float64), **more)  # type: ignore[arg-type]


def may_be_theirs(case: Case, suspect: Suspect) -> bool:
    """Whether labels moved at equal score for some who ask alone, as they do where a mill closes, or all of them come, only later, or are to be joined yet.

    Another unit is nobody's world, nor is a yes that most of a crowd lost at once, a part of it that is lost at all scores alike, or a jump with a deploy.
    """
    signature = suspect.hit.channel.signature
    if (signature == "late" and not suspect.where) or (signature == "lost" and _unjoined(case, suspect)):
        return True
    asked = any(role_of(c.path) in (Role.CONTEXT, Role.INPUT) for c in suspect.where)
    moved = signature == "given score" and asked
    if not moved or _of_another_unit(case, suspect) or _lost_yes(case, suspect):
        return False
    return thinned.thinned(case, suspect) is None and not _announced(case, suspect)


def unsaid(suspect: Suspect) -> bool:
    """Whether it counts for nothing: too little to see without an event that explains it, and none does."""
    return suspect.hit.channel.signature == "announced"


def _announced(case: Case, suspect: Suspect) -> bool:
    """Whether labels of one slice jumped far, at once and alone, just after somebody changed the system: people do not wait for a deploy."""
    if abs(suspect.shift) < NAMED or not matrices.of_who(case, suspect.where) or judged.new_model(case, suspect):
        return False
    near = [event for event in events_near(case, suspect) if event.kind in CHANGES]
    told = any(abs(suspect.shift) >= JUMP or names(event, suspect.where) for event in near) and not _treated(
        case, suspect
    )
    return told and abrupt(case, suspect) and thinned.alone(case, suspect) and not keys.of_few(case, suspect)


def _treated(case: Case, suspect: Suspect) -> bool:
    """Whether it is decided otherwise there than in golden: what is done (a call, a loan) may be what labels follow from."""
    for decision in (v for v in case.of(Role.DECISION) if 1 < v.distinct <= MAX_VALUES):
        sides = [decision.kinds[rows] for rows in (suspect.affected, suspect.inside & case.golden)]
        here, before = (
            np.bincount(side, minlength=int(decision.kinds.max()) + 1) / max(side.size, 1) for side in sides
        )
        if np.abs(here - before).sum() / 2 > OTHERWISE:
            return True
    return False


def _unjoined(case: Case, suspect: Suspect) -> bool:
    """Whether all labels of a slice are there that had come by the time of its newest one, and none of later: nobody has joined them since.

    Where what is asked later has none, and what was asked before goes on to get them, a part of them is lost.
    """
    found, label_ts = arrived(case), case.label_ts
    if found is None or label_ts is None:
        return False
    inside = suspect.inside & case.window
    last = int(label_ts[inside].max(initial=-1))
    own = suspect.inside & case.golden
    delays = np.sort(found.delay[own & np.isfinite(found.delay)])
    if delays.size < judged.FEW:
        return False

    def short(rows: Bools) -> tuple[float, float]:
        """The labels that were due by then, and those of them that are missing."""
        rows = rows & (case.ts <= last)
        came = np.searchsorted(delays, (last - case.ts[rows]) / 1e6, "right").sum() / delays.size
        due = float(came * np.isfinite(found.delay[own]).mean())
        return due, due - float(np.isfinite(found.delay[rows]).sum())

    due, missing = short(inside)
    since, gone = short(suspect.affected)
    waited = (int(case.ts[case.window].max()) - last) / 1e6
    there = missing <= (1 - THERE) * due and (gone <= (1 - THERE) * since or gone < BY_CHANCE)
    return waited > float(np.median(delays)) and there


def _sudden(case: Case, suspect: Suspect) -> bool:
    """Whether labels moved in one slice from one hour to the next, by far more than golden's ever did, and all others stayed."""
    clear = suspect.clarity >= CLEAR or _as_on_no_day(case, suspect)
    return clear and matrices.of_who(case, suspect.where) and abrupt(case, suspect)


def _as_on_no_day(case: Case, suspect: Suspect) -> bool:
    """Whether the log odds of a yes, beside those that scores let expect, lie far from where they lay in the slice on any of golden's blocks."""
    found = judged.judged(case)
    if found is None or not found.binary:
        return False
    known = np.isfinite(found.residual) & suspect.inside

    def beside(rows: Bools) -> float:
        yes = (found.target[rows].sum() + 0.5) / (rows.sum() + 1)
        return float(logit(yes) - logit(np.clip(found.expected[rows].mean(), FEWEST, 1 - FEWEST)))

    blocks = [known & case.golden & (case.blocks == block) for block in range(case.block_count)]
    usual = np.array([beside(rows) for rows in blocks if rows.sum() >= judged.FEW])
    here = known & suspect.affected
    if usual.size < _DAYS or here.sum() < judged.FEW:
        return False
    noise = 1 / (found.target[here].sum() + 0.5) ** 0.5
    return abs(beside(here) - float(usual.mean())) > _APART * float(np.hypot(usual.std(), noise))


def _lost_yes(case: Case, suspect: Suspect) -> bool:
    """Whether hardly any of many who ask say yes any more at equal score, at once: a few may have stopped, a crowd does not."""
    found = judged.judged(case)
    assert found is not None
    if not found.binary or not _sudden(case, suspect) or not keys.of_crowd(case, suspect.affected):
        return False
    known = np.isfinite(found.residual)
    sides = [rows & known for rows in (suspect.affected, suspect.inside & case.golden)]
    if min(int(rows.sum()) for rows in sides) < judged.FEW:
        return False
    here, before = (
        float(logit(np.clip(found.target[rows].mean(), FEWEST, 1 - FEWEST)) - logit(found.expected[rows].mean()))
        for rows in sides
    )
    return here - before < -FAR * LOGISTIC


def _of_another_unit(case: Case, suspect: Suspect) -> bool:
    """Whether labels are so many times what their scores let expect as no world moves them, or just twice or half, and stray no wider for it."""
    found = judged.judged(case)
    assert found is not None
    if found.binary:
        return False
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.log(found.target / found.expected)
    sides = [times[rows & np.isfinite(times)] for rows in (suspect.affected, suspect.inside & case.golden)]
    if min(side.size for side in sides) < judged.FEW:
        return False
    (low, here, high), (least, before, most) = (np.quantile(side, [0.16, 0.5, 0.84]) for side in sides)
    moved, sure = (
        abs(here - before),
        float(np.hypot(high - low, most - least)) / min(side.size for side in sides) ** 0.5,
    )
    doubled = abs(moved - np.log(2.0)) < max(sure, EXACTLY) < ROUGHLY and high - low < judged.WIDENED * (most - least)
    return bool(moved > MANY_TIMES or doubled)


# ---------------------------------------------------------------- arrival


def absent(case: Case) -> Floats | None:
    """1 where no label came although golden's would have by that age, 0 where it came, NaN where it is too early to say.

    Shape (n,). None where the app records no label times.
    """
    found = arrived(case)
    if found is None:
        return None
    curve = np.sort(found.delay[case.golden & np.isfinite(found.delay)])
    come = np.searchsorted(curve, found.age, "right") / curve.size
    return np.where(come > 0.99, np.isnan(found.delay), np.nan)


def _arrival(case: Case, label: Variable) -> list[Channel]:
    found = arrived(case)
    if found is None:
        return []
    known = case.golden & np.isfinite(found.delay)
    absent = np.where(case.repeated, np.nan, found.absent)
    lost = _channel("lost", absent, floor=0.03, given=expected_absent(case, found), least=judged.LEAST)
    slow = float(np.quantile(found.delay[known], 0.95))
    ripe = found.due > 0.8 * np.nanmax(found.due)
    late = np.where(np.isfinite(found.delay) & ripe, found.delay > slow, np.nan)
    out = [lost, _channel("late", late, floor=0.05, given=_late_given_label(case, label, late))]
    before = np.where(np.isfinite(found.delay), found.delay < found.delay[known].min(), np.nan)
    out.append(_channel("early", before, floor=0.02))
    # A job that files labels at a fixed age does so to the second, whatever else it is in a hurry about.
    delay = Variable("label#delay", Field("label", Kind.NUMBER), numbers=clocks.ticks(case, found.delay))
    out += [replace(atom, signature="filed") for atom in channels_of_atoms(case, delay)]
    return [*out, *_early(case, found.delay), *_hasty(case)]


def _lost(case: Case, suspect: Suspect) -> Proof:
    """What missing labels prove: the world keeps some of all labels back, or is slow, on a day of storms; it does not single out."""
    if _as_golden_lost(case, suspect):
        return Proof.SOFT
    times = {d.path for d in case.dimensions if matrices.clocked(case, d)}
    if any(c.path not in times for c in suspect.where) or suspect.hit.after >= 0.97:
        return Proof.HARD
    found = arrived(case)
    assert found is not None
    most = float(np.nanmax(found.due))
    ripe = found.due > RIPE * most
    rows, base = suspect.affected & ripe, case.golden & ripe & np.isfinite(found.asked)
    if 1 - most > NEVER or min(rows.sum(), base.sum()) < 30:
        return Proof.SOFT
    gap = float(np.mean(found.absent[rows] - 1 + found.due[rows]))
    return Proof.FIRM if gap > 0.5 * suspect.shift and gap * rows.sum() > 10 else Proof.SOFT


def _as_golden_lost(case: Case, suspect: Suspect) -> bool:
    """Whether golden's labels stayed away as well where the like came in, was made of it, or was decided: more rides are cancelled in a crowd.

    A slice may be where golden seldom was: what is seldom is asked about more finely than what is common.
    """
    excess = suspect.hit.excess
    known = np.isfinite(excess)
    golden, rows = np.flatnonzero(known & case.golden), np.flatnonzero(known & suspect.affected)
    told = 0.0
    for variable in case.of(Role.INPUT, Role.STEP, Role.OUTPUT, Role.DECISION):
        codes = variable.codes
        if variable.numbers is not None:
            edges = (
                np.unique(np.nanquantile(variable.numbers[golden], TAILS))
                if not variable.missing[golden].all()
                else np.zeros(0)
            )
            codes = np.where(variable.missing, -1, np.searchsorted(edges, variable.numbers, "right"))
        assert codes is not None
        if int(codes.max(initial=0)) > MAX_VALUES:
            continue
        counts = np.bincount(codes[golden] + 1, minlength=int(codes.max(initial=0)) + 2)
        usual = np.bincount(codes[golden] + 1, weights=excess[golden], minlength=counts.size) / (counts + USUAL)
        told = max(told, float(np.where(counts >= judged.FEW, usual, 0.0)[codes[rows] + 1].mean()))
    return told > EXPLAINED * suspect.shift


def _hasty(case: Case) -> list[Channel]:
    """Of each yes whether it came sooner than half of golden's did: where later ones are cut off, all do."""
    soon = _sooner(case)
    return [] if soon is None else [_channel("hasty", np.where(np.isfinite(soon), soon <= 0.5, np.nan), floor=0.1)]


def _sooner(case: Case) -> Floats | None:
    """The share of golden's labels of a yes that came sooner after what they judge, shape (n,), NaN where it is none; None where labels are no yes or no."""
    found, label_ts = judged.judged(case), case.label_ts
    if found is None or not found.binary or label_ts is None:
        return None
    yes = (found.target == 1) & (label_ts >= 0)
    delay = label_ts - case.ts
    known = np.sort(delay[yes & case.golden])
    if known.size < judged.FEW:
        return None
    return np.where(yes, np.searchsorted(known, delay, "right") / known.size, np.nan)


def _cut_short(case: Case, suspect: Suspect) -> bool:
    """Whether no yes came after some delay by which most of golden's had not, or many had not, though all had the time to."""
    soon, found = _sooner(case), arrived(case)
    assert soon is not None
    if found is None:
        return False
    here = soon[suspect.affected & np.isfinite(soon)]
    old = np.sort(found.delay[case.golden & np.isfinite(soon)])
    ripe = float(np.mean(np.searchsorted(old, found.age[suspect.affected]) >= RIPE * old.size))
    return here.size >= CUT and float(here.max()) < LONGEST and ripe >= RIPE


def _impossible(case: Case, suspect: Suspect) -> bool:
    """Whether labels came before what they judge, as none of golden's did."""
    assert case.label_ts is not None
    before = ~case.variables["label"].missing & (case.label_ts >= 0) & (case.label_ts < case.ts)
    return bool((before & suspect.affected).sum() >= 3 and not (before & case.golden).any())


def _early(case: Case, delay: Floats) -> list[Channel]:
    """Labels that come before like predictions' labels ever did: what the world delays it does not hasten, a wrong join does.

    The delay is modelled on golden from what came in (a long flight lands late); no channel where nothing foretells it.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(delay > 0, np.log(delay), np.nan)
    parts = split(case)
    target = Variable("label#delay", Field("label", Kind.NUMBER), numbers=logs)
    parents = [*case.of(Role.INPUT), *case.of(Role.CONTEXT)]
    relation = learn(case, parts, target, parents, least=FORETOLD)
    if relation is None or relation.exact:
        return []
    usual = relation.surprise[parts.check]
    bound = float(np.nanquantile(usual, 0.01)) - 0.5
    early = np.where(np.isfinite(relation.surprise), relation.surprise < bound, np.nan)
    return [_channel("early", early, floor=0.05)]


def _late_given_label(case: Case, label: Variable, late: Floats) -> Floats | None:
    """How often golden's labels of each value are late, shape (n,): what happens late is known late."""
    known = case.golden & np.isfinite(late)
    if label.numbers is not None:
        edges = np.unique(np.quantile(label.numbers[known], np.linspace(0, 1, 11))) if known.any() else np.zeros(0)
        codes = np.where(label.missing, -1, np.searchsorted(edges, label.numbers, "left"))
        size = edges.size + 1
    else:
        assert label.codes is not None
        codes, size = label.codes, len(label.vocabulary)
    if size > 200:
        return None
    counts = np.bincount(codes[known], minlength=size)
    overall = float(late[known].mean()) if known.any() else 0.0
    shares = (np.bincount(codes[known], weights=late[known], minlength=size) + 5 * overall) / (counts + 5)
    return np.where(codes >= 0, shares[codes], overall)
