"""SM2 against the standard's example, real certificates and the openssl command line."""

import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from log.certs import certificate as certs
from log.crypto import sm2
from log.crypto.sm2 import CACHED_KEYS, SPKI_PREFIX, Sm2Key, Sm2PrivateKey, sm2_available
from log.errors import BadSignature, Malformed, SuiteUnavailable
from log.formats.cosignature import decode_timestamped, subtree_message
from log.formats.note import Note, VKey, parse_signature_lines
from tests.support.shared import data
from tests.support.vectors import vector

needs_sm2 = pytest.mark.skipif(not sm2_available(), reason="this machine's libcrypto has no SM2")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")

ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123


def standard_key() -> Sm2Key:
    """Return the key of GB/T 32918.5, as the vector of a 0xff note line has it."""
    vkey = VKey.parse(vector("sm2/cosignature")["vkey"])
    return Sm2Key.from_spki(SPKI_PREFIX + vkey.key[-64:])


@needs_sm2
def test_the_example_of_the_standard_verifies() -> None:
    example = vector("sm2/gbt32918")
    signature = encode_dss_signature(int(example["r"], 16), int(example["s"], 16))
    standard_key().verify(example["message"].encode(), signature)
    with pytest.raises(BadSignature):
        standard_key().verify(b"message digesu", signature)


@needs_sm2
def test_the_cosignature_vector_verifies() -> None:
    example = vector("sm2/cosignature")
    [line] = parse_signature_lines(example["line"].encode())
    origin, size, root = Note.parse(example["checkpoint"].encode()).text.decode().splitlines()
    timestamp_s, raw = decode_timestamped(line.data)
    head = bytes.fromhex("5aac771c899ac292e74bf1afe2e6e302f8b55883b2d1bf197b46a6bea6dabca9")
    message = subtree_message(line.name, timestamp_s, origin, 0, int(size), head)
    assert len(message) == example["message_size"]
    assert root == "Wqx3HImawpLnS/Gv4ubjAvi1WIOy0b8Ze0amvqbavKk="
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    standard_key().verify(message, encode_dss_signature(r, s))


@needs_sm2
def test_the_national_root_signed_itself_and_sheca() -> None:
    root = certs.parse(data("certs/nrcac-rootca-sm2.der").read_bytes())
    sheca = certs.parse(data("certs/sheca-sm2-by-nrcac.der").read_bytes())
    for issued in (root, sheca):
        Sm2Key.from_spki(root.spki).verify(issued.tbs, issued.signature)
    with pytest.raises(BadSignature):
        Sm2Key.from_spki(sheca.spki).verify(sheca.tbs, sheca.signature)


def test_a_key_with_explicit_curve_parameters_is_refused() -> None:
    certificate = certs.parse(data("certs/eseal-platform-sm2-explicit-curve.der").read_bytes())
    with pytest.raises(Malformed, match="named curve"):
        Sm2Key.from_spki(certificate.spki)


@needs_sm2
@given(data=st.binary(min_size=64, max_size=64))
def test_a_point_off_the_curve_is_refused(data: bytes) -> None:
    # A random pair of coordinates lies on the curve with a chance of 2**-256.
    with pytest.raises(Malformed):
        Sm2Key(SPKI_PREFIX + data)


@given(data=st.binary(max_size=100))
def test_what_is_no_key_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        Sm2Key(data)


@needs_sm2
def test_a_key_has_one_spelling() -> None:
    spki = Sm2PrivateKey.generate().spki()
    assert Sm2Key.from_spki(spki) is Sm2Key.from_spki(bytes(bytearray(spki)))
    for spelled in (spki + b"\0", spki[:-1], b"\x30\x81" + spki[1:], SPKI_PREFIX[:-1] + b"\x06" + spki[27:]):
        with pytest.raises(Malformed):
            Sm2Key(spelled)


@needs_sm2
def test_what_a_generated_key_signs_verifies_and_every_flipped_bit_fails() -> None:
    private = Sm2PrivateKey.generate()
    key = Sm2Key(private.spki())
    signature = private.sign(b"message")
    key.verify(b"message", signature)
    assert private.sign(b"message") != signature  # a fresh nonce each time
    for bit in range(8 * len(signature)):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadSignature):
            key.verify(b"message", bytes(changed))
    with pytest.raises(BadSignature):
        key.verify(b"messagf", signature)
    key.verify(b"message", signature)  # failures leave nothing behind


