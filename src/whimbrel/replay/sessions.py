"""Debug sessions: a handful of predictions that went wrong, kept with what a later run of the code must give.

In: a log and a window or ids. Out: a `Session`, one JSON file in the log's `sessions`, and what still fails of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from whimbrel.engine import engine_named
from whimbrel.engine.port import Engine, Source
from whimbrel.errors import EvidenceError, UsageError
from whimbrel.model.rows import Categories, Column, Floats
from whimbrel.model.window import Window, from_micros
from whimbrel.replay.apart import LIMIT_S, Outcome, play
from whimbrel.replay.expect import check_rule, unmet
from whimbrel.replay.judged import step_of
from whimbrel.replay.parity import known
from whimbrel.replay.record import Record
from whimbrel.store import named

if TYPE_CHECKING:
    from whimbrel.store import Log

SCHEMA = "whimbrel.session/1"
TOLERANCE = 1e-6
"""The relative difference that passes for noise: that of single precision."""

_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Session:
    """Predictions kept for replay: flat records without labels, the labels (None where unknown), and one rule for all."""

    name: str
    app: str
    made: datetime
    expect: str
    tolerance: float
    records: tuple[Record, ...]
    labels: tuple[Any, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, from which `load` makes the same session."""
        return {
            "schema": SCHEMA, "name": self.name, "app": self.app, "made": self.made.isoformat(), "expect": self.expect,
            "tolerance": self.tolerance,
            "predictions": [
                {"label": plain(label), "record": {path: plain(value) for path, value in record.items()}}
                for record, label in zip(self.records, self.labels, strict=True)
            ],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Failure:
    """One prediction that does not meet the session's rule: its id, the field or step, why in words."""

    id: str
    where: str
    says: str


@dataclass(frozen=True, slots=True)
class Run:
    """What a session's run gave."""

    pipeline: str
    ran: int
    failures: tuple[Failure, ...]
    outcome: Outcome

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        failures = [{"id": one.id, "where": one.where, "says": one.says} for one in self.failures]
        return {"pipeline": self.pipeline, "ran": self.ran, "failed": len(self.failures), "failures": failures}


def plain(value: Any) -> Any:
    """A recorded value as strict JSON: times and numbers that JSON lacks become small objects."""
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": str(value)}
    return [plain(one) for one in value] if isinstance(value, list) else value


def unplain(value: Any) -> Any:
    """What `plain` was given."""
    if isinstance(value, dict):
        return datetime.fromisoformat(value["time"]) if "time" in value else float(value["number"])
    return [unplain(one) for one in value] if isinstance(value, list) else value


def keep(
    log: Log, name: str, window: Window, ids: Sequence[str], *, expect: str = "recorded", tolerance: float = TOLERANCE,
    engine: str | Engine = "duckdb",
) -> Session:  # fmt: skip
    """Keep predictions of a window under a name; a session of the same name gives way.

    Raises:
        UsageError: not a name, or no rule.
        EvidenceError: the window holds none of the ids, or a label is expected of predictions without one.
        StoreError: the log cannot be written.
    """
    named.check(name, thing="session", example="wrong-fares")
    check_rule(expect)
    found = engine_named(engine).records(log.source(window.app), window, ids=ids)
    missing = set(ids) - {str(record.get("id")) for record in found}
    if missing or not found:
        raise EvidenceError(
            f"the window holds no prediction {min(missing, default='')}".rstrip(), where=f"app {window.app}",
            why="the id is another, or it lies outside --since, --until or --where", next="whimbrel ls lists predictions",
        )  # fmt: skip
    labels = tuple(record.get("label") for record in found)
    if expect == "label" and None in labels:
        raise EvidenceError(
            f"{labels.count(None)} of {len(labels)} predictions have no label", where="--expect label",
            why="their labels have not come yet", next="--expect recorded, or choose others",
        )  # fmt: skip
    made = datetime.now(UTC).replace(microsecond=0)
    session = Session(name, window.app, made, expect, tolerance, tuple(known(found)), labels)
    named.write(log.layout.sessions / f"{name}.json", session.to_dict())
    return session


def load(folder: Path, name: str) -> Session:
    """The session of that name.

    Raises:
        UsageError: there is none.
        StoreError: its file is damaged.
    """
    there = names(folder)
    if name not in there:
        make = "make one: whimbrel session new NAME --worst 20"
        raise named.unknown(name, there, thing="session", where=folder, make=make)
    again = f"make it again: whimbrel session new {name} --ids …"
    return named.read(folder / f"{name}.json", _session, thing="session", schema=SCHEMA, again=again)


def names(folder: Path) -> tuple[str, ...]:
    """The names of all sessions, sorted."""
    return named.names(folder, SCHEMA)


def _session(held: dict[str, Any]) -> Session:
    records = tuple({p: unplain(v) for p, v in one["record"].items()} for one in held["predictions"])
    labels = tuple(unplain(one["label"]) for one in held["predictions"])
    made = datetime.fromisoformat(held["made"])
    return Session(held["name"], held["app"], made, held["expect"], float(held["tolerance"]), records, labels)


def run(session: Session, pipeline: str, *, limit_s: float = LIMIT_S, folder: Path | None = None) -> Run:
    """Run a session's inputs through code, in a process of its own that works in `folder`; what still fails.

    Where the recorded values are the rule each step is judged on the inputs that it really received; else the code runs freely.

    Raises:
        InputError: the pipeline cannot be loaded.
        EvidenceError: the code makes nothing that was recorded.
    """
    outcome = play(pipeline, session.records, free=session.expect != "recorded", limit_s=limit_s, folder=folder)
    order = list(dict.fromkeys(path for answer in outcome.answers for path in answer.out))
    wanted = [_wanted(record, order) for record in session.records]
    died = any(answer.failed for answer in outcome.answers)
    if session.expect == "recorded" and not died and not any(wanted):
        raise EvidenceError(
            "nothing of the session could be compared", where=pipeline, why="the code makes no step or output that was recorded",
            next="name the function that was recorded, or make the session with --expect range:LOW..HIGH",
        )  # fmt: skip
    failures = []
    for record, label, want, answer in zip(session.records, session.labels, wanted, outcome.answers, strict=True):
        where, says = unmet(session.expect, want, label, answer.out, session.tolerance)
        if answer.failed and (session.expect != "recorded" or "error" not in record):
            where, says = f"steps.{answer.failed_in}" if answer.failed_in else "outputs", answer.failed
        if says:
            failures.append(Failure(str(record.get("id")), where, says))
    return Run(pipeline, len(session.records), tuple(failures), outcome)


def _wanted(record: Record, order: Sequence[str]) -> Record:
    """What was recorded of the fields that the code makes, in the order in which it makes them."""
    judged = recorded_steps(record)
    return {path: record[path] for path in order if path in judged}


def recorded_steps(record: Record) -> set[str]:
    """The fields of a record that code must make again: steps, outputs and decisions; look-ups are given to it."""
    reads = {f"steps.{name}" for name in record.get("recorder.reads", ())}
    return {path for path in record if step_of(path) and step_of(path) not in reads}


def worst(
    log: Log, window: Window, n: int, *, golden: tuple[Source, Window] | None = None, engine: str | Engine = "duckdb"
) -> list[str]:
    """The ids of the `n` predictions whose score lies farthest from their label; without labels, from golden's median.

    Raises:
        EvidenceError: there is no numeric score, or neither labels nor golden.
    """
    asker = engine_named(engine)
    scores, labels, ids = _scores(asker, log.source(window.app), window)
    loss = np.abs(scores - labels)
    if not np.isfinite(loss).any():
        golden = golden or (log.source(window.app), Window(window.app, None, window.since or from_micros(0)))
        before = _scores(asker, *golden)[0]
        middle = np.median(before[np.isfinite(before)]) if np.isfinite(before).any() else math.nan
        loss = np.abs(scores - middle)
    order = [int(i) for i in np.argsort(-loss, kind="stable") if np.isfinite(loss[i])][:n]
    if not order:
        raise EvidenceError(
            "cannot say which predictions are the worst", where=f"app {window.app}",
            why="that takes a numeric outputs.score, and labels or golden's scores beside it",
            next="name golden with --golden, or name the predictions with --ids",
        )  # fmt: skip
    return [ids[i] for i in order]


def _scores(engine: Engine, source: Source, window: Window) -> tuple[Floats, Floats, tuple[str, ...]]:
    """Scores and labels, shape (n,), nan where unknown or no number, and the ids."""
    paths = [f.path for f in source.schema if f.path in ("outputs.score", "label")]
    rows = engine.rows(source, window, paths=paths, limit=_MOST)
    nothing = np.full(len(rows), math.nan)
    score, label = (_numbers(rows.columns[p]) if p in rows.columns else nothing for p in ("outputs.score", "label"))
    return score, label, rows.ids


def _numbers(column: Column) -> Floats:
    if not isinstance(column, Categories):
        return column.values
    words = {"true": 1.0, "false": 0.0}

    def number(text: str) -> float:
        try:
            return words.get(text.lower()) if text.lower() in words else float(text)  # type: ignore[return-value]
        except ValueError:
            return math.nan

    return np.array([*map(number, column.vocabulary), math.nan])[column.codes]


def around(report: Path, finding: str = "") -> list[str]:
    """The ids of the examples that a report, as `diagnose --json` prints it, shows for one of its findings.

    Args:
        report: the report's file.
        finding: its number in the report, from 1, or its component; the first where none is named.

    Raises:
        UsageError: it is no such report, has no such finding, or shows no examples for it.
    """
    try:
        found = json.loads(report.read_text(encoding="utf-8"))["findings"]
        known = [(str(one.get("rank", at)), str(one.get("component", ""))) for at, one in enumerate(found, 1)]
        chosen = [one for one, names in zip(found, known, strict=True) if finding in names] if finding else found[:1]
        ids = dict.fromkeys(str(row["id"]) for one in chosen for row in one["examples"] if row.get("id"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"cannot read a report: {type(error).__name__}: {error}", where=str(report), why="it is no report of diagnose",
            next="whimbrel diagnose --json > report.json",
        ) from error  # fmt: skip
    if not chosen:
        raise UsageError(
            f"the report has no finding {finding!r}" if finding else "the report has no finding", where=str(report),
            why=f"it has {', '.join(f'{n} {component}' for n, component in known)}" if known else "all was healthy",
            next="name one by its number or component: --finding 1" if known else "name predictions with --ids",
        )  # fmt: skip
    if not ids:
        raise UsageError("the report shows no examples of it", where=str(report), next="name predictions with --ids")
    return list(ids)
