"""What every simulated app shares: the way of a prediction from raw inputs to a late label, as a flat table.

An app draws the world (`draw`), and `run` carries the rows through steps, model, calibration, decision, spans, label.
After each stage a planted fault may change what came out of it, so that everything downstream inherits the damage.
Everything random is drawn before `run`: two runs of one draw differ only by the fault.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import pandas as pd

from .fitted import Fitted, fit
from .ops import Op, num
from .world import HOUR, Array, Cols, Nature, World, sigmoid

Units: TypeAlias = Mapping[str, tuple[tuple[float, float], ...]]
"""For a numeric input the plausible wrong units, as (factor, offset)."""


NOTHING: Any = np.asarray(None, dtype=object)
"""A null, in a form in which numpy can choose it."""


class Hook(Protocol):
    """A planted fault: called after each stage with all columns so far, which it may change in place."""

    def after(self, stage: str, c: Cols) -> None:
        """`stage` is inputs, a step's output path, steps, model, outputs, decision, spans, error, label or record."""


@dataclass(frozen=True)
class Span:
    """One part of a request: its median self time in ms, the spread of its logarithm, and what it depends on."""

    name: str
    ms: float
    sigma: float = 0.35
    queue: bool = False
    """Waiting time: grows with the hour's load."""
    cpu: bool = False
    """Own computing: a slow host slows it down."""


