"""What a step's code and parameters are, as one short text that changes when they do.

In: a function (or any value). Out: `f1-` and 16 hexadecimal digits, `b1-` where only bytecode was to be had. The same
in every process, on every machine and under every hash seed. Objects are read, never called, but for `__getstate__` of
library objects and what turns frames and tensors into arrays.
"""

from __future__ import annotations

import functools
import struct
import sys
import sysconfig
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import msgspec
from xxhash import xxh3_64

from whimbrel.record import source

_NODES = 20_000
_BYTES = 256 << 20
_DEPTH = 24
_BULK = 64
_LITERALS = (bool, int, float, complex, str, bytes)
_BY_TEXT = frozenset(("datetime", "decimal", "fractions", "uuid", "pathlib", "pathlib._local", "ipaddress", "zoneinfo"))
_OURS = ("whimbrel", "whimbrel_recorder")
_BY_TYPE = ("numpy.random", "random", "logging", "threading", "_thread", "_io", "socket", "weakref", *_OURS)
_FITTED = ("fit", "predict", "transform", "encode", "tokenize", "state_dict", "toarray")
_SKIPPED = frozenset(("_sklearn_version",))
_plain = msgspec.msgpack.Encoder(order="deterministic").encode


def fingerprint(value: Any) -> str:
    """The fingerprint of a function's code and parameters, or of any value's content.

    It covers the source as a syntax tree, so that comments, layout, docstrings and annotations do not matter; default
    arguments and closed-over values; the globals that the function reads, `module.name` of the app's own modules
    among them: plain values and tables, arrays and frames, dataclasses, fitted estimators with their state, and the
    app's own functions and classes by the same rules. Functions and classes of installed libraries count by
    name: their versions are facts of the process.

    It does not cover what is imported inside a function, looked up by a computed name, read from files, the
    environment, a database or the network. Open files, locks, connections, random generators and their like count by
    type. Values are read once, when the fingerprint is taken: a table that is changed later does not change it. The
    cost is bounded: past 20,000 single values or 256 MB of arrays, what remains counts by its type and length alone.
    """
    digest = _Digest(source.top(value))
    digest.value(value)
    return f"{'b1' if digest.bytecode else 'f1'}-{digest.hash.intdigest():016x}"


