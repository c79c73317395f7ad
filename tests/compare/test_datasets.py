"""One data version against another: with itself nothing differs; what was planted is found, and only that."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from whimbrel.compare.datasets import DataDiff, compare_data, told_between
from whimbrel.errors import UsageError
from whimbrel.store import Log, open_log


@pytest.fixture
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    log = open_log(tmp_path_factory.mktemp("data") / "home")
    log.data.add_table(train(), name="train")
    return log


def train(n: int = 4000) -> pd.DataFrame:
    dice = np.random.default_rng(3)
    return pd.DataFrame({
        "id": np.arange(n),
        "fare": dice.lognormal(3, 0.5, n),
        "kind": dice.choice(list("abc"), n),
        "age": np.where(dice.random(n) < 0.1, np.nan, dice.integers(18, 80, n)),
        "y": dice.integers(0, 2, n),
    })  # fmt: skip


def diff(log: Log, frame: pd.DataFrame | pa.Table, *, key: str = "id", label: str | None = "y") -> DataDiff:
    log.data.add_table(frame, name="train")
    return compare_data(log, "train@1", "train@2", key=[key], label=label)


def test_with_itself_nothing_differs(log: Log) -> None:
    found = compare_data(log, "train@1", "train@1", key=["id"], label="y")
    assert (found.same, found.found, found.moved) == (True, False, ())
    assert found.sentence == "train@1 and train@1 hold the same columns and rows."
    assert found.facts.keys is not None
    assert (found.facts.keys.gone, found.facts.keys.new, found.facts.keys.changed) == (0, 0, 0)


@pytest.mark.parametrize("what", ["added", "removed", "changed"])
def test_one_row_added_removed_or_changed_is_found(log: Log, what: str) -> None:
    frame = train()
    if what == "added":
        frame = pd.concat([frame, frame.iloc[:1].assign(id=9999)])
    elif what == "removed":
        frame = frame.drop(index=7)
    else:
        kinds = frame["kind"].tolist()
        frame["kind"] = [*kinds[:7], "b" if kinds[7] == "a" else "a", *kinds[8:]]
    found = diff(log, frame)
    keys, rows = found.facts.keys, found.facts.rows
    assert keys is not None
    assert found.found
    assert (keys.new, keys.gone, keys.changed) == (what == "added", what == "removed", what == "changed")
    assert (rows.new, rows.gone) == (what != "removed", what != "added")
    assert found.moved == ()  # one row in thousands is no movement of a distribution
    if what == "changed":
        assert dict(keys.cells) == {"kind": 1}
        assert keys.examples["changed"] == ("7",)


def test_what_moved_is_said_column_by_column_and_the_rest_is_unmoved(log: Log) -> None:
    frame = train()
    frame["fare"] *= 100
    frame.loc[frame.index[::3], "y"] = 1
    found = diff(log, frame)
    moved = {m.path.removeprefix("inputs."): found.words(m) for m in found.moved}
    assert set(moved) == {"fare", "y"}
    assert "times greater" in moved["fare"]
    assert {m.path for m in found.unmoved} == {"inputs.kind", "inputs.age"}
    assert found.facts.labels == {str(v): ((train().y == v).sum(), (frame.y == v).sum()) for v in (1, 0)}
    assert "golden" not in found.sentence


def test_changes_of_the_schema_are_named_and_rows_are_matched_by_what_both_have(log: Log) -> None:
    frame = train().drop(columns="age").assign(extra="e")
    frame["id"] = frame["id"].astype("int32")
    found = diff(log, frame)
    assert found.columns == {"gone": ["age"], "new": ["extra"], "retyped": {"id": ["BIGINT", "INTEGER"]}}
    assert (found.facts.rows.gone, found.facts.rows.new) == (0, 0)
    assert "`age` is gone; `extra` is new; `id` is INTEGER, was BIGINT" in found.sentence


def test_a_null_that_became_nan_is_told(log: Log) -> None:
    table = pa.Table.from_pandas(train(), preserve_index=False)
    ages = [float("nan") if age is None else age for age in table["age"].to_pylist()]
    before, after = (pa.table({"id": table["id"], "age": pa.array(a)}) for a in (table["age"].to_pylist(), ages))
    log.data.add_table(before, name="ages")
    log.data.add_table(after, name="ages")
    found = compare_data(log, "ages@1", "ages@2", key=["id"])
    gaps = sum(np.isnan(train()["age"]))
    assert found.facts.empty["age"] == (gaps, 0, 0, gaps)
    assert found.facts.keys is not None
    assert dict(found.facts.keys.cells) == {"age": gaps}


def test_members_of_structs_are_columns_of_their_own(log: Log) -> None:
    for factor in (1, 100):
        users = [{"age": i % 60 * factor, "name": "x"} for i in range(3000)]
        log.data.add_table(pa.table({"user": users}), name="nested")
    found = compare_data(log, "nested@1", "nested@2")
    assert [m.path for m in found.moved] == ["inputs.user.age"]
    assert [m.path for m in found.unmoved] == ["inputs.user.name"]


def test_rows_that_sit_in_train_and_validation_are_found_by_content(log: Log) -> None:
    base = train()
    held = base.iloc[:30].copy()
    held.loc[held.index[:10], "y"] = 1 - held.loc[held.index[:10], "y"]  # the same features with another label
    held.loc[held.index[20:], "fare"] += 1  # truly another row
    held["id"] += 50_000
    log.data.add_table(held[["y", "kind", "id", "age", "fare"]], name="validation")
    by_all = compare_data(log, "train@1", "validation@1")
    assert by_all.facts.rows.after_in_before == 0  # the ids differ
    found = compare_data(log, "train@1", "validation@1", key=["id"], label="y")
    assert (found.facts.rows.after_in_before, found.facts.rows.features_in_before) == (0, 20)
    assert "20 (67%) do where key and label are left out" in found.sentence
    log.data.add_table(base.iloc[5:8], name="leak")
    assert "3 of 3 rows of leak@1 (100%) sit in train@1 too" in compare_data(log, "train@1", "leak@1").sentence
    log.data.add_table(base, name="twin")
    twin = compare_data(log, "train@1", "twin@1")
    assert (twin.same, twin.found) == (True, True)  # no difference, and yet something was found


def test_keys_that_come_twice_are_counted_and_not_matched(log: Log) -> None:
    found = diff(log, pd.concat([train(), train().iloc[:2].assign(kind="c", fare=1.0)]))
    assert found.facts.keys is not None
    assert (found.facts.keys.doubled, found.facts.keys.changed, found.facts.keys.kept) == (2, 0, 4000)


def test_a_key_that_one_side_lacks_is_refused_with_those_there_are(log: Log) -> None:
    with pytest.raises(UsageError, match="no column 'ID2'") as error:
        compare_data(log, "train@1", "train@1", key=["ID2"])
    assert "fare" in error.value.why


def test_no_column_in_common_is_all_gone_and_all_new(log: Log) -> None:
    found_by = log.data.add_table(pa.table({"other": [1, 2]}), name="train")
    found = compare_data(log, "train@1", found_by.version.spec)
    assert (found.facts.rows.gone, found.facts.rows.new, found.facts.rows.after_in_before) == (4000, 2, 0)


def test_what_differs_is_worked_out_once_and_plain_json(log: Log) -> None:
    found = diff(log, train().assign(fare=1.0))
    json.dumps(found.to_dict(), allow_nan=False)
    said = told_between(log, "train@1", "train@2")
    assert said == found.differs
    (kept,) = (log.home / "models" / "differences").glob("*.json")
    kept.write_text(kept.read_text().replace("fare", "FARE"))
    assert "FARE" in told_between(log, "train@1", "train@2")
    kept.write_text("{")
    assert told_between(log, "train@1", "train@2") == said
