"""What is told of one prediction, in the order of its way: inputs, steps, model, outputs, decision, label, time, place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from whimbrel.model.report import Span
from whimbrel.model.window import iso

SCHEMA = "whimbrel.prediction/1"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a value stands in golden.

    `percentile` (0 to 100) is of numbers: half of what is equal counts as below. `share` (0 to 1) is how much of golden has the
    very same value; of nulls it is how much of golden is null. `says` is either in words.
    """

    says: str
    percentile: float | None = None
    share: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; what was not asked is left out."""
        asked = {"percentile": self.percentile, "share": self.share}
        return {name: value for name, value in asked.items() if value is not None} | {"says": self.says}


@dataclass(frozen=True, slots=True)
class Value:
    """One field: its path, what was recorded (None where nothing was), and where that stands in golden, if that is known."""

    path: str
    value: Any
    golden: Standing | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        said = {"path": self.path, "value": self.value}
        return said | ({"golden": self.golden.to_dict()} if self.golden else {})


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its values in order, the fingerprint of its code, and whether it was read from outside (`recorder.read`)."""

    name: str
    values: tuple[Value, ...]
    code: Value | None
    read: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "name": self.name, "read": self.read, "code": self.code.to_dict() if self.code else None,
            "values": [one.to_dict() for one in self.values],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Timed:
    """A bar of the waterfall, in milliseconds. Starts are not recorded: each bar begins where the one before it ends."""

    name: str
    start_ms: float
    ms: float
    golden: Standing | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        said = {"name": self.name, "start_ms": self.start_ms, "ms": self.ms}
        return said | ({"golden": self.golden.to_dict()} if self.golden else {})


@dataclass(frozen=True, slots=True)
class Blob:
    """A large value that is kept by content: where it is named, its hash, its size in bytes, and whether its content is here."""

    path: str
    sha256: str
    bytes: int | None
    held: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"path": self.path, "sha256": self.sha256, "bytes": self.bytes, "held": self.held}


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A prediction of golden with inputs like these, and what it got: outputs, decision and label by path."""

    id: str
    ts: datetime
    distance: float
    got: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"id": self.id, "ts": iso(self.ts), "distance": self.distance, "got": dict(self.got)}


@dataclass(frozen=True, slots=True)
class Prediction:
    """One prediction end to end.

    `state` is `ended`, `failed`, `unfinished` (its process ended before it did) or `running`; `waits` says that it still lies in
    a segment. `rescued` are values that did not fit their column, by path, as they came. `distance` says how nearness was measured.
    """

    app: str
    id: str
    ts: datetime | None
    state: str
    waits: bool
    sentence: str
    golden: Span | None
    compared: int
    """How many of golden's predictions the values were held against: all, or a sample."""
    inputs: tuple[Value, ...]
    steps: tuple[Step, ...]
    model: tuple[Value, ...]
    outputs: tuple[Value, ...]
    decisions: tuple[Value, ...]
    label: Value | None
    label_ts: datetime | None
    context: tuple[Value, ...]
    spans: tuple[Timed, ...]
    total: Timed | None
    usage: tuple[Value, ...]
    ages: tuple[Value, ...]
    hardware: tuple[Value, ...]
    process: Mapping[str, Any]
    recorder: tuple[Value, ...]
    error: str
    blobs: tuple[Blob, ...] = ()
    rescued: Mapping[str, str] = field(default_factory=dict)
    neighbours: tuple[Neighbour, ...] = ()
    distance: str = ""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        from whimbrel.report import prediction  # drawn where it is printed

        return prediction.text(self.to_dict())

    def _repr_html_(self) -> str:
        from whimbrel.report import prediction  # drawn where a notebook asks for it

        return prediction.fragment(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, in reading order."""

        def all_of(values: tuple[Any, ...]) -> list[dict[str, Any]]:
            return [one.to_dict() for one in values]

        lag = (self.label_ts - self.ts).total_seconds() if self.label_ts and self.ts else None
        label = (
            self.label.to_dict() | {"ts": iso(self.label_ts) if self.label_ts else None, "lag_s": lag}
            if self.label
            else None
        )
        return {
            "schema": SCHEMA, "sentence": self.sentence, "id": self.id, "app": self.app,
            "ts": iso(self.ts) if self.ts else None, "state": self.state, "waits": self.waits, "error": self.error,
            "golden": self.golden.to_dict() if self.golden else None, "compared": self.compared,
            "inputs": all_of(self.inputs), "steps": all_of(self.steps), "model": all_of(self.model),
            "outputs": all_of(self.outputs), "decisions": all_of(self.decisions), "label": label,
            "context": all_of(self.context), "spans": all_of(self.spans),
            "total": self.total.to_dict() if self.total else None, "usage": all_of(self.usage), "ages": all_of(self.ages),
            "hardware": all_of(self.hardware), "process": dict(self.process), "recorder": all_of(self.recorder),
            "blobs": all_of(self.blobs), "rescued": dict(self.rescued),
            "neighbours": all_of(self.neighbours), "distance": self.distance, "notes": list(self.notes),
        }  # fmt: skip
