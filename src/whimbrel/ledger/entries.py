r"""What an entry says, and what it commits to without saying it.

An entry is one line of JSON, stored as it was written and hashed as bytes; no personal data stands in it. The values of a
prediction are disclosed, or not, in six groups. The disclosure of group i is the line

    ["<salt, 16 bytes in hexadecimal>","<group>",<its values as JSON>]

and the entry's `fr` is SHA-256(0x02 || "pred/1\n" || SHA-256(line 1) || … || SHA-256(line 6)). All salts of an entry come from
one random seed of 32 bytes: SHAKE-256(seed), 16 bytes each. Values are by path, sorted, without nulls, numbers as floats; they are
made anew from the table when somebody asks for them, and `fr` says whether they are what they were.

Entries of a run or an event commit to one group (`run/1`, `event/1`) in the same way.
"""

from __future__ import annotations

import json
import math
import re
from binascii import b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256, shake_256
from itertools import repeat
from operator import itemgetter
from typing import Any

import msgspec

from whimbrel.ledger.forms import ENTRY
from whimbrel.ledger.verdicts import SCHEMAS

GROUPS = SCHEMAS["pred"]
SEED, SALT = 32, 16
"""Bytes of a seed and of a salt."""

_BY_PATH = {
    "context": "who", "inputs": "input", "steps": "input", "age": "input", "outputs": "output", "decision": "output",
    "decisions": "output", "label": "output", "label_ts": "output", "error": "output", "app": "system", "model": "system",
    "code": "system", "hardware": "system", "spans": "system", "recorder": "system", "usage": "cost-risk",
}  # fmt: skip
_OVERSIGHT = frozenset({"operator", "reviewer", "approver", "override", "override_reason"})
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_uuid, _uuids = re.compile(_UUID).fullmatch, re.compile(f"^{_UUID}$", re.MULTILINE).findall
_session = re.compile("[0-9a-f]{32}").fullmatch
_ENCODER = msgspec.json.Encoder()


def group_of(path: str) -> str | None:
    """The group that a field of a prediction is disclosed with; None for id, ts and what is no field.

    Tags named operator, reviewer, approver, override or override_reason, and outputs named risk, have groups of their own.
    """
    head, _, rest = path.partition(".")
    if head == "context" and rest in _OVERSIGHT:
        return "oversight"
    if head == "outputs" and rest.partition(".")[0] == "risk":
        return "cost-risk"
    return _BY_PATH.get(head)


