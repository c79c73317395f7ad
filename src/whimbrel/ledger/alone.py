"""`verify.py`: the rooms that check a bundle, put into one file that needs Python and `cryptography` and no Whimbrel.

In: the sources of `merkle/`, `bundle.py`, `stamps.py` and `verdicts.py`. Out: one source, which lies in every bundle. There is one checker, not
two that might disagree; whoever does not want to trust it writes another from the public specifications.
"""

from __future__ import annotations

import ast
from importlib.resources import files

_PARTS = ("merkle/tree.py", "merkle/notes.py", "merkle/proofs.py", "bundle.py", "stamps.py", "verdicts.py")
_HEAD = '''"""Checks an evidence bundle of Whimbrel's ledger: python verify.py BUNDLE.zip --key NAME+ID+KEY [--policy FILE] [--tsa-certs FILE]

Needs Python 3.11 or newer and the library `cryptography` (pip install cryptography), and nothing else. Each line of its answer
stands for itself; what is not proven is listed below them. Take the key from somebody you trust, never from the bundle.
Exit status: 0 no line failed, 1 one did, 3 the bundle or the policy cannot be read, 4 no key was given.
"""

from __future__ import annotations


class InputError(Exception):
    """Something that cannot be read or does not hold: what, where, why, and what to do next."""

    def __init__(self, what: str, *, where: str = "", why: str = "", next: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.why, self.next = what, where, why, next
'''
_FOOT = '''

def main() -> int:
    """Check the bundle that the command line names."""
    import argparse
    import sys

    parser = argparse.ArgumentParser(description="Check an evidence bundle of a ledger.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--key", action="append", default=[], help="a log's public key, from somebody you trust")
    parser.add_argument("--policy", type=Path, help="a policy file: logs, witnesses, quorum")
    parser.add_argument("--tsa-certs", type=Path, help="certificates of whoever stamped the time, in PEM")
    asked = parser.parse_args()
    try:
        policy = read_policy(asked.policy.read_text("utf-8")) if asked.policy else None
        certificates = read_certificates(asked.tsa_certs.read_bytes()) if asked.tsa_certs else ()
        found = Bundle(read_bundle(asked.bundle), [read_key(text) for text in asked.key], policy, certificates).found()
    except (InputError, OSError, UnicodeDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    print(found.text())
    return found.code


if __name__ == "__main__":
    raise SystemExit(main())
'''


def verify_py() -> str:
    """The source of `verify.py`."""
    room = files("whimbrel.ledger")
    parts = [_bare(room.joinpath(*name.split("/")).read_text("utf-8"), name) for name in _PARTS]
    return "\n".join([_HEAD, *parts]) + _FOOT


def _bare(source: str, name: str) -> str:
    """A module's source without what it takes from Whimbrel, and its docstring as a comment."""
    lines = source.splitlines()
    for node in ast.parse(source).body:
        ours = isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("whimbrel", "__future__")
        docstring = node.lineno == 1
        for at in range(node.lineno - 1, node.end_lineno or node.lineno):
            if ours:
                lines[at] = ""
            elif docstring:
                lines[at] = "# " + lines[at].strip('"')
    return "\n".join([f"# --- {name}", *lines])
