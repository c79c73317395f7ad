"""A model behind a name that stays: it writes otherwise at once, though it is asked as ever. Who orders more gets longer letters from any model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

N, DAYS, ONSET = 6_000, 10, 8.5
THINGS = ("lamp", "chair", "kettle", "radio", "carpet", "mirror", "sofa", "desk", "shelf", "stool", "clock", "vase")
EXTRA = " We have put great care into choosing and packing all of it for you and hope that you will enjoy it."


def _letters(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Letters about orders; from some hour on they are longer, or people order more."""
    rng = np.random.default_rng(6)
    days = np.sort(rng.random(N)) * DAYS
    since = days >= ONSET
    count = np.minimum(1 + rng.poisson(np.where(since & (event == "more"), 5, 3)), len(THINGS))
    extra = since & (rng.random(N) < 0.7) & (event in ("otherwise", "moody"))
    mood = rng.integers(0, 12, N) if event == "moody" else rng.integers(0, 4, N)  # what nobody recorded
    prompts, letters = [], []
    for i in range(N):
        things = [THINGS[j] for j in rng.choice(len(THINGS), count[i], replace=False)]
        prompts.append(f"Write to the customer.\nOrder: {', '.join(things)}")
        said = " ".join(f"Your {thing} was packed and handed over today." for thing in things)
        letters.append(f"Dear customer! {said}{' We thank you for the order.' * mood[i]}{EXTRA if extra[i] else ''}")
    score = np.round(0.3 + 0.05 * np.minimum(count, 9) + rng.normal(0, 0.03, N), 4)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-02-02", tz="UTC") + pd.to_timedelta(days, unit="D"),
        "context.shop": rng.choice(["north", "south"], N), "inputs.paid": rng.gamma(4, 20, N).round(2), "steps.ask.prompt": prompts,
        "model.version": "letters-1", "outputs.letter": letters, "outputs.score": score,
        "decision": np.where(score > 0.4, "send", "person"),
    })  # fmt: skip
    return table[days < 8], table[days >= 8]


@pytest.mark.parametrize("event", ["otherwise", "", "more", "moody"])
def test_letters_that_are_told_by_what_was_sent_are_written_otherwise_by_another_model_alone(event: str) -> None:
    """Not where orders grew, or where much about them was never told by anything."""
    report = whimbrel.diagnose(*_letters(event))
    assert (report.verdict == "fault") == (event == "otherwise"), report.sentence
    if event == "otherwise":
        first = report.findings[0]
        assert (first.layer, first.component, first.where) == ("model", "outputs.letter", ()), report.sentence
