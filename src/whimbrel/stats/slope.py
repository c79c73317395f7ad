"""How far one measurement moves with another: the slope of a line, and how sure it is."""

from __future__ import annotations

import math

from whimbrel.model.rows import Floats


def slope(x: Floats, y: Floats) -> tuple[float, float] | None:
    """Least-squares slope of y on x, both of shape (n,) and finite, and its standard error, whatever the residuals' spread (White 1980).

    None where there are fewer than 30 points or x does not vary.
    """
    if x.size < 30:
        return None
    about = x - x.mean()
    spread = float(about @ about)
    if spread <= 0:
        return None
    found = float(about @ y) / spread
    residual = y - y.mean() - found * about
    return found, math.sqrt(float((about * residual) @ (about * residual))) / spread
