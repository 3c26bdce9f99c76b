"""Where deployed code and the text of specifications part: which side we are on (formats.md section 24).

Each test bears the number of its row there. Rows 1 to 3, 6 to 8 and 11 are the witness's.
"""

import base64
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from log.crypto.notes import cosign, open_note, sign_note, verify_line, verify_note
from log.errors import BadSignature
from log.formats.bundle import split_bundle
from log.formats.checkpoint import Checkpoint
from log.formats.family import GOVERNANCE, X509
from log.formats.note import KeyType, Note, Signature, VKey
from log.formats.tree_head import tree_head_message
from log.merkle.hashing import leaf_hash
from log.service.rfc6962 import RangeLimits
from tests.api.conftest import Client, app, client, node  # noqa: F401 - fixtures
from tests.crypto.test_notes import NOTE, ORIGIN, OWN, SIGNERS, TEXT, TIME_MS, TREE_HEAD, VKEYS, WITNESS
from tests.support.fake_node import FakeNode
from tests.support.vectors import vector

FULL = 256  # entries of a full tile


# --- row 4: key IDs -------------------------------------------------------------------------------------------


def test_row_4_the_id_of_a_05_key_is_over_the_log_id_though_the_vkey_carries_the_key() -> None:
    google = vector("tree_head/argon2024")
    vkey = VKey.parse(google["vkey"])
    spki = base64.b64decode(google["spki"])
    assert vkey.key == spki
    over = vkey.name.encode() + b"\n\x05"
    assert vkey.key_id == sha256(over + sha256(spki).digest()).digest()[:4]
    assert vkey.key_id != sha256(over + spki).digest()[:4]


def test_row_4_the_id_of_a_02_key_knows_neither_name_nor_type() -> None:
    spki = TREE_HEAD.vkey.key
    ids = {VKey.make(name, KeyType.ECDSA, spki).key_id for name in ("one.example", "another.example")}
    assert ids == {sha256(spki).digest()[:4]}


# --- row 5: what a 0x05 line may be ---------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "byte"), [(8, 2), (8, 5), (9, 1), (9, 2)], ids=["SHA-1", "SHA-384", "RSA", "DSA"])
async def test_row_5_a_05_line_is_ecdsa_over_sha_256(at: int, byte: int) -> None:
    """Sunlight verifies RSA too; its logs and ours sign with P-256 alone."""
    [line] = (await sign_note(TEXT, TIME_MS, [TREE_HEAD])).signatures
    assert line.data[8:10] == b"\x04\x03"
    verify_line(TEXT, line, TREE_HEAD.vkey)
    other = line.data[:at] + bytes([byte]) + line.data[at + 1 :]
    with pytest.raises(BadSignature):
        verify_line(TEXT, Signature(line.name, line.key_id, other), TREE_HEAD.vkey)


@pytest.mark.parametrize(("bits", "taken"), [(2048, True), (1024, False)])
def test_row_5_a_05_line_that_rsa_signed_is_taken_from_a_log_whose_key_is_rsa(bits: int, taken: bool) -> None:
    """RFC 6962 section 2.1.4 allows it, and a fork of such a log is to be proven; no log of ours has such a key."""
    key = generate_private_key(65537, bits)
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    vkey = VKey.make(ORIGIN, KeyType.TREE_HEAD, spki)
    head = Checkpoint.parse(TEXT)
    signed = key.sign(tree_head_message(TIME_MS, head.size, head.root), PKCS1v15(), SHA256())
    line = TIME_MS.to_bytes(8) + b"\x04\x01" + len(signed).to_bytes(2) + signed
    if taken:
        assert verify_line(TEXT, Signature(ORIGIN, vkey.key_id, line), vkey) == TIME_MS
    for wrong in (line if not taken else line[:-1] + bytes([line[-1] ^ 1]), line.replace(b"\x04\x01", b"\x04\x03", 1)):
        with pytest.raises(BadSignature):
            verify_line(TEXT, Signature(ORIGIN, vkey.key_id, wrong), vkey)


async def test_row_5_a_05_line_stands_under_three_lines_of_checkpoint_and_no_more() -> None:
    note = await sign_note(TEXT, TIME_MS, [TREE_HEAD])
    longer = Checkpoint.parse(TEXT)
    text = Checkpoint(longer.origin, longer.size, longer.root, ("extension",)).encode()
    with pytest.raises(BadSignature):
        verify_note(Note(text, note.signatures), VKEYS)


# --- row 9: units of time -------------------------------------------------------------------------------------


async def test_row_9_a_05_line_tells_milliseconds_and_a_04_line_seconds() -> None:
    note = await sign_note(TEXT, TIME_MS, SIGNERS)
    data = {vkey.type: line.data for vkey in VKEYS for line in note.signatures if vkey.owns(line)}
    assert int.from_bytes(data[KeyType.TREE_HEAD][:8]) == TIME_MS
    assert int.from_bytes(data[KeyType.COSIGNATURE][:8]) == TIME_MS // 1000
    told = {line.vkey.type: line.timestamp_ms for line in open_note(note.encode(), VKEYS).verified}
    assert told == {
        KeyType.TREE_HEAD: TIME_MS,
        KeyType.COSIGNATURE: TIME_MS // 1000 * 1000,
        KeyType.ED25519: None,
    }


