"""The engine's profiles: the same counts that a plain loop over the rows gives, and parts that add up to the whole."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whimbrel.engine import Engine, Source, engine_named
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.profile import KEPT_PICKS, MOST_BINS, NULL, OUTSIDE, RESCUED, Binning, Bins, Cells, Profile
from whimbrel.model.window import Condition, Window

START = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)
N = 3_000
ALL = Window("shop")
SCHEMA = Schema.from_pairs(
    [
        ("inputs.fare", Kind.NUMBER),
        ("inputs.seats", Kind.NUMBER),
        ("inputs.vip", Kind.BOOLEAN),
        ("inputs.booked", Kind.TIME),
        ("inputs.vector", Kind.NUMBERS),
        ("inputs.tags", Kind.TEXTS),
        ("inputs.user", Kind.TEXT),
        ("inputs.carrier", Kind.TEXT),
        ("steps.scale.fare", Kind.NUMBER),
        ("context.country", Kind.TEXT),
        ("context.device", Kind.TEXT),
        ("label", Kind.NUMBER),
    ]
)


def table(n: int = N, seed: int = 0) -> pa.Table:
    """Predictions of every kind, in no order of time, with nulls, infinities, hostile texts and rescued values."""
    draw = np.random.default_rng(seed)
    seconds = draw.integers(0, 5 * 86_400, n)
    fare = np.round(draw.lognormal(3, 1, n), 2)
    rows = []
    for i in range(n):
        rescued = [("inputs.seats", "many")] if i % 500 == 7 else None
        rows.append(
            {
                "id": f"p{seed}-{i}",
                "ts": START + timedelta(seconds=int(seconds[i]), microseconds=i),
                "inputs": {
                    "fare": [None, math.nan, math.inf, -math.inf][i % 4] if i % 50 < 4 else float(fare[i]),
                    "seats": None if rescued else float(i % 3),
                    "vip": [True, False, None][i % 3],
                    "booked": START + timedelta(seconds=int(seconds[i]) - 60 * (i % 90)) if i % 11 else None,
                    "vector": [[0.5, None, float(i % 7)], [], None][i % 3],
                    "tags": ["x"] * (i % 4),
                    "user": f"user-{draw.integers(0, 3000)}" if i % 5 else "guest",
                    "carrier": ["UA", "it's", "ünï", "", None][i % 5],
                },
                "steps": {"scale": {"fare": float(fare[i]) / 100}},
                "context": {
                    "country": ["US", "DE", None][i % 3 if i % 6 else 0],
                    "device": ["ios", "web"][(i // 7) % 2],
                },
                "label": float(i % 2) if i % 9 else None,
                "rescued": rescued,
            }
        )
    kinds = pa.schema(
        [
            ("id", pa.string()), ("ts", pa.timestamp("us", "UTC")),
            ("inputs", pa.struct([
                ("fare", pa.float64()), ("seats", pa.float64()), ("vip", pa.bool_()), ("booked", pa.timestamp("us", "UTC")),
                ("vector", pa.list_(pa.float64())), ("tags", pa.list_(pa.string())), ("user", pa.string()),
                ("carrier", pa.string()),
            ])),
            ("steps", pa.struct([("scale", pa.struct([("fare", pa.float64())]))])),
            ("context", pa.struct([("country", pa.string()), ("device", pa.string())])),
            ("label", pa.float64()), ("rescued", pa.map_(pa.string(), pa.string())),
        ]
    )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=kinds)


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return table()


@pytest.fixture(scope="module")
def source(rows: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("shop")
    paths = [folder / f"{i}.parquet" for i in range(3)]
    for i, path in enumerate(paths):
        pq.write_table(rows.slice(i * N // 3, N // 3), path, row_group_size=700)
    return Source("shop", SCHEMA, tuple(map(str, paths)))


@pytest.fixture(scope="module")
def binning(engine: Engine, source: Source) -> Binning:
    return engine.binning(source, ALL)


@pytest.fixture(scope="module")
def profile(engine: Engine, source: Source, binning: Binning) -> Profile:
    return engine.profile(source, ALL, binning)


def number_of(column: str, row: dict[str, Any]) -> float | None:
    """A numeric column's value in a row, spelled out."""
    path, _, suffix = column.partition("#")
    group, *names = path.split(".")
    value: Any = row[group]
    for name in names:
        value = value[name]
    if value is None:
        return None
    if suffix == "lag":
        return float((row["ts"] - value).total_seconds())
    if suffix == "length":
        return float(len(value))
    if suffix in ("mean", "norm"):
        held = [v for v in value if v is not None]
        if not held:
            return None
        return sum(held) / len(held) if suffix == "mean" else math.sqrt(sum(v * v for v in held))
    return None if math.isnan(value) else float(value)


