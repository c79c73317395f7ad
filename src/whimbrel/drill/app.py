"""The demo's app: will this flight arrive more than half an hour late, and should its passengers be rebooked?

A request passes through named steps: weather (look-up), history (feature store), impute, encode, scale, then the model,
calibrate, decide. Each step is a function with its parameters bound, and can be called with one request (plain values)
or with many (arrays): whichever way the app is served, it is this code that runs. A fault is a changed part in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from whimbrel.drill.columns import HIDDEN, Columns, Request, codes, number, objects, plain
from whimbrel.drill.data import WEATHER, Departures, Year
from whimbrel.drill.forest import Forest
from whimbrel.record.fingerprints import fingerprint

Step: TypeAlias = partial[Any]
STEPS = ("weather", "history", "impute", "encode", "scale")
"""What comes before the model, in the order in which it runs; each leaves its values and a code fingerprint."""
NUMBERS = ("sched_hour", "weekday", "distance", "plane_year", "seats", "airport_delay")
TEXTS = ("carrier", "origin", "dest")
FEATURES = (
    "impute.sched_hour", "impute.weekday", "impute.precip", "impute.visib",
    "encode.carrier", "encode.origin", "encode.dest", "encode.maker",
    "scale.distance", "scale.plane_year", "scale.seats", "scale.airport_delay", "scale.carrier_delay",
    "scale.temp", "scale.wind_speed", "scale.pressure",
)  # fmt: skip
"""What the model is given."""


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """The weather service: hourly observations of each airport. `timeouts` is the share of look-ups that fail by it."""

    year: Year
    timeouts: float = 0.0

    def late(self, request: Request) -> Any:
        """Whether the look-up is given up."""
        return request["luck.timeout"] < self.timeouts

    def of(self, request: Request) -> dict[str, Any]:
        """°F, mph, inches, miles, millibars, as last observed at the airport; missing where they were not."""
        origin = codes(self.year.origins, request["inputs.origin"])
        hour = np.asarray(request["ts"] // 3600, dtype=np.int64) - self.year.first_hour
        found = (np.asarray(origin) >= 0) & (hour >= 0) & (hour < self.year.weather["temp"].shape[1])
        at = np.where(found, origin, 0).astype(np.int64), np.where(found, hour, 0)
        return {name: np.where(found, self.year.weather[name][at], np.nan) for name in WEATHER}


@dataclass(frozen=True, slots=True, eq=False)
class FeatureStore:
    """How late flights lately left, taken in every quarter of an hour; `stale_s` is how far it lags behind that."""

    departures: Departures
    every_s: float = 900.0
    stale_s: float = 0.0

    def age(self, request: Request) -> Any:
        """Seconds since it last took anything in."""
        return request["ts"] % self.every_s + self.stale_s

    def carrier_delay(self, request: Request, hours: float) -> Any:
        """Mean delay (minutes) of the carrier's flights that left this airport in the past hours; missing for none."""
        at = request["ts"] - self.age(request)
        origin, carrier = request["inputs.origin"], request["inputs.carrier"]
        if not isinstance(at, np.ndarray):
            return self.departures.mean(f"{origin}/{carrier}", at, hours)
        keys = [f"{o}/{c}" for o, c in zip(origin.tolist(), carrier.tolist(), strict=True)]
        index = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        number_of = np.array([index[key] for key in keys], dtype=np.int64)
        out = np.full(len(at), np.nan)
        for key, i in index.items():
            rows = number_of == i
            out[rows] = self.departures.mean(key, at[rows], hours)
        return out


def look_up_weather(
    request: Request, source: Observations, *, default: Mapping[str, float], skipped: float = 0.0
) -> dict[str, Any]:
    """The weather at the airport; `default` where the service takes too long.

    `skipped` is the share of requests for which an early return leaves the look-up out.
    """
    late, left_out = source.late(request), request["luck.skip"] < skipped
    found = source.of(request)
    return plain(
        {name: np.where(left_out, np.nan, np.where(late, instead, found[name])) for name, instead in default.items()}
    )


def look_up_history(request: Request, source: FeatureStore, *, hours: float) -> dict[str, Any]:
    """The carrier's mean delay at this airport over the past hours."""
    return plain({"carrier_delay": source.carrier_delay(request, hours)})


def fill_missing(request: Request, *, fill: Mapping[str, float]) -> dict[str, Any]:
    """Every number that the model uses, with golden's median where it is missing."""
    out = {}
    for name, median in fill.items():
        group = "inputs" if name in NUMBERS else "steps.weather" if name in WEATHER else "steps.history"
        value = number(request[f"{group}.{name}"])
        out[name] = np.where(np.isnan(value), median, value)
    return plain(out)


def rank_names(request: Request, *, ranks: Mapping[str, Mapping[Any, float]]) -> dict[str, Any]:
    """Names as places in the order of how often their flights were late; unknown ones are -1."""
    return {name: codes(book, request[f"inputs.{name}"]) for name, book in ranks.items()}


