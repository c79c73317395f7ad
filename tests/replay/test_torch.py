"""A PyTorch module as a pipeline: its recorded parts are steps. PyTorch is large: `make torch` installs it and runs this."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import whimbrel
from whimbrel.doors.torch import record_modules
from whimbrel.model.parity import Parity
from whimbrel.model.window import Window, where_of
from whimbrel.replay import parity, pipeline_of
from whimbrel.replay.played import Answers

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what an import of torch says about itself is not ours
    torch: Any = pytest.importorskip(
        "torch", reason="PyTorch is not installed here: `make torch` installs it and runs this test"
    )


@pytest.fixture
def model() -> Any:
    """Three inputs, two layers with names, one score."""
    torch.manual_seed(7)
    made = torch.nn.Sequential()
    made.add_module("scale", torch.nn.BatchNorm1d(3))
    made.add_module("encoder", torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()))
    made.add_module("head", torch.nn.Linear(4, 1))
    made.scale.running_mean[:] = torch.tensor([1.0, 2.0, 3.0])
    return made.eval()


def replayed(
    home: Path, served: Any, code: Any, *, n: int = 80, names: tuple[str, ...] = ("scale", "encoder", "head")
) -> Parity:
    """Serve golden with `code` and a window with `served`, one row at a time, and replay the window through `code`."""
    recorder = whimbrel.Recorder("rides", home=home)
    rng = np.random.default_rng(0)
    for part, one, rows in (("golden", code, 60), ("window", served, n)):
        with record_modules(one, recorder, names), torch.no_grad():
            for row in rng.normal(2, 1, (rows, 3)).astype(np.float32):
                with recorder.prediction(dict(zip("abc", row.tolist(), strict=True)), part=part) as p:
                    p.output(float(one(torch.from_numpy(row[None]))))
    log = whimbrel.open(home)
    log.ingest()
    windows = (Window("rides", where=where_of({"context.part": part})) for part in ("window", "golden"))
    return parity(log, code, window=next(windows), golden_window=next(windows))


def test_an_honest_module_is_equal(tmp_path: Path, model: Any) -> None:
    """Each part makes the same bits again."""
    result = replayed(tmp_path, model, model)
    assert result.first is None, result.sentence
    assert {s.name: (s.standing, s.compared) for s in result.steps} == dict.fromkeys(
        ("steps.scale", "steps.encoder", "steps.head", "outputs"), ("equal", 80)
    )


class Recurrent(torch.nn.Module):  # type: ignore[misc]
    """Takes its rows for a sequence: two of them at once are something else than each."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = torch.nn.GRU(3, 2)
        self.head = torch.nn.Linear(2, 1)

    def forward(self, rows: Any) -> Any:
        """One score a row."""
        return self.head(self.encoder(rows)[0])


def test_a_part_that_returns_two_tensors(tmp_path: Path) -> None:
    """It is compared in both, and a skew in the part after it is found there."""
    torch.manual_seed(7)
    code = Recurrent().eval()
    served = copy.deepcopy(code)
    with torch.no_grad():
        served.head.bias += 0.5
    result = replayed(tmp_path, served, code, names=("encoder", "head"))
    assert {s.name: s.standing for s in result.steps} == {
        "steps.encoder": "equal", "steps.head": "different", "outputs": "equal"
    }  # fmt: skip
    assert "0.5 too high" in result.sentence


class Picky(torch.nn.Module):  # type: ignore[misc]
    """Refuses what holds a seven."""

    def forward(self, rows: Any) -> Any:
        """The first field of each row."""
        if bool((rows == 7).any()):
            raise ValueError("no sevens")
        return rows[:, :1] * 2


def test_a_row_that_fails_is_the_only_one() -> None:
    """The others are answered all the same."""
    records = [{"inputs.a": float(i), "inputs.b": 0.5} for i in range(9)]
    answers = Answers.of(pipeline_of(Picky()).play(records, free=False, heed=lambda _: None))
    assert [answer.failed for answer in answers] == [""] * 7 + ["ValueError: no sevens", ""]
    assert [answer.out.get("outputs.score") for answer in answers] == [0, 2, 4, 6, 8, 10, 12, None, 16]


def _scaled(model: Any) -> None:
    model.scale.running_mean *= 1.1


def _headed(model: Any) -> None:
    model.head.bias += 0.5


def _halved(model: Any) -> None:
    with torch.no_grad():
        model.encoder[0].weight[:] = model.encoder[0].weight.half().float()


@pytest.mark.parametrize(
    ("spoil", "first"), [(_scaled, "steps.scale"), (_halved, "steps.encoder"), (_headed, "steps.head")]
)
def test_a_skew_inside_a_module(tmp_path: Path, model: Any, spoil: Callable[[Any], None], first: str) -> None:
    """The part whose parameters differ is first, and no part before or after it is blamed but what comes of the last."""
    served = copy.deepcopy(model)
    with torch.no_grad():
        spoil(served)
    result = replayed(tmp_path, served, model)
    assert result.first is not None
    assert result.first.name == first
    assert [s.name for s in result.steps if s.standing == "different"] == [first]
