"""A released model, or an experiment's arm: it is meant to answer otherwise. Does it do harm?

In: a `Case` and the `Cause` that is another model. Out: whether it harms, and by how much. Labels decide where they have come;
before, what its scores say beside those that golden's model would have given. Only `harm.py` may call, and `declared.py`, which
asks the same of scores that code made anew.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from whimbrel.diagnose import judged as label_curve
from whimbrel.diagnose.arrivals import by_now
from whimbrel.diagnose.case import Case, Variable, answered_anew
from whimbrel.diagnose.causes import Cause
from whimbrel.diagnose.judged import main_score, numeric
from whimbrel.diagnose.learning import foretold
from whimbrel.diagnose.relations import Split
from whimbrel.diagnose.suspects import Proof, Suspect, events_near
from whimbrel.model.fields import Field, Kind, Role, role_of
from whimbrel.model.fields import split as split_path
from whimbrel.model.rows import Bools, Floats
from whimbrel.model.window import Condition
from whimbrel.stats.slope import slope

MANY_FLIPS = 0.1
"""The share of decisions that a release may flip where it gives no score to judge it by."""
_DULL, _SURE = 0.6, 1.1
"""Slopes of the new scores on the old between which a release may be as good: one that was trained on other rows of the same world has 0.8 to 1."""
_END = 0.02
"""How near nought or one a chance may be before it is as good as that."""
LEVEL, MUCH = 0.25, 0.5
"""Spreads of the scores by which a release may say more or less than the one before, of all its rows: where labels have come, and before."""
LESS_LIKED = 0.2
"""The part by which labels that nobody wants (corrected, thrown away) must grow to be a release's harm."""
OF_ITS_OWN = 2.0
"""Times the squared error of a straight line through golden's scores from which on they are no forecasts of the label in its own unit."""
FEWEST = 60
"""Rows by which a model can be judged."""
ALL_OF = 0.9
"""The share of an arm's rows that are answered otherwise where it is the arm: what begins later is no part of it."""
SOON = 5.0
"""Rows that should have departed by now, before which a departure has begun at once: one in a hundred begins later by chance."""
NEARLY_ALL, SEVERAL = 0.95, 2
"""The share of values that must be another's next version where a catalogue is renewed, and how many different ones must be."""
_NUMBER = re.compile(r"\d+")
_BROKEN = ("type", "null", "nothing", "infinite", "atom", "repeated")
"""What no arm is meant to answer."""
_BROKEN_STEP = (*_BROKEN, "constant")
"""What no step is meant to make of many, whatever version it says."""


def distorts(told: tuple[float, float]) -> bool:
    """Whether scores with this slope on those of golden's model, and its standard error, are no good release's.

    On average over what the old model scored alike, a model that is as good says what the old one said, although it decides many
    single cases otherwise: both foretell the same labels. One that is surer by a tenth on the whole overstates, one that hardly follows
    has lost what was known (the calibration slope of Cox 1958, the old scores in the place of the labels). How many decisions flip tells
    neither.
    """
    found, error = told
    return found - 4 * error > _SURE or found + 4 * error < _DULL


def judged(case: Case, parts: Split, cause: Cause, numbers: dict[str, float]) -> tuple[dict[str, float], bool]:
    """The numbers with what the labels say, and whether another model does harm.

    The loss of its scores is held against that of the scores that golden's model would have given, and so is how far they are off on
    average: too high for all, they cost little and decide much. A decision that is never taken any more under it is harm. Where no labels
    have come, an announced release is no fault unless it distorts; one that nobody announced is one, where anything is announced at all.
    """
    said = announced(case, cause)
    answered = _answered(case, cause.suspect.affected)
    if not said and any(c.path == "hardware.host" for c in cause.suspect.where):
        return numbers, True
    if any(w.hit.channel.signature == "vanished" and w.proof > Proof.SOFT for w in cause.witnesses):
        return numbers, True  # what golden's model chose for its kinds of rows no model that is as good never chooses
    score, promised = _scores(case, parts)
    if (grown := _less_liked(case, cause, score, promised)) > 0:
        return numbers | {"labels_worse": round(grown, 4)}, True
    losses = _by_labels(case, parts, cause, answered, score, promised)
    if losses:
        numbers["loss_expected"], numbers["loss"] = round(losses[0].before, 5), round(losses[0].after, 5)
        wrong = losses[0].wrong(3.0 if said else 2.0) or any(one.wrong(3.0) for one in losses[1:])
        surer = losses[0].after > losses[0].before and _oversure(case, parts, answered, score, promised)
        return numbers, wrong or surer or _falls_short(case, parts, cause)
    if not said and case.events:
        return numbers, True
    flipped = numbers.get("decisions_flipped", 0.0)
    told = _slope(parts, answered, score, promised)
    if told is None:
        return numbers, flipped > MANY_FLIPS
    assert score is not None
    assert promised is not None
    more = (score - promised)[answered]
    return numbers, distorts(told) or abs(float(np.nanmean(more))) > MUCH * float(np.nanstd(promised[parts.check]))


