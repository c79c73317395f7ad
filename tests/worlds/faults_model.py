"""Faults of the model, of what is decided on its score, and of the labels that come back."""

from __future__ import annotations

import numpy as np

from .app import App
from .fault import Plan, fault, if_
from .ops import num
from .world import Cols, sigmoid


def trained(app: App) -> bool:
    return app.kind != "rule"


def score(app: App) -> str:
    return app.score_path


def model_names(plan: Plan) -> set[str]:
    """Every name under which the model itself may be blamed."""
    return {
        "model",
        "model.version",
        "model.digest",
        "model.name",
        "model.variant",
        "model.precision",
        plan.app.score_path,
        "outputs.score",
    } | ({plan.app.raw_path} if plan.app.raw_path else set())


def _swap(plan: Plan, c: Cols, which: str) -> None:
    """Score the hit rows with another model. Called on the `model` stage, when the current one has answered."""
    if plan.app.kind == "rule":
        c["_raw"] = np.where(plan.mask, plan.app.rule(c, which), c["_raw"])
        return
    other = plan.app.fitted()[which]
    raw = other.raw(plan.app.matrix(c))
    c["_raw"] = np.where(plan.mask, raw, c["_raw"])
    c["_a"], c["_b"] = np.where(plan.mask, other.a, c["_a"]), np.where(plan.mask, other.b, c["_b"])


@fault(
    "M01",
    "model",
    "model",
    if_(lambda a: a.version and a.hosts, lambda a: "model.version"),
    "an old model still serves on some replicas",
    scopes=("slice",),
    dims=("hardware.host",),
    deploy=0.3,
    accept=model_names,
    shapes=("start", "step", "step"),
)
def old_replica(plan: Plan, c: Cols) -> None:
    _swap(plan, c, "older")
    c["model.version"] = np.where(plan.mask, plan.app.older, c["model.version"]).astype(object)
    if "model.digest" in c:
        from .app import digest

        c["model.digest"] = np.where(plan.mask, digest(plan.app.name + plan.app.older), c["model.digest"]).astype(
            object
        )


@fault(
    "M03",
    "model",
    "model",
    if_(trained, lambda a: "model.precision"),
    "bad int8 calibration: few distinct scores, tails cut",
    accept=model_names,
    deploy=0.4,
)
def quantised(plan: Plan, c: Cols) -> None:
    raw = c["_raw"]
    low, high = np.nanquantile(num(plan.golden["_raw"]), [0.03 + 0.2 * plan.level, 0.97 - 0.3 * plan.level])
    steps = int(20 - 14 * plan.level)
    coarse = low + np.round((np.clip(raw, low, high) - low) / (high - low) * steps) / steps * (high - low)
    c["_raw"] = np.where(plan.mask, coarse, raw)
    if "model.precision" in c:
        c["model.precision"] = np.where(plan.mask, "int8", c["model.precision"]).astype(object)


@fault(
    "M07",
    "model",
    "model",
    if_(lambda a: trained(a) and not a.regression, score),
    "calibrator dropped",
    accept=model_names,
    deploy=0.4,
)
def uncalibrated(plan: Plan, c: Cols) -> None:
    c["_a"], c["_b"] = np.where(plan.mask, 1.0, c["_a"]), np.where(plan.mask, 0.0, c["_b"])


@fault(
    "M10",
    "model",
    "model",
    if_(lambda a: a.version and a.label_hours and a.label_hours[0] < 8, lambda a: "model.version"),
    "a release that is worse than the model before it",
    deploy=1.0,
    accept=model_names,
    shapes=("start", "step", "step", "ramp"),
)
def bad_release(plan: Plan, c: Cols) -> None:
    from .app import digest

    _swap(plan, c, "worse")
    c["model.version"] = np.where(plan.mask, plan.app.newer, c["model.version"]).astype(object)
    if "model.digest" in c:
        c["model.digest"] = np.where(plan.mask, digest(plan.app.name + plan.app.newer), c["model.digest"]).astype(
            object
        )


@fault(
    "M11",
    "model",
    "model",
    if_(trained, score),
    "another segment's model answers",
    accept=model_names,
    scopes=("slice",),
    deploy=0.3,
)
def misrouted(plan: Plan, c: Cols) -> None:
    _swap(plan, c, "other")


@fault(
    "M12",
    "model",
    "outputs",
    if_(lambda a: trained(a) and not a.regression, score),
    "classes in the wrong order: 1 - score",
    accept=model_names,
    deploy=0.4,
)
def reversed_(plan: Plan, c: Cols) -> None:
    plan.put(c, plan.target, 1.0 - num(c[plan.target]))


@fault(
    "M13",
    "model",
    "model",
    if_(lambda a: trained(a) and len(a.features) >= 4, score),
    "the model gets its features in another order",
    accept=model_names,
    deploy=0.5,
)
def disordered(plan: Plan, c: Cols) -> None:
    x = plan.app.matrix(c)
    order = np.arange(x.shape[1])
    i, j = plan.rng().choice(len(order), 2, replace=False)
    order[i], order[j] = j, i
    raw = np.concatenate(
        [plan.app.fitted()["current"].raw(x[k : k + 20000][:, order]) for k in range(0, len(x), 20000)]
    )
    c["_raw"] = np.where(plan.mask, raw, c["_raw"])


