"""Agent: letters to a shop, answered by a language model that calls tools; may the answer go out, or does a colleague look at it?

A request passes through: redact, plan (a first call of the model: what is wanted, which tool), find_order and rules (the tools),
compose (the prompt's whole text), then the second call of the model, which writes JSON, and a guard. The model streams: the
first token and the rest are timed apart. A carrier's strike and a holiday are in the traffic. Nothing leaves the machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from whimbrel.drill.app import App, Step, Timing, by_threshold, platt, prepare, timeline
from whimbrel.drill.apps.agent_faults import FAULTS
from whimbrel.drill.apps.clerk import Clerk, count
from whimbrel.drill.apps.letters import INTENTS, NAMES, PREAMBLE, RULES, Letter
from whimbrel.drill.apps.tabular import arrivals, epoch
from whimbrel.drill.columns import Columns, Request
from whimbrel.drill.fitting import platt_of
from whimbrel.drill.natural import CHANGES
from whimbrel.drill.world import Subject, World, chosen, dealt

START, DAYS, PER_DAY = date(2025, 8, 4), 120, 900
HOLIDAYS = (date(2025, 11, 1), date(2025, 11, 11))
STRIKE = date(2025, 10, 6)
"""For a week nothing is delivered, and many write about that."""
MS = {
    "queue": 4.0, "redact": 0.3, "plan": 240.0, "find_order": 30.0, "rules": 9.0, "compose": 0.4, "first_token": 160.0,
    "generate": 520.0, "guard": 2.0,
}  # fmt: skip
PLAN_TOKENS = 180
NOT_FOUND = (None, np.nan, np.nan)
PRICES = {"prompt": 0.9e-6, "read": 0.2e-6, "completion": 3.2e-6}
"""EUR a token."""


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """The shop's orders by number: status, amount (EUR), days late."""

    known: Mapping[str, tuple[str | None, float, float]]
    timeouts: float = 0.0
    flaky: float = 0.03
    """Share of look-ups that need a second call."""

    def late(self, request: Request) -> Any:
        """Whether the look-up is given up."""
        return request["luck.timeout"] < self.timeouts


@dataclass(frozen=True, slots=True, eq=False)
class Rulebook:
    """The rules by what a letter wants; `lost` of them are missing."""

    rules: Mapping[str, str]
    lost: tuple[str, ...] = ()

    def late(self, request: Request) -> Any:
        """Never."""
        return np.zeros(len(request["ts"]), dtype=bool)


@dataclass(frozen=True, slots=True, eq=False)
class Planner:
    """The model that plans: the canary's for some."""

    clerk: Clerk
    canary: Clerk
    share: float

    def late(self, request: Request) -> Any:
        """Never."""
        return np.zeros(len(request["ts"]), dtype=bool)


def redact(request: Request, *, names: tuple[str, ...], longest: int, numbers: bool = False) -> dict[str, Any]:
    """The letter without names (and, where it is overdone, without numbers), cut; how many words were masked."""
    texts, masked = [], []
    for letter in request["inputs.letter"].tolist():
        words = str(letter or "")[:longest].split(" ")
        gone = [w.strip(",.") in names or (numbers and any(c.isdigit() for c in w)) for w in words]
        texts.append(" ".join("[…]" if away else word for word, away in zip(words, gone, strict=True)))
        masked.append(float(sum(gone)))
    return {"text": np.array(texts, dtype=object), "masked": np.array(masked)}


def plan(request: Request, source: Planner) -> dict[str, Any]:
    """What is wanted, the tool to call and with what: the model's first answer."""
    canary = request["luck.route"] < source.share
    texts, luck = request["steps.redact.text"].tolist(), request["truth.plan"].tolist()
    found = [
        (source.canary if new else source.clerk).plan(text, by)
        for text, by, new in zip(texts, luck, canary.tolist(), strict=True)
    ]
    return {
        name: np.array([getattr(one, name) for one in found], dtype=object) for name in ("intent", "tool", "arguments")
    }


def find_order(request: Request, source: Orders, *, key: str, skipped: float = 0.0) -> dict[str, Any]:
    """The order's state, and how often it had to be asked for; none where no number is given or the shop is too late."""
    gone = source.late(request) | (request["luck.skip"] < skipped)
    again = request["truth.again"] < source.flaky
    rows = []
    for tool, arguments, late in zip(
        request["steps.plan.tool"].tolist(), request["steps.plan.arguments"].tolist(), gone.tolist(), strict=True
    ):
        asked = str(json.loads(arguments).get(key)) if tool == "find_order" and not late else ""
        rows.append(source.known.get(asked, NOT_FOUND))
    asked_at_all = request["steps.plan.tool"] == "find_order"
    return {
        "status": np.array([row[0] for row in rows], dtype=object),
        "amount": np.array([row[1] for row in rows]),
        "days_late": np.array([row[2] for row in rows]),
        "tries": np.where(asked_at_all, 1.0 + again + 2.0 * gone, 0.0),
    }


