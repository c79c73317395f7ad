"""What the pages say of the ledger is so: commands and options exist, kinds of entry and groups are the ones that are written."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import click
import pytest

from whimbrel.cli.app import whimbrel
from whimbrel.ledger import merkle
from whimbrel.ledger.entries import GROUPS, group_of

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["audit.md", "ledger.md"])
def test_commands_and_options_exist(page: str) -> None:
    """Each `whimbrel …` in the page is a command, with the options that it is shown with."""
    said = re.findall(r"whimbrel ((?:[a-z]+ ?)+)((?: *--[a-z-]+| *-o)*[^`\n|]*)", (DOCS / page).read_text("utf-8"))
    assert said
    seen = 0
    for words, rest in said:
        command: click.Command = whimbrel
        for word in words.split():
            if not isinstance(command, click.Group) or word not in command.commands:
                break
            command = command.commands[word]
        if command is whimbrel:
            continue  # prose
        seen += 1
        known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        for option in re.findall(r"(?<= )--?[a-z][a-z-]*", f" {rest}"):
            assert option in known, (words, option)
    assert seen > 5


def test_groups_are_those_of_the_page() -> None:
    """The page's table of groups is what the code does."""
    table = re.findall(
        r"^\| `([a-z-]+)` \| ((?:`[^`]+`(?:, )?)+) \|$", (DOCS / "ledger.md").read_text("utf-8"), re.MULTILINE
    )
    told = {group: re.findall(r"`([^`]+)`", fields) for group, fields in table if group in GROUPS}
    assert tuple(told) == GROUPS
    for group, fields in told.items():
        for field in fields:
            path = field.replace("*", "x")
            path = f"context{path}" if path.startswith(".") else path
            assert group_of(path) == group, field


def test_the_merkle_room_is_small_and_pure() -> None:
    """Under 500 lines in all, and nothing but Python's own library, `cryptography` and the error tree is named in it."""
    room = Path(merkle.__file__).parent
    sources = [path.read_text("utf-8") for path in room.glob("*.py")]
    assert sum(len(source.splitlines()) for source in sources) < 500
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom):
                module = node.module or ""
                top = module.partition(".")[0]
                allowed = module == "whimbrel.errors" or module.startswith("whimbrel.ledger.merkle.")
                assert (
                    allowed
                    or top == "cryptography"
                    or top in sys.stdlib_module_names - {"os", "io", "pathlib", "time", "socket", "random"}
                )
