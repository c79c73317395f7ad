"""Ids of another form than golden's: cut short, padded, prefixed, in capitals, their leading zeros gone.

In: a `Case` and one of its categories. Out: at most one `Channel`. The form of an id is what is left when each digit is a
nine and each letter an a: where many ids have few forms, the form is a rule, and a key that does not keep it finds nothing.
"""

from __future__ import annotations

import re

import numpy as np

from whimbrel.diagnose.case import Case, Variable
from whimbrel.diagnose.scan import Channel
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools

MANY, A_FORM = 50, 10
"""Different ids that golden must have, and those that must share a form on average, before forms are a rule."""
STRANGE = 0.003
"""The share of golden's rows below which a form is one that they do not have."""
KNOWN = 12
"""Golden's rows of a tenant, a country, a partner from which on its ids are known: who is new brings his own."""
_NUMBER, _COUNTED = re.compile(r"[0-9]+"), re.compile(r"(?<![0-9])[1-9][0-9]*")
_DOTTED = re.compile(r"[0-9]+(\.[0-9]+){2,}")
_LETTERS = str.maketrans(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", "a" * 26 + "A" * 26 + "9" * 10
)


def channel_of_forms(case: Case, variable: Variable, layer: str) -> list[Channel]:
    """Where the values of a field have a form that golden's hardly ever had; a text has marks of its own."""
    assert variable.codes is not None
    if f"{variable.name}#characters" in case.variables:
        return []
    size, words = len(variable.vocabulary), variable.vocabulary
    golden = np.bincount(variable.codes[case.golden & ~variable.missing], minlength=size)
    window = np.bincount(variable.codes[case.window & ~variable.missing], minlength=size)
    seen = np.flatnonzero(golden)
    if seen.size < MANY or not (window[golden == 0]).any():
        return []
    longest = max((len(run) for i in seen for run in _NUMBER.findall(words[i])), default=0)
    forms = [_form(word, longest) for word in words]
    known = {forms[i] for i in seen}
    if A_FORM * len(known) > seen.size:
        return []
    _, index = np.unique(np.array(forms), return_inverse=True)
    strange = (np.bincount(index, weights=golden) < STRANGE * golden.sum())[index]
    values = np.where(variable.missing | _newcomers(case), np.nan, np.append(strange, False)[variable.codes])
    if not (values[case.window] == 1).any():
        return []
    top = [words[i] for i in np.argsort(-np.where(strange, window, -1))[:3] if strange[i] and window[i]]
    usual = words[int(golden.argmax())]
    detail = {"values": top, "usual": usual, "variable": variable.name}
    return [Channel(variable.path, layer, "reshaped", "invariant", values, floor=0.1, detail=detail)]


def _form(word: str, longest: int) -> str:
    """The form of an id; a number that has grown longer than all before it is the next one, and no other form; padding is no growth.

    Of numbers between dots (addresses, versions) the length says nothing.
    """
    if _DOTTED.fullmatch(word):
        return _NUMBER.sub("9", word)
    return _COUNTED.sub(lambda found: found[0][:longest], word).translate(_LETTERS)


def _newcomers(case: Case) -> Bools:
    """Rows of whom golden did not know, shape (n,)."""
    out = np.zeros(len(case.ts), dtype=bool)
    for dimension in case.dimensions:
        if case.variables[dimension.path].field.role is Role.CONTEXT:
            counts = np.bincount(dimension.codes[case.golden & (dimension.codes >= 0)], minlength=len(dimension.values))
            out |= (dimension.codes >= 0) & (np.append(counts, KNOWN)[dimension.codes] < KNOWN)
    return out
