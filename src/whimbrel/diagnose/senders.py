"""Texts that came for somebody else: what golden's words tell of who asks (a language, a product) still goes with who asks.

In: a `Case`. Out: a channel for each text that arrives and whose words tell a tag surely, 1 where they tell another than the row bears. The
world writes in another language than it used to; it does not exchange letters: what proves is that as many came from here for there
as from there for here (`exchanged`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from whimbrel.diagnose.case import Case, Variable
from whimbrel.diagnose.forms import EXACT_SHARE
from whimbrel.diagnose.gist import telling, words_of
from whimbrel.diagnose.relations import Split, split
from whimbrel.diagnose.scan import LAYER_OF, Channel
from whimbrel.diagnose.support import thin
from whimbrel.diagnose.suspects import Suspect
from whimbrel.model.fields import Role
from whimbrel.model.rows import Floats, Ints

_LEARNT = 4_000
_VALUES, _LEAST_VALUE = 8, 0.03
"""Values of a tag up to which words are asked for it, and the share of golden that each must have."""
_SURE = 7.0
"""Log odds, of the likeliest value against the next, from which on words tell the tag."""
_OFTEN = 0.5
"""Share of golden's held-out texts that must tell it."""
_EXCHANGED, _LEAST = 0.5, 12
"""The part of the texts astray that others must make up for, and how many must be."""


def channels(case: Case) -> list[Channel]:
    """For each text that arrives, the rows in which it tells another tag than theirs; the tag that most texts tell."""
    parts = split(case)
    texts = [v for v in case.of(Role.INPUT) if f"{v.name}#characters" in case.variables]
    tags = [v for v in case.of(Role.CONTEXT) if v.codes is not None and not v.derived and 2 <= v.distinct <= _VALUES]
    out = []
    for text in texts:
        assert text.codes is not None
        words = words_of(text)
        found = [
            (float(np.mean(told >= 0)), tag, told)
            for tag in tags
            if (told := _told(text, words, tag, parts)) is not None
        ]
        if not found:
            continue
        _, tag, told = max(found, key=lambda one: one[0])
        assert tag.codes is not None
        values = np.where((told >= 0) & (tag.codes >= 0), told != tag.codes, np.nan).astype(np.float64)
        values[parts.train] = np.nan
        detail = {"tag": tag.path, "told": told}
        out.append(Channel(text.path, LAYER_OF[Role.INPUT], "foreign", "invariant", values, exact=True, detail=detail))
    return out


def exchanged(case: Case, suspect: Suspect) -> bool:
    """Whether the texts astray are made up for by others that went the other way."""
    tag, told = case.variables[suspect.hit.channel.detail["tag"]], suspect.hit.channel.detail["told"]
    assert tag.codes is not None
    rows = suspect.bad
    size = len(tag.vocabulary)
    went: Floats = np.zeros((size, size))
    np.add.at(went, (told[rows], tag.codes[rows]), 1.0)
    return bool(went.sum() >= _LEAST and np.minimum(went, went.T).sum() >= _EXCHANGED * went.sum())


def _told(text: Variable, words: Sequence[frozenset[str]], tag: Variable, parts: Split) -> Ints | None:
    """Which of the tag's values each row's words tell, shape (n,), -1 where none surely; None where words tell it too seldom, or wrongly.

    The naive Bayes classifier over the words that tell the tag at all (Maron 1961).
    """
    assert text.codes is not None
    assert tag.codes is not None
    rows = parts.train[(text.codes[parts.train] >= 0) & (tag.codes[parts.train] >= 0)]
    rows = thin(rows, _LEARNT)
    counts = np.bincount(tag.codes[rows], minlength=len(tag.vocabulary))
    usual = np.flatnonzero(counts >= _LEAST_VALUE * max(rows.size, 1))
    rows = rows[np.isin(tag.codes[rows], usual)]
    if rows.size < 200 or usual.size < 2:
        return None
    chosen = sorted(telling([words[code] for code in text.codes[rows].tolist()], tag.codes[rows]))
    if not chosen:
        return None
    has = _matrix(words, chosen)
    taught = sparse.csr_matrix((np.ones(rows.size), (np.searchsorted(usual, tag.codes[rows]), np.arange(rows.size))))
    seen = np.asarray((taught @ has[text.codes[rows]]).todense()) + 0.5
    odds = np.asarray(has @ np.log(seen / (counts[usual][:, None] + 1.0)).T) + np.log(counts[usual])
    first, second = np.sort(odds, axis=1)[:, [-1, -2]].T
    of_text = np.append(np.where(first - second >= _SURE, usual[odds.argmax(axis=1)], -1), -1)
    out = of_text[text.codes]
    check = parts.check[tag.codes[parts.check] >= 0]
    sure = check[out[check] >= 0]
    tells = sure.size >= max(_OFTEN * check.size, 100) and np.unique(out[sure]).size > 1
    return out if tells and np.mean(out[sure] == tag.codes[sure]) >= EXACT_SHARE else None


def _matrix(words: Sequence[frozenset[str]], chosen: Sequence[str]) -> sparse.csr_matrix:
    """Which text has which of the chosen words, shape (texts, words)."""
    index = {word: j for j, word in enumerate(chosen)}
    cells = [(i, index[word]) for i, has in enumerate(words) for word in has if word in index]
    at = np.array(cells, dtype=np.int64).reshape(-1, 2)
    return sparse.csr_matrix((np.ones(len(cells)), (at[:, 0], at[:, 1])), shape=(len(words), len(chosen)))
