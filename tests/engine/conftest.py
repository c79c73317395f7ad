"""One suite for every engine: each test of rows and profiles is run against DuckDB, against parts put together in this process, and,
where PySpark is there (`make spark`), against a real cluster."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.engine.cluster import MISSING, engine_name, standalone
from whimbrel.engine import Engine, Source, engine_named
from whimbrel.engine.spark import Spark
from whimbrel.engine.spark.cluster import commonest, explained
from whimbrel.engine.spark.tasks import Ask, Part, WorkerError
from whimbrel.model.fields import Schema


class Here:
    """A cluster of one process: what goes to a worker and what comes back is pickled, as it is on the way there and back."""

    def each(self, ask: Ask, parts: Sequence[Part]) -> list[Any]:
        sent: Ask = pickle.loads(pickle.dumps(ask))
        try:
            return [pickle.loads(pickle.dumps(sent(pickle.loads(pickle.dumps(part))))) for part in parts]
        except WorkerError as error:
            raise explained(error, "here") from error

    def counted(self, ask: Ask, parts: Sequence[Part], most: int) -> dict[str, list[tuple[str, int]]]:
        total: dict[tuple[str, str], int] = {}
        for key, n in chain.from_iterable(self.each(ask, parts)):
            total[key] = total.get(key, 0) + n
        found: dict[str, list[tuple[str, int]]] = {}
        for (name, value), n in commonest(total.items(), most=most):
            found.setdefault(name, []).append((value, n))
        return found


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a master with two workers; the session on it is stopped before they are."""
    if MISSING:
        pytest.skip(MISSING)
    with standalone(tmp_path_factory.mktemp("spark")) as master:
        yield master
        from pyspark.sql import SparkSession

        session = SparkSession.getActiveSession()
        if session is not None:
            session.stop()


@cache
def parts() -> Engine:
    return Spark(Here())


@pytest.fixture(scope="session", params=["duckdb", "parts", *([] if MISSING else ["spark"])])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    if request.param == "spark":
        return engine_named(engine_name(request.getfixturevalue("cluster")))
    return engine_named() if request.param == "duckdb" else parts()


@pytest.fixture
def held(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A source of one table: in memory where the engine can be asked so, else in a file."""

    def make(schema: Schema, table: pa.Table) -> Source:
        if engine.capabilities.tables:
            return Source("shop", schema, table=table)
        path = tmp_path_factory.mktemp("held") / "table.parquet"
        pq.write_table(table, path)
        return Source("shop", schema, (str(path),))

    return make
