"""Records and answers in columns: they are the rows, they add up, and a process of its own gets and gives them unchanged."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.model.records import Records
from whimbrel.replay import Played
from whimbrel.replay.apart import _packed, _unpacked, play
from whimbrel.replay.parity import known, replay
from whimbrel.replay.played import Answers
from whimbrel.replay.record import gap, gaps

NUMBERS = st.integers(-(2**53), 2**53) | st.integers(2**60, 2**62)
FLOATS = st.floats(allow_nan=False)
OTHERS: st.SearchStrategy[Any] = (
    st.sampled_from(["", "a", "1"]) | st.booleans() | st.lists(st.floats(0, 1) | st.none(), max_size=3)
)
OTHERS = OTHERS | st.just(datetime(2026, 11, 19, 14, 5, tzinfo=UTC))
COLUMNS = {"inputs.whole": NUMBERS, "inputs.part": FLOATS, "steps.a.other": OTHERS}
ROWS = st.lists(st.fixed_dictionaries({}, optional=COLUMNS), max_size=6)


@given(ROWS)
def test_columns_are_the_rows(rows: list[dict[str, Any]]) -> None:
    """Row by row, one by one, packed and unpacked, values and their types."""
    records = Records.of(rows)
    for same in (records, _unpacked(_packed(records)), records.only(records.paths)):
        assert [*map(_typed, same)] == [*map(_typed, rows)]
    assert [records[i] for i in range(len(rows))] == rows
    assert [*records[::-1]] == rows[::-1]


def _typed(row: dict[str, Any]) -> dict[str, tuple[type, Any]]:
    return {path: (type(value), value) for path, value in row.items()}


@given(ROWS, ROWS, ROWS)
def test_records_add_up(a: list[dict[str, Any]], b: list[dict[str, Any]], c: list[dict[str, Any]]) -> None:
    """An empty one is neutral, grouping does not matter, and the sum of parts is the whole."""
    one, two, three = map(Records.of, (a, b, c))
    assert [*(Records() + one)] == [*(one + Records())] == a
    assert [*((one + two) + three)] == [*(one + (two + three))] == [*Records.of(a + b + c)]


@given(ROWS.filter(bool).flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))))
def test_gaps_are_the_gap_of_each_pair(pair: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
    """All at once says what one after the other does."""
    paths = [*COLUMNS, "nowhere"]
    found = gaps(Records.of(pair[0]), Records.of(pair[1]), paths)
    wanted = [[gap(a.get(path), b.get(path)) for path in paths] for a, b in zip(*pair, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_a_recorded_nan_is_not_null() -> None:
    """It is a value, it is the same as itself, and differs from null by all there is."""
    some, none = Records.of([{"a": math.nan}, {"a": 1.0}]), Records.of([{}, {"a": 1.0}])
    assert math.isnan(some[0]["a"])
    assert none[0] == {}
    assert gaps(some, some, ["a"]).tolist() == [[0], [0]]
    assert gaps(some, none, ["a"]).tolist() == [[math.inf], [0]]


def test_what_the_code_may_see() -> None:
    """Inputs that are whole throughout are integers; labels are hidden; one fraction keeps a column as it is."""
    rows = [{"inputs.hour": 3.0, "inputs.km": float(i), "label": 1.0, "outputs.score": 1.0} for i in range(9)]
    rows.append({"inputs.km": 9.5})
    seen = known(rows)
    assert _typed(seen[0]) == _typed({"inputs.hour": 3, "inputs.km": 0.0, "outputs.score": 1.0})


def test_answers_of_one_and_of_many_add_up() -> None:
    """What is to be said of single rows stays theirs."""
    failed = Played({}, "ValueError: no", "scale")
    answers = Answers.of([Played({"a": 1.0}), failed]) + Answers(Records.of([{"a": 2.0}]), {0: Played(unkept=("b",))})
    assert [*answers] == [Played({"a": 1.0}), failed, Played({"a": 2.0}, unkept=("b",))]
    assert [*answers[::-1]] == [*answers][::-1]
    assert answers[1:].odd.keys() == {0, 1}


CODE = """
import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

rows = np.arange(20.0).reshape(10, 2) ** 2

def checked(rows):
    if (rows == 7).any():
        DIE
    return rows

model = Pipeline([("check", FunctionTransformer(checked)), ("scale", StandardScaler()), ("model", LinearRegression())])
model.fit(rows, rows[:, 0])
"""


def recorded(n: int) -> list[dict[str, Any]]:
    """Inputs of the pipeline above; the seventh prediction holds a seven."""
    return [{"id": str(i), "inputs.a": float(i + 1), "inputs.b": i + 0.5} for i in range(n)]


def test_a_batch_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Steps and outputs come back in columns; of a batch that fails only the failing row fails, and says where."""
    (tmp_path / "train.py").write_text(CODE.replace("DIE", "raise ValueError('a seven')"))
    outcome = play(f"{tmp_path}/train.py:model", recorded(12))
    assert outcome.kind == "scikit-learn Pipeline"
    assert {i: (one.failed, one.failed_in) for i, one in outcome.answers.odd.items()} == {
        6: ("ValueError: a seven", "check")
    }
    assert outcome.answers[0].out.keys() == {"steps.check.x0", "steps.check.x1", "steps.scale.x0", "steps.scale.x1", "outputs.score"}  # fmt: skip
    assert outcome.answers[6].out == {}
    assert np.isfinite(outcome.answers.out.values("outputs.score")[7])


def test_a_batch_whose_process_dies_is_given_up_after_some_rows(tmp_path: Path) -> None:
    """How it died is said; what could not be replayed says so."""
    (tmp_path / "train.py").write_text(CODE.replace("DIE", "import os; os.abort()"))
    outcome = play(f"{tmp_path}/train.py:model", recorded(12))
    assert len(outcome.answers) == 12
    assert outcome.accidents == ["its process was killed by SIGABRT"] * 3
    assert all(answer.failed for answer in outcome.answers)


def test_a_step_that_was_not_recorded_for_some_rows_goes_on_with_its_own_values(tmp_path: Path) -> None:
    """A row without the step's values is replayed with the code's; the others are handed the recorded ones."""
    (tmp_path / "train.py").write_text(CODE.replace("DIE", "pass"))
    rows = recorded(12)
    for row, answer in zip(rows, play(f"{tmp_path}/train.py:model", rows).answers, strict=True):
        row |= answer.out
    for row in rows[:4]:
        del row["steps.scale.x0"], row["steps.scale.x1"]
    for row in rows[4:]:
        row["steps.scale.x0"] += 1
    result = replay("plans", f"{tmp_path}/train.py:model", rows, ())
    steps = {step.name: step for step in result.steps}
    assert result.first == steps["steps.scale"]
    assert (steps["steps.scale"].compared, steps["steps.scale"].differ) == (8, 8)
    assert steps["steps.scale"].differences[0].shape == "1 too high"
    assert steps["outputs"].differ == 8  # the recorded outputs are those of the step's own values
    assert steps["steps.check"].standing == "equal"