@needs_sm2
def test_a_signature_has_one_spelling() -> None:
    private = Sm2PrivateKey.generate()
    key = Sm2Key(private.spki())
    signature = private.sign(b"message")
    r, s = decode_dss_signature(signature)
    long_form = b"\x30\x81" + signature[1:]  # BER may write a short length in two bytes
    padded = _sequence(b"\x02\x22\x00\x00" + r.to_bytes(32), _integer(s))
    for spelled in (long_form, padded, signature + b"\0", r.to_bytes(32) + s.to_bytes(32), b""):
        with pytest.raises(BadSignature):
            key.verify(b"message", spelled)
    for r_, s_ in ((0, s), (r, 0), (r + ORDER, s), (r, s + ORDER), (r, ORDER - r)):
        with pytest.raises(BadSignature):
            key.verify(b"message", encode_dss_signature(r_, s_))


@needs_sm2
@given(data=st.binary(max_size=100))
def test_no_bytes_are_a_signature_by_chance(data: bytes) -> None:
    with pytest.raises(BadSignature):
        standard_key().verify(b"message", data)


@needs_sm2
def test_messages_may_hold_zero_bytes_and_be_empty_or_long() -> None:
    private = Sm2PrivateKey.generate()
    key = Sm2Key(private.spki())
    for message in (b"", b"\0", b"a\0b", bytes(100_000)):
        key.verify(message, private.sign(message))
    with pytest.raises(BadSignature):
        key.verify(b"a\0c", private.sign(b"a\0b"))


@needs_sm2
def test_threads_share_a_key_while_the_cache_drops_it() -> None:
    private = Sm2PrivateKey.generate()
    spki, signature = private.spki(), private.sign(b"message")
    others = [Sm2PrivateKey.generate().spki() for _ in range(CACHED_KEYS)]
    wrong: list[object] = []

    def verify() -> None:
        for _ in range(30):
            try:
                Sm2Key.from_spki(spki).verify(b"message", signature)
            except BadSignature as e:
                wrong.append(e)
            try:
                Sm2Key.from_spki(spki).verify(b"other", signature)
            except BadSignature:
                continue
            wrong.append("another message")

    threads = [threading.Thread(target=verify) for _ in range(4)]
    for thread in threads:
        thread.start()
    for other in others:  # more keys than the cache holds
        Sm2Key.from_spki(other)
    for thread in threads:
        thread.join()
    assert wrong == []


@needs_openssl
def test_where_openssl_3_is_installed_sm2_is_not_skipped() -> None:
    version = subprocess.run(["openssl", "version"], check=True, capture_output=True, text=True).stdout
    if not version.startswith("OpenSSL 3"):
        pytest.skip(version)
    assert sm2_available()


@needs_sm2
@needs_openssl
def test_openssl_agrees_on_our_signatures(tmp_path: Path) -> None:
    private = Sm2PrivateKey.generate()
    key, message, signature = tmp_path / "key.der", tmp_path / "message", tmp_path / "signature"
    key.write_bytes(private.spki())
    message.write_bytes(b"message")
    signature.write_bytes(private.sign(b"message"))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", str(key), "-rawin"]
    command += ["-in", str(message), "-sigfile", str(signature), "-digest", "sm3"]
    for identity, verdict in (("1234567812345678", 0), ("1234567812345679", 1)):
        options = ["-pkeyopt", f"distid:{identity}"]
        assert subprocess.run([*command, *options], capture_output=True, check=False).returncode == verdict


@needs_sm2
@needs_openssl
def test_we_agree_on_signatures_of_openssl(tmp_path: Path) -> None:
    key, message = tmp_path / "key.pem", tmp_path / "message"
    message.write_bytes(b"message")
    subprocess.run(["openssl", "genpkey", "-algorithm", "SM2", "-out", str(key)], check=True, capture_output=True)
    spki = subprocess.run(
        ["openssl", "pkey", "-in", str(key), "-pubout", "-outform", "DER"], check=True, capture_output=True
    ).stdout
    command = ["openssl", "pkeyutl", "-sign", "-inkey", str(key), "-rawin", "-in", str(message), "-digest", "sm3"]
    ours = subprocess.run([*command, "-pkeyopt", "distid:1234567812345678"], check=True, capture_output=True).stdout
    other = subprocess.run([*command, "-pkeyopt", "distid:someone"], check=True, capture_output=True).stdout
    Sm2Key(spki).verify(b"message", ours)
    with pytest.raises(BadSignature):
        Sm2Key(spki).verify(b"message", other)


def test_a_machine_without_the_library_says_so() -> None:
    assert not sm2_available("libcrypto.so.absent")
    with pytest.raises(SuiteUnavailable, match=r"libcrypto\.so\.absent"):
        sm2._Libcrypto("libcrypto.so.absent")
    # A library that is not OpenSSL 3: a function is missing.
    with pytest.raises(SuiteUnavailable):
        sm2._Libcrypto("libc.so.6")


def _integer(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1)
    return bytes([2, len(content)]) + content


def _sequence(*elements: bytes) -> bytes:
    content = b"".join(elements)
    return bytes([0x30, len(content)]) + content
