"""Another request's values: handed out one place off, kept by a log that lags a record behind, or joined by a wrong key."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from whimbrel.diagnose import diagnose_rows
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.report import Report
from whimbrel.model.rows import Categories, Column, Numbers, Rows

HOUR_US = 3_600_000_000
HOSTS = ("box-1", "box-2", "box-3")
SCHEMA = Schema.from_pairs([
    ("inputs.age", Kind.NUMBER), ("inputs.pulse", Kind.NUMBER), ("steps.ratio.index", Kind.NUMBER), ("steps.scale.age", Kind.NUMBER),
    ("outputs.score", Kind.NUMBER), ("decision", Kind.TEXT), ("hardware.host", Kind.TEXT),
])  # fmt: skip


def _rows(days: range, seed: int, wrong: str = "") -> Rows:
    """Patients; from the window's noon on, on one host, what `wrong` names is that of the patient before, or anybody's."""
    rng = np.random.default_rng(seed)
    n = 1_200 * len(days)
    ts = np.sort(rng.integers(days.start * 24 * HOUR_US, days.stop * 24 * HOUR_US, n))
    host = rng.integers(0, 3, n)
    age, pulse = rng.integers(18, 95, n).astype(float), rng.normal(85, 15, n).round()
    made = {"index": pulse / (age + 60), "scaled": (age - 52) / 21}
    made["score"] = 1 / (1 + np.exp(-(2.5 * made["index"] + 1.4 * made["scaled"] - 2)))
    line = np.flatnonzero((host == 1) & (ts >= (days.start * 24 + 12) * HOUR_US))
    for name in {"batch": ["score"], "log": list(made), "shuffled": ["score"], "dealt": ["score"]}.get(wrong, []):
        own = made[name][line]
        if wrong == "dealt":  # among eight that are answered together
            order = np.argsort(np.arange(line.size) // 8 + rng.random(line.size))
            made[name][line] = own[order]
            continue
        made[name][line] = rng.permutation(own) if wrong == "shuffled" else np.roll(own, 1)
    columns: dict[str, Column] = {
        "inputs.age": Numbers(age), "inputs.pulse": Numbers(pulse), "steps.ratio.index": Numbers(made["index"].round(4)),
        "steps.scale.age": Numbers(made["scaled"].round(4)), "outputs.score": Numbers(made["score"].round(5)),
        "decision": Categories((made["score"] > 0.6).astype(np.int64), ("wait", "now")), "hardware.host": Categories(host, HOSTS),
    }  # fmt: skip
    return Rows(tuple(f"{seed}-{i}" for i in range(n)), ts, columns, n)


def _asked(wrong: str) -> Report:
    return diagnose_rows(_rows(range(10), 2), _rows(range(10, 12), 3, wrong), SCHEMA, app="triage")


def test_a_decision_that_does_not_follow_from_the_answer_beside_it_was_written_down_wrongly() -> None:
    """Answers alone are another's, and what was decided is not what follows from them: each request had its own."""
    window = _rows(range(10, 12), 3, "batch")
    clean = _rows(range(10, 12), 3)
    kept = replace(window, columns={**window.columns, "decision": clean.columns["decision"]})
    assert _asked("batch").findings[0].layer == "serving"
    found = diagnose_rows(_rows(range(10), 2), kept, SCHEMA, app="triage").findings[0]
    assert (found.layer, found.component) == ("recorder", "recorder.record")


@pytest.mark.parametrize(("wrong", "layer", "component"), [
    ("batch", "serving", "outputs.score"), ("log", "recorder", "recorder.record"), ("shuffled", "hardware", "hardware.host"),
    ("dealt", "serving", "outputs.score"),
])  # fmt: skip
def test_whose_they_are_says_who_mixed_them_up(wrong: str, layer: str, component: str) -> None:
    """An answer alone is handed out wrongly; steps and answers are written down wrongly; anybody's come from a broken machine."""
    first = _asked(wrong).findings[0]
    assert (first.layer, first.component) == (layer, component)
    assert [(c.path, c.value) for c in first.where] == [("hardware.host", "box-2")]
    assert first.what.count("those of the request before it of the same host") == (wrong in ("batch", "log"))
    assert first.what.count("dealt out among requests next to each other of the same host") == (wrong == "dealt")


