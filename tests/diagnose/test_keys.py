"""What goes by a key goes by it still: levels may move, all of them or one, and none becomes another's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from whimbrel.diagnose import diagnose, diagnose_rows, keys
from whimbrel.diagnose.case import Case, Variable, build
from whimbrel.drill.table import to_arrow
from whimbrel.model.fields import Field, Kind, Schema
from whimbrel.model.rows import Categories, Column, Numbers, Rows

from .shop import SCHEMA, Cells, cells, rows, serve

CLEAN = np.zeros(20_000, dtype=bool)
LEVEL = {"AT": 4.0, "DE": 7.0, "US": 12.0, "JP": 20.0}

Change = Callable[[Cells, np.ndarray], np.ndarray]


def weighed(c: Cells, countries: np.ndarray) -> np.ndarray:
    """Parcels of one country are heavier than those of another."""
    level = np.array([LEVEL[country] for country in countries])
    normal = np.sqrt(-2 * np.log(c["noise"][0] + 1e-12)) * np.cos(6.28 * c["noise"][1])
    out: np.ndarray = np.round(level * (1 + 0.3 * normal), 3)
    return out


def both(change: Change) -> tuple[Cells, Cells]:
    """Golden and a window in which the weight is what `change` makes of it from its second quarter on."""
    golden, window = cells(20_000, 5, hours=240, start_hour=0), cells(6_000, 6, hours=24, start_hour=240)
    golden["inputs.weight"] = weighed(golden, golden["context.country"])
    late = np.arange(6_000) >= 1_500
    clean = weighed(window, window["context.country"])
    window["inputs.weight"] = np.where(late, change(window, clean), clean)
    return serve(golden, CLEAN), serve(window, CLEAN[:6_000])


def another(c: Cells, _: np.ndarray) -> np.ndarray:
    """The look-up answers for another country."""
    turn = dict(zip(LEVEL, reversed(LEVEL), strict=True))
    return weighed(c, np.array([turn[country] for country in c["context.country"]]))


def nobody(c: Cells, clean: np.ndarray) -> np.ndarray:
    """Each row gets the value of some other row."""
    return np.random.default_rng(1).permutation(clean)


def heavier(c: Cells, clean: np.ndarray) -> np.ndarray:
    """All that is sent becomes heavier."""
    return clean * 1.3


def festival(c: Cells, clean: np.ndarray) -> np.ndarray:
    """One country sends twice as heavy parcels."""
    return np.where(c["context.country"] == "AT", clean * 4.0, clean)


def departure(change: Change) -> float:
    """How far the late part of the window is from its keys' levels."""
    golden, window = both(change)
    case: Case = build(rows(golden, "g"), rows(window, "w"), SCHEMA)
    (channel,) = [c for c in keys.channels(case, {}) if c.component == "inputs.weight"]
    assert channel.detail["key"] == "context.country"
    assert abs(float(np.nanmean(channel.values[case.golden]))) < 0.1
    late = case.window & (case.ts > np.quantile(case.ts[case.window], 0.25))
    return float(np.nanmean(channel.values[late]))


@pytest.mark.parametrize(("change", "least", "most"), [(another, 0.95, 3.0), (nobody, 0.85, 1.15)])
def test_values_of_another_key_are_far_from_their_own(change: Change, least: float, most: float) -> None:
    """1 where the key says nothing any more, more where it says what another's level is."""
    assert least < departure(change) < most


@pytest.mark.parametrize("change", [heavier, festival])
def test_levels_that_move_are_the_world_s(change: Change) -> None:
    """All of them, or one: what each key's rows are beside the others' holds for the rest."""
    assert departure(change) < keys.ANOTHER