def rules(request: Request, source: Rulebook) -> dict[str, Any]:
    """The rule for what is wanted."""
    found = [None if v in source.lost else source.rules.get(v) for v in request["steps.plan.intent"].tolist()]
    return {
        "rule": np.array([None if text is None else text[:24] for text in found], dtype=object),
        "characters": np.array([0.0 if text is None else float(len(text)) for text in found]),
    }


def compose(
    request: Request, *, preamble: tuple[str, ...], holds_order: bool, holds_rule: bool, keeps: int, stable: bool,
) -> dict[str, Any]:  # fmt: skip
    """The prompt's whole text; its size in tokens, how much of that the provider has seen before, and the letters it quotes."""
    prompts, sizes = [], []
    earlier = np.minimum(np.nan_to_num(request["inputs.earlier"]), keeps)
    columns = (
        request["steps.redact.text"], request["steps.find_order.status"], request["steps.find_order.amount"],
        request["steps.find_order.days_late"], request["steps.plan.intent"], request["steps.rules.rule"], earlier,
    )  # fmt: skip
    head = "\n".join(preamble)
    for text, status, amount, days, intent, rule, quoted in zip(*(c.tolist() for c in columns), strict=True):
        parts = [head]
        if holds_order:
            parts.append(f"Order: {status}, {amount:g} EUR, {days:g} days late" if status else "Order: unknown")
        if holds_rule and rule:
            parts.append(f"Rule: {RULES[intent]}")
        parts.append(f"Earlier letters: {quoted:g}")
        parts.append(f"Letter: {text}")
        prompts.append("\n".join(parts))
        sizes.append(float(count(prompts[-1]) + 220 + 60 * quoted))
    n = len(prompts)
    return {
        "prompt": np.array(prompts, dtype=object),
        "tokens": np.array(sizes),
        "reusable": np.full(n, float(220 + count(head)) if stable else 0.0),
        "quoted": earlier,
    }


def read(body: str, *, strips_fences: bool, keys: tuple[str, ...]) -> dict[str, Any] | None:
    """What the model said, as JSON with these keys; None where it is none."""
    if strips_fences and body.startswith("```"):
        body = body.strip("`").removeprefix("json").strip()
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) and all(key in found for key in keys) else None


READ: Step = partial(read, strips_fences=True, keys=("intent", "order", "refund", "reply"))


