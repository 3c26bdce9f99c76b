"""Rows of a data tile and the leaves they stand for (C2SP static-ct-api; RFC 6962 section 3.4).

    TileLeaf       = u64 timestamp || u16 type || signed_entry || extensions || [precertificate] || fingerprints
    MerkleTreeLeaf = 00 00 || everything up to and including the extensions

signed_entry is `u24 length || certificate` for an x509 entry (type 0) and `issuer_key_hash[32] || u24
length || TBSCertificate` for a precertificate entry (type 1). Fingerprints are the SHA-256 of each
certificate of the chain after the leaf. A row has no length of its own, so one that cannot be read takes
the rest of its tile with it.

The functions below the class read rows by offset and build no objects: an audit calls them for every entry.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from log.errors import Malformed
from log.formats.sct import extensions
from log.formats.wire import opaque16, opaque24, u16, u64

X509_ENTRY = 0
PRECERT_ENTRY = 1
TILE_WIDTH = 256  # rows of a full data tile
HASH_SIZE = 32  # bytes of an issuer key hash and of a fingerprint

_X509 = b"\x00\x00"
_PRECERT = b"\x00\x01"
LEAF_HEADER = b"\x00\x00"  # RFC 6962 section 3.4: version v1(0), leaf type timestamped_entry(0)
_EXTENSIONS_HEADER = b"\x00\x08\x00\x00\x05"  # length of the extensions, then leaf_index(0) and its length
_EXTENSIONS_SIZE = 10  # bytes with the length before them
# What stands at a fixed place, read at one go: to the length of signed_entry; from the extensions on.
_head = struct.Struct(">QHBH").unpack_from
_x509_tail = struct.Struct(">5s5xH").unpack_from
_precert_tail = struct.Struct(">5s5xBH").unpack_from
_u24 = struct.Struct(">BH").unpack_from
_u16 = struct.Struct(">H").unpack_from
_leaf_hash = sha256(b"\x00" + LEAF_HEADER).copy  # RFC 6962 section 2.1, begun
_UNKNOWN = "row of an unknown entry type, or none"
_CUT_SHORT = "row cut short, without certificate, or with broken fingerprints"
SIGNED_AT = 10  # offset of signed_entry in a row, after timestamp and type


@dataclass(frozen=True, slots=True)
class TileLeaf:
    """One row, taken apart."""

    timestamp_ms: int
    entry_type: int  # X509_ENTRY or PRECERT_ENTRY
    signed_entry: bytes  # DER: the certificate, or the precertificate's TBSCertificate without poison
    issuer_key_hash: bytes  # SHA-256 of the final issuer's SubjectPublicKeyInfo; b"" in an x509 entry
    index: int  # 0 <= index < 2**40
    precert: bytes  # DER as submitted, with poison and signature; b"" in an x509 entry
    fingerprints: tuple[bytes, ...]  # of the issuers, in order, with the root

    @classmethod
    def parse(cls, row: bytes) -> Self:
        """Read exactly one row, or raise `Malformed`."""
        extensions_at, tail, fingerprints_at, end = whole_row_bounds(row)
        precert = row[8:10] == _PRECERT
        entry_at = SIGNED_AT + HASH_SIZE if precert else SIGNED_AT
        return cls(
            int.from_bytes(row[:8]),
            PRECERT_ENTRY if precert else X509_ENTRY,
            row[entry_at + 3 : extensions_at],
            row[SIGNED_AT:entry_at],
            int.from_bytes(row[tail - 5 : tail]),
            row[tail + 3 : fingerprints_at],
            tuple(row[at : at + HASH_SIZE] for at in range(fingerprints_at + 2, end, HASH_SIZE)),
        )

    def encode(self) -> bytes:
        """Write the row."""
        return self._timestamped_entry() + self._tail()

    def merkle_tree_leaf(self) -> bytes:
        """The bytes that the tree hashes and the SCT signs."""
        return LEAF_HEADER + self._timestamped_entry()

    def _timestamped_entry(self) -> bytes:
        return b"".join(
            (
                u64(self.timestamp_ms),
                u16(self.entry_type),
                self.issuer_key_hash,
                opaque24(self.signed_entry),
                opaque16(extensions(self.index)),
            )
        )

    def _tail(self) -> bytes:
        precert = opaque24(self.precert) if self.entry_type == PRECERT_ENTRY else b""
        return precert + opaque16(b"".join(self.fingerprints))


# Offsets of a row's parts: the extensions begin (at the length before them), the extensions end, the
# fingerprints begin (at their length), the row ends. A plain tuple, because a named one costs more than the
# measuring.
Bounds = tuple[int, int, int, int]


def row_bounds(data: bytes, start: int = 0) -> Bounds:
    """Measure the row that begins at `start`; raise `Malformed` where no whole row begins there."""
    try:
        _, entry_type, high, low = _head(data, start)
        if entry_type == X509_ENTRY:
            extensions_at = start + SIGNED_AT + 3 + (high << 16 | low)
            tail = fingerprints_at = extensions_at + _EXTENSIONS_SIZE
            empty = not (high or low)
            header, fingerprints_size = _x509_tail(data, extensions_at)
        elif entry_type == PRECERT_ENTRY:
            high, low = _u24(data, start + SIGNED_AT + HASH_SIZE)
            extensions_at = start + SIGNED_AT + HASH_SIZE + 3 + (high << 16 | low)
            tail = extensions_at + _EXTENSIONS_SIZE
            header, first, second = _precert_tail(data, extensions_at)
            fingerprints_at = tail + 3 + (first << 16 | second)
            empty = not ((high or low) and (first or second))
            (fingerprints_size,) = _u16(data, fingerprints_at)
        else:
            raise Malformed(_UNKNOWN)
    except struct.error:
        raise Malformed(_CUT_SHORT if data[start + 8 : start + 10] in (_X509, _PRECERT) else _UNKNOWN) from None
    end = fingerprints_at + 2 + fingerprints_size
    if end > len(data) or empty or fingerprints_size % HASH_SIZE:
        raise Malformed(_CUT_SHORT)
    if header != _EXTENSIONS_HEADER:
        raise Malformed("row with other extensions than one leaf_index")
    return extensions_at, tail, fingerprints_at, end


def whole_row_bounds(row: bytes) -> Bounds:
    """Measure a row that is all of the data."""
    bounds = row_bounds(row)
    if bounds[3] != len(row):
        raise Malformed(f"{len(row) - bounds[3]} bytes after a row")
    return bounds


def leaf_input(row: bytes) -> bytes:
    """Cut the MerkleTreeLeaf out of one row, or raise `Malformed`."""
    _, tail, _, end = row_bounds(row)
    if end != len(row):
        raise Malformed(f"{len(row) - end} bytes after a row")
    return LEAF_HEADER + row[:tail]


def unpack(rows: Sequence[bytes]) -> tuple[list[bytes], list[int], set[bytes]]:
    """Return the leaf hash of each row and its time in ms, and the runs of fingerprints that occur, end to end."""
    leaves, times, chains = list[bytes](), list[int](), set[bytes]()
    for row in rows:
        _, tail, fingerprints_at, end = row_bounds(row)
        if end != len(row):
            raise Malformed(f"{len(row) - end} bytes after a row")
        leaf = _leaf_hash()
        leaf.update(row[:tail])
        leaves.append(leaf.digest())
        times.append(int.from_bytes(row[:8]))
        chains.add(row[fingerprints_at + 2 :])
    return leaves, times, chains


def measure(row: bytes) -> tuple[bytes, int, int, bytes]:
    """Cut out what an audit checks: leaf input, timestamp in ms, index, and the fingerprints end to end."""
    _, tail, fingerprints_at, end = row_bounds(row)
    if end != len(row):
        raise Malformed(f"{len(row) - end} bytes after a row")
    return (
        LEAF_HEADER + row[:tail],
        int.from_bytes(row[:8]),
        int.from_bytes(row[tail - 5 : tail]),
        row[fingerprints_at + 2 :],
    )


def row_certificate(row: bytes) -> bytes:
    """Cut out the DER that was submitted: the certificate, or the precertificate with its poison."""
    extensions_at, tail, fingerprints_at, _ = whole_row_bounds(row)
    if tail == fingerprints_at:
        return row[SIGNED_AT + 3 : extensions_at]
    return row[tail + 3 : fingerprints_at]


def row_fingerprints(row: bytes) -> tuple[bytes, ...]:
    """Cut out the SHA-256 of each issuer certificate, in the order of the chain."""
    _, _, fingerprints_at, end = whole_row_bounds(row)
    return tuple(row[at : at + HASH_SIZE] for at in range(fingerprints_at + 2, end, HASH_SIZE))


@dataclass(frozen=True, slots=True)
class LeafEntry:
    """An entry as get-entries hands it out (RFC 6962 section 4.6)."""

    leaf_input: bytes  # MerkleTreeLeaf
    extra_data: bytes  # what the tree does not hash: [u24 length || precertificate] || chain


def leaf_entry(row: bytes, chain: Sequence[bytes]) -> LeafEntry:
    """Re-encode one row, or raise `Malformed`; `chain` is the certificates (DER) of its fingerprints, in order.

    The chain stands in a vector of vectors, both of u24 length. Of a precertificate the row already has all
    that goes before it.
    """
    _, tail, fingerprints_at, _ = whole_row_bounds(row)
    certificates = opaque24(b"".join(opaque24(certificate) for certificate in chain))
    return LeafEntry(LEAF_HEADER + row[:tail], row[tail:fingerprints_at] + certificates)


def split_data_tile(data: bytes) -> list[bytes]:
    """Cut a data tile, full or partial, into its rows, or raise `Malformed`. Joined, they are the tile."""
    rows: list[bytes] = []
    start = 0
    while start < len(data):
        if len(rows) == TILE_WIDTH:
            raise Malformed(f"data tile of more than {TILE_WIDTH} rows")
        _, _, _, end = row_bounds(data, start)
        rows.append(data[start:end])
        start = end
    return rows
