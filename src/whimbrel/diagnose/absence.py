"""Nulls, given the rest of the row: a field that is missing as often as golden's was on such rows has not changed.

In: a `Case` and the hits of its scan. Out: channels for nulls where golden always had a value, and the hits, those for nulls asked
again. In a storm the pressure is not read and a cancelled flight has no aircraft: more nulls, and nothing broke. Golden says how often
each kind of row lacks the field; only what exceeds that is a departure. Where what came before decides it (a look-up is
made where the plan asks for it), a single null against that is one.
What some who ask always lack (who is new has no last visit) more of them may lack. Labels that do not come where none ever came are none that were lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from whimbrel.diagnose import models
from whimbrel.diagnose.boundaries import upstream
from whimbrel.diagnose.case import SELDOM, Case, Variable
from whimbrel.diagnose.labels import absent
from whimbrel.diagnose.learning import exact
from whimbrel.diagnose.relations import held_out, split
from whimbrel.diagnose.scan import LAYER_OF, Channel, Hit, Scan, measured
from whimbrel.diagnose.support import design_of, thin
from whimbrel.diagnose.suspects import Proof, Suspect
from whimbrel.model.fields import Field, Kind, Role, role_of
from whimbrel.model.rows import Bools, Floats

LEAST = 30
"""Nulls in golden below which nothing can be learned of them."""
NEVER = 0.95
"""The share of golden's rows without a value that have no label either, from which on no label is due there."""
USUAL, ODDS = 0.2, 3.0
"""The share of nulls from which on they are a habit of the world's, and times the odds by which no habit changes."""
_SYSTEMS_OWN = (Role.HARDWARE, Role.MODEL, Role.CODE)
"""What names a part of the system, and nobody who asks."""
_SEEN = 12
"""Nulls that a block of golden must let expect before it says whether there always are some."""
_ROWS = 8_000


def channels(case: Case) -> list[Channel]:
    """Nulls of a step's field in rows of which golden's rule says that they have a value."""
    parts = split(case)
    out: list[Channel] = []
    asked: list[Bools] = []
    for variable in case.of(Role.STEP):
        missing = variable.missing
        share = float(missing[case.golden].mean())
        known = any(np.array_equal(missing, other) for other in asked)
        if variable.derived or known or not SELDOM < share < 1 - SELDOM or not missing[case.window].any():
            continue
        asked.append(missing)
        lacks = Variable(
            f"{variable.name}?", variable.field, codes=missing.astype(np.int64), vocabulary=("there", "null")
        )
        rule = exact(case, parts, lacks, upstream(case, variable.field))
        if rule is not None:
            values = np.where((rule.expected == 0) & np.isfinite(rule.surprise), missing, np.nan)
            layer = LAYER_OF[variable.field.role]
            out.append(Channel(variable.path, layer, "null", "invariant", values.astype(np.float64), exact=True))
    return out


def reconsider(case: Case, scan: Scan, hits: Sequence[Hit]) -> list[Hit]:
    """Ask the scan again about every hit for nulls that golden's kinds of rows may explain."""
    nulls = [hit for hit in hits if hit.channel.signature == "null" and not hit.channel.exact]
    lacking = {hit.channel.component for hit in nulls}
    again = []
    for hit in nulls:
        variable = measured(case, hit.channel)
        assert variable is not None
        expected = _expected(case, variable, lacking)
        again.append(hit.channel if expected is None else replace(hit.channel, given=expected))
    lost = [hit for hit in hits if hit.channel.signature == "lost"]
    never = _never_labelled(case, lost[0].channel.values) if lost else np.zeros(len(case.ts), dtype=bool)
    if never.any():
        again += [replace(hit.channel, values=np.where(never, np.nan, hit.channel.values)) for hit in lost]
    asked = [*nulls, *(lost if never.any() else [])]
    return [*(hit for hit in hits if hit not in asked), *scan.hits(again)]


def _never_labelled(case: Case, absent: Floats) -> Bools:
    """Rows of which golden says that no label ever comes, shape (n,): a flight that has not left will not land."""
    out = np.zeros(len(case.ts), dtype=bool)
    due = case.golden & np.isfinite(absent)
    for variable in case.of(Role.INPUT, Role.STEP, Role.OUTPUT):
        rows = due & variable.missing
        if not variable.derived and rows.sum() >= LEAST and absent[rows].mean() >= NEVER > absent[due].mean():
            out |= variable.missing
    return out


