"""Values that others wrote and signed: `tests/vectors`, and a real log from the shared data."""

import base64
import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from log.formats.bundle import encode_bundle, split_bundle
from log.formats.checkpoint import Checkpoint, parse_signed
from log.formats.cosignature import (
    cosignature_message,
    decode_timestamped,
    encode_timestamped,
    subtree_message,
)
from log.formats.family import X509, x509_parts
from log.formats.note import KeyType, Note, VKey, parse_signature_lines, signature_line
from log.formats.sct import extensions, split_digitally_signed
from log.formats.tlog_proof import TlogProof
from log.formats.tree_head import (
    decode_tree_head_signature,
    encode_tree_head_signature,
    tree_head_message,
)
from log.formats.witness_request import AddCheckpoint
from tests.formats.vectors import vector
from tests.support.shared import data


def verify_ed25519(vkey: VKey, signature: bytes, message: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(vkey.key).verify(signature, message)


@pytest.mark.parametrize("name", ["note/c2sp.json", "note/two_signers.json"])
def test_notes_of_others_verify_over_their_text(name: str) -> None:
    case = vector(name)
    note = Note.parse(case["note"].encode())
    vkeys = [VKey.parse(text) for text in case["vkeys"]]

    assert note.encode() == case["note"].encode()
    assert [vkey.encode() for vkey in vkeys] == case["vkeys"]
    for vkey, signature in zip(vkeys, note.signatures, strict=True):
        assert vkey.owns(signature)
        verify_ed25519(vkey, signature.data, note.text)


def test_a_private_key_of_others_leads_to_their_verifier_key_and_signature() -> None:
    case = vector("note/two_signers.json")
    _, _, name, _, blob = case["private_key"].split("+", 4)
    key_type, seed = base64.b64decode(blob)[0], base64.b64decode(blob)[1:]
    key = Ed25519PrivateKey.from_private_bytes(seed)
    note = Note.parse(case["note"].encode())

    vkey = VKey.make(name, KeyType(key_type), key.public_key().public_bytes_raw())

    assert vkey.encode() == case["vkeys"][0]
    assert key.sign(note.text) == note.signatures[0].data


def test_a_tree_head_of_a_google_log_is_a_checkpoint_with_a_05_line() -> None:
    case = vector("tree_head/argon2024.json")
    note, checkpoint = parse_signed(case["note"].encode())
    vkey = VKey.parse(case["vkey"])
    spki = base64.b64decode(case["spki"])

    timestamp_ms, signed = decode_tree_head_signature(note.signatures[0].data)

    assert VKey.make(checkpoint.origin, KeyType.TREE_HEAD, spki) == vkey
    assert vkey.owns(note.signatures[0])
    der = split_digitally_signed(signed)
    assert (timestamp_ms, der.hex()) == (case["timestamp_ms"], case["der"])
    assert encode_tree_head_signature(timestamp_ms, signed) == note.signatures[0].data
    key = load_der_public_key(vkey.key)
    assert isinstance(key, EllipticCurvePublicKey)
    message = tree_head_message(timestamp_ms, checkpoint.size, checkpoint.root)
    assert len(message) == 50
    key.verify(der, message, ECDSA(SHA256()))


def test_a_04_cosignature_signs_time_and_the_whole_text() -> None:
    case = vector("cosignature/ed25519.json")
    note, _ = parse_signed(case["checkpoint"].encode())
    (line,) = parse_signature_lines(case["line"].encode())
    seed = hashlib.sha256(case["seed_text"].encode()).digest()
    key = Ed25519PrivateKey.from_private_bytes(seed)

    timestamp_s, signature = decode_timestamped(line.data)
    message = cosignature_message(timestamp_s, note.text)

    vkey = VKey.make(line.name, KeyType.COSIGNATURE, key.public_key().public_bytes_raw())
    assert vkey.encode() == case["vkey"]
    assert vkey.owns(line)
    assert timestamp_s == case["timestamp_s"]
    assert message == case["message"].encode()
    verify_ed25519(vkey, signature, message)
    assert encode_timestamped(timestamp_s, key.sign(message)) == line.data
    assert signature_line(line) == case["line"].encode()


def test_a_06_cosignature_signs_the_struct() -> None:
    case = vector("cosignature/mldsa44_message.json")
    fields = (case["name"], case["timestamp_s"], case["origin"], case["start"], case["end"])

    assert subtree_message(*fields, bytes.fromhex(case["root"])).hex() == case["message"]


def test_an_sm2_line_has_a_private_type_and_a_raw_signature() -> None:
    case = vector("sm2/cosignature.json")
    vkey = VKey.parse(case["vkey"])
    (line,) = parse_signature_lines(case["line"].encode())
    _, checkpoint = parse_signed(case["checkpoint"].encode())

    timestamp_s, _ = decode_timestamped(line.data, 64)  # r || s
    message = subtree_message(line.name, timestamp_s, checkpoint.origin, 0, checkpoint.size, checkpoint.root)

    assert vkey.type is KeyType.PRIVATE
    assert vkey.encode() == case["vkey"]
    assert vkey.key.startswith(case["identifier"].encode() + b"\x04")
    assert vkey.owns(line)
    assert timestamp_s == case["timestamp_s"]
    assert len(message) == case["message_size"]


def test_the_checkpoint_of_no_entries() -> None:
    case = vector("checkpoint/empty.json")

    checkpoint = Checkpoint.parse(f"example.com/log\n{case['size']}\n{case['root']}\n".encode())

    assert checkpoint == Checkpoint("example.com/log", 0, hashlib.sha256(b"").digest())


def test_a_checkpoint_and_bundle_of_another_log() -> None:
    case = vector("checkpoint/tessera.json")
    vkey = VKey.parse(case["vkey"])
    note, checkpoint = parse_signed(case["note"].encode())
    entries = [entry.encode() for entry in case["entries"]]

    assert (checkpoint.origin, checkpoint.size, checkpoint.extensions) == (vkey.name, 3, ())
    verify_ed25519(vkey, note.signatures[0].data, checkpoint.encode())
    assert split_bundle(bytes.fromhex(case["bundle"])) == entries
    assert encode_bundle(entries).hex() == case["bundle"]


def test_what_an_sct_and_a_tree_head_sign() -> None:
    case = vector("sct/certificate_transparency_go.json")
    sct, head = case["sct_input"], case["tree_head_input"]
    leaf = X509.place(x509_parts(bytes.fromhex(sct["certificate"]), []), 7, sct["timestamp_ms"]).leaf

    # That log put no leaf index into its extensions: their length, the last two bytes, is 0 there and 8 here.
    assert leaf == bytes.fromhex(sct["input"])[:-2] + b"\x00\x08" + extensions(7)
    message = tree_head_message(head["timestamp_ms"], head["size"], b"r" * 32)
    assert message == bytes.fromhex(head["prefix"]) + b"r" * 32


def test_leaf_index_extensions() -> None:
    for index, expected in vector("sct/leaf_index.json")["extensions"].items():
        assert extensions(int(index)).hex() == expected


def test_a_witness_request() -> None:
    case = vector("witness_request/tessera_3_to_15.json")
    body = case["body"].encode()

    request = AddCheckpoint.parse(body)
    _, checkpoint = parse_signed(request.note)

    assert (request.old, len(request.proof), checkpoint.size) == (case["old"], 5, 15)
    assert request.encode() == body
    assert hashlib.sha256(checkpoint.origin.encode()).hexdigest() == case["origin_hash"]


def test_a_proof_leads_from_the_leaf_to_the_root() -> None:
    case = vector("tlog_proof/two.json")
    proof = TlogProof.parse(case["proof"].encode())
    _, checkpoint = parse_signed(proof.checkpoint)

    def h(data: bytes) -> bytes:
        return hashlib.sha256(data).digest()

    left, right = proof.hashes
    below = h(b"\x01" + left + h(b"\x00" + case["leaf"].encode()))

    assert (proof.index, proof.extra) == (case["index"], None)
    assert h(b"\x01" + below + right) == checkpoint.root
    assert proof.encode() == case["proof"].encode()


def test_every_checkpoint_of_a_real_log_is_read_and_written_back() -> None:
    vkey = VKey.parse(vector("checkpoint/tessera.json")["vkey"])
    files = sorted(data("vectors/tessera-log").glob("checkpoint.*"))
    sizes = set()
    for file in files:
        raw = file.read_bytes()
        note, checkpoint = parse_signed(raw)
        assert note.encode() == raw
        assert checkpoint.encode() == note.text
        verify_ed25519(vkey, note.signatures[0].data, note.text)
        sizes.add(checkpoint.size)

    assert sizes == set(range(16))


def test_every_bundle_of_a_real_log_is_read_and_written_back() -> None:
    files: list[Any] = sorted(data("vectors/tessera-log/tile/entries/000.p").iterdir())

    assert len(files) == 15
    for file in files:
        entries = split_bundle(file.read_bytes())
        assert len(entries) == int(file.name)
        assert encode_bundle(entries) == file.read_bytes()
