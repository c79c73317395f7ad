"""The swap matrix: a declared change is laid at the door of the artefact that made it, and the shares add up."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from tests.replay import serving
from whimbrel.model.swap import Swap
from whimbrel.replay.artefacts import Part, _flat, otherwise
from whimbrel.replay.swap import MOST, REST, swap
from whimbrel.stats.shapley import shapley

SCALE = ("- 4.0) / 2.5", "- 8.0) / 2.5")
ENCODE = ("hour % 24", "(hour + 9) % 24")
BUCKET = ('int(row["minutes"] // 5)', 'int(row["minutes"] // 5) + 4')
CALIBRATE = ("-1.2 * raw + 0.1", "-2.0 * raw - 0.4")
THRESHOLD = (">= 0.5", ">= 0.62")
CLEAN = ("else 3.0", "else 9.0")


def rides(n: int = 200) -> list[dict[str, Any]]:
    """Recorded rides: raw inputs, a read, a label."""
    rng = random.Random(5)
    out = []
    for i in range(n):
        ride = serving.inputs(rng)
        record = {f"inputs.{name}": value for name, value in ride.items() if value is not None}
        out.append({
            "id": str(i), "ts": i, **record, "steps.base_fare.value": rng.random(), "recorder.reads": ["base_fare"],
            "label": float(ride["minutes"] > 30),
        })  # fmt: skip
    return out


def swapped(home: Path, *changes: tuple[str, str], records: list[dict[str, Any]] | None = None) -> Swap:
    """The app with changes against the app without, both as functions of this process."""
    golden, declared = serving.app(home), serving.app(home, *changes)
    return swap(declared.predict, golden.predict, rides() if records is None else records)


def adds_up(result: Swap) -> None:
    """Each measure's shares sum to the whole change: efficiency."""
    for measure, whole in (("flipped", result.whole.flips), ("score_shift_sd", result.whole.score_shift_sd or 0.0)):
        assert sum(one.shares[measure] for one in result.artefacts) == pytest.approx(whole, abs=1e-5)


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=16, max_size=16))
def test_shapley_values_add_up_whatever_the_worths(worths: list[float]) -> None:
    """Efficiency: what all reach beyond none is shared without a rest."""
    players = ["a", "b", "c", "d"]
    worth = {frozenset(p for j, p in enumerate(players) if i >> j & 1): value for i, value in enumerate(worths)}
    assert sum(shapley(players, worth).values()) == pytest.approx(worths[-1] - worths[0], abs=1e-9)


def test_a_player_who_never_matters_gets_nothing_and_equals_get_the_same() -> None:
    """The other two axioms on the glove game: a left glove and either of two right ones make a pair, a hat nothing."""
    sets = [frozenset(s) for s in ("", *"lrRh", "lr", "lR", "lh", "rR", "rh", "Rh", "lrR", "lrh", "lRh", "rRh", "lrRh")]
    found = shapley(list("lrRh"), {s: float("l" in s and bool(s & {"r", "R"})) for s in sets})
    assert found == pytest.approx({"l": 2 / 3, "r": 1 / 6, "R": 1 / 6, "h": 0.0})


@pytest.mark.parametrize(
    ("change", "name", "kind", "words"),
    [
        (SCALE, "steps.scale", "step", "steps.scale.km is 1.6 too low"),
        (ENCODE, "steps.encode", "step", "turned by 9 of 24"),
        (CALIBRATE, "steps.calibrate", "step", "steps.calibrate.value is"),
        (THRESHOLD, "decision", "threshold", "'accept' from 0.6"),
        (("p.output(score)", "p.output(score * 0.9)"), "outputs", "model", "1.11111 times smaller"),
    ],
)  # fmt: skip
def test_a_single_declared_change_is_named(
    tmp_path: Path, change: tuple[str, str], name: str, kind: str, words: str
) -> None:
    """One artefact differs, it bears the whole change, and its words say how."""
    result = swapped(tmp_path, change)
    (one,) = result.artefacts
    assert (one.name, one.kind) == (name, kind)
    assert words in one.says
    assert one.alone == result.whole
    assert one.undone.flipped == result.whole.flipped
    assert (result.whole.flipped > 0) == (kind != "model")  # the app decides by the score before it is scaled
    adds_up(result)