def grouped(values: Mapping[str, Any], rescued: Mapping[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """The values of one prediction by group, sorted by path, without nulls; what did not fit its column as its text."""
    found: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
    for path, value in sorted({**values, **(rescued or {})}.items()):
        group = group_of(path)
        if group is not None and value is not None:
            found[group][path] = plain(value)
    return found


def grouped_row(kind: str, paths: Sequence[str], row: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """The values of a run or an event, as its one group."""
    values = {
        path: plain(value)
        for path, value in sorted(zip(paths, row, strict=True), key=itemgetter(0))
        if value is not None
    }
    return {SCHEMAS[kind][0]: values}


def plain(value: Any) -> Any:
    """A value whose JSON says all of it: infinities are spelled out."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return list(map(plain, value)) if isinstance(value, list) else value


def salts_of(seed: bytes, count: int) -> list[str]:
    """The salts of an entry, in hexadecimal: one for each group, and one for an id that is not random."""
    made = shake_256(seed).hexdigest(SALT * count)
    return [made[at : at + 2 * SALT] for at in range(0, len(made), 2 * SALT)]


def disclosures(kind: str, groups: Mapping[str, Any], seed: bytes) -> list[bytes]:
    """The lines that disclose each group, in the schema's order."""
    names = SCHEMAS[kind]
    return [
        _ENCODER.encode((salt, name, groups[name]))
        for salt, name in zip(salts_of(seed, len(names)), names, strict=True)
    ]


def commitment(kind: str, digests: Iterable[bytes]) -> bytes:
    """What binds the digests of an entry's groups together: `fr`, 32 bytes."""
    return sha256(b"\x02%b/1\n" % kind.encode() + b"".join(digests)).digest()


def committed(kind: str, lines: Iterable[bytes]) -> str:
    """`fr` over the lines that disclose the groups, in base64."""
    return b2a_base64(commitment(kind, [sha256(line).digest() for line in lines]), newline=False).decode()


def _are_uuids(idents: Sequence[str]) -> bool:
    """Whether all are UUIDs."""
    text = "\n".join(idents)
    return len(_uuids(text)) == len(idents) == text.count("\n") + 1


def entry_id(ident: str, seed: bytes) -> str:
    """The id that an entry bears: the prediction's where it is a UUID, else a salted digest of it, for it may say who somebody is."""
    if _uuid(ident):
        return ident
    return "h-" + sha256(id_disclosure(ident, seed)).hexdigest()[:32]


def id_disclosure(ident: str, seed: bytes) -> bytes:
    """The line that discloses an id of which the entry bears the digest."""
    return _ENCODER.encode((salts_of(seed, len(GROUPS) + 1)[-1], "id", ident))


class Predictions:
    """Makes the entries of predictions of one form: of the same fields, in the same order.

    It works by columns, a group at a time, since a call for each value is what takes the time.
    """

    def __init__(self, app: str, paths: Sequence[str]) -> None:
        self.app, self.paths = app, tuple(paths)
        self._forms: list[tuple[str, Any, list[int]]] = []
        where = {path: at for at, path in enumerate(paths)}
        self._id, self._time, self._rescued = where["id"], where["ts"], where.get("rescued")
        for group in GROUPS:
            fields = sorted(path for path in where if group_of(path) == group)
            names = [f"f{i}" for i in range(len(fields))]
            tagged = group == group_of("app")  # the app is no value of the row, and sorts before the group's others
            form = msgspec.defstruct(
                "Group", [(one, Any, None) for one in names], rename=dict(zip(names, fields, strict=True)), omit_defaults=True, gc=False,
                tag_field="app" if tagged else None, tag=app if tagged else None,
            )  # fmt: skip
            self._forms.append((group, form, [where[path] for path in fields]))

    def make(
        self, columns: Sequence[Sequence[Any]], seeds: bytes, producers: Iterable[str], numbers: Iterable[int]
    ) -> list[bytes]:
        """The entries of rows.

        Args:
            columns: the values, in the order of the paths; as many in each.
            seeds: 32 random bytes for each row.
            producers: who made each.
            numbers: its number there.
        """
        idents = columns[self._id]
        if not _are_uuids(idents):
            idents = [entry_id(name, seeds[SEED * at : SEED * at + SEED]) for at, name in enumerate(idents)]
        digests = zip(repeat(_PREFIX), *self._digests(columns, seeds), strict=False)
        roots = [sha256(one).digest() for one in map(_joined, digests)]
        texts = [b2a_base64(one, newline=False).decode() for one in roots]
        entries = map(ENTRY.__mod__, zip(idents, columns[self._time], producers, numbers, texts, strict=False))
        return list(map(str.encode, entries))

    def _digests(self, columns: Sequence[Sequence[Any]], seeds: bytes) -> list[list[bytes]]:
        """The digests of each group, of all rows."""
        end = SALT * len(GROUPS)
        salts = [shake_256(seeds[at : at + SEED]).hexdigest(end) for at in range(0, len(seeds), SEED)]
        rescued = () if self._rescued is None else columns[self._rescued]
        odd = {at for at, one in enumerate(rescued) if one} if any(rescued) else set()
        found = []
        for at, (group, form, places) in enumerate(self._forms):
            own = [salt[2 * SALT * at : 2 * SALT * (at + 1)] for salt in salts]
            values = map(form, *[columns[place] for place in places]) if places else repeat(form())
            block = _ENCODER.encode_lines(list(zip(own, repeat(group), values, strict=False)))
            lines = block[:-1].split(b"\n")
            found.append([sha256(line).digest() for line in lines])
            if b"null" in block:
                odd |= {row for row, line in enumerate(lines) if b"null" in line}
        for row in odd:
            slow = self._slowly([column[row] for column in columns], seeds[SEED * row : SEED * row + SEED])
            for group_digests, digest in zip(found, slow, strict=True):
                group_digests[row] = digest
        return found

    def _slowly(self, row: Sequence[Any], seed: bytes) -> list[bytes]:
        """The digests of a row with a value that JSON has no number for, or one that did not fit its column."""
        rescued = None if self._rescued is None else row[self._rescued]
        values = {**dict(zip(self.paths, row, strict=True)), "app": self.app}
        return [sha256(one).digest() for one in disclosures("pred", grouped(values, rescued), seed)]


_PREFIX = b"\x02pred/1\n"
_joined = b"".join


def is_session(text: Any) -> bool:
    """Whether this is the name of a recorder's session."""
    return isinstance(text, str) and bool(_session(text))


def line(kind: str, ident: str, moment: str, **fields: Any) -> bytes:
    """An entry of another kind: `fields` stand in it as they are, and hold nothing personal."""
    held = {"v": 1, "k": kind, "id": ident, "t": moment, **fields}
    return json.dumps(held, separators=(",", ":"), ensure_ascii=False).encode()
