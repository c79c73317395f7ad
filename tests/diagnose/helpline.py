"""A help line whose answers are texts, as `Rows`: prompts from a template, answers in the tenant's language, tokens counted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from whimbrel.diagnose import diagnose_rows
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.report import Report
from whimbrel.model.rows import Categories, Column, Numbers, Rows

HOUR_US = 3_600_000_000
START = 1_700_000_000_000_000 // HOUR_US * HOUR_US

SCHEMA = Schema.from_pairs([
    ("context.tenant", Kind.TEXT), ("inputs.question", Kind.TEXT), ("steps.render.prompt", Kind.TEXT),
    ("code.render", Kind.TEXT), ("model.version", Kind.TEXT), ("outputs.answer", Kind.TEXT), ("decision", Kind.TEXT),
    ("usage.output_tokens", Kind.NUMBER), ("usage.cost_eur", Kind.NUMBER),
])  # fmt: skip

ASKED = {
    "en": (
        "Where is my {} and when will it arrive",
        "Please tell me how I can return the {}",
        "I was charged twice for this {} and want it back",
    ),
    "de": (
        "Wo ist mein {} und wann kommt es bei mir an",
        "Bitte sagen Sie mir wie ich {} und Karton zurückgeben kann",
        "Ich habe für das {} zweimal bezahlt und will es nicht",
    ),
    "fr": (
        "Où est mon {} et quand sera-t-il chez moi",
        "Je ne sais pas comment rendre le {} que vous avez envoyé",
        "Vous avez compté deux fois le {} sur ma facture",
    ),
}
ANSWERED = {
    "en": (
        "According to the manual the {} is on its way to you.",
        "You can return it within two weeks and we will pay for the post.",
        "Please have a look at your account, the order is there.",
        "It will be with you on Monday.",
    ),
    "de": (
        "Laut Handbuch ist das {} auf dem Weg zu Ihnen.",
        "Sie können es in zwei Wochen zurückgeben und wir zahlen die Post.",
        "Bitte sehen Sie in Ihrem Konto nach, die Bestellung ist da.",
        "Es wird am Montag bei Ihnen sein.",
    ),
    "fr": (
        "Selon le manuel le {} est en route vers vous.",
        "Vous pouvez le rendre dans les deux semaines et nous payons le port.",
        "Regardez dans votre compte, la commande est là.",
        "Il sera chez vous le lundi.",
    ),
}
REFUSED = {
    "en": "I'm sorry, but I cannot help with that.",
    "de": "Dabei kann ich Ihnen leider nicht helfen.",
    "fr": "Je ne peux pas vous aider avec cela.",
}
THINGS = ("lamp", "chair", "kettle", "radio", "bicycle", "carpet", "mirror", "sofa")
NEWS = ("election", "strike", "storm", "recall", "festival")
TEMPLATE = "You are the help line of a shop.\nAnswer from the manual only.\nQuestion: {}\nAnswer:"
TENANTS = {"north": "en", "south": "de", "west": "fr"}

Cells = dict[str, np.ndarray]
Break = Callable[[Cells, np.ndarray], None]
"""Changes cells in place on the rows given."""


def cells(n: int, seed: int, *, hours: float, start_hour: float, things: tuple[str, ...] = THINGS) -> Cells:
    """`n` clean questions spread over `hours`."""
    rng = np.random.default_rng(seed)
    tenant = rng.choice(list(TENANTS), n, p=[0.5, 0.3, 0.2])
    language = np.array([TENANTS[t] for t in tenant], dtype=object)
    return {
        "ts": np.sort(START + ((start_hour + rng.random(n) * hours) * HOUR_US).astype(np.int64)),
        "context.tenant": tenant.astype(object),
        "language": language,
        "thing": np.array([f"{t} {i}" for t, i in zip(rng.choice(things, n), rng.integers(100, 9_999, n), strict=True)], dtype=object),
        "asked": rng.integers(0, 3, n),
        "sentences": rng.integers(0, 4, (n, 6)),
        "long": 1 + rng.binomial(5, 0.5, n),
        "refused": rng.random(n) < 0.02,
        "template": np.full(n, TEMPLATE, dtype=object),
        "model.version": np.full(n, "v1", dtype=object),
        "noise": rng.normal(0, 0.05, n),
        "code.render": np.full(n, "aaaa", dtype=object),
    }  # fmt: skip


def serve(c: Cells, hit: np.ndarray, *, before: Break | None = None, after: Break | None = None) -> Cells:
    """Ask, render, answer; `before` may change what the answers are made of, `after` the answers."""
    c["spoken"] = c["language"].copy()
    c["asked in"] = c["language"].copy()
    if before:
        before(c, hit)
    c["inputs.question"] = _each(
        lambda language, i, thing: ASKED[language][i].format(thing), c["asked in"], c["asked"], c["thing"]
    )
    c["steps.render.prompt"] = _each(lambda t, q: t.format(q), c["template"], c["inputs.question"])
    c["outputs.answer"] = _each(_answer, c["spoken"], c["sentences"], c["long"], c["thing"], c["refused"])
    if after:
        after(c, hit)
    length = np.array([len(text) for text in c["outputs.answer"]])
    c["usage.output_tokens"] = np.round(length / 4 * np.exp(c["noise"])) * c.get("dearer", 1.0)
    c["usage.cost_eur"] = (2e-5 + 3e-6 * c["usage.output_tokens"]) * c.get("bill", 1.0)
    c["decision"] = np.where(c["refused"], "person", "send").astype(object)
    return c


def _answer(language: str, sentences: np.ndarray, long: int, thing: str, refused: bool) -> str:
    if refused:
        return REFUSED[language]
    return " ".join(ANSWERED[language][i].format(thing) for i in sentences[:long])


def _each(make: Callable[..., str], *columns: np.ndarray) -> np.ndarray:
    return np.array([make(*row) for row in zip(*columns, strict=True)], dtype=object)


def rows(c: Cells, prefix: str, schema: Schema = SCHEMA) -> Rows:
    """The cells as what an engine hands out."""
    columns: dict[str, Column] = {}
    for field in schema:
        values = c[field.path]
        if field.kind is Kind.NUMBER:
            columns[field.path] = Numbers(values.astype(float))
        else:
            vocabulary, codes = np.unique(values.astype(str), return_inverse=True)
            columns[field.path] = Categories(codes.astype(np.int64), tuple(map(str, vocabulary)))
    n = len(c["ts"])
    return Rows(tuple(f"{prefix}{i}" for i in range(n)), c["ts"], columns, n)


def report(
    *, before: Break | None = None, after: Break | None = None, tenant: str = "", share: float = 1.0, n: int = 1_500,
    things: tuple[str, ...] = THINGS, seed: int = 0,
) -> Report:  # fmt: skip
    """Golden of ten days against a window of one, changed from its second fifth on, for one tenant or all, in a share of its rows."""
    golden = serve(cells(5_000, seed, hours=240, start_hour=0), np.zeros(5_000, dtype=bool))
    window = cells(n, seed + 1, hours=24, start_hour=240, things=things)
    hit = (np.arange(n) >= 0.4 * n) & (np.random.default_rng(seed + 2).random(n) < share)
    if tenant:
        hit &= window["context.tenant"] == tenant
    window = serve(window, hit, before=before, after=after)
    return diagnose_rows(rows(golden, "g"), rows(window, "w"), SCHEMA, app="help line")
