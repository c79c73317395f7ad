"""NumPy's memory as Arrow arrays, without a copy: arro3 takes in what bears the Arrow C data interface.

In: the buffers of a column. Out: an `arro3.core.Array` on top of them. `arrays.py` calls. Structures and their rules:
https://arrow.apache.org/docs/format/CDataInterface.html
"""

from __future__ import annotations

import ctypes
from itertools import count
from typing import Any

import numpy as np

from whimbrel.store.records import Mask


class _Schema(ctypes.Structure):
    _fields_ = (
        ("format", ctypes.c_char_p), ("name", ctypes.c_char_p), ("metadata", ctypes.c_char_p), ("flags", ctypes.c_int64),
        ("n_children", ctypes.c_int64), ("children", ctypes.c_void_p), ("dictionary", ctypes.c_void_p),
        ("release", ctypes.c_void_p), ("private_data", ctypes.c_void_p),
    )  # fmt: skip


class _Array(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_int64), ("null_count", ctypes.c_int64), ("offset", ctypes.c_int64), ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64), ("buffers", ctypes.c_void_p), ("children", ctypes.c_void_p), ("dictionary", ctypes.c_void_p),
        ("release", ctypes.c_void_p), ("private_data", ctypes.c_void_p),
    )  # fmt: skip


_NULLABLE = 2
_numbers = count(1)
_held: dict[int, Any] = {}
"""What the arrays stand on, by the number that each bears; it goes when whoever took the array in lets go of it."""


def _release(array: Any) -> None:
    _held.pop(array.contents.private_data, None)
    array.contents.release = None


def _release_schema(schema: Any) -> None:
    schema.contents.release = None


_let_go = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Array))(_release)
_let_go_schema = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Schema))(_release_schema)
_capsule = ctypes.pythonapi.PyCapsule_New
_capsule.restype, _capsule.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)


class _Buffers:
    """Says to arro3 where an array's memory is."""

    def __init__(self, form: str, length: int, missing: Mask | None, buffers: tuple[Any, ...]) -> None:
        valid = None if missing is None else np.packbits(~missing, bitorder="little")
        held = [buffer if buffer is None else np.ascontiguousarray(buffer) for buffer in (valid, *buffers)]
        places = (ctypes.c_void_p * len(held))(*(None if buffer is None else buffer.ctypes.data for buffer in held))
        self.schema = _Schema(
            form.encode(), b"", None, _NULLABLE, 0, None, None, ctypes.cast(_let_go_schema, ctypes.c_void_p), None
        )
        number, nulls = next(_numbers), 0 if missing is None else int(missing.sum())
        self.array = _Array(
            length,
            nulls,
            0,
            len(held),
            0,
            ctypes.cast(places, ctypes.c_void_p),
            None,
            None,
            ctypes.cast(_let_go, ctypes.c_void_p),
            number,
        )
        _held[number] = held, places

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[Any, Any]:
        """The structures, in capsules."""
        del requested_schema
        schema, array = ctypes.addressof(self.schema), ctypes.addressof(self.array)
        return _capsule(schema, b"arrow_schema", None), _capsule(array, b"arrow_array", None)


def array(form: str, length: int, *buffers: Any, missing: Mask | None = None) -> Any:
    """An Arrow array of a type, by its format string, on top of these buffers: offsets before data. Nobody may change them any more."""
    import arro3.core as arrow

    return arrow.Array.from_arrow(_Buffers(form, length, missing, buffers))
