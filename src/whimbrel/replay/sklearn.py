"""A scikit-learn estimator or pipeline as a pipeline of named steps, all rows of a replay at once.

In: a fitted estimator. Out: what `doors/sklearn.py` records of it, column by column.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from whimbrel.record import flat
from whimbrel.replay.pipelines import Heed, Played, fields
from whimbrel.replay.record import Record


class EstimatorPipeline:
    """A fitted scikit-learn estimator; the parts of a `Pipeline` are its steps."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        steps = [part for part in getattr(estimator, "steps", ()) if part[1] not in (None, "passthrough")]
        whole = not steps or not all(hasattr(part, "transform") for _, part in steps[:-1])
        self._steps = [("model", estimator)] if whole else steps

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return f"scikit-learn {type(self._estimator).__name__}"

    def play(self, records: Sequence[Record], *, free: bool, heed: Heed) -> Iterator[Played]:
        """Transform and predict all rows; where that fails, each row by itself, so that only the failing ones fail."""
        try:
            yield from self._together(records, free, heed)
        except Exception as error:  # noqa: BLE001  the code that is judged may raise anything
            if len(records) == 1:
                yield Played(failed=f"{type(error).__name__}: {error}"[:500], failed_in=self._at)
            else:
                for record in records:
                    yield from self.play([record], free=free, heed=heed)

    def _together(self, records: Sequence[Record], free: bool, heed: Heed) -> list[Played]:
        names = self._names(records)
        self._at = self._steps[0][0]
        value = _table(records, names, framed=hasattr(self._estimator, "feature_names_in_"))
        columns: list[tuple[str, list[Any]]] = []
        unkept: list[str] = []
        for step, part in self._steps[:-1]:
            self._at = step
            heed(step)
            value = part.transform(value)
            out = _names_out(part)
            matrix = _dense(value)
            if matrix is None:
                continue
            paths = [f"steps.{flat.name_of(step)}.{name.replace('.', '_')}" for name in _column_names(out, matrix)]
            if not free:
                value, kept = _handed_on(value, matrix, paths, records)
                unkept += [] if kept else [step]
            columns += list(zip(paths, matrix.T.tolist(), strict=True))
        self._at = self._steps[-1][0]
        heed(self._at)
        columns += self._answers(value, records)
        rows = zip(*(column for _, column in columns), strict=True)
        paths = [path for path, _ in columns]
        return [
            Played({p: v for p, v in zip(paths, row, strict=True) if v is not None}, unkept=tuple(unkept))
            for row in rows
        ]

    _at = ""

    def _names(self, records: Sequence[Record]) -> list[str]:
        """The paths of the fields that it was fitted with: inputs, or what a step before it made."""
        wanted = [str(name) for name in getattr(self._estimator, "feature_names_in_", ())]
        inputs = fields(records, "inputs")
        if not wanted:
            return [f"inputs.{name}" for name in inputs]
        known = {flat.name_of(name): f"inputs.{name}" for name in inputs}
        for path in fields(records, "steps"):
            known[path.partition(".")[2]] = f"steps.{path}"
        return [
            f"inputs.{n}" if n in inputs else known.get(n, known.get(flat.name_of(n), f"inputs.{n}")) for n in wanted
        ]

    def _answers(self, value: Any, records: Sequence[Record]) -> list[tuple[str, list[Any]]]:
        model = self._steps[-1][1]
        classes = getattr(self._estimator, "classes_", None)
        if classes is None or not self._says_scores(records, classes):
            return _said(np.asarray(model.predict(value)), None)
        method = model.predict_proba if hasattr(model, "predict_proba") else model.decision_function
        return _said(np.asarray(method(value)), [str(one) for one in classes])

    def _says_scores(self, records: Sequence[Record], classes: Any) -> bool:
        """Whether what was recorded are probabilities or scores; else it is the class itself."""
        told = [record["outputs.score"] for record in records if "outputs.score" in record]
        if not told:
            return True
        known = {str(one) for one in classes} | {f"{one}.0" for one in classes}
        return not all(str(score) in known for score in told)


def _said(answer: Any, classes: Sequence[str] | None) -> list[tuple[str, list[Any]]]:
    """The answer's columns, as the door names them: of two classes the second's is `outputs.score`."""
    if answer.ndim == 1:
        return [("outputs.score", answer.tolist())]
    if classes is not None and answer.shape[1] == 2:
        return [("outputs.score", answer[:, 1].tolist())]
    names = classes if classes is not None and len(classes) == answer.shape[1] else [
        f"x{i}" for i in range(answer.shape[1])
    ]  # fmt: skip
    return [(f"outputs.{name}", column) for name, column in zip(names, answer.T.tolist(), strict=True)]


def _table(records: Sequence[Record], paths: Sequence[str], *, framed: bool) -> Any:
    """The rows that the estimator takes: a frame where it was fitted with one, else an array."""
    columns = [[record.get(path) for record in records] for path in paths]
    numeric = [all(value is None or isinstance(value, int | float) for value in column) for column in columns]
    arrays = [
        np.array([math.nan if value is None else value for value in column], dtype=float) if number
        else np.array(column, dtype=object)
        for column, number in zip(columns, numeric, strict=True)
    ]  # fmt: skip
    if not framed:
        return np.column_stack(arrays)
    import pandas as pd

    return pd.DataFrame({path.rpartition(".")[2]: array for path, array in zip(paths, arrays, strict=True)})


def _names_out(part: Any) -> list[str] | None:
    try:
        return [str(name) for name in part.get_feature_names_out()]
    except Exception:  # noqa: BLE001  a transformer need not know
        return None


def _dense(value: Any) -> Any:
    """What a step returned as an array of two dimensions; None where it has no such form."""
    if hasattr(value, "toarray"):
        value = value.toarray()
    array = np.asarray(value)
    if array.ndim == 1:
        array = array.reshape(-1, 1)
    return array if array.ndim == 2 else None


def _column_names(names: Sequence[str] | None, matrix: Any) -> list[str]:
    if names is not None and len(names) == matrix.shape[1]:
        return list(names)
    return [f"x{i}" for i in range(matrix.shape[1])]


def _handed_on(value: Any, matrix: Any, paths: Sequence[str], records: Sequence[Record]) -> tuple[Any, bool]:
    """What the next step gets: the recorded matrix where it differs; and whether it could be had."""
    recorded = [[record.get(path) for record in records] for path in paths]
    if all(cell is None for column in recorded for cell in column):
        return value, True  # this step was not recorded: it is a part of the next
    try:
        kept = np.array(
            [[math.nan if cell is None else cell for cell in column] for column in recorded], dtype=matrix.dtype
        ).T  # fmt: skip
    except (TypeError, ValueError):
        return value, False
    if matrix.dtype.kind in "fc" and np.array_equal(kept, matrix, equal_nan=True):
        return value, True
    if hasattr(value, "toarray"):
        return type(value)(kept), True
    if hasattr(value, "columns"):
        return type(value)(dict(zip(value.columns, kept.T, strict=True)), index=value.index), True
    return kept.reshape(np.asarray(value).shape), True
