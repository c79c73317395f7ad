"""An assistant that looks orders up: what a look-up returns, how often it was asked, how long that took, and what it costs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from whimbrel.diagnose import diagnose
from whimbrel.diagnose.case import Case, Variable
from whimbrel.diagnose.relations import Relation
from whimbrel.diagnose.scan import Channel
from whimbrel.diagnose.surroundings import Usage, _given_load, _given_usage, _led_to, _logarithm
from whimbrel.drill.table import to_arrow
from whimbrel.model.fields import Field, Kind
from whimbrel.model.report import Report

START = 1_790_000_000
_TO_TEN = (10 - START / 3600) % 24
"""Hours from there to ten in the morning, UTC."""


def _records(n: int, seed: int, start_hour: float, hours: float) -> dict[str, Any]:
    """Requests of which three in four name an order: those are looked up, now and then twice."""
    rng = np.random.default_rng(seed)
    wants = rng.choice(["parcel", "refund", "hours", "invoice"], n)
    asked = wants != "hours"
    status = rng.choice(["packed", "sent", "there"], n).tolist()
    tries = np.where(asked, 1.0 + (rng.random(n) < 0.03), 0.0)
    words = np.round(rng.gamma(9, 12, n))
    score, guard = rng.random(n).round(4), rng.choice(["pass", "block"], n, p=[0.92, 0.08])
    ts = START + 3600 * (start_hour + np.sort(rng.random(n)) * hours)
    return {
        "id": np.array([f"{seed}-{i}" for i in range(n)], dtype=object),
        "ts": ts,
        "inputs.wants": wants.astype(object),
        "context.shop": rng.choice(["north", "south", "east"], n).astype(object),
        "recorder.reads": np.full(n, "find", dtype=object),
        "steps.find.status": np.array(
            [one if due else None for one, due in zip(status, asked, strict=True)], dtype=object
        ),
        "steps.find.tries": tries,
        "outputs.score": score,
        "decisions.guard": guard.astype(object),
        "decision": np.where((score < 0.3) | (guard == "block"), "person", "send").astype(object),
        "usage.calls": tries.copy(),
        "usage.words": words,
        "usage.fee_chf": 0.002 * words + 0.001,
        "spans.find": np.where(asked, 30.0 * tries, 0.6) * np.exp(0.2 * rng.standard_normal(n)),
        "spans.write": 4.0 * words * np.exp(0.1 * rng.standard_normal(n)),
    }


def _report(change: Any) -> Report:
    golden, window = _records(5_000, 1, 0, 240), _records(1_600, 2, 240, 48)
    hit = window["context.shop"] == "south"
    change(window, hit, np.random.default_rng(3))
    return diagnose(to_arrow(golden), to_arrow(window))


def _unanswered(window: dict[str, Any], hit: Any, rng: Any) -> None:
    window["steps.find.status"] = np.array(
        [
            None if lost else status
            for status, lost in zip(window["steps.find.status"], hit & (rng.random(len(hit)) < 0.12), strict=True)
        ],
        dtype=object,
    )


def _asked_twice(window: dict[str, Any], hit: Any, rng: Any) -> None:
    again = hit & (window["usage.calls"] == 1) & (rng.random(len(hit)) < 0.8)
    for path in ("steps.find.tries", "usage.calls", "spans.find"):
        window[path] = np.where(again, 2.0, 1.0) * window[path]


def _dearer(window: dict[str, Any], hit: Any, _: Any) -> None:
    window["usage.fee_chf"] = np.where(hit, 1.4, 1.0) * window["usage.fee_chf"]


def test_a_null_is_judged_against_what_was_asked_for() -> None:
    """A quarter has no order to look up; of those that have, an eighth in one shop come back empty: seen where a value was due."""
    found = _report(_unanswered).findings[0]
    assert (found.layer, found.component) == ("features", "steps.find.status")
    assert [c.value for c in found.where] == ["south"]
    assert "0.0% in golden" in found.what


def test_a_look_up_that_must_be_asked_twice_takes_longer_by_its_own_fault() -> None:
    """How often it was asked is what the look-up says of itself: that excuses nothing."""
    found = _report(_asked_twice).findings[0]
    assert (found.layer, found.component) == ("serving", "spans.find")


def test_a_dearer_slice_harms_whatever_the_bill_is_called() -> None:
    found = _report(_dearer).findings[0]
    assert (found.component, found.harmful) == ("usage.fee_chf", True)
    assert found.harm["fee_chf_ratio"] == pytest.approx(1.4, abs=0.05)


def test_time_is_held_against_golden_s_same_hours() -> None:
    """By day everything takes twice as long; a window that begins at noon is no slower for that."""

    def by_day(records: dict[str, Any]) -> dict[str, Any]:
        day = np.abs(records["ts"] / 3600 % 24 - 14) < 5
        for path in ("spans.find", "spans.write"):
            records[path] = np.where(day, 2.0, 1.0) * records[path]
        return records

    golden, window = (by_day(_records(*of)) for of in ((10_000, 1, 0, 240), (330, 2, 240 + _TO_TEN, 8)))
    window["spans.find"] = 1.4 * window["spans.find"]
    found = next(f for f in diagnose(to_arrow(golden), to_arrow(window)).findings if f.component == "spans.find")
    assert found.harm["latency_p95_ratio"] < 1.15


def _another_s_decision(window: dict[str, Any], hit: Any, rng: Any) -> None:
    rows = np.flatnonzero(hit & (rng.random(len(hit)) < 0.3))
    window["decision"][rows] = np.roll(window["decision"][rows], 1)


def test_a_decision_is_held_against_what_was_decided_on_the_way() -> None:
    """Score and guard together decide; that some bear another request's decision moves no share of anything."""
    found = _report(_another_s_decision).findings[0]
    assert (found.layer, found.component) == ("decision", "decision")
    assert [c.value for c in found.where] == ["south"]


