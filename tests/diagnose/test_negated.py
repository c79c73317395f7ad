"""A flag that a step reads off a note's words: a rule by what else goes with them errs now and then, and says nothing of those who say that it is not so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 9, 2, 1_500
ROOMS = (
    "two beds",
    "a view",
    "a balcony",
    "late arrival",
    "a quiet room",
    "ground floor",
    "an early breakfast",
    "parking",
)


def _stays(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bookings with a wish; the few that bring a dog say so, mostly those for a cabin. Late the step takes who says that there is none for one."""
    rng = np.random.default_rng(41)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    cabin = rng.random(n) < 0.2
    dog = rng.random(n) < np.where(cabin, 0.10, 0.002)
    none = ~dog & (rng.random(n) < (0.14 if event == "more cats" else 0.12))
    says = np.where(dog, "with a dog", np.where(none, "no dog", "thanks"))
    wishes = rng.choice(ROOMS, (n, 2))
    notes = [f"{a} and {b}; {end}" for (a, b), end in zip(wishes, says, strict=True)]
    read = dog | (none & (hour >= began + 8) & (event == "negated"))
    nights = rng.integers(1, 12, n)
    score = (1 / (1 + np.exp(2 - 1.5 * read - 0.1 * nights + rng.normal(0, 0.2, n)))).round(4)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-07-06", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.site": rng.choice(["lake", "wood"], n),
        "inputs.kind": np.where(cabin, "cabin", "room"), "inputs.note": notes, "inputs.nights": nights, "steps.read.dog": read,
        "outputs.score": score, "decision": np.where(score > 0.4, "deposit", "none"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "more cats", "negated"])
def test_who_says_that_there_is_none_has_none(event: str) -> None:
    report = whimbrel.diagnose(*_stays(event))
    assert (report.verdict == "fault") == (event == "negated"), report.sentence
    if event == "negated":
        assert (report.findings[0].layer, report.findings[0].component) == ("features", "steps.read.dog"), (
            report.sentence
        )