@pytest.mark.parametrize("whose", ["before", "own"])
def test_inputs_of_the_request_before_beside_its_own_answer_are_the_records(whose: str) -> None:
    """Half of what one host writes down bears the inputs of the request before it there; all that was made and decided is the request's own."""
    window, rng = _rows(range(10, 12), 3), np.random.default_rng(4)
    host = window.columns["hardware.host"]
    assert isinstance(host, Categories)
    line = np.flatnonzero((host.codes == 1) & (window.ts >= (10 * 24 + 12) * HOUR_US))
    at = np.flatnonzero(rng.random(line.size) < 0.5)[1:]
    for path in ("inputs.age", "inputs.pulse") if whose == "before" else ():
        column = window.columns[path]
        assert isinstance(column, Numbers)
        column.values[line[at]] = column.values[line[at - 1]]
    report = diagnose_rows(_rows(range(10), 2), window, SCHEMA, app="triage")
    assert (report.verdict == "fault") == (whose == "before"), report.sentence
    if whose == "before":
        first = report.findings[0]
        assert (first.layer, first.component) == ("recorder", "recorder.record"), report.sentence
        assert [str(c) for c in first.where] == ["hardware.host=box-2"], report.sentence
        assert "the inputs beside them are those of the request before it" in first.what


READINGS = Schema.from_pairs([
    ("inputs.speed", Kind.NUMBER), ("inputs.load", Kind.NUMBER), ("inputs.heat", Kind.NUMBER), ("outputs.wear", Kind.NUMBER), ("decision", Kind.TEXT),
])  # fmt: skip


def _readings(days: range, seed: int, wrong: str = "") -> Rows:
    """Machines whose heat goes with speed and load; from the window's noon on three in ten have somebody else's, or all have what `wrong` says."""
    rng = np.random.default_rng(seed)
    n = 1_200 * len(days)
    ts = np.sort(rng.integers(days.start * 24 * HOUR_US, days.stop * 24 * HOUR_US, n))
    speed, load = rng.gamma(6, 200, n).round(), rng.normal(50, 12, n).round(1)
    own = 0.012 * speed + 0.3 * load + 18
    noise = rng.normal(0, 1.2, n)
    late = ts >= (days.start * 24 + 12) * HOUR_US
    heat = own + noise
    if wrong == "dealt":
        dealt = np.flatnonzero(late & (rng.random(n) < 0.3))
        heat[dealt] = rng.choice(heat[late], dealt.size)
    elif wrong == "noisier":
        heat[late] = (own + 3 * noise)[late]
    elif wrong == "flatter":
        heat[late] = (own.mean() + 0.5 * (own - own.mean()) + noise)[late]
    elif wrong == "other machines":
        others = np.flatnonzero(late & (rng.random(n) < 0.3))
        heat[others] = rng.normal(own.mean(), 2 * own.std(), others.size)
    wear = 1 / (1 + np.exp(-(heat - 48) / 3))
    columns: dict[str, Column] = {
        "inputs.speed": Numbers(speed), "inputs.load": Numbers(load), "inputs.heat": Numbers(heat.round(2)),
        "outputs.wear": Numbers(wear.round(5)), "decision": Categories((wear > 0.5).astype(np.int64), ("run", "service")),
    }  # fmt: skip
    return Rows(tuple(f"{seed}-{i}" for i in range(n)), ts, columns, n)


@pytest.mark.parametrize(("wrong", "verdict"), [
    ("", "healthy"), ("dealt", "fault"), ("noisier", ""), ("flatter", ""), ("other machines", ""),
])  # fmt: skip
def test_somebody_elses_value_has_nothing_to_do_with_its_row(wrong: str, verdict: str) -> None:
    """A join by a wrong key hands out values that are right, for anybody; the world's own changes are not like that."""
    report = diagnose_rows(_readings(range(10), 2), _readings(range(10, 12), 3, wrong), READINGS, app="mill")
    assert report.verdict == verdict or (not verdict and report.verdict != "fault"), report.sentence
    if verdict == "fault":
        assert (report.findings[0].layer, report.findings[0].component) == ("data", "inputs.heat")
        assert "anybody's" in report.findings[0].what


