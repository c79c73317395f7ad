"""Other results for a terminal: a comparison, what a log holds, what an import did, golden windows.

In: their `to_dict()` form, because the rooms that make them lie above this one. Out: text as `text.report` draws it, a
sentence first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from whimbrel.report.text import Line, paint, table, wrapped
from whimbrel.report.words import between, clipped, moment, number, share, size, took, visible

Plain = Mapping[str, Any]
_MOVED_SHOWN, _MIX_SHOWN = 20, 12


def comparison(found: Plain, *, command: str = "", width: int = 80, color: bool = False) -> str:
    """What moved and what did not; of the fields that moved the first twenty are told, the others named.

    `command` is what to run next where something moved.
    """
    moved, unmoved, mix = found["moved"], found["unmoved"], found["mix"]
    lines: list[Line] = [(visible(one["path"], 36), _movement(one)) for one in moved[:_MOVED_SHOWN]]
    if len(moved) > _MOVED_SHOWN:
        lines.append(("also moved", clipped([one["path"] for one in moved[_MOVED_SHOWN:]])))
    lines += [("mix", visible(one["what"])) for one in mix[:_MIX_SHOWN]]
    if len(mix) > _MIX_SHOWN:
        lines.append(("mix", f"and {len(mix) - _MIX_SHOWN} more changes: --json and --html list them all"))
    if unmoved:
        lines.append(("unmoved", clipped([one["path"] for one in unmoved])))
    expected = found["expected_predictions"]
    if expected is not None:
        here = number(found["window"]["predictions"])
        lines.append(("volume", f"{here} predictions, golden has {number(round(expected))} in such hours"))
    lines += [("note", visible(note)) for note in found["notes"]]
    lines += [("window", stretch(found["window"])), ("golden", stretch(found["golden"]))]
    return _drawn(found["sentence"], lines, visible(command) if moved else "", width, color)


def _movement(one: Plain) -> str:
    said = [visible(one["what"]) or "moved"]
    if one["since"]:
        said.append(f"since {moment(datetime.fromisoformat(one['since']))}")
    if one["explained_by"]:
        said.append(f"beyond what {clipped(one['explained_by'])} explains")
    return f"{', '.join(said)} (distance {number(one['distance'], 2)})"


def status(found: Plain, *, width: int = 80, color: bool = False) -> str:
    """What a log holds: each app, events, golden windows, what waits and what was set aside."""
    apps = found["apps"]
    if not apps:
        return _drawn(
            f"The log at {visible(found['home'])} holds no predictions.",
            _beside(found),
            "whimbrel import FILE",
            width,
            color,
        )
    total = sum(app["predictions"] for app in apps)
    head = (
        f"{visible(found['home'])}: {_count(total, 'prediction')} of {_count(len(apps), 'app')}, {size(found['bytes'])}"
    )
    lines = [(visible(app["app"], 36), _app(app)) for app in apps]
    command = "" if found["goldens"] else "whimbrel golden set NAME --since … --until … names a window that was good"
    return _drawn(head, [*lines, *_beside(found)], command, width, color)


def _app(app: Plain) -> str:
    fields = "fields: " + ", ".join(f"{n} {visible(role)}" for role, n in app["fields"].items())
    labelled = f"; {share(app['labelled'])} labelled" if app["labelled"] else ""
    kept = f"version {app['version']}, {_count(app['files'], 'file')}, {size(app['bytes'])}"
    return f"{stretch(app)}; {fields}{labelled}; {kept}"


def _beside(found: Plain) -> Iterator[Line]:
    if found["events"]:
        yield "events", number(found["events"])
    if found["goldens"]:
        yield "golden", clipped(found["goldens"])
    if found["segments"]:
        yield "waiting", f"{_count(found['segments'], 'segment')} that recorders wrote"
    if found["quarantined"]:
        yield "set aside", f"{_count(found['quarantined'], 'row')} that could not be read, under quarantine/"


def added(found: Plain, *, what: str = "prediction", width: int = 80, color: bool = False) -> str:
    """What an import did with every row."""
    said = [f"{_count(found['rows'], what)} taken in"]
    if found["labels"]:
        said.append(f"{_count(found['labels'], 'label')} joined")
    lines: list[Line] = []
    if found["duplicates"]:
        lines.append(("known", f"{_count(found['duplicates'], 'row')} were there already and changed nothing"))
    if found["rescued"]:
        said_of = [f"{path} {number(n)}" for path, n in found["rescued"].items()]
        lines.append(("rescued", f"values that do not fit their column are kept beside their row: {clipped(said_of)}"))
    if found["quarantined"]:
        lines.append(
            (
                "set aside",
                f"{_count(found['quarantined'], 'row')} that cannot be read: {clipped(found['quarantine_files'])}",
            )
        )
    lines += [("warning", visible(warning)) for warning in found["warnings"]]
    command = "whimbrel status" if what == "event" or not found["rows"] else "whimbrel diagnose --last 24h"
    return _drawn(f"{', '.join(said)}.", lines, command, width, color)


def goldens(found: Sequence[Plain], *, width: int = 80, color: bool = False) -> str:
    """The golden windows, a line each."""
    if not found:
        return _drawn("No window is named golden.", [], "whimbrel golden set NAME --since … --until …", width, color)
    lines = [(visible(one["name"], 36), f"{visible(one['app'], 100)}: {stretch(one, named=False)}") for one in found]
    return _drawn(f"{_count(len(found), 'golden window')}.", lines, "", width, color)


def golden(found: Plain, *, width: int = 80, color: bool = False) -> str:
    """One golden window."""
    lines = [
        ("app", visible(found["app"])),
        ("window", stretch(found, named=False)),
        ("version", f"{found['version']} of the app's table"),
        ("made", f"{moment(datetime.fromisoformat(found['made']))} UTC"),
    ]
    name = visible(found["name"], 100)
    return _drawn(f"Golden `{name}`.", lines, f"whimbrel diagnose --golden {name}", width, color)


_PREDICTIONS_SHOWN_OF = ("decision", "outputs.score", "error")


def predictions(found: Sequence[Plain], *, unfinished: bool, width: int = 80, color: bool = False) -> str:
    """Predictions, a line each."""
    what = "prediction that never ended" if unfinished else "prediction"
    if not found:
        head = "No prediction is unfinished." if unfinished else "There are no such predictions."
        return _drawn(head, [], "", width, color)
    running = sum(one["state"] == "running" for one in found)
    head = f"{_count(len(found), what) if not unfinished else f'{len(found)} unfinished'}, newest first"
    lines = [(visible(one["id"], 40), _prediction(one)) for one in found]
    return _drawn(head + (f"; {running} still running." if running else "."), lines, "", width, color)


def _prediction(one: Plain) -> str:
    said = [one["ts"].replace("T", " ").removesuffix("Z")[:23], visible(one["app"], 60), one["state"]]
    if one["state"] == "running":
        said.append(f"for {took(one['running_s'] or 0)} in process {one['pid']}")
    said += [
        visible(f"{path} {one[path]}", 120)
        for path in _PREDICTIONS_SHOWN_OF
        if path in one and one["state"] != "unfinished"
    ]
    if "hardware.host" in one:
        said.append(f"on {visible(one['hardware.host'], 60)}")
    return ", ".join(said)


def holds(found: Sequence[Plain], *, width: int = 80, color: bool = False) -> str:
    """What is held, a line each."""
    if not found:
        return _drawn("Nothing is held.", [], "whimbrel hold --last 10m", width, color)
    lines = [(visible(one["name"], 36), _held(one)) for one in found]
    return _drawn(f"{_count(len(found), 'hold')}.", lines, "", width, color)


def hold(found: Plain, *, done: str, width: int = 80, color: bool = False) -> str:
    """One hold, just made or just released."""
    name = visible(found["name"], 100)
    lines = [(visible(app, 36), f"{_count(count, 'prediction')}") for app, count in found["predictions"].items()]
    if found["reason"]:
        lines.append(("reason", visible(found["reason"])))
    command = f"whimbrel hold release {name}" if done == "Held" else ""
    return _drawn(f"{done}: `{name}`, {_held(found)}.", lines, command, width, color)


def _held(one: Plain) -> str:
    since, until = (datetime.fromisoformat(one[end]) for end in ("since", "until"))
    who = f"app {visible(one['app'], 100)}" if one["app"] else "all apps"
    return f"{who}, {between(since, until)}, {_count(sum(one['predictions'].values()), 'prediction')}"


def health(found: Plain, *, width: int = 80, color: bool = False) -> str:
    """What a look at the set-up found: what is wrong first."""
    checks = found["checks"]
    bad = [one for one in checks if one["state"] == "bad"]
    head = (
        f"{_count(len(bad), 'thing')} wrong with the set-up at {visible(found['home'])}."
        if bad
        else f"All is well at {visible(found['home'])}."
    )
    marks = {"ok": "ok", "bad": "WRONG", "absent": "absent"}
    lines = [
        (visible(one["name"], 36), f"{marks[one['state']]}: {visible(one['says'], 4000)}")
        for one in (*bad, *(c for c in checks if c not in bad))
    ]
    return _drawn(head, lines, visible(bad[0]["next"]) if bad else "", width, color)


def stretch(span: Plain, *, named: bool = True) -> str:
    """A window in words, from its plain form: predictions, from when to when, with what conditions."""
    said = [visible(span["name"], 200)] if named and span.get("name") else []
    said.append(_count(span["predictions"], "prediction"))
    since, until = (datetime.fromisoformat(span[end]) if span[end] else None for end in ("since", "until"))
    if since or until:
        said.append(between(since, until))
    for path, value in span.get("where", {}).items():
        bare = value.startswith(("!=", "|=", "<", ">"))
        said.append(visible(f"{path.removeprefix('context.')}{'' if bare else '='}{value}", 200))
    return ", ".join(said)


def _count(n: int, noun: str) -> str:
    return f"{number(n)} {noun}{'' if n == 1 else 's'}"


def _drawn(head: str, lines: Sequence[Line] | Iterator[Line], command: str, width: int, color: bool) -> str:
    out = [*wrapped(visible(head), width), *table(lines, width, color=color)]
    if command:
        out.append(f"{paint('next:', '1', color)} {command}")
    return "\n".join(out)
