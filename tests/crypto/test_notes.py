"""Signature lines: published vectors, the rules of signed-note, and notes of our own with anything done to them."""

import base64
import hashlib
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from log.crypto.ecdsa import EcdsaSigner
from log.crypto.ed25519 import Ed25519Signer
from log.crypto.mldsa import MldsaVerifier
from log.crypto.notes import (
    NoteSigner,
    cosign,
    cosign_all,
    open_head,
    open_note,
    sign_note,
    sign_statement,
    statement_key,
    verify_line,
    verify_note,
)
from log.errors import BadSignature, Malformed
from log.formats.checkpoint import Checkpoint
from log.formats.cosignature import encode_timestamped
from log.formats.note import KeyType, Note, Signature, VKey, parse_signature_lines, signature_line
from log.formats.tree_head import encode_tree_head_signature
from tests.support.engine import mldsa_signer
from tests.support.shared import data
from tests.support.vectors import vector

ORIGIN = "hk.twinlog.example/x509"
TEXT = Checkpoint(ORIGIN, 5, b"\x05" * 32).encode()
TIME_MS = 1_767_139_200_123


def ed25519(name: str, kind: KeyType, seed: int) -> NoteSigner:
    return NoteSigner.make(name, kind, Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)))


def p256(name: str, secret: int) -> NoteSigner:
    return NoteSigner.make(name, KeyType.TREE_HEAD, EcdsaSigner(ec.derive_private_key(secret, ec.SECP256R1())))


TREE_HEAD, NOTE, OWN = (
    p256(ORIGIN, 1),
    ed25519(ORIGIN, KeyType.ED25519, 2),
    ed25519(ORIGIN, KeyType.COSIGNATURE, 3),
)
SIGNERS = [TREE_HEAD, NOTE, OWN]
VKEYS = [signer.vkey for signer in SIGNERS]
WITNESS = ed25519("gd.twinlog.example/witness", KeyType.COSIGNATURE, 4)
WITNESS_MLDSA = mldsa_signer("gd.twinlog.example/witness", 4)


# --- vectors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["note/c2sp", "note/two_signers"])
def test_published_notes_verify(path: str) -> None:
    published = vector(path)
    vkeys = [VKey.parse(vkey) for vkey in published["vkeys"]]
    note = Note.parse(published["note"].encode())
    assert [line.vkey for line in verify_note(note, vkeys)] == vkeys
    for vkey in vkeys:  # one known key is enough
        [line] = verify_note(note, [vkey])
        assert (line.vkey, line.timestamp_ms) == (vkey, None)
    with pytest.raises(BadSignature):
        verify_note(Note(note.text + b"\n", note.signatures), vkeys)


async def test_we_sign_as_the_go_library_does() -> None:
    published = vector("note/two_signers")
    *_, name, _, private = published["private_key"].split("+", 4)
    seed = base64.b64decode(private)[1:]
    signer = NoteSigner.make(name, KeyType.ED25519, Ed25519Signer(Ed25519PrivateKey.from_private_bytes(seed)))
    assert signer.vkey.encode() == published["vkeys"][0]
    theirs = Note.parse(published["note"].encode())
    assert (await sign_note(theirs.text, 0, [signer])).signatures == theirs.signatures[:1]


def test_a_tree_head_of_google_verifies() -> None:
    published = vector("tree_head/argon2024")
    vkey = VKey.parse(published["vkey"])
    opened = open_head(published["note"].encode(), [vkey])
    assert opened.checkpoint.size == 1_267_285_836
    assert [line.timestamp_ms for line in opened.verified] == [published["timestamp_ms"]]
    with pytest.raises(BadSignature):
        open_note(published["note"].replace("\n1267285836\n", "\n1267285837\n").encode(), [vkey])


async def test_the_cosignature_vector_verifies_and_is_what_we_sign() -> None:
    published = vector("cosignature/ed25519")
    vkey = VKey.parse(published["vkey"])
    [line] = parse_signature_lines(published["line"].encode())
    text = Note.parse(published["checkpoint"].encode()).text
    assert verify_line(text, line, vkey) == published["timestamp_s"] * 1000
    seed = hashlib.sha256(published["seed_text"].encode()).digest()
    signer = NoteSigner.make(vkey.name, KeyType.COSIGNATURE, Ed25519Signer(Ed25519PrivateKey.from_private_bytes(seed)))
    assert await cosign(text, published["timestamp_s"], signer) == line


def test_the_checkpoints_of_tessera_verify() -> None:
    vkey = VKey.parse(vector("checkpoint/tessera")["vkey"])
    for size in range(16):
        raw = data(f"vectors/tessera-log/checkpoint.{size}").read_bytes()
        assert open_head(raw, [vkey]).checkpoint.size == size


