"""What a policy forbids is nowhere on disk, whatever object it came in; a policy that makes no sense is refused at start."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from whimbrel.errors import UsageError
from whimbrel.record import Recorder
from whimbrel.record.frames import Kind
from whimbrel.record.policy import Policy, Rules

from .readback import bodies, records, run, segments

SECRET = "4111-1111-1111-1111"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHIMBREL_REDACT_KEY", "a secret of the app")


def written(home: Path) -> bytes:
    """Every byte under a home."""
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


@dataclasses.dataclass
class Payment:
    card: str
    amount: float


def test_what_is_dropped_is_on_no_byte_of_the_disk_whatever_held_it(tmp_path: Path) -> None:
    rules = {"*.card": "drop", "error": "drop", "decision": "drop", "context.card": "drop", "outputs.text": "drop"}
    recorder = Recorder("fares", home=tmp_path, policy={"redact": rules})
    frame = pd.DataFrame({"card": [SECRET], "amount": [2.0]})
    rows: list[Any] = [
        {"card": SECRET, "amount": 2.0}, Payment(SECRET, 2.0), frame, frame.iloc[0],
        {"deep": [{"card": SECRET, "n": 1}], "amount": 2.0},
        {"card": SECRET, "amount": 2.0, "hostile": object(), "big": "y" * (2 << 20)},
    ]  # fmt: skip
    for row in rows:
        with recorder.prediction(row, card=SECRET, country="US") as p:
            recorder.step("pay", row)
            p.output(text=SECRET, score=0.5)
            p.decision(SECRET)
            p.context(card=SECRET)
            p.error(f"refused {SECRET}")
        p.decision(SECRET)
        recorder.event("deploy", "v2", card=SECRET)
    assert recorder.losses == {}
    assert SECRET.encode() not in written(tmp_path)
    found = records(tmp_path)
    assert [record["inputs.amount"] for record in found] == [2.0] * len(rows)
    assert {record["context.country"] for record in found} == {"US"}
    assert {record["outputs.score"] for record in found} == {0.5}
    assert found[0]["steps.pay.amount"] == 2.0
    assert "spans.pay" in found[0]


def test_hashes_are_keyed_and_equal_values_stay_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hashed(home: Path) -> list[Any]:
        recorder = Recorder("fares", home=home, policy={"redact": {"inputs.email": "hash", "id": "hash"}})
        for email in ("a@b.c", "a@b.c", "x@y.z"):
            with recorder.prediction({"email": email}):
                pass
        return [record["inputs.email"] for record in records(home)]

    first, again, other = hashed(tmp_path / "one")
    assert first == again != other
    assert first.startswith("h-")
    monkeypatch.setenv("WHIMBREL_REDACT_KEY", "another")
    assert hashed(tmp_path / "two")[0] != first


def test_buckets_and_the_longest_pattern(tmp_path: Path) -> None:
    rules = {"inputs.*": "drop", "inputs.fare": "keep", "inputs.age": {"bucket": 10}, "steps.*.x": {"bucket": 0.5}}
    recorder = Recorder("fares", home=tmp_path, policy={"redact": rules})
    with recorder.prediction({"fare": 12.5, "age": 37, "name": "Ann", "more": {"fare": 1}}):
        recorder.step("scale", {"x": 1.3, "y": 1.3})
    with recorder.prediction({"age": "unknown"}):
        pass
    first, second = records(tmp_path)
    assert {k: v for k, v in first.items() if k.startswith("inputs.")} == {"inputs.fare": 12.5, "inputs.age": 30}
    assert (first["steps.scale.x"], first["steps.scale.y"]) == (1.0, 1.3)
    assert "inputs.age" not in second, "a value that its rule does not fit was recorded as it came"


def test_labels_follow_the_policy_too(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path, policy={"redact": {"label": {"bucket": 100}}})
    recorder.label("order-1", 512)
    assert bodies(tmp_path, Kind.LABEL)[0]["label"] == 500


def test_a_body_that_cannot_be_redacted_leaves_nothing_but_the_loss() -> None:
    rules = Rules(Policy(redact={"inputs.card": "drop"}))
    for kind in (Kind.BEGIN, Kind.END, Kind.PART, Kind.LABEL):
        assert SECRET.encode() not in rules.apply(kind, b"\xc1" + SECRET.encode())


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"redact": {"inputs.card": "dorp"}}, "no rule"), ({"redact": {"a": {"bucket": 0}}}, "no rule"),
        ({"redact": {"a": {"bucket": "x"}}}, "no rule"), ({"redact": ["a"]}, "no table"), ({"redact": {"a": 7}}, "no rule"),
        ({"budget": 7}, "no setting"), ({"budget_bytes": "4 GB"}, "makes no sense"), ({"budget_bytes": -1}, "makes no sense"),
        ({"when_full": "panic"}, "makes no sense"), ({"blobs": True}, "makes no sense"),
        ({"entry_bytes": 100}, "makes no sense"), ({"entry_bytes": 2 << 20}, "makes no sense"),
    ],
)  # fmt: skip
def test_a_policy_that_makes_no_sense_is_refused_at_start(policy: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said) as error:
        Recorder("fares", home=tmp_path, policy=policy)
    assert error.value.where
    assert error.value.next


def test_an_entry_longer_than_its_policy_is_cut_and_that_is_said(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path, policy={"entry_bytes": 8192})
    with recorder.prediction({"note": "n" * 20_000, "km": 3}) as p:
        p.step("long", "s" * 20_000)
        p.step("short", "s" * 7_000)
    recorder.label(p.id, "l" * 20_000)
    recorder.close()
    (row,) = records(tmp_path)
    assert 0 < len(row["inputs.note"]) < 8192
    assert 0 < len(row["steps.long.value"]) < 8192
    assert row["inputs.km"] == 3
    assert row["steps.short.value"] == "s" * 7_000
    assert "inputs.note" in row["recorder.lost"]
    assert "steps.long" in row["recorder.lost"]


def test_a_hash_needs_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WHIMBREL_REDACT_KEY")
    with pytest.raises(UsageError, match="no key"):
        Recorder("fares", home=tmp_path, policy={"redact": {"inputs.email": "hash"}})


def test_the_policy_comes_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Policy.load() == Policy()
    (tmp_path / "whimbrel.toml").write_text('[record.redact]\n"inputs.card" = "drop"\n')
    (tmp_path / "other.toml").write_text("[record]\nbudget_bytes = 1000000\n")
    (tmp_path / "broken.toml").write_text("[record\n")
    assert Policy.load() == Policy(redact={"inputs.card": "drop"})
    assert Policy.load("other.toml") == Policy(budget_bytes=1_000_000)
    monkeypatch.setenv("WHIMBREL_POLICY", str(tmp_path / "other.toml"))
    assert Policy.load().budget_bytes == 1_000_000
    for name in ("broken.toml", "missing.toml"):
        with pytest.raises(UsageError, match="cannot be read"):
            Recorder("fares", home=tmp_path, policy=name)


def test_the_page_describes_every_setting_and_its_example_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()
    (example,) = (part.partition("```")[0] for part in page.split("```toml\n")[1:])
    (tmp_path / "whimbrel.toml").write_text(example)
    policy = Policy.load(tmp_path / "whimbrel.toml")
    assert policy.redact
    assert all(f"`{name}`" in page for name in Policy().to_dict())


def test_when_full_nothing_is_overwritten_where_that_is_asked_and_it_goes_on_once_there_is_room(tmp_path: Path) -> None:
    code = """if True:
        import logging, os, sys, time
        from pathlib import Path
        from whimbrel.record import Recorder
        logging.disable()
        descriptors = lambda: len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0
        recorder = Recorder("fares", home=sys.argv[1], policy={"budget_bytes": 40 << 20, "when_full": "stop"})
        def predict(n):
            with recorder.prediction({"n": n, "text": "x" * 1_000_000}): pass
        predict(0)
        before = descriptors()
        for n in range(1, 60): predict(n)
        assert recorder.losses.get("EDQUOT", 0) > 0, recorder.losses
        assert descriptors() == before
        first = min(Path(sys.argv[1]).rglob("*.seg"))
        first.unlink()
        lost, deadline, n = sum(recorder.losses.values()), time.monotonic() + 30, 60
        while time.monotonic() < deadline:
            predict(n)
            if sum(recorder.losses.values()) == lost: break
            lost, n = sum(recorder.losses.values()), n + 1
            time.sleep(0.05)
        assert descriptors() == before
        print(n)
    """
    again = int(run(code, tmp_path))
    kept = [record["inputs.n"] for record in records(tmp_path) if "inputs.n" in record]
    assert kept[-1] == again >= 60
    assert kept[:-1] == list(range(kept[0], kept[0] + len(kept) - 1)), "what was kept is no single stretch"
    assert kept[-2] < 59
    assert sum(path.stat().st_size for path, _ in segments(tmp_path)) <= 41 << 20


def test_blobs_are_kept_once_by_their_content(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    picture, pixels = b"\x89PNG" + bytes(100_000), np.zeros((4, 5), dtype="u1")
    (tmp_path / "picture.png").write_bytes(picture)
    for value in (picture, bytearray(picture), tmp_path / "picture.png"):
        with recorder.prediction({"image": recorder.blob(value, "image/png")}):
            pass
    with recorder.prediction({"image": recorder.blob(pixels)}):
        pass
    nonsense: Any = [object()]
    assert recorder.blob(nonsense) == recorder.blob(tmp_path / "nothing") == {}
    digest = hashlib.sha256(picture).hexdigest()
    *pictures, array = records(tmp_path)
    assert {record["inputs.image.sha256"] for record in pictures} == {digest}
    assert {record["inputs.image.bytes"] for record in pictures} == {len(picture)}
    assert (array["inputs.image.shape"], array["inputs.image.dtype"]) == ("(4, 5)", "uint8")
    assert (tmp_path / "blobs" / digest[:2] / digest).read_bytes() == picture
    assert len([path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]) == 2
    assert recorder.losses == {"blob": 2}


def test_blobs_keep_to_their_policy(tmp_path: Path) -> None:
    hashes = Recorder("fares", home=tmp_path / "one", policy={"blobs": "hash"})
    assert set(hashes.blob(b"abc")) == {"sha256", "bytes"}
    assert not (tmp_path / "one").exists()
    small = Recorder("fares", home=tmp_path / "two", policy={"blob_budget_bytes": 10})
    assert small.blob(b"12345678")["bytes"] == small.blob(b"87654321")["bytes"] == 8
    assert small.losses == {"blob": 1}
    assert len(written(tmp_path / "two")) == 8
