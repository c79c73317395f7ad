"""One kind of request broke, and apps record some kinds as inputs: bookings by channel, room and plan, from customers who come again."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest

import whimbrel
from whimbrel.diagnose import kinds
from whimbrel.diagnose.case import build
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.report import Report
from whimbrel.model.rows import Categories, Column, Numbers, Rows

Break = Callable[[pd.DataFrame, np.ndarray], None]
PLANS = np.array(["P1", "P2", "P3", "P4", "P5"])
CHANNELS = ["web", "app", "phone", "desk"]


def _asked(n: int, days: float, start: float, seed: int) -> pd.DataFrame:
    """`n` bookings of six hundred customers, each with one plan for good."""
    rng = np.random.default_rng(seed)
    plans = PLANS[np.random.default_rng(1).choice(5, 600, p=[0.35, 0.25, 0.2, 0.12, 0.08])]
    day = start + np.sort(rng.random(n)) * days
    customer = rng.integers(0, 600, n)
    value = rng.normal(0, 1, n)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(day * 86400, unit="s"),
        "inputs.customer": [f"c{one:04d}" for one in customer], "inputs.channel": rng.choice(CHANNELS, n, p=[0.4, 0.3, 0.2, 0.1]),
        "inputs.plan": plans[customer], "inputs.guests": 1.0 + rng.binomial(3, 0.35, n), "inputs.value": value.round(3),
        "inputs.sky": np.array(["dry", "wet"])[(day * 24).astype(int) * 7919 % 11 % 2],
        "context.site": rng.choice(["north", "south", "west"], n),
    })  # fmt: skip
    table["label"] = (rng.random(n) < _score(table)).astype(float)
    return table


def _score(table: pd.DataFrame) -> pd.Series:
    said = (
        0.9 * table["inputs.value"]
        + 0.3 * (table["inputs.guests"] - 2)
        + 0.2 * table["inputs.plan"].str[1].astype(float)
    )
    return pd.Series((1 / (1 + np.exp(1.0 - said.to_numpy()))).round(6), index=table.index)


@cache
def _golden() -> pd.DataFrame:
    table = _asked(15_000, 9, 0, 2)
    return table.assign(**{"outputs.score": _score(table)})


def _judged(broken: Break) -> Report:
    """What is said of a day and a half after golden that broke after a third of it."""
    window = _asked(6_000, 1.5, 9, 3)
    broken(window, np.arange(len(window)) >= 2_000)
    return whimbrel.diagnose(_golden(), window.assign(**{"outputs.score": _score(window)}))


def _stuck(table: pd.DataFrame, since: np.ndarray) -> None:
    table.loc[since & (table["inputs.channel"] == "phone"), "inputs.guests"] = 1.0


def _renumbered(table: pd.DataFrame, since: np.ndarray) -> None:
    book = dict(zip(PLANS, ["P3", "P1", "P2", "P5", "P4"], strict=True))
    west = since & (table["context.site"] == "west")
    table.loc[west, "inputs.plan"] = table["inputs.plan"].map(book)[west]


def _unlabelled(share: float, slice_: str, value: str) -> Break:
    """Of those who said yes in one slice that share is said to have said no."""

    def broken(table: pd.DataFrame, since: np.ndarray) -> None:
        lost = np.random.default_rng(5).random(len(table)) < share
        table.loc[since & lost & (table[slice_] == value), "label"] = 0.0

    return broken


@pytest.mark.parametrize(
    ("broken", "verdict", "found"),
    [
        (lambda table, since: None, "healthy", None),
        (_stuck, "fault", ("inputs.guests", "inputs.channel=phone")),
        (_renumbered, "fault", ("inputs.plan", "context.site=west")),
        (_unlabelled(0.75, "inputs.channel", "app"), "fault", ("label", "inputs.channel=app")),
        (_unlabelled(0.6, "context.site", "west"), "fault", ("label", "context.site=west")),
    ],
)
def test_what_broke_for_one_kind_is_named_with_it(broken: Break, verdict: str, found: tuple[str, str] | None) -> None:
    report = _judged(broken)
    assert report.verdict == verdict, report.sentence
    assert [(f.component, *map(str, f.where)) for f in report.findings[:1]] == ([found] if found else [])


def _rows(table: pd.DataFrame) -> Rows:
    columns: dict[str, Column] = {}
    for name in table.columns.drop("ts"):
        if table[name].dtype.kind == "f":
            columns[name] = Numbers(table[name].to_numpy())
        else:
            codes, vocabulary = pd.factorize(table[name])
            columns[name] = Categories(codes.astype(np.int64), tuple(vocabulary))
    ts = table["ts"].to_numpy(dtype="datetime64[us]").astype(np.int64)
    return Rows(tuple(map(str, table.index)), ts, columns, len(table))


def test_kinds_are_what_is_asked_and_not_the_weather_nor_who_asks() -> None:
    """The sky is everybody's for an hour; customers are too many; a value that golden hardly had is none of them."""
    window = _asked(900, 1.5, 9, 3)
    window.loc[window.index[:40], "inputs.channel"] = "fax"
    golden, asked = _rows(_golden()), _rows(window.assign(**{"outputs.score": _score(window)}))
    schema = Schema.from_pairs(
        (n, Kind.NUMBER if isinstance(c, Numbers) else Kind.TEXT) for n, c in golden.columns.items()
    )
    found = {d.path: d.values for d in kinds.beside(build(golden, asked, schema)).dimensions}
    assert set(found) == {"context.site", "inputs.channel", "inputs.plan"}
    assert set(found["inputs.channel"]) == set(CHANNELS)


def test_a_rule_knows_the_few_whom_it_treats_otherwise() -> None:
    """One in two hundred is decided by another bound; a day that brings three times as many is no broken rule."""
    rng = np.random.default_rng(8)
    table = _asked(12_000, 12, 0, 4).drop(columns=["label"])
    table["outputs.score"] = _score(table)
    table["inputs.vip"] = (rng.random(len(table)) < np.where(np.arange(len(table)) < 9_000, 0.03, 0.1)).astype(float)
    table["decision"] = np.where(table["outputs.score"] > np.where(table["inputs.vip"] > 0, 0.45, 0.55), "yes", "no")
    report = whimbrel.diagnose(table[:9_000], table[9_000:])
    assert report.verdict == "healthy", report.sentence
