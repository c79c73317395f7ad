"""Who moved first: a fitted model that is left where what it reads has moved is a follower, not a cause.

In: suspects. Out: the same, those that led another proved by it; and whether a sum is wrong in step with one of its parts, or
what broke with something before it that it was not known to read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import logit

from whimbrel.diagnose import history
from whimbrel.diagnose.case import HOUR_US, Case, Variable
from whimbrel.diagnose.relations import Relation
from whimbrel.diagnose.scan import measured
from whimbrel.diagnose.suspects import BARELY, CLEAR, Proof, Suspect, abrupt, order_of, overlap
from whimbrel.model.fields import Role, role_of, split
from whimbrel.model.rows import Bools

GOOD = 0.8
"""The share of an output's variance that a fitted model must tell before it says who is answered otherwise."""
_FEW, _LEFT = 12, 0.02
"""Rows that show a fixed multiple; the part of the squares that rounding may leave of it."""
BARELY_ANY = 0.001
"""The share of golden's rows that is as good as none."""
_DIGITS = ("atom", "stutter", "standing", "whole", "grid")
"""What is told by the last digits of a number, which a fitted relation does not foretell."""
_MADE_OF = ("range", "unit", "offset")
"""What a step's numbers do that are made of larger ones."""
SAME = 0.6
"""Two sets of rows are one when this share of each lies in the other."""
MOSTLY = 0.75
"""A suspect's rows lie within a cause's when this share of them does."""
CLEARER_ROWS = 0.9
"""The share of one suspect's own rows that must lie where another says."""
_A_FEW = 10.0
"""Times as many decisions as golden's rule failed that it may fail of a new model's answers."""
_ALL = 0.95
"""The share of its rows on which a relation must have told a value that is stuck for it to be what its upstream makes of it."""
SOME = 0.3
"""The share of a follower's rows that must show what it follows, which moves on some rows and takes the model along on all; or on which it moved."""


def led(case: Case, suspects: Sequence[Suspect]) -> list[Suspect]:
    """The suspects, with those proved that a fitted model left golden after: it reads them, and they moved first, and further.

    On ground where golden seldom was a fitted model errs, and so may a real one: whatever moved in one slice and took it
    there is at fault, not what followed.
    """
    guilty: dict[str, Suspect] = {}
    for follower in suspects:
        channel = follower.hit.channel
        fitted = channel.kind == "residual" and not channel.exact and role_of(follower.component) is Role.OUTPUT
        if follower.proof is Proof.SOFT or not fitted or not follower.where:
            continue
        read = {name.partition("#")[0] for name in channel.detail["relation"].parents}
        before = [s for s in suspects if s.component in read and s.where == follower.where]
        before = [s for s in before if _covered(s, follower) and s.hit.score > follower.hit.score]
        first = min(before, key=lambda s: (order_of(case, s.component), -s.hit.score), default=None)
        if first is not None and first.proof is Proof.SOFT:
            guilty[first.component] = follower
    return [_proved_by(s, guilty[s.component]) if s.component in guilty else s for s in suspects]


def taken_along(suspect: Suspect, suspects: Sequence[Suspect]) -> Suspect:
    """The suspect, proving nothing where a step left its fitted model in all traffic with an input that it reads and that left what other inputs tell of it.

    In the holidays people use more than a month ago: what was looked up of that month is what it was. So where, in one slice, an input that
    no fault was found in went beyond all that golden had, and farther than the step: a crowd makes a ratio of it that nobody ever saw.
    """
    channel = suspect.hit.channel
    if suspect.proof is Proof.SOFT or role_of(suspect.component) is not Role.STEP or channel.exact:
        return suspect
    if suspect.where and channel.signature in (*_MADE_OF, "residual", "spread"):
        return replace(suspect, proof=Proof.SOFT) if any(_beyond(s, suspect) for s in suspects) else suspect
    if channel.kind != "residual" or suspect.where:
        return suspect
    read = [
        s
        for s in suspects
        if s.layer == "data" and s.proof is Proof.SOFT and s.component in channel.detail["relation"].parents
    ]
    torn = [s for s in read if any(hit.channel.kind == "residual" for hit in s.hits)]
    moved = any(min(overlap(suspect.affected, s.affected), overlap(s.affected, suspect.affected)) >= SAME for s in torn)
    return replace(suspect, proof=Proof.SOFT) if moved else suspect


def _beyond(one: Suspect, step: Suspect) -> bool:
    """Whether it is an input that left golden's range on the step's rows, and more plainly than the step left anything."""
    out = (
        one.layer == "data"
        and one.proof is Proof.SOFT
        and one.hit.channel.signature == "range"
        and one.where == step.where
    )
    shared = min(overlap(step.affected, one.affected), overlap(one.affected, step.affected))
    return out and one.hit.score >= step.hit.score and shared >= MOSTLY


