"""The writer under failures: whatever fails, the ledger that is left verifies, and nothing acknowledged is missing."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.ledger.disks import ORIGIN, FailingDisk, count_in, entry, keys_in
from whimbrel.errors import StoreError, UsageError
from whimbrel.ledger.disk import Disk
from whimbrel.ledger.keys import key_path, key_text, load_keys, make_key
from whimbrel.ledger.merkle.tiles import tile_path
from whimbrel.ledger.merkle.tree import EMPTY, consistency, verify_consistency
from whimbrel.ledger.reader import NAMES, PLACES, candidates, read_head, read_seed, tiles_of
from whimbrel.ledger.writer import Ledger, create


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty ledger; its key lies beside it."""
    create(tmp_path / "ledger", keys_in(tmp_path))
    return tmp_path / "ledger"


def fill(ledger: Ledger, start: int, stop: int) -> None:
    numbers = range(start, stop)
    seeds = b"".join(i.to_bytes(32, "big") for i in numbers)
    ledger.extend(list(map(entry, numbers)), seeds, [f"name{i}" for i in numbers], [f"p/{i}" for i in numbers])


def grow(folder: Path, by: int) -> None:
    with Ledger(folder, keys_in(folder.parent)) as ledger:
        fill(ledger, ledger.size, ledger.size + by)
        ledger.commit()


def test_an_empty_ledger_is_signed(folder: Path) -> None:
    """Right after `create` there is a checkpoint of the empty tree, and no tile."""
    head, _ = read_head(folder)
    assert (head.origin, head.size, head.root) == (ORIGIN, 0, EMPTY)
    assert not (folder / "tile").exists()


