"""What a number is of the past of its own series, found in the log: a day ago, the mean of some hours, a label that is what came in later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from whimbrel.diagnose import diagnose
from whimbrel.model.report import Report

METERS, KINDS, DAYS, WINDOW = 12, ("house", "works"), 14, 3
START = pd.Timestamp("2026-03-02", tz="UTC")


def _lag(values: Any, hours: int) -> Any:
    out = np.full_like(values, np.nan)
    if hours > 0:
        out[hours:] = values[:-hours]
    else:
        out[:hours] = values[-hours:]
    return out


def _mean(values: Any, hours: int) -> Any:
    return pd.DataFrame(values).rolling(hours).mean().shift(1).to_numpy()


def world(seed: int = 1, *, broken: str = "", lacks: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame, pd.Timestamp]:
    """Golden, window and when it began: meters that are read every hour, two of each kind sharing a name that is told apart by the kind."""
    rng = np.random.default_rng(seed)
    hours = 24 * (DAYS + WINDOW) + 48
    clock = np.arange(hours)[:, None]
    level = rng.lognormal(3, 0.5, METERS)
    walk = np.zeros((hours, METERS))
    for i in range(1, hours):
        walk[i] = 0.8 * walk[i - 1] + rng.normal(0, 0.25, METERS)
    true = (level * (1.4 + np.sin((clock - 7) * np.pi / 12)) * np.exp(walk)).round(2)
    flow, label = true.copy(), _lag(true, -1)
    since = 24 * DAYS + 48 + 20
    host = rng.integers(0, 3, METERS)
    hit = (clock >= since) & (host == 1)
    if broken == "litres":
        flow = np.where(hit, (flow * 3.785).round(2), flow)
    if broken == "label":
        label = np.where(hit, _lag(true, 1), label)
    ago, mean = _lag(flow, 24), _mean(flow, 6)
    if broken == "clock":
        ago = np.where(hit, _lag(flow, 22), ago)
    if broken == "longer":
        mean = np.where(hit, _mean(flow, 12), mean)
    ago = np.where(np.isnan(ago), flow, ago)
    mean = np.where(np.isnan(mean), flow, mean).round(3)
    score = (0.5 * flow + 0.3 * ago + 0.2 * mean).round(3)
    if broken == "cache":
        score = np.where(hit, _lag(score, 1), score)
    when = START - pd.Timedelta(hours=48) + pd.to_timedelta(np.repeat(np.arange(hours), METERS), unit="h")
    one = pd.DataFrame({
        "ts": when + pd.to_timedelta(rng.uniform(0, 40, hours * METERS), unit="s"),
        "inputs.meter": np.tile([f"m{i // 2}" for i in range(METERS)], hours),
        "inputs.flow": flow.ravel(), "inputs.pressure": rng.normal(4, 0.3, hours * METERS).round(2),
        "steps.history.day_ago": ago.ravel(), "steps.history.mean_6h": mean.ravel(), "outputs.score": score.ravel(),
        "decision": np.where(score.ravel() > np.median(score), "watch", "none"), "label": label.ravel(),
        "context.kind": np.tile([KINDS[i % 2] for i in range(METERS)], hours),
        "context.site": np.tile([f"s{one}" for one in host], hours),
    })  # fmt: skip
    one["label_ts"] = one["ts"] + pd.Timedelta(hours=1)
    one = one[(one.ts >= START) & (rng.random(len(one)) >= lacks)]
    edge = START + pd.Timedelta(days=DAYS)
    last = edge + pd.Timedelta(days=WINDOW)
    began = START + pd.Timedelta(hours=since - 48)
    return one[one.ts < edge], one[(one.ts >= edge) & (one.ts < last)], began


def asked(broken: str = "", **more: Any) -> tuple[Report, pd.Timestamp]:
    golden, window, since = world(broken=broken, **more)
    return diagnose(golden, window), since


@pytest.mark.parametrize(
    ("broken", "layer", "component", "says"),
    [
        ("clock", "features", "steps.history.day_ago", "no longer what inputs.flow was 24 hours before"),
        ("longer", "features", "steps.history.mean_6h", "no longer the mean of inputs.flow over 6 hours"),
        ("label", "labels", "label", "no longer what inputs.flow was 1 hours after"),
        ("litres", "data", "inputs.flow", ""),
        ("cache", "serving", "outputs.score", "those of the request before it of the same series"),
    ],
)
def test_the_log_itself_tells_what_broke(broken: str, layer: str, component: str, says: str) -> None:
    report, since = asked(broken)
    first = report.findings[0]
    assert (report.verdict, first.layer, first.component) == ("fault", layer, component), report.sentence
    assert says in first.what
    assert {c.path for c in first.where} == {"context.site"}
    assert first.since is not None
    assert abs((pd.Timestamp(first.since) - since).total_seconds()) <= 3_600


def test_a_log_of_half_the_requests_tells_a_single_hour_as_well() -> None:
    report, _ = asked("clock", lacks=0.5)
    assert (report.findings[0].layer, report.findings[0].component) == ("features", "steps.history.day_ago")


def test_nothing_is_wrong_where_rows_are_missing() -> None:
    report, _ = asked(lacks=0.3)
    assert report.verdict == "healthy", report.sentence


def test_a_window_that_does_not_go_on_from_golden_is_no_fault() -> None:
    golden, _, _ = world(1)
    _, window, _ = world(2)
    meters = golden.groupby(["inputs.meter", "context.kind"])["context.site"].first()
    window = window.assign(
        **{"context.site": [meters[one] for one in zip(window["inputs.meter"], window["context.kind"], strict=True)]}
    )
    report = diagnose(golden, window)
    assert not [f for f in report.findings if f.component.startswith("steps.history") or f.component == "label"], (
        report.sentence
    )
