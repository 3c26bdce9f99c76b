"""Signed certificate timestamps with a leaf index (RFC 6962 sections 3.2 and 3.3, C2SP static-ct-api).

    u8 version = 0 || log id[32] || u64 timestamp || u16 length || extensions || DigitallySigned

The extensions are exactly one `leaf_index`: deployed readers refuse any other, so this one does too. What
an SCT signs is byte for byte the MerkleTreeLeaf (`log.formats.tile_leaf`): version 0 and signature type 0
stand where the leaf has version 0 and leaf type 0. Hence `sct_message` is the identity, and exists to say
so.
"""

from dataclasses import dataclass
from typing import Any, Self

from log.errors import Malformed
from log.formats import text as txt
from log.formats.wire import Reader, opaque16, u8, u40, u64

_VERSION = 0  # v1(0)
_LOG_ID_SIZE = 32
_ECDSA = b"\x04\x03"  # RFC 5246 section 7.4.1.4.1: sha256(4), ecdsa(3)
_RSA = b"\x04\x01"  # sha256(4), rsa(1): RFC 6962 section 2.1.4 allows logs of others either
_LEAF_INDEX = b"\x00\x00\x05"  # extension type leaf_index(0), u16 length of a u40


def extensions(index: int) -> bytes:
    """The CtExtensions of the leaf at `index`, without the length before them; 0 <= index < 2**40."""
    return _LEAF_INDEX + u40(index)


def parse_extensions(data: bytes) -> int:
    """Read what `extensions` writes and return the index, or raise `Malformed`."""
    reader = Reader(data)
    if reader.take(len(_LEAF_INDEX)) != _LEAF_INDEX:
        raise Malformed("CtExtensions other than one leaf_index")
    index = reader.u40()
    reader.done()
    return index


def sct_message(leaf: bytes) -> bytes:
    """The bytes that an SCT signs for this MerkleTreeLeaf: the same bytes."""
    return leaf


def digitally_signed(der: bytes) -> bytes:
    """Write a TLS DigitallySigned that holds an ECDSA signature over SHA-256, in DER."""
    return _ECDSA + opaque16(der)


def split_digitally_signed(data: bytes, *, rsa: bool = False) -> bytes:
    """Return the signature of a DigitallySigned: ECDSA in DER, or RSA where that is asked for.

    `Malformed` for any other algorithm.
    """
    reader = Reader(data)
    if reader.take(len(_ECDSA)) != (_RSA if rsa else _ECDSA):
        raise Malformed(f"DigitallySigned with another algorithm than {'RSA' if rsa else 'ECDSA'} with SHA-256")
    signature = reader.opaque16()
    reader.done()
    if not signature:
        raise Malformed("DigitallySigned without a signature")
    return signature


@dataclass(frozen=True, slots=True)
class SCT:
    """A log's promise for one leaf, kept before it is given: the leaf is at `index` and published."""

    log_id: bytes  # SHA-256 of the log's SubjectPublicKeyInfo
    timestamp_ms: int
    index: int  # 0 <= index < 2**40
    signature: bytes  # DigitallySigned

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a serialised SCT as it stands in a certificate or proof, or raise `Malformed`."""
        reader = Reader(data)
        if reader.u8() != _VERSION:
            raise Malformed("SCT of an unknown version")
        log_id = reader.take(_LOG_ID_SIZE)
        timestamp_ms = reader.u64()
        index = parse_extensions(reader.opaque16())
        signature = reader.rest()
        split_digitally_signed(signature)
        return cls(log_id, timestamp_ms, index, signature)

    def encode(self) -> bytes:
        return b"".join(
            (
                u8(_VERSION),
                self.log_id,
                u64(self.timestamp_ms),
                opaque16(extensions(self.index)),
                self.signature,
            )
        )

    def to_json(self) -> dict[str, int | str]:
        """The answer of add-chain, keys in the order of RFC 6962 section 4.1."""
        return {
            "sct_version": _VERSION,
            "id": txt.b64encode(self.log_id),
            "timestamp": self.timestamp_ms,
            "extensions": txt.b64encode(extensions(self.index)),
            "signature": txt.b64encode(self.signature),
        }

    @classmethod
    def from_json(cls, answer: Any) -> Self:
        """Read a decoded answer of add-chain, or raise `Malformed`; unknown keys are ignored (RFC 6962)."""
        match answer:
            case {
                "sct_version": 0,
                "id": str(log_id),
                "timestamp": int(timestamp_ms),
                "extensions": str(extensions_b64),
                "signature": str(signature),
            } if 0 <= timestamp_ms < 2**64 and not isinstance(timestamp_ms, bool):
                pass
            case _:
                raise Malformed("not an answer of add-chain")
        sct = cls(
            txt.b64decode(log_id, _LOG_ID_SIZE),
            timestamp_ms,
            parse_extensions(txt.b64decode(extensions_b64)),
            txt.b64decode(signature),
        )
        split_digitally_signed(sct.signature)
        return sct


def parse_sct_list(data: bytes) -> list[bytes]:
    """Split a SignedCertificateTimestampList (RFC 6962 section 3.3) into serialised SCTs of any logs."""
    reader = Reader(data)
    items = Reader(reader.opaque16())
    reader.done()
    scts = []
    while items.more():
        sct = items.opaque16()
        if not sct:
            raise Malformed("empty SCT in a list")
        scts.append(sct)
    if not scts:
        raise Malformed("empty list of SCTs")
    return scts
