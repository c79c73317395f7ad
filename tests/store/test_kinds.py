"""A field's kind is fixed by its first values; what does not fit later is rescued, as it came, and never lost."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whimbrel.model.fields import Kind
from whimbrel.store import Log

from .readback import values_of

T = 1_767_225_600


def rescued(log: Log, app: str = "default") -> dict[str, dict[str, str]]:
    """The rescued maps by id, read by another engine than the one that wrote them."""
    rows = log.layout.predictions(app).open().to_pyarrow_table(columns=["id", "rescued"]).to_pylist()
    return {row["id"]: dict(row["rescued"]) for row in sorted(rows, key=lambda row: row["id"]) if row["rescued"]}


def append(log: Log, *values: Any, name: str = "inputs.x") -> Any:
    n = log.status().apps[0].predictions if log.apps() else 0
    return log.append("default", [{"id": f"r{n + i}", "ts": T + n + i, name: value} for i, value in enumerate(values)])


def kind(log: Log, path: str = "inputs.x") -> Kind | None:
    field = log.source("default").schema.get(path)
    return field.kind if field else None


@pytest.mark.parametrize(
    ("first", "expected", "later", "kept"),
    [
        ([1, 2.5], Kind.NUMBER, ["3", True, [1], {"a": 1}], ["3", "true", "[1]"]),
        (["a", "b"], Kind.TEXT, [3, False, ["a"]], ["3", "false", '["a"]']),
        ([True, False], Kind.BOOLEAN, ["true", 1], ["true", "1"]),
        (["2026-01-01T00:00:00Z"], Kind.TIME, ["tomorrow", 5], ["tomorrow", "5"]),
        ([[1, 2], [3]], Kind.NUMBERS, [["a"], 3, "x"], ['["a"]', "3", "x"]),
        ([["a"], ["b", "c"]], Kind.TEXTS, ["a", 2], ["a", "2"]),
    ],
)
def test_the_first_values_fix_the_kind_and_misfits_are_rescued(
    log: Log, first: list[Any], expected: Kind, later: list[Any], kept: list[str]
) -> None:
    append(log, None)
    assert kind(log) is None  # a field without a value is not there yet
    append(log, *first)
    assert kind(log) is expected
    added = append(log, *later)
    assert kind(log) is expected
    assert dict(added.rescued) == {"inputs.x": len(kept)}
    assert [m["inputs.x"] for m in rescued(log).values()] == kept


def test_mixed_values_take_the_kind_of_most(log: Log) -> None:
    added = append(log, 1, 2, 3, "four", None)
    assert (kind(log), dict(added.rescued)) == (Kind.NUMBER, {"inputs.x": 1})
    assert rescued(log) == {"r3": {"inputs.x": "four"}}


def test_integers_too_large_for_a_double_stay_exact(log: Log) -> None:
    append(log, 2**53 + 1, 2**64 + 1, 123)
    assert kind(log) is Kind.TEXT
    append(log, 2**60 + 7, 5)
    assert values_of(log.source("default"), "inputs.x") == {
        "r0": str(2**53 + 1), "r1": str(2**64 + 1), "r2": "123", "r3": str(2**60 + 7), "r4": "5",
    }  # fmt: skip


def test_a_large_integer_in_a_number_column_is_rescued_not_rounded(log: Log) -> None:
    append(log, 1, 2, 3)
    append(log, 2**53 + 1, 1e300)
    assert rescued(log) == {"r3": {"inputs.x": str(2**53 + 1)}}
    assert values_of(log.source("default"), "inputs.x")["r4"] == 1e300


def test_infinities_stay_and_nan_is_missing(log: Log) -> None:
    append(log, 1.5, math.inf, -math.inf, math.nan)
    assert values_of(log.source("default"), "inputs.x") == {"r0": 1.5, "r1": math.inf, "r2": -math.inf, "r3": None}
    assert rescued(log) == {}


def test_tags_versions_and_fingerprints_are_text_whatever_they_look_like(log: Log) -> None:
    log.append(
        "default",
        [
            {
                "id": "a",
                "ts": T,
                "context.tier": 3,
                "context.beta": True,
                "model.version": 2.0,
                "code.scale": "007",
                "spans.total": "12.5",
            }
        ],
    )
    source = log.source("default")
    assert {f.path: f.kind for f in source.schema if f.path != "spans.total"} == {
        "context.tier": Kind.TEXT, "context.beta": Kind.TEXT, "model.version": Kind.TEXT, "code.scale": Kind.TEXT,
    }  # fmt: skip
    assert values_of(source, "context.tier") == {"a": "3"}
    assert values_of(source, "context.beta") == {"a": "true"}
    assert rescued(log) == {"a": {"spans.total": "12.5"}}


def test_csv_cells_become_what_they_spell(log: Log, tmp_path: Path) -> None:
    rows = ["ts,inputs.n,inputs.b,inputs.t,inputs.l,inputs.s,inputs.w,inputs.na,context.zip,decision"]
    rows += [
        f'2026-01-01T00:00:{i:02d}Z,{i}.5,{"TRUE" if i % 2 else "false"},2026-01-0{i % 9 + 1},"[{i}, 2]",{i}x,,n/a,0{i},yes'
        for i in range(40)
    ]
    rows += ["2026-01-01T00:01:00Z,broken,true,2026-01-01,[1],s,,,00,no", "2026-01-01T00:01:01Z,NaN,,,,,,,,"]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    added = log.import_files(tmp_path / "a.csv")
    assert {f.path: f.kind for f in log.source("default").schema} == {
        "decision": Kind.TEXT, "inputs.n": Kind.NUMBER, "inputs.b": Kind.BOOLEAN, "inputs.t": Kind.TIME, "inputs.l": Kind.NUMBERS,
        "inputs.s": Kind.TEXT, "context.zip": Kind.TEXT,
    }  # fmt: skip
    assert dict(added.rescued) == {"inputs.n": 1}
    assert "00" in values_of(log.source("default"), "context.zip").values()


def test_a_column_that_is_text_in_one_feed_and_number_in_another_is_evidence(log: Log) -> None:
    log.add(pd.DataFrame({"id": ["a"], "ts": [T], "inputs.zip": ["02134"]}))
    added = log.add(pd.DataFrame({"id": ["b"], "ts": [T], "inputs.zip": [2134]}))
    assert dict(added.rescued) == {"inputs.zip": 1}
    assert rescued(log) == {"b": {"inputs.zip": "2134"}}


def test_names_may_hold_anything_and_stay_themselves(log: Log) -> None:
    names = [
        'we"ird',
        "it's",
        "a b",
        "ünï😀",
        "x;DROP TABLE t;--",
        "{curly}",
        "a,b",
        "$1",
        "?",
        "select",
        "a.b.c",
        "tab\\t",
        "%s",
        "_",
        "`tick`",
        "x" * 300,
    ]
    record = (
        {"id": "a", "ts": T, "steps.st'e\"p.x": 1}
        | {f"inputs.{name}": i for i, name in enumerate(names)}
        | {f"context.{name}": name for name in names}
    )
    log.append("default", [record])
    log.append("default", [{**record, "id": "b", "inputs.a b": "not a number"}])
    source = log.source("default")
    assert {f.path for f in source.schema} == set(record) - {"id", "ts"}
    for i, name in enumerate(names):
        assert values_of(source, f"inputs.{name}")["a"] == i
    assert values_of(source, 'context.we"ird')["b"] == 'we"ird'
    assert rescued(log) == {"b": {"inputs.a b": "not a number"}}


def test_values_may_hold_anything_and_stay_themselves(log: Log) -> None:
    texts = [
        "'; DROP TABLE x; --",
        '"',
        "\\",
        "\u0000nul",
        "line\nbreak",
        "😀",
        "null",
        "{}",
        "[1]",
        "",
        " ",
        "NaN",
        "\u2028",
        "true",
        "1",
    ]
    log.append("default", [{"id": str(i), "ts": T + i, "context.t": text} for i, text in enumerate(texts)])
    held = values_of(log.source("default"), "context.t")
    assert [held[str(i)] for i in range(len(texts))] == texts


def test_names_that_differ_by_case_only_cannot_stand_side_by_side_and_are_rescued(log: Log) -> None:
    append(log, 1, name="inputs.fare")
    added = append(log, 2, name="inputs.Fare")
    assert [f.path for f in log.source("default").schema] == ["inputs.fare"]
    assert dict(added.rescued) == {"inputs.Fare": 1}
    assert "case" in added.warnings[0]
    both = log.append("other", [{"id": "a", "ts": T, "steps.S.x": 1, "steps.s.y": 2}])
    assert [f.path for f in log.source("other").schema] == ["steps.S.x"]
    assert dict(both.rescued) == {"steps.s.y": 1}


def test_paths_of_no_use_are_kept_out_and_named(log: Log) -> None:
    added = log.append(
        "default",
        [
            {
                "id": "a",
                "ts": T,
                "inputs.": 1,
                "steps..x": 2,
                "steps.s.": 3,
                "other": 4,
                "inputs.\u0007": 5,
                "model": "m",
            }
        ],
    )
    assert added.rows == 1
    assert added.warnings[0].startswith("6 columns")


def test_other_readers_of_delta_see_the_same_rows(log: Log) -> None:
    log.append(
        "default",
        [{"id": "a", "ts": T, "inputs": {"x": 1, "l": [1, 2]}, "steps": {"s": {"v": "t"}}, "label": 1, "error": ""}],
    )
    log.append("default", [{"id": "b", "ts": T + 86_400, "inputs": {"new": True}, "decision": "yes"}])
    rows = {r["id"]: r for r in log.layout.predictions("default").open().to_pyarrow_table().to_pylist()}
    assert rows["a"]["inputs"] == {"x": 1.0, "l": [1.0, 2.0], "new": None}
    assert rows["a"]["steps"] == {"s": {"v": "t"}}
    assert rows["a"]["error"] is None
    assert rows["b"]["inputs"] == {"x": None, "l": None, "new": True}
    assert str(rows["b"]["day"]) == "2026-01-02"
    assert json.dumps(rows["b"]["decision"]) == '"yes"'


def test_where_no_value_can_misfit_files_have_no_column_for_it(log: Log, tmp_path: Path) -> None:
    """Numbers, flags and texts of a Parquet file fit as they are; one text into a column of numbers does not, and all read together."""
    flat = tmp_path / "flat.parquet"
    pq.write_table(pa.table({"id": ["a", "b"], "ts": [T] * 2, "inputs.x": [1.0, 2.0], "inputs.w": ["u", "v"]}), flat)
    log.import_files([str(flat)])
    (file,) = log.source("default").files
    assert "rescued" not in pq.read_schema(file).names
    added = log.append("default", [{"id": "c", "ts": T, "inputs.x": "three"}])
    assert dict(added.rescued) == {"inputs.x": 1}
    assert rescued(log) == {"c": {"inputs.x": "three"}}
    assert values_of(log.source("default"), "inputs.x") == {"a": 1.0, "b": 2.0, "c": None}


@pytest.mark.parametrize("first", ["nothing", "another app"])
def test_a_field_is_not_missed_that_the_first_rows_lack(log: Log, tmp_path: Path, first: str) -> None:
    """Of many rows only some decide the kinds of new fields; of a field that none of these holds all do."""
    n = 70_000
    late = [None] * (n - 1) + [7.5]
    columns = {"id": [f"r{i}" for i in range(n)], "ts": [T] * n, "inputs.x": late if first == "nothing" else [7.5] * n}
    columns["app"] = ["one"] * n if first == "nothing" else ["two"] * (n - 1) + ["one"]
    flat = tmp_path / "flat.parquet"
    pq.write_table(pa.table(columns), flat)
    log.import_files([str(flat)])
    assert values_of(log.source("one"), "inputs.x")[f"r{n - 1}"] == 7.5
