"""One prediction that is run again: the app's own `recorder.step` and `recorder.read` speak to it instead of the recorder.

In: a flat record of what was recorded. Out: what the code makes of the same inputs, flat by the same rules. Each step's
value is compared with the recorded one, and the recorded one goes on, so that the next step is judged on the inputs that
it really received. Only `pipelines.py` may call.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from whimbrel.record import flat
from whimbrel.record.prediction import INNERMOST, Prediction
from whimbrel.record.reader import decode_body
from whimbrel.record.steps import COROUTINE, flags_of
from whimbrel.record.values import LIMIT, encode, rescue
from whimbrel.replay.record import Record, nested, same


class UnlikeError(Exception):
    """A recorded value cannot be made into an object like the one that the code returned."""


class Replayed(Prediction):
    """The prediction that is current while recorded inputs go through code again.

    Args:
        recorded: the flat record.
        free: let each step go on with its own value, to see how a difference travels.
        heed: called with the name of each step as it ends.
    """

    __slots__ = ("_flat", "_heed", "free", "live", "recorded", "unkept")
    replays = True

    def __init__(self, recorded: Record, *, free: bool = False, heed: Callable[[str], None] | None = None) -> None:
        super().__init__(None, {}, 0)
        self.prediction = self
        self.running = True
        self.parts = []
        self.inner = self.due = 0  # always due: every entry goes to `keep`
        self._culprit = (0, "")
        self.start = self.mark = 0
        self.recorded = recorded
        self.free = free
        self._heed = heed or (lambda _: None)
        self._flat = flat.Flat()
        self.live: set[str] = set()
        """Look-ups that were not in the record, so that the world was asked again."""
        self.unkept: set[str] = set()
        """Steps that differed and whose recorded value could not be handed on."""

    @property
    def out(self) -> Record:
        """What the code made of it: values by path, in the order in which they came."""
        return self._flat.out

    @contextmanager
    def current(self) -> Iterator[None]:
        """Be the prediction that the code speaks to."""
        before = INNERMOST.get()
        INNERMOST.set(self)
        try:
            yield
        finally:
            INNERMOST.set(before)

    def keep(self, entry: tuple[Any, ...], path: str, part: bytes, at: int) -> tuple[Any] | None:  # noqa: ARG002
        """Hear what the code says, and answer with the recorded value where the code's own differs."""
        if not 0 < len(part) <= LIMIT:
            part = encode(rescue(entry, path)[0])
        made = self._heard(decode_body(part))
        if entry[0] not in ("step", "read"):
            return None
        self._heed(entry[1])
        group = self._group(entry[1])
        leaves = {name: value for name, value in self.recorded.items() if name.startswith(f"{group}.")}
        if self.free or (not leaves and not made) or _agree(made, leaves):
            return None
        if not leaves:
            self.unkept.add(entry[1])
            return None
        try:
            return (like(entry[2], group, self.recorded),)
        except Exception:  # noqa: BLE001  a value may be any object: then its own goes on, and the replay says so
            self.unkept.add(entry[1])
            return None

    def look(self, name: str, function: Callable[[], Any]) -> Any:
        """What the record says that was seen; where it says nothing, the world is asked, and that is remembered."""
        calls = self._flat.calls.get(flat.name_of(name), 0) + 1
        group = _numbered(flat.name_of(name), calls)
        leaves = {path: value for path, value in self.recorded.items() if path.startswith(f"{group}.")}
        if not leaves and flat.name_of(name) not in self.recorded.get("recorder.reads", ()):
            self.live.add(name)
            return function()
        self._flat.calls[flat.name_of(name)] = calls
        seen = nested(leaves, group)
        value = seen.get("value") if set(seen) <= {"value"} else seen
        if flags_of(function) & COROUTINE:
            return _awaited(value)
        return value

    def failed_in(self, error: BaseException) -> str:
        """The step in which an exception was raised; empty where none says so."""
        blamed, step = self._culprit
        return step if blamed == id(error) else ""

    def lost(self, why: object) -> None:
        """A replay has no counters: what goes wrong in hearing shows as a value that is missing."""

    def _heard(self, said: list[Any]) -> Record:
        """Take one entry in; the fields that it made."""
        whole, self._flat.out = self._flat.out, {}
        self._flat.entry(said)
        made = self._flat.out
        self._flat.out = {**whole, **made}
        return made

    def _group(self, step: str) -> str:
        name = flat.name_of(step)
        return _numbered(name, self._flat.calls.get(name, 1))


