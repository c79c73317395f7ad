"""Faults that any app can have, each made for the parts of one: the ids are those of the list that the drill is held to.

In: names of an app's inputs, steps and parts. Out: `Fault`s. Apps call these in their catalogues.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from whimbrel.drill.app import changed
from whimbrel.drill.columns import Columns
from whimbrel.drill.faults import HOST, Break, Fault, Measure
from whimbrel.drill.values import Values
from whimbrel.drill.world import World

SHARES = (0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)
MOVES = (0.002, 0.004, 0.008, 0.015, 0.025, 0.04, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2)
STRETCHES = (1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 9.0, 14.0, 20.0)
GAINS = (1.02, 1.05, 1.1, 1.2, 1.35, 1.6, 2.0, 3.0, 5.0)
DEALS = (0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)


def arrives(
    fault_id: str, says: str, change: Values, strengths: tuple[float, ...] = (1.0,),
    *, names: tuple[str, ...] = (), rare: bool = False, whole: bool = False, harmless: bool = False,
) -> Fault:  # fmt: skip
    """A fault of raw inputs: of the one that the id names, or of `names` together.

    `rare` ones hit the share of rows that their strength says.
    """
    names = names or (fault_id.partition("/")[2],)

    def inputs(columns: Columns, strength: float) -> Columns:
        out = {}
        for name in names:
            was = columns[f"inputs.{name}"]
            now = change(was, strength)
            out[f"inputs.{name}"] = np.where(columns["luck.coin"] < strength, now, was) if rare else now
        return out

    components = tuple(f"inputs.{name}" for name in names)
    measure: Measure = "none" if harmless else "flips"
    return Fault(fault_id, "data", components, says, strengths, measure, whole=whole, inputs=inputs)


def swapped(a: str, b: str, says: str) -> Fault:
    """D01: two inputs change places upstream."""
    one, two = f"inputs.{a}", f"inputs.{b}"
    return Fault(
        f"D01/{a}-{b}", "data", (one, two), says, inputs=lambda columns, _: {one: columns[two], two: columns[one]}
    )


# -- steps -------------------------------------------------------------------------------------------------------------
def step(
    fault_id: str, component: str, says: str, change: Break, strengths: tuple[float, ...] = (1.0,), **more: Any
) -> Fault:
    """A fault of preprocessing, whose fingerprint may show it or not.

    `component` names what the step returns otherwise, `<step>.<name>`; all of it, one after a blank.
    """
    components = tuple(f"steps.{one}" for one in component.split())
    return Fault(fault_id, "features", components, says, strengths, app=change, **{"code": "either", **more})


def filled(name: str, value: float, says: str, kind: str = "F02") -> Fault:
    """F02, F05: the imputer fills in something else."""

    def change(app: Any, _: float, __: World) -> Any:
        return app.given("impute", fill={**app.step("impute").keywords["fill"], name: value})

    return step(f"{kind}/{name}", f"impute.{name}", says, change)


def encoded(kind: str, name: str, says: str) -> Fault:
    """F03 dealt out anew, F07 cut short, F10 off by one: the map of names to ranks."""

    def change(app: Any, strength: float, _: World) -> Any:
        books = app.step("encode").keywords["ranks"]
        return app.given("encode", ranks={**books, name: _MAPS[kind](books[name], strength)})

    return step(f"{kind}/{name}", f"encode.{name}", says, change, (1.0, 2.0, 3.0) if kind == "F10" else DEALS)


def _rebuilt(ranks: Mapping[Any, float], share: float) -> dict[Any, float]:
    """The map made again from a part of the names in alphabetical order: their ranks are dealt out anew."""
    names = sorted(ranks, key=str)[: max(2, round(share * len(ranks)))]
    return {**ranks, **dict(zip(names, sorted(ranks[v] for v in names), strict=True))}


def _cut(ranks: Mapping[Any, float], share: float) -> dict[Any, float]:
    """The last names of the alphabet are unknown to it."""
    names = sorted(ranks, key=str)
    return {v: ranks[v] for v in names[: len(names) - max(1, round(share * len(names)))]}


def _off(ranks: Mapping[Any, float], by: float) -> dict[Any, float]:
    return {name: rank + by for name, rank in ranks.items()}


_MAPS = {"F03": _rebuilt, "F07": _cut, "F10": _off}


def scaled(
    fault_id: str, says: str, change: Callable[[float], Mapping[str, float]], strengths: tuple[float, ...] = (1.0,)
) -> Fault:
    """F06, F08, F09, F15: one number's scaler with other parameters."""
    name = fault_id.partition("/")[2]

    def apply(app: Any, strength: float, _: World) -> Any:
        scalers = app.step("scale").keywords["scalers"]
        return app.given("scale", scalers={**scalers, name: {**scalers[name], **change(strength)}})

    return step(fault_id, f"scale.{name}", says, apply, strengths)


