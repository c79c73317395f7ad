"""Values as they come from the app, turned into msgpack: quickly where they are plain, safely where they are hostile.

In: any object. Out: bytes, and notes about what could not be kept. `encode` is the quick way and raises on what it
does not know; `rescue` is the slow way: it walks the value with a budget of bytes and of depth, calls no `__repr__`,
reads no generator, and always answers. An object that cannot be kept leaves its type as text, `<package.Class>`.
A time with a zone stays a time; one without is kept as its ISO text, for nobody can say when it was.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import struct
from collections.abc import Mapping
from typing import Any

import msgspec

LIMIT = 1 << 20
"""Bytes that one entry (the inputs, a step's value) may take; what goes past it is cut, and the record says so."""

ARRAY = 1
"""Code of the msgpack extension that holds an array: item code, number of dimensions, shape, items."""

_DEPTH = 32
_NOTES = 16
_FOREIGN = frozenset(("pandas", "polars", "torch", "tensorflow", "jax", "jaxlib", "cupy", "scipy", "pyarrow"))
_CODES = {
    ("b", 1): "?", ("i", 1): "b", ("i", 2): "h", ("i", 4): "i", ("i", 8): "q", ("u", 1): "B", ("u", 2): "H",
    ("u", 4): "I", ("u", 8): "Q", ("f", 2): "e", ("f", 4): "f", ("f", 8): "d",
}  # fmt: skip
"""NumPy's kind and item size to struct's letter in standard sizes."""


class _UnknownError(TypeError):
    """Raised for an object that has no plain twin."""


def pack_array(code: str, shape: tuple[int, ...], items: bytes) -> bytes:
    """The array extension's content: `code` is struct's letter for the items, which are little-endian, row by row."""
    return struct.pack(f"<cB{len(shape)}I", code.encode(), len(shape), *shape) + items


def _plain(value: Any) -> Any:
    """What msgspec asks about an object that it does not know; answers with one that it knows, or raises TypeError."""
    kind = type(value)
    if kind.__module__ == "numpy":
        return _numpy(value)
    if kind.__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, float):
        return float.__pos__(value)  # the plain number inside a subclass, past whatever it overrides
    if isinstance(value, int):
        return int.__pos__(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, dt.datetime):
        return dt.datetime.combine(dt.date(value.year, value.month, value.day), value.timetz())
    if isinstance(value, complex):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, range) and len(value) <= LIMIT // 16:
        return list(value)
    if (fields := getattr(kind, "__pydantic_fields__", None)) is not None:
        return {name: getattr(value, name) for name in fields}
    if any(base.__module__.partition(".")[0] in _FOREIGN for base in kind.__mro__):
        return _foreign(value)
    raise _UnknownError


def row(inputs: Any, names: Any = None) -> Any:
    """One row as it came, with names to its fields where there are any.

    `names` belong to an array or list of one row, a named tuple brings its own, and a list of chat messages is
    `messages`. What does not fit together stays as it is.
    """
    if names is not None:
        items = inputs.tolist() if hasattr(inputs, "tolist") else list(inputs)
        if len(items) == 1 != len(names) and isinstance(items[0], list):
            items = items[0]  # a batch of one
        return dict(zip(names, items, strict=True))
    if isinstance(inputs, tuple) and hasattr(inputs, "_fields"):
        return dict(zip(inputs._fields, inputs, strict=True))
    if isinstance(inputs, list) and inputs and all(isinstance(part, dict) and "role" in part for part in inputs):
        return {"messages": inputs}
    return inputs


def _numpy(value: Any) -> Any:
    dtype, shape = value.dtype, value.shape
    if dtype.names and value.size == 1:
        return dict(zip(dtype.names, value.reshape(-1)[0].item() if shape else value.item(), strict=True))
    if shape:
        code = _CODES.get((dtype.kind, dtype.itemsize))
        if code and dtype.isnative and len(shape) < 256:
            return msgspec.msgpack.Ext(ARRAY, pack_array(code, shape, value.astype(dtype.newbyteorder("<")).tobytes()))
        return value.tolist()
    item = value.astype("datetime64[us]").item() if dtype.kind == "M" else value.item()
    return float(item) if type(item) is type(value) else item  # a long double gives itself back


