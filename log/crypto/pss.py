"""The parameters of RSASSA-PSS in an AlgorithmIdentifier (RFC 4055 section 3.1): hash, mask, length of the salt.

As with every other algorithm nothing is interpreted that would not also be written here: the parameters must be
one of the spellings below, byte for byte. RFC 4055 leaves four choices, and all of them are taken: NULL or nothing
behind a hash's OID, twice; a salt of 20 bytes and a trailer field of 1, the defaults, said or left out.
"""

import re
from dataclasses import dataclass
from itertools import product

from cryptography.hazmat.primitives import hashes

from log.errors import Refused

OID = bytes.fromhex("06092a864886f70d01010a")  # id-RSASSA-PSS, with its header


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a signature was made with, or what a key is restricted to."""

    hash: hashes.HashAlgorithm  # of the message, and in MGF1
    salt: int  # bytes


def identifiers(oid: str) -> tuple[bytes, bytes]:
    """Return both spellings of an AlgorithmIdentifier without parameters, given the content of its OID in hex."""
    element = _element(0x06, bytes.fromhex(oid))
    return _element(0x30, element), _element(0x30, element + b"\x05\x00")


def read(parameters: bytes) -> Parameters:
    """Read what stands behind the OID in an AlgorithmIdentifier.

    Raises `Refused`, reason `pss-parameters`: for bytes that are no such parameters or are missing (RFC 4055 has
    no default for them in a signature), for SHA-224 and a mask of another hash than the message's.
    """
    fields = parameters[2:]
    for head, (digest, mask) in _HEADS.items():
        tail = _TAIL.fullmatch(fields, len(head)) if fields.startswith(head) else None
        if tail is None or parameters[:2] != bytes((0x30, len(fields))):
            continue
        if digest.name != mask.name:
            raise _refused(f"mask with {mask.name} what {digest.name} hashed")
        if digest.name == "sha224":
            raise _refused("hash with sha224")
        salt = tail["short"] or tail["long"]
        return Parameters(digest, _DEFAULT_SALT if salt is None else int.from_bytes(salt))
    raise _refused(f"cannot be read: {parameters[:64].hex()}" if parameters else "are missing")


def _refused(why: str) -> Refused:
    taken = "taken are SHA-256, SHA-384 and SHA-512, for message and mask the same, and the default, SHA-1"
    return Refused(f"RSA-PSS parameters that {why}; {taken}", "pss-parameters")


def _element(tag: int, content: bytes) -> bytes:
    return bytes((tag, len(content))) + content  # no parameters reach 128 bytes


_SHA1 = hashes.SHA1()  # noqa: S303 -- RFC 4055's default; `suites.weak_hash` marks it
_HASHES = (  # and the content of the OID
    (hashes.SHA224(), "608648016503040204"),
    (hashes.SHA256(), "608648016503040201"),
    (hashes.SHA384(), "608648016503040202"),
    (hashes.SHA512(), "608648016503040203"),
)
_SPELLED = [(digest, spelling) for digest, oid in _HASHES for spelling in identifiers(oid)]
_MGF1 = bytes.fromhex("06092a864886f70d010108")
_ABSENT = (_SHA1, b"")  # DER leaves the default out

# The fields [0] hashAlgorithm and [1] maskGenAlgorithm as they may stand there, and which hashes they name.
_HEADS: dict[bytes, tuple[hashes.HashAlgorithm, hashes.HashAlgorithm]] = {
    first + second: (digest, mask)
    for (digest, first), (mask, second) in product(
        [_ABSENT, *((digest, _element(0xA0, spelling)) for digest, spelling in _SPELLED)],
        [_ABSENT, *((mask, _element(0xA1, _element(0x30, _MGF1 + spelling))) for mask, spelling in _SPELLED)],
    )
}

# The fields [2] saltLength, a minimal INTEGER from 0 to 32767, and [3] trailerField, which is 1.
_DEFAULT_SALT = 20
_TAIL = re.compile(
    rb"(?:\xa2(?:\x03\x02\x01(?P<short>[\x00-\x7f])|\x04\x02\x02(?P<long>\x00[\x80-\xff]|[\x01-\x7f].)))?"
    rb"(?:\xa3\x03\x02\x01\x01)?",
    re.DOTALL,
)