def _covered(first: Suspect, follower: Suspect) -> bool:
    """Whether the follower is where the first is, who may show it on some of the rows only."""
    shared = overlap(first.affected, follower.affected), overlap(follower.affected, first.affected)
    return shared[0] >= SAME and shared[1] >= SOME


def _proved_by(first: Suspect, follower: Suspect) -> Suspect:
    return replace(
        first, proof=Proof.FIRM, affected=follower.affected, since_us=follower.since_us, from_start=follower.from_start
    )


def in_step(case: Case, suspect: Suspect, guilty: Suspect) -> bool:
    """Whether a sum is wrong by a fixed multiple of what one of its parts is wrong by, or a product by a fixed power of it.

    Of parts that follow from each other golden cannot say which of them the sum is made of: until one broke, each did as well.
    """
    relation, other = (s.hit.channel.detail.get("relation") for s in (suspect, guilty))
    if relation is None or other is None or not other.exact or guilty.component not in relation.parents:
        return False
    parts = [measured(case, s.hit.channel) for s in (suspect, guilty)]
    sides = [(None if v is None else v.numbers, r.expected) for v, r in zip(parts, (relation, other), strict=True)]
    if any(values is None for values, _ in sides):
        return False
    into = {"logistic": logit, "log": np.log, "product": np.log}.get(relation.form, np.asarray)
    of_part = np.log if relation.form == "product" else np.asarray
    with np.errstate(divide="ignore", invalid="ignore"):
        gap, part = (scale(is_) - scale(was) for scale, (is_, was) in zip((into, of_part), sides, strict=True))
    rows = suspect.bad & np.isfinite(gap) & np.isfinite(part)
    if rows.sum() < _FEW or not part[rows].any():
        return False
    left = gap[rows] - part[rows] * float(gap[rows] @ part[rows]) / float(part[rows] @ part[rows])
    return float(left @ left) < _LEFT * float(gap[rows] @ gap[rows])


def unread(case: Case, suspect: Suspect, guilty: Suspect) -> bool:
    """Whether something before it broke on just the same rows that its relation does not read: golden could tell the one by other fields.

    What parses an answer reads all of it, though golden's answers could be told apart by their confidence.
    """
    read = {name.partition("#")[0] for name in suspect.hit.channel.detail["relation"].parents}
    earlier = order_of(case, guilty.component) < order_of(case, suspect.component)
    written = role_of(suspect.component) is Role.OUTPUT and f"{suspect.component}#characters" in case.variables
    if earlier and written and role_of(guilty.component) in (Role.STEP, Role.INPUT):
        # A text is made of all that it was given, though its capitals seemed to be of some; of an input, on the rows that show it.
        given = guilty.affected if role_of(guilty.component) is Role.STEP else guilty.bad
        return overlap(suspect.bad, given) >= CLEARER_ROWS
    if not earlier or guilty.proof is not Proof.HARD or guilty.component in read:
        return False
    return min(overlap(suspect.bad, guilty.bad), overlap(guilty.bad, suspect.bad)) >= CLEARER_ROWS


def inherited(case: Case, suspect: Suspect, all_of: Sequence[Suspect], relations: Mapping[str, Relation]) -> Suspect:
    """A contract broken by a value that is just what its upstream makes of it was broken upstream.

    What is left is how the component departs from its upstream, where it does so elsewhere.
    """
    innocent = replace(suspect, proof=Proof.SOFT) if suspect.own is None else replace(suspect.own, hits=suspect.hits)
    relation = relations.get(suspect.component)
    signature = suspect.hit.channel.signature
    itself = suspect.hit.channel.kind == "residual" or signature in ("type", "vanished", "capped")
    if suspect.proof is Proof.SOFT or relation is None or itself:
        return suspect
    if not (relation.exact or relation.strength > 0.7):
        return suspect
    bad = suspect.bad
    told = np.isfinite(relation.surprise[bad]).mean() >= (_ALL if relation.exact else 1.1) if bad.any() else True
    if signature in ("constant", "spell") and role_of(suspect.component) is Role.INPUT and not told:
        return suspect  # stuck at what it mostly is, it is on most rows what others tell of it
    if signature == "stutter" and role_of(suspect.component) is Role.INPUT and not relation.exact:
        return suspect  # what others roughly foretell is near the same again, and not the same to the last digit
    if signature in _DIGITS and not relation.exact and _varies(case, case.variables[suspect.component], relation, bad):
        return suspect  # one value where upstream promises many is this component's own doing, and so are lost digits
    surprise = np.abs(relation.surprise[bad])
    surprise = surprise[np.isfinite(surprise)]
    limit = 0.2 if relation.exact else 1.5
    unasked = relation.form == "gated" and signature == "atom"  # when it falls back on its one value no input tells
    if surprise.size >= 0.3 * max(int(bad.sum()), 1) and not unasked:
        return innocent if float(surprise.mean()) < limit else suspect
    upstream = [s for s in all_of if order_of(case, s.component) < order_of(case, suspect.component)]
    moved = any(overlap(bad, s.affected) >= SAME and s.component in relation.parents for s in upstream)
    return innocent if moved else suspect


