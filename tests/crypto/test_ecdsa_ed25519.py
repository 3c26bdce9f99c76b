"""The two suites that a node signs with: what they sign verifies, and a change of any kind does not."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from log.crypto import KeyVerifier, Signer
from log.crypto.ecdsa import THREAD_FROM, EcdsaSigner, EcdsaVerifier
from log.crypto.ed25519 import Ed25519Signer, Ed25519Verifier
from log.errors import BadSignature, Malformed

P256 = EcdsaSigner(ec.derive_private_key(7, ec.SECP256R1()))
ED25519 = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))
SUITES: list[tuple[Signer, KeyVerifier]] = [
    (P256, EcdsaVerifier(P256.public)),
    (ED25519, Ed25519Verifier(ED25519.public)),
]


@pytest.mark.parametrize(("signer", "verifier"), SUITES)
async def test_what_is_signed_verifies_in_the_order_asked_for(signer: Signer, verifier: KeyVerifier) -> None:
    for count in (0, 1, THREAD_FROM - 1, THREAD_FROM, 3 * THREAD_FROM):
        messages = [b"message %d" % i for i in range(count)]
        signatures = await signer.sign(messages)
        assert len(signatures) == count
        for message, signature in zip(messages, signatures, strict=True):
            verifier.verify(message, signature)


@pytest.mark.parametrize(("signer", "verifier"), SUITES)
async def test_every_flipped_bit_breaks_a_signature(signer: Signer, verifier: KeyVerifier) -> None:
    [signature] = await signer.sign([b"message"])
    for bit in range(8 * len(signature)):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadSignature):
            verifier.verify(b"message", bytes(changed))
    for other in (b"", b"messagf", b"message\0"):
        with pytest.raises(BadSignature):
            verifier.verify(other, signature)


@pytest.mark.parametrize(("signer", "verifier"), SUITES)
async def test_signing_again_gives_the_same_bytes(signer: Signer, verifier: KeyVerifier) -> None:
    assert signer.deterministic
    assert await signer.sign([b"m"] * 3) == [(await signer.sign([b"m"]))[0]] * 3


@pytest.mark.parametrize(("signer", "verifier"), SUITES)
@given(data=st.binary(max_size=100))
def test_no_bytes_are_a_signature_by_chance(signer: Signer, verifier: KeyVerifier, data: bytes) -> None:
    with pytest.raises(BadSignature):
        verifier.verify(b"message", data)


def test_rfc6979_appendix_a_2_5() -> None:
    # The RFC's key, message "sample", SHA-256.
    private = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    signature = EcdsaSigner(ec.derive_private_key(private, ec.SECP256R1())).sign_now(b"sample")
    assert "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716" in signature.hex()
    assert "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8" in signature.hex()


def test_a_log_key_is_p256_in_one_spelling() -> None:
    other_curve = ec.derive_private_key(7, ec.SECP384R1())
    with pytest.raises(Malformed):
        EcdsaSigner(other_curve)
    with pytest.raises(Malformed):
        EcdsaVerifier(other_curve.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    point = ec.derive_private_key(7, ec.SECP256R1()).public_key()
    compressed = point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    # SubjectPublicKeyInfo { ecPublicKey, prime256v1, compressed point }: the same key, another log ID.
    spelled = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + compressed
    with pytest.raises(Malformed, match="unusual"):
        EcdsaVerifier(spelled)


@given(data=st.binary(max_size=100))
def test_what_is_no_key_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        EcdsaVerifier(data)
    if len(data) != 32:
        with pytest.raises(Malformed):
            Ed25519Verifier(data)
