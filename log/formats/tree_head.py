"""The 0x05 note signature: an RFC 6962 TreeHeadSignature on a checkpoint (C2SP static-ct-api).

It signs time (milliseconds), size and root, and not the origin: that is bound by the key alone. The
checkpoint must not have extension lines, which it would leave unsigned.
"""

from dataclasses import dataclass

from log.errors import Malformed
from log.formats.checkpoint import parse_signed
from log.formats.note import VKey
from log.formats.text import b64encode
from log.formats.wire import Reader, u64

_TREE_HASH = b"\x00\x01"  # RFC 6962 section 3.5: version v1(0), signature type tree_hash(1)


def tree_head_message(timestamp_ms: int, size: int, root: bytes) -> bytes:
    """The 50 bytes that a 0x05 line signs."""
    return _TREE_HASH + u64(timestamp_ms) + u64(size) + root


def encode_tree_head_signature(timestamp_ms: int, signed: bytes) -> bytes:
    """Write an `RFC6962NoteSignature`: what follows the key id. `signed` is a DigitallySigned (`formats.sct`)."""
    return u64(timestamp_ms) + signed


def decode_tree_head_signature(data: bytes) -> tuple[int, bytes]:
    """Read an `RFC6962NoteSignature` as (timestamp_ms, DigitallySigned), or raise `Malformed`.

    Which algorithm the DigitallySigned must name, its key decides (`log.crypto.tree_heads`).
    """
    reader = Reader(data)
    return reader.u64(), reader.rest()


@dataclass(frozen=True, slots=True)
class SignedTreeHead:
    """A head as RFC 6962 section 4.3 hands it out."""

    size: int
    timestamp_ms: int
    root: bytes
    signature: bytes  # DigitallySigned, over `tree_head_message`

    def to_json(self) -> dict[str, int | str]:
        """The answer of get-sth, keys in the order of RFC 6962 section 4.3."""
        return {
            "tree_size": self.size,
            "timestamp": self.timestamp_ms,
            "sha256_root_hash": b64encode(self.root),
            "tree_head_signature": b64encode(self.signature),
        }


def signed_tree_head(raw: bytes, vkey: VKey) -> SignedTreeHead:
    """Re-encode a signed checkpoint by its 0x05 line of `vkey`, or raise `Malformed` when it has none.

    Nothing is verified, and nothing signed anew: line and tree head signature are two spellings of one.
    """
    note, checkpoint = parse_signed(raw)
    if checkpoint.extensions:
        raise Malformed("checkpoint with extension lines, which a 0x05 line does not sign")
    for line in note.signatures:
        if vkey.owns(line):
            timestamp_ms, signed = decode_tree_head_signature(line.data)
            return SignedTreeHead(checkpoint.size, timestamp_ms, checkpoint.root, signed)
    raise Malformed("checkpoint without a 0x05 line of this key")
