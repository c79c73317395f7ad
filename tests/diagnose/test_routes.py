"""A route is chosen among several, by what each is forecast and what it costs; its share goes up and down with how the routes fare."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 8, 2, 1_500
ROUTES = np.array(["north", "east", "south", "west"])
FEES = np.array([0.10, 0.02, 0.05, 0.01])
RATES = {"eur": 1.0, "usd": 0.92, "gbp": 1.17, "brl": 0.165}


def _payments(seed: int, event: str = "") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Each payment goes where forecast less cost is highest; every route has its good and bad hours."""
    rng = np.random.default_rng(seed)
    n = (DAYS + WINDOW) * A_DAY
    hours = (DAYS + WINDOW) * 24
    hour = np.sort(rng.random(n)) * hours
    walk = np.cumsum(rng.normal(0, 0.06, (hours + 1, 4)), axis=0)
    health = 0.85 + 0.1 * np.tanh(walk - 0.2 * rng.random(4))[hour.astype(int)]
    amount = np.exp(rng.normal(3.5, 1.0, n)).round(2)
    currency = rng.choice(list(RATES), n, p=[0.5, 0.25, 0.15, 0.1])
    wobble = np.exp(np.cumsum(rng.normal(0, 0.002, (hours + 1, 4)), axis=0))[
        hour.astype(int), pd.factorize(currency)[0]
    ]
    own = rng.choice(["shop", "club"], n, p=[0.8, 0.2])
    late = hour >= DAYS * 24 + 6
    risk = rng.beta(2, 6, n)
    by_route = (health * (1 - 0.4 * risk)[:, None] + rng.normal(0, 0.02, (n, 4))).round(4)
    fees = np.tile(FEES, (n, 1))
    if event == "fee":
        fees[late & (own == "club"), 3] = 0.12
    route = (by_route - fees).argmax(axis=1)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-04-06", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.seller": own,
        "inputs.amount": amount, "inputs.currency": currency, "inputs.risk": risk.round(3),
        "steps.convert.amount": amount * np.array([RATES[one] for one in currency]) * np.where(currency == "eur", 1.0, wobble),
        "outputs.by_route": list(by_route), "outputs.score": by_route.max(axis=1), "decision": ROUTES[route],
    })  # fmt: skip
    if event == "converted":
        table.loc[late & (currency == "gbp"), "steps.convert.amount"] *= 1.3
    return table[hour < DAYS * 24], table[hour >= DAYS * 24]


@pytest.mark.parametrize("seed", [1, 6])
def test_routes_that_fare_otherwise_and_rates_that_walk_are_no_fault(seed: int) -> None:
    report = whimbrel.diagnose(*_payments(seed))
    assert report.verdict != "fault", report.sentence


def test_a_wrong_fee_is_the_decision_s() -> None:
    found = whimbrel.diagnose(*_payments(1, "fee")).findings[0]
    assert (found.layer, found.component) == ("decision", "decision")
    assert {c.path for c in found.where} == {"context.seller"}
    assert "where golden gave 'west'" in found.what  # a rule that reads the forecasts two by two foretells each


def test_a_rate_that_leaps_is_found() -> None:
    found = whimbrel.diagnose(*_payments(1, "converted")).findings[0]
    assert (found.layer, found.component) == ("features", "steps.convert.amount")
