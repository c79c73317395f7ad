"""Free text as variables: length, words, language, format, ending, refusal, repetition, template, opening.

In: the distinct texts of a field and which rows have them. Out: `Mark`s, numbers or codes a row, which the case takes for
variables `path#name` like any other: no channel, relation or threshold knows that they came from text.

Every distinct text is measured, once. Its length and shape are read off the whole; its language and digits, whether it
declines to answer and which of its words are new off its first `BEGINNING` characters. What golden's texts have in common is
learned on `_SAMPLED` of them. Texts come cut at `CUT` characters; how those end is unknown.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from whimbrel.diagnose.language import declines, language
from whimbrel.diagnose.misread import misread
from whimbrel.model.rows import Bools, Floats, Ints

BEGINNING = 240
"""Characters at the start of a text that language, digits, refusal and new words are read off."""
CUT = 2_000
"""Length from which on a text may have been cut when it was read."""
WHOLE = "whole"
"""The condition of a text that nothing befell."""
FORMS = ("format", "letters", "condition")
"""Marks of a known few values: one that golden's texts never had is no matter of taste."""
MOST_CODES = 60
_SAMPLED = 4_000
_COMMON_PIECE, _NEW_PIECE = 0.05, 0.3
"""Share of golden's texts, or of the window's, that have a line before it is taken for a part of a template."""
_TEMPLATED = 0.8
"""Share of golden's texts that must have such a line before the field is said to have a template."""
_MANY_LINES = 60
_CLOSED = frozenset(".!…。！)]}\"'”’»`*>|")
_BULLETS = ("- ", "* ", "• ", "1. ", "1) ")
_OPENERS = frozenset("{[")
_BROKEN = re.compile("\ufffd|[\u00c2\u00c3\u00d0\u00d1][\u0080-\u00bf\u0152-\u0178\u2013-\u2122]|\u00e2[\u0080\u20ac]")
"""UTF-8 read as Latin-1 or Windows-1252, or what a decoder puts where it gives up."""
_ESCAPED = re.compile(r"&(?:[a-z]{2,8}|#\d{1,6});|\\[nrtu\"]|([=%])[C-F][0-9A-F]\1[89AB][0-9A-F]")
"""What markup, a string in code, quoted-printable mail and addresses write for a character, and a reader should not see."""
_TAG = re.compile(r"\[[^\[\]{}\":,]{1,40}\]\s*[^\s\]]")
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]{0,80}>")
_COMBINING = re.compile("[\u0300-\u036f\u1100-\u11ff\u3099\u309a]")
"""Accents and parts of letters that are written as characters of their own."""
_FILE_NAME = re.compile(r"\S*[\d_]\S*\.[A-Za-z][A-Za-z0-9]{1,3}")
"""A number or an underscore, and an extension, without blanks: what a camera or a scanner calls what it made."""
_RUN_TOGETHER = 20
"""Characters from which on a text of one word has lost its blanks."""
_ADDRESS = re.compile(r"[/@\\]|\d{4}")
"""What is in addresses, paths and numbers, which have no blanks to lose."""
_BEGUN_WORDS, _BEGUN_TWICE = 3, 2
"""Words of a line that the next one begins with, from which on that is no chance; such lines that tell that a text has its lines twice."""
_UNSPACED_SCRIPTS = 0x0E00
"""Code point from which on scripts write without blanks."""
_DIGITS = str.maketrans("", "", "0123456789")


@dataclass(frozen=True, eq=False)
class Mark:
    """One number, or one code into `vocabulary`, a row, shape (n,): NaN or -1 where there is no text or it cannot be told."""

    name: str
    numbers: Floats | None = None
    codes: Ints | None = None
    vocabulary: tuple[str, ...] = ()


def marks(texts: Sequence[str], codes: Ints, golden: Bools, *, received: bool = False) -> list[Mark]:
    """All marks of a field that say anything; those with one value on all rows are left out.

    `codes`, shape (n,), index `texts`, -1 where null; `golden`, shape (n,), says which rows are golden's. Texts `received`
    from outside are also asked how many of their words are new: what the world talks about excuses what is answered to it.
    """
    beginnings = [text[:BEGINNING] for text in texts]
    lengths: dict[str, Callable[[str], float]] = {
        "characters": len,
        "words": _words,
        "ascii": _ascii,
        "repeated": _repeated,
    }
    out = [_number(name, [measure(text) for text in texts], codes) for name, measure in lengths.items()]
    out.append(_number("digits", [_digits(text) for text in beginnings], codes))
    if received:
        known = _known_words(beginnings, codes[golden])
        out.append(_number("new words", [_strange(text, known) for text in beginnings], codes))
    else:
        out.append(_listed("refusal", ["declines" if declines(text) else "answers" for text in beginnings], codes))
    out.append(_listed("language", [language(text) for text in beginnings], codes))
    out.append(_listed("format", [shape(text) for text in texts], codes))
    out.append(_listed("letters", [letters(text) for text in beginnings], codes))
    worn = misread(beginnings, _some(codes[golden]))
    states = [worn.get(i) or condition(text) for i, text in enumerate(beginnings)]
    pairs = zip(texts, states, strict=True)
    states = ["lines begun twice" if state == WHOLE and begun_twice(text) else state for text, state in pairs]
    out.append(_listed("condition", states, codes))
    out.append(_listed("ending", [ending(text) for text in texts], codes))
    heads = [" ".join(text.split(None, 2)[:2]) for text in beginnings]
    if len(set(heads)) <= max(MOST_CODES, 0.2 * len(texts)):
        out.append(_listed("opening", heads, codes))
    templates = _templates(texts, codes, golden)
    if templates is not None:
        out.append(_listed("template", templates, codes))
    return [mark for mark in out if _says_something(mark)]