@pytest.mark.parametrize(
    ("levels", "noise", "dealt"),
    [
        ([3, 9, 1, 12, 5, 16, 7, 20], 0.1, True), ([6, 18, 2, 24, 10, 32, 14, 40], 0.1, True), ([3, 4, 5, 9, 14, 15, 16, 2], 0.1, False),
        ([9] * 8, 5.0, True), ([12, 1, 3], 0.1, False),
    ],
)  # fmt: skip
def test_a_table_that_is_renewed_is_no_wrong_key(levels: list[float], noise: float, dealt: bool) -> None:
    """The same levels dealt to others, in other money even, or none at all: not a list of new prices, nor a few of them."""
    draw = np.random.default_rng(1)
    golden_levels = np.array([1, 3, 5, 7, 9, 12, 16, 20.0])[: len(levels)]
    codes = draw.integers(0, len(levels), 4_000)
    golden = np.arange(4_000) < 3_000
    values = np.where(golden, golden_levels[codes], np.array(levels, float)[codes]) + draw.normal(0, noise, 4_000)
    numbers = Variable("inputs.price", Field("inputs.price", Kind.NUMBER), numbers=values)
    shops = Variable("inputs.shop", Field("inputs.shop", Kind.TEXT), codes=codes, vocabulary=tuple("abcdefgh"))
    case = SimpleNamespace(golden=golden, variables={"inputs.price": numbers, "inputs.shop": shops})
    assert keys.dealt_otherwise(cast("Any", case), "inputs.price", "inputs.shop", ~golden) is dealt


def test_a_look_up_by_the_wrong_key_is_named() -> None:
    """In words that say by what it went."""
    golden, window = both(nobody)
    found = diagnose_rows(rows(golden, "g"), rows(window, "w"), SCHEMA, app="shop")
    assert (found.verdict, found.findings[0].component) == ("fault", "inputs.weight"), found.sentence
    assert "no longer go by context.country" in found.findings[0].what


LEVELS = np.random.default_rng(0).normal(3, 0.6, 900)
"""What each of many customers usually spends, as a logarithm."""

Spent = Callable[[dict[str, Any], np.random.Generator], Any]


def customers(n: int, seed: int, start_hour: float, hours: float, change: Spent | None = None) -> dict[str, Any]:
    """Predictions about customers whose average a store looks up; `change` says what it answers instead."""
    rng = np.random.default_rng(seed)
    who = rng.integers(0, LEVELS.size, n)
    out: dict[str, Any] = {
        "id": np.array([f"{seed}-{i}" for i in range(n)], dtype=object),
        "ts": 1_700_000_000 + 3600 * (start_hour + np.sort(rng.random(n)) * hours),
        "context.device": rng.choice(["phone", "desk"], n, p=[0.3, 0.7]).astype(object),
        "inputs.customer": np.array([f"c{one}" for one in who], dtype=object),
        "inputs.amount": np.round(rng.gamma(3, 20, n), 2),
        "steps.store.average": np.round(np.exp(LEVELS[who] + rng.normal(0, 0.4, n)), 2),
    }
    if change is not None:
        out["steps.store.average"] = change(out, rng)
    score = 1 / (1 + np.exp(1.5 - out["inputs.amount"] / 40 + out["steps.store.average"] / 20))
    return out | {"outputs.score": score.round(4), "decision": np.where(score > 0.4, "ask", "pass").astype(object)}


def of_the_one_before(c: dict[str, Any], _: np.random.Generator) -> Any:
    """A cache on one kind of device hands out what the last one asked for."""
    return np.where(c["context.device"] == "phone", np.roll(c["steps.store.average"], 1), c["steps.store.average"])


def of_somebody(c: dict[str, Any], _: np.random.Generator) -> Any:
    """A cache on one kind of device hands out what somebody asked for a while ago."""
    return np.where(c["context.device"] == "phone", np.roll(c["steps.store.average"], 9), c["steps.store.average"])


def sale(c: dict[str, Any], rng: np.random.Generator) -> Any:
    """On that device all spend twice as much, some far more."""
    more = np.where(c["context.device"] == "phone", 2 * np.exp(rng.normal(0, 0.3, len(c["ts"]))), 1.0)
    return c["steps.store.average"] * more


