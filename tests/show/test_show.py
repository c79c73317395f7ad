"""One prediction end to end, out of real Delta tables and real segments: what is told, where it stands in golden, who is like it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

import whimbrel
import whimbrel.show as room
from tests.cli.conftest import Program
from whimbrel.errors import EvidenceError, UsageError
from whimbrel.model.rows import Categories, Column, Numbers, Rows
from whimbrel.model.window import Window
from whimbrel.record import Recorder
from whimbrel.report import prediction as drawing
from whimbrel.show.neighbours import nearest
from whimbrel.show.standing import ordinal, standing
from whimbrel.store import find, rownumbers

START = datetime(2026, 3, 2, tzinfo=UTC)
GOLDEN = Window("fares", START, START + timedelta(days=2))


def row(i: int, **changes: Any) -> dict[str, Any]:
    """The i-th prediction: fares from 0 to 999, a kind of two, a score that follows the fare."""
    fare = float(i % 1000)
    told: dict[str, Any] = {
        "id": f"p{i:05}", "ts": START + timedelta(minutes=i), "inputs.fare": fare, "inputs.kind": ("card", "cash")[i % 4 == 0],
        "steps.scale.fare": fare / 1000, "code.scale": "aa11", "model.name": "fares", "model.version": "7",
        "outputs.score": fare / 1000, "decision": fare > 500, "label": "fraud" if fare > 900 else "fine",
        "label_ts": START + timedelta(minutes=i, days=3), "context.channel": "ios", "spans.scale": 1.0, "spans.model": 2.0,
        "spans.total": 4.0,
    }  # fmt: skip
    return told | changes


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 2,900 predictions, two of them odd, with a golden of the first two days."""
    home = tmp_path_factory.mktemp("show")
    log = whimbrel.open(home)
    odd = row(2900, id="odd", **{"inputs.fare": 5000.0, "inputs.kind": "cheque", "code.scale": "bb22"})
    dated = row(2901, id="0199f2b4-7c00-7abc-8def-0123456789ab", **{"inputs.kind": None})
    log.append("fares", [*(row(i) for i in range(2900)), odd, dated])
    log.append("fares", [row(3000, id="wrong", **{"inputs.fare": "12,50", "error": "no such fare"})])
    log.append("other", [row(1, id="p00001"), row(2, id="lonely")])
    log.set_golden("march", GOLDEN)
    return home


@pytest.fixture
def program(home: Path) -> Program:
    return Program(home)


def said(values: list[dict[str, Any]]) -> dict[str, tuple[Any, Any]]:
    return {one["path"]: (one["value"], one.get("golden", {}).get("says")) for one in values}


def test_each_value_is_placed_in_golden(home: Path) -> None:
    told = whimbrel.show(whimbrel.open(home), "odd", golden="march").to_dict()
    inputs = said(told["inputs"])
    assert inputs["inputs.fare"] == (5000.0, "above all of golden")
    assert inputs["inputs.kind"] == ("cheque", "never seen in golden")
    assert said([told["steps"][0]["code"]]) == {"code.scale": ("bb22", "never seen in golden")}
    assert said(told["model"])["model.version"] == ("7", "as always in golden")
    assert (told["golden"]["predictions"], told["compared"]) == (2880, 2880)


def test_a_usual_value_has_its_percentile_and_its_share(home: Path) -> None:
    told = whimbrel.show(home, "p00250", golden="march").to_dict()
    fare = next(one for one in told["inputs"] if one["path"] == "inputs.fare")["golden"]
    assert fare["percentile"] == pytest.approx(100 * (250 * 3 + 1.5) / 2880)
    assert fare["says"] == "26th percentile"
    assert said(told["inputs"])["inputs.kind"] == ("card", "75% of golden")
    assert said(told["decisions"])["decision"][0] is False
    assert told["label"]["value"] == "fine"
    assert told["label"]["lag_s"] == 3 * 86400


def test_without_golden_nothing_is_placed_and_it_says_so(program: Program) -> None:
    ran = program("show", "p00250")
    assert ran.code == 0, ran.err
    assert "percentile" not in ran.out
    assert "none was named, so no value is placed" in ran.out
    assert "--golden march" in ran.err
    assert program("show", "p00250", "--json").json["golden"] is None


