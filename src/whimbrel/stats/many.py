"""Many tests at once."""

from __future__ import annotations

from math import log, pi, sqrt

import numpy as np

from whimbrel.model.rows import Bools, Floats


def benjamini_hochberg(p: Floats, *, share: float = 0.05) -> Bools:
    """Which hypotheses to reject so that of those rejected at most `share` are true, on average; shape as `p`.

    Source: Benjamini and Hochberg, "Controlling the false discovery rate" (1995).
    """
    order = np.argsort(p, kind="stable")
    passed = p[order] <= share * np.arange(1, len(p) + 1) / max(len(p), 1)
    rejected = np.zeros(len(p), np.bool_)
    if passed.any():
        rejected[order[: int(np.flatnonzero(passed)[-1]) + 1]] = True
    return rejected


def high_quantile(maxima: Floats, share: float) -> float:
    """The quantile of a maximum, past what few samples show: a Gumbel law with their mean and spread.

    Never below the samples' own quantile. Source: Gumbel, "Statistics of extremes" (1958).
    """
    spread = float(np.std(maxima, ddof=1)) * sqrt(6) / pi
    fitted = float(maxima.mean()) + spread * (-log(-log(share)) - np.euler_gamma)
    return max(fitted, float(np.quantile(maxima, share, method="lower")))
