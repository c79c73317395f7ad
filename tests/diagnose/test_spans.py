"""How long a part of a request takes goes by what was asked for, how busy its host is, and which model answers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from whimbrel.diagnose import diagnose_rows, surroundings
from whimbrel.diagnose.case import HOUR_US, Case, Variable, build
from whimbrel.model.fields import Field, Kind, Schema
from whimbrel.model.rows import Categories, Column, Numbers, Rows

ROWS, GOLDEN = 6_000, 4_800


def _case(slower: float, pages: float) -> Case:
    """Letters, of which scans alone are read, page by page; the last fifth has more pages or a slower reader."""
    rng = np.random.default_rng(3)
    late = np.arange(ROWS) >= GOLDEN
    sheets = np.clip(1 + rng.poisson(np.where(late, pages, 1.5), ROWS), 1, 8).astype(float)
    scan = rng.random(ROWS) < 0.4
    took = (180 + 260 * sheets * scan) * np.exp(rng.normal(0, 0.1, ROWS)) * np.where(late & scan, slower, 1.0)
    columns: dict[str, Column] = {
        "inputs.channel": Categories(scan.astype(np.int64), ("mail", "scanner")),
        "inputs.pages": Numbers(sheets), "spans.read": Numbers(took),
    }  # fmt: skip
    rows = Rows(tuple(map(str, range(ROWS))), np.arange(ROWS) * (HOUR_US // 20), columns, ROWS)
    schema = Schema.from_pairs(
        [("inputs.channel", Kind.TEXT), ("inputs.pages", Kind.NUMBER), ("spans.read", Kind.NUMBER)]
    )
    return build(rows.take(~late), rows.take(late), schema)


@pytest.mark.parametrize("signature", ["slower", "tail"])
@pytest.mark.parametrize(("slower", "pages", "asked"), [(1.0, 3.5, True), (1.6, 1.5, False), (1.6, 2.0, False)])
def test_more_pages_take_longer(slower: float, pages: float, asked: bool, signature: str) -> None:
    """A slower reader does, too; where there are a few more pages as well it is still the reader."""
    case = _case(slower, pages)
    channel = next(c for c in surroundings._span(case, case.variables["spans.read"], None) if c.signature == signature)
    scan = case.variables["inputs.channel"].codes == 1
    before, after = (float(channel.values[scan & rows].mean()) for rows in (case.golden, case.window))
    suspect = SimpleNamespace(
        component="spans.read", hit=SimpleNamespace(channel=channel), inside=scan, affected=scan & case.window,
        before=before, after=after, shift=after - before,
    )  # fmt: skip
    assert surroundings.asked_for(case, cast("Any", suspect)) is asked


@pytest.mark.parametrize("more", [0.7, 0.45])
def test_an_image_that_came_at_all_takes_its_time(more: float) -> None:
    """Nothing can be learned of an image's name but that there is one; with as many as ever nothing explains a slower reader."""
    rng = np.random.default_rng(5)
    late = np.arange(ROWS) >= GOLDEN
    image = rng.random(ROWS) < np.where(late, more, 0.45)
    slower = np.where(late & (more == 0.45), 3.0, 1.0)
    took = np.where(image, 20.0, 0.1) * np.exp(rng.normal(0, 0.1, ROWS)) * slower
    columns: dict[str, Column] = {
        "inputs.image": Categories(np.where(image, np.arange(ROWS), -1), tuple(f"img{i}" for i in range(ROWS))),
        "inputs.length": Numbers(rng.integers(0, 500, ROWS).astype(float)), "spans.hash": Numbers(took),
    }  # fmt: skip
    rows = Rows(tuple(map(str, range(ROWS))), np.arange(ROWS) * (HOUR_US // 20), columns, ROWS)
    schema = Schema.from_pairs(
        [("inputs.image", Kind.TEXT), ("inputs.length", Kind.NUMBER), ("spans.hash", Kind.NUMBER)]
    )
    case = build(rows.take(~late), rows.take(late), schema)
    channel = next(c for c in surroundings._span(case, case.variables["spans.hash"], None) if c.signature == "slower")
    before, after = (float(channel.values[side].mean()) for side in (case.golden, case.window))
    suspect = SimpleNamespace(
        component="spans.hash", hit=SimpleNamespace(channel=channel), inside=np.ones(ROWS, dtype=bool),
        affected=case.window, before=before, after=after, shift=after - before,
    )  # fmt: skip
    assert surroundings.asked_for(case, cast("Any", suspect)) is (more > 0.45)


@pytest.mark.parametrize("farther", [1.0, 1.5])
def test_a_longer_way_takes_longer(farther: float) -> None:
    """Of two places a step makes a way, which no tree makes of them; a way as long as ever excuses nothing."""
    rng = np.random.default_rng(6)
    late = np.arange(ROWS) >= GOLDEN
    x, y = rng.uniform(0, 10, ROWS), rng.uniform(0, 10, ROWS)
    to = [there + rng.normal(0, 2, ROWS) * np.where(late, farther, 1.0) for there in (x, y)]
    way = np.hypot(to[0] - x, to[1] - y).round(2)
    took = 3 * np.sqrt(way + 0.5) * np.exp(rng.normal(0, 0.1, ROWS)) * np.where(late & (farther == 1.0), 1.3, 1.0)
    columns: dict[str, Column] = {
        "inputs.x": Numbers(x), "inputs.y": Numbers(y), "inputs.to_x": Numbers(to[0]), "inputs.to_y": Numbers(to[1]),
        "steps.route.way": Numbers(way), "outputs.score": Numbers(way * 2), "spans.route": Numbers(took),
    }  # fmt: skip
    rows = Rows(tuple(map(str, range(ROWS))), np.arange(ROWS) * (HOUR_US // 20), columns, ROWS)
    case = build(rows.take(~late), rows.take(late), Schema.from_pairs([(path, Kind.NUMBER) for path in columns]))
    channel = next(c for c in surroundings._span(case, case.variables["spans.route"], None) if c.signature == "slower")
    before, after = (float(channel.values[side].mean()) for side in (case.golden, case.window))
    suspect = SimpleNamespace(
        component="spans.route", hit=SimpleNamespace(channel=channel), inside=np.ones(ROWS, dtype=bool),
        affected=case.window, before=before, after=after, shift=after - before,
    )  # fmt: skip
    assert surroundings.asked_for(case, cast("Any", suspect)) is (farther > 1.0)


def _served(rows: int, hosts: np.ndarray, *, busier: float = 1.0, slower: float = 1.0, golden: float = 0.75) -> Case:
    """Twenty days, the last five of which may be busier or slower: a time that varies by half goes up a little with the requests of the hour."""
    rng = np.random.default_rng(5)
    hours = np.arange(20 * 24)
    late = hours >= golden * hours.size
    weights = (1 + 0.6 * np.sin(hours % 24 / 24 * 2 * np.pi)) * np.where(late, busier, 1.0)
    at = np.sort(rng.choice(hours, rows, p=weights / weights.sum()))
    took = 90 * np.exp(0.5 * rng.normal(size=rows)) * (1 + 0.1 * weights[at]) * np.where(late[at], slower, 1.0)
    columns: dict[str, Column] = {
        "hardware.host": Categories(hosts[late[at].astype(int), rng.integers(0, hosts.shape[1], rows)], ("a", "b", "c", "d")),
        "spans.read": Numbers(took),
    }  # fmt: skip
    table = Rows(tuple(map(str, range(rows))), at * HOUR_US + rng.integers(0, HOUR_US, rows), columns, rows)
    schema = Schema.from_pairs([("hardware.host", Kind.TEXT), ("spans.read", Kind.NUMBER)])
    return build(table.take(~late[at]), table.take(late[at]), schema)


@pytest.mark.parametrize(("busier", "slower", "left"), [(1.35, 1.0, False), (1.0, 1.09, True)])
def test_a_busy_week_takes_a_little_longer(busier: float, slower: float, left: bool) -> None:
    """Golden's busy hours say how much, however little of a single time they explain; what is slower at the usual load stands out."""
    case = _served(30_000, np.array([[0, 1, 2, 3]] * 2), busier=busier, slower=slower)
    channel = next(c for c in surroundings._span(case, case.variables["spans.read"], None) if c.signature == "slower")
    rise = np.nanmean(channel.values[case.window]) - np.nanmean(channel.values[case.golden])
    assert bool(rise > 0.05) is left


def test_a_host_that_bears_another_s_requests_is_busier_and_a_small_one_that_grew_is_not() -> None:
    plain, gone, grown = (
        _served(12_000, np.array(hosts))
        for hosts in (
            [[0, 1, 2, 3]] * 2,
            [[0, 1, 2, 3], [0, 0, 2, 3]],
            [[0, 1, 2, 2, 0, 1, 2, 3], [0, 0, 1, 1, 2, 2, 3, 3]],
        )
    )
    crowded = [case._crowded()[case.window & (case.variables["hardware.host"].codes == host)] for case, host in
               ((plain, 0), (gone, 0), (gone, 2), (grown, 3))]  # fmt: skip
    assert [round(float(np.median(times)), 1) for times in crowded] == [0.0, 0.7, 0.0, 0.0]


@pytest.mark.parametrize(
    ("slower", "where", "begins", "priced_in"),
    [(1.2, "all", 0, True), (1.8, "all", 0, False), (1.3, "host", 0, False), (1.3, "all", 300, False)],
)
def test_a_new_model_may_take_a_little_longer(slower: float, where: str, begins: int, priced_in: bool) -> None:
    """Not half as long again, not on one host alone, and not from some later time on."""
    rng = np.random.default_rng(8)
    rows = np.arange(2_000)
    golden, host = rows < 1_000, rng.integers(0, 8, 2_000)
    inside = (host == 3) | (where == "all")
    new = rows >= 1_400
    affected = inside & (rows >= 1_400 + begins)
    took = 12 * np.exp(0.15 * rng.normal(size=2_000)) * np.where(affected, slower, 1.0)
    variable = Variable("spans.model", Field("spans.model", Kind.NUMBER), numbers=took)
    case = cast("Any", SimpleNamespace(golden=golden, variables={"spans.model": variable}))
    hit = SimpleNamespace(channel=SimpleNamespace(signature="slower"))
    span = SimpleNamespace(component="spans.model", hit=hit, hits=(hit,), inside=inside, affected=affected)
    identity = SimpleNamespace(component="model.version", inside=np.ones_like(new), affected=new)
    assert surroundings.of_new_model(case, cast("Any", span), cast("Any", [identity])) is priced_in


@pytest.mark.parametrize("slow", [5, 40])
def test_a_few_calls_of_a_tiny_zone_may_be_slow(slow: int) -> None:
    """Five of seventeen that took as long as golden's slowest are what any service has; forty of twice as many and more are not."""
    rng = np.random.default_rng(9)
    late = np.arange(ROWS) >= GOLDEN
    calls = 14 * slow // 4
    tiny = np.zeros(ROWS, dtype=bool)
    tiny[rng.choice(GOLDEN, 900, replace=False)] = True
    tiny[GOLDEN + 100 + rng.choice(1_000, calls, replace=False)] = True
    took = 4 * np.exp(rng.normal(0, 0.15, ROWS))
    took[rng.choice(np.flatnonzero(~tiny & ~late), 3, replace=False)] *= 11
    took[rng.choice(np.flatnonzero(tiny & late), slow, replace=False)] *= 8
    columns: dict[str, Column] = {
        "context.zone": Categories(tiny.astype(np.int64), ("town", "island")), "spans.decide": Numbers(took),
    }  # fmt: skip
    rows = Rows(tuple(map(str, range(ROWS))), np.arange(ROWS) * (HOUR_US // 40), columns, ROWS)
    schema = Schema.from_pairs([("context.zone", Kind.TEXT), ("spans.decide", Kind.NUMBER)])
    report = diagnose_rows(rows.take(~late), rows.take(late), schema, app="zones")
    assert (report.verdict == "fault") is (slow > 8), report.sentence
