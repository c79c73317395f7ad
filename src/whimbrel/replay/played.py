"""What code made of recorded inputs: of one prediction, and of many at once.

In: what a pipeline answers. Out: `Answers`, whose columns are compared with the recorded ones. Pipelines and who runs them may call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, overload

from whimbrel.model.records import Records
from whimbrel.replay.record import Record

Heed: TypeAlias = Callable[[str], None]
"""Called with a step's name as it begins or ends, so that a crash can be laid at its door."""


@dataclass(frozen=True, slots=True)
class Played:
    """What the code made of one prediction's recorded inputs."""

    out: Record = field(default_factory=dict)
    """Steps, outputs and decisions by path."""
    failed: str = ""
    """The exception that it raised, in words."""
    failed_in: str = ""
    """The step that raised it, where it says so."""
    live: tuple[str, ...] = ()
    """Look-ups that the record does not hold, so that the world was asked again."""
    unkept: tuple[str, ...] = ()
    """Steps that differed and whose recorded value could not be handed on."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers(Sequence[Played]):
    """What the code made of `n` predictions, as columns; `Answers()` is the neutral element of `+`."""

    out: Records = field(default_factory=Records)
    """Steps, outputs and decisions."""
    odd: Mapping[int, Played] = field(default_factory=dict)
    """What else is to be said, by row, of those rows that failed, asked the world or kept their own value; no `out`."""

    @staticmethod
    def of(parts: Iterable[Played | Answers]) -> Answers:
        """Answers of one prediction and of many, one after the other."""
        whole, rows = Answers(), []
        for part in (*parts, Answers()):
            if isinstance(part, Played):
                rows.append(part)
                continue
            if rows:
                odd = {i: replace(row, out={}) for i, row in enumerate(rows) if row != Played(row.out)}
                whole += Answers(Records.of([row.out for row in rows]), odd)
                rows = []
            whole += part
        return whole

    def __len__(self) -> int:
        return len(self.out)

    @overload
    def __getitem__(self, row: int) -> Played: ...
    @overload
    def __getitem__(self, row: slice) -> Answers: ...
    def __getitem__(self, row: int | slice) -> Played | Answers:
        if isinstance(row, slice):
            rows = range(len(self))[row] if self.odd else ()
            return Answers(self.out[row], {new: self.odd[old] for new, old in enumerate(rows) if old in self.odd})
        return replace(self.odd.get(range(len(self))[row], _PLAIN), out=self.out[row])

    def __iter__(self) -> Iterator[Played]:
        for i, out in enumerate(self.out):
            yield replace(self.odd.get(i, _PLAIN), out=out)

    def __add__(self, other: Answers) -> Answers:
        """These answers, then the other's."""
        return Answers(self.out + other.out, {**self.odd, **{len(self) + i: one for i, one in other.odd.items()}})


_PLAIN = Played()


def together(run: Callable[[Records, Heed], Answers], records: Records, heed: Heed) -> Iterator[Played | Answers]:
    """Run all records at once; where that fails, each half of them, so that in the end only the failing ones fail."""
    at = ""

    def heard(step: str) -> None:
        nonlocal at
        at = step
        heed(step)

    try:
        answers = run(records, heard)
        if len(answers) != len(records):
            raise ValueError(f"the code answers {len(answers)} rows for {len(records)}")
    except Exception as error:  # noqa: BLE001  the code that is judged may raise anything
        middle = len(records) // 2
        if not middle:
            yield Played(failed=f"{type(error).__name__}: {error}"[:500], failed_in=at)
            return
        yield from together(run, records[:middle], heed)
        yield from together(run, records[middle:], heed)
    else:
        yield answers
