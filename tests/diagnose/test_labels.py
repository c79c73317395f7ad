"""Labels that break, and labels that merely show another world: deliveries that were foretold to be late, judged by who received them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from whimbrel.diagnose import diagnose_rows
from whimbrel.diagnose import judged as judging
from whimbrel.diagnose import labels as labels_
from whimbrel.diagnose.case import Variable, build
from whimbrel.diagnose.judged import Judged, as_before, judged
from whimbrel.model.fields import Field, Kind, Schema
from whimbrel.model.report import Report
from whimbrel.model.rows import Categories, Column, Numbers, Rows

HOUR_US = 3_600_000_000
START = 1_750_000_000_000_000 // (24 * HOUR_US) * 24 * HOUR_US
DEPOTS = {"north": 0.35, "south": 0.3, "quay": 0.2, "hill": 0.15}
SCHEMA = Schema.from_pairs([
    ("context.depot", Kind.TEXT), ("context.tier", Kind.TEXT), ("hardware.host", Kind.TEXT),
    ("inputs.distance", Kind.NUMBER), ("inputs.parcels", Kind.NUMBER), ("model.version", Kind.TEXT),
    ("outputs.score", Kind.NUMBER), ("decision", Kind.TEXT), ("label", Kind.NUMBER),
])  # fmt: skip

Cells = dict[str, np.ndarray]
Break = Callable[[Cells, np.ndarray], None]


def drawn(n: int, days: float, start_day: float, seed: int) -> Cells:
    """`n` deliveries; each is judged 40 min to three days later, nine in ten of them."""
    rng = np.random.default_rng(seed)
    hours = np.sort(24 * (start_day + days * rng.random(n)))
    c = {
        "ts": START + (hours * HOUR_US).astype(np.int64),
        "context.depot": rng.choice(list(DEPOTS), n, p=list(DEPOTS.values())),
        "context.tier": rng.choice(["plain", "express"], n, p=[0.7, 0.3]),
        "hardware.host": rng.choice(["x1", "x2"], n),
        "inputs.distance": rng.gamma(2.0, 9.0, n),
        "inputs.parcels": rng.poisson(14, n).astype(float),
        "model.version": np.full(n, "7"),
        "luck": rng.random(n),
        "dice": rng.random(n),
        "delay": (HOUR_US * np.clip(np.exp(rng.normal(1.8, 0.9, n)), 0.7, 70)).astype(np.int64),
        "judged": rng.random(n) < 0.9,
    }
    c["world"] = np.zeros(n)
    return c


def scored(c: Cells, seen: np.ndarray | None = None) -> Cells:
    """Scores from what was seen (distances); labels from what was."""

    def odds(distance: np.ndarray) -> np.ndarray:
        return 0.16 * (distance - 18) + 0.25 * (c["inputs.parcels"] - 14) - 0.8

    true = c["inputs.distance"]
    if seen is not None:
        c["inputs.distance"] = seen
    c["outputs.score"] = 1 / (1 + np.exp(-odds(c["inputs.distance"])))
    c["decision"] = np.where(c["outputs.score"] > 0.4, "warn", "wait")
    late = c["luck"] < 1 / (1 + np.exp(-odds(true) - c["world"]))
    c["label"] = np.where(c["judged"], late.astype(float), np.nan)
    c["label_ts"] = np.where(c["judged"], c["ts"] + c["delay"], -1)
    return c


def known(c: Cells, now: int) -> Rows:
    """As the log holds them at that time."""
    there = (c["label_ts"] >= 0) & (c["label_ts"] <= now)
    columns: dict[str, Column] = {}
    for field in SCHEMA:
        if field.kind is Kind.NUMBER:
            columns[field.path] = Numbers(
                np.where(there | (field.path != "label"), c[field.path].astype(float), np.nan)
            )
        else:
            names, codes = np.unique(c[field.path].astype(str), return_inverse=True)
            columns[field.path] = Categories(codes.astype(np.int64), tuple(map(str, names)))
    n = len(c["ts"])
    ids = tuple(f"{c['ts'][0]}-{i}" for i in range(n))
    return Rows(ids, c["ts"], columns, n, label_ts=np.where(there, c["label_ts"], -1))


@cache
def golden() -> Cells:
    """Twelve days."""
    return scored(drawn(12_000, 12, 0, 1))


def asked(
    *, labels: Break | None = None, world: Break | None = None, depot: str | None = None, wait_h: float = 30.0, wrong: bool = False,
    named: bool = False,
) -> Report:  # fmt: skip
    """Two days, broken from the ninth hour on at one depot or everywhere, read `wait_h` hours after their end."""
    c = drawn(4_000, 2, 12, 2)
    hit = c["ts"] >= START + 12 * 24 * HOUR_US + 9 * HOUR_US
    if depot:
        hit &= c["context.depot"] == depot
    if world:
        world(c, hit)
    seen = None
    if wrong:
        seen = c["inputs.distance"].copy()
        seen[hit] = np.random.default_rng(5).permutation(seen[hit])
    c = scored(c, seen)
    if labels:
        labels(c, hit)
    now = START + int((14 * 24 + wait_h) * HOUR_US)
    both = [known(golden(), now), known(c, now)]
    if named:
        both = [_named(rows) for rows in both]
    return diagnose_rows(both[0], both[1], SCHEMA, app="parcels")


def _named(rows: Rows) -> Rows:
    """The same with three labels, as words: late ones are called late, or lost where many parcels were."""
    label, parcels = rows.columns["label"], rows.columns["inputs.parcels"]
    assert isinstance(label, Numbers)
    assert isinstance(parcels, Numbers)
    codes = np.where(label.missing, -1, np.nan_to_num(label.values) * (1 + (parcels.values > 15)))
    return replace(
        rows, columns={**rows.columns, "label": Categories(codes.astype(np.int64), ("in time", "late", "lost"))}
    )


def one_off(c: Cells, hit: np.ndarray) -> None:
    for name in ("label", "label_ts"):
        c[name][hit] = np.roll(c[name][hit], 1)


def inverted(c: Cells, hit: np.ndarray) -> None:
    chosen = hit & (c["dice"] < 0.3)
    c["label"][chosen] = 1 - c["label"][chosen]


def filed(c: Cells, hit: np.ndarray) -> None:
    chosen = hit & (c["dice"] < 0.12)
    c["label"][chosen], c["label_ts"][chosen] = 0.0, c["ts"][chosen] + 2 * HOUR_US


def reloaded(c: Cells, hit: np.ndarray) -> None:
    chosen = hit & (c["label_ts"] >= 0) & (c["dice"] < 0.12)
    c["label_ts"][chosen] = c["ts"][chosen] + 2 * HOUR_US


def lost(c: Cells, hit: np.ndarray) -> None:
    chosen = hit & (c["dice"] < 0.35)
    c["label"][chosen], c["label_ts"][chosen] = np.nan, -1


def cut_short(c: Cells, hit: np.ndarray) -> None:
    c["label"][hit & (c["label"] == 1) & (c["delay"] > 4 * HOUR_US)] = 0.0


def slower(c: Cells, hit: np.ndarray) -> None:
    c["delay"][hit] = (1.4 * c["delay"][hit]).astype(np.int64)


def fewer(c: Cells, hit: np.ndarray) -> None:
    c["world"][hit] = -0.7


@pytest.mark.parametrize(
    ("labels", "depot", "says"),
    [
        (one_off, "quay", "1 row before their own"),
        (inverted, "south", "no longer agree"),
        (filed, None, "exactly 7200 s"),
        (lost, "hill", "missing"),
        (cut_short, None, "no yes comes as late"),
    ],
)
def test_broken_labels_are_named_with_their_slice(labels: Break, depot: str | None, says: str) -> None:
    found = asked(labels=labels, depot=depot)
    assert found.verdict == "fault", found.sentence
    first = found.findings[0]
    assert (first.layer, first.component) == ("labels", "label")
    assert [str(c) for c in first.where] == ([f"context.depot={depot}"] if depot else [])
    assert says in first.what


@pytest.mark.parametrize(("kept", "unlike"), [(0.15, True), (0.6, False), (1.0, False)])
def test_a_yes_that_hardly_comes_any_more_is_like_none_of_golden_s_days(
    kept: float, unlike: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days differ by themselves, by a third of the odds; a screen that does not write most corrections back makes a day that none was like."""
    rng = np.random.default_rng(8)
    n = 4_400
    block = np.arange(n) // 200
    expected = rng.beta(1, 4, n)
    odds = np.log(expected / (1 - expected)) + 0.35 * rng.standard_normal(block.max() + 1)[block]
    target = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(float)
    golden = block < 20
    target[~golden & (rng.random(n) > kept)] = 0.0
    found = SimpleNamespace(binary=True, target=target, expected=expected, residual=target - expected)
    monkeypatch.setattr(judging, "judged", lambda _: found)
    case = SimpleNamespace(golden=golden, blocks=block, block_count=20)
    asked = SimpleNamespace(inside=np.ones(n, dtype=bool), affected=~golden)
    assert labels_._as_on_no_day(cast("Any", case), cast("Any", asked)) is unlike


