"""What each of a few parts contributes to a whole that is more, or less, than their sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import factorial


def shapley(players: Sequence[str], worth: Mapping[frozenset[str], float]) -> dict[str, float]:
    """Each player's mean contribution over all orders of joining; they add up to what all reach beyond none.

    Source: Shapley, "A value for n-person games" (1953). Exact: `worth` must hold all 2^n coalitions.
    """
    n = len(players)
    out = {}
    for player in players:
        others = [one for one in players if one != player]
        total = 0.0
        for size in range(n):
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            for chosen in combinations(others, size):
                before = frozenset(chosen)
                total += weight * (worth[before | {player}] - worth[before])
        out[player] = total
    return out
