"""`whimbrel verify`: check a bundle, or a whole ledger, line by line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from whimbrel.cli import out
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.errors import InputError, UsageError, WhimbrelError
from whimbrel.settings import Settings

if TYPE_CHECKING:
    from whimbrel.ledger.merkle.notes import Key
    from whimbrel.ledger.verdicts import Found, Policy
    from whimbrel.store import Log

_LARGEST = 1 << 20


def key_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say whom the reader trusts."""
    command = click.option(
        "--policy", type=click.Path(path_type=Path), metavar="FILE", help="Whom you trust: logs, witnesses, quorum."
    )(command)
    command = click.option(
        "--tsa-certs",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Certificates (PEM) of whoever stamped the time.",
    )(command)
    return click.option(
        "--key", multiple=True, metavar="KEY", help="The log's public key, from somebody you trust; or a file of it."
    )(command)


@click.command(
    short_help="Check a bundle or a ledger, line by line.",
    epilog=examples(
        "whimbrel verify bundle.zip --key log.example/fares+1f2e3d4c+AX…",
        "whimbrel verify /backup/.whimbrel --policy auditor.policy",
    ),
)
@click.argument("what", metavar="BUNDLE|LOG", required=False, type=click.Path(path_type=Path))
@key_options
@click.option(
    "--since",
    "older",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="An older checkpoint of the log that you kept.",
)
@asks("home")
def verify(
    asked: Asked,
    what: Path | None,
    key: tuple[str, ...],
    policy: Path | None,
    tsa_certs: Path | None,
    older: Path | None,
) -> int:
    """Check evidence: each line says what holds, what failed and what is not shown; then what is not proven.

    There is no PASS. Exit status 1: a line failed; 4: no key was given, so nobody from outside vouches for the signature.
    """
    path = what or Settings.load(home=asked.home).home
    if what is None or path.is_dir():
        return tell(
            asked, audit(path if (path / "checkpoint").exists() else path / "ledger", key, policy, older, tsa_certs)
        )
    from whimbrel.ledger.bundle import read_bundle
    from whimbrel.ledger.verdicts import Bundle

    if older:
        raise UsageError("--since is for a whole ledger", where="--since", next="leave it out")
    keys, trusted = read_keys(key, policy)
    try:
        files = read_bundle(path)
    except OSError as error:
        raise InputError(
            f"cannot read the bundle: {error.strerror}", where=str(path), next="check the name with ls"
        ) from error
    return tell(asked, Bundle(files, keys, trusted, read_authority(tsa_certs)).found())


def audit(
    folder: Path, key: tuple[str, ...], policy: Path | None, older: Path | None, tsa_certs: Path | None = None
) -> Found:
    """All lines of a ledger's folder."""
    from whimbrel.ledger.audit import Audit

    if not (folder / "checkpoint").exists():
        raise UsageError(
            "there is no ledger", where=str(folder), why="it has no checkpoint", next="whimbrel ledger init"
        )
    keys, trusted = read_keys(key, policy)
    since = _read(older, "--since") if older else None
    return Audit(folder, keys, trusted, since, read_authority(tsa_certs)).found()


def read_keys(key: tuple[str, ...], policy: Path | None) -> tuple[list[Key], Policy | None]:
    """Whom the reader trusts. Raises InputError where a key or the policy cannot be read."""
    from whimbrel.ledger.merkle.notes import read_key
    from whimbrel.ledger.verdicts import read_policy

    texts = [_read(Path(one), "--key").decode("utf-8", "replace") if "+" not in one else one for one in key]
    keys = [read_key(text) for one in texts for text in one.split()]
    return keys, read_policy(_read(policy, "--policy").decode("utf-8", "replace")) if policy else None


def read_authority(path: Path | None) -> list[Any]:
    """The certificates in a file. Raises InputError where it holds none."""
    from whimbrel.ledger.stamps import read_certificates

    return read_certificates(_read(path, "--tsa-certs")) if path else []


def publish(log: Log) -> None:
    """Let the log's ledger, where it has one, say at once what happened."""
    if not (log.home / "ledger").exists():
        return
    from whimbrel.ledger.lifecycle import publish as say

    try:
        why = "" if say(log) else "its key is not here"
    except WhimbrelError as error:  # what was asked for is done
        why = error.what
    if why:
        out.hint(f"the ledger does not say so yet, for {why}: whimbrel ledger write, by who has the key")


def _read(path: Path, where: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", where=where, next="check the name with ls") from error


def tell(asked: Asked, found: Found) -> int:
    """Print the lines; gives the exit status."""
    if asked.as_json:
        out.answer_json(found.to_dict())
    else:
        out.answer(found.text())
    return found.code
