"""A session as a folder that any pytest can run: its data as JSON, and one test file that needs neither whimbrel nor its log.

In: a session and the code to test. Out: `predictions.json` and `test_<name>.py`. The test file carries the source of the
functions that `session run` itself uses, so both call the code and judge its answer by the same rules.
"""

from __future__ import annotations

import inspect
import json
import os
import re
from pathlib import Path

from whimbrel.errors import EvidenceError, UsageError
from whimbrel.replay.expect import main_output, unmet
from whimbrel.replay.pipelines import calling
from whimbrel.replay.record import gap, nested, same
from whimbrel.replay.sessions import Session, plain, recorded_steps, unplain

_DATA = "predictions.json"
_GIVEN = ("inputs.", "context.", "steps.", "recorder.reads", "error")
"""What the code may see of a record: of steps those that were read from the world."""

_HEAD = '''"""Session {name!r}: {n} recorded predictions through {pipeline}, each of which must meet its expectation.

Run it with pytest, from anywhere. WHIMBREL_PIPELINE names other code: file.py:attribute or module:attribute. Where whimbrel is
installed, steps under its recorder are judged too, each on the inputs that it received; else what the code returns is.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import json
import math
import os
import re
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
PIPELINE = os.environ.get("WHIMBREL_PIPELINE") or {pipeline!r}
os.environ.setdefault("WHIMBREL", "replay")  # code that records records nothing here
SESSION = json.loads((HERE / "{data}").read_text(encoding="utf-8"))
Record = dict[str, Any]
'''

_TAIL = '''
def load(spec: str) -> Any:
    """The code that a text names; a file is sought from this folder."""
    place, _, attribute = spec.rpartition(":")
    if place.endswith(".py"):
        path = (HERE / place).resolve()
        sys.path.insert(0, str(path.parent))
        found = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(found)
        sys.modules[path.stem] = module
        found.loader.exec_module(module)
    else:
        sys.path.insert(0, str(Path.cwd()))
        module = importlib.import_module(place)
    for name in attribute.split("."):
        module = getattr(module, name)
    return module


def outputs(answer: Any, path: str = "outputs") -> Record:
    """What the code returned, by dotted path; a single value is the score."""
    if isinstance(answer, dict):
        return {p: v for name, part in answer.items() for p, v in outputs(part, f"{path}.{name}").items()}
    answer = answer.tolist() if hasattr(answer, "tolist") else answer
    answer = list(answer) if isinstance(answer, tuple) else answer
    return {"outputs.score" if path == "outputs" else path: answer}


def made(code: Callable[..., Any], record: Record) -> tuple[Record, bool]:
    """What the code makes of a prediction's inputs; whether its steps were heard."""
    try:
        from whimbrel.replay import pipeline_of
    except ImportError:
        answer = calling(code)(record)
        return outputs(asyncio.run(answer) if inspect.iscoroutine(answer) else answer), False
    free = SESSION["expect"] != "recorded"
    played = next(iter(pipeline_of(code).play([record], free=free, heed=lambda _: None)))
    assert not played.failed or "error" in record, f"{played.failed_in or 'the code'}: {played.failed}"
    return played.out, True


@pytest.fixture(scope="session")
def code() -> Callable[..., Any]:
    found = load(PIPELINE)
    assert callable(found), f"{PIPELINE} is no function"
    return found


@pytest.mark.parametrize("prediction", SESSION["predictions"], ids=[p["id"] for p in SESSION["predictions"]])
def test_prediction(code: Callable[..., Any], prediction: dict[str, Any]) -> None:
    given, wanted = ({path: unplain(v) for path, v in prediction[part].items()} for part in ("given", "wanted"))
    out, heard = made(code, given | wanted)
    returned = {path: value for path, value in wanted.items() if path.startswith("outputs.")}
    steps = {path: wanted[path] for path in out if path in wanted} if heard else {}
    where, why = unmet(SESSION["expect"], steps | returned, unplain(prediction["label"]), out, SESSION["tolerance"])
    assert not why, f"{where}: {why}"
'''


def export(session: Session, folder: Path, pipeline: str) -> Path:
    """Write a session as a folder of data and a pytest file; the file.

    Where the recorded values are the rule the outputs must be equal, and, where the test runs beside whimbrel, each recorded step
    that the code makes.

    Raises:
        UsageError: the code is not named as a function's place, or the folder cannot be written.
        EvidenceError: nothing was recorded that a test could expect.
    """
    place, _, attribute = pipeline.rpartition(":")
    if not place or not attribute or "/" in attribute:
        raise UsageError(
            f"{pipeline!r} names no function",
            where="--pipeline",
            next="write it as train.py:predict or app.train:predict",
        )
    if place.endswith(".py"):
        place = os.path.relpath(Path(place).resolve(), folder.resolve())
    predictions = []
    for record, label in zip(session.records, session.labels, strict=True):
        judged = recorded_steps(record)
        wanted = {path: plain(value) for path, value in record.items() if path in judged}
        if session.expect == "recorded" and not any(path.startswith("outputs.") for path in wanted):
            raise EvidenceError(
                f"prediction {record.get('id')} has no recorded output", where=f"session {session.name}",
                why="it failed or never ended", next="make the session without it, or with another --expect",
            )  # fmt: skip
        given = {path: plain(v) for path, v in record.items() if path not in judged and path.startswith(_GIVEN)}
        predictions.append({"id": str(record.get("id")), "given": given, "wanted": wanted, "label": plain(label)})
    data = {"expect": session.expect, "tolerance": session.tolerance, "predictions": predictions}
    head = _HEAD.format(name=session.name, n=len(predictions), pipeline=f"{place}:{attribute}", data=_DATA)
    functions = (inspect.getsource(one) for one in (same, gap, nested, main_output, unmet, calling, unplain))
    path = folder / f"test_{re.sub(r'[^A-Za-z0-9]', '_', session.name)}.py"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _DATA).write_text(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
        path.write_text("\n\n".join([head, *functions]) + "\n" + _TAIL, "utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write {folder}", where="-o", why=error.strerror or str(error), next="name another folder"
        ) from error
    return path
