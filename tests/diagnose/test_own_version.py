"""A step that says a new version of itself is meant to make something else; one whose key is found no more is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 10, 2, 1_200
PARTS = [
    f"{maker} {form} {size}"
    for maker in ("BOLT", "GASKET", "VALVE", "PUMP")
    for form in "ABCDE"
    for size in (2, 4, 6, 8)
]


def _orders(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Spare parts whose failure rate a table tells by their name; from the window's fifth hour on the name is not upper-cased, or the table is another."""
    rng = np.random.default_rng(3)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    part, shop = rng.integers(0, len(PARTS), n), rng.choice(["web", "desk", "fax"], n)
    late = hour >= began + 5
    said = np.where(shop == "desk", np.array([p.title() for p in PARTS])[part], np.array(PARTS)[part])
    rate = np.round(rng.gamma(4, 3, len(PARTS)), 1)
    lost = late & (shop == "desk") & (event == "spelling")
    made = np.where(
        lost, 12.0, np.where(late & event.startswith("version"), np.round(1.2 * rate + 1, 1)[part], rate[part])
    )
    weight = rng.gamma(3, 2, n).round(2)
    key = np.where(lost, said, np.array(PARTS)[part]).astype(object)
    score = (1 / (1 + np.exp(-(0.06 * made + 0.15 * weight - 2)))).round(4)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.shop": shop, "inputs.part": said,
        "inputs.weight": weight, "steps.rates.key": key,
        "steps.rates.table": np.where(late & event.startswith("version"), "r8", "r7"),
        "code.rates": np.where(late & (event == "version, code"), "77aa", "12f0"), "steps.rates.rate": made, "outputs.score": score,
        "decision": np.where(score > 0.45, "check", "ship"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize(
    ("event", "verdict"), [("spelling", "fault"), ("version", "notice"), ("version, code", "notice"), ("", "healthy")]
)
def test_a_key_in_another_spelling_is_no_version_of_its_step(event: str, verdict: str) -> None:
    report = whimbrel.diagnose(*_orders(event))
    assert report.verdict == verdict, report.sentence
    if event:
        first = report.findings[0]
        assert first.layer == "features", report.sentence
        assert first.component.startswith("steps.rates"), report.sentence
    if event == "spelling":
        assert [str(c) for c in first.where] == ["context.shop=desk"], report.sentence
