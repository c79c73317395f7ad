"""What can happen to a column of raw values on its way in: each a function of the values and a strength.

Floats have NaN for null, objects None. Pure; `kinds` makes faults of these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = Callable[[NDArray[Any], float], NDArray[Any]]
"""One column's values, and a strength, to the values that arrive instead."""


def constant(value: Any = None) -> Values:
    """All rows get `value`, or where there is none, the strength."""

    def change(values: NDArray[Any], strength: float) -> NDArray[Any]:
        out = np.empty(len(values), dtype=object if isinstance(value, str) else float)
        out[:] = strength if value is None else value
        return out

    return change


def texts(change: Callable[[str], str]) -> Values:
    """Each text changed."""
    return lambda values, _: np.array([None if v is None else change(v) for v in values.tolist()], dtype=object)


def cut(values: NDArray[Any], longest: float) -> NDArray[Any]:
    """Texts end after so many characters."""
    return texts(lambda text: text[: int(longest)])(values, longest)


def null(values: NDArray[Any], _: float) -> NDArray[Any]:
    """Nothing arrives."""
    return np.full(len(values), None, dtype=object) if values.dtype == object else np.full(len(values), np.nan)


def times(values: NDArray[Any], factor: float) -> NDArray[Any]:
    """Another unit, or a gain that drifted."""
    return np.round(values * factor, 6)


def plus(values: NDArray[Any], by: float) -> NDArray[Any]:
    """An offset: a sensor that was not zeroed, degrees from another zero."""
    return np.round(values + by, 6)


def spread(by: float, zero: float = 0.0) -> Values:
    """Celsius to Fahrenheit and the like: a factor and an offset."""
    return lambda values, _: np.round(values * by + zero, 6)


def rounded(values: NDArray[Any], to: float) -> NDArray[Any]:
    """Precision lost: multiples of `to`."""
    return np.round(values / to) * to


def capped(share: float) -> Callable[[NDArray[Any], float], NDArray[Any]]:
    """A field too short upstream: nothing above the quantile `1 - strength` of what usually comes, times `share`."""
    return lambda values, strength: np.minimum(values, share * np.nanquantile(values, max(1 - strength, 0.02)))


def noisy(values: NDArray[Any], by: float) -> NDArray[Any]:
    """A bad sensor: noise of `by` standard deviations, the same for the same rows."""
    noise = np.random.default_rng(len(values)).standard_normal(len(values))
    return values + by * float(np.nanstd(values)) * noise


def held(values: NDArray[Any], rows: float) -> NDArray[Any]:
    """A feed that stutters: each value repeats for some rows."""
    at = np.arange(len(values)) // max(int(rows), 1) * max(int(rows), 1)
    return values[at]


def shuffled(values: NDArray[Any], _: float) -> NDArray[Any]:
    """Joined by a wrong key: everybody has somebody else's value."""
    return values[np.random.default_rng(len(values)).permutation(len(values))]


def renumbered(values: NDArray[Any], places: float) -> NDArray[Any]:
    """The same codes, dealt out anew: the code book turned by some places."""
    book = sorted({v for v in values.tolist() if v is not None and v == v})
    turned = {v: book[(i + int(places)) % len(book)] for i, v in enumerate(book)}
    return np.array([turned.get(v, v) for v in values.tolist()], dtype=values.dtype)


def merged(values: NDArray[Any], places: float) -> NDArray[Any]:
    """One value swallowed by another: the n-th most frequent arrives as the most frequent."""
    names, counts = np.unique([v for v in values.tolist() if v is not None and v == v], return_counts=True)
    order = names[np.argsort(-counts, kind="stable")]
    gone, into = order[min(int(places), len(order) - 1)], order[0]
    return np.array([into if v == gone else v for v in values.tolist()], dtype=values.dtype)


def turned(period: float) -> Values:
    """A clock in another zone: the values move round by the strength."""
    return lambda values, hours: (values + hours) % period


def as_text(values: NDArray[Any], _: float) -> NDArray[Any]:
    """Numbers as text."""
    return np.array([None if v != v else f"{v:g}" for v in values.tolist()], dtype=object)


def comma_lost(values: NDArray[Any], _: float) -> NDArray[Any]:
    """12.5 read as 125: the decimal sign is not the one that was expected."""
    shown = [f"{v:g}" for v in values.tolist()]
    return np.array([float(s.replace(".", "")) if s.replace(".", "").isdigit() else float(s) for s in shown])


def negated(values: NDArray[Any], _: float) -> NDArray[Any]:
    """The other sign."""
    return -values
