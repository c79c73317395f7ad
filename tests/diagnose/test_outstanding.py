"""A model is judged while half of its labels are still out: those that have come are the short ones, and those that have not speak as well."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 14, 3, 900
AT = pd.Timestamp("2026-06-01", tz="UTC")
KINDS = ("belt", "pump", "rotor", "valve", "frame")
TAKES = np.array([0.2, 0.6, 2.2, 0.35, 4.0])


def _repairs(release: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How many days a repair will take; it is known when it is over. From the window's eighth hour on another model may answer."""
    rng = np.random.default_rng(52)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    kind, parts, age = rng.choice(5, n), rng.poisson(3, n), rng.gamma(4, 2, n).round(1)
    mean = TAKES[kind] * np.exp(0.12 * (parts - 3) + 0.03 * (age - 8))
    days = mean * np.exp(rng.normal(0, 0.35, n))
    new = (hour >= began + 8) & (release != "")
    if release == "arm":
        new &= rng.random(n) < 0.5
    told = mean * np.exp(0.08 * np.sin(parts * 2.0) * np.cos(age))  # what it has wrong
    other = mean * np.exp(0.08 * np.cos(parts * 3.0) * np.sin(age / 2))
    if release == "closed repairs only":
        other = other * np.minimum(1.0, (1.6 / mean) ** 0.45)
    if release == "kinds mixed up":
        other = other / TAKES[kind] * TAKES[np.array([0, 2, 1, 3, 4])[kind]]
    score = np.where(new, other, told).round(3)
    over = AT + pd.to_timedelta(hour + 24 * days, unit="h")
    end = AT + pd.Timedelta(days=DAYS)
    table = pd.DataFrame({
        "ts": AT + pd.to_timedelta(hour, unit="h"), "inputs.kind": np.array(KINDS)[kind], "inputs.parts": parts,
        "inputs.age": age, "context.shop": rng.choice(["north", "south"], n), "model.version": np.where(new, "r8", "r7"),
        "outputs.score": score, "decision": np.where(score > 1.2, "lend one", "wait"),
        "label": np.where(over <= end, days.round(3), np.nan), "label_ts": pd.Series(over).where(over <= end),
    })  # fmt: skip
    if release == "arm":
        table["model.variant"] = pd.Series(np.where(new, "candidate", "control")).where(hour >= began, None)
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("release", ["", "sound", "arm", "closed repairs only", "kinds mixed up"])
def test_labels_that_are_still_out_judge_a_model_as_well(release: str) -> None:
    """Too short forecasts look right by the short repairs, and long repairs that were taken for short ones are no labels that are lost."""
    what = "experiment r8 50%" if release == "arm" else "model r8"
    events = pd.DataFrame(
        {"ts": [AT + pd.Timedelta(hours=(DAYS - WINDOW) * 24 + 8)], "kind": ["deploy"], "what": [what]}
    )
    report = whimbrel.diagnose(*_repairs(release), events=events if release else None)
    assert (report.verdict == "fault") == (release in ("closed repairs only", "kinds mixed up")), report.sentence
    if report.verdict == "fault":
        assert report.findings[0].component == "model.version", report.sentence
    assert not any(f.layer == "labels" for f in report.findings), report.sentence
