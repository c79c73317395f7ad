"""Dates as numbers: what a step reckons from them is known exactly, so that a wrong date is the input's and a date misread the step's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel
from whimbrel.diagnose.dates import days_ago

DAYS, WINDOW, A_DAY = 9, 2, 1_100
START = pd.Timestamp("2026-05-04", tz="UTC")
NOON = int(pd.Timestamp("2026-05-20 12:00", tz="UTC").value // 1_000)


@pytest.mark.parametrize(
    ("form", "ago"),
    [
        ("%d.%m.%Y", 0.0), ("%m/%d/%Y", 0.0), ("%Y-%m-%d", 0.0), ("%Y-%m-%dT%H:%M", 0.5), ("%Y-%m-%d %H:%M:%S+02:00", 0.5 + 1 / 12),
    ],
)  # fmt: skip
def test_golden_says_how_dates_are_written(form: str, ago: float) -> None:
    texts = [when.strftime(form) for when in pd.date_range("2026-04-21", "2026-05-20")]
    codes, golden = np.arange(-1, len(texts)), np.ones(len(texts) + 1, dtype=bool)
    found = days_ago([*texts, "soon"], codes, golden, np.full(codes.size, NOON))
    assert found is not None
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], np.arange(29, -1, -1) + ago)


@pytest.mark.parametrize(
    "texts", [[f"{i:02d}/{j:02d}/2026" for i in range(1, 6) for j in range(1, 6)], [f"{i}-17" for i in range(40)]]
)
def test_what_may_be_either_or_no_date_says_nothing(texts: list[str]) -> None:
    golden = np.ones(len(texts), dtype=bool)
    assert days_ago(texts, np.arange(len(texts)), golden, np.full(len(texts), NOON)) is None


def _rentals(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rentals by who drives and for how long; from the window's sixth hour on an agency may send another's birthday, a zone may read days as months."""
    rng = np.random.default_rng(6)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    ts, late = START + pd.to_timedelta(hour, unit="h"), hour >= began + 6
    today = ts.tz_localize(None).normalize()
    agency, zone = rng.choice(["desk", "partner", "web"], n), rng.choice(["k1", "k2"], n)
    years = rng.uniform(19, 88, n)
    pensioner = late & (agency == "web") & (event == "older") & (rng.random(n) < 0.6)  # a campaign
    years = np.where(pensioner, rng.uniform(60, 80, n), years)
    licence = np.maximum(np.round(years - 18 - rng.gamma(1.5, 2, n)), 0)
    sent = years + np.where(late & (agency == "partner") & (event == "another's"), rng.uniform(10, 30, n), 0)
    born = today - pd.to_timedelta(np.round(sent * 365.25), unit="D")
    out = today + pd.to_timedelta(rng.integers(0, 40, n), unit="D")
    back = out + pd.to_timedelta(rng.integers(1, 45, n), unit="D")
    swapped = late & (zone == "k2") & (event == "misread") & (out.day <= 12)
    read = pd.DatetimeIndex(
        [pd.Timestamp(d.year, d.day, d.month) if s else d for d, s in zip(out, swapped, strict=True)]
    )
    rounds = late & (zone == "k2") & (event == "nearest birthday")
    age, lead = np.floor((today - born).days / 365.25 + np.where(rounds, 0.5, 0.0)), (read - today).days
    term = np.minimum((back - read).days, 30)
    score = (1 / (1 + np.exp(0.06 * (age - 35) - 0.02 * (term - 15) + 0.01 * lead + 0.03 * licence))).round(4)
    table = pd.DataFrame({
        "ts": ts, "context.agency": agency, "context.zone": zone, "inputs.born": born.strftime("%Y-%m-%d"), "inputs.licence_years": licence,
        "inputs.pick_up": out.strftime("%d.%m.%Y"), "inputs.back": back.strftime("%d.%m.%Y"), "steps.trip.age": age, "steps.trip.lead": lead,
        "steps.trip.term": term, "outputs.score": score, "decision": np.where(score > 0.5, "deposit", "none"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize(
    ("event", "layer", "component", "where"),
    [
        ("", "", "", ""),
        ("older", "", "", ""),
        ("another's", "data", "inputs.born", "context.agency=partner"),
        ("misread", "features", "steps.trip.", "context.zone=k2"),
        ("nearest birthday", "features", "steps.trip.age", "context.zone=k2"),
    ],
)
def test_a_wrong_date_is_the_inputs_and_one_misread_the_steps(
    event: str, layer: str, component: str, where: str
) -> None:
    report = whimbrel.diagnose(*_rentals(event))
    assert (report.verdict == "fault") == bool(layer), report.sentence
    if layer:
        first = report.findings[0]
        assert first.layer == layer, report.sentence
        assert first.component.startswith(component), report.sentence
        assert [str(c) for c in first.where] == [where], report.sentence
