"""What is read on another thread comes as it would on this one."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from whimbrel.engine.duckdb.ahead import ahead
from whimbrel.engine.duckdb.arrays import Batch


def names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_things_come_in_their_order_and_one_ahead() -> None:
    made: list[int] = []

    def things() -> Iterator[int]:
        for i in range(50):
            made.append(i)
            yield i

    for i, thing in enumerate(ahead(things())):
        assert thing == i
        assert len(made) <= i + 2
    assert made == list(range(50))
    assert list(ahead(iter(()))) == []


def test_an_error_is_raised_after_what_came_before_it() -> None:
    def things() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    found = ahead(things())
    assert next(found) == 1
    with pytest.raises(ValueError, match="broken"):
        next(found)


def test_who_stops_early_leaves_no_thread() -> None:
    found = ahead(iter(range(1_000)))
    assert next(found) == 0
    found.close()  # type: ignore[attr-defined]
    assert "whimbrel-ahead" not in names()


def test_a_batch_is_read_where_it_lies() -> None:
    import arro3.core as arrow

    numbers = [None if i % 7 == 3 else i / 2 for i in range(1_000)]
    x, n = arrow.Array(numbers, arrow.DataType.float64()), arrow.Array(range(1_000), arrow.DataType.int64())
    whole = arrow.RecordBatch.from_arrays([x, n], names=["x", "n"])
    for start, length in ((0, 1_000), (13, 500), (999, 1)):
        batch = Batch(whole.slice(start, length))
        values, there = batch.column("x", np.float64)
        expected = numbers[start : start + length]
        if there is None:
            assert None not in expected
            there = np.ones(length, np.bool_)
        assert [float(v) if t else None for v, t in zip(values, there, strict=True)] == expected
        assert batch.column("n", np.int64)[0].tolist() == list(range(start, start + length))
        assert batch.column("n", np.int64)[1] is None
