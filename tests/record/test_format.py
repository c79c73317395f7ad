"""The segment format is a promise: a published segment reads the same forever, by our reader and by the page's own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from whimbrel.errors import InputError
from whimbrel.record import flat, frames
from whimbrel.record.frames import Kind
from whimbrel.record.reader import read_header, read_segment
from whimbrel.record.values import ARRAY, encode, pack_array

HERE = Path(__file__).parent
VECTOR = HERE / "vectors" / "segment-v1.seg"
EXPECTED = HERE / "vectors" / "segment-v1.json"
CLOCKS = HERE / "vectors" / "clocks-v1.seg"
EXPECTED_CLOCKS = HERE / "vectors" / "clocks-v1.json"
PAGE = HERE.parents[1] / "docs" / "format.md"

SESSION = bytes.fromhex("0199a0b1c2d37e4f8011223344556677")
SEED, MARK = 0x0123456789ABCDEF, 0xA1B2C3D5
TS = 1_763_561_100_000_000


def build() -> bytes:
    """The published segment, made with the writer's own functions."""

    def frame(kind: Kind, stream: int, body: bytes) -> bytes:
        return frames.frame(MARK, SEED, kind, stream, body)

    def entries(*parts: Any) -> bytes:
        return frames.array_head(len(parts)) + b"".join(map(encode, parts))

    grid = msgspec.msgpack.Ext(ARRAY, pack_array("h", (2, 3), bytes.fromhex("0100 0200 0300 ffff feff fdff")))
    one = msgspec.msgpack.Ext(ARRAY, pack_array("d", (1,), bytes.fromhex("000000000000e83f")))
    facts = {"app": "fares", "process": SESSION.hex(), "ts": TS, "host": "box", "libraries": {"numpy": "2.4.6"}}
    begin = {
        "ts": TS,
        "model": {"name": "fares", "version": "7"},
        "context": {"country": "US"},
        "inputs": {"fare": 12.5},
    }
    done = entries(
        ("step", "grid", grid, 500_000),
        ("failed", "geo", 250_000, None), ("span", "db", 3_250_000), ("output", {"score": one}), ("decision", "accept"),
        ("usage", {"input_tokens": 10}), ("usage", {"input_tokens": 5}), ("age", {"weather": 60}),
        ("of a later version", 1), ("lost", "steps.geo", "a value of its type cannot be kept"), ("end", 7_000_000, TS, 1),
    )  # fmt: skip
    return b"".join((
        frames.Header(SESSION, 1, SEED, MARK, TS, frames.LOCKED).pack(),
        frame(Kind.PROCESS, 0, encode(facts)),
        frame(Kind.BEGIN, 1, encode(begin)),
        frame(Kind.BEGIN, 2, encode({"ts": TS + 1, "id": "order-17", "inputs": [1, 2]})),
        frame(Kind.PART, 1, entries(("step", "scale", {"fare": 0.125}, 1_500_000, "f1-00112233aabbccdd"))),
        frame(Kind.PART, 2, entries(("step", "early", 5, 900_000))),
        frame(Kind.END, 1, done),
        b"\x00 damage between two frames " + MARK.to_bytes(4, "little"),
        frame(Kind.LABEL, 0, encode({"id": "order-17", "label": True, "ts": TS + 2})),
        frame(Kind.DECISION, 0, encode({"id": "order-17", "ts": TS + 3, "decisions": {"route": "slow"}})),
        frame(Kind.EVENT, 0, encode({"ts": TS, "kind": "deploy", "what": "3f2c91", "context": {"channel": "ios"}})),
        frame(Kind.LOSS, 0, encode({"ENOSPC": 2})),
        frames.frame(MARK, SEED, 200, 9, encode("a kind of a later version")),
        frame(Kind.BEGIN, 3, encode({"ts": TS + 9, "inputs": {}}))[:-3],
    ))  # fmt: skip


def read_all(data: bytes) -> dict[str, Any]:
    """All that our reader makes of a segment."""
    segment = read_segment(data)
    by_kind: dict[int, dict[int, Any]] = {}
    for frame in segment.frames:
        by_kind.setdefault(frame.kind, {})[frame.stream] = frame.decode()
    begins, ends, parts = by_kind[Kind.BEGIN], by_kind[Kind.END], by_kind[Kind.PART]
    session = segment.header.session
    return {
        "header": {"session": session.hex(), "number": 1, "flags": segment.header.flags, "opened_us": TS},
        "frames": [[frame.kind, frame.stream, frame.start, frame.end] for frame in segment.frames],
        "damaged": [list(stretch) for stretch in segment.damaged],
        "end": segment.end, "tail": segment.tail,
        "process": by_kind[Kind.PROCESS][0],
        "predictions": [flat.prediction(begins[seq], ends.get(seq), session, seq, [parts[seq]]) for seq in begins],
        "label": flat.label(by_kind[Kind.LABEL][0]),
        "decisions": flat.decisions(by_kind[Kind.DECISION][0]),
        "event": flat.event(by_kind[Kind.EVENT][0]),
        "loss": by_kind[Kind.LOSS][0],
    }  # fmt: skip


