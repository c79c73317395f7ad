"""Suggestions that are shown in editors and accepted, or not: what is lost of the answers, and what people merely do otherwise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import whimbrel

EDITORS = np.array(["code", "vim", "brains", "web"])
Change = Callable[[pd.DataFrame, np.ndarray, np.random.Generator], None]
BEGAN = pd.Timestamp("2026-03-23 10:00", tz="UTC")


def shown(change: Change, seed: int = 4) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Three weeks of suggestions; the three days after them change at ten in the morning, in one editor."""
    rng = np.random.default_rng(seed)
    n = 32_000
    days = np.sort(rng.random(n)) * 24
    length = rng.normal(0, 1, n)
    odds = 1.6 * length + rng.normal(0, 1.2, n) + 0.5
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta((days * 86_400e6).astype(np.int64), unit="us"),
        "context.editor": rng.choice(EDITORS, n, p=[0.4, 0.2, 0.25, 0.15]),
        "context.user": rng.integers(0, 400, n).astype(str),
        "inputs.length": length.round(3), "outputs.score": (1 / (1 + np.exp(-odds))).round(4),
        "odds": odds, "luck": rng.random(n),
    })  # fmt: skip
    hit = (table["ts"] >= BEGAN).to_numpy() & (table["context.editor"] == "brains").to_numpy()
    table["label"] = (table["luck"] < table["outputs.score"]).astype(float)
    change(table, hit, rng)
    table = table.drop(columns=["odds", "luck"])
    began = pd.Timestamp("2026-03-23", tz="UTC")
    return table[table["ts"] < began], table[table["ts"] >= began]


def lost(table: pd.DataFrame, hit: np.ndarray, rng: np.random.Generator) -> None:
    """Half of what was accepted is recorded as not accepted."""
    table.loc[hit & (rng.random(len(hit)) < 0.5), "label"] = 0.0


def free(table: pd.DataFrame, hit: np.ndarray, rng: np.random.Generator) -> None:
    """Most of what was not accepted is recorded as accepted."""
    table.loc[hit & (rng.random(len(hit)) < 0.6), "label"] = 1.0


def choosier(table: pd.DataFrame, hit: np.ndarray, _: np.random.Generator) -> None:
    """People accept less of what they were unsure of, and what is plainly right as before."""
    table.loc[hit, "label"] = (table["luck"] < 1 / (1 + np.exp(1.4 - table["odds"])))[hit].astype(float)


@pytest.mark.parametrize(
    ("change", "says"), [(lost, "of every yes is recorded as no"), (free, "of every no is recorded as yes")]
)
def test_a_part_of_the_answers_that_is_lost_at_every_score_is_lost_by_the_join(change: Change, says: str) -> None:
    report = whimbrel.diagnose(*shown(change))
    assert report.verdict == "fault", report.sentence
    first = report.findings[0]
    assert (first.layer, first.component, [str(c) for c in first.where]) == (
        "labels",
        "label",
        ["context.editor=brains"],
    )
    assert says in first.what
    assert first.since is not None
    assert abs(first.since - BEGAN) < pd.Timedelta("2h")


@pytest.mark.parametrize("change", [choosier, lambda *_: None])
def test_people_who_say_yes_less_often_are_no_fault(change: Change) -> None:
    assert whimbrel.diagnose(*shown(change)).verdict != "fault"


