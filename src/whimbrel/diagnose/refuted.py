"""An input that moved in one place, took the scores along, and was refuted by what came of it: it was measured otherwise, and nothing moved.

In: a `Case` and its suspects. Out: the same, with those inputs proved; and whether labels disown an output that left golden's model. Where
the world moves (other people come, other prices, more snow), labels move as well, by more or by less than the scores do; that they stay
just where they were, at once and in one place, while nobody more or fewer came and all others are as before, is a sensor's, a unit's or a
feed's doing. What labels follow is the world: an input that came apart from the others there proves nothing (a plant that stands still
draws no load).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from whimbrel.diagnose import judged, matrices
from whimbrel.diagnose.case import DAY_US, Case
from whimbrel.diagnose.judged import Judged
from whimbrel.diagnose.scan import measured
from whimbrel.diagnose.suspects import Proof, Suspect, abrupt, as_many, overlap
from whimbrel.model.fields import Role, role_of
from whimbrel.model.rows import Bools, Floats

SIGNATURE = "refuted"
STAYED = 0.25
"""The part of what scores moved by that labels may have moved as well and still be where they were."""
MOVED = 0.2
"""Golden spreads of its own slice by which an input must have moved to have taken scores along."""
CAME = 0.5
"""The part of what scores moved by that labels must have moved as well to show that it was the world that did."""
OFF = 0.25
"""Spreads of what golden's scores say by which scores must say more or less of all that is scored than labels do."""
ALONE, SAME = 0.3, 0.6
"""Shares of the rows at which something else that broke may have moved the scores; at which two inputs moved together."""


def refuted(case: Case, suspects: Sequence[Suspect]) -> list[Suspect]:
    """The suspects, with the inputs proved that labels refute (of several on the same rows the one that moved most by itself), none that they bear out."""
    found = judged.judged(case)
    if found is None:
        return list(suspects)
    moved = {s.component: _moved(case, s) for s in suspects if _may_be(case, s, suspects) and _unfelt(case, found, s)}
    chosen = {
        s.component
        for s in suspects
        if moved.get(s.component, 0.0) >= MOVED
        and all(moved[s.component] >= moved[o.component] for o in suspects if o.component in moved and _beside(s, o))
    }
    out = [_proved(s) if s.component in chosen else s for s in suspects]
    return [replace(s, proof=Proof.SOFT) if _borne_out(case, found, s) else s for s in out]


def disowned(case: Case, suspect: Suspect) -> Suspect:
    """The suspect, proved where scores left golden's model at once, and what came of it is what that model would still have said.

    Something that nobody recorded may lead scores away from all that is known of them; but then labels go with the scores. What departs
    far shows best in some slice; labels, which are few, are asked of all traffic since then as well.
    """
    found, score = judged.judged(case), judged.main_score(case)
    variable, relation = case.variables.get(suspect.component), suspect.hit.channel.detail.get("relation")
    if found is None or score is None or relation is None or variable is None or variable.numbers is not score:
        return suspect
    instead = judged.as_labels(case, found, score, relation.expected)
    every = np.ones(len(case.ts), dtype=bool)
    all_of = replace(suspect, where=(), inside=every, affected=case.window & (case.ts >= suspect.since_us))
    if not abrupt(case, suspect):
        return suspect
    base = case.golden & np.isfinite(relation.surprise)  # not what it knows by heart
    false = next((s for s in (suspect, all_of) if _off(found, instead, s.affected, s.inside & base)), None)
    return suspect if false is None else replace(false, proof=Proof.FIRM)


def _off(found: Judged, instead: Floats, rows: Bools, base: Bools) -> bool:
    """Whether what scores say of these labels is off on average, as golden's own is not and what its model would have said is not either."""
    rows, base = (some & np.isfinite(found.residual) & np.isfinite(instead) for some in (rows, base))
    if min(rows.sum(), base.sum()) < judged.FEW:
        return False
    said, told = (
        float((says - found.target)[rows].mean() - (says - found.target)[base].mean())
        for says in (found.expected, instead)
    )
    error = found.spread * float(np.sqrt(1 / rows.sum() + 1 / base.sum()))
    spread = max(float(found.expected[base].std()), 1e-12)
    return abs(said) - abs(told) > max(judged.ODD * error, OFF * spread) and abs(told) < STAYED * abs(said)


def _may_be(case: Case, suspect: Suspect, suspects: Sequence[Suspect]) -> bool:
    """Whether a measured input moved at once for some who ask, as many of them as ever, and nothing else broke that leads to their scores."""
    variable = case.variables.get(suspect.component)
    measured = variable is not None and variable.numbers is not None and role_of(suspect.component) is Role.INPUT
    if not measured or suspect.proof is not Proof.SOFT or not matrices.of_who(case, suspect.where):
        return False
    roles = (Role.INPUT, Role.STEP, Role.AGE, Role.MODEL, Role.OUTPUT)
    others = [s for s in suspects if s.proof > Proof.SOFT or s.hit.channel.signature == "identity"]
    others = [s for s in others if role_of(s.component) in roles]
    if any(overlap(suspect.affected, s.affected) >= ALONE for s in others):
        return False
    return abrupt(case, suspect) and as_many(case, suspect) and _leapt(case, suspect)


