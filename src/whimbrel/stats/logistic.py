"""A logistic regression of a few columns: what makes a row likelier drawn from one side than from the other."""

from __future__ import annotations

import numpy as np

from whimbrel.model.rows import Bools, Floats

STEPS, NO_STEP = 20, 1e-3
"""Steps of Newton's method, most of which are never needed, and one that changes nothing any more."""


def logistic(design: Floats, young: Floats | Bools, weight: Floats | float, beta: Floats) -> tuple[Floats, float]:
    """The weights of a logistic regression, and its log likelihood.

    By Newton's method from `beta` on, shape (p,); a step that goes too far is halved. `design` is of shape (n, p), `young` and `weight` of (n,).
    """
    from scipy.special import expit  # takes 0.2 s to import, and a comparison does without

    def likely(beta: Floats) -> float:
        odds = design @ beta
        return float((weight * (young * odds - np.logaddexp(0.0, odds))).sum())

    best = likely(beta)
    for _ in range(STEPS):
        chance = expit(design @ beta)
        varies = weight * chance * (1 - chance)
        curvature = (design * varies[:, None]).T @ design + 1e-9 * np.eye(beta.size)
        step = np.linalg.solve(curvature, design.T @ (weight * (young - chance)))
        while (gained := likely(beta + step) - best) < 0 and np.abs(step).max() >= NO_STEP:
            step = step / 2
        beta, best = beta + step, best + gained
        if np.abs(step).max() < NO_STEP:
            break
    return beta, best
