"""Who is told of which certificate: names in all their spellings, organisations, keys, and what cannot be read."""

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log.certs import der
from log.demo import issuing
from monitor.rules.case import FixedLists, at_hand
from monitor.rules.limits import Limits
from monitor.rules.reading import folded
from monitor.rules.watchlist import Watched, WatchList, ascii_name, unicode_name
from tests.monitor.rules.cases import alternative, extended, named, usual, world

LIMITS = Limits.usual()
DNS, MAIL = 0x82, 0x81


def values(watched: Watched, certificate: bytes) -> list[tuple[str, str]]:
    case = at_hand(certificate, [], FixedLists(), LIMITS)
    return [(match.what, match.value) for match in WatchList((watched,)).matches(case)]


def watching(*suffixes: str) -> Watched:
    return Watched("us", tuple(map(ascii_name, suffixes)))


@pytest.mark.parametrize(
    ("suffix", "name"),
    [
        ("example.hk", "example.hk"),
        ("example.hk", "www.EXAMPLE.hk"),
        ("example.hk", "a.b.example.hk."),
        ("example.hk", "*.example.hk"),
        ("www.example.hk", "*.example.hk"),  # the wildcard covers it
        ("example.hk", "example.hk\0.evil.example"),
        ("example.hk", "evil.example\0example.hk"),
        ("example.hk", "ｅｘａｍｐｌｅ．ｈｋ"),
        ("例子.hk", "xn--fsqu00a.hk"),
        ("xn--fsqu00a.hk", "例子.hk"),
        ("例子.hk", "www。例子。hk"),
        ("例子.hk", "*.例子.hk"),
        ("hk", "anything.hk"),
    ],
)
def test_names(suffix: str, name: str) -> None:
    certificate = extended(0, 1, 2, 3, 4, more=(alternative(DNS, name.encode()),))(world())
    assert len(values(watching(suffix), certificate)) == 1
    if "\0" not in name:
        assert len(values(watching(suffix), named(("CN", name))(world()))) == 1


@pytest.mark.parametrize(
    ("suffix", "name"),
    [
        ("example.hk", "anexample.hk"),
        ("example.hk", "example.hk.evil.example"),
        ("example.hk", "hk"),
        ("a.www.example.hk", "*.example.hk"),  # two labels below: not covered
        ("example.hk", "*.hk.example"),
        ("例子.hk", "例.hk"),
    ],
)
def test_other_names(suffix: str, name: str) -> None:
    certificate = extended(0, 1, 2, 3, 4, more=(alternative(DNS, name.encode()),))(world())
    assert values(watching(suffix), certificate) == []


def test_mail() -> None:
    certificate = extended(0, 1, 2, 3, 4, more=(alternative(MAIL, b"someone@mail.example.hk"),))(world())
    assert values(watching("example.hk"), certificate) == [("name", "mail.example.hk")]


@pytest.mark.parametrize("name", ["Sample  Trading LIMITED", "Ｓａｍｐｌｅ Trading Limited", "sample trading limited "])
def test_organisations(name: str) -> None:
    watched = Watched("us", organisations=(folded("Sample Trading Limited"),))
    assert values(watched, named(("O", name))(world())) == [("organisation", name)]
    assert values(watched, named(("OU", name))(world())) == [("organisation", name)]
    assert values(watched, named(("O", f"{name}x"))(world())) == []


def test_keys() -> None:
    digest = sha256(world().key.spki).digest()
    assert values(Watched("us", keys=(digest,)), usual()(world())) == [("key", digest.hex())]
    assert values(Watched("us", keys=(digest[::-1],)), usual()(world())) == []


def test_everyone_who_watches_is_told_once() -> None:
    both = WatchList((replace(watching("example.hk"), name="a"), replace(watching("hk"), name="b")))
    more = (alternative(DNS, b"a.example.hk"),)
    case = at_hand(extended(0, 1, 2, 3, 4, more=more)(world()), [], FixedLists(), LIMITS)
    found = both.matches(case)
    assert sorted(match.watch for match in found) == ["a", "b"]
    assert len({match.alert().key for match in found}) == 2
    assert WatchList().matches(case) == []


def test_what_cannot_be_read_is_searched_as_bytes() -> None:
    names = b"\x31\x02" + b"www.Example.HK"  # where names stand, no names
    broken = extended(0, 1, 2, 3, 4, more=(issuing.extension(der.oid("2.5.29.17"), names),))(world())
    assert values(watching("example.hk"), broken) == [("bytes", "example.hk")]
    assert values(watching("example.hk"), b"no certificate www.example.hk") == [("bytes", "example.hk")]
    assert values(watching("例子.hk"), "no certificate 例子.hk".encode()) == [("bytes", "xn--fsqu00a.hk")]
    assert values(watching("other.hk"), broken) == []


@given(st.text(max_size=300))
@settings(max_examples=200)
def test_no_name_is_too_odd(name: str) -> None:
    assert isinstance(ascii_name(name), str)
    assert isinstance(unicode_name(ascii_name(name)), str)
