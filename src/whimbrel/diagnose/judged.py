"""What labels say, given the score: golden's curve, and the ways in which labels go wrong that no world does.

In: a `Case`. Out: a `Judged`: each row's label as a number and what golden's curve expects of it; from it channels and, for a
suspect, proof. A world that changes moves labels one way at equal score. Labels that are inverted, shuffled or joined to other
rows come closer to each other at both ends at once, while what came in and what was scored stay as they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from whimbrel.diagnose.case import HOUR_US, Case
from whimbrel.diagnose.scan import Channel, invariant
from whimbrel.diagnose.suspects import Suspect
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats, Ints

LEAST = 5.0
"""Standard errors that count in a channel of labels: they are few, and what is found has yet to be proved."""
BINS = 20
INVERTED = 0.15
"""The share of inverted labels that the test is sharpest for."""
ENDS = 2.0
"""Standard errors by which either end must have moved towards the other; a world moves one of them the other way."""
LOST = 0.25
"""The share of golden's agreement with the score below which labels say nothing of it any more."""
TOLD = 0.1
"""The part of what scores no longer tell of labels that an input must tell, before it is the scores that went wrong."""
BEYOND = 0.01
"""The share of scores beyond all of golden's from which on they are not those of before."""
ODD = 4.0
"""Standard errors by which labels are at odds with their scores."""
SHIFTED, WIDENED = 0.35, 1.5
"""What scores may move by, in golden spreads, and widen by, as a ratio, and still be those of before."""
BY_CHANCE = 2.5
"""The same in standard errors, where rows are so few that chance moves them further."""
STRAY, LEAST_SCALED = 0.01, 0.05
"""Share of golden's labels that are farther from what was foretold than all others; the least share of a slice's that must be so far."""
CLOSELY, FAR_OFF, CLEARLY = 0.35, 4.0, 1.5
"""How near, as a logarithm, two labels of three must be to what was foretold for it to foretell an amount; times as far off as those, and as golden's
farthest, that others must be."""
FEW = 40
VERDICTS = 8
"""Values up to which a label is a verdict on what was answered (accepted, edited, discarded), and its commonest one the yes."""
MANY, SELDOM, LEAST_COPIED = 50, 0.1, 0.03
"""Different numbers that are no grades; the share of golden's labels that may be what an earlier field said, and the gain that is no chance."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Labels and what golden's curve makes of the scores, shape (n,) each, NaN where there is none."""

    target: Floats
    expected: Floats
    """Golden's mean label of like scores."""
    lift: Floats
    """The same in golden's spreads, from its mean."""
    spread: float
    """How far golden's labels lie from what is expected of them, as a standard deviation."""
    binary: bool

    @property
    def residual(self) -> Floats:
        """Labels less what is expected of them, in units of what they vary by; a million times that is no more than eight."""
        out: Floats = np.clip((self.target - self.expected) / self.spread, -8, 8)
        return out


def copied(case: Case) -> list[Channel]:
    """Labels that are exactly what one earlier number of their row was, where golden's seldom were: the form was filled in before anyone looked."""
    label = case.variables.get("label")
    if label is None or label.numbers is None or label.distinct < MANY:
        return []
    known = np.isfinite(label.numbers)
    best, gained = None, LEAST_COPIED
    for variable in case.of(Role.INPUT, Role.STEP, Role.OUTPUT):
        if variable.numbers is None or variable.derived or variable.distinct < MANY:
            continue
        same = known & np.isclose(variable.numbers, label.numbers, rtol=1e-9, atol=0.0)
        if _bounds(case, variable.numbers, label.numbers, same):
            continue
        before, after = (
            float(same[known & side].mean()) if (known & side).any() else 1.0 for side in (case.golden, case.window)
        )
        if before < SELDOM and after - before > gained:
            best, gained = (variable.path, same), after - before
    if best is None:
        return []
    detail = {"of": best[0]}
    return [invariant(label, "copied", np.where(known, best[1], np.nan), floor=LEAST_COPIED, detail=detail)]


def _bounds(case: Case, values: Floats, target: Floats, same: Bools) -> bool:
    """Whether golden's labels hardly pass a number: what is sold ends with what is in stock, and no form was filled in where it did."""
    held = case.golden & np.isfinite(values) & np.isfinite(target) & ~same
    above = float((target > values)[held].mean()) if held.any() else 0.5
    return min(above, 1 - above) < SELDOM


