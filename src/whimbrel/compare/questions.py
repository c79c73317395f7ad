"""What is asked of each column: did its values move, its nulls, is there anything of a new sort, did one value spike?

Each answer is a divergence between expected and found shares, with the degrees of freedom and the noise that two samples
of these sizes have by chance. Null has a question of its own, and is left out of the others: it would drown them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whimbrel.model.fields import Role, role_of
from whimbrel.model.profile import NULL, RESCUED, Binning
from whimbrel.model.rows import Bools, Floats, Ints
from whimbrel.stats.distance import chi_square, divergence, divergence_of_two, freedom, normalised

VALUES, NULLS, SORT, SPIKE = range(4)
"""The questions: all bins, null or not, inside or outside what golden held, the one bin that grew most or any other."""

QUESTIONS = 4

CHANCE = 2.0
"""Standard deviations of chance that are not counted as restlessness."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Of shape (…, columns, questions): divergence, its degrees of freedom, and noise a degree of freedom."""

    apart: Floats
    freedom: Floats
    noise: Floats

    @property
    def excess(self) -> Floats:
        """Divergence beyond what chance gives, but for one case in forty."""
        return np.maximum(self.apart - self.noise * chi_square(CHANCE, self.freedom), 0.0)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which bins answer which question.

    Of shape (bins,), `structural` is True for bins where golden's emptiness means something, `rescued` for wrong types.
    Of shape (columns,), `starts` is where the columns begin and `compared` is False for dimensions, which are the mix;
    `matters` is False where a null means nothing: a label that is late is not lost.
    """

    starts: Ints
    structural: Bools
    rescued: Bools
    matters: Bools
    compared: Bools

    @staticmethod
    def of(binning: Binning) -> Layout:
        """The layout of a binning."""
        starts = np.array(binning.starts[:-1], np.int64) - 1
        structural, rescued = np.zeros((2, binning.starts[-1] - 1), np.bool_)
        rescued[starts + RESCUED] = True
        for start, bins in zip(starts, binning.columns, strict=True):
            structural[start + np.array(bins.structural)] = True
        matters = np.array([role_of(bins.column) is not Role.LABEL for bins in binning.columns], np.bool_)
        compared = np.array([bins.column not in binning.dimensions for bins in binning.columns], np.bool_)
        return Layout(starts, structural, rescued, matters, compared)

    def new_sort(self, golden: Floats) -> Bools:
        """The bins that hold values of a new sort, given golden's counts; shape as given."""
        found: Bools = self.structural & ((golden == 0) | self.rescued)
        return found

    def ask(self, before: Floats, after: Floats, new_sort: Bools, rows: tuple[Floats, Floats]) -> Answers:
        """The answers to all questions.

        Args:
            before: expected shares, shape (…, bins), each column's summing to one.
            after: found shares, likewise.
            new_sort: which bins hold values of a new sort, likewise.
            rows: how many rows stand behind golden and the target, each of shape (…, columns) or (…, 1).
        """
        null_before, null_after = before[..., self.starts + NULL], after[..., self.starts + NULL]
        held_before, held_after = self._held(before), self._held(after)
        grown = np.where(held_after > held_before, divergence_of_two(held_before, held_after), 0.0)
        freed = freedom(held_before, held_after, self.starts)
        ones = np.ones_like(freed)
        answers = {
            VALUES: (divergence(held_before, held_after, self.starts), freed),
            NULLS: (divergence_of_two(null_before, null_after) * self.matters, ones),
            SORT: (divergence_of_two(self._sum(held_before * new_sort), self._sum(held_after * new_sort)), ones),
            # The greatest of n chi-squares of one degree of freedom is about 2 ln n.
            SPIKE: (np.maximum.reduceat(grown, self.starts, axis=-1), np.maximum(2 * np.log(freed + 1), 1.0)),
        }
        ordered = [answers[question] for question in range(QUESTIONS)]
        all_rows = sum(1 / n for n in rows) * ones / 8
        shares = (1 - null_before, 1 - null_after)
        held_rows = sum(1 / np.maximum(n * s, 1.0) for n, s in zip(rows, shares, strict=True)) / 8
        noise = np.stack([all_rows if q == NULLS else held_rows for q in range(QUESTIONS)], axis=-1)
        return Answers(np.stack([a for a, _ in ordered], axis=-1), np.stack([d for _, d in ordered], axis=-1), noise)

    def _held(self, shares: Floats) -> Floats:
        """Shares among the rows that are not null."""
        held = shares.copy()
        held[..., self.starts + NULL] = 0.0
        return normalised(held, self.starts)

    def _sum(self, shares: Floats) -> Floats:
        found: Floats = np.add.reduceat(shares, self.starts, axis=-1)
        return found