def test_golden_may_be_a_window_without_a_name(program: Program) -> None:
    told = program("show", "odd", "--golden-since", "2026-03-02", "--golden-until", "2026-03-03", "--json").json
    assert told["golden"]["predictions"] == 1440
    assert program("show", "odd", "--golden", "march", "--golden-since", "1d").code == 2
    assert program("show", "lonely", "--golden", "march").code == 2, "a golden of another app"
    assert program("show", "odd", "--golden-since", "2020-01-01", "--golden-until", "2020-01-02").code == 4


def test_the_nearest_have_the_nearest_inputs_and_tell_what_they_got(home: Path) -> None:
    told = whimbrel.show(home, "p00250", golden="march").to_dict()
    near = {one["id"]: one for one in told["neighbours"]}
    assert list(near)[:2] == ["p01250", "p02250"]
    assert "p00250" not in near, "itself"
    assert near["p01250"]["distance"] == 0
    assert near["p01250"]["got"] == {"outputs.score": 0.25, "decision": "false", "label": "fine"}
    assert "inputs.fare" in told["distance"]
    assert "inputs.kind equal or not" in told["distance"]


def test_the_text_tells_all_of_it_in_the_width_of_the_terminal(program: Program) -> None:
    out = program("show", "odd", "--golden", "march").out
    for word in (
        "inputs", "5,000", "above all of golden", "scale", "code bb22", "fares@7", "score", "decision", "came 2026-03-07",
        "█", "elsewhere", "nearest in golden", "distance", "values are held against",
    ):  # fmt: skip
        assert word in out, word
    assert max(map(len, out.splitlines())) <= 100


def test_the_waterfall_puts_each_bar_behind_the_one_before(home: Path) -> None:
    spans = whimbrel.show(home, "odd").to_dict()["spans"]
    bars = [(one["name"], one["start_ms"], one["ms"]) for one in spans]
    assert bars == [("scale", 0.0, 1.0), ("model", 1.0, 2.0), ("elsewhere", 3.0, 1.0)]
    drawn = drawing.waterfall(whimbrel.show(home, "odd").to_dict(), 60)
    first, second, third, whole = (line.index("█") for line in drawn)
    assert whole == first < second < third
    assert drawn[1].count("█") == pytest.approx(2 * drawn[0].count("█"), abs=1)


def test_the_html_has_no_script_is_small_and_escapes_what_was_recorded(tmp_path: Path) -> None:
    log = whimbrel.open(tmp_path)
    wide = {f"inputs.<script>{i}": "<script>alert(1)</script>" * 40 for i in range(300)}
    log.append("fares", [{"id": "x", "ts": START, "spans.a": 1.0, "spans.total": 2.0} | wide])
    page = whimbrel.show(log, "x")._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert len(page.encode()) < 30_000
    assert "<rect" in page


def test_an_unknown_id_says_what_to_do(program: Program) -> None:
    ran = program("show", "nobody", "--json")
    error = ran.json["error"]
    assert (ran.code, error["type"], error["exit_code"]) == (2, "UsageError", 2)
    assert all(error[part] for part in ("what", "where", "why", "next"))
    assert program("show", "").code == 2
    assert program("show", "odd\udcff").code == 2, "bytes that are no text"
    assert program("show", "odd", "--app", "nothing").code == 2


def test_an_empty_log_says_so(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="no predictions"):
        whimbrel.show(tmp_path, "x")


def test_the_beginning_of_an_id_is_enough_where_it_is_the_only_one(program: Program) -> None:
    assert program("show", "od", "--json").json["id"] == "odd"
    assert program("show", "0199f2b4", "--json").json["id"].endswith("89ab")
    ran = program("show", "p0012", "--json")
    assert ran.code == 2
    assert "begin with" in ran.json["error"]["what"]
    assert "p00120" in ran.json["error"]["why"]
    assert program("show", "p0%", "--json").code == 2, "no wildcard"


def test_an_id_of_two_apps_asks_for_the_app(program: Program) -> None:
    ran = program("show", "p00001", "--json")
    assert ran.code == 2
    assert "--app fares" in ran.json["error"]["next"]
    assert program("show", "p00001", "--app", "other", "--json").json["app"] == "other"
    assert program("show", "lonely", "--json").json["app"] == "other"


def test_an_id_that_holds_another_time_than_the_event_is_found(home: Path) -> None:
    told = whimbrel.show(home, "0199f2b4-7c00-7abc-8def-0123456789ab", golden="march").to_dict()
    assert told["ts"].startswith("2026-03-04")
    assert said(told["inputs"])["inputs.kind"] == (None, "null, never so in golden")