# --- our own ----------------------------------------------------------------------------------------------


async def test_a_head_carries_each_line_with_its_own_time() -> None:
    note = await sign_note(TEXT, TIME_MS, SIGNERS)
    opened = open_head(note.encode(), VKEYS)
    assert opened.checkpoint == Checkpoint.parse(TEXT)
    times = {line.vkey.type: line.timestamp_ms for line in opened.verified}
    assert times == {
        KeyType.TREE_HEAD: TIME_MS,
        KeyType.ED25519: None,
        KeyType.COSIGNATURE: TIME_MS // 1000 * 1000,
    }
    assert await sign_note(TEXT, TIME_MS, SIGNERS) == note


async def test_every_flipped_bit_of_a_head_is_noticed() -> None:
    raw = (await sign_note(TEXT, TIME_MS, SIGNERS)).encode()
    whole = open_head(raw, VKEYS)
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            opened = open_note(bytes(changed), VKEYS)
        except (Malformed, BadSignature):
            continue
        # A line whose name or key id no longer is that of a known key counts as a stranger's.
        assert opened.checkpoint == whole.checkpoint
        assert len(opened.verified) == 2
        assert set(opened.verified) < set(whole.verified)


async def test_lines_of_strangers_are_ignored_in_any_order() -> None:
    note = await sign_note(TEXT, TIME_MS, SIGNERS)
    grease = [
        Signature("grease.invalid", b"\0\0\0\1", b"x"),
        Signature(ORIGIN, b"\0\0\0\2", b"not ours, though it has our name"),
        Signature("elsewhere.example", NOTE.vkey.key_id, b"not ours, though it has our id"),
    ]
    lines = [*note.signatures, *grease, (await cosign(TEXT, 1, WITNESS))]
    for turn in range(len(lines)):
        opened = open_head(note.with_signatures(lines[turn:] + lines[:turn]).encode(), VKEYS)
        assert {line.vkey for line in opened.verified} == set(VKEYS)
        # What is passed on holds nothing of strangers.
        assert set(opened.reduced().signatures) == set(note.signatures)
        assert open_head(opened.reduced().encode(), VKEYS).verified == opened.verified


async def test_strangers_alone_are_nobody() -> None:
    note = await sign_note(TEXT, TIME_MS, [WITNESS])
    with pytest.raises(BadSignature, match="no signature by a known key"):
        open_note(note.encode(), VKEYS)
    with pytest.raises(BadSignature):
        open_note(note.encode(), [])


@pytest.mark.parametrize("spoilt", range(3))
async def test_one_bad_line_of_a_known_key_spoils_the_note(spoilt: int) -> None:
    note = await sign_note(TEXT, TIME_MS, SIGNERS)
    other = await sign_note(Checkpoint(ORIGIN, 6, b"\x05" * 32).encode(), TIME_MS, SIGNERS)
    lines = list(note.signatures)
    for bad in (other.signatures[spoilt].data, b"short", b"x" * 64, b"y" * 72):
        lines[spoilt] = Signature(VKEYS[spoilt].name, VKEYS[spoilt].key_id, bad)
        with pytest.raises(BadSignature):
            open_note(note.with_signatures(lines).encode(), VKEYS)


async def test_repeated_lines_count_once_and_the_first_of_good_ones_counts() -> None:
    first, second = [await sign_note(TEXT, time_ms, SIGNERS) for time_ms in (TIME_MS, TIME_MS + 5000)]
    both = first.with_signatures((*first.signatures, *second.signatures, *first.signatures))
    assert open_note(both.encode(), VKEYS).verified == open_note(first.encode(), VKEYS).verified
    assert open_note(both.encode(), VKEYS).reduced() == first


async def test_a_bad_line_beside_a_good_one_of_the_same_key_spoils_the_note() -> None:
    note = await sign_note(TEXT, TIME_MS, [NOTE])
    bad = Signature(NOTE.vkey.name, NOTE.vkey.key_id, bytes(64))
    for lines in ((*note.signatures, bad), (bad, *note.signatures)):
        with pytest.raises(BadSignature):
            open_note(note.with_signatures(lines).encode(), VKEYS)


async def test_a_0x05_line_and_extension_lines_exclude_each_other() -> None:
    text = Checkpoint(ORIGIN, 5, b"\x05" * 32, ("extension",)).encode()
    with pytest.raises(AssertionError):
        await sign_note(text, TIME_MS, [TREE_HEAD])
    # The line of the plain checkpoint also covers the longer text, were it not refused.
    plain = await sign_note(TEXT, TIME_MS, [TREE_HEAD])
    with pytest.raises(BadSignature, match="extension"):
        open_note(Note(text, plain.signatures).encode(), VKEYS)
    opened = open_note((await sign_note(text, TIME_MS, [NOTE, OWN])).encode(), VKEYS)
    assert opened.checkpoint.extensions == ("extension",)


