"""The faults that are drilled: a list of values, to be read like one. A new fault is a new value.

In: nothing. Out: `CATALOGUE`, and `variants` to find faults in it by id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.drill.app import App, changed
from whimbrel.drill.columns import Columns
from whimbrel.drill.faults import CALLER, HOST, Break, Fault, Values, input_fault
from whimbrel.drill.world import World
from whimbrel.errors import UsageError

SHARES = (0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)
MOVES = (0.002, 0.004, 0.008, 0.015, 0.025, 0.04, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2)
STRETCHES = (1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 9.0, 14.0, 20.0)
PLANE = ("plane_year", "seats", "maker", "engine", "tailnum")


def _constant(value: float | None = None) -> Values:
    """All rows get `value`, or where there is none, the strength."""
    return lambda values, strength: np.full(len(values), strength if value is None else value)


def _texts(change: Callable[[str], str]) -> Values:
    return lambda values, _: np.array([None if v is None else change(v) for v in values.tolist()], dtype=object)


def _null(values: NDArray[Any], _: float) -> NDArray[Any]:
    return np.full(len(values), None, dtype=object) if values.dtype == object else np.full(len(values), np.nan)


def _times(values: NDArray[Any], factor: float) -> NDArray[Any]:
    return np.round(values * factor, 6)


def _renumbered(values: NDArray[Any], places: float) -> NDArray[Any]:
    """The same codes, dealt out anew: the code book turned by some places."""
    book = sorted({v for v in values.tolist() if v is not None and v == v})
    turned = {v: book[(i + int(places)) % len(book)] for i, v in enumerate(book)}
    return np.array([turned.get(v, v) for v in values.tolist()], dtype=values.dtype)


def _as_text(values: NDArray[Any], _: float) -> NDArray[Any]:
    return np.array([None if v != v else f"{v:g}" for v in values.tolist()], dtype=object)


def _step(
    fault_id: str, component: str, says: str, change: Break, strengths: tuple[float, ...] = (1.0,), **more: Any
) -> Fault:
    return Fault(
        fault_id, "features", (f"steps.{component}",), says, strengths, app=change, **{"code": "either", **more}
    )


def _filled(name: str) -> Break:
    return lambda app, _, __: replace(app, impute=changed(app.impute, fill={**app.impute.keywords["fill"], name: 0.0}))


def _rebuilt(name: str) -> Break:
    """The map made again from a part of the names in alphabetical order: their ranks are dealt out anew."""

    def change(app: App, strength: float, _: World) -> App:
        books = app.encode.keywords["ranks"]
        ranks = books[name]
        names = sorted(ranks, key=str)[: max(2, round(strength * len(ranks)))]
        dealt = dict(zip(names, sorted(ranks[v] for v in names), strict=True))
        return replace(app, encode=changed(app.encode, ranks={**books, name: {**ranks, **dealt}}))

    return change


def _scaled(name: str, change: Callable[[float], Mapping[str, float]]) -> Break:
    """One number's scaler with other parameters."""

    def apply(app: App, strength: float, _: World) -> App:
        scalers = app.scale.keywords["scalers"]
        return replace(app, scale=changed(app.scale, scalers={**scalers, name: {**scalers[name], **change(strength)}}))

    return apply


def _older(app: App, versions: float, world: World) -> App:
    """The scalers drift from version to version as they did between January and spring."""

    def back(now: Mapping[str, float], then: Mapping[str, float]) -> dict[str, float]:
        center = now["center"] + versions * (then["center"] - now["center"])
        return {**now, "center": center, "spread": now["spread"] * (then["spread"] / now["spread"]) ** versions}

    scalers = app.scale.keywords["scalers"]
    older = {name: back(now, world.early[name]) for name, now in scalers.items()}
    return replace(app, scale=changed(app.scale, scalers=older))


def _int8(app: App, step: float, _: World) -> App:
    """Leaves rounded to multiples of `step` and clipped at eight of them: a calibration set without the tails."""
    leaf = np.clip(np.round(app.model.forest.leaf / step), -8, 8) * step
    forest = replace(app.model.forest, leaf=leaf)
    return replace(app, model=replace(app.model, forest=forest, precision="int8", digest=forest.digest))


def _moved(sign: int) -> Break:
    def apply(app: App, by: float, _: World) -> App:
        threshold = app.decide.keywords["threshold"] + sign * by
        return replace(app, decide=changed(app.decide, threshold=threshold))

    return apply


