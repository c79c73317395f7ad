"""The Merkle room: trees, tiles, notes and proofs as the public C2SP formats have them, and nothing else.

In: bytes and numbers. Out: hashes, proofs, texts to publish; or `ProofError`, where something does not hold. No file, clock,
socket or randomness is touched here; whoever calls reads and writes. `cryptography` does Ed25519 and is imported when
a key is first used. `tree` has roots and proofs, `tiles` their layout, `notes` keys and signatures, `proofs` what is published.

Sources: RFC 6962 and RFC 9162 (trees and proofs); C2SP tlog-tiles, signed-note, tlog-checkpoint, tlog-cosignature and
tlog-proof (c2sp.org). Hashes are SHA-256, 32 bytes, everywhere.
"""