@fault(
    "M14",
    "model",
    "outputs",
    if_(lambda a: trained(a) and not a.regression, score),
    "temperature lost: scores pressed to the extremes or the middle",
    accept=model_names,
)
def tempered(plan: Plan, c: Cols) -> None:
    s = np.clip(num(c[plan.target]), 1e-6, 1 - 1e-6)
    factor = (0.45 if plan.rng().random() < 0.5 else 2.2) ** (0.4 + 0.6 * plan.level)
    plan.put(c, plan.target, sigmoid(factor * np.log(s / (1 - s))))


@fault(
    "M15",
    "model",
    "model",
    if_(trained, score),
    "the score is no function of its features any more: dropout left on, a race",
    accept=model_names,
    deploy=0.3,
)
def restless(plan: Plan, c: Cols) -> None:
    spread = np.nanstd(num(plan.golden["_raw"]))
    c["_raw"] = np.where(
        plan.mask,
        c["_raw"] + spread * (0.15 + 0.8 * plan.level) * plan.rng().standard_normal(len(plan.mask)),
        c["_raw"],
    )


@fault(
    "M17",
    "model",
    "model",
    if_(lambda a: trained(a) and len(a.features) >= 4, score),
    "the model no longer finds one of its features and takes a default",
    accept=model_names,
    deploy=0.5,
)
def blind(plan: Plan, c: Cols) -> None:
    x = plan.app.matrix(c).astype(float)
    j = int(plan.rng().integers(x.shape[1]))
    x[:, j] = 0.0
    c["_raw"] = np.where(plan.mask, plan.app.fitted()["current"].raw(x), c["_raw"])


@fault("M18", "model", "outputs", if_(lambda a: True, score), "score shifted by a constant", accept=model_names)
def shifted(plan: Plan, c: Cols) -> None:
    x = num(c[plan.target])
    if plan.app.regression or plan.app.kind == "rule":
        new = x + plan.scale(plan.target) * (0.2 + plan.level)
    else:
        s = np.clip(x, 1e-6, 1 - 1e-6)
        new = sigmoid(np.log(s / (1 - s)) + (0.2 + plan.level) * (1 if plan.rng().random() < 0.5 else -1))
    plan.put(c, plan.target, new)


@fault(
    "M19",
    "model",
    "outputs",
    if_(lambda a: True, score),
    "stale cache: another request's score is returned",
    accept=model_names,
    layers=frozenset({"serving"}),
)
def cached(plan: Plan, c: Cols) -> None:
    rows = np.flatnonzero(plan.some(plan.level))
    x = c[plan.target].copy()
    x[rows] = x[np.maximum(rows - int(plan.rng().integers(5, 60)), 0)]
    c[plan.target] = x


# -- decision ------------------------------------------------------------------------------------------------
def decides(app: App) -> bool:
    return bool(app.decisions) and app.decide.__func__ is App.decide  # type: ignore[attr-defined]


def path(app: App) -> str:
    return app.decision_path


@fault("O01", "decision", "outputs", if_(decides, path), "threshold changed", deploy=0.4, kind="config")
def threshold(plan: Plan, c: Cols) -> None:
    wide = plan.scale(plan.app.score_path) if plan.app.regression or plan.app.kind == "rule" else 1.0
    move = wide * (0.1 + 1.4 * plan.level) * (1 if plan.rng().random() < 0.5 else -1)
    c["_threshold"] = np.where(plan.mask, move, 0.0)


@fault(
    "O06",
    "decision",
    "decision",
    if_(lambda a: a.decisions, path),
    "the fallback answers silently",
    layers=frozenset({"serving"}),
    accept=lambda p: {p.app.score_path, "error", "decision"},
)
def fallback(plan: Plan, c: Cols) -> None:
    rows = plan.some(plan.level)
    c[plan.target] = np.where(rows, plan.app.decisions[-1], c[plan.target]).astype(object)
    if plan.rng().random() < 0.4:
        c[plan.app.score_path] = np.where(rows, np.nan, num(c[plan.app.score_path]))


@fault("O10", "decision", "decision", if_(lambda a: len(a.decisions) >= 2, path), "two decisions exchanged", deploy=0.4)
def exchanged(plan: Plan, c: Cols) -> None:
    a, b = plan.app.decisions[0], plan.app.decisions[-1]
    d = c[plan.target]
    plan.put(c, plan.target, np.where(d == a, b, np.where(d == b, a, d)).astype(object))


@fault(
    "O11",
    "decision",
    "decision",
    if_(lambda a: a.decisions, path),
    "a rule overrides the model",
    deploy=0.4,
    kind="flag",
)
def override(plan: Plan, c: Cols) -> None:
    names = plan.app.decisions
    plan.put(
        c,
        plan.target,
        np.full(len(plan.mask), names[0 if plan.rng().random() < 0.7 else -1], dtype=object),
        plan.some(0.3 + 0.7 * plan.level),
    )


