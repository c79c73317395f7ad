"""Labels that jump with a change of the system that names the slice in which they do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 11, 2, 900


def _watched(named: bool, what: str = "") -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Films that are watched to the end or not; from the window's ninth hour on fewer of one app's are, just after an event."""
    rng = np.random.default_rng(42)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    release = rng.choice(["5.1.0", "5.0.2", "4.9.8"], n)
    drama, length = rng.random(n).round(3), rng.normal(90, 20, n).round()
    fewer = (hour >= began + 9) & (release == "5.1.0") & (what != "nothing")
    odds = 3 * drama - 0.02 * length + 0.4
    score, chance = (1 / (1 + np.exp(-one)) for one in (odds, odds - 1.5 * fewer))
    start = pd.Timestamp("2026-03-02", tz="UTC")
    table = pd.DataFrame({
        "ts": start + pd.to_timedelta(hour, unit="h"), "context.release": release, "inputs.drama": drama, "inputs.length": length,
        "outputs.score": score.round(5), "decision": np.where(score > 0.5, "show", "skip"), "label": (rng.random(n) < chance).astype(int),
    })  # fmt: skip
    said = "5.1.0: beats in batches" if named else "beats in batches"
    events = pd.DataFrame({"ts": [start + pd.Timedelta(hours=began + 8.8)], "kind": ["flag"], "what": [said]})
    return table[hour < began], table[hour >= began], events


@pytest.mark.parametrize(("named", "what"), [(True, "fewer"), (True, "nothing"), (False, "fewer")])
def test_labels_that_jump_with_a_change_that_names_their_slice_are_its_doing(named: bool, what: str) -> None:
    """A change that names nobody says less, and one that moves nothing is none."""
    golden, window, events = _watched(named, what)
    report = whimbrel.diagnose(golden, window, events=events)
    assert (report.verdict == "fault") == (named and what == "fewer"), report.sentence
    if report.verdict == "fault":
        first = report.findings[0]
        assert (first.layer, [str(c) for c in first.where]) == ("labels", ["context.release=5.1.0"]), report.sentence
