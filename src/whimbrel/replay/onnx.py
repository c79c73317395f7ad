"""An ONNX Runtime session as a pipeline of one step.

In: a session. Out: its answers for each row, under the names that `doors/onnx.py` records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from whimbrel.doors.batch import rows
from whimbrel.record import flat
from whimbrel.replay.pipelines import Heed, Played, fields, said
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

    def play(self, records: Sequence[Record], *, free: bool, heed: Heed) -> Iterator[Played]:
        """Run all rows at once; where that fails, each by itself."""
        heed("model")
        try:
            answers = self._session.run(None, self._feeds(records))
            told = rows(dict(zip(self._outputs, answers, strict=True)))
            if len(told) != len(records):
                raise ValueError(f"the model answers {len(told)} rows for {len(records)}")
            yield from (Played({p: v for p, v in said(_plain(one)).items() if v is not None}) for one in told)
        except Exception as error:  # noqa: BLE001  the model that is judged may raise anything
            if len(records) == 1:
                yield Played(failed=f"{type(error).__name__}: {error}"[:500], failed_in="model")
            else:
                for record in records:
                    yield from self.play([record], free=free, heed=heed)

    def _feeds(self, records: Sequence[Record]) -> dict[str, Any]:
        wanted = self._session.get_inputs()
        known = {flat.name_of(path): f"inputs.{path}" for path in fields(records, "inputs")}
        steps = fields(records, "steps")
        known |= {path.partition(".")[2]: f"steps.{path}" for path in steps}
        feeds = {}
        for one in wanted:
            kind, width = _TYPES.get(one.type, np.float32), len(one.shape)
            path = known.get(flat.name_of(one.name))
            if path is not None:
                column: Any = np.array([record.get(path) for record in records]).astype(kind)
                feeds[one.name] = column.reshape(-1, 1) if width == 2 and column.ndim == 1 else column
            else:  # one matrix of all fields of the last step, else of all inputs
                paths = _widest(steps, one.shape) or [f"inputs.{name}" for name in fields(records, "inputs")]
                feeds[one.name] = np.array([[record.get(path) for path in paths] for record in records]).astype(kind)
        return feeds


def _widest(steps: Sequence[str], shape: Sequence[Any]) -> list[str]:
    """The fields of the last step that is as wide as the model's input."""
    width = shape[1] if len(shape) == 2 else None
    groups: dict[str, list[str]] = {}
    for path in steps:
        groups.setdefault(path.partition(".")[0], []).append(f"steps.{path}")
    fitting = [paths for paths in groups.values() if width is not None and len(paths) == width]
    return fitting[-1] if fitting else []


def _plain(value: Any) -> Any:
    """Arrays as lists, so that they read as they are recorded."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    value = value.tolist() if hasattr(value, "tolist") else value
    return value[0] if isinstance(value, list) and len(value) == 1 else value
