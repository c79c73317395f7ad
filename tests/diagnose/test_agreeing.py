"""Labels that agree with what was answered, always: a form that stores the answer whatever was typed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 11, 2, 900
KINDS = ("billing", "delivery", "refund", "other", "account")


def _mail(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mail that is sorted, and sorted anew by hand now and then; from the window's eighth hour on the desktop form may store the first."""
    rng = np.random.default_rng(41)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    form, on = rng.choice(["desktop", "phone", "bulk"], n, p=[0.5, 0.3, 0.2]), hour >= began + 8
    sure = rng.beta(6, 1.5, n).round(4)
    answer = rng.choice(KINDS, n)
    wrong = rng.random(n) < 0.25 * (1.4 - sure)
    wrong &= ~(on & (event == "stored") & (form == "desktop"))
    wrong &= ~(on & (event == "better") & (rng.random(n) < 0.95))
    label = np.where(wrong, rng.choice(KINDS, n), answer)
    slow = 60 if event == "nods first" else 3
    waits = np.where(label == answer, rng.gamma(2, 1.5, n), rng.gamma(3, slow / 3, n))
    start = pd.Timestamp("2026-03-02", tz="UTC")
    told = hour + waits <= DAYS * 24
    table = pd.DataFrame({
        "ts": start + pd.to_timedelta(hour, unit="h"), "context.form": form, "inputs.length": rng.gamma(3, 80, n).round(),
        "model.version": np.where(on & (event == "better"), "3.0", "2.1"), "outputs.kind": answer, "outputs.score": sure,
        "decision": np.where(sure > 0.6, "file", "ask"), "label": pd.Series(label).where(told),
        "label_ts": pd.Series(start + pd.to_timedelta(hour + waits, unit="h")).where(told),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "stored", "better", "nods first"])
def test_where_nobody_is_corrected_any_more_the_answer_was_stored(event: str) -> None:
    """A better model is corrected less; where corrections take their time, the first labels all agree."""
    report = whimbrel.diagnose(*_mail(event))
    assert (report.verdict == "fault") == (event == "stored"), report.sentence
    if event == "stored":
        first = report.findings[0]
        assert (first.layer, [str(c) for c in first.where]) == ("labels", ["context.form=desktop"]), report.sentence
        assert "`outputs.kind`" in first.what
