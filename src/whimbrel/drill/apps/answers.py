"""Answers: a help centre's questions, answered by a language model from retrieved passages; is the answer good enough to send?

A request passes through: normalize, retrieve (look-up), prompt, then the model, which writes JSON, parse, calibrate, and a
guardrail that decides between sending the answer and handing over to a person. Tokens and costs are recorded. The model
is a small deterministic one (`writer`); nothing leaves the machine. A launch and a holiday are in the traffic.
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

from whimbrel.drill.app import App, Step, Timing, by_threshold, platt, timeline
from whimbrel.drill.apps.answers_faults import FAULTS
from whimbrel.drill.apps.corpus import LANGUAGES, PRODUCTS, TOPICS, Passage, passages, question
from whimbrel.drill.apps.tabular import arrivals, epoch
from whimbrel.drill.apps.writer import Writer, count
from whimbrel.drill.columns import Columns, Request, objects
from whimbrel.drill.fitting import platt_of
from whimbrel.drill.natural import CHANGES
from whimbrel.drill.world import Subject, World, chosen, dealt

START, DAYS, PER_DAY = date(2025, 2, 3), 130, 1000
HOLIDAYS = (date(2025, 4, 18), date(2025, 4, 21), date(2025, 5, 1))
LAUNCH = date(2025, 4, 28)
"""From then on many ask about the newest product."""
MS = {
    "queue": 3.0, "normalize": 0.1, "retrieve": 18.0, "prompt": 0.3, "score": 420.0, "parse": 0.1, "calibrate": 0.05,
    "decide": 2.0,
}  # fmt: skip
SYSTEM_TOKENS = 310
PRICES = {"input": 0.15e-6, "cached": 0.04e-6, "output": 0.6e-6}
"""USD a token."""


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """The passages by their words. `lost` is the share of them that it does not hold; `older` how stale it is."""

    passages: tuple[Passage, ...]
    weights: Mapping[str, float]
    timeouts: float = 0.0
    stale_s: float = 0.0
    lost: float = 0.0

    def late(self, request: Request) -> Any:
        """Whether the look-up is given up."""
        return request["luck.timeout"] < self.timeouts

    def best(self, words: frozenset[str], k: int) -> list[tuple[int, float]]:
        """The k passages that share the heaviest words with the question, with their share of what can be shared."""
        held = len(self.passages) - round(self.lost * len(self.passages))
        scores = [sum(self.weights[w] for w in p.words & words) for p in self.passages[:held]]
        order = sorted(range(held), key=lambda i: (-scores[i], i))[:k]
        return [(i, round(scores[i] / 5.0, 4)) for i in order]


def normalize(request: Request, *, lower: bool, longest: int) -> dict[str, Any]:
    """The question as the index wants it: cut, in lower case, without punctuation; its words and its language."""
    queries = []
    for text in request["inputs.question"].tolist():
        text = str(text or "")[:longest]
        queries.append(" ".join("".join(c if c.isalnum() else " " for c in (text.lower() if lower else text)).split()))
    return {
        "query": np.array(queries, dtype=object),
        "words": np.array([float(len(query.split())) for query in queries]),
        "language": np.array([_language(query) for query in queries], dtype=object),
    }


def _language(query: str) -> str:
    words = frozenset(query.lower().split())
    if words & {"wie", "was", "gilt", "bitte", "dauert", "für", "bei", "beim"}:
        return "de"
    return "es" if words & {"cuánto", "de", "favor", "para", "necesito", "mi"} else "en"


def retrieve(request: Request, source: Index, *, k: int, skipped: float = 0.0) -> dict[str, Any]:
    """The best passage, its score, the gap to the second, and how many there are; none where the index is too late."""
    late = source.late(request) | (request["luck.skip"] < skipped)
    known: dict[str, list[tuple[int, float]]] = {}
    rows = []
    for query, gone in zip(request["steps.normalize.query"].tolist(), late.tolist(), strict=True):
        if query not in known:
            known[query] = source.best(frozenset(query.split()), max(k, 2))
        rows.append([] if gone else known[query])
    top = [row[0] if row else (-1, 0.0) for row in rows]
    second = [row[1][1] if row else 0.0 for row in rows]
    score = np.array([s for _, s in top])
    return {
        "passage": np.array([f"p{i:02d}" if i >= 0 else None for i, _ in top], dtype=object),
        "score": score,
        "gap": np.round(score - np.array(second), 4),
        "found": np.array([float(k) if row else 0.0 for row in rows]),
    }


def prompt(
    request: Request, *, template: str, system_tokens: int, passage_tokens: int, stable: bool, answers_in: Mapping[str, str],
    holds_passages: bool,
) -> dict[str, Any]:  # fmt: skip
    """The prompt's size, how much of it the provider has seen before, how many passages it holds, the language asked for."""
    found = request["steps.retrieve.found"] * (1.0 if holds_passages else 0.0)
    asked = np.array([float(count(str(q or ""))) for q in request["inputs.question"].tolist()])
    size = system_tokens + passage_tokens * found + asked + 35 * request["inputs.turns"]
    language = [answers_in.get(v, "en") for v in request["steps.normalize.language"].tolist()]
    return {
        "template": objects(template, len(found)),
        "tokens": size,
        "prefix": np.full(len(found), float(system_tokens if stable else 0)),
        "passages": found,
        "language": np.array(language, dtype=object),
    }


