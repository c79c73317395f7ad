"""A market that ranks offers: steps after the model, a clock by country, a rate by article and day, and people who judge one answer in ten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from whimbrel.diagnose import diagnose
from whimbrel.drill.table import to_arrow
from whimbrel.model.report import Report
from whimbrel.model.rows import Bools

START = 1_790_006_400
ZONES = {"pt": 0, "in": 5, "jp": 9, "br": 21}
ARTICLES = 300
Break = Callable[[dict[str, Any], Bools, np.random.Generator], None]


def _offers(
    n: int, seed: int, start_day: int, days: int, *, wanted: int | None = None, early: Break | None = None,
    late: Break | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Offers; `wanted` is an article that everybody asks for. `early` changes what comes before the model, `late` what it says."""
    rng = np.random.default_rng(seed)
    ts = START + 86_400 * (start_day + np.sort(rng.random(n)) * days)
    article = rng.integers(0, ARTICLES, n)
    if wanted is not None:
        article[rng.random(n) < 0.08] = wanted
    day = (ts - START) // 86_400
    rate = np.round(np.random.default_rng(5).lognormal(-3, 0.5, (ARTICLES, 60)), 5)[article, day.astype(int)]
    country = rng.choice([*ZONES], n)
    hit = (ts >= ts[n // 3]) & (country == "in")
    rows: dict[str, Any] = {
        "id": np.array([f"{seed}-{i}" for i in range(n)], dtype=object),
        "ts": ts,
        "inputs.article": np.array([f"a{k:03d}" for k in article], dtype=object),
        "inputs.bid": np.round(rng.lognormal(3, 0.6, n), 2),
        "inputs.age": np.round(rng.gamma(3, 12, n), 1),
        "context.country": country.astype(object),
        "hardware.host": rng.choice(["a", "b", "c", "d", "e"], n).astype(object),
        "steps.store.rate": rate,
        "steps.clock.local": (ts // 3600 % 24 + np.array([ZONES[c] for c in country])) % 24,
    }
    if early is not None:
        early(rows, hit, rng)
    local, asked = rows["steps.clock.local"], np.log(rows["steps.store.rate"]) + 0.02 * rows["inputs.age"]
    odds = asked + 1.2 + 0.5 * np.cos((local - 20) / 24 * 6.283)
    rows["outputs.raw"] = 1 / (1 + np.exp(-odds)) * (1 + 0.01 * rng.standard_normal(n))
    if late is not None:
        late(rows, hit, rng)
    rows["outputs.score"] = rows["outputs.raw"] / (rows["outputs.raw"] + 4 * (1 - rows["outputs.raw"]))
    rows["steps.auction.worth"] = rows["outputs.score"] * rows["inputs.bid"]
    rows["decision"] = np.where(rows["steps.auction.worth"] > 1.0, "show", "keep").astype(object)
    judged = rng.random(n) < 0.1
    rows["label"] = np.where(judged, np.round(3 + 4 * rows["outputs.score"] + 0.6 * rng.standard_normal(n)), np.nan)
    rows["label_ts"] = np.where(judged, ts + rng.gamma(2, 3600, n), np.nan)
    return rows


def _report(**broken: Any) -> Report:
    lost = broken.pop("lost", False)
    window = _offers(4_000, 2, 10, 2, **broken)
    if lost:
        gone = (window["context.country"] == "in") & (window["ts"] >= window["ts"][400])
        window["label"] = np.where(gone, np.nan, window["label"])
        window["label_ts"] = np.where(gone, np.nan, window["label_ts"])
    return diagnose(to_arrow(_offers(9_000, 1, 0, 10)), to_arrow(window))


def _coarse(rows: dict[str, Any], _hit: Bools, _rng: np.random.Generator) -> None:
    rows["outputs.raw"] = np.where(
        rows["ts"] >= rows["ts"][1_000], np.round(rows["outputs.raw"] * 16) / 16, rows["outputs.raw"]
    )


def _shuffled(rows: dict[str, Any], _hit: Bools, rng: np.random.Generator) -> None:
    there = np.flatnonzero((rows["hardware.host"] == "c") & (rows["ts"] >= rows["ts"][1_000]))
    rows["outputs.raw"][there] = rows["outputs.raw"][rng.permutation(there)]


def _universal(rows: dict[str, Any], hit: Bools, _rng: np.random.Generator) -> None:
    rows["steps.clock.local"] = np.where(hit, rows["ts"] // 3600 % 24, rows["steps.clock.local"])


def _percent(rows: dict[str, Any], _hit: Bools, rng: np.random.Generator) -> None:
    some = (rng.random(rows["ts"].size) < 0.1) & (rows["ts"] >= rows["ts"][1_000])
    rows["outputs.raw"] = np.where(some, 100 * rows["outputs.raw"], rows["outputs.raw"])


@pytest.mark.parametrize(
    ("broken", "component"), [(_coarse, "outputs.raw"), (_shuffled, "hardware.host"), (_percent, "outputs.raw")]
)
def test_a_step_after_the_model_is_not_blamed_for_what_the_model_says(broken: Break, component: str) -> None:
    report = _report(late=broken)
    assert report.verdict == "fault"
    assert report.findings[0].component == component


def test_a_clock_that_goes_by_country_is_missed_where_it_stops_to() -> None:
    report = _report(early=_universal)
    assert [(f.component, *(c.value for c in f.where)) for f in report.findings[:1]] == [("steps.clock.local", "in")]


@pytest.mark.parametrize("wanted", [None, 7])
def test_an_article_that_everybody_wants_brings_its_own_rate(wanted: int | None) -> None:
    assert _report(wanted=wanted).verdict == "healthy"


def test_judgements_of_one_answer_in_ten_are_missed_where_none_come() -> None:
    report = _report(lost=True)
    assert [(f.layer, *(c.value for c in f.where)) for f in report.findings[:1]] == [("labels", "in")]
