"""Served one by one through the public recorder, the app leaves the table that it leaves when served at once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from whimbrel.drill import demo
from whimbrel.drill.apps.flights import FLIGHTS, world
from whimbrel.drill.columns import Columns, length, merge, take
from whimbrel.drill.live import serve_live
from whimbrel.drill.plant import Wanted, site, variants
from whimbrel.engine import engine_named
from whimbrel.model.rows import Categories, Rows
from whimbrel.model.window import Window
from whimbrel.record import Recorder
from whimbrel.store import open_log

OWN = ("hardware.", "recorder.", "spans.")
"""What the recorder measures or counts itself."""


def logged(home: Path, app: str = "flights") -> Rows:
    log = open_log(home)
    log.ingest()
    return engine_named("duckdb").rows(log.source(app), Window(app), limit=10_000)


def cells(rows: Rows, path: str) -> list[object]:
    column = rows.columns[path]
    if isinstance(column, Categories):
        return [None if code < 0 else column.vocabulary[code] for code in column.codes]
    return [None if v != v else float(v) for v in column.values]


def expected(columns: Columns, path: str) -> list[object]:
    return [None if v is None or v != v else v for v in columns[path].tolist()]


@pytest.mark.parametrize("fault", [None, "shuffled-map"])
def test_one_by_one_and_all_at_once_give_the_same_table(cache: Path, tmp_path: Path, fault: str | None) -> None:
    here = world(0, cache)
    requests = here.between(datetime(2013, 6, 4, 17, tzinfo=UTC), datetime(2013, 6, 4, 20, tzinfo=UTC))
    hit = np.zeros(length(requests), dtype=bool)
    broken = here.app
    if fault:
        breakage = demo.BREAKAGES[fault]
        faults = variants(FLIGHTS, breakage.fault)[:1]
        wanted = Wanted(faults, breakage.severity, breakage.where, "step", from_start=True)
        found = site(FLIGHTS, here, requests, wanted, np.random.default_rng(0))
        hit, broken = found.hit, found.planted.app()
    serve_live(Recorder("flights", home=tmp_path, model={"name": "delay"}), requests, here.app, broken, hit)
    rows = logged(tmp_path)
    at_once = here.app.serve(requests)
    if fault:
        at_once = merge(at_once, hit, broken.serve(take(requests, hit)))
    order = np.argsort(rows.ids)
    assert [rows.ids[i] for i in order] == sorted(at_once["id"])
    sent = np.argsort(at_once["id"])
    compared = [path for path in at_once if path not in ("id", "ts") and not path.startswith(OWN)]
    assert len(compared) > 60
    for path in compared:
        if all(value is None for value in expected(at_once, path)):
            continue
        one_by_one = [cells(rows, path)[i] for i in order]
        assert one_by_one == pytest.approx([expected(at_once, path)[i] for i in sent]), path
    np.testing.assert_allclose(rows.ts[order] / 1e6, at_once["ts"][sent])
    spans = {path for path in rows.columns if path.startswith("spans.")}
    assert spans == {path for path in at_once if path.startswith("spans.")}
