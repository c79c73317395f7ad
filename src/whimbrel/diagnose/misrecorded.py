"""Scores that the record bears otherwise than they were decided by: logged before they were calibrated, or from another place.

In: a `Case`, suspects and the learned relations. Out: an output, the decision that does not go by it, and how one knows. Where a score
went wrong the decision follows it; where it goes on by what golden made of the same inputs, the score was right and the record alone is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from whimbrel.diagnose import models
from whimbrel.diagnose.case import Case
from whimbrel.diagnose.followers import MOSTLY
from whimbrel.diagnose.relations import Relation
from whimbrel.diagnose.support import design_of, thin
from whimbrel.diagnose.suspects import Suspect, overlap
from whimbrel.model.fields import Role, role_of

_LEAST = 20
"""Decisions that do not follow from the recorded score, from which on they say what they do follow from."""
_SURELY = 3.0
"""Standard errors by which the expected score may foretell decisions worse than it does golden's."""
_ROWS = 10_000
"""Rows of golden that tell how it decided by what it expected."""


def misrecorded(
    case: Case, proofs: Sequence[Suspect], relations: Mapping[str, Relation]
) -> list[tuple[Suspect, Suspect, str]]:
    """Outputs that the record alone has wrong, each with the decision that goes by the right one, and that in words."""
    out = []
    for decision in proofs:
        rule = decision.hit.channel.detail.get("relation")
        if role_of(decision.component) is not Role.DECISION or not decision.hit.channel.exact or rule is None:
            continue
        for score in proofs:
            made = relations.get(score.component)
            asked = role_of(score.component) is Role.OUTPUT and score.hit.channel.kind == "residual"
            if not asked or made is None or made.exact or score.component not in rule.parents:
                continue
            if overlap(decision.bad, score.affected) >= MOSTLY and _follows(case, decision, made, rule):
                why = (
                    f"`{decision.component}` goes by what golden made of the same inputs: the record alone bears it so"
                )
                out.append((score, decision, why))
                break
    return out


def _follows(case: Case, decision: Suspect, made: Relation, rule: Relation) -> bool:
    """Whether the expected score foretells decisions as well as on golden, though the recorded one no longer leads to many of them."""
    target, score = case.variables[rule.target], case.variables[made.target]
    if target.codes is None or score.numbers is None:
        return False
    known = np.isfinite(made.expected) & (target.codes >= 0)
    rows, affected = np.flatnonzero(decision.bad & known), np.flatnonzero(decision.affected & known)
    golden = thin(np.flatnonzero(case.golden & decision.inside & known), _ROWS)
    taught, held = golden[::2], golden[1::2]
    if min(rows.size, taught.size) < _LEAST:
        return False
    others = [case.variables[name] for name in rule.parents if name != made.target and name in case.variables]
    expected = replace(score, numbers=made.expected)
    design = design_of(case, [expected, *others], taught)
    if design is None:
        return False
    models.ready()
    from sklearn.tree import DecisionTreeClassifier

    x = np.nan_to_num(design.x, nan=-1e9)
    tree = DecisionTreeClassifier(max_depth=6, min_samples_leaf=10, random_state=0).fit(x[taught], target.codes[taught])
    right = tree.predict(x) == target.codes
    usual, here = ((float(right[side].sum()) + 1) / (side.size + 2) for side in (held, affected))
    slack = _SURELY * float(np.sqrt(usual * (1 - usual) * (1 / held.size + 1 / affected.size)))
    would_show = rows.size > 2 * slack * affected.size  # had these been decided otherwise
    return would_show and here > usual - slack
