"""Reports built by hand, one of each kind that a renderer must draw."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from whimbrel.model.report import (
    CannotTell,
    Evidence,
    Finding,
    NearEvent,
    Point,
    Report,
    Shape,
    Slice,
    Span,
    Traffic,
)
from whimbrel.model.window import Condition, where_of

START = datetime(2026, 11, 9, tzinfo=UTC)
ONSET = datetime(2026, 11, 19, 14, 5, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script>\x1b[31m\u202eevil\u2028`\"&{{ 7*7 }}\x00\ud800]]>"


def series(hours: int = 320, step: int = 6) -> tuple[Point, ...]:
    """A rate near 1% that jumps to about 3.2% at the onset."""
    out = []
    for i in range(hours // step):
        ts = START + timedelta(hours=i * step)
        value = (0.032 if ts >= ONSET else 0.0098) * (1 + 0.11 * math.sin(i * 1.7) + 0.05 * math.cos(i * 0.6))
        out.append(Point(ts, value, value * 0.82, value * 1.18, 1200))
    return tuple(out)


def slices() -> tuple[Slice, ...]:
    """Ranked slices around `channel=ios`."""
    ios, mobile = {"context.channel": "ios"}, {"context.device": "mobile"}
    return (
        Slice(where_of(ios | mobile), 6438, 0.011, 0.306, 0.295, 0.318, 0.99, 0.0097, 0.0099),
        Slice(where_of(ios), 12854, 0.0102, 0.159, 0.153, 0.165, 1.0, 0.0098, 0.0098),
        Slice(where_of(mobile), 43023, 0.0101, 0.054, 0.052, 0.056, 0.99, 0.0099, 0.0102),
        Slice(where_of(ios | {"context.country": "US"}), 5148, 0.0092, 0.16, 0.15, 0.17, 0.41, 0.0099, 0.024),
        Slice(where_of(ios | {"context.tier": "pro"}), 4344, 0.0104, 0.169, 0.158, 0.18, 0.36, 0.0098, 0.0249),
    )


def shapes() -> tuple[Shape, ...]:
    """A skewed latency that got slower, a flat count that moved up, and a category."""
    edges = tuple(f"{i * 400}" for i in range(30))
    before = [math.exp(-(((i - 3) / 1.8) ** 2)) for i in range(30)]
    after = [math.exp(-((math.log((i + 1) / 9) / 0.6) ** 2)) for i in range(30)]
    return (
        Shape("spans.total", edges, _shares(before), _shares(after)),
        Shape("usage.tokens", edges[:24], _shares([1.0] * 9 + [0.01] * 15), _shares([0.01] * 5 + [1.0] * 19)),
        Shape("inputs.currency", ("EUR", "USD", "null"), (0.7, 0.28, 0.02), (0.4, 0.28, 0.32)),
    )


def _shares(values: list[float]) -> tuple[float, ...]:
    return tuple(v / sum(values) for v in values)


def finding() -> Finding:
    """A scaling fault of one step on one channel, with every kind of evidence."""
    return Finding(
        rank=1, layer="features", component="steps.normalize.fare", where=where_of({"context.channel": "ios"}),
        since=ONSET, confidence=0.99, harmful=True,
        harm={"decisions_flipped": 0.18, "share_of_traffic": 0.21, "auc_before": 0.81, "auc_after": 0.74},
        what="values are 100 times smaller than golden's code makes of the same inputs",
        evidence=(
            Evidence(
                "exact", "412 of 412 replayed predictions differ at step 2 of 4; every input before it is equal",
                {"replayed": 412, "differ": 412},
            ),
            Evidence(
                "residual", "fare given raw fare: shift of 4.61 in log units; 0.00 for every other channel",
                {"shift": 4.61, "rest": 0.0},
            ),
            Evidence("identity", "code of `normalize` changed: 91ab to 3f2c", {"before": "91ab", "after": "3f2c"}),
        ),
        events=(
            NearEvent(ONSET - timedelta(minutes=8), "deploy", "3f2c91", 480),
            NearEvent(ONSET + timedelta(hours=3), "flag", "new-onboarding", -10800),
        ),
        victims=("outputs.score", "decision"),
        next="whimbrel replay 019a-77 --pipeline app.train:pipeline",
        measure="share of rows that break the relation",
        series=series(), slices=slices(), shapes=shapes(),
        examples=tuple(
            {
                "id": f"019a-{i:02d}", "ts": ONSET + timedelta(minutes=i), "inputs.fare": 24.5 + i,
                "steps.normalize.fare": (24.5 + i) / 4600, "decision": "deny",
            }
            for i in range(5)
        ),
    )  # fmt: skip


def fault() -> Report:
    """A harmful finding with a minor one beside it."""
    slower = tuple(replace(p, value=p.value * 1e4, low=p.low * 1e4, high=p.high * 1e4) for p in series())
    minor = Finding(
        rank=2, layer="serving", component="spans.lookup", where=(), since=ONSET + timedelta(hours=2), confidence=0.8,
        harmful=False, harm={"p95_ms_before": 80.0, "p95_ms_after": 96.0}, what="takes 1.2 times as long as in golden",
        evidence=(Evidence("marginal", "self time moved by 0.2 of golden's spread", {"ratio": 1.2}),),
        measure="median milliseconds", series=slower,
    )  # fmt: skip
    where = where_of({"context.country": "US", "context.device": "mobile"})
    return Report(
        app="fares",
        window=Span(ONSET - timedelta(hours=5), ONSET + timedelta(hours=19), 48211, where),
        golden=Span(START, START + timedelta(days=10), 301877, name="november"),
        verdict="fault",
        sentence="FAULT in features: step `normalize` returns `fare` 100 times too small for channel=ios, "
        "since 2026-11-19 14:05 (first prediction 019a-00), 8 min after deploy 3f2c91.",
        findings=(finding(), minor),
        traffic=(Traffic("context.country: BR grew from 2% to 9%", ("inputs.fare", "inputs.distance")),),
        cleared=("data", "model", "decision", "labels", "hardware"),
        cannot_tell=(CannotTell("training", "a recorded training run of model v8"),),
        notes=("60,000 of 301,877 golden rows were read for residuals",),
        took_s=3.1,
    )  # fmt: skip


def notice() -> Report:
    """One true but harmless finding."""
    one = replace(finding(), harmful=False, harm={}, series=(), slices=(), shapes=(), examples=(), confidence=0.7)
    sentence = "NOTICE in features: `steps.normalize.fare` is rounded to two digits."
    return replace(fault(), verdict="notice", sentence=sentence, findings=(replace(one, events=()),), traffic=())


def healthy() -> Report:
    """Nothing found; the world moved."""
    return replace(
        fault(), verdict="healthy", findings=(), cannot_tell=(), notes=(),
        sentence="HEALTHY: 48,211 predictions of fares behave as in november; what moved is traffic.",
    )  # fmt: skip


def insufficient() -> Report:
    """Too little to answer."""
    needs = "at least 200 predictions in the window"
    return Report(
        "fares", Span(None, None, 7), Span(None, None, 0), "insufficient",
        "CANNOT TELL: the window holds 7 predictions and golden none.",
        cannot_tell=tuple(CannotTell(layer, needs) for layer in ("data", "features", "model")),
    )  # fmt: skip


def hostile() -> Report:
    """Markup, escape sequences, bidi and control characters, half a surrogate pair, in every text there is."""
    text = HOSTILE
    where = (Condition(f"context.{text}", text), Condition(text, text, "!="))
    one = Finding(
        1, text, text, where, ONSET, 0.9, True, {text: 1.0, f"{text}_before": 0.1, f"{text}_after": 0.2}, text,
        (Evidence(text, text, {text: text, "n": 1}),),  # type: ignore[arg-type]
        (NearEvent(ONSET, text, text, 60),), (text, text), text, text,
        series()[:4], tuple(replace(s, where=where) for s in slices()),
        (Shape(text, (text, text), (0.5, 0.5), (0.1, 0.9)),), ({"id": text, text: text, "ts": ONSET},),
    )  # fmt: skip
    return Report(
        text, Span(START, ONSET, 1, where, text), Span(START, ONSET, 1, (), text), "fault", f"FAULT in {text}: {text}",
        (one, replace(one, rank=2)), (Traffic(text, (text,)),), (text,), (CannotTell(text, text),), (text,), 1.0,
    )  # fmt: skip


def extreme() -> Report:
    """NaN, infinities, huge and tiny numbers, one point, equal points, the ends of the calendar."""
    nan, inf = math.nan, math.inf
    moments = [datetime(1, 1, 1, tzinfo=UTC), ONSET, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)]
    values = [(nan, nan, nan), (inf, -inf, inf), (1.7e308, -1.7e308, 1.7e308), (-1.7e308, nan, 0.0), (5e-324, 0.0, 0.0)]
    points = tuple(Point(ts, *v, 0) for ts in moments for v in values)
    one = replace(
        finding(), harm={"decisions_flipped": nan, "x_before": -inf, "x_after": 1e300, "ms": 5e-324}, confidence=nan,
        slices=tuple(Slice((), 0, *v, nan, inf, -1e308, nan) for v in values),
        shapes=(
            Shape("inputs.w", (), (), ()), Shape("inputs.x", ("a",), (nan,), (inf,)),
            Shape("inputs.y", ("a", "b"), (0.0, 0.0), (0.0, 0.0)), Shape("inputs.z", ("a",), (1.0,), (0.0,)),
        ),
        evidence=(Evidence("marginal", "nothing finite", {"a": nan, "b": inf, "c": -inf, "d": 1e308, "e": 2**70}),),
        examples=({"id": "1", "inputs.x": nan, "inputs.y": inf, "inputs.z": [1, None, nan], "inputs.b": True},),
    )  # fmt: skip
    chosen = [points, points[10:11], points[7:8], points[:0], (points[5], points[8])]
    return replace(fault(), findings=tuple(replace(one, rank=i, series=s) for i, s in enumerate(chosen, 1)), took_s=0.0)


def many(n: int = 500) -> Report:
    """Far more findings than anyone reads."""
    return replace(fault(), findings=tuple(replace(finding(), rank=i + 1) for i in range(n)))
