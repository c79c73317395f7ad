"""Articles and shops, which are few, come and go, and of which one decision is thousands of rows: none of that is a fault."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from whimbrel.diagnose import atoms, contracts, feeds, keys, naming, state
from whimbrel.diagnose.case import DAY_US, Case, build
from whimbrel.diagnose.scan import Channel
from whimbrel.diagnose.suspects import Proof, Suspect
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.rows import Categories, Column, Numbers, Rows

DAYS, LATER, SHOPS, ARTICLES = 10, 3, 20, 40
START = 1_777_593_600_000_000
"""The first of May 2026."""


def _case(start: int = START, stays: np.ndarray | bool = True, **fields: np.ndarray) -> Case:
    """A row for each article in each shop and night; golden are the first nights."""
    columns: dict[str, Column] = {}
    pairs = []
    for name, values in fields.items():
        path = {"made": "steps.made.value", "label": "label"}.get(name, name if "." in name else f"inputs.{name}")
        if values.dtype.kind == "f":
            columns[path] = Numbers(values)
        else:
            vocabulary, codes = np.unique(values.astype(str), return_inverse=True)
            columns[path] = Categories(codes.astype(np.int64), tuple(map(str, vocabulary)))
        pairs.append((path, Kind.NUMBER if values.dtype.kind == "f" else Kind.TEXT))
    n = len(next(iter(fields.values())))
    day = np.arange(n) // (n // (DAYS + LATER))
    ts = start + day * DAY_US + np.arange(n) % (n // (DAYS + LATER)) * 1_000_000
    every = Rows(tuple(map(str, range(n))), ts.astype(np.int64), columns, n)
    return build(every.take(stays & (day < DAYS)), every.take(stays & (day >= DAYS)), Schema.from_pairs(pairs))


ROWS = np.arange((DAYS + LATER) * SHOPS * ARTICLES)
DAY, SHOP, ARTICLE = ROWS // (SHOPS * ARTICLES), ROWS // ARTICLES % SHOPS, ROWS % ARTICLES
RNG = np.random.default_rng(5)
OFFERED = (RNG.random((DAYS + LATER, ARTICLES)) < 0.3).astype(int)[DAY // 4 * 4, ARTICLE]


def _suspect(
    case: Case, bad: np.ndarray, inside: np.ndarray, *, path: str = "steps.made.value", signature: str = "atom"
) -> Suspect:
    channel = Channel(path, "features", signature, "invariant", bad.astype(float))
    hit = SimpleNamespace(channel=channel, excess=bad.astype(float))
    return Suspect(
        component=path, layer="features", hit=cast("Any", hit), hits=(), proof=Proof.HARD, where=(), inside=inside,
        affected=case.window & inside, since_us=int(case.ts[case.window].min()), from_start=True, shift=1.0, before=0.0, after=1.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "articles", "theirs"),
    [
        (OFFERED, 4, True),
        (OFFERED, ARTICLES, False),
        (ARTICLE % 2, 4, False),
        (RNG.integers(0, 2, ROWS.size), 4, False),
    ],
    ids=["an offer", "all at once", "a table that never moved", "each row its own"],
)
def test_what_becomes_of_few_articles_is_a_few_decisions(values: np.ndarray, articles: int, theirs: bool) -> None:
    """Where golden's articles change by themselves, one value for all of their rows of a day."""
    case = _case(article=np.char.add("a", ARTICLE.astype(str)), offer=np.array(["none", "flyer"])[values])
    channel = SimpleNamespace(component="inputs.offer", detail={})
    shows = SimpleNamespace(
        component="inputs.offer", bad=case.window & (articles > ARTICLE), hit=SimpleNamespace(channel=channel)
    )
    assert keys.decided(case, cast("Any", shows)) is theirs


@pytest.mark.parametrize(("opened", "shops", "theirs"), [(0.1, 20, True), (0.0, 20, False), (0.1, 2, False)])
def test_nothing_is_known_of_a_new_shop(opened: float, shops: int, theirs: bool) -> None:
    """What a step says of it is no fault; where half of the slice has keys that nobody knows, the key may be wrong."""
    new = (DAY >= DAYS) & (opened * SHOPS > SHOP)
    case = _case(shop=np.where(new, "n", "s") + SHOP.astype(str).astype(object), made=np.where(new, 0.5, 3.0 + SHOP))
    bad = case.window & (SHOP < 0.1 * SHOPS)
    assert keys.of_newcomers(case, _suspect(case, bad, shops > SHOP)) is theirs
    assert not keys.of_newcomers(case, replace(_suspect(case, bad, shops > SHOP), component="inputs.shop"))


@pytest.mark.parametrize(("field", "component", "theirs"), [
    ("steps.classify.kind", "label", True), ("steps.classify.kind", "steps.made.value", False), ("inputs.kind", "label", True),
])  # fmt: skip
def test_labels_of_a_new_kind_are_its_own(field: str, component: str, theirs: bool) -> None:
    """Letters of a kind that golden never had, whose answers nobody knows yet; a step's word counts where it is labels that depart."""
    new = (DAY >= DAYS) & (SHOP < 2)
    case = _case(**cast("Any", {field: np.where(new, "statement", "invoice"), "label": RNG.normal(size=ROWS.size)}))
    bad = new & (RNG.random(ROWS.size) < 0.9)
    suspect = replace(_suspect(case, bad, np.ones_like(new)), component=component)
    assert keys.of_newcomers(case, suspect) is theirs
    assert not keys.of_newcomers(case, replace(suspect, affected=new))  # all of a slice, which golden knew: it is lost


