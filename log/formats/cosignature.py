"""Cosignatures: what is signed, and the timestamped signature in the line (C2SP tlog-cosignature).

Ed25519 (0x04) signs two lines before the whole checkpoint text. ML-DSA-44 (0x06) and our SM2 line (0xff)
sign a struct that also commits to the cosigner's name. Times are POSIX seconds, where the 0x05 line has
milliseconds.
"""

from log.errors import Malformed
from log.formats.text import MAX_INT63
from log.formats.wire import Reader, opaque8, u64

ED25519_SIZE = 64  # bytes of a signature
MLDSA44_SIZE = 2420
MAX_NAME_BYTES = 255  # of a cosigner's name and of an origin in the struct

_SUBTREE_LABEL = b"subtree/v1\n\0"


def cosignature_message(timestamp_s: int, text: bytes) -> bytes:
    """The bytes that a 0x04 cosignature signs; `text` is the whole note text with its last LF."""
    return b"cosignature/v1\ntime %d\n" % timestamp_s + text


def subtree_message(name: str, timestamp_s: int, origin: str, start: int, end: int, root: bytes) -> bytes:
    """The `cosigned_message` struct over the subtree [start, end) of a log; a checkpoint has start 0.

    `timestamp_s` is 0 where the cosigner does not say that this is the largest tree it saw, as it must be for
    every start other than 0.
    """
    if start != 0 and timestamp_s != 0:
        raise AssertionError("a subtree that does not start at 0 is signed without time")
    return b"".join(
        (
            _SUBTREE_LABEL,
            opaque8(name.encode()),
            u64(timestamp_s),
            opaque8(origin.encode()),
            u64(start),
            u64(end),
            root,
        )
    )


def encode_timestamped(timestamp_s: int, signature: bytes) -> bytes:
    """Write a `timestamped_signature`: what follows the key id in the signature line."""
    return u64(timestamp_s) + signature


def decode_timestamped(data: bytes, signature_size: int = ED25519_SIZE) -> tuple[int, bytes]:
    """Read a `timestamped_signature` as (timestamp_s, signature), or raise `Malformed`."""
    reader = Reader(data)
    timestamp_s = reader.u64()
    signature = reader.take(signature_size)
    reader.done()
    if timestamp_s > MAX_INT63:
        raise Malformed("cosignature time over 2**63 - 1")
    return timestamp_s, signature