def _varies(case: Case, variable: Variable, relation: Relation, rows: Bools) -> bool:
    """Whether what the relation expects on these rows is spread wider than it errs on golden."""
    assert variable.numbers is not None
    known = np.isfinite(relation.expected) & np.isfinite(variable.numbers)
    here = relation.expected[rows & known]
    held = case.golden & known & np.isfinite(relation.surprise)  # the rows that taught it tell less than it errs
    errs = (variable.numbers - relation.expected)[held]
    if min(here.size, errs.size) < 8:
        return False
    spread, error = (float(np.subtract(*np.quantile(sample, [0.84, 0.16]))) for sample in (here, errs))
    return spread > error


def misled(suspect: Suspect, guilty: Suspect) -> bool:
    """Whether a rule broke just where something before it broke more clearly: what golden never had there, no rule was learned for.

    What most of all traffic shows is where anything is.
    """
    relation = suspect.hit.channel.detail.get("relation")
    rule = role_of(suspect.component) is Role.DECISION and relation is not None and relation.form == "rule"
    somewhere = bool(guilty.where) or overlap(guilty.affected, guilty.bad) < SAME
    there = somewhere and overlap(suspect.bad, guilty.bad) >= CLEARER_ROWS
    return rule and there and guilty.clarity > suspect.clarity


def new_to_it(suspect: Suspect, blamed: str) -> bool:
    """Whether a rule that golden kept but for a few decisions is broken by a few more where another model answers: it was only roughly known."""
    relation = suspect.hit.channel.detail.get("relation")
    if role_of(suspect.component) is not Role.DECISION or relation is None or relation.form != "rule":
        return False
    return role_of(blamed) is Role.MODEL and suspect.after <= _A_FEW * (1 - relation.strength)


def rewritten(suspect: Suspect, guilty: Suspect, witnesses: Sequence[Suspect]) -> bool:
    """Whether what is made of a step's work broke in the same slice when that step's code was replaced: it is the step's doing."""
    roles = (Role.OUTPUT, Role.DECISION, Role.USAGE, Role.LABEL)
    code = [w for w in witnesses if role_of(w.component) is Role.CODE and w.where == suspect.where]
    soon = any(abs(w.since_us - suspect.since_us) <= HOUR_US for w in code)
    return soon and role_of(suspect.component) in roles and role_of(guilty.component) is Role.STEP


def says_anew(suspect: Suspect, anew: Sequence[Suspect]) -> bool:
    """Whether a step clearly says what golden's never said, from the hour on in which its own code was replaced."""
    return suspect.clarity >= CLEAR and any(abs(suspect.since_us - s.since_us) <= HOUR_US for s in anew)


def nothing_to_do(suspect: Suspect, guilty: Suspect) -> bool:
    """Whether work was skipped where an input went wrong, by which it is looked up."""
    skipped = suspect.hit.channel.signature == "skipped" and role_of(guilty.component) is Role.INPUT
    return skipped and overlap(suspect.bad, guilty.bad) >= CLEARER_ROWS


def unanswered(suspect: Suspect, error: Suspect) -> bool:
    """Whether an output is missing because the request failed."""
    output = role_of(suspect.component) in (Role.OUTPUT, Role.DECISION)
    return output and suspect.hit.channel.signature == "null" and together(suspect, error)


def unanswered_there(layer: str, guilty: Suspect, suspect: Suspect) -> bool:
    """Whether requests were left without an answer on the host that is at fault."""
    role, signature = role_of(suspect.component), suspect.hit.channel.signature
    answers = (role in (Role.OUTPUT, Role.DECISION) and signature == "null") or role is Role.ERROR
    return layer == "hardware" and answers and bool(suspect.where) and suspect.where == guilty.where


def together(a: Suspect, b: Suspect) -> bool:
    """Whether two suspects depart on the same rows."""
    left, right = worst(a), worst(b)
    return overlap(left, right) >= SAME and overlap(right, left) >= SAME


