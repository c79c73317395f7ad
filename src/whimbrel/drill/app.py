"""An app as the drill sees it: raw inputs, named steps, a model, a calibration, a decision, and the time all of it takes.

A step is a function with its parameters bound, and can be called with one request (plain values) or with many
(arrays): whichever way the app is served, it is this code that runs. A fault is a changed part in here. `App` is what
tabular models share; `apps/answers` has one of its own, for a language model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeAlias

import numpy as np

from whimbrel.drill.columns import HIDDEN, Bools, Columns, Request, objects
from whimbrel.drill.forest import Scorer
from whimbrel.record.fingerprints import fingerprint

Step: TypeAlias = partial[Any]
IDLE_MHZ = 3400


class Service(Protocol):
    """What a step looks things up in; `late` is whether the look-up is given up."""

    def late(self, request: Request) -> Any:
        """One bool, or one for each of many."""
        ...


@dataclass(frozen=True, slots=True)
class Model:
    """A scorer under a name, a version and a precision, as the registry knows it."""

    scorer: Scorer = field(repr=False)
    version: str
    precision: str = "fp32"
    digest: str = ""
    noise: float = 0.0
    """How far a device that computes wrongly misses, in log-odds."""

    def __call__(self, request: Request) -> Any:
        """Log-odds (of a regression: the logarithm of one more than what is expected)."""
        margin = self.scorer.margin({name: request[f"steps.{name}"] for name in self.scorer.names})
        return margin + self.noise * request["luck.flip"] if self.noise else margin


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of self time on a calm day at an idle hour, by part, and what stretches them."""

    ms: Mapping[str, float]
    timeout_ms: float = 250.0
    slow: float = 1.0
    """The host's own factor: above one where it throttles."""
    clock: float = 1.0
    """Share of the clock rate that is left."""
    cold: float = 0.0
    """Share of requests that find a cold process, and wait for it to load the model."""


@dataclass(frozen=True, slots=True)
class App:
    """Everything that serving a request needs; a fault is one of these with something changed.

    `steps` run in this order, each given `sources[step]` where it has one. A step is a function with its parameters
    bound: `given` gives it others.
    """

    name: str
    steps: tuple[tuple[str, Step], ...]
    sources: Mapping[str, Any]
    model: Any
    canary: Any
    calibrate: Step
    decide: Step
    timing: Timing
    canary_share: float = 0.03
    fails: float = 0.002
    """Share of requests in which the rules do not answer in time, and a fallback decides."""
    fallback: str = "keep"
    variant: str = "main"
    """The arm of an experiment that the request is in."""
    extras: Step | None = None
    """What else is recorded of a request: ages, energy."""
    code: tuple[tuple[str, str], ...] = ()
    """Fingerprints said instead of the true ones: code that changed without its fingerprint, or the other way round."""

    def step(self, name: str) -> Step:
        """The step of that name."""
        return dict(self.steps)[name]

    def given(self, name: str, **parameters: Any) -> App:
        """The app with other parameters of one step."""
        return replace(self, steps=tuple((s, changed(f, **parameters) if s == name else f) for s, f in self.steps))

    def sourced(self, name: str, **fields: Any) -> App:
        """The app with another state of the service that a step asks."""
        return replace(self, sources={**self.sources, name: replace(self.sources[name], **fields)})

    def fingerprints(self) -> dict[str, str]:
        """What the recorder writes under `code.<step>`."""
        said = dict(self.code)
        return {name: said.get(name) or _fingerprint(step) for name, step in self.steps}

    def saying(self, code: Mapping[str, str]) -> App:
        """The same app under these fingerprints."""
        return replace(self, code=tuple(code.items()))

    @property
    def reads(self) -> tuple[str, ...]:
        """The steps that are look-ups elsewhere, under `recorder.read`: what they returned is in the record."""
        return tuple(self.sources)

    @property
    def model_name(self) -> str:
        """What the recorder writes under `model.name`."""
        return self.name

    @property
    def timeout(self) -> str:
        """The error of a request whose decision fell back."""
        return "RulesTimeout"

    @property
    def remote(self) -> tuple[str, ...]:
        """What a model says that answers elsewhere, and that cannot be asked again; empty where it runs in here."""
        return ()

    def run(self, name: str, seen: Request) -> dict[str, Any]:
        """One step's values by path, of what was seen so far."""
        given = {"source": self.sources[name]} if name in self.sources else {}
        return {f"steps.{name}.{field}": value for field, value in self.step(name)(seen, **given).items()}

    def prepared(self, requests: Columns) -> Columns:
        """The steps' values of many requests."""
        return prepare(self, requests)

    def answer(self, seen: Columns) -> Columns:
        """What the model says of requests whose steps have run, and what it used for that."""
        canary = self.routed(seen)
        margin = np.where(canary, self.canary(seen), self.model(seen)) if canary.any() else self.model(seen)
        return {"outputs.margin": margin}

    def conclude(self, seen: Columns) -> Columns:
        """What follows from what the model said: the score, and what is decided where nothing fails."""
        score = self.calibrate(seen["outputs.margin"])
        return {"outputs.score": score, **self._route(seen), "decision": self.decide(score)}

    def routed(self, seen: Columns) -> Bools:
        """Which requests the canary answers: the id decides."""
        canary: Bools = seen["luck.route"] < self.canary_share
        return canary

    def _route(self, seen: Columns) -> Columns:
        return {"decisions.route": np.where(self.routed(seen), "canary", "stable").astype(object)}

    def spans(self, requests: Columns, out: Columns) -> Columns:  # noqa: ARG002  an app may take longer for what it said
        """Milliseconds of each part."""
        return timeline(self, requests)

    def beside(self, requests: Columns, out: Columns) -> Columns:
        """What else is recorded of requests that were answered."""
        return self.extras(self, requests, out) if self.extras else {}

    def serve(self, requests: Columns) -> Columns:
        """Many requests at once: the records that the recorder would have written, as columns."""
        out: Columns = {path: column for path, column in requests.items() if not path.startswith(HIDDEN)}
        steps = self.prepared(requests)
        out |= steps
        seen, n = requests | steps, len(requests["ts"])
        for step, said in self.fingerprints().items():
            out[f"code.{step}"] = objects(said, n)
        canary, failed = self.routed(requests), requests["luck.fail"] < self.fails
        wrote = self.answer(seen)
        ends = self.conclude(seen | wrote)
        if self.reads:
            out["recorder.reads"] = objects(",".join(self.reads), n)
        out["model.name"] = objects(self.model_name, n)
        for name in ("version", "digest", "precision"):
            out[f"model.{name}"] = np.where(canary, getattr(self.canary, name), getattr(self.model, name)).astype(
                object
            )
        out["model.variant"] = objects(self.variant, n)
        out |= wrote | ends
        out["decision"] = np.where(failed, self.fallback, ends["decision"]).astype(object)
        out["error"] = np.array([self.timeout if f else None for f in failed.tolist()], dtype=object)
        out |= self.spans(requests, out)
        out |= hardware(self.timing, requests)
        return out | self.beside(requests, out)


