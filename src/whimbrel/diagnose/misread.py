"""Numbers in texts that nobody wrote so: letters that stand for digits ("3O days"), or a number that runs into the word before it ("days45").

In: the beginnings of texts and those that golden has. Out: the texts that have such a word, as golden hardly ever did, where it comes apart into what golden's
texts do say. Who writes of a new product ("phone15") writes one word again and again; who reads badly, or glues two texts together,
does it to all of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

LEAST_TEXTS = 3
"""Texts of golden that make a word known."""
DIFFERENT, MOST = 4, 0.5
"""Different words that must be damaged, and the share of them that may be one and the same."""
_JUNCTION = re.compile(r"[^\W\d_]\d|\d[^\W\d_]")
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"[0-9OlI]*\d[0-9OlI]*")
_GLUED = re.compile(r"([^\W\d_]{2,})(\d+)")
_BEGUN = re.compile(r"(\d+)([^\W\d_]{2,})")
_DIGITS = str.maketrans("OlI", "011")


def misread(beginnings: Sequence[str], golden: Sequence[int]) -> dict[int, str]:
    """What the texts at these places went through: {place: what}; `golden` are the places of golden's texts."""
    asked = {i: _WORD.findall(text) for i, text in enumerate(beginnings) if _JUNCTION.search(text)}
    if not asked:
        return {}
    counts: Counter[str] = Counter()
    for i in golden:
        counts.update(set(_WORD.findall(beginnings[i])))
    known = frozenset(word for word, count in counts.items() if count >= LEAST_TEXTS)
    strange = {i: [word for word in words if word not in known] for i, words in asked.items()}
    out: dict[int, str] = {}
    for what, told, also in (("letters for digits", _letters, _letters), ("words run together", _glued, _begun)):
        times = Counter(of for words in strange.values() for word in words if (of := told(word, known)))
        if len(times) >= DIFFERENT and max(times.values()) <= MOST * times.total():
            out.update(
                (i, what) for i, words in strange.items() if any(told(w, known) or also(w, known) for w in words)
            )
    return out


def _letters(word: str, known: frozenset[str]) -> str:
    """The number that a word stands for if its letters are digits; empty where it is none of golden's. An l after a number is a unit."""
    if word.isdigit() or not _NUMBER.fullmatch(word) or word[-1] in "lI":
        return ""
    number = word.translate(_DIGITS)
    return number if number in known else ""


def _glued(word: str, known: frozenset[str]) -> str:
    """The word that a number runs into; empty where golden's texts do not say both."""
    found = _GLUED.fullmatch(word)
    return found[1] if found is not None and found[1] in known and found[2] in known else ""


def _begun(word: str, known: frozenset[str]) -> str:
    """The word that runs into a number before it, which proves nothing by itself: a number and its unit are written either way."""
    found = _BEGUN.fullmatch(word)
    return found[2] if found is not None and found[1] in known and found[2] in known else ""
