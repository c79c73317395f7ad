"""`whimbrel erase`: one person's predictions out of the log; the proofs of all others stay."""

from __future__ import annotations

from pathlib import Path

import click

from whimbrel.cli import ask, out
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.errors import UsageError
from whimbrel.model.window import Condition


@click.command(
    short_help="Erase a person's predictions; every other proof holds.",
    epilog=examples("whimbrel erase --subject user=4711 --basis gdpr17"),
)
@click.option(
    "--subject", required=True, metavar="PATH=VALUE", help="Whose: a field and its value; `context.` may be left out."
)
@click.option(
    "--basis", required=True, metavar="WORD", help="Why, in a word that names nobody; it stands in the ledger."
)
@click.option(
    "--key-file", type=click.Path(path_type=Path), metavar="FILE", help="Where the ledger's private key lies."
)
@asks("app", "home")
def erase(asked: Asked, subject: str, basis: str, key_file: Path | None) -> int:
    """Destroy the values, labels, decisions and salts of predictions; their entries stay, and one more says so.

    Older versions of the tables go too. What is out of reach is named: backups, exports, bundles that were handed out.
    """
    from whimbrel.ledger.erase import erase as erase_subject
    from whimbrel.ledger.keys import load_keys
    from whimbrel.ledger.lifecycle import folder_of
    from whimbrel.ledger.reader import read_log

    condition = Condition.parse(subject)
    if condition.op != "=" or not condition.value:
        raise UsageError(
            f"{subject!r} names nobody", where="--subject", next="write a field and its value: --subject user=4711"
        )
    log = ask.open_log(asked)
    keys = load_keys(read_log(folder_of(log.home)).origin, key_file)
    found = erase_subject(log, keys, condition.path, condition.value, basis=basis, app=asked.app)
    if asked.as_json:
        out.answer_json(found.to_dict())
        return 0
    out.answer(
        "Erased "
        + ", ".join(f"{count:,} predictions of {app}" for app, count in found.predictions.items())
        + ": values, labels, decisions and salts."
    )
    for one in found.left:
        out.hint(one)
    return 0
