"""Comparisons on a log: named goldens with their saved profiles, golden windows, and the weeks before."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from whimbrel.compare import compare_log, decode, encode, golden_profile
from whimbrel.errors import EvidenceError, StoreError, UsageError
from whimbrel.model.profile import Picks, Profile
from whimbrel.model.window import Condition, Window
from whimbrel.store import Log, open_log

from .world import DAYS, START, shop

AT = START + timedelta(days=DAYS)
DAY = Window("shop", AT, AT + timedelta(days=1))
GOLDEN = Window("shop", START, AT)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = open_log(tmp_path / "home")
    log.add(shop(), app="shop")
    window = shop(1, since=DAYS)
    window.loc[window["context.country"] == "US", "inputs.noise"] += 4
    log.add(window, app="shop")
    log.set_golden("march", GOLDEN)
    return log


def test_named_golden_golden_window_and_the_weeks_before_agree(log: Log) -> None:
    found = [
        compare_log(log, window=DAY, golden="march"),
        compare_log(log, window=DAY, golden_window=GOLDEN),
        compare_log(log, window=DAY),
    ]
    for one in found:
        assert [m.path for m in one.moved] == ["inputs.noise"]
        assert one.golden.predictions == 400 * DAYS
        assert (one.window.since, one.window.until) == (DAY.since, DAY.until)
    assert [one.golden.name for one in found] == ["march", "", ""]


def test_a_golden_is_profiled_once_and_the_profile_kept_beside_it(log: Log) -> None:
    path = log.layout.golden / "march.profile"
    first = compare_log(log, window=DAY, golden="march")
    kept = path.read_bytes()
    assert compare_log(log, window=DAY, golden="march") == first
    assert path.read_bytes() == kept
    assert list(log.layout.golden.glob("*.partial")) == []
    assert [golden.name for golden in log.goldens()] == ["march"]


def test_a_saved_profile_is_used_as_it_is(log: Log) -> None:
    """The saved one is read, not made anew: its counts, changed by hand, reach the answer."""
    made = golden_profile(log, log.golden("march"))
    path = log.layout.golden / "march.profile"
    saved = decode(path.read_bytes())
    path.write_bytes(encode(saved.profile + saved.profile, stamp=saved.stamp))
    assert compare_log(log, window=DAY, golden="march").golden.predictions == 2 * made.rows


def test_a_damaged_saved_profile_is_refused_and_made_anew(log: Log) -> None:
    made = golden_profile(log, log.golden("march"))
    path = log.layout.golden / "march.profile"
    whole = path.read_bytes()
    flipped = whole[:-9] + bytes([whole[-9] ^ 255]) + whole[-8:]
    for damage in (b"", b"other", b"WHIMBREL-PROFILE 9\nxx", b"WHIMBREL-PROFILE 1\n\x81", whole[:-100], flipped):
        with pytest.raises(StoreError, match="saved profile") as caught:
            decode(damage, where="march")
        assert (caught.value.where, caught.value.next) == ("march", "delete the file: it is made anew")
    path.write_bytes(whole[:-100])
    assert golden_profile(log, log.golden("march")) == made
    assert path.read_bytes() == whole


def test_a_golden_that_is_named_again_or_gets_a_new_field_is_profiled_anew(log: Log) -> None:
    compare_log(log, window=DAY, golden="march")
    log.set_golden("march", replace(GOLDEN, since=START + timedelta(days=7)))
    assert compare_log(log, window=DAY, golden="march").golden.predictions == 400 * (DAYS - 7)
    later = shop(1, since=DAYS + 1)
    later["inputs.extra"] = 1.0
    log.add(later, app="shop")
    window = Window("shop", AT + timedelta(days=1), AT + timedelta(days=2))
    assert [m.path for m in compare_log(log, window=window, golden="march").moved] == ["inputs.extra"]


def test_a_slice_is_compared_with_the_same_slice_of_golden(log: Log) -> None:
    for country, moved in (("US", ["inputs.noise"]), ("DE", [])):
        window = replace(DAY, where=(Condition("context.country", country),))
        found = compare_log(log, window=window, golden="march")
        assert [m.path for m in found.moved] == moved
        assert found.mix == ()
        assert found.golden.where == window.where
    assert not (log.layout.golden / "march.profile").exists()


def test_a_log_that_may_only_be_read_is_compared_all_the_same(log: Log) -> None:
    (log.layout.golden / "march.profile").mkdir()  # nothing can be written or read under this name
    assert [m.path for m in compare_log(log, window=DAY, golden="march").moved] == ["inputs.noise"]


def test_questions_that_make_no_sense_are_refused(log: Log) -> None:
    with pytest.raises(UsageError, match="april"):
        compare_log(log, window=DAY, golden="april")
    log.add(shop(1), app="other")
    with pytest.raises(UsageError, match="is of app 'shop'"):
        compare_log(log, "other", window=DAY, golden="march")
    with pytest.raises(UsageError, match=r"context\.country"):
        compare_log(log, window=replace(DAY, where=(Condition("context.contry", "US"),)), golden="march")
    with pytest.raises(EvidenceError, match="golden holds no predictions"):
        compare_log(log, window=Window("shop", START, START + timedelta(days=1)))
    with pytest.raises(EvidenceError, match="holds no predictions"):
        compare_log(log, window=Window("shop", AT + timedelta(days=50)), golden="march")


def test_a_saved_profile_comes_back_whole_and_small(log: Log) -> None:
    profile = golden_profile(log, log.golden("march"))
    data = encode(profile, stamp="what it is of")
    saved = decode(data)
    assert saved.stamp == "what it is of"
    assert saved.profile == replace(profile, picks=Picks())
    assert len(data) < 60_000
    empty = Profile(profile.binning)
    assert decode(encode(empty)).profile == empty


def test_a_comparison_loads_no_heavy_library_that_it_does_not_use(log: Log) -> None:
    """SciPy alone is 0.2 s of CPU, half of what a comparison that finds everything kept takes."""
    code = """
import sys
from whimbrel.cli import main
assert main(["compare", "--golden", "march", "--last", "1d", "--home", sys.argv[1]]) == 1
print({"scipy", "sklearn", "pandas", "pyarrow", "polars"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code, log.home], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
