"""Time stamps by RFC 3161: somebody outside signs that a checkpoint was there at a time; asked for, and checked.

In: the digest of a checkpoint's text; a token; the certificates that the reader trusts. Out: a request, a token, `Stamp`; or ProofError.
A token is CMS (RFC 5652) in DER, of which as much is read as a time stamp needs. What must hold: the token is about this digest, the
signer's certificate is for time stamps alone and was valid then, and a chain leads from it to a certificate that the reader gave.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from whimbrel.ledger.merkle.notes import split_note, unbase64
from whimbrel.ledger.merkle.tree import ProofError, check

LARGEST_TOKEN = 64 << 10
_SEQUENCE, _INTEGER, _OCTETS, _OID, _TIME = b"\x30", b"\x02", b"\x04", b"\x06", b"\x18"
_SIGNED_DATA, _TST_INFO = bytes.fromhex("2a864886f70d010702"), bytes.fromhex("2a864886f70d0109100104")
_CONTENT_TYPE, _DIGEST = bytes.fromhex("2a864886f70d010903"), bytes.fromhex("2a864886f70d010904")
_ESS = {bytes.fromhex("2a864886f70d010910020c"): "sha1", bytes.fromhex("2a864886f70d010910022f"): "sha256"}
_HASHES = {bytes.fromhex(f"60864801650304020{number}"): name for number, name in enumerate(("sha256", "sha384", "sha512"), 1)}  # fmt: skip
_SHA256 = bytes.fromhex("608648016503040201")
_LONGEST_CHAIN = 6


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who says so, and that the digest was there at that time at the latest."""

    by: str
    time: datetime


@dataclass(frozen=True, slots=True)
class _Item:
    """One element of DER: its tag, what is in it, and all its bytes."""

    tag: bytes
    body: bytes
    raw: bytes

    def parts(self) -> list[_Item]:
        """The elements in it."""
        return list(_items(self.body))


def _items(data: bytes) -> Iterator[_Item]:
    at = 0
    while at < len(data):
        check(at + 2 <= len(data) and data[at] & 0x1F != 0x1F, "the token is no DER", "time stamp")
        start, size = at + 2, data[at + 1]
        if size & 0x80:
            start += size & 0x7F
            check(0 < size & 0x7F <= 4 and start <= len(data), "the token is no DER", "time stamp")
            size = int.from_bytes(data[at + 2 : start], "big")
        check(start + size <= len(data), "the token is cut", "time stamp")
        yield _Item(data[at : at + 1], data[start : start + size], data[at : start + size])
        at = start + size


def _one(data: bytes, tag: bytes = _SEQUENCE) -> _Item:
    found = list(_items(data))
    check(len(found) == 1 and found[0].tag == tag, "the token has another shape than a time stamp", "time stamp")
    return found[0]