@fault(
    "O12",
    "decision",
    "decision",
    if_(lambda a: len(a.decisions) >= 3, path),
    "the middle decision is not made any more",
    deploy=0.5,
    kind="config",
)
def band(plan: Plan, c: Cols) -> None:
    d = c[plan.target]
    plan.put(c, plan.target, np.where(np.isin(d, plan.app.decisions[1:-1]), plan.app.decisions[0], d).astype(object))


@fault(
    "O14",
    "decision",
    "decision",
    if_(lambda a: a.decisions, path),
    "a decision is spelled anew, and whoever reads it does not know the word",
    deploy=0.4,
    measure="share",
)
def reworded(plan: Plan, c: Cols) -> None:
    d = plan.app.decisions[int(plan.rng().integers(len(plan.app.decisions)))]
    plan.put(
        c,
        plan.target,
        np.where(c[plan.target] == d, str(d).upper() if plan.level > 0.5 else f"{d}_v2", c[plan.target]).astype(object),
    )


@fault(
    "O15", "decision", "decision", if_(lambda a: a.decisions, path), "decided on another request's score", deploy=0.3
)
def displaced(plan: Plan, c: Cols) -> None:
    rows = np.flatnonzero(plan.some(0.2 + 0.8 * plan.level))
    d = c[plan.target].copy()
    d[rows] = d[np.roll(rows, 1)]
    c[plan.target] = d


@fault(
    "E02",
    "decision",
    "inputs",
    if_(lambda a: a.canary and a.route_path, lambda a: a.route_path),
    "the canary gets 30% of traffic, not a few percent",
    scopes=("all", "slice"),
    deploy=0.4,
    kind="config",
    accept=lambda p: {"model.version", "model.variant", "model.digest", "decision", "decisions.route"},
    layers=frozenset({"model"}),
    shapes=("start", "step", "step"),
)
def routed(plan: Plan, c: Cols) -> None:
    from .app import digest

    rows = plan.mask & (c["_pick"] < 0.1 + 0.5 * plan.level)
    c["_model"] = np.where(rows, "newer", c["_model"]).astype(object)
    plan.put(c, plan.target, np.full(len(rows), "canary", dtype=object), rows)
    c["model.version"] = plan.app.labels_of(c["_model"])
    if "model.digest" in c:
        c["model.digest"] = np.asarray([digest(plan.app.name + v) for v in c["model.version"]], dtype=object)


# -- labels --------------------------------------------------------------------------------------------------
def labelled(app: App) -> bool:
    return app.label_hours is not None and app.label_hours[0] <= 8


def binary(app: App) -> bool:
    return labelled(app) and app.label_values is not None


LABEL = lambda a: "label"  # noqa: E731


@fault("L01", "labels", "label", if_(labelled, LABEL), "labels are lost", measure="labels")
def lost(plan: Plan, c: Cols) -> None:
    c["_label"] = np.where(plan.some(0.3 + 0.7 * plan.level), np.nan, c["_label"])


@fault("L02", "labels", "label", if_(labelled, LABEL), "labels joined one row off", measure="labels")
def off_by_one(plan: Plan, c: Cols) -> None:
    rows = np.flatnonzero(plan.mask)
    c["_label"][rows] = c["_label"][np.roll(rows, 1)]


@fault("L10", "labels", "label", if_(binary, LABEL), "labels flipped", measure="labels")
def flipped(plan: Plan, c: Cols) -> None:
    c["_label"] = np.where(plan.some(0.3 + 0.7 * plan.level), 1 - c["_label"], c["_label"])


@fault(
    "L11",
    "labels",
    "label",
    if_(labelled, LABEL),
    "the label job stands still",
    measure="labels",
    scopes=("all", "slice"),
    shapes=("start", "step"),
)
def late(plan: Plan, c: Cols) -> None:
    c["_label_ts"] = np.where(plan.mask, c["_label_ts"] + 1000 * 3_600_000_000, c["_label_ts"])


@fault(
    "L12",
    "labels",
    "label",
    if_(binary, LABEL),
    "label definition changed: more of them are true",
    measure="labels",
    deploy=0.3,
    kind="data",
)
def redefined(plan: Plan, c: Cols) -> None:
    c["_label"] = np.where(plan.some(0.1 + 0.5 * plan.level), 1.0, c["_label"])


@fault(
    "L13",
    "labels",
    "label",
    if_(binary, LABEL),
    "every label is the default",
    measure="labels",
    shapes=("start", "step", "step", "onoff"),
)
def default_label(plan: Plan, c: Cols) -> None:
    c["_label"] = np.where(plan.mask, 0.0, c["_label"])


@fault(
    "L14",
    "labels",
    "label",
    if_(lambda a: labelled(a) and a.label_values is None, LABEL),
    "label in another unit",
    measure="labels",
)
def label_unit(plan: Plan, c: Cols) -> None:
    c["_label"] = np.where(
        plan.mask, c["_label"] * (1000.0, 0.001, 60.0, 2.0, 0.5)[int(plan.rng().integers(5))], c["_label"]
    )