def _number(name: str, values: Sequence[float], codes: Ints) -> Mark:
    return Mark(name, numbers=np.array([*values, math.nan], dtype=np.float64)[codes])


def _listed(name: str, values: Sequence[str | None], codes: Ints) -> Mark:
    """Codes by first appearance; None is unknown."""
    index: dict[str, int] = {}
    mapped = [-1 if value is None else index.setdefault(value, len(index)) for value in values]
    return Mark(name, codes=np.array([*mapped, -1], dtype=np.int64)[codes], vocabulary=tuple(index))


def _says_something(mark: Mark) -> bool:
    if mark.numbers is not None:
        numbers = mark.numbers[np.isfinite(mark.numbers)]
        return numbers.size > 0 and float(np.ptp(numbers)) > 0
    assert mark.codes is not None
    codes = mark.codes[mark.codes >= 0]
    return codes.size > 0 and int(np.ptp(codes)) > 0


# ---------------------------------------------------------------- one text


def _words(text: str) -> float:
    """Words by the blanks between them."""
    return float(len(text.split()))


def _digits(text: str) -> float:
    return 1.0 - len(text.translate(_DIGITS)) / len(text) if text else 0.0


def _ascii(text: str) -> float:
    return 1.0 if text.isascii() else len(text.encode("ascii", "ignore")) / len(text)


def _repeated(text: str) -> float:
    """The share of lines (of sentences, where there are few lines) that the text has had before: a model that loops."""
    parts = pieces(text)
    return 1.0 - len(set(parts)) / len(parts) if parts else 0.0


def pieces(text: str) -> list[str]:
    """The lines of a text; its sentences, where it has but one line."""
    return [part for part in text.split("\n" if "\n" in text else ". ") if part]


def shape(text: str) -> str:
    r"""The format that a text is in: JSON (whole, broken, or within fences), fenced, tagged, a list, or plain.

    >>> [shape(t) for t in ('{"a": 1}', '{"a": ', '```json\n{"a": 1}\n```', "Do this:\n- one\n- two", "[New] Yes.", "Yes.")]
    ['JSON', 'broken JSON', 'JSON in fences', 'list', 'tagged', 'plain']
    """
    start = text[:80].lstrip()[:1]
    if start == "[" and _TAG.match(text[:80].lstrip()):
        return "tagged"
    if start in _OPENERS:
        return "JSON" if _parses(text) else "broken JSON"
    lines = text.split("\n")
    fence = next((i for i, line in enumerate(lines) if line.startswith("```")), None)
    if fence is not None:
        inside = (lines[fence][3:].removeprefix("json") + "".join(lines[fence + 1 : fence + 2])).lstrip()
        return "JSON in fences" if inside[:1] in _OPENERS else "fenced"
    if start == "<":
        return "tagged"
    return "list" if any(line.startswith(_BULLETS) for line in lines) else "plain"