@pytest.mark.parametrize("steps", [(1, 1, 1), (255, 1, 1), (256,), (257, 300, 3), (65_535, 1, 1), (1000,) * 3])
def test_every_size_verifies_and_continues_the_one_before(folder: Path, steps: tuple[int, ...]) -> None:
    """After each commit all tiles make the signed root, each head continues the last, and the layout is the specification's."""
    heads = [read_head(folder)[0]]
    for by in steps:
        grow(folder, by)
        heads.append(read_head(folder)[0])
        assert count_in(folder) == sum(steps[: len(heads) - 1])
    nodes = tiles_of(folder, heads[-1].size)
    for old in heads[1:]:
        proof = consistency(nodes, old.size, heads[-1].size)
        verify_consistency(old.size, heads[-1].size, old.root, heads[-1].root, proof)
    size, level, expected = heads[-1].size, 0, set()
    while size:
        for kind in (level, *(("entries",) if level == 0 else ())):
            expected |= {tile_path(kind, number) for number in range(size // 256)}
            expected |= {tile_path(kind, size // 256, size % 256)} if size % 256 else set()
        size, level = size // 256, level + 1
    found = {str(path.relative_to(folder)) for path in (folder / "tile").rglob("*") if path.is_file()}
    assert expected <= found
    assert all(".p/" in path for path in found - expected)  # narrower partial tiles, for whoever holds an older head
    assert not any(f"{path.rpartition('.p/')[0]}" in expected for path in found - expected)


def test_entries_are_found_by_name_and_place(folder: Path) -> None:
    """The index gives the entry's number; seeds are kept, and only the owner can read them."""
    grow(folder, 300)
    grow(folder, 300)
    assert candidates(folder, NAMES, "name417", 600) == [417]
    assert candidates(folder, PLACES, "p/3", 600) == [3]
    assert candidates(folder, NAMES, "nobody", 600) == []
    assert read_seed(folder, 417) == (417).to_bytes(32, "big")
    assert read_seed(folder, 10**9) == bytes(32)
    assert (folder / "private").stat().st_mode & 0o077 == 0
    for path in (folder / "private").rglob("*"):
        assert path.is_dir() or path.name in ("lock", "turn") or path.stat().st_mode & 0o077 == 0, path


def test_a_commit_without_news_changes_nothing(folder: Path) -> None:
    """The same tree is not signed again; a cursor that moved is kept, without a new head."""
    grow(folder, 5)
    before = read_head(folder)[1]
    with Ledger(folder, keys_in(folder.parent)) as ledger:
        ledger.commit()
        ledger.commit({"at": 7})
    assert read_head(folder)[1] == before
    with Ledger(folder, keys_in(folder.parent)) as ledger:
        assert ledger.cursor == {"at": 7}


def steps_of_a_commit(tmp_path: Path, before: int, by: int) -> int:
    """How many steps on the disk a commit takes."""
    folder = tmp_path / "count" / "ledger"
    create(folder, keys_in(tmp_path))
    grow_at(folder, tmp_path, before)
    disks: list[FailingDisk] = []

    def disk(root: Path) -> Disk:
        disks.append(FailingDisk(root, at=0))
        return disks[-1]

    with Ledger(folder, keys_in(tmp_path), disk=disk) as ledger:
        opened = disks[0].steps
        fill(ledger, ledger.size, ledger.size + by)
        ledger.commit()
    assert opened == 0
    shutil.rmtree(tmp_path / "count")
    (tmp_path / "key.max").unlink()
    return disks[0].steps


def grow_at(folder: Path, keys: Path, by: int) -> None:
    with Ledger(folder, keys_in(keys), disk=lambda root: FailingDisk(root, 0)) as ledger:
        fill(ledger, ledger.size, ledger.size + by)
        ledger.commit()


@pytest.mark.parametrize(
    ("before", "by", "error"), [(0, 3, errno.ENOSPC), (200, 100, errno.EIO), (250, 600, errno.ENOSPC)]
)
def test_each_step_of_a_commit_fails_in_turn(tmp_path: Path, before: int, by: int, error: int) -> None:
    """Each write, sync and rename fails once, half done: what was acknowledged is there, the ledger verifies at once and after
    the next opening, which never finds a smaller tree than was signed; and the same writer can commit again."""
    steps = steps_of_a_commit(tmp_path, before, by)
    assert steps > 15
    for at in range(1, steps + 1):
        base = tmp_path / str(at)
        folder = base / "ledger"
        create(folder, keys_in(base), disk=lambda root: FailingDisk(root, 0))
        grow_at(folder, base, before)
        with Ledger(folder, keys_in(base), disk=lambda root, at=at: FailingDisk(root, at, error)) as ledger:  # type: ignore[misc]
            fill(ledger, before, before + by)
            with pytest.raises(StoreError) as raised:
                ledger.commit({"at": 1})
            assert ("disk is full" in str(raised.value)) is (error == errno.ENOSPC)
            assert count_in(folder) in (before, before + by)  # whoever reads now
            if at % 2:
                fill(ledger, before + by, before + by + 1)
                ledger.commit({"at": 2})
                assert count_in(folder) == before + by + 1
        with Ledger(folder, keys_in(base), disk=lambda root: FailingDisk(root, 0)) as ledger:
            fine = (before + by + 1, {"at": 2}) if at % 2 else (before + by, {"at": 1})
            assert (ledger.size, ledger.cursor) in (fine, (before, {}))
            assert at % 2 == 0 or ledger.size == before + by + 1
            assert ledger.size == count_in(folder)
            start = ledger.size
            fill(ledger, start, start + 2)
            ledger.commit()
        assert count_in(folder) == start + 2
        assert not list((folder / "private" / "drafts").iterdir())
        shutil.rmtree(base)


def test_every_step_fails_a_hundred_times_over(tmp_path: Path) -> None:
    """One ledger, whose commits of many sizes fail at their first step, then at their second, … and once more from the beginning: what
    was acknowledged stays, and the tree never shrinks. WHIMBREL_SOAK=full goes through all steps a hundred times; else once."""
    draw, disks = random.Random(7), list[FailingDisk]()
    for turn in range(100 if os.environ.get("WHIMBREL_SOAK") == "full" else 1):
        base = tmp_path / str(turn)
        create(base / "ledger", keys_in(base), disk=lambda root: FailingDisk(root, 0))
        at, size, failures = 0, 0, 0
        while at <= 12 or disks[-1].steps >= at:
            at += 1

            def disk(root: Path, at: int = at) -> Disk:
                disks.append(FailingDisk(root, at, draw.choice([errno.ENOSPC, errno.EIO]), torn=draw.random() < 0.5))
                return disks[-1]

            by, told = draw.choice([1, 2, 50, 255, 256, 257, 600]), size
            with suppress(StoreError), Ledger(base / "ledger", keys_in(base), disk=disk) as ledger:
                told = ledger.size
                fill(ledger, told, told + by)
                told = ledger.commit().size
            failures += disks[-1].steps >= at
            with Ledger(base / "ledger", keys_in(base), disk=lambda root: FailingDisk(root, 0)) as ledger:
                assert ledger.size >= told >= size
                size = ledger.size
        assert failures > 12
        assert count_in(base / "ledger") == size
        shutil.rmtree(base)


CHILD = """
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[3])
    from tests.ledger.disks import KillingDisk, entry, keys_in
    from whimbrel.ledger.writer import Ledger

    base, at = Path(sys.argv[1]), int(sys.argv[2])
    with Ledger(base / "ledger", keys_in(base), disk=lambda root: KillingDisk(root, at)) as ledger:
        while True:
            for _ in range(90):
                ledger.append(entry(ledger.size + len(ledger._entries)))
            ledger.commit({"size": ledger.size})
            print(ledger.size, flush=True)
"""


def test_a_hundred_kills(tmp_path: Path) -> None:
    """A sequencer is killed with SIGKILL at a hundred different steps, one ledger all along: what it acknowledged is there,
    in order and once, and the tree never shrinks. WHIMBREL_SOAK=full kills it so often; else twenty times."""
    create(tmp_path / "ledger", keys_in(tmp_path), disk=lambda root: FailingDisk(root, 0))
    top = Path(__file__).parents[2]
    kills = 100 if os.environ.get("WHIMBREL_SOAK") == "full" else 20
    script, size = textwrap.dedent(CHILD), 0
    for kill in range(kills):
        at = 1 + kill * 7 % 97
        arguments = [sys.executable, "-c", script, str(tmp_path), str(at), str(top)]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        acknowledged = max([size, *map(int, done.stdout.split())])
        found = count_in(tmp_path / "ledger")
        assert found >= acknowledged
        with Ledger(tmp_path / "ledger", keys_in(tmp_path), disk=lambda root: FailingDisk(root, 0)) as ledger:
            assert ledger.size >= found
            size = ledger.size
            assert ledger.cursor.get("size", 0) in (size, size - 90)
    assert size >= 20 * 90 * kills / 100


def test_two_sequencers(folder: Path) -> None:
    """The second is refused, in this process and in another; when the first is gone it may."""
    with Ledger(folder, keys_in(folder.parent)) as ledger:
        fill(ledger, 0, 3)
        with pytest.raises(StoreError, match="another process writes"):
            Ledger(folder, keys_in(folder.parent))
        script = textwrap.dedent(CHILD)
        arguments = [sys.executable, "-c", script, str(folder.parent), "9", str(Path(__file__).parents[2])]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
        assert "another process writes" in done.stderr
        ledger.commit()
    grow(folder, 2)
    assert count_in(folder) == 5


def test_an_old_backup_put_back_does_not_sign(folder: Path) -> None:
    """A ledger restored from before the last signature is refused, whole or only in its state; the newer files are accepted again."""
    grow(folder, 10)
    shutil.copytree(folder, folder.parent / "backup")
    grow(folder, 10)
    shutil.move(folder, folder.parent / "newer")
    shutil.copytree(folder.parent / "backup", folder)
    with pytest.raises(StoreError, match="20 entries was signed, and 10 are left"):
        Ledger(folder, keys_in(folder.parent))
    shutil.rmtree(folder)
    shutil.copytree(folder.parent / "newer", folder)
    shutil.copy(folder.parent / "backup" / "private" / "state.json", folder / "private" / "state.json")
    with pytest.raises(StoreError, match="20 entries was signed"):
        Ledger(folder, keys_in(folder.parent))
    shutil.copy(folder.parent / "newer" / "private" / "state.json", folder / "private" / "state.json")
    grow(folder, 1)
    assert count_in(folder) == 21


def test_a_fork_does_not_sign(folder: Path) -> None:
    """A backup that went on elsewhere holds other entries than were signed: it is refused, however long it is."""
    grow(folder, 10)
    shutil.copytree(folder, folder.parent / "other" / "ledger")
    for name in ("key", "key.max"):
        shutil.copy(folder.parent / name, folder.parent / "other" / name)
    grow(folder, 10)
    with Ledger(folder.parent / "other" / "ledger", keys_in(folder.parent / "other")) as other:
        for i in range(50):
            other.append(b"other %d" % i)
        other.commit()
    with pytest.raises(StoreError, match="not those that were signed"):
        Ledger(folder.parent / "other" / "ledger", keys_in(folder.parent))


def test_without_memory_nothing_is_signed(folder: Path) -> None:
    """Where the memory of what was signed is gone, damaged or another ledger's, the writer refuses and says what to do."""
    memory = keys_in(folder.parent).memory
    held = memory.read_bytes()
    for bad, says in (
        (b"", "damaged"),
        (held.replace(b"fares", b"other"), "is of 'log.example/other'"),
        (None, "nobody knows"),
    ):
        memory.unlink()
        if bad is not None:
            memory.write_bytes(bad)
        with pytest.raises(StoreError, match=says) as raised:
            Ledger(folder, keys_in(folder.parent))
        assert raised.value.next


@pytest.mark.parametrize(
    "what", ["tile/0/000.p/44", "tile/entries/000.p/44", "checkpoint", "private/state.json", "log.json"]
)
def test_files_that_were_changed_are_named(folder: Path, what: str) -> None:
    """A bit flipped, a byte cut, the file gone: the writer does not go on from what it cannot believe, and names the file."""
    grow(folder, 44)
    path = folder / what
    good = path.read_bytes()
    at = good.index(b"root") + 10 if what.endswith("json") and b"root" in good else 50
    for bad in (good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :], good[:-3], b""):
        path.write_bytes(bad)
        with pytest.raises((StoreError, UsageError)) as raised:
            Ledger(folder, keys_in(folder.parent))
        assert raised.value.what
        assert raised.value.next
    path.write_bytes(good)
    grow(folder, 1)
    assert count_in(folder) == 45


def test_a_clock_that_is_set_back(folder: Path) -> None:
    """No time has a say in what is written: with the clock an hour, a year, sixty years back commits go on and all verifies."""
    grow(folder, 3)
    for back in (3600, 366 * 86_400, 60 * 366 * 86_400):
        now = time.time()
        with patch("time.time", lambda now=now, back=back: now - back):
            grow(folder, 3)
    assert count_in(folder) == 12


def test_a_full_disk_for_good_loses_nothing(folder: Path) -> None:
    """While the disk stays full every commit is refused and the old head stands; with room again the same entries go in once."""
    grow(folder, 5)
    disks: list[FailingDisk] = []

    def disk(root: Path) -> Disk:
        disks.append(FailingDisk(root, at=3, error=errno.ENOSPC, for_good=True))
        return disks[-1]

    with Ledger(folder, keys_in(folder.parent), disk=disk) as ledger:
        fill(ledger, 5, 8)
        for _ in range(3):
            with pytest.raises(StoreError, match="No space"):
                ledger.commit()
            assert count_in(folder) == 5
        disks[0].for_good = False
        ledger.commit()
    assert count_in(folder) == 8


# --- keys


def test_a_key_is_secret_and_never_overwritten(tmp_path: Path) -> None:
    """The file is the owner's alone; `make_key` does not replace it; one that others may read is refused."""
    path = tmp_path / "deep" / "key"
    keys = make_key(ORIGIN, path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="there is a key already"):
        make_key(ORIGIN, path)
    assert load_keys(ORIGIN, path).signers[0].key == keys.signers[0].key
    path.chmod(0o640)
    with pytest.raises(UsageError, match="others may read"):
        load_keys(ORIGIN, path)


def test_a_key_from_the_environment(tmp_path: Path) -> None:
    """`WHIMBREL_LEDGER_KEY` is a path or the key itself; without it the key lies in the user's configuration."""
    keys = make_key(ORIGIN, tmp_path / "key")
    env = {"HOME": str(tmp_path / "home")}
    assert load_keys(ORIGIN, env=env | {"WHIMBREL_LEDGER_KEY": str(tmp_path / "key")}).memory == tmp_path / "key.max"
    text = key_text(keys.signers[0])
    assert text not in repr(keys)
    from_text = load_keys(ORIGIN, env=env | {"WHIMBREL_LEDGER_KEY": text})
    assert from_text.signers[0].key == keys.signers[0].key
    assert from_text.memory == tmp_path / "home/.local/state/whimbrel/log.example_fares.max"
    assert key_path(ORIGIN, env) == tmp_path / "home/.config/whimbrel/log.example_fares.key"
    with pytest.raises(UsageError, match="is not there"):
        load_keys(ORIGIN, env=env)


@pytest.mark.parametrize("bad", ["", "nonsense", "PRIVATE+KEY+a+b", "PRIVATE+KEY+log.example/fares+00000000+AQ=="])
def test_what_is_no_key_is_refused(tmp_path: Path, bad: str) -> None:
    """Anything but a whole private key is refused, without a word of what it held."""
    path = tmp_path / "key"
    path.write_text(bad)
    path.chmod(0o600)
    with pytest.raises(UsageError, match="no key of a ledger"):
        load_keys(ORIGIN, path)


def test_another_ledgers_key_is_refused(folder: Path, tmp_path: Path) -> None:
    """A key of another name, or another key of this name, does not sign."""
    other = make_key("log.example/other", tmp_path / "other")
    with pytest.raises(UsageError, match="another ledger's"):
        Ledger(folder, other)
    with pytest.raises(UsageError, match=r"is of .log\.example/other"):
        load_keys(ORIGIN, tmp_path / "other")
    with pytest.raises(UsageError, match="is none of the ledger"):
        Ledger(folder, make_key(ORIGIN, tmp_path / "same name"))


@pytest.mark.parametrize("bad", ["", "a b", "a+b", "a\nb", "x" * 300])
def test_names_that_a_note_cannot_hold_are_refused(tmp_path: Path, bad: str) -> None:
    """A ledger's name stands in signed notes, so it has neither space nor plus."""
    with pytest.raises(UsageError, match="cannot be a ledger's name"):
        make_key(bad, tmp_path / "key")


def test_there_is_no_ledger(tmp_path: Path) -> None:
    """Where none was made the error says how to make one."""
    with pytest.raises(UsageError, match="there is no ledger"):
        Ledger(tmp_path / "none", make_key(ORIGIN, tmp_path / "key"))


def test_old_checkpoints_are_kept(folder: Path) -> None:
    """Every head that was published can be read later."""
    grow(folder, 1)
    grow(folder, 1)
    lines = [json.loads(line) for path in (folder / "checkpoints").iterdir() for line in path.read_text().splitlines()]
    assert [line["checkpoint"].split("\n")[1] for line in lines] == ["0", "1", "2"]
