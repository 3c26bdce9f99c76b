"""Signed notes and verifier keys (C2SP signed-note).

A note is a text that ends in LF, an empty line, and signature lines:

    — <key name> base64(key id[4] || signature)

The text may hold empty lines; the *last* one separates. What a signature means and whether it verifies is
not decided here (`log.crypto.notes`): lines of unknown keys, repeated lines and any order of lines are kept
as they came.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Self

from log.errors import Malformed
from log.formats import text as txt


@dataclass(frozen=True, slots=True)
class NoteLimits:
    """What a reader takes: Go's reader stops after 100 signatures, the spec asks for at least 16."""

    max_bytes: int = 1 << 20
    max_signatures: int = 100


LIMITS = NoteLimits()

_DASH = "— "  # U+2014 and a space open every signature line
_SEPARATOR = b"\n\n"
_ID_SIZE = 4  # bytes of a key id


class KeyType(IntEnum):
    """The signature type byte of a verifier key."""

    ED25519 = 0x01
    ECDSA = 0x02
    COSIGNATURE = 0x04  # timestamped Ed25519, log.formats.cosignature
    TREE_HEAD = 0x05  # RFC 6962 TreeHeadSignature, log.formats.tree_head
    MLDSA = 0x06  # timestamped ML-DSA-44
    PRIVATE = 0xFF  # a longer identifier follows, log.formats.names


_KEY_SIZES = {KeyType.ED25519: 32, KeyType.COSIGNATURE: 32, KeyType.MLDSA: 1312}  # bytes; others vary


def check_name(name: str) -> None:
    """Raise `Malformed` unless this is a key name: not empty, no Unicode space, plus or control byte."""
    if not name or "+" in name or any(char.isspace() for char in name):
        raise Malformed("not a key name")
    try:
        txt.decode_text(name.encode("utf-8"))
    except UnicodeEncodeError as e:
        raise Malformed("key name is not Unicode text") from e


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line. A key is known by its name *and* its id; `data` is what follows the id."""

    name: str
    key_id: bytes  # 4 bytes
    data: bytes  # one byte or more


def signature_line(signature: Signature) -> bytes:
    """Write one signature line with its LF."""
    blob = txt.b64encode(signature.key_id + signature.data)
    return f"{_DASH}{signature.name} {blob}\n".encode()


def _parse_line(line: str) -> Signature:
    if not line.startswith(_DASH):
        raise Malformed("not a signature line")
    name, _, blob = line.removeprefix(_DASH).partition(" ")
    check_name(name)
    raw = txt.b64decode(blob)
    if len(raw) <= _ID_SIZE:
        raise Malformed("signature line without a signature")
    return Signature(name, raw[:_ID_SIZE], raw[_ID_SIZE:])


def parse_signature_lines(raw: bytes, limits: NoteLimits = LIMITS) -> tuple[Signature, ...]:
    """Read one or more signature lines and nothing else: the end of a note, or a witness's answer."""
    if len(raw) > limits.max_bytes:
        raise Malformed(f"signature lines over {limits.max_bytes} bytes")
    lines = txt.decode_lines(raw)
    if not 1 <= len(lines) <= limits.max_signatures:
        raise Malformed(f"{len(lines)} signature lines where 1 to {limits.max_signatures} belong")
    return tuple(_parse_line(line) for line in lines)


@dataclass(frozen=True, slots=True)
class Note:
    """A signed text. The signatures cover `text` with its last LF, without the empty line after it."""

    text: bytes
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, raw: bytes, limits: NoteLimits = LIMITS) -> Self:
        """Read a note, or raise `Malformed`. No signature is verified."""
        if len(raw) > limits.max_bytes:
            raise Malformed(f"note over {limits.max_bytes} bytes")
        split = raw.rfind(_SEPARATOR)
        if split < 0:
            raise Malformed("note without an empty line before its signatures")
        text = raw[: split + 1]
        txt.decode_text(text)
        note = cls(text, parse_signature_lines(raw[split + len(_SEPARATOR) :], limits))
        if note.encode() != raw:
            raise Malformed("note with another spelling than the canonical one")
        return note

    def encode(self) -> bytes:
        return self.text + b"\n" + b"".join(map(signature_line, self.signatures))

    def with_signatures(self, signatures: Iterable[Signature]) -> Self:
        """The same text under exactly these signatures."""
        return replace(self, signatures=tuple(signatures))


@dataclass(frozen=True, slots=True)
class VKey:
    """A verifier key: `<name>+<key id, 8 hex digits>+base64(type || key)`.

    `key` is 32 bytes for 0x01 and 0x04, 1312 for 0x06, a DER SubjectPublicKeyInfo for 0x02 and 0x05, and
    identifier || key for 0xff. Make one with `make` or `parse`: both see to it that the key id fits.
    """

    name: str
    key_id: bytes  # 4 bytes
    type: KeyType
    key: bytes

    @classmethod
    def make(cls, name: str, key_type: KeyType, key: bytes) -> Self:
        """Compute the key id; raise `Malformed` for a name or key that cannot stand in a verifier key."""
        check_name(name)
        if not key or len(key) != _KEY_SIZES.get(key_type, len(key)):
            raise Malformed(f"public key of {len(key)} bytes for signature type {key_type:#04x}")
        return cls(name, _key_id(name, key_type, key), key_type, key)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a verifier key, or raise `Malformed`, also when its key id is not that of its name and key."""
        name, _, tail = text.partition("+")
        _, _, blob = tail.partition("+")  # base64 may hold further plus signs
        material = txt.b64decode(blob)
        if not material:
            raise Malformed("verifier key without a signature type")
        try:
            key_type = KeyType(material[0])
        except ValueError as e:
            raise Malformed(f"unknown signature type {material[0]:#04x}") from e
        vkey = cls.make(name, key_type, material[1:])
        if vkey.encode() != text:
            raise Malformed("key id does not belong to this name and key")
        return vkey

    def encode(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{txt.b64encode(bytes([self.type]) + self.key)}"

    def owns(self, signature: Signature) -> bool:
        """Whether the line claims to be by this key: name and id both match. It need not verify."""
        return signature.name == self.name and signature.key_id == self.key_id


def _key_id(name: str, key_type: KeyType, key: bytes) -> bytes:
    """The first four bytes of a SHA-256. Two types part from the rule that signed-note recommends."""
    match key_type:
        case KeyType.ECDSA:  # signed-note, 0x02: the key alone
            hashed = key
        case KeyType.TREE_HEAD:  # static-ct-api, 0x05: the log id, where the verifier key carries the key itself
            hashed = name.encode() + b"\n\x05" + hashlib.sha256(key).digest()
        case _:
            hashed = name.encode() + b"\n" + bytes([key_type]) + key
    return hashlib.sha256(hashed).digest()[:_ID_SIZE]
