"""A form that keeps what was entered last: guests who repeat themselves, now and then or all the time, and requests sent twice are the world's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

N, DAYS, ONSET, GUESTS = 6_000, 10, 8.6, 120
WISHES = [
    f"{a} {b}"
    for a in ["quiet", "high", "warm", "large", "light", "new", "old", "low"]
    for b in ["room", "bed", "floor", "window", "desk"]
]


def _bookings(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bookings of guests who come again and wish for something else each time; from some hour on something becomes of those by the app."""
    rng = np.random.default_rng(3)
    days = np.sort(rng.random(N)) * DAYS
    guest, way = rng.integers(0, GUESTS, N), rng.choice(["app", "desk"], N)
    wish, code = rng.choice(WISHES, N).astype(object), rng.integers(0, 4_000, N)
    nights, late = rng.poisson(2, N) + 1, days >= ONSET
    part = {"kept": 0.95, "some": 0.3, "habit": 0.95, "one": 0.95}.get(event, 0.0)
    hit = (way == "app") & (rng.random(N) < part) & (late | (event == "habit"))
    if event == "one":  # a travel agent wishes for the same for all of his
        guest[late & (way == "app") & (rng.random(N) < 0.6)] = GUESTS
        hit &= guest == GUESTS
    last: dict[int, int] = {}
    for i, who in enumerate(guest.tolist()):
        twice = event == "twice" and late[i] and way[i] == "app" and rng.random() < 0.8
        if (hit[i] or twice) and who in last:
            wish[i] = wish[last[who]]
            if twice:
                code[i], nights[i] = code[last[who]], nights[last[who]]
        last[who] = i
    score = 1 / (1 + np.exp(-(0.5 * nights - 1 + np.array(["quiet" in one for one in wish]))))
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-06-01", tz="UTC") + pd.to_timedelta(days, unit="D"),
        "context.way": way, "inputs.guest": [f"g{one:03}" for one in guest], "inputs.wish": wish,
        "inputs.voucher": [f"v{one:04}" for one in code], "inputs.nights": nights,
        "outputs.score": score.round(4), "decision": np.where(score > 0.5, "book", "ask"),
    })  # fmt: skip
    return table[days < 8], table[days >= 8]


@pytest.mark.parametrize("event", ["kept", "", "some", "habit", "one", "twice"])
def test_what_all_said_the_time_before_was_carried_over(event: str) -> None:
    report = whimbrel.diagnose(*_bookings(event))
    assert (report.verdict == "fault") == (event == "kept"), report.sentence
    if event == "kept":
        first = report.findings[0]
        assert (first.layer, first.component) == ("data", "inputs.wish"), report.sentence
        assert [str(c) for c in first.where] == ["context.way=app"], report.sentence
