"""What a person reads, kept as files beside the tests: a change of any output shows up in review.

`UPDATE_GOLDEN=1 pytest tests/report` writes the files anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from whimbrel.report import html, json, text
from whimbrel.version import __version__

from . import samples

GOLDEN = Path(__file__).parent / "golden"


def check(name: str, drawn: str) -> None:
    """The output is what the golden file holds."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(drawn + "\n", "utf-8")
    assert drawn + "\n" == path.read_text("utf-8"), f"{name} is drawn differently"


def without_style(page: str) -> str:
    """The page without its style sheet, the sheet's hash and the version, which have lives of their own."""
    page = re.sub(r"<style>.*?</style>", "<style>…</style>", page, flags=re.DOTALL)
    return re.sub(r"sha256-[\w+/=]+", "sha256-…", page).replace(f"whimbrel {__version__}", "whimbrel …").rstrip("\n")


@pytest.mark.parametrize("name", ["fault", "notice", "healthy", "insufficient", "hostile", "extreme"])
def test_text_reads_as_before(name: str) -> None:
    check(f"{name}.txt", text.report(getattr(samples, name)()))


@pytest.mark.parametrize("name", ["fault", "insufficient", "extreme", "hostile"])
def test_json_reads_as_before(name: str) -> None:
    check(f"{name}.json", json.dumps(getattr(samples, name)()))


@pytest.mark.parametrize("name", ["fault", "healthy", "insufficient", "hostile"])
def test_page_reads_as_before(name: str) -> None:
    check(f"{name}.html", without_style(html.page(getattr(samples, name)())))


def test_fragment_reads_as_before() -> None:
    check("fault-fragment.html", without_style(html.fragment(samples.fault())))