def parse(text: str, *, strips_fences: bool, keys: tuple[str, ...]) -> bool:
    """Whether the text is a JSON object that has these keys."""
    if strips_fences and text.startswith("```"):
        text = text.strip("`").removeprefix("json").strip()
    try:
        read = json.loads(text)
    except ValueError:
        return False
    return isinstance(read, dict) and all(key in read for key in keys)


PARSE: Step = partial(parse, strips_fences=True, keys=("answer", "confidence"))


@dataclass(frozen=True, slots=True)
class Answering(App):
    """An app whose model writes text."""

    parse: Step = PARSE
    prices: Mapping[str, float] | None = None

    @property
    def model_name(self) -> str:
        """The provider's name for it."""
        return "otter"

    @property
    def timeout(self) -> str:
        """The guard did not answer in time."""
        return "GuardTimeout"

    def answer(self, seen: Columns) -> Columns:
        """What the provider's model wrote, and its bill."""
        written = self._written(seen)
        said: Columns = {
            "outputs.text": np.array([w.text for w in written], dtype=object),
            "outputs.finish": np.array([w.finish for w in written], dtype=object),
            "outputs.margin": np.array([w.margin for w in written]),
        }
        return said | self._usage(seen, written)

    @property
    def reads(self) -> tuple[str, ...]:
        """None: the index belongs to the release, and is searched again."""
        return ()

    @property
    def remote(self) -> tuple[str, ...]:
        """The provider's model writes another text each time."""
        return ("outputs.text", "outputs.finish", "outputs.margin")

    def conclude(self, seen: Columns) -> Columns:
        """What follows from the provider's text: whether it can be read, the score, the guardrail's decision."""
        parsed = np.array([self.parse(str(text or "")) for text in seen["outputs.text"].tolist()], dtype=bool)
        score = np.where(parsed, self.calibrate(seen["outputs.margin"]), 0.0)
        decision = np.where(parsed, self.decide(score), self.fallback).astype(object)
        read = np.where(parsed, "ok", "failed").astype(object)
        return {"outputs.score": score, **self._route(seen), "decisions.parsed": read, "decision": decision}

    def _written(self, seen: Columns) -> list[Any]:
        index: Index = self.sources["retrieve"]
        names = {f"p{i:02d}": p for i, p in enumerate(index.passages)}
        columns = (
            seen["steps.retrieve.passage"], seen["steps.retrieve.score"], seen["steps.prompt.passages"],
            seen["steps.prompt.tokens"], seen["steps.prompt.language"], seen["truth.luck"], seen["luck.flip"],
            self.routed(seen),
        )  # fmt: skip
        out = []
        for name, score, held, tokens, language, luck, flip, new in zip(*(c.tolist() for c in columns), strict=True):
            found = [names[name]] if name in names and held > 0 else []
            writer: Writer = self.canary if new else self.model
            out.append(writer.write(found, score if found else 0.0, language, (tokens - 400) / 1000, luck, flip))
        return out

    def _usage(self, seen: Columns, written: list[Any]) -> Columns:
        price = self.prices or PRICES
        tokens = np.array([float(w.tokens) for w in written])
        asked, cached = seen["steps.prompt.tokens"], seen["steps.prompt.prefix"]
        cost = price["input"] * (asked - cached) + price["cached"] * cached + price["output"] * tokens
        return {
            "usage.input_tokens": asked, "usage.cached_tokens": cached, "usage.output_tokens": tokens,
            "usage.cost_usd": cost,
        }  # fmt: skip

    def spans(self, requests: Columns, out: Columns) -> Columns:
        """The model's time goes with what it reads and writes."""
        spans = timeline(self, requests)
        fresh = out["usage.input_tokens"] - out["usage.cached_tokens"]
        work = 0.35 + 0.5 * out["usage.output_tokens"] / 50 + 0.15 * fresh / 200
        spans["spans.total"] = spans["spans.total"] + (work - 1) * spans["spans.score"]
        spans["spans.score"] = work * spans["spans.score"]
        return spans

    def beside(self, requests: Columns, out: Columns) -> Columns:
        """Labels: thumbs up where the right passage was found and nothing went wrong otherwise; two of three say nothing."""
        right = (out["steps.retrieve.passage"] == requests["truth.passage"]) & (out["steps.prompt.passages"] > 0)
        good = right & (requests["truth.mood"] < 0.6 + 0.25 * (out["outputs.margin"] > 0))
        return {"label": np.where(requests["truth.says"] < 0.35, good.astype(float), np.nan)}


