"""Labels: do they still arrive, in time, and do they still say what the score said?

In: a `Case`. Out: channels for labels that are missing at their age, late, of an unknown value, or at odds with the score.
A label is judged given the score, as golden's curve has it: calibration by score bin, so that a change of who is scored
moves nothing. Immature labels are no fault: absence is measured against golden's own delay curve.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose.case import Case, Variable
from whimbrel.diagnose.contracts import channels_of_atoms
from whimbrel.diagnose.learning import learn
from whimbrel.diagnose.relations import split
from whimbrel.diagnose.scan import Channel
from whimbrel.model.fields import Field, Kind, Role
from whimbrel.model.rows import Bools, Floats

FORETOLD = 0.3
"""The share of its variance that inputs must explain before a label's delay can be called too short."""


def channels(case: Case) -> list[Channel]:
    """Every label channel; none where the app records no labels."""
    label = case.variables.get("label")
    if label is None:
        return []
    out = _arrival(case, label)
    target = numeric(label)
    if target is None:
        return out
    score = main_score(case)
    if score is not None:
        out += _given_score(case, target, score)
    if label.numbers is not None:
        out += channels_of_atoms(case, label)
    return out


def numeric(label: Variable) -> Floats | None:
    """The label as a number: itself, or 0/1 for a two-valued category; None for anything else."""
    if label.numbers is not None:
        return label.numbers
    assert label.codes is not None
    used = np.unique(label.codes[label.codes >= 0])
    if used.size != 2:
        return None
    names = sorted(label.vocabulary[i] for i in used)
    positive = label.vocabulary.index(names[1])
    return np.where(label.codes < 0, np.nan, (label.codes == positive).astype(float))


def main_score(case: Case) -> Floats | None:
    """`outputs.score` where it is a number, else the first numeric output."""
    found = case.variables.get("outputs.score")
    if found is not None and found.numbers is not None:
        return found.numbers
    return next((v.numbers for v in case.of(Role.OUTPUT) if v.numbers is not None and not v.derived), None)


def absent(case: Case) -> Floats | None:
    """1 where no label came although golden's would have by that age, 0 where it came, NaN where it is too early to say.

    Shape (n,). None where the app records no label times.
    """
    found = _arrived(case)
    return None if found is None else _absent(case.variables["label"], found[1])


def _absent(label: Variable, arrived: Floats) -> Floats:
    return np.where(arrived > 0.99, label.missing, np.nan)


def _channel(signature: str, values: Floats | Bools, **more: object) -> Channel:
    return Channel("label", "labels", signature, "invariant", values.astype(np.float64), **more)  # type: ignore[arg-type]


def _arrived(case: Case) -> tuple[Floats, Floats] | None:
    """Each label's delay in seconds, and the share of golden's labels that come within the row's age; shape (n,) each."""
    label = case.variables.get("label")
    if label is None or case.label_ts is None:
        return None
    delay = np.where((case.label_ts >= 0) & ~label.missing, (case.label_ts - case.ts) / 1e6, np.nan)
    curve = np.sort(delay[case.golden & np.isfinite(delay)])
    if curve.size < 30:
        return None
    # The log was read when its newest row or label came in; a row's age is counted from there.
    now = max(int(case.ts.max()), int(case.label_ts.max()))
    return delay, np.searchsorted(curve, (now - case.ts) / 1e6, "right") / curve.size


def _arrival(case: Case, label: Variable) -> list[Channel]:
    found = _arrived(case)
    if found is None:
        return []
    delay, arrived = found
    lost = _absent(label, arrived)
    final = 1.0 - float(np.nanmean(lost[case.golden])) if np.isfinite(lost[case.golden]).any() else 1.0
    out = [_channel("lost", lost, floor=0.04)]
    # Before that, slices differ in how fast their labels come; only a loss past any such difference counts.
    young = np.where(np.isnan(lost) & (arrived > 0.3), label.missing - (1 - final * arrived), np.nan)
    out.append(_channel("lost", young, floor=0.3, binary=False))
    slow = float(np.nanquantile(delay[case.golden], 0.95))
    late = np.where(np.isfinite(delay) & (arrived > 0.8), delay > slow, np.nan)
    out.append(_channel("late", late, floor=0.05, given=_late_given_label(case, label, late)))
    return [*out, *_early(case, delay)]


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


def _given_score(case: Case, target: Floats, score: Floats) -> list[Channel]:
    known = case.golden & np.isfinite(target) & np.isfinite(score)
    if known.sum() < 100 or np.ptp(target[known]) == 0:
        return []
    edges = np.unique(np.quantile(score[known], np.linspace(0, 1, 21)[1:-1]))
    bins = np.searchsorted(edges, score, "right")
    size = edges.size + 1
    counts = np.bincount(bins[known], minlength=size)
    prior = target[known].mean()
    curve = (np.bincount(bins[known], weights=target[known], minlength=size) + 5 * prior) / (counts + 5)
    expected = curve[bins]
    spread = float(np.std(target[known] - expected[known])) or 1.0
    residual = np.where(np.isfinite(score), np.clip((target - expected) / spread, -8, 8), np.nan)
    lift = (expected - prior) / (float(np.std(expected[known])) or 1.0)
    agreement = np.where(np.isfinite(residual), -(target - prior) / spread * lift, np.nan)
    baseline = float(np.mean(agreement[known]))
    detail = {"golden_agreement": -baseline, "binary": set(np.unique(target[known])) <= {0.0, 1.0}}
    return [
        _channel("given score", residual, sign=0, floor=0.25, binary=False, detail=detail),
        _channel("disagree", np.clip(agreement, -8, 8), floor=0.15, binary=False, detail=detail),
    ]
