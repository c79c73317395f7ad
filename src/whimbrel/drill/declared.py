"""A drilled app as code that recorded requests go through again: what its release declares, whatever really ran.

In: an app, its requests, and which release is declared to answer which of them. Out: a pipeline as `whimbrel.replay` takes
one. Look-ups are played back from the record, and a model that answers elsewhere is not asked again: what it said is taken as it
was recorded where that is allowed, and nothing after it is made where it is not. Only this room may call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.drill.app import App, prepare
from whimbrel.drill.columns import HIDDEN, Bools, Columns, merge, take
from whimbrel.drill.world import DICE
from whimbrel.model.records import Records
from whimbrel.replay.played import Answers, Heed


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """An app, and the ids of the requests that it is declared to answer."""

    app: App
    ids: frozenset[str]

    @staticmethod
    def of(app: Any, requests: Columns, rows: Bools) -> Release:
        """The release that answers these rows of the requests."""
        return Release(app, frozenset(requests["id"][rows].tolist()))


class Declared:
    """The code that is declared to have answered: the usual app, and where a release says so, another.

    Args:
        app: the usual one.
        requests: golden's, and the window's, as they came: what a request's id decides (its route) is known of these.
        releases: what else is declared; no request is in two of them.
    """

    def __init__(self, app: App, requests: tuple[Columns, Columns], releases: Sequence[Release] = ()) -> None:
        self.__name__ = f"{app.name} as released" if any(release.ids for release in releases) else app.name
        self._releases = [release for release in releases if release.ids]
        self._usual = app
        self._route: dict[str, float] = {}
        for part in requests:
            self._route |= zip(part["id"].tolist(), part["luck.route"].tolist(), strict=True)
        one = take(requests[0], np.arange(1))
        made = prepare(app, one)
        self._came = [path for path in one if not path.startswith(HIDDEN)]
        self._made = {step: [path for path in made if path.split(".")[1] == step] for step, _ in app.steps}
        self._texts = {path for path, column in (one | made).items() if column.dtype == object}

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return f"drilled app {self.__name__}"

    def play(self, records: Sequence[Any], *, free: bool, heed: Heed) -> Iterator[Answers]:
        """All records at once; with `free` no recorded value is handed on."""
        records = Records.of(records)
        n = len(records)
        if not n:
            return
        seen = self._requests(records)
        apps = self._apps(seen["id"])
        out: Columns = {}
        for step, _ in self._usual.steps:
            if step in self._usual.reads:
                seen |= self._recorded(records, self._made[step])
                continue
            heed(step)
            made = _everywhere(apps, seen, lambda app, rows, step=step: app.run(step, rows))  # type: ignore[misc]
            out |= made
            seen |= made if free else self._handed_on(records, made)
        heed("outputs")
        heard = not free and bool(records.held(self._usual.remote).all())
        if heard or not self._usual.remote:
            seen |= {"luck.sent": seen["luck.route"] if free else self._sent(records, seen)}
            out |= _everywhere(apps, seen, _ends)
        yield Answers(Records.of_columns({path: _told(column) for path, column in out.items()}, n))

    def _sent(self, records: Records, seen: Columns) -> NDArray[np.float64]:
        """The dice of the route that each request is recorded to have taken; the model is judged on what was sent to it."""
        route = records.objects("decisions.route")
        out: NDArray[np.float64] = np.where(
            route == "canary", 0.0, np.where(route == "stable", 1.0, seen["luck.route"])
        )
        return out

    def _apps(self, ids: NDArray[Any]) -> list[tuple[App, Bools]]:
        """Each app with the rows that it is declared to answer."""
        parts = [(one.app, np.array([i in one.ids for i in ids.tolist()], dtype=bool)) for one in self._releases]
        rest = np.ones(len(ids), dtype=bool)
        for _, rows in parts:
            rest &= ~rows
        return [(app, rows) for app, rows in [(self._usual, rest), *parts] if rows.any()]

    def _requests(self, records: Records) -> Columns:
        """The requests as they were recorded; luck that only lengthens or breaks things is left out."""
        n = len(records)
        out = self._recorded(records, [*self._came, *self._usual.remote])
        out |= {f"luck.{name}": np.ones(n) for name in DICE}
        out["ts"] = out["ts"] / 1e6
        ids = records.objects("id")
        return out | {"id": ids, "luck.route": np.array([self._route.get(i, 1.0) for i in ids.tolist()])}

    def _recorded(self, records: Records, paths: Sequence[str]) -> Columns:
        """Columns as the app had them: NaN for a number that is missing, None for a text."""
        out: Columns = {}
        for path in paths:
            plain = path not in self._texts and path not in records.others
            out[path] = records.matrix([path])[:, 0] if plain else records.objects(path)
        return out

    def _handed_on(self, records: Records, made: Columns) -> Columns:
        """What was recorded of a step goes on, wherever anything was."""
        held = records.held(list(made)).any(axis=1)
        recorded = self._recorded(records, list(made))
        return {path: np.where(held, recorded[path], column) for path, column in made.items()}


def _ends(app: App, seen: Columns) -> Columns:
    """What comes after the steps; what a model that answers elsewhere said is heard from the record."""
    said = {} if app.remote else app.answer(seen | {"luck.route": seen["luck.sent"]})
    return said | app.conclude(seen | said)


def _everywhere(apps: list[tuple[App, Bools]], seen: Columns, run: Callable[[App, Columns], Columns]) -> Columns:
    """What each app makes of its rows, as columns of all rows."""
    if len(apps) == 1:
        return run(apps[0][0], seen)
    out: Columns = {}
    for app, rows in apps:
        part = run(app, take(seen, rows))
        out = merge(out, rows, part)
    return out


def _told(column: NDArray[Any]) -> Any:
    """A column as an answer: NaN is null, as the recorder writes it."""
    if column.dtype == object:
        return [None if v is None or v != v else v for v in column.tolist()]
    return np.ma.masked_invalid(column) if np.isnan(column).any() else column
