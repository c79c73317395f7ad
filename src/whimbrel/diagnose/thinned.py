"""A part of the yes that is recorded as a no: events that are joined no more, or a no that comes for free as a yes.

In: a `Case` and a suspect whose labels moved at equal score. Out: a `Thinned`, where that is what happened, and the suspect from the
hour on at which it began. Who changes his mind moves the log odds: what golden was nearly sure of he is still nearly sure of. An event
that is lost is lost whatever was asked, so that a yes comes so many times as often at every score, also where it was nearly certain. Of labels
that are numbers those beyond a value may be lost alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from whimbrel.diagnose import keys, matrices
from whimbrel.diagnose.case import Case
from whimbrel.diagnose.judged import FEW, Judged, judged, new_model
from whimbrel.diagnose.suspects import Suspect, abrupt
from whimbrel.model.rows import Bools, Floats

LARGE = 0.25
"""The part of the yes that must be lost: fewer may be anybody's."""
CLEARLY = 3.0
"""Nats by which a part that is lost must explain labels better than the shift that a world may bring, and that labels must be able to tell: twenty to one."""
WORLD = 0.5
"""Log odds by which the base rate of a slice may well differ from golden's, as a standard deviation."""
STAYED = 0.35
"""The part of what a slice moved that all others may have moved as well, where it is the slice's own."""
MANY = 30.0
"""Labels beyond a value that are expected where none is: chance never leaves out so many."""
SURE = 0.98
"""The likeliest that any answer is taken to be: one in fifty turns out otherwise."""
_KEPT, _SHIFTS = np.linspace(0.02, 1.0, 50), np.linspace(-4.0, 4.0, 81)


@dataclass(frozen=True, slots=True)
class Thinned:
    """What happened to labels of one kind."""

    lost: float
    """The part of them that is recorded as the other kind."""
    yes: bool
    """Whether it is the yes that is lost."""
    gain: float
    """Nats by which that explains labels better than people who changed."""

    @property
    def words(self) -> str:
        """In a sentence."""
        kinds = ("yes", "no") if self.yes else ("no", "yes")
        return f"{self.lost:.0%} of every {kinds[0]} is recorded as {kinds[1]}, also where golden was nearly sure"


def thinned(case: Case, suspect: Suspect) -> Thinned | None:
    """What is lost of the labels of one slice, at once, while others stayed; None where nothing is, or people may have changed.

    Not where golden's own days show the like, nor where it is a few of many who ask: those may have stopped.
    """
    found = judged(case)
    if found is None or not found.binary or not matrices.of_who(case, suspect.where):
        return None
    if not abrupt(case, suspect) or not alone(case, suspect) or keys.of_few(case, suspect):
        return None
    known = np.isfinite(found.residual)
    likely = _usual(found, suspect.inside & case.golden & known)
    told = None if likely is None else _told(found.target, likely, suspect.affected & known)
    if told is None or likely is None:
        return None
    blocks = [suspect.inside & case.golden & known & (case.blocks == block) for block in range(case.block_count)]
    own = [_told(found.target, likely, rows) for rows in blocks]
    return None if any(one is not None and one.yes == told.yes for one in own) else told


def since(case: Case, suspect: Suspect) -> Suspect:
    """The suspect from the row on from which labels are likelier thinned than golden's; as it came where they are not, or they come and go."""
    told, found = thinned(case, suspect), judged(case)
    if told is None or found is None:
        return suspect
    suspect = replace(suspect, note=told.words)
    known = np.isfinite(found.residual)
    rows = np.flatnonzero(suspect.inside & case.window & known)
    if (rows.size and not suspect.affected[rows[case.ts[rows] >= suspect.since_us]].all()) or rows.size < FEW:
        return suspect
    rows = rows[np.argsort(case.ts[rows], kind="stable")]
    likely = _usual(found, suspect.inside & case.golden & known)
    assert likely is not None
    ratio = _ratios(found.target[rows], likely[rows], 1 - told.lost, yes=told.yes)
    first = int(np.argmax(np.cumsum(ratio[::-1])[::-1]))
    began = int(case.ts[rows[first]])
    affected = suspect.inside & case.window & (case.ts >= began)
    moved = replace(suspect, since_us=began, from_start=first == 0, affected=affected)
    judged_rows = affected & np.isfinite(suspect.hit.excess)
    shift, after = (float(of[judged_rows].mean()) for of in (suspect.hit.excess, suspect.hit.channel.values))
    moved = replace(moved, shift=shift, after=after)
    return moved if thinned(case, moved) is not None else suspect


def alone(case: Case, suspect: Suspect) -> bool:
    """Whether what departs in a slice does not depart in the rest of traffic since."""
    values = suspect.hit.channel.values
    others = ~suspect.inside & np.isfinite(values)
    rest, before = others & case.window & (case.ts >= suspect.since_us), others & case.golden
    if min(int(rest.sum()), int(before.sum())) < FEW:
        return False
    moved = abs(float(values[rest].mean() - values[before].mean()))
    return moved < STAYED * abs(suspect.after - suspect.before)


