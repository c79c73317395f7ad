"""What a recorder may write down: redaction by path, limits, budgets. Read from `whimbrel.toml` and checked at start.

In: the `[record]` table of a file. Out: `Policy`, and `Rules`, which the session applies to every frame just before it
is written: to the bytes themselves, so that nothing hides in an object, and a rule that fails takes its field with it.

    [record]
    write = "call"                   # a system call for each frame; or "mapped": copied into a mapped file
    budget_bytes = 4294967296        # segments that are not in the log yet; the oldest make room
    entry_bytes = 1048576            # of one step's value, or of all inputs; what is longer is cut, and that is said
    when_full = "overwrite"          # or "stop": keep the old, record nothing new
    blobs = "keep"                   # large binary values in blobs/, by content; "hash": their hash alone
    blob_budget_bytes = 1073741824
    encrypt_key_file = "/run/secrets/whimbrel"    # else WHIMBREL_ENCRYPT_KEY

    [record.redact]                  # a path, or a pattern with *: the longest that fits holds
    "inputs.card" = "drop"
    "inputs.email" = "hash"          # keyed with WHIMBREL_REDACT_KEY: equal values stay equal
    "inputs.note" = "encrypt"        # read again with whimbrel.decrypt by whoever has the key
    "inputs.age" = { bucket = 10 }
    "steps.*.email" = "hash"
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import msgspec

from whimbrel.errors import UsageError
from whimbrel.record.frames import Kind
from whimbrel.record.values import LIMIT

if TYPE_CHECKING:
    from pathlib import Path

ENV_FILE, ENV_KEY = "WHIMBREL_POLICY", "WHIMBREL_REDACT_KEY"
_PLAIN_RULES = ("keep", "drop", "hash", "encrypt")
_CHOICES = {"write": ("call", "mapped"), "when_full": ("overwrite", "stop"), "blobs": ("keep", "hash")}
_KNOWN_PATHS = 10_000
_DEPTH = 40
_LEAST_ENTRY = 4096
_VALUES = {
    "step": ("steps", 2), "read": ("steps", 2), "output": ("outputs", 1), "decision": ("decision", 1),
    "decisions": ("decisions", 1), "usage": ("usage", 1), "age": ("age", 1), "model": ("model", 1), "error": ("error", 1),
    "context": ("context", 1),
}  # fmt: skip
"""Entries of an END: the group that their value belongs to, and its place."""


class Policy(msgspec.Struct, frozen=True):
    """What a recorder may write down; the fields are the keys of `[record]`, and `key` is that of encryption."""

    write: str = "call"
    budget_bytes: int = 4 << 30
    entry_bytes: int = LIMIT
    when_full: str = "overwrite"
    blobs: str = "keep"
    blob_budget_bytes: int = 1 << 30
    encrypt_key_file: str = ""
    redact: Mapping[str, Any] = msgspec.field(default_factory=dict)
    key: bytes | None = None

    def to_dict(self) -> dict[str, Any]:
        """The keys of `[record]`; never the key of encryption."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "key"}

    @staticmethod
    def load(given: str | Path | Mapping[str, Any] | None = None) -> Policy:
        """The policy in a file or a mapping: given, or named by `WHIMBREL_POLICY`, or `whimbrel.toml` in this folder.

        Raises:
            UsageError: it cannot be read, or says something that makes no sense.
        """
        if isinstance(given, Mapping):
            return _checked(dict(given), "Recorder(policy=…)")
        table, where = read_table("record", given)
        return _checked(table, f"{where}, [record]")


def read_table(table: str, given: str | Path | None = None) -> tuple[dict[str, Any], str]:
    """One table of the policy's file, and the file's name; empty where there is no file, or no such table in it.

    The file is the given one, or that which `WHIMBREL_POLICY` names, or `whimbrel.toml` in this folder.

    Raises:
        UsageError: the file cannot be read.
    """
    from pathlib import Path

    named = given or os.environ.get(ENV_FILE)
    path = Path(named or "whimbrel.toml")
    if not named and not path.is_file():
        return {}, str(path)
    import tomllib

    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")).get(table, {})
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the policy cannot be read: {error}", where=str(path), why="it is missing, or no TOML",
            next="see docs/policy.md for one that works",
        ) from error  # fmt: skip
    if not isinstance(found, dict):
        raise UsageError(f"{table} is no table", where=str(path), next=f"write [{table}] above its keys")
    return found, str(path)


