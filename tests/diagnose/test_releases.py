"""A release before its labels: one trained on other rows of the same world is as good, one that overstates or forgot is not."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from whimbrel.diagnose import releases
from whimbrel.diagnose.case import Variable
from whimbrel.diagnose.relations import Split
from whimbrel.diagnose.releases import distorts
from whimbrel.model.fields import Field, Kind
from whimbrel.model.rows import Floats
from whimbrel.stats.slope import slope

MAKERS: dict[str, Callable[[], object]] = {
    "logistic": lambda: LogisticRegression(),
    "trees": lambda: HistGradientBoostingClassifier(max_iter=60, random_state=0),
}


def world(seed: int, n: int) -> tuple[Floats, Floats]:
    """Six measurements, two of which matter together, and what came of them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    logit = 1.2 * x[:, 0] - x[:, 1] + 0.8 * x[:, 2] * x[:, 3]
    return x, (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float)


def margins(maker: str, seed: int, rows: int, at: Floats) -> Floats:
    x, y = world(seed, rows)
    model = MAKERS[maker]()
    model.fit(x, y)  # type: ignore[attr-defined]
    p = model.predict_proba(at)[:, 1]  # type: ignore[attr-defined]
    found: Floats = np.log(p / (1 - p))
    return found


@pytest.mark.parametrize("maker", list(MAKERS))
def test_a_release_as_good_is_told_from_one_that_overstates_and_one_that_forgot(maker: str) -> None:
    at = world(99, 400)[0]
    old, new = (1 / (1 + np.exp(-margins(maker, seed, 6000, at))) for seed in (1, 2))
    surer = 1 / (1 + np.exp(-2.0 * margins(maker, 1, 6000, at)))
    forgot = 0.5 + 0.3 * (old - 0.5) + 0.02 * np.random.default_rng(0).normal(size=400)
    told = [slope(old, scores) for scores in (new, surer, forgot)]
    assert all(one is not None for one in told)
    assert [distorts(one) for one in told if one is not None] == [False, True, True]


