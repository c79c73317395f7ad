"""What only those lack who are new: more of them may come, which nobody saw begin; what sets in while one looks on, or on one host, was lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 9, 2, 1_500
START = pd.Timestamp("2026-09-07", tz="UTC")


def _rides(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scooter rides by the rider's last rating (null: none yet); in the window more may be new, or ratings be lost from its tenth hour on, or on one host."""
    rng = np.random.default_rng(17)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    now, host = hour >= began, rng.choice(["s1", "s2", "s3"], n)
    rating, age = rng.normal(4, 0.5, n).clip(1, 5).round(1), rng.integers(18, 60, n)
    lacks = rng.random(n) < 0.05
    more = rng.random(n) < (0.07 if event == "lost on a host" else 0.05)
    lacks |= more & (now if event == "new faces" else np.zeros(n, dtype=bool))
    lacks |= more & (hour >= began + 10 if event == "lost" else np.zeros(n, dtype=bool))
    lacks |= more & (now & (host == "s2") if event == "lost on a host" else np.zeros(n, dtype=bool))
    known = np.where(lacks, np.nan, rating)
    trust = np.where(lacks, 2.5, rating).round(2)
    score = (1 / (1 + np.exp(-2 * (trust - 3.2) - 0.03 * (age - 35)))).round(4)
    table = pd.DataFrame({
        "ts": START + pd.to_timedelta(hour, unit="h"), "context.city": rng.choice(["lyon", "turin"], n), "hardware.host": host,
        "inputs.rating": known, "inputs.age": age, "steps.rider.trust": trust, "outputs.score": score,
        "decision": np.where(score > 0.5, "unlock", "deposit"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize(
    ("event", "where"), [("", None), ("new faces", None), ("lost", []), ("lost on a host", ["hardware.host=s2"])]
)
def test_who_is_new_lacks_what_others_have(event: str, where: list[str] | None) -> None:
    report = whimbrel.diagnose(*_rides(event))
    assert (report.verdict == "fault") == (where is not None), report.sentence
    if where is not None:
        first = report.findings[0]
        assert (first.layer, first.component) == ("data", "inputs.rating"), report.sentence
        assert [str(c) for c in first.where] == where, report.sentence
