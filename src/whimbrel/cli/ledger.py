"""`whimbrel ledger`: make the log's ledger, fill it, look at it, check it, change its key."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from whimbrel.cli import ask, out
from whimbrel.cli.audit import changes, energy, export, key_file, retention, risk
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.cli.verify import key_options, read_authority, read_keys, tell
from whimbrel.errors import UsageError
from whimbrel.settings import Settings

if TYPE_CHECKING:
    from whimbrel.ledger.keys import Keys
    from whimbrel.ledger.verdicts import Policy
    from whimbrel.ledger.writer import Ledger

_WITNESS_S, _STAMP_S = 60.0, 3600.0


@click.group(
    short_help="The log's evidence: make it, fill it, check it.",
    epilog=examples("whimbrel ledger init", "whimbrel ledger write --follow"),
)
def ledger() -> None:
    """The ledger: what nobody can alter unseen. Every prediction leaves an entry, and the whole is signed."""


@ledger.command(
    short_help="Make a key and an empty ledger.",
    epilog=examples("whimbrel ledger init --origin example.org/fares/2026"),
)
@click.option("--origin", metavar="NAME", help="Its name, like a web address without https:// (else of this host).")
@click.option("--new-origin", metavar="NAME", help="Lay the present ledger aside, and begin one of another name.")
@key_file
@asks("home")
def init(asked: Asked, origin: str | None, new_origin: str | None, key_file: Path | None) -> int:
    """Make a key that only you can read, and an empty ledger in the log's folder.

    The file beside the key remembers what was signed: keep both together, and out of the backup of the log.
    """
    from whimbrel.ledger import lifecycle

    home = Settings.load(home=asked.home).home.expanduser().absolute()
    if origin and new_origin:
        raise UsageError("two names are given", where="--origin, --new-origin", next="give one of the two")
    if new_origin:
        keys, aside = lifecycle.begin_anew(home, new_origin, key_file)
        out.hint(f"the old ledger lies in {aside}; whoever holds proofs from it still needs its tiles")
    else:
        keys = lifecycle.begin(home, origin, key_file)
    _print_keys(asked, keys, "The ledger begins.")
    if key_file:
        out.hint(f"the key is not where it is looked for: set WHIMBREL_LEDGER_KEY={key_file}")
    return 0


@ledger.command(short_help="Take in what is new.", epilog=examples("whimbrel ledger write --follow"))
@click.option(
    "--follow",
    "go_on",
    is_flag=True,
    help="Go on, with a checkpoint each second when there is something, until stopped.",
)
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Show each head to the witnesses that it names, with their addresses.",
)
@click.option("--tsa", metavar="URL", help="Have the head stamped by this authority (RFC 3161), once an hour.")
@click.option(
    "--tsa-certs", type=click.Path(path_type=Path), metavar="FILE", help="The authority's certificates (PEM)."
)
@key_file
@asks("home")
def write(
    asked: Asked, go_on: bool, policy: Path | None, tsa: str | None, tsa_certs: Path | None, key_file: Path | None
) -> int:
    """Take what recorders and imports brought into the log, make an entry of each, and publish a checkpoint."""
    from whimbrel.ledger.follow import Outside, follow, once
    from whimbrel.ledger.keys import load_keys
    from whimbrel.ledger.lifecycle import folder_of
    from whimbrel.ledger.reader import read_log

    log = ask.open_log(asked)
    folder = folder_of(log.home)
    keys, trusted = load_keys(read_log(folder).origin, key_file), read_keys((), policy)[1]
    taken: dict[str, int] = {}
    outside = [] if trusted is None else [Outside(_WITNESS_S, lambda held: _show(held, trusted))]
    if tsa is not None:
        if tsa_certs is None:
            raise UsageError(
                "nobody says whose time stamps to trust", where="--tsa", next="give its certificates: --tsa-certs FILE"
            )
        certificates = read_authority(tsa_certs)
        outside.append(Outside(_STAMP_S, lambda held: _stamp(held, tsa, certificates)))
    if go_on:
        with _until_told() as stop:
            held = follow(log, folder, keys, stop, outside)
    else:
        taken, held = once(log, folder, keys, outside)
    told = {"taken": taken, "entries": held.size, "root": held.root.hex()}
    if asked.as_json:
        out.answer_json(told)
    else:
        came = ", ".join(f"{count:,} {kind}" for kind, count in taken.items()) or "nothing"
        out.answer(f"Took in {came}: {held.size:,} entries, signed and published.")
    return 0


@ledger.command(
    short_help="How it stands, and what no one outside covers.",
    epilog=examples("whimbrel ledger status --policy auditor.policy"),
)
@click.option(
    "--policy", type=click.Path(path_type=Path), metavar="FILE", help="Whom you trust: logs, witnesses, quorum."
)
@asks("home")
def status(asked: Asked, policy: Path | None) -> int:
    """Say how many entries there are, when the last checkpoint was published, and the exposure.

    Exposure is the age of the oldest entry that no witness's checkpoint covers: whoever has the key could still rewrite it unseen.
    """
    from whimbrel.ledger.lifecycle import standing

    found = standing(Settings.load(home=asked.home).home.expanduser().absolute(), read_keys((), policy)[1])
    told = found.to_dict()
    if asked.as_json:
        out.answer_json(told)
        return 0
    lines = [f"Ledger {found.origin}: {found.size:,} entries, published {found.published:%Y-%m-%d %H:%M:%S} UTC"]
    lines += [f"  key       {key}" for key in found.keys]
    age = told["exposure_s"]
    covered = (
        "all are covered by witnesses"
        if age is None
        else f"{found.exposed:,} entries for {age:,.0f} s: no one outside covers them"
    )
    lines.append(f"  exposure  {covered}")
    if found.stamped:
        lines.append(
            f"  stamped   the first {found.stamped:,} entries; a time stamp does not show that others saw the same log"
        )
    out.answer("\n".join(lines))
    return 0


@ledger.command(
    short_help="Check all of it.", epilog=examples("whimbrel ledger verify --values --since checkpoint.june")
)
@key_options
@click.option(
    "--since", "older", type=click.Path(path_type=Path), metavar="FILE", help="An older checkpoint that you kept."
)
@click.option("--values", is_flag=True, help="Compare the log's values with what was committed to, too.")
@asks("home")
def verify(
    asked: Asked,
    key: tuple[str, ...],
    policy: Path | None,
    tsa_certs: Path | None,
    older: Path | None,
    values: bool,
) -> int:
    """Hash every entry again, and check tiles, root, signature, numbers, and the values if asked."""
    from dataclasses import replace

    from whimbrel.cli.verify import audit
    from whimbrel.ledger.lifecycle import folder_of
    from whimbrel.ledger.values import check_values
    from whimbrel.store import open_log

    log = open_log(Settings.load(home=asked.home).home)
    found = audit(folder_of(log.home), key, policy, older, tsa_certs)
    if values:
        found = replace(found, verdicts=(*found.verdicts, check_values(log, folder_of(log.home)).verdict()))
    return tell(asked, found)


@ledger.command(short_help="Change the key.", epilog=examples("whimbrel ledger rotate"))
@key_file
@asks("home")
def rotate(asked: Asked, key_file: Path | None) -> int:
    """Make a new key: both sign until the old one is revoked. Give the new one to whoever checks."""
    from whimbrel.ledger import lifecycle

    _print_keys(
        asked,
        lifecycle.rotate(Settings.load(home=asked.home).home.expanduser().absolute(), key_file),
        "Both keys sign.",
    )
    return 0


@ledger.command(short_help="Let old keys go.", epilog=examples("whimbrel ledger revoke"))
@key_file
@asks("home")
def revoke(asked: Asked, key_file: Path | None) -> int:
    """Let the key in use sign alone; an entry says which were let go."""
    from whimbrel.ledger import lifecycle

    _print_keys(
        asked, lifecycle.revoke(Settings.load(home=asked.home).home.expanduser().absolute(), key_file), "One key signs."
    )
    return 0


@ledger.command(
    short_help="Be a witness of other logs.",
    epilog=examples("whimbrel ledger witness --name w.example.org --key log.key --state ~/witness"),
)
@click.option(
    "--name", required=True, metavar="NAME", help="What it is called in policies, like a web address without https://."
)
@click.option(
    "--key", multiple=True, required=True, metavar="KEY", help="The public key of a log to watch, or a file of it."
)
@click.option(
    "--state", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Where its key and memory lie."
)
@click.option("--listen", default="127.0.0.1:8191", metavar="HOST:PORT", show_default=True, help="Where it is asked.")
def witness(name: str, key: tuple[str, ...], state: Path, listen: str) -> int:
    """Cosign the heads of logs that continue what was seen of them before, until stopped.

    Run it on another machine, under another account: a witness in the same hands as the log vouches for nothing.
    """
    from whimbrel.ledger.witness import Witness, serve

    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f"{listen!r} is no address", where="--listen", next="write it as 127.0.0.1:8191")
    own = Witness(state.expanduser(), name, read_keys(key, None)[0])
    with serve(own, host, int(port)) as server:
        out.answer(f"witness {name} {own.signer.key} http://{host}:{server.server_port}")
        server.serve_forever()
    return 0


@contextmanager
def _until_told() -> Iterator[Event]:
    """An event that SIGINT and SIGTERM set, so that what came until then is published before the program ends."""
    stop, told = Event(), []

    def tell(number: int, _: object) -> None:
        told.append(number)
        stop.set()

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if signal.SIGINT in told:
        raise KeyboardInterrupt


def _show(held: Ledger, trusted: Policy) -> None:
    """Show the head to witnesses, and say who did not cosign it."""
    from whimbrel.ledger.witnessed import show

    for name, why in show(held, trusted).failed.items():
        out.hint(f"witness {name} did not cosign: {why}")


def _stamp(held: Ledger, address: str, certificates: list[Any]) -> None:
    """Have the head stamped, and say where that failed."""
    from whimbrel.ledger.merkle.tree import ProofError
    from whimbrel.ledger.stamped import stamp

    try:
        stamp(held, address, certificates)
    except ProofError as error:
        out.hint(f"the head was not stamped: {error.what}")


def _print_keys(asked: Asked, keys: Keys, said: str) -> None:
    public = [str(one.key) for one in keys.signers]
    if asked.as_json:
        out.answer_json({"origin": keys.origin, "keys": public, "memory": str(keys.memory)})
        return
    out.answer(
        "\n".join(
            [
                said,
                f"  name  {keys.origin}",
                *(f"  key   {one}" for one in public),
                f"  what was signed is remembered in {keys.memory}",
            ]
        )
    )
    out.hint("give the public key to whoever is to check, by a way that you both trust")


for command in (changes, risk, energy, export, retention):
    ledger.add_command(command)
