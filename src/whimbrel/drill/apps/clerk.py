"""A language model that uses tools, of our own: small, deterministic, and wrong now and then. It plans, and it writes.

In: a letter, and later what the tools returned. Out: a tool to call with its arguments; then an answer as JSON, with what it took
out of the letter. No network.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, fields
from math import exp
from typing import Any, NamedTuple

from whimbrel.drill.apps.letters import CUES, DECLINED, INTENTS, LANGUAGES, MORE, REPLIES, UNKNOWN

ORDER = re.compile(r"\b[A-Z]{2}-\d{5}\b")
"""What a number of an order looks like."""


class Planned(NamedTuple):
    """What is to be done about a letter."""

    intent: str
    tool: str
    arguments: str


class Told(NamedTuple):
    """What came back for one prompt."""

    body: str
    odds: float
    """Log-odds that it settles the matter, as the model itself would have it."""
    tokens: int
    stop: str


@dataclass(frozen=True, slots=True)
class Clerk:
    """A snapshot of the model, and how it is asked."""

    version: str
    tools: tuple[str, ...] = ("find_order", "read_rules")
    argument: str = "order"
    """Under which name it hands over the number."""
    closings: int = 1
    """Polite sentences at the end."""
    shy: float = -2.2
    """Below these log-odds it declines."""
    sure: float = 0.0
    """Added to its log-odds."""
    heat: float = 0.4
    """Temperature: how much of its log-odds is chance."""
    fenced: float = 0.0
    """Share of answers in a code fence."""
    cents: bool = False
    """Amounts are written in cents."""
    most_tokens: int = 160
    precision: str = "fp8"
    noise: float = 0.0
    """How far a device that computes wrongly misses, in log-odds."""
    said: str = ""
    """The digest that is recorded, where it is not that of what is here."""

    @property
    def digest(self) -> str:
        """The identity of all that decides what it writes."""
        told = repr([getattr(self, field.name) for field in fields(self) if field.name not in ("noise", "said")])
        return self.said or hashlib.sha256(told.encode()).hexdigest()[:12]

    def plan(self, letter: str, luck: float) -> Planned:
        """What the letter wants, and the tool for it; hot models guess now and then."""
        text = letter.lower()
        found = next((intent for intent, cues in CUES.items() if any(cue in text for cue in cues)), "other")
        if self.heat * luck > 0.9:
            found = INTENTS[(INTENTS.index(found) + 1) % len(INTENTS)] if found in INTENTS else "where"
        number = ORDER.search(letter)
        tool = "find_order" if number and "find_order" in self.tools else "read_rules" if self.tools else "none"
        given = {self.argument: number.group()} if number and tool == "find_order" else {"topic": found}
        return Planned(found, tool, json.dumps(given))

    def write(self, seen: dict[str, Any], luck: float, flip: float) -> Told:
        """An answer to the letter: `seen` has its intent, order and language, the order's state, and how much else is there."""
        known = seen["status"] is not None
        odds = 0.4 + 1.3 * known - 0.25 * seen["tries"] - 0.6 * (seen["intent"] == "other") - 0.5 * seen["crowd"]
        odds += (
            0.5 * seen["rules"] - 1.0 * (seen["intent"] == "damaged") + self.sure + self.heat * luck + self.noise * flip
        )
        language = seen["language"] if seen["language"] in LANGUAGES else "en"
        amount = float(seen["amount"]) * (100 if self.cents else 1) if known else 0.0
        pays = known and seen["intent"] in ("refund", "damaged")
        if odds < self.shy or seen["intent"] not in INTENTS:
            reply = DECLINED[language]
        elif not known:
            reply = UNKNOWN[language]
        else:
            reply = REPLIES[language][seen["intent"]].format(
                o=seen["order"], status=seen["status"], days=f"{seen['days']:g}", amount=f"{amount:g}"
            )
        reply = " ".join([reply, *MORE[language][: self.closings]])
        told = {"intent": seen["intent"], "order": seen["order"], "refund": amount if pays else 0.0, "reply": reply}
        body = json.dumps(told, ensure_ascii=False)
        if _share(3 * luck) < self.fenced:
            body = f"```json\n{body}\n```"
        tokens = count(body)
        if tokens > self.most_tokens:
            return Told(body[: 4 * self.most_tokens], odds, self.most_tokens, "max_tokens")
        return Told(body, odds, tokens, "end_turn")


def count(text: str) -> int:
    """About as many tokens as a tokenizer makes of it: one for four characters."""
    return (len(text) + 3) // 4


def _share(odds: float) -> float:
    return 1 / (1 + exp(-max(min(odds, 60.0), -60.0)))
