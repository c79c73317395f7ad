"""Recorded text is hostile: nothing of it acts on a terminal, a browser or a reader of JSON."""

from __future__ import annotations

import base64
import hashlib
import json as stdlib_json
import re
import unicodedata
from collections import Counter
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.model.report import Shape
from whimbrel.report import html, json, svg, text, words

from . import samples

KINDS = ["fault", "notice", "healthy", "insufficient", "hostile", "extreme", "many"]
VOID = {"meta", "br", "!doctype"}


class Outline(HTMLParser):
    """Tags, attributes and text of a page; every element must be closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("draw", [html.page, html.fragment])
def test_page_is_well_formed_and_has_nothing_that_runs_or_loads(name: str, draw: object) -> None:
    outline = Outline(draw(getattr(samples, name)()))  # type: ignore[operator]
    assert not set(outline.tags) & {
        "script",
        "iframe",
        "object",
        "embed",
        "link",
        "img",
        "form",
        "base",
        "a",
        "use",
        "image",
    }
    for tag, attribute, value in outline.attributes:
        assert not attribute.startswith("on"), (tag, attribute)
        assert attribute not in {"style", "src", "href", "xlink:href", "action"}, (tag, attribute, value)


def test_hostile_text_reaches_the_reader_as_text() -> None:
    outline = Outline(html.page(samples.hostile()))
    shown = words.visible(samples.HOSTILE)
    assert sum(shown in part for part in outline.text) > 20


@pytest.mark.parametrize("draw", [html.page, html.fragment, text.report])
def test_no_control_or_bidi_character_survives(draw: object) -> None:
    drawn: str = draw(samples.hostile())  # type: ignore[operator]
    drawn.encode("utf-8")
    left = {c for c in drawn if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}} - {"\n"}
    assert left == set()


def test_policy_allows_the_one_style_sheet_and_nothing_else() -> None:
    page = html.page(samples.fault())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert policy
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy[1] == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "url(" not in style[1]
    assert "@import" not in style[1]


@pytest.mark.parametrize("name", KINDS)
def test_fragment_stays_under_its_limit(name: str) -> None:
    assert len(html.fragment(getattr(samples, name)()).encode()) <= 30_000


def test_fragment_stays_under_its_limit_for_the_longest_and_widest_text() -> None:
    from dataclasses import replace

    wide = "`\"'&<🐦" * 5000
    report = samples.fault()
    one = replace(report.findings[0], what=wide, component=wide, measure=wide, victims=(wide,) * 500)
    evidence = (replace(one.evidence[0], says=wide),) * 500
    report = replace(
        report, app=wide, sentence=wide, findings=(replace(one, evidence=evidence),) * 3, notes=(wide,) * 500
    )
    assert len(html.fragment(report).encode()) <= 30_000


@pytest.mark.parametrize("name", KINDS)
def test_json_is_valid_for_strict_readers(name: str) -> None:
    report = getattr(samples, name)()
    drawn = json.dumps(report)
    assert msgspec.json.decode(drawn)["verdict"] == report.verdict
    assert drawn.isascii()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    stdlib_json.loads(drawn, parse_constant=refuse)


def test_many_findings_are_all_in_json_and_counted_elsewhere() -> None:
    report = samples.many(500)
    assert len(stdlib_json.loads(json.dumps(report))["findings"]) == 500
    assert "and 495 more findings" in text.report(report)
    assert html.page(report).count("<details>") == 10
    assert "<td>500</td>" in html.page(report)


@given(st.text())
def test_visible_text_has_no_unseen_character_and_says_everything(raw: str) -> None:
    shown = words.visible(raw, most=10**6)
    shown.encode("utf-8")
    assert all(unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in shown)
    if raw.isascii() and raw.isprintable():
        assert shown == raw


@given(st.text(), st.text())
def test_charts_escape_their_texts(title: str, name: str) -> None:
    shape = Shape("x", (name, name), (0.5, 0.5), (0.4, 0.6))
    Outline(svg.histogram(shape, title=title))
