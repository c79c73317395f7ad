"""One question asked of every channel: is it higher in the window than golden's own blocks are among themselves?

A *channel* is one number a row that says how far the row departs from what golden's relation or contract led to
expect. It is first standardised: a main-effects regression on golden (dimensions, hour of day, weekend) is taken off, so
that a change of mix moves nothing. Then its mean is compared, for all traffic and for each value of each dimension, with a
noise that has three parts: rows, golden's blocks among themselves, and golden's trend carried on to the window. The
threshold is the largest score that golden's own blocks reach when each is tested against the others.

Which slice it is says `whom`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import sparse

from whimbrel.diagnose import matrices, whom
from whimbrel.diagnose.case import HOUR_US, Case, Dimension, Variable
from whimbrel.diagnose.wobble import wobble
from whimbrel.model.fields import Role
from whimbrel.model.report import EvidenceKind
from whimbrel.model.rows import Bools, Floats
from whimbrel.model.window import Where

THRESHOLD = 6.3
"""The least score that counts, in standard errors, however quiet golden is; a channel may know better."""
THRESHOLD_EXACT = 5.0
"""The same where an exact relation is broken, or rows are held against the rest of their hour: only chance stands against it."""
CALIBRATION = 1.4
"""How far above golden's own largest score a window must lie."""
PAIR_DISCOUNT = 0.8
"""What a pair's score is worth beside a single value's."""
NEAR = 0.4
"""The share of its threshold from which a score is worth a second look."""
BATCH = 2_000_000
"""Values of channels that are held at a time: arrays of so many are small enough for the allocator to use them again."""


LAYER_OF = {
    Role.INPUT: "data",
    Role.STEP: "features",
    Role.CODE: "features",
    Role.AGE: "features",
    Role.OUTPUT: "model",
    Role.MODEL: "model",
    Role.DECISION: "decision",
    Role.LABEL: "labels",
    Role.SPAN: "serving",
    Role.ERROR: "serving",
    Role.USAGE: "serving",
    Role.HARDWARE: "hardware",
    Role.RECORDER: "recorder",
}
"""Whose fault it is where a field of a role breaks."""


@dataclass(frozen=True, eq=False)
class Channel:
    """One measurement a row, shape (n,), NaN where the row cannot be judged.

    `sign` is +1 where only a rise is a departure, 0 where both ways are. `floor` is the least mean shift, inside a
    slice, that matters. `binary` channels are 0 or 1, others are in units of golden's own spread.
    """

    component: str
    layer: str
    signature: str
    kind: EvidenceKind
    values: Floats
    sign: int = 1
    floor: float = 0.01
    binary: bool = True
    exact: bool = False
    not_by: frozenset[Role] = frozenset()
    """Dimensions that make no slice for this channel: what it measures decides them, not they it."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    given: Floats | None = None
    """What the rest of the row led to expect, shape (n,): it is taken off before anything is compared."""
    beside: Floats | None = None
    """The values, shape (n,), where rows are only held against others of their hour: more of them can be judged then."""
    least: float = THRESHOLD
    """The least score that counts, in standard errors, however quiet golden is."""

    def cuts(self, dimension: Dimension) -> bool:
        """Whether the dimension makes slices for this channel; a field's own values are none for it."""
        return matrices.role(dimension) not in self.not_by and dimension.path != self.component


def invariant(variable: Variable, signature: str, values: Floats | Bools, **more: object) -> Channel:
    """The channel of what golden always kept about one field, 1 where a row breaks it."""
    layer = LAYER_OF[variable.field.role]
    channel = Channel(variable.path, layer, signature, "invariant", values.astype(np.float64), **more)  # type: ignore[arg-type]
    item = variable.name.startswith(f"{variable.path}[")
    return replace(channel, detail={"variable": variable.name, **channel.detail}) if item else channel


def measured(case: Case, channel: Channel) -> Variable | None:
    """The variable of a channel's component, or of a list the item that it is about; None where it is about none."""
    return case.variables.get(channel.component) or case.variables.get(str(channel.detail.get("variable")))


