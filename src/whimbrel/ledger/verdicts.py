"""What an evidence bundle proves, line by line, to somebody who has a public key from elsewhere; and what it does not.

In: a bundle's files, the reader's keys and policy. Out: `Found`. Nothing in a bundle is trusted: a key or a policy inside is
the operator's own word, and said to be that. There is no PASS: each line stands for itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from whimbrel.ledger.merkle.notes import LOG, WITNESS, Key, open_note, read_key, split_note
from whimbrel.ledger.merkle.proofs import Checkpoint, Proof, parse_checkpoint, read_proof
from whimbrel.ledger.merkle.tree import ProofError, check, leaf_hash, verify_inclusion
from whimbrel.ledger.stamps import Stamp, checked_stamp

OK, FAILED, UNSHOWN = "ok", "FAILED", "not shown"
FORMAT = "whimbrel.evidence/1"
SCHEMAS = {
    "pred": ("who", "input", "output", "system", "oversight", "cost-risk"),
    "run": ("system",),
    "event": ("event",),
    "outcome": ("output",),
    "decision": ("output",),
    "hold": ("hold",),
}
"""The groups that entries of each kind commit to, in order."""

_MOST_POLICY = 1000

ALWAYS_UNPROVEN = (
    "that what was recorded is true: an app that lies, or inputs that were false, look the same",
    "that nothing happened that was never recorded: only an outside count (a gateway, a bill) can say that",
    "that the model, code or data named here were the ones that ran, beyond the operator's recording of their digests",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line: what was asked, how it came out (ok, FAILED, not shown), and why."""

    line: str
    state: str
    says: str


@dataclass(frozen=True, slots=True)
class Found:
    """The lines, and what is not proven whatever they say."""

    verdicts: tuple[Verdict, ...]
    not_proven: tuple[str, ...] = ()

    @property
    def code(self) -> int:
        """1 where a line failed, 4 where nobody from outside vouches for the key, else 0."""
        if any(one.state == FAILED for one in self.verdicts):
            return 1
        return 4 if any((one.line, one.state) == ("signature", UNSHOWN) for one in self.verdicts) else 0

    def text(self) -> str:
        """As a person reads it."""
        lines = [f"{one.line:<12} {one.state:<9} {_printable(one.says)}" for one in self.verdicts]
        return "\n".join([*lines, "", "NOT PROVEN", *(f"  - {_printable(one)}" for one in self.not_proven)])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        told = [{"line": one.line, "state": one.state, "says": one.says} for one in self.verdicts]
        return {"schema": "whimbrel.verdicts/1", "verdicts": told, "not_proven": list(self.not_proven)}


