"""What the steps of a pipeline are made of: their code, and the parameters that it reads. What two versions of a step have otherwise.

In: what names a pipeline, or an object. Out: `Part`s by step, and words. Named code is looked at in a process of its own, as it is run.
Nothing is called; what cannot be looked into is left out.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any

import msgspec

from whimbrel.record import source
from whimbrel.record.fingerprints import fingerprint
from whimbrel.record.steps import Step
from whimbrel.replay.pipelines import Pipeline, load

_LEAVES = 500
"""Single parameters of a step that are told one by one; the rest count by their fingerprint."""
_DEPTH = 6
_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
_SHOWN = 3
_SECRET = re.compile("key|secret|token|passw|credential", re.IGNORECASE)
"""Texts under such names are told by their fingerprint alone."""


class Part(msgspec.Struct):
    """A step's code, as lines that say nothing of layout or comments, and its parameters by name."""

    code: list[str] = []
    parameters: dict[str, Any] = {}


def parts(code: str | Pipeline, *, limit_s: float) -> dict[str, Part]:
    """The steps of a pipeline by the names that they are recorded under; empty where it cannot be looked into."""
    if not isinstance(code, str):
        return _of(code)
    environment = {**os.environ, "WHIMBREL": "replay"}
    try:
        ran = subprocess.run(
            [sys.executable, "-c", "from whimbrel.replay.artefacts import main; main()"], input=code.encode(), check=False,
            capture_output=True, timeout=limit_s, env=environment,
        )  # fmt: skip
        return msgspec.json.decode(ran.stdout, type=dict[str, Part])
    except (subprocess.TimeoutExpired, msgspec.DecodeError):
        return {}


def main() -> None:
    """The child: look into the pipeline that standard input names. What the code prints goes to standard error."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    out.write(msgspec.json.encode(_of(load(sys.stdin.read())), enc_hook=str))
    out.flush()
    os._exit(0)


def otherwise(old: Part | None, new: Part | None) -> str:
    """What a step has otherwise, in words that follow its name; empty where that is not known."""
    if old is None or new is None or not (old.code and new.code):
        return ""
    said = [_code(old.code, new.code), _parameters(old.parameters, new.parameters)]
    told = " and ".join(one for one in said if one)
    return told or "its code and parameters are the same, so it is what they read: a file, the environment, a library"


def _code(old: list[str], new: list[str]) -> str:
    if old == new:
        return ""
    lines = [(a, b) for a, b in zip(old, new, strict=False) if a != b]
    if len(old) == len(new) and all(a.startswith("value=") and b.startswith("value=") for a, b in lines):
        told = [f"{b.rpartition(':')[2]} where golden has {a.rpartition(':')[2]}" for a, b in lines[:_SHOWN]]
        return f"its code has {', '.join(told)}"
    if len(old) == len(new) == 1:
        return f"it is {new[0]} (golden: {old[0]})"
    return "its code is other"


def _parameters(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    names = [name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)]
    told = [f"{name} {_short(old, name)} → {_short(new, name)}" for name in names[:_SHOWN]]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"its parameters are others: {', '.join(told)}{more}" if told else ""


def _short(values: Mapping[str, Any], name: str) -> str:
    if name not in values:
        return "none"
    value = values[name]
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:40]


def _of(pipeline: Pipeline) -> dict[str, Part]:
    estimator, function = getattr(pipeline, "_estimator", None), getattr(pipeline, "_function", None)
    if estimator is not None:
        steps = [part for part in getattr(estimator, "steps", ()) if part[1] not in (None, "passthrough")]
        named = [(f"steps.{name}", part) for name, part in steps[:-1]] + [
            ("outputs", steps[-1][1] if steps else estimator)
        ]
        return {name: Part([_kind(part)], _flat(vars(part))) for name, part in named}
    return {f"steps.{step.name}": _part(inner) for step, inner in _steps(function)} if function is not None else {}


def _kind(value: Any) -> str:
    return f"{type(value).__module__.partition('.')[0]}.{type(value).__qualname__}"


def _part(function: FunctionType) -> Part:
    """A function's code with that of its helpers, and the values that they read."""
    code: list[str] = []
    parameters: dict[str, Any] = {}
    for one in _own(function):
        code += (
            (source.tree(one) or source.bytecode(one.__code__).hex().encode()).decode("utf-8", "replace").split("\n")
        )
        cells = zip(one.__code__.co_freevars, one.__closure__ or (), strict=False)
        read = {**dict(source.reads(one)), **{name: cell.cell_contents for name, cell in cells if _full(cell)}}
        parameters |= {name: value for name, value in read.items() if _tells(value)}
    return Part(code, _flat(parameters))


def _tells(value: Any) -> bool:
    """Whether a value that code reads is a parameter: no code, and not the environment, which is not the code's own."""
    if isinstance(value, ModuleType | type | type(os.environ)):
        return False
    return hasattr(value, "get_params") or not callable(value)


def _full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  an empty cell raises
    except ValueError:
        return False
    return True


def _steps(function: Any) -> Iterator[tuple[Step, FunctionType]]:
    """The functions under `@recorder.step` that a pipeline's function comes to, with their steps."""
    for one in _own(function, through=True):
        step = _step(one)
        if step is not None:
            inner = _bare(getattr(one, "__wrapped__", None))
            if inner is not None:
                yield step, inner


def _step(function: FunctionType) -> Step | None:
    cells = [cell.cell_contents for cell in function.__closure__ or () if _full(cell)]
    return next((value for value in cells if type(value) is Step), None)


def _own(function: Any, *, through: bool = False) -> list[FunctionType]:
    """The app's own functions that a function comes to, itself first; those of other steps only where it goes `through` them."""
    found: list[FunctionType] = []
    waiting = [function]
    while waiting:
        one = _bare(waiting.pop(0))
        if one is None or one in found or one.__code__.co_filename.startswith(_LIBRARIES):
            continue
        step = _step(one)
        if step is not None and not through:
            continue
        if step is None or through:
            found.append(one)
        waiting += [getattr(one, "__wrapped__", None)]
        waiting += [value for _, value in source.reads(one) if isinstance(value, FunctionType | MethodType)]
    return found


def _bare(function: Any) -> FunctionType | None:
    """The plain function behind a partial, a method or an object that can be called."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, MethodType):
        function = function.__func__
    if not isinstance(function, FunctionType):
        function = vars(type(function)).get("__call__")
    return function if isinstance(function, FunctionType) else None


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by path, single values as they are, what is large or strange by its fingerprint."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        _leaf(name, value, out, 0)
    return out


def _leaf(name: str, value: Any, out: dict[str, Any], depth: int) -> None:
    if hasattr(value, "tolist"):
        value = value.tolist() if getattr(value, "size", 1) <= _LEAVES else fingerprint(value)
    if isinstance(value, str) and _SECRET.search(name):
        out[name] = fingerprint(value)
    elif value is None or isinstance(value, bool | int | float | str):
        out[name] = value
    elif depth >= _DEPTH or len(out) >= _LEAVES:
        out[name] = fingerprint(value)
    elif isinstance(value, list | tuple):
        for i, one in enumerate(value):
            _leaf(f"{name}[{i}]", one, out, depth + 1)
    elif isinstance(value, dict):
        for key, one in value.items():
            _leaf(f"{name}[{key!r}]", one, out, depth + 1)
    elif hasattr(value, "get_params") and hasattr(value, "__dict__"):
        out[f"{name}.kind"] = _kind(value)
        for key, one in vars(value).items():
            _leaf(f"{name}.{key}", one, out, depth + 1)
    else:
        out[name] = fingerprint(value)