@pytest.mark.parametrize("closed", [True, False])
def test_a_shop_whose_sisters_are_closed_is_no_constant(closed: bool) -> None:
    """Where their rows bear its name instead, it is one."""
    stays = (SHOP < 4) & ((DAY < DAYS) | (SHOP == 0) | (not closed))
    shop = np.where(DAY < DAYS, SHOP, 0)
    case = _case(stays=stays, shop=np.char.add("s", shop.astype(str)))
    suspect = _suspect(case, case.window, np.ones_like(case.golden))
    assert naming._others_gone(case, suspect, (shop[stays] == 0)[case.golden]) is closed


def test_a_date_grows_and_a_day_before_all_days_is_nothing() -> None:
    """New dates are no news, those on which calendars begin are; so is nothing among ids that are all different."""
    dates = (np.datetime64("2026-05-01") + DAY - RNG.integers(0, 4, ROWS.size)).astype(str)
    ids = np.char.add("id", ROWS.astype(str))
    broken = (DAY >= DAYS) & (SHOP < 2)
    case = _case(
        sold=np.where(broken, "1970-01-01", dates),
        id=np.where(broken, "null", ids),
        shop=np.char.add("s", SHOP.astype(str)),
    )
    assert case.growing == {"inputs.sold", "inputs.id"}
    found = [c for c in contracts.channels(case) if c.component in case.growing and c.signature != "reshaped"]
    assert {(c.component, c.signature) for c in found} == {("inputs.sold", "nothing"), ("inputs.id", "nothing")}
    assert all(np.array_equal(c.values == 1, broken) for c in found)


@pytest.mark.parametrize(("start", "made", "told"), [
    (START + 25 * DAY_US, 5.0 + (DAY >= 6), True), (START + 25 * DAY_US, 5.0 + (DAY >= 3), False), (START, np.full(ROWS.size, 2026.0), True),
])  # fmt: skip
def test_a_month_is_no_setting(start: int, made: np.ndarray, told: bool) -> None:
    """June follows May, on the first."""
    assert state.of_calendar(_case(start, made=made), made) is told


@pytest.mark.parametrize("how", ["stands", "shut", "again", "moves"])
def test_what_was_not_refreshed_is_what_it_was_the_day_before(how: str) -> None:
    """For one region's shops from the second night on; not where nothing was sold, nor where all of a batch ran twice."""
    sold, price, place = (RNG.gamma(4, 5, ROWS.size).round(1) for _ in range(3))
    hit = (DAY > DAYS) & (SHOP < 5)
    before = ROWS - SHOPS * ARTICLES
    broken = {"stands": [sold], "again": [sold, price], "shut": [], "moves": []}[how]
    for values in broken:
        for day in range(DAYS + 1, DAYS + LATER):
            now = hit & (day == DAY)
            values[now] = values[before[now]]
    case = _case(
        shop=np.char.add("s", SHOP.astype(str)), article=np.char.add("a", ARTICLE.astype(str)), price=price, place=place,
        sold=np.where((DAY >= DAYS) & (SHOP < 5), 0.0, sold) if how == "shut" else sold,
    )  # fmt: skip
    found = {c.component: c for c in feeds._standing(case)}
    share = {name: float(np.nanmean(np.append(channel.values[hit], 0.0))) for name, channel in found.items()}
    assert (share["inputs.sold"] > 0.9) is (how in ("stands", "shut"))
    assert max(share["inputs.price"], share["inputs.place"]) < 0.1
    suspect = _suspect(case, found["inputs.sold"].values == 1, SHOP < 5, path="inputs.sold", signature="standing")
    since = int(case.ts[DAY == DAYS + 1].min())
    suspect = replace(suspect, after=share["inputs.sold"], since_us=since, affected=hit)
    assert (feeds.proof(case, suspect) is Proof.HARD) is (how == "stands")
    partly = replace(suspect, after=0.6, before=0.04)  # of some of the devices
    assert (feeds.proof(case, partly) is Proof.FIRM) is (how == "stands")
    assert feeds.proof(case, replace(partly, before=0.3)) is Proof.SOFT


@pytest.mark.parametrize("stuck", [False, True])
def test_a_short_queue_has_no_atom(stuck: bool) -> None:
    """Where less is asked each short time is more common, on a clock's grid; one that stands out of its neighbours is one."""
    queue = np.ceil(np.random.default_rng(1).exponential(np.where(DAY < DAYS, 250.0, 60.0))) / 1000
    queue[stuck & (DAY >= DAYS) & (SHOP == 3)] = 0.04
    case = _case(**cast("Any", {"spans.queue": queue}))
    found = atoms.channels_of_atoms(case, case.variables["spans.queue"])
    assert [c.detail["value"] for c in found] == [0.04] * stuck


@pytest.mark.parametrize(("one", "other", "alike"), [
    ("day -10", "day 10", False), (" -10", "10", False), ("Covid-19", "covid19", True), ("São  Paulo", "sao paulo", True), ("a_b", "A-B", True),
])  # fmt: skip
def test_spellings_are_alike_as_a_person_reads_them(one: str, other: str, alike: bool) -> None:
    assert (contracts.folded(one) == contracts.folded(other)) is alike