def _foreign(value: Any) -> Any:
    """Frames, series, tensors and sparse matrices of the libraries that people hold rows in, by what they can do."""
    if math.prod(getattr(value, "shape", ())) > LIMIT:
        raise _UnknownError
    if hasattr(value, "columns"):
        names = getattr(value, "column_names", value.columns)  # an Arrow table's columns are its arrays
        columns = {str(name): _items(value[name]) for name in names}
        return {name: items[0] for name, items in columns.items()} if len(value) == 1 else columns
    labels = getattr(value, "index", None)
    if hasattr(value, "to_list") and labels is not None and not callable(labels) and isinstance(labels[0], str):
        return dict(zip(labels, value.to_list(), strict=True))  # a row of a pandas frame
    for way in ("toarray", "to_list", "tolist", "as_py", "to_pylist", "numpy"):
        if callable(getattr(value, way, None)):
            answer = getattr(value, way)()
            if type(answer) is not type(value):
                return answer
    raise _UnknownError


def _items(column: Any) -> Any:
    return column.to_list() if hasattr(column, "to_list") else column.to_pylist()


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_plain, decimal_format="number")
encode = _ENCODER.encode
"""An entry as msgpack. Raises whatever a hostile value makes it raise."""


def rescue(entry: Any, path: str, limit: int = LIMIT) -> tuple[Any, list[tuple[str, str]]]:
    """A plain twin of the entry, within `limit` bytes, and (path, reason) of each thing in it that was lost or changed."""
    walk = _Walk(limit)
    return walk.keep(entry, path, 0), walk.lost


