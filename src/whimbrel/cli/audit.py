"""`whimbrel ledger risk | energy | export | retention`: what auditors ask of a log, each in one command."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from whimbrel.cli import ask, out
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.cli.verify import tell
from whimbrel.errors import UsageError
from whimbrel.model.window import Condition, parse_duration
from whimbrel.report.words import visible

key_file = click.option(
    "--key-file", type=click.Path(path_type=Path), metavar="FILE", help="Where the private key lies."
)


@click.command(
    short_help="Harm per request, weighted, with an exact interval.",
    epilog=examples(
        "whimbrel ledger risk --last 30d --harm fraud-paid:25:decision=accept,label=fraud --harm refused:1:decision=refuse,label=fine"
    ),
)
@click.option(
    "--harm", "harms", multiple=True, metavar="NAME:WEIGHT:PATH=VALUE,…", help="A kind of harm and how bad one is."
)
@asks("window", "app", "home")
def risk(asked: Asked, harms: tuple[str, ...]) -> int:
    """Say how much harm a request did on average: the share of each kind times its weight, of all requests that can be judged.

    The definition is printed with the figure. A request whose label has not come yet is not judged.
    """
    from whimbrel.engine import engine_named
    from whimbrel.ledger.risk import LEVEL, Harm
    from whimbrel.ledger.risk import risk as reckon

    kinds = [Harm.parse(text) for text in harms]
    log = ask.open_log(asked)
    window = ask.question(asked, log, default=None).window
    found = reckon(engine_named(), log.source(window.app), window, kinds)
    told = found.to_dict()
    if asked.as_json:
        out.answer_json(told)
        return 0
    low, high = (1000 * told[end] for end in ("low", "high"))
    lines = [
        f"Risk {1000 * found.value:.4g} per 1,000 requests, {low:.4g} to {high:.4g} at {LEVEL:.0%}; {found.judged:,} of {found.requests:,} judged"
    ]
    lines += [
        f"  {one.harm.name:<20} {one.count:,} times, {one.low:.3%} to {one.high:.3%}; weight {one.harm.weight:g}: {', '.join(map(str, one.harm.where))}"
        for one in found.shares
    ]
    said = found.definition()
    lines += ["", f"DEFINITION {told['definition_id'][:16]}", *(f"  {name}: {said[name]}" for name in ("risk", "judged", "interval"))]  # fmt: skip
    out.answer("\n".join(lines))
    if found.thinned:
        out.hint(f"{found.thinned:,} judged requests stand for others that retention left out: the figure is of what was kept")  # fmt: skip
    return 0


@click.command(
    short_help="Work done per joule, where energy is recorded.",
    epilog=examples("whimbrel ledger energy --last 7d --useful label=1,decision=true"),
)
@click.option("--useful", metavar="PATH=VALUE,…", help="What counts as useful work (else any request).")
@asks("window", "app", "home")
def energy(asked: Asked, useful: str | None) -> int:
    """Say how many requests, useful ones and tokens a joule bought, and of how many requests energy was recorded."""
    from whimbrel.engine import engine_named
    from whimbrel.ledger.energy import energy as reckon

    log = ask.open_log(asked)
    window = ask.question(asked, log, default=None).window
    wanted = tuple(Condition.parse(one) for one in (useful or "").split(",") if one)
    told = reckon(engine_named(), log.source(window.app), window, wanted).to_dict()
    if asked.as_json:
        out.answer_json(told)
        return 0
    each = told["joules_per_request"]
    lines = [
        f"{told['joules']:,.4g} J ({told['kwh']:.4g} kWh) of {told['measured']:,} requests; {told['requests'] - told['measured']:,} have no energy recorded",
        f"  a request  {each['mean']:.4g} J; half take {each['median']:.4g} or less, 95 % {each['p95']:.4g}",
    ]
    lines += [
        f"  per joule  {rate:.4g} {name.replace('_', ' ')} (a watt: as many a second)"
        for name, rate in told["per_joule"].items()
        if rate is not None
    ]
    out.answer("\n".join([*lines, f"  source     {told['source']}"]))
    return 0


@click.command(
    short_help="One person's records with their evidence, in a file.",
    epilog=examples("whimbrel ledger export --subject user=4711 -o 4711.zip"),
)
@click.option(
    "--subject", required=True, metavar="PATH=VALUE", help="Whose: a field and its value; `context.` may be left out."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", required=True, help="The zip to write."
)
@key_file
@asks("app", "home")
def export(asked: Asked, subject: str, output: Path, key_file: Path | None) -> int:
    """Write all values, labels and decisions of one person's predictions, and a bundle of evidence of each.

    An entry says which entries were handed out. Only you can read the file.
    """
    from whimbrel.ledger.export import export as hand_out
    from whimbrel.ledger.export import write_private
    from whimbrel.ledger.keys import load_keys
    from whimbrel.ledger.lifecycle import folder_of
    from whimbrel.ledger.reader import read_log

    condition = Condition.parse(subject)
    if condition.op != "=" or not condition.value:
        raise UsageError(f"{subject!r} names nobody", where="--subject", next="write a field and its value: --subject user=4711")  # fmt: skip
    log = ask.open_log(asked)
    keys = load_keys(read_log(folder_of(log.home)).origin, key_file)
    found = hand_out(log, keys, condition.path, condition.value, app=asked.app)
    write_private(output, found.zipped())
    if asked.as_json:
        out.answer_json({"export": str(output), "predictions": dict(found.predictions)})
        return 0
    told = ", ".join(f"{count:,} predictions of {app}" for app, count in found.predictions.items())
    out.answer(f"{output}: {told}, with their evidence")
    return 0


@click.command(
    short_help="Kept long enough, and gone after?",
    epilog=examples("whimbrel ledger retention --least 183d --most 400d", "whimbrel ledger retention --expire"),
)
@click.option("--least", default="183d", show_default=True, metavar="TIME", help="How long values must be kept.")
@click.option("--most", metavar="TIME", help="How long they may be kept.")
@click.option("--expire", is_flag=True, help="Destroy the salts of predictions whose values are gone.")
@key_file
@asks("home")
def retention(asked: Asked, least: str, most: str | None, expire: bool, key_file: Path | None) -> int:
    """Say whether every prediction in the ledger has its values for as long as it must, and whether older ones are gone."""
    from whimbrel.engine import engine_named
    from whimbrel.ledger.keys import load_keys
    from whimbrel.ledger.lifecycle import folder_of
    from whimbrel.ledger.reader import read_log
    from whimbrel.ledger.retention import expire as destroy
    from whimbrel.ledger.retention import retained

    log = ask.open_log(asked)
    folder, now = folder_of(log.home), datetime.now(UTC)
    shortest, longest = parse_duration(least), parse_duration(most) if most else None
    if longest is not None and longest < shortest:
        raise UsageError(f"{most} is less than {least}", where="--most", next="give a longer time")
    keys = load_keys(read_log(folder).origin, key_file) if expire else None
    found = retained(log, folder, engine_named(), now, shortest, longest)
    if keys is not None and found.salted:
        destroy(folder, keys, found.salted)
        found = retained(log, folder, engine_named(), now, shortest, longest)
    return tell(asked, found.found(now))


@click.command(
    short_help="What changed between two dates.",
    epilog=examples("whimbrel ledger changes --since 2026-11-01 --until 2026-12-01"),
)
@asks("window", "app", "home")
def changes(asked: Asked) -> int:
    """List events, models and code that answered for the first time, and what processes ran on when it was not what it had been.

    Beside each stands the entry of the ledger that says so, where one does.
    """
    from whimbrel.ledger.changes import changes as between
    from whimbrel.ledger.lifecycle import folder_of

    log = ask.open_log(asked)
    since, until = ask.stretch(asked, log)
    found = between(log, folder_of(log.home), since, until, asked.app)
    if asked.as_json:
        out.answer_json({"schema": "whimbrel.changes/1", "changes": [one.to_dict() for one in found]})
        return 0
    lines = [
        f"{one.ts}  {one.app or '(all)'}  {one.what}"
        + (
            f": {one.before} -> {one.after}"
            if one.before is not None or one.what.startswith("process")
            else f" {one.after or ''}"
        )
        + ("" if one.entry is None else f"  (entry {one.entry:,})")
        for one in found
    ]
    out.answer("\n".join(map(visible, lines)) or "Nothing that was recorded changed.")
    return 0