@dataclass(frozen=True, eq=False)
class Hit:
    """A channel that departs: in which slice, how strongly, and the standardised values to look further into."""

    channel: Channel
    where: Where
    score: float
    threshold: float
    shift: float
    before: float
    after: float
    rows: int
    excess: Floats
    """The channel less what the mix explains, shape (n,), NaN where the row cannot be judged."""
    inside: Bools
    """Rows of the slice, golden and window, shape (n,)."""


class Scan:
    """The scan over one case; built once, asked with any number of channels."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._design, taught = matrices.mix_design(case)
        split = int(case.golden.sum())  # golden's rows come first
        golden, window = self._sides = slice(0, split), slice(split, None)
        design = self._golden_design = sparse.csr_matrix(self._design[golden].multiply(taught[golden, None]))
        gram = (design.T @ design).toarray() + 5.0 * np.eye(design.shape[1])
        self._solver = np.linalg.inv(gram)
        self._cells = matrices.cells(case)
        self._clusters = matrices.clusters(case)
        self._family = np.repeat(np.arange(len(case.dimensions) + 1), [1, *(len(d.values) for d in case.dimensions)])
        pairs, self._parents = matrices.pairs(case)
        self._golden_pairs, self._window_pairs = pairs[:, golden], pairs[:, window]
        hours = np.unique(case.ts // HOUR_US, return_inverse=True)[1]
        self._hours = sparse.csr_matrix((np.ones(hours.size), (hours, np.arange(hours.size))))

    def excess(self, channels: Sequence[Channel]) -> Floats:
        """Channels less what golden's mix explains, shape (n, channels), NaN where a row cannot be judged."""
        values = np.stack([c.values if c.given is None else c.values - c.given for c in channels], axis=1)
        golden = self._sides[0]
        judged = np.isfinite(values)
        seen = np.maximum(judged[golden].sum(axis=0), 1)
        values[~judged] = 0.0
        values -= values[golden].sum(axis=0) / seen
        values[~judged] = 0.0
        effects = self._solver @ (self._golden_design.T @ values[golden])
        # Rows that cannot be judged pull effects towards zero; scale by how many could be.
        values -= self._design @ (effects * (len(judged[golden]) / seen))
        values[~judged] = np.nan
        return values

    def hits(self, channels: Sequence[Channel]) -> list[Hit]:
        """The channels that depart from golden, each in the slice that holds the departure, strongest first.

        What is half seen in the whole window is looked for in its second half: most of a fault that began at noon is diluted
        by the morning.
        """
        out: list[Hit] = []
        late = self.case.ts >= np.median(self.case.ts[self.case.window])
        size = max(16, BATCH // late.size)
        for start in range(0, len(channels), size):
            batch = channels[start : start + size]
            found, near = self._asked(batch, self.case.window)
            again, _ = self._asked([batch[j] for j in near], self.case.window & late)
            out += [*found, *again]
        return sorted(out, key=lambda hit: -hit.score)

    def _asked(self, channels: Sequence[Channel], among: Bools) -> tuple[list[Hit], list[int]]:
        """The channels that depart in these rows of the window, and the positions of those that nearly do.

        What is not seen against golden may be seen against the rest of the same hour: storms hit every slice alike.
        """
        if not channels:
            return [], []
        excess, part = self.excess(channels), float(among.sum() / max(self.case.window.sum(), 1))
        measured = self._scores(channels, self._only(excess, among), part)
        found = self._passed(channels, excess, measured)
        near = {j for j in range(len(channels)) if j not in found and np.any(measured[0][:, j] > NEAR * measured[1][j])}
        unseen = [j for j in range(len(channels)) if j not in found]
        if unseen and self.case.dimensions:
            asked = [c if c.beside is None else replace(c, values=c.beside) for c in (channels[j] for j in unseen)]
            excess = excess[:, unseen]
            other = [k for k, j in enumerate(unseen) if channels[j].beside is not None]
            if other:
                excess[:, other] = self.excess([asked[k] for k in other])
            beside = self._beside(excess)
            measured = self._scores(asked, self._only(beside, among), part, beside=True)
            again = self._passed(asked, beside, measured, itself=self._only(excess, among))
            found |= {unseen[k]: hit for k, hit in again.items()}
            near |= {j for k, j in enumerate(unseen) if np.any(measured[0][:, k] > NEAR * measured[1][k])}
        return list(found.values()), sorted(near - set(found))

    def _only(self, excess: Floats, among: Bools) -> Floats:
        """The excess with the window's other rows left out."""
        if among is self.case.window:
            return excess
        return np.where((self.case.golden | among)[:, None], excess, np.nan)

    def _passed(
        self, channels: Sequence[Channel], excess: Floats, measured: tuple[Floats, Floats, Floats],
        *, itself: Floats | None = None,
    ) -> dict[int, Hit]:  # fmt: skip
        """The channels that pass their threshold, by position, each settled in its slice.

        `itself`, shape (n, channels), is the excess of channels that are held against the rest of their hours: a slice that only
        stands out because all others moved did not move.
        """
        scores, thresholds, shifts = measured
        out: dict[int, Hit] = {}
        for j, channel in enumerate(channels):
            passed = (scores[:, j] >= thresholds[j]) & (np.abs(shifts[:, j]) >= channel.floor)
            if itself is not None and passed.any():
                passed &= shifts[:, j] * self._shifts(itself[:, [j]])[:, 0] > 0.5 * shifts[:, j] ** 2
                passed[0] = False
            if channel.sign > 0:
                passed &= shifts[:, j] > 0
            if passed.any() and (passed := passed & self._cut_for(channel)).any():
                best = int(np.argmax(np.where(passed, scores[:, j], -np.inf)))
                sign = 1.0 if shifts[best, j] > 0 else -1.0
                hit = self._settle(channel, excess[:, j], sign, float(scores[best, j]), float(thresholds[j]))
                if hit is not None and (itself is None or hit.where):
                    out[j] = hit
        return out

    def _beside(self, excess: Floats) -> Floats:
        """The excess less its mean over all rows of the same hour, shape (n, channels)."""
        rows = _Judged(excess)
        means = np.asarray(self._hours @ rows.values) / np.maximum(rows.counts(self._hours), 1.0)
        out: Floats = excess - self._hours.T @ means
        return out

    def _cut_for(self, channel: Channel) -> Bools:
        """Which of the scored slices, singles then pairs, are made of dimensions that make slices for this channel."""
        single: Bools = np.array([True, *(channel.cuts(d) for d in self.case.dimensions)])[self._family]
        if not self._parents.size:
            return single
        return np.concatenate([single, single[self._parents].all(axis=1)])

    # ------------------------------------------------------------ scores

    def _shifts(self, excess: Floats) -> Floats:
        """How far each slice, singles then pairs, moved from golden, shape (slices, channels)."""
        rows = _Judged(excess)
        blocks, windows = self.case.block_count, self.case.window_blocks
        shape = (blocks + windows, -1, excess.shape[1])
        singles = [x.reshape(shape) for x in (np.asarray(self._cells @ rows.values), rows.counts(self._cells))]
        sides = []
        by_pairs = (self._golden_pairs, self._window_pairs)
        for side, by_pair, part in zip(self._sides, by_pairs, (slice(0, blocks), slice(blocks, None)), strict=True):
            pairs = [np.asarray(by_pair @ rows.values[side]), rows.counts(by_pair, side)]
            sums, counts = (np.concatenate([a[part].sum(0), b]) for a, b in zip(singles, pairs, strict=True))
            sides.append(sums / np.maximum(counts, 1))
        out: Floats = sides[1] - sides[0]
        return out

    def _scores(
        self, channels: Sequence[Channel], excess: Floats, part: float = 1.0, *, beside: bool = False
    ) -> tuple[Floats, Floats, Floats]:
        """Score and shift of every slice (all traffic first, then each value), shape (slices, channels); thresholds.

        `part` is the share of the window that is asked about: the shorter, the more it wobbles.
        """
        case = self.case
        rows = _Judged(excess)
        blocks, windows = case.block_count, case.window_blocks
        shape = (blocks + windows, -1, excess.shape[1])
        sums = np.asarray(self._cells @ rows.values).reshape(shape)
        squares = np.asarray(self._cells @ rows.squares).reshape(shape)
        counts = rows.counts(self._cells).reshape(shape)
        golden = _Sums(sums[:blocks].sum(0), squares[:blocks].sum(0), counts[:blocks].sum(0))
        window = _Sums(sums[blocks:].sum(0), squares[blocks:].sum(0), counts[blocks:].sum(0))
        binary = np.array([channel.binary for channel in channels])
        wobbles = wobble(sums[:blocks], squares[:blocks], counts[:blocks], self._family, part * windows)
        between, effects = wobbles.between, self._shared(rows, golden)
        shared = np.maximum.reduce(effects)
        shifts = window.mean - golden.mean
        scores = np.abs(shifts) / np.sqrt(_noise(golden, window, binary) * shared + wobbles.difference + 1e-18)
        scores[window.n < 12] = 0.0
        new = (golden.n < 12) & (window.n >= 12)
        if new.any():  # a slice that golden never saw is held against all of golden
            against_all = np.abs(window.mean - golden.mean[:1]) / np.sqrt(
                golden.variance(binary)[:1]
                + window.variance(binary) * shared[:1] / np.maximum(window.n, 1)
                + between[:1]
            )
            scores = np.where(new, against_all, scores)
            shifts = np.where(new, window.mean - golden.mean[:1], shifts)
        thresholds = self._thresholds(channels, golden, sums, squares, counts, between, shared, beside)
        if not self._parents.size:
            return scores, thresholds, shifts
        paired, shifted = self._pair_scores(rows, binary, wobbles.difference, effects)
        # There are many more pairs than single values: the same surprise weighs less.
        return np.concatenate([scores, paired * PAIR_DISCOUNT]), thresholds, np.concatenate([shifts, shifted])

    def _shared(self, rows: _Judged, golden: _Sums) -> list[Floats]:
        """Kish's design effects on golden, shape (slices, channels) each: how much less rows say that share their hour, their visit or their thing.

        One weather value is shared by forty flights; without this, forty rows would count as forty witnesses. Of how much a visit's
        rows share a slice of few visits says too little: it is never less than in all traffic. Of a thing only its changes count: the
        window is about the same things.
        """
        side = self._sides[0]
        out: list[Floats] = []
        for clusters in self._clusters:
            sums = np.asarray(clusters.rows @ rows.values[side])
            counts = rows.counts(clusters.rows, side)
            within = golden.square - golden.n * golden.mean**2
            if clusters.things is None:
                left = sums - counts * (clusters.slices.T @ golden.mean)
            else:
                means = (clusters.things @ sums) / np.maximum(clusters.things @ counts, 1)
                means = clusters.things.T @ means
                left = sums - counts * means
                squares = np.asarray(clusters.rows @ rows.squares[side])
                within = clusters.slices @ ((squares - counts * means**2) * (clusters.weights > 0))
                left = left * np.sqrt(clusters.weights)
            between = np.asarray(clusters.slices @ left**2)
            effect = np.where(within > 1e-12, np.maximum(between / np.maximum(within, 1e-12), 1.0), 1.0)
            out.append(np.maximum(effect, effect[:1]) if out else effect)
        return out

    def _pair_scores(
        self, rows: _Judged, binary: Bools, wobble: Floats, effects: list[Floats]
    ) -> tuple[Floats, Floats]:  # fmt: skip
        """Score and shift of two values at once; between blocks they wobble as the livelier of their parents does."""
        golden, window = (
            _Sums(np.asarray(by @ rows.values[side]), np.asarray(by @ rows.squares[side]), rows.counts(by, side))
            for side, by in zip(self._sides, (self._golden_pairs, self._window_pairs), strict=True)
        )
        shifts = window.mean - golden.mean
        left, right = self._parents.T
        noise = np.maximum(wobble[left], wobble[right])
        # A pair's rows share hours less often than either parent's do: the smaller of the two design effects.
        shared = np.maximum.reduce([np.minimum(effect[left], effect[right]) for effect in effects])
        scores = np.abs(shifts) / np.sqrt(_noise(golden, window, binary) * shared + noise + 1e-18)
        scores[(window.n < 15) | (golden.n < 15)] = 0.0
        return scores, shifts

    def _thresholds(
        self,
        channels: Sequence[Channel],
        golden: _Sums,
        sums: Floats,
        squares: Floats,
        counts: Floats,
        between: Floats,
        shared: Floats,
        beside: bool,
    ) -> Floats:
        """Each golden block against the others: what nothing broken looks like, shape (channels,)."""
        blocks = self.case.block_count
        least = np.array([min(c.least, THRESHOLD_EXACT) if c.exact or beside else c.least for c in channels])
        if blocks < 3:
            return least * 1.5
        binary = np.array([channel.binary for channel in channels])
        signed = np.array([channel.sign for channel in channels])
        floors = np.array([channel.floor for channel in channels])
        for b in range(blocks):
            one = _Sums(sums[b], squares[b], counts[b])
            rest = _Sums(golden.sum - one.sum, golden.square - one.square, golden.n - one.n)
            shift = one.mean - rest.mean
            score = np.abs(shift) / np.sqrt(_noise(rest, one, binary) * shared + between * (1 + 1 / blocks) + 1e-18)
            score[(one.n < 12) | (rest.n < 12)] = 0.0
            score[(np.abs(shift) < floors) | ((signed > 0) & (shift < 0))] = 0.0
            least = np.maximum(least, CALIBRATION * score.max(axis=0))
        return least

    # ------------------------------------------------------------ slices

    def _settle(self, channel: Channel, excess: Floats, sign: float, score: float, threshold: float) -> Hit | None:
        where, inside = whom.slice_of(self.case, excess * sign, channel.cuts)
        case = self.case
        rows = inside & case.window & np.isfinite(excess)
        base = inside & case.golden & np.isfinite(excess)
        if not rows.any():
            return None
        after = float(np.mean(channel.values[rows]))
        before = float(np.mean(channel.values[base])) if base.sum() >= 12 else float(
            np.nanmean(channel.values[case.golden & np.isfinite(excess)])
        )  # fmt: skip
        shift = float(np.mean(excess[rows]))
        return Hit(channel, where, score, threshold, shift, before, after, int(rows.sum()), excess, inside)


class _Judged:
    """An excess with zeros where it is not known, and its squares, shape (n, channels); most channels judge the same rows, which are counted once."""

    def __init__(self, excess: Floats) -> None:
        judged = np.isfinite(excess)
        self.values: Floats = np.where(judged, excess, 0.0)
        self.squares: Floats = self.values * self.values
        first: dict[bytes, int] = {}
        self._index = [first.setdefault(of.tobytes(), len(first)) for of in np.packbits(judged.T.copy(), axis=1)]
        self._known = judged[:, np.unique(self._index, return_index=True)[1]].astype(np.float64)

    def counts(self, matrix: sparse.csr_matrix, rows: slice = slice(None)) -> Floats:
        """Judged rows of each of the matrix's cells, shape (cells, channels)."""
        counts: Floats = np.asarray(matrix @ self._known[rows])[:, self._index]
        return counts


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sum, sum of squares and count of each slice and channel, shape (slices, channels)."""

    sum: Floats
    square: Floats
    n: Floats

    @property
    def mean(self) -> Floats:
        out: Floats = self.sum / np.maximum(self.n, 1)
        return out

    def variance(self, binary: Bools) -> Floats:
        """Within-slice variance, with half a row of doubt for 0/1 channels, so that "never seen" is not "impossible"."""
        plain = np.maximum(self.square / np.maximum(self.n, 1) - self.mean**2, 0.0)
        doubt = np.where(binary, 0.5 / (self.n + 1), 0.05 / (self.n + 1))
        out: Floats = plain + doubt
        return out


def _noise(golden: _Sums, window: _Sums, binary: Bools) -> Floats:
    """Variance of the difference of two means, from their rows alone, shape (slices, channels).

    What happened seldom and happens often now has a variance of its own making. For 0/1 channels the window's is therefore the
    geometric mean of its own and golden's, which comes close to the likelihood ratio's.
    """
    before, after = golden.variance(binary), window.variance(binary)
    after = np.where(binary, np.sqrt(before * after), after)
    out: Floats = before / np.maximum(golden.n, 1) + after / np.maximum(window.n, 1)
    return out
