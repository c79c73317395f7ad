"""A check that is slow, is given up on, and lets all pass."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 11, 2, 900


def _checked(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Posts that are checked by a rule; from the window's eighth hour on the check may be slow in one zone, and let all pass or not."""
    rng = np.random.default_rng(52)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    zone = rng.choice(["z1", "z2", "z3"], n)
    slow = (hour >= began + 8) & (zone == "z2") & (event != "")
    rude, length = (rng.random(n) < 0.1).astype(int), rng.gamma(3, 80, n).round()
    flag = np.where((rude == 1) & (length > 200), "rude", "none")
    flag = np.where(slow & (event == "fails open") & (rng.random(n) < 0.8), "none", flag)
    check = 12 * np.exp(rng.normal(0, 0.2, n)) * np.where(slow, 5, 1)
    model = 2000 * np.exp(rng.normal(0, 0.2, n))
    score = rng.beta(5, 2, n).round(4)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.zone": zone, "inputs.rude": rude,
        "inputs.length": length, "steps.check.flag": flag, "outputs.score": score,
        "decision": np.where((flag == "none") & (score > 0.75), "post", "hold"),
        "spans.check": check.round(3), "spans.model": model.round(3), "spans.total": (check + model).round(3),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "fails open", "slow"])
def test_a_check_that_is_given_up_on_lets_all_pass(event: str) -> None:
    """One that is merely slow holds nobody up who waits two seconds for the rest."""
    report = whimbrel.diagnose(*_checked(event))
    assert (report.verdict == "fault") == (event == "fails open"), report.sentence
    if event == "fails open":
        assert report.findings[0].component == "spans.check", report.sentence
