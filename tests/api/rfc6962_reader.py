"""What a reader of RFC 6962 does with answers, written out: none of it goes through the code that gave them."""

import struct
from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import sha256

import httpx

ENDPOINTS = ("get-sth", "get-sth-consistency", "get-proof-by-hash", "get-entries", "get-entry-and-proof")
ZERO = b64encode(bytes(32)).decode()


def leaf_hash(leaf_input: bytes) -> bytes:
    return sha256(b"\x00" + leaf_input).digest()


def root_of_path(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """RFC 9162 section 2.1.3.2, which says how to verify what RFC 6962 defines."""
    fn, sn, r = index, size - 1, leaf
    for p in path:
        assert sn > 0, "the path is too long"
        if fn % 2 or fn == sn:
            r = sha256(b"\x01" + p + r).digest()
            while fn % 2 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = sha256(b"\x01" + r + p).digest()
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0, "the path is too short"
    return r


def roots_of_consistency(first: int, second: int, first_root: bytes, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """RFC 9162 section 2.1.4.2; 0 < first < second."""
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    fn, sn = first - 1, second - 1
    while fn % 2:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        assert sn > 0, "the proof is too long"
        if fn % 2 or fn == sn:
            fr, sr = sha256(b"\x01" + c + fr).digest(), sha256(b"\x01" + c + sr).digest()
            while fn % 2 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = sha256(b"\x01" + sr + c).digest()
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0, "the proof is too short"
    return fr, sr


def opaque24(data: bytes) -> bytes:
    return struct.pack(">I", len(data))[1:] + data


def hashes(values: list[str]) -> list[bytes]:
    found = [b64decode(value, validate=True) for value in values]
    assert {len(value) for value in found} <= {32}
    return found


def is_error(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    first, second = answer.text.splitlines()
    assert first == httpx.codes.get_reason_phrase(status)
    assert second
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "cache-control" not in answer.headers