def exchanged(a: str, b: str) -> Fault:
    """F04: two scalers in the wrong order."""

    def apply(app: Any, _: float, __: World) -> Any:
        scalers = app.step("scale").keywords["scalers"]
        moved = {x: {**scalers[x], **{k: scalers[y][k] for k in ("center", "spread")}} for x, y in ((a, b), (b, a))}
        return app.given("scale", scalers={**scalers, **moved})

    fault = step(f"F04/{a}-{b}", f"scale.{a}", f"the scalers of {a} and {b} were exchanged", apply)
    return replace(fault, components=(f"steps.scale.{a}", f"steps.scale.{b}"))


def _older(app: Any, versions: float, world: World) -> Any:
    """The scalers drift from version to version as they did between the early months and the rest."""

    def back(now: Mapping[str, float], then: Mapping[str, float]) -> dict[str, float]:
        center = now["center"] + versions * (then["center"] - now["center"])
        return {**now, "center": center, "spread": now["spread"] * (then["spread"] / now["spread"]) ** versions}

    scalers = app.step("scale").keywords["scalers"]
    return app.given("scale", scalers={name: back(now, world.spare["early"][name]) for name, now in scalers.items()})


OLDER = step(
    "P01", "scale", "an older version of the scaler serves", _older, (0.5, 1, 1.5, 2, 3, 4, 5, 7, 10, 15, 25),
    code="always",
)  # fmt: skip


def stale(at: str, component: str, says: str, hours: tuple[float, ...] = (1, 2, 3, 5, 8, 12, 24, 48)) -> Fault:
    """F12: what a look-up serves lags behind."""
    return step("F12", component, says, lambda app, h, _: app.sourced(at, stale_s=3600 * h), hours, code="never")


def misplaced(at: str, component: str, says: str) -> Fault:
    """F11: the look-up is keyed wrongly, and answers for another place."""

    def apply(app: Any, by: float, _: World) -> Any:
        places = app.sources[at].places
        names = list(places)
        return app.sourced(at, places={n: places[names[(i + int(by)) % len(names)]] for i, n in enumerate(names)})

    return step("F11", component, says, apply, (1, 2), code="never")


# -- model and decision ------------------------------------------------------------------------------------------------
def _int8(app: Any, by: float, _: World) -> Any:
    scorer = app.model.scorer.rounded(by)
    return replace(app, model=replace(app.model, scorer=scorer, precision="int8", digest=scorer.digest))


def _misread(app: Any, by: float, _: World) -> Any:
    names = app.model.scorer.names
    at = int(by)
    turned = (*names[:at], names[at + 1], names[at], *names[at + 2 :])
    return replace(app, model=replace(app.model, scorer=replace(app.model.scorer, names=turned)))


def unannounced(**change: Any) -> Break:
    """A language model answers in another way under the same version and digest: parameters, or how the strength makes them."""

    def apply(app: Any, by: float, _: World) -> Any:
        new = {name: value(by) if callable(value) else value for name, value in change.items()}
        return replace(app, model=replace(app.model, said=app.model.digest, **new))

    return apply


def _calibrated(**change: Callable[[float, float], float]) -> Break:
    def apply(app: Any, by: float, _: World) -> Any:
        now = app.calibrate.keywords
        return replace(app, calibrate=changed(app.calibrate, **{name: f(now[name], by) for name, f in change.items()}))

    return apply


def _remade(app: Any, scorer: Any, suffix: str = "") -> Any:
    """Other weights in the model's place; a release of its own where it has a suffix."""
    version = app.model.version + suffix
    return replace(app, model=replace(app.model, scorer=scorer, version=version, digest=scorer.digest))


BYTES = ("model.digest", "model.version", "outputs.margin")
TRAINED = (("model", "model.version"), ("model", "model.digest"), ("model", "outputs.margin"))
MODEL: tuple[Fault, ...] = (
    Fault(
        "M01", "model", ("model.version", "model.digest"), "an old model still serves",
        dims=HOST, app=lambda app, _, world: replace(app, model=world.old),
    ),
    Fault(
        "M03", "model", ("model.precision", "model.digest"), "the int8 copy of the model was calibrated badly",
        (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3), dims=(*HOST, "context.channel"), app=_int8,
    ),
    Fault(
        "M04", "model", ("outputs.margin", "model.digest"), "two features reach the model in each other's place",
        (2, 3, 1, 0, 4), app=_misread,
    ),
    Fault("M06", "model", BYTES, "a part of the model was not loaded", (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9),
          dims=HOST, app=lambda app, lost, _: _remade(app, app.model.scorer.only(1 - lost))),
    Fault("R01", "training", ("training.lr",), "a release was trained with a step size far too large",
          (1.1, 1.2, 1.35, 1.6, 2.0, 3.0),
          app=lambda app, by, _: _remade(app, app.model.scorer.times(by), "b"), others=TRAINED),
    Fault("R05", "training", ("training.data",), "a release was trained on a part of its data",
          (0.1, 0.2, 0.3, 0.5, 0.7, 0.9),
          app=lambda app, lost, _: _remade(app, app.model.scorer.only(1 - lost), "c"), others=TRAINED),
)  # fmt: skip
"""Faults of any model."""


