"""What an upkeep of the log did, as counts that add up over its tables: `compact.py` and `vacuum.py` say theirs so."""

from __future__ import annotations

from typing import Any, Self


class Counts:
    """A base of dataclasses with slots whose fields are all counts."""

    __slots__: tuple[str, ...] = ()

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, one) + getattr(other, one) for one in self.__slots__))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {name: getattr(self, name) for name in self.__slots__}