def slump(c: dict[str, Any], rng: np.random.Generator) -> Any:
    """On that device all spend a quarter, some hardly anything."""
    less = np.where(c["context.device"] == "phone", 0.25 * np.exp(rng.normal(0, 0.5, len(c["ts"]))), 1.0)
    return c["steps.store.average"] * less


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (of_somebody, "no longer go by inputs.customer"),
        (of_the_one_before, "those of the request before it"),
        (sale, ""),
        (slump, ""),
        (None, ""),
    ],
)
def test_what_goes_by_an_id_is_another_s(change: Spent | None, says: str) -> None:
    """Though its distribution is what it was; what all of them do is the world's. Whose it is, is said where it is the request's just before."""
    golden, window = customers(12_000, 1, 0, 240), customers(3_000, 2, 240, 24, change)
    found = diagnose(to_arrow(golden), to_arrow(window)).findings
    told = [f for f in found if "no longer go by inputs.customer" in f.what or "those of the request" in f.what]
    assert [[c.value for c in f.where] for f in told] == ([["phone"]] if says else [])
    assert all(says in f.what for f in told)
    assert all(f.component == "steps.store.average" and f.harmful for f in told)


def test_ids_that_hardly_come_again_are_no_keys() -> None:
    rng = np.random.default_rng(3)
    golden, codes = np.arange(4_000) < 3_000, rng.permutation(4_000)
    ids = Variable("inputs.order", Field("inputs.order", Kind.TEXT), codes=codes, vocabulary=tuple(map(str, codes)))
    case = SimpleNamespace(golden=golden, blocks=np.arange(4_000) // 500)
    assert not keys.comes_again(cast("Any", case), ids)
    assert keys.comes_again(cast("Any", case), replace(ids, codes=codes // 40))


def test_ranks_in_a_stretch_of_time_are_those_of_a_plain_loop() -> None:
    """Ties share the middle of their places, and what is null has none."""
    rng = np.random.default_rng(3)
    values = np.round(rng.normal(size=2_000), 1)
    values[rng.random(2_000) < 0.1] = np.nan
    stretches = np.sort(rng.integers(0, 40, 2_000)).astype(np.uint8)
    found = keys._ranks(Variable("inputs.x", Field("inputs.x", Kind.NUMBER), numbers=values), stretches)
    for stretch in range(40):
        here = stretches == stretch
        own = values[here & ~np.isnan(values)]
        places = [(own < v).sum() + (own == v).sum() / 2 for v in own]
        assert np.allclose(found[here & ~np.isnan(values)], (np.array(places) / own.size - 0.5) * np.sqrt(12.0))
    assert (np.isnan(found) == np.isnan(values)).all()


@pytest.mark.parametrize("longest", [5, 30])
def test_a_date_is_no_key(longest: int) -> None:
    """What goes by the day on which something was ordered ages with it, and shops and customers order on any day."""
    rng = np.random.default_rng(4)
    days = np.sort(rng.random(6_000)) * 12
    placed = np.floor(days) - np.floor(rng.gamma(2, longest / 4, 6_000))

    def asked(of: Callable[[Case, Variable], bool], values: np.ndarray) -> bool:
        words, codes = np.unique(values.astype(str), return_inverse=True)
        key = Variable("inputs.key", Field("inputs.key", Kind.TEXT), codes=codes, vocabulary=tuple(words))
        case = SimpleNamespace(golden=days < 10, ts=days * 86_400e6, blocks=(days // 2).astype(int), visits=None)
        return of(cast("Any", case), key)

    assert asked(keys._dated, placed)
    assert not asked(keys._dated, rng.integers(0, 12, 6_000))
    assert not asked(keys._dated, rng.integers(0, 1_500, 6_000))
    assert not asked(keys._is_id, placed)
    assert asked(keys._is_id, rng.integers(0, 1_500, 6_000))


def fleet(machines: np.ndarray) -> tuple[Case, Variable]:
    """Golden's 4,000 rows of a hundred machines, and a window's 1,000 of those given."""
    codes = np.append(np.arange(4_000) % 100, machines)
    key = Variable(
        "context.machine", Field("context.machine", Kind.TEXT), codes=codes, vocabulary=tuple(map(str, range(120)))
    )
    golden = np.arange(5_000) < 4_000
    case = SimpleNamespace(
        visits=None,
        golden=golden,
        window=~golden,
        ts=np.arange(5_000) * 1e6,
        blocks=np.arange(5_000) // 500,
        of=lambda *_: [key],
        variables={key.name: key},
    )
    return cast("Any", case), key


@pytest.mark.parametrize(
    ("machines", "few", "strangers"),
    [([7, 7], True, False), ([1, 2, 3, 4, 5, 6, 7], False, False), ([110, 111, 112, 113, 114, 115], False, True), ([-1], False, False)],
)  # fmt: skip
def test_who_shows_it_may_be_few_or_new(machines: list[int], few: bool, strangers: bool) -> None:
    """One machine of a hundred, several of them, machines that golden never had, and rows of which nobody said whose they are."""
    hit = np.resize(machines, 300)
    case, _ = fleet(np.append(hit, np.arange(700) % 100))
    rows = np.zeros(5_000, dtype=bool)
    rows[4_000:4_300] = True
    plain = SimpleNamespace(channel=SimpleNamespace(detail={}))
    shows = cast("Any", SimpleNamespace(component="inputs.load", hit=plain, affected=rows, bad=rows))
    assert (keys.of_few(case, shows), keys.of_strangers(case, shows)) == (few, strangers)


@pytest.mark.parametrize(("path", "new", "read", "strangers"), [
    ("inputs.make", 0.9, (), True), ("inputs.make", 0.2, (), False), ("context.release", 0.9, (), False),
    ("context.clinic", 0.9, ("context.clinic",), True),
])  # fmt: skip
def test_what_a_new_make_brings_is_its_own(path: str, new: float, read: tuple[str, ...], strangers: bool) -> None:
    """Of few makes one that golden never had may have values of its own; a new release may not, but for what goes by the tag."""
    rng = np.random.default_rng(1)
    make = rng.integers(0, 3, 5_000)
    late = (np.arange(5_000) >= 4_000) & (np.arange(5_000) < 4_300)
    make[late] = np.where(rng.random(300) < new, 3, 0)
    columns: dict[str, Column] = {
        path: Categories(make, ("a", "b", "c", "new")),
        "inputs.km": Numbers(rng.random(5_000)),
    }
    every = Rows(tuple(map(str, range(5_000))), np.arange(5_000) * 10**8, columns, 5_000)
    schema = Schema.from_pairs([(path, Kind.TEXT), ("inputs.km", Kind.NUMBER)])
    case = build(every.take(np.arange(5_000) < 4_000), every.take(np.arange(5_000) >= 4_000), schema)
    detail = {"relation": SimpleNamespace(parents=read)} if read else {}
    hit = SimpleNamespace(channel=SimpleNamespace(detail=detail))
    shows = cast("Any", SimpleNamespace(component="inputs.km", hit=hit, affected=late, bad=late))
    assert keys.of_strangers(case, shows) is strangers


@pytest.mark.parametrize(("machines", "table"), [([7], False), ([1, 2, 3, 4, 5, 6, 7, 8], True)])
def test_one_entry_of_a_table_is_its_own(machines: list[int], table: bool) -> None:
    """A machine that was calibrated anew breaks no table; eight of them at once do."""
    case, key = fleet(np.append(np.resize(machines, 300), np.arange(700) % 100))
    rows = np.zeros(5_000, dtype=bool)
    rows[4_000:4_300] = True
    relation = SimpleNamespace(form="function", parents=(key.name,))
    broken = SimpleNamespace(bad=rows, hit=SimpleNamespace(channel=SimpleNamespace(detail={"relation": relation})))
    assert keys.of_a_table(case, cast("Any", broken)) is table