class _Digest:
    """One walk over a value: the hash so far, what is left of the budget, what is being walked just now."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.hash = xxh3_64()
        self.left = [_NODES, _BYTES]
        self.path: list[Any] = []
        self.bytecode = False
        self.fitted = False

    def put(self, tag: str, data: Any = b"") -> None:
        """Feed one tagged piece with its length, so that no two sequences of pieces read the same."""
        view = memoryview(data)
        self.left[1] -= view.nbytes
        self.hash.update(struct.pack("<H", len(tag)) + tag.encode("utf-8", "replace") + struct.pack("<Q", view.nbytes))
        self.hash.update(view)

    def value(self, value: Any) -> None:
        """Feed any value."""
        self.left[0] -= 1
        if value is None or type(value) in _LITERALS:
            self.put(*_literal(value))
            return
        for distance, walked in enumerate(reversed(self.path)):
            if walked is value:
                self.put("again", str(distance).encode())
                return
        if min(self.left) < 0 or len(self.path) >= _DEPTH:
            self.put(f"more {self.name(type(value))}", str(_length(value)).encode())
            return
        self.path.append(value)
        try:
            self.known(value)
        except Exception:  # noqa: BLE001  an object may refuse to be read: then its type is what is known of it
            self.put(f"type {self.name(type(value))}")
        finally:
            self.path.pop()

    def known(self, value: Any) -> None:
        """Feed a value that is no literal, by what it is."""
        kind = type(value)
        if kind in (list, tuple, dict, set, frozenset):
            self.container(value)
        elif isinstance(value, FunctionType):
            self.function(value)
        elif isinstance(value, MethodType):
            self.each("method", value.__func__, value.__self__)
        elif isinstance(value, functools.partial):
            self.each("partial", value.func, value.args, value.keywords)
        elif isinstance(value, ModuleType):
            self.put(f"module {value.__name__}")
        elif isinstance(value, type):
            self.class_(value)
        elif isinstance(value, BuiltinFunctionType):
            owner = value.__self__
            self.each(f"builtin {value.__qualname__}", owner if not isinstance(owner, ModuleType) else owner.__name__)
        elif isinstance(value, Mapping):
            self.each(f"mapping {self.name(kind)}", dict(value))
        else:
            self.object(value, kind)

    def each(self, tag: str, *parts: Any) -> None:
        """Feed a tag and the values that belong to it."""
        self.put(tag, str(len(parts)).encode())
        for part in parts:
            self.value(part)

    def container(self, value: Any) -> None:
        """Feed a list, tuple, dictionary or set; long plain ones in one go, and the order of keys does not matter."""
        tag = f"{type(value).__name__} {len(value)}"
        if len(value) > _BULK and len(value) <= _BYTES // 16:
            try:
                self.put(tag, _plain(value))
            except (TypeError, ValueError, OverflowError):
                pass  # something in it is not plain
            else:
                return
        if isinstance(value, list | tuple):
            self.each(tag, *value[: max(self.left[0], 0)])
        elif isinstance(value, dict):
            self.unordered(tag, list(value.items()))
        elif len(value) <= self.left[0]:
            self.unordered(tag, [(item,) for item in value])
        else:
            self.put(tag)  # which part of a set comes first is the hash seed's doing

    def unordered(self, tag: str, groups: list[tuple[Any, ...]]) -> None:
        """Feed groups of values, in whatever order they come."""
        whole, digests = self.hash, []
        for group in groups[: max(self.left[0], 0)]:
            self.hash = xxh3_64()
            self.each("item", *group)
            digests.append(self.hash.digest())
        self.hash = whole
        self.put(tag, b"".join(sorted(digests)))

    def function(self, value: FunctionType) -> None:
        """Feed a function: its source, its parameters, the globals that it reads."""
        inner = getattr(value, "__wrapped__", None)
        if not self.own(value.__globals__.get("__name__", "")):
            # A library's decorator around the app's function counts by name, and the function by all it is.
            self.each("library", "" if inner is not None else value.__module__, value.__qualname__, inner)
            return
        tree = source.tree(value)
        self.bytecode |= tree is None
        self.put(
            "source" if tree is not None else "bytecode", tree if tree is not None else source.bytecode(value.__code__)
        )
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        self.each(
            "parameters", value.__defaults__, value.__kwdefaults__, {name: _content(cell) for name, cell in cells}
        )
        for name, found in source.reads(value):
            self.each("global", name, found)

    def class_(self, value: type) -> None:
        """Feed a class: a library's by name, the app's own by what is in it."""
        self.put(f"class {self.name(value)}")
        if self.own(value.__module__):
            members = {n: m for n, m in vars(value).items() if not _dunder(n) or isinstance(m, FunctionType)}
            generated = getattr(value, "__dataclass_params__", None) is not None
            for name, member in sorted(members.items()):
                if not (generated and _dunder(name)):
                    self.each("member", name, getattr(member, "__func__", getattr(member, "fget", member)))
            self.each("bases", *value.__bases__)

    def object(self, value: Any, kind: type) -> None:
        """Feed an instance: an array by its bytes, the app's own and fitted ones by their state, others by type."""
        self.put(f"instance {self.name(kind)}")
        module = kind.__module__
        if module in _BY_TEXT:
            self.put("text", str(value).encode("utf-8", "surrogatepass"))
        elif kind.__name__ == "Pattern" and module == "re":
            self.each("pattern", value.pattern, value.flags)
        elif any(module == root or module.startswith(f"{root}.") for root in _BY_TYPE):
            return
        elif hasattr(value, "dtype") and hasattr(value, "tobytes"):
            self.array(value)
        elif hasattr(value, "columns") and hasattr(value, "to_numpy"):
            self.each("frame", getattr(value, "index", None), *((str(n), value[n].to_numpy()) for n in value.columns))
        elif callable(getattr(value, "to_numpy", None)):
            self.value(value.to_numpy())
        elif callable(getattr(value, "detach", None)):
            self.value(value.detach().cpu().numpy())
        elif isinstance(value, _LITERALS):
            self.put(*_literal(next(base for base in _LITERALS if isinstance(value, base)).__call__(value)))
        else:
            self.instance(value, kind)

    def instance(self, value: Any, kind: type) -> None:
        """Feed the state of an object of the app's own, of a fitted one, or of what that is made of."""
        own = self.own(kind.__module__)
        if own:
            self.class_(kind)
        fitted = self.fitted
        self.fitted = fitted or any(hasattr(kind, name) for name in _FITTED)
        try:
            if own or self.fitted:
                state = getattr(value, "__dict__", None) or value.__getstate__()
                if isinstance(state, dict):
                    state = {name: part for name, part in state.items() if name not in _SKIPPED}
                self.each("state", state)
            elif isinstance(value, list | tuple | set | frozenset):
                self.container(list(value) if isinstance(value, list | tuple) else set(value))
            elif inner := getattr(value, "__wrapped__", None):
                self.value(inner)
        finally:
            self.fitted = fitted

    def array(self, value: Any) -> None:
        """Feed an array; a structured one column by column, for what lies between its columns is chance."""
        dtype = value.dtype
        if dtype.names:
            for name in dtype.names:
                self.each("column", name, value[name])
        elif dtype.hasobject:
            self.value(value.tolist())
        elif value.nbytes > self.left[1]:
            self.put(f"large {dtype.str} {value.shape}")
        else:
            self.put(f"array {dtype.str} {value.shape}", value.tobytes())

    def own(self, module: str) -> bool:
        """Whether a module is the app's own: what is not installed, and what is installed with the step itself."""
        top = module.partition(".")[0]
        return top == self.home or not installed(top)

    def name(self, kind: type) -> str:
        """A class's name; the app's own without a module, which is `__main__` in one process and not in another."""
        return kind.__qualname__ if self.own(kind.__module__) else f"{kind.__module__}.{kind.__qualname__}"


@functools.cache
def installed(top: str) -> bool:
    """Whether a top-level module belongs to Python, to Whimbrel or to an installed distribution."""
    if (top in sys.stdlib_module_names and top != "__main__") or top in ("builtins", *_OURS):
        return True
    module = sys.modules.get(top)
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    if file is None:
        return module is not None and top not in ("__main__", "__mp_main__")
    places = (sysconfig.get_path(name) for name in ("purelib", "platlib"))
    return any(str(file).startswith(place) for place in places if place) or "/dist-packages/" in str(file)


def _literal(value: Any) -> tuple[str, bytes]:
    kind = type(value)
    if kind is str:
        return "str", value.encode("utf-8", "surrogatepass")
    if kind is bytes:
        return "bytes", value
    if kind is int:
        return "int", f"{value:x}".encode()
    return kind.__name__, repr(value).encode()


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _length(value: Any) -> int:
    measure: Callable[[Any], int] | None = getattr(type(value), "__len__", None)
    try:
        return measure(value) if measure else 0
    except Exception:  # noqa: BLE001  a length may be refused like anything else
        return 0
