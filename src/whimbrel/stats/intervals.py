"""What a share of a sample says about the whole: intervals for proportions."""

from __future__ import annotations

from math import exp, lgamma, log, log1p, sqrt
from statistics import NormalDist


def wilson(hits: float, n: float, *, level: float = 0.95) -> tuple[float, float]:
    """The score interval of a share: close to its level for any n, never outside [0, 1]; (0, 1) where n is 0.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
    """
    if n <= 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def clopper_pearson(hits: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share: holds the truth at least as often as its level says; (0, 1) where n is 0.

    Source: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial"
    (1934).
    """
    tail = (1 - level) / 2
    low = 0.0 if hits <= 0 else _beta_quantile(tail, hits, n - hits + 1)
    high = 1.0 if hits >= n else _beta_quantile(1 - tail, hits + 1, n - hits)
    return low, high


def _beta_quantile(share: float, a: float, b: float) -> float:
    """The point below which a beta distribution has this share, by halving: 60 steps exhaust a float."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if beta_cdf(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by Lentz's continued fraction.

    Source: Press et al., "Numerical Recipes", 6.4; mirrored where the fraction converges slowly.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    tiny = 1e-300
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1), tiny)
    total = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _away(1 + even * d, tiny)
        c = _away(1 + even / c, tiny)
        total *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _away(1 + odd * d, tiny)
        c = _away(1 + odd / c, tiny)
        total *= d * c
        if abs(d * c - 1) < 1e-14:
            break
    return front * total


def _away(value: float, tiny: float) -> float:
    """The value, or `tiny` where it is too near zero to divide by."""
    return tiny if abs(value) < tiny else value