def test_what_did_not_fit_and_what_went_wrong_are_told(program: Program) -> None:
    told = program("show", "wrong", "--json").json
    assert (told["state"], told["error"], told["rescued"]) == ("failed", "no such fare", {"inputs.fare": "12,50"})
    assert "came as 12,50" in said(told["inputs"])["inputs.fare"][1]
    out = program("show", "wrong").out
    assert "no such fare" in out
    assert "did not fit its column" in out


def test_labels_and_decisions_that_came_later_win(tmp_path: Path) -> None:
    log = whimbrel.open(tmp_path)
    log.append("fares", [row(1), row(2)])
    late = START + timedelta(days=9)
    log.add_labels("fares", [{"id": "p00001", "label": "fraud", "label_ts": late}])
    log.add_decisions("fares", [{"id": "p00001", "path": "decision", "value": True}])
    told = whimbrel.show(log, "p00001").to_dict()
    assert (told["label"]["value"], told["label"]["ts"]) == ("fraud", "2026-03-11T00:00:00Z")
    assert said(told["decisions"]) == {"decision": (True, None)}
    assert whimbrel.show(log, "p00002").to_dict()["label"]["value"] == "fine"


def test_any_id_is_found_in_tables_of_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "_MANY", 10)
    log = whimbrel.open(tmp_path)
    log.append("fares", [row(i * 37, id=f"{i * 7919 % 1000:03}") for i in range(200)])
    kept = list((tmp_path / "index").rglob("*.u4"))
    assert kept == []
    for i in (0, 1, 77, 199):
        found = log.find(f"{i * 7919 % 1000:03}")
        assert found.values["inputs.fare"] == i * 37 % 1000
    kept = list((tmp_path / "index").rglob("*.u4"))
    assert kept
    stale = kept[0].with_name("part-gone.parquet.1.0.u4")
    stale.write_bytes(b"1234")
    with pytest.raises(UsageError):
        log.find("xyz")
    log.append("fares", [row(9000, id="later", **{"inputs.new": 3.0})])
    assert log.find("later").values["inputs.new"] == 3.0
    log.append("fares", [row(i, id=f"500x{i:02}") for i in range(20)])
    assert log.find("500x03").values["inputs.fare"] == 3.0
    assert not stale.exists()


def test_rows_that_only_share_a_hash_are_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "_MANY", 10)
    log = whimbrel.open(tmp_path)
    log.append("fares", [row(i) for i in range(20)])
    monkeypatch.setattr(rownumbers, "_HASH", "(hash('p00005x') >> 32)::UINTEGER")
    found = list(log.layout.predictions("fares").folder.rglob("*.parquet"))
    with duckdb.connect() as con:
        ((_, rows),) = rownumbers.rows_with(con, tmp_path / "index", [str(found[0])], "p00005x", table=tmp_path)
    assert rows == list(range(20))
    with pytest.raises(UsageError):
        log.find("p00005x")


APP = """if True:
    import os, sys
    from whimbrel.record import Recorder
    recorder = Recorder("fares", home=sys.argv[1], model="fares@7")
    with recorder.prediction({"fare": 1.5, "when": None}, channel="ios") as p:
        p.step("scale", {"fare": 0.5})
        p.output(0.25)
        made = p.id
    recorder.label(made, "fraud")
    recorder.prediction({"fare": 2.5}, id="suspect").__enter__()
    print(made, flush=True)
    sys.stdin.read()
    os._exit(3)
"""