def _parses(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return len(text) >= CUT  # cut at this length when read: taken for what it began as
    return True


def letters(beginning: str) -> str | None:
    """Whether a text is in lower case, in capitals or in both; None where it has no letters to tell."""
    if beginning.islower():
        return "lower"
    return "capitals" if beginning.isupper() else "both" if beginning.lower() != beginning.upper() else None


def condition(beginning: str) -> str:
    r"""What a text went through: nothing, a broken or decomposed encoding, markup or escapes left in, its blanks lost, a file's name in its place.

    >>> [condition(t) for t in ("Où est-il ?", "OÃ¹ est-il ?", "<p>Hi</p>", "A&nbsp;b", "a\nb", "whereismyparcelplease", "IMG_0412.jpg")]
    ['whole', 'broken encoding', 'markup', 'escaped', 'escaped', 'without blanks', 'file name']
    """
    if not beginning.isascii():
        if _BROKEN.search(beginning):
            return "broken encoding"
        if _COMBINING.search(beginning) and len(unicodedata.normalize("NFC", beginning)) < len(beginning):
            return "decomposed letters"
    if any(mark in beginning for mark in "&\\=%") and _ESCAPED.search(beginning):
        return "escaped"
    if "<" in beginning and _MARKUP.search(beginning):
        return "markup"
    stripped = beginning.strip()
    if _FILE_NAME.fullmatch(stripped) and "@" not in stripped and "://" not in stripped:
        return "file name"
    one = len(stripped) >= _RUN_TOGETHER and len(stripped.split(None, 1)) == 1 and not _ADDRESS.search(stripped)
    if one and ord(max(stripped)) < _UNSPACED_SCRIPTS:
        return "without blanks"
    return WHOLE


def begun_twice(text: str) -> bool:
    r"""Whether lines come twice, first cut short: captions stored with what was heard before the sentence ended, a stream with its pieces.

    One who writes begins a line like the one before now and then, and goes on where that one ended but once.

    >>> begun_twice("we can ship\nwe can ship on Monday.\nwho tells the\nwho tells the client?")
    True
    >>> begun_twice("Fix the login page\nFix the login page on phones\nAsk Ann\nAsk Ann again")
    False
    """
    if "\n" not in text:
        return False
    lines = [line for line in text.split("\n") if line]
    again = [a for a, b in pairwise(lines) if len(a) < len(b) and b.startswith(a)]
    return sum(len(line.split()) >= _BEGUN_WORDS for line in again) >= _BEGUN_TWICE


def ending(text: str) -> str | None:
    """How a text ends: closed, with a question, or open (in mid-sentence); None where it was cut when it was read."""
    if len(text) >= CUT:
        return None
    last = text[-8:].rstrip()[-1:]
    if last in ("?", "？"):
        return "question"
    return "closed" if last in _CLOSED else "open"


# ---------------------------------------------------------------- what golden's texts share


def _known_words(beginnings: Sequence[str], golden: Ints) -> frozenset[str]:
    """Words that at least three of golden's texts have."""
    counts: Counter[str] = Counter()
    for code in _some(golden):
        counts.update(set(beginnings[code].lower().split()))
    return frozenset(word for word, count in counts.items() if count >= 3)


def _strange(beginning: str, known: frozenset[str]) -> float:
    """The share of a text's words that golden's texts hardly have: the news of the day, another language, another trade."""
    words = beginning.lower().split()
    return 1.0 - sum(map(known.__contains__, words)) / len(words) if words else 0.0


def _some(codes: Ints) -> list[int]:
    """At most `_SAMPLED` of the distinct texts of these rows, evenly spread."""
    found = np.unique(codes[codes >= 0])
    return [int(code) for code in found[:: max(1, -(-found.size // _SAMPLED))]]


def _templates(texts: Sequence[str], codes: Ints, golden: Bools) -> list[str | None] | None:
    """Each text's skeleton, the lines (or labels of lines) of it that many texts have; None where texts have none in common.

    A template whose wording changes loses a line that golden's had, and so shows as another skeleton.
    """
    sides = [_some(codes[rows]) for rows in (golden, ~golden)]
    if min(map(len, sides)) < 20:
        return None
    constant: set[str] = set()
    for side, least in zip(sides, (_COMMON_PIECE, _NEW_PIECE), strict=True):
        counts: Counter[str] = Counter()
        for code in side:
            counts.update({form for piece in pieces(texts[code])[:_MANY_LINES] for form in _forms(piece)})
        constant.update(form for form, count in counts.items() if count >= max(least * len(side), 3))
    if sum(_skeleton(texts[code], constant) != () for code in sides[0]) < _TEMPLATED * len(sides[0]):
        return None
    skeletons: list[tuple[str, ...]] = [_skeleton(text, constant) for text in texts]
    if len(set(skeletons)) > MOST_CODES:
        return None
    names = _names(skeletons)
    return [names[skeleton] for skeleton in skeletons]


def _forms(piece: str) -> tuple[str, ...]:
    """What of a piece may be constant: all of it, or the label before its colon."""
    return (piece, _label(piece)) if ":" in piece else (piece,)


def _label(piece: str) -> str:
    return piece[:60].partition(":")[0] + ":"


def _skeleton(text: str, constant: set[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for piece in pieces(text)[:_MANY_LINES]:
        if piece in constant:
            found[piece] = None
        elif ":" in piece:
            label = _label(piece)
            if label in constant:
                found[label] = None
    return tuple(found)


def _names(skeletons: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """A short name for each skeleton, the commonest first."""
    return {skeleton: f"template {i}" for i, (skeleton, _) in enumerate(Counter(skeletons).most_common(), 1)}
