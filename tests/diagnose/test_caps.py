"""Who has had two vouchers this day is given no third: a counter that forgets breaks what no single row shows, and a rule that reads it can be learned."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from whimbrel.diagnose import diagnose


def _asked(how: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Visits, of whom the likely ones are offered a voucher, two a member and day, staff none.

    From the window's ninth hour on the counter forgets, more come, or the web shop offers them to staff.
    """
    rng = np.random.default_rng(6)
    days, per_day, members = 9, 2_400, 700
    hour = np.sort(rng.random(days * per_day) * 24 * days)
    who = np.minimum(rng.geometric(0.006, hour.size), members)
    if how == "campaign":
        late = np.flatnonzero(hour > 24 * (days - 1) + 9)
        who[late] = np.where(rng.random(late.size) < 0.3, rng.integers(1, 30, late.size), who[late])
    basket = rng.gamma(3, 12, hour.size).round(1)
    score = 1 / (1 + np.exp(-(basket / 20 - 2.2 + rng.normal(0, 0.3, hour.size))))
    staff, store = rng.random(hour.size) < 0.25, rng.choice(["north", "south", "web"], hour.size)
    given: dict[tuple[int, int], int] = {}
    decision = []
    for at, member, likely, own, shop in zip(hour, who, score, staff, store, strict=True):
        broken = at > 24 * (days - 1) + 9
        forgets, own = how == "forgets" and broken, own and not (how == "staff" and broken and shop == "web")
        cell = (int(member), int(at * 4) if forgets else -int(at // 24))
        offered = likely > 0.4 and not own and given.get(cell, 0) < 2
        given[cell] = given.get(cell, 0) + offered
        decision.append("voucher" if offered else "none")
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-10-05", tz="UTC") + pd.to_timedelta(hour, unit="h"), "inputs.member": [f"m{one}" for one in who],
        "inputs.basket": basket, "inputs.staff": staff, "context.store": store, "outputs.score": score.round(5), "decision": decision,
    })  # fmt: skip
    return table[hour < 24 * (days - 1)], table[hour >= 24 * (days - 1)]


@pytest.mark.parametrize("how", ["", "campaign", "forgets"])
def test_a_counter_that_forgets_is_told_from_members_who_come_oftener(how: str) -> None:
    report = diagnose(*_asked(how))
    if how != "forgets":
        assert report.verdict != "fault", report.sentence
        return
    first = report.findings[0]
    assert (report.verdict, first.layer, first.component) == ("fault", "decision", "decision"), report.sentence
    assert "inputs.member has had" in first.what
    assert "'voucher'" in first.what


def test_a_rule_that_reads_how_often_it_decided_so_of_late_is_learned() -> None:
    report = diagnose(*_asked("staff"))
    first = report.findings[0]
    assert (report.verdict, first.layer, first.component) == ("fault", "decision", "decision"), report.sentence
    assert [(one.path, one.value) for one in first.where] == [("context.store", "web"), ("inputs.staff", "true")]
    assert "100% of them 'voucher' where golden gave 'none'" in first.what
