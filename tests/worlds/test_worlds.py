"""The exam itself is honest: faults are really planted where the truth says, and clean cases are clean."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from .apps import NAMES, app
from .cases import BANDS, Case, kinds_of, make
from .exam import draw, named
from .fault import FAULTS
from .natures import KINDS
from .ops import num
from .world import Array

PLANTED = [
    ("loanbook", "D02"),
    ("loanbook", "D05b"),
    ("loanbook", "F20"),
    ("loanbook", "M07"),
    ("loanbook", "O01"),
    ("adrank", "F12"),
    ("adrank", "F13"),
    ("adrank", "I01"),
    ("adrank", "H05"),
    ("adrank", "M10"),
    ("adrank", "L01"),
    ("adrank", "K01"),
    ("leadscore", "D03"),
    ("leadscore", "O11"),
    ("helpdesk_bot", "T02"),
    ("helpdesk_bot", "T12"),
]


def changed(made: Case) -> Array:
    """Rows of the window in which any visible column differs from the clean twin."""
    out = np.zeros(len(made.mask), dtype=bool)
    for path, after in made.broken.items():
        before = made.clean.get(path)
        if path.startswith(("_", "code.", "id")) or path == "ts" or before is None or len(before) != len(out):
            continue
        if before.dtype.kind in "fiub" and after.dtype.kind in "fiub":
            one, two = before.astype(float), after.astype(float)
            out |= (one != two) & ~(np.isnan(one) & np.isnan(two))
        else:
            out |= np.asarray([x != y and not (x is None and y is None) for x, y in zip(before, after, strict=True)])
    return out


@pytest.mark.parametrize(("name", "kind"), PLANTED)
def test_a_fault_bites_in_its_band_and_nowhere_but_in_its_slice_after_its_onset(name: str, kind: str) -> None:
    made = make(name, kind, 11)
    truth, window = made.truth, made.window
    low, high = BANDS[truth.measure]["medium"]
    assert low <= truth.effect <= high
    hit = changed(made)
    if kind == "K01":  # drops are counted on the next row that was kept
        assert made.broken["recorder.dropped"].sum() > 0
        return
    assert hit.any()
    assert not (hit & ~made.mask).any()
    for path, value in truth.where:
        assert (window.loc[hit, path] == value).all()
    assert truth.since is not None
    assert made.clean["ts"][hit].min() >= truth.since.value // 1000


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_nature_does_every_step_and_score_still_follows_from_its_inputs(kind: str) -> None:
    name = {
        "storm": "gridload",
        "season": "gridload",
        "autoscale": "adrank",
        "immature": "adrank",
        "release": "adrank",
        "trial": "adrank",
    }.get(kind, "loanbook")
    made = make(name, kind, 3)
    a, c = app(name), made.broken
    for op in a.ops:
        if op.kind != "store":
            np.testing.assert_array_equal(num(op(c)), num(c[op.out]), err_msg=op.out)
    again = dict(c)
    a.predict(again)
    fine = ~np.isnan(num(c[a.score_path]))
    assert fine.mean() > 0.98
    np.testing.assert_allclose(num(again[a.score_path])[fine], num(c[a.score_path])[fine])
    assert "fault" not in made.truth.verdicts


def test_nature_really_does_what_it_says() -> None:
    before, after = (make("loanbook", k, 8) for k in ("calm", "tiny"))
    assert len(after.window) < 200 < len(before.window)
    made = make("gridload", "storm", 8)
    assert made.window["inputs.wind"].max() > made.golden["inputs.wind"].max()
    made = make("adrank", "autoscale", 8)
    assert set(made.window["hardware.host"]) > set(made.golden["hardware.host"])
    made = make("adrank", "immature", 8)
    assert made.window["label"].notna().mean() < made.golden["label"].notna().mean()
    made = make("loanbook", "recode", 8)
    codes = [p for p in map(str, made.window) if p.startswith("code.") and set(made.window[p]) != set(made.golden[p])]
    assert len(codes) == 1


def test_a_planned_release_is_as_good_and_a_bad_one_is_worse() -> None:
    from sklearn.metrics import roc_auc_score

    a = app("adrank")
    c, _ = a.training()
    x, y = a.matrix(c), c["_y"]
    auc = {which: roc_auc_score(y, model.raw(x)) for which, model in a.fitted().items()}
    assert auc["newer"] > auc["current"] - 0.01
    assert auc["worse"] < auc["current"] - 0.02


def test_a_seed_gives_the_same_case_every_time() -> None:
    one, two = make("leadscore", "D02", 5), make("leadscore", "D02", 5)
    assert one.truth == two.truth
    assert one.window.equals(two.window)
    assert not make("leadscore", "D02", 6).window.equals(one.window)


def test_every_fault_and_every_natural_change_has_an_app_that_shows_it() -> None:
    shown = [kinds_of(name) for name in NAMES]
    assert set(FAULTS) == {k for faults, _ in shown for k in faults}
    assert set(KINDS) == {k for _, natural in shown for k in natural}
    tasks = draw(60, 1, "", "medium")
    assert len({t[1] for t in tasks}) > 40


def test_a_component_is_right_when_it_equals_or_contains_the_planted_one() -> None:
    truth = make("loanbook", "F20", 2).truth
    assert named(truth.component, truth)
    assert named(truth.component.rsplit(".", 1)[0], truth)
    assert not named("outputs.score", truth)
    assert not named(truth.component + "x", truth)
