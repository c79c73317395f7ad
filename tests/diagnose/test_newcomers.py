"""Who comes on top of all others brings what is new to golden; where as many come as ever, what they say at once is a fault."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY, PARCELS = 11, 2, 1_600, 1_000
COUNTRIES = ("at", "de", "fr", "it")
WORDS = ("lamp", "desk", "chair", "table", "shelf", "sofa", "mirror", "carpet", "bench", "stool", "drawer", "frame")
NEW = ("zither", "lyre", "oboe", "tuba", "fiddle", "cello", "banjo", "cornet", "viola", "bassoon", "harp", "gong")


def _texts(rng: np.random.Generator, n: int, words: tuple[str, ...]) -> list[str]:
    return [" ".join(rng.choice(words, k)) for k in rng.integers(3, 9, n)]


def _priced(table: pd.DataFrame) -> pd.DataFrame:
    """The pipeline: prices are scaled, scored and decided upon."""
    scaled = ((np.log(table["inputs.price"]) - 3.4) / 0.8).round(5)
    score = (1 / (1 + np.exp(-(0.9 * scaled + 0.3 * table["inputs.items"] - 1)))).round(5)
    return table.assign(**{
        "steps.scale.price": scaled, "outputs.score": score, "decision": np.where(score > 0.5, "check", "pass"),
    })  # fmt: skip


def _shop(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Orders in four countries; from the window's eighth hour on something is new in one of them."""
    rng = np.random.default_rng(1)

    def orders(hour: np.ndarray, country: np.ndarray, factor: float, words: tuple[str, ...]) -> pd.DataFrame:
        n = hour.size
        return pd.DataFrame({
            "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.country": country,
            "inputs.price": (factor * np.exp(rng.normal(3.4, 0.8, n))).round(2), "inputs.items": 1.0 + rng.poisson(1.5, n),
            "inputs.note": _texts(rng, n, words),
        })  # fmt: skip

    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = rng.random(n) * DAYS * 24
    table = orders(hour, rng.choice(COUNTRIES, n, p=[0.2, 0.35, 0.25, 0.2]), 1.0, WORDS)
    if event == "newcomers":
        more = rng.uniform(began + 8, DAYS * 24, round(2 * 0.2 * A_DAY * (WINDOW - 1 / 3)))
        table = pd.concat([table, orders(more, np.full(more.size, "it"), 1.6, NEW)], ignore_index=True)
        hour = np.append(hour, more)
    if event == "kilometres":
        turned = (hour >= began + 8) & (table["context.country"] == "it")
        table["inputs.price"] = np.where(turned, 1.609344 * table["inputs.price"], table["inputs.price"]).round(2)
    order = np.argsort(hour)
    table, hour = _priced(table).iloc[order], hour[order]
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "newcomers", "kilometres"])
def test_newcomers_bring_what_is_theirs_and_a_unit_is_everybodys(event: str) -> None:
    """Thrice as many orders, two thirds of them dearer and of other things, are another partner's; as many as ever, all dearer, are in another unit."""
    report = whimbrel.diagnose(*_shop(event))
    assert (report.verdict == "fault") == (event == "kilometres"), report.sentence
    if event == "kilometres":
        first = report.findings[0]
        assert (first.layer, first.component) == ("data", "inputs.price"), report.sentence
        assert [str(c) for c in first.where] == ["context.country=it"], report.sentence
        assert "miles and kilometres" in first.what


def _coded(before: tuple[float, ...], after: tuple[float, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Parcels with a code that goes with nothing else that is known of them; on one site the codes' shares are `after` from the window's eighth hour on."""
    rng = np.random.default_rng(9)
    n, began = DAYS * PARCELS, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    site, names = rng.choice(["east", "north", "south", "west"], n), tuple("pqr")[: len(before)]
    code = rng.choice(names, n, p=before)
    code = np.where((site == "south") & (hour >= began + 8), rng.choice(names, n, p=after), code)
    weight, height = rng.gamma(3, 2, n).round(2), rng.normal(30, 8, n).round(1)
    goods, road, box = (rng.choice(list("abcdefghijkl"), n) for _ in range(3))
    score = (1 / (1 + np.exp(-(0.3 * weight - 0.05 * height + 0.4 * (code == "q"))))).round(5)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.site": site,
        "inputs.code": code, "inputs.weight": weight, "inputs.height": height, "inputs.goods": goods, "inputs.road": road,
        "inputs.box": box, "outputs.score": score,
        "decision": np.where(score > 0.5, "van", "bike"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize(("before", "after", "broken"), [
    ((0.85, 0.15), (0.15, 0.85), True), ((0.75, 0.25), (0.25, 0.75), True), ((0.85, 0.15), (0.5, 0.5), False),
    ((0.6, 0.3, 0.1), (0.1, 0.6, 0.3), True), ((0.6, 0.3, 0.1), (0.34, 0.33, 0.33), False), ((0.6, 0.3, 0.1), (0.6, 0.3, 0.1), False),
])  # fmt: skip
def test_codes_that_change_places_at_once_are_a_code_books(
    before: tuple[float, ...], after: tuple[float, ...], broken: bool
) -> None:
    """Nothing else tells the codes apart; people who choose otherwise do not take each other's shares."""
    report = whimbrel.diagnose(*_coded(before, after))
    assert (report.verdict == "fault") == broken, report.sentence
    if broken:
        first = report.findings[0]
        assert (first.layer, first.component) == ("data", "inputs.code"), report.sentence
        assert [str(c) for c in first.where] == ["context.site=south"], report.sentence
        assert "codes stand for others than before" in first.what