@pytest.mark.parametrize(("again", "verdict"), [(True, "healthy"), (False, "fault")])
def test_one_request_that_is_sent_again_is_one_witness(again: bool, verdict: str) -> None:
    """A sum that is wrong for sixty requests is wrong; for one that came sixty times within the hour it may be its own."""
    window = _readings(range(10, 12), 3)
    speed, load = (window.columns[path] for path in ("inputs.speed", "inputs.load"))
    assert isinstance(speed, Numbers)
    assert isinstance(load, Numbers)
    wrong = np.arange(2_340, 2_400)
    window.ts[wrong] = window.ts[wrong[0]] // HOUR_US * HOUR_US + np.arange(60)
    if again:
        for column in window.columns.values():
            if isinstance(column, Numbers):
                column.values[wrong] = column.values[wrong[0]]
    tables = []
    for rows in (_readings(range(10), 2), window):
        parts = [rows.columns[path] for path in ("inputs.speed", "inputs.load")]
        total = sum(part.values for part in parts if isinstance(part, Numbers))
        tables.append(
            replace(rows, columns={**rows.columns, "steps.sum.total": Numbers(np.array(total, dtype=np.float64))})
        )
    sums = tables[1].columns["steps.sum.total"]
    assert isinstance(sums, Numbers)
    sums.values[wrong] += 40.0
    schema = Schema.from_pairs([*((f.path, f.kind) for f in READINGS), ("steps.sum.total", Kind.NUMBER)])
    assert diagnose_rows(tables[0], tables[1], schema, app="mill").verdict == verdict


WEATHER = Schema.from_pairs([
    ("inputs.outside", Kind.NUMBER), ("inputs.load", Kind.NUMBER), ("steps.join.forecast", Kind.NUMBER), ("outputs.demand", Kind.NUMBER),
    ("decision", Kind.TEXT), ("context.site", Kind.TEXT),
])  # fmt: skip


def _forecast(days: range, seed: int, wrong: str = "") -> Rows:
    """Three sites whose forecast is about what is measured outside; from the window's sixth hour on `wrong` happens to it."""
    n = 1_200 * len(days)
    rng = np.random.default_rng(seed)
    ts = np.sort(rng.integers(days.start * 24 * HOUR_US, days.stop * 24 * HOUR_US, n))
    site, hour = rng.integers(0, 3, n), ts // HOUR_US
    wild = np.random.default_rng(77).normal(0, 0.5, (3, 24 * 40)).cumsum(axis=1) * 0.3

    def weather(at: np.ndarray) -> np.ndarray:
        out: np.ndarray = 14 + site + 6 * np.sin((at - 9) / 24 * 2 * np.pi) + wild[site, at]
        return out

    late = ts >= (days.start * 24 + 6) * HOUR_US
    warmer = np.where(late & (wrong == "heat"), 6.0, 0.0)
    front = np.where(late & (wrong == "front") & (hour % 24 >= 12) & (hour % 24 < 20), -5.0, 0.0)
    joined = np.where(late & (wrong == "clock"), hour + 7, hour)
    outside = (weather(hour) + warmer + rng.normal(0, 0.4, n)).round(1)
    forecast = (weather(joined) + warmer + front).round(1)
    load = rng.gamma(6, 10, n).round()
    demand = 0.3 * load - 0.8 * forecast
    columns: dict[str, Column] = {
        "inputs.outside": Numbers(outside), "inputs.load": Numbers(load), "steps.join.forecast": Numbers(forecast),
        "outputs.demand": Numbers(demand.round(4)), "decision": Categories((demand > 8).astype(np.int64), ("none", "crew")),
        "context.site": Categories(site, ("north", "south", "west")),
    }  # fmt: skip
    return Rows(tuple(f"{seed}-{i}" for i in range(n)), ts, columns, n)


@pytest.mark.parametrize(("wrong", "found"), [("clock", True), ("heat", False), ("front", False), ("", False)])
def test_weather_that_is_joined_by_another_clock_is_that_of_other_hours(wrong: str, found: bool) -> None:
    """By day and by night it fits what is measured some hours away; a front that was not foreseen, or a heat wave, does not."""
    report = diagnose_rows(_forecast(range(10), 2), _forecast(range(10, 12), 3, wrong), WEATHER, app="works")
    named = [(f.layer, f.component) for f in report.findings if "joined by another clock" in f.what]
    assert named == ([("features", "steps.join.forecast")] if found else []), report.sentence
