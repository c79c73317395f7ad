"""In which order the elements of a list came: falling, rising, or as their sender had them. Who reads the first one reads another where a list was sorted.

In: the columns of a list's places. Out: a number for each row that says which. `contracts` asks whether lists that golden's senders put in an order of
their own are all sorted.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from whimbrel.model.rows import Bools, Column, Floats, Numbers

MARK = "#order"
RISING, FALLING = 1.0, -1.0


def order(columns: Mapping[str, Column], path: str, rows: int) -> Floats | None:
    """1 where a list rises throughout, -1 where it falls, 0 where it does neither, shape (rows,), NaN where it has no two different elements.

    None where the list's places are not at hand. Texts are compared letter by letter.
    """
    places = [columns[name] for i in range(len(columns)) if (name := f"{path}[{i}]") in columns]
    if len(places) < 2:
        return None
    texts = sorted({word for place in places if not isinstance(place, Numbers) for word in place.vocabulary})
    rank = {word: float(i) for i, word in enumerate(texts)}
    values = np.full((rows, len(places)), np.nan)
    for i, place in enumerate(places):
        if isinstance(place, Numbers):
            values[:, i] = place.values
        elif place.vocabulary:
            values[:, i] = np.array([*(rank[word] for word in place.vocabulary), np.nan])[place.codes]
    steps = np.diff(values, axis=1)
    gaps: Bools = np.isnan(steps)
    rises, falls = ((gaps | (side >= 0)).all(axis=1) for side in (steps, -steps))
    differ = (~gaps & (steps != 0)).any(axis=1)
    return np.where(differ, np.where(rises, RISING, np.where(falls, FALLING, 0.0)), np.nan)