def _answered(case: Case, affected: Bools) -> Bools:
    """The affected rows that a model answered which golden did not have, shape (n,): a release to a fifth of the customers is judged by these.

    All that are affected where none is, as where another model's file bears the old name, or so few that they tell nothing.
    """
    own = affected & answered_anew(case.golden, case.variables.values())
    return own if own.sum() >= FEWEST else affected


def _scores(case: Case, parts: Split) -> tuple[Floats | None, Floats | None]:
    """Each row's score, and the one that golden's model would have given, both of shape (n,)."""
    score = main_score(case)
    if score is None:
        return None, None
    outcome = Variable("score?", Field("outputs.score", Kind.NUMBER), numbers=score)
    return score, foretold(case, parts, outcome, [*case.steps_before, *case.of(Role.INPUT)])


def _slope(parts: Split, rows: Bools, score: Floats | None, promised: Floats | None) -> tuple[float, float] | None:
    """The slope of these scores on the promised ones, in terms of golden's own, and its error; None where there are too few."""
    if score is None or promised is None:
        return None
    known = np.isfinite(score) & np.isfinite(promised)
    golden = parts.check[known[parts.check]]
    here = np.flatnonzero(rows & known)
    then, now = (slope(promised[chosen], score[chosen]) for chosen in (golden, here))
    if then is None or now is None or then[0] <= 0:
        return None
    ratio = now[0] / then[0]
    return ratio, abs(ratio) * math.hypot(then[1] / then[0], now[1] / now[0] if now[0] else 0.0)


def _oversure(case: Case, parts: Split, rows: Bools, score: Floats | None, promised: Floats | None) -> bool:
    """Whether chances are surer than golden's model gave and golden's labels bear out, on the scale of log odds: near nought and one all look alike.

    Labels that come of what was decided alone tell little of it. Who was not sure enough before may be surer now.
    """
    target = numeric(case)
    if target is None or score is None or promised is None:
        return False
    known = np.isfinite(score)
    golden = case.golden & known & np.isfinite(target)
    chances = float(np.min(score[known], initial=0)) >= 0 and float(np.max(score[known], initial=1)) <= 1
    if not chances or not set(np.unique(target[golden])) <= {0.0, 1.0}:
        return False
    odds, instead = (
        np.log(np.clip(one, _END, 1 - _END) / (1 - np.clip(one, _END, 1 - _END))) for one in (score, promised)
    )
    borne = slope(score[golden], target[golden])
    if borne is None:
        return False
    low, high = np.quantile(score[golden], [_END, 1 - _END])
    labelled = np.where((promised >= low) & (promised <= high), score, np.nan)  # of others golden's labels say nothing
    told, there = _slope(parts, rows, odds, instead), _slope(parts, rows, labelled, promised)
    if told is None or there is None:
        return False
    return told[0] - 4 * told[1] > _SURE and there[0] - borne[0] > math.hypot(there[1], borne[1])


@dataclass(frozen=True, slots=True)
class _Loss:
    """What labels say of a model on some rows, beside what they would have said of golden's: mean squared errors."""

    before: float
    after: float
    noise: float
    """Standard error of the difference."""
    off: tuple[float, float]
    """How much further the mean score is off the mean label than golden's would have been, in spreads of the latter, and its standard error."""

    def wrong(self, least: float) -> bool:
        """Whether it does harm, by so many standard errors at least."""
        worse, (grown, error) = self.after - self.before, self.off
        costs = worse > least * self.noise and worse > 0.03 * self.before
        return costs or (grown > 4 * error and grown > LEVEL)