def calibration(regression: bool = False) -> tuple[Fault, ...]:
    """M07 dropped, M08 another's; M09 one that only shifts."""
    first = ("outputs.score",)
    drop = {"slope": lambda _, __: 1.0, "factor" if regression else "intercept": lambda _, __: 1.0 * regression}
    shift = {"factor": lambda f, by: f * (1 + by)} if regression else {"intercept": lambda b, by: b + by}
    return (
        Fault("M07", "model", first, "the calibrator is dropped", app=_calibrated(**drop)),
        Fault("M08", "model", first, "the calibrator of another model is applied", (*MOVES[4:], 0.3, 0.5, 0.8),
              app=_calibrated(slope=lambda s, by: s * (1 - by))),
        Fault("M09", "model", first, "the calibrator's offset is wrong", (*MOVES[3:], 0.3, 0.5, 0.8), app=_calibrated(**shift)),
    )  # fmt: skip


def _moved(sign: float) -> Break:
    def apply(app: Any, by: float, _: World) -> Any:
        threshold = app.decide.keywords["threshold"]
        return replace(app, decide=changed(app.decide, threshold=threshold + sign * by))

    return apply


def _inverted(app: Any, _: float, __: World) -> Any:
    now = app.decide.keywords
    return replace(app, decide=changed(app.decide, above=now["below"], below=now["above"]))


def _renamed(app: Any, _: float, __: World) -> Any:
    now = app.decide.keywords
    return replace(app, decide=changed(app.decide, above=now["above"].upper(), below=now["below"].upper()))


def _repeated(columns: Columns, share: float) -> Columns:
    """A cache with too coarse a key: the previous answer again."""
    again = columns["luck.coin"] < share
    return {"decision": np.where(again, np.roll(columns["decision"], 1), columns["decision"])}


def decisions(unit: float = 1.0) -> tuple[Fault, ...]:
    """Faults of what is done with a score; `unit` is how large a step of the threshold is."""
    first = ("decision",)
    return (
        Fault("O01/higher", "decision", first, "the threshold was raised", MOVES, app=_moved(unit)),
        Fault("O01/lower", "decision", first, "the threshold was lowered", MOVES, app=_moved(-unit)),
        Fault("O02", "decision", first, "the two decisions are exchanged", app=_inverted),
        Fault("O05", "decision", first, "decisions are spelled in capitals", app=_renamed),
        Fault("O06", "decision", first, "a fallback answers silently", SHARES,
              app=lambda app, share, _: replace(app, fails=share)),
        Fault("O07", "decision", first, "a cache repeats the previous answer", SHARES, records=_repeated),
        Fault("E02", "decision", ("decisions.route",), "the canary gets many times its traffic",
              (0.05, 0.08, 0.12, 0.2, 0.3, 0.5), "share", app=lambda app, share, _: replace(app, canary_share=share)),
    )  # fmt: skip


def compensating() -> Fault:
    """X01: the scores move and the threshold with them, so that the rate of decisions stays."""

    def apply(app: Any, by: float, _: World) -> Any:
        both = replace(app, calibrate=changed(app.calibrate, intercept=app.calibrate.keywords["intercept"] + by))
        p = app.decide.keywords["threshold"]
        odds = np.log(p / (1 - p)) + 0.6 * by
        return replace(both, decide=changed(both.decide, threshold=float(1 / (1 + np.exp(-odds)))))

    return Fault(
        "X01", "model", ("outputs.score",), "the calibrator's offset is wrong, and a lower threshold hides most of it",
        (0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5), app=apply, others=(("decision", "decision"),),
    )  # fmt: skip


# -- labels, serving, hardware, recorder -------------------------------------------------------------------------------
def _lost(columns: Columns, share: float) -> Columns:
    lost = columns["luck.coin"] < share
    return {name: np.where(lost, np.nan, columns[name]) for name in ("label", "label_ts")}


def _flipped(columns: Columns, share: float) -> Columns:
    return {"label": np.where(columns["luck.coin"] < share, 1 - columns["label"], columns["label"])}


def _early(columns: Columns, share: float) -> Columns:
    """What nobody knows yet is filed as a no, an hour after the prediction."""
    early = columns["luck.coin"] < share
    ts = np.where(early, columns["ts"] + 3600, columns["label_ts"])
    return {"label": np.where(early, 0.0, columns["label"]), "label_ts": ts}