def test_labels_of_several_kinds_are_broken_where_all_that_are_filed_at_one_age_are_of_one() -> None:
    found = asked(labels=filed, named=True)
    assert [f.layer for f in found.findings][:1] == ["labels"], found.sentence
    assert asked(labels=reloaded, named=True).verdict == "healthy"


@pytest.mark.parametrize(("world", "depot"), [(fewer, "south"), (fewer, None), (slower, None)])
def test_a_world_in_which_fewer_say_yes_or_say_it_later_breaks_nothing(world: Break, depot: str | None) -> None:
    found = asked(world=world, depot=depot)
    assert found.verdict == "healthy", found.sentence


@pytest.mark.parametrize("wait_h", [0.0, 6.0])
def test_labels_that_have_not_come_yet_are_not_lost(wait_h: float) -> None:
    assert asked(wait_h=wait_h).verdict == "healthy"


def test_where_a_no_takes_longer_than_a_yes_the_first_labels_are_all_yes() -> None:
    """Nobody complained is known after three days, and that somebody did at once."""
    before, now = drawn(12_000, 12, 0, 1), drawn(4_000, 2, 12, 2)
    for c in (before, now):
        scored(c)
        c["delay"] = np.where(c["label"] == 1, c["delay"] // 3, 60 * HOUR_US + c["delay"] // 10)
        scored(c)
    end = START + 14 * 24 * HOUR_US
    report = diagnose_rows(known(before, end + 80 * HOUR_US), known(now, end), SCHEMA, app="parcels")
    assert not report.findings, report.sentence


def test_golden_may_be_taken_out_later_than_the_window() -> None:
    """Its last labels came after the window ended, and all of the window's until then are there."""
    c = scored(drawn(4_000, 2, 12, 2))
    end = int(c["ts"].max())
    report = diagnose_rows(known(golden(), end + 72 * HOUR_US), known(c, end), SCHEMA, app="parcels")
    assert not report.findings


def test_a_window_without_a_single_label_is_one_whose_labels_nobody_has_joined_yet() -> None:
    """Whether they are lost cannot be told, and is said so; where some have come, the others are."""

    def unjoined(c: Cells, _: np.ndarray) -> None:
        c["label"][:], c["label_ts"][:] = np.nan, -1

    report = asked(labels=unjoined)
    assert report.verdict == "healthy"
    assert "labels" in [unknown.layer for unknown in report.cannot_tell]
    assert asked(labels=lost, depot="hill").findings[0].layer == "labels"


@pytest.mark.parametrize("lost", [False, True])
def test_only_what_was_acted_upon_may_be_labelled(lost: bool) -> None:
    """Shorter ways, fewer warnings, and of what is not warned of hardly any label: none is lost, unless some are."""
    before, now = drawn(12_000, 12, 0, 1), drawn(4_000, 2, 12, 2)
    now["inputs.distance"] *= 0.7
    for c in (before, now):
        scored(c)
        c["judged"] = c["dice"] < np.where(c["decision"] == "warn", 0.9, 0.1)
        scored(c)
    if lost:
        now["label_ts"][(now["context.depot"] == "south") & (now["decision"] == "warn") & (now["luck"] < 0.6)] = -1
    end = START + int((14 * 24 + 80) * HOUR_US)
    report = diagnose_rows(known(before, end), known(now, end), SCHEMA, app="parcels")
    assert [(f.layer, f.component) for f in report.findings] == [("labels", "label")] * lost


def test_labels_filed_at_one_age_that_say_what_they_said_are_right() -> None:
    assert asked(labels=reloaded).verdict == "healthy"


@pytest.mark.parametrize(("told", "otherwise"), [(0.12, False), (0.8, True)])
def test_an_input_that_tells_little_of_what_scores_lost_is_no_excuse(told: float, otherwise: bool) -> None:
    """Labels of two hours before go a little by the hour; those of a world that goes by something else go by that."""
    rng = np.random.default_rng(3)
    lift, hour, noise = rng.normal(0, 1, (3, 8_000))
    base = np.arange(8_000) < 4_000
    target = np.where(base, lift + 0.3 * noise, told * hour + noise)
    found = Judged(target, lift, lift, 0.3, False)
    fields = [Variable("inputs.hour", Field("inputs.hour", Kind.NUMBER), numbers=hour)]
    case = cast("Any", SimpleNamespace(of=lambda *roles: fields))
    assert judging._told_otherwise(case, found, ~base, base) is otherwise


@pytest.mark.parametrize("strange", [False, True])
def test_scores_that_golden_never_gave_are_not_those_of_before(strange: bool) -> None:
    """Some of a host's highest scores lie beyond all of golden's: what its labels say proves nothing against the labels."""
    c = scored(drawn(4_000, 2, 12, 2))
    here = c["hardware.host"] == "x1"
    if strange:
        c["outputs.score"][here & (c["outputs.score"] > 0.95)] *= 1.5
    case = build(known(golden(), 2**60), known(c, 2**60), SCHEMA)
    inside = np.append(golden()["hardware.host"] == "x1", here)
    suspect = SimpleNamespace(inside=inside, affected=inside & case.window)
    found = judged(case)
    assert found is not None
    assert as_before(case, cast("Any", suspect), found) is not strange


def test_labels_are_not_blamed_for_scores_of_wrong_inputs() -> None:
    """Distances of other deliveries are scored: labels no longer go by the scores, but they go by what was not mixed up."""
    assert "labels" not in [f.layer for f in asked(wrong=True, depot="south").findings]


@pytest.mark.parametrize(
    ("label", "judged_by"), [("paid", "outputs.cost"), ("fraud", "outputs.score"), ("graded", "outputs.score")]
)
def test_an_amount_is_judged_by_the_output_that_foretells_it(label: str, judged_by: str) -> None:
    """A model with a cost and a fraud score: what was paid judges the cost, a yes the score; what is near neither, the score."""
    rng = np.random.default_rng(2)
    fraud, cost = rng.beta(1, 9, 500), rng.gamma(2, 900, 500)
    targets = {
        "paid": cost * rng.gamma(20, 1 / 20, 500),
        "fraud": (rng.random(500) < fraud).astype(float),
        "graded": 1e6 * fraud,
    }
    variables = {
        path: Variable(path, Field(path, Kind.NUMBER), numbers=values)
        for path, values in {"outputs.cost": cost, "outputs.score": fraud, "label": targets[label]}.items()
    }
    case = SimpleNamespace(variables=variables, golden=np.arange(500) < 400, of=lambda *_: list(variables.values())[:2])
    assert judging.main_score(cast("Any", case)) is variables[judged_by].numbers
