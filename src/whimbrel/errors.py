"""Every error that Whimbrel raises on purpose, drawn as a tree.

    WhimbrelError
    ├── UsageError          exit 2    the question itself makes no sense
    ├── InputError          exit 3    a file, table or value that cannot be read
    ├── EvidenceError       exit 4    the log holds too little to answer
    └── StoreError          exit 5    the log or the engine failed

An error has four parts: what happened (with the values), where, the likely reason, and the exact next command.
"""

from __future__ import annotations


class WhimbrelError(Exception):
    """The root of the tree. `str(error)` gives all four parts, a line each."""

    exit_code = 70

    def __init__(self, what: str, *, where: str = "", why: str = "", next: str = "") -> None:  # noqa: A002
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.next = next

    def __str__(self) -> str:
        parts = [self.what]
        if self.where:
            parts.append(f"  where: {self.where}")
        if self.why:
            parts.append(f"  why:   {self.why}")
        if self.next:
            parts.append(f"  next:  {self.next}")
        return "\n".join(parts)

    def to_dict(self) -> dict[str, object]:
        """The error as `--json` prints it, under the key `error`."""
        return {
            "type": type(self).__name__,
            "what": self.what,
            "where": self.where,
            "why": self.why,
            "next": self.next,
            "exit_code": self.exit_code,
        }


class UsageError(WhimbrelError):
    """The question makes no sense: an unknown option value, an empty window, a golden that does not exist."""

    exit_code = 2


class InputError(WhimbrelError):
    """A file, a table or a value that cannot be read."""

    exit_code = 3


class EvidenceError(WhimbrelError):
    """The log holds too little to answer."""

    exit_code = 4


class StoreError(WhimbrelError):
    """The log or the engine failed: a full disk, a read-only folder, a damaged table."""

    exit_code = 5