def build_clocks() -> bytes:
    """The published segment of a session whose clock was put back by an hour, half a minute after it began."""
    hour, half_minute = 3_600_000_000, 30_000_000
    facts = {"app": "fares", "process": SESSION.hex(), "ts": TS, "host": "box", "libraries": {}}
    clocks = [
        {"ts": TS + 10, "monotonic": 86_400_000_000},
        {"ts": TS + 10 + half_minute - hour, "monotonic": 86_400_000_000 + half_minute},
    ]
    return b"".join((
        frames.Header(SESSION, 2, SEED, MARK, TS).pack(),
        frames.frame(MARK, SEED, Kind.PROCESS, 0, encode(facts)),
        *(frames.frame(MARK, SEED, Kind.CLOCK, 0, encode(clock)) for clock in clocks),
    ))  # fmt: skip


def test_the_published_segment_reads_as_it_was_published() -> None:
    assert read_all(VECTOR.read_bytes()) == json.loads(EXPECTED.read_text())


def test_the_writer_still_writes_the_published_segment() -> None:
    assert build() == VECTOR.read_bytes()


def test_the_published_clocks_read_as_they_were_published_and_are_still_written_so() -> None:
    data = CLOCKS.read_bytes()
    assert build_clocks() == data
    segment = read_segment(data)
    assert (segment.tail, segment.damaged) == (0, ())
    assert [[f.kind, f.stream, f.start, f.end, f.decode()] for f in segment.frames] == json.loads(
        EXPECTED_CLOCKS.read_text()
    )
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    assert names["read"](data) == ([(f.kind, f.stream, f.decode()) for f in segment.frames], 0)


def test_the_pages_own_reader_finds_the_same_frames() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    data = VECTOR.read_bytes()
    found, skipped = names["read"](data)
    ours = read_segment(data)
    assert [(kind, stream) for kind, stream, _ in found] == [(f.kind, f.stream) for f in ours.frames]
    assert skipped == ours.tail + sum(end - start for start, end in ours.damaged)
    (end,) = (value for kind, _, value in found if kind == Kind.END)
    assert ["step", "grid", {"shape": (2, 3), "items": (1, 2, 3, -1, -2, -3)}, 500_000] in end
    assert [value for kind, _, value in found if kind not in (2, 3)] == [
        f.decode() for f in ours.frames if f.kind not in (2, 3)
    ]


def test_the_page_names_every_kind_of_frame_and_every_entry() -> None:
    page = PAGE.read_text()
    for kind in Kind:
        assert f"| {kind.value} | {kind.name} |" in page
    source = Path(flat.__file__).read_text()
    for word in [*re.findall(r'case \["(\w+)"', source), "end"]:
        assert f'`["{word}"' in page, word


@pytest.mark.parametrize("cut", range(0, 64, 7))
def test_a_header_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(InputError, match="no segment"):
        read_header(VECTOR.read_bytes()[:cut])


@pytest.mark.parametrize("at", [12, 16, 24, 40, 60])
def test_a_damaged_header_is_refused(at: int) -> None:
    data = bytearray(VECTOR.read_bytes())
    data[at] ^= 1
    with pytest.raises(InputError, match="header is damaged"):
        read_header(bytes(data))


def test_a_version_to_come_is_refused_by_name() -> None:
    data = bytearray(VECTOR.read_bytes())
    data[8] = 2
    with pytest.raises(InputError, match="version 2"):
        read_header(bytes(data))


def whole() -> bytes:
    """The published segment without its damage and its torn tail."""
    data = VECTOR.read_bytes()
    segment = read_segment(data)
    return data[:64] + b"".join(data[frame.start : frame.end] for frame in segment.frames)


def test_a_tail_torn_anywhere_loses_that_frame_and_no_other() -> None:
    data = whole()
    ends = [frame.end for frame in read_segment(data).frames]
    for cut in range(64, len(data) + 1):
        segment = read_segment(data[:cut])
        assert [frame.end for frame in segment.frames] == [end for end in ends if end <= cut]
        assert segment.tail == len(data[segment.end : cut].rstrip(b"\0"))
        assert segment.damaged == ()


def test_any_single_flipped_byte_loses_one_frame_and_is_reported() -> None:
    data = whole()
    before = read_segment(data).frames
    for at in range(64, len(data), 3):
        hurt = bytearray(data)
        hurt[at] ^= 0xFF
        segment = read_segment(bytes(hurt))
        kept = [f for f in before if not f.start <= at < f.end]
        assert [f.body for f in segment.frames] == [f.body for f in kept]
        assert bool(segment.damaged) or segment.tail > 0


def test_a_frame_written_into_a_text_does_not_pass_for_one() -> None:
    guess = frames.frame(MARK, SEED + 1, Kind.LABEL, 0, encode({"id": "x", "label": "forged", "ts": 0}))
    carrier = frames.frame(MARK, SEED, Kind.BEGIN, 5, encode({"ts": 1, "inputs": {"text": guess}}))
    torn = whole() + carrier[:-1] + frames.frame(MARK, SEED, Kind.LOSS, 0, encode({}))
    segment = read_segment(torn)
    assert [f.kind for f in segment.frames][-2:] == [200, Kind.LOSS]
    assert len(segment.damaged) == 1


def test_reading_goes_on_where_it_ended() -> None:
    data = whole()
    every = read_segment(data).frames
    half = read_segment(data[: every[3].end + 5])
    rest = read_segment(data, half.end)
    assert half.frames + rest.frames == every


@pytest.mark.parametrize("app", ["fares", "a b/ü", "..", ".", "a.b", "%2E", "_x", "~a~", "x" * 60])
def test_a_folder_name_names_its_app(app: str) -> None:
    folder = frames.folder_of(app)
    assert frames.app_of(folder) == app
    assert "/" not in folder
    assert folder not in (".", "..")