def _by_labels(
    case: Case, parts: Split, cause: Cause, answered: Bools, score: Floats | None, promised: Floats | None
) -> list[_Loss]:
    """What the labels of the rows that it answered say of a model, then those of each slice in which it answers otherwise; none where few have come."""
    target = numeric(case)
    if target is None or score is None or promised is None:
        return []
    asked = [(target, *_in_units(case, target, score, promised))]
    pending = by_now(case, parts, answered, score, promised)
    if pending is not None:  # those that have come are the short ones: what is still out speaks as well
        ripe = np.where(pending.ripe, target, np.nan)
        asked = [(pending.came, pending.says, pending.instead), (ripe, *asked[0][1:])]
    hits = [hit for suspect in (cause.suspect, *cause.witnesses) for hit in suspect.hits]
    departs = {hit.where: hit.inside for hit in hits if hit.where and role_of(hit.channel.component) is Role.OUTPUT}
    slices = [(answered, cause.suspect.inside), *((answered & inside, inside) for inside in departs.values())]
    losses = [_loss(parts, inside, rows, *one) for rows, inside in slices for one in asked]
    return [] if losses[0] is None else [one for one in losses if one is not None]


def _in_units(case: Case, target: Floats, score: Floats, promised: Floats) -> tuple[Floats, Floats]:
    """Scores as forecasts of the label, shape (n,) each: themselves where they are, else golden's mean label of such scores.

    A margin, or the quality that an answer is thought to have, is in units of its own; edits fall where it rises.
    """
    curve = None if _forecasts(case, target, score) else label_curve.judged(case)
    if curve is None:
        return score, promised
    return curve.expected, label_curve.as_labels(case, curve, score, promised)


def _forecasts(case: Case, target: Floats, score: Floats) -> bool:
    """Whether the score is in the label's own unit: no straight line through golden's scores comes much nearer to the labels."""
    known = case.golden & np.isfinite(target) & np.isfinite(score)
    if known.sum() < FEWEST or np.ptp(score[known]) == 0:
        return True
    rise, base = np.polyfit(score[known], target[known], 1)
    own = float(np.mean((target - score)[known] ** 2))
    return own <= OF_ITS_OWN * float(np.mean((target - rise * score - base)[known] ** 2))


def _loss(
    parts: Split, inside: Bools, answered: Bools, target: Floats, score: Floats, promised: Floats
) -> _Loss | None:
    """The squared errors of some rows' scores, less those of the scores that golden's model would have given; None where few are labelled.

    The same labels judge both, so that a season of easy labels excuses nothing.
    """
    actual, instead = (target - score) ** 2, (target - promised) ** 2
    excess = actual - instead
    rows, base = answered & np.isfinite(excess), parts.beside(inside, np.isfinite(excess))
    if rows.sum() < FEWEST or base.size < FEWEST:
        return None
    worse = float(excess[rows].mean() - excess[base].mean())
    noise = float(np.sqrt(excess[rows].var() / rows.sum() + excess[base].var() / base.size))
    after = float(actual[rows].mean())
    spread = max(float(promised[rows].std()), 1e-12)
    off, before = (score - target)[rows], (promised - target)[rows]
    grown = abs(float(off.mean())) - abs(float(before.mean()))
    return _Loss(after - worse, after, noise, (grown / spread, float(off.std()) / float(rows.sum()) ** 0.5 / spread))


def _falls_short(case: Case, parts: Split, cause: Cause) -> bool:
    """Whether what turned out is worse than the score says, where the score is no forecast of it but of how good the answer is.

    Which way is worse, golden says: the way of the labels of low scores.
    """
    if "label" not in cause.victims:
        return False
    curve, score = label_curve.judged(case), main_score(case)
    if curve is None or score is None or _forecasts(case, curve.target, score):
        return False
    known = case.golden & np.isfinite(curve.target) & np.isfinite(score)
    way = -np.sign(np.corrcoef(score[known], curve.target[known])[0, 1])
    left = curve.residual * way
    rows = np.flatnonzero(cause.suspect.affected & np.isfinite(left))
    base = parts.beside(cause.suspect.inside, np.isfinite(left))
    if min(rows.size, base.size) < FEWEST:
        return False
    error = math.hypot(float(left[rows].std()) / rows.size**0.5, float(left[base].std()) / base.size**0.5)
    worse = float(left[rows].mean() - left[base].mean())
    return worse > LEVEL and worse > 4 * error


