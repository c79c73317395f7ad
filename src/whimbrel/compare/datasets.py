"""One version of training data against another: schema, rows, keys, columns, labels, and rows that both hold.

In: two versions by name (`train@3`, `train@4`). Out: a `DataDiff`. What is counted comes from `store/differences.py`; whether a
column moved, and in what words, is the same judgement as a window's against golden.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whimbrel.compare.judged import compare_profiles
from whimbrel.compare.result import Movement, percent
from whimbrel.engine import engine_named
from whimbrel.model.window import Window

if TYPE_CHECKING:
    from whimbrel.store import Log
    from whimbrel.store.datasets import DataVersion
    from whimbrel.store.differences import Facts

SCHEMA = "whimbrel.datadiff/1"
_SAID = 3


@dataclass(frozen=True, slots=True)
class DataDiff:
    """What differs between two versions of data, and what both hold."""

    before: DataVersion
    after: DataVersion
    facts: Facts
    moved: tuple[Movement, ...]
    unmoved: tuple[Movement, ...]

    @property
    def same(self) -> bool:
        """Whether both hold the same columns and rows, in whatever order."""
        return self.before.digest == self.after.digest

    @property
    def found(self) -> bool:
        """Whether there is anything to tell: a difference, or rows that two sets of data share."""
        apart = self.before.name != self.after.name
        rows = self.facts.rows
        return not self.same or (apart and bool(rows.after_in_before or rows.features_in_before))

    @property
    def columns(self) -> dict[str, Any]:
        """How the schema changed: columns gone, new, and of another type."""
        before, after = dict(self.before.columns), dict(self.after.columns)
        return {
            "gone": [c for c in before if c not in after],
            "new": [c for c in after if c not in before],
            "retyped": {c: [before[c], after[c]] for c in before if c in after and before[c] != after[c]},
        }

    @property
    def differs(self) -> str:
        """What differs, as the middle of a sentence."""
        rows, schema = self.facts.rows, self.columns
        said = []
        if self.same:
            return "the same columns and rows"
        for word, names in (("gone", schema["gone"]), ("new", schema["new"])):
            if names:
                said.append(f"{_listed([f'`{n}`' for n in names])} {'is' if len(names) == 1 else 'are'} {word}")
        for c, (was, is_) in list(schema["retyped"].items())[:_SAID]:
            said.append(f"`{c}` is {is_}, was {was}")
        if self.before.name != self.after.name:
            said.append(f"{rows.before:,} and {rows.after:,} rows")
        elif rows.gone or rows.new:
            of = f"{rows.before:,}" if rows.before == rows.after else f"{rows.before:,} -> {rows.after:,}"
            said.append(f"{rows.gone:,} rows gone and {rows.new:,} new ({of} rows)")
        for movement in self.moved[:_SAID]:
            said.append(f"`{column(movement)}` {self.words(movement)}")
        if len(self.moved) > _SAID:
            said.append(f"and {len(self.moved) - _SAID} more columns moved")
        return "; ".join(said)

    @property
    def overlap(self) -> str:
        """How many rows of the second sit in the first too: with all their content, and by their features alone."""
        rows, first, second = self.facts.rows, self.before.spec, self.after.spec
        shared, bare = rows.after_in_before, rows.features_in_before
        if not shared and not bare:
            return f"no row of {second} sits in {first}"
        text = f"{shared:,} of {rows.after:,} rows of {second} ({percent(shared / rows.after)}) sit in {first} too"
        if bare is not None and bare > shared:
            text += f"; {bare:,} ({percent(bare / rows.after)}) do where key and label are left out"
        return text

    def words(self, movement: Movement) -> str:
        """How a column moved; the older version is named where a comparison says golden."""
        return re.sub(
            r"`[^`]*`|\bgolden\b", lambda m: self.before.spec if m[0] == "golden" else m[0], movement.what or "moved"
        )

    @property
    def sentence(self) -> str:
        """The answer in one sentence."""
        pair = f"{self.before.spec} and {self.after.spec}"
        text = f"{pair} hold the same columns and rows" if self.same else f"{pair} differ: {self.differs}"
        if self.before.name != self.after.name:
            text += f"; {self.overlap}"
        return text + "."

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, in reading order."""
        from whimbrel.store.differences import plain

        return {
            "schema": SCHEMA, "sentence": self.sentence, "same": self.same, "differs": self.differs, "overlap": self.overlap,
            "before": self.before.to_dict(), "after": self.after.to_dict(), "columns": self.columns,
            **plain(self.facts),
            "moved": [self._plain(m) for m in self.moved], "unmoved": [self._plain(m) for m in self.unmoved],
        }  # fmt: skip

    def _plain(self, movement: Movement) -> dict[str, Any]:
        told = movement.to_dict()
        return {
            "column": column(movement), "moved": movement.moved, "what": self.words(movement) if movement.moved else "",
            **{key: told[key] for key in ("score", "distance", "outside_before", "outside_after", "shape")},
        }  # fmt: skip