def worst(suspect: Suspect) -> Bools:
    """The rows that show it; of a span those that are far out, where they are known: a mean that rises hides which calls did it."""
    far = role_of(suspect.component) is Role.SPAN and any(h.channel.binary for h in suspect.hits)
    out: Bools = suspect.affected & slow(suspect) if far else suspect.bad
    return out


def slow(span: Suspect) -> Bools:
    """The calls of its slice that are far out, of golden's as well, shape (n,): where they come oftener and oftener, also those before their mean rose."""
    far = {h.channel.signature: h.channel.values == 1 for h in span.hits if h.channel.binary}
    if not far:
        return span.shown
    stopped = [rows for name, rows in far.items() if name in ("halted", "atom")]  # at a time-out all are as long
    out: Bools = span.inside & np.any(stopped or list(far.values()), axis=0)
    return out


def reads(suspect: Suspect, component: str) -> bool:
    """Whether what golden taught about it goes by a field, or by what is told of that."""
    return component in {name.partition("#")[0] for name in suspect.hit.channel.detail["relation"].parents}


def of_the_past(suspect: Suspect) -> bool:
    """Whether it is told by the rows before it."""
    relation = suspect.hit.channel.detail.get("relation")
    return relation is not None and relation.form == history.FORM


def strange(suspect: Suspect) -> Bools:
    """The rows that show any of what golden never had of it, in whichever slice, shape (n,)."""
    shown = [
        h.channel.values == 1
        for h in suspect.hits
        if h.channel.binary and h.channel.kind == "invariant" and h.before <= BARELY_ANY
    ]
    out: Bools = np.any([*shown, suspect.bad], axis=0)
    return out


def same_source(a: Suspect, b: Suspect) -> bool:
    """Two inputs, or two outputs of one step: one cause where they fall together."""
    left, right = split(a.component), split(b.component)
    if left[0] != right[0] or left[0] not in ("inputs", "steps", "usage", "hardware", "outputs", "decisions"):
        return False
    return left[0] != "steps" or left[1] == right[1]


def passed_on(case: Case, suspect: Suspect, all_of: Sequence[Suspect]) -> bool:
    """Whether something before it moved on a good part of its rows; what only just did moves nothing far.

    What single rows show (a new article, a null) is passed on by these alone: a few of them in all traffic explain a few answers.
    """
    before = [s for s in all_of if order_of(case, s.component) < order_of(case, suspect.component)]
    before = [s for s in before if role_of(s.component) in (Role.INPUT, Role.STEP, Role.AGE)]
    before = [s for s in before if s.clarity >= BARELY or suspect.clarity < CLEAR]
    return any(
        overlap(suspect.affected, s.affected) >= SOME
        and (not s.hit.channel.binary or overlap(suspect.bad, s.bad) >= SOME)
        for s in before
    )


def dealt_by_another(case: Case, suspect: Suspect, proofs: Sequence[Suspect]) -> bool:
    """Whether answers that look dealt out among neighbours are made of what broke before them on their rows: that was a neighbour's, and they follow."""
    if not suspect.hit.channel.detail["dealt"]:
        return False
    place = order_of(case, suspect.component)
    before = [s for s in proofs if s.hit.channel.exact and order_of(case, s.component) < place]
    return any(overlap(suspect.bad, s.bad) >= MOSTLY for s in before)


def strange_text(case: Case, suspect: Suspect) -> bool:
    """Whether the suspect is about what the model wrote itself."""
    return f"{suspect.component}#characters" in case.variables


def shows_itself(case: Case, suspect: Suspect) -> bool:
    """Whether an output that left its fitted model shows by itself that nobody but the model moved: by those beside it, or by what was sent."""
    return controlled(suspect) or written_otherwise(case, suspect)


def controlled(suspect: Suspect) -> bool:
    """Whether those who ask in one slice are answered otherwise than golden's model would answer them, and the others as before."""
    asked = bool(suspect.where) and all(role_of(c.path) is Role.CONTEXT for c in suspect.where)
    return asked and suspect.hit.channel.detail["relation"].strength >= GOOD


def written_otherwise(case: Case, suspect: Suspect) -> bool:
    """Whether texts left at once, many of them, what is told closely of them by all that was sent: how they are to be written only the model knows.

    A number may go by what the world does and nobody recorded; what is to be written about stands in what was sent.
    """
    astray = suspect.hit.channel.signature == "astray" and suspect.hit.channel.detail["relation"].strength >= GOOD
    return astray and strange_text(case, suspect) and suspect.shift >= SOME and abrupt(case, suspect)


def tells(suspect: Suspect) -> bool:
    """Whether what was done with the model's answer says something that it never said in golden: it could not be read."""
    return role_of(suspect.component) is Role.DECISION and suspect.hit.channel.signature == "unseen"
