"""What can break in an app around a language model: what comes in, retrieval, prompt, model, format, tokens and costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from whimbrel.drill import values
from whimbrel.drill.app import changed
from whimbrel.drill.columns import Columns
from whimbrel.drill.faults import Fault
from whimbrel.drill.kinds import (
    EVERYWHERE,
    FLIPPED,
    NOISY,
    SHARES,
    arrives,
    calibration,
    compensating,
    decisions,
    retried,
    skipped,
    slower,
    step,
    timed_out,
    unannounced,
)  # fmt: skip
from whimbrel.drill.world import World


def _tags(text: str) -> str:
    return f"<p>{text.replace(' ', '&nbsp;')}</p>"


def _mojibake(text: str) -> str:
    return text.encode("utf-8").decode("latin-1")


def _snapshot(app: Any, by: float, _: World) -> Any:
    """The alias points to another snapshot: shyer, longer."""
    new = replace(app.model, version="otter-2025-04-30", sure=-by, shy=-0.6, sentences=3)
    return replace(app, model=new)


def _uncached(columns: Columns, _: float) -> Columns:
    cached = columns["usage.cached_tokens"]
    return {"usage.cached_tokens": 0 * cached, "usage.cost_usd": columns["usage.cost_usd"] + 0.11e-6 * cached}


WRITES = ("outputs.text", "outputs.margin", "model.version")
DATA = (
    arrives("D05/question", "questions arrive empty", values.null, SHARES, rare=True),
    arrives("D07/question", "a form sends its placeholder", values.constant("Type your question here"), SHARES, rare=True),
    arrives("D10/question", "questions are cut short", values.cut, (60, 45, 36, 30, 26, 22, 18, 14, 10)),
    arrives("D16/question", "the blanks between words are lost", values.texts(lambda v: v.replace(" ", ""))),
    arrives("D21/question", "questions are joined by a wrong key", values.shuffled),
    arrives("D23/question", "questions arrive in a broken encoding", values.texts(_mojibake)),
    arrives("D24/question", "markup is left in the questions", values.texts(_tags)),
    arrives("D15/turns", "turns are counted several times", values.times, (2.0, 4.0, 8.0, 16.0, 30.0)),
    arrives("D03/turns", "999 stands for an unknown number of turns", values.constant(99.0), SHARES, rare=True),
    arrives("D13/turns", "some sessions are never closed", lambda v, _: 30 * (v + 1), SHARES, rare=True),
    arrives("Z01/session", "sessions are timed in milliseconds, which nothing reads", values.times, (1000.0,), harmless=True),
)  # fmt: skip
RETRIEVAL = (
    step("T01", "prompt.passages prompt.tokens", "the template lost its place for the passages",
         lambda app, _, __: app.given("prompt", holds_passages=False)),
    step("T03", "retrieve", "a part of the passages is not in the index",
         lambda app, lost, _: app.sourced("retrieve", lost=lost), (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6), code="never"),
    step("T05", "normalize", "questions are no longer put in lower case",
         lambda app, _, __: app.given("normalize", lower=False)),
    step("T14", "normalize", "questions are cut before they are searched for",
         lambda app, n, _: app.given("normalize", longest=int(n)), (60, 45, 36, 30, 26, 22, 18, 14, 10)),
    step("T15", "retrieve", "words weigh as in another index",
         lambda app, by, _: app.sourced("retrieve", weights={
             w: x * (1 - by) if x > 2 else x for w, x in app.sources["retrieve"].weights.items()
         }), (0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8), code="never"),
    step("T11", "prompt.language", "answers are asked for in English, whatever the question",
         lambda app, _, __: app.given("prompt", answers_in={}), measure="share"),
)  # fmt: skip
PROMPT = (
    step("T02", "prompt.tokens prompt.prefix", "the prompt grew", lambda app, n, _: app.given("prompt", system_tokens=310 + int(n)),
         (20, 40, 80, 120, 200, 300, 450, 700, 1000), measure="cost"),
    step("T04", "retrieve.found prompt.tokens", "more passages are put into the prompt",
         lambda app, k, _: app.given("retrieve", k=int(k)), (5, 6, 8, 10, 14, 20, 30), measure="cost"),
    step("T13", "prompt.prefix", "a date at the prompt's head keeps the provider's cache from working",
         lambda app, _, __: app.given("prompt", stable=False), measure="cost"),
)  # fmt: skip
WRITER = (
    Fault("M01", "model", ("model.version", "model.digest"), "an old model still serves", dims=("hardware.host",),
          app=lambda app, _, world: replace(app, model=world.old)),
    Fault("T06", "model", ("model.version", "model.digest"), "the provider moved the alias to another snapshot",
          (0.05, 0.1, 0.2, 0.35, 0.5, 0.8, 1.2), app=_snapshot),
    Fault("T07", "model", WRITES, "the temperature was raised", (0.5, 0.7, 1.0, 1.4, 2.0, 3.0), app=unannounced(heat=lambda by: by)),
    Fault("T08", "model", ("outputs.text", "outputs.finish", "usage.output_tokens"), "answers are cut at fewer tokens",
          (48, 44, 41, 38, 35, 32, 28, 20), app=unannounced(most_tokens=lambda by: int(by))),
    Fault("T16", "model", WRITES, "the model declines more often", (1.0, 0.7, 0.4, 0.1, -0.2, -0.6),
          app=unannounced(shy=lambda by: 0.4 - by, sure=lambda by: 0.3 * (by - 1.2))),
    Fault("T12", "model", ("outputs.text", "usage.output_tokens"), "the model became talkative", (3.0,), "cost",
          app=unannounced(sentences=lambda by: int(by))),
    *calibration(),
)  # fmt: skip
PARSING = (
    Fault("T09", "model", ("outputs.text",), "the model wraps its JSON in a fence, which the parser does not know",
          (0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1.0), others=(("decision", "decisions.parsed"),),
          app=lambda app, by, _: replace(
              app, model=replace(app.model, said=app.model.digest, fenced=by),
              parse=changed(app.parse, strips_fences=False))),
    Fault("T10", "decision", ("decisions.parsed", "decision"), "the parser wants a key that the model does not write",
          app=lambda app, _, __: replace(app, parse=changed(app.parse, keys=("answer", "confidence", "sources")))),
)  # fmt: skip
COSTS = (
    Fault("T17", "serving", ("usage.cached_tokens", "usage.cost_usd"), "the provider's cache is off", (1.0,), "cost",
          records=_uncached),
    Fault("T18", "serving", ("usage.cost_usd",), "requests are billed by another price", (1.03, 1.06, 1.1, 1.2, 1.5, 2.0), "cost",
          records=lambda columns, by: {"usage.cost_usd": by * columns["usage.cost_usd"]}),
)  # fmt: skip
FAULTS: tuple[Fault, ...] = (
    *DATA, *RETRIEVAL, *PROMPT, *WRITER, *PARSING, *COSTS, *decisions(), compensating(), FLIPPED, NOISY, *EVERYWHERE,
    timed_out("retrieve", "retrieval times out, and the model is asked without passages"),
    slower("retrieve", "retrieval got slower"), slower("score", "the provider got slower"),
    skipped("retrieve", "an early return skips the retrieval"), retried("score"),
)  # fmt: skip