def numeric(case: Case) -> Floats | None:
    """The label as a number, shape (n,): itself; of a category 1 for one of its two values, or for the commonest of a few. None for anything else.

    Not where what is asked or answered is one of these values: there labels say which, and not how good it was (`agreeing`).
    """
    label = case.variables.get("label")
    if label is None or label.numbers is not None:
        return None if label is None else label.numbers
    assert label.codes is not None
    used = np.unique(label.codes[label.codes >= 0])
    if not 2 <= used.size <= VERDICTS:
        return None
    positive = label.vocabulary.index(sorted(label.vocabulary[i] for i in used)[1])
    if used.size > 2:
        if any(set(label.vocabulary) & set(v.vocabulary) for v in case.of(Role.INPUT, Role.OUTPUT, Role.DECISION)):
            return None
        counts = np.bincount(label.codes[case.golden & (label.codes >= 0)], minlength=len(label.vocabulary))
        positive = int(counts.argmax())
    return np.where(label.codes < 0, np.nan, (label.codes == positive).astype(float))


def main_score(case: Case) -> Floats | None:
    """The output that labels judge: `outputs.score` where it is a number, else the first numeric output; of an amount the one nearest to it on golden.

    An app that foretells a cost and a fraud score, and learns what was paid, is judged by its cost.
    """
    outputs = {v.path: v.numbers for v in case.of(Role.OUTPUT) if v.numbers is not None and not v.derived}
    target = numeric(case)
    nearest = _nearest(case, outputs, target) if target is not None and len(outputs) > 1 else None
    return nearest if nearest is not None else outputs.get("outputs.score", next(iter(outputs.values()), None))


def _nearest(case: Case, outputs: Mapping[str, Floats], target: Floats) -> Floats | None:
    """The output that lies nearest to golden's labels, nearer than their own mean; None where labels are a yes or a no, or none does."""
    known = case.golden & np.isfinite(target)
    if np.unique(target[known]).size <= 2:
        return None
    near = float(target[known].var())
    found = None
    for values in outputs.values():
        both = known & np.isfinite(values)
        far = float(np.mean((values[both] - target[both]) ** 2)) if both.sum() >= FEW else np.inf
        if far < near:
            near, found = far, values
    return found


