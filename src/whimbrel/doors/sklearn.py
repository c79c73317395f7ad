"""A scikit-learn estimator or pipeline that records what it predicts.

    model = RecordedEstimator(pipeline, recorder)
    model.predict_proba(frame)

In: rows. Out: a prediction for each, or, where one is running (`with recorder.prediction(…)`), a part of that. The steps of
a pipeline are steps, with the fingerprint of their code and fitted parameters; the model's digest is its own.
Times of a batch are shared among its rows. Everything else of the estimator is as it was: `model.classes_`, `model.score(…)`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from whimbrel.doors.batch import Batch
from whimbrel.record.fingerprints import fingerprint
from whimbrel.record.recorder import Recorder


class RecordedEstimator:
    """An estimator around which the recorder stands.

    Args:
        estimator: anything with `predict`, fitted or not; a `Pipeline` is looked into.
        recorder: the recorder of the app.
        names: what the columns of plain arrays are called; else what the estimator was fitted with, else x0, x1, ….
        tags: tags of predictions that are made outside of one.
    """

    def __init__(
        self,
        estimator: Any,
        recorder: Recorder,
        *,
        names: Sequence[str] | None = None,
        tags: Mapping[str, object] | None = None,
    ) -> None:
        self._estimator = estimator
        self._recorder = recorder
        self._given = list(names) if names is not None else None
        self._tags = tags
        self._codes: dict[int, str] = {}
        self._names: dict[int, list[str] | None] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_estimator":  # asked while it is being copied: there is no estimator yet
            raise AttributeError(name)
        return getattr(self._estimator, name)

    def __repr__(self) -> str:
        return f"RecordedEstimator({self._estimator!r})"

    def fit(self, *args: Any, **kwargs: Any) -> RecordedEstimator:
        """Fit the estimator."""
        self._estimator.fit(*args, **kwargs)
        self._codes.clear()
        self._names.clear()
        return self

    def predict(self, X: Any, **params: Any) -> Any:  # noqa: N803  scikit-learn's own name
        """Predict, recorded: `outputs.score` is what the estimator says."""
        return self._answer("predict", X, params)

    def predict_proba(self, X: Any, **params: Any) -> Any:  # noqa: N803
        """Predict probabilities, recorded: of two classes the second's is `outputs.score`, of more each class is an output."""
        return self._answer("predict_proba", X, params)

    def decision_function(self, X: Any, **params: Any) -> Any:  # noqa: N803
        """Predict a score, recorded."""
        return self._answer("decision_function", X, params)

    def _answer(self, method: str, X: Any, params: dict[str, Any]) -> Any:  # noqa: N803
        names = self._given if self._given is not None else getattr(self._estimator, "feature_names_in_", None)
        with Batch(self._recorder, X, names, tags=self._tags) as batch:
            *before, last = self._parts(params)
            value = X
            for name, part in before:
                value = part.transform(value)
                batch.step(name, value, self._names_out(part), functools.partial(self._code, part))
            answer = getattr(last[1], method)(value, **params)
            batch.span("model")
            self._say(batch, answer)
        return answer

    def _parts(self, params: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """A pipeline's parts that do something; where they need more than rows, the estimator as a whole."""
        parts = [part for part in getattr(self._estimator, "steps", ()) if part[1] not in (None, "passthrough")]
        plain = parts and not params and all(hasattr(part, "transform") for _, part in parts[:-1])
        return parts if plain else [("model", self._estimator)]

    def _say(self, batch: Batch, answer: Any) -> None:
        classes = getattr(self._estimator, "classes_", None)
        if getattr(answer, "ndim", 1) == 2 and answer.shape[1] == 2 and classes is not None:
            batch.output(answer[:, 1])
        else:
            batch.output(answer, None if classes is None else [str(one) for one in classes])
        batch.model(lambda: {"digest": self._code(self._estimator)})

    def _code(self, part: Any) -> str:
        """The fingerprint of a part's code and fitted parameters, taken once."""
        if id(part) not in self._codes:
            self._codes[id(part)] = fingerprint(part)
        return self._codes[id(part)]

    def _names_out(self, part: Any) -> list[str] | None:
        """What a transformer calls its columns, where it can say; asked once."""
        if id(part) not in self._names:
            try:
                self._names[id(part)] = [str(name) for name in part.get_feature_names_out()]
            except Exception:  # noqa: BLE001  a transformer need not know
                self._names[id(part)] = None
        return self._names[id(part)]