def scale_numbers(request: Request, *, scalers: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Each number clipped (`low`, `high`), its logarithm taken to `base` where there is one, centred, divided."""
    out = {}
    for name, scaler in scalers.items():
        value = np.clip(request[f"steps.impute.{name}"], scaler.get("low", -np.inf), scaler.get("high", np.inf))
        if "base" in scaler:
            value = np.log1p(value) / np.log(scaler["base"])
        out[name] = (value - scaler["center"]) / scaler["spread"]
    return plain(out)


def platt(margin: Any, *, slope: float, intercept: float) -> Any:
    """Log-odds to probability (Platt 1999): the logistic function of slope × margin + intercept."""
    return 1.0 / (1.0 + np.exp(-(slope * margin + intercept)))


def by_threshold(score: Any, *, threshold: float) -> Any:
    """`rebook` where the score reaches the threshold, else `keep`."""
    return np.where(np.asarray(score) >= threshold, "rebook", "keep").astype(object)


@dataclass(frozen=True, slots=True)
class Model:
    """A forest under a name, a version and a precision, as the registry knows it."""

    forest: Forest = field(repr=False)
    version: str
    precision: str = "fp32"
    digest: str = ""
    noise: float = 0.0
    """How far a device that computes wrongly misses, in log-odds."""

    def __call__(self, request: Request) -> Any:
        """Log-odds."""
        margin = self.forest.margin({name: request[f"steps.{name}"] for name in self.forest.names})
        return margin + self.noise * request["luck.flip"] if self.noise else margin


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of self time on a calm day at an idle hour, and what stretches them."""

    ms: Mapping[str, float] = field(
        default_factory=lambda: {
            "queue": 1.5, "weather": 9.0, "history": 3.0, "impute": 0.35, "encode": 0.25, "scale": 0.3,
            "score": 4.0, "calibrate": 0.06, "decide": 0.04,
        }
    )  # fmt: skip
    timeout_ms: float = 250.0
    slow: float = 1.0
    """The host's own factor: above one where it throttles."""
    clock: float = 1.0
    """Share of the clock rate that is left."""


@dataclass(frozen=True, slots=True)
class App:
    """Everything that serving a request needs; a fault is one of these with something changed.

    A step is a function with its parameters bound: `changed` gives it others.
    """

    observations: Observations
    store: FeatureStore
    weather: Step
    history: Step
    impute: Step
    encode: Step
    scale: Step
    model: Model
    canary: Model
    calibrate: Step
    decide: Step
    canary_share: float = 0.03
    fails: float = 0.002
    """Share of requests in which the rules do not answer in time, and a fallback says `keep`."""
    timing: Timing = Timing()
    code: tuple[tuple[str, str], ...] = ()
    """Fingerprints said instead of the true ones: code that changed without its fingerprint, or the other way round."""

    def fingerprints(self) -> dict[str, str]:
        """What the recorder writes under `code.<step>`."""
        said = dict(self.code)
        return {step: said.get(step) or _fingerprint(getattr(self, step)) for step in STEPS}


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
    for step, run in (
        ("weather", partial(app.weather, source=app.observations)),
        ("history", partial(app.history, source=app.store)),
        ("impute", app.impute),
        ("encode", app.encode),
        ("scale", app.scale),
    ):
        for name, value in run(seen).items():
            out[f"steps.{step}.{name}"] = seen[f"steps.{step}.{name}"] = value
    return out


def timeline(app: App, request: Request) -> dict[str, Any]:
    """Milliseconds per part: a common stretch by load and host, and each part's own luck (log-normal)."""
    load, out = request["luck.load"], {}
    for name, ms in app.timing.ms.items():
        stretch = app.timing.slow * (1 + 0.25 * load) if name != "queue" else 1 + 2.5 * load**2
        out[f"spans.{name}"] = ms * stretch * request["luck.host"] * np.exp(0.22 * request[f"luck.{name}"])
    left_out = request["luck.skip"] < app.weather.keywords.get("skipped", 0.0)
    weather = out["spans.weather"]
    weather = np.where(app.observations.late(request), app.timing.timeout_ms + weather / 10, weather)
    others = sum(ms for name, ms in out.items() if name != "spans.weather")
    out["spans.weather"] = np.where(left_out, np.nan, weather)
    out["spans.total"] = others + np.where(left_out, 0.0, weather) + 0.8 * app.timing.slow
    return out


def serve(app: App, requests: Columns) -> Columns:
    """Many requests through the app at once: the records that the recorder would have written, as columns."""
    out: Columns = {path: column for path, column in requests.items() if not path.startswith(HIDDEN)}
    steps = prepare(app, requests)
    out |= steps
    seen = requests | steps
    n = len(requests["ts"])
    for step, said in app.fingerprints().items():
        out[f"code.{step}"] = objects(said, n)
    canary = requests["luck.route"] < app.canary_share
    margin = np.where(canary, app.canary(seen), app.model(seen)) if canary.any() else app.model(seen)
    failed = requests["luck.fail"] < app.fails
    score = app.calibrate(margin)
    out["model.name"] = objects("delay", n)
    for name in ("version", "digest", "precision"):
        out[f"model.{name}"] = np.where(canary, getattr(app.canary, name), getattr(app.model, name)).astype(object)
    out["outputs.margin"] = margin
    out["outputs.score"] = score
    out["decisions.route"] = np.where(canary, "canary", "stable").astype(object)
    out["decision"] = np.where(failed, "keep", app.decide(score)).astype(object)
    out["error"] = np.array(["RulesTimeout" if f else None for f in failed.tolist()], dtype=object)
    out |= timeline(app, requests)
    clock = 3400 * app.timing.clock * (1 - 0.05 * requests["luck.load"]) + 25 * requests["luck.clock"]
    out["hardware.clock_mhz"] = np.round(clock)
    out["usage.energy_j"] = out["spans.total"] * (0.055 + 0.002 * requests["luck.watts"])
    out["age.airport_delay"] = requests["ts"] % 300
    out["age.weather"] = requests["ts"] % 3600
    out["age.carrier_delay"] = app.store.age(requests)
    return out
