"""The parts of a real PyTorch model are steps. PyTorch is large: `make torch` installs it and runs this."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.record.readback import records
from whimbrel.doors.torch import SMALL, record_modules
from whimbrel.errors import UsageError
from whimbrel.record import Recorder

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what an import of torch says about itself is not ours
    torch: Any = pytest.importorskip(
        "torch", reason="PyTorch is not installed here: `make torch` installs it and runs this test"
    )


@pytest.fixture
def model() -> Any:
    torch.manual_seed(7)
    parts = {"encoder": torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU()), "head": torch.nn.Linear(4, 1)}
    made = torch.nn.Sequential()
    for name, part in parts.items():
        made.add_module(name, part)
    return made.eval()


def test_the_parts_named_are_steps_and_the_model_answers_as_it_did(model: Any, tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    row = torch.tensor([[1.0, 2.0]])
    before = model(row)
    with record_modules(model, recorder, ["encoder", "encoder.0"]), recorder.prediction({"a": 1.0, "b": 2.0}) as p:
        answer = model(row)
        p.output(float(answer.detach()))
    assert torch.equal(answer, before)
    (record,) = records(tmp_path)
    assert record["outputs.score"] == pytest.approx(before.item())
    assert record["steps.encoder.value"] == pytest.approx(model.encoder(row)[0].tolist())
    assert record["steps.encoder_0.value"] == pytest.approx(model.encoder[0](row)[0].tolist())
    assert "steps.head.value" not in record
    assert record["spans.encoder"] >= 0
    assert recorder.losses == {}


def test_large_and_half_precision_tensors_on_whatever_device(model: Any, tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device=device, dtype=torch.bfloat16)
    rows = torch.ones(SMALL, 2, device=device, dtype=torch.bfloat16)
    with record_modules(model, recorder), recorder.prediction({}):
        model(rows)
        model(rows[:1])
    (record,) = records(tmp_path)
    assert record["steps.encoder.shape"] == f"{SMALL}×4"
    assert record["steps.encoder.min"] >= 0
    assert record["steps.encoder.not_finite"] == 0
    assert len(record["steps.encoder_2.value"]) == 4


def test_outside_a_prediction_and_after_its_removal_nothing_is_recorded(model: Any, tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    hooks = record_modules(model, recorder)
    model(torch.ones(1, 2))
    hooks.remove()
    with recorder.prediction({}):
        model(torch.ones(1, 2))
    (record,) = records(tmp_path)
    assert not [name for name in record if name.startswith("steps.")]
    assert not model.encoder._forward_hooks


def test_a_part_that_is_not_there_is_refused(model: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no part 'decoder'"):
        record_modules(model, Recorder("fares", home=tmp_path), ["decoder"])
