"""The slice of a cause told by several values of a field, where these say it better than one value or all traffic.

In: a `Case`, a `Cause` and its harm. Out: the same with the slice narrowed. It comes last and proves nothing: a front that is over four
of eight zones is in several values as well, so what is broken is judged on what one value or all traffic shows. Another model is not: it
is held against golden's, on the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from whimbrel.diagnose.case import Case
from whimbrel.diagnose.causes import Cause
from whimbrel.diagnose.gather import active, onset
from whimbrel.diagnose.harm import Harm, measure
from whimbrel.diagnose.relations import Relation
from whimbrel.diagnose.whom import slice_of
from whimbrel.model.fields import Role, role_of
from whimbrel.model.window import SEVERAL

_LEAST = 12


def narrowed(case: Case, cause: Cause, harm: Harm, relations: Mapping[str, Relation]) -> tuple[Cause, Harm]:
    """The cause in the slice of several values that holds it, with the harm there; as it is where there is none."""
    suspect = cause.suspect
    excess = suspect.hit.excess * (1.0 if suspect.shift >= 0 else -1.0)
    among = active(case, excess, suspect.inside, suspect.since_us)
    where, inside = slice_of(case, excess, suspect.hit.channel.cuts, among, several=True)
    listed = any(condition.op == SEVERAL for condition in where)
    if not listed or not {c.path for c in suspect.where} <= {c.path for c in where}:
        return cause, harm
    since, from_start = onset(case, excess, inside)
    affected = inside & active(case, excess, inside, since)
    judged, base = (rows & inside & np.isfinite(excess) for rows in (affected, case.golden))
    if min(judged.sum(), base.sum()) < _LEAST:
        return cause, harm
    values = suspect.hit.channel.values
    told = replace(
        suspect, where=where, inside=inside, affected=affected, since_us=since, from_start=from_start,
        shift=float(suspect.hit.excess[judged].mean()), before=float(values[base].mean()), after=float(values[judged].mean()),
    )  # fmt: skip
    cause = replace(cause, suspect=told)
    there = measure(case, cause, relations)
    return cause, replace(there, matters=harm.matters or (there.matters and role_of(cause.component) is Role.MODEL))
