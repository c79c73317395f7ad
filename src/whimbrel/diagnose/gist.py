"""What a text is about, as far as one field depends on it: the words in it that golden's values of that field go with.

In: a `Case`, a step's field and what came before it. Out: its exact relation to the set of telling words that a text has, where there
is one. A retrieved passage, a chosen tool or an intent follows from a question's words; its length or language says little
of that. Words tell where their counts and the target's values depend on each other beyond chance (the likelihood ratio G, which
is chi-squared where they do not: Wilks 1938).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from whimbrel.diagnose.case import Case, Variable
from whimbrel.diagnose.forms import EXACT_SHARE, tabled
from whimbrel.diagnose.relations import Relation, Split
from whimbrel.diagnose.support import thin
from whimbrel.model.fields import Role
from whimbrel.model.rows import Floats, Ints

MOST_WORDS = 120
"""Telling words that are kept, the most telling first."""
_LEAST = 12
"""Texts that a word must be in, and lack."""
_BEGINNING = 600
_LEARNT = 4_000
_CLASSES = 24
"""Values of the target that are told apart; the rest are one."""
_STEPS = 5.0
"""Standard deviations beyond what chance gives G that make a word telling."""
LEAST_OFTEN = 0.2
"""Distinct values a row up to which a category may be looked up in a table."""
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


def from_words(case: Case, parts: Split, variable: Variable, parents: Sequence[Variable]) -> Relation | None:
    """The exact relation of a step's value to the words of a text before it: what was looked up or chosen because of them."""
    if variable.field.role is not Role.STEP or variable.derived or f"{variable.path}#characters" in case.variables:
        return None
    texts = [p for p in parents if f"{p.name}#characters" in case.variables]
    for text in texts[:2]:
        words = gist(text, variable, parts.train)
        found = _by_table(parts, variable, words) if words is not None else None
        if found is not None:
            return found
    return None


def gist(text: Variable, target: Variable, train: Ints) -> Variable | None:
    """The set of telling words of each text; None where no word tells anything of the target."""
    assert text.codes is not None
    values = _classes(target, train)
    rows = thin(train[(text.codes[train] >= 0) & (values[train] >= 0)], _LEARNT)
    if rows.size < 200 or np.unique(values[rows]).size < 2:
        return None
    words = words_of(text)
    chosen = telling([words[code] for code in text.codes[rows].tolist()], values[rows])
    if not chosen:
        return None
    index: dict[frozenset[str], int] = {}
    place = np.full(len(text.vocabulary) + 1, -1, dtype=np.int64)
    for code, has in enumerate(words):
        place[code] = index.setdefault(has & chosen, len(index))
    names = tuple(" ".join(sorted(has)) for has in index)
    return Variable(f"{text.name}#telling words", text.field, codes=place[text.codes], vocabulary=names)


def words_of(text: Variable) -> list[frozenset[str]]:
    """The words at the beginning of each text of the vocabulary."""
    return [frozenset(_WORD.findall(one[:_BEGINNING].lower())) for one in text.vocabulary]


def _by_table(parts: Split, target: Variable, parent: Variable) -> Relation | None:
    """The exact relation of a target to one category of many values: each value's usual answer; None where it is not exact."""
    if target.numbers is not None:
        return tabled(parts, target, parent, EXACT_SHARE)
    assert target.codes is not None
    assert parent.codes is not None
    y, width = target.codes, len(target.vocabulary)
    train, check = (rows[(y[rows] >= 0) & (parent.codes[rows] >= 0)] for rows in (parts.train, parts.check))
    if train.size < 200 or check.size < 100 or width > LEAST_OFTEN * train.size:
        return None
    pairs = sparse.csr_matrix(
        (np.ones(train.size), (parent.codes[train], y[train])), shape=(len(parent.vocabulary) + 1, width)
    )
    best, times = np.asarray(pairs.argmax(axis=1)).ravel(), np.asarray(pairs.max(axis=1).todense()).ravel()
    sure = (times >= 2) & (times >= EXACT_SHARE * np.asarray(pairs.sum(axis=1)).ravel())
    expected = np.where(sure, best, np.nan)[parent.codes]
    judged = check[np.isfinite(expected[check])]
    if judged.size < 0.6 * check.size:
        return None
    right = expected[judged] == y[judged]
    if right.mean() < EXACT_SHARE or np.unique(y[judged]).size < 2:
        return None
    surprise = np.where(np.isfinite(expected) & (y >= 0), (expected != y).astype(float), np.nan)
    surprise[parts.train] = np.nan
    return Relation(target.name, (parent.name,), "function", True, float(right.mean()), expected, surprise)


def _classes(target: Variable, train: Ints) -> Ints:
    """The target's commonest values as codes, shape (n,), -1 where null: numbers of many values by their place in golden."""
    if target.codes is not None:
        counts = np.bincount(target.codes[train][target.codes[train] >= 0], minlength=len(target.vocabulary))
        order = np.argsort(-counts, kind="stable")
        rank = np.empty(order.size + 1, dtype=np.int64)
        rank[order] = np.minimum(np.arange(order.size), _CLASSES)
        rank[-1] = -1
        return rank[target.codes]
    assert target.numbers is not None
    known = target.numbers[train]
    edges = np.unique(np.quantile(known[np.isfinite(known)], np.linspace(0, 1, 9)[1:-1])) if known.size else known
    return np.where(np.isfinite(target.numbers), np.searchsorted(edges, target.numbers, "left"), -1)


def telling(texts: list[frozenset[str]], values: Ints) -> frozenset[str]:
    """The words that some of these texts' values, codes of shape (n,), go with beyond chance, the most telling of them."""
    index: dict[str, int] = {}
    columns = [index.setdefault(word, len(index)) for text in texts for word in text]
    sizes = [len(text) for text in texts]
    has = sparse.csr_matrix(
        (np.ones(len(columns)), (np.repeat(np.arange(len(texts)), sizes), columns)),
        shape=(len(texts), max(len(index), 1)),
    )
    kinds = int(values.max()) + 1
    flags = sparse.csr_matrix((np.ones(len(texts)), (values, np.arange(len(texts)))), shape=(kinds, len(texts)))
    seen: Floats = np.asarray((flags @ has).todense(), dtype=np.float64)
    of = np.bincount(values, minlength=kinds).astype(np.float64)[:, None]
    n = float(len(texts))
    with_word = seen.sum(axis=0)
    g = np.zeros(seen.shape[1])
    for counts, margin in ((seen, with_word), (of - seen, n - with_word)):
        expected = of * margin / n
        with np.errstate(divide="ignore", invalid="ignore"):
            g += 2 * np.where(counts > 0, counts * np.log(counts / expected), 0.0).sum(axis=0)
    free = max(int((of > 0).sum()) - 1, 1)
    beyond = (g - free) / np.sqrt(2.0 * free)
    often = (with_word >= _LEAST) & (n - with_word >= _LEAST)
    names = list(index)
    chosen = [j for j in np.argsort(-beyond)[:MOST_WORDS].tolist() if often[j] and beyond[j] > _STEPS]
    return frozenset(names[j] for j in chosen)
