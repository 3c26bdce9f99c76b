"""Families: what differs between a log of certificates and a log of other entries, as a frozen value.

An entry arrives as `Parts`, without time and place. The sequencer gives it both; what is stored then is its
*row*, and what the tree hashes is its *leaf input*. Everything else of a log (tiles, heads, stores, proofs)
is the same for all families, which is why a family is a value and never a subclass.

    x509        row = TileLeaf (static-ct-api), leaf = MerkleTreeLeaf (RFC 6962 section 3.4), the receipt is an SCT
    governance  row = leaf = Entry (`log.formats.event`), the receipt is a tlog-proof
    events      as governance, with a key for the digest of a signature (`log.formats.logged_event`)
    tlog-tiles  row = leaf = what came, any bytes: a log of others, or a test log that takes entries from anybody

Two families never share a tree.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from log.errors import Malformed
from log.formats import bundle, tile_leaf
from log.formats.names import ENTRY_FORMAT
from log.formats.sct import extensions
from log.formats.text import b64decode
from log.formats.wire import Reader, opaque16, opaque24, u16, u64

MAX_LEAF_SIZE = bundle.MAX_ENTRY_SIZE  # bytes of a leaf input: every family is also served as entry bundles

DEDUP_KEY = b"d"  # index key prefixes: the digest by which one submission is known again,
LEAF_KEY = b"l"  # the leaf hash,
FINGERPRINT_KEY = b"f"  # SHA-256 of the certificate or precertificate,
SIGNATURE_KEY = b"s"  # SHA-256 of the value of a signature: of events that share it any one, as the others do

_LEAF_PREFIX = b"\x00"  # RFC 6962 section 2.1, before a leaf input is hashed


@dataclass(frozen=True, slots=True)
class Parts:
    """An entry before it has its time and place: what goes before them in the row and what goes after."""

    head: bytes
    tail: bytes


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry that has its time and place."""

    row: bytes  # what is stored and served
    leaf: bytes  # the leaf input, at most MAX_LEAF_SIZE bytes


@dataclass(frozen=True, slots=True)
class Family:
    """How the entries of one kind of log become bytes. What takes a row raises `Malformed` for no row."""

    name: str
    tile: str  # native tile namespace: tile/<tile>/<N>
    receipt: str  # what a submitter gets: "sct" or "tlog-proof"; "" where nobody submits
    place: Callable[[Parts, int, int], Placed]  # (parts, index, timestamp_ms)
    leaf_input: Callable[[bytes], bytes]  # row -> leaf input
    leaf_size: Callable[[Parts], int]  # bytes that the leaf input will have; over MAX_LEAF_SIZE is refused
    parts: Callable[[bytes], tuple[Parts, int, int | None]]  # row -> (parts, timestamp_ms, index if it is there)
    measure: Callable[[bytes], tuple[bytes, int, int | None, bytes]]  # row -> (leaf input, timestamp_ms, index
    # if it is there, the fingerprints end to end): at one go, for an audit that does this for every entry
    unpack: Callable[[Sequence[bytes]], tuple[list[bytes], list[int], set[bytes]]]  # rows -> (their leaf hashes, their
    # times in ms, none where rows tell none, the runs of fingerprints that occur, end to end): at one go, for a monitor
    # that does this for every entry
    split: Callable[[bytes], list[bytes]]  # native tile -> rows
    join: Callable[[Sequence[bytes]], bytes]  # rows -> native tile
    keys: Callable[[bytes], list[bytes]]  # row -> index keys: a prefix byte and 32 bytes
    fingerprints: Callable[[bytes], tuple[bytes, ...]]  # row -> SHA-256 of the issuers that the log must serve
    dedup: Callable[[Parts], bytes]  # SHA-256 over all that makes a submission the same as another


# --- x509 ---

_TIMESTAMP_SIZE = 8
_EXTENSIONS_SIZE = 10


def x509_parts(certificate: bytes, fingerprints: Sequence[bytes]) -> Parts:
    """A certificate in DER and the SHA-256 of each certificate above it, with the root."""
    return Parts(u16(tile_leaf.X509_ENTRY) + opaque24(certificate), opaque16(b"".join(fingerprints)))


