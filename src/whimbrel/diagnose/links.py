"""Scales on which a field is a plain sum: as it is, its logarithm, its log odds.

In: a field's values. Out: the `Link`s that fit them. A score between 0 and 1 is a sum on the scale of log odds, an amount on that
of logarithms (generalised linear models, Nelder and Wedderburn 1972); a model fitted there errs evenly, not at the top alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from whimbrel.model.rows import Floats

Scale = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class Link:
    """A scale, and the way back; values beyond its ends become infinite, unknown ones stay NaN."""

    name: str
    into: Scale
    back: Scale


def _log(values: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        out: Floats = np.log(np.maximum(values, 0.0))
    return out


def _log_odds(values: Floats) -> Floats:
    return _log(values) - _log(1.0 - values)


IDENTITY = Link("identity", lambda values: values, lambda values: values)
LOG = Link("log", _log, np.exp)
LOG_ODDS = Link("log odds", _log_odds, expit)


def fitting(values: Floats) -> tuple[Link, ...]:
    """The links whose domain holds all of these known values, the plainest first."""
    if values.size == 0 or values.min() <= 0:
        return (IDENTITY,)
    return (IDENTITY, LOG, LOG_ODDS) if values.max() < 1 else (IDENTITY, LOG)


def evenest(values: Floats) -> Link:
    """The fitting link on which the values are least skewed; another than the identity only where it is far better."""
    found = fitting(values)
    skews = [abs(_skew(link.into(values))) for link in found]
    best = int(np.argmin(skews))
    return found[best] if skews[best] < 0.5 * skews[0] and skews[0] > 1.0 else IDENTITY


def _skew(values: Floats) -> float:
    centred = values - values.mean()
    return float(np.mean(centred**3) / max(float(np.std(values)) ** 3, 1e-300))
