"""What of the recorded predictions is kept: all that went wrong or is rare, and a share of the ordinary ones.

In: flat records on their way into the log, and the `[retain]` table of a policy. Out: those that are kept, each with the
probability of that in `recorder.share`. The choice rests on a hash of the id alone, so that reading a segment again, or
another service that shares the id, chooses the same. `store/ingest.py` calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xxhash import xxh3_64_intdigest

from whimbrel.errors import UsageError
from whimbrel.record.policy import read_table


@dataclass(frozen=True, slots=True)
class Retention:
    """How many of the ordinary predictions are kept (`share`), and which are not ordinary."""

    share: float = 1.0
    slow_ms: float = float("inf")
    rare: int = 0

    @staticmethod
    def load() -> Retention:
        """The `[retain]` table of the policy that recorders here would read; all is kept where there is none.

        Raises:
            UsageError: it makes no sense.
        """
        return Retention.of(*read_table("retain"))

    @staticmethod
    def of(table: Mapping[str, Any], where: str) -> Retention:
        """The table's value.

        Raises:
            UsageError: a key or a value makes no sense.
        """
        for key, value in table.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if key not in Retention.__slots__ or not number or not value >= 0 or (key == "share" and value > 1):
                raise UsageError(
                    f"retain: {key} = {value!r} makes no sense", where=f"{where}, [retain]",
                    why="it knows share (0 to 1), slow_ms (milliseconds) and rare (predictions)", next="correct it: docs/policy.md",
                )  # fmt: skip
        return Retention(**table)

    def choose(
        self,
        records: list[dict[str, Any]],
        held: Callable[[Mapping[str, Any]], bool] | None = None,
        decisions: Iterable[Mapping[str, Any]] = (),
    ) -> list[dict[str, Any]]:
        """The records that are kept, among them all that are `held`, and all whose decision one of `decisions` changed.

        The latter are rows of `id`, `path` and `value`: what was decided of predictions after they had ended.
        """
        if self.share >= 1:
            return records
        counts = (
            Counter(tag for record in records for tag in _tags(record)) if self.rare else Counter[tuple[str, Any]]()
        )
        flips = _flips(records, decisions)
        bar = self.share * 2**64
        kept = []
        for record in records:
            special = (
                bool(record.get("error")) or "spans.total" not in record or record["spans.total"] >= self.slow_ms
                or record["id"] in flips or (held is not None and held(record)) or (self.rare and any(counts[tag] <= self.rare for tag in _tags(record)))
            )  # fmt: skip
            if special or xxh3_64_intdigest(str(record["id"]).encode()) < bar:
                record["recorder.share"] = 1.0 if special else self.share
                kept.append(record)
        return kept


def _flips(records: Iterable[Mapping[str, Any]], decisions: Iterable[Mapping[str, Any]]) -> set[Any]:
    """Ids of which one thing was decided twice, and not alike. The first decision of something that came late is none."""
    later: dict[Any, list[Mapping[str, Any]]] = {}
    for row in decisions:
        later.setdefault(row["id"], []).append(row)
    if not later:
        return set()
    given = {record["id"]: record for record in records if record["id"] in later}
    flips = set()
    for ident, rows in later.items():
        known = dict(given.get(ident, {}))
        if any(known.setdefault(row["path"], row["value"]) != row["value"] for row in rows):
            flips.add(ident)
    return flips


def _tags(record: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return ((path, value) for path, value in record.items() if path.startswith("context."))
