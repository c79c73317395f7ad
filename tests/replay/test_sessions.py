"""A session keeps what went wrong; a run says what still fails; an export needs no whimbrel; bisect finds the commit."""

from __future__ import annotations

import json
import random
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest

import whimbrel
from tests.replay import serving
from whimbrel.cli import main
from whimbrel.model.window import Window
from whimbrel.replay import sessions
from whimbrel.store import Log

START = 1_700_000_000
PLAIN = """
def predict(km, minutes):
    base = 0.1 * km
    return base + 0.02 * minutes
"""


@pytest.fixture
def rides(tmp_path: Path) -> Path:
    """A home with thirty rides, served by honest code; its file lies beside them as `train.py`."""
    serving.serve(serving.app(tmp_path / "home"), 30, start=START, seed=1, host=lambda _: "h0")
    serving.write(tmp_path)
    return tmp_path


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    """A home with thirty predictions of a plain function of two inputs, labels for all; its file beside them."""
    space: dict[str, object] = {}
    exec(PLAIN, space)
    dice = random.Random(3)
    rows = []
    for i in range(30):
        km, minutes = round(dice.uniform(0.5, 9.5), 2), round(dice.uniform(1, 9), 2)
        score = space["predict"](km, minutes)  # type: ignore[operator]
        rows.append(f'{{"id": "p{i:02}", "ts": {START + i}, "inputs": {{"km": {km}, "minutes": {minutes}}}, '
                    f'"outputs": {{"score": {score!r}}}, "label": {int(i % 5 > 0)}}}')  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("\n".join(rows) + "\n")
    (tmp_path / "code.py").write_text(PLAIN)
    assert call(tmp_path, "import", str(tmp_path / "rows.jsonl"), "--app", "linear")[0] == 0
    return tmp_path


