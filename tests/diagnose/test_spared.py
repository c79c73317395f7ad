"""Answers that were kept from other requests, and a machine on which another model is quicker: what took less time is right or wrong by what was answered."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 9, 2, 1_200
START, BEGAN = pd.Timestamp("2026-05-04", tz="UTC"), (DAYS - WINDOW) * 24


def _sides(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    old = table["ts"] < START + pd.Timedelta(hours=BEGAN)
    return table[old], table[~old]


def _quotes(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Quotes by route and parcel; from the window's sixth hour on the west may have a cache, and one host another precision or a quicker card."""
    rng = np.random.default_rng(8)
    n = DAYS * A_DAY
    hour = np.sort(rng.random(n)) * DAYS * 24
    region, host = rng.choice(["east", "north", "west"], n), rng.choice(["q-1", "q-2", "q-3"], n)
    weight, road, slope = rng.gamma(3, 2, n), rng.integers(5, 800, n), rng.normal(0, 1, n)
    margin = np.sin(weight / 2) + 0.8 * np.sqrt(road) / 10 + 0.5 * slope * (slope > 0) + rng.normal(0, 0.15, n)
    took = rng.gamma(8, 1.5, n) + 4
    since = hour >= BEGAN + 6
    kept = since & (region == "west") & (rng.random(n) < 0.5) & ("key" in event)
    others = rng.permutation(np.flatnonzero(region == "west"))  # whoever asked first
    margin = np.where(kept & (event == "wrong key"), margin[np.resize(others, n)], margin)
    there = since & (host == "q-3") & (event in ("fp8", "new card"))
    took = np.where(kept, rng.uniform(0.2, 0.6, n), np.where(there, 0.7 * took, took))
    return _sides(pd.DataFrame({
        "ts": START + pd.to_timedelta(hour, unit="h"), "context.region": region, "inputs.weight": weight.round(2),
        "inputs.road_km": road, "inputs.slope": slope.round(3), "hardware.host": host,
        "model.precision": np.where(there & (event == "fp8"), "fp8", "bf16"), "outputs.score": margin.round(4),
        "spans.model": took.round(3), "spans.total": (took + rng.gamma(4, 1, n)).round(3),
    }))  # fmt: skip


@pytest.mark.parametrize("event", ["right key", "wrong key"])
def test_a_cache_that_goes_by_the_wrong_key_serves_wrongly(event: str) -> None:
    """One that answers as the model would is no fault."""
    report = whimbrel.diagnose(*_quotes(event))
    assert (report.verdict == "fault") == (event == "wrong key"), report.sentence
    if report.verdict == "fault":
        first = report.findings[0]
        assert (first.layer, first.component) == ("serving", "spans.model"), report.sentence
        assert [str(c) for c in first.where] == ["context.region=west"]


@pytest.mark.parametrize("event", ["fp8", "new card"])
def test_another_model_on_one_host_is_no_less_another_for_being_quicker(event: str) -> None:
    """A card that does the same work sooner is a host's own."""
    report = whimbrel.diagnose(*_quotes(event))
    assert (report.verdict == "fault") == (event == "fp8"), report.sentence
    if report.verdict == "fault":
        first = report.findings[0]
        assert (first.layer, first.component) == ("model", "model.precision"), report.sentence
        assert "spans.model" in first.victims


def _asked(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Questions about leases; a check after the answer says whether the lease is the one that the answer names."""
    rng = np.random.default_rng(9)
    n = DAYS * A_DAY
    hour = np.sort(rng.random(n)) * DAYS * 24
    lease, task, pages = rng.integers(0, 40, n), rng.choice(["ask", "find"], n), rng.integers(1, 60, n)
    named = np.where(rng.random(n) < 0.02, (lease + 1) % 40, lease)
    kept = (hour >= BEGAN + 6) & (task == "ask") & (rng.random(n) < 0.4) & (event != "")
    named = np.where(kept & (event == "wrong key"), rng.integers(0, 40, n), named)
    tokens = np.where(kept, 0, 40 + 12 * pages)
    return _sides(pd.DataFrame({
        "ts": START + pd.to_timedelta(hour, unit="h"), "inputs.task": task, "inputs.pages": pages, "inputs.lease": [f"L{x}" for x in lease],
        "outputs.lease": [f"L{x}" for x in named], "steps.check.same": (named == lease).astype(int),
        "usage.input_tokens": tokens, "usage.output_tokens": np.where(kept, 0, 8 + pages // 2),
        "spans.model": np.where(kept, rng.uniform(1, 3, n), 90 + tokens * rng.gamma(9, 0.1, n)).round(2),
    }))  # fmt: skip


@pytest.mark.parametrize("event", ["", "right key", "wrong key"])
def test_answers_that_took_no_tokens_were_kept(event: str) -> None:
    """Right or wrong, the prompt is no other: the service answered."""
    report = whimbrel.diagnose(*_asked(event))
    assert (report.verdict == "fault") == (event == "wrong key"), report.sentence
    if event:
        assert report.findings[0].layer == "serving", report.sentence


@pytest.mark.parametrize("event", ["right key", "wrong key"])
def test_a_bill_that_fell_with_the_work_is_the_cache_s(event: str) -> None:
    """What was not worked out anew is charged less: the bill follows from that, and is no other list of prices."""
    sides = []
    for side in _quotes(event):
        kept = side["spans.model"] < 1
        bill = (0.002 + 0.001 * side["inputs.weight"]) * np.where(kept, 0.1, 1.0)
        sides.append(side.assign(**{"usage.cost_eur": bill.round(6)}))
    report = whimbrel.diagnose(*sides)
    assert (report.verdict == "fault") == (event == "wrong key"), report.sentence
    first = report.findings[0]
    assert (first.layer, first.component) == ("serving", "spans.model"), report.sentence
    assert "usage.cost_eur" in first.victims


def test_nothing_read_again_from_a_prompt_s_beginning_is_not_nothing_done() -> None:
    """A name that a step puts before the part that is the same for all: none of it is read again, and the model works as ever, and dearer."""
    rng = np.random.default_rng(10)
    n = DAYS * A_DAY
    hour = np.sort(rng.random(n)) * DAYS * 24
    desk, pages = rng.choice(["rent", "repairs", "keys"], n), rng.integers(1, 60, n)
    named = (hour >= BEGAN + 6) & (desk == "keys")
    tokens, again = 400 + 12 * pages, np.where(named, 0, 310)
    report = whimbrel.diagnose(*_sides(pd.DataFrame({
        "ts": START + pd.to_timedelta(hour, unit="h"), "context.desk": desk, "inputs.pages": pages, "steps.draft.same_for_all": again,
        "outputs.pages": pages // 3, "usage.input_tokens": tokens, "usage.cache_read_tokens": again,
        "usage.cost_usd": (3e-6 * (tokens - 0.9 * again)).round(9), "spans.model": (90 + tokens * rng.gamma(9, 0.1, n)).round(2),
    })))  # fmt: skip
    first = report.findings[0]
    found = (report.verdict, first.layer, first.component, [str(c) for c in first.where])
    assert found == ("fault", "features", "steps.draft.same_for_all", ["context.desk=keys"]), report.sentence