def _stretched(part: str) -> Break:
    return lambda app, by, _: replace(
        app, timing=replace(app.timing, ms={**app.timing.ms, part: app.timing.ms[part] * by})
    )


def _throttled(app: App, by: float, _: World) -> App:
    return replace(app, timing=replace(app.timing, slow=by, clock=1 / by))


def _miscomputing(app: App, by: float, _: World) -> App:
    return replace(app, model=replace(app.model, noise=by), canary=replace(app.canary, noise=by))


def _lost_labels(columns: Columns, share: float) -> Columns:
    lost = columns["luck.coin"] < share
    return {name: np.where(lost, np.nan, columns[name]) for name in ("label", "label_ts")}


def _shifted_labels(columns: Columns, _: float) -> Columns:
    return {name: np.roll(columns[name], 1) for name in ("label", "label_ts")}


def _dropped(columns: Columns, share: float) -> Columns:
    return {"truth.dropped": np.where(columns["luck.coin"] < share, 1.0, 0.0)}


DATA: tuple[Fault, ...] = (
    input_fault("D02/distance", "distance arrives in kilometres, not miles", _times, (1.609344,)),
    input_fault("D02/airport_delay", "the airport's delay arrives in hours, not minutes", _times, (1 / 60,)),
    input_fault("D02/sched_hour", "the hour of departure arrives in minutes since midnight", _times, (60.0,)),
    input_fault("D03/airport_delay", "-999 stands for an unknown delay", _constant(-999.0), SHARES, rare=True),
    input_fault("D03/distance", "0 stands for an unknown distance", _constant(0.0), SHARES, rare=True),
    input_fault("D03/seats", "9999 stands for unknown seats", _constant(9999.0), SHARES, rare=True),
    input_fault("D05/airport_delay", "the airport's delay is lost", _null, SHARES, rare=True),
    input_fault("D05/carrier", "the carrier is lost", _null, SHARES, rare=True),
    input_fault("D05/plane", "all that is known of the plane is lost at once", _null, SHARES, names=PLANE, rare=True),
    input_fault(
        "D07/airport_delay", "the airport's feed is off and repeats one value", _constant(), (-3, -1, 0, 5, 10, 20, 40)
    ),
    input_fault("D07/weekday", "the weekday is stuck", _constant(), (5.0, 2.0, 3.0)),
    input_fault("D14/sched_hour", "the hour of departure lost its fraction", lambda values, _: np.floor(values)),
    input_fault("D14/distance", "distance arrives as text", _as_text, whole=True),
    input_fault("D14/airport_delay", "the airport's delay arrives as text", _as_text, whole=True),
    input_fault("D16/carrier", "carriers arrive in lower case from one feed", _texts(str.lower)),
    input_fault("D16/dest", "destinations arrive padded with a blank from one feed", _texts(lambda v: f"{v} ")),
    input_fault("D16/origin", "airports arrive in lower case from one feed", _texts(str.lower)),
    input_fault("D17/weekday", "weekdays are counted from another day", _renumbered, (1, 2, 3)),
    input_fault("D17/maker", "the code book of aircraft makers was renumbered", _renumbered, (1, 3, 5)),
    input_fault("D17/carrier", "the code book of carriers was dealt out anew", _renumbered, (1, 3, 5)),
)
FEATURES: tuple[Fault, ...] = (
    _step("F02/pressure", "impute.pressure", "a missing pressure becomes 0, not the median", _filled("pressure")),
    _step("F03/carrier", "encode.carrier", "the map of carriers has another order", _rebuilt("carrier"), SHARES),
    _step("F03/dest", "encode.dest", "the map of destinations has another order", _rebuilt("dest"), SHARES),
    _step("F03/origin", "encode.origin", "the map of airports has another order", _rebuilt("origin"), SHARES),
    _step(
        "F06/airport_delay", "scale.airport_delay", "delays are clipped far too low",
        _scaled("airport_delay", lambda by: {"high": 90.0 - by}),
        (30, 45, 55, 62, 68, 73, 77, 81, 85, 90, 95),
    ),
    _step(
        "F06/distance", "scale.distance", "the logarithm is taken to base 10",
        _scaled("distance", lambda _: {"base": 10.0}),
    ),
    _step(
        "F12", "history.carrier_delay", "the feature store stands still",
        lambda app, hours, _: replace(app, store=replace(app.store, stale_s=3600 * hours)),
        (1, 2, 3, 5, 8, 12, 24, 48), code="never",
    ),
    _step(
        "P01", "scale", "an older version of the scaler serves", _older, (0.5, 1, 1.5, 2, 3, 4, 5, 7),
        dims=CALLER + HOST, code="always",
    ),
)  # fmt: skip
MODEL: tuple[Fault, ...] = (
    Fault(
        "M01", "model", ("model.version", "model.digest"), "an old model still serves",
        dims=HOST, app=lambda app, _, world: replace(app, model=world.old),
    ),
    Fault(
        "M03", "model", ("model.precision", "model.digest"), "the int8 copy of the model was calibrated badly",
        (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3), dims=HOST + CALLER, app=_int8,
    ),
    Fault(
        "M07", "model", ("outputs.score",), "the calibrator is dropped",
        app=lambda app, _, __: replace(app, calibrate=changed(app.calibrate, slope=1.0, intercept=0.0)),
    ),
)  # fmt: skip
DECISION: tuple[Fault, ...] = (
    Fault("O01/higher", "decision", ("decision",), "the threshold was raised", MOVES, app=_moved(1)),
    Fault("O01/lower", "decision", ("decision",), "the threshold was lowered", MOVES, app=_moved(-1)),
    Fault(
        "O06", "decision", ("decision",), "a fallback answers silently",
        SHARES, app=lambda app, share, _: replace(app, fails=share),
    ),
    Fault(
        "E02", "decision", ("decisions.route",), "the canary gets many times its traffic",
        (0.05, 0.08, 0.12, 0.2, 0.3, 0.5), "share", app=lambda app, share, _: replace(app, canary_share=share),
    ),
)  # fmt: skip
LABELS: tuple[Fault, ...] = (
    Fault("L01", "labels", ("label",), "late labels are lost", SHARES, "share", records=_lost_labels),
    Fault("L02", "labels", ("label",), "labels are joined one row off", (1.0,), "share", records=_shifted_labels),
)
SERVING: tuple[Fault, ...] = (
    Fault(
        "F13", "serving", ("spans.weather",), "weather look-ups time out and answer with the default",
        SHARES, app=lambda app, share, _: replace(app, observations=replace(app.observations, timeouts=share)),
    ),
    Fault(
        "I01/weather", "serving", ("spans.weather",), "the weather service got slower",
        STRETCHES, "p95", app=_stretched("weather"),
    ),
    Fault(
        "I01/history", "serving", ("spans.history",), "the feature store got slower",
        STRETCHES, "p95", app=_stretched("history"),
    ),
    Fault(
        "I02", "serving", ("spans.queue",), "requests queue up",
        STRETCHES, "p95", CALLER + HOST, app=_stretched("queue"),
    ),
    Fault(
        "I08", "serving", ("spans.weather",), "an early return skips the weather",
        SHARES, code="either", app=lambda app, share, _: replace(app, weather=changed(app.weather, skipped=share)),
    ),
)  # fmt: skip
HARDWARE: tuple[Fault, ...] = (
    Fault(
        "H01", "hardware", ("hardware.clock_mhz", "hardware.host"), "a host throttles",
        (1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0), "p95", HOST, app=_throttled,
    ),
    Fault(
        "H05", "hardware", ("hardware.host",), "a device computes wrongly",
        (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5), dims=HOST, app=_miscomputing,
    ),
)  # fmt: skip
RECORDER: tuple[Fault, ...] = (
    Fault(
        "K01", "recorder", ("recorder.dropped", "recorder.seq"), "the recorder itself drops",
        SHARES, "share", HOST, records=_dropped,
    ),
)  # fmt: skip

CATALOGUE = DATA + FEATURES + MODEL + DECISION + LABELS + SERVING + HARDWARE + RECORDER
KINDS = tuple(dict.fromkeys(fault.kind for fault in CATALOGUE))


def variants(fault: str) -> tuple[Fault, ...]:
    """The fault with this id, or all variants of this kind (`D02` gives `D02/distance`, …).

    Raises:
        UsageError: there is no such fault.
    """
    found = tuple(f for f in CATALOGUE if fault in (f.id, f.kind))
    if not found:
        raise UsageError(
            f"there is no fault {fault!r}", where="--fault", why=f"the catalogue has {', '.join(KINDS)}",
            next="choose one of these",
        )  # fmt: skip
    return found