def _expected(case: Case, variable: Variable, lacking: set[str]) -> Floats | None:
    """How likely golden's rows of this kind were to lack the field, shape (n,); None where golden cannot say.

    Fields that lack more than they did are no parents: what falls away together was lost together.
    """
    missing = variable.missing
    golden = np.flatnonzero(case.golden)
    if missing[golden].sum() < LEAST or (~missing[golden]).sum() < LEAST:
        return None
    parents = [v for v in _beside(case, variable) if v.path not in lacking]
    lost = absent(case)
    if lost is not None:
        parents.append(Variable("label?", Field("label", Kind.NUMBER), numbers=lost))
    return chances(case, missing, parents)


def chances(case: Case, flags: Bools, parents: Sequence[Variable]) -> Floats | None:
    """How likely golden's rows of this kind were to have the flag, shape (n,); None where golden cannot say.

    Whole blocks of time learn and are asked in turn, so that no row vouches for itself.
    """
    golden = np.flatnonzero(case.golden)
    first = ~held_out(case, golden)
    models.ready()
    from sklearn.ensemble import HistGradientBoostingClassifier

    answers = []
    for rows, asked in ((golden[first], golden[~first]), (golden[~first], golden[first])):
        rows = thin(rows, _ROWS)
        design = design_of(case, parents, rows)
        if design is None or not 5 <= flags[rows].sum() <= rows.size - 5:
            return None
        model = HistGradientBoostingClassifier(
            max_iter=40, learning_rate=0.15, max_leaf_nodes=8, min_samples_leaf=20, random_state=0,
            categorical_features=design.categorical,
        )  # fmt: skip
        answers.append((model.fit(design.x[rows], flags[rows]).predict_proba(design.x)[:, 1], asked))
    out: Floats = np.mean([answer for answer, _ in answers], axis=0)
    for answer, asked in answers:
        out[asked] = answer[asked]
    return out


def _beside(case: Case, variable: Variable) -> list[Variable]:
    """What came before the field, and what came with it out of the same step."""
    role, step = variable.field.role, variable.field.step
    siblings = [v for v in case.of(Role.STEP) if v.field.step == step and v.path != variable.path]
    return [*(siblings if role is Role.STEP else []), *upstream(case, variable.field)]


def no_habit(hit: Hit) -> bool:
    """Whether nulls were rare, or became so much likelier as people who may say nothing do not: many give no consent, and more do not after an update."""
    return hit.before < USUAL or hit.after * (1 - hit.before) > ODDS * hit.before * (1 - hit.after)


def of_newcomers(case: Case, suspect: Suspect) -> bool:
    """Whether an input that golden always lacked of some (who is new has no last visit) is lacking more often from the window's first row on.

    Nobody saw it begin: between golden and the window others may have come. What sets in while one looks on, on one host, or at odds that no crowd
    brings, did not come with who asks; nor did nulls that golden had on one of its days and not on most.
    """
    hit, of_host = suspect.hit, any(role_of(c.path) in _SYSTEMS_OWN for c in suspect.where)
    if hit.channel.signature != "null" or role_of(suspect.component) is not Role.INPUT or of_host:
        return False
    before, after = suspect.before, suspect.after
    few = before >= SELDOM and after * (1 - before) < ODDS * before * (1 - after)
    return few and suspect.from_start and suspect.proof is Proof.FIRM and _always_some(case, suspect)


def _always_some(case: Case, suspect: Suspect) -> bool:
    """Whether each block of golden lacked it about as often as the next, half of what is usual at least: newcomers come all the time."""
    rows = np.flatnonzero(case.golden & suspect.inside & np.isfinite(suspect.hit.channel.values))
    counts = np.bincount(case.blocks[rows], minlength=case.block_count)
    null = np.bincount(case.blocks[rows], weights=suspect.hit.channel.values[rows], minlength=case.block_count)
    many = counts * suspect.before >= _SEEN
    return bool(many.any()) and bool((null[many] >= suspect.before * counts[many] / 2).all())
