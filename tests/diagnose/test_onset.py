"""Since when: the first row that is hit, soon after the window's first one, and in a slice that is seldom asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from whimbrel.diagnose import diagnose_rows, gather
from whimbrel.model.event import Event
from whimbrel.model.window import from_micros, micros, where_dict
from whimbrel.stats.onset import value_onset

from .shop import HOUR_US, SCHEMA, cells, rows, serve

GOLDEN, WINDOW = 4_000, 2_000


@pytest.mark.parametrize("hit", [0, 40, 90, 1_200])
@pytest.mark.parametrize("kind", ["shift", "long tails", "some rows"])
def test_the_onset_is_the_first_row_hit_however_soon_after_the_windows_first(hit: int, kind: str) -> None:
    """An hour after a window of two days began is not its beginning; to a few rows, where each says little."""
    rng = np.random.default_rng(hit)
    n = GOLDEN + WINDOW
    excess = rng.standard_t(2, n) if kind == "long tails" else rng.normal(0, 1, n)
    more = 8.0 * (rng.random(n) < 0.3) if kind == "some rows" else np.full(n, 2.5)
    excess[GOLDEN + hit :] += more[GOLDEN + hit :]
    ts = np.arange(n, dtype=np.int64)
    case = SimpleNamespace(ts=ts, golden=ts < GOLDEN, window=ts >= GOLDEN, events=(), dimensions=())
    since, from_start = gather.onset(cast("Any", case), excess, np.ones(n, dtype=bool))
    assert from_start is (since == GOLDEN)
    assert abs(since - GOLDEN - hit) <= 12


@pytest.mark.parametrize("seed", [4, 9, 15, 40])
def test_what_seldom_happens_and_now_happens_ten_times_as_often(seed: int) -> None:
    """Requests that fail: nearly all values are alike, before and after, but for what the mix leaves of them."""
    rng = np.random.default_rng(seed)
    known, values = (
        (rng.random(n) < share) + rng.normal(0, 0.002, n) for n, share in ((35_000, 0.004), (2_100, 0.044))
    )
    found = value_onset(values, known, np.arange(2_100) / 50)
    assert found is not None
    assert found.at == 0


def test_a_fault_that_was_there_already_is_since_the_first_row_of_its_slice() -> None:
    """Japan asks from five in the morning on: what is wrong there all day did not begin at midnight, when nobody asked."""
    golden, window = cells(20_000, 0, hours=240, start_hour=0), cells(6_000, 1, hours=24, start_hour=240)
    night = window["ts"] < window["ts"][0] + 5 * HOUR_US
    window["context.country"][night & (window["context.country"] == "JP")] = "DE"
    hit = window["context.country"] == "JP"
    golden = serve(golden, np.zeros(20_000, dtype=bool))
    window = serve(window, hit)
    window["outputs.score"] = np.where(hit, 0.8 * window["outputs.score"], window["outputs.score"])
    first = diagnose_rows(rows(golden, "g"), rows(window, "w"), SCHEMA, app="shop").findings[0]
    assert (first.component, where_dict(first.where)) == ("outputs.score", {"context.country": "JP"})
    assert first.since is not None
    assert micros(first.since) == int(window["ts"][hit][0])


@pytest.mark.parametrize(("channel", "since"), [("web", 150), ("app", 151), (None, 150)])
def test_of_rows_that_are_nearly_as_likely_the_first_after_a_deploy_that_reached_the_slice(
    channel: str | None, since: int
) -> None:
    """Half of the rows show it, as it happens not the first one hit; a deploy for others is no reason to think of that row."""
    n, hour = 1_400, HOUR_US // 4
    excess = np.zeros(n)
    excess[1_151::2] = 1.0
    ts = np.arange(n, dtype=np.int64) * hour
    inside = np.arange(n) >= 0
    event = Event(
        from_micros(int(ts[1_150]) - hour // 9),
        "deploy",
        "build 7",
        {} if channel is None else {"context.channel": channel},
    )
    web = SimpleNamespace(path="context.channel", values=("app", "web"), codes=np.ones(n, dtype=np.int64))
    case = SimpleNamespace(ts=ts, golden=ts < ts[1_000], window=ts >= ts[1_000], events=(event,), dimensions=(web,))
    found, from_start = gather.onset(cast("Any", case), excess, inside)
    assert not from_start
    assert found == ts[1_000 + since]