@dataclass(frozen=True, slots=True)
class Agent(App):
    """An app whose model is called twice, with tools between."""

    read: Step = READ
    prices: Mapping[str, float] | None = None

    @property
    def model_name(self) -> str:
        """The provider's name for it."""
        return "clerk"

    @property
    def timeout(self) -> str:
        """The guard did not answer in time."""
        return "GuardTimeout"

    def prepared(self, requests: Columns) -> Columns:
        """The steps' values; the plan is a first call of the same model."""
        planner = Planner(self.model, self.canary, self.canary_share)
        return prepare(replace(self, sources={**self.sources, "plan": planner}), requests)

    def answer(self, seen: Columns) -> Columns:
        """What the provider's model wrote, and its bill."""
        told = self._told(seen)
        said: Columns = {
            "outputs.body": np.array([one.body for one in told], dtype=object),
            "outputs.stop": np.array([one.stop for one in told], dtype=object),
            "outputs.odds": np.array([one.odds for one in told]),
        }
        return said | self._usage(seen, told)

    @property
    def reads(self) -> tuple[str, ...]:
        """The model's plan, and what its tools returned."""
        return ("plan", "find_order", "rules")

    @property
    def remote(self) -> tuple[str, ...]:
        """The provider's model writes another text each time."""
        return ("outputs.body", "outputs.stop", "outputs.odds")

    def conclude(self, seen: Columns) -> Columns:
        """What follows from the provider's text: what it holds, the score, the guard's decision."""
        found = [self.read(str(body or "")) for body in seen["outputs.body"].tolist()]
        whole = np.array([one is not None for one in found], dtype=bool)
        score = np.where(whole, self.calibrate(seen["outputs.odds"]), 0.0)
        return {
            "outputs.refund": np.array([np.nan if one is None else float(one["refund"]) for one in found]),
            "outputs.score": score, **self._route(seen),
            "decisions.read": np.where(whole, "ok", "failed").astype(object),
            "decision": np.where(whole, self.decide(score), self.fallback).astype(object),
        }  # fmt: skip

    def _told(self, seen: Columns) -> list[Any]:
        names = {
            "status": "steps.find_order.status", "amount": "steps.find_order.amount", "days": "steps.find_order.days_late",
            "tries": "steps.find_order.tries", "intent": "steps.plan.intent", "order": "truth.order",
            "language": "truth.language", "rule": "steps.rules.rule", "tokens": "steps.compose.tokens",
        }  # fmt: skip
        columns = [seen[path].tolist() for path in names.values()]
        composed = self.step("compose").keywords
        out = []
        for *values, luck, flip, new in zip(
            *columns, seen["truth.luck"].tolist(), seen["luck.flip"].tolist(), self.routed(seen).tolist(), strict=True
        ):
            one = dict(zip(names, values, strict=True))
            one["status"] = one["status"] if composed["holds_order"] else None
            one["rules"] = one["rule"] is not None and composed["holds_rule"]
            one["crowd"] = (one["tokens"] - 330) / 300
            out.append((self.canary if new else self.model).write(one, luck, flip))
        return out

    def _usage(self, seen: Columns, told: list[Any]) -> Columns:
        price = self.prices or PRICES
        completion = np.array([float(one.tokens) for one in told]) + 18
        prompt, read_ = seen["steps.compose.tokens"] + PLAN_TOKENS, seen["steps.compose.reusable"]
        cost = price["prompt"] * (prompt - read_) + price["read"] * read_ + price["completion"] * completion
        return {
            "usage.prompt_tokens": prompt, "usage.cache_read_tokens": read_, "usage.completion_tokens": completion,
            "usage.tool_calls": seen["steps.find_order.tries"], "usage.cost_eur": cost,
        }  # fmt: skip

    def spans(self, requests: Columns, out: Columns) -> Columns:
        """The first token waits for what is read, the rest for what is written; a tool asked twice takes twice as long."""
        spans = timeline(self, requests)
        fresh = out["usage.prompt_tokens"] - out["usage.cache_read_tokens"]
        work = {
            "first_token": 0.4 + 0.6 * fresh / 270,
            "generate": 0.2 + 0.8 * out["usage.completion_tokens"] / 80,
            "find_order": np.where(
                out["usage.tool_calls"] == 2, 2.0, np.where(out["usage.tool_calls"] == 0, 0.02, 1.0)
            ),
        }
        for part, by in work.items():
            spans["spans.total"] = spans["spans.total"] + (by - 1) * np.nan_to_num(spans[f"spans.{part}"])
            spans[f"spans.{part}"] = by * spans[f"spans.{part}"]
        return spans

    def beside(self, requests: Columns, out: Columns) -> Columns:
        """Labels: whether the matter was settled at once, by the right tool, the right order, a rule, and a customer who is content."""
        right = (out["steps.plan.intent"] == requests["truth.intent"]) & (out["decisions.read"] == "ok")
        known = out["steps.find_order.status"] == requests["truth.status"]
        good = right & known & (requests["truth.mood"] < np.where(requests["truth.intent"] == "damaged", 0.5, 0.85))
        return {"label": np.where(requests["truth.says"] < 0.6, good.astype(float), np.nan)}


@lru_cache(maxsize=2)
def world(seed: int = 0, cache: Path | None = None) -> World:  # noqa: ARG001  nothing here is worth keeping
    """Four months of letters."""
    requests = dealt(_requests(), np.random.default_rng([9, seed]), tuple(MS), f"agent-{seed}")
    known = dict(
        zip(
            requests["truth.order"].tolist(),
            zip(*(requests[f"truth.{name}"].tolist() for name in ("status", "amount", "days")), strict=True),
            strict=True,
        )
    )
    steps: tuple[tuple[str, Step], ...] = (
        ("redact", partial(redact, names=NAMES, longest=600)),
        ("plan", partial(plan)),
        ("find_order", partial(find_order, key="order")),
        ("rules", partial(rules)),
        ("compose", partial(compose, preamble=PREAMBLE, holds_order=True, holds_rule=True, keeps=2, stable=True)),
    )
    now = Clerk("clerk-2025-06-30")
    sources = {"find_order": Orders(known), "rules": Rulebook(RULES), "plan": Planner(now, now, 0.0)}
    app = Agent(
        "agent", steps, sources, now, replace(now, version="clerk-2025-08-15", sure=0.05),
        partial(platt, slope=1.0, intercept=0.0), partial(by_threshold, threshold=0.6, above="reply", below="colleague"),
        Timing(MS, timeout_ms=900.0), fallback="colleague",
    )  # fmt: skip
    first = {path: column[requests["ts"] < epoch(START + timedelta(days=15))] for path, column in requests.items()}
    seen = app.serve(first)
    judged = ~np.isnan(seen["label"])
    slope, intercept = platt_of(seen["outputs.odds"][judged], seen["label"][judged] > 0)
    calibrate = partial(platt, slope=slope, intercept=intercept)
    threshold = round(float(np.quantile(calibrate(seen["outputs.odds"]), 0.35)), 4)
    app = replace(
        app, calibrate=calibrate, decide=partial(by_threshold, threshold=threshold, above="reply", below="colleague")
    )
    return World(requests, app, Clerk("clerk-2024-11-04", closings=0, sure=-0.5, heat=0.6))


