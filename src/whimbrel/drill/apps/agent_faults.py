"""What can break in the agent: letters, redaction, the plan, tools, the prompt, the model, reading its answer, tokens and costs.

In: nothing. Out: `FAULTS`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from whimbrel.drill import values
from whimbrel.drill.app import changed
from whimbrel.drill.columns import Columns
from whimbrel.drill.faults import HOST, Fault
from whimbrel.drill.kinds import (
    FLIPPED,
    HARDWARE,
    LABELS,
    NOISY,
    RECORDER,
    SERVING,
    SHARES,
    STRETCHES,
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

CUTS = (90, 75, 60, 48, 38, 30, 22, 15)
TOLD = ("outputs.body", "outputs.odds", "model.version")


def _thread(text: str) -> str:
    """The whole conversation under the letter, as mail programs quote it."""
    quoted = "\n".join(f"> {line}" for line in text.split(". "))
    return f"{text}\n\nOn Monday our shop wrote:\n{quoted}\n> Your lamps\n> Terms and conditions apply."


def _mojibake(text: str) -> str:
    return text.encode("utf-8").decode("cp1252", "replace")


def _tags(text: str) -> str:
    return f"<div><span>{text.replace(',', ',<br/>')}</span></div>"


def _snapshot(app: Any, by: float, _: World) -> Any:
    return replace(app, model=replace(app.model, version="clerk-2025-10-01", sure=-by, closings=2))


def _unread(columns: Columns, _: float) -> Columns:
    kept = columns["usage.cache_read_tokens"]
    return {"usage.cache_read_tokens": 0 * kept, "usage.cost_eur": columns["usage.cost_eur"] + 0.7e-6 * kept}


def _limited(columns: Columns, share: float) -> Columns:
    """The provider's rate limit: no answer, and the fallback decides."""
    hit = columns["luck.coin"] < share
    out: Columns = {
        path: np.where(hit, value, columns[path]).astype(object)
        for path, value in (("error", "RateLimitError"), ("decision", "colleague"))
    }
    for path in ("outputs.body", "outputs.stop"):
        out[path] = columns[path].copy()
        out[path][hit] = None
    for path in ("outputs.refund", "outputs.odds", "outputs.score"):
        out[path] = np.where(hit, np.nan, columns[path])
    return out