def bin_of(bins: Bins, row: dict[str, Any]) -> int:
    """The bin of a row, by a plain search."""
    if any(path == bins.column for path, _ in row["rescued"] or ()):
        return RESCUED
    if bins.kind == "number":
        value = number_of(bins.column, row)
        return NULL if value is None else OUTSIDE + sum(value >= edge for edge in bins.edges)
    group, name = bins.column.split(".")
    text = row[group][name]
    if text is None:
        return NULL
    text = str(text).lower() if isinstance(text, bool) else text
    return OUTSIDE + 1 + bins.values.index(text) if text in bins.values else OUTSIDE


def counted(
    binning: Binning, rows: list[dict[str, Any]], key: Callable[[dict[str, Any]], int], *, groups: bool
) -> Cells:
    """A table of counts made row by row."""
    starts = binning.group_starts if groups else binning.starts
    found: dict[int, list[int]] = {}
    for row in rows:
        counts = found.setdefault(key(row), [0] * starts[-1])
        counts[0] += 1
        for start, bins in zip(starts, binning.columns, strict=False):
            bin_ = bin_of(bins, row)
            counts[start + (bins.groups[bin_] if groups else bin_)] += 1
    return Cells(np.array(sorted(found)), np.array([found[k] for k in sorted(found)]))


