"""The way of an SM2 key that signs often, against libcrypto and against doubling and adding."""

import gc
import threading
from functools import lru_cache

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import example, given
from hypothesis import strategies as st

from log.crypto import sm2, sm2_multiples
from log.crypto.sm2 import CERTIFICATE_ID, OFTEN, SPKI_PREFIX, Sm2Key, Sm2PrivateKey, sm2_available
from log.crypto.sm2_multiples import MODULUS, ORDER, G, OftenUsedKey
from log.errors import BadSignature
from tests.support.vectors import vector

P, A = int(MODULUS), int(sm2_multiples.A)
BASE = (int(G[0]), int(G[1]))

needs_sm2 = pytest.mark.skipif(not sm2_available(), reason="this machine's libcrypto has no SM2")

scalars = st.integers(1, ORDER - 1)


def plus(one: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int] | None:
    """Add two points of the curve as the standard defines it; None is the point at infinity."""
    if one is None or other is None:
        return one or other
    (x, y), (x_, y_) = one, other
    if x == x_ and (y + y_) % P == 0:
        return None
    slope = (3 * x * x + A) * pow(2 * y, -1, P) if one == other else (y_ - y) * pow(x_ - x, -1, P)
    third = (slope * slope - x - x_) % P
    return third, (slope * (x - third) - y) % P


def times(scalar: int, point: tuple[int, int]) -> tuple[int, int] | None:
    """Return a multiple by doubling and adding."""
    found = None
    for bit in f"{scalar:b}":
        found = plus(found, found)
        if bit == "1":
            found = plus(found, point)
    return found


@lru_cache(1)
def key_of_one() -> OftenUsedKey:
    """Return the key whose secret is 1: the generator itself."""
    return OftenUsedKey(b"".join(number.to_bytes(32) for number in BASE), CERTIFICATE_ID)


@given(scalar=scalars)
@example(scalar=1)
@example(scalar=255)
@example(scalar=256)
@example(scalar=ORDER - 1)
@example(scalar=int.from_bytes(b"\1" + bytes(30) + b"\1"))
def test_a_multiple_by_its_bytes_is_that_of_doubling_and_adding(scalar: int) -> None:
    expected = times(scalar, BASE)
    assert expected is not None
    points = sm2_multiples._multiple(sm2_multiples._table_of_g(), scalar)
    assert sm2_multiples._x_of_sum(points) == expected[0]


def test_the_example_of_the_standard_holds() -> None:
    wanted = vector("sm2/gbt32918")
    key = OftenUsedKey(sm2._PROBE_KEY, CERTIFICATE_ID)
    r, s = int(wanted["r"], 16), int(wanted["s"], 16)
    assert key.holds(wanted["message"].encode(), r, s)
    assert not key.holds(b"message digesu", r, s)
    assert not OftenUsedKey(sm2._PROBE_KEY, b"someone else").holds(wanted["message"].encode(), r, s)


@needs_sm2
def test_it_agrees_with_libcrypto() -> None:
    private = Sm2PrivateKey.generate()
    spki = private.spki()
    key, libcrypto = OftenUsedKey(spki[len(SPKI_PREFIX) :], CERTIFICATE_ID), Sm2Key(spki)
    for n in range(OFTEN // 4):  # so few that libcrypto alone answers
        message = b"message %d" % n
        r, s = decode_dss_signature(private.sign(message))
        assert key.holds(message, r, s)
        forged = [(message + b".", r, s), (message, r ^ 1 << n, s), (message, r, s ^ 1 << n), (message, s, r)]
        forged += [(message, r + ORDER, s), (message, r, s + ORDER), (message, 0, s), (message, r, 0)]
        forged += [(message, r, -r % ORDER), (message, r, -s % ORDER), (message, -r % ORDER, s)]
        for other, r_, s_ in forged:
            assert not key.holds(other, r_, s_)
            with pytest.raises(BadSignature):
                libcrypto.verify(other, encode_dss_signature(r_, s_))


@given(s=st.integers(1, 255), rest=st.integers(1, 2**240))
def test_where_two_same_points_meet_it_says_nothing(s: int, rest: int) -> None:
    # With the secret 1 the sum of the bytes of s is met by the same point in the lowest byte of t.
    key = key_of_one()
    assert not key.holds(b"message", rest << 8, s)
    with pytest.raises(ZeroDivisionError):
        sm2_multiples._x_of_sum([sm2_multiples._table_of_g()[0][s - 1]] * 2)


@given(s=scalars)
def test_where_the_sum_is_infinite_it_says_nothing(s: int) -> None:
    assert not key_of_one().holds(b"message", -2 * s % ORDER, s)


@needs_sm2
def test_a_key_that_signs_often_is_verified_without_libcrypto(monkeypatch: pytest.MonkeyPatch) -> None:
    private = Sm2PrivateKey.generate()
    key = Sm2Key(private.spki())
    signature = private.sign(b"message")
    for _ in range(OFTEN):
        key.verify(b"message", signature)
    asked: list[bytes] = []
    ask = sm2._Libcrypto.verify

    def counted(library: sm2._Libcrypto, handle: int, message: bytes, signature: bytes) -> None:
        asked.append(message)
        ask(library, handle, message, signature)

    monkeypatch.setattr(sm2._Libcrypto, "verify", counted)
    key.verify(b"message", signature)
    assert asked == []
    with pytest.raises(BadSignature):
        key.verify(b"other", signature)
    assert asked == [b"other"]  # a refusal is libcrypto's


@needs_sm2
def test_so_many_keys_are_remembered_and_a_dropped_one_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sm2, "_places", threading.BoundedSemaphore(1))

    def often(private: Sm2PrivateKey, key: Sm2Key) -> bool:
        signature = private.sign(b"message")
        for _ in range(OFTEN):
            key.verify(b"message", signature)
        return key._often_used is not None

    private = Sm2PrivateKey.generate()
    first, second = Sm2Key(private.spki()), Sm2Key(private.spki())
    assert often(private, first)
    assert not often(private, second)
    del first
    gc.collect()
    assert often(private, second)
