"""What one call of a model predicts: a part of the prediction that runs, or else a prediction for each of its rows.

The doors of model libraries call. Inputs are on disk before the model runs. Values are arrays, tables and lists of `n` rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from whimbrel.record.prediction import Prediction, current, now
from whimbrel.record.recorder import Recorder

WIDEST = 200
"""Columns that are recorded by name; a row of more is kept as one array."""


class Batch:
    """`with Batch(recorder, inputs, names) as batch:` around a call of a model. Nothing that goes wrong here reaches the app."""

    def __init__(
        self,
        recorder: Recorder,
        inputs: Any,
        names: Sequence[str] | None = None,
        *,
        tags: Mapping[str, object] | None = None,
    ) -> None:
        self._recorder = recorder
        self._inputs, self._names, self._tags = inputs, names, tags or {}
        self._all: list[Prediction] = []
        self._whole = False
        self.mark = 0

    def __enter__(self) -> Self:
        scope = current()
        self._whole = scope is not None
        if scope is not None and scope.prediction is not None:
            self._all = [scope.prediction]
        else:
            with self._safely():
                tags: dict[str, Any] = dict(self._tags)
                self._all = [self._recorder.prediction(row, **tags).begin() for row in rows(self._inputs, self._names)]
        self.mark = now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._whole:
            for prediction in self._all:
                prediction.end(error)

    def step(
        self, name: str, value: Any, names: Sequence[str] | None = None, code: Callable[[], str] | None = None
    ) -> None:
        """Record what a part of the model made of all rows; its time, from the last step's end, is shared among them."""
        with self._safely():
            own = (now() - self.mark) // max(1, len(self._all))
            said = code() if code is not None else None
            for prediction, part in self._parts(value, names):
                prediction.add(("step", name, part, own, said), "steps")
        self.mark = now()

    def output(self, value: Any, names: Sequence[str] | None = None) -> None:
        """Record what the model returned for all rows; columns that have names are outputs of these names."""
        with self._safely():
            for prediction, part in self._parts(value, names):
                prediction.output(part)

    def span(self, name: str) -> None:
        """Record the time since the last step's end, shared among the rows."""
        own = (now() - self.mark) // max(1, len(self._all))
        for prediction in self._all:
            prediction.add(("span", name, own), "spans")
        self.mark = now()

    def model(self, identity: Callable[[], Mapping[str, str]]) -> None:
        """Record which model it was."""
        with self._safely():
            known = identity()
            for prediction in self._all:
                prediction.model(known)

    def _parts(self, value: Any, names: Sequence[str] | None) -> list[tuple[Prediction, Any]]:
        if not self._whole:
            return list(zip(self._all, rows(value, names), strict=True))
        parts = rows(value, names) if isinstance(value, Mapping) or len(value) == 1 else []
        return [(self._all[0], parts[0] if len(parts) == 1 else value)]

    @contextlib.contextmanager
    def _safely(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  the app goes on, whatever its values do
            for prediction in self._all[:1]:
                prediction.lost(error)


def rows(value: Any, names: Sequence[str] | None = None) -> list[Any]:
    """A table's rows: dictionaries where columns have names and are few, else arrays, or single values.

    Of several arrays by name (feeds of a model) the first dimension is the row, where they agree on it.
    """
    if isinstance(value, Mapping):
        return _joined(value, names)
    if hasattr(value, "columns") and not hasattr(value, "dtype"):
        columns = {str(name): value[name].to_list() for name in value.columns}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if hasattr(value, "toarray"):
        value = value.toarray()
    shape = getattr(value, "shape", None)
    if shape is None:
        known = [str(name) for name in names] if names is not None else []
        named = all(isinstance(row, list | tuple) and len(row) == len(known) for row in value)
        return [dict(zip(known, row, strict=True)) for row in value] if named and known else list(value)
    if len(shape) == 1:
        return list(value.tolist())
    if len(shape) > 2 or shape[1] > WIDEST or (names is not None and len(names) != shape[1]):
        return list(value)
    known = [str(name) for name in names] if names is not None else [f"x{i}" for i in range(shape[1])]
    return [dict(zip(known, row, strict=True)) for row in value.tolist()]


def _joined(feeds: Mapping[str, Any], names: Sequence[str] | None) -> list[Any]:
    """The rows of several arrays that stand beside each other."""
    shapes: list[Sequence[int]] = [
        getattr(v, "shape", (len(v),) if isinstance(v, list) else ()) for v in feeds.values()
    ]
    if not all(shapes) or len({shape[0] for shape in shapes}) != 1:
        return [dict(feeds)]
    columns = {}
    for (name, value), shape in zip(feeds.items(), shapes, strict=True):
        columns[name] = rows(value.reshape(-1) if len(shape) == 2 and shape[1] == 1 else value, names)
    if len(columns) == 1 and all(isinstance(row, dict) for column in columns.values() for row in column):
        return next(iter(columns.values()))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
