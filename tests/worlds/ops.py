"""Preprocessing steps as values: each reads some columns and writes one. A fault swaps its parameters or function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .world import Array, Cols


def num(x: Array) -> Array:
    """The column as floats; what is no number becomes NaN, as a lenient parser has it."""
    if x.dtype.kind in "fiub":
        return x.astype(float)
    return np.asarray([v if isinstance(v, (int, float)) and v is not None else np.nan for v in x], dtype=float)


@dataclass(frozen=True)
class Op:
    """One output of one step: `out` is its path, `kind` the function, `args` the paths it reads, `p` its parameters."""

    out: str
    kind: str
    args: tuple[str, ...]
    p: Mapping[str, Any] = field(default_factory=dict)

    @property
    def step(self) -> str:
        """The step's name."""
        return self.out.split(".")[1]

    def __call__(self, c: Cols) -> Array:
        """The output for every row."""
        return KINDS[self.kind](c, self.args, self.p)

    def but(self, **changes: Any) -> Op:
        """The same step with other parameters."""
        return replace(self, p={**self.p, **changes})


def _impute(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    x = num(c[a[0]])
    return np.where(np.isnan(x), p["value"], x)


def _fill(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    return np.asarray([p["value"] if v is None else v for v in c[a[0]]], dtype=object)


def _ordinal(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    return np.asarray([p["map"].get(v, p.get("unknown", -1)) for v in c[a[0]]], dtype=float)


def _is(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    return np.asarray([1.0 if v == p["value"] else 0.0 for v in c[a[0]]])


def _log(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    x = np.maximum(num(c[a[0]]) + p.get("shift", 1.0), 1e-9)
    return np.asarray(np.log(x) / np.log(p.get("base", np.e)))


def _clip(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    return np.clip(num(c[a[0]]), p["low"], p["high"])


def _scale(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    return np.asarray((num(c[a[0]]) - p["mean"]) / p["sd"])


def _ratio(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    top, bottom = num(c[a[0]]), num(c[a[1]])
    return np.asarray(
        np.where(bottom < p.get("floor", 1e-6), p.get("default", 0.0), top / np.maximum(bottom, p.get("floor", 1e-6)))
    )


def _diff(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    return num(c[a[0]]) - num(c[a[1]])


def _times(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    return num(c[a[0]]) * num(c[a[1]])


def _bucket(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    return np.digitize(num(c[a[0]]), p["edges"]).astype(float)


def _lookup(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    return np.asarray([p["table"].get(v, p["default"]) for v in c[a[0]]], dtype=float)


def _store(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    return num(c[p.get("column", f"_store.{a[0]}")])


def _sin(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    return np.asarray(np.sin(2 * np.pi * (num(c[a[0]]) - p.get("phase", 0.0)) / p["period"]))


def _length(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    return np.asarray([float(len(v)) if v else 0.0 for v in c[a[0]]])


def _words(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    """How many of some marked words a text holds."""
    marked = p["words"]
    return np.asarray([float(sum(word in marked for word in v.split())) if v else 0.0 for v in c[a[0]]])


def _norm(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    return np.asarray([str(v).strip().lower() if v is not None else "" for v in c[a[0]]], dtype=object)


def _copy(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    return c[a[0]]


def _curve(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    """The power curve of a turbine."""
    return np.clip(9.5 * np.maximum(num(c[a[0]]), 0) ** 2.2, 0, 2300)


def _spread(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    stack = np.column_stack([num(c[x]) for x in a])
    return np.asarray(stack.max(1) - stack.min(1))


def _embed(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    """A picture's embedding, one list a row: what it shows (`_z`), moved where the normalised light is far off."""
    off = np.nan_to_num(np.stack([num(c[x]) for x in a]))
    push = 0.25 * (
        np.maximum(np.abs(off[0]) - 2, 0) * np.sign(off[0]) + np.maximum(np.abs(off[1]) - 2.5, 0) * np.sign(off[1])
    )
    z = c["_z"] + np.clip(push, -6, 6)[:, None] * np.cos(np.arange(c["_z"].shape[1]))
    out = np.empty(len(z), dtype=object)
    for i, row in enumerate(np.round(z, 4).tolist()):
        out[i] = row
    return out


def _prompt(c: Cols, a: tuple[str, ...], p: Mapping[str, Any]) -> Array:
    """Tokens of the prompt: template, documents and the message."""
    message = np.asarray([len(v) / 4.2 if v else 0.0 for v in c[a[0]]])
    documents = np.maximum(num(c[a[1]]), 0) * np.exp(5.4 + 0.15 * c["_e.doc"])
    return np.asarray(np.round(c["_template"] + p.get("extra", 0.0) + documents + message))


KINDS: dict[str, Callable[[Cols, tuple[str, ...], Mapping[str, Any]], Array]] = {
    "impute": _impute,
    "fill": _fill,
    "ordinal": _ordinal,
    "is": _is,
    "log": _log,
    "clip": _clip,
    "scale": _scale,
    "ratio": _ratio,
    "diff": _diff,
    "times": _times,
    "bucket": _bucket,
    "lookup": _lookup,
    "store": _store,
    "sin": _sin,
    "length": _length,
    "words": _words,
    "norm": _norm,
    "copy": _copy,
    "curve": _curve,
    "spread": _spread,
    "embed": _embed,
    "prompt": _prompt,
}


def impute(out: str, arg: str, value: float) -> Op:
    """Fill missing numbers."""
    return Op(out, "impute", (arg,), {"value": value})


def ordinal(out: str, arg: str, values: list[str]) -> Op:
    """Codes 0, 1, … in the given order; -1 for any other value."""
    return Op(out, "ordinal", (arg,), {"map": {v: i for i, v in enumerate(values)}})


def onehot(step: str, arg: str, values: list[str]) -> list[Op]:
    """One 0/1 column a value."""
    name = arg.rsplit(".", 1)[-1]
    return [Op(f"steps.{step}.{name}_{value}", "is", (arg,), {"value": value}) for value in values]


def scale(out: str, arg: str, mean: float, sd: float) -> Op:
    """Standardise."""
    return Op(out, "scale", (arg,), {"mean": mean, "sd": sd})


def log(out: str, arg: str, shift: float = 1.0) -> Op:
    """Natural logarithm of the value plus a shift."""
    return Op(out, "log", (arg,), {"shift": shift})


def clip(out: str, arg: str, low: float, high: float) -> Op:
    """Clip to a range."""
    return Op(out, "clip", (arg,), {"low": low, "high": high})
