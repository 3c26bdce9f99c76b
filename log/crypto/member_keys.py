"""The keys by which members sign what they send: Ed25519, P-256 with SHA-256, SM2 with SM3.

A member's public key is a vkey (`log.governance.parties`): type 0x01, type 0x02, or 0xff with the SM2 identifier and
the uncompressed point behind it. A signature has 64 bytes with each of them: that of RFC 8032, or r and s of 32 bytes
each (RFC 9421 section 3.3.4, formats.md section 22.2).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from log.crypto import KeyVerifier
from log.crypto.ecdsa import EcdsaSigner, EcdsaVerifier
from log.crypto.ed25519 import Ed25519Signer, Ed25519Verifier
from log.crypto.keys import load_member_signer
from log.crypto.sm2 import SPKI_PREFIX, SPKI_SIZE, Sm2Key, Sm2PrivateKey
from log.errors import BadSignature, Malformed
from log.formats.names import SM2_COSIGNATURE
from log.formats.note import KeyType, VKey

SIGNATURE_SIZE = 64
CACHED_KEYS = 1024  # parsed public keys, under 2 kB each

_POINT = b"\x04"  # an uncompressed point follows
_HALF = SIGNATURE_SIZE // 2


def verify(vkey: VKey, message: bytes, signature: bytes) -> None:
    """Check a member's signature; raise `BadSignature`, for a key that no member can have too.

    `SuiteUnavailable` for an SM2 key on a machine that has no SM2.
    """
    try:
        verifier = _verifier(vkey.type, vkey.key)
    except Malformed as e:
        raise BadSignature("no signature by such a key") from e
    if len(signature) != SIGNATURE_SIZE:
        raise BadSignature(f"a member's signature has {SIGNATURE_SIZE} bytes")
    verifier.verify(message, signature if vkey.type is KeyType.ED25519 else _der(signature))


@lru_cache(CACHED_KEYS)
def _verifier(key_type: KeyType, key: bytes) -> KeyVerifier:
    match key_type:
        case KeyType.ED25519:
            return Ed25519Verifier(key)
        case KeyType.ECDSA:
            return EcdsaVerifier(key)
        case KeyType.PRIVATE if key.startswith(SM2_COSIGNATURE + _POINT):
            return Sm2Key(SPKI_PREFIX + key.removeprefix(SM2_COSIGNATURE + _POINT))
        case _:
            raise Malformed("a member's key is of type 0x01, 0x02, or SM2 under 0xff")


def _der(signature: bytes) -> bytes:
    return encode_dss_signature(int.from_bytes(signature[:_HALF]), int.from_bytes(signature[_HALF:]))


def _raw(der: bytes) -> bytes:
    r, s = decode_dss_signature(der)
    return r.to_bytes(_HALF) + s.to_bytes(_HALF)


@dataclass(frozen=True, slots=True)
class MemberKey:
    """A private key in a member's hand."""

    vkey: VKey
    sign: Callable[[bytes], bytes]  # message -> 64 bytes

    @classmethod
    def of(cls, member: str, signer: Ed25519Signer | EcdsaSigner | Sm2PrivateKey) -> Self:
        """Name a key after its member: `<id>`, or `<side>/<id>`, of which the side is no part of a key's name."""
        name = member.rpartition("/")[2]
        match signer:
            case Ed25519Signer():
                return cls(VKey.make(name, KeyType.ED25519, signer.public), signer.sign_now)
            case EcdsaSigner():
                vkey = VKey.make(name, KeyType.ECDSA, signer.public)
                return cls(vkey, lambda message: _raw(signer.sign_now(message)))
            case Sm2PrivateKey():
                return cls(_sm2_vkey(name, signer.spki()), lambda message: _raw(signer.sign(message)))

    @classmethod
    def load(cls, member: str, path: Path) -> Self:
        """Read the Ed25519 or P-256 key of a file, or raise `SettingsError`."""
        return cls.of(member, load_member_signer(path))


def _sm2_vkey(name: str, spki: bytes) -> VKey:
    if len(spki) != SPKI_SIZE or not spki.startswith(SPKI_PREFIX):
        raise AssertionError("SM2 keys are named curves with an uncompressed point")
    return VKey.make(name, KeyType.PRIVATE, SM2_COSIGNATURE + _POINT + spki.removeprefix(SPKI_PREFIX))
