"""A support bot on a large language model: prompts, retrieval, tokens, money, refusals, parsing and a guardrail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from .app import NOTHING, App, Hook, Span
from .ops import Op, num
from .world import Array, Cols, World, by, sigmoid


class SupportBot(App):
    """Answers customers: score is how grounded the answer is; decisions are parsed, guardrail and what happens then."""

    name = "helpdesk_bot"
    profile, weekend, per_day = "office", 0.6, (1200, 4000)
    golden_days, window_hours = (4, 14), (12, 24, 48)
    kind, decisions = "rule", ("escalate", "retry", "send")
    version, older, newer, model_name, digest = (
        "atlas-large-2026-08-01",
        "atlas-large-2026-03-15",
        "atlas-large-2026-11-05",
        "atlas-large",
        False,
    )
    score_path = "outputs.groundedness"
    spans = (
        Span("retrieve", 85, 0.4),
        Span("rerank", 40, 0.3, cpu=True),
        Span("llm", 900, 0.35),
        Span("guardrail", 60, 0.3),
    )
    errors: ClassVar[Mapping[str, float]] = {"RateLimitError": 0.004, "upstream timeout": 0.002}
    label_hours, label_values = (2.0, 0.8), ("down", "up")
    dims = ("context.tenant", "context.language", "context.channel")
    mixes: ClassVar[Mapping[str, str]] = {
        "tenant": "context.tenant",
        "language": "context.language",
        "topic": "inputs.topic",
    }
    natures = frozenset({"promo"})
    features = ("steps.retrieve.docs", "steps.retrieve.top_score", "steps.prompt.tokens")
    ASK: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "billing": (
            "why was I charged twice for order",
            "please send me the invoice of",
            "my refund has not arrived for order",
        ),
        "delivery": ("where is my parcel", "the courier never came with order", "change the address of order"),
        "login": ("I cannot log in since", "the reset mail does not come for", "my account is locked, reference"),
        "product": ("does this lamp fit into socket", "how do I clean model", "is there a spare part for item"),
    }

    def draw(self, w: World) -> Cols:
        tenant = w.cat("tenant", {"novapost": 40, "luma": 28, "bergbank": 20, "fjell": 12})
        language = w.cat("language", {"en": 52, "de": 25, "fr": 15, "no": 8})
        channel = w.cat("channel", {"chat": 68, "email": 24, "voice": 8}, weekend={"email": -0.3})
        topic = w.cat("topic", {"billing": 32, "delivery": 30, "login": 18, "product": 20}, weekend={"delivery": 0.3})
        pick = w.rng("ask").integers(0, 3, w.n)
        order = w.rng("order").integers(10_000, 99_999, w.n)
        more = w.rng("more").poisson(np.where(channel == "email", 4.0, 0.7) + 0.5 * w.promo())
        prompt = [
            f"{self.ASK.get(t, self.ASK['product'])[i]} {o}"
            + " I have written to you before and nobody answered." * int(m)
            for t, i, o, m in zip(topic, pick, order, more, strict=True)
        ]
        docs = np.clip(np.round(4.4 + 1.0 * w.normal("docs")), 1, 8)
        top = np.clip(
            0.74 + 0.1 * w.normal("top") - 0.08 * (language == "no") + 0.03 * (topic == "billing"), 0.05, 0.99
        )
        template = by(tenant, {"novapost": 620.0, "luma": 480.0, "bergbank": 910.0, "fjell": 520.0}, 600.0)
        return {
            "context.tenant": tenant,
            "context.language": language,
            "context.channel": channel,
            "inputs.prompt": np.asarray(prompt, dtype=object),
            "inputs.topic": topic,
            "inputs.turn": 1.0 + w.rng("turn").geometric(0.6, w.n),
            "inputs.customer": w.many("customer", 6000, "cus_{:06d}", 0.2),
            "_store.docs": docs,
            "_store.top": np.round(top, 4),
            "_template": template,
            "_u.refuse": w.uniform("refuse"),
            "_u.parse": w.uniform("parse"),
            "_u.guard": w.uniform("guard"),
            "_e.out": w.normal("out"),
            "_e.doc": w.normal("doc length"),
            "_u.cache": w.uniform("cache"),
            "_y": np.zeros(w.n),
            "_u.label": w.uniform("label"),
            "_u.rated": w.uniform("rated"),
        }

    def steps(self) -> Sequence[Op]:
        return (
            Op("steps.retrieve.docs", "store", ("inputs.prompt",), {"column": "_store.docs"}),
            Op("steps.retrieve.top_score", "store", ("inputs.prompt",), {"column": "_store.top"}),
            Op("steps.prompt.tokens", "prompt", ("inputs.prompt", "steps.retrieve.docs")),
        )

    def rule(self, c: Cols, which: str) -> Array:
        top, docs, tokens = (num(c[p]) for p in self.features)
        logit = (
            -3.2
            + 6.0 * top
            + 0.15 * docs
            - 0.00025 * np.maximum(tokens - 2500, 0)
            - 0.8 * (docs < 1)
            + 0.45 * c["_noise"]
        )
        return sigmoid(logit + {"current": 0.0, "older": -0.5, "newer": -0.35}.get(which, -1.0))

    def outputs(self, c: Cols) -> None:
        newer, older = c["_model"] == "newer", c["_model"] == "older"
        c["_verbose"] = c.get("_verbose", np.ones(len(newer)))
        tokens = np.exp(5.0 + 0.35 * c["_e.out"]) * np.where(newer, 1.5, np.where(older, 0.85, 1.0)) * c["_verbose"]
        c["outputs.tokens"] = np.round(tokens)
        refused = c["_u.refuse"] < np.where(newer, 0.075, 0.015) + c.get("_refuse", np.zeros(len(newer)))
        c["outputs.refusal"] = refused
        stems = ("Thanks for reaching out. ", "I am sorry to hear that. ", "Here is what I found. ")
        c["outputs.text"] = np.asarray(
            [
                "I can't help with that request."
                if r
                else stems[int(t) % 3] + "Please see the steps below. " * max(1, int(t // 40))
                for r, t in zip(refused, tokens, strict=True)
            ],
            dtype=object,
        )
        c["outputs.finish_reason"] = np.where(tokens > 500, "length", "stop").astype(object)
        c["_malformed"] = (c["_u.parse"] < np.where(newer, 0.06, 0.01)) | (tokens > 500)

    def decide(self, c: Cols) -> None:
        """Parse, guard, then send, retry or escalate."""
        parsed = ~(c["_malformed"] | c.get("_parser", np.zeros(len(c["ts"]), dtype=bool)))
        c["decisions.parsed"] = parsed
        blocked = c["_u.guard"] < 0.012 + c.get("_strict", np.zeros(len(c["ts"]))) + 0.05 * (c[self.score_path] < 0.3)
        c["decisions.guardrail"] = np.where(blocked, "block", "pass").astype(object)
        cut = 0.72 - c.get("_threshold", np.zeros(len(c["ts"])))
        bad = blocked | c["outputs.refusal"] | (c[self.score_path] < cut)
        c["decision"] = np.where(bad, "escalate", np.where(parsed, "send", "retry")).astype(object)

    def time(self, c: Cols, hook: Hook | None) -> None:
        c["_e.llm"] = c["_e.llm"] + (np.log(np.maximum(c["outputs.tokens"], 1)) - 5.0) / 0.35 * 0.8
        n_in = num(c["steps.prompt.tokens"])
        c["usage.input_tokens"] = np.round(n_in)
        c["usage.output_tokens"] = c["outputs.tokens"].copy()
        hit = (c["_u.cache"] < 0.82) & ~c.get("_uncached", np.zeros(len(n_in), dtype=bool))
        c["usage.cached_tokens"] = np.where(hit, np.round(c["_template"] * 0.9), 0.0)
        c["usage.cost_usd"] = np.round(
            (n_in - 0.9 * c["usage.cached_tokens"]) * 2.5e-6 + c["usage.output_tokens"] * 1e-5, 6
        )
        super().time(c, hook)

    def learn(self, c: Cols, hook: Hook | None) -> None:
        good = sigmoid(2.5 * (num(c[self.score_path]) - 0.3) * 2 - 1.5 * (c["decision"] != "send"))
        c["_y"] = np.where(np.isnan(good), 0.0, (c["_u.label"] < np.nan_to_num(good)).astype(float))
        super().learn(c, hook)
        silent = c["_u.rated"] > 0.35
        c["label"] = np.where(silent, NOTHING, c["label"])
        c["label_ts"] = np.where(silent, np.iinfo(np.int64).min, c["label_ts"])
