"""`whimbrel prove ID`: evidence of one prediction, in a file that a stranger can check."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import click

from whimbrel.cli import out
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.errors import EvidenceError, InputError, UsageError
from whimbrel.settings import Settings


@click.command(
    short_help="Evidence of one prediction, for a stranger to check.",
    epilog=examples("whimbrel prove 019a5f2e-8c11-7d02-9b1c-0a4f6f2d7c11 -o bundle.zip --disclose output,system"),
)
@click.argument("ident", metavar="ID")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", required=True, help="The bundle to write."
)
@click.option(
    "--disclose", metavar="GROUPS", help="Only these: who, input, output, system, oversight, cost-risk (else all)."
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What `whimbrel replay ID --json` gave, to put in.",
)
@asks("app", "home")
def prove(asked: Asked, ident: str, output: Path, disclose: str | None, replay: Path | None) -> int:
    """Write a bundle: the entry, what of it is disclosed, the proof that it is in the ledger, and what checks it.

    ID is the prediction's id, or so much of its beginning as no other has.
    Who has the bundle runs the verify.py in it, or `whimbrel verify`; they need the ledger's public key from elsewhere.
    """
    from whimbrel.ledger.lifecycle import folder_of
    from whimbrel.ledger.prove import Prover
    from whimbrel.store import open_log

    log = open_log(Settings.load(home=asked.home).home)
    groups = None if disclose is None else [name.strip() for name in disclose.split(",") if name.strip()]
    told = None
    if replay is not None:
        try:
            told = json.loads(replay.read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(
                f"cannot read the replay: {error}", where=str(replay), next="whimbrel replay ID --json > FILE"
            ) from error
    with contextlib.suppress(UsageError, EvidenceError):  # an erased prediction is in the ledger alone
        ident = log.find(ident, app=asked.app).id
    found = Prover(log, folder_of(log.home)).prove(ident, app=asked.app, groups=groups, replay=told)
    try:
        output.write_bytes(found.zipped())
    except OSError as error:
        raise UsageError(
            f"cannot write {output}: {error.strerror}", where="--output", next="name another file"
        ) from error
    if asked.as_json:
        lists = {"disclosed": list(found.disclosed), "withheld": list(found.withheld), "erased": list(found.erased)}
        out.answer_json({"bundle": str(output), "index": found.index, "entries": found.size, **lists})
        return 0
    said = "; ".join(
        f"{what} {', '.join(names)}"
        for what, names in (("discloses", found.disclosed), ("withholds", found.withheld), ("erased", found.erased))
        if names
    )
    out.answer(f"{output}: entry {found.index:,} of {found.size:,}; {said}")
    out.hint(f"whoever gets it: python verify.py {output.name} --key KEY, with the verify.py that is in it")
    return 0