LETTERS = (
    arrives("D05/letter", "letters arrive empty", values.null, SHARES, rare=True),
    arrives("D07/letter", "a mail gateway puts its notice in the letter's place",
            values.constant("[This message was removed by the gateway]"), SHARES, rare=True),
    arrives("D10/letter", "letters are cut short", values.cut, CUTS),
    arrives("D21/letter", "letters are joined by a wrong key", values.shuffled),
    arrives("D23/letter", "letters arrive in a broken encoding", values.texts(_mojibake)),
    arrives("D24/letter", "markup is left in the letters", values.texts(_tags)),
    arrives("D25/letter", "letters come with the whole conversation quoted", values.texts(_thread)),
    arrives("D03/earlier", "-1 stands for an unknown number of earlier letters", values.constant(-1.0), SHARES, rare=True),
    arrives("D15/earlier", "earlier letters are counted several times", values.times, (2.0, 4.0, 8.0)),
    arrives("Z01/basket", "baskets are in cents, which nothing reads", values.times, (100.0,), harmless=True),
)  # fmt: skip
STEPS = (
    step("F20", "redact.text redact.masked", "numbers of orders are masked as if they were names",
         lambda app, _, __: app.given("redact", numbers=True)),
    step("F21", "redact.text", "letters are cut before they are read", lambda app, n, _: app.given("redact", longest=int(n)), CUTS),
    step("F22", "find_order", "the tool expects the number under another name",
         lambda app, _, __: app.given("find_order", key="order_id")),
    step("F23", "find_order", "orders of the last days are not in the tool's index",
         lambda app, share, _: app.sourced("find_order", known={
             k: v for i, (k, v) in enumerate(app.sources["find_order"].known.items()) if i % 100 >= 100 * share
         }), (0.02, 0.04, 0.08, 0.15, 0.3, 0.5), code="never"),
    step("F24", "find_order.amount", "the tool returns amounts in cents",
         lambda app, _, __: app.sourced("find_order", known={
             k: (s, 100 * a, d) for k, (s, a, d) in app.sources["find_order"].known.items()
         }), measure="share", code="never"),
    step("F25", "rules", "a rule is missing in the rule book", lambda app, n, _: app.sourced(
        "rules", lost=("invoice", "address", "cancel", "refund", "where")[: int(n)]), (1, 2, 3, 4, 5), code="never"),
    step("T01", "compose", "the template lost its place for the order", lambda app, _, __: app.given("compose", holds_order=False)),
    step("T19", "compose", "the template lost its place for the rule", lambda app, _, __: app.given("compose", holds_rule=False)),
    step("T02", "compose", "the preamble grew", lambda app, n, _: app.given(
        "compose", preamble=(*app.step("compose").keywords["preamble"], *("Be brief and kind, and never guess." for _ in range(int(n)))),
    ), (1, 2, 4, 6, 9, 14, 20), measure="cost"),
    step("T20", "compose.quoted compose.tokens compose.prompt", "the whole conversation is put into the prompt",
         lambda app, n, _: app.given("compose", keeps=int(n)), (3, 4, 5, 9), measure="cost"),
    step("T13", "compose.reusable", "a date at the prompt's head keeps the provider's cache from working",
         lambda app, _, __: app.given("compose", stable=False), measure="cost"),
)  # fmt: skip
CLERK = (
    Fault("M01", "model", ("model.version", "model.digest"), "an old model still serves", dims=HOST,
          app=lambda app, _, world: replace(app, model=world.old)),
    Fault("T06", "model", ("model.version", "model.digest"), "the provider moved the alias to another snapshot",
          (0.05, 0.1, 0.2, 0.35, 0.5, 0.8, 1.2), app=_snapshot),
    Fault("T07", "model", (*TOLD, "steps.plan"), "the temperature was raised", (0.5, 0.7, 1.0, 1.4, 2.0),
          others=(("features", "steps.plan"),), app=unannounced(heat=lambda by: by)),
    Fault("T08", "model", ("outputs.body", "outputs.stop", "usage.completion_tokens"), "answers are cut at fewer tokens",
          (68, 65, 63, 61, 59, 57, 54, 50, 45), app=unannounced(most_tokens=lambda by: int(by))),
    Fault("T12", "model", ("outputs.body", "usage.completion_tokens"), "the model became talkative", (2.0,), "cost",
          app=unannounced(closings=lambda by: int(by))),
    Fault("T16", "model", TOLD, "the model declines more often", (1.6, 1.2, 0.8, 0.4, 0.0, -0.5),
          app=unannounced(shy=lambda by: 0.2 - by, sure=lambda by: 0.3 * (by - 1.8))),
    Fault("T21", "model", ("steps.plan", "model.version"), "the model no longer calls the tool", (1.0,),
          others=(("features", "steps.plan"),), app=unannounced(tools=("read_rules",))),
    Fault("T22", "model", ("outputs.refund", "outputs.body"), "the model writes amounts in cents", (1.0,), "share",
          app=unannounced(cents=True)),
    *calibration(),
)  # fmt: skip
READING = (
    Fault("T09", "model", ("outputs.body",), "the model wraps its JSON in a fence, which nobody expects",
          (0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1.0), others=(("decision", "decisions.read"),),
          app=lambda app, by, _: replace(
              app, model=replace(app.model, said=app.model.digest, fenced=by), read=changed(app.read, strips_fences=False))),
    Fault("T10", "decision", ("decisions.read", "decision"), "the reader wants a key that the model does not write",
          app=lambda app, _, __: replace(app, read=changed(app.read, keys=("intent", "order", "refund", "reply", "tone")))),
)  # fmt: skip
PROVIDER = (
    Fault("T17", "serving", ("usage.cache_read_tokens", "usage.cost_eur"), "the provider's cache is off", (1.0,), "cost",
          records=_unread),
    Fault("T18", "serving", ("usage.cost_eur",), "requests are billed by another price", (1.03, 1.06, 1.1, 1.2, 1.5, 2.0), "cost",
          records=lambda columns, by: {"usage.cost_eur": by * columns["usage.cost_eur"]}),
    Fault("I09", "serving", ("error",), "the provider's rate limit is hit", SHARES, records=_limited),
    Fault("I10", "serving", ("spans.find_order", "usage.tool_calls"), "the tool must often be called twice",
          (0.06, 0.1, 0.2, 0.4, 0.7, 1.0), others=(("features", "steps.find_order.tries"),),
          app=lambda app, share, _: app.sourced("find_order", flaky=share)),
    slower("find_order", "the shop's system got slower"), slower("first_token", "the provider lets wait for the first token"),
    slower("generate", "the provider streams more slowly"), retried("generate"),
    timed_out("find_order", "the shop's system does not answer in time"),
    skipped("find_order", "an early return skips the look-up"),
    *(fault for fault in SERVING if fault.id == "I02"),
)  # fmt: skip
HOSTS = (
    *(fault for fault in HARDWARE if fault.id == "H01"),
    Fault("H03", "hardware", ("hardware.host",), "a host's link to the provider is slow", STRETCHES, "p95", HOST,
          app=lambda app, by, _: replace(app, timing=replace(app.timing, ms={
              **app.timing.ms, "generate": by * app.timing.ms["generate"], "plan": by * app.timing.ms["plan"]})),
          others=(("serving", "spans.generate"), ("serving", "spans.plan"))),
)  # fmt: skip
FAULTS: tuple[Fault, ...] = (
    *LETTERS, *STEPS, *CLERK, *READING, *PROVIDER, *HOSTS, *decisions(), compensating(), *LABELS, FLIPPED, NOISY, *RECORDER,
)  # fmt: skip
