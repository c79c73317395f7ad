"""Planted faults are where and how they are said to be, and what is not planted stays as it was."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from whimbrel.drill.apps import NAMES, subject
from whimbrel.drill.case import Asked, Drawn, Truth, case, columns
from whimbrel.drill.columns import Columns, length, take
from whimbrel.drill.faults import BANDS, Planted
from whimbrel.drill.records import served
from whimbrel.errors import UsageError
from whimbrel.model.report import LAYERS

DAY, DAYS = date(2013, 6, 11), 3


def planted(cache: Path, fault: str, **asked: object) -> tuple[Drawn, Drawn]:
    """A case, and the same window with nothing planted."""
    given = replace(Asked(fault, day=DAY, days=DAYS, seed=4, golden_days=2), **asked)  # type: ignore[arg-type]
    return columns(given, cache), columns(replace(given, fault="none"), cache)


def differs(a: Columns, b: Columns, path: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    left, right = a[path], b[path]
    return np.asarray(~((left == right) | ((left != left) & (right != right))))


def inside(window: Columns, truth: Truth) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    assert truth.since is not None
    rows = window["ts"] >= truth.since.timestamp()
    for path, value in truth.where.items():
        rows &= window[path] == value
    return np.asarray(rows)


LISTED = [
    "D02", "D03", "D05", "D07", "D14", "D16", "D17", "F02", "F03", "F06", "F12", "F13", "P01", "M01", "M03", "M07",
    "O01", "O06", "E02", "L01", "L02", "R01", "R05", "I01", "I02", "I08", "H01", "H05", "T02", "T06", "K01",
]  # fmt: skip
"""The faults that every catalogue together must hold at the least."""


def test_the_catalogues_have_the_listed_faults_and_thirty_more() -> None:
    kinds = {kind for name in NAMES for kind in subject(name).kinds}
    assert kinds >= set(LISTED)
    assert len(kinds) >= len(LISTED) + 30
    assert {fault.layer for name in NAMES for fault in subject(name).faults} == set(LAYERS)


@pytest.mark.parametrize("name", NAMES)
def test_a_catalogue_names_each_fault_once(name: str) -> None:
    faults = subject(name).faults
    assert len({fault.id for fault in faults}) == len(faults) >= 50


def _cases() -> list[tuple[str, str]]:
    """Each kind of fault in two of the apps that know it, in turn; WHIMBREL_SOAK=full (`make soak`) plants it in all of them."""
    knows: dict[str, list[tuple[str, str]]] = {}
    for name in NAMES:
        for fault in {f.kind: f for f in subject(name).faults}.values():
            knows.setdefault(fault.kind, []).append((name, fault.id))
    if os.environ.get("WHIMBREL_SOAK") == "full":
        return [case for cases in knows.values() for case in cases]
    turned = (cases[i % len(cases) :] + cases[: i % len(cases)] for i, cases in enumerate(knows.values()))
    return sorted(case for cases in turned for case in cases[:2])


@pytest.mark.parametrize(("app", "kind"), _cases())
def test_a_fault_hits_its_slice_from_its_onset_and_nothing_else(cache: Path, app: str, kind: str) -> None:
    first = subject(app).first + timedelta(days=30)
    case, clean = planted(cache, kind, app=app, day=first, days=1, golden_days=1)
    truth = case.truth
    if truth.layer == "recorder":
        assert length(case.window) < length(clean.window)
        clean.window.update(take(clean.window, np.isin(clean.window["id"], case.window["id"])))
    hit = inside(clean.window, truth)
    assert hit.any()
    assert list(case.window["id"]) == list(clean.window["id"])
    unlike = ("label", "label_ts") if case.asked_on != clean.asked_on else ()
    for path in (path for path in clean.window if path not in unlike):
        assert not differs(case.window, clean.window, path)[~hit].any(), path
    touched = {path for path in clean.window if differs(case.window, clean.window, path).any()}
    assert touched or truth.effect == 0


@pytest.mark.parametrize(("fault", "severity"), [
    ("D02/sched_hour", "subtle"), ("D05/carrier", "medium"), ("D16/origin", "loud"), ("F12", "medium"),
    ("P01", "loud"), ("M07", "subtle"), ("O01/lower", "medium"), ("H05", "medium"),
])  # fmt: skip
def test_severity_is_the_share_of_all_decisions_that_flip(cache: Path, fault: str, severity: str) -> None:
    case, clean = planted(cache, fault, severity=severity)
    assert case.truth.since is not None
    after = clean.window["ts"] >= case.truth.since.timestamp()
    flipped = float(differs(case.window, clean.window, "decision")[after].mean())
    low, high = BANDS["flips"][severity]
    assert case.truth.severity == severity
    assert case.truth.effect == pytest.approx(flipped)
    assert low <= flipped < high


@pytest.mark.parametrize(("fault", "severity"), [("I01/weather", "subtle"), ("I02", "medium"), ("H01", "loud")])
def test_severity_of_a_slow_part_is_how_much_longer_the_slowest_take(cache: Path, fault: str, severity: str) -> None:
    case, clean = planted(cache, fault, severity=severity)
    assert case.truth.since is not None
    after = clean.window["ts"] >= case.truth.since.timestamp()
    slower = (
        np.quantile(case.window["spans.total"][after], 0.95) / np.quantile(clean.window["spans.total"][after], 0.95) - 1
    )
    low, high = BANDS["p95"][severity]
    assert low <= slower < high
    assert case.truth.effect == pytest.approx(slower)


def test_what_is_downstream_inherits_the_fault(cache: Path) -> None:
    case, clean = planted(cache, "D02/distance", where={})
    rows = inside(clean.window, case.truth)
    ratio = case.window["inputs.distance"][rows] / clean.window["inputs.distance"][rows]
    np.testing.assert_allclose(ratio, 1.609344, rtol=1e-6)
    for path in ("steps.impute.distance", "steps.scale.distance"):
        assert differs(case.window, clean.window, path)[rows].all()
    assert differs(case.window, clean.window, "outputs.score")[rows].mean() > 0.5
    assert 0 < differs(case.window, clean.window, "decision").mean() < 0.2
    assert not differs(case.window, clean.window, "steps.encode.dest").any()


def test_a_stale_feature_store_serves_the_values_of_then(cache: Path) -> None:
    case, clean = planted(cache, "F12", where={}, severity="loud")
    rows = inside(clean.window, case.truth)
    older = case.window["age.carrier_delay"][rows] - clean.window["age.carrier_delay"][rows]
    np.testing.assert_allclose(older, 3600 * case.truth.strength)
    assert not differs(case.window, clean.window, "code.history").any()


def test_time_outs_are_as_many_as_defaults(cache: Path) -> None:
    case, clean = planted(cache, "F13", where={"context.origin": "JFK"}, severity="subtle")
    rows = inside(clean.window, case.truth)
    late = case.window["spans.weather"][rows] > 200
    assert late.mean() == pytest.approx(case.truth.strength, abs=0.1)
    np.testing.assert_array_equal(case.window["steps.weather.temp"][rows][late], 55.0)
    assert not (case.window["spans.weather"][~rows] > 200).any()


def test_an_early_return_is_faster_and_leaves_no_span(cache: Path) -> None:
    case, clean = planted(cache, "I08", where={}, severity="loud")
    skipped = np.isnan(case.window["spans.weather"])
    assert skipped.any()
    assert case.window["spans.total"][skipped].mean() < clean.window["spans.total"][skipped].mean() - 5
    assert np.isnan(case.window["steps.weather.temp"][skipped]).all()


def test_a_fallback_answers_as_often_as_there_are_errors(cache: Path) -> None:
    case, clean = planted(cache, "O06", where={"context.tenant": "atlas"}, severity="subtle")
    rows = inside(clean.window, case.truth)
    failed = case.window["error"] == "RulesTimeout"
    assert failed[rows].mean() == pytest.approx(case.truth.strength, abs=0.1)
    assert set(case.window["decision"][failed]) == {"keep"}
    assert not differs(case.window, clean.window, "outputs.score").any()


def test_a_code_book_that_was_renumbered_keeps_its_domain(cache: Path) -> None:
    case, clean = planted(cache, "D17/carrier", where={})
    rows = inside(clean.window, case.truth)
    assert set(case.window["inputs.carrier"][rows]) <= set(clean.window["inputs.carrier"])
    assert differs(case.window, clean.window, "inputs.carrier")[rows].all()


def test_a_column_that_became_text_is_text_in_the_table_and_missing_for_the_app(cache: Path) -> None:
    golden, window, _, truth = case(Asked("D14/distance", day=DAY, days=1, golden_days=1, seed=1), cache)
    assert truth.where == {}
    assert pa.table(golden).schema.field("inputs.distance").type == pa.float64()
    assert pa.table(window).schema.field("inputs.distance").type == pa.string()
    assert pa.table(window)["inputs.distance"][0].as_py().isdigit()
    assert len(pa.table(window)["steps.impute.distance"].unique()) == 1


def test_a_recorder_that_drops_leaves_gaps_and_says_how_many(cache: Path) -> None:
    case, clean = planted(cache, "K01", severity="medium")
    host = case.truth.where["hardware.host"]
    rows = case.window["hardware.host"] == host
    lost = (clean.window["hardware.host"] == host).sum() - rows.sum()
    assert lost > 0
    assert case.window["recorder.dropped"][rows].max() in (lost, lost - 1)
    assert np.diff(case.window["recorder.seq"][rows]).max() > 1
    assert np.diff(case.window["recorder.seq"][case.window["hardware.host"] != host]).max() > 0


def test_changed_code_may_show_in_its_fingerprint_or_not(cache: Path) -> None:
    seen = set()
    for seed in range(8):
        case = columns(Asked("F03/dest", where={}, day=DAY, days=1, golden_days=1, seed=2 * seed), cache)
        seen.add(len(set(case.golden["code.encode"]) | set(case.window["code.encode"])))
        assert len(set(case.window["code.scale"])) == 1
    assert seen == {1, 2}


def test_the_same_arguments_give_the_same_case(cache: Path) -> None:
    first, again, other = (columns(Asked("D05", seed=seed, golden_days=2), cache) for seed in (6, 6, 8))
    assert first.truth == again.truth
    assert first.events == again.events
    assert all(not differs(first.window, again.window, path).any() for path in first.window)
    assert (other.truth.since, other.truth.where) != (first.truth.since, first.truth.where)


@pytest.mark.parametrize(("asked", "what"), [
    ({"fault": "D99"}, "no fault 'D99'"),
    ({"fault": "D02", "severity": "huge"}, "no severity 'huge'"),
    ({"fault": "D02", "where": "three"}, "cannot read the slice"),
    ({"fault": "D02", "where": {"context.planet": "mars"}}, "no request has context.planet"),
    ({"fault": "D02", "where": {"context.origin": "LAX"}}, "cannot be planted"),
    ({"fault": "D02", "shape": "wave"}, "no shape 'wave'"),
    ({"fault": "none", "day": "2014-01-02"}, "no window of"),
    ({"fault": "D02", "app": "ships"}, "no app 'ships'"),
])  # fmt: skip
def test_what_cannot_be_planted_is_refused(cache: Path, asked: dict[str, object], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        columns(Asked(**{"days": 1, "day": DAY, "golden_days": 1, **asked}), cache)  # type: ignore[arg-type]


def test_a_ramp_hits_more_and_more_and_an_on_and_off_leaves_hours_in_peace(cache: Path) -> None:
    whole = {"fault": "D02/distance", "where": {}}
    (ramp, clean), (onoff, _), (step, _) = (planted(cache, **whole, shape=s) for s in ("ramp", "onoff", "step"))  # type: ignore[arg-type]
    hit = [differs(case.window, clean.window, "inputs.distance") for case in (ramp, onoff, step)]
    after = inside(clean.window, ramp.truth)
    n = int(after.sum())
    assert hit[2].sum() == inside(clean.window, step.truth).sum() >= n
    assert hit[0][after][: n // 4].mean() < 0.5 < 0.95 < hit[0][after][-n // 5 :].mean()
    parts = [part.mean() for part in np.array_split(hit[1][after], 24)]
    assert min(parts) == 0
    assert max(parts) == 1


def test_two_faults_at_once_are_both_there(cache: Path) -> None:
    both, clean = planted(cache, "D02/distance+O01/lower", where={})
    assert both.truth.layer == "data"
    assert both.truth.second is not None
    assert both.truth.second.layer == "decision"
    assert differs(both.window, clean.window, "inputs.distance").any()
    score, decided = both.window["outputs.score"], both.window["decision"]
    late = both.window["ts"] >= both.truth.second.since.timestamp()  # type: ignore[union-attr]
    assert score[late & (decided == "rebook")].min() < score[~late & (decided == "rebook")].min()


def test_a_pair_that_compensates_moves_the_score_and_hardly_the_rate_of_decisions(cache: Path) -> None:
    case, clean = planted(cache, "X01", where={})
    rows = inside(clean.window, case.truth)
    assert differs(case.window, clean.window, "outputs.score")[rows].mean() > 0.9
    assert ("decision", "decision") in case.truth.others


def test_a_harmless_fault_changes_no_decision(cache: Path) -> None:
    case, clean = planted(cache, "Z01/flight")
    assert case.truth.harmless
    assert differs(case.window, clean.window, "inputs.flight").any()
    assert not differs(case.window, clean.window, "decision").any()


def test_what_costs_next_to_nothing_and_decides_otherwise_is_not_harmless(cache: Path) -> None:
    """A fault measured by its cost that stays below any band there is as bad as the decisions that it flips."""
    app = subject("agent")
    fault = next(one for one in app.faults if one.kind == "T20")
    made = app.world(0, cache)
    requests = take(made.requests, np.arange(2_000))
    clean, everywhere = served(made.app, requests), np.ones(2_000, dtype=bool)
    planted = Planted(fault, 9, made)
    effect = planted.effect(clean, requests, everywhere)
    assert fault.band(effect) == ""
    assert planted.severity(effect, clean, requests, everywhere) == "subtle"