class _Walk:
    """One slow walk through a value: what is left of the budget, what was lost on the way."""

    def __init__(self, limit: int) -> None:
        self.left = limit - 1024
        self.lost: list[tuple[str, str]] = []

    def keep(self, value: Any, path: str, depth: int) -> Any:
        """A plain twin of the value."""
        if self.left <= 0:
            return self.drop(value, path, "the record was full")
        if depth > _DEPTH:
            return self.drop(value, path, f"nested deeper than {_DEPTH}, or within itself")
        try:
            return self.known(value, path, depth)
        except _UnknownError:
            return self.drop(value, path, "a value of its type cannot be kept")
        except Exception as error:  # noqa: BLE001  a value may raise anything, at any time
            return self.drop(value, path, f"{type(error).__name__} while reading it")

    def known(self, value: Any, path: str, depth: int) -> Any:
        """A plain twin of a value that is no burden yet; may raise."""
        kind = type(value)
        if value is None or kind in (bool, float):
            self.left -= 9
            return value
        if kind is int:
            self.left -= 9
            return value if -(1 << 63) <= value < 1 << 64 else self.text(f"{value:#x}", path)
        if kind is str:
            return self.text(value, path)
        if kind in (bytes, bytearray, memoryview):
            return self.binary(value, path)
        if isinstance(value, dict):
            return self.mapping(dict.items(value), path, depth)
        if isinstance(value, list | tuple | set | frozenset):
            return self.sequence(value, path, depth)
        fields = getattr(kind, "__dataclass_fields__", None) or getattr(kind, "__struct_fields__", None)
        fields = fields or getattr(kind, "__pydantic_fields__", None)
        if fields is not None:
            return self.mapping(((name, getattr(value, name, None)) for name in fields), path, depth)
        return self.other(value, path, depth)

    def other(self, value: Any, path: str, depth: int) -> Any:
        """A plain twin of anything else that msgspec knows, or that `_plain` can explain to it; may raise."""
        try:
            data = encode(value)
        except Exception:  # noqa: BLE001  its twin may be kept in parts
            data = b""
        if 0 < len(data) <= self.left:
            self.left -= len(data)
            return msgspec.Raw(data)
        twin = _plain(value)
        if isinstance(twin, msgspec.msgpack.Ext):
            some = max(0, self.left - 64) // value.itemsize
            self.note(path, f"only the first {some} of its {value.size} items were kept")
            self.left -= some * value.itemsize
            return _plain(value.reshape(-1)[:some])
        return self.keep(twin, path, depth + 1)

    def child(self, value: Any, path: str, depth: int, later: int) -> Any:
        """A plain twin of one of several; the `later` ones find some of the budget left, however large this one is."""
        reserve = max(self.left // 4, min(self.left // 2, 64 * later)) if later else 0
        self.left -= reserve
        twin = self.keep(value, path, depth + 1)
        self.left += reserve
        return twin

    def mapping(self, items: Any, path: str, depth: int) -> dict[str, Any]:
        """A dictionary, its keys turned into text."""
        out: dict[str, Any] = {}
        pairs = list(items)
        for later, (key, value) in zip(range(len(pairs) - 1, -1, -1), pairs, strict=True):
            if self.left <= 0:
                self.note(path, f"only its first {len(out)} keys were kept")
                break
            name = self.text(key if type(key) is str else _key(key), path)
            if name in out:
                self.note(f"{path}.{name}", "two keys read the same; the first was kept")
            else:
                out[name] = self.child(value, f"{path}.{name}" if path else name, depth, later)
        return out

    def sequence(self, items: Any, path: str, depth: int) -> Any:
        """A list, as far as the budget goes; a long plain one in one go."""
        some = max(0, self.left) // 9
        if len(items) > some and isinstance(items, list | tuple):
            with contextlib.suppress(Exception):  # not plain: then one by one
                data = encode(items[:some])
                if len(data) <= self.left:
                    self.left -= len(data)
                    self.note(path, f"only the first {some} of its {len(items)} items were kept")
                    return msgspec.Raw(data)
        out: list[Any] = []
        for later, item in zip(range(len(items) - 1, -1, -1), items, strict=True):
            if self.left <= 0:
                self.note(path, f"only the first {len(out)} of its {len(items)} items were kept")
                break
            out.append(self.child(item, path, depth, later))
        return out

    def text(self, value: str, path: str) -> str:
        """A text that UTF-8 can hold, as far as the budget goes."""
        short = value[: max(self.left, 0)]
        try:
            data = short.encode()
        except UnicodeEncodeError:
            self.note(path, "lone surrogates are written as \\ud…")
            data = short.encode("utf-8", "backslashreplace")
        kept = data[: max(self.left, 0)].decode("utf-8", "ignore")
        self.left -= min(len(data), self.left) + 5
        if len(short) < len(value) or len(data) > len(kept.encode()):
            self.note(path, f"cut after {len(kept)} of {len(value)} characters")
        return kept

    def binary(self, value: bytes | bytearray | memoryview, path: str) -> bytes:
        """Bytes, as far as the budget goes."""
        kept = bytes(value[: max(self.left, 0)])
        self.left -= len(kept) + 5
        if len(kept) < len(value):
            self.note(path, f"cut after {len(kept)} of {len(value)} bytes")
        return kept

    def drop(self, value: Any, path: str, why: str) -> str:
        """What stands for a value that could not be kept."""
        self.left -= 64
        self.note(path, why)
        return f"<{_name(value)}>"

    def note(self, path: str, why: str) -> None:
        """Remember a loss, the first few of them."""
        if len(self.lost) < _NOTES:
            self.lost.append((path, why))


def _key(key: Any) -> str:
    try:
        plain = msgspec.to_builtins(key, enc_hook=_plain)
    except Exception:  # noqa: BLE001  a key may be any object
        plain = ()
    return str(plain) if plain is None or isinstance(plain, str | bool | int | float) else f"<{_name(key)}>"


def _name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
