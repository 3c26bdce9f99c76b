"""Whose submission a chain may be, before any signature is checked: never too few, where anything is said at all."""

from hashlib import sha256

import pytest

from log.certs import certificate
from log.certs.certificate import parse
from log.checking.claims import Claims
from log.demo.ca import MassIssuer
from log.demo.issuing import CA

ISSUER = MassIssuer()
ROOT = ISSUER.issuers[-1]


def issuer_of(der: bytes) -> bytes:
    return sha256(certificate.parse(der).spki).digest()


def claims(*anchors: bytes, max_known: int = 100) -> Claims:
    made = Claims(max_known)
    made.list("x509", anchors)
    return made


def test_an_issuing_certificate_is_known_once_a_chain_with_it_passed() -> None:
    held = claims(ROOT)
    leaf, middle, _ = ISSUER.chain(1)
    assert held.of("x509", [leaf, middle, ROOT]) == ()
    held.learn(sha256(middle).digest(), issuer_of(middle))
    assert held.of("x509", [leaf, middle]) == held.of("x509", [b"forged", middle]) == (issuer_of(middle),)
    assert held.of("x509", [middle, ROOT]) == (issuer_of(ROOT),)  # a listed one from the start


def test_a_leaf_alone_is_of_every_listed_issuer_of_that_name() -> None:
    first = CA.root("p256", parse(ROOT).subject, 7, 1_767_225_600_000)
    second = CA.root("p256", parse(ROOT).subject, 8, 1_767_225_600_000)
    held = claims(first.issuers[0], second.issuers[0])
    middle = first.subordinate(b"\x30\x00", 9, 1_767_225_600_000).issuers[0]
    assert set(held.of("x509", [middle])) == {issuer_of(first.issuers[0]), issuer_of(second.issuers[0])}
    assert held.of("x509", [ISSUER.certificate(1)]) == ()  # its issuer is not listed
    assert held.of("x509", [first.issuers[0]]) == held.of("x509", [middle])


@pytest.mark.parametrize(
    "leaf",
    [b"", b"nonsense", b"\x30\x00", b"\x30\x02\x30\x00", ROOT[:40]],
    ids=["empty", "nonsense", "no field", "an empty field", "cut"],
)
def test_what_is_no_certificate_claims_nothing(leaf: bytes) -> None:
    assert claims(ROOT).of("x509", [leaf]) == ()
    assert claims(ROOT).of("x509", []) == ()


def test_what_is_known_is_bounded_and_what_is_in_use_stays() -> None:
    held = claims(max_known=3)
    middle = ISSUER.issuers[0]
    for n in range(10):
        held.learn(sha256(middle).digest(), issuer_of(middle))
        held.learn(bytes([n]) * 32, bytes(32))
    assert held.of("x509", [b"leaf", middle]) == (issuer_of(middle),)
    for n in range(3):
        held.learn(bytes([n]) * 32, bytes(32))
    assert held.of("x509", [b"leaf", middle]) == ()
