"""Rows that a log writer lost: what is missing at even ticks, or on one side of a threshold, is found; what never was is not missed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import whimbrel
from whimbrel.diagnose import unwritten
from whimbrel.model.report import Finding, Report

START = pd.Timestamp("2026-03-02", tz="UTC")
LAST = 14 * 48
"""The first tick of the window: golden are fourteen days of half hours."""
LATER = LAST + 60
ZONES = np.array(["n1", "n2", "n3", "n4", "s1", "s2", "s3", "s4"])


def _polled(keep: Callable[[pd.DataFrame, np.random.Generator], np.ndarray], *, ticks: int = LAST + 192) -> Report:
    """Eight zones of two sites that bring a row each half hour, on one of three hosts; those that are kept of them."""
    rng = np.random.default_rng(5)
    tick, zone = np.repeat(np.arange(ticks), ZONES.size), np.tile(np.arange(ZONES.size), ticks)
    heat = rng.normal(20, 4, tick.size).round(2)
    table = pd.DataFrame({
        "ts": START + pd.to_timedelta(tick * 1800 + rng.uniform(0, 5, tick.size), unit="s"),
        "context.zone": ZONES[zone], "context.site": np.where(zone < 4, "north", "south"),
        "hardware.host": rng.choice(["a", "b", "c"], tick.size), "inputs.heat": heat, "outputs.score": (heat / 40).round(4),
    })  # fmt: skip
    golden = tick < LAST
    table = table.assign(tick=tick, number=np.arange(tick.size))
    kept = keep(table, rng)
    table = table.drop(columns=["tick", "number"])
    return whimbrel.diagnose(table[golden & kept], table[~golden & kept])


def _lost(report: Report) -> list[Finding]:
    return [f for f in report.findings if f.component == unwritten.COMPONENT]


@pytest.mark.parametrize(
    ("of", "share", "where"),
    [
        (lambda t: t["hardware.host"] == "b", 0.45, ["hardware.host=b"]),
        (lambda t: t["context.site"] == "south", 0.4, ["context.site=south"]),
        (lambda t: t["tick"] >= 0, 0.15, []),
    ],
)
def test_rows_that_never_came_are_missed_for_all_whose_rows_were_lost(
    of: Callable[[pd.DataFrame], pd.Series], share: float, where: list[str]
) -> None:
    """Nobody knows whose a missing row was; the others' rows are as many as ever."""
    report = _polled(lambda t, rng: ~(of(t) & (t["tick"] >= LATER) & (rng.random(len(t)) < share)).to_numpy())
    assert report.verdict == "fault"
    first = report.findings[0]
    assert (first.layer, first.component) == ("recorder", "recorder.rows"), report.sentence
    assert [str(c).removeprefix("context.") for c in first.where] == [w.removeprefix("context.") for w in where]
    assert first.since is not None
    assert abs((first.since - (START + pd.Timedelta(minutes=30 * LATER))).total_seconds()) <= 3 * 1800
    assert "of those that are due at every tick never came, 0.0% in golden" in first.what


@pytest.mark.parametrize(
    "kept",
    [
        lambda t, _: (t["context.zone"] != "n2") | (t["tick"] < LATER),  # retired
        lambda t, _: (t["context.zone"] != "n2") | (t["tick"] >= LATER),  # new
        lambda t, _: ~t["tick"].between(LATER, LATER + 9),  # all were down
        lambda t, _: (t["tick"] < LATER) | (t["tick"] % 2 == 0) | t["context.zone"].isin(["s1", "s2"]),  # polled less
        lambda t, rng: (t["context.zone"] != "n2") | (t["tick"] < LATER) | (rng.random(len(t)) < 0.6),  # one probe
        lambda _, rng: rng.random(len(_)) < 0.9,  # golden lacks them as well
        lambda t, _: (t["tick"] % 48 < 40) | (t["tick"] % 4 == 0),  # by night every other hour, as in golden
    ],
)
def test_what_stops_starts_pauses_or_slows_down_has_lost_no_rows(
    kept: Callable[[pd.DataFrame, np.random.Generator], pd.Series],
) -> None:
    report = _polled(lambda t, rng: np.asarray(kept(t, rng), dtype=bool))
    assert not _lost(report), report.sentence


