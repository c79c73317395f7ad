"""An ONNX Runtime session as a pipeline of one step.

In: a session. Out: its answers for each row, under the names that `doors/onnx.py` records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from whimbrel.doors.batch import WIDEST, rows
from whimbrel.model.records import Records
from whimbrel.record import flat
from whimbrel.replay.pipelines import said
from whimbrel.replay.played import Answers, Heed, Played, together
from whimbrel.replay.record import Record

_TYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16, "tensor(int64)": np.int64,
    "tensor(int32)": np.int32, "tensor(int8)": np.int8, "tensor(uint8)": np.uint8, "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}  # fmt: skip


class OnnxPipeline:
    """An `onnxruntime.InferenceSession`: feeds are recorded inputs, or what the last step before it made, by name."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return f"ONNX model {self._session.get_modelmeta().graph_name or ''}".rstrip()

    def play(self, records: Sequence[Record], *, free: bool, heed: Heed) -> Iterator[Played | Answers]:  # noqa: ARG002  one step
        """Run all rows at once; where that fails, fewer, so that only the failing ones fail."""
        yield from together(self._together, Records.of(records), heed)

    def _together(self, records: Records, heed: Heed) -> Answers:
        heed("model")
        answers = dict(zip(self._outputs, self._session.run(None, self._feeds(records)), strict=True))
        columns = _columns(answers, len(records))
        if columns is not None:
            return Answers(Records.beside(columns))
        return Answers.of(
            Played({p: v for p, v in said(_plain(row)).items() if v is not None}) for row in rows(answers)
        )

    def _feeds(self, records: Records) -> dict[str, Any]:
        inputs, steps = records.fields("inputs"), records.fields("steps")
        known = {flat.name_of(path): f"inputs.{path}" for path in inputs}
        known |= {path.partition(".")[2]: f"steps.{path}" for path in steps}
        feeds = {}
        for one in self._session.get_inputs():
            kind, width = _TYPES.get(one.type, np.float32), len(one.shape)
            path = known.get(flat.name_of(one.name))
            if path is None:  # one matrix of all fields of the last step, else of all inputs
                paths = _widest(steps, one.shape) or [f"inputs.{name}" for name in inputs]
                feeds[one.name] = _matrix(records, paths, kind)
            else:
                column: Any = np.array(records.values(path)).astype(kind)
                feeds[one.name] = column.reshape(-1, 1) if width == 2 and column.ndim == 1 else column
        return feeds


def _matrix(records: Records, paths: Sequence[str], kind: Any) -> Any:
    if np.issubdtype(kind, np.floating) and not any(path in records.others for path in paths):
        return records.matrix(paths).astype(kind)
    return np.column_stack([records.objects(path) for path in paths]).astype(kind)


def _widest(steps: Sequence[str], shape: Sequence[Any]) -> list[str]:
    """The fields of the last step that is as wide as the model's input."""
    width = shape[1] if len(shape) == 2 else None
    groups: dict[str, list[str]] = {}
    for path in steps:
        groups.setdefault(path.partition(".")[0], []).append(f"steps.{path}")
    fitting = [paths for paths in groups.values() if width is not None and len(paths) == width]
    return fitting[-1] if fitting else []


def _columns(answers: Mapping[str, Any], n: int) -> list[Records] | None:
    """Arrays of a few numbers a row as columns, named as `rows` names them; None where an answer has another form."""
    out = []
    for name, value in answers.items():
        shape = getattr(value, "shape", ())
        if not shape or shape[0] != n or len(shape) > 2 or (len(shape) == 2 and not 0 < shape[1] <= WIDEST):
            return None
        head = "outputs" if len(answers) == 1 else f"outputs.{name}"
        narrow = shape[1:] in ((), (1,))
        out.append(Records.of_matrix(
            [f"outputs.{name}"] if narrow else [f"{head}.x{i}" for i in range(shape[1])], value.reshape(n, -1)
        ))  # fmt: skip
    return out


def _plain(value: Any) -> Any:
    """Arrays as lists, so that they read as they are recorded."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    value = value.tolist() if hasattr(value, "tolist") else value
    return value[0] if isinstance(value, list) and len(value) == 1 else value
