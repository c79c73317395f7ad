"""When a difference is new, whom it reaches, and what is not judged at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import whimbrel
from whimbrel.diagnose.undeclared import oftener
from whimbrel.errors import UsageError
from whimbrel.model.records import Records
from whimbrel.model.window import where_dict
from whimbrel.replay import replay

START = 1_700_000_000_000_000


class Doubling:
    """Twice the input; a remark is recorded as well, and no code makes it."""

    kind = "doubling"

    def play(self, records: Any, *, free: bool, heed: Any) -> Iterator[Any]:
        from whimbrel.replay.played import Answers

        records = Records.of(records)
        yield Answers(Records.of_matrix(["outputs.score"], 2 * records.matrix(["inputs.x"])))


def recorded(n: int, *, wrong: Any = None, first: int = START) -> list[dict[str, Any]]:
    rng = np.random.default_rng(n)
    rows = []
    for i in range(n):
        row: dict[str, Any] = {
            "id": f"{first}-{i}", "ts": first + i * 1_000_000, "inputs.x": float(rng.normal()),
            "context.tenant": "abc"[int(rng.integers(3))], "context.channel": "uv"[int(rng.integers(2))],
            "outputs.remark": "fine",
        }  # fmt: skip
        row["outputs.score"] = 2 * row["inputs.x"]
        if wrong is not None and wrong(i, row):
            row["outputs.score"] += 1
        rows.append(row)
    return rows


def test_a_difference_is_confined_by_two_conditions_and_dated_by_its_first_row() -> None:
    """Only rows since the first that differs count: a fault that came late in its slice is in that slice all the same."""
    window = recorded(
        600, wrong=lambda i, row: i >= 400 and row["context.tenant"] == "b" and row["context.channel"] == "u"
    )
    parity = replay("x", Doubling(), window, recorded(200, first=START - 10**9))
    (lead,) = parity.steps[0].differences
    assert where_dict(lead.where) == {"context.tenant": "b", "context.channel": "u"}
    assert lead.since is not None
    assert START + 400_000_000 <= lead.since < START + 430_000_000


def test_three_rows_that_share_a_common_value_by_chance_are_no_slice() -> None:
    window = recorded(600, wrong=lambda i, row: i in (100, 300, 500))
    assert replay("x", Doubling(), window, recorded(200)).steps[0].differences[0].where == ()


def test_what_this_code_never_makes_is_not_judged_and_does_not_differ() -> None:
    parity = replay("x", Doubling(), recorded(60), recorded(60, first=START - 10**9))
    (outputs,) = parity.steps
    assert outputs.standing == "equal"
    assert outputs.unmade == ("outputs.remark",)


@pytest.mark.parametrize(("here", "there", "new"), [
    ((1, 500), (0, 500), False),
    ((7, 500), (0, 500), True),
    ((7, 500), (3, 500), False),
    ((30, 500), (3, 500), True),
    ((400, 500), (300, 500), False),
    ((3, 60), (0, 500), True),
    ((0, 500), (0, 500), False),
    ((1, 1), (0, 0), True),
])  # fmt: skip
def test_a_difference_is_new_where_chance_does_not_give_it(
    here: tuple[int, int], there: tuple[int, int], new: bool
) -> None:
    """Seven of five hundred against none: 0.8% by chance; four fifths against three are not twice the rate."""
    assert oftener(here, there) is new


def test_golden_s_code_alone_is_refused_for_tables_too() -> None:
    with pytest.raises(UsageError, match="golden's code is named"):
        whimbrel.diagnose([], [], golden_pipeline=Doubling())