LABELS: tuple[Fault, ...] = (
    Fault("L01", "labels", ("label",), "late labels are lost", SHARES, "share", records=_lost),
    Fault("L02", "labels", ("label",), "labels are joined one row off", (1.0,), "share",
          records=lambda columns, _: {name: np.roll(columns[name], 1) for name in ("label", "label_ts")}),
    Fault("L04", "labels", ("label",), "unknown labels are filed as no", SHARES, "share", records=_early),
)  # fmt: skip
FLIPPED = Fault("L03", "labels", ("label",), "a share of the labels is inverted", SHARES, "share", records=_flipped)
DOUBLED = Fault(
    "L06", "labels", ("label",), "labels arrive in another unit", (1.0,), "share",
    records=lambda columns, _: {"label": 2 * columns["label"]},
)  # fmt: skip


def _stretched(part: str) -> Break:
    return lambda app, by, _: replace(
        app, timing=replace(app.timing, ms={**app.timing.ms, part: app.timing.ms[part] * by})
    )


def slower(part: str, says: str) -> Fault:
    """I01: a dependency got slower."""
    return Fault(f"I01/{part}", "serving", (f"spans.{part}",), says, STRETCHES, "p95", app=_stretched(part))


def timed_out(part: str, says: str) -> Fault:
    """F13: look-ups time out and return the default."""
    return Fault(
        "F13", "serving", (f"spans.{part}",), says, SHARES, app=lambda app, share, _: app.sourced(part, timeouts=share)
    )


def skipped(part: str, says: str) -> Fault:
    """I08: an early return leaves a look-up out."""
    return Fault(
        "I08", "serving", (f"spans.{part}",), says, SHARES, code="either",
        app=lambda app, share, _: app.given(part, skipped=share),
    )  # fmt: skip


def _retried(part: str) -> Callable[[Columns, float], Columns]:
    def records(columns: Columns, share: float) -> Columns:
        more = np.where(columns["luck.coin"] < share, 8 * columns[f"spans.{part}"] + 30, 0.0)
        return {path: columns[path] + more for path in (f"spans.{part}", "spans.total")}

    return records


def retried(part: str) -> Fault:
    """I03: some calls of a dependency are tried again and again."""
    return Fault(
        "I03", "serving", (f"spans.{part}",), f"some calls to {part} are tried again and again",
        (0.02, 0.04, 0.06, 0.08, 0.12, 0.2, 0.4), "p95", records=_retried(part),
    )  # fmt: skip


def _paused(columns: Columns, by: float) -> Columns:
    """The collector stops the process at certain seconds; whatever runs then takes longer."""
    stopped = np.where(columns["ts"] % 60 < 6, 20 * by, 0.0)
    return {path: columns[path] + stopped for path in ("spans.score", "spans.total")}


SERVING: tuple[Fault, ...] = (
    Fault("I02", "serving", ("spans.queue",), "requests queue up", STRETCHES, "p95", app=_stretched("queue")),
    Fault("I04", "serving", ("spans.score",), "processes start cold and load the model first",
          (0.02, 0.04, 0.06, 0.08, 0.12, 0.2, 0.4), "p95",
          app=lambda app, share, _: replace(app, timing=replace(app.timing, cold=share))),
    Fault("I07", "serving", ("spans.score",), "the process stops for a while every minute", (1.0, 1.5, 2.0, 3.0, 6.0, 15.0),
          "p95", records=_paused),
)  # fmt: skip


def _throttled(app: Any, by: float, _: World) -> Any:
    return replace(app, timing=replace(app.timing, slow=by, clock=1 / by))


def _miscomputing(app: Any, by: float, _: World) -> Any:
    return replace(app, model=replace(app.model, noise=by), canary=replace(app.canary, noise=by))


HARDWARE: tuple[Fault, ...] = (
    Fault("H01", "hardware", ("hardware.clock_mhz", "hardware.host"), "a host throttles",
          (1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0), "p95", HOST, app=_throttled),
    Fault("H03", "hardware", ("hardware.host",), "a host computes without its accelerator",
          STRETCHES, "p95", HOST, app=_stretched("score"), others=(("serving", "spans.score"),)),
)  # fmt: skip
NOISY = Fault(
    "H05", "hardware", ("hardware.host",), "a device computes wrongly",
    (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.5), dims=HOST, app=_miscomputing,
)  # fmt: skip


def _dropped(columns: Columns, share: float) -> Columns:
    return {"truth.dropped": np.where(columns["luck.coin"] < share, 1.0, 0.0)}


RECORDER: tuple[Fault, ...] = (
    Fault("K01", "recorder", ("recorder.dropped", "recorder.seq"), "the recorder itself drops", SHARES, "share", HOST,
          records=_dropped),
)  # fmt: skip
EVERYWHERE = (*LABELS, *SERVING, *HARDWARE, *RECORDER)