def column(movement: Movement) -> str:
    """The column that a movement is about."""
    return movement.path.removeprefix("inputs.")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SAID])
    return shown if len(names) <= _SAID else f"{shown} and {len(names) - _SAID} more columns"


def compare_data(log: Log, before: str, after: str, *, key: Sequence[str] = (), label: str | None = None) -> DataDiff:
    """What differs between two versions of data, of one name (`train@3`, `train@4`) or of two (`train@3`, `validation@1`).

    Args:
        log: the log that holds both.
        before: the older version, or the data that a model is trained on.
        after: the newer, or the data that it is judged on.
        key: the columns that say which row is which; without them rows are matched by content alone.
        label: the column that says what turned out to be true; balance and content without it are then counted too.

    Raises:
        UsageError: no such version, or a key or label that one of them lacks.
        StoreError: the log cannot be read.
    """
    from whimbrel.store.datasets import described
    from whimbrel.store.differences import as_source, facts
    from whimbrel.store.intake import scratch, working
    from whimbrel.store.sql import roomy, store_errors

    data = log.data
    first, second = data.version(before), data.version(after)
    with store_errors(log.home, "read"), scratch(log.layout) as folder:
        with working(log.layout) as con:
            contents = [described(con, data, version) for version in (first, second)]
            counted = roomy(con, lambda: facts(con, *contents, key=key, label=label))
            if first.digest == second.digest:
                return DataDiff(first, second, counted, (), ())
            sources = [
                as_source(con, content, folder / f"{i}.parquet", version.spec)
                for i, (content, version) in enumerate(zip(contents, (first, second), strict=True))
            ]
        engine = engine_named()
        asked = Window(first.spec)
        binning = engine.binning(sources[0], asked)
        found = compare_profiles(*(engine.profile(source, asked, binning) for source in sources))
    both = ({c for c, _ in first.columns} & {c for c, _ in second.columns}) - set(key)  # a key is not distributed
    kept = [m for m in (*found.moved, *found.unmoved) if _root(column(m), both)]
    return DataDiff(
        first, second, counted, tuple(m for m in kept if m.moved), tuple(m for m in kept if not m.moved)
    )  # fmt: skip


def _root(path: str, columns: set[str]) -> bool:
    """Whether a leaf lies in a column that both have."""
    return path in columns or any(path.startswith(f"{c}.") for c in columns)


def told_between(log: Log, before: str, after: str) -> str:
    """What differs between two versions, as the middle of a sentence. Versions never change, so it is worked out once and kept.

    Raises:
        UsageError: no such version.
        StoreError: the log cannot be read.
    """
    from whimbrel.errors import StoreError
    from whimbrel.store import named

    first, second = log.data.version(before), log.data.version(after)
    digests = [version.digest.partition(":")[2][:32] for version in (first, second)]
    path = log.layout.models / "differences" / f"{digests[0]}-{digests[1]}.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["schema"] == SCHEMA and kept["before"] == first.spec and kept["after"] == second.spec:
            return str(kept["differs"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or not to be read any more: it is made anew
    differs = compare_data(log, before, after).differs
    with suppress(StoreError):  # a log that may only be read is still told about, only not as fast the next time
        named.write(path, {"schema": SCHEMA, "before": first.spec, "after": second.spec, "differs": differs})
    return differs