def _numbered(name: str, calls: int) -> str:
    return f"steps.{name}" if calls == 1 else f"steps.{name}_{calls}"


def _agree(made: Record, leaves: Record) -> bool:
    values = {path: value for path, value in made.items() if path.startswith("steps.") and value is not None}
    return values.keys() == leaves.keys() and all(same(value, leaves[path]) for path, value in values.items())


async def _awaited(value: Any) -> Any:
    return value


def like(value: Any, group: str, recorded: Record) -> Any:
    """The recorded value as an object of the same sort as the one that the code returned.

    Raises:
        UnlikeError: it cannot be made.
    """
    if isinstance(value, Mapping) or dataclasses.is_dataclass(value) or hasattr(value, "_replace"):
        return _group_like(value, group, recorded)
    if type(value).__name__ == "Series" and hasattr(value, "index") and hasattr(value, "copy"):
        out = value.copy()
        for name in value.index:
            out[name] = _leaf_like(value[name], recorded.get(f"{group}.{flat.name_of(name)}"))
        return out
    return _leaf_like(value, recorded.get(f"{group}.value", recorded.get(group)))


def _group_like(value: Any, group: str, recorded: Record) -> Any:
    if isinstance(value, Mapping):
        names = list(value)
        known = {flat.name_of(name) for name in names}
        parts = {name: _part(value[name], f"{group}.{flat.name_of(name)}", recorded) for name in names}
        more = nested(recorded, group)
        parts |= {name: part for name, part in more.items() if name not in known}
        kind: Any = type(value)
        return parts if kind is dict else kind(parts)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        return dataclasses.replace(value, **{n: _part(getattr(value, n), f"{group}.{n}", recorded) for n in names})
    return value._replace(**{n: _part(getattr(value, n), f"{group}.{n}", recorded) for n in value._fields})


def _part(value: Any, path: str, recorded: Record) -> Any:
    if isinstance(value, Mapping) or dataclasses.is_dataclass(value):
        return _group_like(value, path, recorded)
    return _leaf_like(value, recorded.get(path))


def _leaf_like(value: Any, recorded: Any) -> Any:
    """One recorded cell or list as the type that the code returned."""
    if recorded is None:
        return math.nan if hasattr(value, "dtype") else None
    if isinstance(value, int) and isinstance(recorded, float) and recorded.is_integer():
        return int(recorded) if type(value) is int else type(value)(recorded)
    shape = getattr(value, "shape", None)
    if shape is not None and hasattr(value, "dtype") and shape != ():
        import numpy as np

        items = recorded if isinstance(recorded, list) else [recorded]
        items = [math.nan if item is None else item for item in items]
        out = np.asarray(items).astype(value.dtype).reshape(shape)
        return out if type(value) is np.ndarray else _as_tensor(value, out)
    if isinstance(value, list | tuple) and isinstance(recorded, list):
        whole = all(type(item) is int for item in value)  # the log holds all numbers as doubles
        kept = [int(item) if whole and isinstance(item, float) and item.is_integer() else item for item in recorded]
        return tuple(kept) if isinstance(value, tuple) else kept
    if value is None or isinstance(value, type(recorded)) or isinstance(recorded, type(value)):
        return type(value)(recorded) if isinstance(value, int | float | str) and type(value) is not bool else recorded
    if hasattr(value, "dtype"):
        return value.dtype.type(recorded)
    if isinstance(value, int | float) and isinstance(recorded, int | float | str):
        return recorded
    if isinstance(value, str):
        return recorded
    raise UnlikeError


def _as_tensor(value: Any, items: Any) -> Any:
    if hasattr(value, "new_tensor"):
        return value.new_tensor(items)
    raise UnlikeError
