"""Counts as rates, each with its exact interval. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`hits` of `n`, with the exact 95% interval (Clopper and Pearson 1934)."""

    hits: int
    n: int

    @property
    def low(self) -> float:
        """The smallest rate under which so many hits happen with 2.5% at least."""
        if self.hits == 0:
            return 0.0
        return _solve(lambda p: 0.025 - _at_least(self.hits, self.n, p))

    @property
    def high(self) -> float:
        """The largest rate under which so few hits happen with 2.5% at least."""
        if self.hits == self.n:
            return 1.0
        return _solve(lambda p: (1 - _at_least(self.hits + 1, self.n, p)) - 0.025)

    def __str__(self) -> str:
        if not self.n:
            return "none"
        return f"{self.hits} of {self.n} ({100 * self.hits / self.n:.0f}%, {100 * self.low:.0f}-{100 * self.high:.0f}%)"

    def to_dict(self) -> dict[str, float | int]:
        """Plain JSON."""
        rate = self.hits / self.n if self.n else 0.0
        return {"hits": self.hits, "n": self.n, "rate": rate, "low": self.low, "high": self.high if self.n else 1.0}


def _at_least(k: int, n: int, p: float) -> float:
    """P(X >= k) for X binomial(n, p), by the sum of its terms in logarithms."""
    if p <= 0 or p >= 1:
        return float(p >= 1 or k <= 0)
    terms = (
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * math.log(p) + (n - i) * math.log1p(-p)
        for i in range(k, n + 1)
    )
    return min(1.0, math.fsum(math.exp(term) for term in terms))


def _solve(falling: Callable[[float], float]) -> float:
    """Where a falling function of a rate crosses zero."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2
