"""Titles that come again and again are texts all the same: what a step reads off them follows where they arrive otherwise."""

from __future__ import annotations

import html
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

import whimbrel
from whimbrel.diagnose import case
from whimbrel.diagnose.case import Variable
from whimbrel.model.fields import Field, Kind

DAYS, WINDOW, A_DAY = 8, 2, 1_700
QUOTED = '"for all"'
WHO = ("museum", "choir", "baker", "farmer", "library", "school")
DOES = ("opens", "looks for", "gives", "mends", "sells", "shows")
WHAT = ("old clocks", "books", "a tractor", "trees", "coats", "a stage")


def _notices(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Notices of a small town, some sixty titles a day, some marked urgent or with a quotation; late two quarters may send them escaped for the web."""
    rng = np.random.default_rng(17)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    late = hour >= began + 9
    quarter = rng.choice(["harbour", "hill", "mill", "old town"], n, p=[0.35, 0.3, 0.1, 0.25])
    at = (55 * (hour // 24) + rng.random(n) * 55).astype(int) + (200 * late if event == "new titles" else 0)
    several = [rng.choice(one, 1_000) for one in (WHO, DOES, WHAT)]
    titles = np.array([
        f"{a} {'NOW ' if i % 5 == 0 else ''}{b} {c} {QUOTED if i % 3 == 0 else 'in May'} no {i}"
        for i, (a, b, c) in enumerate(zip(*several, strict=True))
    ], dtype=object)  # fmt: skip
    sent = titles[at]
    web = late & (event == "escaped") & np.isin(quarter, ["hill", "mill"])
    sent[web] = [html.escape(one).replace("NOW", "<em>NOW</em>") for one in sent[web]]
    urgent = np.array([" NOW " in one for one in sent])
    quoted, words = np.array(['"' in one for one in sent]), np.array([len(one.split()) for one in sent])
    score = (1 / (1 + np.exp(1.5 - 2 * urgent - 0.8 * quoted - 0.05 * words + rng.normal(0, 0.6, n)))).round(4)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-04-06", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.quarter": quarter, "inputs.title": sent,
        "inputs.age_h": rng.gamma(2, 5, n).round(1), "steps.read.urgent": urgent.astype(int), "steps.read.quoted": quoted.astype(int),
        "steps.read.words": words, "outputs.score": score, "decision": np.where(score > 0.5, "push", "page"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "new titles", "escaped"])
def test_what_is_read_off_a_title_follows_it(event: str) -> None:
    report = whimbrel.diagnose(*_notices(event))
    assert (report.verdict == "fault") == (event == "escaped"), report.sentence
    if event == "escaped":
        assert [(one.layer, one.component) for one in report.findings] == [("data", "inputs.title")], report.sentence
        assert [str(c) for c in report.findings[0].where] == ["context.quarter|=hill|mill"], report.sentence


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([f"a short line of {k} plain words" for k in range(60)], True),
        ([f"Upper Station Road {k}" for k in range(60)], False),
        ([f"size {k}" for k in range(60)], False),
    ],
)
def test_short_lines_of_several_words_are_texts_however_often_they_come(values: list[str], text: bool) -> None:
    codes = np.arange(6_000) % len(values)
    line = Variable("inputs.line", Field("inputs.line", Kind.TEXT), codes=codes, vocabulary=tuple(values))
    assert cast("Any", case)._is_text(line) is text