def changed(step: Step, **parameters: Any) -> Step:
    """The same function with other parameters."""
    return partial(step.func, **{**step.keywords, **parameters})


def _fingerprint(step: Step) -> str:
    """As the recorder takes it; once per function and parameters, for it reads the source."""
    key = (step.func, repr(sorted(step.keywords.items())))
    if key not in _FINGERPRINTS:
        _FINGERPRINTS[key] = fingerprint(step)
    return _FINGERPRINTS[key]


_FINGERPRINTS: dict[tuple[Any, str], str] = {}


def prepare(app: App, request: Request) -> dict[str, Any]:
    """All steps up to the model: `steps.<step>.<name>`, in the order in which they run."""
    seen: dict[str, Any] = dict(request)
    out: dict[str, Any] = {}
    for step, _ in app.steps:
        made = app.run(step, seen)
        out |= made
        seen |= made
    return out


def timeline(app: App, request: Request) -> dict[str, Any]:
    """Milliseconds per part: a common stretch by load and host, and each part's own luck (log-normal)."""
    out = stretched(app.timing, request)
    total: Any = 0.8 * app.timing.slow
    for part in [path.removeprefix("spans.") for path in out]:
        ms = out[f"spans.{part}"]
        if part in app.sources:
            ms = np.where(app.sources[part].late(request), app.timing.timeout_ms + ms / 10, ms)
            left_out = request["luck.skip"] < app.step(part).keywords.get("skipped", 0.0)
            out[f"spans.{part}"] = np.where(left_out, np.nan, ms)
            ms = np.where(left_out, 0.0, ms)
        total = total + ms
    out["spans.total"] = total
    return out


def stretched(timing: Timing, request: Request) -> dict[str, Any]:
    """Each part's milliseconds: the queue grows with the load, the rest a little, a slow host stretches all but it."""
    load, out = request["luck.load"], {}
    for name, ms in timing.ms.items():
        stretch = timing.slow * (1 + 0.25 * load) if name != "queue" else 1 + 2.5 * load**2
        out[f"spans.{name}"] = ms * stretch * request["luck.host"] * np.exp(0.22 * request[f"luck.{name}"])
    if timing.cold:
        out["spans.score"] = out["spans.score"] + np.where(request["luck.coin"] < timing.cold, 400.0, 0.0)
    return out


def hardware(timing: Timing, requests: Columns) -> Columns:
    """The host's clock rate while it served each request."""
    clock = IDLE_MHZ * timing.clock * (1 - 0.05 * requests["luck.load"]) + 25 * requests["luck.clock"]
    return {"hardware.clock_mhz": np.round(clock)}


def platt(margin: Any, *, slope: float, intercept: float) -> Any:
    """Log-odds to probability (Platt 1999): the logistic function of slope × margin + intercept."""
    return 1.0 / (1.0 + np.exp(-np.clip(slope * margin + intercept, -60, 60)))


def expected(margin: Any, *, slope: float, factor: float) -> Any:
    """The logarithm of one more than a count, as a count: factor × exp(slope × margin) - 1, never below 0."""
    return np.maximum(factor * np.exp(slope * margin) - 1, 0.0)


def by_threshold(score: Any, *, threshold: float, above: str, below: str) -> Any:
    """`above` where the score reaches the threshold, else `below`."""
    return np.where(np.asarray(score) >= threshold, above, below).astype(object)
