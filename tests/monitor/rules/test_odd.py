"""Nothing crashes on odd bytes: UNPARSABLE, or judged as far as they can be read (monitoring.md §6 row 28)."""

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from log.certs import der
from log.certs.certificate import CERTIFICATE_POLICIES, KEY_USAGE
from log.demo import issuing
from monitor.rules import case as cases
from monitor.rules.case import FixedLists, at_hand
from monitor.rules.engine import Engine
from monitor.rules.limits import Limits
from monitor.rules.reading import ORGANISATION, UTF8, attributes
from monitor.rules.watchlist import WatchList, ascii_name
from tests.monitor.rules.cases import alternative, extended, usual, world
from tests.monitor.rules.test_watchlist import watching

LIMITS = Limits.usual()
WATCH = WatchList((watching("example.hk"),))


def judge(data: bytes) -> list[str]:
    engine = Engine(LIMITS)
    base = world().base
    case = at_hand(data, [world().hk.certificate], FixedLists({"hk": base}), LIMITS)
    found = engine.judge(case)
    WATCH.matches(case)
    assert engine.disabled == {}
    for hit in found:
        engine.finding(hit, case).alert()
    return [hit.code for hit in found]


@cache
def _usual() -> bytes:
    return extended(0, 1, 2, 3, 4, more=(alternative(0x82, b"www.example.hk"),))(world())


@given(st.integers(0, 10_000), st.integers(0, 255), st.integers(0, 10_000), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_bytes_that_were_changed(at: int, byte: int, then: int, other: int) -> None:
    data = bytearray(_usual())
    data[at % len(data)] = byte
    data[then % len(data)] = other
    judge(bytes(data))


@given(st.binary(max_size=200))
@example(b"")
@settings(max_examples=100, deadline=None)
def test_any_extension(value: bytes) -> None:
    for oid in (KEY_USAGE, der.oid("2.5.29.17"), der.oid("2.5.29.37"), der.oid("2.5.29.32"), der.oid("2.5.29.19")):
        judge(extended(0, 2, more=(issuing.extension(oid, value),))(world()))


@given(st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_key_and_any_subject(value: bytes) -> None:
    for tag in (0x02, 0x03, 0x06, 0x30):
        spki = der.encode(
            0x30,
            der.encode(0x30, der.encode(6, issuing.Key.generate("ed25519").spki[4:7]), value),
            der.encode(3, value),
        )
        judge(usual(spki=spki)(world()))
        judge(usual(subject=der.encode(0x30, der.encode(0x31, der.encode(tag, value))))(world()))


@pytest.mark.parametrize(
    "build",
    [
        lambda: usual(serial=1 << 80_000)(world()),
        lambda: extended(0, 1, 2, 3, 4, more=(issuing.extension(der.oid("1.2.3.4"), bytes(1 << 20)),))(world()),
        lambda: extended(
            0, 1, 2, 3, 4,
            more=(issuing.extension(der.oid("2.5.29.17"), der.encode(0x30, *(
                der.encode(0x82, b"a%d.example.hk" % n) for n in range(10_000)))),),
        )(world()),
        lambda: usual(subject=issuing.distinguished(*[("OU", "x" * 60)] * 5_000))(world()),
    ],
    ids=["serial of 10,000 octets", "a megabyte", "10,000 names", "5,000 units"],
)  # fmt: skip
def test_large(build: object) -> None:
    judge(build())  # type: ignore[operator]


def test_an_issuer_that_is_no_certificate() -> None:
    case = at_hand(_usual(), [b"\x30\x00", b""], FixedLists({"hk": world().base}), LIMITS)
    assert isinstance(case, cases.Case)
    assert case.issuer is None
    assert Engine(LIMITS).judge(replace(case, issuer_digest=b"\0" * 32))[0].code in ("J01", "P01")


def test_nothing_that_is_long_is_remembered() -> None:
    """A log may hold thousands of entries of megabytes each."""

    def named(value: bytes) -> bytes:
        attribute = der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, ORGANISATION), der.encode(UTF8, value))
        return der.encode(der.SEQUENCE, der.encode(0x31, attribute))

    short, long = named(b"x"), named(b"x" * 10_000)
    assert attributes(short) is attributes(short)
    assert attributes(long) == attributes(long)
    assert attributes(long) is not attributes(long)
    assert ascii_name("A.example") is ascii_name("A.example")
    assert ascii_name("A" * 10_000) is not ascii_name("A" * 10_000)
    for count, remembered in ((1, 1), (4_000, 0)):
        policies = [der.encode(der.SEQUENCE, der.encode(der.OBJECT_IDENTIFIER, der.oid("1.2.3.4")))] * count
        value = der.encode(der.SEQUENCE, *policies)
        made = extended(0, more=(issuing.extension(CERTIFICATE_POLICIES, value),))(world())
        engine, case = Engine(LIMITS), at_hand(made, [world().hk.certificate], FixedLists({}), LIMITS)
        assert isinstance(case, cases.Case)
        assert len(case.certificate.policies) == count
        assert (cases._parsed(made) is cases._parsed(made)) == bool(remembered), "as an issuer"
        engine.judge(case)
        assert len(engine._well) == remembered
