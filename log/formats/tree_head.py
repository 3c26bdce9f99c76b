"""The 0x05 note signature: an RFC 6962 TreeHeadSignature on a checkpoint (C2SP static-ct-api).

It signs time (milliseconds), size and root, and not the origin: that is bound by the key alone. The
checkpoint must not have extension lines, which it would leave unsigned.
"""

from log.formats.sct import digitally_signed, split_digitally_signed
from log.formats.wire import Reader, u64

_TREE_HASH = b"\x00\x01"  # RFC 6962 section 3.5: version v1(0), signature type tree_hash(1)


def tree_head_message(timestamp_ms: int, size: int, root: bytes) -> bytes:
    """The 50 bytes that a 0x05 line signs."""
    return _TREE_HASH + u64(timestamp_ms) + u64(size) + root


def encode_tree_head_signature(timestamp_ms: int, der: bytes) -> bytes:
    """Write an `RFC6962NoteSignature`: what follows the key id. `der` is an ECDSA signature over SHA-256."""
    return u64(timestamp_ms) + digitally_signed(der)


def decode_tree_head_signature(data: bytes) -> tuple[int, bytes]:
    """Read an `RFC6962NoteSignature` as (timestamp_ms, DER signature), or raise `Malformed`."""
    reader = Reader(data)
    timestamp_ms = reader.u64()
    return timestamp_ms, split_digitally_signed(reader.rest())