def judged(case: Case) -> Judged | None:
    """None where the app records no labels or scores, or golden's do not vary."""
    target, score = numeric(case), main_score(case)
    if target is None or score is None:
        return None
    known = case.golden & np.isfinite(target) & np.isfinite(score)
    if known.sum() < 100 or np.ptp(target[known]) == 0:
        return None
    edges = np.unique(np.quantile(score[known], np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, score, "right")
    prior = target[known].mean()
    counts = np.bincount(bins[known], minlength=edges.size + 1)
    curve = (np.bincount(bins[known], weights=target[known], minlength=edges.size + 1) + 5 * prior) / (counts + 5)
    expected = np.where(np.isfinite(score), curve[bins], np.nan)
    binary = set(np.unique(target[known])) <= {0.0, 1.0}
    left = float(np.std(target[known] - expected[known])) or 1.0
    lift = (expected - prior) / (float(np.std(expected[known])) or 1.0)
    return Judged(target, _by_now(case, target, expected) if binary else expected, lift, left, binary)


def as_labels(case: Case, found: Judged, score: Floats, instead: Floats) -> Floats:
    """What labels would be expected of other scores than those that were given, shape (n,), as far as they have come by now."""
    known = np.flatnonzero(case.golden & np.isfinite(found.expected) & np.isfinite(score))
    order = known[np.argsort(score[known], kind="stable")]
    expected = np.interp(instead, score[order], found.expected[order])
    return _by_now(case, found.target, expected) if found.binary else expected


def _by_now(case: Case, target: Floats, expected: Floats) -> Floats:
    """What is expected of the labels that have come by now, shape (n,): where a yes takes its time, or a no does, the first to come are of one kind.

    Odds of a yes are those of all labels times how much likelier, in golden, a yes had come by that age than a no (Bayes).
    """
    if case.label_ts is None:
        return expected
    delay = np.where(case.label_ts >= 0, case.label_ts - case.ts, -1)
    age = case.read_at - case.ts
    came = []
    for value in (1.0, 0.0):
        known = np.sort(delay[case.golden & (target == value) & (delay >= 0)])
        if known.size < FEW:
            return expected
        came.append((np.searchsorted(known, age, "right") + 0.5) / (known.size + 0.5))
    yes, no = expected * came[0], (1 - expected) * came[1]
    return np.where(case.window, yes / np.maximum(yes + no, 1e-12), expected)


# ---------------------------------------------------------------- channels


def channels(case: Case) -> list[Channel]:
    """Labels that moved at equal score; that came apart from it."""
    found = judged(case)
    if found is None:
        return []
    found = replace(found, target=np.where(case.repeated, np.nan, found.target))
    out = [
        _channel("given score", found.residual, sign=0, floor=0.25, detail={"binary": found.binary}),
        _channel("disagree", _apart(case, found), floor=0.1, least=LEAST),
    ]
    times = _times(case, found)
    if times is not None:
        far = np.abs(times) > np.quantile(np.abs(times[case.golden & np.isfinite(times)]), 1 - STRAY)
        values = np.where(np.isfinite(times), far, np.nan)
        out.append(Channel("label", "labels", "scaled", "invariant", values, floor=LEAST_SCALED))
    return out


def _times(case: Case, found: Judged) -> Floats | None:
    """The logarithm of how many times what was foretold a label is, less golden's median, shape (n,); None where it is no amount that scores foretell."""
    score = main_score(case)
    if found.binary or score is None:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.where((found.target > 0) & (score > 0), np.log(found.target / score), np.nan)
    known = case.golden & np.isfinite(found.target) & np.isfinite(score)
    if np.isfinite(times[known]).mean() < 1 - STRAY:
        return None
    low, middle, high = np.nanquantile(times[known], [0.16, 0.5, 0.84])
    return times - middle if abs(middle) < CLOSELY and high - low < 2 * CLOSELY else None


def scaled(case: Case, suspect: Suspect) -> bool:
    """Whether the labels of a slice that are far from what was foretold are one and the same part, or multiple, of it, and stray no wider for it.

    What people or machines do changes for some more than for others; a meter's ratio, a tax or a currency is the same for all.
    """
    found = judged(case)
    times = None if found is None else _times(case, found)
    if found is None or times is None or new_model(case, suspect):
        return False
    rows, base = (some & np.isfinite(times) for some in (suspect.bad, suspect.inside & case.golden))
    if min(rows.sum(), base.sum()) < FEW or _beyond(case, rows, base) > BEYOND:
        return False
    (low, here, high), (least, before, most) = (np.quantile(times[some], [0.16, 0.5, 0.84]) for some in (rows, base))
    usual = most - least
    beyond = CLEARLY * float(np.quantile(np.abs(times[base]), 1 - STRAY))  # not merely more of golden's own tail
    return bool(high - low < WIDENED * usual and abs(here - before) > max(FAR_OFF * usual / 2, beyond))


def _channel(signature: str, values: Floats, **more: object) -> Channel:
    return Channel("label", "labels", signature, "invariant", values, binary=False, **more)  # type: ignore[arg-type]


def _apart(case: Case, found: Judged) -> Floats:
    """How much better a row's label fits one that was inverted, shape (n,): free of what a world's shift does to it.

    For two values it is the likelihood ratio of a share `INVERTED`, which a rare yes among certain noes cannot carry alone.
    """
    residual = found.residual
    if found.binary:
        p, swapped = found.expected, (1 - INVERTED) * found.expected + INVERTED * (1 - found.expected)
        ratio = np.where(found.target > 0.5, np.log(swapped / p), np.log((1 - swapped) / (1 - p)))
        ratio = np.where(np.isfinite(found.target), ratio, np.nan)
    else:
        ratio = -residual * found.lift
    known = np.flatnonzero(case.golden & np.isfinite(ratio))
    r, u = ratio[known] - ratio[known].mean(), residual[known] - residual[known].mean()
    free = ratio - float(r @ u / max(u @ u, 1e-12)) * residual
    return _standard(free, known)


def _standard(values: Floats, known: Ints) -> Floats:
    out: Floats = np.clip((values - values[known].mean()) / (float(values[known].std()) or 1.0), -8, 8)
    return out


# ---------------------------------------------------------------- proof


def came_apart(case: Case, suspect: Suspect) -> bool:
    """Whether labels and scores came apart as labels do that were inverted, shuffled or mixed up: at both ends alike.

    The scores must be those of before, from a model of before, and no input may tell what the score now fails to: where what
    is scored went wrong, or the world goes by something else, it does.
    """
    found = judged(case)
    if found is None or not as_before(case, suspect, found):
        return False
    rows, base = _judged_rows(case, found, suspect)
    if min(rows.sum(), base.sum()) < FEW:
        return False
    here, before = found.lift[rows], found.lift[base]
    residual, middle = found.residual, float(np.mean(before))
    shared = found.target * (found.lift - middle)
    lost = shared[rows].mean() - found.target[rows].mean() * (here.mean() - middle) < LOST * shared[base].mean()
    if lost and standard_errors(case, -residual * (found.lift - middle), suspect.affected, base) >= ODD:
        return True
    low, high = found.lift < middle, found.lift >= middle
    up = standard_errors(case, np.where(low, residual, np.nan), suspect.affected, base)
    down = standard_errors(case, np.where(high, -residual, np.nan), suspect.affected, base)
    return min(up, down) >= ENDS


def as_before(case: Case, suspect: Suspect, found: Judged) -> bool:
    """Whether the rows are scored as before, by a model of before, and no input tells what their scores now fail to."""
    if new_model(case, suspect):
        return False
    rows, base = _judged_rows(case, found, suspect)
    if min(rows.sum(), base.sum()) < 2:
        return False
    here, before = found.lift[rows], found.lift[base]
    width = max(float(before.std()), 1e-9)
    wider = max(float(here.std()), 1e-9) / width
    if _beyond(case, rows, case.golden & np.isfinite(found.lift)) > BEYOND:
        return False
    moved = abs(here.mean() - before.mean()) > max(SHIFTED, BY_CHANCE / np.sqrt(here.size)) * width
    if moved or not 1 / WIDENED < wider < WIDENED:
        return False
    return not _told_otherwise(case, found, rows, base)


def _beyond(case: Case, rows: Bools, base: Bools) -> float:
    """The share of these rows whose score lies beyond all of golden's."""
    score = main_score(case)
    assert score is not None
    return float(np.mean((score[rows] < score[base].min()) | (score[rows] > score[base].max())))


def widened(case: Case, suspect: Suspect) -> Suspect:
    """The suspect in the slice less a condition (or two) whose other rows came apart as well, at the end that the slice lacks.

    Inverted labels show best where hardly anybody says yes; those who mostly do say it less.
    """
    found = judged(case)
    if found is None:
        return suspect
    codes = {d.path: (d.codes, d.values) for d in case.dimensions}
    hours = case.ts // HOUR_US
    on = case.window & (case.ts >= suspect.since_us) & np.isin(hours, hours[suspect.affected])
    inward = np.where(found.lift < 0, found.residual, -found.residual)
    best, out = ENDS, suspect
    for kept in (*((one,) for one in suspect.where if len(suspect.where) > 1), ()):
        inside = np.ones(len(case.ts), dtype=bool)
        for condition in kept:
            values, names = codes[condition.path]
            inside &= values == names.index(str(condition.value))
        rest = inside & ~suspect.inside
        z = standard_errors(case, inward, rest & on, rest & case.golden)
        if z > best:
            best, out = z, replace(suspect, where=kept, inside=inside, affected=inside & on)
    return out


def at_odds(case: Case, rows: Bools) -> bool:
    """Whether the labels of these rows are not what their scores let expect: as a whole, or one value whatever the score.

    Where labels are no numbers, or nothing is scored, whether they all say one thing that golden's did not.
    """
    found = judged(case)
    if found is None:
        return _of_one_kind(case, rows)
    known = rows & np.isfinite(found.residual)
    if known.sum() < 10:
        return False
    lift = found.lift[known] - found.lift[known].mean()
    short = found.expected[known] - found.target[known]
    varies = (
        found.expected[known] * (1 - found.expected[known]) if found.binary else np.full(lift.size, found.spread**2)
    )
    for weights in (np.ones(lift.size), lift):
        sure = float(np.sqrt((weights**2 * varies).sum())) + 1e-9
        if abs(float(weights @ (short - (short.mean() if weights is lift else 0.0)))) > ODD * sure:
            return True
    return False


def _of_one_kind(case: Case, rows: Bools) -> bool:
    label = case.variables["label"]
    here, before = (label.kinds[some & ~label.missing] for some in (rows, case.golden))
    if here.size < FEW or not before.size:
        return False
    share, usual = (float(np.mean(kinds == np.bincount(here).argmax())) for kinds in (here, before))
    return share > 0.99 and usual < 0.9


def _judged_rows(case: Case, found: Judged, suspect: Suspect) -> tuple[Bools, Bools]:
    """The affected rows whose labels have come, and golden's of the same slice; all of golden's where they are few."""
    known = np.isfinite(found.residual)
    base = suspect.inside & case.golden & known
    return suspect.affected & known, base if base.sum() >= 5 * FEW else case.golden & known


def standard_errors(case: Case, values: Floats, rows: Bools, base: Bools) -> float:
    """How far the mean over `rows` lies above that over golden's, in standard errors: rows', and of golden's blocks as well."""
    known = np.isfinite(values)
    here, before = values[rows & known], values[base & known]
    if min(here.size, before.size) < 12:
        return 0.0
    noise = here.var() / here.size + before.var() / before.size
    blocks = case.blocks[base & known]
    counts = np.bincount(blocks, minlength=case.block_count)
    sums = np.bincount(blocks, weights=before - before.mean(), minlength=case.block_count)
    enough = counts >= 8
    if enough.sum() >= 3:
        between = np.mean((sums[enough] / counts[enough]) ** 2) - np.mean(before.var() / counts[enough])
        noise += max(float(between), 0.0) / max(case.window_blocks, 1)
    return float((here.mean() - before.mean()) / np.sqrt(noise + 1e-18))


def new_model(case: Case, suspect: Suspect) -> bool:
    """Whether a model answers most of these rows that golden did not know."""
    for variable in case.of(Role.MODEL):
        if variable.codes is not None:
            known = np.unique(variable.codes[case.golden])
            if np.mean(~np.isin(variable.codes[suspect.affected], known)) > 0.5:
                return True
    return False


def _told_otherwise(case: Case, found: Judged, rows: Bools, base: Bools) -> bool:
    """Whether an input or a step tells what is left of these rows' labels when their scores have said all they can.

    More than it does on golden, where a model may leave something untold as well. That it tells less is no world's doing.
    """
    numbers = [v.numbers for v in case.of(Role.INPUT, Role.STEP) if v.numbers is not None and not v.derived]
    if not numbers:
        return False
    here, before = (np.abs(_partial(found, numbers, np.flatnonzero(some))) for some in (rows, base))
    noise = np.sqrt(1 / rows.sum() + 1 / base.sum())
    lost = _agreement(found, base) - _agreement(found, rows)
    more = (here - before > ODD * noise) & (here**2 >= TOLD * lost)
    return bool(more.any())


def _agreement(found: Judged, rows: Bools) -> float:
    """The share of these labels' variance that their scores tell."""
    target, lift = found.target[rows], found.lift[rows]
    return float(np.corrcoef(target, lift)[0, 1] ** 2) if np.ptp(target) > 0 and np.ptp(lift) > 0 else 0.0


def _partial(found: Judged, numbers: Sequence[Floats], rows: Ints) -> Floats:
    """The correlation of labels with the rank of each of these numbers, given the score; shape (numbers,)."""
    own = np.stack([np.ones(rows.size), found.lift[rows], found.lift[rows] ** 2], axis=1)
    values = np.stack([found.target[rows], *(number[rows] for number in numbers)], axis=1)
    values = np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0, kind="stable").astype(float)
    values[:, 0] = found.target[rows]
    left = values - own @ np.linalg.lstsq(own, values, rcond=None)[0]
    lengths = np.sqrt((left**2).sum(axis=0)) + 1e-9
    out: Floats = (left[:, 0] @ left[:, 1:]) / (lengths[0] * lengths[1:])
    return out
