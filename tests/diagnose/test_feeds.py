"""What only a broken feed does, in one region of a shop that sells by weight; and what the world does that looks much like it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from whimbrel.diagnose import diagnose, feeds
from whimbrel.diagnose.case import HOUR_US, Variable, build
from whimbrel.diagnose.feeds import end
from whimbrel.diagnose.gather import gather
from whimbrel.diagnose.scan import Scan
from whimbrel.diagnose.suspects import Proof
from whimbrel.drill.table import to_arrow
from whimbrel.model.fields import Field, Kind, Schema
from whimbrel.model.report import Report
from whimbrel.model.rows import Bools, Numbers, Rows

START = 1_790_000_000
Broken = Callable[[dict[str, Any], Bools, np.random.Generator], None]


def _orders(n: int, seed: int, start_hour: float, hours: float, change: Broken | None = None) -> dict[str, Any]:
    """Orders whose price depends on weight, fill and grade, each drawn by itself; half of the window's regions may be hit."""
    rng = np.random.default_rng(seed)
    ts = START + 3600 * (start_hour + np.sort(rng.random(n)) * hours)
    rows: dict[str, Any] = {
        "id": np.array([f"{seed}-{i}" for i in range(n)], dtype=object),
        "ts": ts,
        "context.region": rng.choice(["coast", "hills", "plain", "island"], n).astype(object),
        "inputs.grams": np.round(np.exp(6 + 0.6 * rng.standard_normal(n)), 2),
        "inputs.fill": np.round(rng.beta(3, 2, n), 5),
        "inputs.grade": rng.choice(["a", "b", "c", "d"], n, p=[0.2, 0.25, 0.3, 0.25]).astype(object),
    }
    if change is not None:
        change(rows, (rows["context.region"] == "hills") & (ts >= ts[n // 4]), rng)
    worth = (
        np.log(rows["inputs.grams"]) + 3 * rows["inputs.fill"] + np.array([ord(g) for g in rows["inputs.grade"]]) / 2
    )
    rows["outputs.score"] = 1 / (1 + np.exp(-2 * (worth - 57.5)))
    rows["decision"] = np.where(rows["outputs.score"] > 0.5, "offer", "wait").astype(object)
    return rows


def _report(change: Broken) -> Report:
    return diagnose(to_arrow(_orders(6_000, 1, 0, 240)), to_arrow(_orders(2_400, 2, 240, 48, change)))


def _hundredfold(rows: dict[str, Any], hit: Bools, rng: np.random.Generator) -> None:
    some = hit & (rng.random(hit.size) < 0.3)
    rows["inputs.grams"] = np.where(some, 100 * rows["inputs.grams"], rows["inputs.grams"])


def _gain(rows: dict[str, Any], hit: Bools, _rng: np.random.Generator) -> None:
    rows["inputs.fill"] = np.where(hit, 1.25 * rows["inputs.fill"], rows["inputs.fill"])


def _stutter(rows: dict[str, Any], hit: Bools, _rng: np.random.Generator) -> None:
    at = np.flatnonzero(hit)
    for name in ("inputs.grams",):
        rows[name] = rows[name].copy()
        rows[name][at] = rows[name][at[np.arange(at.size) // 12 * 12]]


def _merged(rows: dict[str, Any], hit: Bools, _rng: np.random.Generator) -> None:
    rows["inputs.grade"] = np.where(hit & (rows["inputs.grade"] == "a"), "d", rows["inputs.grade"])


@pytest.mark.parametrize(
    ("change", "component", "words"),
    [
        (_hundredfold, "inputs.grams", "100 times larger"), (_gain, "inputs.fill", "beyond the end"),
        (_stutter, "inputs.grams", "says the same again"), (_merged, "inputs.grade", "two arrive as one"),
    ],
)  # fmt: skip
def test_a_broken_feed_is_named_with_its_slice(change: Broken, component: str, words: str) -> None:
    report = _report(change)
    assert report.verdict == "fault", report.sentence
    first = report.findings[0]
    assert (first.layer, first.component) == ("data", component), report.sentence
    assert [str(c) for c in first.where] == ["context.region=hills"], report.sentence
    assert words in report.sentence


def _rebated(grades: tuple[float, ...], divided_by: float = 1.0) -> Broken:
    """Most have no rebate, the others one of a few percentages; those that are hit may have theirs as a fraction."""

    def change(rows: dict[str, Any], hit: Bools, rng: np.random.Generator) -> None:
        rebate = rng.choice([0.0, *grades], hit.size, p=[0.8, *[0.2 / len(grades)] * len(grades)])
        rows["inputs.rebate"] = np.where(hit, rebate / divided_by, rebate)
        rows["inputs.grams"] = np.round(rows["inputs.grams"] * (1 + rows["inputs.rebate"] / 100), 2)

    return change


@pytest.mark.parametrize(
    ("window", "broken"), [(_rebated((10, 20, 30), 100), True), (_rebated((5, 10, 20, 30, 35)), False)]
)
def test_percentages_that_come_as_fractions_are_told_where_most_are_nought(window: Broken, broken: bool) -> None:
    """None lies outside golden's range; other percentages than golden's are a campaign."""
    golden = _orders(6_000, 1, 0, 240, _rebated((10, 20, 30)))
    report = diagnose(to_arrow(golden), to_arrow(_orders(2_400, 2, 240, 48, window)))
    assert bool(report.findings) == broken, report.sentence
    if broken:
        first = report.findings[0]
        assert (first.layer, first.component) == ("data", "inputs.rebate"), report.sentence
        assert [str(c) for c in first.where] == ["context.region=hills"], report.sentence
        assert "100 times smaller" in report.sentence


def _heavy(rows: dict[str, Any], hit: Bools, rng: np.random.Generator) -> None:
    """A campaign for large parcels: heavier than any before, and few of them."""
    some = hit & (rng.random(hit.size) < 0.3)
    rows["inputs.grams"] = np.where(some, 3 * rows["inputs.grams"], rows["inputs.grams"])


def _sent_again(rows: dict[str, Any], hit: Bools, _rng: np.random.Generator) -> None:
    """A client that sends each order several times over."""
    at = np.flatnonzero(hit)
    for name in ("inputs.grams", "inputs.fill", "inputs.grade"):
        rows[name] = rows[name].copy()
        rows[name][at] = rows[name][at[np.arange(at.size) // 4 * 4]]


def _other_taste(rows: dict[str, Any], hit: Bools, rng: np.random.Generator) -> None:
    """One grade is sold out, and people take whichever of the others they like."""
    gone = hit & (rows["inputs.grade"] == "a")
    rows["inputs.grade"] = np.where(gone, rng.choice(["b", "c", "d"], hit.size), rows["inputs.grade"])


def _weighed_roughly(rows: dict[str, Any], _hit: Bools, _rng: np.random.Generator) -> None:
    rows["inputs.grams"] = np.round(rows["inputs.grams"], -1)


@pytest.mark.parametrize("change", [_heavy, _sent_again, _other_taste])
def test_what_people_do_is_no_broken_feed(change: Broken) -> None:
    report = _report(change)
    assert report.verdict != "fault", report.sentence


def test_orders_that_come_again_among_others_are_known_by_all_that_they_say() -> None:
    """A coarse weight is looked for among fewer orders before than a fine one: what comes again there is still the whole order."""

    def again(rows: dict[str, Any], hit: Bools, rng: np.random.Generator) -> None:
        _weighed_roughly(rows, hit, rng)
        at = np.flatnonzero(hit)
        mixed = np.argsort(np.arange(at.size) // 40 + 0.99 * rng.random(at.size))
        for name in ("inputs.grams", "inputs.fill", "inputs.grade"):
            rows[name] = rows[name].copy()
            rows[name][at[mixed]] = rows[name][at[np.arange(at.size) // 4 * 4]]

    golden, window = _orders(6_000, 1, 0, 240, _weighed_roughly), _orders(2_400, 2, 240, 48, again)
    report = diagnose(to_arrow(golden), to_arrow(window))
    assert report.verdict != "fault", report.sentence


@pytest.mark.parametrize(("now", "proofs"), [("held", [Proof.HARD]), ("flat", [Proof.SOFT]), ("usual", [])])
def test_a_coarse_price_stutters_where_it_repeats_more_than_in_any_order(now: str, proofs: list[Proof]) -> None:
    """Of sixty prices one of the last five comes again by chance; one in stretches of twenty rows is a feed's, one for most of the day a shop's."""
    rng = np.random.default_rng(6)
    rows = np.arange(8_000)
    price = rng.integers(0, 60, rows.size).astype(float)
    late = rows >= 7_000
    price = np.where(late & (now == "held"), price[rows // 20 * 20], price)
    price = np.where(late & (now == "flat") & (rng.random(rows.size) < 0.7), 9.0, price)
    columns = {"inputs.price": Numbers(price), "inputs.weight": Numbers(rng.gamma(2, 1, rows.size))}
    table = Rows(tuple(map(str, rows)), rows * (HOUR_US // 30), columns, rows.size)
    schema = Schema.from_pairs([(path, Kind.NUMBER) for path in columns])
    case = build(table.take(rows < 6_000), table.take(rows >= 6_000), schema)
    channels = feeds._stutters(case, [case.variables["inputs.price"]])
    assert [s.proof for s in gather(case, Scan(case).hits(channels))] == proofs


def test_an_end_is_found_where_there_is_one() -> None:
    rng = np.random.default_rng(5)
    even, thin = rng.random(5_000), rng.beta(3, 2, 5_000)
    assert all(0.98 < (end(x) or 0) < 1.1 for x in (even, thin, np.minimum(rng.exponential(1, 5_000), 1.0)))
    assert all(
        end(x) is None
        for x in (rng.exponential(1, 5_000), rng.standard_normal(5_000), np.exp(rng.standard_normal(5_000)))
    )


@pytest.mark.parametrize(("path", "after", "proof"), [
    ("steps.retrieve.nearest", 0.7, Proof.FIRM), ("steps.retrieve.nearest", 0.15, Proof.SOFT), ("inputs.share", 0.15, Proof.FIRM),
])  # fmt: skip
def test_what_a_step_looks_up_leaves_its_range_as_a_whole(path: str, after: float, proof: Proof) -> None:
    """Another distance measure does; questions about a new product lead a part of the rows where golden never was."""
    ts, rng = np.arange(4_000) * HOUR_US // 40, np.random.default_rng(3)
    values, excess = rng.uniform(0.7, 0.9, ts.size), np.zeros(ts.size)
    hit = (ts >= 90 * HOUR_US) & (rng.random(ts.size) < after)
    values[hit], excess[hit] = 0.5, 1.0
    variable = Variable(path, Field(path, Kind.NUMBER), numbers=values)
    golden = ts < 80 * HOUR_US
    case = SimpleNamespace(ts=ts, golden=golden, window=~golden, categories={}, variables={path: variable})
    channel = SimpleNamespace(component=path, signature="over")
    suspect = SimpleNamespace(
        hit=SimpleNamespace(channel=channel, excess=excess), where=(), inside=np.ones(ts.size, dtype=bool), after=after,
        shift=after, affected=ts >= 90 * HOUR_US, since_us=90 * HOUR_US,
    )  # fmt: skip
    assert feeds.proof(cast("Any", case), cast("Any", suspect)) is proof


@pytest.mark.parametrize("held", [True, False])
def test_a_meter_that_is_asked_every_few_minutes_and_stands_still(held: bool) -> None:
    """The gateways of one maker repeat each meter's last reading; several are read in an hour, and their power goes with the sun."""
    rng = np.random.default_rng(11)

    def readings(start: int, stop: int) -> dict[str, Any]:
        quarters, meters = np.meshgrid(np.arange(start, stop), np.arange(30), indexing="ij")
        quarter, meter = quarters.ravel(), meters.ravel()
        sun = np.maximum(np.sin(np.pi * ((quarter % 96) - 24) / 48), 0.05)
        power = np.round((1 + meter % 7) * sun * rng.gamma(20, 1 / 20, quarter.size), 3)
        warm = np.round(10 + 8 * sun + rng.normal(0, 1, quarter.size), 2)
        stopped = start + 60
        if held and start:
            at = (meter % 3 == 0) & (quarter > stopped)
            power[at] = power[(quarter == stopped)][meter[at]]
        score = power / (1 + meter % 7)
        return {
            "id": np.array([f"{start}-{i}" for i in range(quarter.size)], dtype=object), "ts": START + 900.0 * quarter,
            "context.maker": np.array(["sol", "lux", "ray"], dtype=object)[meter % 3],
            "inputs.meter": np.array([f"m{i}" for i in meter], dtype=object), "inputs.power": power, "inputs.warmth": warm,
            "outputs.score": score, "decision": np.where(score > 0.5, "sell", "hold").astype(object),
        }  # fmt: skip

    report = diagnose(to_arrow(readings(0, 96 * 8)), to_arrow(readings(96 * 8, 96 * 10)))
    if not held:
        assert report.verdict != "fault", report.sentence
        return
    first = report.findings[0]
    assert (first.layer, first.component, [str(c) for c in first.where]) == (
        "data",
        "inputs.power",
        ["context.maker=sol"],
    ), report.sentence
    assert "the source was not refreshed" in report.sentence