def precert_parts(issuer_key_hash: bytes, tbs: bytes, precert: bytes, fingerprints: Sequence[bytes]) -> Parts:
    """A precertificate: its TBSCertificate without poison (RFC 6962 section 3.2), and all of it."""
    return Parts(
        u16(tile_leaf.PRECERT_ENTRY) + issuer_key_hash + opaque24(tbs),
        opaque24(precert) + opaque16(b"".join(fingerprints)),
    )


def _x509_place(parts: Parts, index: int, timestamp_ms: int) -> Placed:
    entry = u64(timestamp_ms) + parts.head + opaque16(extensions(index))
    return Placed(entry + parts.tail, tile_leaf.LEAF_HEADER + entry)


def _x509_leaf_size(parts: Parts) -> int:
    return len(tile_leaf.LEAF_HEADER) + _TIMESTAMP_SIZE + len(parts.head) + _EXTENSIONS_SIZE


def _x509_parts(row: bytes) -> tuple[Parts, int, int | None]:
    extensions_at, tail, _, _ = tile_leaf.whole_row_bounds(row)
    parts = Parts(row[_TIMESTAMP_SIZE:extensions_at], row[tail:])
    return parts, int.from_bytes(row[:_TIMESTAMP_SIZE]), int.from_bytes(row[tail - 5 : tail])


def _x509_keys(row: bytes) -> list[bytes]:
    extensions_at, tail, fingerprints_at, _ = tile_leaf.whole_row_bounds(row)
    if tail == fingerprints_at:
        certificate = row[tile_leaf.SIGNED_AT + 3 : extensions_at]
    else:
        certificate = row[tail + 3 : fingerprints_at]
    return [
        DEDUP_KEY + sha256(row[_TIMESTAMP_SIZE:extensions_at]).digest(),
        LEAF_KEY + sha256(_LEAF_PREFIX + tile_leaf.LEAF_HEADER + row[:tail]).digest(),
        FINGERPRINT_KEY + sha256(certificate).digest(),
    ]


def _x509_dedup(parts: Parts) -> bytes:
    """Entry type and signed_entry: the same certificate by another chain is the same submission."""
    return sha256(parts.head).digest()


# --- governance, and every other family of `Entry` ---

_HEAD_SIZE = 4  # bytes of an Entry before its timestamp: format and type
_FORMAT = u16(ENTRY_FORMAT)


def _entry_place(parts: Parts, index: int, timestamp_ms: int) -> Placed:  # noqa: ARG001
    # An Entry does not carry its index.
    row = parts.head + u64(timestamp_ms) + parts.tail
    return Placed(row, row)


def _entry_leaf_input(row: bytes) -> bytes:
    if row[:2] != _FORMAT:
        raise Malformed("not an entry of this format")
    return row


def _entry_leaf_size(parts: Parts) -> int:
    return len(parts.head) + _TIMESTAMP_SIZE + len(parts.tail)


def _entry_parts(row: bytes) -> tuple[Parts, int, int | None]:
    tail = _HEAD_SIZE + _TIMESTAMP_SIZE
    if row[:2] != _FORMAT or len(row) < tail:
        raise Malformed("not an entry of this format")
    return Parts(row[:_HEAD_SIZE], row[tail:]), int.from_bytes(row[_HEAD_SIZE:tail]), None


def _entry_measure(row: bytes) -> tuple[bytes, int, int | None, bytes]:
    tail = _HEAD_SIZE + _TIMESTAMP_SIZE
    if row[:2] != _FORMAT or len(row) < tail:
        raise Malformed("not an entry of this format")
    return row, int.from_bytes(row[_HEAD_SIZE:tail]), None, b""


def _entry_unpack(rows: Sequence[bytes]) -> tuple[list[bytes], list[int], set[bytes]]:
    leaves = [sha256(_LEAF_PREFIX + _entry_leaf_input(row)).digest() for row in rows]
    tail = _HEAD_SIZE + _TIMESTAMP_SIZE  # a row that is too short for a time is later than no head
    return leaves, [int.from_bytes(row[_HEAD_SIZE:tail]) if len(row) >= tail else 0 for row in rows], set()


def _entry_keys(row: bytes) -> list[bytes]:
    parts, _, _ = _entry_parts(row)
    return [DEDUP_KEY + _entry_dedup(parts), LEAF_KEY + sha256(_LEAF_PREFIX + row).digest()]


def _entry_fingerprints(row: bytes) -> tuple[bytes, ...]:
    _entry_leaf_input(row)
    return ()