def _leapt(case: Case, suspect: Suspect) -> bool:
    """Whether its numbers went elsewhere from one day to the next: an age goes on beyond all that golden had, a day at a time."""
    numbers = case.variables[suspect.component].numbers
    assert numbers is not None
    known = suspect.inside & np.isfinite(numbers)
    before = known & (case.ts < suspect.since_us) & (case.ts >= suspect.since_us - DAY_US)
    after = known & suspect.affected & (case.ts < suspect.since_us + DAY_US)
    if not (before.any() and after.any()):
        return True
    spread = float(numbers[known & case.golden].std()) if (known & case.golden).any() else 0.0
    return abs(float(np.median(numbers[after]) - np.median(numbers[before]))) >= MOVED * spread


def _rest(case: Case, suspect: Suspect) -> Bools:
    """The window's other rows since then."""
    out: Bools = case.window & ~suspect.inside & (case.ts >= suspect.since_us)
    return out


def _unfelt(case: Case, found: Judged, suspect: Suspect) -> bool:
    """Whether scores say that labels would move, and beside all others they did not."""
    rest = _rest(case, suspect)
    if _few(found, rest) or _few(found, suspect.affected) or judged.new_model(case, suspect):
        return False
    said, came = _moves(case, found, suspect)
    base = suspect.inside & case.golden
    sure = judged.standard_errors(case, np.sign(-said) * found.residual, suspect.affected, base)
    return sure >= judged.LEAST and abs(came) <= STAYED * abs(said)


def _moves(case: Case, found: Judged, suspect: Suspect) -> tuple[float, float]:
    """By how much scores say that labels would move, beside all others, and by how much they did."""
    rest = _rest(case, suspect)
    base, rest_base = suspect.inside & case.golden, ~suspect.inside & case.golden
    said, came = (
        _mean(values, suspect.affected) - _mean(values, base) - (_mean(values, rest) - _mean(values, rest_base))
        for values in (np.where(np.isfinite(found.target), found.expected, np.nan), found.target)
    )
    return said, came


def _borne_out(case: Case, found: Judged, suspect: Suspect) -> bool:
    """Whether an input merely came apart from the others, and labels moved beside all others as the scores that it moved say."""
    channel = suspect.hit.channel
    if role_of(suspect.component) is not Role.INPUT or channel.kind != "residual" or channel.exact or suspect.note:
        return False
    if _few(found, _rest(case, suspect)) or _few(found, suspect.affected) or judged.new_model(case, suspect):
        return False
    said, came = _moves(case, found, suspect)
    base, sign = suspect.inside & case.golden, np.sign(said)
    scored = np.where(np.isfinite(found.target), found.lift, np.nan)
    sure = judged.standard_errors(case, sign * scored, suspect.affected, base) >= judged.BY_CHANCE
    sure &= judged.standard_errors(case, sign * found.target, suspect.affected, base) >= judged.LEAST
    return bool(sure) and sign * came >= CAME * abs(said)


def _few(found: Judged, rows: Bools) -> bool:
    return int(np.isfinite(found.residual[rows]).sum()) < judged.FEW


def _mean(values: Floats, rows: Bools) -> float:
    known = values[rows & np.isfinite(values)]
    return float(known.mean()) if known.size else 0.0


def _moved(case: Case, suspect: Suspect) -> float:
    """How far the input's own values moved, in golden's spread within the slice, by rank: one that another foretells moved not."""
    variable = measured(case, suspect.hit.channel)
    assert variable is not None
    assert variable.numbers is not None
    values = variable.numbers
    known = np.isfinite(values)
    before, after = (values[rows & known] for rows in (suspect.inside & case.golden, suspect.affected))
    if min(before.size, after.size) < judged.FEW:
        return 0.0
    ordered = np.sort(before)
    below = (np.searchsorted(ordered, after, "left") + np.searchsorted(ordered, after, "right")) / (2 * before.size)
    return float(abs(below.mean() - 0.5) * np.sqrt(12.0))


def _beside(one: Suspect, other: Suspect) -> bool:
    return min(overlap(one.affected, other.affected), overlap(other.affected, one.affected)) >= SAME


def _proved(suspect: Suspect) -> Suspect:
    note = "moved by {:+.2f} golden spreads and took the scores along, but what came of it stayed as it was"
    channel = replace(suspect.hit.channel, signature=SIGNATURE)
    return replace(
        suspect, proof=Proof.FIRM, note=note.format(suspect.shift), hit=replace(suspect.hit, channel=channel)
    )
