"""Flags that say yes or no: what goes by the day, by the hour, or by who asks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tests.diagnose.test_causes import suspect as one
from whimbrel.diagnose import diagnose, tables
from whimbrel.diagnose.case import DAY_US, HOUR_US, Variable
from whimbrel.diagnose.suspects import Proof
from whimbrel.drill.table import to_arrow
from whimbrel.model.fields import Field, Kind
from whimbrel.model.report import Report


@pytest.mark.parametrize(
    ("clock", "step", "proof"), [("weekday", "hour", Proof.HARD), ("weekday", "day", Proof.SOFT), ("hour", "hour", Proof.SOFT)]
)  # fmt: skip
def test_a_holiday_lasts_all_day(clock: str, step: str, proof: Proof) -> None:
    """What golden had by the weekday may be otherwise for a day, and not to and fro; what it had by the hour, for an hour."""
    ts = np.arange(200) * HOUR_US // 4
    flag = (ts // (HOUR_US if step == "hour" else DAY_US) % 2).astype(float)
    open_ = Variable("inputs.open", Field("inputs.open", Kind.NUMBER), numbers=flag)
    broken = one("inputs.open", "broken", 1.0, proof=Proof.HARD)
    relation = SimpleNamespace(target="inputs.open", parents=(clock,), exact=True, form="rule")
    channel = SimpleNamespace(detail={"relation": relation}, signature="broken")
    broken = cast("Any", SimpleNamespace(hit=SimpleNamespace(channel=channel), affected=broken.affected))
    case = SimpleNamespace(ts=ts, variables={"inputs.open": open_}, categories={})
    assert tables.came_apart(cast("Any", case), broken) is proof


@pytest.mark.parametrize(("by", "finer"), [("shop", True), ("chance", False)])
def test_shops_that_open_on_sundays_are_a_finer_table(by: str, finer: bool) -> None:
    """The day alone says it no longer, but the day and the shop do; where nothing recorded says it, there is no table any more."""
    rng = np.random.default_rng(5)
    shops = rng.integers(0, 6, 600)
    flag = (shops < 3 if by == "shop" else rng.random(600) < 0.5).astype(float)
    open_ = Variable("inputs.open", Field("inputs.open", Kind.NUMBER), numbers=flag)
    case = SimpleNamespace(categories={"context.shop": shops, "inputs.open": flag.astype(np.int64)})
    key, rows = np.repeat(np.arange(3), 200), np.ones(600, dtype=bool)
    assert tables._no_table(rows, open_.kinds, key)
    assert tables._finer(cast("Any", case), rows, open_, key) is finer


def _payments(n: int, seed: int, start: float, hours: float, *, turned: str = "") -> dict[str, Any]:
    """Payments: at the till the card is there, on the web it is not."""
    rng = np.random.default_rng(seed)
    way = rng.choice(["till", "web"], n, p=[0.6, 0.4])
    present = way == "till"
    late = np.arange(n) >= n // 3
    if turned == "all":
        present = present ^ late
    elif turned == "till":
        present = present & ~(late & (way == "till"))
    amount = rng.gamma(2, 20, n).round(2)
    odds = 0.02 * amount - 1.5 * present
    return {
        "id": np.array([f"{seed}-{i}" for i in range(n)], dtype=object),
        "ts": 1_790_000_000 + 3600 * (start + np.sort(rng.random(n)) * hours),
        "context.way": way.astype(object),
        "inputs.amount": amount,
        "inputs.present": np.where(present, "true", "false").astype(object),
        "outputs.score": 1 / (1 + np.exp(-odds)),
    }


def _report(turned: str) -> Report:
    golden, window = _payments(6_000, 1, 0, 240), _payments(2_000, 2, 240, 24, turned=turned)
    return diagnose(to_arrow(golden), to_arrow(window))


def test_a_flag_that_says_the_contrary_wherever_it_is_asked_was_inverted() -> None:
    """In each slice it has one value, so that only the whole shows the exchange."""
    report = _report("all")
    assert report.verdict == "fault"
    first = report.findings[0]
    assert (first.layer, first.component, first.where) == ("data", "inputs.present", ())


def test_a_flag_that_left_its_value_in_one_slice_is_the_world_s() -> None:
    """Cards that are held to the telephone are no longer there; on the web nothing changed."""
    assert _report("till").verdict != "fault"
