"""Code that is judged runs in a process of its own, with a time limit: a crash in it is a finding about it.

In: what names a pipeline, and flat records. Out: what it made of each. The child answers in messages of msgpack behind
their length; what the code prints goes to standard error. `main` is the child.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from whimbrel.errors import InputError, UsageError, WhimbrelError
from whimbrel.model.records import Records
from whimbrel.replay.pipelines import Pipeline, load
from whimbrel.replay.played import Answers, Played
from whimbrel.replay.record import Record

LIMIT_S = 120.0
"""Seconds that a replay may take in all."""

_ACCIDENTS = 3
_LENGTH = struct.Struct("<I")


@dataclass(slots=True)
class Outcome:
    """What the code made of all records: `kind` says what it is; `accidents` how its process ended, where it did."""

    kind: str
    answers: Answers
    accidents: list[str] = field(default_factory=list)


def play(
    code: str | Pipeline, records: Sequence[Record], *, free: bool = False, limit_s: float = LIMIT_S,
    folder: Path | None = None,
) -> Outcome:  # fmt: skip
    """Run records through a pipeline: one named by a text in a process of its own, an object in this one.

    That process works in `folder`, from which relative names are read; in this one's where none is given.

    Raises:
        InputError: the pipeline cannot be loaded.
    """
    records = Records.of(records)
    if not isinstance(code, str):
        return Outcome(code.kind, Answers.of(code.play(records, free=free, heed=lambda _: None)))
    kind, accidents, answers = "", [], Answers()
    while len(answers) < len(records) or not kind:
        child = _Child(code, records[len(answers) :], free, limit_s, folder)
        kind = child.kind or kind
        answers += Answers.of(child.parts)
        if not child.accident:
            break
        accidents.append(child.accident)
        if len(answers) < len(records):
            answers += Answers.of([Played(failed=child.accident, failed_in=child.step)])
        if len(accidents) >= _ACCIDENTS or child.timed_out:
            why = f"not replayed: {child.accident}, and the replay was given up"
            answers += Answers.of([Played(failed=why)] * (len(records) - len(answers)))
            break
    return Outcome(kind, answers, accidents)


class _Child:
    """One process that runs the code; read until it has answered, died or taken too long."""

    def __init__(self, code: str, records: Records, free: bool, limit_s: float, folder: Path | None) -> None:
        self.kind = self.step = self.accident = ""
        self.parts: list[Played | Answers] = []
        self.timed_out = False
        environment = {**os.environ, "WHIMBREL": "replay"}
        process = subprocess.Popen(
            [sys.executable, "-c", "from whimbrel.replay.apart import main; main()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
            cwd=folder,
        )  # fmt: skip
        timer = threading.Timer(limit_s, self._late, (process,))
        timer.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            threading.Thread(target=_ask, args=(process.stdin, [code, free, _packed(records)]), daemon=True).start()
            ended = self._hear(process.stdout)
            status = process.wait()
            if not ended:
                self.accident = self._how(status, limit_s)
        finally:
            timer.cancel()
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def _late(self, process: subprocess.Popen[bytes]) -> None:
        self.timed_out = True
        process.kill()

    def _hear(self, stream: IO[bytes]) -> bool:
        """Read the child's messages; whether it came to its end."""
        while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
            body = stream.read(*_LENGTH.unpack(head))
            try:
                word, *said = msgspec.msgpack.decode(body)
            except msgspec.DecodeError:
                return False  # it died while it spoke
            if word == "kind":
                self.kind = said[0]
            elif word == "step":
                self.step = said[0]
            elif word == "played":
                self.parts.append(msgspec.convert(said[0], Played))
            elif word == "answers":
                odd = {row: msgspec.convert(one, Played) for row, one in said[1]}
                self.parts.append(Answers(_unpacked(said[0]), odd))
            elif word == "refused":
                what, where, why, after = said[1:]
                raise (UsageError if said[0] == "usage" else InputError)(what, where=where, why=why, next=after)
            elif word == "end":
                return True
        return False

    def _how(self, status: int, limit_s: float) -> str:
        if self.timed_out:
            return f"it took longer than {limit_s:g} s"
        if status < 0:
            return f"its process was killed by {signal.Signals(-status).name}"
        return f"its process ended with status {status}"


def _ask(stream: IO[bytes], request: list[Any]) -> None:
    try:
        with stream:
            stream.write(msgspec.msgpack.encode(request))
    except OSError:
        pass  # it died before it had heard all: how it ended says so


def _packed(records: Records) -> list[Any]:
    """Records as msgpack takes them: all numbers as one run of bytes, whatever else column by column."""
    others = {path: column.tolist() for path, column in records.others.items()}
    there = np.packbits(records.there).tobytes()
    return [
        records.paths, len(records), records.numbers.tobytes(), there, list(records.at), sorted(records.whole), others
    ]  # fmt: skip


def _unpacked(packed: Sequence[Any]) -> Records:
    """What `_packed` was given."""
    paths, n, numbers, there, names, whole, others = packed
    shape = (n, len(names))
    return Records(
        tuple(paths), np.frombuffer(numbers).reshape(shape),
        np.unpackbits(np.frombuffer(there, np.uint8), count=n * len(names)).astype(np.bool_).reshape(shape),
        {path: j for j, path in enumerate(names)}, frozenset(whole),
        {path: np.fromiter(cells, object, n) for path, cells in others.items()},
    )  # fmt: skip


def main() -> None:
    """The child: read the request, answer on what was standard output, which the code itself may not write to."""
    code, free, records = msgspec.msgpack.decode(sys.stdin.buffer.read())
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def say(*message: Any) -> None:
        body = msgspec.msgpack.encode(message, enc_hook=str)
        out.write(_LENGTH.pack(len(body)) + body)
        out.flush()

    try:
        pipeline = load(code)
    except WhimbrelError as error:
        word = "usage" if isinstance(error, UsageError) else "input"
        say("refused", word, error.what, error.where, error.why, error.next)
        return
    say("kind", pipeline.kind)
    for part in pipeline.play(_unpacked(records), free=free, heed=lambda step: say("step", step)):
        if isinstance(part, Played):
            say("played", part)
        else:
            say("answers", _packed(part.out), list(part.odd.items()))
    say("end")
    os._exit(0)  # threads that the code started need not be waited for