async def test_a_0x05_line_with_another_algorithm_is_a_bad_signature() -> None:
    note = await sign_note(TEXT, TIME_MS, [TREE_HEAD])
    [line] = note.signatures
    rsa = line.data[:9] + b"\x01" + line.data[10:]
    assert line.data[8:10] == b"\x04\x03"
    assert line.data == encode_tree_head_signature(TIME_MS, line.data[8:])
    with pytest.raises(BadSignature):
        verify_line(TEXT, Signature(line.name, line.key_id, rsa), TREE_HEAD.vkey)
    with pytest.raises(BadSignature):
        verify_line(b"no checkpoint\n", line, TREE_HEAD.vkey)


@pytest.mark.parametrize("signers", [[TREE_HEAD, OWN], [NOTE, OWN], [OWN]])
async def test_a_head_needs_the_lines_of_the_keys_that_are_known(signers: Sequence[NoteSigner]) -> None:
    raw = (await sign_note(TEXT, TIME_MS, signers)).encode()
    open_note(raw, VKEYS)
    with pytest.raises(BadSignature, match="no line of type"):
        open_head(raw, VKEYS)
    open_head(raw, [signer.vkey for signer in signers])


async def test_after_a_change_of_keys_either_one_makes_a_head() -> None:
    newer = ed25519(ORIGIN, KeyType.ED25519, 9)
    for signer in (NOTE, newer):
        raw = (await sign_note(TEXT, TIME_MS, [TREE_HEAD, signer])).encode()
        open_head(raw, [*VKEYS, newer.vkey])


async def test_a_head_of_another_origin_is_refused() -> None:
    text = Checkpoint("gd.twinlog.example/x509", 5, b"\x05" * 32).encode()
    raw = (await sign_note(text, TIME_MS, SIGNERS)).encode()
    with pytest.raises(BadSignature, match="another log"):
        open_head(raw, VKEYS)


async def test_keys_of_types_that_are_not_verified_are_strangers() -> None:
    later = VKey.make(ORIGIN, KeyType.PRIVATE, b"later.example/suite" + bytes(32))
    note = await sign_note(TEXT, TIME_MS, SIGNERS)
    lines = (*note.signatures, Signature(ORIGIN, later.key_id, b"whatever"))
    assert len(open_head(note.with_signatures(lines).encode(), [*VKEYS, later]).verified) == 3
    with pytest.raises(BadSignature):
        verify_line(TEXT, lines[-1], later)


async def test_two_keys_under_one_name_and_id_are_refused() -> None:
    note = await sign_note(TEXT, TIME_MS, [NOTE])
    twin = VKey(NOTE.vkey.name, NOTE.vkey.key_id, KeyType.ED25519, OWN.vkey.key)
    with pytest.raises(BadSignature, match="share the name"):
        open_note(note.encode(), [NOTE.vkey, twin])
    open_note(note.encode(), [NOTE.vkey, NOTE.vkey])


async def test_the_tree_head_key_signs_a_statement_as_text() -> None:
    text = b"twinlog/identity@v1\nsome\nlines\n"
    note = await sign_statement(text, TIME_MS, SIGNERS)
    verified = verify_note(note, map(statement_key, VKEYS))
    assert [line.vkey.type for line in verified] == [KeyType.ECDSA, KeyType.ED25519, KeyType.COSIGNATURE]
    with pytest.raises(BadSignature):
        verify_note(Note(text + b"more\n", note.signatures), map(statement_key, VKEYS))


async def test_a_cosigner_has_a_key_for_it_and_a_time() -> None:
    line = await cosign(TEXT, 12, WITNESS)
    assert verify_line(TEXT, line, WITNESS.vkey) == 12_000
    with pytest.raises(AssertionError):
        await cosign(TEXT, 0, WITNESS)
    with pytest.raises(AssertionError):
        await cosign(TEXT, 12, NOTE)
    with pytest.raises(AssertionError):
        verify_line(TEXT, line, OWN.vkey)


# --- 0x06 -------------------------------------------------------------------------------------------------


async def test_a_0x06_line_signs_the_worked_message() -> None:
    published = vector("cosignature/mldsa44_message")
    message = bytes.fromhex(published["message"])
    assert len(message) == 112
    signer = mldsa_signer(published["name"], 7)
    text = Checkpoint(published["origin"], published["end"], bytes.fromhex(published["root"])).encode()
    [signature] = await signer.signer.sign([message])
    foreign = Signature(published["name"], signer.vkey.key_id, encode_timestamped(published["timestamp_s"], signature))
    assert verify_line(text, foreign, signer.vkey) == published["timestamp_s"] * 1000
    ours = await cosign(text, published["timestamp_s"], signer)
    MldsaVerifier(signer.vkey.key).verify(message, ours.data[8:])
    assert len(ours.data) == 2428
    assert len(signature_line(ours).rstrip().rpartition(b" ")[2]) == 3244


