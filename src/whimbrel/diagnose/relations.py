"""What golden taught about a field: its relation to what came before it, and golden's rows for learning and for checking it.

`learning` seeks relations, `forms` has those that are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whimbrel.diagnose.case import Case
from whimbrel.diagnose.support import thin
from whimbrel.model.rows import Bools, Floats, Ints

_TRAIN_ROWS = 8_000


@dataclass(frozen=True, eq=False)
class Relation:
    """What golden taught about one target.

    `surprise`, shape (n,), is NaN on rows that cannot be judged (outside golden's support, or used for learning where the
    form is not exact). For an exact relation it is 1 where the row breaks it and 0 where it holds; else it is the
    residual in units of golden's own residual spread. `expected` is what the relation says the value should be
    (for categories, the code).
    """

    target: str
    parents: tuple[str, ...]
    form: str
    exact: bool
    strength: float
    expected: Floats
    surprise: Floats
    probabilities: Floats | None = None
    """For a category that is not determined: shape (n, classes), over `classes`, codes of the vocabulary."""
    classes: tuple[int, ...] = ()
    beside: Floats | None = None
    """Of a fitted model: `surprise` on unknown ground as well, where only rows of the same hour may be held against each other."""
    told: str = ""
    """The relation in words, where its form and parents do not say it."""

    @property
    def words(self) -> str:
        """The relation in words."""
        if self.told:
            return self.told
        parents = ", ".join(self.parents[:3]) + (", …" if len(self.parents) > 3 else "")
        return {
            "copy": f"equal to {parents}",
            "affine": f"a fixed multiple of {parents} plus a constant",
            "function": f"a function of {parents}",
            "linear": f"a sum of multiples of {parents}",
            "product": f"a product of powers of {parents}",
            "log": f"the exponential of a sum of multiples of {parents}",
            "logistic": f"a logistic function of a sum of multiples of {parents}",
            "gated": f"a fixed multiple of {parents} or one fixed value",
            "rule": f"decided by {parents}",
        }.get(self.form, f"predictable from {parents}")


_COMPARABLE = 40
"""Golden rows of a slice that are enough to compare others with."""


@dataclass(frozen=True, eq=False)
class Split:
    """Golden's rows for learning and for checking (whole blocks of time each), as indices."""

    train: Ints
    check: Ints

    def beside(self, inside: Bools, known: Bools) -> Ints:
        """Golden rows to compare others with: known, held out of the learning, in the slice where it has enough of them."""
        rows = self.check[known[self.check]]
        here = rows[inside[rows]]
        return here if here.size >= _COMPARABLE else rows


def split(case: Case) -> Split:
    """Whole blocks of golden learn or check, so that rows that share a day do not vouch for each other.

    Which do follows Thue and Morse (1906): a sequence without a period, so that blocks of twelve hours do not learn by night
    what they check by day.
    """
    golden = np.flatnonzero(case.golden)
    checks = held_out(case, golden)
    return Split(thin(golden[~checks], _TRAIN_ROWS), thin(golden[checks], _TRAIN_ROWS))


def held_out(case: Case, golden: Ints) -> Bools:
    """Which of these golden rows check what the others teach, shape (rows,)."""
    odd: Bools = np.bitwise_count(case.blocks[golden]) % 2 == 1 if case.block_count >= 4 else golden % 2 == 1
    return odd


def alone(parts: Split) -> tuple[Ints, Split]:
    """The rows that learn and check, and the same split of an array of these rows alone: most that is tried fails there."""
    rows = np.concatenate([parts.train, parts.check])
    return rows, Split(np.arange(parts.train.size), np.arange(parts.train.size, rows.size))
