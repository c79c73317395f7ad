"""Times come in any unit and zone; the unit is told once a column, and what does not fit it is set aside."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pandas as pd
import pytest

from whimbrel.store import Log, source_of

from .readback import rows_of

T = 1_767_323_045  # 2026-01-02 03:04:05 UTC


@pytest.mark.parametrize(
    "ts",
    [
        T, float(T), T * 1000, T * 1_000_000, T * 1_000_000_000, str(T), str(T * 1000), f"{T}.0",
        "2026-01-02T03:04:05Z", "2026-01-02 03:04:05", "2026-01-02T05:04:05+02:00", "2026-01-01T22:04:05-05:00", " 2026-01-02 03:04:05 ",
        datetime(2026, 1, 2, 3, 4, 5), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), pd.Timestamp("2026-01-02 12:04:05", tz="Asia/Tokyo"),
    ],
)  # fmt: skip
def test_all_of_these_are_one_moment(ts: object) -> None:
    source, added = source_of(pd.DataFrame({"ts": [ts], "inputs.x": [1]}))
    assert list(rows_of(source).ts) == [T * 1_000_000]
    assert added.warnings == ()


def test_no_microsecond_is_lost_in_any_unit_that_has_them() -> None:
    for ts in (T * 10**6 + 123_457, T * 10**9 + 123_457_999, f"{T * 10**6 + 123_457}", "2026-01-02T03:04:05.123457Z"):
        assert list(rows_of(source_of(pd.DataFrame({"ts": [ts]}))[0]).ts) == [T * 10**6 + 123_457]


def test_rows_in_another_unit_than_their_column_are_set_aside(log: Log) -> None:
    added = log.add(pd.DataFrame({"ts": [T * 1000, T * 1000 + 1, T * 1000 + 2, T, 0], "inputs.x": range(5)}))
    assert (added.rows, added.quarantined) == (3, 2)
    assert added.quarantine_file is not None
    found = [json.loads(line) for line in added.quarantine_file.read_text().splitlines()]
    assert [f["row"] for f in found] == [4, 5]
    assert "milliseconds" in found[0]["reason"]


def test_each_file_has_its_own_unit(log: Log) -> None:
    log.add(pd.DataFrame({"ts": [T], "inputs.x": [1]}))
    log.add(pd.DataFrame({"ts": [(T + 1) * 1000], "inputs.x": [2]}))
    assert sorted(rows_of(log.source("default")).ts) == [T * 10**6, (T + 1) * 10**6]


@pytest.mark.parametrize(
    ("ts", "reason"),
    [("1969-12-31", "before 1970"), ("2999-01-01", "after 2262"), ("soon", "cannot be read"), (None, "missing")],
)
def test_times_that_cannot_be_are_set_aside(ts: object, reason: str) -> None:
    _, added = source_of(pd.DataFrame({"ts": ["2026-01-01", ts]}))
    assert (added.rows, added.quarantined) == (1, 1)
    assert any(reason in warning for warning in added.warnings)


def test_times_in_the_future_or_long_ago_are_said_aloud() -> None:
    _, future = source_of(pd.DataFrame({"ts": ["2026-01-01", "2200-01-01"]}))
    assert any("1 rows lie in the future" in w for w in future.warnings)
    _, past = source_of(pd.DataFrame({"ts": [1, 2, 3]}))
    assert any("1970-01-01" in w for w in past.warnings)