async def test_a_witness_with_two_keys_makes_two_lines_of_one_time() -> None:
    lines = await cosign_all(TEXT, 12, [WITNESS, WITNESS_MLDSA])
    head = await sign_note(TEXT, TIME_MS, SIGNERS)
    opened = open_note(head.with_signatures([*lines, *head.signatures]).encode(), [WITNESS.vkey, WITNESS_MLDSA.vkey])
    assert [(line.vkey, line.timestamp_ms, line.witnesses) for line in opened.verified] == [
        (WITNESS.vkey, 12_000, True),
        (WITNESS_MLDSA.vkey, 12_000, True),
    ]
    assert opened.reduced().signatures == lines


@pytest.mark.parametrize(
    "text",
    [
        Checkpoint(ORIGIN, 6, b"\x05" * 32),
        Checkpoint(ORIGIN, 5, b"\x06" * 32),
        Checkpoint("gd.twinlog.example/x509", 5, b"\x05" * 32),
    ],
)
async def test_a_0x06_line_is_of_one_origin_size_root_and_name(text: Checkpoint) -> None:
    line = await cosign(TEXT, 12, WITNESS_MLDSA)
    with pytest.raises(BadSignature):
        verify_line(text.encode(), line, WITNESS_MLDSA.vkey)
    other = NoteSigner.make("another.example", KeyType.MLDSA, WITNESS_MLDSA.signer)
    with pytest.raises(BadSignature):  # the name is signed, unlike in a 0x04 line
        verify_line(TEXT, Signature(other.vkey.name, other.vkey.key_id, line.data), other.vkey)


async def test_what_a_0x06_line_cannot_say_is_a_bad_signature() -> None:
    line = await cosign(TEXT, 12, WITNESS_MLDSA)
    for size in (0, 8, 72, len(line.data) - 1, len(line.data) + 1):
        cut = Signature(line.name, line.key_id, (line.data + b"x")[:size])
        with pytest.raises(BadSignature):
            verify_line(TEXT, cut, WITNESS_MLDSA.vkey)
    for text in (b"no checkpoint\n", Checkpoint("o" * 256, 5, b"\x05" * 32).encode()):
        with pytest.raises(BadSignature):
            verify_line(text, line, WITNESS_MLDSA.vkey)
    long = mldsa_signer("n" * 256, 8)
    with pytest.raises(BadSignature):
        verify_line(TEXT, Signature(long.vkey.name, long.vkey.key_id, line.data), long.vkey)


async def test_a_0x06_line_does_not_cover_extension_lines_and_a_0x04_line_does() -> None:
    extended = Checkpoint(ORIGIN, 5, b"\x05" * 32, ("extension",)).encode()
    verify_line(extended, await cosign(TEXT, 12, WITNESS_MLDSA), WITNESS_MLDSA.vkey)
    with pytest.raises(BadSignature):
        verify_line(extended, await cosign(TEXT, 12, WITNESS), WITNESS.vkey)


@pytest.mark.parametrize("signer", [WITNESS, WITNESS_MLDSA])
async def test_a_line_without_a_time_verifies_and_witnesses_nothing(signer: NoteSigner) -> None:
    [verified] = verify_note(await sign_note(TEXT, 0, [signer]), [signer.vkey])
    assert (verified.timestamp_ms, verified.witnesses) == (0, False)
    [verified] = verify_note(await sign_note(TEXT, 1000, [signer]), [signer.vkey])
    assert verified.witnesses
    [verified] = verify_note(await sign_note(TEXT, TIME_MS, [TREE_HEAD]), VKEYS)
    assert not verified.witnesses


async def test_a_log_that_has_a_0x06_key_owes_its_line_like_the_others() -> None:
    own = mldsa_signer(ORIGIN, 9)
    with pytest.raises(BadSignature, match="no line of type 0x06"):
        open_head((await sign_note(TEXT, TIME_MS, SIGNERS)).encode(), [*VKEYS, own.vkey])
    open_head((await sign_note(TEXT, TIME_MS, [*SIGNERS, own])).encode(), [*VKEYS, own.vkey])


@given(lines=st.lists(st.tuples(st.integers(0, 2), st.binary(min_size=1, max_size=90)), min_size=1, max_size=4))
def test_no_bytes_are_a_line_by_chance(lines: list[tuple[int, bytes]]) -> None:
    forged = [Signature(VKEYS[i].name, VKEYS[i].key_id, data) for i, data in lines]
    with pytest.raises(BadSignature):
        open_note(Note(TEXT, tuple(forged)).encode(), VKEYS)
