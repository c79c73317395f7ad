"""Free text on its way into the log: what identifies a person is replaced and counted, and ordinary text stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from whimbrel.errors import UsageError
from whimbrel.record import Recorder
from whimbrel.store.ingest import Ingested
from whimbrel.store.log import open_log
from whimbrel.store.scrub import Scrub

from .test_ingest import rows


def scrubbed(text: str, **more: Any) -> tuple[Any, int]:
    row = {"id": "1", "ts": 0, "inputs.text": text}
    count = Scrub(("inputs.text",), **more).clean([row])
    assert row.get("recorder.scrubbed", 0) == count
    return row["inputs.text"], count


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("write to Ann.Lee+x@mail.example.org, please.", "write to [email], please."),
        ("<ü@exämple.at>", "<[email]>"),
        ("pay with 4111 1111 1111 1111 today", "pay with [card] today"),
        ("4111-1111-1111-1111/378282246310005", "[card]/[card]"),
        ("order 12345 5555 5555 5555 4444 987", "order 12345 [card] 987"),
        ("IBAN: DE89 3704 0044 0532 0130 00 EUR 20", "IBAN: [iban] EUR 20"),
        ("gb82west12345698765432.", "[iban]."),
        ("call +43 1 234 56 78 or 0049 (0)30/123456!", "call [phone] or [phone]!"),
        ("(202) 555-0147, 0664/1234567, 01 23 45 67 89", "[phone], [phone], [phone]"),
    ],
)
def test_what_identifies_a_person_is_replaced(text: str, kept: str) -> None:
    assert scrubbed(text) == (kept, kept.count("["))
    assert scrubbed(kept) == (kept, 0)


@pytest.mark.parametrize(
    "text",
    [
        "", "a @ b", "see you @home", "4111 1111 1111 1112", "1234567890123456789012", "DE88370400440532013000",
        "on 2026-11-21 14:05:00", "01-02-2026", "1,250.75 EUR", "version 10.0.22631.4317", "0.0012345678", "192.168.100.200",
        "id 018f3a2b-7c4d-7e5f-8a9b-0c1d2e3f4a5b", "x" * 100_000, "1 " * 50_000, "a." * 50_000, "(0" * 50_000,
        "411 " * 25_000, "DE89 " * 20_000, "+4" * 50_000,
    ],
)  # fmt: skip
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert scrubbed(text) == (text, 0)


def test_only_what_is_asked_for_is_sought_and_ones_own_patterns_come_first() -> None:
    text = "ORD-4111111111111111 by a@b.example"
    assert scrubbed(text, find=("email",)) == ("ORD-4111111111111111 by [email]", 1)
    assert scrubbed(text, find=(), patterns=(("order", r"ORD-\d+"),)) == ("[order] by a@b.example", 1)
    assert scrubbed(text, patterns=(("order", r"ORD-\d+"),)) == ("[order] by [email]", 2)


def test_lists_and_late_rows_are_scrubbed_and_other_paths_and_kinds_are_not() -> None:
    mail = "a@b.example"
    record: dict[str, Any] = {
        "id": mail, "ts": 0, "inputs.texts": ["x", mail], "inputs.n": 1.0, "inputs.none": None, "outputs.text": mail, "error": mail,
    }  # fmt: skip
    label, decision = {"id": mail, "label": mail, "label_ts": 0}, {"id": mail, "path": "decisions.say", "value": mail}
    assert Scrub(("inputs.*", "error", "label", "decisions.*", "id")).clean([record, label, decision]) == 4
    assert record == {
        "id": mail, "ts": 0, "inputs.texts": ["x", "[email]"], "inputs.n": 1.0, "inputs.none": None, "outputs.text": mail,
        "error": "[email]", "recorder.scrubbed": 2,
    }  # fmt: skip
    assert (label["label"], decision["value"]) == ("[email]", "[email]")
    assert "recorder.scrubbed" not in label


def test_what_is_taken_into_the_log_is_scrubbed_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "whimbrel.toml").write_text('[scrub]\npaths = ["inputs.prompt", "label"]\n')
    recorder, log = Recorder("fares", home=tmp_path / "home"), open_log(tmp_path / "home")
    for text in ("I am a@b.example", "nobody"):
        with recorder.prediction({"prompt": text, "other": text}) as p:
            p.output(1.0)
    recorder.label(p.id, "told c@d.example")
    recorder.close()
    assert log.ingest().scrubbed == 2
    first, second = sorted(rows(log), key=lambda row: str(row["inputs"]["other"]))
    assert (first["inputs"]["prompt"], first["inputs"]["other"]) == ("I am [email]", "I am a@b.example")
    assert (first["recorder"]["scrubbed"], second["recorder"]["scrubbed"]) == (1, None)
    assert second["inputs"]["prompt"] == "nobody"
    assert b"c@d.example" not in b"".join(path.read_bytes() for path in log.home.rglob("*") if path.is_file())
    assert log.ingest() == Ingested()


@pytest.mark.parametrize(
    "table",
    [
        {"find": ["email"]}, {"paths": "inputs.text"}, {"paths": [7]}, {"paths": ["a"], "find": ["name"]}, {"path": ["a"]},
        {"paths": ["a"], "patterns": {"x": "("}}, {"paths": ["a"], "patterns": {"x": "a*"}}, {"paths": ["a"], "patterns": {"X!": "a"}},
        {"paths": ["a"], "patterns": {"x": 7}}, {"paths": ["a"], "patterns": ["a"]}, {"paths": []},
    ],
)  # fmt: skip
def test_a_table_that_makes_no_sense_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"scrub|makes no sense") as error:
        Scrub.of(table, "whimbrel.toml")
    assert error.value.where
    assert error.value.next


def test_the_example_of_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()
    (tmp_path / "whimbrel.toml").write_text(page.split("```toml\n")[1].partition("```")[0])
    monkeypatch.chdir(tmp_path)
    scrub = Scrub.load()
    row = {"inputs.prompt": "ORD-123456 of a@b.example"}
    assert scrub.clean([row]) == 2
    assert row["inputs.prompt"] == "[order] of [email]"
    assert all(f"`{name}`" in page for name in Scrub().find)