def _decided(
    change: Callable[[pd.DataFrame, np.random.Generator], np.ndarray],
    *,
    moved: float = 0.0,
    at: float = 0.6,
) -> Report:
    """Three channels whose scores above a threshold are held; those rows that are kept of them.

    In the window the web's scores are moved, and its threshold may be another.
    """
    rng = np.random.default_rng(7)
    hours = np.sort(rng.uniform(0, 17 * 24, 20_000))
    channel = rng.choice(["web", "app", "shop"], hours.size)
    web = (channel == "web") & (hours >= 15 * 24)
    odds = rng.normal(0.0, 1.0, hours.size) - moved * web
    score = (1 / (1 + np.exp(-odds))).round(4)
    table = pd.DataFrame({
        "ts": START + pd.to_timedelta(hours * 3600, unit="s"), "context.channel": channel,
        "hardware.host": rng.choice(["a", "b"], hours.size), "inputs.odds": odds, "outputs.score": score,
        "decision": np.where(score > np.where(web, at, 0.6), "hold", "pass"),
    })  # fmt: skip
    kept = change(table.assign(hours=hours), rng)
    golden = hours < 14 * 24
    return whimbrel.diagnose(table[golden & kept], table[~golden & kept])


@pytest.mark.parametrize(
    ("of", "where"),
    [(lambda t: t["context.channel"] == "web", ["context.channel=web"]), (lambda t: t["hours"] >= 0, [])],
)
def test_rows_of_one_decision_that_are_not_written_leave_a_break_at_its_threshold(
    of: Callable[[pd.DataFrame], pd.Series], where: list[str]
) -> None:
    """What is left is consistent row by row."""
    report = _decided(
        lambda t, rng: (
            ~(of(t) & (t["decision"] == "hold") & (t["hours"] >= 15 * 24) & (rng.random(len(t)) < 0.7)).to_numpy()
        )
    )
    assert report.verdict == "fault"
    first = report.findings[0]
    assert (first.layer, first.component) == ("recorder", "recorder.rows"), report.sentence
    assert [str(c) for c in first.where] == where
    assert first.since is not None
    assert abs((first.since - (START + pd.Timedelta(days=15))).total_seconds()) <= 6 * 3600
    assert "of those decided 'hold'" in first.what


def _all(table: pd.DataFrame, _: np.random.Generator) -> np.ndarray:
    return np.ones(len(table), dtype=bool)


@pytest.mark.parametrize("moved", [0.4, 1.2])
def test_scores_that_move_are_not_lost_where_one_decision_begins(moved: float) -> None:
    report = _decided(_all, moved=moved)
    assert not _lost(report), report.sentence


def test_another_threshold_loses_no_rows() -> None:
    report = _decided(_all, at=0.75)
    assert not _lost(report), report.sentence
    assert report.findings[0].layer == "decision", report.sentence


def test_more_of_the_others_are_no_fewer_of_these() -> None:
    """Half of those who would be passed stay away, until a campaign brings them to the web."""

    def kept(table: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        campaign = (table["context.channel"] == "web") & (table["hours"] >= 15 * 24)
        often = np.where(table["outputs.score"] > 0.5, 1.0, 0.4)
        return np.asarray(campaign | (rng.random(len(table)) < often), dtype=bool)

    report = _decided(kept)
    assert not _lost(report), report.sentence


def _released(share: float, lost: float) -> Report:
    """From the fifteenth day on another model answers some of the requests, and hardly ever says more than 0.6; rows that are held may be lost."""
    rng = np.random.default_rng(11)
    hours = np.sort(rng.uniform(0, 17 * 24, 20_000))
    late = hours >= 15 * 24
    odds = rng.normal(0.0, 1.0, hours.size)
    score, new = 1 / (1 + np.exp(-odds)), late & (rng.random(hours.size) < share)
    score = np.where(
        new & (score > 0.6) & (rng.random(hours.size) < 0.8), rng.uniform(0.3, 0.6, hours.size), score
    ).round(4)
    table = pd.DataFrame({
        "ts": START + pd.to_timedelta(hours * 3600, unit="s"), "context.channel": rng.choice(["web", "app"], hours.size),
        "inputs.odds": odds, "model.version": np.where(new, "r2", "r1"), "outputs.score": score,
        "decision": np.where(score > 0.6, "hold", "pass"),
    })  # fmt: skip
    kept = ~(late & (score > 0.6) & (rng.random(hours.size) < lost))
    golden = hours < 14 * 24
    return whimbrel.diagnose(table[golden & kept], table[~golden & kept])


def test_another_model_s_scores_say_nothing_of_rows_that_are_missing() -> None:
    """It decides otherwise, and leaves out what scores it likes; what is lost beside a trial of it is missed as ever."""
    report = _released(1.0, 0.0)
    assert not _lost(report), report.sentence
    assert report.findings[0].component == "model.version", report.sentence
    assert _lost(_released(0.2, 0.75)), "a trial hides what the old model's rows show"
    assert not _lost(_released(0.2, 0.0))
