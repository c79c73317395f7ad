"""Plain tables: every format gives the same answer, odd columns are left out by name, bad input is an error in four parts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import whimbrel
from tests.slices.worlds import rows
from whimbrel.errors import EvidenceError, InputError, UsageError, WhimbrelError
from whimbrel.store.plain import MOST_VALUES, read_plain


@pytest.fixture(scope="module")
def pair() -> list[pd.DataFrame]:
    """Two windows with a slice of two conditions."""
    return [pd.DataFrame(t) for t in rows(1, 6_000, hit={"country": 2, "device": 1}, effect=40)]


def _written(folder: Path, name: str, frame: pd.DataFrame) -> dict[str, str]:
    paths = {kind: str(folder / f"{name}.{kind}") for kind in ("csv", "csv.gz", "parquet", "jsonl")}
    text = frame.to_csv(index=False)
    Path(paths["csv"]).write_text(text, "utf-8")
    Path(paths["csv.gz"]).write_bytes(gzip.compress(text.encode()))
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), paths["parquet"])
    lines = (json.dumps(row) for row in frame.to_dict("records"))
    Path(paths["jsonl"]).write_text("\n".join(lines) + "\n", "utf-8")
    return paths


def test_every_format_and_kind_of_table_gives_the_same_answer(tmp_path: Path, pair: list[pd.DataFrame]) -> None:
    """CSV, gzip, Parquet, JSON Lines; pandas, Polars, Arrow."""
    written = [_written(tmp_path, name, frame) for name, frame in zip(("a", "b"), pair, strict=True)]
    asked: list[tuple[Any, Any]] = [(written[0][kind], written[1][kind]) for kind in written[0]]
    for kind in (pd.DataFrame, pl.from_pandas, pa.Table.from_pandas):
        asked.append((kind(pair[0]), kind(pair[1])))
    answers = [whimbrel.slices(before, after, metric="value").to_dict() for before, after in asked]
    first = answers[0]
    assert first["slices"][0]["where"] == {"country": "co2", "device": "de1"}
    for other in answers[1:]:
        assert other["by"] == first["by"]
        assert other["slices"][0]["where"] == first["slices"][0]["where"]
        assert other["slices"][0]["shift"] == pytest.approx(first["slices"][0]["shift"])
        assert other["mix"]["shift"] == pytest.approx(first["mix"]["shift"], abs=1e-9)


def test_columns_that_make_no_slices_are_named_with_the_reason() -> None:
    """An id, a continuous number, a time, a list, one that is always missing, one that only one table has."""
    n = 400
    table = pd.DataFrame({
        "id": [f"r{i}" for i in range(n)], "x": [i / 7 for i in range(n)], "ts": pd.date_range("2026-01-01", periods=n),
        "tags": [[1, 2]] * n, "gone": [None] * n, "kind": ["a", "b"] * (n // 2), "v": [1.0, 2.0] * (n // 2),
    })  # fmt: skip
    plain = read_plain([table.assign(extra=1), table], numbers=["v"])
    assert [a.name for a in plain.attributes] == ["kind"]
    said = {c: why.split(" (")[0] for c, why in plain.left_out.items()}
    assert said == {
        "id": "like an id", "x": "continuous", "ts": "a time", "tags": "nested", "gone": "always missing", "extra": "only one table has it",
    }  # fmt: skip


def test_codes_are_those_of_the_values_and_a_missing_value_is_one(tmp_path: Path) -> None:
    """Values that the head of a CSV does not show are found by a second reading."""
    n = 60_000
    values = ["late" if i >= 55_000 else ("" if i % 10 == 0 else f"k{i % 3}") for i in range(n)]
    path = tmp_path / "long.csv"
    path.write_text("kind,v\n" + "\n".join(f"{k},{i % 7}" for i, k in enumerate(values)) + "\n", "utf-8")
    (attribute,) = read_plain([str(path)], numbers=["v"]).attributes
    assert attribute.values == (None, "k0", "k1", "k2", "late")
    assert [attribute.values[c] for c in attribute.codes[0][[0, 1, 2, 59_999]]] == [None, "k1", "k2", "late"]
    assert (attribute.codes[0] == 4).sum() == 5_000


def test_of_a_column_with_too_many_values_the_commonest_are_told_apart() -> None:
    """Asked for by name, it makes slices of those; the others are one value without a name."""
    values = [f"c{i}" for i in range(MOST_VALUES)] * 3 + [f"rare{i}" for i in range(300)]
    table = pa.table({"city": values, "v": [1.0] * len(values)})
    (attribute,) = read_plain([table], numbers=["v"], by=["city"]).attributes
    assert len(attribute.values) == MOST_VALUES + 2
    assert attribute.values[0] is None
    assert attribute.values[-1] == ""
    assert (attribute.codes[0] == MOST_VALUES + 1).sum() == 300


def test_a_binned_number_makes_slices_by_ranges() -> None:
    """A shift above a fare of 80 is a slice of ranges."""
    fares = [i % 100 for i in range(8_000)]
    before = pa.table({"fare": fares, "kind": ["a", "b"] * 4_000, "v": [float(i % 13) for i in range(8_000)]})
    late = [float(i % 13) + (9 if f >= 80 else 0) for i, f in enumerate(fares)]
    answer = whimbrel.slices(before, before.set_column(2, "v", pa.array(late)), metric="v", bins=["fare"])
    assert [dict(one.where) for one in answer.slices] == [{"fare": ">=79"}]


def test_a_missing_value_is_a_slice_of_its_own() -> None:
    """Rows whose country is missing got slower."""
    n = 4_000
    country = [None if i % 4 == 0 else f"c{i % 3}" for i in range(n)]
    values = [float(i % 11) for i in range(n)]
    late = [v + 5 * (c is None) for v, c in zip(values, country, strict=True)]
    answer = whimbrel.slices(pa.table({"c": country, "v": values}), pa.table({"c": country, "v": late}), metric="v")
    assert dict(answer.slices[0].where) == {"c": None}
    assert answer.sentence.startswith("c is missing holds")


def _csv(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, "utf-8")
    return str(path)


GOOD = "a,v\n" + "x,1\ny,2\n" * 40


@pytest.mark.parametrize(
    ("before", "after", "metric", "error", "words"),
    [
        (GOOD, GOOD, "zz", UsageError, "no column 'zz'"),
        (GOOD, "a,w\nx,1\n", "v", UsageError, "only the other table has it"),
        (GOOD, GOOD.replace("x,1", "x,oops"), "v", UsageError, "'oops', which is no number"),
        (GOOD, "a,v\n" + "x,\n" * 40, "v", EvidenceError, "holds no value in any row"),
        (GOOD, "a,v\n", "v", EvidenceError, "is empty"),
        (GOOD, "a,v\nx,1\n", "v", EvidenceError, "only 1 rows"),
        (GOOD, "", "v", InputError, "is empty"),
        (GOOD, "a,v\nx\n", "v", InputError, "cannot read"),
        (GOOD, "b,v\n" + "x,1\n" * 40, "v", InputError, "no column could make slices"),
        (GOOD, GOOD, "", UsageError, "no metric was named"),
    ],
)
def test_bad_input_is_an_error_in_four_parts(
    tmp_path: Path, before: str, after: str, metric: str, error: type[WhimbrelError], words: str
) -> None:
    """What, where, why, next."""
    paths = _csv(tmp_path, "a.csv", before), _csv(tmp_path, "b.csv", after)
    with pytest.raises(error) as caught:
        whimbrel.slices(*paths, metric=metric)
    assert words in str(caught.value)
    assert all((caught.value.what, caught.value.where, caught.value.why, caught.value.next))


def test_a_damaged_parquet_file_and_a_metric_that_makes_slices_are_refused(tmp_path: Path) -> None:
    """Neither ends in a traceback."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["x"] * 50, "v": [1.0] * 50}), path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="cannot read"):
        whimbrel.slices(str(path), str(path), metric="v")
    good = _csv(tmp_path, "good.csv", GOOD)
    with pytest.raises(UsageError, match="cannot make slices too"):
        whimbrel.slices(good, good, metric="v", by=["v"])
