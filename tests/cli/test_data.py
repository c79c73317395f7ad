"""`whimbrel data` from the outside: add, list, diff, get, link, as text and as JSON, with the exit statuses of the contract."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from .conftest import Program


@pytest.fixture
def kept(whimbrel: Program, tmp_path: Path) -> Program:
    frame = pd.DataFrame({"id": range(300), "fare": [i % 17 for i in range(300)], "y": [0, 1, 1] * 100})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.assign(extra=1).iloc[5:].to_csv(tmp_path / "b.csv", index=False)
    for name in ("a", "b"):
        ran = whimbrel("data", "add", str(tmp_path / f"{name}.csv"), "--name", "train")
        assert ran.code == 0, ran.err
    return whimbrel


def test_the_same_file_again_makes_no_new_version_and_says_so(kept: Program, tmp_path: Path) -> None:
    again = kept("data", "add", str(tmp_path / "a.csv"), "--name", "train")
    assert (again.code, again.out.splitlines()[0]) == (0, "No new version: train@1 holds the same columns and rows.")
    told = kept("data", "add", str(tmp_path / "a.csv"), "--name", "train", "--json").json
    assert (told["new"], told["version"], told["rows"]) == (False, 1, 300)
    listed = kept("data", "list", "--json").json["data"]
    assert [(one["name"], one["version"], one["rows"]) for one in listed] == [("train", 1, 300), ("train", 2, 295)]
    assert "2 versions of data." in kept("data", "list", "train").out


def test_a_difference_is_told_and_is_exit_status_1(kept: Program) -> None:
    ran = kept("data", "diff", "v1", "v2", "--name", "train", "--key", "id", "--label", "y")
    assert ran.code == 1
    assert ran.out.startswith("train@1 and train@2 differ: `extra` is new; 5 rows gone and 0 new (300 -> 295 rows).")
    assert "id: 5 gone, 0 new, 295 kept, 0 changed" in ran.out
    found = kept("data", "diff", "v1", "train@2", "--key", "id", "--label", "y", "--json")
    assert found.code == 1
    assert found.json["rows"]["gone"] == 5
    assert found.json["keys"]["examples"]["gone"] == ["0", "1", "2", "3", "4"]
    assert found.json["labels"]["1"] == {"before": 200, "after": 197}
    same = kept("data", "diff", "1", "v1")
    assert (same.code, same.out.splitlines()[0]) == (0, "train@1 and train@1 hold the same columns and rows.")


def test_a_version_is_written_out_and_linked(kept: Program, tmp_path: Path) -> None:
    ran = kept("data", "get", "train@1", "-o", str(tmp_path / "out.csv"))
    assert ran.code == 0
    assert (tmp_path / "out.csv").read_text() == (tmp_path / "a.csv").read_text()
    assert kept("data", "get", "train@1", "-o", str(tmp_path / "out.csv")).code == 2
    assert kept("data", "link", "fares@8", "train@1").out.strip() == "fares@8 was trained on train@1."
    assert kept("data", "link", "fares@8", "train@2", "--json").json["was"] == "train@1"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("add", "nowhere.csv", "--name", "train"), 3, "no file matches"),
        (("add", "nowhere.csv"), 2, "--name"),
        (("diff", "train@1", "train@7"), 2, "there is no train@7"),
        (("diff", "train@1", "tarin@2"), 2, "did you mean 'train'?"),
        (("diff", "v1", "v2", "--key", "nope"), 2, "no column 'nope'"),
        (("link", "fares", "train@1"), 2, "names no version of a model"),
        (("list", "other"), 2, "no data named 'other'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_next_step(
    kept: Program, arguments: tuple[str, ...], code: int, says: str
) -> None:
    ran = kept("data", *arguments)
    assert ran.code == code
    assert says in ran.err
    assert "next:" in ran.err
    told = kept("data", *arguments, "--json")
    assert (told.code, told.json["error"]["exit_code"]) == (code, code)


def test_an_empty_log_says_how_to_begin(whimbrel: Program) -> None:
    assert "next: whimbrel data add" in whimbrel("data", "list").out
    assert "none was added yet" in whimbrel("data", "diff", "v1", "v2").err
    assert not whimbrel.home.exists()
