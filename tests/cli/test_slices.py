"""`whimbrel slices`: exit status, text that fits a terminal, one JSON object."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.slices.worlds import rows
from whimbrel.cli import main


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Before, after with a slice, after without one."""
    folder = tmp_path_factory.mktemp("tables")
    before, after = rows(1, 6_000, hit={"country": 2, "device": 1}, effect=40)
    _, quiet = rows(1, 6_000)
    paths = [str(folder / f"{name}.parquet") for name in ("before", "after", "quiet")]
    for path, table in zip(paths, (before, after, quiet), strict=True):
        pq.write_table(pa.table(table), path)
    return paths


def test_a_slice_found_is_status_one_and_fits_the_terminal(tables: list[str], capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    """The sentence first, then a line a slice and the rest."""
    assert main(["slices", "--before", tables[0], "--after", tables[1], "--metric", "value"]) == 1
    said = capsys.readouterr().out
    assert said.startswith("country=co2 and device=de1 holds ")
    assert "the rest" in said
    assert "left out  id: like an id" in said
    assert max(map(len, said.splitlines())) <= 80


def test_nothing_changed_is_status_zero(tables: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With an interval that holds zero."""
    assert main(["slices", "--before", tables[0], "--after", tables[2], "--metric", "value"]) == 0
    assert capsys.readouterr().out.startswith("Nothing changed: value ")


def test_json_is_one_object_errors_included(tables: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The answer, then an error of each status."""
    pair = ["--before", tables[0], "--after", tables[1], "--json"]
    assert main(["slices", *pair, "--metric", "value", "--by", "country", "--by", "device", "--depth", "2"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["slices"][0]["where"] == {"country": "co2", "device": "de1"}
    assert told["by"] == ["country", "device"]
    assert main(["slices", *pair, "--metric", "nowhere"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["what"].endswith("has no column 'nowhere'")
    assert main(["slices", "--before", tables[0], "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["next"]


def test_one_table_is_leaves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every column but real and predict is an attribute; text like `None` is a value."""
    lines = ["isp,city,real,predict"]
    for i in range(400):
        isp, value = ("None", "B", "C", "D")[i % 4], 50 + i % 7
        lines.append(f"{isp},c{i // 4},{value * (0.5 if isp == 'None' else 1)},{value}")
    path = tmp_path / "leaves.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    assert main(["slices", str(path)]) == 1
    assert capsys.readouterr().out.startswith("isp=None holds 100% of the change: real ")