def cut_off(case: Case, suspect: Suspect) -> str:
    """Of numbers the value beyond which no label comes any more, in words, where as many are missing as golden's had there at like scores; else empty.

    A world has fewer of them, or keeps some of all back; none keeps back just what is beyond a number. What golden had at like scores says nothing
    of another model's.
    """
    found = judged(case)
    if found is None or found.binary or new_model(case, suspect):
        return ""
    asked = np.flatnonzero(suspect.affected & np.isfinite(suspect.hit.excess) & np.isfinite(found.expected))
    asked = asked[np.argsort(case.ts[asked], kind="stable")][asked.size // 10 :]  # when it began is known roughly
    known = np.flatnonzero(case.golden & np.isfinite(found.residual))
    here = found.target[asked][np.isfinite(found.target[asked])]
    if here.size < FEW:
        return ""
    edges = np.unique(np.quantile(found.expected[known], np.linspace(0, 1, 21)[1:-1]))
    bins = np.searchsorted(edges, found.expected, "right")
    counts = np.maximum(np.bincount(bins[known], minlength=edges.size + 1), 1)
    gap = float(suspect.hit.excess[asked].mean())
    for sign, side in ((1.0, "above"), (-1.0, "below")):
        last = float((sign * here).max())
        beyond = np.bincount(bins[known], weights=sign * found.target[known] > last, minlength=counts.size) / counts
        share = float(beyond[bins[asked]].mean())
        if share * asked.size >= MANY and 0.5 < gap / share < 2.0:
            return f"none is {side} {sign * last:g}, as {share:.1%} of golden's at like scores were"
    return ""


def _usual(found: Judged, base: Bools) -> Floats | None:
    """How likely each label is a yes by its score, and by what these rows of golden's say beyond it, shape (n,); None where they are few."""
    if base.sum() < FEW:
        return None
    share = np.clip(found.expected, 1 - SURE, SURE)
    odds = np.log(share / (1 - share))
    yes = found.target[base, None] > 0.5
    fits = _logs(odds[base, None] + _SHIFTS, yes).sum(axis=0)
    out: Floats = 1 / (1 + np.exp(-odds - _SHIFTS[int(fits.argmax())]))
    return out


def _told(target: Floats, likely: Floats, rows: Bools) -> Thinned | None:
    """What of these labels is lost, where much is, they could have said otherwise, and it explains them better than any shift of log odds.

    And clearly better than a shift as far as worlds go.
    """
    if rows.sum() < FEW:
        return None
    yes, share = target[rows] > 0.5, likely[rows]
    shifted = np.log(share / (1 - share))[:, None] + _SHIFTS
    people = _logs(shifted, yes[:, None]).sum(axis=0)
    world = float((people - (_SHIFTS / WORLD) ** 2 / 2).max())
    out = None
    for of_yes in (True, False):
        fits = np.array([_thin(target[rows], share, kept, yes=of_yes).sum() for kept in _KEPT])
        best, gain = float(_KEPT[int(fits.argmax())]), float(fits.max()) - world
        plain = fits.max() >= people.max() and gain >= CLEARLY and 1 - best >= LARGE
        if plain and _apart(share, shifted, best, yes=of_yes) >= CLEARLY and (out is None or gain > out.gain):
            out = Thinned(1 - best, of_yes, gain)
    return out


def _apart(likely: Floats, shifted: Floats, kept: float, *, yes: bool) -> float:
    """Nats that such labels are expected to tell between a part that is lost and the nearest shift: none where nearly all are a no anyway."""
    share = kept * likely if yes else 1 - kept * (1 - likely)
    same = share * np.log(share) + (1 - share) * np.log1p(-share)
    cross = share[:, None] * _logs(shifted, np.array(True)) + (1 - share[:, None]) * _logs(shifted, np.array(False))
    return float(same.sum() - cross.sum(axis=0).max())


def _logs(odds: Floats, yes: Bools) -> Floats:
    """The log likelihood of labels with these log odds of a yes."""
    out: Floats = -np.logaddexp(0.0, np.where(yes, -odds, odds))
    return out


def _thin(target: Floats, likely: Floats, kept: float, *, yes: bool) -> Floats:
    """The log likelihood of labels of which that part of every yes (or no) is kept, shape (n,)."""
    of = np.clip(likely if yes else 1 - likely, 1 - SURE, SURE) * kept
    out: Floats = np.where((target > 0.5) == yes, np.log(of), np.log1p(-of))
    return out


def _ratios(target: Floats, likely: Floats, kept: float, *, yes: bool) -> Floats:
    """How much likelier each label is where that part is kept than where all is, as a logarithm, shape (n,)."""
    out: Floats = _thin(target, likely, kept, yes=yes) - _thin(target, likely, 1.0, yes=yes)
    return out
