"""Planted skews between what served and the training-time code are found at the right step and field; honest code is equal."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

import whimbrel
from tests.replay import serving
from whimbrel.model.parity import Parity
from whimbrel.model.window import Window
from whimbrel.replay import parity

START = 1_700_000_000
BREAK = START + 60 * 150

SKEWS = [
    ("steps.scale", "steps.scale.km", "smaller", [("- 4.0) / 2.5", "- 4.0) / 2.6")]),
    ("steps.scale", "steps.scale.minutes", "too low", [("- 20.0) / 9.0", "- 23.0) / 9.0")]),
    ("steps.scale", "steps.scale.km", "swapped", [('{"km": (row["km"] - 4.0) / 2.5, "minutes": (row["minutes"] - 20.0) / 9.0}',
        '{"minutes": (row["km"] - 4.0) / 2.5, "km": (row["minutes"] - 20.0) / 9.0}')]),
    ("steps.clean", "steps.clean.km", "0 where the code makes 3", [("else 3.0", "else 0.0")]),
    ("steps.clean", "steps.clean.km", "null where the code fills 3", [("km if km is not None else 3.0", "km"),
        ('(row["km"] - 4.0)', '((row["km"] or 3.0) - 4.0)')]),
    ("steps.clean", "steps.clean.km", "clipped from above", [("km if km is not None else 3.0", "min(km or 3.0, 4.0)")]),
    ("steps.clean", "steps.clean.minutes", "rounded to whole numbers", [('"minutes": minutes', '"minutes": float(round(minutes))')]),
    ("steps.clean", "steps.clean.city", "another case", [(".strip().lower()", ".strip().lower().upper().lower().replace('b', 'B')"),
        ('"bern"', '"Bern"')]),
    ("steps.encode", "steps.encode.city", "another order of categories",
        [('"amsterdam", "bern", "cairo"', '"cairo", "amsterdam", "bern"')]),
    ("steps.encode", "steps.encode.hour", "turned by 2 of 24", [("hour % 24", "(hour + 2) % 24")]),
    ("steps.encode", "steps.encode.weekday", "turned by 1 of 7", [('"weekday": weekday', '"weekday": (weekday + 1) % 7')]),
    ("steps.encode", "steps.encode.bucket", "off by one", [("// 5)", "// 5) + 1")]),
    ("steps.calibrate", "steps.calibrate.value", "", [("-1.2 * raw + 0.1", "-raw")]),
    ("outputs", "outputs.score", "one minus", [("p.output(score)", "p.output(1 - score)")]),
    ("decision", "decision", "refuse where the code makes accept", [(">= 0.5", ">= 0.62")]),
]  # fmt: skip


def played(home: Path, *changes: tuple[str, str], code: list[tuple[str, str]] | None = None, spec: str = "predict",
           n: int = 260, host: str = "") -> Parity:  # fmt: skip
    """Serve golden, then a window with changes (on one host, where one is named), and replay the window."""
    hosts = ["h0", "h1", "h2"]

    def of(i: int) -> str:
        return hosts[i % 3]

    serving.serve(serving.app(home), 150, start=START, seed=1, host=of)
    if host:
        serving.serve(serving.app(home), n, start=BREAK, seed=2, host=lambda i: of(i) if of(i) != host else "h1")
        serving.serve(serving.app(home, *changes), n // 4, start=BREAK + 30, seed=3, host=lambda _: host)
    else:
        serving.serve(serving.app(home, *changes), n, start=BREAK, seed=2, host=of)
    file = serving.write(home, *(code or []))
    log = whimbrel.open(home)
    log.ingest()
    return parity(log, f"{file}:{spec}", window=Window("rides", datetime.fromtimestamp(BREAK, UTC), None))


@pytest.mark.parametrize(("step", "path", "words", "changes"), SKEWS, ids=[f"{s[1]}-{s[2]}" for s in SKEWS])
def test_a_skew_is_found_at_its_step_field_and_kind(
    tmp_path: Path, step: str, path: str, words: str, changes: list[tuple[str, str]]
) -> None:
    """Step, field and the kind of difference are named, and no later step is blamed for what it was handed."""
    result = played(tmp_path, *changes)
    assert result.first is not None
    assert result.first.name == step
    assert path in {one.path for one in result.first.differences}
    assert words in next(one.shape for one in result.first.differences if one.path == path)
    assert [s.name for s in result.steps if s.standing == "different"] == [step]
    assert all(one.golden_differ == 0 for one in result.first.differences)


def test_honest_code_is_equal_though_the_world_has_moved_on(tmp_path: Path) -> None:
    """Recorded reads are played back: the fares of today are not asked."""
    result = played(tmp_path)
    assert result.first is None
    assert {s.standing for s in result.steps} == {"equal"}
    assert len(result.steps) == 6
    assert result.notes == ()
    assert result.misses_at_most == pytest.approx(1 - 0.01 ** (1 / 260))


def test_a_skew_on_one_host_names_the_host(tmp_path: Path) -> None:
    """The condition that holds for the differing predictions, and for no other, is said."""
    result = played(tmp_path, ("else 3.0", "else 0.0"), ('"minutes": minutes', '"minutes": minutes / 60'), host="h2")
    assert result.first is not None
    minutes = next(one for one in result.first.differences if one.path == "steps.clean.minutes")
    assert minutes.shape == "60 times smaller"
    assert [str(c) for c in minutes.where] == ["context.host=h2"]


def test_code_that_raises_is_a_finding_about_its_step(tmp_path: Path) -> None:
    """An exception in the replayed code names the step, the error and how many predictions it hit."""
    result = played(tmp_path, code=[("city.strip().lower()", '{"Amsterdam": "amsterdam"}[city]')])
    assert result.first is not None
    assert (result.first.name, result.first.standing) == ("steps.clean", "failed")
    assert "KeyError" in result.first.says


def test_code_that_kills_its_process_is_a_finding_too(tmp_path: Path) -> None:
    """A crash on one prediction costs that one, and the others are judged."""
    crash = "    if hour == 3 and weekday == 2 and country: import os; os.abort()\n"
    result = played(tmp_path, code=[("    scaled = scale(row)", f"{crash}    scaled = scale(row)")])
    assert any("SIGABRT" in note for note in result.notes)
    assert result.first is not None
    assert result.first.standing == "failed"


def test_a_step_with_hidden_state_is_not_replayable_and_not_cleared(tmp_path: Path) -> None:
    """What does not agree with itself is neither equal nor different."""
    result = played(tmp_path, code=[("- 4.0) / 2.5", "- 4.0) / 2.5 + random.random()")])
    scale = next(s for s in result.steps if s.name == "steps.scale")
    assert scale.standing == "not replayable"
    assert any("not cleared" in note for note in result.notes)
    assert [s.name for s in result.steps if s.standing == "different"] == []


def test_code_that_hangs_is_ended(tmp_path: Path) -> None:
    """The time limit ends it, and the answer says so."""
    serving.serve(serving.app(tmp_path), 60, start=START, seed=1, host=lambda _: "h0")
    file = serving.write(
        tmp_path, ("    scaled = scale(row)", "    import time; time.sleep(60)\n    scaled = scale(row)")
    )
    log = whimbrel.open(tmp_path)
    log.ingest()
    result = parity(log, f"{file}:predict", window=Window("rides"), limit_s=2.0)
    assert result.first is not None
    assert "longer than 2 s" in result.first.says


def test_a_read_that_was_not_recorded_is_said(tmp_path: Path) -> None:
    """Code that looks at the world where production did not cannot be replayed exactly."""
    result = played(tmp_path, code=[("    raw = 0.8", '    recorder.read("tariff", lambda: 1)\n    raw = 0.8')])
    assert any("'tariff'" in note for note in result.notes)


def test_replaying_records_nothing(tmp_path: Path) -> None:
    """The log holds after a replay what it held before, also where the app's own recorder runs in this process."""
    one = serving.app(tmp_path)
    serving.serve(one, 60, start=START, seed=1, host=lambda _: "h0")
    log = whimbrel.open(tmp_path)
    log.ingest()
    decorated = one.recorder.predict(one.predict)
    result = parity(log, decorated, window=Window("rides"))
    assert log.ingest().to_dict()["predictions"] == 0
    assert {s.name: s.standing for s in result.steps}["steps.clean"] == "equal"


def test_the_command_answers_with_its_exit_status(tmp_path: Path) -> None:
    """`whimbrel parity` prints the first divergence and exits 1; `replay ID` does the same for single predictions."""
    from click.testing import CliRunner

    from whimbrel.cli.app import whimbrel as program

    result = played(tmp_path, ("- 4.0) / 2.5", "- 4.0) / 2.6"))
    assert result.first is not None
    one = str(result.first.differences[0].examples[0]["id"])
    asked = ["--home", str(tmp_path), "--pipeline", f"{tmp_path}/train.py:predict"]
    said = CliRunner().invoke(program, ["parity", "--last", "2h", *asked], standalone_mode=False)
    assert said.return_value == 1
    assert "`steps.scale` is the first step that differs" in said.output
    again = CliRunner().invoke(program, ["replay", one, "--json", *asked], standalone_mode=False)
    assert again.return_value == 1
    assert '"first": "steps.scale"' in again.output
