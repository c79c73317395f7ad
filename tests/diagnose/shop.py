"""A small shop with a known pipeline, as `Rows`: what the unit tests of the diagnosis break in one place each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from whimbrel.diagnose import diagnose_rows
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.report import Report
from whimbrel.model.rows import Categories, Column, Numbers, Rows

HOUR_US = 3_600_000_000
START = 1_700_000_000_000_000 // HOUR_US * HOUR_US

SCHEMA = Schema.from_pairs([
    ("context.country", Kind.TEXT), ("context.device", Kind.TEXT), ("hardware.host", Kind.TEXT),
    ("inputs.price", Kind.NUMBER), ("inputs.weight", Kind.NUMBER), ("inputs.colour", Kind.TEXT),
    ("steps.scale.price", Kind.NUMBER), ("steps.code.colour", Kind.NUMBER), ("code.scale", Kind.TEXT),
    ("model.version", Kind.TEXT), ("outputs.score", Kind.NUMBER), ("decision", Kind.TEXT), ("label", Kind.NUMBER),
    ("spans.scale", Kind.NUMBER), ("spans.model", Kind.NUMBER), ("spans.total", Kind.NUMBER),
])  # fmt: skip

Cells = dict[str, np.ndarray]
Break = Callable[[Cells, np.ndarray], None]


def cells(n: int, seed: int, *, hours: float, start_hour: float) -> Cells:
    """`n` clean predictions, raw values only, spread over `hours`."""
    rng = np.random.default_rng(seed)
    return {
        "ts": np.sort(START + ((start_hour + rng.random(n) * hours) * HOUR_US).astype(np.int64)),
        "context.country": rng.choice(["AT", "DE", "US", "JP"], n, p=[0.1, 0.4, 0.4, 0.1]),
        "context.device": rng.choice(["phone", "desk"], n, p=[0.6, 0.4]),
        "hardware.host": rng.choice(["h1", "h2", "h3"], n),
        "inputs.price": np.round(np.exp(rng.normal(3, 0.7, n)), 2),
        "inputs.weight": np.round(rng.gamma(3, 2.0, n), 3),
        "inputs.colour": rng.choice(["red", "green", "blue", "grey"], n, p=[0.4, 0.3, 0.2, 0.1]),
        "noise": rng.random((3, n)),
    }


def serve(c: Cells, hit: np.ndarray, *, step: Break | None = None, after: Break | None = None) -> Cells:
    """Run the pipeline; `step` may break the steps, `after` anything after the model."""
    n = len(c["ts"])
    c["steps.scale.price"] = (np.log1p(np.abs(c["inputs.price"])) - 3.0) / 0.7
    c["steps.code.colour"] = np.select(
        [c["inputs.colour"] == v for v in ("red", "green", "blue", "grey")], [0.0, 1, 2, 3], -1.0
    )
    c["code.scale"] = np.full(n, "aaaa")
    if step:
        step(c, hit)
    logit = 1.2 * c["steps.scale.price"] - 0.15 * c["inputs.weight"] + 0.4 * (c["steps.code.colour"] == 0)
    c["outputs.score"] = 1 / (1 + np.exp(-logit))
    c["model.version"] = np.full(n, "v1")
    c["spans.scale"], c["spans.model"] = (np.exp(0.3 * np.sqrt(-2 * np.log(u + 1e-12))) for u in c["noise"][:2])
    if after:
        after(c, hit)
    c["decision"] = c.get("decision", np.where(c["outputs.score"] > 0.5, "sell", "keep"))
    c["spans.total"] = c["spans.scale"] + c["spans.model"]
    c["label"] = (c["noise"][2] < 1 / (1 + np.exp(-logit))).astype(float)
    return c


def rows(c: Cells, prefix: str) -> Rows:
    """The cells as what an engine hands out."""
    columns: dict[str, Column] = {}
    for field in SCHEMA:
        values = c[field.path]
        if field.kind is Kind.NUMBER:
            columns[field.path] = Numbers(values.astype(float))
            continue
        vocabulary, codes = np.unique(np.where(values == None, "", values.astype(str)), return_inverse=True)  # noqa: E711
        codes = np.where(vocabulary[codes] == "", -1, codes)
        columns[field.path] = Categories(codes.astype(np.int64), tuple(map(str, vocabulary)))
    n = len(c["ts"])
    return Rows(tuple(f"{prefix}{i}" for i in range(n)), c["ts"], columns, n)


def report(
    *, raw: Break | None = None, step: Break | None = None, after: Break | None = None, n: int = 6_000,
    where: tuple[str, str] | None = None, onset: float = 0.4, seed: int = 0,
) -> Report:  # fmt: skip
    """Golden of ten days against a window of one, broken from `onset` (a share of the window) on, in one slice or everywhere."""
    golden = cells(20_000, seed, hours=240, start_hour=0)
    window = cells(n, seed + 1, hours=24, start_hour=240)
    hit = np.arange(n) >= onset * n
    if where:
        hit &= window[where[0]] == where[1]
    if raw:
        raw(window, hit)
    golden = serve(golden, np.zeros(20_000, dtype=bool))
    window = serve(window, hit, step=step, after=after)
    return diagnose_rows(rows(golden, "g"), rows(window, "w"), SCHEMA, app="shop")