def test_nothing_is_found_where_nothing_broke() -> None:
    assert _report(lambda *_: None).verdict == "healthy"


def _case(n: int, **more: Any) -> Case:
    golden = np.arange(n) < n // 2
    return cast("Case", SimpleNamespace(golden=golden, window=~golden, **more))


def test_amounts_below_golden_s_excuse_shorter_calls_and_make_none_longer() -> None:
    """Calls of those who read less than golden ever did are as long as ever: noise about that is no slowness."""
    rng = np.random.default_rng(0)
    amounts = rng.gamma(9, 1, 2_000)
    values = 0.3 * amounts + rng.normal(0, 1, 2_000)
    beyond = np.where(np.arange(2_000) < 1_000, 0.0, -1.0)
    channel = Channel("spans.read", "serving", "slower", "marginal", values)
    given = _given_usage(_case(2_000), channel, Usage(amounts[:, None], beyond)).values
    assert abs(given[1_000:].mean() - given[:1_000].mean()) < 0.1


def test_an_amount_is_led_back_over_its_copies_to_the_look_up() -> None:
    """Two calls where one was due count as one; where the relation says nothing, what was counted stands."""
    n = 100
    tries = Variable("steps.find.tries", Field("steps.find.tries", Kind.NUMBER), numbers=np.full(n, 1.0))
    tries.numbers[[60, 70]], tries.numbers[0] = 2.0, 0.0  # type: ignore[index]
    calls = Variable("usage.calls", Field("usage.calls", Kind.NUMBER), numbers=np.array(tries.numbers))
    surprise = np.where(np.arange(n) == 60, 8.0, 0.0)
    surprise[70] = np.nan
    due = np.where(np.arange(n) == 0, 0.0, 1.0)
    relations = {
        "usage.calls": Relation("usage.calls", ("steps.find.tries",), "copy", True, 1.0, due, np.zeros(n)),
        "steps.find.tries": Relation("steps.find.tries", ("inputs.wants",), "trees", False, 0.9, due, surprise),
    }
    case = _case(n, variables={v.name: v for v in (tries, calls)}, reads=frozenset({"find"}))
    led = _led_to(case, calls, relations)
    assert (led[60], led[70], led[0]) == (pytest.approx(1.0), 2.0, 0.0)
    unread = _case(n, variables=case.variables, reads=frozenset())
    assert _led_to(unread, calls, relations)[60] == 2.0


def test_a_queue_in_golden_s_busiest_hours_is_held_against_its_curve_s_end() -> None:
    """The curve goes on to golden's busiest hour: a window of such hours waits as such hours do."""
    rng = np.random.default_rng(1)
    golden_load, busy = rng.uniform(1, 4.5, 3_000), np.full(300, 4.45)
    load = np.concatenate([golden_load, busy])
    values = 0.5 * load**2 + rng.normal(0, 0.2, load.size)
    n = load.size
    case = cast("Case", SimpleNamespace(
        golden=np.arange(n) < 3_000, window=np.arange(n) >= 3_000, load=load, ts=np.arange(n) * 3_600_000_000,
        weekly_hour=np.full(n, 12), blocks=np.arange(n) // 300, block_count=10,
    ))  # fmt: skip
    channel = Channel("spans.queue", "serving", "slower", "marginal", values)
    left = _given_load(case, channel).values
    # the middle of golden's busiest tenth lies 0.75 below what is usual at the curve's end
    assert abs(np.nanmean(left[3_000:]) - np.nanmean(left[:3_000])) < 0.4


def test_no_amount_at_all_is_less_than_the_least() -> None:
    """Of a prompt either 384 tokens are kept or none: that none is kept any more is a fall, though no amount that is left has changed."""
    kept = np.where(np.arange(1_000) % 5 > 0, 384.0, 0.0)
    kept[700:] = 0.0
    case = SimpleNamespace(golden=np.arange(1_000) < 700)
    variable = Variable("usage.cached_tokens", Field("usage.cached_tokens", Kind.NUMBER), numbers=kept)
    (channel,) = _logarithm(cast("Any", case), variable, "level", floor=0.03)
    assert channel.values[:700].mean() - channel.values[700:].mean() == pytest.approx(0.8)


def test_tokens_that_are_no_longer_kept_are_the_service_s() -> None:
    """From one moment on, and nothing else moved: what is kept of a prompt is the provider's doing, and the bill shows it."""

    def kept(records: dict[str, Any], seed: int) -> None:
        n = len(records["ts"])
        records["usage.cached_tokens"] = np.where(np.random.default_rng(seed).random(n) < 0.8, 384.0, 0.0)

    golden, window = _records(1_500, 1, 0, 240), _records(600, 2, 240, 48)
    kept(golden, 5)
    kept(window, 6)
    window["usage.cached_tokens"][200:] = 0.0
    for records in (golden, window):
        records["usage.fee_chf"] = 0.002 * records["usage.words"] + 0.0005 * (400 - records["usage.cached_tokens"])
    found = diagnose(to_arrow(golden), to_arrow(window))
    assert (found.verdict, found.findings[0].layer, found.findings[0].component) == (
        "fault",
        "serving",
        "usage.cached_tokens",
    )
