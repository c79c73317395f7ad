"""An ONNX Runtime session that records what it answers.

    session = RecordedSession(onnxruntime.InferenceSession("fares.onnx"), recorder)
    session.run(None, {"fare": fares, "km": kms})

In: feeds whose first dimension is the row. Out: a prediction for each row, or, where one is running, a part of that. Inputs and
outputs bear the model's own names. Everything else of the session is as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whimbrel.doors.batch import Batch
from whimbrel.record.recorder import Recorder

_NO_VERSION = (1 << 63) - 1


class RecordedSession:
    """An `onnxruntime.InferenceSession` around which the recorder stands.

    Args:
        session: the session.
        recorder: the recorder of the app.
        names: what the columns of a feed of two dimensions are called; else x0, x1, ….
        tags: tags of predictions that are made outside of one.
    """

    def __init__(
        self,
        session: Any,
        recorder: Recorder,
        *,
        names: Sequence[str] | None = None,
        tags: Mapping[str, object] | None = None,
    ) -> None:
        self._session = session
        self._recorder = recorder
        self._names = names
        self._tags = tags
        told = session.get_modelmeta()
        self._identity = {"name": told.graph_name}
        if told.version != _NO_VERSION:
            self._identity["version"] = str(told.version)

    def __getattr__(self, name: str) -> Any:
        if name == "_session":  # asked while it is being copied
            raise AttributeError(name)
        return getattr(self._session, name)

    def run(self, output_names: Sequence[str] | None, input_feed: Mapping[str, Any], run_options: Any = None) -> Any:
        """Run the model, recorded."""
        with Batch(self._recorder, input_feed, self._names, tags=self._tags) as batch:
            answers = self._session.run(output_names, input_feed, run_options)
            batch.span("model")
            names = output_names or [output.name for output in self._session.get_outputs()]
            batch.output(dict(zip(names, answers, strict=True)))
            if not self._recorder.model:  # who names the model knows better than its file
                batch.model(lambda: self._identity)
        return answers
