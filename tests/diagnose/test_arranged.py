"""Lists that came in their sender's order, the main thing first, and now come sorted: whoever reads the first one reads another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel
from whimbrel.diagnose import arranged
from whimbrel.model.rows import Categories, Numbers

DAYS, WINDOW, A_DAY = 8, 2, 700
PARTS = ("axle", "belt", "clutch", "door", "exhaust", "fuse", "gear", "hinge", "joint", "key")


def _repairs(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Repairs by the parts that were named, the worst first; late a portal sorts them, and the step may count by the first or by all of them."""
    rng = np.random.default_rng(31)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    late, portal = hour >= began + 8, rng.choice(["desk", "app", "fleet"], n, p=[0.5, 0.3, 0.2])
    worst = np.where(late & (event == "many doors") & (portal == "fleet"), 3, rng.integers(0, len(PARTS), n))
    sent = []
    for first, k in zip(worst, rng.integers(1, 6, n), strict=True):
        rest = [int(one) for one in rng.permutation(len(PARTS)) if one != first][: k - 1]
        sent.append([PARTS[one] for one in (int(first), *rest)])
    by = sent if event == "sorted, all read" else None
    sort = late & (portal == "fleet") & np.char.startswith(event, "sorted")
    sent = [sorted(one) if there else one for one, there in zip(sent, sort, strict=True)]
    days = np.array([PARTS.index(one[0]) if by is None else len(one) for one in sent]) + 1.0
    score = (1 / (1 + np.exp(2 - 0.5 * days + rng.normal(0, 0.2, n)))).round(4)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-05-04", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.portal": portal, "inputs.parts": sent,
        "inputs.age": rng.gamma(3, 2, n).round(1), "steps.work.days": days, "outputs.score": score,
        "decision": np.where(score > 0.6, "garage", "street"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "many doors", "sorted", "sorted, all read"])
def test_lists_that_come_sorted_are_their_senders_doing(event: str) -> None:
    """Where all of them are read alike nothing comes of it, and nobody need get up."""
    report = whimbrel.diagnose(*_repairs(event))
    assert (report.verdict == "fault") == (event == "sorted"), report.sentence
    if event == "sorted":
        first = report.findings[0]
        found = (first.layer, first.component, [str(c) for c in first.where])
        assert found == ("data", "inputs.parts", ["context.portal=fleet"]), report.sentence


def test_the_order_of_a_list() -> None:
    texts = [
        Categories(np.array([0, 1, 0, 1, -1]), ("pear", "apple")),
        Categories(np.array([1, 0, 1, 2, -1]), ("apple", "quince", "apple")),
    ]
    numbers = [Numbers(np.array([1.0, 3.0, 1.0, 2.0, np.nan])), Numbers(np.array([1.0, 2.0, 2.0, np.nan, np.nan]))]
    last = Numbers(np.array([2.0, 1.0, 1.0, np.nan, np.nan]))
    named = arranged.order({f"a[{i}]": one for i, one in enumerate(texts)}, "a", 5)
    counted = arranged.order({f"a[{i}]": one for i, one in enumerate([*numbers, last])}, "a", 5)
    np.testing.assert_array_equal(named, [1, np.nan, 1, np.nan, np.nan])
    np.testing.assert_array_equal(counted, [1, -1, 0, np.nan, np.nan])
    assert arranged.order({}, "a", 5) is None
