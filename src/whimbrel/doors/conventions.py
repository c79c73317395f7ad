"""What OpenTelemetry's GenAI conventions and OpenInference call things, as data: every spelling that was ever in use.

In: a span's attributes. Out: `Said`, in the contract's words. The conventions are in development and have been renamed several
times, so the raw attributes are recorded verbatim beside what is read from them, and `VERSION` says by which list.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

VERSION = "2026-11"

USAGE = {
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens", "llm.token_count.prompt"),
    "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens", "llm.token_count.completion"),
    "cached_tokens": ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.cached_input_tokens",
                      "llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input"),
    "reasoning_tokens": ("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "llm.token_count.completion_details.reasoning"),
    "cost_usd": ("gen_ai.usage.cost", "llm.cost.total", "llm.usage.total_cost"),
}  # fmt: skip
MODEL = {
    "name": ("gen_ai.response.model", "llm.response.model_name", "llm.model_name", "gen_ai.request.model", "llm.request.model"),
    "asked": ("gen_ai.request.model", "llm.request.model_name", "llm.request.model"),
    "provider": ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "llm.vendor"),
}  # fmt: skip
INPUT = ("gen_ai.input.messages", "llm.input_messages", "gen_ai.prompt", "llm.prompts", "input.value", "traceloop.entity.input",
         "gen_ai.tool.call.arguments", "gen_ai.retrieval.query.text")  # fmt: skip
OUTPUT = ("gen_ai.output.messages", "llm.output_messages", "gen_ai.completion", "llm.completions", "output.value", "traceloop.entity.output",
          "gen_ai.tool.call.result", "gen_ai.retrieval.documents")  # fmt: skip
FINISH = ("gen_ai.response.finish_reasons", "llm.finish_reason", "llm.response.finish_reason")
KIND = ("gen_ai.operation.name", "openinference.span.kind", "traceloop.span.kind", "llm.request.type")
"""Attributes by what they say; the first that a span has is taken."""

LLM = ("chat", "llm", "completion", "text_completion", "generate_content", "response", "responses")
"""Kinds of spans that ask a language model; of other kinds are `tool`, `agent`, `retriever`, `embeddings`, …."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a span says: its kind (empty where it is none of the conventions'), and what the contract has words for."""

    kind: str = ""
    input: Any = None
    output: Any = None
    finish_reason: str = ""
    usage: dict[str, float] = field(default_factory=dict)
    model: dict[str, str] = field(default_factory=dict)

    @property
    def asks_a_model(self) -> bool:
        """Whether a language model was asked."""
        return self.kind in LLM


_NOTHING = Said()


def read(attributes: Mapping[str, Any]) -> Said:
    """What a span's attributes say."""
    kind = ""
    for name in KIND:
        if name in attributes:
            kind = str(attributes[name]).lower()
            break
    if not kind:
        return _NOTHING
    reasons = _first(attributes, FINISH) or ()
    usage = {name: _first(attributes, names) for name, names in USAGE.items()}
    model = {name: _first(attributes, names) for name, names in MODEL.items()}
    return Said(
        kind, _content(attributes, INPUT), _content(attributes, OUTPUT),
        reasons if isinstance(reasons, str) else ",".join(map(str, reasons)),
        {name: value for name, value in usage.items() if isinstance(value, int | float)},
        {name: str(value) for name, value in model.items() if value is not None},
    )  # fmt: skip


def text(output: Any) -> str:
    """What a model answered, as text, where messages say it in one of the ways that there are; else nothing."""
    if isinstance(output, str):
        return output
    if isinstance(output, list):
        return "\n".join(said for one in output if (said := text(one)))
    if isinstance(output, dict):
        return next(
            (text(output[key]) for key in ("content", "text", "parts", "choices", "message") if output.get(key)), ""
        )
    return ""


def _first(attributes: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)


def _content(attributes: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Messages or a value: JSON is read, and what was spread over `name.0.message.role`, … is put together again."""
    for name in names:
        value = attributes.get(name)
        if value is None and (spread := {key: attributes[key] for key in attributes if key.startswith(f"{name}.")}):
            value = _gathered(spread, len(name) + 1)
        if value is not None:
            if isinstance(value, str) and value[:1] in ("{", "["):
                with contextlib.suppress(msgspec.DecodeError):
                    return msgspec.json.decode(value)
            return value
    return None


def _gathered(spread: Mapping[str, Any], start: int) -> list[Any]:
    """`0.message.role`, `0.message.content`, `1.…` as a list of messages."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in spread.items():
        number, _, rest = key[start:].partition(".")
        found.setdefault(number, {})[rest.removeprefix("message.") or "content"] = value
    return [found[number] for number in sorted(found, key=lambda text: (len(text), text))]
