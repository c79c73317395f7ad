"""Code that recorded inputs can be run through again: one narrow Protocol, and what fits it.

In: an object, `module:attribute`, `file.py:attribute`, `model.onnx` or `http://…`. Out: a `Pipeline`. A function with the
recorder's `@step`, or without; a scikit-learn `Pipeline` or estimator; an ONNX Runtime session; a PyTorch module; an endpoint.
Other libraries are imported only where such an object is at hand.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from whimbrel.errors import InputError, UsageError
from whimbrel.record import flat
from whimbrel.replay.played import Answers, Heed, Played
from whimbrel.replay.record import Record, nested
from whimbrel.replay.replayed import Replayed


class Pipeline(Protocol):
    """Anything that recorded inputs go through again."""

    @property
    def kind(self) -> str:
        """What it is, in words."""
        ...

    def play(self, records: Sequence[Record], *, free: bool, heed: Heed) -> Iterator[Played | Answers]:
        """Run each record's inputs; answers in order, one by one or many at once. With `free` no recorded value is handed on."""
        ...


def pipeline_of(code: Any) -> Pipeline:
    """The pipeline that an object is.

    Raises:
        UsageError: it is nothing that recorded inputs can be run through.
    """
    code = getattr(code, "_estimator", getattr(code, "_session", code)) if type(code).__module__.startswith(
        "whimbrel.doors"
    ) else code  # fmt: skip
    if isinstance(code, str):
        return load(code)
    if hasattr(code, "named_modules") and hasattr(code, "forward"):
        from whimbrel.replay.torch import TorchPipeline

        return TorchPipeline(code)
    if hasattr(code, "get_inputs") and hasattr(code, "run"):
        from whimbrel.replay.onnx import OnnxPipeline

        return OnnxPipeline(code)
    if hasattr(code, "fit") and hasattr(code, "predict"):
        from whimbrel.replay.sklearn import EstimatorPipeline

        return EstimatorPipeline(code)
    if callable(code):
        return FunctionPipeline(code)
    if hasattr(code, "play") and hasattr(code, "kind"):
        own: Pipeline = code
        return own
    raise UsageError(
        f"a {type(code).__name__} is no pipeline", where="--pipeline",
        why="it is no function, estimator, ONNX session, PyTorch module or endpoint",
        next="name a function that takes one prediction's inputs",
    )  # fmt: skip


def load(spec: str) -> Pipeline:
    """The pipeline that a text names: `module:attribute`, `file.py:attribute`, `model.onnx`, `http://…`.

    Raises:
        UsageError: it has none of these forms.
        InputError: there is no such module, file or attribute, or importing it fails.
    """
    if spec.startswith(("http://", "https://")):
        return HttpPipeline(spec)
    if spec.endswith(".onnx"):
        return _onnx_file(spec)
    place, colon, attribute = spec.rpartition(":")
    if not colon or not place or not attribute:
        raise UsageError(
            f"{spec!r} names no pipeline",
            where="--pipeline",
            next="write it as app.train:pipeline or train.py:pipeline",
        )
    try:
        value: Any = _module(place)
        for name in attribute.split("."):
            value = getattr(value, name)
    except Exception as error:
        raise InputError(
            f"cannot load the pipeline {spec!r}: {type(error).__name__}: {error}", where=place,
            why="the module is not on the path, has no such name, or fails when imported",
            next=f"python -c 'import {Path(place).stem}' shows why; run from the folder that holds the code",
        ) from error  # fmt: skip
    return pipeline_of(value)


def _onnx_file(path: str) -> Pipeline:
    try:
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InputError(
            f"cannot load the model {path!r}: {type(error).__name__}: {error}", where=path,
            next="check the path; pip install onnxruntime where it is missing",
        ) from error  # fmt: skip
    return pipeline_of(session)


def _module(place: str) -> Any:
    if place.endswith(".py"):
        path = Path(place).resolve()
        sys.path.insert(0, str(path.parent))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise FileNotFoundError(place)
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
        return module
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(place)


class FunctionPipeline:
    """A function of one prediction: its decorated steps are steps, else it is one step as a whole."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._call = calling(function)

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return f"function {getattr(self._function, '__name__', type(self._function).__name__)}"

    def play(self, records: Sequence[Record], *, free: bool, heed: Heed) -> Iterator[Played]:
        """Run the function for each record."""
        for record in records:
            replayed = Replayed(record, free=free, heed=heed)
            yield played(replayed, lambda record=record: self._call(record))  # type: ignore[misc]


def played(replayed: Replayed, call: Callable[[], Any]) -> Played:
    """One call under a replay, and what came of it; what it raises is its answer and not ours."""
    failed = failed_in = ""
    with replayed.current():
        try:
            answer = call()
            if inspect.iscoroutine(answer):
                import asyncio

                answer = asyncio.run(answer)
            if not any(path.startswith("outputs.") for path in replayed.out) and answer is not None:
                replayed.output(answer)
        except Exception as error:  # noqa: BLE001  the code that is judged may raise anything
            failed, failed_in = f"{type(error).__name__}: {error}"[:500], replayed.failed_in(error)
    return Played(replayed.out, failed, failed_in, tuple(sorted(replayed.live)), tuple(sorted(replayed.unkept)))


def calling(function: Callable[..., Any]) -> Callable[[Record], Any]:
    """How a function takes a record: its parameters are fields and tags by name, or a single one takes all inputs."""
    try:
        parameters = [
            p
            for p in inspect.signature(function).parameters.values()
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
    except (TypeError, ValueError):
        parameters = []
    required = [p for p in parameters if p.default is p.empty]

    def call(record: Record) -> Any:
        inputs, tags = nested(record, "inputs"), nested(record, "context")
        known = {**tags, **inputs}
        if len(parameters) == 1 and parameters[0].name not in known:
            return function(inputs["value"] if set(inputs) == {"value"} else inputs)
        if len(required) == 1 and required[0].name not in known and not any(p.name in known for p in parameters):
            return function(inputs)
        named = {p.name: known.get(p.name) for p in parameters if p.name in known or p.default is p.empty}
        rest = [name for name in named if name not in known]
        if len(rest) == 1 and not any(name in inputs for name in named):  # `predict(row, country)`: a row and tags
            named[rest[0]] = inputs
        positional = [named.pop(p.name) for p in parameters if p.kind is p.POSITIONAL_ONLY]
        return function(*positional, **named)

    return call


class HttpPipeline:
    """An endpoint that takes a prediction's inputs as a JSON object and answers with one, or with a single value."""

    def __init__(self, url: str, *, timeout_s: float = 30.0) -> None:
        self._url = url
        self._timeout_s = timeout_s

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return f"endpoint {self._url}"

    def play(self, records: Sequence[Record], *, free: bool, heed: Heed) -> Iterator[Played]:
        """Post each record's inputs."""
        for record in records:
            replayed = Replayed(record, free=free, heed=heed)
            yield played(replayed, lambda record=record: self._post(record))  # type: ignore[misc]

    def _post(self, record: Record) -> Any:
        from urllib.request import Request, urlopen

        body = json.dumps(nested(record, "inputs"), default=str).encode()
        asked = Request(self._url, body, {"content-type": "application/json"})  # noqa: S310  http(s) only, by `load`
        with urlopen(asked, timeout=self._timeout_s) as answer:  # noqa: S310
            return json.loads(answer.read())


def said(values: Any) -> Record:
    """What a model's answer for one row is called in a record: fields by name, or `outputs.score`."""
    made = flat.Flat()
    made.group("outputs", values, "score")
    return made.out
