"""What a policy encrypts is on no byte of the disk, and comes back whole for who has the key, and for nobody else."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import whimbrel
from whimbrel.errors import InputError, UsageError
from whimbrel.record import Recorder
from whimbrel.record.encrypt import ENV_KEY, MARK, seal
from whimbrel.record.frames import Kind
from whimbrel.record.policy import Policy, Rules
from whimbrel.store.log import open_log

from .readback import bodies, records, run
from .test_ingest import rows
from .test_policy import written

KEY = base64.b64encode(bytes(range(32))).decode()
SECRET = "Ann Brachvogel, 7 Curlew Road"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_KEY, KEY)


def policy(*paths: str, **more: Any) -> dict[str, Any]:
    return {"redact": dict.fromkeys(paths, "encrypt"), **more}


def test_an_encrypted_value_goes_into_the_log_and_comes_back_with_the_key(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path, policy=policy("inputs.name", "*.home", "error", "label", "decision"))
    with recorder.prediction({"name": SECRET, "km": 3.5}) as p:
        recorder.step("locate", {"home": {"street": SECRET, "at": [48.2, 16.3]}, "n": 1})
        p.output(score=0.5)
        p.decision(SECRET)
        p.error(SECRET)
    recorder.label(p.id, SECRET)
    recorder.close()
    assert recorder.losses == {}
    assert SECRET.encode() not in written(tmp_path)
    (label,) = bodies(tmp_path, Kind.LABEL)
    assert whimbrel.decrypt(label["label"]) == SECRET
    log = open_log(tmp_path)
    log.ingest()
    assert SECRET.encode() not in written(tmp_path)
    (row,) = rows(log)
    assert (row["inputs"]["km"], row["outputs"]["score"], row["steps"]["locate"]["n"]) == (3.5, 0.5, 1)
    assert [whimbrel.decrypt(row[path]) for path in ("error", "decision")] == [SECRET] * 2
    assert whimbrel.decrypt(row["inputs"]["name"]) == SECRET
    assert whimbrel.decrypt(row["steps"]["locate"]["home"]) == {"street": SECRET, "at": [48.2, 16.3]}


@pytest.mark.parametrize(
    "value", ["", "ß 🐦", 0, -(2**63), 1.5, True, [1, None, "a"], {"a": {"b": [1.5]}}, "x" * 100_000]
)
def test_every_sort_of_value_comes_back_and_never_as_the_same_text_twice(value: Any) -> None:
    one, two = (seal(value, base64.b64decode(KEY)) for _ in range(2))
    assert one != two
    assert whimbrel.decrypt(one) == whimbrel.decrypt(two) == value


def test_an_array_comes_back_as_its_shape_and_items(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path, policy=policy("inputs.face"))
    with recorder.prediction({"face": np.arange(6.0).reshape(2, 3)}):
        pass
    found = whimbrel.decrypt(records(tmp_path)[0]["inputs.face"])
    assert found == ((2, 3), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])


def test_the_first_version_is_read_for_ever() -> None:
    sealed = "e1-AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKC61fHiYP7f3448kQX4raqNKVjhX-7nP2ZkDWwxKDEP_irtQNdA"
    assert whimbrel.decrypt(sealed) == {"note": "Brachvogel", "n": 7}


def test_a_whole_group_is_encrypted_field_by_field(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path, model="fares@7", policy=policy("inputs", "context", "model", "outputs"))
    with recorder.prediction({"name": SECRET, "km": 3.5}, user=SECRET) as p:
        p.output(score=0.5)
    (record,) = records(tmp_path)
    fields = {
        "inputs.name": SECRET,
        "inputs.km": 3.5,
        "context.user": SECRET,
        "model.version": "7",
        "outputs.score": 0.5,
    }
    assert {path: whimbrel.decrypt(record[path]) for path in fields} == fields


def test_who_has_another_key_or_a_changed_text_gets_nothing() -> None:
    sealed = seal(SECRET, base64.b64decode(KEY))
    other = base64.b64encode(bytes(32)).decode()
    with pytest.raises(InputError, match="cannot be decrypted"):
        whimbrel.decrypt(sealed, key=other)
    at = len(sealed) // 2
    changed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
    for text in (changed, sealed[:-5], MARK, MARK + "ä!", MARK + "AAAA"):
        with pytest.raises(InputError, match="cannot be decrypted"):
            whimbrel.decrypt(text)
    nonsense: Any = 7
    for value in ("h-0123", "", nonsense):
        with pytest.raises(InputError, match="no encrypted value"):
            whimbrel.decrypt(value)


def test_the_key_comes_from_a_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENV_KEY)
    file = tmp_path / "key"
    file.write_text(KEY.replace("+", "-").replace("/", "_") + "\n")
    recorder = Recorder("fares", home=tmp_path / "home", policy=policy("inputs.name", encrypt_key_file=str(file)))
    with recorder.prediction({"name": SECRET}):
        pass
    sealed = records(tmp_path / "home")[0]["inputs.name"]
    assert whimbrel.decrypt(sealed, key=file) == whimbrel.decrypt(sealed, key=KEY) == SECRET
    with pytest.raises(UsageError, match="no key of encryption"):
        whimbrel.decrypt(sealed)


def test_a_forked_worker_encrypts_though_it_can_no_longer_read_the_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    code = """if True:
        import os, pathlib, sys
        from whimbrel.record import Recorder
        home, file = pathlib.Path(sys.argv[1]) / "home", pathlib.Path(sys.argv[1]) / "key"
        policy = {"redact": {"inputs.name": "encrypt"}, "encrypt_key_file": str(file)}
        recorder = Recorder("fares", home=home, policy=policy)
        file.unlink()
        child = os.fork()
        with recorder.prediction({"name": f"{bool(child)}"}): pass
        assert recorder.losses == {}
        if child == 0: os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """
    run(code, tmp_path, env={ENV_KEY: ""})
    assert {whimbrel.decrypt(record["inputs.name"]) for record in records(tmp_path / "home")} == {"True", "False"}


@pytest.mark.parametrize(
    ("given", "said"),
    [("", "no key"), ("   ", "no key"), ("hunter2", "no 32 bytes"), (KEY[:20], "no 32 bytes"), ("ä" * 44, "no 32 bytes")],
)  # fmt: skip
def test_a_key_that_is_none_is_refused_at_start(
    given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENV_KEY, given)
    with pytest.raises(UsageError, match=said) as error:
        Recorder("fares", home=tmp_path, policy=policy("inputs.name"))
    assert error.value.where == ENV_KEY
    assert "openssl rand" in error.value.next
    assert not given.strip() or given not in str(error.value)


def test_a_policy_that_cannot_be_followed_is_refused_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = {
        "cannot be read": policy("inputs.name", encrypt_key_file=str(tmp_path / "missing")),
        "makes no sense": policy("inputs.name", encrypt_key_file=7),
        "ids would be encrypted": policy("*"), "no setting": policy("inputs.name", key=KEY),
    }  # fmt: skip
    for said, wrong in refused.items():
        with pytest.raises(UsageError, match=said):
            Recorder("fares", home=tmp_path, policy=wrong)
    Recorder("fares", home=tmp_path, policy={"redact": {"*": "encrypt", "id": "keep"}})
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(UsageError, match="cannot be loaded") as error:
        Recorder("fares", home=tmp_path, policy=policy("inputs.name"))
    assert error.value.next == "pip install cryptography"


def test_what_cannot_be_encrypted_while_recording_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder("fares", home=tmp_path, policy=policy("*.name"))
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with recorder.prediction({"name": SECRET, "km": 3.5}) as p:
        p.output(name=SECRET)
    assert recorder.losses == {"encrypt": 2}
    assert SECRET.encode() not in written(tmp_path)
    assert records(tmp_path)[0]["inputs.km"] == 3.5


def test_a_body_that_cannot_be_redacted_is_counted() -> None:
    losses: dict[str, int] = {}
    Rules(Policy(redact={"inputs.card": "drop"}), losses).apply(Kind.BEGIN, b"\xc1")
    assert losses == {"redact": 1}


def test_the_key_is_in_no_text_of_the_policy(tmp_path: Path) -> None:
    loaded = Policy.load(policy("inputs.name"))
    assert loaded.key == bytes(range(32))
    assert str(bytes(range(32)))[2:-1] not in repr(loaded)
    assert "key" not in loaded.to_dict()
