"""A flag that stays for a spell: stuck on and off it is the feed's, and who asks more, or asks by turns, is the world's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel
from whimbrel.diagnose import spells
from whimbrel.diagnose.case import Case
from whimbrel.diagnose.scan import Channel

DAYS, WINDOW, A_DAY = 11, 2, 1_800
TENANTS = ("alpha", "beta", "gamma")
STUCK = ((9, 12), (15, 18), (21, 24))
"""Hours of the window in which something happens."""


def _calls(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Calls of three tenants, half of them with a voucher; in the window something happens to beta's, on and off."""
    rng = np.random.default_rng(12)
    n = DAYS * A_DAY
    hour = np.sort(rng.random(n)) * DAYS * 24
    tenant = rng.choice(TENANTS, n)
    voucher = rng.random(n) < 0.5
    began = (DAYS - WINDOW) * 24
    now = np.any([(hour >= began + a) & (hour < began + b) for a, b in STUCK], axis=0)
    late, beta = hour >= began + STUCK[0][0], tenant == "beta"
    if event == "by turns":  # whole batches with one, whole batches without
        voucher = (np.floor(hour / 1.7) * 7 + np.floor(hour / 5.3)) % 3 % 2 == 0
        voucher = np.where(beta, voucher, rng.random(n) < 0.5)
    caller = rng.integers(0, 90, n)
    if event == "sessions":  # who calls, calls three times, with a voucher or without; one calls all the time
        session = (np.cumsum(beta) - 1) // 3
        caller = np.where(beta, rng.integers(0, 90, n)[session], caller)
        voucher = np.where(beta, (rng.random(n) < 0.5)[session], voucher)
        caller, voucher = np.where(now & beta, 7, caller), voucher | (now & beta)
    if event == "stuck":
        voucher |= now & beta
    if event == "more":
        voucher = np.where(late & beta, rng.random(n) < 0.65, voucher)
    length, orders = rng.gamma(3, 40, n).round(), rng.poisson(4, n)
    kept = ~(now & beta & ~voucher) if event == "others stay away" else np.ones(n, dtype=bool)
    score = 1 / (1 + np.exp(-(0.9 * voucher + 0.2 * orders - 0.01 * length)))
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.tenant": tenant,
        "inputs.caller": [f"c{one:02}" for one in caller],
        "inputs.voucher": np.where(voucher, "yes", "no"), "inputs.length": length, "inputs.orders": orders,
        "outputs.score": score.round(5), "decision": np.where(score > 0.55, "offer", "none"),
    })  # fmt: skip
    golden, window = table[kept & (hour < began)], table[kept & (hour >= began)]
    if event == "backlog":
        own = window[(window["context.tenant"] == "beta") & (window["inputs.voucher"] == "yes")]
        first = window["ts"].min() + pd.Timedelta(hours=9)
        more = own.sample(300, replace=True, random_state=1).assign(
            ts=first + pd.to_timedelta(np.sort(rng.random(300)) / 4, unit="h")
        )
        window = pd.concat([window, more]).sort_values("ts")
    return golden, window


@pytest.mark.parametrize("event", ["", "stuck", "more", "by turns", "backlog", "others stay away", "sessions"])
def test_a_flag_that_is_stuck_on_and_off_is_found_in_its_tenant(event: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that rises, customers who come by turns, a backlog on top and others who stay away are the world's."""
    found: list[Channel] = []
    asked = spells.channels

    def kept(case: Case) -> list[Channel]:
        found.extend(asked(case))
        return found

    monkeypatch.setattr(spells, "channels", kept)
    report = whimbrel.diagnose(*_calls(event))
    assert [channel.component for channel in found] == (["inputs.voucher"] if event == "stuck" else [])
    assert (report.verdict == "fault") == (event == "stuck"), report.sentence
    if event == "stuck":
        first = report.findings[0]
        assert (first.layer, first.component) == ("data", "inputs.voucher"), report.sentence
        assert [str(c) for c in first.where] == ["context.tenant=beta"], report.sentence
