"""A rule that golden could not tell from another: a better model's scores show where it was only a stand-in; a decision that changed is told still."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 10, 2, 1_500
SITES = ("yard", "kiln", "dock", "mill")
LIMITS = np.array([0.25, 0.7, 0.75, 0.8])


def _inspections(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Machines whose risk decides, by site, whether they are stopped; golden's model gave the yard's no high risk below nine cracks."""
    rng = np.random.default_rng(41)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    site = rng.choice(4, n, p=[0.12, 0.3, 0.3, 0.28])
    cracks, heat = rng.poisson(4, n), rng.normal(60, 12, n).round(1)
    new = (hour >= began + 5) & (event == "better model")
    yard = site == 0
    cracks = np.where(yard | (rng.random(n) < 0.03), cracks, np.minimum(cracks, 5))
    risk = rng.beta(2, 2, n)
    old = np.where(cracks >= 6, 0.27 + 0.1 * rng.random(n), 0.05 + 0.18 * rng.random(n))
    shown = 0.05 + 0.32 * rng.random(n)
    risk = np.where(yard, np.where(new & (rng.random(n) < 0.3), shown, old), risk).round(4)
    stopped = risk > LIMITS[site]
    late = (hour >= began + 5) & yard
    if event == "lower limit":
        stopped |= late & (risk > 0.17)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-04-06", tz="UTC") + pd.to_timedelta(hour, unit="h"),
        "context.site": np.array(SITES)[site], "inputs.cracks": cracks, "inputs.heat": heat,
        "steps.look.cracks": cracks, "steps.look.heat": heat, "model.version": np.where(new, "m5", "m4"),
        "outputs.risk": risk, "decision": np.where(stopped, "stop", "run"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["better model", "lower limit"])
def test_a_rule_is_not_broken_where_golden_could_not_tell_it_from_another(event: str) -> None:
    """The yard's limit is 0.25, which golden's machines passed with six cracks or more, as hardly others have: a rule may go by either."""
    report = whimbrel.diagnose(*_inspections(event))
    decided = [f for f in report.findings if f.component.startswith("decision")]
    assert bool(decided) == (event == "lower limit"), report.sentence
    if decided:
        assert [str(c) for c in decided[0].where] == ["context.site=yard"], report.sentence
