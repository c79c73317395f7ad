"""A question put sharply: where two models answer at the same time, do their answers differ on like rows?

In: a `Case`, its scan, hits and channels. Out: further hits. The scan asks a thousand slices and must ask each loudly. A new
model beside the old one is one question, and the old one's answers of the same hours are the best of controls: whatever
the weather does, it does to both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from whimbrel.diagnose.case import HOUR_US, Case
from whimbrel.diagnose.scan import Channel, Hit, Scan
from whimbrel.model.fields import Role, role_of
from whimbrel.model.rows import Bools, Floats

THRESHOLD = 4.5
"""Standard errors between the two, over hours."""
LEAST_HOURS = 8
LEAST_SHIFT = 0.1


def sharpen(case: Case, scan: Scan, hits: Sequence[Hit], channels: Sequence[Channel]) -> list[Hit]:
    """The hits, and those residuals of outputs that part ways where a model runs that golden did not know."""
    known = {id(hit.channel) for hit in hits}
    asked = [c for c in channels if c.kind == "residual" and role_of(c.component) is Role.OUTPUT and id(c) not in known]
    new = [h for h in hits if h.channel.signature == "identity" and role_of(h.channel.component) is Role.MODEL]
    if not asked or not new:
        return list(hits)
    excess = scan.excess(asked)
    out = list(hits)
    for j, channel in enumerate(asked):
        identity, (shift, z) = max(
            ((hit, _apart(case, excess[:, j], hit)) for hit in new), key=lambda found: abs(found[1][1])
        )
        if abs(z) < THRESHOLD or abs(shift) < max(LEAST_SHIFT, 0.5 * channel.floor):
            continue
        values, judged = channel.values, np.isfinite(excess[:, j])
        here: Bools = case.window & judged & (identity.channel.values == 1)
        out.append(Hit(
            channel, (), abs(z), THRESHOLD, shift, float(values[case.golden & judged].mean()), float(values[here].mean()),
            int(here.sum()), excess[:, j], np.ones(len(case.ts), dtype=bool),
        ))  # fmt: skip
    return out


def _apart(case: Case, excess: Floats, identity: Hit) -> tuple[float, float]:
    """Mean difference between the new model's rows and the others of the same hours, and in standard errors over hours."""
    flag = identity.channel.values
    rows = np.flatnonzero(case.window & np.isfinite(excess) & np.isfinite(flag))
    hours, index = np.unique(case.ts[rows] // HOUR_US, return_inverse=True)
    size = hours.size
    sums, counts = [], []
    for side in (0.0, 1.0):
        mine = flag[rows] == side
        counts.append(np.bincount(index[mine], minlength=size).astype(float))
        sums.append(np.bincount(index[mine], weights=excess[rows[mine]], minlength=size))
    both = (counts[0] > 0) & (counts[1] > 0)
    if both.sum() < LEAST_HOURS:
        return 0.0, 0.0
    old, young = counts[0][both], counts[1][both]
    gaps = sums[1][both] / young - sums[0][both] / old
    weights = old * young / (old + young)
    mean = float((weights * gaps).sum() / weights.sum())
    error = float(np.sqrt((weights**2 * (gaps - mean) ** 2).sum()) / weights.sum())
    return mean, mean / max(error, 1e-9)