@dataclass(frozen=True, slots=True)
class Policy:
    """Whom the reader trusts: keys of logs, witnesses by name, and how many of them must have seen a checkpoint."""

    logs: tuple[Key, ...] = ()
    witnesses: Mapping[str, Key] = field(default_factory=dict)
    groups: Mapping[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    quorum: str = "none"
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Where witnesses are asked, by name."""

    def met(self, name: str, seen: frozenset[bytes]) -> bool:
        """Whether a witness or a group is satisfied by these public keys; one key counts once, whatever names it has."""
        if name == "none":
            return True
        if name in self.witnesses:
            return self.witnesses[name].public in seen
        least, members = self.groups[name]
        plain = {
            self.witnesses[one].public
            for one in members
            if one in self.witnesses and self.witnesses[one].public in seen
        }
        return len(plain) + sum(self.met(one, seen) for one in members if one not in self.witnesses) >= least


def read_policy(text: str) -> Policy:
    """A policy file of C2SP: lines `log KEY`, `witness NAME KEY [URL]`, `group NAME any|all|K MEMBER…`, `quorum NAME|none`; # comments.

    Raises:
        ProofError: a line makes no sense, or names what no line before it defined.
    """
    logs: list[Key] = []
    witnesses: dict[str, Key] = {}
    groups: dict[str, tuple[int, tuple[str, ...]]] = {}
    addresses: dict[str, str] = {}
    quorum: str | None = None
    for number, line in enumerate(text.splitlines()[:_MOST_POLICY], 1):
        known = {"none", *witnesses, *groups}
        match line.split("#", 1)[0].split():
            case []:
                continue
            case ["log", key, *_]:
                logs.append(read_key(key))
            case ["witness", name, key, *address] if name not in known:
                witnesses[name] = read_key(key)
                if address and address[0].startswith(("http://", "https://")):
                    addresses[name] = address[0]
            case ["group", name, least, *members] if name not in known and members and set(members) <= known - {"none"}:
                wanted = {"any": "1", "all": str(len(members))}.get(least, least)
                check(
                    wanted.isdigit() and 0 < int(wanted) <= len(members),
                    f"line {number}: {least[:20]!r} of {len(members)}",
                    "policy",
                )
                groups[name] = int(wanted), tuple(dict.fromkeys(members))
            case ["quorum", name] if name in known and quorum is None:
                quorum = name
            case _:
                raise ProofError(f"line {number} of the policy cannot be read: {line[:80]!r}", where="policy")
    check(all(key.kind == WITNESS for key in witnesses.values()), "a witness has the key of a log", "policy")
    check(all(key.kind == LOG for key in logs), "a log has the key of a witness", "policy")
    return Policy(tuple(logs), witnesses, groups, quorum or "none", addresses)


def judged(line: str, judge: Callable[[], tuple[str, str]]) -> Verdict:
    """One line; what does not hold or has another shape than it should is a failure, never a crash."""
    try:
        return Verdict(line, *judge())
    except ProofError as error:
        return Verdict(line, FAILED, f"{error.what} ({error.where})")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        return Verdict(line, FAILED, f"malformed: {type(error).__name__}: {str(error)[:200]}")


class Bundle:
    """One bundle under examination: each method is one line."""

    def __init__(
        self, files: Mapping[str, bytes], keys: Sequence[Key], policy: Policy | None, certificates: Sequence[Any] = ()
    ) -> None:
        self.files, self.policy = files, policy or Policy()
        self.keys = tuple(dict.fromkeys([*keys, *self.policy.logs]))
        self.outside, self.certificates = bool(self.keys), tuple(certificates)
        self.unproven = list(ALWAYS_UNPROVEN)
        self.entry: dict[str, Any] = {}
        self.head: Checkpoint | None = None

    def found(self) -> Found:
        """All lines; one that cannot be judged because an earlier one failed says so."""
        lines: tuple[tuple[str, Callable[[], tuple[str, str]]], ...] = (
            ("bytes", self.listed), ("inclusion", self.inclusion), ("signature", self.signature), ("witnesses", self.witnesses),
            ("time", self.time), ("completeness", self.completeness), ("disclosures", self.disclosures), ("later", self.later),
            ("run", self.run), ("replay", self.replay),
        )  # fmt: skip
        return Found(tuple(judged(name, judge) for name, judge in lines), tuple(self.unproven))

    def read(self, name: str) -> Any:
        """A JSON file of the bundle; a name that stands twice in an object is refused."""
        check(name in self.files, f"{name} is missing", "bundle")
        return strict_json(self.files[name])

    def listed(self) -> tuple[str, str]:
        """Every file is the one that the manifest lists."""
        told = self.read("MANIFEST.json")
        check(told["format"] == FORMAT, f"the bundle's format is {str(told['format'])[:40]!r}", "MANIFEST.json")
        files = told["files"]
        check(
            set(files) == set(self.files) - {"MANIFEST.json"},
            "the files are not those that the manifest lists",
            "MANIFEST.json",
        )
        for name, digest in files.items():
            check(
                hashlib.sha256(self.files[name]).hexdigest() == digest,
                f"{name} is not the file that was listed",
                "MANIFEST.json",
            )
        self.entry = entry_fields(self.files["entry.json"])
        return (
            OK,
            f"{len(self.files)} files; the entry is a {self.entry['k']} of {self.entry.get('t')}, {self.entry.get('id')}",
        )

    def inclusion(self) -> tuple[str, str]:
        """The entry is in the tree of the checkpoint."""
        proof = read_proof(self.files["proof.tlog-proof"])
        head = included(self.files["entry.json"], proof)
        self.head = head
        return OK, f"entry {proof.index:,} of {head.size:,} in {head.origin}"

    def signature(self) -> tuple[str, str]:
        """The log's key signed the checkpoint; only a key from outside says whose it is."""
        note = self.checkpoint()
        if not self.outside:
            own = read_policy(self.files["policy"].decode()).logs if "policy" in self.files else ()
            self.unproven.append(
                "who signed: the only key is in the bundle itself; give the one that you were told: --key"
            )
            signed = [str(key) for key in open_note(note, own)[1]]
            return UNSHOWN, f"signed by {signed[0] if signed else 'nobody known'}, which is the bundle's own word"
        by = [key for key in open_note(note, self.keys)[1] if key.kind == LOG]
        origin = parse_checkpoint(split_note(note)[0]).origin
        check(any(key.name == origin for key in by), f"no key that was given signed for {origin!r}", "checkpoint")
        return OK, f"signed by {', '.join(str(key) for key in by)}"

    def checkpoint(self) -> bytes:
        """The checkpoint's bytes; without a proof there is none."""
        check("proof.tlog-proof" in self.files, "proof.tlog-proof is missing", "bundle")
        return read_proof(self.files["proof.tlog-proof"]).checkpoint

    def witnesses(self) -> tuple[str, str]:
        """Enough witnesses, of those that the reader trusts, saw this checkpoint."""
        known = tuple(dict.fromkeys(self.policy.witnesses.values()))
        if not known:
            self.unproven.append(
                "that others were shown the same log: no witness is known; a log and its key in one hand can be rewritten"
            )
            return UNSHOWN, "no policy names a witness"
        seen = {key.public: moment(signature) for key, signature in open_note(self.checkpoint(), known)[1].items()}
        said = f"{len(seen)} of {len({key.public for key in known})} known witnesses cosigned; the quorum is {self.policy.quorum}"
        check(self.policy.met(self.policy.quorum, frozenset(seen)), said, "checkpoint")
        return (OK if self.policy.quorum != "none" else UNSHOWN), said

    def time(self) -> tuple[str, str]:
        """When the entry was in the log at the latest: only somebody from outside can say."""
        known = tuple(dict.fromkeys(self.policy.witnesses.values()))
        times = [(moment(signature), key.name) for key, signature in open_note(self.checkpoint(), known)[1].items()]
        self.unproven.append(
            f"that it happened at {self.entry.get('t')}: that is the producer's clock; nothing here says that it was not earlier"
        )
        if "stamp.json" in self.files and self.certificates:
            found = self.stamped()
            times.append((int(found.time.timestamp()), found.by))
        elif "stamp.json" in self.files:
            self.unproven.append("the time stamp: give the certificate of whoever made it: --tsa-certs")
        if not times:
            return UNSHOWN, "nobody from outside says when"
        first, name = min(times)
        own, latest = str(self.entry.get("t", "")), iso(first)
        check(
            own[:19] <= iso(first + 300)[:19],
            f"the entry's own time {own[:40]} is after its witness's, {latest}",
            "time",
        )
        return OK, f"in the log by {latest}, says {name}"

    def stamped(self) -> Stamp:
        """Who stamped a tree of this log that has the entry in it."""
        held = self.read("stamp.json")
        text, found = checked_stamp(held, self.certificates)
        proof = read_proof(str(held["proof"]).encode())
        check(split_note(proof.checkpoint)[0] == text, "what was stamped is another checkpoint", "stamp.json")
        tree = included(self.files["entry.json"], proof)
        fits = self.head is not None and tree.origin == self.head.origin
        check(fits, f"what was stamped is a checkpoint of {tree.origin!r}", "stamp.json")
        return found

    def completeness(self) -> tuple[str, str]:
        """The producer's entries just before and after it are in the same tree."""
        if "completeness.json" not in self.files:
            self.unproven.append("that nothing was left out around it: no neighbours are shown")
            return UNSHOWN, "no neighbours are in the bundle"
        told, shown, missing = self.read("completeness.json"), [], []
        producer, number = str(self.entry["p"]), int(self.entry["s"])
        for side, other in (("before", -1), ("after", 1)):
            held = told.get(side)
            if not isinstance(held, dict) or "entry" not in held:
                missing.append(f"number {number + other}: {str((held or {}).get('why', 'not shown'))[:120]}")
                continue
            neighbour = self.beside(held)
            theirs = neighbour.get("p"), neighbour.get("s")
            check(
                theirs == (producer, number + other),
                f"the entry {side} it is number {theirs[1]} of {str(theirs[0])[:60]}",
                "completeness",
            )
            shown.append(str(number + other))
        if missing:
            self.unproven.append(f"what became of {producer}'s {'; '.join(missing)}")
        says = f"{producer}'s numbers around {number}: {', '.join(shown) or 'none'} in the same log"
        return (OK if len(shown) == 2 else UNSHOWN), says + (f"; {'; '.join(missing)}" if missing else "")

    def beside(self, held: Mapping[str, Any]) -> dict[str, Any]:
        """Another entry, proven in the same tree."""
        data = str(held["entry"]).encode()
        head = included(data, read_proof(str(held["proof"]).encode()))
        check(head == self.head, "a neighbour is proven in another tree", "completeness")
        return entry_fields(data)

    def disclosures(self) -> tuple[str, str]:
        """What is disclosed is what the entry committed to; what is not is listed."""
        told = self.read("disclosures.json")
        lists = committed_groups(self.entry, told["groups"])
        if str(self.entry.get("id", "")).startswith("h-"):
            lists["disclosed"].append(f"id {disclosed_id(told.get('id'), self.entry['id'])!r}")
        if lists["withheld"] or lists["erased"]:
            self.unproven.append(
                f"anything of what is withheld ({', '.join(lists['withheld']) or '-'}) or erased ({', '.join(lists['erased']) or '-'})"
            )
        return OK, "; ".join(f"{what} {', '.join(names)}" for what, names in lists.items() if names)

    def later(self) -> tuple[str, str]:
        """Labels and decisions that came later have entries in the same tree, about this prediction."""
        if "later.json" not in self.files:
            return UNSHOWN, "no later label or decision is in the bundle"
        told, says = self.read("disclosures.json"), []
        mine = strict_json(told["id"].encode())[2] if told.get("id") else self.entry["id"]
        for held in self.read("later.json"):
            entry = self.beside(held)
            check(
                entry["k"] in ("outcome", "decision"),
                f"an entry of kind {str(entry['k'])[:40]} is no label and no decision",
                "later.json",
            )
            of = entry["of"] if "id" not in held else disclosed_id(held["id"], entry["of"])
            check(of == mine, "a label or decision is about another prediction", "later.json")
            lists = committed_groups(entry, held["groups"])
            says.append(f"{entry['k']} of {entry.get('t')} {'disclosed' if lists['disclosed'] else 'withheld'}")
        check(bool(says), "it names no later label and no decision", "later.json")
        self.unproven.append("that no other label or decision came later")
        return OK, "; ".join(says)

    def run(self) -> tuple[str, str]:
        """The process that made it has an entry in the same tree."""
        if "run.json" not in self.files:
            return UNSHOWN, "no entry of the process is in the bundle"
        told = self.read("run.json")
        entry = self.beside(told)
        check((entry["k"], entry["id"]) == ("run", self.entry.get("p")), "the run is another process's", "run.json")
        lists = committed_groups(entry, told["groups"])
        return OK, f"process {entry['id']} since {entry.get('t')}; {'disclosed' if lists['disclosed'] else 'withheld'}"

    def replay(self) -> tuple[str, str]:
        """What a replay gave is the operator's word: only the reader's own replay shows it."""
        if "replay.json" not in self.files:
            return UNSHOWN, "no replay is in the bundle"
        told = self.read("replay.json")
        self.unproven.append("the replay: it was run by whoever made the bundle; run it yourself")
        return (
            UNSHOWN,
            f"the maker of the bundle says: {str(told.get('sentence') or told.get('verdict') or told)[:300]}",
        )


def included(entry: bytes, proof: Proof) -> Checkpoint:
    """The checkpoint in whose tree a proof shows an entry to be, whoever signed it."""
    head = parse_checkpoint(split_note(proof.checkpoint)[0])
    verify_inclusion(leaf_hash(entry), proof.index, head.size, proof.path, head.root)
    return head


def entry_fields(data: bytes) -> dict[str, Any]:
    """An entry's fields. Raises ProofError: no object, a name twice, another version."""
    held = strict_json(data)
    fine = isinstance(held, dict) and held.get("v") == 1 and isinstance(held.get("k"), str)
    check(fine, "an entry is of no known version", "entry", "it was written by a later whimbrel, or is none")
    return dict(held)


def strict_json(data: bytes) -> Any:
    """JSON in which no object names anything twice. Raises ProofError."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        check(
            len(found) == len(pairs),
            "a name stands twice in one object",
            "JSON",
            "two readers would read it differently",
        )
        return found

    try:
        return json.loads(data.decode(), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise ProofError(f"this is no JSON: {error}", where="JSON") from error


def disclosed_id(line: Any, ident: str) -> str:
    """The id that a line discloses, which must be the one whose digest stands in an entry."""
    check(isinstance(line, str), "the id that an entry is about is not disclosed", "id")
    digest = "h-" + hashlib.sha256(line.encode()).hexdigest()[:32]
    check(digest == ident, "the id is not the one that the entry is about", "id")
    return str(strict_json(line.encode())[2])


def committed_groups(entry: Mapping[str, Any], groups: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Which groups are disclosed, withheld and erased; all of them together must be what the entry committed to."""
    names = SCHEMAS[entry["k"]]
    lists: dict[str, list[str]] = {"disclosed": [], "withheld": [], "erased": []}
    digests, found = b"", []
    for one in groups:
        name = str(one["group"])
        found.append(name)
        if "line" in one:
            line = one["line"].encode()
            salt, said, _ = strict_json(line)
            check(
                said == name and len(bytes.fromhex(salt)) == 16,
                f"the disclosure of {name[:40]} is of {str(said)[:40]}",
                "disclosures",
            )
            digests += hashlib.sha256(line).digest()
            lists["disclosed"].append(name)
        else:
            digests += bytes.fromhex(one["digest"])
            lists["erased" if one.get("why") == "erased" else "withheld"].append(name)
    check(tuple(found) == names, f"the groups are {', '.join(found)[:100]}, not {', '.join(names)}", "disclosures")
    fr = hashlib.sha256(b"\x02" + entry["k"].encode() + b"/1\n" + digests).digest()
    said = "the values are not those that were committed to"
    check(
        base64.b64encode(fr).decode() == entry["fr"],
        said,
        "disclosures",
        "they were changed, or belong to another entry",
    )
    return lists


def moment(cosignature: bytes) -> int:
    """When a witness cosigned, in seconds since 1970."""
    return int.from_bytes(cosignature[:8], "big")


def iso(seconds: int) -> str:
    """A time as entries have it, to the second."""
    return datetime.fromtimestamp(min(seconds, 1 << 36), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:2000]