def _less_liked(case: Case, cause: Cause, score: Floats | None, promised: Floats | None) -> float:
    """By what part of what was to be expected the labels grew that golden gave to low scores, where there are several kinds; 0 where that is no matter.

    Expected is what golden made of the scores that its own model would have given: an answer that is worse, and says so, is worse.
    """
    label = case.variables.get("label")
    if label is None or label.codes is None or label.distinct <= 2 or score is None or promised is None:
        return 0.0
    curve = label_curve.judged(case)
    if curve is None:
        return 0.0
    known = case.golden & np.isfinite(curve.residual)
    good = float(np.corrcoef(score[known], curve.target[known])[0, 1]) > 0
    instead = label_curve.as_labels(case, curve, score, promised)
    bad, expected = (1 - values if good else values for values in (curve.target, instead))
    worse = bad - expected
    rows, base = (side & np.isfinite(worse) for side in (cause.suspect.affected, case.golden & cause.suspect.inside))
    if min(rows.sum(), base.sum()) < FEWEST:
        return 0.0
    grown = (float(worse[rows].mean()) - float(worse[base].mean())) / max(float(expected[rows].mean()), 1e-9)
    sure = label_curve.standard_errors(case, worse, rows, base) > label_curve.ODD
    others = case.window & ~cause.suspect.affected & np.isfinite(worse)
    if others.sum() >= FEWEST:  # what came of the other answers of these days is the days' doing
        sure &= label_curve.standard_errors(case, worse, rows, others) > label_curve.ENDS
    return grown if sure and grown > LESS_LIKED else 0.0


def on_trial(case: Case, cause: Cause) -> bool:
    """Whether it is an experiment: an arm that golden never had answers otherwise, as it is meant to.

    A model's variant is one where somebody announced it. A tag of who asks is one by itself, where all of it is answered otherwise: golden
    has nobody to compare it with. No answer, or one and the same, is broken in an experiment as well. Where it is decided otherwise from the
    first request on that bears a new tag (a policy, a release), and under that alone, somebody meant it, too; so where a few entries of a
    table are others under it, or a step that says its own version says a new one (a prompt's template). What departs itself is no version: a
    name in another spelling is the key that is found no more.
    """
    suspect = cause.suspect
    tags = case.of(Role.CONTEXT) if cause.layer == "decision" or _relisted(case, suspect) else []
    if role_of(suspect.component) is Role.STEP and suspect.hit.channel.signature not in _BROKEN_STEP:
        own = split_path(suspect.component)[1]
        departs = {w.component for w in cause.witnesses if w.proof > Proof.SOFT and not _one_name(case, w)}
        said = [v for v in case.of(Role.STEP) if v.field.step == own and v.codes is not None and not v.derived]
        # A text is a new one on every row; what itself went wrong names no version.
        tags = [*tags, *(v for v in said if v.name not in departs and v.name not in case.growing)]
    if any(_began_with(case, suspect, tag) for tag in tags if tag.path != suspect.component):
        return True
    arms = {c.path: c.value.casefold() for c in suspect.where if c.op == "=" and not _had(case, c)}
    if any(role_of(path) is Role.CONTEXT for path in arms):
        # What departs now and then (a decision) is not seen in every stretch of time: its first row tells.
        since = float((case.ts[suspect.inside & case.window] >= suspect.since_us).mean())
        broken = any(hit.channel.signature in _BROKEN for hit in suspect.hits)
        return cause.layer in ("model", "decision") and not broken and since >= ALL_OF
    return "model.variant" in arms and any(arms["model.variant"] in said for said in _said(case, cause))


def _one_name(case: Case, suspect: Suspect) -> bool:
    """Whether a step said one and the same name on all of golden's rows, and says another: that is its version's, and no value that went wrong."""
    variable = case.variables.get(suspect.component)
    if suspect.hit.channel.signature != "unseen" or variable is None or variable.codes is None:
        return False
    return all(np.unique(variable.codes[rows & ~variable.missing]).size == 1 for rows in (case.golden, suspect.bad))