async def test_row_9_a_time_in_the_other_unit_is_not_what_was_signed() -> None:
    witness = await cosign(TEXT, TIME_MS // 1000, WITNESS)
    in_ms = Signature(witness.name, witness.key_id, TIME_MS.to_bytes(8) + witness.data[8:])
    [head] = (await sign_note(TEXT, TIME_MS, [TREE_HEAD])).signatures
    in_s = Signature(head.name, head.key_id, (TIME_MS // 1000).to_bytes(8) + head.data[8:])
    for line, vkey in ((in_ms, WITNESS.vkey), (in_s, TREE_HEAD.vkey)):
        with pytest.raises(BadSignature):
            verify_line(TEXT, line, vkey)
    parsed = Checkpoint.parse(TEXT)
    assert tree_head_message(TIME_MS, parsed.size, parsed.root)[2:10] == TIME_MS.to_bytes(8)
    assert NOTE.vkey.key_id != OWN.vkey.key_id


# --- row 10: paths of tiles -----------------------------------------------------------------------------------


async def test_row_10_one_tree_is_read_as_data_tiles_and_as_bundles(client: Client, node: FakeNode) -> None:  # noqa: F811
    node.x509.fill(FULL + 3)
    node.logs["governance"].fill(3)
    for number, width in (("000", FULL), ("001.p/3", 3)):
        hashes = (await client.get(f"/x509/tile/0/{number}")).content
        rows = X509.split((await client.get(f"/x509/tile/data/{number}")).content)
        entries = split_bundle((await client.get(f"/x509/tile/entries/{number}")).content)
        assert len(rows) == width
        assert b"".join(leaf_hash(entry) for entry in entries) == hashes
        assert [X509.leaf_input(row) for row in rows] == entries
    assert (await client.get("/governance/tile/data/000.p/3")).status_code == 404
    assert len(GOVERNANCE.split((await client.get("/governance/tile/entries/000.p/3")).content)) == 3


@pytest.mark.parametrize(
    "path",
    [
        "tile/8/0/000",  # Go's checksum database: the height stands before the level,
        "tile/8/0/000.p/3",
        "tile/8/data/000",  # and its entries are here
        "tile/6/000",  # static-ct ends at level 5, tlog-tiles at 63: a level is there when a tree has it
        "tile/63/000",
        "tile/64/000",
        "tile/names/000",  # Sunlight's, which nobody need have
    ],
)
async def test_row_10_paths_of_other_layouts_are_not_found(client: Client, node: FakeNode, path: str) -> None:  # noqa: F811
    node.x509.fill(FULL + 3)
    assert (await client.get(f"/x509/{path}")).status_code == 404


# --- row 12: ranges -------------------------------------------------------------------------------------------


async def test_row_12_the_end_of_get_entries_is_inclusive_and_answers_end_in_step(
    client: Client,  # noqa: F811
    node: FakeNode,  # noqa: F811
) -> None:
    node.x509.fill(FULL + 10)
    node.x509.blobs[sha256(b"issuer").digest()] = b"issuer"
    node.x509.certificates = node.x509.reads(RangeLimits(max_entries=100))

    async def count(start: int, end: int) -> int:
        answer = await client.get("/x509/ct/v1/get-entries", params={"start": start, "end": end})
        return len(answer.json()["entries"])

    assert await count(7, 7) == 1
    assert await count(0, 9) == 10
    assert await count(50, 250) == 50  # to the next multiple of what one answer may have, as CTFE does
    assert await count(200, 10_000) == 66  # to the end of the tree


async def test_row_12_a_tile_has_no_cap_but_its_width(client: Client, node: FakeNode) -> None:  # noqa: F811
    node.x509.fill(FULL)
    node.x509.certificates = node.x509.reads(RangeLimits(max_entries=10))
    assert len(X509.split((await client.get("/x509/tile/data/000")).content)) == FULL


# --- row 13: examples that are no vectors ---------------------------------------------------------------------


def test_row_13_the_printed_example_of_tlog_checkpoint_verifies_only_as_what_it_is() -> None:
    example = vector("checkpoint/behind_the_sofa")
    vkey = VKey.parse(example["vkey"])
    printed = Note.parse(example["note"].encode())
    [line] = printed.signatures
    assert (Checkpoint.parse(printed.text).origin, line.name) == tuple(example["printed"].values())
    assert line.key_id == vkey.key_id
    text = printed.text.replace(example["printed"]["origin"].encode(), example["is"]["origin"].encode())
    renamed = Signature(example["is"]["name"], line.key_id, line.data)
    verify_note(Note(text, (renamed,)), [vkey])
    for note in (printed, Note(printed.text, (renamed,)), Note(text, (line,))):
        with pytest.raises(BadSignature):
            verify_note(note, [vkey])
