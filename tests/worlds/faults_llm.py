"""Faults of language-model apps and image pipelines: prompts, providers, retrieval, parsing, embeddings."""

from __future__ import annotations

import numpy as np

from .app import App
from .fault import Plan, fault, if_
from .ops import num
from .world import Cols


def bot(app: App) -> bool:
    return any(op.kind == "prompt" for op in app.ops)


def sees(app: App) -> bool:
    return any(op.kind == "embed" for op in app.ops)


def outputs(plan: Plan) -> set[str]:
    return {
        "model",
        "model.version",
        "model.name",
        "usage.output_tokens",
        *(p for p in plan.golden if p.startswith("outputs.")),
    }


@fault(
    "T02",
    "features",
    "op",
    if_(bot, lambda a: "steps.prompt.tokens"),
    "prompt grew",
    measure="cost",
    recode=True,
    deploy=0.5,
    accept=lambda p: {"steps.prompt", "usage.input_tokens"},
)
def longer_prompt(plan: Plan, c: Cols) -> None:
    plan.put(c, plan.target, num(c[plan.target]) + np.round(60 + 900 * plan.level))


@fault(
    "T06",
    "model",
    "inputs",
    if_(bot, lambda a: "model.version"),
    "the provider moved the alias to another snapshot",
    accept=outputs,
    shapes=("start", "step", "step", "ramp"),
)
def moved_alias(plan: Plan, c: Cols) -> None:
    c["_model"] = np.where(plan.mask, "newer", c["_model"]).astype(object)
    c["model.version"] = plan.app.labels_of(c["_model"])


@fault(
    "T07",
    "model",
    "inputs",
    if_(bot, lambda a: "outputs.text"),
    "the provider changed the model under the same name",
    accept=outputs,
)
def silent_model(plan: Plan, c: Cols) -> None:
    c["_model"] = np.where(plan.mask, "newer", c["_model"]).astype(object)


@fault(
    "T08",
    "features",
    "steps",
    if_(bot, lambda a: "steps.retrieve"),
    "retrieval finds next to nothing: the index is empty or old",
    deploy=0.3,
    kind="data",
    accept=lambda p: {"steps.retrieve.docs", "steps.retrieve.top_score"},
)
def empty_index(plan: Plan, c: Cols) -> None:
    rows = plan.some(0.3 + 0.7 * plan.level)
    before = num(c["steps.retrieve.docs"])
    after = np.where(plan.rng("d").random(len(rows)) < 0.7, 0.0, 1.0)
    c["steps.retrieve.docs"] = np.where(rows, after, before)
    c["steps.retrieve.top_score"] = np.where(
        rows, np.round(num(c["steps.retrieve.top_score"]) * 0.45, 4), c["steps.retrieve.top_score"]
    )
    c["steps.prompt.tokens"] = np.where(
        rows,
        np.round(num(c["steps.prompt.tokens"]) - np.maximum(before - after, 0) * np.exp(5.4 + 0.15 * c["_e.doc"])),
        c["steps.prompt.tokens"],
    )


@fault(
    "T09",
    "features",
    "op",
    if_(bot, lambda a: "steps.prompt.tokens"),
    "prompt cut at a context limit",
    measure="share",
    recode=True,
    deploy=0.5,
    accept=lambda p: {"steps.prompt", "usage.input_tokens"},
)
def cut_prompt(plan: Plan, c: Cols) -> None:
    top = np.round(np.nanquantile(num(plan.golden[plan.target]), 0.85 - 0.6 * plan.level))
    plan.put(c, plan.target, np.minimum(num(c[plan.target]), top))


@fault(
    "T10",
    "serving",
    "inputs",
    if_(bot, lambda a: "usage.cached_tokens"),
    "the prompt cache no longer hits",
    measure="cost",
    layers=frozenset({"features", "model"}),
    accept=lambda p: {"usage.cost_usd", "usage"},
)
def cold_cache(plan: Plan, c: Cols) -> None:
    c["_uncached"] = plan.some(0.3 + 0.7 * plan.level)


@fault(
    "T11",
    "model",
    "inputs",
    if_(bot, lambda a: "usage.output_tokens"),
    "answers became longer for the same questions",
    measure="cost",
    accept=outputs,
    layers=frozenset({"features"}),
)
def verbose(plan: Plan, c: Cols) -> None:
    c["_verbose"] = np.where(plan.mask, 1.1 + 0.9 * plan.level, 1.0)


@fault(
    "T12",
    "decision",
    "outputs",
    if_(bot, lambda a: "decisions.parsed"),
    "the parser rejects answers that it used to read",
    deploy=0.5,
    accept=lambda p: {"decision"},
)
def parser(plan: Plan, c: Cols) -> None:
    c["_parser"] = plan.some(plan.level)


@fault(
    "T13",
    "decision",
    "outputs",
    if_(bot, lambda a: "decisions.guardrail"),
    "the guardrail blocks too much",
    deploy=0.4,
    kind="config",
    accept=lambda p: {"decision"},
)
def guardrail(plan: Plan, c: Cols) -> None:
    c["_strict"] = np.where(plan.mask, plan.level, 0.0)


@fault("T14", "model", "inputs", if_(bot, lambda a: "outputs.refusal"), "the model refuses more", accept=outputs)
def refusing(plan: Plan, c: Cols) -> None:
    c["_refuse"] = np.where(plan.mask, plan.level, 0.0)


@fault(
    "V02",
    "features",
    "op",
    if_(sees, lambda a: "steps.embed.vector"),
    "embedding dimensions permuted, halved or emptied",
    recode=True,
    deploy=0.5,
    accept=lambda p: {"steps.embed"},
)
def embedding(plan: Plan, c: Cols) -> None:
    form = int(plan.rng().integers(3))
    rows = plan.some(plan.level)
    out = c[plan.target].copy()
    order = plan.rng("o").permutation(len(out[0]))
    for i in np.flatnonzero(rows):
        v = np.asarray(out[i])
        out[i] = [0.0] * len(v) if form == 0 else np.round(v * 0.5, 4).tolist() if form == 1 else v[order].tolist()
    c[plan.target] = out