def _element(tag: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return tag + (bytes([len(body)]) if len(body) < 128 else b"\x82" + len(body).to_bytes(2, "big")) + body


def request(digest: bytes, nonce: int) -> bytes:
    """What is asked of an authority about a SHA-256 digest: a token with its certificates and this nonce, below 2^63."""
    imprint = _element(_SEQUENCE, _element(_SEQUENCE, _element(_OID, _SHA256), b"\x05\x00"), _element(_OCTETS, digest))
    number = _element(_INTEGER, nonce.to_bytes(nonce.bit_length() // 8 + 1, "big"))
    return _element(_SEQUENCE, b"\x02\x01\x01", imprint, number, b"\x01\x01\xff")


def token_of(answer: bytes) -> bytes:
    """The token in an authority's answer. Raises ProofError where it was refused, or is none."""
    check(len(answer) <= LARGEST_TOKEN, "the answer is too long for a time stamp", "time stamp")
    parts = _one(answer).parts()
    status = parts[0].parts()[0].body if parts and parts[0].parts() else b"?"
    check(status in (b"\0", b"\1") and len(parts) == 2, f"the request was refused: status {status.hex()}", "time stamp")
    return parts[1].raw


def verify_token(token: bytes, digest: bytes, trusted: Sequence[Any], *, nonce: int | None = None) -> Stamp:
    """Check a token over a SHA-256 digest.

    Args:
        token: its DER.
        digest: what it must be about.
        trusted: certificates (`cryptography.x509`) of the authority or of who vouches for it.
        nonce: what the request bore, where one was made.

    Raises:
        ProofError: it does not hold, or nobody trusted vouches for it.
    """
    check(len(token) <= LARGEST_TOKEN, "the token is too long", "time stamp")
    try:
        return _verified(token, digest, trusted, nonce)
    except ProofError:
        raise
    except Exception as error:  # the library has many names for hostile bytes
        raise ProofError(f"the token cannot be read: {error}", where="time stamp") from error


def checked_stamp(held: Mapping[str, Any], trusted: Sequence[Any]) -> tuple[bytes, Stamp]:
    """The text of the checkpoint that was stamped, and by whom and when; from what was kept of it. Raises ProofError."""
    text = split_note(str(held["checkpoint"]).encode())[0]
    token = unbase64(str(held["token"]))
    return text, verify_token(token, hashlib.sha256(text).digest(), trusted)


def _verified(token: bytes, digest: bytes, trusted: Sequence[Any], nonce: int | None) -> Stamp:
    from cryptography import x509

    kind, wrapped = _one(token).parts()
    check(kind.body == _SIGNED_DATA, "the token is no signed data", "time stamp")
    _, _, content, *rest = _one(wrapped.body).parts()
    what, inner = content.parts()
    info = _one(inner.body, _OCTETS).body
    check(what.body == _TST_INFO, "what was signed is no time stamp", "time stamp")
    (signer,) = rest[-1].parts()
    held = [x509.load_der_x509_certificate(one.raw) for one in rest[0].parts()] if rest[0].tag == b"\xa0" else []
    moment = _about(info, digest, nonce)
    own = _signed(signer, info, [*held, *trusted])
    _vouched(own, held, trusted, moment)
    return Stamp(own.subject.rfc4514_string(), moment)


def _about(info: bytes, digest: bytes, nonce: int | None) -> datetime:
    """The time that the token says, which must be about the digest, in answer to the request."""
    _, _, imprint, _, said, *more = _one(info).parts()
    algorithm, hashed = imprint.parts()
    check(
        algorithm.parts()[0].body == _SHA256 and hashed.body == digest,
        "the time stamp is of something else",
        "time stamp",
    )
    check(said.tag == _TIME and said.body.endswith(b"Z"), "the time stamp says no time", "time stamp")
    numbers = [int.from_bytes(one.body, "big") for one in more if one.tag == _INTEGER]
    check(nonce is None or numbers == [nonce], "the time stamp answers another request", "time stamp")
    text = said.body[:-1].decode().partition(".")[0]
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def _signed(signer: _Item, info: bytes, known: Sequence[Any]) -> Any:
    """The certificate that signed: it is named in what it signed."""
    from cryptography.hazmat.primitives import serialization

    _, _, algorithm, attributes, _, signature, *_ = signer.parts()
    name = _HASHES[algorithm.parts()[0].body]
    check(attributes.tag == b"\xa0", "the time stamp signs no attributes", "time stamp")
    told = {
        kind.body: _one(values.body, values.body[:1]) for kind, values in (one.parts() for one in attributes.parts())
    }
    fits = told[_CONTENT_TYPE].body == _TST_INFO and told[_DIGEST].body == hashlib.new(name, info).digest()
    check(fits, "the time stamp was changed after it was signed", "time stamp")
    (ess,) = [kind for kind in told if kind in _ESS]
    parts = told[ess].parts()[0].parts()[0].parts()
    by = _HASHES[parts[0].parts()[0].body] if parts[0].tag == _SEQUENCE else _ESS[ess]
    (hashed,) = [one for one in parts if one.tag == _OCTETS]
    der = serialization.Encoding.DER
    own = [one for one in known if hashlib.new(by, one.public_bytes(der)).digest() == hashed.body]
    check(bool(own), "the certificate that signed is not there", "time stamp")
    _check_signature(own[0].public_key(), signature.body, b"\x31" + attributes.raw[1:], name)
    return own[0]


def _check_signature(key: Any, signature: bytes, data: bytes, name: str) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    hashed = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}[name]
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, padding.PKCS1v15(), hashed)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(hashed))
        else:
            raise ProofError("the time stamp is signed in an unknown way", where="time stamp")
    except InvalidSignature as error:
        raise ProofError("the time stamp's signature does not hold", where="time stamp") from error


def _vouched(own: Any, held: Sequence[Any], trusted: Sequence[Any], moment: datetime) -> None:
    """Check that a chain leads from the certificate to a trusted one, all valid at the time."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        usage = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        usage = None
    fits = usage is not None and usage.critical and list(usage.value) == [ExtendedKeyUsageOID.TIME_STAMPING]
    check(fits, "the certificate that signed is not one for time stamps alone", "time stamp")
    at = own
    for _ in range(_LONGEST_CHAIN):
        valid = at.not_valid_before_utc <= moment <= at.not_valid_after_utc
        check(valid, f"the certificate of {at.subject.rfc4514_string()} was not valid then", "time stamp")
        if at in trusted:
            return
        for other in (*trusted, *held):
            try:
                at.verify_directly_issued_by(other)
                if other.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
                    break
            except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
                continue
        else:
            break
        at = other
    raise ProofError("nobody whom you trust vouches for the time stamp", where="time stamp", why="its certificate is by others: --tsa-certs FILE")  # fmt: skip


def read_certificates(data: bytes) -> list[Any]:
    """Certificates from a PEM file. Raises ProofError."""
    from cryptography import x509

    try:
        return list(x509.load_pem_x509_certificates(data))
    except ValueError as error:
        raise ProofError("these are no certificates", where="--tsa-certs", why="a PEM file is expected") from error
