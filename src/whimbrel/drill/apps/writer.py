"""A language model of our own: small, deterministic, and wrong now and then, as they are.

In: the passages that the prompt holds, the language asked for, how hard the question is. Out: JSON as text, a confidence, token
counts. It reads the best passage and says it in its style; what it lacks it makes up or declines. No network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import exp
from typing import NamedTuple

from whimbrel.drill.apps.corpus import REFUSAL, STYLE, Passage


class Written(NamedTuple):
    """What came back for one prompt."""

    text: str
    margin: float
    """Log-odds that the answer is right, as the model itself would have it."""
    tokens: int
    finish: str


@dataclass(frozen=True, slots=True)
class Writer:
    """A snapshot of the model, and how it is asked."""

    version: str
    sentences: int = 2
    """How many it writes."""
    shy: float = -1.3
    """Below these log-odds it declines."""
    sure: float = 0.0
    """Added to its log-odds."""
    fenced: float = 0.0
    """Share of answers in a code fence."""
    heat: float = 0.35
    """Temperature: how much of its log-odds is chance."""
    most_tokens: int = 200
    precision: str = "bf16"
    noise: float = 0.0
    """How far a device that computes wrongly misses, in log-odds."""
    said: str = ""
    """The digest that is recorded, where it is not that of what is here."""

    @property
    def digest(self) -> str:
        """The identity of all that decides what it writes."""
        told = repr([getattr(self, field.name) for field in fields(self) if field.name not in ("noise", "said")])
        return self.said or hashlib.sha256(told.encode()).hexdigest()[:16]

    def write(
        self, found: Sequence[Passage], score: float, language: str, crowd: float, luck: float, flip: float
    ) -> Written:  # fmt: skip
        """An answer from passages found with that score, `crowd` the thousands of tokens around them."""
        margin = 4.2 * (score - 0.55) - 0.9 * crowd + self.sure + self.heat * luck + self.noise * flip
        if not found:
            margin -= 2.5
        if margin < self.shy or not found:
            answer = REFUSAL
        else:
            first, *more = STYLE.get(language, STYLE["en"])
            answer = " ".join([first.format(fact=found[0].text), *more][: self.sentences])
        text = json.dumps({"answer": answer, "confidence": round(_share(margin), 2)}, ensure_ascii=False)
        if _share(3 * luck) < self.fenced:
            text = f"```json\n{text}\n```"
        tokens = count(text)
        if tokens > self.most_tokens:
            return Written(text[: 4 * self.most_tokens], margin, self.most_tokens, "length")
        return Written(text, margin, tokens, "stop")


def count(text: str) -> int:
    """About as many tokens as a tokenizer makes of it: one for four characters."""
    return (len(text) + 3) // 4


def _share(odds: float) -> float:
    return 1 / (1 + exp(-max(min(odds, 60.0), -60.0)))
