"""Where a value stands among golden's: a percentile for a number, a share for a category, a flag and a null.

In: golden's `Rows` and a value as it was recorded. Out: `Standing`. Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from whimbrel.model.rows import Categories, Column, Floats, Numbers
from whimbrel.report.words import share as as_share
from whimbrel.show.result import Standing

LONGEST_TEXT = 2_000
"""Characters by which golden's texts are told apart; the engine keeps no more of them."""


def standing(column: Column | None, value: Any) -> Standing | None:
    """Where a value stands in a column of golden; None where golden has no such column, or no row."""
    if column is None or not len(column.missing):
        return None
    if value is None:
        null = float(column.missing.mean())
        return Standing(f"null, as {as_share(null)} of golden" if null else "null, never so in golden", share=null)
    if isinstance(column, Numbers):
        number = as_number(value)
        return None if number is None else _of_number(column.values[~column.missing], number, len(column.missing))
    return _of_category(column, as_text(value))


def as_number(value: Any) -> float | None:
    """A recorded value as the engine's rows hold numbers: a time is seconds since 1970; None where it is none."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def as_text(value: Any) -> str:
    """A recorded value as the engine's rows hold categories."""
    return str(value).lower() if isinstance(value, bool) else str(value)[:LONGEST_TEXT]


def _of_number(held: Floats, value: float, total: int) -> Standing:
    if not len(held):
        return Standing("never seen in golden: it has only nulls there", share=0.0)
    below, same = int((held < value).sum()), int((held == value).sum())
    share = same / total
    if value != value:
        return Standing("not a number, which golden's are", share=0.0)
    if below == len(held):
        return Standing("above all of golden", 100.0, 0.0)
    if below + same == 0:
        return Standing("below all of golden", 0.0, 0.0)
    percentile = 100 * (below + same / 2) / len(held)
    if same == len(held):
        return Standing("as always in golden", percentile, share)
    if 2 * same >= len(held):
        return Standing(f"{as_share(share)} of golden has the same", percentile, share)
    return Standing(f"{ordinal(percentile)} percentile", percentile, share)


def ordinal(percentile: float) -> str:
    """A percentile with as many digits as it takes not to be 0 or 100.

    >>> ordinal(99.97), ordinal(50.2), ordinal(3), ordinal(11)
    ('99.97th', '50th', '3rd', '11th')
    """
    rest = min(percentile, 100 - percentile)
    text = f"{percentile:.{0 if rest >= 1 else 1 if rest >= 0.1 else 2 if rest >= 0.01 else 3}f}"
    if "." in text or text[-2:-1] == "1":
        return f"{text}th"
    return text + {"1": "st", "2": "nd", "3": "rd"}.get(text[-1], "th")


def _of_category(column: Categories, text: str) -> Standing:
    codes = [i for i, one in enumerate(column.vocabulary) if one == text]
    share = float(np.isin(column.codes, codes).mean()) if codes else 0.0
    if not share:
        return Standing("never seen in golden", share=0.0)
    return Standing("as always in golden" if share == 1 else f"{as_share(share)} of golden", share=share)