@lru_cache(maxsize=2)
def world(seed: int = 0, cache: Path | None = None) -> World:  # noqa: ARG001  nothing here is worth keeping
    """Four months of questions."""
    requests = dealt(_requests(), np.random.default_rng([5, seed]), tuple(MS), f"answers-{seed}")
    texts = passages()
    words = {w for p in texts for w in p.words}
    weights = {w: 3.0 if w not in {n.lower() for n in PRODUCTS} else 2.0 for w in words}
    steps: tuple[tuple[str, Step], ...] = (
        ("normalize", partial(normalize, lower=True, longest=400)),
        ("retrieve", partial(retrieve, k=4)),
        ("prompt", partial(prompt, template="help-12", system_tokens=SYSTEM_TOKENS, passage_tokens=24, stable=True,
                           answers_in={v: v for v in LANGUAGES}, holds_passages=True)),
    )  # fmt: skip
    now = Writer("otter-2025-01-20")
    app = Answering(
        "answers", steps, {"retrieve": Index(texts, weights)}, now, replace(now, version="otter-2025-03-02", sure=0.05),
        partial(platt, slope=1.0, intercept=0.0), partial(by_threshold, threshold=0.6, above="send", below="hand over"),
        Timing(MS, timeout_ms=400.0), fallback="hand over",
    )  # fmt: skip
    first = {path: column[requests["ts"] < epoch(START + timedelta(days=20))] for path, column in requests.items()}
    seen = app.serve(first)
    judged = ~np.isnan(seen["label"])
    slope, intercept = platt_of(seen["outputs.margin"][judged], seen["label"][judged] > 0)
    calibrate = partial(platt, slope=slope, intercept=intercept)
    threshold = round(float(np.quantile(calibrate(seen["outputs.margin"]), 0.3)), 4)
    app = replace(
        app, calibrate=calibrate, decide=partial(by_threshold, threshold=threshold, above="send", below="hand over")
    )
    old = Writer("otter-2024-06-11", sentences=1, sure=-0.4, shy=-0.9)
    return World(requests, app, old)


def _requests() -> Columns:
    rng = np.random.default_rng(55)
    profile = np.array([3, 2, 1, 1, 1, 2, 4, 8, 14, 18, 19, 18, 15, 17, 18, 18, 17, 15, 13, 12, 11, 9, 7, 5.0])
    ts = arrivals(rng, START, DAYS, PER_DAY, profile, 0.6, HOLIDAYS)
    n = len(ts)
    topic = rng.choice(len(TOPICS), n, p=np.arange(len(TOPICS), 0, -1) / (len(TOPICS) * (len(TOPICS) + 1) / 2))
    product = chosen(rng, dict(zip(PRODUCTS, (0.45, 0.3, 0.2, 0.05), strict=True)), n)
    product = np.where((ts >= epoch(LAUNCH)) & (rng.random(n) < 0.2), "Curlew", product).astype(object)
    locale = chosen(rng, {"en-GB": 0.4, "en-US": 0.3, "de-DE": 0.18, "es-ES": 0.12}, n)
    form, opening = rng.integers(0, 4, n), rng.choice(5, n, p=[0.6, 0.15, 0.1, 0.08, 0.07])
    vague = rng.random(n) < 0.12  # who does not name the product
    asked = [
        question(t, "it" if v else p, str(where)[:2], f, o)
        for t, p, where, f, o, v in zip(topic, product, locale, form, opening, vague, strict=True)
    ]
    right = topic * len(PRODUCTS) + np.array([PRODUCTS.index(p) for p in product.tolist()])
    return {
        "ts": ts,
        "inputs.question": np.array(asked, dtype=object),
        "inputs.turns": np.minimum(rng.geometric(0.55, n) - 1, 8).astype(float),
        "inputs.product": product,
        "inputs.session": np.round(rng.exponential(240, n), 1),
        "context.locale": locale,
        "context.product": product,
        "truth.passage": np.array([f"p{i:02d}" for i in right.tolist()], dtype=object),
        "truth.luck": rng.standard_normal(n),
        "truth.mood": rng.random(n),
        "truth.says": rng.random(n),
        "truth.label": np.full(n, np.nan),
        "truth.label_ts": ts + 60 * np.exp(rng.normal(4.0, 1.2, n)),
    }


ANSWERS = Subject(
    "answers", "a language model that answers a help centre's questions from retrieved passages", world, FAULTS, CHANGES,
    ("context.locale", "context.product", "context.channel", "context.tenant", "context.client"),
    START + timedelta(days=32), START + timedelta(days=122),
    (("none", LAUNCH, 3), ("none", date(2025, 4, 17), 5), ("none", date(2025, 5, 10), 2)), golden_days=14,
)  # fmt: skip