def test_of_two_changes_each_bears_its_part(tmp_path: Path) -> None:
    """A large and a small change are told apart, and what they do together is shared."""
    result = swapped(tmp_path, SCALE, BUCKET)
    assert [one.name for one in result.artefacts] == ["steps.scale", "steps.encode"]
    assert result.artefacts[0].shares["flipped"] > result.artefacts[1].shares["flipped"]
    told = [one["declared"] for one in result.to_dict()["matrix"]]
    assert told == [[], ["steps.scale"], ["steps.encode"], ["steps.scale", "steps.encode"]]
    adds_up(result)


def test_two_changes_that_make_up_for_each_other_are_both_seen(tmp_path: Path) -> None:
    """Together they change next to nothing; alone each does, and the answer says so."""
    result = swapped(tmp_path, ("- 4.0) / 2.5", "- 4.0) / 5.0"), ('0.8 * scaled["km"]', '1.6 * scaled["km"]'))
    assert {one.name for one in result.artefacts} == {"steps.scale", "steps.calibrate"}
    assert result.whole.flipped == 0
    assert all(one.alone.flipped > 0 and one.undone.flipped > 0 for one in result.artefacts)
    assert "make up for each other" in result.sentence
    adds_up(result)


def test_code_and_threshold_that_change_at_once_are_told_apart(tmp_path: Path) -> None:
    """The model's answer and the decision's threshold, which no step lies between: the decision is read off the score."""
    tail = ("    score = calibrate(raw)", "    score = calibrate(raw) * 0.8")
    result = swapped(tmp_path, tail, THRESHOLD)
    assert {one.name for one in result.artefacts} == {"outputs", "decision"}
    assert all(one.alone.flipped > 0 for one in result.artefacts)
    adds_up(result)


def test_labels_say_which_change_made_it_worse(tmp_path: Path) -> None:
    """The loss is shared out like the decisions: the spoiled calibration bears it, and the threshold has no part."""
    result = swapped(tmp_path, ("-1.2 * raw + 0.1", "1.2 * raw + 0.1"), THRESHOLD)
    shares = {one.name: one.shares["loss"] for one in result.artefacts}
    assert result.whole.loss_z > 3
    assert shares["steps.calibrate"] == pytest.approx(
        (result.whole.loss_after or 0) - (result.whole.loss_before or 0), abs=1e-5
    )
    assert shares["decision"] == pytest.approx(0, abs=1e-6)


def test_many_changes_become_three_and_the_rest(tmp_path: Path) -> None:
    """More than four artefacts are three and the rest, and still add up."""
    result = swapped(tmp_path, SCALE, ENCODE, CALIBRATE, THRESHOLD, CLEAN)
    assert len(result.artefacts) == MOST
    assert REST in {one.name for one in result.artefacts}
    assert len(result.matrix) == 2**MOST
    adds_up(result)


def test_equal_code_is_cleared_with_what_n_rules_out(tmp_path: Path) -> None:
    """No artefact, and the share of predictions above which a difference would have shown."""
    result = swapped(tmp_path)
    assert result.artefacts == ()
    assert result.sentence.startswith("EQUAL")
    assert result.misses_at_most == pytest.approx(1 - 0.01 ** (1 / 200))


def test_a_step_that_is_random_is_said_and_not_blamed(tmp_path: Path) -> None:
    """What differs from itself is no artefact."""
    result = swapped(tmp_path, ('"weekday": weekday', '"weekday": weekday + random.random()'))
    assert "steps.encode" not in {one.name for one in result.artefacts}
    assert any("steps.encode" in note and "itself" in note for note in result.notes)


def test_code_that_always_fails_cannot_be_told(tmp_path: Path) -> None:
    """There is no outcome to share out."""
    result = swapped(tmp_path, ("    scaled = scale(row)", "    raise RuntimeError"))
    assert result.sentence.startswith("CANNOT TELL")


# ---------------------------------------------------------------- scikit-learn, whose decision is made elsewhere


def scored(model: Pipeline, rows: Any, cut: float) -> list[dict[str, Any]]:
    """What a service around the model recorded: inputs, score, and its own decision."""
    scores = model.predict_proba(rows)[:, 1]
    return [
        {
            "id": str(i), "ts": i, "inputs.a": float(row[0]), "inputs.b": float(row[1]), "outputs.score": float(score),
            "decision": "yes" if score >= cut else "no",
        } for i, (row, score) in enumerate(zip(rows, scores, strict=True))
    ]  # fmt: skip