def _checked(table: dict[str, Any], where: str) -> Policy:
    known = [name for name in Policy.__struct_fields__ if name not in ("redact", "key")]
    for key, value in table.items():
        if key not in (*known, "redact"):
            raise UsageError(
                f"{key!r} is no setting of the recorder", where=where, why=f"the settings are {', '.join(known)}, redact",
                next="correct the name, or remove it",
            )  # fmt: skip
        wanted = _CHOICES.get(key)
        number = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if key == "entry_bytes" and not (number and _LEAST_ENTRY <= value <= LIMIT):
            raise UsageError(
                f"{key} = {value!r} makes no sense", where=where, why=f"it is {_LEAST_ENTRY} to {LIMIT} bytes", next="correct it",
            )  # fmt: skip
        if (wanted and value not in wanted) or (key.endswith("_bytes") and not number):
            said = " or ".join(map(repr, wanted)) if wanted else "a positive number of bytes"
            raise UsageError(f"{key} = {value!r} makes no sense", where=where, why=f"it is {said}", next="correct it")
        if key == "encrypt_key_file" and not isinstance(value, str):
            raise UsageError(f"{key} = {value!r} makes no sense", where=where, why="it is a path", next="correct it")
    redact = table.get("redact", {})
    if not isinstance(redact, Mapping):
        raise UsageError("redact is no table", where=where, next='write [record.redact] and "inputs.card" = "drop"')
    for path, rule in redact.items():
        _check_rule(path, rule, where)
    if "encrypt" not in redact.values():
        return Policy(**table)
    from whimbrel.record.encrypt import read_key

    if Rules(Policy(redact=redact)).rule("id") == "encrypt":
        raise UsageError(
            "ids would be encrypted", where=where, why="each time to another text, so that no label and no decision joins",
            next='write "id" = "hash", or "keep"',
        )  # fmt: skip
    return Policy(**table, key=read_key(table.get("encrypt_key_file")))


def _check_rule(path: object, rule: object, where: str) -> None:
    width = rule.get("bucket") if isinstance(rule, Mapping) and len(rule) == 1 else None
    sane = isinstance(width, int | float) and not isinstance(width, bool) and math.isfinite(width) and width > 0
    if rule not in _PLAIN_RULES and not sane:
        raise UsageError(
            f"{path!r} = {rule!r} is no rule", where=where, why='a rule is "keep", "drop", "hash", "encrypt" or { bucket = WIDTH }',
            next="correct it: a field without a working rule must not be recorded by accident",
        )  # fmt: skip
    if rule == "hash" and not os.environ.get(ENV_KEY):
        raise UsageError(
            f"{path!r} is to be hashed, and there is no key", where=where,
            why="a hash without a key can be guessed by trying values", next=f"set {ENV_KEY} to a secret of the app",
        )  # fmt: skip