@contextmanager
def app(home: Path) -> Iterator[str]:
    """An app that has made a prediction, which is yielded by its id, and is making the one named `suspect`."""
    process = subprocess.Popen([sys.executable, "-c", APP, home], stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.communicate()


def test_what_waits_what_runs_and_what_never_ended_is_shown_and_left_waiting(tmp_path: Path) -> None:
    with app(tmp_path) as made:
        segments = {path: path.stat().st_size for path in (tmp_path / "segments").rglob("*.seg")}
        told = whimbrel.show(tmp_path, made).to_dict()
        assert (told["state"], told["waits"], told["label"]["value"]) == ("ended", True, "fraud")
        assert said(told["inputs"])["inputs.fare"] == (1.5, None)
        assert told["steps"][0]["values"][0]["value"] == 0.5
        assert told["process"]["pid"]
        assert told["process"]["python"]
        running = whimbrel.show(tmp_path, "suspect").to_dict()
        assert (running["state"], running["error"]) == ("running", "")
        assert whimbrel.show(tmp_path, made[:30]).id == made
        assert {path: path.stat().st_size for path in (tmp_path / "segments").rglob("*.seg")} == segments
        assert not (tmp_path / "predictions").exists()
    assert whimbrel.show(tmp_path, "susp").state == "unfinished"
    log = whimbrel.open(tmp_path)
    log.ingest()
    taken = whimbrel.show(log, made).to_dict()
    assert (taken["waits"], taken["label"]["value"], taken["state"]) == (False, "fraud", "ended")
    assert taken["process"]["pid"] == told["process"]["pid"]
    assert taken["inputs"] == [one for one in told["inputs"] if one["value"] is not None]
    assert whimbrel.show(log, "suspect").state == "unfinished"


def test_blobs_are_named_and_it_says_whether_their_content_is_here(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    with recorder.prediction({"image": recorder.blob(b"pixels" * 100)}, id="seen") as p:
        p.output(1.0)
    recorder.close()
    (blob,) = whimbrel.show(tmp_path, "seen").blobs
    assert (blob.path, blob.bytes, blob.held) == ("inputs.image", 600, True)
    (tmp_path / "blobs" / blob.sha256[:2] / blob.sha256).unlink()
    assert not whimbrel.show(tmp_path, "seen").blobs[0].held


def test_a_sample_of_golden_is_not_believed_when_it_has_never_seen_a_value(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room.doors, "_FEWEST", 50)
    monkeypatch.setattr(room.doors, "_MOST", 50)
    told = whimbrel.show(home, "p00999", golden="march").to_dict()
    assert told["compared"] < 200
    assert told["golden"]["predictions"] == 2880
    (fare,) = (one["golden"] for one in told["inputs"] if one["path"] == "inputs.fare")
    assert fare["says"] == "only 2 of 2,880 in golden are as high"
    odd = whimbrel.show(home, "odd", golden="march").to_dict()
    assert said(odd["inputs"])["inputs.fare"][1] == "above all of golden"


def test_standings_are_half_of_what_is_equal_and_know_null_and_constant() -> None:
    column = Numbers(np.array([1.0, 2.0, 2.0, 3.0, 4.0, np.nan]))
    assert standing(column, 2.0).percentile == 40.0  # type: ignore[union-attr]
    assert standing(column, 9).says == "above all of golden"  # type: ignore[union-attr]
    assert standing(column, None).share == pytest.approx(1 / 6)  # type: ignore[union-attr]
    assert standing(column, "text") is None
    assert standing(Numbers(np.full(9, 3.0)), 3.0).says == "as always in golden"  # type: ignore[union-attr]
    assert standing(Categories(np.array([0, 1, 1, -1]), ("false", "true")), True).share == 0.5  # type: ignore[union-attr]
    assert standing(None, 1.0) is None
    assert [ordinal(p) for p in (99.97, 1, 22, 13, 50.4, 0.02)] == ["99.97th", "1st", "22nd", "13th", "50th", "0.02th"]


def test_of_equally_near_ones_the_nearer_beyond_the_bound_comes_first(home: Path) -> None:
    near = whimbrel.show(home, "odd", golden="march").neighbours
    assert [one.id for one in near[:2]] == ["p00999", "p01999"]


def test_no_single_input_hides_the_others() -> None:
    columns: dict[str, Column] = {
        "inputs.a": Numbers(np.array([0.0, 1e9, 1.0])),
        "inputs.b": Categories(np.array([0, 1, 1]), ("x", "y")),
    }
    rows = Rows(("far", "wild", "near"), np.zeros(3, np.int64), columns, 3)
    found, measure = nearest(
        rows, {"inputs.a": 1.0, "inputs.b": "y", "inputs.c": 1.0}, ["inputs.a"], besides="", most=3
    )
    assert found[0].id == "near"
    assert found[-1].distance <= 3.0
    assert "left out: inputs.c" in measure
    assert nearest(rows, {"inputs.c": 1.0}, [], besides="") == ((), "")


def test_printing_it_draws_it(home: Path) -> None:
    assert str(whimbrel.show(home, "odd")).startswith("Prediction odd of fares")
