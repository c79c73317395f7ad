"""What moves numbers and breaks nothing: no step, model, decision or label answers otherwise than it would have."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from whimbrel.drill.apps.flights import UNTOUCHED
from whimbrel.drill.case import Asked, columns
from whimbrel.drill.columns import Columns
from whimbrel.drill.natural import CHANGES

DAY = date(2013, 5, 14)


def window(cache: Path, name: str) -> Columns:
    case = columns(Asked(name, day=DAY, days=2, golden_days=1, seed=2), cache)
    assert case.truth.layer == ""
    return case.window


def test_a_harmless_deploy_changes_a_fingerprint_and_no_answer(cache: Path) -> None:
    usual, deployed = window(cache, "none"), window(cache, "none/deploy")
    changed = {
        path
        for path in usual
        if any(a != b and not (a != a and b != b) for a, b in zip(usual[path], deployed[path], strict=True))
    }
    assert len(changed) == 1
    assert changed.pop().startswith("code.")


def test_a_new_release_is_as_good_as_the_old(cache: Path) -> None:
    from sklearn.metrics import roc_auc_score

    def auc(name: str) -> float:
        rows = columns(Asked(name, day=DAY, days=7, golden_days=1, seed=2), cache).window
        known = ~np.isnan(rows["label"])
        return float(roc_auc_score(rows["label"][known], rows["outputs.score"][known]))

    assert auc("none/release") == pytest.approx(auc("none"), abs=0.02)
    assert set(window(cache, "none/release")["model.version"]) == {"7", "8"}


@pytest.mark.parametrize("name", ["none/mix", "none/campaign", "none/growth", "none/slump", "none/night"])
def test_more_or_fewer_requests_leave_no_gap_in_the_recorders_count(cache: Path, name: str) -> None:
    usual, moved = window(cache, "none"), window(cache, name)
    assert len(moved["id"]) != len(usual["id"])
    assert len(set(moved["id"])) == len(moved["id"])
    for host in set(moved["hardware.host"]):
        assert (np.diff(moved["recorder.seq"][moved["hardware.host"] == host]) == 1).all()
    assert (np.diff(moved["ts"]) >= 0).all()


@pytest.mark.parametrize("name", ["none/mix", "none/slump"])
def test_where_requests_stay_away_those_that_come_wait_less(cache: Path, name: str) -> None:
    usual, fewer = window(cache, "none"), window(cache, name)
    waited = dict(zip(usual["id"], usual["spans.queue"], strict=True))
    before = np.array([waited[ident] for ident in fewer["id"]])
    assert (fewer["spans.queue"] <= before).all()
    assert fewer["spans.queue"].mean() < 0.9 * before.mean()


def test_a_channel_comes_and_another_goes(cache: Path) -> None:
    assert "kiosk" in window(cache, "none/newcomer")["context.channel"]
    retired = window(cache, "none/retired")["context.channel"]
    assert "desk" in retired[:500]
    assert "desk" not in retired[-500:]


def test_untouched_windows_are_spread_over_the_year_and_of_every_sort() -> None:
    assert len(UNTOUCHED) >= 20
    assert {name for name, _, _ in UNTOUCHED} <= set(CHANGES)
    assert len(CHANGES) >= 16
    assert len({day.month for _, day, _ in UNTOUCHED}) == 11


def test_a_trial_has_two_arms_and_an_effect_in_one_of_them(cache: Path) -> None:
    tried, usual = window(cache, "none/trial"), window(cache, "none")
    bold = tried["model.variant"] == "bold"
    assert 0.1 < bold.mean() < 0.55
    assert (tried["decision"][bold] == "rebook").mean() > (usual["decision"][bold] == "rebook").mean()
    assert (tried["decision"][~bold] == usual["decision"][~bold]).all()


@pytest.mark.parametrize(("name", "fresh"), [("none/autoscaled", {"edge-5", "edge-6"}), ("none/replaced", set())])
def test_new_hosts_count_from_one(cache: Path, name: str, fresh: set[str]) -> None:
    moved, usual = window(cache, name), window(cache, "none")
    new = set(moved["hardware.host"]) - set(usual["hardware.host"])
    assert new >= fresh
    assert len(new) >= 1
    for host in new:
        rows = moved["hardware.host"] == host
        assert moved["recorder.seq"][rows].tolist() == list(range(1, rows.sum() + 1))
    assert (moved["decision"] == usual["decision"]).all()


def test_a_tiny_window_is_tiny(cache: Path) -> None:
    assert len(window(cache, "none/tiny")["id"]) == 80