def _requests() -> Columns:
    rng = np.random.default_rng(91)
    profile = np.array([2, 1, 1, 1, 1, 2, 5, 9, 14, 17, 18, 17, 14, 15, 16, 16, 15, 14, 14, 15, 13, 10, 6, 3.0])
    ts = arrivals(rng, START, DAYS, PER_DAY, profile, 0.7, HOLIDAYS)
    n = len(ts)
    strike = (ts >= epoch(STRIKE)) & (ts < epoch(STRIKE + timedelta(days=7)))
    intent = chosen(rng, dict(zip(INTENTS, (0.34, 0.2, 0.13, 0.12, 0.11, 0.1), strict=True)), n)
    intent = np.where(strike & (rng.random(n) < 0.35), "where", intent).astype(object)
    shop = chosen(rng, {"lamps": 0.5, "lamps-be": 0.3, "outlet": 0.2}, n)
    language = np.where(shop == "lamps-be", chosen(rng, {"fr": 0.45, "nl": 0.55}, n), "en").astype(object)
    order = [f"{'KLMN'[i // 90000]}{'ABC'[i % 3]}-{10000 + (7919 * i) % 90000:05d}" for i in range(n)]
    numbered = rng.random(n) > 0.14
    forms, greetings, closings = (
        rng.integers(0, 2, n),
        rng.choice(4, n, p=[0.3, 0.45, 0.15, 0.1]),
        rng.integers(0, 3, n),
    )
    names = rng.choice(np.array(NAMES, dtype=object), n)
    asked = [
        Letter(*one).text(bool(told))
        for *one, told in zip(intent, language, order, forms, greetings, closings, names, numbered, strict=True)
    ]
    struck = strike & (rng.random(n) < 0.4)
    news = {
        "en": " Is it because of the strike?",
        "fr": " Est-ce à cause de la grève ?",
        "nl": " Komt dat door de staking?",
    }
    asked = [text + news[lang] if new else text for text, lang, new in zip(asked, language, struck, strict=True)]
    days = np.where(intent == "where", rng.geometric(0.35, n), rng.geometric(0.8, n) - 1) + 4.0 * strike
    return {
        "ts": ts,
        "inputs.letter": np.array(asked, dtype=object),
        "inputs.earlier": np.minimum(rng.geometric(0.6, n) - 1, 9).astype(float),
        "inputs.member_days": np.round(rng.gamma(1.4, 420.0, n)),
        "inputs.basket": np.round(np.exp(rng.normal(3.9, 0.6, n)), 2),
        "context.shop": shop,
        "context.language": language,
        "truth.order": np.array(order, dtype=object),
        "truth.intent": intent,
        "truth.language": language,
        "truth.status": chosen(rng, {"packed": 0.3, "shipped": 0.45, "delivered": 0.25}, n),
        "truth.amount": np.round(np.exp(rng.normal(3.8, 0.6, n)), 2),
        "truth.days": days.astype(float),
        "truth.luck": rng.standard_normal(n),
        "truth.plan": rng.standard_normal(n),
        "truth.again": rng.random(n),
        "truth.mood": rng.random(n),
        "truth.says": rng.random(n),
        "truth.label": np.full(n, np.nan),
        "truth.label_ts": ts + 3600 * np.exp(rng.normal(2.9, 0.8, n)),
    }


AGENT = Subject(
    "agent", "a language model that answers a shop's letters with the help of tools", world, FAULTS, CHANGES,
    ("context.shop", "context.language", "context.channel", "context.tenant", "context.client"),
    START + timedelta(days=30), START + timedelta(days=DAYS - 10),
    (("none", STRIKE, 3), ("none", date(2025, 10, 31), 4), ("none", date(2025, 9, 20), 2)), golden_days=14, most_days=5,
    labelled_days=5.0,
)  # fmt: skip