def test_few_predictions_prove_nothing() -> None:
    assert not distorts((1.3, 0.1))
    assert not distorts((0.4, 0.1))


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize(("more", "harms"), [(0.0, False), (0.05, False), (0.75, True)])
def test_scores_that_are_too_high_for_all_do_harm(
    more: float, harms: bool, labelled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release whose table had lost its noes: it ranks as well, and its loss hardly tells."""
    rng = np.random.default_rng(4)
    odds = rng.normal(-1.2, 0.5, 9_000)
    promised, score = 1 / (1 + np.exp(-odds)), 1 / (1 + np.exp(-odds - more))
    golden = np.arange(9_000) < 5_000
    score[golden] = promised[golden]
    label = (rng.random(9_000) < promised).astype(float) if labelled else np.full(9_000, np.nan)
    variables = {"label": Variable("label", Field("label", Kind.NUMBER), numbers=label)}
    case = cast("Any", SimpleNamespace(golden=golden, variables=variables))
    rows = np.arange(9_000)
    parts = Split(rows[:2_500], rows[2_500:5_000])
    cause = cast(
        "Any",
        SimpleNamespace(
            suspect=SimpleNamespace(affected=~golden, inside=np.ones_like(golden), where=(), hits=()),
            victims=(),
            witnesses=(),
        ),
    )
    monkeypatch.setattr(releases, "announced", lambda *_: True)
    monkeypatch.setattr(releases, "_scores", lambda *_: (score, promised + rng.normal(0, 0.002, 9_000)))
    assert releases.judged(case, parts, cause, {})[1] is harms


@pytest.mark.parametrize(("more", "harms"), [(0.0, False), (-0.6, True)])
def test_a_release_to_a_fifth_is_judged_by_what_that_one_answers(
    more: float, harms: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was trained on articles that were not sent back yet: too low for its fifth, while the old model's scores beside it are right."""
    rng = np.random.default_rng(4)
    rows = np.arange(9_000)
    golden, new = rows < 5_000, (rows >= 5_000) & (rows % 5 == 0)
    odds = rng.normal(0.0, 0.9, 9_000)
    promised, score = 1 / (1 + np.exp(-odds)), 1 / (1 + np.exp(-odds - more * new))
    version = Variable(
        "model.version", Field("model.version", Kind.TEXT), codes=new.astype(np.int64), vocabulary=("v7", "v8")
    )
    label = Variable("label", Field("label", Kind.NUMBER), numbers=(rng.random(9_000) < promised).astype(float))
    case = cast("Any", SimpleNamespace(golden=golden, variables={"model.version": version, "label": label}))
    suspect = SimpleNamespace(affected=~golden, inside=np.ones_like(golden), where=(), hits=())
    monkeypatch.setattr(releases, "announced", lambda *_: True)
    monkeypatch.setattr(releases, "_scores", lambda *_: (score, promised + rng.normal(0, 0.002, 9_000)))
    cause = cast("Any", SimpleNamespace(suspect=suspect, victims=(), witnesses=()))
    assert releases.judged(case, Split(rows[:2_500], rows[2_500:5_000]), cause, {})[1] is harms


@pytest.mark.parametrize(("events", "harms"), [((), False), (("a deploy of something else",), True)])
def test_silence_says_nothing_where_nothing_is_ever_announced(
    events: tuple[str, ...], harms: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model as good as the one before, which no event names: it came unasked where others were named."""
    rng = np.random.default_rng(4)
    promised = rng.random(9_000)
    golden = np.arange(9_000) < 5_000
    case = cast("Any", SimpleNamespace(golden=golden, variables={}, events=events))
    rows = np.arange(9_000)
    suspect = SimpleNamespace(affected=~golden, inside=np.ones_like(golden), where=(), hits=())
    monkeypatch.setattr(releases, "announced", lambda *_: False)
    monkeypatch.setattr(releases, "_scores", lambda *_: (promised + rng.normal(0, 0.01, 9_000), promised))
    judged = releases.judged(
        case,
        Split(rows[:2_500], rows[2_500:5_000]),
        cast("Any", SimpleNamespace(suspect=suspect, victims=(), witnesses=())),
        {},
    )
    assert judged[1] is harms


@pytest.mark.parametrize(
    ("begins", "known", "meant"), [(600, False, True), (800, False, False), (600, True, False), (500, False, False)]
)
def test_a_decision_that_changes_with_a_new_tag_was_meant(begins: int, known: bool, meant: bool) -> None:
    """From the tag's first row on and under it alone; not long after it, not before it, nor under a tag that golden had."""
    rows = np.arange(1_000)
    golden = rows < 400
    codes = (rows >= 600).astype(np.int64)
    codes[10] = int(known)
    tag = Variable("context.policy", Field("context.policy", Kind.TEXT), codes=codes, vocabulary=("p11", "p12"))
    case = cast("Any", SimpleNamespace(golden=golden, window=~golden, ts=rows))
    bad = (rows >= begins) & (rows % 10 == 3)
    assert releases._began_with(case, cast("Any", SimpleNamespace(bad=bad, shown=bad)), tag) is meant
    # Rare as it is, the onset may lie later: what shows it before counts as well.
    later = cast("Any", SimpleNamespace(bad=bad & (rows >= begins + 150), shown=bad))
    assert releases._began_with(case, later, tag) is meant
    never = cast("Any", SimpleNamespace(bad=bad & False, shown=bad & False))
    assert not releases._began_with(case, never, tag)


@pytest.mark.parametrize(("changed", "meant"), [(2, True), (6, False), (0, False)])
def test_a_few_other_entries_of_a_table_are_a_new_list(changed: int, meant: bool) -> None:
    """Two of eight articles come in other trays; where nearly all do, or each row has its own, the table is broken."""
    rng = np.random.default_rng(2)
    article = rng.integers(0, 8, 800)
    size = 6.0 * (article + 1)
    window = np.arange(800) >= 400
    now = (
        np.where(window & (article < changed), size + 4, size)
        if changed
        else np.where(window & (article < 2), rng.random(800), size)
    )
    variables = {
        "inputs.article": Variable(
            "inputs.article", Field("inputs.article", Kind.TEXT), codes=article, vocabulary=tuple(map(str, range(8)))
        ),
        "steps.catalog.tray": Variable("steps.catalog.tray", Field("steps.catalog.tray", Kind.NUMBER), numbers=now),
    }
    relation = SimpleNamespace(
        form="function", parents=("inputs.article",), target="steps.catalog.tray", surprise=(now != size).astype(float)
    )
    case = cast("Any", SimpleNamespace(variables=variables, window=window))
    suspect = SimpleNamespace(
        affected=window, hit=SimpleNamespace(channel=SimpleNamespace(detail={"relation": relation}))
    )
    assert releases._relisted(case, cast("Any", suspect)) is meant
