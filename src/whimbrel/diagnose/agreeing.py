"""Labels that agree with what was answered, always: a form that was filled in with the answer, or one that stores it whatever was typed.

In: a `Case` whose labels and whose answers are of one vocabulary (a value, a category), which golden's people corrected now and then. Out: at most one
`Channel`, and what it proves. A better model is corrected less often, and so are easier questions; nobody is corrected never who was corrected before,
from one hour to the next, by the same model, while all others are.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose import judged
from whimbrel.diagnose.case import Case
from whimbrel.diagnose.scan import Channel, invariant
from whimbrel.diagnose.suspects import Proof, Suspect
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats

SIGNATURE = "never corrected"
_MOSTLY, _SOMETIMES = 0.5, 0.03
"""The share of golden's labels that must be what was answered for them to judge it, and the share that must not."""
_LEAST, _LEFT = 20.0, 0.1
"""Corrections that golden's habit lets expect before none says anything, and the part of them that may be left."""
_OTHERS = 0.5
"""The part of golden's habit by which all others must still be corrected."""
_RIPE = 0.5
"""The share of golden's corrections that must have come by an age before the labels of that age say how many there are."""
_SIZES = 10
"""Parts of the score in which golden says how often it is corrected."""


def channel(case: Case) -> list[Channel]:
    """Of each label whether it is what was answered, where golden's were mostly, and not always."""
    label = case.variables.get("label")
    found = None if label is None else _corrected(case)
    if label is None or found is None:
        return []
    path, corrected = found
    return [invariant(label, SIGNATURE, 1 - corrected, floor=_SOMETIMES, least=judged.LEAST, detail={"of": path})]


def proof(case: Case, suspect: Suspect) -> Proof:
    """Whether nobody is corrected any more who was, by a model of before, while all others are as before."""
    found = _corrected(case)
    if found is None or suspect.shift < 0 or judged.new_model(case, suspect):
        return Proof.SOFT
    expected, corrected = _expected(case, found[1]), found[1]
    known = np.isfinite(corrected) & np.isfinite(expected)
    here = known & suspect.affected & _ripe(case, suspect.inside & (corrected == 1))
    usual = min(
        float(expected[here].sum()), float(np.mean(corrected[known & case.golden & suspect.inside])) * here.sum()
    )
    if usual < _LEAST or corrected[here].sum() > _LEFT * usual:
        return Proof.SOFT
    others = known & case.window & ~suspect.inside & (case.ts >= suspect.since_us)
    if not suspect.where:
        others = known & case.window & (case.ts < suspect.since_us)
    spared = float(expected[others].sum())
    return Proof.FIRM if spared >= _LEAST / 2 and corrected[others].sum() >= _OTHERS * spared else Proof.SOFT


def _corrected(case: Case) -> tuple[str, Floats] | None:
    """The answer that labels correct, and 1 where they do, shape (n,), NaN where none came or it is too early; None where there is no such answer."""
    label = case.variables["label"]
    if label.codes is None or len(label.vocabulary) < 2:
        return None
    place = {word: code for code, word in enumerate(label.vocabulary)}
    best, most = None, _MOSTLY
    for variable in case.of(Role.OUTPUT, Role.STEP, Role.DECISION):
        if variable.codes is None or variable.derived or len(variable.vocabulary) < 2:
            continue
        said = np.array([place.get(word, -2) for word in variable.vocabulary] + [-1])[variable.codes]
        known = ~label.missing & ~variable.missing
        same = float(np.mean((said == label.codes)[known & case.golden])) if (known & case.golden).any() else 0.0
        if most < same <= 1 - _SOMETIMES:
            best, most = (variable.path, np.where(known, said != label.codes, np.nan)), same
    if best is None:
        return None
    path, corrected = best
    return path, np.where(_ripe(case, corrected == 1), corrected, np.nan)


def _ripe(case: Case, corrected: Bools) -> Bools:
    """Rows that are old enough for corrections to have come, shape (n,): a nod is sooner given."""
    if case.label_ts is None:
        return np.ones(len(case.ts), dtype=bool)
    delays = (case.label_ts - case.ts)[case.golden & corrected & (case.label_ts >= 0)]
    if delays.size < judged.FEW:
        return np.ones(len(case.ts), dtype=bool)
    out: Bools = case.golden | (case.read_at - case.ts >= np.quantile(delays, _RIPE))
    return out


def _expected(case: Case, corrected: Floats) -> Floats:
    """How often golden's answers of like score were corrected, shape (n,)."""
    known = case.golden & np.isfinite(corrected)
    score = judged.main_score(case)
    usual = float(corrected[known].mean()) if known.any() else np.nan
    if score is None or not np.isfinite(score[known]).any():
        return np.full(len(case.ts), usual)
    edges = np.unique(np.nanquantile(score[known], np.linspace(0, 1, _SIZES + 1)[1:-1]))
    parts = np.searchsorted(edges, score, "right")
    counts = np.bincount(parts[known], minlength=edges.size + 1)
    shares = (np.bincount(parts[known], weights=corrected[known], minlength=edges.size + 1) + 5 * usual) / (counts + 5)
    out: Floats = shares[parts]
    return out
