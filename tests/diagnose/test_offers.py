"""Products that are sold everywhere and whose offers change by the week: what becomes of a few of them is theirs, however many rows say so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel
from whimbrel.diagnose.visits import Things, things_of
from whimbrel.model.rows import Floats

KIOSKS, PRODUCTS, DAYS, WINDOW, A_DAY = 25, 44, 9, 2, 1_600
OFFERS = ("none", "two for one", "coupon", "poster", "bundle")
LIFT = {"none": 1.0, "two for one": 1.7, "coupon": 1.1, "poster": 1.3, "bundle": 1.45}
AISLES = {"fruit": 1.0, "bread": 0.9, "soap": 1.25, "tea": 1.1}


def _kiosks(seed: int, event: str = "") -> tuple[pd.DataFrame, pd.DataFrame]:
    """How many of each product a kiosk will sell; each week a product has another offer, or none, from a day of its own on."""
    rng = np.random.default_rng(seed)
    n = (DAYS + WINDOW) * A_DAY
    hour = np.sort(rng.random(n)) * (DAYS + WINDOW) * 24
    product, kiosk = rng.integers(0, PRODUCTS, n), rng.integers(0, KIOSKS, n)
    week = ((hour / 24 + rng.integers(0, 7, PRODUCTS)[product]) // 7).astype(int)
    offer = np.where(rng.random((4, PRODUCTS)) < 0.2, rng.integers(1, len(OFFERS), (4, PRODUCTS)), 0)[week, product]
    aisle = rng.choice(list(AISLES), PRODUCTS)[product]
    maker = rng.choice(["abel", "bohr", "curie", "dirac", "euler", "fermi"], PRODUCTS)[product]
    price = rng.uniform(1, 9, PRODUCTS).round(2)[product]
    pack = rng.choice([6.0, 12.0, 24.0], PRODUCTS)[product]
    sold = rng.gamma(4, 2, n).round(1)
    began = DAYS * 24
    late = hour >= began + 8
    said = np.array(OFFERS)[offer]
    lift = np.array([LIFT[one] * AISLES[two] if one != "none" else 1.0 for one, two in zip(said, aisle, strict=True)])
    if event == "table":
        lift = np.where(late & (said != "none"), lift * 1.2, lift)
    score = sold * lift * (1 + 0.02 * rng.standard_normal(n))
    offered = np.where(said == "none", None, said)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-05-04", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.kiosk": [f"k{one}" for one in kiosk],
        "inputs.product": [f"p{one:03}" for one in product], "inputs.aisle": aisle, "inputs.maker": maker, "inputs.price": price,
        "inputs.offer": offered, "inputs.pack": pack, "inputs.sold": sold, "steps.offer.lift": lift.round(3), "outputs.score": score.round(3),
        "decisions.packs": np.ceil(score / pack),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("seed", [3, 8])
def test_other_offers_are_no_fault(seed: int) -> None:
    report = whimbrel.diagnose(*_kiosks(seed))
    assert report.verdict != "fault", report.sentence


def test_what_breaks_for_many_offers_is_found() -> None:
    """A table of two categories is one, and its cells move together."""
    (found,) = [one for one in whimbrel.diagnose(*_kiosks(3, "table")).findings if one.layer == "features"]
    assert found.component == "steps.offer.lift"
    assert "1.2 times larger" in found.what


def _told(values: Floats, *, products: int = 40) -> Things | None:
    """What the rows of ten days are about, with one input."""
    n = 8_000
    rng = np.random.default_rng(1)
    ts = np.sort(rng.integers(0, 10 * 86_400_000_000, n))
    key = rng.integers(0, products, n)
    return things_of(
        ts,
        ts < 8 * 86_400_000_000,
        {"inputs.it": key},
        {"inputs.value": values[key, ts // 86_400_000_000, rng.integers(0, 9, n)]},
    )


def test_things_are_told_by_a_state_that_all_rows_about_one_share_for_a_while() -> None:
    rng = np.random.default_rng(2)
    by_row, fixed = rng.random((40, 10, 9)), np.repeat(np.repeat(rng.random((40, 1, 1)), 10, 1), 9, 2)
    for_days = np.repeat(np.repeat(rng.random((40, 4, 1)), 3, 1)[:, :10], 9, 2)
    of_all = np.repeat(np.repeat(rng.random((1, 10, 1)), 40, 0), 9, 2)
    found = _told(for_days)
    assert found is not None
    assert found.states == {"inputs.value"}
    assert [_told(by_row), _told(fixed), _told(of_all)] == [None, None, None]
    assert _told(for_days[:5], products=5) is None  # so few are looked at one by one