def _rides(times: float, minutes: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Five weeks of rides and how long each took; those of android take so many times as long from the twentieth hour of the window on."""
    rng = np.random.default_rng(7)
    n = 14_000
    hours = np.sort(rng.random(n)) * 24 * 25
    score = rng.gamma(6.0, 1.2, n) + 1
    phone = rng.choice(["android", "ios", "web"], n, p=[0.35, 0.45, 0.2])
    label = score * rng.lognormal(0, 0.22, n)
    hit = (phone == "android") & (hours >= 24 * 22 + 20)
    label[hit] = np.maximum(times * label[hit] - minutes, 0.3)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta((hours * 3600e6).astype(np.int64), unit="us"),
        "context.phone": phone, "inputs.km": (score * rng.lognormal(0, 0.05, n)).round(2),
        "outputs.score": score.round(2), "label": label.round(2),
    })  # fmt: skip
    return table[hours < 24 * 22], table[hours >= 24 * 22]


@pytest.mark.parametrize(
    ("kind", "lag_min", "times", "verdict"),
    [
        ("deploy", 20, 0.8, "fault"),
        ("data", 20, 0.8, "notice"),  # a campaign is the world's
        ("deploy", 300, 0.8, "notice"),  # long before
        ("deploy", 20, 1.0, "healthy"),
    ],
)
def test_labels_that_jump_with_a_deploy_are_that_one_s_doing(
    kind: str, lag_min: float, times: float, verdict: str
) -> None:
    """Shorter rides may be a new road's; shorter at once by a whole spread, on android alone, just after a deploy, they are not."""
    golden, window = _rides(times, 0.8 * (times < 1))
    at = pd.Timestamp("2026-03-24 20:00", tz="UTC") - pd.Timedelta(minutes=lag_min)
    events = pd.DataFrame({"ts": [at], "kind": [kind], "what": ["driver events 3"]})
    report = whimbrel.diagnose(golden, window, events=events)
    assert report.verdict == verdict, report.sentence


@pytest.mark.parametrize(("by", "verdict"), [("arrival", "notice"), ("prediction", "fault"), ("chance", "fault")])
def test_labels_of_some_that_nobody_has_joined_yet_are_not_lost(by: str, verdict: str) -> None:
    """Vim's of the last day and a half are not there; where its earlier ones go on to come, or some of the later, the others are lost."""
    golden, window = shown(lambda *_: None)
    rng = np.random.default_rng(9)
    both = pd.concat([golden, window], ignore_index=True)
    delay = pd.to_timedelta(np.exp(rng.normal(9, 0.9, len(both))), unit="s")
    both["label_ts"] = both["ts"] + delay
    stopped = pd.Timestamp("2026-03-24 12:00", tz="UTC")
    gone = {
        "arrival": both["label_ts"] > stopped,
        "prediction": both["ts"] > stopped,
        "chance": (both["ts"] > stopped) & (rng.random(len(both)) < 0.7),
    }[by] & (both["context.editor"] == "vim")
    late = gone | (both["label_ts"] > both["ts"].max())
    both["label"], both["label_ts"] = both["label"].where(~late), both["label_ts"].where(~late)
    began = pd.Timestamp("2026-03-23", tz="UTC")
    report = whimbrel.diagnose(both[both["ts"] < began], both[both["ts"] >= began])
    assert report.verdict == verdict, report.sentence
    assert [(f.component, *map(str, f.where)) for f in report.findings] == [("label", "context.editor=vim")]


@pytest.mark.parametrize("lost", [False, True])
def test_where_a_crowd_is_rides_are_cancelled_as_they_always_were_in_a_crowd(lost: bool) -> None:
    """A stadium is full on one evening: what golden saw of crowds tells how many labels stay away; of a quiet place's none should."""
    rng = np.random.default_rng(2)
    n = 20_000
    hours = np.sort(rng.random(n)) * 24 * 25
    zone = rng.choice(["north", "south", "stadium", "port"], n, p=[0.4, 0.3, 0.1, 0.2])
    crowd = rng.gamma(1.2, 0.6, n) + (rng.random(n) < 0.012) * 4
    here = (zone == "stadium") & (hours >= 24 * 22 + 15)
    crowd[here & (not lost)] += 5
    score = rng.gamma(6.0, 1.2, n) + 1
    gone = rng.random(n) < np.where((crowd > 3.5) | (here & lost), 0.5, 0.06)
    ts = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta((hours * 3600e6).astype(np.int64), unit="us")
    label = np.where(gone, np.nan, score * rng.lognormal(0, 0.22, n)).round(2)
    table = pd.DataFrame({
        "ts": ts, "context.zone": zone, "inputs.crowd": crowd.round(3), "outputs.score": score.round(2), "label": label,
        "label_ts": (ts + pd.to_timedelta(60 * score, unit="s")).where(~gone),
    })  # fmt: skip
    report = whimbrel.diagnose(table[hours < 24 * 22], table[hours >= 24 * 22])
    assert ("label" in [f.component for f in report.findings]) is lost, report.sentence


@pytest.mark.parametrize(("gone", "fault"), [("long", True), ("any", False), ("longish", False)])
def test_numbers_beyond_a_value_that_come_no_more_are_cut_off(gone: str, fault: bool) -> None:
    """Golden lacks some labels of its own; that more stay away, and of the long ones rather, is the world's, but not all of them alone."""
    golden, window = _rides(1.0)
    both = pd.concat([golden, window], ignore_index=True)
    rng = np.random.default_rng(3)
    dice, began = rng.random(len(both)), pd.Timestamp("2026-03-24 20:00", tz="UTC")
    often = {"long": both["label"] > 12, "any": dice < 0.17, "longish": dice < (both["label"] / 22) ** 2}[gone]
    lost = (dice > 0.9) | (np.asarray(often) & (both["ts"] >= began))
    both["label_ts"] = both["ts"] + pd.to_timedelta(60 * both["label"], unit="s")
    both["label"], both["label_ts"] = both["label"].where(~lost), both["label_ts"].where(~lost)
    report = whimbrel.diagnose(both.iloc[: len(golden)], both.iloc[len(golden) :])
    assert (report.verdict == "fault") is fault, report.sentence
    if fault:
        first = report.findings[0]
        assert (first.layer, first.component, first.where) == ("labels", "label", ())
        assert "none is above 12," in first.what or "none is above 11.9" in first.what
