"""A comparison says what moved and in which way, and takes a change of the mix for what it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest

from whimbrel.compare import Comparison, compare, compare_profiles
from whimbrel.engine import Engine, Source, engine_named
from whimbrel.errors import EvidenceError, UsageError
from whimbrel.model.profile import Profile
from whimbrel.model.window import Window
from whimbrel.store import source_of

from .world import DAYS, START, shop

ALL = Window("shop")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engine_named()


@pytest.fixture(scope="module")
def source() -> Source:
    return source_of(shop(), app="shop")[0]


@pytest.fixture(scope="module")
def golden(engine: Engine, source: Source) -> Profile:
    return engine.profile(source, ALL, engine.binning(source, ALL))


@pytest.fixture(scope="module")
def held_against(engine: Engine, golden: Profile, source: Source) -> Callable[[pd.DataFrame], Comparison]:
    def compared(window: pd.DataFrame) -> Comparison:
        after, _ = source_of(window, app="shop", schema=source.schema)
        return compare_profiles(golden, engine.profile(after, ALL, golden.binning))

    return compared


Compared = Callable[[pd.DataFrame], Comparison]


def moved(found: Comparison) -> dict[str, str]:
    return {movement.path: movement.what for movement in found.moved}


def test_healthy_days_do_not_move(held_against: Compared) -> None:
    for since in range(DAYS, DAYS + 10):
        found = held_against(shop(1, since=since, seed=1))
        assert moved(found) == {}, since
        assert found.mix == ()
        assert found.expected_predictions == pytest.approx(400, rel=0.15)
        assert "none of 6 fields moved" in found.sentence


def test_healthy_hours_and_weeks_do_not_move(held_against: Compared) -> None:
    assert moved(held_against(shop(1, since=DAYS, hours=range(2, 6)))) == {}
    assert moved(held_against(shop(1, since=DAYS + 5, hours=[13], per_day=900))) == {}
    assert moved(held_against(shop(7, since=DAYS))) == {}


def test_a_change_of_the_mix_is_no_movement(held_against: Compared) -> None:
    """Fares differ by country and by hour, so their whole distribution shifts here, and within each slice none does."""
    found = held_against(shop(1, since=DAYS, us=0.95, per_day=2000))
    assert moved(found) == {}
    assert {(m.path, m.value, m.change) for m in found.mix} == {
        ("context.country", "US", "grew"), ("context.country", "DE", "shrank")
    }  # fmt: skip
    fare = next(m for m in found.unmoved if m.path == "inputs.fare")
    assert "context.country" in fare.explained_by


def test_a_new_country_is_named_and_its_traffic_left_out(held_against: Compared) -> None:
    window = shop(1, since=DAYS, per_day=2000)
    new = window.index % 4 == 0
    window.loc[new, "context.country"] = "BR"
    window.loc[new, "inputs.fare"] *= 5
    found = held_against(window)
    assert moved(found) == {}
    assert ("context.country", "BR", "new") in {(m.path, m.value, m.change) for m in found.mix}
    assert any("context.country is new" in note for note in found.notes)


def test_a_country_that_is_gone_is_listed(held_against: Compared) -> None:
    found = held_against(shop(1, since=DAYS, us=1.0))
    assert [m.what for m in found.mix if m.change == "gone"] == ["context.country: DE is gone, it held 40%"]
    assert moved(found) == {}


FAULTS: dict[str, tuple[str, Callable[[pd.DataFrame], object], str]] = {
    "cents instead of euro": ("inputs.fare", lambda d: d.__setitem__("inputs.fare", d["inputs.fare"] * 100), "100 times greater"),
    "nulls": ("inputs.noise", lambda d: d.loc.__setitem__((d.index % 10 == 0, "inputs.noise"), np.nan), "null 0% -> 10%"),
    "a sentinel": ("inputs.fare", lambda d: d.loc.__setitem__((d.index % 20 == 0, "inputs.fare"), -999.0), "below golden's least"),
    "a default in the middle": ("inputs.noise", lambda d: d.loc.__setitem__((d.index % 5 == 0, "inputs.noise"), 0.25), "0.25 is new with 2"),
    "a constant": ("inputs.noise", lambda d: d.__setitem__("inputs.noise", 0.5), "0.5 is new with 100%"),
    "a clip": ("inputs.noise", lambda d: d.__setitem__("inputs.noise", d["inputs.noise"].clip(upper=0.5)), "0.5 is new with"),
    "a shift": ("inputs.noise", lambda d: d.__setitem__("inputs.noise", d["inputs.noise"] + 0.7), "median"),
    "case": ("inputs.carrier", lambda d: d.__setitem__("inputs.carrier", d["inputs.carrier"].replace("ios", "iOS")), "`iOS` is new with"),
    "a gap filled": ("inputs.seats", lambda d: d.loc.__setitem__((d.index % 20 == 0, "inputs.seats"), 3.0), "3 is new"),
    "renumbered": ("inputs.carrier", lambda d: d.replace({"inputs.carrier": {"ios": "desk", "desk": "ios"}}, inplace=True), "`desk` gained"),
    "vanished": ("inputs.noise", lambda d: d.__setitem__("inputs.noise", np.nan), "is empty now"),
    "text": ("inputs.seats", lambda d: d.__setitem__("inputs.seats", "two"), "wrong type 0% -> 100%"),
    "labels flipped": ("label", lambda d: d.__setitem__("label", 1 - d["label"]), "holds"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_what_broke_is_what_moved_and_the_words_say_how(held_against: Compared, name: str) -> None:
    path, plant, words = FAULTS[name]
    window = shop(1, since=DAYS, per_day=1000)
    plant(window)
    found = moved(held_against(window))
    assert list(found) == [path]
    assert words in found[path]


def test_both_halves_of_a_change_of_case_are_told(held_against: Compared) -> None:
    window = shop(1, since=DAYS, per_day=2000)
    window["inputs.carrier"] = window["inputs.carrier"].replace("ios", "iOS")
    what = moved(held_against(window))["inputs.carrier"]
    assert "`iOS` is new with" in what
    assert "`ios` is gone, it held 30%" in what


def test_the_hour_in_which_it_began_is_found(held_against: Compared) -> None:
    window = shop(1, since=DAYS, per_day=3000)
    late = window["ts"] >= START + timedelta(days=DAYS, hours=15)
    window.loc[late, "inputs.noise"] = np.nan
    since = held_against(window).moved[0].since
    assert since is not None
    assert abs(since - START - timedelta(days=DAYS, hours=15)) <= timedelta(hours=1)
    window["inputs.noise"] = np.nan
    assert held_against(window).moved[0].since is None


def test_fields_are_ordered_by_how_far_they_moved(held_against: Compared) -> None:
    window = shop(1, since=DAYS, per_day=1000)
    window["inputs.noise"] *= 50
    window.loc[window.index % 12 == 0, "inputs.seats"] = 4.0
    found = held_against(window)
    assert next(iter(moved(found))) == "inputs.noise"
    scores = [m.score for m in (*found.moved, *found.unmoved)]
    assert scores == sorted(scores, reverse=True)
    assert all(m.score > found.threshold for m in found.moved)
    assert all(m.score <= found.threshold for m in found.unmoved)


def test_labels_that_are_late_are_not_lost(held_against: Compared) -> None:
    window = shop(1, since=DAYS)
    window.loc[window.index % 3 > 0, "label"] = np.nan
    assert moved(held_against(window)) == {}


def test_the_answer_is_plain_json_in_reading_order(held_against: Compared) -> None:
    import json

    window = shop(1, since=DAYS, us=0.9, per_day=1000)
    window["inputs.noise"] += 3
    found = held_against(window)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert list(plain)[:5] == ["schema", "sentence", "golden", "window", "threshold"]
    assert plain["window"]["predictions"] == 1000
    assert plain["golden"]["predictions"] == 400 * DAYS
    movement = plain["moved"][0]
    assert movement["path"] == "inputs.noise"
    for side in ("before", "after"):
        assert sum(movement["shape"][side]) == pytest.approx(1)
    assert len(movement["shape"]["bins"]) == len(movement["shape"]["before"])
    assert "mix of traffic changed in context.country" in plain["sentence"]


def test_a_short_golden_says_that_it_knows_little(engine: Engine) -> None:
    found = compare(shop(2), shop(1, since=2))
    assert found.days == 0
    assert any("golden holds 2 days" in note for note in found.notes)
    assert moved(found) == {}
    window = shop(1, since=2)
    window["inputs.noise"] = 7.0
    assert "inputs.noise" in moved(compare(shop(1), window))


def test_a_restless_golden_raises_the_bar(engine: Engine) -> None:
    """A field that wanders from day to day has to wander further before it counts as moved."""

    def wandering(frame: pd.DataFrame) -> pd.DataFrame:
        day = (frame["ts"] - pd.Timestamp(START)).dt.days
        return frame.assign(**{"inputs.noise": frame["inputs.noise"] + 0.8 * np.sin(2.1 * day)})

    calm, window = shop(), shop(1, since=DAYS, per_day=1000)
    window["inputs.noise"] += 0.6
    assert "inputs.noise" in moved(compare(calm, window))
    assert "inputs.noise" not in moved(compare(wandering(calm), window))


def test_any_table_will_do_and_no_log_is_needed() -> None:
    golden, window = shop(8), shop(1, since=8)
    window["inputs.noise"] += 5
    answers = [compare(make(golden), make(window)) for make in (pd.DataFrame, pl.from_pandas)]
    assert [moved(found) for found in answers] == [{"inputs.noise": answers[0].moved[0].what}] * 2


def test_a_field_that_appears_and_one_that_vanishes_are_both_told() -> None:
    golden, window = shop(8), shop(1, since=8)
    window["inputs.extra"] = 1.0
    found = moved(compare(golden, window.drop(columns="inputs.noise")))
    assert found["inputs.extra"] == "has values now (100% of rows); golden had none"
    assert found["inputs.noise"] == "is empty now; golden had values"


def test_what_cannot_be_compared_is_refused(golden: Profile, engine: Engine, source: Source) -> None:
    with pytest.raises(EvidenceError, match="the window holds no predictions"):
        compare_profiles(golden, Profile(golden.binning))
    with pytest.raises(EvidenceError, match="golden holds no predictions"):
        compare_profiles(Profile(golden.binning), golden)
    with pytest.raises(UsageError, match="different bins"):
        compare_profiles(golden, Profile(engine.binning(source, Window("shop", until=START + timedelta(days=3)))))


def test_one_row_against_golden_is_an_answer_and_moves_nothing(held_against: Compared) -> None:
    found = held_against(shop(1, since=DAYS).head(1))
    assert moved(found) == {}
    assert found.window.predictions == 1


def test_a_notebook_gets_the_page_in_a_frame_of_its_own(held_against: Compared) -> None:
    drawn = held_against(shop(1, since=DAYS, seed=1))._repr_html_()
    assert drawn.startswith("<iframe srcdoc=")
    assert "<html" not in drawn  # escaped inside the frame
    assert "6 fields" in drawn or "inputs." in drawn