def call(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run the program with the folder's home."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([*arguments, "--home", str(folder / "home")])
    return code, out.getvalue(), err.getvalue()


def ids(folder: Path) -> str:
    log: Log = whimbrel.open(folder / "home")
    log.ingest()
    from whimbrel.engine import engine_named

    app = log.apps()[0]
    return ",".join(engine_named("duckdb").rows(log.source(app), Window(app)).ids)


def test_a_session_holds_for_the_code_that_was_recorded_and_names_the_step_of_code_that_changed(rides: Path) -> None:
    """Recorded reads are played back; a changed step fails at its own field; the exit status says so."""
    assert call(rides, "session", "new", "all", "--ids", ids(rides))[0] == 0
    assert call(rides, "session", "run", "all", "--pipeline", f"{rides}/train.py:predict")[:2] == (0, "all 30 hold\n")
    serving.write(rides, ("- 20.0) / 9.0", "- 23.0) / 9.0"), name="other")
    code, out, _ = call(rides, "session", "run", "all", "--pipeline", f"{rides}/other.py:predict")
    assert code == 1
    assert out.endswith("30 of 30 fail\n")
    assert all("steps.scale.minutes" in line for line in out.splitlines()[:-1])
    assert json.loads(call(rides, "session", "list", "--json")[1])["sessions"] == [
        {"name": "all", "app": "rides", "expect": "recorded", "predictions": 30}
    ]


def test_worst_is_farthest_from_the_label_and_every_rule_judges(linear: Path) -> None:
    """Of thirty, those kept have the greatest loss; a label, a range and a text rule fail where they should."""
    rows = [json.loads(line) for line in (linear / "rows.jsonl").read_text().splitlines()]
    losses = sorted(rows, key=lambda row: -abs(row["outputs"]["score"] - row["label"]))
    assert call(linear, "session", "new", "w", "--worst", "4", "--expect", "label")[0] == 0
    kept = sessions.load(linear / "home" / "sessions", "w")
    assert {r["id"] for r in kept.records} == {row["id"] for row in losses[:4]}
    assert not any("label" in record for record in kept.records)
    spec = f"{linear}/code.py:predict"
    wrong = sum(abs(row["outputs"]["score"] - row["label"]) >= 0.5 for row in losses[:4])
    assert len(sessions.run(kept, spec).failures) == wrong > 0
    for rule, failures in (("range:0..99", 0), ("range:50..99", 30), (r"text:^\d\.", 0), ("text:x", 30)):
        assert call(linear, "session", "new", "r", "--ids", ids(linear), "--expect", rule)[0] == 0
        code, out, _ = call(linear, "session", "run", "r", "--pipeline", spec, "--json")
        assert (code, json.loads(out)["failed"]) == (int(failures > 0), failures)


def test_without_labels_the_worst_lie_farthest_from_golden(rides: Path) -> None:
    """Golden is what lies before; the score farthest from its median comes first."""
    ids(rides)  # taken in
    log = whimbrel.open(rides / "home")
    window = Window("rides", datetime.fromtimestamp(START + 60 * 20, UTC), None)
    chosen = sessions.worst(log, window, 3)
    from whimbrel.engine import engine_named

    def scores(window: Window) -> dict[str, float]:
        rows = engine_named("duckdb").rows(log.source("rides"), window, paths=["outputs.score"])
        return dict(zip(rows.ids, rows.columns["outputs.score"].values.tolist(), strict=True))  # type: ignore[union-attr]

    before = sorted(scores(Window("rides", None, window.since)).values())
    middle, after = (before[9] + before[10]) / 2, scores(window)
    assert chosen == sorted(after, key=lambda one: -abs(after[one] - middle))[:3]


@pytest.mark.parametrize("arguments", [
    ("new", "a/b", "--ids", "p01"), ("new", "x", "--ids", "p01", "--worst", "3"), ("new", "x"),
    ("new", "x", "--ids", "p01", "--expect", "range:3"), ("new", "x", "--ids", "p01", "--expect", "text:("),
    ("run", "nowhere", "--pipeline", "a:b"), ("new", "x", "--around", "none.json"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(linear: Path, arguments: tuple[str, ...]) -> None:
    """Names, rules, choices and sessions that are none end with status 2 and keep nothing."""
    assert call(linear, "session", *arguments)[0] == 2
    assert sessions.names(linear / "home" / "sessions") == ()


def test_around_a_finding_and_unknown_ids(linear: Path) -> None:
    """A report's examples become the session; an id that the log lacks is too little evidence."""
    report = linear / "report.json"
    report.write_text(json.dumps({"findings": [
        {"rank": 1, "component": "inputs.km", "examples": [{"id": "p03"}, {"id": "p04"}]},
        {"rank": 2, "component": "steps.scale", "examples": [{"id": "p05"}]}, {"rank": 3, "component": "label", "examples": []},
    ]}))  # fmt: skip
    for finding, expected in (
        ((), ["p03", "p04"]),
        (("--finding", "2"), ["p05"]),
        (("--finding", "inputs.km"), ["p03", "p04"]),
    ):
        assert call(linear, "session", "new", "f", "--around", str(report), *finding)[0] == 0
        assert [r["id"] for r in sessions.load(linear / "home" / "sessions", "f").records] == expected
    code, _, err = call(linear, "session", "new", "g", "--around", str(report), "--finding", "4")
    assert code == 2
    assert "2 steps.scale" in err
    assert call(linear, "session", "new", "g", "--around", str(report), "--finding", "3")[0] == 2
    assert call(linear, "session", "new", "g", "--ids", "p03", "--finding", "1")[0] == 2
    assert call(linear, "session", "new", "g", "--ids", "p03,zz")[0] == 4


def test_values_that_json_lacks_come_back() -> None:
    """Times and infinities survive the file."""
    values = [datetime(2026, 3, 1, tzinfo=UTC), float("inf"), [1.0, float("-inf")], "a", None, True]
    assert [sessions.unplain(json.loads(json.dumps(sessions.plain(v), allow_nan=False))) for v in values] == values