def _entry_dedup(parts: Parts) -> bytes:
    """All but the time, which the node sets."""
    return sha256(parts.head + parts.tail).digest()


def _event_keys(row: bytes) -> list[bytes]:
    """The keys of any entry, and that of the signature. A commit asks this of each of its entries, so it reads the
    one member: that the row is an event through and through was seen when it was taken in.
    """
    reader = Reader(row)
    reader.take(_HEAD_SIZE + _TIMESTAMP_SIZE)
    for opaque in (reader.opaque8, reader.opaque16, reader.opaque8):  # submitter, refs, content type
        opaque()
    try:
        sig_digest = json.loads(reader.opaque16())["event"].get("sig_digest")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed("an entry of no event") from error
    reader.done()
    return _entry_keys(row) + ([] if sig_digest is None else [SIGNATURE_KEY + _digest(sig_digest)])


def _digest(text: object) -> bytes:
    if not isinstance(text, str):
        raise Malformed("a digest is base64")
    return b64decode(text, 32)


# --- tlog-tiles: raw entries, those of others and those of open test logs ---


def raw_parts(entry: bytes) -> Parts:
    """An entry of whatever bytes, at most MAX_LEAF_SIZE; else `Malformed`."""
    return Parts(_tiles_leaf_input(entry), b"")


def _tiles_place(parts: Parts, index: int, timestamp_ms: int) -> Placed:  # noqa: ARG001
    # Such an entry carries neither its index nor its time: none is younger than any head.
    row = parts.head + parts.tail
    return Placed(row, row)


def _tiles_leaf_input(row: bytes) -> bytes:
    if len(row) > MAX_LEAF_SIZE:
        raise Malformed(f"an entry has {MAX_LEAF_SIZE} bytes at most")
    return row


def _tiles_leaf_size(parts: Parts) -> int:
    return len(parts.head) + len(parts.tail)


def _tiles_parts(row: bytes) -> tuple[Parts, int, int | None]:
    return raw_parts(row), 0, None


def _tiles_measure(row: bytes) -> tuple[bytes, int, int | None, bytes]:
    return _tiles_leaf_input(row), 0, None, b""


def _tiles_unpack(rows: Sequence[bytes]) -> tuple[list[bytes], list[int], set[bytes]]:
    return [sha256(_LEAF_PREFIX + _tiles_leaf_input(row)).digest() for row in rows], [], set()


def _tiles_keys(row: bytes) -> list[bytes]:
    return [DEDUP_KEY + _entry_dedup(raw_parts(row)), LEAF_KEY + sha256(_LEAF_PREFIX + row).digest()]


def _tiles_fingerprints(row: bytes) -> tuple[bytes, ...]:
    _tiles_leaf_input(row)
    return ()


X509 = Family(
    name="x509",
    tile="data",
    receipt="sct",
    place=_x509_place,
    leaf_input=tile_leaf.leaf_input,
    leaf_size=_x509_leaf_size,
    parts=_x509_parts,
    measure=tile_leaf.measure,
    unpack=tile_leaf.unpack,
    split=tile_leaf.split_data_tile,
    join=b"".join,
    keys=_x509_keys,
    fingerprints=tile_leaf.row_fingerprints,
    dedup=_x509_dedup,
)

GOVERNANCE = Family(
    name="governance",
    tile="entries",
    receipt="tlog-proof",
    place=_entry_place,
    leaf_input=_entry_leaf_input,
    leaf_size=_entry_leaf_size,
    parts=_entry_parts,
    measure=_entry_measure,
    unpack=_entry_unpack,
    split=bundle.split_bundle,
    join=bundle.encode_bundle,
    keys=_entry_keys,
    fingerprints=_entry_fingerprints,
    dedup=_entry_dedup,
)

EVENTS = replace(GOVERNANCE, name="events", keys=_event_keys)

TILES = Family(
    name="tlog-tiles",
    tile="entries",
    receipt="tlog-proof",
    place=_tiles_place,
    leaf_input=_tiles_leaf_input,
    leaf_size=_tiles_leaf_size,
    parts=_tiles_parts,
    measure=_tiles_measure,
    unpack=_tiles_unpack,
    split=bundle.split_bundle,
    join=bundle.encode_bundle,
    keys=_tiles_keys,
    fingerprints=_tiles_fingerprints,
    dedup=_entry_dedup,
)

FAMILIES = {family.name: family for family in (X509, EVENTS, GOVERNANCE, TILES)}
