"""A small help centre: passages, and the questions that people ask about them in three languages. All of it made up here.

Pure: no chance, no files.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

PRODUCTS = ("Heron", "Plover", "Dunlin", "Curlew")
LANGUAGES = ("en", "de", "es")
TOPICS = {
    "refund": (
        "refund",
        "erstattung",
        "reembolso",
        "A refund for {p} is paid within {n} days after the return arrives.",
    ),
    "delivery": ("delivery", "lieferung", "entrega", "The delivery of {p} takes {n} working days in most regions."),
    "warranty": (
        "warranty",
        "garantie",
        "garantía",
        "The warranty of {p} covers defects for {n} months from purchase.",
    ),
    "battery": ("battery", "akku", "batería", "The battery of {p} lasts about {n} hours with the screen dimmed."),
    "cancel": ("cancel", "kündigung", "cancelar", "You can cancel {p} up to {n} days before the next invoice."),
    "password": ("password", "passwort", "contraseña", "A new password for {p} must have {n} characters or more."),
    "invoice": ("invoice", "rechnung", "factura", "The invoice for {p} is sent on day {n} of each month."),
    "storage": ("storage", "speicher", "memoria", "The storage of {p} holds {n} gigabytes and can be enlarged."),
    "upgrade": ("upgrade", "update", "actualización", "An upgrade of {p} takes {n} minutes and needs a charger."),
    "screen": ("screen", "bildschirm", "pantalla", "A broken screen of {p} is replaced within {n} days."),
    "support": ("support", "hilfe", "soporte", "Support for {p} answers within {n} hours on working days."),
    "charger": ("charger", "ladegerät", "cargador", "The charger of {p} gives {n} watts and fits all sockets."),
}
ASKED = {
    "en": (
        "How long is the {t} for {p}?",
        "What about the {t} of my {p}",
        "{p} {t} please",
        "I need to know the {t} of {p}.",
    ),
    "de": ("Wie lange dauert {t} bei {p}?", "Was gilt für {t} beim {p}?", "{t} {p} bitte"),
    "es": ("¿Cuánto tarda {t} para {p}?", "{t} de {p} por favor", "Necesito saber {t} de mi {p}"),
}
OPENINGS = ("", "Hi, ", "Hello! ", "Sorry, ", "One more thing: ")
STYLE = {
    "en": ("According to our help pages: {fact}", "I hope this helps.", "Please ask again if anything is unclear."),
    "de": ("Laut unserer Hilfe gilt: {fact}", "Ich hoffe, das hilft.", "Fragen Sie gern noch einmal nach."),
    "es": ("Según nuestra ayuda: {fact}", "Espero que le sirva.", "Pregunte de nuevo si algo no queda claro."),
}
REFUSAL = "I'm sorry, but I can't help with that."


class Passage(NamedTuple):
    """One passage of the help centre; `words` are those by which it is found."""

    topic: str
    product: str
    text: str
    words: frozenset[str]


def passages() -> tuple[Passage, ...]:
    """One for each topic and product."""
    out = []
    for i, (topic, name) in enumerate(product(TOPICS, PRODUCTS)):
        *words, text = TOPICS[topic]
        out.append(Passage(topic, name, text.format(p=name, n=3 + 7 * i % 29), frozenset((*words, name.lower()))))
    return tuple(out)


def question(topic: int, name: str, language: str, form: int, opening: int) -> str:
    """What somebody types."""
    words = TOPICS[list(TOPICS)[topic]]
    forms = ASKED[language]
    return OPENINGS[opening] + forms[form % len(forms)].format(t=words[LANGUAGES.index(language)], p=name)
