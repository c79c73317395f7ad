"""A step that says what it never said since its own code was replaced."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 11, 2, 900
AMOUNTS = ("530", "770", "1310", "2590", "14000", "26000", "83000", "125000", "340000", "470000")


def _invoices(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Invoices whose sum is read by a step that is released anew in the window's eighth hour: it may take a point for a decimal one."""
    rng = np.random.default_rng(51)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    on = hour >= began + 8
    land, kind = rng.choice(["at", "uk", "ie"], n), rng.choice(["rent", "goods"], n)
    amount = rng.choice(AMOUNTS, n, p=np.arange(10, 0, -1) / 55)
    read = np.array(["EUR " + text for text in amount], dtype=object)
    wrong = on & (land == "at") & (event == "decimal") & np.array([len(text) > 4 for text in amount])
    read[wrong] = [text[:-3] + ".00" for text in read[wrong]]
    many = on & (event == "new land") & (rng.random(n) < 0.08)
    read[many], land[many] = "CHF 900", "ch"
    sure = rng.beta(6, 2, n).round(4)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.office": rng.choice(["a", "b"], n),
        "inputs.land": land, "inputs.kind": kind, "inputs.pages": rng.integers(1, 9, n).astype(float),
        "code.read": np.where(on & (event != ""), "7d31", "55ab"), "steps.read.sum": read, "outputs.score": sure,
        "decision": np.where(sure > 0.7, "pay", "ask"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "decimal", "same", "new land"])
def test_what_a_step_never_said_before_its_own_new_code_is_that_code_s(event: str) -> None:
    """New code that says what the old one said is none, nor is what new senders bring along."""
    report = whimbrel.diagnose(*_invoices(event))
    assert (report.verdict == "fault") == (event == "decimal"), report.sentence
    if event == "decimal":
        assert (report.findings[0].layer, report.findings[0].component) == ("features", "steps.read.sum"), (
            report.sentence
        )