def _relisted(case: Case, suspect: Suspect) -> bool:
    """Whether what a category looks up is one other value for each of less than half of the categories, and as ever for all others."""
    relation = suspect.hit.channel.detail.get("relation")
    if relation is None or relation.form != "function" or len(relation.parents) != 1:
        return False
    key, values = case.variables.get(relation.parents[0]), case.variables[relation.target].numbers
    if key is None or key.codes is None or values is None:
        return False
    changed = suspect.affected & (relation.surprise == 1)
    entries = np.unique(key.codes[changed])
    told = np.unique(np.stack([key.codes[changed].astype(np.float64), values[changed]]), axis=1).shape[1]
    return told == entries.size and 2 * entries.size < np.unique(key.codes[case.window]).size


def renewed(case: Case, suspect: Suspect) -> bool:
    """Whether each value that a step should have given came as one other, its own next version, which golden never had: documents that were written anew.

    A look-up that goes wrong gives golden's own values for others, one for several, or an older one.
    """
    relation = suspect.hit.channel.detail.get("relation")
    if relation is None or not relation.exact or role_of(suspect.component) is not Role.STEP:
        return False
    values = case.variables[relation.target]
    if values.codes is None:
        return False
    rows = suspect.bad & np.isfinite(relation.expected) & (values.codes >= 0)
    pairs = np.stack([np.where(rows, relation.expected, 0).astype(np.int64), values.codes])[:, rows]
    told, counts = np.unique(pairs, axis=1, return_counts=True)
    had = np.unique(values.codes[case.golden])
    next_ = [new not in had and _later(values.vocabulary[old], values.vocabulary[new]) for old, new in told.T.tolist()]
    olds, news = (np.unique(side).size for side in told[:, next_])
    return olds == news == sum(next_) >= SEVERAL and counts[next_].sum() >= NEARLY_ALL * counts.sum()


def _later(old: str, new: str) -> bool:
    """Whether a name is another's with a number in it that is larger: its next version."""
    if _NUMBER.split(old) != _NUMBER.split(new):
        return False
    before, after = ([int(number) for number in _NUMBER.findall(name)] for name in (old, new))
    return after > before


def _began_with(case: Case, suspect: Suspect, tag: Variable) -> bool:
    """Whether what departs does so under a tag that golden never had, alone, and no later than chance has it after the tag's first row."""
    if tag.codes is None:
        return False
    had = np.bincount(tag.codes[case.golden & ~tag.missing], minlength=len(tag.vocabulary)) > 0
    new = case.window & ~np.append(had, True)[tag.codes]
    shown, others = suspect.shown, case.window & ~new  # before the onset as well: what is seldom is seen late
    without = float(shown[others].sum() - shown[case.golden].mean() * others.sum())
    if not (had.any() and shown[new].any()) or without > (1 - ALL_OF) * shown[case.window].sum():
        return False
    later = case.ts >= case.ts[shown & new].min()
    rate = float(suspect.bad[new & later].mean())
    return float((new & ~later).sum()) * rate <= SOON


def _had(case: Case, one: Condition) -> bool:
    """Whether golden had the value of a condition, or nothing at all to tell by: a model's variant that was not recorded then is not new."""
    field = case.variables.get(one.path)
    if field is None or field.codes is None:
        return True
    known = {field.vocabulary[code].casefold() for code in np.unique(field.codes[case.golden & ~field.missing])}
    return one.value.casefold() in known or (not known and role_of(one.path) is not Role.CONTEXT)


def _said(case: Case, cause: Cause) -> list[set[str]]:
    """The words of each event around the onset."""
    return [set(re.split(r"[^\w.]+", event.what.casefold())) for event in events_near(case, cause.suspect)]


def announced(case: Case, cause: Cause) -> bool:
    """Whether an event around the onset names a model, or what is new: any other deploy may have brought it unasked."""
    channels = [witness.hit.channel for witness in (cause.suspect, *cause.witnesses)]
    new = {value.casefold() for c in channels if c.signature == "identity" for value in c.detail["new"]}
    routed = {c.signature.partition(":")[2].casefold() for c in channels if c.signature.startswith("share:")}
    named = new | routed | ({"model", "models"} if new else {"experiment", "rollout", "traffic"})
    return any(words & named for words in _said(case, cause))
