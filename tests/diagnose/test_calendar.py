"""The calendar goes on: the next pay day takes the place of the last, and so does the answer that names it. A date written or moved otherwise is a fault."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel
from whimbrel.diagnose.dates import exchanged, goes_on, turned

DAYS, WINDOW, A_DAY = 14, 2, 700
START = pd.Timestamp("2026-05-04", tz="UTC")
PAID = (1.0, 7.0, 12.1, 26.0)
"""Days after the start at which one is paid; the last but one is in the window."""


@pytest.mark.parametrize(
    ("old", "new", "on"),
    [
        ("2026-05-15", "2026-05-29", True), ("15.05.2026", "29.05.2026", True), ("2026-12-31", "2027-01-15", True),
        ("2026-05-29", "2026-05-15", False), ("05/06/2026", "06/05/2026", False), ("2026-05-06", "2026-06-05", False),
        ("2026-05-15", "15.05.2026", False), ("2026-05-15", "soon", False), ("3", "4", False), ("03/04/2026", "05/04/2026", True),
    ],
)  # fmt: skip
def test_a_later_date_of_the_same_form_goes_on(old: str, new: str, on: bool) -> None:
    assert goes_on(old, new) == on


def _pay_desk(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Questions to a pay desk, the next pay day as a tool gives it, and answers, one in thirty of which says no more than that day."""
    rng = np.random.default_rng(12)
    n, began = DAYS * A_DAY, DAYS - WINDOW
    day = np.sort(rng.random(n)) * DAYS
    site = rng.choice(["Leeds", "Lyon", "Linz"], n, p=[0.5, 0.3, 0.2])
    hit = (day >= began + 0.4) & (site == "Lyon")
    paid = PAID[2:] if event == "one so far" else PAID
    pay = [START + pd.Timedelta(days=int(at)) for at in paid]
    asked, number = rng.choice(["pay", "leave", "tax"], n, p=[0.2, 0.4, 0.4]), rng.integers(1_000, 90_000, n)
    dates, answers = [], []
    for i in range(n):
        said = pay[int(np.searchsorted(paid, day[i]))]
        if event == "kept" and hit[i]:
            said = pay[2]
        if event == "earlier" and hit[i]:
            said = pay[0]
        form = "%d.%m.%Y" if event == "form" and hit[i] else "%Y-%m-%d"
        dates.append(said.strftime(form))
        if asked[i] == "pay" and number[i] % 6 == 0:
            answers.append(f"Your next pay comes on {dates[i]}.")
        elif event == "canned" and hit[i] and number[i] % 4 == 0:
            answers.append("Please ask once more on day 1, I could not read this.")
        else:
            answers.append(f"As to {asked[i]} in {site[i]}: form {number[i]} of {number[i] % 77} has what you need.")
    score = np.round(0.3 + 0.2 * (asked == "pay") + (number % 40) / 100, 3)
    table = pd.DataFrame({
        "ts": START + pd.to_timedelta(day, unit="D"), "context.site": site, "inputs.topic": asked, "steps.calendar.next_pay": dates,
        "outputs.answer": answers, "outputs.score": score, "decision": np.where(score > 0.4, "send", "check"),
    })  # fmt: skip
    return table[day < began], table[day >= began]


@pytest.mark.parametrize(
    ("event", "component"),
    [
        ("", ""),
        ("earlier", "steps.calendar.next_pay"),
        ("one so far", ""),
        ("kept", "steps.calendar.next_pay"),
        ("form", "steps.calendar.next_pay"),
        ("canned", "outputs.answer"),
    ],
)
def test_the_next_pay_day_follows_the_last(event: str, component: str) -> None:
    report = whimbrel.diagnose(*_pay_desk(event))
    assert (report.verdict == "fault") == bool(component), report.sentence
    if component:
        first = report.findings[0]
        assert (first.component, [str(c) for c in first.where]) == (component, ["context.site=Lyon"]), report.sentence


def test_day_and_month_change_places() -> None:
    assert [exchanged(text) for text in ("2026-05-04", "04.05.2026 10:30", "soon")] == [
        "2026-04-05",
        "05.04.2026 10:30",
        "soon",
    ]
    days = pd.DatetimeIndex(
        [pd.Timestamp(day) for day in ("2026-05-04T06:00", "2026-02-12", "2026-05-31", "2024-12-01")]
    )
    moved = turned(days.to_numpy().astype("datetime64[s]").astype(float))
    told = [pd.Timestamp(at, unit="s") if np.isfinite(at) else None for at in moved]
    expected = ["2026-04-05T06:00", "2026-12-02", None, "2024-01-12"]
    assert told == [day and pd.Timestamp(day) for day in expected]


def _searches(event: str, *, typed: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Searches for what was valid on a day near today; from the window's eighth hour on the app asks for days further back, or sends the month first."""
    rng = np.random.default_rng(5)
    n, began = DAYS * A_DAY, DAYS - WINDOW
    day = np.sort(rng.random(n)) * DAYS
    ts, client = START + pd.to_timedelta(day, unit="D"), rng.choice(["app", "web"], n, p=[0.3, 0.7])
    hit = (day >= began + 0.3) & (client == "app")
    ahead = rng.integers(-30, 10, n) + np.where(hit & (event == "audit"), -rng.integers(3, 25, n), 0)
    asked = ts.normalize() + pd.to_timedelta(ahead, unit="D")
    swap = hit & (event == "month first") & (asked.day <= 12)
    asked = pd.DatetimeIndex(
        [d.replace(day=d.month, month=d.day) if s else d for d, s in zip(asked, swap, strict=True)]
    )
    size = rng.normal(0, 1, n).round(3)
    score = (size + 0.03 * np.clip((asked - ts.normalize()).days, -30, 10)).round(3)
    table = pd.DataFrame({
        "ts": ts, "context.client": client, "inputs.valid_on": asked.strftime("%d.%m.%Y") if typed else asked, "inputs.size": size,
        "outputs.score": score, "decision": np.where(score > 0, "wide", "narrow"),
    })  # fmt: skip
    return table[day < began], table[day >= began]


@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize(("event", "fault"), [("", False), ("audit", False), ("month first", True)])
def test_months_read_as_days_lie_among_golden_s_dates_the_other_way_round(event: str, fault: bool, typed: bool) -> None:
    report = whimbrel.diagnose(*_searches(event, typed=typed))
    assert (report.verdict == "fault") == fault, report.sentence
    if fault:
        first = report.findings[0]
        assert (first.layer, first.component) == ("data", "inputs.valid_on"), report.sentence
        assert [str(c) for c in first.where] == ["context.client=app"]
        assert "changed places" in first.what
