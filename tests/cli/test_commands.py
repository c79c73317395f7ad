"""The way of a first user: import, status, golden, compare, diagnose; each from the outside, on a real log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from whimbrel.record import Recorder

from .conftest import EVERY, MINUTES, START, Program, write


def test_import_says_what_became_of_every_row(whimbrel: Program, tmp_path: Path) -> None:
    file = write(tmp_path / "fares.csv", minutes=50)
    with file.open("a") as more:
        more.write("p00001,2026-03-02T00:01:00Z,1,a,1,0.5,deny,web\n")
        more.write("bad,not a time,1,a,1,0.5,deny,web\n")
    first = whimbrel("import", str(file), "--app", "fares", "--json").json
    assert (first["rows"], first["duplicates"], first["quarantined"]) == (50, 1, 1)
    assert Path(first["quarantine_files"][0]).read_text("utf-8").count("\n") == 1
    again = whimbrel("import", str(file), "--app", "fares")
    assert "0 predictions taken in." in again.out
    assert "51 rows were there already" in again.out
    assert "set aside" in again.out


def test_import_takes_a_mapping_and_globs(whimbrel: Program, tmp_path: Path) -> None:
    (tmp_path / "a1.csv").write_text("when,fare\n2026-03-02T00:00:00Z,3.5\n")
    (tmp_path / "a2.csv").write_text("when,fare\n2026-03-02T00:01:00Z,4.5\n")
    (tmp_path / "map.toml").write_text('[columns]\nwhen = "ts"\nfare = "inputs.fare"\n')
    ran = whimbrel("import", str(tmp_path / "a*.csv"), "--app", "taxi", "--map", str(tmp_path / "map.toml"))
    assert "2 predictions taken in." in ran.out
    assert "  taxi  2 predictions, 2026-03-02 00:00 to 2026-03-02 00:01 UTC; " in whimbrel("status").out


def test_import_of_events(whimbrel: Program, tmp_path: Path) -> None:
    (tmp_path / "deploys.csv").write_text("ts,kind,what\n2026-03-02T00:00:00Z,deploy,3f2c91\n")
    ran = whimbrel("import", "--events", str(tmp_path / "deploys.csv"))
    assert ran.code == 0
    assert "1 event taken in." in ran.out
    assert whimbrel("status", "--json").json["events"] == 1


def test_status_of_an_empty_log_says_what_to_do(whimbrel: Program) -> None:
    ran = whimbrel("status")
    assert ran.code == 0
    assert "next: whimbrel import FILE" in ran.out
    assert not whimbrel.home.exists()


def test_what_recorders_left_waiting_comes_in_first(whimbrel: Program) -> None:
    recorder = Recorder("live", home=whimbrel.home)
    for i in range(3):
        with recorder.prediction({"x": i}, channel="web") as p:
            p.output(score=0.5)
    recorder.close()
    ran = whimbrel("status", "--json")
    assert ran.err == "hint: took in 3 predictions that recorders had left waiting\n"
    assert ran.json["apps"][0]["predictions"] == 3
    assert whimbrel("status").err == ""


def test_golden_is_set_listed_and_shown(whimbrel: Program, tmp_path: Path) -> None:
    whimbrel("import", str(write(tmp_path / "fares.csv", minutes=300)), "--app", "fares")
    made = whimbrel("golden", "set", "good", "--since", "2026-03-02T01:00", "--last", "1h", "--json")
    assert made.code == 2
    assert "twice" in made.json["error"]["what"]
    made = whimbrel("golden", "set", "good", "--since", "2026-03-02T01:00", "--where", "channel=ios", "--json")
    assert made.json["since"] == "2026-03-02T01:00:00Z"
    assert made.json["where"] == {"context.channel": "ios"}
    shown = whimbrel("golden", "show", "good", "--json").json
    assert shown == made.json
    assert whimbrel("golden", "list", "--json").json == {"golden": [shown]}
    assert "channel=ios" in whimbrel("golden", "list").out
    assert "diagnose --golden good" in whimbrel("golden", "show", "good").out
    both = whimbrel("golden", "set", "both", "--where", "channel|=ios|web", "--json").json
    assert both["where"] == {"context.channel": "|=ios|web"}
    assert both["predictions"] > made.json["predictions"]
    assert "channel|=ios|web" in whimbrel("golden", "show", "both").out


def test_durations_count_back_from_the_newest_prediction_of_an_old_log(whimbrel: Program, tmp_path: Path) -> None:
    whimbrel("import", str(write(tmp_path / "fares.csv", minutes=300)), "--app", "fares")
    ran = whimbrel("golden", "set", "late", "--last", "1h", "--json")
    assert ran.json["predictions"] == 60
    assert ran.json["until"] == "2026-03-02T04:59:00.000001Z"
    assert ran.err == "hint: times count back from the newest prediction, 2026-03-02T04:59:00Z\n"


def test_durations_count_back_from_now_in_a_live_log(whimbrel: Program, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    times = [now - timedelta(minutes=m) for m in (600, 90, 30, 1)]
    (tmp_path / "live.csv").write_text("ts,inputs.x\n" + "".join(f"{ts.isoformat()},1\n" for ts in times))
    whimbrel("import", str(tmp_path / "live.csv"), "--app", "live")
    ran = whimbrel("golden", "set", "late", "--since", "1h", "--json")
    assert ran.json["predictions"] == 2
    assert ran.err == ""


def test_an_app_must_be_named_where_there_are_several(whimbrel: Program, tmp_path: Path) -> None:
    file = str(write(tmp_path / "fares.csv", minutes=5))
    for app in ("taxi", "fares"):
        whimbrel("import", file, "--app", app)
    ran = whimbrel("golden", "set", "x", "--json")
    assert ran.code == 2
    assert ran.json["error"]["next"] == "choose one of fares, taxi"
    assert whimbrel("golden", "set", "x", "--app", "nope").code == 2
    assert whimbrel("golden", "set", "x", "--app", "taxi").code == 0


def test_a_fault_is_found_named_and_drawn(broken: Program, tmp_path: Path) -> None:
    page = tmp_path / "finding.html"
    ran = broken("diagnose", "--golden", "good", "--json", "--html", str(page))
    assert ran.code == 1, ran.err
    report = ran.json
    assert report["schema"] == "whimbrel.report/1"
    assert report["verdict"] == "fault"
    found = report["findings"][0]
    assert (found["layer"], found["component"], found["where"]) == (
        "features",
        "steps.scale.amount",
        {"context.channel": "ios"},
    )
    newest = START + timedelta(minutes=MINUTES - EVERY)
    assert report["window"]["until"] == newest.strftime("%Y-%m-%dT%H:%M:%S.000001Z")
    drawn = page.read_text("utf-8")
    assert "steps.scale.amount" in drawn
    assert "<script" not in drawn
    assert f"the page is at {page}" in ran.err


def test_a_fault_reads_as_a_sentence_with_its_proof(broken: Program) -> None:
    ran = broken("diagnose", "--golden-since", "2026-03-02", "--golden-until", "2026-03-07", "--last", "10h")
    assert ran.code == 1, ran.err
    assert ran.out.startswith("FAULT in features: ")
    assert "\x1b" not in ran.out
    assert "\n  cleared " in ran.out
    assert "\nnext: whimbrel " in ran.out


def test_what_a_finding_rests_on_is_held(broken: Program) -> None:
    asked = (
        "diagnose",
        "--golden-since",
        "2026-03-02",
        "--golden-until",
        "2026-03-07",
        "--last",
        "10h",
        "--hold",
        "incident-7",
    )
    ran = broken(*asked, "--json")
    assert ran.code == 1, ran.err
    held = {one["name"]: one for one in broken("hold", "list", "--json").json["holds"]}
    for name, span in (("incident-7", ran.json["window"]), ("incident-7-golden", ran.json["golden"])):
        assert (held[name]["since"], held[name]["until"]) == (span["since"], span["until"])
        assert held[name]["predictions"] == {ran.json["app"]: span["predictions"]}
        assert held[name]["reason"] == ran.json["sentence"]
    assert (again := broken(*asked)).code == 2
    assert "there is a hold named 'incident-7' already" in again.err
    for name in held:
        assert broken("hold", "release", name).code == 0
    assert broken("diagnose", "--golden", "good", "--hold", "../x").code == 2


def test_nothing_is_held_where_nothing_is_found(sound: Program) -> None:
    assert sound("diagnose", "--golden", "good", "--hold", "calm").code == 0
    assert sound("hold", "list", "--json").json == {"holds": []}


def test_comparison_names_what_moved_and_draws_it(broken: Program, tmp_path: Path) -> None:
    page = tmp_path / "moved.html"
    ran = broken("compare", "--golden", "good", "--last", "11h", "--json", "--html", str(page))
    assert ran.code == 1, ran.err
    assert ran.json["schema"] == "whimbrel.comparison/1"
    assert "steps.scale.amount" in [one["path"] for one in ran.json["moved"]]
    assert "steps.scale.amount" in page.read_text("utf-8")
    told = broken("compare", "--golden", "good", "--last", "11h", "--where", "channel=ios")
    assert told.out.endswith("next: whimbrel diagnose --last 11h --where channel=ios --golden good\n")
    told = broken("compare", "--golden", "good", "--last", "11h", "--where", "channel=web")
    assert told.code == 0, told.out
    assert told.out.startswith("none of ")


def test_nothing_wrong_is_said_to_be_healthy(sound: Program) -> None:
    ran = sound("diagnose", "--golden", "good", "--json")
    assert ran.code == 0, ran.out
    assert ran.json["verdict"] == "healthy"
    assert ran.json["findings"] == []


def test_too_little_is_not_answered(sound: Program) -> None:
    ran = sound("diagnose", "--golden", "good", "--last", "5m", "--json")
    assert ran.code == 4
    assert ran.json["verdict"] == "insufficient"


@pytest.mark.parametrize("page", ["nowhere/finding.html", "."])
@pytest.mark.parametrize("command", ["diagnose", "compare"])
def test_a_page_that_cannot_be_written_is_refused_before_the_work(sound: Program, command: str, page: str) -> None:
    ran = sound(command, "--html", page, "--json")
    assert ran.code == 2
    assert ran.json["error"]["where"] == "--html"


@pytest.mark.parametrize(
    "asked",
    [["--last", "99999999d"], ["--since", "9999999999999999d"], ["--last", "0h"], ["--since", "yesterday"], ["--last", "-1h"],
     ["--since", "2026-03-05", "--until", "2026-03-04"], ["--golden", "a", "--golden-since", "2026-03-02"],
     ["--since", "0001-01-01T00:00:00+14:00"]],
)  # fmt: skip
def test_times_that_make_no_sense_are_refused(sound: Program, asked: list[str]) -> None:
    ran = sound("diagnose", *asked, "--json")
    assert ran.code == 2, ran.out
    assert ran.json["error"]["next"]


@pytest.mark.parametrize("where", ["channel", "inputs.nope=1", "inputs.amount=", "context.channel=' OR 1=1 --"])
def test_hostile_conditions_are_values_or_refused(sound: Program, where: str) -> None:
    ran = sound("diagnose", "--golden", "good", "--where", where, "--json")
    assert ran.code in (2, 4), ran.out
    assert isinstance(ran.json, dict)


def test_hostile_text_in_the_log_stays_text(whimbrel: Program, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("ts,context.<b>\x1b[31m\n" + "2026-03-02T00:00:00Z,<script>\x1b[2J\u202e\n" * 3, "utf-8")
    assert whimbrel("import", str(file), "--app", "a<b>").code == 0
    refused = whimbrel("import", str(file), "--app", "a\x1b[31m")
    assert refused.code == 2
    told = whimbrel("status"), whimbrel("golden", "set", "x", "--where", "y=\x1b[2J"), refused
    assert "  a<b>  3 predictions" in told[0].out
    assert not any("\x1b" in one.out + one.err for one in told)
