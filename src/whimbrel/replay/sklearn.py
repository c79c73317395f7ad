"""A scikit-learn estimator or pipeline as a pipeline of named steps, all rows of a replay at once.

In: a fitted estimator. Out: what `doors/sklearn.py` records of it, column by column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from whimbrel.model.records import Records
from whimbrel.record import flat
from whimbrel.replay.played import Answers, Heed, Played, together
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

    def play(self, records: Sequence[Record], *, free: bool, heed: Heed) -> Iterator[Played | Answers]:
        """Transform and predict all rows; where that fails, fewer, so that only the failing ones fail."""
        yield from together(lambda some, heed: self._together(some, free, heed), Records.of(records), heed)

    def _together(self, records: Records, free: bool, heed: Heed) -> Answers:
        made: list[Records] = []
        same: list[str] = []
        unkept: list[str] = []
        heed(self._steps[0][0])
        value = _table(records, self._names(records), framed=hasattr(self._estimator, "feature_names_in_"))
        for step, part in self._steps[:-1]:
            heed(step)
            value = part.transform(value)
            matrix = _dense(value)
            if matrix is None:
                continue
            group = f"steps.{flat.name_of(step)}."
            recorded = [path for path in records.at if path.startswith(group)]
            if np.array_equal(records.matrix(recorded), matrix):
                same += recorded  # under whatever names
                continue
            paths = [group + name.replace(".", "_") for name in _names_out(part, matrix)]
            made += [records.only(same), Records.of_matrix(paths, matrix)]
            same = []
            if not free:
                value, kept = _handed_on(value, matrix, paths, records)
                unkept += [] if kept else [step]
        heed(self._steps[-1][0])
        answers = self._answers(value, records)
        if np.array_equal(records.matrix(answers.paths), answers.matrix(answers.paths)):
            made.append(records.only([*same, *answers.paths]))
        else:
            made += [records.only(same), answers]
        odd = dict.fromkeys(range(len(records)), Played(unkept=tuple(unkept))) if unkept else {}
        return Answers(Records.beside(made), odd)

    def _names(self, records: Records) -> list[str]:
        """The paths of the fields that it was fitted with: inputs, or what a step before it made."""
        wanted = [str(name) for name in getattr(self._estimator, "feature_names_in_", ())]
        given = [f"inputs.{name}" for name in wanted]
        if wanted and all(path in records.at or path in records.others for path in given):
            return given
        inputs = records.fields("inputs")
        if not wanted:
            return [f"inputs.{name}" for name in inputs]
        known = {flat.name_of(name): f"inputs.{name}" for name in inputs}
        for path in records.fields("steps"):
            known[path.partition(".")[2]] = f"steps.{path}"
        return [
            f"inputs.{n}" if n in inputs else known.get(n, known.get(flat.name_of(n), f"inputs.{n}")) for n in wanted
        ]

    def _answers(self, value: Any, records: Records) -> Records:
        model = self._steps[-1][1]
        classes = getattr(self._estimator, "classes_", None)
        if classes is None or not _says_scores(records, classes):
            return _said(np.asarray(model.predict(value)), None)
        method = model.predict_proba if hasattr(model, "predict_proba") else model.decision_function
        return _said(np.asarray(method(value)), [str(one) for one in classes])


def _says_scores(records: Records, classes: Any) -> bool:
    """Whether what was recorded are probabilities or scores; else it is the class itself."""
    known = {str(one) for one in classes} | {f"{one}.0" for one in classes}
    cells = records.others.get("outputs.score", records.matrix(["outputs.score"])[:, 0])
    told = None
    for told in (cell for cell in cells if cell is not None and cell == cell):
        if str(told) not in known:
            return True
    return told is None


def _said(answer: Any, classes: Sequence[str] | None) -> Records:
    """The answer's columns, as the door names them: of two classes the second's is `outputs.score`."""
    if answer.ndim == 1:
        return Records.of_matrix(["outputs.score"], answer.reshape(-1, 1))
    if classes is not None and answer.shape[1] == 2:
        return Records.of_matrix(["outputs.score"], answer[:, 1:])
    names = classes if classes is not None and len(classes) == answer.shape[1] else [
        f"x{i}" for i in range(answer.shape[1])
    ]  # fmt: skip
    return Records.of_matrix([f"outputs.{name}" for name in names], answer)


def _table(records: Records, paths: Sequence[str], *, framed: bool) -> Any:
    """The rows that the estimator takes: a frame where it was fitted with one, else an array; numbers as floats."""
    plain = all(path in records.at for path in paths)
    table: Any = records.matrix(paths).copy() if plain else [_cells(records, path) for path in paths]
    if not framed:
        return table if plain else np.column_stack(table)
    import pandas as pd

    # Labels as plain objects: scikit-learn compares them a tenth of a pipeline's time faster than pandas' own strings.
    names = pd.Index([path.rpartition(".")[2] for path in paths], dtype=object)
    return pd.DataFrame(table, columns=names) if plain else pd.DataFrame(dict(zip(names, table, strict=True)))


def _cells(records: Records, path: str) -> Any:
    cells = records.objects(path)
    return cells.astype(float) if all(v is None or isinstance(v, int | float) for v in cells) else cells


def _names_out(part: Any, matrix: Any) -> list[str]:
    """What a transformer calls its columns; x0, x1, … where it does not know."""
    try:
        names = [str(name) for name in part.get_feature_names_out()]
    except Exception:  # noqa: BLE001  a transformer need not know
        names = []
    return names if len(names) == matrix.shape[1] else [f"x{i}" for i in range(matrix.shape[1])]


def _dense(value: Any) -> Any:
    """What a step returned as an array of two dimensions; None where it has no such form."""
    if hasattr(value, "toarray"):
        value = value.toarray()
    array = np.asarray(value)
    if array.ndim == 1:
        array = array.reshape(-1, 1)
    return array if array.ndim == 2 else None


def _handed_on(value: Any, matrix: Any, paths: Sequence[str], records: Records) -> tuple[Any, bool]:
    """What the next step gets: the recorded matrix where it differs; and whether it could be had."""
    held = records.held(paths)
    if not held.any():
        return value, True  # this step was not recorded: it is a part of the next
    try:
        kept = _recorded(records, paths, matrix.dtype)
    except (TypeError, ValueError):
        return value, False
    if not held.all():  # where nothing of the step was recorded its own value goes on
        kept = np.where(held.any(axis=1, keepdims=True), kept, matrix)
    if np.array_equal(kept, matrix, equal_nan=matrix.dtype.kind in "fc"):
        return value, True
    if hasattr(value, "toarray"):
        return type(value)(kept), True
    if hasattr(value, "columns"):
        return type(value)(dict(zip(value.columns, kept.T, strict=True)), index=value.index), True
    return kept.reshape(np.asarray(value).shape), True


def _recorded(records: Records, paths: Sequence[str], dtype: Any) -> Any:
    """The recorded columns as an array of that type, nan where null; its own, for the code may write to it.

    Raises:
        TypeError, ValueError: they cannot be had in it.
    """
    if dtype.kind == "f" and not any(path in records.others for path in paths):
        return records.matrix(paths).astype(dtype)
    cells = np.column_stack([records.objects(path) for path in paths])
    cells[cells == None] = np.nan  # noqa: E711  by element
    return cells.astype(dtype)