class Rules:
    """Redaction, applied to the bodies of frames. What could not be redacted, and was dropped, is counted in `losses`."""

    def __init__(self, policy: Policy, losses: dict[str, int] | None = None) -> None:
        from hashlib import blake2b

        redact = policy.redact
        self.secret = policy.key
        self.losses = {} if losses is None else losses
        self.exact = {path: rule for path, rule in redact.items() if "*" not in path}
        self.patterns = sorted((path for path in redact if "*" in path), key=len, reverse=True)
        self.redact = redact
        self.key = blake2b(os.environ.get(ENV_KEY, "").encode()).digest()
        self.known: dict[str, Any] = {}

    def apply(self, kind: int, body: bytes) -> bytes:
        """A frame's body with every field that a rule names kept, dropped, hashed or put into its bucket.

        A body that cannot be redacted leaves nothing of what was said but the loss.
        """
        try:
            found = msgspec.msgpack.decode(body)
            if kind in (Kind.END, Kind.PART):
                found = [self.entry(entry) for entry in found]
            elif kind in (Kind.BEGIN, Kind.LABEL, Kind.DECISION, Kind.EVENT):
                found = {key: found[key] if key in ("ts", "lost") else self.field(key, found[key], 0) for key in found}
                found = {key: value for key, value in found.items() if value is not _GONE}
            return msgspec.msgpack.encode(found)
        except Exception:  # noqa: BLE001  whatever went wrong, nothing may be written that a rule forbids
            self.losses["redact"] = self.losses.get("redact", 0) + 1
            loss = "it could not be redacted, and was dropped"
            if kind in (Kind.END, Kind.PART):
                return msgspec.msgpack.encode([["lost", "steps", loss]])
            return msgspec.msgpack.encode({"ts": 0, "inputs": {}, "lost": [["inputs", loss]]})

    def entry(self, entry: list[Any]) -> list[Any]:
        """One entry of an END."""
        group, at = _VALUES.get(entry[0], ("", 0))
        if not at:
            return entry
        path = f"steps.{entry[1]}" if group == "steps" else group
        value = self.field(path, entry[at], 0)
        return [*entry[:at], {} if value is _GONE and at == 2 else None if value is _GONE else value, *entry[at + 1 :]]

    def field(self, path: str, value: Any, depth: int) -> Any:
        """One field by its rule, or by the rules of what is in it."""
        rule = self.rule(path)
        if rule is not None and rule != "keep":
            if isinstance(value, dict) and "." not in path and rule != "drop":  # a whole group: it stays one
                parts = {name: self.changed(rule, part) for name, part in value.items()}
                return {name: part for name, part in parts.items() if part is not _GONE}
            return self.changed(rule, value)
        if depth > _DEPTH:
            return _GONE
        if isinstance(value, dict):
            parts = {name: self.field(f"{path}.{name}", part, depth + 1) for name, part in value.items()}
            return {name: part for name, part in parts.items() if part is not _GONE}
        if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            items = [self.field(path, item, depth + 1) if isinstance(item, dict | list) else item for item in value]
            return [item for item in items if item is not _GONE]
        return value

    def rule(self, path: str) -> Any:
        """The rule for a path: its own, else the longest pattern's that fits; None where none does."""
        try:
            return self.known[path]
        except KeyError:
            fits = (pattern for pattern in self.patterns if fnmatchcase(path, pattern))
            rule = self.exact.get(path) or self.redact.get(next(fits, ""))
            if len(self.known) < _KNOWN_PATHS:
                self.known[path] = rule
            return rule

    def changed(self, rule: Any, value: Any) -> Any:
        """A value as its rule leaves it; one that the rule does not fit is dropped."""
        if value is None:
            return None
        if rule == "hash":
            from hashlib import blake2b

            data = value.encode() if isinstance(value, str) else msgspec.msgpack.encode(value)
            return f"h-{blake2b(data, key=self.key, digest_size=12).hexdigest()}"
        if rule == "encrypt":
            return self.sealed(value)
        if isinstance(rule, Mapping) and isinstance(value, int | float) and not isinstance(value, bool):
            width = rule["bucket"]
            return math.floor(value / width) * width if math.isfinite(value) else _GONE
        return _GONE

    def sealed(self, value: Any) -> Any:
        """A value encrypted; without a key, and whatever else goes wrong, it is dropped and counted."""
        try:
            if self.secret is not None:
                from whimbrel.record.encrypt import seal

                return seal(value, self.secret)
        except Exception:  # noqa: BLE001, S110  nothing may be written that was to be encrypted
            pass
        self.losses["encrypt"] = self.losses.get("encrypt", 0) + 1
        return _GONE


_GONE: Any = object()
"""Stands for a field that was dropped."""
