"""A batch of rows as NumPy arrays that lie where Arrow has them: nothing is copied.

In: an arro3 record batch. Out: its columns of fixed width. Only `counted.py` may call. arro3's own `to_numpy` copies, and refuses
nulls. The structures: https://arrow.apache.org/docs/format/CDataInterface.html
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from whimbrel.model.rows import Bools

if TYPE_CHECKING:
    from arro3.core import RecordBatch

Kind = TypeVar("Kind", bound=np.generic)


class _Array(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_int64), ("null_count", ctypes.c_int64), ("offset", ctypes.c_int64), ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64), ("buffers", ctypes.POINTER(ctypes.c_void_p)), ("children", ctypes.POINTER(ctypes.c_void_p)),
        ("dictionary", ctypes.c_void_p), ("release", ctypes.c_void_p), ("private_data", ctypes.c_void_p),
    )  # fmt: skip


_LARGER = 8 << 20
"""Bytes: more than any column of a batch."""

_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)


def keep_freed() -> None:
    """Let the memory of one batch serve the next, as glibc does once a block was freed that is larger than all of these.

    It gives back to the system what is freed beyond a limit that moves with such blocks (`M_MMAP_THRESHOLD` in
    https://man7.org/linux/man-pages/man3/mallopt.3.html), and pages that are new each time are a quarter of a pass.
    """
    np.empty(_LARGER, np.uint8)


class Batch:
    """The columns of a record batch of `rows` rows. Arrays are of use as long as this is there."""

    def __init__(self, batch: RecordBatch) -> None:
        self.rows = batch.num_rows
        self._places = {name: i for i, name in enumerate(batch.schema.names)}
        _, self._held = batch.__arrow_c_array__()
        self._array = _Array.from_address(_pointer(self._held, b"arrow_array") or 0)

    def column(self, name: str, kind: type[Kind]) -> tuple[NDArray[Kind], Bools | None]:
        """A column's values, shape (rows,), and which of them are there; None where all are. The others are anything."""
        child: Any = _Array.from_address(self._array.children[self._places[name]])
        start = int(child.offset + self._array.offset)
        values = _at(child.buffers[1], kind, start, self.rows)
        if not child.null_count or not child.buffers[0]:
            return values, None
        bits = _at(child.buffers[0], np.uint8, 0, (start + self.rows + 7) // 8)
        there = np.unpackbits(bits, count=start + self.rows, bitorder="little")
        return values, there[start:].view(np.bool_)


def _at(place: int, kind: type[Kind], start: int, count: int) -> NDArray[Kind]:
    """The numbers of a kind from the one at `start` on, in the memory at this place."""
    memory = (ctypes.c_char * (np.dtype(kind).itemsize * (start + count))).from_address(place)
    return np.ndarray((start + count,), kind, memoryview(memory))[start:]
