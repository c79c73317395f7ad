"""The words that changed: which words and runs of words are in more, or fewer, of the affected texts than in golden's.

In: a `Case` and a `Cause` that a free text takes part in. Out: one piece of evidence, or none. Words are weighed by log odds with an
informative Dirichlet prior (Monroe, Colaresi and Quinn 2008), over texts that have them rather than over occurrences: a text
that says it twice is one witness. They must beat chance over all words tried, and what golden's own blocks of time differ by
among themselves: topics come and go.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from whimbrel.diagnose.case import Case
from whimbrel.diagnose.causes import Cause
from whimbrel.model.fields import Role, role_of
from whimbrel.model.report import Evidence
from whimbrel.model.rows import Ints

_SAMPLED = 1_500
"""Texts looked at on each side; a word in a twentieth of them is told from one in none."""
_BEGINNING = 500
_LONGEST = 3
"""Words in a run."""
_LEAST_MOVE = 0.05
"""Share of texts that a word must have been gained or lost in."""
_MOST = 3
_PRIOR = 20.0
"""Texts that the prior is worth."""
_CHANCE = 0.01
_WORD = re.compile(r"\d+|[\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff]|[^\W\d_]+(?:['’-][^\W\d_]+)*")
_WIDE = re.compile(r"(?<=[\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff]) (?=[\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff])")


@dataclass(frozen=True, slots=True)
class Moved:
    """A run of words, the share of texts that have it on either side, and how far beyond chance that is."""

    words: str
    before: float
    after: float
    z: float


def changed_words(case: Case, cause: Cause) -> Evidence | None:
    """The words that changed most between golden and the affected rows, in the text that the cause is about."""
    path = _about(case, cause)
    if path is None:
        return None
    codes = case.variables[path].codes
    assert codes is not None
    suspect = cause.suspect
    base = suspect.inside & case.golden
    base = base if (base & (codes >= 0)).sum() >= 50 else case.golden
    halves = [codes[base & (np.bitwise_count(case.blocks) % 2 == odd)] for odd in (0, 1)]
    moved = contrast(case.variables[path].vocabulary, halves, codes[suspect.affected])
    if not moved:
        return None
    new, gone = ([m for m in moved if (m.after > m.before) is up][:_MOST] for up in (True, False))
    says = "; ".join(
        f"{name}: " + ", ".join(f"'{m.words}' in {_share(m.after)}, {_share(m.before)} in golden" for m in side)
        for name, side in (("more", new), ("fewer", gone))
        if side
    )
    first = max(moved, key=lambda m: abs(m.z))
    numbers: dict[str, float | int | str] = {
        "words": first.words, "before": round(first.before, 4), "after": round(first.after, 4), "score": round(first.z, 2),
    }  # fmt: skip
    return Evidence("marginal", f"words of {path} that changed, by share of texts: {says}", numbers)


def _about(case: Case, cause: Cause) -> str | None:
    """The free text a cause is about: its own field, else the app's answer where the model or an output is named."""
    texts = [path for path in case.variables if f"{path}#characters" in case.variables]
    for path in (cause.component, cause.suspect.component):
        if path in texts:
            return path
    roles = {role_of(cause.component), role_of(cause.suspect.component)}
    if roles & {Role.MODEL, Role.OUTPUT}:
        return next((path for path in texts if role_of(path) is Role.OUTPUT), None)
    return None


def _share(share: float) -> str:
    return f"{100 * share:.0f}%"


def contrast(texts: Sequence[str], golden: Sequence[Ints], window: Ints) -> list[Moved]:
    """What moved by more than chance and than golden's halves among themselves, strongest first.

    `golden` is two halves and `window` one side, each codes into `texts`, -1 where null. Runs that overlap a stronger one are left out.
    """
    counts, sizes = zip(*(_counted(texts, rows) for rows in (*golden, window)), strict=True)
    before, n, m = counts[0] + counts[1], sizes[0] + sizes[1], sizes[2]
    if n < 50 or m < 20:
        return []
    after = counts[2]
    least = 0.5 * _LEAST_MOVE
    tried = [w for w in {*before, *after} if before[w] >= least * n or after[w] >= least * m]
    if not tried:
        return []
    z = _log_odds(before, n, after, m, tried)
    chance = -float(ndtri(_CHANCE / (2 * len(tried))))
    if min(sizes[:2]) >= 20:
        chance = max(chance, float(np.abs(_log_odds(counts[0], sizes[0], counts[1], sizes[1], tried)).max()))
    found = [Moved(w, before[w] / n, after[w] / m, float(score)) for w, score in zip(tried, z, strict=True)]
    found = [m for m in found if abs(m.z) > chance and abs(m.after - m.before) >= _LEAST_MOVE]
    return _apart(found)


def _counted(texts: Sequence[str], codes: Ints) -> tuple[Counter[str], int]:
    """In how many of at most `_SAMPLED` of these rows each run of words is, and of how many."""
    rows = codes[codes >= 0]
    rows = rows[:: max(1, -(-rows.size // _SAMPLED))]
    found, times = np.unique(rows, return_counts=True)
    counts: Counter[str] = Counter()
    for code, n in zip(found.tolist(), times.tolist(), strict=True):
        runs = _runs(texts[code][:_BEGINNING])
        counts.update(runs if n == 1 else dict.fromkeys(runs, n))
    return counts, int(rows.size)


def _runs(text: str) -> set[str]:
    """Each run of one to three words of a text, numbers taken for one and the same."""
    words = ["0" if word.isdigit() else word for word in _WORD.findall(text.lower())]
    out = set(words)
    for length in range(2, _LONGEST + 1):
        out.update(map(" ".join, zip(*(words[i:] for i in range(length)), strict=False)))
    out.discard("0")
    return out


def _log_odds(
    before: Counter[str], n: int, after: Counter[str], m: int, words: Iterable[str]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Monroe's z for each word: the difference of log odds, each side shrunk to both sides' share, over its deviation."""
    y, x = (np.array([side[word] for word in words], dtype=np.float64) for side in (before, after))
    prior = np.clip((y + x) / (n + m), 1e-4, 1 - 1e-4) * _PRIOR
    gap = np.log((x + prior) / (m + _PRIOR - x - prior)) - np.log((y + prior) / (n + _PRIOR - y - prior))
    return np.asarray(gap / np.sqrt(1 / (x + prior) + 1 / (y + prior)))


def _apart(found: Iterable[Moved]) -> list[Moved]:
    """The strongest first, a longer run before its parts where it is as strong; none that shares a word with one before it."""
    out: list[Moved] = []
    taken: set[str] = set()
    for one in sorted(found, key=lambda m: (-round(abs(m.z)), -len(m.words.split()), m.words)):
        words = set(one.words.split())
        if not words & taken:
            out.append(Moved(_WIDE.sub("", one.words), one.before, one.after, one.z))
            taken |= words
    return out