def hour_of(row: dict[str, Any]) -> int:
    return int(row["ts"].timestamp() // 3600)


def test_all_counts_are_those_of_a_plain_loop(profile: Profile, rows: pa.Table) -> None:
    plain, binning = rows.to_pylist(), profile.binning
    assert profile.rows == N
    assert profile.days == counted(binning, plain, lambda row: hour_of(row) // 24, groups=False)
    assert profile.hours == counted(binning, plain, hour_of, groups=True)
    for d, dimension in enumerate(binning.dimensions):
        bins = binning.columns[binning.index[dimension]]
        expected = counted(binning, plain, lambda row, d=d, bins=bins: MOST_BINS * d + bin_of(bins, row), groups=False)  # type: ignore[misc]
        mine = profile.slices.keys // MOST_BINS == d
        assert Cells(profile.slices.keys[mine], profile.slices.counts[mine]) == expected
    clock = len(binning.dimensions)
    expected = counted(binning, plain, lambda row: MOST_BINS * clock + hour_of(row) % 24, groups=False)
    mine = profile.slices.keys // MOST_BINS == clock
    assert Cells(profile.slices.keys[mine], profile.slices.counts[mine]) == expected


def test_moments_distinct_counts_and_picks_are_those_of_the_rows(profile: Profile, rows: pa.Table) -> None:
    plain = rows.to_pylist()
    for bins, moments in zip(profile.binning.columns, profile.moments, strict=True):
        if bins.kind == "number":
            values = [v for v in (number_of(bins.column, row) for row in plain) if v is not None and math.isfinite(v)]
            assert moments.n == len(values)
            assert moments.mean == pytest.approx(np.mean(values))
            assert moments.variance == pytest.approx(np.var(values), rel=1e-6)
            assert (moments.low, moments.high) == (min(values), max(values))
    users = len({row["inputs"]["user"] for row in plain})
    assert profile.distinct[profile.binning.index["inputs.user"]].count == pytest.approx(users, rel=0.2)
    assert len(profile.picks.rows) == KEPT_PICKS
    known: Counter[tuple[Any, ...]] = Counter(
        (row["inputs"]["user"], row["inputs"]["carrier"], row["label"]) for row in plain
    )
    places = [profile.binning.index[name] for name in ("inputs.user", "inputs.carrier", "label")]
    picked: Counter[tuple[Any, ...]] = Counter(
        tuple(values[place] for place in places) for _, values in profile.picks.rows
    )
    assert not picked - known
    assert (profile.first, profile.last) == tuple(
        int(f(row["ts"] for row in plain).timestamp() * 1e6) for f in (min, max)
    )


def test_the_binning_says_what_golden_is_like(binning: Binning) -> None:
    by_name = {bins.column: bins for bins in binning.columns}
    assert set(by_name) == {
        "inputs.fare", "inputs.seats", "inputs.vip", "inputs.booked#lag", "inputs.vector#length", "inputs.vector#mean",
        "inputs.vector#norm", "inputs.tags#length", "inputs.user", "inputs.user#length", "inputs.carrier",
        "steps.scale.fare", "context.country", "context.device", "label",
    }  # fmt: skip
    assert binning.dimensions == ("context.country", "context.device")
    assert by_name["inputs.user"].open
    assert by_name["inputs.user"].values == ("guest",)
    assert set(by_name["inputs.carrier"].values) == {"UA", "it's", "ünï", ""}
    assert by_name["inputs.vip"].values == ("false", "true")
    assert not by_name["inputs.seats"].open
    assert len(by_name["inputs.fare"].edges) > 20


def same(a: Profile, b: Profile) -> None:
    """Equal, but for the last digits of the moments."""
    for one, other in zip(a.moments, b.moments, strict=True):
        assert (one.n, one.low, one.high) == (other.n, other.low, other.high)
        assert (one.mean, one.m2) == pytest.approx((other.mean, other.m2))
    assert replace(a, moments=()) == replace(b, moments=())


def test_profiles_of_parts_add_up_to_the_profile_of_the_whole(
    engine: Engine, source: Source, binning: Binning, profile: Profile
) -> None:
    cuts = [None, START + timedelta(hours=20), START + timedelta(hours=21), START + timedelta(days=3), None]
    total = Profile(binning)
    for since, until in pairwise(cuts):
        total += engine.profile(source, Window("shop", since, until), binning)
    same(total, profile)
    by_value = [
        engine.profile(source, Window("shop", where=(Condition("context.country", value, op),)), binning)
        for value, op in (("US", "="), ("US", "!="))
    ]
    same(by_value[0] + by_value[1], profile)
    assert by_value[0].rows == profile.slice_of("context.country", "US")[0]


def test_one_table_has_the_profile_of_several_files(
    engine: Engine, rows: pa.Table, binning: Binning, profile: Profile, held: Any
) -> None:
    same(engine.profile(held(SCHEMA, rows), ALL, binning), profile)


def test_a_profile_is_the_same_each_time(engine: Engine, source: Source, binning: Binning, profile: Profile) -> None:
    assert engine.binning(source, ALL) == binning
    assert engine.profile(source, ALL, binning) == profile


def test_profiles_of_all_engines_are_the_same(source: Source, binning: Binning, profile: Profile) -> None:
    assert engine_named().binning(source, ALL) == binning
    same(engine_named().profile(source, ALL, binning), profile)


def test_many_parts_are_profiled_as_each_of_them_is(engine: Engine, source: Source, binning: Binning) -> None:
    day = START + timedelta(days=1)
    asked = [
        (replace(source, files=source.files[:1]), ALL),
        (replace(source, files=()), ALL),
        (source, Window("shop", until=day)),
        (replace(source, files=source.files[1:]), Window("shop", day)),
    ]
    found = list(engine.profiles(asked, binning))
    assert [profile.rows for profile in found[:2]] == [N // 3, 0]
    for profile, (part, window) in zip(found, asked, strict=True):
        assert profile == engine.profile(part, window, binning)
    assert list(engine.profiles([], binning)) == []


def test_an_empty_window_is_the_neutral_element(engine: Engine, source: Source, binning: Binning) -> None:
    before = Window("shop", until=START - timedelta(days=1))
    assert engine.profile(source, before, binning) == Profile(binning)
    nothing = engine.binning(source, before)
    assert nothing.columns
    assert engine.profile(source, ALL, nothing).rows == N


def test_a_source_without_fields_still_counts_its_rows(engine: Engine, source: Source) -> None:
    bare = replace(source, schema=Schema())
    profile = engine.profile(bare, ALL, engine.binning(bare, ALL))
    assert profile.rows == N
    assert int(profile.hours.counts[:, 0].sum()) == N


def test_a_field_that_is_missing_is_null_and_one_of_another_kind_is_of_a_wrong_type(
    engine: Engine, rows: pa.Table, binning: Binning, held: Any
) -> None:
    window = pa.table(
        {
            "id": rows["id"],
            "ts": rows["ts"],
            "inputs": [{"fare": "12", "carrier": 3.0, "tags": ["x"]} if i % 2 else None for i in range(N)],
        }
    )
    schema = Schema.from_pairs(
        [("inputs.fare", Kind.TEXT), ("inputs.carrier", Kind.NUMBER), ("inputs.tags", Kind.TEXTS)]
    )
    profile = engine.profile(held(schema, window), ALL, binning)
    for column in ("inputs.fare", "inputs.carrier"):
        assert profile.counts(column)[[NULL, RESCUED]].tolist() == [N // 2, N // 2]
    assert profile.counts("label")[NULL] == N
    assert profile.counts("inputs.tags#length")[NULL] == N // 2
    assert profile.counts("inputs.vector#mean")[NULL] == N


def test_rows_far_apart_in_time_cost_no_more_than_rows_close_by(engine: Engine, held: Any) -> None:
    times = [datetime(1970, 1, 1, tzinfo=UTC), datetime(2300, 1, 1, tzinfo=UTC), START]
    far = pa.table(
        {"id": ["a", "b", "c"], "ts": pa.array(times, pa.timestamp("us", "UTC")), "inputs": [{"x": 1.0}] * 3}
    )
    source = held(Schema.from_pairs([("inputs.x", Kind.NUMBER)]), far)
    profile = engine.profile(source, ALL, engine.binning(source, ALL))
    assert profile.rows == 3
    assert profile.hours.keys.tolist() == sorted(int(t.timestamp()) // 3600 for t in times)
    assert profile.days.counts[:, 0].tolist() == [1, 1, 1]


def test_many_texts_in_the_sample_are_not_counted_one_by_one(engine: Engine, held: Any) -> None:
    n = 12_000
    names = [f"n{i}" if i % 3 else "often" for i in range(n)]
    wide = pa.table(
        {
            "id": names,
            "ts": pa.array([START] * n, pa.timestamp("us", "UTC")),
            "inputs": [{"name": name} for name in names],
        }
    )
    source = held(Schema.from_pairs([("inputs.name", Kind.TEXT)]), wide)
    binning = engine.binning(source, ALL)
    assert binning.columns[0].values == ("often",)
    assert binning.columns[0].open
    assert engine.profile(source, ALL, binning).counts("inputs.name")[OUTSIDE:].tolist() == [n - n // 3, n // 3]


def test_late_labels_are_counted(
    engine: Engine, source: Source, binning: Binning, tmp_path: Path, rows: pa.Table
) -> None:
    labels = pa.table({"id": rows["id"], "label": [1.0] * N, "label_ts": rows["ts"]})
    pq.write_table(labels, tmp_path / "labels.parquet")
    late = replace(source, labels=(str(tmp_path / "labels.parquet"),))
    found = engine.profile(late, ALL, binning).counts("label")
    bins = binning.columns[binning.index["label"]]
    assert {bins.label(b): int(n) for b, n in enumerate(found) if n} == {"1": N}
