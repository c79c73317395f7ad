"""A result as HTML: `page` and `comparison` make one self-contained file, `fragment` what a notebook shows.

In: a `Report`, or a comparison's `to_dict()`. Out: HTML text. Templates are package data under `templates/`; everything
is escaped by Jinja2 after `words.visible` has spelled out what cannot be seen, so a template cannot forget it. A page
has no script, loads nothing (its Content-Security-Policy forbids all but the one style sheet inside it, by hash) and
follows the reader's light or dark.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from whimbrel.model.report import Report
from whimbrel.report import pieces, text
from whimbrel.report.words import visible
from whimbrel.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

FRAGMENT_BYTES = 30_000
"""No fragment is larger, whatever the report holds."""

_LIMITS = {
    "most_slices": pieces.SLICES, "most_shapes": 12, "most_events": 20, "most_evidence": 50, "most_traffic": 100,
    "most_drawn": 10, "most_listed": 2000, "most_moved": 30, "most_mix": 30, "most_unmoved": 200,
}  # fmt: skip
_FRAGMENTS = ((True, 24, 300), (False, 16, 200), (False, 8, 80))
"""How a fragment shrinks until it fits: charts or not, lines, characters a line."""


def page(report: Report) -> str:
    """The report as one HTML file."""
    commands = list(dict.fromkeys(one.next for one in report.findings if one.next))[:10]
    return render("report.html", report=report, next_commands=commands)


def comparison(found: Mapping[str, Any]) -> str:
    """A comparison, in its plain form, as one HTML file."""
    return render("comparison.html", found=found)


def framed(found: Mapping[str, Any]) -> str:
    """A comparison for a notebook's cell: the whole page in a frame of its own, so that neither's styles meet."""
    return f'<iframe srcdoc="{escape(comparison(found))}" style="width:100%;height:640px;border:0"></iframe>'


def fragment(report: Report) -> str:
    """The report for a notebook's cell: the sentence, the first finding's charts, the lines of its proof, in 30 KB."""
    for drawn, most, length in _FRAGMENTS:
        lines = [(visible(label, 40), visible(said, length)) for label, said in text.lines(report)[:most]]
        sentence = visible(report.sentence, 600)
        out = render("fragment.html", report=report, sentence=sentence, lines=lines, drawn=drawn)
        if len(out.encode()) <= FRAGMENT_BYTES:
            break
    return out


def render(template: str, **values: Any) -> str:
    """One of the room's templates with these values."""
    return _environment().get_template(template).render(version=__version__, **_LIMITS, **values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # a terminal's answer needs no templates

    environment = Environment(
        loader=PackageLoader("whimbrel.report", "templates"), autoescape=True, finalize=_seen,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    style = files("whimbrel.report").joinpath("templates", "style.css").read_text("utf-8")
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment.globals |= {
        "style": pieces.drawn(style), "style_hash": f"sha256-{digest}",
        "chart": pieces.chart, "slice_rows": pieces.slice_rows,
    }  # fmt: skip
    environment.filters |= pieces.FILTERS
    return environment


def _seen(value: object) -> object:
    return value if isinstance(value, Markup) else visible(value)
