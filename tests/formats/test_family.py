"""A row, its leaf and its keys, seen from both sides: cut out of bytes, and taken apart as a `TileLeaf`."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log.errors import Malformed
from log.formats import wire
from log.formats.event import Entry
from log.formats.family import (
    EVENTS,
    FAMILIES,
    GOVERNANCE,
    MAX_LEAF_SIZE,
    TILES,
    X509,
    Family,
    Parts,
    precert_parts,
    raw_parts,
    x509_parts,
)
from log.formats.names import ENTRY_FORMAT
from log.formats.sct import sct_message
from log.formats.tile_leaf import PRECERT_ENTRY, TileLeaf, leaf_input, row_certificate
from log.formats.wire import u16
from log.merkle.hashing import leaf_hash
from tests.formats import strategies as s


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@given(s.X509_PARTS, s.INDEXES, s.TIMES)
def test_a_placed_certificate_is_a_tile_leaf_and_its_merkle_tree_leaf(
    parts: Parts, index: int, timestamp_ms: int
) -> None:
    placed = X509.place(parts, index, timestamp_ms)
    row = TileLeaf.parse(placed.row)

    assert (row.index, row.timestamp_ms) == (index, timestamp_ms)
    assert row.merkle_tree_leaf() == placed.leaf == X509.leaf_input(placed.row)
    assert sct_message(placed.leaf) == placed.leaf
    assert X509.leaf_size(parts) == len(placed.leaf)
    assert X509.fingerprints(placed.row) == row.fingerprints


@given(s.TILE_LEAVES)
def test_a_row_is_the_same_cut_by_offset_and_taken_apart(leaf: TileLeaf) -> None:
    row = leaf.encode()
    precert = leaf.entry_type == PRECERT_ENTRY
    submitted = leaf.precert if precert else leaf.signed_entry
    parts = (
        precert_parts(leaf.issuer_key_hash, leaf.signed_entry, leaf.precert, leaf.fingerprints)
        if precert
        else x509_parts(leaf.signed_entry, leaf.fingerprints)
    )

    assert leaf_input(row) == leaf.merkle_tree_leaf()
    assert row_certificate(row) == submitted
    assert X509.measure(row) == (
        leaf.merkle_tree_leaf(),
        leaf.timestamp_ms,
        leaf.index,
        b"".join(leaf.fingerprints),
    )
    assert X509.parts(row) == (parts, leaf.timestamp_ms, leaf.index)
    assert X509.keys(row) == [
        b"d" + X509.dedup(parts),
        b"l" + sha256(b"\x00" + leaf.merkle_tree_leaf()),
        b"f" + sha256(submitted),
    ]


@given(s.CERTIFICATES, s.FINGERPRINTS, s.FINGERPRINTS)
def test_a_certificate_is_known_again_by_another_chain(
    certificate: bytes, one: list[bytes], other: list[bytes]
) -> None:
    digest = X509.dedup(x509_parts(certificate, one))

    assert digest == X509.dedup(x509_parts(certificate, other))
    assert digest == sha256(b"\x00\x00" + len(certificate).to_bytes(3) + certificate)


@given(s.ENTRIES, s.TIMES, s.INDEXES)
def test_a_governance_entry_is_its_own_leaf_and_is_known_again_at_any_time(
    entry: Entry, timestamp_ms: int, index: int
) -> None:
    parts, found_ms, found_index = GOVERNANCE.parts(entry.encode())
    placed = GOVERNANCE.place(parts, index, timestamp_ms)

    assert (found_ms, found_index) == (entry.timestamp_ms, None)
    assert placed.row == placed.leaf == GOVERNANCE.leaf_input(placed.row)
    assert Entry.parse(placed.row).timestamp_ms == timestamp_ms
    assert GOVERNANCE.leaf_size(parts) == len(placed.leaf)
    assert GOVERNANCE.keys(placed.row) == [
        b"d" + sha256(entry.encode()[:4] + entry.encode()[12:]),
        b"l" + sha256(b"\x00" + placed.row),
    ]
    assert GOVERNANCE.fingerprints(placed.row) == ()
    assert GOVERNANCE.measure(placed.row) == (placed.leaf, timestamp_ms, None, b"")


@given(s.EVENT_ROWS)
def test_an_event_is_found_by_the_digest_of_its_signature(entry: Entry) -> None:
    row = entry.encode()
    digest = entry.logged_event().event.sig_digest

    assert EVENTS.keys(row) == GOVERNANCE.keys(row) + ([] if digest is None else [b"s" + digest])


@given(s.ENTRIES.filter(lambda entry: entry.entry_type > 15))
def test_what_is_no_event_has_no_keys_in_a_log_of_events(entry: Entry) -> None:
    with pytest.raises(Malformed):
        EVENTS.keys(entry.encode())


@given(st.binary(max_size=200), s.TIMES, s.INDEXES)
def test_a_raw_entry_is_its_own_row_and_leaf_at_any_time_and_place(entry: bytes, timestamp_ms: int, index: int) -> None:
    parts = raw_parts(entry)
    placed = TILES.place(parts, index, timestamp_ms)

    assert placed.row == placed.leaf == entry == TILES.leaf_input(entry)
    assert TILES.parts(entry) == (parts, 0, None)
    assert TILES.measure(entry) == (entry, 0, None, b"")
    assert TILES.keys(entry) == [b"d" + sha256(entry), b"l" + sha256(b"\x00" + entry)]
    assert TILES.dedup(parts) == sha256(entry)
    assert TILES.fingerprints(entry) == ()
    assert TILES.leaf_size(parts) == len(entry)


def test_a_raw_entry_has_as_many_bytes_as_a_bundle_can_say() -> None:
    for read in (raw_parts, TILES.leaf_input, TILES.measure, TILES.parts, TILES.keys, TILES.fingerprints):
        with pytest.raises(Malformed):
            read(bytes(65_536))
    assert TILES.leaf_input(bytes(65_535)) == bytes(65_535)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@given(data=st.data())
def test_a_full_tile_is_cut_into_its_rows_and_one_more_row_is_refused(family: Family, data: st.DataObject) -> None:
    parts = data.draw(
        {X509: s.X509_PARTS, EVENTS: s.ENTRY_PARTS, GOVERNANCE: s.ENTRY_PARTS, TILES: s.RAW_PARTS}[family]
    )
    rows = [family.place(parts, index, 1).row for index in range(256)]

    assert family.split(family.join(rows)) == rows
    if family is X509:
        with pytest.raises(Malformed):
            family.split(family.join(rows) + rows[0])
        with pytest.raises(Malformed):
            family.leaf_input(rows[0] + rows[1])


def test_a_bundle_of_257_entries_is_refused() -> None:
    with pytest.raises(Malformed):
        GOVERNANCE.split(b"\x00\x01e" * 257)


@given(s.damaged(s.TILE_LEAVES.map(TileLeaf.encode)))
def test_whatever_reads_a_row_refuses_what_is_no_row(raw: bytes) -> None:
    try:
        leaf = TileLeaf.parse(raw)
    except Malformed:
        for read in (X509.leaf_input, X509.measure, X509.parts, X509.keys, X509.fingerprints, row_certificate):
            with pytest.raises(Malformed):
                read(raw)
    else:
        assert X509.leaf_input(raw) == leaf.merkle_tree_leaf()


def test_rows_with_a_second_extension_or_none_are_refused() -> None:
    row = X509.place(x509_parts(b"certificate", []), 5, 1).row
    at = 8 + 2 + 3 + len(b"certificate")
    second = b"\x00\x0b" + row[at + 2 : at + 10] + b"\x01\x00\x00"

    for extensions in (second, b"\x00\x00"):
        with pytest.raises(Malformed):
            X509.split(row[:at] + extensions + row[at + 10 :])


CERTIFICATE = wire.u64(1) + wire.u16(0) + wire.opaque24(b"c")
PRECERTIFICATE = wire.u64(1) + wire.u16(1) + b"i" * 32 + wire.opaque24(b"t")
EXTENSIONS = b"\x00\x08\x00\x00\x05\x00\x00\x00\x00\x07"
NO_FINGERPRINTS = b"\x00\x00"


@pytest.mark.parametrize(
    "row",
    [
        wire.u64(1) + wire.u16(0) + wire.opaque24(b"") + EXTENSIONS + NO_FINGERPRINTS,
        wire.u64(1) + wire.u16(2) + wire.opaque24(b"c") + EXTENSIONS + NO_FINGERPRINTS,
        CERTIFICATE + b"\x00\x09" + EXTENSIONS[2:] + NO_FINGERPRINTS,
        CERTIFICATE + b"\x00\x08\x01" + EXTENSIONS[3:] + NO_FINGERPRINTS,
        CERTIFICATE + b"\x00\x08\x00\x00\x04" + EXTENSIONS[5:] + NO_FINGERPRINTS,
        CERTIFICATE + EXTENSIONS + wire.opaque16(b"f" * 31),
        CERTIFICATE + EXTENSIONS + wire.opaque16(b"f" * 32)[:-1],
        wire.u64(1) + wire.u16(1) + b"i" * 32 + wire.opaque24(b"") + EXTENSIONS + wire.opaque24(b"p") + NO_FINGERPRINTS,
        PRECERTIFICATE + EXTENSIONS + wire.opaque24(b"") + NO_FINGERPRINTS,
        PRECERTIFICATE + EXTENSIONS + wire.opaque24(b"p") + wire.opaque16(b"f" * 33),
    ],
    ids=[
        "empty certificate",
        "entry type 2",
        "length of the extensions",
        "type of the extension",
        "length of the extension",
        "fingerprint of 31 bytes",
        "cut short",
        "empty TBSCertificate",
        "empty precertificate",
        "fingerprints of 33 bytes",
    ],
)
def test_a_row_with_one_thing_wrong_is_refused(row: bytes) -> None:
    for read in (TileLeaf.parse, X509.split, X509.leaf_input):
        with pytest.raises(Malformed):
            read(row)


def test_rows_with_nothing_wrong_are_read() -> None:
    for row in (
        CERTIFICATE + EXTENSIONS + NO_FINGERPRINTS,
        PRECERTIFICATE + EXTENSIONS + wire.opaque24(b"p") + wire.opaque16(b"f" * 64),
    ):
        assert TileLeaf.parse(row).encode() == row
        assert X509.split(row + row) == [row, row]


def test_the_largest_leaf_is_what_a_bundle_can_hold() -> None:
    largest = x509_parts(b"c" * (MAX_LEAF_SIZE - 25), [])
    leaf = X509.place(largest, 0, 0).leaf

    assert X509.leaf_size(largest) == MAX_LEAF_SIZE == 65_535
    assert GOVERNANCE.split(GOVERNANCE.join([leaf])) == [leaf]
    with pytest.raises(AssertionError):
        GOVERNANCE.join([leaf + b"."])


@given(st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=40), st.integers(0, 2)), max_size=5))
def test_rows_unpacked_together_are_what_each_is_by_itself(made: list[tuple[bool, bytes, int]]) -> None:
    rows = []
    for number, (precert, body, count) in enumerate(made):
        chain = [bytes([count]) * 32] * count
        parts = precert_parts(b"k" * 32, body, body, chain) if precert else x509_parts(body, chain)
        rows.append(X509.place(parts, number, 2**63 + number).row)
    leaves, times, chains = X509.unpack(rows)
    assert leaves == [leaf_hash(X509.leaf_input(row)) for row in rows]
    assert times == [2**63 + number for number in range(len(rows))]
    assert chains == {b"".join(X509.fingerprints(row)) for row in rows}
    for row in rows:
        with pytest.raises(Malformed):
            X509.unpack([row + b"."])


def test_entries_of_other_families_are_unpacked_as_they_are_read_and_name_no_issuers() -> None:
    assert TILES.unpack([b"a", b""]) == ([leaf_hash(b"a"), leaf_hash(b"")], [], set())
    entry = GOVERNANCE.place(Parts(u16(ENTRY_FORMAT) + u16(1), b"an action"), 0, 2**63).row
    for family in (GOVERNANCE, EVENTS):
        leaves, times, chains = family.unpack([entry, entry[:11], entry[:12]])
        assert leaves == [leaf_hash(entry), leaf_hash(entry[:11]), leaf_hash(entry[:12])]
        assert (times, chains) == ([2**63, 0, 2**63], set())
    for family, row in ((TILES, bytes(MAX_LEAF_SIZE + 1)), (GOVERNANCE, b"?"), (EVENTS, b"?")):
        with pytest.raises(Malformed):
            family.unpack([row])