class App:
    """Base of all apps; class attributes say what it is like, `draw` what its world is like."""

    name: ClassVar[str]
    profile: ClassVar[str] = "office"
    weekend: ClassVar[float] = 0.7
    per_day: ClassVar[tuple[float, float]] = (1200, 5000)
    golden_days: ClassVar[tuple[int, int]] = (7, 21)
    window_hours: ClassVar[tuple[int, ...]] = (12, 24, 24, 48, 72)
    kind: ClassVar[str] = "linear"
    """linear, trees, forest (classifiers), ridge, boost (regressions), rule."""
    rate: ClassVar[float] = 0.2
    """Share of golden traffic that gets the first decision."""
    decisions: ClassVar[tuple[str, ...]] = ("decline", "approve")
    decision_path: ClassVar[str] = "decision"
    segment: ClassVar[str] = ""
    """Path by whose values the threshold differs."""
    score_path: ClassVar[str] = "outputs.score"
    raw_path: ClassVar[str] = ""
    score_digits: ClassVar[int] = 0
    version: ClassVar[str] = "v7"
    older: ClassVar[str] = "v6"
    newer: ClassVar[str] = "v8"
    model_name: ClassVar[str] = ""
    digest: ClassVar[bool] = True
    canary: ClassVar[float] = 0.0
    route_path: ClassVar[str] = ""
    hosts: ClassVar[tuple[str, ...]] = ()
    spans: ClassVar[tuple[Span, ...]] = ()
    timeout_ms: ClassVar[float] = 0.0
    errors: ClassVar[Mapping[str, float]] = {}
    fingerprints: ClassVar[bool] = True
    label_hours: ClassVar[tuple[float, float] | None] = None
    """Median of the label's delay and the spread of its logarithm; None where no label ever comes."""
    label_values: ClassVar[tuple[Any, Any] | None] = (0, 1)
    """What the labels false and true are called; None for a number."""
    has_id: ClassVar[bool] = True
    ts_form: ClassVar[str] = "datetime"
    sequence: ClassVar[bool] = False
    dims: ClassVar[tuple[str, ...]] = ()
    """Where a fault may be confined to: dimensions of few values."""
    mixes: ClassVar[Mapping[str, str]] = {}
    """Names of `World.cat` draws that nature may tilt, with the path that shows them."""
    units: ClassVar[Units] = {}
    natures: ClassVar[frozenset[str]] = frozenset()
    """Which of season, storm, inflation, promo, heavy the app's `draw` listens to."""
    features: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.ops: tuple[Op, ...] = tuple(self.steps())

    # -- what an app says of itself ------------------------------------------------------------------------------
    def draw(self, w: World) -> Cols:
        """Inputs, context and hidden truth (`_y` the label as a number, `_store.x` features) for every arrival."""
        raise NotImplementedError

    def steps(self) -> Sequence[Op]:
        """The preprocessing, in the order in which it runs."""
        return ()

    @property
    def regression(self) -> bool:
        """Whether the score is a quantity rather than a probability."""
        return self.kind in ("ridge", "boost")

    # -- the model -----------------------------------------------------------------------------------------------
    def rule(self, c: Cols, which: str) -> Array:
        """The score of an app whose model is written by hand (`kind = "rule"`)."""
        raise NotImplementedError

    def matrix(self, c: Cols) -> Array:
        """The model's inputs, shape (n, features)."""
        return np.column_stack([num(c[path]) for path in self.features])

    def training(self) -> tuple[Cols, World]:
        """History before any golden window: 30 days, the same for every seed."""
        day = 24 * HOUR
        start = 19_800 * day
        w = World(
            zlib.crc32(self.name.encode()),
            start,
            start + 30 * day,
            start + 30 * day,
            start + 30 * day,
            240,
            self.profile,
            self.weekend,
        )
        c = self.prepare(w)
        for op in self.ops:
            c[op.out] = op(c)
        return c, w

    @cache  # noqa: B019  (one instance an app and process)
    def fitted(self) -> dict[str, Fitted]:
        """The models: the current one, an older, a newer that is as good, a bad one, another segment's."""
        c, _ = self.training()
        x, y = self.matrix(c), c["_y"].astype(float)
        rng = np.random.default_rng(3)
        n = len(y)
        noisy = np.where(rng.random(n) < 0.5, rng.permutation(y), y)
        blind = x.copy()
        blind[:, rng.permutation(x.shape[1])[: max(1, x.shape[1] // 2)]] = np.nan
        return {
            "current": fit(self.kind, x, y, 1),
            "older": fit(self.kind, x[: n // 5], y[: n // 5], 2),
            "newer": fit(self.kind, x, y, 3),
            "worse": fit(self.kind, blind, noisy, 4),
            "other": fit(self.kind, x, np.where(rng.random(n) < 0.5, y, rng.permutation(y)), 5),
        }

    @cache  # noqa: B019
    def thresholds(self) -> dict[str, tuple[float, ...]]:
        """Cut-offs by segment ("" where there are none), from the training history; one fewer than decisions."""
        c, w = self.training()
        c["_model"] = np.full(w.n, "current", dtype=object)
        self.predict(c)
        score = c[self.score_path]
        shares = [self.rate * (1.0 + 0.8 * i) for i in range(len(self.decisions) - 1)]
        names = np.unique(c[self.segment].astype(str)) if self.segment else np.asarray([""])
        out = {"": tuple(float(np.nanquantile(score, 1 - s)) for s in shares)}
        for i, name in enumerate(names):
            if name:
                tilt = 1.0 + 0.25 * (i % 3 - 1)
                out[str(name)] = tuple(float(np.nanquantile(score, 1 - min(s * tilt, 0.95))) for s in shares)
        return out

    def predict(self, c: Cols, hook: Hook | None = None) -> None:
        """Raw model output and calibrated score, each row by its own model (`_model`)."""
        if self.kind == "rule":
            score = np.zeros(len(c["_model"]))
            for which in np.unique(c["_model"].astype(str)):
                score = np.where(c["_model"] == which, self.rule(c, which), score)
            c["_raw"] = score
            if hook:
                hook.after("model", c)
            c[self.score_path] = c["_raw"].copy()
        else:
            x = self.matrix(c)
            raw, a, b = np.zeros(len(x)), np.ones(len(x)), np.zeros(len(x))
            for which in np.unique(c["_model"].astype(str)):
                rows = c["_model"] == which
                fitted = self.fitted()[which]
                raw[rows], a[rows], b[rows] = fitted.raw(x[rows]), fitted.a, fitted.b
            c["_raw"], c["_a"], c["_b"] = raw, a, b
            if hook:
                hook.after("model", c)
            c[self.score_path] = c["_raw"].copy() if self.regression else sigmoid(c["_a"] * c["_raw"] + c["_b"])
        if self.raw_path:
            c[self.raw_path] = c["_raw"].copy()
        self.outputs(c)
        if hook:
            hook.after("outputs", c)
        if self.score_digits:
            c[self.score_path] = np.round(c[self.score_path], self.score_digits)

    def outputs(self, c: Cols) -> None:
        """Further outputs made from the score."""

    def decide(self, c: Cols) -> None:
        """The first decision above the first threshold, the next above the next, the last one below all."""
        if not self.decisions:
            return
        table = dict(self.thresholds())
        segment = c[self.segment].astype(str) if self.segment else np.full(len(c["ts"]), "", dtype=object)
        score, shift = c[self.score_path], c.get("_threshold", np.zeros(len(c["ts"])))
        rank = np.full(len(score), len(self.decisions) - 1)
        for i in reversed(range(len(self.decisions) - 1)):
            cut = np.asarray([table.get(s, table[""])[i] for s in segment])
            moved = cut + shift if self.regression or self.kind == "rule" else sigmoid(np.log(cut / (1 - cut)) + shift)
            rank = np.where(score >= moved, i, rank)
        c[self.decision_path] = np.asarray(self.decisions, dtype=object)[rank]

    # -- a whole run ---------------------------------------------------------------------------------------------
    def prepare(self, w: World) -> Cols:
        """Everything that chance decides, for golden and window at once."""
        c = self.draw(w)
        c["ts"] = w.ts
        rng = w.rng("ids")
        if self.has_id:
            salt = int(rng.integers(1 << 40))
            c["id"] = np.asarray(
                [hashlib.blake2s(f"{salt}.{i}".encode(), digest_size=9).hexdigest() for i in range(w.n)], dtype=object
            )
        if self.hosts:
            c["hardware.host"] = w.hosts(self.hosts)
        c["_model"] = np.full(w.n, "current", dtype=object)
        c["_newer"] = w.choose("canary", self.canary) if self.canary else np.zeros(w.n, dtype=bool)
        c["_pick"] = w.uniform("pick")
        c["_noise"] = w.normal("model noise")
        c["_timeout"] = w.uniform("timeout") < 0.001
        c["_skipped"] = np.zeros(w.n, dtype=bool)
        for span in self.spans:
            c[f"_e.{span.name}"] = w.normal(f"span {span.name}")
        per_hour = np.bincount(w.hour_index, minlength=1)[w.hour_index]
        c["_load"] = per_hour / max(np.quantile(per_hour[~w.window], 0.98) if (~w.window).any() else 1.0, 1.0)
        c["_e.error"] = w.uniform("error")
        c["_e.which"] = w.uniform("which error")
        c["_e.label"] = w.normal("label delay")
        nature = w.nature
        if nature.release:
            c["_model"][w.late] = "newer"
            c["_released"] = w.late
        if nature.promoted:
            c["_model"][w.ts < w.start + nature.promoted * (w.golden_end - w.start)] = "older"
        if nature.concept:
            drift = np.clip((w.hours / max(w.hours.max(), 1.0) - 0.3) / 0.7, 0, 1)
            c["_y"] = np.where(w.uniform("concept") < nature.concept * drift, 1.0, c["_y"])
        if nature.recode:
            c["_recoded"] = w.late
        if nature.trial:
            c["_treated"] = w.late & w.choose("trial", 0.5)
        if self.sequence:
            c["_seq"] = np.zeros(w.n)
            for host in np.unique(c["hardware.host"].astype(str)):
                mine = c["hardware.host"] == host
                c["_seq"][mine] = 1000.0 + np.arange(mine.sum())
        c["_end"] = np.asarray([w.end])
        c["_delay"] = np.asarray([nature.label_delay])
        c["_recode"] = np.asarray([nature.recode], dtype=object)
        return c

    def run(self, prepared: Cols, rows: Array, hook: Hook | None = None) -> Cols:
        """All columns of the chosen rows, hidden ones included."""
        c: Cols = {k: (v.copy() if k in ("_end", "_delay", "_recode") else v[rows]) for k, v in prepared.items()}
        self.identify(c)
        if hook:
            hook.after("inputs", c)
        for op in self.ops:
            c[op.out] = op(c)
            if op.kind == "store" and self.timeout_ms:
                c[op.out] = np.where(c["_timeout"] | c["_skipped"], op.p.get("default", 0.0), c[op.out])
            if hook:
                hook.after(op.out, c)
        if hook:
            hook.after("steps", c)
        self.predict(c, hook)
        self.decide(c)
        if hook:
            hook.after("decision", c)
        self.time(c, hook)
        self.fail(c)
        if hook:
            hook.after("error", c)
        self.learn(c, hook)
        if self.sequence:
            c["recorder.seq"], c["recorder.dropped"] = c["_seq"].copy(), np.zeros(len(c["ts"]))
        if hook:
            hook.after("record", c)
        return c

    def identify(self, c: Cols) -> None:
        """Model versions, routes and the fingerprints of step code."""
        n = len(c["ts"])
        if self.canary:
            c["_model"] = np.where(c["_newer"], "newer", c["_model"]).astype(object)
            if self.route_path:
                c[self.route_path] = np.where(c["_newer"], "canary", "main").astype(object)
        if self.version:
            c["model.version"] = self.labels_of(c["_model"])
            if self.model_name:
                c["model.name"] = np.full(n, self.model_name, dtype=object)
            if self.digest:
                c["model.digest"] = np.asarray([digest(f"{self.name}{v}") for v in c["model.version"]], dtype=object)
        if "_treated" in c:
            c["model.variant"] = np.where(c["_treated"], "treatment", "control").astype(object)
        if self.fingerprints:
            for op in self.ops:
                mark = digest(f"{self.name}{[(o.out, o.kind, repr(o.p)) for o in self.ops if o.step == op.step]}")
                c[f"code.{op.step}"] = np.full(n, mark, dtype=object)
                if "_recoded" in c and c["_recode"][0] == op.step:
                    c[f"code.{op.step}"][c["_recoded"]] = digest(mark + "refactored")

    def labels_of(self, which: Array) -> Array:
        """The version that each model is recorded as."""
        names = {"current": self.version, "older": self.older, "newer": self.newer}
        return np.asarray([names.get(str(m), self.version) for m in which], dtype=object)

    def time(self, c: Cols, hook: Hook | None) -> None:
        """Self times of all spans, then their total."""
        if not self.spans:
            return
        slow = c.get("_slow", np.ones(len(c["ts"])))
        for span in self.spans:
            x = span.ms * np.exp(span.sigma * c[f"_e.{span.name}"])
            if span.queue:
                load = np.minimum(c["_load"] * 0.3, 0.93)  # growth stays within capacity
                x = x * load / (1 - load)
            if span.cpu:
                x = x * slow
            c[f"spans.{span.name}"] = x
        stores = [op.p["span"] for op in self.ops if op.kind == "store" and "span" in op.p]
        for name in set(stores):
            c[f"spans.{name}"] = np.where(
                c["_timeout"], self.timeout_ms * (1 + 0.004 * np.abs(c[f"_e.{name}"])), c[f"spans.{name}"]
            )
            c[f"spans.{name}"] = np.where(c["_skipped"], np.nan, c[f"spans.{name}"])
        if hook:
            hook.after("spans", c)
        parts = [c[f"spans.{span.name}"] for span in self.spans]
        c["spans.total"] = np.nansum(parts, axis=0) + 0.8 + 0.1 * np.abs(c[f"_e.{self.spans[0].name}"])
        for span in self.spans:
            c[f"spans.{span.name}"] = np.round(c[f"spans.{span.name}"], 3)
        c["spans.total"] = np.round(c["spans.total"], 3)

    def fail(self, c: Cols) -> None:
        """Errors at their low base rate: no score, and the last decision stands in."""
        if not self.errors:
            return
        total = sum(self.errors.values())
        rate = c.get("_error_rate", np.full(len(c["ts"]), total))
        failed = c["_e.error"] < rate
        edges = np.cumsum([v / total for v in self.errors.values()])
        kinds = np.asarray(list(self.errors), dtype=object)[
            np.minimum(np.searchsorted(edges, c["_e.which"]), len(edges) - 1)
        ]
        if "_error_kind" in c:
            kinds = np.where(c["_e.error"] < total, kinds, c["_error_kind"])
        c["error"] = np.where(failed, kinds, NOTHING).astype(object)
        for path in [p for p in c if p.startswith("outputs.")]:
            c[path] = (
                np.where(failed, np.nan, c[path]) if c[path].dtype.kind == "f" else np.where(failed, NOTHING, c[path])
            )
        if self.decisions:
            c[self.decision_path] = np.where(failed, self.decisions[-1], c[self.decision_path]).astype(object)

    def learn(self, c: Cols, hook: Hook | None) -> None:
        """The label, where it is known by the end of the window."""
        if self.label_hours is None:
            return
        y = c["_y"].astype(float)
        if "_treated" in c and not self.regression:
            y = np.where(c["_treated"] & (c["_pick"] < 0.08), 1.0, y)
        hours = self.label_hours[0] * c["_delay"][0] * np.exp(self.label_hours[1] * c["_e.label"])
        c["_label_ts"] = c["ts"] + (hours * HOUR).astype(np.int64)
        c["_label"] = y
        if hook:
            hook.after("label", c)
        known = (c["_label_ts"] <= c["_end"][0]) & ~np.isnan(c["_label"])
        if self.label_values is None:
            c["label"] = np.where(known, np.round(c["_label"], 3), np.nan)
        elif isinstance(self.label_values[0], str):
            c["label"] = np.where(
                known, np.asarray(self.label_values, dtype=object)[(c["_label"] > 0.5).astype(int)], NOTHING
            )
        else:
            c["label"] = np.where(known, c["_label"], np.nan)
        c["label_ts"] = np.where(known, c["_label_ts"], np.iinfo(np.int64).min)

    # -- the table -----------------------------------------------------------------------------------------------
    def table(self, c: Cols) -> pd.DataFrame:
        """The visible columns as the contract names and orders them."""
        groups = [
            "context",
            "inputs",
            "steps",
            "code",
            "model",
            "outputs",
            "decisions",
            "hardware",
            "spans",
            "usage",
            "age",
            "recorder",
        ]
        order = [
            "id",
            "ts",
            *(p for g in groups for p in c if p.startswith(g + ".")),
            "decision",
            "label",
            "label_ts",
            "error",
        ]
        out: dict[str, Any] = {}
        for path in order:
            if path == "ts":
                out[path] = stamp(c["ts"], self.ts_form)
            elif path == "label_ts" and path in c:
                out[path] = stamp(c["label_ts"], "datetime")
            elif path in c:
                out[path] = c[path]
        return pd.DataFrame(out)


def stamp(us: Array, form: str) -> Any:
    """Times as a column: datetimes in UTC, or epoch s, ms or µs; the lowest integer is null."""
    if form == "datetime":
        return pd.to_datetime(pd.Series(us.astype("datetime64[us]")), utc=True)
    if form == "text":
        return pd.Series(us.astype("datetime64[us]")).dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return us // {"s": 1_000_000, "ms": 1000, "us": 1}[form]


@cache
def digest(text: str) -> str:
    """A short fingerprint."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def neutral(seed: int, nature: Nature | None = None) -> World:
    """A small world for a look at an app: a week of golden, a day of window."""
    day = 24 * HOUR
    start = 20_000 * day
    return World(seed, start, start + 7 * day, start + 7 * day, start + 8 * day, 1500, "office", 0.7, nature)