def test_a_scaler_s_parameter_and_a_threshold_outside_the_pipeline(tmp_path: Path) -> None:
    """Named steps of two scikit-learn pipelines are swapped; the decision is read off what was recorded of both times."""
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1, (300, 2))
    golden = Pipeline([("scale", StandardScaler()), ("model", LogisticRegression())]).fit(rows, rows[:, 0] > rows[:, 1])
    declared = copy.deepcopy(golden)
    declared.named_steps["scale"].mean_[0] += 1.0
    before, after = scored(golden, rows, 0.5), scored(declared, rng.normal(0, 1, (200, 2)), 0.7)
    result = swap(declared, golden, after, before=before)
    assert {one.name for one in result.artefacts} == {"steps.scale", "decision"}
    assert all(one.alone.flipped > 5 for one in result.artefacts)
    scale = next(one.says for one in result.artefacts if one.name == "steps.scale")
    assert f"parameters are others: mean_[0] {golden.named_steps['scale'].mean_[0]:.6g} → " in scale
    assert "'yes' from 0.7" in next(one.says for one in result.artefacts if one.name == "decision")
    adds_up(result)


def test_another_kind_of_scaler_is_the_same_step() -> None:
    """Equal names make equal steps, whatever stands behind them."""
    rows = np.random.default_rng(1).normal(0, 1, (200, 2))
    golden = Pipeline([("scale", StandardScaler()), ("model", LogisticRegression())]).fit(rows, rows[:, 0] > 0)
    declared = copy.deepcopy(golden)
    declared.steps[0] = ("scale", MinMaxScaler().fit(rows))
    records = scored(declared, rows, 0.5)
    result = swap(declared, golden, records)
    assert [one.name for one in result.artefacts] == ["steps.scale"]
    assert "it is sklearn.MinMaxScaler (golden: sklearn.StandardScaler)" in result.artefacts[0].says


# ---------------------------------------------------------------- named code: what a step is made of


def test_code_is_told_from_parameters_in_named_files(tmp_path: Path) -> None:
    """A constant in the code, a table that the code reads, other code: each is said as what it is."""
    order = ('"amsterdam", "bern"', '"bern", "amsterdam"')
    clip = ('(row["km"] - 4.0) / 2.5', 'min((row["km"] - 4.0) / 2.5, 0.5)')
    files = {
        "golden": serving.write(tmp_path, name="golden"), "constant": serving.write(tmp_path, SCALE, name="constant"),
        "table": serving.write(tmp_path, order, name="table"), "code": serving.write(tmp_path, clip, name="code"),
    }  # fmt: skip

    def said(name: str) -> str:
        (one,) = swap(f"{files[name]}:predict", f"{files['golden']}:predict", rides(40)).artefacts
        return one.says

    assert "its code has 8.0 where golden has 4.0" in said("constant")
    assert "its parameters are others: CITIES[0] amsterdam → bern, CITIES[1] bern → amsterdam" in said("table")
    assert "its code is other" in said("code")


def test_a_secret_that_code_reads_is_never_shown() -> None:
    """A key that differs is told by its fingerprint, and the environment not at all."""
    old, new = (Part(["same"], _flat({"API_KEY": value, "n": 1})) for value in ("hunter2", "hunter3"))
    told = otherwise(old, new)
    assert "API_KEY f1-" in told
    assert "hunter" not in told


def test_a_step_that_reads_another_file_has_equal_code_and_parameters(tmp_path: Path) -> None:
    """Neither is blamed: what they read is."""
    read = ('"hour": hour % 24', '"hour": (hour + int(open(os.environ["SHIFT"]).read())) % 24')
    for version, shift in (("v1", "0"), ("v2", "9")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "shift.txt").write_text(shift)
        setting = f"import os; os.environ['SHIFT'] = {str(tmp_path / version / 'shift.txt')!r}"
        serving.write(tmp_path / version, read, ("FARES = {}", f"{setting}\nFARES = {{}}"), name="app")
    (one,) = swap(f"{tmp_path}/v2/app.py:predict", f"{tmp_path}/v1/app.py:predict", rides(40)).artefacts
    assert one.name == "steps.encode"
    assert "its code and parameters are the same, so it is what they read" in one.says
